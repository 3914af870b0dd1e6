/* SPDX-License-Identifier: MIT */
/* The kernel tests share this: rings with their producers, and readers for them. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <rbcore/rbcore.h>
#include <stdbool.h>

#include "produce.h"
#include "produce.skel.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* A wait that must be ended by an event: only what hangs needs this long. */
#define WATCHDOG (20 * SECOND)

#define SKIPPED 77

/* Whether an emulator runs us, as the script `matrix` tells: how long things take says nothing. */
bool is_emulated(void);

/*
 * The main function of a test: runs suite, or says why it cannot and returns SKIPPED. missing is an
 * own reason, or NULL.
 */
int run_tests(Suite *suite, const char *missing);

/* Adds a case of the test's name, with a time limit that only a hang reaches. */
void add_test(Suite *suite, const TTest *test);
/* The same for a test that runs count times, with _i from 0 on. */
void add_loop_test(Suite *suite, const TTest *test, size_t count);

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

/* The bytes that a record of size bytes takes in the ring. */
uint64_t room_of(uint64_t size);

rbcore_reader *open_reader(uint64_t flags);
rbcore_source source_of(const struct produce *ring);
/* A reader that has this ring as its ring 0. */
rbcore_reader *open_ring(const struct produce *ring, uint64_t flags);
rbcore_ring_stats ring_stats(rbcore_reader *reader, unsigned int ring);

/*
 * Reads until nothing is found, without giving back: each read takes a quarter of a ring at most.
 */
int read_to_end(rbcore_reader *reader, rbcore_record *records, size_t max);

/* Adding to a new reader: the result, and the reader freed again. */
int add_result(const rbcore_source *source);

/* A list of records: each one's size and data, for comparison. */
typedef struct record_log {
    unsigned char *bytes;
    size_t length, capacity, records;
} record_log;
void log_record(record_log *log, const void *data, uint32_t size);
/* All that libbpf's own reader finds in the ring, which it gives back. */
record_log consume_by_libbpf(const struct produce *ring);
void assert_same_log(const record_log *ours, const record_log *theirs);

int64_t now(void);
/* Whether the reader's descriptor is readable, within a time. */
bool reader_is_readable(const rbcore_reader *reader, int timeout_ms);

int64_t thread_cpu_time(void);
/* For threads to get into a wait; no test's result depends on its being long enough. */
void sleep_ms(unsigned int ms);
void pin_to_cpu(unsigned int cpu);

#endif
