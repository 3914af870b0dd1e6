/* SPDX-License-Identifier: MIT */
/* The positions of what was read, given back and published are kept apart, in commit mode. */
#include "support.h"

START_TEST(only_commit_gives_back) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    rbcore_record records[64];
    int held = 0;
    for (uint64_t i = 0; i < 40; i++) {
        produce(&f, i);
        switch (i % 4) {
        case 0:
            held += rbcore_reader_read(f.reader, records + held, 1);
            break;
        case 1:
            held += rbcore_reader_next(f.reader, records + held, 4, 0);
            break;
        case 2:
            held += rbcore_reader_next(f.reader, records + held, 4, 100000);
            ck_assert_int_eq(rbcore_reader_next(f.reader, records + held, 4, 1000), 0);
            break;
        case 3:
            readable(rbcore_reader_fd(f.reader), 0);
            ck_assert_int_eq(rbcore_reader_read(f.reader, records + held, 4), 1);
            ck_assert_int_eq(rbcore_reader_read(f.reader, records + held + 1, 4), 0);
            held++;
            break;
        }
        ck_assert_int_eq(held, (int)i + 1);
        ok(rbcore_reader_interrupt(f.reader));
        ck_assert_int_eq(rbcore_reader_read(f.reader, records + held, 4), -ECANCELED);
        ok(rbcore_reader_flush(f.reader));
        ck_assert_int_eq(rbcore_reader_read(f.reader, records + held, 4), -ENODATA);
        ring_stats(&f);
        ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    }
    rbcore_ring_stats s = ring_stats(&f);
    ck_assert_uint_eq(s.read_pos, 40 * 16);
    ck_assert_uint_eq(s.user_pos, 0);
    ck_assert_uint_eq(s.consumer_pos, 0);
    for (int i = 0; i < held; i++) {
        ck_assert_uint_eq(value_of(&records[i]), i);
    }
    rbcore_reader_free(f.reader);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 0);
    fixture_drop(&f);
    image_unmap(&raw);
}
END_TEST

