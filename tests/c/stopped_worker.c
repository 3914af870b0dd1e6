/* SPDX-License-Identifier: MIT */
/*
 * A thread is stopped in the middle of a call, at one instruction after the other, and the reading
 * thread goes on meanwhile.
 *
 * In the middle of a release: whatever the reading thread does returns. So no call for reading
 * waits for another thread, which a reader of higher priority could keep off the processor. In the
 * middle of a look at statistics: the figures still fit each other.
 *
 * The thread is a thread of a child process, which this one traces and lets run step by step.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX_RECORDS 512

/*
 * The worker runs so many instructions between two stops: RBCORE_STEPS=1 stops at each instruction.
 */
#define STEPS 5

/* The child and its tracer share this. */
typedef struct common {
    atomic_int worker;    /* its thread id */
    atomic_int go;        /* the worker may release */
    atomic_uint rounds;   /* of the reading thread */
    atomic_uint received; /* records, in the middle of a release */
    atomic_int is_done;   /* the worker has done its work */
    atomic_int is_wrong;  /* and found something wrong */
} common;

/* The worker does this, once it is told to. */
typedef struct work {
    void (*act)(const struct work *);
    const fixture *f;
    const rbcore_record *held;
    common *shared;
} work;

static void *do_work(void *argument) {
    work *self = argument;
    atomic_store(&self->shared->worker, (int)syscall(SYS_gettid));
    while (!atomic_load(&self->shared->go)) {
        sleep_ms(1);
    }
    self->act(self);
    atomic_store(&self->shared->is_done, 1);
    return NULL;
}

static void release_two(const work *self) {
    ok(rbcore_reader_release(self->f->reader, self->held, 2));
}

/* No position is ahead of one that it cannot be ahead of, as long as each is loaded before that. */
static void ask_for_positions(const work *self) {
    rbcore_ring_stats s = ring_stats(self->f);
    if (s.consumer_pos > s.user_pos || s.user_pos > s.read_pos || s.read_pos > s.producer_pos) {
        atomic_store(&self->shared->is_wrong, 1);
    }
}

static fixture open_ring(uint32_t ring_flags, uint32_t source_flags) {
    fixture f = {0};
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), ring_flags));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    f.reader = reader_on(&f, RBCORE_READER_RELEASE, source_flags);
    return f;
}

/* Everything that the reading thread may call; each returns whatever the worker does. */
static unsigned int read_once(const fixture *f, rbcore_record *records,
                              rbcore_snapshot **snapshot) {
    int n = rbcore_reader_read(f->reader, records, MAX_RECORDS);
    if (n == 0) {
        n = rbcore_reader_look(f->reader, records, MAX_RECORDS);
    }
    if (n == 0) {
        n = rbcore_reader_next(f->reader, records, MAX_RECORDS, 0);
    }
    ok(rbcore_reader_snapshot(f->reader, f->ring, snapshot, 0));
    if (n <= 0) {
        return 0;
    }
    ok(rbcore_reader_release(f->reader, records, (size_t)n));
    return (unsigned int)n;
}

/* The child holds two records of a full ring; all else was read, or was overwritten. */
static int read_beside_a_worker(common *shared, uint32_t ring_flags, uint32_t source_flags) {
    static rbcore_record held[2], records[MAX_RECORDS];
    fixture f = open_ring(ring_flags, source_flags);
    rbcore_snapshot *snapshot = NULL;
    pthread_t thread;
    produce(&f, 0);
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, held, 2), 2);
    for (uint64_t i = 0; i < 2 * page_size() / 16; i++) {
        rbcore_producer_output(f.producer, &i, sizeof(i), 0);
    }
    while (read_once(&f, records, &snapshot) > 0) {
    }
    work w = {.act = release_two, .f = &f, .held = held, .shared = shared};
    ok(pthread_create(&thread, NULL, do_work, &w));
    while (atomic_load(&shared->received) == 0) {
        atomic_fetch_add(&shared->received, read_once(&f, records, &snapshot));
        if (ring_flags == 0 && atomic_load(&shared->go)) {
            rbcore_producer_output(f.producer, &(uint64_t){0}, 8, 0); /* where there is room */
        }
        atomic_fetch_add(&shared->rounds, 1);
    }
    ok(pthread_join(thread, NULL));
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
    return 0;
}

/* The child that is asked for its statistics while its positions move. */
static int read_beside_an_asker(common *shared) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    pthread_t thread;
    work w = {.act = ask_for_positions, .f = &f, .shared = shared};
    ok(pthread_create(&thread, NULL, do_work, &w));
    while (!atomic_load(&shared->is_done)) {
        produce(&f, 1);
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        atomic_fetch_add(&shared->rounds, 1);
    }
    ok(pthread_join(thread, NULL));
    fixture_close(&f);
    return atomic_load(&shared->is_wrong);
}

/* The reading thread gets through its calls, twice, though the worker stands still. */
static void expect_rounds(common *shared) {
    unsigned int seen = atomic_load(&shared->rounds);
    int64_t since = now_ns();
    while (atomic_load(&shared->rounds) - seen < 2 && atomic_load(&shared->received) == 0 &&
           !atomic_load(&shared->is_done)) {
        ck_assert_msg(now_ns() - since < WATCHDOG_NS, "it waits for the worker");
        sched_yield();
    }
}

static bool step(pid_t worker) {
    int status;
    ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, worker, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(worker, &status, __WALL), worker);
    return WIFSTOPPED(status);
}

/* Stops the worker at one instruction after the other. Returns whether this process may do that. */
static bool stop_again_and_again(pid_t child, common *shared) {
    while (atomic_load(&shared->worker) == 0) {
        sleep_ms(1);
    }
    const pid_t worker = atomic_load(&shared->worker);
    int status;
    if (ptrace(PTRACE_SEIZE, worker, NULL, NULL) != 0) {
        printf("skipped: ptrace(2) is not permitted\n");
        kill(child, SIGKILL);
        return false;
    }
    ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, worker, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(worker, &status, __WALL), worker);
    atomic_store(&shared->go, 1);
    const char *steps = getenv("RBCORE_STEPS");
    unsigned long every = steps ? strtoul(steps, NULL, 10) : STEPS, stops = 0;
    for (bool lives = true; lives; stops++) {
        for (unsigned long i = 0; i < every && lives; i++) {
            lives = step(worker);
        }
        if (lives) {
            expect_rounds(shared);
        }
    }
    ck_assert_uint_gt(stops, 50);
    return true;
}

static const struct {
    uint32_t ring, source;
} kinds[] = {
    {0, 0},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP},
};

START_TEST(the_reading_thread_never_waits_for_a_worker) {
    common *shared = shared_memory(sizeof(common));
    pid_t child = fork();
    if (child == 0) {
        _exit(read_beside_a_worker(shared, kinds[_i].ring, kinds[_i].source));
    }
    if (stop_again_and_again(child, shared)) {
        ck_assert_int_eq(wait_child(child), 0);
    }
}
END_TEST

START_TEST(positions_fit_each_other) {
    common *shared = shared_memory(sizeof(common));
    pid_t child = fork();
    if (child == 0) {
        _exit(read_beside_an_asker(shared));
    }
    if (stop_again_and_again(child, shared)) {
        ck_assert_int_eq(wait_child(child), 0);
    }
}
END_TEST

int main(void) {
    const loop_test tests[] = {
        {the_reading_thread_never_waits_for_a_worker, (int)(sizeof(kinds) / sizeof(*kinds))},
        {positions_fit_each_other, 1},
        {NULL, 0},
    };
    return run_loop_tests("stopped_worker", tests);
}
