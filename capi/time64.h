/* SPDX-License-Identifier: MIT */
/* Times of 64 bits for system calls without a wrapper in libc, also where libc's have 32 bits. */
#ifndef RBC_TIME64_H
#define RBC_TIME64_H

#include <linux/time_types.h>
#include <stdint.h>
#include <sys/syscall.h>

#ifdef SYS_futex_time64
#define RBC_SYS_FUTEX SYS_futex_time64
#else
#define RBC_SYS_FUTEX SYS_futex
#endif

static inline struct __kernel_timespec rbc_timespec(int64_t ns) {
    return (struct __kernel_timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

#endif
