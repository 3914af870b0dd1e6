/* SPDX-License-Identifier: MIT */
/*
 * Interprets its input as a file of snapshots, after a byte that says whether its checksums are put
 * right before (else hardly an input would get past them). rbcore_snapshot_load must say of each
 * snapshot what a slow parser says that was written after snapshot-format.md alone, hand out the
 * same records, and read not a byte more than the snapshot.
 */
#include "fuzz.h"

#include <rbcore/rbcore.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REPAIR_HEADER 1
#define REPAIR_CONTENT 2
#define SAVE 4

/* The size of the header, which stands at 12 in it. */
#define SIZE 128
#define SIZE_MAX_OF_HEADER 4096

/* ---- The slow parser ----------------------------------------------------------------------- */

typedef struct file {
    uint8_t bytes[FUZZ_INPUT_MAX];
    size_t size;
} file;

static uint64_t number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    while (bytes--) {
        value = value << 8 | at[bytes];
    }
    return value;
}

static void set_number(uint8_t *at, uint64_t value, int bytes) {
    for (; bytes--; value >>= 8) {
        *at++ = (uint8_t)value;
    }
}

/* Half a byte at a time. */
static uint32_t checksum(const uint8_t *bytes, size_t size) {
    static uint32_t of_half[16];
    for (uint32_t i = of_half[15] ? 16 : 0; i < 16; i++) {
        of_half[i] = i;
        for (int bit = 0; bit < 4; bit++) {
            of_half[i] = of_half[i] >> 1 ^ (of_half[i] & 1) * UINT32_C(0xedb88320);
        }
    }
    uint32_t value = ~UINT32_C(0);
    while (size--) {
        value ^= *bytes++;
        value = value >> 4 ^ of_half[value & 15];
        value = value >> 4 ^ of_half[value & 15];
    }
    return ~value;
}

static bool is_power_of_two(uint64_t value) {
    return value && !(value & (value - 1));
}

typedef struct parsed {
    int error, or_error; /* two where either is right */
    const uint8_t *header, *content;
    size_t header_size, content_size;
    uint64_t first;
} parsed;

static parsed refused(int error) {
    return (parsed){.error = error, .or_error = error};
}

/* The size of the sound blocks of other kinds that are there, one behind the other. */
static size_t other_blocks(const uint8_t *at, size_t left) {
    size_t passed = 0;
    while (left - passed >= 16) {
        const uint8_t *block = at + passed;
        uint64_t size = number(block + 8, 8);
        if (block[0] != 'r' || block[1] != 'b' || memcmp(block + 2, "snap", 4) == 0 ||
            block[6] != '\r' || block[7] != '\n' || size < 16 || size > left - passed) {
            break;
        }
        passed += size;
    }
    return passed;
}

/* Whether there is a header, of a version that is known; its checksum is not looked at. */
static parsed parse_header(const uint8_t *at, size_t left) {
    if (left == 0) {
        return refused(-ENODATA);
    }
    if (left < 16 || memcmp(at, "rbsnap\r\n", 8) != 0 || number(at + 8, 4) == 0) {
        return refused(-EBADMSG);
    }
    if (number(at + 8, 4) > 1) {
        return refused(-E2BIG);
    }
    uint64_t size = number(at + 12, 4);
    if (size < SIZE || size > SIZE_MAX_OF_HEADER || size % 8 || size > left) {
        return refused(-EBADMSG);
    }
    uint64_t first = number(at + 64, 8), length = number(at + 72, 8) - first;
    return (parsed){.header = at,
                    .content = at + size,
                    .header_size = size,
                    .content_size = length,
                    .first = first};
}

static parsed parse(const uint8_t *at, size_t left) {
    parsed p = parse_header(at, left);
    if (p.error) {
        return p;
    }
    if (checksum(at, p.header_size - 4) != number(at + p.header_size - 4, 4)) {
        return refused(-EBADMSG);
    }
    if (number(at + 16, 4) != 0) { /* that we run on a little-endian machine is checked below */
        return (parsed){.error = -EOPNOTSUPP,
                        .or_error = number(at + 16, 4) == 1 ? -EOPNOTSUPP : -EBADMSG};
    }
    uint64_t kind = number(at + 40, 8), ring_size = number(at + 56, 8);
    if ((kind != 3 && kind != 4) || !is_power_of_two(ring_size) || ring_size >> 32 ||
        ring_size > UINT64_C(1) << 31 || p.first % 8 || p.content_size % 8 ||
        p.content_size > ring_size || p.content_size > left - p.header_size) {
        return refused(-EBADMSG);
    }
    return checksum(p.content, p.content_size) == number(at + 20, 4) ? p : refused(-EBADMSG);
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static void expect_info(const rbcore_snapshot *snapshot, const parsed *p) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    EXPECT(rbcore_snapshot_info_get(snapshot, &info) == 0);
    EXPECT(memcmp(info.boot_id, p->header + 24, 16) == 0);
    const uint64_t words[] = {info.kind,      info.ring_id,     info.ring_size,
                              info.first_pos, info.end_pos,     info.producer_pos,
                              info.missed,    info.realtime_ns, info.boottime_ns};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        EXPECT(words[i] == number(p->header + 40 + 8 * i, 8));
    }
}

