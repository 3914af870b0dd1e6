/* SPDX-License-Identifier: MIT */
/* Rings, and the producers that write one record at a time. */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const uint32_t wakeups[4] = {0, RBCORE_NO_WAKEUP, RBCORE_FORCE_WAKEUP,
                             RBCORE_NO_WAKEUP | RBCORE_FORCE_WAKEUP};

/* The producers of some rings never wake a reader. */
uint32_t random_wakeup(const sim_ring *ring) {
    if (ring->is_quiet) {
        return RBCORE_NO_WAKEUP;
    }
    return one_in(2) ? 0 : wakeups[roll(4)];
}

/* Mostly small; at times as large as the ring allows, or larger. */
uint32_t random_size(const sim_ring *ring) {
    uint32_t largest = ring->size - 16 < RECORD_MAX ? (uint32_t)ring->size - 16 : RECORD_MAX;
    switch (roll(12)) {
    case 0:
        return roll(3);
    case 1:
        return roll(largest + 1);
    case 2:
        return one_in(3) ? largest : roll(largest / 4);
    case 3:
        return roll(1000);
    default:
        return roll(100);
    }
}

rbcore_source memory_source(const sim_ring *ring) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    source.fd = ring->memory_fd;
    source.event_fd = ring->event_fd;
    return source;
}

/* ---- Rings ---- */

static void create_wrongly(uint64_t size, uint32_t flags) {
    int memory_fd = -7, event_fd = -7;
    calling("memory_ring_create(%" PRIu64 ", %#x)", size, flags);
    int error = returned(rbcore_memory_ring_create(&memory_fd, &event_fd, (size_t)size, flags));
    demand(error == -EINVAL && memory_fd == -7 && event_fd == -7, "not refused");
}

bool create_ring(void) {
    sim_ring *self = &the_world.rings[roll(RINGS)];
    if (one_in(20)) {
        const uint64_t sizes[] = {0, 1, page_size() / 2, 3 * page_size(), UINT64_C(1) << 31};
        create_wrongly(sizes[roll(5)], 0);
        create_wrongly(page_size(), 2u << roll(30));
        return true;
    }
    if (self->exists || the_world.in_a_batch) {
        return false;
    }
    uint64_t size = page_size() << (one_in(3) ? roll(5) : roll(2));
    *self = (sim_ring){.exists = true, .number = self->number, .size = size};
    if (kernel_missing() == NULL && one_in(6)) {
        calling("a ring of the kernel: ring %d, %" PRIu64 " bytes", self->number, size);
        self->is_kernel = true;
        kernel_create_ring(self, size);
        ring_map(self, self->map_fd);
        return true;
    }
    self->overwrites = one_in(3);
    self->is_quiet = one_in(4);
    uint32_t flags = self->overwrites ? RBCORE_MEMORY_RING_OVERWRITE : 0;
    calling("memory_ring_create(ring %d, %" PRIu64 ", %#x)", self->number, size, flags);
    int error =
        returned(rbcore_memory_ring_create(&self->memory_fd, &self->event_fd, (size_t)size, flags));
    demand(error == 0, "no ring");
    ring_map(self, self->memory_fd);
    return true;
}

bool drop_ring(void) {
    sim_ring *self = &the_world.rings[roll(RINGS)];
    if (!self->exists || self->users > 0 || !one_in(4)) {
        return false;
    }
    calling("ring %d is closed", self->number);
    if (self->is_kernel) {
        kernel_drop_ring(self);
    } else {
        close(self->memory_fd);
        close(self->event_fd);
    }
    ring_forget(self);
    return true;
}

/* ---- Producers ---- */

sim_producer *any_producer(void) {
    if (the_world.in_a_batch) {
        return NULL;
    }
    unsigned first = roll(PRODUCERS);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        sim_producer *self = &the_world.producers[(first + i) % PRODUCERS];
        if (self->handle != NULL) {
            return self;
        }
    }
    return NULL;
}

bool open_producer(void) {
    sim_producer *self = &the_world.producers[roll(PRODUCERS)];
    sim_ring *ring = &the_world.rings[roll(RINGS)];
    if (self->handle != NULL || !ring->exists || ring->is_kernel || the_world.in_a_batch) {
        return false;
    }
    rbcore_source source = memory_source(ring);
    *self = (sim_producer){.ring = ring, .number = self->number};
    calling("producer_open(producer %d, ring %d)", self->number, ring->number);
    demand(returned(rbcore_producer_open(&self->handle, &source)) == 0, "no producer");
    ring->users++;
    return true;
}

