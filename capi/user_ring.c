/* SPDX-License-Identifier: MIT */
#include "user_ring.h"

#include "fence.h"
#include "keep_errno.h"
#include "map.h"
#include "source.h"
#include "uncancelled.h"
#include "wait.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

/* The largest record that a BPF program can look at (DYNPTR_MAX_SIZE in linux/bpf.h). The kernel
 * refuses to pass a larger one, even a discarded one: it would stop the ring for good. */
#define RECORD_MAX ((UINT32_C(1) << 24) - 1)

/* Tells our records from those of other libraries, which leave the word 0. The kernel does not look
 * at it. */
#define TOKEN_BIT (UINT32_C(1) << 31)

/* How long a wait may miss that a BPF program drained with BPF_RB_NO_WAKEUP. */
#define LOOK_AGAIN_NS INT64_C(10000000)

/* ---- The lock ---- */

/*
 * The lock is held for some nanoseconds (for a batch: while it is copied), among the threads of one
 * process. So a waiter spins. If that takes too long, the owner was preempted, and the waiter
 * sleeps for a while. Waking it instead would cost each unlock a read-modify-write.
 */
#define SPINS 100
#define SLEEP_NS 50000

/* Cold, here and below, so that it stays out of the code that each record runs through. */
__attribute__((cold)) static void wait_for_lock(rbc_user_ring *self) {
    for (int i = 0; i < SPINS; i++) {
        if (!atomic_load_explicit(&self->is_locked, memory_order_relaxed)) {
            return;
        }
        rbc_relax();
    }
    RBC_KEEP_ERRNO;
    RBC_UNCANCELLED;
    struct timespec pause = {.tv_nsec = SLEEP_NS};
    nanosleep(&pause, NULL);
}

/*
 * The loop is bounded: the owner, a thread of this process, holds the lock for as long as a batch
 * takes to copy. A waiter that keeps it from running sleeps after 100 looks, and it runs then.
 */
static void take_lock(rbc_user_ring *self) {
    while (!rbc_user_ring_try_lock(self)) {
        wait_for_lock(self);
    }
}

/* ---- Records ---- */

/* Looks at the kernel's position as it is now. */
__attribute__((cold)) static int look_for_space(rbc_user_ring *self, uint64_t producer,
                                                uint64_t span) {
    uint64_t size = self->mapping.data_size;
    /* Acquire: the kernel is done with the space before. Pairs with smp_store_release(
     * &rb->consumer_pos) in __bpf_user_ringbuf_sample_release(). */
    self->seen_consumer = atomic_load_explicit(self->consumer_pos, memory_order_acquire);
    uint64_t used = producer - self->seen_consumer;
    if (producer % 8 != 0 || used > size) {
        return -EBADMSG;
    }
    return used <= size - span ? 0 : -EAGAIN;
}

static inline int find_space(rbc_user_ring *self, uint64_t producer, uint64_t span) {
    return rbc_user_ring_has_space(self, producer, span) ? 0 : look_for_space(self, producer, span);
}

int rbc_user_ring_reserve_slowly(rbc_user_ring *self, void **data, size_t size) {
    take_lock(self);
    uint64_t producer = rbc_user_ring_producer_pos(self);
    int error = find_space(self, producer, rbc_record_span((uint32_t)size));
    if (error == 0) {
        *data = rbc_user_ring_begin(self, producer, (uint32_t)size);
    }
    rbc_user_ring_drop_lock(self);
    return error;
}

/* ---- Batches ---- */

/* Writes a record at *end, where the kernel does not look yet, and moves *end. */
static int append(rbc_user_ring *self, uint64_t *end, const rbcore_slice *slice) {
    if (slice->size > self->size_max) {
        return -EMSGSIZE;
    }
    if (slice->data == NULL && slice->size != 0) {
        return -EINVAL;
    }
    uint64_t span = rbc_record_span((uint32_t)slice->size);
    int error = find_space(self, *end, span);
    if (error != 0) {
        return error;
    }
    rbc_user_ring_write(self, *end, slice->data, slice->size);
    *end += span;
    return 0;
}

