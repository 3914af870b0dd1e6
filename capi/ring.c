/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "inline.h"
#include "kind.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * This holds for a 32-bit process, too: the kernel counts in 64 bits, and a lock would be none for
 * it.
 */
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "positions are loaded and stored as a whole");

/* Whether a reader could have stopped at `position`: a boundary between complete records. */
static bool is_reachable(const rbc_ring *self, uint64_t from, uint64_t position,
                         uint64_t producer) {
    while (from != position) {
        uint32_t length = rbc_load_length(rbc_ring_header(self, from));
        uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
        if ((length & RBC_BUSY) || span > position - from || span > producer - from) {
            return false;
        }
        from += span;
    }
    return true;
}

void rbc_ring_start_at(rbc_ring *self, uint64_t start, uint64_t consumer) {
    atomic_init(&self->read_pos, start);
    atomic_init(&self->user_pos, start);
    atomic_init(&self->last_pos, start);
    self->published_pos = consumer;
    self->handed_end = start;
    self->last_span = RBC_HEADER_SIZE;
    self->start_pos = start;
}

int rbc_ring_load_positions(rbc_ring *self, uint64_t committed) {
    uint64_t consumer = atomic_load_explicit(self->consumer_pos, memory_order_relaxed);
    uint64_t producer = rbc_ring_load_producer_pos(self);
    if (consumer % 8 != 0 || producer % 8 != 0 || producer - consumer > self->mapping.data_size) {
        return -EBADMSG;
    }
    bool goes_on = committed != 0 && committed - consumer <= producer - consumer &&
                   is_reachable(self, consumer, committed, producer);
    rbc_ring_start_at(self, goes_on ? committed : consumer, consumer);
    return 0;
}

/* user_pos is loaded after producer_pos: a producer cannot be ahead of what it was given. */
static bool producer_pos_is_possible(const rbc_ring *self, uint64_t producer, uint64_t read_pos) {
    uint64_t user_pos = atomic_load_explicit(&self->user_pos, memory_order_relaxed);
    return producer % 8 == 0 && producer - read_pos <= self->mapping.data_size &&
           producer - user_pos <= self->mapping.data_size;
}

/* The place where a scan is, by addresses: the next one needs only an addition, not a mask. */
typedef struct walk {
    unsigned char *header;   /* of the record to look at, in the first copy of the data */
    unsigned char *producer; /* where producer_pos is, perhaps in the second copy */
    unsigned char *limit;    /* what is handed out ends here at the latest */
    unsigned char *wrap;     /* end of the first copy */
    uint64_t shift;          /* position of a header = shift + its address */
    uint64_t last_span;      /* bytes of the record passed last; 0: none was */
    uint64_t largest;        /* bytes of the largest record passed */
    uint64_t tail;           /* bytes of the discarded records after the one handed out last */
    uint64_t bytes;          /* of data handed out */
    uint64_t discards;       /* passed */
} walk;

/* A turn takes at most this part of the ring: producers have the rest while it is handled. */
#define TURN_PART 4

static walk walk_from(const rbc_ring *self, uint64_t position, uint64_t producer) {
    unsigned char *header = (unsigned char *)rbc_ring_header(self, position);
    const uint64_t there = producer - position, most = self->mapping.data_size / TURN_PART;
    return (walk){.header = header,
                  .producer = header + there,
                  .limit = header + (there < most ? there : most),
                  .wrap = self->mapping.data + self->mapping.data_size,
                  .shift = position - (uintptr_t)header,
                  .largest = rbc_get(&self->largest_span)};
}

static uint64_t walk_position(const walk *at) {
    return at->shift + (uintptr_t)at->header;
}

/* On to the record after one of `span` bytes that ends at `header`. */
static inline void walk_to(walk *at, unsigned char *header, uint64_t span, size_t data_size) {
    at->header = header;
    at->last_span = span;
    if (__builtin_expect(header >= at->wrap, false)) {
        at->header -= data_size;
        at->producer -= data_size;
        at->limit -= data_size;
        at->shift += data_size;
    }
}

static_assert(offsetof(rbcore_record, ring) == offsetof(rbcore_record, size) + 4 &&
                  offsetof(rbcore_record, flags) == offsetof(rbcore_record, size) + 6,
              "size, ring and flags are one word");

/* The size, ring and flags of a record in one word: stores are what limits the loop below. */
static inline uint64_t size_in_rest(uint32_t size) {
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? size : (uint64_t)size << 32;
}

static inline uint64_t rest_without_size(const rbc_ring *ring) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint64_t)ring->record_flags << 48 | (uint64_t)ring->index << 32;
#else
    return (uint64_t)ring->index << 16 | ring->record_flags;
#endif
}

/*
 * Records before this address may be handed out without a look at the wrap. And it is so close that
 * the length of a flagged record (BUSY, DISCARD) is more than what is left: one comparison finds
 * all that is not an ordinary record.
 */
