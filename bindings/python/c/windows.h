/* SPDX-License-Identifier: MIT */
/* What is no function of Python: see batch.h. */
#ifndef RBCORE_PY_WINDOWS_H
#define RBCORE_PY_WINDOWS_H

#include "batch.h"

/* Unmaps them at once. NULL is allowed. */
void rbcore_py_windows_free(rbcore_py_windows *self);

#endif
