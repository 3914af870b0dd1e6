// SPDX-License-Identifier: MIT
/* This uses libbpf without waiting: a busy loop around ring_buffer__consume. */
#include <stdio.h>

#include <bpf/libbpf.h>

#include "reader.h"

static int handle(void *reader, void *data, size_t size) {
    (void)size;
    reader_record(reader, data);
    return 0;
}

int main(int argc, char **argv) {
    bench_reader reader;
    struct ring_buffer *ring;
    reader_open(&reader, argc, argv);
    ring = ring_buffer__new(reader.fd, handle, &reader, NULL);
    if (!ring) {
        perror("ring_buffer__new");
        return 1;
    }
    reader_ready(&reader);
    while (!reader.ended) {
        if (ring_buffer__consume(ring) < 0) {
            return 1;
        }
    }
    ring_buffer__free(ring);
    return reader_report(&reader, 0);
}
