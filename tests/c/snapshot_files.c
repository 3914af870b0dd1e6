/* SPDX-License-Identifier: MIT */
/*
 * Snapshots that are saved and loaded: the bytes of the file, through whatever can be written and
 * read, and what is not such a file. tests/vectors has files that another program wrote.
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#define HEADER 128

/* capi/snapshot-format.md, written down here once more. */
enum {
    AT_VERSION = 8,
    AT_HEADER_SIZE = 12,
    AT_BYTE_ORDER = 16,
    AT_CONTENT_SUM = 20,
    AT_BOOT_ID = 24,
    AT_KIND = 40,
    AT_RING_ID = 48,
    AT_RING_SIZE = 56,
    AT_FIRST = 64,
    AT_END = 72,
    AT_PRODUCER = 80,
    AT_MISSED = 88,
    AT_REALTIME = 96,
    AT_BOOTTIME = 104,
    AT_HEADER_SUM = 124
};

static rbcore_snapshot *take(const fixture *f) {
    rbcore_snapshot *snapshot = NULL;
    ok(rbcore_reader_snapshot(f->reader, f->ring, &snapshot, 0));
    return snapshot;
}

static rbcore_snapshot_info info_of(const rbcore_snapshot *snapshot) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    ok(rbcore_snapshot_info_get(snapshot, &info));
    return info;
}

/* Records of many sizes, some of them discarded. */
static void fill(const fixture *f, size_t count) {
    uint8_t content[100];
    for (size_t i = 0; i < count; i++) {
        void *data;
        size_t size = 7 * i % sizeof(content);
        memset(content, (int)i, sizeof(content));
        ok(rbcore_producer_reserve(f->producer, &data, size));
        memcpy(data, content, size);
        ok(i % 5 == 3 ? rbcore_producer_discard(f->producer, data, 0)
                      : rbcore_producer_submit(f->producer, data, 0));
    }
}

static void expect_same(rbcore_snapshot *a, rbcore_snapshot *b) {
    rbcore_snapshot_info of_a = info_of(a), of_b = info_of(b);
    ck_assert_mem_eq(&of_a, &of_b, sizeof(of_a));
    ok(rbcore_snapshot_rewind(a));
    ok(rbcore_snapshot_rewind(b));
    rbcore_record x, y;
    int more;
    while ((more = rbcore_snapshot_read(a, &x, 1)) == 1) {
        ck_assert_int_eq(rbcore_snapshot_read(b, &y, 1), 1);
        ck_assert_uint_eq(x.position, y.position);
        ck_assert_uint_eq(x.size, y.size);
        ck_assert_uint_eq(y.flags, RBCORE_RECORD_COPIED);
        ck_assert_uint_eq((uintptr_t)y.data % 8, 0);
        if (x.size > 0) {
            ck_assert_mem_eq(x.data, y.data, x.size);
        }
    }
    ck_assert_int_eq(more, 0);
    ck_assert_int_eq(rbcore_snapshot_read(b, &y, 1), 0);
}

/* ---- Files in memory ---- */

typedef struct file {
    uint8_t bytes[1 << 17];
    size_t size;
} file;

static int descriptor_of(const file *self) {
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, self->bytes, self->size), (ssize_t)self->size);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void save_to(file *self, const rbcore_snapshot *snapshot) {
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    ok(rbcore_snapshot_save(snapshot, fd));
    self->size = (size_t)lseek(fd, 0, SEEK_CUR);
    ck_assert_uint_le(self->size, sizeof(self->bytes));
    ck_assert_int_eq(pread(fd, self->bytes, self->size, 0), (ssize_t)self->size);
    close(fd);
}

static int load_from(const file *self, rbcore_snapshot **out) {
    int fd = descriptor_of(self);
    int error = rbcore_snapshot_load(out, fd);
    close(fd);
    return error;
}

