/* SPDX-License-Identifier: MIT */
/* The example in the kernel's commit that brought overwrite mode, in one run of a program: */
/* records cannot be held from one run to the next. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "overwrite_example.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(map_flags, 1 << 19); /* BPF_F_RB_OVERWRITE, Linux 6.19 */
    __uint(max_entries, 4096);
} events SEC(".maps");

/* The producer page is right before the first record of an empty ring. */
volatile __u64 producer_page;

/* No helper tells pending_pos: all three words are read where they are. */
static __always_inline int note(struct positions *at) {
    at->consumer = bpf_ringbuf_query(&events, BPF_RB_CONS_POS);
    return bpf_probe_read_kernel(at, 3 * sizeof(__u64), (const void *)producer_page) == 0;
}

SEC("syscall")
int example(struct example_args *args) {
    char *a, *b, *c, *d, *e;
    int good;
    a = bpf_ringbuf_reserve(&events, RECORD_A - 8, 0);
    if (!a) {
        return -1;
    }
    producer_page = (__u64)a - 8 - 4096;
    good = note(&args->after[RESERVE_A]);
    b = bpf_ringbuf_reserve(&events, RECORD_B - 8, 0);
    if (!b) {
        bpf_ringbuf_discard(a, 0);
        return -2;
    }
    good &= note(&args->after[RESERVE_B]);
    c = bpf_ringbuf_reserve(&events, RECORD_C - 8, 0);
    if (!c) {
        bpf_ringbuf_discard(a, 0);
        bpf_ringbuf_discard(b, 0);
        return -3;
    }
    good &= note(&args->after[RESERVE_C]);
    c[0] = 'C';
    bpf_ringbuf_submit(a, 0);
    good &= note(&args->after[SUBMIT_A]);
    bpf_ringbuf_submit(b, 0);
    good &= note(&args->after[SUBMIT_B]);
    d = bpf_ringbuf_reserve(&events, RECORD_D - 8, 0);
    if (!d) {
        bpf_ringbuf_discard(c, 0);
        return -4;
    }
    good &= note(&args->after[RESERVE_D]);
    d[0] = 'D';
    e = bpf_ringbuf_reserve(&events, RECORD_E - 8, 0);
    good &= note(&args->after[RESERVE_E]);
    args->refused = !e;
    if (e) {
        bpf_ringbuf_discard(e, 0);
    }
    bpf_ringbuf_submit(c, 0);
    good &= note(&args->after[SUBMIT_C]);
    bpf_ringbuf_submit(d, 0);
    good &= note(&args->after[SUBMIT_D]);
    return good ? 0 : -5;
}
