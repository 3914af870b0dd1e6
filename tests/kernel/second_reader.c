/* SPDX-License-Identifier: MIT */
/*
 * A second reader on a ring that has one is refused, and only then: whichever process it is in,
 * whatever it may do, and however the first one ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define NOBODY 65534

/* ---- Other processes ---- */

/* A process that does one thing, reports a result, and then lives until it is told to end. */
typedef struct test_process {
    pid_t pid;
    int socket;
} test_process;

static void report(int socket, int result) {
    if (send(socket, &result, sizeof(result), 0) != sizeof(result)) {
        _exit(EXIT_FAILURE);
    }
}

/* The report of the other side; its death without a word is a failure. */
static int result_of(const test_process *process) {
    int result;
    ck_assert_int_eq(recv(process->socket, &result, sizeof(result), 0), sizeof(result));
    return result;
}

/* Waits for the other side to say or close something. */
static void wait_for_word(int socket) {
    char word;
    if (recv(socket, &word, 1, 0) < 0) {
        _exit(EXIT_FAILURE);
    }
}

static void say_word(const test_process *process) {
    ck_assert_int_eq(send(process->socket, "", 1, 0), 1);
}

static test_process start(void (*body)(int socket, struct produce *ring), struct produce *ring) {
    int sockets[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        close(sockets[0]);
        body(sockets[1], ring);
        wait_for_word(sockets[1]);
        _exit(EXIT_SUCCESS);
    }
    close(sockets[1]);
    return (test_process){pid, sockets[0]};
}

static void end(const test_process *process) {
    shutdown(process->socket, SHUT_RDWR); /* later processes have a copy of this end */
    close(process->socket);
    ck_assert_int_eq(wait_child(process->pid), 0);
}

/* Dead when this returns, but still a zombie until it is buried. */
static void kill_without_burial(const test_process *process) {
    siginfo_t info;
    ck_assert_int_eq(kill(process->pid, SIGKILL), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT), 0);
}

static void bury(const test_process *process) {
    close(process->socket);
    ck_assert_int_eq(waitpid(process->pid, NULL, 0), process->pid);
}

/* ---- What they do ---- */

static int take(const struct produce *ring, uint32_t flags, rbcore_reader **reader) {
    rbcore_source source = source_of(ring);
    source.flags = flags;
    source.loss_fd = -1;
    int error = rbcore_reader_open(reader, NULL);
    return error ? error : rbcore_reader_add(*reader, &source);
}

static void take_and_report(int socket, struct produce *ring) {
    rbcore_reader *reader;
    report(socket, take(ring, 0, &reader));
}

/* Takes the ring afresh at each word. */
static void take_at_each_word(int socket, struct produce *ring) {
    char word;
    while (recv(socket, &word, 1, 0) == 1) {
        rbcore_reader *reader;
        int result = take(ring, 0, &reader);
        if (send(socket, &result, sizeof(result), 0) != sizeof(result)) {
            break;
        }
        if (recv(socket, &word, 1, 0) != 1) {
            break;
        }
        rbcore_reader_free(reader);
        report(socket, 0);
    }
    _exit(EXIT_SUCCESS);
}

static void keep_capabilities(const cap_value_t *kept, int count) {
    cap_t caps = cap_init();
    if (cap_set_flag(caps, CAP_PERMITTED, count, kept, CAP_SET) ||
        cap_set_flag(caps, CAP_EFFECTIVE, count, kept, CAP_SET) || cap_set_proc(caps)) {
        _exit(EXIT_FAILURE);
    }
    cap_free(caps);
}

/* A BPF agent is meant to run like this. */
static void drop_all_but_cap_bpf(struct produce *ring) {
    static const cap_value_t kept[] = {CAP_BPF, CAP_PERFMON};
    keep_capabilities(kept, 2);
    if (bpf_map_get_fd_by_id(map_id(ring_fd(ring))) >= 0 || errno != EPERM) {
        _exit(EXIT_FAILURE);
    }
}

static void take_with_cap_bpf(int socket, struct produce *ring) {
    drop_all_but_cap_bpf(ring);
    take_and_report(socket, ring);
}

