/* SPDX-License-Identifier: MIT */
/*
 * Wakeups on a kernel ring: none is lost, whatever the order of reading, committing and waiting; no
 * wait spins; no deadline is missed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support.h"

/* A thread that produces, gives back or commands beside the waiting one. */
typedef struct helper_thread {
    pthread_t thread;
    struct produce *ring;
    rbcore_reader *reader;
    rbcore_record record;
    pthread_t target;
    int64_t released_at;
} helper_thread;

static void start(helper_thread *helper, void *(*body)(void *)) {
    ck_assert_int_eq(pthread_create(&helper->thread, NULL, body, helper), 0);
}

static void finish(helper_thread *helper) {
    ck_assert_int_eq(pthread_join(helper->thread, NULL), 0);
}

static void *emit_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(100);
    emit(helper->ring, 8, 0, 0);
    return NULL;
}

static void emit_one(struct produce *ring) {
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
}

static void read_one(rbcore_reader *reader, rbcore_record *record) {
    ck_assert_int_eq(rbcore_reader_read(reader, record, 1), 1);
}

static void read_none(rbcore_reader *reader) {
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
}

static void wait_for_one(rbcore_reader *reader) {
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
}

/* The state in which the kernel wakes nobody: all read, an empty read, then a record arrives. */
static void read_all_read_none_and_emit(rbcore_reader *reader, struct produce *ring,
                                        rbcore_record *record) {
    emit_one(ring);
    read_one(reader, record);
    read_none(reader);
    emit_one(ring);
}

START_TEST(commit_after_an_arrival_then_wait) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    for (int i = 0; i < 200; i++) {
        read_all_read_none_and_emit(reader, ring, &record);
        ck_assert_int_eq(rbcore_reader_commit(reader, i % 2 ? &record : NULL, 0), 0);
        wait_for_one(reader);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(commit_after_an_arrival_then_poll) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    for (int i = 0; i < 50; i++) {
        read_all_read_none_and_emit(reader, ring, &record);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
        ck_assert(readable(rbcore_reader_fd(reader), WATCHDOG_MS));
        read_one(reader, &record);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

static void *release_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(20);
    if (rbcore_reader_release(helper->reader, &helper->record, 1)) {
        abort();
    }
    return NULL;
}

static void *release_now(void *context) {
    helper_thread *helper = context;
    if (rbcore_reader_release(helper->reader, &helper->record, 1)) {
        abort();
    }
    return NULL;
}

START_TEST(release_from_a_worker_while_waiting) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    helper.reader = open_ring(helper.ring, RBCORE_READER_RELEASE);
    for (int i = 0; i < 100; i++) {
        rbcore_record record;
        read_all_read_none_and_emit(helper.reader, helper.ring, &helper.record);
        start(&helper, i % 10 ? release_now : release_later);
        ck_assert_int_eq(rbcore_reader_next(helper.reader, &record, 1, WATCHDOG_NS), 1);
        finish(&helper);
        ck_assert_int_eq(rbcore_reader_release(helper.reader, &record, 1), 0);
    }
    rbcore_reader_free(helper.reader);
    produce__destroy(helper.ring);
}
END_TEST

START_TEST(release_from_a_worker_while_polling) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    helper.reader = open_ring(helper.ring, RBCORE_READER_RELEASE);
    for (int i = 0; i < 20; i++) {
        rbcore_record record;
        read_all_read_none_and_emit(helper.reader, helper.ring, &helper.record);
        start(&helper, i % 2 ? release_now : release_later);
        /* The timer makes it readable, too; then the reader finds the record all the same. */
        ck_assert(readable(rbcore_reader_fd(helper.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_next(helper.reader, &record, 1, WATCHDOG_NS), 1);
        finish(&helper);
        ck_assert_int_eq(rbcore_reader_release(helper.reader, &record, 1), 0);
    }
    rbcore_reader_free(helper.reader);
    produce__destroy(helper.ring);
}
END_TEST

static void *emit_and_release_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(30 + (unsigned int)rand() % 10);
    emit(helper->ring, 8, 0, 0);
    helper->released_at = now_ns();
    return release_now(helper);
}

