/* SPDX-License-Identifier: MIT */
/*
 * A ring of the campaign with its producers: in memory (memory_ring.c) or the kernel's
 * (kernel_ring.c).
 */
#ifndef RING_H
#define RING_H

#include <rbcore/rbcore.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/machine.h"
#include "flow.h"

typedef struct ring {
    rbcore_source source;  /* for readers */
    struct tally *tallies; /* FLOW_PRODUCERS_MAX of them, shared with children */
    void *own;
} ring;

/* Why there can be no such ring here, or NULL. */
const char *ring_missing(void);

/* size: a power of two of pages. Ends the program where it fails. */
void ring_open(ring *self, size_t size);
void ring_close(ring *self);

/* Each producer has its own number, and numbers its records from 0. */
typedef struct producing {
    const ring *ring;
    uint32_t id;
    uint64_t random;
    bool is_silent;          /* some of its records wake nobody */
    rbcore_producer *handle; /* memory rings */
} producing;

void producing_open(producing *self, const ring *on, uint32_t id, uint64_t seed);
void producing_close(producing *self);

/* Makes some records, at most max; returns false where the ring was full. */
bool producing_run(producing *self, uint32_t max);

/* ---- What both checkers need --------------------------------------------------------------- */

/* Says what is wrong and ends the program. */
#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            FAIL("%s", #condition);                                                                \
        }                                                                                          \
    } while (0)

void fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/* Sets what is printed first when something fails: how to repeat it. */
void set_context(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * What main does: for SEED SECONDS [MOST], its arguments, plays episodes until so many seconds have
 * passed or `reached` returns so many. A seed names a million of episodes; a larger number is that
 * of one itself. Ends the program where no episode can be played, or where they leave something.
 */
void play_episodes(int argc, char **argv, void (*episode)(uint64_t seed),
                   uint64_t (*reached)(void));

/* A number from 0 to below - 1. */
uint64_t random_below(uint64_t *state, uint64_t below);

/* The name of a record, which must be one that a producer made, whole. */
uint64_t expect_name(const rbcore_record *record);
bool is_intact(const rbcore_record *record);

#endif
