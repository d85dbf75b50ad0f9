/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsmalloc-test.c: what zsmalloc alone promises (zsmalloc.h): where objects go, what an empty or
 * half empty zspage costs, the storm that doesn't happen, and what its validator finds.
 *
 * What every driver promises: zpool-test.c. Races, replayed: zsmalloc-races-test.c.
 */
#include "tests/support.h"

#include <stdio.h>

#include "zpool/zsmalloc/zsmalloc.h"

static struct test_pool pool;
static struct zs_pool *zs;

static int make_pool(void **state)
{
    (void)state;
    test_pool_make(&pool, &(struct test_pool_options){.driver = &zsmalloc_driver});
    zs = zs_pool_of(pool.zpool);
    return 0;
}

static int end_pool(void **state)
{
    (void)state;
    gates_end();
    test_pool_check(&pool);
    test_pool_end(&pool);
    return 0;
}

static struct zs_class *class_of_length(size_t length)
{
    return &zs->class[zs_class_index(&zs->table, length + ZS_OWNER_BYTES)];
}

static struct zspage *zspage_of_block(block_no block)
{
    return zspage_of_page(zs, zpool_handle_page(block_object(&pool, block)));
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

static uint64_t zspages_of(struct zs_class *class)
{
    struct zpool_class_statistics statistics;
    assert_true(zpool_class_statistics(pool.zpool, class->index, &statistics));
    return statistics.pages_used / statistics.pages_per_zspage;
}

static uint64_t owned_resident(void)
{
    struct pages_account account;
    pages_account(pool.pages, &account);
    return account.owned_resident;
}

/* The account and the system agree: all that zsmalloc says is resident was written. */
static void check_residency(void)
{
    struct pages_account account;
    pages_account(pool.pages, &account);
    assert_int_equal(resident_pages(&pool.zpool->map, 64).pool,
                     account.owned_resident + account.free_resident);
}

/* ---- where objects go ---- */

static void lowest_free_place_of_the_fullest_zspage_is_taken(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    write_blocks(0, 3u * class->objects, 1000);
    struct zspage *zspage[3];
    for (unsigned i = 0; i < 3; i++)
        zspage[i] = zspage_of_block(i * class->objects);
    /* The first keeps a third, the second all but 5, the third none but one. */
    drop_blocks(0, class->objects * 2u / 3);
    drop_blocks(class->objects + 10, 5);
    drop_blocks(2u * class->objects + 1, class->objects - 1u);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(block_write(&pool, 4000, 1000, i), 0);
        assert_ptr_equal(zspage_of_block(4000), zspage[1]);
        assert_int_equal(zspage_place(class, zspage[1], block_object(&pool, 4000)), 10);
        block_drop(&pool, 4000);
    }
    write_blocks(3900, 5, 1000);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(zspage_place(class, zspage[1], block_object(&pool, 3900 + i)), 10 + i);
    assert_int_equal(block_write(&pool, 4000, 1000, 9), 0);
    assert_ptr_equal(zspage_of_block(4000), zspage[0]);
    assert_int_equal(zspage_place(class, zspage[0], block_object(&pool, 4000)), 0);
}

static void zspage_costs_only_the_pages_that_objects_have_reached(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    assert_true(class->pages >= 8);
    write_blocks(0, 1, 1000);
    uint64_t before = owned_resident() - 1;
    for (block_no block = 1; block < class->objects; block++) {
        write_blocks(block, 1, 1000);
        uint64_t reached =
            ((block + 1) * class->size_bytes + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;
        assert_int_equal(owned_resident(), before + reached);
    }
    assert_int_equal(zspages_of(class), 1);
    check_residency();
}

static void objects_of_a_class_are_neighbours_without_a_gap(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 28, 29, 100, 555, 1000, 2044, 3000, 3960};
    for (size_t i = 0; i < array_count(lengths); i++) {
        struct zs_class *class = class_of_length(lengths[i]);
        write_blocks(0, class->objects, lengths[i]);
        uint64_t start = block_object(&pool, 0).position;
        for (block_no block = 0; block < class->objects; block++)
            assert_int_equal(block_object(&pool, block).position,
                             start + block * class->size_bytes / ZPOOL_UNIT_BYTES);
        drop_blocks(0, class->objects);
    }
}

