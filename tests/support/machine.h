/* SPDX-License-Identifier: MIT */
/* What tests ask of the machine: time, descriptors, processes, numbers by chance. */
#ifndef RBCORE_TESTS_MACHINE_H
#define RBCORE_TESTS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* Long enough for any step on a loaded machine; only a failing test ever waits that long. */
#define WATCHDOG_MS 20000
#define WATCHDOG_NS (WATCHDOG_MS * MILLISECOND)

/* The exit code of a test that cannot run here, and says why. */
#define SKIPPED 77

/* Whether an emulator runs us, as tests/kernel/matrix tells: how long things take says nothing. */
bool is_emulated(void);

/* True where the library and the test were built for ThreadSanitizer. */
bool thread_sanitizer(void);

size_t page_size(void);
void pin_to_cpu(unsigned int cpu);

int64_t clock_ns(clockid_t clock);
int64_t now_ns(void);
int64_t cpu_ns(void); /* of this process */
int64_t thread_cpu_ns(void);

/* For threads to get into a wait; no test's result depends on its being long enough. */
void sleep_ms(unsigned int ms);

bool readable(int fd, int timeout_ms);
unsigned int open_fds(void);

/* A small generator of pseudo-random numbers: the same numbers in each run. */
uint32_t random_next(uint64_t *state);

/* Runs body in a child and returns what it returned, or 256 + signal. */
int in_child(int (*body)(void *), void *argument);
pid_t start_child(int (*body)(void *), void *argument);
int wait_child(pid_t pid);

/* Memory of zeros that children share; munmap gives it back. */
void *shared_memory(size_t size);

/* Forks; the child is killed when this thread ends. */
pid_t fork_child(void);

#endif
