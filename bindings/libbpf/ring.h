/* SPDX-License-Identifier: MIT */
/* One ring of a ring_buffer: libbpf's struct ring. */
#ifndef RBCORE_LIBBPF_RING_H
#define RBCORE_LIBBPF_RING_H

#include "rings.h"

#include <pthread.h>
#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* So many records fit the first-level cache, also with the data of larger ones. */
#define BATCH 96

/* These are more records than come while a reader sleeps. */
#define RUN 65536

/* Calls in callbacks are noticed up to this depth when they are left by longjmp. */
#define CALLS_KNOWN 16

/* This value of consumer_pos means: it is where the last commit left it. */
#define AT_COMMIT UINT64_MAX

struct ring {
    struct ring_buffer *owner; /* to which it was added */
    ring_buffer_sample_fn handle;
    void *context;
    int map_fd; /* the caller's: for ring__map_fd */
    int own_fd; /* of the map, too, or -1: the caller may close map_fd, and its number be reused */
    uint64_t map_id;
    size_t size;
    unsigned index; /* in the ring_buffer, and in its reader */

    /*
     * The batch, and what of it is still to be delivered: after a wait a run of records of one
     * size, otherwise records. It outlives the call that fetched it if a callback returned an
     * error. Calls that a callback makes use the same batch.
     */
    rbcore_span run;
    uint32_t done;          /* of the run; all of it where the batch is records */
    rbcore_record *records; /* BATCH of them, from the first fetch on */
    unsigned next, end;
    bool has_batch;                /* counted in the owner's `left` */
    uint64_t entered;              /* calls that may have changed the batch */
    uint64_t held;                 /* bytes that were delivered and not given back */
    uint64_t piece_size;           /* so many bytes are given back at once */
    _Atomic uint64_t consumer_pos; /* moves with each record, as libbpf's does */

    pthread_mutex_t lock;            /* held while the ring's records are delivered */
    _Atomic int wanted;              /* threads that want it: a wait gives way */
    int calls;                       /* calls that hold it: a callback may call us */
    const char *frames[CALLS_KNOWN]; /* of the calls on the stack, the outermost first */
};

/* Makes a ring that nothing reads yet. Returns NULL with errno. */
struct ring *ring_new(int map_fd, ring_buffer_sample_fn handle, void *context);
void ring_free(struct ring *self);

/* The first rings of a ring_buffer keep a descriptor of their own, if there is one to be had. */
void ring_keep_descriptor(struct ring *self);

/*
 * A descriptor of the ring's map, or a negative errno. *is_temporary: the caller closes it when the
 * map is mapped.
 */
int ring_descriptor(const struct ring *self, bool *is_temporary);

/* Has rbcore read the ring, as the owner's next one. Returns 0 or a negative errno. */
int ring_start(struct ring *self, uint32_t flags);

/* Forgets the batch, and who had the lock: nothing reads the ring any more. */
void ring_begin_anew(struct ring *self);

/* Returns the id of a map, or RBCORE_UNKNOWN. */
uint64_t map_id_of(int map_fd);

/*
 * Delivers what is there, and what comes meanwhile, up to `most` records (0 means 1). Returns how
 * many, or the negative value that a callback returned, or a negative errno.
 */
int64_t ring_deliver(struct ring *self, size_t most);

/* The same after a wait for the ring: leaves records that come one by one to the next wait. */
int64_t ring_deliver_after_wait(struct ring *self);

/* Waits for records, then delivers them. The ring is the only one, and no epoll waits for it. */
int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns);

#endif
