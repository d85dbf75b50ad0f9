/* SPDX-License-Identifier: BSD-3-Clause */
#include "compress/codec.h"

#include <string.h>

#include "compress/codecs.h"

static const struct codec *const codecs[] = {&codec_lz4, &codec_lz4hc, &codec_zstd};

const struct codec *codec_find(const char *name)
{
    for (size_t i = 0; i < array_count(codecs); i++) {
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    }
    return NULL;
}

const struct codec *codec_at(size_t index)
{
    return index < array_count(codecs) ? codecs[index] : NULL;
}

bool codec_has_level(const struct codec *codec, int level)
{
    return codec->level_min <= level && level <= codec->level_max;
}
