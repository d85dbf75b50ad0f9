/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsmalloc-races-test.c: the races of zsmalloc's own background work, replayed on purpose:
 * compaction that gives way, zspages that become empty in a worker's hands, words that are stale
 * when they are believed, owners that are not written yet.
 *
 * Races of a mover and a user, which are the same for all drivers: zpool-races-test.c.
 */
#include "tests/support.h"

#include <errno.h>

#include "zpool/zsmalloc/zsmalloc.h"

/* The class that most tests use, and what a zspage of it holds. */
#define LENGTH 1000

static struct test_pool pool;
static struct zs_pool *zs;
static struct zs_class *class;
static unsigned objects;

static int make_pool(void **state)
{
    (void)state;
    test_pool_make(&pool, &(struct test_pool_options){.driver = &zsmalloc_driver});
    zs = zs_pool_of(pool.zpool);
    class = &zs->class[zs_class_index(&zs->table, LENGTH + ZS_OWNER_BYTES)];
    objects = class->objects;
    gates_begin();
    return 0;
}

static int end_pool(void **state)
{
    (void)state;
    gates_end();
    test_pool_check(&pool);
    for (block_no block = 0; block < pool.block_count; block++)
        block_drop(&pool, block);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_equal(zs->zspages.used_count, 0);
    test_pool_check(&pool);
    test_pool_end(&pool);
    return 0;
}

static void write_blocks(block_no first, block_no count, size_t length)
{
    for (block_no block = first; block < first + count; block++)
        assert_int_equal(block_write(&pool, block, length, block_content(block, length)), 0);
}

static void drop_blocks(block_no first, block_no count)
{
    for (block_no block = first; block < first + count; block++)
        block_drop(&pool, block);
}

static struct zspage *zspage_of_block(block_no block)
{
    return zspage_of_page(zs, zpool_handle_page(block_object(&pool, block)));
}

/* The i-th block of the n-th zspage of make_sparse. */
static block_no block_of(unsigned zspage, unsigned object)
{
    return zspage * objects + object;
}

/* `count` zspages, of which each keeps its first kept[i] objects. */
static void make_sparse(unsigned count, const unsigned kept[])
{
    write_blocks(0, count * objects, LENGTH);
    for (unsigned i = 0; i < count; i++)
        drop_blocks(block_of(i, kept[i]), objects - kept[i]);
}

static uint64_t zspages_of_class(void)
{
    return zs_class_zspages_locked(class);
}

/* ---- threads ---- */

static void *compact(void *context)
{
    (void)context;
    zpool_compact(pool.zpool, NO_LIMIT);
    return NULL;
}

static void *settle(void *context)
{
    (void)context;
    zpool_settle(pool.zpool, NO_LIMIT);
    return NULL;
}

static void *migrate_arena_of_block_0(void *context)
{
    pfn first = zpool_handle_page(block_object(&pool, 0)) / ARENA_PAGES * ARENA_PAGES;
    int *result = context;
    *result = zpool_migrate(pool.zpool, first, ARENA_PAGES, NO_LIMIT);
    return NULL;
}

static void *write_block(void *context)
{
    const block_no *block = context;
    if (block_write(&pool, *block, LENGTH, *block) != 0)
        fault("block %u could not be written", *block);
    return NULL;
}

static void *drop_block(void *context)
{
    const block_no *block = context;
    block_drop(&pool, *block);
    return NULL;
}

static bool somebody_waits_for_the_class(void)
{
    return atomic_load(&class->lock.waiting) > 0;
}

#define STEP_COMPACTING "zsmalloc: compaction between objects"
#define STEP_MIGRATING  "zsmalloc: migration between objects"
#define STEP_DISCARDING "zsmalloc: discarding pages of an isolated zspage"
#define STEP_MOVED      "zsmalloc: object moved"
#define STEP_GIVEN_WAY  "lock: given way"
#define STEP_WORD_READ  "zsmalloc: word read, class not locked"
#define STEP_TAKEN      "zsmalloc: place taken, owner not written"
#define STEP_MADE       "zsmalloc: zspage made, not described"

