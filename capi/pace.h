/* SPDX-License-Identifier: MIT */
/*
 * Pacing decides when a ring is read, and so for how many wakeups its producers pay.
 *
 * The kernel wakes the consumer only if the record just committed is the one at consumer_pos. So
 * the consumer owns the rate of wakeups. A ring is either
 *   armed: all that was given back is published, and the next record wakes the reader; or
 *   paced: the last record that was given back stays unpublished, so no producer pays for a wakeup,
 *          and the reader looks by a timer.
 * A wakeup per record is best for a slow ring; a look per interval, which costs 20 to 24 us of
 * processor time however much it finds, for a busy one.
 *
 * A ring that would be full before any sleep is over cannot be paced by a timer. If it was found
 * half full it is *hot* for a moment: paced, but looked at again and again until nothing came for
 * as long as the shortest sleep. A reader in that loop keeps up with producers, a woken one does
 * not.
 */
#ifndef RBC_PACE_H
#define RBC_PACE_H

#include "wait.h"

#include <stdbool.h>
#include <stdint.h>

struct rbc_ring;

/*
 * A clock that is read once at most: what is done without waiting happens at one time. Reading it
 * costs as much as 20 records, so code that may need no time is given the clock and not the time.
 */
typedef struct rbc_clock {
    int64_t now_ns; /* 0: not read yet, or not since the last wait */
} rbc_clock;

static inline int64_t rbc_clock_now(rbc_clock *self) {
    self->now_ns = self->now_ns != 0 ? self->now_ns : rbc_now_ns();
    return self->now_ns;
}

/*
 * A cycle of sleeping and looking costs what 2.5 wakeups cost. From 4 records in an interval on
 * pacing pays; below 2 it does not. Between the two a ring stays what it is.
 */
#define RBC_PACE_ENTER 4
#define RBC_PACE_LEAVE 2

/*
 * No shorter sleep is worth it: the kernel's own slack for timers of ordinary threads.
 */
#define RBC_PACE_SHORTEST_NS INT64_C(50000)

/* A record larger than this part of the ring is never held back: it takes space. */
#define RBC_HELD_BACK_PART 64

typedef struct rbc_pace {
    int64_t ceiling_ns;  /* the longest interval for this ring; 0: too small for a timer */
    int64_t interval_ns; /* the current one; 0: hot */
    int64_t since_ns;    /* when it began */
    uint64_t passed_at;  /* records and discards passed by then */
    uint64_t bytes_at;   /* read_pos by then */
    bool always;         /* RBCORE_READER_POLL: its producers never wake us */
    bool drained;        /* the last scan left nothing behind */
    bool was_half_full;  /* as found by a scan since the ring was drained or judged */
} rbc_pace;

/* Chooses the ceiling from the reader's max_latency and the ring's size. */
void rbc_pace_init(struct rbc_ring *ring, int64_t max_latency_ns, bool always);

/*
 * Before a scan that wants only what is due, of at most max records: whether it leaves the ring
 * out. A ring is left out while it is paced, was found empty and has time.
 */
bool rbc_pace_leaves(const struct rbc_ring *ring, rbc_clock *clock, uint64_t max);

typedef enum rbc_pace_moment {
    RBC_PACE_DRAINED, /* a scan found records and left none behind */
    RBC_PACE_PARKS    /* the reader is about to wait */
} rbc_pace_moment;

typedef enum rbc_pace_change { RBC_PACE_STAYS, RBC_PACE_PACES, RBC_PACE_ARMS } rbc_pace_change;

/*
 * Decides what the ring should become, by what the scans since the last change found. only_due: the
 * caller wants what is due, and comes back at once; a ring is hot only for such callers.
 */
rbc_pace_change rbc_pace_update(struct rbc_ring *ring, rbc_clock *clock, rbc_pace_moment moment,
                                bool only_due);

/* When the ring is due at the latest; INT64_MAX if it is armed. */
int64_t rbc_pace_deadline(const struct rbc_ring *ring);

/* Whether the ring is paced by the timer, not hot. */
bool rbc_pace_has_timer(const struct rbc_ring *ring);

#endif
