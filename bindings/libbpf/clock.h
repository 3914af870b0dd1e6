/* SPDX-License-Identifier: MIT */
#ifndef RBCORE_LIBBPF_CLOCK_H
#define RBCORE_LIBBPF_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Reads the monotonic clock, by which timeouts become deadlines. */
static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
