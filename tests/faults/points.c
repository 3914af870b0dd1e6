/* SPDX-License-Identifier: MIT */
#include "points.h"

#include "../c/tracing.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/*
 * A point is named by the system calls that the victim has made, and by its instructions since: the
 * calls are gone through at the speed of calls, so that a point far away costs few steps. Or by the
 * changes of shared memory since: how many instructions it takes to read a number depends on the
 * number, and this is to be exact.
 */
typedef struct point {
    unsigned calls, steps, changes;
} point;

enum { CALLS = 2000, CHANGES = 4000 };

/* This is the shape of one run from the curtain to the end. */
typedef struct score {
    unsigned steps[CALLS]; /* instructions after so many calls */
    unsigned calls;
    size_t total;
    point changes[CHANGES];
    size_t change_count;
} score;

static struct {
    const drama *play;
    point at;
    pid_t pid;
    bool has_ended;
    int status;
} now;

void fail_at_point(const char *file, int line, const char *what) {
    if (now.pid > 0 && !now.has_ended) {
        kill(now.pid, SIGKILL);
    }
    ck_abort_msg("%s:%d: %s, %u calls and %u %s in: %s", file, line, now.play->name, now.at.calls,
                 now.at.changes > 0 ? now.at.changes : now.at.steps,
                 now.at.changes > 0 ? "changes" : "instructions", what);
    abort();
}

void curtain(void) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(99);
    }
    raise(SIGSTOP);
}

/* ---- The victim ---- */

/* Waits until it stops. Returns by which signal, 0 if it ended. */
static int wait_for_stop(void) {
    while (waitpid(now.pid, &now.status, __WALL) < 0) {
        at_point(errno == EINTR, "waitpid");
    }
    now.has_ended = !WIFSTOPPED(now.status);
    return now.has_ended ? 0 : WSTOPSIG(now.status);
}

static void start(void *stage) {
    now.has_ended = false;
    now.pid = start_child(now.play->victim, stage);
    int signal = wait_for_stop();
    at_point(signal == SIGSTOP, "the curtain");
    at_point(ptrace(PTRACE_SETOPTIONS, now.pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) ==
                 0,
             "ptrace");
}

/* Goes on as `how` says. Returns false if it ended. */
static bool go(enum __ptrace_request how, int expected) {
    at_point(ptrace(how, now.pid, NULL, NULL) == 0, "ptrace");
    int signal = wait_for_stop();
    at_point(now.has_ended || signal == expected, "a signal");
    return !now.has_ended;
}

static bool step_victim(void) {
    return go(PTRACE_SINGLESTEP, SIGTRAP);
}

/* The victim goes into a system call and out of it. */
static bool pass_call(void) {
    return go(PTRACE_SYSCALL, SIGTRAP | 0x80) && go(PTRACE_SYSCALL, SIGTRAP | 0x80);
}

#if defined(__x86_64__)
/* Tells whether its next instruction is a system call. */
static bool is_before_call(void) {
    long at =
        ptrace(PTRACE_PEEKUSER, now.pid, (void *)offsetof(struct user_regs_struct, rip), NULL);
    errno = 0;
    long code = ptrace(PTRACE_PEEKTEXT, now.pid, (void *)at, NULL);
    return errno == 0 && (code & 0xffff) == 0x050f;
}
#else
static bool is_before_call(void) {
    return false;
}
#endif

void skip_without_points(void) {
#if !defined(__x86_64__)
    skip("single steps are known for x86-64 alone");
#endif
    skip_without_tracing();
}

bool victim_has_ended(void) {
    return now.has_ended;
}

static void expect_good_end(void) {
    at_point(WIFEXITED(now.status) && WEXITSTATUS(now.status) == 0, "the victim's end");
}

void victim_goes_on(void) {
    if (!now.has_ended) {
        kill(now.pid, SIGCONT);
        while (!now.has_ended) {
            wait_for_stop();
        }
    }
    expect_good_end();
}

/* ---- Where it is looked at ---- */

/* Shared memory as it was when it was last looked at. */
typedef struct memory {
    unsigned char before[1 << 16];
    const void *shared;
    size_t size;
} memory;

static void look_at(memory *self, void *stage) {
    self->shared = now.play->shared(stage, &self->size);
    ck_assert_uint_le(self->size, sizeof(self->before));
    memcpy(self->before, self->shared, self->size);
}

static bool has_changed(memory *self) {
    bool changed = memcmp(self->before, self->shared, self->size) != 0;
    if (changed) {
        memcpy(self->before, self->shared, self->size);
    }
    return changed;
}

