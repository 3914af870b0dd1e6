/* SPDX-License-Identifier: MIT */
/*
 * The user ring (BPF_MAP_TYPE_USER_RINGBUF), user space's end: the producer. The kernel is the
 * consumer: bpf_user_ringbuf_drain(), called by a BPF program whenever that runs.
 *
 * It is the ring of ring.h with the sides exchanged, except that
 *   - it may be filled to the last byte;
 *   - the kernel serializes draining, but nothing serializes producers: the lock is ours;
 *   - submitting wakes nobody, draining wakes all that poll the map's descriptor for POLLOUT. It
 *     is readable as long as a single byte is free, so only an edge says that something was
 *     drained.
 */
#ifndef RBC_USER_RING_H
#define RBC_USER_RING_H

#include "layout.h"
#include "mapping.h"
#include "owner.h"

#include <errno.h>
#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct rbc_user_ring {
    rbc_mapping mapping;
    const _Atomic uint64_t *consumer_pos; /* the kernel's: we may not write it */
    _Atomic uint64_t *producer_pos;
    atomic_bool is_locked;
    uint64_t seen_consumer; /* the lock's owner's: where consumer_pos was when it was looked at */
    uint64_t no_offset;     /* the bits that no offset of a record has: all but those of size - 8 */
    uint32_t size_max;      /* of a record */
    uint32_t token;         /* in the second word of the header of each of our records */
    _Atomic int epoll_fd;   /* for the next thread that waits; -1: it makes one */
    int fd;
    int lock_fd; /* may be fd itself */
    rbc_owner owner;
} rbc_user_ring;

/* Returns 0 or a negative errno, and then nothing is to be closed. */
int rbc_user_ring_open(rbc_user_ring *self, const rbcore_source *source);

/* Before closing, but not in a forked child: discards what is reserved. */
void rbc_user_ring_leave(rbc_user_ring *self);

void rbc_user_ring_close(rbc_user_ring *self);

/* Waits until the monotonic clock shows deadline_ns. */
int rbc_user_ring_reserve_wait(rbc_user_ring *self, void **data, size_t size, int64_t deadline_ns);

/* The slow way: the lock is taken, or space has to be looked for. The size is not too large. */
__attribute__((cold)) int rbc_user_ring_reserve_slowly(rbc_user_ring *self, void **data,
                                                       size_t size);
__attribute__((cold)) int rbc_user_ring_output_slowly(rbc_user_ring *self, const void *data,
                                                      size_t size);

int rbc_user_ring_output_batch(rbc_user_ring *self, const rbcore_slice *slices, size_t count);

/* ---- What each record takes, inline: a small one takes as long as a few calls ---- */

static inline bool rbc_user_ring_try_lock(rbc_user_ring *self) {
    return !atomic_exchange_explicit(&self->is_locked, true, memory_order_acquire);
}

static inline void rbc_user_ring_drop_lock(rbc_user_ring *self) {
    atomic_store_explicit(&self->is_locked, false, memory_order_release);
}

/* This process alone writes the position, but any other that has the map could. */
static inline uint64_t rbc_user_ring_producer_pos(const rbc_user_ring *self) {
    return atomic_load_explicit(self->producer_pos, memory_order_relaxed);
}

static inline void rbc_user_ring_set_producer_pos(rbc_user_ring *self, uint64_t position) {
    /* Release: the kernel sees the headers before the position that it sees. Pairs with
     * smp_load_acquire(&rb->producer_pos) in __bpf_user_ringbuf_peek(). */
    atomic_store_explicit(self->producer_pos, position, memory_order_release);
}

/*
 * Whether span bytes are free behind the producer's position, as far as that is known. consumer_pos
 * is the kernel's, and its cache line usually with the CPU that drains: it is loaded only where
 * what we know of it is not enough.
 */
static inline bool rbc_user_ring_has_space(const rbc_user_ring *self, uint64_t producer,
                                           uint64_t span) {
    uint64_t used = producer - self->seen_consumer;
    return used <= self->mapping.data_size - span && producer % 8 == 0;
}

