// SPDX-License-Identifier: MIT
/* rbcore: wait for a batch, look at its records, give them back. */
#include <errno.h>
#include <stdio.h>

#include <rbcore/rbcore.h>

#include "reader.h"

#define BATCH 4096

static int fail(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, rbcore_strerror(error));
    return 1;
}

static int read_to_end(struct reader *reader, rbcore_reader *source) {
    static rbcore_record records[BATCH];

    while (!reader->ended) {
        int count = rbcore_reader_next(source, records, BATCH, RBCORE_FOREVER);

        if (count < 0 && count != -EINTR)
            return fail("rbcore_reader_next", count);
        for (int i = 0; i < count; i++)
            reader_record(reader, records[i].data);
        rbcore_reader_commit(source, NULL, 0);
    }
    return 0;
}

int main(int argc, char **argv) {
    rbcore_source ring = RBCORE_SOURCE_INIT;
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    rbcore_reader *source;
    struct reader reader;
    int result;

    reader_open(&reader, argc, argv);
    ring.kind = RBCORE_SOURCE_MAP_FD;
    ring.fd = reader.fd;
    result = rbcore_reader_open(&source, NULL);
    if (result < 0)
        return fail("rbcore_reader_open", result);
    result = rbcore_reader_add(source, &ring);
    if (result < 0)
        return fail("rbcore_reader_add", result);
    reader_ready(&reader);
    if (read_to_end(&reader, source))
        return 1;
    rbcore_reader_stats_get(source, &stats);
    rbcore_reader_free(source);
    return reader_report(&reader, stats.wakeups);
}
