/* SPDX-License-Identifier: MIT */
/* Runs of a BPF program by system calls, and what they cost the thread that makes them. */
#ifndef BENCH_PROGRAM_RUNS_H
#define BENCH_PROGRAM_RUNS_H

#include <stddef.h>
#include <stdint.h>

#define EXIT_SKIPPED 77

typedef struct program_runs {
    int fd; /* of the program */
    uint64_t count;
    uint64_t cpu_ns; /* of the thread, in all runs, with what a run costs that does nothing */
} program_runs;

/* Returns what the program returns. Exits after any error. */
int program_run(program_runs *self, void *arguments, size_t size);

/* Returns the cost of a run with these arguments, by which the program does nothing. */
uint64_t program_empty_run_ns(const program_runs *self, void *arguments, size_t size);

/* Returns the cost of what was done so far, without that of the system calls. */
uint64_t program_cpu_ns(const program_runs *self, uint64_t empty_run_ns);

/* Exits with EXIT_SKIPPED if the error says that BPF is not allowed, and else with 1. */
void bpf_fail(const char *what, int error);

#endif