static int compare(const void *a, const void *b) {
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/*
 * A wait looks by itself while a record is held, every 10 ms in the end: nobody wakes it for what
 * arrives. A release does, at once. Asked of the best quarter only, for the sake of busy machines;
 * by the timer alone it would take 2.5 ms or more for the others.
 */
START_TEST(release_wakes_at_once) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    int64_t delays[60];
    helper.reader = open_ring(helper.ring, RBCORE_READER_RELEASE);
    for (int i = 0; i < 60; i++) {
        rbcore_record record;
        emit_one(helper.ring);
        read_one(helper.reader, &helper.record);
        start(&helper, emit_and_release_later);
        ck_assert_int_eq(rbcore_reader_next(helper.reader, &record, 1, WATCHDOG_NS), 1);
        int64_t woken_at = now_ns();
        finish(&helper);
        delays[i] = woken_at - helper.released_at;
        ck_assert_int_eq(rbcore_reader_release(helper.reader, &record, 1), 0);
    }
    qsort(delays, 60, sizeof(*delays), compare);
    ck_assert_int_lt(delays[15], MILLISECOND);
    rbcore_reader_free(helper.reader);
    produce__destroy(helper.ring);
}
END_TEST

START_TEST(arrival_ends_a_wait) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = open_ring(helper.ring, 0);
    rbcore_record record;
    start(&helper, emit_later);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, RBCORE_FOREVER), 1);
    finish(&helper);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

static void *emit_many(void *context) {
    helper_thread *helper = context;
    for (int i = 0; i < 20000; i++) {
        while (emit(helper->ring, 8, 0, 0)) {
            sched_yield();
        }
    }
    return NULL;
}

/* Both go as fast as they can, so that arrivals meet every moment of a read, commit and wait. */
START_TEST(no_arrival_is_missed) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = open_ring(helper.ring, 0);
    rbcore_record records[3];
    int total = 0;
    start(&helper, emit_many);
    while (total < 20000) {
        int count = rbcore_reader_next(reader, records, 3, WATCHDOG_NS);
        ck_assert_int_gt(count, 0);
        total += count;
        if (total % 2) {
            ck_assert_int_ge(count = rbcore_reader_read(reader, records, 1), 0);
        } else {
            count = 0;
        }
        total += count;
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    finish(&helper);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

/*
 * Waits out timeout in vain: not less, and asleep, but for so many looks. (And a few times more: a
 * thread sleeps for other reasons as well.)
 */
static void wait_in_vain(rbcore_reader *reader, int64_t timeout, int64_t looks) {
    rbcore_record record;
    struct rusage before, after;
    int64_t began = now_ns(), cpu = thread_cpu_ns();
    getrusage(RUSAGE_THREAD, &before);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, timeout), 0);
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_ge(now_ns() - began, timeout);
    ck_assert_int_lt(now_ns() - began, WATCHDOG_NS);
    ck_assert_int_lt(thread_cpu_ns() - cpu, timeout / 3);
    ck_assert_int_lt(after.ru_nvcsw - before.ru_nvcsw, looks + 10);
}

START_TEST(wait_in_vain_with_all_committed) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    wait_in_vain(reader, 300 * MILLISECOND, 0);
    emit_one(ring);
    wait_for_one(reader);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    wait_in_vain(reader, 300 * MILLISECOND, 0);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* Part of a millisecond is left when a long wait inside it ends: the reader waits once more. */
