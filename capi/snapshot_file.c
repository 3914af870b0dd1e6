/* SPDX-License-Identifier: MIT */
/* Snapshots as files: see snapshot-format.md. */
#include "crc32.h"
#include "keep_errno.h"
#include "snapshot.h"
#include "uncancelled.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "rbsnap\r\n"
#define VERSION 1
#define BEGIN_SIZE 16 /* what every version begins with */
#define HEADER_SIZE RBCORE_SNAPSHOT_HEADER_SIZE
#define HEADER_MAX 4096 /* a later one may have more to say */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTE_ORDER_FLAG 0
#else
#define BYTE_ORDER_FLAG 1
#endif

/* A block of another kind, with its size in front: the largest that is passed over. */
#define BLOCK_MAX (UINT64_C(1) << 31)

/* The largest ring of the kernel: max_entries has 32 bits, and is a power of two. */
#define RING_MAX (UINT64_C(1) << 31)

/* The bytes that are read at once, and then summed up while they are in the cache. */
#define CHUNK ((size_t)1 << 20)

/* ---- The header: little-endian numbers ---- */

static void put(unsigned char *at, uint64_t number, size_t size) {
    for (size_t i = 0; i < size; i++) {
        at[i] = (unsigned char)(number >> 8 * i);
    }
}

static uint64_t get(const unsigned char *at, size_t size) {
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        number |= (uint64_t)at[i] << 8 * i;
    }
    return number;
}

/* The place of each word of rbcore_snapshot_info. */
static const struct {
    size_t in_file;
    size_t in_info;
} words[] = {
    {40, offsetof(rbcore_snapshot_info, kind)},
    {48, offsetof(rbcore_snapshot_info, ring_id)},
    {56, offsetof(rbcore_snapshot_info, ring_size)},
    {64, offsetof(rbcore_snapshot_info, first_pos)},
    {72, offsetof(rbcore_snapshot_info, end_pos)},
    {80, offsetof(rbcore_snapshot_info, producer_pos)},
    {88, offsetof(rbcore_snapshot_info, missed)},
    {96, offsetof(rbcore_snapshot_info, realtime_ns)},
    {104, offsetof(rbcore_snapshot_info, boottime_ns)},
};

#define WORDS (sizeof(words) / sizeof(words[0]))

void rbc_snapshot_write_header(unsigned char header[HEADER_SIZE], const rbcore_snapshot_info *info,
                               uint32_t content_checksum) {
    memset(header, 0, HEADER_SIZE);
    memcpy(header, MAGIC, sizeof(MAGIC) - 1);
    put(header + 8, VERSION, 4);
    put(header + 12, HEADER_SIZE, 4);
    put(header + 16, BYTE_ORDER_FLAG, 4);
    put(header + 20, content_checksum, 4);
    memcpy(header + 24, info->boot_id, sizeof(info->boot_id));
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word;
        memcpy(&word, (const unsigned char *)info + words[i].in_info, sizeof(word));
        put(header + words[i].in_file, word, 8);
    }
    put(header + HEADER_SIZE - 4, rbc_crc32(0, header, HEADER_SIZE - 4), 4);
}

/* Reads what every version begins with. Returns 0 with the size of the whole header. */
static int read_begin(const unsigned char *begin, size_t *header_size) {
    const uint64_t version = get(begin + 8, 4), size = get(begin + 12, 4);
    if (memcmp(begin, MAGIC, sizeof(MAGIC) - 1) != 0 || version == 0) {
        return -EBADMSG;
    }
    if (version > VERSION) {
        return -E2BIG;
    }
    if (size < HEADER_SIZE || size > HEADER_MAX || size % 8 != 0) {
        return -EBADMSG;
    }
    *header_size = size;
    return 0;
}

/* Whether a ring could have been so, as far as the content's size depends on it. */
static bool is_possible(const rbcore_snapshot_info *info) {
    uint64_t size = info->ring_size;
    return (info->kind == RBCORE_SOURCE_MAP_ID || info->kind == RBCORE_SOURCE_MEMORY_RING) &&
           size != 0 && (size & (size - 1)) == 0 && size <= RING_MAX && info->first_pos % 8 == 0 &&
           info->end_pos % 8 == 0 && info->end_pos - info->first_pos <= size;
}

static int read_header(const unsigned char *header, size_t size, rbcore_snapshot_info *info,
                       uint32_t *content_checksum) {
    if (get(header + size - 4, 4) != rbc_crc32(0, header, size - 4)) {
        return -EBADMSG;
    }
    if (get(header + 16, 4) != BYTE_ORDER_FLAG) {
        return -EOPNOTSUPP;
    }
    *content_checksum = (uint32_t)get(header + 20, 4);
    memcpy(info->boot_id, header + 24, sizeof(info->boot_id));
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word = get(header + words[i].in_file, 8);
        memcpy((unsigned char *)info + words[i].in_info, &word, sizeof(word));
    }
    return is_possible(info) ? 0 : -EBADMSG;
}

/* ---- Whole reads and writes, of whatever can be read and written ---- */

/* Whether a read or write that failed is to be tried again, after waiting if need be. */
static bool can_go_on(int fd, short event) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        struct pollfd wait = {.fd = fd, .events = event};
        return poll(&wait, 1, -1) >= 0 || errno == EINTR;
    }
    return errno == EINTR;
}

