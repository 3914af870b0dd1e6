/* SPDX-License-Identifier: MIT */
/*
 * The producers of a memory ring in overwrite mode: where their positions are after each step, what
 * they overwrite and what they must not, and that they survive each other's death.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#define OVERWRITE RBCORE_MEMORY_RING_OVERWRITE

/* The words behind producer_pos in the producer page: where the kernel has them. */
static uint64_t pending_pos(const image *raw) {
    return image_load(raw->producer_pos + 1);
}

static uint64_t overwrite_pos(const image *raw) {
    return image_load(raw->producer_pos + 2);
}

/* The content of records where it does not matter. */
static const uint8_t filler[320];

typedef struct ring {
    fixture f;
    image raw;
} ring;

static ring open_ring(size_t size, uint32_t flags) {
    ring r = {0};
    ok(rbcore_memory_ring_create(&r.f.memory_fd, &r.f.event_fd, size, flags));
    r.f.producer = producer_on(r.f.memory_fd, r.f.event_fd);
    r.raw = image_map(r.f.memory_fd);
    return r;
}

static void close_ring(ring *self) {
    image_unmap(&self->raw);
    fixture_drop(&self->f);
}

/* Reserves a record that takes `space` bytes of the ring. Returns NULL if there was no room. */
static void *reserve(const ring *self, uint64_t space) {
    void *data = NULL;
    int error = rbcore_producer_reserve(self->f.producer, &data, space - HEADER_SIZE);
    ck_assert_msg(error == 0 || error == -EAGAIN, "reserve: %d", error);
    return data;
}

static void submit(const ring *self, void *data) {
    ok(rbcore_producer_submit(self->f.producer, data, 0));
}

static void expect_positions(const ring *self, uint64_t producer, uint64_t pending,
                             uint64_t overwrite) {
    ck_assert_uint_eq(image_load(self->raw.producer_pos), producer);
    ck_assert_uint_eq(pending_pos(&self->raw), pending);
    ck_assert_uint_eq(overwrite_pos(&self->raw), overwrite);
    ck_assert_uint_eq(image_load(self->raw.consumer_pos), 0);
}

/*
 * The example of the kernel's commit that brought the mode, step by step, in units of an eighth of
 * the ring (512 bytes where pages have 4096). Its drawings show pending_pos where the records in
 * fact stand. The word itself is brought there by the next reserve: compare
 * tests/kernel/overwrite_positions.c, which sees the same in the kernel.
 */
START_TEST(the_example_of_the_kernel) {
    ring r = open_ring(page_size(), OVERWRITE);
    const uint64_t u = page_size() / 8;
    expect_positions(&r, 0, 0, 0);
    void *a = reserve(&r, u);
    expect_positions(&r, u, 0, 0);
    void *b = reserve(&r, 2 * u);
    expect_positions(&r, 3 * u, 0, 0);
    void *c = reserve(&r, 4 * u);
    expect_positions(&r, 7 * u, 0, 0);
    submit(&r, a);
    expect_positions(&r, 7 * u, 0, 0); /* drawn: u */
    submit(&r, b);
    expect_positions(&r, 7 * u, 0, 0); /* drawn: 3 u */
    /* A and B go as wholes, although D needs only the first part of B. */
    void *d = reserve(&r, 3 * u);
    expect_positions(&r, 10 * u, 3 * u, 3 * u);
    ck_assert_ptr_null(reserve(&r, 2 * u)); /* E would overwrite C, which is being written */
    expect_positions(&r, 10 * u, 3 * u, 3 * u);
    submit(&r, c);
    submit(&r, d);
    expect_positions(&r, 10 * u, 3 * u, 3 * u); /* drawn: 10 u */
    /* A reader finds these from overwrite_pos on: C and D, where they were reserved. */
    ck_assert_uint_eq(*image_header(&r.raw, 3 * u), 4 * u - HEADER_SIZE);
    ck_assert_uint_eq(*image_header(&r.raw, 7 * u), 3 * u - HEADER_SIZE);
    /* The next reserve sees that all is complete, and overwrites C. */
    ck_assert_ptr_nonnull(reserve(&r, 2 * u));
    expect_positions(&r, 12 * u, 10 * u, 7 * u);
    close_ring(&r);
}
END_TEST

/* ---- Against a model ----------------------------------------------------------------------- */

#define KEPT 4096 /* records that the model remembers */

typedef struct modelled {
    uint64_t position, space;
    void *data; /* while it is being written */
} modelled;

