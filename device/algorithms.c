/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/algorithms.h"

#include <errno.h>

#include "device/device_internal.h"

/* relaxed: who reads the bit has a slot that names the entry, which was published after it. */
static void set_bit(_Atomic uint32_t *bits, uint32_t bit, bool value)
{
    if (value)
        atomic_fetch_or_explicit(bits, bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(bits, ~bit, memory_order_relaxed);
}

static void entry_put(struct algorithms *algorithms, unsigned index,
                      const struct algorithm *algorithm)
{
    uint32_t bit = UINT32_C(1) << index;
    algorithms->entry[index] = *algorithm;
    bool alone = algorithm->codec == NULL || algorithm_decompresses_alone(algorithm);
    set_bit(&algorithms->needs_stream, bit, !alone);
    set_bit(&algorithms->recompresses, bit, algorithm->only_decompresses);
}

void algorithms_init(struct algorithms *algorithms, const struct algorithm *written_with)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        atomic_init(&algorithms->role[role], role == ROLE_WRITE ? 0 : ROLE_UNSET);
    entry_put(algorithms, 0, written_with);
}

void algorithms_fini(struct algorithms *algorithms)
{
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++) {
        if (algorithms->dictionary[i] != NULL)
            algorithms->entry[i].codec->dictionary_destroy(algorithms->dictionary[i]);
        algorithms->dictionary[i] = NULL;
    }
}

const struct algorithm *algorithms_of_role(const struct algorithms *algorithms, unsigned role)
{
    uint32_t index = algorithms_entry_of_role(algorithms, role);
    return index != ROLE_UNSET ? &algorithms->entry[index] : NULL;
}

static uint32_t entries_with_a_role(const struct algorithms *algorithms)
{
    uint32_t entries = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        uint32_t index = algorithms_entry_of_role(algorithms, role);
        if (index != ROLE_UNSET)
            entries |= UINT32_C(1) << index;
    }
    return entries;
}

static uint32_t entries_in_use(const struct algorithms *algorithms)
{
    uint32_t entries = 0;
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++)
        entries |= (uint32_t)(algorithms->entry[i].codec != NULL) << i;
    return entries;
}

/* The entries that slots name; stops when it has seen all that are asked for. */
static uint32_t entries_of_slots(const struct slot_table *slots, uint32_t asked)
{
    uint32_t seen = 0;
    for (uint64_t page = slot_table_next_used(slots, 0);
         page < slots->page_count && (seen & asked) != asked;
         page = slot_table_next_used(slots, page + 1)) {
        block_no first = (block_no)(page * SLOTS_PER_PAGE);
        for (unsigned i = 0; i < SLOTS_PER_PAGE; i++) {
            struct slot slot = slot_peek(slots, first + i);
            if (slot_kind(slot) == SLOT_OBJECT)
                seen |= UINT32_C(1) << slot_algorithm(slot);
        }
    }
    return seen;
}

/* What a change of one entry and one role does while all streams are held. */
struct change {
    struct algorithms *algorithms;
    unsigned index;
    bool entry_stays; /* It has the algorithm, and readers without a stream may be looking at it. */
    struct algorithm algorithm;
    unsigned role; /* ROLE_COUNT: none */
    uint32_t role_entry;
};

static void change_apply(void *context)
{
    const struct change *change = context;
    if (!change->entry_stays)
        entry_put(change->algorithms, change->index, &change->algorithm);
    if (change->role < ROLE_COUNT)
        atomic_store_explicit(&change->algorithms->role[change->role], change->role_entry,
                              memory_order_relaxed);
}

/*
 * Makes the change: first in the background's stream, which the caller's lock keeps still, and then
 * in those of requests. What only the background compresses with needs less memory in the latter.
 */
static int change_streams(struct device *device, struct change *change)
{
    const struct algorithm none = {0};
    struct algorithm in_background = change->algorithm;
    in_background.only_decompresses = false;
    bool removes = change->algorithm.codec == NULL;
    int error = 0;
    /* Whatever fails, an entry that is there has its context in the background. */
    if (!removes)
        error = streams_change(device->background, change->index, &in_background, NULL, NULL);
    if (error != 0)
        return error;
    error =
        streams_change(device->streams, change->index, &change->algorithm, change_apply, change);
    if (removes == (error == 0)) {
        /* If that fails, a context that nobody uses stays until the entry's next change. */
        int removed = streams_change(device->background, change->index, &none, NULL, NULL);
        (void)removed;
    }
    return error;
}

