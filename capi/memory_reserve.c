/* SPDX-License-Identifier: MIT */
#include "memory_reserve.h"

#include "fence.h"
#include "inline.h"
#include "layout.h"
#include "memory_ring.h"

#include <errno.h>

/* How often positions that seem impossible are loaded anew while they move. */
#define RETRIES 100

typedef struct positions {
    uint64_t oldest; /* consumer_pos or overwrite_pos: from here on the ring is in use */
    uint64_t producer;
} positions;

static positions load_positions(const rbc_mapping *mapping, bool overwrites) {
    rbc_producer_page *page = rbc_producer_page_of(mapping);
    _Atomic uint64_t *consumer_pos = (_Atomic uint64_t *)(void *)mapping->consumer_page;
    /* Acquire of consumer_pos: pairs with the reader's release, so the reader is done with the
     * space before it. (Overwriting waits for nobody: readers look at overwrite_pos after they
     * copied.) */
    uint64_t oldest = overwrites ? atomic_load_explicit(&page->overwrite_pos, memory_order_relaxed)
                                 : atomic_load_explicit(consumer_pos, memory_order_acquire);
    return (positions){.oldest = oldest,
                       .producer = atomic_load_explicit(&page->producer_pos, memory_order_acquire)};
}

static bool are_possible(positions at, size_t data_size) {
    return at.oldest % 8 == 0 && at.producer % 8 == 0 && at.producer - at.oldest <= data_size;
}

bool rbc_reserve_is_possible(const rbc_mapping *mapping, bool overwrites) {
    positions at = load_positions(mapping, overwrites);
    /* Without the lock the two may be of different moments, as long as the oldest still moves: not
     * for ever, if a hostile peer moves it. */
    for (int i = 0; i < RETRIES && !are_possible(at, mapping->data_size); i++) {
        positions again = load_positions(mapping, overwrites);
        if (again.oldest == at.oldest) {
            return false;
        }
        at = again;
    }
    return true;
}

/*
 * Moves pending_pos over the records that were completed, as the kernel does at the start of each
 * reserve, and returns it. It is out of place where the reader has passed it (skipping what a dead
 * producer left unfinished), or where somebody else set the positions: then from the oldest on.
 * *is_broken: it stands before something that no producer writes. The loop is bounded by the
 * records of a full ring: each step is 8 bytes or more, and none goes past the producer_pos that
 * was checked.
 */
static RBC_INLINE uint64_t update_pending(const rbc_mapping *mapping, positions at,
                                          bool *is_broken) {
    rbc_producer_page *page = rbc_producer_page_of(mapping);
    const uint64_t before = atomic_load_explicit(&page->pending_pos, memory_order_relaxed);
    bool is_in_place = before - at.oldest <= at.producer - at.oldest && before % 8 == 0;
    uint64_t pending = is_in_place ? before : at.oldest;
    *is_broken = false;
    while (pending != at.producer && !*is_broken) {
        /* Pairs with the full barrier of the submit (the kernel's xchg()). */
        uint32_t length =
            atomic_load_explicit(&rbc_header_at(mapping, pending)->length, memory_order_acquire);
        uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
        if (length & RBC_BUSY) {
            break;
        }
        *is_broken = span > at.producer - pending;
        pending += *is_broken ? 0 : span;
    }
    if (pending != before) {
        /* Release: a reader that sees the position sees the content of the records before it. */
        atomic_store_explicit(&page->pending_pos, pending, memory_order_release);
    }
    return pending;
}

/* Gives up the oldest records, whole ones, until one that ends at `next` fits. Ends at pending_pos
 * at the latest: each step is 8 bytes or more, and none goes past that. */
