/* SPDX-License-Identifier: MIT */
/*
 * Rings that are idle (capi/idle.h): which may be, and that each promise of the header holds for
 * what comes in them.
 */
#include "support.h"

#include "consumer.h"
#include "reader.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>

#define RINGS 40

typedef struct rings {
    rbcore_reader *reader;
    fixture of[RINGS];
    rbcore_record records[256];
} rings;

static rings *open_rings(uint32_t flags, int64_t max_latency_ns) {
    rings *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = flags;
    options.max_latency_ns = max_latency_ns;
    ok(rbcore_reader_open(&self->reader, &options));
    for (unsigned int i = 0; i < RINGS; i++) {
        self->of[i] = fixture_add(self->reader, page_size());
    }
    return self;
}

static void close_rings(rings *self) {
    rbcore_reader_free(self->reader);
    for (unsigned int i = 0; i < RINGS; i++) {
        fixture_drop(&self->of[i]);
    }
    free(self);
}

static bool is_idle(const rings *self, unsigned int ring) {
    return !rbc_ring_table_find(&self->reader->table, self->of[ring].ring)->is_in_round;
}

/* All but the few that are always looked at go idle when nothing comes. */
static void let_go_idle(rings *self) {
    for (int i = 0; i < 4 * RBC_LOOKS_PER_SWEEP; i++) {
        ck_assert_int_eq(rbcore_reader_read(self->reader, self->records, 1), 0);
    }
    ck_assert_uint_le(self->reader->round.count, RBC_FEW_RINGS);
}

/* One that is idle, not before `from`. */
static unsigned int idle_ring(const rings *self, unsigned int from) {
    while (!is_idle(self, from)) {
        ck_assert_uint_lt(++from, RINGS);
    }
    return from;
}

/* The one record that is there is the ring's. Gives it back. */
static void expect_record(rings *self, int result, unsigned int ring, uint64_t value) {
    ck_assert_int_eq(result, 1);
    ck_assert_uint_eq(self->records[0].ring, self->of[ring].ring);
    ck_assert_uint_eq(value_of(&self->records[0]), value);
    ok(rbcore_reader_commit(self->reader, NULL, 0));
}

static void produce_silently(const rings *self, unsigned int ring, uint64_t value) {
    ok(rbcore_producer_output(self->of[ring].producer, &value, sizeof(value), RBCORE_NO_WAKEUP));
}

/* ---- Which rings are idle ---- */

/* Records of the rings from here on are held: so many that sweeps go on. */
#define HELD 20

START_TEST(rings_that_are_not_idle) {
    rings *r = open_rings(0, 0);
    void *unfinished;
    for (unsigned int i = HELD; i < RINGS; i++) {
        produce(&r->of[i], 1);
    }
    ck_assert_int_eq(rbcore_reader_read(r->reader, r->records, 256), RINGS - HELD);
    ok(rbcore_producer_reserve(r->of[1].producer, &unfinished, 8));
    fixture tap = {.ring = 0};
    rbcore_source source = memory_source(r->of[2].memory_fd, r->of[2].event_fd);
    source.flags = RBCORE_SOURCE_TAP;
    tap.ring = (unsigned int)rbcore_reader_add(r->reader, &source);
    image raw = image_map(r->of[3].memory_fd);
    image_store(raw.producer_pos, 4); /* impossible */
    for (int i = 0; i < 10 * RBC_LOOKS_PER_SWEEP; i++) {
        ck_assert_int_eq(rbcore_reader_look(r->reader, r->records + RINGS, 1), -EBADMSG);
    }
    for (unsigned int i = HELD; i < RINGS; i++) {
        ck_assert(!is_idle(r, i));
    }
    ck_assert(!is_idle(r, 1)); /* one is being written */
    ck_assert(rbc_ring_table_find(&r->reader->table, tap.ring)->is_in_round);
    ck_assert(!is_idle(r, 3)); /* broken */
    ck_assert_uint_eq(rbc_idle_count(r->reader), HELD - 2);
    image_store(raw.producer_pos, 0);
    image_unmap(&raw);
    ok(rbcore_producer_submit(r->of[1].producer, unfinished, 0));
    close_rings(r);
}
END_TEST

