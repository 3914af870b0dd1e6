/* SPDX-License-Identifier: MIT */
/* Readers of thousands of rings: what one more costs, and where it ends. */
#include "support.h"
#include "tracing.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define MANY 5000
#define PAIRS 10000
#define COUNTED 100 /* of them: each stops twice for its parent */

static bool is_traceable;

/* Two descriptors of the reader for each memory ring; those of the test are closed. */
static bool may_open(rlim_t rings) {
    struct rlimit limit;
    ok(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    ok(setrlimit(RLIMIT_NOFILE, &limit));
    return limit.rlim_max >= 2 * rings + 100;
}

static void add_rings(rbcore_reader *reader, int count) {
    for (int i = 0; i < count; i++) {
        fixture ring = fixture_add(reader, page_size());
        fixture_drop(&ring);
    }
}

START_TEST(descriptors) {
    unsigned int before = open_fds();
    rbcore_reader *reader = open_reader(0);
    ck_assert_uint_eq(open_fds(), before + 3);
    add_rings(reader, 40);
    ck_assert_uint_eq(open_fds(), before + 3 + 2 * 40);
    rbcore_reader_free(reader);
    ck_assert_uint_eq(open_fds(), before);
}
END_TEST

/* Mappings of the ring and its copy that a reader makes. */
static unsigned int mappings_of(uint32_t ring_flags, uint32_t source_flags) {
    fixture ring = {.ring = 0};
    ok(rbcore_memory_ring_create(&ring.memory_fd, &ring.event_fd, page_size(), ring_flags));
    unsigned int before = mapped_rings();
    ring.reader = reader_on(&ring, 0, source_flags);
    unsigned int mappings = mapped_rings() - before;
    rbcore_reader_free(ring.reader);
    close(ring.memory_fd);
    close(ring.event_fd);
    return mappings;
}

START_TEST(mappings) {
    ck_assert_uint_le(mappings_of(0, 0), 4);
    ck_assert_uint_le(mappings_of(0, RBCORE_SOURCE_TAP), 7);
    ck_assert_uint_le(mappings_of(RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE), 7);
}
END_TEST

typedef struct changes {
    int others, pairs; /* rings of the reader; how often one more is added and removed */
} changes;

static bool add_and_remove(rbcore_reader *reader, const rbcore_source *source, int pairs) {
    for (int i = 0; i < pairs; i++) {
        int index = rbcore_reader_add(reader, source);
        if (index < 0 || rbcore_reader_remove(reader, (unsigned int)index) != 0) {
            return false;
        }
    }
    return true;
}

/* Its parent counts the system calls of the last pairs. */
static int change_rings(void *argument) {
    const changes *self = argument;
    rbcore_reader *reader = open_reader(0);
    add_rings(reader, self->others);
    fixture ring = fixture_open(page_size(), 0);
    rbcore_reader_free(ring.reader);
    rbcore_source source = memory_source(ring.memory_fd, ring.event_fd);
    unsigned int before = open_fds();
    if (!add_and_remove(reader, &source, self->pairs - COUNTED) || open_fds() != before) {
        return 1;
    }
    stop_to_be_traced();
    _exit(!add_and_remove(reader, &source, COUNTED));
}

static unsigned int calls_of_last(changes self) {
    pid_t pid = start_child(change_rings, &self);
    await_stop(pid);
    unsigned int stops = 0;
    while (step_to_call(pid)) {
        stops++;
    }
    return stops / 2;
}

START_TEST(one_more_costs_the_same) {
    if (!is_traceable || !may_open(MANY)) {
        printf("skipped: one_more_costs_the_same: needs ptrace(2) and many descriptors\n");
        return;
    }
    unsigned int alone = calls_of_last((changes){.others = 0, .pairs = COUNTED});
    unsigned int beside_many = calls_of_last((changes){.others = MANY, .pairs = PAIRS});
    ck_assert_msg(alone > COUNTED && beside_many < alone + COUNTED,
                  "%u calls alone, %u after %d pairs beside %d", alone, beside_many, PAIRS, MANY);
}
END_TEST

/* Takes all mappings but a few that a process may have. Returns where they are, or NULL. */
static void *take_mappings(size_t *size) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return NULL; /* a sanitizer ends the process if it gets no more */
#endif
    unsigned long most = 0;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file == NULL || fscanf(file, "%lu", &most) != 1 || most > 1000000) {
        return NULL;
    }
    fclose(file);
    *size = 2 * most * page_size();
    uint8_t *base =
        mmap(NULL, *size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    for (size_t i = 0; mprotect(base + i * page_size(), page_size(), PROT_READ) == 0; i += 2) {
    }
    return base;
}

START_TEST(no_mappings_left) {
    size_t size = 0;
    fixture f = fixture_open(page_size(), 0);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    ok(rbcore_reader_remove(f.reader, f.ring));
    void *taken = take_mappings(&size);
    if (taken == NULL) {
        printf("skipped: no_mappings_left: there are too many, or a sanitizer needs some\n");
    } else {
        unsigned int fds = open_fds();
        ck_assert_int_eq(rbcore_reader_add(f.reader, &source), -ENOMEM);
        ck_assert_ptr_nonnull(strstr(rbcore_reader_message(f.reader), "vm.max_map_count"));
        munmap(taken, size);
        ck_assert_uint_eq(open_fds(), fds);
        ck_assert_int_ge(rbcore_reader_add(f.reader, &source), 0);
    }
    fixture_close(&f);
}
END_TEST

/* The index of a record is that of its ring, and one record wakes whichever ring it is in. */
START_TEST(a_record_in_each_of_many) {
    if (thread_sanitizer() || !may_open(2 * 3000)) {
        printf("skipped: a_record_in_each_of_many: needs many mappings and descriptors\n");
        return;
    }
    rbcore_reader *reader = open_reader(0);
    rbcore_record record;
    static fixture rings[3000];
    for (unsigned int i = 0; i < 3000; i++) {
        rings[i] = fixture_add(reader, page_size());
        ck_assert_uint_eq(rings[i].ring, i);
    }
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 0), 0);
    for (unsigned int i = 0; i < 3000; i += 31) {
        produce(&rings[i], i);
        ck_assert(readable(rbcore_reader_fd(reader), 0));
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
        ck_assert_uint_eq(record.ring, i);
        ck_assert_uint_eq(value_of(&record), i);
        ok(rbcore_reader_commit(reader, &record, 0));
    }
    rbcore_reader_free(reader);
    for (unsigned int i = 0; i < 3000; i++) {
        fixture_drop(&rings[i]);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        descriptors,      mappings, one_more_costs_the_same, a_record_in_each_of_many,
        no_mappings_left, NULL};
    is_traceable = !thread_sanitizer() && can_trace();
    return run_tests("many_rings", tests);
}
