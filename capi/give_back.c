/* SPDX-License-Identifier: MIT */
#include "give_back.h"

#include "fence.h"
#include "kind.h"
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- The order of turns (commit mode) ---- */

static rbc_turn *turn_at(const rbc_turns *self, size_t i) {
    return &self->entries[(self->first + i) % self->capacity];
}

int rbc_turns_make_room(rbc_turns *self, size_t rings) {
    rbc_turns larger = {.capacity = rings * RBC_TURNS_PER_RING, .count = self->count};
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

void rbc_turns_forget(rbc_turns *self, uint16_t ring) {
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (turn_at(self, i)->ring != ring) {
            *turn_at(self, kept++) = *turn_at(self, i);
        }
    }
    self->count = kept;
}

static bool last_turn_is_of(const rbc_turns *self, uint16_t ring) {
    return self->count > 0 && turn_at(self, self->count - 1)->ring == ring;
}

bool rbc_turns_is_full_for(const rbc_turns *self, uint16_t ring) {
    return self->count == self->capacity && !last_turn_is_of(self, ring);
}

static void note_turn(rbc_turns *self, uint16_t ring, uint64_t end) {
    if (!last_turn_is_of(self, ring)) {
        self->count++;
    }
    *turn_at(self, self->count - 1) = (rbc_turn){.end = end, .ring = ring};
}

/* ---- Advancing ---- */

/*
 * Nor is one in a ring that is less empty than this, or whose records are so large that few fit: it
 * would take room that producers may need.
 */
#define EMPTY_PART 2
#define LARGEST_PART 4

/*
 * What to publish: everything that was given back; but of a paced ring not the last record, so that
 * consumer_pos is not where the next record comes. Only when the user holds nothing: else his first
 * record has that effect already.
 */
static uint64_t position_to_publish(const rbc_ring *self, uint64_t user_pos) {
    /* last_pos is stored before read_pos: it is that record's start, or a later one's. */
    if (!rbc_ring_is_paced(self) ||
        user_pos != atomic_load_explicit(&self->read_pos, memory_order_acquire)) {
        return user_pos;
    }
    uint64_t last = rbc_get(&self->last_pos), size = self->mapping.data_size;
    uint64_t producer = atomic_load_explicit(self->producer_pos, memory_order_relaxed);
    bool is_small = user_pos - last <= size / RBC_HELD_BACK_PART &&
                    rbc_get(&self->largest_span) <= size / LARGEST_PART;
    bool is_ahead = last - self->published_pos < size; /* consumer_pos never goes back */
    return is_small && is_ahead && producer - last <= size / EMPTY_PART ? last : user_pos;
}

/*
 * Tells the kernel which space is free. The store pairs with smp_load_acquire(&rb->consumer_pos) in
 * the kernel's __bpf_ringbuf_reserve(). Before it, the position really committed goes to where a
 * successor finds it: killed between the two, we have delivered nothing that comes again.
 */
static void publish(rbc_ring *self, uint64_t user_pos, uint64_t position) {
    rbc_owner_note_committed(&self->owner, user_pos);
    self->published_pos = position;
    atomic_store_explicit(self->consumer_pos, position, memory_order_release);
}

static bool is_parked(const rbc_wait *self) {
    return atomic_load_explicit(&self->parked, memory_order_relaxed);
}

/*
 * The second look is what keeps wakeups from getting lost. The kernel's bpf_ringbuf_commit() does
 * xchg(header), a full barrier, then loads consumer_pos, and wakes only if that is the record just
 * committed. Here consumer_pos was stored, then comes a full fence, then the header is loaded. One
 * of the two sees the other's store: either the kernel wakes us, or we find the record here, for
 * which no wakeup will come, and make the reader's fd readable ourselves. Only a reader that may be
 * parked needs it: one that is not will look before it parks, behind the fence there. Who commits
 * is who reads, and knows without a fence that he is not parked; a worker who releases does not.
 * Nor does a paced ring need it: its reader parks with a timer.
 */
