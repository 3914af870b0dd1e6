/* SPDX-License-Identifier: MIT */
/*
 * This is not part of the ABI, as return_on_discards.h is not. It is for a caller that reads and
 * gives back each ring of a reader by itself, as libbpf's callers do: a ring may keep its records
 * for as long as it likes, and the others go on. Rings are named by their indexes; in one that is
 * not there is nothing.
 */
#ifndef RBC_BY_RING_H
#define RBC_BY_RING_H

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of these are for the reading thread only. */

/*
 * From now on rbc_reader_commit_ring gives records back, and rbcore_reader_commit no longer does.
 * Called before the first ring is added.
 */
void rbc_reader_commit_by_ring(rbcore_reader *self);

typedef enum rbc_descriptor {
    RBC_FD_OWN,  /* a duplicate is made, as by rbcore_reader_add */
    RBC_FD_KEPT, /* the caller's, which keeps it open until the ring is removed */
    RBC_FD_LENT  /* the caller's, which may close it: then the ring is read on, but wakeups that
                  * programs force cost more */
} rbc_descriptor;

/* Like rbcore_reader_add of a map's descriptor. */
int rbc_reader_add_by_descriptor(rbcore_reader *self, const rbcore_source *source,
                                 rbc_descriptor descriptor);

/*
 * Waits as rbcore_reader_next does, but takes no records: fills in the rings that have some which
 * are due, or discarded ones. Returns how many, 0, or what rbcore_reader_next returns. The caller
 * reads those rings to their end before it waits again.
 */
int rbc_reader_wait_for_rings(rbcore_reader *self, uint16_t *rings, size_t max, int64_t timeout_ns);

/*
 * Empties rbcore_reader_fd and arms it, as rbcore_reader_read does when it finds nothing. Returns
 * whether a ring has something already, or a negative errno: then it is not armed.
 */
int rbc_reader_arm(rbcore_reader *self);

/* One turn of one ring: as rbcore_reader_look, of a reader with no other ring. */
int rbc_reader_look_at(rbcore_reader *self, unsigned ring, rbcore_record *records, size_t max);

/*
 * Whether nothing is in the ring, and nothing is held back: neither a look nor a commit would do
 * anything. Any thread, while the ring is there.
 */
bool rbc_reader_is_at_rest(const rbcore_reader *self, unsigned ring);

#define RBC_ALL_OF_IT UINT64_MAX

/*
 * Gives back the records of one ring up to the position where one of them ends, or all that were
 * handed out. now: as RBCORE_COMMIT_NOW.
 */
void rbc_reader_commit_ring(rbcore_reader *self, unsigned ring, uint64_t end, bool now);

#endif
