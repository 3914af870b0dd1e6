/* SPDX-License-Identifier: MIT */
/* Batches, with readers that look in the middle of one; and producers in processes that die. */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLICES 40

/* ---- In the middle of a batch ---- */

/*
 * The content of a slice that may not be read yet: the first touch by output_batch is a fault, and
 * its handler does what other threads might do at that moment, before it allows the access. So a
 * reader looks at a batch that is half written, at a place that the seed chose.
 */
static unsigned char *trap;
static size_t trap_size;
static sim_ring *trapped;

/*
 * At that moment the batch is not there, or it is one record that is being written, as large as all
 * of it. Returns whether it is.
 */
static bool begin_moment(sim_ring *ring, const sim_ring *before) {
    uint64_t producer_pos = ring_producer_pos(ring);
    the_world.in_a_batch = true;
    ring->overwrite_pos = ring->overwrites ? ring_overwrite_pos(ring) : 0;
    if (producer_pos == before->producer_pos) {
        return false;
    }
    demand(producer_pos == ring->batch_end, "producer_pos is in the middle of a batch");
    ring_append(ring, (uint32_t)(producer_pos - before->producer_pos) - 8, RESERVED);
    return true;
}

static void end_moment(sim_ring *ring, const sim_ring *before, bool is_there) {
    the_world.in_a_batch = false;
    ring->count -= is_there;
    ring->producer_pos = before->producer_pos;
    ring->overwrite_pos = before->overwrite_pos;
    ring->oldest = before->oldest;
}

static void on_touch(int number, siginfo_t *info, void *context) {
    (void)context;
    const unsigned char *at = info->si_addr;
    if (trapped == NULL || at < trap || at >= trap + trap_size) {
        signal(number, SIG_DFL); /* a fault of the library: it comes again */
        return;
    }
    remark("(in the middle of the batch)");
    const sim_ring before = *trapped;
    bool is_there = begin_moment(trapped, &before);
    for (unsigned i = 0; i < READERS; i++) {
        if (the_world.readers[i].references > 0 && !one_in(4)) {
            look_at(&the_world.readers[i]);
        }
    }
    for (unsigned i = roll(4); i > 0; i--) {
        take_snapshot();
    }
    end_moment(trapped, &before, is_there);
    trapped = NULL;
    mprotect(trap, trap_size, PROT_READ | PROT_WRITE);
}