static void expect_error(const file *self, int expected) {
    rbcore_snapshot *const nothing = (rbcore_snapshot *)(uintptr_t)8;
    rbcore_snapshot *snapshot = nothing;
    ck_assert_int_eq(load_from(self, &snapshot), expected);
    ck_assert_ptr_eq(snapshot, nothing);
}

static uint64_t number_at(const file *self, size_t offset, size_t size) {
    uint64_t number = 0;
    for (size_t i = size; i-- > 0;) {
        number = number << 8 | self->bytes[offset + i];
    }
    return number;
}

static void set_number(file *self, size_t offset, size_t size, uint64_t number) {
    for (size_t i = 0; i < size; i++, number >>= 8) {
        self->bytes[offset + i] = (uint8_t)number;
    }
}

/* Makes the checksums right again, as a forger would. */
static void set_checksums(file *self) {
    size_t header = number_at(self, AT_HEADER_SIZE, 4);
    set_number(self, AT_CONTENT_SUM, 4, crc32_of(self->bytes + header, self->size - header));
    set_number(self, header - 4, 4, crc32_of(self->bytes, header - 4));
}

/* A file of 128 + 168 bytes: records of 0, 7, 14, 21 (discarded), 28 and 35 bytes. */
static file sample(void) {
    file made;
    fixture f = fixture_open(page_size(), 0);
    fill(&f, 6);
    rbcore_snapshot *snapshot = take(&f);
    save_to(&made, snapshot);
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
    return made;
}

/* ---- Good files ---------------------------------------------------------------------------- */

START_TEST(round_trips) {
    const size_t counts[] = {0, 1, 6, 60, 3000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        fixture f = fixture_open((size_t)1 << 18, 0);
        static file whole, again;
        fill(&f, counts[i]);
        rbcore_snapshot *taken = take(&f), *loaded;
        /* The loader needs more than one piece of memory for this. */
        int fd = memfd_create("snapshot", MFD_CLOEXEC);
        ok(rbcore_snapshot_save(taken, fd));
        ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
        ok(rbcore_snapshot_load(&loaded, fd));
        expect_same(taken, loaded);
        ck_assert_int_eq(rbcore_snapshot_load(&loaded, fd), -ENODATA);
        close(fd);
        if (counts[i] < 1000) {
            save_to(&whole, taken);
            save_to(&again, loaded);
            ck_assert_uint_eq(whole.size, again.size);
            ck_assert_mem_eq(whole.bytes, again.bytes, whole.size);
        }
        rbcore_snapshot_free(taken);
        rbcore_snapshot_free(loaded);
        fixture_close(&f);
    }
}
END_TEST

/* Larger than the pieces in which memory is taken. */
START_TEST(a_large_ring) {
    fixture f = fixture_open((size_t)1 << 23, 0);
    rbcore_snapshot *taken, *loaded;
    uint64_t random = 3;
    void *data;
    while (rbcore_producer_reserve(f.producer, &data, random_next(&random) % 20000) == 0) {
        memset(data, (int)random, 8);
        ok(rbcore_producer_submit(f.producer, data, 0));
    }
    taken = take(&f);
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    ok(rbcore_snapshot_save(taken, fd));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ok(rbcore_snapshot_load(&loaded, fd));
    expect_same(taken, loaded);
    close(fd);
    rbcore_snapshot_free(taken);
    rbcore_snapshot_free(loaded);
    fixture_close(&f);
}
END_TEST

