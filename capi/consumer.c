/* SPDX-License-Identifier: MIT */
#include "consumer.h"

#include "fence.h"
#include "kind.h"
#include "reader.h"

/* ---- Whether there is something to read ---- */

/*
 * A worker looks when it is done with its releases. By then another worker may have released what
 * stood at `position`, and a producer may be writing there. Nothing is missed: the other worker
 * looks again as well, later. ThreadSanitizer must not see this load.
 */
#ifdef RBCORE_THREAD_SANITIZER
__attribute__((no_sanitize("thread"), noinline))
#endif
static uint32_t peek_length(const rbc_ring *self, uint64_t position) {
    return atomic_load_explicit(&rbc_ring_header(self, position)->length, memory_order_acquire);
}

bool rbc_consumer_has_record_in_place(rbc_ring *self) {
    uint64_t position = atomic_load_explicit(&self->read_pos, memory_order_acquire);
    return rbc_ring_load_producer_pos(self) != position &&
           !(peek_length(self, position) & RBC_BUSY);
}

/* ---- Publishing ---- */

/*
 * A record is not held back in a ring that is less empty than this, or whose records are so large
 * that few of them fit: it would take space that producers may need.
 */
#define EMPTY_PART 2
#define LARGEST_PART 4

/*
 * The position to publish: everything that was given back, except the last record of a paced ring.
 * Holding that one back keeps consumer_pos away from where the next record comes, so no producer
 * pays for a wakeup. While the user holds records this is not needed: the first of them has the
 * same effect.
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
 * Tells the producers which space is free. The store pairs with smp_load_acquire(&rb->consumer_pos)
 * in the kernel's __bpf_ringbuf_reserve(). The position that was really committed is stored before,
 * where a successor finds it: a reader that is killed between the two has delivered nothing that
 * comes again.
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
 * The second look keeps wakeups from getting lost. The kernel's bpf_ringbuf_commit() does
 * xchg(header), a full barrier, then loads consumer_pos, and wakes only if that is the record just
 * committed. Here consumer_pos was stored, then comes a full fence, then the header is loaded. One
 * of the two sees the other's store. Either the kernel wakes the reader, or the record is found
 * here: no wakeup will come for it, so the reader's fd is made readable here.
 *
 * Only a reader that may be parked needs this. One that is not parked looks before it parks, behind
 * the fence in look_parked (read.c). The thread that commits also reads, so it knows without a
 * fence that it is not parked; a worker that releases does not know. A paced ring needs no second
 * look, because its reader parks with a timer.
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
 * Records up to `position` were given back. One thread at a time does this, and then looks again
 * (look_again), if possible before it does anything else. The release store of user_pos pairs with
 * the acquire load in free_space (shadow.c): the user is done with what is before it.
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

void rbc_consumer_advance(rbc_ring *self, uint64_t position) {
    advance_to(self, position);
    look_again(self);
}

void rbc_consumer_publish_all(rbc_ring *self) {
    uint64_t user_pos = rbc_get(&self->user_pos);
    if (self->published_pos != user_pos) {
        publish(self, user_pos, user_pos);
    }
}

/* ---- Released records ---- */

/* The position of the first held record in [from, to), or to. */
static uint64_t first_held(const rbc_ring *self, uint64_t from, uint64_t to) {
    while (from != to) {
        size_t bit = rbc_consumer_held_bit(self, from);
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
 * Advances until all releases were seen. The loop runs again only for a release that came
 * meanwhile, so no more often than records are held.
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
    /* This comes last: the reader that it wakes finds the work done, whatever its priority. */
    if (has_published) {
        look_again(self);
    }
}

/*
 * If several threads come here at once, the first does the work for all. The others only raise
 * `advancing`, and the first goes on until it has seen the last raise. So no thread waits for
 * another, and no release goes unnoticed.
 */
void rbc_consumer_pass_released(rbc_ring *self) {
    /* The thread at work sees what led here: a cleared bit, or that the ring was made armed. */
    if (atomic_fetch_add(&self->advancing, 1) == 0) {
        work_on_releases(self);
    }
}

/*
 * Takes the place of the thread at work, unless there is one. It does not wait for that thread: the
 * caller may be what keeps it from the processor.
 */
bool rbc_consumer_stop_releases(rbc_ring *self) {
    uint32_t idle = 0;
    return !self->reader->is_release || atomic_compare_exchange_strong(&self->advancing, &idle, 1);
}

void rbc_consumer_resume_releases(rbc_ring *self) {
    if (self->reader->is_release) {
        work_on_releases(self);
    }
}

/* ---- For the reading thread ---- */

void rbc_consumer_publish(rbc_ring *self) {
    if (self->reader->is_release) {
        rbc_consumer_pass_released(self);
    } else if (publish_held_back(self)) {
        look_again(self);
    }
}

void rbc_consumer_jump(rbc_ring *self, uint64_t position) {
    atomic_store_explicit(&self->last_pos, position, memory_order_relaxed);
    /* Release: pairs with the acquire load of read_pos in work_on_releases and has_record. */
    atomic_store_explicit(&self->read_pos, position, memory_order_release);
    self->handed_end = position;
    advance_to(self, position);
    rbc_consumer_resume_releases(self);
    look_again(self);
}
