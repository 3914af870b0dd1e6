/* SPDX-License-Identifier: MIT */
/* One consumer a ring: any second reader is noticed. Also, what fork() does to handles. */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int try_add(int memory_fd, int event_fd, uint32_t flags) {
    rbcore_reader *reader = NULL;
    int result = rbcore_reader_open(&reader, NULL);
    if (result) {
        return result;
    }
    rbcore_source source = memory_source(memory_fd, event_fd);
    source.flags = flags;
    result = rbcore_reader_add(reader, &source);
    rbcore_reader_free(reader);
    return result;
}

/* The message about a ring that only held records of this process keep. */
static void expect_held_by_records(const fixture *f) {
    rbcore_reader *reader;
    rbcore_source source = memory_source(f->memory_fd, f->event_fd);
    ok(rbcore_reader_open(&reader, NULL));
    ck_assert_int_eq(rbcore_reader_add(reader, &source), -EBUSY);
    ck_assert_str_eq(
        rbcore_reader_message(reader),
        "another reader has the ring, in this process, still held by records that were "
        "not released");
    rbcore_reader_free(reader);
}

static int child_adds(void *argument) {
    const fixture *f = argument;
    return -try_add(f->memory_fd, f->event_fd, 0);
}

START_TEST(second_reader_in_this_process) {
    fixture f = fixture_open(page_size(), 0);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), -EBUSY);
    /* The same ring twice in one reader is no better. */
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    ck_assert_int_eq(rbcore_reader_add(f.reader, &source), -EBUSY);
    ck_assert_str_ne(rbcore_reader_message(f.reader), "");
    /* Another descriptor of the same memory is the same ring. */
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f.memory_fd);
    int reopened = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(reopened, 0);
    ck_assert_int_eq(try_add(reopened, f.event_fd, 0), -EBUSY);
    close(reopened);
    /* The refusals have not taken the first reader's guard away. */
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), -EBUSY);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), 0);
    fixture_drop(&f);
}
END_TEST

START_TEST(second_reader_in_another_process) {
    fixture f = fixture_open(page_size(), 0);
    ck_assert_int_eq(in_child(child_adds, &f), EBUSY);
    ck_assert_int_eq(in_child(child_adds, &f), EBUSY);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(in_child(child_adds, &f), 0);
    fixture_drop(&f);
}
END_TEST

START_TEST(removal_frees_the_ring) {
    fixture f = fixture_open(page_size(), 0);
    ok(rbcore_reader_remove(f.reader, f.ring));
    ck_assert_int_eq(in_child(child_adds, &f), 0);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(insisting) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ck_assert_uint_eq(ring_stats(&f).flags, 0);
    fixture second = f;
    second.reader = reader_on(&f, 0, RBCORE_SOURCE_INSIST);
    ck_assert_uint_eq(ring_stats(&second).flags, RBCORE_RING_UNGUARDED);
    ck_assert_uint_eq(ring_stats(&second).reader_pid, (uint64_t)getpid());
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(second.reader, &record, 1), 1);
    ck_assert_uint_eq(value_of(&record), 1);
    ok(rbcore_reader_commit(second.reader, NULL, 0));
    rbcore_reader_free(second.reader);
    fixture_close(&f);
    fixture free_ring = {0};
    /* Insisting costs nothing where there is no other reader: this one is guarded. */
    ok(rbcore_memory_ring_create(&free_ring.memory_fd, &free_ring.event_fd, page_size(), 0));
    free_ring.reader = reader_on(&free_ring, 0, RBCORE_SOURCE_INSIST);
    ck_assert_int_eq(try_add(free_ring.memory_fd, free_ring.event_fd, 0), -EBUSY);
    fixture_close(&free_ring);
}
END_TEST

