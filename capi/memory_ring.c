/* SPDX-License-Identifier: MIT */
#include "memory_ring.h"

#include "keep_errno.h"
#include "kernel.h"
#include "owner.h"
#include "uncancelled.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Names the layout: "mbcring1" in memory, which has no flags, or "mbcring2". Overwriting rings have
 * the second: a library that does not know them must refuse them.
 */
#define TAG UINT64_C(0x31676e697263626d)
#define TAG_FLAGS UINT64_C(0x32676e697263626d)

/* Without them a peer could truncate the file, and a load from the mapping would raise SIGBUS. */
#define SEALS (RBC_F_SEAL_SHRINK | RBC_F_SEAL_GROW | RBC_F_SEAL_SEAL)

/* How often a producer that holds its lock is looked up in /proc. */
#define ASK_PROC_EVERY 16

static int lay_out(int fd, size_t data_size, size_t page_size, uint32_t flags) {
    RBC_UNCANCELLED;
    int error = rbc_set_file_size(fd, 2 * page_size + data_size);
    if (error != 0) {
        return error;
    }
    rbc_producer_page page;
    memset(&page, 0, sizeof(page));
    page.tag = flags == 0 ? TAG : TAG_FLAGS;
    page.page_size = page_size;
    page.data_size = data_size;
    page.flags = flags;
    ssize_t written = pwrite(fd, &page, sizeof(page), (off_t)page_size);
    if (written != (ssize_t)sizeof(page)) {
        /* ENOSPC comes from the file system of memfds, which has no limit but memory. */
        return written < 0 && errno != ENOSPC ? -errno : -ENOMEM;
    }
    return fcntl(fd, RBC_F_ADD_SEALS, SEALS) == 0 ? 0 : -errno;
}

int rbcore_memory_ring_create(int *memory_fd, int *event_fd, size_t ring_size, uint32_t flags) {
    RBC_KEEP_ERRNO;
    size_t page_size = rbc_page_size();
    if (memory_fd == NULL || event_fd == NULL || flags & ~RBCORE_MEMORY_RING_OVERWRITE ||
        !rbc_ring_size_is_valid(ring_size, page_size) || ring_size > RBC_MEMORY_RING_MAX) {
        return -EINVAL;
    }
    int memory = rbc_memfd("rbcore", RBC_MFD_ALLOW_SEALING);
    if (memory < 0) {
        return memory;
    }
    int error = lay_out(memory, ring_size, page_size, flags);
    if (error != 0) {
        rbc_close(memory);
        return error;
    }
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0) {
        error = -errno;
        rbc_close(memory);
        return error;
    }
    *memory_fd = memory;
    *event_fd = event;
    return 0;
}

int rbc_memory_ring_check(int fd, size_t *data_size, ino_t *inode) {
    int mode = fcntl(fd, F_GETFL);
    if (mode < 0) {
        return -EBADF;
    }
    int seals = fcntl(fd, RBC_F_GET_SEALS);
    struct stat status;
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) != 0) {
        return -EBADFD;
    }
    uint64_t pages = 2 * rbc_page_size(), size = (uint64_t)status.st_size;
    if (size < pages || size - pages > RBC_MEMORY_RING_MAX ||
        !rbc_ring_size_is_valid((size_t)(size - pages), rbc_page_size())) {
        return -EBADFD;
    }
    if ((mode & O_ACCMODE) != O_RDWR) {
        return -EACCES;
    }
    *data_size = (size_t)(size - pages);
    *inode = status.st_ino;
    return 0;
}

/* Each word once: a peer may change it between two looks. */
static uint64_t load(const _Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_relaxed);
}

int rbc_memory_ring_check_layout(const rbc_mapping *mapping, bool *overwrites) {
    const rbc_producer_page *page = rbc_producer_page_of(mapping);
    const uint64_t flags = load(&page->flags);
    *overwrites = flags != 0;
    bool is_ours =
        load(&page->tag) == (flags == 0 ? TAG : TAG_FLAGS) && flags <= RBCORE_MEMORY_RING_OVERWRITE;
    /* The sizes to go by are those of the file, which are sealed. */
    return is_ours && load(&page->page_size) == mapping->page_size &&
                   load(&page->data_size) == mapping->data_size
               ? 0
               : -EBADFD;
}

int rbc_event_fd_check(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return -EBADF;
    }
    char path[32], target[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    /* Nothing can be said if there is no /proc; the first wakeup will find out what is wrong. */
    bool is_eventfd = n < 0 || strcmp(target, "anon_inode:[eventfd]") == 0;
    /* A blocking one could stop a producer whose peer filled the counter. A peer can make it so
     * later: see rbc_event_fd_signal. */
    return is_eventfd && (flags & O_NONBLOCK) ? 0 : -EBADFD;
}

static bool is_full(int fd) {
    struct pollfd event = {.fd = fd, .events = POLLOUT};
    return poll(&event, 1, 0) >= 0 && !(event.revents & POLLOUT);
}

static void make_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK)) {
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
}

/*
 * All processes that have the ring share the open file, with its O_NONBLOCK and its counter, and
 * every write to an eventfd can block (RWF_NOWAIT is refused). So both are looked at before each
 * write. Only a peer that clears the flag and fills the counter after that, within the time of a
 * system call, blocks us: until a process reads the counter, because a wait in write(2) ends then.
 */
void rbc_event_fd_signal(int fd) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    uint64_t count = 1;
    bool was_full = is_full(fd);
    make_nonblocking(fd);
    if (!was_full && write(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
        return;
    }
    /* Somebody filled the counter to the brim. Nobody needs its value: empty it. Not more than
     * once: a peer that fills it again at once can as well take the wakeup away by reading it. */
    ssize_t n = read(fd, &count, sizeof(count));
    count = 1;
    n = write(fd, &count, sizeof(count));
    (void)n;
}

int rbc_duplicate(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : copy;
}

int rbc_reopen(int fd) {
    RBC_UNCANCELLED;
    char path[40];
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
    int own = open(path, O_RDWR | O_CLOEXEC);
    return own < 0 ? -errno : own;
}

bool rbc_producer_is_gone(rbc_producer_page *page, int lock_fd, uint32_t token,
                          unsigned asked_before) {
    uint32_t slot = token % RBCORE_PRODUCERS_MAX;
    uint64_t generation = (token & ~RBC_TOKEN_BIT) / RBCORE_PRODUCERS_MAX;
    rbc_producer_slot *entry = &page->slots[slot];
    if (!(token & RBC_TOKEN_BIT) ||
        generation != atomic_load_explicit(&entry->generation, memory_order_acquire)) {
        return true;
    }
    if (!rbc_byte_is_locked(lock_fd, RBC_PRODUCER_BYTE(slot))) {
        return true;
    }
    /* A forked child keeps the lock of its dead parent; but it is not the producer. That is rare,
     * and takes a dozen system calls to find out. */
    if (asked_before % ASK_PROC_EVERY != 0) {
        return false;
    }
    /* A new owner of the slot may be writing there: then the generation is about to change, too.
     * Copied once: what is checked is what is used, whatever a peer writes there. */
    rbc_process process = entry->process;
    return rbc_process_state_of(&process) == RBC_PROCESS_DEAD;
}
