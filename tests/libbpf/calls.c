/* SPDX-License-Identifier: MIT */
/*
 * A program that uses libbpf's ring buffers in every way, and tells what comes of each call:
 *
 *     calls SCENARIO [always]
 *
 * The test compares what it says on libbpf and on the drop-in. It knows nothing of rbcore.
 * Ends with 3 where this libbpf is too old for the scenario, unless it is to run always.
 */
#include "transcript.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOO_OLD 3

static struct ring_buffer *open_sink(struct produce *ring, struct sink *sink) {
    sink->produce = ring;
    sink->rings = ring_buffer__new(ring_fd(ring), on_record, sink, NULL);
    ck_assert_ptr_nonnull(sink->rings);
    return sink->rings;
}

/* ---- Records, counts, errors of callbacks ---- */

START_TEST(order) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    CALL(ring_buffer__poll(rb, 0));
    CALL(ring_buffer__consume(rb));
    emit_some(ring, 5);
    CALL(ring_buffer__poll(rb, -1));
    emit_some(ring, 5);
    CALL(ring_buffer__poll(rb, 100));
    emit_some(ring, 5);
    CALL(ring_buffer__poll(rb, 0));
    emit_some(ring, 5);
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__consume(rb));
    emit(ring, 0, 0, 0);
    emit(ring, 3000, 16, 0);
    CALL(ring_buffer__poll(rb, -1));
    /* Many times around the ring; fast enough to become paced. */
    a.is_silent = true;
    for (int i = 0; i < 2000; i++) {
        int made = emit_some(ring, 1 + i % 20), got = 0;
        for (int result = 0; result >= 0 && got < made; got += result) {
            result = i % 3 == 0   ? ring_buffer__poll(rb, -1)
                     : i % 3 == 1 ? ring_buffer__poll(rb, 0)
                                  : ring_buffer__consume(rb);
        }
        if (got != made) {
            say("lap %d: made %d, got %d", i, made, got);
        }
    }
    say("seen %d", a.seen);
    ring_buffer__free(rb);
    ring_buffer__free(NULL);
    produce__destroy(ring);
}
END_TEST

static const int results[] = {-1, -7, -EINTR, -EAGAIN, -4095, INT32_MIN, 1, INT32_MAX};

/* In a ring so small that each record is given back by itself, and in a large one. */
static void callback_errors_in(size_t size) {
    struct produce *ring = load_ring(size);
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        for (int fail_at = 1; fail_at <= 4; fail_at++) {
            struct sink a = {.name = "a", .fail_at = fail_at, .result = results[i]};
            struct ring_buffer *rb = open_sink(ring, &a);
            emit_some(ring, 4);
            if (fail_at % 2) {
                CALL(ring_buffer__poll(rb, 100));
            } else {
                CALL(ring_buffer__consume(rb));
            }
            emit_some(ring, 1);
            CALL(ring_buffer__poll(rb, 100));
            CALL(ring_buffer__poll(rb, 0));
            ring_buffer__free(rb);
        }
    }
    produce__destroy(ring);
}

START_TEST(callback_errors) {
    callback_errors_in(pages(1));
    callback_errors_in(pages(64));
}
END_TEST

START_TEST(callback_errors_of_two) {
    struct produce *first = load_ring(pages(1)), *second = load_ring(pages(1));
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        struct sink a = {.name = "a", .fail_at = 2, .result = results[i]}, b = {.name = "b"};
        struct ring_buffer *rb = open_sink(first, &a);
        CALL(ring_buffer__add(rb, ring_fd(second), on_record, &b));
        emit_some(first, 4);
        CALL(ring_buffer__poll(rb, -1));
        CALL(ring_buffer__poll(rb, 10));
        emit_some(second, 1);
        CALL(ring_buffer__poll(rb, -1));
        ring_buffer__free(rb);
    }
    produce__destroy(second);
    produce__destroy(first);
}
END_TEST

/* What is left goes to the next ring_buffer, in this process or another. */
START_TEST(what_is_left) {
    struct produce *ring = load_ring(pages(1));
    emit_some(ring, 6);
    for (int i = 0; i < 4; i++) {
        struct sink a = {.name = "a", .fail_at = 2, .result = -1};
        struct ring_buffer *rb = open_sink(ring, &a);
        CALL(ring_buffer__consume(rb));
        ring_buffer__free(rb);
    }
    produce__destroy(ring);
}
END_TEST

START_TEST(discards) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_discard(ring, 8, 0);
    CALL(ring_buffer__poll(rb, 0));
    emit_some(ring, 1);
    emit_discard(ring, 8, 0);
    emit_some(ring, 1);
    emit_discard(ring, 500, 0);
    CALL(ring_buffer__poll(rb, 100));
    /* Nothing to deliver, but it returns: a hang, if not. */
    emit_discard(ring, 8, 0);
    CALL(ring_buffer__poll(rb, -1));
    for (int i = 0; i < 20; i++) {
        emit_discard(ring, 100, 0);
    }
    CALL(ring_buffer__consume(rb));
    /* The space of discarded records is free again: all of the ring. */
    say("a large one: %d", emit(ring, (uint32_t)pages(1) - 16, 0, 0));
    CALL(ring_buffer__poll(rb, 100));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(discards_of_two) {
    struct sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *first = load_ring(pages(1)), *second = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(first, &a);
    CALL(ring_buffer__add(rb, ring_fd(second), on_record, &b));
    for (int i = 0; i < 3; i++) {
        emit_discard(i % 2 ? second : first, 8, 0);
        CALL(ring_buffer__poll(rb, -1));
    }
    emit_some(second, 1);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(second);
    produce__destroy(first);
}
END_TEST

