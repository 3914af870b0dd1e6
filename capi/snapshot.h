/* SPDX-License-Identifier: MIT */
/* A copy of what a ring held at one moment, with its records to be read one after the other. */
#ifndef RBC_SNAPSHOT_H
#define RBC_SNAPSHOT_H

#include "process.h"

#include <rbcore/rbcore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rbcore_snapshot {
    rbc_fork_check fork_check;
    unsigned char *buffer; /* what stood at info.first_pos is at buffer + (first_pos - base) */
    size_t capacity;
    uint64_t base;        /* position of the first byte in the buffer: a multiple of 8 */
    uint64_t next;        /* of the record to be read next */
    uint64_t lost_before; /* of the record that has RBCORE_RECORD_LOST_BEFORE; odd: none has */
    uint16_t ring;        /* what its records say */
    bool knows_boot;      /* boot_id was read */
    uint8_t boot_id[16];  /* of this machine: also where info is of a file from another */
    rbcore_snapshot_info info;
};

/* An empty snapshot with space for so many bytes. Returns 0, or -ENOMEM and others. */
int rbc_snapshot_new(rbcore_snapshot **out, size_t capacity);

/* For each call that takes a snapshot: 0, -EINVAL or -ECHILD. */
int rbc_snapshot_check(const rbcore_snapshot *self);

#endif
