/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * swap-check-test.c: what uzram swap check sees in a /proc and a /sys that are made up, and what it
 * thinks of facts that are (tool/swap/facts.h); the devices and the state it goes by.
 */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "tool/swap/nbd_device.h"
#include "tool/swap/facts.h"
#include "tool/swap/state.h"

#define SERVER 4321
#define CLIENT 4322

static char root[32], proc[64], sys[64], blocks[64];
static struct swap_facts facts;
static struct text lines;

/* Makes a file below root, with the folders above it. */
static void put(const char *path, const char *content)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *slash = whole + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(whole, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void put_link(const char *path, const char *target)
{
    char whole[256];
    put(path, "");
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    unlink(whole);
    assert_int_equal(symlink(target, whole), 0);
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static int begin(void **state)
{
    (void)state;
    strcpy(root, "/tmp/uzram-test-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    snprintf(proc, sizeof proc, "%s/proc", root);
    snprintf(sys, sizeof sys, "%s/sys", root);
    snprintf(blocks, sizeof blocks, "%s/sys/block", root);
    facts = (struct swap_facts){.server = SERVER, .device = "/dev/nbd2"};
    lines = text_of_limit(16384);
    return 0;
}

static int end(void **state)
{
    (void)state;
    text_free(&lines);
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- devices and state ---- */

static bool take_but(void *context, const char *name)
{
    const char *not_this = context;
    return strcmp(name, not_this) != 0;
}

static void the_first_free_device_is_found_in_the_order_of_numbers(void **state)
{
    char name[NBD_NAME_BYTES], none[] = "", second[] = "nbd2";
    (void)state;
    assert_false(nbd_is_there(blocks));
    put("sys/block/sda/size", "100\n");
    assert_false(nbd_is_there(blocks));
    put("sys/block/nbd10/size", "0\n");
    put("sys/block/nbd2/size", "0\n");
    put("sys/block/nbd1/size", "2048\n");
    put("sys/block/nbd0/size", "0\n");
    put("sys/block/nbd0/pid", "17\n");
    assert_true(nbd_is_there(blocks));
    assert_true(nbd_find_free(blocks, take_but, none, name));
    assert_string_equal(name, "nbd2");
    assert_true(nbd_find_free(blocks, take_but, second, name));
    assert_string_equal(name, "nbd10");
    assert_false(nbd_is_free(blocks, "nbd0"));
    assert_false(nbd_is_free(blocks, "nbd1"));
    assert_false(nbd_is_free(blocks, "nbd3"));
    assert_int_equal(nbd_pid(blocks, "nbd0"), 17);
    assert_int_equal(nbd_size_bytes(blocks, "nbd1"), MIB);
}

static void requests_are_made_no_longer_than_they_are(void **state)
{
    (void)state;
    put("sys/block/nbd0/queue/max_sectors_kb", "1280\n");
    assert_int_equal(nbd_tune(blocks, "nbd0"), 0);
    assert_int_equal(nbd_request_kib(blocks, "nbd0"), 128);
    put("sys/block/nbd0/queue/max_sectors_kb", "64\n");
    assert_int_equal(nbd_tune(blocks, "nbd0"), 0);
    assert_int_equal(nbd_request_kib(blocks, "nbd0"), 64);
    assert_int_equal(nbd_tune(blocks, "nbd1"), -ENOENT);
}

static void a_state_is_read_as_it_was_written(void **state)
{
    struct swap_state written, read, *all;
    (void)state;
    swap_state_name(&written, root, "nbd3");
    written.server = 99;
    assert_int_equal(swap_state_write(&written), 0);
    assert_int_equal(swap_state_read(&read, root, "nbd3"), 0);
    assert_memory_equal(&written, &read, sizeof read);
    assert_int_equal(swap_state_read(&read, root, "nbd4"), -ENOENT);

    put_link("swap-nbd1.state", "server=7");
    put("swap-nbd5.state", "server=7");
    put_link("swap-nbd6.state", "server=0");
    put_link("swap-nbd7.state", "nothing");
    put_link("swap-nbdx.state", "server=7");
    put("swap-nbd8.sock", "");
    assert_int_equal(swap_state_read(&read, root, "nbd5"), -EPROTO);
    assert_int_equal(swap_state_read(&read, root, "nbd6"), -EPROTO);
    assert_int_equal(swap_state_list(root, &all), 2);
    assert_string_equal(all[0].device, "/dev/nbd1");
    assert_string_equal(all[1].device, "/dev/nbd3");
    free(all);
    assert_int_equal(swap_state_list("/no/such/folder", &all), 0);
    free(all);
}

static void a_process_is_known_by_its_arguments(void **state)
{
    (void)state;
    assert_true(process_has_argument(getpid(), program_invocation_name));
    assert_false(process_has_argument(getpid(), "no such argument"));
    assert_false(process_has_argument(0, program_invocation_name));
}

static void swap_is_found_by_its_whole_name(void **state)
{
    char path[128];
    struct swap_use use;
    (void)state;
    put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\nother\n"
                      "/dev/nbd12      partition\t434172\t\t1024\t\t100\n/dev/nbd3\tx\n");
    snprintf(path, sizeof path, "%s/swaps", proc);
    assert_true(swap_is_used(path, "/dev/nbd12", &use));
    assert_int_equal(use.size_bytes, 434172 * KIB);
    assert_int_equal(use.used_bytes, MIB);
    assert_true(swap_is_used(path, "/dev/nbd3", NULL));
    assert_false(swap_is_used(path, "/dev/nbd1", NULL));
    assert_false(swap_is_used("/no/such/file", "/dev/nbd3", NULL));
}

/* ---- facts ---- */

static void the_system_is_seen(void **state)
{
    (void)state;
    put("proc/sys/vm/min_free_kbytes", "67584\n");
    put("proc/sys/vm/watermark_scale_factor", "10\n");
    swap_look_at_system(&facts, proc);
    assert_int_equal(facts.min_free_kib, 67584);
    assert_int_equal(facts.watermark_scale, 10);
    assert_int_equal(facts.page_cluster, 0);
}

static void the_device_and_its_client_are_seen(void **state)
{
    (void)state;
    put("proc/swaps", "Filename\n/dev/nbd2 partition\n");
    put("sys/block/nbd2/pid", "4322\n");
    put("sys/block/nbd2/queue/max_sectors_kb", "1280\n");
    swap_look_at_device(&facts, proc, sys);
    assert_true(facts.is_swap);
    assert_int_equal(facts.client, CLIENT);
    assert_int_equal(facts.request_kib, 1280);
}

static void sockets_of_the_network_are_told_from_others(void **state)
{
    (void)state;
    put_link("proc/4321/fd/3", "socket:[100]");
    put_link("proc/4321/fd/4", "socket:[200]");
    put_link("proc/4321/fd/5", "/dev/null");
    put_link("proc/4321/fd/6", "socket:[300]");
    put("proc/4321/net/tcp", "  sl  local_address\n"
                             "   0: 0100007F:2A39 00000000:0000 0A 00000000:00000000 00:00000000 "
                             "00000000     0        0 300 1 0000000000000000 100 0 0 10 0\n");
    put("proc/4321/net/tcp6", "  sl  local_address\n");
    swap_look_at_server(&facts, proc, sys);
    assert_int_equal(facts.sockets, 3);
    assert_int_equal(facts.network_sockets, 1);
}

static void a_limit_of_any_group_above_the_server_is_seen(void **state)
{
    (void)state;
    put("proc/4321/cgroup", "9:name=systemd:/x\n4:memory:/y\n0::/system.slice/swap.service\n");
    put("sys/fs/cgroup/system.slice/swap.service/memory.max", "max\n");
    put("sys/fs/cgroup/system.slice/swap.service/memory.high", "max\n");
    swap_look_at_server(&facts, proc, sys);
    assert_string_equal(facts.memory_limit, "");
    put("sys/fs/cgroup/unified/system.slice/memory.high", "1048576\n");
    swap_look_at_server(&facts, proc, sys);
    assert_string_equal(facts.memory_limit, "memory.high of /system.slice is 1048576");
    put("sys/fs/cgroup/system.slice/swap.service/memory.max", "2097152\n");
    swap_look_at_server(&facts, proc, sys);
    assert_string_equal(facts.memory_limit, "memory.max of /system.slice/swap.service is 2097152");
}

static void the_kernels_log_tells_of_discards(void **state)
{
    static const char log[] =
        "<6>[    1.0] Adding 65532k swap on /dev/nbd0.  Priority:100 extents:1 across:65532k "
        "SSDsc\n"
        "<6>[    2.0] Adding 65532k swap on /dev/nbd1.  Priority:100 extents:1 across:65532k SS\n"
        "<6>[    3.0] Adding 65532k swap on /dev/nbd2.  Priority:100 extents:1 across:65532k \n"
        "<6>[    4.0] Adding 65532k swap on /dev/nbd3.  Priority:1 extents:1 across:65532k SSDs\n"
        "<6>[    5.0] Adding 65532k swap on /dev/nbd4.  Priority:1 extents:1 across:65532k SSDsc\n"
        "<6>[    6.0] Adding 65532k swap on /dev/nbd4.  Priority:1 extents:1 across:65532k SS";
    (void)state;
    assert_int_equal(swap_log_discards(log, "/dev/nbd0"), SWAP_YES);
    assert_int_equal(swap_log_discards(log, "/dev/nbd1"), SWAP_NO);
    assert_int_equal(swap_log_discards(log, "/dev/nbd2"), SWAP_NO);
    assert_int_equal(swap_log_discards(log, "/dev/nbd3"), SWAP_NO);
    assert_int_equal(swap_log_discards(log, "/dev/nbd4"), SWAP_NO);
    assert_int_equal(swap_log_discards(log, "/dev/nbd"), SWAP_UNKNOWN);
    assert_int_equal(swap_log_discards("", "/dev/nbd0"), SWAP_UNKNOWN);
}

/* ---- judgement ---- */

/* Facts of which nothing is wrong. */
static void all_is_well(void)
{
    facts = (struct swap_facts){
        .ram_bytes = 256 * MIB,
        .server = SERVER,
        .report = {.mapped_bytes = 400 * MIB,
                   .locked_bytes = 400 * MIB - 32 * KIB,
                   .resident_bytes = 20 * MIB,
                   .oom_score_adj = -1000,
                   .threads = 7},
        .has_statistics = true,
        .statistics = {.threads = 7, .reserve_target = 8 * MIB, .writes = 1000000},
        .sockets = 4,
        .device = "/dev/nbd2",
        .is_swap = true,
        .client = CLIENT,
        .client_lives = true,
        .client_report = {.mapped_bytes = 5 * MIB, .locked_bytes = 5 * MIB, .oom_score_adj = -1000},
        .request_kib = 128,
        .discards = SWAP_YES,
        .min_free_kib = 16384,
        .watermark_scale = 10,
    };
}

static void nothing_wrong_is_all_ok(void **state)
{
    (void)state;
    all_is_well();
    assert_int_equal(swap_judge(&facts, &lines), 0);
    assert_null(strstr(text_string(&lines), "warn"));
    assert_null(strstr(text_string(&lines), "bad"));
    assert_int_equal(strncmp(text_string(&lines), "ok    swap: /dev/nbd2 is on\n", 28), 0);
}

/* Changes one thing of what is well, and expects this line of it and no other that is not ok. */
#define assert_line(change, verdict, sentence) \
    do {                                       \
        all_is_well();                         \
        change;                                \
        judge_one(verdict, sentence);          \
    } while (0)

static void judge_one(const char *verdict, const char *sentence)
{
    char beginning[256];
    unsigned others = 0, found = 0;
    text_clear(&lines);
    unsigned bad = swap_judge(&facts, &lines);
    assert_int_equal(bad, strcmp(verdict, "bad") == 0);
    snprintf(beginning, sizeof beginning, "%-4s  %s", verdict, sentence);
    char *copy = strdup(text_string(&lines)), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, beginning, strlen(beginning)) == 0 && strstr(line, ": ") != NULL)
            found++;
        else if (strncmp(line, "ok", 2) != 0)
            others++;
    }
    if (found != 1 || others != 0)
        print_error("wanted %s\nin\n%s", beginning, text_string(&lines));
    free(copy);
    assert_int_equal(found, 1);
    assert_int_equal(others, 0);
}

