/* SPDX-License-Identifier: MIT */
/*
 * A ring in overwrite mode under its producers' full rate: readers that follow and that cannot, and
 * snapshots. Each word of each record is checked, each producer's numbers must ascend, and the
 * bytes must balance: delivered + passed + lost = produced.
 *
 * RBCORE_STRESS_RECORDS=10000000: so many records by each producer in each scenario.
 *
 * Built a second time as overwrite_unchecked, with a library that does not look whether what it
 * copied was overwritten meanwhile: there torn or misplaced records must be found.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"
#include "words.h"
#include "words.skel.h"

#ifndef BPF_F_RB_OVERWRITE
#define BPF_F_RB_OVERWRITE (1U << 19) /* Linux 6.19 */
#endif

#ifdef UNCHECKED
#define IS_CHECKED false
#else
#define IS_CHECKED true
#endif

#define PRODUCERS_MAX 3
#define BATCH 512
#define RUNS_PER_LAP 4
#define RUN_MAX 500 /* records that a program makes at once */

typedef struct stress_scenario {
    size_t ring_pages;
    unsigned int producers;
    unsigned int pause_us; /* of the reader between batches */
    bool takes_snapshots;
    uint32_t flags; /* of the reader */
} stress_scenario;

static const stress_scenario scenarios[] = {
    {.ring_pages = 1, .producers = 1},
    {.ring_pages = 1, .producers = 3, .takes_snapshots = true},
    {.ring_pages = 4, .producers = 2, .flags = RBCORE_READER_RELEASE},
    {.ring_pages = 16, .producers = 1, .pause_us = 200},
    {.ring_pages = 16, .producers = 3, .pause_us = 200, .takes_snapshots = true},
    {.ring_pages = 64, .producers = 2, .pause_us = 2000, .takes_snapshots = true},
    {.ring_pages = 256, .producers = 1, .pause_us = 5000},
    {.ring_pages = 256, .producers = 3, .takes_snapshots = true},
};

#define SCENARIOS ((int)(sizeof(scenarios) / sizeof(*scenarios)))

/* Something must be found without the check, but not in each run. */
#define ROUNDS (IS_CHECKED ? 1 : 5)

typedef struct word_producer {
    pthread_t thread;
    struct words *ring;
    struct words_args args;
    uint64_t records;
    unsigned int cpu;
    atomic_bool done;
} word_producer;

/* The findings in the records of a reader or a snapshot. */
typedef struct word_account {
    uint64_t next[PRODUCERS_MAX]; /* the lowest number that may come */
    uint64_t records, bytes;
    uint64_t wrong; /* torn, misplaced or out of order */
} word_account;

static uint64_t records_of_each(void) {
    const char *wish = getenv("RBCORE_STRESS_RECORDS");
    return wish ? strtoull(wish, NULL, 10) : 100000;
}

static bool is_intact(const rbcore_record *record, uint32_t *producer, uint64_t *sequence) {
    const uint64_t *words = record->data;
    if (record->size < sizeof(*words)) {
        return false;
    }
    *producer = (uint32_t)(words[0] >> 56);
    *sequence = words[0] << 8 >> 8;
    uint32_t count = words_in(*producer, *sequence);
    if (*producer >= PRODUCERS_MAX || record->size != count * sizeof(*words)) {
        return false;
    }
    for (uint32_t i = 1; i < count; i++) {
        if (words[i] != word_of(words[0], i)) {
            return false;
        }
    }
    return true;
}

static void account_for(word_account *account, const rbcore_record *record) {
    uint32_t producer;
    uint64_t sequence;
    account->records++;
    account->bytes += span_of(record->size);
    if (!is_intact(record, &producer, &sequence) || sequence < account->next[producer]) {
        account->wrong++;
    } else {
        account->next[producer] = sequence + 1;
    }
}

