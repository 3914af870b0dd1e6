/* SPDX-License-Identifier: MIT */
/* Which of the committed records the producers are told of, and when. */
#include "stage.h"

#include <sys/resource.h>
#include <unistd.h>

START_TEST(the_last_record_of_a_paced_ring_is_held_back) {
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    make_paced(s);
    forget_wakeups(s);
    for (int i = 0; i < 3; i++) {
        expect_held_back(s, small_record);
        uint64_t committed = stats_of(s->reader, 0).user_pos;
        ck_assert_uint_eq(consumer_pos(s), committed - span_of(small_record));
        ck_assert_uint_eq(committed, producer_pos(s));
        emit_records(s, 5, 0);
        expect_no_wakeup(s);
        ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 5);
        ck_assert(is_paced(s));
        /* The record that was held back goes with the call that finds more. */
        ck_assert_uint_eq(consumer_pos(s), committed);
        expect_no_wakeup(s);
        give_back(s);
    }
    expect_held_back(s, small_record);
    close_stage(s);
}
END_TEST

static void give_back_some(stage *s, size_t first, size_t count, bool is_all) {
    if (s->is_release) {
        ok(rbcore_reader_release(s->reader, &s->records[first], count));
    } else {
        ok(rbcore_reader_commit(s->reader, is_all ? NULL : &s->records[first + count - 1], 0));
    }
}

START_TEST(nothing_is_held_back_behind_records_that_the_user_has) {
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    make_paced(s);
    forget_wakeups(s);
    emit_records(s, 5, 0);
    ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 5);
    ck_assert(is_paced(s));
    give_back_some(s, 0, 3, false);
    ck_assert_uint_eq(stats_of(s->reader, 0).user_pos, s->records[3].position);
    expect_all_published(s);
    emit_records(s, 1, 0);
    expect_no_wakeup(s); /* the producer does not wake either */
    give_back_some(s, 3, 2, true);
    expect_held_back(s, small_record);
    take_the_rest(s);
    close_stage(s);
}
END_TEST

/* Its timer will come, whether somebody wakes or not: there is no reason to look more often. */
START_TEST(a_paced_ring_whose_records_the_user_has_is_looked_at_once_an_interval) {
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    struct rusage before, after;
    for (bool paced = false; !paced;) {
        read_one_paced(s, small_record);
        getrusage(RUSAGE_THREAD, &before);
        ck_assert_int_eq(take(s, MAX_RECORDS, long_ns / 4), 0);
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
    stage *s = open_stage(large_ring, 0, long_ns);
    for (int i = 0; i < 3; i++) {
        make_paced(s);
        expect_held_back(s, small_record);
        /* This works with nothing else to commit as well. */
        ok(rbcore_reader_commit(s->reader, NULL, RBCORE_COMMIT_NOW));
        ck_assert(is_paced(s));
        expect_all_published(s);
        emit_records(s, 4, 0);
        ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 4);
        ck_assert(is_paced(s));
        ok(rbcore_reader_commit(s->reader, NULL, i ? RBCORE_COMMIT_NOW : 0));
        if (i) {
            expect_all_published(s);
        } else {
            expect_held_back(s, small_record);
        }
    }
    close_stage(s);
}
END_TEST

START_TEST(closing_publishes) {
    for (int removes = 0; removes < 2; removes++) {
        stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
        make_paced(s);
        expect_held_back(s, small_record);
        if (removes) {
            ok(rbcore_reader_remove(s->reader, 0));
            ck_assert_uint_eq(consumer_pos(s), producer_pos(s));
        }
        rbcore_reader_free(s->reader);
        s->reader = NULL;
        ck_assert_uint_eq(consumer_pos(s), producer_pos(s));
        close_stage(s);
    }
}
END_TEST

START_TEST(the_last_release_after_closing_publishes) {
    stage *s = open_stage(large_ring, RBCORE_READER_RELEASE, long_ns);
    make_paced(s);
    emit_records(s, 4, 0);
    ck_assert_int_eq(take(s, MAX_RECORDS, WATCHDOG_NS), 4);
    rbcore_reader_free(s->reader);
    ok(rbcore_reader_release(s->reader, &s->records[1], 3));
    ck_assert_uint_le(consumer_pos(s), s->records[0].position);
    ok(rbcore_reader_release(s->reader, &s->records[0], 1));
    s->reader = NULL; /* that freed it */
    ck_assert_uint_eq(consumer_pos(s), producer_pos(s));
    close_stage(s);
}
END_TEST

