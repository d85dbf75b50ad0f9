/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top.c: uzram top: one disk, live: what it holds, what is asked of it, what works in the
 * background.
 *
 * Each interval the statistics are asked for; rates are differences by the time that really went
 * by. The last rates of reads and writes are kept for the small pictures beside them.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/units.h"
#include "tool/command.h"
#include "tool/format.h"
#include "tool/servers.h"
#include "tool/terminal.h"

#define FRAME_BYTES_MAX ((size_t)1 << 16)
#define HISTORY         40
#define BAR_COLUMNS     40

#define INTERVAL_MIN_MS 100
#define INTERVAL_MAX_MS 3600000

struct history {
    double rates[HISTORY]; /* the last is the newest */
};

struct view {
    struct server *server;
    char algorithm[64];
    unsigned interval_ms;
    struct device_statistics before, now;
    double seconds; /* between the two; 0: there is no rate yet */
    struct history reads, writes;
};

static double rate(const struct view *view, uint64_t before, uint64_t now)
{
    /* A reset begins counters anew. */
    return view->seconds > 0 && now >= before ? (double)(now - before) / view->seconds : 0;
}
#define RATE(view, name) rate(view, (view)->before.name, (view)->now.name)

static void remember(struct history *history, double value)
{
    memmove(history->rates, history->rates + 1, sizeof history->rates - sizeof history->rates[0]);
    history->rates[HISTORY - 1] = value;
}

static void add_history(struct text *frame, const struct history *history)
{
    double most = 0;
    for (size_t i = 0; i < HISTORY; i++)
        most = fmax(most, history->rates[i]);
    for (size_t i = 0; i < HISTORY; i++)
        text_add(frame, "%s", format_spark(most > 0 ? history->rates[i] / most : 0));
}

static void add_heading(struct text *frame, const struct view *view)
{
    char size[FORMAT_BYTES_MAX], clock[16];
    time_t now = time(NULL);
    struct tm local;
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &local));
    text_add(frame, "uzram top: %s, a disk of %s, %s, %" PRIu64 " client%s   %s   every %g s\n\n",
             view->server->name, format_bytes(size, view->now.disksize), view->algorithm,
             view->now.connections, view->now.connections == 1 ? "" : "s", clock,
             view->interval_ms / 1000.0);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void add_memory(struct text *frame, const struct view *view)
{
    const struct device_statistics *now = &view->now;
    char a[FORMAT_BYTES_MAX], b[FORMAT_BYTES_MAX], c[FORMAT_BYTES_MAX];
    uint64_t most = now->mem_limit != 0 ? now->mem_limit : now->mem_used_max;
    text_add(frame, "Memory  ");
    format_bar(frame, share(now->mem_used_total, most), 1, BAR_COLUMNS);
    text_add(frame, " %s of %s %s, most %s\n", format_bytes(a, now->mem_used_total),
             format_bytes(b, most), now->mem_limit != 0 ? "allowed" : "so far (no limit)",
             format_bytes(c, now->mem_used_max));
    text_add(frame, "Disk    ");
    format_bar(frame, share(now->orig_data_size, now->disksize), 1, BAR_COLUMNS);
    text_add(frame, " %s of %s stored\n", format_bytes(a, now->orig_data_size),
             format_bytes(b, now->disksize));
    text_add(frame, "Data    %s compressed to %s, in memory of %s: ratio %s\n",
             format_bytes(a, now->orig_data_size), format_bytes(b, now->compr_data_size),
             format_bytes(c, now->mem_used_total),
             format_ratio((char[FORMAT_BYTES_MAX]){0}, now->orig_data_size, now->mem_used_total));
    text_add(frame, "Blocks  %s stored, %s same-filled, %s incompressible\n\n",
             format_count(a, (double)(now->orig_data_size / BLOCK_SIZE_BYTES)),
             format_count(b, (double)now->same_pages), format_count(c, (double)now->huge_pages));
}

static void add_rate(struct text *frame, const char *what, double per_second, uint64_t total,
                     bool are_blocks, const struct history *history)
{
    char a[FORMAT_BYTES_MAX], b[FORMAT_BYTES_MAX], c[FORMAT_BYTES_MAX];
    text_add(frame, "%-14s %8s", what, format_count(a, per_second));
    text_add(frame, " %8s",
             are_blocks ? format_bytes(b, (uint64_t)(per_second * BLOCK_SIZE_BYTES)) : "");
    text_add(frame, " %8s  ", format_count(c, (double)total));
    if (history != NULL)
        add_history(frame, history);
    text_add(frame, "\n");
}

