/* SPDX-License-Identifier: MIT */
#include "bpf_rings.h"

#include "../c/support.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int bpf(enum bpf_cmd command, union bpf_attr *attr) {
    return (int)syscall(SYS_bpf, command, attr, sizeof(*attr), 0L, 0L, 0L);
}

int bpf_map_of_type(uint32_t type, uint32_t key, uint32_t value, uint32_t entries) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.map_type = type;
    attr.key_size = key;
    attr.value_size = value;
    attr.max_entries = entries;
    return bpf(BPF_MAP_CREATE, &attr);
}

const char *bpf_is_missing(void) {
    static char reason[100];
    int fd = bpf_map_of_type(BPF_MAP_TYPE_RINGBUF, 0, 0, (uint32_t)page_size());
    if (fd < 0) {
        snprintf(reason, sizeof(reason), "bpf(2) does not create a ring for user %u: %s", geteuid(),
                 strerror(errno));
        return reason;
    }
    close(fd);
    return NULL;
}

/* Writes the 8 bytes of its context; returns the helper's result. */
static int load_program(int map) {
    const struct bpf_insn code[] = {
        {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1},
        {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 6, .off = -8},
        {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
        {.code = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = 0},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ringbuf_output},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_SYSCALL;
    attr.prog_flags = BPF_F_SLEEPABLE;
    attr.insns = (uintptr_t)code;
    attr.insn_cnt = sizeof(code) / sizeof(*code);
    attr.license = (uintptr_t)"Dual MIT/GPL";
    int fd = bpf(BPF_PROG_LOAD, &attr);
    ck_assert_msg(fd >= 0, "the program: %s", strerror(errno));
    return fd;
}

bpf_ring bpf_ring_open(size_t size) {
    bpf_ring self = {.map = bpf_map_of_type(BPF_MAP_TYPE_RINGBUF, 0, 0, (uint32_t)size),
                     .losses = bpf_map_of_type(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 1)};
    if (self.map < 0 || self.losses < 0) {
        ck_abort_msg("a ring: %s", strerror(errno));
    }
    self.program = load_program(self.map);
    return self;
}

void bpf_ring_emit(const bpf_ring *self, uint64_t value) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.test.prog_fd = (uint32_t)self->program;
    attr.test.ctx_in = (uintptr_t)&value;
    attr.test.ctx_size_in = sizeof(value);
    if (bpf(BPF_PROG_TEST_RUN, &attr) != 0 || attr.test.retval != 0) {
        ck_abort_msg("a record: %d, %s", (int)attr.test.retval, strerror(errno));
    }
}

void bpf_ring_close(const bpf_ring *self) {
    close(self->program);
    close(self->losses);
    close(self->map);
}

uint32_t bpf_map_number(int map) {
    struct bpf_map_info info = {0};
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.info.bpf_fd = (uint32_t)map;
    attr.info.info_len = sizeof(info);
    attr.info.info = (uintptr_t)&info;
    ok(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr));
    return info.id;
}

const char *bpf_folder(void) {
    static char folder[] = "/tmp/rbcore_faults_XXXXXX";
    static bool is_mounted;
    if (is_mounted) {
        return folder;
    }
    if (mkdtemp(folder) == NULL) {
        return NULL;
    }
    /*
     * The mount goes with the process. The folder is used for nothing else.
     */
    bool is_ours =
        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    is_mounted = is_ours && mount("bpf", folder, "bpf", 0, NULL) == 0;
    return is_mounted ? folder : NULL;
}

void bpf_pin(int map, const char *path) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.pathname = (uintptr_t)path;
    attr.bpf_fd = (uint32_t)map;
    ok(bpf(BPF_OBJ_PIN, &attr));
}