/* ---- giving way ---- */

/* While the worker has given way, the writer gets all it wants, between two objects. */
static void worker_gives_way_to_a_writer_after_the_object_in_hand(void *(*work)(void *),
                                                                  const char *between)
{
    int result = 0;
    block_no block = 4000;
    make_sparse(2, (const unsigned[]){objects / 3, objects / 2});
    gate_close(between);
    gate_close(STEP_GIVEN_WAY);
    gate_count(STEP_MOVED);
    pthread_t worker = thread_start(work, &result);
    gate_await(between);
    unsigned moved = gate_hits(STEP_MOVED);
    pthread_t writer = thread_start(write_block, &block);
    wait_until(somebody_waits_for_the_class());
    gate_open(between);
    gate_await(STEP_GIVEN_WAY);
    thread_join(writer);
    assert_int_equal(gate_hits(STEP_MOVED), moved);
    block_read(&pool, block);
    gate_open(STEP_GIVEN_WAY);
    thread_join(worker);
    assert_int_equal(result, 0);
}

static void compaction_gives_way_to_a_writer_after_the_object_in_hand(void **state)
{
    (void)state;
    worker_gives_way_to_a_writer_after_the_object_in_hand(compact, STEP_COMPACTING);
    assert_int_equal(zspages_of_class(), 1);
}

static void migration_gives_way_to_a_writer_after_the_object_in_hand(void **state)
{
    (void)state;
    worker_gives_way_to_a_writer_after_the_object_in_hand(migrate_arena_of_block_0, STEP_MIGRATING);
}

static void settling_gives_way_to_a_writer_after_the_object_in_hand(void **state)
{
    (void)state;
    block_no block = 4000;
    write_blocks(0, objects, LENGTH);
    drop_blocks(2, objects - 4);
    gate_close(STEP_MOVED);
    gate_close(STEP_GIVEN_WAY);
    pthread_t worker = thread_start(settle, NULL);
    gate_await(STEP_MOVED);
    pthread_t writer = thread_start(write_block, &block);
    wait_until(somebody_waits_for_the_class());
    gate_open(STEP_MOVED);
    gate_await(STEP_GIVEN_WAY);
    thread_join(writer);
    assert_int_equal(gate_hits(STEP_MOVED), 1);
    gate_open(STEP_GIVEN_WAY);
    thread_join(worker);
}

/* Where compaction gave way, the zspage that it was filling is emptied and destroyed. */
static void target_that_is_gone_after_giving_way_is_not_used_again(void **state)
{
    (void)state;
    /* 2 is emptied into 1, the fullest; 0 is the next fullest. */
    make_sparse(3, (const unsigned[]){objects / 2, objects * 2 / 3, 4});
    struct zspage *target = zspage_of_block(block_of(1, 0));
    block_no last = block_of(1, 0);
    gate_close(STEP_COMPACTING);
    gate_close(STEP_GIVEN_WAY);
    pthread_t worker = thread_start(compact, NULL);
    gate_await(STEP_COMPACTING);
    pthread_t freer = thread_start(drop_block, &last);
    wait_until(somebody_waits_for_the_class());
    gate_open(STEP_COMPACTING);
    gate_await(STEP_GIVEN_WAY);
    thread_join(freer);
    drop_blocks(block_of(1, 1), objects * 2 / 3 - 1);
    for (unsigned i = 0; i < 4; i++)
        if (zspage_of_block(block_of(2, i)) == target)
            block_drop(&pool, block_of(2, i));
    assert_int_equal(target->desc.used_count, 0);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_equal(zpdesc_state(&target->desc), ZPDESC_FREE);
    write_blocks(3000, 1, 3000); /* The descriptor is another class's now. */
    assert_ptr_equal(zspage_of_block(3000), target);
    gate_open(STEP_GIVEN_WAY);
    thread_join(worker);
    assert_int_equal(zspages_of_class() - class->zspages[ZS_GROUP_EMPTY], 1);
}

/* ---- emptied in a worker's hands ---- */

