/* SPDX-License-Identifier: MIT */
/*
 * Only waits are cancellation points. A thread that is cancelled in another call does what it is
 * to do first, and leaves nothing behind. Some system calls fail here: timerfd_settime and syscall
 * of the library are this file's (the linker's --wrap).
 */
#include "support.h"

#include "map.h"
#include "process.h"
#include "wait.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

typedef struct world {
    uint32_t source_flags, ring_flags;
    uint64_t reader_flags;
    int memory_fd, event_fd, file;
    int error; /* of open_all */
    rbcore_reader *reader;
    rbcore_producer *producer;
} world;

/* The step that runs, or the one that returned something else. */
static const char *step;

#define STEP(call, expected)                                                                       \
    do {                                                                                           \
        step = #call;                                                                              \
        if ((call) != (expected)) {                                                                \
            return;                                                                                \
        }                                                                                          \
        step = NULL;                                                                               \
    } while (0)

typedef struct victim {
    void (*body)(world *);
    world *world;
} victim;

static void *call_when_cancelled(void *argument) {
    const victim *self = argument;
    pthread_cancel(pthread_self());
    self->body(self->world);
    pthread_testcancel();
    return NULL;
}

/* Runs the body in a thread whose cancellation is pending. Returns the step that failed or NULL. */
static const char *run_cancelled(void (*body)(world *), world *it) {
    victim self = {body, it};
    pthread_t thread;
    void *result;
    step = NULL;
    ok(pthread_create(&thread, NULL, call_when_cancelled, &self));
    ok(pthread_join(thread, &result));
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    return step;
}

/* Each step returns what it is to return, and only then the thread is cancelled. */
static void run_through(void (*body)(world *), world *it) {
    const char *failed = run_cancelled(body, it);
    ck_assert_msg(failed == NULL, "%s", failed);
}

static void read_files(world *it) {
    rbc_process stranger;
    uint64_t pid, losses;
    (void)it;
    STEP((stranger = rbc_process_self()).pid, (uint64_t)getpid());
    stranger.namespaces ^= 1;
    stranger.pid = 1;
    STEP((rbc_process_is_dead_below(&stranger, &pid), true), true); /* whatever it finds */
    /* It counts the processors before it asks for the map's values. */
    STEP(rbc_map_read_losses(-1, &losses) < 0, true);
}

START_TEST(while_it_reads_files) {
    run_through(read_files, NULL);
}
END_TEST

/* ---- Exported calls ------------------------------------------------------------------------ */

static int open_all(world *it) {
    int error =
        rbcore_memory_ring_create(&it->memory_fd, &it->event_fd, page_size(), it->ring_flags);
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = memory_source(it->memory_fd, it->event_fd);
    options.flags = it->reader_flags;
    if (error == 0) {
        error = rbcore_producer_open(&it->producer, &source);
    }
    if (error == 0) {
        error = rbcore_reader_open(&it->reader, &options);
    }
    source.flags = it->source_flags;
    return error != 0 ? error : rbcore_reader_add(it->reader, &source);
}

static void close_all(const world *it) {
    rbcore_reader_free(it->reader);
    rbcore_producer_free(it->producer);
    close(it->memory_fd);
    close(it->event_fd);
}

static int output(world *it) {
    return rbcore_producer_output(it->producer, "12345678", 8, RBCORE_FORCE_WAKEUP);
}

static int give_back(world *it, const rbcore_record *record) {
    return it->reader_flags & RBCORE_READER_RELEASE ? rbcore_reader_release(it->reader, record, 1)
                                                    : rbcore_reader_commit(it->reader, record, 1);
}

static void use_snapshots(world *it) {
    rbcore_snapshot *snapshot = NULL, *loaded = NULL;
    rbcore_record record;
    STEP(rbcore_reader_snapshot(it->reader, 0, &snapshot, 0), 0);
    STEP(rbcore_snapshot_read(snapshot, &record, 1), 1);
    STEP(rbcore_snapshot_save(snapshot, it->file), 0);
    STEP(lseek(it->file, 0, SEEK_SET), 0);
    STEP(rbcore_snapshot_load(&loaded, it->file), 0);
    rbcore_snapshot_free(snapshot);
    rbcore_snapshot_free(loaded);
}

/*
 * The timeout for a record that is there. A wait learns of one in an idle ring by the epoll, which
 * is where it would be cancelled.
 */
#ifdef RBC_FEW_RINGS
#define TIMEOUT 0
#else
#define TIMEOUT RBCORE_FOREVER
#endif

