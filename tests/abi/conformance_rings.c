/* SPDX-License-Identifier: MIT */
/* The uses of a ring: records, waiting, control. */
#include "conformance.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pair.h"

/* Four records: positions 0, 16, (40, discarded,) 56; the ring ends at 64. */
#define END 64

static void produce_four(const ring_pair *pair) {
    uint64_t producer = pointer(pair->producer);
    void *data = NULL;
    output(pair, "abc", 3, 0);
    ck_assert_int_eq(CALL(producer_reserve, producer, pointer(&data), 16), 0);
    ck_assert_uint_eq(handle(&data) % 8, 0);
    memcpy(data, "0123456789abcdef", 16);
    ck_assert_int_eq(CALL(producer_submit, producer, handle(&data), UINT32_MAX), -EINVAL);
    ck_assert_int_eq(CALL(producer_submit, producer, handle(&data), RBCORE_FORCE_WAKEUP), 0);
    ck_assert_int_eq(CALL(producer_submit, producer, handle(&data), 0), -EINVAL);
    ck_assert_int_eq(CALL(producer_reserve, producer, pointer(&data), 8), 0);
    ck_assert_int_eq(CALL(producer_discard, producer, handle(&data), 4), -EINVAL);
    ck_assert_int_eq(CALL(producer_discard, producer, handle(&data), RBCORE_NO_WAKEUP), 0);
    output(pair, NULL, 0, 0);
}

static void lose_one(const ring_pair *pair) {
    static char large[RING_SIZE];
    uint64_t producer = pointer(pair->producer);
    void *data = NULL;
    ck_assert_int_eq(CALL(producer_output, producer, pointer(large), RING_SIZE - 16, 0), -EAGAIN);
    ck_assert_int_eq(CALL(producer_output, producer, pointer(large), RING_SIZE - 15, 0), -EMSGSIZE);
    ck_assert_int_eq(CALL(producer_reserve, producer, pointer(&data), RING_SIZE - 15), -EMSGSIZE);
    ck_assert_int_eq(CALL(producer_output, producer, pointer(large), 8, 8), -EINVAL);
}

static void assert_four(const ring_pair *pair, const record_array *records) {
    assert_record(pair, records->bytes[0], 0, "abc", 3);
    assert_record(pair, records->bytes[1], 16, "0123456789abcdef", 16);
    assert_record(pair, records->bytes[2], 56, "", 0);
}

static void assert_positions(const ring_pair *pair, uint64_t read, uint64_t user) {
    abi_memory stats;
    ring_stats(pair, &stats);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, producer_pos), END);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, bytes_waiting), END - read);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, read_pos), read);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, user_pos), user);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, consumer_pos), user);
}

static void assert_ring_stats(const ring_pair *pair) {
    abi_memory stats;
    ring_stats(pair, &stats);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, size), size_of("rbcore_ring_stats"));
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, cookie), COOKIE);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, flags), 0);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, map_id), RBCORE_UNKNOWN);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, ring_size), RING_SIZE);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, high_water), END);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, records), 3);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, bytes), 19);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, discards), 1);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, abandoned), 0);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, skipped), 0);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, lost), 1);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, start_pos), 0);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, passed_bytes), 16);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, lost_bytes), 0);
}

static void assert_reader_stats(const ring_pair *pair) {
    abi_memory stats;
    memset(&stats, UNTOUCHED, sizeof(stats));
    ck_assert_int_eq(CALL(reader_stats_init, pointer(&stats), size_of("rbcore_reader_stats")), 0);
    ck_assert_int_eq(CALL(reader_stats_get, pointer(pair->reader), pointer(&stats)), 0);
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, size), size_of("rbcore_reader_stats"));
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, records), 3);
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, bytes), 19);
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, discards), 1);
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, batches), 1);
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, commits), 2);
    ck_assert_uint_eq(GET(stats.bytes, reader_stats, rings), 1);
    ck_assert_uint_ne(GET(stats.bytes, reader_stats, wakeups), RBCORE_UNKNOWN);
}

