/* SPDX-License-Identifier: MIT */
/*
 * Statistics of a reader and of its rings, and the identity of a record.
 * A part of rbcore.h, which says what holds for all parts.
 */
#ifndef RBCORE_STATISTICS_H
#define RBCORE_STATISTICS_H

#include <rbcore/readers.h>

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif /* RBCORE_STATISTICS_H */
