/* SPDX-License-Identifier: MIT */
/* The sources of a reader's rings, where it starts in them, several rings, and refusals. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

#define BATCH 256

/* A bpffs that goes with this test, as check runs each in a process of its own. */
#define BPFFS "/sys/fs/bpf"

static const char pin[] = BPFFS "/events";

static void mount_private_bpffs(void) {
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(mount("bpf", BPFFS, "bpf", 0, NULL), 0);
}

static rbcore_source path_source(const char *path) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_PINNED_PATH;
    source.path = path;
    return source;
}

static rbcore_source id_source(uint32_t id) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_ID;
    source.map_id = id;
    return source;
}

static rbcore_source fd_source(int fd) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = fd;
    return source;
}

/* The reader gets the records with these offsets of the pattern, in this order, and no other. */
static void assert_records(rbcore_reader *reader, const struct produce *ring, uint32_t first,
                           uint32_t count) {
    rbcore_record records[BATCH];
    ck_assert_int_eq(read_to_end(reader, records, BATCH), (int)count);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert(is_pattern(ring, records[i].data, records[i].size, first + i));
    }
}

static void emit_several(struct produce *ring, uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
        ck_assert_int_eq(emit(ring, 32, i, 0), 0);
    }
}

static void read_from(const rbcore_source *source, struct produce *ring) {
    rbcore_reader *reader = open_reader(0);
    int index = rbcore_reader_add(reader, source);
    ck_assert_msg(index == 0, "add: %d, %s", index, rbcore_reader_message(reader));
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.map_id, map_id(ring_fd(ring)));
    ck_assert_uint_eq(stats.ring_size, pages(4));
    ck_assert_uint_eq(stats.cookie, source->cookie);
    ck_assert_uint_eq(stats.flags, 0);
    emit_several(ring, 0, 3);
    assert_records(reader, ring, 0, 3);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    rbcore_reader_free(reader);
}

START_TEST(fd_path_and_id) {
    struct produce *ring = load_ring(pages(4));
    mount_private_bpffs();
    ck_assert_int_eq(bpf_obj_pin(ring_fd(ring), pin), 0);
    rbcore_source source = fd_source(ring_fd(ring));
    source.cookie = UINT64_C(0xfedcba9876543210);
    read_from(&source, ring);
    source = path_source(pin);
    read_from(&source, ring);
    source = id_source(map_id(ring_fd(ring)));
    read_from(&source, ring);
    produce__destroy(ring);
}
END_TEST

static void look(const rbcore_source *source, uint64_t consumed, uint64_t produced, pid_t reader) {
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    ck_assert_int_eq(rbcore_source_ring_stats(source, &s), 0);
    ck_assert_uint_eq(s.ring_size, pages(1));
    ck_assert_uint_eq(s.cookie, source->cookie);
    ck_assert_uint_eq(s.flags, 0);
    ck_assert_uint_eq(s.consumer_pos, consumed);
    ck_assert_uint_eq(s.producer_pos, produced);
    ck_assert_uint_eq(s.bytes_waiting, produced - consumed);
    ck_assert_uint_eq(s.reader_pid, (uint64_t)reader);
    ck_assert_uint_eq(s.lost, source->loss_fd == -1 ? RBCORE_UNKNOWN : 1);
    ck_assert_uint_eq(s.records, RBCORE_UNKNOWN);
}

START_TEST(a_ring_is_looked_at_without_a_reader) {
    struct produce *ring = load_ring(pages(1));
    mount_private_bpffs();
    ck_assert_int_eq(bpf_obj_pin(ring_fd(ring), pin), 0);
    rbcore_source sources[] = {source_of(ring), fd_source(ring_fd(ring)), path_source(pin),
                               id_source(map_id(ring_fd(ring)))};
    ck_assert_int_eq(emit(ring, 8, 0, 0), 0);
    ck_assert_int_eq(emit(ring, 16, 0, 0), 0);
    ck_assert_int_lt(emit(ring, (uint32_t)pages(1) - 16, 0, 0), 0); /* it is lost */
    sources[0].cookie = 42;
    for (int i = 0; i < 4; i++) {
        look(&sources[i], 0, 40, 0);
    }
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    for (int i = 0; i < 4; i++) {
        look(&sources[i], 16, 40, getpid());
    }
    rbcore_reader_free(reader);
    look(&sources[0], 16, 40, 0);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ck_assert_int_eq(rbcore_source_ring_stats(&sources[3], &stats), 0);
    ck_assert_uint_eq(stats.map_id, sources[3].map_id);
    produce__destroy(ring);
}
END_TEST

