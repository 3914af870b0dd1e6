/* SPDX-License-Identifier: MIT */
/* Calls that newer versions have: this program may be compiled with an older header. */
#include "calls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

newer_calls newer;

void load_newer(void) {
    *(void **)(&newer.ring) = dlsym(RTLD_DEFAULT, "ring_buffer__ring");
    *(void **)(&newer.consumer_pos) = dlsym(RTLD_DEFAULT, "ring__consumer_pos");
    *(void **)(&newer.producer_pos) = dlsym(RTLD_DEFAULT, "ring__producer_pos");
    *(void **)(&newer.avail_data_size) = dlsym(RTLD_DEFAULT, "ring__avail_data_size");
    *(void **)(&newer.size) = dlsym(RTLD_DEFAULT, "ring__size");
    *(void **)(&newer.map_fd) = dlsym(RTLD_DEFAULT, "ring__map_fd");
    *(void **)(&newer.consume) = dlsym(RTLD_DEFAULT, "ring__consume");
    *(void **)(&newer.consume_n) = dlsym(RTLD_DEFAULT, "ring__consume_n");
    *(void **)(&newer.consume_all_n) = dlsym(RTLD_DEFAULT, "ring_buffer__consume_n");
}

static void say_positions(struct ring_buffer *rb) {
    const struct ring *r = newer.ring(rb, 0);
    say("  consumer %lu, producer %lu, available %zu", newer.consumer_pos(r), newer.producer_pos(r),
        newer.avail_data_size(r));
}

static void positions_in_callback(ring_sink *sink) {
    say_positions(sink->rings);
}

START_TEST(positions) {
    ring_sink a = {.name = "a", .act = positions_in_callback, .act_at = -1};
    struct produce *ring = load_ring(pages(2));
    struct ring_buffer *rb = open_sink(ring, &a);
    load_newer();
    struct ring *r = OPEN(newer.ring(rb, 0));
    OPEN(newer.ring(rb, 1));
    OPEN(newer.ring(rb, UINT32_MAX));
    say("size %zu, same descriptor %d", newer.size(r), newer.map_fd(r) == ring_fd(ring));
    say_positions(rb);
    for (int i = 0; i < 4; i++) {
        emit_some(ring, 3);
        emit_discard(ring, 40, 0);
        emit_some(ring, 2);
        emit_discard(ring, 40, 0);
        say_positions(rb);
        a.fail_at = i == 2 ? a.seen + 3 : 0;
        a.result = -1;
        if (i == 0) {
            CALL(newer.consume(r));
        } else if (i == 1) {
            CALL(ring_buffer__poll(rb, -1));
        } else {
            CALL(ring_buffer__consume(rb));
        }
        say_positions(rb);
    }
    emit_discard(ring, 40, 0);
    CALL(newer.consume(r));
    say_positions(rb);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(ring_in_child) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    load_newer();
    struct ring *r = newer.ring(rb, 0);
    emit_some(ring, 2);
    CALL(newer.consume(r));
    emit_some(ring, 3);
    pid_t child = fork();
    if (child == 0) {
        say_positions(rb);
        CALL(newer.consume(r));
        say_positions(rb);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(size_of_second) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(2));
    struct ring_buffer *first = open_sink(ring, &a), *second = open_sink(ring, &b);
    load_newer();
    say("sizes %zu, %zu", newer.size(newer.ring(first, 0)), newer.size(newer.ring(second, 0)));
    ring_buffer__free(second);
    ring_buffer__free(first);
    produce__destroy(ring);
}
END_TEST

START_TEST(limits) {
    ring_sink sinks[] = {{.name = "a"}, {.name = "b"}};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &sinks[0]);
    load_newer();
    CALL(ring_buffer__add(rb, ring_fd(other), on_record, &sinks[1]));
    struct ring *r = OPEN(newer.ring(rb, 1));
    CALL(newer.consume_all_n(rb, 5));
    for (int i = 0; i < 2; i++) {
        emit_some(ring, 4);
        emit_discard(ring, 8, 0);
        emit_some(ring, 1);
        emit_some(other, 4);
        CALL(newer.consume_all_n(rb, 1));
        CALL(newer.consume_all_n(rb, 2));
        CALL(newer.consume_n(r, 2));
        CALL(newer.consume_all_n(rb, 1));
        say_positions(rb);
        CALL(newer.consume_all_n(rb, 2));
        emit_some(ring, 1);
        sinks[0].fail_at = sinks[0].seen + 1;
        sinks[0].result = -9;
        CALL(newer.consume_all_n(rb, 3));
        CALL(newer.consume_all_n(rb, i == 0 ? SIZE_MAX : (size_t)INT32_MAX));
        CALL(newer.consume(r));
    }
    /* 0 is no limit that libbpf knows: one record, and of further rings all. */
    emit_some(ring, 3);
    emit_some(other, 3);
    CALL(newer.consume_n(r, 0));
    CALL(newer.consume_all_n(rb, 0));
    CALL(ring_buffer__poll(rb, 0));
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

/* A thread for each ring of one ring_buffer. */
static void *consume_ring(void *argument) {
    int total = 0, result = 0;
    while (total < 20000 && result >= 0) {
        result = newer.consume(argument);
        total += result;
    }
    say("thread: %d", total);
    return NULL;
}

START_TEST(thread_for_each_ring) {
    check_order checks[2] = {{0}, {0}};
    struct produce *rings[] = {load_ring(pages(256)), load_ring(pages(256))};
    struct ring_buffer *rb = ring_buffer__new(ring_fd(rings[0]), check_event, &checks[0], NULL);
    CALL(ring_buffer__add(rb, ring_fd(rings[1]), check_event, &checks[1]));
    load_newer();
    pthread_t threads[4];
    for (unsigned int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, consume_ring, newer.ring(rb, i));
        pthread_create(&threads[2 + i], NULL, produce_bursts, rings[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    say("errors %d %d", checks[0].errors, checks[1].errors);
    ring_buffer__free(rb);
    produce__destroy(rings[0]);
    produce__destroy(rings[1]);
}
END_TEST

const scenario newer_scenarios[] = {
    {&positions, 3}, {&ring_in_child, 3},        {&size_of_second, 3},
    {&limits, 5},    {&thread_for_each_ring, 3}, {NULL, 0},
};
