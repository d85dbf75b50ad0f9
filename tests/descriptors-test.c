/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * descriptors-test.c: type-stable memory (descriptors.h), and what it is for: threads that walk
 * mem_desc words and descriptors without any lock, as a compaction scanner does, while others
 * allocate, free, move, isolate and give memory back.
 *
 *      walker                                       what it may rely on
 *      a word says zsmalloc and an address          that is a descriptor of the pool's cache, now
 * and for as long as the pool lives state, class_index, first of it              are values that
 * such a descriptor can have a page said DESCRIPTOR once                  it says so for ever, and
 * its descriptors can be read, free ones too
 *
 * What a walker reads may be of an earlier or a later zspage of that descriptor. The word being the
 * same before and after does not prove otherwise: the zspage may have gone and another come to the
 * same page with the same descriptor. Only the class's lock does (zs_isolate), so walkers isolate
 * some of what they find.
 */
#include "tests/support.h"

#include <errno.h>
#include <string.h>

#include "common/memory.h"
#include "pages/descriptors.h"
#include "zpool/zsmalloc/zsmalloc.h"

/* ---- the cache ---- */

struct thing {
    uint64_t chain; /* the cache's while it is free */
    uint64_t value;
    uint64_t more[4];
};

#define THINGS_PER_PAGE (PAGE_SIZE_BYTES / sizeof(struct thing))

static struct budget budget;
static struct pages *pages;
static struct descriptors cache;

static int make_cache(void **state)
{
    (void)state;
    budget_init(&budget, UINT64_MAX);
    assert_int_equal(pages_create(16 * ARENA_PAGES, &budget, &pages), 0);
    descriptors_init(&cache, pages, sizeof(struct thing));
    return 0;
}

static int end_cache(void **state)
{
    (void)state;
    pages_destroy(pages);
    assert_int_equal(budget.used_pages, 0);
    assert_no_faults();
    return 0;
}

static pfn page_of(const void *descriptor)
{
    return (pfn)(((uintptr_t)descriptor - (uintptr_t)pages_map(pages)->base) >> PAGE_SHIFT);
}

static void new_descriptors_are_zero_aligned_and_in_pages_that_say_so(void **state)
{
    (void)state;
    uint64_t bytes, used;
    for (unsigned i = 0; i < 3 * THINGS_PER_PAGE; i++) {
        struct thing *thing = descriptors_alloc(&cache);
        assert_non_null(thing);
        assert_int_equal((uintptr_t)thing % MEM_DESC_ALIGNMENT, 0);
        assert_int_equal(thing->value | thing->more[0] | thing->more[3], 0);
        struct mem_desc desc = pages_desc(pages_map(pages), page_of(thing));
        assert_int_equal(mem_desc_type(desc), MEM_DESC_DESCRIPTOR);
        assert_ptr_equal(mem_desc_pointer(desc), &cache);
        assert_true(descriptors_has(&cache, thing));
        assert_false(descriptors_has(&cache, (char *)thing + MEM_DESC_ALIGNMENT));
        thing->value = i + 1;
        descriptors_statistics(&cache, &bytes, &used);
        assert_int_equal(used, i + 1);
        assert_int_equal(bytes, (i / THINGS_PER_PAGE + 1) * PAGE_SIZE_BYTES);
    }
    assert_false(descriptors_has(&cache, NULL));
    assert_false(descriptors_has(&cache, &cache));
    assert_false(descriptors_has(&cache, pages_map(pages)->base));
}

static void freed_descriptor_keeps_its_content_but_for_the_chain(void **state)
{
    (void)state;
    struct thing *thing = descriptors_alloc(&cache), *other = descriptors_alloc(&cache);
    thing->value = 5;
    thing->more[3] = 6;
    descriptors_free(&cache, other);
    descriptors_free(&cache, thing);
    assert_int_equal(thing->value, 5);
    assert_int_equal(thing->more[3], 6);
    struct thing *again = descriptors_alloc(&cache);
    assert_ptr_equal(again, thing);
    assert_int_equal(again->value, 5);
}

static void freed_descriptors_are_used_before_a_new_page_is(void **state)
{
    (void)state;
    struct thing *thing[2 * THINGS_PER_PAGE];
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < array_count(thing); i++) {
            thing[i] = descriptors_alloc(&cache);
            thing[i]->value = i;
        }
        for (size_t i = 0; i < array_count(thing); i++)
            assert_int_equal(thing[i]->value, i); /* None was given twice. */
        for (size_t i = 0; i < array_count(thing); i++)
            descriptors_free(&cache, thing[i]);
        assert_int_equal(cache.page_count, 2);
        assert_int_equal(cache.used_count, 0);
    }
}

