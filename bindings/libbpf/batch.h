/* SPDX-License-Identifier: MIT */
/* The batch of a ring: records that were fetched, delivered one by one and given back. */
#ifndef RBCORE_LIBBPF_BATCH_H
#define RBCORE_LIBBPF_BATCH_H

#include "ring.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stdint.h>

/* Callers have the ring's lock, and if libbpf reads the ring nothing is done. */

/* Tells whether nothing of the batch is left to deliver. */
bool batch_is_empty(const struct ring *self);

/* The result of rings_wait_for_run(), which has filled self->run, becomes the batch. */
void batch_take_run(struct ring *self, int result);

/*
 * Delivers the batch, and others until there is nothing or so many small ones were found. Returns
 * what ring_deliver() returns.
 */
int64_t batch_deliver(struct ring *self, int64_t most, int64_t small_batches);

/* Tells whether all there was has been delivered: false after an error or at a limit. */
bool batch_is_drained(const struct ring *self);

/* Makes a callback's record the next one. It is called in that callback. */
void batch_find_next(struct ring *self);

/* Gives back what was delivered. now: as RBCORE_COMMIT_NOW. */
void batch_commit(struct ring *self, bool now);

/* Notes for waits whether something is left to deliver. */
void batch_note_left(struct ring *self);

#endif
