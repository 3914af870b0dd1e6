/* SPDX-License-Identifier: MIT */
/* Rings that are looked at without a reader. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static int look(const fixture *ring, rbcore_ring_stats *stats) {
    const rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    *stats = (rbcore_ring_stats)RBCORE_RING_STATS_INIT;
    return rbcore_source_ring_stats(&source, stats);
}

static fixture ring_open(uint32_t flags) {
    fixture f = {0};
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), flags));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    return f;
}

/* All figures but these are not known without a reader. */
static void expect_the_rest_is_unknown(const rbcore_ring_stats *s) {
    const uint64_t rest[] = {s->high_water, s->records,    s->bytes,        s->discards,
                             s->abandoned,  s->skipped,    s->read_pos,     s->user_pos,
                             s->start_pos,  s->lost_bytes, s->passed_bytes, s->first_ring};
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++) {
        ck_assert_uint_eq(rest[i], RBCORE_UNKNOWN);
    }
}

START_TEST(a_ring_without_a_reader) {
    fixture f = ring_open(0);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    char large[2048] = "";
    produce(&f, 1);
    produce(&f, 2);
    ok(rbcore_producer_output(f.producer, large, sizeof(large), 0));
    ck_assert_int_eq(rbcore_producer_output(f.producer, large, sizeof(large), 0), -EAGAIN);
    source.cookie = 77;
    ok(rbcore_source_ring_stats(&source, &s));
    ck_assert_uint_eq(s.size, sizeof(s));
    ck_assert_uint_eq(s.cookie, 77);
    ck_assert_uint_eq(s.flags, 0);
    ck_assert_uint_eq(s.map_id, RBCORE_UNKNOWN);
    ck_assert_uint_eq(s.ring_size, page_size());
    ck_assert_uint_eq(s.producer_pos, 2 * 16 + 8 + sizeof(large));
    ck_assert_uint_eq(s.consumer_pos, 0);
    ck_assert_uint_eq(s.bytes_waiting, s.producer_pos);
    ck_assert_uint_eq(s.lost, 1);
    ck_assert_uint_eq(s.reader_pid, 0);
    expect_the_rest_is_unknown(&s);
    fixture_drop(&f);
}
END_TEST

START_TEST(a_ring_beside_its_reader) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_ring_stats s;
    rbcore_record records[2];
    for (uint64_t i = 0; i < 4; i++) {
        produce(&f, i);
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
    ok(look(&f, &s));
    ck_assert_uint_eq(s.consumer_pos, 0);
    ck_assert_uint_eq(s.bytes_waiting, 64); /* also what was handed out: it is not given back */
    ck_assert_uint_eq(s.reader_pid, (uint64_t)getpid());
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ok(look(&f, &s));
    ck_assert_uint_eq(s.consumer_pos, 32);
    ck_assert_uint_eq(s.producer_pos, 64);
    ck_assert_uint_eq(s.bytes_waiting, 32);
    ck_assert_uint_eq(s.lost, 0);
    expect_the_rest_is_unknown(&s);
    rbcore_reader_free(f.reader);
    ok(look(&f, &s));
    ck_assert_uint_eq(s.reader_pid, 0);
    fixture_drop(&f);
}
END_TEST

static int look_in_child(void *argument) {
    const fixture *ring = argument;
    rbcore_ring_stats s;
    return look(ring, &s) == 0 && s.reader_pid == (uint64_t)getppid() ? 0 : 1;
}

START_TEST(a_ring_whose_reader_is_another_process) {
    fixture f = fixture_open(page_size(), 0);
    ck_assert_int_eq(in_child(look_in_child, &f), 0);
    fixture_close(&f);
}
END_TEST

/* Old records are overwritten, and nobody moves consumer_pos. */
START_TEST(an_overwritten_ring) {
    fixture f = ring_open(RBCORE_MEMORY_RING_OVERWRITE);
    rbcore_ring_stats s;
    for (uint64_t i = 0; i < page_size(); i++) {
        produce(&f, i);
    }
    ok(look(&f, &s));
    ck_assert_uint_eq(s.producer_pos, 16 * page_size());
    ck_assert_uint_eq(s.bytes_waiting, page_size());
    fixture_drop(&f);
}
END_TEST

