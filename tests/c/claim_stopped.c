/* SPDX-License-Identifier: MIT */
/*
 * A process is stopped or killed at an instruction of rbcore_reader_add, or of rbcore_reader_free,
 * for many of them, while others want the same ring. It may never have two readers, what the reader
 * wrote of itself stays as it is, and a ring is free again when its reader is dead.
 *
 * Tried are the begin and end of each system call, and every third instruction while the reader
 * writes its name. With RBCORE_EVERY_INSTRUCTION=1 CK_TIMEOUT_MULTIPLIER=20 it is each one from the
 * lock on, some 7,000; on a busy machine that takes longer than half an hour.
 */
#include "support.h"
#include "tracing.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

/* The block at the end of the consumer page, written down here once more on purpose. */
typedef struct block {
    uint64_t tag;
    uint64_t claim; /* odd: signed; even and not 0: being signed */
    uint64_t process[6];
    uint64_t has_lock;
    uint64_t committed;
    uint64_t reserved[4];
} block;

#define TAG UINT64_C(0x3165726f63627200)
#define FOREIGN_TAG UINT64_C(0x6e6769657266)

typedef struct scene {
    fixture f; /* without a reader */
    image raw;
    volatile block *block;
    int said[2];
    pid_t pid;     /* the claimant */
    bool gives_up; /* it is stopped before it frees its reader, not before it adds the ring */
} scene;

/* A ring with a history: of its three records the first one was given back. */
static scene scene_open(void) {
    scene self = {.f = fixture_open(page_size(), 0)};
    rbcore_record records[2];
    self.raw = image_map(self.f.memory_fd);
    self.block = (volatile block *)(void *)(self.raw.base + page_size() - sizeof(block));
    for (uint64_t i = 1; i <= 3; i++) {
        produce(&self.f, i);
    }
    ck_assert_int_eq(rbcore_reader_read(self.f.reader, records, 2), 2);
    ok(rbcore_reader_commit(self.f.reader, &records[0], 0));
    rbcore_reader_free(self.f.reader);
    ck_assert_uint_eq(self.block->tag, TAG);
    ck_assert_uint_eq(self.block->claim, 0);
    ck_assert_uint_eq(self.block->committed, span_of(8));
    ok(pipe(self.said));
    return self;
}

static void kill_claimant(scene *self) {
    if (self->pid > 0) {
        kill(self->pid, SIGKILL);
        ck_assert_int_eq(wait_child(self->pid), 256 + SIGKILL);
        self->pid = 0;
    }
}

static void scene_close(scene *self) {
    kill_claimant(self);
    image_unmap(&self->raw);
    fixture_drop(&self->f);
    close(self->said[0]);
    close(self->said[1]);
}

/* ---- The claimant ---- */

static int add(void *argument) {
    scene *self = argument;
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    rbcore_reader *reader;
    if (rbcore_reader_open(&reader, NULL)) {
        return 1;
    }
    if (!self->gives_up) {
        stop_to_be_traced();
    }
    int result = rbcore_reader_add(reader, &source);
    if (self->gives_up) {
        stop_to_be_traced();
        rbcore_reader_free(reader);
    }
    if (write(self->said[1], &result, sizeof(result)) != sizeof(result)) {
        return 2;
    }
    pause();
    return 3;
}

static void start_claimant(scene *self) {
    self->pid = start_child(add, self);
    await_stop(self->pid);
}

static bool is_locked(const scene *self) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    ok(fcntl(self->f.memory_fd, F_OFD_GETLK, &lock));
    return lock.l_type != F_UNLCK;
}

/*
 * This is a place in the run: after so many calls were entered or left, and so many instructions
 * more.
 */
typedef struct position {
    int calls;
    unsigned long steps;
} position;

static void make_calls(const scene *self, int count) {
    for (int i = 0; i < count; i++) {
        ck_assert(step_to_call(self->pid));
    }
}

static void make_steps(const scene *self, unsigned long count) {
    for (unsigned long i = 0; i < count; i++) {
        if (!step(self->pid)) {
            ck_abort_msg("the claimant ended after %lu instructions", i);
        }
    }
}

