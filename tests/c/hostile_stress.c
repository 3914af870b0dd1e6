/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer at full speed: it writes positions, headers, owners, the producers' lock and
 * places and whatever else is in the ring, while all calls of producers, a reader, a tap and their
 * snapshots run. No call crashes, hangs, or returns what it does not list; under AddressSanitizer
 * and UndefinedBehaviorSanitizer none touches what is not the ring's, or a header at an odd place.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#define BATCH 32
#define PRODUCERS 2
#define KEPT 8 /* records reserved at a time */

static uint64_t rounds(void) {
    const char *wish = getenv("RBCORE_STRESS_RECORDS");
    return wish != NULL ? strtoull(wish, NULL, 10) : 4000;
}

typedef struct scene {
    int memory_fd, event_fd;
    bool overwrites;
    rbcore_producer *producer;
    uint8_t *producer_page; /* as it was made */
    _Atomic int stop;
} scene;

/* ---- The peer ---- */

static uint32_t tempting_length(uint64_t *random, size_t ring_size) {
    uint32_t length = random_next(random) % 32 ? random_next(random) % 64
                                               : random_next(random) % (uint32_t)(2 * ring_size);
    switch (random_next(random) % 8) {
    case 0:
        return BUSY | length;
    case 1:
        return DISCARDED | length;
    case 2:
        return random_next(random) << 1;
    default:
        return length;
    }
}

/* A position: near another, odd, or anywhere. */
static uint64_t tempting_position(uint64_t *random, const image *raw) {
    uint64_t near = image_load(random_next(random) % 2 ? raw->consumer_pos : raw->producer_pos);
    switch (random_next(random) % 16) {
    case 0:
        return near + random_next(random) % 64;
    case 1:
        return (uint64_t)random_next(random) << 33 | random_next(random);
    case 2:
        return near - random_next(random) % 512 / 8 * 8;
    case 3:
        return near + raw->ring_size;
    default:
        return near + random_next(random) % 64 * 8;
    }
}

static void write_to_the_pages(uint64_t *random, const image *raw) {
    uint32_t *lock = (uint32_t *)(void *)((uint8_t *)raw->producer_pos + 192);
    uint64_t *slots = raw->producer_pos + 64;
    switch (random_next(random) % 8) {
    case 0: /* most of the time it is free */
        __atomic_store_n(lock, random_next(random) % 4 ? 0 : random_next(random) << 1,
                         __ATOMIC_SEQ_CST);
        break;
    case 1: /* in the name of one that lives */
        __atomic_store_n(lock, image_header(raw, random_next(random) % raw->ring_size & ~7u)[1],
                         __ATOMIC_SEQ_CST);
        break;
    case 2:
        image_store(slots + random_next(random) % 448, random_next(random) % 4);
        break;
    case 3:
        raw->base[8 + random_next(random) % (page_size() - 8)] = (uint8_t)random_next(random);
        break;
    default:
        __atomic_store_n(lock, 0, __ATOMIC_SEQ_CST);
    }
}

static void *scribble(void *argument) {
    scene *self = argument;
    const image raw = image_map(self->memory_fd);
    uint64_t random = 7;
    while (!self->stop) {
        uint64_t at = random_next(&random) % raw.ring_size & ~UINT64_C(7);
        switch (random_next(&random) % 64) {
        case 0:
            image_store(raw.consumer_pos, tempting_position(&random, &raw));
            break;
        case 1:
            image_store(raw.producer_pos + random_next(&random) % 4,
                        tempting_position(&random, &raw));
            break;
        case 2:
            if (random_next(&random) % 64 == 0) {
                write_to_the_pages(&random, &raw);
            }
            break;
        case 3: /* what it should be, so that the others get further */
            image_store(raw.producer_pos, image_load(raw.consumer_pos) & ~UINT64_C(7));
            break;
        case 4:
            image_header(&raw, at)[1] = random_next(&random) << 1;
            break;
        case 5:
            sched_yield();
            break;
        default:
            image_store_header(&raw, at, tempting_length(&random, raw.ring_size));
        }
    }
    image_unmap(&raw);
    return NULL;
}

/* ---- The others ---- */

static void expect(int result, int allowed, const char *call) {
    ck_assert_msg(result >= 0 || result == -EAGAIN || result == -EBADMSG || result == allowed,
                  "%s: %d (%s)", call, result, rbcore_strerror(result));
}

