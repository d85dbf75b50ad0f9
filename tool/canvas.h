/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * canvas.h: a picture of rectangles and short texts, written as PNG or as SVG.
 *
 *      canvas_rectangle, canvas_text ─┬─▶ pixels, text from a built-in font ─▶ PNG
 *                                     └─▶ elements, text as text             ─▶ SVG
 */
#ifndef UZRAM_TOOL_CANVAS_H
#define UZRAM_TOOL_CANVAS_H

#include "common/compiler.h"

/* 0xRRGGBB */
typedef uint32_t colour;

enum canvas_format { CANVAS_PNG, CANVAS_SVG };

/* Height of a text's characters and the width of each, in pixels, at size 1. */
#define CANVAS_CHARACTER_HEIGHT 7u
#define CANVAS_CHARACTER_WIDTH  6u

struct canvas;

/* A white picture of that size; ends the program if there is no memory. */
struct canvas *canvas_create(enum canvas_format format, unsigned width, unsigned height);

/* Filled; what lies outside of the picture is cut. */
void canvas_rectangle(struct canvas *canvas, unsigned x, unsigned y, unsigned width,
                      unsigned height, colour fill);

/* Printable ASCII; x, y is its upper left corner; `size` enlarges it. */
void canvas_text(struct canvas *canvas, unsigned x, unsigned y, unsigned size, colour ink,
                 const char *text);

/* Writes the picture to a file (replaced if it is there), and frees it. 0 or a negative errno. */
int canvas_finish(struct canvas *canvas, const char *path) must_use;

#endif
