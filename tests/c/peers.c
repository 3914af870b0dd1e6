/* SPDX-License-Identifier: MIT */
/*
 * Peers do all that they can with the descriptors that they share with a reader and a producer:
 * flags, offset, locks and content of the memory's open file, flags and counter of the eventfd's.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static void make_blocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    ok(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

static void fill_to_the_brim(int event_fd) {
    uint64_t old, most = UINT64_MAX - 1;
    while (readable(event_fd, 0)) {
        ck_assert_int_eq(read(event_fd, &old, sizeof(old)), sizeof(old));
    }
    ck_assert_int_eq(write(event_fd, &most, sizeof(most)), sizeof(most));
}

static void empty(int event_fd) {
    uint64_t count;
    ck_assert_int_eq(read(event_fd, &count, sizeof(count)), sizeof(count));
}

static void reserve_and_submit(const fixture *f) {
    void *data;
    ok(rbcore_producer_reserve(f->producer, &data, 8));
    memcpy(data, &(uint64_t){7}, 8);
    ok(rbcore_producer_submit(f->producer, data, 0));
}

static void discard_and_output(const fixture *f) {
    void *data;
    ok(rbcore_producer_reserve(f->producer, &data, 8));
    ok(rbcore_producer_discard(f->producer, data, RBCORE_FORCE_WAKEUP));
    fill_to_the_brim(f->event_fd);
    make_blocking(f->event_fd);
    ok(rbcore_producer_output(f->producer, &(uint64_t){7}, 8, RBCORE_FORCE_WAKEUP));
}

static void output(const fixture *f) {
    produce(f, 7);
}

static void output_batch(const fixture *f) {
    const rbcore_slice slice = {&(uint64_t){7}, 8};
    ck_assert_int_eq(rbcore_producer_output_batch(f->producer, &slice, 1, 0), 1);
}

static void submit_and_close(const fixture *f) {
    ok(fcntl(f->event_fd, F_SETFL, O_NONBLOCK)); /* or it is refused */
    rbcore_producer *other = producer_on(f->memory_fd, f->event_fd);
    ok(rbcore_producer_output(other, &(uint64_t){7}, 8, RBCORE_NO_WAKEUP));
    fill_to_the_brim(f->event_fd);
    make_blocking(f->event_fd);
    rbcore_producer_free(other);
}

/* "Each wakeup makes the descriptor non-blocking again and empties a full counter." */
START_TEST(a_blocking_eventfd_that_is_full) {
    void (*const calls[])(const fixture *) = {reserve_and_submit, discard_and_output, output,
                                              output_batch, submit_and_close};
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    alarm(20); /* a watchdog: a call that blocks has no end */
    for (int i = 0; i < 200; i++) {
        while (readable(rbcore_reader_fd(f.reader), 0)) {
            ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
        }
        fill_to_the_brim(f.event_fd);
        make_blocking(f.event_fd);
        calls[i % 5](&f);
        ck_assert(fcntl(f.event_fd, F_GETFL) & O_NONBLOCK);
        ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
        int n = rbcore_reader_read(f.reader, &record, 1);
        ck_assert_int_eq(n, 1);
        ck_assert_uint_eq(value_of(&record), 7);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    alarm(0);
    fixture_close(&f);
}
END_TEST

static int output_traced(void *argument) {
    const fixture *f = argument;
    rbcore_producer *producer = producer_on(f->memory_fd, f->event_fd);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) {
        return 77;
    }
    raise(SIGSTOP);
    return rbcore_producer_output(producer, &(uint64_t){7}, 8, RBCORE_FORCE_WAKEUP) ? 1 : 0;
}

/* "A submit blocks only if the peer undoes both": one that clears the flag before and after each
 * system call of the producer, with the counter full at first, does not. */
START_TEST(a_peer_that_undoes_one_of_both) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    int status;
    alarm(20);
    fill_to_the_brim(f.event_fd);
    pid_t pid = start_child(output_traced, &f);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("skipped: a_peer_that_undoes_one_of_both: ptrace(2) is not allowed\n");
        fixture_close(&f);
        return;
    }
    int stops = 0;
    while (WIFSTOPPED(status)) {
        make_blocking(f.event_fd);
        stops++;
        ok((int)ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    }
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_gt(stops, 6); /* at least three calls were seen */
    alarm(0);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&record), 7);
    fixture_close(&f);
}
END_TEST

/* A reader never touches the counter either: neither it nor its descriptor blocks. */
START_TEST(a_reader_of_a_blocking_eventfd) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader *tap = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    rbcore_record record;
    alarm(20);
    make_blocking(f.event_fd);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, i % 2), 0);
        ck_assert_int_eq(rbcore_reader_read(tap, &record, 1), 0);
        produce(&f, 7);
        make_blocking(f.event_fd);
        ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS), 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        ck_assert_int_eq(rbcore_reader_next(tap, &record, 1, WATCHDOG_NS), 1);
        ok(rbcore_reader_commit(tap, NULL, 0));
    }
    alarm(0);
    rbcore_reader_free(tap);
    fixture_close(&f);
}
END_TEST

