/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.c: uzram map: a picture of a disk: which blocks it stores, in which way and untouched since
 * when, and how full the pool's arenas are.
 *
 *      ┌──────────────────────────────┐
 *      │ name, size, data, memory     │
 *      │ offset ┌───────────────────┐ │  blocks in the order of the disk; a cell is a stretch of
 *      │        │ ▒▒▒░░░▓▓▓▒▒       │ │  them, its colour the mean of theirs
 *      │        └───────────────────┘ │
 *      │ ■ hole ■ same …              │
 *      │ ▕█▏▕▄▏▕▂▏                    │  arenas: the part that has an owner, the part kept ready
 *      └──────────────────────────────┘
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "control/session.h"
#include "tool/canvas.h"
#include "tool/command.h"
#include "tool/format.h"
#include "tool/servers.h"

#define MARGIN       20u
#define LABEL_WIDTH  60u
#define CELL         6u
#define CELL_COLUMNS 128u
#define CELL_ROWS    80u /* at most: together BLOCK_MAP_MAX of device/reports.h is not passed */
#define MAP_WIDTH    (CELL * CELL_COLUMNS)
#define LINE         16u
#define TITLE_SIZE   2u

#define ARENA_PAGES_ALL 512u
#define ARENA_WIDTH     10u
#define ARENA_HEIGHT    32u
#define ARENA_GAP       2u
#define ARENA_COLUMNS   (MAP_WIDTH / (ARENA_WIDTH + ARENA_GAP))
#define ARENA_BOXES_MAX (ARENA_COLUMNS * 20)

#define INK   0x333333u
#define FAINT 0x777777u
#define GRID  0xdddddd

/* What a block can be, in the order of the legend. */
enum sort {
    SORT_HOLE,
    SORT_SAME,
    SORT_COMPRESSED_WELL, /* to nothing; what is between is coloured in between */
    SORT_COMPRESSED_POORLY,
    SORT_RECOMPRESSED,
    SORT_HUGE,
    SORT_COUNT
};

static const struct {
    const char *name;
    colour fill;
} sorts[SORT_COUNT] = {
    [SORT_HOLE] = {"nothing stored", 0xf1f1ee},
    [SORT_SAME] = {"same-filled", 0xa6cee3},
    [SORT_COMPRESSED_WELL] = {"compressed well", 0xc7eab0},
    [SORT_COMPRESSED_POORLY] = {"compressed poorly", 0x1c8a26},
    [SORT_RECOMPRESSED] = {"recompressed", 0x1f78b4},
    [SORT_HUGE] = {"incompressible", 0xe31a1c},
};
#define IDLE_FILL 0x3a2c5eu /* idle blocks are darkened towards this */

/* One stretch of the attribute `block_map`. */
struct stretch {
    uint64_t first, blocks, stored, same, huge, idle, recompressed, bytes;
};

static bool read_stretch(const char **line, struct stretch *stretch)
{
    int used = 0;
    int count =
        sscanf(*line,
               "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 "\n%n",
               &stretch->first, &stretch->blocks, &stretch->stored, &stretch->same, &stretch->huge,
               &stretch->idle, &stretch->recompressed, &stretch->bytes, &used);
    *line += used;
    return count == 8 && stretch->blocks > 0 && stretch->stored <= stretch->blocks;
}

static colour mix(colour a, colour b, double share_of_b)
{
    colour result = 0;
    for (unsigned shift = 0; shift < 24; shift += 8) {
        double from = (double)(a >> shift & 0xff), to = (double)(b >> shift & 0xff);
        result |= (colour)(from + (to - from) * share_of_b + 0.5) << shift;
    }
    return result;
}

