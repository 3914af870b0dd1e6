/* SPDX-License-Identifier: MIT */
/*
 * Rings that come and go while a reader lives: nothing that the reader knows by a ring's place or
 * index survives the ring, and what is waited for is known from the add on.
 */
#include "support.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#define RINGS 4

typedef struct many {
    rbcore_reader *reader;
    fixture rings[RINGS];
    int count;
} many;

static many open_many(int count, uint32_t reader_flags) {
    many self = {.count = count};
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = reader_flags;
    ok(rbcore_reader_open(&self.reader, &options));
    for (int i = 0; i < count; i++) {
        self.rings[i] = fixture_add(self.reader, page_size());
    }
    return self;
}

static void close_many(many *self) {
    rbcore_reader_free(self->reader);
    for (int i = 0; i < self->count; i++) {
        fixture_drop(&self->rings[i]);
    }
}

/* Reads one record, which has to be of a ring; commits it. */
static void serve(many *self, int ring) {
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(self->reader, &record, 1), 1);
    ck_assert_uint_eq(record.ring, self->rings[ring].ring);
    ok(rbcore_reader_commit(self->reader, NULL, 0));
}

/* Each count of rings, each that was served last, each that is removed. */
#define CASES (RINGS * RINGS * RINGS)

START_TEST(the_turn_after_a_removal) {
    int count = 1 + _i / RINGS / RINGS, last = _i / RINGS % RINGS, removed = _i % RINGS;
    if (last >= count || removed >= count) {
        return;
    }
    many m = open_many(count, 0);
    produce(&m.rings[last], 0);
    serve(&m, last);
    for (int i = 0; i < count; i++) {
        produce(&m.rings[i], 1);
    }
    ok(rbcore_reader_remove(m.reader, m.rings[removed].ring));
    /* It is the turn of the one after the last, or of the one that was behind that. */
    for (int i = 1; i <= count; i++) {
        int ring = (last + i) % count;
        if (ring != removed) {
            serve(&m, ring);
        }
    }
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 0);
    close_many(&m);
}
END_TEST

/* All rings but one go, in an order that is another each time; then others come. */
START_TEST(rings_come_and_go) {
    uint64_t random = 1;
    for (int round = 0; round < 200; round++) {
        many m = open_many(RINGS, 0);
        bool is_there[RINGS] = {true, true, true, true};
        for (int step = 0; step < 30; step++) {
            int i = (int)(random_next(&random) % RINGS);
            if (random_next(&random) % 3 == 0 && is_there[i]) {
                ok(rbcore_reader_remove(m.reader, m.rings[i].ring));
                fixture_drop(&m.rings[i]);
                is_there[i] = false;
            } else if (!is_there[i]) {
                m.rings[i] = fixture_add(m.reader, page_size());
                is_there[i] = true;
            } else {
                produce(&m.rings[i], 7);
                serve(&m, i);
            }
        }
        for (int i = 0; i < RINGS; i++) {
            if (!is_there[i]) {
                m.rings[i] = fixture_add(m.reader, page_size());
            }
        }
        close_many(&m);
    }
}
END_TEST

START_TEST(no_ring_of_this_index) {
    many m = open_many(2, RBCORE_READER_RELEASE); /* the other one takes its place */
    unsigned int ring = m.rings[0].ring;
    rbcore_record record, other;
    rbcore_snapshot *snapshot = NULL;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    produce(&m.rings[0], 5);
    produce(&m.rings[0], 6);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 1);
    ok(rbcore_reader_remove(m.reader, ring));
    /* Held records keep their ring: what is about them works, what is about reading does not. */
    ok(rbcore_reader_identity(m.reader, &record, &identity));
    ok(rbcore_reader_ring_stats(m.reader, ring, &stats));
    ck_assert_uint_eq(value_of(&record), 5);
    ck_assert_int_eq(rbcore_reader_snapshot(m.reader, ring, &snapshot, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_snapshot(m.reader, ring, &snapshot, RBCORE_SNAPSHOT_CONSUME),
                     -EINVAL);
    ck_assert_int_eq(rbcore_reader_remove(m.reader, ring), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &other, 1), 0);
    ok(rbcore_reader_release(m.reader, &record, 1));
    ck_assert_int_eq(rbcore_reader_identity(m.reader, &record, &identity), -EINVAL);
    ck_assert_int_eq(rbcore_reader_ring_stats(m.reader, ring, &stats), -EINVAL);
    ck_assert_int_eq(rbcore_reader_snapshot(m.reader, ring, &snapshot, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_remove(m.reader, ring), -EINVAL);
    ck_assert_int_eq(rbcore_reader_release(m.reader, &record, 1), -EINVAL);
    ck_assert_ptr_null(snapshot);
    close_many(&m);
}
END_TEST