/* No byte, descriptor or lock: a reader that comes then finds the ring free, and is guarded. */
START_TEST(nothing_is_changed) {
    fixture f = ring_open(0);
    image raw = image_map(f.memory_fd);
    size_t size = 2 * page_size() + raw.ring_size;
    uint8_t *before = malloc(size);
    rbcore_ring_stats s;
    ck_assert_ptr_nonnull(before);
    produce(&f, 1);
    memcpy(before, raw.base, size);
    unsigned int fds = open_fds();
    for (int i = 0; i < 10; i++) {
        ok(look(&f, &s));
    }
    ck_assert_int_eq(memcmp(before, raw.base, size), 0);
    ck_assert_uint_eq(open_fds(), fds);
    f.reader = reader_on(&f, 0, 0);
    ck_assert_uint_eq(ring_stats(&f).flags, 0);
    free(before);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* The flags and event_fd are a reader's matter. */
START_TEST(what_is_not_looked_at) {
    fixture f = ring_open(0);
    rbcore_source source = memory_source(f.memory_fd, f.memory_fd);
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    source.flags = UINT32_MAX;
    ok(rbcore_source_ring_stats(&source, &s));
    source.event_fd = -1;
    ck_assert_int_eq(rbcore_source_ring_stats(&source, &s), -EINVAL);
    fixture_drop(&f);
}
END_TEST

START_TEST(older_and_newer_structs) {
    fixture f = ring_open(0);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    struct {
        rbcore_ring_stats known;
        uint64_t future;
    } s = {.known = RBCORE_RING_STATS_INIT, .future = 1};
    s.known.size = sizeof(s);
    ok(rbcore_source_ring_stats(&source, &s.known));
    ck_assert_uint_eq(s.known.size, sizeof(s));
    ck_assert_uint_eq(s.known.ring_size, page_size());
    ck_assert_uint_eq(s.future, RBCORE_UNKNOWN);
    s.known.size = offsetof(rbcore_ring_stats, lost);
    s.known.lost = 5;
    ok(rbcore_source_ring_stats(&source, &s.known));
    ck_assert_uint_eq(s.known.lost, 5);
    const size_t absurd[] = {0, sizeof(size_t) - 1, 4097};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
        s.known.size = absurd[i];
        ck_assert_int_eq(rbcore_source_ring_stats(&source, &s.known), -EINVAL);
        s.known.size = sizeof(s.known);
        source.size = absurd[i];
        ck_assert_int_eq(rbcore_source_ring_stats(&source, &s.known), -EINVAL);
        source.size = sizeof(source);
    }
    struct {
        rbcore_source known;
        uint64_t future;
    } newer = {.known = source, .future = 1};
    newer.known.size = sizeof(newer);
    ck_assert_int_eq(rbcore_source_ring_stats(&newer.known, &s.known), -E2BIG);
    fixture_drop(&f);
}
END_TEST

static int look_at(uint32_t kind, int fd) {
    rbcore_source source = memory_source(fd, 0);
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    source.kind = kind;
    errno = 4711;
    int result = rbcore_source_ring_stats(&source, &s);
    ck_assert_int_eq(errno, 4711);
    ck_assert_uint_eq(s.ring_size, 0);
    return result;
}

START_TEST(what_is_no_ring) {
    fixture f = ring_open(0);
    image raw = image_map(f.memory_fd);
    char path[64];
    int unsealed = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    unsigned int fds = open_fds();
    ok(ftruncate(unsealed, 3 * (off_t)page_size()));
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MEMORY_RING, unsealed), -EBADFD);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MEMORY_RING, f.event_fd), -EBADFD);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MEMORY_RING, -1), -EINVAL);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MEMORY_RING, 4711), -EBADF);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MAP_FD, 4711), -EBADF);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MAP_FD, unsealed), -EBADFD);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MAP_FD, -1), -EINVAL);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_PINNED_PATH, unsealed), -EINVAL);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MAP_ID, unsealed), -EINVAL);
    ck_assert_int_eq(look_at(0, unsealed), -EINVAL);
    ck_assert_int_eq(look_at(5, unsealed), -EINVAL);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f.memory_fd);
    int read_only = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(read_only, 0);
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MEMORY_RING, read_only), -EACCES);
    close(read_only);
    memset(raw.base + page_size() + 128, 0, 8); /* the layout's name */
    ck_assert_int_eq(look_at(RBCORE_SOURCE_MEMORY_RING, f.memory_fd), -EBADFD);
    ck_assert_uint_eq(open_fds(), fds);
    close(unsealed);
    image_unmap(&raw);
    fixture_drop(&f);
}
END_TEST

START_TEST(losses_of_what_counts_none) {
    fixture f = ring_open(0);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    unsigned int fds = open_fds();
    source.loss_fd = 4711;
    ck_assert_int_eq(rbcore_source_ring_stats(&source, &s), -EBADF);
    source.loss_fd = f.event_fd;
    ck_assert_int_eq(rbcore_source_ring_stats(&source, &s), -EBADFD);
    ck_assert_int_eq(rbcore_source_ring_stats(NULL, &s), -EINVAL);
    ck_assert_int_eq(rbcore_source_ring_stats(&source, NULL), -EINVAL);
    ck_assert_uint_eq(open_fds(), fds);
    fixture_drop(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {a_ring_without_a_reader,
                                  a_ring_beside_its_reader,
                                  a_ring_whose_reader_is_another_process,
                                  an_overwritten_ring,
                                  nothing_is_changed,
                                  what_is_not_looked_at,
                                  older_and_newer_structs,
                                  what_is_no_ring,
                                  losses_of_what_counts_none,
                                  NULL};
    return run_tests("look", tests);
}