/* The mean of the colours of its blocks. */
static colour stretch_colour(const struct stretch *stretch)
{
    double counts[SORT_COUNT] = {0};
    uint64_t packed = stretch->stored - stretch->same - stretch->huge;
    uint64_t packed_bytes = stretch->bytes - stretch->huge * BLOCK_SIZE_BYTES;
    double poorly = packed > 0 ? (double)packed_bytes / (double)packed / BLOCK_SIZE_BYTES : 0;
    double plain =
        (double)(packed - (stretch->recompressed < packed ? stretch->recompressed : packed));
    counts[SORT_HOLE] = (double)(stretch->blocks - stretch->stored);
    counts[SORT_SAME] = (double)stretch->same;
    counts[SORT_HUGE] = (double)stretch->huge;
    counts[SORT_RECOMPRESSED] = (double)stretch->recompressed;
    counts[SORT_COMPRESSED_WELL] = plain * (1 - poorly);
    counts[SORT_COMPRESSED_POORLY] = plain * poorly;
    colour result = sorts[SORT_HOLE].fill;
    double total = counts[SORT_HOLE];
    for (unsigned sort = SORT_SAME; sort < SORT_COUNT; sort++) {
        total += counts[sort];
        if (counts[sort] > 0)
            result = mix(result, sorts[sort].fill, counts[sort] / total);
    }
    return mix(result, IDLE_FILL, 0.5 * (double)stretch->idle / (double)stretch->blocks);
}

/* How the disk is cut: rows of cells, each of so many blocks. */
struct grid {
    uint64_t blocks, cell_blocks;
    unsigned rows;
};