/* No record is ever BUSY: all become visible at once, with the one store of producer_pos. */
int rbc_user_ring_output_batch(rbc_user_ring *self, const rbcore_slice *slices, size_t count) {
    int error = 0;
    size_t done = 0;
    take_lock(self);
    uint64_t end = rbc_user_ring_producer_pos(self);
    while (done < count && (error = append(self, &end, &slices[done])) == 0) {
        done++;
    }
    if (done > 0) {
        rbc_user_ring_set_producer_pos(self, end);
    }
    rbc_user_ring_drop_lock(self);
    return done > 0 ? (int)done : error;
}

int rbc_user_ring_output_slowly(rbc_user_ring *self, const void *data, size_t size) {
    int written = rbc_user_ring_output_batch(self, &(rbcore_slice){data, size}, 1);
    return written < 0 ? written : 0;
}

/* ---- Waiting for space ---- */

/*
 * Each waiter has an epoll instance of its own, because an edge goes to only one of the threads
 * that wait on the same. It is taken before the ring is found full, so that no edge after that is
 * missed; an old one that is still in it costs one more look.
 */
static int take_epoll(rbc_user_ring *self) {
    int fd = atomic_exchange_explicit(&self->epoll_fd, -1, memory_order_acq_rel);
    if (fd >= 0) {
        return fd;
    }
    fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    if (fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, self->fd, &event) != 0) {
        int error = -errno;
        rbc_close(fd);
        return error;
    }
    return fd < 0 ? -errno : fd;
}

static void give_epoll(rbc_user_ring *self, int fd) {
    rbc_close(atomic_exchange_explicit(&self->epoll_fd, fd, memory_order_acq_rel));
}

/* Called over and over until the deadline: each time it sleeps, or an edge came since the last. */
static int wait_for_room(int epoll_fd, int64_t deadline_ns) {
    int64_t left = deadline_ns - rbc_now_ns();
    if (left <= 0) {
        return -EAGAIN;
    }
    struct epoll_event event;
    int n = rbc_epoll_wait(epoll_fd, &event, 1, left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS);
    return n < 0 ? n : 0;
}

/* Waits once if the ring is full. Returns what a reservation returned at last. */
static int reserve_after_a_wait(rbc_user_ring *self, void **data, size_t size,
                                int64_t deadline_ns) {
    int epoll_fd = take_epoll(self);
    if (epoll_fd < 0) {
        return epoll_fd;
    }
    int error = rbc_user_ring_reserve(self, data, size);
    if (error == -EAGAIN && (error = wait_for_room(epoll_fd, deadline_ns)) == 0) {
        error = rbc_user_ring_reserve(self, data, size);
    }
    give_epoll(self, epoll_fd);
    return error;
}

int rbc_user_ring_reserve_wait(rbc_user_ring *self, void **data, size_t size, int64_t deadline_ns) {
    int error = rbc_user_ring_reserve(self, data, size);
    while (error == -EAGAIN && rbc_now_ns() < deadline_ns) {
        pthread_testcancel(); /* nothing is held now */
        error = reserve_after_a_wait(self, data, size, deadline_ns);
    }
    return error;
}

/* ---- Opening and closing ---- */

/*
 * Discards what producers reserved that will not finish it; the kernel would wait for it for ever.
 * token is theirs, or 0 for all of this library.
 */
