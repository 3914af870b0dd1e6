/* SPDX-License-Identifier: MIT */
/* Most conformance tests need this: a memory ring with a reader and a producer, and their calls. */
#ifndef RBCORE_ABI_PAIR_H
#define RBCORE_ABI_PAIR_H

#include <check.h>

#include "foreign.h"

/* A multiple of every page size that Linux has. */
#define RING_SIZE 65536

typedef struct abi_ring {
    int fd;
    int event_fd;
} abi_ring;

/* A ring with a reader and a producer, as most tests need it. */
typedef struct ring_pair {
    abi_ring ring;
    abi_memory source;
    void *reader;
    void *producer;
    void *snapshot; /* taken while the ring was empty */
    unsigned int index;
} ring_pair;

#define COOKIE UINT64_C(0xfedcba9876543210)

#define RECORDS 8
#define RECORD_SIZE 24
#define SPAN_SIZE 32

typedef struct record_array {
    _Alignas(8) unsigned char bytes[RECORDS][RECORD_SIZE];
} record_array;

uint64_t handle(void *const *h);
void assert_bytes(const abi_memory *m, size_t begin, size_t past, int value);
void set_size(abi_memory *m, size_t size);
abi_ring ring_create(void);
void ring_close(abi_ring ring);
void source_of(abi_memory *source, abi_ring ring);
void *reader_open(uint64_t flags);
void reader_free(void *reader);
int64_t reader_add(void *reader, const abi_memory *source);
int64_t open_then_add(const abi_memory *source);
void *producer_open(const abi_memory *source);
int64_t open_producer_then_free(const abi_memory *source);
void pair_open(ring_pair *pair, uint64_t flags);
void pair_close(ring_pair *pair);
void output(const ring_pair *pair, const void *data, size_t size, uint64_t flags);
int64_t read_records(const ring_pair *pair, record_array *records);
int64_t next_records(const ring_pair *pair, record_array *records, int64_t timeout_ns);
int64_t commit(const ring_pair *pair, const unsigned char *last);
void assert_record(const ring_pair *pair, const unsigned char *record, uint64_t position,
                   const char *data, size_t size);
void ring_stats(const ring_pair *pair, abi_memory *stats);

#endif /* RBCORE_ABI_PAIR_H */
