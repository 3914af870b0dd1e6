/* SPDX-License-Identifier: MIT */
/* The signals that end an example. */
#ifndef ENDING_H
#define ENDING_H

#include <signal.h>

/*
 * Before a reader that the handler uses is freed, call this again with SIG_IGN: a second signal can
 * come at any time. (timeout(1) sends two, and so does an impatient user.)
 */
static inline void on_signals_that_end(void (*handler)(int)) {
    signal(SIGINT, handler);
    signal(SIGTERM, handler);
    signal(SIGALRM, handler);
}

#endif /* ENDING_H */