static void add_requests(struct text *frame, const struct view *view)
{
    const struct device_statistics *now = &view->now;
    text_add(frame, "%-14s %8s %8s %8s\n", "BLOCKS", "PER S", "BYTES/S", "TOTAL");
    add_rate(frame, "read", RATE(view, reads), now->reads, true, &view->reads);
    add_rate(frame, "written", RATE(view, writes), now->writes, true, &view->writes);
    add_rate(frame, "  in place", RATE(view, writes_in_place), now->writes_in_place, true, NULL);
    add_rate(frame, "freed", RATE(view, notify_free), now->notify_free, true, NULL);
    add_rate(frame, "failed", RATE(view, failed_reads) + RATE(view, failed_writes),
             now->failed_reads + now->failed_writes, true, NULL);
    text_add(frame, "\n");
}

static void add_background(struct text *frame, const struct view *view)
{
    const struct device_statistics *now = &view->now;
    text_add(frame, "%-14s %8s %8s %8s\n", "BACKGROUND", "PER S", "BYTES/S", "TOTAL");
    add_rate(frame, "steps", RATE(view, maintenance_steps), now->maintenance_steps, false, NULL);
    add_rate(frame, "passes", RATE(view, maintenance_passes), now->maintenance_passes, false, NULL);
    add_rate(frame, "objects moved", RATE(view, objects_moved), now->objects_moved, false, NULL);
    add_rate(frame, "pages freed", RATE(view, pages_compacted), now->pages_compacted, true, NULL);
    add_rate(frame, "given back", RATE(view, pages_purged), now->pages_purged, true, NULL);
    add_rate(frame, "memory refused", RATE(view, limit_hits), now->limit_hits, false, NULL);
    text_add(frame, "%-14s %6.1f ms\n\n", "longest step", (double)now->longest_step / 1000);
    text_add(frame, "q ends, + and - change the interval\n");
}

static void draw(const struct view *view)
{
    struct text frame = text_of_limit(FRAME_BYTES_MAX);
    add_heading(&frame, view);
    add_memory(&frame, view);
    add_requests(&frame, view);
    add_background(&frame, view);
    terminal_draw(&frame);
    text_free(&frame);
}

/* Asks for the statistics of now. Ends the program if the server is gone. */
static void look(struct view *view, uint64_t *last_us)
{
    uint64_t now_us = clock_now_us();
    view->before = view->now;
    int error = server_statistics(view->server, &view->now);
    if (error != 0) {
        terminal_close();
        command_fail("%s: the server has ended: %s", view->server->path, strerror(-error));
    }
    view->seconds = *last_us != 0 ? (double)(now_us - *last_us) / 1e6 : 0;
    *last_us = now_us;
    if (view->seconds > 0) {
        remember(&view->reads, RATE(view, reads));
        remember(&view->writes, RATE(view, writes));
    }
}

static unsigned faster(unsigned interval_ms)
{
    return interval_ms / 2 < INTERVAL_MIN_MS ? INTERVAL_MIN_MS : interval_ms / 2;
}

static unsigned slower(unsigned interval_ms)
{
    return interval_ms * 2 > INTERVAL_MAX_MS ? INTERVAL_MAX_MS : interval_ms * 2;
}

static void watch(struct view *view)
{
    uint64_t last_us = 0;
    char key = 0;
    look(view, &last_us);
    for (;;) {
        draw(view);
        switch (terminal_wait(view->interval_ms, &key)) {
        case TERMINAL_END:
            return;
        case TERMINAL_TIME:
            look(view, &last_us);
            break;
        case TERMINAL_RESIZE:
            break;
        case TERMINAL_KEY:
            if (key == 'q' || key == 'Q')
                return;
            if (key == '+')
                view->interval_ms = faster(view->interval_ms);
            if (key == '-')
                view->interval_ms = slower(view->interval_ms);
        }
    }
}

static unsigned read_interval(const struct command *command, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds * 1000 >= INTERVAL_MIN_MS) ||
        seconds * 1000 > INTERVAL_MAX_MS)
        command_misused(command, "--interval=%s: give 0.1 to 3600 seconds", text);
    return (unsigned)(seconds * 1000);
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"interval", required_argument, NULL, 'i'}, {0}};
    struct view view = {.interval_ms = 1000};
    while (command_option(command, argc, argv, options) != -1)
        view.interval_ms = read_interval(command, optarg);
    if (optind != argc)
        command_misused(command, "%s: top takes no argument", argv[optind]);
    struct servers servers = servers_find_one();
    view.server = &servers.server[0];
    server_algorithm(view.server, view.algorithm, sizeof view.algorithm);
    if (!terminal_open())
        command_fail("top needs a terminal; uzram status and uzram metrics don't");
    watch(&view);
    terminal_close();
    servers_free(&servers);
    return STATUS_OK;
}

const struct command command_top = {
    .name = "top",
    .arguments = "[-i|--interval SECONDS]",
    .help = "one disk, live: memory, rates, background work",
    .run = run,
};
