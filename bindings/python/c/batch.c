/* SPDX-License-Identifier: MIT */
#include "batch.h"

static uint64_t address(const rbcore_record *record) {
    return (uint64_t)(uintptr_t)record->data;
}

size_t rbcore_py_run(const rbcore_record *records, size_t count, uint64_t *stride) {
    size_t n = 1;

    *stride = records->size;
    while (n < count && records[n].size == records->size && records[n].ring == records->ring &&
           address(&records[n]) > address(&records[n - 1])) {
        uint64_t step = address(&records[n]) - address(&records[n - 1]);

        if (n == 1)
            *stride = step;
        if (step != *stride)
            break;
        n++;
    }
    return n;
}

void rbcore_py_shape_of(const rbcore_record *records, size_t count, rbcore_py_shape *shape) {
    uint64_t stride;
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;

    if (rbcore_py_run(records, count, &stride) == count) {
        shape->base = records->data;
        shape->stride = stride;
        shape->size = records->size;
        shape->extent = (count - 1) * stride + records->size;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t at = address(&records[i]);

        low = at < low ? at : low;
        high = at + records[i].size > high ? at + records[i].size : high;
        if (at == low)
            shape->base = records[i].data;
    }
    shape->extent = high - low;
    shape->stride = 0;
    shape->size = 0;
}
