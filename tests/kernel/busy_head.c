/* SPDX-License-Identifier: MIT */
/*
 * A record at the head of the ring that another thread is still writing. The thread's program waits
 * inside bpf_copy_from_user() for a page that userfaultfd(2) withholds: for as long as a test
 * wants, without burning a CPU.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

/* A record that is reserved and not submitted, of HOLD_PRODUCER. */
typedef struct held_record {
    struct produce *ring;
    struct hold_args args;
    pthread_t thread;
    void *page;
    int fault_fd;
} held_record;

static int open_fault_fd(void) {
    struct uffdio_api api = {.api = UFFD_API};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void *run_hold(void *context) {
    held_record *held = context;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &held->args, .ctx_size_in = sizeof(held->args));
    if (bpf_prog_test_run_opts(bpf_program__fd(held->ring->progs.hold), &opts) || opts.retval) {
        abort();
    }
    return NULL;
}

/* Returns when the record is reserved. discard: that is how it will end. */
static void hold(held_record *held, struct produce *ring, bool discard) {
    struct uffd_msg fault;
    held->ring = ring;
    held->fault_fd = open_fault_fd();
    held->page = mmap(NULL, pages(1), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(held->page, MAP_FAILED);
    struct uffdio_register range = {.range = {(uintptr_t)held->page, pages(1)},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    ck_assert_int_eq(ioctl(held->fault_fd, UFFDIO_REGISTER, &range), 0);
    held->args = (struct hold_args){.page = (uintptr_t)held->page, .discard = discard};
    ck_assert_int_eq(pthread_create(&held->thread, NULL, run_hold, held), 0);
    ck_assert_int_eq(read(held->fault_fd, &fault, sizeof(fault)), sizeof(fault));
    ck_assert_uint_eq(fault.event, UFFD_EVENT_PAGEFAULT);
}

/* Lets the record be completed, and returns when it is. */
static void let_go(held_record *held, uint64_t sequence) {
    void *content = calloc(1, pages(1));
    ck_assert_ptr_nonnull(content);
    memcpy(content, &sequence, sizeof(sequence));
    struct uffdio_copy copy = {
        .dst = (uintptr_t)held->page, .src = (uintptr_t)content, .len = pages(1)};
    ck_assert_int_eq(ioctl(held->fault_fd, UFFDIO_COPY, &copy), 0);
    ck_assert_int_eq(pthread_join(held->thread, NULL), 0);
    munmap(held->page, pages(1));
    close(held->fault_fd);
    free(content);
}

static void assert_held_record(const rbcore_record *record, uint64_t sequence) {
    const struct event *event = record->data;
    ck_assert_uint_eq(record->size, sizeof(*event));
    ck_assert_uint_eq(event->producer, HOLD_PRODUCER);
    ck_assert_uint_eq(event->sequence, sequence);
}

START_TEST(busy_head_is_honoured) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record records[4];
    held_record held;
    ck_assert_int_eq(emit(ring, 8, 1, 0), 0);
    hold(&held, ring, false);
    ck_assert_int_eq(emit(ring, 8, 2, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 4), 1);
    ck_assert(is_pattern(ring, records[0].data, 8, 1));
    ck_assert_int_eq(rbcore_reader_read(reader, records, 4), 0);
    ck_assert_uint_eq(stats_of(reader, 0).bytes_waiting, span_of(16) + span_of(8));
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 4), 0);
    let_go(&held, 42);
    ck_assert_int_eq(rbcore_reader_next(reader, records, 4, WATCHDOG_NS), 2);
    assert_held_record(&records[0], 42);
    ck_assert(is_pattern(ring, records[1].data, 8, 2));
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* libbpf's reader stops at the same place. */
START_TEST(same_as_libbpf) {
    struct produce *ring = load_ring(pages(1));
    rbcore_record records[4];
    held_record held;
    ck_assert_int_eq(emit(ring, 8, 1, 0), 0);
    hold(&held, ring, false);
    ck_assert_int_eq(emit(ring, 8, 2, 0), 0);
    rbcore_reader *reader = open_ring(ring, 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 4), 1);
    rbcore_reader_free(reader);
    record_log log = consume_by_libbpf(ring);
    ck_assert_uint_eq(log.records, 1);
    free(log.bytes);
    let_go(&held, 1);
    log = consume_by_libbpf(ring);
    ck_assert_uint_eq(log.records, 2);
    free(log.bytes);
    produce__destroy(ring);
}
END_TEST