static void become_nobody(void) {
    if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)) {
        _exit(EXIT_FAILURE);
    }
}

static void take_as_nobody(int socket, struct produce *ring) {
    become_nobody();
    take_and_report(socket, ring);
}

/* ---- What the tests ask ---- */

static int try_in_process(void (*body)(int, struct produce *), struct produce *ring) {
    test_process process = start(body, ring);
    int result = result_of(&process);
    end(&process);
    return result;
}

/* A reader can have the ring, guards it against others, and gets a record. */
static void assert_free(struct produce *ring) {
    rbcore_reader *reader, *second;
    rbcore_record record;
    ck_assert_int_eq(take(ring, 0, &reader), 0);
    ck_assert_uint_eq(stats_of(reader, 0).flags, 0);
    ck_assert_int_eq(take(ring, 0, &second), -EBUSY);
    rbcore_reader_free(second);
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_reader_free(reader);
}

static void assert_taken(struct produce *ring) {
    rbcore_reader *reader;
    ck_assert_int_eq(take(ring, 0, &reader), -EBUSY);
    rbcore_reader_free(reader);
}

START_TEST(same_process) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_source source = source_of(ring);
    assert_taken(ring);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), -EBUSY);
    source.fd = bpf_map_get_fd_by_id(map_id(ring_fd(ring)));
    ck_assert_int_ge(source.fd, 0);
    ck_assert_int_eq(add_result(&source), -EBUSY);
    close(source.fd);
    source.fd = dup(ring_fd(ring));
    ck_assert_int_eq(add_result(&source), -EBUSY);
    close(source.fd);
    source.kind = RBCORE_SOURCE_MAP_ID;
    source.map_id = map_id(ring_fd(ring));
    ck_assert_int_eq(add_result(&source), -EBUSY);
    rbcore_reader_free(reader);
    assert_free(ring);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/* A ring with held records stays taken after _free, until they are back. */
