/* SPDX-License-Identifier: MIT */
/* Where the records of bpf/events.h come from: events_kernel.c and events_memory.c. */
#ifndef EVENT_SOURCES_H
#define EVENT_SOURCES_H

#include <rbcore/rbcore.h>

/*
 * Loads bpf/events.bpf.c, attaches it to its tracepoints and fills *source. Returns 0, or a
 * negative errno value and sets *why to what went wrong.
 */
int events_kernel_start(rbcore_source *source, const char **why);
void events_kernel_stop(void);

/* Starts a process that writes records into a memory ring, and fills *source. Returns 0 or -errno.
 */
int events_memory_start(rbcore_source *source);
void events_memory_stop(void);

#endif /* EVENT_SOURCES_H */
