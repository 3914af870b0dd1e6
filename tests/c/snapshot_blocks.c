/* SPDX-License-Identifier: MIT */
/*
 * Files of snapshots have blocks of other kinds, as capi/snapshot-format.md describes them.
 * tests/vectors has files with such blocks; here are those that a vector cannot have.
 */
#include "support.h"

#include <sys/mman.h>

#define BLOCK_MAX (UINT64_C(1) << 31)

static void write_begin(int fd, uint64_t size) {
    uint8_t begin[16] = "rbtype\r\n";
    for (int i = 0; i < 8; i++) {
        begin[8 + i] = (uint8_t)(size >> 8 * i);
    }
    ck_assert_int_eq(write(fd, begin, sizeof(begin)), sizeof(begin));
}

static void write_snapshot(int fd) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *snapshot = NULL;
    ok(rbcore_producer_output(f.producer, "record", 6, 0));
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0));
    ok(rbcore_snapshot_save(snapshot, fd));
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}

/*
 * Returns what a reader says to a block of this size, of nothing but a hole, with a snapshot behind
 * it.
 */
static int load_behind(uint64_t size) {
    rbcore_snapshot *loaded = NULL;
    int fd = memfd_create("snapshots", MFD_CLOEXEC);
    write_begin(fd, size);
    ck_assert_int_eq(lseek(fd, (off_t)size, SEEK_SET), (off_t)size);
    write_snapshot(fd);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    int error = rbcore_snapshot_load(&loaded, fd);
    rbcore_snapshot_free(loaded);
    close(fd);
    return error;
}

START_TEST(of_many_sizes) {
    const uint64_t sizes[] = {16, 17, 4096, 4111, 4112, 4113, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        ok(load_behind(sizes[i]));
    }
}
END_TEST

START_TEST(larger_than_any) {
    ck_assert_int_eq(load_behind(BLOCK_MAX + 1), -EBADMSG);
}
END_TEST

/* The writer is still there: a reader that believed the size would wait for more. */
START_TEST(of_impossible_sizes_in_a_pipe) {
    const uint64_t sizes[] = {0, 15, BLOCK_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        rbcore_snapshot *loaded = NULL;
        int ends[2];
        ok(pipe(ends));
        write_begin(ends[1], sizes[i]);
        ck_assert_int_eq(rbcore_snapshot_load(&loaded, ends[0]), -EBADMSG);
        close(ends[0]);
        close(ends[1]);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {of_many_sizes, larger_than_any, of_impossible_sizes_in_a_pipe,
                                  NULL};
    return run_tests("snapshot_blocks", tests);
}
