/* SPDX-License-Identifier: MIT */
/*
 * Bursts and idle times by turns: rings become busy and slow again all the time, while records are
 * committed in part, or released by other threads; and readers are killed while they hold the last
 * record back. Every record is accounted for, and none may stay where it is: after a burst its
 * producer waits until all of it was delivered. RBCORE_STRESS_SECONDS makes it longer.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define ROOM 1024
#define WORKERS 3

static uint64_t stress_ns(void) {
    const char *seconds = getenv("RBCORE_STRESS_SECONDS");
    return (seconds ? strtoull(seconds, NULL, 10) : 4) * 1000 * MILLISECOND;
}

static fixture open_fixture(size_t size, uint64_t flags, int64_t max_latency) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = flags;
    options.max_latency_ns = max_latency;
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, &options));
    return fixture_add(reader, size);
}

/* ---- Bursts ---- */

typedef struct play {
    fixture ring;
    uint64_t flags;
    uint64_t seed;
    uint32_t wakeup; /* flags of the records */
    atomic_bool stop;
    _Atomic uint64_t produced, delivered;
    uint64_t times_paced, times_armed;
    uint64_t waits, long_waits; /* of the producer */

    /* Release mode: records that the workers may take, from any place. */
    pthread_mutex_t lock;
    rbcore_record pool[ROOM];
    size_t pooled;
    atomic_bool closed;
} play;

