// SPDX-License-Identifier: MIT
/* The producer's kernel half: each run submits a burst of records as fast as it goes. */
#include "record.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Known to the verifier: the size of a reserve must be a constant. */
const volatile __u32 record_size = sizeof(struct record);
const volatile __u64 submit_flags = 0;

__u64 sequence = 0;
__u64 refused = 0;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 24);
} ring SEC(".maps");

static __u8 mixed_record[256];

static long submit_mixed(void) {
    struct record *record = (void *)mixed_record;
    __u32 size = sizeof(*record) + (((__u32)sequence * 2654435761u) >> 25);

    record->sequence = sequence;
    record->time = bpf_ktime_get_ns();
    return bpf_ringbuf_output(&ring, record, size, submit_flags);
}

static long submit_fixed(void) {
    struct record *record = bpf_ringbuf_reserve(&ring, record_size, 0);

    if (!record)
        return -1;
    record->sequence = sequence;
    record->time = bpf_ktime_get_ns();
    bpf_ringbuf_submit(record, submit_flags);
    return 0;
}

static long submit_one(__u32 index, void *unused) {
    long error = record_size == RECORD_SIZE_MIXED ? submit_mixed() : submit_fixed();

    (void)index;
    (void)unused;
    if (error)
        refused++;
    sequence++;
    return 0;
}

static int submit_end(void) {
    struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

    if (!record)
        return 1;
    record->sequence = sequence | RECORD_END;
    record->time = bpf_ktime_get_ns();
    /* Without wakeups a reader may sleep for long; its pauses were measured before. */
    bpf_ringbuf_submit(record, submit_flags & BPF_RB_NO_WAKEUP ? BPF_RB_FORCE_WAKEUP : 0);
    return 0;
}

SEC("syscall")
int produce(struct burst *burst) {
    __u32 count = burst->count;

    if (count)
        bpf_loop(count, submit_one, (void *)0, 0);
    return burst->end ? submit_end() : 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
