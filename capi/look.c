/* SPDX-License-Identifier: MIT */
/* Looks at the ring that a source names, without a reader, and changes nothing. */
#include "counter.h"
#include "keep_errno.h"
#include "map.h"
#include "memory_ring.h"
#include "owner.h"
#include "sized.h"
#include "source.h"
#include "uncancelled.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct rbc_look {
    rbcore_source source;
    int fd;
    uint64_t map_id;
    size_t data_size;
    rbc_mapping mapping; /* of the two pages with the positions */
    uint64_t lost;
} rbc_look;

static int check_source(rbcore_source *source, const rbcore_source *given) {
    *source = (rbcore_source)RBCORE_SOURCE_INIT;
    int error = rbc_sized_in(source, sizeof(*source), given);
    if (error != 0) {
        return error;
    }
    return rbc_source_missing_field(source) == NULL ? 0 : -EINVAL;
}

static int check_map(rbc_look *self) {
    rbc_map_info info;
    int error = rbc_map_get_info(self->fd, &info);
    if (error != 0) {
        return error;
    }
    if (info.type != RBC_BPF_MAP_TYPE_RINGBUF) {
        return -EMEDIUMTYPE;
    }
    self->map_id = info.id;
    self->data_size = info.max_entries;
    return rbc_map_positions_are_whole() ? 0 : -EOPNOTSUPP;
}

static bool is_memory(const rbc_look *self) {
    return self->source.kind == RBCORE_SOURCE_MEMORY_RING;
}

/* What is checked is a descriptor of our own: the caller's number may name another file later. */
static int open_source(rbc_look *self) {
    ino_t inode;
    self->fd =
        is_memory(self) ? rbc_duplicate(self->source.fd) : rbc_source_open_map(&self->source);
    if (self->fd < 0) {
        return self->fd;
    }
    return is_memory(self) ? rbc_memory_ring_check(self->fd, &self->data_size, &inode)
                           : check_map(self);
}

static int map_pages(rbc_look *self) {
    int error = rbc_mapping_open_pages(&self->mapping, self->fd, self->data_size);
    if (error == -ENODEV) {
        return -EBADFD; /* no map: without /proc it is found out here */
    }
    if (error == -EINVAL && !is_memory(self)) {
        return -EACCES; /* the kernel says so of a descriptor that is read-only */
    }
    bool overwrites;
    return error == 0 && is_memory(self) ? rbc_memory_ring_check_layout(&self->mapping, &overwrites)
                                         : error;
}

/* The figure itself may be unknown; the descriptor has to be right, as for a reader. */
static int read_loss_map(rbc_look *self) {
    rbc_map_info info;
    self->lost = RBCORE_UNKNOWN;
    if (self->source.loss_fd == -1) {
        return 0;
    }
    int fd = rbc_duplicate(self->source.loss_fd);
    int error = fd < 0 ? fd : rbc_map_get_info(fd, &info);
    if (error == 0 && !rbc_map_counts_losses(&info)) {
        error = -EMEDIUMTYPE;
    }
    if (error == 0 && rbc_map_read_losses(fd, &self->lost) != 0) {
        self->lost = RBCORE_UNKNOWN;
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

static uint64_t position(const unsigned char *page) {
    /* Acquire: pairs with the store of a producer, or of the ring's reader. */
    return atomic_load_explicit((const _Atomic uint64_t *)(const void *)page, memory_order_acquire);
}

static void fill(const rbc_look *self, rbcore_ring_stats *stats) {
    const rbc_mapping *mapping = &self->mapping;
    memset(stats, 0xff, sizeof(*stats)); /* RBCORE_UNKNOWN */
    stats->cookie = self->source.cookie;
    stats->flags = 0;
    stats->map_id = is_memory(self) ? RBCORE_UNKNOWN : self->map_id;
    stats->ring_size = self->data_size;
    /* In this order, or a reader that goes on meanwhile would be ahead of the producers. */
    stats->consumer_pos = position(mapping->consumer_page);
    stats->producer_pos = position(mapping->producer_page);
    uint64_t waiting = stats->producer_pos - stats->consumer_pos;
    stats->bytes_waiting = waiting < self->data_size ? waiting : self->data_size;
    stats->lost = is_memory(self) ? rbc_get(&rbc_producer_page_of(mapping)->lost) : self->lost;
    stats->reader_pid = rbc_owner_pid(mapping->consumer_page, mapping->page_size);
}

int rbcore_source_ring_stats(const rbcore_source *source, rbcore_ring_stats *out) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    if (source == NULL || out == NULL) {
        return -EINVAL;
    }
    rbc_look look = {.fd = -1};
    rbcore_ring_stats stats;
    int error = check_source(&look.source, source);
    error = error != 0 ? error : open_source(&look);
    error = error != 0 ? error : map_pages(&look);
    error = error != 0 ? error : read_loss_map(&look);
    if (error == 0) {
        fill(&look, &stats);
        error = rbc_sized_out(out, &stats, sizeof(stats));
    }
    rbc_mapping_close_pages(&look.mapping);
    if (look.fd >= 0) {
        close(look.fd);
    }
    return error;
}
