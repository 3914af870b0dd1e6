/* SPDX-License-Identifier: MIT */
/* Reading without waiting: sizes, wrap-around, the full ring, discards, records being written. */
#include "support.h"

#include <stdio.h>

static uint8_t pattern(uint64_t seed, size_t i) {
    return (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static void produce_pattern(const fixture *f, uint64_t seed, size_t size) {
    void *data = NULL;
    ok(rbcore_producer_reserve(f->producer, &data, size));
    ck_assert_uint_eq((uintptr_t)data % 8, 0);
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = pattern(seed, i);
    }
    ok(rbcore_producer_submit(f->producer, data, 0));
}

static void expect_pattern(const rbcore_record *record, uint64_t seed, size_t size) {
    ck_assert_uint_eq(record->size, size);
    ck_assert_uint_eq((uintptr_t)record->data % 8, 0);
    const uint8_t *bytes = record->data;
    size_t i = 0;
    while (i < size && bytes[i] == pattern(seed, i)) {
        i++;
    }
    ck_assert_uint_eq(i, size);
}

START_TEST(many_sizes) {
    const size_t ring_size = 4 * page_size();
    const size_t cases[] = {0, 1, 7, 8, 9, 16, 4096, ring_size - 17, ring_size - 16};
    fixture f = fixture_open(ring_size, 0);
    uint64_t position = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        produce_pattern(&f, i, cases[i]);
        rbcore_record records[2];
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 1);
        expect_pattern(&records[0], i, cases[i]);
        ck_assert_uint_eq(records[0].position, position);
        ck_assert_uint_eq(records[0].ring, f.ring);
        ck_assert_uint_eq(records[0].flags, 0);
        position += span_of(cases[i]);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        ck_assert_uint_eq(ring_stats(&f).consumer_pos, position);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(too_large) {
    const size_t ring_size = page_size();
    const size_t no_32_bits = UINT32_MAX + (size_t)(SIZE_MAX > UINT32_MAX);
    fixture f = fixture_open(ring_size, 0);
    const size_t cases[] = {ring_size - 15,    ring_size - 8, ring_size,
                            UINT32_C(1) << 30, UINT32_MAX,    no_32_bits,
                            SIZE_MAX / 2 + 1,  SIZE_MAX - 7,  SIZE_MAX};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        void *data;
        ck_assert_int_eq(rbcore_producer_reserve(f.producer, &data, cases[i]), -EMSGSIZE);
    }
    static const uint8_t zeros[65536 * 2];
    if (ring_size < sizeof(zeros)) {
        ck_assert_int_eq(rbcore_producer_output(f.producer, zeros, ring_size, 0), -EMSGSIZE);
    }
    /* This is no loss: no reader, however fast, could have made room. */
    ck_assert_uint_eq(ring_stats(&f).lost, 0);
    ck_assert_uint_eq(ring_stats(&f).producer_pos, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(output) {
    fixture f = fixture_open(page_size(), 0);
    ok(rbcore_producer_output(f.producer, NULL, 0, 0));
    ok(rbcore_producer_output(f.producer, "abc", 3, 0));
    ck_assert_int_eq(rbcore_producer_output(f.producer, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_output(f.producer, "abc", 3, 4), -EINVAL);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 2);
    ck_assert_uint_eq(records[0].size, 0);
    ck_assert_mem_eq(records[1].data, "abc", 3);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_arguments) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, NULL, 1), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(NULL, &record, 1), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 0, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next(f.reader, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next(NULL, &record, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, -2), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, INT64_MIN), -EINVAL);
    ck_assert_int_eq(rbcore_reader_commit(NULL, NULL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_release(NULL, &record, 1), -EINVAL);
    ck_assert_int_eq(rbcore_reader_fd(NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_interrupt(NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_flush(NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_shutdown(NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_ref(NULL), -EINVAL);
    ck_assert_ptr_nonnull(rbcore_reader_message(f.reader));
    rbcore_reader_free(NULL);
    rbcore_producer_free(NULL);
    fixture_close(&f);
}
END_TEST

START_TEST(max_is_kept) {
    fixture f = fixture_open(page_size(), 0);
    for (uint64_t i = 0; i < 10; i++) {
        produce(&f, i);
    }
    rbcore_record records[5];
    memset(records, 0xee, sizeof(records));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 4);
    ck_assert_uint_eq(records[4].ring, 0xeeee);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 4);
    ck_assert_uint_eq(value_of(&records[0]), 4);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 2);
    ck_assert_uint_eq(value_of(&records[1]), 9);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    fixture_close(&f);
}
END_TEST

/* Thousands of records of random sizes through a small ring, read in random batches. */
START_TEST(wrap_around) {
    const size_t ring_size = page_size();
    fixture f = fixture_open(ring_size, 0);
    uint64_t random = 1, produced = 0, expected = 0, position = 0;
    size_t sizes[4096];
    bool across_the_end = false;
    while (expected < 4000) {
        for (uint32_t n = random_next(&random) % 8; n && produced < 4000; n--) {
            size_t size = random_next(&random) % 700;
            rbcore_ring_stats s = ring_stats(&f);
            if (s.producer_pos + span_of(size) - s.consumer_pos >= ring_size) {
                break;
            }
            sizes[produced] = size;
            produce_pattern(&f, produced++, size);
        }
        rbcore_record records[8];
        int n = rbcore_reader_read(f.reader, records, 1 + random_next(&random) % 8);
        ck_assert_int_ge(n, 0);
        for (int i = 0; i < n; i++, expected++) {
            ck_assert_uint_eq(records[i].position, position);
            expect_pattern(&records[i], expected, sizes[expected]);
            across_the_end |= position % ring_size + span_of(sizes[expected]) > ring_size;
            position = end_of(&records[i]);
        }
        if (n && random_next(&random) % 2) {
            ok(rbcore_reader_commit(f.reader, &records[n - 1], 0));
        } else if (!n) {
            ok(rbcore_reader_commit(f.reader, NULL, 0));
        }
    }
    ck_assert(across_the_end);
    fixture_close(&f);
}
END_TEST

START_TEST(full_ring) {
    fixture f = fixture_open(page_size(), 0);
    /* The kernel never fills a ring to its last 8 bytes. */
    const uint64_t fit = page_size() / 16 - 1;
    for (uint64_t i = 0; i < fit; i++) {
        produce(&f, i);
    }
    uint64_t value = 0;
    ck_assert_int_eq(rbcore_producer_output(f.producer, &value, 8, 0), -EAGAIN);
    void *data;
    ck_assert_int_eq(rbcore_producer_reserve(f.producer, &data, 1), -EAGAIN);
    ck_assert_uint_eq(ring_stats(&f).lost, 2);
    ck_assert_uint_eq(ring_stats(&f).bytes_waiting, page_size() - 16);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    /* Reading alone frees nothing. */
    ck_assert_int_eq(rbcore_producer_output(f.producer, &value, 8, 0), -EAGAIN);
    ok(rbcore_reader_commit(f.reader, &record, 0));
    produce(&f, fit);
    ck_assert_int_eq(rbcore_producer_output(f.producer, &value, 8, 0), -EAGAIN);
    ck_assert_uint_eq(ring_stats(&f).lost, 4);
    for (uint64_t i = 1; i <= fit; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
        ck_assert_uint_eq(value_of(&record), i);
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    fixture_close(&f);
}
END_TEST

static void discard(const fixture *f, size_t size) {
    void *data;
    ok(rbcore_producer_reserve(f->producer, &data, size));
    ok(rbcore_producer_discard(f->producer, data, 0));
}

START_TEST(discards_are_skipped) {
    fixture f = fixture_open(page_size(), 0);
    discard(&f, 5);
    produce(&f, 1);
    discard(&f, 0);
    discard(&f, 100);
    produce(&f, 2);
    discard(&f, 8);
    rbcore_record records[8];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 2);
    ck_assert_uint_eq(value_of(&records[0]), 1);
    ck_assert_uint_eq(value_of(&records[1]), 2);
    rbcore_ring_stats s = ring_stats(&f);
    ck_assert_uint_eq(s.discards, 4);
    ck_assert_uint_eq(s.records, 2);
    ck_assert_uint_eq(s.bytes, 16);
    ck_assert_uint_eq(s.bytes_waiting, 0);
    ck_assert_uint_eq(reader_stats(f.reader).discards, 4);
    fixture_close(&f);
}
END_TEST

/* Nobody holds a discarded record, so nobody could give it back but the read that skipped it. */
START_TEST(discards_alone_are_given_back_by_read) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    rbcore_record record;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            discard(&f, 16);
        }
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
        ck_assert_uint_eq(image_load(raw.consumer_pos), image_load(raw.producer_pos));
    }
    ck_assert_uint_eq(ring_stats(&f).discards, 300);
    ck_assert_uint_eq(ring_stats(&f).lost, 0);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

