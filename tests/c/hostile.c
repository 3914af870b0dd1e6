/* SPDX-License-Identifier: MIT */
/* Rings whose content no producer writes: an error or a bounded wait, never a crash or a hang. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

/* Puts two records of 8 bytes and whatever comes behind them into a fresh ring. */
static fixture with_two_records(image *raw, uint64_t producer_pos) {
    fixture f = fixture_open(page_size(), 0);
    *raw = image_map(f.memory_fd);
    image_store_header(raw, 0, 8);
    image_store_header(raw, 16, 8);
    image_store(raw->producer_pos, producer_pos);
    return f;
}

static void expect_broken(fixture *f) {
    rbcore_record records[4];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rbcore_reader_read(f->reader, records, 4), -EBADMSG);
        ck_assert_int_eq(rbcore_reader_next(f->reader, records, 4, RBCORE_FOREVER), -EBADMSG);
    }
    ck_assert_str_ne(rbcore_reader_message(f->reader), "");
    ck_assert_uint_eq(ring_stats(f).flags & RBCORE_RING_BROKEN, RBCORE_RING_BROKEN);
}

START_TEST(lengths_beyond_the_ring) {
    const uint32_t page = (uint32_t)page_size();
    const uint32_t lengths[] = {17,
                                24,
                                page - 48,
                                page,
                                page * 2,
                                0x3fffffff,
                                0x3ffffff8,
                                DISCARDED | 17,
                                DISCARDED | page,
                                DISCARDED | 0x3fffffff};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        image raw;
        fixture f = with_two_records(&raw, 56);
        image_store_header(&raw, 32, lengths[i]); /* up to 16 would fit */
        rbcore_record records[4];
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 2);
        expect_broken(&f);
        /* The good records before it can be given back, and the ring removed. */
        ok(rbcore_reader_commit(f.reader, &records[0], 0));
        ck_assert_uint_eq(image_load(raw.consumer_pos), 16);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        ck_assert_uint_eq(image_load(raw.consumer_pos), 32);
        ok(rbcore_reader_remove(f.reader, f.ring));
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(a_broken_ring_among_others) {
    image raw;
    fixture f = with_two_records(&raw, 24);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record records[4];
    produce(&g, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 2); /* f's first, g's */
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), -EBADMSG);
    produce(&g, 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 1);
    ck_assert_uint_eq(value_of(records), 2);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(ring_stats(&f).flags, RBCORE_RING_BROKEN);
    ck_assert_uint_eq(ring_stats(&g).flags, 0);
    ok(rbcore_reader_remove(f.reader, f.ring));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
    image_unmap(&raw);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* It stays so, even if the content becomes possible again: records may be lost in between. */
START_TEST(broken_for_good) {
    image raw;
    fixture f = with_two_records(&raw, 24);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 1);
    expect_broken(&f);
    image_store(raw.producer_pos, 32);
    expect_broken(&f);
    image_store(raw.producer_pos, 16); /* nothing is there that was not read */
    expect_broken(&f);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* A flush does not wait for the records before the impossible place: there are none to come. */
START_TEST(a_flush_does_not_wait_for_a_broken_ring) {
    image raw;
    fixture f = with_two_records(&raw, 24);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 1);
    expect_broken(&f);
    ok(rbcore_reader_flush(f.reader));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), -ENODATA);
    expect_broken(&f);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* Even the complete records before it are not read. */
