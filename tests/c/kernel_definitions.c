/* SPDX-License-Identifier: MIT */
/* capi/kernel.h says the same of the kernel's interface as the kernel's own headers. */
#include "kernel.h"

#include <assert.h>
#include <linux/bpf.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/random.h>
#include <linux/time_types.h>
#include <linux/version.h>
#include <stddef.h>
#include <stdio.h>

#define SAME(ours, theirs) static_assert((ours) == (theirs), #ours)

/* Both have the same place and the same size. */
#define SAME_MEMBER(ours, our_member, theirs, their_member)                                        \
    static_assert(offsetof(ours, our_member) == offsetof(theirs, their_member) &&                  \
                      sizeof(((ours *)0)->our_member) == sizeof(((theirs *)0)->their_member),      \
                  #our_member)

SAME(RBC_SYS_MEMFD_CREATE, SYS_memfd_create);
SAME(RBC_SYS_GETRANDOM, SYS_getrandom);
SAME(RBC_SYS_BPF, SYS_bpf);
SAME(RBC_SYS_EPOLL_PWAIT2, SYS_epoll_pwait2);
#ifdef SYS_futex_time64
SAME(RBC_SYS_FUTEX, SYS_futex_time64);
#else
SAME(RBC_SYS_FUTEX, SYS_futex);
#endif

SAME(sizeof(rbc_kernel_time), sizeof(struct __kernel_timespec));
SAME_MEMBER(rbc_kernel_time, seconds, struct __kernel_timespec, tv_sec);
SAME_MEMBER(rbc_kernel_time, nanoseconds, struct __kernel_timespec, tv_nsec);

SAME(RBC_FUTEX_WAIT, FUTEX_WAIT);
SAME(RBC_FUTEX_WAKE, FUTEX_WAKE);

SAME(RBC_MFD_CLOEXEC, MFD_CLOEXEC);
SAME(RBC_MFD_ALLOW_SEALING, MFD_ALLOW_SEALING);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
SAME(RBC_MFD_NOEXEC_SEAL, MFD_NOEXEC_SEAL);
#endif

SAME(RBC_F_ADD_SEALS, F_ADD_SEALS);
SAME(RBC_F_GET_SEALS, F_GET_SEALS);
SAME(RBC_F_SEAL_SEAL, F_SEAL_SEAL);
SAME(RBC_F_SEAL_SHRINK, F_SEAL_SHRINK);
SAME(RBC_F_SEAL_GROW, F_SEAL_GROW);

SAME(RBC_F_OFD_GETLK, F_OFD_GETLK);
SAME(RBC_F_OFD_SETLK, F_OFD_SETLK);

SAME(RBC_MADV_WIPEONFORK, MADV_WIPEONFORK);

SAME(RBC_GRND_NONBLOCK, GRND_NONBLOCK);

SAME(RBC_BPF_MAP_CREATE, BPF_MAP_CREATE);
SAME(RBC_BPF_MAP_LOOKUP_ELEM, BPF_MAP_LOOKUP_ELEM);
SAME(RBC_BPF_OBJ_GET, BPF_OBJ_GET);
SAME(RBC_BPF_MAP_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID);
SAME(RBC_BPF_OBJ_GET_INFO_BY_FD, BPF_OBJ_GET_INFO_BY_FD);

SAME(RBC_BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY);
SAME(RBC_BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_RINGBUF);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
SAME(RBC_BPF_MAP_TYPE_USER_RINGBUF, BPF_MAP_TYPE_USER_RINGBUF);
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
SAME(RBC_BPF_F_RB_OVERWRITE, BPF_F_RB_OVERWRITE);
#endif

SAME_MEMBER(rbc_bpf_arguments, create.map_type, union bpf_attr, map_type);
SAME_MEMBER(rbc_bpf_arguments, create.key_size, union bpf_attr, key_size);
SAME_MEMBER(rbc_bpf_arguments, create.value_size, union bpf_attr, value_size);
SAME_MEMBER(rbc_bpf_arguments, create.max_entries, union bpf_attr, max_entries);
SAME_MEMBER(rbc_bpf_arguments, create.map_flags, union bpf_attr, map_flags);
SAME_MEMBER(rbc_bpf_arguments, element.map_fd, union bpf_attr, map_fd);
SAME_MEMBER(rbc_bpf_arguments, element.key, union bpf_attr, key);
SAME_MEMBER(rbc_bpf_arguments, element.value, union bpf_attr, value);
SAME_MEMBER(rbc_bpf_arguments, element.flags, union bpf_attr, flags);
SAME_MEMBER(rbc_bpf_arguments, object.path, union bpf_attr, pathname);
SAME_MEMBER(rbc_bpf_arguments, object.fd, union bpf_attr, bpf_fd);
SAME_MEMBER(rbc_bpf_arguments, object.flags, union bpf_attr, file_flags);
SAME_MEMBER(rbc_bpf_arguments, map_id, union bpf_attr, map_id);
SAME_MEMBER(rbc_bpf_arguments, info.fd, union bpf_attr, info.bpf_fd);
SAME_MEMBER(rbc_bpf_arguments, info.size, union bpf_attr, info.info_len);
SAME_MEMBER(rbc_bpf_arguments, info.info, union bpf_attr, info.info);

SAME_MEMBER(rbc_map_info, type, struct bpf_map_info, type);
SAME_MEMBER(rbc_map_info, id, struct bpf_map_info, id);
SAME_MEMBER(rbc_map_info, key_size, struct bpf_map_info, key_size);
SAME_MEMBER(rbc_map_info, value_size, struct bpf_map_info, value_size);
SAME_MEMBER(rbc_map_info, max_entries, struct bpf_map_info, max_entries);
SAME_MEMBER(rbc_map_info, map_flags, struct bpf_map_info, map_flags);
SAME_MEMBER(rbc_map_info, name, struct bpf_map_info, name);

int main(void) {
    puts("the definitions are the kernel's");
    return 0;
}
