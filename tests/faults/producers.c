/* SPDX-License-Identifier: MIT */
/* Faults while memory rings are made and written, and while features and snapshot files are. */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

/*
 * The layout of the producer page, written down here once more: where its lock stands, and what
 * names a producer in the last place, which nobody ever had.
 */
#define LOCK_OFFSET 192
#define TOKEN_OF_NOBODY UINT32_C(0x4000003f)

/* ---- Rings ---- */

static void create(const void *argument) {
    int memory = -1, event = -1;
    MAKE(rbcore_memory_ring_create, &memory, &event, page_size(), *(const uint32_t *)argument);
    rbcore_producer *producer = producer_on(memory, event);
    ok(rbcore_producer_output(producer, "x", 1, 0));
    rbcore_producer_free(producer);
    close(memory);
    close(event);
}

START_TEST(a_ring_is_made) {
    const uint32_t flags[] = {0, RBCORE_MEMORY_RING_OVERWRITE};
    each_fault_in("a_ring_is_made", create, &flags[0]);
    each_fault_in("a_ring_is_made that overwrites", create, &flags[1]);
}
END_TEST

/* From Linux 6.3 on; there are kernels that make no others (vm.memfd_noexec). */
START_TEST(memfds_can_never_be_executed) {
    const int noexec_seal = 8, seal_exec = 0x20;
    int memory, event, probe = memfd_create("probe", (unsigned)noexec_seal);
    if (probe < 0) {
        printf("skipped: memfds_can_never_be_executed: this kernel has no such memfds\n");
        return;
    }
    close(probe);
    ok(rbcore_memory_ring_create(&memory, &event, page_size(), 0));
    ck_assert_int_eq(fcntl(memory, F_GET_SEALS) & seal_exec, seal_exec);
    close(memory);
    close(event);
}
END_TEST

static void ask(const void *argument) {
    const uint32_t feature = *(const uint32_t *)argument;
    const int without = rbcore_supports(feature);
    int result = MAKE(rbcore_supports, feature);
    /* The answer of a kernel that lacks it is no error. */
    ck_check(result == without || result == 0, "an answer");
}

START_TEST(a_feature_is_asked_for) {
    for (uint32_t feature = RBCORE_FEATURE_KERNEL_RING; feature <= RBCORE_FEATURE_USER_RING;
         feature *= 2) {
        if (rbcore_supports(feature) >= 0) {
            each_fault_in("a_feature_is_asked_for", ask, &feature);
        }
    }
}
END_TEST

/* ---- Producers ---- */

/* Tells whether the lock of a producer's place, or the reader's, is still taken. */
static bool is_locked(int memory_fd) {
    char path[32];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 65};
    snprintf(path, sizeof(path), "/proc/self/fd/%d", memory_fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ok(fcntl(fd, F_OFD_GETLK, &lock));
    close(fd);
    return lock.l_type != F_UNLCK;
}

static int leave_a_record_unfinished(void *argument) {
    const fixture *f = argument;
    void *data;
    return rbcore_producer_reserve(producer_on(f->memory_fd, f->event_fd), &data, 8);
}

typedef struct production {
    bool overwrites;
    bool is_blocked; /* by a record that a dead producer left unfinished */
    bool is_locked;  /* by a producer that is gone */
} production;

static void set_lock(int memory_fd, uint32_t token) {
    image raw = image_map(memory_fd);
    uint32_t *lock = (uint32_t *)(void *)(raw.base + page_size() + LOCK_OFFSET);
    __atomic_store_n(lock, token, __ATOMIC_SEQ_CST);
    image_unmap(&raw);
}

/* All records that are in the ring: how many, of the expected sizes. */
static unsigned count_records(const fixture *f, uint32_t source_flags) {
    rbcore_reader *reader = reader_on(f, 0, source_flags);
    rbcore_record records[64];
    unsigned count = 0;
    int n;
    while ((n = rbcore_reader_read(reader, records, 64)) > 0 || n == -EAGAIN) {
        for (int i = 0; i < n; i++) {
            ck_check(records[i].size == 200, "a record's size");
            count++;
        }
        ok(rbcore_reader_commit(reader, NULL, 0));
    }
    ck_check(n == 0, "the ring's content");
    rbcore_reader_free(reader);
    return count;
}

