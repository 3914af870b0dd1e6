/* SPDX-License-Identifier: MIT */
/* Faults in the lives of readers of memory rings. */
#include "readers.h"
#include "scenario.h"

#include <stdio.h>

static void *open_memory(rbcore_source *source, size_t size, bool overwrites) {
    int memory, event;
    ok(rbcore_memory_ring_create(&memory, &event, size,
                                 overwrites ? RBCORE_MEMORY_RING_OVERWRITE : 0));
    *source = memory_source(memory, event);
    return producer_on(memory, event);
}

static void emit(void *ring, uint64_t value) {
    ok(rbcore_producer_output(ring, &value, sizeof(value), 0));
}

static void close_memory(void *ring, const rbcore_source *source) {
    rbcore_producer_free(ring);
    close(source->fd);
    close(source->event_fd);
}

static const ring_kind memory_ring = {open_memory, emit, close_memory, true};

#define LIVES(name, ...)                                                                           \
    START_TEST(name) {                                                                             \
        each_fault_in(#name, live, &(const life){.kind = &memory_ring, __VA_ARGS__});              \
    }                                                                                              \
    END_TEST

LIVES(a_reader_that_commits, .is_busy = true)
LIVES(a_reader_that_releases, .reader_flags = RBCORE_READER_RELEASE)
LIVES(a_reader_that_polls, .reader_flags = RBCORE_READER_POLL)
LIVES(a_reader_that_insists_on_the_latest,
      .source_flags = RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST)
LIVES(a_tap, .source_flags = RBCORE_SOURCE_TAP)
LIVES(a_tap_that_releases, .source_flags = RBCORE_SOURCE_TAP, .reader_flags = RBCORE_READER_RELEASE)
LIVES(a_ring_that_overwrites, .source_flags = RBCORE_SOURCE_OVERWRITE, .overwrites = true)
LIVES(a_tap_of_one_that_overwrites, .source_flags = RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP,
      .overwrites = true)

START_TEST(two_rings) {
    each_fault_in("two_rings", live_with_two, &(const life){.kind = &memory_ring});
}
END_TEST

#define NO_SUCH_FAULT 40

/* The page that tells forked children is made with the first handle of a process. */
static int open_first(void *argument) {
    const fault_plan *plan = argument;
    rbcore_reader *reader = NULL;
    const unsigned fds = open_fds();
    fault_begin(*plan);
    call_begins();
    int error = rbcore_reader_open(&reader, NULL);
    call_ends();
    fault_report report = fault_result();
    fault_end();
    if (error != 0) {
        is_to_repeat("rbcore_reader_open", error, 0);
        /* The page stays, if it could be made. */
        bool has_page = !was_failed("mmap") && !was_failed("madvise") && !was_failed("calloc");
        allocated held = allocated_now();
        ck_check(held.blocks == 0 && held.mappings == has_page, "memory was not freed");
        ck_check(open_fds() == fds, "descriptors are left");
        ok(rbcore_reader_open(&reader, NULL));
    }
    rbcore_reader_free(reader);
    return report.fired ? 0 : NO_SUCH_FAULT;
}

START_TEST(the_first_handle_of_a_process) {
    for (fault_plan plan = {.call = 1};; plan.call++) {
        int ended = 0;
        for (plan.error = 0; ended == 0; plan.error++) {
            ended = in_child(open_first, &plan);
        }
        ck_assert_int_eq(ended, NO_SUCH_FAULT);
        if (plan.error == 1) {
            ck_assert_uint_gt(plan.call, 6);
            return;
        }
    }
}
END_TEST

int main(void) {
    if (thread_sanitizer()) {
        skip("ThreadSanitizer's build maps a ring once for all");
    }
    const TTest *const tests[] = {the_first_handle_of_a_process,
                                  a_reader_that_commits,
                                  a_reader_that_releases,
                                  a_reader_that_polls,
                                  a_reader_that_insists_on_the_latest,
                                  a_tap,
                                  a_tap_that_releases,
                                  a_ring_that_overwrites,
                                  a_tap_of_one_that_overwrites,
                                  two_rings,
                                  NULL};
    return run_tests("faults of readers of memory rings", tests);
}
