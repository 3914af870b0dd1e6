/* SPDX-License-Identifier: MIT */
/*
 * libbpf's struct ring_buffer with its functions, and those of struct ring. They keep libbpf's
 * rules: a result is a count or a negative errno, which is also put into errno, or it is NULL with
 * errno.
 */
#include "ring.h"

#include "clock.h"
#include "forks.h"
#include "options.h"
#include "uncancelled.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct ring_buffer {
    struct ring **rings;
    struct epoll_event *events; /* as many */
    int count;
    int epoll_fd;
    bool is_watched; /* the rings are in the epoll */
    unsigned forks;  /* when its readers were opened */
};

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

static int watch(struct ring_buffer *self);

/* Makes an epoll of the child's own, under the number that the program knows. */
static int renew_epoll(struct ring_buffer *self) {
    int fresh = epoll_create1(EPOLL_CLOEXEC);
    int error = fresh < 0 || dup3(fresh, self->epoll_fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(fresh);
    return error;
}

/*
 * A reader of rbcore can only be used by the process that opened it. libbpf's works in children,
 * too, and programs become daemons that way. An epoll to which the epoll was added goes on waiting
 * for it, unless the parent, which has the same one, lives.
 */
static int reopen(struct ring_buffer *self) {
    RBC_UNCANCELLED;
    bool parent_lives = false;
    int error = 0;
    self->forks = forks_now();
    for (int i = 0; error == 0 && i < self->count; i++) {
        error = ring_reopen(self->rings[i], &parent_lives);
    }
    if (error == 0 && parent_lives) {
        error = renew_epoll(self);
    }
    if (error == 0 && self->is_watched) {
        error = watch(self);
    }
    return error;
}

static int check_fork(struct ring_buffer *self) {
    return self->forks == forks_now() ? 0 : reopen(self);
}

/* ---- Life: as in libbpf, no cancellation point keeps a ring from being opened or closed. ---- */

struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample_cb, void *ctx,
                                     const struct ring_buffer_opts *opts) {
    if (!options_are_valid(opts, sizeof(*opts))) {
        errno = EINVAL;
        return NULL;
    }
    struct ring_buffer *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->forks = forks_now();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int error = self->epoll_fd < 0 ? -errno : ring_buffer__add(self, map_fd, sample_cb, ctx);
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
    for (int i = 0; i < rb->count; i++) {
        ring_free(rb->rings[i]);
    }
    if (rb->epoll_fd >= 0) {
        close(rb->epoll_fd);
    }
    free(rb->events);
    free(rb->rings);
    free(rb);
}

