/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/*
 * Whether this machine lacks what a test needs: an emulated one, whose build names such tests in
 * the environment, or `*` for all of a program.
 */
static bool is_left_out(const char *test) {
    const char *names = getenv("RBCORE_LEAVE_OUT"), *reason = getenv("RBCORE_LEAVE_OUT_REASON");
    for (size_t length; names && *names; names += length) {
        names += strspn(names, " ");
        length = strcspn(names, " ");
        bool is_named = length == strlen(test) && strncmp(names, test, length) == 0;
        if (is_named || strcmp(names, "*") == 0) {
            printf("skipped: %s: %s\n", test, reason ? reason : "left out by RBCORE_LEAVE_OUT");
            return true;
        }
    }
    return false;
}

static int run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    fflush(stdout); /* the tests are forked, and would print it again */
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int run_loop_tests(const char *name, const loop_test *tests) {
    Suite *suite = suite_create(name);
    size_t added = 0;
    for (; tests->test; tests++) {
        if (is_left_out(tests->test->name)) {
            continue;
        }
        added++;
        TCase *tcase = tcase_create(tests->test->name);
        tcase_set_timeout(tcase, 100);
        tcase_add_loop_test(tcase, tests->test, 0, tests->count);
        suite_add_tcase(suite, tcase);
    }
    int result = run_suite(suite);
    return added ? result : 77;
}

int run_tests(const char *name, const TTest *const *tests) {
    loop_test once[100] = {{0}};
    for (size_t i = 0; tests[i]; i++) {
        if (i + 1 == sizeof(once) / sizeof(*once)) {
            abort();
        }
        once[i] = (loop_test){tests[i], 1};
    }
    return run_loop_tests(name, once);
}

void skip(const char *reason) {
    printf("skipped: %s\n", reason);
    exit(77);
}

bool thread_sanitizer(void) {
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return false;
#endif
}

size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

rbcore_source memory_source(int memory_fd, int event_fd) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    source.fd = memory_fd;
    source.event_fd = event_fd;
    return source;
}

rbcore_producer *producer_on(int memory_fd, int event_fd) {
    rbcore_source source = memory_source(memory_fd, event_fd);
    rbcore_producer *producer = NULL;
    ok(rbcore_producer_open(&producer, &source));
    return producer;
}

fixture fixture_add(rbcore_reader *reader, size_t ring_size) {
    fixture self = {.reader = reader};
    ok(rbcore_memory_ring_create(&self.memory_fd, &self.event_fd, ring_size, 0));
    rbcore_source source = memory_source(self.memory_fd, self.event_fd);
    int ring = rbcore_reader_add(reader, &source);
    ck_assert_msg(ring >= 0, "add: %s", rbcore_reader_message(reader));
    self.ring = (unsigned int)ring;
    self.producer = producer_on(self.memory_fd, self.event_fd);
    return self;
}

void fixture_drop(fixture *self) {
    rbcore_producer_free(self->producer);
    close(self->memory_fd);
    close(self->event_fd);
}

fixture fixture_open(size_t ring_size, uint64_t reader_flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = reader_flags;
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, &options));
    return fixture_add(reader, ring_size);
}

void fixture_close(fixture *self) {
    rbcore_reader_free(self->reader);
    fixture_drop(self);
}

int read_to_end(rbcore_reader *reader, rbcore_record *records, size_t max) {
    size_t count = 0;
    int n = 1;
    while (n > 0 && count < max) {
        n = rbcore_reader_read(reader, records + count, max - count);
        count += n > 0 ? (size_t)n : 0;
    }
    return count > 0 ? (int)count : n;
}

rbcore_reader *reader_on(const fixture *ring, uint64_t reader_flags, uint32_t source_flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = reader_flags;
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, &options));
    rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    source.flags = source_flags;
    int index = rbcore_reader_add(reader, &source);
    ck_assert_msg(index == 0, "add: %d, %s", index, rbcore_reader_message(reader));
    return reader;
}

void produce(const fixture *self, uint64_t value) {
    ok(rbcore_producer_output(self->producer, &value, sizeof(value), 0));
}

uint64_t value_of(const rbcore_record *record) {
    uint64_t value;
    if (record->size != sizeof(value)) {
        ck_abort_msg("a record of %u bytes", record->size);
    }
    memcpy(&value, record->data, sizeof(value));
    return value;
}

uint64_t record_space(uint64_t size) {
    return (size + HEADER_SIZE + 7) / 8 * 8;
}

uint64_t end_of(const rbcore_record *record) {
    return record->position + record_space(record->size);
}

rbcore_ring_stats ring_stats(const fixture *self) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ok(rbcore_reader_ring_stats(self->reader, self->ring, &stats));
    return stats;
}

rbcore_reader_stats reader_stats(rbcore_reader *reader) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    ok(rbcore_reader_stats_get(reader, &stats));
    return stats;
}

image image_map(int memory_fd) {
    struct stat status;
    ok(fstat(memory_fd, &status));
    size_t size = (size_t)status.st_size;
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    return (image){
        .base = base,
        .ring_size = size - 2 * page_size(),
        .consumer_pos = (uint64_t *)(void *)base,
        .producer_pos = (uint64_t *)(void *)(base + page_size()),
        .data = base + 2 * page_size(),
    };
}

void image_unmap(const image *self) {
    munmap(self->base, self->ring_size + 2 * page_size());
}

uint32_t *image_header(const image *self, uint64_t position) {
    return (uint32_t *)(void *)(self->data + (position & (self->ring_size - 1)));
}

uint64_t image_load(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

void image_store(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

void image_store_header(const image *self, uint64_t position, uint32_t length) {
    __atomic_store_n(image_header(self, position), length, __ATOMIC_SEQ_CST);
}

bool readable(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int n;
    do {
        n = poll(&poll_fd, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n == 1 && (poll_fd.revents & POLLIN);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void sleep_ms(unsigned int ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {
    }
}

unsigned int open_fds(void) {
    unsigned int n = 0;
    DIR *directory = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(directory);
    while (readdir(directory)) {
        n++;
    }
    closedir(directory);
    return n;
}

uint32_t random_next(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

pid_t start_child(int (*body)(void *), void *argument) {
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        /* A test that fails must not leave its children behind. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(body(argument));
    }
    return pid;
}

int wait_child(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        ck_assert_int_eq(errno, EINTR);
    }
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(int (*body)(void *), void *argument) {
    return wait_child(start_child(body, argument));
}
