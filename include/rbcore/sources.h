/* SPDX-License-Identifier: MIT */
/*
 * Memory rings, and sources: what a reader reads or a producer writes.
 * A part of rbcore.h, which says what holds for all parts.
 */
#ifndef RBCORE_SOURCES_H
#define RBCORE_SOURCES_H

#include <rbcore/library.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A piece of memory: the content of a record to be written, or records that lie in a ring. (It is
 * laid out like the struct iovec of writev(2).)
 */
typedef struct rbcore_slice {
    const void *data; /* may be NULL if size is 0 */
    size_t size;      /* bytes */
} rbcore_slice;

/* Flags of a memory ring. */
#define RBCORE_MEMORY_RING_OVERWRITE UINT32_C(1) /* a full ring overwrites its oldest records */

/*
 * Creates a memory ring: a memfd laid out like the kernel's ring (consumer page, producer page,
 * data) and sealed against a change of its size, and the eventfd that wakes its reader. ring_size
 * is a power of two and a multiple of the page size. The caller owns both file descriptors
 * (close-on-exec), may pass them to other processes, and closes them when it likes: readers and
 * producers keep their own.
 *
 * With RBCORE_MEMORY_RING_OVERWRITE it is like a map with BPF_F_RB_OVERWRITE (Linux 6.19):
 * producers never wait for a reader, and a full ring holds the newest records.
 *
 * Every process that holds the descriptors can overwrite the memory at any time, and shares the
 * state of the open files. This is what a hostile peer can do to the others:
 *   - The memory: A reader survives impossible content (-EBADMSG, never a crash). But it cannot
 *     stop data from changing while you look at it: copy records of producers that you do not trust
 *     before you look at them. A producer survives it, too. But it waits without end for a peer
 *     that holds the producers' lock in the memory, or claims to hold it.
 *   - event_fd: A peer that reads its counter takes wakeups away. Readers still look every 100
 *     milliseconds. Each wakeup makes the descriptor non-blocking again and empties a full counter.
 *     A submit blocks only if the peer undoes both before the write that follows, for which it has
 *     the time of one system call. It then blocks until the counter is read.
 *   - memory_fd: Its size is sealed, so that no load from it is a SIGBUS. The library looks at no
 *     flag, offset or lock of memory_fd: each reader and producer opens the file again (a reader
 *     only where /proc is mounted). A peer that takes the locks of the file keeps new producers out
 *     (-EUSERS), and leaves new readers unguarded (RBCORE_RING_UNGUARDED).
 * Returns 0.
 *   -EINVAL  ring_size is zero, not a power of two, smaller than a page or larger than 1 GiB; a
 *            flag is unknown;
 *   -EMFILE, -ENFILE, -ENOMEM, -ENOSYS, -EFBIG  from the kernel, for want of what
 *            memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is
 *            delivered).
 */
RBCORE_API int rbcore_memory_ring_create(int *memory_fd, int *event_fd, size_t ring_size,
                                         uint32_t flags);

#define RBCORE_SOURCE_MAP_FD UINT32_C(1)      /* fd: of a BPF map */
#define RBCORE_SOURCE_PINNED_PATH UINT32_C(2) /* path: where a BPF map is pinned */
#define RBCORE_SOURCE_MAP_ID UINT32_C(3)      /* map_id: of a BPF map (needs CAP_SYS_ADMIN) */
#define RBCORE_SOURCE_MEMORY_RING UINT32_C(4) /* fd and event_fd: of a memory ring */

/* Flags of a source. */
#define RBCORE_SOURCE_LATEST UINT32_C(1) /* skip the records that are complete when it is added */
#define RBCORE_SOURCE_INSIST UINT32_C(2) /* open although another reader (or producer) has it */
#define RBCORE_SOURCE_OVERWRITE UINT32_C(4) /* it is in overwrite mode; see rbcore_reader */
#define RBCORE_SOURCE_TAP UINT32_C(8)       /* only look, beside its reader; see rbcore_reader */

typedef struct rbcore_source {
    size_t size;    /* of this struct */
    uint32_t kind;  /* RBCORE_SOURCE_MAP_FD, ... */
    uint32_t flags; /* RBCORE_SOURCE_LATEST, ...; default 0: resume where the last reader stopped */
    int32_t fd;     /* stays the caller's: the library keeps a duplicate; default -1 */
    int32_t event_fd; /* of a memory ring; as fd */
    uint32_t map_id;  /* default 0: none */
    int32_t loss_fd;  /* fd of the map in which rbcore_bpf.h counts losses; default -1: none */
    const char *path; /* read during the call only; default NULL */
    uint64_t cookie;  /* the caller's own, handed back by rbcore_reader_ring_stats; default 0 */
} rbcore_source;

#define RBCORE_SOURCE_INIT {sizeof(rbcore_source), 0, 0, -1, -1, 0, -1, NULL, 0}

/*
 * Fills the first size bytes of *out as RBCORE_SOURCE_INIT does, for callers without macros. size
 * is the caller's sizeof(rbcore_source). Any thread.
 *   -EINVAL  size is below sizeof(size_t) or above 4096.
 */
RBCORE_API int rbcore_source_init(rbcore_source *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* RBCORE_SOURCES_H */
