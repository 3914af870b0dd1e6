/* SPDX-License-Identifier: MIT */
/* This makes a ring buffer map and the BPF program that fills it. */
#ifndef BENCH_KERNEL_RING_H
#define BENCH_KERNEL_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "program_runs.h"

struct bench_produce;

typedef struct kernel_ring {
    struct bench_produce *skeleton;
    int fd;            /* of the map */
    program_runs runs; /* of the program that produces */
    uint64_t producer; /* 0, or 1 in a copy for a second one */
} kernel_ring;

/*
 * Exits with EXIT_SKIPPED where BPF is not allowed, and with 1 after any other error. In place of
 * the ring there can be a perf buffer, whose memory is its reader's.
 */
void kernel_ring_open(kernel_ring *self, uint32_t record_size, uint32_t ring_size,
                      uint64_t submit_flags, bool is_perf_buffer);
void kernel_ring_close(kernel_ring *self);

/* Makes the calling thread submit count records. */
void kernel_ring_produce(kernel_ring *self, uint64_t count);

/* Writes the end; false where the ring is full. */
bool kernel_ring_end(kernel_ring *self);

/* Returns the cost of submitting the records made so far, without that of the system calls. */
uint64_t kernel_ring_cpu_ns(const kernel_ring *self, uint64_t empty_run_ns);

/* Returns the cost of a run that makes no records. */
uint64_t kernel_ring_empty_run_ns(const kernel_ring *self);

/* These are the records made and the records refused by the full ring, by all producers. */
uint64_t kernel_ring_sequence(const kernel_ring *self);
uint64_t kernel_ring_refused(const kernel_ring *self);

/* Binds the calling thread and what it executes to one CPU; exits if that cannot be. */
void pin_to_cpu(int cpu);

/*
 * Starts a thread on that CPU: a real-time thread could not leave the CPU of a caller that does not
 * sleep. Exits if that fails.
 */
pthread_t start_on_cpu(int cpu, void *(*work)(void *context), void *context);

#endif
