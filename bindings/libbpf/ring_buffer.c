/* SPDX-License-Identifier: MIT */
/*
 * libbpf's struct ring_buffer with its functions, and those of struct ring. They keep libbpf's
 * rules: a result is a count or a negative errno, which is also put into errno, or it is NULL with
 * errno.
 */
#include "by_ring.h"
#include "clock.h"
#include "forks.h"
#include "options.h"
#include "return_on_discards.h"
#include "ring.h"
#include "uncancelled.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* So many rings are told to one wait that they have something. */
#define READY_AT_ONCE 1024

/* ---- Results ---- */

/* Unsigned, because a callback may have returned INT_MIN, which cannot be negated. */
static int fail(int error) {
    errno = (int)-(unsigned)error;
    return error;
}

static int result_of(int64_t result) {
    if (result < 0) {
        return fail((int)result);
    }
    return result > INT_MAX ? INT_MAX : (int)result;
}

/* ---- After fork() ---- */

/* Makes an epoll of the child's own, under the number that the program knows. */
static int renew_epoll(struct ring_buffer *self) {
    int fresh = epoll_create1(EPOLL_CLOEXEC);
    int error = fresh < 0 || dup3(fresh, self->epoll_fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(fresh);
    return error;
}

static int restart_rings(struct ring_buffer *self, bool *parent_lives) {
    int error = rings_open_reader(self);
    for (int i = 0; error == 0 && i < self->count; i++) {
        error = ring_start(self->rings[i], *parent_lives ? RBCORE_SOURCE_INSIST : 0);
        if (error == -EBUSY) { /* the parent has it: the program wants two consumers */
            *parent_lives = true;
            error = ring_start(self->rings[i], RBCORE_SOURCE_INSIST);
        }
    }
    return error;
}

/*
 * A reader of rbcore can only be used by the process that opened it. libbpf's works in children,
 * too, and programs become daemons that way. An epoll to which the epoll was added goes on waiting
 * for it, unless the parent, which has the same one, lives.
 */
static int reopen(struct ring_buffer *self) {
    RBC_UNCANCELLED;
    rings_init_lock(&self->lock); /* a thread of the parent may have held it */
    self->is_locked = false;
    atomic_store(&self->left, 0);
    atomic_store(&self->wanted, 0);
    for (int i = 0; i < self->count; i++) {
        ring_begin_anew(self->rings[i]);
    }
    if (self->libbpf != NULL) {
        return 0;
    }
    bool parent_lives = false;
    rings_close_reader(self);
    int error = restart_rings(self, &parent_lives);
    if (error == 0 && parent_lives) {
        error = renew_epoll(self);
    }
    return error == 0 && self->is_watched ? rings_watch(self) : error;
}

/* What each call begins with. Where a reader cannot be opened, the next call tries again. */
static int begin(struct ring_buffer *self) {
    const unsigned forks = forks_now();
    int error = 0;
    if (self->forks != forks) {
        error = reopen(self);
        self->forks = error == 0 ? forks : self->forks;
    }
    rings_hand_over_if_due(self);
    return error;
}

/* ---- Life: as in libbpf, no cancellation point keeps a ring from being opened or closed. ---- */

static struct ring_buffer *new_rings(void) {
    struct ring_buffer *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->forks = forks_now();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0) {
        free(self);
        return NULL;
    }
    rings_keep_spare(self);
    rings_init_lock(&self->lock);
    rings_list(self);
    return self;
}

struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample_cb, void *ctx,
                                     const struct ring_buffer_opts *opts) {
    if (!options_are_valid(opts, sizeof(*opts))) {
        errno = EINVAL;
        return NULL;
    }
    struct ring_buffer *self = new_rings();
    if (self == NULL) {
        return NULL;
    }
    int error = ring_buffer__add(self, map_fd, sample_cb, ctx);
    if (error != 0) {
        ring_buffer__free(self);
        errno = -error;
        return NULL;
    }
    return self;
}

static void free_genuine(struct ring_buffer *rings) {
    struct genuine genuine;
    if (genuine_load(&genuine)) {
        genuine.free(rings);
    }
}

