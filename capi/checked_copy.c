/* SPDX-License-Identifier: MIT */
#include "checked_copy.h"

#include "fence.h"
#include "layout.h"

#include <string.h>

/*
 * The order in which each kind of producer works
 *
 * Call P the producer_pos before a reserve, and E the end of what is reserved. Each producer, under
 * its lock:
 *   1. loads consumer_pos (acquire), which must leave space       (normal ring)
 *      or stores overwrite_pos, past all that is given up for it  (overwrite mode)
 *   2. writes the 8 bytes of the header at P, BUSY
 *   3. stores producer_pos = E, with release
 * and writes anything else only after that, up to E. Nobody writes beyond E. So of what stands
 * beyond producer_pos only the 8 bytes at P can be other than the ring's last lap left them.
 *   - The kernel does it so in reserve and in bpf_ringbuf_output(). Step 3 does not hold back what
 *     is written after it.
 *   - A memory ring does the same in reserve and output. In overwrite mode a store fence follows 1.
 *   - A memory ring's output_batch does the same: all its records are one for as long as they are
 *     written. A store fence follows 3.
 *   - A producer that dies leaves what it wrote. Before 3 that is a header at P, which the next one
 *     overwrites; after it a BUSY record up to E, a batch as one. Nothing takes a step back: what a
 *     reader skips, or rbc_reserve_discard_blocker discards, keeps its length, and a finished
 *     record changes its header's flags alone (a batch its length as well, when it is complete).
 *   - A peer that writes otherwise is hostile. Copies are bounded by the ring's size whatever the
 *     positions and headers say; nothing is promised of what is in them.
 *   - User rings are not copied: the kernel alone reads them, up to producer_pos.
 *
 * Why a copy is valid
 *
 * Call p a position that was copied, and q = p + size the one that shares its place. Here the copy
 * is loaded, then comes a full fence, then the positions are loaded. Let the copy have seen
 * anything that was written at q: then q < E of some reserve, of which 1 found or made the oldest
 * position after p.
 *
 * Overwrite mode, x86: stores become visible in order, so the store of overwrite_pos is visible as
 * well, and loads are done in order: overwrite_pos is found to be after p.
 *
 * Normal ring: either of two is enough.
 *   - consumer_pos. Its store was seen by the producer before it wrote (load-acquire, then the
 *     store), and what it wrote was seen by us: it is found to be after p. So with consumer_pos
 *     not after p nothing was overwritten; on any processor.
 *   - producer_pos. On x86 it was stored before all that is written after 3, so for that it is
 *     found to be after q. Only the 8 bytes of 2 come before it. So with producer_pos + 8 not after
 *     q nothing was overwritten, also where the consumer is already further.
 *
 * Processors that reorder stores (arm64): neither overwrite_pos nor producer_pos holds back what
 * its producer stores later, header and data. But the lock does: when anything of the next
 * reserve is visible, all positions of the one before are. So one reserve at most is ahead of the
 * producer_pos that we find, and nothing is written further than the span of its record: with
 * producer_pos + span not after q nothing was overwritten. The span is not known; a quarter of the
 * ring stands for it (MARGIN_PART). Records in a ring that is looked at so, larger than that, can
 * be torn on such a processor; documentation says so. The fences of memory rings' producers make up
 * for it: in overwrite mode no margin is needed for them, and a batch may be as large as the ring.
 *
 * Completeness: the header without BUSY is loaded (acquire) before the copy begins, or pending_pos
 * is, which the kernel stores after it saw such headers: the data that belongs to it is visible.
 *
 * "After" is meant by signed differences. overwrite_pos and consumer_pos may be after a
 * producer_pos that was loaded before them.
 */
#define MARGIN_PART 4

#if (defined(__x86_64__) || defined(__i386__)) && !defined(RBCORE_WEAK_ORDER)
#define STORES_IN_ORDER 1
#else
#define STORES_IN_ORDER 0 /* RBCORE_WEAK_ORDER: for tests of that on x86 */
#endif

static uint64_t margin_of(size_t data_size, bool is_overwrite, bool is_memory) {
    if (is_overwrite && (is_memory || STORES_IN_ORDER)) {
        return 0;
    }
    return STORES_IN_ORDER ? RBC_HEADER_SIZE : data_size / MARGIN_PART;
}

rbc_copy_source rbc_copy_source_of(const rbc_mapping *mapping, bool is_overwrite, bool is_memory) {
    const _Atomic uint64_t *produced = (const _Atomic uint64_t *)(void *)mapping->producer_page;
    return (rbc_copy_source){.mapping = mapping,
                             .consumer_pos =
                                 (const _Atomic uint64_t *)(void *)mapping->consumer_page,
                             .producer_pos = &produced[0],
                             .pending_pos = &produced[1],
                             .overwrite_pos = is_overwrite ? &produced[2] : NULL,
                             .margin = margin_of(mapping->data_size, is_overwrite, is_memory)};
}

static uint64_t load(const _Atomic uint64_t *position) {
    return atomic_load_explicit(position, memory_order_acquire);
}

uint64_t rbc_copy_oldest(const rbc_copy_source *self) {
    return load(self->overwrite_pos != NULL ? self->overwrite_pos : self->consumer_pos);
}

