/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include "fence.h"
#include "keep_errno.h"
#include "sized.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KNOWN_FLAGS ((uint64_t)(RBCORE_READER_RELEASE | RBCORE_READER_POLL))

/* The discarded records that one call passes at most, so that it ends however many there are. */
#define SKIPS_PER_CALL 65536

/*
 * A reader that finds nothing asks at once whether the producer of an unfinished record died. One
 * whose other rings keep it busy never gets there: it asks after so many scans.
 */
#define BUSY_SCANS_BEFORE_DOUBT 1024

static const rbcore_reader_options defaults = RBCORE_READER_OPTIONS_INIT;

/* ---- Life ---- */

int rbcore_reader_options_init(rbcore_reader_options *out, size_t size) {
    return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

int rbc_reader_fail(rbcore_reader *self, int error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->message, sizeof(self->message), format, arguments);
    va_end(arguments);
    return error;
}

const char *rbcore_reader_message(const rbcore_reader *self) {
    return self == NULL ? "" : self->message;
}

int rbcore_reader_open(rbcore_reader **out, const rbcore_reader_options *given) {
    RBC_KEEP_ERRNO;
    if (out == NULL) {
        return -EINVAL;
    }
    rbcore_reader_options options = defaults;
    int error = given == NULL ? 0 : rbc_sized_in(&options, sizeof(options), given);
    if (error != 0) {
        return error;
    }
    bool polls = options.flags & RBCORE_READER_POLL;
    if (options.flags & ~KNOWN_FLAGS || options.max_latency_ns < 0 ||
        (polls && options.max_latency_ns == 0)) {
        return -EINVAL;
    }
    rbcore_reader *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return -ENOMEM;
    }
    self->is_release = options.flags & RBCORE_READER_RELEASE;
    self->is_polling = polls;
    self->max_latency_ns = options.max_latency_ns;
    atomic_init(&self->refs, 1);
    atomic_init(&self->user_refs, 1);
    error = rbc_birthplace_init(&self->birthplace);
    if (error == 0) {
        error = rbc_wait_open(&self->wait);
    }
    if (error != 0) {
        free(self);
        return error;
    }
    pthread_mutex_init(&self->slots_lock, NULL);
    *out = self;
    return 0;
}

int rbcore_reader_ref(rbcore_reader *self) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    atomic_fetch_add_explicit(&self->user_refs, 1, memory_order_relaxed);
    return 0;
}

void rbc_reader_put(rbcore_reader *self) {
    if (atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) == 1) {
        rbc_wait_close(&self->wait);
        rbc_turns_free(&self->turns);
        pthread_mutex_destroy(&self->slots_lock);
        free(self);
    }
}

/* Drops one reference to a ring in the slots, which is the last: the ring goes. */
static void drop_ring(rbc_ring *self) {
    RBC_KEEP_ERRNO;
    rbcore_reader *reader = self->reader;
    pthread_mutex_lock(&reader->slots_lock);
    atomic_store_explicit(&reader->slots[self->index], NULL, memory_order_release);
    rbc_ring_close(self);
    pthread_mutex_unlock(&reader->slots_lock);
    rbc_reader_put(reader);
}

void rbc_ring_put(rbc_ring *self, uint64_t count) {
    if (atomic_fetch_sub_explicit(&self->refs, count, memory_order_acq_rel) == count) {
        drop_ring(self);
    }
}

/* In a forked child nobody can release what is held: all goes at once, and only in the child. */
static void free_in_child(rbcore_reader *self) {
    rbc_wait_close_epoll(&self->wait);
    for (unsigned i = 0; i < RBCORE_RINGS_MAX; i++) {
        rbc_ring *ring = rbc_reader_ring(self, i);
        if (ring != NULL) {
            rbc_ring_close(ring);
            rbc_reader_put(self);
        }
    }
    rbc_reader_put(self);
}

