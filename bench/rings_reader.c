// SPDX-License-Identifier: MIT
#include "rings_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include <rbcore/rbcore.h>

#define BATCH 256
#define NS_PER_MS 1000000

static void fail(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, rbcore_strerror(error));
    exit(EXIT_FAILURE);
}

static void deliver(rings_reader *self, const void *data) {
    self->newest = *(const uint64_t *)data;
    self->delivered++;
}

/* ---- libbpf ---- */

static int on_record(void *context, void *data, size_t size) {
    (void)size;
    deliver(context, data);
    return 0;
}

static void add_to_libbpf(rings_reader *self, int fd) {
    int error = 0;
    if (self->libbpf) {
        error = ring_buffer__add(self->libbpf, fd, on_record, self);
    } else {
        self->libbpf = ring_buffer__new(fd, on_record, self, NULL);
        error = self->libbpf ? 0 : -errno;
    }
    if (error) {
        fail("libbpf: adding a ring", error);
    }
}

static void read_by_libbpf(rings_reader *self, int timeout_ms) {
    int count = ring_buffer__poll(self->libbpf, timeout_ms);
    if (count < 0 && count != -EINTR) {
        fail("ring_buffer__poll", count);
    }
}

/* ---- rbcore ---- */

static void open_rbcore(rings_reader *self) {
    int error = rbcore_reader_open(&self->rbcore, NULL);
    if (error) {
        fail("rbcore_reader_open", error);
    }
}

static void add_to_rbcore(rings_reader *self, int fd) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = fd;
    int ring = rbcore_reader_add(self->rbcore, &source);
    if (ring < 0) {
        fail("rbcore_reader_add", ring);
    }
}

static void read_by_rbcore(rings_reader *self, int timeout_ms) {
    rbcore_record records[BATCH];
    int count = rbcore_reader_next(self->rbcore, records, BATCH, (int64_t)timeout_ms * NS_PER_MS);
    for (int i = 0; i < count; i++) {
        deliver(self, records[i].data);
    }
    if (count > 0) {
        rbcore_reader_commit(self->rbcore, NULL, 0);
    } else if (count < 0 && count != -EINTR) {
        fail("rbcore_reader_next", count);
    }
}

/* ---- Both ---- */

void rings_reader_open(rings_reader *self, bool is_libbpf, const kernel_rings *rings) {
    *self = (rings_reader){0};
    if (!is_libbpf) {
        open_rbcore(self);
    }
    for (uint32_t i = 0; i < rings->count; i++) {
        if (is_libbpf) {
            add_to_libbpf(self, rings->fds[i]);
        } else {
            add_to_rbcore(self, rings->fds[i]);
        }
    }
}

void rings_reader_read(rings_reader *self, int timeout_ms) {
    if (self->libbpf) {
        read_by_libbpf(self, timeout_ms);
    } else {
        read_by_rbcore(self, timeout_ms);
    }
}

void rings_reader_close(rings_reader *self) {
    ring_buffer__free(self->libbpf);
    rbcore_reader_free(self->rbcore);
}
