/* SPDX-License-Identifier: MIT */
/* The readers in C have this in common: the work on each record, and the report. */
#ifndef BENCH_READER_H
#define BENCH_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "record.h"

typedef struct bench_reader {
    int fd; /* of the ring buffer map */
    bool ended;
    uint64_t delivered; /* known at the end */
    uint64_t lost;
    uint64_t expected; /* the next sequence */
    uint64_t other;    /* the next sequence of the producer that the last record is not from */
    uint64_t sample_mask;
    uint64_t end_ns;
    uint64_t cpu_ns;
    uint64_t *latencies;
    uint64_t latency_count;
    uint64_t newest_time;
    uint64_t out_of_order; /* samples older than one that came before */
    uint64_t disorder_ns;  /* how much older at most */
} bench_reader;

/* Latencies beyond these are not kept; they fill page by page as they come. */
#define LATENCIES_MAX (UINT64_C(1) << 22)

/* Reads the arguments that the producer gives. */
void reader_open(bench_reader *self, int argc, char **argv);

/* Tells the producer to begin; the CPU time counts from here. */
void reader_ready(bench_reader *self);

/* Prints the result; what main returns. */
int reader_report(bench_reader *self, uint64_t wakeups);

/*
 * A sequence that is not the one expected: of a record after lost ones, another producer, the end.
 */
void reader_gap(bench_reader *self, uint64_t sequence);
void reader_end(bench_reader *self);
void reader_disorder(bench_reader *self, uint64_t older_ns);

static inline void reader_sample(bench_reader *self, const struct record *record) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (self->latency_count < LATENCIES_MAX) {
        self->latencies[self->latency_count++] = now - record->time;
    }
    if (record->time >= self->newest_time) {
        self->newest_time = record->time;
    } else {
        reader_disorder(self, self->newest_time - record->time);
    }
}

/*
 * Does the work on each record, equal for all readers: one word, and of a sample the second, too.
 */
static inline void reader_record(bench_reader *self, const void *data) {
    const struct record *record = data;
    uint64_t sequence = record->sequence;
    if (sequence != self->expected) {
        reader_gap(self, sequence);
        if (self->ended) {
            return;
        }
    }
    self->expected = sequence + 1;
    if ((sequence & self->sample_mask) == 0) {
        reader_sample(self, record);
    }
}

/*
 * Does the same for a loop over a batch, which keeps the expected sequence in a register. Returns
 * it.
 */
static inline uint64_t reader_follow(bench_reader *self, uint64_t expected, const void *data) {
    const struct record *record = data;
    if (record->sequence == expected && (expected & self->sample_mask) != 0) {
        return expected + 1;
    }
    self->expected = expected;
    reader_record(self, data);
    return self->expected;
}

#endif
