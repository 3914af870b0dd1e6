/* SPDX-License-Identifier: MIT */
/* The producers of the kernel tests. Each SEC("syscall") program runs when the test asks for it, in
 */
/* the thread that asks, with the arguments of produce.h as its context. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <rbcore/rbcore_bpf.h>

#include "produce.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

RBCORE_RING(events, 4096);

/* Records of any size contain a window of this, which begins at emit_args.offset. */
unsigned char pattern[PATTERN_SIZE];

/* One record of a size known at run time only, by output: the plain helper. */
SEC("syscall")
int emit(struct emit_args *args) {
    __u32 size = args->size;
    __u32 offset = args->offset;
    if (size > RECORD_MAX || offset > PATTERN_SIZE - RECORD_MAX) {
        return -1;
    }
    return rbcore_output(events, pattern + offset, size, args->flags);
}

/* The same by a dynptr, which can be discarded as well. (bpf_dynptr_write would refuse 0 bytes.) */
SEC("syscall")
int emit_dynptr(struct emit_args *args) {
    struct bpf_dynptr record;
    __u32 size = args->size;
    __u32 offset = args->offset;
    long error;
    /* A discarded record may be larger: no reader looks at it. */
    if (!args->discard && (size > RECORD_MAX || offset > PATTERN_SIZE - RECORD_MAX)) {
        return -1;
    }
    error = rbcore_reserve_dynptr(events, size, &record);
    /*
     * (Not with "&& size": a difference is compared then, and Linux 6.1 forgets the bound of size.)
     */
    if (!error && size <= RECORD_MAX && offset <= PATTERN_SIZE - RECORD_MAX) {
        bpf_dynptr_write(&record, 0, pattern + offset, size, 0);
    }
    if (args->discard) {
        bpf_ringbuf_discard_dynptr(&record, args->flags);
    } else {
        bpf_ringbuf_submit_dynptr(&record, args->flags);
    }
    return error;
}

/* A record that stays BUSY while bpf_copy_from_user() waits for a page that the test withholds. */
SEC("syscall")
int hold(struct hold_args *args) {
    struct event *event = rbcore_reserve(events, sizeof(*event));
    if (!event) {
        return -1;
    }
    event->producer = HOLD_PRODUCER;
    event->size = sizeof(*event);
    if (bpf_copy_from_user(&event->sequence, sizeof(event->sequence), (void *)args->page) ||
        args->discard) {
        rbcore_discard(event, args->flags);
    } else {
        rbcore_submit(event, args->flags);
    }
    return 0;
}

static __always_inline int submit_event(struct produce_args *args, __u32 size) {
    struct event *event;
    /* The verifier wants each size as a constant. */
    switch (size) {
    case EVENT_SMALL:
        event = rbcore_reserve(events, EVENT_SMALL);
        break;
    case EVENT_MIDDLE:
        event = rbcore_reserve(events, EVENT_MIDDLE);
        break;
    default:
        event = rbcore_reserve(events, EVENT_LARGE);
        break;
    }
    if (!event) {
        return -1;
    }
    event->producer = args->producer;
    event->size = size;
    event->sequence = args->sequence;
    if (args->discard_each && args->sequence % args->discard_each == 0) {
        args->discarded++;
        rbcore_discard(event, args->flags);
    } else {
        rbcore_submit(event, args->flags);
    }
    return 0;
}

static long produce_one(__u32 index, struct produce_args **context) {
    struct produce_args *args = *context;
    __u32 size = args->sizes == 1 ? EVENT_SMALL : event_size(args->producer, args->sequence);
    (void)index;
    if (submit_event(args, size)) {
        args->lost++;
        args->lost_bytes += size;
    }
    args->sequence++;
    return 0;
}

/* args->count records with ascending sequence numbers; a refused one uses up its number as well. */
SEC("syscall")
int produce(struct produce_args *args) {
    bpf_loop(args->count, produce_one, &args, 0);
    return 0;
}

/* Each CPU's context switches, beside the programs above and in the middle of them. */
__u64 switches[CPUS_MAX];
__u64 switches_lost[CPUS_MAX];
int tracing;

SEC("raw_tp/sched_switch")
int on_switch(void *context) {
    struct event *event;
    __u32 cpu = bpf_get_smp_processor_id();
    __u64 sequence;
    (void)context;
    if (!tracing || cpu >= CPUS_MAX) {
        return 0;
    }
    sequence = __sync_fetch_and_add(&switches[cpu], 1);
    event = rbcore_reserve(events, EVENT_SMALL);
    if (!event) {
        __sync_fetch_and_add(&switches_lost[cpu], 1);
        return 0;
    }
    event->producer = SWITCH_PRODUCER + cpu;
    event->size = EVENT_SMALL;
    event->sequence = sequence;
    rbcore_submit(event, 0);
    return 0;
}
