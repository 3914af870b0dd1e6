/* SPDX-License-Identifier: MIT */
/*
 * How records come back: in order (commit) or one by one (release), and how the space goes to the
 * producers. Every advance of consumer_pos happens here.
 */
#ifndef RBC_GIVE_BACK_H
#define RBC_GIVE_BACK_H

#include "ring.h"

#include <stddef.h>

/* Uncommitted turns that can be told apart, for each ring of the reader. */
#define RBC_TURNS_PER_RING 1024

/* A turn of a ring: its records up to here were handed out before those of the next turn. */
typedef struct rbc_turn {
    uint64_t end;
    uint16_t ring;
} rbc_turn;

/*
 * The uncommitted turns in the order in which they were handed out: a circular buffer. Turns of one
 * ring that follow each other are one.
 */
typedef struct rbc_turns {
    rbc_turn *entries;
    size_t capacity, first, count;
} rbc_turns;

/* Makes room for the turns of so many rings. Returns 0 or -ENOMEM. */
int rbc_turns_make_room(rbc_turns *self, size_t rings);

void rbc_turns_free(rbc_turns *self);

/* Forgets the turns of a ring that is removed. */
void rbc_turns_forget(rbc_turns *self, uint16_t ring);

/* Whether a turn of this ring could not be noted. */
bool rbc_turns_is_full_for(const rbc_turns *self, uint16_t ring);

/*
 * Publishes what a paced ring holds back, and looks again. The reading thread only, and after it
 * made the ring armed: else the next advance holds a record back again.
 */
void rbc_ring_publish(rbc_ring *self);

/* What a scan of a ring passed. */
typedef struct rbc_passed {
    const rbcore_record *records; /* handed out; only looked at in release mode */
    size_t count;                 /* of them */
    uint64_t end;                 /* of the last of them */
    uint64_t last;                /* start of the last one passed, discarded ones included */
    uint64_t position;            /* its end: where the scan came to */
} rbc_passed;

/*
 * Notes what a scan passed. Discarded records at the end are given back here if the user holds
 * nothing that could be given back after them.
 */
void rbc_ring_handed_out(rbc_ring *self, const rbc_passed *passed);

/*
 * Keeps other threads from advancing the ring, until rbc_ring_jump or rbc_ring_resume_releases.
 * What they release meanwhile is noticed then. Returns false if one is advancing it now: try again
 * later, for it may not get on before the caller sleeps. The reading thread only.
 */
bool rbc_ring_stop_releases(rbc_ring *self);
void rbc_ring_resume_releases(rbc_ring *self);

/*
 * Goes on at a later position. Nothing may be held, and releases are stopped: they are resumed
 * then. The reading thread only.
 */
void rbc_ring_jump(rbc_ring *self, uint64_t position);

/* Whether records of the ring are with the user. The reading thread only. */
bool rbc_ring_has_held(const rbc_ring *self);

#endif
