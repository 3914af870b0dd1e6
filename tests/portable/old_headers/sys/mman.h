/* SPDX-License-Identifier: MIT */
/* As in glibc 2.17: memfd_create is a function that nobody defines. */
#include_next <sys/mman.h>
#undef MFD_CLOEXEC
#undef MFD_ALLOW_SEALING
#define memfd_create no_memfd_create
#undef MADV_WIPEONFORK
