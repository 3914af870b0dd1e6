/* SPDX-License-Identifier: MIT */
/* The agreement of many.bpf.c and kernel_rings.c. */
#ifndef BENCH_MANY_H
#define BENCH_MANY_H

#include <linux/types.h>

#define MANY_RINGS_MAX 4096

/* So long is a record. Its first word is the sequence. */
#define MANY_WORDS 3

/* The task of one run. */
struct many_burst {
    __u64 count;
    __u64 sequence; /* of the first record */
    __u32 ring;     /* for the first; the others go into those behind it, in turn */
    __u32 rings;    /* so many there are */
};

#endif
