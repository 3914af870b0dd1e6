/* SPDX-License-Identifier: MIT */
/* Takes away what glibc 2.17 did not have. */
#include_next <fcntl.h>
#undef F_ADD_SEALS
#undef F_GET_SEALS
#undef F_SEAL_SEAL
#undef F_SEAL_SHRINK
#undef F_SEAL_GROW
#undef F_OFD_GETLK
#undef F_OFD_SETLK
#undef F_OFD_SETLKW
