/* SPDX-License-Identifier: MIT */
#include "batch.h"
#include "clock.h"
#include "report.h"
#include "ring.h"
#include "stack.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <time.h>

/*
 * A look that finds a record or two takes as long as a producer needs for the next. A poll that
 * went on until there is nothing might never end. After so many small batches it leaves the rest to
 * the next poll.
 */
#define SMALL_BATCHES 4

/* ---- The lock ---- */

/* Ends a wait of another thread that has the lock: a wait of libbpf keeps no thread out. */
static void take_lock(struct ring *self) {
    if (pthread_mutex_trylock(&self->lock) == 0) {
        return;
    }
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    atomic_fetch_add(&self->wanted, 1);
    ring_interrupt(self);
    pthread_mutex_lock(&self->lock);
    atomic_fetch_sub(&self->wanted, 1);
    pthread_setcancelstate(cancel, &cancel);
}

/* A wait lets other threads have the lock. After that libbpf may read the ring. */
static void give_way(struct ring *self) {
    const char *const frame = self->frames[0];
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    self->calls--;
    pthread_mutex_unlock(&self->lock);
    while (atomic_load(&self->wanted) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    pthread_mutex_lock(&self->lock);
    self->frames[self->calls++] = frame;
    pthread_setcancelstate(cancel, &cancel);
}

/* ---- Entering and leaving ---- */

/* A call that was left by longjmp still holds the lock. It is noticed here. */
static bool last_call_was_left(const struct ring *self, const char *frame) {
    return self->calls > 0 && self->calls <= CALLS_KNOWN &&
           stack_frame_was_left(self->frames[self->calls - 1], frame);
}

static void enter(struct ring *self, const char *frame) {
    take_lock(self);
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
    if (result > 0 && self->calls == 0 && self->reader != NULL) {
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
    if (self->reader != NULL) {
        batch_find_next(self);
        batch_commit(self, 0);
    }
    leave(self, 0);
}

/* ---- Delivery ---- */

static int64_t deliver_by_libbpf(struct ring *self, size_t most) {
    return most >= INT_MAX ? self->genuine.consume(self->libbpf)
                           : self->genuine.consume_n(self->libbpf, most);
}

static int64_t deliver_all(struct ring *self, size_t most) {
    if (self->libbpf != NULL) {
        return deliver_by_libbpf(self, most);
    }
    const int64_t limit = most == 0 ? 1 : most > INT_MAX ? INT_MAX : (int64_t)most;
    int64_t result = batch_deliver(self, limit, INT64_MAX);
    if (!ring_is_watched(self)) {
        batch_commit(self,
                     RBCORE_COMMIT_NOW); /* a wait by the map's own descriptor must not spin */
    } else if (!batch_is_drained(self)) {
        batch_commit(self, 0);
        batch_arm(self);
    }
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

uint64_t ring_discards(const struct ring *self) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    if (self->reader == NULL) {
        return self->entered; /* libbpf does not tell: each call may have passed some */
    }
    rbcore_reader_stats_get(self->reader, &stats);
    return stats.discards;
}

/* Waits until the batch has something. Returns 1, or 0 or a negative errno if it has nothing. */
static int wait_for_batch(struct ring *self, int64_t timeout_ns) {
    const int64_t start = timeout_ns > 0 ? now_ns() : 0;
    int64_t left = timeout_ns;
    int result = -ECANCELED;
    while (self->reader != NULL && batch_is_empty(self) && batch_is_to_repeat(result)) {
        result = rbcore_reader_next_spans(self->reader, &self->run, 1, RUN, left);
        batch_take_run(self, result);
        if (result == -ECANCELED && self->calls == 1) {
            give_way(self);
        }
        if (batch_is_to_repeat(result) && timeout_ns > 0) {
            left = start + timeout_ns - now_ns();
            left = left < 0 ? 0 : left;
        }
    }
    return batch_is_empty(self) ? result : 1;
}

static int64_t wait_and_deliver(struct ring *self, int64_t timeout_ns) {
    int waited = wait_for_batch(self, timeout_ns);
    if (self->libbpf != NULL) { /* since the caller looked, or the wait gave way */
        return deliver_by_libbpf(self, INT_MAX);
    }
    if (waited < 0 && waited != -EINTR) {
        return waited;
    }
    /* This is done after 0 and -EINTR, too: libbpf would deliver what is not yet due for rbcore. */
    int64_t result = batch_deliver(self, INT_MAX, SMALL_BATCHES);
    batch_commit(self, 0);
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
