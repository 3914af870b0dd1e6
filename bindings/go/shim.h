// SPDX-License-Identifier: MIT
/*
 * One function for each call from Go. They take and return plain values, or work on memory of C:
 * cgo looks through every Go pointer that it is handed, at a cost that grows with what it points
 * to.
 */
#ifndef RINGBUF_SHIM_H
#define RINGBUF_SHIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#ifdef RINGBUF_PKGCONFIG
#include <rbcore/rbcore.h>
#else
#include "rbcore.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The same record in a form that Go may own: without a pointer. */
typedef struct ringbuf_held {
    uint64_t position;
    uintptr_t data;
    uint32_t size;
    uint16_t ring;
} ringbuf_held;

#define RINGBUF_HELD_MAX 64

#define RINGBUF_BATCH_MAX 256

/* A batch is read into this. */
typedef struct ringbuf_batch {
    int is_full;  /* as of the last read: it may have left something */
    int is_paced; /* as of the last read that left nothing: the next records come by the timer */
    rbcore_span spans[RINGBUF_BATCH_MAX];
    rbcore_record records[RINGBUF_BATCH_MAX]; /* of reads that know no spans */
} ringbuf_batch;

/* How ringbuf_fetch works. */
#define RINGBUF_COMMIT 1  /* gives back everything first */
#define RINGBUF_RELEASE 2 /* the reader was opened so */
#define RINGBUF_STRICT 4  /* reads what is there, not what is due */

/* Reads records as spans of one each. */
static inline int ringbuf_read_records(rbcore_reader *reader, ringbuf_batch *batch, size_t max,
                                       int how, int64_t timeout_ns) {
    const rbcore_record *record = batch->records;
    int count, i;
    max = max < RINGBUF_BATCH_MAX ? max : RINGBUF_BATCH_MAX;
    if (how & RINGBUF_STRICT) {
        count = rbcore_reader_read(reader, batch->records, max);
    } else {
        count = rbcore_reader_next(reader, batch->records, max, timeout_ns);
    }
    for (i = 0; i < count; i++, record++) {
        uint32_t stride = (record->size + 15) & ~(uint32_t)7;
        rbcore_span span = {record->data, record->position, stride, record->size, 1,
                            record->ring, record->flags};
        batch->spans[i] = span;
    }
    return count;
}

static inline int ringbuf_is_full(const ringbuf_batch *batch, int count, size_t max) {
    size_t records = 0;
    int i;
    if (count == RINGBUF_BATCH_MAX) {
        return 1;
    }
    for (i = 0; i < count; i++) {
        records += batch->spans[i].count;
    }
    return records >= max;
}

/* Of several rings with records the last one tells: its turn was the latest. */
static inline int ringbuf_is_paced(rbcore_reader *reader, unsigned int ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    return rbcore_reader_ring_stats(reader, ring, &stats) == 0 && stats.flags & RBCORE_RING_PACED;
}

/*
 * Returns the number of spans, and sleeps until there are any, at most timeout_ns. If a signal of
 * the runtime or an interrupt ends the sleep early, it returns 0, with the wakeup armed.
 */
static inline int ringbuf_fetch(uintptr_t reader_address, uintptr_t batch_address, size_t max,
                                int how, int64_t timeout_ns) {
    rbcore_reader *reader = (rbcore_reader *)reader_address;
    ringbuf_batch *batch = (ringbuf_batch *)batch_address;
    int result = how & RINGBUF_COMMIT ? rbcore_reader_commit(reader, NULL, 0) : 0;
    if (result < 0) {
        return result;
    }
    /*
     * Only 0 arms the next wakeup. -EAGAIN and -ECANCELED are no reason to stop: the bound on
     * discarded records is for callers that must return soon, and an interrupt is for a context,
     * which is looked at before each wait, or for the lock.
     */
    do {
        result = how & (RINGBUF_RELEASE | RINGBUF_STRICT)
                     ? ringbuf_read_records(reader, batch, max, how, timeout_ns)
                     : rbcore_reader_next_spans(reader, batch->spans, RINGBUF_BATCH_MAX, max,
                                                timeout_ns);
        timeout_ns = 0;
    } while (result == -EAGAIN || result == -ECANCELED || result == -EINTR);
    /* One look in vain tells that the ring is idle: then the runtime waits, whatever the pace. */
    batch->is_full = ringbuf_is_full(batch, result, max);
    if (!batch->is_full) {
        batch->is_paced = result > 0 && ringbuf_is_paced(reader, batch->spans[result - 1].ring);
    }
    return result;
}

