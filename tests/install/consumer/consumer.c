/* SPDX-License-Identifier: MIT */
/* Sends one record through a memory ring. Returns 0 if it arrived. */
#include <rbcore/rbcore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what, int error) {
    fprintf(stderr, "%s: %d: %s\n", what, error, rbcore_strerror(error));
    return 1;
}

int main(void) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_producer *producer = NULL;
    rbcore_reader *reader = NULL;
    rbcore_record record;
    int error;
    if (rbcore_version() != RBCORE_VERSION) {
        fprintf(stderr, "the library is not of the header's version\n");
        return 1;
    }
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    if ((error = rbcore_memory_ring_create(&source.fd, &source.event_fd, 65536, 0)) < 0) {
        return fail("create", error);
    }
    if ((error = rbcore_producer_open(&producer, &source)) < 0) {
        return fail("producer_open", error);
    }
    if ((error = rbcore_reader_open(&reader, NULL)) < 0) {
        return fail("reader_open", error);
    }
    if ((error = rbcore_reader_add(reader, &source)) < 0) {
        return fail("add", error);
    }
    close(source.fd);
    close(source.event_fd);
    if ((error = rbcore_producer_output(producer, "hello", 6, 0)) < 0) {
        return fail("output", error);
    }
    if ((error = rbcore_reader_next(reader, &record, 1, INT64_C(5000000000))) != 1) {
        return fail("next", error);
    }
    if (record.size != 6 || strcmp((const char *)record.data, "hello") != 0) {
        return fail("the record's content", 0);
    }
    if ((error = rbcore_reader_commit(reader, &record, 0)) < 0) {
        return fail("commit", error);
    }
    rbcore_reader_free(reader);
    rbcore_producer_free(producer);
    puts("one record");
    return 0;
}
