/* SPDX-License-Identifier: MIT */
/*
 * The consumer position: what was given back becomes free for the producers. Each advance of
 * consumer_pos is in consumer.c, together with the second look that keeps wakeups from getting
 * lost.
 */
#ifndef RBC_CONSUMER_H
#define RBC_CONSUMER_H

#include "ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records up to `position` were given back, in order. The reading thread only. */
void rbc_consumer_advance(rbc_ring *self, uint64_t position);

/* Advances over the records that were released, up to the first one that is held. Any thread. */
void rbc_consumer_pass_released(rbc_ring *self);

/*
 * Publishes what a paced ring holds back, and looks again. The reading thread only, and after it
 * made the ring armed: otherwise the next advance holds a record back again.
 */
void rbc_consumer_publish(rbc_ring *self);

/* Publishes all that was given back, also of a paced ring. Commit mode only. */
void rbc_consumer_publish_all(rbc_ring *self);

/*
 * Keeps other threads from advancing the ring, until rbc_consumer_jump or
 * rbc_consumer_resume_releases. What they release meanwhile is noticed then. Returns false if one
 * is advancing it now: try again later, for it may not get on before the caller sleeps. The reading
 * thread only.
 */
bool rbc_consumer_stop_releases(rbc_ring *self);
void rbc_consumer_resume_releases(rbc_ring *self);

/*
 * Goes on at a later position. Nothing may be held, and releases are stopped: they are resumed
 * then. The reading thread only.
 */
void rbc_consumer_jump(rbc_ring *self, uint64_t position);

/* rbc_kind's has_record for a ring that is read in place. Any thread. */
bool rbc_consumer_has_record_in_place(rbc_ring *self);

/* Whether the user holds records of the ring. The reading thread only. */
static inline bool rbc_consumer_has_held(const rbc_ring *self) {
    return rbc_get(&self->user_pos) != rbc_get(&self->read_pos);
}

/*
 * The place of a record in the table `held`: a set bit says that the record whose header starts at
 * its 8 bytes is held. The reading thread sets it before it hands the record out, and the thread
 * that releases the record clears it. So a second release of a record is noticed, and the finished
 * prefix ends at the first bit. No header is read for that: a hostile producer could have changed
 * it.
 */
static inline size_t rbc_consumer_held_bit(const rbc_ring *self, uint64_t position) {
    return (position & (self->mapping.data_size - 1)) / 8;
}

#endif