/* The rules of the ring, on a list of all its records. */
typedef struct model {
    modelled records[KEPT];
    size_t count;
    uint64_t producer, pending, overwrite, lost;
    uint64_t size;
} model;

static bool model_reserve(model *self, uint64_t space) {
    size_t i = 0;
    while (i < self->count && self->records[i].data == NULL) {
        i++;
    }
    self->pending = i < self->count ? self->records[i].position : self->producer;
    uint64_t end = self->producer + space;
    if (end - self->pending >= self->size) {
        self->lost++;
        return false;
    }
    for (i = 0; end - self->overwrite >= self->size; i++) {
        if (self->records[i].position == self->overwrite) {
            self->overwrite += self->records[i].space;
        }
    }
    ck_assert_uint_lt(self->count, KEPT);
    self->records[self->count++] = (modelled){.position = self->producer, .space = space};
    self->producer = end;
    return true;
}

static uint64_t random_space(const model *self, uint64_t *random) {
    uint64_t limit = random_next(random) % 8 == 0 ? self->size - 8 : self->size / 16;
    return 8 + random_next(random) % (limit / 8) * 8;
}

static void finish_one(const ring *r, model *m, uint64_t *random) {
    size_t from = m->count > 0 ? random_next(random) % m->count : 0;
    for (size_t i = 0; i < m->count; i++) {
        modelled *record = &m->records[(from + i) % m->count];
        if (record->data != NULL) {
            if (random_next(random) % 4 == 0) {
                ok(rbcore_producer_discard(r->f.producer, record->data, 0));
            } else {
                submit(r, record->data);
            }
            record->data = NULL;
            return;
        }
    }
}

static void step(const ring *r, model *m, uint64_t *random) {
    if (random_next(random) % 2 == 0) {
        finish_one(r, m, random);
    } else {
        uint64_t space = random_space(m, random);
        void *data = reserve(r, space);
        ck_assert_int_eq(model_reserve(m, space), data != NULL);
        if (data != NULL) {
            m->records[m->count - 1].data = data;
            memset(data, (int)random_next(random), space - HEADER_SIZE);
        }
    }
    expect_positions(r, m->producer, m->pending, m->overwrite);
    for (size_t i = 0; i < m->count; i++) {
        if (m->records[i].position >= m->overwrite) {
            uint32_t length = *image_header(&r->raw, m->records[i].position);
            ck_assert_uint_eq(length & ~(BUSY | DISCARDED), m->records[i].space - HEADER_SIZE);
            ck_assert_int_eq((length & BUSY) != 0, m->records[i].data != NULL);
        }
    }
}

/*
 * Several records are reserved at once and finished in any order, of sizes up to the largest that
 * fits.
 */
START_TEST(like_the_model) {
    static model m;
    uint64_t refused = 0, laps = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        ring r = open_ring(page_size(), OVERWRITE);
        uint64_t random = seed;
        m = (model){.size = page_size()};
        for (int i = 0; i < 1500; i++) {
            step(&r, &m, &random);
        }
        refused += m.lost;
        laps += m.producer / m.size;
        close_ring(&r);
    }
    ck_assert_uint_gt(refused, 100); /* both happened often enough to mean something */
    ck_assert_uint_gt(laps, 100);
}
END_TEST

/* ---- What it does with readers and wakeups ------------------------------------------------- */

/* Nothing that a consumer writes holds producers up, or makes them give up more than they need. */
START_TEST(no_consumer_matters) {
    const uint64_t positions[] = {0, 8, 3, UINT64_MAX, UINT64_C(1) << 63, 4096};
    for (size_t i = 0; i < sizeof(positions) / sizeof(*positions); i++) {
        ring r = open_ring(page_size(), OVERWRITE);
        image_store(r.raw.consumer_pos, positions[i]);
        rbcore_producer *other = producer_on(r.f.memory_fd, r.f.event_fd);
        uint64_t records = 3 * page_size() / 64;
        for (uint64_t n = 0; n < records; n++) {
            ok(rbcore_producer_output(n % 2 ? other : r.f.producer, filler, 56, 0));
        }
        ck_assert_uint_eq(image_load(r.raw.producer_pos), records * 64);
        ck_assert_uint_eq(overwrite_pos(&r.raw), (records + 1) * 64 - page_size());
        ck_assert_uint_eq(image_load(r.raw.consumer_pos), positions[i]);
        rbcore_producer_free(other);
        close_ring(&r);
    }
}
END_TEST

