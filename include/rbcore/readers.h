/* SPDX-License-Identifier: MIT */
/*
 * Readers: opening, reading, waiting and giving back.
 * A part of rbcore.h, which says what holds for all parts.
 */
#ifndef RBCORE_READERS_H
#define RBCORE_READERS_H

#include <rbcore/sources.h>

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif /* RBCORE_READERS_H */