/*
 * Others may write what is read here at this moment. The language has no word for that; the look
 * afterwards makes it right. ThreadSanitizer must not see it.
 */
#ifdef RBCORE_THREAD_SANITIZER
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
UNSEEN static void copy(void *to, const void *from, size_t bytes) {
    volatile uint64_t *target = to;
    const volatile uint64_t *source = from;
    for (size_t i = 0; i < bytes / sizeof(*target); i++) {
        target[i] = source[i];
    }
}
#else
#define UNSEEN
static void copy(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
}
#endif

/* Pairs with the xchg() of the header in the kernel's bpf_ringbuf_commit(). */
UNSEEN uint32_t rbc_copy_length(const rbc_copy_source *self, uint64_t position) {
    return atomic_load_explicit(&rbc_header_at(self->mapping, position)->length,
                                memory_order_acquire);
}

UNSEEN uint32_t rbc_copy_token(const rbc_copy_source *self, uint64_t position) {
    return atomic_load_explicit(&rbc_header_at(self->mapping, position)->token,
                                memory_order_relaxed);
}

/*
 * All records before pending_pos are complete: the kernel moves it, under its lock, over headers
 * that it saw without BUSY. But it does so only when the next record is reserved, and older kernels
 * leave it 0. So what follows it, or everything, is looked at record by record. pending_pos is
 * loaded first: it never passes the producer_pos that is loaded later. The walk is bounded by that:
 * each step is 8 bytes or more.
 */
rbc_copy_end rbc_copy_find_end(const rbc_copy_source *self, uint64_t from) {
    uint64_t pending = load(self->pending_pos), producer = load(self->producer_pos);
    uint64_t at = from;
    /* An atomic load from an odd place is a fault on arm64. */
    bool is_aligned = producer % 8 == 0 && from % 8 == 0;
    if (!is_aligned || producer - from > self->mapping->data_size) {
        return (rbc_copy_end){
            .position = from, .producer_pos = producer, .walked_from = from, .why = RBC_COPY_BAD};
    }
    if (pending % 8 == 0 && pending - from <= producer - from) {
        at = pending;
    }
    const uint64_t walked_from = at;
    rbc_copy_stop why = RBC_COPY_ALL;
    while (at != producer && why == RBC_COPY_ALL) {
        uint32_t length = rbc_copy_length(self, at);
        uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
        if (length & RBC_BUSY) {
            why = RBC_COPY_BUSY;
        } else if (span > producer - at) {
            why = RBC_COPY_BAD;
        } else {
            at += span;
        }
    }
    return (rbc_copy_end){
        .position = at, .producer_pos = producer, .walked_from = walked_from, .why = why};
}

/* Whether a place is further from being written than any producer can be, seen from `producer`. */
static bool is_past_margin(const rbc_copy_source *self, uint64_t position, uint64_t producer) {
    return !rbc_is_after(producer + self->margin, position + self->mapping->data_size);
}

static uint64_t valid_in_normal(const rbc_copy_source *self, uint64_t from) {
    if (is_past_margin(self, from, load(self->producer_pos))) {
        return from;
    }
    uint64_t consumer = load(self->consumer_pos);
    return rbc_is_after(consumer, from) ? consumer : from;
}

/*
 * The first record past the margin, found by walking over those before, which may be torn already.
 * The kernel's headers say in which page they are: one that was torn does not agree with the first,
 * or the first with the second. Then it is producer_pos, which bounds the walk.
 */
static uint64_t walk_past_margin(const rbc_copy_source *self, uint64_t at, uint64_t from,
                                 uint64_t producer) {
    const uint64_t page = self->mapping->page_size, mask = self->mapping->data_size - 1;
    uint32_t first_page = 0;
    for (uint64_t start = at; !is_past_margin(self, at, producer) || rbc_is_after(from, at);) {
        const rbc_header *header = rbc_header_at(self->mapping, at);
        uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
        uint32_t token = atomic_load_explicit(&header->token, memory_order_relaxed);
        uint32_t page_of_data = token - (uint32_t)((at & mask) / page);
        uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
        first_page = at == start ? page_of_data : first_page;
        if (length & RBC_BUSY || span > producer - at || page_of_data != first_page) {
            return producer;
        }
        at += span;
    }
    return at;
}

static uint64_t valid_in_overwritten(const rbc_copy_source *self, uint64_t from) {
    uint64_t producer = load(self->producer_pos), oldest = load(self->overwrite_pos);
    uint64_t valid = rbc_is_after(oldest, from) ? oldest : from;
    return self->margin == 0 || is_past_margin(self, valid, producer)
               ? valid
               : walk_past_margin(self, oldest, from, producer);
}

uint64_t rbc_copy_valid_from(const rbc_copy_source *self, uint64_t from) {
    rbc_full_fence();
    return self->overwrite_pos != NULL ? valid_in_overwritten(self, from)
                                       : valid_in_normal(self, from);
}

uint64_t rbc_copy_bytes(const rbc_copy_source *self, void *to, uint64_t from, size_t bytes) {
    copy(to, rbc_header_at(self->mapping, from), bytes);
    return rbc_copy_valid_from(self, from);
}
