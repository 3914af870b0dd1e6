/* SPDX-License-Identifier: MIT */
/* Threads that release what the consumer has read, and that do what any thread may do. */
#include "threads.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The held records of all consumers that release; they are taken out at random. */
#define POOL 4096

typedef struct thr_pooled {
    thr_consumer *from;
    rbcore_reader *handle;
    rbcore_record record;
} thr_pooled;

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static thr_pooled pool[POOL];
static size_t pool_count;

void hand_over(thr_consumer *from, const rbcore_record *records, size_t count) {
    rbcore_reader *handle = atomic_load(&from->handle);
    for (size_t i = 0; i < count;) {
        pthread_mutex_lock(&pool_lock);
        bool has_room = pool_count < POOL;
        if (has_room) {
            pool[pool_count++] =
                (thr_pooled){.from = from, .handle = handle, .record = records[i++]};
        }
        pthread_mutex_unlock(&pool_lock);
        if (!has_room) {
            sched_yield();
        }
    }
}

/* Some of one handle. */
static size_t take(thr_pooled *out, size_t max) {
    size_t count = 0;
    pthread_mutex_lock(&pool_lock);
    while (count < max && pool_count > 0) {
        size_t i = roll((uint32_t)pool_count);
        if (count > 0 && pool[i].handle != out[0].handle) {
            break;
        }
        out[count++] = pool[i];
        pool[i] = pool[--pool_count];
    }
    pthread_mutex_unlock(&pool_lock);
    return count;
}

void *work(void *number) {
    thr_pooled some[8];
    rbcore_record records[8];
    driver_thread(100 + (uint64_t)(uintptr_t)number);
    for (;;) {
        bool is_last_look = atomic_load(&the_round.read);
        size_t count = take(some, 1 + roll(8));
        for (size_t i = 0; i < count; i++) {
            uint32_t writer;
            uint64_t sequence;
            read_content(&some[i].record, &writer, &sequence); /* unchanged until it is released */
            records[i] = some[i].record;
        }
        if (count > 0) {
            int error = rbcore_reader_release(some[0].handle, records, count);
            demand(error == 0, "release of %zu: %d", count, error);
            atomic_fetch_sub(&some[0].from->held, count);
        } else if (is_last_look) {
            return NULL;
        } else {
            sched_yield();
        }
    }
}

/* With the reader's rings, and a ring without its reader, while it may be removed and added. */
static void look_at_rings(const thr_consumer *self, rbcore_reader *handle) {
    int ring = -1, last = -1;
    while ((ring = rbcore_reader_ring_after(handle, last)) >= 0) {
        demand(ring > last, "ring %d comes after ring %d", ring, last);
        last = ring;
    }
    demand(ring == -ENOENT, "ring_after: %d", ring);
    const rbcore_source source = source_of(self->readings[roll(self->ring_count)].ring);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    int error = rbcore_source_ring_stats(&source, &stats);
    demand(error == 0, "source_ring_stats: %d", error);
    demand(stats.consumer_pos <= stats.producer_pos && stats.bytes_waiting <= stats.ring_size,
           "positions out of order");
    demand(stats.reader_pid == 0 || stats.reader_pid == (uint64_t)getpid(),
           "process %" PRIu64 " has the ring", stats.reader_pid);
}

static void look_around(thr_consumer *self, rbcore_reader *handle) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    rbcore_ring_stats ring = RBCORE_RING_STATS_INIT;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_record record = {.ring = (uint16_t)roll(4), .position = 8};
    demand(rbcore_reader_stats_get(handle, &stats) == 0, "stats_get");
    demand(stats.rings <= self->ring_count, "%" PRIu64 " rings", stats.rings);
    int error = rbcore_reader_ring_stats(handle, roll(4), &ring);
    demand(error == 0 || error == -EINVAL, "ring_stats: %d", error);
    if (error == 0) {
        demand(ring.read_pos >= ring.start_pos && ring.producer_pos >= ring.user_pos,
               "positions out of order");
        demand(ring.bytes_waiting <= ring.ring_size, "more waits than the ring has");
    }
    error = rbcore_reader_identity(handle, &record, &identity);
    demand(error == 0 || error == -EINVAL, "identity: %d", error);
    demand(rbcore_reader_fd(handle) >= 0, "no descriptor");
    look_at_rings(self, handle);
}

static void disturb(thr_consumer *self, rbcore_reader *handle) {
    if (one_in(2)) {
        atomic_fetch_add(&self->flushes, 1);
        demand(rbcore_reader_flush(handle) == 0, "flush");
    } else {
        atomic_fetch_add(&self->interrupts, 1);
        demand(rbcore_reader_interrupt(handle) == 0, "interrupt");
    }
}

/* The consumer may free its own reference meanwhile: then this one is the last. */
void *meddle(void *unused) {
    (void)unused;
    driver_thread(200);
    while (!atomic_load(&the_round.read)) {
        thr_consumer *self = &the_round.consumers[roll(the_round.consumer_count)];
        pthread_mutex_lock(&self->handle_lock);
        rbcore_reader *handle = atomic_load(&self->handle);
        bool has_one = handle != NULL && rbcore_reader_ref(handle) == 0;
        pthread_mutex_unlock(&self->handle_lock);
        for (unsigned i = has_one ? 1 + roll(6) : 0; i > 0; i--) {
            (one_in(3) ? disturb : look_around)(self, handle);
        }
        struct timespec pause = {.tv_nsec = roll(300000)};
        nanosleep(&pause, NULL);
        if (has_one) {
            rbcore_reader_free(handle);
        }
    }
    return NULL;
}
