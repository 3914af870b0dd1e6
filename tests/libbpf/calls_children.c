/* SPDX-License-Identifier: MIT */
/* Children, of a process with rings or of one that opens rings at that moment; a daemon. */
#include "calls.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

/* Closes all descriptors that it does not know, and opens files that get their numbers. */
static void be_a_daemon(void) {
    ring_sink a = {.name = "a"};
    for (int fd = STDERR_FILENO + 1; fd < 1000; fd++) {
        close(fd);
    }
    for (int i = 0; i < 8; i++) {
        open("data", O_CREAT | O_WRONLY | O_APPEND, 0600);
    }
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_some(ring, 2);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(ring);
}

START_TEST(in_daemon) {
    pid_t child = fork();
    if (child == 0) {
        be_a_daemon();
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    /* (What the test's own frame writes at its end may be there.) */
    char data[4096] = "";
    FILE *file = fopen("data", "r");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(data, 1, sizeof(data) - 1, file);
    fclose(file);
    unlink("data");
    say("child: %d, statistics in its file: %d", status,
        memmem(data, length, "rbcore: ", 8) != NULL);
}
END_TEST

/* An event loop of a child, with the descriptor that the parent asked for, which is gone. */
static void loop_in_orphan(struct produce *ring, struct ring_buffer *rb, int fd, pid_t parent) {
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    while (getppid() == parent) {
        sleep_ms(1);
    }
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    for (int i = 0; i < 3; i++) {
        CALL(is_readable(epoll, 0));
        emit_some(ring, 2);
        CALL(is_readable(epoll, 2000));
        CALL(ring_buffer__consume(rb));
    }
}

START_TEST(event_loop_in_orphan) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    int ends[2];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct ring_buffer *rb = open_sink(ring, &a);
        int fd = ring_buffer__epoll_fd(rb);
        pid_t self = getpid();
        if (fork() == 0) {
            loop_in_orphan(ring, rb, fd, self);
            exit(0);
        }
        _exit(0);
    }
    close(ends[1]);
    waitpid(parent, NULL, 0);
    ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* the end of both */
    close(ends[0]);
    produce__destroy(ring);
}
END_TEST

static _Atomic bool is_over;

static void *open_and_free(void *argument) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    while (!is_over) {
        struct ring_buffer *first = ring_buffer__new(ring_fd(argument), on_record, &a, NULL);
        struct ring_buffer *second = ring_buffer__new(ring_fd(argument), on_record, &b, NULL);
        ring_buffer__free(second);
        ring_buffer__free(first);
    }
    return NULL;
}

/* A child of a process that was opening rings at that moment opens its own. */
START_TEST(in_child_of_threads) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    pthread_t thread;
    int status, ended = 0;
    pthread_create(&thread, NULL, open_and_free, other);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(10); /* it hangs */
            struct ring_buffer *rb = ring_buffer__new(ring_fd(ring), on_record, &a, NULL);
            ring_buffer__free(rb);
            _exit(rb == NULL);
        }
        waitpid(child, &status, 0);
        ended += status == 0;
        if (status != 0) {
            break;
        }
    }
    is_over = true;
    pthread_join(thread, NULL);
    say("children that ended well: %d", ended);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

START_TEST(in_a_child) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb));
    ring_buffer__free(rb);
    rb = open_sink(ring, &a);
    CALL(ring_buffer__add(rb, ring_fd(other), on_record, &b));
    emit_some(ring, 2);
    CALL(ring_buffer__consume(rb));
    emit_some(ring, 2);
    emit_some(other, 1);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        CALL(ring_buffer__poll(rb, 10000));
        CALL(ring_buffer__consume(rb));
        emit_some(ring, 2);
        CALL(ring_buffer__poll(rb, 10000));
        CALL(ring_buffer__poll(rb, 10));
        ring_buffer__free(rb);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("child: %d", status);
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

const scenario child_scenarios[] = {
    {&in_daemon, 0}, {&event_loop_in_orphan, 0}, {&in_child_of_threads, 0}, {&in_a_child, 0},
    {NULL, 0},
};
