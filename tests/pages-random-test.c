/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages-random-test.c: the page source under random operations, by one thread against a plain
 * array, by several against each other.
 *
 * The plain array knows of every page who has it and whether it is resident. What the page source
 * does on its own (which free pages it makes resident or gives back) is read from its words, and
 * must add up with what the calls returned and with what the system says.
 */
#include "tests/support.h"

#include <errno.h>
#include <string.h>

#include "pages/pages_internal.h"

#define ARENAS   6
#define RUNS_MAX 400

static void line_is_a_fault(void *context, const char *line)
{
    (void)context;
    fault("%s", line);
}

/* ---- one thread, a model ---- */

struct model {
    struct budget budget;
    struct pages *pages;
    const struct page_map *map;
    struct rng rng;
    struct page_run run[RUNS_MAX];
    unsigned run_count;
    uint8_t taken[ARENAS * ARENA_PAGES];
    struct list isolated[ARENAS]; /* by the model: each has one arena or none */
};

static bool is_active(const struct model *model, unsigned arena)
{
    return model->pages->arenas[arena].state != ARENA_INACTIVE;
}

/* Whether the arena has `count` free neighbours, and how many pages of it are taken. */
static bool has_run(const struct model *model, unsigned arena, unsigned count, unsigned *taken)
{
    unsigned length = 0, longest = 0, guarded = arena == 0;
    *taken = 0;
    for (unsigned i = guarded; i < ARENA_PAGES; i++) {
        bool is_taken = model->taken[arena * ARENA_PAGES + i];
        *taken += is_taken;
        length = is_taken ? 0 : length + 1;
        longest = length > longest ? length : longest;
    }
    return longest >= count;
}

/* The fullness, in steps of 64 pages, of the fullest arena that could give the run; -1: none. */
static int best_fullness(const struct model *model, unsigned count, enum page_mobility mobility)
{
    int best = -1;
    for (unsigned arena = 0; arena < ARENAS; arena++) {
        unsigned taken;
        if (is_active(model, arena) && list_is_empty(&model->isolated[arena]) &&
            model->pages->arenas[arena].mobility == mobility &&
            has_run(model, arena, count, &taken) && (int)(taken + 63) / 64 > best)
            best = (int)(taken + 63) / 64;
    }
    return best;
}

static void model_alloc(struct model *model)
{
    if (model->run_count == RUNS_MAX)
        return;
    enum page_mobility mobility = rng_below(&model->rng, 8) == 0 ? PAGE_UNMOVABLE : PAGE_MOVABLE;
    unsigned count = 1 + rng_below(&model->rng, rng_below(&model->rng, 2) ? PAGE_RUN_MAX : 4);
    int best = best_fullness(model, count, mobility);
    struct page_run *run = &model->run[model->run_count];
    int error = pages_alloc(model->pages, count, mobility, run);
    if (error != 0) {
        if (error != -ENOSPC || best >= 0)
            fault("a run of %u could be had, but the result is %d", count, error);
        return;
    }
    unsigned arena = run->first / ARENA_PAGES, before;
    has_run(model, arena, count, &before);
    if (best >= 0 && (int)(before + 63) / 64 != best)
        fault("a run of %u is from an arena of fullness %u, expected %d", count, (before + 63) / 64,
              best);
    if (!list_is_empty(&model->isolated[arena]))
        fault("a run of %u is from arena %u, which is isolated", count, arena);
    for (unsigned i = 0; i < count; i++) {
        if (model->taken[run->first + i] || run->first + i == 0)
            fault("page %u was given twice", run->first + i);
        model->taken[run->first + i] = true;
    }
    model->run_count++;
}

static bool run_is_intact(const struct model *model, const struct page_run *run)
{
    for (unsigned i = 0; i < run->count; i++)
        if ((run->resident >> i & 1) &&
            !content_matches(pages_address(model->map, run->first + i), 64, run->first + i) &&
            *(const uint64_t *)pages_address(model->map, run->first + i) != 0)
            return false;
    return true;
}

