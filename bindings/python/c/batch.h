/* SPDX-License-Identifier: MIT */
/*
 * These functions do what would be slow in Python, or must be done even if a signal handler raises
 * meanwhile.
 */
#ifndef RBCORE_PY_BATCH_H
#define RBCORE_PY_BATCH_H

#include "rbcore.h"

/*
 * This says how many records some spans have, and where they are: all lie within extent bytes from
 * base. bytes is how much of the ring they take, headers included.
 */
typedef struct rbcore_py_shape {
    uint64_t count;
    uint64_t base;
    uint64_t extent;
    uint64_t bytes;
} rbcore_py_shape;

/* Fills *shape for n spans. */
void rbcore_py_shape_of(const rbcore_span *spans, size_t n, rbcore_py_shape *shape);

/*
 * Windows: mappings of the rings of one reader that only views of Python use. So records to which
 * views still refer can be moved out of the ring: they are copied to private memory, which then
 * takes the place of the window's pages, at the same addresses. The library never looks into a
 * window.
 *
 * Windows are made of a ring's descriptor, or where there is none (a memory ring, a copy of a ring)
 * of the library's own mapping.
 */
typedef struct rbcore_py_rings rbcore_py_rings; /* descriptors and sizes of the reader's rings */
typedef struct rbcore_py_windows rbcore_py_windows; /* a window for each ring that had records */

/* NULL without memory. */
rbcore_py_rings *rbcore_py_rings_new(void);
void rbcore_py_rings_free(rbcore_py_rings *self);

/* rbcore_reader_add, and what windows of the ring are made of. */
int rbcore_py_add(rbcore_py_rings *self, rbcore_reader *reader, const rbcore_source *source);

/* After rbcore_reader_remove; windows of the ring are for no new records. */
void rbcore_py_forget(rbcore_py_rings *self, unsigned int index);

/* The size of the smallest ring that was added and not forgotten; UINT64_MAX without any. */
uint64_t rbcore_py_smallest(const rbcore_py_rings *self);

/* NULL without memory. */
rbcore_py_windows *rbcore_py_windows_new(void);

/* Makes the spans refer to windows, which it makes as needed. */
void rbcore_py_place(rbcore_py_windows *self, const rbcore_py_rings *rings, rbcore_span *spans,
                     size_t n);

/* Returns what was added to the addresses of a ring's spans. */
int64_t rbcore_py_shift(const rbcore_py_windows *self, unsigned int ring);

/*
 * Moves the records of n spans to private memory, in windows and in the order in which they came.
 * Returns 0, or -ENOMEM: then some were not, and nothing is lost. The windows are good for no other
 * records then.
 */
int rbcore_py_move(rbcore_py_windows *self, const rbcore_span *spans, size_t n);

/* The windows show the rings again; nothing may refer to them. 0, or a negative errno value. */
int rbcore_py_restore(rbcore_py_windows *self, const rbcore_py_rings *rings);

/* Keeps only the memory of what was moved. */
void rbcore_py_trim(rbcore_py_windows *self);

/*
 * rbcore_reader_next_spans, if commit is not 0 after rbcore_reader_commit of all, then
 * rbcore_py_place, and the shape of what was found: so a batch is one crossing of the language
 * border.
 */
int rbcore_py_next(rbcore_reader *reader, int commit, rbcore_span *spans, size_t max_spans,
                   size_t max_records, int64_t timeout_ns, rbcore_py_shape *shape,
                   rbcore_py_windows *windows, const rbcore_py_rings *rings);

/*
 * rbcore_reader_next, which also sets *found to how many records it found. So the caller learns of
 * them even if an exception takes the place of the result.
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

/* Tells where each record of n spans begins and ends, in bytes from base. */
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
void rbcore_py_free_windows(rbcore_py_windows *self);

/* Releases a record. data is the object with this destructor. It is not used. */
void rbcore_py_release(rbcore_reader *self, const rbcore_record *record, void *data);

/* Discards the record that *data is, unless that is NULL. */
void rbcore_py_discard(rbcore_producer *self, void **data);

#endif