START_TEST(nothing_is_read_up_to_an_odd_position) {
    for (uint64_t odd = 33; odd < 40; odd++) {
        image raw;
        fixture f = with_two_records(&raw, odd);
        expect_broken(&f);
        ck_assert_uint_eq(ring_stats(&f).records, 0);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

/* Impossible content is left for the first read to report. */
START_TEST(latest_stops_before_what_is_impossible) {
    const uint32_t lengths[] = {8, 0x3ffffff8, DISCARDED | 8};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        image raw;
        fixture f = with_two_records(&raw, 24);
        rbcore_reader_free(f.reader);
        image_store_header(&raw, 16, lengths[i]);
        alarm(30); /* not the hundred seconds of every test */
        f.reader = reader_on(&f, 0, RBCORE_SOURCE_LATEST);
        ck_assert_uint_eq(ring_stats(&f).skipped, 1);
        ck_assert_uint_eq(image_load(raw.consumer_pos), 16);
        expect_broken(&f);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(positions_that_go_wrong) {
    const uint64_t page = page_size();
    /* After two of 16 bytes were read, one of them given back. */
    const uint64_t positions[] = {0,
                                  8,
                                  16,
                                  24,
                                  33,
                                  36,
                                  page + 24,
                                  page + 40,
                                  2 * page,
                                  UINT64_C(1) << 32,
                                  UINT64_C(1) << 63,
                                  UINT64_MAX - 7,
                                  UINT64_MAX};
    for (size_t i = 0; i < sizeof(positions) / sizeof(*positions); i++) {
        image raw;
        fixture f = with_two_records(&raw, 32);
        rbcore_record records[4];
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 2);
        ok(rbcore_reader_commit(f.reader, &records[0], 0));
        image_store(raw.producer_pos, positions[i]);
        expect_broken(&f);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
        ck_assert_uint_eq(image_load(raw.consumer_pos), 32);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

/* The consumer's word is ours: whatever others write there is neither believed nor kept. */
START_TEST(the_consumers_word_changes) {
    image raw;
    fixture f = with_two_records(&raw, 32);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 1), 1);
    image_store(raw.consumer_pos, UINT64_MAX);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records + 1, 1), 1);
    ck_assert_uint_eq(records[1].position, 16);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 32);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

START_TEST(a_header_changes_while_its_record_is_held) {
    image raw;
    fixture f = with_two_records(&raw, 32);
    rbcore_record records[4];
    const uint32_t lengths[] = {0, 64, UINT32_MAX, BUSY | 8, DISCARDED | 8};
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
    for (int i = 0; i < 5; i++) {
        image_store_header(&raw, 0, lengths[i]);
        ck_assert_uint_eq(records[0].size, 8);
        int result = rbcore_reader_commit(f.reader, &records[0], 0);
        ck_assert(result == 0 || result == -EINVAL);
        ck_assert_uint_eq(image_load(raw.consumer_pos), result == 0 ? 16 : 0);
        if (result == 0) {
            break;
        }
    }
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 32);
    image_unmap(&raw);
    fixture_close(&f);
    f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    raw = image_map(f.memory_fd);
    produce(&f, 1);
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 2), 2);
    image_store_header(&raw, 0, UINT32_MAX);
    image_store_header(&raw, 16, 0);
    ok(rbcore_reader_release(f.reader, records, 2));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 32);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* ---- A head that is BUSY for ever ---------------------------------------------------------- */

typedef struct mover {
    pthread_t thread;
    image raw;
    _Atomic int stop;
} mover;

static void *move_producer_pos(void *argument) {
    mover *self = argument;
    for (uint64_t position = 16; !self->stop;) {
        position = position + 16 >= self->raw.ring_size ? 16 : position + 16;
        image_store(self->raw.producer_pos, position);
    }
    return NULL;
}

static void busy_for_ever(uint32_t owner) {
    fixture f = fixture_open(page_size(), 0);
    mover m = {.raw = image_map(f.memory_fd)};
    image_store_header(&m.raw, 0, BUSY | 8);
    image_header(&m.raw, 0)[1] = owner;
    image_store(m.raw.producer_pos, 16);
    rbcore_record records[4];
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, 30 * MILLISECOND), 0);
    ok(pthread_create(&m.thread, NULL, move_producer_pos, &m));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 0);
        ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, 30 * MILLISECOND), 0);
    }
    m.stop = 1;
    ok(pthread_join(m.thread, NULL));
    ok(rbcore_reader_flush(f.reader));
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, RBCORE_FOREVER), -ENODATA);
    ok(rbcore_reader_interrupt(f.reader));
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, RBCORE_FOREVER), -ECANCELED);
    ck_assert_uint_eq(ring_stats(&f).read_pos, 0);
    image_unmap(&m.raw);
    fixture_close(&f);
}

START_TEST(busy_by_nobody) {
    busy_for_ever(0);
    busy_for_ever(7);
}
END_TEST