START_TEST(flags) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit(ring, 8, 0, BPF_RB_NO_WAKEUP);
    CALL(ring_buffer__consume(rb));
    emit(ring, 8, 8, BPF_RB_NO_WAKEUP);
    emit(ring, 8, 16, BPF_RB_FORCE_WAKEUP);
    CALL(ring_buffer__poll(rb, -1));
    emit(ring, 8, 24, BPF_RB_FORCE_WAKEUP);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* ---- Space ---- */

static void emit_one(struct sink *sink) {
    say("  emits in the callback: %d", emit(sink->produce, 40, (uint32_t)sink->seen * 8, 0));
}

/* A callback finds the space of the records before its own free, and what it emits is read, too. */
START_TEST(space) {
    struct sink a = {.name = "a", .act = emit_one, .act_at = -1};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int fitted = 0;
    while (emit(ring, 40, 0, 0) == 0) {
        fitted++;
    }
    say("fitted %d", fitted);
    a.fail_at = 2 * fitted;
    a.result = -1;
    CALL(ring_buffer__poll(rb, -1));
    a.act = NULL;
    CALL(ring_buffer__poll(rb, 0));
    a.act = emit_one;
    a.act_at = a.seen + 1;
    a.fail_at = 0;
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* ---- Several rings ---- */

START_TEST(several) {
    struct sink sinks[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    struct produce *rings[3];
    for (int i = 0; i < 3; i++) {
        rings[i] = load_ring(pages(1));
    }
    struct ring_buffer *rb = open_sink(rings[0], &sinks[0]);
    for (int i = 1; i < 3; i++) {
        CALL(ring_buffer__add(rb, ring_fd(rings[i]), on_record, &sinks[i]));
    }
    CALL_FOR(20, ring_buffer__poll(rb, 20));
    /* consume goes from ring to ring in the order of add. */
    for (int i = 2; i >= 0; i--) {
        emit_some(rings[i], 3);
    }
    CALL(ring_buffer__consume(rb));
    for (int i = 0; i < 3; i++) {
        emit_some(rings[i], 2);
        CALL(ring_buffer__poll(rb, -1));
    }
    /* An error in the second keeps the third from its turn. */
    for (int i = 0; i < 3; i++) {
        emit_some(rings[i], 3);
    }
    sinks[1].fail_at = sinks[1].seen + 2;
    sinks[1].result = -5;
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__poll(rb, 0));
    CALL(ring_buffer__add(rb, ring_fd(rings[0]), on_record, &sinks[0]));
    CALL(ring_buffer__add(rb, -1, on_record, &sinks[0]));
    CALL(ring_buffer__consume(rb));
    ring_buffer__free(rb);
    for (int i = 0; i < 3; i++) {
        produce__destroy(rings[i]);
    }
}
END_TEST

static struct produce *ring_to_add;
static struct sink added = {.name = "added"};

static void add_ring(struct sink *sink) {
    CALL(ring_buffer__add(sink->rings, ring_fd(ring_to_add), on_record, &added));
}

START_TEST(add_in_callback) {
    for (int by_poll = 0; by_poll < 2; by_poll++) {
        struct sink a = {.name = "a", .act = add_ring, .act_at = 2};
        struct produce *ring = load_ring(pages(1));
        ring_to_add = load_ring(pages(1));
        struct ring_buffer *rb = open_sink(ring, &a);
        emit_some(ring, 3);
        emit_some(ring_to_add, 2);
        if (by_poll) {
            CALL(ring_buffer__poll(rb, -1));
        } else {
            CALL(ring_buffer__consume(rb));
        }
        CALL(ring_buffer__poll(rb, 10));
        emit_some(ring_to_add, 1);
        emit_some(ring, 1);
        CALL(ring_buffer__consume(rb));
        ring_buffer__free(rb);
        produce__destroy(ring);
        produce__destroy(ring_to_add);
    }
}
END_TEST

/* ---- Calls from a callback ---- */

static struct ring_buffer *other_rings;

static void consume_other(struct sink *sink) {
    (void)sink;
    CALL(ring_buffer__consume(other_rings));
}

static void consume_own(struct sink *sink) {
    sink->act = NULL;
    CALL(ring_buffer__consume(sink->rings));
}

static void poll_own(struct sink *sink) {
    sink->act = NULL;
    CALL(ring_buffer__poll(sink->rings, 0));
}

START_TEST(calls_in_callback) {
    struct sink a = {.name = "a", .act = consume_other, .act_at = 2}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    other_rings = open_sink(other, &b);
    emit_some(ring, 3);
    emit_some(other, 2);
    CALL(ring_buffer__poll(rb, -1));
    /* In the last record: libbpf delivers it to the inner call again. */
    void (*const acts[])(struct sink *) = {consume_own, poll_own};
    for (int i = 0; i < 2; i++) {
        emit_some(ring, 3);
        a.act = acts[i];
        a.act_at = a.seen + 3;
        CALL(ring_buffer__consume(rb));
        CALL(ring_buffer__poll(rb, 0));
    }
    ring_buffer__free(other_rings);
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

static void emit_equal(struct produce *ring, int n) {
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        ck_assert_int_eq(emit(ring, 24, i * 8, 0), 0);
    }
}

/* Records of one size, which a reader may take as one run: a callback in the middle of it. */
START_TEST(equal_records) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    void (*const acts[])(struct sink *) = {NULL, consume_own, poll_own, emit_one};
    a.produce = ring;
    for (int i = 0; i < 8; i++) {
        emit_equal(ring, 6);
        a.act = acts[i % 4];
        a.act_at = a.seen + 6; /* see calls_in_callback */
        CALL(ring_buffer__poll(rb, -1));
        a.act = NULL;
        emit_equal(ring, 5);
        a.fail_at = a.seen + 1 + i % 5;
        a.result = -3;
        CALL(ring_buffer__poll(rb, -1));
        a.fail_at = a.seen + 1;
        CALL(ring_buffer__poll(rb, 0));
        CALL(ring_buffer__consume(rb));
    }
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* Few records fill the ring: one call delivers all of them, however few are taken at once. */
START_TEST(large_records) {
    static const uint32_t sizes[][2] = {{500, 500}, {540, 540}, {900, 1}, {1020, 900}, {1990, 8}};
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    for (size_t i = 0; i < 3 * sizeof(sizes) / sizeof(*sizes); i++) {
        const uint32_t *two = sizes[i / 3];
        uint32_t n = 0;
        while (emit(ring, two[n % 2], 8 * n, 0) == 0) {
            n++;
        }
        say("%u records", n);
        if (i % 3 == 0) {
            CALL(ring_buffer__poll(rb, -1));
        } else if (i % 3 == 1) {
            CALL(ring_buffer__poll(rb, 0));
        } else {
            CALL(ring_buffer__consume(rb));
        }
        CALL(ring_buffer__consume(rb));
    }
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/*
 * ---- Waiting ----
 *
 * Rings of 64 pages are large enough for whoever reads by a timer to do so.
 */

struct later {
    pthread_t thread;
    struct produce *ring;
    unsigned int ms;
};

static void *emit_later(void *argument) {
    struct later *self = argument;
    sleep_ms(self->ms);
    emit_some(self->ring, 1);
    return NULL;
}

START_TEST(timeouts) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    CALL_FOR(0, ring_buffer__poll(rb, 0));
    CALL_FOR(1, ring_buffer__poll(rb, 1));
    CALL_FOR(30, ring_buffer__poll(rb, 30));
    static const int waits[] = {-1, 10000, -2, INT32_MAX};
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        struct later later = {.ring = ring, .ms = 20};
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
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, poll_once, rb);
        sleep_ms(100);
        int64_t start = now();
        CALL(ring_buffer__consume(rb));
#ifndef __SANITIZE_THREAD__ /* libbpf tells it of no order between the callbacks of two threads */
        sleep_ms(100); /* until the drop-in's wait goes on: it looks before that, libbpf does not */
        emit(ring, 8, 0, BPF_RB_NO_WAKEUP);
        CALL(ring_buffer__consume(rb));
#endif
        say("at once: %d", now() - start < 5 * SECOND);
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

static void block(struct sink *sink) {
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
    int64_t start = now();
    alarm(30);
    pthread_create(&thread, NULL, poll, rb);
    wait_until_blocked(in_callback);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    say("cancelled: %d, at once: %d", result == PTHREAD_CANCELED, now() - start < 10 * SECOND);
}

/* A thread that is cancelled in a poll or in its callback leaves the ring to others. */
START_TEST(cancelled) {
    for (int count = 1; count <= 2; count++) {
        struct sink a = {.name = "a"}, b = {.name = "b"};
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
        /* What the callback had before, nobody gets again. */
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

/* Also where a timer ends the wait inside for nothing, as for a ring that was busy. */
START_TEST(never_early) {
    struct sink a = {.name = "a", .is_silent = true}, b = {.name = "b"};
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
        int64_t start = now();
        int result = ring_buffer__poll(rb, 2);
        early += result == 0 && now() - start < 2 * MILLISECOND;
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
    struct sink a = {.name = "a"};
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
    /* Also with many of both: no poll returns -EINTR that has something to deliver. */
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
    struct sink a = {.name = "a"}, b = {.name = "b"};
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

static void *produce_bursts(void *argument) {
    struct produce *ring = argument;
    struct produce_args args = {.sizes = 1, .count = 50};
    for (int i = 0; i < 400; i++) {
        produce(ring, &args);
        if (i % 4 == 0) {
            sleep_ms(1);
        }
    }
    return NULL;
}

struct check_order {
    uint64_t expected;
    int errors, sleep_each;
};

static int check_event(void *context, void *data, size_t size) {
    struct check_order *self = context;
    const struct event *event = data;
    self->errors += size != EVENT_SMALL || event->sequence != self->expected;
    self->expected = event->sequence + 1;
    if (self->sleep_each && event->sequence % (uint64_t)self->sleep_each == 0) {
        sleep_ms(1);
    }
    return 0;
}

/* Records while we read, in bursts, with a callback that blocks now and then: nothing is lost. */
START_TEST(under_load) {
    for (int sleep_each = 0; sleep_each <= 500; sleep_each += 500) {
        struct check_order check = {.sleep_each = sleep_each};
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

/* ---- epoll_fd in an event loop of the program's own ---- */

static int is_readable(int epoll, int ms) {
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, ms);
}

/* A loop may find the descriptor readable for nothing now and then; it must come to rest. */
static void come_to_rest(int epoll, struct ring_buffer *rb) {
    int turns = 0;
    while (is_readable(epoll, 50) > 0 && ++turns < 10) {
        ck_assert_int_eq(ring_buffer__consume(rb), 0);
    }
    say("at rest: %s", turns < 10 ? "yes" : "no, it spins");
}

static int add_to_epoll(int epoll, struct ring_buffer *rb, uint32_t events) {
    struct epoll_event event = {.events = events};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(rb), &event);
}

START_TEST(event_loop) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    say("same descriptor: %d", ring_buffer__epoll_fd(rb) == ring_buffer__epoll_fd(rb));
    CALL(is_readable(epoll, 0));
    emit_some(ring, 3);
    CALL(is_readable(epoll, 10000));
    CALL(is_readable(epoll, 10000)); /* level-triggered: until it was read */
    CALL(ring_buffer__consume(rb));
    CALL(is_readable(epoll, 0));
    /* What a callback's error leaves is there still. */
    emit_some(ring, 3);
    CALL(is_readable(epoll, 10000));
    a.fail_at = a.seen + 1;
    a.result = -1;
    CALL(ring_buffer__consume(rb));
    CALL(is_readable(epoll, 0));
    CALL(ring_buffer__poll(rb, 0));
    CALL(is_readable(epoll, 0));
    /* The same after a poll, whose wait has taken the event. */
    emit_some(ring, 3);
    a.fail_at = a.seen + 2;
    CALL(ring_buffer__poll(rb, -1));
    CALL(is_readable(epoll, 0));
    CALL(ring_buffer__poll(rb, -1));
    CALL(is_readable(epoll, 0));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb)); /* before anybody asked the descriptor */
    CALL(is_readable(epoll, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* A ring that is read by a timer makes the descriptor readable for nothing now and then. */
START_TEST(event_loop_turns) {
    struct sink a = {.name = "a", .is_silent = true};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    for (int i = 0, got = 0, made = 0; i < 500; i++) {
        made += emit_some(ring, 1 + i % 10);
        while (got < made && is_readable(epoll, 10000) > 0) {
            got += i % 2 ? ring_buffer__consume(rb) : ring_buffer__poll(rb, 0);
        }
        if (got != made) {
            say("turn %d: made %d, got %d", i, made, got);
        }
    }
    for (int i = 0; i < 100; i++) { /* at once, whenever it is asked */
        emit_some(ring, 10);
        if (ring_buffer__poll(rb, i % 2) != 10) {
            say("not 10 at once");
        }
    }
    come_to_rest(epoll, rb);
    emit_some(ring, 1);
    CALL(is_readable(epoll, 10000));
    CALL(ring_buffer__consume(rb));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

static void *produce_later(void *argument) {
    struct produce_args args = {.sizes = 1, .count = 50};
    sleep_ms(20);
    produce(argument, &args);
    return NULL;
}

/* The descriptor is asked for late, when a poll has waited and left something. */
START_TEST(event_loop_late) {
    struct sink a = {.name = "a", .fail_at = 2, .result = -1};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0), seen = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, produce_later, ring);
    while (a.seen < 2) {
        seen = ring_buffer__poll(rb, -1);
    }
    say("the last poll: %d", seen);
    pthread_join(thread, NULL);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    CALL(is_readable(epoll, 0));
    a.is_silent = true;
    CALL(ring_buffer__poll(rb, -1));
    CALL(is_readable(epoll, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* Bursts while the loop runs. */
START_TEST(event_loop_under_load) {
    for (int several_rings = 0; several_rings < 2; several_rings++) {
        struct check_order check = {0};
        struct sink other = {.name = "other"};
        struct produce *ring = load_ring(pages(256)), *idle = load_ring(pages(1));
        struct ring_buffer *rb = ring_buffer__new(ring_fd(ring), check_event, &check, NULL);
        if (several_rings) {
            CALL(ring_buffer__add(rb, ring_fd(idle), on_record, &other));
        }
        int epoll = epoll_create1(0), total = 0;
        CALL(add_to_epoll(epoll, rb, EPOLLIN));
        pthread_t thread;
        pthread_create(&thread, NULL, produce_bursts, ring);
        while (total < 20000 && is_readable(epoll, 10000) > 0) {
            total += ring_buffer__consume(rb);
        }
        pthread_join(thread, NULL);
        say("records %d, errors %d", total, check.errors);
        come_to_rest(epoll, rb);
        emit_some(idle, 2);
        if (several_rings) {
            CALL(is_readable(epoll, 10000));
        }
        CALL(ring_buffer__poll(rb, 0));
        close(epoll);
        ring_buffer__free(rb);
        produce__destroy(ring);
        produce__destroy(idle);
    }
}
END_TEST

/* By the map's own descriptor, without libbpf's epoll. */
START_TEST(own_epoll) {
    struct sink a = {.name = "a", .is_silent = true};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0), turns = 0;
    struct epoll_event event = {.events = EPOLLIN};
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, ring_fd(ring), &event));
    for (int i = 0; i < 300; i++) {
        emit_some(ring, 10);
        ring_buffer__poll(rb, -1);
    }
    CALL(ring_buffer__consume(rb));
    CALL(is_readable(epoll, 0));
    a.seen = 0;
    for (int i = 0, made = 0; i < 500; i++) {
        made += emit_some(ring, 1 + i % 10);
        while (a.seen < made && is_readable(epoll, 10000) > 0) {
            ring_buffer__consume(rb);
        }
        turns += is_readable(epoll, 0);
    }
    say("seen %d, readable for nothing %d times", a.seen, turns);
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* ---- Errors of new and add ---- */

START_TEST(refused) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, 4, 1, NULL);
    int file = open("/dev/null", O_RDWR);
    OPEN(ring_buffer__new(-1, on_record, &a, NULL));
    OPEN(ring_buffer__new(1000000, on_record, &a, NULL));
    OPEN(ring_buffer__new(file, on_record, &a, NULL));
    OPEN(ring_buffer__new(array, on_record, &a, NULL));
    struct {
        struct ring_buffer_opts opts;
        uint64_t more;
    } options = {.opts.sz = sizeof(struct ring_buffer_opts)};
    struct ring_buffer *rb;
    rb = OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    ring_buffer__free(rb);
    options.opts.sz = sizeof(options);
    rb = OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    ring_buffer__free(rb);
    options.more = 1;
    OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    options.opts.sz = 4;
    OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    rb = open_sink(ring, &a);
    CALL(ring_buffer__add(rb, -1, on_record, &a));
    CALL(ring_buffer__add(rb, file, on_record, &a));
    CALL(ring_buffer__add(rb, array, on_record, &a));
    CALL(ring_buffer__add(rb, ring_fd(ring), on_record, &a));
    emit_some(ring, 2);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    close(file);
    close(array);
    produce__destroy(ring);
}
END_TEST

/* ---- Other consumers ---- */

/* Two consumers of one ring that take turns: each goes on where the other stopped. */
START_TEST(second_consumer) {
    struct sink a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *first = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, first, EPOLLIN));
    emit_some(ring, 4);
    a.fail_at = 2;
    a.result = -1;
    CALL(ring_buffer__poll(first, -1));
    struct ring_buffer *second = open_sink(ring, &b);
    CALL(ring_buffer__consume(second));
    emit_some(ring, 2);
    CALL(is_readable(epoll, 10000));
    CALL(ring_buffer__poll(first, -1));
    emit_some(ring, 2);
    CALL(ring_buffer__poll(second, -1));
    CALL(ring_buffer__poll(first, 0));
    int copy = dup(ring_fd(ring));
    CALL(ring_buffer__add(first, copy, on_record, &c));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(first));
    emit_discard(ring, 8, 0);
    CALL(ring_buffer__poll(second, -1));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(second));
    ring_buffer__free(first);
    emit_some(ring, 1);
    CALL(ring_buffer__poll(second, -1));
    ring_buffer__free(second);
    struct ring_buffer *third = open_sink(ring, &a);
    emit_some(ring, 1);
    CALL(ring_buffer__poll(third, -1));
    ring_buffer__free(third);
    close(copy);
    close(epoll);
    produce__destroy(ring);
}
END_TEST