/* Where a worker gives back, the page's consumer position decides. A busy ring is paced. */
START_TEST(paced_rings_are_not_idle) {
    rings *r = open_rings(RBCORE_READER_POLL, 1000000);
    for (int i = 0; i < 10 * RBC_LOOKS_PER_SWEEP; i++) {
        ck_assert_int_eq(rbcore_reader_look(r->reader, r->records, 1), 0);
    }
    ck_assert_uint_eq(rbc_idle_count(r->reader), 0);
    close_rings(r);
}
END_TEST

/* Of few rings none is idle: they are looked at each time. */
START_TEST(few_rings_are_not_idle) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    for (unsigned int i = RBC_FEW_RINGS; i < RINGS; i++) {
        ok(rbcore_reader_remove(r->reader, r->of[i].ring));
    }
    ck_assert_uint_eq(rbc_idle_count(r->reader), 0);
    for (int i = 0; i < 10 * RBC_LOOKS_PER_SWEEP; i++) {
        ck_assert_int_eq(rbcore_reader_look(r->reader, r->records, 1), 0);
    }
    ck_assert_uint_eq(rbc_idle_count(r->reader), 0);
    close_rings(r);
}
END_TEST

/* A reader that waits looks at the rings of this wait and the one before, and at the few. */
START_TEST(waits_keep_the_round_short) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    for (unsigned int i = 0; i < RINGS; i++) {
        produce(&r->of[i], i);
        expect_record(r, rbcore_reader_next(r->reader, r->records, 1, WATCHDOG_NS), i, i);
        ck_assert_uint_le(r->reader->round.count, RBC_FEW_IN_ROUND + 2);
    }
    close_rings(r);
}
END_TEST

/* ---- Records in idle rings ---- */

START_TEST(each_ring_wakes) {
    rings *r = open_rings(_i ? RBCORE_READER_RELEASE : 0, 0);
    for (unsigned int ring = 0; ring < RINGS; ring++) {
        let_go_idle(r);
        produce(&r->of[ring], ring);
        ck_assert(readable(rbcore_reader_fd(r->reader), 0));
        int result = rbcore_reader_next(r->reader, r->records, 256, ring % 2 ? WATCHDOG_NS : 0);
        ck_assert_int_eq(result, 1);
        ck_assert_uint_eq(r->records[0].ring, r->of[ring].ring);
        if (_i) {
            ok(rbcore_reader_release(r->reader, r->records, 1));
        } else {
            ok(rbcore_reader_commit(r->reader, NULL, 0));
        }
    }
    close_rings(r);
}
END_TEST

/* More than one call fetches. */
START_TEST(all_rings_wake_at_once) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    for (unsigned int ring = 0; ring < RINGS; ring++) {
        produce(&r->of[ring], ring);
    }
    int found = 0;
    while (found < RINGS) {
        int n = rbcore_reader_next(r->reader, r->records, 7, WATCHDOG_NS);
        ck_assert_int_gt(n, 0);
        found += n;
        ok(rbcore_reader_commit(r->reader, NULL, 0));
    }
    ck_assert_int_eq(rbcore_reader_read(r->reader, r->records, 1), 0);
    close_rings(r);
}
END_TEST

/* Nobody wakes for them (BPF_RB_NO_WAKEUP). */
START_TEST(silent_records) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    unsigned int ring = idle_ring(r, 20);
    produce_silently(r, ring, 1);
    expect_record(r, rbcore_reader_look(r->reader, r->records, 1), ring, 1);
    let_go_idle(r);
    ring = idle_ring(r, 20);
    produce_silently(r, ring, 2);
    expect_record(r, rbcore_reader_next(r->reader, r->records, 1, 1000000), ring, 2);
    let_go_idle(r);
    ring = idle_ring(r, 20);
    produce_silently(r, ring, 3);
    /* By the second read that finds nothing else. */
    int result = rbcore_reader_read(r->reader, r->records, 1);
    result = result ? result : rbcore_reader_read(r->reader, r->records, 1);
    expect_record(r, result, ring, 3);
    close_rings(r);
}
END_TEST

/* Nor do discarded records that wake each read in vain keep them for ever. */
START_TEST(silent_records_beside_discarded_ones) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    unsigned int ring = idle_ring(r, 20);
    produce_silently(r, ring, 4);
    int result = 0;
    for (int64_t begin = now_ns(); result == 0;) {
        void *data;
        ck_assert_int_lt(now_ns() - begin, WATCHDOG_NS);
        ok(rbcore_producer_reserve(r->of[1].producer, &data, 8));
        ok(rbcore_producer_discard(r->of[1].producer, data, 0));
        result = rbcore_reader_read(r->reader, r->records, 1);
    }
    expect_record(r, result, ring, 4);
    close_rings(r);
}
END_TEST

