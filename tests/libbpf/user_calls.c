/* SPDX-License-Identifier: MIT */
/*
 * A program that uses libbpf's user ring buffer in every way, and tells what comes of each call;
 * otherwise like calls.c.
 */
#include "transcript.h"

#include "../kernel/drain.h"
#include "drain.skel.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL ((uint32_t)sizeof(struct request))

/* A user ring, and the ring of the answers that its BPF program gives. */
typedef struct user_rings {
    struct drain *bpf;
    struct user_ring_buffer *user;
    struct ring_buffer *answers;
    int seen;
    bool is_silent;
    uint64_t expected; /* if silent: the sequence */
    int wrong;
} user_rings;

static int on_answer(void *context, void *data, size_t size) {
    user_rings *rings = context;
    const struct answer *answer = data;
    rings->seen++;
    if (rings->is_silent) {
        rings->wrong += answer->sequence != rings->expected++ || !answer->is_whole;
    } else {
        say("  answer %d, %zu bytes: producer %u, size %u, sequence %llu, whole %u", rings->seen,
            size, answer->producer, answer->size, (unsigned long long)answer->sequence,
            answer->is_whole);
    }
    return 0;
}

static int user_fd(const user_rings *rings) {
    return bpf_map__fd(rings->bpf->maps.requests);
}

static void open_rings(user_rings *rings, size_t size, size_t answers_size) {
    *rings = (user_rings){.bpf = drain__open()};
    ck_assert_ptr_nonnull(rings->bpf);
    bpf_map__set_max_entries(rings->bpf->maps.requests, (uint32_t)size);
    bpf_map__set_max_entries(rings->bpf->maps.answers, (uint32_t)answers_size);
    ck_assert_int_eq(drain__load(rings->bpf), 0);
    rings->answers =
        ring_buffer__new(bpf_map__fd(rings->bpf->maps.answers), on_answer, rings, NULL);
    ck_assert_ptr_nonnull(rings->answers);
    rings->user = OPEN(user_ring_buffer__new(user_fd(rings), NULL));
    ck_assert_ptr_nonnull(rings->user);
}

static void close_rings(user_rings *rings) {
    user_ring_buffer__free(rings->user);
    ring_buffer__free(rings->answers);
    drain__destroy(rings->bpf);
}

/* Drains, up to `stop_after` records (0: all), and reads the answers. */
static int64_t drain_some(user_rings *rings, uint64_t stop_after) {
    struct drain_args args = {.stop_after = stop_after};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
    ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(rings->bpf->progs.drain), &opts), 0);
    if (!rings->is_silent) {
        say("drained %lld, %llu refused", (long long)args.result, (unsigned long long)args.refused);
    }
    ring_buffer__consume(rings->answers);
    return args.result;
}

static void fill(void *data, uint64_t sequence, uint32_t size) {
    struct request request = {.producer = 1, .size = size, .sequence = sequence};
    memcpy(data, &request, sizeof(request));
    if (size > sizeof(request)) {
        ((unsigned char *)data)[size - 1] = filler(sequence, size);
    }
}

static bool send_one(user_rings *rings, uint64_t sequence, uint32_t size) {
    void *data = user_ring_buffer__reserve(rings->user, size);
    if (!data) {
        return false;
    }
    fill(data, sequence, size);
    user_ring_buffer__submit(rings->user, data);
    return true;
}