static void without_a_page_there_is_no_descriptor_and_nothing_is_left_behind(void **state)
{
    (void)state;
    assert_non_null(descriptors_alloc(&cache));
    for (unsigned i = 1; i < THINGS_PER_PAGE; i++)
        assert_non_null(descriptors_alloc(&cache));
    struct pages_account before, after;
    pages_account(pages, &before);
    for (long failing = 0; failing < 2; failing++) {
        memory_fail_after(failing, false);
        assert_null(descriptors_alloc(&cache));
        assert_int_equal(memory_fail_after(-1, false), failing + 1);
        pages_account(pages, &after);
        assert_memory_equal(&before, &after, sizeof after);
    }
    budget_set_limit(&budget, budget.used_pages);
    assert_null(descriptors_alloc(&cache));
    budget_set_limit(&budget, UINT64_MAX);
    assert_non_null(descriptors_alloc(&cache));
}

#define TAKERS        3
#define TAKEN_AT_ONCE 200

static void *take_and_give(void *context)
{
    struct rng rng = rng_of_stream(700 + *(unsigned *)context);
    struct thing *thing[TAKEN_AT_ONCE] = {0};
    for (unsigned i = scaled(100000); i > 0; i--) {
        unsigned slot = rng_below(&rng, TAKEN_AT_ONCE);
        uint64_t mark = (uint64_t)(uintptr_t)&thing[slot];
        if (thing[slot] == NULL) {
            thing[slot] = descriptors_alloc(&cache);
            thing[slot]->value = mark;
        } else {
            if (thing[slot]->value != mark)
                fault("a descriptor is in two hands");
            descriptors_free(&cache, thing[slot]);
            thing[slot] = NULL;
        }
    }
    for (unsigned slot = 0; slot < TAKEN_AT_ONCE; slot++)
        if (thing[slot] != NULL)
            descriptors_free(&cache, thing[slot]);
    return NULL;
}

static void threads_never_have_a_descriptor_in_two_hands(void **state)
{
    (void)state;
    pthread_t thread[TAKERS];
    unsigned number[TAKERS];
    for (unsigned i = 0; i < TAKERS; i++) {
        number[i] = i;
        thread[i] = thread_start(take_and_give, &number[i]);
    }
    for (unsigned i = 0; i < TAKERS; i++)
        thread_join(thread[i]);
    assert_int_equal(cache.used_count, 0);
    /* Two threads that find the cache empty may each cut a page. */
    assert_in_range(cache.page_count, 1, TAKERS * TAKEN_AT_ONCE / THINGS_PER_PAGE + 1 + TAKERS);
    assert_no_faults();
}

/* ---- walkers ---- */

#define ARENAS  24
#define BLOCKS  3000
#define WORKERS 2

struct walk {
    struct test_pool pool;
    _Atomic bool is_over;
    bool was_descriptors[ARENAS * ARENA_PAGES]; /* the walker's */
};

static struct walk walk;

static void look_at_descriptor(const struct zs_pool *zs, const struct zspage *zspage)
{
    unsigned state = zpdesc_state(&zspage->desc), class = zpdesc_class(&zspage->desc);
    pfn first = zpdesc_first(&zspage->desc);
    if (state > ZPDESC_ISOLATED)
        fault("a descriptor has state %u", state);
    if (class >= zs_class_count(zs))
        fault("a descriptor is of class %u", class);
    if (first >= zs->pool.map.page_count)
        fault("a descriptor is of pfn %u", first);
}

/* A page that holds descriptors: each of them, free ones too, can be looked at. */
static void look_at_descriptors_of(const struct zs_pool *zs, pfn page)
{
    const char *start = pages_address(&zs->pool.map, page);
    for (size_t at = 0; at + sizeof(struct zspage) <= PAGE_SIZE_BYTES; at += sizeof(struct zspage))
        look_at_descriptor(zs, (const void *)(start + at));
}

static void look_at_page(struct zs_pool *zs, pfn page)
{
    struct mem_desc desc = pages_desc(&zs->pool.map, page);
    enum mem_desc_type type = mem_desc_type(desc);
    if (walk.was_descriptors[page] && type != MEM_DESC_DESCRIPTOR)
        fault("pfn %u held descriptors, and says %s now", page, mem_desc_type_name(type));
    switch (type) {
    case MEM_DESC_NONE:
    case MEM_DESC_FREE:
    case MEM_DESC_OFFLINE:
    case MEM_DESC_RESERVED:
        break;
    case MEM_DESC_GUARD:
        if (page != 0)
            fault("pfn %u is a guard", page);
        break;
    case MEM_DESC_RAW:
        if (mem_desc_value(desc) >= BLOCKS)
            fault("raw pfn %u is of block %llu", page, (unsigned long long)mem_desc_value(desc));
        break;
    case MEM_DESC_DESCRIPTOR:
        if (mem_desc_pointer(desc) != &zs->zspages)
            fault("pfn %u holds descriptors of nobody", page);
        walk.was_descriptors[page] = true;
        look_at_descriptors_of(zs, page);
        break;
    case MEM_DESC_ZSMALLOC:
        if (!descriptors_has(&zs->zspages, mem_desc_pointer(desc)))
            fault("pfn %u says zsmalloc %p, which is no zspage", page, mem_desc_pointer(desc));
        else
            look_at_descriptor(zs, mem_desc_pointer(desc));
        break;
    default:
        fault("pfn %u says %s", page, mem_desc_type_name(type));
        break;
    }
}

