/* SPDX-License-Identifier: MIT */
/* The interface of a fuzz target (fuzz_ring.c, fuzz_snapshot.c), for a fuzzer and for replay.c. */
#ifndef RBCORE_FUZZ_H
#define RBCORE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_INPUT_MAX 4096

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes an input that goes deeper than random bytes would; returns its size. */
size_t fuzz_make_input(uint8_t data[FUZZ_INPUT_MAX], uint64_t *random);

/* The same numbers in each run. */
static inline uint8_t fuzz_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint8_t)(*state >> 56);
}

#endif