/* Compaction sets a zspage aside whose one object is busy; then that object is freed. */
static void last_object_freed_while_its_zspage_is_stuck_in_compaction(void **state)
{
    (void)state;
    /* 0 is the emptiest: its one object is busy. 1 comes next, is emptied into 2. */
    make_sparse(3, (const unsigned[]){1, objects / 4, objects / 2});
    struct zspage *stuck = zspage_of_block(0);
    block_lock(&pool, 0);
    gate_close_after(STEP_COMPACTING, 1);
    gate_close(STEP_GIVEN_WAY);
    pthread_t worker = thread_start(compact, NULL);
    gate_await(STEP_COMPACTING);
    assert_int_equal(zpdesc_state(&stuck->desc), ZPDESC_ISOLATED);
    assert_int_equal(stuck->desc.used_count, 1);
    block_unlock(&pool, 0);
    block_no block = 0;
    pthread_t freer = thread_start(drop_block, &block);
    wait_until(somebody_waits_for_the_class());
    gate_open(STEP_COMPACTING);
    gate_await(STEP_GIVEN_WAY);
    thread_join(freer);
    assert_int_equal(stuck->desc.used_count, 0);
    gate_open(STEP_GIVEN_WAY);
    thread_join(worker);
    assert_int_equal(zspages_of_class(), 1);
    test_pool_check(&pool);
}

/* All objects are freed while their zspage's idle pages are being discarded. */
static void last_object_freed_while_its_zspage_is_being_settled(void **state)
{
    (void)state;
    write_blocks(0, objects, LENGTH);
    drop_blocks(3, objects - 3);
    struct zspage *zspage = zspage_of_block(0);
    gate_close(STEP_DISCARDING);
    pthread_t worker = thread_start(settle, NULL);
    gate_await(STEP_DISCARDING);
    assert_int_equal(zpdesc_state(&zspage->desc), ZPDESC_ISOLATED);
    drop_blocks(0, 3);
    write_blocks(100, 5, LENGTH); /* into another zspage */
    assert_ptr_not_equal(zspage_of_block(100), zspage);
    gate_open(STEP_DISCARDING);
    thread_join(worker);
    assert_int_equal(zpdesc_state(&zspage->desc), ZPDESC_FREE);
    assert_int_equal(zspages_of_class(), 1);
}

/* The two last ones of several that are settled become empty: the worker's list stays whole. */
static void several_zspages_freed_while_they_are_being_settled(void **state)
{
    (void)state;
    make_sparse(3, (const unsigned[]){2, 2, 2});
    gate_close_after(STEP_DISCARDING, 2);
    pthread_t worker = thread_start(settle, NULL);
    gate_await(STEP_DISCARDING);
    for (unsigned i = 0; i < 3; i++)
        drop_blocks(block_of(i, 0), 2);
    gate_open(STEP_DISCARDING);
    thread_join(worker);
    assert_int_equal(zspages_of_class(), 0);
}

/* What is read and rewritten while idle pages next to it are discarded stays as it is. */
static void objects_are_used_while_idle_pages_of_their_zspage_are_discarded(void **state)
{
    (void)state;
    write_blocks(0, objects, LENGTH);
    drop_blocks(3, objects - 3);
    gate_close(STEP_DISCARDING);
    pthread_t worker = thread_start(settle, NULL);
    gate_await(STEP_DISCARDING);
    assert_true(block_rewrite(&pool, 0, LENGTH, 77));
    block_read(&pool, 1);
    block_drop(&pool, 2);
    write_blocks(200, objects, LENGTH);
    gate_open(STEP_DISCARDING);
    thread_join(worker);
    for (block_no block = 0; block < 2; block++)
        block_read(&pool, block);
    struct pages_account account;
    pages_account(pool.pages, &account);
    assert_int_equal(resident_pages(&pool.zpool->map, 64).pool,
                     account.owned_resident + account.free_resident);
}