START_TEST(user_records) {
    user_rings rings;
    open_rings(&rings, pages(1), pages(4));
    drain_some(&rings, 0);
    for (uint32_t i = 0; i < 6; i++) {
        send_one(&rings, i, SMALL + i * 7);
    }
    void *first = OPEN(user_ring_buffer__reserve(rings.user, SMALL));
    void *second = OPEN(user_ring_buffer__reserve(rings.user, 40));
    void *third = OPEN(user_ring_buffer__reserve(rings.user, 0));
    fill(second, 101, 40);
    user_ring_buffer__submit(rings.user, second);
    drain_some(&rings, 2);
    drain_some(&rings, 0);
    user_ring_buffer__discard(rings.user, first);
    drain_some(&rings, 0);
    user_ring_buffer__submit(rings.user, third);
    drain_some(&rings, 0);
    drain_some(&rings, 0);
    rings.is_silent = true;
    for (uint64_t i = 0; i < 20000; i++) {
        if (!send_one(&rings, i, SMALL + (uint32_t)(i % 300))) {
            say("record %llu: errno %d", (unsigned long long)i, errno);
        }
        if (i % 9 == 8 && drain_some(&rings, 0) != 9) {
            say("not 9 at %llu", (unsigned long long)i);
        }
    }
    drain_some(&rings, 0);
    say("seen %d, wrong %d", rings.seen, rings.wrong);
    close_rings(&rings);
    user_ring_buffer__free(NULL);
}
END_TEST

START_TEST(user_full) {
    user_rings rings;
    const uint32_t size = (uint32_t)pages(1);
    open_rings(&rings, size, pages(4));
    OPEN(user_ring_buffer__reserve(rings.user, size - 7));
    OPEN(user_ring_buffer__reserve(rings.user, size));
    OPEN(user_ring_buffer__reserve(rings.user, 1U << 30));
    OPEN(user_ring_buffer__reserve(rings.user, UINT32_MAX));
    void *all = OPEN(user_ring_buffer__reserve(rings.user, size - 8));
    OPEN(user_ring_buffer__reserve(rings.user, 0));
    fill(all, 7, size - 8);
    user_ring_buffer__submit(rings.user, all);
    OPEN(user_ring_buffer__reserve(rings.user, 0));
    drain_some(&rings, 0);
    int fitted = 0;
    while (send_one(&rings, (uint64_t)fitted, SMALL)) {
        fitted++;
    }
    say("fitted %d, errno %d", fitted, errno);
    OPEN(user_ring_buffer__reserve_blocking(rings.user, SMALL, 0));
    drain_some(&rings, 3);
    say("another: %d", send_one(&rings, 9, SMALL));
    close_rings(&rings);
}
END_TEST

/* While a little is free libbpf 1.1 does not wait without end, whatever its header says. */
static void fill_to_the_last_byte(user_rings *rings) {
    void *data;
    while (send_one(rings, 0, SMALL)) {
    }
    while ((data = user_ring_buffer__reserve(rings->user, 0))) {
        user_ring_buffer__discard(rings->user, data);
    }
}

static void *send_blocking(void *context) {
    user_rings *rings = context;
    void *data = user_ring_buffer__reserve_blocking(rings->user, SMALL, -1);
    if (!data) {
        return NULL;
    }
    fill(data, 555, SMALL);
    user_ring_buffer__submit(rings->user, data);
    return data;
}

static void ignore(int signal) {
    (void)signal;
}

START_TEST(user_blocking) {
    user_rings rings;
    open_rings(&rings, pages(1), pages(4));
    OPEN(user_ring_buffer__reserve_blocking(rings.user, SMALL, -2));
    OPEN(user_ring_buffer__reserve_blocking(rings.user, (uint32_t)pages(1), -1));
    void *data = OPEN(user_ring_buffer__reserve_blocking(rings.user, SMALL, 100));
    user_ring_buffer__discard(rings.user, data);
    data = OPEN(user_ring_buffer__reserve_blocking(rings.user, SMALL, -1));
    user_ring_buffer__discard(rings.user, data);
    fill_to_the_last_byte(&rings);
    int64_t start = now_ns();
    OPEN(user_ring_buffer__reserve_blocking(rings.user, SMALL, 60));
    say("not before 60 ms: %d", now_ns() - start >= 60 * MILLISECOND);
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, send_blocking, &rings);
    sleep_ms(20);
    drain_some(&rings, 1);
    pthread_join(thread, &result);
    say("the thread's: %s", result ? "ok" : "NULL");
    rings.is_silent = true;
    while (drain_some(&rings, 0)) {
    }
    say("seen %d", rings.seen);
    data = user_ring_buffer__reserve(rings.user, (uint32_t)pages(1) - 8);
    struct sigaction action = {.sa_handler = ignore};
    struct itimerval timer = {.it_value.tv_usec = 50000, .it_interval.tv_usec = 50000}, none = {0};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    OPEN(user_ring_buffer__reserve_blocking(rings.user, SMALL, -1));
    setitimer(ITIMER_REAL, &none, NULL);
    user_ring_buffer__discard(rings.user, data);
    close_rings(&rings);
}
END_TEST

