/* SPDX-License-Identifier: MIT */
/* Reading: looks at the rings, at what others ask, and when to wait for what. */
#include "fence.h"
#include "flush.h"
#include "inline.h"
#include "park.h"
#include "pass.h"
#include "reader.h"

#include <errno.h>
#include <limits.h>

static int end_flush(rbcore_reader *self) {
    self->is_flushing = false;
    return rbc_reader_fail(self, -ENODATA, "all that was there before the flush was delivered");
}

/* Answers what another thread asked for: the error to return, or 0. */
static int answer(rbcore_reader *self) {
    unsigned asked = atomic_load_explicit(&self->asked, memory_order_acquire);
    if (asked == 0 && !self->is_flushing) {
        return 0;
    }
    if (asked & RBC_ASKED_SHUTDOWN) {
        return rbc_reader_fail(self, -ESHUTDOWN, "the reader was shut down");
    }
    if (asked & RBC_ASKED_INTERRUPT) {
        atomic_fetch_and_explicit(&self->asked, ~RBC_ASKED_INTERRUPT, memory_order_acq_rel);
        return rbc_reader_fail(self, -ECANCELED, "the reader was interrupted");
    }
    if (asked & RBC_ASKED_FLUSH) {
        atomic_fetch_and_explicit(&self->asked, ~RBC_ASKED_FLUSH, memory_order_acq_rel);
        rbc_flush_begin(self);
    }
    return self->is_flushing && rbc_flush_is_complete(self) ? end_flush(self) : 0;
}

static int has_skipped(rbcore_reader *self) {
    return rbc_reader_fail(self, -EAGAIN, "unfinished records were skipped: call again");
}

/*
 * A flush that found nothing more is complete, unless dead producers left something at the heads of
 * rings: the records behind are delivered first.
 */
static int go_on_flushing(rbcore_reader *self) {
    if (rbc_pass_over_the_dead(self)) {
        return has_skipped(self);
    }
    return rbc_flush_has_more_soon(self) ? 0 : end_flush(self);
}

static RBC_OUT_OF_LINE void tend_idle_rings(rbcore_reader *self, rbc_request *request) {
    /* A thread was cancelled, perhaps with events that it had fetched. */
    if (self->wait.is_fetching) {
        self->wait.is_fetching = false;
        rbc_idle_look(self, &request->clock);
    }
    if (self->round.count > RBC_FEW_IN_ROUND) {
        rbc_idle_sweep(self);
    }
}

static RBC_INLINE int look_at_rings(rbcore_reader *self, rbc_request *request) {
    return request->rings == NULL ? rbc_pass_over_rings(self, request)
                                  : rbc_pass_names_rings(self, request);
}

/* That a ring is broken is told when no other has anything, idle ones included. */
static int end_look(rbcore_reader *self, rbc_request *request, int result) {
    if (result == -EBADMSG && rbc_idle_look(self, &request->clock)) {
        result = look_at_rings(self, request);
    }
    self->idling.busy_looks = result != 0 ? self->idling.busy_looks + 1 : 0;
    self->idling.has_found |= result > 0;
    return result;
}

/* One look at everything: what is asked, then the rings. Makes no system call but for a flush. */
static int look(rbcore_reader *self, rbc_request *request) {
    const bool may_idle = self->table.count > RBC_FEW_RINGS;
    if (may_idle) {
        tend_idle_rings(self, request);
    }
    int result = answer(self);
    if (result == 0) {
        result = look_at_rings(self, request);
    }
    /* A broken ring is no reason not to end it: what the others have is delivered. */
    if (self->is_flushing && (result == 0 || result == -EBADMSG)) {
        int flushed = go_on_flushing(self);
        result = flushed != 0 ? flushed : result;
    }
    if (may_idle) {
        result = end_look(self, request, result);
    }
    if (result > 0) {
        rbc_wait_reset_delay(&self->wait);
        atomic_store_explicit(&self->wait.parked, false, memory_order_relaxed);
    }
    return result;
}

/*
 * Looks once more, now that every advance of consumer_pos by another thread will see that we are
 * parked. The fence pairs with the one in look_again (consumer.c), and with the full barrier of
 * the kernel's xchg(header): what this look misses wakes us.
 */
