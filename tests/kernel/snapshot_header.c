/* SPDX-License-Identifier: MIT */
/*
 * Records of the kernel's rings that are held become a snapshot file where they lie: the very file
 * that the library writes of all that is there, but for the time.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support.h"

#define SIZE RBCORE_SNAPSHOT_HEADER_SIZE
#define RECORDS 64
#define LAPS 3

/* capi/snapshot-format.md: the times, what follows them, and the checksum of all that. */
enum { AT_TIMES = 96, AT_ZEROS = 112, AT_SUM = 124 };

typedef struct mode {
    uint32_t source_flags;
    uint64_t reader_flags;
} mode;

static const mode modes[] = {{0, 0}, {0, RBCORE_READER_RELEASE}, {RBCORE_SOURCE_TAP, 0}};

/* Some are discarded, not the last one. Returns how many records there are. */
static int fill(struct produce *ring) {
    int count = 1;
    for (uint32_t i = 0, bytes = 0; i + 1 < RECORDS && bytes < pages(1) - 400; i++) {
        const uint32_t size = 13 * i % 200;
        const bool is_discarded = i % 4 == 2;
        ck_assert_int_eq(is_discarded ? emit_discard(ring, size, 0) : emit(ring, size, i, 0), 0);
        bytes += (uint32_t)span_of(size);
        count += !is_discarded;
    }
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    return count;
}

static rbcore_snapshot *load_file(int file) {
    rbcore_snapshot *loaded = NULL;
    ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
    ok(rbcore_snapshot_load(&loaded, file));
    close(file);
    return loaded;
}

static void expect_loaded(int file, const rbcore_record *records, int count) {
    rbcore_snapshot *loaded = load_file(file);
    rbcore_record record;
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(rbcore_snapshot_read(loaded, &record, 1), 1);
        ck_assert_uint_eq(record.position, records[i].position);
        ck_assert_uint_eq(record.size, records[i].size);
        ck_assert(record.size == 0 || memcmp(record.data, records[i].data, record.size) == 0);
    }
    ck_assert_int_eq(rbcore_snapshot_read(loaded, &record, 1), 0);
    rbcore_snapshot_free(loaded);
}

/* Writes the records as a program does, straight out of the ring. */
static int describe(rbcore_reader *reader, const rbcore_record *first, const rbcore_record *last,
                    unsigned char *header) {
    rbcore_slice content;
    int file = memfd_create("records", MFD_CLOEXEC);
    ok(rbcore_reader_snapshot_header(reader, first, last, header, &content));
    struct iovec parts[] = {{header, SIZE}, {(void *)(uintptr_t)content.data, content.size}};
    ck_assert_int_eq(writev(file, parts, 2), (ssize_t)(SIZE + content.size));
    return file;
}

/* The file that a copy of the whole ring makes has the same bytes. */
static void expect_as_saved(rbcore_reader *reader, const unsigned char *header, int described) {
    static unsigned char ours[1 << 18], theirs[1 << 18];
    rbcore_snapshot *snapshot = NULL;
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    ok(rbcore_reader_snapshot(reader, 0, &snapshot, 0));
    ok(rbcore_snapshot_save(snapshot, file));
    const ssize_t size = pread(file, theirs, sizeof(theirs), 0);
    ck_assert_int_eq(pread(described, ours, sizeof(ours), 0), size);
    ck_assert_mem_eq(header, theirs, AT_TIMES);
    ck_assert_mem_eq(header + AT_ZEROS, theirs + AT_ZEROS, AT_SUM - AT_ZEROS);
    ck_assert_mem_eq(ours + SIZE, theirs + SIZE, (size_t)size - SIZE);
    rbcore_snapshot_free(snapshot);
    close(file);
}

static void give_back(rbcore_reader *reader, const mode *as, const rbcore_record *records,
                      int count, struct produce *ring) {
    ok(as->reader_flags ? rbcore_reader_release(reader, records, (size_t)count)
                        : rbcore_reader_commit(reader, NULL, RBCORE_COMMIT_NOW));
    if (as->source_flags & RBCORE_SOURCE_TAP) {
        free(consume_by_libbpf(ring).bytes);
    }
}

/* Lap after lap, so that some of it crosses the ring's end. */
START_TEST(what_is_held) {
    const mode *as = &modes[_i];
    struct produce *ring = load_ring(pages(4));
    rbcore_source source = source_of(ring);
    rbcore_reader *reader = open_reader(as->reader_flags);
    rbcore_record records[RECORDS];
    unsigned char header[SIZE];
    uint64_t end = 0;
    source.flags = as->source_flags;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    while (end < LAPS * pages(4)) {
        const int count = fill(ring);
        ck_assert_int_eq(read_to_end(reader, records, RECORDS), count);
        end = end_of(&records[count - 1]);
        int file = describe(reader, &records[0], &records[count - 1], header);
        expect_as_saved(reader, header, file);
        expect_loaded(file, records, count);
        file = describe(reader, &records[1], &records[count / 2], header);
        expect_loaded(file, records + 1, count / 2);
        give_back(reader, as, records, count, ring);
    }
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("snapshot header");
    add_loop_test(suite, what_is_held, sizeof(modes) / sizeof(*modes));
    return run_kernel_tests(suite, NULL);
}
