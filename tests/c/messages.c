/* SPDX-License-Identifier: MIT */
/*
 * rbcore_reader_message: "Returns the cause of the last error of rbcore_reader_add, _remove, _read,
 * _look, _next, _next_spans, _commit or _snapshot". Before each call another one fails, so that a
 * message that was not set is one of something else.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>

/* The most rings that are told apart, so that no add fails for another reason. */
#define NO_RING 1000

static char before[200];

/* Leaves the cause of another error. */
static void fail_otherwise(rbcore_reader *reader) {
    ck_assert_int_eq(rbcore_reader_remove(reader, NO_RING), -EINVAL);
    snprintf(before, sizeof(before), "%s", rbcore_reader_message(reader));
    ck_assert_ptr_nonnull(strstr(before, "1000"));
}

/* The call that just failed is the one that the message is of: it has a word of its cause. */
static void expect_cause(rbcore_reader *reader, int result, int error, const char *word) {
    const char *message = rbcore_reader_message(reader);
    ck_assert_int_eq(result, error);
    ck_assert_msg(strcmp(message, before) != 0, "still '%s' after %d", message, error);
    ck_assert_msg(strstr(message, word) != NULL, "'%s' does not say '%s'", message, word);
}

#define expect(call, error, word)                                                                  \
    do {                                                                                           \
        fail_otherwise(f.reader);                                                                  \
        expect_cause(f.reader, (call), (error), (word));                                           \
    } while (0)

START_TEST(the_cause_of_the_last_error_of_add) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    expect(rbcore_reader_add(f.reader, NULL), -EINVAL, "source");
    expect(rbcore_reader_add(f.reader, &source), -EBUSY, "another reader");
    source.fd = -2;
    expect(rbcore_reader_add(f.reader, &source), -EBADF, "fd -2");
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    expect(rbcore_reader_add(f.reader, &source), -EBADFD, "is not a BPF map");
    close(source.fd);
    source.kind = 99;
    expect(rbcore_reader_add(f.reader, &source), -EINVAL, "kind");
    source.size = 1;
    expect(rbcore_reader_add(f.reader, &source), -EINVAL, "size");
    ok(rbcore_reader_shutdown(f.reader));
    expect(rbcore_reader_add(f.reader, &source), -ESHUTDOWN, "shut down");
    fixture_close(&f);
}
END_TEST

START_TEST(the_cause_of_the_last_error_of_remove) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    expect(rbcore_reader_remove(f.reader, 77), -EINVAL, "77");
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    expect(rbcore_reader_remove(f.reader, f.ring), -EBUSY, "not committed");
    fixture_close(&f);
}
END_TEST

/* These are the four that read. */
typedef int reading(rbcore_reader *reader, size_t max);

static int by_read(rbcore_reader *reader, size_t max) {
    static rbcore_record records[4];
    return rbcore_reader_read(reader, records, max);
}

static int by_look(rbcore_reader *reader, size_t max) {
    static rbcore_record records[4];
    return rbcore_reader_look(reader, records, max);
}

static int by_next(rbcore_reader *reader, size_t max) {
    static rbcore_record records[4];
    return rbcore_reader_next(reader, records, max, 0);
}

static int by_spans(rbcore_reader *reader, size_t max) {
    static rbcore_span spans[4];
    return rbcore_reader_next_spans(reader, spans, max, 4, 0);
}

static void discard_many(const fixture *f, size_t count) {
    void *data;
    while (count-- > 0) {
        ok(rbcore_producer_reserve(f->producer, &data, 0));
        ok(rbcore_producer_discard(f->producer, data, 0));
    }
}

static void causes_of(reading *call) {
    fixture f = fixture_open((size_t)1 << 20, 0);
    image raw = image_map(f.memory_fd);
    expect(call(f.reader, 0), -EINVAL, "no room");
    ok(rbcore_reader_interrupt(f.reader));
    expect(call(f.reader, 1), -ECANCELED, "the reader was interrupted");
    ok(rbcore_reader_flush(f.reader));
    expect(call(f.reader, 1), -ENODATA, "all that was there before the flush was delivered");
    discard_many(&f, 65536 + 1);
    if (call != by_next && call != by_spans) { /* these go on by themselves */
        expect(call(f.reader, 1), -EAGAIN, "discarded");
    }
    while (call(f.reader, 1) != 0) {
    }
    image_store_header(&raw, image_load(raw.producer_pos), (uint32_t)1 << 20);
    image_store(raw.producer_pos, image_load(raw.producer_pos) + 16);
    int result = 0;
    fail_otherwise(f.reader);
    while (result == 0) { /* until it is due */
        result = call(f.reader, 1);
    }
    expect_cause(f.reader, result, -EBADMSG, "ring 0");
    ok(rbcore_reader_shutdown(f.reader));
    expect(call(f.reader, 1), -ESHUTDOWN, "shut down");
    image_unmap(&raw);
    fixture_close(&f);
}

