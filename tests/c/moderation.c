/* SPDX-License-Identifier: MIT */
/*
 * When a ring is read by wakeups and when by the timer, what the producers are
 * told meanwhile, and what a batch is then. Mostly in rings so large that an
 * interval lasts for a fifth of a second: what a step finds does not depend on
 * the machine then, and where it was stalled it tries again.
 */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)

/* Nobody fills a ring of this size within LONG: it is not what bounds the
 * interval. */
#define LARGE_RING ((size_t)512 << 20)
#define LONG (200 * MILLISECOND)

#define ROOM 4096
#define ATTEMPTS 20

/* A ring with consecutive numbers in it, and how many of them were produced and
 * delivered. */
typedef struct stage {
    fixture ring;
    bool is_release;
    uint64_t produced, delivered;
    rbcore_record records[ROOM]; /* of the last take */
    size_t held;                 /* of them */
} stage;

static rbcore_reader *open_reader(uint64_t flags, int64_t max_latency) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = flags;
    options.max_latency_ns = max_latency;
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, &options));
    return reader;
}

static stage *open_stage(size_t ring_size, uint64_t flags, int64_t max_latency) {
    stage *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    self->is_release = flags & RBCORE_READER_RELEASE;
    self->ring = fixture_add(open_reader(flags, max_latency), ring_size);
    return self;
}

static void close_stage(stage *self) {
    if (self->produced != self->delivered) {
        ck_abort_msg("%llu of %llu records were delivered", (unsigned long long)self->delivered,
                     (unsigned long long)self->produced);
    }
    fixture_close(&self->ring);
    free(self);
}

/* A record of size bytes, of which the first 8 are its number. */
static void emit_sized(stage *self, size_t size, uint32_t flags) {
    void *data;
    ok(rbcore_producer_reserve(self->ring.producer, &data, size));
    memcpy(data, &self->produced, sizeof(self->produced));
    self->produced++;
    ok(rbcore_producer_submit(self->ring.producer, data, flags));
}

static void emit(stage *self, unsigned int count, uint32_t flags) {
    while (count-- > 0) {
        emit_sized(self, sizeof(uint64_t), flags);
    }
}

/* What read or next returned; the records of the stage's ring are the next
 * ones, none left out. */
static int taken(stage *self, int result) {
    self->held = result > 0 ? (size_t)result : 0;
    for (size_t i = 0; i < self->held; i++) {
        uint64_t number;
        memcpy(&number, self->records[i].data, sizeof(number));
        if (self->records[i].ring == self->ring.ring && number != self->delivered++) {
            ck_abort_msg("record %llu comes where %llu was due", (unsigned long long)number,
                         (unsigned long long)self->delivered - 1);
        }
    }
    return result;
}

static int take(stage *self, size_t max, int64_t timeout) {
    return taken(self, rbcore_reader_next(self->ring.reader, self->records, max, timeout));
}

static void give_back(stage *self) {
    if (self->is_release) {
        ok(rbcore_reader_release(self->ring.reader, self->records, self->held));
    } else {
        ok(rbcore_reader_commit(self->ring.reader, NULL, 0));
    }
    self->held = 0;
}

/* All there is, in as many calls as that takes; what the last of them took is still held. */
static void take_to_end(stage *self) {
    ck_assert_int_gt(take(self, ROOM, 0), 0);
    while (self->delivered != self->produced) {
        give_back(self);
        ck_assert_int_gt(take(self, ROOM, 0), 0);
    }
}

static bool is_paced(const stage *self) {
    return ring_stats(&self->ring).flags & RBCORE_RING_PACED;
}

/* How often producers have woken the reader since the last call. */
static uint64_t wakes(const stage *self) {
    uint64_t count = 0;
    ssize_t n = read(self->ring.event_fd, &count, sizeof(count));
    return n == (ssize_t)sizeof(count) ? count : 0;
}

/* Makes the ring busy, with nothing left in it. */
static void make_paced(stage *self) {
    uint64_t give_up = now_ns() + WATCHDOG_NS;
    for (bool paced = false; !paced;) {
        if (now_ns() > give_up) {
            ck_abort_msg("8 records at once do not make the ring paced");
        }
        take(self, ROOM, 0);
        give_back(self);
        emit(self, 8, 0);
        while (self->delivered != self->produced) {
            ck_assert_int_gt(take(self, ROOM, WATCHDOG_NS), 0);
            paced = is_paced(self);
            give_back(self);
        }
    }
    wakes(self);
}

/* Makes the ring busy, with count new records in it that are not due in a batch
 * of max. */
static void let_wait(stage *self, unsigned int count, size_t max) {
    for (int i = 0; i < ATTEMPTS; i++) {
        make_paced(self);
        emit(self, count, 0);
        int result = take(self, max, 0);
        if (result == 0 && is_paced(self)) {
            return;
        }
        while (result > 0) {
            give_back(self);
            result = take(self, max, 0);
        }
    }
    ck_abort_msg("records of a busy ring are due at once");
}

static void take_the_rest(stage *self) {
    while (self->delivered != self->produced) {
        ck_assert_int_gt(take(self, ROOM, WATCHDOG_NS), 0);
        give_back(self);
    }
}

static void expect_all_published(const stage *self) {
    rbcore_ring_stats stats = ring_stats(&self->ring);
    if (stats.consumer_pos != stats.user_pos) {
        ck_abort_msg("published up to %llu, committed up to %llu",
                     (unsigned long long)stats.consumer_pos, (unsigned long long)stats.user_pos);
    }
}

/* consumer_pos is where the last record before user_pos begins, one of so many
 * bytes. */
static void expect_held_back(const stage *self, size_t size) {
    rbcore_ring_stats stats = ring_stats(&self->ring);
    if (stats.consumer_pos != stats.user_pos - record_space(size)) {
        ck_abort_msg("published up to %llu, committed up to %llu",
                     (unsigned long long)stats.consumer_pos, (unsigned long long)stats.user_pos);
    }
}

