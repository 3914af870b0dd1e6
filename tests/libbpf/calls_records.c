/* SPDX-License-Identifier: MIT */
/* Records, the counts that calls return, errors of callbacks, space, several rings. */
#include "calls.h"

#include <errno.h>
#include <stdint.h>

START_TEST(order) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    CALL(ring_buffer__poll(rb, 0));
    CALL(ring_buffer__consume(rb));
    emit_some(ring, 5);
    CALL(ring_buffer__poll(rb, -1));
    emit_some(ring, 5);
    CALL(ring_buffer__poll(rb, 100));
    emit_some(ring, 5);
    CALL(ring_buffer__poll(rb, 0));
    emit_some(ring, 5);
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__consume(rb));
    emit(ring, 0, 0, 0);
    emit(ring, 3000, 16, 0);
    CALL(ring_buffer__poll(rb, -1));
    /* Many times around the ring; fast enough to become paced. */
    a.is_silent = true;
    for (int i = 0; i < 2000; i++) {
        int made = emit_some(ring, 1 + i % 20), got = 0;
        for (int result = 0; result >= 0 && got < made; got += result) {
            result = i % 3 == 0   ? ring_buffer__poll(rb, -1)
                     : i % 3 == 1 ? ring_buffer__poll(rb, 0)
                                  : ring_buffer__consume(rb);
        }
        if (got != made) {
            say("lap %d: made %d, got %d", i, made, got);
        }
    }
    say("seen %d", a.seen);
    ring_buffer__free(rb);
    ring_buffer__free(NULL);
    produce__destroy(ring);
}
END_TEST

static const int results[] = {-1, -7, -EINTR, -EAGAIN, -4095, INT32_MIN, 1, INT32_MAX};

/* In a ring so small that each record is given back by itself, and in a large one. */
static void callback_errors_in(size_t size) {
    struct produce *ring = load_ring(size);
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        for (int fail_at = 1; fail_at <= 4; fail_at++) {
            ring_sink a = {.name = "a", .fail_at = fail_at, .result = results[i]};
            struct ring_buffer *rb = open_sink(ring, &a);
            emit_some(ring, 4);
            if (fail_at % 2) {
                CALL(ring_buffer__poll(rb, 100));
            } else {
                CALL(ring_buffer__consume(rb));
            }
            emit_some(ring, 1);
            CALL(ring_buffer__poll(rb, 100));
            CALL(ring_buffer__poll(rb, 0));
            ring_buffer__free(rb);
        }
    }
    produce__destroy(ring);
}

START_TEST(callback_errors) {
    callback_errors_in(pages(1));
    callback_errors_in(pages(64));
}
END_TEST

START_TEST(callback_errors_of_two) {
    struct produce *first = load_ring(pages(1)), *second = load_ring(pages(1));
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        ring_sink a = {.name = "a", .fail_at = 2, .result = results[i]}, b = {.name = "b"};
        struct ring_buffer *rb = open_sink(first, &a);
        CALL(ring_buffer__add(rb, ring_fd(second), on_record, &b));
        emit_some(first, 4);
        CALL(ring_buffer__poll(rb, -1));
        CALL(ring_buffer__poll(rb, 10));
        emit_some(second, 1);
        CALL(ring_buffer__poll(rb, -1));
        ring_buffer__free(rb);
    }
    produce__destroy(second);
    produce__destroy(first);
}
END_TEST

/* Records that are left go to the next ring_buffer, in this process or another. */
START_TEST(what_is_left) {
    struct produce *ring = load_ring(pages(1));
    emit_some(ring, 6);
    for (int i = 0; i < 4; i++) {
        ring_sink a = {.name = "a", .fail_at = 2, .result = -1};
        struct ring_buffer *rb = open_sink(ring, &a);
        CALL(ring_buffer__consume(rb));
        ring_buffer__free(rb);
    }
    produce__destroy(ring);
}
END_TEST

START_TEST(discards) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit_discard(ring, 8, 0);
    CALL(ring_buffer__poll(rb, 0));
    emit_some(ring, 1);
    emit_discard(ring, 8, 0);
    emit_some(ring, 1);
    emit_discard(ring, 500, 0);
    CALL(ring_buffer__poll(rb, 100));
    /* Nothing to deliver, but it returns: a hang, if not. */
    emit_discard(ring, 8, 0);
    CALL(ring_buffer__poll(rb, -1));
    for (int i = 0; i < 20; i++) {
        emit_discard(ring, 100, 0);
    }
    CALL(ring_buffer__consume(rb));
    /* The space of discarded records is free again: all of the ring. */
    say("a large one: %d", emit(ring, (uint32_t)pages(1) - 16, 0, 0));
    CALL(ring_buffer__poll(rb, 100));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(discards_of_two) {
    ring_sink a = {.name = "a"}, b = {.name = "b"};
    struct produce *first = load_ring(pages(1)), *second = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(first, &a);
    CALL(ring_buffer__add(rb, ring_fd(second), on_record, &b));
    for (int i = 0; i < 3; i++) {
        emit_discard(i % 2 ? second : first, 8, 0);
        CALL(ring_buffer__poll(rb, -1));
    }
    emit_some(second, 1);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(second);
    produce__destroy(first);
}
END_TEST

