/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * font.h: letters of 5 by 7 pixels, for pictures on machines that have no fonts.
 */
#ifndef UZRAM_TOOL_FONT_H
#define UZRAM_TOOL_FONT_H

#define FONT_COLUMNS 5u

/* The character's columns from left to right, bit 0 at the top; a box for what is no ASCII. */
const unsigned char *font_character(char character);

#endif
