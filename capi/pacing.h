/* SPDX-License-Identifier: MIT */
/*
 * Pacing decides when rings are read, and so for how many wakeups their producers pay.
 *
 * The kernel wakes the consumer only if the record just committed is the one at consumer_pos. So
 * the consumer owns the rate of wakeups. A ring is either
 *   armed: all that was given back is published, and the next record wakes the reader; or
 *   paced: the last record that was given back stays unpublished, so no producer pays for a wakeup,
 *          and the reader looks by a timer.
 * A wakeup per record is best for slow rings; a look per interval, which costs 20 to 24 us of
 * processor time however much it finds, for busy ones.
 *
 * It is the sum that counts: a thousand slow rings are as busy as one that gets all their records.
 * So the reader has one interval. Once its rings together are busy, those that gave something are
 * paced. A ring that stays slow beside them wakes the reader at once: one wakeup in an interval
 * costs less than its record would wait. When armed rings gave more than that in an interval, they
 * join the paced ones.
 *
 * A ring that would be full before any sleep is over cannot be paced by a timer. If it was found
 * half full it is *hot* for a moment: paced, but looked at again and again until nothing came for
 * as long as the shortest sleep. A reader in that loop keeps up with producers, a woken one does
 * not.
 */
#ifndef RBC_PACING_H
#define RBC_PACING_H

#include "pace.h"
#include "ring.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A cycle of sleeping and looking costs what 2.5 wakeups cost. From 4 records in an interval on
 * pacing pays; below 2 it does not. Between the two the rings stay what they are. But arming them
 * costs a wakeup for each before they are paced again, and a producer that was kept from running
 * leaves a gap: they are armed when the intervals that did not pay have cost as much.
 */
#define RBC_PACING_ENTER 4
#define RBC_PACING_LEAVE 2

typedef struct rbc_pacing {
    int64_t interval_ns; /* the current one */
    int64_t since_ns;    /* when it began */
    uint64_t found;      /* records and discarded ones in it, in all rings */
    uint32_t number;     /* of the interval */
    uint32_t loose;      /* found in it in armed rings */
    unsigned slow;       /* intervals in a row, up to now, that did not pay */
    unsigned timed;      /* rings that are paced by the timer */
    unsigned hot;        /* rings that are paced without */
    bool is_busy;        /* the rings together are */
    bool has_rest;       /* the last pass left rings with more */
} rbc_pacing;

void rbc_pacing_init(rbcore_reader *reader);

/* A ring comes, or goes. */
void rbc_pacing_add(rbcore_reader *reader, const rbc_ring *ring);
void rbc_pacing_remove(rbcore_reader *reader, const rbc_ring *ring);

/*
 * Before a pass that wants what is due, of at most max records, if there are paced rings: whether
 * they are due. If one is they all are, so that an interval ends for all at once.
 */
bool rbc_pacing_is_due(const rbcore_reader *reader, rbc_clock *clock, uint64_t max);

/* A scan has passed so many records and discarded ones in a ring. */
static inline void rbc_pacing_note(rbc_pacing *self, rbc_ring *ring, uint32_t passed) {
    rbc_pace *pace = &ring->pace;
    pace->found = passed + (pace->interval == self->number ? pace->found : 0);
    pace->interval = self->number;
    self->found += passed;
    self->loose += rbc_ring_is_paced(ring) ? 0 : passed;
}

/*
 * Follows, where the caller wants what is due, and the scan found records and left none behind: the
 * ring may become hot, or join.
 */
void rbc_pacing_judge_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock);

/* Whether that may be so, as far as can be told at once. */
static inline bool rbc_pacing_may_judge_ring(const rbc_pacing *self, const rbc_ring *ring) {
    return self->is_busy || ring->pace.was_half_full || ring->pace.is_hot;
}

/*
 * Armed rings in which too little was found stay armed whatever the time. That spares their reader,
 * which a wakeup has just brought onto an idle processor, the clock, whose code and data are cold.
 */
static inline bool rbc_pacing_can_change(const rbc_pacing *self) {
    return self->is_busy || self->found >= RBC_PACING_ENTER;
}

/*
 * A pass is over that found records, in which paced rings had their turn, and none has more. It
 * wanted what is due, and rbc_pacing_can_change; or it wanted all, and rings are paced. Or the
 * reader is about to wait.
 */
void rbc_pacing_judge(rbcore_reader *reader, rbc_clock *clock, bool only_due);

/* The reader is about to wait, and the ring is hot or was found half full. */
void rbc_pacing_park_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock, bool only_due);

/* When the paced rings are due at the latest; 0: at once; INT64_MAX if there are none. */
static inline int64_t rbc_pacing_deadline(const rbc_pacing *self) {
    return self->hot > 0 ? 0 : self->timed > 0 ? self->since_ns + self->interval_ns : INT64_MAX;
}

#endif
