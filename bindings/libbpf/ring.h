/* SPDX-License-Identifier: MIT */
/* One ring of a ring_buffer: libbpf's struct ring. A reader of rbcore, or libbpf's own. */
#ifndef RBCORE_LIBBPF_RING_H
#define RBCORE_LIBBPF_RING_H

#include "genuine.h"

#include <pthread.h>
#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* As many as fit the first-level cache, also with the data of larger records. */
#define BATCH 96

/* More than come while a reader sleeps. */
#define RUN 65536

/* Calls within callbacks of calls; deeper ones that are left by longjmp are not noticed. */
#define CALLS_KNOWN 16

/* Of consumer_pos: where the last commit left it. */
#define AT_COMMIT UINT64_MAX

struct ring {
    struct ring_buffer *owner; /* that it was added to */
    ring_buffer_sample_fn handle;
    void *context;
    int map_fd; /* the caller's: for ring__map_fd */
    int own_fd; /* of the map, too: he may close his, and its number may name another file */
    uint64_t map_id;
    size_t size;

    rbcore_reader *reader;      /* NULL: libbpf reads it */
    struct ring_buffer *libbpf; /* then by this, of which it is the only ring */
    struct genuine genuine;

    /*
     * The batch and what of it is still to be delivered: after a wait a run of equal records, else
     * records. It outlives the call that fetched it if a callback returned an error, and is common
     * to calls that a callback makes.
     */
    rbcore_span run;
    uint32_t done; /* of the run; all of it where the batch is records */
    rbcore_record records[BATCH];
    unsigned next, end;
    uint64_t entered;              /* calls that may have changed the batch */
    uint64_t held;                 /* bytes that were delivered and not given back */
    uint64_t piece_size;           /* so many bytes are given back at once */
    _Atomic uint64_t consumer_pos; /* as libbpf's stands, which moves with each record */
    int epoll_fd; /* that waits for its descriptor, as event `index`; -1: none does */
    int index;

    pthread_mutex_t lock;            /* held while it is read, and waited for */
    _Atomic int wanted;              /* threads that want it: who waits gives way */
    int calls;                       /* that hold it: a callback may call us */
    const char *frames[CALLS_KNOWN]; /* of those on the stack, the outermost first */
    struct ring *others;             /* the list of all rings of the process */
};

/*
 * Opens a ring: by rbcore, or where that refuses by libbpf, with a warning. Returns NULL with errno
 * as libbpf sets it. A map that this process opens twice is read by libbpf from then on, where
 * each of several consumers goes on where another stopped.
 */
struct ring *ring_open(int map_fd, ring_buffer_sample_fn handle, void *context);
void ring_free(struct ring *self);

/* In the child of a fork, before anything else. */
void ring_begin_anew(void);

/* The id of a map, or RBCORE_UNKNOWN. */
uint64_t map_id_of(int map_fd);

/*
 * After fork(), in the child: a reader of its own, that goes on where the parent's had come to. Sets
 * *parent_lives if the parent reads the ring still.
 */
int ring_reopen(struct ring *self, bool *parent_lives);

/*
 * Has an epoll wait for the ring: readable, with `index` as the event's data.fd, if ring_deliver
 * would deliver something. Returns 0 or a negative errno.
 */
int ring_watch(struct ring *self, int epoll_fd, int index);

/*
 * Delivers what is there, and what comes meanwhile, up to `most` records (0 is as 1). Returns how
 * many, or the negative value that a callback returned, or a negative errno.
 */
int64_t ring_deliver(struct ring *self, size_t most);

/* Waits for records, then delivers as before. Not where ring_can_wait is false. */
int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns);

/* Grows with the discarded records that were passed; where libbpf reads, with each call. */
uint64_t ring_discards(const struct ring *self);

/* Ends the wait of another thread for the ring, whoever reads it by now. */
void ring_interrupt(struct ring *self);

/* Whether an epoll waits for the ring. */
static inline bool ring_is_watched(const struct ring *self) {
    return self->epoll_fd >= 0;
}

/* Neither libbpf nor an epoll is in the way. */
static inline bool ring_can_wait(const struct ring *self) {
    return self->reader != NULL && !ring_is_watched(self);
}

#endif