START_TEST(records_are_read_and_committed) {
    ring_pair pair;
    record_array records;
    uint64_t reader;
    pair_open(&pair, 0);
    reader = pointer(pair.reader);
    produce_four(&pair);
    lose_one(&pair);
    assert_positions(&pair, 0, 0);
    memset(&records, UNTOUCHED, sizeof(records));
    ck_assert_int_eq(read_records(&pair, &records), 3);
    assert_four(&pair, &records);
    ck_assert_int_eq(read_records(&pair, &records), 0);
    ck_assert_int_eq(CALL(reader_read, reader, pointer(&records), 0), -EINVAL);
    ck_assert_int_eq(CALL(reader_look, reader, pointer(&records), RECORDS), 0);
    ck_assert_int_eq(CALL(reader_look, reader, pointer(&records), 0), -EINVAL);
    assert_positions(&pair, END, 0);
    ck_assert_int_eq(CALL(reader_release, reader, pointer(&records), 1), -EINVAL);
    ck_assert_int_eq(CALL(reader_commit, reader, 0, 2), -EINVAL);
    ck_assert_int_eq(commit(&pair, records.bytes[1]), 0);
    assert_positions(&pair, END, 56); /* the discarded record goes with the one before */
    ck_assert_int_eq(commit(&pair, records.bytes[0]), -EINVAL);
    ck_assert_int_eq(commit(&pair, NULL), 0);
    assert_positions(&pair, END, END);
    assert_ring_stats(&pair);
    assert_reader_stats(&pair);
    pair_close(&pair);
}
END_TEST

static void assert_snapshot_info(const ring_pair *pair) {
    abi_memory info;
    memset(&info, UNTOUCHED, sizeof(info));
    ck_assert_int_eq(CALL(snapshot_info_init, pointer(&info), size_of("rbcore_snapshot_info")), 0);
    ck_assert_int_eq(CALL(snapshot_info_get, pointer(pair->snapshot), pointer(&info)), 0);
    ck_assert_uint_eq(GET(info.bytes, snapshot_info, kind), RBCORE_SOURCE_MEMORY_RING);
    ck_assert_uint_eq(GET(info.bytes, snapshot_info, ring_size), RING_SIZE);
    ck_assert_uint_eq(GET(info.bytes, snapshot_info, first_pos), 0);
    ck_assert_uint_eq(GET(info.bytes, snapshot_info, end_pos), END);
    ck_assert_uint_eq(GET(info.bytes, snapshot_info, producer_pos), END);
    ck_assert_uint_eq(GET(info.bytes, snapshot_info, missed), 0);
    ck_assert_uint_ne(GET(info.bytes, snapshot_info, realtime_ns), 0);
    ck_assert_uint_ne(GET(info.bytes, snapshot_info, boottime_ns), 0);
}

START_TEST(snapshots) {
    ring_pair pair;
    record_array records;
    uint64_t snapshot, reader;
    void *const before = (pair_open(&pair, 0), pair.snapshot);
    snapshot = pointer(pair.snapshot);
    reader = pointer(pair.reader);
    ck_assert_int_eq(CALL(snapshot_read, snapshot, pointer(&records), RECORDS), 0);
    produce_four(&pair);
    ck_assert_int_eq(CALL(reader_snapshot, reader, pair.index, pointer(&pair.snapshot), 0), 0);
    ck_assert_ptr_eq(pair.snapshot, before);
    assert_positions(&pair, 0, 0);
    assert_snapshot_info(&pair);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(CALL(snapshot_read, snapshot, pointer(&records), 2), 2);
        ck_assert_uint_eq(GET(records.bytes[0], record, flags), RBCORE_RECORD_COPIED);
        ck_assert_uint_eq(GET(records.bytes[1], record, position), 16);
        ck_assert_int_eq(CALL(snapshot_read, snapshot, pointer(&records), RECORDS), 1);
        ck_assert_uint_eq(GET(records.bytes[0], record, position), 56);
        ck_assert_int_eq(CALL(snapshot_read, snapshot, pointer(&records), RECORDS), 0);
        ck_assert_int_eq(CALL(snapshot_rewind, snapshot), 0);
    }
    ck_assert_int_eq(CALL(snapshot_read, snapshot, pointer(&records), 0), -EINVAL);
    ck_assert_int_eq(CALL(reader_snapshot, reader, pair.index, pointer(&pair.snapshot), 2),
                     -EINVAL);
    ck_assert_int_eq(CALL(reader_snapshot, reader, pair.index + 1, pointer(&pair.snapshot), 0),
                     -EINVAL);
    ck_assert_int_eq(
        CALL(reader_snapshot, reader, pair.index, pointer(&pair.snapshot), RBCORE_SNAPSHOT_CONSUME),
        0);
    assert_positions(&pair, END, END);
    pair_close(&pair);
}
END_TEST

