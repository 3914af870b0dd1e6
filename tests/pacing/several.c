/* SPDX-License-Identifier: MIT */
/* Several rings of a reader: they have one interval, and it is their sum that makes them busy. */
#include "stage.h"

#include <pthread.h>
#include <sys/resource.h>

static void *emit_in_slow_ring(void *context) {
    sleep_ms(20);
    ok(test_ring_emit(context, 77, small_record, 0));
    return NULL;
}

/* Takes until the slow ring's record has come. Returns whether it came without the busy ring's. */
static bool take_slow_record(stage *s, unsigned int slow, int64_t timeout) {
    for (;;) {
        bool found = false;
        int result = take(s, MAX_RECORDS, timeout);
        ck_assert_int_gt(result, 0);
        for (int k = 0; k < result; k++) {
            found |= s->records[k].ring == slow;
        }
        ck_assert(!(stats_of(s->reader, slow).flags & RBCORE_RING_PACED));
        give_back(s);
        if (found) {
            return result == 1 && waiting(s) != 0;
        }
    }
}

START_TEST(a_slow_ring_does_not_wait_for_a_busy_one) {
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    test_ring *slow = test_ring_open(65536);
    rbcore_source source = test_ring_source(slow);
    ck_assert_int_eq(rbcore_reader_add(s->reader, &source), 1);
    for (int alone = 0, i = 0; alone < 6; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 3, MAX_RECORDS);
        bool in_wait = alone % 2;
        pthread_t thread;
        if (in_wait) {
            ck_assert_int_eq(pthread_create(&thread, NULL, emit_in_slow_ring, slow), 0);
        } else {
            ok(test_ring_emit(slow, 77, small_record, 0));
            expect_readable(s);
        }
        /* The busy ring's records come with it only if they are due by themselves. */
        alone += take_slow_record(s, 1, in_wait ? WATCHDOG_NS : 0);
        if (in_wait) {
            ck_assert_int_eq(pthread_join(thread, NULL), 0);
        }
        rbcore_ring_stats stats = stats_of(s->reader, 1);
        ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
        take_the_rest(s);
    }
    close_stage(s);
    test_ring_close(slow);
}
END_TEST

/* ---- Their sum ---- */

#define RINGS 8

/* A stage whose reader has further rings. Each has a share of the records. */
typedef struct crowd {
    stage *stage;
    test_ring *rings[RINGS]; /* the first is the stage's */
    uint64_t numbers[RINGS];
} crowd;

static crowd open_crowd(size_t ring_size, uint32_t flags, int64_t max_latency) {
    crowd self = {.stage = open_stage(ring_size, flags, max_latency)};
    self.rings[0] = self.stage->ring;
    for (int i = 1; i < RINGS; i++) {
        self.rings[i] = test_ring_open(ring_size);
        rbcore_source source = test_ring_source(self.rings[i]);
        ck_assert_int_eq(rbcore_reader_add(self.stage->reader, &source), i);
    }
    return self;
}

static void close_crowd(crowd *self) {
    close_stage(self->stage);
    for (int i = 1; i < RINGS; i++) {
        test_ring_close(self->rings[i]);
    }
}

static void emit_in(crowd *self, int ring) {
    if (ring == 0) {
        emit_records(self->stage, 1, 0);
    } else {
        ok(test_ring_emit(self->rings[ring], self->numbers[ring]++, small_record, 0));
    }
}

static void take_all(crowd *self, int count) {
    for (int taken = 0; taken < count;) {
        int result = take(self->stage, MAX_RECORDS, WATCHDOG_NS);
        ck_assert_int_gt(result, 0);
        give_back(self->stage);
        taken += result;
    }
}

static unsigned int paced_rings(const crowd *self) {
    unsigned int paced = 0;
    for (unsigned int i = 0; i < RINGS; i++) {
        bool is_one = stats_of(self->stage->reader, i).flags & RBCORE_RING_PACED;
        paced |= (unsigned int)is_one << i;
    }
    return paced;
}

static void forget_wakeups_in(crowd *self) {
    for (int i = 0; i < RINGS; i++) {
        test_ring_wakes(self->rings[i], 0);
    }
}

static void serve_four(crowd *self) {
    for (int i = 0; i < 4; i++) {
        emit_in(self, i);
    }
    take_all(self, 4);
}

/*
 * One record in each of the first four rings, in an interval that began with the time before, makes
 * exactly these paced. Returns whether it did.
 */