START_TEST(the_bytes) {
    fixture f = fixture_open(page_size(), 0);
    static file made;
    fill(&f, 6);
    rbcore_snapshot *snapshot = take(&f);
    rbcore_snapshot_info info = info_of(snapshot);
    save_to(&made, snapshot);
    ck_assert_uint_eq(made.size, HEADER + 8 + 16 + 24 + 32 + 40 + 48);
    ck_assert_mem_eq(made.bytes, "rbsnap\r\n", 8);
    ck_assert_uint_eq(number_at(&made, AT_VERSION, 4), 1);
    ck_assert_uint_eq(number_at(&made, AT_HEADER_SIZE, 4), HEADER);
    ck_assert_uint_eq(number_at(&made, AT_BYTE_ORDER, 4), 0);
    ck_assert_mem_eq(made.bytes + AT_BOOT_ID, info.boot_id, 16);
    ck_assert_uint_eq(number_at(&made, AT_KIND, 8), RBCORE_SOURCE_MEMORY_RING);
    ck_assert_uint_eq(number_at(&made, AT_RING_ID, 8), info.ring_id);
    ck_assert_uint_eq(number_at(&made, AT_RING_SIZE, 8), page_size());
    ck_assert_uint_eq(number_at(&made, AT_FIRST, 8), 0);
    ck_assert_uint_eq(number_at(&made, AT_END, 8), made.size - HEADER);
    ck_assert_uint_eq(number_at(&made, AT_PRODUCER, 8), made.size - HEADER);
    ck_assert_uint_eq(number_at(&made, AT_MISSED, 8), 0);
    ck_assert_uint_eq(number_at(&made, AT_REALTIME, 8), info.realtime_ns);
    ck_assert_uint_eq(number_at(&made, AT_BOOTTIME, 8), info.boottime_ns);
    for (size_t i = AT_BOOTTIME + 8; i < AT_HEADER_SUM; i++) {
        ck_assert_uint_eq(made.bytes[i], 0);
    }
    ck_assert_uint_eq(number_at(&made, AT_HEADER_SUM, 4), crc32_of(made.bytes, AT_HEADER_SUM));
    ck_assert_uint_eq(number_at(&made, AT_CONTENT_SUM, 4),
                      crc32_of(made.bytes + HEADER, made.size - HEADER));
    ck_assert_uint_eq(crc32_of((const uint8_t *)"123456789", 9), 0xcbf43926); /* as all have it */
    ck_assert_uint_eq(number_at(&made, HEADER + 8, 4), 7);
    ck_assert_uint_eq(number_at(&made, HEADER + 48, 4), DISCARDED | 21);
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
}
END_TEST

/* Every number has its own place, both ways. */
START_TEST(the_numbers) {
    static file made, again;
    made = sample();
    set_number(&made, AT_BOOT_ID, 8, 1);
    set_number(&made, AT_BOOT_ID + 8, 8, UINT64_C(2) << 56);
    set_number(&made, AT_KIND, 8, RBCORE_SOURCE_MAP_ID);
    for (size_t at = AT_RING_ID; at <= AT_BOOTTIME; at += 8) {
        set_number(&made, at, 8, UINT64_C(0x0102030405060000) + at);
    }
    set_number(&made, AT_RING_SIZE, 8, UINT64_C(1) << 31);
    set_number(&made, AT_END, 8, number_at(&made, AT_FIRST, 8) + 168);
    set_checksums(&made);
    rbcore_snapshot *snapshot;
    ok(load_from(&made, &snapshot));
    rbcore_snapshot_info info = info_of(snapshot);
    ck_assert_uint_eq(info.boot_id[0], 1);
    ck_assert_uint_eq(info.boot_id[15], 2);
    ck_assert_uint_eq(info.kind, RBCORE_SOURCE_MAP_ID);
    ck_assert_uint_eq(info.ring_id, number_at(&made, AT_RING_ID, 8));
    ck_assert_uint_eq(info.ring_size, number_at(&made, AT_RING_SIZE, 8));
    ck_assert_uint_eq(info.first_pos, number_at(&made, AT_FIRST, 8));
    ck_assert_uint_eq(info.end_pos, number_at(&made, AT_END, 8));
    ck_assert_uint_eq(info.producer_pos, number_at(&made, AT_PRODUCER, 8));
    ck_assert_uint_eq(info.missed, number_at(&made, AT_MISSED, 8));
    ck_assert_uint_eq(info.realtime_ns, number_at(&made, AT_REALTIME, 8));
    ck_assert_uint_eq(info.boottime_ns, number_at(&made, AT_BOOTTIME, 8));
    save_to(&again, snapshot);
    ck_assert_uint_eq(again.size, made.size);
    ck_assert_mem_eq(again.bytes, made.bytes, made.size);
    rbcore_snapshot_free(snapshot);
}
END_TEST

