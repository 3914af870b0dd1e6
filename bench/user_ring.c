// SPDX-License-Identifier: MIT
/*
 * Measures the writing of records into a user ring; each way in turn, many times. Prints one JSON
 * object with the nanoseconds per record of each round and way.
 *
 *     user_ring RECORD_SIZE RING_SIZE MEANWHILE ROUNDS
 *
 * MEANWHILE 0: fills an empty ring, and nobody drains it meanwhile. 1: a BPF program drains it on
 * CPU 1, again and again; four rings full are written, and a producer that finds the ring full
 * waits.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <rbcore/rbcore.h>

#include "bench_drain.skel.h"
#include "clock.h"
#include "figures.h"
#include "kernel_ring.h"

#define BATCH 64
#define RECORD_MAX 4096

static uint32_t record_size;
static struct bench_drain *consumer;
static struct user_ring_buffer *libbpf;
static rbcore_producer *producer;

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "user_ring: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* Each record is written as a whole, and all by the same code. */
static void fill(void *data, uint64_t sequence) {
    memset(data, (int)sequence, record_size);
    memcpy(data, &sequence, sizeof(sequence));
}

/* ---- Ways to write: as many records as asked for, or as fit ---- */

static uint64_t write_libbpf(uint64_t count, bool wait) {
    uint64_t done = 0;
    void *data;
    for (; done < count; done++) {
        data = user_ring_buffer__reserve(libbpf, record_size);
        while (!data && wait) { /* libbpf 1.1 returns early where a little is free */
            data = user_ring_buffer__reserve_blocking(libbpf, record_size, -1);
        }
        if (!data) {
            break;
        }
        fill(data, done);
        user_ring_buffer__submit(libbpf, data);
    }
    return done;
}

static uint64_t write_rbcore(uint64_t count, bool wait) {
    uint64_t done = 0;
    void *data;
    int error;
    for (; done < count; done++) {
        error = rbcore_producer_reserve(producer, &data, record_size);
        if (error && wait) {
            error = rbcore_producer_reserve_wait(producer, &data, record_size, RBCORE_FOREVER);
        }
        if (error) {
            break;
        }
        fill(data, done);
        rbcore_producer_submit(producer, data, 0);
    }
    return done;
}

static bool write_one(uint64_t sequence) {
    void *data;
    if (rbcore_producer_reserve_wait(producer, &data, record_size, RBCORE_FOREVER) != 0) {
        return false;
    }
    fill(data, sequence);
    return rbcore_producer_submit(producer, data, 0) == 0;
}

static uint64_t write_output(uint64_t count, bool wait) {
    static _Alignas(8) unsigned char record[RECORD_MAX];
    uint64_t done = 0;
    for (; done < count; done++) {
        fill(record, done);
        if (rbcore_producer_output(producer, record, record_size, 0) != 0 &&
            !(wait && write_one(done))) {
            break;
        }
    }
    return done;
}

static uint64_t write_batches(uint64_t count, bool wait) {
    static _Alignas(8) unsigned char records[BATCH][RECORD_MAX];
    static rbcore_slice slices[BATCH];
    uint64_t done = 0;
    size_t some;
    int written;
    while (done < count) {
        some = count - done < BATCH ? count - done : BATCH;
        for (size_t i = 0; i < some; i++) {
            fill(records[0] + i * record_size, done + i);
            slices[i] = (rbcore_slice){records[0] + i * record_size, record_size};
        }
        written = rbcore_producer_output_batch(producer, slices, some, 0);
        if (written <= 0 && wait && write_one(done)) {
            written = 1;
        }
        if (written <= 0) {
            break;
        }
        done += (uint64_t)written;
    }
    return done;
}

static const struct {
    const char *name;
    uint64_t (*write)(uint64_t count, bool wait);
} ways[] = {
    {"libbpf", write_libbpf},
    {"rbcore", write_rbcore},
    {"rbcore, output", write_output},
    {"rbcore, batches of 64", write_batches},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static figures found[WAYS];

/* ---- The consumer ---- */

static void drain(void) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    check(bpf_prog_test_run_opts(bpf_program__fd(consumer->progs.drain), &options) == 0,
          "the program did not run");
}

static uint64_t drained(void) {
    return __atomic_load_n(&consumer->bss->drained, __ATOMIC_RELAXED);
}

static void drain_until(uint64_t end) {
    while (drained() < end) {
        drain();
    }
}

static atomic_bool is_over;

static void *drain_meanwhile(void *unused) {
    while (!atomic_load(&is_over)) {
        drain();
    }
    return unused;
}

/* ---- Measuring ---- */

static double measure(size_t way, uint64_t count, bool meanwhile) {
    uint64_t before = drained(), start = clock_ns(CLOCK_MONOTONIC);
    uint64_t done = ways[way].write(count, meanwhile);
    uint64_t time = clock_ns(CLOCK_MONOTONIC) - start;
    check(done == count, meanwhile ? "waiting ended early" : "the ring was not empty");
    if (meanwhile) {
        while (drained() < before + count) {
            sched_yield();
        }
    } else {
        drain_until(before + count);
    }
    check(drained() == before + count, "records were lost or invented");
    return (double)time / (double)count;
}

static void open_ring(uint32_t ring_size) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    libbpf_set_print(NULL);
    consumer = bench_drain__open();
    check(consumer && bpf_map__set_max_entries(consumer->maps.ring, ring_size) == 0,
          "the skeleton did not open");
    if (bench_drain__load(consumer) != 0) {
        fprintf(stderr, "skipped: no BPF, or no user ring, here\n");
        exit(EXIT_SKIPPED);
    }
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = bpf_map__fd(consumer->maps.ring);
    check(rbcore_producer_open(&producer, &source) == 0, "rbcore_producer_open failed");
    libbpf = user_ring_buffer__new(source.fd, NULL);
    check(libbpf != NULL, "user_ring_buffer__new failed");
}

int main(int argc, char **argv) {
    uint32_t ring_size;
    uint64_t count;
    bool meanwhile;
    int rounds;
    pthread_t thread = 0;
    check(argc == 5, "call it as: user_ring RECORD_SIZE RING_SIZE MEANWHILE ROUNDS");
    record_size = (uint32_t)atoi(argv[1]);
    ring_size = (uint32_t)strtoul(argv[2], NULL, 10);
    meanwhile = atoi(argv[3]) != 0;
    rounds = atoi(argv[4]);
    check(record_size >= 8 && record_size <= RECORD_MAX, "RECORD_SIZE has to be 8 to 4096");
    check(rounds > 0 && rounds <= ROUNDS_MAX, "ROUNDS has to be 1 to 1000");
    pin_to_cpu(0);
    open_ring(ring_size);
    count = ring_size / ((record_size + 15) / 8 * 8) * (meanwhile ? 4 : 1);
    if (meanwhile) { /* not by a thread that has to get away first: libbpf's waiting may spin */
        thread = start_on_cpu(1, drain_meanwhile, NULL);
    }
    measure(0, count, meanwhile); /* touches each page for the first time */
    for (int round = 0; round < rounds; round++) {
        for (size_t way = 0; way < WAYS; way++) {
            found[way].way = ways[way].name;
            found[way].rounds[round] = measure(way, count, meanwhile);
        }
    }
    atomic_store(&is_over, true);
    if (meanwhile) {
        pthread_join(thread, NULL);
    }
    print_figures(found, WAYS, (size_t)rounds);
    rbcore_producer_free(producer);
    user_ring_buffer__free(libbpf);
    bench_drain__destroy(consumer);
    return EXIT_SUCCESS;
}