static void produce_all(const void *argument) {
    const production *way = argument;
    static char content[200];
    const rbcore_slice slices[] = {{content, 200}, {content, 200}, {content, 200}};
    fixture f = {0};
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, page_size(),
                                 way->overwrites ? RBCORE_MEMORY_RING_OVERWRITE : 0));
    if (way->is_blocked) {
        /* It has the second place, so that no producer takes it over. */
        rbcore_producer *first = producer_on(f.memory_fd, f.event_fd);
        ok(in_child(leave_a_record_unfinished, &f));
        rbcore_producer_free(first);
    }
    rbcore_source source = memory_source(f.memory_fd, f.event_fd);
    rbcore_producer *producer = NULL;
    unsigned made = 0;
    void *data;
    MAKE(rbcore_producer_open, &producer, &source);
    if (way->is_locked) {
        set_lock(f.memory_fd, TOKEN_OF_NOBODY);
    }
    MAKE(rbcore_producer_output, producer, content, 200, 0);
    MAKE(rbcore_producer_reserve, producer, &data, 200);
    MAKE(rbcore_producer_submit, producer, data, RBCORE_FORCE_WAKEUP);
    MAKE(rbcore_producer_reserve, producer, &data, 100);
    MAKE(rbcore_producer_discard, producer, data, RBCORE_FORCE_WAKEUP);
    ck_check(MAKE(rbcore_producer_output_batch, producer, slices, 3, 0) == 3, "a batch");
    made = 5;
    /* Fills the ring to the brim, and in overwrite mode far beyond. */
    while (made < 60 && MAKE_AFTER((void)0, way->overwrites ? 0 : -EAGAIN, rbcore_producer_output,
                                   producer, content, 200, 0) == 0) {
        made++;
    }
    if (!way->overwrites) {
        MAKE_FAIL(-EAGAIN, rbcore_producer_reserve_wait, producer, &data, 200, 60000);
    }
    /* One that is never finished: the reader skips it. */
    rbcore_producer_free(producer_on(f.memory_fd, f.event_fd));
    DROP(rbcore_producer_free, producer);
    ck_check(!is_locked(f.memory_fd), "a lock is left");
    unsigned found = count_records(&f, way->overwrites ? RBCORE_SOURCE_OVERWRITE : 0);
    ck_check(way->overwrites ? found >= 18 : found == made, "records");
    f.producer = producer_on(f.memory_fd, f.event_fd);
    ok(rbcore_producer_output(f.producer, content, 200, 0));
    ck_check(count_records(&f, way->overwrites ? RBCORE_SOURCE_OVERWRITE : 0) > 0, "a last one");
    fixture_drop(&f);
}

