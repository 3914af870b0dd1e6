/* SPDX-License-Identifier: MIT */
/* Writing records into a memory ring: kernel/bpf/ringbuf.c's part of the protocol. */
#include "memory_producer.h"

#include "fence.h"
#include "keep_errno.h"
#include "kernel.h"
#include "layout.h"
#include "memory_reserve.h"
#include "owner.h"
#include "uncancelled.h"
#include "wait.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- The table of producers ---- */

/*
 * Takes a free slot. The lock on its byte makes it ours: the kernel drops it when we die. The new
 * generation tells a reader that finds a record of an earlier owner that this owner is gone.
 */
static int take_slot(rbc_memory_producer *self) {
    for (uint32_t slot = 0; slot < RBCORE_PRODUCERS_MAX; slot++) {
        if (!rbc_lock_byte(self->fd, RBC_PRODUCER_BYTE(slot))) {
            continue;
        }
        rbc_producer_slot *entry = &self->page->slots[slot];
        uint64_t generation = atomic_load_explicit(&entry->generation, memory_order_relaxed);
        generation = (generation + 1) % RBC_TOKEN_GENERATIONS;
        entry->process = rbc_process_self();
        atomic_store_explicit(&entry->generation, generation, memory_order_release);
        self->token = RBC_TOKEN_BIT | (uint32_t)generation * RBCORE_PRODUCERS_MAX | slot;
        return 0;
    }
    return -EUSERS;
}

/* The generation ends here: records that are still reserved are abandoned at once. */
static void leave_slot(rbc_memory_producer *self) {
    uint32_t slot = self->token % RBCORE_PRODUCERS_MAX;
    rbc_producer_slot *entry = &self->page->slots[slot];
    uint64_t generation = atomic_load_explicit(&entry->generation, memory_order_relaxed);
    atomic_store_explicit(&entry->generation, (generation + 1) % RBC_TOKEN_GENERATIONS,
                          memory_order_release);
    rbc_unlock_byte(self->fd, RBC_PRODUCER_BYTE(slot));
}

/* ---- Opening and closing ---- */

/*
 * The descriptors' open files may be shared with others. Of the memory nothing is shared: it is
 * opened anew, its size is sealed, its offset is not used, and locks belong to the open file. All
 * of the eventfd is shared: see rbc_event_fd_signal.
 */
static int open_fds(rbc_memory_producer *self, const rbcore_source *source, size_t *data_size) {
    ino_t inode;
    int error = rbc_memory_ring_check(source->fd, data_size, &inode);
    if (error != 0) {
        return error;
    }
    self->fd = rbc_reopen(source->fd);
    if (self->fd < 0) {
        return self->fd;
    }
    self->event_fd = rbc_duplicate(source->event_fd);
    if (self->event_fd < 0) {
        return self->event_fd;
    }
    /* These are the ones to be checked: the caller's numbers may name other files by now. */
    error = rbc_memory_ring_check(self->fd, data_size, &inode);
    return error != 0 ? error : rbc_event_fd_check(self->event_fd);
}

static int map_ring(rbc_memory_producer *self, const rbcore_source *source) {
    size_t data_size;
    int error = open_fds(self, source, &data_size);
    if (error == 0) {
        error = rbc_mapping_open_memory(&self->mapping, self->fd, data_size, rbc_page_size(),
                                        RBC_PRODUCER_SIDE);
    }
    return error != 0 ? error : rbc_memory_ring_check_layout(&self->mapping, &self->overwrites);
}

static int open_ring(rbc_memory_producer *self, const rbcore_source *source) {
    int error = map_ring(self, source);
    if (error != 0) {
        return error;
    }
    self->page = rbc_producer_page_of(&self->mapping);
    self->consumer_pos = (_Atomic uint64_t *)(void *)self->mapping.consumer_page;
    return rbc_reserve_is_possible(&self->mapping, self->overwrites) ? take_slot(self) : -EBADMSG;
}

int rbc_memory_producer_open(rbc_memory_producer *self, const rbcore_source *source) {
    *self = (rbc_memory_producer){.fd = -1, .event_fd = -1};
    int error = open_ring(self, source);
    if (error != 0) {
        rbc_memory_producer_close(self);
    }
    return error;
}

void rbc_memory_producer_leave(rbc_memory_producer *self) {
    leave_slot(self);
    rbc_event_fd_signal(
        self->event_fd); /* what is abandoned now may stand before records that wake nobody */
}

void rbc_memory_producer_close(rbc_memory_producer *self) {
    rbc_mapping_close(&self->mapping);
    rbc_close(self->event_fd);
    rbc_close(self->fd);
}

/* ---- The lock where the kernel has its spin lock ---- */

