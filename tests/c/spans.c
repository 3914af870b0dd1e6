/* SPDX-License-Identifier: MIT */
/* Runs of equal records as spans: what ends one, across the wrap, commits in the middle of one. */
#include "support.h"

#include <limits.h>

#define SPANS 16

static rbcore_record record_of(const rbcore_span *span, uint32_t i) {
    return (rbcore_record){.data = (const char *)span->data + (size_t)i * span->stride,
                           .position = span->position + (uint64_t)i * span->stride,
                           .size = span->size,
                           .ring = span->ring};
}

static uint64_t first_word(const rbcore_record *record) {
    return *(const uint64_t *)record->data;
}

static uint64_t span_value(const rbcore_span *span, uint32_t i) {
    rbcore_record record = record_of(span, i);
    return first_word(&record);
}

static void produce_sized(const fixture *f, size_t size) {
    static const uint8_t zeros[4096];
    ok(rbcore_producer_output(f->producer, zeros, size, 0));
}

static void discard(const fixture *f, size_t size) {
    void *data;
    ok(rbcore_producer_reserve(f->producer, &data, size));
    ok(rbcore_producer_discard(f->producer, data, 0));
}

static int next(const fixture *f, rbcore_span *spans, size_t max_spans, size_t max_records) {
    return rbcore_reader_next_spans(f->reader, spans, max_spans, max_records, 0);
}

START_TEST(equal_records_are_one_span) {
    fixture f = fixture_open(2 * page_size(), 0);
    for (uint64_t i = 0; i < 100; i++) {
        produce(&f, i);
    }
    rbcore_span spans[SPANS];
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 1);
    ck_assert_uint_eq(spans[0].position, 0);
    ck_assert_uint_eq(spans[0].stride, 16);
    ck_assert_uint_eq(spans[0].size, 8);
    ck_assert_uint_eq(spans[0].count, 100);
    ck_assert_uint_eq(spans[0].ring, f.ring);
    ck_assert_uint_eq(spans[0].flags, 0);
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(span_value(&spans[0], i), i);
    }
    ck_assert_uint_eq(ring_stats(&f).records, 100);
    ck_assert_uint_eq(ring_stats(&f).bytes, 800);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(ring_stats(&f).user_pos, 1600);
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 0);
    fixture_close(&f);
}
END_TEST

/* Equal strides are not enough: a record of 20 bytes takes the space of one of 24. */
START_TEST(another_size_ends_a_span) {
    fixture f = fixture_open(page_size(), 0);
    const size_t sizes[] = {24, 24, 20, 24, 0, 0, 0, 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        produce_sized(&f, sizes[i]);
    }
    rbcore_span spans[SPANS];
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 5);
    const struct {
        uint32_t size, stride, count;
    } expected[] = {{24, 32, 2}, {20, 32, 1}, {24, 32, 1}, {0, 8, 3}, {1, 16, 1}};
    uint64_t position = 0;
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(spans[i].size, expected[i].size);
        ck_assert_uint_eq(spans[i].stride, expected[i].stride);
        ck_assert_uint_eq(spans[i].count, expected[i].count);
        ck_assert_uint_eq(spans[i].position, position);
        position += (uint64_t)spans[i].stride * spans[i].count;
    }
    fixture_close(&f);
}
END_TEST

START_TEST(what_is_no_record_ends_a_span) {
    fixture f = fixture_open(page_size(), 0);
    void *unfinished;
    produce(&f, 0);
    discard(&f, 8);
    produce(&f, 1);
    produce(&f, 2);
    ok(rbcore_producer_reserve(f.producer, &unfinished, 8));
    produce(&f, 3);
    rbcore_span spans[SPANS];
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 2);
    ck_assert_uint_eq(spans[0].count, 1);
    ck_assert_uint_eq(spans[1].count, 2);
    ck_assert_uint_eq(spans[1].position, 32);
    ck_assert_uint_eq(ring_stats(&f).discards, 1);
    ok(rbcore_producer_discard(f.producer, unfinished, 0));
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_next_spans(f.reader, spans, SPANS, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(span_value(&spans[0], 0), 3);
    fixture_close(&f);
}
END_TEST

START_TEST(maxima_are_kept) {
    fixture f = fixture_open(page_size(), 0);
    for (uint64_t i = 0; i < 10; i++) {
        produce(&f, i);
    }
    for (int i = 0; i < 5; i++) {
        produce_sized(&f, i % 2 ? 16 : 24);
    }
    rbcore_span spans[SPANS];
    memset(spans, 0xee, sizeof(spans));
    ck_assert_int_eq(next(&f, spans, SPANS, 4), 1);
    ck_assert_uint_eq(spans[0].count, 4);
    ck_assert_uint_eq(spans[1].count, 0xeeeeeeee);
    ck_assert_int_eq(next(&f, spans, SPANS, 8), 3);
    ck_assert_uint_eq(spans[0].count, 6);
    ck_assert_uint_eq(span_value(&spans[0], 0), 4);
    memset(spans, 0xee, sizeof(spans));
    ck_assert_int_eq(next(&f, spans, 2, SIZE_MAX), 2);
    ck_assert_uint_eq(spans[2].count, 0xeeeeeeee);
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 1);
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(a_span_goes_on_where_the_ring_wraps) {
    fixture f = fixture_open(page_size(), 0);
    const uint64_t fit = page_size() / 16 - 1;
    rbcore_span spans[SPANS];
    for (uint64_t i = 0; i < fit; i++) {
        produce(&f, i);
    }
    while (next(&f, spans, SPANS, SIZE_MAX) > 0) {
        ok(rbcore_reader_commit(f.reader, NULL, RBCORE_COMMIT_NOW));
    }
    for (uint64_t i = 0; i < fit; i++) {
        produce(&f, 1000 + i);
    }
    const uint32_t quarter = (uint32_t)page_size() / 4 / 16;
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 1);
    ck_assert_uint_eq(spans[0].count, quarter);
    for (uint32_t i = 0; i < quarter; i++) {
        ck_assert_uint_eq(span_value(&spans[0], i), 1000 + i);
    }
    /* The second record is the first of the ring's next lap: it can be told by either copy. */
    rbcore_record record = record_of(&spans[0], 1);
    ok(rbcore_reader_commit(f.reader, &record, 0));
    ck_assert_uint_eq(ring_stats(&f).user_pos, 16 * (fit + 2));
    record = record_of(&spans[0], 2);
    record.data = (const char *)record.data - page_size();
    ok(rbcore_reader_commit(f.reader, &record, 0));
    ck_assert_uint_eq(ring_stats(&f).user_pos, 16 * (fit + 3));
    record = record_of(&spans[0], 3);
    record.data = (const char *)record.data + page_size();
    ck_assert_int_eq(rbcore_reader_commit(f.reader, &record, 0), -EINVAL);
    fixture_close(&f);
}
END_TEST