/* What is there when a ring is added told nobody either. */
START_TEST(a_ring_that_begins_with_silent_records) {
    rings *r = open_rings(0, 0);
    fixture f = {.ring = 0};
    uint64_t value = 4;
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), 0));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    ok(rbcore_producer_output(f.producer, &value, sizeof(value), RBCORE_NO_WAKEUP));
    produce(&r->of[0], 1);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    ck_assert_int_ge(rbcore_reader_add(r->reader, &source), 0);
    ck_assert_int_eq(rbcore_reader_read(r->reader, r->records, 256), 2);
    close_rings(r);
    fixture_drop(&f);
}
END_TEST

/* A look that always finds something looks at the others, too. */
START_TEST(silent_records_beside_a_busy_ring) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    produce(&r->of[0], 1);
    expect_record(r, rbcore_reader_look(r->reader, r->records, 1), 0, 1);
    unsigned int ring = idle_ring(r, 20);
    produce_silently(r, ring, 3);
    bool found = false;
    for (int64_t begin = now_ns(); !found;) {
        ck_assert_int_lt(now_ns() - begin, WATCHDOG_NS);
        produce(&r->of[0], 1);
        int n = rbcore_reader_look(r->reader, r->records, 1);
        ck_assert_int_eq(n, 1);
        found = r->records[0].ring == r->of[ring].ring;
        ok(rbcore_reader_commit(r->reader, NULL, 0));
    }
    close_rings(r);
}
END_TEST

/* ---- Fairness ---- */

/* Two rings that never get empty hold up the record of an idle one for so many looks at most. */
START_TEST(idle_rings_have_their_turn) {
    rings *r = open_rings(0, _i ? 1000000 : 0);
    for (int round = 0; round < 20; round++) {
        let_go_idle(r);
        unsigned int ring = idle_ring(r, 2 + (unsigned int)round);
        for (int i = 0; i < 100; i++) {
            produce(&r->of[0], 0);
            produce(&r->of[1], 1);
        }
        /* The two are heard before there is anything to hear of the third. */
        ck_assert_int_eq(rbcore_reader_read(r->reader, r->records, 1), 1);
        ok(rbcore_reader_commit(r->reader, NULL, 0));
        ck_assert(!is_idle(r, 0) && !is_idle(r, 1));
        produce(&r->of[ring], 7);
        int looks = 0;
        bool found = false;
        while (!found) {
            ck_assert_int_le(++looks, 64 + 3);
            int n = _i ? rbcore_reader_next(r->reader, r->records, 1, WATCHDOG_NS)
                       : rbcore_reader_read(r->reader, r->records, 1);
            ck_assert_int_eq(n, 1);
            found = r->records[0].ring == r->of[ring].ring;
            ok(rbcore_reader_commit(r->reader, NULL, 0));
            produce(&r->of[looks % 2], 2);
        }
        while (rbcore_reader_read(r->reader, r->records, 256) > 0) {
            ok(rbcore_reader_commit(r->reader, NULL, 0));
        }
    }
    close_rings(r);
}
END_TEST

#define FLOODED 2
#define FEW_EACH 10

/* Fills all rings but every third one, the first two so that they never get empty. */
static unsigned int fill_rings(const rings *r, unsigned int *left) {
    unsigned int records = 0;
    for (unsigned int ring = 0; ring < RINGS; ring++) {
        left[ring] = ring < FLOODED ? UINT_MAX : ring % 3 ? FEW_EACH : 0;
        for (unsigned int i = 0; i < FEW_EACH && left[ring] > 0; i++) {
            produce(&r->of[ring], i);
        }
        records += ring < FLOODED ? 0 : left[ring];
    }
    return records;
}

/*
 * Once an idle ring is known to have records, no other has a second turn before it had one, and so
 * it goes on.
 */
