/* SPDX-License-Identifier: MIT */
/* Records of a memory ring whose producer died before it submitted them. */
#ifndef RBC_ABANDONED_H
#define RBC_ABANDONED_H

#include "ring.h"

/*
 * If a producer died and left the record at read_pos unfinished, skips it and returns true. Makes
 * system calls. The reading thread only.
 */
bool rbc_abandoned_skip(rbc_ring *self);

#endif
