/* SPDX-License-Identifier: MIT */
/* The reader's descriptor in an event loop, and wakeups that producers demand. */
#include "stage.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Level-triggered, like most event loops. */
static int epoll_on(int fd) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
    return epoll_fd;
}

/* Follows the rule of rbcore_reader_fd. */
static void take_what_is_due(stage *s) {
    int result;
    while ((result = take(s, MAX_RECORDS, 0)) > 0) {
        give_back(s);
    }
    ck_assert_int_eq(result, 0);
}

#define BURSTS 200

typedef struct bursts {
    pthread_t thread;
    stage *stage;
    uint32_t flags;
    atomic_bool done;
} bursts;

static void *emit_bursts(void *context) {
    bursts *self = context;
    unsigned int seed = 5;
    for (int i = 0; i < BURSTS; i++) {
        unsigned int most = i % 3 ? 200 : 2;
        emit_records(self->stage, 1 + (unsigned int)rand_r(&seed) % most, self->flags);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % (3 * MILLISECOND)}, NULL);
    }
    atomic_store(&self->done, true);
    return NULL;
}

/* A memory ring's reader looks for records of dead producers ten times a second. */
static int64_t liveness_checks_in(int64_t duration) {
    return has_liveness_checks ? duration / (100 * MILLISECOND) : 0;
}

/*
 * Reads until the ring is armed: then nothing makes the descriptor readable but a record and the
 * looks for dead producers.
 */
static void expect_silence(stage *s, int epoll_fd) {
    int64_t begin = now_ns(), returns = 0;
    while (is_paced(s) || now_ns() - begin < 250 * MILLISECOND) {
        if (readable(epoll_fd, 20)) {
            returns++;
            ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
        }
    }
    ck_assert_int_le(returns, liveness_checks_in(now_ns() - begin) + 5);
    expect_all_published(s);
}

static void take_by_epoll(stage *s, int epoll_fd) {
    while (waiting(s) != 0) {
        ck_assert(readable(epoll_fd, WATCHDOG_MS));
        take_what_is_due(s);
    }
}

/* Reads by the descriptor while bursts come. Returns how often the loop turned. */
static int64_t read_bursts(stage *s, int epoll_fd, uint32_t flags) {
    bursts stream = {.stage = s, .flags = flags};
    int64_t returns = 0;
    ck_assert_int_eq(pthread_create(&stream.thread, NULL, emit_bursts, &stream), 0);
    for (bool done = false; !done || is_paced(s); returns++) {
        done = atomic_load(&stream.done);
        if (readable(epoll_fd, done && !is_paced(s) ? 0 : 100)) {
            take_what_is_due(s);
        }
    }
    ck_assert_int_eq(pthread_join(stream.thread, NULL), 0);
    take_by_epoll(s, epoll_fd);
    return returns;
}