/* The kernel passes a record with this. */
static inline void rbc_user_ring_set_length(rbc_header *header, uint32_t length) {
    /* Release: the data is there before. Pairs with smp_load_acquire(hdr) in
     * __bpf_user_ringbuf_peek(). */
    atomic_store_explicit(&header->length, length, memory_order_release);
}

static inline void *rbc_user_ring_begin(rbc_user_ring *self, uint64_t producer, uint32_t size) {
    rbc_header *header = rbc_header_at(&self->mapping, producer);
    atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
    atomic_store_explicit(&header->length, size | RBC_BUSY, memory_order_relaxed);
    rbc_user_ring_set_producer_pos(self, producer + rbc_record_span(size));
    return header + 1;
}

static inline int rbc_user_ring_reserve(rbc_user_ring *self, void **data, size_t size) {
    if (size > self->size_max) {
        return -EMSGSIZE;
    }
    if (rbc_user_ring_try_lock(self)) {
        uint64_t producer = rbc_user_ring_producer_pos(self);
        if (rbc_user_ring_has_space(self, producer, rbc_record_span((uint32_t)size))) {
            *data = rbc_user_ring_begin(self, producer, (uint32_t)size);
            rbc_user_ring_drop_lock(self);
            return 0;
        }
        rbc_user_ring_drop_lock(self);
    }
    return rbc_user_ring_reserve_slowly(self, data, size);
}

/*
 * A copy of at most so many bytes is made by words: a call of memcpy() takes longer, and waits for
 * the narrow stores that its wide loads find on their way to the cache. A record is usually written
 * just before.
 */
#define RBC_COPY_BY_WORDS 32

/* data may be NULL where size is 0. */
static inline void rbc_user_ring_copy(unsigned char *to, const unsigned char *data, size_t size) {
    size_t by_words = size <= RBC_COPY_BY_WORDS ? size & ~(sizeof(uint64_t) - 1) : 0;
    for (size_t i = 0; i < by_words; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, data + i, sizeof(word));
        /* Atomic, so that no compiler makes a memcpy() of the loop. */
        atomic_store_explicit((_Atomic uint64_t *)(void *)(to + i), word, memory_order_relaxed);
    }
    if (by_words < size) {
        memcpy(to + by_words, data + by_words, size - by_words);
    }
}

/* Writes a record that is never BUSY behind the producer's position: the kernel sees it when that
 * is moved. */
static inline void rbc_user_ring_write(const rbc_user_ring *self, uint64_t position,
                                       const void *data, size_t size) {
    rbc_header *header = rbc_header_at(&self->mapping, position);
    atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
    atomic_store_explicit(&header->length, (uint32_t)size, memory_order_relaxed);
    rbc_user_ring_copy((unsigned char *)(header + 1), data, size);
}

static inline int rbc_user_ring_output(rbc_user_ring *self, const void *data, size_t size) {
    if (size > self->size_max) {
        return -EMSGSIZE;
    }
    if (rbc_user_ring_try_lock(self)) {
        uint64_t producer = rbc_user_ring_producer_pos(self);
        uint64_t span = rbc_record_span((uint32_t)size);
        if (rbc_user_ring_has_space(self, producer, span)) {
            rbc_user_ring_write(self, producer, data, size);
            rbc_user_ring_set_producer_pos(self, producer + span);
            rbc_user_ring_drop_lock(self);
            return 0;
        }
        rbc_user_ring_drop_lock(self);
    }
    return rbc_user_ring_output_slowly(self, data, size);
}

static inline int rbc_user_ring_finish(rbc_user_ring *self, void *data, uint32_t discard) {
    /* A header is within the first copy of the data area, its record may be all in the second. */
    uintptr_t offset = (uintptr_t)data - (uintptr_t)self->mapping.data - RBC_HEADER_SIZE;
    if (offset & self->no_offset) {
        return -EINVAL;
    }
    rbc_header *header = (rbc_header *)data - 1;
    uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
    if (atomic_load_explicit(&header->token, memory_order_relaxed) != self->token ||
        !(length & RBC_BUSY)) {
        return -EINVAL;
    }
    /* No full barrier, as a producer in the kernel needs it: nobody has to be woken. */
    rbc_user_ring_set_length(header, (length & ~RBC_BUSY) | discard);
    return 0;
}

#endif
