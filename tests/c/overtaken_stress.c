/* SPDX-License-Identifier: MIT */
/*
 * Copies at full speed, beside producers that make all of their calls: a ring in overwrite mode
 * with a reader, a tap and snapshots; a normal ring with a tap beside its consumer, and one whose
 * records are given back while it is copied. Each word of each record is
 * checked, each producer's numbers ascend, and the bytes balance. tests/kernel/overwrite_stress.c
 * is the same of the kernel's rings.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define PRODUCERS 2
#define BATCH 256
#define WORDS_MAX 24

static uint64_t records_of_each(void) {
    const char *wish = getenv("RBCORE_STRESS_RECORDS");
    return wish != NULL ? strtoull(wish, NULL, 10) : 30000;
}

static uint64_t word_of(uint64_t first, uint64_t i) {
    return first ^ (i * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t words_in(uint64_t first) {
    return 1 + (first * UINT64_C(2654435761) >> 20) % WORDS_MAX;
}

typedef struct producing {
    pthread_t thread;
    rbcore_producer *producer;
    uint64_t id;
    bool waits_for_room;
    uint64_t pause_each; /* so many records: then the reader gets a chance */
    _Atomic bool done;
    uint64_t bytes;
} producing;

static void fill(uint64_t *words, uint64_t first) {
    for (uint64_t i = 0; i < words_in(first); i++) {
        words[i] = word_of(first, i);
    }
}

/* Each of these returns how many records it wrote: 0 if there was no room. */
static uint64_t write_reserved(const producing *self, uint64_t sequence) {
    uint64_t first = self->id << 56 | sequence;
    void *data;
    int error = rbcore_producer_reserve(self->producer, &data, words_in(first) * 8);
    if (error == -EAGAIN) {
        return 0;
    }
    ok(error);
    fill(data, first);
    ok(sequence % 13 == 0 ? rbcore_producer_discard(self->producer, data, 0)
                          : rbcore_producer_submit(self->producer, data, 0));
    return 1;
}

static uint64_t write_output(const producing *self, uint64_t sequence) {
    uint64_t first = self->id << 56 | sequence, words[WORDS_MAX];
    fill(words, first);
    int error = rbcore_producer_output(self->producer, words, words_in(first) * 8, 0);
    if (error == -EAGAIN) {
        return 0;
    }
    ok(error);
    return 1;
}

#define BATCHED 40

static uint64_t write_batch(const producing *self, uint64_t sequence) {
    uint64_t words[BATCHED][WORDS_MAX], left = records_of_each() - sequence;
    uint64_t wanted = 1 + words_in(sequence) * 7 % BATCHED, count = left < wanted ? left : wanted;
    rbcore_slice slices[BATCHED];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t first = self->id << 56 | (sequence + i);
        fill(words[i], first);
        slices[i] = (rbcore_slice){words[i], words_in(first) * 8};
    }
    int written = rbcore_producer_output_batch(self->producer, slices, count, 0);
    if (written == -EAGAIN) {
        return 0;
    }
    ck_assert_msg(written > 0, "output_batch: %d", written);
    return (uint64_t)written;
}

/* Writes some records. All calls are used, one after the other. */
static uint64_t write_some(producing *self, uint64_t sequence) {
    static uint64_t (*const calls[])(const producing *, uint64_t) = {write_reserved, write_output,
                                                                     write_batch, write_batch};
    uint64_t count = calls[words_in(sequence / 3) % 4](self, sequence);
    for (uint64_t i = 0; i < count; i++) {
        self->bytes += span_of(words_in(self->id << 56 | (sequence + i)) * 8);
    }
    return count;
}

static void *write_all(void *argument) {
    producing *self = argument;
    const uint64_t count = records_of_each();
    for (uint64_t i = 0, paused = 0; i < count;) {
        uint64_t written = write_some(self, i);
        /* A record without room waits for it, or is lost. */
        i += written != 0 || self->waits_for_room ? written : 1;
        if (written == 0 || i - paused >= self->pause_each) {
            paused = i;
            sched_yield();
        }
    }
    self->done = true;
    return NULL;
}

typedef struct account {
    uint64_t next[PRODUCERS];
    uint64_t records, bytes;
} account;

/* Returns what is wrong with a record, or NULL. */
static const char *account_for(account *self, const rbcore_record *record) {
    const uint64_t *words = record->data;
    self->records++;
    self->bytes += span_of(record->size);
    if (record->size < 8 || words[0] >> 56 >= PRODUCERS || record->size != 8 * words_in(words[0])) {
        return "not a record";
    }
    for (uint64_t i = 1; i < record->size / 8; i++) {
        if (words[i] != word_of(words[0], i)) {
            return "torn";
        }
    }
    uint64_t *next = &self->next[words[0] >> 56], sequence = words[0] << 8 >> 8;
    if (sequence < *next) {
        return "out of order";
    }
    *next = sequence + 1;
    return NULL;
}

