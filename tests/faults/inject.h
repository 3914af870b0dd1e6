/* SPDX-License-Identifier: MIT */
/*
 * Takes the place of what the library calls of other libraries (calls.txt), by the linker's --wrap.
 * Outside of the library's functions all is as ever; inside, calls are counted, what they allocate
 * is noted, and one of them fails as the plan says.
 */
#ifndef RBCORE_TESTS_INJECT_H
#define RBCORE_TESTS_INJECT_H

#include <stdbool.h>
#include <stddef.h>

/* These are no errors, but as bad: a read or write of one byte, and the end of a file. */
#define FAULT_SHORT (-1)
#define FAULT_END (-2)

/* A fault says which call fails, and how. */
typedef struct fault_plan {
    unsigned call;  /* counted from 1 among those that can fail; 0: none */
    unsigned error; /* which of the errors that this call can give */
    bool stays;     /* from then on all calls like this fail so */
} fault_plan;

/* This is the outcome. */
typedef struct fault_report {
    unsigned calls;   /* that could fail */
    bool fired;       /* the plan's call was made, and had so many errors to give */
    const char *name; /* of that call: "fcntl F_OFD_SETLK" */
    int error;        /* that it gave */
    unsigned times;   /* calls that failed */
} fault_report;

/* Begins anew, with nothing allocated. */
void fault_begin(fault_plan plan);

/* After this nothing fails any more, but allocations are still noted. */
void fault_end(void);
fault_report fault_result(void);

/* Marks where a function of the library begins and ends. */
void library_enter(void);
void library_leave(void);

/* The library's poll calls this before it waits: what it waits for is done there. */
extern void (*fault_before_poll)(void);

/* Blocks and mappings that were allocated inside and are not free. */
typedef struct allocated {
    long blocks, mappings;
} allocated;
allocated allocated_now(void);

/* Memory in blocks, and what was read by read(2), since fault_begin. */
typedef struct usage {
    size_t live, bytes_read;
    size_t excess; /* `live` when it was more than twice `bytes_read`, after the first read */
} usage;
usage usage_now(void);

#endif