static void start_claimant_up_to(scene *self, position at) {
    start_claimant(self);
    make_calls(self, at.calls);
    make_steps(self, at.steps);
}

/* It goes on by itself. Returns what its rbcore_reader_add returns. */
static int result_of(scene *self) {
    int result;
    let_go(self->pid);
    ck_assert_int_eq(read(self->said[0], &result, sizeof(result)), sizeof(result));
    return result;
}

static unsigned long step_until_signed(const scene *self) {
    unsigned long count = 0;
    for (; self->block->claim % 2 == 0; count++) {
        make_steps(self, 1);
    }
    return count;
}

/* ---- Which positions ---- */

typedef struct path {
    int to_lock;               /* calls */
    int to_signature;          /* calls: the last before it */
    unsigned long first, last; /* instructions after that call, while it signs */
} path;

static int calls_until_signed(scene *self, path *out) {
    int calls = 0;
    start_claimant(self);
    for (; self->block->claim % 2 == 0; calls++) {
        out->to_lock = is_locked(self) ? out->to_lock : calls + 1;
        make_calls(self, 1);
    }
    kill_claimant(self);
    return calls;
}

static path measure(void) {
    scene s = scene_open();
    path it = {0};
    it.to_signature = calls_until_signed(&s, &it) - 1;
    s.block->claim = 0;
    start_claimant_up_to(&s, (position){it.to_signature, 0});
    for (; s.block->claim == 0; it.first++) {
        make_steps(&s, 1);
    }
    ck_assert_uint_eq(s.block->claim % 2, 0);
    it.last = it.first + step_until_signed(&s);
    scene_close(&s);
    ck_assert_int_gt(it.to_signature, it.to_lock);
    ck_assert_uint_gt(it.last, it.first + 10);
    return it;
}

static unsigned long instructions_until_signed(int calls) {
    scene s = scene_open();
    start_claimant_up_to(&s, (position){calls, 0});
    unsigned long count = 0;
    for (; s.block->claim == 0; count++) {
        make_steps(&s, 1);
    }
    count += step_until_signed(&s);
    scene_close(&s);
    return count;
}

/* Starts a claimant that stops at the first word of its signature. */
static void start_claimant_up_to_the_signature(scene *self) {
    path it = measure();
    start_claimant_up_to(self, (position){it.to_signature, it.first});
}

/* Calls act for the position, up to so many steps, each time with a new ring and claimant. */
static void at_steps(void (*act)(scene *self, position at), position at, unsigned long end,
                     unsigned long stride) {
    for (; at.steps < end; at.steps += stride) {
        act(&(scene){0}, at);
    }
}

/* A call is one step, too: what lies between two of them is counted from the earlier one. */
static void at_every_position(void (*act)(scene *self, position at), const path *it) {
    unsigned long left = instructions_until_signed(it->to_lock);
    for (int calls = it->to_lock; calls < it->to_signature; calls++) {
        const unsigned long next = instructions_until_signed(calls + 1);
        at_steps(act, (position){calls, 0}, left > next ? left - next : 1, 1);
        left = next;
    }
    at_steps(act, (position){it->to_signature, 0}, it->last + 10, 1);
}

static void at_positions(void (*act)(scene *self, position at)) {
    const path it = measure();
    if (getenv("RBCORE_EVERY_INSTRUCTION")) {
        at_every_position(act, &it);
        return;
    }
    for (int calls = 0; calls < it.to_signature; calls++) {
        act(&(scene){0}, (position){calls, 0});
    }
    at_steps(act, (position){it.to_signature, it.first - 1}, it.last + 10, 3);
}

/* ---- The others ---- */

static int try_add(const scene *self) {
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, NULL));
    int result = rbcore_reader_add(reader, &source);
    rbcore_reader_free(reader);
    return result;
}

static int try_add_in_child(void *argument) {
    return -try_add(argument);
}

static void assert_taken(scene *self, position at) {
    int here = try_add(self), elsewhere = -in_child(try_add_in_child, self);
    ck_assert_msg(here == -EBUSY && elsewhere == -EBUSY, "at %d+%lu a third gets in: %d, %d",
                  at.calls, at.steps, here, elsewhere);
}