static void model_touch(struct model *model, struct page_run *run)
{
    page_mask mask = (page_mask)rng_next(&model->rng) & page_run_mask(run->count);
    page_mask before = run->resident;
    int error = pages_touch(model->pages, run, mask);
    if (run->resident != (error == 0 ? before | mask : before))
        fault("pages %#x were touched of %#x, resident are now %#x", mask, before, run->resident);
    if (error != 0)
        return;
    for (unsigned i = 0; i < run->count; i++)
        if (mask >> i & 1)
            content_fill(pages_address(model->map, run->first + i), 64, run->first + i);
}

static void model_discard(struct model *model, struct page_run *run)
{
    page_mask mask = (page_mask)rng_next(&model->rng) & page_run_mask(run->count);
    page_mask gone = run->resident & mask, left = run->resident & ~mask;
    unsigned count = pages_discard(model->pages, run, mask);
    if (count != (unsigned)__builtin_popcount(gone) || run->resident != left)
        fault("pages %#x were discarded, %u gone, left are %#x", mask, count, run->resident);
}

static void model_free(struct model *model, unsigned index)
{
    struct page_run *run = &model->run[index];
    if (!run_is_intact(model, run))
        fault("pages %u to %u were written by somebody else", run->first,
              run->first + run->count - 1);
    pages_free(model->pages, run);
    for (unsigned i = 0; i < run->count; i++)
        model->taken[run->first + i] = false;
    *run = model->run[--model->run_count];
}

static void model_isolate(struct model *model)
{
    unsigned arena = rng_below(&model->rng, ARENAS);
    if (!list_is_empty(&model->isolated[arena])) {
        pages_putback(model->pages, &model->isolated[arena]);
        return;
    }
    int expected = !is_active(model, arena)                               ? -EINVAL
                   : model->pages->arenas[arena].mobility != PAGE_MOVABLE ? -EPERM
                                                                          : 0;
    int error = pages_isolate(model->pages, arena, &model->isolated[arena]);
    if (error != expected)
        fault("arena %u: isolating it returned %d, expected %d", arena, error, expected);
}

static void model_trim(struct model *model)
{
    uint64_t before = pages_free_resident(model->pages);
    uint64_t keep = rng_below(&model->rng, 300), max = rng_below(&model->rng, 500);
    uint64_t trimmed = pages_trim(model->pages, keep, max);
    uint64_t expected = before > keep ? before - keep : 0;
    if (trimmed != (expected < max ? expected : max))
        fault("%llu pages were trimmed of %llu, to keep %llu, at most %llu",
              (unsigned long long)trimmed, (unsigned long long)before, (unsigned long long)keep,
              (unsigned long long)max);
    if (pages_free_resident(model->pages) != before - trimmed)
        fault("the reserve is not what was left");
}

static void model_refill(struct model *model)
{
    uint64_t before = pages_free_resident(model->pages);
    uint64_t target = rng_below(&model->rng, 300), max = rng_below(&model->rng, 300);
    uint64_t refilled = pages_refill(model->pages, target, max);
    if (pages_free_resident(model->pages) != before + refilled)
        fault("the reserve is not what was refilled");
    if (refilled > max || (refilled > 0 && before + refilled > target))
        fault("more was refilled than was asked for");
}

