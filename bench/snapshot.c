// SPDX-License-Identifier: MIT
/*
 * Measures a snapshot of a full memory ring; each way in turn, many times. Prints one JSON object
 * with the figures of each round and way.
 *
 *     snapshot RING_SIZE WHAT ROUNDS
 *
 * WHAT copy: nanoseconds per KiB of the ring, by memcpy of as many bytes, and by snapshots in both
 * modes of a ring. meanwhile: nanoseconds per record of a producer on CPU 1, in 200 ms, alone and
 * while CPU 0 takes 10 snapshots a second. file: nanoseconds per KiB of the ring, to write what it
 * holds into a file in memory, by a snapshot, and by a header before the records as they lie there.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#include "clock.h"
#include "figures.h"
#include "kernel_ring.h"

#define RECORD_SIZE 24
#define BATCH 4096
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

/* Returns how many nanoseconds that are for each KiB of the ring. */
static double per_kib_since(uint64_t begin) {
    return (double)(clock_ns(CLOCK_MONOTONIC) - begin) / ((double)ring_size / 1024);
}

static int measure_copy(size_t rounds, figures *found) {
    static const char *const names[WAYS] = {"memcpy", "snapshot", "snapshot-overwrite"};
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
            found[way].way = names[way];
            found[way].rounds[round > 0 ? round - 1 : 0] = per_kib_since(begin);
        }
    }
    return WAYS;
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

static int measure_meanwhile(size_t rounds, figures *found) {
    filled_ring ring = open_ring(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE);
    found[0].way = "alone";
    found[1].way = "snapshots";
    pin_to_cpu(1);
    produce(&ring);
    for (size_t round = 0; round < rounds; round++) {
        found[0].rounds[round] = produce(&ring);
        atomic_store(&stop, false);
        pthread_t thread = start_on_cpu(0, take_now_and_then, &ring);
        found[1].rounds[round] = produce(&ring);
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
    }
    return 2;
}

/* ---- As a file ---- */

typedef void file_writer(filled_ring *ring, const rbcore_record ends[2], int file);

static void save(filled_ring *ring, const rbcore_record ends[2], int file) {
    (void)ends;
    take(ring);
    check(!rbcore_snapshot_save(ring->snapshot, file), "the snapshot cannot be saved");
}

static void write_uncopied(filled_ring *ring, const rbcore_record ends[2], int file) {
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content;
    check(!rbcore_reader_snapshot_header(ring->reader, &ends[0], &ends[1], header, &content),
          "no header");
    struct iovec parts[] = {{header, sizeof(header)},
                            {(void *)(uintptr_t)content.data, content.size}};
    check(writev(file, parts, 2) == (ssize_t)(sizeof(header) + content.size), "no file");
}

/* Reads all that the ring has, and keeps it. Sets the first and the last record. */
static size_t read_all(const filled_ring *ring, rbcore_record ends[2]) {
    static rbcore_record records[BATCH];
    size_t all = 0;
    for (int count; (count = rbcore_reader_next(ring->reader, records, BATCH, 0)) > 0;) {
        ends[0] = all == 0 ? records[0] : ends[0];
        ends[1] = records[count - 1];
        all += (size_t)count;
    }
    check(all >= ring_size / (RECORD_SIZE + 8) - 1, "the ring is not full");
    return all;
}

/* Both are of records that a reader holds, so they write the same. */
static double write_file(file_writer *write, filled_ring *ring, int file) {
    rbcore_record ends[2];
    fill(ring);
    read_all(ring, ends);
    lseek(file, 0, SEEK_SET);
    uint64_t begin = clock_ns(CLOCK_MONOTONIC);
    write(ring, ends, file);
    double found = per_kib_since(begin);
    rbcore_reader_commit(ring->reader, NULL, RBCORE_COMMIT_NOW);
    return found;
}

static int measure_file(size_t rounds, figures *found) {
    static const struct {
        const char *name;
        file_writer *write;
    } ways[] = {{"snapshot and save", save}, {"header, uncopied", write_uncopied}};
    filled_ring rings[] = {open_ring(0, 0), open_ring(0, 0)};
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    check(file >= 0, "no file in memory");
    for (size_t round = 0; round <= rounds; round++) { /* one more: the first touches pages */
        for (int way = 0; way < 2; way++) {
            found[way].way = ways[way].name;
            found[way].rounds[round > 0 ? round - 1 : 0] =
                write_file(ways[way].write, &rings[way], file);
        }
    }
    return 2;
}

static const struct {
    const char *name;
    int (*measure)(size_t rounds, figures *found); /* returns how many ways there are */
} kinds[] = {{"copy", measure_copy}, {"meanwhile", measure_meanwhile}, {"file", measure_file}};

int main(int argc, char **argv) {
    static figures found[WAYS];
    int ways = 0;
    check(argc == 4, "usage: snapshot RING_SIZE copy|meanwhile|file ROUNDS");
    ring_size = strtoul(argv[1], NULL, 10);
    size_t rounds = strtoul(argv[3], NULL, 10);
    check(rounds > 0 && rounds <= ROUNDS_MAX, "1 to 1000 rounds");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (!strcmp(argv[2], kinds[i].name)) {
            ways = kinds[i].measure(rounds, found);
        }
    }
    check(ways > 0, "copy, meanwhile or file");
    print_figures(found, ways, rounds);
    return 0;
}
