/* SPDX-License-Identifier: MIT */
/*
 * Reading a ring in overwrite mode: a reader that follows it, one that is overtaken, what it
 * counts, and that what it has handed out stays as it was.
 */
#include "support.h"

#include <pthread.h>
#include <stdio.h>

#define MAX_RECORDS 512 /* records to read at once */

/* A ring in overwrite mode, its reader, and what it has read. */
typedef struct following {
    fixture f;
    rbcore_record records[MAX_RECORDS];
    int count;       /* of the records read last */
    uint64_t spans;  /* of all that were handed out */
    uint64_t last;   /* value read last */
    uint64_t losses; /* records that say that some before them were lost */
} following;

static fixture open_ring(size_t size) {
    fixture self = {0};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, size,
                                 RBCORE_MEMORY_RING_OVERWRITE));
    self.producer = producer_on(self.memory_fd, self.event_fd);
    return self;
}

static following follow(size_t size, uint32_t reader_flags, uint32_t source_flags) {
    following self = {.f = open_ring(size)};
    self.f.reader = reader_on(&self.f, reader_flags, RBCORE_SOURCE_OVERWRITE | source_flags);
    return self;
}

static void close_following(following *self) {
    fixture_close(&self->f);
}

/* Reads without giving back, and checks what every record must have. */
static int read_more(following *self, size_t max) {
    self->count = read_to_end(self->f.reader, self->records, max);
    for (int i = 0; i < self->count; i++) {
        const rbcore_record *record = &self->records[i];
        bool is_copied = record->ring == self->f.ring;
        self->spans += is_copied ? span_of(record->size) : 0;
        self->losses += (record->flags & RBCORE_RECORD_LOST_BEFORE) != 0;
        ck_assert_uint_eq(record->flags & ~RBCORE_RECORD_LOST_BEFORE,
                          is_copied ? RBCORE_RECORD_COPIED : 0);
    }
    return self->count;
}

static void give_back(const following *self) {
    ok(rbcore_reader_commit(self->f.reader, NULL, 0));
}

/* delivered + passed + lost = produced, up to where was read. */
static rbcore_ring_stats balanced(const following *self) {
    rbcore_ring_stats stats = ring_stats(&self->f);
    ck_assert_uint_eq(stats.start_pos + self->spans + stats.passed_bytes + stats.lost_bytes,
                      stats.read_pos);
    return stats;
}

static void produce_values(const following *self, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        produce(&self->f, first + i);
    }
}

/* Reads up to the end, each value being the one before plus one. Returns how many. */
static uint64_t read_values(following *self, uint64_t first) {
    uint64_t count = 0;
    while (read_more(self, MAX_RECORDS) > 0) {
        for (int i = 0; i < self->count; i++) {
            ck_assert_uint_eq(value_of(&self->records[i]), first + count++);
        }
        give_back(self);
    }
    ck_assert_int_eq(self->count, 0);
    return count;
}

/* ---- The guard of a tap ---- */

#if (defined(__x86_64__) || defined(__i386__)) && !defined(RBCORE_WEAK_ORDER)
#define GUARD(size) HEADER_SIZE
#else
#define GUARD(size) ((size) / 4)
#endif

/* A tap that began at 0, when its consumer has given back `count` records, and more do not come. */
static rbcore_ring_stats tapped_after(uint64_t count) {
    fixture f = fixture_open(page_size(), 0);
    following tap = {.f = f};
    tap.f.reader = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    rbcore_record records[MAX_RECORDS];
    for (uint64_t i = 0; i < count; i++) {
        produce(&f, i);
        if (rbcore_reader_read(f.reader, records, MAX_RECORDS) > 0) {
            ok(rbcore_reader_commit(f.reader, NULL, RBCORE_COMMIT_NOW));
        }
    }
    /* The next producer begins: it has written its header, and producer_pos not yet. */
    image raw = image_map(f.memory_fd);
    image_store_header(&raw, image_load(raw.producer_pos), BUSY | 8);
    while (read_more(&tap, MAX_RECORDS) > 0) {
        for (int i = 0; i < tap.count; i++) {
            ck_assert_uint_eq(value_of(&tap.records[i]), tap.records[i].position / 16);
        }
        give_back(&tap);
    }
    ck_assert_int_eq(tap.count, 0);
    rbcore_ring_stats stats = balanced(&tap);
    ck_assert_uint_eq(stats.read_pos, count * 16);
    image_unmap(&raw);
    rbcore_reader_free(tap.f.reader);
    fixture_close(&f);
    return stats;
}