START_TEST(the_caller_may_close_its_fd) {
    struct produce *ring = load_ring(pages(4));
    int fd = fcntl(ring_fd(ring), F_DUPFD_CLOEXEC, 3);
    rbcore_source source = fd_source(fd);
    rbcore_reader *reader = open_reader(0);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    close(fd);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    emit_several(ring, 5, 1);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert(is_pattern(ring, record.data, 32, 5));
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(identity_of_a_record) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_record records[2];
    char text[64] = "", expected[64] = "";
    emit_several(ring, 0, 2);
    ck_assert_int_eq(rbcore_reader_read(reader, records, 2), 2);
    ck_assert_int_eq(rbcore_reader_identity(reader, &records[1], &identity), 0);
    ck_assert_uint_eq(identity.kind, RBCORE_SOURCE_MAP_ID);
    ck_assert_uint_eq(identity.ring_id, map_id(ring_fd(ring)));
    ck_assert_uint_eq(identity.position, span_of(32));
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(expected, sizeof(expected), file));
    fclose(file);
    for (size_t i = 0, n = 0; i < 16; i++) {
        n +=
            (size_t)snprintf(text + n, sizeof(text) - n, "%s%02x",
                             i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", identity.boot_id[i]);
    }
    expected[strcspn(expected, "\n")] = 0;
    ck_assert_str_eq(text, expected);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

START_TEST(latest_skips_what_is_complete) {
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *reader = open_reader(0);
    rbcore_source source = source_of(ring);
    source.flags = RBCORE_SOURCE_LATEST;
    emit_several(ring, 0, 7);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    rbcore_ring_stats stats = stats_of(reader, 0);
    ck_assert_uint_eq(stats.skipped, 7);
    ck_assert_uint_eq(stats.records, 0);
    assert_records(reader, ring, 0, 0);
    emit_several(ring, 7, 2);
    assert_records(reader, ring, 7, 2);
    /* The skipped records are not held: there is room for a ring without the two. */
    ck_assert_int_eq(emit(ring, (uint32_t)(pages(1) - 2 * span_of(32) - 16), 0, 0), 0);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* The pin is all that keeps the ring; the next reader goes on behind the last commit. */
START_TEST(resume_on_an_advanced_pinned_map) {
    struct produce *ring = load_ring(pages(1));
    mount_private_bpffs();
    ck_assert_int_eq(bpf_obj_pin(ring_fd(ring), pin), 0);
    uint32_t first = 0;
    for (int lap = 0; lap < 5 * (int)pages(1) / 4096; lap++) {
        rbcore_reader *reader = open_reader(0);
        rbcore_source source = path_source(pin);
        rbcore_record records[BATCH];
        ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
        emit_several(ring, first + (lap ? 20 : 0), lap ? 30 : 50);
        ck_assert_int_eq(read_to_end(reader, records, BATCH), 50);
        for (uint32_t i = 0; i < 50; i++) {
            ck_assert(is_pattern(ring, records[i].data, 32, first + i));
        }
        ck_assert_int_eq(rbcore_reader_commit(reader, &records[29], 0), 0);
        rbcore_reader_free(reader);
        first += 30;
    }
    struct produce *kept = load_ring(pages(1)); /* only for its pattern */
    produce__destroy(ring);
    rbcore_reader *reader = open_reader(0);
    rbcore_source source = path_source(pin);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    ck_assert_uint_eq(stats_of(reader, 0).user_pos, first * span_of(32));
    assert_records(reader, kept, first, 20);
    rbcore_reader_free(reader);
    produce__destroy(kept);
}
END_TEST

#define RINGS 4

/*
 * The rings have very different backlogs. A ring may have a turn only if each other ring that
 * still has records had one since its last.
 */
START_TEST(several_rings_take_turns) {
    static const uint32_t backlog[RINGS] = {1000, 3, 200, 40};
    struct produce *rings[RINGS];
    rbcore_reader *reader = open_reader(0);
    uint32_t seen[RINGS] = {0};
    unsigned int turn[RINGS] = {0}, turns = 0, passed = 0;
    for (int i = 0; i < RINGS; i++) {
        rings[i] = load_ring(pages(16));
        rbcore_source source = source_of(rings[i]);
        source.cookie = 100 + (uint64_t)i;
        ck_assert_int_eq(rbcore_reader_add(reader, &source), i);
        emit_several(rings[i], 0, backlog[i]);
    }
    for (;;) {
        rbcore_record records[7];
        int count = rbcore_reader_read(reader, records, 7);
        ck_assert_int_ge(count, 0);
        if (!count) {
            break;
        }
        for (int i = 0; i < count; i++) {
            unsigned int ring = records[i].ring;
            ck_assert_uint_lt(ring, RINGS);
            ck_assert(is_pattern(rings[ring], records[i].data, 32, seen[ring]++));
            if (i && records[i - 1].ring == ring) {
                continue;
            }
            for (unsigned int other = 0; other < RINGS; other++) {
                ck_assert_msg(!turn[ring] || other == ring || turn[other] > turn[ring] ||
                                  seen[other] == backlog[other],
                              "ring %u has a second turn before ring %u", ring, other);
            }
            turn[ring] = ++turns;
            passed++;
        }
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    ck_assert_uint_gt(passed, 50);
    for (unsigned int i = 0; i < RINGS; i++) {
        rbcore_ring_stats stats = stats_of(reader, i);
        ck_assert_uint_eq(seen[i], backlog[i]);
        ck_assert_uint_eq(stats.cookie, 100 + i);
        ck_assert_uint_eq(stats.records, backlog[i]);
        ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos);
    }
    rbcore_reader_free(reader);
    for (int i = 0; i < RINGS; i++) {
        produce__destroy(rings[i]);
    }
}
END_TEST

START_TEST(any_of_several_rings_wakes) {
    struct produce *rings[RINGS];
    rbcore_reader *reader = open_reader(0);
    for (int i = 0; i < RINGS; i++) {
        rings[i] = load_ring(pages(1));
        rbcore_source source = source_of(rings[i]);
        ck_assert_int_eq(rbcore_reader_add(reader, &source), i);
    }
    for (int i = 0; i < 50; i++) {
        rbcore_record record;
        ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
        emit_several(rings[i * 7 % RINGS], 0, 1);
        ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
        ck_assert_uint_eq(record.ring, i * 7 % RINGS);
        ck_assert_int_eq(rbcore_reader_commit(reader, &record, 0), 0);
    }
    rbcore_reader_free(reader);
    for (int i = 0; i < RINGS; i++) {
        produce__destroy(rings[i]);
    }
}
END_TEST

START_TEST(a_removed_ring_is_free_for_others) {
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    rbcore_reader *reader = open_ring(ring, 0);
    rbcore_source source = source_of(other);
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 1);
    emit_several(ring, 0, 2);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 1);
    ck_assert_int_eq(rbcore_reader_remove(reader, 0), -EBUSY);
    ck_assert_int_eq(rbcore_reader_commit(reader, &record, 0), 0);
    ck_assert_int_eq(rbcore_reader_remove(reader, 0), 0);
    ck_assert_int_eq(rbcore_reader_remove(reader, 0), -EINVAL);
    emit_several(ring, 2, 1);
    emit_several(other, 9, 1);
    ck_assert_int_eq(rbcore_reader_next(reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(record.ring, 1);
    ck_assert_int_eq(rbcore_reader_read(reader, &record, 1), 0);
    rbcore_reader *heir = open_ring(ring, 0);
    assert_records(heir, ring, 1, 2);
    rbcore_reader_free(heir);
    rbcore_reader_free(reader);
    produce__destroy(ring);
    produce__destroy(other);
}
END_TEST

/* The result of adding a map of this type. */
static int add_map(enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries) {
    int fd = bpf_map_create(type, "other", key, value, entries, NULL);
    ck_assert_int_ge(fd, 0);
    rbcore_source source = fd_source(fd);
    int result = add_result(&source);
    close(fd);
    return result;
}

START_TEST(maps_of_other_types) {
    ck_assert_int_eq(add_map(BPF_MAP_TYPE_HASH, 4, 4, 1), -EMEDIUMTYPE);
    ck_assert_int_eq(add_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1), -EMEDIUMTYPE);
    ck_assert_int_eq(add_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1), -EMEDIUMTYPE);
    ck_assert_int_eq(add_map(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, (uint32_t)pages(1)), -EMEDIUMTYPE);
}
END_TEST