static void call_all(world *it) {
    const rbcore_slice slice = {"12345678", 8};
    rbcore_reader_stats of_reader = RBCORE_READER_STATS_INIT;
    rbcore_ring_stats of_ring = RBCORE_RING_STATS_INIT;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_record record;
    rbcore_span span;
    void *data;
    STEP(rbcore_supports(RBCORE_FEATURE_KERNEL_RING) < 2, true);
    STEP(rbcore_supports(RBCORE_FEATURE_MEMORY_RING), 1);
    STEP(open_all(it), 0);
    STEP(rbcore_reader_read(it->reader, &record, 1), 0); /* it empties the descriptor */
    STEP(rbcore_reader_next(it->reader, &record, 1, 0), 0);
    STEP(output(it), 0);
    STEP(rbcore_reader_next(it->reader, &record, 1, TIMEOUT), 1);
    STEP(rbcore_reader_identity(it->reader, &record, &identity), 0);
    STEP(rbcore_reader_stats_get(it->reader, &of_reader), 0);
    STEP(rbcore_reader_ring_stats(it->reader, 0, &of_ring), 0);
    use_snapshots(it);
    if (step != NULL) {
        return;
    }
    STEP(give_back(it, &record), 0);
    STEP(rbcore_producer_output_batch(it->producer, &slice, 1, RBCORE_FORCE_WAKEUP), 1);
    STEP(rbcore_reader_look(it->reader, &record, 1), 1);
    STEP(give_back(it, &record), 0);
    STEP(rbcore_producer_reserve(it->producer, &data, 8), 0);
    STEP(rbcore_producer_submit(it->producer, data, RBCORE_FORCE_WAKEUP), 0);
    STEP(rbcore_producer_reserve_wait(it->producer, &data, 8, RBCORE_FOREVER), 0);
    STEP(rbcore_producer_discard(it->producer, data, RBCORE_FORCE_WAKEUP), 0);
    STEP(rbcore_reader_fd(it->reader) < 0, false);
    STEP(rbcore_reader_interrupt(it->reader), 0);
    STEP(rbcore_reader_next(it->reader, &record, 1, RBCORE_FOREVER), -ECANCELED);
    STEP(rbcore_reader_flush(it->reader), 0);
    STEP(rbcore_reader_read(it->reader, &record, 1), 1);
    STEP(give_back(it, &record), 0);
    STEP(rbcore_reader_next(it->reader, &record, 1, RBCORE_FOREVER), -ENODATA);
    STEP(rbcore_reader_remove(it->reader, 0), 0);
    STEP(rbcore_reader_shutdown(it->reader), 0);
    STEP(rbcore_reader_next_spans(it->reader, &span, 1, 1, RBCORE_FOREVER),
         it->reader_flags & RBCORE_READER_RELEASE ? -EINVAL : -ESHUTDOWN);
    rbcore_reader_free(it->reader);
    rbcore_producer_free(it->producer);
}

/* Each kind of ring, and each way to give records back. */
static const world worlds[] = {
    {.source_flags = 0},
    {.reader_flags = RBCORE_READER_RELEASE},
    {.source_flags = RBCORE_SOURCE_TAP},
    {.source_flags = RBCORE_SOURCE_OVERWRITE, .ring_flags = RBCORE_MEMORY_RING_OVERWRITE},
};

#define WORLDS (int)(sizeof(worlds) / sizeof(*worlds))

START_TEST(no_other_call_is_a_cancellation_point) {
    world it = worlds[_i];
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    it.file = fileno(file);
    unsigned int before = open_fds();
    run_through(call_all, &it);
    it.reader = NULL;
    it.producer = NULL;
    close_all(&it);
    ck_assert_uint_eq(open_fds(), before);
    ck_assert_uint_eq(mapped_rings(), 0);
    fclose(file);
}
END_TEST

static void open_what_there_is_room_for(world *it) {
    it->error = open_all(it);
}

static int open_and_close(void *argument) {
    world it = *(const world *)argument;
    it.memory_fd = it.event_fd = -1;
    run_through(open_what_there_is_room_for, &it);
    close_all(&it);
    return it.error;
}

/* Whatever was opened before the one that is too much is closed. */
START_TEST(while_it_runs_short_of_descriptors) {
    world it = worlds[_i];
    ok(open_and_close(&it)); /* the first cancellation loads a library */
    run_short_of_descriptors(open_and_close, &it);
}
END_TEST

static void meet_the_limit(world *it) {
    int memory_fd, event_fd;
    rbcore_source source = memory_source(it->memory_fd, it->event_fd);
    source.flags = RBCORE_SOURCE_TAP;
    STEP(rbcore_memory_ring_create(&memory_fd, &event_fd, page_size(), 0), -EFBIG);
    STEP(rbcore_reader_add(it->reader, &source), -EFBIG);
}

