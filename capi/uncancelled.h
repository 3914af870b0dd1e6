/* SPDX-License-Identifier: MIT */
/* What keeps a thread from being cancelled in the middle of a function: only waits are to be
 * cancellation points. */
#ifndef RBC_UNCANCELLED_H
#define RBC_UNCANCELLED_H

#include <pthread.h>
#include <unistd.h>

static inline int rbc_put_off_cancellation(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void rbc_allow_cancellation(int *before) {
    pthread_setcancelstate(*before, before);
}

/*
 * Placed first in a function that makes a call which is a cancellation point, and is no wait of the
 * caller's: a thread that is cancelled there (pthread_cancel) would leave behind what it holds. The
 * cancellation waits for the function's end, and then for the next cancellation point.
 */
#define RBC_UNCANCELLED                                                                            \
    __attribute__((cleanup(rbc_allow_cancellation), unused)) int rbc_cancellation =                \
        rbc_put_off_cancellation()

/* Closes the descriptor, unless it is negative. */
static inline void rbc_close(int fd) {
    RBC_UNCANCELLED;
    if (fd >= 0) {
        close(fd);
    }
}

#endif
