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
#include <sys/mman.h>
#include <sys/syscall.h>
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
    rbcore_snapshot *snapshot;
    int file;          /* of snapshots */
    off_t loaded_from; /* where the snapshot begins in it */
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
    } names[] = {{"EBADMSG", EBADMSG},         {"EAGAIN", EAGAIN},   {"EOPNOTSUPP", EOPNOTSUPP},
                 {"EMEDIUMTYPE", EMEDIUMTYPE}, {"ENODATA", ENODATA}, {"E2BIG", E2BIG}};
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

/* The bytes that pairs of digits stand for; to be freed. */
static unsigned char *bytes_of(const char *hex, size_t room) {
    unsigned char *bytes = calloc(1, room + 1);
    for (size_t i = 0; hex[2 * i] != '\0'; i++) {
        sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    }
    return bytes;
}

static void write_bytes(run *self, const char *offset, const char *count, const char *hex) {
    const size_t size = strlen(hex) / 2, times = strtoull(count, NULL, 10);
    unsigned char *bytes = bytes_of(hex, size * times);
    for (size_t i = 1; i < times; i++) {
        memcpy(bytes + i * size, bytes, size);
    }
    uint64_t data = 2 * (uint64_t)sysconf(_SC_PAGESIZE);
    write_at(self, bytes, size * times, data + strtoull(offset, NULL, 10));
    free(bytes);
}

static void write_series(run *self, char **words) {
    const size_t count = strtoull(words[2], NULL, 10);
    const unsigned first = (unsigned)atoi(words[3]), step = (unsigned)atoi(words[4]);
    unsigned char *bytes = malloc(count);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (unsigned char)(first + i * step);
    }
    uint64_t data = 2 * (uint64_t)sysconf(_SC_PAGESIZE);
    write_at(self, bytes, count, data + strtoull(words[1], NULL, 10));
    free(bytes);
}

/* ---- What the reader does ---- */

static void make_ring(run *self, const char *size, uint32_t flags) {
    const size_t bytes = strtoull(size, NULL, 10);
    self->applies = bytes >= (size_t)sysconf(_SC_PAGESIZE);
    self->source.kind = RBCORE_SOURCE_MEMORY_RING;
    if (self->applies) {
        expect_number(self, 0,
                      (uint64_t)rbcore_memory_ring_create(&self->source.fd, &self->source.event_fd,
                                                          bytes, flags));
    }
}

static void add(run *self, uint32_t flags, const char *expected) {
    rbcore_reader_free(self->reader); /* one whose ring was refused */
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

static void expect_lost(run *self, const char *bytes) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    expect_result(self, "0", rbcore_reader_ring_stats(self->reader, self->ring, &stats));
    expect_number(self, strtoull(bytes, NULL, 10), stats.lost_bytes);
}

static void expect_look(run *self, char **words) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    expect_result(self, "0", rbcore_source_ring_stats(&self->source, &stats));
    const uint64_t found[] = {stats.consumer_pos, stats.producer_pos, stats.bytes_waiting};
    for (int i = 0; i < 3; i++) {
        expect_number(self, strtoull(words[i + 1], NULL, 10), found[i]);
    }
}

/* ---- Snapshots ---- */

static void take_snapshot(run *self, const char *expected) {
    expect_result(self, expected,
                  rbcore_reader_snapshot(self->reader, self->ring, &self->snapshot, 0));
}

static rbcore_snapshot_info snapshot_info(run *self) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    expect_result(self, "0", rbcore_snapshot_info_get(self->snapshot, &info));
    return info;
}

static void expect_extent(run *self, char **words) {
    const rbcore_snapshot_info info = snapshot_info(self);
    const uint64_t found[] = {info.first_pos, info.end_pos, info.producer_pos, info.missed};
    for (int i = 0; i < 4; i++) {
        expect_number(self, strtoull(words[i + 1], NULL, 10), found[i]);
    }
}

static void expect_taken(run *self, char **words) {
    const rbcore_snapshot_info info = snapshot_info(self);
    const uint64_t found[] = {info.kind, info.ring_id, info.ring_size, info.realtime_ns,
                              info.boottime_ns};
    char boot_id[2 * sizeof(info.boot_id) + 1];
    for (size_t i = 0; i < sizeof(info.boot_id); i++) {
        snprintf(boot_id + 2 * i, 3, "%02x", info.boot_id[i]);
    }
    if (strcmp(words[1], boot_id) != 0) {
        differ(self, words[1], boot_id);
    }
    for (int i = 0; i < 5; i++) {
        expect_number(self, strtoull(words[i + 2], NULL, 10), found[i]);
    }
}

static void expect_kept(run *self, char **words) {
    rbcore_record record = {0};
    expect_result(self, "1", rbcore_snapshot_read(self->snapshot, &record, 1));
    expect_number(self, strtoull(words[1], NULL, 10), record.position);
    expect_number(self, strtoull(words[2], NULL, 10), record.size);
    expect_number(self, strtoull(words[3], NULL, 16), hash(&record));
}

static void expect_kept_end(run *self, const char *expected) {
    rbcore_record record;
    expect_result(self, expected, rbcore_snapshot_read(self->snapshot, &record, 1));
}

static void make_file(run *self, const char *hex) {
    const size_t size = strlen(hex) / 2;
    unsigned char *bytes = bytes_of(hex, size);
    if (pwrite(self->file, bytes, size, 0) != (ssize_t)size) {
        differ(self, "to write", strerror(errno));
    }
    free(bytes);
}

