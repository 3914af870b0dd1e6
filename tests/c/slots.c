/* SPDX-License-Identifier: MIT */
/* The slots of producers: a name in a record is of one owner of its slot, not of the next. */
#include "support.h"

#include <signal.h>

typedef struct victim {
    const fixture *ring;
    int ready[2];
} victim;

/* Takes the lowest free slot, begins a record, and dies with it. */
static int reserve_and_wait(void *argument) {
    victim *self = argument;
    void *data;
    rbcore_producer *producer = producer_on(self->ring->memory_fd, self->ring->event_fd);
    ok(rbcore_producer_reserve(producer, &data, 8));
    ssize_t n = write(self->ready[1], "x", 1);
    (void)n;
    pause();
    return 0;
}

static void leave_unfinished_record(const fixture *ring) {
    victim it = {.ring = ring};
    char ready;
    ok(pipe(it.ready));
    pid_t pid = start_child(reserve_and_wait, &it);
    ck_assert_int_eq(read(it.ready[0], &ready, 1), 1);
    ok(kill(pid, SIGKILL));
    wait_child(pid);
    close(it.ready[0]);
    close(it.ready[1]);
}

/* The next owner of the slot lives and has its lock; the record is the dead one's all the same. */
START_TEST(the_next_owner_of_a_slot_is_not_its_last) {
    fixture f = fixture_open(page_size(), 0);
    leave_unfinished_record(&f);
    rbcore_producer *next = producer_on(f.memory_fd, f.event_fd);
    uint64_t value = 7;
    rbcore_record record;
    ok(rbcore_producer_output(next, &value, sizeof(value), 0));
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&record), 7);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 1);
    rbcore_producer_free(next);
    fixture_close(&f);
}
END_TEST

/* A read that finds nothing asks at once which producers are dead; the next one goes on behind. */
START_TEST(an_empty_read_finds_the_dead) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    leave_unfinished_record(&f);
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), -EAGAIN);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ck_assert_uint_eq(value_of(&record), 1);
    fixture_close(&f);
}
END_TEST

/* Neither it nor those behind it wake a reader: the reader has to look by itself. */
START_TEST(one_that_dies_while_the_reader_waits) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    leave_unfinished_record(&f);
    produce(&f, 1);
    int result = 0;
    while (result <= 0) {
        ck_assert(readable(rbcore_reader_fd(f.reader), WATCHDOG_MS));
        result = rbcore_reader_read(f.reader, &record, 1);
        ck_assert(result >= 0 || result == -EAGAIN);
    }
    ck_assert_uint_eq(value_of(&record), 1);
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_next_owner_of_a_slot_is_not_its_last,
                                  an_empty_read_finds_the_dead,
                                  one_that_dies_while_the_reader_waits, NULL};
    return run_tests("slots", tests);
}
