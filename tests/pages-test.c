/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages-test.c: the page source: what is given to whom, what is resident, and what that is said to
 * cost. The account is compared with what the system says (mincore), page by page.
 *
 * The parts that it is made of have their own tests: pages-parts-test.c. Threads and chance:
 * pages-random-test.c.
 */
#include "tests/support.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/memory.h"
#include "pages/pages_internal.h"
#include "tests/device-madvise.h"

/* Every test gets a page source of ARENAS arenas and ends it, checking that nothing is left. */
#define ARENAS 8

static struct budget budget;
static struct pages *pages;
static const struct page_map *map;
static struct list isolated; /* arenas that the test has isolated */

static int make_source(void **state)
{
    (void)state;
    budget_init(&budget, UINT64_MAX);
    assert_int_equal(pages_create(ARENAS * ARENA_PAGES, &budget, &pages), 0);
    map = pages_map(pages);
    list_init(&isolated);
    return 0;
}

static void line_is_a_fault(void *context, const char *line)
{
    (void)context;
    fault("%s", line);
}

static struct pages_account account_now(void)
{
    struct pages_account account;
    pages_account(pages, &account);
    return account;
}

/* The validator, the account against the budget, and both against the system. */
static void check_source(void)
{
    struct report report = {.line = line_is_a_fault};
    pages_validate(pages, &report);
    assert_int_equal(report.faults, 0);

    struct pages_account account = account_now();
    struct resident_pages system = resident_pages(map, ARENAS);
    assert_int_equal(account.owned_resident + account.free_resident, system.pool);
    assert_int_equal(account.word_pages, system.words);
    assert_int_equal(budget.used_pages, account.owned_resident + account.free_resident +
                                            account.word_pages + account.bookkeeping_pages);
    assert_no_faults();
}

static int end_source(void **state)
{
    (void)state;
    gates_end();
    madvise_refuse(0, 0);
    memory_fail_after(-1, false);
    check_source();
    pages_destroy(pages);
    assert_int_equal(budget.used_pages, 0);
    return 0;
}

static struct page_run alloc_run(unsigned count, enum page_mobility mobility)
{
    struct page_run run;
    assert_int_equal(pages_alloc(pages, count, mobility, &run), 0);
    assert_int_equal(run.count, count);
    return run;
}

static struct page_run alloc_movable(unsigned count)
{
    return alloc_run(count, PAGE_MOVABLE);
}

/* Touches and writes all pages of the run. */
static void write_run(struct page_run *run)
{
    assert_int_equal(pages_touch(pages, run, page_run_mask(run->count)), 0);
    for (unsigned i = 0; i < run->count; i++)
        content_fill(pages_address(map, run->first + i), PAGE_SIZE_BYTES, run->first + i);
}

static bool page_has_its_content(pfn page)
{
    return content_matches(pages_address(map, page), PAGE_SIZE_BYTES, page);
}

static bool page_is_zero(pfn page)
{
    static const unsigned char zeros[PAGE_SIZE_BYTES];
    return memcmp(pages_address(map, page), zeros, sizeof zeros) == 0;
}

static unsigned arena_of(const struct page_run *run)
{
    return run->first / ARENA_PAGES;
}

static bool is_isolated(unsigned arena)
{
    return pages->arenas[arena].state == ARENA_ISOLATED;
}

static enum mem_desc_type type_of(pfn page)
{
    return mem_desc_type(pages_desc(map, page));
}

/* Takes single pages until the next one would come from another arena; their number. */
static unsigned fill_arena(struct page_run run[ARENA_PAGES])
{
    run[0] = alloc_movable(1);
    struct arena *arena = &pages->arenas[arena_of(&run[0])];
    unsigned taken = 1;
    while (arena->free_count > 0)
        run[taken++] = alloc_movable(1);
    return taken;
}

/* ---- making one ---- */

static void new_source_costs_nothing_that_is_resident(void **state)
{
    (void)state;
    struct pages_account account = account_now();
    assert_int_equal(account.arenas_active, 0);
    assert_int_equal(account.word_pages + account.bookkeeping_pages, 0);
    assert_int_equal(budget.used_pages, 0);
    assert_int_equal(map->page_count, ARENAS * ARENA_PAGES);
    assert_int_equal((uintptr_t)map->base % ARENA_SIZE_BYTES, 0);
}