/* ---- Armed and paced ---- */

START_TEST(each_record_wakes_a_slow_ring) {
    stage *s = open_stage((size_t)1 << 20, _i ? RBCORE_READER_RELEASE : 0, RBCORE_MAX_LATENCY);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(take(s, ROOM, 0), 0);
        ck_assert_uint_eq(wakes(s), 0);
        emit(s, 1, 0);
        ck_assert(readable(rbcore_reader_fd(s->ring.reader), 0));
        ck_assert_uint_eq(wakes(s), 1);
        ck_assert_int_eq(take(s, ROOM, 0), 1);
        give_back(s);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        sleep_ms(1);
    }
    close_stage(s);
}
END_TEST

START_TEST(a_busy_ring_is_paced_until_it_gets_slow) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, 50 * MILLISECOND);
    for (int i = 0; i < 3; i++) {
        make_paced(s);
        /* Nothing comes for an interval. */
        ck_assert_int_eq(take(s, ROOM, 200 * MILLISECOND), 0);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        emit(s, 1, 0);
        ck_assert(readable(rbcore_reader_fd(s->ring.reader), 0));
        ck_assert_uint_eq(wakes(s), 1);
        take_the_rest(s);
    }
    close_stage(s);
}
END_TEST

START_TEST(between_two_rates_nothing_changes) {
    stage *s = open_stage(LARGE_RING, 0, 50 * MILLISECOND);
    make_paced(s);
    for (int i = 0; i < 5; i++) {
        emit(s, 2, 0);
        ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 2);
        give_back(s);
        ck_assert(is_paced(s));
    }
    emit(s, 1, 0);
    ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 1);
    give_back(s);
    ck_assert(!is_paced(s));
    expect_all_published(s);
    for (int i = 0; i < 5; i++) {
        sleep_ms(60);
        ck_assert_int_eq(take(s, ROOM, 0), 0);
        emit(s, 3, 0);
        ck_assert_int_eq(take(s, ROOM, 0), 3);
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
            ck_assert_int_eq(take(s, ROOM, i % 2 ? 0 : 100 * MICROSECOND), 0);
        }
        emit(s, 8, 0);
        ck_assert_int_eq(take(s, ROOM, 0), 8);
        give_back(s);
        ck_assert(!is_paced(s));
        expect_all_published(s);
    }
    close_stage(s);
}

START_TEST(some_rings_are_never_paced) {
    for (size_t size = page_size(); size < 65536; size *= 2) {
        expect_never_paced(size, RBCORE_MAX_LATENCY);
        expect_never_paced(size, 1000 * MILLISECOND);
    }
    expect_never_paced((size_t)1 << 20, 0);
    expect_never_paced((size_t)1 << 20, 49999);
    /* But these are: */
    stage *s = open_stage((size_t)1 << 20, 0, 50000);
    make_paced(s);
    close_stage(s);
    s = open_stage(65536, 0, RBCORE_MAX_LATENCY);
    make_paced(s);
    close_stage(s);
}
END_TEST

/* However full it was, if that was one record and a small one. */
START_TEST(few_records_that_fill_half_a_ring_do_not_make_it_busy) {
    stage *s = open_stage((size_t)1 << 20, 0, RBCORE_MAX_LATENCY);
    emit_sized(s, (size_t)1 << 19, 0);
    emit(s, 1, 0);
    take_to_end(s);
    give_back(s);
    ck_assert(!is_paced(s));
    expect_all_published(s);
    close_stage(s);
}
END_TEST

/* By as many as come in the shortest sleep: then a timer would come too late. */
START_TEST(records_that_fill_a_ring_fast_do_not_make_it_paced) {
    stage *s = open_stage((size_t)1 << 20, 0, RBCORE_MAX_LATENCY);
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 8; k++) {
            emit_sized(s, 2048, 0);
        }
        ck_assert_int_eq(take(s, ROOM, 0), 8);
        give_back(s);
        ck_assert(!is_paced(s));
    }
    make_paced(s); /* as small ones do */
    close_stage(s);
}
END_TEST

/* Reads by read, which changes no ring's pace, one record of so many bytes in a
 * busy ring. */
static void read_one_paced(stage *s, size_t size) {
    make_paced(s);
    emit_sized(s, size, 0);
    ck_assert_int_eq(taken(s, rbcore_reader_read(s->ring.reader, s->records, ROOM)), 1);
    ck_assert(is_paced(s));
}

/* ---- A ring too small for a timer ---- */

/* So small that it is full before any sleep is over. */
static size_t small_ring(void) {
    return page_size() < 16384 ? 16384 : page_size();
}

static void emit_half(stage *self, size_t size) {
    size_t count = small_ring() / 2 / record_space(size);
    while (count-- > 0) {
        emit_sized(self, size, 0);
    }
}

START_TEST(a_small_ring_that_was_half_full_is_looked_at_until_it_is_idle) {
    stage *s = open_stage(small_ring(), _i ? RBCORE_READER_RELEASE : 0, RBCORE_MAX_LATENCY);
    for (int i = 0; i < 10; i++) {
        emit_half(s, 8);
        take_to_end(s);
        ck_assert(is_paced(s));
        give_back(s);
        expect_held_back(s, 8);
        wakes(s);
        for (int more = 0; more < 5; more++) {
            emit(s, 1, 0);
            ck_assert_uint_eq(wakes(s), 0);
            ck_assert_int_eq(take(s, ROOM, 0), 1); /* at once, nothing is left for later */
            ck_assert(is_paced(s));
            give_back(s);
            expect_held_back(s, 8);
        }
        sleep_ms(1); /* 50 us would do */
        ck_assert_int_eq(take(s, ROOM, 0), 0);
        ck_assert(!is_paced(s));
        expect_all_published(s);
        emit(s, 1, 0);
        ck_assert_uint_eq(wakes(s), 1);
        ck_assert_int_eq(take(s, ROOM, 0), 1);
        give_back(s);
        ck_assert(!is_paced(s));
    }
    close_stage(s);
}
END_TEST

