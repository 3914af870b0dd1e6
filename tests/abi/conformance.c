/* SPDX-License-Identifier: MIT */
/*
 * Calls every function of the installed librbcore.so through libffi, as a foreign language does:
 * what it knows of the ABI is abi_table.h, not rbcore.h.
 * usage: conformance LIBRARY SYMBOL_MAP
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foreign.h"

static uint64_t handle(void *const *h) {
    return pointer(*h);
}

static void assert_bytes(const struct memory *m, size_t begin, size_t past, int value) {
    for (size_t i = begin; i < past; i++)
        ck_assert_msg(m->bytes[i] == value, "byte %zu is %#x, not %#x", i, m->bytes[i], value);
}

static void set_size(struct memory *m, size_t size) {
    memcpy(m->bytes, &size, sizeof(size));
}

/* ---- Rings, sources, handles --------------------------------------------------------------- */

/* A multiple of every page size that Linux has. */
#define RING_SIZE 65536

struct ring {
    int fd;
    int event_fd;
};

static struct ring ring_create(void) {
    struct ring ring = {-1, -1};

    ck_assert_int_eq(
        CALL(memory_ring_create, pointer(&ring.fd), pointer(&ring.event_fd), RING_SIZE, 0), 0);
    return ring;
}

static void ring_close(struct ring ring) {
    close(ring.fd);
    close(ring.event_fd);
}

static void source_of(struct memory *source, struct ring ring) {
    size_t size = size_of("rbcore_source");

    memset(source, 0, sizeof(*source));
    ck_assert_int_eq(CALL(source_init, pointer(source), size), 0);
    SET(source->bytes, source, kind, RBCORE_SOURCE_MEMORY_RING);
    SET(source->bytes, source, fd, ring.fd);
    SET(source->bytes, source, event_fd, ring.event_fd);
}

static void *reader_open(uint64_t flags) {
    struct memory options;
    void *reader = NULL;

    memset(&options, 0, sizeof(options));
    ck_assert_int_eq(CALL(reader_options_init, pointer(&options), size_of("rbcore_reader_options")),
                     0);
    SET(options.bytes, reader_options, flags, flags);
    ck_assert_int_eq(CALL(reader_open, pointer(&reader), pointer(&options)), 0);
    ck_assert_ptr_nonnull(reader);
    return reader;
}

static void reader_free(void *reader) {
    CALL(reader_free, pointer(reader));
}

static int64_t reader_add(void *reader, const struct memory *source) {
    return CALL(reader_add, pointer(reader), pointer(source));
}

static int64_t open_then_add(const struct memory *source) {
    void *reader = reader_open(0);
    int64_t result = reader_add(reader, source);

    reader_free(reader);
    return result;
}

static void *producer_open(const struct memory *source) {
    void *producer = NULL;

    ck_assert_int_eq(CALL(producer_open, pointer(&producer), pointer(source)), 0);
    ck_assert_ptr_nonnull(producer);
    return producer;
}

static int64_t open_producer_then_free(const struct memory *source) {
    void *producer = NULL;
    int64_t result = CALL(producer_open, pointer(&producer), pointer(source));

    if (result == 0)
        CALL(producer_free, pointer(producer));
    return result;
}

/* A ring with a reader and a producer, as most tests need it. */
struct pair {
    struct ring ring;
    struct memory source;
    void *reader;
    void *producer;
    unsigned int index;
};

#define COOKIE UINT64_C(0xfedcba9876543210)

static void pair_open(struct pair *pair, uint64_t flags) {
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
}

static void pair_close(struct pair *pair) {
    reader_free(pair->reader);
    CALL(producer_free, pointer(pair->producer));
    ring_close(pair->ring);
}

static void output(const struct pair *pair, const void *data, size_t size, uint64_t flags) {
    ck_assert_int_eq(CALL(producer_output, pointer(pair->producer), pointer(data), size, flags), 0);
}

#define RECORDS 8
#define RECORD_SIZE 24

struct records {
    _Alignas(8) unsigned char bytes[RECORDS][RECORD_SIZE];
};

static int64_t read_records(const struct pair *pair, struct records *records) {
    return CALL(reader_read, pointer(pair->reader), pointer(records), RECORDS);
}

