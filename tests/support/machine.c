/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the test, which has failed: check takes a signal for that, too. */
static void expect(bool holds, const char *what) {
    if (!holds) {
        perror(what);
        abort();
    }
}

bool is_emulated(void) {
    return getenv("RBCORE_EMULATED") != NULL;
}

bool thread_sanitizer(void) {
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return false;
#endif
}

size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

void pin_to_cpu(unsigned int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    expect(sched_setaffinity(0, sizeof(cpus), &cpus) == 0, "sched_setaffinity");
}

int64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

int64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t thread_cpu_ns(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void sleep_ms(unsigned int ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {
    }
}

bool readable(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int n;
    do {
        n = poll(&poll_fd, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n == 1 && (poll_fd.revents & POLLIN);
}

unsigned int open_fds(void) {
    unsigned int n = 0;
    DIR *directory = opendir("/proc/self/fd");
    expect(directory != NULL, "/proc/self/fd");
    while (readdir(directory)) {
        n++;
    }
    closedir(directory);
    return n;
}

uint32_t random_next(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED, "mmap");
    return memory;
}

pid_t fork_child(void) {
    pid_t pid = fork();
    expect(pid >= 0, "fork");
    if (pid == 0) {
        /* A test that fails must not leave its children behind. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

pid_t start_child(int (*body)(void *), void *argument) {
    pid_t pid = fork_child();
    if (pid == 0) {
        _exit(body(argument));
    }
    return pid;
}

int wait_child(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        expect(errno == EINTR, "waitpid");
    }
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(int (*body)(void *), void *argument) {
    return wait_child(start_child(body, argument));
}
