/* SPDX-License-Identifier: MIT */
/* Records in any of many rings, which the test puts into an array. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "many.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct ring {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, MANY_RINGS_MAX);
    __type(key, __u32);
    __array(values, struct ring);
} rings SEC(".maps");

SEC("syscall")
int emit(struct many_args *args) {
    __u32 index = args->ring;
    __u64 value = args->value;
    void *ring = bpf_map_lookup_elem(&rings, &index);
    return ring ? bpf_ringbuf_output(ring, &value, sizeof(value), 0) : -1;
}