static void each_thing_that_may_hang_is_bad(void **state)
{
    (void)state;
    assert_line(facts.report.locked_bytes -= MIB, "bad",
                "memory: 1M of the server are not locked: serve with swap=require");
    assert_line(facts.report.swapped_bytes = 4096, "bad", "memory: 4K of the server are swapped");
    assert_line(facts.report.threads_that_wait = 2, "bad", "threads: 2 of 7 may wait for swap");
    assert_line(facts.report.threads_without_right = 7, "bad", "threads: 7 of 7 have no real-time");
    assert_line(facts.report.oom_score_adj = 0, "bad",
                "killing: the server may be killed when memory runs out: echo -1000 "
                ">/proc/4321/oom_score_adj");
    assert_line(facts.client_report.oom_score_adj = -17, "bad", "client: nbd-client may be killed");
    assert_line(facts.client_report.locked_bytes = 0, "bad",
                "client: nbd-client may be swapped out to its own device");
    assert_line(facts.client_report.swapped_bytes = 4096, "bad",
                "client: nbd-client may be swapped out to its own device");
    assert_line(facts.client_lives = false, "bad", "client: no nbd-client is there for /dev/nbd2");
    assert_line(facts.client = 0, "bad", "swap: /dev/nbd2 is swap, but no longer connected");
    assert_line(facts.network_sockets = 1, "bad", "socket: the server talks over the network");
    assert_line(facts.sockets = 0, "bad", "socket: the server has none");
    assert_line(strcpy(facts.memory_limit, "memory.max of /a is 1"), "bad",
                "limits: memory.max of /a is 1, and the server may");
    assert_line(facts.statistics.failed_reads = 3, "bad", "requests: 3 reads failed");
    assert_line(facts.statistics.threads = 0, "bad", "statistics: the server does not serve swap");
    assert_line(facts.has_statistics = false, "bad", "statistics: the server does not answer");
    assert_line(facts.is_swap = false, "bad", "swap: the device is no swap: uzram swap start");
    assert_line(facts.device[0] = '\0', "bad", "swap: no nbd device is swapped on");
    assert_line(facts.server_error = -ESRCH, "bad", "server: process 4321 is not there");
}

