/* SPDX-License-Identifier: MIT */
/* Scenarios of readers, for rings of any kind. */
#ifndef RBCORE_TESTS_READERS_H
#define RBCORE_TESTS_READERS_H

#include <rbcore/rbcore.h>
#include <stdbool.h>

/* This is a kind of ring: how the test makes one, fills it, and how a reader names it. */
typedef struct ring_kind {
    void *(*open)(rbcore_source *source, size_t size, bool overwrites);
    void (*emit)(void *ring, uint64_t value);
    void (*close)(void *ring, const rbcore_source *source);
    bool counts_losses;
} ring_kind;

typedef struct life {
    const ring_kind *kind;
    uint32_t reader_flags;
    uint32_t source_flags;
    bool overwrites;
    bool without_loss_map;
    bool is_paced; /* for a time, and then armed again */
} life;

/* A ring of this size is large enough to become paced. */
#define PACED_RING_SIZE ((size_t)1 << 20)

/* This is a scenario for each_fault_in. The argument is a life. */
void live(const void *argument);
void live_with_two(const void *argument);

#endif
