/* SPDX-License-Identifier: MIT */
/* A reader's life: opening it, adding and removing rings, and what other threads ask of it. */
#include "reader.h"

#include "consumer.h"
#include "fence.h"
#include "keep_errno.h"
#include "kind.h"
#include "pass.h"
#include "return_on_discards.h"
#include "sized.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_FLAGS (RBCORE_READER_RELEASE | RBCORE_READER_POLL)

/* Longer is without end. A clock's time and twice as much can be added up. */
#define LONGEST_LATENCY_NS (INT64_MAX / 4)

static const rbcore_reader_options defaults = RBCORE_READER_OPTIONS_INIT;

/* ---- Life ---- */

int rbcore_reader_options_init(rbcore_reader_options *out, size_t size) {
    return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

int rbcore_reader_open(rbcore_reader **out, const rbcore_reader_options *given) {
    RBC_KEEP_ERRNO;
    if (out == NULL) {
        return -EINVAL;
    }
    rbcore_reader_options options = defaults;
    int error = given == NULL ? 0 : rbc_sized_in(&options, sizeof(options), given);
    if (error != 0) {
        return error;
    }
    bool polls = options.flags & RBCORE_READER_POLL;
    if (options.flags & ~KNOWN_FLAGS || options.order_clock != 0 || options.max_latency_ns < 0 ||
        (polls && options.max_latency_ns == 0)) {
        return -EINVAL;
    }
    rbcore_reader *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return -ENOMEM;
    }
    self->is_release = options.flags & RBCORE_READER_RELEASE;
    self->has_turns = !self->is_release;
    self->is_polling = polls;
    self->max_latency_ns =
        options.max_latency_ns < LONGEST_LATENCY_NS ? options.max_latency_ns : LONGEST_LATENCY_NS;
    self->can_pace = polls || options.max_latency_ns >= RBC_PACE_SHORTEST_NS;
    rbc_pacing_init(self);
    atomic_init(&self->refs, 1);
    atomic_init(&self->user_refs, 1);
    error = rbc_fork_check_init(&self->fork_check);
    if (error == 0) {
        error = rbc_wait_open(&self->wait);
    }
    if (error != 0) {
        free(self);
        return error;
    }
    self->wait.heard = rbc_idle_hear;
    self->wait.reader = self;
    pthread_mutex_init(&self->slots_lock, NULL);
    *out = self;
    return 0;
}

void rbc_reader_return_on_discards(rbcore_reader *self) {
    self->ends_for_discards = true;
}

uint64_t rbc_reader_discards(const rbcore_reader *self) {
    return rbc_get(&self->discards);
}

void rbc_reader_commit_by_ring(rbcore_reader *self) {
    self->has_turns = false;
}

int rbcore_reader_ref(rbcore_reader *self) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    atomic_fetch_add_explicit(&self->user_refs, 1, memory_order_relaxed);
    return 0;
}

/* In a forked child nobody can release what is held: all goes at once, and only in the child. */
static void free_in_child(rbcore_reader *self) {
    rbc_wait_close_epoll(&self->wait);
    for (unsigned i = 0; i < RBCORE_RINGS_MAX; i++) {
        rbc_ring *ring = rbc_reader_ring(self, i);
        if (ring != NULL) {
            rbc_ring_close(ring);
            rbc_reader_put(self);
        }
    }
    rbc_reader_put(self);
}