static void free_rings(struct ring_buffer *self) {
    rings_unlist(self);
    if (self->libbpf != NULL) {
        genuine_close(&self->genuine, self->libbpf);
    }
    close(self->epoll_fd); /* first: nobody waits by it any more */
    rings_close_reader(self);
    for (int i = 0; i < self->count; i++) {
        ring_free(self->rings[i]);
    }
    rings_drop_spare(self);
    pthread_mutex_destroy(&self->lock);
    free(self->rings);
    free(self);
}

void ring_buffer__free(struct ring_buffer *rb) {
    RBC_UNCANCELLED;
    if (rb == NULL) {
        return;
    }
    if (genuine_is_calling()) {
        free_genuine(rb);
        return;
    }
    forks_now();
    free_rings(rb);
}

/* libbpf has an epoll for all descriptors, and epoll refuses a descriptor that it has. */
static bool has_descriptor(const struct ring_buffer *self, int map_fd) {
    for (int i = 0; i < self->count; i++) {
        const struct ring *ring = self->rings[i];
        if (ring->map_fd == map_fd && ring->map_id == map_id_of(map_fd)) {
            return true;
        }
    }
    return false;
}

/* Has rbcore read the last ring, or says why not. */
static int start_last(struct ring_buffer *self) {
    struct ring *ring = self->rings[self->count - 1];
    int error = self->reader == NULL ? rings_open_reader(self) : 0;
    if (error == 0 && self->spare_fd < 0) {
        error = -EMFILE; /* libbpf reads while it still can be opened */
    }
    if (error != 0) {
        return error;
    }
    ring_keep_descriptor(ring);
    rings_lock(self);
    error = ring_start(ring, 0);
    rings_unlock(self);
    return error;
}

/* rbcore refuses the last ring. Returns 0 if libbpf reads the rings, or will. */
static int fall_back(struct ring_buffer *self, int refusal, bool is_read_here) {
    char reason[256];
    struct ring *ring = self->rings[self->count - 1];
    const char *message = rbcore_reader_message(self->reader); /* "" for NULL */
    snprintf(reason, sizeof(reason), "%s",
             is_read_here         ? "this process reads it twice"
             : message[0] != '\0' ? message
                                  : rbcore_strerror(refusal));
    int error = rings_hand_over(self, refusal);
    if (error == -EBUSY) { /* a callback has called us */
        error = rings_ask_libbpf(self, ring->map_fd, refusal);
        self->is_to_go |= error == 0;
    }
    if (error == 0) {
        rings_warn(self, ring->map_fd, reason);
    }
    return error;
}

/* Has the ring that was appended read. */
static int read_last(struct ring_buffer *self, bool is_read_here) {
    struct ring *ring = self->rings[self->count - 1];
    if (self->libbpf != NULL) {
        return self->genuine.add(self->libbpf, ring->map_fd, ring->handle, ring->context);
    }
    int refusal = is_read_here || self->is_to_go ? -EBUSY : start_last(self);
    return refusal == 0 ? 0 : fall_back(self, refusal, is_read_here);
}

static int add(struct ring_buffer *self, struct ring *ring) {
    bool is_read_here = rings_hand_over_all(ring->map_id);
    int error = rings_append(self, ring);
    if (error != 0) {
        ring_free(ring);
        return error;
    }
    error = read_last(self, is_read_here);
    if (error != 0) {
        rings_drop_last(self);
    }
    return error;
}

int ring_buffer__add(struct ring_buffer *rb, int map_fd, ring_buffer_sample_fn sample_cb,
                     void *ctx) {
    RBC_UNCANCELLED;
    struct genuine genuine;
    if (genuine_is_calling()) {
        return genuine_load(&genuine) ? genuine.add(rb, map_fd, sample_cb, ctx) : -EOPNOTSUPP;
    }
    int error = begin(rb);
    if (error == 0 && has_descriptor(rb, map_fd)) {
        error = -EEXIST;
    }
    if (error != 0) {
        return fail(error);
    }
    struct ring *ring = ring_new(map_fd, sample_cb, ctx);
    error = ring == NULL ? -ENOMEM : add(rb, ring);
    rings_settle(rb);
    return error == 0 ? 0 : fail(error);
}