/* Names of owners that never were: the record may be skipped as abandoned, but nothing hangs. */
START_TEST(busy_by_owners_that_never_were) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    uint64_t random = 23;
    rbcore_record records[4];
    for (int i = 0; i < 300; i++) {
        uint64_t position = ring_stats(&f).read_pos;
        image_store_header(&raw, position,
                           BUSY | (random_next(&random) % 3 ? 8 : random_next(&random)));
        image_header(&raw, position)[1] = random_next(&random) << 1;
        image_store(raw.producer_pos, position + 16);
        int result = rbcore_reader_next(f.reader, records, 4, 0);
        ck_assert(result == 0 || result == -EAGAIN || result == -EBADMSG);
        uint64_t read_pos = ring_stats(&f).read_pos;
        ck_assert(read_pos == position || read_pos == position + 16 || read_pos == position + 8);
        if (ring_stats(&f).flags & RBCORE_RING_BROKEN) {
            image_store(raw.consumer_pos, position);
            rbcore_reader_free(f.reader);
            f.reader = reader_on(&f, 0, 0);
            f.ring = 0;
        }
    }
    ck_assert_int_eq(rbcore_reader_next(f.reader, records, 4, 5 * MILLISECOND) > 0, 0);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* An owner that is dead, and a length that cannot be: nothing to skip, and nothing to spin for. */
START_TEST(busy_by_the_dead_with_an_impossible_length) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    rbcore_producer *dead = producer_on(f.memory_fd, f.event_fd);
    void *data;
    ok(rbcore_producer_reserve(dead, &data, 8));
    rbcore_producer_free(dead);
    image_store_header(&raw, 0, BUSY | 0x3fffffff);
    rbcore_record record;
    int64_t cpu = cpu_ns();
    int result = rbcore_reader_next(f.reader, &record, 1, 300 * MILLISECOND);
    ck_assert_msg(result == 0 || result == -EBADMSG, "%d", result);
    ck_assert_int_lt(cpu_ns() - cpu, 150 * MILLISECOND);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* ---- Garbage where nobody should write ----------------------------------------------------- */

static void garbage(uint8_t *bytes, size_t size, uint64_t *random) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)random_next(random);
    }
}

