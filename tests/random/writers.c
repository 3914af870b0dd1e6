/* SPDX-License-Identifier: MIT */
/* The threads that write. */
#include "threads.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>

typedef struct thr_content {
    uint32_t writer, size;
    uint64_t sequence;
} thr_content;

#define LARGEST 3000
#define BATCH 12

rbcore_source source_of(const thr_ring *ring) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    source.fd = ring->memory_fd;
    source.event_fd = ring->event_fd;
    return source;
}

/* ---- What is in a record ---- */

static unsigned char filler(uint64_t sequence, uint32_t at) {
    return (unsigned char)(sequence * 31 + at * 7);
}

static void fill(void *data, const thr_content *what) {
    unsigned char *bytes = data;
    memcpy(bytes, what, sizeof(*what));
    for (uint32_t i = sizeof(*what); i < what->size; i++) {
        bytes[i] = filler(what->sequence, i);
    }
}

void read_content(const rbcore_record *record, uint32_t *writer, uint64_t *sequence) {
    thr_content found;
    demand(record->size >= sizeof(found), "a record of %u bytes", record->size);
    memcpy(&found, record->data, sizeof(found));
    demand(found.size == record->size && found.writer < the_round.writer_count,
           "%u bytes at %" PRIu64 ": torn: writer %u, size %u", record->size, record->position,
           found.writer, found.size);
    const unsigned char *bytes = record->data;
    for (uint32_t i = sizeof(found); i < found.size; i++) {
        demand(bytes[i] == filler(found.sequence, i),
               "%u bytes at %" PRIu64 ": torn at %u of number %" PRIu64 " of writer %u",
               record->size, record->position, i, found.sequence, found.writer);
    }
    *writer = found.writer;
    *sequence = found.sequence;
}

/* ---- One call or a few ---- */

static thr_content next_content(const thr_writer *self, uint64_t ahead) {
    uint32_t size = sizeof(thr_content) + roll(one_in(10) ? LARGEST : 120);
    return (thr_content){.writer = self->number, .size = size, .sequence = self->sent + ahead};
}

static uint32_t wakeup(void) {
    return one_in(2) ? 0 : 1 + roll(2);
}

static void was_sent(thr_writer *self, const thr_content *what) {
    self->sent++;
    atomic_fetch_add(&self->ring->spans, span_of(what->size));
}

static void was_refused(thr_writer *self, int error, bool is_counted) {
    demand(error == -EAGAIN, "%d: %s", error, rbcore_strerror(error));
    atomic_fetch_add(&self->ring->refused, is_counted);
    sched_yield();
}

static void output(thr_writer *self) {
    unsigned char bytes[sizeof(thr_content) + LARGEST];
    thr_content what = next_content(self, 0);
    fill(bytes, &what);
    int error = rbcore_producer_output(self->handle, bytes, what.size, wakeup());
    if (error != 0) {
        was_refused(self, error, true);
    } else {
        was_sent(self, &what);
    }
}

static void output_batch(thr_writer *self) {
    static _Thread_local unsigned char bytes[BATCH][sizeof(thr_content) + LARGEST];
    rbcore_slice slices[BATCH];
    thr_content what[BATCH];
    size_t count = 1 + roll(BATCH);
    for (size_t i = 0; i < count; i++) {
        what[i] = next_content(self, i);
        fill(bytes[i], &what[i]);
        slices[i] = (rbcore_slice){.data = bytes[i], .size = what[i].size};
    }
    int n = rbcore_producer_output_batch(self->handle, slices, count, wakeup());
    if (n < 0) {
        was_refused(self, n, false);
    }
    demand(n <= (int)count, "%d records of %zu", n, count);
    for (int i = 0; i < n; i++) {
        was_sent(self, &what[i]);
    }
}

/* Reserves some, of which it gives up a few, and hands over the others in another order. */
static void reserve_some(thr_writer *self) {
    void *data[4];
    thr_content what[4];
    size_t count = 0;
    for (size_t most = 1 + roll(4); count < most; count++) {
        what[count] = next_content(self, count);
        int64_t timeout = one_in(2) ? 1000000 : 0;
        int error =
            rbcore_producer_reserve_wait(self->handle, &data[count], what[count].size, timeout);
        if (error != 0) {
            was_refused(self, error, timeout == 0);
            break;
        }
        fill(data[count], &what[count]);
    }
    /* The last ones are given up: the others' numbers follow each other all the same. */
    size_t sent = count > 0 && one_in(3) ? roll((uint32_t)count + 1) : count;
    for (size_t i = count; i-- > 0;) {
        int error = i >= sent ? rbcore_producer_discard(self->handle, data[i], wakeup())
                              : rbcore_producer_submit(self->handle, data[i], wakeup());
        demand(error == 0, "a reserved record cannot be finished: %d", error);
    }
    for (size_t i = 0; i < count; i++) {
        if (i < sent) {
            was_sent(self, &what[i]);
        } else {
            atomic_fetch_add(&self->ring->discarded, 1);
            atomic_fetch_add(&self->ring->spans, span_of(what[i].size));
        }
    }
}

/* Goes with a record reserved, and comes again. */
static void abandon(thr_writer *self) {
    void *data;
    uint32_t size = roll(100);
    int error = rbcore_producer_reserve(self->handle, &data, size);
    if (error != 0) {
        was_refused(self, error, true);
    } else {
        atomic_fetch_add(&self->ring->abandoned, 1);
        atomic_fetch_add(&self->ring->spans, span_of(size));
    }
    rbcore_producer_free(self->handle);
    rbcore_source source = source_of(self->ring);
    demand(rbcore_producer_open(&self->handle, &source) == 0, "no producer");
}

void *write_records(void *argument) {
    thr_writer *self = argument;
    driver_thread(10 + self->number);
    while (self->sent < self->most) {
        switch (roll(one_in(50) && self->owns_handle ? 4 : 3)) {
        case 0:
            output(self);
            break;
        case 1:
            output_batch(self);
            break;
        case 2:
            reserve_some(self);
            break;
        default:
            abandon(self);
        }
    }
    return NULL;
}
