// SPDX-License-Identifier: MIT
/*
 * rbcore: wait for a batch, look at its records, give them back.
 *
 *     read_rbcore [--max-latency-us N] [--poll] [--fd] [--batch N] [--spans]
 *
 * --poll: by the timer alone, for producers that never wake. --fd: waits as an event loop does, by
 * epoll on the reader's file descriptor, and not in rbcore_reader_next. --spans: asks for runs of
 * equal records instead of records.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#include "reader.h"

#define BATCH_MAX 4096
#define SPANS_MAX 256
/*
 * This is a limit for spans: so high that it limits nothing, and so low that space is free again in
 * time.
 */
#define RECORDS_MAX 65536

/* Reads and works on one batch. Returns what rbcore_reader_next did. */
typedef int batch_reader(bench_reader *reader, rbcore_reader *source, size_t batch,
                         int64_t timeout);

typedef struct reading_options {
    rbcore_reader_options reader;
    bool by_fd;
    batch_reader *read;
    size_t batch;
} reading_options;

static int fail(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, rbcore_strerror(error));
    return 1;
}

static int read_records(bench_reader *reader, rbcore_reader *source, size_t batch,
                        int64_t timeout) {
    static rbcore_record records[BATCH_MAX];
    int count = rbcore_reader_next(source, records, batch, timeout);
    uint64_t expected = reader->expected;
    for (int i = 0; i < count; i++) {
        expected = reader_follow(reader, expected, records[i].data);
    }
    reader->expected = expected;
    return count;
}

static int read_spans(bench_reader *reader, rbcore_reader *source, size_t batch, int64_t timeout) {
    static rbcore_span spans[SPANS_MAX];
    int count = rbcore_reader_next_spans(source, spans, batch, RECORDS_MAX, timeout);
    uint64_t expected = reader->expected;
    for (int i = 0; i < count; i++) {
        const char *data = spans[i].data;
        for (uint32_t j = 0; j < spans[i].count; j++, data += spans[i].stride) {
            expected = reader_follow(reader, expected, data);
        }
    }
    reader->expected = expected;
    return count;
}

static reading_options parse(int argc, char **argv) {
    static const struct option known[] = {{"max-latency-us", required_argument, NULL, 'l'},
                                          {"poll", no_argument, NULL, 'p'},
                                          {"fd", no_argument, NULL, 'f'},
                                          {"batch", required_argument, NULL, 'b'},
                                          {"spans", no_argument, NULL, 's'},
                                          {0}};
    reading_options options = {
        .reader = RBCORE_READER_OPTIONS_INIT, .batch = 256, .read = read_records};
    int option;
    while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
        if (option == 'l') {
            options.reader.max_latency_ns = atoll(optarg) * 1000;
        } else if (option == 'p') {
            options.reader.flags |= RBCORE_READER_POLL;
        } else if (option == 'f') {
            options.by_fd = true;
        } else if (option == 'b') {
            options.batch = strtoul(optarg, NULL, 10);
        } else if (option == 's') {
            options.read = read_spans;
        } else {
            exit(EXIT_FAILURE);
        }
    }
    if (options.batch == 0 ||
        options.batch > (options.read == read_spans ? SPANS_MAX : BATCH_MAX)) {
        exit(fail("--batch", -EINVAL));
    }
    return options;
}

static int read_batch(bench_reader *reader, rbcore_reader *source, const reading_options *options,
                      int64_t timeout) {
    int count = options->read(reader, source, options->batch, timeout);
    if (count > 0) {
        rbcore_reader_commit(source, NULL, 0);
    }
    return count;
}

static int read_waiting(bench_reader *reader, rbcore_reader *source, const reading_options *options,
                        uint64_t *wakeups) {
    int result = 0;
    while (!reader->ended && (result >= 0 || result == -EINTR)) {
        *wakeups += result < (int)options->batch; /* it had taken all there was, and has to wait */
        result = read_batch(reader, source, options, RBCORE_FOREVER);
    }
    return result < 0 ? result : 0;
}

static int read_by_fd(bench_reader *reader, rbcore_reader *source, const reading_options *options,
                      uint64_t *wakeups) {
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC), result = 0;
    epoll_ctl(epoll, EPOLL_CTL_ADD, rbcore_reader_fd(source), &event);
    while (!reader->ended && result >= 0) {
        uint64_t before = reader->expected;
        if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) {
            return -errno;
        }
        do {
            result = read_batch(reader, source, options, 0);
        } while (!reader->ended && (result > 0 || result == -EAGAIN));
        *wakeups += reader->expected != before;
    }
    close(epoll);
    return result < 0 ? result : 0;
}

int main(int argc, char **argv) {
    reading_options options = parse(argc, argv);
    rbcore_source ring = RBCORE_SOURCE_INIT;
    rbcore_reader *source;
    bench_reader reader;
    uint64_t wakeups = 0;
    int result;
    reader_open(&reader, argc - optind + 1, argv + optind - 1);
    ring.kind = RBCORE_SOURCE_MAP_FD;
    ring.fd = reader.fd;
    result = rbcore_reader_open(&source, &options.reader);
    if (result < 0) {
        return fail("rbcore_reader_open", result);
    }
    result = rbcore_reader_add(source, &ring);
    if (result < 0) {
        return fail("rbcore_reader_add", result);
    }
    reader_ready(&reader);
    result = (options.by_fd ? read_by_fd : read_waiting)(&reader, source, &options, &wakeups);
    if (result < 0) {
        return fail("reading", result);
    }
    rbcore_reader_free(source);
    return reader_report(&reader, wakeups);
}
