/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpool-misuse-test.c: what every zpool driver does with sizes and handles that are wrong.
 *
 * A checked build aborts on a handle that names no object, so each such call is made in a child
 * process, which must end by SIGABRT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zpool/zpool.h"

/* Nothing is moved here, so no owner is ever asked. */
static const struct zpool_owner nobody;

struct store {
    struct budget budget;
    struct pages *pages;
    struct zpool *pool;
};

static void store_open(struct store *store, const struct zpool_driver *driver)
{
    budget_init(&store->budget, UINT64_MAX);
    assert_int_equal(pages_create(8 * ARENA_PAGES, &store->budget, &store->pages), 0);
    struct zpool_config config = {
        .pages = store->pages, .owner = &nobody, .zspage_pages_max = ZSPAGE_PAGES_DEFAULT};
    assert_int_equal(zpool_create(driver, &config, &store->pool), 0);
}

static void store_close(struct store *store)
{
    zpool_destroy(store->pool);
    pages_destroy(store->pages);
}

/* Frees the handle in a child process; true if that was the child's end, by SIGABRT. */
static bool free_aborts(struct zpool *pool, struct zpool_handle handle)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)freopen("/dev/null", "w", stderr); /* its message is expected */
        zpool_free(pool, handle);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_size_that_no_driver_takes_is_refused_before_anything_changes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, PAGE_SIZE_BYTES + 1, SIZE_MAX};
    for (size_t d = 0; zpool_driver_at(d) != NULL; d++) {
        struct store store;
        store_open(&store, zpool_driver_at(d));
        for (size_t i = 0; i < array_count(sizes); i++) {
            struct zpool_handle object = {1};
            assert_int_equal(zpool_alloc(store.pool, sizes[i], 0, &object), -EINVAL);
            assert_int_equal(object.position, 0);
            assert_int_equal(atomic_load(&store.budget.used_pages), 0);
        }
        store_close(&store);
    }
}

static void an_object_freed_twice_is_caught(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 2000, 3900, PAGE_SIZE_BYTES};
    for (size_t d = 0; zpool_driver_at(d) != NULL; d++)
        for (size_t i = 0; i < array_count(sizes); i++) {
            struct store store;
            struct zpool_handle neighbour, object;
            store_open(&store, zpool_driver_at(d));
            assert_int_equal(zpool_alloc(store.pool, sizes[i], 0, &neighbour), 0);
            assert_int_equal(zpool_alloc(store.pool, sizes[i], 1, &object), 0);
            zpool_free(store.pool, object);
            assert_true(free_aborts(store.pool, object));
            assert_false(free_aborts(store.pool, neighbour));
            store_close(&store);
        }
}

static void a_handle_of_another_pool_is_caught(void **state)
{
    (void)state;
    for (size_t d = 0; zpool_driver_at(d) != NULL; d++) {
        struct store own, other;
        struct zpool_handle object;
        store_open(&own, zpool_driver_at(d));
        store_open(&other, zpool_driver_at(d));
        assert_int_equal(zpool_alloc(other.pool, 500, 0, &object), 0);
        assert_true(free_aborts(own.pool, object));
        store_close(&other);
        store_close(&own);
    }
}

static void a_handle_outside_of_the_pool_is_caught(void **state)
{
    (void)state;
    for (size_t d = 0; zpool_driver_at(d) != NULL; d++) {
        struct store store;
        store_open(&store, zpool_driver_at(d));
        assert_true(free_aborts(store.pool, (struct zpool_handle){0}));
        assert_true(free_aborts(store.pool, zpool_handle_at(8 * ARENA_PAGES, 0)));
        store_close(&store);
    }
}

int main(void)
{
    static const struct CMUnitTest zpool_misuse[] = {
        cmocka_unit_test(a_size_that_no_driver_takes_is_refused_before_anything_changes),
        cmocka_unit_test(an_object_freed_twice_is_caught),
        cmocka_unit_test(a_handle_of_another_pool_is_caught),
        cmocka_unit_test(a_handle_outside_of_the_pool_is_caught),
    };
    return cmocka_run_group_tests(zpool_misuse, NULL, NULL);
}