START_TEST(a_small_ring_is_not_looked_at_all_the_time) {
    stage *s = open_stage(small_ring(), 0, RBCORE_MAX_LATENCY);
    /* That was not half full. */
    emit(s, (unsigned int)(small_ring() / 2 / record_space(8)) - 1, 0);
    take_to_end(s);
    give_back(s);
    ck_assert(!is_paced(s));
    /* Whose records are too large to hold one back: then each look would let the next one wake. */
    const size_t largest = small_ring() / 64 - HEADER_SIZE;
    emit_half(s, largest + 1);
    emit_sized(s, largest + 1, 0);
    take_to_end(s);
    give_back(s);
    ck_assert(!is_paced(s));
    /* For one that is read, and not waited for. */
    emit_half(s, 8);
    while (taken(s, rbcore_reader_read(s->ring.reader, s->records, ROOM)) > 0) {
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

/* ---- What is published ---- */

START_TEST(the_last_record_of_a_busy_ring_is_held_back) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    image memory = image_map(s->ring.memory_fd);
    make_paced(s);
    for (int i = 0; i < 3; i++) {
        expect_held_back(s, 8);
        uint64_t committed = ring_stats(&s->ring).user_pos;
        ck_assert_uint_eq(image_load(memory.consumer_pos), committed - record_space(8));
        ck_assert_uint_eq(committed, image_load(memory.producer_pos));
        emit(s, 5, 0);
        ck_assert_uint_eq(wakes(s), 0);
        ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 5);
        ck_assert(is_paced(s));
        /* What was held back goes with the call that finds more. */
        ck_assert_uint_eq(image_load(memory.consumer_pos), committed);
        ck_assert_uint_eq(wakes(s), 0);
        give_back(s);
    }
    expect_held_back(s, 8);
    image_unmap(&memory);
    close_stage(s);
}
END_TEST

START_TEST(nothing_is_held_back_behind_records_that_the_user_has) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    make_paced(s);
    emit(s, 5, 0);
    ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 5);
    ck_assert(is_paced(s));
    if (_i) {
        ok(rbcore_reader_release(s->ring.reader, s->records, 3));
    } else {
        ok(rbcore_reader_commit(s->ring.reader, &s->records[2], 0));
    }
    ck_assert_uint_eq(ring_stats(&s->ring).user_pos, s->records[3].position);
    expect_all_published(s);
    emit(s, 1, 0);
    ck_assert_uint_eq(wakes(s), 0); /* but the producer does not wake either */
    if (_i) {
        ok(rbcore_reader_release(s->ring.reader, &s->records[3], 2));
    } else {
        ok(rbcore_reader_commit(s->ring.reader, NULL, 0));
    }
    expect_held_back(s, 8);
    take_the_rest(s);
    close_stage(s);
}
END_TEST

/* Nor is such a ring looked at more often: its timer will come, whether somebody wakes or not. */
START_TEST(a_busy_ring_whose_records_the_user_has_is_looked_at_once_an_interval) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    struct rusage before, after;
    for (bool paced = false; !paced;) {
        read_one_paced(s, 8);
        getrusage(RUSAGE_THREAD, &before);
        ck_assert_int_eq(take(s, ROOM, LONG / 4), 0);
        getrusage(RUSAGE_THREAD, &after);
        paced = is_paced(s); /* else the machine was stalled for an interval */
        s->held = 1;
        give_back(s);
    }
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, 3);
    close_stage(s);
}
END_TEST

START_TEST(commit_now) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    for (int i = 0; i < 3; i++) {
        make_paced(s);
        expect_held_back(s, 8);
        /* Also with nothing else to commit. */
        ok(rbcore_reader_commit(s->ring.reader, NULL, RBCORE_COMMIT_NOW));
        ck_assert(is_paced(s));
        expect_all_published(s);
        emit(s, 4, 0);
        ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 4);
        ck_assert(is_paced(s));
        ok(rbcore_reader_commit(s->ring.reader, NULL, i ? RBCORE_COMMIT_NOW : 0));
        if (i) {
            expect_all_published(s);
        } else {
            expect_held_back(s, 8);
        }
    }
    close_stage(s);
}
END_TEST

START_TEST(closing_publishes) {
    for (int removes = 0; removes < 2; removes++) {
        stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
        image memory = image_map(s->ring.memory_fd);
        make_paced(s);
        expect_held_back(s, 8);
        if (removes) {
            ok(rbcore_reader_remove(s->ring.reader, s->ring.ring));
            ck_assert_uint_eq(image_load(memory.consumer_pos), image_load(memory.producer_pos));
        }
        rbcore_reader_free(s->ring.reader);
        ck_assert_uint_eq(image_load(memory.consumer_pos), image_load(memory.producer_pos));
        fixture_drop(&s->ring);
        image_unmap(&memory);
        free(s);
    }
}
END_TEST

START_TEST(the_last_release_after_closing_publishes) {
    stage *s = open_stage(LARGE_RING, RBCORE_READER_RELEASE, LONG);
    image memory = image_map(s->ring.memory_fd);
    make_paced(s);
    emit(s, 4, 0);
    ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 4);
    rbcore_reader_free(s->ring.reader);
    ok(rbcore_reader_release(s->ring.reader, &s->records[1], 3));
    ck_assert_uint_le(image_load(memory.consumer_pos), s->records[0].position);
    ok(rbcore_reader_release(s->ring.reader, &s->records[0], 1));
    ck_assert_uint_eq(image_load(memory.consumer_pos), image_load(memory.producer_pos));
    fixture_drop(&s->ring);
    image_unmap(&memory);
    free(s);
}
END_TEST

