/* SPDX-License-Identifier: MIT */
/*
 * random_threads [SEED [RECORDS]]: rounds of random calls by several threads: some write, one
 * consumes, others tap, release what it has read, and do what any thread may do. Each round has a
 * seed of its own, which says what each thread does; it does not say in which order.
 */
#include "threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS_OF_WRITER 2000 /* in a round */

thr_round the_round;

static void open_rings(thr_round *self) {
    self->ring_count = 1 + roll(RINGS_MAX);
    for (unsigned i = 0; i < self->ring_count; i++) {
        thr_ring *ring = &self->rings[i];
        ring->overwrites = one_in(3);
        ring->size = page_size() << roll(5);
        uint32_t flags = ring->overwrites ? RBCORE_MEMORY_RING_OVERWRITE : 0;
        int error = rbcore_memory_ring_create(&ring->memory_fd, &ring->event_fd, ring->size, flags);
        demand(error == 0, "no ring");
    }
}

/* Two may share a handle: its functions are for any thread. */
static void open_writers(thr_round *self, uint64_t records) {
    self->writer_count = self->ring_count + roll(WRITERS_MAX - self->ring_count + 1);
    for (unsigned i = 0; i < self->writer_count; i++) {
        thr_writer *writer = &self->writers[i];
        writer->number = i;
        writer->ring = &self->rings[i % self->ring_count];
        writer->most = records;
        writer->owns_handle = true;
        if (i >= self->ring_count && one_in(2)) {
            thr_writer *other = &self->writers[i - self->ring_count];
            writer->handle = other->handle;
            writer->owns_handle = other->owns_handle = false;
            continue;
        }
        rbcore_source source = source_of(writer->ring);
        demand(rbcore_producer_open(&writer->handle, &source) == 0, "no producer");
    }
}

static void open_consumers(thr_round *self) {
    static const int64_t latencies[] = {RBCORE_DEFAULT_MAX_LATENCY, 0, 60000, 100000};
    self->consumer_count = 1 + roll(READERS_MAX);
    for (unsigned i = 0; i < self->consumer_count; i++) {
        thr_consumer *consumer = &self->consumers[i];
        consumer->number = i;
        consumer->is_tap = i > 0;
        consumer->releases = one_in(2);
        consumer->max_latency_ns = latencies[roll(4)];
        bool polls = one_in(4) && consumer->max_latency_ns > 0;
        consumer->flags =
            (consumer->releases ? RBCORE_READER_RELEASE : 0) | (polls ? RBCORE_READER_POLL : 0);
        consumer->returns_on_discards = one_in(4);
        pthread_mutex_init(&consumer->handle_lock, NULL);
        consumer->ring_count = self->ring_count;
        for (unsigned j = 0; j < self->ring_count; j++) {
            consumer->readings[j].ring = &self->rings[j];
            consumer->readings[j].may_lose = self->rings[j].overwrites || consumer->is_tap;
        }
    }
}

static void start(pthread_t *thread, void *(*body)(void *), void *argument) {
    demand(pthread_create(thread, NULL, body, argument) == 0, "no thread");
}

static void run_threads(thr_round *self) {
    self->worker_count = 1 + roll(WORKERS_MAX);
    for (unsigned i = 0; i < self->consumer_count; i++) {
        start(&self->consumers[i].thread, consume_records, &self->consumers[i]);
    }
    for (unsigned i = 0; i < self->worker_count; i++) {
        start(&self->workers[i], work, (void *)(uintptr_t)i);
    }
    start(&self->meddler, meddle, NULL);
    for (unsigned i = 0; i < self->writer_count; i++) {
        start(&self->writers[i].thread, write_records, &self->writers[i]);
    }
    for (unsigned i = 0; i < self->writer_count; i++) {
        pthread_join(self->writers[i].thread, NULL);
    }
    /* Records that are reserved by then belong to no thread. */
    for (unsigned i = 0; i < self->writer_count; i++) {
        bool is_shared = false;
        for (unsigned j = 0; j < i; j++) {
            is_shared |= self->writers[j].handle == self->writers[i].handle;
        }
        if (!is_shared) {
            rbcore_producer_free(self->writers[i].handle);
        }
    }
    atomic_store(&self->written, true);
    for (unsigned i = 0; i < self->consumer_count; i++) {
        pthread_join(self->consumers[i].thread, NULL);
    }
    atomic_store(&self->read, true);
    for (unsigned i = 0; i < self->worker_count; i++) {
        pthread_join(self->workers[i], NULL);
    }
    pthread_join(self->meddler, NULL);
}

/* ---- The sums ---- */

