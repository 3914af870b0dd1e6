/* SPDX-License-Identifier: MIT */
/*
 * A program of an older version: built with its header, and linked to a library of its name. It
 * runs with the present one, and expects what its header said.
 */
#include RBCORE_HEADER

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("line %d: not so: %s\n", __LINE__, #condition);                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* What the program's macros say is what the library fills a struct of this size with. */
#define EXPECT_SAME(type, MACRO)                                                                   \
    do {                                                                                           \
        const type macro = MACRO;                                                                  \
        type filled;                                                                               \
        memset(&filled, 0xa5, sizeof(filled));                                                     \
        EXPECT(type##_init(&filled, sizeof(filled)) == 0);                                         \
        EXPECT(memcmp(&macro, &filled, sizeof(macro)) == 0);                                       \
    } while (0)

static void expect_the_same_defaults(void) {
    EXPECT(rbcore_version() >> 16 == RBCORE_VERSION >> 16 && rbcore_version() >= RBCORE_VERSION);
    EXPECT_SAME(rbcore_source, RBCORE_SOURCE_INIT);
    EXPECT_SAME(rbcore_reader_options, RBCORE_READER_OPTIONS_INIT);
    EXPECT_SAME(rbcore_reader_stats, RBCORE_READER_STATS_INIT);
    EXPECT_SAME(rbcore_ring_stats, RBCORE_RING_STATS_INIT);
    EXPECT_SAME(rbcore_identity, RBCORE_IDENTITY_INIT);
    EXPECT_SAME(rbcore_snapshot_info, RBCORE_SNAPSHOT_INFO_INIT);
}

typedef struct program {
    rbcore_source source;
    rbcore_reader *reader;
    rbcore_producer *producer;
    int ring;
} program;

static program begin(void) {
    program self = {.source = RBCORE_SOURCE_INIT};
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    EXPECT(rbcore_memory_ring_create(&self.source.fd, &self.source.event_fd, 65536, 0) == 0);
    self.source.kind = RBCORE_SOURCE_MEMORY_RING;
    self.source.cookie = 77;
    options.flags = RBCORE_READER_RELEASE;
    EXPECT(rbcore_reader_open(&self.reader, &options) == 0);
    self.ring = rbcore_reader_add(self.reader, &self.source);
    EXPECT(self.ring == 0);
    EXPECT(rbcore_producer_open(&self.producer, &self.source) == 0);
    return self;
}

static void expect_statistics(const program *self) {
    rbcore_ring_stats of_ring = RBCORE_RING_STATS_INIT, of_source = RBCORE_RING_STATS_INIT;
    rbcore_reader_stats of_reader = RBCORE_READER_STATS_INIT;
    EXPECT(rbcore_reader_ring_stats(self->reader, 0, &of_ring) == 0);
    EXPECT(of_ring.size == sizeof(of_ring) && of_ring.cookie == 77 && of_ring.records == 1);
    EXPECT(of_ring.reader_pid == (uint64_t)getpid() && of_ring.first_ring == 0);
    EXPECT(rbcore_source_ring_stats(&self->source, &of_source) == 0);
    EXPECT(of_source.producer_pos == 16 && of_source.reader_pid == of_ring.reader_pid);
    EXPECT(rbcore_reader_stats_get(self->reader, &of_reader) == 0);
    EXPECT(of_reader.records == 1 && of_reader.rings == 1);
    EXPECT(rbcore_reader_ring_after(self->reader, -1) == self->ring);
}

static void expect_snapshot(const program *self) {
    rbcore_snapshot *snapshot = NULL;
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    rbcore_record record;
    EXPECT(rbcore_reader_snapshot(self->reader, 0, &snapshot, 0) == 0);
    EXPECT(rbcore_snapshot_info_get(snapshot, &info) == 0 && info.end_pos == 16);
    EXPECT(rbcore_snapshot_read(snapshot, &record, 1) == 1 && record.size == 8);
    rbcore_snapshot_free(snapshot);
}

static void use(const program *self) {
    rbcore_record record;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    EXPECT(rbcore_producer_output(self->producer, "12345678", 8, 0) == 0);
    EXPECT(rbcore_reader_next(self->reader, &record, 1, RBCORE_FOREVER) == 1);
    EXPECT(record.size == 8 && record.ring == 0 && memcmp(record.data, "12345678", 8) == 0);
    EXPECT(rbcore_reader_identity(self->reader, &record, &identity) == 0);
    EXPECT(identity.kind == RBCORE_SOURCE_MEMORY_RING && identity.position == 0);
    expect_statistics(self);
    expect_snapshot(self);
    EXPECT(rbcore_reader_release(self->reader, &record, 1) == 0);
    EXPECT(rbcore_reader_remove(self->reader, 0) == 0);
}

int main(void) {
    expect_the_same_defaults();
    program self = begin();
    use(&self);
    rbcore_producer_free(self.producer);
    rbcore_reader_free(self.reader);
    return 0;
}
