/* SPDX-License-Identifier: MIT */
/*
 * When the kernel wakes the reader of a ring and when the reader looks by its timer: what is
 * published meanwhile, who is woken, what a batch is, and what a successor finds. moderation.c has
 * the plain cases; here are the promises one by one, and bursts and kills at random moments
 * (RBCORE_STRESS_SECONDS makes those longer). In a ring of 64 MiB an interval is so long that
 * a step does not depend on the machine's speed; where it was stalled it tries again.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define MICROSECOND INT64_C(1000)
#define LARGE ((size_t)64 << 20)
#define LONG (45 * MILLISECOND) /* what LARGE allows is a little more */
#define ROOM 1024
#define ATTEMPTS 50
#define WORKERS 2

/* ThreadSanitizer's code does not always write and read 8 records within the shortest interval. */
#ifdef __SANITIZE_THREAD__
#define HAS_SHORTEST false
#define SMALLEST_PACED ((size_t)131072)
#else
#define HAS_SHORTEST true
#define SMALLEST_PACED ((size_t)65536)
#endif

/* A ring with consecutive numbers in it, and how many of them were produced and delivered. */
struct stage {
    struct produce *ring;
    rbcore_reader *reader;
    bool is_release;
    struct produce_args args;
    _Atomic uint64_t produced, delivered; /* produced: or refused by a full ring */
    _Atomic uint64_t lost;
    uint64_t next;               /* the smallest number that can come now */
    rbcore_record records[ROOM]; /* of the last take */
    size_t held;                 /* of them */
};

static rbcore_reader *open_moderated(const struct produce *ring, uint64_t flags,
                                     int64_t max_latency) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = source_of(ring);
    rbcore_reader *reader = NULL;
    options.flags = flags;
    options.max_latency_ns = max_latency;
    ck_assert_int_eq(rbcore_reader_open(&reader, &options), 0);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    return reader;
}

static struct stage *open_stage(size_t size, uint64_t flags, int64_t max_latency) {
    struct stage *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    self->ring = load_ring(size);
    self->reader = open_moderated(self->ring, flags, max_latency);
    self->is_release = flags & RBCORE_READER_RELEASE;
    self->args.sizes = 1;
    return self;
}

static void close_stage(struct stage *self) {
    ck_assert_uint_eq(self->delivered + self->lost, self->produced);
    rbcore_reader_free(self->reader);
    produce__destroy(self->ring);
    free(self);
}

static void emit_events(struct stage *self, uint32_t count, uint64_t flags) {
    self->args.count = count;
    self->args.flags = flags;
    /* First what is to come: a reader that is faster than this thread would see too many. */
    atomic_fetch_add(&self->produced, count);
    produce(self->ring, &self->args);
    atomic_store(&self->lost, self->args.lost);
}

/* What read or next returned: numbers that ascend, and without a gap if none were refused. */
static int taken(struct stage *self, int result) {
    self->held = result > 0 ? (size_t)result : 0;
    for (size_t i = 0; i < self->held; i++) {
        const struct event *event = self->records[i].data;
        if (self->records[i].ring != 0) {
            continue;
        }
        if (event->sequence < self->next) {
            ck_abort_msg("record %llu comes after %llu", (unsigned long long)event->sequence,
                         (unsigned long long)self->next - 1);
        }
        self->next = event->sequence + 1;
        atomic_fetch_add(&self->delivered, 1);
    }
    return result;
}

static int take(struct stage *self, size_t max, int64_t timeout) {
    return taken(self, rbcore_reader_next(self->reader, self->records, max, timeout));
}

static void give_back(struct stage *self) {
    int error = self->is_release ? rbcore_reader_release(self->reader, self->records, self->held)
                                 : rbcore_reader_commit(self->reader, NULL, 0);
    if (error) {
        ck_abort_msg("%d", error);
    }
}

static bool is_paced(const struct stage *self) {
    return ring_stats(self->reader, 0).flags & RBCORE_RING_PACED;
}

static uint64_t waiting(const struct stage *self) {
    return self->produced - self->lost - self->delivered;
}

static void take_the_rest(struct stage *self) {
    while (waiting(self)) {
        ck_assert_int_gt(take(self, ROOM, WATCHDOG), 0);
        give_back(self);
    }
}

static void make_paced(struct stage *self) {
    int64_t give_up = now() + WATCHDOG;
    for (bool paced = false; !paced;) {
        if (now() > give_up) {
            ck_abort_msg("8 records at once do not make the ring paced");
        }
        take(self, ROOM, 0);
        give_back(self);
        emit_events(self, 8, 0);
        while (waiting(self)) {
            ck_assert_int_gt(take(self, ROOM, WATCHDOG), 0);
            paced = is_paced(self);
            give_back(self);
        }
    }
}

/* Makes the ring busy, with count new records in it that are not due in a batch of max. */
static void let_wait(struct stage *self, uint32_t count, size_t max) {
    for (int i = 0; i < ATTEMPTS; i++) {
        make_paced(self);
        emit_events(self, count, 0);
        if (take(self, max, 0) == 0 && is_paced(self)) {
            return;
        }
        give_back(self);
        take_the_rest(self);
    }
    ck_abort_msg("records of a busy ring are due at once");
}

