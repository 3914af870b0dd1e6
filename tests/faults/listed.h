/* SPDX-License-Identifier: MIT */
/* This reads the errors that rbcore.h lists for each function from the header itself. */
#ifndef RBCORE_TESTS_LISTED_H
#define RBCORE_TESTS_LISTED_H

#include <stdbool.h>

/* Returns the name of an error, such as "EINVAL", or NULL for one that is not known here. */
const char *name_of_error(int error);

/*
 * Tells whether the comment of a function lists an error (positive), or says that it returns the
 * results of another function that does. `failed` is the call whose error it is: what the header
 * leaves to open(2), read(2) or write(2) is listed if that failed.
 */
bool is_listed(const char *function, int error, const char *failed);

#endif
