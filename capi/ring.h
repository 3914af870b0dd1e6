/* SPDX-License-Identifier: MIT */
/*
 * One ring of a reader: its layout, its positions and the scan over its records.
 *
 *   consumer_pos <= user_pos <= read_pos <= producer_pos,   producer_pos - user_pos <= size
 *
 * read_pos:     records were handed out up to here (or were discarded ones, which are skipped).
 * user_pos:     the user gave them back up to here.
 * consumer_pos: the producers know about it up to here. This is user_pos, a moment later; or, while
 *               the ring is paced, the start of the last record before it (see pacing.h).
 */
#ifndef RBC_RING_H
#define RBC_RING_H

#include "by_ring.h"
#include "counter.h"
#include "layout.h"
#include "mapping.h"
#include "owner.h"
#include "pace.h"

#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The members are grouped by the thread that writes them. Those that other threads read are atomic.
 * "Giving back" is done by the reading thread in commit mode, and in release mode by the one thread
 * that is at work in consumer.c.
 */
typedef struct rbc_ring {
    /*
     * ---- Set when the ring is added, and constant from then on; what is rarely used is below ----
     */
    const struct rbc_kind *kind; /* what differs between kernel rings, memory rings and copies */
    rbcore_reader *reader;
    rbc_mapping mapping;            /* its data may be the shadow's */
    struct rbc_shadow *shadow;      /* NULL: the ring is read in place */
    _Atomic uint64_t *consumer_pos; /* in the consumer page; of a tap: its own */
    _Atomic uint64_t *producer_pos; /* in the producer page */
    uint16_t index;                 /* in the reader's slots */
    uint16_t record_flags;          /* of all its records */

    /* ---- Written by the reading thread ---- */
    atomic_bool broken;       /* its content is impossible */
    atomic_bool is_paced;     /* see pacing.h */
    bool left_epoll;          /* the wait does not listen to its wakeups */
    bool head_is_busy;        /* the last scan ended at a record that is being written */
    unsigned busy_scans;      /* scans in a row that got nowhere because of that */
    unsigned liveness_checks; /* how often it was asked whether that record's producer lives */
    _Atomic uint64_t read_pos;
    _Atomic uint64_t last_pos;     /* of the last record (or discarded one) before read_pos */
    _Atomic uint64_t largest_span; /* of all that were passed */
    uint64_t last_span;            /* of the last record handed out */
    uint64_t handed_end;           /* end of the last record handed out; commit mode only */
    rbc_pace pace;
    struct rbc_ring *next, *previous; /* in the reader's round */
    bool is_in_round;                 /* or else it is idle: see idle.h */
    bool may_leave;                   /* the sweep that is under way may take it out */
    uint64_t swept_pos;               /* read_pos at the last sweep */
    uint64_t flush_pos;               /* a flush is complete when read_pos gets here */
    uint64_t flush_found;             /* bytes that had been found when it began */
    /* Statistics. */
    _Atomic uint64_t records, bytes, discards, abandoned, skipped, high_water;
    _Atomic uint64_t passed_bytes; /* of what was neither handed out nor lost */
    _Atomic uint64_t lost_bytes;   /* overwritten before they were copied */

    /* ---- Written by the thread that is giving back ---- */
    _Atomic uint64_t user_pos;
    uint64_t published_pos; /* what was stored into consumer_pos */
    rbc_owner owner;        /* there the position that was committed, for a successor */

    /* ---- Written by all threads ---- */
    _Atomic uint64_t *held;     /* release mode: see rbc_consumer_held_bit */
    _Atomic uint32_t advancing; /* releases that the thread at work has not seen yet */
    _Atomic uint64_t refs;      /* the reader's, and one for each held record */

    /* ---- Constant, rarely used ---- */
    uint64_t start_pos; /* where reading began */
    uint64_t cookie;
    uint64_t map_id;  /* RBCORE_UNKNOWN: a memory ring */
    ino_t inode;      /* of a memory ring */
    bool from_latest; /* RBCORE_SOURCE_LATEST */
    bool is_guarded;
    rbc_descriptor descriptor; /* fd's owner */
    int fd;                    /* of the map, or of the memory */
    int wake_fd; /* what the kernel or the producer makes readable: the map's fd, or the eventfd */
    int loss_fd; /* of the loss map, or -1 */
} rbc_ring;

