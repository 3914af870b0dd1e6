// SPDX-License-Identifier: MIT
/*
 * Measures the walk over a full ring: the kernel fills it while nobody reads, on the same CPU,
 * then one way of reading empties it; each way in turn, many times. Prints one JSON object with
 * the nanoseconds per record of each round and way.
 *
 *     scan RECORD_SIZE RING_SIZE TOUCH ROUNDS [WAY]
 *
 * RECORD_SIZE 0: mixed. TOUCH 1: also loads the first word of each record. WAY: only this one.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <rbcore/rbcore.h>

#include "clock.h"
#include "figures.h"
#include "kernel_ring.h"

/* So many records stay in the first-level cache, with the array that tells of them. */
#define BATCH 128
/* Spans are longer: records whose data stays in the second-level cache. */
#define SPAN_RECORDS 4096
/* The kernel is asked for this many records at once until it refuses. */
#define FILL_BURST 1024

static uint64_t there;        /* records in the ring */
static uint64_t count;        /* read */
static volatile uint64_t sum; /* volatile: the touch must happen */

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "scan: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static int count_record(void *unused, void *data, size_t size) {
    (void)unused;
    (void)data;
    (void)size;
    count++;
    return 0;
}

static int touch_record(void *unused, void *data, size_t size) {
    (void)unused;
    (void)size;
    count++;
    sum += *(const uint64_t *)data;
    return 0;
}

static uint64_t scan_libbpf(int fd, bool touch) {
    struct ring_buffer *ring =
        ring_buffer__new(fd, touch ? touch_record : count_record, NULL, NULL);
    uint64_t start;
    check(ring != NULL, "ring_buffer__new failed");
    start = clock_ns(CLOCK_MONOTONIC);
    ring_buffer__consume(ring);
    start = clock_ns(CLOCK_MONOTONIC) - start;
    ring_buffer__free(ring);
    return start;
}

static rbcore_reader *open_rbcore(int fd) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_reader *reader;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = fd;
    check(rbcore_reader_open(&reader, NULL) == 0, "rbcore_reader_open failed");
    check(rbcore_reader_add(reader, &source) == 0, "rbcore_reader_add failed");
    return reader;
}

static uint64_t touch_batch(const rbcore_record *records, int length) {
    uint64_t words = 0;
    for (int i = 0; i < length; i++) {
        words += *(const uint64_t *)records[i].data;
    }
    return words;
}

static uint64_t scan_rbcore(int fd, bool touch) {
    static rbcore_record records[BATCH];
    rbcore_reader *reader = open_rbcore(fd);
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    while (count < there) {
        int length = rbcore_reader_next(reader, records, BATCH, 0);
        check(length > 0, "rbcore_reader_next failed");
        count += (uint64_t)length;
        if (touch) {
            sum += touch_batch(records, length);
        }
        rbcore_reader_commit(reader, NULL, 0);
    }
    start = clock_ns(CLOCK_MONOTONIC) - start;
    rbcore_reader_free(reader);
    return start;
}

static uint64_t touch_span(const rbcore_span *span) {
    const char *data = span->data;
    uint64_t words = 0;
    for (uint32_t i = 0; i < span->count; i++) {
        words += *(const uint64_t *)(data + (size_t)i * span->stride);
    }
    return words;
}

static uint64_t scan_spans(int fd, bool touch) {
    static rbcore_span spans[BATCH];
    rbcore_reader *reader = open_rbcore(fd);
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    while (count < there) {
        int length = rbcore_reader_next_spans(reader, spans, BATCH, SPAN_RECORDS, 0);
        check(length > 0, "rbcore_reader_next_spans failed");
        for (int i = 0; i < length; i++) {
            count += spans[i].count;
            if (touch) {
                sum += touch_span(&spans[i]);
            }
        }
        rbcore_reader_commit(reader, NULL, 0);
    }
    start = clock_ns(CLOCK_MONOTONIC) - start;
    rbcore_reader_free(reader);
    return start;
}

static const struct {
    const char *name;
    uint64_t (*scan)(int fd, bool touch);
} ways[] = {
    {"libbpf", scan_libbpf},
    {"rbcore", scan_rbcore},
    {"rbcore-spans", scan_spans},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Returns how many records the ring took until it was full. */
static uint64_t fill(kernel_ring *ring) {
    uint64_t refused = kernel_ring_refused(ring), before = kernel_ring_sequence(ring);
    while (kernel_ring_refused(ring) == refused) {
        kernel_ring_produce(ring, FILL_BURST);
    }
    return kernel_ring_sequence(ring) - before - (kernel_ring_refused(ring) - refused);
}

static double measure(kernel_ring *ring, size_t way, bool touch) {
    uint64_t time;
    there = fill(ring);
    count = 0;
    time = ways[way].scan(ring->fd, touch);
    check(count == there, "records were lost or invented");
    return (double)time / (double)there;
}

int main(int argc, char **argv) {
    static figures found[WAYS];
    kernel_ring ring;
    const char *only;
    bool touch;
    int rounds, wanted = 0;
    check(argc == 5 || argc == 6, "call it as: scan RECORD_SIZE RING_SIZE 0|1 ROUNDS [WAY]");
    touch = atoi(argv[3]) != 0;
    rounds = atoi(argv[4]);
    only = argv[5]; /* or NULL */
    check(rounds > 0 && rounds <= ROUNDS_MAX, "ROUNDS has to be 1 to 1000");
    pin_to_cpu(0);
    kernel_ring_open(&ring, (uint32_t)atoi(argv[1]), (uint32_t)strtoul(argv[2], NULL, 10), 0,
                     false);
    for (int round = 0; round < rounds; round++) {
        wanted = 0;
        for (size_t way = 0; way < WAYS; way++) {
            if (!only || !strcmp(only, ways[way].name)) {
                found[wanted].way = ways[way].name;
                found[wanted++].rounds[round] = measure(&ring, way, touch);
            }
        }
    }
    print_figures(found, wanted, (size_t)rounds);
    kernel_ring_close(&ring);
    return EXIT_SUCCESS;
}