/* The ring stays taken after _remove and after _free. */
START_TEST(the_ring_itself_stays_taken_until_held_records_were_released) {
    for (int freed = 0; freed < 2; freed++) {
        fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
        rbcore_record records[2];
        produce(&f, 1);
        produce(&f, 2);
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
        if (freed) {
            rbcore_reader_free(f.reader);
        } else {
            ok(rbcore_reader_remove(f.reader, f.ring));
        }
        for (int i = 0; i < 2; i++) {
            expect_held_by_records(&f);
            ck_assert_int_eq(in_child(child_adds, &f), EBUSY);
            ck_assert_uint_eq(value_of(&records[i]), (uint64_t)i + 1);
            ok(rbcore_reader_release(f.reader, &records[i], 1));
        }
        ck_assert_int_eq(in_child(child_adds, &f), 0);
        if (!freed) {
            rbcore_reader_free(f.reader);
        }
        fixture_drop(&f);
    }
}
END_TEST

/*
 * A tap writes nothing to the ring, no position and no owner, whether the ring has a reader or not.
 */
START_TEST(a_tap_writes_no_position_and_no_owner) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    uint8_t *before = malloc(page_size());
    rbcore_record record;
    produce(&f, 1);
    for (int i = 0; i < 2; i++) {
        memcpy(before, raw.base, page_size());
        rbcore_reader *tap = reader_on(&f, 0, RBCORE_SOURCE_TAP);
        const fixture looking = {.reader = tap};
        ck_assert_uint_eq(ring_stats(&looking).reader_pid, i == 0 ? (uint64_t)getpid() : 0);
        rbcore_reader *second = reader_on(&f, 0, RBCORE_SOURCE_TAP | RBCORE_SOURCE_INSIST);
        ck_assert_int_eq(rbcore_reader_read(tap, &record, 1), 1);
        ok(rbcore_reader_commit(tap, NULL, 0));
        ck_assert_int_eq(memcmp(before, raw.base, page_size()), 0);
        if (i == 0) {
            ck_assert_int_eq(in_child(child_adds, &f), EBUSY);
            rbcore_reader_free(f.reader);
        } else {
            ck_assert_int_eq(in_child(child_adds, &f), 0);
        }
        rbcore_reader_free(second);
        rbcore_reader_free(tap);
    }
    free(before);
    image_unmap(&raw);
    fixture_drop(&f);
}
END_TEST

/* ---- The owner that dies ------------------------------------------------------------------- */

typedef struct owner {
    fixture *f;
    int ready[2];
} owner;

static void say_ready(const owner *self) {
    ck_assert_int_eq(write(self->ready[1], "", 1), 1);
}

static void await_ready(const owner *self) {
    char byte;
    ck_assert_int_eq(read(self->ready[0], &byte, 1), 1);
}

/* Reads three records, gives back one, and waits for its end. */
static int own(void *argument) {
    owner *self = argument;
    rbcore_record records[3];
    rbcore_reader *reader = reader_on(self->f, 0, 0);
    if (rbcore_reader_read(reader, records, 3) != 3 ||
        rbcore_reader_commit(reader, &records[0], 0)) {
        return 1;
    }
    say_ready(self);
    pause();
    return 2;
}

START_TEST(killed_owner) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader_free(f.reader);
    owner o = {.f = &f};
    ok(pipe(o.ready));
    for (uint64_t i = 0; i < 4; i++) {
        produce(&f, i);
    }
    pid_t pid = start_child(own, &o);
    await_ready(&o);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), -EBUSY);
    kill(pid, SIGKILL);
    ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
    f.reader = reader_on(&f, 0, 0);
    f.ring = 0;
    ck_assert_uint_eq(ring_stats(&f).flags, 0);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 3);
    ck_assert_uint_eq(value_of(&records[0]), 1);
    fixture_close(&f);
}
END_TEST

