/* SPDX-License-Identifier: MIT */
/*
 * Tests on memory rings share this: a ring with its reader and producer, and the ring's raw image.
 */
#ifndef RBCORE_TESTS_SUPPORT_H
#define RBCORE_TESTS_SUPPORT_H

#include "../support/layout.h"
#include "../support/machine.h"
#include "../support/readers.h"
#include "../support/suite.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The bits of a record's header, written down here once more on purpose. */
#define BUSY (UINT32_C(1) << 31)
#define DISCARDED (UINT32_C(1) << 30)

/* A memory ring with one reader and one producer. */
typedef struct fixture {
    int memory_fd;
    int event_fd;
    rbcore_reader *reader;
    rbcore_producer *producer;
    unsigned int ring;
} fixture;

rbcore_source memory_source(int memory_fd, int event_fd);
fixture fixture_open(size_t ring_size, uint32_t reader_flags);
void fixture_close(fixture *self);

/* A further ring for a reader that exists: its producer only. */
fixture fixture_add(rbcore_reader *reader, size_t ring_size);
void fixture_drop(fixture *self);

rbcore_reader *reader_on(const fixture *ring, uint32_t reader_flags, uint32_t source_flags);
rbcore_producer *producer_on(int memory_fd, int event_fd);

/* Produces a record whose 8 bytes are value. */
void produce(const fixture *self, uint64_t value);
uint64_t value_of(const rbcore_record *record);

rbcore_ring_stats ring_stats(const fixture *self);

/* The ring as it lies in the memfd, in a mapping of the test's own. */
typedef struct image {
    uint8_t *base;
    size_t ring_size;
    uint64_t *consumer_pos;
    uint64_t *producer_pos;
    uint8_t *data;
} image;

image image_map(int memory_fd);
void image_unmap(const image *self);
uint32_t *image_header(const image *self, uint64_t position);
uint64_t image_load(const uint64_t *word);
void image_store(uint64_t *word, uint64_t value);
void image_store_header(const image *self, uint64_t position, uint32_t length);

/* How many mappings of rings, and of copies of rings, the process has. */
unsigned int mapped_rings(void);

/*
 * Calls with too few descriptors, one more each time, until the call returns 0. Before that it
 * returns -EMFILE. It leaves no descriptor and no mapping of a ring behind.
 */
void run_short_of_descriptors(int (*call)(void *), void *argument);

/* The checksum of snapshot files, computed bit by bit, unlike in the library. */
uint32_t crc32_of(const uint8_t *bytes, size_t size);

/* A thread that releases one record. */
typedef struct release_of_one {
    rbcore_reader *reader;
    rbcore_record record;
} release_of_one;

void *release_one(void *release_of_one);

#endif
