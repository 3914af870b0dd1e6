/* SPDX-License-Identifier: MIT */
/* Many rings in one ring_buffer, where descriptors are few, and where libbpf takes them over. */
#include "calls.h"

#include "../kernel/many.h"
#include "many.skel.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Rings of a page, and programs that write into them ---- */

typedef struct crowd {
    struct many *programs;
    int *fds;
    ring_sink *sinks;
    char (*names)[12];
    unsigned int count;
} crowd;

static void load_programs(crowd *self) {
    self->programs = many__open();
    ck_assert_ptr_nonnull(self->programs);
    ck_assert_int_eq(bpf_map__set_inner_map_fd(self->programs->maps.rings, self->fds[0]), 0);
    ck_assert_int_eq(many__load(self->programs), 0);
}

/* By one call where the kernel has it: each waits for a grace period. */
static void put_into_array(const crowd *self) {
    int array = bpf_map__fd(self->programs->maps.rings);
    unsigned int *keys = calloc(self->count, sizeof(*keys)), added = self->count;
    ck_assert_ptr_nonnull(keys);
    for (unsigned int i = 0; i < self->count; i++) {
        keys[i] = i;
    }
    if (bpf_map_update_batch(array, keys, self->fds, &added, NULL) != 0) {
        for (unsigned int i = 0; i < self->count; i++) {
            ck_assert_int_eq(bpf_map_update_elem(array, &keys[i], &self->fds[i], 0), 0);
        }
    }
    free(keys);
}

static crowd make_crowd(unsigned int count) {
    crowd self = {.fds = calloc(count, sizeof(int)),
                  .sinks = calloc(count, sizeof(ring_sink)),
                  .names = calloc(count, sizeof(*self.names)),
                  .count = count};
    ck_assert(self.fds && self.sinks && self.names);
    for (unsigned int i = 0; i < count; i++) {
        self.fds[i] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "many", 0, 0, (uint32_t)pages(1), NULL);
        ck_assert_int_ge(self.fds[i], 0);
        snprintf(self.names[i], sizeof(*self.names), "%u", i);
        self.sinks[i].name = self.names[i];
    }
    load_programs(&self);
    put_into_array(&self);
    return self;
}

static void free_crowd(crowd *self) {
    for (unsigned int i = 0; i < self->count; i++) {
        close(self->fds[i]);
    }
    many__destroy(self->programs);
    free(self->names);
    free(self->sinks);
    free(self->fds);
}

/* n records into one of the rings. */
static void fill(crowd *self, unsigned int ring, int n) {
    struct many_args args = {.ring = ring};
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
    for (int i = 0; i < n; i++) {
        args.value++;
        ck_assert_int_eq(
            bpf_prog_test_run_opts(bpf_program__fd(self->programs->progs.emit), &options), 0);
        ck_assert_int_eq((int)options.retval, 0);
    }
}

/* A ring_buffer with the first `count` rings. */
static struct ring_buffer *open_some(crowd *self, unsigned int count) {
    struct ring_buffer *rb = ring_buffer__new(self->fds[0], on_record, &self->sinks[0], NULL);
    ck_assert_ptr_nonnull(rb);
    for (unsigned int i = 1; i < count; i++) {
        ck_assert_int_eq(ring_buffer__add(rb, self->fds[i], on_record, &self->sinks[i]), 0);
    }
    return rb;
}

/* ---- Descriptors ---- */

static int descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 2000; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Lowers the limit until so many descriptors are left. Returns the limit before. */
static struct rlimit leave_descriptors(int count) {
    struct rlimit before, limit;
    int last = 0;
    for (int fd = 0; fd < 2000; fd++) {
        last = fcntl(fd, F_GETFD) >= 0 ? fd : last;
    }
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)(last + 1 + count);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    /* Those below that are free are taken. */
    while (descriptors() < last + 1) {
        ck_assert_int_ge(dup(STDIN_FILENO), 0);
    }
    return before;
}

/* ---- Scenarios ---- */