static void last_empty_zspage_of_a_class_is_kept_and_used_again(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(500);
    write_blocks(0, 2u * class->objects, 500);
    struct zspage *first = zspage_of_block(0), *second = zspage_of_block(class->objects);
    assert_int_equal(zspages_of(class), 2);
    drop_blocks(0, class->objects);
    assert_int_equal(zspages_of(class), 2);
    assert_int_equal(class->zspages[ZS_GROUP_EMPTY], 1);
    test_pool_check(&pool);

    drop_blocks(class->objects, class->objects); /* Of two empty ones, one goes. */
    assert_int_equal(zspages_of(class), 1);
    test_pool_check(&pool);

    uint64_t owned = owned_resident();
    write_blocks(0, 1, 500);
    assert_true(zspage_of_block(0) == first || zspage_of_block(0) == second);
    assert_int_equal(zspages_of(class), 1);
    assert_int_equal(owned_resident(), owned);
    drop_blocks(0, 1);
    assert_int_equal(zspages_of(class), 1);

    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_equal(zspages_of(class), 0);
}

/* ---- the storm ---- */

#define STORM_THREADS 64

struct writer {
    block_no block;
    size_t length;
};

static void *write_one_block(void *context)
{
    const struct writer *writer = context;
    if (block_write(&pool, writer->block, writer->length, writer->block) != 0)
        fault("block %u could not be written", writer->block);
    return NULL;
}

/* All threads wait for the class, whose every zspage is full; then they get it. */
static void storm(size_t length)
{
    struct zs_class *class = class_of_length(length);
    struct writer writer[STORM_THREADS];
    pthread_t thread[STORM_THREADS];
    write_blocks(0, 2u * class->objects, length);
    assert_int_equal(class->zspages[ZS_GROUP_FULL], zspages_of(class));
    uint64_t before = zspages_of(class);

    lock_acquire(&class->lock);
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        writer[i] = (struct writer){.block = 2000 + i, .length = length};
        thread[i] = thread_start(write_one_block, &writer[i]);
    }
    wait_until(atomic_load(&class->lock.waiting) == STORM_THREADS);
    lock_release(&class->lock);
    for (unsigned i = 0; i < STORM_THREADS; i++)
        thread_join(thread[i]);

    uint64_t needed = (STORM_THREADS + class->objects - 1u) / class->objects;
    assert_int_equal(zspages_of(class) - before, needed);
    test_pool_check(&pool);
    drop_blocks(0, 2u * class->objects);
    drop_blocks(2000, STORM_THREADS);
}

/* A driver that did it wrong would have to be unlucky to be seen once: so it is done often. */
#define STORMS 20

static void sixty_four_threads_that_find_a_class_full_at_once_make_one_zspage(void **state)
{
    (void)state;
    assert_true(class_of_length(200)->objects >= STORM_THREADS);
    assert_true(class_of_length(1000)->objects >= STORM_THREADS);
    for (unsigned i = scaled(STORMS); i > 0; i--) {
        storm(200);
        storm(1000);
    }
}

static void threads_that_need_more_than_one_zspage_make_no_more_than_they_need(void **state)
{
    (void)state;
    assert_true(class_of_length(3900)->objects < STORM_THREADS);
    storm(3900);
    assert_true(class_of_length(2500)->objects < STORM_THREADS);
    storm(2500);
}

/* ---- compaction ---- */

/* `zspages` full zspages of that length, of which every one then keeps `kept` objects. */
static void make_sparse(size_t length, unsigned zspages, unsigned kept)
{
    struct zs_class *class = class_of_length(length);
    write_blocks(0, zspages * class->objects, length);
    assert_int_equal(zspages_of(class), zspages);
    for (unsigned i = 0; i < zspages; i++)
        drop_blocks(i * class->objects + kept, class->objects - kept);
}

static void compaction_frees_exactly_the_zspages_that_can_be_saved(void **state)
{
    (void)state;
    static const size_t lengths[] = {28, 100, 555, 1000, 2000, 3900};
    for (size_t i = 0; i < array_count(lengths); i++) {
        struct zs_class *class = class_of_length(lengths[i]);
        unsigned zspages = 4000u / class->objects < 9 ? 4000u / class->objects : 9;
        for (unsigned kept = 1; kept < class->objects; kept += 1u + class->objects / 7) {
            make_sparse(lengths[i], zspages, kept);
            unsigned left = (zspages * kept + class->objects - 1u) / class->objects;
            struct zpool_class_statistics statistics;
            zpool_class_statistics(pool.zpool, class->index, &statistics);
            assert_int_equal(statistics.pages_freeable, (zspages - left) * class->pages);

            assert_int_equal(zpool_compact(pool.zpool, NO_LIMIT), (zspages - left) * class->pages);
            assert_int_equal(zspages_of(class), left);
            zpool_class_statistics(pool.zpool, class->index, &statistics);
            assert_int_equal(statistics.pages_freeable, 0);
            assert_int_equal(statistics.objects_used, zspages * kept);
            test_pool_check(&pool);
            assert_int_equal(zpool_compact(pool.zpool, NO_LIMIT), 0);
            drop_blocks(0, zspages * class->objects);
            zpool_settle(pool.zpool, NO_LIMIT);
        }
    }
}

