/* SPDX-License-Identifier: MIT */
/*
 * Several producers at once, on both CPUs: threads that run programs, and the scheduler's switches,
 * which produce in the middle of them. Every sequence number is delivered or counted as lost, and
 * none twice.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "support.h"

#define PRODUCERS 3
#define BATCH 512

typedef struct event_producer {
    pthread_t thread;
    struct produce *ring;
    struct produce_args args;
    unsigned int cpu;
    int runs;
    unsigned int pause_ms;
    atomic_bool done;
} event_producer;

static void *run_producer(void *context) {
    event_producer *producer = context;
    pin_to_cpu(producer->cpu);
    for (int i = 0; i < producer->runs; i++) {
        produce(producer->ring, &producer->args);
        if (producer->pause_ms) {
            sleep_ms(producer->pause_ms);
        }
    }
    atomic_store(&producer->done, true);
    return NULL;
}

/* The fate of one producer's numbers. */
typedef struct event_account {
    uint64_t next, delivered, gaps;
} event_account;

static event_account *account_of(event_account *threads, event_account *switches,
                                 uint32_t producer) {
    if (producer < PRODUCERS) {
        return &threads[producer];
    }
    ck_assert_uint_ge(producer, SWITCH_PRODUCER);
    ck_assert_uint_lt(producer, SWITCH_PRODUCER + CPUS_MAX);
    return &switches[producer - SWITCH_PRODUCER];
}

static void account_for(event_account *account, const struct event *event, uint32_t size) {
    ck_assert_uint_eq(event->size, size);
    ck_assert_msg(event->sequence >= account->next, "%llu of producer %u came twice, or too late",
                  (unsigned long long)event->sequence, event->producer);
    account->gaps += event->sequence - account->next;
    account->next = event->sequence + 1;
    account->delivered++;
}

/* A round of producers on a ring of so many pages, with a reader that waits. */
typedef struct producing_scenario {
    size_t ring_pages;
    uint32_t count, sizes, discard_each;
    int runs;
    unsigned int pause_ms;
    bool slow_reader; /* looks only every 2 ms, so that the ring gets full */
    uint64_t flags;
} producing_scenario;

static const producing_scenario scenarios[] = {
    {.ring_pages = 4096, .count = 500, .sizes = 2, .runs = 200, .discard_each = 7},
    {.ring_pages = 1, .count = 500, .sizes = 1, .runs = 200},
    {.ring_pages = 16, .count = 300, .sizes = 2, .runs = 100, .pause_ms = 1, .discard_each = 5},
    {.ring_pages = 4, .count = 500, .sizes = 2, .runs = 200, .slow_reader = true},
    {.ring_pages = 64, .count = 10, .sizes = 1, .runs = 2000, .flags = BPF_RB_FORCE_WAKEUP},
};

static event_producer *start_producers(struct produce *ring, const producing_scenario *scenario) {
    event_producer *producers = calloc(PRODUCERS, sizeof(*producers));
    unsigned int cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
    for (unsigned int i = 0; i < PRODUCERS; i++) {
        producers[i].ring = ring;
        producers[i].cpu = i % cpus;
        producers[i].runs = scenario->runs;
        producers[i].pause_ms = scenario->pause_ms;
        producers[i].args = (struct produce_args){.producer = i,
                                                  .count = scenario->count,
                                                  .sizes = scenario->sizes,
                                                  .discard_each = scenario->discard_each,
                                                  .flags = scenario->flags};
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, run_producer, &producers[i]),
                         0);
    }
    return producers;
}

static bool all_done(event_producer *producers) {
    for (int i = 0; i < PRODUCERS; i++) {
        if (!atomic_load(&producers[i].done)) {
            return false;
        }
    }
    return true;
}

/* Reads until all threads are done, the trace has ended and the ring is empty. */
static uint64_t read_all(rbcore_reader *reader, struct produce *ring, event_producer *producers,
                         bool slow, event_account *threads, event_account *switches) {
    static rbcore_record records[BATCH];
    uint64_t total = 0;
    bool ending = false;
    for (;;) {
        int count = rbcore_reader_next(reader, records, BATCH, 20 * MILLISECOND);
        ck_assert_int_ge(count, 0);
        for (int i = 0; i < count; i++) {
            const struct event *event = records[i].data;
            account_for(account_of(threads, switches, event->producer), event, records[i].size);
        }
        total += (uint64_t)count;
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
        if (!count && ending) {
            return total;
        }
        if (!ending && all_done(producers)) {
            ring->bss->tracing = 0;
            ending = true;
            sleep_ms(20); /* for programs that saw the flag still set */
        }
        if (slow) {
            sleep_ms(2);
        }
    }
}

