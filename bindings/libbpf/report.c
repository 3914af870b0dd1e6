/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "forks.h"
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static rbcore_reader **readers;
static size_t reader_count, reader_room;

/* Statistics of the readers that are gone. */
static uint64_t records, bytes, batches, wakeups, rings;

/* This counts calls that delivered records. With libbpf there would be more. */
static _Atomic uint64_t deliveries;

/*
 * This is what setting_stats said, before the program can change its environment. NULL: none are
 * wanted.
 */
static char *name;

/* After an exec, the new program prints to its own standard error. */
static int output = -1;
static struct stat output_file;

static void open_output(void) {
    output = strcmp(name, "-") == 0
                 ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) /* programs close stderr as they end */
                 : open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (output < 0) {
        fprintf(stderr, "rbcore: no statistics: %s: %s\n", name, strerror(errno));
    } else {
        fstat(output, &output_file);
    }
}

/* Programs also close descriptors that they do not know. Another file may then have the number. */
static bool output_is_ours(void) {
    struct stat now;
    return fstat(output, &now) == 0 && now.st_dev == output_file.st_dev &&
           now.st_ino == output_file.st_ino;
}

__attribute__((constructor)) static void begin(void) {
    if (setting_stats() != NULL && (name = strdup(setting_stats())) != NULL) {
        open_output();
    }
}

void report_add(rbcore_reader *reader) {
    pthread_mutex_lock(&lock);
    if (reader_count == reader_room) {
        size_t room = 2 * reader_room + 8;
        rbcore_reader **larger = realloc(readers, room * sizeof(*readers));
        readers = larger != NULL ? larger : readers;
        reader_room = larger != NULL ? room : reader_room;
    }
    if (reader_count < reader_room) {
        readers[reader_count++] = reader;
    }
    pthread_mutex_unlock(&lock);
}

static void count(rbcore_reader *reader) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    if (rbcore_reader_stats_get(reader, &stats) == 0) { /* not so in a forked child */
        records += stats.records;
        bytes += stats.bytes;
        batches += stats.batches;
        wakeups += stats.wakeups;
        rings += stats.rings;
    }
}

void report_remove(rbcore_reader *reader) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < reader_count; i++) {
        if (readers[i] == reader) {
            count(reader);
            readers[i] = readers[--reader_count];
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

void report_begin_anew(void) {
    pthread_mutex_init(&lock, NULL); /* a thread of the parent may have held it */
    records = bytes = batches = wakeups = rings = 0;
    atomic_store_explicit(&deliveries, 0, memory_order_relaxed);
}

void report_delivery(void) {
    atomic_fetch_add_explicit(&deliveries, 1, memory_order_relaxed);
}

static void print(void) {
    const uint64_t calls = atomic_load_explicit(&deliveries, memory_order_relaxed);
    uint64_t saved = records > calls ? records - calls : 0;
    dprintf(output,
            "rbcore: %s[%d]: %" PRIu64 " records (%" PRIu64 " bytes) of %" PRIu64
            " rings in %" PRIu64 " batches and %" PRIu64 " deliveries; woken %" PRIu64
            " times, up to %" PRIu64 " wakeups saved\n",
            program_invocation_short_name, getpid(), records, bytes, rings, batches, calls, wakeups,
            saved);
}

__attribute__((destructor)) static void report(void) {
    if (output < 0) {
        return;
    }
    forks_now(); /* the counts may be the parent's, and the lock held by one of its threads */
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < reader_count; i++) {
        count(readers[i]);
    }
    if (rings > 0 && !output_is_ours()) {
        open_output();
    }
    if (rings > 0) {
        print();
    }
    pthread_mutex_unlock(&lock);
}