void rbcore_reader_free(rbcore_reader *self) {
    RBC_KEEP_ERRNO;
    if (self == NULL || atomic_fetch_sub_explicit(&self->user_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (!rbc_birthplace_is_here(&self->birthplace)) {
        free_in_child(self);
        return;
    }
    /* The epoll goes first: it does not notice by itself that a ring's descriptor was closed. */
    rbc_wait_close_epoll(&self->wait);
    for (unsigned i = 0; i < self->ring_count; i++) {
        rbc_ring_put(self->rings[i], 1);
    }
    rbc_reader_put(self);
}

/* ---- Rings ---- */

/* A free slot, searched from behind the last one given, so that indexes are reused late. */
static int find_slot(rbcore_reader *self) {
    for (unsigned i = 0; i < RBCORE_RINGS_MAX; i++) {
        unsigned slot = (self->next_slot + i) % RBCORE_RINGS_MAX;
        if (rbc_reader_ring(self, slot) == NULL) {
            return (int)slot;
        }
    }
    return rbc_reader_fail(self, -ENOSPC, "the reader has %d rings", RBCORE_RINGS_MAX);
}

/* Makes the ring known to the wait, the slots and the turns. */
static int install(rbcore_reader *self, rbc_ring *ring, unsigned slot) {
    int error = self->is_release ? 0 : rbc_turns_make_room(&self->turns, self->ring_count + 1);
    if (error == 0) {
        error = rbc_wait_add(&self->wait, ring->wake_fd);
    }
    if (error != 0) {
        return rbc_reader_fail(self, error, "adding the ring: %s", strerror(-error));
    }
    ring->index = (uint16_t)slot;
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    pthread_mutex_lock(&self->slots_lock);
    atomic_store_explicit(&self->slots[slot], ring, memory_order_release);
    self->rings[self->ring_count++] = ring;
    pthread_mutex_unlock(&self->slots_lock);
    self->next_slot = slot + 1;
    self->paced_count += rbc_ring_is_paced(ring);
    return (int)slot;
}

int rbcore_reader_add(rbcore_reader *self, const rbcore_source *source) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (source == NULL) {
        return rbc_reader_fail(self, -EINVAL, "no source");
    }
    if (atomic_load_explicit(&self->asked, memory_order_relaxed) & RBC_ASKED_SHUTDOWN) {
        return rbc_reader_fail(self, -ESHUTDOWN, "the reader was shut down");
    }
    int slot = find_slot(self);
    if (slot < 0) {
        return slot;
    }
    rbc_ring *ring;
    error = rbc_ring_open(&ring, self, source);
    if (error != 0) {
        return error;
    }
    int index = install(self, ring, (unsigned)slot);
    if (index < 0) {
        rbc_ring_close(ring);
    }
    return index;
}

int rbcore_reader_remove(rbcore_reader *self, unsigned int index) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    unsigned i = 0;
    while (i < self->ring_count && self->rings[i]->index != index) {
        i++;
    }
    if (i == self->ring_count) {
        return rbc_reader_fail(self, -EINVAL, "no ring has the index %u", index);
    }
    rbc_ring *ring = self->rings[i];
    if (!self->is_release && rbc_ring_has_held(ring)) {
        return rbc_reader_fail(self, -EBUSY, "records of ring %u are not committed", index);
    }
    rbc_wait_remove(&self->wait, ring->wake_fd);
    pthread_mutex_lock(&self->slots_lock);
    self->ring_count--;
    memmove(&self->rings[i], &self->rings[i + 1], (self->ring_count - i) * sizeof(ring));
    pthread_mutex_unlock(&self->slots_lock);
    if (self->next_turn > i) {
        self->next_turn--;
    }
    self->paced_count -= rbc_ring_is_paced(ring);
    rbc_ring_put(ring, 1);
    return 0;
}

/* ---- Reading ---- */

