/* SPDX-License-Identifier: MIT */
/* The library as a whole: its version, and what it can do on this kernel. */
#include "keep_errno.h"
#include "map.h"
#include "mapping.h"
#include "uncancelled.h"

#include <errno.h>
#include <rbcore/rbcore.h>

uint32_t rbcore_version(void) {
    return RBCORE_VERSION;
}

static int probe_memory_ring(void) {
    int fd = rbc_memfd("rbcore", RBC_MFD_ALLOW_SEALING);
    if (fd < 0) {
        return fd == -ENOSYS ? 0 : fd;
    }
    rbc_close(fd);
    return 1;
}

int rbcore_supports(uint32_t feature) {
    RBC_KEEP_ERRNO;
    switch (feature) {
    case RBCORE_FEATURE_KERNEL_RING:
        return rbc_map_probe_ring(RBC_BPF_MAP_TYPE_RINGBUF, 0);
    case RBCORE_FEATURE_OVERWRITE:
        return rbc_map_probe_ring(RBC_BPF_MAP_TYPE_RINGBUF, RBC_BPF_F_RB_OVERWRITE);
    case RBCORE_FEATURE_MEMORY_RING:
        return probe_memory_ring();
    case RBCORE_FEATURE_USER_RING:
        return rbc_map_probe_ring(RBC_BPF_MAP_TYPE_USER_RINGBUF, 0);
    default:
        return 0;
    }
}