static void look_again(rbc_ring *self) {
    rbc_wait *wait = &self->reader->wait;
    if (self->reader->is_release || is_parked(wait)) {
        rbc_full_fence();
        if (is_parked(wait) && !rbc_ring_is_paced(self) && rbc_ring_has_record(self)) {
            rbc_wait_wake(wait);
        }
    }
}

/*
 * Records up to `position` were given back. By one thread at a time, which then looks again
 * (look_again), if it can before it does anything else.
 */
static void advance_to(rbc_ring *self, uint64_t position) {
    atomic_store_explicit(&self->user_pos, position, memory_order_release);
    atomic_fetch_add_explicit(&self->reader->commits, 1, memory_order_relaxed);
    publish(self, position, position_to_publish(self, position));
}

/* Publishes what was held back, if the ring is armed by now or has more that was handed out. */
static bool publish_held_back(rbc_ring *self) {
    uint64_t user_pos = rbc_get(&self->user_pos);
    if (self->published_pos == user_pos) {
        return false;
    }
    publish(self, user_pos, position_to_publish(self, user_pos));
    return true;
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
        advance_to(self, end);
        look_again(self);
    }
}

/* Whether *record is one that is handed out and not committed, as far as can be told. */
static bool is_uncommitted(const rbc_ring *ring, const rbcore_record *record) {
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
    for (unsigned i = 0; i < self->ring_count; i++) {
        commit_to(self->rings[i], self->rings[i]->handed_end);
    }
    self->turns.count = 0;
}

/*
 * Commits the turn, or its part up to `end` where the record that ends there was handed out in it.
 * Returns whether that was so.
 */
static bool commit_turn(rbc_ring *ring, const rbc_turn *turn, uint16_t last_ring, uint64_t end) {
    uint64_t user_pos = rbc_get(&ring->user_pos);
    if (turn->end - user_pos > ring->mapping.data_size) {
        return false; /* a hostile producer discarded what was handed out: it was passed already */
    }
    bool is_last = turn->ring == last_ring && turn->end - user_pos >= end - user_pos;
    commit_to(ring, is_last ? end : turn->end);
    return is_last;
}

/* Commits the turns before the one in which *last was handed out, and of that one its part. */
static void commit_up_to(rbcore_reader *self, const rbcore_record *last) {
    rbc_turns *turns = &self->turns;
    const uint64_t end = end_of(last);
    for (bool found = false; !found && turns->count > 0;) {
        const rbc_turn turn = *turn_at(turns, 0);
        rbc_ring *ring = rbc_reader_ring(self, turn.ring);
        found = ring != NULL && commit_turn(ring, &turn, last->ring, end);
        if (found && turn.end != end) {
            return;
        }
        turns->first = (turns->first + 1) % turns->capacity;
        turns->count--;
    }
}

/* RBCORE_COMMIT_NOW: the kernel is to know at once. */
static void publish_everything(rbcore_reader *self) {
    for (unsigned i = 0; i < self->ring_count; i++) {
        rbc_ring *ring = self->rings[i];
        uint64_t user_pos = rbc_get(&ring->user_pos);
        if (ring->published_pos != user_pos) {
            publish(ring, user_pos, user_pos);
        }
    }
}

