/* SPDX-License-Identifier: MIT */
/* The names of the programs that are executed, of those that begin as the test's do. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 65536);
} events SEC(".maps");

SEC("raw_tp/sched_process_exec")
int on_exec(void *context) {
    char name[16];
    (void)context;
    bpf_get_current_comm(name, sizeof(name));
    if (name[0] == 'r' && name[1] == 'b' && name[2] == 'w') {
        bpf_ringbuf_output(&events, name, sizeof(name), 0);
    }
    return 0;
}
