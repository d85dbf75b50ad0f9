/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpool-races-test.c: races between who moves an object and who uses it, replayed on purpose, for
 * every driver and for raw pages.
 *
 *      mover      zpool_migrate of the arena that block 0 is in, in a thread of its own
 *      step       where the mover is stopped: "owner locked for a move", "object copied" (both with
 *                 block 0's lock held), "object moved" (unlocked, the old place not yet given back)
 *      user       reads, overwrites, rewrites in place or frees block 0 meanwhile
 *
 * A user that has to wait for the mover is known to wait (struct block counts those who do) before
 * the mover may go on. The steps are the drivers' own, so their names begin with who names them.
 */
#include "tests/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/list.h"
#include "common/memory.h"
#include "zpool/zpdesc.h"

static struct test_pool pool;

/* Who moves an object of that length, as the names of steps say it. */
static const char *mover_of(size_t length)
{
    if (length > pool.zpool->object_max_bytes)
        return "raw";
    return strcmp(pool.zpool->driver->name, "zsmalloc") == 0 ? "zsmalloc" : "chunked";
}

/* "zsmalloc: object copied"; valid until the next call with the same `what`. */
static const char *step_of(size_t length, const char *what)
{
    static char names[4][64];
    static unsigned next;
    char *name = names[next++ % array_count(names)];
    snprintf(name, sizeof names[0], "%s: %s", mover_of(length), what);
    return name;
}

static pfn arena_start_of(block_no block)
{
    return zpool_handle_page(block_object(&pool, block)) / ARENA_PAGES * ARENA_PAGES;
}

static void *migrate(void *context)
{
    pfn first = *(const pfn *)context;
    int error = zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT);
    if (error != 0 && error != -EAGAIN)
        fault("migrating returned %d", error);
    return NULL;
}

static void *migrate_wholly(void *context)
{
    pfn first = *(const pfn *)context;
    int error = zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT);
    if (error != 0)
        fault("migrating returned %d", error);
    return NULL;
}

/* Does something with block 0, which has that length. */
typedef void *user(void *context);

static void *read_it(void *context)
{
    (void)context;
    block_read(&pool, 0);
    return NULL;
}

static void *drop_it(void *context)
{
    (void)context;
    block_drop(&pool, 0);
    return NULL;
}

static void *overwrite_it(void *context)
{
    const size_t *length = context;
    if (block_write(&pool, 0, *length, 1001) != 0)
        fault("block 0 could not be written");
    return NULL;
}

static void *overwrite_it_under_its_lock(void *context)
{
    const size_t *length = context;
    if (block_write_locked(&pool, 0, *length, 1002) != 0)
        fault("block 0 could not be written");
    return NULL;
}

static void *overwrite_it_with_another_length(void *context)
{
    const size_t *length = context;
    if (block_write_locked(&pool, 0, *length / 2, 1003) != 0)
        fault("block 0 could not be written");
    return NULL;
}

static void *rewrite_it_in_place(void *context)
{
    const size_t *length = context;
    if (!block_rewrite(&pool, 0, *length, 1004))
        fault("block 0 could not be rewritten in place");
    return NULL;
}

/* All of them begin with the block's lock; overwrite_it begins with the driver's. */
static user *const users[] = {
    read_it,
    drop_it,
    overwrite_it_under_its_lock,
    overwrite_it_with_another_length,
    rewrite_it_in_place,
};

static const size_t lengths[] = {600, 3000, PAGE_SIZE_BYTES};

static void make_pool(void **state, size_t length)
{
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    for (block_no block = 0; block < 40; block++)
        assert_int_equal(block_write(&pool, block, length, block), 0);
    gates_begin();
}

static void end_pool(void)
{
    gates_end();
    test_pool_check(&pool);
    /* What was left behind can be moved as anything else, and nothing is left of it. */
    for (block_no block = 0; block < 40; block++)
        if (block_object(&pool, block).position != 0)
            assert_int_equal(
                zpool_migrate(pool.zpool, arena_start_of(block), ARENA_PAGES, NO_LIMIT), 0);
    test_pool_check(&pool);
    for (block_no block = 0; block < 40; block++)
        block_drop(&pool, block);
    zpool_settle(pool.zpool, NO_LIMIT);
    struct pages_account account;
    struct zpool_statistics statistics;
    pages_account(pool.pages, &account);
    zpool_statistics(pool.zpool, &statistics);
    assert_int_equal(account.owned_total * PAGE_SIZE_BYTES, statistics.descriptor_bytes);
    test_pool_end(&pool);
}