static void discard_abandoned(rbc_user_ring *self, uint32_t token) {
    uint64_t position = atomic_load_explicit(self->consumer_pos, memory_order_acquire);
    uint64_t end = rbc_user_ring_producer_pos(self);
    /* Content that makes no sense can lead past the end; then the difference is huge. Each step is
     * 8 bytes or more, so there are no more than a full ring has. */
    while (position != end && end - position <= self->mapping.data_size) {
        rbc_header *header = rbc_header_at(&self->mapping, position);
        uint32_t length = atomic_load_explicit(&header->length, memory_order_acquire);
        uint32_t owner = atomic_load_explicit(&header->token, memory_order_relaxed);
        if (length & RBC_BUSY && owner & TOKEN_BIT && (token == 0 || owner == token)) {
            rbc_user_ring_set_length(header, (length & ~RBC_BUSY) | RBC_DISCARD);
        }
        position += rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
    }
}

static int map_ring(rbc_user_ring *self, const rbcore_source *source, uint32_t *map_id) {
    self->fd = rbc_source_open_map(source);
    if (self->fd < 0) {
        return self->fd;
    }
    rbc_map_info info;
    int error = rbc_map_get_info(self->fd, &info);
    if (error != 0) {
        return error;
    }
    if (info.type != RBC_BPF_MAP_TYPE_USER_RINGBUF) {
        return -EMEDIUMTYPE;
    }
    if (!rbc_map_positions_are_whole()) {
        return -EOPNOTSUPP;
    }
    if (!rbc_ring_size_is_valid(info.max_entries, rbc_page_size())) {
        return -EBADMSG;
    }
    *map_id = info.id;
    return rbc_mapping_open_user_map(&self->mapping, self->fd, info.max_entries);
}

static int claim(rbc_user_ring *self, uint32_t map_id, bool insist) {
    bool is_guarded, serves = false;
    self->lock_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const rbc_owner_lock lock = rbc_owner_map_lock(self->lock_fd, self->fd, map_id, &serves);
    const rbc_process process = rbc_process_self();
    return rbc_owner_claim(&self->owner, self->mapping.producer_page, self->mapping.page_size,
                           &lock, &process, insist, &is_guarded);
}

static int open_ring(rbc_user_ring *self, const rbcore_source *source) {
    uint32_t map_id = 0;
    int error = map_ring(self, source, &map_id);
    if (error == 0) {
        error = claim(self, map_id, source->flags & RBCORE_SOURCE_INSIST);
    }
    if (error != 0) {
        return error;
    }
    self->consumer_pos = (const _Atomic uint64_t *)(const void *)self->mapping.consumer_page;
    self->producer_pos = (_Atomic uint64_t *)(void *)self->mapping.producer_page;
    uint64_t largest = self->mapping.data_size - RBC_HEADER_SIZE;
    self->size_max = largest < RECORD_MAX ? (uint32_t)largest : RECORD_MAX;
    self->no_offset = ~(uint64_t)(self->mapping.data_size - 8);
    self->token = TOKEN_BIT | (uint32_t)rbc_now_ns();
    self->seen_consumer = atomic_load_explicit(self->consumer_pos, memory_order_acquire);
    uint64_t producer = rbc_user_ring_producer_pos(self);
    if (producer % 8 != 0 || producer - self->seen_consumer > self->mapping.data_size) {
        rbc_owner_yield(&self->owner);
        return -EBADMSG;
    }
    discard_abandoned(self, 0);
    return 0;
}

int rbc_user_ring_open(rbc_user_ring *self, const rbcore_source *source) {
    *self = (rbc_user_ring){.fd = -1, .lock_fd = -1};
    atomic_init(&self->epoll_fd, -1);
    int error = open_ring(self, source);
    if (error != 0) {
        rbc_user_ring_close(self);
    }
    return error;
}

void rbc_user_ring_leave(rbc_user_ring *self) {
    discard_abandoned(self, self->token);
    rbc_owner_yield(&self->owner);
}

void rbc_user_ring_close(rbc_user_ring *self) {
    rbc_mapping_close(&self->mapping);
    rbc_close(atomic_load_explicit(&self->epoll_fd, memory_order_relaxed));
    rbc_close(self->lock_fd);
    rbc_close(self->fd);
}
