/* SPDX-License-Identifier: MIT */
/*
 * Producers: they write into memory rings and user rings.
 * A part of rbcore.h, which says what holds for all parts.
 */
#ifndef RBCORE_PRODUCERS_H
#define RBCORE_PRODUCERS_H

#include <rbcore/sources.h>

#ifdef __cplusplus
extern "C" {
#endif

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

#endif /* RBCORE_PRODUCERS_H */