/* No ring can be made, nor a copy of one for a tap. */
START_TEST(while_it_meets_the_limit_of_file_sizes) {
    struct rlimit limit = {.rlim_cur = page_size() / 2, .rlim_max = RLIM_INFINITY};
    world it = worlds[0];
    ok(open_all(&it));
    unsigned int before = open_fds();
    ok(setrlimit(RLIMIT_FSIZE, &limit));
    run_through(meet_the_limit, &it);
    ck_assert_uint_eq(open_fds(), before);
    close_all(&it);
}
END_TEST

static void claim(world *it) {
    rbcore_source source = memory_source(it->memory_fd, it->event_fd);
    STEP(rbcore_reader_add(it->reader, &source), 1);
}

/* Another has the lock, but nobody signed: the claimant sleeps, and then signs without it. */
START_TEST(while_it_claims_a_ring) {
    world it = worlds[0];
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[32];
    ok(open_all(&it));
    ok(rbcore_reader_remove(it.reader, 0));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", it.memory_fd);
    int other = open(path, O_RDWR | O_CLOEXEC);
    rbcore_producer_free(it.producer); /* which has a lock, too */
    it.producer = NULL;
    ok(fcntl(other, F_OFD_SETLK, &all));
    run_through(claim, &it);
    ck_assert(stats_of(it.reader, 1).flags & RBCORE_RING_UNGUARDED);
    close_all(&it);
    close(other);
}
END_TEST

static void wait_for_room(world *it) {
    void *data;
    STEP(rbcore_producer_reserve_wait(it->producer, &data, 8, RBCORE_FOREVER), 0);
}

/* A wait for room that is cancelled has reserved nothing. */
START_TEST(a_wait_for_room) {
    world it = worlds[0];
    rbcore_record records[512];
    ok(open_all(&it));
    int count = 0;
    while (output(&it) == 0) {
        count++;
    }
    ck_assert_ptr_nonnull(run_cancelled(wait_for_room, &it));
    ck_assert_int_eq(read_to_end(it.reader, records, 512), count);
    ok(rbcore_reader_commit(it.reader, NULL, RBCORE_COMMIT_NOW));
    ok(output(&it));
    ck_assert_int_eq(rbcore_reader_read(it.reader, records, 512), 1);
    close_all(&it);
}
END_TEST

/* ---- System calls that are refused --------------------------------------------------------- */

static bool calls_are_refused;

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static int refuse(void) {
    errno = EPERM;
    return -1;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before) {
    return calls_are_refused ? refuse() : __real_timerfd_settime(fd, flags, when, before);
}

long __wrap_syscall(long number, ...) {
    va_list list;
    long arguments[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        arguments[i] = va_arg(list, long);
    }
    va_end(list);
    return calls_are_refused && number == RBC_SYS_EPOLL_PWAIT2
               ? refuse()
               : __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                                arguments[4], arguments[5]);
}

static void read_nothing(world *it) {
    rbcore_record record;
    STEP(rbcore_reader_read(it->reader, &record, 1), 0);
}

/* A read that finds nothing, while a record is held, starts the timer; or it sleeps instead. */
START_TEST(while_it_sleeps_for_want_of_a_timer) {
    world it = worlds[0];
    ok(open_all(&it));
    ok(output(&it));
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(it.reader, &record, 1), 1);
    calls_are_refused = true;
    run_through(read_nothing, &it);
    calls_are_refused = false;
    close_all(&it);
}
END_TEST

static void wait_by_an_epoll(world *it) {
    struct epoll_event event;
    STEP(rbc_epoll_wait(it->file, &event, 1, 1), 0);
}

/* A wait that holds its epoll, on a kernel before 5.11. */
START_TEST(while_it_waits_by_an_epoll_of_its_own) {
    world it = {.file = epoll_create1(EPOLL_CLOEXEC)};
    calls_are_refused = true;
    run_through(wait_by_an_epoll, &it);
    close(it.file);
}
END_TEST

int main(void) {
    const loop_test tests[] = {{while_it_reads_files, 1},
                               {no_other_call_is_a_cancellation_point, WORLDS},
                               {while_it_runs_short_of_descriptors, WORLDS},
                               {while_it_meets_the_limit_of_file_sizes, 1},
                               {while_it_claims_a_ring, 1},
                               {a_wait_for_room, 1},
                               {while_it_sleeps_for_want_of_a_timer, 1},
                               {while_it_waits_by_an_epoll_of_its_own, 1},
                               {NULL, 0}};
    return run_loop_tests("cancelled", tests);
}
