/* SPDX-License-Identifier: MIT */
#ifndef RBCORE_LIBBPF_STACK_H
#define RBCORE_LIBBPF_STACK_H

#include <stdbool.h>

/*
 * Whether this thread has left the function with the earlier frame, by longjmp, now that it is in one
 * with this frame: one that the earlier function had called would lie further down the stack. (Stacks
 * grow downwards wherever Linux has BPF.) False if one of them is on another stack than the thread's
 * own, as coroutines have them: then it cannot be told.
 */
bool stack_frame_was_left(const char *earlier, const char *frame);

#endif