typedef struct opening {
    int map_fd;
    struct user_ring_buffer *user;
    bool opened;
} opening;

static void *open_when_cancelled(void *context) {
    opening *self = context;
    pthread_cancel(pthread_self());
    self->user = user_ring_buffer__new(self->map_fd, NULL);
    self->opened = true;
    pthread_testcancel();
    return NULL;
}

static void *free_when_cancelled(void *context) {
    opening *self = context;
    pthread_cancel(pthread_self());
    user_ring_buffer__free(self->user);
    pthread_testcancel();
    return NULL;
}

static void free_user(void *user) {
    user_ring_buffer__free(user);
}

/* Waits, and frees as it ends. */
static void *wait_and_free(void *user) {
    pthread_cleanup_push(free_user, user);
    user_ring_buffer__reserve_blocking(user, SMALL, -1);
    pthread_cleanup_pop(1);
    return NULL;
}

/*
 * A wait is cancelled. Opening and closing are not: the cancellation comes later. The second one of
 * a map is libbpf's in each case. What stays open is told on stderr, for libbpf leaves something.
 */
START_TEST(user_cancelled) {
    user_rings rings;
    open_rings(&rings, pages(1), pages(4));
    opening first = {.map_fd = user_fd(&rings)}, second = first;
    fill_to_the_last_byte(&rings);
    run_to_its_cancellation(send_blocking, &rings, 20);
    rings.is_silent = true;
    while (drain_some(&rings, 0)) {
    }
    rings.is_silent = false;
    say("another: %d", send_one(&rings, 9, SMALL));
    drain_some(&rings, 0);
    user_ring_buffer__free(rings.user);
    const unsigned int before = open_fds();
    for (int i = 0; i < 2; i++) {
        first.opened = second.opened = false;
        run_to_its_cancellation(open_when_cancelled, &first, 0);
        run_to_its_cancellation(open_when_cancelled, &second, 0);
        say("opened: %d, %d", first.opened && first.user, second.opened && second.user);
        rings.user = first.user;
        fill_to_the_last_byte(&rings);
        run_to_its_cancellation(i == 0 ? wait_and_free : free_when_cancelled,
                                i == 0 ? (void *)second.user : &second, i == 0 ? 20 : 0);
        run_to_its_cancellation(free_when_cancelled, &first, 0);
    }
    fprintf(stderr, "left open: %u\n", open_fds() - before);
    ring_buffer__free(rings.answers);
    drain__destroy(rings.bpf);
}
END_TEST

