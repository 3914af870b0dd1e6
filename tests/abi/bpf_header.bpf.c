/* SPDX-License-Identifier: MIT */
/*
 * Compiled for BPF with every warning an error: rbcore_bpf.h as a user includes it, all of it used.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <rbcore/rbcore_bpf.h>

struct event {
    __u64 time;
};

RBCORE_RING(events, 1 << 20);
RBCORE_LOSS_MAP(alone);

SEC("tracepoint/sched/sched_process_exec")
int all_of_it(void *ctx);
int all_of_it(void *ctx) {
    struct event event = {0};
    struct bpf_dynptr dynptr;
    unsigned size = sizeof(event);
    (void)ctx;
    struct event *reserved = rbcore_reserve(events, sizeof(*reserved));
    if (!reserved) {
        return 0;
    }
    if (bpf_get_prandom_u32() & 1) {
        rbcore_submit(reserved, 0);
    } else {
        rbcore_discard(reserved, BPF_RB_NO_WAKEUP);
    }
    if (rbcore_reserve_dynptr(events, size, &dynptr)) {
        rbcore_count_loss(&alone, size);
    }
    bpf_ringbuf_submit_dynptr(&dynptr, 0);
    return rbcore_output(events, &event, sizeof(event), 0) ? 1 : 0;
}

char _license[] SEC("license") = "GPL";
