/* SPDX-License-Identifier: MIT */
/*
 * Bursts and idle times by turns: rings become busy and slow again all the time, while records are
 * committed in part, or released by other threads; and readers are killed while they hold the last
 * record back. Every record is accounted for, and none may stay where it is: after a burst its
 * producer waits until all of it was delivered. RBCORE_STRESS_SECONDS makes it longer, with other
 * random numbers in each run.
 */
#include "stage.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 3
#define POOL 1024

static int64_t stress_time(void) {
    const char *seconds = getenv("RBCORE_STRESS_SECONDS");
    return (seconds ? atoll(seconds) : 4) * SECOND;
}

static unsigned int below(unsigned int *seed, unsigned int limit) {
    return (unsigned int)rand_r(seed) % limit;
}

static void pause_ns(unsigned int ns) {
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* ---- Bursts ---- */

typedef struct play {
    stage *stage;
    uint32_t flags; /* of the records */
    unsigned int seed;
    int64_t end;
    uint64_t waits, long_waits; /* of the producer */
    uint64_t times_paced, times_armed;

    /* In release mode: records that the workers may take, from any place. */
    pthread_mutex_t lock;
    rbcore_record pool[POOL];
    size_t pooled;
    atomic_bool closed;
} play;

/*
 * The reader looks every 10 ms at the latest while records are held, and a memory ring's looks for
 * records of dead producers every 100 ms: those would make up for a lost wakeup. The rest is for
 * busy machines.
 */
#define LONG_WAIT (50 * MILLISECOND)

/* A lost wakeup shows here: no other record comes that would make up for it. */
static void wait_until_delivered(play *self) {
    const stage *s = self->stage;
    int64_t begin = now_ns();
    while (waiting(s) != 0) {
        pause_ns(20000);
        if (now_ns() > begin + WATCHDOG_NS) {
            ck_abort_msg("stuck: %llu of %llu records; seed %u", (unsigned long long)waiting(s),
                         (unsigned long long)s->produced, self->seed);
        }
    }
    self->waits++;
    self->long_waits += now_ns() - begin > LONG_WAIT;
}

/* Small records, and now and then one of another size, which a full ring may refuse. */
static void emit_mixed(play *self, unsigned int count, unsigned int *seed) {
    stage *s = self->stage;
    emit_records(s, count, self->flags);
    if (below(seed, 4) == 0) {
        uint64_t number = atomic_fetch_add(&s->produced, 1);
        size_t size = small_record + below(seed, 200);
        s->refused += test_ring_emit(s->ring, number, size, self->flags) != 0;
    }
}

static void emit_burst(play *self, unsigned int *seed) {
    bool is_long = below(seed, 6) == 0;
    unsigned int runs = is_long ? 1 : 1 + below(seed, 20);
    unsigned int count = 1 + below(seed, is_long ? 500 : below(seed, 3) ? 3 : 200);
    unsigned int gap = is_long || below(seed, 3) ? 0 : below(seed, 40000);
    for (; runs > 0; runs--) {
        emit_mixed(self, count, seed);
        if (gap > 0) {
            pause_ns(gap);
        }
    }
}

static void *play_producer(void *context) {
    play *self = context;
    unsigned int seed = self->seed;
    while (now_ns() < self->end) {
        emit_burst(self, &seed);
        if (below(&seed, 2)) {
            wait_until_delivered(self);
        }
        if (below(&seed, 2)) {
            pause_ns(below(&seed, 2 * MILLISECOND));
        }
    }
    wait_until_delivered(self);
    ok(rbcore_reader_shutdown(self->stage->reader));
    return NULL;
}

static void note_pace(play *self) {
    bool paced = is_paced(self->stage);
    self->times_paced += paced;
    self->times_armed += !paced;
}

static int play_next(stage *s, unsigned int *seed, bool may_sleep) {
    static const int64_t limits[] = {0, 30 * MICROSECOND, 200 * MICROSECOND, 3 * MILLISECOND};
    size_t max = 1 + below(seed, below(seed, 4) ? POOL : 10);
    unsigned int choice = below(seed, 8);
    if (choice == 0) {
        return taken(s, rbcore_reader_read(s->reader, s->records, max));
    }
    return take(s, max, may_sleep && choice > 3 ? RBCORE_FOREVER : limits[choice % 4]);
}

/* Commits all, a part, or nothing yet. Returns whether nothing is held. */
static bool commit_some(stage *s, unsigned int *seed) {
    switch (below(seed, 8)) {
    case 0:
        return false;
    case 1:
        if (s->held > 0) {
            const rbcore_record *last = &s->records[below(seed, (unsigned int)s->held)];
            ok(rbcore_reader_commit(s->reader, last, 0));
        }
        return false;
    case 2:
        ok(rbcore_reader_commit(s->reader, NULL, RBCORE_COMMIT_NOW));
        return true;
    default:
        ok(rbcore_reader_commit(s->reader, NULL, 0));
        return true;
    }
}

static void read_and_commit(play *self) {
    unsigned int seed = self->seed + 1;
    bool nothing_held = true;
    int result;
    while ((result = play_next(self->stage, &seed, nothing_held)) != -ESHUTDOWN) {
        if (result < 0) {
            ck_abort_msg("next: %d", result);
        }
        nothing_held = commit_some(self->stage, &seed);
        note_pace(self);
    }
    ok(rbcore_reader_commit(self->stage->reader, NULL, 0));
}

static size_t take_from_pool(play *self, rbcore_record *records, size_t max, unsigned int *seed) {
    size_t count = 0;
    pthread_mutex_lock(&self->lock);
    for (; count < max && self->pooled > 0; count++) {
        size_t i = below(seed, (unsigned int)self->pooled--);
        records[count] = self->pool[i];
        self->pool[i] = self->pool[self->pooled];
    }
    pthread_mutex_unlock(&self->lock);
    return count;
}

static void *release_in_any_order(void *context) {
    play *self = context;
    unsigned int seed = self->seed + 2 + (unsigned int)((uintptr_t)pthread_self() >> 12);
    rbcore_record records[64];
    for (bool closed = false; !closed;) {
        closed = self->closed;
        size_t count = take_from_pool(self, records, 1 + below(&seed, 64), &seed);
        if (below(&seed, 4) == 0) {
            pause_ns(below(&seed, 100000));
        }
        if (count > 0) {
            ok(rbcore_reader_release(self->stage->reader, records, count));
            closed = false;
        } else {
            pause_ns(20000);
        }
    }
    return NULL;
}

/* Leaves the records to the workers; what does not fit into the pool is released here. */
static void hand_over(play *self) {
    stage *s = self->stage;
    pthread_mutex_lock(&self->lock);
    size_t room = POOL - self->pooled, given = s->held < room ? s->held : room;
    memcpy(&self->pool[self->pooled], s->records, given * sizeof(*s->records));
    self->pooled += given;
    pthread_mutex_unlock(&self->lock);
    ok(rbcore_reader_release(s->reader, s->records + given, s->held - given));
}

static void read_and_release(play *self) {
    unsigned int seed = self->seed + 1;
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, release_in_any_order, self), 0);
    }
    int result;
    while ((result = play_next(self->stage, &seed, true)) != -ESHUTDOWN) {
        if (result < 0) {
            ck_abort_msg("next: %d", result);
        }
        hand_over(self);
        note_pace(self);
    }
    self->closed = true;
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(workers[i], NULL), 0);
    }
}

