/* SPDX-License-Identifier: MIT */
/* Records given back one by one: in any order, from any thread, after the reader is gone. */
#include "support.h"

#include <pthread.h>
#include <sched.h>

#define BATCH 200
#define THREADS 3

static void shuffle(rbcore_record *records, uint32_t n, uint64_t *random) {
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = random_next(random) % i;
        rbcore_record swapped = records[i - 1];
        records[i - 1] = records[k];
        records[k] = swapped;
    }
}

START_TEST(the_finished_prefix_advances) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    image raw = image_map(f.memory_fd);
    uint64_t random = 3;
    for (int round = 0; round < 40; round++) {
        rbcore_record records[BATCH], order[BATCH];
        bool back[BATCH] = {false};
        uint32_t n = 1 + random_next(&random) % BATCH;
        for (uint32_t i = 0; i < n; i++) {
            produce(&f, i);
        }
        ck_assert_int_eq(read_to_end(f.reader, records, BATCH), (int)n);
        memcpy(order, records, sizeof(order));
        shuffle(order, n, &random);
        const uint64_t start = records[0].position;
        uint32_t prefix = 0;
        for (uint32_t i = 0; i < n; i++) {
            ok(rbcore_reader_release(f.reader, &order[i], 1));
            back[(order[i].position - start) / 16] = true;
            while (prefix < n && back[prefix]) {
                prefix++;
            }
            ck_assert_uint_eq(image_load(raw.consumer_pos), start + prefix * 16);
        }
    }
    ck_assert_uint_eq(ring_stats(&f).user_pos, ring_stats(&f).producer_pos);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* Nobody has to release them. */
START_TEST(discards_alone) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    rbcore_record record;
    void *data;
    ok(rbcore_producer_reserve(f.producer, &data, 64));
    ok(rbcore_producer_discard(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    rbcore_ring_stats stats = ring_stats(&f);
    ck_assert_uint_eq(stats.read_pos, span_of(64));
    ck_assert_uint_eq(stats.user_pos, span_of(64));
    ck_assert_uint_eq(stats.consumer_pos, span_of(64));
    fixture_close(&f);
}
END_TEST

START_TEST(discards_between) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    image raw = image_map(f.memory_fd);
    rbcore_record records[4];
    void *data;
    for (int i = 0; i < 3; i++) {
        produce(&f, 1);
        ok(rbcore_producer_reserve(f.producer, &data, 64));
        ok(rbcore_producer_discard(f.producer, data, 0));
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 3);
    ok(rbcore_reader_release(f.reader, &records[1], 1));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    ok(rbcore_reader_release(f.reader, &records[0], 1));
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[2].position);
    ok(rbcore_reader_release(f.reader, &records[2], 1));
    ck_assert_uint_eq(image_load(raw.consumer_pos), image_load(raw.producer_pos));
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

typedef struct worker {
    pthread_t thread;
    rbcore_reader *reader;
    rbcore_record records[BATCH];
    uint32_t n;
    int failed;
} worker;

/* All wait for the last one: else each is done before the next has started. */
static _Atomic bool all_started;

static void *release_all(void *argument) {
    worker *self = argument;
    while (!all_started) {
        sched_yield();
    }
    for (uint32_t i = 0; i < self->n;) {
        uint32_t n = i % 5 + 1;
        n = n > self->n - i ? self->n - i : n;
        self->failed |= rbcore_reader_release(self->reader, self->records + i, n);
        i += n;
    }
    return NULL;
}

/* Hands the records out to the threads at random, each with its own in random order. */
static void release_from_threads(rbcore_reader *reader, rbcore_record *records, uint32_t n,
                                 uint64_t *random) {
    static worker workers[THREADS];
    memset(workers, 0, sizeof(workers));
    shuffle(records, n, random);
    for (uint32_t i = 0; i < n; i++) {
        worker *w = &workers[random_next(random) % THREADS];
        w->records[w->n++] = records[i];
    }
    all_started = false;
    for (int i = 0; i < THREADS; i++) {
        workers[i].reader = reader;
        ok(pthread_create(&workers[i].thread, NULL, release_all, &workers[i]));
    }
    all_started = true;
    for (int i = 0; i < THREADS; i++) {
        ok(pthread_join(workers[i].thread, NULL));
        ok(workers[i].failed);
    }
}

