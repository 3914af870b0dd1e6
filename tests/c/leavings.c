/* SPDX-License-Identifier: MIT */
/* Handles that are closed leave nothing behind, and a program that is executed gets nothing. */
#include "support.h"

#include <fcntl.h>
#include <malloc.h>

typedef struct ring_files {
    int memory_fd, event_fd;
    uint32_t flags; /* of a source for it */
} ring_files;

#define KINDS 3

/* Each kind of ring: one that is read in place, a tapped one, one that overwrites. */
static ring_files make_ring(int kind) {
    const uint32_t flags[KINDS] = {0, RBCORE_SOURCE_TAP, RBCORE_SOURCE_OVERWRITE};
    ring_files self = {.flags = flags[kind]};
    ok(rbcore_memory_ring_create(
        &self.memory_fd, &self.event_fd, page_size(),
        flags[kind] & RBCORE_SOURCE_OVERWRITE ? RBCORE_MEMORY_RING_OVERWRITE : 0));
    return self;
}

static void close_ring(const ring_files *self) {
    close(self->memory_fd);
    close(self->event_fd);
}

static rbcore_source source_of(const ring_files *self) {
    rbcore_source source = memory_source(self->memory_fd, self->event_fd);
    source.flags = self->flags;
    return source;
}

/* A reader ends with or without a removal, with or without records that are held. */
static void use_ring(int kind, uint32_t flags) {
    ring_files ring = make_ring(kind);
    rbcore_source source = source_of(&ring);
    rbcore_producer *producer = producer_on(ring.memory_fd, ring.event_fd);
    rbcore_reader *reader = open_reader(flags);
    rbcore_snapshot *snapshot = NULL;
    rbcore_record record;
    for (int i = 0; i < 2; i++) {
        int index = rbcore_reader_add(reader, &source);
        ck_assert_int_ge(index, 0);
        ok(rbcore_producer_output(producer, "12345678", 8, 0));
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
        ok(rbcore_reader_snapshot(reader, (unsigned int)index, &snapshot, 0));
        ck_assert_int_gt(mapped_rings(), 0);
        if (i == 0) {
            ok(flags & RBCORE_READER_RELEASE ? rbcore_reader_release(reader, &record, 1)
                                             : rbcore_reader_commit(reader, NULL, 0));
            ok(rbcore_reader_remove(reader, (unsigned int)index));
        }
    }
    rbcore_reader_free(reader);
    if (flags & RBCORE_READER_RELEASE) {
        ok(rbcore_reader_release(reader, &record, 1)); /* which ends it */
    }
    rbcore_snapshot_free(snapshot);
    rbcore_producer_free(producer);
    close_ring(&ring);
}

START_TEST(a_look_leaves_nothing) {
    for (int kind = 0; kind < KINDS; kind++) {
        ring_files ring = make_ring(kind);
        unsigned int before = mapped_rings(), fds = open_fds();
        const rbcore_source source = memory_source(ring.memory_fd, ring.event_fd);
        rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
        ok(rbcore_source_ring_stats(&source, &stats));
        ck_assert_uint_eq(mapped_rings(), before);
        ck_assert_uint_eq(open_fds(), fds);
        close_ring(&ring);
    }
}
END_TEST

START_TEST(what_is_closed_leaves_nothing) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (int release = 0; release < 2; release++) {
            unsigned int fds = open_fds();
            use_ring(kind, release ? RBCORE_READER_RELEASE : 0);
            ck_assert_uint_eq(open_fds(), fds);
            ck_assert_uint_eq(mapped_rings(), 0);
        }
    }
}
END_TEST

static int create_ring(void *argument) {
    int memory_fd, event_fd;
    (void)argument;
    int result = rbcore_memory_ring_create(&memory_fd, &event_fd, page_size(), 0);
    if (result == 0) {
        close(memory_fd);
        close(event_fd);
    }
    return result;
}

static int open_and_free_reader(void *argument) {
    rbcore_reader *reader;
    (void)argument;
    int result = rbcore_reader_open(&reader, NULL);
    if (result == 0) {
        rbcore_reader_free(reader);
    }
    return result;
}

typedef struct adding {
    rbcore_reader *reader;
    rbcore_source source;
} adding;

static int add_and_remove(void *argument) {
    adding *self = argument;
    int index = rbcore_reader_add(self->reader, &self->source);
    if (index >= 0) {
        ok(rbcore_reader_remove(self->reader, (unsigned int)index));
    }
    return index < 0 ? index : 0;
}

static int open_and_free_producer(void *argument) {
    adding *self = argument;
    rbcore_producer *producer;
    int result = rbcore_producer_open(&producer, &self->source);
    if (result == 0) {
        rbcore_producer_free(producer);
    }
    return result;
}

