/* SPDX-License-Identifier: MIT */
/*
 * Loads the BPF program of the examples, pins its ring at a path, and stays until it is ended: so
 * that any reader, in any language, can open the ring by its path.
 *
 *   load PATH                    such as /sys/fs/bpf/events
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

static int fail(const char *what, int error) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(-error));
    return 1;
}

int main(int argc, char **argv) {
    struct events *events;
    sigset_t ends;
    int error;

    if (argc != 2) {
        fprintf(stderr, "usage: load PATH\n");
        return 2;
    }
    events = events__open_and_load();
    if (!events)
        return fail("the BPF program cannot be loaded", -errno);
    error = bpf_map__pin(events->maps.events, argv[1]);
    if (error)
        return fail(argv[1], error);

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    error = events__attach(events);
    if (!error) {
        printf("pinned at %s\n", argv[1]);
        fflush(stdout);
        sigwait(&ends, &(int){0});
    }
    unlink(argv[1]);
    events__destroy(events);
    return error ? fail("the tracepoints cannot be attached", error) : 0;
}
