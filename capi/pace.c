/* SPDX-License-Identifier: MIT */
#include "pace.h"

#include "ring.h"

/*
 * These bound what may come during a sleep. A producer on one processor writes no more than so many
 * bytes per nanosecond, and makes no record in less than so many nanoseconds (several that share a
 * ring are slower together). An interval that leaves space for that loses no more than a reader
 * that is woken for each record: see bench/run --bursts.
 */
#define FASTEST_BYTES 1.3
#define FASTEST_RECORD_NS 60

/* The part of the ring that records of the fastest producer may fill in an interval. */
#define SAFE_PART 2

/* A cycle should find the ring no fuller than this part of it, at the rate last seen. */
#define FILL_PART 4

void rbc_pace_init(rbc_ring *ring, int64_t max_latency_ns, bool always) {
    rbc_pace *self = &ring->pace;
    int64_t fill_time = (int64_t)((double)ring->mapping.data_size / FASTEST_BYTES);
    int64_t ceiling = max_latency_ns < fill_time ? max_latency_ns : fill_time;
    if (ceiling < RBC_PACE_SHORTEST_NS) {
        ceiling = always ? RBC_PACE_SHORTEST_NS : 0;
    }
    self->always = always;
    self->ceiling_ns = ceiling;
    self->interval_ns = ceiling;
    self->bytes_at = rbc_get(&ring->read_pos);
    atomic_init(&ring->is_paced, always);
}

/* Whether so much waits that sleeping on would cost data, or that it fills the caller's array. */
static bool is_full_enough(const rbc_ring *ring, uint64_t max) {
    uint64_t waiting =
        atomic_load_explicit(ring->producer_pos, memory_order_relaxed) - rbc_get(&ring->read_pos);
    return waiting >= ring->mapping.data_size / FILL_PART || waiting / max >= ring->last_span;
}

static bool is_over(const rbc_pace *self, int64_t now_ns) {
    return now_ns - self->since_ns >= self->interval_ns;
}

bool rbc_pace_leaves(const rbc_ring *ring, rbc_clock *clock, uint64_t max) {
    return rbc_ring_may_be_left(ring) && !is_over(&ring->pace, rbc_clock_now(clock)) &&
           !is_full_enough(ring, max);
}

int64_t rbc_pace_deadline(const rbc_ring *ring) {
    return rbc_ring_is_paced(ring) ? ring->pace.since_ns + ring->pace.interval_ns : INT64_MAX;
}

bool rbc_pace_has_timer(const rbc_ring *ring) {
    return rbc_ring_is_paced(ring) && ring->pace.interval_ns > 0;
}

static uint64_t passed(const rbc_ring *ring) {
    return rbc_get(&ring->records) + rbc_get(&ring->discards);
}

static void begin_interval(rbc_ring *ring, int64_t now_ns) {
    ring->pace.since_ns = now_ns;
    ring->pace.passed_at = passed(ring);
    ring->pace.bytes_at = rbc_get(&ring->read_pos);
}

/* The longest interval for records as large as the last. */
static int64_t longest_interval(const rbc_ring *ring) {
    uint64_t records = ring->mapping.data_size / ring->last_span;
    int64_t fill_time = (int64_t)records * FASTEST_RECORD_NS / SAFE_PART;
    return fill_time < ring->pace.ceiling_ns ? fill_time : ring->pace.ceiling_ns;
}

/* Shortens the interval of a ring that fills fast, and lengthens it again when it does not. */
static void adapt(rbc_ring *ring, uint64_t bytes) {
    rbc_pace *self = &ring->pace;
    uint64_t size = ring->mapping.data_size;
    int64_t interval = self->interval_ns, longest = longest_interval(ring);
    if (bytes > size / FILL_PART) {
        interval /= 2;
    } else if (bytes < size / FILL_PART / 4) {
        interval *= 2;
    }
    interval = interval > longest ? longest : interval;
    self->interval_ns = interval < RBC_PACE_SHORTEST_NS ? RBC_PACE_SHORTEST_NS : interval;
}

/*
 * Whether a look that finds each record by itself keeps producers from paying for wakeups. If not,
 * looking without sleeping would make each of them pay, and the ring would lose more.
 */
static bool can_hold_back(const rbc_ring *ring) {
    return ring->last_span <= ring->mapping.data_size / RBC_HELD_BACK_PART;
}

