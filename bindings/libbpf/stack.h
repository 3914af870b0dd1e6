/* SPDX-License-Identifier: MIT */
#ifndef RBCORE_LIBBPF_STACK_H
#define RBCORE_LIBBPF_STACK_H

#include <stdbool.h>

/*
 * Tells whether this thread has left the function with the earlier frame by longjmp, if it is now
 * in one with this frame: a function that the earlier one had called would lie further down the
 * stack. (Stacks grow downwards wherever Linux has BPF.) False if one of the frames is not on the
 * thread's own stack, as with coroutines: then it cannot be told.
 */
bool stack_frame_was_left(const char *earlier, const char *frame);

#endif