static void page_counts_out_of_range_return_einval_and_others_are_rounded_to_arenas(void **state)
{
    (void)state;
    struct pages *other = pages;
    assert_int_equal(pages_create(0, &budget, &other), -EINVAL);
    assert_null(other);
    assert_int_equal(pages_create(PAGE_COUNT_MAX + 1, &budget, &other), -EINVAL);
    assert_null(other);
    assert_int_equal(pages_create(ARENA_PAGES + 1, &budget, &other), 0);
    assert_int_equal(pages_map(other)->page_count, 2 * ARENA_PAGES);
    pages_destroy(other);
    pages_destroy(NULL);
}

static void
each_allocation_of_create_failing_in_turn_returns_enomem_and_leaves_nothing(void **state)
{
    (void)state;
    struct pages *other;
    memory_fail_after(0, false);
    unsigned failed = 0;
    while (pages_create(ARENA_PAGES, &budget, &other) == -ENOMEM) {
        assert_null(other);
        memory_fail_after(++failed, false);
    }
    memory_fail_after(-1, false);
    assert_non_null(other);
    assert_int_equal(failed, 4);
    pages_destroy(other);
}

static void destroying_with_owned_pages_gives_all_back_to_the_budget(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(7);
    write_run(&run);
    assert_int_equal(pages_refill(pages, 40, 1000), 40);
    assert_true(budget.used_pages > 47);
    /* end_source destroys it and looks at the budget. */
}

/* ---- taking and giving ---- */

static void first_page_is_a_guard_and_given_to_nobody(void **state)
{
    (void)state;
    struct page_run run[ARENA_PAGES];
    assert_int_equal(fill_arena(run), ARENA_PAGES - 1);
    assert_int_equal(arena_of(&run[0]), 0);
    for (unsigned i = 0; i < ARENA_PAGES - 1; i++)
        assert_int_not_equal(run[i].first, 0);
    assert_int_equal(type_of(0), MEM_DESC_GUARD);
    assert_int_equal(alloc_movable(1).first, ARENA_PAGES);
}

static void
word_of_a_taken_run_is_reserved_until_described_and_offline_when_given_back(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(type_of(run.first + i), MEM_DESC_RESERVED);
    struct mem_desc desc;
    assert_true(mem_desc_pack_value(MEM_DESC_RAW, 77, &desc));
    pages_describe(pages, &run, desc);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pages_desc(map, run.first + i).word, desc.word);
    assert_int_equal(type_of(run.first + 3), MEM_DESC_OFFLINE);

    assert_int_equal(pages_touch(pages, &run, 1 << 1), 0);
    content_fill(pages_address(map, run.first + 1), PAGE_SIZE_BYTES, 1);
    pages_free(pages, &run);
    assert_int_equal(type_of(run.first), MEM_DESC_OFFLINE);
    assert_int_equal(type_of(run.first + 1), MEM_DESC_FREE);
    assert_int_equal(type_of(run.first + 2), MEM_DESC_OFFLINE);
}

static void run_is_taken_from_the_fullest_arena_that_has_one(void **state)
{
    (void)state;
    static struct page_run run[3][ARENA_PAGES];
    for (unsigned i = 0; i < 3; i++)
        fill_arena(run[i]);
    /* Arena 0 keeps 100 pages, arena 1 most, arena 2 has only single free pages. */
    for (unsigned i = 100; i < ARENA_PAGES - 1; i++)
        pages_free(pages, &run[0][i]);
    for (unsigned i = 300; i < 340; i++)
        pages_free(pages, &run[1][i]);
    for (unsigned i = 0; i < 20; i += 2)
        pages_free(pages, &run[2][i]);

    struct page_run single = alloc_movable(1), pair = alloc_movable(2);
    struct page_run longest = alloc_movable(PAGE_RUN_MAX), again = alloc_movable(PAGE_RUN_MAX);
    assert_int_equal(arena_of(&single), 2);
    assert_int_equal(arena_of(&pair), 1);
    assert_int_equal(arena_of(&longest), 1);
    assert_int_equal(arena_of(&again), 0);
}

static void movable_pages_and_those_that_stay_are_in_different_arenas(void **state)
{
    (void)state;
    struct page_run movable = alloc_movable(1), unmovable = alloc_run(1, PAGE_UNMOVABLE);
    struct page_run more = alloc_movable(1), others = alloc_run(1, PAGE_UNMOVABLE);
    assert_int_not_equal(arena_of(&movable), arena_of(&unmovable));
    assert_int_equal(arena_of(&movable), arena_of(&more));
    assert_int_equal(arena_of(&unmovable), arena_of(&others));
}

