/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "../c/support.h"

#include <stdatomic.h>

const size_t large_ring = (size_t)512 << 20;
const int64_t long_ns = 200 * INT64_C(1000000);
const size_t smallest_paced = 65536;
const bool has_shortest_interval = true;
const size_t small_record = sizeof(uint64_t);
const size_t largest_record = (size_t)16 << 20;
const int wakeup_delay_ms = 0;
const bool has_liveness_checks = true;

struct test_ring {
    int memory_fd, event_fd;
    rbcore_producer *producer;
    image memory;
};

test_ring *test_ring_open(size_t size) {
    test_ring *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    ok(rbcore_memory_ring_create(&self->memory_fd, &self->event_fd, size, 0));
    self->producer = producer_on(self->memory_fd, self->event_fd);
    self->memory = image_map(self->memory_fd);
    return self;
}

void test_ring_close(test_ring *self) {
    image_unmap(&self->memory);
    rbcore_producer_free(self->producer);
    close(self->memory_fd);
    close(self->event_fd);
    free(self);
}

void test_ring_reopen(test_ring *self) {
    self->producer = producer_on(self->memory_fd, self->event_fd);
}

rbcore_source test_ring_source(const test_ring *self) {
    return memory_source(self->memory_fd, self->event_fd);
}

int test_ring_emit(test_ring *self, uint64_t number, size_t size, uint32_t flags) {
    void *data;
    int error = rbcore_producer_reserve(self->producer, &data, size);
    if (error != 0) {
        return error;
    }
    memcpy(data, &number, sizeof(number));
    return rbcore_producer_submit(self->producer, data, flags);
}

uint64_t test_ring_emit_many(test_ring *self, uint64_t number, unsigned int count, uint32_t flags) {
    uint64_t refused = 0;
    for (unsigned int i = 0; i < count; i++) {
        int error = test_ring_emit(self, number + i, small_record, flags);
        if (error != 0 && error != -EAGAIN) {
            ck_abort_msg("emit: %d", error);
        }
        refused += error != 0;
    }
    return refused;
}

uint64_t test_ring_number(const rbcore_record *record) {
    uint64_t number;
    memcpy(&number, record->data, sizeof(number));
    return number;
}

uint64_t test_ring_wakes(test_ring *self, int timeout_ms) {
    uint64_t count = 0;
    if (timeout_ms > 0) {
        readable(self->event_fd, timeout_ms);
    }
    return read(self->event_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}

int test_ring_fd(const test_ring *self) {
    return self->memory_fd;
}

/* All records are small ones here. */
uint64_t test_ring_consume_by_another(test_ring *self) {
    uint64_t begin = image_load(self->memory.consumer_pos);
    uint64_t end = image_load(self->memory.producer_pos);
    image_store(self->memory.consumer_pos, end);
    return (end - begin) / span_of(small_record);
}

_Atomic uint32_t *test_ring_header(test_ring *self, uint64_t position) {
    return (_Atomic uint32_t *)(void *)image_header(&self->memory, position);
}

int test_ring_run(Suite *suite) {
    return run_suite(suite);
}