static bool woken(const ring *self) {
    uint64_t count;
    if (!readable(self->f.event_fd, 0)) {
        return false;
    }
    ck_assert_int_eq(read(self->f.event_fd, &count, sizeof(count)), sizeof(count));
    return true;
}

/* They depend on the consumer's position, which is compared without its laps, as in the kernel. */
START_TEST(wakeups) {
    ring r = open_ring(page_size(), OVERWRITE);
    uint64_t last = page_size() / 64 - 1;
    for (uint64_t i = 0; i <= last; i++) {
        ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
        ck_assert_int_eq(woken(&r), i == 0);
    }
    ok(rbcore_producer_output(r.f.producer, filler, 56, 0)); /* at consumer_pos, a lap later */
    ck_assert(woken(&r));
    image_store(r.raw.consumer_pos, image_load(r.raw.producer_pos));
    ok(rbcore_producer_output(r.f.producer, filler, 56, RBCORE_NO_WAKEUP));
    ck_assert(!woken(&r));
    image_store(r.raw.consumer_pos, image_load(r.raw.producer_pos));
    ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
    ck_assert(woken(&r));
    close_ring(&r);
}
END_TEST

/* ---- What is impossible -------------------------------------------------------------------- */

START_TEST(impossible_positions) {
    const uint64_t size = page_size();
    const uint64_t cases[][2] = {{size + 8, 0}, {0, 8}, {12, 8}, {16, 12}, {size, UINT64_MAX - 7}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ring r = open_ring(size, OVERWRITE);
        image_store(r.raw.producer_pos, cases[i][0]);
        image_store(r.raw.producer_pos + 2, cases[i][1]);
        void *data;
        ck_assert_int_eq(rbcore_producer_reserve(r.f.producer, &data, 8), -EBADMSG);
        ck_assert_uint_eq(image_load(r.raw.producer_pos), cases[i][0]);
        ck_assert_uint_eq(overwrite_pos(&r.raw), cases[i][1]);
        rbcore_source source = memory_source(r.f.memory_fd, r.f.event_fd);
        rbcore_producer *other;
        ck_assert_int_eq(rbcore_producer_open(&other, &source), -EBADMSG);
        close_ring(&r);
    }
}
END_TEST

/* A pending_pos that cannot be is found anew from the oldest record on. */
START_TEST(impossible_pending) {
    const uint64_t cases[] = {4, UINT64_MAX, UINT64_C(1) << 40, 8 * 64 + 8, 63};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ring r = open_ring(page_size(), OVERWRITE);
        for (uint64_t n = 0; n < 8; n++) {
            ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
        }
        image_store(r.raw.producer_pos + 1, cases[i]);
        ok(rbcore_producer_output(r.f.producer, "", 1, 0));
        expect_positions(&r, 8 * 64 + 16, 8 * 64, 0);
        close_ring(&r);
    }
}
END_TEST

/* Records that no producer writes are not stepped over to somewhere. */
START_TEST(impossible_records) {
    const uint32_t headers[] = {BUSY | 56, 1 << 20, UINT32_MAX, DISCARDED | 4096};
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        ring r = open_ring(page_size(), OVERWRITE);
        for (uint64_t n = 0; n < page_size() / 64 - 1; n++) {
            ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
        }
        ok(rbcore_producer_output(r.f.producer, filler, 48, 0)); /* full: 8 bytes are left */
        uint64_t producer = image_load(r.raw.producer_pos);
        image_store_header(&r.raw, 0, headers[i]);
        ck_assert_int_eq(rbcore_producer_output(r.f.producer, "", 1, 0), -EBADMSG);
        ck_assert_uint_eq(image_load(r.raw.producer_pos), producer);
        ck_assert_uint_eq(overwrite_pos(&r.raw), 0);
        /* The same where pending_pos has not passed it yet. */
        image_store_header(&r.raw, 0, 56);
        ok(rbcore_producer_output(r.f.producer, "", 1, 0));
        ck_assert_uint_eq(pending_pos(&r.raw), producer);
        image_store_header(&r.raw, producer, 1 << 20);
        void *data = NULL;
        int error = rbcore_producer_reserve(r.f.producer, &data, page_size() - 16);
        ck_assert_int_eq(error, -EBADMSG);
        close_ring(&r);
    }
}
END_TEST

/* ---- Readers that do not know the mode ----------------------------------------------------- */

