/* SPDX-License-Identifier: MIT */
/* Before the reader waits: for what it listens, and how long it may sleep. */
#ifndef RBC_PARK_H
#define RBC_PARK_H

#include "pass.h"
#include "reader.h"

#include <stdbool.h>
#include <stdint.h>

/* All of these are for the reading thread only. */

/*
 * Decides which rings shall wake us and which have the timer. The latter leave the epoll: there are
 * programs that wake the reader for each record, whatever it does (BPF_RB_FORCE_WAKEUP).
 */
void rbc_park_prepare(rbcore_reader *self, rbc_request *request);

/* The longest sleep: until a paced ring is due, or until the next look by itself. */
int64_t rbc_park_longest_sleep(rbcore_reader *self);

/* Whether no ring can make rbcore_reader_fd readable, and the timer will be started. */
bool rbc_park_hears_only_the_timer(const rbcore_reader *self);

#endif
