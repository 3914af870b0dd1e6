/* SPDX-License-Identifier: MIT */
/* Processes that are stopped at an instruction or a system call of the library, by ptrace(2). */
#ifndef RBCORE_TESTS_TRACING_H
#define RBCORE_TESTS_TRACING_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether it can, as is asked before the tests begin. */
bool can_trace(void);

/* Ends the program as skipped where a process cannot trace its children. */
void skip_without_tracing(void);

/* Is called in a child: it stops until its parent, which called start_child, steps on. */
void stop_to_be_traced(void);

/* Is called in the parent: it waits until the child is there. */
void await_stop(pid_t pid);

/* The child goes on by one instruction. Returns false if it has ended instead. */
bool step(pid_t pid);

/* It goes on until it enters or leaves a system call. Returns false if it has ended instead. */
bool step_to_call(pid_t pid);

/* It goes on and is not traced any more. */
void let_go(pid_t pid);

#endif
