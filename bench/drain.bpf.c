// SPDX-License-Identifier: MIT
/* The consumer of a user ring: counts what it drains, and does not look at it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 1 << 24);
} ring SEC(".maps");

__u64 drained = 0;

static long count(struct bpf_dynptr *record, void *unused) {
    (void)record;
    (void)unused;
    drained++;
    return 0;
}

SEC("syscall")
int drain(void *unused) {
    (void)unused;
    bpf_user_ringbuf_drain(&ring, count, NULL, 0);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