static void open_until_the_end(struct produce *ring, int opened, int end) {
    struct sink a = {.name = "a"};
    char byte = 0;
    struct ring_buffer *rb = open_sink(ring, &a);
    if (write(opened, &byte, 1) == 1) {
        (void)!read(end, &byte, 1);
    }
    ring_buffer__free(rb);
}

/* Another process has the ring, which it does not read. */
START_TEST(second_process) {
    struct sink b = {.name = "b"};
    struct produce *ring = load_ring(pages(1));
    int opened[2], end[2], status;
    char byte;
    ck_assert_int_eq(pipe(opened), 0);
    ck_assert_int_eq(pipe(end), 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        open_until_the_end(ring, opened[1], end[0]);
        exit(0);
    }
    ck_assert_int_eq(read(opened[0], &byte, 1), 1);
    struct ring_buffer *rb = open_sink(ring, &b);
    emit_some(ring, 3);
    CALL(ring_buffer__poll(rb, -1));
    emit_some(ring, 2);
    CALL(ring_buffer__consume(rb));
    close(end[1]);
    waitpid(child, &status, 0);
    say("the other: %d", status);
    emit_some(ring, 1);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* Without descriptors for rbcore libbpf reads, which needs fewer. */
START_TEST(few_descriptors) {
    struct sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *first = open_sink(ring, &a);
    struct rlimit limit;
    int next = dup(STDIN_FILENO);
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)next + 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct ring_buffer *second = open_sink(other, &b);
    emit_some(ring, 1);
    emit_some(other, 2);
    CALL(ring_buffer__consume(first));
    CALL(ring_buffer__consume(second));
    ring_buffer__free(second);
    ring_buffer__free(first);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

/* The caller closes his descriptor, and another map gets its number. */
static struct ring_buffer *open_and_close(struct produce *ring, struct produce *other,
                                          struct sink *sink) {
    int fd = dup(ring_fd(ring));
    struct ring_buffer *rb = ring_buffer__new(fd, on_record, sink, NULL);
    ck_assert_ptr_nonnull(rb);
    ck_assert_int_eq(dup2(ring_fd(other), fd), fd);
    return rb;
}

START_TEST(closed_descriptor) {
    struct sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *first = open_and_close(ring, other, &a);
    emit_some(other, 1);
    emit_some(ring, 2);
    CALL(ring_buffer__poll(first, -1));
    struct ring_buffer *second = open_sink(ring, &b);
    emit_some(ring, 2);
    CALL(ring_buffer__consume(first));
    CALL(ring_buffer__consume(second));
    ring_buffer__free(second);
    ring_buffer__free(first);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

START_TEST(closed_descriptor_in_child) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_and_close(ring, other, &a);
    emit_some(other, 1);
    emit_some(ring, 2);
    pid_t child = fork();
    if (child == 0) {
        CALL(ring_buffer__poll(rb, 10000));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ring_buffer__free(rb);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

/* Closes all descriptors that it does not know, and opens files that get their numbers. */
static void be_a_daemon(void) {
    struct sink a = {.name = "a"};
    for (int fd = STDERR_FILENO + 1; fd < 1000; fd++) {
        close(fd);
    }
    for (int i = 0; i < 8; i++) {
        open("data", O_CREAT | O_WRONLY | O_APPEND, 0600);
    }
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_some(ring, 2);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(ring);
}

START_TEST(in_daemon) {
    pid_t child = fork();
    if (child == 0) {
        be_a_daemon();
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    /* (What the test's own frame writes at its end may be there.) */
    char data[4096] = "";
    FILE *file = fopen("data", "r");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(data, 1, sizeof(data) - 1, file);
    fclose(file);
    unlink("data");
    say("child: %d, statistics in its file: %d", status,
        memmem(data, length, "rbcore: ", 8) != NULL);
}
END_TEST

/* An event loop of a child, with the descriptor that the parent asked for, which is gone. */
static void loop_in_orphan(struct produce *ring, struct ring_buffer *rb, int fd, pid_t parent) {
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    while (getppid() == parent) {
        sleep_ms(1);
    }
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    for (int i = 0; i < 3; i++) {
        CALL(is_readable(epoll, 0));
        emit_some(ring, 2);
        CALL(is_readable(epoll, 2000));
        CALL(ring_buffer__consume(rb));
    }
}

START_TEST(event_loop_in_orphan) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    int ends[2];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct ring_buffer *rb = open_sink(ring, &a);
        int fd = ring_buffer__epoll_fd(rb);
        pid_t self = getpid();
        if (fork() == 0) {
            loop_in_orphan(ring, rb, fd, self);
            exit(0);
        }
        _exit(0);
    }
    close(ends[1]);
    waitpid(parent, NULL, 0);
    ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* the end of both */
    close(ends[0]);
    produce__destroy(ring);
}
END_TEST

static _Atomic bool is_over;

static void *open_and_free(void *argument) {
    struct sink a = {.name = "a"}, b = {.name = "b"};
    while (!is_over) {
        struct ring_buffer *first = ring_buffer__new(ring_fd(argument), on_record, &a, NULL);
        struct ring_buffer *second = ring_buffer__new(ring_fd(argument), on_record, &b, NULL);
        ring_buffer__free(second);
        ring_buffer__free(first);
    }
    return NULL;
}

/* A child of a process that was opening rings at that moment opens its own. */
START_TEST(in_child_of_threads) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    pthread_t thread;
    int status, ended = 0;
    pthread_create(&thread, NULL, open_and_free, other);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(10); /* it hangs */
            struct ring_buffer *rb = ring_buffer__new(ring_fd(ring), on_record, &a, NULL);
            ring_buffer__free(rb);
            _exit(rb == NULL);
        }
        waitpid(child, &status, 0);
        ended += status == 0;
        if (status != 0) {
            break;
        }
    }
    is_over = true;
    pthread_join(thread, NULL);
    say("children that ended well: %d", ended);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