START_TEST(from_several_threads) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    fixture g = fixture_add(f.reader, page_size());
    uint64_t random = 4;
    for (int round = 0; round < 60; round++) {
        rbcore_record records[BATCH];
        for (uint64_t i = 0; i < BATCH; i++) {
            produce(i % 3 ? &f : &g, i);
        }
        ck_assert_int_eq(read_to_end(f.reader, records, BATCH), BATCH);
        release_from_threads(f.reader, records, BATCH, &random);
        ck_assert_uint_eq(ring_stats(&f).consumer_pos, ring_stats(&f).producer_pos);
        ck_assert_uint_eq(ring_stats(&g).consumer_pos, ring_stats(&g).producer_pos);
    }
    ck_assert_uint_eq(ring_stats(&f).lost, 0);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

typedef struct watcher {
    pthread_t thread;
    image raw;
    _Atomic bool stop;
    _Atomic uint64_t went_back;
} watcher;

static void *watch(void *argument) {
    watcher *self = argument;
    uint64_t last = 0;
    while (!self->stop) {
        uint64_t position = image_load(self->raw.consumer_pos);
        self->went_back += position < last;
        last = position;
    }
    return NULL;
}

/*
 * The releases of several threads may meet in any way: a position once given to producers stays
 * given.
 */
START_TEST(the_position_never_goes_back) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    watcher w = {.raw = image_map(f.memory_fd)};
    uint64_t random = 6;
    const int64_t until = now_ns() + SECOND;
    ok(pthread_create(&w.thread, NULL, watch, &w));
    while (now_ns() < until) {
        rbcore_record records[BATCH];
        for (uint64_t i = 0; i < BATCH; i++) {
            produce(&f, i);
        }
        ck_assert_int_eq(read_to_end(f.reader, records, BATCH), BATCH);
        release_from_threads(f.reader, records, BATCH, &random);
        ck_assert_uint_eq(image_load(w.raw.consumer_pos), image_load(w.raw.producer_pos));
    }
    w.stop = true;
    ok(pthread_join(w.thread, NULL));
    ck_assert_uint_eq(w.went_back, 0);
    image_unmap(&w.raw);
    fixture_close(&f);
}
END_TEST

START_TEST(what_is_not_held) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    fixture other = fixture_open(page_size(), RBCORE_READER_RELEASE);
    image raw = image_map(f.memory_fd);
    rbcore_record records[8], foreigns[30], batch[4];
    for (uint64_t i = 0; i < 8; i++) {
        produce(&f, i);
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 7), 7);
    ck_assert_int_eq(rbcore_reader_commit(f.reader, NULL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_commit(f.reader, &records[0], 0), -EINVAL);
    /* A record is released twice, in two calls: only the second one is wrong. */
    ok(rbcore_reader_release(f.reader, &records[1], 1));
    ck_assert_int_eq(rbcore_reader_release(f.reader, &records[1], 1), -EINVAL);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    /* A record is released twice in one call, with a good one behind it. */
    batch[0] = batch[1] = records[2];
    batch[2] = records[0];
    ck_assert_int_eq(rbcore_reader_release(f.reader, batch, 3), -EINVAL);
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[3].position);
    /* The record is stale: it was given back and passed. */
    ck_assert_int_eq(rbcore_reader_release(f.reader, &records[0], 1), -EINVAL);
    /* The record is from a reader whose ring has the same index but is further on. */
    for (uint64_t i = 0; i < 30; i++) {
        produce(&other, i);
        ck_assert_int_eq(rbcore_reader_read(other.reader, &foreigns[i], 1), 1);
    }
    ck_assert_uint_eq(foreigns[29].ring, records[0].ring);
    ck_assert_int_eq(rbcore_reader_release(f.reader, &foreigns[29], 1), -EINVAL);
    /*
     * The record was never handed out: it is inside another record, beyond, of no ring; a good one
     * in each call.
     */
    const uint64_t positions[] = {records[4].position + 8, records[4].position + 1,
                                  end_of(&records[6]), UINT64_MAX - 7,
                                  records[4].position + page_size()};
    for (size_t i = 0; i < sizeof(positions) / sizeof(*positions); i++) {
        rbcore_record bad = records[4];
        bad.position = positions[i];
        ck_assert_int_eq(rbcore_reader_release(f.reader, &bad, 1), -EINVAL);
    }
    rbcore_record foreign = records[4]; /* as from another reader's ring */
    foreign.data = foreigns[4].data;
    ck_assert_int_eq(rbcore_reader_release(f.reader, &foreign, 1), -EINVAL);
    batch[0] = records[4];
    batch[0].ring = 1;
    batch[1] = records[3];
    batch[2] = records[4];
    batch[2].ring = UINT16_MAX;
    batch[3] = records[5];
    ck_assert_int_eq(rbcore_reader_release(f.reader, batch, 4), -EINVAL);
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[4].position);
    ok(rbcore_reader_release(f.reader, &records[4], 1));
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[6].position);
    ok(rbcore_reader_release(f.reader, &records[6], 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), records[6].position);
    ok(rbcore_reader_release(f.reader, &records[6], 1));
    ok(rbcore_reader_release(other.reader, foreigns, 30));
    image_unmap(&raw);
    fixture_close(&other);
    fixture_close(&f);
}
END_TEST