/*
 * A place that a producer may be writing already is not taken for sound: the header at
 * producer_pos, and on processors that reorder stores "the oldest quarter of a full ring".
 */
START_TEST(a_tap_keeps_clear_of_what_is_being_written) {
    const uint64_t size = page_size();
    for (uint64_t position = size * 3 / 4 - 16; position <= size; position += 16) {
        bool is_lost = position + GUARD(size) > size;
        ck_assert_uint_eq(tapped_after(position / 16).lost_bytes, is_lost ? position : 0);
    }
}
END_TEST

static int add_result(const fixture *ring, uint32_t flags) {
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, NULL));
    rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    source.flags = flags;
    int result = rbcore_reader_add(reader, &source);
    ck_assert(result == 0 || *rbcore_reader_message(reader) != '\0');
    rbcore_reader_free(reader);
    return result;
}

START_TEST(modes_must_be_asked_for) {
    fixture overwriting = open_ring(page_size());
    fixture normal = fixture_open(page_size(), 0);
    rbcore_reader_free(normal.reader);
    ck_assert_int_eq(add_result(&overwriting, 0), -EOPNOTSUPP);
    ck_assert_int_eq(add_result(&overwriting, RBCORE_SOURCE_TAP), -EOPNOTSUPP);
    ck_assert_int_eq(add_result(&overwriting, RBCORE_SOURCE_OVERWRITE), 0);
    ck_assert_int_eq(add_result(&overwriting, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP), 0);
    ck_assert_int_eq(add_result(&normal, RBCORE_SOURCE_OVERWRITE), -EMEDIUMTYPE);
    ck_assert_int_eq(add_result(&normal, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP),
                     -EMEDIUMTYPE);
    ck_assert_int_eq(add_result(&normal, RBCORE_SOURCE_TAP), 0);
    ck_assert_int_eq(add_result(&normal, 16), -EINVAL);
    fixture_drop(&normal);
    fixture_drop(&overwriting);
}
END_TEST

START_TEST(one_consumer) {
    following r = follow(page_size(), 0, 0);
    ck_assert_int_eq(add_result(&r.f, RBCORE_SOURCE_OVERWRITE), -EBUSY);
    ck_assert_int_eq(add_result(&r.f, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP), 0);
    close_following(&r);
}
END_TEST

START_TEST(follows) {
    following r = follow(page_size(), 0, 0);
    uint64_t value = 0;
    for (int round = 0; round < 300; round++) {
        uint64_t count = 1 + (uint64_t)round % 50;
        produce_values(&r, value, count);
        ck_assert_uint_eq(read_values(&r, value), count);
        value += count;
        rbcore_ring_stats stats = balanced(&r);
        ck_assert_uint_eq(stats.read_pos, stats.producer_pos);
        ck_assert_uint_eq(stats.user_pos, stats.producer_pos);
        ck_assert_uint_eq(stats.bytes_waiting, 0);
        ck_assert_uint_eq(stats.lost_bytes, 0);
    }
    ck_assert_uint_eq(r.losses, 0);
    ok(rbcore_reader_commit(r.f.reader, NULL, RBCORE_COMMIT_NOW));
    ck_assert_uint_eq(ring_stats(&r.f).consumer_pos, value * 16);
    close_following(&r);
}
END_TEST

/* Each time the oldest record that is left is the first, and what was before is counted. */
START_TEST(overtaken_reader_counts_what_it_lost) {
    following r = follow(page_size(), 0, 0);
    const uint64_t fits = page_size() / 16 - 1;
    uint64_t value = 0;
    for (uint64_t laps = 1; laps < 6; laps++) {
        uint64_t count = laps * fits + laps;
        produce_values(&r, value, count);
        value += count;
        ck_assert_uint_eq(read_values(&r, value - fits), fits);
        rbcore_ring_stats stats = balanced(&r);
        ck_assert_uint_eq(stats.read_pos, value * 16);
        ck_assert_uint_eq(r.losses, laps);
    }
    ck_assert_uint_eq(balanced(&r).lost_bytes, value * 16 - r.spans);
    close_following(&r);
}
END_TEST

