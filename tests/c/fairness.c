/* SPDX-License-Identifier: MIT */
/* Several rings in one reader: turns, their order, and rings that are always full. */
#include "support.h"

#define RINGS 4

static fixture rings[RINGS];

static void setup_rings(void) {
    rings[0] = fixture_open(page_size(), 0);
    for (int i = 1; i < RINGS; i++) {
        rings[i] = fixture_add(rings[0].reader, page_size());
    }
}

static void teardown_rings(void) {
    for (int i = 1; i < RINGS; i++) {
        fixture_drop(&rings[i]);
    }
    fixture_close(&rings[0]);
}

static void produce_many(int ring, int n) {
    for (int i = 0; i < n; i++) {
        produce(&rings[ring], 0);
    }
}

/* Reads once and expects the rings that the digits of order name. */
static void expect_read(size_t max, const char *order) {
    rbcore_record records[32];
    int n = rbcore_reader_read(rings[0].reader, records, max);
    ck_assert_int_eq(n, (int)strlen(order));
    for (int i = 0; i < n; i++) {
        ck_assert_msg(records[i].ring == order[i] - '0', "record %d of %s is of ring %u", i, order,
                      records[i].ring);
    }
}

START_TEST(the_order_of_turns) {
    setup_rings();
    for (int i = 0; i < RINGS; i++) {
        produce_many(i, 5);
    }
    expect_read(4, "0000");
    expect_read(4, "1111");
    expect_read(7, "2222233");
    /* Ring 3 had the last turn, so 0 is next, though 3 has more. */
    expect_read(1, "0");
    expect_read(32, "1333");
    expect_read(32, "");
    produce_many(1, 1);
    produce_many(0, 1);
    /* 3 was served last. */
    expect_read(1, "0");
    produce_many(0, 1);
    expect_read(32, "10");
    teardown_rings();
}
END_TEST

START_TEST(one_turn_in_one_call) {
    setup_rings();
    for (int i = 0; i < RINGS; i++) {
        produce_many(i, 2);
    }
    expect_read(32, "00112233");
    produce_many(2, 3);
    expect_read(32, "222");
    produce_many(2, 2);
    produce_many(3, 2);
    /* After 2 comes 3. */
    expect_read(32, "3322");
    teardown_rings();
}
END_TEST

START_TEST(a_full_ring_starves_nobody) {
    setup_rings();
    rbcore_record records[8];
    uint64_t waited[RINGS] = {0}, most[RINGS] = {0}, value = 0;
    produce_many(1, 100);
    produce_many(3, 100);
    for (int i = 0; i < 400; i++) {
        while (!rbcore_producer_output(rings[0].producer, &value, 8, 0)) {
        }
        while (!rbcore_producer_output(rings[2].producer, &value, 8, 0)) {
        }
        produce_many(1, 1);
        produce_many(3, 1);
        int n = rbcore_reader_read(rings[0].reader, records, 8);
        ck_assert_int_gt(n, 0);
        ok(rbcore_reader_commit(rings[0].reader, NULL, 0));
        for (int k = 0; k < RINGS; k++) {
            waited[k]++;
        }
        for (int k = 0; k < n; k++) {
            waited[records[k].ring] = 0;
        }
        for (int k = 0; k < RINGS; k++) {
            most[k] = waited[k] > most[k] ? waited[k] : most[k];
        }
    }
    /* None is passed over for a second time before all others had their turn. */
    for (int k = 0; k < RINGS; k++) {
        ck_assert_uint_lt(most[k], RINGS);
    }
    teardown_rings();
}
END_TEST

START_TEST(a_busy_ring_holds_up_nobody) {
    setup_rings();
    void *data;
    ok(rbcore_producer_reserve(rings[1].producer, &data, 8));
    produce_many(1, 3);
    produce_many(2, 1);
    produce_many(0, 1);
    expect_read(32, "02");
    expect_read(32, "");
    ok(rbcore_producer_submit(rings[1].producer, data, 0));
    expect_read(32, "1111");
    teardown_rings();
}
END_TEST

/* A reader that is never without records asks now and then whether a producer died. */
START_TEST(a_dead_producer_is_found_by_a_busy_reader) {
    setup_rings();
    rbcore_record records[8];
    void *data;
    rbcore_producer *dead = producer_on(rings[1].memory_fd, rings[1].event_fd);
    ok(rbcore_producer_reserve(dead, &data, 8));
    produce(&rings[1], 77);
    rbcore_producer_free(dead);
    int calls = 0;
    bool found = false;
    for (; calls < 5000 && !found; calls++) {
        produce(&rings[0], 1);
        int n = rbcore_reader_read(rings[0].reader, records, 8);
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            found |= records[i].ring == 1 && value_of(&records[i]) == 77;
        }
        ok(rbcore_reader_commit(rings[0].reader, NULL, 0));
    }
    ck_assert(found);
    ck_assert_int_gt(calls, 500); /* it takes system calls: one in 1024 scans makes them */
    teardown_rings();
}
END_TEST

START_TEST(discards_in_one_ring_hold_up_nobody) {
    fixture f = fixture_open(1 << 20, 0);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record records[4];
    for (int i = 0; i < 120000; i++) {
        void *data;
        ok(rbcore_producer_reserve(f.producer, &data, 0));
        ok(rbcore_producer_discard(f.producer, data, 0));
    }
    produce(&g, 5);
    int n = 0, calls = 0;
    for (; n <= 0 && calls < 2; calls++) {
        n = rbcore_reader_read(f.reader, records, 4);
        ck_assert(n == 1 || n == -EAGAIN);
    }
    ck_assert_int_eq(n, 1);
    ck_assert_uint_eq(records[0].ring, g.ring);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

START_TEST(cookies_and_indexes) {
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, NULL));
    fixture f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = (fixture){.reader = reader, .ring = (unsigned int)i};
        ok(rbcore_memory_ring_create(&f[i].memory_fd, &f[i].event_fd, page_size(), 0));
        rbcore_source source = memory_source(f[i].memory_fd, f[i].event_fd);
        source.cookie = UINT64_MAX - (uint64_t)i;
        ck_assert_int_eq(rbcore_reader_add(reader, &source), i);
        f[i].producer = producer_on(f[i].memory_fd, f[i].event_fd);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(ring_stats(&f[i]).cookie, UINT64_MAX - (uint64_t)i);
    }
    for (int i = 0; i < 3; i++) {
        fixture_drop(&f[i]);
    }
    rbcore_reader_free(reader);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_order_of_turns,
                                  one_turn_in_one_call,
                                  a_full_ring_starves_nobody,
                                  a_busy_ring_holds_up_nobody,
                                  a_dead_producer_is_found_by_a_busy_reader,
                                  discards_in_one_ring_hold_up_nobody,
                                  cookies_and_indexes,
                                  NULL};
    return run_tests("fairness", tests);
}
