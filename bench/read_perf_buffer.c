// SPDX-License-Identifier: MIT
/*
 * What there was before the ring buffer: libbpf's loop around perf_buffer__poll, with a buffer for
 * each CPU.
 *
 *     read_perf_buffer BUFFER_SIZE
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "reader.h"

static void handle(void *reader, int cpu, void *data, uint32_t size) {
    struct record record; /* data is aligned to 4 bytes only */

    (void)cpu;
    (void)size;
    memcpy(&record, data, sizeof(record));
    reader_record(reader, &record);
}

int main(int argc, char **argv) {
    struct reader reader;
    struct perf_buffer *buffer;
    uint64_t wakeups = 0;
    size_t pages;

    if (argc != 4)
        return 1;
    pages = strtoul(argv[1], NULL, 10) / (size_t)sysconf(_SC_PAGESIZE);
    reader_open(&reader, argc - 1, argv + 1);
    buffer = perf_buffer__new(reader.fd, pages, handle, NULL, &reader, NULL);
    if (!buffer) {
        perror("perf_buffer__new");
        return 1;
    }
    reader_ready(&reader);
    while (!reader.ended) {
        uint64_t before = reader.delivered;
        int result = perf_buffer__poll(buffer, -1);

        if (result < 0 && result != -EINTR)
            return 1;
        wakeups += reader.delivered != before;
    }
    perf_buffer__free(buffer);
    return reader_report(&reader, wakeups);
}
