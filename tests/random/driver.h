/* SPDX-License-Identifier: MIT */
/*
 * The driver of the random calls: numbers that come from a seed and the number of the call alone,
 * so that a run can be repeated; the last calls as lines to read; and a watchdog.
 */
#ifndef RBCORE_TESTS_RANDOM_DRIVER_H
#define RBCORE_TESTS_RANDOM_DRIVER_H

#include "../support/layout.h"
#include "../support/machine.h"

/*
 * How much is to be done: the number that was given, else that of the variable, else `usual`; and
 * with RBCORE_RANDOM_SECONDS no end before so many have passed. Whether more is to be done after
 * `done`.
 */
typedef struct run_length {
    uint64_t most;
    int64_t until_ns;
} run_length;
run_length run_length_of(const char *given, const char *variable, uint64_t usual);
bool run_length_has_more(const run_length *self, uint64_t done);

/* The seed that was given, or one by the clock. */
uint64_t seed_of(const char *given);

/* Begins the calls of a seed anew. */
void driver_seed(uint64_t seed);
uint64_t driver_seed_now(void);

/*
 * Starts the watchdog of a program of this name, whose arguments repeat the run. describe prints to
 * standard error how things stand, when something is not as it should be.
 */
void driver_start(const char *program, void (*describe)(void));

/* Begins the next step: its numbers depend on nothing that was drawn before. */
void driver_step(void);

/* The numbers of another thread, which depend on the seed and on its own number. */
void driver_thread(uint64_t number);

uint32_t roll(uint32_t below);
bool one_in(uint32_t sides);

/* A call is about to be made: a line of the log. */
__attribute__((format(printf, 1, 2))) void calling(const char *format, ...);
/* Prints what it returned, in the same line. Returns it. */
int returned(int result);
/* More about the last call, in a line of its own. */
__attribute__((format(printf, 1, 2))) void remark(const char *format, ...);
uint64_t calls_made(void);
/* Another number each time: which of two things came first. */
uint64_t next_moment(void);

/* Prints the seed, the number of the call and the last calls, and ends the program. */
__attribute__((noreturn, format(printf, 3, 4))) void fail_at(const char *file, int line,
                                                             const char *format, ...);

/* Checks what the model demands. */
#define demand(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_at(__FILE__, __LINE__, __VA_ARGS__);                                              \
        }                                                                                          \
    } while (0)

#endif
