/* SPDX-License-Identifier: MIT */
/* The producer of a memory ring: batches of records, and waiting for room. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

/* ---- Batches ------------------------------------------------------------------------------- */

#define BATCH 50

typedef struct batch {
    uint64_t values[BATCH][4];
    rbcore_slice slices[BATCH];
} batch;

/* Records of 1 to 32 bytes, each of them with the low byte of its number. */
static void fill_batch(batch *self, uint64_t first) {
    for (uint64_t i = 0; i < BATCH; i++) {
        memset(self->values[i], (int)(first + i), sizeof(self->values[i]));
        self->slices[i] = (rbcore_slice){.data = self->values[i], .size = 1 + (first + i) * 7 % 32};
    }
}

static void assert_batch(const rbcore_record *records, uint64_t first, int count) {
    for (uint64_t i = 0; i < (uint64_t)count; i++) {
        const uint8_t *data = records[i].data;
        uint32_t size = 1 + (uint32_t)((first + i) * 7 % 32);
        if (records[i].size != size || data[0] != (uint8_t)(first + i) ||
            data[size - 1] != (uint8_t)(first + i)) {
            ck_abort_msg("record %lu is wrong", (unsigned long)(first + i));
        }
    }
}

START_TEST(batches_over_many_laps) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[1024];
    uint64_t sent = 0, seen = 0;
    while (sent < 30000) {
        batch some;
        fill_batch(&some, sent);
        int written = rbcore_producer_output_batch(f.producer, some.slices, BATCH, 0);
        ck_assert(written > 0 || written == -EAGAIN);
        sent += written > 0 ? (uint64_t)written : 0;
        if (written == BATCH) {
            continue;
        }
        int n = read_to_end(f.reader, records, 1024);
        ck_assert_uint_eq(seen + (uint64_t)n, sent); /* filled to the last record that fits */
        assert_batch(records, seen, n);
        seen = sent;
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    ck_assert_uint_eq(ring_stats(&f).lost, 0); /* what did not fit is still ours */
    fixture_close(&f);
}
END_TEST

START_TEST(the_layout_of_a_batch) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    const rbcore_slice slices[] = {{"abc", 3}, {NULL, 0}, {"0123456789", 10}};
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, slices, 3, 0), 3);
    ck_assert_uint_eq(*image_header(&raw, 0), 3);
    ck_assert_mem_eq(raw.data + 8, "abc", 3);
    ck_assert_uint_eq(*image_header(&raw, 16), 0);
    ck_assert_uint_eq(*image_header(&raw, 24), 10);
    ck_assert_mem_eq(raw.data + 32, "0123456789", 10);
    ck_assert_uint_eq(image_load(raw.producer_pos), 48);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

static bool woken(const fixture *f) {
    uint64_t count;
    if (!readable(f->event_fd, 0)) {
        return false;
    }
    ck_assert_int_eq(read(f->event_fd, &count, sizeof(count)), sizeof(count));
    ck_assert_uint_eq(count, 1);
    return true;
}

START_TEST(a_batch_wakes_once_or_not_at_all) {
    fixture f = {0};
    batch some;
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, 4 * page_size(), 0));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    image raw = image_map(f.memory_fd);
    fill_batch(&some, 0);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 0, RBCORE_FORCE_WAKEUP),
                     0);
    ck_assert(!woken(&f)); /* nothing is no reason */
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 7, 0), 7);
    ck_assert(woken(&f));
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 7, 0), 7);
    ck_assert(!woken(&f)); /* behind what the reader has not read */
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 7, RBCORE_FORCE_WAKEUP),
                     7);
    ck_assert(woken(&f));
    image_store(raw.consumer_pos, image_load(raw.producer_pos)); /* all given back */
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 7, RBCORE_NO_WAKEUP), 7);
    ck_assert(!woken(&f));
    image_store(raw.consumer_pos, image_load(raw.producer_pos));
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 7, 0), 7);
    ck_assert(woken(&f));
    image_unmap(&raw);
    fixture_drop(&f);
}
END_TEST

/* A page that stops the batch which copies from it, until it may be read. */
typedef struct stopped_batch {
    uint8_t *page;
    fixture *f;
    rbcore_reader *tap;
    int looks;
} stopped_batch;

static stopped_batch stopped;

static void in_the_middle(int signal) {
    (void)signal;
    rbcore_record records[BATCH];
    if (stopped.looks++ == 0) {
        /* The records that are there already are not visible yet. */
        ck_assert_int_eq(rbcore_reader_look(stopped.f->reader, records, BATCH), 0);
        ck_assert_int_eq(rbcore_reader_look(stopped.tap, records, BATCH), 0);
        rbcore_producer *other = producer_on(stopped.f->memory_fd, stopped.f->event_fd);
        ok(rbcore_producer_output(other, "behind", 6, 0));
        ck_assert_int_eq(rbcore_reader_look(stopped.f->reader, records, BATCH), 0);
        rbcore_producer_free(other);
    }
    ok(mprotect(stopped.page, page_size(), PROT_READ));
}

/* "While the records are copied the reader stops before the first, and other producers go on behind
 * the last." */
