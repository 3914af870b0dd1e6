/* SPDX-License-Identifier: MIT */
/*
 * The mapping, and rings laid out for pages of 16K and 64K, on a kernel whose pages are smaller:
 * through the library's inner functions, so linked to the static library.
 */
#include "support.h"

#include "kind.h"
#include "mapping.h"
#include "reader.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static int make_memory(size_t size) {
    int fd = memfd_create("pages", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ok(ftruncate(fd, (off_t)size));
    return fd;
}

static void write_at(int fd, size_t offset, const void *data, size_t size) {
    ck_assert_int_eq(pwrite(fd, data, size, (off_t)offset), (ssize_t)size);
}

static void check_layout(size_t page, size_t ring_size) {
    int fd = make_memory(2 * page + ring_size);
    rbc_mapping m;
    ok(rbc_mapping_open_memory(&m, fd, ring_size, page, RBC_CONSUMER_SIDE));
    write_at(fd, 0, "consumer", 8);
    write_at(fd, page, "producer", 8);
    write_at(fd, 2 * page, "first", 5);
    write_at(fd, 2 * page + ring_size - 4, "last", 4);
    ck_assert_mem_eq(m.consumer_page, "consumer", 8);
    ck_assert_mem_eq(m.producer_page, "producer", 8);
    ck_assert_mem_eq(m.data, "first", 5);
    /* The data is mapped twice in a row: what wraps is contiguous. */
    ck_assert_mem_eq(m.data + ring_size - 4, "lastfirst", 9);
    ck_assert_mem_eq(m.data + 2 * ring_size - 4, "last", 4);
    rbc_mapping_close(&m);
    close(fd);
}

START_TEST(layouts) {
    for (size_t page = page_size(); page <= 65536; page *= 2) {
        for (size_t pages = 1; pages <= 4; pages *= 2) {
            check_layout(page, page * pages);
        }
    }
}
END_TEST

typedef struct access_plan {
    const rbc_mapping *mapping;
    volatile unsigned char *address;
    bool write;
} access_plan;

static int access_memory(void *argument) {
    const access_plan *plan = argument;
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it, and exit */
    if (plan->write) {
        *plan->address = 1;
    } else {
        (void)*plan->address;
    }
    return 0;
}

static int access_of(unsigned char *address, bool write) {
    access_plan plan = {.address = address, .write = write};
    return in_child(access_memory, &plan);
}

#define FAULT (256 + SIGSEGV)

START_TEST(guards_and_permissions) {
    if (thread_sanitizer()) {
        printf(
            "skipped: guards_and_permissions: one mapping for both sides with ThreadSanitizer\n");
        return;
    }
    const size_t page = page_size(), size = 2 * page;
    int fd = make_memory(2 * page + size);
    rbc_mapping m;
    ok(rbc_mapping_open_memory(&m, fd, size, page, RBC_CONSUMER_SIDE));
    ck_assert_int_eq(access_of(m.consumer_page - 1, false), FAULT);
    ck_assert_int_eq(access_of(m.data + 2 * size, false), FAULT);
    ck_assert_int_eq(access_of(m.data + 2 * size - 1, false), 0);
    ck_assert_int_eq(access_of(m.consumer_page, true), 0);
    ck_assert_int_eq(access_of(m.producer_page, true), FAULT);
    ck_assert_int_eq(access_of(m.data, true), FAULT);
    ck_assert_int_eq(access_of(m.data + 2 * size - 1, true), FAULT);
    rbc_mapping_close(&m);
    ok(rbc_mapping_open_memory(&m, fd, size, page, RBC_PRODUCER_SIDE));
    ck_assert_int_eq(access_of(m.data + 2 * size - 1, true), 0);
    ck_assert_int_eq(access_of(m.data + 2 * size, true), FAULT);
    ck_assert_int_eq(access_of(m.consumer_page - 1, true), FAULT);
    rbc_mapping_close(&m);
    ok(rbc_mapping_open_memory(&m, fd, size, page, RBC_TAP_SIDE));
    ck_assert_int_eq(access_of(m.consumer_page, false), 0);
    ck_assert_int_eq(access_of(m.consumer_page, true), FAULT);
    ck_assert_int_eq(access_of(m.producer_page, true), FAULT);
    ck_assert_int_eq(access_of(m.data, true), FAULT);
    rbc_mapping_close(&m);
    rbc_mapping_close(&m); /* all zero now: nothing happens */
    close(fd);
}
END_TEST

