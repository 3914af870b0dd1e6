/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "by_ring.h"
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * libbpf gives the space of each record back after its callback. So do we in small rings. In larger
 * ones we do so after this many bytes, because each time costs as much as several records.
 */
#define PIECE_PART 256
#define PIECE_MAX 16384

/*
 * So many rings have a descriptor of their own. libbpf needs none, so a ring_buffer with more rings
 * reads those by the caller's.
 */
#define RINGS_WITH_DESCRIPTOR 16

/* ---- The map ---- */

uint64_t map_id_of(int map_fd) {
    rbc_map_info info;
    return rbc_map_get_info(map_fd, &info) == 0 ? info.id : RBCORE_UNKNOWN;
}

void ring_keep_descriptor(struct ring *self) {
    if (self->index < RINGS_WITH_DESCRIPTOR) {
        self->own_fd = fcntl(self->map_fd, F_DUPFD_CLOEXEC, 0);
    }
}

int ring_descriptor(const struct ring *self, bool *is_temporary) {
    *is_temporary = false;
    if (self->own_fd >= 0) {
        return self->own_fd;
    }
    if (self->map_id == RBCORE_UNKNOWN || map_id_of(self->map_fd) == self->map_id) {
        return self->map_fd;
    }
    *is_temporary = true; /* the caller has closed its own */
    return rbc_map_open_id((uint32_t)self->map_id);
}

/* ---- Life ---- */

void ring_begin_anew(struct ring *self) {
    rings_init_lock(&self->lock);
    self->calls = 0;
    atomic_store(&self->wanted, 0);
    self->entered++;
    self->next = self->end = self->done = self->run.count = 0;
    self->held = 0;
    self->has_batch = false;
    atomic_store_explicit(&self->consumer_pos, AT_COMMIT, memory_order_relaxed);
}

struct ring *ring_new(int map_fd, ring_buffer_sample_fn handle, void *context) {
    struct ring *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    rbc_map_info info;
    int error = rbc_map_get_info(map_fd, &info);
    self->map_fd = map_fd;
    self->own_fd = -1;
    self->handle = handle;
    self->context = context;
    self->map_id = error == 0 ? info.id : RBCORE_UNKNOWN;
    self->size = error == 0 ? info.max_entries : 0; /* also if libbpf reads it */
    self->piece_size = self->size / PIECE_PART < PIECE_MAX ? self->size / PIECE_PART : PIECE_MAX;
    ring_begin_anew(self);
    return self;
}

void ring_free(struct ring *self) {
    if (self->own_fd >= 0) {
        close(self->own_fd);
    }
    pthread_mutex_destroy(&self->lock);
    free(self->records);
    free(self);
}

int ring_start(struct ring *self, uint32_t flags) {
    bool is_temporary;
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = ring_descriptor(self, &is_temporary);
    source.flags = flags;
    if (source.fd < 0) {
        return is_temporary ? source.fd : -EBADF;
    }
    rbcore_reader *reader = self->owner->reader;
    int index = rbc_reader_add_by_descriptor(reader, &source,
                                             self->own_fd >= 0 ? RBC_FD_KEPT : RBC_FD_LENT);
    if (is_temporary) {
        close(source.fd);
    }
    return index < 0 ? index : 0;
}
