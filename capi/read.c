/* SPDX-License-Identifier: MIT */
/* Reading: looks at the rings, at what others ask, and when to wait for what. */
#include "consumer.h"
#include "fence.h"
#include "flush.h"
#include "kind.h"
#include "reader.h"
#include "release.h"

#include <errno.h>
#include <limits.h>

/* The discarded records that one call passes at most, so that it ends however many there are. */
#define SKIPS_PER_CALL 65536

/*
 * A reader that finds nothing asks at once whether the producer of an unfinished record died. One
 * whose other rings keep it busy never gets there: it asks after so many scans.
 */
#define BUSY_SCANS_BEFORE_CHECK 1024

/*
 * Two things happen without a wakeup, and rarely, so that a look now and then is enough. A producer
 * of a memory ring is killed between reserve and wakeup: neither its record nor those behind it
 * wake a reader. And the reader of a ring that is tapped takes a record, and gives it back, before
 * the producer has looked whether it is to wake anyone: then it does not, and the tap sleeps on.
 */
#define LOOK_NOW_AND_THEN_NS INT64_C(100000000)

static void count_batch(rbcore_reader *self, const rbc_scan *scan) {
    rbc_count(&self->records, scan->count);
    rbc_count(&self->bytes, scan->bytes);
    rbc_count(&self->discards, SKIPS_PER_CALL - scan->skips_left);
    rbc_count(&self->batches, scan->count > 0);
}

/* A request to the rings: what a look at them shall find. */
typedef struct rbc_request {
    rbcore_record *records; /* or else spans */
    rbcore_span *spans;
    size_t max_spans;
    size_t max;        /* records */
    bool only_due;     /* leaves in a paced ring what is not due yet */
    uint64_t discards; /* passed before; see return_on_discards.h */
    rbc_clock clock;
} rbc_request;

/* Makes a ring armed or paced. An armed one is looked at again before the reader waits. */
static void change_pace(rbcore_reader *self, rbc_ring *ring, rbc_pace_change change) {
    if (change == RBC_PACE_STAYS) {
        return;
    }
    bool paced = change == RBC_PACE_PACES;
    self->paced_count = paced ? self->paced_count + 1 : self->paced_count - 1;
    atomic_store_explicit(&ring->is_paced, paced, memory_order_relaxed);
    if (!paced) {
        rbc_consumer_publish(ring);
    }
}

/* One pass over the rings. */
typedef struct rbc_pass {
    rbc_request *request;
    rbc_scan scan;
    bool only_due;          /* as what, and there is something that can be left */
    const rbc_ring *broken; /* the last one found so */
    bool is_bounded;        /* the bound on discarded records was reached */
    bool turns_are_full;    /* a ring was left out for want of space to note its turn */
} rbc_pass;

void rbc_read_note(rbc_ring *self, const rbc_passed *passed, const rbcore_record *records) {
    if (passed->position == rbc_get(&self->read_pos)) {
        return;
    }
    bool is_release = self->reader->is_release;
    bool nothing_held = !is_release && rbc_get(&self->user_pos) == self->handed_end;
    if (passed->count > 0 && is_release) {
        rbc_release_hold(self, records + passed->first, passed->count);
    }
    atomic_store_explicit(&self->last_pos, passed->last, memory_order_relaxed);
    /* Release: a thread that sees the position (let_go, work_on_releases) sees the bits of the
     * records before it. */
    atomic_store_explicit(&self->read_pos, passed->position, memory_order_release);
    if (passed->count > 0) {
        self->handed_end = passed->end;
        if (!is_release) {
            rbc_turns_note(&self->reader->turns, self->index, self->handed_end);
        }
        /* The record that was held back has done its part: consumer_pos can be that of one that is
         * complete already. */
        if (rbc_ring_is_paced(self)) {
            rbc_consumer_publish(self);
        }
    } else if (is_release) { /* nobody gives back discarded records alone */
        rbc_consumer_pass_released(self);
    } else if (nothing_held) {
        self->handed_end = passed->position;
        rbc_consumer_advance(self, passed->position);
    }
}

