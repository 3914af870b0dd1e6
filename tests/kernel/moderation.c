/* SPDX-License-Identifier: MIT */
/* A busy kernel ring is read by a timer: nothing gets stuck or comes twice when that begins or ends. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define BATCH 256
#define COUNT 500
#define RUNS 100

/* So large, and the latency so long, that a slow machine takes the ring for busy as well. */
#define RING_SIZE ((size_t)16 << 20)
#define LATENCY (10 * MILLISECOND)

static rbcore_reader *open_moderated(struct produce *ring) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = source_of(ring);
    rbcore_reader *reader = NULL;
    options.max_latency_ns = LATENCY;
    ck_assert_int_eq(rbcore_reader_open(&reader, &options), 0);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    return reader;
}

struct producer {
    pthread_t thread;
    struct produce *ring;
    struct produce_args args;
    atomic_bool done;
};

static void *run_producer(void *context) {
    struct producer *producer = context;
    for (int i = 0; i < RUNS; i++) {
        produce(producer->ring, &producer->args);
    }
    atomic_store(&producer->done, true);
    return NULL;
}

/* Reads what one producer makes as fast as it can, each number once, and commits. */
static void read_along(rbcore_reader *reader, struct produce *ring) {
    struct producer producer = {.ring = ring, .args = {.count = COUNT, .sizes = 1}};
    rbcore_record records[BATCH];
    uint64_t delivered = 0, next = 0;
    ck_assert_int_eq(pthread_create(&producer.thread, NULL, run_producer, &producer), 0);
    for (;;) {
        bool done = atomic_load(&producer.done);
        int count = rbcore_reader_next(reader, records, BATCH, 10 * MILLISECOND);
        ck_assert_int_ge(count, 0);
        for (int i = 0; i < count; i++) {
            const struct event *event = records[i].data;
            ck_assert_uint_ge(event->sequence, next);
            next = event->sequence + 1;
        }
        delivered += (uint64_t)count;
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
        if (!count && done) {
            break;
        }
    }
    ck_assert_int_eq(pthread_join(producer.thread, NULL), 0);
    ck_assert_uint_eq(delivered + producer.args.lost, COUNT * RUNS);
}

/* Whether the kernel was not told of the last record that was committed: so only in a busy ring. */
static bool holds_back(rbcore_reader *reader) {
    rbcore_ring_stats stats = ring_stats(reader, 0);
    return (stats.flags & RBCORE_RING_PACED) && stats.consumer_pos != stats.user_pos;
}

/* Fills and empties the ring by turns, as quickly as it goes, until it is taken for busy. */
static void make_busy(rbcore_reader *reader, struct produce *ring) {
    rbcore_record records[BATCH];
    for (int i = 0; i < 10000 && !holds_back(reader); i++) {
        struct produce_args args = {.count = 20, .sizes = 1};
        produce(ring, &args);
        for (int left = 20; left > 0;) {
            int count = rbcore_reader_next(reader, records, BATCH, WATCHDOG);
            ck_assert_int_gt(count, 0);
            ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
            left -= count;
        }
    }
    ck_assert(holds_back(reader));
}

struct emission {
    struct produce *ring;
    uint64_t flags;
};

static void *emit_later(void *context) {
    struct emission *emission = context;
    sleep_ms(50); /* for the wait to begin, and to find the ring idle */
    emit(emission->ring, 8, 0, emission->flags);
    return NULL;
}

/* A wait for one record, which comes when it has begun. */
static void wait_for_one(rbcore_reader *reader, struct produce *ring, uint64_t flags) {
    struct emission emission = {ring, flags};
    pthread_t thread;
    rbcore_record record;
    ck_assert_int_eq(pthread_create(&thread, NULL, emit_later, &emission), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(rbcore_reader_commit(reader, &record, 0), 0);
}

START_TEST(busy_then_idle) {
    struct produce *ring = load_ring(RING_SIZE);
    rbcore_reader *reader = open_moderated(ring);
    for (int round = 0; round < 3; round++) {
        make_busy(reader, ring);
        read_along(reader, ring);
        for (int i = 0; i < 10; i++) {
            wait_for_one(reader, ring, 0);
        }
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(commit_now) {
    struct produce *ring = load_ring(RING_SIZE);
    rbcore_reader *reader = open_moderated(ring);
    make_busy(reader, ring);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, RBCORE_COMMIT_NOW), 0);
    rbcore_ring_stats stats = ring_stats(reader, 0);
    ck_assert_uint_eq(stats.user_pos, stats.read_pos);
    ck_assert_uint_eq(stats.consumer_pos, stats.user_pos);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* What was committed does not come again, neither for our next reader nor for another library's. */
START_TEST(next_reader_goes_on_behind_the_commit) {
    struct produce *ring = load_ring(RING_SIZE);
    for (int i = 0; i < 5; i++) {
        rbcore_reader *reader = open_moderated(ring);
        rbcore_record record;
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
        make_busy(reader, ring);
        rbcore_reader_free(reader);
    }
    struct record_log log = consume_by_libbpf(ring);
    ck_assert_uint_eq(log.records, 0);
    produce__destroy(ring);
}
END_TEST

/* Even if there was no time to tell the kernel. */
START_TEST(killed_reader_repeats_nothing) {
    struct produce *ring = load_ring(RING_SIZE);
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        make_busy(open_moderated(ring), ring);
        if (write(ready[1], "", 1) == 1) {
            pause();
        }
        _exit(EXIT_FAILURE);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    rbcore_reader *reader = open_moderated(ring);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    rbcore_ring_stats stats = ring_stats(reader, 0);
    ck_assert_uint_eq(stats.read_pos, stats.producer_pos);
    ck_assert_int_eq(emit(ring, 8, 1, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG), 1);
    ck_assert(is_pattern(ring, record.data, 8, 1));
    rbcore_reader_free(reader);
    close(ready[0]);
    produce__destroy(ring);
}
END_TEST

/* RBCORE_READER_POLL: no wakeup is needed, nor a flush. */
START_TEST(silent_records_are_found_by_polling) {
    struct produce *ring = load_ring(pages(_i ? 256 : 1));
    rbcore_reader *reader = open_ring(ring, RBCORE_READER_POLL);
    for (int i = 0; i < 20; i++) {
        wait_for_one(reader, ring, BPF_RB_NO_WAKEUP);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("moderation");
    add_test(suite, busy_then_idle);
    add_test(suite, commit_now);
    add_test(suite, next_reader_goes_on_behind_the_commit);
    add_test(suite, killed_reader_repeats_nothing);
    add_loop_test(suite, silent_records_are_found_by_polling, 2);
    return run_tests(suite, NULL);
}