static int64_t next_records(const struct pair *pair, struct records *records, int64_t timeout_ns) {
    return CALL(reader_next, pointer(pair->reader), pointer(records), RECORDS,
                (uint64_t)timeout_ns);
}

static int64_t commit(const struct pair *pair, const unsigned char *last) {
    return CALL(reader_commit, pointer(pair->reader), pointer(last), 0);
}

static void assert_record(const struct pair *pair, const unsigned char *record, uint64_t position,
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

static void ring_stats(const struct pair *pair, struct memory *stats) {
    memset(stats, UNTOUCHED, sizeof(*stats));
    ck_assert_int_eq(CALL(ring_stats_init, pointer(stats), size_of("rbcore_ring_stats")), 0);
    ck_assert_int_eq(CALL(reader_ring_stats, pointer(pair->reader), pair->index, pointer(stats)),
                     0);
}

/* ---- The library --------------------------------------------------------------------------- */

START_TEST(version_is_the_tables) {
    ck_assert_uint_eq((uint64_t)call("rbcore_version", 0, NULL), RBCORE_VERSION);
}
END_TEST

START_TEST(features) {
    int64_t kernel = CALL(supports, RBCORE_FEATURE_KERNEL_RING);

    ck_assert_int_eq(CALL(supports, RBCORE_FEATURE_MEMORY_RING), 1);
    ck_assert(kernel == 1 || kernel == 0 || kernel == -EPERM);
    ck_assert_int_eq(CALL(supports, 0), 0);
    ck_assert_int_eq(CALL(supports, UINT32_MAX), 0);
}
END_TEST

START_TEST(errors_have_sentences) {
    static const int errors[] = {EINVAL, EBUSY, EBADMSG, ESHUTDOWN, ECANCELED, ENODATA, E2BIG};

    for (size_t i = 0; i < COUNT(errors); i++) {
        const char *negative = (const char *)(uintptr_t)CALL(strerror, (uint64_t)-errors[i]);
        const char *positive = (const char *)(uintptr_t)CALL(strerror, (uint64_t)errors[i]);

        ck_assert_ptr_nonnull(negative);
        ck_assert_str_ne(negative, "");
        ck_assert_str_eq(negative, positive);
    }
    ck_assert_int_ne(CALL(strerror, (uint64_t)INT_MIN), 0);
    ck_assert_int_ne(CALL(strerror, 0), 0);
}
END_TEST

/* ---- The _init functions ------------------------------------------------------------------- */

static const char *const sized_structs[] = {"rbcore_source", "rbcore_reader_options",
                                            "rbcore_reader_stats", "rbcore_ring_stats",
                                            "rbcore_identity"};

static int64_t init(const char *type, struct memory *m, size_t size) {
    char name[64];

    memset(m, UNTOUCHED, sizeof(*m));
    snprintf(name, sizeof(name), "%s_init", type);
    return call(name, 2, VALUES(pointer(m), size));
}

static void assert_initial(const struct memory *m, const struct field *f, size_t size) {
    uint64_t mask = f->size < 8 ? (UINT64_C(1) << (8 * f->size)) - 1 : UINT64_MAX;

    if (f->offset == 0)
        ck_assert_uint_eq(get_field(m->bytes, f), size);
    else if (f->size > 8)
        assert_bytes(m, f->offset, f->offset + f->size, (int)f->initial);
    else
        ck_assert_msg(get_field(m->bytes, f) == ((uint64_t)f->initial & mask),
                      "%s.%s is %#lx, not %ld", f->type, f->name,
                      (unsigned long)get_field(m->bytes, f), (long)f->initial);
}

/* All fields that size covers have their defaults, what is unknown is 0, what is past is as was. */
static void assert_init(const char *type, size_t size) {
    struct memory m;
    size_t known = size_of(type);

    ck_assert_int_eq(init(type, &m, size), 0);
    for (size_t i = 0; i < COUNT(fields); i++) {
        const struct field *f = &fields[i];

        if (f->name && strcmp(f->type, type) == 0 && f->offset + f->size <= size)
            assert_initial(&m, f, size);
    }
    if (size > known)
        assert_bytes(&m, known, size, 0);
    assert_bytes(&m, size, sizeof(m.bytes), UNTOUCHED);
}

START_TEST(init_functions_fill_the_callers_size) {
    const char *type = sized_structs[_i];
    size_t known = size_of(type);

    assert_init(type, known);
    assert_init(type, 8);
    assert_init(type, known - 8);
    assert_init(type, known + 8);
    assert_init(type, LARGEST);
}
END_TEST

static const size_t absurd_sizes[] = {0, 1, 7, LARGEST + 1, SIZE_MAX};

START_TEST(init_functions_refuse_absurd_sizes) {
    struct memory m;

    for (size_t i = 0; i < COUNT(absurd_sizes); i++) {
        ck_assert_int_eq(init(sized_structs[_i], &m, absurd_sizes[i]), -EINVAL);
        assert_bytes(&m, 0, sizeof(m.bytes), UNTOUCHED);
    }
}
END_TEST

/* ---- Structs that go in -------------------------------------------------------------------- */

typedef int64_t (*try_function)(const struct memory *);

static int64_t try_options(const struct memory *options) {
    void *reader = NULL;
    int64_t result = CALL(reader_open, pointer(&reader), pointer(options));

    if (result == 0)
        reader_free(reader);
    return result;
}

/* m holds a struct of known bytes that try accepts, with zeros behind it. */
static void assert_size_rules(try_function try, struct memory *m, size_t known) {
    static const size_t larger[] = {1, 8, 200};

    ck_assert_int_eq(try(m), 0);
    for (size_t i = 0; i < COUNT(absurd_sizes); i++) {
        set_size(m, absurd_sizes[i]);
        ck_assert_int_eq(try(m), -EINVAL);
    }
    for (size_t i = 0; i < COUNT(larger); i++) {
        size_t size = known + larger[i];

        set_size(m, size);
        ck_assert_int_eq(try(m), 0);
        m->bytes[size] = 1; /* one past the end is none of the library's business */
        ck_assert_int_eq(try(m), 0);
        m->bytes[size] = 0;
        m->bytes[size - 1] = 1;
        ck_assert_int_eq(try(m), -E2BIG);
        m->bytes[size - 1] = 0;
        m->bytes[known] = 1;
        ck_assert_int_eq(try(m), -E2BIG);
        m->bytes[known] = 0;
    }
    set_size(m, LARGEST);
    ck_assert_int_eq(try(m), 0);
    m->bytes[LARGEST - 1] = 0x80;
    ck_assert_int_eq(try(m), -E2BIG);
    m->bytes[LARGEST - 1] = 0;
    set_size(m, known);
}

static void assert_unknown_flags(try_function try, struct memory *m, const struct field *flags,
                                 uint64_t known) {
    uint64_t before = get_field(m->bytes, flags);

    for (unsigned int bit = 0; bit < 8 * flags->size; bit++) {
        if (known >> bit & 1)
            continue;
        set_field(m->bytes, flags, before | UINT64_C(1) << bit);
        ck_assert_msg(try(m) == -EINVAL, "%s: unknown flag, bit %u, is not refused", flags->type,
                      bit);
    }
    set_field(m->bytes, flags, before);
}

START_TEST(reader_options) {
    struct memory options;
    size_t known = size_of("rbcore_reader_options");

    memset(&options, 0, sizeof(options));
    ck_assert_int_eq(CALL(reader_options_init, pointer(&options), known), 0);
    assert_size_rules(try_options, &options, known);
    assert_unknown_flags(try_options, &options, find_field("rbcore_reader_options", "flags"),
                         RBCORE_READER_RELEASE);
    SET(options.bytes, reader_options, flags, RBCORE_READER_RELEASE);
    ck_assert_int_eq(try_options(&options), 0);

    /* A caller from before there were flags: what stands where they are now is not looked at. */
    memset(&options, 0xff, sizeof(options));
    set_size(&options, 8);
    ck_assert_int_eq(try_options(&options), 0);
}
END_TEST

static void assert_old_source(try_function try, const struct memory *source, size_t size) {
    struct memory old;

    memset(&old, 0x5a, sizeof(old));
    memcpy(&old, source, size);
    set_size(&old, size);
    ck_assert_msg(try(&old) == 0, "a source of %zu bytes is refused", size);
}

static void assert_source_rules(try_function try, struct memory *source, uint64_t flags) {
    assert_size_rules(try, source, size_of("rbcore_source"));
    assert_unknown_flags(try, source, find_field("rbcore_source", "flags"), flags);
    assert_old_source(try, source, find_field("rbcore_source", "map_id")->offset);
    assert_old_source(try, source, find_field("rbcore_source", "loss_fd")->offset);
    assert_old_source(try, source, find_field("rbcore_source", "path")->offset);
    assert_old_source(try, source, find_field("rbcore_source", "cookie")->offset);
}

START_TEST(source_of_a_reader) {
    struct ring ring = ring_create();
    struct memory source;

    source_of(&source, ring);
    assert_source_rules(open_then_add, &source, RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST);
    SET(source.bytes, source, flags, RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST);
    ck_assert_int_eq(open_then_add(&source), 0);
    ring_close(ring);
}
END_TEST

START_TEST(source_of_a_producer) {
    struct ring ring = ring_create();
    struct memory source;

    source_of(&source, ring);
    assert_source_rules(open_producer_then_free, &source, 0);
    SET(source.bytes, source, kind, RBCORE_SOURCE_MAP_FD);
    ck_assert_int_eq(open_producer_then_free(&source), -EOPNOTSUPP);
    ring_close(ring);
}
END_TEST

/* Each kind reads its own field: with the default it is missing, with a value it is looked for. */
START_TEST(kinds_of_sources) {
    static const uint32_t unknown[] = {0, 5, UINT32_MAX};
    struct ring ring = ring_create();
    struct memory source;
    int64_t error;

    source_of(&source, ring);
    for (size_t i = 0; i < COUNT(unknown); i++) {
        SET(source.bytes, source, kind, unknown[i]);
        ck_assert_int_eq(open_then_add(&source), -EINVAL);
    }

    SET(source.bytes, source, kind, RBCORE_SOURCE_PINNED_PATH);
    ck_assert_int_eq(open_then_add(&source), -EINVAL);
    SET(source.bytes, source, path, pointer("/nonexistent/rbcore/pin"));
    error = open_then_add(&source); /* without BPF the kernel does not even look */
    ck_assert(error == -ENOENT || error == -EPERM);

    SET(source.bytes, source, kind, RBCORE_SOURCE_MAP_ID);
    ck_assert_int_eq(open_then_add(&source), -EINVAL);
    SET(source.bytes, source, map_id, UINT32_MAX - 1);
    error = open_then_add(&source);
    ck_assert(error == -ENOENT || error == -EPERM);

    SET(source.bytes, source, kind, RBCORE_SOURCE_MAP_FD);
    error = open_then_add(&source);
    ck_assert(error == -EBADFD || error == -EPERM);
    SET(source.bytes, source, fd, -1);
    ck_assert_int_eq(open_then_add(&source), -EINVAL);

    SET(source.bytes, source, kind, RBCORE_SOURCE_MEMORY_RING);
    ck_assert_int_eq(open_then_add(&source), -EINVAL);
    SET(source.bytes, source, fd, ring.fd);
    SET(source.bytes, source, event_fd, -1);
    ck_assert_int_eq(open_then_add(&source), -EINVAL);
    SET(source.bytes, source, event_fd, ring.event_fd);
    ck_assert_int_eq(open_then_add(&source), 0);
    ring_close(ring);
}
END_TEST

START_TEST(memory_ring_arguments) {
    static const size_t bad[] = {0, 1, RING_SIZE - 1, RING_SIZE + 4096, (size_t)1 << 31};
    struct ring ring = {-1, -1};

    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_int_eq(
            CALL(memory_ring_create, pointer(&ring.fd), pointer(&ring.event_fd), bad[i], 0),
            -EINVAL);
    ck_assert_int_eq(
        CALL(memory_ring_create, pointer(&ring.fd), pointer(&ring.event_fd), RING_SIZE, 1),
        -EINVAL);
    ring = ring_create();
    ck_assert_int_eq(fcntl(ring.fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(ring.event_fd, F_GETFD), FD_CLOEXEC);
    ring_close(ring);
}
END_TEST

/* ---- Structs that come out ----------------------------------------------------------------- */

struct filled {
    const struct pair *pair;
    const unsigned char *record;
};

static int64_t fill(const struct filled *with, const char *type, struct memory *m) {
    uint64_t reader = pointer(with->pair->reader);

    if (strcmp(type, "rbcore_reader_stats") == 0)
        return CALL(reader_stats_get, reader, pointer(m));
    if (strcmp(type, "rbcore_ring_stats") == 0)
        return CALL(reader_ring_stats, reader, with->pair->index, pointer(m));
    return CALL(reader_identity, reader, pointer(with->record), pointer(m));
}

static void assert_fills(const struct filled *with, const char *type, size_t size) {
    size_t known = size_of(type);
    struct memory whole;
    struct memory m;

    memset(&whole, UNTOUCHED, sizeof(whole));
    set_size(&whole, known);
    ck_assert_int_eq(fill(with, type, &whole), 0);
    memset(&m, UNTOUCHED, sizeof(m));
    set_size(&m, size);
    ck_assert_int_eq(fill(with, type, &m), 0);

    set_size(&whole, size); /* the library leaves the caller's size alone */
    ck_assert_mem_eq(&m, &whole, size < known ? size : known);
    if (size > known) /* RBCORE_UNKNOWN, byte by byte */
        assert_bytes(&m, known, size, 0xff);
    assert_bytes(&m, size, sizeof(m.bytes), UNTOUCHED);
}

START_TEST(structs_that_come_out) {
    static const char *const types[] = {"rbcore_reader_stats", "rbcore_ring_stats",
                                        "rbcore_identity"};
    const char *type = types[_i];
    size_t known = size_of(type);
    struct pair pair;
    struct records records;
    struct filled with = {&pair, records.bytes[0]};
    struct memory m;

    pair_open(&pair, 0);
    output(&pair, "abc", 3, 0);
    ck_assert_int_eq(read_records(&pair, &records), 1);
    assert_fills(&with, type, 8);
    assert_fills(&with, type, 24);
    assert_fills(&with, type, known);
    assert_fills(&with, type, known + 16);
    assert_fills(&with, type, LARGEST);
    for (size_t i = 0; i < COUNT(absurd_sizes); i++) {
        memset(&m, UNTOUCHED, sizeof(m));
        set_size(&m, absurd_sizes[i]);
        ck_assert_int_eq(fill(&with, type, &m), -EINVAL);
        assert_bytes(&m, sizeof(size_t), sizeof(m.bytes), UNTOUCHED);
    }
    pair_close(&pair);
}
END_TEST

/* ---- Records ------------------------------------------------------------------------------- */

/* Four records: positions 0, 16, (40, discarded,) 56; the ring ends at 64. */
#define END 64

static void produce_four(const struct pair *pair) {
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

static void lose_one(const struct pair *pair) {
    static char large[RING_SIZE];
    uint64_t producer = pointer(pair->producer);
    void *data = NULL;

    ck_assert_int_eq(CALL(producer_output, producer, pointer(large), RING_SIZE - 8, 0), -EAGAIN);
    ck_assert_int_eq(CALL(producer_output, producer, pointer(large), RING_SIZE - 7, 0), -EMSGSIZE);
    ck_assert_int_eq(CALL(producer_reserve, producer, pointer(&data), RING_SIZE - 7), -EMSGSIZE);
    ck_assert_int_eq(CALL(producer_output, producer, pointer(large), 8, 8), -EINVAL);
}

static void assert_four(const struct pair *pair, const struct records *records) {
    assert_record(pair, records->bytes[0], 0, "abc", 3);
    assert_record(pair, records->bytes[1], 16, "0123456789abcdef", 16);
    assert_record(pair, records->bytes[2], 56, "", 0);
}

static void assert_positions(const struct pair *pair, uint64_t read, uint64_t user) {
    struct memory stats;

    ring_stats(pair, &stats);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, producer_pos), END);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, bytes_waiting), END - read);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, read_pos), read);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, user_pos), user);
    ck_assert_uint_eq(GET(stats.bytes, ring_stats, consumer_pos), user);
}

