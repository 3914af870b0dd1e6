/* SPDX-License-Identifier: MIT */
#include "batch.h"
#include "clock.h"
#include "report.h"
#include "ring.h"
#include "stack.h"
#include "uncancelled.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

/*
 * A look that finds a record or two takes as long as a producer needs for the next. A poll that
 * went on until there is nothing might never end. After so many small batches it leaves the rest to
 * the next poll.
 */
#define SMALL_BATCHES 4

/* ---- Waits ---- */

/* A wait lets other threads have the ring. After that libbpf may read it. */
static void give_way(struct ring *self) {
    RBC_UNCANCELLED;
    const char *const frame = self->frames[0];
    self->calls--;
    pthread_mutex_unlock(&self->lock);
    give_way_to(&self->wanted);
    give_way_to(&self->owner->wanted);
    rings_hand_over_if_due(self->owner);
    pthread_mutex_lock(&self->lock);
    self->frames[self->calls++] = frame;
}

/* ---- Entering and leaving ---- */

/* A call that was left by longjmp still holds the lock. It is noticed here. */
static bool last_call_was_left(const struct ring *self, const char *frame) {
    return self->calls > 0 && self->calls <= CALLS_KNOWN &&
           stack_frame_was_left(self->frames[self->calls - 1], frame);
}

static void enter(struct ring *self, const char *frame) {
    rings_take_lock(self->owner, &self->lock, &self->wanted);
    const bool is_unfinished = self->calls > 0;
    while (last_call_was_left(self, frame)) {
        self->calls--;
        pthread_mutex_unlock(&self->lock); /* it is recursive, and stays ours */
    }
    if (is_unfinished) {
        batch_find_next(self);
    }
    if (self->calls < CALLS_KNOWN) {
        self->frames[self->calls] = frame;
    }
    self->calls++;
    self->entered++;
}

static int64_t leave(struct ring *self, int64_t result) {
    self->calls--;
    batch_note_left(self);
    if (result > 0 && self->calls == 0 && self->owner->libbpf == NULL) {
        report_delivery();
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

/*
 * Called when the thread ends in a wait or a callback, by pthread_cancel or pthread_exit, or a C++
 * callback has thrown. As with libbpf, other threads go on with the record at hand.
 */
static void leave_unfinished(void *ring) {
    struct ring *self = ring;
    batch_find_next(self);
    batch_commit(self, false);
    leave(self, 0);
}

/* ---- Delivery ---- */

static int64_t deliver_by_libbpf(struct ring *self, size_t most) {
    const struct genuine *genuine = &self->owner->genuine;
    if (genuine->ring == NULL) { /* before 1.3 it reads all rings or none */
        return genuine->consume(self->owner->libbpf);
    }
    struct ring *ring = genuine->ring(self->owner->libbpf, self->index);
    return most >= INT_MAX ? genuine->consume_ring(ring) : genuine->consume_ring_n(ring, most);
}

static int64_t deliver_all(struct ring *self, size_t most) {
    if (self->owner->libbpf != NULL) { /* since the caller looked */
        return deliver_by_libbpf(self, most);
    }
    const int64_t limit = most == 0 ? 1 : most > INT_MAX ? INT_MAX : (int64_t)most;
    int64_t result = batch_deliver(self, limit, INT64_MAX);
    /* A wait by the map's own descriptor must not spin. */
    batch_commit(self, !self->owner->is_watched);
    return result;
}

int64_t ring_deliver(struct ring *self, size_t most) {
    int64_t result;
    enter(self, __builtin_frame_address(0));
    pthread_cleanup_push(leave_unfinished, self);
    result = deliver_all(self, most);
    pthread_cleanup_pop(0);
    return leave(self, result);
}

static int64_t deliver_after_wait(struct ring *self) {
    if (self->owner->libbpf != NULL) { /* since the wait gave way */
        return deliver_by_libbpf(self, INT_MAX);
    }
    int64_t result = batch_deliver(self, INT_MAX, SMALL_BATCHES);
    if (!batch_is_drained(self)) {
        batch_commit(self, false);
    }
    return result;
}

int64_t ring_deliver_after_wait(struct ring *self) {
    int64_t result;
    enter(self, __builtin_frame_address(0));
    pthread_cleanup_push(leave_unfinished, self);
    result = deliver_after_wait(self);
    pthread_cleanup_pop(0);
    return leave(self, result);
}

/* Waits until the batch has something. Returns 1, or 0 or a negative errno if it has nothing. */
static int wait_for_batch(struct ring *self, int64_t timeout_ns) {
    const int64_t start = timeout_ns > 0 ? now_ns() : 0;
    int64_t left = timeout_ns;
    int result = -ECANCELED;
    while (batch_is_empty(self) && is_to_repeat(result)) {
        result = rings_wait_for_run(self->owner, &self->run, left);
        batch_take_run(self, result);
        if (result == -ECANCELED && self->calls == 1) {
            give_way(self);
        }
        if (is_to_repeat(result) && timeout_ns > 0) {
            left = start + timeout_ns - now_ns();
            left = left < 0 ? 0 : left;
        }
    }
    return batch_is_empty(self) ? result : 1;
}

static int64_t wait_and_deliver(struct ring *self, int64_t timeout_ns) {
    int waited = wait_for_batch(self, timeout_ns);
    if (waited < 0 && waited != -EINTR) {
        return waited;
    }
    /* This is done after 0 and -EINTR, too: libbpf would deliver what is not yet due for rbcore. */
    int64_t result = deliver_after_wait(self);
    return result != 0 || waited > 0 ? result : waited;
}

int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns) {
    int64_t result;
    enter(self, __builtin_frame_address(0));
    pthread_cleanup_push(leave_unfinished, self);
    result = wait_and_deliver(self, timeout_ns);
    pthread_cleanup_pop(0);
    return leave(self, result);
}
