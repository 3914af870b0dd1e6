/* SPDX-License-Identifier: MIT */
/* Waiting: timeouts, wakeups, interrupt, flush, shutdown, signals, and the pollable descriptor. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

/* A second thread, which does something to a waiting reader after delay_ms. */
typedef struct helper {
    pthread_t thread;
    void (*act)(struct helper *);
    fixture *fixture;
    void *data;
    const rbcore_record *records;
    size_t n;
    unsigned int delay_ms;
    int result;
} helper;

static void *helper_run(void *argument) {
    helper *self = argument;
    sleep_ms(self->delay_ms);
    self->act(self);
    return NULL;
}

static void helper_start(helper *self) {
    ok(pthread_create(&self->thread, NULL, helper_run, self));
}

static void helper_join(helper *self) {
    ok(pthread_join(self->thread, NULL));
    ok(self->result);
}

static void act_produce(helper *self) {
    uint64_t value = 42;
    self->result = rbcore_producer_output(self->fixture->producer, &value, sizeof(value), 0);
}

static void act_submit(helper *self) {
    memcpy(self->data, &(uint64_t){42}, 8);
    self->result = rbcore_producer_submit(self->fixture->producer, self->data, 0);
}

static void act_interrupt(helper *self) {
    self->result = rbcore_reader_interrupt(self->fixture->reader);
}

static void act_flush(helper *self) {
    self->result = rbcore_reader_flush(self->fixture->reader);
}

static void act_shutdown(helper *self) {
    self->result = rbcore_reader_shutdown(self->fixture->reader);
}

static void act_release(helper *self) {
    self->result = rbcore_reader_release(self->fixture->reader, self->records, self->n);
}

START_TEST(the_time_is_up) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), 0);
    const int64_t cases[] = {1, 1000, 300000, 20 * MILLISECOND, 70 * MILLISECOND + 1};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t start = now_ns();
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, cases[i]), 0);
        ck_assert_int_ge(now_ns() - start, cases[i]);
    }
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), 1);
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, INT64_MAX), 1);
    fixture_close(&f);
}
END_TEST

START_TEST(a_record_wakes) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    const int64_t timeouts[] = {RBCORE_FOREVER, WATCHDOG_NS, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        helper h = {.act = act_produce, .fixture = &f, .delay_ms = 20};
        helper_start(&h);
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, timeouts[i]), 1);
        ck_assert_uint_eq(value_of(&record), 42);
        helper_join(&h);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    ck_assert_uint_ge(reader_stats(f.reader).wakeups, 1);
    fixture_close(&f);
}
END_TEST

/*
 * The reader is woken at once: far quicker than any timer of a loop that only looks again now and
 * then.
 */
START_TEST(a_record_makes_the_fd_readable) {
    fixture f = fixture_open(page_size(), 0);
    int fd = rbcore_reader_fd(f.reader);
    rbcore_record records[8];
    ck_assert_int_ge(fd, 0);
    for (uint64_t i = 0; i < 50; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 0);
        ck_assert(!readable(fd, 0));
        produce(&f, i);
        produce(&f, i);
        ck_assert(readable(fd, WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 2);
        /* This comes before the empty read: one with records uncommitted would start the timer. */
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    fixture_close(&f);
}
END_TEST

/* The descriptor says what it said before, and the read that follows finds what there is. */
START_TEST(a_look_leaves_the_fd_as_it_is) {
    fixture f = fixture_open(page_size(), 0);
    int fd = rbcore_reader_fd(f.reader);
    rbcore_record records[8];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 0);
    produce(&f, 1);
    ck_assert(readable(fd, WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_look(f.reader, records, 8), 1);
    ck_assert_uint_eq(value_of(&records[0]), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_look(f.reader, records, 8), 0);
    sleep_ms(1); /* longer than a timer that it would have started */
    ck_assert(readable(fd, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 0);
    ck_assert(!readable(fd, 0));
    /* The read armed it, and looks do not disarm it. */
    ck_assert_int_eq(rbcore_reader_look(f.reader, records, 8), 0);
    produce(&f, 2);
    ck_assert(readable(fd, WATCHDOG_MS));
    ok(rbcore_reader_interrupt(f.reader));
    ck_assert_int_eq(rbcore_reader_look(f.reader, records, 8), -ECANCELED);
    ck_assert_int_eq(rbcore_reader_look(f.reader, records, 8), 1);
    ck_assert_int_eq(rbcore_reader_look(f.reader, records, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_look(f.reader, NULL, 1), -EINVAL);
    ck_assert_int_eq(rbcore_reader_look(NULL, records, 1), -EINVAL);
    fixture_close(&f);
}
END_TEST

static void discard(const fixture *self) {
    void *data;
    ok(rbcore_producer_reserve(self->producer, &data, 8));
    ok(rbcore_producer_discard(self->producer, data, 0));
}

START_TEST(discards_do_not_end_a_wait) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    int64_t start = now_ns();
    discard(&f);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 20 * MILLISECOND), 0);
    ck_assert_int_ge(now_ns() - start, 20 * MILLISECOND);
    fixture_close(&f);
}
END_TEST

