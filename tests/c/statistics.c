/* SPDX-License-Identifier: MIT */
/* Statistics, identities of records, versions, messages: what can be asked at any time. */
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

START_TEST(of_a_ring) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[4];
    void *data;
    rbcore_ring_stats s = ring_stats(&f);
    ck_assert_uint_eq(s.ring_size, page_size());
    ck_assert_uint_eq(s.map_id, RBCORE_UNKNOWN);
    ck_assert_uint_eq(s.flags, 0);
    ck_assert_uint_eq(s.first_ring, 0);
    ck_assert_uint_eq(s.reader_pid, (uint64_t)getpid());
    ck_assert_uint_eq(s.high_water + s.records + s.bytes + s.discards + s.abandoned + s.skipped +
                          s.lost + s.producer_pos + s.read_pos + s.user_pos + s.consumer_pos +
                          s.bytes_waiting,
                      0);
    ok(rbcore_producer_output(f.producer, "abcdefghij", 10, 0)); /* 24 bytes */
    ok(rbcore_producer_output(f.producer, "", 1, 0));            /* 16 */
    ok(rbcore_producer_reserve(f.producer, &data, 0));           /* 8 */
    ok(rbcore_producer_discard(f.producer, data, 0));
    ok(rbcore_producer_reserve(f.producer, &data, 50)); /* 64 */
    ck_assert_uint_eq(ring_stats(&f).bytes_waiting, 112);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 1), 1);
    s = ring_stats(&f);
    ck_assert_uint_eq(s.bytes_waiting, 88);
    ck_assert_uint_eq(s.read_pos, 24);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records + 1, 3), 1);
    s = ring_stats(&f);
    ck_assert_uint_eq(s.records, 2);
    ck_assert_uint_eq(s.bytes, 11);
    ck_assert_uint_eq(s.discards, 1);
    ck_assert_uint_eq(s.high_water, 112);
    ck_assert_uint_eq(s.producer_pos, 112);
    ck_assert_uint_eq(s.read_pos, 48);
    ck_assert_uint_eq(s.user_pos, 0);
    ck_assert_uint_eq(s.bytes_waiting, 64);
    ok(rbcore_reader_commit(f.reader, records, 0));
    ck_assert_uint_eq(ring_stats(&f).user_pos, 24);
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 1), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    s = ring_stats(&f);
    ck_assert_uint_eq(s.high_water, 112);
    ck_assert_uint_eq(s.consumer_pos, 112);
    ck_assert_uint_eq(s.records, 3);
    ck_assert_uint_eq(s.bytes, 61);
    ck_assert_int_eq(rbcore_reader_ring_stats(f.reader, 1, &s), -EINVAL);
    ck_assert_int_eq(rbcore_reader_ring_stats(f.reader, UINT_MAX, &s), -EINVAL);
    ck_assert_int_eq(rbcore_reader_ring_stats(f.reader, 0, NULL), -EINVAL);
    s.size = sizeof(size_t) - 1;
    ck_assert_int_eq(rbcore_reader_ring_stats(f.reader, 0, &s), -EINVAL);
    s.size = 4097;
    ck_assert_int_eq(rbcore_reader_ring_stats(f.reader, 0, &s), -EINVAL);
    fixture_close(&f);
}
END_TEST

