/* SPDX-License-Identifier: MIT */
/*
 * The library: its version, its features and its errors.
 * A part of rbcore.h, which says what holds for all parts.
 */
#ifndef RBCORE_LIBRARY_H
#define RBCORE_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RBCORE_API __attribute__((visibility("default")))
#else
#define RBCORE_API
#endif

/* This is the version of the header: major << 16 | minor << 8 | patch. */
#define RBCORE_VERSION UINT32_C(0x000300)

/* Returns the version of the library at run time, in the form of RBCORE_VERSION. Any thread. */
RBCORE_API uint32_t rbcore_version(void);

/* Features for rbcore_supports. */
#define RBCORE_FEATURE_KERNEL_RING UINT32_C(1) /* BPF_MAP_TYPE_RINGBUF (Linux 5.8) */
#define RBCORE_FEATURE_MEMORY_RING UINT32_C(2) /* rbcore_memory_ring_create */
#define RBCORE_FEATURE_OVERWRITE UINT32_C(4)   /* BPF maps in overwrite mode (Linux 6.19) */
#define RBCORE_FEATURE_USER_RING UINT32_C(8)   /* BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1) */

/*
 * Tells whether this library on this kernel has a feature. Any thread.
 * Returns 1 for yes and 0 for no, also for a feature that this library has never heard of.
 *   -EPERM   the process may not ask the kernel (it needs CAP_BPF);
 *   -EMFILE, -ENFILE, -ENOMEM  no file descriptor or memory for the attempt.
 */
RBCORE_API int rbcore_supports(uint32_t feature);

/*
 * Returns an English sentence that says what an error means here. Takes the negative value that a
 * function returned (or its absolute value). The result is never NULL, and the string is static.
 * Any thread.
 */
RBCORE_API const char *rbcore_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif /* RBCORE_LIBRARY_H */
