/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char context[256];

void set_context(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof(context), format, arguments);
    va_end(arguments);
}

void fail(const char *file, int line, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s:%d: %s\n", context, file, line, text);
    abort();
}

static uint64_t first_episode(const char *argument) {
    uint64_t seed = strtoull(argument, NULL, 10);
    return seed < 1000000 ? seed * 1000000 : seed;
}

uint64_t random_below(uint64_t *state, uint64_t below) {
    return flow_random(state) % below;
}

static uint64_t word_at(const rbcore_record *record, uint32_t i) {
    uint64_t word;
    memcpy(&word, (const uint8_t *)record->data + i * sizeof(word), sizeof(word));
    return word;
}

bool is_intact(const rbcore_record *record) {
    uint64_t first = word_at(record, 0);
    uint32_t words = record->size / sizeof(first);
    if (words != flow_words(first)) {
        return false;
    }
    for (uint32_t i = 1; i < words; i++) {
        if (word_at(record, i) != flow_word(first, i)) {
            return false;
        }
    }
    return true;
}

uint64_t expect_name(const rbcore_record *record) {
    if (record->size < sizeof(uint64_t)) {
        FAIL("torn: a record of %u bytes at %llu", record->size,
             (unsigned long long)record->position);
    }
    uint64_t first = word_at(record, 0);
    if (flow_producer(first) >= FLOW_PRODUCERS_MAX ||
        record->size != flow_words(first) * sizeof(first)) {
        FAIL("torn: %u bytes at %llu begin with %llx", record->size,
             (unsigned long long)record->position, (unsigned long long)first);
    }
    return first;
}

/* Only those of files and devices: what the allocator maps, it may keep. */
static unsigned int count_mappings(void) {
    unsigned int count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    EXPECT(maps);
    while (fgets(line, sizeof(line), maps)) {
        count += strstr(line, "memfd:") || strstr(line, "anon_inode:");
    }
    fclose(maps);
    return count;
}

void play_episodes(int argc, char **argv, void (*episode)(uint64_t seed),
                   uint64_t (*reached)(void)) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s SEED SECONDS [MOST]\n", argv[0]);
        exit(2);
    }
    if (ring_missing()) {
        printf("skipped: %s\n", ring_missing());
        exit(SKIPPED);
    }
    uint64_t seed = first_episode(argv[1]);
    int64_t end = now_ns() + strtoll(argv[2], NULL, 10) * SECOND;
    uint64_t most = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX;
    episode(seed++); /* what is made once is made */
    unsigned int descriptors = open_fds(), mappings = count_mappings();
    while (now_ns() < end && reached() < most) {
        episode(seed++);
    }
    if (open_fds() != descriptors || count_mappings() != mappings) {
        FAIL("leak: %u descriptors and %u mappings became %u and %u", descriptors, mappings,
             open_fds(), count_mappings());
    }
}
