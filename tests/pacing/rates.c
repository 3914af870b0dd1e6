/* SPDX-License-Identifier: MIT */
/* When a ring is armed, when it is paced, and what makes it change. */
#include "stage.h"

#include <pthread.h>
#include <unistd.h>

START_TEST(each_record_wakes_a_slow_ring) {
    stage *s =
        open_stage((size_t)1 << 20, _i ? RBCORE_READER_RELEASE : 0, RBCORE_DEFAULT_MAX_LATENCY);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
        expect_no_wakeup(s);
        emit_records(s, 1, 0);
        expect_readable(s);
        expect_wakeup(s);
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 1);
        give_back(s);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        sleep_ms(1);
    }
    close_stage(s);
}
END_TEST

START_TEST(a_busy_ring_is_paced_until_it_gets_slow) {
    const int64_t latency = 45 * MILLISECOND;
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, latency);
    for (int i = 0; i < 3; i++) {
        make_paced(s);
        /* Nothing comes for an interval. */
        ck_assert_int_eq(take(s, MAX_RECORDS, 4 * latency), 0);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        forget_wakeups(s);
        emit_records(s, 1, 0);
        expect_readable(s);
        expect_wakeup(s);
        take_the_rest(s);
    }
    close_stage(s);
}
END_TEST

START_TEST(between_two_rates_nothing_changes) {
    stage *s = open_stage(large_ring, 0, 45 * MILLISECOND);
    make_paced(s);
    for (int i = 0; i < 5; i++) {
        emit_records(s, 2, 0);
        ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 2);
        give_back(s);
        ck_assert(is_paced(s));
    }
    emit_records(s, 1, 0);
    ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 1);
    give_back(s);
    ck_assert(!is_paced(s));
    expect_all_published(s);
    for (int i = 0; i < 5; i++) {
        sleep_ms(60);
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
        emit_records(s, 3, 0);
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 3);
        give_back(s);
        ck_assert(!is_paced(s));
    }
    close_stage(s);
}
END_TEST

/* Whatever comes, also where the reader itself makes the pauses. */
static void expect_never_paced(size_t ring_size, int64_t max_latency) {
    stage *s = open_stage(ring_size, 0, max_latency);
    for (int i = 0; i < 500; i++) {
        if (i % 3 == 0) {
            ck_assert_int_eq(take(s, MAX_RECORDS, i % 2 ? 0 : 100 * MICROSECOND), 0);
        }
        emit_records(s, 8, 0);
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 8);
        give_back(s);
        ck_assert(!is_paced(s));
        expect_all_published(s);
    }
    close_stage(s);
}

static void expect_paced(size_t ring_size, int64_t max_latency) {
    stage *s = open_stage(ring_size, 0, max_latency);
    make_paced(s);
    close_stage(s);
}

START_TEST(some_rings_are_never_paced) {
    for (size_t size = page_size(); size < 65536; size *= 2) {
        expect_never_paced(size, RBCORE_DEFAULT_MAX_LATENCY);
        expect_never_paced(size, 1000 * MILLISECOND);
    }
    expect_never_paced((size_t)1 << 20, 0);
    expect_never_paced((size_t)1 << 20, 49999);
    /* These rings are paced: */
    if (has_shortest_interval) {
        expect_paced((size_t)1 << 20, 50000);
    }
    expect_paced(smallest_paced, RBCORE_DEFAULT_MAX_LATENCY);
}
END_TEST

/* One large record and a small one fill half the ring, but they are few. */
START_TEST(few_records_that_fill_half_a_ring_do_not_make_it_paced) {
    stage *s = open_stage(2 * largest_record, 0, RBCORE_DEFAULT_MAX_LATENCY);
    emit_sized(s, largest_record);
    emit_records(s, 1, 0);
    take_to_end(s);
    give_back(s);
    ck_assert(!is_paced(s));
    expect_all_published(s);
    close_stage(s);
}
END_TEST

/* The records of the shortest sleep would fill the ring: a timer would come too late. */
START_TEST(records_that_fill_a_ring_fast_do_not_make_it_paced) {
    stage *s = open_stage((size_t)1 << 20, 0, RBCORE_DEFAULT_MAX_LATENCY);
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 8; k++) {
            emit_sized(s, 2048);
        }
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 8);
        give_back(s);
        ck_assert(!is_paced(s));
    }
    make_paced(s); /* as small ones do */
    close_stage(s);
}
END_TEST

/*
 * The time that it takes to fill the ring bounds the interval, whatever max_latency is: at 1.3
 * bytes in a nanosecond this ring is full after 0.8 milliseconds.
 */
START_TEST(a_small_ring_does_not_wait_for_long) {
    stage *s = open_stage((size_t)1 << 20, 0, 3600 * 1000 * MILLISECOND);
    for (int i = 0; i < 20; i++) {
        make_paced(s);
        emit_records(s, 2, 0);
        ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 2);
        give_back(s);
    }
    close_stage(s);
}
END_TEST

/* How long two records of a paced ring wait, and leave it paced. */
static int64_t wait_of_two(stage *s) {
    int64_t begin = now_ns();
    emit_records(s, 2, 0);
    ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 2);
    give_back(s);
    return now_ns() - begin;
}

