/* SPDX-License-Identifier: MIT */
#include "sized.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool is_absurd(size_t size) {
    return size < sizeof(size_t) || size > RBC_SIZED_MAX;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

int rbc_sized_in(void *known, size_t known_size, const void *given) {
    size_t size;
    memcpy(&size, given, sizeof(size));
    if (is_absurd(size)) {
        return -EINVAL;
    }
    const unsigned char *bytes = given;
    for (size_t i = known_size; i < size; i++) {
        if (bytes[i] != 0) {
            return -E2BIG;
        }
    }
    memcpy(known, given, smaller(size, known_size));
    return 0;
}

int rbc_sized_out(void *given, const void *known, size_t known_size) {
    size_t size;
    memcpy(&size, given, sizeof(size));
    if (is_absurd(size)) {
        return -EINVAL;
    }
    memcpy(given, known, smaller(size, known_size));
    if (size > known_size) {
        /* All figures are uint64_t, and RBCORE_UNKNOWN is all ones. */
        memset((unsigned char *)given + known_size, 0xff, size - known_size);
    }
    memcpy(given, &size, sizeof(size));
    return 0;
}

int rbc_sized_init(void *out, size_t size, const void *defaults, size_t defaults_size) {
    if (out == NULL || is_absurd(size)) {
        return -EINVAL;
    }
    memset(out, 0, size);
    memcpy(out, defaults, smaller(size, defaults_size));
    memcpy(out, &size, sizeof(size));
    return 0;
}
