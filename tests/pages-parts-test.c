/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages-parts-test.c: the parts that the page source is made of, each by itself: the mem_desc word,
 * the budget, the bitmaps of an arena. The page source itself: pages-test.c.
 */
#include "tests/support.h"

#include <errno.h>
#include <string.h>

#include "pages/arena.h"
#include "pages/budget.h"
#include "pages/mem_desc.h"

/* ---- mem_desc ---- */

static void every_type_and_value_that_is_packed_is_unpacked_again(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 0xf, 0x10, UINT32_MAX, MEM_DESC_VALUE_MAX};
    for (unsigned type = 0; type < MEM_DESC_TYPE_COUNT; type++)
        for (size_t i = 0; i < array_count(values); i++) {
            struct mem_desc desc = {0};
            assert_true(mem_desc_pack_value((enum mem_desc_type)type, values[i], &desc));
            assert_int_equal(mem_desc_type(desc), type);
            assert_int_equal(mem_desc_value(desc), values[i]);
        }
}

static void every_type_and_aligned_address_that_is_packed_is_unpacked_again(void **state)
{
    (void)state;
    static const uintptr_t addresses[] = {0, 16, 0x7fffffffff50, UINTPTR_MAX - 15};
    for (unsigned type = 0; type < MEM_DESC_TYPE_COUNT; type++)
        for (size_t i = 0; i < array_count(addresses); i++) {
            struct mem_desc desc = {0};
            const void *address = (const void *)addresses[i];
            assert_true(mem_desc_pack_pointer((enum mem_desc_type)type, address, &desc));
            assert_int_equal(mem_desc_type(desc), type);
            assert_ptr_equal(mem_desc_pointer(desc), address);
        }
}

static void what_does_not_fit_a_word_is_refused_and_leaves_it_unchanged(void **state)
{
    (void)state;
    struct mem_desc desc = {0x1234};
    assert_false(mem_desc_pack_value(MEM_DESC_RAW, MEM_DESC_VALUE_MAX + 1, &desc));
    assert_false(mem_desc_pack_value(MEM_DESC_RAW, UINT64_MAX, &desc));
    assert_false(mem_desc_pack_value(MEM_DESC_TYPE_COUNT, 0, &desc));
    assert_false(mem_desc_pack_value((enum mem_desc_type) - 1, 0, &desc));
    assert_false(mem_desc_pack_pointer(MEM_DESC_TYPE_COUNT, NULL, &desc));
    assert_false(mem_desc_pack_pointer((enum mem_desc_type)16, NULL, &desc));
    for (uintptr_t odd = 1; odd < MEM_DESC_ALIGNMENT; odd++)
        assert_false(mem_desc_pack_pointer(MEM_DESC_ZSMALLOC, (void *)(0x1000 + odd), &desc));
    assert_int_equal(desc.word, 0x1234);
}

static void word_of_zeros_is_none_and_a_plain_word_is_its_type_alone(void **state)
{
    (void)state;
    assert_int_equal(mem_desc_type((struct mem_desc){0}), MEM_DESC_NONE);
    for (unsigned type = 0; type < MEM_DESC_TYPE_COUNT; type++) {
        struct mem_desc desc = mem_desc_plain((enum mem_desc_type)type);
        assert_int_equal(mem_desc_type(desc), type);
        assert_int_equal(mem_desc_value(desc), 0);
    }
}

static void every_type_has_a_name_of_its_own_and_none_other_has(void **state)
{
    (void)state;
    for (unsigned type = 0; type < MEM_DESC_TYPE_COUNT; type++) {
        const char *name = mem_desc_type_name((enum mem_desc_type)type);
        assert_non_null(name);
        for (unsigned other = 0; other < type; other++)
            assert_string_not_equal(name, mem_desc_type_name((enum mem_desc_type)other));
    }
    assert_string_equal(mem_desc_type_name(MEM_DESC_ZSMALLOC), "zsmalloc");
    assert_string_equal(mem_desc_type_name(MEM_DESC_TYPE_COUNT), "?");
    assert_string_equal(mem_desc_type_name((enum mem_desc_type)15), "?");
}

/* ---- budget ---- */

static void budget_is_charged_up_to_its_limit_and_no_further(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 10);
    assert_int_equal(budget_charge(&budget, 10), 0);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
    assert_int_equal(budget_charge(&budget, 0), 0);
    assert_int_equal(budget.used_pages, 10);
    budget_uncharge(&budget, 4);
    assert_int_equal(budget_charge(&budget, 5), -ENOSPC);
    assert_int_equal(budget_charge(&budget, 4), 0);
    assert_int_equal(budget.refused, 2);
}

