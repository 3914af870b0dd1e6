/* SPDX-License-Identifier: MIT */
/* The files that take functions' places share this. */
#ifndef RBCORE_TESTS_REPLACED_H
#define RBCORE_TESTS_REPLACED_H

#include "inject.h"

#include <check.h>

/* The functions here are the linker's: nobody declares them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

extern struct fault_state {
    fault_plan plan;
    fault_report report;
    allocated held;
    usage memory;
    bool inside;
} fault_state;

/* This makes a list of a call's errors for fault_of. */
#define ERRORS(...) ((const int[]){__VA_ARGS__, 0})

/*
 * Tells whether the call that is being made is to fail: 0, or how. `name` tells like calls from
 * others; it is told by each call that could fail.
 */
int fault_of(const char *name, const int *errors);

/* This is the same for a call that tells of an error by errno. */
bool fails(const char *name, const int *errors);

/* The size that was asked for a block that the library has; NULL if it has none such. */
size_t *size_of_block(void *block);

/* A block of the library's was allocated (from NULL) or moved by another function. */
void block_moved(void *from, void *to, size_t size);

#endif
