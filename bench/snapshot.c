// SPDX-License-Identifier: MIT
/*
 * Measures a snapshot of a full memory ring; each way in turn, many times. Prints one JSON object
 * with the figures of each round and way.
 *
 *     snapshot RING_SIZE MEANWHILE ROUNDS
 *
 * MEANWHILE 0: nanoseconds per KiB of the ring, by memcpy of as many bytes, and by snapshots in
 * both modes of a ring. 1: nanoseconds per record of a producer on CPU 1, in 200 ms, alone and
 * while CPU 0 takes 10 snapshots a second.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#include "clock.h"
#include "kernel_ring.h"

#define RECORD_SIZE 24
#define ROUNDS_MAX 1000
#define PRODUCE_NS UINT64_C(200000000)
#define SNAPSHOTS_APART_US 100000

static size_t ring_size;

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "snapshot: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

typedef struct filled_ring {
    rbcore_producer *producer;
    rbcore_reader *reader;
    rbcore_snapshot *snapshot;
} filled_ring;

static filled_ring open_ring(uint32_t ring_flags, uint32_t source_flags) {
    filled_ring ring = {0};
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    check(!rbcore_memory_ring_create(&source.fd, &source.event_fd, ring_size, ring_flags),
          "no memory ring");
    check(!rbcore_producer_open(&ring.producer, &source), "no producer");
    check(!rbcore_reader_open(&ring.reader, NULL), "no reader");
    source.flags = source_flags;
    check(rbcore_reader_add(ring.reader, &source) == 0, "the ring cannot be added");
    return ring;
}

static void fill(const filled_ring *ring) {
    uint64_t record[RECORD_SIZE / 8] = {0};
    for (size_t space = 0; space < 2 * ring_size; space += RECORD_SIZE + 8) {
        rbcore_producer_output(ring->producer, record, sizeof(record), 0);
    }
}

static void take(filled_ring *ring) {
    check(!rbcore_reader_snapshot(ring->reader, 0, &ring->snapshot, 0), "no snapshot");
}

/* ---- What it costs ---- */

enum { MEMCPY, NORMAL, OVERWRITE, WAYS };
static const char *const way_names[WAYS] = {"memcpy", "snapshot", "snapshot-overwrite"};
static const char *const meanwhile_names[] = {"alone", "snapshots"};

static void measure_cost(size_t rounds, double figures[WAYS][ROUNDS_MAX]) {
    filled_ring rings[WAYS] = {
        [NORMAL] = open_ring(0, 0),
        [OVERWRITE] = open_ring(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE)};
    unsigned char *from = malloc(ring_size), *to = malloc(ring_size);
    check(from && to, "no memory");
    memset(from, 1, ring_size);
    fill(&rings[NORMAL]);
    fill(&rings[OVERWRITE]);
    for (size_t round = 0; round <= rounds; round++) { /* one more: the first touches pages */
        for (int way = 0; way < WAYS; way++) {
            uint64_t begin = clock_ns(CLOCK_MONOTONIC);
            if (way == MEMCPY) {
                memcpy(to, from, ring_size);
            } else {
                take(&rings[way]);
            }
            __asm__ volatile("" ::"r"(to) : "memory");
            double ns = (double)(clock_ns(CLOCK_MONOTONIC) - begin);
            figures[way][round > 0 ? round - 1 : 0] = ns / ((double)ring_size / 1024);
        }
    }
}

/* ---- What it costs the producer ---- */

static atomic_bool stop;

static void *take_now_and_then(void *context) {
    while (!atomic_load(&stop)) {
        take(context);
        usleep(SNAPSHOTS_APART_US);
    }
    return NULL;
}

static double produce(const filled_ring *ring) {
    uint64_t record[RECORD_SIZE / 8] = {0}, count = 0, begin = clock_ns(CLOCK_MONOTONIC), passed;
    do {
        for (int i = 0; i < 1000; i++, count++) {
            rbcore_producer_output(ring->producer, record, sizeof(record), RBCORE_NO_WAKEUP);
        }
        passed = clock_ns(CLOCK_MONOTONIC) - begin;
    } while (passed < PRODUCE_NS);
    return (double)passed / (double)count;
}

static void measure_producer(size_t rounds, double figures[WAYS][ROUNDS_MAX]) {
    filled_ring ring = open_ring(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE);
    pin_to_cpu(1);
    produce(&ring);
    for (size_t round = 0; round < rounds; round++) {
        figures[0][round] = produce(&ring);
        atomic_store(&stop, false);
        pthread_t thread = start_on_cpu(0, take_now_and_then, &ring);
        figures[1][round] = produce(&ring);
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
    }
}

static void print(const char *const *names, int ways, size_t rounds,
                  double figures[WAYS][ROUNDS_MAX]) {
    for (int way = 0; way < ways; way++) {
        printf("%s\"%s\": [", way ? ", " : "{", names[way]);
        for (size_t round = 0; round < rounds; round++) {
            printf("%s%.2f", round ? ", " : "", figures[way][round]);
        }
        printf("]");
    }
    printf("}\n");
}

int main(int argc, char **argv) {
    static double figures[WAYS][ROUNDS_MAX];
    check(argc == 4, "usage: snapshot RING_SIZE MEANWHILE ROUNDS");
    ring_size = strtoul(argv[1], NULL, 10);
    bool is_meanwhile = atoi(argv[2]);
    size_t rounds = strtoul(argv[3], NULL, 10);
    check(rounds > 0 && rounds <= ROUNDS_MAX, "1 to 1000 rounds");
    if (is_meanwhile) {
        measure_producer(rounds, figures);
    } else {
        measure_cost(rounds, figures);
    }
    print(is_meanwhile ? meanwhile_names : way_names, is_meanwhile ? 2 : WAYS, rounds, figures);
    return 0;
}