static void check_play(const play *self, uint32_t flags, size_t ring_size) {
    const stage *s = self->stage;
    rbcore_ring_stats stats = stats_of(s->reader, 0);
    printf("flags %u: %llu records, %llu refused, %llu batches paced, %llu armed, "
           "%llu of %llu waits were long\n",
           (unsigned)flags, (unsigned long long)s->delivered, (unsigned long long)s->refused,
           (unsigned long long)self->times_paced, (unsigned long long)self->times_armed,
           (unsigned long long)self->long_waits, (unsigned long long)self->waits);
    ck_assert_uint_le(self->long_waits, self->waits / 4 + 3); /* the machine may be busy */
    ck_assert_uint_eq(stats.user_pos, stats.producer_pos);
    ck_assert_uint_eq(stats.lost, s->refused);
    /* A machine may be too slow for the others: 4 records in 50 microseconds. */
    if (ring_size >= (size_t)1 << 20) {
        ck_assert_uint_gt(self->times_paced, 0);
    }
    if (!(flags & RBCORE_READER_POLL)) {
        ck_assert_uint_gt(self->times_armed, 0);
    }
}

static void run_bursts(size_t ring_size, uint32_t flags, int64_t max_latency, uint32_t wakeup) {
    static play self;
    memset(&self, 0, sizeof(self));
    stage *s = open_stage(ring_size, flags, max_latency);
    self.stage = s;
    self.flags = wakeup;
    self.seed = getenv("RBCORE_STRESS_SECONDS") ? (unsigned int)now_ns() : 7;
    self.end = now_ns() + stress_time() / 4;
    pthread_mutex_init(&self.lock, NULL);
    pthread_t producer;
    ck_assert_int_eq(pthread_create(&producer, NULL, play_producer, &self), 0);
    if (s->is_release) {
        read_and_release(&self);
    } else {
        read_and_commit(&self);
    }
    ck_assert_int_eq(pthread_join(producer, NULL), 0);
    check_play(&self, flags, ring_size);
    pthread_mutex_destroy(&self.lock);
    rbcore_reader_free(s->reader);
    s->reader = NULL;
    ck_assert_uint_eq(consumer_pos(s), producer_pos(s));
    close_stage(s);
}

