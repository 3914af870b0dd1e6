/* SPDX-License-Identifier: MIT */
/*
 * Loads the BPF program of the examples, pins its ring at a path, and stays until it is ended: so
 * that any reader, in any language, can open the ring by its path.
 *
 *   load [-o] PATH       such as /sys/fs/bpf/events; -o: a ring in overwrite mode, for flight
 *
 * Build: events.skel.h as for tail.c, then
 *   cc -I. -o load load.c $(pkg-config --cflags --libs libbpf)
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "events.skel.h"

#ifndef BPF_F_RB_OVERWRITE
#define BPF_F_RB_OVERWRITE (1U << 19)
#endif

static int fail(const char *what, int error) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(-error));
    return 1;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[argc - 1] : NULL;
    int overwrite = argc == 3 && strcmp(argv[1], "-o") == 0;
    struct events *events;
    sigset_t ends;
    int error;
    if (argc != 2 + overwrite) {
        fprintf(stderr, "usage: load [-o] PATH\n");
        return 2;
    }
    events = events__open();
    if (!events) {
        return fail("the BPF program cannot be opened", -errno);
    }
    if (overwrite) { /* Linux 6.19 */
        bpf_map__set_map_flags(events->maps.events, BPF_F_RB_OVERWRITE);
    }
    error = events__load(events);
    if (error) {
        return fail("the BPF program cannot be loaded", error);
    }
    error = bpf_map__pin(events->maps.events, path);
    if (error) {
        return fail(path, error);
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    error = events__attach(events);
    if (!error) {
        printf("pinned at %s\n", path);
        fflush(stdout);
        sigwait(&ends, &(int){0});
    }
    unlink(path);
    events__destroy(events);
    return error ? fail("the tracepoints cannot be attached", error) : 0;
}