/* Snapshots follow each other in a file that begins and ends with something else. */
START_TEST(several_in_one_file) {
    fixture f = fixture_open(page_size(), 0);
    rbcore_snapshot *taken[3], *loaded;
    char around[4];
    int fd = memfd_create("snapshots", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "here", 4), 4);
    for (size_t i = 0; i < 3; i++) {
        taken[i] = take(&f);
        ok(rbcore_snapshot_save(taken[i], fd));
        fill(&f, i + 1);
    }
    ck_assert_int_eq(write(fd, "end", 4), 4);
    ck_assert_int_eq(lseek(fd, 4, SEEK_SET), 4);
    for (size_t i = 0; i < 3; i++) {
        ok(rbcore_snapshot_load(&loaded, fd));
        expect_same(taken[i], loaded);
        rbcore_snapshot_free(loaded);
        rbcore_snapshot_free(taken[i]);
    }
    ck_assert_int_eq(read(fd, around, 4), 4);
    ck_assert_mem_eq(around, "end", 4);
    close(fd);
    fixture_close(&f);
}
END_TEST

/* Positions that pass 2^64 within the snapshot. */
START_TEST(positions_that_wrap) {
    fixture f = {0};
    rbcore_snapshot *taken, *loaded;
    static file made;
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(), 0));
    image raw = image_map(f.memory_fd);
    image_store(raw.consumer_pos, UINT64_MAX - 31);
    image_store(raw.producer_pos, UINT64_MAX - 31);
    f.producer = producer_on(f.memory_fd, f.event_fd);
    f.reader = reader_on(&f, 0, 0);
    fill(&f, 6);
    taken = take(&f);
    save_to(&made, taken);
    ck_assert_uint_eq(number_at(&made, AT_FIRST, 8), UINT64_MAX - 31);
    ck_assert_uint_eq(number_at(&made, AT_END, 8), 168 - 32);
    ok(load_from(&made, &loaded));
    expect_same(taken, loaded);
    rbcore_snapshot_free(taken);
    rbcore_snapshot_free(loaded);
    image_unmap(&raw);
    fixture_close(&f);
}
END_TEST

/* A later writer may have more in its header. */
START_TEST(a_longer_header) {
    static file made;
    made = sample();
    rbcore_snapshot *small, *large;
    ok(load_from(&made, &small));
    for (size_t more = 8; HEADER + more <= 4096; more = 2 * more + 8) {
        file longer = made;
        memmove(longer.bytes + HEADER + more, made.bytes + HEADER, made.size - HEADER);
        memset(longer.bytes + 112, 0xa5, more + HEADER - 112);
        longer.size += more;
        set_number(&longer, AT_HEADER_SIZE, 4, HEADER + more);
        set_checksums(&longer);
        ok(load_from(&longer, &large));
        expect_same(small, large);
        rbcore_snapshot_free(large);
        set_number(&longer, AT_HEADER_SIZE, 4, HEADER + more + 4);
        set_checksums(&longer);
        expect_error(&longer, -EBADMSG);
    }
    rbcore_snapshot_free(small);
}
END_TEST

/* ---- What is written to and read from ------------------------------------------------------ */

typedef struct saver {
    const rbcore_snapshot *snapshot;
    int fd;
    int error;
} saver;

