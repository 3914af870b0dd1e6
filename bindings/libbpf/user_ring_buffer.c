/* SPDX-License-Identifier: MIT */
/*
 * libbpf's struct user_ring_buffer, by a producer of rbcore or, if that refuses, by libbpf's own.
 *
 * It differs from libbpf's in three things. Several threads may share it. A wait does not spin
 * while a little space is free. A record that is too large for any BPF program (16 MiB) is refused,
 * where libbpf's would stop the ring for good.
 */
#include "genuine.h"

#include "options.h"
#include "uncancelled.h"

#include <errno.h>
#include <pthread.h>
#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct genuine_user {
    __typeof__(&user_ring_buffer__new) open;
    __typeof__(&user_ring_buffer__free) free;
    __typeof__(&user_ring_buffer__reserve) reserve;
    __typeof__(&user_ring_buffer__reserve_blocking) reserve_blocking;
    __typeof__(&user_ring_buffer__submit) submit;
    __typeof__(&user_ring_buffer__discard) discard;
};

struct user_ring_buffer {
    int map_fd; /* the caller's */
    rbcore_producer *producer;
    struct user_ring_buffer *libbpf; /* if not NULL, it is the one that writes */
    struct genuine_user genuine;
    uintptr_t lowest, highest; /* of libbpf's samples */
};

static bool load_genuine(struct genuine_user *out) {
    *(void **)(&out->open) = genuine_function("user_ring_buffer__new");
    *(void **)(&out->free) = genuine_function("user_ring_buffer__free");
    *(void **)(&out->reserve) = genuine_function("user_ring_buffer__reserve");
    *(void **)(&out->reserve_blocking) = genuine_function("user_ring_buffer__reserve_blocking");
    *(void **)(&out->submit) = genuine_function("user_ring_buffer__submit");
    *(void **)(&out->discard) = genuine_function("user_ring_buffer__discard");
    return out->open != NULL && out->free != NULL && out->reserve != NULL &&
           out->reserve_blocking != NULL && out->submit != NULL && out->discard != NULL;
}

/* ---- Life ---- */

static int open_producer(struct user_ring_buffer *self) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = self->map_fd;
    return rbcore_producer_open(&self->producer, &source);
}

/* Returns 0, or the errno that libbpf would set. */
static int open_by_libbpf(struct user_ring_buffer *self, int refusal) {
    if (!load_genuine(&self->genuine)) {
        return refusal == -EMEDIUMTYPE || refusal == -EBADFD ? EINVAL : -refusal;
    }
    genuine_enter();
    self->libbpf = self->genuine.open(self->map_fd, NULL);
    genuine_leave();
    return self->libbpf != NULL ? 0 : errno;
}

static void warn(const struct user_ring_buffer *self, const char *reason) {
    fprintf(stderr, "rbcore: libbpf writes the user ring of descriptor %d: %s\n", self->map_fd,
            reason);
}

static int open_by_either(struct user_ring_buffer *self) {
    int refusal = open_producer(self);
    if (refusal == 0) {
        return 0;
    }
    int error = open_by_libbpf(self, refusal);
    if (error == 0) {
        warn(self, rbcore_strerror(refusal));
    }
    return error;
}

struct user_ring_buffer *user_ring_buffer__new(int map_fd,
                                               const struct user_ring_buffer_opts *opts) {
    RBC_UNCANCELLED;
    if (!options_are_valid(opts, sizeof(*opts))) {
        errno = EINVAL;
        return NULL;
    }
    struct user_ring_buffer *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->map_fd = map_fd;
    int error = open_by_either(self);
    if (error != 0) {
        free(self);
        errno = error;
        return NULL;
    }
    return self;
}

void user_ring_buffer__free(struct user_ring_buffer *rb) {
    RBC_UNCANCELLED;
    struct genuine_user genuine;
    if (rb == NULL) {
        return;
    }
    if (genuine_is_calling()) {
        if (load_genuine(&genuine)) {
            genuine.free(rb);
        }
        return;
    }
    if (rb->libbpf != NULL) {
        rb->genuine.free(rb->libbpf);
    }
    rbcore_producer_free(rb->producer);
    free(rb);
}

/*
 * A child of a fork cannot use the producer. It can use libbpf's, beside that of the parent.
 * Returns whether libbpf writes from now on.
 */
static bool is_handed_over(struct user_ring_buffer *self, int error) {
    RBC_UNCANCELLED;
    if (error != -ECHILD || open_by_libbpf(self, error) != 0) {
        return false;
    }
    warn(self, "it was opened before fork()");
    return true;
}

/* ---- Records ---- */

static void *refused(int error) {
    errno = error == -EAGAIN ? ENOSPC : error == -EMSGSIZE ? E2BIG : -error;
    return NULL;
}

static void *note_sample(struct user_ring_buffer *self, void *sample) {
    uintptr_t address = (uintptr_t)sample;
    if (sample != NULL) {
        self->lowest = self->lowest == 0 || address < self->lowest ? address : self->lowest;
        self->highest = address > self->highest ? address : self->highest;
    }
    return sample;
}

/* Tells whether the sample is libbpf's. After a fork it may be one of the producer's. */
static bool is_libbpfs(const struct user_ring_buffer *self, const void *sample) {
    return self->libbpf != NULL && (uintptr_t)sample >= self->lowest &&
           (uintptr_t)sample <= self->highest;
}

void *user_ring_buffer__reserve(struct user_ring_buffer *rb, uint32_t size) {
    struct genuine_user genuine;
    void *sample;
    if (genuine_is_calling()) {
        return load_genuine(&genuine) ? genuine.reserve(rb, size) : refused(-EOPNOTSUPP);
    }
    if (rb->libbpf == NULL) {
        int error = rbcore_producer_reserve(rb->producer, &sample, size);
        if (!is_handed_over(rb, error)) {
            return error == 0 ? sample : refused(error);
        }
    }
    return note_sample(rb, rb->genuine.reserve(rb->libbpf, size));
}

static void leave_genuine(void *unused) {
    (void)unused;
    genuine_leave();
}

void *user_ring_buffer__reserve_blocking(struct user_ring_buffer *rb, uint32_t size,
                                         int timeout_ms) {
    void *sample;
    if (timeout_ms < -1) {
        return refused(-EINVAL);
    }
    int64_t timeout_ns = timeout_ms < 0 ? RBCORE_FOREVER : timeout_ms * INT64_C(1000000);
    if (rb->libbpf == NULL) {
        int error = rbcore_producer_reserve_wait(rb->producer, &sample, size, timeout_ns);
        if (!is_handed_over(rb, error)) {
            return error == 0 ? sample : refused(error);
        }
    }
    genuine_enter();
    pthread_cleanup_push(leave_genuine, NULL);
    sample = rb->genuine.reserve_blocking(rb->libbpf, size, timeout_ms);
    pthread_cleanup_pop(1);
    return note_sample(rb, sample);
}

void user_ring_buffer__submit(struct user_ring_buffer *rb, void *sample) {
    if (is_libbpfs(rb, sample)) {
        rb->genuine.submit(rb->libbpf, sample);
    } else {
        rbcore_producer_submit(rb->producer, sample, 0);
    }
}

void user_ring_buffer__discard(struct user_ring_buffer *rb, void *sample) {
    if (is_libbpfs(rb, sample)) {
        rb->genuine.discard(rb->libbpf, sample);
    } else {
        rbcore_producer_discard(rb->producer, sample, 0);
    }
}