static void charge_that_would_overflow_is_refused(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 100);
    assert_int_equal(budget_charge(&budget, 50), 0);
    assert_int_equal(budget_charge(&budget, UINT64_MAX), -ENOSPC);
    assert_int_equal(budget_charge(&budget, UINT64_MAX - 49), -ENOSPC);
    assert_int_equal(budget.used_pages, 50);

    budget_init(&budget, UINT64_MAX);
    assert_int_equal(budget_charge(&budget, UINT64_MAX), 0);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
}

static void limit_below_what_is_used_refuses_until_enough_is_given_back(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 10);
    assert_int_equal(budget_charge(&budget, 8), 0);
    budget_set_limit(&budget, 4);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
    budget_uncharge(&budget, 4);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
    budget_uncharge(&budget, 1);
    assert_int_equal(budget_charge(&budget, 1), 0);
}

static void what_is_kept_of_the_limit_is_charged_only_while_it_is_not(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 10);
    budget_keep(&budget, 3);
    assert_int_equal(budget_charge(&budget, 7), 0);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
    budget_keep(&budget, 0);
    assert_int_equal(budget_charge(&budget, 2), 0);
    budget_keep(&budget, 3);
    budget_uncharge(&budget, 2);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
    budget_uncharge(&budget, 1);
    assert_int_equal(budget_charge(&budget, 1), 0);

    budget_set_limit(&budget, 3); /* less than there is to keep */
    budget_uncharge(&budget, 7);
    assert_int_equal(budget_charge(&budget, 3), 0);
    budget_init(&budget, UINT64_MAX);
    budget_keep(&budget, 3);
    assert_int_equal(budget_charge(&budget, UINT64_MAX), 0);
}

static void what_cannot_be_refused_is_charged_beyond_the_limit(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 2);
    budget_charge_always(&budget, 5);
    assert_int_equal(budget.used_pages, 5);
    assert_int_equal(budget.max_pages, 5);
    assert_int_equal(budget.refused, 0);
    assert_int_equal(budget_charge(&budget, 1), -ENOSPC);
}

static void watermark_is_the_highest_use_since_it_was_reset(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 100);
    assert_int_equal(budget_charge(&budget, 70), 0);
    budget_uncharge(&budget, 60);
    assert_int_equal(budget_charge(&budget, 20), 0);
    assert_int_equal(budget.max_pages, 70);
    budget_reset_max(&budget);
    assert_int_equal(budget.max_pages, 30);
    assert_int_equal(budget_charge(&budget, 1), 0);
    assert_int_equal(budget.max_pages, 31);
}

#define CHARGERS      4
#define CHARGE_LIMIT  20
#define CHARGES_TRIED 20000

struct charger {
    struct budget *budget;
    struct rng rng;
};

static void *charge_and_uncharge(void *context)
{
    struct charger *charger = context;
    struct budget *budget = charger->budget;
    unsigned held = 0;
    for (unsigned i = scaled(CHARGES_TRIED); i > 0; i--) {
        unsigned pages = 1 + rng_below(&charger->rng, 8);
        if (budget_charge(budget, pages) == 0)
            held += pages;
        if (atomic_load(&budget->used_pages) > CHARGE_LIMIT)
            fault("the budget has passed its limit");
        unsigned back = rng_below(&charger->rng, held + 1);
        budget_uncharge(budget, back);
        held -= back;
    }
    budget_uncharge(budget, held);
    return NULL;
}

static void threads_never_pass_the_limit_together_and_nothing_is_left_over(void **state)
{
    (void)state;
    struct budget budget;
    struct charger charger[CHARGERS];
    pthread_t thread[CHARGERS];
    budget_init(&budget, CHARGE_LIMIT);
    for (unsigned i = 0; i < CHARGERS; i++) {
        charger[i] = (struct charger){&budget, rng_of_stream(i)};
        thread[i] = thread_start(charge_and_uncharge, &charger[i]);
    }
    for (unsigned i = 0; i < CHARGERS; i++)
        thread_join(thread[i]);
    assert_int_equal(budget.used_pages, 0);
    assert_in_range(budget.max_pages, 1, CHARGE_LIMIT);
    assert_no_faults();
}

/* ---- arena ---- */

/* The lowest run of `count` bits that are set, found the slow way; ARENA_PAGES: none. */
static unsigned naive_run(const uint64_t *map, unsigned count)
{
    unsigned length = 0;
    for (unsigned page = 0; page < ARENA_PAGES; page++) {
        length = bitmap_test(map, page) ? length + 1 : 0;
        if (length == count)
            return page - count + 1;
    }
    return ARENA_PAGES;
}

