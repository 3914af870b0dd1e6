/* SPDX-License-Identifier: MIT */
/*
 * This is what differs between the kinds of rings. A kind says where the records come from (the
 * kernel, or processes) and how they are read (in place, through a copy, or through a copy beside
 * another reader). Each kind is a row of the table in kind.c. Code that reads a ring asks the row,
 * and never which kind it is. Publishing needs no entry: consumer_pos of rbc_ring says where to
 * store.
 */
#ifndef RBC_KIND_H
#define RBC_KIND_H

#include "ring.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rbc_kind {
    /* ---- Scanning: called by the reading thread only ---- */

    /*
     * Starts at the positions found in the ring, or at `committed`, where the last reader says that
     * it committed to, if that is possible. Returns 0, or -EBADMSG if the positions are impossible.
     */
    int (*load_positions)(rbc_ring *ring, uint64_t committed);

    /* The position up to which there is something to scan now. */
    uint64_t (*find_end)(rbc_ring *ring);

    /*
     * Corrects what a scan that ended at a position says about its end. first_flags are the flags
     * of the first record that it found, or NULL. No function: the scan is right.
     */
    rbc_scan_end (*end_scan)(rbc_ring *ring, rbc_scan_end why, uint64_t position,
                             uint16_t *first_flags);

    /*
     * Passes the record at read_pos if its producer died and left it unfinished; then *passed says
     * so, as that of a scan. Returns whether the ring has to be scanned again. Makes system calls.
     * No function: the producers do not die.
     */
    bool (*skip_abandoned)(rbc_ring *ring, rbc_passed *passed);

    /* ---- Arming and pacing ---- */

    /* Whether a scan would find a complete record (or a discarded one) at read_pos. Any thread. */
    bool (*has_record)(rbc_ring *ring);

    /*
     * Whether a record may come that makes no wakeup, although the user holds nothing. The reader
     * then looks by a timer. No function: there is none. The reading thread only.
     */
    bool (*misses_wakeups)(rbc_ring *ring);

    /* Whether the ring goes on only when the user has given everything back. No function: never. */
    bool (*waits_for_releases)(const rbc_ring *ring);

    bool is_in_place;  /* records are handed out where the producers wrote them */
    bool is_memory;    /* processes produce them: a record may stay unfinished for ever */
    bool is_tap;       /* another reader consumes it */
    bool is_watched;   /* a wakeup may be missing now and then: see kind.c */
    uint8_t flush_max; /* a flush finds at most so many times the ring's size */
} rbc_kind;

/* The kind of a ring. A tap of a ring in overwrite mode is a tap. */
const rbc_kind *rbc_kind_of(bool is_memory, bool is_overwrite, bool is_tap);

static inline bool rbc_ring_has_record(rbc_ring *ring) {
    return ring->kind->has_record(ring);
}

#endif
