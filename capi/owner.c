/* SPDX-License-Identifier: MIT */
#include "owner.h"

#include "kernel.h"
#include "process.h"
#include "uncancelled.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * The last bytes of the page. Only its first words are the kernel's; the rest keeps its content as
 * long as the map lives, and every process that maps the ring sees it.
 */
struct rbc_owner_block {
    _Atomic uint64_t tag; /* TAG */
    /*
     * 0: nobody's. Odd: signed, a random number for each claim; the fields below are its author's.
     * Even: a process is writing them, and this word says which one (see "Signing").
     */
    _Atomic uint64_t claim;
    _Atomic uint64_t process[sizeof(rbc_process) / sizeof(uint64_t)];
    _Atomic uint64_t
        has_lock; /* 0: the author could not get the lock, so it says nothing about it */
    /* The records before this were given back: consumer_pos can trail it by one. */
    _Atomic uint64_t committed;
    _Atomic uint64_t is_left; /* not 0: the reader is gone, records that are held keep the ring */
    _Atomic uint64_t reserved[3]; /* zero; so that successors can say more without moving these */
};

#define TAG UINT64_C(0x3165726f63627200) /* "\0rbcore1" in memory */

static_assert(sizeof(rbc_owner_block) == 112, "the block's layout is shared between processes");
static_assert(sizeof(rbc_process) == 48, "so is that of the name in it");

/*
 * A lock that is refused although no reader lives may be held for an instant by one that is about
 * to sign, or to be refused itself. A holder that keeps it longer than this is a stranger, or
 * stopped: then it finds our block where it wanted to sign.
 */
#define ATTEMPTS 20
#define PAUSE_NS 1000000

/*
 * The block can change while it is read. A peer that changes it more often than this does so on
 * purpose.
 */
#define RETRIES 8

static rbc_owner_block *block_of(const unsigned char *page, size_t page_size) {
    const unsigned char *end = page + page_size;
    return (rbc_owner_block *)(uintptr_t)(end - sizeof(rbc_owner_block));
}

