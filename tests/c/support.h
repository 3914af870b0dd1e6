/* SPDX-License-Identifier: MIT */
/* The tests share this: a ring with its reader and producer, the ring's raw image, processes. */
#ifndef RBCORE_TESTS_SUPPORT_H
#define RBCORE_TESTS_SUPPORT_H

#include <rbcore/rbcore.h>

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Long enough for any step on a loaded machine; only a failing test ever waits that long. */
#define WATCHDOG_MS 20000
#define WATCHDOG_NS (WATCHDOG_MS * INT64_C(1000000))

/* The kernel's layout of a record's header, written down here once more on purpose. */
#define BUSY (UINT32_C(1) << 31)
#define DISCARDED (UINT32_C(1) << 30)
#define HEADER_SIZE 8

/* Tells check nothing as long as all is well: that makes a system call, too slow for hot loops. */
#define ok(call)                                                                                   \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ != 0) {                                                                        \
            ck_abort_msg("%s: %d (%s)", #call, result_, rbcore_strerror(result_));                 \
        }                                                                                          \
    } while (0)

/* Runs the tests, a NULL-terminated list; returns what main should return. */
int run_tests(const char *name, const TTest *const *tests);

/* A test with how often it is run, with _i from 0 on. A list of them ends with that of no test. */
typedef struct loop_test {
    const TTest *test;
    int count;
} loop_test;

/* The same for such a list. */
int run_loop_tests(const char *name, const loop_test *tests);

/* Tells why this program cannot run here, and ends it with the exit code for "skipped". */
void skip(const char *reason);

/* True where the library and the test were built for ThreadSanitizer. */
bool thread_sanitizer(void);

size_t page_size(void);

/* A memory ring with one reader and one producer. */
typedef struct fixture {
    int memory_fd;
    int event_fd;
    rbcore_reader *reader;
    rbcore_producer *producer;
    unsigned int ring;
} fixture;

rbcore_source memory_source(int memory_fd, int event_fd);
fixture fixture_open(size_t ring_size, uint64_t reader_flags);
void fixture_close(fixture *self);

/* A further ring for a reader that exists: its producer only. */
fixture fixture_add(rbcore_reader *reader, size_t ring_size);
void fixture_drop(fixture *self);

rbcore_reader *reader_on(const fixture *ring, uint64_t reader_flags, uint32_t source_flags);
rbcore_producer *producer_on(int memory_fd, int event_fd);

/*
 * Reads until nothing is found, without giving back: each read takes a quarter of a ring at most.
 * Returns how many records they found together, or the error of the first.
 */
int read_to_end(rbcore_reader *reader, rbcore_record *records, size_t max);

/* Produces a record whose 8 bytes are value. */
void produce(const fixture *self, uint64_t value);
uint64_t value_of(const rbcore_record *record);

/* Space that a record of size bytes takes in the ring. */
uint64_t record_space(uint64_t size);
uint64_t end_of(const rbcore_record *record);

rbcore_ring_stats ring_stats(const fixture *self);
rbcore_reader_stats reader_stats(rbcore_reader *reader);

/* The ring as it lies in the memfd, in a mapping of the test's own. */
typedef struct image {
    uint8_t *base;
    size_t ring_size;
    uint64_t *consumer_pos;
    uint64_t *producer_pos;
    uint8_t *data;
} image;

image image_map(int memory_fd);
void image_unmap(const image *self);
uint32_t *image_header(const image *self, uint64_t position);
uint64_t image_load(const uint64_t *word);
void image_store(uint64_t *word, uint64_t value);
void image_store_header(const image *self, uint64_t position, uint32_t length);

bool readable(int fd, int timeout_ms);
uint64_t now_ns(void);
uint64_t cpu_ns(void); /* of this process */
void sleep_ms(unsigned int ms);
unsigned int open_fds(void);

/* A small generator of pseudo-random numbers: the same numbers in each run. */
uint32_t random_next(uint64_t *state);

/* Runs body in a child and returns what it returned, or 256 + signal. */
int in_child(int (*body)(void *), void *argument);
pid_t start_child(int (*body)(void *), void *argument);
int wait_child(pid_t pid);

#endif
