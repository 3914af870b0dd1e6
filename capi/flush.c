/* SPDX-License-Identifier: MIT */
#include "flush.h"

#include "consumer.h"
#include "kind.h"

/* The bytes of all that was passed so far and not lost. */
static uint64_t bytes_found(const rbc_ring *ring) {
    return rbc_get(&ring->read_pos) - rbc_get(&ring->lost_bytes);
}

void rbc_flush_begin(rbcore_reader *self) {
    self->is_flushing = true;
    for (unsigned i = 0; i < self->table.count; i++) {
        rbc_ring *ring = self->table.rings[i];
        ring->flush_pos = rbc_ring_load_producer_pos(ring);
        if (ring->flush_pos != rbc_get(&ring->read_pos)) {
            rbc_idle_end(self, ring);
        }
        ring->flush_found = bytes_found(ring);
        ring->liveness_checks = 0; /* asks most closely once more whether a producer died */
    }
}

/*
 * Whether all that was there when the flush began was handed out. The ring, and the copy through
 * which it is read, hold no more than `most`; a hostile producer's position can say anything.
 */
static bool ring_is_flushed(const rbc_ring *ring) {
    int64_t left = (int64_t)(ring->flush_pos - rbc_get(&ring->read_pos));
    uint64_t most = ring->mapping.data_size * ring->kind->flush_max;
    bool is_broken = atomic_load_explicit(&ring->broken, memory_order_relaxed);
    return left <= 0 || bytes_found(ring) - ring->flush_found >= most || is_broken;
}

bool rbc_flush_is_complete(const rbcore_reader *self) {
    const rbc_ring *ring = self->round.turn;
    while (ring != NULL && ring_is_flushed(ring)) {
        ring = rbc_round_after(&self->round, ring);
    }
    return ring == NULL;
}

/*
 * Whether a ring has more, and only another thread, which is about to return from its release,
 * keeps it from the reader.
 */
static bool has_more_soon(const rbc_ring *ring) {
    return ring->kind->waits_for_releases != NULL && ring->kind->waits_for_releases(ring) &&
           !rbc_consumer_has_held(ring);
}

bool rbc_flush_has_more_soon(const rbcore_reader *self) {
    const rbc_ring *ring = self->round.turn;
    while (ring != NULL && !has_more_soon(ring)) {
        ring = rbc_round_after(&self->round, ring);
    }
    return ring != NULL;
}
