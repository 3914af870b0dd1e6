/* SPDX-License-Identifier: MIT */
/* A flush: delivers what is in the rings when it is noticed, without waiting for more. */
#ifndef RBC_FLUSH_H
#define RBC_FLUSH_H

#include "reader.h"

#include <stdbool.h>

/* All of these are for the reading thread only. */

void rbc_flush_begin(rbcore_reader *self);

/* Whether all that was there when the flush began was handed out. */
bool rbc_flush_is_complete(const rbcore_reader *self);

/* Whether a ring has more that the user's last release, which is about to return, keeps back. */
bool rbc_flush_has_more_soon(const rbcore_reader *self);

#endif
