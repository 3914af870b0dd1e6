/* SPDX-License-Identifier: MIT */
/* Records of a memory ring whose producer died before it submitted them. */
#ifndef RBC_ABANDONED_H
#define RBC_ABANDONED_H

#include "ring.h"

/* rbc_kind's skip_abandoned for all kinds of memory rings. */
bool rbc_abandoned_skip(rbc_ring *self, rbc_passed *passed);

#endif
