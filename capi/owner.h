/* SPDX-License-Identifier: MIT */
/*
 * The owner of user space's end of a ring: its consumer, or the producer of a user ring. There is
 * one; two wedge the ring for good. The owner leaves its name in the spare bytes at the end of the
 * page with its position, and holds a lock on the ring's file. Each alone can be fooled: the block
 * is stale after a kill and survives execve(), the lock can be taken by any stranger (all BPF maps
 * share one inode), is kept by forked children, and does not tell readers apart that share an open
 * file. Together they decide; see rbc_owner_claim.
 */
#ifndef RBC_OWNER_H
#define RBC_OWNER_H

#include "process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rbc_owner_block rbc_owner_block;

/* Where the lock is: a byte of the ring's file. It belongs to an open file, not to a process. */
typedef struct rbc_owner_lock {
    int fd; /* open on the ring's file */
    uint64_t byte;
    bool is_ours;   /* fd is an open file of our own, not a duplicate of the caller's */
    bool is_shared; /* fd locks other rings of the same reader, too */
} rbc_owner_lock;

typedef struct rbc_owner {
    rbc_owner_block *block;
    uint64_t claim; /* what we wrote into the block; 0: nothing */
    rbc_owner_lock lock;
    bool locked;
    /* After a refusal, of the owner that there is: */
    uint64_t other_pid; /* in our pid namespace; 0: not known */
    rbc_process_state other_state;
    bool other_is_left; /* only held records keep the ring */
} rbc_owner;

/*
 * Claims the ring whose consumer page (of a user ring: producer page) this is for this process,
 * whose name is `process`. The lock's descriptor stays the caller's. *guarded tells whether later
 * owners will notice us. Returns 0, or -EBUSY if another owner lives (never with insist).
 */
int rbc_owner_claim(rbc_owner *self, unsigned char *page, size_t page_size,
                    const rbc_owner_lock *lock, const rbc_process *process, bool insist,
                    bool *guarded);

/*
 * The lock on a BPF map: of event_fd, an eventfd of our own, or else of map_fd.
 * *serves tells whether it serves: it then does so for each map, and is not asked again.
 */
rbc_owner_lock rbc_owner_map_lock(int event_fd, int map_fd, uint32_t map_id, bool *serves);

/* The position that the last reader says it committed to; 0 if none said anything. */
uint64_t rbc_owner_committed(const rbc_owner *self);

/* Leaves that word for our successor. */
void rbc_owner_note_committed(rbc_owner *self, uint64_t position);

/* Tells later ones that the reader is gone, and that only records that are held keep the ring. */
void rbc_owner_note_left(rbc_owner *self);

/* Whether the ring is ours, and no other process has signed since. */
bool rbc_owner_is_ours(const rbc_owner *self);

/*
 * The pid of the process that owns the ring whose page this is, 0 if none that lives does, or
 * UINT64_MAX if it is of another pid namespace. It goes by the block alone, and asks /proc.
 */
uint64_t rbc_owner_pid(const unsigned char *page, size_t page_size);

/* Long enough for rbc_owner_other. */
#define RBC_OWNER_TEXT_SIZE 96

/*
 * After a refusal: whose the ring is, for messages, to be put behind "another reader has the ring".
 * Returns text.
 */
const char *rbc_owner_other(const rbc_owner *self, char *text, size_t size);

/* Gives the ring up. Not to be called in a forked child: the claim is the parent's. */
void rbc_owner_yield(rbc_owner *self);

/* Locks a byte of a file for fd's open file. Returns whether it has the lock now. */
bool rbc_lock_byte(int fd, uint64_t byte);

void rbc_unlock_byte(int fd, uint64_t byte);

/* Whether an open file other than fd's holds the byte's lock. */
bool rbc_byte_is_locked(int fd, uint64_t byte);

#endif
