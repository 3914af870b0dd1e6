/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

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
    self.ring = add_source(reader, &source);
    self.producer = producer_on(self.memory_fd, self.event_fd);
    return self;
}

void fixture_drop(fixture *self) {
    rbcore_producer_free(self->producer);
    close(self->memory_fd);
    close(self->event_fd);
}

fixture fixture_open(size_t ring_size, uint32_t reader_flags) {
    return fixture_add(open_reader(reader_flags), ring_size);
}

void fixture_close(fixture *self) {
    rbcore_reader_free(self->reader);
    fixture_drop(self);
}

rbcore_reader *reader_on(const fixture *ring, uint32_t reader_flags, uint32_t source_flags) {
    rbcore_reader *reader = open_reader(reader_flags);
    rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    source.flags = source_flags;
    ck_assert_uint_eq(add_source(reader, &source), 0);
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

rbcore_ring_stats ring_stats(const fixture *self) {
    return stats_of(self->reader, self->ring);
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

uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    uint32_t value = UINT32_MAX;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bool odd = ((value ^ bytes[bit / 8] >> bit % 8) & 1) != 0;
        value = value >> 1 ^ (odd ? UINT32_C(0xedb88320) : 0);
    }
    return ~value;
}

void *release_one(void *argument) {
    release_of_one *self = argument;
    ok(rbcore_reader_release(self->reader, &self->record, 1));
    return NULL;
}

unsigned int mapped_rings(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned int count = 0;
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        count += strstr(line, "/memfd:rbcore") != NULL;
    }
    fclose(file);
    return count;
}

void run_short_of_descriptors(int (*call)(void *), void *argument) {
    struct rlimit limit, some;
    ok(getrlimit(RLIMIT_NOFILE, &limit));
    some = limit;
    int lowest = dup(0), result = -EMFILE;
    close(lowest);
    unsigned int fds = open_fds();
    for (int n = 0; result != 0; n++) {
        some.rlim_cur = (rlim_t)(lowest + n);
        ok(setrlimit(RLIMIT_NOFILE, &some));
        result = call(argument);
        ok(setrlimit(RLIMIT_NOFILE, &limit));
        if (result != 0) {
            ck_assert_int_eq(result, -EMFILE);
        }
        ck_assert_uint_eq(open_fds(), fds);
        ck_assert_uint_eq(mapped_rings(), 0);
    }
}