/* Asserts that the ring is free, and that the next reader goes on where the last one stopped. */
static void assert_free(scene *self, position at) {
    rbcore_record records[3];
    self->f.reader = reader_on(&self->f, 0, 0);
    self->f.ring = 0;
    int n = rbcore_reader_read(self->f.reader, records, 3);
    ck_assert_msg(n == 2 && value_of(&records[0]) == 2, "at %d+%lu: %d records", at.calls, at.steps,
                  n);
    ck_assert_uint_eq(ring_stats(&self->f).flags, 0);
    rbcore_reader_free(self->f.reader);
}

/* ---- The tests ---- */

/* The claimant stands still; another one comes, the claimant goes on, a third comes. */
static void another_comes(scene *self, position at) {
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    rbcore_reader *second;
    block of_second;
    ok(rbcore_reader_open(&second, NULL));
    int other = rbcore_reader_add(second, &source);
    memcpy(&of_second, (const void *)(uintptr_t)self->block, sizeof(block));
    int first = result_of(self);
    ck_assert_msg((first == 0 && other == -EBUSY) || (first == -EBUSY && other == 0),
                  "at %d+%lu: the one that was stopped %d, the other one %d", at.calls, at.steps,
                  first, other);
    if (other == 0) {
        ck_assert_msg(memcmp(&of_second, (const void *)(uintptr_t)self->block, sizeof(block)) == 0,
                      "at %d+%lu the reader's block is spoiled", at.calls, at.steps);
    }
    assert_taken(self, at);
    if (first == 0) {
        kill_claimant(self);
    }
    rbcore_reader_free(second);
    assert_free(self, at);
}

static void stop_there(scene *self, position at) {
    *self = scene_open();
    start_claimant_up_to(self, at);
    another_comes(self, at);
    scene_close(self);
}

START_TEST(stopped_anywhere) {
    at_positions(stop_there);
}
END_TEST

/* Those that come are refused, and so the same claimant can be stopped at each instruction. */
START_TEST(stopped_while_it_signs) {
    path it = measure();
    position at = {it.to_signature, it.first};
    scene s = scene_open();
    start_claimant_up_to(&s, at);
    for (; s.block->claim % 2 == 0; at.steps++) {
        assert_taken(&s, at);
        make_steps(&s, 1);
    }
    assert_taken(&s, at);
    ck_assert_int_eq(result_of(&s), 0);
    assert_taken(&s, at);
    kill_claimant(&s);
    assert_free(&s, at);
    scene_close(&s);
}
END_TEST

static void kill_there(scene *self, position at) {
    *self = scene_open();
    start_claimant_up_to(self, at);
    kill_claimant(self);
    assert_free(self, at);
    scene_close(self);
}

START_TEST(killed_anywhere) {
    at_positions(kill_there);
}
END_TEST

/* ---- The reader gives the ring up ---- */

/* The first instructions of rbcore_reader_free that are tried, and its last, each third of them. */
#define OF_FREE 30
#define LAST 120

static unsigned long instructions_of_free(void) {
    scene s = scene_open();
    s.gives_up = true;
    start_claimant(&s);
    unsigned long count = 0;
    for (; is_locked(&s); count++) {
        make_steps(&s, 1);
    }
    scene_close(&s);
    return count;
}

static void at_instructions_of_free(void (*act)(scene *self, position at)) {
    const bool every_one = getenv("RBCORE_EVERY_INSTRUCTION");
    const unsigned long count = instructions_of_free();
    unsigned long stride;
    for (position at = {0, 0}; at.steps < count + 10; at.steps += stride) {
        act(&(scene){.gives_up = true}, at);
        stride = every_one ? 1 : at.steps + LAST < count ? count / OF_FREE + 1 : 3;
    }
}

