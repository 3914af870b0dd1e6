/* SPDX-License-Identifier: MIT */
/* Maps that new and add refuse, other consumers of the ring, and descriptors that change. */
#include "calls.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(refused) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, 4, 1, NULL);
    int file = open("/dev/null", O_RDWR);
    OPEN(ring_buffer__new(-1, on_record, &a, NULL));
    OPEN(ring_buffer__new(1000000, on_record, &a, NULL));
    OPEN(ring_buffer__new(file, on_record, &a, NULL));
    OPEN(ring_buffer__new(array, on_record, &a, NULL));
    struct {
        struct ring_buffer_opts opts;
        uint64_t more;
    } options = {.opts.sz = sizeof(struct ring_buffer_opts)};
    struct ring_buffer *rb;
    rb = OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    ring_buffer__free(rb);
    options.opts.sz = sizeof(options);
    rb = OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    ring_buffer__free(rb);
    options.more = 1;
    OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    options.opts.sz = 4;
    OPEN(ring_buffer__new(ring_fd(ring), on_record, &a, &options.opts));
    rb = open_sink(ring, &a);
    CALL(ring_buffer__add(rb, -1, on_record, &a));
    CALL(ring_buffer__add(rb, file, on_record, &a));
    CALL(ring_buffer__add(rb, array, on_record, &a));
    CALL(ring_buffer__add(rb, ring_fd(ring), on_record, &a));
    emit_some(ring, 2);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    close(file);
    close(array);
    produce__destroy(ring);
}
END_TEST

/* Two consumers of one ring that take turns: each goes on where the other stopped. */
START_TEST(second_consumer) {
    ring_sink a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *first = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, first, EPOLLIN));
    emit_some(ring, 4);
    a.fail_at = 2;
    a.result = -1;
    CALL(ring_buffer__poll(first, -1));
    struct ring_buffer *second = open_sink(ring, &b);
    CALL(ring_buffer__consume(second));
    emit_some(ring, 2);
    CALL(is_readable(epoll, 10000));
    CALL(ring_buffer__poll(first, -1));
    emit_some(ring, 2);
    CALL(ring_buffer__poll(second, -1));
    CALL(ring_buffer__poll(first, 0));
    int copy = dup(ring_fd(ring));
    CALL(ring_buffer__add(first, copy, on_record, &c));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(first));
    emit_discard(ring, 8, 0);
    CALL(ring_buffer__poll(second, -1));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(second));
    ring_buffer__free(first);
    emit_some(ring, 1);
    CALL(ring_buffer__poll(second, -1));
    ring_buffer__free(second);
    struct ring_buffer *third = open_sink(ring, &a);
    emit_some(ring, 1);
    CALL(ring_buffer__poll(third, -1));
    ring_buffer__free(third);
    close(copy);
    close(epoll);
    produce__destroy(ring);
}
END_TEST

static void open_until_the_end(struct produce *ring, int opened, int end) {
    ring_sink a = {.name = "a"};
    char byte = 0;
    struct ring_buffer *rb = open_sink(ring, &a);
    if (write(opened, &byte, 1) == 1) {
        (void)!read(end, &byte, 1);
    }
    ring_buffer__free(rb);
}

/* Another process has the ring, which it does not read. */
START_TEST(second_process) {
    ring_sink b = {.name = "b"};
    struct produce *ring = load_ring(pages(1));
    int opened[2], end[2], status;
    char byte;
    ck_assert_int_eq(pipe(opened), 0);
    ck_assert_int_eq(pipe(end), 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        open_until_the_end(ring, opened[1], end[0]);
        exit(0);
    }
    ck_assert_int_eq(read(opened[0], &byte, 1), 1);
    struct ring_buffer *rb = open_sink(ring, &b);
    emit_some(ring, 3);
    CALL(ring_buffer__poll(rb, -1));
    emit_some(ring, 2);
    CALL(ring_buffer__consume(rb));
    close(end[1]);
    waitpid(child, &status, 0);
    say("the other: %d", status);
    emit_some(ring, 1);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* Without descriptors for rbcore libbpf reads, which needs fewer. */
START_TEST(few_descriptors) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *first = open_sink(ring, &a);
    struct rlimit limit;
    int next = dup(STDIN_FILENO);
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)next + 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct ring_buffer *second = open_sink(other, &b);
    emit_some(ring, 1);
    emit_some(other, 2);
    CALL(ring_buffer__consume(first));
    CALL(ring_buffer__consume(second));
    ring_buffer__free(second);
    ring_buffer__free(first);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

/* The caller closes its descriptor, and another map gets its number. */
static struct ring_buffer *open_and_close(struct produce *ring, struct produce *other,
                                          ring_sink *sink) {
    int fd = dup(ring_fd(ring));
    struct ring_buffer *rb = ring_buffer__new(fd, on_record, sink, NULL);
    ck_assert_ptr_nonnull(rb);
    ck_assert_int_eq(dup2(ring_fd(other), fd), fd);
    return rb;
}

START_TEST(closed_descriptor) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *first = open_and_close(ring, other, &a);
    emit_some(other, 1);
    emit_some(ring, 2);
    CALL(ring_buffer__poll(first, -1));
    struct ring_buffer *second = open_sink(ring, &b);
    emit_some(ring, 2);
    CALL(ring_buffer__consume(first));
    CALL(ring_buffer__consume(second));
    ring_buffer__free(second);
    ring_buffer__free(first);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

START_TEST(closed_descriptor_in_child) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_and_close(ring, other, &a);
    emit_some(other, 1);
    emit_some(ring, 2);
    pid_t child = fork();
    if (child == 0) {
        CALL(ring_buffer__poll(rb, 10000));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ring_buffer__free(rb);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

const scenario opening_scenarios[] = {
    {&refused, 0},
    {&second_consumer, 0},
    {&second_process, 0},
    {&few_descriptors, 0},
    {&closed_descriptor, 0},
    {&closed_descriptor_in_child, 0},
    {NULL, 0},
};
