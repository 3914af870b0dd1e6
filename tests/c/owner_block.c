/* SPDX-License-Identifier: MIT */
/*
 * A ring's reader leaves its name in the block at the end of the consumer page. This tests what
 * others find there, and what they make of a name whose reader is gone. The block's layout is
 * shared between processes, and written down here once more on purpose.
 */
#include "process.h"
#include "support.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>

typedef struct owner_block {
    uint64_t tag;
    uint64_t claim;
    uint8_t boot_id[16];
    uint64_t namespaces;
    uint64_t start_time;
    uint64_t image;
    uint64_t pid;
    uint64_t has_lock;
    uint64_t committed;
    uint64_t is_left;
    uint64_t reserved[3];
} owner_block;

static owner_block *block_of(const image *raw) {
    return (owner_block *)(void *)(raw->base + page_size() - sizeof(owner_block));
}

/* A ring without a reader, and its image. */
static fixture make_ring(image *raw) {
    fixture self = {0};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, page_size(), 0));
    self.producer = producer_on(self.memory_fd, self.event_fd);
    *raw = image_map(self.memory_fd);
    return self;
}

static void drop_ring(fixture *self, image *raw) {
    image_unmap(raw);
    fixture_drop(self);
}

static int add_result(const fixture *ring) {
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, NULL));
    rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    int result = rbcore_reader_add(reader, &source);
    rbcore_reader_free(reader);
    return result;
}

/* ---- Readers in other processes ---- */

typedef struct owner {
    const fixture *ring;
    int ready[2];
    bool forks;
} owner;

/* Reads the ring, perhaps with a child, until it is killed. */
static int own(void *argument) {
    owner *self = argument;
    reader_on(self->ring, 0, 0);
    pid_t child = self->forks ? fork() : 0;
    if (child == 0 && self->forks) {
        pause();
        return 0;
    }
    ssize_t n = write(self->ready[1], &child, sizeof(child));
    (void)n;
    pause();
    return 0;
}

static pid_t start_owner(owner *self, pid_t *child) {
    ok(pipe(self->ready));
    pid_t pid = start_child(own, self);
    ck_assert_int_eq(read(self->ready[0], child, sizeof(*child)), sizeof(*child));
    close(self->ready[0]);
    close(self->ready[1]);
    return pid;
}