/* Passes discarded records. Returns 1 for a record at *at, 0 at the end, or -EBADMSG. */
static int next_record(const parsed *p, size_t *at, uint32_t *size) {
    while (*at < p->content_size) {
        uint32_t length = (uint32_t)number(p->content + *at, 4);
        uint64_t span = 8 + (uint64_t)((length & 0x3fffffff) + 7) / 8 * 8;
        if (length >> 31 || span > p->content_size - *at) {
            return -EBADMSG;
        }
        *size = length;
        if (!(length >> 30)) {
            return 1;
        }
        *at += span;
    }
    return 0;
}

static void expect_records(rbcore_snapshot *snapshot, const parsed *p, size_t max) {
    rbcore_record records[32];
    size_t at = 0;
    for (;;) {
        uint32_t size;
        int n = rbcore_snapshot_read(snapshot, records, max);
        for (int i = 0; i < n; i++) {
            EXPECT(next_record(p, &at, &size) == 1);
            EXPECT(records[i].position == p->first + at && records[i].size == size);
            EXPECT(records[i].ring == 0 && records[i].flags == RBCORE_RECORD_COPIED);
            EXPECT(memcmp(records[i].data, p->content + at + 8, size) == 0);
            at += 8 + (size + 7) / 8 * 8;
        }
        if (n <= 0) {
            EXPECT(n == next_record(p, &at, &size));
            return;
        }
    }
}