START_TEST(garbage_in_the_spare_room) {
    const size_t page = page_size();
    uint64_t random = 29;
    for (int round = 0; round < 50; round++) {
        fixture f = fixture_open(page, round % 2 ? RBCORE_READER_RELEASE : 0);
        image raw = image_map(f.memory_fd);
        rbcore_record records[8];
        for (uint64_t i = 0; i < 8; i++) {
            produce(&f, i);
        }
        garbage(raw.base + 8, page - 8, &random);
        garbage(raw.base + page + 8, page - 8, &random);
        ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 8);
        for (uint64_t i = 0; i < 8; i++) {
            ck_assert_uint_eq(value_of(&records[i]), i);
        }
        ck_assert_int_eq(rbcore_reader_next(f.reader, records, 1, 0), 0);
        ring_stats(&f);
        ok(round % 2 ? rbcore_reader_release(f.reader, records, 8)
                     : rbcore_reader_commit(f.reader, NULL, 0));
        ck_assert_uint_eq(image_load(raw.consumer_pos), 128);
        rbcore_reader_free(f.reader);
        rbcore_source source = memory_source(f.memory_fd, f.event_fd);
        ok(rbcore_reader_open(&f.reader, NULL));
        ck_assert_int_eq(rbcore_reader_add(f.reader, &source), -EBADFD);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

/* Lies in the owner's block alone cannot lock readers out: a living reader has the lock, too. */
START_TEST(garbage_in_the_consumer_page) {
    const size_t page = page_size();
    uint64_t random = 31;
    for (int round = 0; round < 200; round++) {
        fixture f = fixture_open(page, 0);
        image raw = image_map(f.memory_fd);
        uint8_t *live = malloc(page);
        memcpy(live, raw.base, page); /* with the block of a reader that lives */
        rbcore_reader_free(f.reader);
        if (round % 2) {
            garbage(raw.base + 8, page - 8, &random);
        } else {
            memcpy(raw.base, live, page);
            for (int i = 0; i < 16; i++) {
                raw.base[page - 88 + random_next(&random) % 40] ^= (uint8_t)random_next(&random);
            }
            raw.base[page - 88] ^= 1;
        }
        free(live);
        f.reader = reader_on(&f, 0, 0);
        f.ring = 0;
        ck_assert_uint_eq(ring_stats(&f).flags, 0);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

/* Any process that has the eventfd can fill its counter to the brim. */
START_TEST(a_full_eventfd) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    uint64_t most = UINT64_MAX - 1;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    ck_assert_int_eq(write(f.event_fd, &most, sizeof(most)), sizeof(most));
    for (uint64_t i = 0; i < 10; i++) {
        while (readable(rbcore_reader_fd(f.reader), 0)) {
            ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
        }
        produce(&f, i);
        /* The wakeup was no write that failed: there is room for others. */
        struct pollfd event = {.fd = f.event_fd, .events = POLLOUT};
        ck_assert_int_eq(poll(&event, 1, 0), 1);
        ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
        ok(rbcore_reader_commit(f.reader, NULL, 0));
    }
    fixture_close(&f);
}
END_TEST

/* ---- Everything changes all the time ------------------------------------------------------- */

typedef struct scribbler {
    pthread_t thread;
    image raw;
    uint64_t random;
    _Atomic int stop;
} scribbler;

static uint32_t tempting_length(uint64_t *random, size_t ring_size) {
    uint32_t bits = random_next(random) % 256;
    uint32_t length = random_next(random) % 64 ? random_next(random) % 24
                                               : random_next(random) % (uint32_t)(2 * ring_size);
    return bits == 0   ? BUSY | length
           : bits == 1 ? DISCARDED | length
           : bits == 2 ? random_next(random) << 1
                       : length;
}

/* Most changes look possible, because those get further. */
static void *scribble(void *argument) {
    scribbler *self = argument;
    uint64_t *random = &self->random;
    const size_t page = page_size(), ring_size = self->raw.ring_size;
    while (!self->stop) {
        uint64_t consumer = image_load(self->raw.consumer_pos);
        uint64_t producer = image_load(self->raw.producer_pos);
        switch (random_next(random) % 1024) {
        case 0:
            *(volatile uint8_t *)(self->raw.base + random_next(random) % (ring_size + 2 * page)) =
                (uint8_t)random_next(random);
            break;
        case 1:
            image_store(self->raw.producer_pos, (uint64_t)random_next(random) << 32);
            break;
        case 2:
            image_store(self->raw.consumer_pos, consumer + random_next(random) % 64);
            break;
        case 3:
            image_store(self->raw.producer_pos, producer - random_next(random) % 512 / 8 * 8);
            break;
        case 4:
            sched_yield();
            break;
        default:
            if (random_next(random) % 4 == 0 && producer - consumer < ring_size - 256) {
                image_store(self->raw.producer_pos, producer + random_next(random) % 32 * 8);
            } else {
                image_store_header(&self->raw, random_next(random) % ring_size & ~7u,
                                   tempting_length(random, ring_size));
            }
        }
    }
    return NULL;
}

static uint64_t touch(const rbcore_record *records, int n, size_t ring_size) {
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        const volatile uint8_t *data = records[i].data;
        ck_assert_uint_lt(records[i].size, ring_size);
        ck_assert_uint_eq(records[i].position % 8, 0);
        sum += records[i].size ? data[0] + data[records[i].size - 1] : 0;
    }
    return sum;
}

/* Adds the ring anew, with positions that may be impossible again the moment they are mended. */
static void add_somehow(fixture *f, const image *raw, const uint8_t *producer_page,
                        uint64_t *random) {
    for (;;) {
        memcpy(raw->base + page_size() + 8, producer_page + 8, page_size() - 8);
        image_store(raw->consumer_pos, 0);
        image_store(raw->producer_pos, 0);
        rbcore_source source = memory_source(f->memory_fd, f->event_fd);
        source.flags = RBCORE_SOURCE_INSIST;
        source.flags |= random_next(random) % 2 ? RBCORE_SOURCE_LATEST : 0;
        int index = rbcore_reader_add(f->reader, &source);
        if (index >= 0) {
            f->ring = (unsigned int)index;
            return;
        }
        /* -EBUSY: the owner's block was scribbled over at the moment it was signed. */
        ck_assert_msg(index == -EBADMSG || index == -EBADFD || index == -EBUSY, "add: %d", index);
    }
}

static void read_what_is_scribbled(uint32_t flags, uint64_t seed) {
    const size_t ring_size = page_size();
    fixture f = fixture_open(ring_size, flags);
    scribbler s = {.raw = image_map(f.memory_fd), .random = seed};
    image mine = image_map(f.memory_fd);
    uint8_t *producer_page = malloc(page_size());
    memcpy(producer_page, mine.base + page_size(), page_size());
    uint64_t random = seed + 1, found = 0, broken = 0;
    const int64_t until = now_ns() + 1200 * MILLISECOND;
    static volatile uint64_t sum;
    ok(pthread_create(&s.thread, NULL, scribble, &s));
    rbcore_record records[32];
    while (now_ns() < until) {
        int n = random_next(&random) % 8 ? rbcore_reader_read(f.reader, records, 32)
                                         : rbcore_reader_next(f.reader, records, 32, 10000);
        if (n > 0) {
            found += (uint64_t)n;
            sum += touch(records, n, ring_size);
            if (flags) {
                ok(rbcore_reader_release(f.reader, records, (size_t)n));
            } else {
                /* Its header may have changed, so it may not be recognized. */
                rbcore_reader_commit(f.reader, &records[random_next(&random) % (uint32_t)n], 0);
                ok(rbcore_reader_commit(f.reader, NULL, 0));
            }
            ring_stats(&f);
        } else if (n == -EBADMSG) {
            broken++;
            ok(rbcore_reader_remove(f.reader, f.ring));
            add_somehow(&f, &mine, producer_page, &random);
        } else {
            ck_assert(n == 0 || n == -EAGAIN);
        }
    }
    s.stop = 1;
    ok(pthread_join(s.thread, NULL));
    printf("%llu records found, broken %llu times\n", (unsigned long long)found,
           (unsigned long long)broken);
    ck_assert_uint_gt(found, 0);
    ck_assert_uint_gt(broken, 0);
    free(producer_page);
    image_unmap(&mine);
    image_unmap(&s.raw);
    fixture_close(&f);
}

START_TEST(everything_changes_in_commit_mode) {
    read_what_is_scribbled(0, 101);
}
END_TEST

START_TEST(everything_changes_in_release_mode) {
    read_what_is_scribbled(RBCORE_READER_RELEASE, 103);
}
END_TEST

static void *flip_producer_pos(void *argument) {
    mover *self = argument;
    while (!self->stop) {
        image_store(self->raw.producer_pos, 0);
        image_store(self->raw.producer_pos, UINT64_C(1) << 62);
    }
    return NULL;
}

/* The position is possible when it is checked, and endless when the records are skipped. */
START_TEST(latest_does_not_skip_for_ever) {
    fixture f = fixture_open(page_size(), 0);
    mover m = {.raw = image_map(f.memory_fd)};
    rbcore_record record;
    alarm(30); /* not the hundred seconds of every test */
    ok(rbcore_reader_remove(f.reader, f.ring));
    ok(pthread_create(&m.thread, NULL, flip_producer_pos, &m));
    for (int i = 0; i < 3000; i++) {
        rbcore_source source = memory_source(f.memory_fd, f.event_fd);
        source.flags = RBCORE_SOURCE_LATEST;
        image_store(m.raw.consumer_pos, 0);
        int index = rbcore_reader_add(f.reader, &source);
        ck_assert(index >= 0 || index == -EBADMSG);
        if (index >= 0) {
            rbcore_reader_read(f.reader, &record, 1);
            ok(rbcore_reader_commit(f.reader, NULL, 0));
            ok(rbcore_reader_remove(f.reader, (unsigned int)index));
        }
    }
    m.stop = 1;
    ok(pthread_join(m.thread, NULL));
    image_unmap(&m.raw);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {lengths_beyond_the_ring,
                                  a_broken_ring_among_others,
                                  broken_for_good,
                                  a_flush_does_not_wait_for_a_broken_ring,
                                  nothing_is_read_up_to_an_odd_position,
                                  latest_stops_before_what_is_impossible,
                                  positions_that_go_wrong,
                                  the_consumers_word_changes,
                                  a_header_changes_while_its_record_is_held,
                                  busy_by_nobody,
                                  busy_by_owners_that_never_were,
                                  busy_by_the_dead_with_an_impossible_length,
                                  garbage_in_the_spare_room,
                                  garbage_in_the_consumer_page,
                                  a_full_eventfd,
                                  everything_changes_in_commit_mode,
                                  everything_changes_in_release_mode,
                                  latest_does_not_skip_for_ever,
                                  NULL};
    return run_tests("hostile", tests);
}