/* ---- a mover is stopped, a user comes ---- */

/* The mover holds block 0's lock: the user waits, and finds all well at the new place. */
static void race_with_a_mover_that_holds_the_lock(void **state, const char *what)
{
    for (size_t i = 0; i < array_count(lengths); i++)
        for (size_t j = 0; j < array_count(users); j++) {
            size_t length = lengths[i];
            make_pool(state, length);
            pfn first = arena_start_of(0);
            struct zpool_handle before = block_object(&pool, 0);
            /* Only block 0 is there to be moved. */
            for (block_no block = 1; block < 40; block++)
                block_drop(&pool, block);
            const char *step = step_of(length, what);
            gate_close(step);
            pthread_t mover = thread_start(migrate, &first);
            gate_await(step);
            pthread_t uses = thread_start(users[j], &length);
            wait_until(atomic_load(&pool.block[0].waiting) == 1);
            gate_open(step);
            thread_join(mover);
            thread_join(uses);
            assert_int_not_equal(block_object(&pool, 0).position, before.position);
            end_pool();
        }
}

static void whoever_uses_a_block_whose_lock_the_mover_has_taken_waits_and_finds_it(void **state)
{
    race_with_a_mover_that_holds_the_lock(state, "owner locked for a move");
}

static void whoever_uses_a_block_that_was_copied_but_not_published_waits_and_finds_it(void **state)
{
    race_with_a_mover_that_holds_the_lock(state, "object copied");
}

/*
 * The new place is published, the old one not yet given back: who reads or rewrites the block can
 * do so at once. To free it takes the driver's lock, which the mover of an object still has: who
 * frees it gets as far as having taken it out.
 */
static void whoever_uses_a_block_that_was_just_moved_finds_it_at_its_new_place(void **state)
{
    for (size_t i = 0; i < array_count(lengths); i++) {
        size_t length = lengths[i];
        make_pool(state, length);
        pfn first = arena_start_of(0);
        for (block_no block = 1; block < 40; block++)
            block_drop(&pool, block);
        const char *step = step_of(length, "object moved");
        gate_close(step);
        gate_count("test: unpublished, not freed");
        pthread_t mover = thread_start(migrate, &first);
        gate_await(step);
        assert_int_not_equal(arena_start_of(0), first);
        read_it(NULL);
        rewrite_it_in_place(&length);
        pthread_t uses = thread_start(drop_it, NULL);
        wait_until(gate_hits("test: unpublished, not freed") == 1);
        gate_open(step);
        thread_join(mover);
        thread_join(uses);
        end_pool();
    }
}

/* ---- a user is stopped, a mover comes ---- */

static void object_whose_block_is_in_use_is_left_and_moved_afterwards(void **state)
{
    for (size_t i = 0; i < array_count(lengths); i++) {
        make_pool(state, lengths[i]);
        pfn first = arena_start_of(0);
        struct zpool_handle before = block_object(&pool, 0);
        block_lock(&pool, 0);
        assert_int_equal(zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT), -EAGAIN);
        assert_int_equal(pool.block[0].object.position, before.position);
        assert_true(content_matches(zpool_address(pool.zpool, before), lengths[i], 0));
        block_unlock(&pool, 0);
        assert_int_equal(zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT), 0);
        end_pool();
    }
}

/* A user stands at a step of block_write or block_drop while the arena is migrated. */
static void race_with_a_user_at(void **state, user *use, const char *step)
{
    for (size_t i = 0; i < array_count(lengths); i++) {
        size_t length = lengths[i];
        make_pool(state, length);
        pfn first = arena_start_of(0);
        gate_close(step);
        pthread_t uses = thread_start(use, &length);
        gate_await(step);
        assert_int_equal(zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT), -EAGAIN);
        gate_open(step);
        thread_join(uses);
        end_pool();
    }
}

static void object_that_was_unpublished_but_not_freed_is_left_where_it_is(void **state)
{
    race_with_a_user_at(state, drop_it, "test: unpublished, not freed");
    race_with_a_user_at(state, overwrite_it, "test: unpublished, not freed");
}

