/* SPDX-License-Identifier: MIT */
/* Ends or stops a process at any of its instructions (ptrace(2), one step at a time). */
#ifndef RBCORE_TESTS_POINTS_H
#define RBCORE_TESTS_POINTS_H

#include "../c/support.h"

/* A play, which is played again and again, each time on a new stage. */
typedef struct drama {
    const char *name;
    const void *way; /* which of its variants */
    void *(*set_up)(const void *way);
    /* It runs in a process of its own. What follows curtain() counts. Returns 0. */
    int (*victim)(void *stage);
    /*
     * This is memory that the victim shares: what it changes there makes an instruction worth a
     * look.
     */
    const void *(*shared)(void *stage, size_t *size);
    /* The victim is dead: killed, or because it was through. */
    void (*killed)(void *stage);
    /* The victim is stopped; goes_on lets it run to its end. NULL: nothing is stopped. */
    void (*stopped)(void *stage);
    void (*tear_down)(void *stage);
    unsigned samples;
} drama;

/* Marks where the part of the victim begins that is looked at. */
void curtain(void);

/*
 * Kills the victim after each instruction that changed shared memory, and after `samples` others by
 * chance; then stops it after those and others, if `stopped` says what happens then. The
 * environment: RBCORE_KILL_POINTS, how many others (or "all"); RBCORE_KILL_SEED, by which numbers.
 * Prints both.
 */
void play(const drama *self);

/*
 * Tells whether the victim ended while it was thought to be stopped: it had come to its end before.
 */
bool victim_has_ended(void);

/* Lets the stopped victim go on, and waits until it has ended well. */
void victim_goes_on(void);

/* Fails with the point at which this happened. */
#define at_point(condition, what)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_at_point(__FILE__, __LINE__, what ": " #condition);                               \
        }                                                                                          \
    } while (0)
void fail_at_point(const char *file, int line, const char *what) __attribute__((noreturn));

/* Ends the program as skipped where processes cannot be stepped through. */
void skip_without_points(void);

/* A test that plays a drama of the file's set_up, victim and so on; the rest says which way. */
#define PLAYS(test, many, ...)                                                                     \
    START_TEST(test) {                                                                             \
        play(&(const drama){.name = #test,                                                         \
                            .way = &(const way){__VA_ARGS__},                                      \
                            .set_up = set_up,                                                      \
                            .victim = victim,                                                      \
                            .shared = shared,                                                      \
                            .killed = killed,                                                      \
                            .stopped = stopped,                                                    \
                            .tear_down = tear_down,                                                \
                            .samples = (many)});                                                   \
    }                                                                                              \
    END_TEST

#endif
