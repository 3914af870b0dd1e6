/* SPDX-License-Identifier: MIT */
/* What is dear in Python, and what must be done though a signal handler raises meanwhile. */
#ifndef RBCORE_PY_BATCH_H
#define RBCORE_PY_BATCH_H

#include "rbcore.h"

/* How many records spans tell of, and where they are: all lie within extent bytes from base. */
typedef struct rbcore_py_shape {
    uint64_t count;
    uint64_t base;
    uint64_t extent;
} rbcore_py_shape;

/* Fills *shape for n spans. */
void rbcore_py_shape_of(const rbcore_span *spans, size_t n, rbcore_py_shape *shape);

/*
 * rbcore_reader_next_spans, if commit is not 0 after rbcore_reader_commit of all, and the shape of
 * what was found: so a batch is one crossing of the language border.
 */
int rbcore_py_next(rbcore_reader *reader, int commit, rbcore_span *spans, size_t max_spans,
                   size_t max_records, int64_t timeout_ns, rbcore_py_shape *shape);

/*
 * rbcore_reader_next, which also sets *found to how many records it found: where the caller learns of
 * them although an exception takes the place of the result.
 */
int rbcore_py_next_records(rbcore_reader *reader, rbcore_record *records, size_t max,
                           int64_t timeout_ns, int *found);

/*
 * Puts count records that were read into spans, for which there has to be room for as many, as
 * rbcore_reader_next_spans would. Returns the number of spans.
 */
int rbcore_py_spans_of(const rbcore_record *records, int count, rbcore_span *spans);

/*
 * rbcore_snapshot_read of all that follows, or until max spans were begun, into these. Returns the
 * number of spans; 0: all were read; or a negative errno value.
 */
int rbcore_py_snapshot_spans(rbcore_snapshot *snapshot, rbcore_span *spans, int max);

/* Where each record of n spans begins and ends, in bytes from base. */
void rbcore_py_cut(const rbcore_span *spans, size_t n, uint64_t base, uint64_t *begins,
                   uint64_t *ends);

/*
 * Python's garbage collector finalizes what it found in any order, and only then clears it. So the
 * finalizer of a handle may come before those of others that still use it. What the functions below
 * do in a thread that collects is done when it ends: rbcore_py_collects(0).
 */
void rbcore_py_collects(int begins);
void rbcore_py_free_reader(rbcore_reader *self);
void rbcore_py_free_producer(rbcore_producer *self);
void rbcore_py_free_snapshot(rbcore_snapshot *self);

/* Releases a record. data: what the destructor is of, which nobody needs here. */
void rbcore_py_release(rbcore_reader *self, const rbcore_record *record, void *data);

/* Discards the record that *data is, unless that is NULL. */
void rbcore_py_discard(rbcore_producer *self, void **data);

#endif