START_TEST(while_a_batch_is_copied) {
    if (thread_sanitizer()) {
        printf("skipped: while_a_batch_is_copied: ThreadSanitizer wants less in a handler\n");
        return;
    }
    fixture f = fixture_open(4 * page_size(), 0);
    rbcore_record records[BATCH];
    batch some;
    fill_batch(&some, 0);
    uint8_t *page =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    memcpy(page, some.values[BATCH - 1], sizeof(some.values[0]));
    some.slices[BATCH - 1].data = page;
    ok(mprotect(page, page_size(), PROT_NONE));
    stopped = (stopped_batch){.page = page, .f = &f, .tap = reader_on(&f, 0, RBCORE_SOURCE_TAP)};
    const struct sigaction action = {.sa_handler = in_the_middle};
    struct sigaction before;
    ok(sigaction(SIGSEGV, &action, &before));
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, BATCH, 0), BATCH);
    ok(sigaction(SIGSEGV, &before, NULL));
    ck_assert_int_eq(stopped.looks, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, BATCH), BATCH);
    assert_batch(records, 0, BATCH);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, BATCH), 1);
    ck_assert_mem_eq(records[0].data, "behind", 6);
    rbcore_reader_free(stopped.tap);
    munmap(page, page_size());
    fixture_close(&f);
}
END_TEST

START_TEST(batches_with_something_wrong) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[BATCH];
    batch some;
    fill_batch(&some, 0);
    ck_assert_int_eq(rbcore_producer_output_batch(NULL, some.slices, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 1, 4), -EINVAL);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 0, 0), 0);
    some.slices[2].size = page_size() - 15;
    some.slices[4].data = NULL;
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, BATCH, 0), 2);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices + 2, 5, 0), -EMSGSIZE);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices + 3, 5, 0), 1);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices + 4, 5, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, BATCH), 3);
    assert_batch(records, 0, 2);
    assert_batch(records + 2, 3, 1);
    image raw = image_map(f.memory_fd);
    image_store(raw.producer_pos, 4);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, 1, 0), -EBADMSG);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* The newest records stay, whole batches ago or in the middle of one. */
START_TEST(batches_into_an_overwriting_ring) {
    fixture f = {0};
    const uint64_t size = page_size();
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, size, RBCORE_MEMORY_RING_OVERWRITE));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    image raw = image_map(f.memory_fd);
    uint64_t *overwrite_pos = raw.producer_pos + 2;
    for (uint64_t first = 0; first < 5000; first += BATCH) {
        batch some;
        fill_batch(&some, first);
        ck_assert_int_eq(rbcore_producer_output_batch(f.producer, some.slices, BATCH, 0), BATCH);
    }
    uint64_t position = image_load(overwrite_pos), end = image_load(raw.producer_pos), records = 0;
    ck_assert_uint_lt(end - position, size);
    ck_assert_uint_gt(end - position, size - 48);
    while (position != end) {
        uint32_t length = *image_header(&raw, position);
        ck_assert_uint_le(length, 32);
        position += span_of(length);
        ck_assert_uint_le(end - position, size);
        records++;
    }
    ck_assert_uint_gt(records, BATCH);
    /* More than a lap at once does not overwrite itself. */
    rbcore_slice large[3];
    static uint8_t content[1 << 16];
    for (int i = 0; i < 3; i++) {
        large[i] = (rbcore_slice){content, size / 2 - 16};
    }
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, large, 3, 0), 2);
    ck_assert_int_eq(rbcore_producer_output_batch(f.producer, large + 2, 1, 0), 1);
    image_unmap(&raw);
    fixture_drop(&f);
}
END_TEST

typedef struct writer {
    pthread_t thread;
    rbcore_producer *producer;
    uint64_t id;
    int error;
} writer;

#define WRITERS 3
#define ROWS 400
#define ROW 16

static void *write_rows(void *argument) {
    writer *self = argument;
    for (uint64_t row = 0; row < ROWS && !self->error; row++) {
        uint64_t values[ROW][3];
        rbcore_slice slices[ROW];
        for (uint64_t i = 0; i < ROW; i++) {
            values[i][0] = self->id;
            values[i][1] = row;
            values[i][2] = i;
            slices[i] = (rbcore_slice){values[i], sizeof(values[i])};
        }
        int written = rbcore_producer_output_batch(self->producer, slices, ROW, 0);
        self->error = written == ROW ? 0 : written < 0 ? written : -EPROTO;
    }
    return NULL;
}

/* In each row all is of one writer: its next row. */
START_TEST(batches_of_several_threads) {
    fixture f = fixture_open((size_t)1 << 20, 0); /* room for all */
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    writer writers[WRITERS] = {{0}};
    uint64_t rows[WRITERS] = {0};
    rbcore_record records[ROW];
    for (uint64_t i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.producer = i == 2 ? other : f.producer, .id = i};
        ok(pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]));
    }
    for (int i = 0; i < WRITERS; i++) {
        ok(pthread_join(writers[i].thread, NULL));
        ok(writers[i].error);
    }
    while (rbcore_reader_read(f.reader, records, ROW) == ROW) {
        uint64_t id = *(const uint64_t *)records[0].data;
        ck_assert_uint_lt(id, WRITERS);
        for (uint64_t i = 0; i < ROW; i++) {
            const uint64_t expected[3] = {id, rows[id], i};
            if (memcmp(records[i].data, expected, sizeof(expected)) != 0) {
                ck_abort_msg("record %lu of a row is of another", (unsigned long)i);
            }
        }
        rows[id]++;
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_uint_eq(rows[i], ROWS);
    }
    rbcore_producer_free(other);
    fixture_close(&f);
}
END_TEST