START_TEST(discards_follow_the_record_before_them) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    rbcore_record records[8];
    produce(&f, 1);
    discard(&f, 40);
    produce(&f, 2);
    discard(&f, 8);
    discard(&f, 8);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 2);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    ok(rbcore_reader_commit(f.reader, &records[0], 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[1].position);
    /* More discards while the second record is held: they must wait for it. */
    discard(&f, 8);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records + 2, 1), 0);
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[1].position);
    ok(rbcore_reader_commit(f.reader, &records[1], 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), image_load(raw.producer_pos));
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

#define DISCARDS_A_CALL 65536

START_TEST(bound_on_discards) {
    fixture f = fixture_open(1 << 22, 0);
    for (int i = 0; i <= DISCARDS_A_CALL; i++) {
        discard(&f, 0);
    }
    produce(&f, 7);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -EAGAIN);
    ck_assert_uint_eq(ring_stats(&f).discards, DISCARDS_A_CALL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(value_of(&record), 7);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    /* A wait may look several times, but not for as long as there are discards. */
    for (int i = 0; i <= 4 * DISCARDS_A_CALL; i++) {
        discard(&f, 0);
    }
    produce(&f, 8);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), -EAGAIN);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER), 1);
    ck_assert_uint_eq(value_of(&record), 8);
    fixture_close(&f);
}
END_TEST

