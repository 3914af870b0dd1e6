/* SPDX-License-Identifier: MIT */
/*
 * The parts of the kernel's interface that the library needs and cannot take from a header. musl
 * comes without linux/, and glibc before 2.27 without memfd_create(2) and its seals, getrandom(2),
 * newer flags and the newer numbers of system calls. None of it ever changes, and
 * tests/c/kernel_definitions.c compares each with the kernel's headers.
 */
#ifndef RBC_KERNEL_H
#define RBC_KERNEL_H

#include <stdint.h>
#include <sys/syscall.h>

/* ---- Numbers of system calls ---- */

/* The C library's headers must have the numbers of other processors. */
#if defined(__x86_64__) && defined(__LP64__)
#define RBC_SYS_MEMFD_CREATE 319
#define RBC_SYS_GETRANDOM 318
#define RBC_SYS_BPF 321
#define RBC_SYS_FUTEX 202
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__i386__)
#define RBC_SYS_MEMFD_CREATE 356
#define RBC_SYS_GETRANDOM 355
#define RBC_SYS_BPF 357
#define RBC_SYS_FUTEX 422 /* futex_time64: its times have 64 bits */
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__LP64__) && (defined(__aarch64__) || defined(__riscv) || defined(__loongarch__))
#define RBC_SYS_MEMFD_CREATE 279
#define RBC_SYS_GETRANDOM 278
#define RBC_SYS_BPF 280
#define RBC_SYS_FUTEX 98
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__arm__) && defined(__ARM_EABI__)
#define RBC_SYS_MEMFD_CREATE 385
#define RBC_SYS_GETRANDOM 384
#define RBC_SYS_BPF 386
#define RBC_SYS_FUTEX 422 /* as on i386 */
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__powerpc64__)
#define RBC_SYS_MEMFD_CREATE 360
#define RBC_SYS_GETRANDOM 359
#define RBC_SYS_BPF 361
#define RBC_SYS_FUTEX 221
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__s390x__)
#define RBC_SYS_MEMFD_CREATE 350
#define RBC_SYS_GETRANDOM 349
#define RBC_SYS_BPF 351
#define RBC_SYS_FUTEX 238
#define RBC_SYS_EPOLL_PWAIT2 441
#else
#define RBC_SYS_MEMFD_CREATE SYS_memfd_create
#define RBC_SYS_GETRANDOM SYS_getrandom
#define RBC_SYS_BPF SYS_bpf
#ifdef SYS_futex_time64
#define RBC_SYS_FUTEX SYS_futex_time64
#else
#define RBC_SYS_FUTEX SYS_futex
#endif
#define RBC_SYS_EPOLL_PWAIT2 SYS_epoll_pwait2
#endif

/* ---- Times ---- */

/* 64 bits each, also where those of libc have 32. */
typedef struct rbc_kernel_time {
    int64_t seconds;
    long long nanoseconds;
} rbc_kernel_time;

static inline rbc_kernel_time rbc_kernel_time_of(int64_t ns) {
    return (rbc_kernel_time){.seconds = ns / 1000000000, .nanoseconds = ns % 1000000000};
}

/* ---- futex(2) ---- */

#define RBC_FUTEX_WAIT 0
#define RBC_FUTEX_WAKE 1

/* ---- memfd_create(2), fcntl(2), madvise(2), getrandom(2) ---- */

#define RBC_MFD_CLOEXEC 1u
#define RBC_MFD_ALLOW_SEALING 2u
#define RBC_MFD_NOEXEC_SEAL 8u /* since Linux 6.3; earlier kernels answer with EINVAL */

#define RBC_F_ADD_SEALS 1033
#define RBC_F_GET_SEALS 1034
#define RBC_F_SEAL_SEAL 1
#define RBC_F_SEAL_SHRINK 2
#define RBC_F_SEAL_GROW 4

#define RBC_F_OFD_GETLK 36
#define RBC_F_OFD_SETLK 37

#define RBC_MADV_WIPEONFORK 18

#define RBC_GRND_NONBLOCK 1u

/* ---- bpf(2) ---- */

#define RBC_BPF_MAP_CREATE 0
#define RBC_BPF_MAP_LOOKUP_ELEM 1
#define RBC_BPF_OBJ_GET 7
#define RBC_BPF_MAP_GET_FD_BY_ID 14
#define RBC_BPF_OBJ_GET_INFO_BY_FD 15

#define RBC_BPF_MAP_TYPE_PERCPU_ARRAY 6
#define RBC_BPF_MAP_TYPE_RINGBUF 27
#define RBC_BPF_MAP_TYPE_USER_RINGBUF 31 /* since Linux 6.1 */

#define RBC_BPF_F_RB_OVERWRITE (1u << 19) /* since Linux 6.19 */

/*
 * The arguments of those commands: the beginning of the kernel's union bpf_attr. Pointers have 64
 * bits in every process. The kernel takes what it is not given for zero.
 */
typedef union rbc_bpf_arguments {
    struct {
        uint32_t map_type;
        uint32_t key_size;
        uint32_t value_size;
        uint32_t max_entries;
        uint32_t map_flags;
    } create;
    struct {
        uint32_t map_fd;
        uint32_t padding;
        uint64_t key;
        uint64_t value;
        uint64_t flags;
    } element;
    struct {
        uint64_t path;
        uint32_t fd;
        uint32_t flags;
    } object;
    uint32_t map_id;
    struct {
        uint32_t fd;
        uint32_t size;
        uint64_t info;
    } info;
} rbc_bpf_arguments;

/* The kernel's description of a map: the beginning of its struct bpf_map_info. */
typedef struct rbc_map_info {
    uint32_t type;
    uint32_t id;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t map_flags;
    char name[16];
} rbc_map_info;

#endif