START_TEST(all_accounted_for) {
    const producing_scenario *scenario = &scenarios[_i];
    event_account threads[PRODUCERS] = {0}, switches[CPUS_MAX] = {0};
    struct produce *ring = load_ring(pages(scenario->ring_pages));
    struct bpf_link *link = bpf_program__attach(ring->progs.on_switch);
    ck_assert_ptr_nonnull(link);
    rbcore_reader *reader = open_ring(ring, 0);
    ring->bss->tracing = 1;
    event_producer *producers = start_producers(ring, scenario);
    uint64_t total = read_all(reader, ring, producers, scenario->slow_reader, threads, switches);
    bpf_link__destroy(link);
    uint64_t lost = 0, discarded = 0, switched = 0;
    for (int i = 0; i < PRODUCERS; i++) {
        const struct produce_args *args = &producers[i].args;
        ck_assert_int_eq(pthread_join(producers[i].thread, NULL), 0);
        ck_assert_uint_eq(args->sequence, (uint64_t)scenario->count * (uint64_t)scenario->runs);
        ck_assert_uint_eq(threads[i].delivered + args->lost + args->discarded, args->sequence);
        ck_assert_uint_eq(threads[i].gaps + args->sequence - threads[i].next,
                          args->lost + args->discarded);
        lost += args->lost;
        discarded += args->discarded;
    }
    for (int i = 0; i < CPUS_MAX; i++) {
        uint64_t produced = ring->bss->switches[i], refused = ring->bss->switches_lost[i];
        ck_assert_uint_eq(switches[i].delivered + refused, produced);
        switched += switches[i].delivered;
        lost += refused;
    }
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.lost, lost);
    ck_assert_uint_eq(stats.records, total);
    ck_assert_uint_eq(stats.discards, discarded);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    ck_assert_uint_gt(switched, 0);
    printf("producers %d: %llu delivered, %llu of them switches, %llu lost, %llu discarded\n", _i,
           (unsigned long long)total, (unsigned long long)switched, (unsigned long long)lost,
           (unsigned long long)discarded);
    rbcore_reader_free(reader);
    free(producers);
    produce__destroy(ring);
}
END_TEST

static void *fill(void *context) {
    event_producer *producer = context;
    pin_to_cpu(producer->cpu);
    while (!producer->args.lost) {
        produce(producer->ring, &producer->args);
    }
    atomic_store(&producer->done, true);
    return NULL;
}

/*
 * Two producers fill the ring while rbcore reads along and gives nothing back; then libbpf reads
 * the same: as many records, in the same order.
 */
START_TEST(same_as_libbpf) {
    struct produce *ring = load_ring(pages(256));
    event_producer producers[2] = {0};
    record_log ours = {0};
    rbcore_reader *reader = open_ring(ring, 0);
    for (unsigned int i = 0; i < 2; i++) {
        producers[i].ring = ring;
        producers[i].cpu = i % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
        producers[i].args =
            (struct produce_args){.producer = i, .count = 50, .sizes = 2, .discard_each = 6};
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, fill, &producers[i]), 0);
    }
    for (bool filled = false; !filled;) {
        static rbcore_record records[BATCH];
        int count;
        filled = atomic_load(&producers[0].done) && atomic_load(&producers[1].done);
        while ((count = rbcore_reader_next(reader, records, BATCH, MILLISECOND)) > 0) {
            for (int i = 0; i < count; i++) {
                log_record(&ours, records[i].data, records[i].size);
            }
        }
        ck_assert_int_eq(count, 0);
    }
    rbcore_reader_free(reader);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(producers[i].thread, NULL), 0);
    }
    record_log theirs = consume_by_libbpf(ring);
    ck_assert_uint_gt(ours.records, 1000);
    assert_same_log(&ours, &theirs);
    free(ours.bytes);
    free(theirs.bytes);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("producers");
    add_loop_test(suite, all_accounted_for, sizeof(scenarios) / sizeof(*scenarios));
    add_test(suite, same_as_libbpf);
    return run_kernel_tests(suite, NULL);
}
