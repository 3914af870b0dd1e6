/* SPDX-License-Identifier: MIT */
/*
 * A program like calls.c that leaves calls of libbpf in ways that libbpf is not told of: into a
 * child that the system call itself makes, and by longjmp or an exception from a callback.
 */
#include "transcript.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

/* ---- Children of the system call ---- */

/* Does what fork() does, but libc does not know of it. */
static pid_t fork_unknown(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void use_in_child(struct ring_buffer *rb, struct produce *ring) {
    CALL(ring_buffer__poll(rb, 10));
    CALL(ring_buffer__consume(rb));
    emit_some(ring, 2);
    CALL(ring_buffer__poll(rb, 10000));
    CALL(ring_buffer__poll(rb, 0));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb));
}

static void wait_for(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    say("child: %d", status);
}

START_TEST(raw_child) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_some(ring, 2);
    CALL(ring_buffer__poll(rb, 10));
    emit_some(ring, 2);
    fflush(stdout);
    pid_t child = fork_unknown();
    if (child == 0) {
        use_in_child(rb, ring);
        exit(0);
    }
    wait_for(child);
    /* One that frees only, and a child of a child. */
    fflush(stdout);
    child = fork_unknown();
    if (child == 0) {
        pid_t inner = fork_unknown();
        if (inner == 0) {
            emit_some(ring, 1);
            CALL(ring_buffer__consume(rb));
            exit(0);
        }
        wait_for(inner);
        ring_buffer__free(rb);
        exit(0);
    }
    wait_for(child);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(raw_child_of_two) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    CALL(ring_buffer__add(rb, ring_fd(other), on_record, &b));
    CALL(ring_buffer__poll(rb, 0));
    emit_some(other, 1);
    CALL(ring_buffer__poll(rb, 10));
    fflush(stdout);
    pid_t child = fork_unknown();
    if (child == 0) {
        use_in_child(rb, ring);
        emit_some(other, 1);
        CALL(ring_buffer__poll(rb, 10000));
        exit(0);
    }
    wait_for(child);
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

/* ---- Callbacks that do not return ---- */

static _Thread_local jmp_buf place;

static void jump(ring_sink *sink) {
    (void)sink;
    longjmp(place, 1);
}

static _Unwind_Reason_Code stop_at_place(int version, _Unwind_Action actions,
                                         _Unwind_Exception_Class class,
                                         struct _Unwind_Exception *exception,
                                         struct _Unwind_Context *context, void *frame) {
    (void)version, (void)actions, (void)class, (void)exception;
    if (_Unwind_GetCFA(context) > (uintptr_t)frame) {
        longjmp(place, 1);
    }
    return _URC_NO_REASON;
}

static _Thread_local char *thrown_to;

/* Unwinds as an exception of C++ does, which runs what the frames between have to clean up. */
static void throw(ring_sink *sink) {
    static _Thread_local struct _Unwind_Exception exception;
    (void)sink;
    memset(&exception, 0, sizeof(exception));
    _Unwind_ForcedUnwind(&exception, stop_at_place, thrown_to);
    abort();
}

static int poll_now(struct ring_buffer *rb) {
    return ring_buffer__poll(rb, 1000);
}

/* Calls, and comes back whatever the callback does. */
__attribute__((noinline)) static void call(const char *name, int (*function)(struct ring_buffer *),
                                           struct ring_buffer *rb) {
    thrown_to = __builtin_frame_address(0);
    if (setjmp(place) == 0) {
        int result = function(rb);
        say("%s: %d", name, result);
    } else {
        say("%s: left", name);
    }
}