static void read_in_turn(crowd *self, struct ring_buffer *rb, unsigned int step) {
    for (unsigned int i = 0; i < self->count; i += step) {
        fill(self, i, 2);
        CALL(ring_buffer__poll(rb, -1));
    }
    for (int i = 0; i < 50; i++) {
        fill(self, 7, 1);
        ck_assert_int_eq(ring_buffer__poll(rb, -1), 1);
    }
    for (unsigned int i = self->count - 1; i < self->count; i -= step) {
        fill(self, i, 2);
    }
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__consume(rb));
    CALL_FOR(20, ring_buffer__poll(rb, 20));
}

/* A callback stops in the middle: the others' records are for later. */
static void stop_in_the_middle(crowd *self, struct ring_buffer *rb) {
    unsigned int middle = self->count / 2;
    for (int i = 0; i < 3; i++) {
        fill(self, 1, 3);
        fill(self, middle, 4);
        fill(self, self->count - 1, 3);
        self->sinks[middle].fail_at = self->sinks[middle].seen + 2;
        self->sinks[middle].result = -5;
        CALL(ring_buffer__consume(rb));
        fill(self, 1, 1);
        CALL(i % 2 ? ring_buffer__poll(rb, 0) : ring_buffer__consume(rb));
        /* The same where a poll has waited. */
        fill(self, middle, 3);
        self->sinks[middle].fail_at = self->sinks[middle].seen + 2;
        CALL(ring_buffer__poll(rb, -1));
        CALL(ring_buffer__poll(rb, -1));
        CALL(ring_buffer__poll(rb, 5));
    }
}

static void read_crowd(unsigned int count) {
    crowd rings = make_crowd(count);
    int before = descriptors();
    struct ring_buffer *rb = open_some(&rings, count);
    say("at most 24 descriptors: %d", descriptors() - before <= 24);
    read_in_turn(&rings, rb, count > 100 ? 101 : 3);
    stop_in_the_middle(&rings, rb);
    ring_buffer__free(rb);
    say("descriptors left: %d", descriptors() - before);
    free_crowd(&rings);
}

static void limit_descriptors(rlim_t count) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(forty_rings) {
    limit_descriptors(1024);
    read_crowd(40);
}
END_TEST

START_TEST(nine_hundred_rings) {
    limit_descriptors(1024);
    read_crowd(900);
}
END_TEST

/* From some ring on there is no free descriptor. */
START_TEST(no_descriptor_for_a_ring) {
    for (unsigned int last = 1; last < 6; last++) {
        crowd rings = make_crowd(6);
        struct ring_buffer *rb = open_some(&rings, last);
        fill(&rings, 0, 2);
        struct rlimit before = leave_descriptors(0);
        for (unsigned int i = last; i < rings.count; i++) {
            CALL(ring_buffer__add(rb, rings.fds[i], on_record, &rings.sinks[i]));
        }
        for (unsigned int i = 0; i < rings.count; i++) {
            fill(&rings, i, 1);
        }
        CALL(ring_buffer__consume(rb));
        fill(&rings, 5, 1);
        CALL(ring_buffer__poll(rb, -1));
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ring_buffer__free(rb);
        free_crowd(&rings);
    }
}
END_TEST

/* Another process reads a ring, until the end. */
typedef struct other_process {
    pid_t pid;
    int end;
} other_process;

static other_process let_other_read(crowd *rings, unsigned int ring) {
    int opened[2], end[2];
    char byte = 0;
    ck_assert_int_eq(pipe(opened), 0);
    ck_assert_int_eq(pipe(end), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(end[1]);
        struct ring_buffer *rb =
            ring_buffer__new(rings->fds[ring], on_record, &rings->sinks[ring], NULL);
        (void)!write(opened[1], &byte, 1);
        (void)!read(end[0], &byte, 1);
        ring_buffer__free(rb);
        exit(0);
    }
    close(end[0]);
    ck_assert_int_eq(read(opened[0], &byte, 1), 1);
    close(opened[0]);
    close(opened[1]);
    return (other_process){.pid = pid, .end = end[1]};
}

static void end_other(other_process other) {
    close(other.end);
    waitpid(other.pid, NULL, 0);
}

static void tell_all(crowd *rings, struct ring_buffer *rb) {
    for (unsigned int i = 0; i < rings->count; i++) {
        fill(rings, i, 2);
    }
    CALL(ring_buffer__consume(rb));
    for (unsigned int i = 0; i < rings->count; i += 2) {
        fill(rings, i, 1);
        CALL(ring_buffer__poll(rb, -1));
    }
    CALL(ring_buffer__poll(rb, 5));
}

