/* SPDX-License-Identifier: MIT */
/*
 * When a ring is read by wakeups and when by the timer, what the producers are told meanwhile, and
 * what a batch is then. Mostly in rings so large that an interval lasts for long: what a step finds
 * does not depend on the machine then, and where the machine stalled it the step is tried again.
 * Each scenario runs on a kind of ring: memory_ring.c or kernel_ring.c.
 */
#include "stage.h"

static void add(Suite *suite, const scenario *scenarios) {
    for (; scenarios->test; scenarios++) {
        add_loop_test(suite, *scenarios->test, scenarios->count);
    }
}

int main(void) {
    Suite *suite = suite_create("pacing");
    add(suite, rate_scenarios);
    add(suite, publishing_scenarios);
    add(suite, batch_scenarios);
    add(suite, wait_scenarios);
    add(suite, descriptor_scenarios);
    add(suite, several_scenarios);
    add(suite, successor_scenarios);
    return test_ring_run(suite);
}