static int overwrite_oldest(const rbc_mapping *mapping, uint64_t oldest, uint64_t pending,
                            uint64_t next) {
    uint64_t position = oldest;
    while (next - position > mapping->data_size - 1) {
        uint32_t length =
            atomic_load_explicit(&rbc_header_at(mapping, position)->length, memory_order_relaxed);
        uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
        if (span > pending - position) {
            return -EBADMSG; /* (BUSY as well) not what was there when pending_pos passed it */
        }
        position += span;
    }
    if (position != oldest) {
        atomic_store_explicit(&rbc_producer_page_of(mapping)->overwrite_pos, position,
                              memory_order_relaxed);
        /* A reader that sees a byte of the new record sees that the old ones are gone: pairs with
         * the full fence in rbc_copy_valid_from. The kernel relies on its store-release of
         * producer_pos, which does not hold back the data after it. */
        rbc_store_fence();
    }
    return 0;
}

/* Inline, here and above: a record takes little more than this. */
static RBC_INLINE int find(const rbc_mapping *mapping, bool overwrites, rbc_free_space *out) {
    const positions at = load_positions(mapping, overwrites);
    if (!are_possible(at, mapping->data_size)) {
        return -EBADMSG;
    }
    bool is_broken;
    const uint64_t pending = update_pending(mapping, at, &is_broken);
    const uint64_t used = at.producer - (overwrites ? pending : at.oldest);
    const uint64_t most = mapping->data_size - RBC_HEADER_SIZE;
    *out = (rbc_free_space){.oldest = at.oldest,
                            .pending = pending,
                            .producer = at.producer,
                            .free = used < most ? most - used : 0,
                            .why_no_more = overwrites && is_broken ? -EBADMSG : -EAGAIN};
    return 0;
}

static inline int take(const rbc_mapping *mapping, bool overwrites, const rbc_free_space *space,
                       uint64_t span) {
    if (span > space->free) {
        return space->why_no_more;
    }
    return overwrites
               ? overwrite_oldest(mapping, space->oldest, space->pending, space->producer + span)
               : 0;
}

int rbc_reserve_one(const rbc_mapping *mapping, bool overwrites, uint64_t span,
                    uint64_t *producer) {
    rbc_free_space space;
    int error = find(mapping, overwrites, &space);
    if (error != 0) {
        return error;
    }
    *producer = space.producer;
    return take(mapping, overwrites, &space, span);
}

int rbc_reserve_find(const rbc_mapping *mapping, bool overwrites, rbc_free_space *out) {
    return find(mapping, overwrites, out);
}

int rbc_reserve_take(const rbc_mapping *mapping, bool overwrites, const rbc_free_space *space,
                     uint64_t span) {
    return take(mapping, overwrites, space, span);
}

bool rbc_reserve_blocker(const rbc_mapping *mapping, uint64_t *position, uint32_t *token) {
    rbc_producer_page *page = rbc_producer_page_of(mapping);
    *position = atomic_load_explicit(&page->pending_pos, memory_order_acquire);
    if (*position % 8 != 0) {
        return false;
    }
    rbc_header *header = rbc_header_at(mapping, *position);
    *token = atomic_load_explicit(&header->token, memory_order_relaxed);
    return atomic_load_explicit(&header->length, memory_order_relaxed) & RBC_BUSY;
}

bool rbc_reserve_discard_blocker(const rbc_mapping *mapping, uint64_t position, uint32_t token) {
    rbc_producer_page *page = rbc_producer_page_of(mapping);
    /* The place cannot be taken by another record as long as pending_pos stands there. If it does
     * not, another producer may be writing its data there. */
    if (atomic_load_explicit(&page->pending_pos, memory_order_relaxed) != position) {
        return false;
    }
    rbc_header *header = rbc_header_at(mapping, position);
    uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
    return atomic_load_explicit(&header->token, memory_order_relaxed) == token &&
           (length & RBC_BUSY) &&
           atomic_compare_exchange_strong_explicit(&header->length, &length,
                                                   (length & ~RBC_BUSY) | RBC_DISCARD,
                                                   memory_order_seq_cst, memory_order_relaxed);
}
