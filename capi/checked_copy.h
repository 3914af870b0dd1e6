/* SPDX-License-Identifier: MIT */
/*
 * Copying out of a ring whose producers do not wait for us: one in overwrite mode, or one that
 * another reader consumes. What is copied may be overwritten meanwhile; so each copy is followed by
 * a look at the positions, which tells which part of it is valid. checked_copy.c has the argument.
 */
#ifndef RBC_CHECKED_COPY_H
#define RBC_CHECKED_COPY_H

#include "mapping.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rbc_copy_source {
    const rbc_mapping *mapping;
    const _Atomic uint64_t *consumer_pos;
    const _Atomic uint64_t *producer_pos;
    const _Atomic uint64_t *pending_pos;
    const _Atomic uint64_t *overwrite_pos; /* NULL: not in overwrite mode */
    uint64_t margin; /* bytes after producer_pos that may have been written; see checked_copy.c */
} rbc_copy_source;

/* More is copied in pieces, each of which is looked after: the less of it can be overwritten. */
#define RBC_COPY_PIECE ((size_t)65536)

rbc_copy_source rbc_copy_source_of(const rbc_mapping *mapping, bool is_overwrite, bool is_memory);

/* Whether a position comes after another; they are never further apart than 2^63. */
static inline bool rbc_is_after(uint64_t position, uint64_t other) {
    return (int64_t)(position - other) > 0;
}

/*
 * The position of the oldest record that was not overwritten, or that the ring's reader has not
 * freed.
 */
uint64_t rbc_copy_oldest(const rbc_copy_source *self);

/* The first word of the header at a position: length and flags, if a record begins there. */
uint32_t rbc_copy_length(const rbc_copy_source *self, uint64_t position);

/* The second: of a memory ring, whose record it is; see rbc_header. */
uint32_t rbc_copy_token(const rbc_copy_source *self, uint64_t position);

/* Why the complete records end somewhere. */
typedef enum rbc_copy_stop {
    RBC_COPY_ALL,  /* at producer_pos */
    RBC_COPY_BUSY, /* at a record that is being written */
    RBC_COPY_BAD   /* at something that no producer writes, or that was overwritten */
} rbc_copy_stop;

typedef struct rbc_copy_end {
    uint64_t position;
    uint64_t producer_pos; /* as it was then */
    uint64_t walked_from;  /* from here on by the records' headers; see below */
    rbc_copy_stop why;
} rbc_copy_end;

/*
 * The end of the complete records. `from` is the start of a record, or of the one to come. The end
 * is never more than the ring's size after it. It holds only if nothing from walked_from on was
 * overwritten meanwhile: overwritten headers lead anywhere.
 */
rbc_copy_end rbc_copy_find_end(const rbc_copy_source *self, uint64_t from);

/*
 * The position from which on the ring is valid: `from` if nothing that was read there until now had
 * been overwritten, else the start of a later record that was not.
 */
uint64_t rbc_copy_valid_from(const rbc_copy_source *self, uint64_t from);

/* Copies bytes, at most the ring's size. Returns rbc_copy_valid_from. */
uint64_t rbc_copy_bytes(const rbc_copy_source *self, void *to, uint64_t from, size_t bytes);

#endif