/* Steps through a whole run. */
static void read_score(score *self, void *stage) {
    static memory seen;
    unsigned changes = 0;
    look_at(&seen, stage);
    memset(self, 0, sizeof(*self));
    for (bool calls = is_before_call(); step_victim(); calls = is_before_call()) {
        self->total++;
        self->steps[self->calls] += !calls;
        self->calls += calls;
        changes = calls ? 0 : changes;
        at_point(self->calls < CALLS && self->change_count < CHANGES, "a longer run");
        bool changed = has_changed(&seen);
        /*
         * The kernel made this change, in a call. It counts as one before all instructions that
         * follow.
         */
        if (changed && calls) {
            self->changes[self->change_count++] = (point){.calls = self->calls};
        } else if (changed) {
            changes++;
            self->changes[self->change_count++] = (point){self->calls, 0, changes};
        }
    }
    expect_good_end();
}

/* Finds the nth of all points. */
static point nth_point(const score *self, size_t n) {
    point at = {0, 0, 0};
    while (at.calls < self->calls && n > self->steps[at.calls]) {
        n -= self->steps[at.calls] + 1;
        at.calls++;
    }
    at.steps = (unsigned)n;
    return at;
}

static void go_to(point to, void *stage) {
    static memory seen;
    now.at = to;
    for (unsigned i = 0; i < to.calls && pass_call(); i++) {
    }
    look_at(&seen, stage);
    for (unsigned i = 0; i < to.changes && !now.has_ended;) {
        i += step_victim() && has_changed(&seen);
    }
    for (unsigned i = 0; i < to.steps && !now.has_ended && step_victim(); i++) {
    }
}

static void end_at(point at, bool stops) {
    const drama *play = now.play;
    void *stage = play->set_up(play->way);
    start(stage);
    go_to(at, stage);
    if (stops) {
        if (!now.has_ended) {
            /* The victim is stopped as by kill(1): the tracer is gone. */
            at_point(ptrace(PTRACE_DETACH, now.pid, NULL, (void *)SIGSTOP) == 0, "detach");
            while (waitpid(now.pid, &now.status, WUNTRACED) < 0) {
                at_point(errno == EINTR, "waitpid");
            }
            now.has_ended = !WIFSTOPPED(now.status);
        }
        play->stopped(stage);
        at_point(now.has_ended, "the victim went on");
    } else {
        if (!now.has_ended) {
            kill(now.pid, SIGKILL);
            while (!now.has_ended) {
                wait_for_stop();
            }
        }
        play->killed(stage);
    }
    play->tear_down(stage);
}

static unsigned long from_environment(const char *name, unsigned long otherwise) {
    const char *value = getenv(name);
    return value == NULL ? otherwise : strtoul(value, NULL, 10);
}

/* Points are taken at the changes, and at others. */
static void play_points(const score *whole, bool stops) {
    const char *wanted = getenv("RBCORE_KILL_POINTS");
    const bool all = wanted != NULL && strcmp(wanted, "all") == 0;
    const size_t count =
        all ? whole->total : from_environment("RBCORE_KILL_POINTS", now.play->samples);
    const uint64_t seed =
        from_environment("RBCORE_KILL_SEED", (unsigned long)(now_ns() % 1000000007));
    const uint64_t begin = now_ns();
    uint64_t random = seed;
    for (size_t i = 0; !all && i < whole->change_count; i++) {
        end_at(whole->changes[i], stops);
    }
    for (size_t i = 0; i < count; i++) {
        end_at(nth_point(whole, all ? i : random_next(&random) % whole->total), stops);
    }
    printf("%s, %s: %zu of %zu instructions and %zu changes, RBCORE_KILL_SEED=%llu, %llu ms\n",
           now.play->name, stops ? "stopped" : "killed", count, whole->total, whole->change_count,
           (unsigned long long)seed, (unsigned long long)(now_ns() - begin) / 1000000);
    fflush(stdout);
}

void play(const drama *self) {
    static score whole;
    memset(&now, 0, sizeof(now));
    now.play = self;
    /* Tracer and victim take turns: on one processor that is several times as fast. */
    pin_to_cpu((unsigned int)sched_getcpu());
    void *stage = self->set_up(self->way);
    start(stage);
    read_score(&whole, stage);
    self->killed(stage);
    self->tear_down(stage);
    play_points(&whole, false);
    if (self->stopped != NULL) {
        play_points(&whole, true);
    }
}