START_TEST(held_records_keep_it) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, RBCORE_READER_RELEASE);
    rbcore_record record;
    ck_assert_int_eq(emit(ring, 8, 5, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    rbcore_reader_free(reader);
    assert_taken(ring);
    ck_assert(is_pattern(ring, record.data, 8, 5));
    ck_assert_int_eq(rbcore_reader_release(reader, &record, 1), 0);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

START_TEST(second_process) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(take_and_report, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    assert_taken(ring);
    ck_assert_int_eq(try_in_process(take_and_report, ring), -EBUSY);
    end(&owner);
    assert_free(ring);
    rbcore_reader *reader = open_ring(ring, 0);
    ck_assert_int_eq(try_in_process(take_and_report, ring), -EBUSY);
    rbcore_reader_free(reader);
    ck_assert_int_eq(try_in_process(take_and_report, ring), 0);
    produce__destroy(ring);
}
END_TEST

START_TEST(killed_owner) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(take_and_report, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    ck_assert_int_eq(kill(owner.pid, SIGSTOP), 0);
    assert_taken(ring);
    kill_without_burial(&owner);
    assert_free(ring);
    bury(&owner);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/* All of the handle's functions but _free say so in the child of a fork, and do nothing. */
static int use_inherited(rbcore_reader *reader, const rbcore_record *held, struct produce *ring) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    rbcore_ring_stats of_ring = RBCORE_RING_STATS_INIT;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_source source = source_of(ring);
    rbcore_record record;
    const int results[] = {
        rbcore_reader_read(reader, &record, 1),
        rbcore_reader_next(reader, &record, 1, 0),
        rbcore_reader_commit(reader, NULL, 0),
        rbcore_reader_commit(reader, held, 0),
        rbcore_reader_release(reader, held, 1),
        rbcore_reader_add(reader, &source),
        rbcore_reader_remove(reader, 0),
        rbcore_reader_ref(reader),
        rbcore_reader_fd(reader),
        rbcore_reader_interrupt(reader),
        rbcore_reader_flush(reader),
        rbcore_reader_shutdown(reader),
        rbcore_reader_stats_get(reader, &stats),
        rbcore_reader_ring_stats(reader, 0, &of_ring),
        rbcore_reader_identity(reader, held, &identity),
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        if (results[i] != -ECHILD) {
            fprintf(stderr, "function %zu in the child: %d\n", i, results[i]);
            return results[i] < 0 ? results[i] : -EPROTO;
        }
    }
    rbcore_reader_free(reader);
    return 0;
}

static rbcore_reader *inherited_reader;
static rbcore_record inherited_record;

static void use_inherited_and_report(int socket, struct produce *ring) {
    report(socket, use_inherited(inherited_reader, &inherited_record, ring));
}

START_TEST(forked_child) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = inherited_reader = open_ring(ring, 0);
    rbcore_record record;
    ck_assert_int_eq(emit(ring, 8, 1, 0), 0);
    ck_assert_int_eq(emit(ring, 8, 2, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, &inherited_record, 1), 1);
    test_process child = start(use_inherited_and_report, ring);
    ck_assert_int_eq(result_of(&child), 0);
    /* The parent has its record, its place, its wakeups and its guard as before. */
    ck_assert(is_pattern(ring, inherited_record.data, 8, 1));
    ck_assert_uint_eq(stats_of(reader, 0).consumer_pos, 0);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    ck_assert(is_pattern(ring, record.data, 8, 2));
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 0), 0);
    assert_taken(ring);
    end(&child);
    assert_taken(ring);
    ck_assert_int_eq(try_in_process(take_and_report, ring), -EBUSY);
    ck_assert_int_eq(emit(ring, 8, 3, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert(is_pattern(ring, record.data, 8, 3));
    rbcore_reader_free(reader);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

static void just_live(int socket, struct produce *ring) {
    (void)ring;
    report(socket, 0);
}

/*
 * The child of a fork has copies of all descriptors, and so would keep a lock that is not undone.
 */
START_TEST(child_outlives_reader) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    test_process child = start(just_live, ring);
    ck_assert_int_eq(result_of(&child), 0);
    rbcore_reader_free(reader);
    assert_free(ring);
    end(&child);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/* Takes the ring, then leaves a child that inherits all of it and lives as long as the socket. */
static void take_and_fork(int socket, struct produce *ring) {
    rbcore_reader *reader;
    int result = take(ring, 0, &reader);
    pid_t pid = fork();
    if (pid == 0) {
        report(socket, result);
        wait_for_word(socket);
        _exit(EXIT_SUCCESS);
    }
    /* Only the child listens. */
    for (;;) {
        pause();
    }
}

static void take_and_fork_with_cap_bpf(int socket, struct produce *ring) {
    drop_all_but_cap_bpf(ring);
    take_and_fork(socket, ring);
}

START_TEST(child_outlives_killed_owner) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(_i ? take_and_fork_with_cap_bpf : take_and_fork, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    assert_taken(ring);
    kill_without_burial(&owner);
    rbcore_reader *reader;
    rbcore_record record;
    ck_assert_int_eq(take(ring, 0, &reader), 0);
    /* The child's copy of the open file keeps the lock. */
    ck_assert_uint_eq(stats_of(reader, 0).flags, RBCORE_RING_UNGUARDED);
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_reader_free(reader);
    /* Its end closes its side of the socket. */
    char none;
    say_word(&owner);
    ck_assert_int_eq(recv(owner.socket, &none, 1, 0), 0);
    bury(&owner);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

static void send_fd(int socket, int fd) {
    char control[CMSG_SPACE(sizeof(fd))] = {0};
    struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    ck_assert_int_eq(sendmsg(socket, &message, 0), 1);
}

static int receive_fd(int socket) {
    char control[CMSG_SPACE(sizeof(int))], byte;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    int fd = -1;
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message)) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    }
    return fd;
}

static void take_received_fd(int socket) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = receive_fd(socket);
    for (int i = 0; i < 2; i++) {
        report(socket, add_result(&source));
        wait_for_word(socket);
    }
}

static void take_received_fd_only(int socket, struct produce *ring) {
    produce__destroy(ring);
    take_received_fd(socket);
}

static void take_received_fd_with_cap_bpf(int socket, struct produce *ring) {
    drop_all_but_cap_bpf(ring);
    take_received_fd_only(socket, ring);
}

