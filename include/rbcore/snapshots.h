/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: copies of what a ring held at one moment.
 * A part of rbcore.h, which says what holds for all parts.
 */
#ifndef RBCORE_SNAPSHOTS_H
#define RBCORE_SNAPSHOTS_H

#include <rbcore/readers.h>

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif /* RBCORE_SNAPSHOTS_H */
