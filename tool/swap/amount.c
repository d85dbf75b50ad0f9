/* SPDX-License-Identifier: BSD-3-Clause */
/* amount.c: amounts of memory that may depend on how much there is. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"
#include "tool/swap/plan.h"

/* min(min(min(… deeper is not meant. */
#define NESTING_MAX 4

#define NUMBER_BYTES 32

/* Where the text is read, and what goes by it. */
struct reader {
    const char *at;
    uint64_t ram_bytes;
};

static int read_amount(struct reader *reader, unsigned depth, uint64_t *bytes);

static void skip_space(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at))
        reader->at++;
}

/* True if what comes next is this word, which is then passed. */
static bool pass(struct reader *reader, const char *word)
{
    skip_space(reader);
    if (strncmp(reader->at, word, strlen(word)) != 0)
        return false;
    reader->at += strlen(word);
    return true;
}

/* Digits and a suffix as a size, or digits and % as a share of RAM. */
static int read_number(struct reader *reader, uint64_t *bytes)
{
    char number[NUMBER_BYTES] = "";
    skip_space(reader);
    size_t length = strspn(reader->at, "0123456789");
    bool is_percent = reader->at[length] == '%';
    if (!is_percent && isalpha((unsigned char)reader->at[length]))
        length++;
    if (length == 0 || length >= sizeof number)
        return -EINVAL;
    memcpy(number, reader->at, length);
    reader->at += length + (is_percent ? 1 : 0);
    int error = parse_size(number, bytes);
    if (error != 0 || !is_percent)
        return error;
    if (__builtin_mul_overflow(*bytes, reader->ram_bytes, bytes))
        return -ERANGE;
    *bytes /= 100;
    return 0;
}

/* ram, ram / N, ram * N: "ram" has been passed. */
static int read_ram(struct reader *reader, uint64_t *bytes)
{
    bool divides = pass(reader, "/"), multiplies = !divides && pass(reader, "*");
    uint64_t factor = 1;
    *bytes = reader->ram_bytes;
    if (!divides && !multiplies)
        return 0;
    int error = read_number(reader, &factor);
    if (error != 0 || factor == 0)
        return error != 0 ? error : -EINVAL;
    if (divides)
        *bytes /= factor;
    else if (__builtin_mul_overflow(*bytes, factor, bytes))
        return -ERANGE;
    return 0;
}

static int read_two(struct reader *reader, unsigned depth, bool wants_least, uint64_t *bytes)
{
    uint64_t first = 0, second = 0;
    int error = depth == NESTING_MAX ? -EINVAL : read_amount(reader, depth + 1, &first);
    if (error == 0)
        error = pass(reader, ",") ? read_amount(reader, depth + 1, &second) : -EINVAL;
    if (error != 0)
        return error;
    *bytes = (first < second) == wants_least ? first : second;
    return pass(reader, ")") ? 0 : -EINVAL;
}

static int read_amount(struct reader *reader, unsigned depth, uint64_t *bytes)
{
    if (pass(reader, "min("))
        return read_two(reader, depth, true, bytes);
    if (pass(reader, "max("))
        return read_two(reader, depth, false, bytes);
    if (pass(reader, "ram"))
        return read_ram(reader, bytes);
    return read_number(reader, bytes);
}

int swap_amount(const char *text, uint64_t ram_bytes, uint64_t *bytes)
{
    struct reader reader = {.at = text, .ram_bytes = ram_bytes};
    uint64_t amount;
    int error = read_amount(&reader, 0, &amount);
    if (error != 0)
        return error;
    skip_space(&reader);
    if (*reader.at != '\0')
        return -EINVAL;
    *bytes = amount;
    return 0;
}