START_TEST(a_large_record_is_not_held_back) {
    const size_t ring_size = (size_t)4 << 20, largest = ring_size / 64 - 8;
    stage *s = open_stage(ring_size, _i ? RBCORE_READER_RELEASE : 0, long_ns);
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
    const size_t ring_size = 4 * largest_record, largest = ring_size / 4 - 8;
    stage *s = open_stage(ring_size, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    read_one_paced(s, largest);
    give_back(s);
    read_one_paced(s, small_record);
    give_back(s);
    expect_held_back(s, small_record);
    read_one_paced(s, largest + 1);
    give_back(s);
    read_one_paced(s, small_record);
    give_back(s);
    expect_all_published(s);
    close_stage(s);
}
END_TEST

/*
 * Records that were given back are no content of a snapshot, though the kernel does not know yet.
 */
START_TEST(what_is_held_back_is_in_no_snapshot) {
    stage *s = open_stage(large_ring, _i ? RBCORE_READER_RELEASE : 0, long_ns);
    rbcore_snapshot *snapshot = NULL;
    rbcore_record record;
    make_paced(s);
    expect_held_back(s, small_record);
    ok(rbcore_reader_snapshot(s->reader, 0, &snapshot, 0));
    ck_assert_int_eq(rbcore_snapshot_read(snapshot, &record, 1), 0);
    rbcore_snapshot_free(snapshot);
    close_stage(s);
}
END_TEST

START_TEST(nothing_is_held_back_in_a_ring_more_than_half_full) {
    const size_t ring_size = 2 * largest_record;
    for (size_t more = 0; more <= 8; more += 8) {
        stage *s = open_stage(ring_size, _i ? RBCORE_READER_RELEASE : 0, long_ns);
        read_one_paced(s, small_record); /* the only one that was read when it is judged */
        size_t space = ring_size / 2 + more - span_of(small_record);
        emit_sized(s, space - 8);
        give_back(s);
        if (more) {
            expect_all_published(s);
        } else {
            expect_held_back(s, small_record);
        }
        take_the_rest(s);
        close_stage(s);
    }
}
END_TEST

/* Two records of nearly half the ring, the third is refused. */
static void fill_by_halves(stage *s, size_t half) {
    emit_sized(s, half);
    emit_sized(s, half);
    ck_assert_int_ne(test_ring_emit(s->ring, s->produced, half, 0), 0);
}

static void commit_each_of_halves(stage *s, size_t half) {
    fill_by_halves(s, half);
    for (int more = 0; more < 20; more++) {
        ck_assert_int_eq(taken(s, rbcore_reader_read(s->reader, s->records, 1)), 1);
        ok(rbcore_reader_commit(s->reader, s->records, 0));
        emit_sized(s, half); /* fits at once */
    }
    while (waiting(s) != 0) {
        ck_assert_int_gt(take(s, 1, WATCHDOG_NS), 0);
        ok(rbcore_reader_commit(s->reader, NULL, 0));
    }
}

START_TEST(a_commit_frees_space) {
    const size_t sizes[] = {page_size(), smallest_paced, 2 * largest_record};
    const size_t ring_size = sizes[_i];
    stage *s = open_stage(ring_size, 0, RBCORE_DEFAULT_MAX_LATENCY);
    for (int i = 0; i < 50; i++) {
        if (i % 2 && ring_size >= smallest_paced) {
            make_paced(s);
        }
        commit_each_of_halves(s, ring_size / 2 - 64);
    }
    close_stage(s);
}
END_TEST

const scenario publishing_scenarios[] = {
    {&the_last_record_of_a_paced_ring_is_held_back, 2},
    {&nothing_is_held_back_behind_records_that_the_user_has, 2},
    {&a_paced_ring_whose_records_the_user_has_is_looked_at_once_an_interval, 2},
    {&commit_now, 1},
    {&closing_publishes, 2},
    {&the_last_release_after_closing_publishes, 1},
    {&a_large_record_is_not_held_back, 2},
    {&a_small_record_is_not_held_back_among_large_ones, 2},
    {&what_is_held_back_is_in_no_snapshot, 2},
    {&nothing_is_held_back_in_a_ring_more_than_half_full, 2},
    {&a_commit_frees_space, 3},
    {NULL, 0},
};
