/* SPDX-License-Identifier: MIT */
/* A libbpf program as skeletons make them: execs WANTED PREFIX prints so many of these names. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "execs.skel.h"

static int seen;

static int on_event(void *context, void *data, size_t size) {
    const char *prefix = context;
    (void)size;
    if (strncmp(data, prefix, strlen(prefix)) == 0) {
        puts(data);
        seen++;
    }
    return 0;
}

int main(int argc, char **argv) {
    struct execs *skeleton = execs__open_and_load();
    int error = argc < 3 || !skeleton || execs__attach(skeleton);
    int wanted = error ? 0 : atoi(argv[1]);
    struct ring_buffer *rings = NULL;
    if (!error) {
        rings = ring_buffer__new(bpf_map__fd(skeleton->maps.events), on_event, argv[2], NULL);
    }
    if (!rings) {
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (seen < wanted && (error = ring_buffer__poll(rings, 20000)) != 0) {
        if (error < 0 && error != -EINTR) {
            return 1;
        }
    }
    ring_buffer__free(rings);
    execs__destroy(skeleton);
    return seen == wanted ? 0 : 1;
}
