/* SPDX-License-Identifier: MIT */
/* Batches of a paced ring: their size, and when they are due. */
#include "stage.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>

START_TEST(next_waits_for_a_batch_and_read_does_not) {
    stage *s = open_stage(large_ring, 0, long_ns);
    let_wait(s, 3, MAX_RECORDS);
    ck_assert_int_eq(taken(s, rbcore_reader_read(s->reader, s->records, MAX_RECORDS)), 3);
    give_back(s);
    ck_assert_int_eq(taken(s, rbcore_reader_read(s->reader, s->records, MAX_RECORDS)), 0);
    close_stage(s);
}
END_TEST

START_TEST(max_records_end_the_wait) {
    stage *s = open_stage(large_ring, 0, long_ns);
    for (size_t max = 2; max <= 1000; max *= 5) {
        let_wait(s, (unsigned int)max - 1, max);
        emit_records(s, 1, 0);
        ck_assert_int_eq(take(s, max, 0), (int)max);
        give_back(s);
    }
    close_stage(s);
}
END_TEST

/* Takes all into an array that the ring cannot fill. */
static int take_wide(stage *s, rbcore_record *wide, size_t count) {
    int result = rbcore_reader_next(s->reader, wide, count, 0);
    if (result > 0) {
        ck_assert_uint_eq((uint64_t)result, waiting(s));
        s->delivered += (uint64_t)result;
        s->next = s->produced;
    }
    return result;
}

START_TEST(a_quarter_of_the_ring_ends_the_wait) {
    const size_t quarter = largest_record, count = quarter / 8;
    stage *s = open_stage(4 * quarter, 0, long_ns);
    rbcore_record *wide = calloc(count, sizeof(*wide));
    ck_assert_ptr_nonnull(wide);
    int result = 1;
    for (int i = 0; result != 0; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 2, MAX_RECORDS);
        emit_sized(s, quarter - 3 * span_of(small_record) - 8);
        result = take_wide(s, wide, count);
        if (result != 0) { /* it was due before */
            give_back(s);
        }
    }
    emit_records(s, 1, 0);
    ck_assert_int_eq(take_wide(s, wide, count), 4);
    free(wide);
    close_stage(s);
}
END_TEST

/* The records that max leaves of a batch that is due are due as well. */
START_TEST(the_rest_of_a_batch_is_due) {
    stage *s = open_stage(large_ring, 0, long_ns);
    let_wait(s, 9, MAX_RECORDS);
    ck_assert_int_eq(take(s, 8, 0), 8);
    ck_assert_int_eq(take(s, 8, 0), 1);
    give_back(s);
    close_stage(s);
}
END_TEST

/* A look that takes what max left of it begins the next interval. */
START_TEST(a_look_ends_the_batch) {
    stage *s = open_stage(large_ring, 0, long_ns);
    int result = 1;
    for (int i = 0; result != 0; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        make_paced(s);
        emit_records(s, 9, 0);
        sleep_ms((unsigned int)(long_ns / MILLISECOND));
        ck_assert_int_eq(take(s, 8, 0), 8);
        ck_assert_int_eq(taken(s, rbcore_reader_look(s->reader, s->records, MAX_RECORDS)), 1);
        give_back(s);
        emit_records(s, 1, 0);
        result = take(s, MAX_RECORDS, 0);
        give_back(s);
    }
    ck_assert(is_paced(s));
    take_the_rest(s);
    close_stage(s);
}
END_TEST

/* With the producer's default flags, and with those that ask for a wakeup each time. */
START_TEST(a_steady_stream_comes_in_batches) {
    const int64_t latency = 20 * MILLISECOND;
    stage *s = open_stage((size_t)64 << 20, 0, latency);
    emitter stream = {.stage = s, .times = 2000, .some = 10, .pause = 200 * MICROSECOND};
    stream.flags = _i ? RBCORE_FORCE_WAKEUP : 0;
    const uint64_t count = (uint64_t)stream.times * stream.some;
    pthread_t thread;
    int64_t begin = now_ns(), batches = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_emitter, &stream), 0);
    while (s->delivered != count) {
        int result = take(s, MAX_RECORDS, WATCHDOG_NS);
        if (result <= 0) {
            ck_abort_msg("next: %d after %llu records", result, (unsigned long long)s->delivered);
        }
        batches++;
        give_back(s);
    }
    int64_t intervals = (now_ns() - begin) / latency;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    ok(rbcore_reader_stats_get(s->reader, &stats));
    ck_assert_uint_eq(stats.batches, (uint64_t)batches);
    ck_assert_uint_lt(stats.batches, count / 50); /* 1000 records each, if left in peace */
    ck_assert_uint_lt(stats.wakeups, count / 50);
    ck_assert_int_ge(batches, intervals / 20 + 1); /* and not all at the end */
    close_stage(s);
}
END_TEST

#define TIMED 400

/* When each record was made. */
static _Atomic int64_t made_at[TIMED];

/* One in a millisecond. */
static void *emit_timed(void *context) {
    for (int i = 0; i < TIMED; i++) {
        made_at[i] = now_ns();
        emit_records(context, 1, 0);
        sleep_ms(1);
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/*
 * In a paced ring no record waits longer than max_latency, and the oldest of a batch just that
 * long. The others of its interval came later: so a quarter may be late, for the sake of busy
 * machines.
 */
START_TEST(latency_is_kept) {
    const int64_t latency = 40 * MILLISECOND;
    int64_t delays[TIMED];
    stage *s = open_stage(large_ring, 0, latency);
    pthread_t thread;
    uint64_t paced = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, emit_timed, s), 0);
    while (s->delivered < TIMED) {
        ck_assert_int_gt(take(s, MAX_RECORDS, WATCHDOG_NS), 0);
        for (size_t i = 0; i < s->held; i++) {
            uint64_t number = test_ring_number(&s->records[i]);
            delays[number] = now_ns() - made_at[number];
        }
        paced += is_paced(s) ? s->held : 0;
        give_back(s);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    qsort(delays, TIMED, sizeof(*delays), compare);
    ck_assert_int_le(delays[TIMED * 3 / 4], latency);
    ck_assert_uint_gt(paced, TIMED / 2);
    close_stage(s);
}
END_TEST

static size_t count_threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(tasks);
    size_t count = 0;
    while (readdir(tasks) != NULL) {
        count++;
    }
    closedir(tasks);
    return count;
}

START_TEST(no_thread_is_hidden) {
    size_t before = count_threads();
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    let_wait(s, 2, MAX_RECORDS);
    ck_assert_uint_eq(count_threads(), before);
    ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 2);
    ck_assert_uint_eq(count_threads(), before);
    give_back(s);
    close_stage(s);
}
END_TEST

const scenario batch_scenarios[] = {
    {&next_waits_for_a_batch_and_read_does_not, 1},
    {&max_records_end_the_wait, 1},
    {&a_quarter_of_the_ring_ends_the_wait, 1},
    {&the_rest_of_a_batch_is_due, 1},
    {&a_look_ends_the_batch, 1},
    {&a_steady_stream_comes_in_batches, 2},
    {&latency_is_kept, 1},
    {&no_thread_is_hidden, 2},
    {NULL, 0},
};
