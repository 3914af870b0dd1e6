/* SPDX-License-Identifier: MIT */
#include "owner.h"

#include "process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * The last bytes of the page. Only its first words are the kernel's; the rest keeps its content as
 * long as the map lives, and every process that maps the ring sees it.
 */
struct rbc_owner_block {
    uint64_t tag; /* TAG */
    /* A random number for each claim: odd when it is signed, even as long as the fields below are
     * being written; 0: nobody's. */
    _Atomic uint64_t claim;
    rbc_process process;
    uint64_t has_lock; /* 0: the author could not get the lock, so it says nothing about him */
    /* Up to here records were given back: consumer_pos can trail it by one. */
    _Atomic uint64_t committed;
    uint64_t reserved[4]; /* zero; so that successors can say more without moving what is here */
};

#define TAG UINT64_C(0x3165726f63627200) /* "\0rbcore1" in memory */

static_assert(sizeof(rbc_owner_block) == 112, "the block's layout is shared between processes");

/*
 * A lock that is refused although no reader lives may be held for an instant by one who is about to
 * sign, or about to be refused himself. Whoever keeps it longer than this is a stranger.
 */
#define ATTEMPTS 20
#define PAUSE_NS 1000000

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
    if (block->tag != TAG || claim % 2 == 0) {
        return RBC_PROCESS_DEAD;
    }
    rbc_process process = block->process;
    return rbc_process_state_of(&process);
}

static bool another_owner_lives(const rbc_owner *self, uint64_t claim) {
    switch (author_state(self->block, claim)) {
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
     * An author that lives, had the lock, and lets an open file of our own have it, executed
     * another program since then without closing its reader. Through an open file that may be his
     * as well we would get the lock in either case.
     */
    return !self->locked || !self->lock_is_ours || !self->block->has_lock;
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
    /* Found out before: whoever takes a slow writer for dead finds his own block written over. */
    rbc_process process = rbc_process_self();
    if (!atomic_compare_exchange_strong(&block->claim, &found, claim - 1)) {
        return false;
    }
    if (block->tag != TAG) {
        atomic_store_explicit(&block->committed, 0, memory_order_relaxed); /* not by a reader */
    }
    block->process = process;
    block->has_lock = self->locked;
    memset(block->reserved, 0, sizeof(block->reserved));
    block->tag = TAG;
    /* Fails if this took so long that somebody took us for dead. */
    uint64_t unsigned_claim = claim - 1;
    if (!atomic_compare_exchange_strong(&block->claim, &unsigned_claim, claim)) {
        return false;
    }
    self->claim = claim;
    return true;
}

/* Lets go of a lock that we got. Through a shared open file it may be another reader's. */
static void let_lock_go(rbc_owner *self) {
    if (self->locked && self->lock_is_ours) {
        rbc_unlock_byte(self->lock_fd, self->lock_byte);
    }
    self->locked = false;
}

/* Tries once. -EAGAIN: neither does a reader live nor is the lock to be had. */
static int try_claim(rbc_owner *self, uint64_t first, bool is_last_attempt) {
    self->locked = rbc_lock_byte(self->lock_fd, self->lock_byte);
    uint64_t found = atomic_load_explicit(&self->block->claim, memory_order_acquire);
    if (another_owner_lives(self, found)) {
        let_lock_go(self);
        return -EBUSY;
    }
    bool is_being_signed = found != 0 && found % 2 == 0;
    if ((!self->locked || is_being_signed) && !is_last_attempt) {
        let_lock_go(self);
        return -EAGAIN;
    }
    /* A signature that is still not there since our first attempt was left by one who was killed.
     */
    if (is_being_signed && found != first) {
        let_lock_go(self);
        return -EBUSY;
    }
    if (!sign(self, found)) {
        let_lock_go(self);
        return -EBUSY;
    }
    return 0;
}

int rbc_owner_claim(rbc_owner *self, unsigned char *page, size_t page_size, int lock_fd,
                    bool lock_is_ours, uint64_t lock_byte, bool insist, bool *guarded) {
    unsigned char *end = page + page_size;
    *self = (rbc_owner){.block = (rbc_owner_block *)(void *)(end - sizeof(rbc_owner_block)),
                        .lock_byte = lock_byte,
                        .lock_fd = lock_fd,
                        .lock_is_ours = lock_is_ours};
    uint64_t first = atomic_load_explicit(&self->block->claim, memory_order_relaxed);
    int error = try_claim(self, first, false);
    for (int i = 1; error == -EAGAIN; i++) {
        struct timespec pause = {.tv_nsec = PAUSE_NS};
        nanosleep(&pause, NULL);
        error = try_claim(self, first, i == ATTEMPTS);
    }
    *guarded = self->locked;
    return insist ? 0 : error;
}

static bool are_same_file(int a, int b) {
    struct stat of_a, of_b;
    return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

/*
 * A lock belongs to an open file. The caller's may be shared with others (dup, fork, a socket), and
 * opening the map once more takes CAP_SYS_ADMIN. But all BPF maps share the one anonymous inode of
 * the kernel, and an eventfd is an open file of it that everybody can have.
 */
int rbc_owner_lock_fd(int map_fd, bool *lock_is_ours) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *lock_is_ours = fd >= 0 && are_same_file(fd, map_fd);
    if (fd >= 0 && !*lock_is_ours) {
        close(fd);
    }
    return *lock_is_ours ? fd : map_fd;
}

uint64_t rbc_owner_committed(const rbc_owner *self) {
    const rbc_owner_block *block = self->block;
    return block->tag == TAG ? atomic_load_explicit(&block->committed, memory_order_acquire) : 0;
}

void rbc_owner_note_committed(rbc_owner *self, uint64_t position) {
    if (self->claim != 0) {
        atomic_store_explicit(&self->block->committed, position, memory_order_release);
    }
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
