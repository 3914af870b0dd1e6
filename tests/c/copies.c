/* SPDX-License-Identifier: MIT */
/* Rings that are read through a copy: what is lost, what has no room, what is impossible. */
#include "support.h"

#include <pthread.h>
#include <sys/stat.h>

#define MAX_RECORDS 512

static fixture open_ring(uint32_t ring_flags, uint32_t source_flags) {
    fixture self = {0};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, page_size(), ring_flags));
    self.producer = producer_on(self.memory_fd, self.event_fd);
    self.reader = reader_on(&self, 0, source_flags);
    return self;
}

static fixture open_overwriting(void) {
    return open_ring(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE);
}

/* Holds two records that leave room for 80 bytes in the copy. */
static void hold_nearly_all(const fixture *f, rbcore_record records[2]) {
    size_t size = page_size() / 2 - 48;
    char *content = malloc(size);
    ck_assert_ptr_nonnull(content);
    for (int i = 0; i < 2; i++) {
        memset(content, 'a' + i, size);
        ok(rbcore_producer_output(f->producer, content, size, 0));
        ck_assert_int_eq(rbcore_reader_read(f->reader, &records[i], 1), 1);
    }
    free(content);
}

static void expect_held(const rbcore_record records[2]) {
    for (int i = 0; i < 2; i++) {
        const char *content = records[i].data;
        for (uint32_t k = 0; k < records[i].size; k++) {
            if (content[k] != 'a' + i) {
                ck_abort_msg("byte %u of record %d was overwritten", k, i);
            }
        }
    }
}

/* Begins a record and goes without it. */
static void abandon(const fixture *f, size_t size) {
    rbcore_producer *other = producer_on(f->memory_fd, f->event_fd);
    void *data;
    ok(rbcore_producer_reserve(other, &data, size));
    rbcore_producer_free(other);
}

/* ---- What is lost ---- */

START_TEST(only_the_next_record_says_that_some_were_lost) {
    fixture f = open_overwriting();
    rbcore_record records[MAX_RECORDS];
    const int fits = (int)page_size() / 16 - 1;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < fits + 3; i++) {
            produce(&f, (uint64_t)i);
        }
        /* The records come in several batches, the last of those after the loss was noticed. */
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
        ck_assert_int_eq(read_to_end(f.reader, records + 2, MAX_RECORDS - 2), fits - 2);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        produce(&f, 1);
        ck_assert_int_eq(rbcore_reader_read(f.reader, records + fits, 2), 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        for (int i = 0; i <= fits; i++) {
            uint16_t lost = records[i].flags & RBCORE_RECORD_LOST_BEFORE;
            ck_assert_uint_eq(lost, i == 0 ? RBCORE_RECORD_LOST_BEFORE : 0);
        }
    }
    fixture_close(&f);
}
END_TEST

START_TEST(no_more_waits_than_the_ring_holds) {
    fixture f = open_overwriting();
    for (uint64_t i = 0; i < page_size(); i++) {
        produce(&f, i);
    }
    ck_assert_uint_eq(ring_stats(&f).bytes_waiting, page_size());
    fixture_close(&f);
}
END_TEST

START_TEST(a_tap_is_guarded) {
    fixture f = open_ring(0, RBCORE_SOURCE_TAP);
    ck_assert_uint_eq(ring_stats(&f).flags, 0); /* there is nothing that another could take */
    fixture_close(&f);
}
END_TEST

/* ---- What has no room beside what is held ---- */

START_TEST(a_flush_does_not_wait_for_what_has_no_room) {
    fixture f = open_overwriting();
    rbcore_record records[2], record;
    const char large[200] = {0};
    hold_nearly_all(&f, records);
    ok(rbcore_producer_output(f.producer, large, sizeof(large), 0));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ENODATA);
    expect_held(records);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    fixture_close(&f);
}
END_TEST

START_TEST(a_flush_does_not_wait_for_what_is_unfinished) {
    fixture f = open_overwriting();
    rbcore_record record;
    void *data;
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -ENODATA);
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    fixture_close(&f);
}
END_TEST

START_TEST(an_abandoned_record_waits_for_room) {
    fixture f = open_overwriting();
    rbcore_record records[2], record;
    int result = 0;
    hold_nearly_all(&f, records);
    abandon(&f, 200);
    produce(&f, 7);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_le(rbcore_reader_read(f.reader, &record, 1), 0);
        ck_assert_uint_eq(ring_stats(&f).abandoned, 0);
        expect_held(records);
    }
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    while (result == 0 || result == -EAGAIN) {
        result = rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS);
    }
    ck_assert_int_eq(result, 1);
    ck_assert_uint_eq(value_of(&record), 7);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 1);
    fixture_close(&f);
}
END_TEST

