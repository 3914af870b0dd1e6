/* SPDX-License-Identifier: MIT */
/* Rings and their records. */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

unsigned char pattern[PATTERN_SIZE];

/* The bytes of tests/kernel/produce.bpf.c's pattern. */
void pattern_fill(void) {
    uint32_t number = 1;
    for (size_t i = 0; i < PATTERN_SIZE; i++) {
        number = number * 1664525 + 1013904223;
        pattern[i] = (unsigned char)(number >> 24);
    }
}

uint64_t end_of_item(const sim_item *item) {
    return item->position + span_of(item->size);
}

void ring_map(sim_ring *self, int fd) {
    self->page_size = page_size();
    void *consumer = mmap(NULL, self->page_size, PROT_READ, MAP_SHARED, fd, 0);
    void *producer = mmap(NULL, self->page_size, PROT_READ, MAP_SHARED, fd, (off_t)self->page_size);
    demand(consumer != MAP_FAILED && producer != MAP_FAILED, "no mapping of a ring");
    self->page = consumer;
    self->produced = producer;
}

void ring_forget(sim_ring *self) {
    munmap((void *)(uintptr_t)self->page, self->page_size);
    munmap((void *)(uintptr_t)self->produced, self->page_size);
    free(self->items);
    *self = (sim_ring){.number = self->number};
}

uint64_t ring_consumer_pos(const sim_ring *self) {
    return __atomic_load_n(self->page, __ATOMIC_ACQUIRE);
}

uint64_t ring_producer_pos(const sim_ring *self) {
    return __atomic_load_n(self->produced, __ATOMIC_ACQUIRE);
}

uint64_t ring_overwrite_pos(const sim_ring *self) {
    return __atomic_load_n(&self->produced[2], __ATOMIC_ACQUIRE);
}

void ring_check(const sim_ring *self) {
    uint64_t producer = __atomic_load_n(self->produced, __ATOMIC_ACQUIRE);
    demand(producer == self->producer_pos, "ring %d: producer_pos %" PRIu64 ", not %" PRIu64,
           self->number, producer, self->producer_pos);
    demand(!self->overwrites || ring_overwrite_pos(self) == self->overwrite_pos,
           "ring %d: overwrite_pos %" PRIu64 ", not %" PRIu64, self->number,
           ring_overwrite_pos(self), self->overwrite_pos);
}

/* ---- Items ---- */

size_t ring_append(sim_ring *self, uint32_t size, sim_state state) {
    if (self->count == self->room) {
        self->room = self->room * 2 + 1024;
        self->items = realloc(self->items, self->room * sizeof(*self->items));
        demand(self->items != NULL, "no memory");
    }
    self->items[self->count] = (sim_item){
        .position = self->producer_pos, .size = size, .offset = roll(RECORD_MAX), .state = state};
    self->producer_pos += span_of(size);
    while (self->overwrites && self->producer_pos - self->overwrite_pos > self->size - 1) {
        self->overwrite_pos = end_of_item(&self->items[self->oldest++]);
    }
    return self->count++;
}

/* The first unfinished item, or the end. */
static uint64_t pending_pos(sim_ring *self) {
    while (self->pending < self->count && (self->items[self->pending].state == SUBMITTED ||
                                           self->items[self->pending].state == DISCARDED)) {
        self->pending++;
    }
    return self->pending < self->count ? self->items[self->pending].position : self->producer_pos;
}

/* The kernel and its likes never fill a ring to the last byte. */
int ring_room(sim_ring *self, uint64_t before, uint32_t size) {
    if (size > self->size - 16) {
        return -EMSGSIZE;
    }
    uint64_t next = self->producer_pos + before + span_of(size);
    uint64_t oldest = self->overwrites ? pending_pos(self) : ring_consumer_pos(self);
    return next - oldest > self->size - 1 ? -EAGAIN : 0;
}

int ring_clear_the_way(sim_ring *self) {
    if (!self->overwrites || self->pending == self->count ||
        self->items[self->pending].state != DEAD) {
        return -EAGAIN;
    }
    remark("(the dead producer's record at %" PRIu64 " is out of the way)",
           self->items[self->pending].position);
    self->items[self->pending].state = DISCARDED;
    return 0;
}

int ring_reserve(sim_ring *self, uint32_t size, size_t *index) {
    int error;
    do {
        error = ring_room(self, 0, size);
    } while (error == -EAGAIN && ring_clear_the_way(self) == 0);
    if (error == 0) {
        *index = ring_append(self, size, RESERVED);
    }
    return error;
}

void ring_finish(sim_ring *self, size_t index, sim_state state, uint32_t flags) {
    sim_item *item = &self->items[index];
    demand(item->state == RESERVED, "the model has no such reserved record");
    item->state = state;
    item->flags = flags;
    item->finished_at = next_moment();
}

size_t ring_find(const sim_ring *self, uint64_t position) {
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->items[middle].position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_there =
        low < self->count ? self->items[low].position == position : position == self->producer_pos;
    demand(is_there, "ring %d: no record begins at %" PRIu64, self->number, position);
    return low;
}
