// SPDX-License-Identifier: MIT
#include "reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void die(const char *what) {
    fprintf(stderr, "reader: %s\n", what);
    exit(EXIT_FAILURE);
}

void reader_open(bench_reader *self, int argc, char **argv) {
    uint64_t sample_every;
    if (argc != 3) {
        die("call it by the producer: ... MAP_FD SAMPLE_EVERY");
    }
    sample_every = strtoull(argv[2], NULL, 10);
    if (sample_every == 0 || (sample_every & (sample_every - 1)) != 0) {
        die("SAMPLE_EVERY has to be a power of two");
    }
    *self = (bench_reader){
        .fd = atoi(argv[1]), .sample_mask = sample_every - 1, .other = RECORD_SECOND};
    self->latencies = malloc(LATENCIES_MAX * sizeof(*self->latencies));
    if (!self->latencies) {
        die("no memory");
    }
}

void reader_ready(bench_reader *self) {
    puts("ready");
    fflush(stdout);
    self->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void reader_gap(bench_reader *self, uint64_t sequence) {
    if (sequence & RECORD_END) {
        self->delivered =
            (self->expected & ~RECORD_SECOND) + (self->other & ~RECORD_SECOND) - self->lost;
        self->lost = (sequence & ~RECORD_END) - self->delivered;
        reader_end(self);
        return;
    }
    if ((sequence ^ self->expected) & RECORD_SECOND) {
        uint64_t expected = self->expected;
        self->expected = self->other;
        self->other = expected;
    }
    if (sequence < self->expected) {
        die("a record came twice or out of order");
    }
    self->lost += sequence - self->expected;
}

void reader_disorder(bench_reader *self, uint64_t older_ns) {
    self->out_of_order++;
    if (older_ns > self->disorder_ns) {
        self->disorder_ns = older_ns;
    }
}

void reader_end(bench_reader *self) {
    self->ended = true;
    self->end_ns = clock_ns(CLOCK_MONOTONIC);
    self->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - self->cpu_ns;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static uint64_t percentile(const bench_reader *self, double fraction) {
    uint64_t index = (uint64_t)(fraction * (double)self->latency_count);
    return self->latency_count ? self->latencies[index] : 0;
}

int reader_report(bench_reader *self, uint64_t wakeups) {
    qsort(self->latencies, self->latency_count, sizeof(*self->latencies), compare);
    printf("{\"delivered\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"end_ns\": %" PRIu64
           ", \"cpu_ns\": %" PRIu64 ", \"wakeups\": %" PRIu64 ", \"latency_ns\": {\"p50\": %" PRIu64
           ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64 "}, \"out_of_order\": %" PRIu64
           ", \"disorder_ns\": %" PRIu64 "}\n",
           self->delivered, self->lost, self->end_ns, self->cpu_ns, wakeups, percentile(self, 0.5),
           percentile(self, 0.99), percentile(self, 0.999), self->out_of_order, self->disorder_ns);
    return EXIT_SUCCESS;
}