/* Everything against the array and the system. */
static void model_check(struct model *model)
{
    struct report report = {.line = line_is_a_fault};
    pages_validate(model->pages, &report);

    struct pages_account account;
    pages_account(model->pages, &account);
    uint64_t owned = 0, resident = 0;
    for (unsigned i = 0; i < model->run_count; i++) {
        owned += model->run[i].count;
        resident += (unsigned)__builtin_popcount(model->run[i].resident);
        if (!run_is_intact(model, &model->run[i]))
            fault("run at page %u has lost its content", model->run[i].first);
    }
    if (account.owned_total != owned || account.owned_resident != resident)
        fault("the account says %llu owned, %llu resident; the model %llu, %llu",
              (unsigned long long)account.owned_total, (unsigned long long)account.owned_resident,
              (unsigned long long)owned, (unsigned long long)resident);
    struct resident_pages system = resident_pages(model->map, ARENAS);
    if (system.pool != account.owned_resident + account.free_resident)
        fault("the system says %llu pages are resident, the account %llu + %llu",
              (unsigned long long)system.pool, (unsigned long long)account.owned_resident,
              (unsigned long long)account.free_resident);
    if (system.words != account.word_pages)
        fault("the system says %llu pages of words are resident, the account %llu",
              (unsigned long long)system.words, (unsigned long long)account.word_pages);
    uint64_t used = atomic_load(&model->budget.used_pages);
    if (used != system.pool + system.words + account.bookkeeping_pages)
        fault("the budget says %llu pages", (unsigned long long)used);
}

static void model_step(struct model *model)
{
    struct page_run *run =
        model->run_count > 0 ? &model->run[rng_below(&model->rng, model->run_count)] : NULL;
    switch (rng_below(&model->rng, 16)) {
    case 0:
        model_trim(model);
        break;
    case 1:
        model_refill(model);
        break;
    case 2:
        model_isolate(model);
        break;
    case 3:
        budget_set_limit(&model->budget, rng_below(&model->rng, 2)
                                             ? UINT64_MAX
                                             : 10 + rng_below(&model->rng, 2500));
        break;
    case 4:
    case 5:
        if (run != NULL)
            model_discard(model, run);
        break;
    case 6:
    case 7:
    case 8:
        if (run != NULL)
            model_touch(model, run);
        break;
    case 9:
    case 10:
    case 11:
        if (run != NULL)
            model_free(model, (unsigned)(run - model->run));
        break;
    default:
        model_alloc(model);
        break;
    }
}

static void random_operations_agree_with_a_plain_array_and_with_the_system(void **state)
{
    (void)state;
    static struct model model;
    for (unsigned round = 0; round < 8; round++) {
        model = (struct model){.rng = rng_of_stream(100 + round)};
        budget_init(&model.budget, UINT64_MAX);
        assert_int_equal(pages_create(ARENAS * ARENA_PAGES, &model.budget, &model.pages), 0);
        model.map = pages_map(model.pages);
        for (unsigned arena = 0; arena < ARENAS; arena++)
            list_init(&model.isolated[arena]);
        for (unsigned i = scaled(5000); i > 0; i--) {
            model_step(&model);
            if (i % 64 == 0)
                model_check(&model);
        }
        while (model.run_count > 0)
            model_free(&model, model.run_count - 1);
        model_check(&model);
        /* With nobody left, all but the guard's arena goes back to the system. */
        for (unsigned arena = 0; arena < ARENAS; arena++)
            pages_putback(model.pages, &model.isolated[arena]);
        pages_trim(model.pages, 0, UINT64_MAX);
        model_check(&model);
        struct pages_account account;
        pages_account(model.pages, &account);
        assert_in_range(account.arenas_active, 0, 1);
        pages_destroy(model.pages);
        assert_int_equal(model.budget.used_pages, 0);
        assert_no_faults();
    }
}

/* ---- several threads ---- */

#define WRITERS         3
#define RUNS_PER_WRITER 60

struct shared {
    struct budget budget;
    struct pages *pages;
    const struct page_map *map;
    _Atomic uint8_t owner[ARENAS * ARENA_PAGES];
    _Atomic bool is_over;
};

struct writer {
    struct shared *shared;
    unsigned number; /* from 1 */
};