static struct grid grid_of(uint64_t disksize)
{
    struct grid grid = {.blocks = (disksize + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES};
    uint64_t cells_max = CELL_COLUMNS * CELL_ROWS;
    grid.cell_blocks = 1;
    while (grid.cell_blocks * cells_max < grid.blocks)
        grid.cell_blocks *= 2; /* so that rows begin at even offsets */
    uint64_t cells = (grid.blocks + grid.cell_blocks - 1) / grid.cell_blocks;
    grid.rows = (unsigned)((cells + CELL_COLUMNS - 1) / CELL_COLUMNS);
    return grid;
}

static void draw_holes(struct canvas *canvas, const struct grid *grid, unsigned y)
{
    uint64_t cells = (grid->blocks + grid->cell_blocks - 1) / grid->cell_blocks;
    unsigned rest = (unsigned)(cells % CELL_COLUMNS), whole = (unsigned)(cells / CELL_COLUMNS);
    canvas_rectangle(canvas, MARGIN + LABEL_WIDTH, y, MAP_WIDTH, whole * CELL,
                     sorts[SORT_HOLE].fill);
    canvas_rectangle(canvas, MARGIN + LABEL_WIDTH, y + whole * CELL, rest * CELL, CELL,
                     sorts[SORT_HOLE].fill);
}

/* Draws a cell; neighbours of one colour in a row become one rectangle. */
struct brush {
    struct canvas *canvas;
    unsigned top;
    uint64_t first, count; /* cells that are still to be drawn */
    colour fill;
};

static void brush_flush(struct brush *brush)
{
    canvas_rectangle(brush->canvas,
                     MARGIN + LABEL_WIDTH + (unsigned)(brush->first % CELL_COLUMNS) * CELL,
                     brush->top + (unsigned)(brush->first / CELL_COLUMNS) * CELL,
                     (unsigned)brush->count * CELL, CELL, brush->fill);
    brush->count = 0;
}

static void brush_cell(struct brush *brush, uint64_t cell, colour fill)
{
    bool follows = brush->count > 0 && cell == brush->first + brush->count &&
                   cell % CELL_COLUMNS != 0 && fill == brush->fill;
    if (!follows) {
        brush_flush(brush);
        brush->first = cell;
        brush->fill = fill;
    }
    brush->count++;
}

/* Asks for stretches of exactly one cell each, and draws them. */
static void draw_blocks(struct canvas *canvas, struct server *server, const struct grid *grid,
                        unsigned y)
{
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    char request[64], label[FORMAT_BYTES_MAX];
    struct brush brush = {.canvas = canvas, .top = y};
    struct stretch stretch;
    snprintf(request, sizeof request, "get block_map %" PRIu64,
             (grid->blocks + grid->cell_blocks - 1) / grid->cell_blocks);
    server_must_answer(server, request, &answer);
    draw_holes(canvas, grid, y);
    for (const char *line = text_string(&answer); read_stretch(&line, &stretch);) {
        uint64_t cell = stretch.first / grid->cell_blocks;
        if (cell < (uint64_t)grid->rows * CELL_COLUMNS)
            brush_cell(&brush, cell, stretch_colour(&stretch));
    }
    brush_flush(&brush);
    for (unsigned row = 0; row < grid->rows; row += 8) {
        uint64_t offset = row * CELL_COLUMNS * grid->cell_blocks * BLOCK_SIZE_BYTES;
        canvas_text(canvas, MARGIN, y + row * CELL, 1, FAINT,
                    row == 0 ? "0" : format_bytes(label, offset));
        canvas_rectangle(canvas, MARGIN + LABEL_WIDTH - 6, y + row * CELL, 4, 1, FAINT);
    }
    text_free(&answer);
}

static unsigned draw_key(struct canvas *canvas, unsigned x, unsigned y, colour fill,
                         const char *name)
{
    canvas_rectangle(canvas, x, y - 1, 9, 9, fill);
    canvas_text(canvas, x + 13, y, 1, INK, name);
    return x + 13 + (unsigned)(strlen(name) + 2) * CANVAS_CHARACTER_WIDTH;
}

static void draw_legend(struct canvas *canvas, const struct grid *grid, unsigned y)
{
    char line[100], bytes[FORMAT_BYTES_MAX];
    unsigned x = MARGIN + LABEL_WIDTH;
    for (unsigned sort = 0; sort < SORT_COUNT; sort++)
        x = draw_key(canvas, x, y, sorts[sort].fill, sorts[sort].name);
    draw_key(canvas, x, y, mix(sorts[SORT_COMPRESSED_POORLY].fill, IDLE_FILL, 0.5),
             "idle (darker)");
    snprintf(line, sizeof line, "a cell is %s of the disk, its colour the mean of its blocks'",
             format_bytes(bytes, grid->cell_blocks * BLOCK_SIZE_BYTES));
    canvas_text(canvas, MARGIN + LABEL_WIDTH, y + LINE, 1, FAINT, line);
}

/* One box of the lower picture: an arena, or some neighbours together. */
struct box {
    uint64_t owned, ready, arenas;
    bool is_descriptors;
};

struct boxes {
    struct box box[ARENA_BOXES_MAX];
    size_t count;
    uint64_t arenas_each, arenas;
};

static bool read_arena(const char **line, struct box *arena)
{
    char kind[16];
    int used = 0;
    int count = sscanf(*line, "%*u %15s %" SCNu64 " %" SCNu64 "\n%n", kind, &arena->owned,
                       &arena->ready, &used);
    *line += used;
    arena->is_descriptors = strcmp(kind, "descriptors") == 0;
    return count == 3;
}

static void read_boxes(const char *lines, struct boxes *boxes)
{
    struct box arena;
    memset(boxes, 0, sizeof *boxes);
    for (const char *line = lines; read_arena(&line, &arena);)
        boxes->arenas++;
    boxes->arenas_each = (boxes->arenas + ARENA_BOXES_MAX - 1) / ARENA_BOXES_MAX;
    uint64_t index = 0;
    for (const char *line = lines; read_arena(&line, &arena); index++) {
        struct box *box = &boxes->box[index / boxes->arenas_each];
        box->owned += arena.owned;
        box->ready += arena.ready;
        box->is_descriptors |= arena.is_descriptors;
        box->arenas++;
        boxes->count = index / boxes->arenas_each + 1;
    }
}

#define OWNED_FILL       0x4575b4u
#define DESCRIPTORS_FILL 0x762a83u
#define READY_FILL       0xfdae61u

static void draw_box(struct canvas *canvas, unsigned x, unsigned y, const struct box *box)
{
    uint64_t pages = box->arenas * ARENA_PAGES_ALL;
    unsigned owned = (unsigned)(box->owned * ARENA_HEIGHT / pages);
    unsigned ready = (unsigned)(box->ready * ARENA_HEIGHT / pages);
    owned = box->owned > 0 && owned == 0 ? 1 : owned;
    canvas_rectangle(canvas, x, y, ARENA_WIDTH, ARENA_HEIGHT, GRID);
    canvas_rectangle(canvas, x, y + ARENA_HEIGHT - owned, ARENA_WIDTH, owned,
                     box->is_descriptors ? DESCRIPTORS_FILL : OWNED_FILL);
    canvas_rectangle(canvas, x, y + ARENA_HEIGHT - owned - ready, ARENA_WIDTH, ready, READY_FILL);
}

static unsigned boxes_height(const struct boxes *boxes)
{
    unsigned rows = (unsigned)((boxes->count + ARENA_COLUMNS - 1) / ARENA_COLUMNS);
    return rows * (ARENA_HEIGHT + ARENA_GAP) + 3 * LINE;
}

static void draw_arenas(struct canvas *canvas, const struct boxes *boxes, unsigned y)
{
    char line[100];
    unsigned left = MARGIN + LABEL_WIDTH;
    snprintf(line, sizeof line, "%" PRIu64 " arenas of 2 MiB%s", boxes->arenas,
             boxes->arenas_each > 1 ? ", several to a box" : "");
    canvas_text(canvas, left, y, 1, INK, line);
    unsigned x = draw_key(canvas, left + 220, y, OWNED_FILL, "pages of objects");
    x = draw_key(canvas, x, y, DESCRIPTORS_FILL, "of descriptors");
    x = draw_key(canvas, x, y, READY_FILL, "free, kept ready");
    draw_key(canvas, x, y, GRID, "free");
    for (size_t i = 0; i < boxes->count; i++)
        draw_box(canvas, left + (unsigned)(i % ARENA_COLUMNS) * (ARENA_WIDTH + ARENA_GAP),
                 y + LINE + (unsigned)(i / ARENA_COLUMNS) * (ARENA_HEIGHT + ARENA_GAP),
                 &boxes->box[i]);
}

static void draw_title(struct canvas *canvas, struct server *server,
                       const struct device_statistics *now)
{
    char algorithm[64], line[200];
    char a[FORMAT_BYTES_MAX], b[FORMAT_BYTES_MAX], c[FORMAT_BYTES_MAX];
    server_algorithm(server, algorithm, sizeof algorithm);
    snprintf(line, sizeof line, "%.20s: %s, %s", server->name, format_bytes(a, now->disksize),
             algorithm);
    canvas_text(canvas, MARGIN, MARGIN, TITLE_SIZE, INK, line);
    snprintf(line, sizeof line, "%s stored, compressed to %s, in memory of %s: ratio %s",
             format_bytes(a, now->orig_data_size), format_bytes(b, now->compr_data_size),
             format_bytes(c, now->mem_used_total),
             format_ratio((char[FORMAT_BYTES_MAX]){0}, now->orig_data_size, now->mem_used_total));
    canvas_text(canvas, MARGIN, MARGIN + 24, 1, INK, line);
}

static void draw_map(struct server *server, enum canvas_format format, const char *path)
{
    static struct boxes boxes;
    struct device_statistics now;
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    int error = server_statistics(server, &now);
    if (error != 0)
        server_refused(server, error, &answer);
    server_must_answer(server, "get arenas", &answer);
    read_boxes(text_string(&answer), &boxes);
    text_free(&answer);

    struct grid grid = grid_of(now.disksize);
    unsigned map_top = MARGIN + 48, legend_top = map_top + grid.rows * CELL + LINE;
    unsigned arenas_top = legend_top + 3 * LINE;
    struct canvas *canvas = canvas_create(format, MARGIN + LABEL_WIDTH + MAP_WIDTH + MARGIN,
                                          arenas_top + boxes_height(&boxes));
    draw_title(canvas, server, &now);
    draw_blocks(canvas, server, &grid, map_top);
    draw_legend(canvas, &grid, legend_top);
    draw_arenas(canvas, &boxes, arenas_top);
    error = canvas_finish(canvas, path);
    if (error != 0)
        command_fail("%s: the picture can't be written: %s", path, strerror(-error));
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"png", required_argument, NULL, 'p'}, {"svg", required_argument, NULL, 's'}, {0}};
    const char *png = NULL, *svg = NULL;
    int option;
    while ((option = command_option(command, argc, argv, options)) != -1)
        *(option == 'p' ? &png : &svg) = optarg;
    if (optind != argc || (png == NULL && svg == NULL))
        command_misused(command, "give --png FILE or --svg FILE");
    struct servers servers = servers_find_one();
    if (png != NULL)
        draw_map(&servers.server[0], CANVAS_PNG, png);
    if (svg != NULL)
        draw_map(&servers.server[0], CANVAS_SVG, svg);
    servers_free(&servers);
    return STATUS_OK;
}

const struct command command_map = {
    .name = "map",
    .arguments = "--png FILE | --svg FILE",
    .help = "a picture of where blocks are, how they are stored, and how full the arenas are",
    .run = run,
};