static int write_all(int fd, const unsigned char *data, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0) {
            if (!can_go_on(fd, POLLOUT)) {
                return -errno;
            }
            continue;
        }
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Returns how much there was before the end, or a negative errno. */
static ssize_t read_all(int fd, unsigned char *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, data + done, size - done);
        if (n == 0) {
            break;
        }
        if (n < 0 && !can_go_on(fd, POLLIN)) {
            return -errno;
        }
        done += n < 0 ? 0 : (size_t)n;
    }
    return (ssize_t)done;
}

/* Like read_all, but what is not there is an error. */
static int read_exactly(int fd, unsigned char *data, size_t size) {
    ssize_t n = read_all(fd, data, size);
    if (n < 0) {
        return (int)n;
    }
    return (size_t)n == size ? 0 : -EBADMSG;
}

/* ---- Saving and loading ---- */

int rbcore_snapshot_save(const rbcore_snapshot *self, int fd) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    int error = rbc_snapshot_check(self);
    if (error != 0) {
        return error;
    }
    if (self->info.ring_size == 0) {
        return -ENODATA;
    }
    const unsigned char *content = self->buffer + (self->info.first_pos - self->base);
    const size_t size = self->info.end_pos - self->info.first_pos;
    unsigned char header[HEADER_SIZE];
    rbc_snapshot_write_header(header, &self->info, rbc_crc32(0, content, size));
    error = write_all(fd, header, sizeof(header));
    return error != 0 ? error : write_all(fd, content, size);
}

/* Whether a block begins so that is no snapshot, but has a magic of the same form. */
static bool is_other_block(const unsigned char *begin) {
    return memcmp(begin, MAGIC, 8) != 0 && memcmp(begin, MAGIC, 2) == 0 &&
           memcmp(begin + 6, &MAGIC[6], 2) == 0;
}

/*
 * Reads the rest of a block that is not looked at, with its begin in front of the scratch memory.
 */
static int pass_over(int fd, unsigned char scratch[HEADER_MAX]) {
    const uint64_t size = get(scratch + 8, 8);
    if (size < BEGIN_SIZE || size > BLOCK_MAX) {
        return -EBADMSG;
    }
    int error = 0;
    for (size_t left = (size_t)size - BEGIN_SIZE; left > 0 && error == 0;) {
        const size_t piece = left < HEADER_MAX ? left : HEADER_MAX;
        error = read_exactly(fd, scratch, piece);
        left -= piece;
    }
    return error;
}

/* Reads what a snapshot begins with, and the blocks before it. */
static int load_begin(int fd, unsigned char header[HEADER_MAX]) {
    for (;;) {
        ssize_t n = read_all(fd, header, BEGIN_SIZE);
        if (n < BEGIN_SIZE) {
            return n < 0 ? (int)n : n == 0 ? -ENODATA : -EBADMSG;
        }
        if (!is_other_block(header)) {
            return 0;
        }
        int error = pass_over(fd, header);
        if (error != 0) {
            return error;
        }
    }
}

static int load_header(int fd, rbcore_snapshot_info *info, uint32_t *content_checksum) {
    unsigned char header[HEADER_MAX];
    size_t size;
    int error = load_begin(fd, header);
    if (error == 0) {
        error = read_begin(header, &size);
    }
    if (error == 0) {
        error = read_exactly(fd, header + BEGIN_SIZE, size - BEGIN_SIZE);
    }
    return error != 0 ? error : read_header(header, size, info, content_checksum);
}

static_assert(2 * HEADER_SIZE >= sizeof(rbcore_snapshot) + 8, "a header pays for a snapshot");

/*
 * A header may promise what it likes, so memory is taken as the content comes. The snapshot is
 * never larger than twice what was read, header and handle included.
 */
static int grow(rbcore_snapshot *self, size_t done, size_t size) {
    const uint64_t most = 2 * (HEADER_SIZE + (uint64_t)done) - sizeof(*self);
    const size_t capacity = most < size ? (size_t)most : size;
    unsigned char *larger = realloc(self->buffer, capacity);
    if (larger == NULL) {
        return -ENOMEM;
    }
    self->buffer = larger;
    self->capacity = capacity;
    return 0;
}

static int load_content(rbcore_snapshot *self, int fd, uint32_t *checksum) {
    const size_t size = self->info.end_pos - self->info.first_pos;
    *checksum = 0;
    for (size_t done = 0; done < size;) {
        int error = done == self->capacity ? grow(self, done, size) : 0;
        if (error != 0) {
            return error;
        }
        size_t piece = self->capacity - done < CHUNK ? self->capacity - done : CHUNK;
        error = read_exactly(fd, self->buffer + done, piece);
        if (error != 0) {
            return error;
        }
        *checksum = rbc_crc32(*checksum, self->buffer + done, piece);
        done += piece;
    }
    return 0;
}

int rbcore_snapshot_load(rbcore_snapshot **out, int fd) {
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    if (out == NULL) {
        return -EINVAL;
    }
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    uint32_t expected, checksum;
    int error = load_header(fd, &info, &expected);
    if (error != 0) {
        return error;
    }
    rbcore_snapshot *self;
    error = rbc_snapshot_new(&self, 0);
    if (error != 0) {
        return error;
    }
    self->info = info;
    self->base = self->next = info.first_pos;
    error = load_content(self, fd, &checksum);
    if (error == 0 && checksum != expected) {
        error = -EBADMSG;
    }
    if (error != 0) {
        rbcore_snapshot_free(self);
        return error;
    }
    *out = self;
    return 0;
}
