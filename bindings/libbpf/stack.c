/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <pthread.h>
#include <stddef.h>

/* This describes the thread's stack. is_known is false until it was looked up. */
struct stack {
    const char *lowest, *end;
    bool is_known;
};

static bool is_on_own_stack(const char *address) {
    static _Thread_local struct stack own;
    pthread_attr_t attributes;
    if (!own.is_known && pthread_getattr_np(pthread_self(), &attributes) == 0) {
        void *lowest = NULL;
        size_t size = 0;
        pthread_attr_getstack(&attributes, &lowest, &size);
        pthread_attr_destroy(&attributes);
        own = (struct stack){lowest, (const char *)lowest + size, true};
    }
    return address >= own.lowest && address < own.end;
}

bool stack_frame_was_left(const char *earlier, const char *frame) {
    return earlier <= frame && is_on_own_stack(earlier) && is_on_own_stack(frame);
}
