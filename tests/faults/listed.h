/* SPDX-License-Identifier: MIT */
/* The errors that rbcore.h lists for each function, read from the header itself. */
#ifndef RBCORE_TESTS_LISTED_H
#define RBCORE_TESTS_LISTED_H

#include <stdbool.h>

/* The name of an error, "EINVAL"; NULL for one that is not known here. */
const char *name_of_error(int error);

/*
 * Whether the comment of a function lists an error (positive), or says that it returns the results
 * of another function that does. `failed` is the call whose error it is: what the header leaves to
 * open(2), read(2) or write(2) is listed if that failed.
 */
bool is_listed(const char *function, int error, const char *failed);

#endif
