/* SPDX-License-Identifier: MIT */
/* Tells whether this process is a forked child of the one that a ring was opened in. */
#ifndef RBCORE_LIBBPF_FORKS_H
#define RBCORE_LIBBPF_FORKS_H

/*
 * Returns how often this process's line of ancestors has forked since the library was loaded, also
 * by the system call itself. The first call in a child makes all that is common to the rings its
 * own.
 */
unsigned forks_now(void);

#endif