/* The rate bounds it, too: more than a quarter of the ring in an interval halves it for a while. */
START_TEST(a_ring_that_fills_fast_does_not_wait_for_long) {
    const size_t ring_size = (size_t)16 << 20;
    int64_t usual = 0, shortened = 1;
    for (int i = 0; shortened > usual / 4; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        stage *s = open_stage(ring_size, 0, long_ns);
        make_paced(s);
        for (int bursts = 0; bursts < 3; bursts++) {
            emit_records(s, (unsigned int)(ring_size / 4 / span_of(small_record)) + 1, 0);
            take_the_rest(s);
        }
        shortened = wait_of_two(s);
        for (int more = 0; more < 3; more++) {
            wait_of_two(s);
        }
        usual = wait_of_two(s);
        int64_t again = wait_of_two(s);
        usual = again < usual ? again : usual; /* the other one may have been held up */
        close_stage(s);
    }
}
END_TEST

/* ---- A ring too small for a timer ---- */

/* Such a ring is full before any sleep is over. */
static size_t small_ring(void) {
    size_t page = page_size();
    return page < 16384 ? 16384 : page;
}

static void emit_half(stage *self, size_t size) {
    size_t bytes = span_of(size), count = (small_ring() / 2 + bytes - 1) / bytes;
    if (size == small_record) {
        emit_records(self, (unsigned int)count, 0);
        return;
    }
    while (count-- > 0) {
        emit_sized(self, size);
    }
}

START_TEST(a_small_ring_that_was_half_full_is_looked_at_until_it_is_idle) {
    stage *s = open_stage(small_ring(), _i ? RBCORE_READER_RELEASE : 0, RBCORE_DEFAULT_MAX_LATENCY);
    for (int i = 0; i < 10; i++) {
        emit_half(s, small_record);
        take_to_end(s);
        ck_assert(is_paced(s));
        give_back(s);
        expect_held_back(s, small_record);
        forget_wakeups(s);
        for (int more = 0; more < 5; more++) {
            emit_records(s, 1, 0);
            expect_no_wakeup(s);
            ck_assert_int_eq(take(s, MAX_RECORDS, 0), 1); /* at once, nothing is left for later */
            ck_assert(is_paced(s));
            give_back(s);
            expect_held_back(s, small_record);
        }
        sleep_ms(1); /* 50 us would do */
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        emit_records(s, 1, 0);
        expect_wakeup(s);
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 1);
        give_back(s);
        ck_assert(!is_paced(s));
    }
    close_stage(s);
}
END_TEST

START_TEST(a_small_ring_is_not_looked_at_all_the_time) {
    stage *s = open_stage(small_ring(), 0, RBCORE_DEFAULT_MAX_LATENCY);
    /* It was not half full. */
    emit_records(s, (unsigned int)(small_ring() / 2 / span_of(small_record)) - 1, 0);
    take_to_end(s);
    give_back(s);
    ck_assert(!is_paced(s));
    /* Its records are too large to hold one back: each look would let the next one wake. */
    const size_t largest = small_ring() / 64 - 8;
    emit_half(s, largest + 1);
    take_to_end(s);
    give_back(s);
    ck_assert(!is_paced(s));
    /* It is read, and not waited for. */
    emit_half(s, small_record);
    while (taken(s, rbcore_reader_read(s->reader, s->records, MAX_RECORDS)) > 0) {
        give_back(s);
    }
    ck_assert(!is_paced(s));
    emit_half(s, largest);
    take_to_end(s);
    ck_assert(is_paced(s)); /* but this one */
    give_back(s);
    close_stage(s);
}
END_TEST

/* ---- Busy, then idle ---- */

/* Reads along while another thread emits as fast as it can. */
static void read_a_stream(stage *s) {
    emitter stream = {.stage = s, .times = 100, .some = 500};
    pthread_t thread;
    const uint64_t end = s->produced + (uint64_t)stream.times * stream.some;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_emitter, &stream), 0);
    for (bool done = false; !done;) {
        done = s->produced == end;
        int result = take(s, 256, 10 * MILLISECOND);
        ck_assert_int_ge(result, 0);
        give_back(s);
        done = done && result == 0;
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(waiting(s), 0);
}

START_TEST(a_stream_and_then_single_records) {
    stage *s = open_stage((size_t)16 << 20, 0, 10 * MILLISECOND);
    for (int round = 0; round < 3; round++) {
        make_paced(s);
        read_a_stream(s);
        for (int i = 0; i < 10; i++) {
            wait_for_one(s, 0);
        }
    }
    close_stage(s);
}
END_TEST

const scenario rate_scenarios[] = {
    {&each_record_wakes_a_slow_ring, 2},
    {&a_busy_ring_is_paced_until_it_gets_slow, 2},
    {&between_two_rates_nothing_changes, 1},
    {&some_rings_are_never_paced, 1},
    {&few_records_that_fill_half_a_ring_do_not_make_it_paced, 1},
    {&records_that_fill_a_ring_fast_do_not_make_it_paced, 1},
    {&a_small_ring_does_not_wait_for_long, 1},
    {&a_ring_that_fills_fast_does_not_wait_for_long, 1},
    {&a_small_ring_that_was_half_full_is_looked_at_until_it_is_idle, 2},
    {&a_small_ring_is_not_looked_at_all_the_time, 1},
    {&a_stream_and_then_single_records, 1},
    {NULL, 0},
};