static void object_that_was_not_published_yet_is_left_where_it_is(void **state)
{
    race_with_a_user_at(state, overwrite_it, "test: room taken, not published");
}

/* Its word is read, then it is freed, and its page may be anybody's. */
static void raw_page_that_is_freed_before_its_owner_is_locked_is_as_good_as_moved(void **state)
{
    make_pool(state, PAGE_SIZE_BYTES);
    pfn first = arena_start_of(0);
    gate_close("raw: word read, owner not locked");
    pthread_t mover = thread_start(migrate_wholly, &first);
    gate_await("raw: word read, owner not locked");
    for (block_no block = 0; block < 40; block++)
        block_drop(&pool, block);
    gate_open("raw: word read, owner not locked");
    thread_join(mover);
    end_pool();
}

/* ---- the three steps of migration ---- */

/* Isolates what block 0 is in. */
static struct zpdesc *isolate_first(struct list *isolated)
{
    list_init(isolated);
    assert_int_equal(pool.zpool->driver->isolate(
                         pool.zpool, zpool_handle_page(block_object(&pool, 0)), isolated),
                     1);
    return container_of(isolated->next, struct zpdesc, list);
}

static bool is_in(const struct zpdesc *desc, block_no block)
{
    pfn page = zpool_handle_page(block_object(&pool, block));
    return page >= zpdesc_first(desc) && page < zpdesc_first(desc) + desc->count;
}

/* Blocks 0 … 39 of 600 bytes, then the step. */
static void nothing_new_goes_into_what_is_isolated(void **state)
{
    make_pool(state, 600);
    struct list isolated;
    struct zpdesc *desc = isolate_first(&isolated);
    assert_int_equal(zpdesc_state(desc), ZPDESC_ISOLATED);
    unsigned used = desc->used_count;
    for (block_no block = 40; block < 140; block++) {
        assert_int_equal(block_write(&pool, block, 600, block), 0);
        assert_false(is_in(desc, block));
    }
    assert_int_equal(desc->used_count, used);
    block_drop(&pool, 0); /* What is freed in it stays free. */
    assert_int_equal(desc->used_count, used - 1);
    assert_int_equal(block_write(&pool, 0, 600, 0), 0);
    assert_false(is_in(desc, 0));
    pool.zpool->driver->putback(pool.zpool, desc);
    for (block_no block = 40; block < 140; block++)
        block_drop(&pool, block);
    end_pool();
}

static void what_one_worker_has_isolated_is_refused_to_another(void **state)
{
    make_pool(state, 600);
    struct list isolated, others;
    struct zpdesc *desc = isolate_first(&isolated);
    list_init(&others);
    pfn page = zpdesc_first(desc);
    assert_int_equal(pool.zpool->driver->isolate(pool.zpool, page, &others), -EAGAIN);
    assert_true(list_is_empty(&others));
    assert_int_equal(zpool_migrate(pool.zpool, arena_start_of(0), ARENA_PAGES, NO_LIMIT), -EAGAIN);
    assert_ptr_equal(isolated.next, &desc->list);
    assert_int_equal(zpdesc_state(desc), ZPDESC_ISOLATED);
    pool.zpool->driver->putback(pool.zpool, desc);
    end_pool();
}

static void putting_back_leaves_all_as_before(void **state)
{
    make_pool(state, 600);
    struct zpool_handle before[40];
    for (block_no block = 0; block < 40; block++)
        before[block] = block_object(&pool, block);
    struct list isolated;
    struct zpdesc *desc = isolate_first(&isolated);
    struct zpdesc kept = *desc;
    pool.zpool->driver->putback(pool.zpool, desc);
    assert_int_equal(zpdesc_state(desc), ZPDESC_LISTED);
    assert_int_equal(desc->used_count, kept.used_count);
    assert_int_equal(desc->group, kept.group);
    assert_int_equal(desc->resident, kept.resident);
    for (block_no block = 0; block < 40; block++)
        assert_int_equal(block_object(&pool, block).position, before[block].position);
    end_pool();
}

