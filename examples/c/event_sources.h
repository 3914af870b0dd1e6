/* SPDX-License-Identifier: MIT */
/* The sources of the records of bpf/events.h: the kernel's (events_kernel.c), or where those cannot
 * be had a process of our own (events_memory.c). */
#ifndef EVENT_SOURCES_H
#define EVENT_SOURCES_H

#include <rbcore/rbcore.h>

/*
 * The kernel's events or, where they cannot be had or memory is not 0, a memory ring: says which,
 * and fills *source. Returns 0 or a negative errno value.
 */
int events_start(rbcore_source *source, int memory);
void events_stop(void);

/*
 * Loads bpf/events.bpf.c, attaches it to its tracepoints and fills *source. Returns 0, or a
 * negative errno value and sets *why to what went wrong.
 */
int events_kernel_start(rbcore_source *source, const char **why);
/* The same with a ring in overwrite mode (Linux 6.19). */
int events_kernel_start_overwriting(rbcore_source *source, const char **why);
void events_kernel_stop(void);

/* Starts a process that writes records into a memory ring, and fills *source. Returns 0 or -errno.
 */
int events_memory_start(rbcore_source *source);
void events_memory_stop(void);

#endif /* EVENT_SOURCES_H */
