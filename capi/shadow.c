/* SPDX-License-Identifier: MIT */
#include "shadow.h"

#include "consumer.h"
#include "kind.h"

#include <errno.h>
#include <stdlib.h>

/*
 * How often a refill goes on somewhere else because what it copied had been overwritten. More than
 * once only if this thread was stopped for as long as the producers need for a piece.
 */
#define ATTEMPTS 8

/* ---- Life ---- */

int rbc_shadow_open(rbc_ring *ring, bool is_overwrite) {
    rbc_shadow *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return -ENOMEM;
    }
    int error = rbc_mapping_open_copy(&self->copy, ring->mapping.data_size);
    if (error != 0) {
        free(self);
        return error;
    }
    self->ring = ring->mapping;
    self->source = rbc_copy_source_of(&self->ring, is_overwrite, ring->kind->is_memory);
    ring->mapping.data = self->copy.data;
    ring->shadow = self;
    if (ring->kind->is_tap) {
        ring->consumer_pos = &self->consumer_pos;
    }
    return 0;
}

void rbc_shadow_close(rbc_ring *ring) {
    rbc_mapping_close(&ring->shadow->copy);
    rbc_mapping_close(&ring->shadow->ring);
    free(ring->shadow);
}

static void set_end(rbc_shadow *self, uint64_t end) {
    /* Release: a thread that sees the position (rbc_shadow_has_record) sees what was copied before
     * it. */
    atomic_store_explicit(&self->end, end, memory_order_release);
}

void rbc_shadow_start(rbc_ring *ring, uint64_t position) {
    set_end(ring->shadow, position);
    ring->shadow->known_end = position;
    ring->shadow->was_overwritten = false;
}

void rbc_shadow_skip_to(rbc_ring *ring, uint64_t position) {
    rbc_shadow_start(ring, position);
    rbc_consumer_jump(ring, position);
}

/*
 * Here the producers do not wait for consumer_pos: what they overwrote since is found out by the
 * first refill, and counted as lost.
 */
int rbc_shadow_load_positions(rbc_ring *ring, uint64_t committed) {
    const rbc_copy_source *source = &ring->shadow->source;
    uint64_t consumer = atomic_load_explicit(source->consumer_pos, memory_order_relaxed);
    uint64_t producer = rbc_ring_load_producer_pos(ring);
    if (consumer % 8 != 0 || producer % 8 != 0 || rbc_is_after(consumer, producer)) {
        return -EBADMSG;
    }
    bool goes_on =
        committed != 0 && committed % 8 == 0 && committed - consumer <= producer - consumer;
    rbc_ring_start_at(ring, goes_on ? committed : consumer, consumer);
    rbc_shadow_start(ring, ring->start_pos);
    return 0;
}

/* ---- Refilling ---- */

static uint64_t span_at(const rbc_ring *ring, uint64_t position) {
    return rbc_record_span(rbc_get_length(ring, position) & ~(RBC_BUSY | RBC_DISCARD));
}

/* The bytes of the copy that neither hold what is unread nor what the user has not given back. */
static uint64_t free_space(const rbc_ring *ring, uint64_t end) {
    /* Pairs with the release in advance_to (consumer.c): the user is done with what is before. */
    uint64_t user_pos = atomic_load_explicit(&ring->user_pos, memory_order_acquire);
    return ring->mapping.data_size - (end - user_pos);
}

static void break_ring(rbc_ring *ring) {
    atomic_store_explicit(&ring->broken, true, memory_order_relaxed);
}

/* The end of the last record that was copied as a whole. */
static uint64_t end_of_whole_records(const rbc_ring *ring) {
    uint64_t end = rbc_get(&ring->shadow->end), at = rbc_get(&ring->read_pos);
    while (at != end && span_at(ring, at) <= end - at) {
        at += span_at(ring, at);
    }
    return at;
}

/*
 * The ring was overwritten from the end of the copy on; the oldest record that is left is at
 * `valid`. Goes on there, if nothing before is unread or held. Returns whether it did.
 */
static bool resume_at(rbc_ring *ring, uint64_t valid) {
    rbc_shadow *self = ring->shadow;
    uint64_t end = end_of_whole_records(ring);
    rbc_shadow_start(ring, end);
    self->was_overwritten = true;
    if (free_space(ring, end) != ring->mapping.data_size) {
        return false;
    }
    if (valid % 8 != 0) {
        break_ring(ring);
        return false;
    }
    if (!rbc_consumer_stop_releases(ring)) {
        return false; /* the last release is about to return: the reader looks by the timer */
    }
    rbc_count(&ring->lost_bytes, valid - end);
    self->lost_before_next = true;
    rbc_shadow_skip_to(ring, valid);
    return true;
}

/* Copies up to a position, in pieces. Returns whether that went on somewhere else. */
static bool copy_up_to(rbc_ring *ring, uint64_t to) {
    rbc_shadow *self = ring->shadow;
    uint64_t end = rbc_get(&self->end), free_bytes = free_space(ring, end);
    uint64_t left = to - end < free_bytes ? to - end : free_bytes;
    while (left > 0) {
        uint64_t piece = left < RBC_COPY_PIECE ? left : RBC_COPY_PIECE;
        uint64_t valid = rbc_copy_bytes(&self->source, rbc_ring_header(ring, end), end, piece);
        if (valid != end) {
            bool resumed = resume_at(ring, valid);
            if (resumed && rbc_is_after(end + piece, valid)) {
                /* The rest of the piece is valid, and what was complete before still is. */
                self->known_end = to;
                set_end(self, end + piece);
            }
            return resumed;
        }
        end += piece;
        left -= piece;
        set_end(self, end);
    }
    return false;
}

