/* SPDX-License-Identifier: MIT */
/* Sized structs: the _init functions, and the rules for what goes in and comes out. */
#include "conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "pair.h"

static const char *const sized_structs[] = {"rbcore_source",       "rbcore_reader_options",
                                            "rbcore_reader_stats", "rbcore_ring_stats",
                                            "rbcore_identity",     "rbcore_snapshot_info"};

static int64_t init(const char *type, abi_memory *m, size_t size) {
    char name[64];
    memset(m, UNTOUCHED, sizeof(*m));
    snprintf(name, sizeof(name), "%s_init", type);
    return call(name, 2, VALUES(pointer(m), size));
}

static void assert_initial(const abi_memory *m, const abi_field *f, size_t size) {
    uint64_t mask = f->size < 8 ? (UINT64_C(1) << (8 * f->size)) - 1 : UINT64_MAX;
    if (f->offset == 0) {
        ck_assert_uint_eq(get_field(m->bytes, f), size);
    } else if (f->size > 8) {
        assert_bytes(m, f->offset, f->offset + f->size, (int)f->initial);
    } else {
        ck_assert_msg(get_field(m->bytes, f) == ((uint64_t)f->initial & mask),
                      "%s.%s is %#lx, not %ld", f->type, f->name,
                      (unsigned long)get_field(m->bytes, f), (long)f->initial);
    }
}

/* All fields that size covers have their defaults, what is unknown is 0, what is past is as was. */
static void assert_init(const char *type, size_t size) {
    abi_memory m;
    size_t known = size_of(type);
    ck_assert_int_eq(init(type, &m, size), 0);
    for (size_t i = 0; i < COUNT(fields); i++) {
        const abi_field *f = &fields[i];
        if (f->name && strcmp(f->type, type) == 0 && f->offset + f->size <= size) {
            assert_initial(&m, f, size);
        }
    }
    if (size > known) {
        assert_bytes(&m, known, size, 0);
    }
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
    abi_memory m;
    for (size_t i = 0; i < COUNT(absurd_sizes); i++) {
        ck_assert_int_eq(init(sized_structs[_i], &m, absurd_sizes[i]), -EINVAL);
        assert_bytes(&m, 0, sizeof(m.bytes), UNTOUCHED);
    }
}
END_TEST

/* ---- Structs that go in -------------------------------------------------------------------- */

typedef int64_t (*try_function)(const abi_memory *);

static int64_t try_options(const abi_memory *options) {
    void *reader = NULL;
    int64_t result = CALL(reader_open, pointer(&reader), pointer(options));
    if (result == 0) {
        reader_free(reader);
    }
    return result;
}