/* Skips a record that its dead producer left at the head of the ring. Returns whether it did. */
static bool skip_unfinished(rbc_ring *ring) {
    if (ring->kind->skip_abandoned == NULL) {
        return false;
    }
    rbc_passed passed = {.position = rbc_get(&ring->read_pos)};
    bool skipped = ring->kind->skip_abandoned(ring, &passed);
    rbc_read_note(ring, &passed, NULL);
    return skipped;
}

/* The turn of one ring. Returns whether it got anywhere. */
static bool take_turn(rbcore_reader *self, rbc_ring *ring, rbc_pass *pass) {
    if (!self->is_release && rbc_turns_is_full_for(&self->turns, ring->index)) {
        pass->turns_are_full |= rbc_ring_has_record(ring);
        return false;
    }
    rbc_clock *clock = &pass->request->clock;
    if (pass->only_due && rbc_pace_leaves(ring, clock, pass->scan.max)) {
        return false;
    }
    const size_t count = pass->scan.count, skips_left = pass->scan.skips_left;
    rbc_scan_end end = rbc_ring_scan(ring, &pass->scan);
    rbc_read_note(ring, &pass->scan.passed, pass->scan.records);
    if (ring->busy_scans >= BUSY_SCANS_BEFORE_CHECK) {
        ring->busy_scans = 0;
        skip_unfinished(ring);
    }
    /*
     * A ring that has more is judged with that. One that gave nothing is judged before the reader
     * parks, when it can be listened to again.
     */
    if (ring->pace.drained && pass->scan.count > count) {
        change_pace(self, ring, rbc_pace_update(ring, clock, RBC_PACE_DRAINED, pass->only_due));
    }
    pass->is_bounded |= end == RBC_SCAN_BOUND;
    pass->broken = end == RBC_SCAN_BROKEN ? ring : pass->broken;
    return pass->scan.count != count || pass->scan.skips_left != skips_left;
}

/* How many records were found, or spans where they were asked for. */
static int found(const rbc_request *request, const rbc_scan *scan) {
    return (int)(request->spans == NULL ? scan->count : request->max_spans - scan->spans_left);
}

/* The result of a pass: a count, 0 or an error. */
static int result_of(rbcore_reader *self, const rbc_pass *pass) {
    if (pass->scan.count > 0) {
        return found(pass->request, &pass->scan);
    }
    if (pass->is_bounded) {
        return rbc_reader_fail(self, -EAGAIN, "%d discarded records were passed: call again",
                               SKIPS_PER_CALL);
    }
    if (pass->broken != NULL) {
        return rbc_reader_fail(self, -EBADMSG, "the content of ring %u is impossible",
                               pass->broken->index);
    }
    return pass->turns_are_full
               ? rbc_reader_fail(self, -ENOBUFS, "too many turns are not committed")
               : 0;
}

static bool has_space(const rbc_scan *scan) {
    return scan->count < scan->max && (scan->spans == NULL || scan->spans_left > 0);
}

/* One turn of each ring that is due, until the array is full. */
static int scan_rings(rbcore_reader *self, rbc_request *request) {
    rbc_pass pass = {
        .request = request,
        .scan = {.records = request->records,
                 .spans = request->spans,
                 .spans_left = request->max_spans,
                 .max = request->max > INT_MAX ? INT_MAX : request->max,
                 .skips_left = SKIPS_PER_CALL},
        /* A flush wants what is there now. */
        .only_due = request->only_due && self->can_pace && !self->is_flushing,
    };
    rbc_ring *ring = self->round.turn;
    for (unsigned i = 0; i < self->round.count && has_space(&pass.scan); i++) {
        bool moved = take_turn(self, ring, &pass);
        ring = ring->next;
        self->round.turn = moved ? ring : self->round.turn;
    }
    count_batch(self, &pass.scan);
    return result_of(self, &pass);
}

static int end_flush(rbcore_reader *self) {
    self->is_flushing = false;
    return rbc_reader_fail(self, -ENODATA, "all that was there before the flush was delivered");
}

