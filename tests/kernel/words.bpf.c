/* SPDX-License-Identifier: MIT */
/* Producers of records of which each word is known. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "words.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

/* The verifier wants each size as a constant. */
#define SUBMIT_WORDS(COUNT)                                                                        \
    do {                                                                                           \
        __u64 *words = bpf_ringbuf_reserve(&events, (COUNT) * sizeof(__u64), 0);                   \
        if (!words) {                                                                              \
            args->refused++;                                                                       \
            break;                                                                                 \
        }                                                                                          \
        for (__u32 i = 0; i < (COUNT); i++)                                                        \
            words[i] = word_of(first, i);                                                          \
        args->bytes += (COUNT) * sizeof(__u64) + BPF_RINGBUF_HDR_SZ;                               \
        if (args->discard_each && args->sequence % args->discard_each == 0)                        \
            bpf_ringbuf_discard(words, 0);                                                         \
        else                                                                                       \
            bpf_ringbuf_submit(words, 0);                                                          \
    } while (0)

static long write_one(__u32 index, struct words_args **context) {
    struct words_args *args = *context;
    __u64 first = first_word(args->producer, args->sequence);
    (void)index;
    switch (words_in(args->producer, args->sequence)) {
    case WORDS_SMALL:
        SUBMIT_WORDS(WORDS_SMALL);
        break;
    case WORDS_MIDDLE:
        SUBMIT_WORDS(WORDS_MIDDLE);
        break;
    default:
        SUBMIT_WORDS(WORDS_LARGE);
        break;
    }
    args->sequence++;
    return 0;
}

/* args->count records; a refused one uses up its number as well. */
SEC("syscall")
int write_words(struct words_args *args) {
    bpf_loop(args->count, write_one, &args, 0);
    return 0;
}
