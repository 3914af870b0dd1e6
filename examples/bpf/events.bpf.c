/* SPDX-License-Identifier: MIT */
/* Writes a record into the ring `events` for each exec and each scheduler switch. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <rbcore/rbcore_bpf.h>

#include "events.h"

/* What the kernel's tracepoints hand over, as /sys/kernel/tracing/events/sched/NAME/format says. */
struct sched_process_exec {
    __u64 common;
    __u16 file_offset;
    __u16 file_size;
    __s32 pid;
    __s32 old_pid;
};

struct sched_switch {
    __u64 common;
    char prev_name[16];
    __s32 prev_pid;
    __s32 prev_priority;
    __s64 prev_state;
    char next_name[16];
    __s32 next_pid;
    __s32 next_priority;
};

/* The map `events`, and `events_lost` beside it, where records that a full ring refused count. */
RBCORE_RING(events, 4 * 1024 * 1024);

/* The reader's own switches are left out: each record wakes it, and would make the next record. */
const volatile __s32 reader_pid = -1;

static void fill(struct event *event, __u32 kind, __u32 pid) {
    event->time_ns = bpf_ktime_get_ns();
    event->kind = kind;
    event->cpu = bpf_get_smp_processor_id();
    event->pid = pid;
    event->reserved = 0;
}

SEC("tracepoint/sched/sched_process_exec")
int on_exec(struct sched_process_exec *context) {
    struct exec_event *record = rbcore_reserve(events, sizeof(*record));
    if (!record) {
        return 0;
    }
    fill(&record->event, EVENT_EXEC, context->pid);
    bpf_get_current_comm(record->event.name, sizeof(record->event.name));
    bpf_probe_read_kernel_str(record->file, sizeof(record->file),
                              (void *)context + context->file_offset);
    rbcore_submit(record, 0);
    return 0;
}

SEC("tracepoint/sched/sched_switch")
int on_switch(struct sched_switch *context) {
    struct switch_event *record;
    if (context->prev_pid == reader_pid || context->next_pid == reader_pid) {
        return 0;
    }
    record = rbcore_reserve(events, sizeof(*record));
    if (!record) {
        return 0;
    }
    fill(&record->event, EVENT_SWITCH, context->prev_pid);
    __builtin_memcpy(record->event.name, context->prev_name, sizeof(record->event.name));
    __builtin_memcpy(record->next_name, context->next_name, sizeof(record->next_name));
    record->next_pid = context->next_pid;
    record->reserved = 0;
    rbcore_submit(record, 0);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