static void compaction_moves_no_object_in_vain(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    make_sparse(1000, 6, class->objects / 3u);
    zpool_compact(pool.zpool, NO_LIMIT);
    /* Six thirds make two zspages: at most four were emptied, each object moved once. */
    assert_in_range(class->moved, 1, 4 * (class->objects / 3u));
    assert_int_equal(class->skipped, 0);
}

static void busy_owner_keeps_its_zspage_and_no_other(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    unsigned kept = class->objects / 5u;
    make_sparse(1000, 12, kept);
    /* One object is busy in each of four zspages, among them the first that is to be emptied. */
    static const unsigned busy[] = {11, 9, 6, 2};
    for (size_t i = 0; i < array_count(busy); i++)
        block_lock(&pool, busy[i] * class->objects + (unsigned)i);
    struct zpool_quota quota = {.objects = 100000};
    zpool_compact(pool.zpool, &quota);
    assert_true(quota.objects > 100000 - 13u * kept); /* None is tried again and again. */
    assert_in_range(class->skipped, 2, 4);
    /* At most the four that are stuck, and what all the rest needs. */
    unsigned rest = (12 * kept + class->objects - 1u) / class->objects;
    assert_true(zspages_of(class) <= 4 + rest);
    for (size_t i = 0; i < array_count(busy); i++)
        block_unlock(&pool, busy[i] * class->objects + (unsigned)i);
    test_pool_check(&pool);
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_equal(zspages_of(class), rest);
}

static void class_whose_owners_are_all_busy_does_not_stop_the_others(void **state)
{
    (void)state;
    struct zs_class *busy = class_of_length(300), *other = class_of_length(3000);
    assert_true(busy->index < other->index);
    make_sparse(300, 3, 10);
    unsigned busy_blocks = 3u * busy->objects;
    write_blocks(busy_blocks, 4u * other->objects, 3000);
    for (unsigned i = 0; i < 4; i++)
        drop_blocks(busy_blocks + i * other->objects + 1, other->objects - 1u);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < 10; j++)
            block_lock(&pool, i * busy->objects + j);
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_equal(zspages_of(busy), 3);
    assert_int_equal(zspages_of(other), 1);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < 10; j++)
            block_unlock(&pool, i * busy->objects + j);
}

static void compaction_without_room_in_the_budget_loses_nothing_and_ends(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    make_sparse(1000, 6, class->objects / 3u);
    zpool_settle(pool.zpool, NO_LIMIT); /* Targets have no resident page to spare. */
    pages_trim(pool.pages, 0, UINT64_MAX);
    budget_set_limit(&pool.budget, atomic_load(&pool.budget.used_pages));
    zpool_compact(pool.zpool, NO_LIMIT);
    test_pool_check(&pool);
    budget_set_limit(&pool.budget, UINT64_MAX);
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_equal(zspages_of(class), 2);
}

/* ---- settling ---- */

