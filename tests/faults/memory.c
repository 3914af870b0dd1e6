/* SPDX-License-Identifier: MIT */
/* Faults in the lives of readers of memory rings. */
#include "readers.h"
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>

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

LIVES(a_reader_that_commits, .is_paced = true)
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

/* ---- A reader in another pid namespace ---- */

/* It dies, but its child lives and keeps its lock: only /proc tells that it is dead. */
static int die_with_a_child(void *argument) {
    const rbcore_source *source = argument;
    rbcore_reader *reader;
    if (rbcore_reader_open(&reader, NULL) != 0 || rbcore_reader_add(reader, source) != 0) {
        return 1;
    }
    if (fork() == 0) {
        pause();
    }
    return 0;
}

typedef struct container {
    const rbcore_source *source;
    bool lives; /* the reader */
    int ready[2];
} container;

/* This is the first process of the namespace: all in it end with this one. */
static int be_first(void *argument) {
    const container *self = argument;
    rbcore_source source = *self->source;
    /* One that lives is not the first that /proc shows. */
    if (self->lives && fork() > 0) {
        pause();
    }
    int failed = self->lives ? die_with_a_child(&source) : in_child(die_with_a_child, &source);
    if (write(self->ready[1], failed ? "x" : "r", 1) == 1) {
        pause();
    }
    return 0;
}

static int contain(void *argument) {
    return unshare(CLONE_NEWPID) != 0 ? 1 : in_child(be_first, argument);
}

/*
 * This is the ring as the dead reader left it. Namespaces take long to make, so that is done once.
 */
typedef struct heritage {
    rbcore_source source;
    image raw;
    unsigned char *left;
    size_t size;
    bool is_taken; /* by one that lives */
} heritage;

static void live_after_another(const void *argument) {
    const heritage *self = argument;
    rbcore_reader *reader = NULL;
    rbcore_record record;
    memcpy(self->raw.base, self->left, self->size);
    MAKE(rbcore_reader_open, &reader, NULL);
    if (self->is_taken) {
        MAKE_FAIL(-EBUSY, rbcore_reader_add, reader, &self->source);
    } else {
        MAKE(rbcore_reader_add, reader, &self->source);
        ck_check(MAKE(rbcore_reader_next, reader, &record, 1, WATCHDOG_NS) == 1, "a record");
    }
    DROP(rbcore_reader_free, reader);
}

/* This runs in a namespace where /proc shows these few processes alone: each is looked at. */
static int among_few(void *argument) {
    heritage self = {.is_taken = *(const bool *)argument};
    container others = {.source = &self.source, .lives = self.is_taken};
    char word = 0;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", 0, NULL) != 0) {
        return 77;
    }
    void *ring = open_memory(&self.source, page_size(), false);
    ok(pipe2(others.ready, O_CLOEXEC));
    pid_t outer = start_child(contain, &others);
    ck_assert_int_eq(read(others.ready[0], &word, 1), 1);
    ck_assert_int_eq(word, 'r');
    emit(ring, 5);
    self.raw = image_map(self.source.fd);
    self.size = self.raw.ring_size + 2 * page_size();
    self.left = malloc(self.size);
    memcpy(self.left, self.raw.base, self.size);
    /* This many calls read most of /proc once; the claim does that 20 times. */
    first_faults_in(self.is_taken ? "beside_a_reader_that_lives_below"
                                  : "after_a_reader_that_died_below",
                    live_after_another, &self, self.is_taken ? 500 : 150);
    kill(outer, SIGKILL);
    wait_child(outer);
    free(self.left);
    image_unmap(&self.raw);
    close_memory(ring, &self.source);
    return 0;
}

static int in_own_namespaces(void *argument) {
    return unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 ? 77 : in_child(among_few, argument);
}

static void expect_good(int result, const char *test) {
    if (result == 77) {
        printf("skipped: %s: no namespaces can be made here\n", test);
        return;
    }
    ck_assert_int_eq(result, 0);
}

START_TEST(after_a_reader_that_died_below) {
    bool lives = false;
    expect_good(in_child(in_own_namespaces, &lives), "after_a_reader_that_died_below");
}
END_TEST

START_TEST(beside_a_reader_that_lives_below) {
    bool lives = true;
    expect_good(in_child(in_own_namespaces, &lives), "beside_a_reader_that_lives_below");
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
                                  after_a_reader_that_died_below,
                                  beside_a_reader_that_lives_below,
                                  NULL};
    return run_tests("faults of readers of memory rings", tests);
}