/* Spans and records of one ring in turn, random sizes, random commits: nothing twice, none lost. */
START_TEST(random_walk) {
    fixture f = fixture_open(page_size(), 0);
    const size_t sizes[] = {8, 8, 8, 16, 24, 300};
    uint64_t random = 7, produced = 0, expected = 0, longest = 0;
    while (expected < 20000) {
        size_t size = sizes[random_next(&random) % 6];
        for (uint32_t n = random_next(&random) % 40; n > 0; n--) {
            uint64_t words[40] = {produced};
            int result = rbcore_producer_output(f.producer, words, size, 0);
            ck_assert(result == 0 || result == -EAGAIN);
            produced += result == 0;
        }
        rbcore_span spans[3];
        rbcore_record records[3], last = {0};
        int n;
        if (random_next(&random) % 4) {
            n = next(&f, spans, 1 + random_next(&random) % 3, 1 + random_next(&random) % 30);
            for (int i = 0; i < n; i++) {
                for (uint32_t j = 0; j < spans[i].count; j++) {
                    ck_assert_uint_eq(span_value(&spans[i], j), expected++);
                }
                longest = spans[i].count > longest ? spans[i].count : longest;
                last = record_of(&spans[i], random_next(&random) % spans[i].count);
            }
        } else {
            n = rbcore_reader_next(f.reader, records, 3, 0);
            for (int i = 0; i < n; i++) {
                ck_assert_uint_eq(first_word(&records[i]), expected++);
                last = records[i];
            }
        }
        ck_assert_int_ge(n, 0);
        if (n > 0 && random_next(&random) % 2) {
            ok(rbcore_reader_commit(f.reader, &last, 0));
            ck_assert_uint_eq(ring_stats(&f).user_pos, end_of(&last));
        } else {
            ok(rbcore_reader_commit(f.reader, NULL, 0));
        }
    }
    ck_assert_uint_eq(ring_stats(&f).records, expected);
    ck_assert_uint_gt(longest, 20);
    fixture_close(&f);
}
END_TEST

START_TEST(several_rings) {
    fixture f = fixture_open(page_size(), 0), g = fixture_add(f.reader, page_size());
    for (uint64_t i = 0; i < 3; i++) {
        produce(&f, i);
        produce(&g, 10 + i);
    }
    rbcore_span spans[SPANS];
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 2);
    ck_assert_uint_eq(spans[0].count, 3);
    ck_assert_uint_eq(spans[1].count, 3);
    ck_assert_uint_ne(spans[0].ring, spans[1].ring);
    /* Commits what came before, of the other ring, too. */
    rbcore_record record = record_of(&spans[1], 1);
    ok(rbcore_reader_commit(f.reader, &record, 0));
    const fixture *first = spans[0].ring == f.ring ? &f : &g;
    ck_assert_uint_eq(ring_stats(first).user_pos, 48);
    ck_assert_uint_eq(ring_stats(first == &f ? &g : &f).user_pos, 32);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

START_TEST(errors) {
    fixture f = fixture_open(page_size(), 0), g = fixture_open(page_size(), RBCORE_READER_RELEASE);
    rbcore_span spans[SPANS];
    produce(&g, 1);
    ck_assert_int_eq(next(&f, NULL, 1, 1), -EINVAL);
    ck_assert_int_eq(next(&f, spans, 0, 1), -EINVAL);
    ck_assert_int_eq(next(&f, spans, 1, 0), -EINVAL);
    ck_assert_int_eq(next(&g, spans, 1, 1), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next_spans(f.reader, spans, 1, 1, -2), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next_spans(NULL, spans, 1, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_next_spans(f.reader, spans, 1, 1, 1000000), 0);
    ok(rbcore_reader_interrupt(f.reader));
    ck_assert_int_eq(next(&f, spans, 1, 1), -ECANCELED);
    image i = image_map(f.memory_fd);
    produce(&f, 1);
    produce(&f, 2);
    image_store_header(&i, 16, 5000);
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), 1);
    ck_assert_uint_eq(spans[0].count, 1);
    ck_assert_int_eq(next(&f, spans, SPANS, SIZE_MAX), -EBADMSG);
    image_unmap(&i);
    fixture_close(&g);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {equal_records_are_one_span,
                                  another_size_ends_a_span,
                                  what_is_no_record_ends_a_span,
                                  maxima_are_kept,
                                  a_span_goes_on_where_the_ring_wraps,
                                  random_walk,
                                  several_rings,
                                  errors,
                                  NULL};
    return run_tests("spans", tests);
}
