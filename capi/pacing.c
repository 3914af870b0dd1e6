/* SPDX-License-Identifier: MIT */
#include "pacing.h"

#include "consumer.h"
#include "inline.h"
#include "reader.h"

#define ENTER RBC_PACING_ENTER
#define LEAVE RBC_PACING_LEAVE

/* What 200 cycles of sleeping and looking cost, and what each ring adds to them: in wakeups. */
#define CYCLES 200
#define CYCLES_COST 500
#define RING_COST 1

/*
 * A paced ring that gave nothing in so many intervals is armed. To keep it took as long by then as
 * the wakeup that its next record costs.
 */
#define QUIET_INTERVALS 1000

void rbc_pacing_init(rbcore_reader *reader) {
    int64_t latency = reader->max_latency_ns;
    reader->pacing = (rbc_pacing){
        .interval_ns = latency < RBC_PACE_SHORTEST_NS ? RBC_PACE_SHORTEST_NS : latency,
        .number = 1, /* rings begin with 0: they gave nothing */
        .is_busy = reader->is_polling,
    };
}

void rbc_pacing_add(rbcore_reader *reader, const rbc_ring *ring) {
    reader->pacing.timed += rbc_ring_is_paced(ring);
}

void rbc_pacing_remove(rbcore_reader *reader, const rbc_ring *ring) {
    reader->pacing.timed -= rbc_pace_has_timer(ring);
    reader->pacing.hot -= ring->pace.is_hot;
}

/* ---- One ring ---- */

/* Producers pay for no wakeup from now on, if the records given back next are held back. */
static void set_paced(rbc_ring *ring, unsigned *count) {
    (*count)++;
    ring->pace.heard = 0;
    atomic_store_explicit(&ring->is_paced, true, memory_order_relaxed);
}

/* An armed ring is looked at again before the reader waits. */
static void arm(rbc_ring *ring, unsigned *count) {
    (*count)--;
    atomic_store_explicit(&ring->is_paced, false, memory_order_relaxed);
    rbc_consumer_publish(ring);
}

static bool gave_something(const rbc_pacing *self, const rbc_ring *ring) {
    return ring->pace.interval == self->number && ring->pace.drained;
}

/*
 * A ring for which the interval has to be much shorter joins only if it is busy without the others,
 * or they would be read too often for its sake.
 */
static bool may_join(const rbc_pacing *self, const rbc_ring *ring, rbc_clock *clock) {
    int64_t longest = rbc_pace_longest(ring);
    if (rbc_ring_is_paced(ring) || longest == 0) {
        return false;
    }
    return longest >= self->interval_ns / 2 ||
           (ring->pace.found >= ENTER &&
            ring->pace.found * longest >= ENTER * (rbc_clock_now(clock) - self->since_ns));
}

static void join(rbc_pacing *self, rbc_ring *ring) {
    int64_t longest = rbc_pace_longest(ring);
    self->interval_ns = longest < self->interval_ns ? longest : self->interval_ns;
    ring->pace.bytes_at = rbc_get(&ring->read_pos);
    set_paced(ring, &self->timed);
}

/* Makes a ring that no timer can pace hot for a moment. */
static void judge_hot(rbc_pacing *self, rbc_ring *ring, rbc_clock *clock, bool has_found,
                      bool only_due) {
    if (ring->pace.is_hot) {
        if (!rbc_pace_stays_hot(ring, clock, has_found, only_due)) {
            arm(ring, &self->hot);
        }
    } else if (!rbc_ring_is_paced(ring) && rbc_pace_becomes_hot(ring, clock, only_due)) {
        set_paced(ring, &self->hot);
    }
}

void rbc_pacing_judge_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock) {
    rbc_pacing *self = &reader->pacing;
    judge_hot(self, ring, clock, true, true);
    if (self->is_busy && self->loose >= LEAVE && may_join(self, ring, clock)) {
        join(self, ring);
    }
}

/* ---- All rings ---- */

static void begin_interval(rbc_pacing *self, rbc_clock *clock) {
    self->since_ns = rbc_clock_now(clock);
    self->number++;
    self->found = 0;
    self->loose = 0;
}

static bool is_over(const rbc_pacing *self, rbc_clock *clock) {
    return rbc_clock_now(clock) - self->since_ns >= self->interval_ns;
}

/*
 * The rings are busy if so much came within the longest interval that suits one of them, or one was
 * found half full.
 */
static bool are_busy(const rbcore_reader *reader, rbc_clock *clock) {
    const rbc_pacing *self = &reader->pacing;
    const rbc_round *round = &reader->round;
    int64_t window = -1;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        if (gave_something(self, ring) && rbc_pace_longest(ring) != 0) {
            int64_t ceiling = ring->pace.was_half_full ? INT64_MAX : ring->pace.ceiling_ns;
            window = ceiling > window ? ceiling : window;
            ring->pace.was_half_full = false;
        }
    }
    return rbc_clock_now(clock) - self->since_ns <= window;
}