static int add_again(const fixture *f) {
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, NULL));
    rbcore_source source = memory_source(f->memory_fd, f->event_fd);
    int result = rbcore_reader_add(reader, &source);
    rbcore_reader_free(reader);
    return result;
}

START_TEST(the_mapping_outlives_the_reader) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    rbcore_record records[BATCH];
    uint64_t random = 8;
    for (uint64_t i = 0; i < BATCH; i++) {
        produce(&f, i);
    }
    ck_assert_int_eq(read_to_end(f.reader, records, BATCH), BATCH);
    unsigned int fds = open_fds();
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(add_again(&f), -EBUSY);
    for (uint64_t i = 0; i < BATCH; i++) {
        ck_assert_uint_eq(value_of(&records[i]), i);
    }
    /* The last of these releases, in whichever thread, frees the reader. */
    release_from_threads(f.reader, records, BATCH, &random);
    ck_assert_int_eq(add_again(&f), 0);
    ck_assert_uint_lt(open_fds(), fds);
    fixture_drop(&f);
}
END_TEST

START_TEST(the_ring_is_taken_until_the_last_release) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    rbcore_record records[3];
    unsigned int before = 0;
    for (uint64_t i = 0; i < 3; i++) {
        produce(&f, i);
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 3), 3);
    before = open_fds();
    rbcore_reader_free(f.reader);
    ok(rbcore_reader_release(f.reader, &records[2], 1));
    ok(rbcore_reader_release(f.reader, &records[0], 1));
    ck_assert_int_eq(rbcore_reader_release(f.reader, &records[0], 1), -EINVAL);
    ck_assert_int_eq(add_again(&f), -EBUSY);
    ck_assert_uint_eq(value_of(&records[1]), 1);
    ok(rbcore_reader_release(f.reader, &records[1], 1));
    ck_assert_int_eq(add_again(&f), 0);
    ck_assert_uint_lt(open_fds(), before);
    fixture_drop(&f);
}
END_TEST

START_TEST(the_other_rings_are_free_at_once) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record record;
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(add_again(&g), 0);
    ck_assert_int_eq(add_again(&f), -EBUSY);
    ck_assert_uint_eq(value_of(&record), 1);
    ok(rbcore_reader_release(f.reader, &record, 1));
    ck_assert_int_eq(add_again(&f), 0);
    fixture_drop(&g);
    fixture_drop(&f);
}
END_TEST

START_TEST(a_removed_ring_stays_until_the_last_release) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record records[2], record;
    produce(&f, 1);
    produce(&f, 2);
    produce(&f, 3);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
    ok(rbcore_reader_remove(f.reader, f.ring));
    ck_assert_int_eq(rbcore_reader_remove(f.reader, f.ring), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    ck_assert_uint_eq(value_of(&records[0]), 1);
    ck_assert_uint_eq(value_of(&records[1]), 2);
    ck_assert_int_eq(add_again(&f), -EBUSY);
    ok(rbcore_reader_release(f.reader, &records[1], 1));
    ck_assert_int_eq(add_again(&f), -EBUSY);
    ok(rbcore_reader_release(f.reader, &records[0], 1));
    ck_assert_int_eq(rbcore_reader_release(f.reader, &records[0], 1), -EINVAL);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    int index = rbcore_reader_add(f.reader, &source);
    ck_assert_int_gt(index, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(value_of(&record), 3);
    ck_assert_uint_eq(record.ring, index);
    ok(rbcore_reader_release(f.reader, &record, 1));
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

START_TEST(references) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    produce(&f, 1);
    ok(rbcore_reader_ref(f.reader));
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(value_of(&record), 1);
    ck_assert_int_eq(add_again(&f), -EBUSY);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(add_again(&f), 0);
    fixture_drop(&f);
}
END_TEST

START_TEST(release_after_shutdown) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    rbcore_record record;
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_shutdown(f.reader));
    ok(rbcore_reader_release(f.reader, &record, 1));
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 16);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_finished_prefix_advances,
                                  discards_alone,
                                  discards_between,
                                  from_several_threads,
                                  the_position_never_goes_back,
                                  what_is_not_held,
                                  the_mapping_outlives_the_reader,
                                  the_ring_is_taken_until_the_last_release,
                                  the_other_rings_are_free_at_once,
                                  a_removed_ring_stays_until_the_last_release,
                                  references,
                                  release_after_shutdown,
                                  NULL};
    return run_tests("release", tests);
}