/* The lock is its child's then; but a zombie reads nothing. */
START_TEST(a_zombie_is_no_reader) {
    image raw;
    fixture f = make_ring(&raw);
    owner it = {.ring = &f, .forks = true};
    pid_t child, pid = start_owner(&it, &child);
    siginfo_t info;
    ok(kill(pid, SIGKILL));
    ok(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    ck_assert_int_eq(add_result(&f), 0);
    ok(kill(child, SIGKILL));
    wait_child(pid);
    drop_ring(&f, &raw);
}
END_TEST

/* A reader lives and has the lock; what the block says of it is changed. */
static int result_after(void (*change)(owner_block *)) {
    image raw;
    fixture f = make_ring(&raw);
    owner it = {.ring = &f};
    pid_t child, pid = start_owner(&it, &child);
    ck_assert_int_eq(add_result(&f), -EBUSY);
    change(block_of(&raw));
    int result = add_result(&f);
    ok(kill(pid, SIGKILL));
    wait_child(pid);
    drop_ring(&f, &raw);
    return result;
}

static void start_later(owner_block *self) {
    self->start_time++;
}

static void boot_otherwise(owner_block *self) {
    self->boot_id[15] ^= 1;
}

static void forget_boot(owner_block *self) {
    memset(self->boot_id, 0, sizeof(self->boot_id));
}

START_TEST(a_process_that_started_later_is_another) {
    ck_assert_int_eq(result_after(start_later), 0);
}
END_TEST

START_TEST(a_reader_of_another_boot_is_dead) {
    ck_assert_int_eq(result_after(boot_otherwise), 0);
}
END_TEST

START_TEST(a_reader_of_an_unknown_boot_may_live) {
    ck_assert_int_eq(result_after(forget_boot), -EBUSY);
}
END_TEST

/* It keeps its pid, and may have left a child with the lock. */
START_TEST(what_this_process_executed_before) {
    image raw;
    fixture f = make_ring(&raw);
    rbcore_reader *reader = reader_on(&f, 0, 0);
    ck_assert_int_eq(add_result(&f), -EBUSY);
    block_of(&raw)->image ^= 1;
    ck_assert_int_eq(add_result(&f), 0);
    rbcore_reader_free(reader);
    drop_ring(&f, &raw);
}
END_TEST

/* ---- Signatures that are not finished ---- */

/* How this version marks an unfinished signature: the short name of the process, and its lock. */
#define UNFINISHED_MARK UINT64_C(0x72b)
#define UNFINISHED_HAS_LOCK UINT64_C(2)

typedef struct signing {
    owner_block *block;
    uint64_t has_lock;
    uint64_t later; /* what is added to the time at which it started */
    int ready[2];
} signing;

/* Begins to sign, and is stopped there. */
static int sign_for_ever(void *argument) {
    const signing *self = argument;
    rbc_process process = rbc_process_self();
    process.start_time += self->later;
    uint64_t name = rbc_process_short_name(&process);
    image_store(&self->block->claim,
                UNFINISHED_MARK << (2 + RBC_SHORT_NAME_BITS) | name << 2 | self->has_lock);
    ssize_t n = write(self->ready[1], "x", 1);
    (void)n;
    pause();
    return 0;
}

static int result_beside(signing it) {
    image raw;
    char ready;
    fixture f = make_ring(&raw);
    it.block = block_of(&raw);
    ok(pipe(it.ready));
    pid_t pid = start_child(sign_for_ever, &it);
    ck_assert_int_eq(read(it.ready[0], &ready, 1), 1);
    int result = add_result(&f);
    ok(kill(pid, SIGKILL));
    wait_child(pid);
    ck_assert_int_eq(add_result(&f), 0);
    drop_ring(&f, &raw);
    return result;
}

/* The lock is free: one that has it cannot be signing, one that could not get it can. */
START_TEST(a_signature_in_progress_says_whether_it_has_the_lock) {
    ck_assert_int_eq(result_beside((signing){.has_lock = 0}), -EBUSY);
    ck_assert_int_eq(result_beside((signing){.has_lock = UNFINISHED_HAS_LOCK}), 0);
}
END_TEST

START_TEST(a_signature_in_progress_is_of_one_that_started_then) {
    ck_assert_int_eq(result_beside((signing){.later = 1}), 0);
}
END_TEST

/* It has no name: only time tells whether it will be finished. */
START_TEST(a_signature_in_progress_of_an_older_version_is_waited_for) {
    image raw;
    fixture f = make_ring(&raw);
    image_store(&block_of(&raw)->claim, 0x123456);
    int64_t start = now_ns();
    ck_assert_int_eq(add_result(&f), 0);
    ck_assert_int_ge(now_ns() - start, 10000000);
    drop_ring(&f, &raw);
}
END_TEST

/* ---- What a reader writes ---- */

START_TEST(who_insists_in_vain_writes_nothing) {
    image raw;
    fixture f = make_ring(&raw);
    rbcore_record records[4];
    rbcore_reader *first = reader_on(&f, 0, 0);
    produce(&f, 1);
    produce(&f, 2);
    ck_assert_int_eq(rbcore_reader_read(first, records, 1), 1);
    ok(rbcore_reader_commit(first, NULL, 0));
    owner_block before = *block_of(&raw);
    ck_assert_uint_eq(before.committed, 16);
    rbcore_reader *second = reader_on(&f, 0, RBCORE_SOURCE_INSIST);
    ck_assert_int_eq(rbcore_reader_read(second, records, 4), 1);
    ok(rbcore_reader_commit(second, NULL, 0));
    ck_assert_uint_eq(image_load(raw.consumer_pos), 32);
    ck_assert_mem_eq(block_of(&raw), &before, sizeof(before));
    rbcore_reader_free(second);
    ck_assert_mem_eq(block_of(&raw), &before, sizeof(before));
    rbcore_reader_free(first);
    drop_ring(&f, &raw);
}
END_TEST

START_TEST(a_reader_that_goes_clears_its_claim) {
    image raw;
    fixture f = make_ring(&raw);
    rbcore_reader *reader = reader_on(&f, 0, 0);
    ck_assert_uint_eq(block_of(&raw)->claim % 2, 1);
    ck_assert_uint_eq(block_of(&raw)->pid, (uint64_t)getpid());
    rbcore_reader_free(reader);
    ck_assert_uint_eq(block_of(&raw)->claim, 0);
    drop_ring(&f, &raw);
}
END_TEST

/* The block is that of another reader, which signed since then. */
START_TEST(a_reader_that_goes_leaves_anothers_claim) {
    image raw;
    fixture f = make_ring(&raw);
    rbcore_reader *reader = reader_on(&f, 0, 0);
    uint64_t others = block_of(&raw)->claim ^ 2;
    image_store(&block_of(&raw)->claim, others);
    rbcore_reader_free(reader);
    ck_assert_uint_eq(block_of(&raw)->claim, others);
    ck_assert_uint_eq(block_of(&raw)->is_left, 0);
    drop_ring(&f, &raw);
}
END_TEST

/* It replaces what its predecessor left there, which could not be believed. */
START_TEST(a_reader_that_comes_says_where_it_begins) {
    image raw;
    fixture f = make_ring(&raw);
    rbcore_reader_free(reader_on(&f, 0, 0));
    produce(&f, 1);
    block_of(&raw)->committed = 8;
    rbcore_reader *reader = reader_on(&f, 0, 0);
    ck_assert_uint_eq(block_of(&raw)->committed, 0);
    rbcore_reader_free(reader);
    drop_ring(&f, &raw);
}
END_TEST

/* ---- Without /proc ---- */

typedef struct shared_file {
    const fixture *ring;
    int probe; /* another open file of the memory */
} shared_file;

static bool enter_mount_namespace(void) {
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool hide_proc(void) {
    return enter_mount_namespace() && mount("none", "/proc", "tmpfs", 0, NULL) == 0;
}

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* Half of one says nothing: it would be another boot's. */
static int read_half_a_boot_id(void *argument) {
    char path[] = "/tmp/rbcore-XXXXXX";
    const char half[] = "01234567-89ab-cdef";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, half, strlen(half)) < 0 || !enter_mount_namespace() ||
        mount(path, BOOT_ID, NULL, MS_BIND, NULL) != 0) {
        unlink(path);
        return 77;
    }
    unlink(path);
    const fixture *ring = argument;
    rbcore_reader *reader = reader_on(ring, 0, 0);
    rbcore_record record = {.ring = 0};
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    const uint8_t unknown[sizeof(identity.boot_id)] = {0};
    if (rbcore_reader_identity(reader, &record, &identity) != 0) {
        return 1;
    }
    rbcore_reader_free(reader);
    return memcmp(identity.boot_id, unknown, sizeof(unknown)) == 0 ? 0 : 2;
}

