/* SPDX-License-Identifier: MIT */
/* A reader of many rings in this process: of libbpf or of rbcore, which do the same work. */
#ifndef BENCH_RINGS_READER_H
#define BENCH_RINGS_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel_rings.h"

struct rbcore_reader;
struct ring_buffer;

typedef struct rings_reader {
    struct rbcore_reader *rbcore; /* one of them */
    struct ring_buffer *libbpf;
    uint64_t delivered;
    uint64_t newest; /* the sequence of the last record delivered */
} rings_reader;

/* Opens a reader with default options, and adds all rings. Exits if that fails. */
void rings_reader_open(rings_reader *self, bool is_libbpf, const kernel_rings *rings);

/* Waits until there are records, and delivers them; or until the time is over. */
void rings_reader_read(rings_reader *self, int timeout_ms);

void rings_reader_close(rings_reader *self);

#endif