/* Look, check, go: what is isolated is what the page belongs to, as long as it is. */
static void isolate_page(struct zs_pool *zs, pfn page)
{
    struct list isolated;
    list_init(&isolated);
    const struct zpool_driver *driver = zs->pool.driver;
    if (driver->isolate(&zs->pool, page, &isolated) != 1)
        return;
    struct zspage *zspage = container_of(isolated.next, struct zspage, desc.list);
    pfn first = zpdesc_first(&zspage->desc);
    if (zpdesc_state(&zspage->desc) != ZPDESC_ISOLATED || page < first ||
        page >= first + zspage->desc.count || zspage_of_page(zs, page) != zspage)
        fault("pfn %u was isolated as part of another zspage", page);
    driver->putback(&zs->pool, &zspage->desc);
}

static void *walk_all_words(void *context)
{
    (void)context;
    struct zs_pool *zs = zs_pool_of(walk.pool.zpool);
    struct rng rng = rng_of_stream(800);
    while (!atomic_load(&walk.is_over)) {
        for (pfn page = 0; page < ARENAS * ARENA_PAGES; page++)
            look_at_page(zs, page);
        for (unsigned i = 0; i < 200; i++)
            isolate_page(zs, rng_below(&rng, ARENAS * ARENA_PAGES));
    }
    return NULL;
}

/* Zspages come and go: all of a class, then all of another, at the same places. */
static void *write_and_drop(void *context)
{
    unsigned number = *(unsigned *)context;
    struct rng rng = rng_of_stream(810 + number);
    block_no share = BLOCKS / WORKERS, start = number * share;
    for (unsigned round = scaled(400); round > 0; round--) {
        size_t length = rng_size(&rng);
        block_no count = 1 + rng_below(&rng, share);
        for (block_no block = start; block < start + count; block++)
            if (block_write(&walk.pool, block, length, block) != 0)
                fault("block %u could not be written", block);
        for (block_no block = start; block < start + count; block++)
            if (rng_below(&rng, 8) != 0)
                block_drop(&walk.pool, block);
    }
    return NULL;
}

static void *move_and_purge(void *context)
{
    (void)context;
    struct rng rng = rng_of_stream(820);
    while (!atomic_load(&walk.is_over)) {
        struct zpool_quota quota = {.objects = 500};
        zpool_compact(walk.pool.zpool, &quota);
        zpool_settle(walk.pool.zpool, &quota);
        pfn first = rng_below(&rng, ARENAS) * ARENA_PAGES;
        int error = zpool_migrate(walk.pool.zpool, first, ARENA_PAGES, &quota);
        if (error != 0 && error != -EAGAIN && error != -EPERM && error != -ENOSPC)
            fault("migrating returned %d", error);
        pages_trim(walk.pool.pages, 0, UINT64_MAX);
    }
    return NULL;
}

static void walkers_without_locks_see_only_memory_of_the_right_type(void **state)
{
    (void)state;
    memset(&walk, 0, sizeof walk);
    test_pool_make(&walk.pool, &(struct test_pool_options){.driver = &zsmalloc_driver,
                                                           .arenas = ARENAS,
                                                           .block_count = BLOCKS});
    pthread_t worker[WORKERS];
    unsigned number[WORKERS];
    pthread_t walker = thread_start(walk_all_words, NULL);
    pthread_t mover = thread_start(move_and_purge, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        number[i] = i;
        worker[i] = thread_start(write_and_drop, &number[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        thread_join(worker[i]);
    atomic_store(&walk.is_over, true);
    thread_join(walker);
    thread_join(mover);
    test_pool_check(&walk.pool);
    test_pool_end(&walk.pool);
}

#define cache_test(test) cmocka_unit_test_setup_teardown(test, make_cache, end_cache)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cache_test(new_descriptors_are_zero_aligned_and_in_pages_that_say_so),
        cache_test(freed_descriptor_keeps_its_content_but_for_the_chain),
        cache_test(freed_descriptors_are_used_before_a_new_page_is),
        cache_test(without_a_page_there_is_no_descriptor_and_nothing_is_left_behind),
        cache_test(threads_never_have_a_descriptor_in_two_hands),
        cmocka_unit_test(walkers_without_locks_see_only_memory_of_the_right_type),
    };
    test_program_begin("descriptors-test");
    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
