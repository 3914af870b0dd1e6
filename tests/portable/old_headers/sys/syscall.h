/* SPDX-License-Identifier: MIT */
/* As with the kernel headers of Linux 3.10. */
#include_next <sys/syscall.h>
#undef SYS_bpf
#undef SYS_memfd_create
#undef SYS_getrandom
#undef SYS_epoll_pwait2
#undef SYS_futex_time64