/* The bits that stand in runs of at least `count`, counted the slow way. */
static unsigned naive_bits_in_runs(const uint64_t *map, unsigned count)
{
    unsigned bits = 0, length = 0;
    for (unsigned page = 0; page <= ARENA_PAGES; page++)
        if (page < ARENA_PAGES && bitmap_test(map, page)) {
            length++;
        } else {
            bits += length >= count ? length : 0;
            length = 0;
        }
    return bits;
}

/* Every run length, by both ways, and the arena's own invariants. */
static void check_arena(struct arena *arena)
{
    /* The list of warm arenas is the page source's affair; the validator wants it right. */
    struct list warm;
    list_init(&warm);
    list_init(&arena->warm);
    if (arena->resident_count > 0)
        list_add(&warm, &arena->warm);
    const char *wrong = arena_validate(arena);
    if (wrong != NULL)
        fault("arena: %s", wrong);

    unsigned longest = 0;
    for (unsigned count = 1; count <= ARENA_RUN_MAX; count++) {
        unsigned expected = naive_run(arena->resident, count);
        unsigned any = naive_run(arena->free, count);
        if (any < ARENA_PAGES)
            longest = count;
        if (expected == ARENA_PAGES)
            expected = any;
        unsigned found = arena_find_run(arena, count);
        if (found != expected)
            fault("a run of %u was found at %u, expected %u", count, found, expected);
        unsigned in_runs = naive_bits_in_runs(arena->resident, count);
        if (arena_resident_in_runs(arena, count) != in_runs)
            fault("%u pages are said to stand in runs of %u, expected %u",
                  arena_resident_in_runs(arena, count), count, in_runs);
    }
    if (arena->longest_run != longest)
        fault("the longest run is said to be %u, but is %u", arena->longest_run, longest);
}

static void take_all(struct arena *arena, unsigned guarded)
{
    arena_init(arena, guarded);
    for (unsigned page = guarded; page < ARENA_PAGES; page++)
        arena_take(arena, page, 1);
}

static void new_arena_is_free_and_cold_but_for_its_guarded_pages(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(arena.free_count, ARENA_PAGES);
    assert_int_equal(arena.resident_count, 0);
    assert_true(arena_is_empty(&arena));
    assert_int_equal(arena_find_run(&arena, 1), 0);
    check_arena(&arena);

    arena_init(&arena, 3);
    assert_int_equal(arena.free_count, ARENA_PAGES - 3);
    assert_true(arena_is_empty(&arena));
    for (unsigned count = 1; count <= ARENA_RUN_MAX; count++)
        assert_int_equal(arena_find_run(&arena, count), 3);
    check_arena(&arena);
    assert_no_faults();
}

static void one_run_of_any_length_at_any_place_is_found_and_no_longer_one(void **state)
{
    (void)state;
    struct arena arena;
    take_all(&arena, 0);
    for (unsigned length = 1; length <= ARENA_RUN_MAX; length++)
        for (unsigned first = 0; first + length <= ARENA_PAGES; first++) {
            arena_give(&arena, first, length, 0);
            assert_int_equal(arena.longest_run, length);
            assert_int_equal(arena_find_run(&arena, length), first);
            assert_int_equal(arena_find_run(&arena, 1), first);
            if (length < ARENA_RUN_MAX)
                assert_int_equal(arena_find_run(&arena, length + 1), ARENA_PAGES);
            arena_take(&arena, first, length);
            assert_int_equal(arena.longest_run, 0);
            assert_int_equal(arena_find_run(&arena, 1), ARENA_PAGES);
        }
}

/* All patterns of free pages across the border of two words, some of them warm. */
#define PATTERN_BITS 12
#define PATTERN_AT   (64 - PATTERN_BITS / 2)

static void every_pattern_of_twelve_pages_is_searched_as_slowly_by_hand(void **state)
{
    (void)state;
    struct arena full, arena;
    take_all(&full, 0);
    for (unsigned pattern = 0; pattern < 1u << PATTERN_BITS; pattern++) {
        arena = full;
        for (unsigned bit = 0; bit < PATTERN_BITS; bit++)
            if (pattern >> bit & 1)
                arena_give(&arena, PATTERN_AT + bit, 1, pattern >> (PATTERN_BITS - 1 - bit) & 1);
        check_arena(&arena);
    }
    assert_no_faults();
}