/* Records that it has reserved are abandoned. */
bool free_producer(void) {
    sim_producer *self = any_producer();
    if (self == NULL) {
        return false;
    }
    calling("producer_free(producer %d), with %zu reserved", self->number, self->count);
    rbcore_producer_free(self->handle);
    for (size_t i = 0; i < self->count; i++) {
        ring_finish(self->ring, self->items[i], DEAD, 0);
    }
    self->ring->users--;
    *self = (sim_producer){.number = self->number};
    return true;
}

/* Writes into a record that was reserved. */
static void fill(const sim_ring *ring, size_t index, void *data) {
    const sim_item *item = &ring->items[index];
    demand((uintptr_t)data % 8 == 0, "data is not aligned");
    memcpy(data, pattern + item->offset, item->size);
}

static int call_reserve(const sim_producer *self, void **data, size_t size, int64_t timeout) {
    if (timeout < 0) {
        calling("reserve(producer %d, %zu)", self->number, size);
        return returned(rbcore_producer_reserve(self->handle, data, size));
    }
    calling("reserve_wait(producer %d, %zu, %" PRId64 ")", self->number, size, timeout);
    return returned(rbcore_producer_reserve_wait(self->handle, data, size, timeout));
}

bool reserve(void) {
    sim_producer *self = any_producer();
    if (self == NULL || self->count == RESERVED_MAX) {
        return false;
    }
    sim_ring *ring = self->ring;
    uint32_t size = random_size(ring);
    int64_t timeout = one_in(3) ? (int64_t)roll(100000) : one_in(4) ? 0 : -1;
    void *data = NULL;
    size_t index = 0;
    int result = call_reserve(self, &data, size, timeout);
    int expected = ring_reserve(ring, size, &index);
    demand(result == expected, "reserve in ring %d is not %d", ring->number, expected);
    ring->lost += result == -EAGAIN && timeout <= 0;
    if (result == 0) {
        fill(ring, index, data);
        self->items[self->count] = index;
        self->data[self->count++] = data;
    } else {
        demand(data == NULL, "data was set all the same");
    }
    ring_check(ring);
    return true;
}

bool finish(void) {
    sim_producer *self = any_producer();
    if (self == NULL || self->count == 0) {
        return false;
    }
    size_t i = roll((uint32_t)self->count);
    uint32_t flags = random_wakeup(self->ring);
    bool discard = one_in(4);
    void *data = self->data[i];
    calling("%s(producer %d, the record at %" PRIu64 ", %u)", discard ? "discard" : "submit",
            self->number, self->ring->items[self->items[i]].position, flags);
    int result = returned(discard ? rbcore_producer_discard(self->handle, data, flags)
                                  : rbcore_producer_submit(self->handle, data, flags));
    demand(result == 0, "not finished");
    ring_finish(self->ring, self->items[i], discard ? DISCARDED : SUBMITTED, flags);
    self->count--;
    self->items[i] = self->items[self->count];
    self->data[i] = self->data[self->count];
    return true;
}

static sim_ring *any_kernel_ring(void) {
    sim_ring *self = &the_world.rings[roll(RINGS)];
    return self->exists && self->is_kernel && !the_world.in_a_batch ? self : NULL;
}

static void emit(sim_ring *ring) {
    uint32_t size = random_size(ring), flags = wakeups[roll(3)];
    bool discard = one_in(5);
    int expected = ring_room(ring, 0, size);
    size_t index = 0;
    if (expected == 0) {
        index = ring_append(ring, size, RESERVED);
    }
    uint32_t offset = expected == 0 ? ring->items[index].offset : 0;
    calling("a BPF program %s %u bytes in ring %d, %u", discard ? "discards" : "outputs", size,
            ring->number, flags);
    int result = returned(kernel_emit(ring, size, offset, flags, discard));
    demand((result == 0) == (expected == 0), "not %d", expected);
    ring->lost += result != 0;
    if (result == 0) {
        ring_finish(ring, index, discard ? DISCARDED : SUBMITTED, flags);
    }
    ring_check(ring);
}

bool output(void) {
    sim_ring *kernel = any_kernel_ring();
    if (kernel != NULL) {
        emit(kernel);
        return true;
    }
    sim_producer *self = any_producer();
    if (self == NULL) {
        return false;
    }
    sim_ring *ring = self->ring;
    uint32_t size = random_size(ring), flags = random_wakeup(ring);
    size_t index = 0;
    int expected = ring_reserve(ring, size, &index);
    const void *data = expected == 0 ? pattern + ring->items[index].offset : pattern;
    calling("output(producer %d, %u bytes, %u)", self->number, size, flags);
    int result = returned(rbcore_producer_output(self->handle, data, size, flags));
    demand(result == expected, "output in ring %d is not %d", ring->number, expected);
    ring->lost += result == -EAGAIN;
    if (result == 0) {
        ring_finish(ring, index, SUBMITTED, flags);
    }
    ring_check(ring);
    return true;
}