/* Another one gets it, or is refused; then the first goes on, and a third comes. */
static void another_comes_to_free(scene *self, position at) {
    *self = scene_open();
    self->gives_up = true;
    start_claimant_up_to(self, at);
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    rbcore_reader *second;
    block of_second;
    ok(rbcore_reader_open(&second, NULL));
    int other = rbcore_reader_add(second, &source);
    memcpy(&of_second, (const void *)(uintptr_t)self->block, sizeof(block));
    ck_assert_int_eq(result_of(self), 0);
    ck_assert_msg(other == 0 || other == -EBUSY, "at %lu: %d", at.steps, other);
    if (other == 0) {
        ck_assert_msg(memcmp(&of_second, (const void *)(uintptr_t)self->block, sizeof(block)) == 0,
                      "at %lu the reader's block is spoiled", at.steps);
        assert_taken(self, at);
    }
    rbcore_reader_free(second);
    assert_free(self, at);
    scene_close(self);
}

START_TEST(stopped_anywhere_while_it_frees) {
    at_instructions_of_free(another_comes_to_free);
}
END_TEST

static void kill_there_in_free(scene *self, position at) {
    *self = scene_open();
    self->gives_up = true;
    start_claimant_up_to(self, at);
    kill_claimant(self);
    assert_free(self, at);
    scene_close(self);
}

START_TEST(killed_anywhere_while_it_frees) {
    at_instructions_of_free(kill_there_in_free);
}
END_TEST

/* ---- What others left in the block ---- */

/*
 * Another process writes into the block meanwhile: an older version, which takes the claimant for
 * dead.
 */
START_TEST(a_signature_in_progress_that_is_overwritten) {
    static const uint64_t others[] = {0x1234567, 0x12345678, 0};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        scene s = scene_open();
        start_claimant_up_to_the_signature(&s);
        s.block->claim = others[i];
        ck_assert_int_eq(result_of(&s), -EBUSY);
        ck_assert_uint_eq(s.block->claim, others[i]);
        ck_assert(!is_locked(&s));
        scene_close(&s);
    }
}
END_TEST

/* An older version that is killed leaves an even number there, which names no process. */
START_TEST(a_signature_that_an_older_version_left) {
    scene s = scene_open();
    s.block->claim = 0x123456789abcdef0;
    assert_free(&s, (position){0, 0});
    scene_close(&s);
}
END_TEST

static void write_foreign_block(scene *self, uint64_t claim) {
    memset((void *)(uintptr_t)self->block, 0x5a, sizeof(block));
    self->block->tag = FOREIGN_TAG;
    self->block->claim = claim;
    self->block->committed = span_of(8);
    image_store(self->raw.consumer_pos, 0);
}

static void assert_all_three(const scene *self, uint32_t flags) {
    rbcore_record records[4];
    rbcore_reader *reader = reader_on(&self->f, 0, flags);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 4), 3);
    ck_assert_uint_eq(value_of(&records[0]), 1);
    rbcore_reader_free(reader);
}

/* It is not this library's: what lies where a reader would say how far it came means nothing. */
START_TEST(committed_of_a_foreign_owner_block) {
    static const uint64_t claims[] = {0, 0x5a5a5a5a5a5a5a5b, 0x5a5a5a5a5a5a5a5a};
    for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
        scene s = scene_open();
        write_foreign_block(&s, claims[i]);
        assert_all_three(&s, 0);
        scene_close(&s);
    }
    /* It is so while another reader is about to put its own there, too. */
    scene s = scene_open();
    write_foreign_block(&s, 0);
    start_claimant_up_to_the_signature(&s);
    ck_assert_uint_eq(s.block->tag, FOREIGN_TAG);
    assert_all_three(&s, RBCORE_SOURCE_INSIST);
    scene_close(&s);
}
END_TEST

int main(void) {
    skip_without_tracing();
    const TTest *const tests[] = {stopped_anywhere,
                                  stopped_while_it_signs,
                                  killed_anywhere,
                                  stopped_anywhere_while_it_frees,
                                  killed_anywhere_while_it_frees,
                                  a_signature_in_progress_that_is_overwritten,
                                  a_signature_that_an_older_version_left,
                                  committed_of_a_foreign_owner_block,
                                  NULL};
    return run_tests("claim stopped", tests);
}