void rbcore_reader_free(rbcore_reader *self) {
    RBC_KEEP_ERRNO;
    if (self == NULL || atomic_fetch_sub_explicit(&self->user_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (!rbc_fork_check_passes(&self->fork_check)) {
        free_in_child(self);
        return;
    }
    /* The epoll goes first: it does not notice by itself that a ring's descriptor was closed. */
    rbc_wait_close_epoll(&self->wait);
    for (unsigned i = 0; i < self->table.count; i++) {
        rbc_ring *ring = self->table.rings[i];
        rbc_owner_note_left(&ring->owner);
        rbc_ring_put(ring, 1);
    }
    rbc_reader_put(self);
}

/* ---- Rings ---- */

static int reserve_index(rbcore_reader *self) {
    int index = rbc_ring_table_reserve(&self->table);
    if (index == -ENOSPC) {
        return rbc_reader_fail(self, index, "the reader has %d rings", RBCORE_RINGS_MAX);
    }
    return index < 0 ? rbc_reader_fail(self, index, "no memory") : index;
}

/* Makes the ring known to the wait, the table, the round and the turns. */
static int install(rbcore_reader *self, rbc_ring *ring, unsigned index) {
    int error = self->has_turns ? rbc_turns_grow(&self->turns, self->table.count + 1) : 0;
    if (error == 0) {
        /* What was published when the ring was opened comes before the epoll's look at the map: a
         * record that the look does not see wakes the reader. */
        rbc_full_fence();
        error = rbc_wait_add(&self->wait, ring->wake_fd, index);
    }
    if (error != 0) {
        return rbc_reader_fail(self, error, "the ring cannot be added: %s", strerror(-error));
    }
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    pthread_mutex_lock(&self->slots_lock);
    rbc_ring_table_put(&self->table, ring, index);
    pthread_mutex_unlock(&self->slots_lock);
    rbc_idle_add(self, ring);
    rbc_pacing_add(self, ring);
    self->rings_to_watch += ring->kind->is_watched;
    return (int)index;
}

static int add(rbcore_reader *self, const rbcore_source *source, rbc_descriptor descriptor) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (source == NULL) {
        return rbc_reader_fail(self, -EINVAL, "the source is NULL");
    }
    if (atomic_load_explicit(&self->asked, memory_order_relaxed) & RBC_ASKED_SHUTDOWN) {
        return rbc_reader_fail(self, -ESHUTDOWN, "the reader was shut down");
    }
    int index = reserve_index(self);
    if (index < 0) {
        return index;
    }
    rbc_ring *ring;
    error = rbc_ring_open(&ring, self, source, descriptor);
    if (error != 0) {
        return error;
    }
    index = install(self, ring, (unsigned)index);
    if (index < 0) {
        rbc_ring_close(ring);
        return index;
    }
    if (ring->from_latest) {
        rbc_passed passed = rbc_ring_skip_to_latest(ring); /* only now: nothing can fail any more */
        rbc_read_note(ring, &passed, NULL);
    }
    /* A reader that waits already knows nothing of this ring. The look that this wakeup brings
     * about arms it. (An idle one is armed, and in the epoll.) */
    if (ring->is_in_round) {
        rbc_wait_wake(&self->wait);
    }
    return index;
}

int rbcore_reader_add(rbcore_reader *self, const rbcore_source *source) {
    return add(self, source, RBC_FD_OWN);
}

int rbc_reader_add_by_descriptor(rbcore_reader *self, const rbcore_source *source,
                                 rbc_descriptor descriptor) {
    return add(self, source, descriptor);
}

int rbcore_reader_remove(rbcore_reader *self, unsigned int index) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    rbc_ring *ring = rbc_ring_table_find(&self->table, index);
    if (ring == NULL) {
        return rbc_reader_fail(self, -EINVAL, "no ring has the index %u", index);
    }
    if (!self->is_release && rbc_consumer_has_held(ring)) {
        return rbc_reader_fail(self, -EBUSY, "records of ring %u are not committed", index);
    }
    rbc_wait_remove(&self->wait, ring->wake_fd);
    rbc_idle_remove(self, ring);
    rbc_turns_forget(&self->turns, ring);
    pthread_mutex_lock(&self->slots_lock);
    rbc_ring_table_take_out(&self->table, ring);
    pthread_mutex_unlock(&self->slots_lock);
    rbc_pacing_remove(self, ring);
    self->rings_to_watch -= ring->kind->is_watched;
    rbc_owner_note_left(&ring->owner);
    rbc_ring_put(ring, 1);
    return 0;
}

int rbcore_reader_ring_after(rbcore_reader *self, int ring) {
    int error = rbc_reader_check(self);
    if (error != 0 || ring < -1) {
        return error != 0 ? error : -EINVAL;
    }
    return rbc_ring_table_after(&self->table, (unsigned)ring + 1);
}

/* ---- Waiting elsewhere, and from other threads ---- */

int rbcore_reader_fd(const rbcore_reader *self) {
    int error = rbc_reader_check(self);
    return error != 0 ? error : self->wait.epoll_fd;
}

/*
 * Release pairs with the acquire in answer(). The edge that follows ends a wait; a look that comes
 * between the two already sees the bit.
 */
static int ask(rbcore_reader *self, unsigned what) {
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    atomic_fetch_or_explicit(&self->asked, what, memory_order_release);
    rbc_wait_wake(&self->wait);
    return 0;
}

int rbcore_reader_interrupt(rbcore_reader *self) {
    return ask(self, RBC_ASKED_INTERRUPT);
}

int rbcore_reader_flush(rbcore_reader *self) {
    return ask(self, RBC_ASKED_FLUSH);
}

int rbcore_reader_shutdown(rbcore_reader *self) {
    return ask(self, RBC_ASKED_SHUTDOWN);
}
