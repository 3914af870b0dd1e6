/* SPDX-License-Identifier: MIT */
#include "release.h"

#include "consumer.h"
#include "inline.h"
#include "reader.h"

#include <errno.h>

/* One atomic operation marks all records that share a word of the table. */
void rbc_release_hold(rbc_ring *self, const rbcore_record *records, size_t count) {
    size_t word = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bit = rbc_consumer_held_bit(self, records[i].position);
        if (bit / 64 != word) {
            if (bits != 0) {
                atomic_fetch_or_explicit(&self->held[word], bits, memory_order_relaxed);
            }
            word = bit / 64;
            bits = 0;
        }
        bits |= UINT64_C(1) << bit % 64;
    }
    if (bits != 0) {
        atomic_fetch_or_explicit(&self->held[word], bits, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&self->refs, count, memory_order_relaxed);
}

/* Whether the record may be held, as its position and its data say. */
static RBC_INLINE bool can_be_held(const rbc_ring *self, const rbcore_record *record) {
    uint64_t user_pos = atomic_load_explicit(&self->user_pos, memory_order_acquire);
    uint64_t read_pos = atomic_load_explicit(&self->read_pos, memory_order_acquire);
    return record->position % 8 == 0 && record->position - user_pos < read_pos - user_pos &&
           rbc_ring_is_data_of(self, record->data, record->position); /* or another reader's */
}

bool rbc_release_holds(const rbc_ring *self, const rbcore_record *record) {
    if (!can_be_held(self, record)) {
        return false;
    }
    size_t bit = rbc_consumer_held_bit(self, record->position);
    /* No order is needed: the caller keeps the record, so that its bit stays as it is. */
    uint64_t word = atomic_load_explicit(&self->held[bit / 64], memory_order_relaxed);
    return (word >> bit % 64 & 1) != 0 && rbc_get_length(self, record->position) == record->size &&
           rbc_record_span(record->size) <= rbc_get(&self->read_pos) - record->position;
}

/* Clears the record's bit. Returns whether it was held. */
static inline bool let_go(rbc_ring *self, const rbcore_record *record) {
    if (!can_be_held(self, record)) {
        return false;
    }
    size_t bit = rbc_consumer_held_bit(self, record->position);
    uint64_t mask = UINT64_C(1) << bit % 64;
    /* Release: what the caller did with the data stays before the space is free for producers. */
    uint64_t old = atomic_fetch_and_explicit(&self->held[bit / 64], ~mask, memory_order_acq_rel);
    return (old & mask) != 0;
}

/* Releases the leading records that are of one ring. Returns how many of them were held. */
static size_t release_run(rbc_ring *ring, const rbcore_record *records, size_t count) {
    size_t released = 0;
    for (size_t i = 0; i < count; i++) {
        released += let_go(ring, &records[i]);
    }
    if (released > 0) {
        rbc_consumer_pass_released(ring);
        rbc_ring_put(ring, released);
    }
    return released;
}

int rbcore_reader_release(rbcore_reader *self, const rbcore_record *records, size_t count) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (!self->is_release || (records == NULL && count != 0)) {
        return -EINVAL;
    }
    /* The last release of a reader that was freed ends it: this reference keeps it until then. */
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    size_t released = 0;
    for (size_t i = 0; i < count;) {
        size_t run = 1;
        while (i + run < count && records[i + run].ring == records[i].ring) {
            run++;
        }
        rbc_ring *ring = rbc_reader_ring(self, records[i].ring);
        if (ring != NULL) {
            released += release_run(ring, records + i, run);
        }
        i += run;
    }
    rbc_reader_put(self);
    return released == count ? 0 : -EINVAL;
}
