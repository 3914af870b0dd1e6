/* SPDX-License-Identifier: MIT */
/* One call takes at most a quarter of a ring's size from it, but always one record. */
#include "support.h"

#define MAX_RECORDS 2048

/* ---- Each way of reading, of each kind of ring ---- */

typedef struct kind {
    const char *name;
    uint32_t memory_flags, source_flags;
    uint32_t reader_flags;
} kind;

static const kind kinds[] = {
    {"in order", 0, 0, 0},
    {"released", 0, 0, RBCORE_READER_RELEASE},
    {"overwritten", RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0},
    {"tapped", 0, RBCORE_SOURCE_TAP, 0},
};

static fixture open_kind(const kind *self, size_t size) {
    fixture f = {0};
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, size, self->memory_flags));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    f.reader = reader_on(&f, self->reader_flags, self->source_flags);
    return f;
}

/* Returns the bytes that a call took, from its first record's header to its last record's end. */
typedef uint64_t taking(rbcore_reader *reader);

static rbcore_record records[MAX_RECORDS];
static int taken; /* of them by the last call, but for spans */

static uint64_t extent(int n) {
    ck_assert_int_ge(n, 0);
    taken = n;
    return n == 0 ? 0 : end_of(&records[n - 1]) - records[0].position;
}

static uint64_t by_read(rbcore_reader *reader) {
    return extent(rbcore_reader_read(reader, records, MAX_RECORDS));
}

static uint64_t by_look(rbcore_reader *reader) {
    return extent(rbcore_reader_look(reader, records, MAX_RECORDS));
}

static uint64_t by_next(rbcore_reader *reader) {
    return extent(rbcore_reader_next(reader, records, MAX_RECORDS, 0));
}

static uint64_t by_spans(rbcore_reader *reader) {
    rbcore_span spans[MAX_RECORDS];
    int n = rbcore_reader_next_spans(reader, spans, MAX_RECORDS, SIZE_MAX, 0);
    ck_assert_int_ge(n, 0);
    const rbcore_span *last = &spans[n > 0 ? n - 1 : 0];
    return n == 0 ? 0 : last->position + (uint64_t)last->stride * last->count - spans[0].position;
}

static taking *const ways[] = {by_read, by_look, by_next, by_spans};

static void fill_with(const fixture *f, size_t size) {
    static const uint8_t zeros[65536];
    while (ring_stats(f).bytes_waiting + span_of(size) < ring_stats(f).ring_size &&
           rbcore_producer_output(f->producer, zeros, size, RBCORE_NO_WAKEUP) == 0) {
    }
}

/* All calls but the last take as many records of this size as fit a quarter. */
static void expect_quarters(const fixture *f, taking *way, size_t size, bool is_released) {
    const uint64_t quarter = ring_stats(f).ring_size / 4, space = span_of(size);
    const uint64_t most = space > quarter ? space : quarter / space * space;
    uint64_t left = ring_stats(f).bytes_waiting;
    ck_assert_uint_gt(left, quarter);
    while (left > 0) {
        const uint64_t bytes = way(f->reader);
        ck_assert_uint_eq(bytes, left < most ? left : most);
        left -= bytes;
        if (is_released) {
            ok(rbcore_reader_release(f->reader, records, (size_t)taken));
        }
    }
    ck_assert_uint_eq(way(f->reader), 0);
}

START_TEST(by_each_call_of_each_kind_of_ring) {
    const kind *of = &kinds[_i];
    const size_t sizes[] = {0, 8, 24, 1000, page_size() - 8, page_size(), 2 * page_size() - 8};
    for (size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
        if (ways[way] == by_spans && of->reader_flags & RBCORE_READER_RELEASE) {
            continue; /* which has none */
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            fixture f = open_kind(of, 4 * page_size());
            fill_with(&f, sizes[i]);
            expect_quarters(&f, ways[way], sizes[i], of->reader_flags & RBCORE_READER_RELEASE);
            fixture_close(&f);
        }
    }
}
END_TEST

/* The quarter may begin in the middle, and wrap. */
START_TEST(wherever_it_begins) {
    fixture f = fixture_open(page_size(), 0);
    for (size_t size = 0; size < 300; size += 7) {
        fill_with(&f, size);
        expect_quarters(&f, ways[size % 4], size, false);
        ok(rbcore_reader_commit(f.reader, NULL, RBCORE_COMMIT_NOW));
    }
    fixture_close(&f);
}
END_TEST

/* ---- Several rings, and smaller arrays ---- */

START_TEST(of_each_ring) {
    fixture f = fixture_open(page_size(), 0), g = fixture_add(f.reader, 2 * page_size());
    for (int i = 0; i < 2; i++) {
        fill_with(&f, 56);
        fill_with(&g, 56);
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, MAX_RECORDS),
                         (int)page_size() * 3 / 4 / 64);
        ck_assert_uint_eq(ring_stats(&f).read_pos - ring_stats(&f).user_pos, page_size() / 4);
        ck_assert_uint_eq(ring_stats(&g).read_pos - ring_stats(&g).user_pos, page_size() / 2);
        while (rbcore_reader_read(f.reader, records, MAX_RECORDS) > 0) {
            ok(rbcore_reader_commit(f.reader, NULL, RBCORE_COMMIT_NOW));
        }
    }
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

START_TEST(a_smaller_array_is_filled) {
    fixture f = fixture_open(page_size(), 0);
    fill_with(&f, 8);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 5), 5);
    ck_assert_uint_eq(extent(5), 5 * 16);
    ck_assert_uint_eq(by_read(f.reader), page_size() / 4);
    fixture_close(&f);
}
END_TEST

/* ---- What it is for ---- */

/*
 * Seven records of more than an eighth fill a ring. While the loop of the README handles the first
 * batch nothing fits; but one does when that is committed, and six are still to be handled.
 */
START_TEST(there_is_room_again_before_all_was_handled) {
    const size_t size = page_size() / 8 + 1;
    fixture f = fixture_open(page_size(), 0);
    int unhandled = 0;
    fill_with(&f, size);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, MAX_RECORDS, WATCHDOG_NS), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    fill_with(&f, size);
    ck_assert_uint_gt(ring_stats(&f).bytes_waiting, page_size() * 3 / 4);
    while (rbcore_reader_next(f.reader, records, MAX_RECORDS, 0) == 1) {
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        unhandled++;
    }
    ck_assert_int_eq(unhandled, 7);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const loop_test tests[] = {{by_each_call_of_each_kind_of_ring, sizeof(kinds) / sizeof(*kinds)},
                               {wherever_it_begins, 1},
                               {of_each_ring, 1},
                               {a_smaller_array_is_filled, 1},
                               {there_is_room_again_before_all_was_handled, 1},
                               {NULL, 0}};
    return run_loop_tests("quarter", tests);
}