static void last_object_freed_while_isolated_frees_the_pages_when_put_back(void **state)
{
    make_pool(state, 600);
    struct list isolated;
    struct zpdesc *desc = isolate_first(&isolated);
    pfn page = zpdesc_first(desc);
    for (block_no block = 0; block < 40; block++)
        if (is_in(desc, block))
            block_drop(&pool, block);
    assert_int_equal(desc->used_count, 0);
    assert_int_equal(zpdesc_state(desc), ZPDESC_ISOLATED);
    assert_false(page_is_free(&pool.zpool->map, page));
    assert_int_equal(pool.zpool->driver->migrate(pool.zpool, desc, NO_LIMIT), 0);
    pool.zpool->driver->putback(pool.zpool, desc);
    assert_true(list_is_empty(&isolated));
    assert_true(page_is_free(&pool.zpool->map, page));
    end_pool();
}

/* The middle one of the three steps by itself: what it returns, and what it leaves. */
static void migrating_with_a_busy_owner_or_no_quota_returns_eagain(void **state)
{
    make_pool(state, 600);
    struct list isolated;
    struct zpdesc *desc = isolate_first(&isolated);
    const struct zpool_driver *driver = pool.zpool->driver;
    unsigned used = desc->used_count;
    struct zpool_quota quota = {.objects = 0};
    assert_int_equal(driver->migrate(pool.zpool, desc, &quota), -EAGAIN);
    assert_int_equal(desc->used_count, used);
    block_lock(&pool, 0);
    assert_int_equal(driver->migrate(pool.zpool, desc, NO_LIMIT), -EAGAIN);
    assert_int_equal(desc->used_count, 1);
    block_unlock(&pool, 0);
    assert_int_equal(driver->migrate(pool.zpool, desc, NO_LIMIT), 0);
    assert_int_equal(desc->used_count, 0);
    driver->putback(pool.zpool, desc);
    end_pool();
}

static void migrating_without_room_elsewhere_says_so_whichever_request_fails(void **state)
{
    bool failed = true;
    for (long failing = 0; failed; failing++) {
        make_pool(state, 600);
        struct list isolated;
        struct zpdesc *desc = isolate_first(&isolated);
        for (block_no block = 0; block < 40; block++)
            if (!is_in(desc, block))
                block_drop(&pool, block);
        /* No empty one is kept to go to, nor any free page resident. */
        zpool_settle(pool.zpool, NO_LIMIT);
        pages_trim(pool.pages, 0, UINT64_MAX);
        memory_fail_after(failing, false);
        int error = pool.zpool->driver->migrate(pool.zpool, desc, NO_LIMIT);
        failed = memory_fail_after(-1, false) > failing;
        assert_true(failed ? error == -ENOSPC || error == -ENOMEM : error == 0);
        assert_true(failing > 1 || failed); /* It needs a page, and that it is resident. */
        pool.zpool->driver->putback(pool.zpool, desc);
        end_pool();
    }
}

/* Several are isolated in one list, and one of them is emptied: the list stays whole. */
static void put_back_pages_leave_their_isolators_list(void **state)
{
    make_pool(state, 3000);
    struct list isolated;
    list_init(&isolated);
    for (block_no block = 0; block < 40; block++)
        pool.zpool->driver->isolate(pool.zpool, zpool_handle_page(block_object(&pool, block)),
                                    &isolated);
    for (block_no block = 0; block < 40; block += 2)
        block_drop(&pool, block);
    unsigned count = 0;
    for (; !list_is_empty(&isolated); count++) {
        assert_true(count < 40);
        pool.zpool->driver->putback(pool.zpool, container_of(isolated.next, struct zpdesc, list));
    }
    assert_true(count > 0);
    end_pool();
}

static void page_that_holds_nothing_of_the_driver_cannot_be_isolated(void **state)
{
    make_pool(state, PAGE_SIZE_BYTES);
    struct list isolated;
    list_init(&isolated);
    pfn raw = zpool_handle_page(block_object(&pool, 0));
    assert_int_equal(pool.zpool->driver->isolate(pool.zpool, raw, &isolated), 0);
    assert_int_equal(pool.zpool->driver->isolate(pool.zpool, 0, &isolated), 0);
    assert_int_equal(pool.zpool->driver->isolate(pool.zpool, raw + 100, &isolated), 0);
    assert_true(list_is_empty(&isolated));
    end_pool();
}

/* ---- migration against migration and against allocation ---- */