/* A reader that comes late: what nobody read since the last one is lost as well. */
START_TEST(late_reader_counts_from_the_last) {
    following r = {.f = open_ring(page_size())};
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&r, 0, 3 * fits);
    r.f.reader = reader_on(&r.f, 0, RBCORE_SOURCE_OVERWRITE);
    ck_assert_uint_eq(read_values(&r, 2 * fits), fits);
    ck_assert_uint_eq(r.losses, 1);
    rbcore_ring_stats stats = balanced(&r);
    ck_assert_uint_eq(stats.start_pos, 0);
    ck_assert_uint_eq(stats.lost_bytes, 2 * fits * 16);
    rbcore_reader_free(r.f.reader);
    produce_values(&r, 3 * fits, 10);
    r.f.reader = reader_on(&r.f, 0, RBCORE_SOURCE_OVERWRITE);
    r.spans = 0;
    ck_assert_uint_eq(read_values(&r, 3 * fits), 10);
    ck_assert_uint_eq(balanced(&r).start_pos, 3 * fits * 16);
    close_following(&r);
}
END_TEST

static void expect_values(const following *self, uint64_t first) {
    for (int i = 0; i < self->count; i++) {
        ck_assert_uint_eq(value_of(&self->records[i]), first + (uint64_t)i);
    }
}

START_TEST(what_is_handed_out_stays) {
    following r = follow(page_size(), 0, 0);
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&r, 0, fits);
    ck_assert_int_eq(read_more(&r, 100), 100);
    produce_values(&r, fits, 3 * fits);
    expect_values(&r, 0);
    give_back(&r);
    /* The rest had been copied. */
    ck_assert_int_eq(read_more(&r, MAX_RECORDS), (int)fits - 100);
    expect_values(&r, 100);
    ck_assert_uint_eq(r.losses, 0);
    /* Records after the loss wait until all before it are back. */
    rbcore_record more[1];
    ck_assert_int_eq(rbcore_reader_read(r.f.reader, more, 1), 0);
    expect_values(&r, 100);
    give_back(&r);
    ck_assert_uint_eq(read_values(&r, 3 * fits), fits);
    ck_assert_uint_eq(r.losses, 1);
    ck_assert_uint_eq(balanced(&r).lost_bytes, 2 * fits * 16);
    close_following(&r);
}
END_TEST

START_TEST(released_in_any_order) {
    following r = follow(page_size(), RBCORE_READER_RELEASE, 0);
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&r, 0, fits);
    ck_assert_int_eq(read_more(&r, MAX_RECORDS), (int)fits);
    produce_values(&r, fits, 1000 * fits);
    expect_values(&r, 0);
    rbcore_record held = r.records[17];
    ok(rbcore_reader_release(r.f.reader, r.records + 18, fits - 18));
    ok(rbcore_reader_release(r.f.reader, r.records, 17));
    rbcore_record more[1];
    ck_assert_int_eq(rbcore_reader_read(r.f.reader, more, 1), 0);
    ck_assert_uint_eq(value_of(&held), 17);
    ok(rbcore_reader_release(r.f.reader, &held, 1));
    ck_assert_int_eq(read_more(&r, MAX_RECORDS), (int)fits);
    expect_values(&r, 1000 * fits);
    ck_assert_uint_eq(r.losses, 1);
    balanced(&r);
    ok(rbcore_reader_release(r.f.reader, r.records, fits));
    ck_assert_int_eq(rbcore_reader_release(r.f.reader, r.records, 1), -EINVAL);
    close_following(&r);
}
END_TEST

/* A record larger than what is free in the reader's copy comes when that is given back. */
START_TEST(large_records_wait_for_room) {
    following r = follow(page_size(), 0, 0);
    size_t size = page_size() / 2 - 48;
    char *content = calloc(1, size);
    for (int i = 0; i < 3; i++) {
        memset(content, 'a' + i, size);
        ok(rbcore_producer_output(r.f.producer, content, size, 0));
        ck_assert_int_eq(read_more(&r, MAX_RECORDS), i < 2 ? 1 : 0);
        if (i < 2) {
            ck_assert_int_eq(memcmp(r.records[0].data, content, size), 0);
        }
    }
    give_back(&r);
    ck_assert_int_eq(read_more(&r, MAX_RECORDS), 1);
    ck_assert_int_eq(memcmp(r.records[0].data, content, size), 0);
    ck_assert_uint_eq(balanced(&r).lost_bytes, 0);
    free(content);
    close_following(&r);
}
END_TEST

