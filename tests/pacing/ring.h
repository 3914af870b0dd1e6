/* SPDX-License-Identifier: MIT */
/*
 * A ring with a producer, as the scenarios see it: in memory (memory_ring.c) or the kernel's
 * (kernel_ring.c).
 */
#ifndef PACING_RING_H
#define PACING_RING_H

#include <check.h>
#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct test_ring test_ring;

/* ---- What a kind of ring is ---- */

/* No producer fills a ring of large_ring bytes within long_ns: it does not bound the interval. */
extern const size_t large_ring;
extern const int64_t long_ns;

/* The smallest size whose rings become paced, and whether an interval of 50 us is long enough. */
extern const size_t smallest_paced;
extern const bool has_shortest_interval;

/* The sizes of records that are made many at once, and one by one. */
extern const size_t small_record;
extern const size_t largest_record;

/* How long it may take until a wakeup is seen. */
extern const int wakeup_delay_ms;

/* Whether the reader looks now and then for records of dead producers. */
extern const bool has_liveness_checks;

/* ---- What it does ---- */

test_ring *test_ring_open(size_t size);
void test_ring_close(test_ring *self);

/* In a child: its own producer. */
void test_ring_reopen(test_ring *self);

rbcore_source test_ring_source(const test_ring *self);

/*
 * A record of small_record to largest_record bytes that has this number. Returns an error if the
 * ring is full.
 */
int test_ring_emit(test_ring *self, uint64_t number, size_t size, uint32_t flags);

/* Small records with ascending numbers, the first of them given. Returns how many were refused. */
uint64_t test_ring_emit_many(test_ring *self, uint64_t number, unsigned int count, uint32_t flags);

uint64_t test_ring_number(const rbcore_record *record);

/* How often producers have woken the reader since the last call; waits for the first wakeup. */
uint64_t test_ring_wakes(test_ring *self, int timeout_ms);

/* The descriptor whose first two pages have the positions. */
int test_ring_fd(const test_ring *self);

/*
 * Reads to the end and gives back as another library does, which knows nothing but the positions.
 * Returns how many records it found.
 */
uint64_t test_ring_consume_by_another(test_ring *self);

/* The header of a record at this position, to be overwritten; NULL where that is not possible. */
_Atomic uint32_t *test_ring_header(test_ring *self, uint64_t position);

/* Runs the suite, or says why it cannot be run. Returns what main should return. */
int test_ring_run(Suite *suite);

#endif