static void all_addresses_taken_returns_enospc_and_an_empty_run(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    for (unsigned i = 0; i < ARENAS; i++)
        fill_arena(run);
    uint64_t used = budget.used_pages;
    struct page_run none = {.first = 5, .count = 5, .resident = 5};
    assert_int_equal(pages_alloc(pages, 1, PAGE_MOVABLE, &none), -ENOSPC);
    assert_int_equal(none.count, 0);
    assert_int_equal(none.resident, 0);
    assert_int_equal(pages_alloc(pages, 1, PAGE_UNMOVABLE, &none), -ENOSPC);
    assert_int_equal(budget.used_pages, used);
    pages_free(pages, &run[9]);
    assert_int_equal(alloc_movable(1).first, run[9].first);
}

static void budget_without_room_for_an_arenas_bookkeeping_returns_enospc(void **state)
{
    (void)state;
    struct page_run run;
    budget_set_limit(&budget, 1);
    assert_int_equal(pages_alloc(pages, 1, PAGE_MOVABLE, &run), -ENOSPC);
    assert_int_equal(budget.used_pages, 0);
    budget_set_limit(&budget, 2);
    assert_int_equal(pages_alloc(pages, 1, PAGE_MOVABLE, &run), 0);
    assert_int_equal(account_now().bookkeeping_pages, 1);
    assert_int_equal(pages_alloc(pages, 1, PAGE_UNMOVABLE, &run), -ENOSPC);
    budget_set_limit(&budget, 3);
    assert_int_equal(pages_alloc(pages, 1, PAGE_UNMOVABLE, &run), 0);
    assert_int_equal(account_now().bookkeeping_pages, 1);
}

static void injected_failures_of_alloc_and_touch_change_nothing(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(4), none;
    struct pages_account before = account_now(), after;
    memory_fail_after(0, true);
    assert_int_equal(pages_alloc(pages, 1, PAGE_MOVABLE, &none), -ENOMEM);
    assert_int_equal(none.count, 0);
    assert_int_equal(pages_touch(pages, &run, 0x5), -ENOSPC);
    assert_int_equal(run.resident, 0);
    memory_fail_after(-1, false);
    after = account_now();
    assert_memory_equal(&before, &after, sizeof after);
}

/* ---- what is resident ---- */

static void touching_charges_each_page_once(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(5);
    uint64_t before = budget.used_pages;
    assert_int_equal(pages_touch(pages, &run, 0), 0);
    assert_int_equal(budget.used_pages, before);
    assert_int_equal(pages_touch(pages, &run, 0x3), 0);
    assert_int_equal(pages_touch(pages, &run, 0x3), 0);
    assert_int_equal(pages_touch(pages, &run, 0x6), 0);
    assert_int_equal(run.resident, 0x7);
    assert_int_equal(budget.used_pages, before + 3);
    assert_int_equal(account_now().owned_resident, 3);
    assert_int_equal(account_now().owned_total, 5);
    assert_int_equal(account_now().touch_misses, 3);
    write_run(&run);
}

static void touching_beyond_the_limit_returns_enospc_and_makes_nothing_resident(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(4);
    uint64_t used = budget.used_pages;
    budget_set_limit(&budget, used + 3);
    assert_int_equal(pages_touch(pages, &run, 0xf), -ENOSPC);
    assert_int_equal(run.resident, 0);
    assert_int_equal(budget.used_pages, used);
    assert_int_equal(pages_touch(pages, &run, 0x7), 0);
    for (unsigned i = 0; i < 3; i++)
        content_fill(pages_address(map, run.first + i), PAGE_SIZE_BYTES, i);
}

static void freed_pages_stay_resident_and_are_taken_again_without_a_charge(void **state)
{
    (void)state;
    struct page_run other = alloc_movable(3), run = alloc_movable(3);
    write_run(&run);
    uint64_t used = budget.used_pages;
    pages_free(pages, &run);
    assert_int_equal(budget.used_pages, used);
    assert_int_equal(account_now().free_resident, 3);
    assert_int_equal(pages_free_resident(pages), 3);

    /* Cold pages with lower numbers are free too, but resident ones are better. */
    pages_free(pages, &other);
    struct page_run again = alloc_movable(3);
    assert_int_equal(again.first, run.first);
    assert_int_equal(again.resident, 0x7);
    assert_int_equal(pages_free_resident(pages), 0);
    assert_int_equal(pages_touch(pages, &again, 0x7), 0);
    assert_int_equal(budget.used_pages, used);
    assert_int_equal(account_now().touch_misses, 3);
}

