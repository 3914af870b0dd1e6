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
    self->always = always;
    self->ceiling_ns = max_latency_ns < fill_time || always ? max_latency_ns : fill_time;
    self->bytes_at = rbc_get(&ring->read_pos);
    atomic_init(&ring->is_paced, always);
}

bool rbc_pace_has_timer(const rbc_ring *ring) {
    return rbc_ring_is_paced(ring) && !ring->pace.is_hot;
}

int64_t rbc_pace_longest(const rbc_ring *ring) {
    const rbc_pace *self = &ring->pace;
    uint64_t records = ring->mapping.data_size / ring->last_span;
    int64_t fill_time = (int64_t)records * FASTEST_RECORD_NS / SAFE_PART;
    int64_t longest = fill_time < self->ceiling_ns && !self->always ? fill_time : self->ceiling_ns;
    return longest < RBC_PACE_SHORTEST_NS ? 0 : longest;
}

bool rbc_pace_is_full_enough(const rbc_ring *ring, uint64_t max) {
    uint64_t waiting =
        atomic_load_explicit(ring->producer_pos, memory_order_relaxed) - rbc_get(&ring->read_pos);
    return waiting >= ring->mapping.data_size / FILL_PART || waiting / max >= ring->last_span;
}

rbc_fill rbc_pace_end_interval(rbc_ring *ring) {
    uint64_t size = ring->mapping.data_size, position = rbc_get(&ring->read_pos);
    uint64_t bytes = position - ring->pace.bytes_at;
    ring->pace.bytes_at = position;
    return bytes > size / FILL_PART       ? RBC_FILLS_FAST
           : bytes < size / FILL_PART / 4 ? RBC_FILLS_SLOWLY
                                          : RBC_FILLS_WELL;
}

/*
 * Whether a look that finds each record by itself keeps producers from paying for wakeups. If not,
 * looking without sleeping would make each of them pay, and the ring would lose more.
 */
static bool can_hold_back(const rbc_ring *ring) {
    return ring->last_span <= ring->mapping.data_size / RBC_HELD_BACK_PART;
}

bool rbc_pace_becomes_hot(rbc_ring *ring, rbc_clock *clock, bool only_due) {
    rbc_pace *self = &ring->pace;
    if (!self->was_half_full || rbc_pace_longest(ring) != 0) {
        return false;
    }
    self->was_half_full = false;
    self->is_hot = only_due && can_hold_back(ring);
    self->hot_since_ns = self->is_hot ? rbc_clock_now(clock) : 0;
    return self->is_hot;
}

bool rbc_pace_stays_hot(rbc_ring *ring, rbc_clock *clock, bool has_found, bool only_due) {
    rbc_pace *self = &ring->pace;
    int64_t now_ns = rbc_clock_now(clock);
    if (has_found && only_due && can_hold_back(ring)) {
        self->hot_since_ns = now_ns;
    }
    self->is_hot = only_due && now_ns - self->hot_since_ns < RBC_PACE_SHORTEST_NS;
    return self->is_hot;
}
