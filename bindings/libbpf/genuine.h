/* SPDX-License-Identifier: MIT */
/* libbpf's own functions, for the rings that rbcore refuses. */
#ifndef RBCORE_LIBBPF_GENUINE_H
#define RBCORE_LIBBPF_GENUINE_H

#include "libbpf_api.h"

#include <stdbool.h>

/* A function that this libbpf is too old to have is NULL. No program built for it calls it. */
struct genuine {
    __typeof__(&ring_buffer__new) open;
    __typeof__(&ring_buffer__free) free;
    __typeof__(&ring_buffer__add) add;
    __typeof__(&ring_buffer__poll) poll;
    __typeof__(&ring_buffer__consume) consume;
    __typeof__(&ring_buffer__consume_n) consume_n;
    __typeof__(&ring_buffer__epoll_fd) epoll_fd;
    __typeof__(&ring_buffer__ring) ring;
    __typeof__(&ring__consumer_pos) consumer_pos;
    __typeof__(&ring__producer_pos) producer_pos;
    __typeof__(&ring__consume) consume_ring;
    __typeof__(&ring__consume_n) consume_ring_n;
};

/* Fills *out. Returns whether a libbpf is loaded, by the program itself or by dlopen. */
bool genuine_load(struct genuine *out);

/*
 * These are libbpf's open and free. They call other functions of libbpf by their exported names,
 * and so call ours. Ours ask genuine_is_calling(), and then call libbpf's.
 */
struct ring_buffer *genuine_open(const struct genuine *self, int map_fd,
                                 ring_buffer_sample_fn handle, void *context);
void genuine_close(const struct genuine *self, struct ring_buffer *rings);
bool genuine_is_calling(void);

/* Go around other calls of libbpf that do so. errno is libbpf's after them. */
void genuine_enter(void);
void genuine_leave(void);

/* Returns the function of this name in that libbpf, or NULL. */
void *genuine_function(const char *name);

#endif
