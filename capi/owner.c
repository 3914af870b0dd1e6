/* SPDX-License-Identifier: MIT */
#include "owner.h"

#include "process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/*
 * The last bytes of the consumer page. Only the page's first word is the kernel's; the rest keeps
 * its content as long as the map lives, and every process that maps the ring sees it.
 */
struct rbc_owner_block {
    uint64_t tag;           /* TAG */
    _Atomic uint64_t claim; /* a random number, one for each claim; 0: nobody's */
    rbc_process process;
    uint64_t reserved[6]; /* zero; so that successors can say more without moving what is here */
};

#define TAG UINT64_C(0x3165726f63627200) /* "\0rbcore1" in memory */

static_assert(sizeof(rbc_owner_block) == 112, "the block's layout is shared between processes");

static struct flock lock_of(uint64_t byte, short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

bool rbc_lock_byte(int fd, uint64_t byte) {
    struct flock lock = lock_of(byte, F_WRLCK);
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

void rbc_unlock_byte(int fd, uint64_t byte) {
    struct flock lock = lock_of(byte, F_UNLCK);
    fcntl(fd, F_OFD_SETLK, &lock);
}

bool rbc_byte_is_locked(int fd, uint64_t byte) {
    struct flock lock = lock_of(byte, F_WRLCK);
    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* What the block says about its author. Whoever can map the ring can write anything there. */
static rbc_process_state author_state(const rbc_owner_block *block, uint64_t claim) {
    if (block->tag != TAG || claim == 0) {
        return RBC_PROCESS_DEAD;
    }
    rbc_process process = block->process;
    return rbc_process_state_of(&process);
}

static bool another_reader_lives(rbc_process_state author, bool locked, bool lock_is_ours) {
    switch (author) {
    case RBC_PROCESS_DEAD:
        return false; /* whoever holds the lock is no reader: a stranger, or a dead reader's child
                       */
    case RBC_PROCESS_SELF:
        return true; /* a reader of ours that was closed would have cleared the block */
    case RBC_PROCESS_ALIVE:
    case RBC_PROCESS_UNKNOWN:
        break;
    }
    /*
     * An author that lives but lets an open file of our own have the lock executed another program
     * since then, without closing its reader. Through an open file that may be his as well we would
     * get the lock in either case.
     */
    return !locked || !lock_is_ours;
}

static uint64_t new_claim(void) {
    uint64_t claim = 0;
    if (getrandom(&claim, sizeof(claim), GRND_NONBLOCK) != (ssize_t)sizeof(claim)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        claim = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
    return claim | 1;
}

/* Writes our name into the block. Returns false if another process was faster. */
static bool sign(rbc_owner *self, uint64_t found) {
    rbc_owner_block *block = self->block;
    uint64_t claim = new_claim();
    if (!atomic_compare_exchange_strong(&block->claim, &found, claim)) {
        return false;
    }
    block->process = rbc_process_self();
    memset(block->reserved, 0, sizeof(block->reserved));
    block->tag = TAG;
    self->claim = claim;
    return true;
}

int rbc_owner_claim(rbc_owner *self, const rbc_mapping *mapping, int lock_fd, bool lock_is_ours,
                    uint64_t lock_byte, bool insist, bool *guarded) {
    *self = (rbc_owner){.block = (rbc_owner_block *)(void *)(mapping->consumer_page +
                                                             mapping->page_size -
                                                             sizeof(rbc_owner_block)),
                        .lock_byte = lock_byte,
                        .lock_fd = lock_fd,
                        .lock_is_ours = lock_is_ours};
    uint64_t found = atomic_load_explicit(&self->block->claim, memory_order_acquire);
    rbc_process_state author = author_state(self->block, found);
    self->locked = rbc_lock_byte(lock_fd, lock_byte);
    if (another_reader_lives(author, self->locked, lock_is_ours)) {
        /* Through a shared open file the lock may be the other reader's: leave it alone. */
        if (self->locked && lock_is_ours) {
            rbc_unlock_byte(lock_fd, lock_byte);
        }
        self->locked = false;
        *guarded = false;
        return insist ? 0 : -EBUSY;
    }
    if (!sign(self, found)) {
        rbc_owner_yield(self);
        return -EBUSY;
    }
    *guarded = self->locked;
    return 0;
}

uint64_t rbc_owner_pid(const rbc_owner *self) {
    return self->block->process.pid;
}

void rbc_owner_yield(rbc_owner *self) {
    uint64_t claim = self->claim;
    if (claim != 0) {
        /* Unless somebody else has signed since: then the block is his. */
        atomic_compare_exchange_strong(&self->block->claim, &claim, 0);
        self->claim = 0;
    }
    if (self->locked) {
        rbc_unlock_byte(self->lock_fd, self->lock_byte);
        self->locked = false;
    }
}
