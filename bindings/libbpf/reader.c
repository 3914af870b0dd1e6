/* SPDX-License-Identifier: MIT */
/* The reader that the rings of a ring_buffer share: its life, its lock, and waits. */
#include "by_ring.h"
#include "report.h"
#include "return_on_discards.h"
#include "ring.h"
#include "settings.h"
#include "uncancelled.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <time.h>

/* ---- Life ---- */

int rings_open_reader(struct ring_buffer *self) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.max_latency_ns = setting_max_latency_ns();
    int error = rbcore_reader_open(&self->reader, &options);
    if (error == 0) {
        rbc_reader_return_on_discards(self->reader); /* as libbpf's poll */
        rbc_reader_commit_by_ring(self->reader);
        report_add(self->reader);
    }
    return error;
}

void rings_close_reader(struct ring_buffer *self) {
    if (self->reader != NULL) {
        report_remove(self->reader);
        rbcore_reader_free(self->reader);
        self->reader = NULL;
    }
}

/* ---- The lock ---- */

bool rings_init_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int error = pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error == 0;
}

/* Ends a wait of another thread that has the lock: a wait of libbpf keeps no thread out. */
void rings_take_lock(struct ring_buffer *self, pthread_mutex_t *lock, _Atomic int *wanted) {
    if (pthread_mutex_trylock(lock) == 0) {
        return;
    }
    RBC_UNCANCELLED;
    atomic_fetch_add(wanted, 1);
    rings_interrupt(self);
    pthread_mutex_lock(lock);
    atomic_fetch_sub(wanted, 1);
}

void give_way_to(_Atomic int *wanted) {
    while (atomic_load(wanted) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

void rings_lock(struct ring_buffer *self) {
    rings_take_lock(self, &self->lock, &self->wanted);
    if (self->is_locked) { /* by a wait of this thread that a signal handler left by longjmp */
        pthread_mutex_unlock(&self->lock); /* it is recursive, and stays ours */
    }
    self->is_locked = true;
}

void rings_unlock(struct ring_buffer *self) {
    self->is_locked = false;
    pthread_mutex_unlock(&self->lock);
}

/* ---- Waiting ---- */

bool is_to_repeat(int result) {
    /* -ECANCELED: rings_settle() or rings_interrupt() called rbcore_reader_interrupt. */
    return result == -EAGAIN || result == -ECANCELED;
}

/* A wait takes events that an epoll of the program's has not seen: it is told in any case. */
static void tell_epoll(struct ring_buffer *self) {
    if (self->is_watched && self->reader != NULL) {
        rbcore_reader_interrupt(self->reader);
    }
}

/* A wait that is repeated tells it later: it would be interrupted by that, again and again. */
static void end_wait(struct ring_buffer *self, int result) {
    if (!is_to_repeat(result)) {
        tell_epoll(self);
    }
    rings_unlock(self);
}

static void end_cancelled_wait(void *rings) {
    end_wait(rings, 0);
}

int rings_wait(struct ring_buffer *self, uint16_t *ready, size_t max, int64_t timeout_ns) {
    int result;
    rings_lock(self);
    pthread_cleanup_push(end_cancelled_wait, self);
    result = self->reader == NULL ? -ECANCELED
                                  : rbc_reader_wait_for_rings(self->reader, ready, max, timeout_ns);
    pthread_cleanup_pop(0);
    end_wait(self, result);
    return result;
}

int rings_wait_for_run(struct ring_buffer *self, rbcore_span *run, int64_t timeout_ns) {
    int result = 0;
    rings_lock(self);
    pthread_cleanup_push(end_cancelled_wait, self);
    if (self->reader != NULL && self->count == 1) {
        result = rbcore_reader_next_spans(self->reader, run, 1, RUN, timeout_ns);
    }
    pthread_cleanup_pop(0);
    end_wait(self, result);
    return result;
}

int rings_watch(struct ring_buffer *self) {
    struct ring_buffer *libbpf = self->libbpf;
    int fd = libbpf != NULL ? self->genuine.epoll_fd(libbpf) : rbcore_reader_fd(self->reader);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 &&
        !(errno == EEXIST && libbpf != NULL)) { /* it is there from before a fork */
        return -errno;
    }
    self->is_watched = true;
    rings_settle(self);
    return 0;
}

/* Tells whether the reader is armed. If not, there is something to deliver. */
static bool arm(struct ring_buffer *self) {
    int result = -ECANCELED;
    while (is_to_repeat(result) && atomic_load(&self->left) == 0) {
        result = rbc_reader_arm(self->reader);
    }
    return result == 0;
}

void rings_settle(struct ring_buffer *self) {
    if (!self->is_watched) {
        return;
    }
    RBC_UNCANCELLED;
    rings_lock(self);
    if (self->reader != NULL && !arm(self)) {
        rbcore_reader_interrupt(self->reader);
    }
    rings_unlock(self);
}
