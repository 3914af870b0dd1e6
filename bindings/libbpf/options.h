/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * This is libbpf's rule for its option structs, which begin with their size: it must be at least
 * `known`, that of the struct that we know, and what follows must be zero. NULL is valid.
 */
static inline bool options_are_valid(const void *options, size_t known) {
    if (options == NULL) {
        return true;
    }
    const unsigned char *bytes = options;
    size_t size;
    memcpy(&size, bytes, sizeof(size));
    for (size_t i = known; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return size >= known;
}

#endif
