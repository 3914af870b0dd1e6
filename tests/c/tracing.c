/* SPDX-License-Identifier: MIT */
#include "tracing.h"

#include "support.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

void stop_to_be_traced(void) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP)) {
        _exit(77);
    }
}

bool can_trace(void) {
    int status = 0;
    pid_t pid = fork(); /* no function of check: this is asked before the tests begin */
    if (pid == 0) {
        stop_to_be_traced();
        _exit(0);
    }
    bool can = pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) &&
               ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
               WIFSTOPPED(status);
    if (pid > 0 && !WIFEXITED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return can;
}

void skip_without_tracing(void) {
    skip_without_fork();
    if (!can_trace()) {
        skip("ptrace(2) is not permitted");
    }
}

void await_stop(pid_t pid) {
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

/* This does without check's own bookkeeping, which is slower than an instruction. */
static bool go_on(pid_t pid, enum __ptrace_request how) {
    int status = 0;
    if (ptrace(how, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid) {
        ck_abort_msg("a traced process is lost: %s", strerror(errno));
    }
    return WIFSTOPPED(status);
}

bool step(pid_t pid) {
    return go_on(pid, PTRACE_SINGLESTEP);
}

bool step_to_call(pid_t pid) {
    return go_on(pid, PTRACE_SYSCALL);
}

void let_go(pid_t pid) {
    ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
}
