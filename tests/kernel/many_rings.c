/* SPDX-License-Identifier: MIT */
/* Bursts in many rings of the kernel: see tests/crowd. No timer looks at them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <rbcore/rbcore.h>

#include "../crowd/crowd.h"
#include "../support/machine.h"
#include "many.h"
#include "many.skel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WAKEUP_DELAY_MS 20000

static int emit(void *context, unsigned int ring, uint64_t value) {
    const struct many *programs = context;
    struct many_args args = {.value = value, .ring = ring};
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
    int error = bpf_prog_test_run_opts(bpf_program__fd(programs->progs.emit), &options);
    return error != 0 ? error : (int)options.retval;
}

static struct many *load_programs(void) {
    struct many *programs = many__open();
    ck_assert_ptr_nonnull(programs);
    int like = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "like", 0, 0, (uint32_t)getpagesize(), NULL);
    ck_assert_int_ge(like, 0);
    ck_assert_int_eq(bpf_map__set_inner_map_fd(programs->maps.rings, like), 0);
    ck_assert_int_eq(many__load(programs), 0);
    close(like);
    return programs;
}

/* By one call where the kernel has it: each waits for a grace period. */
static void put_into_array(const struct many *programs, unsigned int count, unsigned int *keys,
                           int *fds) {
    int array = bpf_map__fd(programs->maps.rings);
    unsigned int added = count;
    if (bpf_map_update_batch(array, keys, fds, &added, NULL) == 0) {
        return;
    }
    for (unsigned int i = 0; i < count; i++) {
        ck_assert_int_eq(bpf_map_update_elem(array, &keys[i], &fds[i], 0), 0);
    }
}

static struct many *make_rings(unsigned int count, int *fds) {
    struct many *programs = load_programs();
    unsigned int *keys = calloc(count, sizeof(*keys));
    ck_assert_ptr_nonnull(keys);
    for (unsigned int i = 0; i < count; i++) {
        keys[i] = i;
        fds[i] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "many", 0, 0, (uint32_t)getpagesize(), NULL);
        ck_assert_int_ge(fds[i], 0);
    }
    put_into_array(programs, count, keys, fds);
    free(keys);
    return programs;
}

static rbcore_reader *open_reader(crowd_way way) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = way == CROWD_WORKERS ? RBCORE_READER_RELEASE : 0;
    rbcore_reader *reader;
    ck_assert_int_eq(rbcore_reader_open(&reader, &options), 0);
    return reader;
}

static int add_ring(rbcore_reader *reader, int fd) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = fd;
    return rbcore_reader_add(reader, &source);
}

static void run_with(unsigned int count, crowd_way way, unsigned int bursts) {
    int *fds = calloc(count, sizeof(*fds));
    ck_assert_ptr_nonnull(fds);
    struct many *programs = make_rings(count, fds);
    rbcore_reader *reader = open_reader(way);
    for (unsigned int i = 0; i < count; i++) {
        ck_assert_int_eq(add_ring(reader, fds[i]), (int)i);
        close(fds[i]);
    }
    const crowd c = {.reader = reader,
                     .rings = count,
                     .emit = emit,
                     .context = programs,
                     .wakeup_delay_ms = WAKEUP_DELAY_MS};
    crowd_run(&c, way, bursts);
    rbcore_reader_free(reader);
    many__destroy(programs);
    free(fds);
}

START_TEST(forty_rings) {
    run_with(40, (crowd_way)_i, 1000);
}
END_TEST

START_TEST(nine_hundred_rings) {
    run_with(900, (crowd_way)_i, 500);
}
END_TEST

#define FEW 16 /* all of which are looked at each time */

static bool is_readable(const rbcore_reader *reader, int timeout_ms) {
    return readable(rbcore_reader_fd(reader), timeout_ms);
}

static void read_to_end(rbcore_reader *reader, int expected) {
    rbcore_record records[FEW];
    ck_assert_int_eq(rbcore_reader_read(reader, records, FEW), expected);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    ck_assert_int_eq(rbcore_reader_read(reader, records, FEW), 0);
}

