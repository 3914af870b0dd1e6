/* SPDX-License-Identifier: MIT */
/*
 * Readers in different pid namespaces, as containers have them: what a process can tell of one
 * whose pid means nothing to it. Those below its own it sees in /proc, others not.
 */
#include "support.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* The rest of this process's children live in a namespace of their own. */
static int enter_namespace(void) {
    return unshare(CLONE_NEWPID | CLONE_NEWNS) &&
           unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS);
}

/* If that is not allowed, /proc shows pids that are not theirs, which tells them less. */
static void mount_proc_of_namespace(void) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("proc", "/proc", "proc", 0, NULL)) {
        printf("skipped in part: this process cannot mount /proc\n");
        fflush(stdout);
    }
}

typedef struct container {
    const fixture *ring;
    int said[2]; /* what its processes tell */
    int asked[2];
    int ended[2];
    pid_t outer; /* a process of ours, which waits for its first process */
} container;

static void say(const container *self, int word) {
    if (write(self->said[1], &word, sizeof(word)) != sizeof(word)) {
        _exit(EXIT_FAILURE);
    }
}

static int hear(const container *self) {
    int word;
    ck_assert_int_eq(read(self->said[0], &word, sizeof(word)), sizeof(word));
    return word;
}

/* Runs body as the first process of a namespace, and ends all that is in it when it is told. */
static int contain(container *self, int (*body)(container *)) {
    char byte;
    if (enter_namespace()) {
        return EXIT_FAILURE;
    }
    pid_t pid = fork_child();
    if (pid == 0) {
        mount_proc_of_namespace();
        body(self);
        for (;;) {
            pause();
        }
    }
    bool is_told = pid > 0 && read(self->ended[0], &byte, 1) == 1;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return is_told ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int add(const fixture *ring, rbcore_reader **reader) {
    rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    return rbcore_reader_open(reader, NULL) ? -1 : rbcore_reader_add(*reader, &source);
}

static int try_add(const fixture *ring) {
    rbcore_reader *reader;
    int result = add(ring, &reader);
    rbcore_reader_free(reader);
    return result;
}

static container container_open(const fixture *ring, int (*body)(void *)) {
    container self = {.ring = ring};
    ok(pipe(self.said));
    ok(pipe(self.asked));
    ok(pipe(self.ended));
    self.outer = start_child(body, &self);
    return self;
}

/* Nothing of it lives after this. */
static void container_close(container *self) {
    ck_assert_int_eq(write(self->ended[1], "", 1), 1);
    ck_assert_int_eq(wait_child(self->outer), 0);
    for (int i = 0; i < 2; i++) {
        close(self->said[i]);
        close(self->asked[i]);
        close(self->ended[i]);
    }
}

static void await_a_word(const container *self) {
    char byte;
    if (read(self->asked[0], &byte, 1) != 1) {
        _exit(EXIT_FAILURE);
    }
}

static void tell(const container *self) {
    ck_assert_int_eq(write(self->asked[1], "", 1), 1);
}

/* ---- What is in them ---- */

static int read_there(container *self) {
    rbcore_reader *reader;
    prctl(PR_SET_NAME, "\xc2\x9b"); /* for some terminals the start of a command */
    say(self, add(self->ring, &reader));
    return 0;
}

static int contain_a_reader(void *argument) {
    return contain(argument, read_there);
}

/* Takes the ring, leaves a child that has the lock as well, and is killed when it is told. */
static int read_and_die(container *self) {
    rbcore_reader *reader;
    int result = add(self->ring, &reader);
    if (fork() == 0) {
        for (;;) {
            pause();
        }
    }
    say(self, result);
    await_a_word(self);
    kill(getpid(), SIGKILL);
    return 0;
}

static int start_one_that_dies(container *self) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(read_and_die(self));
    }
    waitpid(pid, &status, 0);
    say(self, WTERMSIG(status));
    return 0;
}

static int contain_one_that_dies(void *argument) {
    return contain(argument, start_one_that_dies);
}

static int try_to_read_there(container *self) {
    rbcore_reader *reader;
    int result = add(self->ring, &reader);
    const char *message = rbcore_reader_message(reader);
    bool is_true = strcmp(message, "another reader has the ring, in another pid namespace") == 0;
    printf("in the container: %s\n", message);
    say(self, result == -EBUSY && !is_true ? EXIT_FAILURE : result);
    return 0;
}

static int contain_one_that_tries(void *argument) {
    return contain(argument, try_to_read_there);
}

/* The same, where a process of another namespace is seen, which is not the dead reader's. */
static int try_above_another(container *self) {
    pid_t pid = unshare(CLONE_NEWPID) == 0 ? fork() : -1;
    while (pid == 0) {
        pause();
    }
    if (pid < 0) {
        say(self, EXIT_FAILURE);
        return EXIT_FAILURE;
    }
    return try_to_read_there(self);
}

static int contain_one_above_another(void *argument) {
    return contain(argument, try_above_another);
}

static int try_in(const fixture *ring, int (*body)(void *)) {
    container c = container_open(ring, body);
    int result = hear(&c);
    container_close(&c);
    return result;
}

static int try_in_container(const fixture *ring) {
    return try_in(ring, contain_one_that_tries);
}

static fixture ring_open(void) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_reader_free(f.reader);
    f.ring = 0;
    return f;
}

/* ---- The tests ---- */