static void *write_all(void *context) {
    word_producer *producer = context;
    pin_to_cpu(producer->cpu);
    while (producer->args.sequence < producer->records) {
        LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &producer->args,
                    .ctx_size_in = sizeof(producer->args));
        ck_assert_int_eq(
            bpf_prog_test_run_opts(bpf_program__fd(producer->ring->progs.write_words), &opts), 0);
    }
    atomic_store(&producer->done, true);
    return NULL;
}

static struct words *load_words(const stress_scenario *scenario) {
    struct words *ring = words__open();
    ck_assert_ptr_nonnull(ring);
    ck_assert_int_eq(
        bpf_map__set_max_entries(ring->maps.events, (uint32_t)pages(scenario->ring_pages)), 0);
    ck_assert_int_eq(bpf_map__set_map_flags(ring->maps.events, BPF_F_RB_OVERWRITE), 0);
    ck_assert_int_eq(words__load(ring), 0);
    return ring;
}

static rbcore_reader *follow(const struct words *ring, uint32_t flags) {
    rbcore_reader *reader = open_reader(flags);
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = bpf_map__fd(ring->maps.events);
    source.flags = RBCORE_SOURCE_OVERWRITE;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    return reader;
}

/* There are few for a small ring: between two runs its reader gets a chance. */
static uint32_t run_of(const stress_scenario *scenario) {
    size_t records = pages(scenario->ring_pages) / RUNS_PER_LAP / 80;
    return records < RUN_MAX ? (uint32_t)records : RUN_MAX;
}

static void start(word_producer *producers, const stress_scenario *scenario, struct words *ring) {
    unsigned int cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
    for (unsigned int i = 0; i < scenario->producers; i++) {
        producers[i] =
            (word_producer){.ring = ring,
                            .records = records_of_each(),
                            .cpu = (i + 1) % cpus,
                            .args = {.producer = i, .count = run_of(scenario), .discard_each = 11}};
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, write_all, &producers[i]), 0);
    }
}

static bool all_done(word_producer *producers, unsigned int count) {
    for (unsigned int i = 0; i < count; i++) {
        if (!atomic_load(&producers[i].done)) {
            return false;
        }
    }
    return true;
}

static void give_back(rbcore_reader *reader, const stress_scenario *scenario,
                      const rbcore_record *records, int count) {
    int error = scenario->flags & RBCORE_READER_RELEASE
                    ? rbcore_reader_release(reader, records, (size_t)count)
                    : rbcore_reader_commit(reader, NULL, 0);
    ck_assert(error == 0 || !IS_CHECKED);
}

/* One snapshot is whole, in order, and without a gap. */
static void take_snapshot(rbcore_reader *reader, rbcore_snapshot **snapshot, word_account *total) {
    static rbcore_record records[BATCH];
    word_account account = {0};
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    int count = rbcore_reader_snapshot(reader, 0, snapshot, 0);
    if (count == -EAGAIN || (count == -EBADMSG && !IS_CHECKED)) {
        return;
    }
    ck_assert_int_eq(count, 0);
    while ((count = rbcore_snapshot_read(*snapshot, records, BATCH)) > 0) {
        for (int i = 0; i < count; i++) {
            account_for(&account, &records[i]);
        }
    }
    ck_assert(count == 0 || !IS_CHECKED);
    ck_assert_int_eq(rbcore_snapshot_info_get(*snapshot, &info), 0);
    ck_assert_uint_le(account.bytes, info.end_pos - info.first_pos);
    total->records += account.records;
    total->wrong += account.wrong;
}

/* One that does not pause never sleeps either: it is as close to the producers as can be. */
static int read_some(rbcore_reader *reader, const stress_scenario *scenario,
                     rbcore_record *records) {
    return scenario->pause_us ? rbcore_reader_next(reader, records, BATCH, 20 * MILLISECOND)
                              : rbcore_reader_read(reader, records, BATCH);
}

