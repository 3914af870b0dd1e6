/* SPDX-License-Identifier: MIT */
/*
 * After a ring was added nothing is allocated, whatever is read, committed, released or refused.
 * The allocator's functions are defined here, in the executable, so that the library calls these.
 */
#include "support.h"

#include <pthread.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__) ||        \
    defined(RBCORE_STATIC)

int main(void) {
    skip("the allocator cannot be replaced: it is the sanitizer's, not glibc's, or linked "
         "statically");
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *old);

static _Atomic bool counting;
static _Atomic unsigned int calls;

static void count(void) {
    calls += counting;
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    count();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    count();
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}

void free(void *old) {
    calls += counting && old;
    __libc_free(old);
}

/* Check's assertions allocate, so nothing may be asserted between these two. */
static void begin(void) {
    calls = 0;
    counting = true;
}

static void end(void) {
    counting = false;
    ck_assert_uint_eq(calls, 0);
}

START_TEST(the_library_calls_these) {
    begin();
    rbcore_reader *reader = NULL;
    rbcore_reader_open(&reader, NULL);
    unsigned int opened = calls;
    rbcore_reader_free(reader);
    counting = false;
    ck_assert_uint_gt(opened, 0);
    ck_assert_uint_gt(calls, opened);
}
END_TEST

#define ROUNDS 300
#define BATCH 32

/* Everything that can be done without asserting; returns how many records came. */
static int work(const fixture *f, const fixture *g, bool release, uint64_t *random) {
    static rbcore_record records[BATCH];
    uint64_t value[8] = {0};
    for (int i = 0; i < BATCH; i++) {
        rbcore_producer_output(i % 2 ? f->producer : g->producer, value,
                               random_next(random) % sizeof(value), 0);
    }
    void *data = NULL;
    if (!rbcore_producer_reserve(f->producer, &data, 9)) {
        rbcore_producer_discard(f->producer, data, 0);
        rbcore_producer_discard(f->producer, data, 0);
    }
    int total = 0, n;
    while ((n = rbcore_reader_read(f->reader, records, 1 + random_next(random) % BATCH)) > 0) {
        total += n;
        if (release) {
            rbcore_reader_release(f->reader, records, (size_t)n);
            rbcore_reader_release(f->reader, records, (size_t)n);
        } else if (random_next(random) % 2) {
            rbcore_reader_commit(f->reader, &records[n - 1], 0);
            rbcore_reader_commit(f->reader, &records[n - 1], 0);
        }
    }
    rbcore_reader_commit(f->reader, NULL, 0);
    rbcore_reader_commit(f->reader, NULL, 7);
    rbcore_reader_next(f->reader, records, BATCH, 1000);
    rbcore_reader_next(f->reader, records, 0, -2);
    rbcore_reader_interrupt(f->reader);
    rbcore_reader_read(f->reader, records, BATCH);
    rbcore_reader_flush(f->reader);
    rbcore_reader_read(f->reader, records, BATCH);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    rbcore_reader_ring_stats(f->reader, f->ring, &stats);
    rbcore_reader_ring_stats(f->reader, 99, &stats);
    rbcore_reader_remove(f->reader, 99);
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_reader_identity(f->reader, records, &identity);
    rbcore_reader_message(f->reader);
    rbcore_strerror(-EBADMSG);
    return total;
}

static void work_in(uint32_t flags) {
    fixture f = fixture_open(page_size(), flags);
    fixture g = fixture_add(f.reader, page_size());
    uint64_t random = 3;
    int total = 0;
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        total += work(&f, &g, flags, &random);
    }
    end();
    ck_assert_int_gt(total, ROUNDS);
    fixture_drop(&g);
    fixture_close(&f);
}

START_TEST(in_commit_mode) {
    work_in(0);
}
END_TEST

START_TEST(in_release_mode) {
    work_in(RBCORE_READER_RELEASE);
}
END_TEST

START_TEST(of_a_snapshot_taken_anew) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *snapshot = NULL;
    rbcore_record records[BATCH];
    int error = 0, found = 0;
    produce(&f, 1);
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0));
    begin();
    for (int i = 0; i < 100; i++) {
        error |= rbcore_producer_output(f.producer, &i, sizeof(i), 0);
        error |= rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0);
        for (int n = 1; n > 0; found += n) {
            n = rbcore_snapshot_read(snapshot, records, BATCH);
        }
    }
    end();
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(found, 100 + 100 * 101 / 2);
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}
END_TEST

START_TEST(of_a_ring_that_overwrites) {
    rbcore_record records[BATCH];
    fixture f = {0};
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(),
                                 RBCORE_MEMORY_RING_OVERWRITE));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    f.reader = reader_on(&f, 0, RBCORE_SOURCE_OVERWRITE);
    int error = 0, found = 0;
    begin();
    for (int i = 0; i < 3000; i++) {
        error |= rbcore_producer_output(f.producer, &i, sizeof(i), 0);
        for (int n = 1; i % 700 == 0 && n > 0; found += n) {
            n = rbcore_reader_read(f.reader, records, BATCH);
            error |= rbcore_reader_commit(f.reader, NULL, 0);
        }
    }
    end();
    ck_assert_int_eq(error, 0);
    ck_assert_int_gt(found, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(of_a_broken_ring) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    rbcore_record record;
    image_store_header(&raw, 0, 4000);
    image_store(raw.producer_pos, 16);
    begin();
    int first = rbcore_reader_read(f.reader, &record, 1);
    int second = rbcore_reader_next(f.reader, &record, 1, RBCORE_FOREVER);
    end();
    ck_assert_int_eq(first, -EBADMSG);
    ck_assert_int_eq(second, -EBADMSG);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

typedef struct releaser {
    const fixture *f;
    pthread_barrier_t *barrier;
    const rbcore_record *records;
    int failed;
} releaser;

static void *release_half(void *argument) {
    releaser *self = argument;
    pthread_barrier_wait(self->barrier);
    for (int i = 0; i < 100; i++) {
        self->failed |= rbcore_reader_release(self->f->reader, &self->records[2 * i], 1);
    }
    pthread_barrier_wait(self->barrier);
    return NULL;
}

START_TEST(of_releases_from_threads) {
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    pthread_barrier_t barrier;
    pthread_t threads[2];
    rbcore_record records[200];
    for (uint64_t i = 0; i < 200; i++) {
        produce(&f, i);
    }
    ck_assert_int_eq(read_to_end(f.reader, records, 200), 200);
    ok(pthread_barrier_init(&barrier, NULL, 3));
    releaser halves[2] = {{&f, &barrier, records, 0}, {&f, &barrier, records + 1, 0}};
    for (int i = 0; i < 2; i++) {
        ok(pthread_create(&threads[i], NULL, release_half, &halves[i]));
    }
    begin();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    end();
    for (int i = 0; i < 2; i++) {
        ok(pthread_join(threads[i], NULL));
        ok(halves[i].failed);
    }
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 200 * 16);
    ok(pthread_barrier_destroy(&barrier));
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_library_calls_these,   in_commit_mode,
                                  in_release_mode,           of_a_snapshot_taken_anew,
                                  of_a_ring_that_overwrites, of_a_broken_ring,
                                  of_releases_from_threads,  NULL};
    return run_tests("allocations", tests);
}

#endif
