/* SPDX-License-Identifier: MIT */
/* Fences, each with what it stands between, and what a loop does that waits for another core. */
#ifndef RBC_FENCE_H
#define RBC_FENCE_H

#include <stdatomic.h>

/*
 * A full fence between a store (of consumer_pos, or of "parked") and a later load (of a record's
 * header, or of positions). No weaker order keeps a load from passing an earlier store.
 */
static inline void rbc_full_fence(void) {
#ifdef RBCORE_THREAD_SANITIZER
    /* ThreadSanitizer does not know stand-alone fences; it knows read-modify-writes. */
    extern atomic_int rbc_fence; /* one for all, so that fences pair; in wait.c */
    atomic_fetch_add_explicit(&rbc_fence, 0, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/*
 * A fence between stores: no later store becomes visible before an earlier one. It follows a store
 * that tells what the later ones, plain ones among them, are about to overwrite.
 */
static inline void rbc_store_fence(void) {
#ifdef RBCORE_THREAD_SANITIZER
    rbc_full_fence();
#else
    atomic_thread_fence(memory_order_release);
#endif
}

/* Leaves this core's resources to its sibling thread, in a loop that waits for another core. */
static inline void rbc_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
