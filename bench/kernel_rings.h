/* SPDX-License-Identifier: MIT */
/* This makes many ring buffer maps and the BPF program that fills them. */
#ifndef BENCH_KERNEL_RINGS_H
#define BENCH_KERNEL_RINGS_H

#include <stdint.h>

#include "many.h"
#include "program_runs.h"

struct bench_many;

typedef struct kernel_rings {
    struct bench_many *skeleton;
    program_runs runs;
    uint32_t count;
    int *fds;          /* of the maps */
    uint64_t sequence; /* of the next record */
    uint64_t refused;
} kernel_rings;

/* Up to MANY_RINGS_MAX rings of a size. Exits as bpf_fail does. */
void kernel_rings_open(kernel_rings *self, uint32_t count, uint32_t ring_size);
void kernel_rings_close(kernel_rings *self);

/* Makes the calling thread submit records: the first into that ring, the others behind it in turn.
 */
void kernel_rings_produce(kernel_rings *self, uint64_t records, uint32_t ring);

/* A run that makes no records, and is counted in `runs`: what a run costs besides them. */
void kernel_rings_produce_nothing(const kernel_rings *self, program_runs *runs);

#endif
