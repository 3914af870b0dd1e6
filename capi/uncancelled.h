/* SPDX-License-Identifier: MIT */
/* What keeps a thread from being cancelled in the middle of a function. */
#ifndef RBC_UNCANCELLED_H
#define RBC_UNCANCELLED_H

#include <pthread.h>

static inline int rbc_put_off_cancellation(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void rbc_allow_cancellation(int *before) {
    pthread_setcancelstate(*before, before);
}

/*
 * Placed first in a function that opens what it closes again: a thread that is cancelled meanwhile
 * (pthread_cancel) would leave it open. The cancellation waits for the function's end, and then for
 * the next cancellation point.
 */
#define RBC_UNCANCELLED                                                                            \
    __attribute__((cleanup(rbc_allow_cancellation), unused)) int rbc_cancellation =                \
        rbc_put_off_cancellation()

#endif