static void random_taking_and_giving_agrees_with_a_plain_array(void **state)
{
    (void)state;
    enum page { TAKEN_COLD, TAKEN_WARM, FREE_COLD, FREE_WARM };
    struct rng rng = rng_of_stream(10);
    for (unsigned round = scaled(40); round > 0; round--) {
        enum page model[ARENA_PAGES];
        struct arena arena;
        arena_init(&arena, 0);
        for (unsigned page = 0; page < ARENA_PAGES; page++)
            model[page] = FREE_COLD;

        for (unsigned i = 0; i < 500; i++) {
            unsigned count = 1 + rng_below(&rng, ARENA_RUN_MAX);
            unsigned first = rng_below(&rng, ARENA_PAGES - count + 1);
            unsigned taken = 0;
            for (unsigned page = first; page < first + count; page++)
                taken += model[page] <= TAKEN_WARM;
            if (taken == 0) {
                page_mask resident = arena_take(&arena, first, count);
                for (unsigned bit = 0; bit < count; bit++) {
                    assert_int_equal(resident >> bit & 1, model[first + bit] == FREE_WARM);
                    model[first + bit] -= FREE_COLD;
                }
                assert_int_equal((uint64_t)resident >> count, 0);
            } else if (taken == count) {
                page_mask resident = (page_mask)rng_next(&rng) & page_run_mask(count);
                arena_give(&arena, first, count, resident);
                for (unsigned bit = 0; bit < count; bit++)
                    model[first + bit] = resident >> bit & 1 ? FREE_WARM : FREE_COLD;
            }
            if (i % 20 == 0)
                check_arena(&arena);
        }
        for (unsigned page = 0; page < ARENA_PAGES; page++) {
            assert_int_equal(bitmap_test(arena.free, page), model[page] >= FREE_COLD);
            assert_int_equal(bitmap_test(arena.resident, page), model[page] == FREE_WARM);
        }
    }
    assert_no_faults();
}

static void validator_of_an_arena_names_each_broken_invariant(void **state)
{
    (void)state;
    struct arena good, bad;
    struct list warm;
    list_init(&warm);
    arena_init(&good, 1);
    arena_take(&good, 1, 16);
    arena_give(&good, 1, 4, 0x3);
    list_add(&warm, &good.warm);
    assert_null(arena_validate(&good));

    bad = good;
    bad.free_count++;
    assert_string_equal(arena_validate(&bad), "free_count differs from the free bits");
    bad = good;
    bad.resident_count++;
    assert_string_equal(arena_validate(&bad), "resident_count differs from the resident bits");
    bad = good;
    bitmap_clear(bad.free, 1);
    bad.free_count--;
    assert_string_equal(arena_validate(&bad), "a resident bit is set for a page that is not free");
    bad = good;
    bad.longest_run--;
    assert_string_equal(arena_validate(&bad), "longest_run differs from the free bits");
    bad = good;
    list_init(&bad.warm);
    assert_non_null(strstr(arena_validate(&bad), "warm list"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_value_that_is_packed_is_unpacked_again),
        cmocka_unit_test(every_type_and_aligned_address_that_is_packed_is_unpacked_again),
        cmocka_unit_test(what_does_not_fit_a_word_is_refused_and_leaves_it_unchanged),
        cmocka_unit_test(word_of_zeros_is_none_and_a_plain_word_is_its_type_alone),
        cmocka_unit_test(every_type_has_a_name_of_its_own_and_none_other_has),
        cmocka_unit_test(budget_is_charged_up_to_its_limit_and_no_further),
        cmocka_unit_test(charge_that_would_overflow_is_refused),
        cmocka_unit_test(limit_below_what_is_used_refuses_until_enough_is_given_back),
        cmocka_unit_test(what_is_kept_of_the_limit_is_charged_only_while_it_is_not),
        cmocka_unit_test(what_cannot_be_refused_is_charged_beyond_the_limit),
        cmocka_unit_test(watermark_is_the_highest_use_since_it_was_reset),
        cmocka_unit_test(threads_never_pass_the_limit_together_and_nothing_is_left_over),
        cmocka_unit_test(new_arena_is_free_and_cold_but_for_its_guarded_pages),
        cmocka_unit_test(one_run_of_any_length_at_any_place_is_found_and_no_longer_one),
        cmocka_unit_test(every_pattern_of_twelve_pages_is_searched_as_slowly_by_hand),
        cmocka_unit_test(random_taking_and_giving_agrees_with_a_plain_array),
        cmocka_unit_test(validator_of_an_arena_names_each_broken_invariant),
    };
    test_program_begin("pages-parts-test");
    return cmocka_run_group_tests_name("pages-parts", tests, NULL, NULL);
}