static void assert_ring_stats(const struct pair *pair) {
    struct memory stats;

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
}

static void assert_reader_stats(const struct pair *pair) {
    struct memory stats;

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
    struct pair pair;
    struct records records;
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
    assert_positions(&pair, END, 0);

    ck_assert_int_eq(CALL(reader_release, reader, pointer(&records), 1), -EINVAL);
    ck_assert_int_eq(CALL(reader_commit, reader, 0, 1), -EINVAL);
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

START_TEST(records_are_released_in_any_order) {
    struct pair pair;
    struct records records;
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

        if (*c == '-')
            continue;
        id[digits / 2] = (unsigned char)(digits % 2 ? id[digits / 2] | value : value << 4);
        digits++;
    }
    ck_assert_uint_eq(digits, 32);
}

START_TEST(identity_of_a_record) {
    struct pair pair;
    struct records records;
    struct memory identity;
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
    struct pair pair;
    struct records records;
    struct memory stats;
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
    pair_close(&pair);
}
END_TEST

/* ---- Waiting and control ------------------------------------------------------------------- */

static int readable(const struct pair *pair, int timeout_ms) {
    struct pollfd poll_fd = {(int)CALL(reader_fd, pointer(pair->reader)), POLLIN, 0};

    ck_assert_int_ge(poll_fd.fd, 0);
    return poll(&poll_fd, 1, timeout_ms);
}