/* The last object of a zspage is freed while migration is between its objects. */
static void last_objects_freed_while_their_zspage_is_being_migrated(void **state)
{
    (void)state;
    int result = -1;
    write_blocks(0, 10, LENGTH);
    struct zspage *source = zspage_of_block(0);
    block_no block = 5;
    gate_close(STEP_MIGRATING);
    gate_close(STEP_GIVEN_WAY);
    pthread_t worker = thread_start(migrate_arena_of_block_0, &result);
    gate_await(STEP_MIGRATING);
    pthread_t freer = thread_start(drop_block, &block);
    wait_until(somebody_waits_for_the_class());
    gate_open(STEP_MIGRATING);
    gate_await(STEP_GIVEN_WAY);
    thread_join(freer);
    drop_blocks(1, 4);
    drop_blocks(6, 4);
    assert_int_equal(source->desc.used_count, 0);
    gate_open(STEP_GIVEN_WAY);
    thread_join(worker);
    assert_int_equal(result, 0);
    assert_int_equal(zpdesc_state(&source->desc), ZPDESC_FREE);
    block_read(&pool, 0);
}

/* ---- what is believed too early ---- */

/* The owner field of a place that was just taken still names whoever had it before. */
static void owner_that_is_not_written_yet_is_not_believed(void **state)
{
    (void)state;
    int result = 0;
    block_no block = 50;
    write_blocks(0, 4, LENGTH);
    struct zpool_handle place = block_object(&pool, 2);
    assert_int_equal(block_write(&pool, 2, 3000, 2), 0); /* Block 2 lives on, elsewhere. */
    gate_close(STEP_TAKEN);
    pthread_t writer = thread_start(write_block, &block);
    gate_await(STEP_TAKEN);
    assert_int_equal(atomic_load(zs_owner_field(zs, class, place)), 2);
    migrate_arena_of_block_0(&result);
    assert_int_equal(result, -EAGAIN);
    gate_open(STEP_TAKEN);
    thread_join(writer);
    assert_int_equal(block_object(&pool, 50).position, place.position);
    for (block_no other = 0; other < 4; other++)
        block_read(&pool, other);
    block_read(&pool, 50);
}

/* The same with a number that no block has, as a page's former content may be. */
static void owner_field_of_garbage_is_not_believed(void **state)
{
    (void)state;
    int result = 0;
    block_no block = 50;
    write_blocks(0, 4, LENGTH);
    atomic_store(zs_owner_field(zs, class, block_object(&pool, 3)), UINT32_MAX - 7);
    struct zpool_handle place = block_object(&pool, 3);
    block_drop(&pool, 3);
    gate_close(STEP_TAKEN);
    pthread_t writer = thread_start(write_block, &block);
    gate_await(STEP_TAKEN);
    migrate_arena_of_block_0(&result);
    assert_int_equal(result, -EAGAIN);
    gate_open(STEP_TAKEN);
    thread_join(writer);
    assert_int_equal(block_object(&pool, 50).position, place.position);
}

struct isolation {
    pfn page;
    struct list isolated;
    int result;
};

static void *isolate(void *context)
{
    struct isolation *isolation = context;
    isolation->result =
        pool.zpool->driver->isolate(pool.zpool, isolation->page, &isolation->isolated);
    return NULL;
}

/* Isolates block 0's zspage, stopped after its word was read; that zspage then goes away. */
static pthread_t start_isolation_and_destroy_its_zspage(struct isolation *isolation)
{
    write_blocks(0, 1, LENGTH);
    isolation->page = zpool_handle_page(block_object(&pool, 0));
    list_init(&isolation->isolated);
    struct zspage *zspage = zspage_of_block(0);
    gate_close(STEP_WORD_READ);
    pthread_t thread = thread_start(isolate, isolation);
    gate_await(STEP_WORD_READ);
    block_drop(&pool, 0);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_equal(zpdesc_state(&zspage->desc), ZPDESC_FREE);
    return thread;
}

static void stale_word_of_a_page_that_is_free_now_isolates_nothing(void **state)
{
    (void)state;
    struct isolation isolation;
    pthread_t thread = start_isolation_and_destroy_its_zspage(&isolation);
    gate_open(STEP_WORD_READ);
    thread_join(thread);
    assert_int_equal(isolation.result, 0);
    assert_true(list_is_empty(&isolation.isolated));
}

