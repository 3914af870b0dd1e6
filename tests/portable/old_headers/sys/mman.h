/* SPDX-License-Identifier: MIT */
/* Takes away what glibc 2.17 did not have: no library defines the function memfd_create. */
#include_next <sys/mman.h>
#undef MFD_CLOEXEC
#undef MFD_ALLOW_SEALING
#define memfd_create no_memfd_create
#undef MADV_WIPEONFORK