/* Nothing is held any more, and what the ring has is delivered before the flush ends. */
START_TEST(a_flush_while_the_last_release_is_about_to_return) {
    for (int round = 0; round < 200; round++) {
        fixture f = open_overwriting();
        pthread_t thread;
        rbcore_record records[MAX_RECORDS];
        rbcore_reader_free(f.reader);
        f.reader = reader_on(&f, RBCORE_READER_RELEASE, RBCORE_SOURCE_OVERWRITE);
        release_of_one it = {.reader = f.reader};
        produce(&f, 0);
        ck_assert_int_eq(rbcore_reader_read(f.reader, &it.record, 1), 1);
        for (uint64_t i = 0; i < page_size() / 8; i++) {
            produce(&f, i);
        }
        int n = rbcore_reader_read(f.reader, records, MAX_RECORDS);
        ck_assert_int_ge(n, 0);
        if (n > 0) {
            ok(rbcore_reader_release(f.reader, records, (size_t)n));
        }
        ok(pthread_create(&thread, NULL, release_one, &it));
        while (ring_stats(&f).user_pos != ring_stats(&f).read_pos) {
        }
        ok(rbcore_reader_flush(f.reader));
        do {
            n = rbcore_reader_read(f.reader, records, MAX_RECORDS);
        } while (n == 0);
        ck_assert_int_gt(n, 0);
        ok(rbcore_reader_release(f.reader, records, (size_t)n));
        ok(pthread_join(thread, NULL));
        fixture_close(&f);
    }
}
END_TEST

/* It is not at the head: a complete one stands there, of a producer that is gone. */
START_TEST(an_unfinished_record_behind_one_without_room) {
    fixture f = open_overwriting();
    rbcore_record records[2], record;
    const size_t size = page_size() / 2 - HEADER_SIZE;
    char *content = calloc(1, size);
    void *data;
    ck_assert_ptr_nonnull(content);
    for (int i = 0; i < 2; i++) {
        ok(rbcore_producer_output(f.producer, content, size, 0));
        ck_assert_int_eq(rbcore_reader_read(f.reader, &records[i], 1), 1);
    }
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    ok(rbcore_producer_output(other, content, 8, 0));
    rbcore_producer_free(other);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    }
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 0);
    free(content);
    fixture_close(&f);
}
END_TEST

/* Nobody can give it back: the record before it does. */
START_TEST(an_abandoned_record_is_given_back_with_the_one_before) {
    fixture f = open_overwriting();
    rbcore_record record, none;
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    abandon(&f, 40);
    while (rbcore_reader_read(f.reader, &none, 1) == -EAGAIN) {
    }
    rbcore_ring_stats stats = ring_stats(&f);
    ck_assert_uint_eq(stats.abandoned, 1);
    ck_assert_uint_eq(stats.read_pos, 16 + 48);
    ck_assert_uint_eq(stats.user_pos, 0);
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &none, 1), 1); /* is held as well */
    ok(rbcore_reader_commit(f.reader, &record, 0));
    ck_assert_uint_eq(ring_stats(&f).user_pos, 16 + 48);
    fixture_close(&f);
}
END_TEST

/* ---- What is impossible ---- */

static void expect_broken(fixture *f) {
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f->reader, &record, 1), -EBADMSG);
    ck_assert_int_eq(rbcore_reader_next(f->reader, &record, 1, RBCORE_FOREVER), -EBADMSG);
    ck_assert_uint_eq(ring_stats(f).flags & RBCORE_RING_BROKEN, RBCORE_RING_BROKEN);
}

/*
 * The position that the ring gives for its oldest record lies between two: nothing is lost up to
 * it.
 */
START_TEST(an_oldest_record_that_cannot_be) {
    fixture f = open_overwriting();
    image raw = image_map(f.memory_fd);
    produce(&f, 1);
    produce(&f, 2);
    image_store(&raw.producer_pos[2], 12);
    expect_broken(&f);
    rbcore_ring_stats stats = ring_stats(&f);
    ck_assert_uint_eq(stats.lost_bytes, 0);
    ck_assert_uint_eq(stats.consumer_pos, 0);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

START_TEST(a_length_that_cannot_be) {
    fixture f = open_overwriting();
    image raw = image_map(f.memory_fd);
    produce(&f, 1);
    image_store(&raw.producer_pos[1], 0);
    image_store_header(&raw, 0, 4000);
    expect_broken(&f);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* Among what the producers say is complete: it is believed, and copied. */
START_TEST(a_length_that_cannot_be_in_the_copy) {
    fixture f = open_overwriting();
    image raw = image_map(f.memory_fd);
    rbcore_record record;
    for (uint64_t i = 0; i < 3; i++) {
        produce(&f, i);
    }
    image_store(&raw.producer_pos[1], 48);
    image_store_header(&raw, 16, 40);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    expect_broken(&f);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* ---- Snapshots ---- */

START_TEST(a_snapshot_of_a_broken_ring) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    rbcore_snapshot *snapshot = NULL;
    produce(&f, 1);
    image_store_header(&raw, 0, 4000);
    expect_broken(&f);
    image_store_header(&raw, 0, 8);
    ck_assert_int_eq(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0), -EBADMSG);
    ck_assert_ptr_null(snapshot);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

START_TEST(a_snapshot_names_its_ring) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *snapshot = NULL;
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    struct stat status;
    ok(fstat(f.memory_fd, &status));
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0));
    ok(rbcore_snapshot_info_get(snapshot, &info));
    ck_assert_uint_eq(info.kind, RBCORE_SOURCE_MEMORY_RING);
    ck_assert_uint_eq(info.ring_id, (uint64_t)status.st_ino);
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}
END_TEST