/* The indexes of a reader's rings, as bits. */
static unsigned int rings_of(rbcore_reader *reader) {
    unsigned int indexes = 0;
    int ring = -1, last;
    while (last = ring, (ring = rbcore_reader_ring_after(reader, last)) >= 0) {
        ck_assert_int_gt(ring, last);
        indexes |= 1u << ring;
    }
    ck_assert_int_eq(ring, -ENOENT);
    return indexes;
}

START_TEST(the_rings_of_a_reader) {
    many m = open_many(0, RBCORE_READER_RELEASE);
    rbcore_record record;
    ck_assert_uint_eq(rings_of(m.reader), 0);
    for (m.count = 0; m.count < RINGS; m.count++) {
        m.rings[m.count] = fixture_add(m.reader, page_size());
    }
    ck_assert_uint_eq(rings_of(m.reader), 15);
    produce(&m.rings[1], 0);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 1);
    ok(rbcore_reader_remove(m.reader, 1)); /* it is passed over, though a record of it is held */
    ok(rbcore_reader_remove(m.reader, 3));
    ck_assert_uint_eq(rings_of(m.reader), 5);
    ok(rbcore_reader_release(m.reader, &record, 1));
    ck_assert_uint_eq(rings_of(m.reader), 5);
    ck_assert_int_eq(rbcore_reader_ring_after(m.reader, RBCORE_RINGS_MAX - 1), -ENOENT);
    ck_assert_int_eq(rbcore_reader_ring_after(m.reader, INT_MAX), -ENOENT);
    ck_assert_int_eq(rbcore_reader_ring_after(m.reader, -2), -EINVAL);
    ck_assert_int_eq(rbcore_reader_ring_after(m.reader, INT_MIN), -EINVAL);
    ok(rbcore_reader_shutdown(m.reader));
    ck_assert_uint_eq(rings_of(m.reader), 5);
    close_many(&m);
}
END_TEST

typedef struct visits {
    rbcore_reader *reader;
    atomic_bool is_over;
    unsigned long count;
} visits;

static void *visit(void *argument) {
    visits *self = argument;
    do {
        ck_assert_uint_eq(rings_of(self->reader) & 1, 1); /* the one that stays */
        self->count++;
    } while (!atomic_load(&self->is_over));
    return NULL;
}

START_TEST(rings_are_visited_while_others_come_and_go) {
    many m = open_many(1, 0);
    visits v = {.reader = m.reader};
    pthread_t thread;
    ok(pthread_create(&thread, NULL, visit, &v));
    for (int i = 0; i < 20; i++) {
        fixture other = fixture_add(m.reader, page_size());
        ok(rbcore_reader_remove(m.reader, other.ring));
        fixture_drop(&other);
    }
    atomic_store(&v.is_over, true);
    ok(pthread_join(thread, NULL));
    ck_assert_uint_ge(v.count, 1);
    close_many(&m);
}
END_TEST

/* The last release, which ends the ring, comes while calls ask for it. */
START_TEST(a_removed_ring_goes_while_it_is_asked_for) {
    for (int round = 0; round < 300; round++) {
        many m = open_many(1, RBCORE_READER_RELEASE);
        release_of_one r = {.reader = m.reader};
        rbcore_snapshot *snapshot = NULL;
        rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
        pthread_t thread;
        produce(&m.rings[0], 5);
        ck_assert_int_eq(rbcore_reader_read(m.reader, &r.record, 1), 1);
        ok(rbcore_reader_remove(m.reader, m.rings[0].ring));
        ok(pthread_create(&thread, NULL, release_one, &r));
        int result;
        do {
            ck_assert_int_eq(rbcore_reader_snapshot(m.reader, 0, &snapshot, 0), -EINVAL);
            result = rbcore_reader_ring_stats(m.reader, 0, &stats);
        } while (result == 0);
        ck_assert_int_eq(result, -EINVAL);
        ok(pthread_join(thread, NULL));
        close_many(&m);
    }
}
END_TEST

