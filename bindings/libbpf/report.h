/* SPDX-License-Identifier: MIT */
/* Statistics, printed at the end of the process if that is wanted (see settings.h). */
#ifndef RBCORE_LIBBPF_REPORT_H
#define RBCORE_LIBBPF_REPORT_H

#include <rbcore/rbcore.h>

/* Counts the statistics of a reader from now on, until it is removed. Any thread may call these. */
void report_add(rbcore_reader *reader);
void report_remove(rbcore_reader *reader);

/* This is called in the child of a fork, which counts only what it reads itself. */
void report_begin_anew(void);

/* Notes that a call of the program got records. Any thread may call it. */
void report_delivery(void);

#endif
