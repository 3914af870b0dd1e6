/* SPDX-License-Identifier: MIT */
/*
 * Records of a kernel ring handed to worker threads, which give them back in random order: batches
 * of random size, two producers, all numbers accounted for, and no record changes while it is held.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

#define PRODUCERS 2
#define WORKERS 3
#define BATCH 300
#define POOL 2000
#define COUNT 500
#define RUNS 300

/* Records that the workers may take, from any place. */
typedef struct record_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rbcore_reader *reader;
    rbcore_record records[POOL];
    struct event events[POOL]; /* what each contained when it was read */
    size_t count;
    bool closed;
} record_pool;

static bool holds_event(const rbcore_record *record, const struct event *event) {
    return memcmp(record->data, event, sizeof(*event)) == 0;
}

/* Takes up to max of the pool's records; none when the pool is closed and empty. */
static size_t take(record_pool *pool, unsigned int *seed, rbcore_record *records,
                   struct event *events, size_t max) {
    size_t taken = 0;
    pthread_mutex_lock(&pool->lock);
    while (!pool->count && !pool->closed) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    for (; taken < max && pool->count; taken++) {
        size_t i = (size_t)rand_r(seed) % pool->count--;
        records[taken] = pool->records[i];
        events[taken] = pool->events[i];
        pool->records[i] = pool->records[pool->count];
        pool->events[i] = pool->events[pool->count];
    }
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

static void *work(void *context) {
    record_pool *pool = context;
    unsigned int seed = (unsigned int)(uintptr_t)&seed >> 4;
    rbcore_record records[64];
    struct event events[64];
    size_t count;
    while ((count = take(pool, &seed, records, events, 1 + (size_t)rand_r(&seed) % 64))) {
        for (size_t i = 0; i < count; i++) {
            if (!holds_event(&records[i], &events[i])) {
                abort();
            }
        }
        if (rbcore_reader_release(pool->reader, records, count)) {
            abort();
        }
    }
    return NULL;
}

static void put(record_pool *pool, const rbcore_record *records, size_t count) {
    pthread_mutex_lock(&pool->lock);
    while (pool->count + count > POOL) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    for (size_t i = 0; i < count; i++) {
        pool->records[pool->count] = records[i];
        memcpy(&pool->events[pool->count++], records[i].data, sizeof(struct event));
    }
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

typedef struct event_producer {
    pthread_t thread;
    struct produce *ring;
    struct produce_args args;
    unsigned char delivered[RUNS * COUNT];
    atomic_bool done;
} event_producer;

static void *run_producer(void *context) {
    event_producer *producer = context;
    for (int i = 0; i < RUNS; i++) {
        produce(producer->ring, &producer->args);
        sleep_ms(1);
    }
    atomic_store(&producer->done, true);
    return NULL;
}

static void account_for(event_producer *producers, const rbcore_record *record) {
    const struct event *event = record->data;
    ck_assert_uint_lt(event->producer, PRODUCERS);
    ck_assert_uint_lt(event->sequence, RUNS * COUNT);
    ck_assert_uint_eq(record->size, event_size(event->producer, event->sequence));
    ck_assert_uint_eq(producers[event->producer].delivered[event->sequence]++, 0);
}

static uint64_t read_all(rbcore_reader *reader, record_pool *pool, event_producer *producers) {
    rbcore_record records[BATCH];
    uint64_t total = 0;
    for (;;) {
        bool done = atomic_load(&producers[0].done) && atomic_load(&producers[1].done);
        size_t max = 1 + (size_t)rand() % BATCH;
        int count = rbcore_reader_next(reader, records, max, 10 * MILLISECOND);
        ck_assert_int_ge(count, 0);
        if (!count && done) {
            return total;
        }
        for (int i = 0; i < count; i++) {
            account_for(producers, &records[i]);
        }
        put(pool, records, (size_t)count);
        total += (uint64_t)count;
    }
}

START_TEST(random_release) {
    struct produce *ring = load_ring(pages(_i ? 256 : 4));
    event_producer *producers = calloc(PRODUCERS, sizeof(*producers));
    record_pool pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER,
                        .reader = open_ring(ring, RBCORE_READER_RELEASE)};
    pthread_t workers[WORKERS];
    uint64_t lost = 0, discarded = 0;
    srand((unsigned int)_i);
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, work, &pool), 0);
    }
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i].ring = ring;
        producers[i].args =
            (struct produce_args){.producer = i, .count = COUNT, .sizes = 2, .discard_each = 9 + i};
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, run_producer, &producers[i]),
                         0);
    }
    uint64_t total = read_all(pool.reader, &pool, producers);
    pthread_mutex_lock(&pool.lock);
    pool.closed = true;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(workers[i], NULL), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        const struct produce_args *args = &producers[i].args;
        uint64_t delivered = 0;
        ck_assert_int_eq(pthread_join(producers[i].thread, NULL), 0);
        for (int j = 0; j < RUNS * COUNT; j++) {
            delivered += producers[i].delivered[j];
        }
        ck_assert_uint_eq(delivered + args->lost + args->discarded, RUNS * COUNT);
        lost += args->lost;
        discarded += args->discarded;
    }
    rbcore_ring_stats stats = stats_of(pool.reader, 0);
    ck_assert_uint_eq(stats.records, total);
    ck_assert_uint_eq(stats.lost, lost);
    ck_assert_uint_eq(stats.discards, discarded);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    ck_assert_uint_eq(stats.bytes_waiting, 0);
    ck_assert_uint_le(stats.high_water, stats.ring_size);
    printf("release, ring of %llu bytes: %llu delivered, %llu lost, %llu discarded\n",
           (unsigned long long)stats.ring_size, (unsigned long long)total, (unsigned long long)lost,
           (unsigned long long)discarded);
    rbcore_reader_free(pool.reader);
    free(producers);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("release stress");
    add_loop_test(suite, random_release, 2);
    return run_kernel_tests(suite, NULL);
}