START_TEST(a_large_record_is_not_held_back) {
    const size_t ring_size = (size_t)16 << 20, largest = ring_size / 64 - HEADER_SIZE;
    stage *s = open_stage(ring_size, _i ? RBCORE_READER_RELEASE : 0, LONG);
    read_one_paced(s, largest);
    give_back(s);
    expect_held_back(s, largest);
    read_one_paced(s, largest + 1);
    give_back(s);
    expect_all_published(s);
    close_stage(s);
}
END_TEST

/* In a ring of which few fit even a small one takes room. */
START_TEST(a_small_record_is_not_held_back_among_large_ones) {
    const size_t ring_size = (size_t)16 << 20, largest = ring_size / 4 - HEADER_SIZE;
    stage *s = open_stage(ring_size, _i ? RBCORE_READER_RELEASE : 0, LONG);
    read_one_paced(s, largest);
    give_back(s);
    read_one_paced(s, 8);
    give_back(s);
    expect_held_back(s, 8);
    read_one_paced(s, largest + 1);
    give_back(s);
    read_one_paced(s, 8);
    give_back(s);
    expect_all_published(s);
    close_stage(s);
}
END_TEST

/* What was given back is no content of a snapshot, though the kernel does not know it yet. */
START_TEST(what_is_held_back_is_in_no_snapshot) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    rbcore_snapshot *snapshot = NULL;
    rbcore_record record;
    make_paced(s);
    expect_held_back(s, 8);
    ok(rbcore_reader_snapshot(s->ring.reader, s->ring.ring, &snapshot, 0));
    ck_assert_int_eq(rbcore_snapshot_read(snapshot, &record, 1), 0);
    rbcore_snapshot_free(snapshot);
    close_stage(s);
}
END_TEST

START_TEST(nothing_is_held_back_in_a_ring_more_than_half_full) {
    const size_t ring_size = (size_t)16 << 20;
    for (size_t more = 0; more <= 8; more += 8) {
        stage *s = open_stage(ring_size, _i ? RBCORE_READER_RELEASE : 0, LONG);
        read_one_paced(s, 8); /* the only one that was read when it is judged */
        size_t space = ring_size / 2 + more - record_space(8);
        emit_sized(s, space - HEADER_SIZE, 0);
        give_back(s);
        if (more) {
            expect_all_published(s);
        } else {
            expect_held_back(s, 8);
        }
        take_the_rest(s);
        close_stage(s);
    }
}
END_TEST

/* Two records of nearly half the ring, for the length of their life; the third
 * is refused. */
static void fill_by_halves(stage *s, size_t half) {
    void *data;
    emit_sized(s, half, 0);
    emit_sized(s, half, 0);
    ck_assert_int_eq(rbcore_producer_reserve(s->ring.producer, &data, half), -EAGAIN);
}

START_TEST(a_commit_frees_space) {
    static const size_t sizes[] = {4096, 65536, 1 << 20};
    const size_t ring_size = sizes[_i] < page_size() ? page_size() : sizes[_i];
    const size_t half = ring_size / 2 - 64;
    stage *s = open_stage(ring_size, 0, RBCORE_MAX_LATENCY);
    for (int i = 0; i < 50; i++) {
        if (i % 2 && ring_size >= 65536) {
            make_paced(s);
        }
        fill_by_halves(s, half);
        for (int more = 0; more < 20; more++) {
            ck_assert_int_eq(taken(s, rbcore_reader_read(s->ring.reader, s->records, 1)), 1);
            ok(rbcore_reader_commit(s->ring.reader, s->records, 0));
            emit_sized(s, half, 0); /* fits at once */
        }
        while (s->delivered != s->produced) {
            ck_assert_int_gt(take(s, 1, WATCHDOG_NS), 0);
            ok(rbcore_reader_commit(s->ring.reader, NULL, 0));
        }
    }
    close_stage(s);
}
END_TEST

/* ---- Batches ---- */

START_TEST(next_waits_for_a_batch_and_read_does_not) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    let_wait(s, 3, ROOM);
    ck_assert_int_eq(taken(s, rbcore_reader_read(s->ring.reader, s->records, ROOM)), 3);
    give_back(s);
    ck_assert_int_eq(taken(s, rbcore_reader_read(s->ring.reader, s->records, ROOM)), 0);
    close_stage(s);
}
END_TEST

START_TEST(max_records_end_the_wait) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    for (size_t max = 2; max <= 1000; max *= 5) {
        let_wait(s, (unsigned int)max - 1, max);
        emit(s, 1, 0);
        ck_assert_int_eq(take(s, max, 0), (int)max);
        give_back(s);
    }
    close_stage(s);
}
END_TEST

/* More than can be in a quarter of the ring. */
#define WIDE ((size_t)2 << 20)

START_TEST(a_quarter_of_the_ring_ends_the_wait) {
    const size_t ring_size = (size_t)64 << 20, quarter = ring_size / 4;
    stage *s = open_stage(ring_size, 0, LONG);
    rbcore_record *wide = calloc(WIDE, sizeof(*wide));
    ck_assert_ptr_nonnull(wide);
    int result = 1;
    for (int i = 0; result != 0; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 2, ROOM);
        emit_sized(s, quarter - 3 * record_space(8) - HEADER_SIZE, 0);
        result = rbcore_reader_next(s->ring.reader, wide, WIDE, 0);
        if (result != 0) { /* was due before */
            s->delivered = s->produced;
            give_back(s);
        }
    }
    emit(s, 1, 0);
    ck_assert_int_eq(rbcore_reader_next(s->ring.reader, wide, WIDE, 0), 4);
    s->delivered = s->produced;
    free(wide);
    close_stage(s);
}
END_TEST