static void claim(struct shared *shared, const struct page_run *run, uint8_t from, uint8_t to)
{
    for (unsigned i = 0; i < run->count; i++)
        if (atomic_exchange(&shared->owner[run->first + i], to) != from)
            fault("page %u is in two hands", run->first + i);
}

static void write_pages(const struct shared *shared, const struct page_run *run, page_mask mask,
                        uint64_t content)
{
    for (unsigned i = 0; i < run->count; i++)
        if (mask >> i & 1)
            content_fill(pages_address(shared->map, run->first + i), 256, content + i);
}

static void check_pages(const struct shared *shared, const struct page_run *run, uint64_t content)
{
    for (unsigned i = 0; i < run->count; i++)
        if ((run->resident >> i & 1) &&
            !content_matches(pages_address(shared->map, run->first + i), 256, content + i))
            fault("page %u has been written by somebody else", run->first + i);
}

static void *take_write_give(void *context)
{
    struct writer *writer = context;
    struct shared *shared = writer->shared;
    struct rng rng = rng_of_stream(200 + writer->number);
    struct page_run run[RUNS_PER_WRITER] = {0};
    for (unsigned i = scaled(30000); i > 0; i--) {
        unsigned slot = rng_below(&rng, RUNS_PER_WRITER);
        uint64_t content = (uint64_t)writer->number << 32 | slot << 8;
        struct page_run *mine = &run[slot];
        if (mine->count == 0) {
            unsigned count = 1 + rng_below(&rng, PAGE_RUN_MAX);
            if (pages_alloc(shared->pages, count, PAGE_MOVABLE, mine) != 0)
                continue;
            claim(shared, mine, 0, (uint8_t)writer->number);
            /* What is resident already is anybody's old bytes: mark it as ours. */
            write_pages(shared, mine, mine->resident, content);
        }
        check_pages(shared, mine, content);
        page_mask mask = (page_mask)rng_next(&rng) & page_run_mask(mine->count);
        if (pages_touch(shared->pages, mine, mask) == 0)
            write_pages(shared, mine, mask, content);
        if (rng_below(&rng, 4) == 0)
            pages_discard(shared->pages, mine, (page_mask)rng_next(&rng));
        if (rng_below(&rng, 2) == 0) {
            check_pages(shared, mine, content);
            claim(shared, mine, (uint8_t)writer->number, 0);
            pages_free(shared->pages, mine);
            *mine = (struct page_run){0};
        }
    }
    for (unsigned slot = 0; slot < RUNS_PER_WRITER; slot++)
        if (run[slot].count > 0) {
            claim(shared, &run[slot], (uint8_t)writer->number, 0);
            pages_free(shared->pages, &run[slot]);
        }
    return NULL;
}

static void *refill_trim_isolate(void *context)
{
    struct shared *shared = context;
    struct rng rng = rng_of_stream(300);
    struct list isolated;
    list_init(&isolated);
    while (!atomic_load(&shared->is_over)) {
        uint64_t arena = rng_below(&rng, ARENAS);
        switch (rng_below(&rng, 3)) {
        case 0:
            pages_refill(shared->pages, 200, 100);
            break;
        case 1:
            pages_trim(shared->pages, rng_below(&rng, 100), 300);
            break;
        default:
            if (pages_isolate(shared->pages, arena, &isolated) == 0) {
                pages_trim(shared->pages, 0, 50);
                pages_putback(shared->pages, &isolated);
            }
            break;
        }
        struct pages_account account;
        pages_account(shared->pages, &account);
        if (account.owned_total > ARENAS * ARENA_PAGES || account.arenas_active > ARENAS)
            fault("the account is impossible");
    }
    return NULL;
}

