/* SPDX-License-Identifier: MIT */
/*
 * The user ring (BPF_MAP_TYPE_USER_RINGBUF), user space's end: the producer. The kernel is the
 * consumer: bpf_user_ringbuf_drain(), called by a BPF program whenever that runs.
 *
 * It is the ring of ring.h with the sides exchanged, except that
 *   - it may be filled to the last byte;
 *   - the kernel serializes those who drain, but nobody serializes producers: the lock is ours;
 *   - submitting wakes nobody, draining wakes those who poll the map's descriptor for POLLOUT. It
 *     is readable as long as a single byte is free, so only an edge says that something was drained.
 */
#ifndef RBC_USER_RING_H
#define RBC_USER_RING_H

#include "mapping.h"
#include "owner.h"

#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rbc_user_ring {
    rbc_mapping mapping;
    const _Atomic uint64_t *consumer_pos; /* the kernel's: we may not write it */
    _Atomic uint64_t *producer_pos;
    atomic_bool is_locked;
    uint64_t seen_consumer; /* the lock's owner's: where consumer_pos was when it was looked at */
    uint32_t size_max;      /* of a record */
    uint32_t token;         /* in the second word of the header of each of our records */
    _Atomic int epoll_fd;   /* for the next one who waits; -1: he makes one */
    int fd;
    int lock_fd; /* may be fd itself */
    rbc_owner owner;
} rbc_user_ring;

/* Returns 0 or a negative errno, and then nothing is to be closed. */
int rbc_user_ring_open(rbc_user_ring *self, const rbcore_source *source);

/* Before closing, but not in a forked child: discards what is reserved. */
void rbc_user_ring_leave(rbc_user_ring *self);

void rbc_user_ring_close(rbc_user_ring *self);

int rbc_user_ring_reserve(rbc_user_ring *self, void **data, size_t size);

/* Waits until the monotonic clock shows deadline_ns. */
int rbc_user_ring_reserve_wait(rbc_user_ring *self, void **data, size_t size, int64_t deadline_ns);

/* Submits, or with RBC_DISCARD discards. */
int rbc_user_ring_finish(rbc_user_ring *self, void *data, uint32_t discard);

int rbc_user_ring_output_batch(rbc_user_ring *self, const rbcore_slice *slices, size_t count);

#endif