/*
 * The lock word holds the owner's token, 0 when free, with CONTENDED when somebody sleeps on it. An
 * owner that died is found out by its slot, and the lock taken from it. (Not a robust pthread
 * mutex: its layout differs between C libraries, and a ring can be shared across containers.)
 */
#define CONTENDED (UINT32_C(1) << 31)
#define SPINS 100
#define SLEEP_NS 1000000 /* then look whether the owner still lives */

static bool try_lock(rbc_memory_producer *self, uint32_t found, uint32_t taken) {
    return atomic_compare_exchange_strong_explicit(&self->page->lock, &found, taken,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void sleep_on_lock(rbc_memory_producer *self, uint32_t seen) {
    rbc_kernel_time timeout = rbc_kernel_time_of(SLEEP_NS);
    syscall(RBC_SYS_FUTEX, &self->page->lock, RBC_FUTEX_WAIT, seen, &timeout, NULL, 0);
}

/*
 * The loop is bounded as follows. A round that does not sleep found the word changed, so somebody
 * else got ahead. A round that sleeps leaves the processor to the owner for a millisecond at most,
 * whatever its priority, and then takes the lock from an owner that is dead. So the loop takes as
 * long as owners hold the lock. A peer that stands still with it, or a hostile one that keeps
 * writing a living owner's name there, has no bound: the header says so.
 */
static void lock_slowly(rbc_memory_producer *self) {
    RBC_KEEP_ERRNO;
    const uint32_t ours = self->token | CONTENDED; /* others may sleep as well */
    for (unsigned asked = 0;; asked++) {
        uint32_t seen = atomic_load_explicit(&self->page->lock, memory_order_relaxed);
        if (seen == 0) {
            if (try_lock(self, 0, ours)) {
                return;
            }
            continue;
        }
        if (!(seen & CONTENDED) && !try_lock(self, seen, seen | CONTENDED)) {
            continue;
        }
        seen |= CONTENDED;
        sleep_on_lock(self, seen);
        uint32_t owner = seen & ~CONTENDED;
        if (atomic_load_explicit(&self->page->lock, memory_order_relaxed) == seen &&
            owner != self->token && rbc_producer_is_gone(self->page, self->fd, owner, asked) &&
            try_lock(self, seen, ours)) {
            return;
        }
    }
}

/* Spins a bounded number of times: the owner may be a thread that we keep from running. */
static void lock(rbc_memory_producer *self) {
    for (int i = 0; i < SPINS; i++) {
        bool is_free = atomic_load_explicit(&self->page->lock, memory_order_relaxed) == 0;
        if (is_free && try_lock(self, 0, self->token)) {
            return;
        }
        rbc_relax();
    }
    lock_slowly(self);
}

static void unlock(rbc_memory_producer *self) {
    uint32_t word = atomic_exchange_explicit(&self->page->lock, 0, memory_order_release);
    if (word & CONTENDED) {
        RBC_KEEP_ERRNO;
        syscall(RBC_SYS_FUTEX, &self->page->lock, RBC_FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

/* ---- Records ---- */

static rbc_header *header_at(const rbc_memory_producer *self, uint64_t position) {
    return rbc_header_at(&self->mapping, position);
}

/*
 * Under the lock, with space made: a record of span bytes at `producer` is there, and BUSY. What
 * copies may believe of the memory meanwhile is in checked_copy.c: nothing but this header is
 * written before producer_pos is past it.
 */
static inline rbc_header *begin(rbc_memory_producer *self, uint64_t producer, uint64_t span,
                                uint32_t length) {
    rbc_header *header = header_at(self, producer);
    atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
    atomic_store_explicit(&header->length, length | RBC_BUSY, memory_order_relaxed);
    /* Release: a reader that sees the position sees the BUSY header. Pairs with
     * rbc_ring_load_producer_pos and rbc_copy_find_end. If this producer dies before, the next
     * owner of the lock writes its own header here. */
    atomic_store_explicit(&self->page->producer_pos, producer + span, memory_order_release);
    return header;
}

/* Reserves as the kernel does under its spin lock in __bpf_ringbuf_reserve(). */
static int reserve_locked(rbc_memory_producer *self, rbc_header **out, uint32_t size) {
    const uint64_t span = rbc_record_span(size);
    uint64_t producer;
    int error = rbc_reserve_one(&self->mapping, self->overwrites, span, &producer);
    if (error == 0) {
        *out = begin(self, producer, span, size);
    }
    return error;
}

/*
 * If what is in the way of an overwriting ring was left by a dead producer, discards it and returns
 * true. Asks without the lock: it takes system calls.
 */
static bool clear_the_way(rbc_memory_producer *self) {
    uint64_t position;
    uint32_t token;
    if (!self->overwrites) {
        return false;
    }
    /* Look under the lock: without it the place may hold another record's data by now. */
    lock(self);
    bool is_blocked = rbc_reserve_blocker(&self->mapping, &position, &token);
    unlock(self);
    if (!is_blocked || !(token & RBC_TOKEN_BIT) || token == self->token) {
        return false;
    }
    RBC_KEEP_ERRNO;
    unsigned asked = atomic_fetch_add_explicit(&self->refused, 1, memory_order_relaxed);
    if (!rbc_producer_is_gone(self->page, self->fd, token, asked)) {
        return false;
    }
    lock(self);
    bool discarded = rbc_reserve_discard_blocker(&self->mapping, position, token);
    unlock(self);
    if (discarded) {
        /* The reader may have stopped there, and waits for that record's commit. */
        rbc_event_fd_signal(self->event_fd);
    }
    return discarded;
}

/*
 * How many records of dead producers one call discards at most: as many as a ring can hold. Only a
 * peer that writes new ones all the time leaves more, and is not waited for.
 */
static size_t dead_records_max(const rbc_memory_producer *self) {
    return self->mapping.data_size / RBC_HEADER_SIZE;
}

/* Does not count what is refused. */
static int reserve(rbc_memory_producer *self, void **data, size_t size) {
    if (size > self->mapping.data_size - 2 * RBC_HEADER_SIZE) {
        return -EMSGSIZE;
    }
    rbc_header *header = NULL;
    size_t cleared = 0;
    int error;
    do {
        lock(self);
        error = reserve_locked(self, &header, (uint32_t)size);
        unlock(self);
    } while (error == -EAGAIN && cleared++ < dead_records_max(self) && clear_the_way(self));
    if (error == 0) {
        *data = header + 1;
    }
    return error;
}

static int count_lost(rbc_memory_producer *self, int error) {
    if (error == -EAGAIN) {
        atomic_fetch_add_explicit(&self->page->lost, 1, memory_order_relaxed);
    }
    return error;
}

int rbc_memory_producer_reserve(rbc_memory_producer *self, void **data, size_t size) {
    return count_lost(self, reserve(self, data, size));
}

/* ---- Waiting for space ---- */

/*
 * Readers do not wake producers, because that would cost each commit. So a producer that waits
 * looks by itself: these are the time until the first look, and the longest time between two.
 */
#define FIRST_DELAY_NS INT64_C(50000)
#define LONGEST_DELAY_NS INT64_C(1000000)

static int sleep_until(int64_t deadline_ns, int64_t delay_ns) {
    int64_t left = deadline_ns - rbc_now_ns();
    if (left <= 0) {
        return -EAGAIN;
    }
    struct timespec pause = {.tv_nsec = left < delay_ns ? left : delay_ns};
    return -clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* Bounded by the deadline. Each round sleeps, and by that leaves the processor to the reader. */
int rbc_memory_producer_reserve_wait(rbc_memory_producer *self, void **data, size_t size,
                                     int64_t deadline_ns) {
    int64_t delay = FIRST_DELAY_NS;
    int error = reserve(self, data, size);
    while (error == -EAGAIN && (error = sleep_until(deadline_ns, delay)) == 0) {
        error = reserve(self, data, size);
        delay = delay * 2 > LONGEST_DELAY_NS ? LONGEST_DELAY_NS : delay * 2;
    }
    return error; /* not counted: a caller that waits in parts goes on waiting */
}

/* ---- Handing over ---- */

/* The header of a record that this producer has reserved, or NULL. */
static rbc_header *reserved_header(const rbc_memory_producer *self, const void *data) {
    uintptr_t offset = (uintptr_t)data - (uintptr_t)self->mapping.data - RBC_HEADER_SIZE;
    if (data == NULL || offset % 8 != 0 || offset >= self->mapping.data_size) {
        return NULL;
    }
    rbc_header *header = header_at(self, offset);
    return atomic_load_explicit(&header->token, memory_order_relaxed) == self->token ? header
                                                                                     : NULL;
}

/*
 * The end of the kernel's bpf_ringbuf_commit(): wakes the reader if it has given back all before
 * the record at `position`, or as flags say. The full fence, for which the kernel has its xchg(),
 * is between the store of that record's header and the load of consumer_pos: see look_again
 * (consumer.c) for the other side.
 */
static void wake_if_next(rbc_memory_producer *self, uint64_t position, uint32_t flags) {
    rbc_full_fence();
    uint64_t consumer = atomic_load_explicit(self->consumer_pos, memory_order_relaxed);
    bool is_next = ((consumer ^ position) & (self->mapping.data_size - 1)) == 0;
    if (flags & RBCORE_FORCE_WAKEUP || (is_next && !(flags & RBCORE_NO_WAKEUP))) {
        rbc_event_fd_signal(self->event_fd);
    }
}

/* Finishes a record as the kernel does in bpf_ringbuf_commit(). */
int rbc_memory_producer_finish(rbc_memory_producer *self, void *data, uint32_t flags,
                               uint32_t discard) {
    rbc_header *header = reserved_header(self, data);
    if (header == NULL) {
        return -EINVAL;
    }
    uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
    /* Exchanged only if still BUSY, so that a record cannot be submitted twice. */
    if (!(length & RBC_BUSY) || !atomic_compare_exchange_strong_explicit(
                                    &header->length, &length, (length & ~RBC_BUSY) | discard,
                                    memory_order_seq_cst, memory_order_relaxed)) {
        return -EINVAL;
    }
    uint64_t offset = (uint64_t)((unsigned char *)header - self->mapping.data);
    wake_if_next(self, offset, flags);
    return 0;
}

/* ---- Batches ---- */

/*
 * A batch is one record that is reserved, divided, and then submitted as all that it was divided
 * into. Its first header stands for the whole as long as it is BUSY: readers and copies stop there,
 * positions are past it like past any other record, and if we die it is skipped, or discarded, as
 * one. The other headers and the data are written without the lock. The last store takes BUSY off
 * the first header, with the length of the first record: then all of them are there, at once.
 */
typedef struct batch {
    rbc_header *header; /* the first */
    uint64_t position;  /* its own */
    size_t count;
} batch;

static int check_slice(const rbc_memory_producer *self, const rbcore_slice *slice) {
    if (slice->size > self->mapping.data_size - 2 * RBC_HEADER_SIZE) {
        return -EMSGSIZE;
    }
    return slice->data == NULL && slice->size != 0 ? -EINVAL : 0;
}

/* How many bytes the records take that there is space for, and in *fit how many those are. */
static uint64_t measure(const rbc_memory_producer *self, const rbcore_slice *slices, size_t count,
                        const rbc_free_space *space, size_t *fit, int *error) {
    uint64_t sum = 0;
    for (*fit = 0; *fit < count; ++*fit) {
        *error = check_slice(self, &slices[*fit]);
        if (*error != 0) {
            break;
        }
        uint64_t span = rbc_record_span((uint32_t)slices[*fit].size);
        if (span > space->free - sum) {
            *error = space->why_no_more;
            break;
        }
        sum += span;
    }
    return sum;
}

/* Returns 0 if at least one fits, or count is 0. */
static int reserve_batch_locked(rbc_memory_producer *self, const rbcore_slice *slices, size_t count,
                                batch *out) {
    rbc_free_space space;
    int error = rbc_reserve_find(&self->mapping, self->overwrites, &space);
    if (error != 0) {
        return error;
    }
    uint64_t span = measure(self, slices, count, &space, &out->count, &error);
    if (out->count == 0) {
        return error;
    }
    error = rbc_reserve_take(&self->mapping, self->overwrites, &space, span);
    if (error == 0) {
        out->position = space.producer;
        out->header = begin(self, space.producer, span, (uint32_t)(span - RBC_HEADER_SIZE));
    }
    return error;
}

static void write_batch(const rbc_memory_producer *self, const batch *to,
                        const rbcore_slice *slices) {
    /* A reader that sees what is written here sees producer_pos past it: pairs with the full fence
     * in rbc_copy_valid_from. The store-release of that position does not hold back what follows
     * it. */
    rbc_store_fence();
    uint64_t at = to->position;
    for (size_t i = 0; i < to->count; i++) {
        rbc_header *header = header_at(self, at);
        const uint32_t size = (uint32_t)slices[i].size;
        if (i > 0) {
            atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
            atomic_store_explicit(&header->length, size, memory_order_relaxed);
        }
        if (size != 0) {
            memcpy(header + 1, slices[i].data, size);
        }
        at += rbc_record_span(size);
    }
    /* Release: a reader that sees this header without BUSY sees all that follow it, and the data.
     * Pairs with rbc_load_length (layout.h), rbc_copy_length, and the load in update_pending
     * (memory_reserve.c). */
    atomic_store_explicit(&to->header->length, (uint32_t)slices[0].size, memory_order_release);
}

int rbc_memory_producer_output_batch(rbc_memory_producer *self, const rbcore_slice *slices,
                                     size_t count, uint32_t flags) {
    batch written = {.count = 0};
    size_t cleared = 0;
    int error;
    do {
        lock(self);
        error = reserve_batch_locked(self, slices, count, &written);
        unlock(self);
    } while (error == -EAGAIN && cleared++ < dead_records_max(self) && clear_the_way(self));
    if (error != 0 || written.count == 0) {
        return error;
    }
    write_batch(self, &written, slices);
    wake_if_next(self, written.position, flags);
    return (int)written.count;
}
