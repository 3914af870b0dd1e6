/* SPDX-License-Identifier: MIT */
/* What keeps errno as a caller left it. */
#ifndef RBC_KEEP_ERRNO_H
#define RBC_KEEP_ERRNO_H

#include <errno.h>

static inline void rbc_restore_errno(const int *saved) {
    errno = *saved;
}

/*
 * Placed first in a function that makes system calls: errno is the same after it as before,
 * whatever way it returns. The ABI reports errors by return values and leaves errno to its callers.
 */
#define RBC_KEEP_ERRNO                                                                             \
    __attribute__((cleanup(rbc_restore_errno), unused)) const int rbc_saved_errno = errno

#endif