static void what_is_a_matter_of_taste_is_no_warning(void **state)
{
    (void)state;
    assert_line(facts.page_cluster = 3, "ok", "vm.page-cluster: 3; 3 makes fewer round trips");
    assert_line(facts.page_cluster = 0, "ok", "vm.page-cluster: 0; 3 makes fewer round trips");
    assert_line(facts.statistics.io_faults = 5, "ok",
                "faults: 5 in all requests, for none of which memory was needed");
}

static void what_could_be_better_is_a_warning(void **state)
{
    (void)state;
    assert_line((facts.statistics.reserve_misses = 9, facts.statistics.io_faults = 12), "warn",
                "reserve: 9 times empty");
    assert_line(facts.statistics.failed_writes = 1, "warn", "requests: 1 writes failed");
    assert_line(facts.is_on_tmpfs = true, "warn", "program: nbdkit lies on a tmpfs");
    assert_line(facts.request_kib = 1280, "warn",
                "requests: may be of 1280 KiB, more than the server keeps buffers for: echo 128 "
                ">/sys/block/nbd2/queue/max_sectors_kb");
    assert_line(facts.discards = SWAP_NO, "warn", "discard: the kernel does not tell");
    assert_line(facts.discards = SWAP_UNKNOWN, "warn", "discard: nothing was told to be free");
    assert_line((facts.min_free_kib = 2048, facts.watermark_scale = 200), "warn",
                "vm.min_free_kbytes: 2048 leave the server little to answer with when memory is "
                "gone: sysctl vm.min_free_kbytes=4096");
    assert_line(facts.min_free_kib = 8192, "warn",
                "vm.watermark_scale_factor: with 10 the kernel begins to swap when little is left "
                "to do it with: sysctl vm.watermark_scale_factor=157");
}

