/* SPDX-License-Identifier: MIT */
/*
 * The rings of rbcore_memory_ring_create, and sources that a reader and a producer refuse to open.
 */
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int add(rbcore_reader *reader, rbcore_source source) {
    return rbcore_reader_add(reader, &source);
}

static int add_to(const fixture *ring, uint32_t flags) {
    rbcore_reader *reader;
    ok(rbcore_reader_open(&reader, NULL));
    rbcore_source source = memory_source(ring->memory_fd, ring->event_fd);
    source.flags = flags;
    int result = add(reader, source);
    rbcore_reader_free(reader);
    return result;
}

static int open_producer(rbcore_source source) {
    rbcore_producer *producer;
    return rbcore_producer_open(&producer, &source);
}

START_TEST(a_new_ring) {
    int memory_fd, event_fd;
    const size_t size = 4 * page_size();
    ok(rbcore_memory_ring_create(&memory_fd, &event_fd, size, 0));
    struct stat status;
    ok(fstat(memory_fd, &status));
    ck_assert_uint_eq((size_t)status.st_size, size + 2 * page_size());
    int seals = fcntl(memory_fd, F_GET_SEALS);
    ck_assert_int_eq(seals & ALL_SEALS, ALL_SEALS);
    ck_assert_int_eq(seals & F_SEAL_WRITE, 0);
    ck_assert_int_eq(ftruncate(memory_fd, 0), -1);
    ck_assert(fcntl(memory_fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(event_fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(!readable(event_fd, 0));
    close(memory_fd);
    close(event_fd);
}
END_TEST

START_TEST(rings_that_cannot_be_made) {
    int memory_fd = -7, event_fd = -7;
    const size_t sizes[] = {0,
                            1,
                            page_size() / 2,
                            page_size() - 1,
                            page_size() + 1,
                            3 * page_size(),
                            ((size_t)1 << 30) + page_size(),
                            (size_t)1 << 31,
                            SIZE_MAX / 2 + 1,
                            SIZE_MAX};
    unsigned int fds = open_fds();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        ck_assert_int_eq(rbcore_memory_ring_create(&memory_fd, &event_fd, sizes[i], 0), -EINVAL);
    }
    ck_assert_int_eq(rbcore_memory_ring_create(NULL, &event_fd, page_size(), 0), -EINVAL);
    ck_assert_int_eq(rbcore_memory_ring_create(&memory_fd, NULL, page_size(), 0), -EINVAL);
    ck_assert_int_eq(rbcore_memory_ring_create(&memory_fd, &event_fd, page_size(), 2), -EINVAL);
    ck_assert_uint_eq(open_fds(), fds);
    /* The largest takes no memory before it is written to. */
    ok(rbcore_memory_ring_create(&memory_fd, &event_fd, (size_t)1 << 30, 0));
    close(memory_fd);
    close(event_fd);
}
END_TEST

START_TEST(options) {
    rbcore_reader *reader;
    rbcore_reader_options o = RBCORE_READER_OPTIONS_INIT;
    ck_assert_int_eq(rbcore_reader_open(NULL, &o), -EINVAL);
    o.flags = 8;
    ck_assert_int_eq(rbcore_reader_open(&reader, &o), -EINVAL);
    o.flags = RBCORE_READER_POLL;
    o.max_latency_ns = 0;
    ck_assert_int_eq(rbcore_reader_open(&reader, &o), -EINVAL);
    o.flags = 0;
    o.max_latency_ns = -1;
    ck_assert_int_eq(rbcore_reader_open(&reader, &o), -EINVAL);
    o.max_latency_ns = RBCORE_DEFAULT_MAX_LATENCY;
    o.flags = UINT32_C(1) << 31 | RBCORE_READER_RELEASE;
    ck_assert_int_eq(rbcore_reader_open(&reader, &o), -EINVAL);
    o.flags = 0;
    o.order_clock = CLOCK_BOOTTIME; /* there is no reading in the order of time yet */
    ck_assert_int_eq(rbcore_reader_open(&reader, &o), -EINVAL);
    o.order_clock = 0;
    const size_t absurd[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
        o.size = absurd[i];
        ck_assert_int_eq(rbcore_reader_open(&reader, &o), -EINVAL);
    }
    struct {
        rbcore_reader_options known;
        uint64_t future[4];
    } newer = {.known = RBCORE_READER_OPTIONS_INIT};
    newer.known.size = sizeof(newer);
    ok(rbcore_reader_open(&reader, &newer.known));
    rbcore_reader_free(reader);
    newer.future[3] = 1;
    ck_assert_int_eq(rbcore_reader_open(&reader, &newer.known), -E2BIG);
    o.size = sizeof(size_t); /* older than flags: whatever follows is not ours to read */
    o.flags = o.order_clock = UINT32_MAX;
    ok(rbcore_reader_open(&reader, &o));
    rbcore_reader_free(reader);
}
END_TEST

/* A ring, a reader for it that has none yet, and the source that would work. */
typedef struct trial {
    fixture f;
    rbcore_source good;
    unsigned int fds;
} trial;

static trial trial_open(void) {
    trial t = {.f = {0}};
    ok(rbcore_memory_ring_create(&t.f.memory_fd, &t.f.event_fd, page_size(), 0));
    ok(rbcore_reader_open(&t.f.reader, NULL));
    t.good = memory_source(t.f.memory_fd, t.f.event_fd);
    t.fds = open_fds();
    return t;
}

/* Nothing was leaked by what was refused, and the good source still works. */
static void trial_close(trial *t) {
    ck_assert_uint_eq(open_fds(), t->fds);
    ck_assert_int_eq(add(t->f.reader, t->good), 0);
    fixture_close(&t->f);
}

static void refused(trial *t, rbcore_source source, int error, int producer_error) {
    ck_assert_int_eq(add(t->f.reader, source), error);
    ck_assert_str_ne(rbcore_reader_message(t->f.reader), "");
    if (producer_error) {
        ck_assert_int_eq(open_producer(source), producer_error);
    }
}

START_TEST(malformed_sources) {
    trial t = trial_open();
    rbcore_source s;
    ck_assert_int_eq(rbcore_reader_add(t.f.reader, NULL), -EINVAL);
    ck_assert_int_eq(rbcore_reader_add(NULL, &t.good), -EINVAL);
    ck_assert_int_eq(rbcore_producer_open(NULL, &t.good), -EINVAL);
    rbcore_producer *producer;
    ck_assert_int_eq(rbcore_producer_open(&producer, NULL), -EINVAL);
    const size_t absurd[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
        s = t.good;
        s.size = absurd[i];
        refused(&t, s, -EINVAL, -EINVAL);
    }
    s = t.good;
    s.kind = 0;
    refused(&t, s, -EINVAL, -EINVAL);
    s.kind = 5;
    refused(&t, s, -EINVAL, -EINVAL);
    s.kind = UINT32_MAX;
    refused(&t, s, -EINVAL, -EINVAL);
    s = t.good;
    s.flags = 16;
    refused(&t, s, -EINVAL, -EINVAL);
    s.flags = RBCORE_SOURCE_LATEST;
    ck_assert_int_eq(open_producer(s), -EINVAL);
    s.flags = RBCORE_SOURCE_INSIST; /* a memory ring has several producers: on what? */
    ck_assert_int_eq(open_producer(s), -EINVAL);
    s = t.good;
    s.fd = -1;
    refused(&t, s, -EINVAL, -EINVAL);
    s = t.good;
    s.event_fd = -1;
    refused(&t, s, -EINVAL, -EINVAL);
    s = (rbcore_source)RBCORE_SOURCE_INIT;
    s.kind = RBCORE_SOURCE_MAP_FD;
    refused(&t, s, -EINVAL, -EINVAL);
    s.kind = RBCORE_SOURCE_PINNED_PATH;
    refused(&t, s, -EINVAL, -EINVAL);
    s.kind = RBCORE_SOURCE_MAP_ID;
    refused(&t, s, -EINVAL, -EINVAL);
    struct {
        rbcore_source known;
        uint64_t future;
    } newer = {.known = t.good, .future = 1};
    newer.known.size = sizeof(newer);
    ck_assert_int_eq(rbcore_reader_add(t.f.reader, &newer.known), -E2BIG);
    ck_assert_int_eq(rbcore_producer_open(&producer, &newer.known), -E2BIG);
    newer.future = 0;
    ck_assert_int_eq(rbcore_reader_add(t.f.reader, &newer.known), 0);
    ok(rbcore_reader_remove(t.f.reader, 0));
    /* An older caller's struct ends before the cookie: what lies behind is not looked at. */
    s = t.good;
    s.size = offsetof(rbcore_source, path);
    s.cookie = 99;
    int index = rbcore_reader_add(t.f.reader, &s);
    ck_assert_int_eq(index, 1);
    t.f.ring = 1;
    ck_assert_uint_eq(ring_stats(&t.f).cookie, 0);
    fixture_close(&t.f);
}
END_TEST

START_TEST(descriptors_of_other_things) {
    trial t = trial_open();
    int pipes[2];
    ok(pipe(pipes));
    int null = open("/dev/null", O_RDWR);
    char path[] = "/tmp/rbcore-XXXXXX";
    int file = mkstemp(path);
    ok(ftruncate(file, (off_t)(3 * page_size())));
    t.fds = open_fds();
    const int others[] = {pipes[0], pipes[1], null, file, t.f.event_fd};
    rbcore_source s;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        s = t.good;
        s.fd = others[i];
        refused(&t, s, -EBADFD, -EBADFD);
    }
    const int no_events[] = {pipes[0], pipes[1], null, file, t.f.memory_fd};
    for (size_t i = 0; i < sizeof(no_events) / sizeof(*no_events); i++) {
        s = t.good;
        s.event_fd = no_events[i];
        refused(&t, s, -EBADFD, -EBADFD);
    }
    /* An eventfd that blocks, and what does not block and is no eventfd. */
    int blocks = eventfd(0, EFD_CLOEXEC), pipe2_fds[2];
    ok(pipe2(pipe2_fds, O_NONBLOCK | O_CLOEXEC));
    t.fds = open_fds();
    s.event_fd = blocks;
    refused(&t, s, -EBADFD, -EBADFD);
    s.event_fd = pipe2_fds[1];
    refused(&t, s, -EBADFD, -EBADFD);
    close(blocks);
    close(pipe2_fds[0]);
    close(pipe2_fds[1]);
    t.fds = open_fds();
    s = t.good;
    s.fd = 15000;
    refused(&t, s, -EBADF, -EBADF);
    s = t.good;
    s.event_fd = 15000;
    refused(&t, s, -EBADF, -EBADF);
    s = t.good;
    s.fd = -2;
    ck_assert_int_lt(add(t.f.reader, s), 0);
    s = (rbcore_source)RBCORE_SOURCE_INIT;
    s.kind = RBCORE_SOURCE_MAP_FD;
    s.fd = file;
    refused(&t, s, -EBADFD, -EBADFD);
    s.fd = t.f.memory_fd;
    refused(&t, s, -EBADFD, -EBADFD);
    s.fd = 15000;
    refused(&t, s, -EBADF, -EBADF);
    s.kind = RBCORE_SOURCE_PINNED_PATH;
    s.path = "/nonexistent/ring";
    refused(&t, s, -ENOENT, -ENOENT);
    trial_close(&t);
    close(file);
    unlink(path);
    close(null);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

/* A memfd with the content of a good ring, but with a size and seals of our own. */
static int copy_of(int memory_fd, size_t size, int seals) {
    int copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat status;
    ok(fstat(memory_fd, &status));
    ok(ftruncate(copy, (off_t)size));
    for (off_t at = 0; at < status.st_size && at < (off_t)size; at += 4096) {
        char buffer[4096];
        size_t n = size - (size_t)at < sizeof(buffer) ? size - (size_t)at : sizeof(buffer);
        ck_assert_int_eq(pread(memory_fd, buffer, n, at), (ssize_t)n);
        ck_assert_int_eq(pwrite(copy, buffer, n, at), (ssize_t)n);
    }
    if (seals) {
        ok(fcntl(copy, F_ADD_SEALS, seals));
    }
    return copy;
}

static int try_copy(trial *t, int copy) {
    rbcore_source s = t->good;
    s.fd = copy;
    int result = add(t->f.reader, s);
    int producer_result = open_producer(s);
    ck_assert_int_eq(producer_result, result);
    close(copy);
    return result;
}

START_TEST(memory_of_another_shape) {
    trial t = trial_open();
    const size_t page = page_size(), full = 3 * page;
    ck_assert_int_eq(try_copy(&t, copy_of(t.f.memory_fd, full, 0)), -EBADFD);
    ck_assert_int_eq(try_copy(&t, copy_of(t.f.memory_fd, full, F_SEAL_GROW)), -EBADFD);
    ck_assert_int_eq(try_copy(&t, copy_of(t.f.memory_fd, full, F_SEAL_SHRINK)), -EBADFD);
    const size_t sizes[] = {
        0,           page,           2 * page, 2 * page + 8, full - page, full - 4096 + 2048,
        full + page, full + 2 * page};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        if (sizes[i] == full) {
            continue;
        }
        int result = try_copy(&t, copy_of(t.f.memory_fd, sizes[i], ALL_SEALS));
        ck_assert_msg(result == -EBADFD, "size %zu: %d", sizes[i], result);
    }
    /* All is of the right size, and all is zero: no ring was ever made of it. */
    int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(ftruncate(empty, (off_t)full));
    ok(fcntl(empty, F_ADD_SEALS, ALL_SEALS));
    ck_assert_int_eq(try_copy(&t, empty), -EBADFD);
    /* The ring is laid out for pages of another size, or as another ring. */
    for (size_t word = 0; word < 2; word++) {
        int other = copy_of(t.f.memory_fd, full, 0);
        image raw = image_map(other);
        ((uint64_t *)(void *)(raw.base + page + 136))[word] *= 2;
        image_unmap(&raw);
        ok(fcntl(other, F_ADD_SEALS, ALL_SEALS));
        ck_assert_int_eq(try_copy(&t, other), -EBADFD);
    }
    /* The copy as such is no obstacle. */
    int good = copy_of(t.f.memory_fd, full, ALL_SEALS);
    rbcore_source s = t.good;
    s.fd = good;
    ck_assert_int_eq(add(t.f.reader, s), 0);
    ok(rbcore_reader_remove(t.f.reader, 0));
    close(good);
    ck_assert_uint_eq(open_fds(), t.fds);
    fixture_close(&t.f);
}
END_TEST

START_TEST(descriptors_without_permission) {
    trial t = trial_open();
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", t.f.memory_fd);
    const int modes[] = {O_RDONLY, O_WRONLY, O_PATH};
    for (int i = 0; i < 3; i++) {
        int fd = open(path, modes[i] | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        rbcore_source s = t.good;
        s.fd = fd;
        int result = add(t.f.reader, s);
        if (modes[i] == O_PATH) {
            ck_assert(result == -EBADF || result == -EBADFD || result == -EACCES);
        } else {
            ck_assert(result == -EACCES || result == -EPERM);
        }
        result = open_producer(s);
        ck_assert(result == -EACCES || result == -EPERM || modes[i] == O_PATH);
        ck_assert_int_lt(result, 0);
        close(fd);
    }
    trial_close(&t);
}
END_TEST

START_TEST(impossible_positions) {
    const uint64_t size = page_size();
    const uint64_t cases[][2] = {/* consumer, producer */
                                 {8, 0},
                                 {0, size + 8},
                                 {4, 8},
                                 {0, 4},
                                 {1, 1},
                                 {size, 0},
                                 {UINT64_MAX - 7, size},
                                 {UINT64_MAX - 7, UINT64_MAX - 15}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        trial t = trial_open();
        image raw = image_map(t.f.memory_fd);
        image_store(raw.consumer_pos, cases[i][0]);
        image_store(raw.producer_pos, cases[i][1]);
        int result = add(t.f.reader, t.good);
        ck_assert_msg(result == -EBADMSG, "case %zu: %d", i, result);
        ck_assert_str_ne(rbcore_reader_message(t.f.reader), "");
        ck_assert_int_eq(open_producer(t.good), -EBADMSG);
        image_store(raw.consumer_pos, 0);
        image_store(raw.producer_pos, 0);
        image_unmap(&raw);
        trial_close(&t);
    }
}
END_TEST

START_TEST(no_descriptors_left) {
    trial t = trial_open();
    struct rlimit limit, none;
    ok(getrlimit(RLIMIT_NOFILE, &limit));
    int results[3], n = 0;
    /* At first no descriptor is left, then one more each time, until it works. */
    none = limit;
    int lowest = dup(0);
    close(lowest);
    int result;
    rbcore_producer *producer = NULL;
    do {
        none.rlim_cur = (rlim_t)(lowest + n);
        ok(setrlimit(RLIMIT_NOFILE, &none));
        result = rbcore_reader_add(t.f.reader, &t.good);
        ck_assert(result == -EMFILE || result == 0);
        n++;
    } while (result);
    ck_assert_int_gt(n, 1);
    ck_assert_int_le(n, 4); /* two for a memory ring; one may be taken among them */
    ok(rbcore_reader_remove(t.f.reader, 0));
    none.rlim_cur = (rlim_t)lowest;
    ok(setrlimit(RLIMIT_NOFILE, &none));
    results[0] = rbcore_producer_open(&producer, &t.good);
    rbcore_reader *reader;
    results[1] = rbcore_reader_open(&reader, NULL);
    int memory_fd, event_fd;
    results[2] = rbcore_memory_ring_create(&memory_fd, &event_fd, page_size(), 0);
    ok(setrlimit(RLIMIT_NOFILE, &limit));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(results[i], -EMFILE);
    }
    ck_assert_uint_eq(open_fds(), t.fds);
    fixture_close(&t.f);
}
END_TEST

/* ---- RLIMIT_FSIZE ---- */

static _Atomic int excesses;

static void note_excess(int signal) {
    (void)signal;
    excesses++;
}

static bool excess_is_pending(void) {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGXFSZ) == 1;
}

