/* SPDX-License-Identifier: MIT */
/* Where the compiler's own choice would cost a batch as much as some records do. */
#ifndef RBC_INLINE_H
#define RBC_INLINE_H

/* Each batch needs it. */
#define RBC_INLINE inline __attribute__((always_inline))

/* Few batches need it: the others shall not save registers for it. */
#define RBC_OUT_OF_LINE __attribute__((noinline))

#endif
