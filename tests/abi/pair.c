/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <string.h>
#include <unistd.h>

uint64_t handle(void *const *h) {
    return pointer(*h);
}

void assert_bytes(const abi_memory *m, size_t begin, size_t past, int value) {
    for (size_t i = begin; i < past; i++) {
        ck_assert_msg(m->bytes[i] == value, "byte %zu is %#x, not %#x", i, m->bytes[i], value);
    }
}

void set_size(abi_memory *m, size_t size) {
    memcpy(m->bytes, &size, sizeof(size));
}

abi_ring ring_create(void) {
    abi_ring ring = {-1, -1};
    ck_assert_int_eq(
        CALL(memory_ring_create, pointer(&ring.fd), pointer(&ring.event_fd), RING_SIZE, 0), 0);
    return ring;
}

void ring_close(abi_ring ring) {
    close(ring.fd);
    close(ring.event_fd);
}

void source_of(abi_memory *source, abi_ring ring) {
    size_t size = size_of("rbcore_source");
    memset(source, 0, sizeof(*source));
    ck_assert_int_eq(CALL(source_init, pointer(source), size), 0);
    SET(source->bytes, source, kind, RBCORE_SOURCE_MEMORY_RING);
    SET(source->bytes, source, fd, ring.fd);
    SET(source->bytes, source, event_fd, ring.event_fd);
}

void *reader_open(uint64_t flags) {
    abi_memory options;
    void *reader = NULL;
    memset(&options, 0, sizeof(options));
    ck_assert_int_eq(CALL(reader_options_init, pointer(&options), size_of("rbcore_reader_options")),
                     0);
    SET(options.bytes, reader_options, flags, flags);
    ck_assert_int_eq(CALL(reader_open, pointer(&reader), pointer(&options)), 0);
    ck_assert_ptr_nonnull(reader);
    return reader;
}

void reader_free(void *reader) {
    CALL(reader_free, pointer(reader));
}

int64_t reader_add(void *reader, const abi_memory *source) {
    return CALL(reader_add, pointer(reader), pointer(source));
}

int64_t open_then_add(const abi_memory *source) {
    void *reader = reader_open(0);
    int64_t result = reader_add(reader, source);
    reader_free(reader);
    return result;
}

void *producer_open(const abi_memory *source) {
    void *producer = NULL;
    ck_assert_int_eq(CALL(producer_open, pointer(&producer), pointer(source)), 0);
    ck_assert_ptr_nonnull(producer);
    return producer;
}

int64_t open_producer_then_free(const abi_memory *source) {
    void *producer = NULL;
    int64_t result = CALL(producer_open, pointer(&producer), pointer(source));
    if (result == 0) {
        CALL(producer_free, pointer(producer));
    }
    return result;
}

void pair_open(ring_pair *pair, uint64_t flags) {
    int64_t index;
    pair->ring = ring_create();
    source_of(&pair->source, pair->ring);
    SET(pair->source.bytes, source, cookie, COOKIE);
    pair->reader = reader_open(flags);
    pair->producer = producer_open(&pair->source);
    index = reader_add(pair->reader, &pair->source);
    ck_assert_int_ge(index, 0);
    ck_assert_int_lt(index, (int64_t)RBCORE_RINGS_MAX);
    pair->index = (unsigned int)index;
    pair->snapshot = NULL;
    ck_assert_int_eq(
        CALL(reader_snapshot, pointer(pair->reader), pair->index, pointer(&pair->snapshot), 0), 0);
    ck_assert_ptr_nonnull(pair->snapshot);
}

void pair_close(ring_pair *pair) {
    CALL(snapshot_free, pointer(pair->snapshot));
    reader_free(pair->reader);
    CALL(producer_free, pointer(pair->producer));
    ring_close(pair->ring);
}

void output(const ring_pair *pair, const void *data, size_t size, uint64_t flags) {
    ck_assert_int_eq(CALL(producer_output, pointer(pair->producer), pointer(data), size, flags), 0);
}

int64_t read_records(const ring_pair *pair, record_array *records) {
    return CALL(reader_read, pointer(pair->reader), pointer(records), RECORDS);
}

int64_t next_records(const ring_pair *pair, record_array *records, int64_t timeout_ns) {
    return CALL(reader_next, pointer(pair->reader), pointer(records), RECORDS,
                (uint64_t)timeout_ns);
}

int64_t commit(const ring_pair *pair, const unsigned char *last) {
    return CALL(reader_commit, pointer(pair->reader), pointer(last), 0);
}

void assert_record(const ring_pair *pair, const unsigned char *record, uint64_t position,
                   const char *data, size_t size) {
    uint64_t address = GET(record, record, data);
    ck_assert_uint_eq(GET(record, record, position), position);
    ck_assert_uint_eq(GET(record, record, size), size);
    ck_assert_uint_eq(GET(record, record, ring), pair->index);
    ck_assert_uint_eq(GET(record, record, flags), 0);
    ck_assert_uint_ne(address, 0);
    ck_assert_uint_eq(address % 8, 0);
    ck_assert_int_eq(memcmp((const void *)(uintptr_t)address, data, size), 0);
}

void ring_stats(const ring_pair *pair, abi_memory *stats) {
    memset(stats, UNTOUCHED, sizeof(*stats));
    ck_assert_int_eq(CALL(ring_stats_init, pointer(stats), size_of("rbcore_ring_stats")), 0);
    ck_assert_int_eq(CALL(reader_ring_stats, pointer(pair->reader), pair->index, pointer(stats)),
                     0);
}