static bool make_room(struct ring_buffer *self) {
    size_t count = (size_t)self->count + 1;
    void *rings = realloc(self->rings, count * sizeof(*self->rings));
    self->rings = rings != NULL ? rings : self->rings;
    void *events = realloc(self->events, count * sizeof(*self->events));
    self->events = events != NULL ? events : self->events;
    return rings != NULL && events != NULL;
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

int ring_buffer__add(struct ring_buffer *rb, int map_fd, ring_buffer_sample_fn sample_cb,
                     void *ctx) {
    RBC_UNCANCELLED;
    struct genuine genuine;
    if (genuine_is_calling()) {
        return genuine_load(&genuine) ? genuine.add(rb, map_fd, sample_cb, ctx) : -EOPNOTSUPP;
    }
    int error = check_fork(rb);
    if (error == 0 && has_descriptor(rb, map_fd)) {
        error = -EEXIST;
    }
    if (error != 0 || !make_room(rb)) {
        return fail(error != 0 ? error : -ENOMEM);
    }
    struct ring *ring = ring_open(map_fd, sample_cb, ctx);
    if (ring == NULL) {
        return -errno;
    }
    ring->owner = rb;
    rb->rings[rb->count] = ring;
    error = rb->is_watched ? ring_watch(ring, rb->epoll_fd, rb->count) : 0;
    if (error != 0) {
        ring_free(ring);
        return fail(error);
    }
    rb->count++;
    return 0;
}

/* ---- Reading ---- */

int ring_buffer__consume_n(struct ring_buffer *rb, size_t n) {
    int64_t total = check_fork(rb);
    for (int i = 0; total >= 0 && i < rb->count; i++) {
        int64_t result = ring_deliver(rb->rings[i], n);
        total = result < 0 ? result : total + result;
        n -= (size_t)result;
        if (n == 0) {
            break;
        }
    }
    return result_of(total);
}

/* Delivers all there is. Returns what ring_deliver() returns. */
static int64_t consume(struct ring_buffer *self) {
    int64_t total = 0;
    for (int i = 0; total <= INT_MAX && i < self->count; i++) {
        int64_t result = ring_deliver(self->rings[i], INT_MAX);
        if (result < 0) {
            return result;
        }
        total += result;
    }
    return total;
}

int ring_buffer__consume(struct ring_buffer *rb) {
    int error = check_fork(rb);
    return result_of(error != 0 ? error : consume(rb));
}

static int watch(struct ring_buffer *self) {
    int error = 0;
    for (int i = 0; error == 0 && i < self->count; i++) {
        error = ring_watch(self->rings[i], self->epoll_fd, i);
    }
    self->is_watched = error == 0;
    return error;
}

/* The time that is left, rounded up: libbpf's poll never returns early. */
static int64_t ms_until(int64_t deadline) {
    const int64_t left = deadline - now_ns();
    return left > 0 ? (left + 999999) / 1000000 : 0;
}

/* Delivers what the ready rings have. Returns what ring_deliver() returns, or -errno. */
static int64_t wait_once(struct ring_buffer *self, int timeout_ms) {
    int ready = epoll_wait(self->epoll_fd, self->events, self->count, timeout_ms);
    if (ready < 0) {
        const int error = errno;
        int64_t found = error == EINTR ? consume(self) : 0; /* what libbpf would have found ready */
        return found != 0 ? found : -error;
    }
    int64_t total = 0;
    for (int i = 0; total >= 0 && i < ready; i++) {
        int64_t result = ring_deliver(self->rings[self->events[i].data.fd], INT_MAX);
        total = result < 0 ? result : total + result;
    }
    return total;
}

static uint64_t discards(const struct ring_buffer *self) {
    uint64_t sum = 0;
    for (int i = 0; i < self->count; i++) {
        sum += ring_discards(self->rings[i]);
    }
    return sum;
}

/*
 * Waits by the epoll. A reader's descriptor may become readable for nothing. But libbpf's poll also
 * returns if there were only discarded records.
 */
static int64_t poll_watched(struct ring_buffer *self, int timeout_ms) {
    const int64_t deadline = now_ns() + timeout_ms * INT64_C(1000000);
    const uint64_t before = discards(self);
    int64_t left = timeout_ms, result = self->is_watched ? 0 : watch(self);
    while (result == 0 && discards(self) == before) {
        result = wait_once(self, timeout_ms < 0 ? -1 : (int)left);
        left = ms_until(deadline);
        if (result == 0 && timeout_ms >= 0 && left == 0) {
            return consume(self);
        }
    }
    return result;
}

int ring_buffer__poll(struct ring_buffer *rb, int timeout_ms) {
    int error = check_fork(rb);
    if (error != 0) {
        return fail(error);
    }
    if (rb->count != 1 || !ring_can_wait(rb->rings[0])) {
        return result_of(poll_watched(rb, timeout_ms));
    }
    int64_t timeout_ns = timeout_ms < 0 ? RBCORE_FOREVER : timeout_ms * INT64_C(1000000);
    return result_of(timeout_ms == 0 ? ring_deliver(rb->rings[0], INT_MAX)
                                     : ring_wait_and_deliver(rb->rings[0], timeout_ns));
}

int ring_buffer__epoll_fd(const struct ring_buffer *rb) {
    /* A program may wait for libbpf's descriptor at any time. It may for this one from here on. */
    struct ring_buffer *self = (struct ring_buffer *)(uintptr_t)rb;
    if (check_fork(self) == 0 && !self->is_watched) {
        watch(self);
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
    rbcore_reader_ring_stats(ring->reader, 0, &stats);
    return stats;
}

unsigned long ring__consumer_pos(const struct ring *r) {
    check_fork(r->owner);
    if (r->libbpf != NULL) {
        return r->genuine.consumer_pos(r->genuine.ring(r->libbpf, 0));
    }
    uint64_t position = atomic_load_explicit(&r->consumer_pos, memory_order_relaxed);
    return position != AT_COMMIT ? position : stats_of(r).user_pos;
}

unsigned long ring__producer_pos(const struct ring *r) {
    check_fork(r->owner);
    return r->libbpf != NULL ? r->genuine.producer_pos(r->genuine.ring(r->libbpf, 0))
                             : stats_of(r).producer_pos;
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
    int error = check_fork(r->owner);
    return result_of(error != 0 ? error : ring_deliver(r, n));
}

int ring__consume(struct ring *r) {
    return ring__consume_n(r, INT_MAX);
}