START_TEST(a_reader_in_another_namespace_has_the_ring) {
    fixture f = ring_open();
    rbcore_reader *reader;
    container c = container_open(&f, contain_a_reader);
    ck_assert_int_eq(hear(&c), 0);
    ck_assert_int_eq(add(&f, &reader), -EBUSY);
    /* It is the one child of `outer`, whatever it is called in there. */
    char path[64], expected[128];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)c.outer, (int)c.outer);
    FILE *children = fopen(path, "re");
    ck_assert_ptr_nonnull(children);
    ck_assert_int_eq(fscanf(children, "%d", &pid), 1);
    fclose(children);
    snprintf(expected, sizeof(expected),
             "another reader has the ring, in another pid namespace: process %d (\?\?)", pid);
    ck_assert_str_eq(rbcore_reader_message(reader), expected);
    rbcore_reader_free(reader);
    f.reader = reader_on(&f, 0, RBCORE_SOURCE_TAP);
    ck_assert_uint_eq(ring_stats(&f).reader_pid, RBCORE_UNKNOWN);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(try_in_container(&f), -EBUSY);
    container_close(&c);
    ck_assert_int_eq(try_add(&f), 0);
    fixture_drop(&f);
}
END_TEST

START_TEST(a_reader_of_ours_is_seen_from_a_namespace_below) {
    fixture f = ring_open();
    f.reader = reader_on(&f, 0, 0);
    ck_assert_int_eq(try_in_container(&f), -EBUSY);
    rbcore_reader_free(f.reader);
    ck_assert_int_eq(try_in_container(&f), 0);
    fixture_drop(&f);
}
END_TEST

/* It is dead, but its child has the lock. That it is dead is seen in /proc. */
START_TEST(killed_in_a_namespace_below) {
    fixture f = ring_open();
    container c = container_open(&f, contain_one_that_dies);
    ck_assert_int_eq(hear(&c), 0);
    ck_assert_int_eq(try_add(&f), -EBUSY);
    tell(&c);
    ck_assert_int_eq(hear(&c), SIGKILL);
    f.reader = reader_on(&f, 0, 0);
    ck_assert_uint_eq(ring_stats(&f).flags, RBCORE_RING_UNGUARDED);
    /* Its own pid has a meaning here, and so nobody else gets in. */
    ck_assert_int_eq(try_add(&f), -EBUSY);
    rbcore_reader_free(f.reader);
    container_close(&c);
    ck_assert_int_eq(try_add(&f), 0);
    fixture_drop(&f);
}
END_TEST

/* Nothing is to be seen of a namespace beside one's own: the lock has the last word. */
START_TEST(killed_in_a_namespace_that_is_not_seen) {
    fixture f = ring_open();
    container c = container_open(&f, contain_one_that_dies);
    ck_assert_int_eq(hear(&c), 0);
    tell(&c);
    ck_assert_int_eq(hear(&c), SIGKILL);
    ck_assert_int_eq(try_in_container(&f), -EBUSY);
    ck_assert_int_eq(try_in(&f, contain_one_above_another), -EBUSY);
    container_close(&c);
    ck_assert_int_eq(try_in_container(&f), 0);
    fixture_drop(&f);
}
END_TEST

START_TEST(it_counts_always_if_it_could_not_get_the_lock) {
    fixture f = ring_open();
    char path[64];
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f.memory_fd);
    int stranger = open(path, O_RDWR | O_CLOEXEC);
    ok(fcntl(stranger, F_OFD_SETLK, &byte));
    container c = container_open(&f, contain_a_reader);
    close(stranger); /* which its processes have as well */
    ck_assert_int_eq(hear(&c), 0);
    container_close(&c);
    ck_assert_int_eq(try_add(&f), -EBUSY);
    f.reader = reader_on(&f, 0, RBCORE_SOURCE_INSIST);
    rbcore_reader_free(f.reader);
    fixture_drop(&f);
}
END_TEST

/* ---- /proc that does not show all ---- */

static int try_with_another_proc(void *argument) {
    const container *self = argument;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("proc", "/proc", "proc", 0, "hidepid=2")) {
        return 77;
    }
    return -try_add(self->ring);
}

static int try_without_proc(void *argument) {
    const container *self = argument;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", "/proc", "tmpfs", 0, NULL)) {
        return 77;
    }
    return -try_add(self->ring);
}

START_TEST(where_proc_does_not_show_all_nobody_is_taken_for_dead) {
    fixture f = ring_open();
    container c = container_open(&f, contain_one_that_dies);
    ck_assert_int_eq(hear(&c), 0);
    tell(&c);
    ck_assert_int_eq(hear(&c), SIGKILL);
    int hidden = in_child(try_with_another_proc, &c);
    int without = in_child(try_without_proc, &c);
    if (hidden == 77 || without == 77) {
        printf("skipped: where_proc_does_not_show_all: this process cannot mount /proc\n");
    } else {
        ck_assert_int_eq(hidden, EBUSY);
        ck_assert_int_eq(without, EBUSY);
    }
    ck_assert_int_eq(try_add(&f), 0);
    container_close(&c);
    fixture_drop(&f);
}
END_TEST

int main(void) {
    skip_without_fork();
    pid_t pid = fork();
    if (pid == 0) {
        _exit(enter_namespace() ? 1 : 0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        skip("this process cannot make a pid namespace");
    }
    const TTest *const tests[] = {a_reader_in_another_namespace_has_the_ring,
                                  a_reader_of_ours_is_seen_from_a_namespace_below,
                                  killed_in_a_namespace_below,
                                  killed_in_a_namespace_that_is_not_seen,
                                  it_counts_always_if_it_could_not_get_the_lock,
                                  where_proc_does_not_show_all_nobody_is_taken_for_dead,
                                  NULL};
    return run_tests("namespaces", tests);
}
