/* SPDX-License-Identifier: MIT */
#include "event_sources.h"

#include <stdio.h>
#include <string.h>

int events_start(rbcore_source *source, int memory) {
    const char *why = "asked for by -m";
    int result = memory ? 0 : events_kernel_start(source, &why);
    if (!memory && result == 0) {
        printf("Reading execs and scheduler switches from the kernel, by BPF.\n");
        return 0;
    }
    printf("No BPF: %s%s%s.\nReading a memory ring that a producing process fills instead.\n", why,
           result ? ": " : "", result ? strerror(-result) : "");
    fflush(stdout); /* not a second time by the child */
    return events_memory_start(source);
}

void events_stop(void) {
    events_memory_stop();
    events_kernel_stop();
}
