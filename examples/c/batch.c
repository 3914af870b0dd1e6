/* SPDX-License-Identifier: MIT */
/*
 * Batches and deferred commit: events are given back only after they are safe in a file. Whatever
 * ends this program, the next reader of the ring repeats what was not safe, and none is missing.
 *
 *   batch [-d SECONDS] [-m] FILE     -m: the memory ring in any case
 *
 * Ends after SECONDS, or by SIGINT or SIGTERM, when what is in the ring by then is safe.
 *
 * Build: events.skel.h as for tail.c, then
 *   cc -I. -o batch batch.c events.c events_kernel.c events_memory.c \
 *       $(pkg-config --cflags --libs rbcore libbpf)
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/events.h"
#include "ending.h"
#include "event_sources.h"

#define BATCH 256

static rbcore_reader *reader;
static uint64_t safe; /* records */

/* The records that are in the ring by now are still handled: -ENODATA comes after them. */
static void stop(int signal) {
    (void)signal;
    rbcore_reader_flush(reader);
}

static void write_line(FILE *file, const rbcore_record *record) {
    const struct event *event = record->data;
    fprintf(file, "%llu %u %.16s %u", (unsigned long long)event->time_ns, event->pid, event->name,
            event->kind);
    if (event->kind == EVENT_EXEC) {
        fprintf(file, " %.80s", ((const struct exec_event *)event)->file);
    } else if (event->kind == EVENT_SWITCH) {
        fprintf(file, " %.16s", ((const struct switch_event *)event)->next_name);
    }
    fputc('\n', file);
}

/* Makes a batch safe. Returns 0 or a negative errno value. */
static int save(FILE *file, const rbcore_record *records, int count) {
    for (int i = 0; i < count; i++) {
        write_line(file, &records[i]);
    }
    return fflush(file) != 0 || fdatasync(fileno(file)) != 0 ? -errno : 0;
}

/* Returns the negative errno value that ended it: -ENODATA is the wanted end. */
static int save_all(FILE *file) {
    rbcore_record records[BATCH];
    int count = 0;
    while (count >= 0 || count == -EINTR || count == -EAGAIN) {
        count = rbcore_reader_next(reader, records, BATCH, RBCORE_FOREVER);
        if (count > 0) {
            int error = save(file, records, count);
            /* Whatever it is, EINTR too: the batch is not safe. */
            if (error < 0) {
                return error;
            }
            rbcore_reader_commit(reader, NULL, 0); /* only now */
            safe += (uint64_t)count;
        }
    }
    return count;
}

static void print_summary(unsigned int ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    rbcore_reader_ring_stats(reader, ring, &stats);
    printf("%" PRIu64 " records are safe, ", safe);
    if (stats.lost == RBCORE_UNKNOWN) {
        printf("unknown lost\n");
    } else {
        printf("%" PRIu64 " lost\n", stats.lost);
    }
}

static int run(FILE *file, unsigned int seconds, int memory) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    int result = events_start(&source, memory);
    int ring;
    if (result == 0) {
        result = rbcore_reader_open(&reader, NULL);
    }
    if (result < 0) {
        return result;
    }
    ring = rbcore_reader_add(reader, &source);
    if (ring < 0) {
        fprintf(stderr, "batch: %s\n", rbcore_reader_message(reader));
        return ring;
    }
    on_signals_that_end(stop);
    alarm(seconds);
    result = save_all(file);
    print_summary((unsigned int)ring);
    return result == -ENODATA ? 0 : result;
}

int main(int argc, char **argv) {
    unsigned int seconds = 0;
    int memory = 0;
    int option;
    int result;
    FILE *file;
    while ((option = getopt(argc, argv, "d:m")) != -1) {
        if (option == 'd') {
            seconds = (unsigned int)strtoul(optarg, NULL, 10);
        } else if (option == 'm') {
            memory = 1;
        } else {
            return 2;
        }
    }
    file = optind + 1 == argc ? fopen(argv[optind], "w") : NULL;
    if (!file) {
        fprintf(stderr, "usage: batch [-d SECONDS] [-m] FILE\n");
        return 2;
    }
    result = run(file, seconds, memory);
    if (result < 0) {
        fprintf(stderr, "batch: %s\n", rbcore_strerror(result));
    }
    events_stop();
    on_signals_that_end(SIG_IGN); /* soon there is no reader that stop could use */
    rbcore_reader_free(reader);
    return fclose(file) != 0 || result < 0;
}
