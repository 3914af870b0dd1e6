/* SPDX-License-Identifier: MIT */
/*
 * How the library tells whether the process lives that has a ring or has left a record unfinished,
 * and what it says of it. Blocks are forged here: any process that can map the ring can write one.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

/* The block at the end of the consumer page, written down here once more on purpose. */
typedef struct block {
    uint64_t tag;
    uint64_t claim;
    uint8_t boot_id[16];
    uint64_t namespaces, start_time, image, pid;
    uint64_t has_lock;
    uint64_t committed;
    uint64_t reserved[4];
} block;

typedef struct other {
    fixture *f;
    int said[2];
    pid_t pid;
} other;

static void say(const other *self) {
    if (write(self->said[1], "", 1) != 1) {
        _exit(EXIT_FAILURE);
    }
}

/* A process that body makes say something, and that lives until it is killed. */
static other start_other(fixture *f, int (*body)(void *)) {
    other self = {.f = f};
    char byte;
    ok(pipe(self.said));
    self.pid = start_child(body, &self);
    close(self.said[1]);
    ck_assert_int_eq(read(self.said[0], &byte, 1), 1);
    return self;
}

static void end_other(other *self) {
    kill(self->pid, SIGKILL);
    ck_assert_int_eq(wait_child(self->pid), 256 + SIGKILL);
    close(self->said[0]);
}

static int add(const fixture *f, rbcore_reader **reader) {
    rbcore_source source = memory_source(f->memory_fd, f->event_fd);
    ok(rbcore_reader_open(reader, NULL));
    return rbcore_reader_add(*reader, &source);
}

static int try_add(const fixture *f) {
    rbcore_reader *reader;
    int result = add(f, &reader);
    rbcore_reader_free(reader);
    return result;
}

static fixture free_ring(void) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader_free(f.reader);
    f.ring = 0;
    return f;
}

static block *block_of(const image *raw) {
    return (block *)(void *)(raw->base + page_size() - sizeof(block));
}

/* ---- Forged blocks ---- */

static int live(void *argument) {
    say(argument);
    pause();
    return 1;
}

static int take_the_ring(void *argument) {
    other *self = argument;
    rbcore_reader *reader;
    if (prctl(PR_SET_NAME, "an (agent) \n") || add(self->f, &reader)) {
        return 1;
    }
    return live(self);
}

START_TEST(it_counts_as_living_as_long_as_its_process_lives) {
    fixture f = free_ring();
    image raw = image_map(f.memory_fd);
    other o = start_other(&f, take_the_ring);
    block signed_by_other = *block_of(&raw);
    /* Nobody has a lock on that one. */
    fixture forged = free_ring();
    image forged_raw = image_map(forged.memory_fd);
    *block_of(&forged_raw) = signed_by_other;
    block_of(&forged_raw)->has_lock = 0;
    ck_assert_int_eq(try_add(&forged), -EBUSY);
    /* Another process that had its pid. */
    block_of(&forged_raw)->start_time++;
    ck_assert_int_eq(try_add(&forged), 0);
    *block_of(&forged_raw) = signed_by_other;
    block_of(&forged_raw)->has_lock = 0;
    block_of(&forged_raw)->boot_id[3] ^= 1;
    ck_assert_int_eq(try_add(&forged), 0);
    *block_of(&forged_raw) = signed_by_other;
    block_of(&forged_raw)->has_lock = 0;
    end_other(&o);
    ck_assert_int_eq(try_add(&forged), 0);
    image_unmap(&forged_raw);
    image_unmap(&raw);
    fixture_drop(&forged);
    fixture_drop(&f);
}
END_TEST

