/* SPDX-License-Identifier: MIT */
/*
 * Every record that is complete once all before it are back must make the descriptor readable,
 * however producer, reader and workers run into each other. Each test is for a line of the library
 * without which wakeups get lost; tests/mutations takes these lines out, one by one, and expects
 * the test to fail. No timer decides here: the descriptor is asked at once, not waited for.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

/* A ring of this size becomes paced on a slow machine, too: 4 records in 750 microseconds. */
#define PACED_RINGS_SIZE (UINT64_C(1) << 20)
#define MAX_LATENCY_NS 1000000

#define FOR_NS SECOND  /* how long a race is run, */
#define ROUNDS 100000  /* or how often */
#define FAR_APART 2000 /* turns of a loop: the most that two threads start apart */

static fixture ring_open(size_t ring_size, uint32_t flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = flags;
    options.max_latency_ns = MAX_LATENCY_NS;
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, &options));
    return fixture_add(reader, ring_size);
}

/* ---- Two threads that run into each other --------------------------------------------------- */

typedef struct race {
    pthread_t thread;
    void (*prepare)(struct race *); /* what the other thread does before each round, */
    void (*act)(struct race *);     /* and in it */
    fixture ring;
    rbcore_record records[16];
    void *reserved;
    _Atomic unsigned arrived;
    _Atomic unsigned delay;
    _Atomic bool over;
    uint64_t random;
    int64_t end;
    int result;
} race;

/* Both leave at the same moment. */
static void meet(race *self) {
    unsigned next = (self->arrived++ / 2 + 1) * 2;
    for (unsigned i = 0; self->arrived < next; i++) {
        if (i > 10000) {
            sched_yield();
        }
    }
}

static void linger(unsigned turns) {
    for (volatile unsigned i = 0; i < turns; i++) {
    }
}

static void *run_other(void *argument) {
    race *self = argument;
    for (;;) {
        meet(self);
        if (self->over) {
            return NULL;
        }
        if (self->prepare) {
            self->prepare(self);
        }
        meet(self);
        linger(self->delay);
        self->act(self);
        meet(self);
    }
}

static void race_open(race *self, void (*act)(race *), uint64_t ring_size, uint32_t flags) {
    *self = (race){.ring = ring_open(ring_size, flags), .act = act, .random = 99};
    self->end = now_ns() + FOR_NS;
    ok(pthread_create(&self->thread, NULL, run_other, self));
}

/*
 * Lets the other thread loose, and makes this one wait a little: now one is ahead, now the other.
 */
static void race_begin(race *self) {
    uint32_t random = random_next(&self->random);
    unsigned apart = random_next(&self->random) % 4 ? FAR_APART / 20 : FAR_APART;
    self->delay = random % 2 ? random / 2 % apart : 0;
    unsigned own = random % 2 ? 0 : random / 2 % apart;
    meet(self);
    meet(self);
    linger(own);
}

static void race_end(race *self) {
    meet(self);
    ok(self->result);
}

static bool race_goes_on(const race *self, int round) {
    return round < ROUNDS && now_ns() < self->end;
}

static void race_close(race *self) {
    self->over = true;
    meet(self);
    ok(pthread_join(self->thread, NULL));
    fixture_close(&self->ring);
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static void give_back(const fixture *self, const rbcore_record *records, size_t n, uint32_t flags) {
    ok(flags & RBCORE_READER_RELEASE ? rbcore_reader_release(self->reader, records, n)
                                     : rbcore_reader_commit(self->reader, &records[n - 1], 0));
}

static int read_some(const fixture *self, rbcore_record *records) {
    return rbcore_reader_read(self->reader, records, 16);
}

/* Takes n records and finds no more. The timer for uncommitted records is then far away. */
static void hold(const fixture *self, rbcore_record *records, int n) {
    for (int i = 0; i < n; i++) {
        produce(self, (uint64_t)i);
    }
    ck_assert_int_eq(read_some(self, records), n);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(read_some(self, records + n), 0);
    }
}

/* One record waits, nothing is held: that must show now. Takes it, and empties the descriptor. */
static void expect_awake(const fixture *self, uint32_t flags, const char *who) {
    rbcore_record record;
    ck_assert_msg(readable(rbcore_reader_fd(self->reader), 0), "%s: the wakeup was lost", who);
    ck_assert_int_eq(rbcore_reader_read(self->reader, &record, 1), 1);
    give_back(self, &record, 1, flags);
    ck_assert_int_eq(rbcore_reader_read(self->reader, &record, 1), 0);
}

