/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "fence.h"
#include "ring.h"

#include <string.h>

rbc_live rbc_live_of(const rbc_mapping *mapping, bool is_overwrite) {
    const _Atomic uint64_t *produced = (const _Atomic uint64_t *)(void *)mapping->producer_page;
    return (rbc_live){.mapping = mapping,
                      .consumer_pos = (const _Atomic uint64_t *)(void *)mapping->consumer_page,
                      .producer_pos = &produced[0],
                      .pending_pos = &produced[1],
                      .overwrite_pos = is_overwrite ? &produced[2] : NULL};
}

static uint64_t load(const _Atomic uint64_t *position) {
    return atomic_load_explicit(position, memory_order_acquire);
}

uint64_t rbc_live_oldest(const rbc_live *self) {
    return load(self->overwrite_pos != NULL ? self->overwrite_pos : self->consumer_pos);
}

/*
 * Up to pending_pos all records are complete: the kernel moves it, under its lock, over headers
 * that it saw without BUSY. But it does so only when the next record is reserved, and kernels
 * before 6.9 leave it 0. So what follows it, or all, is looked at record by record. pending_pos is
 * loaded first: it never passes the producer_pos that is loaded later.
 */
rbc_live_end rbc_live_find_end(const rbc_live *self, uint64_t from) {
    uint64_t pending = load(self->pending_pos), producer = load(self->producer_pos);
    uint64_t at = from;
    if (producer % 8 != 0 || producer - from > self->mapping->data_size) {
        return (rbc_live_end){.position = from, .producer_pos = producer, .why = RBC_LIVE_BAD};
    }
    if (pending % 8 == 0 && pending - from <= producer - from) {
        at = pending;
    }
    rbc_live_stop why = RBC_LIVE_ALL;
    while (at != producer && why == RBC_LIVE_ALL) {
        /* Pairs with the xchg() of the header in the kernel's bpf_ringbuf_commit(). */
        uint32_t length =
            atomic_load_explicit(&rbc_header_at(self->mapping, at)->length, memory_order_acquire);
        uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
        if (length & RBC_BUSY) {
            why = RBC_LIVE_BUSY;
        } else if (span > producer - at) {
            why = RBC_LIVE_BAD;
        } else {
            at += span;
        }
    }
    return (rbc_live_end){.position = at, .producer_pos = producer, .why = why};
}

uint64_t rbc_live_sound(const rbc_live *self, uint64_t from) {
    rbc_full_fence();
    if (self->overwrite_pos == NULL) {
        uint64_t producer = load(self->producer_pos);
        if (!rbc_is_after(producer + RBC_HEADER_SIZE, from + self->mapping->data_size)) {
            return from;
        }
    }
    uint64_t oldest = rbc_live_oldest(self);
    return rbc_is_after(oldest, from) ? oldest : from;
}

uint64_t rbc_live_copy(const rbc_live *self, void *to, uint64_t from, size_t bytes) {
    memcpy(to, rbc_header_at(self->mapping, from), bytes);
    return rbc_live_sound(self, from);
}