/* Each record exactly once: the order was checked, so that the last one came is enough. */
static void check_ring(const thr_round *self, const thr_reading *reading) {
    uint64_t sent = 0;
    for (unsigned i = 0; i < self->writer_count; i++) {
        const thr_writer *writer = &self->writers[i];
        if (writer->ring == reading->ring) {
            sent += writer->sent;
            demand(reading->may_lose || reading->next[i] == writer->sent,
                   "%" PRIu64 " records of writer %u came, of %" PRIu64, reading->next[i], i,
                   writer->sent);
        }
    }
    const thr_ring *ring = reading->ring;
    demand(reading->total <= sent && (reading->may_lose || reading->total == sent),
           "%" PRIu64 " records came, of %" PRIu64, reading->total, sent);
    demand(reading->discards <= atomic_load(&ring->discarded) + atomic_load(&ring->abandoned) &&
               (reading->may_lose || reading->discards == atomic_load(&ring->discarded)),
           "%" PRIu64 " discarded records were passed", reading->discards);
    demand(reading->abandoned <= atomic_load(&ring->abandoned) &&
               (reading->may_lose || reading->abandoned == atomic_load(&ring->abandoned)),
           "%" PRIu64 " abandoned records were passed", reading->abandoned);
}

static void check_consumer(const thr_round *self, thr_consumer *consumer) {
    rbcore_reader *handle = atomic_load(&consumer->handle);
    for (unsigned i = 0; i < consumer->ring_count; i++) {
        thr_reading *reading = &consumer->readings[i];
        rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
        demand(rbcore_reader_ring_stats(handle, reading->index, &stats) == 0, "ring_stats");
        demand(stats.start_pos + reading->handed + stats.passed_bytes + stats.lost_bytes ==
                   stats.read_pos,
               "start_pos + handed out + passed + lost is not read_pos");
        demand(stats.producer_pos == atomic_load(&reading->ring->spans),
               "producer_pos is %" PRIu64 ", but %llu bytes were written", stats.producer_pos,
               atomic_load(&reading->ring->spans));
        demand(stats.read_pos == stats.producer_pos && stats.user_pos == stats.read_pos,
               "not all was read and given back: %" PRIu64 ", %" PRIu64 " of %" PRIu64,
               stats.read_pos, stats.user_pos, stats.producer_pos);
        demand(stats.lost == atomic_load(&reading->ring->refused),
               "%" PRIu64 " records refused, not %llu", stats.lost,
               atomic_load(&reading->ring->refused));
        reading->discards += stats.discards;
        reading->abandoned += stats.abandoned;
        check_ring(self, reading);
    }
    demand(consumer->cancelled <= atomic_load(&consumer->interrupts), "-ECANCELED for nothing");
    demand(consumer->flushed <= atomic_load(&consumer->flushes), "-ENODATA for nothing");
    rbcore_reader_free(handle);
    pthread_mutex_destroy(&consumer->handle_lock);
}

static uint64_t run_round(uint64_t seed, uint64_t records) {
    thr_round *self = &the_round;
    memset(self, 0, sizeof(*self));
    driver_seed(seed);
    open_rings(self);
    open_writers(self, records);
    open_consumers(self);
    run_threads(self);
    uint64_t sent = 0;
    for (unsigned i = 0; i < self->writer_count; i++) {
        sent += self->writers[i].sent;
    }
    for (unsigned i = 0; i < self->consumer_count; i++) {
        check_consumer(self, &self->consumers[i]);
    }
    for (unsigned i = 0; i < self->ring_count; i++) {
        close(self->rings[i].memory_fd);
        close(self->rings[i].event_fd);
    }
    return sent;
}

static void describe(void) {
    const thr_round *self = &the_round;
    for (unsigned i = 0; i < self->ring_count; i++) {
        fprintf(stderr, "ring %u: %zu bytes%s\n", i, self->rings[i].size,
                self->rings[i].overwrites ? ", overwrite" : "");
    }
    for (unsigned i = 0; i < self->writer_count; i++) {
        fprintf(stderr, "writer %u: ring %td, %" PRIu64 " of %" PRIu64 " records%s\n", i,
                self->writers[i].ring - self->rings, self->writers[i].sent, self->writers[i].most,
                self->writers[i].owns_handle ? "" : ", by a shared handle");
    }
    for (unsigned i = 0; i < self->consumer_count; i++) {
        const thr_consumer *consumer = &self->consumers[i];
        fprintf(stderr, "consumer %u: flags %" PRIu32 ", max_latency_ns %" PRId64 "%s, %llu held\n",
                i, consumer->flags, consumer->max_latency_ns, consumer->is_tap ? ", tap" : "",
                atomic_load(&consumer->held));
        for (unsigned j = 0; j < consumer->ring_count; j++) {
            fprintf(stderr, "  ring %u: %" PRIu64 " records\n", j, consumer->readings[j].total);
        }
    }
}

int main(int count, char **arguments) {
    uint64_t seed = seed_of(count > 1 ? arguments[1] : NULL), sent = 0, rounds = 0;
    run_length length =
        run_length_of(count > 2 ? arguments[2] : NULL, "RBCORE_RANDOM_RECORDS", 100000);
    driver_start(arguments[0], describe);
    printf("seed %" PRIu64 ", %" PRIu64 " records\n", seed, length.most);
    fflush(stdout);
    for (; run_length_has_more(&length, sent); rounds++) {
        sent += run_round(seed + rounds, RECORDS_OF_WRITER);
    }
    printf("%" PRIu64 " records in %" PRIu64 " rounds\n", sent, rounds);
    return 0;
}
