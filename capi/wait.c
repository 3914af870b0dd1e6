/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include "counter.h"
#include "keep_errno.h"
#include "kernel.h"
#include "uncancelled.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* The longest time between two looks while no producer would wake the reader. */
#define LONGEST_DELAY_NS INT64_C(10000000)

#define EVENTS_AT_ONCE 64

/* So long that one wait more for what is left of it costs nothing. */
#define LONG_WAIT_NS INT64_C(1000000000)

/* Between two looks where no timer can be started. */
#define UNTIMED_PAUSE_NS 1000000

#ifdef RBCORE_THREAD_SANITIZER
extern atomic_int rbc_fence;
atomic_int rbc_fence;
#endif

int64_t rbc_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rbc_deadline_after(rbc_clock *clock, int64_t timeout_ns) {
    if (timeout_ns < 0) {
        return INT64_MAX;
    }
    int64_t now = rbc_clock_now(clock);
    return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

static void close_fd(int *fd) {
    RBC_KEEP_ERRNO;
    rbc_close(*fd);
    *fd = -1;
}

/*
 * Sets the timer for one shot. It is set anew each time, because a periodic timer that nobody reads
 * gives no second edge. 0 stops it.
 */
static int start_timer(rbc_wait *self, time_t seconds, long nanoseconds) {
    struct itimerspec when = {.it_value.tv_sec = seconds, .it_value.tv_nsec = nanoseconds};
    return timerfd_settime(self->timer_fd, 0, &when, NULL);
}

int rbc_wait_open(rbc_wait *self) {
    RBC_KEEP_ERRNO;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    rbc_wait_reset_delay(self);
    int error = 0;
    /* Filters that let a timer be made may still refuse to start it: better to know that now. */
    if (self->epoll_fd < 0 || self->wake_fd < 0 || self->timer_fd < 0 ||
        start_timer(self, 0, 0) != 0) {
        error = -errno;
    }
    if (error == 0) {
        error = rbc_wait_add(self, self->wake_fd, RBC_UNHEARD);
    }
    if (error == 0) {
        error = rbc_wait_add(self, self->timer_fd, RBC_UNHEARD);
    }
    if (error != 0) {
        rbc_wait_close(self);
    }
    return error;
}

void rbc_wait_close_epoll(rbc_wait *self) {
    close_fd(&self->epoll_fd);
    close_fd(&self->timer_fd);
}

void rbc_wait_close(rbc_wait *self) {
    rbc_wait_close_epoll(self);
    close_fd(&self->wake_fd);
}

int rbc_wait_add(rbc_wait *self, int fd, uint64_t tag) {
    RBC_KEEP_ERRNO;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = tag};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void rbc_wait_remove(rbc_wait *self, int fd) {
    RBC_KEEP_ERRNO;
    epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void count_wakeup(rbc_wait *self, int events) {
    if (events > 0) {
        rbc_count(&self->wakeups, 1);
    }
}

/* The events that were fetched are counted, and told of. */
static void end_fetching(rbc_wait *self, const struct epoll_event *events, int n) {
    self->is_fetching = false;
    count_wakeup(self, n);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 != RBC_UNHEARD) {
            self->heard(self->reader, events[i].data.u64);
        }
    }
}

void rbc_wait_drain(rbc_wait *self) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    struct epoll_event events[EVENTS_AT_ONCE];
    int n;
    /* Before the events are fetched: one that comes later sets it. */
    atomic_store_explicit(&self->woken, false, memory_order_relaxed);
    do {
        self->is_fetching = true;
        n = epoll_wait(self->epoll_fd, events, EVENTS_AT_ONCE, 0);
        end_fetching(self, events, n);
    } while (n == EVENTS_AT_ONCE);
}

void rbc_wait_drain_timer(rbc_wait *self, int64_t now) {
    if (atomic_load_explicit(&self->woken, memory_order_relaxed)) {
        rbc_wait_drain(self);
    } else {
        count_wakeup(self, now >= self->timer_due);
    }
}

