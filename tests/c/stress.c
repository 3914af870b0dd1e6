/* SPDX-License-Identifier: MIT */
/*
 * Some seconds of everything at once: producers in threads and processes, bursts and idle times,
 * batches of random sizes, records released out of order by workers. In the end the books balance:
 * delivered + abandoned + discarded = produced, each producer's numbers in order, nothing twice.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define RINGS 2
#define PRODUCERS 4
#define SECONDS 3

typedef struct content {
    uint64_t producer;
    uint64_t sequence;
    uint64_t check;
} content;

typedef struct book {
    _Atomic uint64_t submitted, discarded, refused;
} book;

typedef struct producing {
    pthread_t thread;
    pid_t pid;
    const fixture *ring;
    rbcore_producer *producer;
    book *book;
    uint32_t id;
    _Atomic int *stop;
    int failed;
} producing;

static int produce_one(producing *self, uint64_t *random) {
    content c = {.producer = self->id, .sequence = self->book->submitted};
    c.check = c.producer * 31 + c.sequence;
    size_t size = sizeof(c) + random_next(random) % (random_next(random) % 8 ? 40 : 900);
    void *data;
    int error = rbcore_producer_reserve(self->producer, &data, size);
    if (error == -EAGAIN) {
        self->book->refused++;
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
        return 0;
    }
    if (error) {
        return error;
    }
    memcpy(data, &c, sizeof(c));
    memset((char *)data + sizeof(c), (int)c.sequence & 0xff, size - sizeof(c));
    if (random_next(random) % 16 == 0) {
        self->book->discarded++;
        return rbcore_producer_discard(self->producer, data, 0);
    }
    self->book->submitted++;
    return rbcore_producer_submit(self->producer, data,
                                  random_next(random) % 32 ? 0 : RBCORE_FORCE_WAKEUP);
}

static void *produce_in_bursts(void *argument) {
    producing *self = argument;
    uint64_t random = self->id + 7;
    while (!*self->stop && !self->failed) {
        for (uint32_t n = random_next(&random) % 3000; n && !self->failed && !*self->stop; n--) {
            self->failed = produce_one(self, &random);
        }
        if (random_next(&random) % 4 == 0) {
            sleep_ms(random_next(&random) % 30);
        }
    }
    return NULL;
}

static int produce_in_child(void *argument) {
    producing *self = argument;
    self->producer = producer_on(self->ring->memory_fd, self->ring->event_fd);
    produce_in_bursts(self);
    rbcore_producer_free(self->producer);
    return self->failed ? 1 : 0;
}

/* ---- Workers, which give records back in an order of their own ----------------------------- */

#define POOL 256

typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rbcore_reader *reader;
    rbcore_record records[POOL];
    uint32_t n;
    bool closed;
} pool;

