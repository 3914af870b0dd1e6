/* SPDX-License-Identifier: MIT */
/* What a program prints that measures by itself: one JSON object, for each way a figure a round. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdio.h>

#define ROUNDS_MAX 1000

typedef struct figures {
    const char *way;
    double rounds[ROUNDS_MAX];
} figures;

static inline void print_figures(const figures *ways, int count, size_t rounds) {
    for (int way = 0; way < count; way++) {
        printf("%s\"%s\": [", way ? ", " : "{", ways[way].way);
        for (size_t round = 0; round < rounds; round++) {
            printf("%s%.3f", round ? ", " : "", ways[way].rounds[round]);
        }
        printf("]");
    }
    printf("}\n");
}

#endif
