/* SPDX-License-Identifier: MIT */
/*
 * records SEED SECONDS [RECORDS]: reads what producers make as fast as they can, for so long or
 * until there were so many records, in batches of random size, gives them back in random portions
 * (commit) or in random order from other threads (release), and accounts for each: exactly once, in
 * its producer's order, whole as long as it is held. Each episode has rings of its own, of a random
 * size, and its parameters follow from the seed. Prints what was counted as one line of JSON.
 */
#include "ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RINGS_MAX 3
#define PRODUCERS_MAX 3 /* of a ring */
#define WORKERS_MAX 2
#define HELD_MAX 4096
#define BATCH_MAX 512
#define HANG_SECONDS 60

static struct {
    uint64_t episodes, records, discarded, refused, commits, releases, spans;
} counted;

typedef struct parameters {
    size_t ring_size;
    unsigned int rings, producers, workers; /* no workers: commit */
    bool by_spans;
    bool is_silent; /* some records wake nobody: then waits must be short */
    int64_t max_latency_ns;
    uint64_t records; /* of each producer */
} parameters;

typedef struct producer_thread {
    pthread_t thread;
    producing producing;
    uint64_t records;
    rbcore_reader *reader;
    atomic_bool done;
} producer_thread;

/* Records that wait for a worker, in no order. */
typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rbcore_reader *reader;
    rbcore_record records[HELD_MAX];
    size_t count;
    bool closed;
} pool;

typedef struct worker {
    pthread_t thread;
    pool *pool;
    uint64_t random, releases;
} worker;

typedef struct episode {
    parameters is;
    uint64_t random;
    ring rings[RINGS_MAX];
    producer_thread producers[RINGS_MAX * PRODUCERS_MAX];
    rbcore_reader *reader;
    uint64_t next[RINGS_MAX][PRODUCERS_MAX]; /* the number that must come next */
    uint64_t position[RINGS_MAX];            /* the end of the last record */
    uint64_t records[RINGS_MAX];
    rbcore_record held[HELD_MAX]; /* commit: in the order in which they were handed out */
    size_t held_count;
    pool pool;
    worker workers[WORKERS_MAX];
} episode;

/* ---- Producers ----------------------------------------------------------------------------- */

static void *produce_all(void *argument) {
    producer_thread *self = argument;
    const struct tally *tally = &self->producing.ring->tallies[self->producing.id];
    while (tally->done < self->records) {
        uint64_t left = self->records - tally->done;
        uint32_t most = 1 + (uint32_t)random_below(&self->producing.random, 1000);
        if (!producing_run(&self->producing, left < most ? (uint32_t)left : most)) {
            usleep(20); /* the ring is full */
        }
    }
    atomic_store(&self->done, true);
    EXPECT(rbcore_reader_interrupt(self->reader) == 0);
    return NULL;
}

static unsigned int producers_of(const episode *self) {
    return self->is.rings * self->is.producers;
}

static void start_producers(episode *self) {
    for (unsigned int i = 0; i < producers_of(self); i++) {
        producer_thread *p = &self->producers[i];
        p->records = self->is.records;
        p->reader = self->reader;
        producing_open(&p->producing, &self->rings[i % self->is.rings], i / self->is.rings,
                       flow_random(&self->random));
        p->producing.is_silent = self->is.is_silent;
        EXPECT(pthread_create(&p->thread, NULL, produce_all, p) == 0);
    }
}

static bool producers_are_done(episode *self) {
    for (unsigned int i = 0; i < producers_of(self); i++) {
        if (!atomic_load(&self->producers[i].done)) {
            return false;
        }
    }
    return true;
}

static void join_producers(episode *self) {
    for (unsigned int i = 0; i < producers_of(self); i++) {
        EXPECT(pthread_join(self->producers[i].thread, NULL) == 0);
        producing_close(&self->producers[i].producing);
    }
}

/* ---- Giving back --------------------------------------------------------------------------- */