static int look_parked(rbcore_reader *self, rbc_request *request) {
    rbc_park_prepare(self, request);
    rbc_idle_sweep_next(&self->idling);
    atomic_store_explicit(&self->wait.parked, true, memory_order_relaxed);
    rbc_full_fence();
    int result = look(self, request);
    bool skipped = result == 0 && self->rings_to_watch > 0 && rbc_pass_over_the_dead(self);
    return skipped ? has_skipped(self) : result;
}

static void empty_fd(rbcore_reader *self, rbc_request *request) {
    if (rbc_park_hears_only_the_timer(self)) {
        rbc_wait_drain_timer(&self->wait, rbc_clock_now(&request->clock));
    } else {
        rbc_wait_drain(&self->wait);
    }
}

/* Empties rbcore_reader_fd and arms it for whatever comes after the look. */
static int look_and_arm(rbcore_reader *self, rbc_request *request) {
    empty_fd(self, request);
    if (rbc_idle_count(self) > 0) {
        rbc_idle_look_if_in_vain(self, &request->clock);
    }
    self->idling.has_found = false;
    int result = look_parked(self, request);
    int64_t sleep = result == 0 ? rbc_park_longest_sleep(self) : INT64_MAX;
    if (sleep != INT64_MAX) {
        rbc_wait_start_timer(&self->wait, rbc_clock_now(&request->clock), sleep);
    }
    return result;
}

static RBC_INLINE int check_read(rbcore_reader *self, const void *array, size_t max) {
    int error = rbc_reader_check(self);
    if (error == 0 && (array == NULL || max == 0)) {
        return rbc_reader_fail(self, -EINVAL,
                               "there is no room for records: the array is NULL or max is 0");
    }
    return error;
}

static void listen(rbcore_reader *self, rbc_request *request) {
    if (rbc_idle_count(self) > 0) {
        rbc_idle_listen(self, &request->clock);
    }
}

int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    rbc_request request = {.records = records, .max = max};
    listen(self, &request);
    int result = look(self, &request);
    return result != 0 ? result : look_and_arm(self, &request);
}

/* A look that makes no system call, where rings are idle. */
static RBC_OUT_OF_LINE int look_at_idle_rings(rbcore_reader *self, rbc_request *request) {
    int result = look(self, request);
    if (result > 0) {
        rbc_idle_look_if_cheap(self, &request->clock); /* for the next call */
    } else if (result == 0 && rbc_idle_look(self, &request->clock)) {
        return look(self, request);
    }
    return result;
}

int rbcore_reader_look(rbcore_reader *self, rbcore_record *records, size_t max) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    rbc_request request = {.records = records, .max = max};
    return rbc_idle_count(self) > 0 ? look_at_idle_rings(self, &request) : look(self, &request);
}

/* Waits until the deadline or something happens. Returns -EINTR, or 0. */
static int block(rbcore_reader *self, int64_t left) {
    int64_t sleep = rbc_park_longest_sleep(self);
    sleep = left < sleep ? left : sleep;
    int events = rbc_wait_block(&self->wait, sleep == INT64_MAX ? RBCORE_FOREVER : sleep);
    self->idling.has_found &= events > 0;
    return events < 0 ? rbc_reader_fail(self, events, "a signal was caught") : 0;
}

/* Whether the wait is over although no record was found. */
static bool ends_for_discards(const rbcore_reader *self, const rbc_request *request) {
    return self->ends_for_discards && rbc_get(&self->discards) != request->discards;
}

/* Looks, waits and looks again, until there is something or the deadline has passed. */
static int look_until(rbcore_reader *self, rbc_request *request, int64_t deadline) {
    int result = 0;
    while (result == 0 || result == -EAGAIN) {
        if (result == -EAGAIN) {
            listen(self, request);
        }
        rbc_idle_look_now_and_then(self, &request->clock);
        result = look_parked(self, request);
        if (result == -EAGAIN) {
            request->clock = (rbc_clock){0};
        }
        int64_t left =
            deadline == INT64_MAX ? INT64_MAX : deadline - rbc_clock_now(&request->clock);
        if (result == 0 && ends_for_discards(self, request)) {
            left = 0;
        }
        if (left <= 0 && (result == 0 || result == -EAGAIN)) {
            return result != 0 ? result : look_and_arm(self, request);
        }
        if (result == 0) {
            result = block(self, left);
            request->clock = (rbc_clock){0};
            /* Whether a ring was worth the interval is judged only now, by what it holds. */
            result = result == 0 ? look(self, request) : result;
        }
    }
    return result;
}