static void pause_ns(uint64_t ns) {
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* The look for records of dead producers, which a memory ring has, makes up for it after 100 ms. */
#define LONG_WAIT (50 * MILLISECOND)

/* A lost wakeup shows here: no other record comes that would make up for it. */
static void wait_until_delivered(play *self) {
    uint64_t begin = now_ns(), give_up = begin + WATCHDOG_NS;
    while (self->delivered != self->produced) {
        pause_ns(20 * MICROSECOND);
        if (now_ns() > give_up) {
            ck_abort_msg("stuck: %llu of %llu records were delivered; seed %llu",
                         (unsigned long long)self->delivered, (unsigned long long)self->produced,
                         (unsigned long long)self->seed);
        }
    }
    self->waits++;
    self->long_waits += now_ns() - begin > LONG_WAIT;
}

static void emit(play *self, uint64_t *random) {
    size_t size = 8 + (random_next(random) % 16 ? 0 : random_next(random) % 200);
    void *data;
    int error;
    while ((error = rbcore_producer_reserve(self->ring.producer, &data, size)) == -EAGAIN) {
        pause_ns(50 * MICROSECOND);
    }
    ok(error);
    uint64_t number = self->produced;
    memcpy(data, &number, sizeof(number));
    self->produced = number + 1;
    ok(rbcore_producer_submit(self->ring.producer, data, self->wakeup));
}

static void *emit_bursts(void *context) {
    play *self = context;
    uint64_t random = self->seed;
    while (!self->stop) {
        bool is_long = random_next(&random) % 6 == 0;
        uint32_t count = 1 + random_next(&random) % (is_long ? 500 : 8);
        uint32_t gap = is_long || random_next(&random) % 3 ? 0 : random_next(&random) % 40000;
        for (; count > 0; count--) {
            emit(self, &random);
            if (gap > 0) {
                pause_ns(gap);
            }
        }
        if (random_next(&random) % 2) {
            wait_until_delivered(self);
        }
        if (random_next(&random) % 2) {
            pause_ns(random_next(&random) % (uint32_t)(2 * MILLISECOND));
        }
    }
    wait_until_delivered(self);
    ok(rbcore_reader_shutdown(self->ring.reader));
    return NULL;
}

static void check(play *self, const rbcore_record *records, int count) {
    uint64_t next = self->delivered;
    for (int i = 0; i < count; i++, next++) {
        uint64_t number;
        memcpy(&number, records[i].data, sizeof(number));
        if (number != next) {
            ck_abort_msg("record %llu comes where %llu was due; seed %llu",
                         (unsigned long long)number, (unsigned long long)next,
                         (unsigned long long)self->seed);
        }
    }
    self->delivered = next;
}

static void note_pace(play *self) {
    bool paced = ring_stats(&self->ring).flags & RBCORE_RING_PACED;
    self->times_paced += paced;
    self->times_armed += !paced;
}

static int next(play *self, rbcore_record *records, uint64_t *random, bool may_sleep) {
    static const int64_t limits[] = {0, 30 * MICROSECOND, 200 * MICROSECOND, 3 * MILLISECOND};
    size_t max = 1 + random_next(random) % (random_next(random) % 4 ? ROOM : 10);
    uint32_t choice = random_next(random) % 8;
    if (choice == 0) {
        return rbcore_reader_read(self->ring.reader, records, max);
    }
    int64_t limit = may_sleep && choice > 3 ? RBCORE_FOREVER : limits[choice % 4];
    return rbcore_reader_next(self->ring.reader, records, max, limit);
}

/* Commits all, a part, or nothing yet. Returns whether nothing is held. */
static bool commit_some(play *self, const rbcore_record *records, int count, uint64_t *random) {
    switch (random_next(random) % 8) {
    case 0:
        return false;
    case 1:
        if (count > 0) {
            ok(rbcore_reader_commit(self->ring.reader,
                                    &records[random_next(random) % (uint32_t)count], 0));
        }
        return false;
    case 2:
        ok(rbcore_reader_commit(self->ring.reader, NULL, RBCORE_COMMIT_NOW));
        return true;
    default:
        ok(rbcore_reader_commit(self->ring.reader, NULL, 0));
        return true;
    }
}

static void read_and_commit(play *self) {
    rbcore_record records[ROOM];
    uint64_t random = self->seed + 1;
    bool nothing_held = true;
    int result;
    while ((result = next(self, records, &random, nothing_held)) != -ESHUTDOWN) {
        if (result < 0) {
            ck_abort_msg("next: %d", result);
        }
        check(self, records, result);
        nothing_held = commit_some(self, records, result, &random);
        note_pace(self);
    }
    ok(rbcore_reader_commit(self->ring.reader, NULL, 0));
}

static size_t take_from_pool(play *self, rbcore_record *records, size_t max, uint64_t *random) {
    size_t taken = 0;
    pthread_mutex_lock(&self->lock);
    for (; taken < max && self->pooled > 0; taken++) {
        size_t i = random_next(random) % self->pooled--;
        records[taken] = self->pool[i];
        self->pool[i] = self->pool[self->pooled];
    }
    pthread_mutex_unlock(&self->lock);
    return taken;
}

static void *release_in_any_order(void *context) {
    play *self = context;
    uint64_t random = self->seed + 2 + (uint64_t)pthread_self() / 4096;
    rbcore_record records[64];
    for (bool closed = false; !closed;) {
        closed = self->closed;
        size_t count = take_from_pool(self, records, 1 + random_next(&random) % 64, &random);
        if (random_next(&random) % 4 == 0) {
            pause_ns(random_next(&random) % 100000);
        }
        if (count > 0) {
            ok(rbcore_reader_release(self->ring.reader, records, count));
            closed = false;
        } else {
            pause_ns(20 * MICROSECOND);
        }
    }
    return NULL;
}

/* Leaves them to the workers; what does not fit into the pool is released here. */
static void hand_over(play *self, const rbcore_record *records, size_t count) {
    pthread_mutex_lock(&self->lock);
    size_t room = ROOM - self->pooled, given = count < room ? count : room;
    memcpy(&self->pool[self->pooled], records, given * sizeof(*records));
    self->pooled += given;
    pthread_mutex_unlock(&self->lock);
    ok(rbcore_reader_release(self->ring.reader, records + given, count - given));
}

static void read_and_release(play *self) {
    rbcore_record records[ROOM];
    uint64_t random = self->seed + 1;
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, release_in_any_order, self), 0);
    }
    int result;
    while ((result = next(self, records, &random, true)) != -ESHUTDOWN) {
        if (result < 0) {
            ck_abort_msg("next: %d", result);
        }
        check(self, records, result);
        hand_over(self, records, (size_t)result);
        note_pace(self);
    }
    self->closed = true;
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(workers[i], NULL), 0);
    }
}

static void *stop_after(void *context) {
    play *self = context;
    uint64_t end = now_ns() + stress_ns() / 4;
    while (now_ns() < end) {
        sleep_ms(10);
    }
    self->stop = true;
    return NULL;
}

