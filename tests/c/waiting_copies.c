/* SPDX-License-Identifier: MIT */
/*
 * Waiting for rings that are read through a copy, which producers may overwrite without waiting for
 * the reader: taps, and rings in overwrite mode.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_RECORDS 512

static fixture open_mode(uint32_t ring_flags, uint32_t source_flags, uint32_t reader_flags) {
    fixture self = {0};
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = reader_flags;
    options.max_latency_ns = 0;
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, page_size(), ring_flags));
    self.producer = producer_on(self.memory_fd, self.event_fd);
    ok(rbcore_reader_open(&self.reader, &options));
    rbcore_source source = memory_source(self.memory_fd, self.event_fd);
    source.flags = source_flags;
    ck_assert_int_eq(rbcore_reader_add(self.reader, &source), 0);
    return self;
}

/* ---- Taps ---- */

/* A ring, with its reader, and a tap of it. */
typedef struct tapped {
    fixture ring;
    rbcore_reader *tap;
    rbcore_record records[MAX_RECORDS];
} tapped;

static tapped open_tapped(void) {
    tapped self = {.ring = open_mode(0, 0, 0)};
    self.tap = reader_on(&self.ring, 0, RBCORE_SOURCE_TAP);
    return self;
}

static void close_tapped(tapped *self) {
    rbcore_reader_free(self->tap);
    fixture_close(&self->ring);
}

static void read_all(rbcore_reader *reader) {
    rbcore_record records[MAX_RECORDS];
    int n;
    while ((n = rbcore_reader_read(reader, records, MAX_RECORDS)) > 0) {
        ok(rbcore_reader_commit(reader, NULL, RBCORE_COMMIT_NOW));
    }
    ck_assert_int_eq(n, 0);
}

static int64_t sleeps(void) {
    struct rusage usage;
    ok(getrusage(RUSAGE_SELF, &usage));
    return usage.ru_nvcsw;
}

/* "It is woken together with that reader." */
START_TEST(it_is_woken_together_with_that_reader) {
    tapped t = open_tapped();
    for (int i = 0; i < 20; i++) {
        read_all(t.ring.reader);
        read_all(t.tap);
        ck_assert(!readable(rbcore_reader_fd(t.tap), 0));
        produce(&t.ring, 1);
        ck_assert(readable(rbcore_reader_fd(t.tap), WATCHDOG_MS));
        ck_assert(readable(rbcore_reader_fd(t.ring.reader), WATCHDOG_MS));
    }
    close_tapped(&t);
}
END_TEST

/* One that has caught up, and whose ring's reader has, is not kept awake by the short timer. */
START_TEST(as_long_as_this_one_lags_behind) {
    tapped t = open_tapped();
    produce(&t.ring, 1);
    read_all(t.ring.reader);
    read_all(t.tap);
    ck_assert_uint_eq(ring_stats(&t.ring).consumer_pos, 16);
    int64_t before = sleeps();
    ck_assert_int_eq(rbcore_reader_next(t.tap, t.records, MAX_RECORDS, 1000000000), 0);
    ck_assert_int_lt(sleeps() - before, 40);
    close_tapped(&t);
}
END_TEST

/* Nothing wakes a tap while the ring's reader lags. */
START_TEST(it_looks_by_the_timer_while_this_one_lags) {
    tapped t = open_tapped();
    for (uint64_t i = 0; i < 10; i++) {
        produce(&t.ring, i);
        ck_assert_int_eq(rbcore_reader_next(t.tap, t.records, MAX_RECORDS, WATCHDOG_NS), 1);
        ck_assert_uint_eq(value_of(&t.records[0]), i);
        ok(rbcore_reader_commit(t.tap, NULL, 0));
        read_all(t.tap);
    }
    close_tapped(&t);
}
END_TEST

/*
 * The ring's reader has given a record back before its producer looked whether it is to wake. That
 * lasts an instant, so it is set up by hand: the record wakes nobody, and consumer_pos is behind
 * it.
 */