/* The interval with which a ring in which so much was found becomes paced; -1: it stays armed. */
static int64_t first_interval(const rbc_ring *ring, uint64_t found, bool only_due) {
    int64_t longest = longest_interval(ring);
    if (longest >= RBC_PACE_SHORTEST_NS) {
        return found >= RBC_PACE_ENTER ? longest : -1;
    }
    return ring->pace.was_half_full && only_due && can_hold_back(ring) ? 0 : -1;
}

static rbc_pace_change judge_armed(rbc_ring *ring, int64_t now_ns, uint64_t found, bool only_due) {
    rbc_pace *self = &ring->pace;
    bool in_time = now_ns - self->since_ns <= self->ceiling_ns;
    bool is_judged = in_time || self->was_half_full;
    int64_t interval = is_judged ? first_interval(ring, found, only_due) : -1;
    self->was_half_full = false;
    if (interval >= 0) {
        self->interval_ns = interval;
        begin_interval(ring, now_ns);
        return RBC_PACE_PACES;
    }
    if (!in_time) {
        begin_interval(ring, now_ns);
    }
    return RBC_PACE_STAYS;
}

static rbc_pace_change judge_hot(rbc_ring *ring, int64_t now_ns, uint64_t found, bool only_due) {
    if (found > 0 && only_due && can_hold_back(ring)) {
        begin_interval(ring, now_ns);
        return RBC_PACE_STAYS;
    }
    bool is_idle = now_ns - ring->pace.since_ns >= RBC_PACE_SHORTEST_NS;
    return is_idle || !only_due ? RBC_PACE_ARMS : RBC_PACE_STAYS;
}

static rbc_pace_change judge_paced(rbc_ring *ring, int64_t now_ns, uint64_t found) {
    rbc_pace *self = &ring->pace;
    bool is_worth_it = found >= RBC_PACE_LEAVE;
    if (!is_worth_it && !is_over(self, now_ns)) {
        return RBC_PACE_STAYS;
    }
    adapt(ring, rbc_get(&ring->read_pos) - self->bytes_at);
    begin_interval(ring, now_ns);
    bool is_safe = longest_interval(ring) >= RBC_PACE_SHORTEST_NS;
    return self->always || (is_worth_it && is_safe) ? RBC_PACE_STAYS : RBC_PACE_ARMS;
}

/* Records and discarded ones, since the interval began. */
static uint64_t found_in(const rbc_ring *ring) {
    return passed(ring) - ring->pace.passed_at;
}

/*
 * An armed ring in which too little was found stays armed whatever the time. That spares its
 * reader, which a wakeup has just brought onto an idle processor, the clock, whose code and data
 * are cold.
 */
static bool can_change(const rbc_ring *ring) {
    return rbc_ring_is_paced(ring) || ring->pace.was_half_full || found_in(ring) >= RBC_PACE_ENTER;
}

static __attribute__((noinline)) rbc_pace_change judge(rbc_ring *ring, rbc_clock *clock,
                                                       bool only_due) {
    uint64_t found = found_in(ring);
    int64_t now_ns = rbc_clock_now(clock);
    if (!rbc_ring_is_paced(ring)) {
        return judge_armed(ring, now_ns, found, only_due);
    }
    return ring->pace.interval_ns == 0 ? judge_hot(ring, now_ns, found, only_due)
                                       : judge_paced(ring, now_ns, found);
}

/*
 * Reading a paced ring to its end ends its interval, too, whatever the caller wants. Otherwise the
 * next scan for what is due would find the ring due at once, for the few records that came since.
 * An interval that was not worth it is judged when the reader parks.
 */
static __attribute__((noinline)) rbc_pace_change judge_drained(rbc_ring *ring, rbc_clock *clock) {
    bool is_over_now = is_over(&ring->pace, rbc_clock_now(clock));
    return is_over_now && found_in(ring) >= RBC_PACE_LEAVE ? judge(ring, clock, true)
                                                           : RBC_PACE_STAYS;
}

rbc_pace_change rbc_pace_update(rbc_ring *ring, rbc_clock *clock, rbc_pace_moment moment,
                                bool only_due) {
    if (only_due || moment == RBC_PACE_PARKS) {
        return can_change(ring) ? judge(ring, clock, only_due) : RBC_PACE_STAYS;
    }
    return rbc_pace_has_timer(ring) ? judge_drained(ring, clock) : RBC_PACE_STAYS;
}
