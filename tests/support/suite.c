/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_left_out(const char *test) {
    const char *names = getenv("RBCORE_LEAVE_OUT"), *reason = getenv("RBCORE_LEAVE_OUT_REASON");
    for (size_t length; names && *names; names += length) {
        names += strspn(names, " ");
        length = strcspn(names, " ");
        bool is_named = length == strlen(test) && strncmp(names, test, length) == 0;
        if (is_named || strcmp(names, "*") == 0) {
            printf("skipped: %s: %s\n", test, reason ? reason : "left out by RBCORE_LEAVE_OUT");
            return true;
        }
    }
    return false;
}

void add_loop_test(Suite *suite, const TTest *test, int count) {
    if (is_left_out(test->name)) {
        return;
    }
    TCase *tcase = tcase_create(test->name);
    tcase_set_timeout(tcase, 100);
    tcase_add_loop_test(tcase, test, 0, count);
    suite_add_tcase(suite, tcase);
}

void add_test(Suite *suite, const TTest *test) {
    add_loop_test(suite, test, 1);
}

int run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    fflush(stdout); /* the tests are forked, and would print it again */
    srunner_run_all(runner, CK_ENV);
    int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return run == 0 ? SKIPPED : failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int run_loop_tests(const char *name, const loop_test *tests) {
    Suite *suite = suite_create(name);
    for (; tests->test; tests++) {
        add_loop_test(suite, tests->test, tests->count);
    }
    return run_suite(suite);
}

int run_tests(const char *name, const TTest *const *tests) {
    Suite *suite = suite_create(name);
    for (; *tests; tests++) {
        add_test(suite, *tests);
    }
    return run_suite(suite);
}

void skip(const char *reason) {
    printf("skipped: %s\n", reason);
    exit(SKIPPED);
}

void skip_without_fork(void) {
    if (thread_sanitizer()) {
        skip("ThreadSanitizer does not follow fork()");
    }
}