START_TEST(wakeups_and_flags) {
    struct pair pair;
    struct records records;

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
    struct pair pair;
    struct records records;

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

START_TEST(interrupt_flush_and_shutdown) {
    struct pair pair;
    struct records records;
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
    struct pair pair;
    struct records records;
    uint64_t reader;

    pair_open(&pair, 0);
    reader = pointer(pair.reader);
    output(&pair, "a", 1, 0);
    ck_assert_int_eq(read_records(&pair, &records), 1);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index), -EBUSY);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index + 1), -EINVAL);
    ck_assert_int_eq(CALL(reader_remove, reader, UINT32_MAX), -EINVAL);
    ck_assert_int_eq(commit(&pair, NULL), 0);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index), 0);
    ck_assert_int_eq(CALL(reader_remove, reader, pair.index), -EINVAL);
    pair_close(&pair);
}
END_TEST

START_TEST(second_reader_is_refused) {
    struct pair pair;
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
    struct pair pair;
    struct records records;

    pair_open(&pair, 0);
    ck_assert_int_eq(CALL(reader_ref, pointer(pair.reader)), 0);
    reader_free(pair.reader);
    output(&pair, "a", 1, 0);
    ck_assert_int_eq(read_records(&pair, &records), 1);
    assert_record(&pair, records.bytes[0], 0, "a", 1);
    pair_close(&pair);
}
END_TEST