/* The rings that gave something are paced from now on, by an interval that suits them. */
static RBC_OUT_OF_LINE void pace_rings(rbcore_reader *reader, rbc_clock *clock) {
    rbc_pacing *self = &reader->pacing;
    const rbc_round *round = &reader->round;
    self->is_busy = true;
    self->slow = 0;
    self->interval_ns = 0;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        int64_t longest = gave_something(self, ring) ? rbc_pace_longest(ring) : 0;
        self->interval_ns = longest > self->interval_ns ? longest : self->interval_ns;
    }
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        if (gave_something(self, ring) && may_join(self, ring, clock)) {
            join(self, ring);
        }
    }
}

static void arm_rings(rbcore_reader *reader) {
    const rbc_round *round = &reader->round;
    reader->pacing.is_busy = false;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        if (rbc_pace_has_timer(ring)) {
            arm(ring, &reader->pacing.timed);
        }
    }
}

static bool is_quiet(const rbc_pacing *self, const rbc_ring *ring) {
    return self->number - ring->pace.interval > QUIET_INTERVALS;
}

/* At the end of an interval: rings that were armed join, and others are armed. */
static void sort_rings(rbcore_reader *reader, rbc_clock *clock) {
    rbc_pacing *self = &reader->pacing;
    const rbc_round *round = &reader->round;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        bool is_loose = self->loose >= LEAVE && gave_something(self, ring);
        if (is_loose && may_join(self, ring, clock)) {
            join(self, ring);
        } else if (rbc_pace_has_timer(ring) && !ring->pace.always &&
                   (rbc_pace_longest(ring) == 0 || is_quiet(self, ring))) {
            arm(ring, &self->timed);
        }
    }
}

/* Shortens the interval if a ring fills fast, and lengthens it again when none does. */
static void adapt(rbcore_reader *reader) {
    const rbc_round *round = &reader->round;
    int64_t longest = reader->max_latency_ns, interval = reader->pacing.interval_ns;
    rbc_fill fastest = RBC_FILLS_SLOWLY;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        if (rbc_pace_has_timer(ring)) {
            rbc_fill fill = rbc_pace_end_interval(ring);
            int64_t of_ring = rbc_pace_longest(ring);
            fastest = fill > fastest ? fill : fastest;
            longest = of_ring < longest ? of_ring : longest;
        }
    }
    interval = fastest == RBC_FILLS_FAST     ? interval / 2
               : fastest == RBC_FILLS_SLOWLY ? interval * 2
                                             : interval;
    interval = interval > longest ? longest : interval;
    reader->pacing.interval_ns = interval < RBC_PACE_SHORTEST_NS ? RBC_PACE_SHORTEST_NS : interval;
}

/*
 * Whether the intervals that did not pay have cost what arming the paced rings does. If none is
 * left that is nothing. Armed rings are then busy by what they give themselves, and no others'
 * interval keeps them from being paced.
 */
static bool are_slow(const rbc_pacing *self) {
    return (self->slow > 0 || self->timed == 0) &&
           self->slow * (CYCLES_COST + RING_COST * self->timed) >= CYCLES * self->timed;
}

/* Judges an interval of busy rings. */
static RBC_OUT_OF_LINE void judge_busy(rbcore_reader *reader, rbc_clock *clock) {
    rbc_pacing *self = &reader->pacing;
    uint64_t found = self->found;
    if (found < LEAVE && !is_over(self, clock)) {
        return;
    }
    sort_rings(reader, clock);
    adapt(reader);
    begin_interval(self, clock);
    self->slow = found < LEAVE ? self->slow + 1 : 0;
    if (are_slow(self) && !reader->is_polling) {
        arm_rings(reader);
    }
}

/* Judges an interval by what was found in it, if that is enough, or the interval is over. */
static void judge(rbcore_reader *reader, rbc_clock *clock) {
    if (reader->pacing.is_busy) {
        judge_busy(reader, clock);
        return;
    }
    if (are_busy(reader, clock)) {
        pace_rings(reader, clock);
    }
    begin_interval(&reader->pacing, clock);
}

bool rbc_pacing_is_due(const rbcore_reader *reader, rbc_clock *clock, uint64_t max) {
    const rbc_pacing *self = &reader->pacing;
    if (self->has_rest || is_over(self, clock)) {
        return true;
    }
    const rbc_ring *ring = reader->round.turn;
    while (ring != NULL && !(rbc_pace_has_timer(ring) && rbc_pace_is_full_enough(ring, max))) {
        ring = rbc_round_after(&reader->round, ring);
    }
    return ring != NULL;
}

/*
 * Reading paced rings to their end ends the interval, too, whatever the caller wants. Otherwise the
 * next pass for what is due would find them due at once, for the few records that came since. An
 * interval that was not worth it is judged when the reader parks.
 */
static bool ends_interval(const rbc_pacing *self, rbc_clock *clock) {
    return self->found >= LEAVE && is_over(self, clock);
}

void rbc_pacing_judge(rbcore_reader *reader, rbc_clock *clock, bool only_due) {
    if (only_due || ends_interval(&reader->pacing, clock)) {
        judge(reader, clock);
    }
}

void rbc_pacing_park_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock, bool only_due) {
    judge_hot(&reader->pacing, ring, clock, false, only_due);
}
