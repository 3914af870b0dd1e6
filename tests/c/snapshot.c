/* SPDX-License-Identifier: MIT */
/* Snapshots: what is in them, that they change nothing, and what consuming them does. */
#include "support.h"

#include <stdio.h>

#define MAX_RECORDS 512

typedef struct taking {
    fixture f;
    rbcore_snapshot *snapshot;
    rbcore_record records[MAX_RECORDS];
} taking;

static taking open_normal(void) {
    return (taking){.f = fixture_open(page_size(), 0)};
}

static taking open_mode(uint32_t ring_flags, uint32_t source_flags, uint32_t reader_flags) {
    taking self = {0};
    ok(rbcore_memory_ring_create(&self.f.memory_fd, &self.f.event_fd, page_size(), ring_flags));
    self.f.producer = producer_on(self.f.memory_fd, self.f.event_fd);
    self.f.reader = reader_on(&self.f, reader_flags, source_flags);
    return self;
}

static void close_taking(taking *self) {
    rbcore_snapshot_free(self->snapshot);
    fixture_close(&self->f);
}

static void produce_values(const taking *self, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        produce(&self->f, first + i);
    }
}

static rbcore_snapshot_info info_of(const taking *self) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    ok(rbcore_snapshot_info_get(self->snapshot, &info));
    return info;
}

/* The first record has these flags besides. */
static void expect_flagged(taking *self, uint64_t first, uint64_t count, uint16_t flags) {
    uint64_t found = 0;
    int n;
    while ((n = rbcore_snapshot_read(self->snapshot, self->records, 100)) > 0) {
        for (int i = 0; i < n; i++) {
            ck_assert_uint_eq(value_of(&self->records[i]), first + found++);
            ck_assert_uint_eq(self->records[i].ring, self->f.ring);
            ck_assert_uint_eq(self->records[i].flags, RBCORE_RECORD_COPIED | flags);
            flags = 0;
        }
    }
    ck_assert_int_eq(n, 0);
    ck_assert_uint_eq(found, count);
    ck_assert_uint_eq(info_of(self).end_pos - info_of(self).first_pos, count * 16);
}

static void expect_values(taking *self, uint64_t first, uint64_t count) {
    expect_flagged(self, first, count, 0);
}

static void take(taking *self, uint32_t flags) {
    ok(rbcore_reader_snapshot(self->f.reader, self->f.ring, &self->snapshot, flags));
}

START_TEST(of_a_ring_that_is_consumed) {
    taking t = open_normal();
    take(&t, 0);
    expect_values(&t, 0, 0);
    produce_values(&t, 0, 100);
    ck_assert_int_eq(rbcore_reader_read(t.f.reader, t.records, 30), 30);
    ok(rbcore_reader_commit(t.f.reader, &t.records[9], 0));
    rbcore_ring_stats before = ring_stats(&t.f);
    /* Records that are handed out and not given back are still content. */
    take(&t, 0);
    expect_values(&t, 10, 90);
    ok(rbcore_snapshot_rewind(t.snapshot));
    expect_values(&t, 10, 90);
    rbcore_ring_stats after = ring_stats(&t.f);
    ck_assert_mem_eq(&before, &after, sizeof(before));
    /* After that, all comes as it would have come. */
    ck_assert_int_eq(read_to_end(t.f.reader, t.records, MAX_RECORDS), 70);
    ck_assert_uint_eq(value_of(&t.records[0]), 30);
    close_taking(&t);
}
END_TEST

START_TEST(stops_at_what_is_being_written) {
    taking t = open_normal();
    void *data = NULL;
    produce_values(&t, 0, 5);
    ok(rbcore_producer_reserve(t.f.producer, &data, 8));
    produce_values(&t, 6, 5);
    take(&t, 0);
    expect_values(&t, 0, 5);
    ck_assert_uint_eq(info_of(&t).producer_pos, 11 * 16);
    memcpy(data, &(uint64_t){5}, 8);
    ok(rbcore_producer_submit(t.f.producer, data, 0));
    take(&t, 0);
    expect_values(&t, 0, 11);
    close_taking(&t);
}
END_TEST

START_TEST(skips_what_was_discarded) {
    taking t = open_normal();
    for (uint64_t i = 0; i < 20; i++) {
        void *data = NULL;
        ok(rbcore_producer_reserve(t.f.producer, &data, 40));
        ok(rbcore_producer_discard(t.f.producer, data, 0));
        produce(&t.f, i);
    }
    take(&t, 0);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS), 20);
    ck_assert_uint_eq(t.records[0].position, 48);
    close_taking(&t);
}
END_TEST

