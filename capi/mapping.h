/* SPDX-License-Identifier: MIT */
/*
 * A ring's memory: one page that the consumer writes, one that the producer writes, and the data,
 * mapped twice in a row so that a record that wraps is contiguous. Pages of PROT_NONE on both sides
 * turn whatever would run over into a fault instead of a silent read of a neighbour.
 */
#ifndef RBC_MAPPING_H
#define RBC_MAPPING_H

#include <stddef.h>
#include <stdint.h>

typedef struct rbc_mapping {
    unsigned char *consumer_page;
    unsigned char *producer_page;
    unsigned char *data;
    size_t data_size; /* of one of the two copies */
    size_t page_size;
} rbc_mapping;

/* The side from which a ring is mapped. A tap only looks. */
typedef enum rbc_mapping_side {
    RBC_CONSUMER_SIDE,
    RBC_PRODUCER_SIDE,
    RBC_TAP_SIDE
} rbc_mapping_side;

/* The page size of this system. */
size_t rbc_page_size(void);

/* Whether a ring can have this size: a power of two of at least a page. */
int rbc_ring_size_is_valid(size_t size, size_t page_size);

/*
 * Maps a BPF_MAP_TYPE_RINGBUF for its consumer or a tap. Returns 0 or a negative errno of mmap(2).
 */
int rbc_mapping_open_map(rbc_mapping *out, int fd, size_t data_size, rbc_mapping_side side);

/* The same of a BPF_MAP_TYPE_USER_RINGBUF for its producer. */
int rbc_mapping_open_user_map(rbc_mapping *out, int fd, size_t data_size);

/*
 * Maps a memory ring. The consumer may write its own page only, the producer everything. page_size
 * is a multiple of the system's, so that the layouts of others can be tested.
 */
int rbc_mapping_open_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
                            rbc_mapping_side side);

/*
 * Maps the two pages of a ring alone, both to be read only. `data` stays NULL. Returns 0 or a
 * negative errno of mmap(2).
 */
int rbc_mapping_open_pages(rbc_mapping *out, int fd, size_t data_size);

/* Unmaps them; nothing happens if they were not mapped (all zero). */
void rbc_mapping_close_pages(rbc_mapping *self);

/*
 * Makes a memfd, close-on-exec, that can never be executed. Where vm.memfd_noexec is 2, Linux 6.3
 * to 6.5 make no others, and later kernels none that may be executed. flags as for memfd_create(2).
 * Returns the descriptor or a negative errno.
 */
int rbc_memfd(const char *name, unsigned flags);

/* Memory of our own that is laid out like a ring's data, in two copies, without its pages. */
int rbc_mapping_open_copy(rbc_mapping *out, size_t data_size);

/*
 * ftruncate(2) of a memfd, without SIGXFSZ: by default that ends the process, and nobody expects it
 * of a call that writes no file. Returns 0 or a negative errno, -EFBIG by RLIMIT_FSIZE.
 */
int rbc_set_file_size(int fd, uint64_t size);

/*
 * The error of an mmap(2), mprotect(2) or madvise(2) that just failed. What the kernel calls
 * EAGAIN, memory beyond what may be locked (mlockall(2), RLIMIT_MEMLOCK), is -ENOMEM, because
 * trying again would not help.
 */
int rbc_mapping_error(void);

/* Unmaps; nothing happens for a mapping that was never opened (all zero). */
void rbc_mapping_close(rbc_mapping *self);

#endif