/* What max leaves of a batch that is due is due as well. */
START_TEST(the_rest_of_a_batch_is_due) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    let_wait(s, 9, ROOM);
    ck_assert_int_eq(take(s, 8, 0), 8);
    ck_assert_int_eq(take(s, 8, 0), 1);
    give_back(s);
    close_stage(s);
}
END_TEST

/* A look that takes what max left of it begins the next interval. */
START_TEST(a_look_ends_the_batch) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    int result = 1;
    for (int i = 0; result != 0; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        make_paced(s);
        emit(s, 9, 0);
        sleep_ms(LONG / MILLISECOND);
        ck_assert_int_eq(take(s, 8, 0), 8);
        ck_assert_int_eq(taken(s, rbcore_reader_look(s->ring.reader, s->records, ROOM)), 1);
        give_back(s);
        emit(s, 1, 0);
        result = take(s, ROOM, 0);
        give_back(s);
    }
    ck_assert(is_paced(s));
    take_the_rest(s);
    close_stage(s);
}
END_TEST

/* Emits from another thread: count records, one in so many nanoseconds. */
typedef struct emitter {
    pthread_t thread;
    stage *stage;
    unsigned int count;
    uint64_t pause;
    uint32_t flags;
    atomic_bool done;
} emitter;

static void *emit_stream(void *context) {
    emitter *self = context;
    uint64_t next = now_ns();
    for (unsigned int i = 0; i < self->count; i++) {
        emit(self->stage, 1, self->flags);
        for (next += self->pause; now_ns() < next;) {
        }
    }
    return NULL;
}

/* With the producer's default flags, and with those that ask for a wakeup each
 * time. */
START_TEST(a_steady_stream_comes_in_batches) {
    const int64_t latency = 20 * MILLISECOND;
    stage *s = open_stage((size_t)64 << 20, 0, latency);
    emitter stream = {.stage = s, .count = 20000, .pause = 20000};
    stream.flags = _i ? RBCORE_FORCE_WAKEUP : 0;
    uint64_t begin = now_ns(), batches = 0;
    ck_assert_int_eq(pthread_create(&stream.thread, NULL, emit_stream, &stream), 0);
    while (s->delivered != stream.count) {
        int result = take(s, ROOM, WATCHDOG_NS);
        if (result <= 0) {
            ck_abort_msg("next: %d after %llu records", result, (unsigned long long)s->delivered);
        }
        batches++;
        give_back(s);
    }
    uint64_t intervals = (now_ns() - begin) / (uint64_t)latency;
    ck_assert_int_eq(pthread_join(stream.thread, NULL), 0);
    rbcore_reader_stats stats = reader_stats(s->ring.reader);
    ck_assert_uint_eq(stats.batches, batches);
    ck_assert_uint_lt(batches, stream.count / 50); /* 1000 records each, if left in peace */
    ck_assert_uint_lt(stats.wakeups, stream.count / 50);
    ck_assert_uint_ge(batches, intervals / 20 + 1); /* and not all at the end */
    close_stage(s);
}
END_TEST

/*
 * What would fill the ring meanwhile bounds the interval, whatever max_latency is: at 1.3 bytes in a
 * nanosecond this ring is full after 0.8 milliseconds.
 */
START_TEST(a_small_ring_does_not_wait_for_long) {
    stage *s = open_stage((size_t)1 << 20, 0, 3600 * 1000 * MILLISECOND);
    for (int i = 0; i < 20; i++) {
        make_paced(s);
        emit(s, 2, 0);
        ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 2);
        give_back(s);
    }
    close_stage(s);
}
END_TEST

/* How long two records of a busy ring wait, and leave it busy. */
static uint64_t wait_of_two(stage *s) {
    uint64_t begin = now_ns();
    emit(s, 2, 0);
    ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 2);
    give_back(s);
    return now_ns() - begin;
}

/* So does the rate: more than a quarter of the ring in an interval halves it, for the time being. */
START_TEST(a_ring_that_fills_fast_does_not_wait_for_long) {
    const size_t ring_size = (size_t)16 << 20;
    uint64_t usual = 0, shortened = 1;
    for (int i = 0; shortened > usual / 4; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        stage *s = open_stage(ring_size, 0, LONG);
        make_paced(s);
        for (int bursts = 0; bursts < 3; bursts++) {
            emit(s, ring_size / 4 / record_space(8) + 1, 0);
            take_the_rest(s);
        }
        shortened = wait_of_two(s);
        for (int more = 0; more < 3; more++) {
            wait_of_two(s);
        }
        usual = wait_of_two(s);
        uint64_t again = wait_of_two(s);
        usual = again < usual ? again : usual; /* the other one may have been held up */
        close_stage(s);
    }
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
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    let_wait(s, 2, ROOM);
    ck_assert_uint_eq(count_threads(), before);
    ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), 2);
    ck_assert_uint_eq(count_threads(), before);
    give_back(s);
    close_stage(s);
}
END_TEST

/* ---- Time limits, and what ends a wait ---- */

START_TEST(time_limits) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    for (int i = 0;; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 2, ROOM);
        uint64_t begin = now_ns();
        int result = take(s, ROOM, 2 * MILLISECOND);
        ck_assert(result == 2 || now_ns() - begin >= 2 * MILLISECOND);
        if (result == 0) {
            break; /* not due, and the time was up */
        }
        give_back(s);
    }
    ck_assert_int_eq(take(s, ROOM, 60000 * MILLISECOND), 2);
    give_back(s);
    uint64_t begin = now_ns();
    ck_assert_int_eq(take(s, ROOM, 2 * LONG), 0);
    ck_assert_uint_ge(now_ns() - begin, 2 * LONG);
    ck_assert(!is_paced(s));
    ck_assert_int_eq(take(s, ROOM, 0), 0);
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
    sleep_ms(20);
    ok(self->what(self->reader));
    return NULL;
}