START_TEST(bursts_and_idle_times) {
    const uint32_t flags = _i ? RBCORE_READER_RELEASE : 0;
    run_bursts((size_t)1 << 20, flags, RBCORE_DEFAULT_MAX_LATENCY, 0);
    run_bursts(65536, flags, RBCORE_DEFAULT_MAX_LATENCY, 0);
    run_bursts((size_t)16 << 20, flags, MILLISECOND, RBCORE_FORCE_WAKEUP);
    run_bursts(page_size(), flags | RBCORE_READER_POLL, RBCORE_DEFAULT_MAX_LATENCY,
               RBCORE_NO_WAKEUP);
}
END_TEST

/* ---- Killed readers ---- */

#define KILLS 60
#define UNREAD_MAX 4096 /* records; several times as many fit */

/* In memory that the reading child shares with its parent. */
typedef struct notes {
    _Atomic uint64_t begun; /* a commit up to this number has begun, */
    _Atomic uint64_t done;  /* and to this one it is done */
    atomic_bool was_paced, failed;
} notes;

static void commit_up_to(rbcore_reader *reader, notes *diary, const rbcore_record *last) {
    uint64_t end = test_ring_number(last) + 1;
    if (end > diary->done) {
        diary->begun = end;
        diary->failed |= rbcore_reader_commit(reader, last, 0) != 0;
        diary->done = end;
    }
}

static void read_until_killed(const test_ring *ring, notes *diary, unsigned int seed) {
    rbcore_record records[POOL];
    rbcore_reader *reader = open_reader_on(ring, 0, RBCORE_DEFAULT_MAX_LATENCY);
    uint64_t next = diary->done;
    while (!diary->failed) {
        int count = rbcore_reader_next(reader, records, 1 + below(&seed, POOL), RBCORE_FOREVER);
        diary->failed |= count <= 0;
        for (int i = 0; i < count; i++) {
            diary->failed |= test_ring_number(&records[i]) != next++;
        }
        for (unsigned int part = below(&seed, 3); part > 0 && count > 0; part--) {
            commit_up_to(reader, diary, &records[below(&seed, (unsigned int)count)]);
        }
        diary->begun = next;
        diary->failed |= rbcore_reader_commit(reader, NULL, 0) != 0;
        diary->done = next;
        diary->was_paced |= (stats_of(reader, 0).flags & RBCORE_RING_PACED) != 0;
    }
}

static pid_t start_reader(const test_ring *ring, notes *diary, unsigned int seed) {
    pid_t child = fork_child();
    if (child == 0) {
        read_until_killed(ring, diary, seed);
        _exit(EXIT_FAILURE);
    }
    return child;
}

