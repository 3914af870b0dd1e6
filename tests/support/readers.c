/* SPDX-License-Identifier: MIT */
#include "readers.h"

#include "suite.h"

rbcore_reader *open_reader(uint32_t flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = flags;
    rbcore_reader *reader = NULL;
    ok(rbcore_reader_open(&reader, &options));
    return reader;
}

unsigned int add_source(rbcore_reader *reader, const rbcore_source *source) {
    int ring = rbcore_reader_add(reader, source);
    ck_assert_msg(ring >= 0, "add: %d, %s", ring, rbcore_reader_message(reader));
    return (unsigned int)ring;
}

int read_to_end(rbcore_reader *reader, rbcore_record *records, size_t max) {
    size_t count = 0;
    int n = 1;
    while (n > 0 && count < max) {
        n = rbcore_reader_read(reader, records + count, max - count);
        count += n > 0 ? (size_t)n : 0;
    }
    return count > 0 ? (int)count : n;
}

rbcore_ring_stats stats_of(rbcore_reader *reader, unsigned int ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ok(rbcore_reader_ring_stats(reader, ring, &stats));
    return stats;
}

rbcore_reader_stats reader_stats(rbcore_reader *reader) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    ok(rbcore_reader_stats_get(reader, &stats));
    return stats;
}