/* One ring is refused: libbpf goes on with all where rbcore stopped, without a new descriptor. */
START_TEST(refused_among_others) {
    for (unsigned int last = 1; last < 20; last += 9) {
        crowd rings = make_crowd(22);
        other_process other = let_other_read(&rings, last);
        struct ring_buffer *rb = open_some(&rings, last);
        int epoll = epoll_create1(0);
        CALL(add_to_epoll(epoll, rb, EPOLLIN));
        for (unsigned int i = 0; i < last; i++) {
            fill(&rings, i, 3);
        }
        rings.sinks[0].fail_at = 2;
        rings.sinks[0].result = -1;
        CALL(ring_buffer__consume(rb));
        struct rlimit before = leave_descriptors(0);
        for (unsigned int i = last; i < rings.count; i++) {
            CALL(ring_buffer__add(rb, rings.fds[i], on_record, &rings.sinks[i]));
        }
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        CALL(is_readable(epoll, 1000));
        CALL(ring_buffer__consume(rb));
        CALL(is_readable(epoll, 0));
        fill(&rings, last, 1);
        CALL(is_readable(epoll, 1000));
        tell_all(&rings, rb);
        CALL(ring_buffer__add(rb, -1, on_record, &rings.sinks[0]));
        ring_buffer__free(rb);
        end_other(other);
        close(epoll);
        free_crowd(&rings);
    }
}
END_TEST

static crowd *rings_to_add;

static void add_two(ring_sink *sink) {
    CALL(ring_buffer__add(sink->rings, rings_to_add->fds[2], on_record, &rings_to_add->sinks[2]));
    CALL(ring_buffer__add(sink->rings, rings_to_add->fds[3], on_record, &rings_to_add->sinks[3]));
    CALL(ring_buffer__add(sink->rings, -1, on_record, &rings_to_add->sinks[3]));
}

/* The same in a callback, whose records rbcore has: libbpf takes over with the next call. */
START_TEST(refused_in_a_callback) {
    crowd rings = make_crowd(4);
    other_process other = let_other_read(&rings, 2);
    struct ring_buffer *rb = open_some(&rings, 2);
    rings_to_add = &rings;
    rings.sinks[1].rings = rb;
    rings.sinks[1].act = add_two;
    rings.sinks[1].act_at = 2;
    fill(&rings, 0, 1);
    fill(&rings, 1, 4);
    CALL(ring_buffer__consume(rb));
    tell_all(&rings, rb);
    ring_buffer__free(rb);
    end_other(other);
    free_crowd(&rings);
}
END_TEST

typedef struct addition {
    crowd *rings;
    struct ring_buffer *rb;
    int result;
} addition;

static void *add_when_cancelled(void *argument) {
    addition *self = argument;
    pthread_cancel(pthread_self());
    self->result =
        ring_buffer__add(self->rb, self->rings->fds[2], on_record, &self->rings->sinks[2]);
    pthread_testcancel();
    return NULL;
}

/* To hand over is no cancellation point, although libbpf's word for it is written. */
START_TEST(refused_when_cancelled) {
    crowd rings = make_crowd(3);
    other_process other = let_other_read(&rings, 2);
    addition it = {.rings = &rings, .rb = open_some(&rings, 2), .result = 1};
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, add_when_cancelled, &it);
    pthread_join(thread, &result);
    say("cancelled: %d, added: %d", result == PTHREAD_CANCELED, it.result);
    tell_all(&rings, it.rb);
    ring_buffer__free(it.rb);
    end_other(other);
    free_crowd(&rings);
}
END_TEST

/* The caller closes all descriptors of its own: libbpf does not mind, nor does it in a child. */
START_TEST(closed_descriptors) {
    crowd rings = make_crowd(20);
    struct ring_buffer *rb = open_some(&rings, rings.count);
    for (unsigned int i = 0; i < rings.count; i++) {
        ck_assert_int_eq(dup2(STDIN_FILENO, rings.fds[i]), rings.fds[i]);
    }
    tell_all(&rings, rb);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        tell_all(&rings, rb);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ring_buffer__free(rb);
    free_crowd(&rings);
}
END_TEST

