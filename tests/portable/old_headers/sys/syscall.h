/* SPDX-License-Identifier: MIT */
/* Takes away what the kernel headers of Linux 3.10 did not have. */
#include_next <sys/syscall.h>
#undef SYS_bpf
#undef SYS_memfd_create
#undef SYS_getrandom
#undef SYS_epoll_pwait2
#undef SYS_futex_time64
