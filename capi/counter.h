/* SPDX-License-Identifier: MIT */
/* Figures that one thread writes at a time and any thread may read. No order goes with them. */
#ifndef RBC_COUNTER_H
#define RBC_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* Adds to a figure. Cheaper than an atomic addition, because there is one writer. */
static inline void rbc_count(_Atomic uint64_t *figure, uint64_t amount) {
    uint64_t old = atomic_load_explicit(figure, memory_order_relaxed);
    atomic_store_explicit(figure, old + amount, memory_order_relaxed);
}

static inline uint64_t rbc_get(const _Atomic uint64_t *figure) {
    return atomic_load_explicit(figure, memory_order_relaxed);
}

#endif