static int commit(rbcore_reader *self, const rbcore_record *last) {
    if (last == NULL) {
        commit_everything(self);
        return 0;
    }
    const rbc_ring *ring = rbc_reader_ring(self, last->ring);
    if (ring == NULL || !is_uncommitted(ring, last)) {
        return rbc_reader_fail(self, -EINVAL, "commit: no uncommitted record of ring %u is at %llu",
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
        return rbc_reader_fail(self, -EINVAL, "commit on a reader opened for release");
    }
    if (flags & ~RBCORE_COMMIT_NOW) {
        return rbc_reader_fail(self, -EINVAL, "commit: unknown flags 0x%x", flags);
    }
    error = commit(self, last);
    if (error == 0 && flags & RBCORE_COMMIT_NOW) {
        publish_everything(self);
    }
    return error;
}

/* ---- Release ---- */

/*
 * A set bit says that the record whose header starts at its 8 bytes is held. The reading thread
 * sets it before the record is handed out, whoever releases the record clears it. So a record that
 * is released twice is noticed, and the finished prefix ends at the first bit: no header is read,
 * which a hostile producer could have changed.
 */
static size_t held_bit(const rbc_ring *self, uint64_t position) {
    return (position & (self->mapping.data_size - 1)) / 8;
}

/* Marks records as held, with one atomic operation for those that share a word. */
static void hold(rbc_ring *self, const rbcore_record *records, size_t count) {
    size_t word = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bit = held_bit(self, records[i].position);
        if (bit / 64 != word) {
            if (bits != 0) {
                atomic_fetch_or_explicit(&self->held[word], bits, memory_order_relaxed);
            }
            word = bit / 64;
            bits = 0;
        }
        bits |= UINT64_C(1) << bit % 64;
    }
    if (bits != 0) {
        atomic_fetch_or_explicit(&self->held[word], bits, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&self->refs, count, memory_order_relaxed);
}

/* Clears the record's bit. Returns whether it was held. */
static bool let_go(rbc_ring *self, const rbcore_record *record) {
    uint64_t user_pos = atomic_load_explicit(&self->user_pos, memory_order_acquire);
    uint64_t read_pos = atomic_load_explicit(&self->read_pos, memory_order_acquire);
    if (record->position % 8 != 0 || record->position - user_pos >= read_pos - user_pos) {
        return false;
    }
    if (!rbc_ring_is_data_of(self, record->data, record->position)) {
        return false; /* of another reader's ring */
    }
    size_t bit = held_bit(self, record->position);
    uint64_t mask = UINT64_C(1) << bit % 64;
    /* Release: what the caller did with the data stays before the space is free for producers. */
    uint64_t old = atomic_fetch_and_explicit(&self->held[bit / 64], ~mask, memory_order_acq_rel);
    return (old & mask) != 0;
}

/* The position of the first held record in [from, to), or to. */
static uint64_t first_held(const rbc_ring *self, uint64_t from, uint64_t to) {
    while (from != to) {
        size_t bit = held_bit(self, from);
        uint64_t left = (to - from) / 8, in_word = 64 - bit % 64;
        uint64_t word = atomic_load_explicit(&self->held[bit / 64], memory_order_acquire);
        word >>= bit % 64;
        if (word != 0) {
            uint64_t ahead = (uint64_t)__builtin_ctzll(word);
            return ahead < left ? from + 8 * ahead : to;
        }
        from += 8 * (in_word < left ? in_word : left);
    }
    return to;
}

/*
 * What the thread at work does, until it has seen all releases. It starts again only for a release
 * that came meanwhile, so no more often than records are held.
 */
static void work_on_releases(rbc_ring *self) {
    bool has_published = false;
    uint32_t seen = 1;
    do {
        seen = atomic_load(&self->advancing);
        uint64_t user_pos = rbc_get(&self->user_pos);
        uint64_t read_pos = atomic_load_explicit(&self->read_pos, memory_order_acquire);
        uint64_t position = first_held(self, user_pos, read_pos);
        if (position != user_pos) {
            advance_to(self, position);
            has_published = true;
        } else {
            has_published |= publish_held_back(self);
        }
    } while (!atomic_compare_exchange_strong(&self->advancing, &seen, 0));
    /* Not before: the reader that this wakes finds the work done, whatever its priority. */
    if (has_published) {
        look_again(self);
    }
}

/*
 * Advances over the finished prefix. Of several threads at once the first does the work for all:
 * the others only raise the number, and it starts again until it has seen the last raise. So no
 * thread waits for another, and no release goes unnoticed.
 */
static void advance_over_released(rbc_ring *self) {
    /* What led here (a cleared bit, a ring made armed) is seen by the thread that is at work. */
    if (atomic_fetch_add(&self->advancing, 1) == 0) {
        work_on_releases(self);
    }
}

/*
 * Takes the place of the thread at work, unless one is. It does not wait for that one: the caller
 * can be what keeps it from the processor.
 */
bool rbc_ring_stop_releases(rbc_ring *self) {
    uint32_t idle = 0;
    return !self->reader->is_release || atomic_compare_exchange_strong(&self->advancing, &idle, 1);
}

/* Does what was left undone meanwhile. */
void rbc_ring_resume_releases(rbc_ring *self) {
    if (self->reader->is_release) {
        work_on_releases(self);
    }
}

/* Releases the leading records that are of one ring. Returns how many of them were held. */
static size_t release_run(rbc_ring *ring, const rbcore_record *records, size_t count) {
    size_t released = 0;
    for (size_t i = 0; i < count; i++) {
        released += let_go(ring, &records[i]);
    }
    if (released > 0) {
        advance_over_released(ring);
        rbc_ring_put(ring, released);
    }
    return released;
}

int rbcore_reader_release(rbcore_reader *self, const rbcore_record *records, size_t count) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (!self->is_release || (records == NULL && count != 0)) {
        return -EINVAL;
    }
    /* The last release of a reader that was freed ends it: not before we are done with it. */
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    size_t released = 0;
    for (size_t i = 0; i < count;) {
        size_t run = 1;
        while (i + run < count && records[i + run].ring == records[i].ring) {
            run++;
        }
        rbc_ring *ring = rbc_reader_ring(self, records[i].ring);
        if (ring != NULL) {
            released += release_run(ring, records + i, run);
        }
        i += run;
    }
    rbc_reader_put(self);
    return released == count ? 0 : -EINVAL;
}

