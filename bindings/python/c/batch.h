/* SPDX-License-Identifier: MIT */
/* What Python must know of a batch, found in one crossing of the language border. */
#ifndef RBCORE_PY_BATCH_H
#define RBCORE_PY_BATCH_H

#include "rbcore.h"

/* Where a batch's records are: all lie within extent bytes from base. */
typedef struct rbcore_py_shape {
    const void *base;
    uint64_t extent;
    uint64_t stride; /* from record to record, if all are of one size and in one row; else 0 */
    uint64_t size;   /* of each record, then */
} rbcore_py_shape;

/* Fills *shape for count records, at least one. */
void rbcore_py_shape_of(const rbcore_record *records, size_t count, rbcore_py_shape *shape);

/* How many records from the first on are of one size and in one row, *stride bytes apart. */
size_t rbcore_py_run(const rbcore_record *records, size_t count, uint64_t *stride);

#endif
