/* SPDX-License-Identifier: MIT */
/* Bursts in many memory rings: see tests/crowd. A wakeup is there when the record is. */
#include "../crowd/crowd.h"
#include "support.h"

#include <stdio.h>
#include <sys/resource.h>

static int emit(void *context, unsigned int ring, uint64_t value) {
    const fixture *rings = context;
    return rbcore_producer_output(rings[ring].producer, &value, sizeof(value), 0);
}

static void run_with(unsigned int count, crowd_way way, unsigned int bursts) {
    rbcore_reader *reader;
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = way == CROWD_WORKERS ? RBCORE_READER_RELEASE : 0;
    options.max_latency_ns = 0; /* or a record may wait for the timer */
    ok(rbcore_reader_open(&reader, &options));
    fixture *rings = calloc(count, sizeof(*rings));
    ck_assert_ptr_nonnull(rings);
    for (unsigned int i = 0; i < count; i++) {
        rings[i] = fixture_add(reader, page_size());
    }
    const crowd c = {.reader = reader, .rings = count, .emit = emit, .context = rings};
    crowd_run(&c, way, thread_sanitizer() ? bursts / 5 : bursts);
    rbcore_reader_free(reader);
    for (unsigned int i = 0; i < count; i++) {
        fixture_drop(&rings[i]);
    }
    free(rings);
}

/* A timer looks at memory rings now and then, which hides from a wait what it has lost. */
static const crowd_way ways[] = {CROWD_READS, CROWD_NEXT, CROWD_LOOKS, CROWD_WORKERS};

START_TEST(forty_rings) {
    run_with(40, ways[_i], 3000);
}
END_TEST

START_TEST(three_hundred_rings) {
    run_with(300, ways[_i], 1500);
}
END_TEST

int main(void) {
    /* Four descriptors for each ring, in this process. */
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 4 * 300 + 100) {
        skip("the limit on open files is too low");
    }
    const loop_test tests[] = {{forty_rings, 4}, {three_hundred_rings, 4}, {NULL, 0}};
    return run_loop_tests("crowd", tests);
}