/* ---- What is refused ---- */

static bool has_reserved(const sim_producer *self, const void *data) {
    for (size_t i = 0; i < self->count; i++) {
        if (self->data[i] == data) {
            return true;
        }
    }
    return false;
}

/* A submit of what is none of this producer's reserved records. */
static void finish_wrongly(sim_producer *self) {
    static const void *finished[16];
    static unsigned next;
    uint64_t word = 0;
    const void *data = one_in(3) ? &word : finished[roll(16)];
    sim_producer *other = any_producer();
    if (one_in(3) && other != self && other->count > 0) {
        data = other->data[0]; /* in another mapping */
    }
    if (self->count > 0) {
        finished[next++ % 16] = self->data[0]; /* to be tried when it is finished */
    }
    if (has_reserved(self, data)) {
        return;
    }
    calling("submit(producer %d, not a record)", self->number);
    int result = returned(rbcore_producer_submit(self->handle, (void *)(uintptr_t)data, 0));
    demand(result == -EINVAL, "not refused");
}

bool produce_wrongly(void) {
    sim_producer *self = any_producer();
    if (self == NULL) {
        return false;
    }
    void *data = NULL;
    const size_t sizes[] = {(size_t)self->ring->size - 15, SIZE_MAX, SIZE_MAX / 2,
                            (size_t)UINT32_MAX, (size_t)UINT32_MAX - 8};
    size_t size = sizes[roll(5)];
    calling("reserve, output, output_batch(producer %d, %zu bytes)", self->number, size);
    rbcore_slice slice = {.data = pattern, .size = size};
    demand(rbcore_producer_reserve(self->handle, &data, size) == -EMSGSIZE, "not refused");
    demand(rbcore_producer_reserve_wait(self->handle, &data, size, 1) == -EMSGSIZE, "not refused");
    demand(rbcore_producer_output(self->handle, pattern, size, 0) == -EMSGSIZE, "not refused");
    demand(rbcore_producer_output_batch(self->handle, &slice, 1, 0) == -EMSGSIZE, "not refused");
    demand(rbcore_producer_reserve_wait(self->handle, &data, 1, -2) == -EINVAL, "not refused");
    demand(rbcore_producer_reserve(self->handle, NULL, 1) == -EINVAL, "not refused");
    demand(rbcore_producer_output(self->handle, NULL, 1, 0) == -EINVAL, "not refused");
    demand(rbcore_producer_output(self->handle, pattern, 1, 4) == -EINVAL, "not refused");
    demand(rbcore_producer_output_batch(self->handle, NULL, 1, 0) == -EINVAL, "not refused");
    demand(rbcore_producer_submit(self->handle, NULL, 0) == -EINVAL, "not refused");
    demand(data == NULL, "data was set all the same");
    if (self->count > 0) {
        demand(rbcore_producer_submit(self->handle, self->data[0], 8) == -EINVAL, "not refused");
    }
    finish_wrongly(self);
    ring_check(self->ring);
    return true;
}

static void refuse_producer(const rbcore_source *source, int expected) {
    rbcore_producer *handle = NULL;
    calling("producer_open(a wrong source)");
    demand(returned(rbcore_producer_open(&handle, source)) == expected, "not %d", expected);
    demand(handle == NULL, "a producer all the same");
}

bool open_wrongly(void) {
    const sim_ring *ring = &the_world.rings[roll(RINGS)];
    if (!ring->exists || ring->is_kernel) {
        return false;
    }
    rbcore_source source = memory_source(ring);
    source.flags = 1u << roll(32);
    refuse_producer(&source, -EINVAL);
    source = memory_source(ring);
    source.kind = 5 + roll(100);
    refuse_producer(&source, -EINVAL);
    source = memory_source(ring);
    source.fd = 1000000;
    refuse_producer(&source, -EBADF);
    source.fd = ring->event_fd;
    refuse_producer(&source, -EBADFD);
    source = memory_source(ring);
    source.event_fd = ring->memory_fd;
    refuse_producer(&source, -EBADFD);
    source.event_fd = -1;
    refuse_producer(&source, -EINVAL);
    source.size = roll(sizeof(source.size));
    refuse_producer(&source, -EINVAL);
    return true;
}