/* Saved and loaded, it has the same records, and no more are saved. */
START_TEST(snapshots_as_files) {
    ring_pair pair;
    record_array records;
    void *loaded = NULL;
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    pair_open(&pair, 0);
    produce_four(&pair);
    ck_assert_int_eq(
        CALL(reader_snapshot, pointer(pair.reader), pair.index, pointer(&pair.snapshot), 0), 0);
    ck_assert_int_eq(CALL(snapshot_save, pointer(pair.snapshot), (uint64_t)fd), 0);
    ck_assert_int_eq(CALL(snapshot_save, pointer(pair.snapshot), (uint64_t)-1), -EBADF);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ck_assert_int_eq(CALL(snapshot_load, pointer(&loaded), (uint64_t)fd), 0);
    ck_assert_int_eq(CALL(snapshot_read, pointer(loaded), pointer(&records), RECORDS), 3);
    ck_assert_uint_eq(GET(records.bytes[2], record, position), 56);
    CALL(snapshot_free, pointer(loaded));
    ck_assert_int_eq(CALL(snapshot_load, pointer(&loaded), (uint64_t)fd), -ENODATA);
    close(fd);
    pair_close(&pair);
}
END_TEST

/* Header and content, one behind the other, are a file of the records that are held. */
START_TEST(held_records_as_a_file) {
    ring_pair pair;
    record_array records;
    abi_memory content;
    unsigned char header[128];
    void *loaded = NULL;
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    pair_open(&pair, 0);
    uint64_t reader = pointer(pair.reader);
    produce_four(&pair);
    ck_assert_int_eq(read_records(&pair, &records), 3);
    const uint64_t first = pointer(records.bytes[0]), last = pointer(records.bytes[2]);
    ck_assert_int_eq(
        CALL(reader_snapshot_header, reader, last, first, pointer(header), pointer(&content)),
        -EINVAL);
    ck_assert_int_eq(
        CALL(reader_snapshot_header, reader, first, last, pointer(header), pointer(&content)), 0);
    ck_assert_uint_eq(GET(content.bytes, slice, data), GET(records.bytes[0], record, data) - 8);
    ck_assert_uint_eq(GET(content.bytes, slice, size), END);
    ck_assert_int_eq(write(fd, header, sizeof(header)), sizeof(header));
    ck_assert_int_eq(write(fd, (void *)(uintptr_t)GET(content.bytes, slice, data), END), END);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ck_assert_int_eq(CALL(snapshot_load, pointer(&loaded), (uint64_t)fd), 0);
    ck_assert_int_eq(CALL(snapshot_read, pointer(loaded), pointer(&records), RECORDS), 3);
    ck_assert_uint_eq(GET(records.bytes[1], record, position), 16);
    CALL(snapshot_free, pointer(loaded));
    ck_assert_int_eq(commit(&pair, NULL), 0);
    ck_assert_int_eq(
        CALL(reader_snapshot_header, reader, first, first, pointer(header), pointer(&content)),
        -EINVAL);
    close(fd);
    pair_close(&pair);
}
END_TEST

START_TEST(records_are_released_in_any_order) {
    ring_pair pair;
    record_array records;
    uint64_t reader;
    pair_open(&pair, RBCORE_READER_RELEASE);
    reader = pointer(pair.reader);
    produce_four(&pair);
    ck_assert_int_eq(read_records(&pair, &records), 3);
    assert_four(&pair, &records);
    ck_assert_int_eq(commit(&pair, NULL), -EINVAL);
    ck_assert_int_eq(CALL(reader_release, reader, pointer(records.bytes[1]), 1), 0);
    assert_positions(&pair, END, 0);
    ck_assert_int_eq(CALL(reader_release, reader, pointer(records.bytes[1]), 1), -EINVAL);
    memcpy(records.bytes[1], records.bytes[2], RECORD_SIZE);
    ck_assert_int_eq(CALL(reader_release, reader, pointer(&records), 2), 0);
    assert_positions(&pair, END, END);
    pair_close(&pair);
}
END_TEST

