/* SPDX-License-Identifier: MIT */
/* One ring of a ring_buffer: libbpf's struct ring. A reader of rbcore, or libbpf's own. */
#ifndef RBCORE_LIBBPF_RING_H
#define RBCORE_LIBBPF_RING_H

#include "genuine.h"

#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdint.h>

/* As many as fit the first-level cache. */
#define BATCH 256

/* Of consumer_pos: where the last commit left it. */
#define AT_COMMIT UINT64_MAX

struct ring {
    ring_buffer_sample_fn handle;
    void *context;
    int map_fd; /* the caller's: for ring__map_fd */
    size_t size;

    rbcore_reader *reader;      /* NULL: libbpf reads it */
    struct ring_buffer *libbpf; /* then by this, of which it is the only ring */
    struct genuine genuine;

    /*
     * The batch and what of it is still to be delivered. It outlives the call that fetched it if a
     * callback returned an error, and is common to calls that a callback makes.
     */
    rbcore_record records[BATCH];
    unsigned next, end;
    uint64_t delivered;            /* of all batches */
    uint64_t piece_start;          /* up to here records were given back */
    uint64_t piece_size;           /* so many bytes are given back at once */
    _Atomic uint64_t consumer_pos; /* as libbpf's stands, which moves with each record */
    bool is_watched;               /* its descriptor is waited for */
};

/*
 * Opens a ring: by rbcore, or where that refuses by libbpf, with a warning. Returns NULL with errno
 * as libbpf sets it. is_known: the ring_buffer has a ring of this descriptor already.
 */
struct ring *ring_open(int map_fd, ring_buffer_sample_fn handle, void *context, bool is_known);
void ring_free(struct ring *self);

/* After fork(), in the child: a reader of its own, that goes on where the parent's had come to. */
int ring_reopen(struct ring *self);

/* For epoll: readable if ring_deliver would deliver something, once ring_watch was called. */
int ring_fd(const struct ring *self);
void ring_watch(struct ring *self);

/*
 * Delivers what is there, and what comes meanwhile, up to `most` records (0 is as 1). Returns how
 * many, or the negative value that a callback returned, or a negative errno.
 */
int64_t ring_deliver(struct ring *self, size_t most);

/* Waits for records, then delivers as before. Not with libbpf's, nor where it is watched. */
int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns);

#endif
