/* SPDX-License-Identifier: MIT */
/* The threads that read: one that consumes, and taps. */
#include "return_on_discards.h"
#include "threads.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>

#define MAX_RECORDS 256
#define MAX_SPANS 32

/* ---- Rings ---- */

static int try_add(thr_consumer *self, thr_reading *reading) {
    rbcore_source source = source_of(reading->ring);
    source.flags = (reading->ring->overwrites ? RBCORE_SOURCE_OVERWRITE : 0) |
                   (self->is_tap ? RBCORE_SOURCE_TAP : 0);
    return rbcore_reader_add(atomic_load(&self->handle), &source);
}

static rbcore_ring_stats stats_of(const thr_consumer *self, const thr_reading *reading) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    int error = rbcore_reader_ring_stats(atomic_load(&self->handle), reading->index, &stats);
    demand(error == 0, "ring_stats: %d", error);
    return stats;
}

/* The one before may still live for a record or a reference that another thread has. */
static void add(thr_consumer *self, thr_reading *reading) {
    int index;
    while ((index = try_add(self, reading)) == -EBUSY) {
        sched_yield();
    }
    demand(index >= 0, "add: %d: %s", index, rbcore_reader_message(atomic_load(&self->handle)));
    reading->index = (unsigned)index;
    reading->handed = reading->records = reading->bytes = 0;
    const rbcore_ring_stats stats = stats_of(self, reading);
    demand(self->is_tap || stats.start_pos == reading->start_pos,
           "goes on at %" PRIu64 ", not at %" PRIu64, stats.start_pos, reading->start_pos);
    reading->start_pos = stats.start_pos;
}

static void check_sums(const thr_consumer *self, thr_reading *reading) {
    const rbcore_ring_stats stats = stats_of(self, reading);
    demand(stats.records == reading->records && stats.bytes == reading->bytes,
           "%" PRIu64 " records, not %" PRIu64, stats.records, reading->records);
    demand(stats.start_pos + reading->handed + stats.passed_bytes + stats.lost_bytes ==
               stats.read_pos,
           "start_pos + handed out + passed + lost is not read_pos");
    demand(reading->may_lose || stats.lost_bytes == 0, "lost %" PRIu64 " bytes", stats.lost_bytes);
    demand(!(stats.flags & RBCORE_RING_BROKEN), "a ring is broken");
    reading->start_pos = stats.read_pos;
    reading->losses += stats.lost_bytes > 0; /* no record may have come since, to tell it */
    reading->discards += stats.discards;
    reading->abandoned += stats.abandoned;
}

static void open_handle(thr_consumer *self) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = self->flags;
    options.max_latency_ns = self->max_latency_ns;
    rbcore_reader *handle = NULL;
    demand(rbcore_reader_open(&handle, &options) == 0, "no reader");
    if (self->returns_on_discards) {
        rbc_reader_return_on_discards(handle);
    }
    atomic_store(&self->handle, handle);
    for (unsigned i = 0; i < self->ring_count; i++) {
        add(self, &self->readings[i]);
    }
}

/* The workers release the held records, which ends it. */
static void close_handle(thr_consumer *self) {
    for (unsigned i = 0; i < self->ring_count; i++) {
        check_sums(self, &self->readings[i]);
    }
    pthread_mutex_lock(&self->handle_lock);
    rbcore_reader_free(atomic_exchange(&self->handle, NULL));
    pthread_mutex_unlock(&self->handle_lock);
}

static void remove_and_add(thr_consumer *self) {
    thr_reading *reading = &self->readings[roll(self->ring_count)];
    rbcore_reader *handle = atomic_load(&self->handle);
    rbcore_snapshot *snapshot = NULL;
    if (!self->releases) {
        demand(rbcore_reader_commit(handle, NULL, 0) == 0, "commit");
    }
    check_sums(self, reading);
    demand(rbcore_reader_remove(handle, reading->index) == 0, "remove");
    /* This is so while others release the last records of it, too. */
    int error = rbcore_reader_snapshot(handle, reading->index, &snapshot, 0);
    demand(error == -EINVAL && snapshot == NULL, "a snapshot of a removed ring: %d", error);
    add(self, reading);
}

/* ---- Records ---- */

static thr_reading *reading_of(thr_consumer *self, unsigned index) {
    for (unsigned i = 0; i < self->ring_count; i++) {
        if (self->readings[i].index == index) {
            return &self->readings[i];
        }
    }
    demand(false, "a record of ring %u, which is none", index);
    return NULL;
}

/* Whole, once, and in the order of its writer; what is left out is said to be lost. */
static void check_record(thr_consumer *self, const rbcore_record *record) {
    thr_reading *reading = reading_of(self, record->ring);
    uint32_t writer;
    uint64_t sequence;
    read_content(record, &writer, &sequence);
    reading->losses += (record->flags & RBCORE_RECORD_LOST_BEFORE) != 0;
    uint64_t *next = &reading->next[writer];
    demand(sequence >= *next, "number %" PRIu64 " of writer %u again, or late: %" PRIu64 " is next",
           sequence, writer, *next);
    bool is_told = reading->losses != reading->epoch[writer] || (self->is_tap && *next == 0);
    demand(sequence == *next || (reading->may_lose && is_told),
           "number %" PRIu64 " of writer %u, but %" PRIu64 " is next, and none said to be lost",
           sequence, writer, *next);
    *next = sequence + 1;
    reading->epoch[writer] = reading->losses;
    reading->handed += span_of(record->size);
    reading->bytes += record->size;
    reading->records++;
    reading->total++;
}

