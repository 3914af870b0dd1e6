/* SPDX-License-Identifier: MIT */
/* A ring with its reader, and numbered records between them: what the scenarios share. */
#ifndef PACING_STAGE_H
#define PACING_STAGE_H

#include "../support/layout.h"
#include "../support/machine.h"
#include "../support/readers.h"
#include "../support/suite.h"
#include "ring.h"

#include <stdatomic.h>

/* A step that the machine delayed is tried again. */
#define ATTEMPTS 50

#define MAX_RECORDS 4096

typedef struct stage {
    test_ring *ring; /* the reader's ring 0 */
    rbcore_reader *reader;
    bool is_release;
    /* Records that were produced, those of them that a full ring refused, and delivered ones. */
    _Atomic uint64_t produced, refused, delivered;
    uint64_t next;                      /* the smallest number that can come now */
    rbcore_record records[MAX_RECORDS]; /* of the last take */
    size_t held;                        /* of them */
    _Atomic uint64_t *producer_page;    /* its first word is the producer position */
    _Atomic uint64_t *consumer_page;    /* its first word is the consumer position */
} stage;

/* A list of scenarios ends with one that has no test; each runs count times, with _i from 0 on. */
typedef struct scenario {
    const TTest *const *test;
    int count;
} scenario;

extern const scenario rate_scenarios[], publishing_scenarios[], batch_scenarios[], wait_scenarios[],
    descriptor_scenarios[], several_scenarios[], successor_scenarios[];

stage *open_stage(size_t ring_size, uint32_t flags, int64_t max_latency);

/* Without a reader. */
stage *open_stage_unread(size_t ring_size);
rbcore_reader *open_reader_on(const test_ring *ring, uint32_t flags, int64_t max_latency);

/* All records must have been delivered. */
void close_stage(stage *self);

/* The same, but some may be left. */
void abandon_stage(stage *self);

/* ---- Producing ---- */

/* Small records. */
void emit_records(stage *self, unsigned int count, uint32_t flags);

/* One record of so many bytes. */
void emit_sized(stage *self, size_t size);

/* A thread that emits runs of small records: many times some, one run in so many nanoseconds. */
typedef struct emitter {
    stage *stage;
    unsigned int times, some;
    int64_t pause;
    uint32_t flags;
} emitter;

void *run_emitter(void *emitter);

/* ---- Reading ---- */

/* Checks the result of read or next: the numbers of this ring's records must ascend. Returns it. */
int taken(stage *self, int result);
int take(stage *self, size_t max, int64_t timeout);
void give_back(stage *self);

/* Takes all that is there, in as many calls as needed; those of the last call are still held. */
void take_to_end(stage *self);

/* Takes all that was produced, and waits for it. */
void take_the_rest(stage *self);
uint64_t waiting(const stage *self);

/* A wait for one record, which another thread makes when it has begun. */
void wait_for_one(stage *self, uint32_t flags);

/* ---- Pacing ---- */

bool is_paced(const stage *self);

/* Makes the ring paced, with nothing left in it. */
void make_paced(stage *self);

/* Makes the ring paced, with count new records in it that are not due in a batch of max. */
void let_wait(stage *self, unsigned int count, size_t max);

/*
 * Makes the ring paced and reads a record of so many bytes by read, which changes no ring's pace.
 */
void read_one_paced(stage *self, size_t size);

/* ---- What is seen ---- */

uint64_t consumer_pos(const stage *self);
uint64_t producer_pos(const stage *self);

void expect_all_published(const stage *self);

/* The consumer position is where the last committed record begins, one of so many bytes. */
void expect_held_back(const stage *self, size_t size);

void expect_wakeup(stage *self);
void expect_no_wakeup(stage *self);

/* Waits until no wakeup is under way. */
void forget_wakeups(stage *self);

/* The reader's descriptor is readable: at once, where nothing delays a wakeup. */
void expect_readable(const stage *self);

#endif
