/* SPDX-License-Identifier: MIT */
/*
 * A flush delivers everything that had been produced when it was noticed, as far as it can be
 * read, and -ENODATA only then.
 */
#include "support.h"

#define MAX_RECORDS 512

/* Each mode says how a ring is read, and what kind of ring it is. */
static const struct {
    uint32_t ring;
    uint32_t source;
    uint64_t reader;
} modes[] = {
    {0, 0, 0},
    {0, 0, RBCORE_READER_RELEASE},
    {0, 0, RBCORE_READER_POLL},
    {0, RBCORE_SOURCE_TAP, 0},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, RBCORE_READER_RELEASE},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP, 0},
};

#define MODES ((int)(sizeof(modes) / sizeof(*modes)))

static fixture open_mode(int mode) {
    fixture self = {0};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, page_size(), modes[mode].ring));
    self.producer = producer_on(self.memory_fd, self.event_fd);
    self.reader = reader_on(&self, modes[mode].reader, modes[mode].source);
    return self;
}

static void produce_values(const fixture *self, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        produce(self, first + i);
    }
}

/* A record that is never finished: its producer is closed. */
static void leave_unfinished(const fixture *self) {
    void *data;
    rbcore_producer *dead = producer_on(self->memory_fd, self->event_fd);
    ok(rbcore_producer_reserve(dead, &data, 8));
    rbcore_producer_free(dead);
}

/* Reads until -ENODATA, by read or by next; each value is the one before plus one. */
static uint64_t read_flushed(const fixture *self, uint64_t first, bool by_next) {
    static rbcore_record records[MAX_RECORDS];
    uint64_t count = 0;
    for (;;) {
        int n = by_next ? rbcore_reader_next(self->reader, records, MAX_RECORDS, WATCHDOG_NS)
                        : rbcore_reader_read(self->reader, records, MAX_RECORDS);
        if (n == -ENODATA) {
            return count;
        }
        ck_assert_msg(n > 0 || n == -EAGAIN, "%d: %s", n, rbcore_reader_message(self->reader));
        for (int i = 0; i < n; i++) {
            ck_assert_uint_eq(value_of(&records[i]), first + count++);
        }
        if (n > 0 && rbcore_reader_release(self->reader, records, (size_t)n) != 0) {
            ok(rbcore_reader_commit(self->reader, NULL, 0)); /* it is not a reader for release */
        }
    }
}

/* "... when everything was delivered that had been produced when they noticed the flush ..." */
START_TEST(everything_that_had_been_produced_was_delivered) {
    int mode = _i % MODES;
    fixture f = open_mode(mode);
    produce_values(&f, 0, 3);
    leave_unfinished(&f);
    produce_values(&f, 3, 2);
    leave_unfinished(&f);
    leave_unfinished(&f);
    produce_values(&f, 5, 1);
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 0, _i >= MODES), 6);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 3);
    fixture_close(&f);
}
END_TEST

/* A dead producer was taken for living by looks before, which ask less closely than the first. */
START_TEST(a_flush_asks_closely_who_died) {
    fixture f = open_mode(0);
    rbcore_record record;
    void *data;
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    ok(rbcore_producer_reserve(other, &data, 8));
    produce(&f, 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    }
    rbcore_producer_free(other);
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 0, false), 1);
    fixture_close(&f);
}
END_TEST

/* "Records behind one that is still being written cannot [be read] ..." */
START_TEST(not_behind_a_record_that_is_still_being_written) {
    fixture f = open_mode(_i);
    void *data;
    produce(&f, 0);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    produce(&f, 2);
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 0, true), 1);
    memcpy(data, &(uint64_t){1}, 8);
    ok(rbcore_producer_submit(f.producer, data, 0));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 1, true), 2);
    fixture_close(&f);
}
END_TEST

/* "... nor can records for which a copy has no room while others are held." */
START_TEST(nor_what_a_copy_has_no_room_for_while_records_are_held) {
    fixture f = open_mode(4);
    rbcore_record record;
    const uint64_t fits = page_size() / 16 - 1;
    produce(&f, 0);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    produce_values(&f, 1, 5 * fits);
    /*
     * Records that had been copied by then are delivered; the rest was overwritten, or waits for
     * room.
     */
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 1, false), 0);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 4 * fits + 1, false), fits);
    fixture_close(&f);
}
END_TEST

