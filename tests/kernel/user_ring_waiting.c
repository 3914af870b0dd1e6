/* SPDX-License-Identifier: MIT */
/* The user ring under way: waiting for room, several threads, a million records there and back. */
#include "user_support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SMALL ((uint32_t)sizeof(struct request))

/* Returns how many records that takes. */
static int fill_ring(const user_ring *user) {
    int error, count = 0;
    while ((error = send_request(user, 1, 0, SMALL)) == 0) {
        count++;
    }
    ck_assert_int_eq(error, -EAGAIN);
    return count;
}

/* ---- A thread that waits ------------------------------------------------------------------- */

typedef struct waiting_thread {
    pthread_t thread;
    const user_ring *user;
    int64_t timeout, ended;
    uint32_t size;
    _Atomic int result; /* 1: still at it */
} waiting_thread;

static void *wait_for_room(void *argument) {
    waiting_thread *self = argument;
    void *data;
    int result =
        rbcore_producer_reserve_wait(self->user->producer, &data, self->size, self->timeout);
    self->ended = now_ns();
    if (result == 0) {
        fill_request(data, 2, 0, self->size);
        rbcore_producer_submit(self->user->producer, data, 0);
    }
    atomic_store(&self->result, result);
    return NULL;
}

static void start(waiting_thread *self, const user_ring *user, uint32_t size, int64_t timeout) {
    self->user = user;
    self->size = size;
    self->timeout = timeout;
    atomic_store(&self->result, 1);
    ck_assert_int_eq(pthread_create(&self->thread, NULL, wait_for_room, self), 0);
}

static int join(waiting_thread *self) {
    ck_assert_int_eq(pthread_join(self->thread, NULL), 0);
    return atomic_load(&self->result);
}

START_TEST(timeouts) {
    user_ring user = open_user(pages(1), pages(1));
    void *data;
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, SMALL, -2), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, NULL, SMALL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, pages(1), RBCORE_FOREVER),
                     -EMSGSIZE);
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, SMALL, INT64_MAX), 0);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, data, 0), 0);
    fill_ring(&user);
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, SMALL, 0), -EAGAIN);
    for (int i = 0; i < 3; i++) {
        int64_t begin = now_ns();
        ck_assert_int_eq(
            rbcore_producer_reserve_wait(user.producer, &data, SMALL, 25 * MILLISECOND), -EAGAIN);
        ck_assert_int_ge(now_ns() - begin, 25 * MILLISECOND);
    }
    close_user(&user);
}
END_TEST

START_TEST(no_descriptor_is_needed_where_there_is_room) {
    user_ring user = open_user(pages(1), pages(1));
    struct rlimit before, none;
    void *data;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, SMALL, RBCORE_FOREVER), 0);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, data, 0), 0);
    fill_ring(&user);
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, SMALL, RBCORE_FOREVER),
                     -EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    close_user(&user);
}
END_TEST

/*
 * The map's descriptor is ready for writing as long as a byte is free: a producer that waits for
 * that alone spins where the record does not fit.
 */
START_TEST(no_spinning_while_a_little_is_free) {
    user_ring user = open_user(pages(1), pages(1));
    struct pollfd map = {.fd = user_fd(&user), .events = POLLOUT};
    void *data;
    fill_ring(&user);
    ck_assert_int_eq(poll(&map, 1, 0), 1);
    struct rusage before, after;
    ck_assert_int_eq(getrusage(RUSAGE_THREAD, &before), 0);
    int64_t cpu = thread_cpu_ns();
    ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, SMALL, 400 * MILLISECOND),
                     -EAGAIN);
    ck_assert_int_lt(thread_cpu_ns() - cpu, 100 * MILLISECOND);
    /* On a busy machine a spin gets no more: it goes on when it is let, and never sleeps. */
    ck_assert_int_eq(getrusage(RUSAGE_THREAD, &after), 0);
    ck_assert_int_ge(after.ru_nvcsw - before.ru_nvcsw, 3);
    close_user(&user);
}
END_TEST

#define ROUNDS 40

/* Draining wakes: sooner than the next look of one that nobody wakes, at least once. */
START_TEST(a_drain_wakes) {
    user_ring user = open_user(pages(1), 2 * pages(1));
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        waiting_thread waiter;
        fill_ring(&user);
        start(&waiter, &user, SMALL, WATCHDOG_NS);
        sleep_ms(5);
        int64_t begin = now_ns();
        ck_assert_int_gt(drain(&user), 0);
        ck_assert_int_eq(join(&waiter), 0);
        if (waiter.ended - begin < shortest) {
            shortest = waiter.ended - begin;
        }
        rbcore_record records[256];
        while (rbcore_reader_read(user.reader, records, 256) > 0) {
            rbcore_reader_commit(user.reader, NULL, 0);
        }
    }
    ck_assert_int_lt(shortest, 2 * MILLISECOND);
    close_user(&user);
}
END_TEST

