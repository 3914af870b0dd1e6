/* SPDX-License-Identifier: MIT */
/* What most conformance tests need: a memory ring with a reader and a producer, and their calls. */
#ifndef RBCORE_ABI_PAIR_H
#define RBCORE_ABI_PAIR_H

#include <check.h>

#include "foreign.h"

/* A multiple of every page size that Linux has. */
#define RING_SIZE 65536

struct ring {
    int fd;
    int event_fd;
};

/* A ring with a reader and a producer, as most tests need it. */
struct pair {
    struct ring ring;
    struct memory source;
    void *reader;
    void *producer;
    void *snapshot; /* taken while the ring was empty */
    unsigned int index;
};

#define COOKIE UINT64_C(0xfedcba9876543210)

#define RECORDS 8
#define RECORD_SIZE 24
#define SPAN_SIZE 32

struct records {
    _Alignas(8) unsigned char bytes[RECORDS][RECORD_SIZE];
};

uint64_t handle(void *const *h);
void assert_bytes(const struct memory *m, size_t begin, size_t past, int value);
void set_size(struct memory *m, size_t size);
struct ring ring_create(void);
void ring_close(struct ring ring);
void source_of(struct memory *source, struct ring ring);
void *reader_open(uint64_t flags);
void reader_free(void *reader);
int64_t reader_add(void *reader, const struct memory *source);
int64_t open_then_add(const struct memory *source);
void *producer_open(const struct memory *source);
int64_t open_producer_then_free(const struct memory *source);
void pair_open(struct pair *pair, uint64_t flags);
void pair_close(struct pair *pair);
void output(const struct pair *pair, const void *data, size_t size, uint64_t flags);
int64_t read_records(const struct pair *pair, struct records *records);
int64_t next_records(const struct pair *pair, struct records *records, int64_t timeout_ns);
int64_t commit(const struct pair *pair, const unsigned char *last);
void assert_record(const struct pair *pair, const unsigned char *record, uint64_t position,
                   const char *data, size_t size);
void ring_stats(const struct pair *pair, struct memory *stats);

#endif /* RBCORE_ABI_PAIR_H */