static void stale_word_whose_descriptor_is_of_another_class_now_isolates_that_one(void **state)
{
    (void)state;
    struct isolation isolation;
    pthread_t thread = start_isolation_and_destroy_its_zspage(&isolation);
    /* The same descriptor, the same page, another class. */
    write_blocks(1, 1, 100);
    struct zspage *zspage = zspage_of_block(1);
    assert_int_equal(zpdesc_first(&zspage->desc), isolation.page);
    assert_int_not_equal(zpdesc_class(&zspage->desc), class->index);
    gate_open(STEP_WORD_READ);
    thread_join(thread);
    assert_int_equal(isolation.result, 1);
    assert_ptr_equal(isolation.isolated.next, &zspage->desc.list);
    assert_int_equal(zpdesc_state(&zspage->desc), ZPDESC_ISOLATED);
    /* It was taken out of that class's lists, under that class's lock. */
    assert_int_equal(zs->class[zpdesc_class(&zspage->desc)].filled, 0);
    pool.zpool->driver->putback(pool.zpool, &zspage->desc);
}

static void stale_word_whose_descriptor_moved_to_another_page_isolates_nothing(void **state)
{
    (void)state;
    struct isolation isolation;
    pthread_t thread = start_isolation_and_destroy_its_zspage(&isolation);
    /* Somebody else has the page, the descriptor describes another one of the same class. */
    struct page_run run;
    assert_int_equal(pages_alloc(pool.pages, class->pages, PAGE_MOVABLE, &run), 0);
    assert_int_equal(run.first, isolation.page);
    write_blocks(1, 1, LENGTH);
    struct zspage *zspage = zspage_of_block(1);
    assert_int_not_equal(zpdesc_first(&zspage->desc), isolation.page);
    gate_open(STEP_WORD_READ);
    thread_join(thread);
    assert_int_equal(isolation.result, 0);
    assert_int_equal(zpdesc_state(&zspage->desc), ZPDESC_LISTED);
    pages_free(pool.pages, &run);
}

/* A writer makes a zspage in the arena: its pages are taken, their words say nothing yet. */
static void zspage_that_is_just_being_made_makes_migration_try_again(void **state)
{
    (void)state;
    int result = 0;
    block_no block = 50;
    write_blocks(0, 1, 3000); /* another class, whose lock is free */
    gate_close(STEP_MADE);
    pthread_t writer = thread_start(write_block, &block);
    gate_await(STEP_MADE);
    migrate_arena_of_block_0(&result);
    assert_int_equal(result, -EAGAIN);
    gate_open(STEP_MADE);
    thread_join(writer);
    test_pool_check(&pool);
}

#define race_test(test) cmocka_unit_test_setup_teardown(test, make_pool, end_pool)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        race_test(compaction_gives_way_to_a_writer_after_the_object_in_hand),
        race_test(migration_gives_way_to_a_writer_after_the_object_in_hand),
        race_test(settling_gives_way_to_a_writer_after_the_object_in_hand),
        race_test(target_that_is_gone_after_giving_way_is_not_used_again),
        race_test(last_object_freed_while_its_zspage_is_stuck_in_compaction),
        race_test(last_object_freed_while_its_zspage_is_being_settled),
        race_test(several_zspages_freed_while_they_are_being_settled),
        race_test(objects_are_used_while_idle_pages_of_their_zspage_are_discarded),
        race_test(last_objects_freed_while_their_zspage_is_being_migrated),
        race_test(owner_that_is_not_written_yet_is_not_believed),
        race_test(owner_field_of_garbage_is_not_believed),
        race_test(stale_word_of_a_page_that_is_free_now_isolates_nothing),
        race_test(stale_word_whose_descriptor_is_of_another_class_now_isolates_that_one),
        race_test(stale_word_whose_descriptor_moved_to_another_page_isolates_nothing),
        race_test(zspage_that_is_just_being_made_makes_migration_try_again),
    };
    test_program_begin("zsmalloc-races-test");
    return cmocka_run_group_tests_name("zsmalloc-races", tests, NULL, NULL);
}
