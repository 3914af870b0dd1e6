/* SPDX-License-Identifier: MIT */
/*
 * This is the start of each record, which the BPF program writes and every reader of the benchmark
 * finds. One of 8 bytes has no room for the time; but the first, which every reader samples, is no
 * smaller.
 */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <linux/types.h>

struct record {
    __u64 sequence; /* counts refused records, too: each gap is a loss */
    __u64 time;     /* CLOCK_MONOTONIC, just before submit */
};

/* Set in the sequence of the last record, which is accepted for sure and counts as none itself. */
#define RECORD_END (1ULL << 63)

/* Set in the sequences of the second producer, where there are two. */
#define RECORD_SECOND (1ULL << 62)
#define PRODUCERS_MAX 2

/* This record size means: each record has another one, 16 to 143 bytes. */
#define RECORD_SIZE_MIXED 0

/* This is the state of one producer, in cache lines of its own. */
struct stream {
    __u64 sequence;
    __u64 refused;
    __u8 mixed_record[4096]; /* what is copied into the ring */
} __attribute__((aligned(128)));

/* The task of one run of the BPF program. */
struct burst {
    __u64 count;
    __u64 producer;
    __u64 end; /* after them write the end: the program returns 0 once it was accepted */
};

#endif
