/* SPDX-License-Identifier: MIT */
/* The agreement of produce.bpf.c and the tests that drive it. */
#ifndef PRODUCE_H
#define PRODUCE_H

#include <linux/types.h>

#define RECORD_MAX 65536 /* a page, at most */
#define PATTERN_SIZE (2 * RECORD_MAX)
#define CPUS_MAX 64

/* The producer of an event: a thread's own number, or one of these. */
#define HOLD_PRODUCER 1000
#define SWITCH_PRODUCER 2000 /* + the CPU */

#define EVENT_SMALL 16
#define EVENT_MIDDLE 72
#define EVENT_LARGE 520

struct event {
    __u32 producer;
    __u32 size; /* of the whole record */
    __u64 sequence;
};

struct emit_args {
    __u32 size;
    __u32 offset; /* in the pattern */
    __u64 flags;
    __u32 discard; /* emit_dynptr only */
    __u32 unused;
};

struct hold_args {
    __u64 page; /* address of the 8 bytes that hold waits for; they become the sequence number */
    __u64 flags;
    __u64 discard;
};

struct produce_args {
    __u64 sequence; /* of the first record; after the run, of the next one */
    __u64 flags;
    __u64 lost;       /* out, added to */
    __u64 lost_bytes; /* out, added to */
    __u64 discarded;  /* out, added to */
    __u32 producer;
    __u32 count;
    __u32 sizes;        /* 1: all EVENT_SMALL; else mixed, by event_size */
    __u32 discard_each; /* discard the records whose number this divides; 0: none */
};

/* Mixed sizes, without a state that producer and checker would have to share. */
static inline __u32 event_size(__u32 producer, __u64 sequence) {
    __u32 hash = ((__u32)sequence * 2654435761u + producer * 40503u) >> 24;
    return hash < 160 ? EVENT_SMALL : hash < 240 ? EVENT_MIDDLE : EVENT_LARGE;
}

#endif