/* Reads until the producers are done and the ring is empty. Stops early where it breaks. */
static void read_all(rbcore_reader *reader, const stress_scenario *scenario,
                     word_producer *producers, word_account *read, word_account *taken) {
    static rbcore_record records[BATCH];
    rbcore_snapshot *snapshot = NULL;
    bool ending = false;
    for (unsigned int round = 0;; round++) {
        int count = read_some(reader, scenario, records);
        ck_assert(count >= 0 || (count == -EBADMSG && !IS_CHECKED));
        for (int i = 0; i < count; i++) {
            account_for(read, &records[i]);
        }
        if (count > 0) {
            give_back(reader, scenario, records, count);
        }
        if (scenario->takes_snapshots && round % 8 == 0) {
            take_snapshot(reader, &snapshot, taken);
        }
        if (count < 0 || (count == 0 && ending)) {
            break;
        }
        ending = all_done(producers, scenario->producers);
        if (scenario->pause_us && !ending) {
            usleep(scenario->pause_us);
        }
    }
    rbcore_snapshot_free(snapshot);
}

static uint64_t torn; /* in all scenarios; only counted where it is expected */

START_TEST(nothing_torn_and_all_counted) {
    const stress_scenario *scenario = &scenarios[_i % SCENARIOS];
    if (torn) {
        return; /* that is all that there is to show */
    }
    word_producer producers[PRODUCERS_MAX];
    word_account read = {0}, taken = {0};
    struct words *ring = load_words(scenario);
    rbcore_reader *reader = follow(ring, scenario->flags);
    pin_to_cpu(0);
    start(producers, scenario, ring);
    read_all(reader, scenario, producers, &read, &taken);
    uint64_t produced = 0;
    for (unsigned int i = 0; i < scenario->producers; i++) {
        ck_assert_int_eq(pthread_join(producers[i].thread, NULL), 0);
        produced += producers[i].args.bytes;
    }
    rbcore_ring_stats stats = stats_of(reader, 0);
    printf("%zu KiB, %u producers: %llu delivered, %llu in snapshots, %llu wrong; of %llu bytes "
           "%.1f %% lost\n",
           pages(scenario->ring_pages) / 1024, scenario->producers,
           (unsigned long long)read.records, (unsigned long long)taken.records,
           (unsigned long long)(read.wrong + taken.wrong), (unsigned long long)produced,
           100.0 * (double)stats.lost_bytes / (double)produced);
    torn += IS_CHECKED ? 0 : read.wrong + taken.wrong;
    if (IS_CHECKED) {
        ck_assert_uint_eq(read.wrong, 0);
        ck_assert_uint_eq(taken.wrong, 0);
        ck_assert_uint_eq(stats.producer_pos, produced);
        ck_assert_uint_eq(stats.read_pos, produced);
        ck_assert_uint_eq(read.bytes + stats.passed_bytes + stats.lost_bytes, produced);
        ck_assert_uint_gt(read.records, 0);
    }
    rbcore_reader_free(reader);
    words__destroy(ring);
}
END_TEST

#ifdef UNCHECKED
START_TEST(the_check_is_needed) {
    ck_assert_uint_gt(torn, 0);
}
END_TEST
#endif

int main(void) {
    Suite *suite = suite_create("overwrite stress");
    TCase *tcase = tcase_create("nothing torn and all counted");
    tcase_set_timeout(tcase, 0); /* as long as the records that were asked for take */
    tcase_add_loop_test(tcase, nothing_torn_and_all_counted, 0, ROUNDS * SCENARIOS);
#ifdef UNCHECKED
    tcase_add_test(tcase, the_check_is_needed);
    putenv("CK_FORK=no"); /* torn is counted in this process */
#endif
    suite_add_tcase(suite, tcase);
    const char *missing = rbcore_supports(RBCORE_FEATURE_OVERWRITE) == 0
                              ? "this kernel has no overwrite mode (BPF_F_RB_OVERWRITE)"
                              : NULL;
    return run_kernel_tests(suite, missing);
}