/* Asks while next waits for a batch of 2. Returns what it said, and whether it
 * was not due yet. */
static int ask_in_wait(stage *s, int (*what)(rbcore_reader *), bool *early) {
    asker asking = {.reader = s->ring.reader, .what = what};
    let_wait(s, 2, ROOM);
    uint64_t begin = now_ns();
    ck_assert_int_eq(pthread_create(&asking.thread, NULL, ask_later, &asking), 0);
    int result = take(s, ROOM, WATCHDOG_NS);
    *early = now_ns() - begin < LONG / 2;
    ck_assert_int_eq(pthread_join(asking.thread, NULL), 0);
    return result;
}

START_TEST(interrupt_ends_the_wait_for_a_batch) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    bool early = false;
    for (int i = 0; !early; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        int result = ask_in_wait(s, rbcore_reader_interrupt, &early);
        if (result == 2) { /* was due before */
            early = false;
            give_back(s);
            result = take(s, ROOM, WATCHDOG_NS);
        }
        ck_assert_int_eq(result, -ECANCELED);
        take_the_rest(s);
    }
    close_stage(s);
}
END_TEST

START_TEST(flush_ends_the_wait_for_a_batch) {
    stage *s = open_stage(LARGE_RING, 0, LONG);
    bool early = false;
    for (int i = 0; !early; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        ck_assert_int_eq(ask_in_wait(s, rbcore_reader_flush, &early), 2);
        give_back(s);
        ck_assert_int_eq(take(s, ROOM, WATCHDOG_NS), -ENODATA);
    }
    close_stage(s);
}
END_TEST

START_TEST(shutdown_ends_the_wait_for_a_batch) {
    bool early = false;
    for (int i = 0; !early; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        stage *s = open_stage(LARGE_RING, 0, LONG);
        image memory = image_map(s->ring.memory_fd);
        int result = ask_in_wait(s, rbcore_reader_shutdown, &early);
        if (result == 2) {
            early = false;
            result = take(s, ROOM, WATCHDOG_NS);
        }
        ck_assert_int_eq(result, -ESHUTDOWN);
        ok(rbcore_reader_commit(s->ring.reader, NULL, 0));
        uint64_t committed = ring_stats(&s->ring).user_pos;
        fixture_close(&s->ring);
        ck_assert_uint_eq(image_load(memory.consumer_pos), committed);
        image_unmap(&memory);
        free(s);
    }
}
END_TEST

/* ---- The descriptor ---- */

static int epoll_on(int fd) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
    return epoll_fd;
}

static int poll_once(int epoll_fd, int timeout_ms) {
    struct epoll_event event;
    int n;
    do {
        n = epoll_wait(epoll_fd, &event, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n;
}

#define BURSTS 200

static void *emit_bursts(void *context) {
    emitter *self = context;
    uint64_t random = 5;
    for (int i = 0; i < BURSTS; i++) {
        emit(self->stage, 1 + random_next(&random) % (i % 3 ? 200 : 2), self->flags);
        nanosleep(&(struct timespec){.tv_nsec = random_next(&random) % (3 * MILLISECOND)}, NULL);
    }
    atomic_store(&self->done, true);
    return NULL;
}

/* Follows the rule of rbcore_reader_fd. */
static void take_what_is_due(stage *s) {
    int result;
    while ((result = take(s, ROOM, 0)) > 0) {
        give_back(s);
    }
    ck_assert_int_eq(result, 0);
}

/*
 * Until it is armed: then nothing makes the descriptor readable but a record, and the look for
 * records of dead producers, ten times a second.
 */
static void expect_silence(stage *s, int epoll_fd) {
    uint64_t begin = now_ns();
    unsigned int returns = 0;
    while (is_paced(s) || now_ns() - begin < 250 * MILLISECOND) {
        if (poll_once(epoll_fd, 20) == 1) {
            returns++;
            ck_assert_int_eq(take(s, ROOM, 0), 0);
        }
    }
    ck_assert_uint_le(returns, (now_ns() - begin) / (100 * MILLISECOND) + 5);
    expect_all_published(s);
}

START_TEST(a_foreign_event_loop) {
    const int64_t latency = MILLISECOND;
    stage *s = open_stage((size_t)16 << 20, 0, latency);
    emitter stream = {.stage = s};
    stream.flags = _i ? RBCORE_FORCE_WAKEUP : 0;
    int epoll_fd = epoll_on(rbcore_reader_fd(s->ring.reader));
    uint64_t begin = now_ns(), returns = 0;
    take_what_is_due(s);
    ck_assert_int_eq(pthread_create(&stream.thread, NULL, emit_bursts, &stream), 0);
    for (bool done = false; !done || is_paced(s); returns++) {
        done = atomic_load(&stream.done);
        if (poll_once(epoll_fd, done && !is_paced(s) ? 0 : 100) == 1) {
            take_what_is_due(s);
        }
    }
    uint64_t intervals = (now_ns() - begin) / (uint64_t)latency;
    ck_assert_int_eq(pthread_join(stream.thread, NULL), 0);
    while (s->delivered != s->produced) {
        ck_assert_int_eq(poll_once(epoll_fd, WATCHDOG_MS), 1);
        take_what_is_due(s);
    }
    ck_assert_uint_le(returns, 4 * intervals + 10 * BURSTS + 100);
    expect_silence(s, epoll_fd);
    for (int i = 0; i < 20; i++) {
        emit(s, 1 + (unsigned int)i % 2 * 9, stream.flags);
        while (s->delivered != s->produced) {
            ck_assert_int_eq(poll_once(epoll_fd, WATCHDOG_MS), 1);
            take_what_is_due(s);
        }
    }
    expect_silence(s, epoll_fd);
    close(epoll_fd);
    close_stage(s);
}
END_TEST

START_TEST(forced_wakeups_of_a_busy_ring_are_not_heard) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    int fd = rbcore_reader_fd(s->ring.reader);
    for (int i = 0;; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 1, ROOM);
        uint64_t begin = now_ns();
        emit(s, 3, RBCORE_FORCE_WAKEUP);
        bool heard = readable(fd, 0);
        if (now_ns() - begin < LONG / 4) { /* else it may have been the timer */
            ck_assert(!heard);
            break;
        }
        take_the_rest(s);
    }
    ck_assert(readable(fd, WATCHDOG_MS)); /* the timer */
    take_the_rest(s);
    while (is_paced(s)) {
        ck_assert_int_eq(take(s, ROOM, LONG), 0);
    }
    ck_assert_int_eq(take(s, ROOM, 0), 0);
    emit(s, 1, RBCORE_FORCE_WAKEUP);
    ck_assert(readable(fd, WATCHDOG_MS));
    take_the_rest(s);
    close_stage(s);
}
END_TEST

