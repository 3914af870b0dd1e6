/* SPDX-License-Identifier: MIT */
/* Times are at the edge here: as long as they get, over already, or none. */
#include "support.h"

#include <pthread.h>

static void *produce_later(void *argument) {
    sleep_ms(20); /* the reader waits by then; if not, nothing is shown */
    produce(argument, 1);
    return NULL;
}

/* It is not over before it began. */
START_TEST(the_longest_timeouts) {
    const int64_t timeouts[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, RBCORE_FOREVER};
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(*timeouts); i++) {
        fixture f = fixture_open(page_size(), 0);
        pthread_t thread;
        rbcore_record record;
        ok(pthread_create(&thread, NULL, produce_later, &f));
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, timeouts[i]), 1);
        ok(pthread_join(thread, NULL));
        fixture_close(&f);
    }
}
END_TEST

/* A ring of so many pages, and a record of so many of its bytes. */
static fixture open_ring(size_t size, int64_t max_latency) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_reader *reader = NULL;
    options.max_latency_ns = max_latency;
    ok(rbcore_reader_open(&reader, &options));
    return fixture_add(reader, size);
}

static bool is_paced(const fixture *f) {
    return ring_stats(f).flags & RBCORE_RING_PACED;
}

/* Reads all that is there by next, without waiting. */
static int take_all(const fixture *f) {
    rbcore_record records[1024];
    int n = rbcore_reader_next(f->reader, records, 1024, 0);
    ok(rbcore_reader_commit(f->reader, NULL, 0));
    return n;
}

/* A ring that is looked at again and again makes the descriptor readable at once. */
START_TEST(a_hot_ring_in_an_event_loop) {
    const size_t size = 4 * page_size();
    fixture f = open_ring(size, RBCORE_DEFAULT_MAX_LATENCY);
    int64_t give_up = now_ns() + WATCHDOG_NS;
    for (int found = 0; found < 10;) {
        ck_assert_int_lt(now_ns(), give_up);
        for (size_t i = 0; i < size / 32; i++) {
            produce(&f, i);
        }
        while (take_all(&f) > 0) {
        }
        /* It is hot for 50 us only: if that is over before this is asked, it is asked again. */
        if (is_paced(&f)) {
            ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
            found++;
        }
    }
    fixture_close(&f);
}
END_TEST

/* The wakeup of an interrupt is over when that was delivered, also where all rings are paced. */
START_TEST(an_interrupt_of_a_paced_reader) {
    const int64_t interval = INT64_C(200000000);
    fixture f = open_ring((size_t)512 << 20, interval);
    int64_t give_up = now_ns() + WATCHDOG_NS;
    for (bool shown = false; !shown;) {
        ck_assert_int_lt(now_ns(), give_up);
        for (uint64_t i = 0; i < 8; i++) {
            produce(&f, i);
        }
        while (take_all(&f) > 0) {
        }
        int64_t start = now_ns();
        if (!is_paced(&f)) {
            continue;
        }
        ok(rbcore_reader_interrupt(f.reader));
        ck_assert(readable(rbcore_reader_fd(f.reader), 0));
        ck_assert_int_eq(take_all(&f), -ECANCELED);
        ck_assert_int_eq(take_all(&f), 0);
        bool is_readable = readable(rbcore_reader_fd(f.reader), 0);
        /* If this thread was stopped for long, it is the timer. */
        shown = now_ns() - start < interval / 4;
        ck_assert(!shown || !is_readable);
    }
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_longest_timeouts, a_hot_ring_in_an_event_loop,
                                  an_interrupt_of_a_paced_reader, NULL};
    return run_tests("edges", tests);
}
