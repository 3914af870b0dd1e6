/* SPDX-License-Identifier: MIT */
/* The order of turns of several rings, where the memory of it is full, made larger, or stale. */
#include "support.h"

#include "reader.h"

#define LARGE (32 * page_size())

/* Reads the one record that there is. */
static rbcore_record read_one(const fixture *self, uint64_t value) {
    rbcore_record record;
    produce(self, value);
    ck_assert_int_eq(rbcore_reader_read(self->reader, &record, 1), 1);
    ck_assert_uint_eq(record.ring, self->ring);
    return record;
}

static uint64_t given_back(const fixture *self) {
    return ring_stats(self).user_pos;
}

/* However many batches a ring gives in a row, they are one turn: those before are not forgotten. */
START_TEST(batches_in_a_row_are_one_turn) {
    fixture f = fixture_open(LARGE, 0), g = fixture_add(f.reader, LARGE);
    read_one(&f, 0);
    rbcore_record other = read_one(&g, 0);
    for (uint64_t i = 0; i < 3000; i++) {
        read_one(&f, i);
    }
    ok(rbcore_reader_commit(f.reader, &other, 0));
    ck_assert_uint_eq(given_back(&f), 16);
    ck_assert_uint_eq(given_back(&g), 16);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* When no more turns can be noted, the ring that had the last one is still read. */
START_TEST(the_last_turn_goes_on_when_all_are_noted) {
    fixture f = fixture_open(LARGE, 0), g = fixture_add(f.reader, LARGE);
    rbcore_record record;
    const fixture *last = NULL, *next = &f;
    int result = 1;
    while (result == 1) {
        produce(next, 1);
        result = rbcore_reader_read(f.reader, &record, 1);
        if (result == 1) {
            last = next;
            next = next == &f ? &g : &f;
        }
    }
    ck_assert_int_eq(result, -ENOBUFS);
    read_one(last, 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ENOBUFS);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* One more ring makes room for more turns: those that are noted stay in their order. */
START_TEST(turns_survive_the_adding_of_a_ring) {
    fixture f = fixture_open(LARGE, 0), g = fixture_add(f.reader, LARGE);
    rbcore_record records[4];
    for (int i = 0; i < 4; i++) {
        records[i] = read_one(i % 2 ? &g : &f, 1);
    }
    ok(rbcore_reader_commit(f.reader, &records[1], 0));
    fixture h = fixture_add(f.reader, LARGE);
    ok(rbcore_reader_commit(f.reader, &records[2], 0));
    ck_assert_uint_eq(given_back(&f), 32);
    ck_assert_uint_eq(given_back(&g), 16);
    ok(rbcore_reader_commit(f.reader, &records[3], 0));
    ck_assert_uint_eq(given_back(&g), 32);
    fixture_drop(&h);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* That no more turns can be noted is said only if there is a complete record for one. */
START_TEST(an_empty_ring_needs_no_turn) {
    fixture f = fixture_open(LARGE, 0), g = fixture_add(f.reader, LARGE);
    rbcore_record record;
    int turns = 0, result = 1;
    for (; result == 1; turns += result == 1) {
        produce(turns % 2 ? &g : &f, 1);
        result = rbcore_reader_read(f.reader, &record, 1);
    }
    ck_assert_int_eq(result, -ENOBUFS);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    for (int i = 0; i < turns; i++) {
        read_one(i % 2 ? &g : &f, 1);
    }
    const fixture *next = turns % 2 ? &g : &f;
    void *data;
    ok(rbcore_producer_reserve(next->producer, &data, 8));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    ok(rbcore_producer_submit(next->producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ENOBUFS);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* ---- Producers that change what was handed out ---- */

/* Makes the record a discarded one of so many bytes. */
static void discard(const image *raw, const rbcore_record *record, uint32_t size) {
    image_store_header(raw, record->position, size | DISCARDED);
}

/* A commit passes discarded records, but not what was never handed out. */
START_TEST(a_discarded_record_that_leads_beyond_what_was_read) {
    const uint32_t sizes[] = {16, 4000, 0x3ffffff8};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        fixture f = fixture_open(page_size(), 0);
        image raw = image_map(f.memory_fd);
        rbcore_record first = read_one(&f, 0), second = read_one(&f, 1);
        discard(&raw, &second, sizes[i]);
        ok(rbcore_reader_commit(f.reader, &first, 0));
        ck_assert_uint_eq(given_back(&f), 16);
        ck_assert_uint_eq(image_load(raw.consumer_pos), 16);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

/*
 * A record that a commit passed, because its producer discarded it later, is not given back twice.
 */
START_TEST(a_turn_that_was_passed_takes_nothing_back) {
    fixture f = fixture_open(page_size(), 0), g = fixture_add(f.reader, page_size());
    image raw = image_map(f.memory_fd);
    rbcore_record first = read_one(&f, 0);
    read_one(&g, 0);
    rbcore_record second = read_one(&f, 1);
    rbcore_record other = read_one(&g, 1);
    rbcore_record third = read_one(&f, 2);
    discard(&raw, &second, 8);
    discard(&raw, &third, 8);
    ok(rbcore_reader_commit(f.reader, &first, 0));
    ck_assert_uint_eq(given_back(&f), 48);
    image_store_header(&raw, third.position, 8);
    ok(rbcore_reader_commit(f.reader, &other, 0)); /* and so the turn of the second */
    ck_assert_uint_eq(given_back(&f), 48);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 48);
    ck_assert_uint_eq(given_back(&g), 32);
    image_unmap(&raw);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* The turns of a removed ring are not those of the next ring, which may take its memory. */
START_TEST(the_turns_of_a_ring_go_with_it) {
    fixture f = fixture_open(page_size(), 0), g = fixture_add(f.reader, page_size()), h;
    image raw = image_map(f.memory_fd);
    rbcore_record first = read_one(&f, 0);
    read_one(&g, 0);
    rbcore_record second = read_one(&f, 1);
    discard(&raw, &second, 8);
    ok(rbcore_reader_commit(f.reader, &first, 0)); /* which passes the second, but not its turn */
    ok(rbcore_reader_remove(f.reader, f.ring));
    ck_assert_uint_eq(f.reader->turns.count, 1); /* an old one would name memory that was freed */
    h = fixture_add(f.reader, page_size());
    rbcore_record other = read_one(&g, 1);
    read_one(&h, 0);
    read_one(&h, 1);
    ok(rbcore_reader_commit(f.reader, &other, 0));
    ck_assert_uint_eq(given_back(&g), 32);
    ck_assert_uint_eq(given_back(&h), 0);
    image_unmap(&raw);
    fixture_drop(&h);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {batches_in_a_row_are_one_turn,
                                  the_last_turn_goes_on_when_all_are_noted,
                                  turns_survive_the_adding_of_a_ring,
                                  an_empty_ring_needs_no_turn,
                                  a_discarded_record_that_leads_beyond_what_was_read,
                                  a_turn_that_was_passed_takes_nothing_back,
                                  the_turns_of_a_ring_go_with_it,
                                  NULL};
    return run_tests("turns", tests);
}
