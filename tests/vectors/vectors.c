/* SPDX-License-Identifier: MIT */
/*
 * Reproduces the vectors (README.md) through the public API.
 *
 *   vectors FILE...
 *
 * Says what was expected and what came, with file and line, and goes on with the next file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#define MAX_RECORDS 1024

typedef struct run {
    const char *path;
    unsigned line;
    bool failed;
    bool applies;
    rbcore_source source;
    rbcore_reader *reader;
    unsigned ring;
    rbcore_record records[MAX_RECORDS];
    int count;     /* in records */
    int described; /* of these, by the vector */
} run;

static void differ(run *self, const char *expected, const char *found) {
    fprintf(stderr, "%s:%u: expected %s, found %s\n", self->path, self->line, expected, found);
    self->failed = true;
}

static void expect_number(run *self, uint64_t expected, uint64_t found) {
    char a[32], b[32];
    if (expected != found) {
        snprintf(a, sizeof(a), "%" PRIu64, expected);
        snprintf(b, sizeof(b), "%" PRIu64, found);
        differ(self, a, b);
    }
}

/* Compares a result with a number or the name of an error. */
static void expect_result(run *self, const char *expected, int result) {
    static const struct {
        const char *name;
        int error;
    } names[] = {{"EBADMSG", EBADMSG}, {"EAGAIN", EAGAIN}};
    char found[16];
    snprintf(found, sizeof(found), "%d", result);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (result == -names[i].error) {
            snprintf(found, sizeof(found), "%s", names[i].name);
        }
    }
    if (strcmp(expected, found) != 0) {
        differ(self, expected, found);
    }
}

static uint64_t hash(const rbcore_record *record) {
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < record->size; i++) {
        value = (value ^ ((const unsigned char *)record->data)[i]) * UINT64_C(0x100000001b3);
    }
    return value;
}

/* ---- What is written into the memory ---- */

static void write_at(run *self, const void *bytes, size_t count, uint64_t offset) {
    if (pwrite(self->source.fd, bytes, count, (off_t)offset) != (ssize_t)count) {
        differ(self, "to write", strerror(errno));
    }
}

static void write_position(run *self, uint64_t offset, const char *number) {
    uint64_t position = strtoull(number, NULL, 10);
    write_at(self, &position, sizeof(position), offset);
}

static void write_bytes(run *self, const char *offset, const char *count, const char *hex) {
    const size_t size = strlen(hex) / 2, times = strtoull(count, NULL, 10);
    unsigned char *bytes = malloc(size * times + 1);
    for (size_t i = 0; i < size; i++) {
        sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    }
    for (size_t i = 1; i < times; i++) {
        memcpy(bytes + i * size, bytes, size);
    }
    uint64_t data = 2 * (uint64_t)sysconf(_SC_PAGESIZE);
    write_at(self, bytes, size * times, data + strtoull(offset, NULL, 10));
    free(bytes);
}

/* ---- What the reader does ---- */

static void make_ring(run *self, const char *size) {
    const size_t bytes = strtoull(size, NULL, 10);
    self->applies = bytes >= (size_t)sysconf(_SC_PAGESIZE);
    self->source.kind = RBCORE_SOURCE_MEMORY_RING;
    if (self->applies) {
        expect_number(self, 0,
                      (uint64_t)rbcore_memory_ring_create(&self->source.fd, &self->source.event_fd,
                                                          bytes, 0));
    }
}

static void add(run *self, uint32_t flags, const char *expected) {
    expect_number(self, 0, (uint64_t)rbcore_reader_open(&self->reader, NULL));
    self->source.flags = flags;
    int result = rbcore_reader_add(self->reader, &self->source);
    self->ring = result < 0 ? 0 : (unsigned)result;
    expect_result(self, expected, result);
}

static void read_records(run *self, const char *max, const char *expected) {
    size_t most = strtoull(max, NULL, 10);
    int result =
        rbcore_reader_read(self->reader, self->records, most < MAX_RECORDS ? most : MAX_RECORDS);
    self->count = result < 0 ? 0 : result;
    self->described = 0;
    expect_result(self, expected, result);
}

static void expect_record(run *self, const char *position, const char *size, const char *digest) {
    if (self->described == self->count) {
        differ(self, "a record", "none");
        return;
    }
    const rbcore_record *record = &self->records[self->described++];
    expect_number(self, strtoull(position, NULL, 10), record->position);
    expect_number(self, strtoull(size, NULL, 10), record->size);
    expect_number(self, strtoull(digest, NULL, 16), hash(record));
    expect_number(self, self->ring, record->ring);
}