/* As a tap sees it, and a reader that insisted. */
START_TEST(whose_the_ring_is) {
    fixture f = fixture_open(page_size(), 0), of_another = {0};
    rbcore_reader_free(f.reader);
    owner o = {.f = &f};
    ok(pipe(o.ready));
    for (uint64_t i = 0; i < 4; i++) {
        produce(&f, i);
    }
    f.reader = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    f.ring = 0;
    ck_assert_uint_eq(ring_stats(&f).reader_pid, 0);
    pid_t pid = start_child(own, &o);
    await_ready(&o);
    ck_assert_uint_eq(ring_stats(&f).reader_pid, (uint64_t)pid);
    of_another.reader = reader_on(&f, 0, RBCORE_SOURCE_INSIST);
    ck_assert_uint_eq(ring_stats(&of_another).reader_pid, (uint64_t)pid);
    kill(pid, SIGKILL);
    ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
    ck_assert_uint_eq(ring_stats(&f).reader_pid, 0);
    ck_assert_uint_eq(ring_stats(&of_another).reader_pid, 0);
    rbcore_reader_free(of_another.reader);
    of_another.reader = reader_on(&f, 0, 0);
    ck_assert_uint_eq(ring_stats(&f).reader_pid, (uint64_t)getpid());
    rbcore_reader_free(of_another.reader);
    ck_assert_uint_eq(ring_stats(&f).reader_pid, 0);
    fixture_close(&f);
}
END_TEST

/* The owner forks before it dies: its child inherits the lock, and knows nothing of it. */
static int own_and_fork(void *argument) {
    owner *self = argument;
    rbcore_reader *reader = reader_on(self->f, 0, 0);
    (void)reader;
    if (fork() == 0) {
        alarm(100); /* should the test fail before it kills us */
        say_ready(self);
        pause();
        _exit(0);
    }
    pause();
    return 2;
}

START_TEST(killed_owner_with_a_child) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader_free(f.reader);
    owner o = {.f = &f};
    ok(pipe(o.ready));
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        _exit(own_and_fork(&o));
    }
    await_ready(&o);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), -EBUSY);
    kill(pid, SIGKILL);
    ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
    rbcore_reader *reader = reader_on(&f, 0, 0);
    fixture opened = f;
    opened.reader = reader;
    opened.ring = 0;
    /* It could not take the lock, and says so. */
    ck_assert_uint_eq(ring_stats(&opened).flags, RBCORE_RING_UNGUARDED);
    rbcore_reader_free(reader);
    kill(-pid, SIGKILL);
    fixture_drop(&f);
}
END_TEST

/* A process that has the descriptor can hold every lock. That must not lock readers out. */
START_TEST(a_stranger_holds_the_locks) {
    fixture f = {0};
    char path[64];
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), 0));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f.memory_fd);
    int stranger = open(path, O_RDWR | O_CLOEXEC);
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    ok(fcntl(stranger, F_OFD_SETLK, &all));
    f.reader = reader_on(&f, 0, 0);
    ck_assert_uint_eq(ring_stats(&f).flags, RBCORE_RING_UNGUARDED);
    close(stranger);
    fixture_close(&f);
}
END_TEST

static int wait_for_the_end(void *argument) {
    say_ready(argument);
    pause();
    return 0;
}

START_TEST(a_forked_child_does_not_keep_the_ring) {
    fixture f = fixture_open(page_size(), 0);
    owner o = {.f = &f};
    ok(pipe(o.ready));
    pid_t pid = start_child(wait_for_the_end, &o);
    await_ready(&o);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), -EBUSY);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), 0);
    kill(pid, SIGKILL);
    wait_child(pid);
    fixture_drop(&f);
}
END_TEST

/* ---- Handles after fork -------------------------------------------------------------------- */