START_TEST(wait_in_vain_for_long) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    wait_in_vain(reader, 1000 * MILLISECOND + 900001, 1);
    emit_one(ring);
    wait_for_one(reader);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(wait_in_vain_with_uncommitted_records) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, _i ? RBCORE_READER_RELEASE : 0);
    rbcore_record record;
    emit_one(ring);
    read_one(reader, &record);
    /* The looks come after 50 us, 100 us, ... 6.4 ms, and then every 10 ms. */
    wait_in_vain(reader, 500 * MILLISECOND, 8 + 50);
    read_none(reader);
    wait_in_vain(reader, 500 * MILLISECOND, 8 + 50);
    if (_i) { /* else the reader would live until it is back */
        ck_assert_int_eq(rbcore_reader_release(reader, &record, 1), 0);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(arrival_ends_a_wait_with_uncommitted_records) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = open_ring(helper.ring, 0);
    rbcore_record record;
    emit_one(helper.ring);
    read_one(reader, &record);
    read_none(reader);
    start(&helper, emit_later);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, RBCORE_FOREVER), 1);
    finish(&helper);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

/*
 * Counts how often a level-triggered epoll that is not the reader's reports the fd within half a
 * second.
 */
static int events_of_foreign_epoll(rbcore_reader *reader) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    int64_t end = now_ns() + 500 * MILLISECOND;
    int events = 0;
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, rbcore_reader_fd(reader), &event), 0);
    while (now_ns() < end) {
        rbcore_record record;
        if (epoll_wait(epoll_fd, &event, 1, 50) < 1) {
            continue;
        }
        events++;
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    }
    close(epoll_fd);
    return events;
}

START_TEST(foreign_epoll_does_not_spin) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    read_none(reader);
    ck_assert_int_eq(events_of_foreign_epoll(reader), 0);
    emit_one(ring);
    ck_assert(readable(rbcore_reader_fd(reader), WATCHDOG_MS));
    read_one(reader, &record);
    read_none(reader);
    /* While a record is uncommitted it looks again by a timer, with delays up to 10 ms. */
    ck_assert_int_lt(events_of_foreign_epoll(reader), 8 + 50 + 10);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    read_none(reader);
    ck_assert_int_le(events_of_foreign_epoll(reader), 1); /* the timer may have been under way */
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(foreign_epoll_gets_every_record) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = open_ring(helper.ring, 0);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    int total = 0;
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, rbcore_reader_fd(reader), &event), 0);
    read_none(reader);
    start(&helper, emit_many);
    while (total < 20000) {
        rbcore_record records[5];
        int count;
        ck_assert_int_eq(epoll_wait(epoll_fd, &event, 1, WATCHDOG_MS), 1);
        while ((count = rbcore_reader_read(reader, records, 5)) > 0) {
            total += count;
            if (total % 3) {
                ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
            }
        }
        ck_assert_int_eq(count, 0);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    finish(&helper);
    close(epoll_fd);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

static void *flush_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(100);
    if (rbcore_reader_flush(helper->reader)) {
        abort();
    }
    return NULL;
}

START_TEST(flush_delivers_records_without_wakeup) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = helper.reader = open_ring(helper.ring, 0);
    rbcore_record record;
    read_none(reader);
    ck_assert_int_eq(emit(helper.ring, 8, 3, BPF_RB_NO_WAKEUP), 0);
    ck_assert_int_eq(emit(helper.ring, 8, 4, BPF_RB_NO_WAKEUP), 0);
    ck_assert(!readable(rbcore_reader_fd(reader), 100));
    start(&helper, flush_later);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, RBCORE_FOREVER), 1);
    ck_assert(is_pattern(helper.ring, record.data, 8, 3));
    finish(&helper);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert(is_pattern(helper.ring, record.data, 8, 4));
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), -ENODATA);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 10 * MILLISECOND), 0);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

START_TEST(flush_of_nothing) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    read_none(reader);
    ck_assert_int_eq(rbcore_reader_flush(reader), 0);
    ck_assert(readable(rbcore_reader_fd(reader), WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), -ENODATA);
    read_none(reader);
    ck_assert(!readable(rbcore_reader_fd(reader), 0));
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(deadline_finds_records_without_wakeup) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    read_none(reader);
    ck_assert_int_eq(emit(ring, 8, 0, BPF_RB_NO_WAKEUP), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 50 * MILLISECOND), 1);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

