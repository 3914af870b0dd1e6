/* SPDX-License-Identifier: MIT */
#include "genuine.h"

#include <dlfcn.h>

void *genuine_function(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function != NULL) {
        return function;
    }
    /* A library that dlopen loaded with RTLD_LOCAL is found only by its name. */
    void *library = dlopen("libbpf.so.1", RTLD_LAZY | RTLD_NOLOAD);
    return library == NULL ? NULL : dlsym(library, name);
}

bool genuine_load(struct genuine *out) {
    *(void **)(&out->open) = genuine_function("ring_buffer__new");
    *(void **)(&out->free) = genuine_function("ring_buffer__free");
    *(void **)(&out->add) = genuine_function("ring_buffer__add");
    *(void **)(&out->poll) = genuine_function("ring_buffer__poll");
    *(void **)(&out->consume) = genuine_function("ring_buffer__consume");
    *(void **)(&out->consume_n) = genuine_function("ring_buffer__consume_n");
    *(void **)(&out->epoll_fd) = genuine_function("ring_buffer__epoll_fd");
    *(void **)(&out->ring) = genuine_function("ring_buffer__ring");
    *(void **)(&out->consumer_pos) = genuine_function("ring__consumer_pos");
    *(void **)(&out->producer_pos) = genuine_function("ring__producer_pos");
    *(void **)(&out->consume_ring) = genuine_function("ring__consume");
    *(void **)(&out->consume_ring_n) = genuine_function("ring__consume_n");
    return out->open != NULL && out->free != NULL && out->add != NULL && out->consume != NULL &&
           out->poll != NULL && out->epoll_fd != NULL;
}

static _Thread_local bool is_calling;

bool genuine_is_calling(void) {
    return is_calling;
}

void genuine_enter(void) {
    is_calling = true;
}

void genuine_leave(void) {
    is_calling = false;
}

struct ring_buffer *genuine_open(const struct genuine *self, int map_fd,
                                 ring_buffer_sample_fn handle, void *context) {
    genuine_enter();
    struct ring_buffer *rings = self->open(map_fd, handle, context, NULL);
    genuine_leave();
    return rings;
}

void genuine_close(const struct genuine *self, struct ring_buffer *rings) {
    genuine_enter();
    self->free(rings);
    genuine_leave();
}