static void count_batch(rbcore_reader *self, const rbc_scan *scan) {
    rbc_count(&self->records, scan->count);
    rbc_count(&self->bytes, scan->bytes);
    rbc_count(&self->discards, SKIPS_PER_CALL - scan->skips_left);
    rbc_count(&self->batches, scan->count > 0);
}

/* What a look at the rings is to find. */
typedef struct rbc_look {
    rbcore_record *records;
    size_t max;
    bool is_moderated; /* leaves in a paced ring what is not due yet */
} rbc_look;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Makes a ring armed or paced. An armed one is looked at again before anybody waits. */
static void change_pace(rbcore_reader *self, rbc_ring *ring, rbc_pace_change change) {
    if (change == RBC_PACE_STAYS) {
        return;
    }
    bool paced = change == RBC_PACE_PACES;
    self->paced_count += paced ? 1 : -1;
    atomic_store_explicit(&ring->is_paced, paced, memory_order_relaxed);
    /* Silence is for programs that wake for each record whoever reads (BPF_RB_FORCE_WAKEUP). */
    rbc_wait_listen(&self->wait, ring->wake_fd, !paced);
    if (!paced) {
        rbc_ring_publish(ring);
    }
}

/* One turn of each ring that is due, until the array is full. */
static int scan_rings(rbcore_reader *self, const rbc_look *what) {
    rbc_scan scan = {.records = what->records,
                     .max = what->max > INT_MAX ? INT_MAX : what->max,
                     .skips_left = SKIPS_PER_CALL};
    const rbc_ring *broken = NULL;
    bool bounded = false, turns_full = false;
    /* A flush wants what is there now. */
    const bool moderated = what->is_moderated && self->paced_count > 0 && !self->is_flushing;
    const int64_t now = moderated ? now_ns() : 0;
    unsigned first = self->next_turn;
    for (unsigned i = 0; i < self->ring_count && scan.count < scan.max; i++) {
        unsigned at = first + i < self->ring_count ? first + i : first + i - self->ring_count;
        rbc_ring *ring = self->rings[at];
        if (!self->is_release && rbc_turns_is_full_for(&self->turns, ring->index)) {
            turns_full = true;
            continue;
        }
        if (moderated && !rbc_pace_is_due(ring, now, scan.max)) {
            continue;
        }
        size_t count = scan.count, skips_left = scan.skips_left;
        rbc_scan_end end = rbc_ring_scan(ring, &scan);
        if (ring->busy_scans >= BUSY_SCANS_BEFORE_DOUBT) {
            ring->busy_scans = 0;
            rbc_ring_skip_abandoned(ring);
        }
        if (scan.count != count || scan.skips_left != skips_left) {
            self->next_turn = at + 1 < self->ring_count ? at + 1 : 0;
        }
        if (moderated && rbc_ring_is_paced(ring)) {
            change_pace(self, ring, rbc_pace_judge(ring, now));
        }
        bounded |= end == RBC_SCAN_BOUND;
        broken = end == RBC_SCAN_BROKEN ? ring : broken;
    }
    count_batch(self, &scan);
    if (scan.count > 0) {
        return (int)scan.count;
    }
    if (bounded) {
        return -EAGAIN;
    }
    if (broken != NULL) {
        return rbc_reader_fail(self, -EBADMSG, "the content of ring %u is impossible",
                               broken->index);
    }
    return turns_full ? rbc_reader_fail(self, -ENOBUFS, "too many uncommitted turns") : 0;
}

static void begin_flush(rbcore_reader *self) {
    self->is_flushing = true;
    for (unsigned i = 0; i < self->ring_count; i++) {
        rbc_ring *ring = self->rings[i];
        ring->flush_pos = atomic_load_explicit(ring->producer_pos, memory_order_acquire);
    }
}

