/* SPDX-License-Identifier: MIT */
/* The functions of windows that Python does not call. See batch.h for the others. */
#ifndef RBCORE_PY_WINDOWS_H
#define RBCORE_PY_WINDOWS_H

#include "batch.h"

/* Unmaps them at once. NULL is allowed. */
void rbcore_py_windows_free(rbcore_py_windows *self);

#endif
