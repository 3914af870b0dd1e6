/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "report.h"
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * libbpf gives the space of each record back after its callback. So do we in small rings; in larger
 * ones after so many bytes, for each time costs as much as several records.
 */
#define PIECE_PART 256
#define PIECE_MAX 2048

/* ---- Life ---- */

static int open_reader(struct ring *self, uint32_t flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.max_latency_ns = setting_max_latency_ns();
    int error = rbcore_reader_open(&self->reader, &options);
    if (error != 0) {
        return error;
    }
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = self->map_fd;
    source.flags = flags;
    error = rbcore_reader_add(self->reader, &source);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    if (error == 0) {
        rbcore_reader_ring_stats(self->reader, 0, &stats);
    }
    self->size = stats.ring_size;
    self->piece_start = stats.user_pos;
    self->piece_size = self->size / PIECE_PART < PIECE_MAX ? self->size / PIECE_PART : PIECE_MAX;
    self->next = self->end = 0;
    atomic_store_explicit(&self->consumer_pos, AT_COMMIT, memory_order_relaxed);
    return error;
}

static void close_reader(struct ring *self) {
    rbcore_reader_free(self->reader);
    self->reader = NULL;
}

/* What libbpf makes of the same mistakes. */
static int errno_of_libbpf(int error) {
    return error == -EMEDIUMTYPE || error == -EBADFD ? EINVAL : -error;
}

/* Returns whether libbpf reads it now; if not, errno says why. */
static bool open_by_libbpf(struct ring *self, int refusal) {
    if (!genuine_load(&self->genuine)) {
        errno = errno_of_libbpf(refusal);
        return false;
    }
    self->libbpf = self->genuine.open(self->map_fd, self->handle, self->context, NULL);
    return self->libbpf != NULL;
}

static void warn(const struct ring *self, int refusal) {
    const char *reason = self->reader == NULL ? "" : rbcore_reader_message(self->reader);
    fprintf(stderr, "rbcore: libbpf reads the ring of descriptor %d: %s\n", self->map_fd,
            reason[0] == '\0' ? rbcore_strerror(refusal) : reason);
}

struct ring *ring_open(int map_fd, ring_buffer_sample_fn handle, void *context, bool is_known) {
    struct ring *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->map_fd = map_fd;
    self->handle = handle;
    self->context = context;
    int refusal = open_reader(self, 0);
    if (refusal == 0) {
        report_add(self->reader);
        return self;
    }
    if (refusal == -EBUSY && is_known) {
        errno = EEXIST; /* of libbpf's epoll_ctl */
    } else if (open_by_libbpf(self, refusal)) {
        warn(self, refusal);
        close_reader(self);
        return self;
    }
    int error = errno;
    close_reader(self);
    free(self);
    errno = error;
    return NULL;
}

void ring_free(struct ring *self) {
    if (self->libbpf != NULL) {
        self->genuine.free(self->libbpf);
    }
    if (self->reader != NULL) {
        report_remove(self->reader);
        close_reader(self);
    }
    free(self);
}

int ring_reopen(struct ring *self) {
    if (self->libbpf != NULL) {
        return 0;
    }
    report_remove(self->reader);
    close_reader(self);
    int error = open_reader(self, 0);
    if (error == -EBUSY) { /* by the parent, which lives: two consumers are what was asked for */
        close_reader(self);
        error = open_reader(self, RBCORE_SOURCE_INSIST);
    }
    if (error == 0) {
        report_add(self->reader);
    }
    return error;
}

/* ---- The batch ---- */

static bool is_empty(const struct ring *self) {
    return self->next == self->end;
}

static uint64_t end_of(const rbcore_record *record) {
    return record->position + ((uint64_t)record->size + 8 + 7) / 8 * 8;
}

/* Gives back what was delivered. */
static void commit(struct ring *self, uint32_t flags) {
    if (is_empty(self)) {
        rbcore_reader_commit(self->reader, NULL, flags);
    } else if (self->next > 0) {
        rbcore_reader_commit(self->reader, &self->records[self->next - 1], flags);
    }
}

/* What a read returned becomes the batch. */
static int take(struct ring *self, int result) {
    self->next = 0;
    self->end = result > 0 ? (unsigned)result : 0;
    if (result > 0) {
        self->piece_start = self->records[0].position;
    }
    return result;
}

