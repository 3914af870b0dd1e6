/* SPDX-License-Identifier: MIT */
#include "abandoned.h"

#include "keep_errno.h"
#include "memory_ring.h"
#include "shadow.h"

static rbc_passed pass_abandoned(rbc_ring *self, uint64_t position, uint64_t span) {
    self->head_is_busy = false; /* as far as is known, until the next scan */
    rbc_count(&self->abandoned, 1);
    rbc_count(&self->passed_bytes, span);
    return (rbc_passed){.last = position, .position = position + span};
}

/*
 * Skips an unfinished record that was copied. The producers had passed it (pending_pos), because
 * its own producer is dead. Returns false if the record at read_pos is none.
 */
static bool skip_copied_unfinished(rbc_ring *self, uint64_t position, uint64_t end,
                                   rbc_passed *passed) {
    uint32_t length = rbc_get_length(self, position);
    uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
    if (!(length & RBC_BUSY) || span > end - position) {
        return false;
    }
    *passed = pass_abandoned(self, position, span);
    return true;
}

/*
 * The token of the record at read_pos, where it stands in the ring itself. If the ring is read
 * through a copy, the place may hold another record's data by now: rbc_shadow_is_overwritten tells
 * afterwards.
 */
static uint32_t token_of_head(const rbc_ring *self, uint64_t position) {
    return self->shadow != NULL ? rbc_copy_token(&self->shadow->source, position)
                                : atomic_load_explicit(&rbc_ring_header(self, position)->token,
                                                       memory_order_relaxed);
}

static uint32_t length_of_head(const rbc_ring *self, uint64_t position) {
    return self->shadow != NULL ? rbc_copy_length(&self->shadow->source, position)
                                : rbc_load_length(rbc_ring_header(self, position));
}

bool rbc_abandoned_skip(rbc_ring *self, rbc_passed *passed) {
    RBC_KEEP_ERRNO;
    if (!self->head_is_busy) {
        self->liveness_checks = 0;
        return false;
    }
    uint64_t position = rbc_get(&self->read_pos), producer = rbc_ring_load_producer_pos(self);
    if (self->shadow != NULL && rbc_get(&self->shadow->end) != position) {
        return skip_copied_unfinished(self, position, rbc_get(&self->shadow->end), passed);
    }
    uint32_t token = token_of_head(self, position);
    if (!(token & RBC_TOKEN_BIT)) {
        return false; /* not by a producer of this library: nothing is known of it */
    }
    if (!rbc_producer_is_gone(rbc_producer_page_of(&self->mapping), self->fd, token,
                              self->liveness_checks++)) {
        return false;
    }
    /* Loaded after the producer's end was established: it may have finished the record before. */
    uint32_t length = length_of_head(self, position);
    uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
    if (!(length & RBC_BUSY) || (self->shadow != NULL && rbc_shadow_is_overwritten(self))) {
        /* The next scan says what it is. For a paced ring that happens when it is due: until then
         * there is nothing to call again for, and a wait that went on at once would never get
         * there. */
        self->head_is_busy = false;
        return !rbc_ring_may_be_left(self);
    }
    /* (The position was loaded by itself: a hostile peer may have put it anywhere.) */
    if (span > producer - position || span > self->mapping.data_size) {
        atomic_store_explicit(&self->broken, true, memory_order_relaxed);
        return true;
    }
    if (self->shadow != NULL && !rbc_shadow_pass(self, span)) {
        return false;
    }
    *passed = pass_abandoned(self, position, span);
    return true;
}