static void expect_all_published(const struct stage *self) {
    rbcore_ring_stats stats = ring_stats(self->reader, 0);
    ck_assert_uint_eq(stats.consumer_pos, stats.user_pos);
}

static void expect_held_back(const struct stage *self, uint64_t size) {
    rbcore_ring_stats stats = ring_stats(self->reader, 0);
    ck_assert_uint_eq(stats.consumer_pos, stats.user_pos - room_of(size));
}

/* Somebody else who listens to the ring's wakeups. */
static int observe(const struct stage *self) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, ring_fd(self->ring), &event), 0);
    return epoll_fd;
}

/* Level-triggered, like most event loops. */
static int epoll_on(int fd) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
    return epoll_fd;
}

static bool poll_once(int epoll_fd, int64_t timeout) {
    struct epoll_event event;
    int n;
    do {
        n = epoll_wait(epoll_fd, &event, 1, (int)(timeout / MILLISECOND));
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

START_TEST(slow_stays_armed) {
    struct stage *s = open_stage(pages(256), _i ? RBCORE_READER_RELEASE : 0, RBCORE_MAX_LATENCY);
    int observer = observe(s), epoll_fd = epoll_on(rbcore_reader_fd(s->reader));
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(take(s, ROOM, 0), 0);
        poll_once(observer, 0);
        emit_events(s, 1, 0);
        ck_assert(poll_once(observer, WATCHDOG));
        ck_assert(poll_once(epoll_fd, WATCHDOG));
        ck_assert_int_eq(take(s, ROOM, 0), 1);
        give_back(s);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        sleep_ms(1);
    }
    close(observer);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

START_TEST(busy_is_held_back) {
    struct stage *s = open_stage(LARGE, _i ? RBCORE_READER_RELEASE : 0, LONG);
    int observer = observe(s);
    make_paced(s);
    while (poll_once(observer, 5 * MILLISECOND))
        ;
    for (int i = 0; i < 5; i++) {
        expect_held_back(s, EVENT_SMALL);
        rbcore_ring_stats before = ring_stats(s->reader, 0);
        emit_events(s, 5, 0);
        ck_assert(!poll_once(observer, 5 * MILLISECOND));
        ck_assert_int_eq(take(s, ROOM, WATCHDOG), 5);
        ck_assert(is_paced(s));
        /* What was held back goes with the call that finds more. */
        ck_assert_uint_eq(ring_stats(s->reader, 0).consumer_pos, before.user_pos);
        ck_assert(!poll_once(observer, 0));
        give_back(s);
    }
    /* Nothing comes any more. */
    ck_assert_int_eq(take(s, ROOM, 4 * LONG), 0);
    ck_assert(!is_paced(s));
    expect_all_published(s);
    emit_events(s, 1, 0);
    ck_assert(poll_once(observer, WATCHDOG));
    take_the_rest(s);
    close(observer);
    close_stage(s);
}
END_TEST

START_TEST(between_two_rates) {
    struct stage *s = open_stage(LARGE, 0, LONG);
    make_paced(s);
    for (int i = 0; i < 5; i++) {
        emit_events(s, 2, 0);
        ck_assert_int_eq(take(s, ROOM, WATCHDOG), 2);
        give_back(s);
        ck_assert(is_paced(s));
    }
    emit_events(s, 1, 0);
    ck_assert_int_eq(take(s, ROOM, WATCHDOG), 1);
    give_back(s);
    ck_assert(!is_paced(s));
    expect_all_published(s);
    for (int i = 0; i < 5; i++) {
        sleep_ms(60);
        ck_assert_int_eq(take(s, ROOM, 0), 0);
        emit_events(s, 3, 0);
        ck_assert_int_eq(take(s, ROOM, 0), 3);
        give_back(s);
        ck_assert(!is_paced(s));
    }
    close_stage(s);
}
END_TEST

static void expect_never_paced(size_t size, int64_t max_latency) {
    struct stage *s = open_stage(size, 0, max_latency);
    for (int i = 0; i < 300; i++) {
        if (i % 3 == 0) {
            ck_assert_int_eq(take(s, ROOM, i % 2 ? 0 : 100 * MICROSECOND), 0);
        }
        emit_events(s, 8, 0);
        ck_assert_int_eq(take(s, ROOM, 0), 8);
        give_back(s);
        ck_assert(!is_paced(s));
        expect_all_published(s);
    }
    close_stage(s);
}

START_TEST(never_paced) {
    for (size_t size = pages(1); size < 65536; size *= 2) {
        expect_never_paced(size, RBCORE_MAX_LATENCY);
        expect_never_paced(size, SECOND);
    }
    expect_never_paced(pages(256), 0);
    expect_never_paced(pages(256), 49999);
    /* But these are: */
    if (HAS_SHORTEST) {
        struct stage *s = open_stage(pages(256), 0, 50000);
        make_paced(s);
        close_stage(s);
    }
    struct stage *s = open_stage(SMALLEST_PACED, 0, RBCORE_MAX_LATENCY);
    make_paced(s);
    close_stage(s);
}
END_TEST

/* By read, which changes no ring's pace. */
static void read_one_paced(struct stage *s, uint32_t size) {
    make_paced(s);
    ck_assert_int_eq(emit(s->ring, size, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(s->reader, s->records, ROOM), 1);
    ck_assert_uint_eq(s->records[0].size, size);
    ck_assert(is_paced(s));
    s->held = 1;
}

START_TEST(large_is_not_held_back) {
    const size_t size = (size_t)1 << 20;
    const uint32_t largest = (uint32_t)size / 64 - 8;
    struct stage *s = open_stage(size, _i ? RBCORE_READER_RELEASE : 0, RBCORE_MAX_LATENCY);
    read_one_paced(s, largest);
    give_back(s);
    expect_held_back(s, largest);
    read_one_paced(s, largest + 1);
    give_back(s);
    expect_all_published(s);
    close_stage(s);
}
END_TEST

START_TEST(more_than_half_full) {
    const uint32_t half = SMALLEST_PACED / 2;
    struct stage *s =
        open_stage(SMALLEST_PACED, _i ? RBCORE_READER_RELEASE : 0, RBCORE_MAX_LATENCY);
    for (uint32_t more = 0; more <= 8; more += 8) {
        read_one_paced(s, 8);
        uint32_t size = half - 16 + more - 8;
        ck_assert_int_eq(emit(s->ring, size, 0, 0), 0);
        give_back(s);
        if (more) {
            expect_all_published(s);
        } else {
            expect_held_back(s, 8);
        }
        ck_assert_int_eq(rbcore_reader_next(s->reader, s->records, ROOM, WATCHDOG), 1);
        ck_assert_uint_eq(s->records[0].size, size);
        s->held = 1;
        give_back(s);
    }
    close_stage(s);
}
END_TEST

START_TEST(commit_frees_space) {
    const size_t size = _i ? SMALLEST_PACED : pages(1);
    const uint32_t half = (uint32_t)size / 2 - 64;
    struct stage *s = open_stage(size, 0, RBCORE_MAX_LATENCY);
    for (int i = 0; i < 30; i++) {
        if (i % 2 && _i) {
            make_paced(s);
        }
        ck_assert_int_eq(emit(s->ring, half, 0, 0), 0);
        ck_assert_int_eq(emit(s->ring, half, 0, 0), 0);
        ck_assert_int_ne(emit(s->ring, half, 0, 0), 0);
        for (int more = 0; more < 20; more++) {
            ck_assert_int_eq(rbcore_reader_read(s->reader, s->records, 1), 1);
            ck_assert_int_eq(rbcore_reader_commit(s->reader, s->records, 0), 0);
            ck_assert_int_eq(emit(s->ring, half, 0, 0), 0); /* at once */
        }
        for (int left = 2; left; left--) {
            ck_assert_int_eq(rbcore_reader_next(s->reader, s->records, 1, WATCHDOG), 1);
            ck_assert_int_eq(rbcore_reader_commit(s->reader, NULL, 0), 0);
        }
    }
    close_stage(s);
}
END_TEST

START_TEST(batches) {
    struct stage *s = open_stage(LARGE, 0, LONG);
    let_wait(s, 9, 10);
    emit_events(s, 1, 0);
    ck_assert_int_eq(take(s, 10, 0), 10);
    give_back(s);
    let_wait(s, 3, ROOM);
    ck_assert_int_eq(taken(s, rbcore_reader_read(s->reader, s->records, ROOM)), 3);
    give_back(s);
    let_wait(s, 9, ROOM); /* what max leaves is due as well */
    ck_assert_int_eq(take(s, 8, 0), 8);
    ck_assert_int_eq(take(s, 8, 0), 1);
    give_back(s);
    let_wait(s, 2, ROOM);
    ck_assert_int_eq(rbcore_reader_flush(s->reader), 0);
    ck_assert_int_eq(take(s, ROOM, 0), 2);
    give_back(s);
    ck_assert_int_eq(take(s, ROOM, 0), -ENODATA);
    close_stage(s);
}
END_TEST

struct stream {
    pthread_t thread;
    struct stage *stage;
    uint64_t flags;
    atomic_bool done;
};

/* Two thousand times 10 records in 200 microseconds. */
static void *emit_steadily(void *context) {
    struct stream *self = context;
    int64_t next = now();
    for (int i = 0; i < 2000; i++) {
        emit_events(self->stage, 10, self->flags);
        for (next += 200 * MICROSECOND; now() < next;)
            ;
    }
    return NULL;
}

START_TEST(steady_stream) {
    const int64_t latency = 10 * MILLISECOND;
    struct stage *s = open_stage((size_t)16 << 20, 0, latency);
    struct stream stream = {.stage = s, .flags = _i ? BPF_RB_FORCE_WAKEUP : 0};
    int64_t begin = now();
    uint64_t count = 0;
    ck_assert_int_eq(pthread_create(&stream.thread, NULL, emit_steadily, &stream), 0);
    while (s->delivered < 20000) {
        int result = take(s, ROOM, WATCHDOG);
        if (result <= 0) {
            ck_abort_msg("%d", result);
        }
        count++;
        give_back(s);
    }
    int64_t intervals = (now() - begin) / latency;
    ck_assert_int_eq(pthread_join(stream.thread, NULL), 0);
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    ck_assert_int_eq(rbcore_reader_stats_get(s->reader, &stats), 0);
    ck_assert_uint_lt(count, 20000 / 50); /* 500 records each, if left in peace */
    ck_assert_uint_lt(stats.wakeups, 20000 / 50);
    ck_assert_int_ge((int64_t)count, intervals / 20 + 1); /* and not all at the end */
    close_stage(s);
}
END_TEST

/* ---- The descriptor ---- */

START_TEST(forced_wakeups) {
    struct stage *s = open_stage(LARGE, _i ? RBCORE_READER_RELEASE : 0, LONG);
    int epoll_fd = epoll_on(rbcore_reader_fd(s->reader));
    for (int i = 0;; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 1, ROOM);
        int64_t begin = now();
        emit_events(s, 3, BPF_RB_FORCE_WAKEUP);
        bool heard = poll_once(epoll_fd, 5 * MILLISECOND);
        if (now() - begin < LONG / 4) { /* else it may have been the timer */
            ck_assert(!heard);
            break;
        }
        take_the_rest(s);
    }
    ck_assert(poll_once(epoll_fd, WATCHDOG)); /* the timer */
    take_the_rest(s);
    while (is_paced(s)) {
        ck_assert_int_eq(take(s, ROOM, LONG), 0);
    }
    ck_assert_int_eq(take(s, ROOM, 0), 0);
    emit_events(s, 1, BPF_RB_FORCE_WAKEUP);
    ck_assert(poll_once(epoll_fd, WATCHDOG));
    take_the_rest(s);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

#define TIMED 400

/* When each record was made. */
static _Atomic int64_t made_at[TIMED];

/* One in a millisecond. */
static void *emit_timed(void *context) {
    for (int i = 0; i < TIMED; i++) {
        made_at[i] = now();
        emit_events(context, 1, 0);
        sleep_ms(1);
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/*
 * In a busy ring no record waits longer than max_latency, and the oldest of a batch just that long. The
 * others of its interval came later: so a quarter may be late, for the sake of busy machines.
 */
START_TEST(latency_is_kept) {
    const int64_t latency = 40 * MILLISECOND;
    int64_t delays[TIMED];
    struct stage *s = open_stage(LARGE, 0, latency);
    pthread_t thread;
    uint64_t paced = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, emit_timed, s), 0);
    while (s->delivered < TIMED) {
        ck_assert_int_gt(take(s, ROOM, WATCHDOG), 0);
        for (size_t i = 0; i < s->held; i++) {
            delays[s->delivered - s->held + i] = now() - made_at[s->delivered - s->held + i];
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

#define FORCED 4000

/* A record that demands a wakeup, every 50 microseconds. */
static void *emit_forced(void *context) {
    int64_t next = now();
    for (int i = 0; i < FORCED; i++) {
        emit_events(context, 1, BPF_RB_FORCE_WAKEUP);
        for (next += 50 * MICROSECOND; now() < next;)
            ;
    }
    return NULL;
}

static void *emit_one_forced_later(void *context) {
    sleep_ms(200);
    emit_events(context, 1, BPF_RB_FORCE_WAKEUP);
    return NULL;
}

/* How often this thread slept and was woken while it waited for what emitter makes. */
struct sleeps {
    int64_t switches, wakeups, duration;
};

static struct sleeps read_along(struct stage *s, void *(*emitter)(void *), uint64_t records) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT, before = stats;
    struct rusage usage, usage_before;
    pthread_t thread;
    const uint64_t end = s->delivered + records;
    const int64_t begin = now();
    ck_assert_int_eq(rbcore_reader_stats_get(s->reader, &before), 0);
    getrusage(RUSAGE_THREAD, &usage_before);
    ck_assert_int_eq(pthread_create(&thread, NULL, emitter, s), 0);
    while (s->delivered < end) {
        ck_assert_int_gt(take(s, ROOM, WATCHDOG), 0);
        give_back(s);
    }
    getrusage(RUSAGE_THREAD, &usage);
    ck_assert_int_eq(rbcore_reader_stats_get(s->reader, &stats), 0);
    const int64_t duration = now() - begin;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return (struct sleeps){usage.ru_nvcsw - usage_before.ru_nvcsw,
                           (int64_t)(stats.wakeups - before.wakeups), duration};
}

/*
 * A program that wakes for each record wakes an armed reader each time, and a paced one's thread not
 * even inside the kernel: it sleeps once an interval. Armed again, it is woken, not looking itself.
 */
START_TEST(forced_wakeups_of_a_stream) {
    const int64_t latency = 10 * MILLISECOND;
    struct stage *s = open_stage((size_t)16 << 20, 0, 0);
    const struct sleeps armed = read_along(s, emit_forced, FORCED);
    close_stage(s);
    s = open_stage((size_t)16 << 20, 0, latency);
    const struct sleeps paced = read_along(s, emit_forced, FORCED);
    printf("%d forced wakeups, armed: %lld sleeps, paced: %lld in %lld intervals\n", FORCED,
           (long long)armed.switches, (long long)paced.switches,
           (long long)(paced.duration / latency));
    ck_assert_int_lt(paced.switches, 4 * paced.duration / latency + 40);
    ck_assert_int_lt(paced.wakeups, paced.duration / latency + 40);
    ck_assert_int_gt(armed.switches, 10 * paced.switches);
    ck_assert_int_gt(armed.wakeups, 10 * paced.wakeups);
    while (is_paced(s)) {
        ck_assert_int_eq(take(s, ROOM, latency), 0);
    }
    const struct sleeps idle = read_along(s, emit_one_forced_later, 1);
    ck_assert_int_eq(idle.wakeups, 1);
    ck_assert_int_lt(idle.switches, 10);
    close_stage(s);
}
END_TEST

static void take_what_is_due(struct stage *s) {
    int result;
    while ((result = take(s, ROOM, 0)) > 0) {
        give_back(s);
    }
    ck_assert_int_eq(result, 0);
}

START_TEST(polling) {
    static const size_t sizes[] = {4096, 65536, 16 << 20};
    const size_t size = sizes[_i / 2] < pages(1) ? pages(1) : sizes[_i / 2];
    uint64_t flags = RBCORE_READER_POLL | (_i % 2 ? RBCORE_READER_RELEASE : 0);
    struct stage *s = open_stage(size, flags, RBCORE_MAX_LATENCY);
    int epoll_fd = epoll_on(rbcore_reader_fd(s->reader)), observer = observe(s);
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert(is_paced(s));
        ck_assert_int_eq(take(s, ROOM, i % 4 ? 0 : MILLISECOND), 0);
        poll_once(observer, 0);
        emit_events(s, 1 + i % 7, BPF_RB_NO_WAKEUP);
        while (waiting(s)) {
            if (i % 2) {
                ck_assert(poll_once(epoll_fd, WATCHDOG));
                take_what_is_due(s);
            } else {
                ck_assert_int_gt(take(s, 3, RBCORE_FOREVER), 0);
                give_back(s);
            }
        }
        ck_assert(!poll_once(observer, 0));
    }
    close(observer);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

#define BURSTS 200

static void *emit_bursts(void *context) {
    struct stream *self = context;
    unsigned int seed = 5;
    for (int i = 0; i < BURSTS; i++) {
        emit_events(self->stage, 1 + (uint32_t)rand_r(&seed) % (i % 3 ? 200 : 2), self->flags);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % (3 * MILLISECOND)}, NULL);
    }
    atomic_store(&self->done, true);
    return NULL;
}

/* Until it is armed: then nothing makes the descriptor readable but a record. */
static void wait_for_silence(struct stage *s, int epoll_fd) {
    int returns = 0;
    while (poll_once(epoll_fd, is_paced(s) ? WATCHDOG : 50 * MILLISECOND)) {
        ck_assert_int_eq(take(s, ROOM, 0), 0);
        ck_assert_int_lt(returns++, 10);
    }
    ck_assert(!is_paced(s));
    expect_all_published(s);
    ck_assert(!poll_once(epoll_fd, 50 * MILLISECOND));
}

START_TEST(foreign_event_loop) {
    const int64_t latency = MILLISECOND;
    struct stage *s = open_stage((size_t)16 << 20, 0, latency);
    struct stream stream = {.stage = s, .flags = _i ? BPF_RB_FORCE_WAKEUP : 0};
    int epoll_fd = epoll_on(rbcore_reader_fd(s->reader));
    int64_t begin = now(), returns = 0;
    take_what_is_due(s);
    ck_assert_int_eq(pthread_create(&stream.thread, NULL, emit_bursts, &stream), 0);
    for (bool done;; returns++) {
        done = atomic_load(&stream.done);
        if (done && !waiting(s)) {
            break;
        }
        if (poll_once(epoll_fd, done ? WATCHDOG : 100 * MILLISECOND)) {
            take_what_is_due(s);
        } else if (done) {
            ck_abort_msg("%llu records are stuck", (unsigned long long)waiting(s));
        }
    }
    int64_t intervals = (now() - begin) / latency;
    ck_assert_int_eq(pthread_join(stream.thread, NULL), 0);
    ck_assert_int_le(returns, 4 * intervals + 10 * BURSTS + 100);
    wait_for_silence(s, epoll_fd);
    for (uint32_t i = 0; i < 20; i++) {
        emit_events(s, 1 + i % 2 * 9, stream.flags);
        while (waiting(s)) {
            ck_assert(poll_once(epoll_fd, WATCHDOG));
            take_what_is_due(s);
        }
    }
    wait_for_silence(s, epoll_fd);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

START_TEST(slow_beside_busy) {
    struct stage *s = open_stage(LARGE, _i ? RBCORE_READER_RELEASE : 0, LONG);
    struct produce *slow = load_ring(65536);
    rbcore_source source = source_of(slow);
    int index = rbcore_reader_add(s->reader, &source);
    ck_assert_int_eq(index, 1);
    for (int alone = 0, i = 0; alone < 5; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 3, ROOM);
        ck_assert_int_eq(emit(slow, 8, 0, 0), 0);
        for (bool found = false; !found;) {
            int result = take(s, ROOM, WATCHDOG);
            ck_assert_int_gt(result, 0);
            for (int k = 0; k < result; k++) {
                found |= s->records[k].ring == index;
            }
            /* The busy ring's records come with it only if they are due by themselves. */
            alone += found && result == 1 && waiting(s) == 3;
            give_back(s);
        }
        rbcore_ring_stats stats = ring_stats(s->reader, 1);
        ck_assert(!(stats.flags & RBCORE_RING_PACED));
        ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
        take_the_rest(s);
    }
    close_stage(s);
    produce__destroy(slow);
}
END_TEST

/* ---- Bursts and idle times by turns ---- */

static int64_t stress_time(void) {
    const char *seconds = getenv("RBCORE_STRESS_SECONDS");
    return (seconds ? atoll(seconds) : 4) * SECOND;
}

struct play {
    struct stage *stage;
    unsigned int seed;
    uint64_t flags;
    int64_t end;
    uint64_t waits, long_waits; /* of the producer */
    /* Records that the workers may take, from any place. */
    pthread_mutex_t lock;
    rbcore_record pool[ROOM];
    size_t pooled;
    atomic_bool closed;
};

static void pause_for(long ns) {
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* While records are held the reader looks every 10 ms at the latest; the rest is for busy machines. */
#define LONG_WAIT (50 * MILLISECOND)

/* A lost wakeup shows here: nothing else comes that would make up for it. */
static void wait_until_delivered(struct play *self) {
    const struct stage *s = self->stage;
    int64_t begin = now();
    while (waiting(s)) {
        pause_for(20000);
        if (now() > begin + WATCHDOG) {
            ck_abort_msg("stuck: %llu of %llu records", (unsigned long long)waiting(s),
                         (unsigned long long)s->produced);
        }
    }
    self->waits++;
    self->long_waits += now() - begin > LONG_WAIT;
}

static void *play_producer(void *context) {
    struct play *self = context;
    unsigned int seed = self->seed;
    while (now() < self->end) {
        uint32_t runs = 1 + (uint32_t)rand_r(&seed) % 20;
        uint32_t count = 1 + (uint32_t)rand_r(&seed) % (rand_r(&seed) % 3 ? 3 : 200);
        long gap = rand_r(&seed) % 3 ? 0 : rand_r(&seed) % 40000;
        for (; runs; runs--) {
            emit_events(self->stage, count, self->flags);
            if (gap) {
                pause_for(gap);
            }
        }
        if (rand_r(&seed) % 2) {
            wait_until_delivered(self);
        }
        if (rand_r(&seed) % 2) {
            pause_for(rand_r(&seed) % (2 * MILLISECOND));
        }
    }
    wait_until_delivered(self);
    ck_assert_int_eq(rbcore_reader_shutdown(self->stage->reader), 0);
    return NULL;
}

static void *play_worker(void *context) {
    struct play *self = context;
    unsigned int seed = (unsigned int)(uintptr_t)pthread_self() >> 12;
    rbcore_record records[64];
    for (bool closed = false; !closed;) {
        size_t taken_now = 0, most = 1 + (size_t)rand_r(&seed) % 64;
        closed = self->closed;
        pthread_mutex_lock(&self->lock);
        for (; taken_now < most && self->pooled; taken_now++) {
            size_t i = (size_t)rand_r(&seed) % self->pooled--;
            records[taken_now] = self->pool[i];
            self->pool[i] = self->pool[self->pooled];
        }
        pthread_mutex_unlock(&self->lock);
        if (rand_r(&seed) % 4 == 0 || !taken_now) {
            pause_for(rand_r(&seed) % 100000);
        }
        if (taken_now) {
            closed = false;
        }
        if (rbcore_reader_release(self->stage->reader, records, taken_now)) {
            ck_abort_msg("a release was refused");
        }
    }
    return NULL;
}

static void hand_over(struct play *self) {
    struct stage *s = self->stage;
    pthread_mutex_lock(&self->lock);
    size_t room = ROOM - self->pooled, given = s->held < room ? s->held : room;
    memcpy(&self->pool[self->pooled], s->records, given * sizeof(*s->records));
    self->pooled += given;
    pthread_mutex_unlock(&self->lock);
    if (rbcore_reader_release(s->reader, s->records + given, s->held - given)) {
        ck_abort_msg("a release was refused");
    }
}

/* Commits all, a part, or nothing yet. Returns whether nothing is held. */
static bool commit_some(struct stage *s, unsigned int *seed) {
    const rbcore_record *last = NULL;
    int choice = rand_r(seed) % 8;
    if (choice == 0 || (choice == 1 && !s->held)) {
        return false;
    }
    if (choice == 1) {
        last = &s->records[(size_t)rand_r(seed) % s->held];
    }
    if (rbcore_reader_commit(s->reader, last, choice == 2 ? RBCORE_COMMIT_NOW : 0)) {
        ck_abort_msg("a commit was refused");
    }
    return !last;
}

static int play_next(struct stage *s, unsigned int *seed, bool may_sleep) {
    static const int64_t limits[] = {0, 30000, 200000, 3000000};
    size_t max = 1 + (size_t)rand_r(seed) % (rand_r(seed) % 4 ? ROOM : 10);
    int choice = rand_r(seed) % 8;
    if (choice == 0) {
        return taken(s, rbcore_reader_read(s->reader, s->records, max));
    }
    return take(s, max, may_sleep && choice > 3 ? RBCORE_FOREVER : limits[choice % 4]);
}

static void play_bursts(size_t size, uint64_t reader_flags, int64_t latency, uint64_t flags) {
    static struct play self;
    memset(&self, 0, sizeof(self));
    struct stage *s = open_stage(size, reader_flags, latency);
    unsigned int seed = getenv("RBCORE_STRESS_SECONDS") ? (unsigned int)now() : 7;
    uint64_t paced = 0, armed = 0;
    pthread_t producer, workers[WORKERS];
    self.stage = s;
    self.seed = seed;
    self.flags = flags;
    self.end = now() + stress_time() / 4;
    pthread_mutex_init(&self.lock, NULL);
    ck_assert_int_eq(pthread_create(&producer, NULL, play_producer, &self), 0);
    for (int i = 0; i < WORKERS && s->is_release; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, play_worker, &self), 0);
    }
    int result;
    for (bool none_held = true; (result = play_next(s, &seed, none_held)) != -ESHUTDOWN;) {
        if (result < 0) {
            ck_abort_msg("next: %d", result);
        }
        if (s->is_release) {
            hand_over(&self);
        } else {
            none_held = commit_some(s, &seed);
        }
        paced += is_paced(s);
        armed += !is_paced(s);
    }
    self.closed = true;
    ck_assert_int_eq(pthread_join(producer, NULL), 0);
    for (int i = 0; i < WORKERS && s->is_release; i++) {
        ck_assert_int_eq(pthread_join(workers[i], NULL), 0);
    }
    if (!s->is_release) {
        ck_assert_int_eq(rbcore_reader_commit(s->reader, NULL, 0), 0);
    }
    rbcore_ring_stats stats = ring_stats(s->reader, 0);
    ck_assert_uint_eq(stats.user_pos, stats.producer_pos);
    printf("%zu KiB, flags %u: %llu records, %llu lost, %llu batches paced, %llu armed, "
           "%llu of %llu waits were long\n",
           size >> 10, (unsigned)reader_flags, (unsigned long long)s->delivered,
           (unsigned long long)s->lost, (unsigned long long)paced, (unsigned long long)armed,
           (unsigned long long)self.long_waits, (unsigned long long)self.waits);
    ck_assert_uint_le(self.long_waits, self.waits / 4 + 3); /* the machine may be busy */
    ck_assert_uint_eq(stats.lost, s->lost);
    /* A machine may be too slow for the others: 4 records in 50 or 100 microseconds. */
    if (latency > RBCORE_MAX_LATENCY) {
        ck_assert_uint_gt(paced, 0);
    }
    if (!(reader_flags & RBCORE_READER_POLL)) {
        ck_assert_uint_gt(armed, 0);
    }
    pthread_mutex_destroy(&self.lock);
    close_stage(s);
}

START_TEST(bursts_and_idle_times) {
    const uint64_t flags = _i ? RBCORE_READER_RELEASE : 0;
    play_bursts((size_t)1 << 20, flags, RBCORE_MAX_LATENCY, 0);
    play_bursts(65536, flags, RBCORE_MAX_LATENCY, 0);
    play_bursts((size_t)16 << 20, flags, MILLISECOND, BPF_RB_FORCE_WAKEUP);
    play_bursts(pages(1), flags | RBCORE_READER_POLL, RBCORE_MAX_LATENCY, BPF_RB_NO_WAKEUP);
}
END_TEST

/* ---- Killed readers ---- */

#define KILLS 50
#define UNREAD_MAX 4096 /* records; several times as many fit */

/* In memory that the reading child shares with its parent. */
struct notes {
    _Atomic uint64_t begun; /* a commit up to this number has begun, */
    _Atomic uint64_t done;  /* and to this one it is done */
    atomic_bool was_paced, failed;
};

static uint64_t number_of(const rbcore_record *record) {
    return ((const struct event *)record->data)->sequence;
}

static void read_until_killed(const struct produce *ring, struct notes *notes, unsigned int seed) {
    rbcore_record records[ROOM];
    rbcore_reader *reader = open_ring(ring, 0);
    for (;;) {
        int count =
            rbcore_reader_next(reader, records, 1 + (size_t)rand_r(&seed) % ROOM, RBCORE_FOREVER);
        if (count <= 0 || number_of(&records[0]) != notes->done) {
            notes->failed = true;
            return;
        }
        for (int last = rand_r(&seed) % 2 ? rand_r(&seed) % count : count - 1;;) {
            notes->begun = number_of(&records[last]) + 1;
            const rbcore_record *given = last == count - 1 ? NULL : &records[last];
            notes->failed |= rbcore_reader_commit(reader, given, 0) != 0;
            notes->done = notes->begun;
            if (last == count - 1) {
                break;
            }
            last = count - 1;
        }
        if (ring_stats(reader, 0).flags & RBCORE_RING_PACED) {
            notes->was_paced = true;
        }
    }
}

/* Makes records for a living reader until it was paced, and then some more. */
static void produce_until_paced(struct stage *s, const struct notes *notes, unsigned int *seed) {
    int64_t give_up = now() + WATCHDOG, end = 0;
    while (!end || now() < end) {
        if (!end && notes->was_paced) {
            end = now() + rand_r(seed) % (2 * MILLISECOND);
        }
        if (now() > give_up || notes->failed) {
            ck_abort_msg("the reader failed, or did not become paced");
        }
        /* On a loaded machine the reader may not run for long: what is refused is a gap to it. */
        if (s->produced - notes->done > UNREAD_MAX) {
            pause_for(10000);
            continue;
        }
        emit_events(s, (uint32_t)rand_r(seed) % 30, 0);
        if (rand_r(seed) % 4 == 0) {
            pause_for(rand_r(seed) % 100000);
        }
    }
    ck_assert_uint_eq(s->lost, 0);
}

static pid_t start_reader(const struct produce *ring, struct notes *notes, unsigned int seed) {
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        read_until_killed(ring, notes, seed);
        _exit(EXIT_FAILURE);
    }
    return pid;
}

static uint64_t consumer_pos_of(const struct produce *ring) {
    uint64_t *page = mmap(NULL, pages(1), PROT_READ, MAP_SHARED, ring_fd(ring), 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    uint64_t position = __atomic_load_n(page, __ATOMIC_ACQUIRE);
    munmap(page, pages(1));
    return position;
}

/* Reads what the dead one left. Returns whether it had held a record back. */
static bool succeed(struct stage *s, const struct notes *notes) {
    uint64_t published = consumer_pos_of(s->ring), next = s->produced;
    rbcore_record records[ROOM];
    rbcore_reader *reader = open_ring(s->ring, 0);
    uint64_t start = ring_stats(reader, 0).read_pos;
    bool first = true;
    for (int count; (count = rbcore_reader_read(reader, records, ROOM)) != 0; first = false) {
        ck_assert_int_gt(count, 0);
        next = first ? number_of(&records[0]) : next;
        if (first && next != notes->done && next != notes->begun) {
            ck_abort_msg("committed up to %llu (%llu), resumed at %llu",
                         (unsigned long long)notes->done, (unsigned long long)notes->begun,
                         (unsigned long long)next);
        }
        for (int i = 0; i < count; i++, next++) {
            if (number_of(&records[i]) != next) {
                ck_abort_msg("record %llu comes where %llu was due",
                             (unsigned long long)number_of(&records[i]), (unsigned long long)next);
            }
        }
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    ck_assert(!first || notes->done == s->produced || notes->begun == s->produced);
    ck_assert_uint_eq(next, s->produced);
    rbcore_reader_free(reader);
    return published != start;
}

/*
 * libbpf's reader knows the kernel's position alone: it repeats the record that was held back. After
 * it ours goes on where it stopped.
 */
static bool succeed_libbpf(struct stage *s, const struct notes *notes) {
    struct record_log log = consume_by_libbpf(s->ring);
    int64_t repeated = (int64_t)(log.records - (s->produced - notes->done));
    ck_assert_int_le(repeated, 1);
    ck_assert(repeated >= 0 || notes->begun != notes->done); /* killed right after a commit */
    rbcore_reader *reader = open_ring(s->ring, 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    emit_events(s, 1, 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG), 1);
    ck_assert_uint_eq(number_of(&record), s->produced - 1);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_reader_free(reader);
    free(log.bytes);
    return repeated == 1;
}

START_TEST(killed_at_any_moment) {
    struct stage *s = calloc(1, sizeof(*s));
    struct notes *notes =
        mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(notes, MAP_FAILED);
    s->ring = load_ring((size_t)1 << 20);
    s->args.sizes = 1;
    unsigned int seed = 3;
    int held_back = 0;
    for (int i = 0; i < KILLS; i++) {
        notes->begun = notes->done = s->produced;
        notes->was_paced = false;
        pid_t pid = start_reader(s->ring, notes, seed);
        produce_until_paced(s, notes, &seed);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        held_back += _i ? succeed_libbpf(s, notes) : succeed(s, notes);
    }
    printf("%d of %d readers had a record held back when they were killed\n", held_back, KILLS);
    ck_assert_int_gt(held_back, 0);
    munmap(notes, sizeof(*notes));
    produce__destroy(s->ring);
    free(s);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test, int variants) {
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60 + (double)stress_time() / SECOND * 2);
    tcase_add_loop_test(tcase, test, 0, variants);
    suite_add_tcase(suite, tcase);
}

int main(void) {
    Suite *suite = suite_create("pacing");
    add(suite, "slow stays armed", slow_stays_armed, 2);
    add(suite, "busy is held back", busy_is_held_back, 2);
    add(suite, "between two rates", between_two_rates, 1);
    add(suite, "never paced", never_paced, 1);
    add(suite, "large is not held back", large_is_not_held_back, 2);
    add(suite, "more than half full", more_than_half_full, 2);
    add(suite, "commit frees space", commit_frees_space, 2);
    add(suite, "batches", batches, 1);
    add(suite, "steady stream", steady_stream, 2);
    add(suite, "forced wakeups", forced_wakeups, 2);
    add(suite, "latency is kept", latency_is_kept, 1);
    add(suite, "forced wakeups of a stream", forced_wakeups_of_a_stream, 1);
    add(suite, "polling", polling, 6);
    add(suite, "foreign event loop", foreign_event_loop, 2);
    add(suite, "slow beside busy", slow_beside_busy, 2);
    add(suite, "bursts and idle times", bursts_and_idle_times, 2);
    add(suite, "killed at any moment", killed_at_any_moment, 2);
    return run_tests(suite, is_emulated() ? "the processor is emulated: its pace is none" : NULL);
}