static void second_migration_of_an_arena_returns_ebusy_while_the_first_runs(void **state)
{
    for (size_t i = 0; i < array_count(lengths); i++) {
        make_pool(state, lengths[i]);
        pfn first = arena_start_of(0);
        const char *step = step_of(lengths[i], "object copied");
        gate_close(step);
        pthread_t mover = thread_start(migrate, &first);
        gate_await(step);
        struct zpool_quota quota = {.objects = 10};
        assert_int_equal(zpool_migrate(pool.zpool, first, ARENA_PAGES, &quota), -EBUSY);
        assert_int_equal(zpool_migrate(pool.zpool, first + 3, 1, &quota), -EBUSY);
        assert_int_equal(quota.objects, 10);
        gate_open(step);
        thread_join(mover);
        end_pool();
    }
}

/* As migration stands when all is isolated and nothing moved yet. */
static void nothing_is_taken_in_a_range_that_is_isolated(void **state)
{
    for (size_t i = 0; i < array_count(lengths); i++) {
        make_pool(state, lengths[i]);
        pfn first = arena_start_of(0);
        struct list arenas, descriptors;
        list_init(&arenas);
        list_init(&descriptors);
        assert_int_equal(pages_isolate(pool.pages, first / ARENA_PAGES, &arenas), 0);
        for (unsigned page = 0; page < ARENA_PAGES; page++)
            pool.zpool->driver->isolate(pool.zpool, first + page, &descriptors);
        for (block_no block = 0; block < 80; block++) {
            assert_int_equal(block_write(&pool, block, lengths[i], block), 0);
            assert_int_not_equal(arena_start_of(block), first);
        }
        while (!list_is_empty(&descriptors))
            pool.zpool->driver->putback(pool.zpool,
                                        container_of(descriptors.next, struct zpdesc, list));
        for (unsigned page = 0; page < ARENA_PAGES; page++)
            assert_true(page_is_free(&pool.zpool->map, first + page));
        pages_putback(pool.pages, &arenas);
        for (block_no block = 40; block < 80; block++)
            block_drop(&pool, block);
        end_pool();
    }
}

/* A page that a writer has taken but not yet described is in the range. */
static void page_on_its_way_to_an_owner_makes_migration_try_again(void **state)
{
    make_pool(state, PAGE_SIZE_BYTES);
    pfn first = arena_start_of(0);
    size_t length = PAGE_SIZE_BYTES;
    gate_close("raw: page taken, not described");
    pthread_t writer = thread_start(overwrite_it, &length);
    gate_await("raw: page taken, not described");
    assert_int_equal(zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT), -EAGAIN);
    gate_open("raw: page taken, not described");
    thread_join(writer);
    end_pool();
}

int main(void)
{
    static const struct sentence sentences[] = {
        sentence(whoever_uses_a_block_whose_lock_the_mover_has_taken_waits_and_finds_it),
        sentence(whoever_uses_a_block_that_was_copied_but_not_published_waits_and_finds_it),
        sentence(whoever_uses_a_block_that_was_just_moved_finds_it_at_its_new_place),
        sentence(object_whose_block_is_in_use_is_left_and_moved_afterwards),
        sentence(object_that_was_unpublished_but_not_freed_is_left_where_it_is),
        sentence(object_that_was_not_published_yet_is_left_where_it_is),
        sentence(raw_page_that_is_freed_before_its_owner_is_locked_is_as_good_as_moved),
        sentence(nothing_new_goes_into_what_is_isolated),
        sentence(what_one_worker_has_isolated_is_refused_to_another),
        sentence(putting_back_leaves_all_as_before),
        sentence(last_object_freed_while_isolated_frees_the_pages_when_put_back),
        sentence(migrating_with_a_busy_owner_or_no_quota_returns_eagain),
        sentence(migrating_without_room_elsewhere_says_so_whichever_request_fails),
        sentence(put_back_pages_leave_their_isolators_list),
        sentence(page_that_holds_nothing_of_the_driver_cannot_be_isolated),
        sentence(second_migration_of_an_arena_returns_ebusy_while_the_first_runs),
        sentence(nothing_is_taken_in_a_range_that_is_isolated),
        sentence(page_on_its_way_to_an_owner_makes_migration_try_again),
    };
    test_program_begin("zpool-races-test");
    return run_for_every_driver("zpool-races", sentences, array_count(sentences));
}
