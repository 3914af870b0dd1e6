/* SPDX-License-Identifier: MIT */
/* A map in overwrite mode, where the kernel knows that, is refused and not misread. */
#include <errno.h>
#include <unistd.h>

#include "support.h"

#ifndef BPF_F_RB_OVERWRITE
#define BPF_F_RB_OVERWRITE (1U << 19) /* Linux 6.19 */
#endif

static int create_overwrite_map(void) {
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RB_OVERWRITE);
    return bpf_map_create(BPF_MAP_TYPE_RINGBUF, "overwrite", 0, 0, (uint32_t)pages(1), &opts);
}

START_TEST(overwrite_map_is_refused) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = create_overwrite_map();
    ck_assert_int_ge(source.fd, 0);
    ck_assert_int_eq(add_result(&source), -EOPNOTSUPP);
    close(source.fd);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("overwrite map");
    add_test(suite, overwrite_map_is_refused);
    int fd = create_overwrite_map();
    const char *missing =
        fd < 0 && errno == EINVAL ? "this kernel has no overwrite mode (BPF_F_RB_OVERWRITE)" : NULL;
    if (fd >= 0) {
        close(fd);
    }
    return run_kernel_tests(suite, missing);
}