START_TEST(flags) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    emit(ring, 8, 0, BPF_RB_NO_WAKEUP);
    CALL(ring_buffer__consume(rb));
    emit(ring, 8, 8, BPF_RB_NO_WAKEUP);
    emit(ring, 8, 16, BPF_RB_FORCE_WAKEUP);
    CALL(ring_buffer__poll(rb, -1));
    emit(ring, 8, 24, BPF_RB_FORCE_WAKEUP);
    CALL(ring_buffer__poll(rb, -1));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

static void emit_one(ring_sink *sink) {
    say("  emits in the callback: %d", emit(sink->produce, 40, (uint32_t)sink->seen * 8, 0));
}

/* A callback finds the space of the records before its own free, and what it emits is read, too. */
START_TEST(space) {
    ring_sink a = {.name = "a", .act = emit_one, .act_at = -1};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    int fitted = 0;
    while (emit(ring, 40, 0, 0) == 0) {
        fitted++;
    }
    say("fitted %d", fitted);
    a.fail_at = 2 * fitted;
    a.result = -1;
    CALL(ring_buffer__poll(rb, -1));
    a.act = NULL;
    CALL(ring_buffer__poll(rb, 0));
    a.act = emit_one;
    a.act_at = a.seen + 1;
    a.fail_at = 0;
    emit_some(ring, 1);
    CALL(ring_buffer__consume(rb));
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

START_TEST(several) {
    ring_sink sinks[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    struct produce *rings[3];
    for (int i = 0; i < 3; i++) {
        rings[i] = load_ring(pages(1));
    }
    struct ring_buffer *rb = open_sink(rings[0], &sinks[0]);
    for (int i = 1; i < 3; i++) {
        CALL(ring_buffer__add(rb, ring_fd(rings[i]), on_record, &sinks[i]));
    }
    CALL_FOR(20, ring_buffer__poll(rb, 20));
    /* consume goes from ring to ring in the order of add. */
    for (int i = 2; i >= 0; i--) {
        emit_some(rings[i], 3);
    }
    CALL(ring_buffer__consume(rb));
    for (int i = 0; i < 3; i++) {
        emit_some(rings[i], 2);
        CALL(ring_buffer__poll(rb, -1));
    }
    /* An error in the second keeps the third from its turn. */
    for (int i = 0; i < 3; i++) {
        emit_some(rings[i], 3);
    }
    sinks[1].fail_at = sinks[1].seen + 2;
    sinks[1].result = -5;
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__consume(rb));
    CALL(ring_buffer__poll(rb, 0));
    CALL(ring_buffer__add(rb, ring_fd(rings[0]), on_record, &sinks[0]));
    CALL(ring_buffer__add(rb, -1, on_record, &sinks[0]));
    CALL(ring_buffer__consume(rb));
    ring_buffer__free(rb);
    for (int i = 0; i < 3; i++) {
        produce__destroy(rings[i]);
    }
}
END_TEST

static struct produce *ring_to_add;
static ring_sink added = {.name = "added"};

static void add_ring(ring_sink *sink) {
    CALL(ring_buffer__add(sink->rings, ring_fd(ring_to_add), on_record, &added));
}

START_TEST(add_in_callback) {
    for (int by_poll = 0; by_poll < 2; by_poll++) {
        ring_sink a = {.name = "a", .act = add_ring, .act_at = 2};
        struct produce *ring = load_ring(pages(1));
        ring_to_add = load_ring(pages(1));
        struct ring_buffer *rb = open_sink(ring, &a);
        emit_some(ring, 3);
        emit_some(ring_to_add, 2);
        if (by_poll) {
            CALL(ring_buffer__poll(rb, -1));
        } else {
            CALL(ring_buffer__consume(rb));
        }
        CALL(ring_buffer__poll(rb, 10));
        emit_some(ring_to_add, 1);
        emit_some(ring, 1);
        CALL(ring_buffer__consume(rb));
        ring_buffer__free(rb);
        produce__destroy(ring);
        produce__destroy(ring_to_add);
    }
}
END_TEST

static struct ring_buffer *other_rings;

static void consume_other(ring_sink *sink) {
    (void)sink;
    CALL(ring_buffer__consume(other_rings));
}

static void consume_own(ring_sink *sink) {
    sink->act = NULL;
    CALL(ring_buffer__consume(sink->rings));
}

static void poll_own(ring_sink *sink) {
    sink->act = NULL;
    CALL(ring_buffer__poll(sink->rings, 0));
}

START_TEST(calls_in_callback) {
    ring_sink a = {.name = "a", .act = consume_other, .act_at = 2}, b = {.name = "b"};
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    other_rings = open_sink(other, &b);
    emit_some(ring, 3);
    emit_some(other, 2);
    CALL(ring_buffer__poll(rb, -1));
    /* In the last record: libbpf delivers it to the inner call again. */
    void (*const acts[])(ring_sink *) = {consume_own, poll_own};
    for (int i = 0; i < 2; i++) {
        emit_some(ring, 3);
        a.act = acts[i];
        a.act_at = a.seen + 3;
        CALL(ring_buffer__consume(rb));
        CALL(ring_buffer__poll(rb, 0));
    }
    ring_buffer__free(other_rings);
    ring_buffer__free(rb);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

/* Records of one size, which a reader may take as one run: a callback in the middle of it. */
START_TEST(equal_records) {
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(64));
    struct ring_buffer *rb = open_sink(ring, &a);
    void (*const acts[])(ring_sink *) = {NULL, consume_own, poll_own, emit_one};
    a.produce = ring;
    for (int i = 0; i < 8; i++) {
        emit_equal(ring, 6);
        a.act = acts[i % 4];
        a.act_at = a.seen + 6; /* see calls_in_callback */
        CALL(ring_buffer__poll(rb, -1));
        a.act = NULL;
        emit_equal(ring, 5);
        a.fail_at = a.seen + 1 + i % 5;
        a.result = -3;
        CALL(ring_buffer__poll(rb, -1));
        a.fail_at = a.seen + 1;
        CALL(ring_buffer__poll(rb, 0));
        CALL(ring_buffer__consume(rb));
    }
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

/* Few records fill the ring: one call delivers all of them, however few are taken at once. */
START_TEST(large_records) {
    static const uint32_t sizes[][2] = {{500, 500}, {540, 540}, {900, 1}, {1020, 900}, {1990, 8}};
    ring_sink a = {.name = "a"};
    struct produce *ring = load_ring(pages(1));
    struct ring_buffer *rb = open_sink(ring, &a);
    for (size_t i = 0; i < 3 * sizeof(sizes) / sizeof(*sizes); i++) {
        const uint32_t *two = sizes[i / 3];
        uint32_t n = 0;
        while (emit(ring, two[n % 2], 8 * n, 0) == 0) {
            n++;
        }
        say("%u records", n);
        if (i % 3 == 0) {
            CALL(ring_buffer__poll(rb, -1));
        } else if (i % 3 == 1) {
            CALL(ring_buffer__poll(rb, 0));
        } else {
            CALL(ring_buffer__consume(rb));
        }
        CALL(ring_buffer__consume(rb));
    }
    ring_buffer__free(rb);
    produce__destroy(ring);
}
END_TEST

typedef struct one_by_one {
    struct produce *ring;
    int seen, wanted;
} one_by_one;

static int emit_the_next(void *context, void *data, size_t size) {
    one_by_one *self = context;
    (void)data;
    (void)size;
    if (++self->seen < self->wanted) {
        emit_some(self->ring, 1);
    }
    return 0;
}

/*
 * Each record comes while the one before it is delivered. However many of them a poll delivers,
 * they are given back: none comes again to the next ring_buffer.
 */
START_TEST(one_record_after_the_other) {
    for (int wanted = 1; wanted <= 12; wanted++) {
        one_by_one self = {.ring = load_ring(pages(64)), .wanted = wanted};
        ring_sink a = {.name = "a"};
        struct ring_buffer *rb = ring_buffer__new(ring_fd(self.ring), emit_the_next, &self, NULL);
        emit_some(self.ring, 1);
        while (self.seen < wanted) {
            ck_assert_int_ge(ring_buffer__poll(rb, -1), 0);
        }
        say("seen %d", self.seen);
        ring_buffer__free(rb);
        rb = open_sink(self.ring, &a);
        CALL(ring_buffer__poll(rb, 0));
        ring_buffer__free(rb);
        produce__destroy(self.ring);
    }
}
END_TEST

const scenario record_scenarios[] = {
    {&order, 0},
    {&callback_errors, 0},
    {&callback_errors_of_two, 0},
    {&what_is_left, 0},
    {&discards, 0},
    {&discards_of_two, 0},
    {&flags, 0},
    {&space, 0},
    {&several, 0},
    {&add_in_callback, 3},
    {&calls_in_callback, 0},
    {&equal_records, 0},
    {&large_records, 0},
    {&one_record_after_the_other, 0},
    {NULL, 0},
};