static void *force_wakeups(void *ring) {
    struct produce_args args = {.sizes = 1, .count = 50, .flags = BPF_RB_FORCE_WAKEUP};
    for (int i = 0; i < 400; i++) {
        produce(ring, &args);
        if (i % 4 == 0) {
            sleep_ms(1);
        }
    }
    return NULL;
}

static void *produce_one_later(void *ring) {
    struct produce_args args = {.sequence = 20000, .sizes = 1, .count = 1};
    sleep_ms(50);
    produce(ring, &args);
    return NULL;
}

/* Of a busy ring, by programs that force wakeups: its number becomes that of another map. */
START_TEST(closed_descriptor_of_busy) {
    crowd rings = make_crowd(20);
    check_order check = {0};
    struct produce *busy = load_ring(pages(1024)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_some(&rings, rings.count);
    int fd = dup(ring_fd(busy)), total = 0;
    pthread_t thread;
    CALL(ring_buffer__add(rb, fd, check_event, &check));
    for (int i = 0; i < 3; i++) {
        pthread_create(&thread, NULL, force_wakeups, busy);
        for (total = 0; total < 20000;) {
            total += ring_buffer__poll(rb, 10000);
            if (total > 10000 && i == 0) {
                ck_assert_int_eq(dup2(ring_fd(other), fd), fd);
            }
        }
        pthread_join(thread, NULL);
        CALL(ring_buffer__poll(rb, 20)); /* it is no longer busy */
        fill(&rings, 19, 1);
        CALL(ring_buffer__poll(rb, -1));
        pthread_create(&thread, NULL, produce_one_later, busy);
        CALL(ring_buffer__poll(rb, -1));
        pthread_join(thread, NULL);
        check.expected = 0;
    }
    say("errors %d", check.errors);
    ring_buffer__free(rb);
    close(fd);
    produce__destroy(other);
    produce__destroy(busy);
    free_crowd(&rings);
}
END_TEST

/* Bursts in three rings at once, of which one is small; read by polls, or by an event loop. */
static void several_under_load_by(bool by_loop) {
    check_order checks[3] = {{0}};
    struct produce *rings[3];
    struct ring_buffer *rb = NULL;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        rings[i] = load_ring(pages(i == 2 ? 512 : 1024));
        if (rb == NULL) {
            rb = ring_buffer__new(ring_fd(rings[i]), check_event, &checks[i], NULL);
        } else {
            CALL(ring_buffer__add(rb, ring_fd(rings[i]), check_event, &checks[i]));
        }
    }
    int epoll = epoll_create1(0), total = 0, result = 0;
    if (by_loop) {
        CALL(add_to_epoll(epoll, rb, EPOLLIN));
    }
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, produce_bursts, rings[i]);
    }
    while (total < 60000 && result >= 0) {
        result = !by_loop                        ? ring_buffer__poll(rb, 10000)
                 : is_readable(epoll, 10000) > 0 ? ring_buffer__consume(rb)
                                                 : -1;
        total += result;
    }
    say("records %d", total);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        say("errors %d, last %llu", checks[i].errors, (unsigned long long)checks[i].expected);
        produce__destroy(rings[i]);
    }
    CALL(ring_buffer__poll(rb, 0));
    ring_buffer__free(rb);
    close(epoll);
}

START_TEST(several_under_load) {
    several_under_load_by(false);
    several_under_load_by(true);
}
END_TEST

/* By the maps' own descriptors, of rings that were so busy that a timer may have read them. */
START_TEST(own_epoll_of_busy) {
    for (int i = 0; i < 6; i++) {
        check_order check = {0};
        ring_sink other = {.name = "other"};
        struct produce *busy = load_ring(pages(1024)), *idle = load_ring(pages(1));
        struct ring_buffer *rb = ring_buffer__new(ring_fd(busy), check_event, &check, NULL);
        if (i % 2) {
            CALL(ring_buffer__add(rb, ring_fd(idle), on_record, &other));
        }
        int epoll = epoll_create1(0), total = 0;
        struct epoll_event event = {.events = EPOLLIN};
        CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, ring_fd(busy), &event));
        pthread_t thread;
        pthread_create(&thread, NULL, produce_bursts, busy);
        while (total < 20000) {
            total += ring_buffer__poll(rb, 10000);
        }
        pthread_join(thread, NULL);
        CALL(ring_buffer__consume(rb));
        CALL(is_readable(epoll, 0));
        say("errors %d", check.errors);
        ring_buffer__free(rb);
        close(epoll);
        produce__destroy(idle);
        produce__destroy(busy);
    }
}
END_TEST

