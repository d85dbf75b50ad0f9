/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/canvas.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/text.h"
#include "tool/command.h"
#include "tool/font.h"

#define SVG_BYTES_MAX ((size_t)1 << 28)

struct canvas {
    enum canvas_format format;
    unsigned width, height;
    unsigned char *pixels; /* PNG: 3 bytes each */
    struct text elements;  /* SVG */
};

struct canvas *canvas_create(enum canvas_format format, unsigned width, unsigned height)
{
    struct canvas *canvas = command_allocate(sizeof *canvas);
    *canvas = (struct canvas){.format = format, .width = width, .height = height};
    if (format == CANVAS_PNG) {
        canvas->pixels = command_allocate((size_t)width * height * 3);
        memset(canvas->pixels, 0xff, (size_t)width * height * 3);
        return canvas;
    }
    canvas->elements = text_of_limit(SVG_BYTES_MAX);
    text_add(&canvas->elements,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
             "viewBox=\"0 0 %u %u\" shape-rendering=\"crispEdges\" "
             "font-family=\"monospace\">\n"
             "<rect width=\"%u\" height=\"%u\" fill=\"#ffffff\"/>\n",
             width, height, width, height, width, height);
    return canvas;
}

static void paint(struct canvas *canvas, unsigned x, unsigned y, unsigned width, unsigned height,
                  colour fill)
{
    for (unsigned row = y; row < y + height && row < canvas->height; row++)
        for (unsigned column = x; column < x + width && column < canvas->width; column++) {
            unsigned char *pixel = canvas->pixels + ((size_t)row * canvas->width + column) * 3;
            pixel[0] = (unsigned char)(fill >> 16);
            pixel[1] = (unsigned char)(fill >> 8);
            pixel[2] = (unsigned char)fill;
        }
}

void canvas_rectangle(struct canvas *canvas, unsigned x, unsigned y, unsigned width,
                      unsigned height, colour fill)
{
    if (width == 0 || height == 0)
        return;
    if (canvas->format == CANVAS_PNG)
        paint(canvas, x, y, width, height, fill);
    else
        text_add(&canvas->elements,
                 "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"#%06x\"/>\n", x, y,
                 width, height, fill);
}

static void paint_text(struct canvas *canvas, unsigned x, unsigned y, unsigned size, colour ink,
                       const char *text)
{
    for (; *text != '\0'; text++, x += CANVAS_CHARACTER_WIDTH * size) {
        const unsigned char *columns = font_character(*text);
        for (unsigned column = 0; column < FONT_COLUMNS; column++)
            for (unsigned row = 0; row < CANVAS_CHARACTER_HEIGHT; row++)
                if (columns[column] >> row & 1)
                    paint(canvas, x + column * size, y + row * size, size, size, ink);
    }
}

static void add_escaped(struct text *elements, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            text_add(elements, "&lt;");
        else if (*text == '&')
            text_add(elements, "&amp;");
        else
            text_add_bytes(elements, text, 1);
    }
}

void canvas_text(struct canvas *canvas, unsigned x, unsigned y, unsigned size, colour ink,
                 const char *text)
{
    if (canvas->format == CANVAS_PNG) {
        paint_text(canvas, x, y, size, ink, text);
        return;
    }
    /* textLength: as wide as in the other format, whatever the font. */
    text_add(&canvas->elements,
             "<text x=\"%u\" y=\"%u\" font-size=\"%u\" textLength=\"%zu\" fill=\"#%06x\" "
             "xml:space=\"preserve\">",
             x, y + CANVAS_CHARACTER_HEIGHT * size, CANVAS_CHARACTER_WIDTH * size * 5 / 3,
             strlen(text) * CANVAS_CHARACTER_WIDTH * size, ink);
    add_escaped(&canvas->elements, text);
    text_add(&canvas->elements, "</text>\n");
}

static int write_png(const struct canvas *canvas, FILE *file)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION,
        .width = canvas->width,
        .height = canvas->height,
        .format = PNG_FORMAT_RGB,
    };
    return png_image_write_to_stdio(&image, file, 0, canvas->pixels, 0, NULL) ? 0 : -EIO;
}

static int write_svg(struct canvas *canvas, FILE *file)
{
    text_add(&canvas->elements, "</svg>\n");
    if (canvas->elements.is_broken)
        return -ENOMEM;
    size_t length = canvas->elements.length;
    return fwrite(text_string(&canvas->elements), 1, length, file) == length ? 0 : -EIO;
}

int canvas_finish(struct canvas *canvas, const char *path)
{
    FILE *file = fopen(path, "wbe");
    int error = file == NULL ? -errno : 0;
    if (error == 0) {
        error = canvas->format == CANVAS_PNG ? write_png(canvas, file) : write_svg(canvas, file);
        if (fclose(file) != 0 && error == 0)
            error = -errno;
    }
    free(canvas->pixels);
    text_free(&canvas->elements);
    free(canvas);
    return error;
}