START_TEST(busy_head) {
    fixture f = fixture_open(page_size(), 0);
    void *head, *second;
    ok(rbcore_producer_reserve(f.producer, &head, 8));
    ok(rbcore_producer_reserve(f.producer, &second, 8));
    produce(&f, 3);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    memcpy(second, &(uint64_t){2}, 8);
    ok(rbcore_producer_submit(f.producer, second, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    ck_assert_uint_eq(ring_stats(&f).bytes_waiting, 48);
    memcpy(head, &(uint64_t){1}, 8);
    ok(rbcore_producer_submit(f.producer, head, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 3);
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(value_of(&records[i]), i + 1);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(busy_between) {
    fixture f = fixture_open(page_size(), 0);
    void *data;
    produce(&f, 1);
    ok(rbcore_producer_reserve(f.producer, &data, 24));
    produce(&f, 2);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    ok(rbcore_producer_discard(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 1);
    ck_assert_uint_eq(value_of(&records[0]), 2);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {many_sizes,
                                  too_large,
                                  output,
                                  bad_arguments,
                                  max_is_kept,
                                  wrap_around,
                                  full_ring,
                                  discards_are_skipped,
                                  discards_alone_are_given_back_by_read,
                                  discards_follow_the_record_before_them,
                                  bound_on_discards,
                                  busy_head,
                                  busy_between,
                                  NULL};
    return run_tests("reading", tests);
}