/* Three slices as the table says that they lie in memory. */
static void fill_slices(abi_memory *slices, const char *const *texts) {
    for (size_t i = 0; i < 3; i++) {
        unsigned char *slice = slices->bytes + i * size_of("rbcore_slice");
        SET(slice, slice, data, pointer(texts[i]));
        SET(slice, slice, size, strlen(texts[i]));
    }
}

START_TEST(records_are_written_in_batches) {
    static const char *const texts[] = {"abc", "", "0123456789abcdef"};
    ring_pair pair;
    record_array records;
    abi_memory slices;
    uint64_t producer;
    void *data = NULL;
    pair_open(&pair, 0);
    producer = pointer(pair.producer);
    fill_slices(&slices, texts);
    ck_assert_int_eq(CALL(producer_output_batch, producer, pointer(&slices), 3, 4), -EINVAL);
    ck_assert_int_eq(CALL(producer_output_batch, producer, pointer(&slices), 0, 0), 0);
    ck_assert_int_eq(CALL(producer_output_batch, producer, pointer(&slices), 3, 0), 3);
    ck_assert_int_eq(CALL(producer_reserve_wait, producer, pointer(&data), 8, (uint64_t)-2),
                     -EINVAL);
    ck_assert_int_eq(CALL(producer_reserve_wait, producer, pointer(&data), 8, 1000000), 0);
    memcpy(data, "last one", 8);
    ck_assert_int_eq(CALL(producer_submit, producer, handle(&data), 0), 0);
    ck_assert_int_eq(CALL(producer_reserve_wait, producer, pointer(&data), RING_SIZE - 16, 1000),
                     -EAGAIN);
    ck_assert_int_eq(read_records(&pair, &records), 4);
    assert_record(&pair, records.bytes[0], 0, "abc", 3);
    assert_record(&pair, records.bytes[1], 16, "", 0);
    assert_record(&pair, records.bytes[2], 24, "0123456789abcdef", 16);
    assert_record(&pair, records.bytes[3], 48, "last one", 8);
    pair_close(&pair);
}
END_TEST

static void read_boot_id(unsigned char *id) {
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    char text[64];
    size_t digits = 0;
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
    fclose(file);
    for (const char *c = text; *c && digits < 32; c++) {
        char digit[2] = {*c, '\0'};
        unsigned char value = (unsigned char)strtoul(digit, NULL, 16);
        if (*c == '-') {
            continue;
        }
        id[digits / 2] = (unsigned char)(digits % 2 ? id[digits / 2] | value : value << 4);
        digits++;
    }
    ck_assert_uint_eq(digits, 32);
}

START_TEST(identity_of_a_record) {
    ring_pair pair;
    record_array records;
    abi_memory identity;
    struct stat status;
    unsigned char boot_id[16];
    pair_open(&pair, 0);
    produce_four(&pair);
    ck_assert_int_eq(read_records(&pair, &records), 3);
    ck_assert_int_eq(CALL(identity_init, pointer(&identity), size_of("rbcore_identity")), 0);
    ck_assert_int_eq(
        CALL(reader_identity, pointer(pair.reader), pointer(records.bytes[1]), pointer(&identity)),
        0);
    read_boot_id(boot_id);
    ck_assert_int_eq(fstat(pair.ring.fd, &status), 0);
    ck_assert_mem_eq(identity.bytes + find_field("rbcore_identity", "boot_id")->offset, boot_id,
                     sizeof(boot_id));
    ck_assert_uint_eq(GET(identity.bytes, identity, kind), RBCORE_SOURCE_MEMORY_RING);
    ck_assert_uint_eq(GET(identity.bytes, identity, ring_id), status.st_ino);
    ck_assert_uint_eq(GET(identity.bytes, identity, position), 16);
    pair_close(&pair);
}
END_TEST

START_TEST(latest_skips_what_is_there) {
    ring_pair pair;
    record_array records;
    abi_memory stats;
    int64_t index;
    pair_open(&pair, 0);
    output(&pair, "old", 3, 0);
    ck_assert_int_eq(CALL(reader_remove, pointer(pair.reader), pair.index), 0);
    SET(pair.source.bytes, source, flags, RBCORE_SOURCE_LATEST);
    index = reader_add(pair.reader, &pair.source);
    ck_assert_int_ge(index, 0);
    pair.index = (unsigned int)index;
    output(&pair, "new", 3, 0);
    ck_assert_int_eq(read_records(&pair, &records), 1);
    assert_record(&pair, records.bytes[0], 16, "new", 3);
    ring_stats(&pair, &stats);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, skipped), 1);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, first_ring), (uint64_t)index);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, reader_pid), (uint64_t)getpid());
    pair_close(&pair);
}
END_TEST