/* The result of a scan: what it passed. */
typedef struct rbc_passed {
    size_t first;      /* of the records that were handed out, in the scan's array */
    size_t count;      /* of them */
    uint64_t end;      /* of the last of them */
    uint64_t last;     /* start of the last one passed, discarded ones included */
    uint64_t position; /* its end: where the scan came to */
} rbc_passed;

/* Why a scan ended. */
typedef enum rbc_scan_end {
    RBC_SCAN_EMPTY,  /* at producer_pos, or at a BUSY record */
    RBC_SCAN_FULL,   /* the array of records is full, or the turn's part of the ring is taken */
    RBC_SCAN_BOUND,  /* too many discarded records */
    RBC_SCAN_BROKEN, /* at something that no producer writes */
} rbc_scan_end;

typedef struct rbc_scan {
    rbcore_record *records; /* where to put what is found; or else ... */
    rbcore_span *spans;     /* ... here, runs of equal records as one */
    size_t spans_left;      /* free in it */
    size_t max;             /* records to find at most */
    size_t count;           /* found */
    uint64_t bytes;         /* of data in them */
    size_t skips_left;      /* the bound on discarded records; counts down */
} rbc_scan;

/*
 * Starts at the positions found in the ring, or where the last reader says that it committed to if
 * that is possible: the kernel's position trails it while a ring is paced. Returns 0, or -EBADMSG
 * if the positions are impossible.
 */
int rbc_ring_load_positions(rbc_ring *self, uint64_t committed);

/* Reads on from `start`, where consumer_pos is `consumer`. */
void rbc_ring_start_at(rbc_ring *self, uint64_t start, uint64_t consumer);

/*
 * Finds records from read_pos on: one turn. The caller notes what *passed says (rbc_read_note);
 * until then the ring stands where it stood. The reading thread only.
 */
rbc_scan_end rbc_ring_scan(rbc_ring *self, rbc_scan *scan, rbc_passed *passed);

/* Passes the records that are complete now. For RBCORE_SOURCE_LATEST, before the first scan. */
rbc_passed rbc_ring_skip_to_latest(rbc_ring *self);

static inline bool rbc_ring_is_paced(const rbc_ring *self) {
    return atomic_load_explicit(&self->is_paced, memory_order_relaxed);
}

/*
 * Whether a scan for what is due may leave what is there: the ring is paced, and was found empty.
 */
static inline bool rbc_ring_may_be_left(const rbc_ring *self) {
    return rbc_ring_is_paced(self) && self->pace.drained;
}

static inline rbc_header *rbc_ring_header(const rbc_ring *self, uint64_t position) {
    return rbc_header_at(&self->mapping, position);
}

/*
 * Acquire: a reader that sees the position sees the BUSY header of each record before it. Pairs
 * with smp_store_release(&rb->producer_pos) in the kernel's __bpf_ringbuf_reserve().
 */
static inline uint64_t rbc_ring_load_producer_pos(const rbc_ring *self) {
    return atomic_load_explicit(self->producer_pos, memory_order_acquire);
}

/* Whether data is that of the record at `position`, in either copy of the ring. */
static inline bool rbc_ring_is_data_of(const rbc_ring *self, const void *data, uint64_t position) {
    const unsigned char *first = (const unsigned char *)(rbc_ring_header(self, position) + 1);
    return data == first || data == first + self->mapping.data_size;
}

/* The length of a record that was passed by the scan before. */
static inline uint32_t rbc_get_length(const rbc_ring *self, uint64_t position) {
    return atomic_load_explicit(&rbc_ring_header(self, position)->length, memory_order_relaxed);
}

#endif
