/* SPDX-License-Identifier: MIT */
/* The producer of a memory ring: its wakeup rule, its errors, several threads and processes. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

/* Tells whether the ring's eventfd was written since the last call, without any reader's help. */
static bool woken(const fixture *f) {
    uint64_t count;
    if (!readable(f->event_fd, 0)) {
        return false;
    }
    ck_assert_int_eq(read(f->event_fd, &count, sizeof(count)), sizeof(count));
    return true;
}

static void output(const fixture *f, uint32_t flags) {
    uint64_t value = 1;
    ok(rbcore_producer_output(f->producer, &value, sizeof(value), flags));
}

START_TEST(the_wakeup_rule) {
    fixture f = {0};
    void *data, *second;
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), 0));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    image raw = image_map(f.memory_fd);
    output(&f, 0); /* at the consumer's position */
    ck_assert(woken(&f));
    output(&f, 0); /* behind it: the woken reader will find this, too */
    ck_assert(!woken(&f));
    output(&f, RBCORE_FORCE_WAKEUP);
    ck_assert(woken(&f));
    image_store(raw.consumer_pos, 48); /* all given back */
    output(&f, RBCORE_NO_WAKEUP);
    ck_assert(!woken(&f));
    output(&f, 0);
    ck_assert(!woken(&f));
    image_store(raw.consumer_pos, 80);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_producer_reserve(f.producer, &second, 8));
    ck_assert(!woken(&f)); /* nothing to read yet */
    ok(rbcore_producer_submit(f.producer, second, 0));
    ck_assert(!woken(&f)); /* the head is still being written */
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert(woken(&f));
    /* A discard wakes like a submit: a reader that stops before it must go on. */
    image_store(raw.consumer_pos, 112);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_producer_discard(f.producer, data, 0));
    ck_assert(woken(&f));
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_producer_discard(f.producer, data, RBCORE_FORCE_WAKEUP));
    ck_assert(woken(&f));
    image_store(raw.consumer_pos, 144);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    ok(rbcore_producer_discard(f.producer, data, RBCORE_NO_WAKEUP));
    ck_assert(!woken(&f));
    image_unmap(&raw);
    fixture_drop(&f);
}
END_TEST

/* The memory has the kernel's layout, byte by byte. */
START_TEST(the_layout) {
    fixture f = {0};
    void *data;
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), 0));
    f.producer = producer_on(f.memory_fd, f.event_fd);
    image raw = image_map(f.memory_fd);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    ck_assert_uint_eq(image_load(raw.producer_pos), 0);
    ok(rbcore_producer_reserve(f.producer, &data, 13));
    ck_assert_uint_eq(*image_header(&raw, 0), BUSY | 13);
    ck_assert_uint_eq(image_load(raw.producer_pos), 24);
    memcpy(data, "thirteen byte", 13);
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_uint_eq(*image_header(&raw, 0), 13);
    ck_assert_mem_eq(raw.data + 8, "thirteen byte", 13);
    ok(rbcore_producer_reserve(f.producer, &data, 0));
    ck_assert_uint_eq(*image_header(&raw, 24), BUSY);
    ok(rbcore_producer_discard(f.producer, data, 0));
    ck_assert_uint_eq(*image_header(&raw, 24), DISCARDED);
    ck_assert_uint_eq(image_load(raw.producer_pos), 32);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    image_unmap(&raw);
    fixture_drop(&f);
}
END_TEST

