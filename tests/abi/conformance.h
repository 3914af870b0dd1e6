/* SPDX-License-Identifier: MIT */
/* The parts of the conformance test. */
#ifndef RBCORE_ABI_CONFORMANCE_H
#define RBCORE_ABI_CONFORMANCE_H

#include <check.h>

void add_function_tests(Suite *suite);
void add_struct_tests(Suite *suite);
void add_ring_tests(Suite *suite);

#endif /* RBCORE_ABI_CONFORMANCE_H */