START_TEST(unless_it_had_the_lock_and_the_lock_is_free) {
    fixture f = free_ring();
    image raw = image_map(f.memory_fd);
    f.reader = reader_on(&f, 0, 0);
    block of_ours = *block_of(&raw);
    rbcore_reader_free(f.reader);
    *block_of(&raw) = of_ours;
    ck_assert_int_eq(try_add(&f), 0);
    fixture first = free_ring();
    other o = start_other(&first, take_the_ring);
    image first_raw = image_map(first.memory_fd);
    *block_of(&raw) = *block_of(&first_raw);
    ck_assert_int_eq(try_add(&f), 0);
    ck_assert_int_eq(try_add(&first), -EBUSY);
    end_other(&o);
    image_unmap(&first_raw);
    image_unmap(&raw);
    fixture_drop(&first);
    fixture_drop(&f);
}
END_TEST

/* ---- What is said ---- */

START_TEST(the_message_tells_which_process) {
    fixture f = free_ring();
    rbcore_reader *reader;
    char expected[128];
    rbcore_reader_free(reader_on(&f, 0, 0));
    f.reader = reader_on(&f, 0, 0);
    ck_assert_int_eq(add(&f, &reader), -EBUSY);
    ck_assert_str_eq(rbcore_reader_message(reader), "another reader has the ring, in this process");
    rbcore_reader_free(reader);
    rbcore_reader_free(f.reader);
    other o = start_other(&f, take_the_ring);
    snprintf(expected, sizeof(expected), "another reader has the ring: process %d (an (agent) ?)",
             (int)o.pid);
    ck_assert_int_eq(add(&f, &reader), -EBUSY);
    ck_assert_str_eq(rbcore_reader_message(reader), expected);
    rbcore_reader_free(reader);
    end_other(&o);
    fixture_drop(&f);
}
END_TEST

/* ---- A process without its first thread, which /proc shows as a zombie ---- */

static bool is_shown_as_zombie(pid_t pid) {
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    ck_assert_uint_gt(n, 0);
    const char *state = strrchr(text, ')');
    return state != NULL && state[2] == 'Z';
}

static void await_zombie(pid_t pid) {
    for (unsigned waited = 0; !is_shown_as_zombie(pid); waited++) {
        ck_assert_uint_lt(waited, WATCHDOG_MS);
        sleep_ms(1);
    }
}

static int leave_it_to_another_thread(other *self, void *(*body)(void *)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, self)) {
        return 1;
    }
    pthread_exit(NULL);
}

static void *read_in_thread(void *argument) {
    take_the_ring(argument);
    return NULL;
}

static int read_without_first_thread(void *argument) {
    return leave_it_to_another_thread(argument, read_in_thread);
}

START_TEST(a_reader_whose_first_thread_ended_but_which_lives) {
    fixture f = free_ring();
    other o = start_other(&f, read_without_first_thread);
    await_zombie(o.pid);
    ck_assert_int_eq(try_add(&f), -EBUSY);
    end_other(&o);
    ck_assert_int_eq(try_add(&f), 0);
    fixture_drop(&f);
}
END_TEST

static void *reserve_in_thread(void *argument) {
    other *self = argument;
    void *data;
    rbcore_producer *producer = producer_on(self->f->memory_fd, self->f->event_fd);
    if (rbcore_producer_reserve(producer, &data, 8) == 0) {
        live(self);
    }
    return NULL;
}

static int reserve_without_first_thread(void *argument) {
    return leave_it_to_another_thread(argument, reserve_in_thread);
}

START_TEST(a_producer_whose_first_thread_ended_but_which_lives) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    other o = start_other(&f, reserve_without_first_thread);
    produce(&f, 1);
    await_zombie(o.pid);
    /* It asks many times whether the producer of the record before lives. */
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 0);
    }
    ck_assert_uint_eq(ring_stats(&f).abandoned, 0);
    end_other(&o);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&record), 1);
    ck_assert_uint_eq(ring_stats(&f).abandoned, 1);
    fixture_close(&f);
}
END_TEST

int main(void) {
    skip_without_fork();
    const TTest *const tests[] = {it_counts_as_living_as_long_as_its_process_lives,
                                  unless_it_had_the_lock_and_the_lock_is_free,
                                  the_message_tells_which_process,
                                  a_reader_whose_first_thread_ended_but_which_lives,
                                  a_producer_whose_first_thread_ended_but_which_lives,
                                  NULL};
    return run_tests("processes", tests);
}
