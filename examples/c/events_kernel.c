/* SPDX-License-Identifier: MIT */
/* Records from the kernel: libbpf loads the BPF program, rbcore will read its ring. */
#include "event_sources.h"

#include <errno.h>
#include <unistd.h>

/* The skeleton is made by clang and bpftool; where these are missing, so is this source. */
#if __has_include("events.skel.h")
#include <stdarg.h>
#include <stdio.h>

#include <bpf/libbpf.h>

#include "events.skel.h"

#ifndef BPF_F_RB_OVERWRITE
#define BPF_F_RB_OVERWRITE (1U << 19)
#endif

static struct events *events;

static int be_quiet(enum libbpf_print_level level, const char *format, va_list arguments) {
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

static int fail(int error, const char *what, const char **why) {
    events_kernel_stop();
    *why = what;
    return error;
}

static int start(rbcore_source *source, unsigned int map_flags, const char **why) {
    int error;
    libbpf_set_print(be_quiet);
    events = events__open();
    if (!events) {
        return fail(-errno, "libbpf cannot open the BPF program", why);
    }
    bpf_map__set_map_flags(events->maps.events, map_flags);
    events->rodata->reader_pid = getpid();
    error = events__load(events);
    if (error) {
        return fail(error, "the kernel refuses to load the BPF program", why);
    }
    error = events__attach(events);
    if (error) {
        return fail(error, "the tracepoints cannot be attached (is tracefs mounted?)", why);
    }
    source->kind = RBCORE_SOURCE_MAP_FD;
    source->fd = bpf_map__fd(events->maps.events);
    source->loss_fd = bpf_map__fd(events->maps.events_lost);
    return 0;
}

int events_kernel_start(rbcore_source *source, const char **why) {
    return start(source, 0, why);
}

int events_kernel_start_overwriting(rbcore_source *source, const char **why) {
    return start(source, BPF_F_RB_OVERWRITE, why);
}

void events_kernel_stop(void) {
    events__destroy(events);
    events = NULL;
}

#else

int events_kernel_start(rbcore_source *source, const char **why) {
    (void)source;
    *why = "built without clang, bpftool or libbpf";
    return -ENOSYS;
}

int events_kernel_start_overwriting(rbcore_source *source, const char **why) {
    return events_kernel_start(source, why);
}

void events_kernel_stop(void) {
}

#endif
