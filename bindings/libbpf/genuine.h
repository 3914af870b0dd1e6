/* SPDX-License-Identifier: MIT */
/* libbpf's own functions, for the rings that rbcore refuses. */
#ifndef RBCORE_LIBBPF_GENUINE_H
#define RBCORE_LIBBPF_GENUINE_H

#include "libbpf_api.h"

#include <stdbool.h>

/* Those that this process's libbpf is too old to have are NULL; no program built for it calls them. */
struct genuine {
    __typeof__(&ring_buffer__new) open;
    __typeof__(&ring_buffer__free) free;
    __typeof__(&ring_buffer__poll) poll;
    __typeof__(&ring_buffer__consume) consume;
    __typeof__(&ring_buffer__consume_n) consume_n;
    __typeof__(&ring_buffer__epoll_fd) epoll_fd;
    __typeof__(&ring_buffer__ring) ring;
    __typeof__(&ring__consumer_pos) consumer_pos;
    __typeof__(&ring__producer_pos) producer_pos;
};

/* Fills *out. Returns whether a libbpf is loaded, by the program itself or by dlopen. */
bool genuine_load(struct genuine *out);

/* The function of this name in that libbpf, or NULL. */
void *genuine_function(const char *name);

#endif
