/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

rbcore_reader *open_reader_on(const test_ring *ring, uint32_t flags, int64_t max_latency) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = test_ring_source(ring);
    rbcore_reader *reader = NULL;
    options.flags = flags;
    options.max_latency_ns = max_latency;
    ok(rbcore_reader_open(&reader, &options));
    ck_assert_uint_eq(add_source(reader, &source), 0);
    return reader;
}

static void *map_page(const test_ring *ring, int protection, size_t offset) {
    void *page = mmap(NULL, page_size(), protection, MAP_SHARED, test_ring_fd(ring), (off_t)offset);
    ck_assert_ptr_ne(page, MAP_FAILED);
    return page;
}

stage *open_stage_unread(size_t ring_size) {
    stage *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    self->ring = test_ring_open(ring_size);
    self->consumer_page = map_page(self->ring, PROT_READ | PROT_WRITE, 0);
    self->producer_page = map_page(self->ring, PROT_READ, page_size());
    return self;
}

stage *open_stage(size_t ring_size, uint32_t flags, int64_t max_latency) {
    stage *self = open_stage_unread(ring_size);
    self->is_release = flags & RBCORE_READER_RELEASE;
    self->reader = open_reader_on(self->ring, flags, max_latency);
    return self;
}

void abandon_stage(stage *self) {
    rbcore_reader_free(self->reader);
    munmap((void *)(uintptr_t)self->consumer_page, page_size());
    munmap((void *)(uintptr_t)self->producer_page, page_size());
    test_ring_close(self->ring);
    free(self);
}

void close_stage(stage *self) {
    if (waiting(self) != 0) {
        ck_abort_msg("%llu of %llu records were delivered, %llu refused",
                     (unsigned long long)self->delivered, (unsigned long long)self->produced,
                     (unsigned long long)self->refused);
    }
    abandon_stage(self);
}

/* ---- Producing ---- */

void emit_records(stage *self, unsigned int count, uint32_t flags) {
    /* Before they are there: a reader that is faster than this thread would see too many. */
    uint64_t first = atomic_fetch_add(&self->produced, count);
    atomic_fetch_add(&self->refused, test_ring_emit_many(self->ring, first, count, flags));
}

void emit_sized(stage *self, size_t size) {
    ok(test_ring_emit(self->ring, atomic_fetch_add(&self->produced, 1), size, 0));
}

void *run_emitter(void *context) {
    const emitter *self = context;
    int64_t next = now_ns();
    for (unsigned int i = 0; i < self->times; i++) {
        emit_records(self->stage, self->some, self->flags);
        for (next += self->pause; now_ns() < next;) {
        }
    }
    return NULL;
}

/* ---- Reading ---- */

int taken(stage *self, int result) {
    self->held = result > 0 ? (size_t)result : 0;
    for (size_t i = 0; i < self->held; i++) {
        if (self->records[i].ring != 0) {
            continue;
        }
        uint64_t number = test_ring_number(&self->records[i]);
        if (number < self->next) {
            ck_abort_msg("record %llu comes after %llu", (unsigned long long)number,
                         (unsigned long long)self->next - 1);
        }
        self->next = number + 1;
        atomic_fetch_add(&self->delivered, 1);
    }
    return result;
}

int take(stage *self, size_t max, int64_t timeout) {
    return taken(self, rbcore_reader_next(self->reader, self->records, max, timeout));
}

void give_back(stage *self) {
    if (self->is_release) {
        ok(rbcore_reader_release(self->reader, self->records, self->held));
    } else {
        ok(rbcore_reader_commit(self->reader, NULL, 0));
    }
    self->held = 0;
}

uint64_t waiting(const stage *self) {
    return self->produced - self->refused - self->delivered;
}

void take_to_end(stage *self) {
    ck_assert_int_gt(take(self, MAX_RECORDS, 0), 0);
    while (waiting(self) != 0) {
        give_back(self);
        ck_assert_int_gt(take(self, MAX_RECORDS, 0), 0);
    }
}

void take_the_rest(stage *self) {
    while (waiting(self) != 0) {
        ck_assert_int_gt(take(self, MAX_RECORDS, WATCHDOG_NS), 0);
        give_back(self);
    }
}

typedef struct later {
    stage *stage;
    uint32_t flags;
} later;

static void *emit_later(void *context) {
    const later *self = context;
    sleep_ms(50); /* for the wait to begin, and to find the ring idle */
    emit_records(self->stage, 1, self->flags);
    return NULL;
}

void wait_for_one(stage *self, uint32_t flags) {
    later emission = {self, flags};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, emit_later, &emission), 0);
    ck_assert_int_eq(take(self, 1, WATCHDOG_NS), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    give_back(self);
}

/* ---- Pacing ---- */

bool is_paced(const stage *self) {
    return stats_of(self->reader, 0).flags & RBCORE_RING_PACED;
}

void make_paced(stage *self) {
    int64_t give_up = now_ns() + WATCHDOG_NS;
    for (bool paced = false; !paced;) {
        if (now_ns() > give_up) {
            ck_abort_msg("8 records at once do not make the ring paced");
        }
        take(self, MAX_RECORDS, 0);
        give_back(self);
        emit_records(self, 8, 0);
        while (waiting(self) != 0) {
            ck_assert_int_gt(take(self, MAX_RECORDS, WATCHDOG_NS), 0);
            paced = is_paced(self);
            give_back(self);
        }
    }
    test_ring_wakes(self->ring, 0);
}

void let_wait(stage *self, unsigned int count, size_t max) {
    for (int i = 0; i < ATTEMPTS; i++) {
        make_paced(self);
        emit_records(self, count, 0);
        int result = take(self, max, 0);
        if (result == 0 && is_paced(self)) {
            return;
        }
        while (result > 0) {
            give_back(self);
            result = take(self, max, 0);
        }
    }
    ck_abort_msg("records of a paced ring are due at once");
}

void read_one_paced(stage *self, size_t size) {
    make_paced(self);
    emit_sized(self, size);
    ck_assert_int_eq(taken(self, rbcore_reader_read(self->reader, self->records, MAX_RECORDS)), 1);
    ck_assert_uint_eq(self->records[0].size, size);
    ck_assert(is_paced(self));
}

/* ---- What is seen ---- */

uint64_t consumer_pos(const stage *self) {
    return atomic_load(self->consumer_page);
}

uint64_t producer_pos(const stage *self) {
    return atomic_load(self->producer_page);
}

static void expect_published_up_to(const stage *self, uint64_t before_the_end) {
    rbcore_ring_stats stats = stats_of(self->reader, 0);
    if (stats.consumer_pos != stats.user_pos - before_the_end) {
        ck_abort_msg("published up to %llu, committed up to %llu",
                     (unsigned long long)stats.consumer_pos, (unsigned long long)stats.user_pos);
    }
}

void expect_all_published(const stage *self) {
    expect_published_up_to(self, 0);
}

void expect_held_back(const stage *self, size_t size) {
    expect_published_up_to(self, span_of(size));
}

void expect_wakeup(stage *self) {
    ck_assert_uint_eq(test_ring_wakes(self->ring, WATCHDOG_MS), 1);
}

void expect_no_wakeup(stage *self) {
    ck_assert_uint_eq(test_ring_wakes(self->ring, wakeup_delay_ms), 0);
}

void forget_wakeups(stage *self) {
    while (test_ring_wakes(self->ring, wakeup_delay_ms) != 0) {
    }
}

void expect_readable(const stage *self) {
    int limit = wakeup_delay_ms ? WATCHDOG_MS : 0;
    ck_assert(readable(rbcore_reader_fd(self->reader), limit));
}