/* Makes the ring paced: 4 records within the time that max_latency_ns and its size allow. */
static void make_paced(const fixture *ring) {
    rbcore_record records[16];
    while (!(ring_stats(ring).flags & RBCORE_RING_PACED)) {
        for (int i = 0; i < 8; i++) {
            produce(ring, 1);
        }
        ck_assert_int_gt(rbcore_reader_next(ring->reader, records, 16, WATCHDOG_NS), 0);
        ok(rbcore_reader_commit(ring->reader, NULL, 0));
    }
}

/* A paced ring takes its timer along, and what it holds back. */
START_TEST(a_paced_ring_is_removed) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.max_latency_ns = WATCHDOG_NS;
    many m = {.count = 2};
    ok(rbcore_reader_open(&m.reader, &options));
    m.rings[0] = fixture_add(m.reader, (size_t)1 << 28);
    m.rings[1] = fixture_add(m.reader, page_size());
    image raw = image_map(m.rings[0].memory_fd);
    rbcore_record records[16];
    make_paced(&m.rings[0]);
    ck_assert_uint_lt(image_load(raw.consumer_pos), image_load(raw.producer_pos));
    ck_assert_int_eq(rbcore_reader_next(m.reader, records, 16, 0), 0);
    ok(rbcore_reader_remove(m.reader, m.rings[0].ring));
    ck_assert_uint_eq(image_load(raw.consumer_pos), image_load(raw.producer_pos));
    image_unmap(&raw);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rbcore_reader_next(m.reader, records, 16, 0), 0);
        produce(&m.rings[1], 2);
        ck_assert(readable(rbcore_reader_fd(m.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_next(m.reader, records, 16, 0), 1);
        ok(rbcore_reader_commit(m.reader, NULL, 0));
    }
    close_many(&m);
}
END_TEST

/*
 * Memory rings are looked at every 100 milliseconds, and polled ones each interval. Without one
 * there is nothing to look for.
 */
START_TEST(the_last_memory_ring_is_removed) {
    many m = open_many(1, _i ? RBCORE_READER_POLL : 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 0);
    ck_assert(readable(rbcore_reader_fd(m.reader), WATCHDOG_MS));
    ok(rbcore_reader_remove(m.reader, m.rings[0].ring));
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 0);
    ck_assert(!readable(rbcore_reader_fd(m.reader), 300));
    close_many(&m);
}
END_TEST

START_TEST(a_broken_ring_is_removed) {
    many m = open_many(2, 0);
    image raw = image_map(m.rings[0].memory_fd);
    rbcore_record record;
    image_store(raw.producer_pos, 12);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), -EBADMSG);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), -EBADMSG);
    ok(rbcore_reader_remove(m.reader, m.rings[0].ring));
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 0);
    produce(&m.rings[1], 1);
    serve(&m, 1);
    image_unmap(&raw);
    close_many(&m);
}
END_TEST

/* A ring that is added during a flush had nothing when the flush began. */
START_TEST(a_ring_is_added_during_a_flush) {
    many m = open_many(1, 0);
    fixture far = {.reader = m.reader};
    rbcore_record record;
    produce(&m.rings[0], 1);
    produce(&m.rings[0], 2);
    ok(rbcore_reader_flush(m.reader));
    serve(&m, 0);
    ok(rbcore_memory_ring_create(&far.memory_fd, &far.event_fd, page_size(), 0));
    image raw = image_map(far.memory_fd);
    image_store(raw.consumer_pos, (UINT64_C(1) << 63) + page_size());
    image_store(raw.producer_pos, (UINT64_C(1) << 63) + page_size());
    far.producer = producer_on(far.memory_fd, far.event_fd);
    rbcore_source source = memory_source(far.memory_fd, far.event_fd);
    ck_assert_int_eq(rbcore_reader_add(m.reader, &source), 1);
    produce(&far, 3);
    serve(&m, 0);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), -ENODATA);
    ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 1);
    ck_assert_uint_eq(record.ring, 1);
    image_unmap(&raw);
    fixture_drop(&far);
    close_many(&m);
}
END_TEST

/* ---- From the add on ---- */

static fixture make_ring(rbcore_reader *reader) {
    fixture self = {.reader = reader};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, page_size(), 0));
    self.producer = producer_on(self.memory_fd, self.event_fd);
    return self;
}

