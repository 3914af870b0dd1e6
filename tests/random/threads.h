/* SPDX-License-Identifier: MIT */
/*
 * Random calls by several threads, as the header allows them. Which comes first is not known, so it
 * is sums that are compared, when all have ended; and of each record that it is whole, comes once,
 * and in the order of its writer.
 */
#ifndef RBCORE_TESTS_RANDOM_THREADS_H
#define RBCORE_TESTS_RANDOM_THREADS_H

#include "driver.h"

#include <pthread.h>
#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stddef.h>

#define RINGS_MAX 3
#define WRITERS_MAX 6
#define READERS_MAX 3 /* the one that consumes, and taps */
#define WORKERS_MAX 2

typedef struct thr_ring {
    bool overwrites;
    int memory_fd, event_fd;
    size_t size;
    atomic_ullong spans, refused, discarded, abandoned; /* by all writers, as they know it */
} thr_ring;

typedef struct thr_writer {
    unsigned number;
    thr_ring *ring;
    rbcore_producer *handle;
    bool owns_handle;
    uint64_t most, sent; /* records */
    pthread_t thread;
} thr_writer;

/* The records that a reader has had of a ring, by whichever handle. */
typedef struct thr_reading {
    thr_ring *ring;
    unsigned index;
    uint64_t next[WRITERS_MAX]; /* sequence number */
    uint64_t epoch[WRITERS_MAX], losses;
    uint64_t handed, start_pos, total; /* handed: bytes since it was added; total: records */
    uint64_t bytes, records;           /* since it was added */
    uint64_t discards, abandoned;      /* before it was added this time */
    bool may_lose;
} thr_reading;

typedef struct thr_consumer {
    unsigned number;
    bool is_tap, releases;
    uint32_t flags;
    bool returns_on_discards;
    int64_t max_latency_ns;
    _Atomic(rbcore_reader *) handle;
    pthread_mutex_t handle_lock; /* for the thread that takes a reference */
    unsigned ring_count;
    thr_reading readings[RINGS_MAX];
    atomic_ullong interrupts, flushes, held;
    uint64_t cancelled, flushed;
    pthread_t thread;
} thr_consumer;

typedef struct thr_round {
    unsigned ring_count, writer_count, consumer_count, worker_count;
    thr_ring rings[RINGS_MAX];
    thr_writer writers[WRITERS_MAX];
    thr_consumer consumers[READERS_MAX];
    pthread_t workers[WORKERS_MAX], meddler;
    atomic_bool written; /* all writers have ended */
    atomic_bool read;    /* all consumers have */
} thr_round;

extern thr_round the_round;

/* writers.c */
rbcore_source source_of(const thr_ring *ring);
void *write_records(void *writer);
/* Whether a record is whole; its writer and number. */
void read_content(const rbcore_record *record, uint32_t *writer, uint64_t *sequence);

/* consumers.c */
void *consume_records(void *consumer);

/* workers.c: what others do with what the consumer has */
void hand_over(thr_consumer *from, const rbcore_record *records, size_t count);
void *work(void *number);
void *meddle(void *unused);

#endif
