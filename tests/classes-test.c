/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * classes-test.c: zsmalloc's size classes against the kernel's figures, and the arithmetic on them.
 */
#include "tests/support.h"

#include "zpool/zsmalloc/zsmalloc.h"

/* Classes, the whole page's counted, and the largest size below a page. 32 is not the kernel's. */
static void table_has_the_kernels_classes_for_each_chain_length(void **state)
{
    (void)state;
    static const struct {
        unsigned chain, classes, largest;
    } figures[] = {{4, 69, 3264}, {8, 119, 3632}, {16, 192, 3840}, {32, 241, 3968}};
    for (size_t i = 0; i < array_count(figures); i++) {
        struct zs_class_table table;
        zs_class_table_init(&table, figures[i].chain);
        assert_int_equal(table.count, figures[i].classes);
        assert_int_equal(table.shape[table.count - 2].size_bytes, figures[i].largest);
        assert_int_equal(table.shape[table.count - 1].size_bytes, PAGE_SIZE_BYTES);
    }
}

/* The kernel's rule by itself: the fewest pages that leave the least unused at the end. */
static struct zs_class_shape best_shape(unsigned size, unsigned chain)
{
    unsigned best = 1;
    for (unsigned pages = 1; pages <= chain; pages++)
        if (pages * PAGE_SIZE_BYTES % size < best * PAGE_SIZE_BYTES % size)
            best = pages;
    return (struct zs_class_shape){.size_bytes = (uint16_t)size,
                                   .objects = (uint16_t)(best * PAGE_SIZE_BYTES / size),
                                   .pages = (uint8_t)best};
}

static void every_size_goes_into_a_class_with_its_shape_that_has_room_for_it(void **state)
{
    (void)state;
    for (unsigned chain = 1; chain <= ZS_CHAIN_MAX; chain++) {
        struct zs_class_table table;
        zs_class_table_init(&table, chain);
        unsigned previous = 0;
        for (unsigned size = 1; size <= PAGE_SIZE_BYTES; size++) {
            unsigned index = zs_class_index(&table, size);
            assert_true(index < table.count);
            assert_true(index == previous || index == previous + 1);
            previous = index;

            const struct zs_class_shape *shape = &table.shape[index];
            assert_true(size <= shape->size_bytes);
            unsigned steps = (size + ZS_SIZE_STEP - 1) / ZS_SIZE_STEP;
            struct zs_class_shape own =
                best_shape(steps > 2 ? steps * ZS_SIZE_STEP : ZS_SIZE_MIN, chain);
            assert_int_equal(shape->pages, own.pages);
            assert_int_equal(shape->objects, own.objects);
        }
        assert_int_equal(previous, table.count - 1);
    }
}

static void classes_differ_in_shape_and_their_zspages_fit_masks_and_bitmaps(void **state)
{
    (void)state;
    for (unsigned chain = 1; chain <= ZS_CHAIN_MAX; chain++) {
        struct zs_class_table table;
        zs_class_table_init(&table, chain);
        for (unsigned i = 0; i < table.count; i++) {
            const struct zs_class_shape *shape = &table.shape[i];
            assert_in_range(shape->pages, 1, chain);
            assert_in_range(shape->objects, 1, ZS_OBJECTS_MAX);
            assert_true(shape->objects * shape->size_bytes <= shape->pages * PAGE_SIZE_BYTES);
            assert_int_equal(shape->size_bytes % ZPOOL_UNIT_BYTES, 0);
            if (i > 0) {
                assert_true(shape->size_bytes > shape[-1].size_bytes);
                assert_false(shape->pages == shape[-1].pages &&
                             shape->objects == shape[-1].objects);
            }
        }
    }
}

/* Of each class of pools of several chain lengths: every byte of its zspages, and every handle. */
static void every_offset_in_a_zspage_is_divided_exactly(void **state)
{
    (void)state;
    for (unsigned chain = 1; chain <= ZS_CHAIN_MAX; chain *= 2) {
        struct test_pool pool;
        test_pool_make(&pool, &(struct test_pool_options){
                                  .driver = &zsmalloc_driver, .arenas = 1, .zspage_pages = chain});
        struct zs_pool *zs = zs_pool_of(pool.zpool);
        struct zspage zspage = {0};
        for (unsigned i = 0; i < zs_class_count(zs); i++) {
            const struct zs_class *class = &zs->class[i];
            for (unsigned offset = 0; offset < class->pages * PAGE_SIZE_BYTES; offset++) {
                unsigned place = (unsigned)((uint64_t)offset * class->reciprocal >> 32);
                if (place != offset / class->size_bytes)
                    fault("chain %u: %u / %u is said to be %u", chain, offset, class->size_bytes,
                          place);
            }
            for (unsigned place = 0; place < class->objects; place++)
                if (zspage_place(class, &zspage, zspage_handle(class, &zspage, place)) != place)
                    fault("chain %u: class %u does not find place %u again", chain,
                          class->size_bytes, place);
        }
        test_pool_end(&pool);
    }
}

static void fullness_groups_are_tenths_with_empty_and_full_apart(void **state)
{
    (void)state;
    for (unsigned objects = 1; objects <= ZS_OBJECTS_MAX; objects++) {
        assert_int_equal(zs_fullness_group(0, objects), ZS_GROUP_EMPTY);
        assert_int_equal(zs_fullness_group(objects, objects), ZS_GROUP_FULL);
        for (unsigned used = 1; used < objects; used++) {
            unsigned group = zs_fullness_group(used, objects);
            assert_in_range(group, ZS_GROUP_FIRST_PARTIAL, ZS_GROUP_FULL - 1);
            /* Group g: (g-1) tenths are used, and not g tenths. */
            assert_true(used * 10 >= (group - 1) * objects && used * 10 < group * objects);
        }
    }
    assert_int_equal(ZS_GROUP_COUNT, ZPOOL_GROUP_COUNT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_has_the_kernels_classes_for_each_chain_length),
        cmocka_unit_test(every_size_goes_into_a_class_with_its_shape_that_has_room_for_it),
        cmocka_unit_test(classes_differ_in_shape_and_their_zspages_fit_masks_and_bitmaps),
        cmocka_unit_test(every_offset_in_a_zspage_is_divided_exactly),
        cmocka_unit_test(fullness_groups_are_tenths_with_empty_and_full_apart),
    };
    test_program_begin("classes-test");
    return cmocka_run_group_tests_name("classes", tests, NULL, NULL);
}
