/* SPDX-License-Identifier: MIT */
/*
 * A program that uses libbpf's ring buffers in every way, and tells what comes of each call:
 *
 *     calls SCENARIO [always]
 *
 * The test compares what it says on libbpf and on the drop-in. It knows nothing of rbcore.
 * Ends with 3 where this libbpf is too old for the scenario, unless it is to run always.
 * The scenarios are in calls_*.c.
 */
#include "calls.h"

#include <stdio.h>
#include <sys/epoll.h>

void emit_equal(struct produce *ring, int n) {
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        ck_assert_int_eq(emit(ring, 24, i * 8, 0), 0);
    }
}

void *produce_bursts(void *argument) {
    struct produce *ring = argument;
    struct produce_args args = {.sizes = 1, .count = 50};
    for (int i = 0; i < 400; i++) {
        produce(ring, &args);
        if (i % 4 == 0) {
            sleep_ms(1);
        }
    }
    return NULL;
}

int check_event(void *context, void *data, size_t size) {
    check_order *self = context;
    const struct event *event = data;
    self->errors += size != EVENT_SMALL || event->sequence != self->expected;
    self->expected = event->sequence + 1;
    if (self->sleep_each && event->sequence % (uint64_t)self->sleep_each == 0) {
        sleep_ms(1);
    }
    return 0;
}

int is_readable(int epoll, int ms) {
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, ms);
}

int add_to_epoll(int epoll, struct ring_buffer *rb, uint32_t events) {
    struct epoll_event event = {.events = events};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(rb), &event);
}

int main(int argc, char **argv) {
    static const scenario *const lists[] = {
        record_scenarios, waiting_scenarios, event_loop_scenarios, opening_scenarios,
        child_scenarios,  many_scenarios,    newer_scenarios,      NULL,
    };
    return run_scenario("calls", lists, NULL, argc, argv);
}