/* RBCORE_READER_POLL: no producer ever wakes, and all comes all the same. */
START_TEST(polling_needs_no_wakeup) {
    static const size_t sizes[] = {4096, 65536, 16 << 20};
    const size_t size = sizes[_i / 2] < page_size() ? page_size() : sizes[_i / 2];
    uint64_t flags = RBCORE_READER_POLL | (_i % 2 ? RBCORE_READER_RELEASE : 0);
    stage *s = open_stage(size, flags, RBCORE_MAX_LATENCY);
    int epoll_fd = epoll_on(rbcore_reader_fd(s->ring.reader));
    for (unsigned int i = 0; i < 100; i++) {
        ck_assert(is_paced(s));
        ck_assert_int_eq(take(s, ROOM, i % 4 ? 0 : MILLISECOND), 0);
        emit(s, 1 + i % 7, RBCORE_NO_WAKEUP);
        while (s->delivered != s->produced) {
            if (i % 2) {
                ck_assert_int_eq(poll_once(epoll_fd, WATCHDOG_MS), 1);
                take_what_is_due(s);
            } else {
                ck_assert_int_gt(take(s, 3, RBCORE_FOREVER), 0);
                give_back(s);
            }
        }
        ck_assert_uint_eq(wakes(s), 0);
    }
    close(epoll_fd);
    close_stage(s);
}
END_TEST

/* ---- Several rings ---- */

static void *produce_later(void *context) {
    sleep_ms(20);
    produce(context, 77);
    return NULL;
}

START_TEST(a_slow_ring_does_not_wait_for_a_busy_one) {
    stage *s = open_stage(LARGE_RING, _i ? RBCORE_READER_RELEASE : 0, LONG);
    fixture slow = fixture_add(s->ring.reader, 65536);
    for (int alone = 0, i = 0; alone < 6; i++) {
        ck_assert_int_lt(i, ATTEMPTS);
        let_wait(s, 3, ROOM);
        bool in_wait = alone % 2;
        pthread_t thread;
        if (in_wait) {
            ck_assert_int_eq(pthread_create(&thread, NULL, produce_later, &slow), 0);
        } else {
            produce(&slow, 77);
            ck_assert(readable(rbcore_reader_fd(s->ring.reader), 0));
        }
        for (bool found = false; !found;) {
            int result = take(s, ROOM, in_wait ? WATCHDOG_NS : 0);
            ck_assert_int_gt(result, 0);
            for (int k = 0; k < result; k++) {
                found |= s->records[k].ring == slow.ring;
            }
            /* The busy ring's records come with it only if they are due by
       * themselves. */
            alone += found && result == 1 && s->delivered != s->produced;
            ck_assert(!(ring_stats(&slow).flags & RBCORE_RING_PACED));
            give_back(s);
        }
        if (in_wait) {
            ck_assert_int_eq(pthread_join(thread, NULL), 0);
        }
        rbcore_ring_stats stats =
            ring_stats(&(fixture){.reader = s->ring.reader, .ring = slow.ring});
        ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
        take_the_rest(s);
    }
    fixture_drop(&slow);
    close_stage(s);
}
END_TEST

/* ---- Successors ---- */

/* In a child, which ends like one that was killed: with a record held back. */
static int hold_back_and_die(void *context) {
    stage *parents = context, *s = calloc(1, sizeof(*s));
    s->ring = (fixture){.memory_fd = parents->ring.memory_fd, .event_fd = parents->ring.event_fd};
    s->ring.reader = reader_on(&s->ring, 0, 0);
    s->ring.producer = producer_on(s->ring.memory_fd, s->ring.event_fd);
    s->delivered = s->produced = parents->produced;
    make_paced(s);
    expect_held_back(s, 8);
    return 0;
}

/* A ring left like that by its reader, without a reader. */
static stage *open_orphan(void) {
    stage *s = calloc(1, sizeof(*s));
    ck_assert_ptr_nonnull(s);
    ok(rbcore_memory_ring_create(&s->ring.memory_fd, &s->ring.event_fd, (size_t)1 << 20, 0));
    s->ring.producer = producer_on(s->ring.memory_fd, s->ring.event_fd);
    ck_assert_int_eq(in_child(hold_back_and_die, s), 0);
    return s;
}

static void close_orphan(stage *s) {
    fixture_drop(&s->ring);
    free(s);
}

/* Where a reader begins that is opened now, and closed again. */
static uint64_t resumes_at(const stage *s) {
    fixture ring = {.reader = reader_on(&s->ring, 0, 0)};
    rbcore_ring_stats stats = ring_stats(&ring);
    ck_assert_uint_eq(stats.read_pos, stats.user_pos);
    ck_assert_uint_eq(stats.read_pos, stats.consumer_pos);
    rbcore_reader_free(ring.reader);
    return stats.read_pos;
}

