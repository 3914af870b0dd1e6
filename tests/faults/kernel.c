/* SPDX-License-Identifier: MIT */
/* Faults in the lives of readers of kernel rings, and of producers of user rings. */
#include "bpf_rings.h"
#include "readers.h"
#include "scenario.h"

#include <stdio.h>

/* ---- Readers, of a ring that is named in three ways ---- */

/*
 * The rings are made once for all runs of a scenario: to load a program takes longer than all the
 * rest.
 */
static bpf_ring rings[2];
static bool is_taken[2];

static void make_rings(size_t size) {
    rings[0] = bpf_ring_open(size);
    rings[1] = bpf_ring_open(size);
}

static void *open_by_fd(rbcore_source *source, size_t size, bool overwrites) {
    const int which = is_taken[0];
    ck_assert(!overwrites && size > 0 && !is_taken[which]);
    is_taken[which] = true;
    *source = (rbcore_source)RBCORE_SOURCE_INIT;
    source->kind = RBCORE_SOURCE_MAP_FD;
    source->fd = rings[which].map;
    source->loss_fd = rings[which].losses;
    return &rings[which];
}

static void *open_by_path(rbcore_source *source, size_t size, bool overwrites) {
    static char path[64];
    bpf_ring *ring = open_by_fd(source, size, overwrites);
    snprintf(path, sizeof(path), "%s/ring", bpf_folder());
    bpf_pin(ring->map, path);
    source->kind = RBCORE_SOURCE_PINNED_PATH;
    source->fd = -1;
    source->path = path;
    return ring;
}

static void *open_by_id(rbcore_source *source, size_t size, bool overwrites) {
    bpf_ring *ring = open_by_fd(source, size, overwrites);
    source->kind = RBCORE_SOURCE_MAP_ID;
    source->fd = -1;
    source->map_id = bpf_map_number(ring->map);
    return ring;
}

static void emit(void *ring, uint64_t value) {
    bpf_ring_emit(ring, value);
}

static void close_ring(void *argument, const rbcore_source *source) {
    is_taken[argument == &rings[1]] = false;
    if (source->path != NULL) {
        ok(unlink(source->path));
    }
}

static const ring_kind by_fd = {open_by_fd, emit, close_ring, true};
static const ring_kind by_path = {open_by_path, emit, close_ring, true};
static const ring_kind by_id = {open_by_id, emit, close_ring, true};

static void each_fault_of(const char *name, void (*scenario)(const void *), const life *way) {
    make_rings(way->is_paced ? PACED_RING_SIZE : page_size());
    each_fault_in(name, scenario, way);
    bpf_ring_close(&rings[0]);
    bpf_ring_close(&rings[1]);
}

#define LIVES(name, ...)                                                                           \
    START_TEST(name) {                                                                             \
        each_fault_of(#name, live, &(const life){__VA_ARGS__});                                    \
    }                                                                                              \
    END_TEST

LIVES(a_reader_that_commits, .kind = &by_fd, .is_paced = true)
LIVES(a_reader_that_releases, .kind = &by_fd, .reader_flags = RBCORE_READER_RELEASE)
LIVES(a_reader_that_polls, .kind = &by_fd, .reader_flags = RBCORE_READER_POLL,
      .without_loss_map = true)
LIVES(a_ring_by_id, .kind = &by_id, .without_loss_map = true)
LIVES(a_tap, .kind = &by_fd, .source_flags = RBCORE_SOURCE_TAP)

START_TEST(a_ring_that_is_pinned) {
    if (bpf_folder() == NULL) {
        printf("skipped: a_ring_that_is_pinned: no file system for pins can be mounted\n");
        return;
    }
    each_fault_of("a_ring_that_is_pinned", live, &(const life){.kind = &by_path});
}
END_TEST

START_TEST(two_rings) {
    each_fault_of("two_rings", live_with_two, &(const life){.kind = &by_fd});
}
END_TEST

/* ---- Producers of user rings ---- */

/* Fills it; nobody drains it. Returns how many records were written. */
static unsigned fill(rbcore_producer *producer) {
    unsigned count = 0;
    void *data;
    while (MAKE_AFTER((void)0, -EAGAIN, rbcore_producer_reserve, producer, &data, 200) == 0) {
        MAKE(rbcore_producer_submit, producer, data, 0);
        count++;
    }
    return count;
}

static void produce_for_bpf(const void *argument) {
    const rbcore_slice slices[] = {{"abc", 3}, {NULL, 0}, {"defg", 4}};
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_producer *producer = NULL;
    void *data;
    int map = bpf_map_of_type(USER_RINGBUF, 0, 0, (uint32_t)page_size());
    source.kind = *(const uint32_t *)argument;
    source.fd = map;
    source.map_id = bpf_map_number(map);
    MAKE(rbcore_producer_open, &producer, &source);
    MAKE(rbcore_producer_output, producer, "abc", 3, 0);
    MAKE(rbcore_producer_reserve, producer, &data, 100);
    MAKE(rbcore_producer_discard, producer, data, 0);
    ck_check(MAKE(rbcore_producer_output_batch, producer, slices, 3, 0) == 3, "a batch");
    ck_check(fill(producer) > 10, "records that fit");
    MAKE_FAIL(-EAGAIN, rbcore_producer_reserve_wait, producer, &data, 200, 100000);
    MAKE_FAIL(-EAGAIN, rbcore_producer_reserve_wait, producer, &data, 200, 100000);
    rbcore_producer *other = NULL;
    ck_check(rbcore_producer_open(&other, &source) == -EBUSY, "a second producer");
    DROP(rbcore_producer_free, producer);
    ck_check(rbcore_producer_open(&other, &source) == 0, "the next producer");
    rbcore_producer_free(other);
    close(map);
}

START_TEST(a_producer_of_a_user_ring) {
    const uint32_t kinds[] = {RBCORE_SOURCE_MAP_FD, RBCORE_SOURCE_MAP_ID};
    each_fault_in("a_producer_of_a_user_ring", produce_for_bpf, &kinds[0]);
    each_fault_in("a_producer_of_a_user_ring by id", produce_for_bpf, &kinds[1]);
}
END_TEST

int main(void) {
    if (thread_sanitizer()) {
        skip("ThreadSanitizer has nothing to say about one thread");
    }
    const char *missing = bpf_is_missing();
    if (missing != NULL) {
        skip(missing);
    }
    const TTest *const tests[] = {a_reader_that_commits,
                                  a_reader_that_releases,
                                  a_reader_that_polls,
                                  a_ring_by_id,
                                  a_tap,
                                  a_ring_that_is_pinned,
                                  two_rings,
                                  a_producer_of_a_user_ring,
                                  NULL};
    return run_tests("faults in kernel rings", tests);
}