/* It ends before what a dead producer left, and the reader has passed that. */
START_TEST(a_snapshot_takes_no_reader_back) {
    fixture f = open_overwriting();
    rbcore_snapshot *snapshot = NULL;
    rbcore_record record;
    int result;
    abandon(&f, 8);
    produce(&f, 7);
    do {
        result = rbcore_reader_read(f.reader, &record, 1);
    } while (result == -EAGAIN);
    ck_assert_int_eq(result, 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, RBCORE_SNAPSHOT_CONSUME));
    ck_assert_uint_eq(ring_stats(&f).read_pos, 32);
    ck_assert_uint_eq(ring_stats(&f).user_pos, 32);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}
END_TEST

typedef struct writing {
    pthread_t thread;
    fixture f;
    _Atomic bool stop;
} writing;

static void *write_on(void *argument) {
    writing *self = argument;
    static const char content[4000];
    while (!self->stop) {
        ok(rbcore_producer_output(self->f.producer, content, sizeof(content), 0));
    }
    return NULL;
}

/* A snapshot counts from the oldest record that was there when it was begun. */
START_TEST(a_snapshot_says_what_was_overwritten_meanwhile) {
    writing it = {.stop = false};
    const size_t size = (size_t)16 << 20;
    ok(rbcore_memory_ring_create(&it.f.memory_fd, &it.f.event_fd, size,
                                 RBCORE_MEMORY_RING_OVERWRITE));
    it.f.producer = producer_on(it.f.memory_fd, it.f.event_fd);
    it.f.reader = reader_on(&it.f, 0, RBCORE_SOURCE_OVERWRITE);
    image raw = image_map(it.f.memory_fd);
    rbcore_snapshot *snapshot = NULL;
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    ok(pthread_create(&it.thread, NULL, write_on, &it));
    int64_t give_up = now_ns() + WATCHDOG_NS;
    while (info.missed == 0) {
        ck_assert_int_lt(now_ns(), give_up);
        uint64_t before = image_load(&raw.producer_pos[2]);
        int result = rbcore_reader_snapshot(it.f.reader, 0, &snapshot, 0);
        uint64_t after = image_load(&raw.producer_pos[2]);
        ck_assert(result == 0 || result == -EAGAIN);
        if (result == 0) {
            ok(rbcore_snapshot_info_get(snapshot, &info));
            ck_assert_uint_ge(info.first_pos - info.missed, before);
            ck_assert_uint_le(info.first_pos - info.missed, after);
        }
    }
    it.stop = true;
    ok(pthread_join(it.thread, NULL));
    rbcore_snapshot_free(snapshot);
    image_unmap(&raw);
    fixture_close(&it.f);
}
END_TEST

static int use_parents_snapshot(void *argument) {
    rbcore_snapshot *snapshot = argument;
    rbcore_record record;
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    return rbcore_snapshot_read(snapshot, &record, 1) == -ECHILD &&
                   rbcore_snapshot_rewind(snapshot) == -ECHILD &&
                   rbcore_snapshot_info_get(snapshot, &info) == -ECHILD
               ? 0
               : 1;
}

START_TEST(a_snapshot_is_its_process) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *snapshot = NULL;
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0));
    ck_assert_int_eq(in_child(use_parents_snapshot, snapshot), 0);
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {only_the_next_record_says_that_some_were_lost,
                                  no_more_waits_than_the_ring_holds,
                                  a_tap_is_guarded,
                                  a_flush_does_not_wait_for_what_has_no_room,
                                  a_flush_does_not_wait_for_what_is_unfinished,
                                  an_abandoned_record_waits_for_room,
                                  a_flush_while_the_last_release_is_about_to_return,
                                  an_unfinished_record_behind_one_without_room,
                                  an_abandoned_record_is_given_back_with_the_one_before,
                                  an_oldest_record_that_cannot_be,
                                  a_length_that_cannot_be,
                                  a_length_that_cannot_be_in_the_copy,
                                  a_snapshot_of_a_broken_ring,
                                  a_snapshot_names_its_ring,
                                  a_snapshot_takes_no_reader_back,
                                  a_snapshot_says_what_was_overwritten_meanwhile,
                                  a_snapshot_is_its_process,
                                  NULL};
    return run_tests("copies", tests);
}