START_TEST(commit_of_a_prefix) {
    fixture f = fixture_open(page_size(), 0);
    image raw = image_map(f.memory_fd);
    for (uint64_t i = 0; i < 10; i++) {
        produce(&f, i);
    }
    rbcore_record records[10];
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 10), 10);
    ok(rbcore_reader_commit(f.reader, &records[0], 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 16);
    ok(rbcore_reader_commit(f.reader, &records[6], 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 7 * 16);
    ck_assert_uint_eq(ring_stats(&f).user_pos, 7 * 16);
    ck_assert_uint_eq(value_of(&records[7]), 7);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 160);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

START_TEST(commit_of_nothing) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    produce(&f, 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(reader_stats(f.reader).commits, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(commit_of_what_is_not_held) {
    fixture f = fixture_open(page_size(), 0);
    fixture other = fixture_add(f.reader, page_size());
    image raw = image_map(f.memory_fd);
    rbcore_record stale, records[3], bad;
    produce(&f, 0);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &stale, 1), 1);
    ok(rbcore_reader_commit(f.reader, &stale, 0));
    for (uint64_t i = 1; i <= 4; i++) {
        /*
         * The content looks like a record's header, to a reader that trusts a position inside it.
         */
        const uint64_t content[4] = {8, 8, 8, 8};
        ok(rbcore_producer_output(f.producer, content, sizeof(content), 0));
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 3), 3);
    const rbcore_record good = records[1];
    rbcore_record cases[12];
    size_t n = 0;
    cases[n++] = stale;
    bad = good;
    cases[n++] = (bad.ring = (uint16_t)other.ring, bad);
    cases[n++] = (bad.ring = 2, bad);
    cases[n++] = (bad.ring = UINT16_MAX, bad);
    bad = good;
    cases[n++] = (bad.position = good.position + 8, bad);
    cases[n++] = (bad.position = good.position + 4, bad);
    cases[n++] = (bad.position = end_of(&records[2]), bad); /* produced, not read yet */
    cases[n++] = (bad.position = UINT64_MAX - 7, bad);
    cases[n++] = (bad.position = good.position + page_size(), bad);
    bad = good;
    cases[n++] = (bad.size = good.size + 8, bad);
    cases[n++] = (bad.size = UINT32_MAX, bad);
    bad = good;
    cases[n++] = (bad.data = records[0].data, bad); /* as from another reader's ring */
    for (size_t i = 0; i < n; i++) {
        int error = rbcore_reader_commit(f.reader, &cases[i], 0);
        ck_assert_msg(error == -EINVAL, "case %zu: %d", i, error);
        ck_assert_uint_eq(image_load(raw.consumer_pos), 16);
    }
    ck_assert_str_ne(rbcore_reader_message(f.reader), "");
    ck_assert_int_eq(rbcore_reader_commit(f.reader, &good, 2), -EINVAL);
    ck_assert_int_eq(rbcore_reader_commit(f.reader, NULL, UINT32_C(1) << 31), -EINVAL);
    ck_assert_int_eq(rbcore_reader_release(f.reader, &good, 1), -EINVAL);
    ck_assert_uint_eq(image_load(raw.consumer_pos), 16);
    ok(rbcore_reader_commit(f.reader, &good, 0));
    ck_assert_int_eq(rbcore_reader_commit(f.reader, &good, 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_commit(f.reader, &records[0], 0), -EINVAL);
    ck_assert_uint_eq(image_load(raw.consumer_pos), end_of(&good));
    image_unmap(&raw);
    fixture_drop(&other);
    fixture_close(&f);
}
END_TEST

#define RINGS 3
#define RECORDS 600

/* Commits of random prefixes, in the order of handing out, across rings read in random batches. */
START_TEST(commit_across_rings) {
    fixture f[RINGS];
    image raw[RINGS];
    f[0] = fixture_open(4 * page_size(), 0);
    for (int i = 1; i < RINGS; i++) {
        f[i] = fixture_add(f[0].reader, 4 * page_size());
    }
    for (int i = 0; i < RINGS; i++) {
        ck_assert_uint_eq(f[i].ring, i);
        raw[i] = image_map(f[i].memory_fd);
    }
    uint64_t random = 5, given_back[RINGS] = {0};
    uint64_t next[RINGS] = {0};
    static rbcore_record records[RECORDS + 16];
    int read = 0, committed = 0;
    while (committed < RECORDS) {
        for (int i = random_next(&random) % 8; i; i--) {
            uint32_t ring = random_next(&random) % RINGS;
            uint64_t value = (uint64_t)ring << 32 | next[ring];
            if (!rbcore_producer_output(f[ring].producer, &value, 8, 0)) {
                next[ring]++;
            }
        }
        int n = rbcore_reader_read(f[0].reader, records + read, 1 + random_next(&random) % 7);
        ck_assert_int_ge(n, 0);
        read += n;
        if (read > committed && (random_next(&random) % 3 == 0 || read >= RECORDS)) {
            int last = committed + (int)(random_next(&random) % (uint32_t)(read - committed));
            ok(rbcore_reader_commit(f[0].reader, &records[last], 0));
            for (; committed <= last; committed++) {
                given_back[records[committed].ring] = end_of(&records[committed]);
            }
            for (int i = 0; i < RINGS; i++) {
                ck_assert_uint_eq(image_load(raw[i].consumer_pos), given_back[i]);
            }
        }
        if (read >= RECORDS) {
            ok(rbcore_reader_commit(f[0].reader, NULL, 0));
            committed = read;
        }
    }
    uint64_t expected[RINGS] = {0};
    for (int i = 0; i < read; i++) {
        uint16_t ring = records[i].ring;
        ck_assert_uint_eq(records[i].position, expected[ring]++ * 16);
    }
    for (int i = 0; i < RINGS; i++) {
        ck_assert_uint_eq(image_load(raw[i].consumer_pos), expected[i] * 16);
        image_unmap(&raw[i]);
    }
    for (int i = 1; i < RINGS; i++) {
        fixture_drop(&f[i]);
    }
    fixture_close(&f[0]);
}
END_TEST

/* The order of handing out over several rings is remembered for a bounded number of turns. */
START_TEST(turns_not_committed) {
    fixture f = fixture_open(16 * page_size(), 0);
    fixture g = fixture_add(f.reader, 16 * page_size());
    rbcore_record record, first[2];
    int result = 1, n = 0;
    for (; result == 1 && n < 3000; n++) {
        produce(n % 2 ? &g : &f, (uint64_t)n);
        result = rbcore_reader_read(f.reader, n < 2 ? &first[n] : &record, 1);
        if (result == 1 && n >= 2) {
            ck_assert_uint_eq(value_of(&record), n);
        }
    }
    ck_assert_int_eq(result, -ENOBUFS);
    ck_assert_int_gt(n, 1024);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS), -ENOBUFS);
    ok(rbcore_reader_commit(f.reader, &first[1], 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(value_of(&record), n - 1);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ck_assert_uint_eq(ring_stats(&f).bytes_waiting + ring_stats(&g).bytes_waiting, 0);
    ck_assert_uint_eq(ring_stats(&f).consumer_pos + ring_stats(&g).consumer_pos, (uint64_t)n * 16);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

/* One ring never needs the memory of turns, however many reads it takes. */
START_TEST(turns_of_one_ring) {
    fixture f = fixture_open(16 * page_size(), 0);
    rbcore_record record;
    for (uint64_t i = 0; i < 3000; i++) {
        produce(&f, i);
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    }
    ok(rbcore_reader_commit(f.reader, &record, 0));
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 3000 * 16);
    fixture_close(&f);
}
END_TEST

START_TEST(what_was_not_committed_is_read_again) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[8];
    for (uint64_t i = 0; i < 6; i++) {
        produce(&f, i);
    }
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 5), 5);
    ok(rbcore_reader_commit(f.reader, &records[1], 0));
    rbcore_reader_free(f.reader);
    f.reader = reader_on(&f, 0, 0);
    f.ring = 0;
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 4);
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(value_of(&records[i]), i + 2);
        ck_assert_uint_eq(records[i].position, (i + 2) * 16);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(latest) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record records[8];
    void *data;
    rbcore_reader_free(f.reader);
    produce(&f, 0);
    produce(&f, 1);
    ok(rbcore_producer_reserve(f.producer, &data, 8));
    memcpy(data, &(uint64_t){2}, 8);
    produce(&f, 3);
    f.reader = reader_on(&f, 0, RBCORE_SOURCE_LATEST);
    f.ring = 0;
    /* It starts at the first record that is not complete, not behind it. */
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 0);
    ck_assert_uint_eq(ring_stats(&f).skipped, 2);
    ck_assert_uint_eq(ring_stats(&f).consumer_pos, 32);
    ok(rbcore_producer_submit(f.producer, data, 0));
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 8), 2);
    ck_assert_uint_eq(value_of(&records[0]), 2);
    ck_assert_uint_eq(value_of(&records[1]), 3);
    ck_assert_uint_eq(ring_stats(&f).records, 2);
    fixture_close(&f);
}
END_TEST