/* m holds a struct of known bytes that try accepts, with zeros behind it. */
static void assert_size_rules(try_function try, abi_memory *m, size_t known) {
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

static void assert_unknown_flags(try_function try, abi_memory *m, const abi_field *flags,
                                 uint64_t known) {
    uint64_t before = get_field(m->bytes, flags);
    for (unsigned int bit = 0; bit < 8 * flags->size; bit++) {
        if (known >> bit & 1) {
            continue;
        }
        set_field(m->bytes, flags, before | UINT64_C(1) << bit);
        ck_assert_msg(try(m) == -EINVAL, "%s: unknown flag, bit %u, is not refused", flags->type,
                      bit);
    }
    set_field(m->bytes, flags, before);
}

START_TEST(reader_options) {
    abi_memory options;
    size_t known = size_of("rbcore_reader_options");
    memset(&options, 0, sizeof(options));
    ck_assert_int_eq(CALL(reader_options_init, pointer(&options), known), 0);
    assert_size_rules(try_options, &options, known);
    assert_unknown_flags(try_options, &options, find_field("rbcore_reader_options", "flags"),
                         RBCORE_READER_RELEASE | RBCORE_READER_POLL);
    /* Reading in the order of time does not exist yet, with no clock. */
    assert_unknown_flags(try_options, &options, find_field("rbcore_reader_options", "order_clock"),
                         0);
    SET(options.bytes, reader_options, flags, RBCORE_READER_RELEASE);
    ck_assert_int_eq(try_options(&options), 0);
    /* A caller from before there were flags: what stands where they are now is not looked at. */
    memset(&options, 0xff, sizeof(options));
    set_size(&options, 8);
    ck_assert_int_eq(try_options(&options), 0);
}
END_TEST

static void assert_old_source(try_function try, const abi_memory *source, size_t size) {
    abi_memory old;
    memset(&old, 0x5a, sizeof(old));
    memcpy(&old, source, size);
    set_size(&old, size);
    ck_assert_msg(try(&old) == 0, "a source of %zu bytes is refused", size);
}

static void assert_source_rules(try_function try, abi_memory *source, uint64_t flags) {
    assert_size_rules(try, source, size_of("rbcore_source"));
    assert_unknown_flags(try, source, find_field("rbcore_source", "flags"), flags);
    assert_old_source(try, source, find_field("rbcore_source", "map_id")->offset);
    assert_old_source(try, source, find_field("rbcore_source", "loss_fd")->offset);
    assert_old_source(try, source, find_field("rbcore_source", "path")->offset);
    assert_old_source(try, source, find_field("rbcore_source", "cookie")->offset);
}

START_TEST(source_of_a_reader) {
    abi_ring ring = ring_create();
    abi_memory source;
    source_of(&source, ring);
    assert_source_rules(open_then_add, &source,
                        RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST | RBCORE_SOURCE_OVERWRITE |
                            RBCORE_SOURCE_TAP);
    SET(source.bytes, source, flags, RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST);
    ck_assert_int_eq(open_then_add(&source), 0);
    SET(source.bytes, source, flags, RBCORE_SOURCE_TAP);
    ck_assert_int_eq(open_then_add(&source), 0);
    SET(source.bytes, source, flags, RBCORE_SOURCE_OVERWRITE);
    ck_assert_int_eq(open_then_add(&source), -EMEDIUMTYPE);
    ring_close(ring);
}
END_TEST

START_TEST(source_of_a_producer) {
    abi_ring ring = ring_create();
    abi_memory source;
    source_of(&source, ring);
    assert_source_rules(open_producer_then_free, &source, 0);
    SET(source.bytes, source, kind, RBCORE_SOURCE_MAP_FD);
    ck_assert_int_eq(open_producer_then_free(&source), -EBADFD); /* no BPF map */
    ring_close(ring);
}
END_TEST

/* Each kind reads its own field: with the default it is missing, with a value it is looked for. */
START_TEST(kinds_of_sources) {
    static const uint32_t unknown[] = {0, 5, UINT32_MAX};
    abi_ring ring = ring_create();
    abi_memory source;
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

static int64_t look_at(const abi_memory *source) {
    abi_memory stats;
    memset(&stats, 0, sizeof(stats));
    set_size(&stats, size_of("rbcore_ring_stats"));
    return CALL(source_ring_stats, pointer(source), pointer(&stats));
}

START_TEST(source_without_a_reader) {
    abi_ring ring = ring_create();
    abi_memory source;
    source_of(&source, ring);
    assert_size_rules(look_at, &source, size_of("rbcore_source"));
    SET(source.bytes, source, flags, UINT32_MAX); /* they are for readers */
    ck_assert_int_eq(look_at(&source), 0);
    SET(source.bytes, source, kind, 5);
    ck_assert_int_eq(look_at(&source), -EINVAL);
    SET(source.bytes, source, kind, RBCORE_SOURCE_MAP_FD);
    ck_assert_int_eq(look_at(&source), -EBADFD); /* no BPF map */
    ring_close(ring);
}
END_TEST

START_TEST(memory_ring_arguments) {
    static const size_t bad[] = {0, 1, RING_SIZE - 1, RING_SIZE + 4096, (size_t)1 << 31};
    abi_ring ring = {-1, -1};
    for (size_t i = 0; i < COUNT(bad); i++) {
        ck_assert_int_eq(
            CALL(memory_ring_create, pointer(&ring.fd), pointer(&ring.event_fd), bad[i], 0),
            -EINVAL);
    }
    ck_assert_int_eq(
        CALL(memory_ring_create, pointer(&ring.fd), pointer(&ring.event_fd), RING_SIZE, 2),
        -EINVAL);
    ring = ring_create();
    ck_assert_int_eq(fcntl(ring.fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(ring.event_fd, F_GETFD), FD_CLOEXEC);
    ring_close(ring);
}
END_TEST

/* ---- Structs that come out ----------------------------------------------------------------- */

typedef struct filled {
    const ring_pair *pair;
    const unsigned char *record;
    bool from_source; /* the ring's statistics, without the reader */
} filled;

static int64_t fill(const filled *with, const char *type, abi_memory *m) {
    uint64_t reader = pointer(with->pair->reader);
    if (strcmp(type, "rbcore_reader_stats") == 0) {
        return CALL(reader_stats_get, reader, pointer(m));
    }
    if (with->from_source) {
        return CALL(source_ring_stats, pointer(&with->pair->source), pointer(m));
    }
    if (strcmp(type, "rbcore_ring_stats") == 0) {
        return CALL(reader_ring_stats, reader, with->pair->index, pointer(m));
    }
    if (strcmp(type, "rbcore_snapshot_info") == 0) {
        return CALL(snapshot_info_get, pointer(with->pair->snapshot), pointer(m));
    }
    return CALL(reader_identity, reader, pointer(with->record), pointer(m));
}

static void assert_fills(const filled *with, const char *type, size_t size) {
    size_t known = size_of(type);
    abi_memory whole;
    abi_memory m;
    memset(&whole, UNTOUCHED, sizeof(whole));
    set_size(&whole, known);
    ck_assert_int_eq(fill(with, type, &whole), 0);
    memset(&m, UNTOUCHED, sizeof(m));
    set_size(&m, size);
    ck_assert_int_eq(fill(with, type, &m), 0);
    set_size(&whole, size); /* the library leaves the caller's size alone */
    ck_assert_mem_eq(&m, &whole, size < known ? size : known);
    if (size > known) { /* RBCORE_UNKNOWN, byte by byte */
        assert_bytes(&m, known, size, 0xff);
    }
    assert_bytes(&m, size, sizeof(m.bytes), UNTOUCHED);
}

static const char *const structs_out[] = {"rbcore_reader_stats", "rbcore_ring_stats",
                                          "rbcore_identity", "rbcore_snapshot_info",
                                          "rbcore_ring_stats"};

START_TEST(structs_that_come_out) {
    const char *type = structs_out[_i];
    size_t known = size_of(type);
    ring_pair pair;
    record_array records;
    filled with = {&pair, records.bytes[0], _i == COUNT(structs_out) - 1};
    abi_memory m;
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

void add_struct_tests(Suite *suite) {
    TCase *group = tcase_create("structs");
    tcase_add_loop_test(group, init_functions_fill_the_callers_size, 0, COUNT(sized_structs));
    tcase_add_loop_test(group, init_functions_refuse_absurd_sizes, 0, COUNT(sized_structs));
    tcase_add_test(group, reader_options);
    tcase_add_test(group, source_of_a_reader);
    tcase_add_test(group, source_of_a_producer);
    tcase_add_test(group, source_without_a_reader);
    tcase_add_test(group, kinds_of_sources);
    tcase_add_test(group, memory_ring_arguments);
    tcase_add_loop_test(group, structs_that_come_out, 0, COUNT(structs_out));
    suite_add_tcase(suite, group);
}
