/* SPDX-License-Identifier: MIT */
/* Generated from include/rbcore by bindings/amalgamate.py. Do not edit. */
/*
 * rbcore: the user-space side of the BPF ring buffer.
 *
 * A reader (rbcore_reader) maps one or more ring buffers, hands out their records in batches
 * without copying them, and gives the space back when the caller says so. A producer
 * (rbcore_producer) writes records into a ring from user space. Both also work on memory rings: a
 * memory ring is a memfd with the layout of the kernel's ring buffer, for programs without BPF,
 * tests and demos.
 *
 * Results. A function that returns int returns a count or 0 for success and a negative errno value
 * for an error; errno itself is left alone. Each function lists its own errors. Besides those,
 * every function that takes a handle returns
 *   -EINVAL  a handle, or a pointer that is not marked optional, is NULL;
 *   -ECHILD  the handle was opened before fork() and is used in the child. The parent's handle is
 *            not affected. Only the _free functions may be called in the child; they free what the
 *            child holds and change nothing that the parent sees.
 *
 * Threads. A handle is used by one thread at a time, except for the functions whose comment says
 * "any thread". Different handles are independent of each other.
 *
 * Cancellation. Of all functions only the waits of rbcore_reader_next, rbcore_reader_next_spans and
 * rbcore_producer_reserve_wait are cancellation points (pthread_cancel). A thread that is cancelled
 * there leaves its handle to others, and nothing was handed out or reserved. In every other call
 * the cancellation waits until the call has returned. (Asynchronous cancellation is not for threads
 * that call this library.)
 *
 * Structs that begin with a size can grow. Fill them with their _INIT macro, or with their _init
 * function where macros cannot be used. Fields are only ever appended, and their default is zero. A
 * program older than the library passes a smaller struct and gets the defaults for the rest. A
 * newer program gets -E2BIG if it sets a field that this library does not know. In structs that the
 * library fills, such a field becomes RBCORE_UNKNOWN. A size below that of the size field itself,
 * or above 4096, is -EINVAL.
 *
 * Later versions may define more flags in records and statistics, and return more errors. Ignore
 * flags that you do not know, and treat an error that you do not know as a failure of the call.
 *
 * Units. Sizes are bytes, durations nanoseconds, positions bytes since the ring was created, as the
 * kernel counts them. Requires Linux 5.8 or newer. A 32-bit process can use memory rings, and the
 * rings of a 64-bit kernel.
 *
 * Sources: the ring's layout and its wakeups follow the kernel's kernel/bpf/ringbuf.c and
 * Documentation/bpf/ringbuf.rst.
 */
#ifndef RBCORE_RBCORE_H
#define RBCORE_RBCORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rbcore/library.h ---- */

#if defined(__GNUC__)
#define RBCORE_API __attribute__((visibility("default")))
#else
#define RBCORE_API
#endif

/* This is the version of the header: major << 16 | minor << 8 | patch. */
#define RBCORE_VERSION UINT32_C(0x000300)

/* Returns the version of the library at run time, in the form of RBCORE_VERSION. Any thread. */
RBCORE_API uint32_t rbcore_version(void);

/* Features for rbcore_supports. */
#define RBCORE_FEATURE_KERNEL_RING UINT32_C(1) /* BPF_MAP_TYPE_RINGBUF (Linux 5.8) */
#define RBCORE_FEATURE_MEMORY_RING UINT32_C(2) /* rbcore_memory_ring_create */
#define RBCORE_FEATURE_OVERWRITE UINT32_C(4)   /* BPF maps in overwrite mode (Linux 6.19) */
#define RBCORE_FEATURE_USER_RING UINT32_C(8)   /* BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1) */

/*
 * Tells whether this library on this kernel has a feature. Any thread.
 * Returns 1 for yes and 0 for no, also for a feature that this library has never heard of.
 *   -EPERM   the process may not ask the kernel (it needs CAP_BPF);
 *   -EMFILE, -ENFILE, -ENOMEM  no file descriptor or memory for the attempt.
 */
RBCORE_API int rbcore_supports(uint32_t feature);

/*
 * Returns an English sentence that says what an error means here. Takes the negative value that a
 * function returned (or its absolute value). The result is never NULL, and the string is static.
 * Any thread.
 */
RBCORE_API const char *rbcore_strerror(int error);

/* ---- rbcore/sources.h ---- */

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

/* ---- rbcore/readers.h ---- */