static void run_bursts(size_t ring_size, uint64_t flags, int64_t max_latency, uint32_t wakeup) {
    static play self;
    memset(&self, 0, sizeof(self));
    self.flags = flags;
    self.wakeup = wakeup;
    self.seed = getenv("RBCORE_STRESS_SECONDS") ? now_ns() : ring_size + flags;
    pthread_mutex_init(&self.lock, NULL);
    self.ring = open_fixture(ring_size, flags, max_latency);
    pthread_t producer, clock;
    ck_assert_int_eq(pthread_create(&producer, NULL, emit_bursts, &self), 0);
    ck_assert_int_eq(pthread_create(&clock, NULL, stop_after, &self), 0);
    if (flags & RBCORE_READER_RELEASE) {
        read_and_release(&self);
    } else {
        read_and_commit(&self);
    }
    ck_assert_int_eq(pthread_join(producer, NULL), 0);
    ck_assert_int_eq(pthread_join(clock, NULL), 0);
    rbcore_ring_stats stats = ring_stats(&self.ring);
    printf("%zu KiB, flags %u: %llu records, %llu batches paced, %llu armed, %llu of %llu waits "
           "were long\n",
           ring_size >> 10, (unsigned)flags, (unsigned long long)self.delivered,
           (unsigned long long)self.times_paced, (unsigned long long)self.times_armed,
           (unsigned long long)self.long_waits, (unsigned long long)self.waits);
    ck_assert_uint_le(self.long_waits, self.waits / 4 + 3); /* the machine may be busy */
    ck_assert_uint_eq(self.delivered, self.produced);
    ck_assert_uint_eq(stats.user_pos, stats.producer_pos);
    /* A machine may be too slow for the others: 4 records in 50 or 100 microseconds. */
    if (max_latency > RBCORE_MAX_LATENCY) {
        ck_assert_uint_gt(self.times_paced, 0);
    }
    if (!(flags & RBCORE_READER_POLL)) {
        ck_assert_uint_gt(self.times_armed, 0);
    }
    image memory = image_map(self.ring.memory_fd);
    fixture_close(&self.ring);
    ck_assert_uint_eq(image_load(memory.consumer_pos), image_load(memory.producer_pos));
    image_unmap(&memory);
    pthread_mutex_destroy(&self.lock);
}

START_TEST(bursts) {
    const uint64_t flags = _i ? RBCORE_READER_RELEASE : 0;
    run_bursts((size_t)1 << 20, flags, RBCORE_MAX_LATENCY, 0);
    run_bursts(65536, flags, RBCORE_MAX_LATENCY, 0);
    run_bursts((size_t)16 << 20, flags, MILLISECOND, RBCORE_FORCE_WAKEUP);
    run_bursts(page_size(), flags | RBCORE_READER_POLL, RBCORE_MAX_LATENCY, RBCORE_NO_WAKEUP);
}
END_TEST

/* ---- Killed readers ---- */

#define KILLS 60

/* In memory that the reading child shares with its parent. */
typedef struct notes {
    _Atomic uint64_t begun; /* a commit up to this number has begun, */
    _Atomic uint64_t done;  /* and to this one it is done */
    atomic_bool was_paced;
    atomic_bool failed;
    int memory_fd, event_fd;
    uint64_t seed;
} notes;

static int read_until_killed(void *context) {
    notes *self = context;
    fixture ring = {.memory_fd = self->memory_fd, .event_fd = self->event_fd};
    ring.reader = reader_on(&ring, 0, 0);
    uint64_t random = self->seed, next = self->done;
    rbcore_record records[ROOM];
    for (;;) {
        size_t max = 1 + random_next(&random) % ROOM;
        int count = rbcore_reader_next(ring.reader, records, max, RBCORE_FOREVER);
        for (int i = 0; i < count; i++) {
            self->failed |= value_of(&records[i]) != next++;
        }
        if (count <= 0 || self->failed) {
            self->failed = true;
            return 1;
        }
        for (int part = (int)(random_next(&random) % 3); part > 0; part--) {
            int last = (int)(random_next(&random) % (uint32_t)count);
            if (value_of(&records[last]) + 1 > self->done) {
                self->begun = value_of(&records[last]) + 1;
                ok(rbcore_reader_commit(ring.reader, &records[last], 0));
                self->done = self->begun;
            }
        }
        self->begun = next;
        ok(rbcore_reader_commit(ring.reader, NULL, 0));
        self->done = next;
        self->was_paced |= (ring_stats(&ring).flags & RBCORE_RING_PACED) != 0;
    }
}