START_TEST(sizes_of_rings) {
    for (size_t page = 4096; page <= 65536; page *= 4) {
        ck_assert(rbc_ring_size_is_valid(page, page));
        ck_assert(rbc_ring_size_is_valid(page * 1024, page));
        ck_assert(!rbc_ring_size_is_valid(page / 2, page));
        ck_assert(!rbc_ring_size_is_valid(page * 3, page));
        ck_assert(!rbc_ring_size_is_valid(0, page));
        ck_assert(!rbc_ring_size_is_valid(page + 8, page));
    }
}
END_TEST

/* A reader whose only ring has pages of another size than this kernel's. */
typedef struct foreign {
    rbcore_reader *reader;
    rbc_ring ring;
    int fd;
} foreign;

static foreign *foreign_open(size_t page, size_t ring_size) {
    foreign *self = calloc(1, sizeof(*self));
    ck_assert_ptr_nonnull(self);
    ok(rbcore_reader_open(&self->reader, NULL));
    self->fd = make_memory(2 * page + ring_size);
    rbc_ring *ring = &self->ring;
    ok(rbc_mapping_open_memory(&ring->mapping, self->fd, ring_size, page, RBC_CONSUMER_SIDE));
    ring->kind = rbc_kind_of(false, false, false);
    ring->reader = self->reader;
    ring->consumer_pos = (_Atomic uint64_t *)(void *)ring->mapping.consumer_page;
    ring->producer_pos = (_Atomic uint64_t *)(void *)ring->mapping.producer_page;
    atomic_init(&ring->refs, 1);
    ok(rbc_ring_load_positions(ring, 0));
    ok(rbc_turns_grow(&self->reader->turns, 1));
    ck_assert_int_eq(rbc_ring_table_reserve(&self->reader->table), 0);
    rbc_ring_table_put(&self->reader->table, ring, 0);
    rbc_idle_add(self->reader, ring);
    return self;
}

static void foreign_close(foreign *self) {
    rbc_ring_table_take_out(&self->reader->table, &self->ring);
    rbc_ring_table_clear(&self->reader->table, 0);
    rbcore_reader_free(self->reader);
    rbc_mapping_close(&self->ring.mapping);
    close(self->fd);
    free(self);
}

START_TEST(reading_with_other_pages) {
    static unsigned char expected[32768];
    for (size_t page = page_size(); page <= 65536; page *= 2) {
        const size_t ring_size = 2 * page;
        foreign *f = foreign_open(page, ring_size);
        unsigned char *raw =
            mmap(NULL, 2 * page + ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
        ck_assert_ptr_ne(raw, MAP_FAILED);
        unsigned char *data = raw + 2 * page;
        uint64_t position = 0, random = page;
        for (uint32_t i = 0; i < 300; i++) {
            uint32_t size = random_next(&random) % (uint32_t)(page / 2);
            memcpy(data + position % ring_size, &(uint64_t){size}, 8);
            for (uint32_t k = 0; k < size; k++) {
                expected[k] = (unsigned char)(i + k);
                data[(position + 8 + k) % ring_size] = expected[k];
            }
            uint64_t end = position + span_of(size), producer;
            memcpy(raw + page, &end, 8);
            rbcore_record record;
            ck_assert_int_eq(rbcore_reader_read(f->reader, &record, 1), 1);
            ck_assert_uint_eq(record.position, position);
            ck_assert_uint_eq(record.size, size);
            ok(memcmp(record.data, expected, size));
            ok(rbcore_reader_commit(f->reader, &record, 0));
            memcpy(&producer, raw, 8);
            ck_assert_uint_eq(producer, end);
            position = end;
        }
        munmap(raw, 2 * page + ring_size);
        foreign_close(f);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {layouts, guards_and_permissions, sizes_of_rings,
                                  reading_with_other_pages, NULL};
    return run_tests("pages", tests);
}