#define EXPECT_ECHILD(call)                                                                        \
    if ((call) != -ECHILD) {                                                                       \
        fprintf(stderr, "%s in the child: not -ECHILD\n", #call);                                  \
        failed = 1;                                                                                \
    }

/* The parent hands these down besides its fixture. */
static rbcore_snapshot *inherited_snapshot;

static int use_snapshot(void) {
    rbcore_record record;
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    int failed = 0;
    EXPECT_ECHILD(rbcore_snapshot_read(inherited_snapshot, &record, 1));
    EXPECT_ECHILD(rbcore_snapshot_rewind(inherited_snapshot));
    EXPECT_ECHILD(rbcore_snapshot_info_get(inherited_snapshot, &info));
    EXPECT_ECHILD(rbcore_snapshot_save(inherited_snapshot, -1));
    return failed;
}

static int use_all(void *argument) {
    fixture *f = argument;
    rbcore_record record = {0};
    rbcore_span span = {0};
    rbcore_slice slice = {&record, 8};
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_snapshot *snapshot = NULL;
    rbcore_source source = memory_source(f->memory_fd, f->event_fd);
    rbcore_ring_stats ring = RBCORE_RING_STATS_INIT;
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    void *data = NULL;
    int failed = 0;
    EXPECT_ECHILD(rbcore_reader_ref(f->reader));
    EXPECT_ECHILD(rbcore_reader_add(f->reader, &source));
    EXPECT_ECHILD(rbcore_reader_remove(f->reader, f->ring));
    EXPECT_ECHILD(rbcore_reader_read(f->reader, &record, 1));
    EXPECT_ECHILD(rbcore_reader_look(f->reader, &record, 1));
    EXPECT_ECHILD(rbcore_reader_next(f->reader, &record, 1, RBCORE_FOREVER));
    EXPECT_ECHILD(rbcore_reader_next_spans(f->reader, &span, 1, 1, RBCORE_FOREVER));
    EXPECT_ECHILD(rbcore_reader_commit(f->reader, NULL, 0));
    EXPECT_ECHILD(rbcore_reader_release(f->reader, &record, 1));
    EXPECT_ECHILD(rbcore_reader_fd(f->reader));
    EXPECT_ECHILD(rbcore_reader_interrupt(f->reader));
    EXPECT_ECHILD(rbcore_reader_flush(f->reader));
    EXPECT_ECHILD(rbcore_reader_shutdown(f->reader));
    EXPECT_ECHILD(rbcore_reader_stats_get(f->reader, &stats));
    EXPECT_ECHILD(rbcore_reader_ring_stats(f->reader, f->ring, &ring));
    EXPECT_ECHILD(rbcore_reader_identity(f->reader, &record, &identity));
    EXPECT_ECHILD(rbcore_reader_snapshot(f->reader, f->ring, &snapshot, 0));
    EXPECT_ECHILD(rbcore_reader_snapshot_header(f->reader, &record, &record, header, &slice));
    EXPECT_ECHILD(rbcore_producer_reserve(f->producer, &data, 8));
    EXPECT_ECHILD(rbcore_producer_reserve_wait(f->producer, &data, 8, RBCORE_FOREVER));
    EXPECT_ECHILD(rbcore_producer_submit(f->producer, &data, 0));
    EXPECT_ECHILD(rbcore_producer_discard(f->producer, &data, 0));
    EXPECT_ECHILD(rbcore_producer_output(f->producer, &record, 8, 0));
    EXPECT_ECHILD(rbcore_producer_output_batch(f->producer, &slice, 1, 0));
    failed |= use_snapshot();
    rbcore_snapshot_free(inherited_snapshot);
    rbcore_reader_free(f->reader);
    rbcore_producer_free(f->producer);
    return failed;
}

/* The system call itself, of which libc does not know, makes as much a child as fork(). */
static int in_raw_child(int (*body)(void *), void *argument) {
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        _exit(body(argument));
    }
    return wait_child(pid);
}

