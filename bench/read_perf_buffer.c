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

struct perf_reader {
    struct reader reader;
    struct record end; /* zero until it was seen */
};

static void handle(void *context, int cpu, void *data, uint32_t size) {
    struct perf_reader *self = context;
    struct record record; /* data is aligned to 4 bytes only */

    (void)cpu;
    (void)size;
    memcpy(&record, data, sizeof(record));
    if (record.sequence & RECORD_END)
        self->end = record;
    else
        reader_record(&self->reader, &record);
}

int main(int argc, char **argv) {
    struct perf_reader self = {0};
    struct perf_buffer *buffer;
    uint64_t wakeups = 0;
    size_t pages;

    if (argc != 4)
        return 1;
    pages = strtoul(argv[1], NULL, 10) / (size_t)sysconf(_SC_PAGESIZE);
    reader_open(&self.reader, argc - 1, argv + 1);
    buffer = perf_buffer__new(self.reader.fd, pages, handle, NULL, &self, NULL);
    if (!buffer) {
        perror("perf_buffer__new");
        return 1;
    }
    reader_ready(&self.reader);
    while (!self.end.sequence) {
        uint64_t before = self.reader.delivered;
        int result = perf_buffer__poll(buffer, -1);

        if (result < 0 && result != -EINTR)
            return 1;
        wakeups += self.reader.delivered != before;
    }
    perf_buffer__consume(buffer); /* what other CPUs had before the end */
    reader_record(&self.reader, &self.end);
    perf_buffer__free(buffer);
    return reader_report(&self.reader, wakeups);
}
