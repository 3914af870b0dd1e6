/* SPDX-License-Identifier: MIT */
/* One pass over the rings: each of them has its turn. The reading thread only. */
#ifndef RBC_PASS_H
#define RBC_PASS_H

#include "pace.h"
#include "reader.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stddef.h>

/* A request to the rings: what a look at them shall find. */
typedef struct rbc_request {
    rbcore_record *records; /* or else spans, or the rings that have something */
    rbcore_span *spans;
    uint16_t *rings;
    size_t max_spans;
    size_t max;        /* records, or rings */
    bool only_due;     /* leaves in a paced ring what is not due yet */
    uint64_t discards; /* passed before; see return_on_discards.h */
    rbc_clock clock;
} rbc_request;

/*
 * One turn of each ring that is due, until the array is full. Returns how many records were found,
 * or spans where they were asked for; 0; or an error, with message. A caller that reads until there
 * is nothing left looks twice in vain before each sleep: that costs next to nothing.
 */
int rbc_pass_over_rings(rbcore_reader *self, rbc_request *request);

/* Fills in the rings of which such a pass would take something. Returns how many. */
int rbc_pass_names_rings(rbcore_reader *self, rbc_request *request);

/* One turn of one ring, which may be idle. Returns what rbc_pass_over_rings returns. */
int rbc_pass_over_one(rbcore_reader *self, rbc_ring *ring, rbc_request *request);

/* Skips what producers that died left unfinished at the heads of rings. Returns whether it did. */
bool rbc_pass_over_the_dead(rbcore_reader *self);

/*
 * Notes what a scan passed, and put into `records`: the user holds it now. Discarded records alone
 * are given back here if the user holds nothing that could be given back after them.
 */
void rbc_read_note(rbc_ring *self, const rbc_passed *passed, const rbcore_record *records);

#endif
