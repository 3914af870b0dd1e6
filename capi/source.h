/* SPDX-License-Identifier: MIT */
/* Readers and producers treat the source that they are given alike in this. */
#ifndef RBC_SOURCE_H
#define RBC_SOURCE_H

#include <rbcore/rbcore.h>

/* The name of a field that the source's kind needs and that still has its default, or NULL. */
const char *rbc_source_missing_field(const rbcore_source *source);

/* A descriptor of our own for the BPF map that the source names, or a negative errno. */
int rbc_source_open_map(const rbcore_source *source);

#endif