static void *emit_forced_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(100);
    emit(helper->ring, 8, 0, BPF_RB_NO_WAKEUP);
    emit(helper->ring, 8, 0, BPF_RB_FORCE_WAKEUP);
    return NULL;
}

START_TEST(forced_wakeup_behind_a_record_without_one) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = open_ring(helper.ring, 0);
    rbcore_record records[2];
    start(&helper, emit_forced_later);
    int count = rbcore_reader_next(reader, records, 2, RBCORE_FOREVER);
    finish(&helper);
    if (count == 1) { /* it came to look between the two */
        count += rbcore_reader_next(reader, &records[1], 1, WATCHDOG_NS);
    }
    ck_assert_int_eq(count, 2);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

static void *interrupt_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(50);
    if (rbcore_reader_interrupt(helper->reader)) {
        abort();
    }
    return NULL;
}

static void *shutdown_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(50);
    if (rbcore_reader_shutdown(helper->reader)) {
        abort();
    }
    return NULL;
}

START_TEST(interrupt_and_shutdown_end_a_wait) {
    helper_thread helper = {.ring = load_ring(pages(1))};
    rbcore_reader *reader = helper.reader = open_ring(helper.ring, 0);
    rbcore_record record;
    emit_one(helper.ring);
    read_one(reader, &record); /* uncommitted: the wait looks by its timer, too */
    start(&helper, interrupt_later);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, RBCORE_FOREVER), -ECANCELED);
    finish(&helper);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 0), 0);
    start(&helper, shutdown_later);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, RBCORE_FOREVER), -ESHUTDOWN);
    finish(&helper);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), -ESHUTDOWN);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

static void ignore(int signal) {
    (void)signal;
}

static void *signal_later(void *context) {
    helper_thread *helper = context;
    sleep_ms(100);
    pthread_kill(helper->target, SIGUSR1);
    return NULL;
}

START_TEST(a_signal_ends_a_wait) {
    helper_thread helper = {.ring = load_ring(pages(1)), .target = pthread_self()};
    rbcore_reader *reader = open_ring(helper.ring, 0);
    struct sigaction action = {.sa_handler = ignore};
    rbcore_record record;
    sigaction(SIGUSR1, &action, NULL);
    start(&helper, signal_later);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), -EINTR);
    finish(&helper);
    emit_one(helper.ring);
    wait_for_one(reader);
    rbcore_reader_free(reader);
    produce__destroy(helper.ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("waiting");
    add_test(suite, commit_after_an_arrival_then_wait);
    add_test(suite, commit_after_an_arrival_then_poll);
    add_test(suite, release_from_a_worker_while_waiting);
    add_test(suite, release_from_a_worker_while_polling);
    add_test(suite, release_wakes_at_once);
    add_test(suite, arrival_ends_a_wait);
    add_test(suite, no_arrival_is_missed);
    add_test(suite, wait_in_vain_with_all_committed);
    add_test(suite, wait_in_vain_for_long);
    add_loop_test(suite, wait_in_vain_with_uncommitted_records, 2);
    add_test(suite, arrival_ends_a_wait_with_uncommitted_records);
    add_test(suite, foreign_epoll_does_not_spin);
    add_test(suite, foreign_epoll_gets_every_record);
    add_test(suite, flush_delivers_records_without_wakeup);
    add_test(suite, flush_of_nothing);
    add_test(suite, deadline_finds_records_without_wakeup);
    add_test(suite, forced_wakeup_behind_a_record_without_one);
    add_test(suite, interrupt_and_shutdown_end_a_wait);
    add_test(suite, a_signal_ends_a_wait);
    return run_kernel_tests(suite, NULL);
}
