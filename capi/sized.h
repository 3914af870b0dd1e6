/* SPDX-License-Identifier: MIT */
/* Structs of the ABI that begin with their own size, so that they can grow. */
#ifndef RBC_SIZED_H
#define RBC_SIZED_H

#include <stddef.h>

/* A larger size than this is taken for garbage, not for a struct of the far future. */
#define RBC_SIZED_MAX 4096

/*
 * Reads the caller's sized struct `given` into `known`, which holds the defaults of this library's
 * version of the struct. Returns 0, -EINVAL for an absurd size, or -E2BIG for a newer struct that
 * uses what this version does not know.
 */
int rbc_sized_in(void *known, size_t known_size, const void *given);

/*
 * Writes `known` into the caller's sized struct `given`, as far as that goes. What a newer caller
 * has beyond it becomes RBCORE_UNKNOWN. Returns 0 or -EINVAL for an absurd size.
 */
int rbc_sized_out(void *given, const void *known, size_t known_size);

/* Writes the defaults into the caller's `out` of `size` bytes, zeros beyond. Returns 0 or -EINVAL.
 */
int rbc_sized_init(void *out, size_t size, const void *defaults, size_t defaults_size);

#endif
