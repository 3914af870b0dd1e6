/* SPDX-License-Identifier: MIT */
/* epoll_fd in an event loop of the program's own. */
#include "calls.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A loop may find the descriptor readable for nothing now and then; it must come to rest. */
static void come_to_rest(int epoll, struct ring_buffer *rb) {
    int turns = 0;
    while (is_readable(epoll, 50) > 0 && ++turns < 10) {
        ck_assert_int_eq(ring_buffer__consume(rb), 0);
    }
    say("at rest: %s", turns < 10 ? "yes" : "no, it spins");
}

START_TEST(event_loop) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    say("same descriptor: %d", ring_buffer__epoll_fd(rb) == ring_buffer__epoll_fd(rb));
    CALL(is_readable(epoll, 0));
    emit_some(ring, 3);
    CALL(is_readable(epoll, 10000));
    CALL(is_readable(epoll, 10000)); /* level-triggered: until it was read */
    CALL(ring_buffer__consume(rb));
    CALL(is_readable(epoll, 0));
    /* Records that a callback's error leaves are there still. */
    emit_some(ring, 3);
    CALL(is_readable(epoll, 10000));
    a.fail_at = a.seen + 1;
    a.result = -1;
    CALL(ring_buffer__consume(rb));
    CALL(is_readable(epoll, 0));
    CALL(ring_buffer__poll(rb, 0));
    CALL(is_readable(epoll, 0));
    /* The same after a poll, whose wait has taken the event. */
    emit_some(ring, 3);
    a.fail_at = a.seen + 2;
    CALL(ring_buffer__poll(rb, -1));
    CALL(is_readable(epoll, 0));
    CALL(ring_buffer__poll(rb, -1));
    CALL(is_readable(epoll, 0));
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb)); /* before anybody asked the descriptor */
    CALL(is_readable(epoll, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* A ring that is read by a timer makes the descriptor readable for nothing now and then. */
START_TEST(event_loop_turns) {
    ring_sink a = {.name = "a", .is_silent = true};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    for (int i = 0, got = 0, made = 0; i < 500; i++) {
        made += emit_some(ring, 1 + i % 10);
        while (got < made && is_readable(epoll, 10000) > 0) {
            got += i % 2 ? ring_buffer__consume(rb) : ring_buffer__poll(rb, 0);
        }
        if (got != made) {
            say("turn %d: made %d, got %d", i, made, got);
        }
    }
    for (int i = 0; i < 100; i++) { /* at once, whenever it is asked */
        emit_some(ring, 10);
        if (ring_buffer__poll(rb, i % 2) != 10) {
            say("not 10 at once");
        }
    }
    come_to_rest(epoll, rb);
    emit_some(ring, 1);
    CALL(is_readable(epoll, 10000));
    CALL(ring_buffer__consume(rb));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

static void *produce_later(void *argument) {
    struct produce_args args = {.sizes = 1, .count = 50};
    sleep_ms(20);
    produce(argument, &args);
    return NULL;
}

/* The descriptor is asked for late, when a poll has waited and left something. */
START_TEST(event_loop_late) {
    ring_sink a = {.name = "a", .fail_at = 2, .result = -1};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0), seen = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, produce_later, ring);
    while (a.seen < 2) {
        seen = ring_buffer__poll(rb, -1);
    }
    say("the last poll: %d", seen);
    pthread_join(thread, NULL);
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    CALL(is_readable(epoll, 0));
    a.is_silent = true;
    CALL(ring_buffer__poll(rb, -1));
    CALL(is_readable(epoll, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* Bursts while the loop runs. */
START_TEST(event_loop_under_load) {
    for (int several_rings = 0; several_rings < 2; several_rings++) {
        check_order check = {0};
        ring_sink other = {.name = "other"};
        struct produce *ring = load_ring(pages(256)), *idle = load_ring(pages(1));
        struct ring_buffer *rb = ring_buffer__new(ring_fd(ring), check_event, &check, NULL);
        if (several_rings) {
            CALL(ring_buffer__add(rb, ring_fd(idle), on_record, &other));
        }
        int epoll = epoll_create1(0), total = 0;
        CALL(add_to_epoll(epoll, rb, EPOLLIN));
        pthread_t thread;
        pthread_create(&thread, NULL, produce_bursts, ring);
        while (total < 20000 && is_readable(epoll, 10000) > 0) {
            total += ring_buffer__consume(rb);
        }
        pthread_join(thread, NULL);
        say("records %d, errors %d", total, check.errors);
        come_to_rest(epoll, rb);
        emit_some(idle, 2);
        if (several_rings) {
            CALL(is_readable(epoll, 10000));
        }
        CALL(ring_buffer__poll(rb, 0));
        close(epoll);
        ring_buffer__free(rb);
        produce__destroy(ring);
        produce__destroy(idle);
    }
}
END_TEST

/* By the map's own descriptor, without libbpf's epoll. */
START_TEST(own_epoll) {
    ring_sink a = {.name = "a", .is_silent = true};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0), turns = 0;
    struct epoll_event event = {.events = EPOLLIN};
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, ring_fd(ring), &event));
    for (int i = 0; i < 300; i++) {
        emit_some(ring, 10);
        ring_buffer__poll(rb, -1);
    }
    CALL(ring_buffer__consume(rb));
    CALL(is_readable(epoll, 0));
    a.seen = 0;
    for (int i = 0, made = 0; i < 500; i++) {
        made += emit_some(ring, 1 + i % 10);
        while (a.seen < made && is_readable(epoll, 10000) > 0) {
            ring_buffer__consume(rb);
        }
        turns += is_readable(epoll, 0);
    }
    say("seen %d, readable for nothing %d times", a.seen, turns);
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* A limit leaves the rest for the event loop. */
START_TEST(event_loop_with_limits) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int epoll = epoll_create1(0);
    load_newer();
    CALL(add_to_epoll(epoll, rb, EPOLLIN));
    for (int i = 0; i < 3; i++) {
        emit_some(ring, 5);
        while (is_readable(epoll, 0) > 0) {
            CALL(newer.consume_all_n(rb, 2));
        }
    }
    emit_some(ring, 2);
    CALL(newer.consume_all_n(rb, 2));
    CALL(is_readable(epoll, 0));
    close(epoll);
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

const scenario event_loop_scenarios[] = {
    {&event_loop, 0},
    {&event_loop_turns, 0},
    {&event_loop_late, 0},
    {&event_loop_under_load, 0},
    {&own_epoll, 0},
    {&event_loop_with_limits, 5},
    {NULL, 0},
};
