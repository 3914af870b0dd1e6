/* SPDX-License-Identifier: MIT */
#include "ring_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static_assert(RBCORE_RINGS_MAX % RBC_CHUNK_SLOTS == 0, "the chunks have a slot for each index");

#define FIRST_CAPACITY 16

void rbc_ring_table_free(rbc_ring_table *self) {
    for (unsigned i = 0; i < RBC_CHUNKS; i++) {
        free(atomic_load_explicit(&self->chunks[i], memory_order_relaxed));
    }
    free(self->rings);
}

static rbc_slot *slot_of(const rbc_ring_table *self, unsigned index) {
    /* Acquire: pairs with the release store in make_chunk. */
    rbc_slot *chunk =
        atomic_load_explicit(&self->chunks[index / RBC_CHUNK_SLOTS], memory_order_acquire);
    return chunk == NULL ? NULL : &chunk[index % RBC_CHUNK_SLOTS];
}

/*
 * A free slot, searched from behind the last one given, so that indexes are reused late. A search
 * passes each ring once before it passes one again.
 */
static int find_slot(const rbc_ring_table *self) {
    for (unsigned i = 0; i < RBCORE_RINGS_MAX; i++) {
        unsigned index = (self->next_slot + i) % RBCORE_RINGS_MAX;
        if (rbc_ring_table_at(self, index) == NULL) {
            return (int)index;
        }
    }
    return -ENOSPC;
}

static int make_chunk(rbc_ring_table *self, unsigned index) {
    if (slot_of(self, index) != NULL) {
        return 0;
    }
    rbc_slot *chunk = calloc(RBC_CHUNK_SLOTS, sizeof(*chunk));
    if (chunk == NULL) {
        return -ENOMEM;
    }
    /* Release: pairs with the acquire loads of threads that look up any index. */
    atomic_store_explicit(&self->chunks[index / RBC_CHUNK_SLOTS], chunk, memory_order_release);
    return 0;
}

static int make_space(rbc_ring_table *self) {
    if (self->count < self->capacity) {
        return 0;
    }
    unsigned capacity = self->capacity == 0 ? FIRST_CAPACITY : 2 * self->capacity;
    rbc_ring **larger = realloc(self->rings, capacity * sizeof(*larger));
    if (larger == NULL) {
        return -ENOMEM;
    }
    self->rings = larger;
    self->capacity = capacity;
    return 0;
}

int rbc_ring_table_reserve(rbc_ring_table *self) {
    int index = self->count < RBCORE_RINGS_MAX ? find_slot(self) : -ENOSPC;
    int error = index < 0 ? index : make_chunk(self, (unsigned)index);
    error = error != 0 ? error : make_space(self);
    return error != 0 ? error : index;
}

void rbc_ring_table_put(rbc_ring_table *self, rbc_ring *ring, unsigned index) {
    rbc_slot *slot = slot_of(self, index);
    ring->index = (uint16_t)index;
    slot->place = self->count;
    self->rings[self->count++] = ring;
    self->next_slot = index + 1;
    atomic_store_explicit(&slot->is_read, true, memory_order_relaxed);
    /* Release: a thread that finds the ring here finds it complete (rbc_ring_table_at). */
    atomic_store_explicit(&slot->ring, ring, memory_order_release);
}

rbc_ring *rbc_ring_table_find(const rbc_ring_table *self, unsigned index) {
    const rbc_slot *slot = index < RBCORE_RINGS_MAX ? slot_of(self, index) : NULL;
    if (slot == NULL || slot->place >= self->count) {
        return NULL;
    }
    rbc_ring *ring = self->rings[slot->place];
    return ring->index == index ? ring : NULL;
}

void rbc_ring_table_take_out(rbc_ring_table *self, const rbc_ring *ring) {
    rbc_slot *slot = slot_of(self, ring->index);
    unsigned place = slot->place;
    /* Relaxed: pairs with the load in has_read_ring, which needs nothing but the word. */
    atomic_store_explicit(&slot->is_read, false, memory_order_relaxed);
    rbc_ring *last = self->rings[--self->count];
    self->rings[place] = last;
    slot_of(self, last->index)->place = place;
}

static bool has_read_ring(const rbc_slot *slot) {
    /* Acquire: pairs with the release store in rbc_ring_table_put, before which is_read was set. */
    return atomic_load_explicit(&slot->ring, memory_order_acquire) != NULL &&
           atomic_load_explicit(&slot->is_read, memory_order_relaxed);
}

int rbc_ring_table_after(const rbc_ring_table *self, unsigned index) {
    while (index < RBCORE_RINGS_MAX) {
        const rbc_slot *slot = slot_of(self, index);
        if (slot != NULL && has_read_ring(slot)) {
            return (int)index;
        }
        index += slot != NULL ? 1 : RBC_CHUNK_SLOTS - index % RBC_CHUNK_SLOTS;
    }
    return -ENOENT;
}

void rbc_ring_table_clear(rbc_ring_table *self, unsigned index) {
    /* Release: pairs with the acquire load in find_slot, which gives the index to another ring. */
    atomic_store_explicit(&slot_of(self, index)->ring, NULL, memory_order_release);
}