START_TEST(what_fails_leaves_nothing) {
    run_short_of_descriptors(create_ring, NULL);
    run_short_of_descriptors(open_and_free_reader, NULL);
    for (int kind = 0; kind < KINDS; kind++) {
        ring_files ring = make_ring(kind);
        adding it = {.reader = open_reader(0), .source = source_of(&ring)};
        run_short_of_descriptors(add_and_remove, &it);
        it.source.flags = 0;
        run_short_of_descriptors(open_and_free_producer, &it);
        rbcore_reader_free(it.reader);
        close_ring(&ring);
    }
}
END_TEST

START_TEST(probes_leave_nothing) {
    unsigned int fds = open_fds();
    rbcore_supports(RBCORE_FEATURE_KERNEL_RING);
    rbcore_supports(RBCORE_FEATURE_OVERWRITE);
    rbcore_supports(RBCORE_FEATURE_MEMORY_RING);
    rbcore_supports(RBCORE_FEATURE_USER_RING);
    ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

/* The descriptors that are open, up to a number that this test does not reach. */
static uint64_t open_set(void) {
    uint64_t set = 0;
    for (int fd = 0; fd < 64; fd++) {
        set |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
    }
    return set;
}

START_TEST(no_descriptor_survives_exec) {
    uint64_t before = open_set();
    rbcore_reader *reader = open_reader(0);
    rbcore_producer *producers[KINDS];
    ring_files rings[KINDS];
    for (int kind = 0; kind < KINDS; kind++) {
        rings[kind] = make_ring(kind);
        rbcore_source source = source_of(&rings[kind]);
        ck_assert_int_eq(rbcore_reader_add(reader, &source), kind);
        producers[kind] = producer_on(rings[kind].memory_fd, rings[kind].event_fd);
    }
    uint64_t ours = open_set() & ~before;
    ck_assert_uint_ne(ours, 0);
    ck_assert_uint_eq(ours >> 63, 0);
    for (int fd = 0; fd < 64; fd++) {
        if (ours >> fd & 1) {
            ck_assert_msg(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d survives exec", fd);
        }
    }
    rbcore_reader_free(reader);
    for (int kind = 0; kind < KINDS; kind++) {
        rbcore_producer_free(producers[kind]);
        close_ring(&rings[kind]);
    }
    ck_assert_uint_eq(open_set(), before);
}
END_TEST

/* A refusal by which no snapshot is made, so often that it would show. */
START_TEST(a_refused_snapshot_leaves_nothing) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *snapshot = NULL;
    rbcore_record record;
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(
            rbcore_reader_snapshot(f.reader, f.ring, &snapshot, RBCORE_SNAPSHOT_CONSUME), -EBUSY);
    }
    ck_assert_uint_lt(mallinfo2().uordblks, before + 100 * page_size());
    ck_assert_ptr_null(snapshot);
    fixture_close(&f);
}
END_TEST

typedef struct inherited {
    rbcore_reader *reader;
    unsigned int fds; /* before the reader was opened */
} inherited;

static int free_in_child(void *argument) {
    inherited *self = argument;
    rbcore_reader_free(self->reader);
    return mapped_rings() != 0 ? 1 : open_fds() != self->fds ? 2 : 0;
}

/* Records that the parent's threads hold are nobody's to release there. */
START_TEST(a_child_frees_what_it_inherited) {
    for (int release = 0; release < 2; release++) {
        inherited it = {.fds = open_fds()};
        ring_files ring = make_ring(0);
        rbcore_producer *producer = producer_on(ring.memory_fd, ring.event_fd);
        rbcore_source source = source_of(&ring);
        rbcore_record record;
        it.reader = open_reader(release ? RBCORE_READER_RELEASE : 0);
        ck_assert_int_eq(rbcore_reader_add(it.reader, &source), 0);
        ok(rbcore_producer_output(producer, "12345678", 8, 0));
        ck_assert_int_eq(rbcore_reader_read(it.reader, &record, 1), 1);
        rbcore_producer_free(producer);
        close_ring(&ring);
        ck_assert_int_eq(in_child(free_in_child, &it), 0);
        rbcore_reader_free(it.reader);
        if (release) {
            ok(rbcore_reader_release(it.reader, &record, 1));
        }
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        what_is_closed_leaves_nothing,   a_look_leaves_nothing,
        what_fails_leaves_nothing,       probes_leave_nothing,
        no_descriptor_survives_exec,     a_refused_snapshot_leaves_nothing,
        a_child_frees_what_it_inherited, NULL};
    return run_tests("leavings", tests);
}
