/* SPDX-License-Identifier: MIT */
/*
 * The records that come out are those that went in: sizes, wrap-around, discards, beside libbpf's
 * reader.
 */
#include <errno.h>
#include <stdlib.h>

#include "support.h"

#define BATCH 64

/* The ring has exactly this one record, at *position, which moves on. */
static void assert_only(rbcore_reader *reader, const struct produce *ring, uint32_t size,
                        uint32_t offset, uint64_t *position) {
    rbcore_record record, none;
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    ck_assert_uint_eq(record.size, size);
    ck_assert_uint_eq(record.position, *position);
    ck_assert_uint_eq(record.ring, 0);
    ck_assert_uint_eq((uintptr_t)record.data % 8, 0);
    ck_assert(is_pattern(ring, record.data, size, offset));
    ck_assert_int_eq(rbcore_reader_read(reader, &none, 1), 0);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    *position += span_of(size);
}

START_TEST(every_size) {
    static const uint32_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 4095, 4096, 4097};
    struct produce *ring = load_ring(pages(4));
    rbcore_reader *reader = open_ring(ring, 0);
    uint64_t position = 0;
    for (uint32_t i = 0; i < 55 * pages(1) / 4096; i++) {
        uint32_t size = sizes[i % 11];
        ck_assert_int_eq(i % 2 ? emit(ring, size, i, 0) : emit_dynptr(ring, size, i, 0), 0);
        assert_only(reader, ring, size, i, &position);
    }
    ck_assert_uint_gt(position, pages(4)); /* so the records have wrapped around */
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* The largest record leaves 8 bytes of the ring free. It wraps at every place there is. */
START_TEST(largest_that_fits) {
    uint32_t ring_size = (uint32_t)pages(1);
    uint32_t largest = ring_size - 16;
    struct produce *ring = load_ring(ring_size);
    rbcore_reader *reader = open_ring(ring, 0);
    uint64_t position = 0;
    for (uint32_t i = 0; i <= ring_size / 8; i++) {
        ck_assert_int_eq(emit(ring, largest, i, 0), 0);
        assert_only(reader, ring, largest, i, &position);
    }
    ck_assert_int_eq(emit(ring, largest + 1, 0, 0), -EAGAIN);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(discards_are_skipped) {
    struct produce *ring = load_ring(pages(16));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record records[BATCH];
    ck_assert_int_eq(emit_discard(ring, 0, 0), 0);
    ck_assert_int_eq(emit(ring, 5, 1, 0), 0);
    ck_assert_int_eq(emit_discard(ring, 9, 0), 0);
    ck_assert_int_eq(emit_discard(ring, 4096, 0), 0);
    ck_assert_int_eq(emit(ring, 6, 2, 0), 0);
    ck_assert_int_eq(emit_discard(ring, 1, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, BATCH), 2);
    ck_assert(is_pattern(ring, records[0].data, 5, 1));
    ck_assert(is_pattern(ring, records[1].data, 6, 2));
    ck_assert_uint_eq(records[0].position, span_of(0));
    ck_assert_int_eq(rbcore_reader_read(reader, records, BATCH), 0);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.records, 2);
    ck_assert_uint_eq(stats.bytes, 11);
    ck_assert_uint_eq(stats.discards, 4);
    ck_assert_uint_eq(stats.lost, 0);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* There is nothing to commit if nothing is handed out, yet a producer that only discards must not
 * fill the ring for good. */
START_TEST(nothing_but_discards) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(emit_discard(ring, (uint32_t)pages(1) / 4, 0), 0);
        ck_assert_int_eq(emit_discard(ring, (uint32_t)pages(1) / 4, 0), 0);
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    }
    ck_assert_int_eq(emit(ring, 3, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(stats_of(reader, 0).discards, 40);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* Produces until the ring is nearly full, discards among it; remembers what must come out. */
static void produce_at_random(struct produce *ring, uint32_t ring_size, record_log *expected,
                              uint64_t *discards) {
    uint64_t room = ring_size - 8;
    for (;;) {
        uint32_t size = (uint32_t)rand() % (rand() % 4 ? 64 : 1500);
        uint32_t offset = (uint32_t)rand() % (PATTERN_SIZE - RECORD_MAX);
        if (room < span_of(size) || rand() % 50 == 0) {
            return;
        }
        room -= span_of(size);
        if (rand() % 4 == 0) {
            ck_assert_int_eq(emit_discard(ring, size, 0), 0);
            ++*discards;
        } else {
            ck_assert_int_eq(emit(ring, size, offset, 0), 0);
            log_record(expected, ring->bss->pattern + offset, size);
        }
    }
}

static void log_all(rbcore_reader *reader, record_log *log) {
    rbcore_record records[BATCH];
    int count;
    while ((count = rbcore_reader_read(reader, records, 1 + (size_t)rand() % BATCH)) > 0) {
        for (int i = 0; i < count; i++) {
            log_record(log, records[i].data, records[i].size);
        }
    }
    ck_assert_int_eq(count, 0);
}

/*
 * rbcore reads without giving back, then libbpf reads the same. Each round goes on where libbpf
 * stopped: also a handover between the two.
 */
START_TEST(same_as_libbpf) {
    uint32_t ring_size = (uint32_t)pages(_i ? 16 : 1);
    struct produce *ring = load_ring(ring_size);
    srand(1);
    for (int round = 0; round < 40; round++) {
        record_log expected = {0}, ours = {0};
        uint64_t discards = 0;
        produce_at_random(ring, ring_size, &expected, &discards);
        rbcore_reader *reader = open_ring(ring, 0);
        log_all(reader, &ours);
        ck_assert_uint_eq(stats_of(reader, 0).discards, discards);
        rbcore_reader_free(reader);
        record_log theirs = consume_by_libbpf(ring);
        assert_same_log(&ours, &expected);
        assert_same_log(&ours, &theirs);
        free(expected.bytes);
        free(ours.bytes);
        free(theirs.bytes);
    }
    produce__destroy(ring);
}
END_TEST

/* One reader all the time, which commits after random numbers of records. */
START_TEST(commits_at_random) {
    struct produce *ring = load_ring(pages(2));
    rbcore_reader *reader = open_ring(ring, 0);
    srand(2);
    for (int round = 0; round < 100; round++) {
        record_log expected = {0}, ours = {0};
        rbcore_record records[BATCH];
        uint64_t discards = 0;
        int count;
        produce_at_random(ring, (uint32_t)pages(2), &expected, &discards);
        while ((count = rbcore_reader_read(reader, records, 1 + (size_t)rand() % BATCH)) > 0) {
            for (int i = 0; i < count; i++) {
                log_record(&ours, records[i].data, records[i].size);
            }
            if (rand() % 2) {
                ck_assert_int_eq(rbcore_reader_commit(reader, &records[rand() % count], 0), 0);
            }
        }
        ck_assert_int_eq(count, 0);
        assert_same_log(&ours, &expected);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
        rbcore_ring_stats stats = stats_of(reader, 0);
        ck_assert_uint_eq(stats.user_pos, stats.producer_pos);
        free(expected.bytes);
        free(ours.bytes);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("records");
    add_test(suite, every_size);
    add_test(suite, largest_that_fits);
    add_test(suite, discards_are_skipped);
    add_test(suite, nothing_but_discards);
    add_loop_test(suite, same_as_libbpf, 2);
    add_test(suite, commits_at_random);
    return run_kernel_tests(suite, NULL);
}
