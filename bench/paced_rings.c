// SPDX-License-Identifier: MIT
/*
 * Measures what it costs if the same records come into 32 rings instead of one. Prints one JSON
 * object with the figures of each round and way.
 *
 *     paced_rings WHOSE RATE ROUNDS
 *
 * WHOSE reader, or producer: nanoseconds of its CPU time per record. A BPF program on CPU 1
 * produces RATE records a second in sum, into all rings in turn; a reader on CPU 0 waits for them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "figures.h"
#include "kernel_ring.h"
#include "kernel_rings.h"
#include "rings_reader.h"

#define READER_CPU 0
#define PRODUCER_CPU 1
#define MANY 32
/* So large that none is full before a reader comes that has to wait for its CPU. */
#define RING_SIZE (1 << 20)
#define ROUND_NS UINT64_C(100000000)
/* Before it, each idle ring wakes the reader once, and the reader learns how fast records come. */
#define WARM_UP_NS UINT64_C(50000000)
/* A wait of the reader is no longer: it looks then whether the round is over. */
#define TIMEOUT_MS 10

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "paced_rings: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

typedef enum phase { WARM_UP, COUNTED, ENDED } phase;

typedef struct paced_way {
    kernel_rings rings;
    rings_reader reader;
    program_runs empty_runs;
    uint64_t rate;
    uint64_t first;   /* the sequence of the first record that is counted */
    atomic_int phase; /* stored with release by the producer, for the reader's acquire */
} paced_way;

typedef struct costs {
    double reader; /* of CPU time per record */
    double producer;
} costs;

static void open_way(paced_way *self, bool is_libbpf, uint32_t rings, uint64_t rate) {
    kernel_rings_open(&self->rings, rings, RING_SIZE);
    rings_reader_open(&self->reader, is_libbpf, &self->rings);
    self->rate = rate;
}

static void close_way(paced_way *self) {
    rings_reader_close(&self->reader);
    kernel_rings_close(&self->rings);
}

/*
 * The processor never sleeps, as that of the other measurements. A run is followed by an empty one:
 * a run costs several times what its record does, and not the same at all times.
 */
static void produce_for(paced_way *self, uint64_t duration_ns) {
    kernel_rings *rings = &self->rings;
    uint64_t first = rings->sequence, start = clock_ns(CLOCK_MONOTONIC), passed;
    while ((passed = clock_ns(CLOCK_MONOTONIC) - start) < duration_ns) {
        uint64_t due = first + (uint64_t)((double)passed * 1e-9 * (double)self->rate);
        if (due > rings->sequence) {
            uint32_t ring = (uint32_t)(rings->sequence % rings->count);
            kernel_rings_produce(rings, due - rings->sequence, ring);
            kernel_rings_produce_nothing(rings, &self->empty_runs);
        }
    }
}

static void *produce(void *context) {
    paced_way *self = context;
    produce_for(self, WARM_UP_NS);
    self->first = self->rings.sequence;
    self->rings.runs = (program_runs){.fd = self->rings.runs.fd};
    self->empty_runs = (program_runs){0};
    atomic_store_explicit(&self->phase, COUNTED, memory_order_release);
    produce_for(self, ROUND_NS);
    atomic_store_explicit(&self->phase, ENDED, memory_order_release);
    return NULL;
}

static bool is_in(paced_way *self, phase wanted) {
    return atomic_load_explicit(&self->phase, memory_order_acquire) >= (int)wanted;
}

static bool has_all(const paced_way *self) {
    return self->reader.delivered == self->rings.sequence - self->rings.refused;
}

static costs measure(paced_way *self) {
    rings_reader *reader = &self->reader;
    atomic_store_explicit(&self->phase, WARM_UP, memory_order_relaxed);
    pthread_t producer = start_on_cpu(PRODUCER_CPU, produce, self);
    while (!is_in(self, COUNTED)) {
        rings_reader_read(reader, TIMEOUT_MS);
    }
    uint64_t delivered = reader->delivered, before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    while (!is_in(self, ENDED) || !has_all(self)) {
        rings_reader_read(reader, TIMEOUT_MS);
    }
    uint64_t spent = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    pthread_join(producer, NULL);
    check(reader->delivered > delivered, "nothing was delivered");
    return (costs){
        .reader = (double)spent / (double)(reader->delivered - delivered),
        .producer = ((double)self->rings.runs.cpu_ns - (double)self->empty_runs.cpu_ns) /
                    (double)(self->rings.sequence - self->first),
    };
}

static const struct {
    const char *name;
    bool is_libbpf;
    uint32_t rings;
} kinds[] = {
    {"rbcore, 1 ring", false, 1},
    {"rbcore, 32 rings", false, MANY},
    {"libbpf, 1 ring", true, 1},
    {"libbpf, 32 rings", true, MANY},
};
#define WAYS (sizeof(kinds) / sizeof(*kinds))

static void run(bool of_producer, uint64_t rate, size_t rounds) {
    static paced_way ways[WAYS];
    static figures found[WAYS];
    for (size_t way = 0; way < WAYS; way++) {
        found[way].way = kinds[way].name;
        open_way(&ways[way], kinds[way].is_libbpf, kinds[way].rings, rate);
    }
    for (size_t round = 0; round < rounds; round++) {
        for (size_t way = 0; way < WAYS; way++) {
            costs cost = measure(&ways[way]);
            found[way].rounds[round] = of_producer ? cost.producer : cost.reader;
        }
    }
    for (size_t way = 0; way < WAYS; way++) {
        close_way(&ways[way]);
    }
    print_figures(found, WAYS, rounds);
}

int main(int argc, char **argv) {
    check(argc == 4, "usage: paced_rings reader|producer RATE ROUNDS");
    bool of_producer = !strcmp(argv[1], "producer");
    check(of_producer || !strcmp(argv[1], "reader"), "reader or producer");
    uint64_t rate = strtoull(argv[2], NULL, 10);
    size_t rounds = strtoul(argv[3], NULL, 10);
    check(rate > 0, "RATE has to be above 0");
    check(rounds > 0 && rounds <= ROUNDS_MAX, "1 to 1000 rounds");
    pin_to_cpu(READER_CPU);
    run(of_producer, rate, rounds);
    return EXIT_SUCCESS;
}
