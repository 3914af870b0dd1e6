/* SPDX-License-Identifier: MIT */
#include "commit.h"

#include "consumer.h"
#include "inline.h"
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- The order of turns (commit mode) ---- */

static rbc_turn *turn_at(const rbc_turns *self, size_t i) {
    size_t place = self->first + i; /* a division would cost as much as a record */
    return &self->entries[place < self->capacity ? place : place - self->capacity];
}

#define FIRST_RINGS 64

/* The capacity for so many rings. It doubles at least, for the sake of the copying. */
static size_t capacity_for(size_t rings, size_t capacity) {
    size_t first = rings < FIRST_RINGS ? rings : FIRST_RINGS;
    size_t needed = first * RBC_TURNS_PER_RING + (rings - first) * RBC_TURNS_PER_FURTHER_RING;
    return needed > capacity && needed < 2 * capacity ? 2 * capacity : needed;
}

int rbc_turns_grow(rbc_turns *self, size_t rings) {
    rbc_turns larger = {.capacity = capacity_for(rings, self->capacity), .count = self->count};
    if (larger.capacity <= self->capacity) {
        return 0;
    }
    larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
    if (larger.entries == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < self->count; i++) {
        larger.entries[i] = *turn_at(self, i);
    }
    free(self->entries);
    *self = larger;
    return 0;
}

void rbc_turns_free(rbc_turns *self) {
    free(self->entries);
    memset(self, 0, sizeof(*self));
}

void rbc_turns_forget(rbc_turns *self, const rbc_ring *ring) {
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (turn_at(self, i)->ring != ring) {
            *turn_at(self, kept++) = *turn_at(self, i);
        }
    }
    self->count = kept;
}

bool rbc_turns_end_with(const rbc_turns *self, const rbc_ring *ring) {
    return self->count > 0 && turn_at(self, self->count - 1)->ring == ring;
}

void rbc_turns_note(rbc_turns *self, rbc_ring *ring, uint64_t end) {
    if (!rbc_turns_end_with(self, ring)) {
        self->count++;
    }
    *turn_at(self, self->count - 1) = (rbc_turn){.end = end, .ring = ring};
}

/* ---- Commit ---- */

static uint64_t end_of(const rbcore_record *record) {
    return record->position + rbc_record_span(record->size);
}

/* The end of the discarded records that follow `end` before the next one that is held. */
static uint64_t pass_discarded(rbc_ring *self, uint64_t end) {
    while (end != self->handed_end) {
        uint32_t length = rbc_get_length(self, end);
        uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
        if (!(length & RBC_DISCARD) || span > self->handed_end - end) {
            return end;
        }
        end += span;
    }
    self->handed_end = rbc_get(&self->read_pos);
    return self->handed_end;
}

/* Gives back everything up to `end`, and the discarded records that follow. */
static void commit_to(rbc_ring *self, uint64_t end) {
    end = pass_discarded(self, end);
    if (end != rbc_get(&self->user_pos)) {
        rbc_consumer_advance(self, end);
    }
}

bool rbc_commit_holds(const rbc_ring *ring, const rbcore_record *record) {
    uint64_t user_pos = rbc_get(&ring->user_pos), held = ring->handed_end - user_pos;
    uint64_t before = record->position - user_pos;
    if (record->position % 8 != 0 || before >= held ||
        rbc_record_span(record->size) > held - before) {
        return false;
    }
    return rbc_ring_is_data_of(ring, record->data, record->position) &&
           rbc_get_length(ring, record->position) == record->size;
}

static void commit_everything(rbcore_reader *self) {
    /* Each ring of which records are handed out has a turn there. */
    while (self->turns.count > 0) {
        rbc_ring *ring = turn_at(&self->turns, --self->turns.count)->ring;
        commit_to(ring, ring->handed_end);
    }
}

/*
 * Commits the turn, or only its part up to `end` if the record that ends there was handed out in
 * it. Returns whether it was.
 */
static bool commit_turn(const rbc_turn *turn, uint16_t last_ring, uint64_t end) {
    rbc_ring *ring = turn->ring;
    uint64_t user_pos = rbc_get(&ring->user_pos);
    if (turn->end - user_pos > ring->mapping.data_size) {
        return false; /* a hostile producer discarded what was handed out: it was passed already */
    }
    bool is_last = ring->index == last_ring && turn->end - user_pos >= end - user_pos;
    commit_to(ring, is_last ? end : turn->end);
    return is_last;
}

/*
 * Commits the turns before the one in which *last was handed out, and of that one the part up to
 * *last.
 */
static RBC_OUT_OF_LINE void commit_up_to(rbcore_reader *self, const rbcore_record *last) {
    rbc_turns *turns = &self->turns;
    const uint64_t end = end_of(last);
    for (bool found = false; !found && turns->count > 0;) {
        const rbc_turn turn = *turn_at(turns, 0);
        found = commit_turn(&turn, last->ring, end);
        if (found && turn.end != end) {
            return;
        }
        turns->first = turns->first + 1 < turns->capacity ? turns->first + 1 : 0;
        turns->count--;
    }
}

static int commit(rbcore_reader *self, const rbcore_record *last) {
    if (last == NULL) {
        commit_everything(self);
        return 0;
    }
    const rbc_ring *ring = rbc_reader_ring(self, last->ring);
    if (ring == NULL || !rbc_commit_holds(ring, last)) {
        return rbc_reader_fail(self, -EINVAL, "no uncommitted record of ring %u is at %llu",
                               last->ring, (unsigned long long)last->position);
    }
    commit_up_to(self, last);
    return 0;
}

int rbcore_reader_commit(rbcore_reader *self, const rbcore_record *last, uint32_t flags) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (self->is_release) {
        return rbc_reader_fail(self, -EINVAL,
                               "the reader was opened for release: it has no commit");
    }
    if (flags & ~RBCORE_COMMIT_NOW) {
        return rbc_reader_fail(self, -EINVAL, "the commit has unknown flags: 0x%x", flags);
    }
    error = commit(self, last);
    if (error == 0 && flags & RBCORE_COMMIT_NOW) {
        const rbc_round *round = &self->round;
        for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
            rbc_consumer_publish_all(ring);
        }
    }
    return error;
}

void rbc_reader_commit_ring(rbcore_reader *self, unsigned index, uint64_t end, bool now) {
    rbc_ring *ring = rbc_reader_ring(self, index);
    if (ring == NULL) {
        return;
    }
    commit_to(ring, end == RBC_ALL_OF_IT ? ring->handed_end : end);
    if (now) {
        rbc_consumer_publish_all(ring);
    }
}