START_TEST(no_wakeup_and_flush) {
    fixture f = fixture_open(page_size(), 0);
    int fd = rbcore_reader_fd(f.reader);
    rbcore_record records[8];
    uint64_t value = 5;
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 0);
    for (int i = 0; i < 3; i++) {
        ok(rbcore_producer_output(f.producer, &value, 8, RBCORE_NO_WAKEUP));
    }
    ck_assert(!readable(fd, 50));
    ok(rbcore_reader_flush(f.reader));
    ok(rbcore_reader_flush(f.reader));
    ck_assert(readable(fd, WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), -ENODATA);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 0);
    ck_assert(!readable(fd, 0));
    fixture_close(&f);
}
END_TEST

START_TEST(flush_wakes_a_wait) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[8];
    uint64_t value = 5;
    helper h = {.act = act_flush, .fixture = &f, .delay_ms = 20};
    helper_start(&h);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, RBCORE_FOREVER), -ENODATA);
    helper_join(&h);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, 0), 0);
    ok(rbcore_producer_output(f.producer, &value, 8, RBCORE_NO_WAKEUP));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, RBCORE_FOREVER), 1);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, RBCORE_FOREVER), -ENODATA);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, 0), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(flush_does_not_wait_for_a_busy_record) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[8];
    void *data;
    produce(&f, 1);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    produce(&f, 2);
    ok(rbcore_reader_flush(f.reader));
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, RBCORE_FOREVER), 1);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, RBCORE_FOREVER), -ENODATA);
    memcpy(data, &(uint64_t){7}, 8);
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, WATCHDOG_NS), 2);
    ck_assert_uint_eq(value_of(&records[0]), 7);
    fixture_close(&f);
}
END_TEST

/* A flush is about what was there when it was noticed: a steady producer cannot keep it open. */
START_TEST(flush_ends_under_load) {
    fixture f = fixture_open(page_size(), 0);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record records[4];
    produce(&f, 1);
    produce(&g, 1);
    ok(rbcore_reader_flush(f.reader));
    int result = 1, calls = 0;
    while (result > 0 && calls++ < 100) {
        produce(&f, 2);
        produce(&g, 2);
        result = rbcore_reader_read(f.reader, records, 4);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    ck_assert_int_eq(result, -ENODATA);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

START_TEST(interrupt_is_delivered_once) {
    fixture f = fixture_open(page_size(), 0);
    int fd = rbcore_reader_fd(f.reader);
    rbcore_record record;
    for (int i = 0; i < 3; i++) {
        ok(rbcore_reader_interrupt(f.reader));
    }
    ck_assert(readable(fd, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ECANCELED);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    ck_assert(!readable(fd, 0));
    ok(rbcore_reader_interrupt(f.reader));
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -ECANCELED);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, MILLISECOND), 0);
    /* It comes before records, and takes none. */
    produce(&f, 9);
    ok(rbcore_reader_interrupt(f.reader));
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -ECANCELED);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
    ck_assert_uint_eq(value_of(&record), 9);
    fixture_close(&f);
}
END_TEST

START_TEST(interrupt_from_a_thread) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    for (int i = 0; i < 5; i++) {
        helper h = {.act = act_interrupt, .fixture = &f, .delay_ms = 10};
        helper_start(&h);
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -ECANCELED);
        helper_join(&h);
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), 0);
    }
    fixture_close(&f);
}
END_TEST

static rbcore_reader *signal_reader;
static volatile sig_atomic_t signals;

static void on_signal(int number) {
    (void)number;
    signals++;
    if (signal_reader) {
        rbcore_reader_interrupt(signal_reader);
    }
}

