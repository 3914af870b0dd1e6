/* SPDX-License-Identifier: MIT */
/* A full ring: what it refuses is counted, and nothing but giving back makes room. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"

/*
 * A record takes 24 bytes with its header: what is left of a full ring has no room for anything
 * smaller.
 */
#define SIZE EVENT_SMALL
#define BATCH 1024

/* Fills the ring with records of SIZE bytes; returns how many fit. One more was refused. */
static unsigned int fill(struct produce *ring) {
    unsigned int count = 0;
    while (!emit(ring, SIZE, count % RECORD_MAX, 0)) {
        count++;
    }
    return count;
}

START_TEST(refused_records_are_counted) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    static rbcore_record records[65536];
    ck_assert_uint_eq(stats_of(reader, 0).lost, 0);
    unsigned int count = fill(ring);
    ck_assert_uint_eq(count, (pages(1) - 1) / span_of(SIZE));
    ck_assert_uint_eq(stats_of(reader, 0).lost, 1);
    ck_assert_int_eq(emit(ring, SIZE, 0, 0), -EAGAIN);
    ck_assert_int_lt(emit_dynptr(ring, SIZE, 0, 0), 0);
    struct produce_args args = {.count = 5, .sizes = 1};
    produce(ring, &args);
    ck_assert_uint_eq(args.lost, 5);
    ck_assert_uint_eq(stats_of(reader, 0).lost, 8);
    ck_assert_int_eq(read_to_end(reader, records, 65536), (int)count);
    for (unsigned int i = 0; i < count; i++) {
        ck_assert(is_pattern(ring, records[i].data, SIZE, i));
    }
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.records, count);
    ck_assert_uint_eq(stats.high_water, count * span_of(SIZE));
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* rbcore_bpf.h promises how the loss map looks; each CPU has counted its own. */
START_TEST(loss_map_layout) {
    typedef struct value {
        uint64_t records, bytes;
    } value;
    value values[CPUS_MAX] = {0};
    struct produce *ring = load_ring(pages(1));
    int cpus = libbpf_num_possible_cpus();
    uint64_t records = 0, bytes = 0;
    uint32_t key = 0;
    ck_assert_int_ge(cpus, 1);
    ck_assert_int_le(cpus, CPUS_MAX);
    ck_assert_uint_eq(bpf_map__value_size(ring->maps.events_lost), sizeof(value));
    fill(ring);
    pin_to_cpu(0);
    struct produce_args args = {.count = 7, .sizes = 2};
    produce(ring, &args);
    ck_assert_int_eq(bpf_map_lookup_elem(loss_fd(ring), &key, values), 0);
    for (int i = 0; i < cpus; i++) {
        records += values[i].records;
        bytes += values[i].bytes;
    }
    ck_assert_uint_eq(args.lost, 7);
    ck_assert_uint_eq(records, 1 + 7);
    ck_assert_uint_eq(bytes, SIZE + args.lost_bytes);
    ck_assert_uint_ge(values[0].records, 7);
    rbcore_reader *reader = open_ring(ring, 0);
    ck_assert_uint_eq(stats_of(reader, 0).lost, 8);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(losses_on_both_cpus) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    unsigned int cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t lost = 1;
    fill(ring);
    for (unsigned int cpu = 0; cpu < 2 && cpu < cpus; cpu++) {
        struct produce_args args = {.count = 100 + cpu, .sizes = 1};
        pin_to_cpu(cpu);
        produce(ring, &args);
        lost += 100 + cpu;
    }
    ck_assert_uint_eq(stats_of(reader, 0).lost, lost);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(losses_unknown_without_a_loss_map) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_reader(0);
    rbcore_source source = source_of(ring);
    source.loss_fd = -1;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    ck_assert_uint_eq(stats_of(reader, 0).lost, RBCORE_UNKNOWN);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* Reading and waiting leave a full ring full; a commit up to a record frees just what was before.
 */
START_TEST(only_commit_makes_room) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    static rbcore_record records[65536];
    int count = (int)fill(ring);
    ck_assert_int_eq(read_to_end(reader, records, 65536), count);
    ck_assert_int_eq(rbcore_reader_read(reader, records + count, 1), 0);
    ck_assert_int_eq(rbcore_reader_next(reader, records + count, 1, 10 * MILLISECOND), 0);
    ck_assert_int_eq(emit(ring, SIZE, 0, 0), -EAGAIN);
    ck_assert_uint_eq(stats_of(reader, 0).consumer_pos, 0);
    ck_assert_int_eq(rbcore_reader_commit(reader, &records[1], 0), 0);
    ck_assert_uint_eq(stats_of(reader, 0).consumer_pos, 2 * span_of(SIZE));
    ck_assert_uint_eq(fill(ring), 2);
    for (int i = 2; i < count; i++) {
        ck_assert(is_pattern(ring, records[i].data, SIZE, (uint32_t)i));
    }
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 65536), 2);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* Two records of nearly half the ring fill it, so each needs the one before the last to be back. */
START_TEST(records_of_nearly_half_the_ring) {
    uint32_t size = (uint32_t)pages(1) / 2 - 16;
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record records[2];
    ck_assert_int_eq(emit(ring, size, 0, 0), 0);
    ck_assert_int_eq(emit(ring, size, 1, 0), 0);
    for (uint32_t i = 2; i < 600; i++) {
        ck_assert_int_eq(emit(ring, size, i, 0), -EAGAIN);
        ck_assert_int_eq(rbcore_reader_next(reader, &records[0], 1, WATCHDOG_NS), 1);
        ck_assert_int_eq(emit(ring, size, i, 0), -EAGAIN);
        ck_assert(is_pattern(ring, records[0].data, size, i - 2));
        ck_assert_int_eq(rbcore_reader_commit(reader, &records[0], 0), 0);
        ck_assert_int_eq(emit(ring, size, i, 0), 0);
    }
    ck_assert_uint_eq(stats_of(reader, 0).lost, 2 * 598);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(release_makes_room_up_to_the_first_held) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, RBCORE_READER_RELEASE);
    static rbcore_record records[65536];
    int count = (int)fill(ring);
    ck_assert_int_eq(read_to_end(reader, records, 65536), count);
    ck_assert_int_eq(rbcore_reader_release(reader, &records[1], (size_t)count - 1), 0);
    ck_assert_int_eq(emit(ring, SIZE, 0, 0), -EAGAIN);
    ck_assert(is_pattern(ring, records[0].data, SIZE, 0));
    ck_assert_int_eq(rbcore_reader_release(reader, &records[0], 1), 0);
    ck_assert_uint_eq(stats_of(reader, 0).consumer_pos, (uint64_t)count * span_of(SIZE));
    ck_assert_int_eq(rbcore_reader_release(reader, &records[0], 1), -EINVAL);
    ck_assert_int_eq((int)fill(ring), count);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("full ring");
    add_test(suite, refused_records_are_counted);
    add_test(suite, loss_map_layout);
    add_test(suite, losses_on_both_cpus);
    add_test(suite, losses_unknown_without_a_loss_map);
    add_test(suite, only_commit_makes_room);
    add_test(suite, records_of_nearly_half_the_ring);
    add_test(suite, release_makes_room_up_to_the_first_held);
    return run_kernel_tests(suite, NULL);
}