/* ---- Waiting for room ---------------------------------------------------------------------- */

static uint64_t fill_ring(const fixture *f) {
    uint64_t value = 3, count = 0;
    while (rbcore_producer_output(f->producer, &value, sizeof(value), 0) == 0) {
        count++;
    }
    return count;
}

START_TEST(timeouts) {
    fixture f = fixture_open(page_size(), 0);
    void *data;
    ck_assert_int_eq(rbcore_producer_reserve_wait(NULL, &data, 8, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve_wait(f.producer, NULL, 8, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve_wait(f.producer, &data, 8, -2), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve_wait(f.producer, &data, 8, INT64_MIN), -EINVAL);
    ck_assert_int_eq(
        rbcore_producer_reserve_wait(f.producer, &data, page_size() - 15, RBCORE_FOREVER),
        -EMSGSIZE);
    ok(rbcore_producer_reserve_wait(f.producer, &data, 8, INT64_MAX));
    ok(rbcore_producer_submit(f.producer, data, 0));
    fill_ring(&f);
    ck_assert_uint_eq(ring_stats(&f).lost, 1);
    ck_assert_int_eq(rbcore_producer_reserve_wait(f.producer, &data, 8, 0), -EAGAIN);
    ck_assert_uint_eq(ring_stats(&f).lost, 2);
    int64_t begin = now_ns(), cpu = cpu_ns();
    ck_assert_int_eq(rbcore_producer_reserve_wait(f.producer, &data, 8, 200000000), -EAGAIN);
    ck_assert_int_ge(now_ns() - begin, 200 * MILLISECOND);
    ck_assert_int_lt(cpu_ns() - cpu, 100 * MILLISECOND);
    ck_assert_uint_eq(ring_stats(&f).lost, 2); /* the record is still the caller's */
    fixture_close(&f);
}
END_TEST

typedef struct waiter {
    pthread_t thread;
    const fixture *ring;
    int64_t timeout;
    atomic_int result; /* 1: still at it */
} waiter;

static void *wait_for_room(void *argument) {
    waiter *self = argument;
    void *data;
    int result = rbcore_producer_reserve_wait(self->ring->producer, &data, 8, self->timeout);
    if (result == 0) {
        memset(data, 9, 8);
        result = rbcore_producer_submit(self->ring->producer, data, 0);
    }
    atomic_store(&self->result, result);
    return NULL;
}

static void start(waiter *self, const fixture *ring, int64_t timeout) {
    self->ring = ring;
    self->timeout = timeout;
    atomic_store(&self->result, 1);
    ok(pthread_create(&self->thread, NULL, wait_for_room, self));
}

START_TEST(a_commit_ends_a_wait) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[1024];
    waiter waiters[3];
    fill_ring(&f);
    for (int i = 0; i < 3; i++) {
        start(&waiters[i], &f, i ? RBCORE_FOREVER : WATCHDOG_NS);
    }
    sleep_ms(5);
    ck_assert_int_gt(read_to_end(f.reader, records, 1024), 0);
    sleep_ms(5);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(atomic_load(&waiters[i].result), 1); /* read is not given back */
    }
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    for (int i = 0; i < 3; i++) {
        ok(pthread_join(waiters[i].thread, NULL));
        ok(atomic_load(&waiters[i].result));
    }
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 1024, WATCHDOG_NS), 3);
    ck_assert_uint_eq(ring_stats(&f).lost, 1);
    fixture_close(&f);
}
END_TEST

static void ignore(int number) {
    (void)number;
}

START_TEST(a_signal_ends_a_wait) {
    fixture f = fixture_open(page_size(), 0);
    struct sigaction action = {.sa_handler = ignore}; /* not SA_RESTART */
    waiter one;
    ok(sigaction(SIGUSR1, &action, NULL));
    fill_ring(&f);
    start(&one, &f, WATCHDOG_NS);
    while (atomic_load(&one.result) == 1) {
        sleep_ms(1);
        pthread_kill(one.thread, SIGUSR1);
    }
    ok(pthread_join(one.thread, NULL));
    ck_assert_int_eq(atomic_load(&one.result), -EINTR);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {batches_over_many_laps,
                                  the_layout_of_a_batch,
                                  a_batch_wakes_once_or_not_at_all,
                                  while_a_batch_is_copied,
                                  batches_with_something_wrong,
                                  batches_into_an_overwriting_ring,
                                  batches_of_several_threads,
                                  timeouts,
                                  a_commit_ends_a_wait,
                                  a_signal_ends_a_wait,
                                  NULL};
    return run_tests("writing", tests);
}