/* The other process has the very open file of the first: a lock on it keeps nobody out. */
START_TEST(fd_passed_over_a_socket) {
    struct produce *ring = load_ring(pages(1));
    test_process other = start(_i ? take_received_fd_with_cap_bpf : take_received_fd_only, ring);
    rbcore_reader *reader = open_ring(ring, 0);
    send_fd(other.socket, ring_fd(ring));
    ck_assert_int_eq(result_of(&other), -EBUSY);
    rbcore_reader_free(reader);
    say_word(&other);
    ck_assert_int_eq(result_of(&other), 0);
    assert_free(ring);
    say_word(&other);
    end(&other);
    produce__destroy(ring);
}
END_TEST

/*
 * All BPF maps and eventfds share one inode, so any process can lock what guards a ring: the byte
 * of the map's id. Waits for it; the others are left to the tests that run at the same time.
 */
static void lock_as_nobody(int socket, struct produce *ring) {
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = map_id(ring_fd(ring)), .l_len = 1};
    produce__destroy(ring);
    become_nobody();
    report(socket, fcntl(eventfd(0, EFD_CLOEXEC), F_OFD_SETLKW, &lock));
}

START_TEST(stranger_holds_the_lock) {
    struct produce *ring = load_ring(pages(1));
    test_process stranger = start(lock_as_nobody, ring);
    rbcore_reader *reader;
    rbcore_record record;
    ck_assert_int_eq(result_of(&stranger), 0);
    ck_assert_int_eq(take(ring, 0, &reader), 0);
    ck_assert_uint_eq(stats_of(reader, 0).flags, RBCORE_RING_UNGUARDED);
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    ck_assert_int_eq(try_in_process(take_and_report, ring), -EBUSY);
    assert_taken(ring);
    end(&stranger);
    /* The lock is to be had now, but the reader still lives. */
    ck_assert_int_eq(try_in_process(take_and_report, ring), -EBUSY);
    assert_taken(ring);
    rbcore_reader_free(reader);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

START_TEST(stranger_locks_behind_the_reader) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(take_and_report, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    test_process stranger = start(lock_as_nobody, ring);
    assert_taken(ring);
    kill_without_burial(&owner);
    ck_assert_int_eq(result_of(&stranger), 0);
    rbcore_reader *reader;
    ck_assert_int_eq(take(ring, 0, &reader), 0);
    ck_assert_uint_eq(stats_of(reader, 0).flags, RBCORE_RING_UNGUARDED);
    rbcore_reader_free(reader);
    bury(&owner);
    end(&stranger);
    produce__destroy(ring);
}
END_TEST

/* Whether an open file other than one made here has the ring's lock. */
static bool is_locked(const struct produce *ring) {
    int fd = eventfd(0, EFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = map_id(ring_fd(ring)), .l_len = 1};
    ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
    close(fd);
    return lock.l_type != F_UNLCK;
}

/* All rings of a reader have their locks by one open file, which gets a lock that it has. */
START_TEST(twice_in_one_reader) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_source source = source_of(ring);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), -EBUSY);
    ck_assert(is_locked(ring));
    source.flags = RBCORE_SOURCE_INSIST;
    int second = rbcore_reader_add(reader, &source);
    ck_assert_int_eq(second, 1);
    ck_assert_uint_eq(stats_of(reader, 0).flags, 0);
    ck_assert_uint_eq(stats_of(reader, 1).flags, RBCORE_RING_UNGUARDED);
    ck_assert_int_eq(rbcore_reader_remove(reader, 1), 0);
    ck_assert(is_locked(ring));
    ck_assert_int_eq(rbcore_reader_remove(reader, 0), 0);
    ck_assert(!is_locked(ring));
    source.flags = 0;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 2);
    ck_assert_uint_eq(stats_of(reader, 2).flags, 0);
    rbcore_reader_free(reader);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

static void take_by_id_with_cap_bpf(int socket, struct produce *ring) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_ID;
    source.map_id = map_id(ring_fd(ring));
    drop_all_but_cap_bpf(ring);
    report(socket, add_result(&source));
}

static void take_twice_with_cap_bpf(int socket, struct produce *ring) {
    rbcore_reader *first, *second;
    drop_all_but_cap_bpf(ring);
    int result = take(ring, 0, &first);
    report(socket, result ? result : take(ring, 0, &second));
}

