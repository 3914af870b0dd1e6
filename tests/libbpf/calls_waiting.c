/* SPDX-License-Identifier: MIT */
/* Waiting. Rings of 64 pages are large enough for a reader that uses a timer to do so. */
#include "calls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct later_emission {
    pthread_t thread;
    struct produce *ring;
    unsigned int ms;
} later_emission;

static void *emit_later(void *argument) {
    later_emission *self = argument;
    sleep_ms(self->ms);
    emit_some(self->ring, 1);
    return NULL;
}

START_TEST(timeouts) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    CALL_FOR(0, ring_buffer__poll(rb, 0));
    CALL_FOR(1, ring_buffer__poll(rb, 1));
    CALL_FOR(30, ring_buffer__poll(rb, 30));
    static const int waits[] = {-1, 10000, -2, INT32_MAX};
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        later_emission later = {.ring = ring, .ms = 20};
        pthread_create(&later.thread, NULL, emit_later, &later);
        int result = ring_buffer__poll(rb, waits[i]);
        say("poll %d: %d", waits[i], result);
        pthread_join(later.thread, NULL);
    }
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

static void *poll_once(void *argument) {
    return (void *)(intptr_t)ring_buffer__poll(argument, 20000);
}

/* While a thread waits in a poll, another one takes what is there, or finds nothing: at once. */
START_TEST(consume_beside_a_wait) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, poll_once, rb);
        sleep_ms(100);
        int64_t start = now_ns();
        CALL(ring_buffer__consume(rb));
#ifndef __SANITIZE_THREAD__ /* libbpf tells it of no order between the callbacks of two threads */
        sleep_ms(100); /* until the drop-in's wait goes on: it looks before that, libbpf does not */
        emit(ring, 8, 0, BPF_RB_NO_WAKEUP);
        CALL(ring_buffer__consume(rb));
#endif
        say("at once: %d", now_ns() - start < 5 * SECOND);
        emit_some(ring, 1);
        pthread_join(thread, &result);
        say("the poll: %d", (int)(intptr_t)result);
    }
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

static void *poll_forever(void *argument) {
    return (void *)(intptr_t)ring_buffer__poll(argument, -1);
}

static atomic_bool is_blocked;

static void block(ring_sink *sink) {
    (void)sink;
    is_blocked = true;
    pause();
}

/* When the callback blocks; or else when a wait has surely begun, for nothing tells. */
static void wait_until_blocked(bool in_callback) {
    sleep_ms(in_callback ? 0 : 200);
    while (in_callback && !is_blocked) {
        sleep_ms(1);
    }
    is_blocked = false;
}

/* Cancels a thread in a poll, unless it hangs: then SIGALRM ends it all. */
static void cancel(struct ring_buffer *rb, void *(*poll)(void *), bool in_callback) {
    pthread_t thread;
    void *result;
    int64_t start = now_ns();
    alarm(30);
    pthread_create(&thread, NULL, poll, rb);
    wait_until_blocked(in_callback);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    say("cancelled: %d, at once: %d", result == PTHREAD_CANCELED, now_ns() - start < 10 * SECOND);
}

/* A thread that is cancelled in a poll or in its callback leaves the ring to others. */
START_TEST(cancelled) {
    for (int count = 1; count <= 2; count++) {
        ring_sink a = {.name = "a"}, b = {.name = "b"};
        struct produce *ring = load_ring(pages(64)), *other = load_ring(pages(64));
        struct ring_buffer *rb = open_sink(ring, &a);
        if (count == 2) {
            CALL(ring_buffer__add(rb, ring_fd(other), on_record, &b));
        }
        for (int i = 0; i < 4; i++) {
            cancel(rb, i % 2 ? poll_once : poll_forever, false);
            emit_some(ring, 2);
            CALL(ring_buffer__poll(rb, -1));
            emit_discard(ring, 8, 0);
            if (i % 2) {
                emit_some(ring, 3);
            } else {
                emit_equal(ring, 3);
            }
            a.act = block;
            a.act_at = a.seen + 2;
            cancel(rb, poll_once, true);
            a.act = NULL;
            CALL(ring_buffer__consume(rb));
            emit_some(ring, 1);
            CALL(ring_buffer__consume(rb));
        }
        /* Records that the callback had before do not come again. */
        emit_equal(ring, 3);
        a.act = block;
        a.act_at = a.seen + 2;
        cancel(rb, poll_once, true);
        ring_buffer__free(rb);
        a.act = NULL;
        rb = open_sink(ring, &a);
        CALL(ring_buffer__poll(rb, 0));
        ring_buffer__free(rb);
        produce__destroy(other);
        produce__destroy(ring);
    }
    alarm(0);
}
END_TEST

/* Results, because a thread that is to be cancelled cannot say them. */
typedef struct opened {
    struct produce *ring, *other;
    ring_sink *sink;
    struct ring_buffer *rb;
    int added;
} opened;

static void *open_when_cancelled(void *argument) {
    opened *self = argument;
    pthread_cancel(pthread_self());
    self->rb = ring_buffer__new(ring_fd(self->ring), on_record, self->sink, NULL);
    self->added = ring_buffer__add(self->rb, ring_fd(self->other), on_record, self->sink);
    pthread_testcancel();
    return NULL;
}