START_TEST(wrong_submits) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    uint64_t outside[4] = {16, 16, 16, 16};
    void *data, *others;
    ck_assert_int_eq(rbcore_producer_submit(f.producer, NULL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(NULL, outside, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve(f.producer, NULL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve(NULL, &data, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(f.producer, &outside[1], 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_discard(f.producer, &outside[1], 0), -EINVAL);
    ok(rbcore_producer_reserve(f.producer, &data, 64));
    memset(data, 0xff, 64); /* like headers that are BUSY */
    ok(rbcore_producer_reserve(other, &others, 8));
    uint8_t *bytes = data;
    ck_assert_int_eq(rbcore_producer_submit(f.producer, bytes + 8, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(f.producer, bytes + 16, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(f.producer, bytes + 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(f.producer, bytes - 8, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(f.producer, bytes + 72, 0), -EINVAL); /* other's */
    ck_assert_int_eq(rbcore_producer_submit(f.producer, data, 4), -EINVAL);
    ck_assert_int_eq(rbcore_producer_discard(f.producer, data, UINT32_C(1) << 31), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(other, data, 0), -EINVAL);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0); /* all those did nothing */
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_int_eq(rbcore_producer_submit(f.producer, data, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_discard(f.producer, data, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(record.size, 64);
    ok(rbcore_producer_discard(other, others, 0));
    ck_assert_int_eq(rbcore_producer_discard(other, others, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    rbcore_producer_free(other);
    fixture_close(&f);
}
END_TEST

START_TEST(positions_that_cannot_be) {
    const uint64_t size = page_size();
    const uint64_t cases[][2] = {{8, 0}, {0, size + 8}, {size, UINT64_MAX - 7}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        fixture f = {0};
        void *data;
        ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, size, 0));
        image raw = image_map(f.memory_fd);
        f.producer = producer_on(f.memory_fd, f.event_fd);
        image_store(raw.consumer_pos, cases[i][0]);
        image_store(raw.producer_pos, cases[i][1]);
        ck_assert_int_eq(rbcore_producer_reserve(f.producer, &data, 8), -EBADMSG);
        ck_assert_int_eq(rbcore_producer_output(f.producer, "", 1, 0), -EBADMSG);
        ck_assert_uint_eq(image_load(raw.producer_pos), cases[i][1]);
        rbcore_source source = memory_source(f.memory_fd, f.event_fd);
        rbcore_producer *other;
        ck_assert_int_eq(rbcore_producer_open(&other, &source), -EBADMSG);
        image_unmap(&raw);
        fixture_drop(&f);
    }
}
END_TEST

START_TEST(too_many_producers) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_producer *producers[RBCORE_PRODUCERS_MAX] = {f.producer}, *more;
    for (int i = 1; i < RBCORE_PRODUCERS_MAX; i++) {
        producers[i] = producer_on(f.memory_fd, f.event_fd);
    }
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    unsigned int fds = open_fds();
    ck_assert_int_eq(rbcore_producer_open(&more, &source), -EUSERS);
    ck_assert_uint_eq(open_fds(), fds);
    uint64_t value = 5;
    ok(rbcore_producer_output(producers[63], &value, 8, 0));
    rbcore_producer_free(producers[40]);
    producers[40] = producer_on(f.memory_fd, f.event_fd);
    ok(rbcore_producer_output(producers[40], &value, 8, 0));
    ck_assert_int_eq(rbcore_producer_open(&more, &source), -EUSERS);
    for (int i = 1; i < RBCORE_PRODUCERS_MAX; i++) {
        rbcore_producer_free(producers[i]);
    }
    /* A place is taken anew as often as it becomes free. */
    for (int i = 0; i < 500; i++) {
        rbcore_producer_free(producer_on(f.memory_fd, f.event_fd));
    }
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 2);
    fixture_close(&f);
}
END_TEST

START_TEST(free_abandons_what_is_reserved) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    rbcore_record records[4];
    void *data;
    ok(rbcore_producer_reserve(other, &data, 40));
    produce(&f, 1);
    ok(rbcore_producer_reserve(other, &data, 40));
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    rbcore_producer_free(other);
    int n = 0;
    while (n < 2) {
        int got = rbcore_reader_next(f.reader, records + n, (size_t)(4 - n), WATCHDOG_NS);
        ck_assert_int_gt(got, 0);
        n += got;
    }
    ck_assert_uint_eq(value_of(&records[0]), 1);
    ck_assert_uint_eq(value_of(&records[1]), 2);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 2);
    ck_assert_uint_eq(ring_stats(&f).discards, 0);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, ring_stats(&f).producer_pos);
    fixture_close(&f);
}
END_TEST

START_TEST(the_users_descriptors_may_be_closed) {
    fixture f = fixture_open(page_size(), 0);
    close(f.memory_fd);
    close(f.event_fd);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    produce(&f, 6);
    ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    f.memory_fd = f.event_fd = -1;
    fixture_close(&f);
}
END_TEST

/* ---- Several at once ----------------------------------------------------------------------- */

#define PRODUCERS 4
#define SEQUENCES 6000

typedef struct maker {
    pthread_t thread;
    rbcore_producer *producer;
    const fixture *ring;
    uint32_t id;
    int failed;
} maker;

/* One of four records is discarded, with a sequence number that nobody may ever see. */
static void *make(void *argument) {
    maker *self = argument;
    uint64_t random = self->id;
    for (uint64_t sequence = 0; sequence < SEQUENCES;) {
        uint64_t content[16] = {self->id, sequence};
        size_t size = 16 + random_next(&random) % 100;
        void *data;
        int error = rbcore_producer_reserve(self->producer, &data, size);
        if (error == -EAGAIN) {
            sleep_ms(1);
            continue;
        }
        bool discard = random_next(&random) % 4 == 0;
        content[1] = discard ? UINT64_MAX : sequence;
        memcpy(data, content, size);
        if (!error) {
            error = discard ? rbcore_producer_discard(self->producer, data, 0)
                            : rbcore_producer_submit(self->producer, data, 0);
        }
        if (error) {
            self->failed = error;
            break;
        }
        sequence += !discard;
    }
    return NULL;
}

static int make_in_child(void *argument) {
    maker *self = argument;
    self->producer = producer_on(self->ring->memory_fd, self->ring->event_fd);
    make(self);
    rbcore_producer_free(self->producer);
    return self->failed ? 1 : 0;
}

static void account_for_all(fixture *f) {
    uint64_t expected[PRODUCERS] = {0};
    rbcore_record records[64];
    for (int total = 0; total < PRODUCERS * SEQUENCES;) {
        int n = rbcore_reader_next(f->reader, records, 64, WATCHDOG_NS);
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            uint64_t content[2];
            memcpy(content, records[i].data, sizeof(content));
            ck_assert_uint_lt(content[0], PRODUCERS);
            ck_assert_uint_eq(content[1], expected[content[0]]++);
        }
        ok(rbcore_reader_commit(f->reader, NULL, 0));
        total += n;
    }
}

static void account_for_none(fixture *f) {
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f->reader, &record, 1), 0);
    ck_assert_uint_eq(ring_stats(f).abandoned, 0);
    ck_assert_uint_eq(ring_stats(f).consumer_pos, ring_stats(f).producer_pos);
}

START_TEST(several_threads) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    maker makers[PRODUCERS] = {{0}};
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        /* Some share a handle, some have one of their own. */
        makers[i] = (maker){.producer = i % 2 ? other : f.producer, .id = i};
        ok(pthread_create(&makers[i].thread, NULL, make, &makers[i]));
    }
    account_for_all(&f);
    for (int i = 0; i < PRODUCERS; i++) {
        ok(pthread_join(makers[i].thread, NULL));
        ok(makers[i].failed);
    }
    account_for_none(&f);
    rbcore_producer_free(other);
    fixture_close(&f);
}
END_TEST

START_TEST(several_processes) {
    if (thread_sanitizer()) {
        printf("skipped: several_processes: ThreadSanitizer does not follow fork()\n");
        return;
    }
    fixture f = fixture_open(page_size(), 0);
    maker makers[PRODUCERS];
    pid_t pids[PRODUCERS];
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        makers[i] = (maker){.ring = &f, .id = i};
        pids[i] = start_child(make_in_child, &makers[i]);
    }
    account_for_all(&f);
    for (int i = 0; i < PRODUCERS; i++) {
        ck_assert_int_eq(wait_child(pids[i]), 0);
    }
    account_for_none(&f);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_wakeup_rule,
                                  the_layout,
                                  wrong_submits,
                                  positions_that_cannot_be,
                                  too_many_producers,
                                  free_abandons_what_is_reserved,
                                  the_users_descriptors_may_be_closed,
                                  several_threads,
                                  several_processes,
                                  NULL};
    return run_tests("producer", tests);
}
