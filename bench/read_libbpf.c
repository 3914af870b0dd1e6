// SPDX-License-Identifier: MIT
/* This uses libbpf as its documentation shows it: a loop around ring_buffer__poll. */
#include <errno.h>
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
    uint64_t wakeups = 0;
    reader_open(&reader, argc, argv);
    ring = ring_buffer__new(reader.fd, handle, &reader, NULL);
    if (!ring) {
        perror("ring_buffer__new");
        return 1;
    }
    reader_ready(&reader);
    while (!reader.ended) {
        int records = ring_buffer__poll(ring, -1);
        if (records < 0 && records != -EINTR) {
            return 1;
        }
        wakeups += records > 0;
    }
    ring_buffer__free(ring);
    return reader_report(&reader, wakeups);
}
