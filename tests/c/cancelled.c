/* SPDX-License-Identifier: MIT */
/*
 * A thread that is cancelled while the library reads /proc leaves no descriptor behind. The moment is
 * made here: read and getline of the library are this file's (the linker's --wrap).
 */
#include "support.h"

#include "process.h"

#include <pthread.h>
#include <stdio.h>

static _Thread_local bool is_victim;

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_getline(char **line, size_t *room, FILE *file);
ssize_t __wrap___getdelim(char **line, size_t *room, int delimiter, FILE *file);

/* Each read of the victim is a cancellation point, and it is cancelled there. */
static void cancel_victim(void) {
    if (is_victim) {
        pthread_cancel(pthread_self());
    }
}

ssize_t __wrap_read(int fd, void *data, size_t size) {
    cancel_victim();
    return __real_read(fd, data, size);
}

ssize_t __wrap_getline(char **line, size_t *room, FILE *file) {
    cancel_victim();
    return getdelim(line, room, '\n', file);
}

/* The name that glibc's headers give it when they optimize. */
ssize_t __wrap___getdelim(char **line, size_t *room, int delimiter, FILE *file) {
    cancel_victim();
    return getdelim(line, room, delimiter, file);
}

static void *ask_who_we_are(void *context) {
    (void)context;
    is_victim = true;
    rbc_process_self();
    is_victim = false;
    pthread_testcancel();
    return NULL;
}

static void *look_below(void *context) {
    uint64_t pid;
    is_victim = true;
    rbc_process_is_dead_below(context, &pid);
    is_victim = false;
    pthread_testcancel();
    return NULL;
}

/* The cancellation takes effect, and finds nothing open. */
static void expect_nothing_left(void *(*run)(void *), void *context) {
    unsigned int before = open_fds();
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        void *result;
        ok(pthread_create(&thread, NULL, run, context));
        ok(pthread_join(thread, &result));
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    }
    ck_assert_uint_eq(open_fds(), before);
}

START_TEST(while_it_reads_who_it_is) {
    expect_nothing_left(ask_who_we_are, NULL);
}
END_TEST

START_TEST(while_it_looks_at_all_processes) {
    rbc_process stranger = rbc_process_self();
    stranger.namespaces ^= 1;
    stranger.pid = 1;
    expect_nothing_left(look_below, &stranger);
}
END_TEST

int main(void) {
    const TTest *tests[] = {while_it_reads_who_it_is, while_it_looks_at_all_processes, NULL};
    return run_tests("cancelled", tests);
}
