// SPDX-License-Identifier: MIT
/*
 * Measures what a reader costs that polls by the timer alone (RBCORE_READER_POLL) while nothing
 * comes. Prints one JSON object with the figures of each round and way.
 *
 *     poll_idle MAX_LATENCY_MS ROUNDS
 *
 * A figure is the percentage of a CPU that the reader takes, for rings of several sizes.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <rbcore/rbcore.h>

#include "clock.h"
#include "figures.h"
#include "kernel_ring.h"
#include "kernel_rings.h"

#define READER_CPU 0
#define ROUND_NS UINT64_C(200000000)

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "poll_idle: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static rbcore_reader *open_reader(const kernel_rings *rings, int64_t max_latency_ns) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_reader *reader;
    options.flags = RBCORE_READER_POLL;
    options.max_latency_ns = max_latency_ns;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = rings->fds[0];
    check(rbcore_reader_open(&reader, &options) == 0, "no reader");
    check(rbcore_reader_add(reader, &source) == 0, "the ring cannot be added");
    return reader;
}

static double measure(rbcore_reader *reader) {
    uint64_t spent = clock_ns(CLOCK_THREAD_CPUTIME_ID), begin = clock_ns(CLOCK_MONOTONIC), passed;
    rbcore_record record;
    do {
        int count = rbcore_reader_next(reader, &record, 1, (int64_t)ROUND_NS);
        check(count == 0 || count == -EINTR, "an idle ring gave something");
        passed = clock_ns(CLOCK_MONOTONIC) - begin;
    } while (passed < ROUND_NS);
    return 100 * (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - spent) / (double)passed;
}

static const struct {
    const char *name;
    uint32_t size;
} sizes[] = {{"64 KiB", 1 << 16}, {"1 MiB", 1 << 20}, {"16 MiB", 1 << 24}};
#define WAYS (sizeof(sizes) / sizeof(*sizes))

static void run(int64_t max_latency_ns, size_t rounds) {
    static figures found[WAYS];
    kernel_rings rings[WAYS];
    rbcore_reader *readers[WAYS];
    for (size_t way = 0; way < WAYS; way++) {
        found[way].way = sizes[way].name;
        kernel_rings_open(&rings[way], 1, sizes[way].size);
        readers[way] = open_reader(&rings[way], max_latency_ns);
    }
    for (size_t round = 0; round < rounds; round++) {
        for (size_t way = 0; way < WAYS; way++) {
            found[way].rounds[round] = measure(readers[way]);
        }
    }
    for (size_t way = 0; way < WAYS; way++) {
        rbcore_reader_free(readers[way]);
        kernel_rings_close(&rings[way]);
    }
    print_figures(found, WAYS, rounds);
}

int main(int argc, char **argv) {
    check(argc == 3, "usage: poll_idle MAX_LATENCY_MS ROUNDS");
    int64_t max_latency_ns = atoll(argv[1]) * 1000000;
    size_t rounds = strtoul(argv[2], NULL, 10);
    check(max_latency_ns > 0, "MAX_LATENCY_MS has to be above 0");
    check(rounds > 0 && rounds <= ROUNDS_MAX, "1 to 1000 rounds");
    pin_to_cpu(READER_CPU);
    run(max_latency_ns, rounds);
    return EXIT_SUCCESS;
}