START_TEST(in_child) {
    struct sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb));
    ring_buffer__free(rb);
    rb = open_sink(ring, &a);
    CALL(ring_buffer__add(rb, ring_fd(other), on_record, &b));
    emit_some(ring, 2);
    CALL(ring_buffer__consume(rb));
    emit_some(ring, 2);
    emit_some(other, 1);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        CALL(ring_buffer__poll(rb, 10000));
        CALL(ring_buffer__consume(rb));
        emit_some(ring, 2);
        CALL(ring_buffer__poll(rb, 10000));
        CALL(ring_buffer__poll(rb, 10));
        ring_buffer__free(rb);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("child: %d", status);
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

/* ---- What newer versions have; this program may be compiled with an older header ---- */

static struct {
    struct ring *(*ring)(struct ring_buffer *, unsigned int);
    unsigned long (*consumer_pos)(const struct ring *);
    unsigned long (*producer_pos)(const struct ring *);
    size_t (*avail_data_size)(const struct ring *);
    size_t (*size)(const struct ring *);
    int (*map_fd)(const struct ring *);
    int (*consume)(struct ring *);
    int (*consume_n)(struct ring *, size_t);
    int (*consume_all_n)(struct ring_buffer *, size_t);
} newer;

static void load_newer(void) {
    *(void **)(&newer.ring) = dlsym(RTLD_DEFAULT, "ring_buffer__ring");
    *(void **)(&newer.consumer_pos) = dlsym(RTLD_DEFAULT, "ring__consumer_pos");
    *(void **)(&newer.producer_pos) = dlsym(RTLD_DEFAULT, "ring__producer_pos");
    *(void **)(&newer.avail_data_size) = dlsym(RTLD_DEFAULT, "ring__avail_data_size");
    *(void **)(&newer.size) = dlsym(RTLD_DEFAULT, "ring__size");
    *(void **)(&newer.map_fd) = dlsym(RTLD_DEFAULT, "ring__map_fd");
    *(void **)(&newer.consume) = dlsym(RTLD_DEFAULT, "ring__consume");
    *(void **)(&newer.consume_n) = dlsym(RTLD_DEFAULT, "ring__consume_n");
    *(void **)(&newer.consume_all_n) = dlsym(RTLD_DEFAULT, "ring_buffer__consume_n");
}