/* One signal is not enough to meet a wait: it may come before. So they keep coming. */
static void signals_start(rbcore_reader *reader, unsigned int interval_ms) {
    signal_reader = reader;
    signals = 0;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, (suseconds_t)interval_ms * 1000}, {0, 20000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void signals_stop(void) {
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
}

START_TEST(interrupt_from_a_signal_handler) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    signals_start(f.reader, 0);
    int result;
    do {
        result = rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER);
    } while (result == -EINTR);
    ck_assert_int_eq(result, -ECANCELED);
    ck_assert_int_eq(signals, 1);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), 0);
    signals_stop();
    fixture_close(&f);
}
END_TEST

START_TEST(a_signal_ends_an_endless_wait) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    signals_start(NULL, 20);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -EINTR);
    ck_assert_int_ge(signals, 1);
    /* The same while records are uncommitted, when the wait consists of many short ones. */
    produce(&f, 1);
    int result;
    while ((result = rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER)) == -EINTR) {
    }
    ck_assert_int_eq(result, 1);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -EINTR);
    signals_stop();
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
    ck_assert_uint_eq(value_of(&record), 2);
    fixture_close(&f);
}
END_TEST

static int wait_without_end(void *argument) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    if (write(*(int *)argument, "", 1) != 1) {
        return 1;
    }
    return -rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER);
}

/* There is no handler. (The kernel restarts many calls then, but not a wait for an epoll.) */
START_TEST(the_process_was_stopped_and_continued) {
    int ready[2];
    char byte;
    ok(pipe(ready));
    pid_t child = start_child(wait_without_end, &ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        sleep_ms(10); /* until it waits */
        ok(kill(child, SIGSTOP));
        ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
        if (WIFSTOPPED(status)) {
            ok(kill(child, SIGCONT));
        }
        sleep_ms(10);
    }
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EINTR);
}
END_TEST

static void *wait_for_a_record(void *argument) {
    helper *self = argument;
    rbcore_record record;
    const int64_t timeout = self->result == 0 ? RBCORE_FOREVER : 20000 * MILLISECOND;
    self->result = rbcore_reader_next(self->fixture->reader, &record, 1, timeout);
    return NULL;
}

/* The wait has a timeout, or none. Records that come afterwards are another thread's. */
START_TEST(a_cancelled_wait) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    for (int with_timeout = 0; with_timeout < 2; with_timeout++) {
        helper h = {.fixture = &f, .result = with_timeout};
        void *result;
        ok(pthread_create(&h.thread, NULL, wait_for_a_record, &h));
        sleep_ms(20);
        ok(pthread_cancel(h.thread));
        ok(pthread_join(h.thread, &result));
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
        produce(&f, 7);
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
        ck_assert_uint_eq(value_of(&record), 7);
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
        produce(&f, 8);
        ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    fixture_close(&f);
}
END_TEST

START_TEST(shutdown_ends_a_wait) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    helper h = {.act = act_shutdown, .fixture = &f, .delay_ms = 20};
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    helper_start(&h);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -ESHUTDOWN);
    helper_join(&h);
    produce(&f, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ESHUTDOWN);
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), -ESHUTDOWN);
    }
    fixture other = {0};
    ok(rbcore_memory_ring_create(&other.memory_fd, &other.event_fd, page_size(), 0));
    rbcore_source source = memory_source(other.memory_fd, other.event_fd);
    ck_assert_int_eq(rbcore_reader_add(f.reader, &source), -ESHUTDOWN);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 16);
    ok(rbcore_reader_shutdown(f.reader));
    close(other.memory_fd);
    close(other.event_fd);
    fixture_close(&f);
}
END_TEST

START_TEST(shutdown_ends_an_event_loop) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    helper h = {.act = act_shutdown, .fixture = &f, .delay_ms = 20};
    helper_start(&h);
    ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ESHUTDOWN);
    helper_join(&h);
    fixture_close(&f);
}
END_TEST

/* The looks of a timer in ms, after 50 us, 100 us, ... 6.4 ms, and then every 10 ms; and a few. */
#define LOOKS_IN(ms) (8 + (ms) / 10 + 10)