START_TEST(of_a_reader) {
    fixture f = fixture_open(page_size(), 0);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record records[4];
    ck_assert_uint_eq(ring_stats(&g).first_ring, 1);
    for (uint64_t i = 0; i < 3; i++) {
        produce(&f, i);
        produce(&g, i);
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 4);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, 0), 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    rbcore_reader_stats s = reader_stats(f.reader);
    ck_assert_uint_eq(s.records, 6);
    ck_assert_uint_eq(s.bytes, 48);
    ck_assert_uint_eq(s.batches, 2);
    ck_assert_uint_eq(s.commits, 2); /* each ring's position moved once */
    void *data;
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_producer_discard(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    ck_assert_uint_eq(reader_stats(f.reader).batches, 2); /* what has no record is none */
    ck_assert_uint_eq(s.rings, 2);
    ok(rbcore_reader_remove(f.reader, g.ring));
    s = reader_stats(f.reader);
    ck_assert_uint_eq(s.rings, 1);
    ck_assert_uint_eq(s.records, 6);
    ck_assert_uint_eq(s.bytes, 48);
    s.size = 0;
    ck_assert_int_eq(rbcore_reader_stats_get(f.reader, &s), -EINVAL);
    s.size = 4097;
    ck_assert_int_eq(rbcore_reader_stats_get(f.reader, &s), -EINVAL);
    ck_assert_int_eq(rbcore_reader_stats_get(f.reader, NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_stats_get(NULL, &s), -EINVAL);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* An older caller's struct is not written past its end, a newer one's rest is "unknown". */
START_TEST(of_other_versions) {
    fixture f = fixture_open(page_size(), 0);
    struct {
        rbcore_ring_stats known;
        uint64_t future[2];
    } s;
    memset(&s, 0x5a, sizeof(s));
    s.known.size = offsetof(rbcore_ring_stats, records);
    ok(rbcore_reader_ring_stats(f.reader, f.ring, &s.known));
    ck_assert_uint_eq(s.known.ring_size, page_size());
    ck_assert_uint_eq(s.known.records, UINT64_C(0x5a5a5a5a5a5a5a5a));
    ck_assert_uint_eq(s.known.size, offsetof(rbcore_ring_stats, records)); /* it is the caller's */
    s.known.size = sizeof(s);
    ok(rbcore_reader_ring_stats(f.reader, f.ring, &s.known));
    ck_assert_uint_eq(s.known.records, 0);
    ck_assert_uint_eq(s.future[0], RBCORE_UNKNOWN);
    ck_assert_uint_eq(s.future[1], RBCORE_UNKNOWN);
    ck_assert_uint_eq(s.known.size, sizeof(s));
    memset(&s, 0x5a, sizeof(s));
    ok(rbcore_ring_stats_init(&s.known, sizeof(s)));
    ck_assert_uint_eq(s.known.size, sizeof(s));
    ck_assert_uint_eq(s.future[0] | s.future[1], 0);
    memset(&s, 0x5a, sizeof(s));
    ok(rbcore_ring_stats_init(&s.known, offsetof(rbcore_ring_stats, records)));
    ck_assert_uint_eq(s.known.size, offsetof(rbcore_ring_stats, records));
    ck_assert_uint_eq(s.known.records, UINT64_C(0x5a5a5a5a5a5a5a5a));
    fixture_close(&f);
}
END_TEST

START_TEST(of_a_record) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    rbcore_identity identity = RBCORE_IDENTITY_INIT, again = RBCORE_IDENTITY_INIT;
    struct stat status;
    char text[64] = "", expected[33] = "", got[33] = "";
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_identity(f.reader, &record, &identity));
    ok(fstat(f.memory_fd, &status));
    ck_assert_uint_eq(identity.kind, RBCORE_SOURCE_MEMORY_RING);
    ck_assert_uint_eq(identity.ring_id, status.st_ino);
    ck_assert_uint_eq(identity.position, 16);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 32);
    close(fd);
    for (int i = 0, k = 0; text[i] && k < 32; i++) {
        if (text[i] != '-') {
            expected[k++] = text[i];
        }
    }
    for (int i = 0; i < 16; i++) {
        snprintf(got + 2 * i, 3, "%02x", identity.boot_id[i]);
    }
    ck_assert_str_eq(got, expected);
    /* Another reader of the ring names the record alike. */
    rbcore_reader_free(f.reader);
    f.reader = reader_on(&f, 0, 0);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_identity(f.reader, &record, &again));
    ck_assert_mem_eq(&identity, &again, sizeof(identity));
    record.ring = 1;
    ck_assert_int_eq(rbcore_reader_identity(f.reader, &record, &again), -EINVAL);
    record.ring = 0;
    again.size = 3;
    ck_assert_int_eq(rbcore_reader_identity(f.reader, &record, &again), -EINVAL);
    again.size = sizeof(again);
    ck_assert_int_eq(rbcore_reader_identity(f.reader, NULL, &again), -EINVAL);
    ck_assert_int_eq(rbcore_reader_identity(f.reader, &record, NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_identity(NULL, &record, &again), -EINVAL);
    fixture_close(&f);
}
END_TEST

