/* SPDX-License-Identifier: MIT */
/*
 * Producers and checkers of the campaign agree on this: records of which each byte is known, and
 * how many of them each producer made.
 */
#ifndef FLOW_H
#define FLOW_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u64 uint64_t;
typedef __u32 uint32_t;
#else
#include <stdint.h>
#endif

#define FLOW_PRODUCERS_MAX 512 /* in the life of a ring; a power of two */
#define FLOW_SMALL 2           /* words of a record */
#define FLOW_MIDDLE 9
#define FLOW_LARGE 65

/*
 * The counts of one producer. A record's number is that of submitted before it: a refused or
 * discarded one uses up none. A producer that is killed has submitted between done and started
 * records.
 */
struct tally {
    uint64_t started;
    uint64_t done;
    uint64_t refused;
    uint64_t discarded;
};

struct flow_args {
    uint32_t producer;
    uint32_t count;
    uint64_t random;
    uint32_t is_silent; /* some records wake nobody */
    uint32_t unused;
};

/* The first word names the record, the others follow from it. */
static inline uint64_t flow_first(uint32_t producer, uint64_t number) {
    return (uint64_t)producer << 48 | number;
}

static inline uint64_t flow_word(uint64_t first, uint32_t i) {
    return (first ^ (first >> 23)) * 0x9e3779b97f4a7c15ull + i;
}

static inline uint32_t flow_producer(uint64_t first) {
    return (uint32_t)(first >> 48);
}

static inline uint64_t flow_number(uint64_t first) {
    return first << 16 >> 16;
}

/* How many words a record has, by its name alone: a mix, mostly small. */
static inline uint32_t flow_words(uint64_t first) {
    uint32_t hash = (uint32_t)(flow_word(first, 0) >> 40) & 255;
    return hash < 176 ? FLOW_SMALL : hash < 250 ? FLOW_MIDDLE : FLOW_LARGE;
}

static inline uint64_t flow_random(uint64_t *state) {
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

#endif