static int read_spans(thr_consumer *self, rbcore_record *records, int64_t timeout) {
    rbcore_span spans[MAX_SPANS];
    int n = rbcore_reader_next_spans(atomic_load(&self->handle), spans, 1 + roll(MAX_SPANS),
                                     MAX_RECORDS, timeout);
    int count = 0;
    for (int i = 0; i < n; i++) {
        for (uint32_t j = 0; j < spans[i].count; j++) {
            records[count++] = (rbcore_record){
                .data = (const unsigned char *)spans[i].data + (size_t)j * spans[i].stride,
                .position = spans[i].position + (uint64_t)j * spans[i].stride,
                .size = spans[i].size,
                .ring = spans[i].ring,
                .flags = j == 0 ? spans[i].flags : RBCORE_RECORD_COPIED};
        }
    }
    return n > 0 ? count : n;
}

static int read_some(thr_consumer *self, rbcore_record *records) {
    rbcore_reader *handle = atomic_load(&self->handle);
    size_t max = 1 + roll(one_in(2) ? MAX_RECORDS : 8);
    int64_t timeout = one_in(2) ? 0 : roll(1000000);
    switch (roll(self->releases ? 3 : 4)) {
    case 0:
        return rbcore_reader_read(handle, records, max);
    case 1:
        return rbcore_reader_look(handle, records, max);
    case 2:
        return rbcore_reader_next(handle, records, max, timeout);
    default:
        return read_spans(self, records, timeout);
    }
}

static void give_back(thr_consumer *self, const rbcore_record *records, int n) {
    rbcore_reader *handle = atomic_load(&self->handle);
    if (self->releases) {
        atomic_fetch_add(&self->held, (unsigned)n);
        hand_over(self, records, (size_t)n);
    } else if (!one_in(4)) {
        const rbcore_record *last = one_in(2) ? NULL : &records[roll((uint32_t)n)];
        int error = rbcore_reader_commit(handle, last, one_in(4) ? RBCORE_COMMIT_NOW : 0);
        demand(error == 0, "commit: %d: %s", error, rbcore_reader_message(handle));
    }
}

static void take_snapshot(thr_consumer *self) {
    rbcore_record record;
    rbcore_snapshot *snapshot = NULL;
    const thr_reading *reading = &self->readings[roll(self->ring_count)];
    int error = rbcore_reader_snapshot(atomic_load(&self->handle), reading->index, &snapshot, 0);
    demand(error == 0 || (error == -EAGAIN && reading->may_lose), "snapshot: %d", error);
    uint64_t next[WRITERS_MAX] = {0};
    int n = 0;
    while (error == 0 && (n = rbcore_snapshot_read(snapshot, &record, 1)) == 1) {
        uint32_t writer;
        uint64_t sequence;
        read_content(&record, &writer, &sequence);
        demand(next[writer] == 0 || sequence == next[writer], "a snapshot with a gap");
        next[writer] = sequence + 1;
    }
    demand(n == 0, "snapshot_read: %d", n);
    rbcore_snapshot_free(snapshot);
}

/* Reads once. Returns what the call did. */
static int read_once(thr_consumer *self) {
    static _Thread_local rbcore_record records[MAX_RECORDS];
    int n = read_some(self, records);
    for (int i = 0; i < n; i++) {
        check_record(self, &records[i]);
    }
    if (n > 0) {
        give_back(self, records, n);
    } else if (n == -ENOBUFS || (n == 0 && !self->releases)) {
        demand(!self->releases, "-ENOBUFS while it releases");
        demand(rbcore_reader_commit(atomic_load(&self->handle), NULL, 0) == 0, "commit");
    }
    self->cancelled += n == -ECANCELED;
    self->flushed += n == -ENODATA;
    demand(n >= 0 || n == -ECANCELED || n == -ENODATA || n == -EAGAIN || n == -ENOBUFS, "%d: %s", n,
           rbcore_reader_message(atomic_load(&self->handle)));
    return n;
}

/* When nothing is written any more: all that is there, and all of it given back. */
static void read_the_rest(thr_consumer *self) {
    rbcore_record records[8];
    for (int n = 1; n != 0 || atomic_load(&self->held) > 0;) {
        bool was_held = atomic_load(&self->held) > 0;
        n = rbcore_reader_read(atomic_load(&self->handle), records, 8);
        for (int i = 0; i < n; i++) {
            check_record(self, &records[i]);
        }
        if (n > 0 && self->releases) {
            atomic_fetch_add(&self->held, (unsigned)n);
            hand_over(self, records, (size_t)n);
        } else if (n > 0 || n == -ENOBUFS) {
            demand(rbcore_reader_commit(atomic_load(&self->handle), NULL, 0) == 0, "commit");
        }
        self->cancelled += n == -ECANCELED;
        self->flushed += n == -ENODATA;
        n = was_held && n == 0 ? 1 : n;
        sched_yield();
    }
}

void *consume_records(void *argument) {
    thr_consumer *self = argument;
    driver_thread(50 + self->number);
    open_handle(self);
    while (!atomic_load(&the_round.written)) {
        read_once(self);
        if (one_in(40)) {
            take_snapshot(self);
        }
        if (one_in(200) && !self->is_tap) {
            remove_and_add(self);
        }
        if (one_in(300) && !self->is_tap && self->releases) {
            close_handle(self);
            open_handle(self);
        }
    }
    if (!self->releases) {
        demand(rbcore_reader_commit(atomic_load(&self->handle), NULL, 0) == 0, "commit");
    }
    read_the_rest(self);
    return NULL;
}