/* Each of a few wakes a wait that was armed before. One more does with what is in it. */
START_TEST(a_ring_is_added) {
    int fds[FEW + 2];
    struct many *programs = make_rings(FEW + 2, fds);
    rbcore_reader *reader = open_reader(CROWD_READS);
    for (int i = 0; i < FEW; i++) {
        ck_assert_int_eq(add_ring(reader, fds[i]), i);
        ck_assert(is_readable(reader, 0));
        read_to_end(reader, 0);
    }
    ck_assert_int_eq(add_ring(reader, fds[FEW]), FEW);
    ck_assert(!is_readable(reader, 0));
    ck_assert_int_eq(emit(programs, FEW, 1), 0);
    ck_assert(is_readable(reader, WAKEUP_DELAY_MS));
    read_to_end(reader, 1);
    ck_assert_int_eq(emit(programs, FEW + 1, 1), 0);
    ck_assert_int_eq(add_ring(reader, fds[FEW + 1]), FEW + 1);
    ck_assert(is_readable(reader, 0));
    read_to_end(reader, 1);
    rbcore_reader_free(reader);
    many__destroy(programs);
    for (int i = 0; i < FEW + 2; i++) {
        close(fds[i]);
    }
}
END_TEST

/* ---- Where it ends ---- */

#define RINGS 60
#define DESCRIPTORS 40
#define FOR_A_MOMENT 4 /* what an add opens and closes again */

/* So many more than are open now. Returns the old limit. */
static struct rlimit limit_descriptors(unsigned int more) {
    struct rlimit old, limit;
    int lowest = dup(0);
    close(lowest);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = old;
    limit.rlim_cur = (rlim_t)lowest + more;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return old;
}

/* A ring takes one descriptor. An add that gets none says so, and leaves nothing behind. */
START_TEST(no_descriptors_left) {
    int fds[RINGS], added = 0, result = 0, failures = 0;
    for (int i = 0; i < RINGS; i++) {
        fds[i] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "many", 0, 0, (uint32_t)getpagesize(), NULL);
        ck_assert_int_ge(fds[i], 0);
    }
    rbcore_reader *reader = open_reader(CROWD_READS);
    const unsigned int before = open_fds();
    const struct rlimit old = limit_descriptors(DESCRIPTORS);
    while (added < RINGS && (result = add_ring(reader, fds[added])) == added) {
        added++;
    }
    for (; failures < 3 * RINGS && result == -EMFILE; failures++) {
        result = add_ring(reader, fds[added]);
    }
    bool is_clear = strstr(rbcore_reader_message(reader), "Too many open files") != NULL;
    int removed = rbcore_reader_remove(reader, 0), again = add_ring(reader, fds[0]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert_int_eq(failures, 3 * RINGS);
    ck_assert(is_clear);
    ck_assert_int_ge(added, DESCRIPTORS - FOR_A_MOMENT);
    ck_assert_int_eq(removed, 0);
    ck_assert_int_ge(again, added);
    ck_assert_uint_eq(open_fds(), before + (unsigned int)added);
    for (int i = added; i < RINGS; i++) {
        ck_assert_int_ge(add_ring(reader, fds[i]), 0);
    }
    rbcore_reader_free(reader);
    ck_assert_uint_eq(open_fds(), before - 3);
    for (int i = 0; i < RINGS; i++) {
        close(fds[i]);
    }
}
END_TEST

static void add_ways(Suite *suite, const TTest *test) {
    TCase *tcase = tcase_create(test->name);
    tcase_set_timeout(tcase, 100);
    tcase_add_loop_test(tcase, test, 0, CROWD_WAYS);
    suite_add_tcase(suite, tcase);
}

int main(void) {
    libbpf_set_print(NULL);
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)getpagesize(), NULL);
    if (fd < 0) {
        printf("skipped: bpf(2) does not create a ring: %s\n", strerror(errno));
        return 77;
    }
    close(fd);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    Suite *suite = suite_create("many rings");
    TCase *tcase = tcase_create("limits");
    tcase_add_test(tcase, no_descriptors_left);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("a_ring_is_added");
    tcase_add_test(tcase, a_ring_is_added);
    suite_add_tcase(suite, tcase);
    add_ways(suite, forty_rings);
    if (limit.rlim_max >= 2 * 900 + 100) {
        add_ways(suite, nine_hundred_rings);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
