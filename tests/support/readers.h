/* SPDX-License-Identifier: MIT */
/* Readers of any kind of ring. */
#ifndef RBCORE_TESTS_READERS_H
#define RBCORE_TESTS_READERS_H

#include <rbcore/rbcore.h>
#include <stddef.h>

rbcore_reader *open_reader(uint32_t flags);

/* Returns the number of the ring, which the reader must take. */
unsigned int add_source(rbcore_reader *reader, const rbcore_source *source);

/*
 * Reads until nothing is found, without giving back: each read takes a quarter of a ring at most.
 * Returns how many records they found together, or the error of the first.
 */
int read_to_end(rbcore_reader *reader, rbcore_record *records, size_t max);

rbcore_ring_stats stats_of(rbcore_reader *reader, unsigned int ring);
rbcore_reader_stats reader_stats(rbcore_reader *reader);

#endif