START_TEST(resume_at_far_positions) {
    const uint64_t positions[] = {UINT64_C(1) << 32, (UINT64_C(1) << 32) - 64,
                                  UINT64_C(0x7ffffffffffff000) - 16, UINT64_MAX - 4095 - 64};
    for (size_t i = 0; i < sizeof(positions) / sizeof(*positions); i++) {
        fixture f = {0};
        ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), 0));
        image raw = image_map(f.memory_fd);
        image_store(raw.consumer_pos, positions[i]);
        image_store(raw.producer_pos, positions[i]);
        f.reader = reader_on(&f, 0, 0);
        f.producer = producer_on(f.memory_fd, f.event_fd);
        uint64_t position = positions[i];
        for (uint64_t k = 0; k < 1000; k++) {
            produce(&f, k);
            rbcore_record record;
            ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
            ck_assert_uint_eq(value_of(&record), k);
            ck_assert_uint_eq(record.position, position);
            ok(rbcore_reader_commit(f.reader, &record, 0));
            position += 16;
        }
        ck_assert_uint_eq(image_load(raw.consumer_pos), position);
        image_unmap(&raw);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(removal) {
    fixture f = fixture_open(page_size(), 0);
    fixture g = fixture_add(f.reader, page_size());
    rbcore_record records[4];
    produce(&f, 1);
    produce(&f, 2);
    produce(&g, 3);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 1), 1);
    ck_assert_int_eq(rbcore_reader_remove(f.reader, f.ring), -EBUSY);
    ck_assert_int_eq(rbcore_reader_remove(f.reader, 2), -EINVAL);
    ck_assert_int_eq(rbcore_reader_remove(f.reader, UINT32_MAX), -EINVAL);
    ok(rbcore_reader_commit(f.reader, NULL, 0));
    ok(rbcore_reader_remove(f.reader, f.ring));
    ck_assert_int_eq(rbcore_reader_remove(f.reader, f.ring), -EINVAL);
    ck_assert_uint_eq(reader_stats(f.reader).rings, 1);
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    ck_assert_int_eq(rbcore_reader_ring_stats(f.reader, f.ring, &s), -EINVAL);
    ck_assert_int_eq(rbcore_reader_commit(f.reader, &records[0], 0), -EINVAL);
    ck_assert_int_eq(rbcore_reader_read(f.reader, records, 4), 1);
    ck_assert_uint_eq(value_of(&records[0]), 3);
    /* The next reader goes on where this one stopped. */
    rbcore_reader *next = reader_on(&f, 0, 0);
    ck_assert_int_eq(rbcore_reader_read(next, records, 4), 1);
    ck_assert_uint_eq(value_of(&records[0]), 2);
    rbcore_reader_free(next);
    /* An index is taken again as late as possible: 0 is free, and yet not the next one. */
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    ck_assert_int_gt(rbcore_reader_add(f.reader, &source), 1);
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {only_commit_gives_back,
                                  commit_of_a_prefix,
                                  commit_of_nothing,
                                  commit_of_what_is_not_held,
                                  commit_across_rings,
                                  turns_not_committed,
                                  turns_of_one_ring,
                                  what_was_not_committed_is_read_again,
                                  latest,
                                  resume_at_far_positions,
                                  removal,
                                  NULL};
    return run_tests("positions", tests);
}