static void say_positions(struct ring_buffer *rb) {
    const struct ring *r = newer.ring(rb, 0);
    say("  consumer %lu, producer %lu, available %zu", newer.consumer_pos(r), newer.producer_pos(r),
        newer.avail_data_size(r));
}

static void positions_in_callback(struct sink *sink) {
    say_positions(sink->rings);
}

START_TEST(positions) {
    struct sink a = {.name = "a", .act = positions_in_callback, .act_at = -1};
    struct produce *ring = load_ring(pages(2));
    struct ring_buffer *rb = open_sink(ring, &a);
    load_newer();
    struct ring *r = OPEN(newer.ring(rb, 0));
    OPEN(newer.ring(rb, 1));
    OPEN(newer.ring(rb, UINT32_MAX));
    say("size %zu, same descriptor %d", newer.size(r), newer.map_fd(r) == ring_fd(ring));
    say_positions(rb);
    for (int i = 0; i < 4; i++) {
        emit_some(ring, 3);
        emit_discard(ring, 40, 0);
        emit_some(ring, 2);
        emit_discard(ring, 40, 0);
        say_positions(rb);
        a.fail_at = i == 2 ? a.seen + 3 : 0;
        a.result = -1;
        if (i == 0) {
            CALL(newer.consume(r));
        } else if (i == 1) {
            CALL(ring_buffer__poll(rb, -1));
        } else {
            CALL(ring_buffer__consume(rb));
        }
        say_positions(rb);
    }
    emit_discard(ring, 40, 0);
    CALL(newer.consume(r));
    say_positions(rb);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(ring_in_child) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    load_newer();
    struct ring *r = newer.ring(rb, 0);
    emit_some(ring, 2);
    CALL(newer.consume(r));
    emit_some(ring, 3);
    pid_t child = fork();
    if (child == 0) {
        say_positions(rb);
        CALL(newer.consume(r));
        say_positions(rb);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(size_of_second) {
    struct sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(2));
    struct ring_buffer *first = open_sink(ring, &a), *second = open_sink(ring, &b);
    load_newer();
    say("sizes %zu, %zu", newer.size(newer.ring(first, 0)), newer.size(newer.ring(second, 0)));
    ring_buffer__free(second);
    ring_buffer__free(first);
    produce__destroy(ring);
}
END_TEST

START_TEST(limits) {
    struct sink sinks[] = {{.name = "a"}, {.name = "b"}};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &sinks[0]);
    load_newer();
    CALL(ring_buffer__add(rb, ring_fd(other), on_record, &sinks[1]));
    struct ring *r = OPEN(newer.ring(rb, 1));
    CALL(newer.consume_all_n(rb, 5));
    for (int i = 0; i < 2; i++) {
        emit_some(ring, 4);
        emit_discard(ring, 8, 0);
        emit_some(ring, 1);
        emit_some(other, 4);
        CALL(newer.consume_all_n(rb, 1));
        CALL(newer.consume_all_n(rb, 2));
        CALL(newer.consume_n(r, 2));
        CALL(newer.consume_all_n(rb, 1));
        say_positions(rb);
        CALL(newer.consume_all_n(rb, 2));
        emit_some(ring, 1);
        sinks[0].fail_at = sinks[0].seen + 1;
        sinks[0].result = -9;
        CALL(newer.consume_all_n(rb, 3));
        CALL(newer.consume_all_n(rb, i == 0 ? SIZE_MAX : (size_t)INT32_MAX));
        CALL(newer.consume(r));
    }
    /* 0 is no limit that libbpf knows: one record, and of further rings all. */
    emit_some(ring, 3);
    emit_some(other, 3);
    CALL(newer.consume_n(r, 0));
    CALL(newer.consume_all_n(rb, 0));
    CALL(ring_buffer__poll(rb, 0));
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

/* A limit leaves the rest for the event loop. */
START_TEST(event_loop_with_limits) {
    struct sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    load_newer();
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    for (int i = 0; i < 3; i++) {
        emit_some(ring, 5);
        while (is_readable(epoll, 0) > 0) {
            CALL(newer.consume_all_n(rb, 2));
        }
    }
    emit_some(ring, 2);
    CALL(newer.consume_all_n(rb, 2));
    CALL(is_readable(epoll, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* A thread for each ring of one ring_buffer. */
static void *consume_ring(void *argument) {
    int total = 0, result = 0;
    while (total < 20000 && result >= 0) {
        result = newer.consume(argument);
        total += result;
    }
    say("thread: %d", total);
    return NULL;
}

START_TEST(thread_for_each_ring) {
    struct check_order checks[2] = {{0}, {0}};
    struct produce *rings[] = {load_ring(pages(256)), load_ring(pages(256))};
    struct ring_buffer *rb = ring_buffer__new(ring_fd(rings[0]), check_event, &checks[0], NULL);
    CALL(ring_buffer__add(rb, ring_fd(rings[1]), check_event, &checks[1]));
    load_newer();
    pthread_t threads[4];
    for (unsigned int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, consume_ring, newer.ring(rb, i));
        pthread_create(&threads[2 + i], NULL, produce_bursts, rings[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    say("errors %d %d", checks[0].errors, checks[1].errors);
    ring_buffer__free(rb);
    produce__destroy(rings[0]);
    produce__destroy(rings[1]);
}
END_TEST

static const struct scenario {
    const char *name;
    const TTest *const *test;
    unsigned int libbpf_minor; /* the oldest libbpf 1.x that has what it calls */
} scenarios[] = {
    {"order", &order, 0},
    {"callback_errors", &callback_errors, 0},
    {"callback_errors_of_two", &callback_errors_of_two, 0},
    {"what_is_left", &what_is_left, 0},
    {"discards", &discards, 0},
    {"discards_of_two", &discards_of_two, 0},
    {"flags", &flags, 0},
    {"space", &space, 0},
    {"several", &several, 0},
    {"add_in_callback", &add_in_callback, 3},
    {"calls_in_callback", &calls_in_callback, 0},
    {"equal_records", &equal_records, 0},
    {"large_records", &large_records, 0},
    {"timeouts", &timeouts, 0},
    {"consume_beside_a_wait", &consume_beside_a_wait, 0},
    {"cancelled", &cancelled, 0},
    {"never_early", &never_early, 0},
    {"interrupted", &interrupted, 0},
    {"interrupted_of_two", &interrupted_of_two, 0},
    {"under_load", &under_load, 0},
    {"event_loop", &event_loop, 0},
    {"event_loop_turns", &event_loop_turns, 0},
    {"event_loop_late", &event_loop_late, 0},
    {"event_loop_under_load", &event_loop_under_load, 0},
    {"own_epoll", &own_epoll, 0},
    {"refused", &refused, 0},
    {"second_consumer", &second_consumer, 0},
    {"second_process", &second_process, 0},
    {"few_descriptors", &few_descriptors, 0},
    {"closed_descriptor", &closed_descriptor, 0},
    {"closed_descriptor_in_child", &closed_descriptor_in_child, 0},
    {"in_daemon", &in_daemon, 0},
    {"event_loop_in_orphan", &event_loop_in_orphan, 0},
    {"in_child", &in_child, 0},
    {"in_child_of_threads", &in_child_of_threads, 0},
    {"positions", &positions, 3},
    {"ring_in_child", &ring_in_child, 3},
    {"size_of_second", &size_of_second, 3},
    {"limits", &limits, 5},
    {"event_loop_with_limits", &event_loop_with_limits, 5},
    {"thread_for_each_ring", &thread_for_each_ring, 3},
};

static int run(const struct scenario *self, bool always) {
    if (!always && libbpf_major_version() == 1 && libbpf_minor_version() < self->libbpf_minor) {
        return TOO_OLD;
    }
    Suite *suite = suite_create("calls");
    add_test(suite, *self->test);
    return run_tests(suite, NULL);
}

int main(int argc, char **argv) {
    libbpf_set_print(NULL);
    for (size_t i = 0; argc >= 2 && i < sizeof(scenarios) / sizeof(*scenarios); i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0) {
            return run(&scenarios[i], argc > 2);
        }
    }
    fprintf(stderr, "usage: calls SCENARIO [always]\n");
    return 2;
}