static void discarding_gives_back_those_pages_and_no_others(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(8);
    write_run(&run);
    uint64_t used = budget.used_pages;
    assert_int_equal(pages_discard(pages, &run, 0x36), 4);
    assert_int_equal(run.resident, 0xc9);
    assert_int_equal(budget.used_pages, used - 4);
    assert_int_equal(account_now().purged, 4);
    check_source();
    assert_int_equal(pages_discard(pages, &run, 0x36), 0);
    for (unsigned i = 0; i < 8; i++)
        if (0xc9 >> i & 1)
            assert_true(page_has_its_content(run.first + i));
    assert_int_equal(pages_touch(pages, &run, 0x36), 0);
    for (unsigned i = 0; i < 8; i++)
        if (0x36 >> i & 1)
            assert_true(page_is_zero(run.first + i));
    write_run(&run); /* To read is not to make resident. */
}

static void longest_run_is_touched_and_discarded_whole(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(PAGE_RUN_MAX);
    write_run(&run);
    assert_int_equal(account_now().owned_resident, PAGE_RUN_MAX);
    check_source();
    assert_int_equal(pages_discard(pages, &run, page_run_mask(PAGE_RUN_MAX)), PAGE_RUN_MAX);
    assert_int_equal(run.resident, 0);
}

static void pages_that_the_system_does_not_take_back_stay_resident_and_charged(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(4);
    write_run(&run);
    uint64_t used = budget.used_pages;
    madvise_refuse(MADV_DONTNEED, ENOMEM);
    assert_int_equal(pages_discard(pages, &run, 0xf), 0);
    assert_int_equal(run.resident, 0xf);
    pages_free(pages, &run);
    assert_int_equal(pages_trim(pages, 0, 1000), 0);
    assert_int_equal(budget.used_pages, used);
    assert_int_equal(pages_free_resident(pages), 4);
    check_source();
    madvise_refuse(0, 0);
    assert_int_equal(pages_trim(pages, 0, 1000), 4);
}

/* ---- refill, trim, retire ---- */

static void refilling_makes_pages_resident_that_are_taken_next(void **state)
{
    (void)state;
    assert_int_equal(pages_refill(pages, 100, 60), 60);
    assert_int_equal(pages_free_resident(pages), 60);
    check_source();
    assert_int_equal(pages_refill(pages, 100, 1000), 40);
    assert_int_equal(pages_refill(pages, 100, 1000), 0);
    assert_int_equal(account_now().refilled, 100);
    check_source();

    for (unsigned i = 0; i < 100 / 5; i++) {
        struct page_run run = alloc_movable(5);
        assert_int_equal(run.resident, 0x1f);
        write_run(&run);
    }
    assert_int_equal(account_now().touch_misses, 0);
    assert_int_equal(alloc_movable(1).resident, 0);
}

static void refilling_more_than_an_arena_goes_on_in_the_next(void **state)
{
    (void)state;
    assert_int_equal(pages_refill(pages, 1200, 5000), 1200);
    assert_int_equal(account_now().arenas_active, 3);
    check_source();
    /* And it ends when there are no more addresses. */
    uint64_t all = ARENAS * ARENA_PAGES - 1;
    assert_int_equal(pages_refill(pages, 100000, 100000), all - 1200);
    check_source();
    assert_int_equal(pages_refill(pages, 100000, 100000), 0);
}

static void refilling_stops_at_the_limit_and_leaves_nothing_charged(void **state)
{
    (void)state;
    budget_set_limit(&budget, 2 + 50);
    assert_int_equal(pages_refill(pages, 30, 1000), 30);
    pages_refill(pages, 300, 1000); /* What it gets of the 20 pages that are left is its affair. */
    assert_in_range(pages_free_resident(pages), 30, 50);
    assert_true(budget.used_pages <= 2 + 50);
    check_source();
    budget_set_limit(&budget, 1);
    assert_int_equal(pages_refill(pages, 300, 1000), 0);
}

static void refilling_that_gets_no_memory_changes_nothing(void **state)
{
    (void)state;
    alloc_movable(1);
    uint64_t used = budget.used_pages;
    memory_fail_after(0, true);
    assert_int_equal(pages_refill(pages, 40, 1000), 0);
    memory_fail_after(-1, false);
    assert_int_equal(budget.used_pages, used);
    check_source();
    madvise_refuse(MADV_POPULATE_WRITE, ENOMEM);
    assert_int_equal(pages_refill(pages, 40, 1000), 0);
    madvise_refuse(0, 0);
    assert_int_equal(budget.used_pages, used);
    assert_int_equal(pages_refill(pages, 40, 1000), 40);
}