START_TEST(descriptors_that_are_no_maps) {
    int event_fd = eventfd(0, EFD_CLOEXEC);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct produce *ring = load_ring(pages(1));
    rbcore_source source = fd_source(event_fd);
    ck_assert_int_eq(add_result(&source), -EBADFD);
    source.fd = null_fd;
    ck_assert_int_eq(add_result(&source), -EBADFD);
    source.fd = bpf_program__fd(ring->progs.emit);
    ck_assert_int_eq(add_result(&source), -EBADFD);
    /* A closed one, of a number that the reader's own descriptors do not get. */
    source.fd = fcntl(ring_fd(ring), F_DUPFD_CLOEXEC, 500);
    ck_assert_int_ge(source.fd, 500);
    close(source.fd);
    ck_assert_int_eq(add_result(&source), -EBADF);
    source.fd = -1;
    ck_assert_int_eq(add_result(&source), -EINVAL);
    close(event_fd);
    close(null_fd);
    produce__destroy(ring);
}
END_TEST

static int fd_by_id(uint32_t id, uint32_t open_flags) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.map_id = id;
    attr.open_flags = open_flags;
    return (int)syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attr, sizeof(attr));
}

START_TEST(half_permitted_descriptors) {
    struct produce *ring = load_ring(pages(1));
    static const uint32_t flags[] = {BPF_F_RDONLY, BPF_F_WRONLY};
    for (int i = 0; i < 2; i++) {
        int fd = fd_by_id(map_id(ring_fd(ring)), flags[i]);
        ck_assert_int_ge(fd, 0);
        rbcore_source source = fd_source(fd);
        int result = add_result(&source);
        ck_assert_msg(result == -EACCES || result == -EPERM, "%d", result);
        close(fd);
    }
    /* The attempts have left nothing behind. */
    rbcore_reader_free(open_ring(ring, 0));
    produce__destroy(ring);
}
END_TEST