/* ---- What a scan found ---- */

bool rbc_ring_has_held(const rbc_ring *self) {
    return rbc_get(&self->user_pos) != rbc_get(&self->read_pos);
}

void rbc_ring_publish(rbc_ring *self) {
    if (self->reader->is_release) {
        advance_over_released(self);
    } else if (publish_held_back(self)) {
        look_again(self);
    }
}

void rbc_ring_jump(rbc_ring *self, uint64_t position) {
    atomic_store_explicit(&self->last_pos, position, memory_order_relaxed);
    atomic_store_explicit(&self->read_pos, position, memory_order_release);
    self->handed_end = position;
    advance_to(self, position);
    rbc_ring_resume_releases(self);
    look_again(self);
}

void rbc_ring_handed_out(rbc_ring *self, const rbc_passed *passed) {
    bool is_release = self->reader->is_release;
    bool nothing_held = !is_release && rbc_get(&self->user_pos) == self->handed_end;
    uint64_t before = rbc_get(&self->read_pos);
    if (passed->count > 0 && is_release) {
        hold(self, passed->records, passed->count);
    }
    atomic_store_explicit(&self->last_pos, passed->last, memory_order_relaxed);
    /* Release: whoever sees the position sees the bits of the records before it. */
    atomic_store_explicit(&self->read_pos, passed->position, memory_order_release);
    if (passed->count > 0) {
        self->handed_end = passed->end;
        if (!is_release) {
            note_turn(&self->reader->turns, self->index, self->handed_end);
        }
        /* The record that was held back has done its part: consumer_pos can be that of one that is
         * complete already. */
        if (rbc_ring_is_paced(self)) {
            rbc_ring_publish(self);
        }
        return;
    }
    /* Discarded records alone are nobody's to give back, unless after some that are held. */
    if (passed->position != before && is_release) {
        advance_over_released(self);
    } else if (passed->position != before && nothing_held) {
        self->handed_end = passed->position;
        advance_to(self, passed->position);
        look_again(self);
    }
}
