/* SPDX-License-Identifier: MIT */
/*
 * The rings of a reader: by index, and those that are read without gaps. To add or to remove one
 * takes as long with thousands of others as with none.
 */
#ifndef RBC_RING_TABLE_H
#define RBC_RING_TABLE_H

#include "ring.h"

#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct rbc_slot {
    /* A removed ring stays until its last held record was released. Any thread. */
    _Atomic(rbc_ring *) ring;
    /* Where it is among those that are read; may be stale. The reading thread only. */
    unsigned place;
    atomic_bool is_read; /* it is among those that are read. Any thread */
} rbc_slot;

/* Slots are made by so many, and stay where they are: other threads look into them. */
#define RBC_CHUNK_SLOTS 256
#define RBC_CHUNKS (RBCORE_RINGS_MAX / RBC_CHUNK_SLOTS)

typedef struct rbc_ring_table {
    rbc_ring **rings; /* those that are read; the reading thread only */
    unsigned count, capacity;
    unsigned next_slot; /* where the search for a free slot begins */
    _Atomic(rbc_slot *) chunks[RBC_CHUNKS];
} rbc_ring_table;

void rbc_ring_table_free(rbc_ring_table *self);

/*
 * Finds an index for a ring, as late after its last use as possible, and makes space for the ring.
 * Returns the index, -ENOSPC or -ENOMEM. The reading thread only, as for all below that do not say
 * "any thread".
 */
int rbc_ring_table_reserve(rbc_ring_table *self);

/* Puts the ring at the index that was reserved. From now on other threads find it. */
void rbc_ring_table_put(rbc_ring_table *self, rbc_ring *ring, unsigned index);

/*
 * The ring that is read and has this index, or NULL. It asks no ring for its index that is not
 * read: any thread may drop the last reference to a removed one.
 */
rbc_ring *rbc_ring_table_find(const rbc_ring_table *self, unsigned index);

/* Takes a ring out of those that are read. It stays in its slot. */
void rbc_ring_table_take_out(rbc_ring_table *self, const rbc_ring *ring);

/* The ring in the slot of an index, or NULL: see rbc_reader_ring. Any thread. */
static inline rbc_ring *rbc_ring_table_at(const rbc_ring_table *self, unsigned index) {
    if (index >= RBCORE_RINGS_MAX) {
        return NULL;
    }
    /* Acquire: pairs with the release stores in rbc_ring_table_reserve and rbc_ring_table_put. */
    const rbc_slot *chunk =
        atomic_load_explicit(&self->chunks[index / RBC_CHUNK_SLOTS], memory_order_acquire);
    return chunk == NULL
               ? NULL
               : atomic_load_explicit(&chunk[index % RBC_CHUNK_SLOTS].ring, memory_order_acquire);
}

/*
 * The lowest index, from this one on, of a ring that is read, or -ENOENT. Any thread.
 */
int rbc_ring_table_after(const rbc_ring_table *self, unsigned index);

/* Empties the slot of an index. Any thread. */
void rbc_ring_table_clear(rbc_ring_table *self, unsigned index);

#endif