/* ---- What holds for all functions ---------------------------------------------------------- */

/* Arguments that are all in order. The size is one that both a ring and a struct may have. */
static void fill_values(const struct function *function, const struct pair *pair,
                        const struct memory *m, uint64_t *values) {
    for (const char *letter = function->signature + 1; *letter; letter++, values++) {
        if (*letter == 'R')
            *values = pointer(pair->reader);
        else if (*letter == 'W')
            *values = pointer(pair->producer);
        else if (*letter == 'p' || *letter == 'o')
            *values = pointer(m);
        else
            *values = *letter == 'z' ? 4096 : 0;
    }
}

static void assert_refused(const struct function *function, const uint64_t *values, int argument) {
    int64_t result = invoke(function, values);

    if (function->signature[0] == 'i')
        ck_assert_msg(result == -EINVAL, "%s, argument %d NULL: %ld", function->name, argument,
                      (long)result);
    else if (function->signature[0] == 's')
        ck_assert_msg(result != 0, "%s: NULL", function->name);
}

START_TEST(null_is_refused) {
    const struct function *function = &functions[_i];
    struct pair pair;
    struct memory m;
    uint64_t values[MAX_ARGUMENTS];

    pair_open(&pair, 0);
    source_of(&m, pair.ring);
    for (int i = 0; function->signature[1 + i]; i++) {
        if (!strchr("RWp", function->signature[1 + i]))
            continue;
        fill_values(function, &pair, &m, values);
        values[i] = 0;
        assert_refused(function, values, i);
    }
    pair_close(&pair);
}
END_TEST