static inline rbcore_record ringbuf_record(const ringbuf_held *held) {
    rbcore_record record = {(const void *)held->data, held->position, held->size, held->ring, 0};
    return record;
}

static inline int ringbuf_commit_to(rbcore_reader *reader, ringbuf_held last) {
    rbcore_record record = ringbuf_record(&last);
    return rbcore_reader_commit(reader, &record, 0);
}

static inline int ringbuf_release(rbcore_reader *reader, const ringbuf_held *held, size_t count) {
    rbcore_record records[RINGBUF_HELD_MAX];
    size_t i;
    for (i = 0; i < count; i++) {
        records[i] = ringbuf_record(&held[i]);
    }
    return rbcore_reader_release(reader, records, count);
}

typedef struct ringbuf_described {
    size_t size; /* of the content */
    int result;
} ringbuf_described;

static inline ringbuf_described ringbuf_describe(rbcore_reader *reader, ringbuf_held first,
                                                 ringbuf_held last, void *header) {
    rbcore_record from = ringbuf_record(&first), to = ringbuf_record(&last);
    rbcore_slice content = {NULL, 0};
    ringbuf_described described = {0, 0};
    described.result = rbcore_reader_snapshot_header(reader, &from, &to, header, &content);
    described.size = content.size;
    return described;
}

/*
 * The reader's descriptor as Go's netpoller wants it: one of its own, and non-blocking (a flag of
 * the open file, which an epoll does not look at).
 */
static inline int ringbuf_poll_fd(const rbcore_reader *reader) {
    int fd = rbcore_reader_fd(reader);
    int copy = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return fd;
    }
    if (copy < 0 || fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK) < 0) {
        int error = -errno;
        if (copy >= 0) {
            close(copy);
        }
        return error;
    }
    return copy;
}

/* Maps the page with the producers' position. Returns NULL and sets errno if that cannot be had. */
static inline void *ringbuf_map_producer(int fd, size_t page) {
    void *mapped = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)page);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static inline int ringbuf_duplicate(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/*
 * Reserves the addresses of a view: the data twice, read-only, for as long as Go may look there.
 * That is longer than the reader lives. Returns NULL and sets errno if they cannot be had.
 */
static inline void *ringbuf_reserve_view(size_t size) {
    void *view = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return view == MAP_FAILED ? NULL : view;
}

/*
 * Maps a part of the ring into its view: from and to are offsets there, both in the first copy of
 * the data or both in the second. Returns 0 or a negative errno.
 */
static inline int ringbuf_view_part(void *view, int fd, size_t page, size_t size, size_t from,
                                    size_t to) {
    off_t offset = (off_t)(2 * page + from % size);
    return mmap((char *)view + from, to - from, PROT_READ, MAP_SHARED | MAP_FIXED, fd, offset) ==
                   MAP_FAILED
               ? -errno
               : 0;
}

/*
 * Puts a copy that the reader has of the data, mapped twice at base, into the view: one more
 * mapping of its pages (old size 0), which lives as long as the view. Returns 0 or a negative
 * errno.
 */
static inline int ringbuf_view_copy(void *view, size_t size, uintptr_t base) {
    char *data = view;
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (mremap((void *)base, 0, size, flags, data) == MAP_FAILED ||
        mremap((void *)base, 0, size, flags, data + size) == MAP_FAILED ||
        mprotect(data, 2 * size, PROT_READ) != 0) {
        return -errno;
    }
    return 0;
}

static inline void ringbuf_unmap(void *base, size_t size) {
    munmap(base, size);
}

typedef struct ringbuf_reserved {
    void *data;
    int result;
} ringbuf_reserved;

static inline ringbuf_reserved ringbuf_reserve(rbcore_producer *producer, size_t size) {
    ringbuf_reserved reserved = {NULL, 0};
    reserved.result = rbcore_producer_reserve(producer, &reserved.data, size);
    return reserved;
}

static inline ringbuf_reserved ringbuf_reserve_wait(rbcore_producer *producer, size_t size,
                                                    int64_t timeout_ns) {
    ringbuf_reserved reserved = {NULL, 0};
    reserved.result = rbcore_producer_reserve_wait(producer, &reserved.data, size, timeout_ns);
    return reserved;
}

#endif