static void trimming_keeps_as_many_as_it_is_told_and_gives_back_no_more_than_told(void **state)
{
    (void)state;
    assert_int_equal(pages_refill(pages, 200, 1000), 200);
    assert_int_equal(pages_trim(pages, 300, 1000), 0);
    assert_int_equal(pages_trim(pages, 150, 20), 20);
    assert_int_equal(pages_free_resident(pages), 180);
    check_source();
    assert_int_equal(pages_trim(pages, 150, 1000), 30);
    assert_int_equal(pages_free_resident(pages), 150);
    assert_int_equal(pages_trim(pages, 0, 0), 0);
    assert_int_equal(account_now().purged, 50);
}

static void trimming_starts_with_the_emptiest_arena(void **state)
{
    (void)state;
    static struct page_run run[2][ARENA_PAGES];
    for (unsigned i = 0; i < 2; i++) {
        unsigned count = fill_arena(run[i]);
        for (unsigned j = 0; j < count; j++)
            write_run(&run[i][j]);
    }
    for (unsigned j = 0; j < 100; j++)
        pages_free(pages, &run[0][j]);
    for (unsigned j = 0; j < 400; j++)
        pages_free(pages, &run[1][j]);
    assert_int_equal(pages_trim(pages, 0, 300), 300);
    assert_int_equal(pages->arenas[0].resident_count, 100);
    assert_int_equal(pages->arenas[1].resident_count, 100);
}

static void emptied_arenas_are_retired_with_their_words_and_used_again(void **state)
{
    (void)state;
    static struct page_run run[3][ARENA_PAGES];
    for (unsigned i = 0; i < 3; i++) {
        fill_arena(run[i]);
        for (unsigned j = 0; j < ARENA_PAGES - 1; j++)
            write_run(&run[i][j]);
    }
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < ARENA_PAGES - (i == 0); j++)
            pages_free(pages, &run[i][j]);
    pages_trim(pages, 0, 100000);
    struct pages_account account = account_now();
    assert_int_equal(account.arenas_active, 1); /* the guard's */
    assert_int_equal(account.arenas_retired, 2);
    assert_int_equal(budget.used_pages, account.word_pages + account.bookkeeping_pages);
    check_source();

    /* Used again for pages that stay: as good as new. */
    struct page_run again = alloc_run(4, PAGE_UNMOVABLE);
    assert_int_not_equal(arena_of(&again), 0);
    assert_true(arena_of(&again) < 3);
    assert_int_equal(again.resident, 0);
    assert_int_equal(account_now().arenas_retired, 1);
    assert_int_equal(pages_touch(pages, &again, 0xf), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(page_is_zero(again.first + i));
    write_run(&again);
}

static void arena_that_was_never_resident_is_retired_too_once_it_is_empty(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    fill_arena(run);
    struct page_run cold = alloc_movable(1);
    assert_int_equal(account_now().arenas_active, 2);
    pages_free(pages, &cold);
    pages_trim(pages, 0, 1000);
    assert_int_equal(account_now().arenas_active, 1);
    assert_int_equal(account_now().arenas_retired, 1);
}

static void arena_isolated_while_it_was_trimmed_is_retired_once_it_is_put_back(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    fill_arena(run);
    struct page_run warm = alloc_movable(5);
    write_run(&warm);
    pages_free(pages, &warm);
    assert_int_equal(pages_isolate(pages, 1, &isolated), 0);
    assert_int_equal(pages_trim(pages, 0, 1000), 5);
    assert_int_equal(account_now().arenas_active, 2);
    pages_putback(pages, &isolated);
    pages_trim(pages, 0, 1000);
    assert_int_equal(account_now().arenas_active, 1);
}

#define STEP_UNLISTED   "pages: arena unlisted"
#define STEP_DISCARDING "pages: free pages taken to be discarded"
#define STEP_POPULATING "pages: free pages taken to be populated"

static void *trim_all(void *context)
{
    (void)context;
    pages_trim(pages, 0, UINT64_MAX);
    return NULL;
}

static void *refill_100(void *context)
{
    (void)context;
    pages_refill(pages, 100, 100);
    return NULL;
}

static void words_that_the_system_does_not_take_back_stay_charged_until_it_does(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    fill_arena(run);
    struct page_run warm = alloc_movable(1);
    write_run(&warm);
    pages_free(pages, &warm);

    gates_begin();
    gate_close(STEP_UNLISTED);
    pthread_t thread = thread_start(trim_all, NULL);
    gate_await(STEP_UNLISTED);
    madvise_refuse(MADV_DONTNEED, ENOMEM);
    gate_open(STEP_UNLISTED);
    thread_join(thread);
    madvise_refuse(0, 0);
    check_source();
    /* The arena is of use all the same. */
    warm = alloc_movable(1);
    assert_int_equal(arena_of(&warm), 1);
    pages_free(pages, &warm);
}

