/* SPDX-License-Identifier: MIT */
/* What the BPF program writes and every reader of the benchmark finds at the start of a record. */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <linux/types.h>

struct record {
    __u64 sequence; /* counts refused records, too: each gap is a loss */
    __u64 time;     /* CLOCK_MONOTONIC, just before submit */
};

/* Set in the sequence of the last record, which is accepted for sure and counts as none itself. */
#define RECORD_END (1ULL << 63)

/* For the record size: each record another one, 16 to 143 bytes. */
#define RECORD_SIZE_MIXED 0

/* What one run of the BPF program is to do. */
struct burst {
    __u64 count;
    __u64 end; /* after them write the end: the program returns 0 once it was accepted */
};

#endif