/* A ring beyond the limit is refused by -EFBIG, and the process gets no signal. */
static void exceed_the_limit(const fixture *overwriting, const fixture *normal) {
    int memory_fd, event_fd;
    const bool was_pending = excess_is_pending();
    unsigned int fds = open_fds();
    ck_assert_int_eq(rbcore_memory_ring_create(&memory_fd, &event_fd, 1 << 20, 0), -EFBIG);
    ck_assert_int_eq(add_to(normal, RBCORE_SOURCE_TAP), -EFBIG);
    ck_assert_int_eq(add_to(overwriting, RBCORE_SOURCE_OVERWRITE), -EFBIG);
    ck_assert_int_eq(add_to(overwriting, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP), -EFBIG);
    ck_assert_int_eq(add_to(normal, 0), 0); /* has no copy */
    ck_assert_uint_eq(open_fds(), fds);
    ck_assert_int_eq(excess_is_pending(), was_pending);
    sigset_t mask;
    ok(sigprocmask(SIG_SETMASK, NULL, &mask));
    ck_assert_int_eq(sigismember(&mask, SIGXFSZ), was_pending);
}

/* "No SIGXFSZ is delivered": neither its default action, which ends the process, nor a handler. */
START_TEST(beyond_the_limit_of_file_sizes) {
    fixture overwriting = {0}, normal = {0};
    ok(rbcore_memory_ring_create(&overwriting.memory_fd, &overwriting.event_fd, 1 << 20,
                                 RBCORE_MEMORY_RING_OVERWRITE));
    ok(rbcore_memory_ring_create(&normal.memory_fd, &normal.event_fd, 1 << 20, 0));
    ok(setrlimit(RLIMIT_FSIZE, &(struct rlimit){65536, RLIM_INFINITY}));
    signal(SIGXFSZ, SIG_DFL);
    exceed_the_limit(&overwriting, &normal);
    signal(SIGXFSZ, SIG_IGN);
    exceed_the_limit(&overwriting, &normal);
    signal(SIGXFSZ, note_excess);
    exceed_the_limit(&overwriting, &normal);
    ck_assert_int_eq(excesses, 0);
    /* One that waits is another's, and goes on waiting. */
    sigset_t excess, before;
    sigemptyset(&excess);
    sigaddset(&excess, SIGXFSZ);
    ok(sigprocmask(SIG_BLOCK, &excess, &before));
    ok(raise(SIGXFSZ));
    exceed_the_limit(&overwriting, &normal);
    ok(sigprocmask(SIG_SETMASK, &before, NULL));
    ck_assert_int_eq(excesses, 1);
    ok(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}));
    ck_assert_int_eq(add_to(&normal, RBCORE_SOURCE_TAP), 0);
    close(overwriting.memory_fd);
    close(overwriting.event_fd);
    close(normal.memory_fd);
    close(normal.event_fd);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {a_new_ring,
                                  rings_that_cannot_be_made,
                                  options,
                                  malformed_sources,
                                  descriptors_of_other_things,
                                  memory_of_another_shape,
                                  descriptors_without_permission,
                                  impossible_positions,
                                  no_descriptors_left,
                                  beyond_the_limit_of_file_sizes,
                                  NULL};
    return run_tests("sources", tests);
}