/* Returns whether it went on somewhere else, where there may be more. */
static bool refill_once(rbc_ring *ring) {
    rbc_shadow *self = ring->shadow;
    uint64_t end = rbc_get(&self->end);
    if (self->was_overwritten) {
        bool is_free = free_space(ring, end) == ring->mapping.data_size;
        return is_free && resume_at(ring, rbc_copy_valid_from(&self->source, end));
    }
    const rbc_copy_end complete = rbc_copy_find_end(&self->source, self->known_end);
    if (complete.position == end && complete.why == RBC_COPY_ALL) {
        return false;
    }
    /* Only now is it known that those were the headers of the records from here on. */
    uint64_t valid = rbc_copy_valid_from(&self->source, end);
    if (valid != end) {
        return resume_at(ring, valid);
    }
    self->known_end = complete.position;
    /* The head is not busy where the copy has no space for what comes before it. */
    ring->head_is_busy =
        complete.why == RBC_COPY_BUSY && complete.position - end <= free_space(ring, end);
    if (complete.why == RBC_COPY_BAD && complete.position == rbc_get(&ring->read_pos)) {
        break_ring(ring);
    }
    return copy_up_to(ring, complete.position);
}

uint64_t rbc_shadow_refill(rbc_ring *ring) {
    for (int i = 0; i < ATTEMPTS && !atomic_load_explicit(&ring->broken, memory_order_relaxed);
         i++) {
        if (!refill_once(ring)) {
            break;
        }
    }
    return rbc_get(&ring->shadow->end);
}

/* ---- What a scan finds ---- */

/* Whether the record at a position was copied in part only, for want of space. */
static bool is_cut(const rbc_ring *ring, uint64_t position) {
    const rbc_shadow *self = ring->shadow;
    return rbc_get(&self->end) != self->known_end &&
           span_at(ring, position) <= ring->mapping.data_size;
}

/* The first record that is handed out after a loss says so. */
static void mark_loss(rbc_shadow *self, uint16_t *flags) {
    if (self->lost_before_next) {
        *flags |= RBCORE_RECORD_LOST_BEFORE;
        self->lost_before_next = false;
    }
}

rbc_scan_end rbc_shadow_end_scan(rbc_ring *ring, rbc_scan_end why, uint64_t position,
                                 uint16_t *first_flags) {
    if (first_flags != NULL) {
        mark_loss(ring->shadow, first_flags);
    }
    if (why == RBC_SCAN_BROKEN && is_cut(ring, position)) {
        return RBC_SCAN_EMPTY;
    }
    /* A BUSY record before `end`: in a memory ring its dead producer's, elsewhere nobody's. */
    bool is_busy = why == RBC_SCAN_EMPTY && position != rbc_get(&ring->shadow->end);
    return is_busy && !ring->kind->is_memory ? RBC_SCAN_BROKEN : why;
}

bool rbc_shadow_wakes(rbc_ring *ring) {
    /* Acquire: the header is looked at after it. */
    uint64_t consumer =
        atomic_load_explicit(ring->shadow->source.consumer_pos, memory_order_acquire);
    return consumer == rbc_get(&ring->read_pos) && !rbc_shadow_has_record(ring);
}

bool rbc_shadow_waits_for_releases(const rbc_ring *ring) {
    return ring->shadow->was_overwritten &&
           !atomic_load_explicit(&ring->broken, memory_order_relaxed);
}

bool rbc_shadow_is_overwritten(const rbc_ring *ring) {
    uint64_t end = rbc_get(&ring->shadow->end);
    return rbc_copy_valid_from(&ring->shadow->source, end) != end;
}

bool rbc_shadow_has_record(rbc_ring *ring) {
    const rbc_shadow *self = ring->shadow;
    uint64_t position = atomic_load_explicit(&ring->read_pos, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&self->end, memory_order_acquire);
    uint64_t free_bytes = free_space(ring, position);
    if (position != end) {
        uint64_t span = span_at(ring, position);
        return span <= end - position || span <= free_bytes;
    }
    if (atomic_load_explicit(self->source.producer_pos, memory_order_acquire) == position) {
        return false;
    }
    if (rbc_copy_valid_from(&self->source, position) != position) {
        return free_bytes == ring->mapping.data_size; /* it goes on only when nothing is held */
    }
    uint32_t length = rbc_copy_length(&self->source, position);
    return !(length & RBC_BUSY) && rbc_record_span(length & ~RBC_DISCARD) <= free_bytes;
}

bool rbc_shadow_pass(rbc_ring *ring, uint64_t span) {
    rbc_shadow *self = ring->shadow;
    uint64_t end = rbc_get(&self->end);
    if (span > free_space(ring, end)) {
        return false;
    }
    /* The copy has a discarded record there, so that what is given back later passes it like
     * one. */
    atomic_store_explicit(&rbc_ring_header(ring, end)->length,
                          (uint32_t)(span - RBC_HEADER_SIZE) | RBC_DISCARD, memory_order_relaxed);
    rbc_shadow_start(ring, end + span);
    return true;
}