/* ---- Reading ---- */

/* The first ring from this one on that has something, or gives something back. */
static int next_ring(struct ring_buffer *self, int index) {
    rings_lock(self);
    while (index < self->count && self->reader != NULL &&
           rbc_reader_is_at_rest(self->reader, (unsigned)index)) {
        index++;
    }
    rings_unlock(self);
    return index;
}

static int64_t consume_n(struct ring_buffer *self, size_t n) {
    int64_t total = 0;
    for (int i = n == 0 ? 0 : next_ring(self, 0); i < self->count; i = next_ring(self, i + 1)) {
        int64_t result = ring_deliver(self->rings[i], n);
        if (result < 0) {
            return result;
        }
        total += result;
        n -= (size_t)result;
        if (n == 0) {
            break;
        }
    }
    return total;
}

int ring_buffer__consume_n(struct ring_buffer *rb, size_t n) {
    int error = begin(rb);
    if (error == 0 && rb->libbpf != NULL) {
        return rb->genuine.consume_n(rb->libbpf, n);
    }
    int64_t result = error != 0 ? error : consume_n(rb, n);
    rings_settle(rb);
    return result_of(result);
}

/* Delivers all there is. Returns what ring_deliver() returns. */
static int64_t consume(struct ring_buffer *self) {
    int64_t total = 0;
    for (int i = next_ring(self, 0); total <= INT_MAX && i < self->count;
         i = next_ring(self, i + 1)) {
        int64_t result = ring_deliver(self->rings[i], INT_MAX);
        if (result < 0) {
            return result;
        }
        total += result;
    }
    return total;
}

int ring_buffer__consume(struct ring_buffer *rb) {
    int error = begin(rb);
    if (error == 0 && rb->libbpf != NULL) {
        return rb->genuine.consume(rb->libbpf);
    }
    int64_t result = error != 0 ? error : consume(rb);
    rings_settle(rb);
    return result_of(result);
}

/* ---- Waiting ---- */

/* There is no reader once another thread has handed the rings over. */
static uint64_t discards(const struct ring_buffer *self) {
    const rbcore_reader *reader = self->reader;
    return reader != NULL ? rbc_reader_discards(reader) : 0;
}

/* Delivers what the ready rings have. Returns what ring_deliver() returns. */
static int64_t deliver(struct ring_buffer *self, const uint16_t *ready, int count) {
    int64_t total = 0;
    for (int i = 0; total >= 0 && i < count; i++) {
        int64_t result = ring_deliver_after_wait(self->rings[ready[i]]);
        total = result < 0 ? result : total + result;
    }
    return total;
}

/* No cancellation point: the epoll may still have to be told of the wait before. */
static void give_way(struct ring_buffer *self) {
    RBC_UNCANCELLED;
    give_way_to(&self->wanted);
    rings_hand_over_if_due(self);
}

/*
 * Waits once, and delivers. After 0 and -EINTR, too: libbpf would deliver what is not yet due for
 * rbcore. Returns what ring_deliver() returns, or -errno; *is_over: the time is.
 */
static int64_t wait_once(struct ring_buffer *self, int64_t timeout_ns, bool *is_over) {
    uint16_t ready[READY_AT_ONCE];
    int result = rings_wait(self, ready, READY_AT_ONCE, timeout_ns);
    if (result > 0) {
        return deliver(self, ready, result);
    }
    if (is_to_repeat(result)) {
        give_way(self);
        return 0;
    }
    *is_over = true;
    int64_t found = result == 0 || result == -EINTR ? consume(self) : 0;
    return found != 0 ? found : result;
}

static int64_t time_left(int64_t timeout_ns, int64_t deadline) {
    const int64_t left = timeout_ns < 0 ? RBCORE_FOREVER : deadline - now_ns();
    return left < 0 && timeout_ns >= 0 ? 0 : left;
}

/*
 * Waits for any of the rings. Another thread may have taken what was there: then the wait goes on.
 * But libbpf's poll also returns if there were only discarded records.
 */