START_TEST(rounds_of_many_rings) {
    rings *r = open_rings(0, 0);
    /* [a][b]: the turns of b since a was known to have records, or since a had a turn. */
    static unsigned char turns[RINGS][RINGS];
    unsigned int left[RINGS], looks = 0;
    bool known[RINGS] = {false};
    memset(turns, 0, sizeof(turns));
    let_go_idle(r);
    for (unsigned int records = fill_rings(r, left); records > 0;) {
        ck_assert_uint_lt(++looks, 64 + RINGS * RINGS);
        ck_assert_int_eq(rbcore_reader_read(r->reader, r->records, 1), 1);
        const unsigned int ring = r->records[0].ring;
        ok(rbcore_reader_commit(r->reader, NULL, 0));
        for (unsigned int other = 0; other < RINGS; other++) {
            known[other] |= !is_idle(r, other);
            ck_assert(other == ring || !known[other] || left[other] == 0 ||
                      ++turns[other][ring] == 1);
        }
        memset(turns[ring], 0, sizeof(turns[ring]));
        if (ring < FLOODED) {
            produce(&r->of[ring], 0);
        } else {
            left[ring]--;
            records--;
        }
    }
    close_rings(r);
}
END_TEST

static int by_read(rings *r) {
    return rbcore_reader_read(r->reader, r->records, 1);
}

static int by_next(rings *r) {
    return rbcore_reader_next(r->reader, r->records, 1, WATCHDOG_NS);
}

static int by_look(rings *r) {
    return rbcore_reader_look(r->reader, r->records, 1);
}

/* That a ring is broken is told only when no other has records, not even silent ones. */
START_TEST(a_broken_ring_hides_no_idle_one) {
    static int (*const calls[])(rings *) = {by_read, by_next, by_look};
    rings *r = open_rings(0, 0);
    image raw = image_map(r->of[0].memory_fd);
    image_store(raw.producer_pos, 4);
    for (int i = 0; i < 10 * RBC_LOOKS_PER_SWEEP; i++) {
        ck_assert_int_eq(by_look(r), -EBADMSG);
    }
    unsigned int ring = idle_ring(r, 20);
    produce(&r->of[ring], 5);
    expect_record(r, calls[_i](r), ring, 5);
    ck_assert_int_eq(calls[_i](r), -EBADMSG);
    ring = idle_ring(r, 21);
    produce_silently(r, ring, 6);
    expect_record(r, calls[_i](r), ring, 6);
    image_store(raw.producer_pos, 0);
    image_unmap(&raw);
    close_rings(r);
}
END_TEST

/* Discarded records of which no call comes to the end do not keep the reader from the others. */
START_TEST(discarded_records_hide_no_idle_ring) {
    const unsigned int at_once = 65536, times = 8;
    rings *r = open_rings(0, 0);
    fixture full = fixture_add(r->reader, (size_t)2 * times * at_once * 8);
    let_go_idle(r);
    void *data;
    for (unsigned int i = 0; i < times * at_once; i++) {
        ok(rbcore_producer_reserve(full.producer, &data, 0));
        ok(rbcore_producer_discard(full.producer, data, 0));
    }
    ck_assert_int_eq(by_read(r), -EAGAIN); /* now it is busy */
    unsigned int ring = idle_ring(r, 20), calls = 1;
    produce(&r->of[ring], 7);
    int result;
    while ((result = by_read(r)) == -EAGAIN) {
        calls++;
    }
    expect_record(r, result, ring, 7);
    ck_assert_uint_lt(calls, times - 2);
    close_rings(r);
    fixture_drop(&full);
}
END_TEST

/* ---- Rings that go ---- */

START_TEST(a_removed_ring_whose_event_was_not_fetched) {
    rings *r = open_rings(RBCORE_READER_RELEASE, 0);
    let_go_idle(r);
    unsigned int ring = idle_ring(r, 20);
    produce(&r->of[ring], 1);
    ck_assert_int_eq(rbcore_reader_next(r->reader, r->records, 1, WATCHDOG_NS), 1);
    produce(&r->of[ring], 2); /* an event of a ring of which a record is held */
    ok(rbcore_reader_remove(r->reader, r->of[ring].ring));
    ok(rbcore_reader_release(r->reader, r->records, 1)); /* it is freed */
    let_go_idle(r);
    ring = idle_ring(r, 21);
    produce(&r->of[ring], 3);
    ok(rbcore_reader_remove(r->reader, r->of[ring].ring));
    unsigned int other = idle_ring(r, 30);
    produce(&r->of[other], 4);
    ck_assert_int_eq(rbcore_reader_next(r->reader, r->records, 2, WATCHDOG_NS), 1);
    ck_assert_uint_eq(r->records[0].ring, r->of[other].ring);
    ok(rbcore_reader_release(r->reader, r->records, 1));
    close_rings(r);
}
END_TEST