/* Makes records for a living reader until it was paced, and then some more. */
static void produce_until(const fixture *ring, notes *diary, uint64_t *number, uint64_t *random) {
    uint64_t give_up = now_ns() + WATCHDOG_NS, end = 0;
    while (end == 0 || now_ns() < end) {
        if (end == 0 && diary->was_paced) {
            end = now_ns() + random_next(random) % (uint64_t)(2 * MILLISECOND);
        }
        if (now_ns() > give_up || diary->failed) {
            ck_abort_msg("the reader failed, or did not become paced");
        }
        for (uint32_t n = random_next(random) % 30; n > 0; n--) {
            int error = rbcore_producer_output(ring->producer, number, sizeof(*number), 0);
            *number += error == 0;
            ck_assert(error == 0 || error == -EAGAIN);
        }
        if (random_next(random) % 4 == 0) {
            pause_ns(random_next(random) % 100000);
        }
    }
}

/* Reads what the dead one left. Returns whether it had held a record back. */
static bool succeed(fixture *ring, notes *diary, uint64_t produced) {
    image memory = image_map(ring->memory_fd);
    uint64_t published = image_load(memory.consumer_pos);
    image_unmap(&memory);
    ring->reader = reader_on(ring, 0, 0);
    uint64_t start = ring_stats(ring).read_pos, next = produced;
    rbcore_record records[ROOM];
    bool first = true;
    int count;
    while ((count = rbcore_reader_read(ring->reader, records, ROOM)) != 0) {
        ck_assert_int_gt(count, 0);
        next = first ? value_of(&records[0]) : next;
        for (int i = 0; i < count; i++, next++) {
            if (value_of(&records[i]) != next) {
                ck_abort_msg("record %llu comes where %llu was due",
                             (unsigned long long)value_of(&records[i]), (unsigned long long)next);
            }
        }
        if (first && value_of(&records[0]) != diary->done &&
            value_of(&records[0]) != diary->begun) {
            ck_abort_msg("committed up to %llu (%llu), resumed at %llu",
                         (unsigned long long)diary->done, (unsigned long long)diary->begun,
                         (unsigned long long)value_of(&records[0]));
        }
        first = false;
        ok(rbcore_reader_commit(ring->reader, NULL, 0));
    }
    ck_assert(!first || diary->done == produced || diary->begun == produced);
    ck_assert_uint_eq(next, produced);
    rbcore_reader_free(ring->reader);
    return published != start;
}

START_TEST(killed_readers_repeat_nothing) {
    fixture ring = {0};
    ok(rbcore_memory_ring_create(&ring.memory_fd, &ring.event_fd, (size_t)1 << 20, 0));
    ring.producer = producer_on(ring.memory_fd, ring.event_fd);
    notes *diary =
        mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(diary, MAP_FAILED);
    diary->memory_fd = ring.memory_fd;
    diary->event_fd = ring.event_fd;
    uint64_t produced = 0, random = 3;
    int held_back = 0;
    for (int i = 0; i < KILLS; i++) {
        diary->begun = diary->done = produced;
        diary->was_paced = false;
        diary->seed = random;
        pid_t pid = start_child(read_until_killed, diary);
        produce_until(&ring, diary, &produced, &random);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
        held_back += succeed(&ring, diary, produced);
    }
    printf("%d of %d readers had a record held back when they were killed\n", held_back, KILLS);
    ck_assert_int_gt(held_back, 0);
    munmap(diary, sizeof(*diary));
    fixture_drop(&ring);
}
END_TEST

static void add(Suite *suite, const TTest *test, int variants) {
    TCase *tcase = tcase_create(test->name);
    tcase_set_timeout(tcase, 60 + (double)stress_ns() / 1e9 * 2);
    tcase_add_loop_test(tcase, test, 0, variants);
    suite_add_tcase(suite, tcase);
}

int main(void) {
    Suite *suite = suite_create("moderation_stress");
    add(suite, bursts, 2);
    add(suite, killed_readers_repeat_nothing, 1);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