/* Everything that was not overwritten, wherever its reader is. */
START_TEST(of_a_ring_that_overwrites) {
    taking t = open_mode(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0);
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&t, 0, 100);
    while (rbcore_reader_read(t.f.reader, t.records, MAX_RECORDS) > 0) {
        ok(rbcore_reader_commit(t.f.reader, NULL, 0));
    }
    take(&t, 0);
    expect_values(&t, 0, 100);
    for (uint64_t value = 100, i = 0; i < 500; i++) {
        produce_values(&t, value, 2 * fits + i);
        value += 2 * fits + i;
        take(&t, 0);
        expect_values(&t, value - fits, fits);
        ck_assert_uint_eq(info_of(&t).missed, 0);
    }
    ck_assert_uint_eq(ring_stats(&t.f).read_pos, 1600);
    close_taking(&t);
}
END_TEST

/* The content is what the reader of the ring has not given back, seen by a tap. */
START_TEST(of_a_ring_that_is_tapped) {
    taking t = open_mode(0, RBCORE_SOURCE_TAP, 0);
    rbcore_reader *consumer = reader_on(&t.f, 0, 0);
    produce_values(&t, 0, 100);
    take(&t, 0);
    expect_values(&t, 0, 100);
    ck_assert_int_eq(rbcore_reader_read(consumer, t.records, 40), 40);
    take(&t, 0);
    expect_values(&t, 0, 100);
    ok(rbcore_reader_commit(consumer, NULL, RBCORE_COMMIT_NOW));
    take(&t, 0);
    expect_values(&t, 40, 60);
    rbcore_reader_free(consumer);
    close_taking(&t);
}
END_TEST

typedef struct mode {
    uint32_t ring, source;
    uint64_t reader;
} mode;

static const mode modes[] = {
    {0, 0, 0},
    {0, 0, RBCORE_READER_RELEASE},
    {0, RBCORE_SOURCE_TAP, 0},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, RBCORE_READER_RELEASE},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP, 0},
};

START_TEST(consumed) {
    taking t = open_mode(modes[_i].ring, modes[_i].source, modes[_i].reader);
    produce_values(&t, 0, 100);
    ck_assert_int_eq(rbcore_reader_read(t.f.reader, t.records, 10), 10);
    ck_assert_int_eq(rbcore_reader_snapshot(t.f.reader, 0, &t.snapshot, RBCORE_SNAPSHOT_CONSUME),
                     -EBUSY);
    ck_assert_ptr_null(t.snapshot);
    ok(modes[_i].reader ? rbcore_reader_release(t.f.reader, t.records, 10)
                        : rbcore_reader_commit(t.f.reader, NULL, RBCORE_COMMIT_NOW));
    take(&t, RBCORE_SNAPSHOT_CONSUME);
    int count = rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS);
    ck_assert_int_gt(count, 0);
    ck_assert_uint_eq(value_of(&t.records[count - 1]), 99);
    rbcore_ring_stats stats = ring_stats(&t.f);
    ck_assert_uint_eq(stats.read_pos, 1600);
    ck_assert_uint_eq(stats.user_pos, 1600);
    ck_assert_uint_eq(stats.passed_bytes, 90 * 16);
    ck_assert_uint_eq(stats.consumer_pos, modes[_i].source & RBCORE_SOURCE_TAP ? 0 : 1600);
    produce_values(&t, 100, 3);
    ck_assert_int_eq(rbcore_reader_read(t.f.reader, t.records, MAX_RECORDS), 3);
    ck_assert_uint_eq(value_of(&t.records[0]), 100);
    ok(modes[_i].reader ? rbcore_reader_release(t.f.reader, t.records, 3)
                        : rbcore_reader_commit(t.f.reader, NULL, 0));
    close_taking(&t);
}
END_TEST

/* Records that were overwritten before the snapshot are lost for the reader, too. */
START_TEST(consumed_after_a_loss) {
    taking t = open_mode(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0);
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&t, 0, 5 * fits);
    take(&t, RBCORE_SNAPSHOT_CONSUME);
    expect_flagged(&t, 4 * fits, fits, RBCORE_RECORD_LOST_BEFORE);
    ok(rbcore_snapshot_rewind(t.snapshot));
    expect_flagged(&t, 4 * fits, fits, RBCORE_RECORD_LOST_BEFORE);
    rbcore_ring_stats stats = ring_stats(&t.f);
    ck_assert_uint_eq(stats.read_pos, 5 * fits * 16);
    ck_assert_uint_eq(stats.lost_bytes, 4 * fits * 16);
    ck_assert_uint_eq(stats.passed_bytes, fits * 16);
    ck_assert_int_eq(rbcore_reader_read(t.f.reader, t.records, MAX_RECORDS), 0);
    /* It is said once. */
    produce_values(&t, 5 * fits, 2);
    ck_assert_int_eq(rbcore_reader_read(t.f.reader, t.records, MAX_RECORDS), 2);
    ck_assert_uint_eq(t.records[0].flags, RBCORE_RECORD_COPIED);
    ok(rbcore_reader_commit(t.f.reader, NULL, 0));
    produce_values(&t, 5 * fits + 2, 1);
    take(&t, RBCORE_SNAPSHOT_CONSUME);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS), (int)fits);
    for (uint64_t i = 0; i < fits; i++) {
        ck_assert_uint_eq(t.records[i].flags, RBCORE_RECORD_COPIED);
    }
    close_taking(&t);
}
END_TEST