static void pages_on_their_way_to_be_discarded_are_given_to_nobody(void **state)
{
    (void)state;
    assert_int_equal(pages_refill(pages, 10, 10), 10);
    gates_begin();
    gate_close(STEP_DISCARDING);
    pthread_t thread = thread_start(trim_all, NULL);
    gate_await(STEP_DISCARDING);
    for (unsigned page = 1; page <= 10; page++)
        assert_int_equal(type_of(page), MEM_DESC_RESERVED);
    struct page_run run = alloc_movable(PAGE_RUN_MAX);
    assert_int_equal(run.resident, 0);
    write_run(&run);
    gate_open(STEP_DISCARDING);
    thread_join(thread);
    for (unsigned i = 0; i < PAGE_RUN_MAX; i++)
        assert_true(page_has_its_content(run.first + i));
    for (unsigned page = 1; page <= 10; page++)
        assert_int_equal(type_of(page), MEM_DESC_OFFLINE);
}

static void pages_on_their_way_to_be_populated_are_given_to_nobody(void **state)
{
    (void)state;
    gates_begin();
    gate_close(STEP_POPULATING);
    pthread_t thread = thread_start(refill_100, NULL);
    gate_await(STEP_POPULATING);
    struct page_run run = alloc_movable(PAGE_RUN_MAX);
    assert_int_equal(run.resident, 0);
    write_run(&run);
    gate_open(STEP_POPULATING);
    thread_join(thread);
    assert_int_equal(pages_free_resident(pages), 100);
    for (unsigned i = 0; i < PAGE_RUN_MAX; i++)
        assert_true(page_has_its_content(run.first + i));
}

static void arena_emptied_while_it_is_being_trimmed_is_retired_once(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    fill_arena(run);
    struct page_run kept = alloc_movable(1), warm = alloc_movable(1);
    write_run(&kept);
    write_run(&warm);
    pages_free(pages, &warm);
    gates_begin();
    gate_close(STEP_DISCARDING);
    pthread_t thread = thread_start(trim_all, NULL);
    gate_await(STEP_DISCARDING);
    pages_free(pages, &kept);
    gate_open(STEP_DISCARDING);
    thread_join(thread);
    assert_int_equal(account_now().arenas_active, 1);
    assert_int_equal(account_now().arenas_retired, 1);
}

static void arena_that_is_being_retired_is_neither_taken_from_nor_isolated(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    fill_arena(run);
    struct page_run warm = alloc_movable(1);
    write_run(&warm);
    pages_free(pages, &warm);
    gates_begin();
    gate_close(STEP_UNLISTED);
    pthread_t thread = thread_start(trim_all, NULL);
    gate_await(STEP_UNLISTED);
    assert_int_equal(pages_isolate(pages, 1, &isolated), -EINVAL);
    struct page_run next = alloc_movable(1);
    assert_int_equal(arena_of(&next), 2);
    gate_open(STEP_UNLISTED);
    thread_join(thread);
    assert_int_equal(account_now().arenas_retired, 1);
}

/* ---- isolation ---- */

static void nothing_is_taken_from_an_isolated_arena_until_it_is_put_back(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(2);
    write_run(&run);
    assert_int_equal(pages_isolate(pages, 0, &isolated), 0);
    assert_true(is_isolated(0));
    struct page_run elsewhere = alloc_movable(1);
    assert_int_equal(arena_of(&elsewhere), 1);
    pages_refill(pages, 600, 1000);
    assert_int_equal(pages->arenas[0].resident_count, 0);
    pages_free(pages, &run); /* What is freed there stays there. */
    assert_int_equal(pages->arenas[0].resident_count, 2);
    check_source();
    pages_putback(pages, &isolated);
    assert_false(is_isolated(0));
    check_source();
    /* It is taken from as soon as the fuller one has no more. */
    while (arena_of(&elsewhere) == 1)
        elsewhere = alloc_movable(1);
    while (arena_of(&elsewhere) == 2)
        elsewhere = alloc_movable(1);
    assert_int_equal(arena_of(&elsewhere), 0);
}

