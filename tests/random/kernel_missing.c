/* SPDX-License-Identifier: MIT */
/* In place of kernel.c where BPF programs cannot be built. */
#include "world.h"

#include <errno.h>

const char *kernel_missing(void) {
    return "built without what BPF programs need: " RBCORE_BPF_MISSING;
}

void kernel_create_ring(sim_ring *self, uint64_t size) {
    (void)self;
    (void)size;
    demand(false, "no rings of the kernel");
}

void kernel_drop_ring(sim_ring *self) {
    (void)self;
}

int kernel_emit(sim_ring *self, uint32_t size, uint32_t offset, uint32_t flags, bool discard) {
    (void)self;
    (void)size;
    (void)offset;
    (void)flags;
    (void)discard;
    return -ENOSYS;
}

bool user_ring(void) {
    return false;
}

void user_ring_drop(void) {
}