/* A snapshot that has no record leaves it to the reader's next one to say so. */
START_TEST(nothing_but_discarded_records_after_a_loss) {
    taking t = open_mode(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0);
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&t, 0, 1);
    for (uint64_t i = 0; i < 2 * fits; i++) {
        void *data;
        ok(rbcore_producer_reserve(t.f.producer, &data, 8));
        ok(rbcore_producer_discard(t.f.producer, data, 0));
    }
    take(&t, RBCORE_SNAPSHOT_CONSUME);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS), 0);
    ck_assert_uint_eq(ring_stats(&t.f).lost_bytes, (fits + 1) * 16);
    produce_values(&t, 7, 2);
    ck_assert_int_eq(rbcore_reader_read(t.f.reader, t.records, MAX_RECORDS), 2);
    ck_assert_uint_eq(t.records[0].flags, RBCORE_RECORD_COPIED | RBCORE_RECORD_LOST_BEFORE);
    ck_assert_uint_eq(t.records[1].flags, RBCORE_RECORD_COPIED);
    close_taking(&t);
}
END_TEST

START_TEST(outlives_its_reader) {
    taking t = open_normal();
    produce_values(&t, 7, 50);
    take(&t, 0);
    rbcore_reader_free(t.f.reader);
    t.f.reader = NULL;
    fixture_drop(&t.f);
    expect_values(&t, 7, 50);
    rbcore_snapshot_free(t.snapshot);
    rbcore_snapshot_free(NULL);
}
END_TEST

/* A snapshot is taken anew of a larger ring, and of a smaller one. */
START_TEST(of_several_rings) {
    taking t = open_normal();
    fixture large = fixture_add(t.f.reader, 16 * page_size());
    produce_values(&t, 0, 10);
    for (uint64_t i = 0; i < 3000; i++) {
        produce(&large, i);
    }
    fixture small = t.f;
    take(&t, 0);
    expect_values(&t, 0, 10);
    t.f = large;
    take(&t, 0);
    expect_values(&t, 0, 3000 > 16 * page_size() / 16 ? 16 * page_size() / 16 - 1 : 3000);
    t.f = small;
    take(&t, 0);
    expect_values(&t, 0, 10);
    ck_assert_uint_eq(info_of(&t).ring_size, page_size());
    fixture_drop(&large);
    close_taking(&t);
}
END_TEST

START_TEST(wrong_calls) {
    taking t = open_normal();
    rbcore_reader *reader = t.f.reader;
    ck_assert_int_eq(rbcore_reader_snapshot(NULL, 0, &t.snapshot, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_snapshot(reader, 0, NULL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_snapshot(reader, 1, &t.snapshot, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_snapshot(reader, 0, &t.snapshot, 2), -EINVAL);
    ck_assert_ptr_null(t.snapshot);
    ck_assert_str_ne(rbcore_reader_message(reader), "");
    take(&t, 0);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, 0), -EINVAL);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, NULL, 1), -EINVAL);
    ck_assert_int_eq(rbcore_snapshot_info_get(t.snapshot, NULL), -EINVAL);
    /* Impossible content among what the producers had passed already is found when it is read. */
    image raw = image_map(t.f.memory_fd);
    produce_values(&t, 0, 5);
    image_store_header(&raw, 32, (uint32_t)page_size() + 8);
    take(&t, 0);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS), 2);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS), -EBADMSG);
    /* After that it is an error, and the snapshot that was given is empty. */
    image_store_header(&raw, 64, (uint32_t)page_size() + 8);
    ck_assert_int_eq(rbcore_reader_snapshot(reader, 0, &t.snapshot, 0), -EBADMSG);
    ck_assert_int_eq(rbcore_snapshot_read(t.snapshot, t.records, MAX_RECORDS), 0);
    image_unmap(&raw);
    close_taking(&t);
}
END_TEST

int main(void) {
    const loop_test tests[] = {
        {of_a_ring_that_is_consumed, 1},
        {stops_at_what_is_being_written, 1},
        {skips_what_was_discarded, 1},
        {of_a_ring_that_overwrites, 1},
        {of_a_ring_that_is_tapped, 1},
        {consumed, (int)(sizeof(modes) / sizeof(*modes))},
        {consumed_after_a_loss, 1},
        {nothing_but_discarded_records_after_a_loss, 1},
        {outlives_its_reader, 1},
        {of_several_rings, 1},
        {wrong_calls, 1},
        {NULL, 0},
    };
    return run_loop_tests("snapshots", tests);
}
