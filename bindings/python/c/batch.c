/* SPDX-License-Identifier: MIT */
#include "batch.h"
#include "windows.h"

#include <stdbool.h>
#include <stdlib.h>

void rbcore_py_shape_of(const rbcore_span *spans, size_t n, rbcore_py_shape *shape) {
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    uint64_t count = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = (uintptr_t)spans[i].data;
        uint64_t end = begin + (uint64_t)(spans[i].count - 1) * spans[i].stride + spans[i].size;
        low = begin < low ? begin : low;
        high = end > high ? end : high;
        count += spans[i].count;
        bytes += (uint64_t)spans[i].count * spans[i].stride;
    }
    *shape = (rbcore_py_shape){
        .count = count,
        .base = low,
        .extent = n ? high - low : 0,
        .bytes = bytes,
    };
}

int rbcore_py_next(rbcore_reader *reader, int commit, rbcore_span *spans, size_t max_spans,
                   size_t max_records, int64_t timeout_ns, rbcore_py_shape *shape,
                   rbcore_py_windows *windows, const rbcore_py_rings *rings) {
    int n = commit ? rbcore_reader_commit(reader, NULL, 0) : 0;
    if (n == 0) {
        n = rbcore_reader_next_spans(reader, spans, max_spans, max_records, timeout_ns);
    }
    if (n > 0) {
        rbcore_py_place(windows, rings, spans, (size_t)n);
        rbcore_py_shape_of(spans, (size_t)n, shape);
    }
    return n;
}

int rbcore_py_next_records(rbcore_reader *reader, rbcore_record *records, size_t max,
                           int64_t timeout_ns, int *found) {
    int n = rbcore_reader_next(reader, records, max, timeout_ns);
    *found = n > 0 ? n : 0;
    return n;
}

static uint64_t distance(const rbcore_span *span, const rbcore_record *record) {
    return (uint64_t)((uintptr_t)record->data - (uintptr_t)span->data);
}

static bool belongs_to(const rbcore_record *record, const rbcore_span *span) {
    if (record->ring != span->ring || record->size != span->size) {
        return false;
    }
    if (record->flags != (span->flags & ~RBCORE_RECORD_LOST_BEFORE)) {
        return false;
    }
    return distance(span, record) == (uint64_t)span->count * span->stride &&
           record->position - span->position == distance(span, record);
}

/* Adds a record to the last of n spans, or as one of its own. Returns the number of spans. */
static int add(const rbcore_record *record, rbcore_span *spans, int n) {
    if (n > 0 && belongs_to(record, &spans[n - 1])) {
        spans[n - 1].count++;
        return n;
    }
    spans[n] = (rbcore_span){
        .data = record->data,
        .position = record->position,
        .stride = (record->size + 8 + 7) & ~UINT32_C(7), /* its header, rounded up */
        .size = record->size,
        .count = 1,
        .ring = record->ring,
        .flags = record->flags,
    };
    return n + 1;
}

int rbcore_py_spans_of(const rbcore_record *records, int count, rbcore_span *spans) {
    int n = 0;
    for (int i = 0; i < count; i++) {
        n = add(&records[i], spans, n);
    }
    return n;
}

int rbcore_py_snapshot_spans(rbcore_snapshot *snapshot, rbcore_span *spans, int max) {
    rbcore_record record;
    int result = 0;
    int n = 0;
    while (n < max && (result = rbcore_snapshot_read(snapshot, &record, 1)) > 0) {
        n = add(&record, spans, n);
    }
    return n > 0 ? n : result;
}

void rbcore_py_cut(const rbcore_span *spans, size_t n, uint64_t base, uint64_t *begins,
                   uint64_t *ends) {
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = (uintptr_t)spans[i].data - base;
        for (uint32_t k = 0; k < spans[i].count; k++, begin += spans[i].stride) {
            *begins++ = begin;
            *ends++ = begin + spans[i].size;
        }
    }
}

/* One thing that is done later, with what it needs. */
typedef struct late {
    struct late *next;
    rbcore_reader *reader;
    rbcore_producer *producer;
    rbcore_snapshot *snapshot;
    rbcore_py_windows *windows;
    rbcore_record
        record; /* of the reader: released, if it has data; otherwise the reader is freed */
    void *data; /* of the producer: likewise, discarded */
} late;

static _Thread_local bool collects;
static _Thread_local late *uses, *frees;

static bool frees_nothing(const late *what) {
    return what->record.data != NULL || what->data != NULL;
}

static void do_it(const late *what) {
    if (what->record.data != NULL) {
        rbcore_reader_release(what->reader, &what->record, 1);
    } else if (what->data != NULL) {
        rbcore_producer_discard(what->producer, what->data, 0);
    } else {
        rbcore_reader_free(what->reader);
        rbcore_producer_free(what->producer);
        rbcore_snapshot_free(what->snapshot);
        rbcore_py_windows_free(what->windows);
    }
}

/* It is done at once if there is no memory: too early is better than never. */
static void do_late(const late *what) {
    late *copy = collects ? malloc(sizeof(*copy)) : NULL;
    if (copy == NULL) {
        do_it(what);
        return;
    }
    late **list = frees_nothing(what) ? &uses : &frees;
    *copy = *what;
    copy->next = *list;
    *list = copy;
}

static void do_all(late **list) {
    while (*list != NULL) {
        late *what = *list;
        *list = what->next;
        do_it(what);
        free(what);
    }
}

void rbcore_py_collects(int begins) {
    collects = begins != 0;
    if (!collects) {
        do_all(&uses);
        do_all(&frees);
    }
}

void rbcore_py_free_reader(rbcore_reader *self) {
    do_late(&(late){.reader = self});
}

void rbcore_py_free_producer(rbcore_producer *self) {
    do_late(&(late){.producer = self});
}

void rbcore_py_free_snapshot(rbcore_snapshot *self) {
    do_late(&(late){.snapshot = self});
}

void rbcore_py_free_windows(rbcore_py_windows *self) {
    do_late(&(late){.windows = self});
}

void rbcore_py_release(rbcore_reader *self, const rbcore_record *record, void *data) {
    (void)data;
    do_late(&(late){.reader = self, .record = *record});
}

void rbcore_py_discard(rbcore_producer *self, void **data) {
    if (*data != NULL) {
        do_late(&(late){.producer = self, .data = *data});
    }
    *data = NULL;
}