static void *save_in_thread(void *argument) {
    saver *self = argument;
    sleep_ms(5); /* the load waits meanwhile, and signals interrupt it */
    self->error = rbcore_snapshot_save(self->snapshot, self->fd);
    return NULL;
}

static void nothing(int number) {
    (void)number;
}

/* Signals that interrupt whatever waits, as long as it lasts. */
static void tick(bool on) {
    struct sigaction action = {.sa_handler = nothing};
    struct itimerval every = {{0, on ? 300 : 0}, {0, on ? 300 : 0}};
    ok(sigaction(SIGALRM, &action, NULL));
    ok(setitimer(ITIMER_REAL, &every, NULL));
}

static void through(int ends[2], int from, int to) {
    fixture f = fixture_open((size_t)1 << 18, 0);
    fill(&f, 3500);
    rbcore_snapshot *taken = take(&f), *loaded;
    saver s = {.snapshot = taken, .fd = ends[from]};
    pthread_t thread;
    tick(true);
    ok(pthread_create(&thread, NULL, save_in_thread, &s));
    ok(rbcore_snapshot_load(&loaded, ends[to]));
    ok(pthread_join(thread, NULL));
    tick(false);
    ok(s.error);
    expect_same(taken, loaded);
    rbcore_snapshot_free(taken);
    rbcore_snapshot_free(loaded);
    close(ends[0]);
    close(ends[1]);
    fixture_close(&f);
}

START_TEST(pipes_and_sockets) {
    int ends[2];
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        ok(pipe2(ends, flags));
        ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
        through(ends, 1, 0);
        ok(socketpair(AF_UNIX, SOCK_STREAM | (flags ? SOCK_NONBLOCK : 0), 0, ends));
        through(ends, 0, 1);
    }
}
END_TEST

