/* SPDX-License-Identifier: MIT */
/*
 * Waiting: one epoll instance over the wakeups of all rings, an eventfd by which other threads
 * interrupt, and a timer for the times when no producer would wake us.
 *
 * All of it is edge-triggered. Level-triggered, a ring is "readable" as long as
 * producer_pos != consumer_pos: with records held by the user, or a record being written at the
 * head, a wait would spin. An edge is the producer's wakeup itself, and stays on the epoll's list
 * until it was fetched: what happens between a look at the ring and a wait is not lost.
 */
#ifndef RBC_WAIT_H
#define RBC_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The monotonic clock. */
int64_t rbc_now_ns(void);

/*
 * A clock that is read once at most: what is done without waiting happens at one time. Reading it
 * costs as much as 20 records, so code that may need no time is given the clock and not the time.
 */
typedef struct rbc_clock {
    int64_t now_ns; /* 0: not read yet, or not since the last wait */
} rbc_clock;

static inline int64_t rbc_clock_now(rbc_clock *self) {
    self->now_ns = self->now_ns != 0 ? self->now_ns : rbc_now_ns();
    return self->now_ns;
}

/*
 * When a timeout that begins now is over; INT64_MAX for RBCORE_FOREVER, and in place of overflow.
 */
int64_t rbc_deadline_after(rbc_clock *clock, int64_t timeout_ns);

typedef struct rbc_wait {
    int epoll_fd;
    int wake_fd;
    int timer_fd;
    int64_t delay_ns;   /* of the next timer */
    int64_t timer_due;  /* when the timer that was started last is over */
    atomic_bool woken;  /* by rbc_wait_wake, since the last drain */
    atomic_bool parked; /* the reader may be waiting: an advance of consumer_pos must look again */
    _Atomic uint64_t wakeups;
    /* An event was fetched of the descriptor with this tag. */
    void (*heard)(void *reader, uint64_t tag);
    void *reader;
    bool is_fetching; /* still set after a call that was cancelled: it may have fetched events */
} rbc_wait;

int rbc_wait_open(rbc_wait *self);

/* Ends waiting. wake_fd stays open: other threads may still be about to write to it. */
void rbc_wait_close_epoll(rbc_wait *self);

void rbc_wait_close(rbc_wait *self);

/* For descriptors of which `heard` is not told. */
#define RBC_UNHEARD UINT64_MAX

int rbc_wait_add(rbc_wait *self, int fd, uint64_t tag);
void rbc_wait_remove(rbc_wait *self, int fd);

/* Fetches all events that are there, so that epoll_fd is readable only for what comes later. */
void rbc_wait_drain(rbc_wait *self);

/*
 * Use this when only the timer is registered and is about to be started again: then there is
 * nothing to fetch. A timer that is started again is no longer over, and polling epoll_fd shows
 * that.
 */
void rbc_wait_drain_timer(rbc_wait *self, int64_t now);

/*
 * Blocks until an event, at most timeout_ns (RBCORE_FOREVER: without end), and fetches it, with
 * others perhaps. Returns how many, 0, or -EINTR.
 */
int rbc_wait_block(rbc_wait *self, int64_t timeout_ns);

/* epoll_wait(2) with nanoseconds. Returns the number of events, 0, or a negative errno. */
struct epoll_event;
int rbc_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns);

/* Makes epoll_fd readable. Any thread, async-signal-safe. */
void rbc_wait_wake(rbc_wait *self);

/*
 * The delay until the next look at rings whose producers do not wake us; doubles each time, until
 * rbc_wait_reset_delay.
 */
int64_t rbc_wait_next_delay(rbc_wait *self);

/* Until the first of these looks. */
#define RBC_FIRST_DELAY_NS INT64_C(50000)

static inline void rbc_wait_reset_delay(rbc_wait *self) {
    self->delay_ns = RBC_FIRST_DELAY_NS;
}

/* Makes epoll_fd readable after a delay. */
void rbc_wait_start_timer(rbc_wait *self, int64_t now, int64_t delay_ns);

#endif