static void expect_intact(const rbcore_record *records, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!is_intact(&records[i])) {
            FAIL("torn: the record at %llu changed while it was held",
                 (unsigned long long)records[i].position);
        }
    }
}

/* Takes up to max of the pool's records, from any place; none when it is closed and empty. */
static size_t pool_take(pool *self, rbcore_record *records, size_t max, uint64_t *random) {
    size_t taken = 0;
    pthread_mutex_lock(&self->lock);
    while (!self->count && !self->closed) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    for (; taken < max && self->count; taken++) {
        size_t i = random_below(random, self->count--);
        records[taken] = self->records[i];
        self->records[i] = self->records[self->count];
    }
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return taken;
}

static void pool_put(pool *self, const rbcore_record *records, size_t count) {
    pthread_mutex_lock(&self->lock);
    while (self->count + count > HELD_MAX) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    memcpy(&self->records[self->count], records, count * sizeof(*records));
    self->count += count;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void *release_in_any_order(void *argument) {
    worker *self = argument;
    rbcore_record records[BATCH_MAX];
    size_t count;
    while ((count = pool_take(self->pool, records, 1 + random_below(&self->random, BATCH_MAX),
                              &self->random))) {
        expect_intact(records, count);
        EXPECT(rbcore_reader_release(self->pool->reader, records, count) == 0);
        self->releases++;
    }
    return NULL;
}

static void start_workers(episode *self) {
    pool *p = &self->pool;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->reader = self->reader;
    for (unsigned int i = 0; i < self->is.workers; i++) {
        self->workers[i] = (worker){.pool = p, .random = flow_random(&self->random)};
        EXPECT(pthread_create(&self->workers[i].thread, NULL, release_in_any_order,
                              &self->workers[i]) == 0);
    }
}

static void join_workers(episode *self) {
    pthread_mutex_lock(&self->pool.lock);
    self->pool.closed = true;
    pthread_cond_broadcast(&self->pool.changed);
    pthread_mutex_unlock(&self->pool.lock);
    for (unsigned int i = 0; i < self->is.workers; i++) {
        EXPECT(pthread_join(self->workers[i].thread, NULL) == 0);
        counted.releases += self->workers[i].releases;
    }
    pthread_mutex_destroy(&self->pool.lock);
    pthread_cond_destroy(&self->pool.changed);
}

/* The first count of the records that are held, or all. */
static void commit(episode *self, size_t count) {
    uint32_t flags = random_below(&self->random, 8) ? 0 : RBCORE_COMMIT_NOW;
    if (count == 0) {
        return;
    }
    expect_intact(self->held, count);
    bool all = count == self->held_count && random_below(&self->random, 2);
    int error = rbcore_reader_commit(self->reader, all ? NULL : &self->held[count - 1], flags);
    if (error) {
        FAIL("commit of %zu of %zu: %d", count, self->held_count, error);
    }
    counted.commits++;
    self->held_count -= count;
    memmove(self->held, &self->held[count], self->held_count * sizeof(*self->held));
}

/* ---- Reading ------------------------------------------------------------------------------- */

static void account_for(episode *self, const rbcore_record *record) {
    unsigned int index = record->ring;
    EXPECT(index < self->is.rings);
    uint64_t first = expect_name(record);
    uint32_t producer = flow_producer(first);
    EXPECT(producer < self->is.producers);
    uint64_t wanted = self->next[index][producer]++;
    if (flow_number(first) != wanted) {
        FAIL("ring %u, producer %u: %llu came instead of %llu (%s)", index, producer,
             (unsigned long long)flow_number(first), (unsigned long long)wanted,
             flow_number(first) < wanted ? "doubled" : "lost");
    }
    if (record->position < self->position[index]) {
        FAIL("ring %u: position %llu comes again", index, (unsigned long long)record->position);
    }
    self->position[index] = record->position + (record->size + 15) / 8 * 8;
    self->records[index]++;
}

static int read_by_spans(episode *self, rbcore_record *records, size_t max, int64_t timeout_ns) {
    rbcore_span spans[BATCH_MAX];
    size_t most = 1 + random_below(&self->random, BATCH_MAX);
    int n = rbcore_reader_next_spans(self->reader, spans, most, max, timeout_ns), total = 0;
    for (int i = 0; i < n; i++) {
        for (uint32_t j = 0; j < spans[i].count; j++) {
            EXPECT((size_t)total < max);
            records[total++] =
                (rbcore_record){(const uint8_t *)spans[i].data + (size_t)j * spans[i].stride,
                                spans[i].position + (uint64_t)j * spans[i].stride, spans[i].size,
                                spans[i].ring, spans[i].flags};
        }
    }
    counted.spans += n > 0 ? (uint64_t)n : 0;
    return n < 0 ? n : total;
}

/* A wait without end but for a watchdog. With silent producers there may be no wakeup. */
static int64_t timeout_of(const episode *self, bool waits) {
    return !waits ? 0 : self->is.is_silent ? MILLISECOND : WATCHDOG_NS;
}

static int read_some(episode *self, rbcore_record *records, size_t max, bool waits) {
    int64_t timeout_ns = timeout_of(self, waits);
    if (self->is.by_spans) {
        return read_by_spans(self, records, max, timeout_ns);
    }
    switch (waits ? 0 : random_below(&self->random, 4)) {
    case 1:
        return rbcore_reader_read(self->reader, records, max);
    case 2:
        return rbcore_reader_look(self->reader, records, max);
    default:
        return rbcore_reader_next(self->reader, records, max, timeout_ns);
    }
}

static void take(episode *self, const rbcore_record *records, size_t count) {
    for (size_t i = 0; i < count; i++) {
        account_for(self, &records[i]);
    }
    if (self->is.workers) {
        pool_put(&self->pool, records, count);
        return;
    }
    memcpy(&self->held[self->held_count], records, count * sizeof(*records));
    self->held_count += count;
}

/* Returns what the read returned. */
static int read_and_give_back(episode *self, bool waits) {
    rbcore_record records[BATCH_MAX];
    size_t max = 1 + random_below(&self->random, random_below(&self->random, 4) ? BATCH_MAX : 16);
    if (waits || self->held_count + max > HELD_MAX) {
        commit(self, self->held_count);
    }
    int n = read_some(self, records, max, waits);
    if (n < 0 && n != -EAGAIN && n != -ENOBUFS && n != -ENODATA && n != -ECANCELED) {
        FAIL("read: %d, %s", n, rbcore_reader_message(self->reader));
    }
    if (n == 0 && timeout_of(self, waits) == WATCHDOG_NS) {
        FAIL("hung: a wait of 20 s ended without a record");
    }
    take(self, records, n > 0 ? (size_t)n : 0);
    if (n <= 0) {
        commit(self, self->held_count);
    } else if (self->held_count && random_below(&self->random, 2)) {
        commit(self, random_below(&self->random, self->held_count + 1));
    }
    return n;
}

/* A producer that is done interrupts a wait: that may be the last that there is to hear of. */
static void read_all(episode *self) {
    uint64_t rounds = 0;
    while (!producers_are_done(self)) {
        read_and_give_back(self, random_below(&self->random, 4) == 0);
        if (++rounds % 1024 == 0) {
            alarm(HANG_SECONDS);
        }
    }
    EXPECT(rbcore_reader_flush(self->reader) == 0);
    while (read_and_give_back(self, true) != -ENODATA) {
    }
}

/* ---- The books ----------------------------------------------------------------------------- */

static void balance(episode *self, unsigned int index) {
    const ring *r = &self->rings[index];
    uint64_t discarded = 0, refused = 0;
    for (unsigned int i = 0; i < self->is.producers; i++) {
        const struct tally *tally = &r->tallies[i];
        if (self->next[index][i] != tally->done) {
            FAIL("ring %u, producer %u: lost: %llu of %llu came", index, i,
                 (unsigned long long)self->next[index][i], (unsigned long long)tally->done);
        }
        discarded += tally->discarded;
        refused += tally->refused;
    }
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    EXPECT(rbcore_reader_ring_stats(self->reader, index, &stats) == 0);
    EXPECT(stats.records == self->records[index]);
    EXPECT(stats.discards == discarded);
    EXPECT(stats.lost == refused);
    EXPECT(stats.abandoned == 0 && stats.lost_bytes == 0);
    EXPECT(stats.read_pos == stats.producer_pos && stats.user_pos == stats.read_pos);
    counted.records += self->records[index];
    counted.discarded += discarded;
    counted.refused += refused;
}

/* ---- Episodes ------------------------------------------------------------------------------ */

static parameters random_parameters(uint64_t *random) {
    static const size_t pages[] = {1, 1, 2, 4, 16, 64, 256, 1024};
    static const int64_t latencies[] = {0, 100000, 500000, RBCORE_DEFAULT_MAX_LATENCY};
    parameters p = {
        .ring_size = pages[random_below(random, 8)] * page_size(),
        .rings = random_below(random, 2) ? 1 : 1 + (unsigned int)random_below(random, RINGS_MAX),
        .max_latency_ns = latencies[random_below(random, 4)],
        .producers = 1 + (unsigned int)random_below(random, PRODUCERS_MAX),
        .workers = (unsigned int)random_below(random, WORKERS_MAX + 1),
    };
    p.is_silent = random_below(random, 2);
    p.by_spans = !p.workers && random_below(random, 3) == 0;
    /* In a small ring both sides often wait for each other. */
    p.records = (p.ring_size < 65536 ? 100000 : 1000000) / (p.rings * p.producers);
    return p;
}

static void open_all(episode *self) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = self->is.workers ? RBCORE_READER_RELEASE : 0;
    options.max_latency_ns = self->is.max_latency_ns;
    EXPECT(rbcore_reader_open(&self->reader, &options) == 0);
    for (unsigned int i = 0; i < self->is.rings; i++) {
        ring_open(&self->rings[i], self->is.ring_size);
        int index = rbcore_reader_add(self->reader, &self->rings[i].source);
        if (index != (int)i) {
            FAIL("add: %d, %s", index, rbcore_reader_message(self->reader));
        }
    }
}

