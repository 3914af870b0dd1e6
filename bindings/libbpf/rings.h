/* SPDX-License-Identifier: MIT */
/*
 * libbpf's struct ring_buffer: rings that share one reader of rbcore, or that libbpf reads. Each
 * ring has a lock of its own, which is held while its callback runs. The reader's lock is held only
 * while the reader is called. So the rings stay as independent of each other as libbpf's are, in
 * threads and in calls from callbacks.
 */
#ifndef RBCORE_LIBBPF_RINGS_H
#define RBCORE_LIBBPF_RINGS_H

#include "genuine.h"

#include <pthread.h>
#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring_buffer {
    struct ring **rings;
    int count;

    rbcore_reader *reader;                /* NULL: libbpf reads the rings, */
    _Atomic(struct ring_buffer *) libbpf; /* by this one, which has the same rings in that order */
    struct genuine genuine;
    atomic_bool is_to_go; /* libbpf shall read them as soon as no call is under way */

    pthread_mutex_t lock; /* held while the reader is called, also while it waits */
    bool is_locked;
    _Atomic int wanted; /* threads that want it: a wait gives way */
    _Atomic int left;   /* rings whose batch has something to deliver */

    int epoll_fd;               /* for the program: waits for the reader, or for libbpf's epoll */
    bool is_watched;            /* the program has asked for it: it waits by now */
    int spare_fd;               /* for libbpf, where all descriptors are used up */
    unsigned forks;             /* when the reader was opened */
    struct ring_buffer *others; /* the list of all of the process */
};

/* ---- The reader (reader.c) ---- */

/* Opens the reader, with no rings. Returns 0 or a negative errno. */
int rings_open_reader(struct ring_buffer *self);
void rings_close_reader(struct ring_buffer *self);

/* Makes the lock, in the child of a fork anew. */
bool rings_init_lock(pthread_mutex_t *lock);

/* Ends another thread's wait, if it has the lock. */
void rings_lock(struct ring_buffer *self);
void rings_unlock(struct ring_buffer *self);

/* Takes a lock that a wait may hold, and ends that. `wanted` counts the threads that do so. */
void rings_take_lock(struct ring_buffer *self, pthread_mutex_t *lock, _Atomic int *wanted);

/* A wait that has let go of a lock lets others have it. */
void give_way_to(_Atomic int *wanted);

/* Waits for rings that have something. Returns what rbc_reader_wait_for_rings returns. */
int rings_wait(struct ring_buffer *self, uint16_t *ready, size_t max, int64_t timeout_ns);

/*
 * Waits for records of the only ring. Returns what rbcore_reader_next_spans returns. Returns 0 as
 * well if there are others, or libbpf reads it.
 */
int rings_wait_for_run(struct ring_buffer *self, rbcore_span *run, int64_t timeout_ns);

/* Makes the epoll wait for the reader, or libbpf. Returns 0 or a negative errno. */
int rings_watch(struct ring_buffer *self);

/* Makes the epoll readable: now if there is something to deliver, otherwise when there is. */
void rings_settle(struct ring_buffer *self);

/* Tells whether a wait with this result is to be repeated. */
bool is_to_repeat(int result);

/* ---- libbpf instead (fallback.c) ---- */

/* For the list of all. */
void rings_list(struct ring_buffer *self);
void rings_unlist(struct ring_buffer *self);

/* The same for one more ring; makes room for it before. Returns 0 or -ENOMEM. */
int rings_append(struct ring_buffer *self, struct ring *ring);
void rings_drop_last(struct ring_buffer *self);

/*
 * Hands the rings over to libbpf, which has to take all of them or none. Returns 0; -EBUSY if a
 * call is under way; the negative errno that libbpf sets; or where there is no libbpf the one that
 * it would set for rbcore's refusal.
 */
int rings_hand_over(struct ring_buffer *self, int refusal);

/* Does so if it could not be done before (is_to_go). */
void rings_hand_over_if_due(struct ring_buffer *self);

/* The descriptor that libbpf needs is kept open. */
void rings_keep_spare(struct ring_buffer *self);
void rings_drop_spare(struct ring_buffer *self);

/* Whether libbpf would read this map. Returns 0 or the negative errno that it sets. */
int rings_ask_libbpf(struct ring_buffer *self, int map_fd, int refusal);

/*
 * Hands all rings of this process over that share a ring_buffer with one that reads this map.
 * Returns whether there are any: with libbpf each of several consumers goes on where another
 * stopped.
 */
bool rings_hand_over_all(uint64_t map_id);

/* Says that libbpf reads the rings. */
void rings_warn(const struct ring_buffer *self, int map_fd, const char *reason);

/* Ends another thread's wait, also if the rings were handed over by now. */
void rings_interrupt(struct ring_buffer *self);

/* This is called in the child of a fork, before anything else. */
void rings_begin_anew(void);

#endif
