/* SPDX-License-Identifier: MIT */
/* Bursts of records in random rings of a reader that has many, while it reads. */
#ifndef CROWD_H
#define CROWD_H

#include <check.h>
#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum crowd_way {
    CROWD_READS,  /* rbcore_reader_read and the descriptor */
    CROWD_NEXT,   /* the same with rbcore_reader_next */
    CROWD_LOOKS,  /* rbcore_reader_look alone */
    CROWD_WAITS,  /* rbcore_reader_next, which waits; for rings that no timer looks at */
    CROWD_WORKERS /* reads, and another thread releases */
} crowd_way;

#define CROWD_WAYS 5

typedef struct crowd {
    rbcore_reader *reader; /* in release mode for CROWD_WORKERS */
    unsigned int rings;    /* their indexes are 0, 1, ... */
    /* Puts a record of 8 bytes into a ring. Returns an error if that is full. */
    int (*emit)(void *context, unsigned int ring, uint64_t value);
    void *context;
    int wakeup_delay_ms; /* how long after the record a wakeup may come */
} crowd;

/* So many bursts. Fails the test if a record is left and nothing tells the reader of it. */
void crowd_run(const crowd *self, crowd_way way, unsigned int bursts);

#endif