/* A look found nothing, or has to be made once more: waits as long as it may. */
static int wait_for_records(rbcore_reader *self, rbc_request *request, int64_t timeout_ns,
                            int result) {
    return timeout_ns == 0 && result == 0
               ? look_and_arm(self, request)
               : look_until(self, request, rbc_deadline_after(&request->clock, timeout_ns));
}

/* Looks, and where that finds nothing waits. */
static RBC_INLINE int next(rbcore_reader *self, rbc_request *request, int64_t timeout_ns) {
    if (timeout_ns < 0 && timeout_ns != RBCORE_FOREVER) {
        return rbc_reader_fail(self, -EINVAL, "the timeout is negative");
    }
    request->discards = rbc_get(&self->discards);
    listen(self, request);
    int result = look(self, request);
    return result != 0 && result != -EAGAIN ? result
                                            : wait_for_records(self, request, timeout_ns, result);
}

int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
                       int64_t timeout_ns) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    rbc_request request = {.records = records, .max = max, .only_due = true};
    return next(self, &request, timeout_ns);
}

int rbcore_reader_next_spans(rbcore_reader *self, rbcore_span *spans, size_t max_spans,
                             size_t max_records, int64_t timeout_ns) {
    int error = check_read(self, spans, max_spans);
    if (error != 0) {
        return error;
    }
    if (self->is_release) {
        return rbc_reader_fail(self, -EINVAL, "the reader was opened for release: it has no spans");
    }
    if (max_records == 0) {
        return rbc_reader_fail(self, -EINVAL, "no records are wanted: max_records is 0");
    }
    rbc_request request = {.spans = spans,
                           .max_spans = max_spans > INT_MAX ? INT_MAX : max_spans,
                           .max = max_records,
                           .only_due = true};
    return next(self, &request, timeout_ns);
}

/* ---- By ring ---- */

/* The rings that were named have been read: judged as of when they were named. */
static void end_reading_by_ring(rbcore_reader *self) {
    if (self->is_read_by_ring) {
        self->is_read_by_ring = false;
        if (!self->pacing.has_rest && rbc_pacing_can_change(&self->pacing)) {
            rbc_pacing_judge(self, &self->named_at, true);
        }
    }
}

int rbc_reader_wait_for_rings(rbcore_reader *self, uint16_t *rings, size_t max,
                              int64_t timeout_ns) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    end_reading_by_ring(self);
    rbc_request request = {.rings = rings, .max = max, .only_due = true};
    int result = next(self, &request, timeout_ns);
    self->is_read_by_ring = result > 0;
    self->named_at = request.clock;
    return result;
}

int rbc_reader_arm(rbcore_reader *self) {
    uint16_t ring;
    rbc_request request = {.rings = &ring, .max = 1};
    end_reading_by_ring(self);
    listen(self, &request);
    int result = look(self, &request);
    return result != 0 ? result : look_and_arm(self, &request);
}

int rbc_reader_look_at(rbcore_reader *self, unsigned index, rbcore_record *records, size_t max) {
    rbc_ring *ring = rbc_reader_ring(self, index);
    rbc_request request = {.records = records, .max = max, .only_due = self->is_read_by_ring};
    int result = ring != NULL ? rbc_pass_over_one(self, ring, &request) : 0;
    if (result > 0) {
        self->idling.has_found = true;
        rbc_wait_reset_delay(&self->wait);
        atomic_store_explicit(&self->wait.parked, false, memory_order_relaxed);
    }
    return result;
}

bool rbc_reader_is_at_rest(const rbcore_reader *self, unsigned index) {
    const rbc_ring *ring = rbc_reader_ring(self, index);
    if (ring == NULL) {
        return true;
    }
    uint64_t position = rbc_get(&ring->read_pos);
    return rbc_ring_load_producer_pos(ring) == position &&
           rbc_get(ring->consumer_pos) == position &&
           !atomic_load_explicit(&ring->broken, memory_order_relaxed);
}