/*
 * One reader for a ring. Two consumers that do not know of each other lose records and can wedge
 * the ring for good. So rbcore_reader_add refuses a ring that another reader of this library has,
 * in this process or another. It knows the other reader by a block in the ring's consumer page,
 * which names the reader's process, and by a lock. The other reader counts as living as long as its
 * process lives, unless it had the lock and the lock is free: then that process executed another
 * program. Nothing is known of a process in another pid namespace, unless that namespace lies below
 * the caller's. Such a reader counts as living as long as the lock is taken (by a child that it
 * forked, too), and always if it could not get the lock. Every process that can map the ring can
 * write such a block, and so keep readers out. Readers of other libraries cannot be detected.
 * RBCORE_SOURCE_INSIST opens the ring all the same. Use it only for a reader known to be dead or
 * hung.
 *
 * rbcore_reader_message says what has a ring that was refused. It says "process 812 (agent)", with
 * the pid that the caller's pid namespace has for it; or "in another pid namespace", with pid and
 * name only if the caller's /proc shows the process; or "in this process", and whether only records
 * that were not released keep the ring.
 *
 * Permissions. The library maps a ring for reading and writing, also for a tap: the kernel maps
 * nothing else. So a file descriptor must grant both. A map that is pinned is opened with the
 * rights that its file grants: the process must be allowed to read and write it, and to search its
 * folders. From Linux 5.19 on it needs no capability. Before, a path and a file descriptor take
 * CAP_BPF where kernel.unprivileged_bpf_disabled is not 0. A map_id always takes CAP_SYS_ADMIN.
 * capi/README.md has the recipe for a reader without any.
 *
 * 32-bit processes are refused where the kernel counts positions in 32 bits, too, or may do so.
 * Before Linux 6.3 that is told by uname(2) alone.
 *
 * Overwrite mode and taps. RBCORE_SOURCE_OVERWRITE is for a ring in overwrite mode
 * (BPF_F_RB_OVERWRITE of a map, RBCORE_MEMORY_RING_OVERWRITE), whose producers overwrite the oldest
 * records. RBCORE_SOURCE_TAP looks at a ring beside its reader, which may be of any library. A tap
 * writes nothing into the ring, no position and no owner. Both flags together look at a ring in
 * overwrite mode. In neither case do producers wait for this reader. So the reader has a copy of
 * the ring, as large as the ring, in a memfd: it can fail for what rbcore_memory_ring_create needs,
 * and no SIGXFSZ is delivered. read and next first fill the copy with all records that are
 * complete, and then check it: what was overwritten meanwhile is dropped. Records are handed out of
 * the copy (RBCORE_RECORD_COPIED) and given back like others. Everything that is said of records
 * holds for them, and this besides:
 *   - Records that were overwritten before they could be copied (tap: that the reader freed, and
 *     producers used again) are lost. rbcore_ring_stats.lost_bytes counts them, headers included,
 *     and the next record has RBCORE_RECORD_LOST_BEFORE. That record is the oldest that was left
 *     (tap: the oldest that the ring's reader had not given back). It comes only when all records
 *     before it are given back.
 *   - A record that does not fit into the copy beside those not given back waits for them.
 *   - A tap begins with the oldest record that the ring's reader had not given back when the tap
 *     was added. It is woken together with that reader. But it sleeps on if that reader took the
 *     record of a map before the tap could look. So a tap of a map looks by the timer: after 50
 *     microseconds, with delays that double up to 10 milliseconds while nothing comes. A tap of a
 *     memory ring does so as long as the ring's reader lags behind, or holds back a position to be
 *     woken less. Otherwise it looks every 100 milliseconds, for a record that the ring's reader
 *     took without being woken. RBCORE_SOURCE_INSIST has no meaning for a tap.
 *   - On processors that reorder stores (arm64) the oldest quarter of a full ring cannot be told
 *     from what is being overwritten. It counts as lost, and no record may be larger than a quarter
 *     of the ring. (This does not apply to memory rings in overwrite mode.)
 */

typedef struct rbcore_reader rbcore_reader;

/* The most rings that a reader can have at once: as many as rbcore_record.ring can tell apart. */
#define RBCORE_RINGS_MAX 65536

/* Flags of a reader. */
#define RBCORE_READER_RELEASE UINT32_C(1) /* records are given back one by one, in any order */

/*
 * Looks by a timer alone, every max_latency_ns, also when nothing comes: for BPF programs that
 * never wake (BPF_RB_NO_WAKEUP). It looks more often only while it finds rings more than a quarter
 * full. So max_latency_ns has to suit the ring: what a burst brings within that time must fit.
 */
#define RBCORE_READER_POLL UINT32_C(2)

/*
 * The default of max_latency_ns: one millisecond. It suits a reader that collects. From 10,000
 * records a second on such a reader takes half of the processor time of one that is woken for each
 * record, from 30,000 on a fifth, or less, and its producers pay for next to no wakeups. A reader
 * that has to answer sooner asks for less. 100 microseconds cost it as much time as a wakeup for
 * each record up to 20,000 a second. With 0 every record wakes it at once (bench/results, "The
 * default latency").
 */
#define RBCORE_DEFAULT_MAX_LATENCY INT64_C(1000000)

typedef struct rbcore_reader_options {
    size_t size;    /* of this struct */
    uint32_t flags; /* RBCORE_READER_RELEASE, ...; default 0: given back in order, by commit */
    uint32_t order_clock; /* 0: for reading in the order of time, which this version does not do */
    int64_t max_latency_ns; /* see rbcore_reader_next; 0: every record wakes an idle reader */
} rbcore_reader_options;

#define RBCORE_READER_OPTIONS_INIT {sizeof(rbcore_reader_options), 0, 0, RBCORE_DEFAULT_MAX_LATENCY}

/* Does what RBCORE_READER_OPTIONS_INIT does, as rbcore_source_init. Any thread. */
RBCORE_API int rbcore_reader_options_init(rbcore_reader_options *out, size_t size);

/*
 * Describes a record that was handed out. data points into the ring itself (with
 * RBCORE_RECORD_COPIED into the reader's copy of it), is aligned to 8 bytes and stays valid and
 * unchanged until the record is given back by rbcore_reader_commit or rbcore_reader_release. (In a
 * memory ring a hostile producer can still write there, but not into a copy.)
 */
typedef struct rbcore_record {
    const void *data;
    uint64_t position; /* of its header in the ring: its identity among the ring's records */
    uint32_t size;     /* bytes of data, as the producer reserved them; may be 0 */
    uint16_t ring;     /* the index that rbcore_reader_add returned */
    uint16_t flags;    /* RBCORE_RECORD_COPIED, ... */
} rbcore_record;

/* Flags of a record. */

/* The record's data is in a copy (of a snapshot, overwrite-mode ring or tap). */
#define RBCORE_RECORD_COPIED UINT32_C(1)
/*
 * Records before this one were lost: see rbcore_ring_stats.lost_bytes. The first record after the
 * loss has this flag, whether it is read or is in a snapshot that consumes
 * (RBCORE_SNAPSHOT_CONSUME).
 */
#define RBCORE_RECORD_LOST_BEFORE UINT32_C(2)

/*
 * Opens a reader without rings. options is optional. The caller gives it back by
 * rbcore_reader_free. A reader has 3 file descriptors, and one for each map, two for each memory
 * ring, one for each loss map.
 *   -EINVAL  options->size is absurd, a flag is unknown, order_clock is not 0, max_latency_ns is
 *            negative, or 0 with RBCORE_READER_POLL;
 *   -E2BIG   options are from a newer version and use what this one does not know;
 *   -ENOMEM, -EMFILE, -ENFILE  no memory or file descriptors;
 *   -ENOSPC  the user has the most epoll registrations (a reader has 2, and 1 a ring);
 *   -EPERM, -ENOSYS  a filter (seccomp(2)) refuses a call that a reader needs, perhaps by another
 *            error: of epoll(7), eventfd(2), timerfd_create(2), timerfd_settime(2) or madvise(2).
 */
RBCORE_API int rbcore_reader_open(rbcore_reader **out, const rbcore_reader_options *options);

/*
 * Takes another reference to the reader, to be dropped by rbcore_reader_free. It is for garbage
 * collected languages, whose views of a record can outlive the reader's owner. Any thread. Returns
 * 0.
 */