START_TEST(a_foreign_event_loop) {
    const int64_t latency = MILLISECOND;
    const uint32_t flags = _i ? RBCORE_FORCE_WAKEUP : 0;
    stage *s = open_stage((size_t)16 << 20, 0, latency);
    int epoll_fd = epoll_on(rbcore_reader_fd(s->reader));
    int64_t begin = now_ns();
    take_what_is_due(s);
    int64_t returns = read_bursts(s, epoll_fd, flags);
    int64_t intervals = (now_ns() - begin) / latency;
    ck_assert_int_le(returns, 4 * intervals + 10 * BURSTS + 100);
    expect_silence(s, epoll_fd);
    for (unsigned int i = 0; i < 20; i++) {
        emit_records(s, 1 + i % 2 * 9, flags);
        take_by_epoll(s, epoll_fd);
    }
    expect_silence(s, epoll_fd);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

START_TEST(forced_wakeups_of_a_paced_ring_are_not_heard) {
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    int epoll_fd = epoll_on(rbcore_reader_fd(s->reader));
    for (int i = 0;; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 1, MAX_RECORDS);
        int64_t begin = now_ns();
        emit_records(s, 3, RBCORE_FORCE_WAKEUP);
        bool heard = readable(epoll_fd, wakeup_delay_ms);
        if (now_ns() - begin < long_ns / 4) { /* else it may have been the timer */
            ck_assert(!heard);
            break;
        }
        take_the_rest(s);
    }
    ck_assert(readable(epoll_fd, WATCHDOG_MS)); /* the timer */
    take_the_rest(s);
    while (is_paced(s)) {
        ck_assert_int_eq(take(s, MAX_RECORDS, long_ns), 0);
    }
    ck_assert_int_eq(take(s, MAX_RECORDS, 0), 0);
    emit_records(s, 1, RBCORE_FORCE_WAKEUP);
    ck_assert(readable(epoll_fd, WATCHDOG_MS));
    take_the_rest(s);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

/* RBCORE_READER_POLL: no producer ever wakes, and all comes all the same. */
START_TEST(polling_needs_no_wakeup) {
    static const size_t sizes[] = {4096, 65536, 16 << 20};
    const size_t page = page_size(), size = sizes[_i / 2] < page ? page : sizes[_i / 2];
    uint32_t flags = RBCORE_READER_POLL | (_i % 2 ? RBCORE_READER_RELEASE : 0);
    stage *s = open_stage(size, flags, RBCORE_DEFAULT_MAX_LATENCY);
    int epoll_fd = epoll_on(rbcore_reader_fd(s->reader));
    for (unsigned int i = 0; i < 100; i++) {
        ck_assert(is_paced(s));
        ck_assert_int_eq(take(s, MAX_RECORDS, i % 4 ? 0 : MILLISECOND), 0);
        emit_records(s, 1 + i % 7, RBCORE_NO_WAKEUP);
        while (waiting(s) != 0) {
            if (i % 2) {
                ck_assert(readable(epoll_fd, WATCHDOG_MS));
                take_what_is_due(s);
            } else {
                ck_assert_int_gt(take(s, 3, RBCORE_FOREVER), 0);
                give_back(s);
            }
        }
        ck_assert_uint_eq(test_ring_wakes(s->ring, 0), 0);
    }
    close(epoll_fd);
    close_stage(s);
}
END_TEST

/* No wakeup is needed by a wait that has begun either. */
START_TEST(records_without_wakeups_are_found_by_polling) {
    stage *s =
        open_stage(page_size() * (_i ? 256 : 1), RBCORE_READER_POLL, RBCORE_DEFAULT_MAX_LATENCY);
    for (int i = 0; i < 20; i++) {
        wait_for_one(s, RBCORE_NO_WAKEUP);
    }
    close_stage(s);
}
END_TEST

/* ---- Forced wakeups of a stream ---- */

static void *emit_one_forced_later(void *context) {
    emitter *self = context;
    sleep_ms(200);
    emit_records(self->stage, 1, RBCORE_FORCE_WAKEUP);
    return NULL;
}

/* How often this thread slept and was woken while it waited for what another one makes. */
typedef struct sleeps {
    int64_t switches, wakeups, duration;
} sleeps;

static sleeps read_along(emitter *stream, void *(*run)(void *)) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT, before = stats;
    struct rusage usage, usage_before;
    stage *s = stream->stage;
    pthread_t thread;
    const uint64_t end = s->delivered + (uint64_t)stream->times * stream->some;
    const int64_t begin = now_ns();
    ok(rbcore_reader_stats_get(s->reader, &before));
    getrusage(RUSAGE_THREAD, &usage_before);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, stream), 0);
    while (s->delivered < end) {
        ck_assert_int_gt(take(s, MAX_RECORDS, WATCHDOG_NS), 0);
        give_back(s);
    }
    getrusage(RUSAGE_THREAD, &usage);
    ok(rbcore_reader_stats_get(s->reader, &stats));
    const int64_t duration = now_ns() - begin;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return (sleeps){usage.ru_nvcsw - usage_before.ru_nvcsw,
                    (int64_t)(stats.wakeups - before.wakeups), duration};
}

/* A record that demands a wakeup, every 50 microseconds. */
static sleeps read_forced(stage *s) {
    emitter stream = {.stage = s, .times = 4000, .some = 1, .pause = 50 * MICROSECOND};
    stream.flags = RBCORE_FORCE_WAKEUP;
    return read_along(&stream, run_emitter);
}

/*
 * A program that wakes for each record wakes an armed reader each time, and a paced one's thread
 * not even inside the kernel: it sleeps once an interval. Armed again, it is woken, not looking
 * itself.
 */
START_TEST(forced_wakeups_of_a_stream) {
    const int64_t latency = 10 * MILLISECOND;
    stage *s = open_stage((size_t)16 << 20, 0, 0);
    const sleeps armed = read_forced(s);
    close_stage(s);
    s = open_stage((size_t)16 << 20, 0, latency);
    const sleeps paced = read_forced(s);
    printf("forced wakeups: armed: %lld sleeps, paced: %lld in %lld intervals\n",
           (long long)armed.switches, (long long)paced.switches,
           (long long)(paced.duration / latency));
    ck_assert_int_lt(paced.switches, 4 * paced.duration / latency + 40);
    ck_assert_int_lt(paced.wakeups, paced.duration / latency + 40);
    ck_assert_int_gt(armed.switches, 10 * paced.switches);
    ck_assert_int_gt(armed.wakeups, 10 * paced.wakeups);
    while (is_paced(s)) {
        ck_assert_int_eq(take(s, MAX_RECORDS, latency), 0);
    }
    emitter one = {.stage = s, .times = 1, .some = 1};
    const sleeps idle = read_along(&one, emit_one_forced_later);
    ck_assert_int_ge(idle.wakeups, 1);
    ck_assert_int_le(idle.wakeups, 1 + liveness_checks_in(idle.duration));
    ck_assert_int_lt(idle.switches, 10);
    close_stage(s);
}
END_TEST

const scenario descriptor_scenarios[] = {
    {&a_foreign_event_loop, 2},       {&forced_wakeups_of_a_paced_ring_are_not_heard, 2},
    {&polling_needs_no_wakeup, 6},    {&records_without_wakeups_are_found_by_polling, 2},
    {&forced_wakeups_of_a_stream, 1}, {NULL, 0},
};