typedef struct asker {
    fixture *f;
    _Atomic int stop;
} asker;

static void *ask(void *argument) {
    asker *self = argument;
    uint64_t records = 0, read_pos = 0, all = 0;
    while (!self->stop) {
        rbcore_ring_stats s = ring_stats(self->f);
        ck_assert_uint_ge(s.records, records);
        ck_assert_uint_ge(s.read_pos, read_pos);
        ck_assert_uint_le(s.bytes_waiting, page_size());
        if (s.consumer_pos > s.user_pos || s.user_pos > s.read_pos || s.read_pos > s.producer_pos) {
            ck_abort_msg("a position is ahead of one that it cannot be ahead of");
        }
        records = s.records;
        read_pos = s.read_pos;
        rbcore_reader_stats r = reader_stats(self->f->reader);
        ck_assert_uint_ge(r.records, all);
        all = r.records;
    }
    return NULL;
}

START_TEST(from_another_thread) {
    fixture f = fixture_open(page_size(), 0);
    asker a = {.f = &f};
    pthread_t thread;
    rbcore_record records[16];
    ok(pthread_create(&thread, NULL, ask, &a));
    for (uint64_t i = 0; i < 20000; i++) {
        produce(&f, i);
        if (i % 16 == 15) {
            ck_assert_int_eq(rbcore_reader_read(f.reader, records, 16), 16);
            ok(rbcore_reader_commit(f.reader, NULL, 0));
        }
    }
    a.stop = 1;
    ok(pthread_join(thread, NULL));
    ck_assert_uint_eq(ring_stats(&f).records, 20000);
    fixture_close(&f);
}
END_TEST

START_TEST(errors_in_words) {
    fixture f = fixture_open(page_size(), 0);
    ck_assert_str_eq(rbcore_reader_message(f.reader), "");
    for (int i = 0; i < 300; i++) {
        ck_assert_ptr_nonnull(rbcore_strerror(i));
        ck_assert_ptr_eq(rbcore_strerror(i), rbcore_strerror(-i));
        ck_assert_str_ne(rbcore_strerror(-i), "");
    }
    ck_assert_ptr_nonnull(rbcore_strerror(INT_MIN));
    ck_assert_ptr_nonnull(rbcore_strerror(INT_MAX));
    const int known[] = {EINVAL, EBUSY, EBADMSG, ECHILD, EAGAIN, ENODATA, ECANCELED, ESHUTDOWN};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(rbcore_strerror(known[i]), rbcore_strerror(known[k]));
        }
    }
    /* Whatever it was that refused. */
    ck_assert_ptr_nonnull(strstr(rbcore_strerror(-EACCES), "mode of the path"));
    ck_assert_ptr_nonnull(strstr(rbcore_strerror(-EPERM), "seccomp"));
    fixture_close(&f);
}
END_TEST

START_TEST(errno_is_left_alone) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    rbcore_source source = memory_source(f.event_fd, f.event_fd);
    errno = 4711;
    produce(&f, 1);
    rbcore_reader_add(f.reader, &source);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    rbcore_reader_read(f.reader, &record, 1);
    rbcore_reader_next(f.reader, &record, 1, 1000);
    rbcore_reader_commit(f.reader, NULL, 0);
    rbcore_reader_interrupt(f.reader);
    rbcore_reader_flush(f.reader);
    ck_assert_int_eq(errno, 4711);
    fixture_close(&f);
}
END_TEST

START_TEST(the_library) {
    ck_assert_uint_eq(rbcore_version(), RBCORE_VERSION);
    ck_assert_int_eq(rbcore_supports(RBCORE_FEATURE_MEMORY_RING), 1);
    ck_assert_int_eq(rbcore_supports(0), 0);
    ck_assert_int_eq(rbcore_supports(UINT32_MAX), 0);
    int kernel_ring = rbcore_supports(RBCORE_FEATURE_KERNEL_RING);
    ck_assert(kernel_ring == 0 || kernel_ring == 1 || kernel_ring == -EPERM);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {of_a_ring,           of_a_reader,         of_other_versions,
                                  of_a_record,         from_another_thread, errors_in_words,
                                  errno_is_left_alone, the_library,         NULL};
    return run_tests("statistics", tests);
}