/* ---- Flush ---- */

START_TEST(flush_of_idle_rings) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    unsigned int count = 0;
    for (unsigned int ring = 0; ring < RINGS; ring += 3) {
        produce_silently(r, ring, ring);
        count++;
    }
    ok(rbcore_reader_flush(r->reader));
    unsigned int found = 0;
    int n;
    while ((n = rbcore_reader_next(r->reader, r->records, 5, WATCHDOG_NS)) > 0) {
        found += (unsigned int)n;
        ok(rbcore_reader_commit(r->reader, NULL, 0));
    }
    ck_assert_int_eq(n, -ENODATA);
    ck_assert_uint_eq(found, count);
    close_rings(r);
}
END_TEST

/* ---- The dead ---- */

static int die_in(void *argument) {
    const fixture *ring = argument;
    rbcore_producer *producer = producer_on(ring->memory_fd, ring->event_fd);
    void *data;
    ok(rbcore_producer_reserve(producer, &data, 8));
    return raise(SIGKILL);
}

/* Neither the record of a producer that died nor those behind it wake anybody. */
START_TEST(a_dead_producer_in_an_idle_ring) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    unsigned int ring = idle_ring(r, 20);
    in_child(die_in, &r->of[ring]);
    produce(&r->of[ring], 9);
    ck_assert(is_idle(r, ring));
    if (_i) { /* found by the wait itself, */
        expect_record(r, rbcore_reader_next(r->reader, r->records, 1, WATCHDOG_NS), ring, 9);
    } else { /* or as by an event loop */
        int result = 0;
        while (result == 0 || result == -EAGAIN) {
            ck_assert(readable(rbcore_reader_fd(r->reader), WATCHDOG_MS));
            result = rbcore_reader_read(r->reader, r->records, 1);
        }
        expect_record(r, result, ring, 9);
    }
    ck_assert_uint_eq(ring_stats(&r->of[ring]).abandoned, 1);
    close_rings(r);
}
END_TEST

/* ---- The sweep, while another thread gives back or produces ---- */

#define FAR_APART 1000 /* turns of a loop: the most that two threads start apart */

/* Another thread: it releases the record that is held, or produces one in the same ring. */
typedef struct helper {
    rings *rings;
    rbcore_record held;
    bool releases;
    unsigned int meetings;
    unsigned int delay;
    _Atomic unsigned int begun, done;
} helper;

static void linger(unsigned int turns) {
    for (volatile unsigned int i = 0; i < turns; i++) {
    }
}

static void wait_for(const _Atomic unsigned int *number, unsigned int meeting) {
    for (unsigned int i = 0; *number != meeting; i++) {
        if (i > 10000) {
            sched_yield();
        }
    }
}

static void *help(void *argument) {
    helper *self = argument;
    for (unsigned int meeting = 1; meeting <= self->meetings; meeting++) {
        wait_for(&self->begun, meeting);
        linger(self->delay);
        if (self->releases) {
            ok(rbcore_reader_release(self->rings->reader, &self->held, 1));
        } else {
            produce(&self->rings->of[0], meeting);
        }
        self->done = meeting;
    }
    return NULL;
}

static void sweep(const rings *self) {
    self->reader->idling.looks = RBC_LOOKS_PER_SWEEP;
    rbc_idle_sweep(self->reader);
}

/* Empties the eventfd. */
static bool was_woken(const fixture *ring) {
    uint64_t count;
    return read(ring->event_fd, &count, sizeof(count)) == sizeof(count);
}

/* The sweep comes when a record was just committed, while another is produced. */
static void sweep_after_commit(const rings *self, helper *other, unsigned int meeting) {
    other->begun = meeting;
    linger(meeting * 7919 % FAR_APART);
    ok(rbcore_reader_commit(self->reader, &other->held, 0));
    sweep(self);
}

/* The sweep comes when it is seen that a record was released. Then another is produced. */
static void sweep_during_release(const rings *self, helper *other, unsigned int meeting) {
    const rbc_ring *ring = rbc_ring_table_find(&self->reader->table, self->of[0].ring);
    other->begun = meeting;
    while (rbc_consumer_has_held(ring)) {
        sched_yield();
    }
    sweep(self);
    produce(&self->of[0], meeting);
}