/* Half of it is in the copy when the other half is overwritten. */
START_TEST(half_a_record_is_dropped) {
    following r = follow(page_size(), 0, 0);
    const uint64_t fits = page_size() / 16 - 1;
    char *content = calloc(1, page_size());
    produce_values(&r, 0, 10);
    ck_assert_int_eq(read_more(&r, MAX_RECORDS), 10);
    ok(rbcore_producer_output(r.f.producer, content, page_size() - 100, 0));
    rbcore_record more[1];
    ck_assert_int_eq(rbcore_reader_read(r.f.reader, more, 1), 0);
    produce_values(&r, 10, 2 * fits);
    give_back(&r);
    ck_assert_uint_eq(read_values(&r, 10 + fits), fits);
    ck_assert_uint_eq(balanced(&r).lost_bytes, span_of(page_size() - 100) + fits * 16);
    free(content);
    close_following(&r);
}
END_TEST

START_TEST(unfinished_records_are_waited_for) {
    following r = follow(page_size(), 0, 0);
    void *data = NULL;
    produce_values(&r, 0, 1);
    ok(rbcore_producer_reserve(r.f.producer, &data, 8));
    produce_values(&r, 2, 1);
    ck_assert_uint_eq(read_values(&r, 0), 1);
    memcpy(data, &(uint64_t){1}, 8);
    ok(rbcore_producer_submit(r.f.producer, data, 0));
    ck_assert(readable(rbcore_reader_fd(r.f.reader), WATCHDOG_MS));
    ck_assert_uint_eq(read_values(&r, 1), 2);
    balanced(&r);
    close_following(&r);
}
END_TEST

START_TEST(discarded_records_are_counted) {
    following r = follow(page_size(), 0, 0);
    for (uint64_t i = 0; i < 2000; i++) {
        void *data = NULL;
        ok(rbcore_producer_reserve(r.f.producer, &data, 24));
        ok(rbcore_producer_discard(r.f.producer, data, 0));
        produce(&r.f, i);
        if (i % 7 == 0) {
            while (read_more(&r, MAX_RECORDS) > 0) {
                give_back(&r);
            }
        }
    }
    while (read_more(&r, MAX_RECORDS) > 0) {
        give_back(&r);
    }
    rbcore_ring_stats stats = balanced(&r);
    ck_assert_uint_eq(stats.discards, 2000);
    ck_assert_uint_eq(stats.passed_bytes, 2000 * 32);
    close_following(&r);
}
END_TEST

START_TEST(abandoned_records_are_skipped) {
    following r = follow(page_size(), 0, 0);
    rbcore_producer *other = producer_on(r.f.memory_fd, r.f.event_fd);
    void *data = NULL;
    ok(rbcore_producer_reserve(other, &data, 40));
    produce_values(&r, 0, 3);
    ck_assert_int_eq(read_more(&r, MAX_RECORDS), 0);
    rbcore_producer_free(other);
    while (read_more(&r, MAX_RECORDS) == -EAGAIN) {
    }
    ck_assert_int_eq(r.count, 3);
    expect_values(&r, 0);
    give_back(&r);
    rbcore_ring_stats stats = balanced(&r);
    ck_assert_uint_eq(stats.abandoned, 1);
    ck_assert_uint_eq(stats.passed_bytes, 48);
    close_following(&r);
}
END_TEST

START_TEST(latest_begins_at_the_end) {
    following r = {.f = open_ring(page_size())};
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&r, 0, 2 * fits);
    r.f.reader = reader_on(&r.f, 0, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_LATEST);
    ck_assert_uint_eq(ring_stats(&r.f).skipped, fits);
    produce_values(&r, 2 * fits, 5);
    ck_assert_uint_eq(read_values(&r, 2 * fits), 5);
    balanced(&r);
    close_following(&r);
}
END_TEST

START_TEST(flush_delivers_what_is_there) {
    following r = follow(page_size(), 0, 0);
    const uint64_t fits = page_size() / 16 - 1;
    produce_values(&r, 0, 3 * fits);
    ok(rbcore_reader_flush(r.f.reader));
    int delivered = 0, n;
    while ((n = rbcore_reader_next(r.f.reader, r.records, 100, WATCHDOG_NS)) > 0) {
        delivered += n;
        give_back(&r);
    }
    ck_assert_int_eq(n, -ENODATA);
    ck_assert_int_eq(delivered, (int)fits);
    close_following(&r);
}
END_TEST

