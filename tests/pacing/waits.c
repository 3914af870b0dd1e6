/* SPDX-License-Identifier: MIT */
/* Time limits of a wait for a batch, and the calls that end it. */
#include "stage.h"

#include <errno.h>
#include <pthread.h>

START_TEST(time_limits) {
    stage *s = open_stage(large_ring, 0, long_ns);
    for (int i = 0;; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 2, MAX_RECORDS);
        int64_t begin = now_ns();
        int result = take(s, MAX_RECORDS, 2 * MILLISECOND);
        ck_assert(result == 2 || now_ns() - begin >= 2 * MILLISECOND);
        if (result == 0) {
            break; /* not due, and the time was up */
        }
        give_back(s);
    }
    ck_assert_int_eq(take(s, MAX_RECORDS, 60000 * MILLISECOND), 2);
    give_back(s);
    int64_t begin = now_ns();
    ck_assert_int_eq(take(s, MAX_RECORDS, 2 * long_ns), 0);
    ck_assert_int_ge(now_ns() - begin, 2 * long_ns);
    ck_assert(!is_paced(s));
    ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
    close_stage(s);
}
END_TEST

typedef struct asker {
    pthread_t thread;
    rbcore_reader *reader;
    int (*what)(rbcore_reader *);
} asker;

static void *ask_later(void *context) {
    asker *self = context;
    sleep_ms((unsigned int)(long_ns / MILLISECOND / 10));
    ok(self->what(self->reader));
    return NULL;
}

/* Asks while next waits for a batch of 2. Returns its result, and whether it was not due yet. */
static int ask_in_wait(stage *s, int (*what)(rbcore_reader *), bool *early) {
    asker asking = {.reader = s->reader, .what = what};
    let_wait(s, 2, MAX_RECORDS);
    int64_t begin = now_ns();
    ck_assert_int_eq(pthread_create(&asking.thread, NULL, ask_later, &asking), 0);
    int result = take(s, MAX_RECORDS, WATCHDOG_NS);
    *early = now_ns() - begin < long_ns / 2;
    ck_assert_int_eq(pthread_join(asking.thread, NULL), 0);
    return result;
}

START_TEST(interrupt_ends_the_wait_for_a_batch) {
    stage *s = open_stage(large_ring, 0, long_ns);
    bool early = false;
    for (int i = 0; !early; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        int result = ask_in_wait(s, rbcore_reader_interrupt, &early);
        if (result == 2) { /* it was due before */
            early = false;
            give_back(s);
            result = take(s, MAX_RECORDS, WATCHDOG_NS);
        }
        ck_assert_int_eq(result, -ECANCELED);
        take_the_rest(s);
    }
    close_stage(s);
}
END_TEST

START_TEST(flush_ends_the_wait_for_a_batch) {
    stage *s = open_stage(large_ring, 0, long_ns);
    bool early = false;
    for (int i = 0; !early; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        ck_assert_int_eq(ask_in_wait(s, rbcore_reader_flush, &early), 2);
        give_back(s);
        ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), -ENODATA);
    }
    /* A flush before the wait does the same. */
    let_wait(s, 2, MAX_RECORDS);
    ok(rbcore_reader_flush(s->reader));
    ck_assert_int_eq(take(s, MAX_RECORDS, 0), 2);
    give_back(s);
    ck_assert_int_eq(take(s, MAX_RECORDS, 0), -ENODATA);
    close_stage(s);
}
END_TEST

START_TEST(shutdown_ends_the_wait_for_a_batch) {
    bool early = false;
    for (int i = 0; !early; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        stage *s = open_stage(large_ring, 0, long_ns);
        int result = ask_in_wait(s, rbcore_reader_shutdown, &early);
        if (result == 2) {
            early = false;
            result = take(s, MAX_RECORDS, WATCHDOG_NS);
        }
        ck_assert_int_eq(result, -ESHUTDOWN);
        ok(rbcore_reader_commit(s->reader, NULL, 0));
        uint64_t committed = stats_of(s->reader, 0).user_pos;
        rbcore_reader_free(s->reader);
        s->reader = NULL;
        ck_assert_uint_eq(consumer_pos(s), committed);
        abandon_stage(s);
    }
}
END_TEST

const scenario wait_scenarios[] = {
    {&time_limits, 1},
    {&interrupt_ends_the_wait_for_a_batch, 1},
    {&flush_ends_the_wait_for_a_batch, 1},
    {&shutdown_ends_the_wait_for_a_batch, 1},
    {NULL, 0},
};
