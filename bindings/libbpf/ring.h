/* SPDX-License-Identifier: MIT */
/* One ring of a ring_buffer: libbpf's struct ring. It has a reader of rbcore, or libbpf's own. */
#ifndef RBCORE_LIBBPF_RING_H
#define RBCORE_LIBBPF_RING_H

#include "genuine.h"

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
    int own_fd; /* of the map, too: the caller may close map_fd, and its number may be reused */
    uint64_t map_id;
    size_t size;

    rbcore_reader *reader;      /* NULL: libbpf reads the ring */
    struct ring_buffer *libbpf; /* then by this one, which has no other ring */
    struct genuine genuine;

    /*
     * The batch, and what of it is still to be delivered: after a wait a run of records of one
     * size, otherwise records. It outlives the call that fetched it if a callback returned an
     * error. Calls that a callback makes use the same batch.
     */
    rbcore_span run;
    uint32_t done; /* of the run; all of it where the batch is records */
    rbcore_record records[BATCH];
    unsigned next, end;
    uint64_t entered;              /* calls that may have changed the batch */
    uint64_t held;                 /* bytes that were delivered and not given back */
    uint64_t piece_size;           /* so many bytes are given back at once */
    _Atomic uint64_t consumer_pos; /* moves with each record, as libbpf's does */
    int epoll_fd; /* waits for the ring's descriptor, as event `index`; -1: none does */
    int index;

    pthread_mutex_t lock;            /* held while the ring is read or waited for */
    _Atomic int wanted;              /* threads that want the lock: a wait gives way */
    int calls;                       /* calls that hold it: a callback may call us */
    const char *frames[CALLS_KNOWN]; /* of the calls on the stack, the outermost first */
    struct ring *others;             /* the list of all rings of the process */
};

/*
 * Opens a ring by rbcore or, if rbcore refuses, by libbpf, with a warning. Returns NULL with errno
 * as libbpf sets it. If this process opens a map twice, libbpf reads it from then on: with libbpf
 * each of several consumers goes on where another stopped.
 */
struct ring *ring_open(int map_fd, ring_buffer_sample_fn handle, void *context);
void ring_free(struct ring *self);

/* This is called in the child of a fork, before anything else. */
void ring_begin_anew(void);

/* Returns the id of a map, or RBCORE_UNKNOWN. */
uint64_t map_id_of(int map_fd);

/*
 * This is called in the child after fork(). It opens a reader of its own, which goes on where the
 * parent's had come to. Sets *parent_lives if the parent still reads the ring.
 */
int ring_reopen(struct ring *self, bool *parent_lives);

/*
 * Makes an epoll wait for the ring. The ring is readable, with `index` as the event's data.fd, if
 * ring_deliver() would deliver something. Returns 0 or a negative errno.
 */
int ring_watch(struct ring *self, int epoll_fd, int index);

/*
 * Delivers what is there, and what comes meanwhile, up to `most` records (0 means 1). Returns how
 * many, or the negative value that a callback returned, or a negative errno.
 */
int64_t ring_deliver(struct ring *self, size_t most);

/* Waits for records, then delivers them as ring_deliver() does. Needs ring_can_wait(). */
int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns);

/* Grows with the discarded records that were passed or, if libbpf reads, with each call. */
uint64_t ring_discards(const struct ring *self);

/* Ends another thread's wait for the ring, also if it was handed over to libbpf by now. */
void ring_interrupt(struct ring *self);

/* Tells whether an epoll waits for the ring. */
static inline bool ring_is_watched(const struct ring *self) {
    return self->epoll_fd >= 0;
}

/*
 * Tells whether ring_wait_and_deliver() may be called: rbcore reads the ring, and no epoll waits.
 */
static inline bool ring_can_wait(const struct ring *self) {
    return self->reader != NULL && !ring_is_watched(self);
}

#endif
