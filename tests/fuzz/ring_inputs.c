/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdbool.h>

/*
 * Mostly producing, reading and giving back, so that the ring goes round before it breaks; every
 * other record of one size, so that there are runs, and old ones beyond the end of a new one. Most
 * scripts are short: more of them in the same time.
 */
size_t fuzz_make_input(uint8_t data[FUZZ_INPUT_MAX], uint64_t *random) {
    size_t size = 0, steps = 1 + fuzz_random(random);
    steps = fuzz_random(random) < 224 ? 1 + steps % 24 : steps;
    data[size++] = fuzz_random(random) & 7;
    for (int i = 0; i < 10; i++) {
        data[size++] = fuzz_random(random);
    }
    while (steps--) {
        uint8_t op = fuzz_random(random);
        op = op < 240 ? (uint8_t)(op / 16 * 16 + op % 10) : op;
        data[size++] = op;
        bool is_usual = op % 16 < 3 && fuzz_random(random) % 2;
        for (int n = op % 16 < 10 ? 2 : 4; n; n--) {
            data[size++] = is_usual ? 24 * (n == 1) : fuzz_random(random);
        }
    }
    return size;
}