START_TEST(a_boot_id_that_cannot_be_read_as_a_whole) {
    image raw;
    fixture f = make_ring(&raw);
    int result = in_child(read_half_a_boot_id, &f);
    if (result == 77) {
        printf("skipped: a_boot_id_that_cannot_be_read_as_a_whole: no mount namespace\n");
    } else {
        ck_assert_int_eq(result, 0);
    }
    drop_ring(&f, &raw);
}
END_TEST

/* Then nobody can open the file once more, and two readers have one lock between them. */
static int read_twice(void *argument) {
    const shared_file *self = argument;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (!hide_proc()) {
        return 77;
    }
    rbcore_reader *reader = reader_on(self->ring, 0, 0);
    if (add_result(self->ring) != -EBUSY) {
        return 1;
    }
    /* The refused reader has not let go of the first one's lock. */
    if (fcntl(self->probe, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) {
        return 2;
    }
    rbcore_reader_free(reader);
    return add_result(self->ring) != 0 ? 3 : 0;
}

START_TEST(a_shared_open_file_without_proc) {
    image raw;
    fixture f = make_ring(&raw);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f.memory_fd);
    shared_file it = {.ring = &f, .probe = open(path, O_RDWR | O_CLOEXEC)};
    ck_assert_int_ge(it.probe, 0);
    int result = in_child(read_twice, &it);
    if (result == 77) {
        printf("skipped: a_shared_open_file_without_proc: no mount namespace is to be had\n");
    } else {
        ck_assert_int_eq(result, 0);
    }
    close(it.probe);
    drop_ring(&f, &raw);
}
END_TEST

/* ---- In a pid namespace that has not mounted its /proc ---- */

/* The second process there: that of this number in /proc is another, which lives. */
static int read_until_killed(const fixture *ring) {
    reader_on(ring, 0, 0);
    if (fork() != 0) {
        kill(getpid(), SIGKILL); /* the child keeps the lock */
    }
    pause();
    return 0;
}

/* The first process there; when it ends all others do. */
static int expect_no_reader(const fixture *ring) {
    pid_t pid = fork();
    if (pid == 0) {
        _exit(read_until_killed(ring));
    }
    return wait_child(pid) == 256 + SIGKILL ? add_result(ring) : 1;
}

static int enter_namespace(void *argument) {
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
        return 77;
    }
    pid_t pid = fork();
    if (pid == 0) {
        _exit(expect_no_reader(argument) == 0 ? 0 : 1);
    }
    return wait_child(pid);
}

START_TEST(the_proc_of_another_pid_namespace) {
    image raw;
    fixture f = make_ring(&raw);
    int result = in_child(enter_namespace, &f);
    if (result == 77) {
        printf("skipped: the_proc_of_another_pid_namespace: no pid namespace is to be had\n");
    } else {
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(block_of(&raw)->claim, 0);
    }
    drop_ring(&f, &raw);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {a_zombie_is_no_reader,
                                  a_process_that_started_later_is_another,
                                  a_reader_of_another_boot_is_dead,
                                  a_reader_of_an_unknown_boot_may_live,
                                  a_signature_in_progress_says_whether_it_has_the_lock,
                                  a_signature_in_progress_is_of_one_that_started_then,
                                  a_signature_in_progress_of_an_older_version_is_waited_for,
                                  what_this_process_executed_before,
                                  a_boot_id_that_cannot_be_read_as_a_whole,
                                  who_insists_in_vain_writes_nothing,
                                  a_reader_that_goes_clears_its_claim,
                                  a_reader_that_goes_leaves_anothers_claim,
                                  a_reader_that_comes_says_where_it_begins,
                                  a_shared_open_file_without_proc,
                                  the_proc_of_another_pid_namespace,
                                  NULL};
    return run_tests("owner_block", tests);
}
