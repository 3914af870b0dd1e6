/* SPDX-License-Identifier: MIT */
/* The tests of a program, run by check. */
#ifndef RBCORE_TESTS_SUITE_H
#define RBCORE_TESTS_SUITE_H

#include <check.h>
#include <rbcore/rbcore.h>

/* Tells check nothing as long as all is well: that makes a system call, too slow for hot loops. */
#define ok(call)                                                                                   \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ != 0) {                                                                        \
            ck_abort_msg("%s: %d (%s)", #call, result_, rbcore_strerror(result_));                 \
        }                                                                                          \
    } while (0)

/*
 * Adds a test as a case of its name, with a time limit that only a hang reaches. One that the
 * environment leaves out is told as skipped instead: RBCORE_LEAVE_OUT has the names of such tests,
 * or `*` for all, and RBCORE_LEAVE_OUT_REASON the reason.
 */
void add_test(Suite *suite, const TTest *test);
/* The same for a test that runs count times, with _i from 0 on. */
void add_loop_test(Suite *suite, const TTest *test, int count);

/* Runs the tests; returns what main should return: SKIPPED if all of them were left out. */
int run_suite(Suite *suite);

/* Adds and runs the tests of a NULL-terminated list. */
int run_tests(const char *name, const TTest *const *tests);

/* A test with how often it is run. A list of them ends with that of no test. */
typedef struct loop_test {
    const TTest *test;
    int count;
} loop_test;

/* Adds and runs the tests of such a list. */
int run_loop_tests(const char *name, const loop_test *tests);

/* Tells why this program cannot run here, and ends it as skipped. */
void skip(const char *reason);

/* Does so where ThreadSanitizer would not follow the processes of its tests. */
void skip_without_fork(void);

#endif