START_TEST(user_refused) {
    user_rings rings;
    struct user_ring_buffer_opts opts = {.sz = sizeof(opts)}, absurd = {.sz = 1};
    struct {
        struct user_ring_buffer_opts known;
        uint64_t future;
    } newer = {.known.sz = sizeof(newer), .future = 1};
    int null = open("/dev/null", O_RDWR);
    open_rings(&rings, pages(1), pages(1));
    user_ring_buffer__free(rings.user);
    OPEN(user_ring_buffer__new(-1, NULL));
    OPEN(user_ring_buffer__new(9999, NULL));
    OPEN(user_ring_buffer__new(null, NULL));
    OPEN(user_ring_buffer__new(bpf_map__fd(rings.bpf->maps.answers), NULL));
    OPEN(user_ring_buffer__new(bpf_map__fd(rings.bpf->maps.answers_lost), NULL));
    OPEN(user_ring_buffer__new(user_fd(&rings), &absurd));
    OPEN(user_ring_buffer__new(user_fd(&rings), &newer.known));
    newer.future = 0;
    rings.user = OPEN(user_ring_buffer__new(user_fd(&rings), &newer.known));
    user_ring_buffer__free(rings.user);
    rings.user = OPEN(user_ring_buffer__new(user_fd(&rings), &opts));
    /* The descriptor is not needed any more where libbpf does not wait. */
    send_one(&rings, 1, SMALL);
    drain_some(&rings, 0);
    close_rings(&rings);
    close(null);
}
END_TEST

/* A map may have two, for a program that uses them in turns. */
START_TEST(user_second) {
    user_rings rings;
    open_rings(&rings, pages(1), pages(4));
    struct user_ring_buffer *first = rings.user;
    struct user_ring_buffer *second = OPEN(user_ring_buffer__new(user_fd(&rings), NULL));
    for (uint64_t i = 0; i < 6; i++) {
        rings.user = i % 2 ? second : first;
        say("%llu: %d", (unsigned long long)i, send_one(&rings, i, SMALL + (uint32_t)i));
    }
    drain_some(&rings, 0);
    user_ring_buffer__free(first);
    rings.user = second;
    say("the second one: %d", send_one(&rings, 9, SMALL));
    void *data = OPEN(user_ring_buffer__reserve_blocking(second, SMALL, 100));
    user_ring_buffer__discard(second, data);
    drain_some(&rings, 0);
    close_rings(&rings);
}
END_TEST

static void send_in_child(pid_t (*make_child)(void)) {
    user_rings rings;
    open_rings(&rings, pages(1), pages(4));
    send_one(&rings, 1, SMALL);
    pid_t pid = make_child();
    if (pid == 0) {
        pthread_cancel(pthread_self()); /* no call here waits */
        bool sent = send_one(&rings, 2, SMALL);
        void *data = user_ring_buffer__reserve_blocking(rings.user, SMALL, 100);
        if (data) {
            fill(data, 3, SMALL);
            user_ring_buffer__submit(rings.user, data);
        }
        data = user_ring_buffer__reserve(rings.user, SMALL);
        user_ring_buffer__discard(rings.user, data);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* libbpf's free can be cancelled */
        user_ring_buffer__free(rings.user);
        _exit(sent && data ? 7 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    say("the child: %d", status);
    send_one(&rings, 4, SMALL);
    drain_some(&rings, 0);
    close_rings(&rings);
}

START_TEST(user_in_child) {
    send_in_child(fork);
}
END_TEST

/* Does what fork() does, but libc does not know of it. */
static pid_t fork_unknown(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

START_TEST(user_in_raw_child) {
    send_in_child(fork_unknown);
}
END_TEST

static const scenario scenarios[] = {
    {&user_records, 0},      {&user_full, 0},      {&user_blocking, 0},
    {&user_refused, 0},      {&user_second, 0},    {&user_in_child, 0},
    {&user_in_raw_child, 0}, {&user_cancelled, 0}, {NULL, 0},
};

static const char *missing(void) {
    return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_USER_RINGBUF, NULL) == 1
               ? NULL
               : "the kernel has no BPF_MAP_TYPE_USER_RINGBUF (it came with Linux 6.1)";
}

/* On stderr: not part of the transcript. */
static void tell_whose(void) {
    Dl_info whose;
    if (dladdr((const void *)(uintptr_t)user_ring_buffer__reserve, &whose)) {
        fprintf(stderr, "user_ring_buffer__reserve of %s\n", whose.dli_fname);
    }
}

int main(int argc, char **argv) {
    tell_whose();
    return run_scenario("user_calls", (const scenario *[]){scenarios, NULL}, missing(), argc, argv);
}