static void account_for_all(account *self, const rbcore_record *records, int count) {
    for (int i = 0; i < count; i++) {
        const char *wrong = account_for(self, &records[i]);
        if (wrong != NULL) {
            ck_abort_msg("%s, at %lu", wrong, (unsigned long)records[i].position);
        }
    }
}

/* ---- A reader ---- */

typedef struct reading {
    fixture f; /* its reader, if it has one */
    account read, taken;
    rbcore_snapshot *snapshot;
    rbcore_record records[BATCH];
} reading;

static void take_snapshot(reading *self) {
    account snapshot = {0};
    int count = rbcore_reader_snapshot(self->f.reader, 0, &self->snapshot, 0);
    if (count == -EAGAIN) {
        return;
    }
    ok(count);
    while ((count = rbcore_snapshot_read(self->snapshot, self->records, BATCH)) > 0) {
        account_for_all(&snapshot, self->records, count);
    }
    ok(count);
    self->taken.records += snapshot.records;
}

/* Reads and gives back once. Returns how many. */
static int read_once(reading *self, bool waits) {
    int count = waits ? rbcore_reader_next(self->f.reader, self->records, BATCH, 2000000)
                      : rbcore_reader_read(self->f.reader, self->records, BATCH);
    ck_assert_msg(count >= 0 || count == -EAGAIN, "%d: %s", count,
                  rbcore_reader_message(self->f.reader));
    account_for_all(&self->read, self->records, count);
    ok(rbcore_reader_commit(self->f.reader, NULL, 0));
    return count;
}

static void expect_balance(const reading *self) {
    rbcore_ring_stats stats = ring_stats(&self->f);
    ck_assert_uint_eq(stats.read_pos, stats.producer_pos);
    ck_assert_uint_eq(stats.start_pos + self->read.bytes + stats.passed_bytes + stats.lost_bytes,
                      stats.read_pos);
}

static void print(const char *name, const reading *self) {
    rbcore_ring_stats stats = ring_stats(&self->f);
    printf("%s: %lu delivered, %lu in snapshots, %.1f %% of the bytes lost\n", name,
           (unsigned long)self->read.records, (unsigned long)self->taken.records,
           100.0 * (double)stats.lost_bytes / (double)stats.producer_pos);
}

static void finish(reading *self, const char *name) {
    expect_balance(self);
    print(name, self);
    rbcore_snapshot_free(self->snapshot);
    rbcore_reader_free(self->f.reader);
}

static reading begin(const fixture *ring, uint32_t source_flags) {
    reading self = {.f = *ring};
    self.f.reader = reader_on(ring, 0, source_flags);
    self.f.ring = 0;
    return self;
}

static void start(producing *producers, const fixture *ring, size_t size, bool waits_for_room) {
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i].producer = producer_on(ring->memory_fd, ring->event_fd);
        producers[i].id = i;
        producers[i].waits_for_room = waits_for_room;
        producers[i].pause_each = size / 1024;
        producers[i].done = false;
        producers[i].bytes = 0;
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, write_all, &producers[i]), 0);
    }
}

static uint64_t join(producing *producers) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        rbcore_producer_free(producers[i].producer);
        bytes += producers[i].bytes;
    }
    return bytes;
}

static fixture open_ring(size_t size, uint32_t flags) {
    fixture self = {0};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, size, flags));
    return self;
}

static void close_ring(const fixture *self) {
    close(self->memory_fd);
    close(self->event_fd);
}

/* ---- The tests ---- */

static const size_t sizes[] = {4096, 16384, 65536, 1 << 20};

/* The reader waits or not, in turns, so that it is overtaken now and then. */
START_TEST(overtaken_while_copying) {
    const size_t size = sizes[_i] < page_size() ? page_size() : sizes[_i];
    fixture ring = open_ring(size, RBCORE_MEMORY_RING_OVERWRITE);
    reading reader = begin(&ring, RBCORE_SOURCE_OVERWRITE);
    reading tap = begin(&ring, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP);
    producing producers[PRODUCERS];
    start(producers, &ring, size, false);
    for (unsigned round = 0; !producers[0].done || !producers[1].done; round++) {
        read_once(&reader, round / 64 % 2);
        read_once(&tap, false);
        if (round % 16 == 0) {
            take_snapshot(round % 32 ? &reader : &tap);
        }
    }
    uint64_t produced = join(producers);
    while (read_once(&reader, false) != 0) {
    }
    while (read_once(&tap, false) != 0) {
    }
    ck_assert_uint_eq(ring_stats(&reader.f).read_pos, produced);
    finish(&tap, "tap");
    finish(&reader, "reader");
    close_ring(&ring);
}
END_TEST