static struct flock lock_of(uint64_t byte, short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

bool rbc_lock_byte(int fd, uint64_t byte) {
    struct flock lock = lock_of(byte, F_WRLCK);
    return fcntl(fd, RBC_F_OFD_SETLK, &lock) == 0;
}

void rbc_unlock_byte(int fd, uint64_t byte) {
    struct flock lock = lock_of(byte, F_UNLCK);
    fcntl(fd, RBC_F_OFD_SETLK, &lock);
}

bool rbc_byte_is_locked(int fd, uint64_t byte) {
    struct flock lock = lock_of(byte, F_WRLCK);
    return fcntl(fd, RBC_F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* ---- Signing ---- */

/*
 * A signature does not fit one word, so a claimant first puts its short name into `claim`, then
 * writes the fields, and then makes the claim odd. It can be stopped or killed at each instruction
 * of that. While it lives, its short name keeps all others out, and so nobody else writes fields
 * that a late store of it could spoil. When it is dead, it stores nothing any more.
 *
 * Versions before this one had a random even number there: it has no MARK (but one in 8192). As
 * they do, we wait for it to change, and then take it for one that a claimant left behind when it
 * was killed.
 */
#define HAS_LOCK 2
#define NAME_SHIFT 2
#define MARK_SHIFT (NAME_SHIFT + RBC_SHORT_NAME_BITS)
#define MARK UINT64_C(0x72b)

static_assert(MARK >> (64 - MARK_SHIFT) == 0, "the mark and the name fit a word");

static uint64_t unfinished_claim(const rbc_process *process, bool has_lock) {
    return MARK << MARK_SHIFT | rbc_process_short_name(process) << NAME_SHIFT |
           (has_lock ? HAS_LOCK : 0);
}

static bool is_signed(uint64_t claim) {
    return claim % 2 == 1;
}

static bool is_unfinished(uint64_t claim) {
    return !is_signed(claim) && claim >> MARK_SHIFT == MARK;
}

static bool is_unfinished_by_older_version(uint64_t claim) {
    return claim != 0 && !is_signed(claim) && !is_unfinished(claim);
}

static uint64_t new_claim(void) {
    uint64_t claim = 0;
    long n = syscall(RBC_SYS_GETRANDOM, &claim, sizeof(claim), RBC_GRND_NONBLOCK);
    if (n != (long)sizeof(claim)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        claim = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
    return claim | 1;
}

static void write_fields(rbc_owner_block *block, const rbc_process *process, bool has_lock) {
    uint64_t words[sizeof(*process) / sizeof(uint64_t)];
    memcpy(words, process, sizeof(words));
    if (atomic_load_explicit(&block->tag, memory_order_relaxed) != TAG) {
        atomic_store_explicit(&block->committed, 0, memory_order_relaxed); /* not by a reader */
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        atomic_store_explicit(&block->process[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&block->has_lock, has_lock, memory_order_relaxed);
    atomic_store_explicit(&block->is_left, 0, memory_order_relaxed);
    for (size_t i = 0; i < sizeof(block->reserved) / sizeof(*block->reserved); i++) {
        atomic_store_explicit(&block->reserved[i], 0, memory_order_relaxed);
    }
    /* Release: a successor of a claimant that was killed here finds `committed` reset. Pairs with
     * its load of the tag above. */
    atomic_store_explicit(&block->tag, TAG, memory_order_release);
}

/* Writes our name into the block. Returns false if another process was faster. */
static bool sign(rbc_owner *self, const rbc_process *process, uint64_t found) {
    rbc_owner_block *block = self->block;
    const uint64_t claim = new_claim();
    uint64_t unfinished = unfinished_claim(process, self->locked);
    /* Each exchange pairs with those of other claimants, and the second with the load in
     * find_author. */
    if (!atomic_compare_exchange_strong(&block->claim, &found, unfinished)) {
        return false;
    }
    write_fields(block, process, self->locked);
    /* Fails if an older version has taken us for dead, or a stranger wrote here. */
    if (!atomic_compare_exchange_strong(&block->claim, &unfinished, claim)) {
        return false;
    }
    self->claim = claim;
    return true;
}

/* ---- What the block says of its author. Any process with the ring can write there. ---- */

typedef struct author {
    uint64_t claim;
    rbc_process process; /* of an unfinished claim only the pid is known */
    rbc_process_state state;
    uint64_t pid_here; /* what the process is called in our pid namespace; 0: not known */
    bool had_lock;
    bool is_left;
} author;

static author author_of(const rbc_owner_block *block, uint64_t claim) {
    author it = {.claim = claim, .state = RBC_PROCESS_DEAD};
    if (is_unfinished(claim)) {
        const uint64_t name = claim >> NAME_SHIFT;
        it.process.pid = rbc_short_name_pid(name);
        it.state = rbc_short_name_state_of(name);
        it.had_lock = claim & HAS_LOCK;
    } else if (is_signed(claim) && atomic_load_explicit(&block->tag, memory_order_relaxed) == TAG) {
        uint64_t words[sizeof(it.process) / sizeof(uint64_t)];
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
            words[i] = atomic_load_explicit(&block->process[i], memory_order_relaxed);
        }
        memcpy(&it.process, words, sizeof(words));
        it.had_lock = atomic_load_explicit(&block->has_lock, memory_order_relaxed) != 0;
        it.is_left = atomic_load_explicit(&block->is_left, memory_order_relaxed) != 0;
        it.state = rbc_process_state_of(&it.process);
    }
    return it;
}

static author find_author(const rbc_owner_block *block) {
    author it = {.claim = 0};
    for (int i = 0; i < RETRIES; i++) {
        /* Pairs with the second exchange in sign: what it signed is read. */
        it = author_of(block, atomic_load_explicit(&block->claim, memory_order_acquire));
        atomic_thread_fence(memory_order_acquire);
        if (it.claim == atomic_load_explicit(&block->claim, memory_order_relaxed)) {
            break;
        }
    }
    it.pid_here = it.state == RBC_PROCESS_UNKNOWN ? 0 : it.process.pid;
    return it;
}

uint64_t rbc_owner_pid(const unsigned char *page, size_t page_size) {
    author it = find_author(block_of(page, page_size));
    if (it.state == RBC_PROCESS_DEAD) {
        return 0;
    }
    return it.state == RBC_PROCESS_UNKNOWN ? UINT64_MAX : it.process.pid;
}

/* ---- Claiming ---- */

/*
 * Whether this reader itself has the ring: the open file that all its rings share gets a lock that
 * it has already.
 */
static bool has_it_already(const rbc_owner *self, const author *it) {
    return self->lock.is_shared && it->state == RBC_PROCESS_SELF;
}

static bool still_owns(const rbc_owner *self, author *it) {
    if (it->state == RBC_PROCESS_DEAD) {
        return false; /* the lock's holder is no reader: a stranger, or a dead reader's child */
    }
    if (has_it_already(self, it)) {
        return true;
    }
    /*
     * An author that lives, had the lock, and lets an open file of our own have it, executed
     * another program since then without closing its reader; or never wrote this block. Through an
     * open file that may be the author's as well we would get the lock in either case.
     */
    if (self->locked && self->lock.is_ours && it->had_lock) {
        return false;
    }
    /* The lock may be held by a child alone that a dead author in another namespace had forked. */
    return it->state != RBC_PROCESS_UNKNOWN || !is_signed(it->claim) ||
           !rbc_process_is_dead_below(&it->process, &it->pid_here);
}

/* Lets go of a lock that we got. Through a shared open file it may be another reader's. */
static void let_lock_go(rbc_owner *self) {
    if (self->locked && self->lock.is_ours) {
        rbc_unlock_byte(self->lock.fd, self->lock.byte);
    }
    self->locked = false;
}

static int refuse(rbc_owner *self, const author *it) {
    self->other_pid = it->pid_here;
    self->other_state = it->state;
    self->other_is_left = it->is_left;
    self->locked &= !has_it_already(self, it); /* it is the other ring's */
    let_lock_go(self);
    return -EBUSY;
}

/* Tries once. -EAGAIN: neither does a reader live nor is the lock to be had. */
static int try_claim(rbc_owner *self, const rbc_process *process, bool is_last_attempt) {
    self->locked = rbc_lock_byte(self->lock.fd, self->lock.byte);
    author it = find_author(self->block);
    if (still_owns(self, &it)) {
        return refuse(self, &it);
    }
    bool is_settled = self->locked && !is_unfinished_by_older_version(it.claim);
    if (!is_settled && !is_last_attempt) {
        let_lock_go(self);
        return -EAGAIN;
    }
    if (!sign(self, process, it.claim)) {
        it = find_author(self->block); /* the one that was faster */
        return refuse(self, &it);
    }
    return 0;
}

int rbc_owner_claim(rbc_owner *self, unsigned char *page, size_t page_size,
                    const rbc_owner_lock *lock, const rbc_process *process, bool insist,
                    bool *guarded) {
    RBC_UNCANCELLED;
    *self = (rbc_owner){.block = block_of(page, page_size), .lock = *lock};
    int error = try_claim(self, process, false);
    for (int i = 1; error == -EAGAIN; i++) {
        struct timespec pause = {.tv_nsec = PAUSE_NS};
        nanosleep(&pause, NULL);
        error = try_claim(self, process, i == ATTEMPTS);
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
 * the kernel, and an eventfd is an open file of it that everybody can have. The byte tells the maps
 * apart.
 */
rbc_owner_lock rbc_owner_map_lock(int event_fd, int map_fd, uint32_t map_id, bool *serves) {
    *serves = *serves || (event_fd >= 0 && are_same_file(event_fd, map_fd));
    return (rbc_owner_lock){.fd = *serves ? event_fd : map_fd, .byte = map_id, .is_ours = *serves};
}

uint64_t rbc_owner_committed(const rbc_owner *self) {
    const rbc_owner_block *block = self->block;
    bool is_readers = atomic_load_explicit(&block->tag, memory_order_relaxed) == TAG;
    return is_readers ? atomic_load_explicit(&block->committed, memory_order_acquire) : 0;
}

void rbc_owner_note_committed(rbc_owner *self, uint64_t position) {
    if (self->claim != 0) {
        atomic_store_explicit(&self->block->committed, position, memory_order_release);
    }
}

bool rbc_owner_is_ours(const rbc_owner *self) {
    return self->claim != 0 &&
           atomic_load_explicit(&self->block->claim, memory_order_relaxed) == self->claim;
}

void rbc_owner_note_left(rbc_owner *self) {
    /* Not if another process has signed since: then the block is that one's. */
    if (rbc_owner_is_ours(self)) {
        atomic_store_explicit(&self->block->is_left, 1, memory_order_relaxed);
    }
}

static const char *place_of_other(const rbc_owner *self) {
    switch (self->other_state) {
    case RBC_PROCESS_SELF:
        return self->other_is_left
                   ? ", in this process, still held by records that were not released"
                   : ", in this process";
    case RBC_PROCESS_UNKNOWN:
        return ", in another pid namespace";
    case RBC_PROCESS_DEAD: /* it is gone already */
    case RBC_PROCESS_ALIVE:
        break;
    }
    return "";
}

const char *rbc_owner_other(const rbc_owner *self, char *text, size_t size) {
    bool has_pid = self->other_pid != 0 && (self->other_state == RBC_PROCESS_ALIVE ||
                                            self->other_state == RBC_PROCESS_UNKNOWN);
    char name[RBC_PROCESS_NAME_SIZE] = "", process[48] = "";
    if (has_pid) {
        rbc_process_name(self->other_pid, name);
        snprintf(process, sizeof(process), ": process %" PRIu64 "%s%s%s", self->other_pid,
                 name[0] != '\0' ? " (" : "", name, name[0] != '\0' ? ")" : "");
    }
    snprintf(text, size, "%s%s", place_of_other(self), process);
    return text;
}

void rbc_owner_yield(rbc_owner *self) {
    uint64_t claim = self->claim;
    if (claim != 0) {
        /* Not if another process has signed since: then the block is that one's. */
        atomic_compare_exchange_strong(&self->block->claim, &claim, 0);
        self->claim = 0;
    }
    if (self->locked) {
        rbc_unlock_byte(self->lock.fd, self->lock.byte);
        self->locked = false;
    }
}
