/* SPDX-License-Identifier: MIT */
/* The kernel tests share this: rings with their producers, and readers for them. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "../support/layout.h"
#include "../support/machine.h"
#include "../support/readers.h"
#include "../support/suite.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "produce.h"
#include "produce.skel.h"

/*
 * The main function of a test: runs suite, or says why it cannot and returns SKIPPED. missing is an
 * own reason, or NULL.
 */
int run_kernel_tests(Suite *suite, const char *missing);

/* Bytes of so many pages: what ring sizes are made of. */
size_t pages(size_t count);

/* A ring of size bytes with programs of its own, loaded anew; freed by produce__destroy. */
struct produce *load_ring(size_t size);
int ring_fd(const struct produce *ring);
int loss_fd(const struct produce *ring);
uint32_t map_id(int map_fd);

/* One record whose data is the pattern from offset on. Returns 0 or the helper's error. */
int emit(struct produce *ring, uint32_t size, uint32_t offset, uint64_t flags);
int emit_dynptr(struct produce *ring, uint32_t size, uint32_t offset, uint64_t flags);
int emit_discard(struct produce *ring, uint32_t size, uint64_t flags);
bool is_pattern(const struct produce *ring, const void *data, uint32_t size, uint32_t offset);

/* Runs the program produce with these arguments, in this thread. */
void produce(struct produce *ring, struct produce_args *args);

rbcore_source source_of(const struct produce *ring);
/* A reader that has this ring as its ring 0. */
rbcore_reader *open_ring(const struct produce *ring, uint32_t flags);

/* Adds to a new reader. Returns the result, and frees the reader again. */
int add_result(const rbcore_source *source);

/* A list of records: each one's size and data, for comparison. */
typedef struct record_log {
    unsigned char *bytes;
    size_t length, capacity, records;
} record_log;
void log_record(record_log *log, const void *data, uint32_t size);
/* Returns all that libbpf's own reader finds in the ring, which it gives back. */
record_log consume_by_libbpf(const struct produce *ring);
void assert_same_log(const record_log *ours, const record_log *theirs);

#endif
