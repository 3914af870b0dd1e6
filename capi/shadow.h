/* SPDX-License-Identifier: MIT */
/*
 * The reader's own copy of a ring that cannot be read in place, because its producers do not wait
 * for us: one in overwrite mode, or a tapped one. It has the ring's size and layout, and takes the
 * place of the ring's data for all that reads records. Before each scan it is filled up with what
 * is complete by then; what cannot be overwritten any more is what the user sees.
 *
 *   user_pos <= read_pos <= end <= known_end,   end - user_pos <= size
 *
 * If the ring was overwritten (or freed and reused) from `end` on, records were lost. Then the copy
 * is read up, and given back; it goes on at the oldest record that is still there, and the bytes
 * between are counted. So what the user holds stays as it is, and no position comes twice.
 */
#ifndef RBC_SHADOW_H
#define RBC_SHADOW_H

#include "checked_copy.h"
#include "mapping.h"
#include "ring.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rbc_shadow {
    rbc_mapping ring; /* the ring's own memory */
    rbc_mapping copy; /* of which only the data is mapped */
    rbc_copy_source source;
    /* A tap stores its position here, and leaves the ring's alone. */
    _Atomic uint64_t consumer_pos;
    _Atomic uint64_t end;  /* up to here it was copied: perhaps not all of the last record */
    uint64_t known_end;    /* up to here all is complete: between records */
    bool was_overwritten;  /* the ring was overwritten from `end` on */
    bool lost_before_next; /* no record was handed out since some were lost */
} rbc_shadow;

/*
 * Takes the ring's mapping over and puts the copy's data into its place. A tap stores its positions
 * for itself. Returns 0 or a negative errno.
 */
int rbc_shadow_open(rbc_ring *ring, bool is_overwrite);

/* Unmaps the copy and the ring. */
void rbc_shadow_close(rbc_ring *ring);

/*
 * Starts at the positions found in the ring, or at `committed` if that is possible: see
 * rbc_ring_load_positions. The positions of this ring may be further apart than its size.
 */
int rbc_shadow_load_positions(rbc_ring *ring, uint64_t committed);

/* Begins at a position, which is between records. */
void rbc_shadow_start(rbc_ring *ring, uint64_t position);

/* Copies what is complete and fits. Returns the end of the copy. The reading thread only. */
uint64_t rbc_shadow_refill(rbc_ring *ring);

/*
 * Corrects why a scan of the copy ended at a position. Marks the first record that it found (these
 * are its flags, or NULL) if some before it were lost.
 */
rbc_scan_end rbc_shadow_end_scan(rbc_ring *ring, rbc_scan_end why, uint64_t position,
                                 uint16_t *first_flags);

/*
 * Whether the next record wakes a tap, together with the ring's reader. It does if this one has
 * given back just what the tap has read, and the record is not complete after that was seen: then
 * its producer finds consumer_pos there. (Seen the other way round, it may have found it before.)
 * This is so in a memory ring, whose eventfd stays ready, for nobody reads it. The reading thread
 * only.
 */
bool rbc_shadow_wakes(rbc_ring *ring);

/*
 * Whether the last refill could not go on because of what was not given back: no producer's wakeup
 * tells when that is over. The reading thread only.
 */
bool rbc_shadow_waits_for_releases(const rbc_ring *ring);

/* Whether the ring was overwritten from the end of the copy on. */
bool rbc_shadow_is_overwritten(const rbc_ring *ring);

/* Whether a refill and a scan would find something. Any thread. */
bool rbc_shadow_has_record(rbc_ring *ring);

/*
 * Passes the record at the end of the copy, which its dead producer left unfinished in the ring.
 * Returns whether there is space for it.
 */
bool rbc_shadow_pass(rbc_ring *ring, uint64_t span);

/*
 * Goes on at a later position: what is before was seen otherwise. Nothing may be held, and releases
 * are stopped, as for rbc_consumer_jump.
 */
void rbc_shadow_skip_to(rbc_ring *ring, uint64_t position);

#endif
