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
    uint8_t boot_id[16];  /* of this machine (zeros: not read), also where info is of another's */
    rbcore_snapshot_info info;
};

/* An empty snapshot with space for so many bytes. Returns 0, or -ENOMEM and others. */
int rbc_snapshot_new(rbcore_snapshot **out, size_t capacity);

struct rbc_ring;

/* Says which ring a snapshot is of, and that it is of now. See rbc_boot_id_once. */
void rbc_snapshot_describe(rbcore_snapshot_info *info, const struct rbc_ring *ring,
                           uint8_t boot_id[16]);

/* Writes what stands before the content in a file. */
void rbc_snapshot_write_header(unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE],
                               const rbcore_snapshot_info *info, uint32_t content_checksum);

/* For each call that takes a snapshot: 0, -EINVAL or -ECHILD. */
int rbc_snapshot_check(const rbcore_snapshot *self);

#endif