static void leave_unfinished(const fixture *ring) {
    void *data;
    rbcore_producer *other = producer_on(ring->memory_fd, ring->event_fd);
    ok(rbcore_producer_reserve(other, &data, 8));
    rbcore_producer_free(other);
}

static void expect_by_fd(rbcore_reader *reader, int count) {
    rbcore_record records[8];
    int n = 0;
    while (n < count) {
        ck_assert(readable(rbcore_reader_fd(reader), WATCHDOG_MS));
        int result;
        while ((result = rbcore_reader_next(reader, records, 8, 0)) != 0) {
            ck_assert(result > 0 || result == -EAGAIN);
            n += result > 0 ? result : 0;
        }
    }
    ck_assert_int_eq(n, count);
}

/* The descriptor was armed before, without the ring. */
static const struct {
    bool reads_first; /* read() == 0 before the add */
    bool is_polling;
    bool is_dead;  /* a dead producer's record is at the head */
    bool is_later; /* the records come after the add */
} adds[] = {
    {false, false, false, false}, {false, false, true, false}, {false, true, false, false},
    {false, true, false, true},   {true, false, false, false}, {true, false, true, false},
    {true, true, false, false},   {true, true, false, true},   {true, false, true, true},
};

START_TEST(an_added_ring_makes_the_fd_readable) {
    many m = open_many(0, adds[_i].is_polling ? RBCORE_READER_POLL : 0);
    fixture ring = make_ring(m.reader);
    rbcore_source source = memory_source(ring.memory_fd, ring.event_fd);
    rbcore_record record;
    uint64_t value = 1;
    if (adds[_i].reads_first) {
        ck_assert_int_eq(rbcore_reader_read(m.reader, &record, 1), 0);
        ck_assert(!readable(rbcore_reader_fd(m.reader), 0));
    }
    if (adds[_i].is_later) {
        ck_assert_int_eq(rbcore_reader_add(m.reader, &source), 0);
        ck_assert(readable(rbcore_reader_fd(m.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_next(m.reader, &record, 1, 0), 0);
    }
    if (adds[_i].is_dead) {
        leave_unfinished(&ring);
    }
    for (int i = 0; i < 3; i++) {
        uint32_t flags = adds[_i].is_polling ? RBCORE_NO_WAKEUP : 0;
        ok(rbcore_producer_output(ring.producer, &value, sizeof(value), flags));
    }
    if (!adds[_i].is_later) {
        ck_assert_int_eq(rbcore_reader_add(m.reader, &source), 0);
    }
    expect_by_fd(m.reader, 3);
    fixture_drop(&ring);
    close_many(&m);
}
END_TEST

/* One drain fetches the events of all rings, however many there are. */
START_TEST(more_rings_than_events_in_one_drain) {
    enum { COUNT = 150 };
    static fixture rings[COUNT];
    many m = open_many(0, 0);
    rbcore_record records[COUNT];
    for (int i = 0; i < COUNT; i++) {
        rings[i] = fixture_add(m.reader, page_size());
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            produce(&rings[i], 1);
        }
        ck_assert(readable(rbcore_reader_fd(m.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_read(m.reader, records, COUNT), COUNT);
        ok(rbcore_reader_commit(m.reader, NULL, 0));
        ck_assert_int_eq(rbcore_reader_read(m.reader, records, COUNT), 0);
        ck_assert(!readable(rbcore_reader_fd(m.reader), 0));
    }
    for (int i = 0; i < COUNT; i++) {
        fixture_drop(&rings[i]);
    }
    close_many(&m);
}
END_TEST

int main(void) {
    const loop_test tests[] = {
        {the_turn_after_a_removal, CASES},
        {rings_come_and_go, 1},
        {no_ring_of_this_index, 1},
        {the_rings_of_a_reader, 1},
        {rings_are_visited_while_others_come_and_go, 1},
        {a_removed_ring_goes_while_it_is_asked_for, 1},
        {a_paced_ring_is_removed, 1},
        {the_last_memory_ring_is_removed, 2},
        {a_broken_ring_is_removed, 1},
        {a_ring_is_added_during_a_flush, 1},
        {an_added_ring_makes_the_fd_readable, (int)(sizeof(adds) / sizeof(*adds))},
        {more_rings_than_events_in_one_drain, 1},
        {NULL, 0},
    };
    return run_loop_tests("removal", tests);
}
