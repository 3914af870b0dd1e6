/* SPDX-License-Identifier: MIT */
/* Commit mode: records are given back in the order in which they were handed out. */
#ifndef RBC_COMMIT_H
#define RBC_COMMIT_H

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How many uncommitted turns can be told apart: so many for each ring of the reader, but for each
 * beyond the first 64 a few only.
 */
#define RBC_TURNS_PER_RING 1024
#define RBC_TURNS_PER_FURTHER_RING 16

/* A turn of a ring: its records up to here were handed out before those of the next turn. */
typedef struct rbc_turn {
    uint64_t end;
    struct rbc_ring *ring;
} rbc_turn;

/*
 * The uncommitted turns in the order in which they were handed out: a circular buffer. Turns of one
 * ring that follow each other are one.
 */
typedef struct rbc_turns {
    rbc_turn *entries;
    size_t capacity, first, count;
} rbc_turns;

/* Whether *record is handed out and not committed, as far as can be told. */
bool rbc_commit_holds(const struct rbc_ring *ring, const rbcore_record *record);

/* Grows the table for the turns of so many rings. Returns 0 or -ENOMEM. */
int rbc_turns_grow(rbc_turns *self, size_t rings);

void rbc_turns_free(rbc_turns *self);

/* Forgets the turns of a ring that is removed. */
void rbc_turns_forget(rbc_turns *self, const struct rbc_ring *ring);

/* Whether the last turn is this ring's: it can go on even where there is no space for another. */
bool rbc_turns_end_with(const rbc_turns *self, const struct rbc_ring *ring);

static inline bool rbc_turns_are_full(const rbc_turns *self) {
    return self->count == self->capacity;
}

/* Records of this ring up to `end` were handed out. */
void rbc_turns_note(rbc_turns *self, struct rbc_ring *ring, uint64_t end);

#endif
