/* SPDX-License-Identifier: MIT */
/*
 * Batches as snapshot files, without a copy: the library describes the records in a header, and one
 * system call writes it and then the records as they lie in the ring. Each language can load what
 * is in the file, and so does this program in the end, to count it.
 *
 *   archive [-d SECONDS] [-m] FILE     -m: the memory ring in any case
 *
 * Ends after SECONDS, or by SIGINT or SIGTERM, when what is in the ring by then is written.
 *
 * Build: events.skel.h as for tail.c, then
 *   cc -I. -o archive archive.c events.c events_kernel.c events_memory.c \
 *       $(pkg-config --cflags --libs rbcore libbpf)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ending.h"
#include "event_sources.h"

#define BATCH 256

static rbcore_reader *reader;
static uint64_t written; /* records */

/* The records that are in the ring by now are still handled: -ENODATA comes after them. */
static void stop(int signal) {
    (void)signal;
    rbcore_reader_flush(reader);
}

/* Writes records of one ring, and what lies between. Returns 0 or a negative errno value. */
static int write_records(int file, const rbcore_record *first, const rbcore_record *last) {
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content;
    int error = rbcore_reader_snapshot_header(reader, first, last, header, &content);
    if (error == -EBADMSG && first != last) { /* a dead producer's between: one by one */
        for (error = 0; first <= last && error == 0; first++) {
            error = write_records(file, first, first);
        }
        return error;
    }
    if (error == 0) {
        struct iovec parts[] = {{header, sizeof(header)},
                                {(void *)(uintptr_t)content.data, content.size}};
        ssize_t size = (ssize_t)(sizeof(header) + content.size);
        error = writev(file, parts, 2) == size ? 0 : -EIO;
    }
    return error;
}

/* Returns the negative errno value that ended it: -ENODATA is the wanted end. */
static int write_all(int file) {
    rbcore_record records[BATCH];
    int count = 0;
    while (count >= 0 || count == -EINTR || count == -EAGAIN) {
        count = rbcore_reader_next(reader, records, BATCH, RBCORE_FOREVER);
        if (count > 0) {
            int error = write_records(file, &records[0], &records[count - 1]);
            if (error < 0) {
                return error;
            }
            rbcore_reader_commit(reader, NULL, 0);
            written += (uint64_t)count;
        }
    }
    return count;
}

/* Loads what was written. Returns 0 or a negative errno value. */
static int count_all(int file) {
    uint64_t files = 0, found = 0;
    rbcore_snapshot *snapshot;
    rbcore_record records[BATCH];
    int error, count;
    lseek(file, 0, SEEK_SET);
    while ((error = rbcore_snapshot_load(&snapshot, file)) == 0) {
        while ((count = rbcore_snapshot_read(snapshot, records, BATCH)) > 0) {
            found += (uint64_t)count;
        }
        rbcore_snapshot_free(snapshot);
        files++;
    }
    printf("%" PRIu64 " records written, %" PRIu64 " are missing in %" PRIu64 " snapshots\n",
           written, written - found, files);
    return error == -ENODATA ? 0 : error;
}

static int run(int file, unsigned int seconds, int memory) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    int result = events_start(&source, memory);
    if (result == 0) {
        result = rbcore_reader_open(&reader, NULL);
    }
    if (result == 0) {
        result = rbcore_reader_add(reader, &source);
    }
    if (result < 0) {
        return result;
    }
    on_signals_that_end(stop);
    alarm(seconds);
    result = write_all(file);
    return result == -ENODATA ? count_all(file) : result;
}

int main(int argc, char **argv) {
    unsigned int seconds = 0;
    int memory = 0, option, result, file;
    while ((option = getopt(argc, argv, "d:m")) != -1) {
        if (option == 'd') {
            seconds = (unsigned int)strtoul(optarg, NULL, 10);
        } else if (option == 'm') {
            memory = 1;
        } else {
            return 2;
        }
    }
    file =
        optind + 1 == argc ? open(argv[optind], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (file < 0) {
        fprintf(stderr, "usage: archive [-d SECONDS] [-m] FILE\n");
        return 2;
    }
    result = run(file, seconds, memory);
    if (result < 0) {
        fprintf(stderr, "archive: %s\n", rbcore_strerror(result));
    }
    events_stop();
    on_signals_that_end(SIG_IGN); /* soon there is no reader that stop could use */
    rbcore_reader_free(reader);
    return close(file) != 0 || result < 0;
}