static inline unsigned char *end_of_ordinary(const walk *at) {
    unsigned char *end = at->limit < at->wrap ? at->limit : at->wrap;
    return (uint64_t)(end - at->header) < RBC_DISCARD
               ? end
               : at->header + (RBC_DISCARD - RBC_HEADER_SIZE);
}

/*
 * Hands out the record at `at`, which is complete and in bounds, and those after it, at most max,
 * until one that is not ordinary. Returns how many.
 *
 * Finding the next header needs this one's length: a chain of dependent loads, each perhaps a cache
 * miss. In a run of equal headers the next address depends on a branch, which is predicted, and not
 * on the load: the processor runs ahead. And a header that is equal as a whole needs no test of its
 * flags, nor of its bounds, which are those of the run.
 */
static inline size_t hand_out(const rbc_ring *self, walk *at, uint32_t length,
                              rbcore_record *record, size_t max) {
    const uint64_t rest = rest_without_size(self);
    rbcore_record *const first = record, *const full = record + max;
    unsigned char *const end = end_of_ordinary(at), *header = at->header;
    uint64_t span = 0, next = rbc_record_span(length), bytes = 0;
    do {
        const uint64_t rest_of_run = rest | size_in_rest(length);
        const unsigned char *const last = end - next;
        span = next;
        at->largest = span > at->largest ? span : at->largest;
        do {
            record->data = header + RBC_HEADER_SIZE;
            record->position = at->shift + (uintptr_t)header;
            memcpy((unsigned char *)record + offsetof(rbcore_record, size), &rest_of_run,
                   sizeof(rest_of_run));
            bytes += length;
            record++;
            header += span;
        } while (record != full && header <= last && rbc_load_length(header) == length);
        if (record == full || header >= end) {
            break;
        }
        length = rbc_load_length(header);
        next = rbc_record_span(length);
    } while (next <= (uint64_t)(end - header));
    at->bytes += bytes;
    walk_to(at, header, span, self->mapping.data_size);
    return (size_t)(record - first);
}

/* The same as one span, which may go on in the second copy of the data. */
static inline size_t hand_out_span(const rbc_ring *self, walk *at, uint32_t length,
                                   rbcore_span *out, size_t max) {
    const uint64_t span = rbc_record_span(length);
    const unsigned char *const last = at->limit - span;
    unsigned char *header = at->header;
    size_t count = 0;
    do {
        count++;
        header += span;
    } while (count != max && header <= last && rbc_load_length(header) == length);
    *out = (rbcore_span){.data = at->header + RBC_HEADER_SIZE,
                         .position = walk_position(at),
                         .stride = (uint32_t)span,
                         .size = length,
                         .count = (uint32_t)count,
                         .ring = self->index,
                         .flags = self->record_flags};
    at->largest = span > at->largest ? span : at->largest;
    at->bytes += (uint64_t)count * length;
    walk_to(at, header, span, self->mapping.data_size);
    return count;
}

/*
 * Passes a discarded record (RBC_SCAN_FULL), or tells why what is there is no record to hand out.
 */
static rbc_scan_end pass_flagged(rbc_ring *self, walk *at, uint32_t length, rbc_scan *scan) {
    const uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
    if (length & RBC_BUSY) {
        self->head_is_busy = true;
        return RBC_SCAN_EMPTY;
    }
    if (span > (uint64_t)(at->producer - at->header)) {
        return RBC_SCAN_BROKEN;
    }
    at->largest = span > at->largest ? span : at->largest;
    if (scan->skips_left == 0) {
        return RBC_SCAN_BOUND;
    }
    scan->skips_left--;
    at->discards++;
    rbc_count(&self->passed_bytes, span);
    at->tail += span;
    walk_to(at, at->header + span, span, self->mapping.data_size);
    return RBC_SCAN_FULL;
}

/*
 * Compiled once for records and once for spans: what the caller does not ask for costs nothing. The
 * state is in locals, because for all the compiler knows a store for the user may change what is in
 * memory.
 */
