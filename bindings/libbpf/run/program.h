/* SPDX-License-Identifier: MIT */
/*
 * Looks at a program before it runs: can a library be loaded before its libbpf? Files are read;
 * nothing of what is looked at is run.
 */
#ifndef RBCORE_RUN_PROGRAM_H
#define RBCORE_RUN_PROGRAM_H

#include <limits.h>

enum verdict {
    PROGRAM_LINKED,     /* to libbpf.so.1 */
    PROGRAM_NOT_LINKED, /* dynamic; it may load libbpf later */
    PROGRAM_OWN_LIBBPF, /* has libbpf's ring buffer built in */
    PROGRAM_OLD_LIBBPF, /* linked to a libbpf before 1.0 */
    PROGRAM_STATIC,     /* has no loader that would load anything */
    PROGRAM_OTHER_ARCH, /* of another architecture, or 32 bits */
    PROGRAM_OTHER_LIBC, /* by its loader */
    PROGRAM_PRIVILEGED, /* setuid, setgid or with capabilities: its loader ignores us */
    PROGRAM_UNREADABLE, /* cannot be looked at: fault says why */
    PROGRAM_NOT_FOUND,  /* errno says why */
};

struct program {
    char path[PATH_MAX];        /* as found by PATH */
    char interpreter[PATH_MAX]; /* of a script, what runs it; else empty */
    enum verdict verdict;       /* on what is loaded in the end: path, or interpreter */
    const char *fault;          /* what is wrong with it, in words; NULL: nothing */
};

/* name is what execvp takes. */
void program_look(struct program *self, const char *name);

#endif