/* Whether all that was there when the flush began was handed out, or is not to be had. */
static bool flush_is_complete(const rbcore_reader *self) {
    for (unsigned i = 0; i < self->ring_count; i++) {
        rbc_ring *ring = self->rings[i];
        int64_t left = (int64_t)(ring->flush_pos - rbc_get(&ring->read_pos));
        if (left > 0 && rbc_ring_has_news(ring) && !ring->broken) {
            return false;
        }
    }
    return true;
}

/* What another thread asked for, as the error to return, or 0. */
static int answer(rbcore_reader *self) {
    unsigned asked = atomic_load_explicit(&self->asked, memory_order_acquire);
    if (asked & RBC_ASKED_SHUTDOWN) {
        return rbc_reader_fail(self, -ESHUTDOWN, "the reader was shut down");
    }
    if (asked & RBC_ASKED_INTERRUPT) {
        atomic_fetch_and_explicit(&self->asked, ~RBC_ASKED_INTERRUPT, memory_order_acq_rel);
        return rbc_reader_fail(self, -ECANCELED, "interrupted");
    }
    if (asked & RBC_ASKED_FLUSH) {
        atomic_fetch_and_explicit(&self->asked, ~RBC_ASKED_FLUSH, memory_order_acq_rel);
        begin_flush(self);
    }
    if (self->is_flushing && flush_is_complete(self)) {
        self->is_flushing = false;
        return rbc_reader_fail(self, -ENODATA, "flushed");
    }
    return 0;
}

/* One look at everything: what is asked, then the rings. Makes no system call if it finds records
 * (but where a ring that was busy is not any more). */
static int look(rbcore_reader *self, const rbc_look *what) {
    int result = answer(self);
    if (result == 0) {
        result = scan_rings(self, what);
    }
    if (result > 0) {
        rbc_wait_reset_delay(&self->wait);
        atomic_store_explicit(&self->wait.parked, false, memory_order_relaxed);
    }
    return result;
}

/* By what the looks found since the last time, decides which rings wake us and which have a timer. */
static void judge_rings(rbcore_reader *self) {
    const int64_t now = now_ns();
    for (unsigned i = 0; i < self->ring_count; i++) {
        rbc_ring *ring = self->rings[i];
        change_pace(self, ring, rbc_pace_judge(ring, now));
    }
}

/*
 * Looks once more, now that every advance of consumer_pos by another thread will see that we are
 * parked. The fence pairs with the one in look_again (give_back.c), and with the full barrier of the
 * kernel's xchg(header): what this look misses wakes us.
 */
static int look_parked(rbcore_reader *self, const rbc_look *what) {
    judge_rings(self);
    atomic_store_explicit(&self->wait.parked, true, memory_order_relaxed);
    rbc_full_fence();
    int result = look(self, what);
    bool skipped = false;
    for (unsigned i = 0; result == 0 && i < self->ring_count; i++) {
        skipped |= rbc_ring_skip_abandoned(self->rings[i]);
    }
    return skipped ? -EAGAIN : result;
}

/*
 * Whether records can come for which nobody wakes us: producers wake only for the record at
 * consumer_pos, so not while the user holds some; and not at all if they die.
 */
static bool must_look_by_itself(const rbcore_reader *self) {
    for (unsigned i = 0; i < self->ring_count; i++) {
        const rbc_ring *ring = self->rings[i];
        if (rbc_ring_has_held(ring) || (ring->is_memory && ring->head_is_busy)) {
            return true;
        }
    }
    return false;
}

/* How long nobody may wake us: until a paced ring is due, or the next look by itself. */
static int64_t longest_sleep(rbcore_reader *self) {
    int64_t due = INT64_MAX;
    for (unsigned i = 0; self->paced_count > 0 && i < self->ring_count; i++) {
        int64_t of_ring = rbc_pace_deadline(self->rings[i]);
        due = of_ring < due ? of_ring : due;
    }
    int64_t sleep = INT64_MAX;
    if (due != INT64_MAX) {
        sleep = due - now_ns();
        sleep = sleep < 0 ? 0 : sleep;
    }
    if (must_look_by_itself(self)) {
        int64_t delay = rbc_wait_next_delay(&self->wait);
        sleep = delay < sleep ? delay : sleep;
    }
    return sleep;
}

