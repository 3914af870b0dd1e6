// SPDX-License-Identifier: MIT
/*
 * No reader but what no reader can beat: every 500 us it gives back what is there.
 *
 *     limit null RECORD_SIZE      looks at no data: how fast can the producer go?
 *     limit linear RECORD_SIZE    loads a word of each cache line: what does it cost to get the
 *                                 bytes across?
 *     limit look RECORD_SIZE      looks at each record as all readers do: what can a reader add?
 *
 * It parses nothing: all records are of one size, so a position tells how many there were. Only the
 * end is longer or shorter. For one producer and records of 8 bytes or more than 16.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "reader.h"

#define INTERVAL_NS 500000
#define CACHE_LINE 64
#define HEADER 8
/* The first and the last record have data, whatever the record size. */
#define SMALLEST_TIMED sizeof(struct record)

/*
 * So many records are kept back. The kernel wakes for the record at consumer_pos when it is
 * committed. The last one may not be yet, the one before it is.
 */
#define KEPT_BACK 2

typedef struct limit_reader limit_reader;

/* What is done with the records between two positions, before which there are so many. */
typedef void limit_work(limit_reader *self, uint64_t from, uint64_t to, uint64_t records);

struct limit_reader {
    bench_reader reader;
    uint64_t *consumer_pos;
    const uint64_t *producer_pos;
    const char *data;
    uint64_t ring_size;
    uint64_t first_span;
    uint64_t span;
    limit_work *work;
};

static volatile uint64_t sum; /* volatile: the loads must happen */

static void die(const char *what) {
    fprintf(stderr, "limit: %s\n", what);
    exit(EXIT_FAILURE);
}

static uint64_t span_of(uint64_t size) {
    return (size + HEADER + 7) / 8 * 8;
}

static void map_ring(limit_reader *self) {
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *shown;
    if (bpf_obj_get_info_by_fd(self->reader.fd, &info, &length)) {
        die("the map does not tell its size");
    }
    self->ring_size = info.max_entries;
    self->consumer_pos = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, self->reader.fd, 0);
    shown =
        mmap(NULL, page + 2 * self->ring_size, PROT_READ, MAP_SHARED, self->reader.fd, (off_t)page);
    if (self->consumer_pos == MAP_FAILED || shown == MAP_FAILED) {
        die("the ring cannot be mapped");
    }
    self->producer_pos = (const uint64_t *)shown;
    self->data = shown + page;
}

/* Returns how many whole records there are before a position. *rest is what follows them. */
static uint64_t records_before(const limit_reader *self, uint64_t position, uint64_t *rest) {
    if (position < self->first_span) {
        *rest = position;
        return 0;
    }
    *rest = (position - self->first_span) % self->span;
    return 1 + (position - self->first_span) / self->span;
}

static void do_nothing(limit_reader *self, uint64_t from, uint64_t to, uint64_t records) {
    (void)from;
    (void)to;
    self->reader.expected = records;
}

static void touch(limit_reader *self, uint64_t from, uint64_t to, uint64_t records) {
    uint64_t words = 0;
    self->reader.expected = records;
    for (uint64_t at = from & ~(uint64_t)(CACHE_LINE - 1); at < to; at += CACHE_LINE) {
        words += *(const volatile uint64_t *)(self->data + (at & (self->ring_size - 1)));
    }
    sum += words;
}

static void look(limit_reader *self, uint64_t from, uint64_t to, uint64_t records) {
    bench_reader *reader = &self->reader;
    (void)records; /* some may have been lost before */
    uint64_t expected = reader->expected;
    for (uint64_t at = from; at < to; at += at == 0 ? self->first_span : self->span) {
        expected =
            reader_follow(reader, expected, self->data + (at & (self->ring_size - 1)) + HEADER);
    }
    reader->expected = expected;
}

/* Gives back all but the last records. Whether the end was there. */
static bool pass(limit_reader *self) {
    static uint64_t position;
    uint64_t produced = __atomic_load_n(self->producer_pos, __ATOMIC_ACQUIRE), rest;
    uint64_t records = records_before(self, produced, &rest), to = position;
    bool ended = rest != 0;
    if (ended) {
        records = records_before(self, produced - span_of(SMALLEST_TIMED), &rest);
    }
    if (records > KEPT_BACK) {
        to = self->first_span + (records - 1 - KEPT_BACK) * self->span;
    }
    if (ended && records > 0) {
        to = self->first_span + (records - 1) * self->span;
    }
    self->work(self, position, to, records);
    __atomic_store_n(self->consumer_pos, to, __ATOMIC_RELEASE);
    position = to;
    return ended;
}

/* The last record, as soon as it is complete. */
static uint64_t read_end(const limit_reader *self) {
    uint64_t position = *self->producer_pos - span_of(SMALLEST_TIMED);
    const char *record = self->data + (position & (self->ring_size - 1));
    while (__atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE) & BPF_RINGBUF_BUSY_BIT) {
    }
    return *(const uint64_t *)(record + HEADER);
}

static void read_to_end(limit_reader *self) {
    const struct timespec interval = {.tv_nsec = INTERVAL_NS};
    while (!pass(self)) {
        nanosleep(&interval, NULL);
    }
    reader_gap(&self->reader, read_end(self));
    if (!self->reader.ended) {
        die("the end is no end");
    }
}

int main(int argc, char **argv) {
    limit_reader limit = {0};
    uint64_t size;
    if (argc != 5) {
        die("call it by the producer: null|linear|look RECORD_SIZE MAP_FD SAMPLE_EVERY");
    }
    reader_open(&limit.reader, 3, argv + 2);
    limit.work = !strcmp(argv[1], "linear") ? touch : !strcmp(argv[1], "look") ? look : do_nothing;
    size = strtoull(argv[2], NULL, 10);
    if (size < sizeof(uint64_t) || span_of(size) == span_of(SMALLEST_TIMED)) {
        die("the end has to be of another size than the records");
    }
    limit.span = span_of(size);
    limit.first_span = span_of(size < SMALLEST_TIMED ? SMALLEST_TIMED : size);
    map_ring(&limit);
    reader_ready(&limit.reader);
    read_to_end(&limit);
    return reader_report(&limit.reader, 0);
}
