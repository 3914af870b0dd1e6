/* SPDX-License-Identifier: MIT */
/* Writes a record into the ring `execs` for each program that starts: struct Exec of execs.py. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <rbcore/rbcore_bpf.h>

struct exec {
    __u64 time_ns; /* CLOCK_MONOTONIC */
    __u32 pid;
    __u32 uid;
    char name[16];
    char file[64];
};

/* As /sys/kernel/tracing/events/sched/sched_process_exec/format says. */
struct sched_process_exec {
    __u64 common;
    __u16 file_offset;
    __u16 file_size;
    __s32 pid;
};

/* The map `execs`, and `execs_lost` beside it, where records that a full ring refused count. */
RBCORE_RING(execs, 256 * 1024);

SEC("tracepoint/sched/sched_process_exec")
int on_exec(struct sched_process_exec *context) {
    struct exec *record = rbcore_reserve(execs, sizeof(*record));
    if (!record) {
        return 0;
    }
    record->time_ns = bpf_ktime_get_ns();
    record->pid = context->pid;
    record->uid = bpf_get_current_uid_gid();
    bpf_get_current_comm(record->name, sizeof(record->name));
    bpf_probe_read_kernel_str(record->file, sizeof(record->file),
                              (void *)context + context->file_offset);
    rbcore_submit(record, 0);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
