/* SPDX-License-Identifier: MIT */
/*
 * Batches and deferred commit: records are given back only after they are safe in a file, so that a
 * reader that dies repeats records, and never loses one.
 *
 *   batch FILE
 *
 * Build: cc -o batch batch.c $(pkg-config --cflags --libs rbcore)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#define RECORDS 1000
#define BATCH 64

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "batch: %s: %s\n", what, why);
    exit(1);
}

static int must(int result, const char *what) {
    if (result < 0)
        fail(what, rbcore_strerror(result));
    return result;
}

static void produce(const rbcore_source *source) {
    rbcore_producer *producer;

    must(rbcore_producer_open(&producer, source), "open the producer");
    for (unsigned int i = 0; i < RECORDS; i++)
        must(rbcore_producer_output(producer, &i, sizeof(i), 0), "produce");
    rbcore_producer_free(producer);
}

static rbcore_reader *open_reader(const rbcore_source *source) {
    rbcore_reader *reader;

    must(rbcore_reader_open(&reader, NULL), "open the reader");
    must(rbcore_reader_add(reader, source), "add the ring");
    return reader;
}

/* Makes the records safe, at most `room` of them, and returns how many that were. */
static int save(FILE *file, const rbcore_record *records, int count, int room) {
    int saved = count < room ? count : room;

    for (int i = 0; i < saved; i++)
        fprintf(file, "%u\n", *(const unsigned int *)records[i].data);
    if (fflush(file) != 0 || fdatasync(fileno(file)) != 0)
        fail("save", strerror(errno));
    return saved;
}

/* Saves and commits until the ring is empty or `room` records are saved. Returns their number. */
static int drain(rbcore_reader *reader, FILE *file, int room) {
    rbcore_record records[BATCH];
    int total = 0;
    int count;

    while (total < room && (count = must(rbcore_reader_read(reader, records, BATCH), "read")) > 0) {
        int saved = save(file, records, count, room - total);

        must(rbcore_reader_commit(reader, &records[saved - 1], 0), "commit");
        total += saved;
    }
    return total;
}

int main(int argc, char **argv) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_reader *reader;
    FILE *file = argc == 2 ? fopen(argv[1], "w") : NULL;

    if (!file) {
        fprintf(stderr, "usage: batch FILE\n");
        return 2;
    }
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    must(rbcore_memory_ring_create(&source.fd, &source.event_fd, 65536, 0), "create the ring");
    produce(&source);

    /* The first reader has room for 300 records: it stops within a batch, and commits up to there.
     */
    reader = open_reader(&source);
    printf("the first reader saved %d records and stopped within a batch\n",
           drain(reader, file, 300));
    rbcore_reader_free(reader);

    /* The second one gets exactly what was not committed. */
    reader = open_reader(&source);
    printf("the second reader saved the other %d\n", drain(reader, file, RECORDS));
    rbcore_reader_free(reader);

    close(source.fd);
    close(source.event_fd);
    return fclose(file) != 0;
}
