/* SPDX-License-Identifier: MIT */
#include "idle.h"

#include "consumer.h"
#include "fence.h"
#include "kind.h"
#include "reader.h"

/* A look at one ring among all takes so long at most; here with what else 20 times as much. */
#define LOOK_AT_ONE_NS 200

/* What a busy reader leaves idle rings waiting for. A look takes longer than a microsecond. */
#define HEAR_NS INT64_C(50000)
#define LOOKS_BEFORE_HEARING 2
#define MOST_LOOKS_BEFORE_HEARING 64

void rbc_idle_end(rbcore_reader *self, rbc_ring *ring) {
    if (!ring->is_in_round) {
        ring->is_in_round = true;
        ring->swept_pos = rbc_get(&ring->read_pos);
        rbc_round_join(&self->round, ring);
    }
}

static void leave_round(rbcore_reader *self, rbc_ring *ring) {
    ring->is_in_round = false;
    rbc_round_leave(&self->round, ring);
}

/*
 * The eventfd of a memory ring says nothing of what is there. Other rings are not armed, or not for
 * this reader alone.
 */
static bool may_begin_idle(const rbcore_reader *self, const rbc_ring *ring) {
    return self->table.count > RBC_FEW_RINGS && ring->kind->is_in_place && !ring->kind->is_memory &&
           ring->is_guarded && !ring->from_latest && !rbc_ring_is_paced(ring);
}

void rbc_idle_add(rbcore_reader *self, rbc_ring *ring) {
    if (!may_begin_idle(self, ring)) {
        rbc_idle_end(self, ring);
    }
}

void rbc_idle_remove(rbcore_reader *self, rbc_ring *ring) {
    if (ring->is_in_round) {
        leave_round(self, ring);
    }
    if (self->table.count - 1 == RBC_FEW_RINGS) {
        for (unsigned i = 0; i < self->table.count; i++) {
            if (self->table.rings[i] != ring) {
                rbc_idle_end(self, self->table.rings[i]);
            }
        }
    }
}

void rbc_idle_hear(void *reader, uint64_t index) {
    rbcore_reader *self = reader;
    rbc_ring *ring = rbc_ring_table_find(&self->table, (unsigned)index);
    if (ring == NULL) {
        return;
    }
    rbc_idle_end(self, ring);
    ring->pace.heard += rbc_pace_has_timer(ring);
    self->idling.has_found = true;
}

/* ---- The sweep ---- */

/* Whether the next record wakes the reader, if it is not there already. */
static bool is_armed(const rbc_ring *ring) {
    /* Acquire: pairs with the release store in publish (consumer.c), which another thread may have
     * made. The user_pos that it stored before is seen then, too. */
    uint64_t consumer_pos = atomic_load_explicit(ring->consumer_pos, memory_order_acquire);
    return consumer_pos == rbc_get(&ring->read_pos) && !rbc_consumer_has_held(ring) &&
           !rbc_ring_is_paced(ring) && !ring->left_epoll;
}

/* Whether a ring gave nothing of late, and an event will tell of what comes. */
static bool may_leave(rbc_ring *ring) {
    uint64_t position = rbc_get(&ring->read_pos), before = ring->swept_pos;
    ring->swept_pos = position;
    return position == before && ring->kind->is_in_place && ring->is_guarded &&
           !atomic_load_explicit(&ring->broken, memory_order_relaxed) && is_armed(ring);
}

static void sweep(rbcore_reader *self) {
    const rbc_round *round = &self->round;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        ring->may_leave = may_leave(ring);
    }
    rbc_full_fence();
    rbc_ring *ring = round->turn;
    for (unsigned left = round->count; left > 0; left--) {
        rbc_ring *next = ring->next;
        if (ring->may_leave && rbc_ring_load_producer_pos(ring) == rbc_get(&ring->read_pos)) {
            leave_round(self, ring);
        }
        ring = next;
    }
}

void rbc_idle_sweep(rbcore_reader *self) {
    if (++self->idling.looks >= RBC_LOOKS_PER_SWEEP) {
        self->idling.looks = 0;
        sweep(self);
    }
}

/* ---- Looks at all rings ---- */

/* The load pairs with nothing: what it does not see yet is found by the next look. */
static bool has_news(const rbc_ring *ring) {
    return atomic_load_explicit(ring->producer_pos, memory_order_relaxed) !=
           rbc_get(&ring->read_pos);
}

bool rbc_idle_look(rbcore_reader *self, rbc_clock *clock) {
    bool found = false;
    if (rbc_idle_count(self) == 0) {
        return false;
    }
    for (unsigned i = 0; i < self->table.count; i++) {
        rbc_ring *ring = self->table.rings[i];
        if (!ring->is_in_round && has_news(ring)) {
            rbc_idle_end(self, ring);
            found = true;
        }
    }
    self->idling.seen_ns = rbc_clock_now(clock);
    return found;
}

static bool is_long_ago(const rbcore_reader *self, rbc_clock *clock, int64_t time_ns) {
    return rbc_idle_count(self) > 0 && rbc_clock_now(clock) - self->idling.seen_ns >= time_ns;
}

void rbc_idle_look_if_cheap(rbcore_reader *self, rbc_clock *clock) {
    if (is_long_ago(self, clock, LOOK_AT_ONE_NS * (int64_t)self->table.count)) {
        rbc_idle_look(self, clock);
    }
}

void rbc_idle_look_now_and_then(rbcore_reader *self, rbc_clock *clock) {
    if (is_long_ago(self, clock, RBC_LOOK_NOW_AND_THEN_NS)) {
        rbc_idle_look(self, clock);
    }
}

void rbc_idle_look_if_in_vain(rbcore_reader *self, rbc_clock *clock) {
    if (!self->idling.has_found || is_long_ago(self, clock, RBC_LOOK_NOW_AND_THEN_NS)) {
        rbc_idle_look(self, clock);
    }
}

/* ---- A busy reader ---- */

static bool must_listen(const rbcore_reader *self, rbc_clock *clock) {
    unsigned looks = self->idling.busy_looks;
    return looks >= LOOKS_BEFORE_HEARING &&
           (looks >= MOST_LOOKS_BEFORE_HEARING ||
            rbc_clock_now(clock) - self->idling.heard_ns >= HEAR_NS);
}

void rbc_idle_listen(rbcore_reader *self, rbc_clock *clock) {
    if (must_listen(self, clock)) {
        self->idling.busy_looks = 0;
        self->idling.heard_ns = rbc_clock_now(clock);
        rbc_wait_drain(&self->wait);
        rbc_idle_look_now_and_then(self, clock);
    }
}