/* Answers what another thread asked for: the error to return, or 0. */
static int answer(rbcore_reader *self) {
    unsigned asked = atomic_load_explicit(&self->asked, memory_order_acquire);
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

/*
 * Whether nothing came since the last scan of any ring. A caller that reads until there is nothing
 * left looks twice in vain before each sleep: that should cost next to nothing.
 */
static bool are_drained(rbcore_reader *self) {
    rbc_ring *ring = self->round.turn;
    while (ring != NULL && rbc_ring_is_drained(ring)) {
        ring = rbc_round_after(&self->round, ring);
    }
    return ring == NULL;
}

/* Skips what producers that died left unfinished at the heads of rings. Returns whether it did. */
static bool skip_abandoned(rbcore_reader *self) {
    const rbc_round *round = &self->round;
    bool skipped = false;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        skipped |= skip_unfinished(ring);
    }
    return skipped;
}

static int has_skipped(rbcore_reader *self) {
    return rbc_reader_fail(self, -EAGAIN, "unfinished records were skipped: call again");
}

/*
 * A flush that found nothing more is complete, unless dead producers left something at the heads of
 * rings: the records behind are delivered first.
 */
static int go_on_flushing(rbcore_reader *self) {
    if (skip_abandoned(self)) {
        return has_skipped(self);
    }
    return rbc_flush_has_more_soon(self) ? 0 : end_flush(self);
}

/* One look at everything: what is asked, then the rings. Makes no system call but for a flush. */
static int look(rbcore_reader *self, rbc_request *request) {
    int result = answer(self);
    if (result == 0 && !are_drained(self)) {
        result = scan_rings(self, request);
    }
    /* A broken ring is no reason not to end it: what the others have is delivered. */
    if (self->is_flushing && (result == 0 || result == -EBADMSG)) {
        int flushed = go_on_flushing(self);
        result = flushed != 0 ? flushed : result;
    }
    if (result > 0) {
        rbc_wait_reset_delay(&self->wait);
        atomic_store_explicit(&self->wait.parked, false, memory_order_relaxed);
    }
    return result;
}

/*
 * Listens to the ring's wakeups, or stops that by removing it from the epoll: an item without
 * events would still wake the waiting thread inside the kernel. If it cannot be added again, the
 * timer looks at the ring.
 */
static void listen(rbcore_reader *self, rbc_ring *ring, bool wanted) {
    if (wanted != ring->left_epoll) {
        return;
    }
    if (wanted) {
        ring->left_epoll = rbc_wait_add(&self->wait, ring->wake_fd) != 0;
    } else {
        rbc_wait_remove(&self->wait, ring->wake_fd);
        ring->left_epoll = true;
    }
}

/*
 * Decides which rings shall wake us and which have the timer. The latter leave the epoll: there are
 * programs that wake the reader for each record, whatever it does (BPF_RB_FORCE_WAKEUP).
 */
static void prepare_to_park(rbcore_reader *self, rbc_request *request) {
    if (!self->can_pace) {
        return;
    }
    const rbc_round *round = &self->round;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        change_pace(self, ring,
                    rbc_pace_update(ring, &request->clock, RBC_PACE_PARKS, request->only_due));
        listen(self, ring, !rbc_pace_has_timer(ring));
    }
}

/*
 * Looks once more, now that every advance of consumer_pos by another thread will see that we are
 * parked. The fence pairs with the one in look_again (consumer.c), and with the full barrier of
 * the kernel's xchg(header): what this look misses wakes us.
 */