static int takes_handle(const struct function *function) {
    return function->signature[1] == 'R' || function->signature[1] == 'W';
}

/* In the child of a fork. Returns 0, or the number of the first function that is wrong. */
static int foreign_calls(const struct pair *pair) {
    static uint64_t records[4096 * RECORD_SIZE / 8];
    struct memory m = pair->source;
    uint64_t values[MAX_ARGUMENTS];
    int64_t result;

    memcpy(records, &m, sizeof(m));
    for (size_t i = 0; i < COUNT(functions); i++) {
        if (!takes_handle(&functions[i]) || functions[i].signature[0] == 'v')
            continue;
        fill_values(&functions[i], pair, (const struct memory *)records, values);
        result = invoke(&functions[i], values);
        if (functions[i].signature[0] == 'i' ? result != -ECHILD : result == 0)
            return (int)i + 1;
    }
    invoke(find_function("rbcore_reader_free"), VALUES(pointer(pair->reader)));
    invoke(find_function("rbcore_producer_free"), VALUES(pointer(pair->producer)));
    return 0;
}

START_TEST(handles_do_not_survive_fork) {
    struct pair pair;
    struct records records;
    int status = -1;
    pid_t child;

    pair_open(&pair, 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(foreign_calls(&pair));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        ck_abort_msg("not -ECHILD in the child: %s", functions[WEXITSTATUS(status) - 1].name);

    output(&pair, "a", 1, 0);
    ck_assert_int_eq(next_records(&pair, &records, (int64_t)RBCORE_FOREVER), 1);
    assert_record(&pair, records.bytes[0], 0, "a", 1);
    pair_close(&pair);
}
END_TEST

/* The symbol map that the library was linked with says what there is; argv[2]. */
static const char *symbol_map;

START_TEST(every_function_was_called) {
    FILE *file = fopen(symbol_map, "re");
    char line[256];
    char name[256];
    size_t symbols = 0;

    ck_assert_msg(file != NULL, "cannot open %s", symbol_map);
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, " %255[a-z_0-9];", name) != 1 || strncmp(name, "rbcore_", 7) != 0)
            continue;
        symbols++;
        ck_assert_msg(find_function(name)->calls > 0, "%s was not called", name);
    }
    fclose(file);
    ck_assert_uint_eq(symbols, COUNT(functions));
}
END_TEST