static void threads_never_have_a_page_in_two_hands_and_leave_nothing(void **state)
{
    (void)state;
    static struct shared shared;
    shared = (struct shared){0};
    budget_init(&shared.budget, 2000);
    assert_int_equal(pages_create(ARENAS * ARENA_PAGES, &shared.budget, &shared.pages), 0);
    shared.map = pages_map(shared.pages);
    struct writer writer[WRITERS];
    pthread_t thread[WRITERS], background;
    for (unsigned i = 0; i < WRITERS; i++) {
        writer[i] = (struct writer){&shared, i + 1};
        thread[i] = thread_start(take_write_give, &writer[i]);
    }
    background = thread_start(refill_trim_isolate, &shared);
    for (unsigned i = 0; i < WRITERS; i++)
        thread_join(thread[i]);
    atomic_store(&shared.is_over, true);
    thread_join(background);

    struct report report = {.line = line_is_a_fault};
    pages_validate(shared.pages, &report);
    pages_trim(shared.pages, 0, UINT64_MAX);
    struct pages_account account;
    pages_account(shared.pages, &account);
    assert_int_equal(account.owned_total, 0);
    assert_int_equal(account.owned_resident, 0);
    assert_int_equal(account.free_resident, 0);
    assert_in_range(account.arenas_active, 0, 1);
    assert_int_equal(shared.budget.used_pages, account.word_pages + account.bookkeeping_pages);
    assert_int_equal(resident_pages(shared.map, ARENAS).pool, 0);
    pages_destroy(shared.pages);
    assert_int_equal(shared.budget.used_pages, 0);
    assert_no_faults();
}

/* ---- words ---- */

#define HANDOVERS 3000

struct handover {
    struct pages *pages;
    const struct page_map *map;
    _Atomic pfn page; /* where to look; no order goes with it: the word's own must do */
};

/* Waits for each page's word to say what it should, and believes its bytes, which are not atomic.
 */
static void *believe_words(void *context)
{
    struct handover *handover = context;
    for (unsigned i = scaled(HANDOVERS); i > 0; i--) {
        pfn page;
        wait_until((page = atomic_load_explicit(&handover->page, memory_order_relaxed)) != 0);
        struct mem_desc desc;
        wait_until(mem_desc_type(desc = pages_desc(handover->map, page)) == MEM_DESC_RAW);
        if (!content_matches(pages_address(handover->map, page), 256, mem_desc_value(desc)))
            fault("page %u has other bytes than its word promised", page);
        atomic_store_explicit(&handover->page, 0, memory_order_release);
    }
    return NULL;
}

static void what_was_written_before_a_word_is_seen_by_who_reads_the_word(void **state)
{
    (void)state;
    struct budget budget;
    struct handover handover = {0};
    budget_init(&budget, UINT64_MAX);
    assert_int_equal(pages_create(ARENAS * ARENA_PAGES, &budget, &handover.pages), 0);
    handover.map = pages_map(handover.pages);
    pthread_t reader = thread_start(believe_words, &handover);
    for (unsigned i = scaled(HANDOVERS); i > 0; i--) {
        struct page_run run;
        struct mem_desc desc;
        assert_int_equal(pages_alloc(handover.pages, 1, PAGE_MOVABLE, &run), 0);
        assert_int_equal(pages_touch(handover.pages, &run, 1), 0);
        atomic_store_explicit(&handover.page, run.first, memory_order_relaxed);
        content_fill(pages_address(handover.map, run.first), 256, i);
        assert_true(mem_desc_pack_value(MEM_DESC_RAW, i, &desc));
        pages_describe(handover.pages, &run, desc);
        wait_until(atomic_load_explicit(&handover.page, memory_order_acquire) == 0);
        pages_free(handover.pages, &run);
    }
    thread_join(reader);
    pages_destroy(handover.pages);
    assert_no_faults();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_plain_array_and_with_the_system),
        cmocka_unit_test(threads_never_have_a_page_in_two_hands_and_leave_nothing),
        cmocka_unit_test(what_was_written_before_a_word_is_seen_by_who_reads_the_word),
    };
    test_program_begin("pages-random-test");
    return cmocka_run_group_tests_name("pages-random", tests, NULL, NULL);
}
