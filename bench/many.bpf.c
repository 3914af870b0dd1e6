// SPDX-License-Identifier: MIT
/* Records for many rings, in turn: each run submits so many as it is told. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "many.h"

struct ring {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 16);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, MANY_RINGS_MAX);
    __type(key, __u32);
    __array(values, struct ring);
} rings SEC(".maps");

/* What is left to do, on the stack: a callback of bpf_loop gets no more. */
struct progress {
    __u64 sequence;
    __u32 ring;
    __u32 rings;
    __u64 refused;
};

static long submit_one(__u32 index, void *context) {
    struct progress *self = context;
    __u64 record[MANY_WORDS] = {self->sequence++};
    __u32 key = self->ring;
    void *ring = bpf_map_lookup_elem(&rings, &key);
    (void)index;
    if (!ring || bpf_ringbuf_output(ring, record, sizeof(record), 0)) {
        self->refused++;
    }
    self->ring = key + 1 < self->rings ? key + 1 : 0;
    return 0;
}

/* Returns how many records the rings refused. */
SEC("syscall")
int produce_many(struct many_burst *burst) {
    struct progress progress = {
        .sequence = burst->sequence, .ring = burst->ring, .rings = burst->rings};
    __u32 count = burst->count;
    if (count) {
        bpf_loop(count, submit_one, &progress, 0);
    }
    return progress.refused;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