RBCORE_API int rbcore_reader_ref(rbcore_reader *self);

/*
 * Drops a reference; NULL is allowed. With the last one the reader is closed: records that were
 * handed out and not committed stay in the ring for the next reader, and their data becomes
 * invalid. With RBCORE_READER_RELEASE a ring of which records are held lives on until the last of
 * them is released: the data stays valid, rbcore_reader_release may be called, and the ring stays
 * taken (-EBUSY for others). The reader's other rings are free at once. Any thread, but not while
 * another uses this reference. A signal handler that uses it has to be gone before.
 */
RBCORE_API void rbcore_reader_free(rbcore_reader *self);

/*
 * Adds a ring. Its records are read from where the last reader stopped, or with
 * RBCORE_SOURCE_LATEST from the first record that is not complete at this moment (what was skipped
 * is counted). Returns the ring's index, from 0 to RBCORE_RINGS_MAX - 1, which belongs to the ring
 * until it was removed. Indexes are reused as late as possible. rbcore_reader_fd becomes readable,
 * because a wait that was armed before does not know this ring. (Beside 16 rings or more it becomes
 * readable for a map only when something is in it.)
 *
 * The comment of the type rbcore_reader says when a ring is refused because another reader has it,
 * and what overwrite mode and taps do. To wait until a ring is free, add it again from time to time
 * while that returns -EBUSY (examples/c/tail.c, --wait): nothing tells when it becomes free.
 *
 * A ring takes 4 of the mappings that a process may have, and up to 7 if it is read through a copy.
 * By default there are 65,530 (vm.max_map_count). -ENOMEM tells as well that there are no more.
 *   -EINVAL      source->size is absurd, kind or a flag is unknown, or a field that the kind needs
 *                is missing;
 *   -E2BIG       source is from a newer version and uses what this one does not know;
 *   -EBADF       fd, event_fd or loss_fd is not an open file descriptor;
 *   -ENOENT      path or map_id names nothing;
 *   -EMEDIUMTYPE the map is not of type BPF_MAP_TYPE_RINGBUF, the loss map is not a loss map of
 *                rbcore_bpf.h, or with RBCORE_SOURCE_OVERWRITE the ring is not in overwrite mode;
 *   -EBADFD      fd is no BPF map, or no sealed memfd of a memory ring's size and layout, or
 *                event_fd is no non-blocking eventfd;
 *   -EOPNOTSUPP  the ring is in overwrite mode and RBCORE_SOURCE_OVERWRITE is missing, or this is a
 *                32-bit process and the kernel counts positions in 32 bits, too, or may do so;
 *   -EACCES, -EPERM  no permission: the fd, or what the mode of path grants, is not both reading
 *                and writing, or the process lacks a capability;
 *   -EBUSY       another reader has the ring (rbcore_reader_message says which process);
 *   -EBADMSG     the ring's positions are impossible;
 *   -ENOSPC      the reader has RBCORE_RINGS_MAX rings, or the user the most epoll registrations;
 *   -ESHUTDOWN   after rbcore_reader_shutdown;
 *   -EFBIG       the reader's copy of the ring is larger than RLIMIT_FSIZE allows;
 *   -ENOMEM, -EMFILE, -ENFILE, -ENOSYS  no memory or file descriptors;
 *   other errors as open(2) gives them for path.
 */
RBCORE_API int rbcore_reader_add(rbcore_reader *self, const rbcore_source *source);

/*
 * Removes a ring: no record of it is read any more. What was not read stays in it for the next
 * reader. With RBCORE_READER_RELEASE held records stay valid until they were released. Until then
 * the ring's index and the ring itself stay taken.
 *   -EINVAL  no ring of this index;
 *   -EBUSY   (without RBCORE_READER_RELEASE) records of the ring are handed out and not committed.
 */
RBCORE_API int rbcore_reader_remove(rbcore_reader *self, unsigned int ring);

/*
 * Returns the lowest index above ring that has a ring, so that all can be visited: ring is -1 for
 * the first, and then the last answer. Removed rings are passed over. Any thread.
 *   -ENOENT  there is none;
 *   -EINVAL  ring is below -1.
 */
RBCORE_API int rbcore_reader_ring_after(rbcore_reader *self, int ring);

/*
 * Reads up to max records without waiting, and returns how many. Records of one ring come in its
 * order. Rings are served in turn: in one call each ring has at most one turn, of at most as many
 * records as are still free in the array. The next call goes on with the ring after the one served
 * last. So no ring has a second turn before every other ring with data had one. Discarded records
 * are skipped; a call passes at most 65536 of them.
 *
 * One call takes at most a quarter of a ring's size from it, headers included, but always one
 * record, so that large records can be committed while others are written. Call again until it
 * returns 0: fewer records than max do not mean that there are no more.
 *
 * The array should fit the processor's first-level cache: 128 to 512 records are fastest to fill.
 *
 * A read that finds records makes no system call. (If there are several rings, and the head of a
 * memory ring stays unfinished, one read in 1024 asks whether its producer died.) A read that finds
 * none makes 1 or 2 system calls: it empties rbcore_reader_fd, arms the next wakeup and looks
 * again. It makes one more for each ring that became busy or idle, and a few more if the head of a
 * memory ring is unfinished: they ask whether its producer lives.
 *
 * With more than 16 rings the kernel tells which of those that were idle have records. To ask it, a
 * read that finds records makes a system call, too: one each 50 microseconds, or each 64 reads if
 * that is sooner. A ring that has some takes the last place then: from now on no other has a second
 * turn before it had one. A record of an idle ring for which nobody wakes (BPF_RB_NO_WAKEUP) is
 * found by the second read in a row that finds nothing else, not even discarded records, or by one
 * that comes 100 milliseconds later.
 *   0           all rings are empty, or the record at the head is still being written; the next
 *               wakeup is armed;
 *   -EAGAIN     no record found yet, but the bound on discarded records was reached, or records
 *               that dead producers left unfinished were skipped: call again;
 *   -ENODATA    once, when all that was there at rbcore_reader_flush has been delivered;
 *   -ECANCELED  once, after rbcore_reader_interrupt;
 *   -ESHUTDOWN  after rbcore_reader_shutdown;
 *   -EBADMSG    a ring's content is impossible, and no other ring has records. It stays so until
 *               the ring is removed; rbcore_reader_message tells which;
 *   -ENOBUFS    with several rings and without RBCORE_READER_RELEASE: the records not committed
 *               come from more than 1024 turns a ring (16 for each ring beyond 64): commit first;
 *   -EINVAL     records is NULL or max is 0.
 */
