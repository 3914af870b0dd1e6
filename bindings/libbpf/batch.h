/* SPDX-License-Identifier: MIT */
/* The batch of a ring: records that were fetched, delivered one by one and given back. */
#ifndef RBCORE_LIBBPF_BATCH_H
#define RBCORE_LIBBPF_BATCH_H

#include "ring.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stdint.h>

/* Callers have the ring's lock, and rbcore reads the ring. */

/* Tells whether nothing of the batch is left to deliver. */
bool batch_is_empty(const struct ring *self);

/* The result of rbcore_reader_next_spans(), which has filled self->run, becomes the batch. */
void batch_take_run(struct ring *self, int result);

/* Tells whether a call with this result is to be repeated. */
bool batch_is_to_repeat(int result);

/*
 * Delivers the batch, and others until there is nothing or so many small ones were found. Returns
 * what ring_deliver() returns.
 */
int64_t batch_deliver(struct ring *self, int64_t most, int64_t small_batches);

/* Tells whether all there was has been delivered: false after an error or at a limit. */
bool batch_is_drained(const struct ring *self);

/* Makes a callback's record the next one. It is called in that callback. */
void batch_find_next(struct ring *self);

/* Gives back what was delivered. */
void batch_commit(struct ring *self, uint32_t flags);

/* Makes the descriptor readable: now if there is something to deliver, otherwise when there is. */
void batch_arm(struct ring *self);

#endif
