/* SPDX-License-Identifier: MIT */
/* The agreement of drain.bpf.c and the test that drives it. */
#ifndef DRAIN_H
#define DRAIN_H

#include <linux/types.h>

/* A record of at least this size begins so; the rest is what filler() says. */
struct request {
    __u32 producer;
    __u32 size; /* of the whole record */
    __u64 sequence;
};

/* The answer to a record that is smaller, and knows nothing of itself. */
#define NO_PRODUCER 0xffffffffU

struct answer {
    __u32 producer;
    __u32 size;     /* as the kernel was told; of one without a producer: 0 if it is empty */
    __u64 sequence; /* of one without a producer: its first byte */
    __u32 is_whole; /* its last byte is right, and it ends there */
    __u32 unused;
};

struct drain_args {
    __u64 flags;      /* of bpf_user_ringbuf_drain */
    __u64 stop_after; /* so many records; 0: none */
    __s64 result;     /* out: of bpf_user_ringbuf_drain */
    __u64 records;    /* out, added to */
    __u64 refused;    /* out, added to: answers for which there was no room */
};

/* The last byte of a record. */
static inline __u8 filler(__u64 sequence, __u32 size) {
    return (__u8)(sequence * 31 + size);
}

#endif