static void arenas_that_cannot_be_isolated_are_refused_and_unchanged(void **state)
{
    (void)state;
    alloc_movable(1);
    alloc_run(1, PAGE_UNMOVABLE);
    struct list others;
    list_init(&others);
    assert_int_equal(pages_isolate(pages, 0, &isolated), 0);
    assert_int_equal(pages_isolate(pages, 0, &others), -EBUSY);
    assert_int_equal(pages_isolate(pages, 1, &others), -EPERM);
    assert_int_equal(pages_isolate(pages, 2, &others), -EINVAL);
    assert_int_equal(pages_isolate(pages, ARENAS, &others), -EINVAL);
    assert_int_equal(pages_isolate(pages, UINT64_MAX, &others), -EINVAL);
    assert_true(list_is_empty(&others));
    assert_false(is_isolated(1));
    pages_putback(pages, &others);
    assert_true(is_isolated(0));
    check_source();
    pages_putback(pages, &isolated);
    assert_true(list_is_empty(&isolated));
    pages_putback(pages, &isolated);
}

static void putting_back_leaves_the_arena_as_it_was(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(9);
    write_run(&run);
    struct pages_account before = account_now();
    struct arena arena = pages->arenas[0];
    assert_int_equal(pages_isolate(pages, 0, &isolated), 0);
    pages_putback(pages, &isolated);
    struct pages_account after = account_now();
    assert_memory_equal(&before, &after, sizeof after);
    assert_memory_equal(&arena, &pages->arenas[0], sizeof arena);
    assert_int_equal(alloc_movable(1).first, run.first + 9);
}

static void sparse_arena_is_the_one_with_most_free_pages_that_is_not_empty(void **state)
{
    (void)state;
    static struct page_run run[3][ARENA_PAGES];
    assert_int_equal(pages_sparse_arena(pages, 0), UINT64_MAX);
    for (unsigned i = 0; i < 3; i++)
        fill_arena(run[i]);
    assert_int_equal(pages_sparse_arena(pages, 1), UINT64_MAX);
    for (unsigned j = 0; j < 500; j++)
        pages_free(pages, &run[1][j]);
    for (unsigned j = 0; j < 505; j++)
        pages_free(pages, &run[2][j]);
    assert_int_equal(pages_sparse_arena(pages, 1), 2);
    assert_int_equal(pages_sparse_arena(pages, 505), 2);
    assert_int_equal(pages_sparse_arena(pages, 506), UINT64_MAX);
    assert_int_equal(pages_isolate(pages, 2, &isolated), 0);
    assert_int_equal(pages_sparse_arena(pages, 1), 1);
    pages_putback(pages, &isolated);
    for (unsigned j = 505; j < ARENA_PAGES; j++)
        pages_free(pages, &run[2][j]);
    assert_int_equal(pages_sparse_arena(pages, 1), 1);
}

/* ---- the validator ---- */

/* Runs it and expects a line with this text. */
static void expect_fault(const char *text)
{
    struct kept_report kept;
    kept_report_init(&kept);
    pages_validate(pages, &kept.report);
    assert_true(kept_report_says(&kept, text));
}

static void set_word(pfn page, struct mem_desc desc)
{
    atomic_store(&map->words[page], desc.word);
}

static void validator_names_what_is_wrong_where_and_what_it_expected(void **state)
{
    (void)state;
    struct page_run run = alloc_movable(20);
    write_run(&run);
    struct page_run given = {.first = run.first, .count = 4, .resident = 0xf};
    pages_free(pages, &given);
    check_source();
    struct mem_desc kept;

    kept = pages_desc(map, 2);
    set_word(2, mem_desc_plain(MEM_DESC_OFFLINE));
    expect_fault("pfn 2 is free but its mem_desc says offline (0x2), expected free");
    set_word(2, kept);

    kept = pages_desc(map, 300);
    set_word(300, mem_desc_plain(MEM_DESC_RAW));
    expect_fault("pfn 300 is free but its mem_desc says raw (0x6), expected offline");
    set_word(300, kept);

    kept = pages_desc(map, 10);
    set_word(10, mem_desc_plain(MEM_DESC_FREE));
    expect_fault("pfn 10 is taken but its mem_desc says free");
    set_word(10, mem_desc_plain(MEM_DESC_NONE));
    expect_fault("pfn 10 is taken but its mem_desc says none");
    set_word(10, kept);

    kept = pages_desc(map, 0);
    set_word(0, mem_desc_plain(MEM_DESC_RESERVED));
    expect_fault("pfn 0 is a guard but its mem_desc says reserved (0x3), expected guard");
    set_word(0, kept);

    struct arena *arena = &pages->arenas[0];
    bitmap_clear(arena->free, 400);
    expect_fault("arena 0: free_count differs from the free bits");
    bitmap_set(arena->free, 400);

    arena->longest_run = 3;
    expect_fault("arena 0: longest_run differs from the free bits");
    expect_fault("arena 0: not in the list of longest run 3");
    arena->longest_run = ARENA_RUN_MAX;

    uint16_t *filled = &pages->filled[PAGE_MOVABLE][ARENA_RUN_MAX];
    uint16_t bits = *filled;
    *filled = 0;
    expect_fault("arena 0: not in the list");
    *filled = bits | 1u << 5;
    expect_fault("movable arenas of longest run 32, fullness 5: their bit is 1, expected 0");
    *filled = bits;

    pages->owned_total++;
    expect_fault("owned_total is 17, expected 16");
    pages->owned_total--;
    atomic_fetch_sub(&pages->free_resident, 1);
    expect_fault("free_resident is 3, expected 4");
    atomic_fetch_add(&pages->free_resident, 1);
    pages->arenas_active++;
    expect_fault("arenas_active is 2, expected 1");
    pages->arenas_active--;
    check_source();
}

