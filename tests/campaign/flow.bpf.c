/* SPDX-License-Identifier: MIT */
/* A producer of the campaign in the kernel: it runs in the thread that asks for it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <rbcore/rbcore_bpf.h>

#include "flow.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

RBCORE_RING(events, 4096);

/* In memory that outlives the process that runs the program. */
struct tally tallies[FLOW_PRODUCERS_MAX];

/* The verifier wants each size as a constant. */
#define PRODUCE_WORDS(COUNT)                                                                       \
    do {                                                                                           \
        __u64 *words = rbcore_reserve(events, (COUNT) * sizeof(__u64));                            \
        if (!words) {                                                                              \
            tally->refused++;                                                                      \
            return 1;                                                                              \
        }                                                                                          \
        if (random % 16 == 0) {                                                                    \
            tally->discarded++;                                                                    \
            rbcore_discard(words, 0);                                                              \
            break;                                                                                 \
        }                                                                                          \
        words[0] = first;                                                                          \
        for (__u32 i = 1; i < (COUNT); i++)                                                        \
            words[i] = flow_word(first, i);                                                        \
        tally->started++;                                                                          \
        tally->done++;                                                                             \
        rbcore_submit(words, args->is_silent && random % 64 == 1 ? BPF_RB_NO_WAKEUP : 0);          \
    } while (0)

static long produce_one(__u32 index, struct flow_args **context) {
    struct flow_args *args = *context;
    struct tally *tally = &tallies[args->producer % FLOW_PRODUCERS_MAX];
    __u64 random = flow_random(&args->random);
    __u64 first = flow_first(args->producer, tally->done);
    (void)index;
    switch (flow_words(first)) {
    case FLOW_SMALL:
        PRODUCE_WORDS(FLOW_SMALL);
        break;
    case FLOW_MIDDLE:
        PRODUCE_WORDS(FLOW_MIDDLE);
        break;
    default:
        PRODUCE_WORDS(FLOW_LARGE);
        break;
    }
    return 0;
}

/* Up to args->count records; it ends early where the ring is full. */
SEC("syscall")
int produce_flow(struct flow_args *args) {
    bpf_loop(args->count, produce_one, &args, 0);
    return 0;
}
