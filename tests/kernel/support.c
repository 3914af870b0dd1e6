/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool bpf_is_permitted(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)page_size(), NULL);
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

int run_kernel_tests(Suite *suite, const char *missing) {
    static char reason[128];
    if (!bpf_is_permitted()) {
        snprintf(reason, sizeof(reason), "bpf(2) does not create a ring for user %d: %s", geteuid(),
                 strerror(errno));
        missing = reason;
    }
    if (missing) {
        printf("skipped: %s\n", missing);
        srunner_free(srunner_create(suite));
        return SKIPPED;
    }
    printf("reference: libbpf %s\n", libbpf_version_string());
    return run_suite(suite);
}

size_t pages(size_t count) {
    return count * page_size();
}

struct produce *load_ring(size_t size) {
    struct produce *ring = produce__open();
    ck_assert_ptr_nonnull(ring);
    ck_assert_int_eq(bpf_map__set_max_entries(ring->maps.events, (uint32_t)size), 0);
    ck_assert_int_eq(produce__load(ring), 0);
    uint32_t state = 1;
    for (size_t i = 0; i < PATTERN_SIZE; i++) {
        state = state * 1664525 + 1013904223;
        ring->bss->pattern[i] = (unsigned char)(state >> 24);
    }
    return ring;
}

int ring_fd(const struct produce *ring) {
    return bpf_map__fd(ring->maps.events);
}

int loss_fd(const struct produce *ring) {
    return bpf_map__fd(ring->maps.events_lost);
}

uint32_t map_id(int map_fd) {
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);
    ck_assert_int_eq(bpf_obj_get_info_by_fd(map_fd, &info, &size), 0);
    return info.id;
}

/* Runs a syscall program in this thread, which gets and may change *context. */
static int run(const struct bpf_program *program, void *context, uint32_t size) {
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = size);
    ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
    return (int)opts.retval;
}

int emit(struct produce *ring, uint32_t size, uint32_t offset, uint64_t flags) {
    struct emit_args args = {.size = size, .offset = offset, .flags = flags};
    return run(ring->progs.emit, &args, sizeof(args));
}

int emit_dynptr(struct produce *ring, uint32_t size, uint32_t offset, uint64_t flags) {
    struct emit_args args = {.size = size, .offset = offset, .flags = flags};
    return run(ring->progs.emit_dynptr, &args, sizeof(args));
}

int emit_discard(struct produce *ring, uint32_t size, uint64_t flags) {
    struct emit_args args = {.size = size, .flags = flags, .discard = 1};
    return run(ring->progs.emit_dynptr, &args, sizeof(args));
}

bool is_pattern(const struct produce *ring, const void *data, uint32_t size, uint32_t offset) {
    return memcmp(data, ring->bss->pattern + offset, size) == 0;
}

void produce(struct produce *ring, struct produce_args *args) {
    run(ring->progs.produce, args, sizeof(*args));
}

rbcore_source source_of(const struct produce *ring) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = ring_fd(ring);
    source.loss_fd = loss_fd(ring);
    return source;
}

rbcore_reader *open_ring(const struct produce *ring, uint32_t flags) {
    rbcore_reader *reader = open_reader(flags);
    rbcore_source source = source_of(ring);
    ck_assert_uint_eq(add_source(reader, &source), 0);
    return reader;
}

/* What is no ring for a reader is none to be looked at, for the same reason. */
static void expect_look(const rbcore_source *source, int add_result) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    bool is_for_readers = add_result == -EBUSY || add_result == -EOPNOTSUPP || source->flags != 0;
    ck_assert_int_eq(rbcore_source_ring_stats(source, &stats),
                     is_for_readers || add_result > 0 ? 0 : add_result);
}

int add_result(const rbcore_source *source) {
    rbcore_reader *reader = open_reader(0);
    int result = rbcore_reader_add(reader, source);
    rbcore_reader_free(reader);
    expect_look(source, result);
    return result;
}

void log_record(record_log *log, const void *data, uint32_t size) {
    size_t length = log->length + sizeof(size) + size;
    if (length > log->capacity) {
        log->capacity = 2 * length;
        log->bytes = realloc(log->bytes, log->capacity);
        ck_assert_ptr_nonnull(log->bytes);
    }
    memcpy(log->bytes + log->length, &size, sizeof(size));
    memcpy(log->bytes + log->length + sizeof(size), data, size);
    log->length = length;
    log->records++;
}

static int log_sample(void *context, void *data, size_t size) {
    log_record(context, data, (uint32_t)size);
    return 0;
}

record_log consume_by_libbpf(const struct produce *ring) {
    record_log log = {0};
    struct ring_buffer *reader = ring_buffer__new(ring_fd(ring), log_sample, &log, NULL);
    ck_assert_ptr_nonnull(reader);
    ck_assert_int_eq(ring_buffer__consume(reader), (int)log.records);
    ring_buffer__free(reader);
    return log;
}

void assert_same_log(const record_log *ours, const record_log *theirs) {
    ck_assert_uint_eq(ours->records, theirs->records);
    ck_assert_uint_eq(ours->length, theirs->length);
    if (ours->length) {
        ck_assert_mem_eq(ours->bytes, theirs->bytes, ours->length);
    }
}