/* ---- main ---------------------------------------------------------------------------------- */

static void add_case(Suite *suite, const char *name, const TTest *const *tests, size_t count) {
    TCase *group = tcase_create(name);

    for (size_t i = 0; i < count; i++)
        tcase_add_test(group, tests[i]);
    suite_add_tcase(suite, group);
}

static void add_loops(Suite *suite) {
    TCase *group = tcase_create("for each");

    tcase_add_loop_test(group, init_functions_fill_the_callers_size, 0, COUNT(sized_structs));
    tcase_add_loop_test(group, init_functions_refuse_absurd_sizes, 0, COUNT(sized_structs));
    tcase_add_loop_test(group, structs_that_come_out, 0, 3);
    tcase_add_loop_test(group, null_is_refused, 0, COUNT(functions));
    suite_add_tcase(suite, group);
}

#define ADD_CASE(suite, name, ...)                                                                 \
    add_case(suite, name, (const TTest *const[]){__VA_ARGS__},                                     \
             COUNT(((const TTest *const[]){__VA_ARGS__})))

int main(int argc, char **argv) {
    Suite *suite = suite_create("the installed library, through libffi");
    SRunner *runner;
    int failed;

    if (argc != 3) {
        fprintf(stderr, "usage: %s LIBRARY SYMBOL_MAP\n", argv[0]);
        return 2;
    }
    symbol_map = argv[2];
    if (foreign_load(argv[1]) < 0)
        return 1;
    ADD_CASE(suite, "library", version_is_the_tables, features, errors_have_sentences);
    add_loops(suite);
    ADD_CASE(suite, "options", reader_options, source_of_a_reader, source_of_a_producer,
             kinds_of_sources, memory_ring_arguments);
    ADD_CASE(suite, "records", records_are_read_and_committed, records_are_released_in_any_order,
             identity_of_a_record, latest_skips_what_is_there);
    ADD_CASE(suite, "control", wakeups_and_flags, timeouts, interrupt_flush_and_shutdown,
             rings_are_removed, second_reader_is_refused, references, handles_do_not_survive_fork);
    ADD_CASE(suite, "coverage", every_function_was_called); /* the last, for it counts */

    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* calls are counted in this process */
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
