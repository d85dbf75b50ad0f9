/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * judge.c: whether swap can hang, by the facts; each with the reason, and what to do.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/units.h"
#include "tool/format.h"
#include "tool/swap/nbd_device.h"
#include "tool/swap/facts.h"

/*
 * Real-time threads may go below the minimum by a quarter of it (a half from 6.3 on). A
 * connection's socket buffers hold up to 2 × 208 KiB, and the kernel's own needs come beside them:
 * a megabyte.
 */
#define MIN_FREE_KIB 4096u

/* From here to the minimum the kernel frees memory before anybody has to wait: as much again. */
#define GAP_BYTES 4194304u

/* In units of a ten-thousandth of memory; the kernel takes no more. */
#define WATERMARK_SCALE_UNIT 10000u
#define WATERMARK_SCALE_MAX  1000u

enum verdict { OK, WARN, BAD };

struct judgement {
    const struct swap_facts *facts;
    struct text *lines;
    unsigned bad;
};

printf_like(3, 4) static void say(struct judgement *judgement, enum verdict verdict,
                                  const char *format, ...)
{
    static const char *const names[] = {[OK] = "ok", [WARN] = "warn", [BAD] = "bad"};
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    text_add(judgement->lines, "%-4s  %s\n", names[verdict], sentence);
    judgement->bad += verdict == BAD;
}

static void judge_memory(struct judgement *judgement)
{
    const struct safety_report *report = &judgement->facts->report;
    char size[FORMAT_BYTES_MAX];
    if (safety_is_locked(report))
        say(judgement, OK, "memory: the server's memory is locked");
    else
        say(judgement, BAD,
            "memory: %s of the server are not locked: serve with swap=require, as root or with "
            "LimitMEMLOCK=infinity",
            format_bytes(size, report->mapped_bytes - report->locked_bytes));
    if (report->swapped_bytes == 0)
        say(judgement, OK, "memory: none of it is swapped out");
    else
        say(judgement, BAD,
            "memory: %s of the server are swapped out, maybe to its own disk: stop it, and start "
            "it with swap=require",
            format_bytes(size, report->swapped_bytes));
}

static void judge_threads(struct judgement *judgement)
{
    const struct safety_report *report = &judgement->facts->report;
    if (report->threads_that_wait == 0)
        say(judgement, OK, "threads: none of %u waits for I/O when it allocates", report->threads);
    else
        say(judgement, BAD,
            "threads: %u of %u may wait for swap when they allocate, that is for themselves "
            "(PR_SET_IO_FLUSHER): serve with swap=require, as root or with CAP_SYS_RESOURCE",
            report->threads_that_wait, report->threads);
    if (report->threads_without_right == 0)
        say(judgement, OK, "threads: all of %u have real-time scheduling", report->threads);
    else
        say(judgement, BAD,
            "threads: %u of %u have no real-time scheduling, and get no memory when others wait "
            "for it: serve with swap=require, as root or with CAP_SYS_NICE",
            report->threads_without_right, report->threads);
}

static void judge_killing(struct judgement *judgement)
{
    const struct swap_facts *facts = judgement->facts;
    if (facts->report.oom_score_adj == SAFETY_OOM_SCORE_ADJ)
        say(judgement, OK, "killing: the server is spared when memory runs out");
    else
        say(judgement, BAD,
            "killing: the server may be killed when memory runs out: echo %d "
            ">/proc/%d/oom_score_adj",
            SAFETY_OOM_SCORE_ADJ, (int)facts->server);
}

/* It has to do one thing: to tell the kernel, if the server has ended, that no answer will come. */
static void judge_client(struct judgement *judgement)
{
    const struct swap_facts *facts = judgement->facts;
    const struct safety_report *report = &facts->client_report;
    if (facts->client == 0)
        return;
    if (!facts->client_lives) {
        say(judgement, BAD,
            "client: no nbd-client is there for %s: if the server ends, all that wait for swap "
            "hang for ever: connect with nbd-client -nonetlink",
            facts->device);
        return;
    }
    if (report->oom_score_adj == SAFETY_OOM_SCORE_ADJ)
        say(judgement, OK, "client: nbd-client is spared when memory runs out");
    else
        say(judgement, BAD,
            "client: nbd-client may be killed when memory runs out: echo %d "
            ">/proc/%d/oom_score_adj, or connect with -swap",
            SAFETY_OOM_SCORE_ADJ, (int)facts->client);
    if (safety_is_locked(report) && report->swapped_bytes == 0)
        say(judgement, OK, "client: nbd-client's memory is locked");
    else
        say(judgement, BAD,
            "client: nbd-client may be swapped out to its own device, and then swap hangs if the "
            "server ends: connect with -swap -nofork");
}

static void judge_place(struct judgement *judgement)
{
    const struct swap_facts *facts = judgement->facts;
    if (facts->memory_limit[0] == '\0')
        say(judgement, OK, "limits: no memory limit of a cgroup holds the server back");
    else
        say(judgement, BAD,
            "limits: %s, and the server may have to wait for memory there: run it in a group "
            "without",
            facts->memory_limit);
    if (facts->network_sockets > 0)
        say(judgement, BAD,
            "socket: the server talks over the network (TCP), which needs memory to do so: serve "
            "on a Unix socket (nbdkit -U)");
    else if (facts->sockets > 0)
        say(judgement, OK, "socket: all are Unix sockets");
    else
        say(judgement, BAD, "socket: the server has none, or they can't be seen: run this as root");
    if (facts->is_on_tmpfs)
        say(judgement, WARN,
            "program: nbdkit lies on a tmpfs, whose files go to swap: run one that lies on a disk "
            "or a ramfs");
}

