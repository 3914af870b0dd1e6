/* SPDX-License-Identifier: MIT */
/* The scenarios share this: rings, callbacks that tell what they see, and the account. */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "../kernel/support.h"

/* A line of the transcript. It must not depend on addresses, times, or numbers of descriptors. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* Calls and tells the result; negative ones with errno, which libbpf sets to the same. */
#define CALL(call) tell_result(#call, (errno = 0, call))
int tell_result(const char *call, int result);

/* The same for what returns a pointer: whether it is NULL, and errno. */
#define OPEN(call) tell_pointer(#call, (errno = 0, call))
void *tell_pointer(const char *call, void *result);

/*
 * Runs the body in a thread that is cancelled after so many ms, or cancels itself. Tells whether it
 * was. If it hangs, SIGALRM ends it all.
 */
void run_to_its_cancellation(void *(*body)(void *), void *context, unsigned int ms);

/* A callback's context: which ring, and what is to happen at its nth record (from 1 on). */
typedef struct ring_sink {
    const char *name;
    int seen;
    int fail_at; /* returns `result` there */
    int result;
    int act_at; /* calls `act` there; -1: at each record */
    void (*act)(struct ring_sink *);
    struct ring_buffer *rings;
    struct produce *produce;
    bool is_silent;
} ring_sink;

/* A new ring_buffer with the ring, and the sink as its callback's context. */
struct ring_buffer *open_sink(struct produce *ring, ring_sink *sink);

/* Tells ring, size and a checksum of each record, then does as the sink says. */
int on_record(void *sink, void *data, size_t size);

/* Makes n records of sizes that differ, each with content of its own. Returns how many fitted. */
int emit_some(struct produce *ring, int n);

/* CALL, and how long it took: at once (less than a watchdog's time), or not before so many ms. */
#define CALL_FOR(ms, call)                                                                         \
    do {                                                                                           \
        int64_t start_ = now_ns();                                                                 \
        CALL(call);                                                                                \
        say("  not before %d ms: %s", ms, now_ns() - start_ >= (ms) * MILLISECOND ? "yes" : "no"); \
    } while (0)

/* A scenario, and the oldest libbpf 1.x that has what it calls. A list ends with one of no test. */
typedef struct scenario {
    const TTest *const *test;
    unsigned int libbpf_minor;
} scenario;

/*
 * The main function of a program that runs the scenario it is told, of a NULL-terminated array of
 * lists. missing: why none can run here, or NULL. Returns TOO_OLD where libbpf is too old, unless
 * a second argument says that it is to run always.
 */
#define TOO_OLD 3
int run_scenario(const char *program, const scenario *const *lists, const char *missing, int argc,
                 char **argv);

#endif