/* 300 ms in which only this timer may run; a spinning wait would take all of it. */
static void expect_idle_wait(fixture *f) {
    rbcore_record record;
    int64_t cpu = cpu_ns();
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    ck_assert_int_eq(rbcore_reader_next(f->reader, &record, 1, 300 * MILLISECOND), 0);
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_lt(cpu_ns() - cpu, 150 * MILLISECOND);
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, LOOKS_IN(300));
}

START_TEST(a_wait_with_records_uncommitted) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[2];
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 1);
    expect_idle_wait(&f);
    helper h = {.act = act_produce, .fixture = &f, .delay_ms = 30};
    helper_start(&h);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 2, RBCORE_FOREVER), 1);
    ck_assert_uint_eq(value_of(records), 42);
    helper_join(&h);
    fixture_close(&f);
}
END_TEST

START_TEST(an_event_loop_with_records_uncommitted) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[2];
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 1);
    /* An event loop as the header wants it: it must come to rest, not turn all the time. */
    int64_t cpu = cpu_ns();
    int64_t start = now_ns();
    unsigned int turns = 0;
    while (now_ns() - start < 200 * MILLISECOND) {
        if (readable(rbcore_reader_fd(f.reader), 200)) {
            turns++;
            ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 0);
        }
    }
    ck_assert_int_lt(cpu_ns() - cpu, 100 * MILLISECOND);
    ck_assert_uint_le(turns, LOOKS_IN(200));
    /* A record that nothing wakes for is found all the same. */
    produce(&f, 2);
    ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 1);
    fixture_close(&f);
}
END_TEST

START_TEST(a_wait_for_a_busy_head) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[4];
    void *data;
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    produce(&f, 43);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, 0), 0);
    expect_idle_wait(&f);
    helper h = {.act = act_submit, .fixture = &f, .data = data, .delay_ms = 30};
    helper_start(&h);
    ck_assert_int_ge(rbcore_reader_next(f.reader, records, 4, RBCORE_FOREVER), 1);
    ck_assert_uint_eq(value_of(records), 42);
    helper_join(&h);
    fixture_close(&f);
}
END_TEST

START_TEST(a_busy_head_wakes_by_its_own_submit) {
    fixture f = fixture_open(page_size(), 0);
    int fd = rbcore_reader_fd(f.reader);
    rbcore_record records[4];
    void *data;
    for (int i = 0; i < 20; i++) {
        ok(rbcore_producer_reserve(f.producer, &data, 8));
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
        produce(&f, 2);
        ok(rbcore_producer_submit(f.producer, data, 0));
        ck_assert(readable(fd, WATCHDOG_MS));
        ck_assert_int_eq(read_to_end(f.reader, records, 4), 2);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    fixture_close(&f);
}
END_TEST

/*
 * Empty reads with records uncommitted, until the reader looks by itself only each 10 ms: so that
 * what comes at once did not come by the timer.
 */
static void lengthen_the_timer(rbcore_reader *reader) {
    rbcore_record record;
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    }
}

/*
 * The named case: all read, an empty read, a record arrives (nobody is woken for it, for the
 * records before it are uncommitted), all is given back, and only then the reader waits.
 */
static void the_named_case(uint32_t flags, bool from_a_thread, bool by_poll) {
    fixture f = fixture_open(page_size(), flags);
    rbcore_record records[4];
    for (int i = 0; i < 20; i++) {
        produce(&f, 1);
        produce(&f, 2);
        ck_assert_int_eq(read_to_end(f.reader, records, 4), 2);
        lengthen_the_timer(f.reader);
        produce(&f, 3);
        helper h = {.act = act_release, .fixture = &f, .records = records, .n = 2};
        if (from_a_thread) {
            h.delay_ms = i % 2 ? 5 : 0;
            helper_start(&h);
        } else if (flags & RBCORE_READER_RELEASE) {
            ok(rbcore_reader_release(f.reader, records, 2));
        } else {
            ok(rbcore_reader_commit(f.reader, NULL, 0));
        }
        rbcore_record record;
        if (by_poll && !from_a_thread) {
            ck_assert_msg(readable(rbcore_reader_fd(f.reader), 0), "not woken by giving back");
        }
        if (by_poll) {
            ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
            ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
        } else {
            ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
        }
        ck_assert_uint_eq(value_of(&record), 3);
        if (from_a_thread) {
            helper_join(&h);
        }
        ok(flags & RBCORE_READER_RELEASE ? rbcore_reader_release(f.reader, &record, 1)
                                         : rbcore_reader_commit(f.reader, NULL, 0));
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    }
    fixture_close(&f);
}