START_TEST(errors_of_the_system) {
    fixture f = fixture_open(page_size(), 0);
    fill(&f, 6);
    rbcore_snapshot *taken = take(&f), *loaded = NULL;
    int ends[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(rbcore_snapshot_save(taken, -1), -EBADF);
    ck_assert_int_eq(rbcore_snapshot_load(&loaded, -1), -EBADF);
    ck_assert_int_eq(rbcore_snapshot_save(taken, full), -ENOSPC);
    ck_assert_int_eq(rbcore_snapshot_load(&loaded, full), -EBADF);
    ck_assert_int_eq(rbcore_snapshot_load(&loaded, folder), -EISDIR);
    ck_assert_int_eq(rbcore_snapshot_save(taken, folder), -EBADF);
    ok(pipe(ends));
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    ck_assert_int_eq(rbcore_snapshot_save(taken, ends[1]), -EPIPE);
    ck_assert_ptr_null(loaded);
    ck_assert_int_eq(rbcore_snapshot_load(NULL, full), -EINVAL);
    ck_assert_int_eq(rbcore_snapshot_save(NULL, full), -EINVAL);
    errno = ENOTTY;
    rbcore_snapshot_save(taken, -1);
    rbcore_snapshot_load(&loaded, -1);
    ck_assert_int_eq(errno, ENOTTY);
    close(ends[1]);
    close(full);
    close(folder);
    rbcore_snapshot_free(taken);
    fixture_close(&f);
}
END_TEST

/* ---- Damaged files ------------------------------------------------------------------------- */

START_TEST(cut_off) {
    static file made;
    made = sample();
    const size_t whole = made.size;
    for (made.size = 0; made.size < whole; made.size++) {
        expect_error(&made, made.size == 0 ? -ENODATA : -EBADMSG);
    }
}
END_TEST

START_TEST(each_bit_flipped) {
    static file made;
    made = sample();
    for (size_t bit = 0; bit < 8 * made.size; bit++) {
        made.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /*
         * A file that says that it is of a later version is believed: its checksum may be
         * elsewhere.
         */
        bool is_version = bit / 8 >= AT_VERSION && bit / 8 < AT_HEADER_SIZE;
        expect_error(&made, is_version && bit != 8 * AT_VERSION ? -E2BIG : -EBADMSG);
        made.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    rbcore_snapshot *snapshot;
    ok(load_from(&made, &snapshot));
    rbcore_snapshot_free(snapshot);
}
END_TEST

START_TEST(bursts_and_swaps) {
    static file made;
    made = sample();
    uint64_t random = 11;
    for (int i = 0; i < 4000; i++) {
        file damaged = made;
        size_t at = AT_HEADER_SIZE + random_next(&random) % (made.size - AT_HEADER_SIZE - 4);
        if (i % 2) {
            uint32_t burst = random_next(&random) | 1;
            set_number(&damaged, at, 4, number_at(&made, at, 4) ^ burst);
        } else {
            damaged.bytes[at] = made.bytes[at + 1 + random_next(&random) % 3];
            damaged.bytes[at + 3] = made.bytes[at];
        }
        if (memcmp(damaged.bytes, made.bytes, made.size) != 0) {
            expect_error(&damaged, -EBADMSG);
        }
    }
}
END_TEST

/* Files that are no snapshots are refused. */
START_TEST(no_snapshots) {
    static file other;
    other.size = 4000;
    memset(other.bytes, 0, other.size);
    expect_error(&other, -EBADMSG);
    memset(other.bytes, 0xff, other.size);
    expect_error(&other, -EBADMSG);
    memcpy(other.bytes, "rbsnap\n\n", 8); /* after a transfer as text */
    expect_error(&other, -EBADMSG);
}
END_TEST

/* ---- Forged files: their checksums are right ----------------------------------------------- */

START_TEST(impossible_headers) {
    const struct {
        size_t offset, size;
        uint64_t number;
        int error;
    } cases[] = {{AT_VERSION, 4, 0, -EBADMSG},
                 {AT_VERSION, 4, 2, -E2BIG},
                 {AT_VERSION, 4, UINT32_MAX, -E2BIG},
                 {AT_HEADER_SIZE, 4, 120, -EBADMSG},
                 {AT_HEADER_SIZE, 4, 4104, -EBADMSG},
                 {AT_HEADER_SIZE, 4, 0, -EBADMSG},
                 {AT_HEADER_SIZE, 4, UINT32_MAX, -EBADMSG},
                 {AT_BYTE_ORDER, 4, 1, -EOPNOTSUPP},
                 {AT_BYTE_ORDER, 4, 2, -EOPNOTSUPP},
                 {AT_KIND, 8, 0, -EBADMSG},
                 {AT_KIND, 8, 5, -EBADMSG},
                 {AT_KIND, 8, UINT64_C(4) << 32 | 4, -EBADMSG},
                 {AT_RING_SIZE, 8, 0, -EBADMSG},
                 {AT_RING_SIZE, 8, 128, -EBADMSG}, /* smaller than the content */
                 {AT_RING_SIZE, 8, 4096 + 8, -EBADMSG},
                 {AT_RING_SIZE, 8, UINT64_C(1) << 32, -EBADMSG},
                 {AT_RING_SIZE, 8, UINT64_C(1) << 63, -EBADMSG},
                 {AT_FIRST, 8, 4, -EBADMSG},
                 {AT_FIRST, 8, 176, -EBADMSG},                  /* behind the end */
                 {AT_FIRST, 8, 168 - UINT64_C(4104), -EBADMSG}, /* more than a ring holds */
                 {AT_END, 8, 172, -EBADMSG},
                 {AT_END, 8, 4096 + 8, -EBADMSG},
                 {AT_END, 8, 0 - UINT64_C(8), -EBADMSG}};
    static file made;
    made = sample();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        file forged = made;
        set_number(&forged, AT_RING_SIZE, 8, 4096);
        set_number(&forged, cases[i].offset, cases[i].size, cases[i].number);
        uint64_t content = number_at(&forged, AT_END, 8) - number_at(&forged, AT_FIRST, 8);
        forged.size = HEADER + (content < 8192 ? content : 168); /* it is all there */
        size_t header = number_at(&forged, AT_HEADER_SIZE, 4);
        if (header >= 4 && header <= forged.size) {
            set_checksums(&forged);
        }
        expect_error(&forged, cases[i].error);
    }
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/*
 * The file promises 2 GiB. In so little memory only a load in parts finds out that this is a lie.
 */
static int load_in_little_memory(void *argument) {
    const struct rlimit little = {UINT64_C(64) << 20, UINT64_C(64) << 20};
    rbcore_snapshot *snapshot;
    int fd = descriptor_of(argument);
    /* A little more than is taken before any of it was read. */
    if (ftruncate(fd, HEADER + (3 << 20)) != 0 || setrlimit(RLIMIT_AS, &little) != 0) {
        return 2;
    }
    return rbcore_snapshot_load(&snapshot, fd) == -EBADMSG ? 0 : 1;
}

START_TEST(promises) {
    static file made;
    if (SANITIZED) {
        printf("skipped: promises: the sanitizer needs more memory than the test allows\n");
        return;
    }
    made = sample();
    set_number(&made, AT_RING_SIZE, 8, UINT64_C(1) << 31);
    set_number(&made, AT_END, 8, UINT64_C(1) << 31);
    set_checksums(&made);
    ck_assert_int_eq(in_child(load_in_little_memory, &made), 0);
}
END_TEST

/* Takes a snapshot of a ring that is larger than the memory that is left. */
static int take_in_little_memory(void *argument) {
    const fixture *large = argument;
    rbcore_snapshot *snapshot = NULL;
    fixture small = fixture_add(large->reader, page_size());
    ok(rbcore_reader_snapshot(large->reader, small.ring, &snapshot, 0));
    unsigned long pages = 0;
    FILE *memory = fopen("/proc/self/statm", "re");
    if (!memory || fscanf(memory, "%lu", &pages) != 1) {
        return 1;
    }
    fclose(memory);
    rlim_t most = pages * page_size() + ((rlim_t)16 << 20);
    ok(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}));
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    return rbcore_reader_snapshot(large->reader, large->ring, &snapshot, 0) != -ENOMEM ? 2
           : rbcore_snapshot_save(snapshot, fd) != -ENODATA                            ? 3
           : lseek(fd, 0, SEEK_END) != 0                                               ? 4
                                                                                       : 0;
}