/* A poll takes the events of an event loop; what its callback leaves is told there nevertheless. */
START_TEST(event_loop_beside_polls) {
    crowd rings = make_crowd(20);
    struct ring_buffer *rb = open_some(&rings, rings.count);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    for (unsigned int i = 1; i < rings.count; i += 6) {
        fill(&rings, i, 3);
        rings.sinks[i].fail_at = rings.sinks[i].seen + 2;
        rings.sinks[i].result = -1;
        CALL(ring_buffer__poll(rb, -1));
        CALL(is_readable(epoll, 0));
        CALL(ring_buffer__poll(rb, -1));
        CALL(is_readable(epoll, 0));
        fill(&rings, i - 1, 1);
        CALL(is_readable(epoll, 1000));
        CALL(ring_buffer__consume(rb));
        CALL(is_readable(epoll, 0));
    }
    ring_buffer__free(rb);
    close(epoll);
    free_crowd(&rings);
}
END_TEST

/* A poll that waits where the event loop was told of records by a call before it. */
START_TEST(poll_after_an_event_loop_was_told) {
    for (unsigned int count = 1; count < 40; count += 19) {
        crowd rings = make_crowd(count);
        struct ring_buffer *rb = open_some(&rings, count);
        int epoll = epoll_create1(0);
        fill(&rings, 0, 2);
        CALL(add_to_epoll(epoll, rb, EPOLLIN));
        CALL(is_readable(epoll, 0));
        CALL(ring_buffer__poll(rb, -1));
        CALL(is_readable(epoll, 0));
        CALL_FOR(20, ring_buffer__poll(rb, 20));
        fill(&rings, 0, 1);
        fill(&rings, count - 1, 1);
        rings.sinks[0].fail_at = rings.sinks[0].seen + 1;
        rings.sinks[0].result = -1;
        CALL(ring_buffer__consume(rb)); /* nothing of that ring is left, but of another */
        CALL(is_readable(epoll, 0));
        CALL(ring_buffer__poll(rb, 1000));
        CALL(is_readable(epoll, 0));
        ring_buffer__free(rb);
        close(epoll);
        free_crowd(&rings);
    }
}
END_TEST

static void end_thread(ring_sink *sink) {
    (void)sink;
    pthread_exit(NULL);
}

static void *poll_once(void *rb) {
    ring_buffer__poll(rb, -1);
    return NULL;
}

/* The thread that was woken ends in a callback: the event loop hears of what it left. */
START_TEST(event_loop_after_a_poll_that_ended) {
    for (unsigned int count = 2; count < 40; count += 19) {
        crowd rings = make_crowd(count);
        struct ring_buffer *rb = open_some(&rings, count);
        int epoll = epoll_create1(0);
        CALL(add_to_epoll(epoll, rb, EPOLLIN));
        rings.sinks[0].act = end_thread;
        rings.sinks[0].act_at = 1;
        pthread_t thread;
        pthread_create(&thread, NULL, poll_once, rb);
        sleep_ms(50); /* it waits by now; if not, that is no mistake */
        fill(&rings, 0, 2);
        pthread_join(thread, NULL);
        CALL(is_readable(epoll, 1000));
        CALL(ring_buffer__consume(rb));
        CALL(is_readable(epoll, 0));
        ring_buffer__free(rb);
        close(epoll);
        free_crowd(&rings);
    }
}
END_TEST

/* Limits across rings, and one ring read while others have records. */
START_TEST(one_of_many) {
    crowd rings = make_crowd(20);
    struct ring_buffer *rb = open_some(&rings, rings.count);
    load_newer();
    for (unsigned int i = 3; i < rings.count; i += 5) {
        fill(&rings, i, 4);
    }
    CALL(newer.consume_all_n(rb, 2));
    CALL(newer.consume(newer.ring(rb, 13)));
    CALL(newer.consume_n(newer.ring(rb, 18), 1));
    CALL(newer.consume(newer.ring(rb, 0)));
    CALL(newer.consume_all_n(rb, 3));
    say("available %zu %zu %zu", newer.avail_data_size(newer.ring(rb, 3)),
        newer.avail_data_size(newer.ring(rb, 8)), newer.avail_data_size(newer.ring(rb, 18)));
    CALL(newer.consume_all_n(rb, 5));
    CALL(ring_buffer__poll(rb, -1));
    CALL(newer.consume_all_n(rb, 0));
    ring_buffer__free(rb);
    free_crowd(&rings);
}
END_TEST