static bool is_to_repeat(int result) {
    /* -ECANCELED: of our own rbcore_reader_interrupt, in arm(). */
    return result == -EAGAIN || result == -ECANCELED;
}

/* What is there now. Makes no system call, unless the ring is watched and there is nothing. */
static int fetch(struct ring *self) {
    int result;
    do {
        result = rbcore_reader_look(self->reader, self->records, BATCH);
        if (result == 0 && self->is_watched) {
            result = rbcore_reader_read(self->reader, self->records, BATCH);
        }
    } while (is_to_repeat(result));
    return take(self, result);
}

/* Makes the descriptor readable if there is something to deliver, and else when there will be. */
static void arm(struct ring *self) {
    if (is_empty(self)) {
        commit(self, 0);
        fetch(self);
    }
    if (!is_empty(self)) {
        rbcore_reader_interrupt(self->reader);
    }
}

int ring_fd(const struct ring *self) {
    return self->libbpf != NULL ? self->genuine.epoll_fd(self->libbpf)
                                : rbcore_reader_fd(self->reader);
}

void ring_watch(struct ring *self) {
    self->is_watched = true;
    if (self->libbpf == NULL) {
        arm(self);
    }
}

/* ---- Delivery ---- */

/* The record before `next` was delivered. */
static void note_delivered(struct ring *self, uint64_t end) {
    self->delivered++;
    self->next++;
    if (end - self->piece_start >= self->piece_size) {
        self->piece_start = end;
        commit(self, 0);
    }
}

/*
 * Hands a record to the callback. That may call us again, and then gets this record once more, as
 * from libbpf; what the inner call has delivered is not delivered again by this one.
 */
static int deliver_next(struct ring *self) {
    const rbcore_record record = self->records[self->next];
    const uint64_t before = self->delivered, end = end_of(&record);
    void *data = (void *)(uintptr_t)record.data; /* the callback's type has no const */
    atomic_store_explicit(&self->consumer_pos, record.position, memory_order_relaxed);
    int result = self->handle(self->context, data, record.size);
    if (self->delivered == before) {
        atomic_store_explicit(&self->consumer_pos, end, memory_order_relaxed);
        note_delivered(self, end);
    }
    return result;
}

/* Delivers the batch, and others until there is nothing. Returns as ring_deliver. */
static int64_t deliver(struct ring *self, size_t most) {
    int64_t count = 0;
    for (;;) {
        if (is_empty(self)) {
            commit(self, 0);
            int found = fetch(self);
            if (found <= 0) {
                atomic_store_explicit(&self->consumer_pos, AT_COMMIT, memory_order_relaxed);
                return count > 0 ? count : found;
            }
        }
        int result = deliver_next(self);
        if (result < 0) {
            return result;
        }
        if ((size_t)++count >= most) {
            return count;
        }
    }
}

/* Whether all there was has been delivered: not so after an error, or at a limit. */
static bool is_drained(const struct ring *self) {
    return atomic_load_explicit(&self->consumer_pos, memory_order_relaxed) == AT_COMMIT;
}

int64_t ring_deliver(struct ring *self, size_t most) {
    if (self->libbpf != NULL) {
        return most >= INT_MAX ? self->genuine.consume(self->libbpf)
                               : self->genuine.consume_n(self->libbpf, most);
    }
    int64_t result = deliver(self, most);
    if (!self->is_watched) {
        commit(self, RBCORE_COMMIT_NOW); /* who waits by the map's own descriptor must not spin */
    } else if (!is_drained(self)) {
        commit(self, 0);
        arm(self);
    }
    return result;
}

int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns) {
    int waited = 1;
    if (is_empty(self)) {
        do {
            waited = rbcore_reader_next(self->reader, self->records, BATCH, timeout_ns);
        } while (is_to_repeat(waited));
        take(self, waited);
    }
    if (waited < 0 && waited != -EINTR) {
        return waited;
    }
    /* Also after 0 and -EINTR: what is not due for rbcore, libbpf would deliver. */
    int64_t result = deliver(self, INT_MAX);
    commit(self, 0);
    return result != 0 ? result : waited < 0 ? waited : 0;
}
