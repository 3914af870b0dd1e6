/* SPDX-License-Identifier: MIT */
#include "crowd.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define BURST_MOST 100
#define WATCHDOG_NS INT64_C(20000000000)

typedef struct run {
    const crowd *crowd;
    crowd_way way;
    /* The producer's. */
    pthread_t producer;
    sem_t go;
    atomic_bool over, is_done; /* all bursts, this burst */
    uint64_t *sent;            /* the last number in each ring */
    _Atomic uint64_t made;
    uint64_t random;
    /* The reader's. */
    uint64_t *seen, found;
    bool found_last; /* the last look found something: there may be more */
    rbcore_record records[BATCH];
    /* The worker's: what it releases. */
    pthread_t worker;
    rbcore_record handed[BATCH];
    _Atomic int handed_count;
} run;

static uint32_t roll(uint64_t *state, uint32_t below) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33) % below;
}

/* ---- The producer ---- */

static void emit_one(run *self) {
    unsigned int hot = 3 % self->crowd->rings;
    unsigned int ring = roll(&self->random, 4) ? roll(&self->random, self->crowd->rings) : hot;
    /* Counted before: the reader may be faster than this thread. */
    atomic_fetch_add(&self->made, 1);
    if (self->crowd->emit(self->crowd->context, ring, self->sent[ring] + 1) == 0) {
        self->sent[ring]++;
    } else {
        atomic_fetch_sub(&self->made, 1);
    }
}

static void *produce_bursts(void *argument) {
    run *self = argument;
    for (;;) {
        while (sem_wait(&self->go) != 0) {
        }
        if (atomic_load(&self->over)) {
            return NULL;
        }
        uint32_t count = 1 + roll(&self->random, roll(&self->random, 3) ? 3 : BURST_MOST);
        for (uint32_t i = 0; i < count; i++) {
            emit_one(self);
            for (volatile uint32_t pause = roll(&self->random, 2000); pause > 0; pause--) {
            }
        }
        atomic_store(&self->is_done, true);
    }
}

/* ---- Giving back ---- */

static void *release_all(void *argument) {
    run *self = argument;
    while (!atomic_load(&self->over)) {
        int count = atomic_load(&self->handed_count);
        if (count == 0) {
            sched_yield();
            continue;
        }
        if (rbcore_reader_release(self->crowd->reader, self->handed, (size_t)count) != 0) {
            abort();
        }
        atomic_store(&self->handed_count, 0);
    }
    return NULL;
}

static void await_worker(run *self) {
    while (atomic_load(&self->handed_count) != 0) {
        sched_yield();
    }
}

static void give_back(run *self, int count) {
    if (self->way != CROWD_WORKERS) {
        ck_assert_int_eq(rbcore_reader_commit(self->crowd->reader, NULL, 0), 0);
        return;
    }
    await_worker(self);
    memcpy(self->handed, self->records, (size_t)count * sizeof(*self->records));
    atomic_store(&self->handed_count, count);
}

/* ---- Reading ---- */

static int look(run *self) {
    rbcore_reader *reader = self->crowd->reader;
    switch (self->way) {
    case CROWD_LOOKS:
        return rbcore_reader_look(reader, self->records, BATCH);
    case CROWD_NEXT:
        return rbcore_reader_next(reader, self->records, BATCH, 0);
    case CROWD_WAITS:
        return rbcore_reader_next(reader, self->records, BATCH,
                                  self->found < atomic_load(&self->made) ? WATCHDOG_NS : 0);
    default:
        return rbcore_reader_read(reader, self->records, BATCH);
    }
}

static int take(run *self) {
    int count = look(self);
    ck_assert_msg(count >= 0, "%d: %s", count, rbcore_reader_message(self->crowd->reader));
    for (int i = 0; i < count; i++) {
        uint64_t value;
        unsigned int ring = self->records[i].ring;
        memcpy(&value, self->records[i].data, sizeof(value));
        if (value != self->seen[ring] + 1) {
            ck_abort_msg("ring %u: %llu after %llu", ring, (unsigned long long)value,
                         (unsigned long long)self->seen[ring]);
        }
        self->seen[ring] = value;
    }
    if (count > 0) {
        self->found += (uint64_t)count;
        give_back(self, count);
    }
    return count;
}

static bool is_readable(const run *self, int timeout_ms) {
    struct pollfd fd = {.fd = rbcore_reader_fd(self->crowd->reader), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

/* An event loop reads when the descriptor is readable, until nothing is found. */
static bool is_event_loop(const run *self) {
    return self->way != CROWD_LOOKS && self->way != CROWD_WAITS;
}

/* Records are left, and no other thread is at work. */
static void expect_more(const run *self) {
    bool is_told = is_event_loop(self) && is_readable(self, self->crowd->wakeup_delay_ms);
    if (!is_told) {
        ck_abort_msg("%llu of %llu records were found, and nothing tells of the others",
                     (unsigned long long)self->found, (unsigned long long)self->made);
    }
}

static void read_burst(run *self) {
    atomic_store(&self->is_done, false);
    sem_post(&self->go);
    while (!atomic_load(&self->is_done)) {
        if (self->found_last || !is_event_loop(self) || is_readable(self, 0)) {
            self->found_last = take(self) > 0;
        }
    }
    self->found_last |= !is_event_loop(self);
    for (await_worker(self); self->found < atomic_load(&self->made); await_worker(self)) {
        if (!self->found_last) {
            expect_more(self);
        }
        self->found_last = take(self) > 0;
    }
}

void crowd_run(const crowd *rings, crowd_way way, unsigned int bursts) {
    run *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    *self = (run){.crowd = rings, .way = way, .random = way + 1, .found_last = true};
    self->sent = calloc(rings->rings, sizeof(*self->sent));
    self->seen = calloc(rings->rings, sizeof(*self->seen));
    ck_assert(self->sent != NULL && self->seen != NULL);
    sem_init(&self->go, 0, 0);
    ck_assert_int_eq(pthread_create(&self->producer, NULL, produce_bursts, self), 0);
    ck_assert_int_eq(pthread_create(&self->worker, NULL, release_all, self), 0);
    for (unsigned int i = 0; i < bursts; i++) {
        read_burst(self);
    }
    atomic_store(&self->over, true);
    sem_post(&self->go);
    pthread_join(self->producer, NULL);
    pthread_join(self->worker, NULL);
    sem_destroy(&self->go);
    free(self->sent);
    free(self->seen);
    free(self);
}