static void judge_statistics(struct judgement *judgement)
{
    const struct device_statistics *statistics = &judgement->facts->statistics;
    if (!judgement->facts->has_statistics) {
        say(judgement, BAD,
            "statistics: the server does not answer on its control socket: give it with --control");
        return;
    }
    if (statistics->threads == 0)
        say(judgement, BAD, "statistics: the server does not serve swap: serve with swap=require");
    else if (statistics->io_faults == 0)
        say(judgement, OK, "faults: no page fault in all requests");
    else if (statistics->reserve_misses == 0)
        say(judgement, OK,
            "faults: %" PRIu64 " in all requests, for none of which memory was needed: the kernel "
            "was moving a page (sysctl vm.compact_unevictable_allowed=0 forbids that)",
            statistics->io_faults);
    if (statistics->reserve_misses == 0)
        say(judgement, OK, "reserve: always had what writes needed");
    else
        say(judgement, WARN,
            "reserve: %" PRIu64 " times empty when a write needed a page: serve with a greater "
            "one (reserve=, now %" PRIu64 " bytes)",
            statistics->reserve_misses, statistics->reserve_target);
    if (statistics->failed_reads > 0)
        say(judgement, BAD,
            "requests: %" PRIu64 " reads failed, and what they were for was killed: the machine's "
            "memory may be damaged; stop the swap",
            statistics->failed_reads);
    else if (statistics->failed_writes > 0)
        say(judgement, WARN,
            "requests: %" PRIu64 " writes failed, and the kernel keeps those pages: give a "
            "greater mem_limit, or a smaller swap",
            statistics->failed_writes);
    else
        say(judgement, OK, "requests: none has failed");
}

static void judge_device(struct judgement *judgement)
{
    const struct swap_facts *facts = judgement->facts;
    if (facts->device[0] == '\0' || !facts->is_swap) {
        say(judgement, BAD, "swap: %s: uzram swap start",
            facts->device[0] == '\0' ? "no nbd device is swapped on" : "the device is no swap");
        return;
    }
    if (facts->client == 0)
        say(judgement, BAD,
            "swap: %s is swap, but no longer connected; what was on it is lost: uzram swap stop",
            facts->device);
    else
        say(judgement, OK, "swap: %s is on", facts->device);
    if (facts->discards == SWAP_YES || facts->statistics.notify_free > 0)
        say(judgement, OK, "discard: the kernel tells what is free again");
    else if (facts->discards == SWAP_NO)
        say(judgement, WARN,
            "discard: the kernel does not tell what is free again, and the server keeps it: "
            "swapon -d");
    else
        say(judgement, WARN,
            "discard: nothing was told to be free again yet, and the kernel's log no longer says "
            "whether swapon had -d");
    if (facts->request_kib > NBD_REQUEST_KIB_MAX)
        say(judgement, WARN,
            "requests: may be of %u KiB, more than the server keeps buffers for: echo %u "
            ">/sys/block/%s/queue/max_sectors_kb",
            facts->request_kib, NBD_REQUEST_KIB_MAX, facts->device + sizeof "/dev/" - 1);
}

static void judge_system(struct judgement *judgement)
{
    const struct swap_facts *facts = judgement->facts;
    uint64_t scale = facts->watermark_scale;
    if (facts->min_free_kib >= MIN_FREE_KIB)
        say(judgement, OK, "vm.min_free_kbytes: %" PRIu64, facts->min_free_kib);
    else
        say(judgement, WARN,
            "vm.min_free_kbytes: %" PRIu64 " leave the server little to answer with when memory "
            "is gone: sysctl vm.min_free_kbytes=%u",
            facts->min_free_kib, MIN_FREE_KIB);

    /* The kernel's gap is a quarter of the minimum, or this share of memory if that is more. */
    uint64_t gap_bytes = facts->ram_bytes / WATERMARK_SCALE_UNIT * scale;
    if (gap_bytes < facts->min_free_kib * KIB / 4)
        gap_bytes = facts->min_free_kib * KIB / 4;
    uint64_t wanted = facts->ram_bytes == 0
                          ? 0
                          : (uint64_t)GAP_BYTES * WATERMARK_SCALE_UNIT / facts->ram_bytes + 1;
    if (wanted > WATERMARK_SCALE_MAX)
        wanted = WATERMARK_SCALE_MAX;
    if (gap_bytes >= GAP_BYTES || scale >= wanted)
        say(judgement, OK, "vm.watermark_scale_factor: %" PRIu64, scale);
    else
        say(judgement, WARN,
            "vm.watermark_scale_factor: with %" PRIu64 " the kernel begins to swap when little is "
            "left to do it with: sysctl vm.watermark_scale_factor=%" PRIu64,
            scale, wanted);

    say(judgement, OK,
        "vm.page-cluster: %" PRIu64
        "; 3 makes fewer round trips to the server, 0 reads no page that "
        "nobody asked for",
        facts->page_cluster);
}

unsigned swap_judge(const struct swap_facts *facts, struct text *lines)
{
    struct judgement judgement = {.facts = facts, .lines = lines};
    judge_device(&judgement);
    if (facts->server_error != 0) {
        say(&judgement, BAD, "server: process %d is not there: uzram swap stop, and start it again",
            (int)facts->server);
    } else {
        judge_memory(&judgement);
        judge_threads(&judgement);
        judge_killing(&judgement);
        judge_place(&judgement);
        judge_statistics(&judgement);
    }
    judge_client(&judgement);
    judge_system(&judgement);
    return judgement.bad;
}
