/* SPDX-License-Identifier: MIT */
/*
 * The memory ring: a sealed memfd with the kernel's layout. The kernel keeps its spin lock in a
 * page that is mapped nowhere, and knows its producers by itself. Here both stand in the producer
 * page's spare bytes.
 */
#ifndef RBC_MEMORY_RING_H
#define RBC_MEMORY_RING_H

#include "mapping.h"
#include "process.h"

#include <assert.h>
#include <rbcore/rbcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RBC_MEMORY_RING_MAX ((size_t)1 << 30)

/* Bytes of the memfd whose lock (rbc_lock_byte) is the reader's or a producer slot's. */
#define RBC_CONSUMER_BYTE 0
#define RBC_PRODUCER_BYTE(slot) (1 + (uint64_t)(slot))

/* A place in the table of producers. Its owner holds the lock on its byte for as long as it lives.
 */
typedef struct rbc_producer_slot {
    _Atomic uint64_t generation; /* changes with each owner */
    rbc_process process;
} rbc_producer_slot;

/*
 * Names a producer among all that ever had the ring: 1 << 30 | generation << 6 | slot. Stands in
 * the second word of a record's header (where the kernel keeps an offset of its own), and in the
 * lock while the producer has it. The generation tells it from an earlier owner of its slot.
 */
#define RBC_TOKEN_BIT (UINT32_C(1) << 30)
#define RBC_TOKEN_GENERATIONS (UINT32_C(1) << 24)

/* The producer page. Processes share it: its layout is fixed. */
typedef struct rbc_producer_page {
    _Atomic uint64_t producer_pos;
    _Atomic uint64_t pending_pos;   /* all records before it are complete; see memory_reserve.h */
    _Atomic uint64_t overwrite_pos; /* the oldest record that was not overwritten */
    unsigned char kernels[104];
    _Atomic uint64_t tag;
    _Atomic uint64_t page_size;
    _Atomic uint64_t data_size;
    _Atomic uint64_t flags; /* RBCORE_MEMORY_RING_OVERWRITE */
    unsigned char unused[32];
    _Atomic uint32_t lock; /* see memory_producer.c */
    unsigned char lock_line[60];
    _Atomic uint64_t lost; /* records that were refused because the ring was full */
    unsigned char lost_line[248];
    rbc_producer_slot slots[RBCORE_PRODUCERS_MAX];
} rbc_producer_page;

static_assert(offsetof(rbc_producer_page, overwrite_pos) == 16, "where the kernel has it");
static_assert(offsetof(rbc_producer_page, tag) == 128, "shared between processes");
static_assert(offsetof(rbc_producer_page, flags) == 152, "shared between processes");
static_assert(offsetof(rbc_producer_page, lock) == 192, "shared between processes");
static_assert(offsetof(rbc_producer_page, lost) == 256, "shared between processes");
static_assert(offsetof(rbc_producer_page, slots) == 512, "shared between processes");
static_assert(sizeof(rbc_producer_page) == 4096, "fits the smallest page");

static inline rbc_producer_page *rbc_producer_page_of(const rbc_mapping *mapping) {
    return (rbc_producer_page *)(void *)mapping->producer_page;
}

/*
 * Checks that fd is a memory ring whose size nobody can change any more. Returns 0 with the size of
 * its data area and its inode, or -EBADF, -EBADFD, -EACCES.
 */
int rbc_memory_ring_check(int fd, size_t *data_size, ino_t *inode);

/*
 * After mapping: checks that the memory was laid out as a ring of this size. Returns 0 with whether
 * it is in overwrite mode, or -EBADFD.
 */
int rbc_memory_ring_check_layout(const rbc_mapping *mapping, bool *overwrites);

/* Returns 0, -EBADF, or -EBADFD if fd is no non-blocking eventfd. */
int rbc_event_fd_check(int fd);

/* Wakes the reader that waits for it, whatever its peers did to it. */
void rbc_event_fd_signal(int fd);

/* A duplicate of fd, close-on-exec, or a negative errno. */
int rbc_duplicate(int fd);

/* Opens the file behind fd once more: an open file of our own, with locks of its own. */
int rbc_reopen(int fd);

/*
 * Whether the producer of this token is gone: closed, or its process dead. lock_fd is an open file
 * of the ring that is not that producer's own. asked_before counts the calls for this token: some
 * look closer than others.
 */
bool rbc_producer_is_gone(rbc_producer_page *page, int lock_fd, uint32_t token,
                          unsigned asked_before);

#endif
