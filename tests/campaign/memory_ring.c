/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCH_MAX 64

#define TALLIES_SIZE (FLOW_PRODUCERS_MAX * sizeof(struct tally))

const char *ring_missing(void) {
    return NULL;
}

void ring_open(ring *self, size_t size) {
    int memory_fd, event_fd;
    int error = rbcore_memory_ring_create(&memory_fd, &event_fd, size, 0);
    if (error) {
        FAIL("create: %d", error);
    }
    self->source = (rbcore_source)RBCORE_SOURCE_INIT;
    self->source.kind = RBCORE_SOURCE_MEMORY_RING;
    self->source.fd = memory_fd;
    self->source.event_fd = event_fd;
    self->tallies = shared_memory(TALLIES_SIZE);
}

void ring_close(ring *self) {
    munmap(self->tallies, TALLIES_SIZE);
    close(self->source.fd);
    close(self->source.event_fd);
}

void producing_open(producing *self, const ring *on, uint32_t id, uint64_t seed) {
    *self = (producing){.ring = on, .id = id, .random = seed};
    int error = rbcore_producer_open(&self->handle, &on->source);
    if (error) {
        FAIL("rbcore_producer_open: %d", error);
    }
}

void producing_close(producing *self) {
    rbcore_producer_free(self->handle);
}

/*
 * The numbers are told before and after, so that a checker knows what a killed one may have done.
 */
static void note(uint64_t *counter, uint64_t n) {
    __atomic_fetch_add(counter, n, __ATOMIC_SEQ_CST);
}

static uint64_t fill(uint64_t *words, uint32_t id, uint64_t number) {
    uint64_t first = flow_first(id, number);
    uint32_t count = flow_words(first);
    words[0] = first;
    for (uint32_t i = 1; i < count; i++) {
        words[i] = flow_word(first, i);
    }
    return count * sizeof(*words);
}

static uint32_t random_flags(producing *self) {
    uint64_t random = random_below(&self->random, 64);
    if (random == 0 && self->is_silent) {
        return RBCORE_NO_WAKEUP;
    }
    return random == 1 ? RBCORE_FORCE_WAKEUP : 0;
}

/* Returns false where the ring was full, and counts that. */
static bool was_taken(producing *self, int error) {
    if (error == -EAGAIN) {
        note(&self->ring->tallies[self->id].refused, 1);
        return false;
    }
    if (error) {
        FAIL("producer %u: %d", self->id, error);
    }
    return true;
}

static bool submit_one(producing *self, struct tally *tally) {
    uint64_t first = flow_first(self->id, tally->done);
    void *data;
    if (!was_taken(self, rbcore_producer_reserve(self->handle, &data, flow_words(first) * 8))) {
        return false;
    }
    fill(data, self->id, tally->done);
    note(&tally->started, 1);
    EXPECT(rbcore_producer_submit(self->handle, data, random_flags(self)) == 0);
    note(&tally->done, 1);
    return true;
}

static bool output_one(producing *self, struct tally *tally) {
    uint64_t words[FLOW_LARGE];
    uint64_t size = fill(words, self->id, tally->done);
    note(&tally->started, 1);
    if (!was_taken(self, rbcore_producer_output(self->handle, words, size, random_flags(self)))) {
        note(&tally->started, (uint64_t)-1);
        return false;
    }
    note(&tally->done, 1);
    return true;
}

static bool discard_one(producing *self, struct tally *tally) {
    void *data;
    int error = rbcore_producer_reserve(self->handle, &data, random_below(&self->random, 100));
    if (!was_taken(self, error)) {
        return false;
    }
    EXPECT(rbcore_producer_discard(self->handle, data, random_flags(self)) == 0);
    note(&tally->discarded, 1);
    return true;
}

/* Records that a batch has no room for are not refused: nothing counts them as lost. */
static bool output_batch(producing *self, struct tally *tally, uint32_t count) {
    uint64_t words[BATCH_MAX][FLOW_LARGE];
    rbcore_slice slices[BATCH_MAX];
    for (uint32_t i = 0; i < count; i++) {
        slices[i] = (rbcore_slice){words[i], fill(words[i], self->id, tally->done + i)};
    }
    note(&tally->started, count);
    int n = rbcore_producer_output_batch(self->handle, slices, count, random_flags(self));
    if (n < 0 && n != -EAGAIN) {
        FAIL("output_batch: %d", n);
    }
    uint64_t written = n < 0 ? 0 : (uint64_t)n;
    note(&tally->done, written);
    note(&tally->started, written - count);
    return written == count;
}

bool producing_run(producing *self, uint32_t max) {
    struct tally *tally = &self->ring->tallies[self->id];
    bool is_full = false;
    for (uint32_t n = 0; n < max && !is_full;) {
        uint64_t how = random_below(&self->random, 16);
        uint32_t batch = 1;
        if (how == 0) {
            is_full = !discard_one(self, tally);
        } else if (how < 6) {
            is_full = !submit_one(self, tally);
        } else if (how < 10) {
            is_full = !output_one(self, tally);
        } else {
            batch = 1 + (uint32_t)random_below(&self->random, BATCH_MAX);
            batch = batch < max - n ? batch : max - n;
            is_full = !output_batch(self, tally, batch);
        }
        n += batch;
    }
    return !is_full;
}