START_TEST(the_cause_of_the_last_error_of_read) {
    causes_of(by_read);
}
END_TEST

START_TEST(the_cause_of_the_last_error_of_look) {
    causes_of(by_look);
}
END_TEST

START_TEST(the_cause_of_the_last_error_of_next) {
    causes_of(by_next);
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    expect(rbcore_reader_next(f.reader, &record, 1, -2), -EINVAL, "timeout");
    fixture_close(&f);
}
END_TEST

START_TEST(the_cause_of_the_last_error_of_next_spans) {
    causes_of(by_spans);
    fixture f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    rbcore_span span;
    expect(rbcore_reader_next_spans(f.reader, &span, 1, 1, 0), -EINVAL, "release");
    fixture_close(&f);
}
END_TEST

/* Each record is a turn of its own. */
START_TEST(the_cause_of_too_many_turns) {
    fixture f = fixture_open((size_t)1 << 16, 0), g = fixture_add(f.reader, (size_t)1 << 16);
    rbcore_record record;
    int result = 1;
    for (int i = 0; i < 3000; i++) {
        produce(&f, 1);
        produce(&g, 1);
    }
    fail_otherwise(f.reader);
    while (result == 1) {
        result = rbcore_reader_read(f.reader, &record, 1);
    }
    expect_cause(f.reader, result, -ENOBUFS, "turns");
    fixture_drop(&g);
    fixture_close(&f);
}
END_TEST

static int leave_a_record_unfinished(void *argument) {
    const fixture *f = argument;
    void *data;
    return rbcore_producer_reserve(producer_on(f->memory_fd, f->event_fd), &data, 8);
}

START_TEST(the_cause_of_a_look_after_a_death) {
    fixture f = fixture_open(page_size(), 0);
    ok(in_child(leave_a_record_unfinished, &f));
    expect(by_read(f.reader, 1), -EAGAIN, "unfinished");
    fixture_close(&f);
}
END_TEST

START_TEST(the_cause_of_the_last_error_of_commit) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record = {.ring = 9};
    expect(rbcore_reader_commit(f.reader, &record, 0), -EINVAL, "ring 9");
    expect(rbcore_reader_commit(f.reader, NULL, 8), -EINVAL, "flags");
    fixture_close(&f);
    f = fixture_open(page_size(), RBCORE_READER_RELEASE);
    expect(rbcore_reader_commit(f.reader, NULL, 0), -EINVAL, "release");
    fixture_close(&f);
}
END_TEST

static int take_in_child(void *argument) {
    fixture f = fixture_open(page_size(), 0);
    expect(rbcore_reader_snapshot(f.reader, f.ring, argument, 0), -ECHILD, "fork");
    return 0;
}

START_TEST(the_cause_of_the_last_error_of_snapshot) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *snapshot = NULL;
    rbcore_record record;
    expect(rbcore_reader_snapshot(f.reader, f.ring, NULL, 0), -EINVAL,
           "the place for the snapshot is NULL");
    expect(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 8), -EINVAL, "flags");
    expect(rbcore_reader_snapshot(f.reader, 7, &snapshot, 0), -EINVAL, "index 7");
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    expect(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, RBCORE_SNAPSHOT_CONSUME), -EBUSY,
           "not given back");
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0));
    ok(in_child(take_in_child, &snapshot));
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}
END_TEST

/* "The result is never NULL; it is empty if there was no error." */
START_TEST(never_null_empty_if_there_was_none) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_record record;
    ck_assert_str_eq(rbcore_reader_message(NULL), "");
    ck_assert_str_eq(rbcore_reader_message(f.reader), "");
    produce(&f, 1);
    ck_assert_int_eq(rbcore_reader_read(f.reader, &record, 1), 1);
    ok(rbcore_reader_commit(f.reader, &record, 0));
    ok(rbcore_reader_remove(f.reader, f.ring));
    ck_assert_str_eq(rbcore_reader_message(f.reader), "");
    fixture_close(&f);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        the_cause_of_the_last_error_of_add,    the_cause_of_the_last_error_of_remove,
        the_cause_of_the_last_error_of_read,   the_cause_of_the_last_error_of_look,
        the_cause_of_the_last_error_of_next,   the_cause_of_the_last_error_of_next_spans,
        the_cause_of_too_many_turns,           the_cause_of_a_look_after_a_death,
        the_cause_of_the_last_error_of_commit, the_cause_of_the_last_error_of_snapshot,
        never_null_empty_if_there_was_none,    NULL};
    return run_tests("messages", tests);
}
