/* SPDX-License-Identifier: MIT */
/* Rules that hold for every function, and the functions that need no handle. */
#include "conformance.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"

START_TEST(version_is_the_tables) {
    ck_assert_uint_eq((uint64_t)call("rbcore_version", 0, NULL), RBCORE_VERSION);
}
END_TEST

START_TEST(features) {
    int64_t kernel = CALL(supports, RBCORE_FEATURE_KERNEL_RING);
    ck_assert_int_eq(CALL(supports, RBCORE_FEATURE_MEMORY_RING), 1);
    ck_assert(kernel == 1 || kernel == 0 || kernel == -EPERM);
    ck_assert_int_le(CALL(supports, RBCORE_FEATURE_USER_RING), kernel); /* it came later */
    ck_assert_int_eq(CALL(supports, 0), 0);
    ck_assert_int_eq(CALL(supports, UINT32_MAX), 0);
}
END_TEST

START_TEST(errors_have_sentences) {
    static const int errors[] = {EINVAL, EBUSY, EBADMSG, ESHUTDOWN, ECANCELED, ENODATA, E2BIG};
    for (size_t i = 0; i < COUNT(errors); i++) {
        const char *negative = (const char *)(uintptr_t)CALL(strerror, (uint64_t)-errors[i]);
        const char *positive = (const char *)(uintptr_t)CALL(strerror, (uint64_t)errors[i]);
        ck_assert_ptr_nonnull(negative);
        ck_assert_str_ne(negative, "");
        ck_assert_str_eq(negative, positive);
    }
    ck_assert_int_ne(CALL(strerror, (uint64_t)INT_MIN), 0);
    ck_assert_int_ne(CALL(strerror, 0), 0);
}
END_TEST

/* Arguments that are all in order. The size is one that both a ring and a struct may have. */
static void fill_values(const abi_function *function, const ring_pair *pair, const abi_memory *m,
                        uint64_t *values) {
    for (const char *letter = function->signature + 1; *letter; letter++, values++) {
        if (*letter == 'R') {
            *values = pointer(pair->reader);
        } else if (*letter == 'W') {
            *values = pointer(pair->producer);
        } else if (*letter == 'S') {
            *values = pointer(pair->snapshot);
        } else if (*letter == 'p' || *letter == 'o') {
            *values = pointer(m);
        } else {
            *values = *letter == 'z' ? 4096 : 0;
        }
    }
}

static void assert_refused(const abi_function *function, const uint64_t *values, int argument) {
    int64_t result = invoke(function, values);
    if (function->signature[0] == 'i') {
        ck_assert_msg(result == -EINVAL, "%s, argument %d NULL: %ld", function->name, argument,
                      (long)result);
    } else if (function->signature[0] == 's') {
        ck_assert_msg(result != 0, "%s: NULL", function->name);
    }
}

START_TEST(null_is_refused) {
    const abi_function *function = &functions[_i];
    ring_pair pair;
    abi_memory m;
    uint64_t values[MAX_ARGUMENTS];
    pair_open(&pair, 0);
    source_of(&m, pair.ring);
    for (int i = 0; function->signature[1 + i]; i++) {
        if (!strchr("RWSp", function->signature[1 + i])) {
            continue;
        }
        fill_values(function, &pair, &m, values);
        values[i] = 0;
        assert_refused(function, values, i);
    }
    pair_close(&pair);
}
END_TEST

static int takes_handle(const abi_function *function) {
    return strchr("RWS", function->signature[1]) != NULL;
}

/* In the child of a fork. Returns 0, or the number of the first function that is wrong. */
static int foreign_calls(const ring_pair *pair) {
    static uint64_t records[4096 * RECORD_SIZE / 8];
    abi_memory m = pair->source;
    uint64_t values[MAX_ARGUMENTS];
    int64_t result;
    memcpy(records, &m, sizeof(m));
    for (size_t i = 0; i < COUNT(functions); i++) {
        if (!takes_handle(&functions[i]) || functions[i].signature[0] == 'v') {
            continue;
        }
        fill_values(&functions[i], pair, (const abi_memory *)records, values);
        result = invoke(&functions[i], values);
        if (functions[i].signature[0] == 'i' ? result != -ECHILD : result == 0) {
            return (int)i + 1;
        }
    }
    invoke(find_function("rbcore_reader_free"), VALUES(pointer(pair->reader)));
    invoke(find_function("rbcore_producer_free"), VALUES(pointer(pair->producer)));
    invoke(find_function("rbcore_snapshot_free"), VALUES(pointer(pair->snapshot)));
    return 0;
}

START_TEST(handles_do_not_survive_fork) {
    ring_pair pair;
    record_array records;
    int status = -1;
    pid_t child;
    pair_open(&pair, 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(foreign_calls(&pair));
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0) {
        ck_abort_msg("not -ECHILD in the child: %s", functions[WEXITSTATUS(status) - 1].name);
    }
    output(&pair, "a", 1, 0);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), 1);
    assert_record(&pair, records.bytes[0], 0, "a", 1);
    pair_close(&pair);
}
END_TEST

void add_function_tests(Suite *suite) {
    TCase *group = tcase_create("functions");
    tcase_add_test(group, version_is_the_tables);
    tcase_add_test(group, features);
    tcase_add_test(group, errors_have_sentences);
    tcase_add_loop_test(group, null_is_refused, 0, FUNCTIONS);
    tcase_add_test(group, handles_do_not_survive_fork);
    suite_add_tcase(suite, group);
}