/* A drain that wakes no producer is found out by looking. */
START_TEST(a_drain_that_does_not_wake) {
    user_ring user = open_user(pages(1), 2 * pages(1));
    waiting_thread waiter;
    int count = fill_ring(&user);
    start(&waiter, &user, SMALL, RBCORE_FOREVER);
    sleep_ms(20);
    struct drain_args args = {.flags = BPF_RB_NO_WAKEUP};
    drain_with(&user, &args);
    ck_assert_int_gt(args.result, 0);
    ck_assert_int_eq(join(&waiter), 0);
    /* The waiter may have looked while that drain went on, which then had its record as well. */
    ck_assert_int_eq(args.result + drain(&user), count + 1);
    close_user(&user);
}
END_TEST

/* A drain that frees too little is not the end of a wait. */
START_TEST(a_wait_for_much) {
    user_ring user = open_user(pages(1), 2 * pages(1));
    waiting_thread waiter;
    fill_ring(&user);
    start(&waiter, &user, (uint32_t)pages(1) / 2 + 100, WATCHDOG_NS);
    uint64_t freed = 0;
    while (freed < pages(1) / 2) { /* and less than a record was free before */
        ck_assert_int_eq(atomic_load(&waiter.result), 1);
        struct drain_args args = {.stop_after = 5};
        drain_with(&user, &args);
        ck_assert_int_eq(args.result, 5);
        freed += 5 * span_of(SMALL);
    }
    drain(&user);
    ck_assert_int_eq(join(&waiter), 0);
    close_user(&user);
}
END_TEST

/* Each waiting thread has to hear of a drain, even if the first to hear of it finds no room. */
START_TEST(several_wait) {
    user_ring user = open_user(pages(1), 2 * pages(1));
    const unsigned int fds = open_fds();
    for (int round = 0; round < 10; round++) {
        waiting_thread large, small[3];
        fill_ring(&user);
        start(&large, &user, (uint32_t)pages(1) - 8 - 256, WATCHDOG_NS);
        for (int i = 0; i < 3; i++) {
            start(&small[i], &user, SMALL, WATCHDOG_NS);
        }
        sleep_ms(2);
        struct drain_args args = {.stop_after = 4};
        drain_with(&user, &args);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(join(&small[i]), 0);
        }
        ck_assert_int_eq(atomic_load(&large.result), 1);
        while (atomic_load(&large.result) == 1) {
            drain_with(&user, &args);
        }
        ck_assert_int_eq(join(&large), 0);
        args = (struct drain_args){0};
        drain_with(&user, &args);
    }
    ck_assert_uint_le(open_fds(), fds + 1); /* one is kept for the next that waits */
    close_user(&user);
}
END_TEST

static void ignore(int signal) {
    (void)signal;
}

/* The thread that is cancelled has reserved nothing, and what it waited by is used or closed. */
START_TEST(a_cancelled_wait) {
    const unsigned int before = open_fds();
    user_ring user = open_user(pages(1), pages(4));
    waiting_thread waiting;
    void *result;
    const int count = fill_ring(&user);
    const unsigned int opened = open_fds();
    for (int i = 0; i < 3; i++) {
        start(&waiting, &user, SMALL, RBCORE_FOREVER);
        sleep_ms(20);
        ck_assert_int_eq(pthread_cancel(waiting.thread), 0);
        ck_assert_int_eq(pthread_join(waiting.thread, &result), 0);
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
        ck_assert_uint_le(open_fds(), opened + 1); /* one is kept for the next wait */
    }
    ck_assert_int_eq(drain(&user), count);
    ck_assert_int_eq(fill_ring(&user), count);
    close_user(&user);
    ck_assert_uint_eq(open_fds(), before);
}
END_TEST

START_TEST(a_signal_ends_a_wait) {
    user_ring user = open_user(pages(1), pages(1));
    struct sigaction action = {.sa_handler = ignore}; /* not SA_RESTART */
    waiting_thread waiter;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    fill_ring(&user);
    start(&waiter, &user, SMALL, WATCHDOG_NS);
    while (atomic_load(&waiter.result) == 1) {
        sleep_ms(1);
        pthread_kill(waiter.thread, SIGUSR1);
    }
    ck_assert_int_eq(join(&waiter), -EINTR);
    close_user(&user);
}
END_TEST

/* ---- Many records -------------------------------------------------------------------------- */

#define THREADS 4
#define ROUND_TRIPS UINT64_C(1000000)

typedef struct sending_thread {
    pthread_t thread;
    const user_ring *user;
    uint32_t id;
    uint64_t count;
    int error;
} sending_thread;