static int64_t wait_for_rings(struct ring_buffer *self, int64_t timeout_ns) {
    const int64_t deadline = timeout_ns < 0 ? 0 : now_ns() + timeout_ns;
    const uint64_t before = discards(self);
    int64_t result = 0, left = timeout_ns;
    bool is_over = false;
    while (result == 0 && !is_over && self->libbpf == NULL && discards(self) == before) {
        result = atomic_load(&self->left) > 0 ? consume(self) : 0;
        if (result == 0) {
            result = wait_once(self, left, &is_over);
            left = time_left(timeout_ns, deadline);
        }
    }
    return result != 0 || self->libbpf == NULL
               ? result
               : self->genuine.poll(self->libbpf, timeout_ns < 0 ? -1 : (int)(left / 1000000));
}

static int64_t poll_rings(struct ring_buffer *self, int timeout_ms) {
    const int64_t timeout_ns = timeout_ms < 0 ? RBCORE_FOREVER : timeout_ms * INT64_C(1000000);
    if (timeout_ms == 0) {
        return consume(self);
    }
    return self->count == 1 && !self->is_watched ? ring_wait_and_deliver(self->rings[0], timeout_ns)
                                                 : wait_for_rings(self, timeout_ns);
}

int ring_buffer__poll(struct ring_buffer *rb, int timeout_ms) {
    int error = begin(rb);
    if (error == 0 && rb->libbpf != NULL) {
        return rb->genuine.poll(rb->libbpf, timeout_ms);
    }
    int64_t result = error != 0 ? error : poll_rings(rb, timeout_ms);
    rings_settle(rb);
    return result_of(result);
}

int ring_buffer__epoll_fd(const struct ring_buffer *rb) {
    /* A program may wait for libbpf's descriptor at any time. It may for this one from here on. */
    struct ring_buffer *self = (struct ring_buffer *)(uintptr_t)rb;
    if (begin(self) == 0 && !self->is_watched) {
        rings_watch(self);
    }
    return self->epoll_fd;
}

/* ---- One ring ---- */

struct ring *ring_buffer__ring(struct ring_buffer *rb, unsigned int idx) {
    if (idx >= (unsigned int)rb->count) {
        errno = ERANGE;
        return NULL;
    }
    return rb->rings[idx];
}

static rbcore_ring_stats stats_of(const struct ring *ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    rbcore_reader_ring_stats(ring->owner->reader, ring->index, &stats);
    return stats;
}

/* libbpf's own ring where libbpf reads, or NULL. */
static const struct ring *ring_of_libbpf(const struct ring *self) {
    const struct ring_buffer *rings = self->owner;
    begin(self->owner);
    return rings->libbpf != NULL ? rings->genuine.ring(rings->libbpf, self->index) : NULL;
}

unsigned long ring__consumer_pos(const struct ring *r) {
    const struct ring *genuine = ring_of_libbpf(r);
    if (genuine != NULL) {
        return r->owner->genuine.consumer_pos(genuine);
    }
    uint64_t position = atomic_load_explicit(&r->consumer_pos, memory_order_relaxed);
    return position != AT_COMMIT ? position : stats_of(r).user_pos;
}

unsigned long ring__producer_pos(const struct ring *r) {
    const struct ring *genuine = ring_of_libbpf(r);
    return genuine != NULL ? r->owner->genuine.producer_pos(genuine) : stats_of(r).producer_pos;
}

size_t ring__avail_data_size(const struct ring *r) {
    unsigned long consumer_pos = ring__consumer_pos(r);
    return ring__producer_pos(r) - consumer_pos;
}

size_t ring__size(const struct ring *r) {
    return r->size;
}

int ring__map_fd(const struct ring *r) {
    return r->map_fd;
}

int ring__consume_n(struct ring *r, size_t n) {
    int error = begin(r->owner);
    int64_t result = error != 0 ? error : ring_deliver(r, n);
    rings_settle(r->owner);
    return result_of(result);
}

int ring__consume(struct ring *r) {
    return ring__consume_n(r, INT_MAX);
}