static void handles_after_fork(uint32_t flags) {
    fixture f = fixture_open(page_size(), flags);
    rbcore_record records[4];
    void *data;
    produce(&f, 1);
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 1), 1);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    memcpy(data, &(uint64_t){3}, 8);
    ok(rbcore_reader_snapshot(f.reader, f.ring, &inherited_snapshot, 0));
    ck_assert_int_eq(in_child(use_all, &f), 0);
    ck_assert_int_eq(in_raw_child(use_all, &f), 0);
    rbcore_record in_snapshot;
    ck_assert_int_eq(rbcore_snapshot_read(inherited_snapshot, &in_snapshot, 1), 1);
    ck_assert_uint_eq(value_of(&in_snapshot), 1);
    rbcore_snapshot_free(inherited_snapshot);
    /* Neither shutdown nor interrupt nor free of the child is seen here. */
    ck_assert_int_eq(try_add(f.memory_fd, f.event_fd, 0), -EBUSY);
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 0);
    ck_assert_uint_eq(value_of(&records[0]), 1);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records + 1, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&records[1]), 2);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records + 2, 1, 0), 0);
    /* The record that was reserved is still ours, and was not abandoned by the child's free. */
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_next(f.reader, records + 2, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&records[2]), 3);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 0);
    ok(flags ? rbcore_reader_release(f.reader, records, 3)
             : rbcore_reader_commit(f.reader, &records[2], 0));
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 48);
    /* Wakeups still come: the child has not torn down what it shared with us. */
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 1), 0);
    produce(&f, 4);
    ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
    fixture_close(&f);
}

START_TEST(fork_in_commit_mode) {
    handles_after_fork(0);
}
END_TEST

START_TEST(fork_in_release_mode) {
    handles_after_fork(RBCORE_READER_RELEASE);
}
END_TEST

/* ---- Descriptors that came over a socket --------------------------------------------------- */

static void send_fds(int socket, const int fds[2]) {
    char byte = 0;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {.space = {0}};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, 2 * sizeof(int));
    ck_assert_int_eq(sendmsg(socket, &message, 0), 1);
}

static int receive_fds(int socket, int fds[2]) {
    char byte;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message)) {
        return -1;
    }
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), 2 * sizeof(int));
    return 0;
}

static int use_received_fds(void *argument) {
    int socket = *(int *)argument, fds[2];
    if (receive_fds(socket, fds)) {
        return 101;
    }
    int result = try_add(fds[0], fds[1], 0);
    if (result != -EBUSY) {
        return 102;
    }
    rbcore_source source = memory_source(fds[0], fds[1]);
    rbcore_producer *producer;
    if (rbcore_producer_open(&producer, &source)) {
        return 103;
    }
    close(fds[0]);
    close(fds[1]);
    for (uint64_t i = 0; i < 100; i++) {
        if (rbcore_producer_output(producer, &i, sizeof(i), 0)) {
            return 104;
        }
    }
    rbcore_producer_free(producer);
    return 0;
}

START_TEST(descriptors_over_a_socket) {
    int sockets[2];
    ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
    /* Forked before there is a ring: all that the child knows of it comes over the socket. */
    pid_t pid = start_child(use_received_fds, &sockets[1]);
    fixture f = fixture_open(page_size(), 0);
    send_fds(sockets[0], (const int[2]){f.memory_fd, f.event_fd});
    rbcore_record records[100];
    int n = 0;
    while (n < 100) {
        int got = rbcore_reader_next(f.reader, records + n, (size_t)(100 - n), WATCHDOG_NS);
        ck_assert_int_gt(got, 0);
        n += got;
    }
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(value_of(&records[i]), i);
    }
    ck_assert_int_eq(wait_child(pid), 0);
    fixture_close(&f);
}
END_TEST

int main(void) {
    skip_without_fork();
    const TTest *const tests[] = {second_reader_in_this_process,
                                  second_reader_in_another_process,
                                  removal_frees_the_ring,
                                  insisting,
                                  the_ring_itself_stays_taken_until_held_records_were_released,
                                  a_tap_writes_no_position_and_no_owner,
                                  killed_owner,
                                  whose_the_ring_is,
                                  killed_owner_with_a_child,
                                  a_stranger_holds_the_locks,
                                  a_forked_child_does_not_keep_the_ring,
                                  fork_in_commit_mode,
                                  fork_in_release_mode,
                                  descriptors_over_a_socket,
                                  NULL};
    return run_tests("guard", tests);
}
