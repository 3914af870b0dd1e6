/* SPDX-License-Identifier: MIT */
/*
 * Finds which libraries a program would be given by its loader: it follows ld.so(8) without running
 * it.
 */
#ifndef RBCORE_RUN_LIBRARIES_H
#define RBCORE_RUN_LIBRARIES_H

#include "elf_file.h"

/*
 * Calls found for the name of each library that the program is linked to, also through others, once
 * for each name, until it returns false. Those that are absent or damaged count by their names.
 * Returns NULL, or in words what is wrong with the program.
 */
const char *libraries_of(const struct elf_file *program, const char *path,
                         bool (*found)(void *context, const char *name), void *context);

#endif
