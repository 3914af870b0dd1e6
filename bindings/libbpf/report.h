/* SPDX-License-Identifier: MIT */
/* What was gained, printed at the end of the process if that is wanted (see settings.h). */
#ifndef RBCORE_LIBBPF_REPORT_H
#define RBCORE_LIBBPF_REPORT_H

#include <rbcore/rbcore.h>

/* The statistics of a reader count from here until now, or until it is removed. Any thread. */
void report_add(rbcore_reader *reader);
void report_remove(rbcore_reader *reader);

/* In the child of a fork: it counts what it reads itself. */
void report_begin_anew(void);

/* A call of the program got records. Any thread. */
void report_turn(void);

#endif