static int wait_nanoseconds(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
    rbc_kernel_time timeout = rbc_kernel_time_of(timeout_ns);
    return (int)syscall(RBC_SYS_EPOLL_PWAIT2, epoll_fd, events, max, &timeout, NULL, (size_t)0);
}

static int wait_milliseconds(int epoll_fd, struct epoll_event *events, int max, int64_t ms) {
    return epoll_wait(epoll_fd, events, max, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

/* ENOSYS before Linux 5.11, or the error of a filter that does not know the call. */
static bool was_refused(int n) {
    return n < 0 && errno != EINTR;
}

int rbc_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    int n = wait_nanoseconds(epoll_fd, events, max, timeout_ns);
    if (was_refused(n)) { /* in milliseconds, rounded up so that no wait becomes a spin */
        int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
        n = wait_milliseconds(epoll_fd, events, max, ms);
    }
    return n < 0 ? -errno : n;
}

/* A cancellation point as other waits are: syscall(2) is none by itself. Nothing is held here. */
static int wait_cancellably(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
    int type;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    int n = wait_nanoseconds(epoll_fd, events, max, timeout_ns);
    pthread_setcanceltype(type, &type);
    return n;
}

/*
 * A long wait is by epoll_wait, which costs less, up to a millisecond that is not whole. The caller
 * waits for what is left of its time.
 */
static int wait_for_events(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
    if (timeout_ns >= 0 && timeout_ns < LONG_WAIT_NS) {
        return wait_cancellably(epoll_fd, events, max, timeout_ns);
    }
    return wait_milliseconds(epoll_fd, events, max, timeout_ns < 0 ? -1 : timeout_ns / 1000000);
}

int rbc_wait_block(rbc_wait *self, int64_t timeout_ns) {
    RBC_KEEP_ERRNO;
    struct epoll_event events[EVENTS_AT_ONCE];
    self->is_fetching = true;
    int n = wait_for_events(self->epoll_fd, events, EVENTS_AT_ONCE, timeout_ns);
    /* Then the timer has the nanoseconds: a small ring is full after a millisecond. */
    if (was_refused(n)) {
        rbc_wait_start_timer(self, rbc_now_ns(), timeout_ns);
        n = epoll_wait(self->epoll_fd, events, EVENTS_AT_ONCE, -1);
    }
    end_fetching(self, events, n);
    return n < 0 ? -errno : n;
}

void rbc_wait_wake(rbc_wait *self) {
    RBC_KEEP_ERRNO;
    uint64_t one = 1;
    /*
     * Each write is an edge. The counter is never read; it cannot overflow within 2^64 calls. By
     * syscall(2), for write(2) is a cancellation point: a thread that releases must not end here.
     */
    syscall(SYS_write, self->wake_fd, &one, sizeof(one));
    /*
     * After it: a drain in between leaves this set, which costs one drain more, and hangs nobody.
     */
    atomic_store_explicit(&self->woken, true, memory_order_relaxed);
}

int64_t rbc_wait_next_delay(rbc_wait *self) {
    int64_t delay = self->delay_ns;
    self->delay_ns = delay * 2 > LONGEST_DELAY_NS ? LONGEST_DELAY_NS : delay * 2;
    return delay;
}

void rbc_wait_start_timer(rbc_wait *self, int64_t now, int64_t delay_ns) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    self->timer_due = delay_ns > INT64_MAX - now ? INT64_MAX : now + delay_ns;
    long nanoseconds = (long)(delay_ns % 1000000000) + (delay_ns == 0); /* never 0 */
    if (start_timer(self, (time_t)(delay_ns / 1000000000), nanoseconds) != 0) {
        /* A filter that was installed after the reader was opened refuses it. Then the waiting
         * thread looks again at once, but not more often than this. */
        nanosleep(&(struct timespec){.tv_nsec = UNTIMED_PAUSE_NS}, NULL);
        rbc_wait_wake(self);
    }
}