static void what_is_advised_is_then_ok(void **state)
{
    (void)state;
    all_is_well();
    facts.min_free_kib = 8192;
    facts.watermark_scale = 157;
    assert_int_equal(swap_judge(&facts, &lines), 0);
    assert_null(strstr(text_string(&lines), "warn"));
    text_clear(&lines);
    facts.ram_bytes = 32 * MIB; /* where the kernel takes no factor that would do */
    facts.watermark_scale = 1000;
    assert_int_equal(swap_judge(&facts, &lines), 0);
    assert_null(strstr(text_string(&lines), "warn"));
}

static void discards_that_came_prove_themselves(void **state)
{
    (void)state;
    all_is_well();
    facts.discards = SWAP_UNKNOWN;
    facts.statistics.notify_free = 512;
    assert_int_equal(swap_judge(&facts, &lines), 0);
    assert_non_null(strstr(text_string(&lines), "ok    discard: "));
}

#define check_test(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        check_test(the_first_free_device_is_found_in_the_order_of_numbers),
        check_test(requests_are_made_no_longer_than_they_are),
        check_test(a_state_is_read_as_it_was_written),
        check_test(a_process_is_known_by_its_arguments),
        check_test(swap_is_found_by_its_whole_name),
        check_test(the_system_is_seen),
        check_test(the_device_and_its_client_are_seen),
        check_test(sockets_of_the_network_are_told_from_others),
        check_test(a_limit_of_any_group_above_the_server_is_seen),
        check_test(the_kernels_log_tells_of_discards),
        check_test(nothing_wrong_is_all_ok),
        check_test(each_thing_that_may_hang_is_bad),
        check_test(what_is_a_matter_of_taste_is_no_warning),
        check_test(what_could_be_better_is_a_warning),
        check_test(what_is_advised_is_then_ok),
        check_test(discards_that_came_prove_themselves),
    };
    return cmocka_run_group_tests_name("swap check", tests, NULL, NULL);
}