START_TEST(names_of_nothing) {
    struct produce *ring = load_ring(pages(1));
    uint32_t id = map_id(ring_fd(ring));
    produce__destroy(ring);
    rbcore_source source = id_source(id);
    /* The kernel frees a map some time after its last descriptor was closed. */
    for (int i = 0; i < 200 && add_result(&source) != -ENOENT; i++) {
        sleep_ms(50);
    }
    ck_assert_int_eq(add_result(&source), -ENOENT);
    source = path_source("/nowhere/at/all");
    ck_assert_int_eq(add_result(&source), -ENOENT);
    mount_private_bpffs();
    source = path_source(pin);
    ck_assert_int_eq(add_result(&source), -ENOENT);
    source.path = NULL;
    ck_assert_int_eq(add_result(&source), -EINVAL);
}
END_TEST

START_TEST(paths_that_pin_no_ring) {
    struct produce *ring = load_ring(pages(1));
    mount_private_bpffs();
    ck_assert_int_eq(bpf_obj_pin(loss_fd(ring), pin), 0);
    rbcore_source source = path_source(pin);
    ck_assert_int_eq(add_result(&source), -EMEDIUMTYPE);
    ck_assert_int_eq(unlink(pin), 0);
    source = path_source("/dev/null");
    ck_assert_int_lt(add_result(&source), 0);
    produce__destroy(ring);
}
END_TEST

START_TEST(maps_without_permission) {
    struct produce *ring = load_ring(pages(1));
    mount_private_bpffs();
    ck_assert_int_eq(bpf_obj_pin(ring_fd(ring), pin), 0);
    rbcore_source by_path = path_source(pin), by_id = id_source(map_id(ring_fd(ring)));
    pid_t pid = fork_child();
    if (pid == 0) {
        if (setresuid(65534, 65534, 65534)) {
            _exit(1);
        }
        int path_result = add_result(&by_path), id_result = add_result(&by_id);
        _exit(path_result != -EACCES && path_result != -EPERM ? 2 : id_result != -EPERM ? 3 : 0);
    }
    ck_assert_int_eq(wait_child(pid), 0);
    produce__destroy(ring);
}
END_TEST