static void *free_when_cancelled(void *argument) {
    opened *self = argument;
    pthread_cancel(pthread_self());
    ring_buffer__free(self->rb);
    pthread_testcancel();
    return NULL;
}

/* In a child the first call opens the rings anew. It is no wait, and ends the child by _exit. */
static void read_when_cancelled_in_child(struct ring_buffer *rb) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_cancel(pthread_self());
        _exit(ring_buffer__consume(rb) == 0 ? 7 : 8);
    }
    waitpid(pid, &status, 0);
    say("the child: %d", WEXITSTATUS(status));
}

/* Rings are opened and closed as a whole, and no wait: the cancellation comes later. */
START_TEST(cancelled_beside_a_wait) {
    ring_sink a = {.name = "a"};
    opened it = {.ring = load_ring(pages(1)), .other = load_ring(pages(1)), .sink = &a};
    for (int i = 0; i < 3; i++) {
        it.rb = NULL;
        it.added = 1;
        run_to_its_cancellation(open_when_cancelled, &it, 0);
        say("opened: %d, added: %d", it.rb != NULL, it.added);
        emit_some(it.ring, 2);
        emit_some(it.other, 1);
        CALL(ring_buffer__poll(it.rb, 0));
        read_when_cancelled_in_child(it.rb);
        run_to_its_cancellation(free_when_cancelled, &it, 0);
    }
    produce__destroy(it.other);
    produce__destroy(it.ring);
}
END_TEST

/* A timer inside may end the wait for nothing, as for a ring that was busy: it must go on. */
START_TEST(never_early) {
    ring_sink a = {.name = "a", .is_silent = true}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(64)), *idle = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    CALL(ring_buffer__add(rb, ring_fd(idle), on_record, &b));
    int early = 0;
    for (int i = 0; i < 200; i++) {
        for (int j = 0; j < 5; j++) {
            emit_equal(ring, 10);
            ring_buffer__poll(rb, -1);
        }
        ring_buffer__consume(rb);
        int64_t start = now_ns();
        int result = ring_buffer__poll(rb, 2);
        early += result == 0 && now_ns() - start < 2 * MILLISECOND;
    }
    say("early: %d", early);
    ring_buffer__free(rb);
    produce__destroy(idle);
    produce__destroy(ring);
}
END_TEST

static int signals;

static void on_signal(int number) {
    (void)number;
    signals++;
}

static void ring_in(int ms) {
    struct itimerval timer = {.it_value.tv_usec = ms * 1000};
    setitimer(ITIMER_REAL, &timer, NULL);
}

START_TEST(interrupted) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    static const int flags_of[] = {0, SA_RESTART};
    for (int i = 0; i < 2; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags_of[i]};
        sigaction(SIGALRM, &action, NULL);
        ring_in(20);
        CALL(ring_buffer__poll(rb, -1));
        ring_in(20);
        CALL(ring_buffer__poll(rb, 10000));
        say("signals %d", signals);
        /* Nothing was lost, and what is there is better news than a signal. */
        emit_some(ring, 2);
        raise(SIGALRM);
        CALL(ring_buffer__poll(rb, -1));
    }
    /* The same with many of both: a poll that has something to deliver does not return -EINTR. */
    struct itimerval often = {.it_interval.tv_usec = 150, .it_value.tv_usec = 150};
    a.is_silent = true;
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 1000; i++) {
        int made = emit_some(ring, 8), got = ring_buffer__poll(rb, 1000);
        if (made != got) {
            say("turn %d: made %d, got %d", i, made, got);
        }
    }
    ring_in(0);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(interrupted_of_two) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *first = load_ring(pages(64)), *second = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(first, &a);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    CALL(ring_buffer__add(rb, ring_fd(second), on_record, &b));
    ring_in(20);
    CALL(ring_buffer__poll(rb, -1));
    ring_in(20);
    CALL(ring_buffer__poll(rb, 10000));
    emit_some(second, 2);
    raise(SIGALRM);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(second);
    produce__destroy(first);
}
END_TEST

/* Records while we read, in bursts, with a callback that blocks now and then: nothing is lost. */
START_TEST(under_load) {
    for (int sleep_each = 0; sleep_each <= 500; sleep_each += 500) {
        check_order check = {.sleep_each = sleep_each};
        struct produce *ring = load_ring(pages(256));
        struct ring_buffer *rb = ring_buffer__new(ring_fd(ring), check_event, &check, NULL);
        pthread_t thread;
        pthread_create(&thread, NULL, produce_bursts, ring);
        int total = 0, result = 0;
        while (total < 20000 && result >= 0) {
            result = ring_buffer__poll(rb, 10000);
            total += result;
        }
        pthread_join(thread, NULL);
        say("records %d, errors %d, last %llu", total, check.errors,
            (unsigned long long)check.expected);
        CALL(ring_buffer__poll(rb, 0));
        ring_buffer__free(rb);
        produce__destroy(ring);
    }
}
END_TEST

const scenario waiting_scenarios[] = {
    {&timeouts, 0},
    {&consume_beside_a_wait, 0},
    {&cancelled, 0},
    {&cancelled_beside_a_wait, 0},
    {&never_early, 0},
    {&interrupted, 0},
    {&interrupted_of_two, 0},
    {&under_load, 0},
    {NULL, 0},
};
