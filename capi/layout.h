/* SPDX-License-Identifier: MIT */
/*
 * How a record lies in a ring: a header of 8 bytes, then the data, up to the next multiple of 8
 * bytes. Memory rings and user rings have the layout of the kernel's ring buffer.
 */
#ifndef RBC_LAYOUT_H
#define RBC_LAYOUT_H

#include "mapping.h"

#include <stdatomic.h>
#include <stdint.h>

/* The header of a record: see BPF_RINGBUF_BUSY_BIT and its neighbours in linux/bpf.h. */
typedef struct rbc_header {
    _Atomic uint32_t length; /* of the data, with the two bits below */
    _Atomic uint32_t token;  /* memory ring: the producer's token; the kernel's own otherwise */
} rbc_header;

#define RBC_BUSY (UINT32_C(1) << 31)
#define RBC_DISCARD (UINT32_C(1) << 30)
#define RBC_HEADER_SIZE 8

/* The bytes that a record takes, its header included. */
static inline uint64_t rbc_record_span(uint32_t size) {
    return ((uint64_t)size + RBC_HEADER_SIZE + 7) & ~UINT64_C(7);
}

static inline rbc_header *rbc_header_at(const rbc_mapping *mapping, uint64_t position) {
    uint64_t offset = position & (mapping->data_size - 1);
    return (rbc_header *)(void *)(mapping->data + offset);
}

/*
 * Acquire: a thread that sees a header without BUSY sees the record's data. Pairs with the xchg()
 * of the header in the kernel's bpf_ringbuf_commit().
 */
static inline uint32_t rbc_load_length(const void *header) {
    return atomic_load_explicit(&((const rbc_header *)header)->length, memory_order_acquire);
}

#endif