static void reserve_some(const scene *self, uint64_t *random) {
    void *data[KEPT];
    size_t kept = 0;
    for (size_t i = 0; i < KEPT; i++) {
        size_t size = random_next(random) % 8 ? random_next(random) % 100
                                              : random_next(random) % (page_size() - 16);
        int error = random_next(random) % 4
                        ? rbcore_producer_reserve(self->producer, &data[kept], size)
                        : rbcore_producer_reserve_wait(self->producer, &data[kept], size, 10000);
        expect(error, -EAGAIN, "reserve");
        if (error == 0) {
            memset(data[kept++], 0x55, size);
        }
    }
    for (size_t i = 0; i < kept; i++) {
        expect(random_next(random) % 2 ? rbcore_producer_submit(self->producer, data[i], 0)
                                       : rbcore_producer_discard(self->producer, data[i], 0),
               -EINVAL, "submit or discard");
    }
}

static void *produce_somehow(void *argument) {
    const scene *self = argument;
    static const uint8_t content[256];
    uint64_t random = (uint64_t)(uintptr_t)&random;
    const uint64_t count = rounds();
    for (uint64_t i = 0; i < count; i++) {
        rbcore_slice slices[BATCH];
        for (size_t j = 0; j < BATCH; j++) {
            slices[j] = (rbcore_slice){content, random_next(&random) % sizeof(content)};
        }
        switch (i % 4) {
        case 0:
            reserve_some(self, &random);
            break;
        case 1:
            expect(rbcore_producer_output(self->producer, content, slices[0].size, 0), -EAGAIN,
                   "output");
            break;
        default:
            expect(rbcore_producer_output_batch(self->producer, slices,
                                                1 + random_next(&random) % BATCH, 0),
                   -EAGAIN, "output_batch");
        }
    }
    return NULL;
}

/* Adds the ring anew: what tells that it is one may be spoilt again as soon as it is mended. */
static unsigned int add_somehow(const scene *self, rbcore_reader *reader, const image *raw,
                                uint32_t flags, uint64_t *random) {
    for (;;) {
        memcpy(raw->base + page_size() + 8, self->producer_page + 8, 184);
        image_store(raw->consumer_pos, 0);
        image_store(raw->producer_pos, 0);
        rbcore_source source = memory_source(self->memory_fd, self->event_fd);
        source.flags = flags | (self->overwrites ? RBCORE_SOURCE_OVERWRITE : 0) |
                       (random_next(random) % 2 ? RBCORE_SOURCE_LATEST : 0);
        int index = rbcore_reader_add(reader, &source);
        if (index >= 0) {
            return (unsigned int)index;
        }
        bool is_expected = index == -EBADMSG || index == -EBADFD || index == -EBUSY ||
                           index == -EOPNOTSUPP || index == -EMEDIUMTYPE;
        ck_assert_msg(is_expected, "add: %d", index);
    }
}

static uint64_t touch(const rbcore_record *records, int count, size_t ring_size) {
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        const volatile uint8_t *data = records[i].data;
        ck_assert_uint_lt(records[i].size, ring_size);
        ck_assert_uint_eq((uintptr_t)data % 8, 0);
        for (uint32_t j = 0; j < records[i].size; j++) {
            sum += data[j];
        }
    }
    return sum;
}

typedef struct looking {
    const scene *scene;
    uint32_t source_flags, reader_flags;
    uint64_t found, broken;
} looking;

static void take_snapshot(rbcore_reader *reader, unsigned int ring, rbcore_snapshot **snapshot,
                          size_t ring_size) {
    rbcore_record records[BATCH];
    int error = rbcore_reader_snapshot(reader, ring, snapshot, 0);
    expect(error, -EAGAIN, "snapshot");
    int count = 0;
    while (error == 0 && (count = rbcore_snapshot_read(*snapshot, records, BATCH)) > 0) {
        touch(records, count, ring_size);
    }
    expect(count, -EAGAIN, "reading a snapshot");
}

static void *look_somehow(void *argument) {
    looking *self = argument;
    const image raw = image_map(self->scene->memory_fd);
    uint64_t random = 11 + self->source_flags;
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = self->reader_flags;
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, &options));
    rbcore_snapshot *snapshot = NULL;
    unsigned int ring = add_somehow(self->scene, reader, &raw, self->source_flags, &random);
    const uint64_t count = rounds() * 4;
    for (uint64_t i = 0; i < count; i++) {
        rbcore_record records[BATCH];
        int n = random_next(&random) % 8 ? rbcore_reader_read(reader, records, BATCH)
                                         : rbcore_reader_next(reader, records, BATCH, 10000);
        expect(n, -EINTR, "read");
        if (n > 0) {
            self->found += (uint64_t)n;
            touch(records, n, raw.ring_size);
            ok(self->reader_flags ? rbcore_reader_release(reader, records, (size_t)n)
                                  : rbcore_reader_commit(reader, NULL, 0));
        }
        if (i % 4 == 0) {
            take_snapshot(reader, ring, &snapshot, raw.ring_size);
        }
        fixture f = {.reader = reader, .ring = ring};
        if (n == -EBADMSG || ring_stats(&f).flags & RBCORE_RING_BROKEN) {
            self->broken++;
            ok(rbcore_reader_remove(reader, ring));
            ring = add_somehow(self->scene, reader, &raw, self->source_flags, &random);
        }
    }
    rbcore_snapshot_free(snapshot);
    rbcore_reader_free(reader);
    image_unmap(&raw);
    return NULL;
}