START_TEST(discarded_at_last) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    held_record held;
    hold(&held, ring, true);
    ck_assert_int_eq(emit(ring, 8, 2, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    let_go(&held, 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert(is_pattern(ring, record.data, 8, 2));
    ck_assert_uint_eq(stats_of(reader, 0).discards, 1);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* Complete records behind the head neither make a wait spin nor keep its deadline from firing. */
static void wait_in_vain(rbcore_reader *reader, int64_t timeout) {
    rbcore_record record;
    struct rusage before, after;
    int64_t began = now_ns(), cpu = thread_cpu_ns();
    getrusage(RUSAGE_THREAD, &before);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, timeout), 0);
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_ge(now_ns() - began, timeout);
    ck_assert_int_lt(now_ns() - began, WATCHDOG_NS);
    if (is_emulated()) {
        printf("skipped: the processor time of a wait: the processor is emulated\n");
    } else {
        ck_assert_int_lt(thread_cpu_ns() - cpu, timeout / 3);
    }
    ck_assert_int_lt(after.ru_nvcsw - before.ru_nvcsw, 20 + 10 * timeout / (10 * MILLISECOND));
}

START_TEST(deadline_behind_a_busy_head) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    held_record held;
    if (_i) { /* and with an uncommitted record before it */
        ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    }
    hold(&held, ring, false);
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(emit(ring, 8, 0, BPF_RB_FORCE_WAKEUP), 0);
    wait_in_vain(reader, 400 * MILLISECOND);
    int64_t began = now_ns();
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 0), 0);
    ck_assert_int_lt(now_ns() - began, WATCHDOG_NS);
    let_go(&held, 7);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    assert_held_record(&record, 7);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

static void *let_go_later(void *context) {
    sleep_ms(100);
    let_go(context, 9);
    return NULL;
}

static void *emit_and_let_go_later(void *context) {
    held_record *held = context;
    sleep_ms(100);
    emit(held->ring, 8, 0, 0);
    return let_go_later(context);
}

/* The head's own submit wakes, whether the wait began before or after the records behind it came.
 */
START_TEST(head_wakes_when_it_is_submitted) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    for (int i = 0; i < 4; i++) {
        rbcore_record record;
        held_record held;
        pthread_t thread;
        hold(&held, ring, false);
        if (i % 2) {
            ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
        }
        ck_assert_int_eq(
            pthread_create(&thread, NULL, i % 2 ? let_go_later : emit_and_let_go_later, &held), 0);
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, RBCORE_FOREVER), 1);
        assert_held_record(&record, 9);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(foreign_epoll_does_not_spin) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), events = 0;
    struct epoll_event event = {.events = EPOLLIN};
    rbcore_record record;
    held_record held;
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, rbcore_reader_fd(reader), &event), 0);
    hold(&held, ring, false);
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    for (int64_t end = now_ns() + 400 * MILLISECOND; now_ns() < end;) {
        if (epoll_wait(epoll_fd, &event, 1, 50) < 1) {
            continue;
        }
        events++;
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    }
    ck_assert_int_lt(events, 400);
    let_go(&held, 3);
    ck_assert_int_eq(epoll_wait(epoll_fd, &event, 1, WATCHDOG_MS), 1);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    assert_held_record(&record, 3);
    close(epoll_fd);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(flush_does_not_wait_for_the_head) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    held_record held;
    ck_assert_int_eq(emit(ring, 8, 1, BPF_RB_NO_WAKEUP), 0);
    hold(&held, ring, false);
    ck_assert_int_eq(emit(ring, 8, 2, 0), 0);
    ck_assert_int_eq(rbcore_reader_flush(reader), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), -ENODATA);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, 0), 0);
    let_go(&held, 5);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    assert_held_record(&record, 5);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(latest_starts_at_the_head) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_reader(0);
    rbcore_source source = source_of(ring);
    rbcore_record records[3];
    held_record held;
    source.flags = RBCORE_SOURCE_LATEST;
    ck_assert_int_eq(emit(ring, 8, 1, 0), 0);
    hold(&held, ring, false);
    ck_assert_int_eq(emit(ring, 8, 2, 0), 0);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    ck_assert_uint_eq(stats_of(reader, 0).skipped, 1);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 3), 0);
    let_go(&held, 8);
    ck_assert_int_eq(rbcore_reader_next(reader, records, 3, WATCHDOG_NS), 2);
    assert_held_record(&records[0], 8);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* A ring whose head is BUSY does not hold up another one. */
START_TEST(other_rings_go_on) {
    struct produce *busy = load_ring(pages(1)), *other = load_ring(pages(1));
    rbcore_reader *reader = open_ring(busy, 0);
    rbcore_source source = source_of(other);
    rbcore_record record;
    held_record held;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 1);
    hold(&held, busy, false);
    ck_assert_int_eq(emit(busy, 8, 0, 0), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
        ck_assert_int_eq(emit(other, 8, 0, 0), 0);
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
        ck_assert_uint_eq(record.ring, 1);
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    let_go(&held, 6);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    assert_held_record(&record, 6);
    rbcore_reader_free(reader);
    produce__destroy(busy);
    produce__destroy(other);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("busy head");
    add_test(suite, busy_head_is_honoured);
    add_test(suite, same_as_libbpf);
    add_test(suite, discarded_at_last);
    add_loop_test(suite, deadline_behind_a_busy_head, 2);
    add_test(suite, head_wakes_when_it_is_submitted);
    add_test(suite, foreign_epoll_does_not_spin);
    add_test(suite, flush_does_not_wait_for_the_head);
    add_test(suite, latest_starts_at_the_head);
    add_test(suite, other_rings_go_on);
    int fd = open_fault_fd();
    if (fd >= 0) {
        close(fd);
    }
    return run_kernel_tests(suite, fd < 0 ? "userfaultfd(2) is not permitted" : NULL);
}