/* Normal rings beside one that overwrites: turns, commits across rings, a full turn list. */
START_TEST(beside_normal_rings) {
    following r = follow(page_size(), 0, 0);
    fixture normal = fixture_add(r.f.reader, page_size());
    const uint64_t fits = page_size() / 16 - 1;
    uint64_t normal_value = 0, value = 0;
    for (int round = 0; round < 200; round++) {
        produce_values(&r, value, 3 * fits);
        value += 3 * fits;
        produce(&normal, normal_value);
        bool seen = false;
        while (read_more(&r, 100) > 0) {
            for (int i = 0; i < r.count; i++) {
                seen |= r.records[i].ring == normal.ring;
            }
            ok(rbcore_reader_commit(r.f.reader, &r.records[r.count / 2], 0));
            give_back(&r);
        }
        ck_assert(seen);
        normal_value++;
    }
    ck_assert_uint_eq(r.losses, 200);
    fixture_drop(&normal);
    close_following(&r);
}
END_TEST

static void *produce_slowly(void *argument) {
    const following *self = argument;
    for (uint64_t i = 0; i < 100; i++) {
        sleep_ms(1);
        produce(&self->f, i);
    }
    return NULL;
}

START_TEST(each_record_wakes_an_idle_reader) {
    following r = follow(page_size(), 0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, produce_slowly, &r);
    uint64_t value = 0;
    while (value < 100) {
        int n = rbcore_reader_next(r.f.reader, r.records, MAX_RECORDS, WATCHDOG_NS);
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            ck_assert_uint_eq(value_of(&r.records[i]), value++);
        }
        give_back(&r);
    }
    pthread_join(thread, NULL);
    close_following(&r);
}
END_TEST

/* Whatever the pages hold: no crash, no end without an error, no more than the ring has. */
START_TEST(hostile_rings) {
    uint64_t random = 20251121;
    for (int round = 0; round < 3000; round++) {
        following r = follow(page_size(), round % 2 ? RBCORE_READER_RELEASE : 0, 0);
        image raw = image_map(r.f.memory_fd);
        produce_values(&r, 0, random_next(&random) % 600);
        rbcore_snapshot *snapshot = NULL;
        for (int step = 0; step < 20; step++) {
            uint64_t at = random_next(&random) % page_size() / 8 * 8;
            uint64_t near = *raw.producer_pos + random_next(&random) % 8192 - 4096;
            switch (random_next(&random) % 6) {
            case 0:
                image_store(raw.producer_pos + random_next(&random) % 3, near);
                break;
            case 1:
                image_store(raw.producer_pos + random_next(&random) % 3,
                            (uint64_t)random_next(&random) << 33 | random_next(&random));
                break;
            case 2:
                image_store_header(&raw, at, random_next(&random) << 1);
                break;
            case 3:
                image_store_header(&raw, at, random_next(&random) % page_size() / 8 * 8);
                break;
            default:
                produce_values(&r, 0, 0);
                rbcore_producer_output(r.f.producer, &at, sizeof(at), 0);
            }
            int n = rbcore_reader_read(r.f.reader, r.records, MAX_RECORDS);
            ck_assert(n >= 0 || n == -EBADMSG || n == -EAGAIN);
            volatile uint8_t sum = 0;
            for (int i = 0; i < n; i++) {
                ck_assert_uint_le(r.records[i].size, page_size());
                for (uint32_t j = 0; j < r.records[i].size; j++) {
                    sum = (uint8_t)(sum + ((const uint8_t *)r.records[i].data)[j]);
                }
            }
            if (n > 0 && round % 2) {
                ok(rbcore_reader_release(r.f.reader, r.records, (size_t)n));
            } else if (n > 0) {
                give_back(&r);
            }
            n = rbcore_reader_snapshot(r.f.reader, r.f.ring, &snapshot, 0);
            ck_assert(n == 0 || n == -EBADMSG || n == -EAGAIN);
            while (n == 0 && rbcore_snapshot_read(snapshot, r.records, MAX_RECORDS) > 0) {
                ck_assert_uint_le(r.records[0].size, page_size());
            }
        }
        rbcore_snapshot_free(snapshot);
        image_unmap(&raw);
        close_following(&r);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {modes_must_be_asked_for,
                                  one_consumer,
                                  follows,
                                  overtaken_reader_counts_what_it_lost,
                                  late_reader_counts_from_the_last,
                                  what_is_handed_out_stays,
                                  released_in_any_order,
                                  large_records_wait_for_room,
                                  half_a_record_is_dropped,
                                  unfinished_records_are_waited_for,
                                  discarded_records_are_counted,
                                  abandoned_records_are_skipped,
                                  latest_begins_at_the_end,
                                  flush_delivers_what_is_there,
                                  beside_normal_rings,
                                  each_record_wakes_an_idle_reader,
                                  hostile_rings,
                                  a_tap_keeps_clear_of_what_is_being_written,
                                  NULL};
    return run_tests("a ring that overwrites, read", tests);
}