static void among_a_hostile_peer(uint32_t ring_flags, uint32_t reader_flags) {
    scene s = {.overwrites = ring_flags != 0};
    ok(rbcore_memory_ring_create(&s.memory_fd, &s.event_fd, 2 * page_size(), ring_flags));
    s.producer = producer_on(s.memory_fd, s.event_fd);
    image raw = image_map(s.memory_fd);
    s.producer_page = malloc(page_size());
    memcpy(s.producer_page, raw.producer_pos, page_size());
    looking reader = {&s, RBCORE_SOURCE_INSIST, reader_flags, 0, 0};
    looking tap = {&s, RBCORE_SOURCE_TAP, 0, 0, 0};
    pthread_t peer, threads[PRODUCERS + 2];
    alarm(90); /* a watchdog */
    ok(pthread_create(&peer, NULL, scribble, &s));
    for (int i = 0; i < PRODUCERS; i++) {
        ok(pthread_create(&threads[i], NULL, produce_somehow, &s));
    }
    ok(pthread_create(&threads[PRODUCERS], NULL, look_somehow, &reader));
    ok(pthread_create(&threads[PRODUCERS + 1], NULL, look_somehow, &tap));
    for (int i = 0; i < PRODUCERS + 2; i++) {
        ok(pthread_join(threads[i], NULL));
    }
    s.stop = 1;
    ok(pthread_join(peer, NULL));
    printf("reader: %lu records, broken %lu times; tap: %lu records, broken %lu times\n",
           (unsigned long)reader.found, (unsigned long)reader.broken, (unsigned long)tap.found,
           (unsigned long)tap.broken);
    ck_assert_uint_gt(reader.found, 0);
    ck_assert_uint_gt(tap.found, 0);
    image_store((uint64_t *)(void *)((uint8_t *)raw.producer_pos + 192), 0);
    rbcore_producer_free(s.producer);
    image_unmap(&raw);
    free(s.producer_page);
    close(s.memory_fd);
    close(s.event_fd);
}

START_TEST(in_a_normal_ring) {
    among_a_hostile_peer(0, 0);
}
END_TEST

START_TEST(in_release_mode) {
    among_a_hostile_peer(0, RBCORE_READER_RELEASE);
}
END_TEST

START_TEST(in_an_overwriting_ring) {
    among_a_hostile_peer(RBCORE_MEMORY_RING_OVERWRITE, 0);
}
END_TEST

/*
 * "Positions are loaded once": a reader in release mode holds all, and the ring says that its
 * consumer was somewhere between two records while producers came round.
 */
START_TEST(a_snapshot_from_an_odd_position) {
    for (uint64_t odd = 1; odd < 16; odd++) {
        fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
        image raw = image_map(f.memory_fd);
        rbcore_record records[512];
        rbcore_snapshot *snapshot = NULL;
        for (uint64_t i = 0; i < page_size() / 16 - 1; i++) {
            produce(&f, i);
        }
        int held = rbcore_reader_read(f.reader, records, 512);
        ck_assert_int_gt(held, 0);
        rbcore_record found[512];
        uint64_t end = page_size();
        image_store_header(&raw, end - 16, 8);
        image_store(raw.producer_pos, end);
        image_store(raw.consumer_pos, end - odd);
        int error = rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0);
        ck_assert_int_eq(error, odd % 8 ? -EBADMSG : 0);
        while (error == 0 && (error = rbcore_snapshot_read(snapshot, found, 512)) > 0) {
        }
        rbcore_snapshot_free(snapshot);
        ok(rbcore_reader_release(f.reader, records, (size_t)held));
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

int main(void) {
    if (thread_sanitizer()) {
        skip("what the peer writes is a race, by its nature");
    }
    const TTest *const tests[] = {in_a_normal_ring, in_release_mode, in_an_overwriting_ring,
                                  a_snapshot_from_an_odd_position, NULL};
    return run_tests("a hostile peer at full speed", tests);
}