#define PRODUCES(name, ...)                                                                        \
    START_TEST(name) {                                                                             \
        each_fault_in(#name, produce_all, &(const production){__VA_ARGS__});                       \
    }                                                                                              \
    END_TEST

PRODUCES(a_producer, .overwrites = false)
PRODUCES(a_producer_behind_a_dead_ones_record, .is_blocked = true)
PRODUCES(a_producer_that_finds_the_lock_taken, .is_locked = true)
PRODUCES(a_producer_that_overwrites, .overwrites = true)
PRODUCES(a_producer_that_overwrites_a_dead_ones_record, .overwrites = true, .is_blocked = true)

/* ---- Files of snapshots ---- */

#define HEADER 128

/* Makes a file of records of one size. */
static int make_file(unsigned records) {
    static char content[200];
    fixture f = fixture_open((size_t)1 << 22, 0);
    rbcore_snapshot *snapshot = NULL;
    while (records-- > 0) {
        ok(rbcore_producer_output(f.producer, content, sizeof(content), 0));
    }
    ok(rbcore_reader_snapshot(f.reader, f.ring, &snapshot, 0));
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    ok(rbcore_snapshot_save(snapshot, file));
    rbcore_snapshot_free(snapshot);
    fixture_close(&f);
    return file;
}

static void load(int file, int expected) {
    rbcore_snapshot *snapshot = NULL;
    ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
    fault_begin((fault_plan){0});
    library_enter();
    int result = rbcore_snapshot_load(&snapshot, file);
    library_leave();
    usage memory = usage_now();
    ck_assert_int_eq(result, expected);
    ck_assert_msg(memory.excess == 0, "%zu bytes of memory, %zu were read", memory.excess,
                  memory.bytes_read);
    ck_assert_uint_ge(memory.bytes_read, HEADER);
    library_enter();
    rbcore_snapshot_free(snapshot);
    library_leave();
}

/* Whatever is read, and however the header lies. */
START_TEST(load_takes_no_more_memory_than_twice_what_it_has_read) {
    const unsigned counts[] = {0, 1, 3, 100, 15000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        int file = make_file(counts[i]);
        load(file, 0);
        uint8_t header[HEADER];
        const uint64_t huge = UINT64_C(1) << 31;
        ck_assert_int_eq(pread(file, header, HEADER, 0), HEADER);
        memcpy(header + 56, &huge, 8);
        memcpy(header + 72, &huge, 8);
        const uint32_t sum = crc32_of(header, HEADER - 4);
        memcpy(header + HEADER - 4, &sum, 4);
        ck_assert_int_eq(pwrite(file, header, HEADER, 0), HEADER);
        load(file, -EBADMSG);
        close(file);
    }
}
END_TEST

/* Records: more than the socket below takes at once. */
#define SOME 50

static rbcore_snapshot *take_some(fixture *f) {
    static char content[200];
    rbcore_snapshot *taken = NULL;
    *f = fixture_open(4 * page_size(), 0);
    for (int i = 0; i < SOME; i++) {
        ok(rbcore_producer_output(f->producer, content, sizeof(content), 0));
    }
    ok(rbcore_reader_snapshot(f->reader, f->ring, &taken, 0));
    return taken;
}

static void expect_all(rbcore_snapshot *loaded) {
    rbcore_record records[SOME + 1];
    ck_check(MAKE(rbcore_snapshot_read, loaded, records, SOME + 1) == SOME, "what was loaded");
    DROP(rbcore_snapshot_free, loaded);
}

static void save_and_load(const void *argument) {
    (void)argument;
    fixture f;
    rbcore_snapshot *taken = take_some(&f), *loaded = NULL;
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    MAKE_AFTER(lseek(file, 0, SEEK_SET), 0, rbcore_snapshot_save, taken, file);
    MAKE_AFTER(lseek(file, 0, SEEK_SET), 0, rbcore_snapshot_load, &loaded, file);
    expect_all(loaded);
    rbcore_snapshot_free(taken);
    close(file);
    fixture_close(&f);
}

START_TEST(a_snapshot_is_saved_and_loaded) {
    each_fault_in("a_snapshot_is_saved_and_loaded", save_and_load, NULL);
}
END_TEST

/* The other end of a socket, which does something only while the library waits for it. */
static struct {
    int ends[2];
    char bytes[1 << 14];
    size_t received, sent, piece;
} peer;

static void receive(void) {
    ssize_t n;
    while ((n = read(peer.ends[1], peer.bytes + peer.received,
                     sizeof(peer.bytes) - peer.received)) > 0) {
        peer.received += (size_t)n;
    }
}

static void send_a_piece(void) {
    size_t left = peer.received - peer.sent, size = left < peer.piece ? left : peer.piece;
    if (size > 0 && write(peer.ends[1], peer.bytes + peer.sent, size) != (ssize_t)size) {
        ck_abort_msg("the peer: %s", strerror(errno));
    }
    peer.sent += size;
}

static void connect_anew(void) {
    const int small = 1;
    if (peer.ends[0] > 0) {
        close(peer.ends[0]);
        close(peer.ends[1]);
    }
    ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, peer.ends));
    ok(setsockopt(peer.ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
}

static void receive_anew(void) {
    connect_anew();
    peer.received = 0;
}

static void send_anew(void) {
    connect_anew();
    peer.sent = 0;
}

static void save_and_load_by_socket(const void *argument) {
    fixture f;
    rbcore_snapshot *taken = take_some(&f), *loaded = NULL;
    memset(&peer, 0, sizeof(peer));
    peer.piece = *(const size_t *)argument;
    fault_before_poll = receive;
    MAKE_AFTER(receive_anew(), 0, rbcore_snapshot_save, taken, peer.ends[0]);
    receive();
    fault_before_poll = send_a_piece;
    MAKE_AFTER(send_anew(), 0, rbcore_snapshot_load, &loaded, peer.ends[0]);
    fault_before_poll = NULL;
    expect_all(loaded);
    rbcore_snapshot_free(taken);
    close(peer.ends[0]);
    close(peer.ends[1]);
    fixture_close(&f);
}

/*
 * Saving waits where the descriptor is full. EINTR and EAGAIN are no errors that the header lists.
 */
START_TEST(load_waits_where_fd_is_non_blocking_and_empty_and_signals_do_not_end_it) {
    const size_t piece = 2000;
    each_fault_in("load_waits_where_fd_is_non_blocking_and_empty", save_and_load_by_socket, &piece);
}
END_TEST

int main(void) {
    if (thread_sanitizer()) {
        skip("ThreadSanitizer's build maps a ring once for all");
    }
    const TTest *const tests[] = {
        a_ring_is_made,
        memfds_can_never_be_executed,
        a_feature_is_asked_for,
        a_producer,
        a_producer_behind_a_dead_ones_record,
        a_producer_that_finds_the_lock_taken,
        a_producer_that_overwrites,
        a_producer_that_overwrites_a_dead_ones_record,
        load_takes_no_more_memory_than_twice_what_it_has_read,
        a_snapshot_is_saved_and_loaded,
        load_waits_where_fd_is_non_blocking_and_empty_and_signals_do_not_end_it,
        NULL};
    return run_tests("faults of producers and files", tests);
}