START_TEST(one_that_could_not_be_taken) {
    if (SANITIZED) {
        printf("skipped: one_that_could_not_be_taken: the sanitizer needs more memory\n");
        return;
    }
    rbcore_reader *reader;
    pid_t pid = fork_child();
    if (pid == 0) {
        ok(rbcore_reader_open(&reader, NULL));
        fixture large = fixture_add(reader, (size_t)64 << 20);
        _exit(take_in_little_memory(&large));
    }
    ck_assert_int_eq(wait_child(pid), 0);
}
END_TEST

/* Content that no ring had is read as far as it goes, and never beyond its end. */
START_TEST(forged_content) {
    static file made;
    made = sample();
    uint64_t random = 5;
    unsigned impossible = 0, whole = 0;
    for (int i = 0; i < 20000; i++) {
        file forged = made;
        for (unsigned n = random_next(&random) % 4; n-- > 0;) {
            size_t at = HEADER + random_next(&random) % ((made.size - HEADER) / 8) * 8;
            uint32_t length = random_next(&random) >> random_next(&random) % 32;
            set_number(&forged, at, 4, length ^ random_next(&random) << 31);
        }
        if (random_next(&random) % 4 == 0) { /* cut off within a record, as forgers can */
            forged.size = HEADER + random_next(&random) % ((made.size - HEADER) / 8) * 8;
            set_number(&forged, AT_END, 8, forged.size - HEADER);
        }
        set_checksums(&forged);
        rbcore_snapshot *snapshot;
        ok(load_from(&forged, &snapshot));
        rbcore_record record;
        uint64_t sum = 0, last = 0;
        int n;
        while ((n = rbcore_snapshot_read(snapshot, &record, 1)) == 1) {
            ck_assert_uint_le(end_of(&record), forged.size - HEADER);
            ck_assert(record.position >= last);
            last = end_of(&record);
            for (uint32_t byte = 0; byte < record.size; byte++) {
                sum += ((const uint8_t *)record.data)[byte];
            }
        }
        ck_assert(n == 0 || n == -EBADMSG);
        ck_assert_int_eq(rbcore_snapshot_read(snapshot, &record, 1), n);
        impossible += n != 0;
        whole += n == 0 && sum > 0;
        rbcore_snapshot_free(snapshot);
    }
    ck_assert_uint_gt(impossible, 1000);
    ck_assert_uint_gt(whole, 1000);
}
END_TEST

