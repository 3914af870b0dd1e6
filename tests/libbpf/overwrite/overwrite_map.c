/* SPDX-License-Identifier: MIT */
/*
 * A map in overwrite mode is libbpf's own to read: the drop-in says so in a line, once. Linked to
 * the drop-in before libbpf, as if it were preloaded.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BPF_F_RB_OVERWRITE
#define BPF_F_RB_OVERWRITE (1U << 19) /* Linux 6.19 */
#endif

#define WARNING "rbcore: libbpf reads the ring of descriptor "

static void check(bool good, const char *what) {
    if (!good) {
        printf("failed: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

/* A program that outputs a record of 8 bytes, which are 42. */
static int load_producer(int map_fd) {
    const struct bpf_insn program[] = {
        {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8, .imm = 42},
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = BPF_REG_1,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .imm = map_fd},
        {0}, /* the second half of a wide load */
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 0},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ringbuf_output},
        {.code = BPF_JMP | BPF_EXIT},
    };
    return bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "output", "GPL", program,
                         sizeof(program) / sizeof(*program), NULL);
}

static int handle(void *seen, void *data, size_t size) {
    *(int *)seen += size == 8 && *(const uint64_t *)data == 42;
    return 0;
}

/* The text that is written to standard error from here on. */
static FILE *catch_errors(void) {
    FILE *file = tmpfile();
    check(file != NULL && dup2(fileno(file), STDERR_FILENO) >= 0, "a file for standard error");
    return file;
}

static void expect_the_warning(FILE *errors) {
    char line[200] = "", more[200];
    rewind(errors);
    check(fgets(line, sizeof(line), errors) && !strncmp(line, WARNING, strlen(WARNING)),
          "no warning");
    check(!fgets(more, sizeof(more), errors), "one line is enough");
    printf("%s", line);
}

int main(void) {
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RB_OVERWRITE);
    int map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "overwrite", 0, 0,
                             (unsigned int)sysconf(_SC_PAGESIZE), &opts);
    if (map < 0 && errno == EINVAL) {
        puts("skipped: this kernel has no overwrite mode (BPF_F_RB_OVERWRITE)");
        return 77;
    }
    if (map < 0 && errno == EPERM) {
        puts("skipped: not allowed to create BPF maps");
        return 77;
    }
    check(map >= 0, "bpf_map_create");
    Dl_info info = {0};
    dladdr(dlsym(RTLD_DEFAULT, "ring_buffer__new"), &info);
    check(info.dli_fname && strstr(info.dli_fname, "rbcore-libbpf"), "not the drop-in");
    int producer = load_producer(map), seen = 0;
    check(producer >= 0, "bpf_prog_load");
    FILE *errors = catch_errors();
    struct ring_buffer *rings = ring_buffer__new(map, handle, &seen, NULL);
    check(rings != NULL, "ring_buffer__new");
    for (int i = 1; i <= 3; i++) {
        LIBBPF_OPTS(bpf_test_run_opts, run);
        check(bpf_prog_test_run_opts(producer, &run) == 0, "bpf_prog_test_run_opts");
        check(ring_buffer__poll(rings, 1000) == 1 && seen == i, "ring_buffer__poll");
    }
    ring_buffer__free(rings);
    expect_the_warning(errors);
    return 0;
}