typedef struct consuming {
    reading reader;
    _Atomic bool stop;
    pthread_t thread;
} consuming;

static void *consume(void *argument) {
    consuming *self = argument;
    for (unsigned round = 0; !self->stop || read_once(&self->reader, false) != 0; round++) {
        read_once(&self->reader, round % 3 == 0);
        if (round % 64 == 0) {
            take_snapshot(&self->reader);
        }
    }
    return NULL;
}

/* The consumer gets everything, as if there were no tap. */
START_TEST(tap_beside_a_consumer) {
    const size_t size = sizes[_i] < page_size() ? page_size() : sizes[_i];
    fixture ring = open_ring(size, 0);
    consuming *consumer = calloc(1, sizeof(*consumer));
    consumer->reader = begin(&ring, 0);
    reading tap = begin(&ring, RBCORE_SOURCE_TAP);
    producing producers[PRODUCERS];
    pthread_create(&consumer->thread, NULL, consume, consumer);
    start(producers, &ring, size, true);
    for (unsigned round = 0; !producers[0].done || !producers[1].done; round++) {
        read_once(&tap, round / 64 % 2);
        if (round % 16 == 0) {
            take_snapshot(&tap);
        }
    }
    uint64_t produced = join(producers);
    consumer->stop = true;
    pthread_join(consumer->thread, NULL);
    while (read_once(&tap, false) != 0) {
    }
    finish(&tap, "tap");
    ck_assert_uint_eq(ring_stats(&consumer->reader.f).lost_bytes, 0);
    ck_assert_uint_eq(ring_stats(&consumer->reader.f).read_pos, produced);
    finish(&consumer->reader, "consumer");
    free(consumer);
    close_ring(&ring);
}
END_TEST

/* Gives back, in a thread of its own, what the reader has read. */
typedef struct giving_back {
    pthread_t thread;
    rbcore_reader *reader;
    rbcore_record records[BATCH];
    _Atomic int count; /* 0: the reader may put more there; -1: nothing comes any more */
} giving_back;

static void *give_back(void *argument) {
    giving_back *self = argument;
    int count;
    while ((count = self->count) >= 0) {
        if (count > 0) {
            ok(rbcore_reader_release(self->reader, self->records, (size_t)count));
            self->count = 0;
        }
        sched_yield();
    }
    return NULL;
}

static void hand_over(giving_back *to, const rbcore_record *records, int count) {
    while (to->count > 0) {
        sched_yield();
    }
    memcpy(to->records, records, (size_t)count * sizeof(*records));
    to->count = count;
}

/* The place that is copied is given back meanwhile, and overwritten. */
START_TEST(snapshots_while_records_are_released) {
    const size_t size = sizes[_i] < page_size() ? page_size() : sizes[_i];
    fixture ring = open_ring(size, 0);
    reading reader = {.f = ring};
    reader.f.reader = reader_on(&ring, RBCORE_READER_RELEASE, 0);
    giving_back worker = {.reader = reader.f.reader};
    producing producers[PRODUCERS];
    pthread_create(&worker.thread, NULL, give_back, &worker);
    start(producers, &ring, size, true);
    int count = 1;
    bool all_written = false;
    while (count != 0 || !all_written) {
        all_written = producers[0].done && producers[1].done;
        count = rbcore_reader_read(reader.f.reader, reader.records, BATCH);
        ck_assert_msg(count >= 0 || count == -EAGAIN, "%d: %s", count,
                      rbcore_reader_message(reader.f.reader));
        account_for_all(&reader.read, reader.records, count);
        if (count > 0) {
            hand_over(&worker, reader.records, count);
        }
        take_snapshot(&reader);
    }
    uint64_t produced = join(producers);
    while (worker.count > 0) {
        sched_yield();
    }
    worker.count = -1;
    pthread_join(worker.thread, NULL);
    ck_assert_uint_eq(ring_stats(&reader.f).read_pos, produced);
    ck_assert_uint_eq(ring_stats(&reader.f).lost_bytes, 0);
    finish(&reader, "reader in release mode");
    close_ring(&ring);
}
END_TEST

static void add(Suite *suite, const TTest *test) {
    TCase *tcase = tcase_create(test->name);
    tcase_set_timeout(tcase, 0); /* as long as the records that were asked for take */
    tcase_add_loop_test(tcase, test, 0, sizeof(sizes) / sizeof(*sizes));
    suite_add_tcase(suite, tcase);
}

int main(void) {
    if (thread_sanitizer()) {
        skip("readers look at places that producers may be writing data to, and check after: "
             "ThreadSanitizer does not know that order");
    }
    Suite *suite = suite_create("readers that are overtaken");
    add(suite, overtaken_while_copying);
    add(suite, tap_beside_a_consumer);
    add(suite, snapshots_while_records_are_released);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