static int look_parked(rbcore_reader *self, rbc_request *request) {
    prepare_to_park(self, request);
    atomic_store_explicit(&self->wait.parked, true, memory_order_relaxed);
    rbc_full_fence();
    int result = look(self, request);
    bool skipped = result == 0 && self->rings_to_watch > 0 && skip_abandoned(self);
    return skipped ? has_skipped(self) : result;
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

/* The longest sleep: until a paced ring is due, or until the next look by itself. */
static int64_t longest_sleep(rbcore_reader *self) {
    int64_t due = INT64_MAX;
    const rbc_round *round = &self->round;
    rbc_ring *ring = self->paced_count > 0 ? round->turn : NULL;
    for (; ring != NULL; ring = rbc_round_after(round, ring)) {
        int64_t of_ring = rbc_pace_deadline(ring);
        due = of_ring < due ? of_ring : due;
    }
    int64_t sleep = INT64_MAX;
    if (due != INT64_MAX) {
        sleep = due - rbc_now_ns();
        sleep = sleep < 0 ? 0 : sleep;
    }
    int64_t delay = must_look_by_itself(self)  ? rbc_wait_next_delay(&self->wait)
                    : self->rings_to_watch > 0 ? LOOK_NOW_AND_THEN_NS
                                               : INT64_MAX;
    return delay < sleep ? delay : sleep;
}

/* Whether no ring can make rbcore_reader_fd readable, and the timer will be started. */
static bool hears_only_the_timer(const rbcore_reader *self) {
    if (self->paced_count == 0 || self->paced_count != self->table.count) {
        return false;
    }
    const rbc_ring *ring = self->round.turn;
    while (ring != NULL && ring->left_epoll) {
        ring = rbc_round_after(&self->round, ring);
    }
    return ring == NULL;
}

static void empty_fd(rbcore_reader *self, rbc_request *request) {
    if (hears_only_the_timer(self)) {
        rbc_wait_drain_timer(&self->wait, rbc_clock_now(&request->clock));
    } else {
        rbc_wait_drain(&self->wait);
    }
}

/* Empties rbcore_reader_fd and arms it for whatever comes after the look. */
static int look_and_arm(rbcore_reader *self, rbc_request *request) {
    empty_fd(self, request);
    int result = look_parked(self, request);
    int64_t sleep = result == 0 ? longest_sleep(self) : INT64_MAX;
    if (sleep != INT64_MAX) {
        rbc_wait_start_timer(&self->wait, rbc_clock_now(&request->clock), sleep);
    }
    return result;
}

static int check_read(rbcore_reader *self, const void *array, size_t max) {
    int error = rbc_reader_check(self);
    if (error == 0 && (array == NULL || max == 0)) {
        return rbc_reader_fail(self, -EINVAL,
                               "there is no room for records: the array is NULL or max is 0");
    }
    return error;
}

int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    rbc_request request = {.records = records, .max = max};
    int result = look(self, &request);
    return result != 0 ? result : look_and_arm(self, &request);
}

int rbcore_reader_look(rbcore_reader *self, rbcore_record *records, size_t max) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    rbc_request request = {.records = records, .max = max};
    return look(self, &request);
}

/* Waits until the deadline or something happens. Returns -EINTR, or 0. */
static int block(rbcore_reader *self, int64_t left) {
    int64_t sleep = longest_sleep(self);
    sleep = left < sleep ? left : sleep;
    int error = rbc_wait_block(&self->wait, sleep == INT64_MAX ? RBCORE_FOREVER : sleep);
    return error != 0 ? rbc_reader_fail(self, error, "a signal was caught") : 0;
}

/* Whether the wait is over although no record was found. */
static bool ends_for_discards(const rbcore_reader *self, const rbc_request *request) {
    return self->ends_for_discards && rbc_get(&self->discards) != request->discards;
}

/* Looks, waits and looks again, until there is something or the deadline has passed. */
static int look_until(rbcore_reader *self, rbc_request *request, int64_t deadline) {
    int result = 0;
    while (result == 0 || result == -EAGAIN) {
        result = look_parked(self, request);
        if (result == -EAGAIN || deadline != INT64_MAX) {
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

/* Looks, and where that finds nothing waits as long as it may. */
static int next(rbcore_reader *self, rbc_request *request, int64_t timeout_ns) {
    if (timeout_ns < 0 && timeout_ns != RBCORE_FOREVER) {
        return rbc_reader_fail(self, -EINVAL, "the timeout is negative");
    }
    request->only_due = true;
    request->discards = rbc_get(&self->discards);
    int result = look(self, request);
    if (result != 0 && result != -EAGAIN) {
        return result;
    }
    return timeout_ns == 0 && result == 0
               ? look_and_arm(self, request)
               : look_until(self, request, rbc_deadline_after(timeout_ns));
}

int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
                       int64_t timeout_ns) {
    int error = check_read(self, records, max);
    return error != 0 ? error
                      : next(self, &(rbc_request){.records = records, .max = max}, timeout_ns);
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
    rbc_request request = {
        .spans = spans, .max_spans = max_spans > INT_MAX ? INT_MAX : max_spans, .max = max_records};
    return next(self, &request, timeout_ns);
}