static void entry_remove(struct device *device, unsigned index)
{
    struct algorithms *algorithms = &device->algorithms;
    struct change change = {.algorithms = algorithms, .index = index, .role = ROLE_COUNT};
    struct algorithm was = algorithms->entry[index];
    if (change_streams(device, &change) != 0)
        return; /* no memory for the list of contexts: it stays until the next sweep */
    if (algorithms->dictionary[index] != NULL)
        was.codec->dictionary_destroy(algorithms->dictionary[index]);
    algorithms->dictionary[index] = NULL;
}

void algorithms_sweep(struct device *device)
{
    struct algorithms *algorithms = &device->algorithms;
    uint32_t candidates = entries_in_use(algorithms) & ~entries_with_a_role(algorithms);
    if (candidates == 0)
        return;
    candidates &= ~entries_of_slots(&device->slots, candidates);
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++)
        if (candidates >> i & 1)
            entry_remove(device, i);
    algorithms_account(device);
}

/* Only compares entries without a dictionary: two with equal bytes may stand beside each other. */
static uint32_t entry_find(const struct algorithms *algorithms, const struct codec *codec,
                           int level, bool only_decompresses)
{
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++) {
        const struct algorithm *entry = &algorithms->entry[i];
        if (entry->codec == codec && entry->level == level && entry->dictionary == NULL &&
            entry->only_decompresses == only_decompresses)
            return i;
    }
    return ROLE_UNSET;
}

static uint32_t entry_free(struct device *device)
{
    for (int turn = 0; turn < 2; turn++) {
        uint32_t in_use = entries_in_use(&device->algorithms);
        for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++)
            if (!(in_use >> i & 1))
                return i;
        algorithms_sweep(device);
    }
    return ROLE_UNSET;
}

/* Lets the role point to an entry that is there, or to none. */
static int role_move(struct device *device, unsigned role, uint32_t index)
{
    struct algorithms *algorithms = &device->algorithms;
    if (role == ROLE_WRITE) {
        /* By way of the streams, so that no writer is left with the old one. */
        struct change change = {.algorithms = algorithms,
                                .index = index,
                                .entry_stays = true,
                                .algorithm = algorithms->entry[index],
                                .role = role,
                                .role_entry = index};
        return streams_change(device->streams, index, &change.algorithm, change_apply, &change);
    }
    atomic_store_explicit(&algorithms->role[role], index, memory_order_relaxed);
    return 0;
}

static int role_make(struct device *device, unsigned role, const struct codec *codec, int level,
                     const void *dictionary, size_t dictionary_bytes)
{
    struct algorithms *algorithms = &device->algorithms;
    uint32_t index = entry_free(device);
    if (index == ROLE_UNSET)
        return -EBUSY;
    struct codec_dictionary *made = NULL;
    if (dictionary != NULL) {
        int error = codec->dictionary_create(level, dictionary, dictionary_bytes, &made);
        if (error != 0)
            return error;
    }
    struct change change = {
        .algorithms = algorithms,
        .index = index,
        .algorithm = {.codec = codec,
                      .level = level,
                      .dictionary = made,
                      .only_decompresses = role != ROLE_WRITE},
        .role = role,
        .role_entry = index,
    };
    int error = change_streams(device, &change);
    if (error != 0)
        codec->dictionary_destroy(made);
    else
        algorithms->dictionary[index] = made;
    return error;
}

int algorithms_set(struct device *device, unsigned role, const struct codec *codec, int level,
                   const void *dictionary, size_t dictionary_bytes)
{
    int error;
    if (role >= ROLE_COUNT)
        return -EINVAL;
    if (codec == NULL) {
        if (role == ROLE_WRITE)
            return -EINVAL;
        error = role_move(device, role, ROLE_UNSET);
    } else if (!codec_has_level(codec, level)) {
        return -EINVAL;
    } else {
        uint32_t index = ROLE_UNSET;
        if (dictionary == NULL)
            index = entry_find(&device->algorithms, codec, level, role != ROLE_WRITE);
        error = index != ROLE_UNSET
                    ? role_move(device, role, index)
                    : role_make(device, role, codec, level, dictionary, dictionary_bytes);
    }
    if (error == 0)
        algorithms_sweep(device);
    algorithms_account(device);
    return error;
}

void algorithms_account(struct device *device)
{
    struct algorithms *algorithms = &device->algorithms;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++)
        if (algorithms->dictionary[i] != NULL)
            bytes += algorithms->entry[i].codec->dictionary_bytes(algorithms->dictionary[i]);
    atomic_store_explicit(&algorithms->dictionaries_bytes, bytes, memory_order_relaxed);
    bytes = streams_bytes(device->streams) + streams_bytes(device->background);
    atomic_store_explicit(&algorithms->streams_bytes, bytes, memory_order_relaxed);
}