/* The copy is full of what was not read, and the ring is full of what came after it. */
START_TEST(a_full_copy_and_a_full_ring) {
    fixture f = open_mode(_i == 0 ? 4 : 6);
    rbcore_record record;
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&f, 0, fits);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    produce_values(&f, fits, fits);
    ok(rbcore_reader_flush(f.reader));
    uint64_t value = 1;
    int n;
    while ((n = rbcore_reader_read(f.reader, &record, 1)) == 1) {
        ck_assert_uint_eq(value_of(&record), value++);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    ck_assert_int_eq(n, -ENODATA);
    ck_assert_uint_eq(value, 2 * fits);
    fixture_close(&f);
}
END_TEST

/* One ring whose content is impossible is no reason not to deliver, and end, the rest. */
START_TEST(beside_a_broken_ring) {
    fixture f = open_mode(0), broken = fixture_add(f.reader, page_size());
    image raw = image_map(broken.memory_fd);
    rbcore_record record;
    void *data;
    image_store(raw.producer_pos, 12);
    produce(&f, 0);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 0, false), 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -EBADMSG);
    image_unmap(&raw);
    fixture_drop(&broken);
    fixture_close(&f);
}
END_TEST

/* A flush does not wait for a ring whose copy was overtaken and could not go on either. */
START_TEST(beside_a_broken_ring_that_was_overtaken) {
    fixture f = open_mode(0), broken = {0};
    rbcore_record record;
    void *data;
    ok(rbcore_memory_ring_create(&broken.memory_fd, &broken.event_fd, page_size(),
                                 RBCORE_MEMORY_RING_OVERWRITE));
    broken.producer = producer_on(broken.memory_fd, broken.event_fd);
    rbcore_source source = memory_source(broken.memory_fd, broken.event_fd);
    source.flags = RBCORE_SOURCE_OVERWRITE;
    ck_assert_int_eq(rbcore_reader_add(f.reader, &source), 1);
    produce_values(&broken, 0, page_size() / 8);
    image raw = image_map(broken.memory_fd);
    uint64_t *overwrite_pos = raw.producer_pos + 2;
    image_store(overwrite_pos, image_load(overwrite_pos) + 4);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -EBADMSG);
    produce(&f, 0);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_uint_eq(read_flushed(&f, 0, true), 1);
    image_unmap(&raw);
    fixture_drop(&broken);
    fixture_close(&f);
}
END_TEST

/*
 * A hostile producer shows a position far away for a moment, when the flush is noticed, and the
 * ring is never empty from then on: the flush is complete all the same.
 */
START_TEST(a_position_that_was_there_for_a_moment) {
    fixture f = open_mode(0), hostile = {.reader = f.reader};
    ok(rbcore_memory_ring_create(&hostile.memory_fd, &hostile.event_fd, page_size(), 0));
    rbcore_source source = memory_source(hostile.memory_fd, hostile.event_fd);
    source.flags = _i == 0 ? 0 : RBCORE_SOURCE_TAP;
    ck_assert_int_eq(rbcore_reader_add(f.reader, &source), 1);
    hostile.producer = producer_on(hostile.memory_fd, hostile.event_fd);
    image raw = image_map(hostile.memory_fd);
    rbcore_record record;
    const uint64_t most = 2 * page_size() / 16 + 2;
    produce(&f, 0);
    ok(rbcore_reader_flush(f.reader));
    image_store(raw.producer_pos, (uint64_t)1 << 40);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    image_store(raw.producer_pos, 0);
    produce(&hostile, 0);
    int n = 1;
    for (uint64_t i = 0; i < most && n == 1; i++) {
        produce(&hostile, i);
        n = rbcore_reader_read(f.reader, &record, 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        if (_i != 0) { /* in place of the ring's own reader */
            image_store(raw.consumer_pos, image_load(raw.producer_pos));
        }
    }
    ck_assert_int_eq(n, -ENODATA);
    image_unmap(&raw);
    fixture_drop(&hostile);
    fixture_close(&f);
}
END_TEST

/* "-EAGAIN ... records that dead producers left unfinished were skipped: call again" */
START_TEST(records_that_dead_producers_left_unfinished_were_skipped) {
    fixture f = open_mode(0);
    rbcore_record record;
    leave_unfinished(&f);
    produce(&f, 0);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), -EAGAIN);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, 0), 1);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const loop_test tests[] = {
        {everything_that_had_been_produced_was_delivered, 2 * MODES},
        {a_flush_asks_closely_who_died, 1},
        {not_behind_a_record_that_is_still_being_written, MODES},
        {nor_what_a_copy_has_no_room_for_while_records_are_held, 1},
        {a_full_copy_and_a_full_ring, 2},
        {beside_a_broken_ring, 1},
        {a_position_that_was_there_for_a_moment, 2},
        {beside_a_broken_ring_that_was_overtaken, 1},
        {records_that_dead_producers_left_unfinished_were_skipped, 1},
        {NULL, 0},
    };
    return run_loop_tests("flush", tests);
}