/* The saved file is the loaded one, with the header of our version. */
static void expect_saved(const rbcore_snapshot *snapshot, const parsed *p) {
    static int fd = -1;
    static uint8_t saved[FUZZ_INPUT_MAX], expected[SIZE];
    fd = fd < 0 ? memfd_create("saved", 0) : fd;
    EXPECT(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    EXPECT(rbcore_snapshot_save(snapshot, fd) == 0);
    size_t size = SIZE + p->content_size;
    EXPECT(lseek(fd, 0, SEEK_CUR) == (off_t)size);
    EXPECT(pread(fd, saved, size, 0) == (ssize_t)size);
    memset(expected, 0, SIZE);
    memcpy(expected, p->header, 112);
    set_number(expected + 12, SIZE, 4);
    set_number(expected + SIZE - 4, checksum(expected, SIZE - 4), 4);
    EXPECT(memcmp(saved, expected, SIZE) == 0);
    EXPECT(memcmp(saved + SIZE, p->content, p->content_size) == 0);
}

static void expect_snapshot(rbcore_snapshot *snapshot, const parsed *p, uint8_t settings) {
    expect_info(snapshot, p);
    expect_records(snapshot, p, 1 + settings / 8);
    EXPECT(rbcore_snapshot_rewind(snapshot) == 0);
    expect_records(snapshot, p, 32);
    if (settings & SAVE) {
        expect_saved(snapshot, p);
    }
}

/* ---- The input ----------------------------------------------------------------------------- */

/* Repairs headers as well that are refused for something else. */
static void repair(file *f, uint8_t settings) {
    size_t left = f->size;
    for (uint8_t *at = f->bytes;;) {
        const size_t passed = other_blocks(at, left);
        at += passed;
        left -= passed;
        if (left < SIZE) {
            return;
        }
        uint64_t size = number(at + 12, 4), content = number(at + 72, 8) - number(at + 64, 8);
        if (size < SIZE || size > left) {
            return;
        }
        bool is_whole = content <= left - size;
        if (settings & REPAIR_CONTENT && is_whole) {
            set_number(at + 20, checksum(at + size, content), 4);
        }
        if (settings & REPAIR_HEADER) {
            set_number(at + size - 4, checksum(at, size - 4), 4);
        }
        if (!is_whole) {
            return;
        }
        at += size + content;
        left -= size + content;
    }
}

/* A file in memory, made once. */
static int file_of(const file *f) {
    static int fd = -1;
    fd = fd < 0 ? memfd_create("snapshots", 0) : fd;
    EXPECT(fd >= 0 && ftruncate(fd, (off_t)f->size) == 0);
    EXPECT(pwrite(fd, f->bytes, f->size, 0) == (ssize_t)f->size);
    EXPECT(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static file f;
    if (size == 0 || size > FUZZ_INPUT_MAX) {
        return 0;
    }
    uint8_t settings = data[0];
    f.size = size - 1;
    memcpy(f.bytes, data + 1, f.size);
    repair(&f, settings);
    int fd = file_of(&f);
    for (size_t at = 0;;) {
        at += other_blocks(f.bytes + at, f.size - at);
        parsed p = parse(f.bytes + at, f.size - at);
        rbcore_snapshot *snapshot = NULL;
        int error = rbcore_snapshot_load(&snapshot, fd);
        EXPECT(error == p.error || error == p.or_error);
        if (error) {
            EXPECT(!snapshot);
            return 0;
        }
        at += p.header_size + p.content_size;
        EXPECT(lseek(fd, 0, SEEK_CUR) == (off_t)at);
        expect_snapshot(snapshot, &p, settings);
        rbcore_snapshot_free(snapshot);
    }
}

/* ---- Inputs to start from ------------------------------------------------------------------ */

static size_t make_content(uint8_t *at, uint64_t *random) {
    size_t size = 0;
    for (uint8_t n = fuzz_random(random) % 8; n; n--) {
        uint32_t length = fuzz_random(random) % 64, flags = fuzz_random(random);
        size_t span = 8 + (length + 7) / 8 * 8;
        length |= flags < 32 ? UINT32_C(1) << 30 : flags < 34 ? UINT32_C(1) << 31 : 0;
        length += flags == 34 ? 1000 : 0;
        memset(at + size, flags, span);
        set_number(at + size, length, 4);
        size += span;
    }
    return size;
}

static size_t make_snapshot(uint8_t *at, uint64_t *random) {
    static const uint8_t more[] = {0, 0, 0, 0, 0, 8, 64, 1}; /* the last makes no header */
    size_t header = SIZE + more[fuzz_random(random) % 8];
    memset(at, 0, header);
    memcpy(at, "rbsnap\r\n", 8);
    size_t size = make_content(at + header, random);
    uint64_t first = (uint64_t)fuzz_random(random) << (fuzz_random(random) % 8 * 8) << 3;
    set_number(at + 8, 1, 4);
    set_number(at + 12, header, 4);
    set_number(at + 40, 3 + fuzz_random(random) % 2, 8);
    set_number(at + 56, UINT64_C(8) << fuzz_random(random) % 32, 8);
    set_number(at + 64, first, 8);
    set_number(at + 72, first + size, 8);
    for (int i = 80; i < 112; i++) {
        at[i] = fuzz_random(random);
    }
    return header + size;
}

static size_t make_block(uint8_t *at, uint64_t *random) {
    const size_t size = 16 + fuzz_random(random) % 32;
    memset(at, fuzz_random(random), size);
    memcpy(at, "rbtype\r\n", 8);
    set_number(at + 8, size, 8);
    return size;
}

/* Sound ones, of which a few bytes are not: mostly of the numbers in the header. */
size_t fuzz_make_input(uint8_t data[FUZZ_INPUT_MAX], uint64_t *random) {
    size_t size = 1;
    data[0] = fuzz_random(random);
    data[0] |= fuzz_random(random) < 224 ? REPAIR_CONTENT | REPAIR_HEADER : 0;
    for (int n = 1 + fuzz_random(random) % 3; n; n--) {
        size += fuzz_random(random) < 64 ? make_block(data + size, random) : 0;
        size += make_snapshot(data + size, random);
    }
    for (int n = fuzz_random(random) % 4; n; n--) {
        size_t most = fuzz_random(random) % 4 ? SIZE : size - 1;
        size_t at = 1 + (fuzz_random(random) | (size_t)fuzz_random(random) << 8) % most;
        uint8_t how = fuzz_random(random) % 4;
        data[at] = how == 0   ? fuzz_random(random)
                   : how == 1 ? data[at] ^ (uint8_t)(1 << fuzz_random(random) % 8)
                              : (uint8_t)(data[at] + (how == 2 ? 1 : -1));
    }
    return fuzz_random(random) < 240 ? size : 1 + fuzz_random(random) % size;
}
