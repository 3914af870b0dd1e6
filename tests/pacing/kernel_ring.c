/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "../kernel/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

const size_t large_ring = (size_t)64 << 20;
const int64_t long_ns = 45 * MILLISECOND; /* what large_ring allows is a little more */
const size_t small_record = EVENT_SMALL;
const size_t largest_record = RECORD_MAX;
const int wakeup_delay_ms = 5; /* the kernel wakes by an interrupt of its own */
const bool has_liveness_checks = false;

/* ThreadSanitizer's code does not always write and read 8 records within the shortest interval. */
#ifdef __SANITIZE_THREAD__
const bool has_shortest_interval = false;
const size_t smallest_paced = 131072;
#else
const bool has_shortest_interval = true;
const size_t smallest_paced = 65536;
#endif

_Static_assert(RBCORE_NO_WAKEUP == BPF_RB_NO_WAKEUP, "the flags are the kernel's");
_Static_assert(RBCORE_FORCE_WAKEUP == BPF_RB_FORCE_WAKEUP, "the flags are the kernel's");

struct test_ring {
    struct produce *bpf;
    int observer; /* another listener to the ring's wakeups */
};

test_ring *test_ring_open(size_t size) {
    test_ring *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    self->bpf = load_ring(size);
    self->observer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    ck_assert_int_eq(epoll_ctl(self->observer, EPOLL_CTL_ADD, ring_fd(self->bpf), &event), 0);
    return self;
}

void test_ring_close(test_ring *self) {
    close(self->observer);
    produce__destroy(self->bpf);
    free(self);
}

void test_ring_reopen(test_ring *self) {
    (void)self; /* the programs are the child's, too */
}

rbcore_source test_ring_source(const test_ring *self) {
    return source_of(self->bpf);
}

int test_ring_emit(test_ring *self, uint64_t number, size_t size, uint32_t flags) {
    const struct event event = {.size = (uint32_t)size, .sequence = number};
    memcpy(self->bpf->bss->pattern, &event, sizeof(event));
    return emit(self->bpf, (uint32_t)size, 0, flags);
}

uint64_t test_ring_emit_many(test_ring *self, uint64_t number, unsigned int count, uint32_t flags) {
    struct produce_args args = {.sequence = number, .count = count, .flags = flags, .sizes = 1};
    produce(self->bpf, &args);
    return args.lost;
}

uint64_t test_ring_number(const rbcore_record *record) {
    const struct event *event = record->data;
    return event->sequence;
}

uint64_t test_ring_wakes(test_ring *self, int timeout_ms) {
    struct epoll_event event;
    return epoll_wait(self->observer, &event, 1, timeout_ms) == 1;
}

int test_ring_fd(const test_ring *self) {
    return ring_fd(self->bpf);
}

uint64_t test_ring_consume_by_another(test_ring *self) {
    record_log log = consume_by_libbpf(self->bpf);
    free(log.bytes);
    return log.records;
}

_Atomic uint32_t *test_ring_header(test_ring *self, uint64_t position) {
    (void)self, (void)position;
    return NULL; /* the kernel lets nobody write data */
}

int test_ring_run(Suite *suite) {
    return run_kernel_tests(suite,
                            is_emulated() ? "the processor is emulated: its pace is none" : NULL);
}