static void validator_finds_words_and_counts_of_retired_arenas_that_are_not_gone(void **state)
{
    (void)state;
    static struct page_run run[ARENA_PAGES];
    fill_arena(run);
    struct page_run warm = alloc_movable(1);
    write_run(&warm);
    pages_free(pages, &warm);
    pages_trim(pages, 0, 1000);
    assert_int_equal(account_now().arenas_retired, 1);
    pages->arenas_retired++;
    expect_fault("arenas_retired is 2, expected 1");
    pages->arenas_retired--;
    check_source();
}

#define source_test(test) cmocka_unit_test_setup_teardown(test, make_source, end_source)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        source_test(new_source_costs_nothing_that_is_resident),
        source_test(page_counts_out_of_range_return_einval_and_others_are_rounded_to_arenas),
        source_test(each_allocation_of_create_failing_in_turn_returns_enomem_and_leaves_nothing),
        source_test(destroying_with_owned_pages_gives_all_back_to_the_budget),
        source_test(first_page_is_a_guard_and_given_to_nobody),
        source_test(word_of_a_taken_run_is_reserved_until_described_and_offline_when_given_back),
        source_test(run_is_taken_from_the_fullest_arena_that_has_one),
        source_test(movable_pages_and_those_that_stay_are_in_different_arenas),
        source_test(all_addresses_taken_returns_enospc_and_an_empty_run),
        source_test(budget_without_room_for_an_arenas_bookkeeping_returns_enospc),
        source_test(injected_failures_of_alloc_and_touch_change_nothing),
        source_test(touching_charges_each_page_once),
        source_test(touching_beyond_the_limit_returns_enospc_and_makes_nothing_resident),
        source_test(freed_pages_stay_resident_and_are_taken_again_without_a_charge),
        source_test(discarding_gives_back_those_pages_and_no_others),
        source_test(longest_run_is_touched_and_discarded_whole),
        source_test(pages_that_the_system_does_not_take_back_stay_resident_and_charged),
        source_test(refilling_makes_pages_resident_that_are_taken_next),
        source_test(refilling_more_than_an_arena_goes_on_in_the_next),
        source_test(refilling_stops_at_the_limit_and_leaves_nothing_charged),
        source_test(refilling_that_gets_no_memory_changes_nothing),
        source_test(trimming_keeps_as_many_as_it_is_told_and_gives_back_no_more_than_told),
        source_test(trimming_starts_with_the_emptiest_arena),
        source_test(emptied_arenas_are_retired_with_their_words_and_used_again),
        source_test(arena_that_was_never_resident_is_retired_too_once_it_is_empty),
        source_test(arena_isolated_while_it_was_trimmed_is_retired_once_it_is_put_back),
        source_test(words_that_the_system_does_not_take_back_stay_charged_until_it_does),
        source_test(pages_on_their_way_to_be_discarded_are_given_to_nobody),
        source_test(pages_on_their_way_to_be_populated_are_given_to_nobody),
        source_test(arena_emptied_while_it_is_being_trimmed_is_retired_once),
        source_test(arena_that_is_being_retired_is_neither_taken_from_nor_isolated),
        source_test(nothing_is_taken_from_an_isolated_arena_until_it_is_put_back),
        source_test(arenas_that_cannot_be_isolated_are_refused_and_unchanged),
        source_test(putting_back_leaves_the_arena_as_it_was),
        source_test(sparse_arena_is_the_one_with_most_free_pages_that_is_not_empty),
        source_test(validator_names_what_is_wrong_where_and_what_it_expected),
        source_test(validator_finds_words_and_counts_of_retired_arenas_that_are_not_gone),
    };
    test_program_begin("pages-test");
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
