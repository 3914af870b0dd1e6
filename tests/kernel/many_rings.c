/* SPDX-License-Identifier: MIT */
/* Bursts in many rings of the kernel: see tests/crowd. No timer looks at them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <rbcore/rbcore.h>

#include "../crowd/crowd.h"
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
    struct emit_args args = {.value = value, .ring = ring};
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

static void run_with(unsigned int count, crowd_way way, unsigned int bursts) {
    int *fds = calloc(count, sizeof(*fds));
    ck_assert_ptr_nonnull(fds);
    struct many *programs = make_rings(count, fds);
    rbcore_reader *reader = open_reader(way);
    for (unsigned int i = 0; i < count; i++) {
        rbcore_source source = RBCORE_SOURCE_INIT;
        source.kind = RBCORE_SOURCE_MAP_FD;
        source.fd = fds[i];
        ck_assert_int_eq(rbcore_reader_add(reader, &source), (int)i);
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