static void *reserve(const fixture *self) {
    void *data;
    ok(rbcore_producer_reserve(self->producer, &data, 8));
    return data;
}

/*
 * The thread that will submit does this: then its processor has the record in its cache, and no
 * other.
 */
static void reserve_one(race *self) {
    self->result |= rbcore_producer_reserve(self->ring.producer, &self->reserved, 8);
}

static void submit_reserved(race *self) {
    self->result |= rbcore_producer_submit(self->ring.producer, self->reserved, 0);
}

static bool is_paced(const fixture *self) {
    return ring_stats(self).flags & RBCORE_RING_PACED;
}

/* ---- Giving back ---------------------------------------------------------------------------- */

static void came_before(uint32_t flags) {
    fixture f = ring_open(page_size(), flags);
    rbcore_record records[8];
    for (int i = 0; i < 200; i++) {
        hold(&f, records, 2);
        produce(&f, 3);
        give_back(&f, records, 2, flags);
        expect_awake(&f, flags, "a record that came before all was given back");
    }
    fixture_close(&f);
}

START_TEST(commit_looks_again) {
    came_before(0);
}
END_TEST

START_TEST(release_looks_again) {
    came_before(RBCORE_READER_RELEASE);
}
END_TEST

/* The fence: the position is stored here and the header there, and each looks at the other's. */
static void against_submit(uint32_t flags) {
    race r;
    race_open(&r, submit_reserved, page_size(), flags);
    r.prepare = reserve_one;
    for (int round = 0; race_goes_on(&r, round); round++) {
        hold(&r.ring, r.records, 1);
        race_begin(&r);
        give_back(&r.ring, r.records, 1, flags);
        race_end(&r);
        expect_awake(&r.ring, flags, "submit against giving back");
    }
    race_close(&r);
}

START_TEST(commit_against_submit) {
    against_submit(0);
}
END_TEST

START_TEST(release_against_submit) {
    against_submit(RBCORE_READER_RELEASE);
}
END_TEST

START_TEST(empty_read_gives_nothing_back) {
    fixture f = ring_open(page_size(), 0);
    rbcore_record records[8];
    hold(&f, records, 2);
    rbcore_ring_stats s = ring_stats(&f);
    ck_assert_uint_eq(s.user_pos, 0);
    ck_assert_uint_eq(s.consumer_pos, 0);
    fixture_close(&f);
}
END_TEST

static void release_first(race *self) {
    self->result |= rbcore_reader_release(self->ring.reader, &self->records[0], 1);
}

START_TEST(release_against_release) {
    race r;
    race_open(&r, release_first, page_size(), RBCORE_READER_RELEASE);
    for (int round = 0; race_goes_on(&r, round); round++) {
        produce(&r.ring, 1);
        produce(&r.ring, 2);
        ck_assert_int_eq(read_some(&r.ring, r.records), 2);
        race_begin(&r);
        ok(rbcore_reader_release(r.ring.reader, &r.records[1], 1));
        race_end(&r);
        rbcore_ring_stats s = ring_stats(&r.ring);
        ck_assert_uint_eq(s.user_pos, s.producer_pos);
        ck_assert_uint_eq(s.consumer_pos, s.producer_pos);
    }
    race_close(&r);
}
END_TEST

/* ---- An empty read -------------------------------------------------------------------------- */

/* The descriptor is emptied before the look, not after it. */
START_TEST(submit_against_empty_read) {
    race r;
    race_open(&r, submit_reserved, page_size(), 0);
    for (int round = 0; race_goes_on(&r, round); round++) {
        r.reserved = reserve(&r.ring);
        race_begin(&r);
        int n = read_some(&r.ring, r.records);
        race_end(&r);
        if (n == 0) {
            expect_awake(&r.ring, 0, "submit against an empty read");
        } else {
            give_back(&r.ring, r.records, 1, 0);
            ck_assert_int_eq(read_some(&r.ring, r.records), 0);
        }
    }
    race_close(&r);
}
END_TEST

static void submit_and_release_first(race *self) {
    submit_reserved(self);
    release_first(self);
}