static int add_with_loss_map(struct produce *ring, enum bpf_map_type type, uint32_t value) {
    int fd = bpf_map_create(type, "loss", 4, value, 1, NULL);
    ck_assert_int_ge(fd, 0);
    rbcore_source source = source_of(ring);
    source.loss_fd = fd;
    int result = add_result(&source);
    close(fd);
    return result;
}

START_TEST(loss_maps_of_other_kinds) {
    struct produce *ring = load_ring(pages(1));
    ck_assert_int_eq(add_with_loss_map(ring, BPF_MAP_TYPE_PERCPU_ARRAY, 16), 0);
    ck_assert_int_eq(add_with_loss_map(ring, BPF_MAP_TYPE_PERCPU_ARRAY, 8), -EMEDIUMTYPE);
    ck_assert_int_eq(add_with_loss_map(ring, BPF_MAP_TYPE_PERCPU_ARRAY, 24), -EMEDIUMTYPE);
    ck_assert_int_eq(add_with_loss_map(ring, BPF_MAP_TYPE_ARRAY, 16), -EMEDIUMTYPE);
    ck_assert_int_eq(add_with_loss_map(ring, BPF_MAP_TYPE_PERCPU_HASH, 16), -EMEDIUMTYPE);
    rbcore_source source = source_of(ring);
    source.loss_fd = 1 << 20;
    ck_assert_int_eq(add_result(&source), -EBADF);
    rbcore_reader_free(open_ring(ring, 0));
    produce__destroy(ring);
}
END_TEST

/* A reader has 3, and one for each map. */
START_TEST(a_ring_that_goes_leaves_no_descriptor) {
    struct produce *ring = load_ring(pages(1)), *other = load_ring(pages(1));
    rbcore_source source = source_of(ring);
    unsigned int fds = open_fds();
    rbcore_reader *reader = open_reader(0);
    ck_assert_uint_eq(open_fds(), fds + 3);
    source.loss_fd = -1;
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    ck_assert_uint_eq(open_fds(), fds + 3 + 1);
    source = source_of(other);
    source.loss_fd = loss_fd(other);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 1);
    ck_assert_uint_eq(open_fds(), fds + 3 + 1 + 2);
    rbcore_reader_free(reader);
    ck_assert_uint_eq(open_fds(), fds);
    produce__destroy(other);
    produce__destroy(ring);
}
END_TEST

/* Asks the kernel itself, which makes such a map or refuses. */
static int can_create(enum bpf_map_type type, uint32_t flags) {
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
    int fd = bpf_map_create(type, "probe", 0, 0, (uint32_t)pages(1), &opts);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

START_TEST(what_the_library_supports) {
    const uint32_t overwrite = 1U << 19; /* BPF_F_RB_OVERWRITE, Linux 6.19 */
    ck_assert_int_eq(rbcore_supports(RBCORE_FEATURE_KERNEL_RING),
                     can_create(BPF_MAP_TYPE_RINGBUF, 0));
    ck_assert_int_eq(rbcore_supports(RBCORE_FEATURE_OVERWRITE),
                     can_create(BPF_MAP_TYPE_RINGBUF, overwrite));
    ck_assert_int_eq(rbcore_supports(RBCORE_FEATURE_USER_RING),
                     can_create(BPF_MAP_TYPE_USER_RINGBUF, 0));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sources");
    add_test(suite, a_ring_that_goes_leaves_no_descriptor);
    add_test(suite, what_the_library_supports);
    add_test(suite, fd_path_and_id);
    add_test(suite, a_ring_is_looked_at_without_a_reader);
    add_test(suite, the_caller_may_close_its_fd);
    add_test(suite, identity_of_a_record);
    add_test(suite, latest_skips_what_is_complete);
    add_test(suite, resume_on_an_advanced_pinned_map);
    add_test(suite, several_rings_take_turns);
    add_test(suite, any_of_several_rings_wakes);
    add_test(suite, a_removed_ring_is_free_for_others);
    add_test(suite, maps_of_other_types);
    add_test(suite, descriptors_that_are_no_maps);
    add_test(suite, half_permitted_descriptors);
    add_test(suite, names_of_nothing);
    add_test(suite, paths_that_pin_no_ring);
    add_test(suite, maps_without_permission);
    add_test(suite, loss_maps_of_other_kinds);
    return run_kernel_tests(suite, geteuid() ? "it must mount a bpffs: root only" : NULL);
}
