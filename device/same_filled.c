/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/same_filled.h"

#include <string.h>

#include "common/units.h"

#define WORDS_PER_BLOCK (BLOCK_SIZE_BYTES / sizeof(uint64_t))

static uint64_t load_word(const unsigned char *bytes, size_t index)
{
    uint64_t word;
    memcpy(&word, bytes + index * sizeof word, sizeof word);
    return word;
}

bool same_filled_detect(const void *block, uint64_t *pattern)
{
    const unsigned char *bytes = block;
    uint64_t first = load_word(bytes, 0);

    /* Most blocks differ at the ends already: look there before walking. */
    if (likely(load_word(bytes, WORDS_PER_BLOCK - 1) != first))
        return false;
    /* A line at a time, so that the compiler uses vectors and still leaves early. */
    for (size_t i = 0; i < WORDS_PER_BLOCK; i += 8) {
        uint64_t difference = 0;
        for (size_t j = 0; j < 8; j++)
            difference |= load_word(bytes, i + j) ^ first;
        if (difference != 0)
            return false;
    }
    *pattern = first;
    return true;
}

void same_filled_fill(void *target, uint64_t pattern, size_t offset, size_t count)
{
    unsigned char *out = target;
    if (pattern == 0) {
        memset(out, 0, count);
        return;
    }
    /* Turn the word so that it starts at `offset`, then copy it over and over. */
    unsigned char word[2 * sizeof pattern];
    memcpy(word, &pattern, sizeof pattern);
    memcpy(word + sizeof pattern, &pattern, sizeof pattern);
    const unsigned char *start = word + offset % sizeof pattern;
    for (; count >= sizeof pattern; count -= sizeof pattern, out += sizeof pattern)
        memcpy(out, start, sizeof pattern);
    memcpy(out, start, count);
}