START_TEST(refused_without_the_option) {
    ring r = open_ring(page_size(), OVERWRITE);
    rbcore_source source = memory_source(r.f.memory_fd, r.f.event_fd);
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, NULL));
    ck_assert_int_eq(rbcore_reader_add(reader, &source), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(rbcore_reader_message(reader), "overwrite"));
    rbcore_reader_free(reader);
    /* Versions that know nothing of the mode look for the name of the layout that they know. */
    ck_assert_mem_eq((uint8_t *)r.raw.producer_pos + 128, "mbcring2", 8);
    close_ring(&r);
    r = open_ring(page_size(), 0);
    ck_assert_mem_eq((uint8_t *)r.raw.producer_pos + 128, "mbcring1", 8);
    close_ring(&r);
}
END_TEST

/* A tag and flags that do not go together, or flags of a later version. */
START_TEST(impossible_layouts) {
    const struct {
        uint32_t created;
        char tag[9];
        uint64_t flags;
    } cases[] = {{0, "mbcring1", 1}, {0, "mbcring2", 0},         {OVERWRITE, "mbcring1", 1},
                 {0, "mbcring1", 2}, {OVERWRITE, "mbcring2", 3}, {OVERWRITE, "mbcring3", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ring r = open_ring(page_size(), cases[i].created);
        uint8_t *page = (uint8_t *)r.raw.producer_pos;
        memcpy(page + 128, cases[i].tag, 8);
        memcpy(page + 152, &cases[i].flags, 8);
        rbcore_source source = memory_source(r.f.memory_fd, r.f.event_fd);
        rbcore_producer *producer;
        rbcore_reader *reader;
        ck_assert_int_eq(rbcore_producer_open(&producer, &source), -EBADFD);
        ok(rbcore_reader_open(&reader, NULL));
        ck_assert_int_eq(rbcore_reader_add(reader, &source), -EBADFD);
        rbcore_reader_free(reader);
        close_ring(&r);
    }
}
END_TEST

/* ---- Producers that die -------------------------------------------------------------------- */

typedef struct victim {
    const ring *ring;
    int ready[2];
    uint64_t seed;
    _Atomic uint64_t *written; /* in memory that outlives it */
} victim;

static int hold_a_record(void *argument) {
    victim *self = argument;
    rbcore_producer *producer = producer_on(self->ring->f.memory_fd, self->ring->f.event_fd);
    void *data;
    if (rbcore_producer_reserve(producer, &data, 56) || write(self->ready[1], "", 1) != 1) {
        return 1;
    }
    pause();
    return 2;
}

static void kill_and_wait(pid_t pid) {
    kill(pid, SIGKILL);
    ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
}

static uint64_t lost(const ring *self) {
    /* Losses are counted beside the positions: the 64-bit word at 256 of the producer page. */
    return image_load(self->raw.producer_pos + 256 / 8);
}

/* A record that it left unfinished is in the way as long as it lives, and not a moment longer. */
START_TEST(a_dead_producer_is_not_in_the_way) {
    if (thread_sanitizer()) {
        printf(
            "skipped: a_dead_producer_is_not_in_the_way: ThreadSanitizer does not follow fork()\n");
        return;
    }
    ring r = open_ring(page_size(), OVERWRITE);
    victim v = {.ring = &r};
    char byte;
    ok(pipe(v.ready));
    ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
    pid_t pid = start_child(hold_a_record, &v);
    ck_assert_int_eq(read(v.ready[0], &byte, 1), 1);
    uint64_t made = 0;
    while (rbcore_producer_output(r.f.producer, filler, 56, 0) == 0) {
        made++;
    }
    ck_assert_uint_eq(made,
                      page_size() / 64 - 2); /* the first was overwritten: one place stays free */
    ck_assert_uint_eq(overwrite_pos(&r.raw), 64);
    ck_assert_uint_eq(pending_pos(&r.raw), 64);
    ck_assert_uint_eq(lost(&r), 1);
    ck_assert_int_eq(rbcore_producer_output(r.f.producer, filler, 56, 0), -EAGAIN);
    ck_assert_uint_eq(lost(&r), 2);
    kill_and_wait(pid);
    image_store(r.raw.consumer_pos, 64);
    woken(&r);
    ok(rbcore_producer_output(r.f.producer, filler, 56, RBCORE_NO_WAKEUP));
    ck_assert(woken(&r)); /* the reader that waited for it is told */
    ck_assert_uint_eq(lost(&r), 2);
    ck_assert_uint_eq(overwrite_pos(&r.raw), 128);
    for (uint64_t i = 0; i < 3 * page_size() / 64; i++) {
        ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
    }
    close_ring(&r);
}
END_TEST

/* The producer is closed instead of killed, with more than one record reserved. */
START_TEST(a_closed_producer_is_not_in_the_way) {
    ring r = open_ring(page_size(), OVERWRITE);
    rbcore_producer *other = producer_on(r.f.memory_fd, r.f.event_fd);
    void *data;
    for (int i = 0; i < 5; i++) {
        ok(rbcore_producer_reserve(other, &data, 56));
    }
    while (rbcore_producer_output(r.f.producer, filler, 56, 0) == 0) {
    }
    rbcore_producer_free(other);
    /* One record takes the place of all five at once. */
    ok(rbcore_producer_output(r.f.producer, filler, 5 * 64 - 8, 0));
    for (uint64_t i = 0; i < 3 * page_size() / 64; i++) {
        ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
    }
    ck_assert_uint_eq(lost(&r), 1);
    close_ring(&r);
}
END_TEST

/* A record that stays BUSY, of a producer that this library does not know, is left alone. */
START_TEST(a_strangers_record_stays) {
    ring r = open_ring(page_size(), OVERWRITE);
    ck_assert_ptr_nonnull(reserve(&r, 64));
    image_header(&r.raw, 0)[1] = 3; /* what the kernel has there */
    while (rbcore_producer_output(r.f.producer, filler, 56, 0) == 0) {
    }
    ck_assert_uint_eq(*image_header(&r.raw, 0), BUSY | 56);
    ck_assert_int_eq(rbcore_producer_output(r.f.producer, filler, 56, 0), -EAGAIN);
    close_ring(&r);
}
END_TEST

/*
 * The producer is killed between its two stores: the oldest are given up, the record for which
 * never came.
 */
START_TEST(killed_in_a_reserve) {
    ring r = open_ring(page_size(), OVERWRITE);
    for (uint64_t n = 0; n < 2 * page_size() / 64; n++) {
        ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
    }
    uint64_t producer = image_load(r.raw.producer_pos), overwrite = overwrite_pos(&r.raw);
    image_store(r.raw.producer_pos + 2, overwrite + 5 * 64);
    image_store_header(&r.raw, producer, BUSY | 300);
    for (uint64_t n = 0; n < 6; n++) { /* one was free before, five are free now */
        ok(rbcore_producer_output(r.f.producer, filler, 56, 0));
        ck_assert_uint_eq(overwrite_pos(&r.raw), overwrite + (n < 5 ? 5 : 6) * 64);
        ck_assert_uint_eq(pending_pos(&r.raw), producer + n * 64);
    }
    close_ring(&r);
}
END_TEST

/* ---- Killed at random, over and over ------------------------------------------------------- */

/* Records whose every word is their sequence number, so that a torn one shows. */
static int write_until_killed(void *argument) {
    victim *self = argument;
    rbcore_producer *producer = producer_on(self->ring->f.memory_fd, self->ring->f.event_fd);
    uint64_t random = self->seed, sequence = self->seed << 32;
    for (;; sequence++) {
        uint64_t words = 1 + random_next(&random) % 40, *data;
        void *reserved;
        int error = rbcore_producer_reserve(producer, &reserved, 8 * words);
        if (error != 0 && error != -EAGAIN) {
            return 1;
        }
        data = reserved;
        for (uint64_t i = 0; error == 0 && i < words; i++) {
            data[i] = sequence;
        }
        if (error == 0 && rbcore_producer_submit(producer, data, 0)) {
            return 2;
        }
        *self->written += error == 0;
    }
}

/*
 * While nothing writes there are whole records from overwrite_pos to producer_pos, and whole
 * content.
 */
static uint64_t check_records(const ring *self) {
    uint64_t producer = image_load(self->raw.producer_pos), complete = 0;
    uint64_t position = overwrite_pos(&self->raw), pending = pending_pos(&self->raw);
    ck_assert_uint_le(producer - position, self->raw.ring_size);
    ck_assert_uint_le(pending - position, producer - position);
    while (position != producer) {
        uint32_t length = *image_header(&self->raw, position);
        uint64_t words = (length & ~(BUSY | DISCARDED)) / 8;
        ck_assert_uint_le(span_of(8 * words), producer - position);
        uint64_t mask = self->raw.ring_size - 1;
        for (uint64_t i = 1; !(length & (BUSY | DISCARDED)) && i < words; i++) {
            ck_assert_mem_eq(self->raw.data + ((position + 8 + 8 * i) & mask),
                             self->raw.data + ((position + 8) & mask), 8);
        }
        complete += !(length & (BUSY | DISCARDED));
        position += span_of(8 * words);
    }
    return complete;
}

/* Produces beside them until they have written something, and for a moment that nobody chose. */
static void produce_beside(const ring *self, const _Atomic uint64_t written[2], uint64_t *random) {
    int64_t deadline = now_ns() + WATCHDOG_NS, until = 0;
    while (until == 0 || now_ns() < until) {
        int error = rbcore_producer_output(self->f.producer, random, 8, 0);
        ck_assert(error == 0 || error == -EAGAIN);
        if (until == 0 && written[0] > 100 && written[1] > 100) {
            until = now_ns() + random_next(random) % 5000000;
        }
        ck_assert_int_lt(now_ns(), deadline);
    }
}

START_TEST(killed_at_random) {
    if (thread_sanitizer()) {
        printf("skipped: killed_at_random: ThreadSanitizer does not follow fork()\n");
        return;
    }
    ring r = open_ring(page_size(), OVERWRITE);
    uint64_t random = 7;
    _Atomic uint64_t *written = shared_memory(2 * sizeof(*written));
    for (uint64_t life = 1; life <= 40; life++) {
        written[0] = written[1] = 0;
        victim v[2] = {{.ring = &r, .seed = 2 * life, .written = &written[0]},
                       {.ring = &r, .seed = 2 * life + 1, .written = &written[1]}};
        pid_t pids[2] = {start_child(write_until_killed, &v[0]),
                         start_child(write_until_killed, &v[1])};
        produce_beside(&r, written, &random);
        kill_and_wait(pids[0]);
        kill_and_wait(pids[1]);
        check_records(&r);
        /* A whole lap gets through, whatever they left. */
        for (uint64_t i = 0; i < page_size() / 16; i++) {
            ok(rbcore_producer_output(r.f.producer, &random, 8, 0));
        }
        ck_assert_uint_eq(check_records(&r), page_size() / 16 - 1);
    }
    munmap(written, 2 * sizeof(*written));
    close_ring(&r);
}
END_TEST

/* ---- pending_pos of a normal ring ---------------------------------------------------------- */

START_TEST(pending_of_a_normal_ring) {
    fixture f = fixture_open(page_size(), 0);
    ring r = {.f = f, .raw = image_map(f.memory_fd)};
    rbcore_record records[8];
    void *a = reserve(&r, 64), *b = reserve(&r, 64);
    submit(&r, b);
    expect_positions(&r, 128, 0, 0);
    submit(&r, a);
    ok(rbcore_producer_output(f.producer, "", 1, 0));
    expect_positions(&r, 144, 128, 0);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 3);
    ok(rbcore_reader_commit(f.reader, NULL, RBCORE_COMMIT_NOW));
    ck_assert_uint_eq(image_load(r.raw.consumer_pos), 144);
    /* The reader passes what was abandoned, and pending_pos goes with it. */
    rbcore_producer *other = producer_on(f.memory_fd, f.event_fd);
    ok(rbcore_producer_reserve(other, &a, 56));
    ok(rbcore_producer_output(f.producer, "", 1, 0));
    ck_assert_uint_eq(pending_pos(&r.raw), 144);
    rbcore_producer_free(other);
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 8, WATCHDOG_NS), 1);
    ok(rbcore_reader_commit(f.reader, NULL, RBCORE_COMMIT_NOW));
    ok(rbcore_producer_output(f.producer, "", 1, 0));
    ck_assert_uint_eq(pending_pos(&r.raw), 144 + 64 + 16);
    ck_assert_uint_eq(overwrite_pos(&r.raw), 0);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 1);
    image_unmap(&r.raw);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_example_of_the_kernel, like_the_model,
                                  no_consumer_matters,       wakeups,
                                  impossible_positions,      impossible_pending,
                                  impossible_records,        refused_without_the_option,
                                  impossible_layouts,        a_closed_producer_is_not_in_the_way,
                                  a_strangers_record_stays,  killed_in_a_reserve,
                                  pending_of_a_normal_ring,  a_dead_producer_is_not_in_the_way,
                                  killed_at_random,          NULL};
    return run_tests("overwriting", tests);
}
