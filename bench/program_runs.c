// SPDX-License-Identifier: MIT
#include "program_runs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "clock.h"

void bpf_fail(const char *what, int error) {
    bool forbidden = error == -EPERM || error == -EACCES || error == -ENOSYS;
    fprintf(stderr, "%s%s: %s%s\n", forbidden ? "skipped: " : "", what, strerror(-error),
            forbidden ? " (the benchmark needs root and a kernel that allows BPF)" : "");
    exit(forbidden ? EXIT_SKIPPED : EXIT_FAILURE);
}

int program_run(program_runs *self, void *arguments, size_t size) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = arguments, .ctx_size_in = (uint32_t)size);
    uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int error = bpf_prog_test_run_opts(self->fd, &options);
    if (error) {
        bpf_fail("running the BPF program", error);
    }
    self->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    self->count++;
    return (int)options.retval;
}

uint64_t program_empty_run_ns(const program_runs *self, void *arguments, size_t size) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        program_runs one = {.fd = self->fd};
        program_run(&one, arguments, size);
        if (one.cpu_ns < least) {
            least = one.cpu_ns;
        }
    }
    return least;
}

uint64_t program_cpu_ns(const program_runs *self, uint64_t empty_run_ns) {
    uint64_t overhead = self->count * empty_run_ns;
    return self->cpu_ns > overhead ? self->cpu_ns - overhead : 0;
}