/* The pages that n objects at the front need. */
static uint64_t pages_for(const struct zs_class *class, unsigned objects)
{
    return ((uint64_t)objects * class->size_bytes + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;
}

static void settling_moves_objects_to_the_front_and_discards_exactly_the_idle_pages(void **state)
{
    (void)state;
    static const size_t lengths[] = {100, 1000, 2500, 3900};
    for (size_t i = 0; i < array_count(lengths); i++) {
        struct zs_class *class = class_of_length(lengths[i]);
        write_blocks(0, class->objects, lengths[i]);
        struct zspage *zspage = zspage_of_block(0);
        /* Every fifth object stays, the last one too. */
        unsigned left = 0;
        for (block_no block = 0; block < class->objects; block++)
            if (block % 5 == 0 || block == class->objects - 1u)
                left++;
            else
                block_drop(&pool, block);
        uint64_t before = owned_resident();
        uint64_t idle = class->pages - pages_for(class, left);
        assert_int_equal(zpool_settle(pool.zpool, NO_LIMIT), idle);
        assert_int_equal(owned_resident(), before - idle);
        assert_int_equal(zspage->desc.resident, page_run_mask((unsigned)pages_for(class, left)));
        for (unsigned place = 0; place < class->objects; place++)
            assert_int_equal(bitmap_test(zspage->used, place), place < left);
        check_residency();
        test_pool_check(&pool);
        assert_int_equal(zpool_settle(pool.zpool, NO_LIMIT), 0);

        write_blocks(2000, class->objects - left, lengths[i]); /* All places are of use again. */
        assert_int_equal(zspages_of(class), 1);
        test_pool_check(&pool);
        check_residency();
        drop_blocks(0, class->objects);
        drop_blocks(2000, class->objects);
        zpool_settle(pool.zpool, NO_LIMIT);
    }
}

static void busy_object_at_the_end_keeps_its_page_and_all_others_are_given_back(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    write_blocks(0, class->objects, 1000);
    struct zspage *zspage = zspage_of_block(0);
    drop_blocks(1, class->objects - 2u);
    block_lock(&pool, class->objects - 1u);
    zpool_settle(pool.zpool, NO_LIMIT);
    page_mask kept = zspage_place_pages(class, 0) | zspage_place_pages(class, class->objects - 1u);
    assert_int_equal(zspage->desc.resident, kept);
    check_residency();
    block_unlock(&pool, class->objects - 1u);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_equal(zspage->desc.resident, zspage_place_pages(class, 0));
    check_residency();
}

static void full_and_tight_zspages_are_not_touched_by_settling(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    write_blocks(0, class->objects + 3u, 1000);
    struct zpool_quota quota = {.objects = 1000};
    assert_int_equal(zpool_settle(pool.zpool, &quota), 0);
    assert_int_equal(quota.objects, 1000);
    assert_int_equal(class->moved, 0);
}

/* ---- statistics ---- */

static void class_statistics_have_the_kernels_columns(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(1000);
    /* One full, one half full, one with a single object, one empty. */
    write_blocks(0, 4u * class->objects, 1000);
    drop_blocks(class->objects, class->objects / 2u);
    drop_blocks(2u * class->objects, class->objects - 1u);
    drop_blocks(3u * class->objects, class->objects);
    struct zpool_class_statistics statistics;
    assert_true(zpool_class_statistics(pool.zpool, class->index, &statistics));
    assert_int_equal(statistics.size_bytes, class->size_bytes);
    assert_int_equal(statistics.zspages[ZS_GROUP_FULL], 1);
    assert_int_equal(
        statistics.zspages[zs_fullness_group(class->objects - class->objects / 2u, class->objects)],
        1);
    assert_int_equal(statistics.zspages[ZS_GROUP_FIRST_PARTIAL], 1);
    assert_int_equal(statistics.zspages[ZS_GROUP_EMPTY], 1);
    assert_int_equal(statistics.objects_allocated, 4u * class->objects);
    assert_int_equal(statistics.objects_used, 2u * class->objects - class->objects / 2u + 1);
    assert_int_equal(statistics.pages_used, 4u * class->pages);
    assert_int_equal(statistics.pages_per_zspage, class->pages);
    assert_int_equal(statistics.objects_per_zspage, class->objects);
    assert_int_equal(statistics.pages_freeable, 2u * class->pages);
}

/* ---- the validator ---- */

printf_like(1, 2) static void expect_fault(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    struct kept_report kept;
    kept_report_init(&kept);
    zpool_validate(pool.zpool, &kept.report);
    assert_true(kept_report_says(&kept, text));
}

static void set_word(pfn page, uint64_t word)
{
    atomic_store(&pool.zpool->map.words[page], word);
}

static void corrupted_owner_field_is_reported_with_its_place_and_block(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(600);
    write_blocks(0, 20, 600);
    struct zpool_handle object = block_object(&pool, 7);
    _Atomic block_no *field = zs_owner_field(zs, class, object);
    static const block_no wrong[] = {8, 4000, UINT32_MAX};
    for (size_t i = 0; i < array_count(wrong); i++) {
        atomic_store(field, wrong[i]);
        expect_fault("object at position %llu (class %u, pfn %u, place 7) says it belongs to block "
                     "%u, whose slot names another place",
                     (unsigned long long)object.position, class->size_bytes,
                     zpdesc_first(&zspage_of_block(7)->desc), wrong[i]);
    }
    atomic_store(field, 7);
}

static void corrupted_word_of_a_zspages_page_is_reported(void **state)
{
    (void)state;
    write_blocks(0, 20, 600);
    write_blocks(20, 1, 3000);
    struct zspage *zspage = zspage_of_block(0), *other = zspage_of_block(20);
    pfn first = zpdesc_first(&zspage->desc), page = first + 1;
    uint64_t word = pages_desc(&pool.zpool->map, page).word;

    set_word(page, MEM_DESC_FREE);
    expect_fault("pfn %u: its mem_desc says free (nil), expected zsmalloc %p", page,
                 (void *)zspage);
    set_word(page, word - MEM_DESC_ZSMALLOC + MEM_DESC_ZBUD);
    expect_fault("pfn %u: its mem_desc says zbud %p, expected zsmalloc %p", page, (void *)zspage,
                 (void *)zspage);
    set_word(page, (uintptr_t)other | MEM_DESC_ZSMALLOC);
    expect_fault("pfn %u: its mem_desc says zsmalloc %p, expected zsmalloc %p", page, (void *)other,
                 (void *)zspage);
    expect_fault("pfn %u: its zspage says pfn %u to %u", page, zpdesc_first(&other->desc),
                 zpdesc_first(&other->desc) + other->desc.count - 1);
    /* Whatever the bits are, nothing is looked at that isn't a zspage. */
    for (unsigned bit = MEM_DESC_TYPE_BITS; bit < 64; bit++) {
        set_word(page, word ^ UINT64_C(1) << bit);
        expect_fault("pfn %u: its mem_desc says zsmalloc %#llx, expected zsmalloc %p", page,
                     (unsigned long long)((word ^ UINT64_C(1) << bit) & ~MEM_DESC_TYPE_MASK),
                     (void *)zspage);
    }
    set_word(page, word);

    /* A word of a page that is no zspage's. */
    pfn free_page = first + zspage->desc.count + 100;
    uint64_t free_word = pages_desc(&pool.zpool->map, free_page).word;
    set_word(free_page, word);
    expect_fault("pfn %u: its zspage says pfn %u to %u", free_page, first,
                 first + zspage->desc.count - 1);
    set_word(free_page, 0x1234560 | MEM_DESC_ZSMALLOC);
    expect_fault("pfn %u: its mem_desc says zsmalloc 0x1234560, which is no zspage", free_page);
    set_word(free_page, free_word);
}

static void corrupted_descriptor_is_reported_field_by_field(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(600);
    write_blocks(0, 20, 600);
    struct zspage *zspage = zspage_of_block(0);
    pfn first = zpdesc_first(&zspage->desc);
    struct zspage good = *zspage;

    zspage->desc.used_count = 19;
    expect_fault("zspage at pfn %u: used_count is 19, expected 20 bits", first);
    *zspage = good;
    bitmap_set(zspage->used, 30);
    expect_fault("zspage at pfn %u: used_count is 20, expected 21 bits", first);
    *zspage = good;
    bitmap_set(zspage->used, 255);
    assert_true(class->objects < 255);
    expect_fault("zspage at pfn %u: place 255 is used, expected below %u", first, class->objects);
    *zspage = good;
    zspage->desc.group = 9;
    expect_fault("zspage at pfn %u: is in group 9, expected %u", first, good.desc.group);
    expect_fault("zspage at pfn %u: says class %u group 9, is in class %u group %u", first,
                 class->index, class->index, good.desc.group);
    *zspage = good;
    zspage->desc.count = 1;
    expect_fault("zspage at pfn %u: has 1 pages, expected %u", first, class->pages);
    *zspage = good;
    zspage->desc.resident &= ~(page_mask)2;
    expect_fault("zspage at pfn %u: objects on pages %#x, but resident are only %#x", first,
                 good.desc.resident, good.desc.resident & ~(page_mask)2);
    *zspage = good;
    zpdesc_set_state(&zspage->desc, ZPDESC_ISOLATED);
    expect_fault("zspage at pfn %u: is in a list, but its state is %d", first, ZPDESC_ISOLATED);
    *zspage = good;
    atomic_store(&zspage->desc.class_index, (uint8_t)(class->index + 1));
    expect_fault("zspage at pfn %u: says class %u group %u", first, class->index + 1u,
                 good.desc.group);
    *zspage = good;
    atomic_store(&zspage->desc.first, first + 1);
    expect_fault("pfn %u: its zspage says pfn %u to %u", first, first + 1, first + class->pages);
    atomic_store(&zspage->desc.first, UINT32_MAX);
    expect_fault("zspage at pfn %u: expected below %llu", UINT32_MAX,
                 (unsigned long long)pool.zpool->map.page_count);
    *zspage = good;
}

static void corrupted_lists_and_counts_of_a_class_are_reported(void **state)
{
    (void)state;
    struct zs_class *class = class_of_length(600);
    write_blocks(0, class->objects + 20u, 600);
    struct zspage *zspage = zspage_of_block(class->objects);
    unsigned group = zspage->desc.group;
    struct zspage good = *zspage;

    class->objects_used--;
    expect_fault("class %u: objects_used is %u, its zspages have %u", class->size_bytes,
                 class->objects + 19, class->objects + 20);
    class->objects_used++;
    class->zspages[group]++;
    expect_fault("class %u: 1 zspages in group %u, counted 2", class->size_bytes, group);
    class->zspages[group]--;
    class->filled ^= (uint16_t)(1u << group);
    expect_fault("class %u: the bit of group %u says 0, it has 1 zspages", class->size_bytes,
                 group);
    class->filled ^= (uint16_t)(1u << group) | 1u << 5;
    expect_fault("class %u: the bit of group 5 says 1, it has 0 zspages", class->size_bytes);
    class->filled ^= 1u << 5;

    /* A zspage that got lost, one in a wrong list, links that lead nowhere. */
    list_remove(&zspage->desc.list);
    expect_fault("1 zspages are in lists, 2 are described by words, 2 descriptors are used");
    list_add(&class->group[8], &zspage->desc.list);
    expect_fault("zspage at pfn %u: says class %u group %u, is in class %u group 8",
                 zpdesc_first(&zspage->desc), class->index, group, class->index);
    list_remove(&zspage->desc.list);
    list_add(&class->group[group], &zspage->desc.list);
    zspage->desc.list.next = (struct list *)0x123450;
    expect_fault("class %u: the list of group %u leads to 0x123450, expected a zspage that links "
                 "back",
                 class->size_bytes, group);
    zspage->desc.list.next = &zspage->desc.list;
    expect_fault("class %u: the list of group %u leads to %p, expected a zspage that links back",
                 class->size_bytes, group, (void *)zspage);
    *zspage = good;
    zs->zspages.used_count++;
    expect_fault("2 zspages are in lists, 2 are described by words, 3 descriptors are used");
    zs->zspages.used_count--;
}

#define pool_test(test) cmocka_unit_test_setup_teardown(test, make_pool, end_pool)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        pool_test(lowest_free_place_of_the_fullest_zspage_is_taken),
        pool_test(zspage_costs_only_the_pages_that_objects_have_reached),
        pool_test(objects_of_a_class_are_neighbours_without_a_gap),
        pool_test(last_empty_zspage_of_a_class_is_kept_and_used_again),
        pool_test(sixty_four_threads_that_find_a_class_full_at_once_make_one_zspage),
        pool_test(threads_that_need_more_than_one_zspage_make_no_more_than_they_need),
        pool_test(compaction_frees_exactly_the_zspages_that_can_be_saved),
        pool_test(compaction_moves_no_object_in_vain),
        pool_test(busy_owner_keeps_its_zspage_and_no_other),
        pool_test(class_whose_owners_are_all_busy_does_not_stop_the_others),
        pool_test(compaction_without_room_in_the_budget_loses_nothing_and_ends),
        pool_test(settling_moves_objects_to_the_front_and_discards_exactly_the_idle_pages),
        pool_test(busy_object_at_the_end_keeps_its_page_and_all_others_are_given_back),
        pool_test(full_and_tight_zspages_are_not_touched_by_settling),
        pool_test(class_statistics_have_the_kernels_columns),
        pool_test(corrupted_owner_field_is_reported_with_its_place_and_block),
        pool_test(corrupted_word_of_a_zspages_page_is_reported),
        pool_test(corrupted_descriptor_is_reported_field_by_field),
        pool_test(corrupted_lists_and_counts_of_a_class_are_reported),
    };
    test_program_begin("zsmalloc-test");
    return cmocka_run_group_tests_name("zsmalloc", tests, NULL, NULL);
}