static void add_without_descriptors(ring_sink *sink) {
    struct rlimit before = leave_descriptors(0);
    CALL(ring_buffer__add(sink->rings, rings_to_add->fds[2], on_record, &rings_to_add->sinks[2]));
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* In a callback where no descriptor is free: the one that libbpf needs is kept for it. */
START_TEST(refused_in_a_callback_by_all) {
    crowd rings = make_crowd(3);
    other_process other = let_other_read(&rings, 2);
    struct ring_buffer *rb = open_some(&rings, 2);
    rings_to_add = &rings;
    rings.sinks[1].rings = rb;
    rings.sinks[1].act = add_without_descriptors;
    rings.sinks[1].act_at = 2;
    fill(&rings, 0, 1);
    fill(&rings, 1, 4);
    CALL(ring_buffer__consume(rb));
    tell_all(&rings, rb);
    ring_buffer__free(rb);
    end_other(other);
    free_crowd(&rings);
}
END_TEST

/* A child that cannot open a reader of its own yet. Each of its calls says so, until it can. */
START_TEST(child_without_descriptors) {
    for (unsigned int count = 1; count < 4; count += 2) {
        crowd rings = make_crowd(count);
        struct ring_buffer *rb = open_some(&rings, count);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            struct rlimit before, none = {0, 0};
            getrlimit(RLIMIT_NOFILE, &before);
            none.rlim_max = before.rlim_max;
            setrlimit(RLIMIT_NOFILE, &none);
            for (int i = 0; i < 3; i++) {
                ring_buffer__poll(rb, 10);
            }
            setrlimit(RLIMIT_NOFILE, &before);
            tell_all(&rings, rb);
            fflush(stdout);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        ring_buffer__free(rb);
        free_crowd(&rings);
    }
}
END_TEST

/* ---- A map that the process opens a second time ---- */

typedef struct waiting_reader {
    struct ring_buffer *rb;
    int wanted;
} waiting_reader;

static void *poll_for_all(void *argument) {
    waiting_reader *self = argument;
    for (int total = 0, result = 0; total < self->wanted && result >= 0; total += result) {
        result = ring_buffer__poll(self->rb, -1);
    }
    return NULL;
}

/* While another thread waits for it. */
START_TEST(opened_again_beside_a_wait) {
    for (unsigned int count = 1; count < 4; count += 2) {
        crowd rings = make_crowd(count);
        ring_sink again = {.name = "again"};
        waiting_reader reader = {.rb = open_some(&rings, count), .wanted = 3};
        pthread_t thread;
        pthread_create(&thread, NULL, poll_for_all, &reader);
        sleep_ms(50);
        struct ring_buffer *second = ring_buffer__new(rings.fds[0], on_record, &again, NULL);
        ck_assert_ptr_nonnull(second);
        sleep_ms(50);
        fill(&rings, 0, 1);
        fill(&rings, count - 1, 2);
        pthread_join(thread, NULL);
        CALL(ring_buffer__consume(second));
        ring_buffer__free(second);
        ring_buffer__free(reader.rb);
        free_crowd(&rings);
    }
}
END_TEST

const scenario many_scenarios[] = {
    {&forty_rings, 0},
    {&nine_hundred_rings, 0},
    {&no_descriptor_for_a_ring, 0},
    {&refused_among_others, 0},
    {&refused_in_a_callback, 0},
    {&refused_when_cancelled, 0},
    {&closed_descriptors, 0},
    {&closed_descriptor_of_busy, 0},
    {&several_under_load, 0},
    {&own_epoll_of_busy, 0},
    {&event_loop_beside_polls, 0},
    {&poll_after_an_event_loop_was_told, 0},
    {&event_loop_after_a_poll_that_ended, 0},
    {&one_of_many, 5},
    {&opened_again_beside_a_wait, 0},
    {&refused_in_a_callback_by_all, 0},
    {&child_without_descriptors, 0},
    {NULL, 0},
};