/* All its bytes are there, and the checksums are good: the size alone is wrong. */
START_TEST(headers_of_impossible_sizes) {
    const size_t sizes[] = {132, 136, 4096, 4100, 4104};
    static file made, forged;
    made = sample();
    const size_t content = made.size - HEADER;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        memset(&forged, 0, sizeof(forged));
        memcpy(forged.bytes, made.bytes, AT_HEADER_SUM);
        memcpy(forged.bytes + sizes[i], made.bytes + HEADER, content);
        forged.size = sizes[i] + content;
        set_number(&forged, AT_HEADER_SIZE, 4, sizes[i]);
        set_checksums(&forged);
        if (sizes[i] % 8 != 0 || sizes[i] > 4096) {
            expect_error(&forged, -EBADMSG);
        } else {
            rbcore_snapshot *loaded;
            ok(load_from(&forged, &loaded));
            rbcore_snapshot_free(loaded);
        }
    }
}
END_TEST

/* Headers by chance: an error of the contract, or a snapshot that can be read. */
START_TEST(forged_headers) {
    static file made;
    made = sample();
    uint64_t random = 17;
    unsigned good = 0;
    for (int i = 0; i < 20000; i++) {
        file forged = made;
        for (unsigned n = 1 + random_next(&random) % 2; n-- > 0;) {
            size_t at = random_next(&random) % (AT_BOOTTIME / 8 + 1) * 8;
            uint64_t number = (uint64_t)random_next(&random) << random_next(&random) % 33;
            set_number(&forged, at, 8, random_next(&random) % 2 ? number : number % 512);
        }
        size_t header = number_at(&forged, AT_HEADER_SIZE, 4);
        if (header >= 4 && header <= forged.size) {
            set_checksums(&forged);
        }
        rbcore_snapshot *snapshot = NULL;
        int error = load_from(&forged, &snapshot);
        ck_assert(error == 0 || error == -EBADMSG || error == -E2BIG || error == -EOPNOTSUPP);
        rbcore_record records[8];
        while (error == 0 && rbcore_snapshot_read(snapshot, records, 8) > 0) {
        }
        good += error == 0;
        rbcore_snapshot_free(snapshot);
    }
    ck_assert_uint_gt(good, 1000);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {round_trips,
                                  a_large_ring,
                                  the_bytes,
                                  the_numbers,
                                  several_in_one_file,
                                  positions_that_wrap,
                                  a_longer_header,
                                  pipes_and_sockets,
                                  errors_of_the_system,
                                  cut_off,
                                  each_bit_flipped,
                                  bursts_and_swaps,
                                  no_snapshots,
                                  impossible_headers,
                                  headers_of_impossible_sizes,
                                  promises,
                                  one_that_could_not_be_taken,
                                  forged_content,
                                  forged_headers,
                                  NULL};
    return run_tests("snapshot_files", tests);
}
