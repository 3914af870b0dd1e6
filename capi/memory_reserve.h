/* SPDX-License-Identifier: MIT */
/*
 * Space for a record in a memory ring. It is found as the kernel's __bpf_ringbuf_reserve() finds it
 * under its spin lock, by the same positions.
 *
 *   normal:      consumer_pos  <= pending_pos <= producer_pos,  producer_pos - consumer_pos < size
 *   overwriting: overwrite_pos <= pending_pos <= producer_pos, producer_pos - overwrite_pos < size
 *
 * pending_pos:   the records before it are complete. Only a reserve brings it up to date.
 * overwrite_pos: the oldest record whose place was not given to a new one.
 *
 * A producer may be killed between any two of the stores here: each leaves a ring of which all this
 * is true. (If overwrite_pos was moved for a record that never came, those before it are lost a
 * little early.)
 */
#ifndef RBC_MEMORY_RESERVE_H
#define RBC_MEMORY_RESERVE_H

#include "mapping.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether the positions are those of a ring, whatever moves them. */
bool rbc_reserve_is_possible(const rbc_mapping *mapping, bool overwrites);

/*
 * Finds space for a record of span bytes, its header included; in an overwriting ring takes it from
 * the oldest records. To be called under the producers' lock. Sets *producer to where the record
 * begins, a multiple of 8, and returns 0, or
 *   -EAGAIN   normal ring: it is full; overwriting: the record at pending_pos is in the way, and is
 *             being written;
 *   -EBADMSG  the positions are impossible, or the records of an overwriting ring.
 */
int rbc_reserve_one(const rbc_mapping *mapping, bool overwrites, uint64_t span, uint64_t *producer);

/*
 * The same in two steps, for a caller that writes as much as fits. The positions were loaded once
 * and checked: the caller goes by these, not by what stands in the ring a moment later. (Any
 * process that has the ring can write there.)
 */
typedef struct rbc_free_space {
    uint64_t producer; /* where the next record begins */
    uint64_t free;     /* the most bytes that it may take */
    uint64_t oldest, pending;
    int why_no_more; /* -EAGAIN or -EBADMSG, as above */
} rbc_free_space;

/* Returns 0, or -EBADMSG: the positions are impossible. */
int rbc_reserve_find(const rbc_mapping *mapping, bool overwrites, rbc_free_space *out);

/* Takes span bytes, under the same hold of the lock. Returns 0, -EAGAIN or -EBADMSG. */
int rbc_reserve_take(const rbc_mapping *mapping, bool overwrites, const rbc_free_space *space,
                     uint64_t span);

/*
 * The record that is in the way of an overwriting ring: its position, and the token of its
 * producer. Without the lock this is a hint. Returns false if the record is no longer there.
 */
bool rbc_reserve_blocker(const rbc_mapping *mapping, uint64_t *position, uint32_t *token);

/*
 * Discards that record in the name of its producer, which is dead. In a normal ring the reader
 * passes it; here it would be in the way for ever. To be called under the lock. Returns false if it
 * is another record.
 */
bool rbc_reserve_discard_blocker(const rbc_mapping *mapping, uint64_t position, uint32_t token);

#endif