static void set_trap(sim_ring *ring, rbcore_slice *slice) {
    if (trap == NULL) {
        trap_size = RECORD_MAX;
        trap = mmap(NULL, trap_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        demand(trap != MAP_FAILED, "no memory");
        struct sigaction action = {.sa_sigaction = on_touch, .sa_flags = SA_SIGINFO | SA_NODEFER};
        sigaction(SIGSEGV, &action, NULL);
    }
    memcpy(trap, slice->data, slice->size);
    slice->data = trap;
    mprotect(trap, trap_size, PROT_NONE);
    trapped = ring;
}

static void clear_trap(void) {
    if (trapped != NULL) {
        trapped = NULL;
        mprotect(trap, trap_size, PROT_READ | PROT_WRITE);
    }
}

/* ---- Batches ---- */

typedef struct sim_batch {
    rbcore_slice slices[SLICES];
    uint32_t offsets[SLICES];
    size_t count;
} sim_batch;

static sim_batch random_batch(const sim_ring *ring) {
    sim_batch self = {.count = roll(one_in(3) ? SLICES + 1 : 6)};
    for (size_t i = 0; i < self.count; i++) {
        self.offsets[i] = roll(RECORD_MAX);
        self.slices[i].size = random_size(ring);
        self.slices[i].data = pattern + self.offsets[i];
    }
    if (self.count > 0 && one_in(20)) {
        rbcore_slice *wrong = &self.slices[roll((uint32_t)self.count)];
        *wrong = one_in(2) ? (rbcore_slice){.data = NULL, .size = 1}
                           : (rbcore_slice){.data = pattern, .size = SIZE_MAX};
    }
    return self;
}

static int check_slice(sim_ring *ring, uint64_t before, const rbcore_slice *slice) {
    if (slice->size > ring->size - 16) {
        return -EMSGSIZE;
    }
    return slice->data == NULL && slice->size != 0 ? -EINVAL
                                                   : ring_room(ring, before, (uint32_t)slice->size);
}

/* How many records there is room for, and their bytes; or why not for the first. */
static int expected_count(sim_ring *ring, const sim_batch *batch, uint64_t *bytes) {
    int done = 0, error = 0;
    do {
        *bytes = 0;
        done = error = 0;
        while (done < (int)batch->count &&
               (error = check_slice(ring, *bytes, &batch->slices[done])) == 0) {
            *bytes += span_of(batch->slices[done++].size);
        }
    } while (done == 0 && error == -EAGAIN && ring_clear_the_way(ring) == 0);
    return done > 0 ? done : error;
}

static void note_batch(sim_ring *ring, const sim_batch *batch, int count, uint32_t flags) {
    for (int i = 0; i < count; i++) {
        size_t index = ring_append(ring, (uint32_t)batch->slices[i].size, RESERVED);
        ring->items[index].offset = batch->offsets[i];
        ring_finish(ring, index, SUBMITTED, flags);
    }
}

bool output_batch(void) {
    sim_producer *self = any_producer();
    if (self == NULL) {
        return false;
    }
    sim_ring *ring = self->ring;
    sim_batch batch = random_batch(ring);
    uint32_t flags = random_wakeup(ring);
    uint64_t bytes;
    int expected = expected_count(ring, &batch, &bytes);
    if (expected > 0 && one_in(2)) {
        uint32_t at = one_in(2) ? (uint32_t)expected - 1 : roll((uint32_t)expected);
        rbcore_slice *slice = &batch.slices[at];
        if (slice->size > 0) {
            ring->batch_end = ring->producer_pos + bytes;
            set_trap(ring, slice);
        }
    }
    calling("output_batch(producer %d, %zu records, %u)", self->number, batch.count, flags);
    int result = rbcore_producer_output_batch(self->handle, batch.slices, batch.count, flags);
    clear_trap();
    ring->batch_end = 0;
    remark("output_batch in ring %d = %d", ring->number, result);
    demand(result == expected, "output_batch is not %d", expected);
    note_batch(ring, &batch, expected, flags);
    ring_check(ring);
    return true;
}

/* ---- Processes that die ---- */

typedef struct child_record {
    uint32_t size;
    int expected;
    size_t index;
    unsigned finish; /* 0: leaves it reserved, 1: submits, 2: discards */
    uint32_t flags;
} child_record;

/* Does what the child of a fork may do with the handles of its parent. */
static bool parents_handles_are_refused(void) {
    rbcore_record record;
    bool all = true;
    for (unsigned i = 0; i < READERS; i++) {
        sim_reader *reader = &the_world.readers[i];
        if (reader->references > 0) {
            all = all && rbcore_reader_read(reader->handle, &record, 1) == -ECHILD &&
                  rbcore_reader_commit(reader->handle, NULL, 0) == -ECHILD &&
                  rbcore_reader_flush(reader->handle) == -ECHILD;
        }
        for (; reader->references > 0; reader->references--) {
            rbcore_reader_free(reader->handle);
        }
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        rbcore_producer *producer = the_world.producers[i].handle;
        all =
            all && (producer == NULL || rbcore_producer_output(producer, pattern, 1, 0) == -ECHILD);
        rbcore_producer_free(producer);
    }
    return all;
}

static bool produce_in_child(const sim_ring *ring, const child_record *records, size_t count) {
    rbcore_producer *producer = NULL;
    rbcore_source source = memory_source(ring);
    bool all = rbcore_producer_open(&producer, &source) == 0;
    for (size_t i = 0; i < count && all; i++) {
        const child_record *record = &records[i];
        void *data;
        all = rbcore_producer_reserve(producer, &data, record->size) == record->expected;
        if (all && record->expected == 0) {
            memcpy(data, pattern + ring->items[record->index].offset, record->size);
            all = record->finish == 0 ? true
                  : record->finish == 1
                      ? rbcore_producer_submit(producer, data, record->flags) == 0
                      : rbcore_producer_discard(producer, data, record->flags) == 0;
        }
    }
    return all;
}

/* The plan of a child, noted before, so that the child knows it. */
static size_t plan_of_child(sim_ring *ring, child_record *records, size_t max) {
    size_t count = roll((uint32_t)max) + 1;
    for (size_t i = 0; i < count; i++) {
        child_record *record = &records[i];
        *record = (child_record){
            .size = random_size(ring), .finish = roll(3), .flags = random_wakeup(ring)};
        record->expected = ring_reserve(ring, record->size, &record->index);
        if (record->expected == 0 && record->finish > 0) {
            ring_finish(ring, record->index, record->finish == 1 ? SUBMITTED : DISCARDED,
                        record->flags);
        }
        ring->lost += record->expected == -EAGAIN;
    }
    return count;
}

bool die_in_a_child(void) {
    sim_ring *ring = &the_world.rings[roll(RINGS)];
    if (!ring->exists || ring->is_kernel || the_world.in_a_batch || !one_in(12)) {
        return false;
    }
    child_record records[6];
    size_t count = plan_of_child(ring, records, 6);
    bool asks = one_in(2), exits = one_in(3);
    calling("a child produces %zu records in ring %d, and %s", count, ring->number,
            exits ? "exits" : "is killed");
    pid_t pid = fork();
    if (pid == 0) {
        bool is_right =
            (!asks || parents_handles_are_refused()) && produce_in_child(ring, records, count);
        if (is_right && !exits) {
            kill(getpid(), SIGKILL);
        }
        _exit(is_right ? 0 : 1);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    demand(exits ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                 : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
           "the child's calls did not return what they should: status %#x", (unsigned)status);
    for (size_t i = 0; i < count; i++) {
        if (records[i].expected == 0 && records[i].finish == 0) {
            ring_finish(ring, records[i].index, DEAD, 0);
        }
    }
    ring_check(ring);
    return true;
}