/* ---- Waiting and control ------------------------------------------------------------------- */

static int readable(const ring_pair *pair, int timeout_ms) {
    struct pollfd poll_fd = {(int)CALL(reader_fd, pointer(pair->reader)), POLLIN, 0};
    ck_assert_int_ge(poll_fd.fd, 0);
    return poll(&poll_fd, 1, timeout_ms);
}

START_TEST(wakeups_and_flags) {
    ring_pair pair;
    record_array records;
    pair_open(&pair, 0);
    ck_assert_int_eq(read_records(&pair, &records), 0);
    ck_assert_int_eq(readable(&pair, 0), 0);
    output(&pair, "a", 1, RBCORE_NO_WAKEUP);
    ck_assert_int_eq(readable(&pair, 0), 0);
    output(&pair, "b", 1, RBCORE_FORCE_WAKEUP);
    ck_assert_int_eq(readable(&pair, 10000), 1);
    ck_assert_int_eq(read_records(&pair, &records), 2);
    ck_assert_int_eq(commit(&pair, NULL), 0);
    ck_assert_int_eq(read_records(&pair, &records), 0);
    output(&pair, "c", 1, 0);
    ck_assert_int_eq(readable(&pair, 10000), 1);
    pair_close(&pair);
}
END_TEST

START_TEST(timeouts) {
    ring_pair pair;
    record_array records;
    pair_open(&pair, 0);
    ck_assert_int_eq(next_records(&pair, &records, 0), 0);
    ck_assert_int_eq(next_records(&pair, &records, 1000000), 0);
    ck_assert_int_eq(next_records(&pair, &records, -2), -EINVAL);
    ck_assert_int_eq(next_records(&pair, &records, INT64_MIN), -EINVAL);
    output(&pair, "a", 1, 0);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), 1);
    ck_assert_int_eq(commit(&pair, records.bytes[0]), 0);
    output(&pair, "b", 1, 0);
    ck_assert_int_eq(next_records(&pair, &records, INT64_MAX), 1);
    ck_assert_int_eq(CALL(reader_next, pointer(pair.reader), pointer(&records), 0, RBCORE_FOREVER),
                     -EINVAL);
    pair_close(&pair);
}
END_TEST

START_TEST(runs_of_equal_records) {
    ring_pair pair;
    _Alignas(8) unsigned char spans[2][SPAN_SIZE];
    uint64_t data = 0;
    pair_open(&pair, 0);
    uint64_t reader = pointer(pair.reader);
    output(&pair, "abc", 3, 0);
    output(&pair, "def", 3, 0);
    output(&pair, "", 0, 0);
    ck_assert_int_eq(CALL(reader_next_spans, reader, pointer(spans), 2, 9, 0), 2);
    ck_assert_uint_eq(GET(spans[0], span, position), 0);
    ck_assert_uint_eq(GET(spans[0], span, stride), 16);
    ck_assert_uint_eq(GET(spans[0], span, size), 3);
    ck_assert_uint_eq(GET(spans[0], span, count), 2);
    ck_assert_uint_eq(GET(spans[0], span, ring), (uint64_t)pair.index);
    ck_assert_uint_eq(GET(spans[0], span, flags), 0);
    data = GET(spans[0], span, data);
    ck_assert_mem_eq((const char *)(uintptr_t)data, "abc", 3);
    ck_assert_mem_eq((const char *)(uintptr_t)data + 16, "def", 3);
    ck_assert_uint_eq(GET(spans[1], span, position), 32);
    ck_assert_uint_eq(GET(spans[1], span, count), 1);
    ck_assert_int_eq(CALL(reader_next_spans, reader, pointer(spans), 2, 9, 1000), 0);
    ck_assert_int_eq(CALL(reader_next_spans, reader, pointer(spans), 2, 0, 0), -EINVAL);
    ck_assert_int_eq(CALL(reader_next_spans, reader, pointer(spans), 0, 9, 0), -EINVAL);
    pair_close(&pair);
}
END_TEST