static void pool_put(pool *self, const rbcore_record *record) {
    pthread_mutex_lock(&self->lock);
    while (self->n == POOL) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    self->records[self->n++] = *record;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static bool pool_take(pool *self, rbcore_record *record, uint64_t *random) {
    pthread_mutex_lock(&self->lock);
    while (self->n == 0 && !self->closed) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    bool taken = self->n > 0;
    if (taken) {
        uint32_t i = random_next(random) % self->n;
        *record = self->records[i];
        self->records[i] = self->records[--self->n];
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    return taken;
}

static _Atomic uint64_t worker_seed, wrong;

static bool is_intact(const rbcore_record *record) {
    content c;
    const uint8_t *bytes = record->data;
    memcpy(&c, bytes, sizeof(c));
    for (uint32_t i = sizeof(c); i < record->size; i++) {
        if (bytes[i] != (c.sequence & 0xff)) {
            return false;
        }
    }
    return c.check == c.producer * 31 + c.sequence;
}

static void *release_at_random(void *argument) {
    pool *self = argument;
    uint64_t random = 1000 + worker_seed++;
    rbcore_record record;
    while (pool_take(self, &record, &random)) {
        wrong += !is_intact(&record);
        wrong += rbcore_reader_release(self->reader, &record, 1) != 0;
    }
    return NULL;
}

/* ---- The run ------------------------------------------------------------------------------- */

typedef struct run {
    fixture rings[RINGS];
    producing producers[PRODUCERS];
    uint64_t next[PRODUCERS];
    uint64_t position[RINGS];
    pool *pool; /* NULL: commit */
    _Atomic int *stop;
    book *books;
} run;

static void take(run *self, const rbcore_record *record) {
    content c;
    ck_assert_uint_ge(record->size, sizeof(c));
    memcpy(&c, record->data, sizeof(c));
    ck_assert_uint_lt(c.producer, PRODUCERS);
    ck_assert_uint_eq(c.producer % RINGS, record->ring);
    ck_assert_uint_eq(c.sequence, self->next[c.producer]++);
    ck_assert_uint_ge(record->position, self->position[record->ring]);
    self->position[record->ring] = end_of(record);
    if (self->pool) {
        pool_put(self->pool, record);
    } else {
        ck_assert(is_intact(record));
    }
}

static void read_for(run *self, int64_t until, uint64_t *random) {
    rbcore_reader *reader = self->rings[0].reader;
    rbcore_record records[300];
    while (now_ns() < until) {
        size_t max = 1 + random_next(random) % (random_next(random) % 4 ? 20 : 300);
        int n = rbcore_reader_next(reader, records, max, 20000000);
        ck_assert_msg(n >= 0 || n == -EAGAIN || n == -ENOBUFS, "%d", n);
        for (int i = 0; i < n; i++) {
            take(self, &records[i]);
        }
        if (!self->pool && random_next(random) % 4) {
            bool all = n <= 0 || random_next(random) % 2;
            ok(rbcore_reader_commit(reader,
                                    all ? NULL : &records[random_next(random) % (uint32_t)n], 0));
        }
        if (random_next(random) % 400 == 0) {
            sleep_ms(random_next(random) % 20);
        }
    }
}

/* Whatever was submitted before the flush is delivered by it. */
static void read_the_rest(run *self) {
    rbcore_reader *reader = self->rings[0].reader;
    rbcore_record records[100];
    int n;
    ok(rbcore_reader_flush(reader));
    while ((n = rbcore_reader_next(reader, records, 100, WATCHDOG_NS)) != -ENODATA) {
        ck_assert_msg(n > 0 || n == -EAGAIN || n == -ENOBUFS, "%d", n);
        for (int i = 0; i < n; i++) {
            take(self, &records[i]);
        }
        if (!self->pool) {
            ok(rbcore_reader_commit(reader, NULL, 0));
        }
    }
    if (!self->pool) {
        ok(rbcore_reader_commit(reader, NULL, 0));
    }
}

/*
 * ThreadSanitizer knows one process alone. And under qemu-user, which makes up what /proc says of a
 * process, the producers of another one seem dead, so that their locks are taken from them.
 */
static bool is_one_process(void) {
    return thread_sanitizer() || getenv("RBCORE_ONE_PROCESS");
}

static void start_producers(run *self) {
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producing *p = &self->producers[i];
        *p = (producing){
            .ring = &self->rings[i % RINGS], .book = &self->books[i], .id = i, .stop = self->stop};
        if (i < PRODUCERS / 2 || is_one_process()) {
            p->producer = p->ring->producer;
            ok(pthread_create(&p->thread, NULL, produce_in_bursts, p));
        } else {
            p->pid = start_child(produce_in_child, p);
        }
    }
}

static void join_producers(run *self) {
    for (int i = 0; i < PRODUCERS; i++) {
        producing *p = &self->producers[i];
        if (p->pid) {
            ck_assert_int_eq(wait_child(p->pid), 0);
        } else {
            ok(pthread_join(p->thread, NULL));
            ok(p->failed);
        }
    }
}

static void balance(const run *self) {
    uint64_t submitted = 0, discarded = 0, refused = 0, records = 0, discards = 0, lost = 0;
    for (int i = 0; i < PRODUCERS; i++) {
        ck_assert_uint_eq(self->next[i], self->books[i].submitted);
        submitted += self->books[i].submitted;
        discarded += self->books[i].discarded;
        refused += self->books[i].refused;
    }
    for (int i = 0; i < RINGS; i++) {
        rbcore_ring_stats s = ring_stats(&self->rings[i]);
        /* A ring that is still busy holds its last record back from the kernel. */
        ck_assert(s.flags & RBCORE_RING_PACED || s.consumer_pos == s.producer_pos);
        ck_assert_uint_eq(s.user_pos, s.producer_pos);
        ck_assert_uint_eq(s.abandoned, 0);
        records += s.records;
        discards += s.discards;
        lost += s.lost;
    }
    ck_assert_uint_eq(records, submitted);
    ck_assert_uint_eq(discards, discarded);
    ck_assert_uint_eq(lost, refused);
    ck_assert_uint_gt(submitted, 1000);
    printf("%llu records, %llu discarded, %llu lost\n", (unsigned long long)records,
           (unsigned long long)discards, (unsigned long long)lost);
}

static void stress(uint32_t flags, uint64_t seed) {
    void *shared = shared_memory(4096);
    static run r;
    r.stop = shared;
    r.books = (book *)shared + 1;
    r.rings[0] = fixture_open(4 * page_size(), flags);
    r.rings[1] = fixture_add(r.rings[0].reader, page_size());
    static pool workers = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[2];
    /* Processes come first: a fork while threads hold locks would be another test. */
    start_producers(&r);
    workers.reader = r.rings[0].reader;
    for (int i = 0; flags && i < 2; i++) {
        r.pool = &workers;
        ok(pthread_create(&threads[i], NULL, release_at_random, &workers));
    }
    read_for(&r, now_ns() + SECONDS * SECOND, &seed);
    *r.stop = 1;
    /* Producers may be in the middle of a burst, but they never wait for us. */
    join_producers(&r);
    read_the_rest(&r);
    if (flags) {
        pthread_mutex_lock(&workers.lock);
        workers.closed = true;
        pthread_cond_broadcast(&workers.changed);
        pthread_mutex_unlock(&workers.lock);
        for (int i = 0; i < 2; i++) {
            ok(pthread_join(threads[i], NULL));
        }
        ck_assert_uint_eq(wrong, 0);
    }
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(r.rings[0].reader, &record, 1), 0);
    balance(&r);
    fixture_drop(&r.rings[1]);
    fixture_close(&r.rings[0]);
    munmap(shared, 4096);
}

START_TEST(with_commit) {
    stress(0, 11);
}
END_TEST

START_TEST(with_release) {
    stress(RBCORE_READER_RELEASE, 12);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {with_commit, with_release, NULL};
    return run_tests("stress", tests);
}
