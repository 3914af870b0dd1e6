/* SPDX-License-Identifier: MIT */
/*
 * rbcore: the user-space side of the BPF ring buffer.
 *
 * A reader (rbcore_reader) maps one or more ring buffers, hands out their records in batches
 * without copying them, and gives the space back when the caller says so. A producer
 * (rbcore_producer) writes records into a ring from user space. Both also work on memory rings: a
 * memory ring is a memfd with the layout of the kernel's ring buffer, for programs without BPF,
 * tests and demos.
 *
 * Results. A function that returns int returns a count or 0 for success and a negative errno value
 * for an error; errno itself is left alone. Each function lists its own errors. Besides those,
 * every function that takes a handle returns
 *   -EINVAL  a handle, or a pointer that is not marked optional, is NULL;
 *   -ECHILD  the handle was opened before fork() and is used in the child. The parent's handle is
 *            not affected. Only the _free functions may be called in the child; they free what the
 *            child holds and change nothing that the parent sees.
 *
 * Threads. A handle is used by one thread at a time, except for the functions whose comment says
 * "any thread". Different handles are independent of each other.
 *
 * Cancellation. Of all functions only the waits of rbcore_reader_next, rbcore_reader_next_spans and
 * rbcore_producer_reserve_wait are cancellation points (pthread_cancel). A thread that is cancelled
 * there leaves its handle to others, and nothing was handed out or reserved. In every other call
 * the cancellation waits until the call has returned. (Asynchronous cancellation is not for threads
 * that call this library.)
 *
 * Structs that begin with a size can grow. Fill them with their _INIT macro, or with their _init
 * function where macros cannot be used. Fields are only ever appended, and their default is zero. A
 * program older than the library passes a smaller struct and gets the defaults for the rest. A
 * newer program gets -E2BIG if it sets a field that this library does not know. In structs that the
 * library fills, such a field becomes RBCORE_UNKNOWN. A size below that of the size field itself,
 * or above 4096, is -EINVAL.
 *
 * Later versions may define more flags in records and statistics, and return more errors. Ignore
 * flags that you do not know, and treat an error that you do not know as a failure of the call.
 *
 * Units. Sizes are bytes, durations nanoseconds, positions bytes since the ring was created, as the
 * kernel counts them. Requires Linux 5.8 or newer. A 32-bit process can use memory rings, and the
 * rings of a 64-bit kernel.
 *
 * Sources: the ring's layout and its wakeups follow the kernel's kernel/bpf/ringbuf.c and
 * Documentation/bpf/ringbuf.rst.
 */
#ifndef RBCORE_RBCORE_H
#define RBCORE_RBCORE_H

/* The library: its version, its features and its errors. */
#include <rbcore/library.h>

/* Memory rings, and sources: what a reader reads or a producer writes. */
#include <rbcore/sources.h>

/* Readers: opening, reading, waiting and giving back. */
#include <rbcore/readers.h>

/* Statistics of a reader and of its rings, and the identity of a record. */
#include <rbcore/statistics.h>

/* Snapshots: copies of what a ring held at one moment. */
#include <rbcore/snapshots.h>

/* Producers: they write into memory rings and user rings. */
#include <rbcore/producers.h>

#endif /* RBCORE_RBCORE_H */
