/* SPDX-License-Identifier: MIT */
/* A reader after one that died with a record held back: the place where it begins. */
#include "stage.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define RING_SIZE ((size_t)1 << 20)
#define HEADER_BUSY (UINT32_C(1) << 31)

/* In a child, which ends like one that was killed. */
static int hold_back_and_die(void *argument) {
    stage *s = argument;
    test_ring_reopen(s->ring);
    s->reader = open_reader_on(s->ring, 0, RBCORE_DEFAULT_MAX_LATENCY);
    make_paced(s);
    expect_held_back(s, small_record);
    return EXIT_SUCCESS;
}

/* A ring that such a reader left. */
static stage *open_orphan(void) {
    stage *s = open_stage_unread(RING_SIZE);
    ck_assert_int_eq(in_child(hold_back_and_die, s), 0);
    return s;
}

/* The place where a reader begins that is opened now, and closed again. */
static uint64_t resumes_at(const stage *s) {
    rbcore_reader *reader = open_reader_on(s->ring, 0, RBCORE_DEFAULT_MAX_LATENCY);
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.read_pos, stats.user_pos);
    ck_assert_uint_eq(stats.read_pos, stats.consumer_pos);
    rbcore_reader_free(reader);
    return stats.read_pos;
}

START_TEST(a_dead_readers_commit_counts) {
    stage *s = open_orphan();
    uint64_t committed = producer_pos(s);
    ck_assert_uint_eq(consumer_pos(s), committed - span_of(small_record));
    emit_records(s, 2, 0);
    ck_assert_uint_eq(resumes_at(s), committed);
    ck_assert_uint_eq(consumer_pos(s), committed);
    abandon_stage(s);
}
END_TEST

/* It knows the kernel's position alone. */
START_TEST(another_librarys_reader_in_between) {
    for (unsigned int more = 0; more < 3; more++) {
        stage *s = open_orphan();
        emit_records(s, more, 0);
        uint64_t read = producer_pos(s);
        atomic_store(s->consumer_page, read);
        emit_records(s, more % 2, 0);
        ck_assert_uint_eq(resumes_at(s), read);
        abandon_stage(s);
    }
}
END_TEST

/* The word of the consumer page, but its first, that has this value. */
static _Atomic uint64_t *find_word(const stage *s, uint64_t value) {
    _Atomic uint64_t *words = s->consumer_page, *found = NULL;
    for (size_t i = 1; i < page_size() / sizeof(*words); i++) {
        if (words[i] == value) {
            ck_assert_ptr_null(found);
            found = &words[i];
        }
    }
    ck_assert_ptr_nonnull(found);
    return found;
}

START_TEST(an_impossible_commit_does_not_count) {
    stage *s = open_orphan();
    const uint64_t space = span_of(small_record);
    _Atomic uint64_t *word = find_word(s, producer_pos(s));
    uint64_t start = consumer_pos(s);
    emit_records(s, 3, 0);
    uint64_t end = producer_pos(s);
    const uint64_t garbage[] = {
        0,       1,           start + 4,  start + 8, start - space,     start - 8,
        end + 8, end + space, UINT64_MAX, end << 20, start + RING_SIZE, start | UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
        atomic_store(word, garbage[i]);
        ck_assert_uint_eq(resumes_at(s), start);
    }
    /* One behind a record that is not finished, or longer than the ring, does not count either. */
    _Atomic uint32_t *header = test_ring_header(s->ring, start + space);
    const uint32_t headers[] = {(uint32_t)small_record | HEADER_BUSY, 0x3fffffff, RING_SIZE};
    for (size_t i = 0; header && i < sizeof(headers) / sizeof(*headers); i++) {
        atomic_store(header, headers[i]);
        atomic_store(word, end);
        ck_assert_uint_eq(resumes_at(s), start);
        atomic_store(header, (uint32_t)small_record);
    }
    /* This one is possible: */
    atomic_store(word, start + 2 * space);
    ck_assert_uint_eq(resumes_at(s), start + 2 * space);
    abandon_stage(s);
}
END_TEST

/* Committed records do not come again, neither for our next reader nor for another library's. */
START_TEST(the_next_reader_goes_on_behind_the_commit) {
    stage *s = open_stage_unread((size_t)16 << 20);
    for (int i = 0; i < 5; i++) {
        s->reader = open_reader_on(s->ring, 0, 10 * MILLISECOND);
        ck_assert_int_eq(rbcore_reader_read(s->reader, s->records, MAX_RECORDS), 0);
        make_paced(s);
        expect_held_back(s, small_record);
        rbcore_reader_free(s->reader);
        s->reader = NULL;
    }
    ck_assert_uint_eq(test_ring_consume_by_another(s->ring), 0);
    close_stage(s);
}
END_TEST

/* It had no time to tell the kernel. */
START_TEST(a_killed_reader_repeats_nothing) {
    stage *s = open_stage_unread((size_t)16 << 20);
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork_child();
    if (child == 0) {
        test_ring_reopen(s->ring);
        s->reader = open_reader_on(s->ring, 0, 10 * MILLISECOND);
        make_paced(s);
        if (write(ready[1], "", 1) == 1) {
            pause();
        }
        _exit(EXIT_FAILURE);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(wait_child(child), 256 + SIGKILL);
    ck_assert_uint_ne(consumer_pos(s), producer_pos(s));
    s->reader = open_reader_on(s->ring, 0, 10 * MILLISECOND);
    ck_assert_int_eq(rbcore_reader_read(s->reader, s->records, 1), 0);
    ck_assert_uint_eq(stats_of(s->reader, 0).read_pos, producer_pos(s));
    emit_records(s, 1, 0);
    ck_assert_int_eq(take(s, 1, WATCHDOG_NS), 1);
    close(ready[0]);
    close_stage(s);
}
END_TEST

const scenario successor_scenarios[] = {
    {&a_dead_readers_commit_counts, 1},        {&another_librarys_reader_in_between, 1},
    {&an_impossible_commit_does_not_count, 1}, {&the_next_reader_goes_on_behind_the_commit, 1},
    {&a_killed_reader_repeats_nothing, 1},     {NULL, 0},
};
