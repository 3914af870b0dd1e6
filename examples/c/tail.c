/* SPDX-License-Identifier: MIT */
/*
 * Prints events as they happen: each exec and each scheduler switch of the machine, or where BPF is
 * not allowed the records that a process of our own writes into a memory ring.
 *
 *   tail [-d SECONDS] [-m] [--wait] [PATH]
 *
 * -m: the memory ring in any case. PATH: a ring that is pinned there, by load. --wait: where
 * another reader has that ring, until it is free.
 *
 * Build:
 *   clang -target bpf -g -O2 -I/usr/include/$(cc -dumpmachine) $(pkg-config --cflags rbcore) \
 *       -c ../bpf/events.bpf.c -o events.bpf.o
 *   bpftool gen skeleton events.bpf.o name events > events.skel.h
 *   cc -I. -o tail tail.c events.c events_kernel.c events_memory.c \
 *       $(pkg-config --cflags --libs rbcore libbpf)
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/events.h"
#include "ending.h"
#include "event_sources.h"

#define BATCH 512
#define SECOND INT64_C(1000000000)

/* Lines printed of each kind of event in a tenth of a second: a terminal cannot keep up with all.
 */
static const unsigned int lines_max[4] = {
    [EVENT_EXEC] = 4, [EVENT_SWITCH] = 1, [EVENT_MADE_UP] = 1};

static rbcore_reader *reader;
static int64_t start; /* what the printed times count from */
static volatile sig_atomic_t is_stopped;

/* The records that are in the ring by now still come, and then -ENODATA. */
static void stop(int signal) {
    (void)signal;
    is_stopped = 1;
    rbcore_reader_flush(reader);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void print_event(const rbcore_record *record) {
    const struct event *event = record->data;
    printf("%9.4f  cpu %-3u", (double)((int64_t)event->time_ns - start) / 1e9, event->cpu);
    if (event->kind == EVENT_EXEC) {
        printf(" exec    %s[%u] %s\n", event->name, event->pid,
               ((const struct exec_event *)event)->file);
    } else if (event->kind == EVENT_SWITCH) {
        printf(" switch  %s[%u] -> %s[%u]\n", event->name, event->pid,
               ((const struct switch_event *)event)->next_name,
               ((const struct switch_event *)event)->next_pid);
    } else {
        printf(" made up %s[%u] record at %" PRIu64 "\n", event->name, event->pid,
               record->position);
    }
}

/* Prints the first events of each kind in a tenth of a second, and leaves out the rest. */
static void print_batch(const rbcore_record *records, int count) {
    static unsigned int lines[4];
    static __u64 tenth;
    for (int i = 0; i < count; i++) {
        const struct event *event = records[i].data;
        if (event->time_ns / (SECOND / 10) != tenth) {
            tenth = event->time_ns / (SECOND / 10);
            memset(lines, 0, sizeof(lines));
        }
        if (lines[event->kind & 3]++ < lines_max[event->kind & 3]) {
            print_event(&records[i]);
        }
    }
}

static void print_count(uint64_t count, const char *what) {
    if (count == RBCORE_UNKNOWN) {
        printf("unknown %s", what);
    } else {
        printf("%" PRIu64 " %s", count, what);
    }
}

static void print_rate(unsigned int second, unsigned int ring, rbcore_reader_stats *before) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    rbcore_ring_stats ring_stats = RBCORE_RING_STATS_INIT;
    rbcore_reader_stats_get(reader, &stats);
    rbcore_reader_ring_stats(reader, ring, &ring_stats);
    printf("-- second %u: %" PRIu64 " records/s, %" PRIu64 " batches/s, %" PRIu64 " wakeups/s, ",
           second, stats.records - before->records, stats.batches - before->batches,
           stats.wakeups - before->wakeups);
    print_count(ring_stats.lost, "lost so far\n");
    *before = stats;
}

static void print_summary(unsigned int ring) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    rbcore_ring_stats ring_stats = RBCORE_RING_STATS_INIT;
    rbcore_reader_stats_get(reader, &stats);
    rbcore_reader_ring_stats(reader, ring, &ring_stats);
    printf("%" PRIu64 " records, %" PRIu64 " batches, %" PRIu64 " commits, %" PRIu64 " wakeups, ",
           stats.records, stats.batches, stats.commits, stats.wakeups);
    print_count(ring_stats.lost, "lost\n");
}

/* Returns 0 when the time is up or a signal said so, or the reader's error. */
static int tail(unsigned int ring, unsigned int seconds) {
    rbcore_reader_stats before = RBCORE_READER_STATS_INIT;
    rbcore_record records[BATCH];
    unsigned int second = 1;
    int64_t begin = now_ns();
    while (second <= seconds) {
        int64_t left = begin + second * SECOND - now_ns();
        int count = left > 0 ? rbcore_reader_next(reader, records, BATCH, left) : 0;
        if (count < 0 && count != -EINTR && count != -EAGAIN) {
            return count == -ENODATA ? 0 : count;
        }
        if (count > 0) {
            print_batch(records, count);
            rbcore_reader_commit(reader, NULL, 0);
        } else if (left <= 0) {
            print_rate(second++, ring, &before);
        }
    }
    return 0;
}

static int start_events(rbcore_source *source, const char *path, int memory) {
    if (!path) {
        return events_start(source, memory);
    }
    printf("Reading what is pinned at %s.\n", path);
    source->kind = RBCORE_SOURCE_PINNED_PATH;
    source->path = path;
    return 0;
}

/*
 * Nothing tells when another reader gives a ring up, or is killed: so it is tried again and again.
 */
static int add_ring(const rbcore_source *source, int waits) {
    const struct timespec pause = {.tv_nsec = 100000000};
    int ring = rbcore_reader_add(reader, source);
    if (ring < 0) {
        fprintf(stderr, "tail: %s\n", rbcore_reader_message(reader));
    }
    while (ring == -EBUSY && waits && !is_stopped) {
        nanosleep(&pause, NULL);
        ring = rbcore_reader_add(reader, source);
    }
    return ring;
}

static int run(unsigned int seconds, const char *path, int memory, int waits) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    int ring;
    int result;
    start = now_ns();
    result = start_events(&source, path, memory);
    if (result == 0) {
        result = rbcore_reader_open(&reader, NULL);
    }
    if (result < 0) {
        return result;
    }
    on_signals_that_end(stop);
    ring = add_ring(&source, waits);
    if (ring < 0) {
        return ring;
    }
    result = tail((unsigned int)ring, seconds);
    print_summary((unsigned int)ring);
    return result;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"wait", no_argument, NULL, 'w'}, {0}};
    unsigned int seconds = 5;
    int memory = 0;
    int waits = 0;
    int option;
    int result;
    while ((option = getopt_long(argc, argv, "d:m", options, NULL)) != -1) {
        if (option == 'd') {
            seconds = (unsigned int)strtoul(optarg, NULL, 10);
        } else if (option == 'm') {
            memory = 1;
        } else if (option == 'w') {
            waits = 1;
        } else {
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* live, through a pipe too */
    result = run(seconds, argv[optind], memory, waits);
    if (result < 0) {
        fprintf(stderr, "tail: %s\n", rbcore_strerror(result));
    }
    events_stop();
    on_signals_that_end(SIG_IGN); /* soon there is no reader that stop could use */
    rbcore_reader_free(reader);
    return result < 0;
}
