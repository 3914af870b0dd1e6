/* SPDX-License-Identifier: MIT */
/* The agreement of words.bpf.c and the test that drives it: records of which each word is known. */
#ifndef WORDS_H
#define WORDS_H

#include <linux/types.h>

#define WORDS_SMALL 2
#define WORDS_MIDDLE 9
#define WORDS_LARGE 65

struct words_args {
    __u64 sequence; /* of the first record; after the run, of the next one */
    __u64 refused;  /* out, added to: records for which there was no room */
    __u64 bytes;    /* out, added to: of the ring that the others took */
    __u32 producer; /* below 256 */
    __u32 count;
    __u32 discard_each; /* discard the records whose number this divides; 0: none */
    __u32 unused;
};

/* The first word names the record, the others follow from it. */
static inline __u64 first_word(__u32 producer, __u64 sequence) {
    return (__u64)producer << 56 | sequence;
}

static inline __u64 word_of(__u64 first, __u32 i) {
    return first ^ (i * 0x9e3779b97f4a7c15ull);
}

/* Returns how many words a record has: a mix, by its number alone. */
static inline __u32 words_in(__u32 producer, __u64 sequence) {
    __u32 hash = ((__u32)sequence * 2654435761u + producer * 40503u) >> 24;
    return hash < 160 ? WORDS_SMALL : hash < 240 ? WORDS_MIDDLE : WORDS_LARGE;
}

#endif