static RBC_INLINE rbc_scan_end walk_over(rbc_ring *self, rbc_scan *scan, walk *from,
                                         bool by_spans) {
    walk at = *from;
    rbcore_record *record = by_spans ? NULL : scan->records + scan->count;
    size_t spans = 0;
    size_t left = scan->max - scan->count;
    rbc_scan_end why = RBC_SCAN_FULL;
    while (left > 0) {
        if (at.header == at.producer) {
            why = RBC_SCAN_EMPTY;
            break;
        }
        uint32_t length = rbc_load_length(at.header);
        uint64_t span = rbc_record_span(length);
        if (__builtin_expect((length & (RBC_BUSY | RBC_DISCARD)) != 0, 0)) {
            walk copy = at; /* an address of `at` itself would put it into memory */
            why = pass_flagged(self, &copy, length, scan);
            at = copy;
            if (why == RBC_SCAN_FULL) {
                continue;
            }
            break;
        }
        /* (Discarded records may have been passed beyond the limit.) */
        if (__builtin_expect((int64_t)span > at.limit - at.header, 0)) {
            if (span > (uint64_t)(at.producer - at.header)) {
                why = RBC_SCAN_BROKEN;
                break;
            }
            if (left < scan->max - scan->count) {
                break;
            }
            at.limit = at.header + span; /* the turn's first record, however large */
        }
        if (by_spans && spans == scan->spans_left) {
            break;
        }
        size_t count;
        if (by_spans) {
            count = hand_out_span(self, &at, length, &scan->spans[spans++], left);
        } else {
            count = hand_out(self, &at, length, record, left);
            record += count;
        }
        at.tail = 0;
        left -= count;
    }
    scan->count = scan->max - left;
    if (by_spans) {
        scan->spans += spans;
        scan->spans_left -= spans;
    }
    *from = at;
    return why;
}

static rbc_scan_end walk_records(rbc_ring *self, rbc_scan *scan, walk *at) {
    return scan->spans == NULL ? walk_over(self, scan, at, false) : walk_over(self, scan, at, true);
}

static void note_filled(rbc_ring *self, uint64_t filled) {
    if (filled > rbc_get(&self->high_water)) {
        atomic_store_explicit(&self->high_water, filled, memory_order_relaxed);
    }
    if (filled >= self->mapping.data_size / 2) {
        self->pace.was_half_full = true;
    } else if (self->pace.drained) {
        self->pace.was_half_full = false;
    }
}

rbc_scan_end rbc_ring_scan(rbc_ring *self, rbc_scan *scan, rbc_passed *passed) {
    self->head_is_busy = false;
    /* The header's cache line is another processor's, like that of producer_pos: ask for both at
     * once. */
    __builtin_prefetch(rbc_ring_header(self, rbc_get(&self->read_pos)));
    uint64_t producer = self->kind->find_end(self), start = rbc_get(&self->read_pos);
    bool broken = atomic_load_explicit(&self->broken, memory_order_relaxed);
    passed->position = start;
    if (producer == start && !broken) {
        self->pace.drained = true;
        return RBC_SCAN_EMPTY;
    }
    if (broken || !producer_pos_is_possible(self, producer, start)) {
        atomic_store_explicit(&self->broken, true, memory_order_relaxed);
        return RBC_SCAN_BROKEN;
    }
    note_filled(self, producer - rbc_get(&self->user_pos));
    walk at = walk_from(self, start, producer);
    rbcore_span *const first_span = scan->spans;
    size_t first = scan->count;
    rbc_scan_end why = walk_records(self, scan, &at);
    size_t found = scan->count - first;
    if (self->kind->end_scan != NULL) {
        uint16_t *flags = first_span != NULL ? &first_span->flags : &scan->records[first].flags;
        why = self->kind->end_scan(self, why, walk_position(&at), found > 0 ? flags : NULL);
    }
    if (why == RBC_SCAN_BROKEN) {
        atomic_store_explicit(&self->broken, true, memory_order_relaxed);
    }
    atomic_store_explicit(&self->largest_span, at.largest, memory_order_relaxed);
    scan->bytes += at.bytes;
    rbc_count(&self->records, found);
    rbc_count(&self->bytes, at.bytes);
    rbc_count(&self->discards, at.discards);
    uint64_t position = walk_position(&at);
    self->busy_scans = self->head_is_busy && position == start ? self->busy_scans + 1 : 0;
    self->pace.drained = why == RBC_SCAN_EMPTY;
    uint64_t last = at.last_span > 0 ? position - at.last_span : rbc_get(&self->last_pos);
    self->last_span = found > 0 ? at.last_span : self->last_span;
    *passed = (rbc_passed){.first = first,
                           .count = found,
                           .end = position - at.tail,
                           .last = last,
                           .position = position};
    return why;
}

rbc_passed rbc_ring_skip_to_latest(rbc_ring *self) {
    uint64_t producer = self->kind->find_end(self), position = rbc_get(&self->read_pos);
    uint64_t last = position;
    if (!producer_pos_is_possible(self, producer, position)) {
        return (rbc_passed){.position = position}; /* the first scan will say so */
    }
    while (position != producer) {
        uint32_t length = rbc_load_length(rbc_ring_header(self, position));
        uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
        /* A record that is being written must stay: its producer still needs the space. What is
         * impossible is left for the first scan to report. */
        if ((length & RBC_BUSY) || span > producer - position) {
            break;
        }
        last = position;
        position += span;
        rbc_count(&self->skipped, 1);
        rbc_count(&self->passed_bytes, span);
    }
    return (rbc_passed){.last = last, .position = position};
}
