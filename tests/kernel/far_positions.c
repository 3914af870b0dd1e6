/* SPDX-License-Identifier: MIT */
/*
 * Positions past 4 GiB, where a half of them wraps: what a 32-bit process on a 64-bit kernel must
 * load and store as a whole. Large records that are discarded get there in a moment.
 */
#include <errno.h>

#include "support.h"

#define RING_SIZE (UINT32_C(32) << 20)
#define STEP (UINT32_C(8) << 20) /* of the ring, header included; no dynptr has 16 MiB */
#define BORDER (UINT64_C(1) << 32)

/* No record is held back: positions are compared. */
static rbcore_reader *open_unpaced(struct produce *ring, uint64_t flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = source_of(ring);
    rbcore_reader *reader = NULL;
    options.flags = flags;
    options.max_latency_ns = 0;
    ck_assert_int_eq(rbcore_reader_open(&reader, &options), 0);
    ck_assert_uint_eq(add_source(reader, &source), 0);
    return reader;
}

/* Discards until the ring stands `before` bytes, a multiple of 8, before 4 GiB. */
static void go_to_border(struct produce *ring, rbcore_reader *reader, uint64_t before) {
    rbcore_record none;
    uint64_t position = 0;
    while (position != BORDER - before) {
        uint64_t left = BORDER - before - position;
        uint32_t span = left < STEP ? (uint32_t)left : STEP;
        ck_assert_int_eq(emit_discard(ring, span - 8, 0), 0);
        ck_assert_int_eq(rbcore_reader_read(reader, &none, 1), 0);
        position += span;
    }
    ck_assert_uint_eq(stats_of(reader, 0).producer_pos, position);
    ck_assert_uint_eq(stats_of(reader, 0).consumer_pos, position);
}

/* Each record wakes the reader, is where it should be, and makes room when it is committed. */
START_TEST(records_across_the_border) {
    struct produce *ring = load_ring(RING_SIZE);
    rbcore_reader *reader = open_unpaced(ring, _i ? RBCORE_READER_RELEASE : 0);
    uint64_t position = BORDER - 4096;
    go_to_border(ring, reader, 4096);
    for (uint32_t i = 0; i < 512; i++) {
        rbcore_record record;
        ck_assert_int_eq(emit(ring, 1 + i % 40, i, 0), 0);
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
        ck_assert_uint_eq(record.position, position);
        ck_assert(is_pattern(ring, record.data, record.size, i));
        ck_assert_int_eq(_i ? rbcore_reader_release(reader, &record, 1)
                            : rbcore_reader_commit(reader, &record, RBCORE_COMMIT_NOW),
                         0);
        position += span_of(record.size);
        ck_assert_uint_eq(stats_of(reader, 0).consumer_pos, position);
    }
    ck_assert_uint_gt(position, BORDER);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* The space of what lies before the border is given back by a commit behind it, and used again. */
START_TEST(full_laps_across_the_border) {
    struct produce *ring = load_ring(RING_SIZE);
    rbcore_reader *reader = open_unpaced(ring, 0);
    rbcore_record records[8];
    go_to_border(ring, reader, 3 * (uint64_t)RECORD_MAX);
    for (int lap = 0; lap < 3; lap++) {
        uint64_t start = stats_of(reader, 0).producer_pos;
        for (uint32_t i = 0; i < 6; i++) {
            ck_assert_int_eq(emit(ring, RECORD_MAX - 8, 8 * i, 0), 0);
        }
        ck_assert_int_eq(rbcore_reader_read(reader, records, 8), 6);
        for (uint32_t i = 0; i < 6; i++) {
            ck_assert_uint_eq(records[i].position, start + i * (uint64_t)RECORD_MAX);
            ck_assert(is_pattern(ring, records[i].data, records[i].size, 8 * i));
        }
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, RBCORE_COMMIT_NOW), 0);
        for (int i = 0; i < 4; i++) {
            int full = i < 3 ? 0 : -EINVAL; /* what a dynptr's reserve says of a full ring */
            ck_assert_int_eq(emit_discard(ring, STEP - 8, 0), full);
        }
        ck_assert_int_eq(rbcore_reader_read(reader, records, 8), 0);
    }
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_gt(stats.consumer_pos, BORDER);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    ck_assert_uint_eq(stats.records, 18);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* A reader that comes later finds its place beyond the border. */
START_TEST(resumed_behind_the_border) {
    struct produce *ring = load_ring(RING_SIZE);
    rbcore_reader *reader = open_unpaced(ring, 0);
    rbcore_record records[2];
    go_to_border(ring, reader, 16);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(emit(ring, 8, i, 0), 0);
    }
    ck_assert_int_eq(rbcore_reader_read(reader, records, 2), 2);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_reader_free(reader);
    reader = open_unpaced(ring, 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 2), 2);
    ck_assert_uint_eq(records[0].position, BORDER + 16);
    ck_assert(is_pattern(ring, records[1].data, 8, 3));
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("far positions");
    add_loop_test(suite, records_across_the_border, 2); /* 1: by release */
    add_test(suite, full_laps_across_the_border);
    add_test(suite, resumed_behind_the_border);
    return run_kernel_tests(suite, NULL);
}