/* A process without CAP_SYS_ADMIN cannot open the map anew, and shares the open file it got. */
START_TEST(cap_bpf_only) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    ck_assert_int_eq(try_in_process(take_with_cap_bpf, ring), -EBUSY);
    ck_assert_int_eq(try_in_process(take_by_id_with_cap_bpf, ring), -EPERM);
    rbcore_reader_free(reader);
    ck_assert_int_eq(try_in_process(take_twice_with_cap_bpf, ring), -EBUSY);
    test_process owner = start(take_with_cap_bpf, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    assert_taken(ring);
    ck_assert_int_eq(try_in_process(take_and_report, ring), -EBUSY);
    ck_assert_int_eq(try_in_process(take_with_cap_bpf, ring), -EBUSY);
    assert_taken(ring);
    kill_without_burial(&owner);
    ck_assert_int_eq(try_in_process(take_with_cap_bpf, ring), 0);
    assert_free(ring);
    bury(&owner);
    owner = start(take_with_cap_bpf, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    end(&owner);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/* The kernel decides whether this user may have the map; it does not become a second reader. */
START_TEST(nobody_with_the_fd) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    int result = try_in_process(take_as_nobody, ring);
    ck_assert_msg(result == -EBUSY || result == -EPERM, "%d", result);
    rbcore_reader_free(reader);
    result = try_in_process(take_as_nobody, ring);
    ck_assert_msg(result == 0 || result == -EPERM, "%d", result);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

START_TEST(insist) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(take_and_report, ring);
    rbcore_reader *reader;
    rbcore_record record;
    ck_assert_int_eq(result_of(&owner), 0);
    ck_assert_int_eq(take(ring, RBCORE_SOURCE_INSIST, &reader), 0);
    ck_assert_uint_eq(stats_of(reader, 0).flags, RBCORE_RING_UNGUARDED);
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_reader_free(reader);
    assert_taken(ring); /* still the first reader's */
    end(&owner);
    ck_assert_int_eq(take(ring, RBCORE_SOURCE_INSIST, &reader), 0);
    ck_assert_uint_eq(stats_of(reader, 0).flags, 0); /* nobody was there to insist against */
    rbcore_reader_free(reader);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/* ---- Containers ---- */

/* Takes the ring as the first process of a new pid namespace. */
static void take_in_container(int socket, struct produce *ring) {
    if (unshare(CLONE_NEWPID)) {
        _exit(EXIT_FAILURE);
    }
    pid_t pid = fork_child();
    if (pid == 0) {
        take_and_report(socket, ring);
        wait_for_word(socket);
        _exit(EXIT_SUCCESS);
    }
    _exit(wait_child(pid) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Its pids mean nothing here; the lock must do. */
START_TEST(another_container) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(take_in_container, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    assert_taken(ring);
    ck_assert_int_eq(try_in_process(take_in_container, ring), -EBUSY);
    end(&owner);
    assert_free(ring);
    rbcore_reader *reader = open_ring(ring, 0);
    ck_assert_int_eq(try_in_process(take_in_container, ring), -EBUSY);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* ---- The owner executes another program ---- */

static void execute_self(int socket, const struct produce *ring, const char *what) {
    char fds[2][16];
    snprintf(fds[0], sizeof(fds[0]), "%d", dup(ring_fd(ring))); /* without close-on-exec */
    snprintf(fds[1], sizeof(fds[1]), "%d", dup(socket));
    execl("/proc/self/exe", "second_reader", what, fds[0], fds[1], (char *)NULL);
    _exit(EXIT_FAILURE);
}

static void take_and_execute(int socket, struct produce *ring, const char *what) {
    rbcore_reader *reader;
    int result = take(ring, 0, &reader);
    if (result) {
        report(socket, result);
    }
    execute_self(socket, ring, what);
}

static void reopen_after_execve(int socket, struct produce *ring) {
    take_and_execute(socket, ring, "take");
}

static void reopen_after_execve_with_cap_bpf(int socket, struct produce *ring) {
    drop_all_but_cap_bpf(ring);
    /* execve() as root gives all capabilities back, but not those that are not in the bounding set.
     */
    for (int i = 0; cap_get_bound(i) >= 0; i++) {
        if (i != CAP_BPF && i != CAP_PERFMON) {
            prctl(PR_CAPBSET_DROP, i);
        }
    }
    take_and_execute(socket, ring, "take");
}

static void idle_after_execve(int socket, struct produce *ring) {
    take_and_execute(socket, ring, "idle");
}

/* The part of the program that was executed anew. */
static int executed_anew(const char *what, int fd, int socket) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_reader *reader = NULL;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = fd;
    int result = rbcore_reader_open(&reader, NULL);
    if (!result && strcmp(what, "take") == 0) {
        result = rbcore_reader_add(reader, &source);
    }
    report(socket, result);
    wait_for_word(socket);
    rbcore_reader_free(reader);
    return EXIT_SUCCESS;
}

/* Pid and start time are the same, but it is not the same reader. */
START_TEST(owner_executes_itself) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(_i ? reopen_after_execve_with_cap_bpf : reopen_after_execve, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    assert_taken(ring);
    end(&owner);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/* A process that lives but has no reader any more takes up no ring. */
START_TEST(owner_executes_something_else) {
    struct produce *ring = load_ring(pages(1));
    test_process owner = start(idle_after_execve, ring);
    ck_assert_int_eq(result_of(&owner), 0);
    assert_free(ring);
    end(&owner);
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

/*
 * Two processes open at the same moment, again and again: never both get the ring. The second time
 * without a lock that either could have.
 */
START_TEST(race) {
    struct produce *ring = load_ring(pages(1));
    test_process stranger = {0};
    if (_i) {
        stranger = start(lock_as_nobody, ring);
        ck_assert_int_eq(result_of(&stranger), 0);
    }
    test_process processes[2] = {start(take_at_each_word, ring), start(take_at_each_word, ring)};
    int opened = 0;
    for (int i = 0; i < (_i ? 100 : 1000); i++) {
        say_word(&processes[i % 2]);
        say_word(&processes[1 - i % 2]);
        int results[2] = {result_of(&processes[0]), result_of(&processes[1])};
        for (int j = 0; j < 2; j++) {
            ck_assert_msg(results[j] == 0 || results[j] == -EBUSY, "%d", results[j]);
        }
        ck_assert_msg(results[0] || results[1], "both have the ring in round %d", i);
        if (!results[0] || !results[1]) {
            opened++;
            assert_taken(ring);
        }
        for (int j = 0; j < 2; j++) {
            say_word(&processes[j]);
            ck_assert_int_eq(result_of(&processes[j]), 0);
        }
    }
    ck_assert_int_gt(opened, 0);
    end(&processes[0]);
    end(&processes[1]);
    if (_i) {
        end(&stranger);
    }
    assert_free(ring);
    produce__destroy(ring);
}
END_TEST

int main(int argc, char **argv) {
    if (argc == 4) {
        return executed_anew(argv[1], atoi(argv[2]), atoi(argv[3]));
    }
    Suite *suite = suite_create("second reader");
    add_test(suite, same_process);
    add_test(suite, held_records_keep_it);
    add_test(suite, second_process);
    add_test(suite, killed_owner);
    add_test(suite, forked_child);
    add_test(suite, child_outlives_reader);
    /* The second of these runs has CAP_BPF, but not CAP_SYS_ADMIN. */
    add_loop_test(suite, child_outlives_killed_owner, 2);
    add_loop_test(suite, fd_passed_over_a_socket, 2);
    add_test(suite, stranger_holds_the_lock);
    add_test(suite, stranger_locks_behind_the_reader);
    add_test(suite, twice_in_one_reader);
    add_test(suite, cap_bpf_only);
    add_test(suite, nobody_with_the_fd);
    add_test(suite, insist);
    add_test(suite, another_container);
    add_loop_test(suite, owner_executes_itself, 2);
    add_test(suite, owner_executes_something_else);
    add_loop_test(suite, race, 2); /* 1: with a stranger that holds the lock */
    return run_kernel_tests(suite,
                            geteuid() ? "it must take other users' places: root only" : NULL);
}