static bool pace_four(crowd *self) {
    serve_four(self);
    ck_assert_uint_eq(paced_rings(self), 0);
    serve_four(self);
    forget_wakeups_in(self);
    return paced_rings(self) == 0xf;
}

static crowd open_paced_crowd(uint32_t flags) {
    for (int i = 0; i < ATTEMPTS; i++) {
        crowd c = open_crowd((size_t)16 << 20, flags, 10 * MILLISECOND);
        if (pace_four(&c)) {
            return c;
        }
        close_crowd(&c);
    }
    ck_abort_msg("a record in each of four rings does not make them paced");
}

START_TEST(slow_rings_are_busy_together) {
    crowd c = open_paced_crowd(_i ? RBCORE_READER_RELEASE : 0);
    /* Their next records wake nobody, and come together. */
    for (int i = 0; i < 4; i++) {
        emit_in(&c, i);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(test_ring_wakes(c.rings[i], 0), 0);
    }
    take_all(&c, 4);
    /* All of them are armed if nothing comes. */
    ck_assert_int_eq(take(c.stage, MAX_RECORDS, 50 * MILLISECOND), 0);
    ck_assert_uint_eq(paced_rings(&c), 0);
    for (unsigned int i = 0; i < RINGS; i++) {
        rbcore_ring_stats stats = stats_of(c.stage->reader, i);
        ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    }
    close_crowd(&c);
}
END_TEST

/*
 * An interval in which nothing came does not arm four rings, as two in a row do: each would pay for
 * a wakeup. Intervals that are not in a row do not add up.
 */
START_TEST(rings_stay_paced_over_a_gap) {
    for (int i = 0; i < ATTEMPTS; i++) {
        crowd c = open_paced_crowd(_i ? RBCORE_READER_RELEASE : 0);
        unsigned int paced = 0xf;
        for (int gaps = 0; gaps < 3 && paced == 0xf; gaps++) {
            ck_assert_int_eq(take(c.stage, MAX_RECORDS, 14 * MILLISECOND), 0);
            paced = paced_rings(&c);
            serve_four(&c);
        }
        close_crowd(&c);
        if (paced == 0xf) {
            return;
        }
    }
    ck_abort_msg("a gap arms the rings");
}
END_TEST

/* Of rings that are armed, so much in one interval joins: the first record of them does not. */
START_TEST(rings_join_with_the_second_record_in_an_interval) {
    for (int i = 0; i < ATTEMPTS; i++) {
        crowd c = open_paced_crowd(_i ? RBCORE_READER_RELEASE : 0);
        emit_in(&c, 5);
        int first = take(c.stage, MAX_RECORDS, 0);
        give_back(c.stage);
        unsigned int after_first = paced_rings(&c);
        emit_in(&c, 6);
        int second = take(c.stage, MAX_RECORDS, 0);
        give_back(c.stage);
        unsigned int after_second = paced_rings(&c);
        close_crowd(&c);
        if (first == 1 && second == 1 && after_first == 0xf && after_second == (0xf | 1U << 6)) {
            return;
        }
    }
    ck_abort_msg("no ring joins");
}
END_TEST

/* One that has as many records as are wanted ends the interval for all of them. */
START_TEST(an_interval_ends_for_all_rings) {
    for (int i = 0; i < ATTEMPTS; i++) {
        crowd c = open_paced_crowd(0);
        emit_in(&c, 1);
        int early = take(c.stage, 3, 0);
        give_back(c.stage);
        emit_records(c.stage, 3, 0);
        int first = take(c.stage, 3, 0);
        give_back(c.stage);
        int rest = take(c.stage, 3, 0);
        give_back(c.stage);
        take_the_rest(c.stage);
        close_crowd(&c);
        if (early == 0 && first == 3 && rest == 1) {
            return;
        }
    }
    ck_abort_msg("a ring waits while another is due");
}
END_TEST

/* One that gives nothing for a thousand intervals is armed, while another keeps the reader busy. */
START_TEST(a_ring_that_falls_silent_is_armed) {
    crowd c = open_crowd((size_t)1 << 20, 0, 500 * MICROSECOND);
    unsigned int paced = 0;
    for (int i = 0; i < ATTEMPTS && (paced & 3) != 3; i++) {
        emit_records(c.stage, 8, 0);
        emit_in(&c, 1);
        take_all(&c, 9);
        paced = paced_rings(&c);
    }
    ck_assert_uint_eq(paced & 3, 3);
    int intervals = 0;
    while (paced_rings(&c) & 2) {
        ck_assert_int_lt(++intervals, 20000);
        emit_records(c.stage, 8, 0);
        take_the_rest(c.stage);
    }
    rbcore_ring_stats stats = stats_of(c.stage->reader, 1);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    close_crowd(&c);
}
END_TEST