/* Makes records for a living reader until it was paced, and then some more. */
static void produce_until_paced(stage *s, const notes *diary, unsigned int *seed) {
    int64_t give_up = now_ns() + WATCHDOG_NS, end = 0;
    while (end == 0 || now_ns() < end) {
        if (end == 0 && diary->was_paced) {
            end = now_ns() + below(seed, 2 * MILLISECOND);
        }
        if (now_ns() > give_up || diary->failed) {
            ck_abort_msg("the reader failed, or did not become paced");
        }
        /*
         * On a loaded machine the reader may not run for long, and a refused record is a gap to it.
         */
        if (s->produced - diary->done > UNREAD_MAX) {
            pause_ns(10000);
            continue;
        }
        emit_records(s, below(seed, 30), 0);
        if (below(seed, 4) == 0) {
            pause_ns(below(seed, 100000));
        }
    }
    ck_assert_uint_eq(s->refused, 0);
}

/* Reads all records that are left: the first is where the dead reader's commits ended. */
static void read_the_rest(rbcore_reader *reader, const notes *diary, uint64_t produced) {
    rbcore_record records[POOL];
    uint64_t next = produced;
    bool first = true;
    for (int count; (count = rbcore_reader_read(reader, records, POOL)) != 0; first = false) {
        ck_assert_int_gt(count, 0);
        next = first ? test_ring_number(&records[0]) : next;
        if (first && next != diary->done && next != diary->begun) {
            ck_abort_msg("committed up to %llu (%llu), resumed at %llu",
                         (unsigned long long)diary->done, (unsigned long long)diary->begun,
                         (unsigned long long)next);
        }
        for (int i = 0; i < count; i++, next++) {
            ck_assert_uint_eq(test_ring_number(&records[i]), next);
        }
        ok(rbcore_reader_commit(reader, NULL, 0));
    }
    ck_assert(!first || diary->done == produced || diary->begun == produced);
    ck_assert_uint_eq(next, produced);
}

/* Reads what the dead one left. Returns whether it had held a record back. */
static bool succeed(stage *s, const notes *diary) {
    uint64_t published = consumer_pos(s);
    rbcore_reader *reader = open_reader_on(s->ring, 0, RBCORE_DEFAULT_MAX_LATENCY);
    uint64_t start = stats_of(reader, 0).read_pos;
    read_the_rest(reader, diary, s->produced);
    rbcore_reader_free(reader);
    return published != start;
}

/*
 * Another library's reader knows the kernel's position alone: it repeats the record that was held
 * back. After it our reader goes on where it stopped.
 */
static bool succeed_another_library(stage *s, const notes *diary) {
    uint64_t records = test_ring_consume_by_another(s->ring);
    int64_t repeated = (int64_t)(records - (s->produced - diary->done));
    ck_assert_int_le(repeated, 1);
    ck_assert(repeated >= 0 || diary->begun != diary->done); /* killed right after a commit */
    rbcore_reader *reader = open_reader_on(s->ring, 0, RBCORE_DEFAULT_MAX_LATENCY);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    emit_records(s, 1, 0);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(test_ring_number(&record), s->produced - 1);
    ok(rbcore_reader_commit(reader, NULL, 0));
    rbcore_reader_free(reader);
    return repeated == 1;
}

/* Followed by a reader of this library, or by another's. */
START_TEST(readers_killed_at_any_moment_repeat_nothing) {
    stage *s = open_stage_unread((size_t)1 << 20);
    notes *diary = shared_memory(sizeof(*diary));
    unsigned int seed = 3;
    int held_back = 0;
    for (int i = 0; i < KILLS; i++) {
        diary->begun = diary->done = s->produced;
        diary->was_paced = false;
        pid_t pid = start_reader(s->ring, diary, seed);
        produce_until_paced(s, diary, &seed);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        held_back += _i ? succeed_another_library(s, diary) : succeed(s, diary);
    }
    printf("%d of %d readers had a record held back when they were killed\n", held_back, KILLS);
    ck_assert_int_gt(held_back, 0);
    munmap(diary, sizeof(*diary));
    abandon_stage(s);
}
END_TEST

int main(void) {
    const TTest *tests[] = {bursts_and_idle_times, readers_killed_at_any_moment_repeat_nothing};
    Suite *suite = suite_create("pacing_stress");
    for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
        TCase *tcase = tcase_create(tests[i]->name);
        tcase_set_timeout(tcase, 60 + (double)stress_time() / SECOND * 2);
        tcase_add_loop_test(tcase, tests[i], 0, 2);
        suite_add_tcase(suite, tcase);
    }
    return test_ring_run(suite);
}