static void commit(run *self, const char *index) {
    const rbcore_record *last = index == NULL ? NULL : &self->records[strtoul(index, NULL, 10)];
    expect_result(self, "0", rbcore_reader_commit(self->reader, last, 0));
}

static void expect_consumer(run *self, const char *expected) {
    uint64_t position = 0;
    if (pread(self->source.fd, &position, sizeof(position), 0) != (ssize_t)sizeof(position)) {
        differ(self, "to read", strerror(errno));
    }
    expect_number(self, strtoull(expected, NULL, 10), position);
}

static void expect_stats(run *self, char **words) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    expect_result(self, "0", rbcore_reader_ring_stats(self->reader, self->ring, &stats));
    const uint64_t found[] = {stats.records, stats.bytes, stats.discards};
    for (int i = 0; i < 3; i++) {
        expect_number(self, strtoull(words[i + 1], NULL, 10), found[i]);
    }
}

static void close_reader(run *self) {
    rbcore_reader_free(self->reader);
    self->reader = NULL;
}

/* ---- The file ---- */

#define WORDS 4

static bool is(char **words, const char *name, int operands) {
    int count = 0;
    while (count < WORDS && words[count] != NULL) {
        count++;
    }
    return count == operands + 1 && strcmp(words[0], name) == 0;
}

static void carry_out(run *self, char **words) {
    if (is(words, "ring", 1)) {
        make_ring(self, words[1]);
    } else if (is(words, "consumer_pos", 1)) {
        write_position(self, 0, words[1]);
    } else if (is(words, "producer_pos", 1)) {
        write_position(self, (uint64_t)sysconf(_SC_PAGESIZE), words[1]);
    } else if (is(words, "data", 2)) {
        write_bytes(self, words[1], "1", words[2]);
    } else if (is(words, "fill", 3)) {
        write_bytes(self, words[1], words[2], words[3]);
    } else if (is(words, "add", 1)) {
        add(self, 0, words[1]);
    } else if (is(words, "add_latest", 1)) {
        add(self, RBCORE_SOURCE_LATEST, words[1]);
    } else if (is(words, "read", 2)) {
        read_records(self, words[1], words[2]);
    } else if (is(words, "record", 3)) {
        expect_record(self, words[1], words[2], words[3]);
    } else if (is(words, "commit", 1)) {
        commit(self, words[1]);
    } else if (is(words, "commit_all", 0)) {
        commit(self, NULL);
    } else if (is(words, "consumer", 1)) {
        expect_consumer(self, words[1]);
    } else if (is(words, "stats", 3)) {
        expect_stats(self, words);
    } else if (is(words, "close", 0)) {
        close_reader(self);
    } else {
        differ(self, "a line of the format", words[0]);
    }
}

static void carry_out_file(run *self, FILE *file) {
    char *line = NULL;
    size_t room = 0;
    while (self->applies && !self->failed && getline(&line, &room, file) >= 0) {
        char *words[WORDS + 1] = {NULL}, *rest = NULL;
        int count = 0;
        self->line++;
        for (char *word = strtok_r(line, " \n", &rest); word != NULL && count <= WORDS;
             word = strtok_r(NULL, " \n", &rest)) {
            words[count++] = word;
        }
        if (count > 0 && words[0][0] != '#') {
            carry_out(self, words);
        }
    }
    free(line);
}

static bool reproduce(const char *path, bool *applies) {
    run self = {.path = path, .applies = true, .source = RBCORE_SOURCE_INIT};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        differ(&self, "a file", strerror(errno));
        return false;
    }
    carry_out_file(&self, file);
    fclose(file);
    rbcore_reader_free(self.reader);
    if (self.source.fd >= 0) {
        close(self.source.fd);
        close(self.source.event_fd);
    }
    *applies = self.applies;
    return !self.failed;
}

int main(int argc, char **argv) {
    int reproduced = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        bool applies = true;
        bool good = reproduce(argv[i], &applies);
        reproduced += good && applies;
        failed += !good;
    }
    printf("%d vectors reproduced, %d not\n", reproduced, failed);
    if (reproduced == 0 && failed == 0) {
        printf("skipped: no vector is for pages of %ld bytes\n", sysconf(_SC_PAGESIZE));
        return 77;
    }
    return failed != 0;
}
