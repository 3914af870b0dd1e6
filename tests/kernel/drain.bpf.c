/* SPDX-License-Identifier: MIT */
/* The consumer of the user ring's tests: drains it when the test asks for it, and answers each */
/* record through a ring buffer. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <rbcore/rbcore_bpf.h>

#include "drain.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 4096);
} requests SEC(".maps");

RBCORE_RING(answers, 4096);

static __always_inline void look_at_request(struct bpf_dynptr *record, struct answer *answer,
                                            struct request *request) {
    __u8 last = 0, none;
    __u32 size = request->size;
    answer->producer = request->producer;
    answer->size = size;
    answer->sequence = request->sequence;
    answer->is_whole =
        size == sizeof(*request) || (!bpf_dynptr_read(&last, 1, record, size - 1, 0) &&
                                     last == filler(request->sequence, size));
    if (!bpf_dynptr_read(&none, 1, record, size, 0)) {
        answer->is_whole = 0; /* there is more */
    }
}

static __always_inline void look_at_rest(struct bpf_dynptr *record, struct answer *answer) {
    __u8 first = 0;
    answer->producer = NO_PRODUCER;
    answer->size = !bpf_dynptr_read(&first, 1, record, 0, 0);
    answer->sequence = first;
    answer->is_whole = 1;
}

static __always_inline void answer_to(struct bpf_dynptr *record, struct drain_args *args) {
    struct request request;
    struct answer *answer = rbcore_reserve(answers, sizeof(*answer));
    if (!answer) {
        args->refused++;
        return;
    }
    answer->unused = 0;
    if (!bpf_dynptr_read(&request, sizeof(request), record, 0, 0)) {
        look_at_request(record, answer, &request);
    } else {
        look_at_rest(record, answer);
    }
    rbcore_submit(answer, 0);
}

static long on_record(struct bpf_dynptr *record, struct drain_args **context) {
    struct drain_args *args = *context;
    args->records++;
    answer_to(record, args);
    return args->stop_after && args->records >= args->stop_after;
}

SEC("syscall")
int drain(struct drain_args *args) {
    args->result = bpf_user_ringbuf_drain(&requests, on_record, &args, args->flags);
    return 0;
}
