/* SPDX-License-Identifier: MIT */
/* Release mode: records are given back one by one, in any order and by any thread. */
#ifndef RBC_RELEASE_H
#define RBC_RELEASE_H

#include "ring.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stddef.h>

/* Marks records as held, before they are handed out. The reading thread only. */
void rbc_release_hold(rbc_ring *self, const rbcore_record *records, size_t count);

/* Whether *record is handed out, not released, and as it was. The reading thread only. */
bool rbc_release_holds(const rbc_ring *self, const rbcore_record *record);

#endif
