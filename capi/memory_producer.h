/* SPDX-License-Identifier: MIT */
/* A producer of a memory ring, behind the handle of producer.c, which checks what callers pass. */
#ifndef RBC_MEMORY_PRODUCER_H
#define RBC_MEMORY_PRODUCER_H

#include "mapping.h"
#include "memory_ring.h"

#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rbc_memory_producer {
    rbc_mapping mapping;
    _Atomic uint64_t *consumer_pos;
    rbc_producer_page *page;
    uint32_t token;
    bool overwrites;          /* the ring is in overwrite mode */
    _Atomic unsigned refused; /* reserves that found a record in the way of overwriting */
    int fd;                   /* an open file of our own: it holds the lock of our slot */
    int event_fd;
} rbc_memory_producer;

/* 0 or a negative errno, and then nothing is to be closed. */
int rbc_memory_producer_open(rbc_memory_producer *self, const rbcore_source *source);

/* Before closing, but not in a forked child: what is reserved becomes abandoned. */
void rbc_memory_producer_leave(rbc_memory_producer *self);

void rbc_memory_producer_close(rbc_memory_producer *self);

int rbc_memory_producer_reserve(rbc_memory_producer *self, void **data, size_t size);

/* Waits until the monotonic clock shows deadline_ns. */
int rbc_memory_producer_reserve_wait(rbc_memory_producer *self, void **data, size_t size,
                                     int64_t deadline_ns);

/* Submits, or with RBC_DISCARD discards. */
int rbc_memory_producer_finish(rbc_memory_producer *self, void *data, uint32_t flags,
                               uint32_t discard);

int rbc_memory_producer_output_batch(rbc_memory_producer *self, const rbcore_slice *slices,
                                     size_t count, uint32_t flags);

#endif
