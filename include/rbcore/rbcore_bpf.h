/* SPDX-License-Identifier: MIT */
/*
 * rbcore for BPF programs: a ring buffer whose losses are counted.
 *
 * bpf_ringbuf_reserve() and bpf_ringbuf_output() refuse a record when the ring is full, and only
 * the BPF program learns of it. With this header a refused record is counted in a map beside the
 * ring, from which user space reads it: pass the map's fd as loss_fd of rbcore_source, and
 * rbcore_reader_ring_stats returns the losses.
 *
 *     #include <linux/bpf.h>              (or vmlinux.h)
 *     #include <bpf/bpf_helpers.h>
 *     #include <rbcore/rbcore_bpf.h>
 *
 *     RBCORE_RING(events, 1 << 20);
 *
 *     SEC("tracepoint/sched/sched_process_exec")
 *     int on_exec(void *ctx)
 *     {
 *         struct event *event = rbcore_reserve(events, sizeof(*event));
 *         if (!event)
 *             return 0;
 *         ...
 *         rbcore_submit(event, 0);
 *         return 0;
 *     }
 *
 * A macro that takes a ring takes the name that RBCORE_RING declared. For rings in a map of maps,
 * call the kernel's helpers and rbcore_count_loss.
 *
 * All of this works in any program type that may use a ring buffer, and in any context (also in a
 * program that interrupts another on the same CPU). It needs Linux 5.8 or newer. Compile with clang
 * -target bpf, at any -mcpu.
 *
 * Sources: what the helpers promise is in the kernel's Documentation/bpf/ringbuf.rst and
 * include/uapi/linux/bpf.h; when they refuse, in kernel/bpf/ringbuf.c.
 */
#ifndef RBCORE_RBCORE_BPF_H
#define RBCORE_RBCORE_BPF_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * Counts what one CPU lost since the map was created. The loss map is a BPF_MAP_TYPE_PERCPU_ARRAY
 * with key 0 only and this value (16 bytes); the ring's losses are the sum over all possible CPUs.
 * This layout is what readers of rbcore and other programs rely on: it does not change.
 */
struct rbcore_loss {
    __u64 records; /* refused */
    __u64 bytes;   /* of their data, without headers */
};

/*
 * Declares two maps: the ring buffer name (BPF_MAP_TYPE_RINGBUF) and its loss map name_lost. bytes
 * is the ring's size, a power of two and a multiple of the page size (not the same on every
 * machine: 64 KiB is a multiple on all). User space can change it before the program is loaded, as
 * with any map. Use it at file scope, once for each name.
 */
#define RBCORE_RING(name, bytes)                                                                   \
    struct {                                                                                       \
        __uint(type, BPF_MAP_TYPE_RINGBUF);                                                        \
        __uint(max_entries, bytes);                                                                \
    } name SEC(".maps");                                                                           \
    RBCORE_LOSS_MAP(name##_lost)

/* Declares a loss map alone, for rbcore_count_loss. */
#define RBCORE_LOSS_MAP(name)                                                                      \
    struct {                                                                                       \
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                   \
        __uint(max_entries, 1);                                                                    \
        __u32 *key;                                                                                \
        struct rbcore_loss *value;                                                                 \
    } name SEC(".maps")

/*
 * Counts a record of bytes bytes as lost in the loss map at loss_map (its address). The macros
 * below do so by themselves. Use it for other ways of losing a record, or rings without
 * RBCORE_RING.
 */
static __always_inline void rbcore_count_loss(void *loss_map, __u64 bytes) {
    __u32 key = 0;
    struct rbcore_loss *loss = bpf_map_lookup_elem(loss_map, &key);
    if (!loss) {
        return;
    }
    /* The value is this CPU's, but a program that interrupts this one here counts in it as well. */
    __sync_fetch_and_add(&loss->records, 1);
    __sync_fetch_and_add(&loss->bytes, bytes);
}

/*
 * Reserves a record of size bytes, a constant, and returns its data, aligned to 8 bytes and not
 * cleared; or NULL if the ring refused it, which is then counted. The verifier demands that the
 * result is compared with NULL, and that each record is given to rbcore_submit or rbcore_discard on
 * every path. Until then a reader stops before it.
 *
 * A ring refuses a record for which it has no room, also one that it could never hold (of more than
 * its size - 16 bytes). Rarely, it refuses one of a program that interrupted another's reserve on
 * the same ring, by an NMI for example.
 */
#define rbcore_reserve(ring, size) rbcore_reserve_counted(&(ring), &ring##_lost, size)

static __always_inline void *rbcore_reserve_counted(void *ring, void *loss_map, __u64 size) {
    void *data = bpf_ringbuf_reserve(ring, size, 0);
    if (!data) {
        rbcore_count_loss(loss_map, size);
    }
    return data;
}

/*
 * Reserves a record whose size is known at run time only, as a dynptr (Linux 5.19), which
 * bpf_dynptr_write or bpf_dynptr_data fills. Returns 0, or the helper's negative error when it was
 * refused, which is counted. Either way the dynptr must go to bpf_ringbuf_submit_dynptr or
 * bpf_ringbuf_discard_dynptr on every path. (Those are not wrapped: the verifier wants to see the
 * dynptr itself, and nothing is lost in them.)
 */
#define rbcore_reserve_dynptr(ring, size, dynptr)                                                  \
    __extension__({                                                                                \
        __u32 rbcore_size = (size);                                                                \
        long rbcore_error = bpf_ringbuf_reserve_dynptr(&(ring), rbcore_size, 0, dynptr);           \
        if (rbcore_error)                                                                          \
            rbcore_count_loss(&ring##_lost, rbcore_size);                                          \
        rbcore_error;                                                                              \
    })

/*
 * Hands a record to the reader. flags: 0 wakes a reader that had given back all before this record;
 * BPF_RB_NO_WAKEUP never wakes it (it finds the record at its next look, or by
 * rbcore_reader_flush); BPF_RB_FORCE_WAKEUP always does.
 */
static __always_inline void rbcore_submit(void *data, __u64 flags) {
    bpf_ringbuf_submit(data, flags);
}

/*
 * Gives up a record: readers skip it. It is not counted as lost. flags are those of rbcore_submit.
 */
static __always_inline void rbcore_discard(void *data, __u64 flags) {
    bpf_ringbuf_discard(data, flags);
}

/*
 * Reserves a record of size bytes (not only a constant; a variable needs bounds that the verifier
 * can see), copies data into it and submits it. flags are those of rbcore_submit. Returns 0, or the
 * helper's negative error when the record was not taken, which is counted: -EAGAIN if refused as by
 * rbcore_reserve, -EINVAL for unknown flags.
 */
#define rbcore_output(ring, data, size, flags)                                                     \
    rbcore_output_counted(&(ring), &ring##_lost, data, size, flags)

static __always_inline long rbcore_output_counted(void *ring, void *loss_map, const void *data,
                                                  __u64 size, __u64 flags) {
    long error = bpf_ringbuf_output(ring, (void *)data, size, flags);
    if (error) {
        rbcore_count_loss(loss_map, size);
    }
    return error;
}

#endif /* RBCORE_RBCORE_BPF_H */
