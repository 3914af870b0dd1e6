// SPDX-License-Identifier: MIT
/* The producer's kernel half: each run submits a burst of records as fast as it goes. */
#include "record.h"

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

/* Known to the verifier: the size of a reserve must be a constant. */
const volatile __u32 record_size = sizeof(struct record);
const volatile __u64 submit_flags = 0;

struct stream streams[PRODUCERS_MAX] = {};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 24);
} ring SEC(".maps");

static long submit_mixed(struct stream *stream, __u64 sequence) {
    struct record *record = (void *)stream->mixed_record;
    __u32 size = sizeof(*record) + (((__u32)sequence * 2654435761u) >> 25);
    record->sequence = sequence;
    record->time = bpf_ktime_get_ns();
    return bpf_ringbuf_output(&ring, record, size, submit_flags);
}

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u32));
} perf_buffer SEC(".maps");

static long submit_bare(__u64 sequence) {
    __u64 *record = bpf_ringbuf_reserve(&ring, sizeof(sequence), 0);
    if (!record) {
        return -1;
    }
    *record = sequence;
    bpf_ringbuf_submit(record, submit_flags);
    return 0;
}

static long submit_timed(__u64 sequence, __u32 size) {
    struct record *record = bpf_ringbuf_reserve(&ring, size, 0);
    if (!record) {
        return -1;
    }
    record->sequence = sequence;
    record->time = bpf_ktime_get_ns();
    bpf_ringbuf_submit(record, submit_flags);
    return 0;
}

static long submit_fixed(__u64 sequence) {
    if (record_size >= sizeof(struct record)) {
        return submit_timed(sequence, record_size);
    }
    if (sequence & ~RECORD_SECOND) {
        return submit_bare(sequence);
    }
    return submit_timed(sequence, sizeof(struct record));
}

static long submit_one(__u32 index, void *producer) {
    bool second = *(__u64 *)producer;
    struct stream *stream = &streams[second];
    __u64 sequence = stream->sequence | (second ? RECORD_SECOND : 0);
    long error =
        record_size == RECORD_SIZE_MIXED ? submit_mixed(stream, sequence) : submit_fixed(sequence);
    (void)index;
    if (error) {
        stream->refused++;
    }
    stream->sequence++;
    return 0;
}

/* By the last producer at work: its number is that of all records. */
static int submit_end(void) {
    struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
    if (!record) {
        return 1;
    }
    record->sequence = (streams[0].sequence + streams[1].sequence) | RECORD_END;
    record->time = bpf_ktime_get_ns();
    /* Without wakeups a reader may sleep for long; its pauses were measured before. */
    bpf_ringbuf_submit(record, submit_flags & BPF_RB_NO_WAKEUP ? BPF_RB_FORCE_WAKEUP : 0);
    return 0;
}

SEC("syscall")
int produce(struct burst *burst) {
    __u32 count = burst->count;
    __u64 producer = burst->producer;
    if (count) {
        bpf_loop(count, submit_one, &producer, 0);
    }
    return burst->end ? submit_end() : 0;
}

/* The same into the perf buffer, for which no syscall program has a helper. */
static long output(void *context, struct stream *stream, __u64 sequence, __u32 size) {
    struct record *record = (void *)stream->mixed_record;
    record->sequence = sequence;
    record->time = bpf_ktime_get_ns();
    return bpf_perf_event_output(context, &perf_buffer, BPF_F_CURRENT_CPU, record, size);
}

static long output_one(__u32 index, void *argument) {
    struct bpf_raw_tracepoint_args *burst = *(void **)argument;
    bool second = burst->args[1];
    struct stream *stream = &streams[second];
    (void)index;
    if (output(burst, stream, stream->sequence | (second ? RECORD_SECOND : 0), record_size)) {
        stream->refused++;
    }
    stream->sequence++;
    return 0;
}

SEC("raw_tp")
int produce_perf(struct bpf_raw_tracepoint_args *burst) {
    __u32 count = burst->args[0];
    void *context = burst;
    if (count) {
        bpf_loop(count, output_one, &context, 0);
    }
    if (!burst->args[2]) {
        return 0;
    }
    return output(burst, &streams[0], (streams[0].sequence + streams[1].sequence) | RECORD_END,
                  sizeof(struct record)) != 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
