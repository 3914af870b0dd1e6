// SPDX-License-Identifier: MIT
/*
 * This is the reader from before the ring buffer: libbpf's loop around perf_buffer__poll, with a
 * buffer for each CPU.
 *
 *     read_perf_buffer BUFFER_SIZE RECORDS
 *
 * It is woken by every so many records of a CPU. If they are more than one it also looks each
 * millisecond, for those that are not that many yet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/perf_event.h>

#include "reader.h"

/* bpf_perf_event_output writes this. */
typedef struct sample {
    struct perf_event_header header;
    uint32_t size;
    char data[];
} sample;

typedef struct perf_reader {
    bench_reader reader;
    struct record end; /* zero until it was seen */
} perf_reader;

static enum bpf_perf_event_ret handle(void *context, int cpu, struct perf_event_header *event) {
    perf_reader *self = context;
    struct record record; /* data is aligned to 4 bytes only */
    (void)cpu;
    if (event->type != PERF_RECORD_SAMPLE) {
        return LIBBPF_PERF_EVENT_CONT; /* how many were lost: the sequences tell, too */
    }
    memcpy(&record, ((sample *)event)->data, sizeof(record));
    if (record.sequence & RECORD_END) {
        self->end = record;
    } else {
        reader_record(&self->reader, &record);
    }
    return LIBBPF_PERF_EVENT_CONT;
}

int main(int argc, char **argv) {
    struct perf_event_attr event = {.size = sizeof(event),
                                    .type = PERF_TYPE_SOFTWARE,
                                    .config = PERF_COUNT_SW_BPF_OUTPUT,
                                    .sample_type = PERF_SAMPLE_RAW};
    perf_reader self = {0};
    struct perf_buffer *buffer;
    uint64_t wakeups = 0;
    size_t pages;
    if (argc != 5) {
        return 1;
    }
    event.wakeup_events = (uint32_t)atoi(argv[2]);
    pages = strtoul(argv[1], NULL, 10) / (size_t)sysconf(_SC_PAGESIZE);
    reader_open(&self.reader, argc - 2, argv + 2);
    buffer = perf_buffer__new_raw(self.reader.fd, pages, &event, handle, &self, NULL);
    if (!buffer) {
        perror("perf_buffer__new_raw");
        return 1;
    }
    reader_ready(&self.reader);
    while (!self.end.sequence) {
        uint64_t before = self.reader.expected;
        int result = perf_buffer__poll(buffer, event.wakeup_events > 1 ? 1 : -1);
        if (result < 0 && result != -EINTR) {
            return 1;
        }
        if (result == 0) {
            perf_buffer__consume(buffer);
        }
        wakeups += self.reader.expected != before;
    }
    perf_buffer__consume(buffer); /* what other CPUs had before the end */
    reader_record(&self.reader, &self.end);
    perf_buffer__free(buffer);
    return reader_report(&self.reader, wakeups);
}