/* "A peer that reads its counter takes wakeups away", and the reader finds the record by itself. */
START_TEST(wakeups_that_a_peer_takes_away) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    for (int i = 0; i < 5; i++) {
        while (rbcore_reader_read(f.reader, &record, 1) != 0 ||
               readable(rbcore_reader_fd(f.reader), 0)) {
        }
        produce(&f, 7);
        empty(f.event_fd);
        ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    fixture_close(&f);
}
END_TEST

static void exchange(const fixture *f, rbcore_reader *tap, uint64_t value) {
    rbcore_record record;
    produce(f, value);
    ck_assert_int_eq(rbcore_reader_next(f->reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&record), value);
    ok(rbcore_reader_commit(f->reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_next(tap, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&record), value);
    ok(rbcore_reader_commit(tap, NULL, 0));
}

/* "The library looks at no flag, offset or lock of memory_fd." */
START_TEST(flags_and_offset_of_the_memory) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader *tap = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    const int flags[] = {O_APPEND, O_NONBLOCK, O_APPEND | O_NONBLOCK | O_ASYNC, O_NOATIME, 0};
    for (int i = 0; i < 50; i++) {
        ok(fcntl(f.memory_fd, F_SETFL, flags[i % 5]));
        ck_assert_int_eq(lseek(f.memory_fd, i * 1237, SEEK_SET), i * 1237);
        exchange(&f, tap, (uint64_t)i);
        rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
        ck_assert_int_eq(lseek(f.memory_fd, 0, SEEK_CUR), i * 1237);
        rbcore_producer_free(other);
    }
    rbcore_reader_free(tap);
    fixture_close(&f);
}
END_TEST

/* Its size is sealed, and what is punched out of it reads as zeros: no SIGBUS. */
START_TEST(size_and_content_of_the_memory) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader *tap = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    exchange(&f, tap, 1);
    off_t size = lseek(f.memory_fd, 0, SEEK_END);
    ck_assert_int_eq(ftruncate(f.memory_fd, 0), -1);
    ck_assert_int_eq(ftruncate(f.memory_fd, size * 2), -1);
    ck_assert_int_eq(fcntl(f.memory_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    exchange(&f, tap, 2);
    for (off_t from = 0; from < size; from += (off_t)page_size()) {
        ok(fallocate(f.memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
                     (off_t)page_size()));
        rbcore_record record;
        int error = rbcore_producer_output(f.producer, "", 1, 0);
        ck_assert(error == 0 || error == -EAGAIN || error == -EBADMSG);
        for (int i = 0; i < 2; i++) {
            int n = rbcore_reader_read(i == 0 ? f.reader : tap, &record, 1);
            ck_assert(n == 0 || n == 1 || n == -EAGAIN || n == -EBADMSG);
            ok(rbcore_reader_commit(i == 0 ? f.reader : tap, NULL, 0));
        }
    }
    rbcore_reader_free(tap);
    fixture_close(&f);
}
END_TEST

static int reserve_and_wait(void *argument) {
    const fixture *f = argument;
    rbcore_producer *producer = producer_on(f->memory_fd, f->event_fd);
    void *data;
    if (rbcore_producer_reserve(producer, &data, 100)) {
        return 1;
    }
    pause();
    return 2;
}

/*
 * "A peer that takes the locks of the file keeps new producers out, and leaves new readers
 * unguarded." Those that are there go on, and a dead one is still told from a living one.
 */
START_TEST(locks_that_a_peer_takes) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader *tap = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    pid_t pid = start_child(reserve_and_wait, &f);
    while (ring_stats(&f).producer_pos == 0) {
        sleep_ms(1);
    }
    kill(pid, SIGKILL);
    ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f.memory_fd);
    int own = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(own, 0);
    /* All bytes but those that are held. */
    for (off_t byte = 0; byte < 1000; byte++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
        fcntl(own, F_OFD_SETLK, &lock);
    }
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    rbcore_producer *other;
    ck_assert_int_eq(rbcore_producer_open(&other, &source), -EUSERS);
    for (uint64_t i = 0; i < 20; i++) {
        exchange(&f, tap, i);
    }
    ck_assert_uint_eq(ring_stats(&f).abandoned, 1);
    rbcore_reader_free(f.reader);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    ok(fcntl(own, F_OFD_SETLK, &lock));
    f.reader = reader_on(&f, 0, 0);
    f.ring = 0;
    ck_assert_uint_eq(ring_stats(&f).flags & RBCORE_RING_UNGUARDED, RBCORE_RING_UNGUARDED);
    exchange(&f, tap, 99);
    close(own);
    rbcore_producer_free(producer_on(f.memory_fd, f.event_fd));
    rbcore_reader_free(tap);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {a_blocking_eventfd_that_is_full, a_peer_that_undoes_one_of_both,
                                  a_reader_of_a_blocking_eventfd,  wakeups_that_a_peer_takes_away,
                                  flags_and_offset_of_the_memory,  size_and_content_of_the_memory,
                                  locks_that_a_peer_takes,         NULL};
    return run_tests("peers", tests);
}
