/* SPDX-License-Identifier: MIT */
/*
 * When a ring is read: moderation of its wakeups.
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

#include <stdbool.h>
#include <stdint.h>

struct rbc_ring;

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

/* A record larger than this part of the ring is never held back: it takes room. */
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

/* Whether a moderated read may leave what is there: if the ring is paced, and was found empty. */
bool rbc_pace_can_wait(const struct rbc_ring *ring);

/* If so: whether it takes what is there now all the same, having room for max records. */
bool rbc_pace_is_due(const struct rbc_ring *ring, int64_t now_ns, uint64_t max);

/* Whether the interval of a ring that is paced is over, and found enough to be worth another. */
bool rbc_pace_is_worth_it(const struct rbc_ring *ring, int64_t now_ns);

/* When the ring is due at the latest; INT64_MAX if it is armed. */
int64_t rbc_pace_deadline(const struct rbc_ring *ring);

/* Whether the ring is paced by the timer, not hot. */
bool rbc_pace_has_timer(const struct rbc_ring *ring);

/*
 * Whether rbc_pace_judge could come to anything. An armed ring in which too little was found stays
 * armed whatever the time: its reader, who was woken out of an idle processor, is spared the clock,
 * whose code and data are cold.
 */
bool rbc_pace_can_change(const struct rbc_ring *ring);

typedef enum rbc_pace_change { RBC_PACE_STAYS, RBC_PACE_PACES, RBC_PACE_ARMS } rbc_pace_change;

/*
 * After a scan: what the ring should become, by what the scans since the last time found. A ring is
 * hot only for moderated reads, whose callers come back at once.
 */
rbc_pace_change rbc_pace_judge(struct rbc_ring *ring, int64_t now_ns, bool is_moderated);

#endif
