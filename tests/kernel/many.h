/* SPDX-License-Identifier: MIT */
/* The agreement of many.bpf.c and the test that drives it. */
#ifndef MANY_H
#define MANY_H

#include <linux/types.h>

#define MANY_RINGS_MAX 1000

struct many_args {
    __u64 value; /* the record */
    __u32 ring;
    __u32 unused;
};

#endif
