/* SPDX-License-Identifier: MIT */
/*
 * What one ring says about its pacing. The reader paces all its busy rings by one interval: see
 * pacing.h.
 */
#ifndef RBC_PACE_H
#define RBC_PACE_H

#include "wait.h"

#include <stdbool.h>
#include <stdint.h>

struct rbc_ring;

/*
 * No shorter sleep is worth it: the kernel's own slack for timers of ordinary threads.
 */
#define RBC_PACE_SHORTEST_NS INT64_C(50000)

/* A record larger than this part of the ring is never held back: it takes space. */
#define RBC_HELD_BACK_PART 64

typedef struct rbc_pace {
    int64_t ceiling_ns;   /* the longest interval that its size allows */
    int64_t hot_since_ns; /* when a hot ring gave something last */
    uint64_t bytes_at;    /* read_pos when the interval began; while it is paced by the timer */
    uint32_t interval;    /* the number of that in which it gave something last */
    uint32_t found;       /* records and discarded ones in that interval */
    unsigned heard;       /* wakeups that came all the same since it is paced */
    bool is_hot;          /* paced without a timer */
    bool always;          /* RBCORE_READER_POLL: its producers never wake us */
    bool drained;         /* the last scan left nothing behind */
    bool was_half_full;   /* as found by a scan since the ring was drained or judged */
} rbc_pace;

/* Chooses the ceiling from the reader's max_latency and the ring's size. */
void rbc_pace_init(struct rbc_ring *ring, int64_t max_latency_ns, bool always);

/* Whether the ring is paced by the timer, not hot. */
bool rbc_pace_has_timer(const struct rbc_ring *ring);

/* The longest interval for records as large as the last; 0: no timer can pace the ring. */
int64_t rbc_pace_longest(const struct rbc_ring *ring);

/* Whether so much waits that sleeping on would cost data, or that it fills max records. */
bool rbc_pace_is_full_enough(const struct rbc_ring *ring, uint64_t max);

typedef enum rbc_fill { RBC_FILLS_SLOWLY, RBC_FILLS_WELL, RBC_FILLS_FAST } rbc_fill;

/* How far the interval that ends now filled the ring. The next one begins. */
rbc_fill rbc_pace_end_interval(struct rbc_ring *ring);

/*
 * Whether a ring that is armed becomes hot: no timer can pace it, and it was found half full. Makes
 * it so. only_due: the caller wants what is due, and comes back at once. A ring is hot only for
 * such callers.
 */
bool rbc_pace_becomes_hot(struct rbc_ring *ring, rbc_clock *clock, bool only_due);

/* Whether a hot ring goes on to be hot. has_found: the look that is over found something in it. */
bool rbc_pace_stays_hot(struct rbc_ring *ring, rbc_clock *clock, bool has_found, bool only_due);

#endif