/*
 * With the last paced ring gone, one that was too small to join is paced like the ring of a new
 * reader. It gives its records one by one.
 */
START_TEST(the_last_paced_ring_goes) {
    stage *s = open_stage((size_t)1 << 20, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    test_ring *large = test_ring_open(large_ring);
    rbcore_source source = test_ring_source(large);
    ck_assert_int_eq(rbcore_reader_add(s->reader, &source), 1);
    for (int i = 0; !(stats_of(s->reader, 1).flags & RBCORE_RING_PACED); i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        ck_assert_uint_eq(test_ring_emit_many(large, 8 * (uint64_t)i, 8, 0), 0);
        for (int found = 0; found < 8;) {
            found += take(s, MAX_RECORDS, WATCHDOG_NS);
            give_back(s);
        }
    }
    ok(rbcore_reader_remove(s->reader, 1));
    for (int i = 0; !is_paced(s); i++) {
        ck_assert_int_lt(i, 1000);
        emit_records(s, 1, 0);
        take_the_rest(s);
    }
    close_stage(s);
    test_ring_close(large);
}
END_TEST

/* ---- Polling ---- */

/* It sleeps for the time that it was given, whatever the ring's size. */
START_TEST(polling_keeps_its_interval) {
    static const size_t sizes[] = {65536, (size_t)1 << 20, (size_t)16 << 20};
    const int64_t latency = 5 * MILLISECOND;
    stage *s = open_stage(sizes[_i], RBCORE_READER_POLL, latency);
    struct rusage before, after;
    const int64_t begin = now_ns();
    getrusage(RUSAGE_THREAD, &before);
    ck_assert_int_eq(take(s, MAX_RECORDS, 300 * MILLISECOND), 0);
    getrusage(RUSAGE_THREAD, &after);
    const int64_t intervals = (now_ns() - begin) / latency;
    ck_assert_int_lt(after.ru_nvcsw - before.ru_nvcsw, intervals + intervals / 5 + 5);
    close_stage(s);
}
END_TEST

/* A reader that looks once in centuries finds nothing due behind its first look, but reads it. */
START_TEST(polling_without_end) {
    stage *s = open_stage(large_ring, RBCORE_READER_POLL, INT64_MAX);
    emit_records(s, 2, 0);
    take_to_end(s);
    give_back(s);
    for (unsigned int i = 0; i < 3; i++) {
        emit_records(s, 1, 0);
        ck_assert_int_eq(take(s, MAX_RECORDS, 20 * MILLISECOND), 0);
        ck_assert_int_eq(taken(s, rbcore_reader_read(s->reader, s->records, MAX_RECORDS)), 1);
        give_back(s);
    }
    close_stage(s);
}
END_TEST

static int64_t wait_of_one(stage *s) {
    const int64_t begin = now_ns();
    emit_records(s, 1, RBCORE_NO_WAKEUP);
    ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 1);
    give_back(s);
    return now_ns() - begin;
}

/* But a ring that it finds more than a quarter full is read more often for a while. */
START_TEST(polling_reads_a_full_ring_more_often) {
    const size_t size = 65536;
    const int64_t latency = 40 * MILLISECOND;
    const unsigned int quarter = (unsigned int)(size / 4 / span_of(small_record)) + 1;
    int64_t usual = 0, shortened = 1;
    for (int i = 0; shortened > usual / 4; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        stage *s = open_stage(size, RBCORE_READER_POLL, latency);
        ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
        usual = wait_of_one(s);
        for (int bursts = 0; bursts < 4; bursts++) {
            emit_records(s, quarter, RBCORE_NO_WAKEUP);
            take_the_rest(s);
        }
        shortened = wait_of_one(s);
        close_stage(s);
    }
}
END_TEST

const scenario several_scenarios[] = {
    {&a_slow_ring_does_not_wait_for_a_busy_one, 2},
    {&slow_rings_are_busy_together, 2},
    {&rings_stay_paced_over_a_gap, 2},
    {&rings_join_with_the_second_record_in_an_interval, 2},
    {&an_interval_ends_for_all_rings, 1},
    {&a_ring_that_falls_silent_is_armed, 1},
    {&the_last_paced_ring_goes, 2},
    {&polling_keeps_its_interval, 3},
    {&polling_without_end, 1},
    {&polling_reads_a_full_ring_more_often, 1},
    {NULL, 0},
};