/* The reader is known to be parked before it looks, not after. */
START_TEST(release_against_empty_read) {
    race r;
    race_open(&r, submit_and_release_first, page_size(), RBCORE_READER_RELEASE);
    for (int round = 0; race_goes_on(&r, round); round++) {
        produce(&r.ring, 1);
        ck_assert_int_eq(read_some(&r.ring, r.records), 1);
        r.reserved = reserve(&r.ring);
        race_begin(&r);
        int n = read_some(&r.ring, r.records + 1);
        race_end(&r);
        if (n == 0) {
            expect_awake(&r.ring, RBCORE_READER_RELEASE, "release against an empty read");
        } else {
            give_back(&r.ring, r.records + 1, 1, RBCORE_READER_RELEASE);
            ck_assert_int_eq(read_some(&r.ring, r.records), 0);
        }
    }
    race_close(&r);
}
END_TEST

static void interrupt(race *self) {
    self->result |= rbcore_reader_interrupt(self->ring.reader);
}

/* The request is there before its edge: a look that misses it is followed by the edge. */
START_TEST(interrupt_against_empty_read) {
    race r;
    race_open(&r, interrupt, page_size(), 0);
    for (int round = 0; race_goes_on(&r, round); round++) {
        race_begin(&r);
        int result = read_some(&r.ring, r.records);
        race_end(&r);
        if (result == 0) {
            ck_assert_msg(readable(rbcore_reader_fd(r.ring.reader), 0), "the request was lost");
            result = read_some(&r.ring, r.records);
        }
        ck_assert_int_eq(result, -ECANCELED);
        ck_assert_int_eq(read_some(&r.ring, r.records), 0);
    }
    race_close(&r);
}
END_TEST

/* ---- Pacing --------------------------------------------------------------------------------- */

/* Makes the ring paced; the last of these records are held then. Returns how many. */
static int get_paced(const fixture *self, rbcore_record *records, uint32_t flags) {
    for (int n = 0;; give_back(self, records, (size_t)n, flags)) {
        for (uint64_t i = 0; i < 8; i++) {
            produce(self, i);
        }
        ck_assert_int_eq(n = read_some(self, records), 8);
        ck_assert_int_eq(read_some(self, records + 8), 0);
        if (is_paced(self)) {
            return n;
        }
    }
}

/* Waits and looks until the ring is armed; empties the descriptor. */
static void get_armed(const fixture *self) {
    rbcore_record record;
    int64_t until = now_ns() + WATCHDOG_NS;
    do {
        ck_assert_int_lt(now_ns(), until);
        readable(rbcore_reader_fd(self->reader), 1);
        ck_assert_int_eq(rbcore_reader_next(self->reader, &record, 1, 0), 0);
    } while (is_paced(self));
    /* Listening again and releases may have left an edge. */
    ck_assert_int_eq(rbcore_reader_read(self->reader, &record, 1), 0);
    ck_assert(!is_paced(self));
}

static void armed_by_idleness(uint32_t flags) {
    fixture f = ring_open(PACED_RINGS_SIZE, flags);
    rbcore_record records[16];
    for (int i = 0; i < 20; i++) {
        int n = get_paced(&f, records, flags);
        give_back(&f, records, (size_t)n, flags);
        get_armed(&f);
        produce(&f, 1);
        expect_awake(&f, flags, "the first record after a busy time");
    }
    fixture_close(&f);
}

START_TEST(armed_ring_wakes) {
    armed_by_idleness(0);
    armed_by_idleness(RBCORE_READER_RELEASE);
}
END_TEST

static void release_first_later(race *self) {
    usleep(random_next(&self->random) % (2 * MAX_LATENCY_NS / 1000));
    release_first(self);
}

/* A worker may still take the ring for paced while the reader arms it. */
START_TEST(release_against_arming) {
    race r;
    race_open(&r, release_first_later, PACED_RINGS_SIZE, RBCORE_READER_RELEASE);
    for (int round = 0; race_goes_on(&r, round); round++) {
        int n = get_paced(&r.ring, r.records, RBCORE_READER_RELEASE);
        ok(rbcore_reader_release(r.ring.reader, r.records + 1, (size_t)n - 1));
        meet(&r);
        meet(&r);
        get_armed(&r.ring);
        race_end(&r);
        get_armed(&r.ring);
        produce(&r.ring, 1);
        expect_awake(&r.ring, RBCORE_READER_RELEASE, "release against arming");
    }
    race_close(&r);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        commit_looks_again,        release_looks_again,           commit_against_submit,
        release_against_submit,    empty_read_gives_nothing_back, release_against_release,
        submit_against_empty_read, release_against_empty_read,    interrupt_against_empty_read,
        armed_ring_wakes,          release_against_arming,        NULL};
    return run_tests("lost_wakeups", tests);
}