static void run_episode(uint64_t seed) {
    episode *self = calloc(1, sizeof(*self));
    EXPECT(self);
    self->random = seed;
    self->is = random_parameters(&self->random);
    set_context(
        "episode %llu: %u rings of %zu bytes, %u producers each, %u workers%s, latency %lld%s",
        (unsigned long long)seed, self->is.rings, self->is.ring_size, self->is.producers,
        self->is.workers, self->is.by_spans ? ", spans" : "", (long long)self->is.max_latency_ns,
        self->is.is_silent ? ", silent" : "");
    alarm(HANG_SECONDS); /* which ends the program */
    open_all(self);
    start_workers(self);
    start_producers(self);
    read_all(self);
    join_producers(self);
    join_workers(self);
    for (unsigned int i = 0; i < self->is.rings; i++) {
        balance(self, i);
    }
    rbcore_reader_free(self->reader);
    for (unsigned int i = 0; i < self->is.rings; i++) {
        ring_close(&self->rings[i]);
    }
    free(self);
    counted.episodes++;
}

static uint64_t reached(void) {
    return counted.records;
}

int main(int argc, char **argv) {
    play_episodes(argc, argv, run_episode, reached);
    printf("{\"records\": %llu, \"episodes\": %llu, \"discarded\": %llu, \"refused\": %llu, "
           "\"commits\": %llu, \"releases\": %llu, \"spans\": %llu}\n",
           (unsigned long long)counted.records, (unsigned long long)counted.episodes,
           (unsigned long long)counted.discarded, (unsigned long long)counted.refused,
           (unsigned long long)counted.commits, (unsigned long long)counted.releases,
           (unsigned long long)counted.spans);
    return 0;
}