RBCORE_API int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max);

/*
 * Reads like rbcore_reader_read, but arms nothing. A look that finds no record makes no system call
 * (except the one of memory rings) and leaves rbcore_reader_fd as it is. With more than 16 rings it
 * looks at those that were idle when it finds nothing else, and otherwise so often that this takes
 * a twentieth of the time at most. It is for loops that do not wait, or that wait by
 * rbcore_reader_next, and want what has come meanwhile. Returns and errors are those of
 * rbcore_reader_read; after 0 no wakeup is promised.
 */
RBCORE_API int rbcore_reader_look(rbcore_reader *self, rbcore_record *records, size_t max);

/* As timeout_ns it means: wait without end. */
#define RBCORE_FOREVER (-1)

/*
 * Waits until records are due, at most timeout_ns nanoseconds (0: not at all; RBCORE_FOREVER), then
 * reads like rbcore_reader_read.
 *
 * While the rings are idle or slow a record is due at once: it wakes the reader. They are busy if
 * all of them together had 4 records or more within max_latency_ns. Then the records of those that
 * had some are due together: when the oldest has waited for max_latency_ns at most, or earlier if
 * max records or a quarter of one of the rings are there when the reader looks. Meanwhile none of
 * their producers pays for a wakeup. A ring that is slow beside them still wakes the reader at
 * once, unless such rings together bring 2 records or more within that time. (That time is the
 * shortest that suits one of the busy rings, before it would fill up. A max_latency_ns below 50
 * microseconds is as 0.) A look by the timer costs as much processor time as 2 or 3 wakeups: bench/
 * has the measurements. The rings are slow again after such a time with less than 2 records. If
 * more than two were busy, it takes several such times in a row, at most two for every five rings:
 * each ring would pay for a wakeup first.
 *
 * A ring that would fill up within 50 microseconds (below 64 KiB, or larger ones with large
 * records) is looked at without sleeping, once it was found half full, until nothing came for that
 * long. This is not done if its records are larger than 1/64 of it.
 *
 * Both hold while all records that were handed out have been given back. As long as some have not,
 * the kernel wakes nobody. Then the reader looks by the timer, first after 50 microseconds, with
 * delays that double up to 10 milliseconds. A reader of memory rings also looks every 100
 * milliseconds, for records that a killed producer left unfinished, and so does a reader of taps.
 * The wait is a cancellation point (pthread_cancel).
 *   0           the time is up and nothing is due; the next wakeup is armed;
 *   -EINTR      a signal was caught, or the process was stopped and continued; nothing was lost,
 *               call again;
 *   -EAGAIN     the time is up, and the bound on discarded records was reached or records that dead
 *               producers left unfinished were skipped: call again;
 *   -EINVAL     max is 0, or timeout_ns is negative and not RBCORE_FOREVER;
 *   -ENODATA, -ECANCELED, -ESHUTDOWN, -EBADMSG, -ENOBUFS  as rbcore_reader_read, at once.
 */
RBCORE_API int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
                                  int64_t timeout_ns);

/*
 * Describes a run of records of one ring that have the same size and follow each other without a
 * gap. The data of record i begins at data + i * stride, and its position is position + i * stride.
 * So the bytes of the run are (count - 1) * stride + size; those between two records are no data.
 */
typedef struct rbcore_span {
    const void *data;  /* of the first record; otherwise as in rbcore_record */
    uint64_t position; /* of its header */
    uint32_t stride;   /* bytes from one record to the next: a multiple of 8, more than size */
    uint32_t size;     /* bytes of data in each record */
    uint32_t count;    /* of records; at least 1 */
    uint16_t ring;     /* as in rbcore_record */
    uint16_t flags;    /* as in rbcore_record */
} rbcore_span;

/*
 * Reads like rbcore_reader_next, but returns runs of records: up to max_spans of them, with up to
 * max_records records. Returns the number of spans. For records of one size it is the cheapest way
 * to read, because nothing is written for the single record. For records of many sizes it is not.
 *
 * Spans are given back like records. To commit up to and with record i of a span, pass to
 * rbcore_reader_commit a record made of its data and position (both as above), size and ring.
 *   -EINVAL  also if max_records is 0, or the reader was opened with RBCORE_READER_RELEASE;
 *   otherwise the results of rbcore_reader_next.
 */
RBCORE_API int rbcore_reader_next_spans(rbcore_reader *self, rbcore_span *spans, size_t max_spans,
                                        size_t max_records, int64_t timeout_ns);

/* Flags of rbcore_reader_commit: tell the kernel at once. */
#define RBCORE_COMMIT_NOW UINT32_C(1)

/*
 * Gives back records in the order in which they were handed out: all up to and including *last,
 * also those of other rings, or with last == NULL all. Their data becomes invalid, and their space
 * is free for producers. Only this call and rbcore_reader_release give records back. (Discarded
 * records that follow one that was given back go with it.) Works after rbcore_reader_shutdown.
 * Returns 0, also if there was nothing to commit.
 *   -EINVAL  the reader was opened with RBCORE_READER_RELEASE; *last is not a record that is handed
 *            out and not committed (then nothing was committed); a flag is unknown. A *last that
 *            was made up, not handed out, may pass for one; and one of a memory ring whose header a
 *            hostile producer changed meanwhile does not (last == NULL always works).
 *
 * While a ring is paced (see rbcore_reader_next) the space of the last small record becomes free
 * later: with the next call that finds another record, or finds that the ring is no longer paced.
 * It becomes free at once with RBCORE_COMMIT_NOW. The record is committed in either case.
 */
RBCORE_API int rbcore_reader_commit(rbcore_reader *self, const rbcore_record *last, uint32_t flags);

/*
 * Gives back count single records, in any order. A ring's space becomes free up to the first record
 * that is not given back. Any thread, several at once. Returns 0. (Do not release a record twice at
 * the same time, nor while the last records of a removed ring or freed reader are released: that
 * may go unnoticed, or touch what is freed.)
 *   -EINVAL  the reader was not opened with RBCORE_READER_RELEASE; or some of the records are not
 *            held: released before, or not from this reader. The others were released.
 */
