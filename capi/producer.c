/* SPDX-License-Identifier: MIT */
/* The handle of a producer: what holds for every kind of ring that it writes. */
#include "keep_errno.h"
#include "memory_producer.h"
#include "process.h"
#include "sized.h"
#include "source.h"
#include "user_ring.h"
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define WAKEUP_FLAGS (RBCORE_NO_WAKEUP | RBCORE_FORCE_WAKEUP)

/* A small record takes so little that it is measured (by 1 cycle of 28) how many lines of the
 * instruction cache its functions lie in. */
#define WITHIN_FEW_LINES __attribute__((aligned(64)))

struct rbcore_producer {
    rbc_fork_check fork_check;
    bool is_user_ring; /* of the kernel; otherwise a memory ring */
    union {
        rbc_memory_producer memory;
        rbc_user_ring user;
    };
};

static int check_source(rbcore_source *source, const rbcore_source *given) {
    *source = (rbcore_source)RBCORE_SOURCE_INIT;
    int error = rbc_sized_in(source, sizeof(*source), given);
    if (error != 0) {
        return error;
    }
    uint32_t known_flags = source->kind == RBCORE_SOURCE_MEMORY_RING ? 0 : RBCORE_SOURCE_INSIST;
    bool is_complete = rbc_source_missing_field(source) == NULL;
    return is_complete && !(source->flags & ~known_flags) ? 0 : -EINVAL;
}

static int open_producer(rbcore_producer *self, const rbcore_source *source) {
    int error = rbc_fork_check_init(&self->fork_check);
    if (error != 0) {
        return error;
    }
    self->is_user_ring = source->kind != RBCORE_SOURCE_MEMORY_RING;
    return self->is_user_ring ? rbc_user_ring_open(&self->user, source)
                              : rbc_memory_producer_open(&self->memory, source);
}

static void close_producer(rbcore_producer *self) {
    bool is_here = rbc_fork_check_passes(&self->fork_check);
    if (self->is_user_ring) {
        if (is_here) {
            rbc_user_ring_leave(&self->user);
        }
        rbc_user_ring_close(&self->user);
    } else {
        if (is_here) {
            rbc_memory_producer_leave(&self->memory);
        }
        rbc_memory_producer_close(&self->memory);
    }
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
    close_producer(self);
    free(self);
}

static int check(const rbcore_producer *self) {
    if (self == NULL) {
        return -EINVAL;
    }
    return rbc_fork_check_passes(&self->fork_check) ? 0 : -ECHILD;
}

WITHIN_FEW_LINES int rbcore_producer_reserve(rbcore_producer *self, void **data, size_t size) {
    int error = check(self);
    if (error != 0 || data == NULL) {
        return error != 0 ? error : -EINVAL;
    }
    return self->is_user_ring ? rbc_user_ring_reserve(&self->user, data, size)
                              : rbc_memory_producer_reserve(&self->memory, data, size);
}

int rbcore_producer_reserve_wait(rbcore_producer *self, void **data, size_t size,
                                 int64_t timeout_ns) {
    RBC_KEEP_ERRNO;
    int error = check(self);
    if (error != 0 || data == NULL || (timeout_ns < 0 && timeout_ns != RBCORE_FOREVER)) {
        return error != 0 ? error : -EINVAL;
    }
    if (timeout_ns == 0) {
        return rbcore_producer_reserve(self, data, size);
    }
    int64_t deadline = rbc_deadline_after(&(rbc_clock){0}, timeout_ns);
    return self->is_user_ring
               ? rbc_user_ring_reserve_wait(&self->user, data, size, deadline)
               : rbc_memory_producer_reserve_wait(&self->memory, data, size, deadline);
}

static inline int finish(rbcore_producer *self, void *data, uint32_t flags, uint32_t discard) {
    int error = check(self);
    if (error != 0 || flags & ~WAKEUP_FLAGS) {
        return error != 0 ? error : -EINVAL;
    }
    return self->is_user_ring ? rbc_user_ring_finish(&self->user, data, discard)
                              : rbc_memory_producer_finish(&self->memory, data, flags, discard);
}

WITHIN_FEW_LINES int rbcore_producer_submit(rbcore_producer *self, void *data, uint32_t flags) {
    return finish(self, data, flags, 0);
}

int rbcore_producer_discard(rbcore_producer *self, void *data, uint32_t flags) {
    return finish(self, data, flags, RBC_DISCARD);
}

static int output_reserved(rbcore_producer *self, const void *data, size_t size, uint32_t flags) {
    void *reserved;
    int error = rbc_memory_producer_reserve(&self->memory, &reserved, size);
    if (error != 0) {
        return error;
    }
    if (size > 0) {
        memcpy(reserved, data, size);
    }
    /* That was reserved here: its header is another only where a peer wrote it. */
    return rbc_memory_producer_finish(&self->memory, reserved, flags, 0) == 0 ? 0 : -EBADMSG;
}

WITHIN_FEW_LINES int rbcore_producer_output(rbcore_producer *self, const void *data, size_t size,
                                            uint32_t flags) {
    int error = check(self);
    if (error != 0 || flags & ~WAKEUP_FLAGS || (data == NULL && size != 0)) {
        return error != 0 ? error : -EINVAL;
    }
    return self->is_user_ring ? rbc_user_ring_output(&self->user, data, size)
                              : output_reserved(self, data, size, flags);
}

int rbcore_producer_output_batch(rbcore_producer *self, const rbcore_slice *slices, size_t count,
                                 uint32_t flags) {
    int error = check(self);
    if (error != 0 || slices == NULL || flags & ~WAKEUP_FLAGS) {
        return error != 0 ? error : -EINVAL;
    }
    size_t some = count < INT_MAX ? count : INT_MAX;
    return self->is_user_ring
               ? rbc_user_ring_output_batch(&self->user, slices, some)
               : rbc_memory_producer_output_batch(&self->memory, slices, some, flags);
}
