/* SPDX-License-Identifier: MIT */
/*
 * A descriptor is the caller's, whose other threads may put another file under its number while a
 * ring is opened: at each system call of it. What was checked must be what is kept: the ring is one
 * of the two files, as it is, or an error says why not.
 */
#include "support.h"
#include "tracing.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/*
 * This runs in the child. It says what is opened, and which number names another file in the middle
 * of it.
 */
typedef struct opening {
    int (*open)(struct opening *self); /* a result, as the library's */
    bool (*is_sound)(struct opening *self);
    rbcore_source source;
    int number, other;
    uint64_t lost;        /* by the loss map that is meant */
    bool other_is_a_copy; /* of the ring, not sealed: made anew each time */
    rbcore_reader *reader;
    rbcore_producer *producer;
    int asked[2], done[2], said[2];
} opening;

/* The child tells this of itself in the end. */
typedef struct outcome {
    int result;
    bool is_sound; /* after a success */
} outcome;

static void *put_other_file(void *argument) {
    opening *self = argument;
    char byte;
    if (read(self->asked[0], &byte, 1) != 1 || dup2(self->other, self->number) < 0 ||
        write(self->done[1], "", 1) != 1) {
        _exit(EXIT_FAILURE);
    }
    return NULL;
}

static int open_it(void *argument) {
    opening *self = argument;
    pthread_t thread;
    alarm(WATCHDOG_MS / 1000);
    if (pthread_create(&thread, NULL, put_other_file, self)) {
        return 1;
    }
    stop_to_be_traced();
    outcome it = {.result = self->open(self)};
    if (self->other_is_a_copy && ftruncate(self->other, 0)) {
        return 2;
    }
    it.is_sound = it.result < 0 || self->is_sound(self);
    return write(self->said[1], &it, sizeof(it)) != sizeof(it);
}

static void hear(int fd, void *what, size_t size) {
    if (read(fd, what, size) != (ssize_t)size) {
        ck_abort_msg("the child died");
    }
}

static int unsealed_file(size_t size) {
    int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_ge(fd, 0);
    ok(ftruncate(fd, (off_t)size));
    return fd;
}

static int unsealed_copy(int memory_fd) {
    image ring = image_map(memory_fd);
    size_t size = ring.ring_size + 2 * page_size();
    int fd = unsealed_file(size);
    ck_assert_int_eq(write(fd, ring.base, size), (ssize_t)size);
    image_unmap(&ring);
    return fd;
}

/* The file changes after so many system calls were entered or left. Returns false if it ended. */
static bool try_at(opening *self, int calls, outcome *out) {
    char byte;
    self->other = self->other_is_a_copy ? unsealed_copy(self->number) : self->other;
    ok(pipe(self->asked));
    ok(pipe(self->done));
    ok(pipe(self->said));
    pid_t pid = start_child(open_it, self);
    close(self->done[1]);
    close(self->said[1]);
    await_stop(pid);
    bool lives = true;
    for (int i = 0; i < calls && lives; i++) {
        lives = step_to_call(pid);
    }
    if (lives) {
        ck_assert_int_eq(write(self->asked[1], "", 1), 1);
        hear(self->done[0], &byte, 1);
        let_go(pid);
        hear(self->said[0], out, sizeof(*out));
        ck_assert_int_eq(wait_child(pid), 0);
    }
    close(self->said[0]);
    close(self->done[0]);
    close(self->asked[0]);
    close(self->asked[1]);
    if (self->other_is_a_copy) {
        close(self->other);
    }
    return lives;
}

/* Returns how many of them ended with an error. */
static int try_at_each_call(opening *self, int expected) {
    outcome it;
    int errors = 0;
    for (int calls = 0; try_at(self, calls, &it); calls++) {
        ck_assert_msg(it.result >= 0 || it.result == expected, "after %d calls: %d", calls,
                      it.result);
        ck_assert_msg(it.is_sound, "after %d calls: not what was checked", calls);
        errors += it.result < 0;
    }
    return errors;
}

/* ---- Memory rings ---- */

static int opens_reader(opening *self) {
    int error = rbcore_reader_open(&self->reader, NULL);
    return error ? error : rbcore_reader_add(self->reader, &self->source);
}

static int opens_producer(opening *self) {
    return rbcore_producer_open(&self->producer, &self->source);
}

/* The rings hold a record whose value is their size. */
static bool reads_its_size(opening *self) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    rbcore_record record;
    return rbcore_reader_ring_stats(self->reader, 0, &stats) == 0 &&
           rbcore_reader_read(self->reader, &record, 1) == 1 &&
           value_of(&record) == stats.ring_size;
}

/* Fills its ring, whichever it is. */
static bool writes_to_the_end(opening *self) {
    uint64_t value = 0;
    int error = 0;
    while (error == 0) {
        error = rbcore_producer_output(self->producer, &value, sizeof(value), 0);
    }
    return error == -EAGAIN;
}