/* Loads records that are held from a file that is made of them. */
static void describe_records(run *self, char **words) {
    const rbcore_record *first = &self->records[strtoul(words[1], NULL, 10)];
    const rbcore_record *last = &self->records[strtoul(words[2], NULL, 10)];
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content;
    int result = rbcore_reader_snapshot_header(self->reader, first, last, header, &content);
    expect_result(self, words[3], result);
    if (result != 0) {
        return;
    }
    int file = (int)syscall(SYS_memfd_create, "vectors", 0);
    expect_number(self, sizeof(header), (uint64_t)write(file, header, sizeof(header)));
    expect_number(self, content.size, (uint64_t)write(file, content.data, content.size));
    lseek(file, 0, SEEK_SET);
    rbcore_snapshot_free(self->snapshot);
    self->snapshot = NULL;
    expect_result(self, "0", rbcore_snapshot_load(&self->snapshot, file));
    close(file);
}

static void load_snapshot(run *self, const char *expected) {
    rbcore_snapshot_free(self->snapshot);
    self->snapshot = NULL;
    self->loaded_from = lseek(self->file, 0, SEEK_CUR);
    expect_result(self, expected, rbcore_snapshot_load(&self->snapshot, self->file));
}

/* A loaded snapshot becomes the same bytes again. */
static void expect_saved(run *self) {
    const size_t size = (size_t)(lseek(self->file, 0, SEEK_CUR) - self->loaded_from);
    unsigned char *before = malloc(size), *after = malloc(size + 1);
    int copy = (int)syscall(SYS_memfd_create, "vectors", 0);
    expect_result(self, "0", rbcore_snapshot_save(self->snapshot, copy));
    expect_number(self, size, (uint64_t)pread(self->file, before, size, self->loaded_from));
    expect_number(self, size, (uint64_t)pread(copy, after, size + 1, 0));
    if (memcmp(before, after, size) != 0) {
        differ(self, "the bytes that were loaded", "others");
    }
    close(copy);
    free(before);
    free(after);
}

static void close_reader(run *self) {
    rbcore_reader_free(self->reader);
    self->reader = NULL;
}

/* ---- The file ---- */

#define WORDS 7

static bool is(char **words, const char *name, int operands) {
    int count = 0;
    while (count < WORDS && words[count] != NULL) {
        count++;
    }
    return count == operands + 1 && strcmp(words[0], name) == 0;
}

/* The lines that write into the memory. */
static bool write_line(run *self, char **words) {
    const uint64_t produced = (uint64_t)sysconf(_SC_PAGESIZE);
    if (is(words, "ring", 1)) {
        make_ring(self, words[1], 0);
    } else if (is(words, "ring_overwrite", 1)) {
        make_ring(self, words[1], RBCORE_MEMORY_RING_OVERWRITE);
    } else if (is(words, "consumer_pos", 1)) {
        write_position(self, 0, words[1]);
    } else if (is(words, "producer_pos", 1)) {
        write_position(self, produced, words[1]);
    } else if (is(words, "pending_pos", 1)) {
        write_position(self, produced + 8, words[1]);
    } else if (is(words, "overwrite_pos", 1)) {
        write_position(self, produced + 16, words[1]);
    } else if (is(words, "data", 2)) {
        write_bytes(self, words[1], "1", words[2]);
    } else if (is(words, "fill", 3)) {
        write_bytes(self, words[1], words[2], words[3]);
    } else if (is(words, "series", 4)) {
        write_series(self, words);
    } else {
        return false;
    }
    return true;
}

/* The lines for what a reader does, and for what comes of it. */
static bool read_line(run *self, char **words) {
    if (is(words, "add", 1)) {
        add(self, 0, words[1]);
    } else if (is(words, "add_latest", 1)) {
        add(self, RBCORE_SOURCE_LATEST, words[1]);
    } else if (is(words, "add_overwrite", 1)) {
        add(self, RBCORE_SOURCE_OVERWRITE, words[1]);
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
    } else if (is(words, "lost", 1)) {
        expect_lost(self, words[1]);
    } else if (is(words, "look", 3)) {
        expect_look(self, words);
    } else if (is(words, "close", 0)) {
        close_reader(self);
    } else {
        return false;
    }
    return true;
}

static bool snapshot_line(run *self, char **words) {
    if (is(words, "snapshot", 1)) {
        take_snapshot(self, words[1]);
    } else if (is(words, "describe", 3)) {
        describe_records(self, words);
    } else if (is(words, "extent", 4)) {
        expect_extent(self, words);
    } else if (is(words, "taken", 6)) {
        expect_taken(self, words);
    } else if (is(words, "kept", 3)) {
        expect_kept(self, words);
    } else if (is(words, "kept_end", 1)) {
        expect_kept_end(self, words[1]);
    } else if (is(words, "file", 1)) {
        make_file(self, words[1]);
    } else if (is(words, "load", 1)) {
        load_snapshot(self, words[1]);
    } else if (is(words, "save", 0)) {
        expect_saved(self);
    } else {
        return false;
    }
    return true;
}

static void carry_out(run *self, char **words) {
    if (!write_line(self, words) && !read_line(self, words) && !snapshot_line(self, words)) {
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
    self.file = (int)syscall(SYS_memfd_create, "vectors", 0);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        differ(&self, "a file", strerror(errno));
        return false;
    }
    carry_out_file(&self, file);
    fclose(file);
    rbcore_reader_free(self.reader);
    rbcore_snapshot_free(self.snapshot);
    close(self.file);
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