RBCORE_API int rbcore_reader_release(rbcore_reader *self, const rbcore_record *records,
                                     size_t count);

/*
 * Returns a file descriptor for poll(2), epoll(7) and event loops. When it is readable, call
 * rbcore_reader_next with timeout_ns 0 (or rbcore_reader_read) until it returns 0; only then wait
 * for it again. The first wait needs no call before it. (An error arms nothing: -ECANCELED,
 * -ENODATA and -EAGAIN are answered once; go on calling.) It belongs to the reader: never read from
 * it or close it. Any thread.
 */
RBCORE_API int rbcore_reader_fd(const rbcore_reader *self);

/*
 * Makes the read or next that is running return -ECANCELED, or else the next one. That happens
 * once, however often this was called. Any thread, and async-signal-safe. Returns 0.
 */
RBCORE_API int rbcore_reader_interrupt(rbcore_reader *self);

/*
 * Delivers what is there even if no wakeup came for it (BPF_RB_NO_WAKEUP). It makes read and next
 * look at all rings. They return -ENODATA, once, when everything was delivered that had been
 * produced when they noticed the flush and that can be read. Records behind one that is still being
 * written cannot, nor can records for which a copy has no room while others are held. What dead
 * producers left unfinished is skipped; as in a read that finds nothing, the reader asks whether
 * they live. Any thread, and async-signal-safe. Returns 0.
 */
RBCORE_API int rbcore_reader_flush(rbcore_reader *self);

/*
 * Ends reading: from now on read, next and add return -ESHUTDOWN, a wait that is running included.
 * Records can still be given back. Any thread, and async-signal-safe. Returns 0.
 */
RBCORE_API int rbcore_reader_shutdown(rbcore_reader *self);

/*
 * Returns the cause of the last error of rbcore_reader_add, _remove, _read, _look, _next,
 * _next_spans, _commit, _snapshot or _snapshot_header, in more words than rbcore_strerror has: "map
 * 12 is of type 1, not BPF_MAP_TYPE_RINGBUF". The result is never NULL; it is empty if there was no
 * error. It is valid until the next call on this handle.
 */
RBCORE_API const char *rbcore_reader_message(const rbcore_reader *self);

/* ---- rbcore/statistics.h ---- */

/* A statistic has this value if it is not known, also if the library is too old to know it. */
#define RBCORE_UNKNOWN UINT64_MAX

/* Counts what a reader did since it was opened, over all its rings, removed ones included. */
typedef struct rbcore_reader_stats {
    size_t size;       /* of this struct */
    uint64_t records;  /* records handed out */
    uint64_t bytes;    /* bytes of their data */
    uint64_t discards; /* records skipped because their producer discarded them */
    uint64_t batches;  /* calls of read and next that returned records */
    uint64_t commits;  /* advances of a ring's consumer position */
    uint64_t wakeups;  /* waits of next that an event ended, and events emptied by read */
    uint64_t rings;    /* rings that it has now */
} rbcore_reader_stats;

#define RBCORE_READER_STATS_INIT {sizeof(rbcore_reader_stats), 0, 0, 0, 0, 0, 0, 0}

/* Does what RBCORE_READER_STATS_INIT does, as rbcore_source_init. Any thread. */
RBCORE_API int rbcore_reader_stats_init(rbcore_reader_stats *out, size_t size);

/*
 * Fills *out, as far as out->size goes. Any thread; each figure is exact as of some moment during
 * the call. Returns 0.
 *   -EINVAL  out->size is absurd.
 */
RBCORE_API int rbcore_reader_stats_get(rbcore_reader *self, rbcore_reader_stats *out);

/* Flags of rbcore_ring_stats. */

/* The ring's content is impossible (-EBADMSG). */
#define RBCORE_RING_BROKEN UINT64_C(1)
/*
 * The ring was opened although another reader has it (RBCORE_SOURCE_INSIST), or without its lock,
 * because something that is no living reader has the lock. Later readers may not notice this one.
 */
#define RBCORE_RING_UNGUARDED UINT64_C(2)
/* The ring is paced: a timer reads it, and its records wake nobody (see rbcore_reader_next). */
#define RBCORE_RING_PACED UINT64_C(4)

/* Describes one ring. Counts begin when the ring was added, unless a field says otherwise. */
typedef struct rbcore_ring_stats {
    size_t size;            /* of this struct */
    uint64_t cookie;        /* the cookie of its source */
    uint64_t flags;         /* RBCORE_RING_BROKEN, ... */
    uint64_t map_id;        /* BPF map id; RBCORE_UNKNOWN for a memory ring */
    uint64_t ring_size;     /* bytes of its data area */
    uint64_t bytes_waiting; /* bytes not handed out, with headers and unfinished records */
    uint64_t high_water;    /* the most bytes not given back that a read ever found */
    uint64_t records;       /* records handed out */
    uint64_t bytes;         /* bytes of their data */
    uint64_t discards;      /* records skipped because their producer discarded them */
    uint64_t abandoned;     /* records skipped because their producer died before it submitted them;
                               only in a memory ring */
    uint64_t skipped;       /* records skipped by RBCORE_SOURCE_LATEST */
    uint64_t lost;          /* records refused because the ring was full, since it was created: from
                               the loss map, or counted by a memory ring's producers;
                               RBCORE_UNKNOWN without a loss map */
    uint64_t producer_pos;  /* end of the last record reserved */
    uint64_t read_pos;      /* up to here records were handed out or skipped */
    uint64_t user_pos;      /* up to here they were given back */
    uint64_t consumer_pos;  /* up to here the kernel knows that they were; with a tap the ring's */
    uint64_t start_pos;     /* where reading began */
    uint64_t passed_bytes;  /* bytes, with headers, of records that were not handed out: discarded,
                               abandoned, skipped, or consumed by a snapshot */
    uint64_t lost_bytes;    /* bytes, with headers, that were overwritten before they were read
                               (overwrite mode), or freed by the consumer and reused (tap);
                               start_pos, the records handed out with their headers, passed_bytes
                               and lost_bytes add up to read_pos */
    uint64_t first_ring;    /* the index that rbcore_reader_add returned for its source */
    uint64_t reader_pid;    /* the process that has the ring by this library: of a tap, the ring's
                               reader; 0: none that lives; RBCORE_UNKNOWN: one of another pid
                               namespace */
} rbcore_ring_stats;

