/* SPDX-License-Identifier: MIT */
/* The parts of calls.c share this, beside the transcript. */
#ifndef CALLS_H
#define CALLS_H

#include "transcript.h"

extern const scenario record_scenarios[], waiting_scenarios[], event_loop_scenarios[],
    opening_scenarios[], child_scenarios[], many_scenarios[], newer_scenarios[];

/* Records of one size, which a reader may take as one run. */
void emit_equal(struct produce *ring, int n);

/* A thread: 20,000 events in bursts, into the ring that it is given. */
void *produce_bursts(void *ring);

/* A callback and its context: counts the events that are not the next one. */
typedef struct check_order {
    uint64_t expected;
    int errors, sleep_each;
} check_order;
int check_event(void *context, void *data, size_t size);

int is_readable(int epoll, int ms);
int add_to_epoll(int epoll, struct ring_buffer *rb, uint32_t events);

/* Functions that libbpf has had since 1.3, or 1.5: NULL where it is too old. */
typedef struct newer_calls {
    struct ring *(*ring)(struct ring_buffer *, unsigned int);
    unsigned long (*consumer_pos)(const struct ring *);
    unsigned long (*producer_pos)(const struct ring *);
    size_t (*avail_data_size)(const struct ring *);
    size_t (*size)(const struct ring *);
    int (*map_fd)(const struct ring *);
    int (*consume)(struct ring *);
    int (*consume_n)(struct ring *, size_t);
    int (*consume_all_n)(struct ring_buffer *, size_t);
} newer_calls;

extern newer_calls newer;
void load_newer(void);

#endif
