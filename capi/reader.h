/* SPDX-License-Identifier: MIT */
/* A reader: its rings, what was not given back, its wait, and which thread may touch what. */
#ifndef RBC_READER_H
#define RBC_READER_H

#include "commit.h"
#include "idle.h"
#include "pacing.h"
#include "process.h"
#include "ring_table.h"
#include "round.h"
#include "wait.h"

#include <errno.h>
#include <pthread.h>
#include <rbcore/rbcore.h>
#include <stdarg.h>

/* Requests of other threads (and signal handlers) to the reading thread. */
#define RBC_ASKED_INTERRUPT 1u
#define RBC_ASKED_FLUSH 2u
#define RBC_ASKED_SHUTDOWN 4u

/* The members that each read touches come first: after an idle time every cache line is a miss. */
struct rbcore_reader {
    rbc_fork_check fork_check;
    atomic_uint asked;       /* RBC_ASKED_ bits */
    bool is_release;         /* opened with RBCORE_READER_RELEASE */
    bool has_turns;          /* commits go by the order of turns: see commit.h */
    bool is_polling;         /* opened with RBCORE_READER_POLL */
    bool ends_for_discards;  /* see return_on_discards.h */
    bool can_pace;           /* max_latency_ns is long enough */
    bool is_flushing;        /* a flush was noticed and is not complete */
    bool is_read_by_ring;    /* rbc_reader_wait_for_rings named rings, which are being read */
    unsigned rings_to_watch; /* see rbc_kind */
    rbc_round round;
    rbc_pacing pacing;
    rbc_idling idling;
    rbc_clock named_at; /* the clock when it named them */
    rbc_wait wait;
    rbc_turns turns;
    _Atomic uint64_t records, bytes, discards, batches, commits;

    int64_t max_latency_ns;
    rbc_process process;   /* this one, as rings are claimed for it */
    bool locks_maps;       /* wait.wake_fd serves for their locks: see rbc_owner_map_lock */
    _Atomic uint64_t refs; /* the caller's, and one for each ring in the slots */
    _Atomic uint64_t user_refs;
    /* Keeps rings from going away while a thread looks at statistics. */
    pthread_mutex_t slots_lock;
    uint8_t boot_id[16]; /* zeros: not read */
    char message[200];
    rbc_ring_table table;
};

/* Whether the handle may be used: 0, -EINVAL, or -ECHILD in a forked child. */
static inline int rbc_reader_check(const rbcore_reader *self) {
    if (self == NULL) {
        return -EINVAL;
    }
    return rbc_fork_check_passes(&self->fork_check) ? 0 : -ECHILD;
}

/* Sets the message and returns the error. */
__attribute__((cold, format(printf, 3, 4))) int rbc_reader_fail(rbcore_reader *self, int error,
                                                                const char *format, ...);

/*
 * The ring of an index, or NULL. It lives on only as long as the caller knows a reason: it holds a
 * record of it, has slots_lock, or is the reading thread in commit mode, where a removed ring is in
 * no slot. In release mode the reading thread asks rbc_ring_table_find: its own reference ends with
 * rbcore_reader_remove, and any thread may drop the last one.
 */
static inline rbc_ring *rbc_reader_ring(const rbcore_reader *self, unsigned index) {
    return rbc_ring_table_at(&self->table, index);
}

/* How many rings are idle. The reading thread only. */
static inline unsigned rbc_idle_count(const rbcore_reader *self) {
    return self->table.count - self->round.count;
}

/* Drops a reference; with the last one the memory goes. */
void rbc_reader_put(rbcore_reader *self);

/* Drops references to a ring; with the last one it is closed. */
void rbc_ring_put(rbc_ring *self, uint64_t count);

/* Opens the ring that a source names; see source.c. Returns 0 or a negative errno, with message. */
int rbc_ring_open(rbc_ring **out, rbcore_reader *reader, const rbcore_source *source,
                  rbc_descriptor descriptor);

/* Frees a ring that rbc_ring_open made. In a forked child what it shares with the parent stays. */
void rbc_ring_close(rbc_ring *self);

#endif
