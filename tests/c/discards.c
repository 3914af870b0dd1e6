/* SPDX-License-Identifier: MIT */
/*
 * Waits that end for discarded records: what capi/return_on_discards.h promises to the drop-in for
 * libbpf. The shared library does not export it, so this is linked to the static one.
 */
#include "support.h"

#include "return_on_discards.h"

#include <pthread.h>
#include <time.h>

#define MAX_RECORDS 64
#define LARGE_RING ((size_t)512 << 20) /* so that its interval can be 20 ms */

static void discard(const fixture *self) {
    void *data;
    ok(rbcore_producer_reserve(self->producer, &data, 8));
    ok(rbcore_producer_discard(self->producer, data, 0));
}

/* A wait that finds nothing else returns 0 long before its time is up, and has armed the next. */
static void expect_end_for_discards(rbcore_reader *reader, bool by_spans) {
    int64_t start = now_ns();
    rbcore_record record;
    rbcore_span span;
    int result = by_spans ? rbcore_reader_next_spans(reader, &span, 1, 1, 2 * WATCHDOG_NS)
                          : rbcore_reader_next(reader, &record, 1, 2 * WATCHDOG_NS);
    ck_assert_int_eq(result, 0);
    ck_assert_int_lt(now_ns() - start, WATCHDOG_NS);
    ck_assert(!readable(rbcore_reader_fd(reader), 0));
}

/* Finishes a record from another thread, when the reader waits. */
typedef struct finisher {
    pthread_t thread;
    rbcore_producer *producer;
    void *data;
    bool discards;
    int result;
} finisher;

static void *finish(void *context) {
    finisher *self = context;
    sleep_ms(20);
    self->result = self->discards ? rbcore_producer_discard(self->producer, self->data, 0)
                                  : rbcore_producer_submit(self->producer, self->data, 0);
    return NULL;
}

static void finisher_start(finisher *self, const fixture *ring, bool discards) {
    self->producer = ring->producer;
    self->discards = discards;
    ok(rbcore_producer_reserve(ring->producer, &self->data, 8));
    ok(pthread_create(&self->thread, NULL, finish, self));
}

static void finisher_join(finisher *self) {
    ok(pthread_join(self->thread, NULL));
    ok(self->result);
}

START_TEST(discards_end_a_wait_that_is_to_return) {
    fixture f = fixture_open(page_size(), 0);
    rbc_reader_return_on_discards(f.reader);
    for (uint64_t i = 0; i < 4; i++) {
        finisher h;
        finisher_start(&h, &f, true);
        expect_end_for_discards(f.reader, i % 2);
        finisher_join(&h);
        discard(&f);
        discard(&f);
        expect_end_for_discards(f.reader, i % 2);
        ck_assert_uint_eq(reader_stats(f.reader).discards, 3 * (i + 1));
    }
    /* They are nothing special if a record is among them, and those before were answered. */
    rbcore_record record;
    discard(&f);
    produce(&f, 42);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
    ck_assert_uint_eq(value_of(&record), 42);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    finisher h;
    finisher_start(&h, &f, false);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
    finisher_join(&h);
    fixture_close(&f);
}
END_TEST

static bool is_paced(const fixture *self) {
    return ring_stats(self).flags & RBCORE_RING_PACED;
}

/* Makes the ring paced, with nothing left in it. */
static void make_paced(const fixture *self) {
    rbcore_record records[MAX_RECORDS];
    int64_t give_up = now_ns() + WATCHDOG_NS;
    for (bool paced = false; !paced;) {
        ck_assert_int_lt(now_ns(), give_up);
        for (uint64_t i = 0; i < 8; i++) {
            produce(self, i);
        }
        for (int left = 8, n; left > 0; left -= n) {
            n = rbcore_reader_next(self->reader, records, MAX_RECORDS, WATCHDOG_NS);
            ck_assert_int_gt(n, 0);
            paced = is_paced(self);
            ok(rbcore_reader_commit(self->reader, NULL, 0));
        }
    }
}

/* The wait of a paced ring ends with its interval then, not with the first discarded record. */
START_TEST(discards_end_the_wait_for_a_batch) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.max_latency_ns = 20 * MILLISECOND;
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, &options));
    rbc_reader_return_on_discards(reader);
    fixture f = fixture_add(reader, LARGE_RING);
    make_paced(&f);
    for (int i = 0; i < 3; i++) {
        rbcore_record records[MAX_RECORDS];
        discard(&f);
        int64_t start = now_ns();
        ck_assert_int_eq(rbcore_reader_next(reader, records, MAX_RECORDS, 2 * WATCHDOG_NS), 0);
        ck_assert_int_lt(now_ns() - start, WATCHDOG_NS);
    }
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {discards_end_a_wait_that_is_to_return,
                                  discards_end_the_wait_for_a_batch, NULL};
    return run_tests("discards", tests);
}