#define RBCORE_RING_STATS_INIT                                                                     \
    {sizeof(rbcore_ring_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Does what RBCORE_RING_STATS_INIT does, as rbcore_source_init. Any thread. */
RBCORE_API int rbcore_ring_stats_init(rbcore_ring_stats *out, size_t size);

/*
 * Fills *out for one ring, as far as out->size goes. Any thread; each figure is exact as of some
 * moment during the call. Returns 0.
 *   -EINVAL  no ring of this index (one that was removed is there until the records held of it were
 *            released), or out->size is absurd.
 */
RBCORE_API int rbcore_reader_ring_stats(rbcore_reader *self, unsigned int ring,
                                        rbcore_ring_stats *out);

/*
 * Looks at the ring that a source names, without a reader: nothing is claimed, changed or copied,
 * and the ring's reader is not disturbed. Fills *out, as far as out->size goes: map_id, cookie,
 * ring_size, producer_pos, consumer_pos, bytes_waiting (here: bytes not given back), lost and
 * reader_pid. flags is 0, all else RBCORE_UNKNOWN. The source's flags are not looked at, nor is a
 * memory ring's event_fd, which must be given. Any thread. Returns 0.
 *   -EINVAL  source->size or out->size is absurd, kind is unknown, or a field that the kind needs
 *            is missing;
 *   -E2BIG   source is from a newer version and uses what this one does not know;
 *   -EBADF   fd or loss_fd is not an open file descriptor;
 *   -EBADFD  fd or loss_fd is no BPF map, or fd no sealed memfd of a memory ring's size and layout;
 *   -ENOENT  path or map_id names nothing;
 *   -EMEDIUMTYPE  the map is not of type BPF_MAP_TYPE_RINGBUF, or the loss map is not a loss map of
 *            rbcore_bpf.h;
 *   -EOPNOTSUPP  this is a 32-bit process and the kernel counts positions in 32 bits, too, or may
 *            do so;
 *   -EACCES, -EPERM  no permission: the fd, or what the mode of path grants, is not both reading
 *            and writing, or the process lacks a capability;
 *   -ENOMEM, -EMFILE, -ENFILE, -ENOSYS  no memory or file descriptors;
 *   other errors as open(2) gives them for path.
 */
RBCORE_API int rbcore_source_ring_stats(const rbcore_source *source, rbcore_ring_stats *out);

/*
 * Names a record among all records of all machines: by the boot during which it was produced, the
 * ring, and its position in the ring. It is the same whichever process reads the record.
 */
typedef struct rbcore_identity {
    size_t size;         /* of this struct */
    uint8_t boot_id[16]; /* /proc/sys/kernel/random/boot_id; all zero where that cannot be read */
    uint64_t kind;       /* RBCORE_SOURCE_MAP_ID or RBCORE_SOURCE_MEMORY_RING: what ring_id is of */
    uint64_t ring_id;    /* the BPF map's id, or the memory ring's inode number */
    uint64_t position;   /* of the record's header */
} rbcore_identity;

#define RBCORE_IDENTITY_INIT {sizeof(rbcore_identity), {0}, 0, 0, 0}

/* Does what RBCORE_IDENTITY_INIT does, as rbcore_source_init. Any thread. */
RBCORE_API int rbcore_identity_init(rbcore_identity *out, size_t size);

/*
 * Fills *out with the identity of a record that this reader handed out. Any thread. Returns 0.
 *   -EINVAL  no ring of the record's index, or out->size is absurd.
 */
RBCORE_API int rbcore_reader_identity(rbcore_reader *self, const rbcore_record *record,
                                      rbcore_identity *out);

/* ---- rbcore/snapshots.h ---- */

/* A snapshot is a copy of what a ring held at one moment. */
typedef struct rbcore_snapshot rbcore_snapshot;

/* Flags of rbcore_reader_snapshot: the reader goes on behind it, as if all was committed. */
#define RBCORE_SNAPSHOT_CONSUME UINT32_C(1)

/*
 * Copies all complete records that a ring holds, as of one moment, while producers go on. In
 * overwrite mode these are all that are not overwritten, otherwise all that are not given back
 * (those handed out included; with a tap: not given back by the ring's reader). Neither the ring
 * nor the reader's position changes, unless flags say RBCORE_SNAPSHOT_CONSUME: a later read still
 * returns the same records. A record that is being written is not in it, nor are the records behind
 * it. Only the thread that reads may call this.
 *
 * If *snapshot is NULL it becomes a new one, which the caller gives back by rbcore_snapshot_free.
 * Otherwise that snapshot is taken again, into the same memory if that suffices, and records read
 * from it before become invalid. A snapshot needs as much memory as the ring has. It lives on
 * without the ring and the reader. Returns 0.
 *   -EINVAL  no ring of this index (one that was removed is none, though records of it are held),
 *            or a flag is unknown;
 *   -EBUSY   RBCORE_SNAPSHOT_CONSUME, and records of the ring are handed out and not given back, or
 *            the release of one has not returned yet;
 *   -EAGAIN  producers overwrote the ring faster than it was copied, in 16 attempts;
 *   -EBADMSG the ring's content is impossible;
 *   -ENOMEM  no memory.
 * After an error a snapshot that was given is empty or as it was, and one that was not is not made.
 */
RBCORE_API int rbcore_reader_snapshot(rbcore_reader *self, unsigned int ring,
                                      rbcore_snapshot **snapshot, uint32_t flags);

/*
 * Reads the next records of a snapshot, at most max, oldest first, and returns how many. Their data
 * stays valid until the snapshot is taken anew or freed; nothing is to be given back.
 *   0        all were read;
 *   -EBADMSG what follows is impossible: a hostile producer wrote it;
 *   -EINVAL  records is NULL or max is 0.
 */
RBCORE_API int rbcore_snapshot_read(rbcore_snapshot *self, rbcore_record *records, size_t max);

/* Makes rbcore_snapshot_read begin with the oldest record again. Returns 0. */
RBCORE_API int rbcore_snapshot_rewind(rbcore_snapshot *self);

/* Says which ring a snapshot was taken of, what it holds, and when it was taken. */
typedef struct rbcore_snapshot_info {
    size_t size;           /* of this struct */
    uint8_t boot_id[16];   /* boot_id, kind and ring_id are as in rbcore_identity */
    uint64_t kind;         /* RBCORE_SOURCE_MAP_ID or RBCORE_SOURCE_MEMORY_RING */
    uint64_t ring_id;      /* the BPF map's id, or the memory ring's inode number */
    uint64_t ring_size;    /* bytes of the ring's data area */
    uint64_t first_pos;    /* position of the oldest record in it */
    uint64_t end_pos;      /* end of the newest; with headers, it has end_pos - first_pos bytes */
    uint64_t producer_pos; /* end of the last record reserved, complete or not */
    uint64_t missed;       /* bytes overwritten during the call, before they were copied */
    uint64_t realtime_ns;  /* when it was taken, by CLOCK_REALTIME */
    uint64_t boottime_ns;  /* when it was taken, by CLOCK_BOOTTIME */
} rbcore_snapshot_info;

#define RBCORE_SNAPSHOT_INFO_INIT {sizeof(rbcore_snapshot_info), {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Does what RBCORE_SNAPSHOT_INFO_INIT does, as rbcore_source_init. Any thread. */
RBCORE_API int rbcore_snapshot_info_init(rbcore_snapshot_info *out, size_t size);

/*
 * Fills *out, as far as out->size goes. Returns 0.
 *   -EINVAL  out->size is absurd.
 */
RBCORE_API int rbcore_snapshot_info_get(const rbcore_snapshot *self, rbcore_snapshot_info *out);

/*
 * Writes a snapshot to a file, pipe or socket, at its current position, in the format of rbcore's
 * snapshot-format.md (installed as documentation). It writes all of it, however little one write(2)
 * takes, and waits if fd is non-blocking and full. Neither signals nor a cancellation end it. It
 * does not sync the file. Returns 0.
 *   -ENODATA the snapshot is empty, because taking it failed for want of memory;
 *   -ENOMEM  no memory for a wait;
 *   -EBADF, -ENOSPC, -EDQUOT, -EFBIG, -EIO, -EPIPE (after a SIGPIPE) and others as write(2) gives
 *            them: what was written so far is no snapshot.
 */
RBCORE_API int rbcore_snapshot_save(const rbcore_snapshot *self, int fd);

/*
 * Reads a snapshot that rbcore_snapshot_save wrote, from any machine, and sets *out, which the
 * caller gives back by rbcore_snapshot_free. It reads not a byte more, so several snapshots may
 * follow each other in a file. Other blocks before it, as snapshot-format.md describes them, are
 * passed over. It waits if fd is non-blocking and empty. Neither signals nor a cancellation end it.
 * It takes no more memory than twice what it has read, whatever the file says of its size. The ring
 * of its records is 0. Returns 0.
 *   -ENODATA the file is at its end, and has no more snapshots;
 *   -EBADMSG it is no snapshot, is cut off, or damaged: a checksum is wrong, or a size impossible;
 *   -E2BIG   it was written by a later version, in a form that this one does not know;
 *   -EOPNOTSUPP it was written on a machine of the other byte order;
 *   -ENOMEM  no memory;
 *   -EBADF, -EISDIR, -EIO and others as read(2) gives them.
 * After an error *out is as before, and the position of fd is not known.
 */
RBCORE_API int rbcore_snapshot_load(rbcore_snapshot **out, int fd);

/* The size of the header that rbcore_reader_snapshot_header writes. */
#define RBCORE_SNAPSHOT_HEADER_SIZE 128

/*
 * Describes the records from *first to *last as a snapshot, without copying them: fills header
 * (RBCORE_SNAPSHOT_HEADER_SIZE bytes) and sets *content to their memory. Header and content,
 * written one after the other, are a file as rbcore_snapshot_save writes it, and
 * rbcore_snapshot_load reads them. Both records are of one ring, were handed out, and are not given
 * back; they may be the same. A record of a span is made as for rbcore_reader_commit. What lies
 * between them belongs to the content: all other records (also those that were released), and
 * discarded ones, which rbcore_snapshot_read skips.
 *
 * The content is one piece, also where it crosses the ring's end. It stays valid until *first is
 * given back, so the ring may have been removed. All of it is read once, for the checksum. The
 * header tells the time of this call and what had been produced by then. It does not tell that
 * records before *first were lost (RBCORE_RECORD_LOST_BEFORE). Only the thread that reads may call
 * this. No system call is made but by the first call, which reads the boot's id. Returns 0.
 *   -EINVAL  *first or *last is not such a record, as far as rbcore_reader_commit and
 *            rbcore_reader_release can tell; they are of two rings; or *last comes before *first;
 *   -EBADMSG between them is a record that a dead producer left unfinished (a copy of the ring may
 *            have it as a discarded one), or one that no producer writes. Both can still be
 *            described one by one.
 * After an error header and *content are as before.
 */
RBCORE_API int rbcore_reader_snapshot_header(rbcore_reader *self, const rbcore_record *first,
                                             const rbcore_record *last, void *header,
                                             rbcore_slice *content);

/* Frees a snapshot; NULL is allowed. Its records become invalid. */
RBCORE_API void rbcore_snapshot_free(rbcore_snapshot *self);

/* ---- rbcore/producers.h ---- */

typedef struct rbcore_producer rbcore_producer;

/* A memory ring can have at most this many producer handles at once, over all processes. */
#define RBCORE_PRODUCERS_MAX 64

/*
 * Flags of submit, discard and output, with the values of BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP.
 * In a user ring they change nothing: a BPF program drains it when it runs, and nothing is woken.
 */
#define RBCORE_NO_WAKEUP UINT32_C(1)    /* never wake the reader for this record */
#define RBCORE_FORCE_WAKEUP UINT32_C(2) /* always wake it, even if it still has records */

/*
 * Opens a producer for a memory ring (RBCORE_SOURCE_MEMORY_RING; no flags), or for a user ring: a
 * map of type BPF_MAP_TYPE_USER_RINGBUF, which BPF programs drain with bpf_user_ringbuf_drain().
 * cookie and loss_fd are not looked at. The caller gives it back by rbcore_producer_free. All
 * functions of a producer but rbcore_producer_free may be called by any thread, several at once.
 *
 * A user ring has one producer at a time, which several threads may share. A second one of this
 * library, in this process or another, is refused, as a second reader of a ring is. (Producers of
 * other libraries cannot be detected. Two producers write over each other's records.)
 * RBCORE_SOURCE_INSIST opens the ring all the same. Use it only if the other producer is known to
 * be dead or hung. What that producer, or one that died, left unfinished is discarded: the kernel
 * would wait for it for ever.
 *   -EINVAL, -E2BIG, -EBADF, -EBADFD, -ENOMEM, -EMFILE, -ENFILE  as rbcore_reader_add;
 *   -ENOENT      path or map_id names nothing; memory ring: /proc is not mounted;
 *   -EMEDIUMTYPE the map is not of type BPF_MAP_TYPE_USER_RINGBUF;
 *   -EOPNOTSUPP  user ring: this is a 32-bit process, as rbcore_reader_add;
 *   -EBUSY       another producer has the user ring;
 *   -EBADMSG     the ring's positions are impossible;
 *   -EACCES, -EPERM  no permission: the fd, or what the mode of path grants, is not both reading
 *                and writing, or the process lacks a capability (as rbcore_reader_add);
 *   -EUSERS      the memory ring has RBCORE_PRODUCERS_MAX producers;
 *   other errors as open(2) gives them for path.
 */
RBCORE_API int rbcore_producer_open(rbcore_producer **out, const rbcore_source *source);

/*
 * Closes the producer; NULL is allowed. Records that are reserved and neither submitted nor
 * discarded are abandoned: the reader skips and counts them, in a user ring they are discarded.
 */
RBCORE_API void rbcore_producer_free(rbcore_producer *self);

/*
 * Reserves a record of size bytes and sets *data to where its content goes (aligned to 8 bytes, in
 * the ring itself, not cleared). Until it is submitted or discarded, the reader stops before it.
 * This call never waits for the reader, nor do submit, discard and output.
 * (rbcore_memory_ring_create says what a hostile peer can do about that.) Producers wait for each
 * other for the length of a reserve. If a producer died in the middle of its own reserve, that wait
 * takes a millisecond. (It has no end if the producer died in another pid namespace while a child
 * that it forked lives.) Returns 0.
 *   -EAGAIN   the ring is full: the record is lost, and counted as such in a memory ring. (In
 *             overwrite mode: the record whose turn it is to be overwritten is still being written,
 *             as in the kernel. One that a dead producer left so is discarded.)
 *   -EMSGSIZE the record can never fit: size is more than the ring's size - 16 (the kernel never
 *             fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring:
 *             more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program
 *             can be given (a larger one would stop the ring for good);
 *   -EBADMSG  the ring's positions are impossible, or in overwrite mode its oldest records.
 */
RBCORE_API int rbcore_producer_reserve(rbcore_producer *self, void **data, size_t size);

/*
 * Reserves like rbcore_producer_reserve, but waits for room if the ring is full, at most timeout_ns
 * nanoseconds (0: not at all; RBCORE_FOREVER). Several threads may wait at once. Which of them gets
 * the room is not defined, so a large record may wait long while others reserve small ones.
 *
 * In a user ring each drain wakes the waiting thread. If it freed less than is needed, the wait
 * goes on. If the BPF program drains with BPF_RB_NO_WAKEUP, nothing tells the thread, and it looks
 * at the ring every 10 milliseconds. Readers of a memory ring wake no producer: the thread looks
 * after 50 microseconds, with delays that double up to a millisecond. The wait is a cancellation
 * point (pthread_cancel). Returns 0.
 *   -EAGAIN   the time is up and the ring still full. The record is still the caller's, and not
 *             counted as lost. (With timeout_ns 0 as rbcore_producer_reserve.)
 *   -EINTR    a signal was caught while it slept; nothing was reserved, call again. (A signal that
 *             comes between two looks at the ring is not noticed: if you need that, wait in parts);
 *   -EINVAL   timeout_ns is negative and not RBCORE_FOREVER;
 *   -ENOMEM, -EMFILE, -ENFILE, -ENOSPC  user ring: it is full, and no memory or file descriptor for
 *             the wait (one for each thread that waits), or the user has the most epoll
 *             registrations;
 *   -EMSGSIZE, -EBADMSG  as rbcore_producer_reserve.
 */
RBCORE_API int rbcore_producer_reserve_wait(rbcore_producer *self, void **data, size_t size,
                                            int64_t timeout_ns);

/*
 * Hands a reserved record to the reader. As in the kernel, the reader is woken if it had given back
 * all records before this one; flags change that. data is what reserve set. Returns 0.
 *   -EINVAL  data is not a record that this producer has reserved, or a flag is unknown.
 */
RBCORE_API int rbcore_producer_submit(rbcore_producer *self, void *data, uint32_t flags);

/* Gives up a reserved record: the reader skips it. Otherwise it is like rbcore_producer_submit. */
RBCORE_API int rbcore_producer_discard(rbcore_producer *self, void *data, uint32_t flags);

/*
 * Reserves, copies size bytes from data (optional if size is 0) and submits. Returns 0.
 *   -EAGAIN, -EMSGSIZE, -EBADMSG  as rbcore_producer_reserve (-EBADMSG: or a hostile peer wrote
 *            over the record's header meanwhile);
 *   -EINVAL  a flag is unknown, or data is NULL and size is not 0.
 */
RBCORE_API int rbcore_producer_output(rbcore_producer *self, const void *data, size_t size,
                                      uint32_t flags);

/*
 * Writes count records in a row, slices[0] first. No record of another thread comes between them,
 * and the reader gets all at once and is woken at most once. That costs less than as many outputs.
 * While the records are copied the reader stops before the first, and other producers go on behind
 * the last. If the producer dies meanwhile all are abandoned, as one. Returns how many were
 * written, from the first on. That is fewer than count (at most INT_MAX) if the next one did not
 * fit or is at fault; writing the rest tells which. None of the others is lost or counted as lost:
 * they are still the caller's.
 *   -EAGAIN   none was written: the ring is full;
 *   -EMSGSIZE, -EBADMSG  none was written: as rbcore_producer_reserve, for the first;
 *   -EINVAL   a flag is unknown; or none was written: slices[0].data is NULL and its size is not 0.
 */
RBCORE_API int rbcore_producer_output_batch(rbcore_producer *self, const rbcore_slice *slices,
                                            size_t count, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif /* RBCORE_RBCORE_H */