START_TEST(a_dead_readers_commit_counts) {
    stage *s = open_orphan();
    image memory = image_map(s->ring.memory_fd);
    uint64_t committed = image_load(memory.producer_pos);
    ck_assert_uint_eq(image_load(memory.consumer_pos), committed - record_space(8));
    emit(s, 2, 0);
    ck_assert_uint_eq(resumes_at(s), committed);
    ck_assert_uint_eq(image_load(memory.consumer_pos), committed);
    image_unmap(&memory);
    close_orphan(s);
}
END_TEST

/* One that knows the kernel's position alone. */
START_TEST(another_librarys_reader_in_between) {
    for (unsigned int more = 0; more < 3; more++) {
        stage *s = open_orphan();
        image memory = image_map(s->ring.memory_fd);
        emit(s, more, 0);
        uint64_t read = image_load(memory.producer_pos);
        image_store(memory.consumer_pos, read);
        emit(s, more % 2, 0);
        ck_assert_uint_eq(resumes_at(s), read);
        image_unmap(&memory);
        close_orphan(s);
    }
}
END_TEST

/* The word of the consumer page, but its first, that has this value. */
static uint64_t *find_word(const image *memory, uint64_t value) {
    uint64_t *words = memory->consumer_pos, *found = NULL;
    for (size_t i = 1; i < page_size() / sizeof(*words); i++) {
        if (words[i] == value) {
            ck_assert_ptr_null(found);
            found = &words[i];
        }
    }
    ck_assert_ptr_nonnull(found);
    return found;
}

START_TEST(an_impossible_commit_does_not_count) {
    stage *s = open_orphan();
    image memory = image_map(s->ring.memory_fd);
    uint64_t *word = find_word(&memory, image_load(memory.producer_pos));
    uint64_t start = image_load(memory.consumer_pos);
    emit(s, 3, 0);
    uint64_t end = image_load(memory.producer_pos);
    const uint64_t garbage[] = {0,          1,         start + 4,       start + 8,
                                start - 16, start - 8, end + 8,         end + 16,
                                UINT64_MAX, end << 20, start + 1048576, start | UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
        image_store(word, garbage[i]);
        ck_assert_uint_eq(resumes_at(s), start);
    }
    /* Nor one behind a record that is not finished, or longer than the ring. */
    uint32_t length = *image_header(&memory, start + 16);
    const uint32_t headers[] = {length | BUSY, 0x3fffffff, (uint32_t)memory.ring_size};
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        image_store_header(&memory, start + 16, headers[i]);
        image_store(word, end);
        ck_assert_uint_eq(resumes_at(s), start);
    }
    image_store_header(&memory, start + 16, length);
    /* But this is one: */
    image_store(word, start + 32);
    ck_assert_uint_eq(resumes_at(s), start + 32);
    image_unmap(&memory);
    close_orphan(s);
}
END_TEST

static void add(Suite *suite, const TTest *test, int variants) {
    TCase *tcase = tcase_create(test->name);
    tcase_set_timeout(tcase, 100);
    tcase_add_loop_test(tcase, test, 0, variants);
    suite_add_tcase(suite, tcase);
}

int main(void) {
    Suite *suite = suite_create("moderation");
    add(suite, each_record_wakes_a_slow_ring, 2);
    add(suite, a_busy_ring_is_paced_until_it_gets_slow, 2);
    add(suite, between_two_rates_nothing_changes, 1);
    add(suite, some_rings_are_never_paced, 1);
    add(suite, a_small_ring_that_was_half_full_is_looked_at_until_it_is_idle, 2);
    add(suite, a_small_ring_is_not_looked_at_all_the_time, 1);
    add(suite, the_last_record_of_a_busy_ring_is_held_back, 2);
    add(suite, nothing_is_held_back_behind_records_that_the_user_has, 2);
    add(suite, a_busy_ring_whose_records_the_user_has_is_looked_at_once_an_interval, 2);
    add(suite, commit_now, 1);
    add(suite, closing_publishes, 2);
    add(suite, the_last_release_after_closing_publishes, 1);
    add(suite, a_large_record_is_not_held_back, 2);
    add(suite, a_small_record_is_not_held_back_among_large_ones, 2);
    add(suite, few_records_that_fill_half_a_ring_do_not_make_it_busy, 1);
    add(suite, records_that_fill_a_ring_fast_do_not_make_it_paced, 1);
    add(suite, what_is_held_back_is_in_no_snapshot, 2);
    add(suite, nothing_is_held_back_in_a_ring_more_than_half_full, 2);
    add(suite, a_commit_frees_space, 3);
    add(suite, next_waits_for_a_batch_and_read_does_not, 1);
    add(suite, max_records_end_the_wait, 1);
    add(suite, a_quarter_of_the_ring_ends_the_wait, 1);
    add(suite, the_rest_of_a_batch_is_due, 1);
    add(suite, a_look_ends_the_batch, 1);
    add(suite, a_steady_stream_comes_in_batches, 2);
    add(suite, a_small_ring_does_not_wait_for_long, 1);
    add(suite, a_ring_that_fills_fast_does_not_wait_for_long, 1);
    add(suite, no_thread_is_hidden, 2);
    add(suite, time_limits, 1);
    add(suite, interrupt_ends_the_wait_for_a_batch, 1);
    add(suite, flush_ends_the_wait_for_a_batch, 1);
    add(suite, shutdown_ends_the_wait_for_a_batch, 1);
    add(suite, a_foreign_event_loop, 2);
    add(suite, forced_wakeups_of_a_busy_ring_are_not_heard, 2);
    add(suite, polling_needs_no_wakeup, 6);
    add(suite, a_slow_ring_does_not_wait_for_a_busy_one, 2);
    add(suite, a_dead_readers_commit_counts, 1);
    add(suite, another_librarys_reader_in_between, 1);
    add(suite, an_impossible_commit_does_not_count, 1);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
