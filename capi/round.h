/* SPDX-License-Identifier: MIT */
/*
 * The round in which rings have their turns: a circle, and the ring that comes first in the next
 * look. The reading thread only.
 */
#ifndef RBC_ROUND_H
#define RBC_ROUND_H

#include "ring.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct rbc_round {
    rbc_ring *turn; /* comes first; NULL: the round is empty */
    unsigned count;
} rbc_round;

/* Puts a ring behind all others, which have waited longer. */
static inline void rbc_round_join(rbc_round *self, rbc_ring *ring) {
    rbc_ring *first = self->turn != NULL ? self->turn : ring;
    rbc_ring *last = self->turn != NULL ? first->previous : ring;
    ring->next = first;
    ring->previous = last;
    last->next = ring;
    first->previous = ring;
    self->turn = first;
    self->count++;
}

/* Takes a ring out. Its turn goes to the one behind it. */
static inline void rbc_round_leave(rbc_round *self, rbc_ring *ring) {
    ring->previous->next = ring->next;
    ring->next->previous = ring->previous;
    self->count--;
    if (self->turn == ring) {
        self->turn = self->count > 0 ? ring->next : NULL;
    }
}

/* For loops over the round: the ring behind another, or NULL behind the last. */
static inline rbc_ring *rbc_round_after(const rbc_round *self, const rbc_ring *ring) {
    return ring->next != self->turn ? ring->next : NULL;
}

#endif
