/* SPDX-License-Identifier: MIT */
/* A scenario with each fault in turn, and what its calls must come to. */
#ifndef RBCORE_TESTS_SCENARIO_H
#define RBCORE_TESTS_SCENARIO_H

#include "../c/support.h"
#include "inject.h"

/*
 * Runs the scenario without a fault, then once for each call of the library that can fail and for
 * each error of that call, and where no result told of it again with an error that stays. After
 * each nothing may be left over: memory, mappings or descriptors. Prints how many faults there
 * were.
 */
void each_fault_in(const char *name, void (*scenario)(const void *), const void *argument);

/*
 * This does the same of the first calls alone, for a scenario that does one thing again and again.
 */
void first_faults_in(const char *name, void (*scenario)(const void *), const void *argument,
                     unsigned calls);

void call_begins(void);
void call_ends(void);

/*
 * MAKE asks this of a result. One that is no error, or the one that is expected, is fine. Another
 * one must be due to the fault and listed in the header; then the call is made again, and must not
 * fail.
 */
bool is_to_repeat(const char *function, int result, int expected);

/* Calls a function of the library, watched; `before` comes before each try. */
#define MAKE_AFTER(before, expected, function, ...)                                                \
    ({                                                                                             \
        int result_;                                                                               \
        do {                                                                                       \
            before;                                                                                \
            call_begins();                                                                         \
            result_ = function(__VA_ARGS__);                                                       \
            call_ends();                                                                           \
        } while (is_to_repeat(#function, result_, expected));                                      \
        result_;                                                                                   \
    })

#define MAKE(function, ...) MAKE_AFTER((void)0, 0, function, __VA_ARGS__)

/* The same of one that is to fail so. */
#define MAKE_FAIL(error, function, ...)                                                            \
    ck_check(MAKE_AFTER((void)0, error, function, __VA_ARGS__) == (error), #function)

/* This calls a function that returns nothing. */
#define DROP(function, handle)                                                                     \
    do {                                                                                           \
        call_begins();                                                                             \
        function(handle);                                                                          \
        call_ends();                                                                               \
    } while (0)

/* Fails the test, and says with which fault; without a system call as long as all is well. */
#define ck_check(condition, what)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_with_fault(__FILE__, __LINE__, what ": " #condition);                             \
        }                                                                                          \
    } while (0)
void fail_with_fault(const char *file, int line, const char *what) __attribute__((noreturn));

/* Tells whether a call whose name begins so was made to fail. */
bool was_failed(const char *begin);

/* A reader can be opened on the ring, and gets a record that is produced; no lock is left. */
void expect_free(const rbcore_source *source, void (*emit)(void *, uint64_t), void *ring);
void expect_taken(const rbcore_source *source);

#endif