static void leave_calls(void (*leave)(ring_sink *), bool two) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(64)), *other = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    if (two) {
        CALL(ring_buffer__add(rb, ring_fd(other), on_record, &b));
    }
    for (int i = 0; i < 6; i++) {
        if (i % 2) {
            emit_some(ring, 4);
        } else {
            for (uint32_t j = 0; j < 4; j++) {
                ck_assert_int_eq(emit(ring, 24, j * 8, 0), 0);
            }
        }
        a.act = leave;
        a.act_at = a.seen + 2;
        call("call", i % 3 ? poll_now : ring_buffer__consume, rb);
        /* It comes again, and is left again. */
        a.act_at = a.seen + 1;
        call("call", i % 3 ? ring_buffer__consume : poll_now, rb);
        a.act = NULL;
        call("call", poll_now, rb);
        emit_some(ring, 1);
        call("call", poll_now, rb);
        if (emit_some(other, two) > 0) {
            call("call", poll_now, rb);
        }
        call("call", ring_buffer__consume, rb);
    }
    ring_buffer__free(rb);
    produce__destroy(other);
    produce__destroy(ring);
}

START_TEST(long_jumps) {
    leave_calls(jump, false);
}
END_TEST

START_TEST(long_jumps_of_two) {
    leave_calls(jump, true);
}
END_TEST

START_TEST(exceptions) {
    leave_calls(throw, false);
}
END_TEST

START_TEST(exceptions_of_two) {
    leave_calls(throw, true);
}
END_TEST

/* A callback's own call is left; the callback itself goes on. */
static void leave_inner_call(ring_sink *sink) {
    sink->act = jump;
    sink->act_at = sink->seen + 1;
    jmp_buf outer;
    memcpy(&outer, &place, sizeof(place));
    call("inner", ring_buffer__consume, sink->rings);
    sink->act = NULL;
    call("inner", ring_buffer__consume, sink->rings);
    memcpy(&place, &outer, sizeof(place));
}

static void *consume_once(void *argument) {
    return (void *)(intptr_t)ring_buffer__consume(argument);
}

static void consume_in_thread(struct ring_buffer *rb) {
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, consume_once, rb), 0);
    pthread_join(thread, &result);
    say("in a thread: %d", (int)(intptr_t)result);
}

/* Other threads are kept out until the one that left has called again, from no deeper; then not. */
START_TEST(threads_after_a_long_jump) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    alarm(30);
    for (int i = 0; i < 5; i++) {
        emit_some(ring, 2);
        a.act = jump;
        a.act_at = a.seen + 1;
        call("call", poll_now, rb);
        a.act = NULL;
        call("call", poll_now, rb);
        emit_some(ring, 1);
        consume_in_thread(rb);
        /* An exception needs no second call. */
        emit_some(ring, 2);
        a.act = throw;
        a.act_at = a.seen + 1;
        call("call", poll_now, rb);
        a.act = NULL;
        consume_in_thread(rb);
        /* Within a callback. */
        emit_some(ring, 1);
        a.act = leave_inner_call;
        a.act_at = a.seen + 1;
        call("call", poll_now, rb);
        emit_some(ring, 1);
        consume_in_thread(rb);
    }
    alarm(0);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* A program's own epoll goes on to be told of what a callback has left. */
START_TEST(event_loop_after_a_long_jump) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(rb), &event));
    for (int i = 0; i < 4; i++) {
        emit_some(ring, 3);
        a.act = i % 2 ? jump : throw;
        a.act_at = a.seen + 2;
        CALL(epoll_wait(epoll, &event, 1, 2000));
        call("call", ring_buffer__consume, rb);
        a.act = NULL;
        CALL(epoll_wait(epoll, &event, 1, 2000));
        call("call", ring_buffer__consume, rb);
    }
    CALL(epoll_wait(epoll, &event, 1, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

static const scenario scenarios[] = {
    {&raw_child, 0},
    {&raw_child_of_two, 0},
    {&long_jumps, 0},
    {&long_jumps_of_two, 0},
    {&exceptions, 0},
    {&exceptions_of_two, 0},
    {&threads_after_a_long_jump, 0},
    {&event_loop_after_a_long_jump, 0},
    {NULL, 0},
};

int main(int argc, char **argv) {
    return run_scenario("leaving", (const scenario *[]){scenarios, NULL}, NULL, argc, argv);
}