/*
 * What is produced in a ring that the sweep took out wakes the reader. Or the ring is still in the
 * round.
 */
static void meet(uint64_t flags, unsigned int meetings,
                 void (*sweep_once)(const rings *, helper *, unsigned int)) {
    rings *r = open_rings(flags, 0);
    helper h = {.rings = r, .releases = flags != 0, .meetings = meetings};
    produce(&r->of[0], 0);
    ck_assert_int_eq(rbcore_reader_look(r->reader, &h.held, 1), 1);
    pthread_t thread;
    ok(pthread_create(&thread, NULL, help, &h));
    for (unsigned int meeting = 1; meeting <= meetings; meeting++) {
        sweep(r); /* it notes that the ring gives nothing */
        was_woken(&r->of[0]);
        h.delay = h.releases ? 0 : meeting * 104729 % FAR_APART;
        sweep_once(r, &h, meeting);
        wait_for(&h.done, meeting);
        ck_assert(!is_idle(r, 0) || was_woken(&r->of[0]));
        ck_assert_int_eq(rbcore_reader_look(r->reader, &h.held, 1), 1);
        ck_assert_uint_eq(value_of(&h.held), meeting);
    }
    ok(pthread_join(thread, NULL));
    if (h.releases) {
        ok(rbcore_reader_release(r->reader, &h.held, 1));
    }
    close_rings(r);
}

START_TEST(the_sweep_meets_a_producer) {
    meet(0, 3000, sweep_after_commit);
}
END_TEST

START_TEST(the_sweep_meets_a_release) {
    meet(RBCORE_READER_RELEASE, 300, sweep_during_release);
}
END_TEST

/* ---- Cancelled threads ---- */

static bool is_cancelled;

int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout);

/* The thread ends when it has fetched events, as if it was cancelled in the call. */
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout) {
    int n = __real_epoll_wait(epoll_fd, events, max, timeout);
    if (is_cancelled && n > 0) {
        pthread_exit(NULL);
    }
    return n;
}

static void *read_and_end(void *argument) {
    rings *self = argument;
    if (rbcore_reader_read(self->reader, self->records, 1) != 1) {
        rbcore_reader_next(self->reader, self->records, 1, RBCORE_FOREVER);
    }
    return self;
}

START_TEST(events_that_a_cancelled_thread_fetched) {
    rings *r = open_rings(0, 0);
    let_go_idle(r);
    unsigned int ring = idle_ring(r, 20);
    produce(&r->of[ring], 6);
    pthread_t thread;
    void *result;
    is_cancelled = true;
    ok(pthread_create(&thread, NULL, read_and_end, r));
    ok(pthread_join(thread, &result));
    is_cancelled = false;
    ck_assert_ptr_null(result);
    /* Not only when a read finds nothing else, which looks at all rings. */
    unsigned int other = idle_ring(r, ring + 1);
    produce(&r->of[other], 7);
    expect_record(r, rbcore_reader_read(r->reader, r->records, 1), ring, 6);
    expect_record(r, rbcore_reader_read(r->reader, r->records, 1), other, 7);
    close_rings(r);
}
END_TEST

int main(void) {
    const loop_test tests[] = {{rings_that_are_not_idle, 1},
                               {paced_rings_are_not_idle, 1},
                               {few_rings_are_not_idle, 1},
                               {waits_keep_the_round_short, 1},
                               {each_ring_wakes, 2},
                               {all_rings_wake_at_once, 1},
                               {silent_records, 1},
                               {silent_records_beside_discarded_ones, 1},
                               {a_ring_that_begins_with_silent_records, 1},
                               {silent_records_beside_a_busy_ring, 1},
                               {idle_rings_have_their_turn, 2},
                               {rounds_of_many_rings, 1},
                               {a_broken_ring_hides_no_idle_one, 3},
                               {discarded_records_hide_no_idle_ring, 1},
                               {a_removed_ring_whose_event_was_not_fetched, 1},
                               {flush_of_idle_rings, 1},
                               {a_dead_producer_in_an_idle_ring, 2},
                               {the_sweep_meets_a_producer, 1},
                               {the_sweep_meets_a_release, 1},
                               {events_that_a_cancelled_thread_fetched, 1},
                               {NULL, 0}};
    return run_loop_tests("idle_rings", tests);
}