static fixture ring_of(size_t size) {
    fixture f = fixture_open(size, 0);
    rbcore_reader_free(f.reader);
    produce(&f, size);
    return f;
}

/* Returns how often there was an error. */
static int the_ring_becomes(opening *self, int other) {
    fixture f = ring_of(4 * page_size());
    self->source = memory_source(f.memory_fd, f.event_fd);
    self->number = f.memory_fd;
    self->other = other;
    int errors = try_at_each_call(self, -EBADFD);
    fixture_drop(&f);
    return errors;
}

static void the_ring_becomes_many_things(opening it) {
    fixture rings[] = {ring_of(page_size()), ring_of(16 * page_size())};
    int files[] = {unsealed_file(page_size()), unsealed_file(6 * page_size()),
                   open("/dev/null", O_RDWR | O_CLOEXEC)};
    for (size_t i = 0; i < sizeof(rings) / sizeof(*rings); i++) {
        the_ring_becomes(&it, rings[i].memory_fd);
        fixture_drop(&rings[i]);
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        ck_assert_int_gt(the_ring_becomes(&it, files[i]), 0);
        close(files[i]);
    }
    it.other_is_a_copy = true;
    ck_assert_int_gt(the_ring_becomes(&it, -1), 0);
}

START_TEST(second_look_after_a_readers_ring_was_reopened) {
    the_ring_becomes_many_things((opening){.open = opens_reader, .is_sound = reads_its_size});
}
END_TEST

START_TEST(second_look_after_a_producers_ring_was_reopened) {
    the_ring_becomes_many_things((opening){.open = opens_producer, .is_sound = writes_to_the_end});
}
END_TEST

/* ---- The eventfd ---- */

START_TEST(second_look_after_the_eventfd_was_duplicated) {
    int files[] = {eventfd(0, EFD_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC)};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        fixture f = ring_of(page_size());
        opening reader = {.open = opens_reader, .is_sound = reads_its_size, .other = files[i]};
        reader.source = memory_source(f.memory_fd, f.event_fd);
        reader.number = f.event_fd;
        ck_assert_int_gt(try_at_each_call(&reader, -EBADFD), 0);
        fixture_drop(&f);
    }
}
END_TEST

/* ---- The loss map ---- */

static int bpf(enum bpf_cmd command, union bpf_attr *attr) {
    return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* All bytes of its value are 0x5a. */
static int loss_map(uint32_t value_size) {
    static unsigned char bytes[1 << 24];
    uint32_t key = 0;
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
    attr.key_size = sizeof(uint32_t);
    attr.value_size = value_size;
    attr.max_entries = 1;
    int fd = bpf(BPF_MAP_CREATE, &attr);
    if (fd >= 0) {
        memset(&attr, 0, sizeof(attr));
        memset(bytes, 0x5a, sizeof(bytes));
        attr.map_fd = (uint32_t)fd;
        attr.key = (uintptr_t)&key;
        attr.value = (uintptr_t)bytes;
        ok(bpf(BPF_MAP_UPDATE_ELEM, &attr));
    }
    return fd;
}

/*
 * A larger value of the kernel's would not fit into the memory that it is read into, and
 * reach what is allocated after it.
 */
static bool has_its_losses(opening *self) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    return rbcore_reader_ring_stats(self->reader, 0, &stats) == 0 && stats.lost == self->lost &&
           reads_its_size(self);
}

static uint64_t count_losses(opening *self) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ck_assert_int_eq(opens_reader(self), 0);
    ok(rbcore_reader_ring_stats(self->reader, 0, &stats));
    rbcore_reader_free(self->reader);
    ck_assert_uint_ne(stats.lost, RBCORE_UNKNOWN);
    return stats.lost;
}

START_TEST(second_look_after_the_loss_map_was_duplicated) {
    int losses = loss_map(16), larger = loss_map(1 << 14);
    if (losses < 0 || larger < 0) {
        printf("skipped: second_look_after_the_loss_map_was_duplicated: no BPF maps here\n");
        return;
    }
    fixture f = ring_of(page_size());
    opening reader = {.open = opens_reader, .is_sound = has_its_losses, .other = larger};
    reader.source = memory_source(f.memory_fd, f.event_fd);
    reader.source.loss_fd = reader.number = losses;
    reader.lost = count_losses(&reader);
    ck_assert_int_gt(try_at_each_call(&reader, -EMEDIUMTYPE), 0);
    fixture_drop(&f);
    close(losses);
    close(larger);
}
END_TEST

int main(void) {
    skip_without_tracing();
    const TTest *const tests[] = {second_look_after_a_readers_ring_was_reopened,
                                  second_look_after_a_producers_ring_was_reopened,
                                  second_look_after_the_eventfd_was_duplicated,
                                  second_look_after_the_loss_map_was_duplicated, NULL};
    return run_tests("reopened", tests);
}