START_TEST(interrupt_flush_and_shutdown) {
    ring_pair pair;
    record_array records;
    uint64_t reader;
    pair_open(&pair, 0);
    reader = pointer(pair.reader);
    ck_assert_int_eq(CALL(reader_interrupt, reader), 0);
    ck_assert_int_eq(CALL(reader_interrupt, reader), 0);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), -ECANCELED);
    ck_assert_int_eq(read_records(&pair, &records), 0);
    output(&pair, "a", 1, RBCORE_NO_WAKEUP);
    ck_assert_int_eq(CALL(reader_flush, reader), 0);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), 1);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), -ENODATA);
    ck_assert_int_eq(next_records(&pair, &records, 0), 0);
    ck_assert_int_eq(CALL(reader_shutdown, reader), 0);
    ck_assert_int_eq(read_records(&pair, &records), -ESHUTDOWN);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), -ESHUTDOWN);
    ck_assert_int_eq(reader_add(pair.reader, &pair.source), -ESHUTDOWN);
    ck_assert_int_eq(commit(&pair, NULL), 0);
    pair_close(&pair);
}
END_TEST

START_TEST(rings_are_removed) {
    ring_pair pair;
    record_array records;
    uint64_t reader;
    pair_open(&pair, 0);
    reader = pointer(pair.reader);
    output(&pair, "a", 1, 0);
    ck_assert_int_eq(read_records(&pair, &records), 1);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index), -EBUSY);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index + 1), -EINVAL);
    ck_assert_int_eq(CALL(reader_remove, reader, UINT32_MAX), -EINVAL);
    ck_assert_int_eq(CALL(reader_ring_after, reader, (uint64_t)-1), pair.index);
    ck_assert_int_eq(CALL(reader_ring_after, reader, pair.index), -ENOENT);
    ck_assert_int_eq(CALL(reader_ring_after, reader, INT32_MAX), -ENOENT);
    ck_assert_int_eq(CALL(reader_ring_after, reader, (uint64_t)-2), -EINVAL);
    ck_assert_int_eq(commit(&pair, NULL), 0);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index), 0);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index), -EINVAL);
    ck_assert_int_eq(CALL(reader_ring_after, reader, (uint64_t)-1), -ENOENT);
    pair_close(&pair);
}
END_TEST

START_TEST(second_reader_is_refused) {
    ring_pair pair;
    void *second;
    const char *message;
    pair_open(&pair, 0);
    second = reader_open(0);
    message = (const char *)(uintptr_t)CALL(reader_message, pointer(second));
    ck_assert_str_eq(message, "");
    ck_assert_int_eq(reader_add(second, &pair.source), -EBUSY);
    message = (const char *)(uintptr_t)CALL(reader_message, pointer(second));
    ck_assert_str_ne(message, "");
    SET(pair.source.bytes, source, flags, RBCORE_SOURCE_INSIST);
    ck_assert_int_ge(reader_add(second, &pair.source), 0);
    reader_free(second);
    pair_close(&pair);
}
END_TEST

START_TEST(references) {
    ring_pair pair;
    record_array records;
    pair_open(&pair, 0);
    ck_assert_int_eq(CALL(reader_ref, pointer(pair.reader)), 0);
    reader_free(pair.reader);
    output(&pair, "a", 1, 0);
    ck_assert_int_eq(read_records(&pair, &records), 1);
    assert_record(&pair, records.bytes[0], 0, "a", 1);
    pair_close(&pair);
}
END_TEST

void add_ring_tests(Suite *suite) {
    TCase *group = tcase_create("rings");
    tcase_add_test(group, records_are_read_and_committed);
    tcase_add_test(group, snapshots);
    tcase_add_test(group, snapshots_as_files);
    tcase_add_test(group, held_records_as_a_file);
    tcase_add_test(group, records_are_released_in_any_order);
    tcase_add_test(group, records_are_written_in_batches);
    tcase_add_test(group, identity_of_a_record);
    tcase_add_test(group, latest_skips_what_is_there);
    tcase_add_test(group, wakeups_and_flags);
    tcase_add_test(group, timeouts);
    tcase_add_test(group, runs_of_equal_records);
    tcase_add_test(group, interrupt_flush_and_shutdown);
    tcase_add_test(group, rings_are_removed);
    tcase_add_test(group, second_reader_is_refused);
    tcase_add_test(group, references);
    suite_add_tcase(suite, group);
}
