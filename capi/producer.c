/* SPDX-License-Identifier: MIT */
/* The handle of a producer: what holds for every kind of ring that it writes. */
#include "keep_errno.h"
#include "memory_producer.h"
#include "process.h"
#include "ring.h"
#include "sized.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAKEUP_FLAGS (RBCORE_NO_WAKEUP | RBCORE_FORCE_WAKEUP)

struct rbcore_producer {
    rbc_birthplace birthplace;
    rbc_memory_producer memory;
};

static int check_source(rbcore_source *source, const rbcore_source *given) {
    *source = (rbcore_source)RBCORE_SOURCE_INIT;
    int error = rbc_sized_in(source, sizeof(*source), given);
    if (error != 0) {
        return error;
    }
    switch (source->kind) {
    case RBCORE_SOURCE_MEMORY_RING:
        return source->flags == 0 && source->fd != -1 && source->event_fd != -1 ? 0 : -EINVAL;
    case RBCORE_SOURCE_MAP_FD:
    case RBCORE_SOURCE_PINNED_PATH:
    case RBCORE_SOURCE_MAP_ID:
        return -EOPNOTSUPP; /* BPF_MAP_TYPE_USER_RINGBUF: not yet */
    default:
        return -EINVAL;
    }
}

static int open_producer(rbcore_producer *self, const rbcore_source *source) {
    int error = rbc_birthplace_init(&self->birthplace);
    return error != 0 ? error : rbc_memory_producer_open(&self->memory, source);
}

int rbcore_producer_open(rbcore_producer **out, const rbcore_source *given) {
    RBC_KEEP_ERRNO;
    if (out == NULL || given == NULL) {
        return -EINVAL;
    }
    rbcore_source source;
    int error = check_source(&source, given);
    if (error != 0) {
        return error;
    }
    rbcore_producer *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return -ENOMEM;
    }
    error = open_producer(self, &source);
    if (error != 0) {
        free(self);
        return error;
    }
    *out = self;
    return 0;
}

void rbcore_producer_free(rbcore_producer *self) {
    RBC_KEEP_ERRNO;
    if (self == NULL) {
        return;
    }
    if (rbc_birthplace_is_here(&self->birthplace)) {
        rbc_memory_producer_leave(&self->memory);
    }
    rbc_memory_producer_close(&self->memory);
    free(self);
}

static int check(const rbcore_producer *self) {
    if (self == NULL) {
        return -EINVAL;
    }
    return rbc_birthplace_is_here(&self->birthplace) ? 0 : -ECHILD;
}

int rbcore_producer_reserve(rbcore_producer *self, void **data, size_t size) {
    int error = check(self);
    if (error != 0 || data == NULL) {
        return error != 0 ? error : -EINVAL;
    }
    return rbc_memory_producer_reserve(&self->memory, data, size);
}

static int finish(rbcore_producer *self, void *data, uint32_t flags, uint32_t discard) {
    int error = check(self);
    if (error != 0 || flags & ~WAKEUP_FLAGS) {
        return error != 0 ? error : -EINVAL;
    }
    return rbc_memory_producer_finish(&self->memory, data, flags, discard);
}

int rbcore_producer_submit(rbcore_producer *self, void *data, uint32_t flags) {
    return finish(self, data, flags, 0);
}

int rbcore_producer_discard(rbcore_producer *self, void *data, uint32_t flags) {
    return finish(self, data, flags, RBC_DISCARD);
}

int rbcore_producer_output(rbcore_producer *self, const void *data, size_t size, uint32_t flags) {
    if (flags & ~WAKEUP_FLAGS || (data == NULL && size != 0)) {
        return -EINVAL;
    }
    void *reserved;
    int error = rbcore_producer_reserve(self, &reserved, size);
    if (error != 0) {
        return error;
    }
    if (size > 0) {
        memcpy(reserved, data, size);
    }
    return rbcore_producer_submit(self, reserved, flags);
}
