/* SPDX-License-Identifier: MIT */
/*
 * Rings that are idle, so that a reader of thousands pays only for those that are busy.
 *
 * A ring is either in the round, where each look finds what it has, or idle. An idle ring is armed,
 * all that was handed out has been given back, and it is not paced. The epoll alone knows of it:
 * the next record wakes the reader, and the event stays on the epoll's list until it is fetched.
 * Each event that is fetched puts its ring into the round. Up to RBC_FEW_RINGS all rings are in the
 * round, because to look at them costs less than to ask the epoll.
 *
 * A ring leaves the round in a sweep, every few looks and before a wait. The sweep
 *   1. notes the rings that gave nothing since the last one and are armed: consumer_pos, as loaded
 *      from the page that the producers see, is where reading ended;
 *   2. makes one full fence for all of them;
 *   3. takes out those of them in which nothing was reserved meanwhile.
 * The fence pairs with the full barrier of the kernel's xchg(header), which is followed by the load
 * of consumer_pos. So either step 3 sees the record, or its producer sees consumer_pos, and wakes.
 * user_pos would not do: a thread that releases stores it first, and consumer_pos may still be on
 * its way when the reader sees it.
 *
 * Nobody but the reading thread moves a ring. What another thread gives back is of a ring that is
 * in the round, until the reading thread itself sees consumer_pos there.
 *
 * A record for which nobody wakes (BPF_RB_NO_WAKEUP, or a producer that died) is found by a look at
 * all rings, which loads a position of each.
 */
#ifndef RBC_IDLE_H
#define RBC_IDLE_H

#include "pace.h"
#include "ring.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stdint.h>

/* A build for tests lets any number of rings go idle, at the first occasion. */
#ifndef RBC_FEW_RINGS
#define RBC_FEW_RINGS 16
#endif
#ifndef RBC_LOOKS_PER_SWEEP
#define RBC_LOOKS_PER_SWEEP 16
#endif

/* No sweep is worth it for so many that are in the round where others are idle. */
#define RBC_FEW_IN_ROUND (RBC_FEW_RINGS / 8)

/* What happens without a wakeup is rare: a look now and then is enough for it. */
#define RBC_LOOK_NOW_AND_THEN_NS INT64_C(100000000)

typedef struct rbc_idling {
    unsigned looks;      /* since the last sweep */
    unsigned busy_looks; /* in a row that came to something, since events were fetched */
    bool has_found;      /* a look found something, or an event came, since the last one in vain */
    int64_t heard_ns;    /* when a busy reader last fetched events */
    int64_t seen_ns;     /* when all rings were looked at */
} rbc_idling;

/* All of these are for the reading thread only. */

/*
 * A ring was added, or is about to be removed. The kernel has looked whether a map has records when
 * it was added to the epoll, so it may begin idle.
 */
void rbc_idle_add(rbcore_reader *self, rbc_ring *ring);
void rbc_idle_remove(rbcore_reader *self, rbc_ring *ring);

/* Puts a ring into the round, if it is not there. */
void rbc_idle_end(rbcore_reader *self, rbc_ring *ring);

/* An event of the ring with this index was fetched: rbc_wait's `heard`. */
void rbc_idle_hear(void *reader, uint64_t index);

/* Before a look, if more rings than a few are in the round, and the reader has many. */
void rbc_idle_sweep(rbcore_reader *self);

/*
 * The next look begins with a sweep. Each ring of the round costs a reader that waits four or five
 * looks until it has its next record.
 */
static inline void rbc_idle_sweep_next(rbc_idling *self) {
    self->looks = RBC_LOOKS_PER_SWEEP;
}

/*
 * Before a look that may make system calls, if rings are idle. A reader whose looks always find
 * something does not wait and would never hear of idle rings: it fetches events after 50
 * microseconds, or 64 looks.
 */
void rbc_idle_listen(rbcore_reader *self, rbc_clock *clock);

/* Looks at all rings. Returns whether one that was idle has something: it is in the round now. */
bool rbc_idle_look(rbcore_reader *self, rbc_clock *clock);

/* The same if the last such look is so long ago that this takes a twentieth of the time at most. */
void rbc_idle_look_if_cheap(rbcore_reader *self, rbc_clock *clock);

/* The same now and then. */
void rbc_idle_look_now_and_then(rbcore_reader *self, rbc_clock *clock);

/*
 * Before a look whose caller may be told that there is nothing, when the events have been fetched:
 * looks at all rings, if nothing was found or heard since the last such call, or now and then.
 */
void rbc_idle_look_if_in_vain(rbcore_reader *self, rbc_clock *clock);

#endif