START_TEST(a_record_that_the_reader_took_without_being_woken) {
    tapped t = open_tapped();
    image raw = image_map(t.ring.memory_fd);
    uint64_t value = 7;
    for (int i = 0; i < 3; i++) {
        read_all(t.ring.reader);
        read_all(t.tap);
        while (readable(rbcore_reader_fd(t.tap), 0)) {
            read_all(t.tap);
        }
        ok(rbcore_producer_output(t.ring.producer, &value, sizeof(value), RBCORE_NO_WAKEUP));
        read_all(t.ring.reader);
        ck_assert_uint_eq(image_load(raw.consumer_pos), image_load(raw.producer_pos));
        ck_assert(readable(rbcore_reader_fd(t.tap), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_next(t.tap, t.records, MAX_RECORDS, WATCHDOG_NS), 1);
        ok(rbcore_reader_commit(t.tap, NULL, 0));
    }
    image_unmap(&raw);
    close_tapped(&t);
}
END_TEST

/* ---- Overwrite mode ---- */

/*
 * Two records are held, and the ring was overwritten since: only when both are back can it go on.
 */
static fixture open_overtaken(rbcore_record held[2]) {
    static rbcore_record records[MAX_RECORDS];
    fixture f =
        open_mode(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, RBCORE_READER_RELEASE);
    produce(&f, 0);
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, held, 2), 2);
    for (uint64_t i = 0; i < 2 * page_size() / 16; i++) {
        produce(&f, 2 + i);
    }
    int n;
    while ((n = rbcore_reader_read(f.reader, records, MAX_RECORDS)) > 0) {
        ok(rbcore_reader_release(f.reader, records, (size_t)n));
    }
    ck_assert_int_eq(n, 0);
    return f;
}

/* Returns the sum of the counters of this process's eventfds: the reader's are never read. */
static uint64_t eventfd_counts(void) {
    uint64_t sum = 0;
    for (int fd = 0; fd < 100; fd++) {
        char path[40], line[100];
        unsigned long long count;
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            sum += sscanf(line, "eventfd-count: %llx", &count) == 1 ? count : 0;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return sum;
}

/* Otherwise each release would wake it, to find nothing. */
START_TEST(an_overtaken_ring_has_nothing_while_records_are_held) {
    rbcore_record held[2], record;
    fixture f = open_overtaken(held);
    uint64_t before = eventfd_counts();
    ok(rbcore_reader_release(f.reader, &held[0], 1));
    ck_assert_uint_eq(eventfd_counts(), before);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    ok(rbcore_reader_release(f.reader, &held[1], 1));
    ck_assert_uint_eq(eventfd_counts(), before + 1);
    ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(record.flags, RBCORE_RECORD_COPIED | RBCORE_RECORD_LOST_BEFORE);
    ok(rbcore_reader_release(f.reader, &record, 1));
    fixture_close(&f);
}
END_TEST

/* ---- A reader that keeps others off the processor ---- */

typedef struct releasing {
    fixture *f;
    rbcore_record held[2];
    unsigned int delay_us;
} releasing;

static void *release_later(void *argument) {
    releasing *self = argument;
    struct timespec pause = {.tv_nsec = (long)self->delay_us * 1000};
    nanosleep(&pause, NULL);
    ok(rbcore_reader_release(self->f->reader, self->held, 2));
    return NULL;
}

/* Makes all run on one processor. Returns whether that is allowed. */
static bool outrank_others(int priority) {
    struct sched_param rank = {.sched_priority = priority};
    return pthread_setschedparam(pthread_self(), priority ? SCHED_FIFO : SCHED_OTHER, &rank) == 0;
}

/*
 * A worker releases, and the reader that this wakes preempts it: it must not need the processor for
 * as long as the worker has not got on. (The kernel takes it away from such a thread only after 950
 * milliseconds.)
 */
START_TEST(no_wait_depends_on_a_thread_that_the_reader_keeps_off_the_processor) {
    pin_to_cpu((unsigned int)sched_getcpu());
    if (!outrank_others(10)) {
        printf("skipped: a reader of higher priority: SCHED_FIFO is not permitted\n");
        return;
    }
    outrank_others(0);
    for (unsigned int round = 0; round < 40; round++) {
        releasing r = {.delay_us = 20000 + 37 * round};
        fixture f = open_overtaken(r.held);
        rbcore_record record;
        pthread_t thread;
        r.f = &f;
        ok(pthread_create(&thread, NULL, release_later, &r));
        outrank_others(10);
        int64_t before = thread_cpu_ns();
        int n = rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS);
        int64_t spent = thread_cpu_ns() - before;
        outrank_others(0);
        ck_assert_int_eq(n, 1);
        ck_assert_int_lt(spent, 300 * MILLISECOND);
        ok(pthread_join(thread, NULL));
        ok(rbcore_reader_release(f.reader, &record, 1));
        fixture_close(&f);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        it_is_woken_together_with_that_reader,
        as_long_as_this_one_lags_behind,
        it_looks_by_the_timer_while_this_one_lags,
        a_record_that_the_reader_took_without_being_woken,
        an_overtaken_ring_has_nothing_while_records_are_held,
        no_wait_depends_on_a_thread_that_the_reader_keeps_off_the_processor,
        NULL,
    };
    return run_tests("waiting_copies", tests);
}