/* Every record waits for its room. One of eight is discarded, under a name that nobody may see. */
static void *send_one_by_one(void *argument) {
    sending_thread *self = argument;
    for (uint64_t i = 0, sequence = 0; sequence < self->count && !self->error; i++) {
        uint32_t size = SMALL + (uint32_t)(i * 13 % 90);
        bool discard = i % 8 == 5;
        void *data;
        self->error =
            rbcore_producer_reserve_wait(self->user->producer, &data, size, RBCORE_FOREVER);
        if (self->error) {
            break;
        }
        fill_request(data, discard ? NO_PRODUCER : self->id, sequence, size);
        self->error = discard ? rbcore_producer_discard(self->user->producer, data, 0)
                              : rbcore_producer_submit(self->user->producer, data, 0);
        sequence += !discard;
    }
    return NULL;
}

#define BATCH 64

/* The records come in batches; where the ring is full, one record waits. */
static void *send_in_batches(void *argument) {
    sending_thread *self = argument;
    unsigned char data[BATCH][64];
    rbcore_slice slices[BATCH];
    for (uint64_t sequence = 0; sequence < self->count && !self->error;) {
        size_t count = self->count - sequence < BATCH ? self->count - sequence : BATCH;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t size = SMALL + (uint32_t)((sequence + i) % 40);
            fill_request(data[i], self->id, sequence + i, size);
            slices[i] = (rbcore_slice){.data = data[i], .size = size};
        }
        int written = rbcore_producer_output_batch(self->user->producer, slices, count, 0);
        if (written > 0) {
            sequence += (uint64_t)written;
            continue;
        }
        void *room;
        self->error = written == -EAGAIN
                          ? rbcore_producer_reserve_wait(self->user->producer, &room,
                                                         slices[0].size, RBCORE_FOREVER)
                          : written;
        if (self->error) {
            break;
        }
        memcpy(room, data[0], slices[0].size);
        self->error = rbcore_producer_submit(self->user->producer, room, 0);
        sequence++;
    }
    return NULL;
}

/* Drains until `total` records came, and looks whether they are each sender's, in order. */
static void account_for(const user_ring *user, uint64_t total, uint64_t *expected,
                        uint32_t senders) {
    static rbcore_record records[512];
    uint64_t seen = 0;
    while (seen < total) {
        struct drain_args args = {.stop_after = 1000}; /* for as many is room among the answers */
        int n;
        drain_with(user, &args);
        if (args.refused || args.result < 0) {
            ck_abort_msg("drain: %ld, %lu refused", (long)args.result, (unsigned long)args.refused);
        }
        while ((n = rbcore_reader_read(user->reader, records, 512)) > 0) {
            for (int i = 0; i < n; i++) {
                const struct answer *answer = records[i].data;
                if (answer->producer >= senders || !answer->is_whole ||
                    answer->sequence != expected[answer->producer]++) {
                    ck_abort_msg("after %lu: record %lu of %u", (unsigned long)seen,
                                 (unsigned long)answer->sequence, answer->producer);
                }
                seen++;
            }
            rbcore_reader_commit(user->reader, NULL, 0);
        }
    }
    ck_assert_uint_eq(seen, total);
}

START_TEST(a_million_round_trips) {
    user_ring user = open_user(pages(16), pages(32));
    sending_thread sender = {.user = &user, .count = ROUND_TRIPS};
    uint64_t expected[1] = {0};
    ck_assert_int_eq(pthread_create(&sender.thread, NULL, send_in_batches, &sender), 0);
    account_for(&user, ROUND_TRIPS, expected, 1);
    ck_assert_int_eq(pthread_join(sender.thread, NULL), 0);
    ck_assert_int_eq(sender.error, 0);
    ck_assert_int_eq(drain(&user), 0);
    assert_no_answer(&user);
    close_user(&user);
}
END_TEST

START_TEST(several_threads) {
#ifdef __SANITIZE_THREAD__
    printf("skipped: several threads: ThreadSanitizer does not see the kernel, which is between "
           "them\n");
    return;
#endif
    user_ring user = open_user(pages(4), pages(32));
    sending_thread senders[THREADS];
    uint64_t expected[THREADS] = {0};
    for (uint32_t i = 0; i < THREADS; i++) {
        senders[i] = (sending_thread){.user = &user, .id = i, .count = 20000};
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL,
                                        i % 2 ? send_one_by_one : send_in_batches, &senders[i]),
                         0);
    }
    account_for(&user, THREADS * senders[0].count, expected, THREADS);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(senders[i].thread, NULL), 0);
        ck_assert_int_eq(senders[i].error, 0);
    }
    ck_assert_int_eq(drain(&user), 0);
    assert_no_answer(&user);
    close_user(&user);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("user ring, waiting");
    add_test(suite, timeouts);
    add_test(suite, no_descriptor_is_needed_where_there_is_room);
    add_test(suite, no_spinning_while_a_little_is_free);
    add_test(suite, a_drain_wakes);
    add_test(suite, a_drain_that_does_not_wake);
    add_test(suite, a_wait_for_much);
    add_test(suite, several_wait);
    add_test(suite, a_cancelled_wait);
    add_test(suite, a_signal_ends_a_wait);
    add_test(suite, a_million_round_trips);
    add_test(suite, several_threads);
    return run_kernel_tests(suite, user_ring_missing());
}