START_TEST(commit_after_an_empty_read) {
    the_named_case(0, false, false);
    the_named_case(0, false, true);
}
END_TEST

START_TEST(release_after_an_empty_read) {
    the_named_case(RBCORE_READER_RELEASE, false, false);
    the_named_case(RBCORE_READER_RELEASE, false, true);
    the_named_case(RBCORE_READER_RELEASE, true, false);
    the_named_case(RBCORE_READER_RELEASE, true, true);
}
END_TEST

static void in_foreign_epoll(uint32_t mode) {
    fixture f = fixture_open(page_size(), 0);
    fixture g = fixture_add(f.reader, page_size());
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | mode, .data = {.u32 = 77}};
    ok(epoll_ctl(outer, EPOLL_CTL_ADD, rbcore_reader_fd(f.reader), &event));
    rbcore_record records[8];
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 0);
        /* Read until 0: not readable. */
        ck_assert_int_eq(epoll_wait(outer, &event, 1, 0), 0);
        produce(i % 2 ? &f : &g, 1);
        produce(&g, 2);
        ck_assert_int_eq(epoll_wait(outer, &event, 1, WATCHDOG_MS), 1);
        ck_assert_uint_eq(event.data.u32, 77);
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 2);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    close(outer);
    fixture_drop(&g);
    fixture_close(&f);
}

START_TEST(level_triggered_epoll) {
    in_foreign_epoll(0);
}
END_TEST

START_TEST(edge_triggered_epoll) {
    in_foreign_epoll(EPOLLET);
}
END_TEST

static void *produce_now_and_then(void *argument) {
    fixture *f = argument;
    uint64_t random = 17;
    for (uint64_t i = 0; i < 20000; i++) {
        while (rbcore_producer_output(f->producer, &i, sizeof(i), 0) == -EAGAIN) {
            sleep_ms(1);
        }
        if (random_next(&random) % 64 == 0) {
            struct timespec pause = {0, random_next(&random) % 100000};
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

/* No timer helps here: each wakeup that is lost ends in the watchdog. */
START_TEST(no_wakeup_is_lost) {
    fixture f = fixture_open(page_size(), 0);
    pthread_t thread;
    rbcore_record records[32];
    uint64_t expected = 0, random = 18;
    ok(pthread_create(&thread, NULL, produce_now_and_then, &f));
    while (expected < 20000) {
        int n = rbcore_reader_read(f.reader, records, 1 + random_next(&random) % 32);
        ck_assert_int_ge(n, 0);
        for (int i = 0; i < n; i++) {
            ck_assert_uint_eq(value_of(&records[i]), expected++);
        }
        /* Commit before waiting, or after the empty read: both are allowed. */
        if (random_next(&random) % 2) {
            ok(rbcore_reader_commit(f.reader, NULL, 0));
        }
        if (n == 0 && expected < 20000) {
            ok(rbcore_reader_commit(f.reader, NULL, 0));
            ck_assert_msg(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS), "lost a wakeup at %d",
                          (int)expected);
        }
    }
    ok(pthread_join(thread, NULL));
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_time_is_up,
                                  a_record_wakes,
                                  a_record_makes_the_fd_readable,
                                  a_look_leaves_the_fd_as_it_is,
                                  discards_do_not_end_a_wait,
                                  no_wakeup_and_flush,
                                  flush_wakes_a_wait,
                                  flush_does_not_wait_for_a_busy_record,
                                  flush_ends_under_load,
                                  interrupt_is_delivered_once,
                                  interrupt_from_a_thread,
                                  interrupt_from_a_signal_handler,
                                  a_signal_ends_an_endless_wait,
                                  the_process_was_stopped_and_continued,
                                  a_cancelled_wait,
                                  shutdown_ends_a_wait,
                                  shutdown_ends_an_event_loop,
                                  a_wait_with_records_uncommitted,
                                  an_event_loop_with_records_uncommitted,
                                  a_wait_for_a_busy_head,
                                  a_busy_head_wakes_by_its_own_submit,
                                  commit_after_an_empty_read,
                                  release_after_an_empty_read,
                                  level_triggered_epoll,
                                  edge_triggered_epoll,
                                  no_wakeup_is_lost,
                                  NULL};
    return run_tests("waiting", tests);
}
