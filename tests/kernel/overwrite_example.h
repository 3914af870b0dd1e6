/* SPDX-License-Identifier: MIT */
/* The agreement of overwrite_example.bpf.c and overwrite_positions.c. */
#ifndef OVERWRITE_EXAMPLE_H
#define OVERWRITE_EXAMPLE_H

#include <linux/types.h>

/* A record of the example takes so many bytes of the ring, its header included. */
#define RECORD_A 512
#define RECORD_B 1024
#define RECORD_C 2048
#define RECORD_D 1536
#define RECORD_E 1024

struct positions {
    __u64 producer;
    __u64 pending;
    __u64 overwrite;
    __u64 consumer;
};

enum example_step {
    RESERVE_A,
    RESERVE_B,
    RESERVE_C,
    SUBMIT_A,
    SUBMIT_B,
    RESERVE_D,
    RESERVE_E,
    SUBMIT_C,
    SUBMIT_D,
    EXAMPLE_STEPS,
};

/* The program's findings. */
struct example_args {
    __u64 refused; /* whether there was no room for E */
    struct positions after[EXAMPLE_STEPS];
};

#endif