/* Empties rbcore_reader_fd and arms it for whatever comes after the look. */
static int look_and_arm(rbcore_reader *self, const rbc_look *what) {
    rbc_wait_drain(&self->wait);
    int result = look_parked(self, what);
    int64_t sleep = result == 0 ? longest_sleep(self) : INT64_MAX;
    if (sleep != INT64_MAX) {
        rbc_wait_start_timer(&self->wait, sleep);
    }
    return result;
}

static int check_read(rbcore_reader *self, const rbcore_record *records, size_t max) {
    int error = rbc_reader_check(self);
    if (error == 0 && (records == NULL || max == 0)) {
        return rbc_reader_fail(self, -EINVAL, "no room for records");
    }
    return error;
}

int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    const rbc_look what = {.records = records, .max = max};
    int result = look(self, &what);
    return result != 0 ? result : look_and_arm(self, &what);
}

/* Saturates instead of overflowing: a deadline in 292 years is none. */
static int64_t deadline_after(int64_t timeout_ns) {
    if (timeout_ns == RBCORE_FOREVER) {
        return INT64_MAX;
    }
    int64_t now = now_ns();
    return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

/* Waits until the deadline or something happens. Returns -EINTR, or 0. */
static int block(rbcore_reader *self, int64_t left) {
    int64_t sleep = longest_sleep(self);
    sleep = left < sleep ? left : sleep;
    int error = rbc_wait_block(&self->wait, sleep == INT64_MAX ? RBCORE_FOREVER : sleep);
    return error != 0 ? rbc_reader_fail(self, error, "a signal was caught") : 0;
}

/* Looks, waits and looks again, until there is something or the deadline has passed. */
static int look_until(rbcore_reader *self, const rbc_look *what, int64_t deadline) {
    for (;;) {
        int result = look_parked(self, what);
        if (result != 0 && result != -EAGAIN) {
            return result;
        }
        int64_t left = deadline == INT64_MAX ? INT64_MAX : deadline - now_ns();
        if (left <= 0) {
            return result != 0 ? result : look_and_arm(self, what);
        }
        int error = result == 0 ? block(self, left) : 0;
        if (error != 0) {
            return error;
        }
    }
}

int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
                       int64_t timeout_ns) {
    int error = check_read(self, records, max);
    if (error != 0) {
        return error;
    }
    if (timeout_ns < 0 && timeout_ns != RBCORE_FOREVER) {
        return rbc_reader_fail(self, -EINVAL, "the timeout is negative");
    }
    const rbc_look what = {.records = records, .max = max, .is_moderated = true};
    int result = look(self, &what);
    if (result != 0 && result != -EAGAIN) {
        return result;
    }
    return timeout_ns == 0 && result == 0 ? look_and_arm(self, &what)
                                          : look_until(self, &what, deadline_after(timeout_ns));
}

int rbcore_reader_fd(const rbcore_reader *self) {
    int error = rbc_reader_check(self);
    return error != 0 ? error : self->wait.epoll_fd;
}

/* ---- From other threads ---- */

/*
 * Release pairs with the acquire in answer(). The edge that follows ends a wait; a look that comes
 * between the two already sees the bit.
 */
static int ask(rbcore_reader *self, unsigned what) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    atomic_fetch_or_explicit(&self->asked, what, memory_order_release);
    rbc_wait_wake(&self->wait);
    return 0;
}

int rbcore_reader_interrupt(rbcore_reader *self) {
    return ask(self, RBC_ASKED_INTERRUPT);
}

int rbcore_reader_flush(rbcore_reader *self) {
    return ask(self, RBC_ASKED_FLUSH);
}

int rbcore_reader_shutdown(rbcore_reader *self) {
    return ask(self, RBC_ASKED_SHUTDOWN);
}
