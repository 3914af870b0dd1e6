/* SPDX-License-Identifier: MIT */
/*
 * A thread that is cancelled while the library reads a file leaves no descriptor behind. The moment
 * is made here: read and fopen of the library are this file's (the linker's --wrap).
 */
#include "support.h"

#include "map.h"
#include "process.h"

#include <pthread.h>
#include <stdio.h>

static _Thread_local bool is_victim;

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);

/* Each read is a cancellation point, that of a FILE as well. The victim is cancelled before it. */
static void cancel_victim(void) {
    if (is_victim) {
        pthread_cancel(pthread_self());
    }
}

ssize_t __wrap_read(int fd, void *data, size_t size) {
    cancel_victim();
    return __real_read(fd, data, size);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    FILE *file = __real_fopen(path, mode);
    cancel_victim();
    return file;
}

/* The name of the same where files may be large. */
FILE *__wrap_fopen64(const char *path, const char *mode) {
    FILE *file = __real_fopen64(path, mode);
    cancel_victim();
    return file;
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

static void *count_cpus(void *context) {
    uint64_t losses;
    (void)context;
    is_victim = true;
    rbc_map_read_losses(-1, &losses); /* counts them before it asks for the map's values */
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

START_TEST(while_it_counts_the_processors) {
    expect_nothing_left(count_cpus, NULL);
}
END_TEST

int main(void) {
    const TTest *tests[] = {while_it_reads_who_it_is, while_it_looks_at_all_processes,
                            while_it_counts_the_processors, NULL};
    return run_tests("cancelled", tests);
}
