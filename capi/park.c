/* SPDX-License-Identifier: MIT */
#include "park.h"

#include "consumer.h"
#include "kind.h"

/*
 * A program may wake the reader of a paced ring for each record, whatever it does
 * (BPF_RB_FORCE_WAKEUP): then the ring leaves the epoll, and comes back when it is armed. That
 * takes two system calls. Of more rings than a few, which are paced and armed in turn, only those
 * leave that were heard so often. A descriptor that is lent may be another file's by now: its ring
 * stays.
 */
#define FEW 16
#define HEARD_BEFORE_LEAVING 2

/*
 * Listens to the ring's wakeups, or stops that by removing it from the epoll: an item without
 * events would still wake the waiting thread inside the kernel. If it cannot be added again, the
 * timer looks at the ring.
 */
static void listen(rbcore_reader *self, rbc_ring *ring) {
    if (ring->left_epoll) {
        ring->left_epoll = rbc_wait_add(&self->wait, ring->wake_fd, ring->index) != 0;
    } else {
        rbc_wait_remove(&self->wait, ring->wake_fd);
        ring->left_epoll = true;
    }
}

static bool must_listen(const rbc_ring *ring, bool many) {
    return !rbc_pace_has_timer(ring) || (many && ring->pace.heard < HEARD_BEFORE_LEAVING);
}

void rbc_park_prepare(rbcore_reader *self, rbc_request *request) {
    if (!self->can_pace) {
        return;
    }
    if (rbc_pacing_can_change(&self->pacing)) {
        rbc_pacing_judge(self, &request->clock, true);
    }
    const bool many = self->table.count > FEW && !self->is_polling;
    const rbc_round *round = &self->round;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        if (ring->pace.is_hot || ring->pace.was_half_full) {
            rbc_pacing_park_ring(self, ring, &request->clock, request->only_due);
        }
        if (must_listen(ring, many) == ring->left_epoll && ring->descriptor != RBC_FD_LENT) {
            listen(self, ring);
        }
    }
}

/*
 * Whether records can come without a wakeup. Producers wake only for the record at consumer_pos:
 * not while the user holds some, nor for a tap while the consumer lags, and perhaps too late for a
 * tap of a map. They do not wake if they die, and we do not hear it if the ring has left the epoll.
 * A ring that has the timer is looked at by that.
 */
static bool misses_wakeups(rbc_ring *ring) {
    /* The kind is asked even where nothing is held: the last release may have come only now. */
    bool misses_wakeups = ring->kind->misses_wakeups != NULL && ring->kind->misses_wakeups(ring);
    return ring->left_epoll || misses_wakeups || rbc_consumer_has_held(ring);
}

static bool must_look_by_itself(const rbcore_reader *self) {
    const rbc_round *round = &self->round;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        if ((misses_wakeups(ring) && !rbc_pace_has_timer(ring)) ||
            (ring->kind->is_memory && ring->head_is_busy)) {
            return true;
        }
    }
    return false;
}

int64_t rbc_park_longest_sleep(rbcore_reader *self) {
    int64_t due = rbc_pacing_deadline(&self->pacing);
    int64_t sleep = INT64_MAX;
    if (due != INT64_MAX) {
        sleep = due - rbc_now_ns();
        sleep = sleep < 0 ? 0 : sleep;
    }
    int64_t delay = must_look_by_itself(self)  ? rbc_wait_next_delay(&self->wait)
                    : self->rings_to_watch > 0 ? RBC_LOOK_NOW_AND_THEN_NS
                                               : INT64_MAX;
    return delay < sleep ? delay : sleep;
}

bool rbc_park_hears_only_the_timer(const rbcore_reader *self) {
    if (self->pacing.timed == 0 || self->pacing.timed != self->table.count) {
        return false;
    }
    const rbc_ring *ring = self->round.turn;
    while (ring != NULL && ring->left_epoll) {
        ring = rbc_round_after(&self->round, ring);
    }
    return ring == NULL;
}
