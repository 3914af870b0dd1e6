/* SPDX-License-Identifier: MIT */
/*
 * A flight recorder: a ring in overwrite mode always holds the newest records, and nobody has to
 * keep up with them. When something happens that is worth a look, one call copies the ring, and the
 * last records before it are printed.
 *
 *   flight [-n RECORDS] [-m] [PATH]
 *
 * RECORDS: how many, default 10. What triggers is the next program that is started. PATH: where a
 * ring in overwrite mode is pinned (by load -o). Where the kernel has none (before Linux 6.19), and
 * with -m: a memory ring, and a process that writes into it and ends with a fault.
 *
 * Build: events.skel.h as for tail.c, then
 *   cc -I. -o flight flight.c events_kernel.c $(pkg-config --cflags --libs rbcore libbpf)
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/events.h"
#include "ending.h"
#include "event_sources.h"

#define BATCH 256
#define RING_SIZE (64 * 1024)
#define BURSTS 100 /* of 100 records: several times what the ring holds */

static rbcore_reader *reader;

static void stop(int signal) {
    (void)signal;
    rbcore_reader_shutdown(reader);
}

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "flight: %s: %s\n", what, why);
    exit(1);
}

static int must(int result, const char *what) {
    if (result < 0) {
        fail(what, rbcore_strerror(result));
    }
    return result;
}

static void produce(rbcore_producer *producer, unsigned int kind, const char *name) {
    struct event event = {.kind = kind, .pid = (unsigned int)getpid()};
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event.time_ns = (__u64)now.tv_sec * 1000000000u + (__u64)now.tv_nsec;
    strncpy(event.name, name, sizeof(event.name) - 1);
    must(rbcore_producer_output(producer, &event, sizeof(event), 0), "produce");
}

/* The producing process: in overwrite mode no record is refused, the oldest make room. */
static void produce_until_fault(const rbcore_source *source) {
    const struct timespec pause = {.tv_nsec = 1000000};
    rbcore_producer *producer;
    must(rbcore_producer_open(&producer, source), "open the producer");
    for (int burst = 0; burst < BURSTS; burst++) {
        for (int i = 0; i < 100; i++) {
            produce(producer, EVENT_MADE_UP, "producer");
        }
        nanosleep(&pause, NULL);
    }
    produce(producer, EVENT_EXEC, "fault");
    rbcore_producer_free(producer);
}

/* A memory ring, and a process that writes into it. */
static pid_t start_producer(rbcore_source *source) {
    pid_t child;
    source->kind = RBCORE_SOURCE_MEMORY_RING;
    must(rbcore_memory_ring_create(&source->fd, &source->event_fd, RING_SIZE,
                                   RBCORE_MEMORY_RING_OVERWRITE),
         "create the ring");
    child = fork();
    if (child < 0) {
        fail("fork", strerror(errno));
    }
    if (child == 0) {
        produce_until_fault(source);
        _exit(0);
    }
    return child;
}

static bool is_trigger(const rbcore_record *record) {
    return record->size >= sizeof(struct event) &&
           ((const struct event *)record->data)->kind == EVENT_EXEC;
}

/* Follows the ring. Returns false if a signal ended it before there was a trigger. */
static bool wait_for_trigger(uint64_t *position) {
    rbcore_record records[BATCH];
    for (;;) {
        int count = rbcore_reader_next(reader, records, BATCH, RBCORE_FOREVER);
        for (int i = 0; i < count; i++) {
            *position = records[i].position;
            if (is_trigger(&records[i])) {
                return true;
            }
        }
        if (count == -ESHUTDOWN) {
            return false;
        }
        if (count != -EINTR && count != -EAGAIN) {
            must(count, "wait");
        }
        must(rbcore_reader_commit(reader, NULL, 0), "commit");
    }
}

static void print(const rbcore_record *record) {
    const struct event *event = record->data;
    const char *kind = event->kind == EVENT_EXEC     ? "exec"
                       : event->kind == EVENT_SWITCH ? "switch"
                                                     : "made up";
    printf("%14.6f  cpu %-3u %-7s %.16s[%u] at %" PRIu64 "\n", (double)event->time_ns / 1e9,
           event->cpu, kind, event->name, event->pid, record->position);
}

/* Prints the last `most` records of the snapshot before the trigger, and the trigger. */
static void print_flight(rbcore_snapshot *snapshot, uint64_t trigger, size_t most) {
    rbcore_record *last = calloc(most + 1, sizeof(*last));
    rbcore_record record = {.position = 0};
    size_t before = 0;
    if (!last) {
        fail("memory", strerror(ENOMEM));
    }
    while (must(rbcore_snapshot_read(snapshot, &record, 1), "read") > 0 &&
           record.position != trigger) {
        last[before++ % most] = record;
    }
    if (record.position != trigger) {
        fail("the trigger", "overwritten before it was copied");
    }
    for (size_t i = before < most ? 0 : before - most; i < before; i++) {
        print(&last[i % most]);
    }
    printf("trigger: %.16s at %" PRIu64 ", the last %zu of %zu records before it\n",
           ((const struct event *)record.data)->name, trigger, before < most ? before : most,
           before);
    free(last);
}

/* The kernel's events, or a memory ring. Returns its producer, or 0. */
static pid_t start_events(rbcore_source *source, const char *path, bool memory) {
    const char *why = "asked for by -m";
    if (path) {
        source->kind = RBCORE_SOURCE_PINNED_PATH;
        source->path = path;
        return 0;
    }
    if (!memory && events_kernel_start_overwriting(source, &why) == 0) {
        printf("Reading execs and scheduler switches from the kernel, by BPF.\n");
        return 0;
    }
    printf("No BPF: %s\n", why);
    fflush(stdout); /* not a second time by the child */
    return start_producer(source);
}

/* Copies the ring when the trigger comes, and prints what is in the copy. */
static void record_flight(unsigned int ring, size_t most) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    rbcore_snapshot *snapshot = NULL;
    uint64_t trigger;
    if (!wait_for_trigger(&trigger)) {
        printf("ended without a trigger\n");
        return;
    }
    must(rbcore_reader_snapshot(reader, ring, &snapshot, 0), "take a snapshot");
    must(rbcore_reader_ring_stats(reader, ring, &stats), "statistics");
    print_flight(snapshot, trigger, most);
    printf("%" PRIu64 " bytes were overwritten before this reader saw them\n", stats.lost_bytes);
    rbcore_snapshot_free(snapshot);
}

int main(int argc, char **argv) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    size_t most = 10;
    bool memory = false;
    pid_t child;
    int option, ring;
    while ((option = getopt(argc, argv, "n:m")) != -1) {
        if (option == 'n') {
            most = strtoul(optarg, NULL, 10);
        } else if (option == 'm') {
            memory = true;
        } else {
            return 2;
        }
    }
    if (most == 0 || most > RING_SIZE) {
        fail("-n", "from 1 to 65536");
    }
    child = start_events(&source, argv[optind], memory);
    source.flags = RBCORE_SOURCE_OVERWRITE; /* records are copied, and what was lost is counted */
    must(rbcore_reader_open(&reader, NULL), "open the reader");
    ring = rbcore_reader_add(reader, &source);
    if (ring < 0) {
        fail("add the ring", rbcore_reader_message(reader));
    }
    on_signals_that_end(stop);
    record_flight((unsigned int)ring, most);
    on_signals_that_end(SIG_IGN); /* soon there is no reader that stop could use */
    rbcore_reader_free(reader);
    events_kernel_stop();
    if (child) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return 0;
}
