/* SPDX-License-Identifier: MIT */
/* How a record lies in a ring, written down here once more on purpose. */
#ifndef RBCORE_TESTS_LAYOUT_H
#define RBCORE_TESTS_LAYOUT_H

#include <rbcore/rbcore.h>
#include <stdint.h>

#define HEADER_SIZE 8

/* The bytes that a record of this size takes in the ring. */
static inline uint64_t span_of(uint64_t size) {
    return (size + HEADER_SIZE + 7) / 8 * 8;
}

static inline uint64_t end_of(const rbcore_record *record) {
    return record->position + span_of(record->size);
}

#endif
