/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "clock.h"
#include "report.h"
#include "return_on_discards.h"
#include "settings.h"
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/*
 * libbpf gives the space of each record back after its callback. So do we in small rings; in larger
 * ones after so many bytes, for each time costs as much as several records.
 */
#define PIECE_PART 256
#define PIECE_MAX 16384

/*
 * A look that finds a record or two takes as long as a producer needs for the next: a poll that went
 * on until there is nothing would do nothing else. What comes after so many is the next poll's.
 */
#define SMALL_BATCH 24
#define SMALL_BATCHES 4

/*
 * A batch ends where the next record would go beyond a quarter of the ring, so that of two in a row
 * which end there one has this part of it, and is not small, however few its records are.
 */
#define SMALL_PART 8

/* ---- Life ---- */

static int open_reader(struct ring *self, uint32_t flags) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.max_latency_ns = setting_max_latency_ns();
    int error = rbcore_reader_open(&self->reader, &options);
    if (error != 0) {
        return error;
    }
    rbc_reader_return_on_discards(self->reader); /* as libbpf's poll */
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = self->own_fd;
    source.flags = flags;
    error = rbcore_reader_add(self->reader, &source);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    if (error == 0) {
        rbcore_reader_ring_stats(self->reader, 0, &stats);
        self->size = stats.ring_size;
    }
    self->piece_size = self->size / PIECE_PART < PIECE_MAX ? self->size / PIECE_PART : PIECE_MAX;
    self->next = self->end = self->done = self->run.count = 0;
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
static bool open_by_libbpf(struct ring *self, int map_fd, int refusal) {
    if (!genuine_load(&self->genuine)) {
        errno = errno_of_libbpf(refusal);
        return false;
    }
    self->libbpf = genuine_open(&self->genuine, map_fd, self->handle, self->context);
    return self->libbpf != NULL;
}

static void warn(const struct ring *self, const char *reason) {
    fprintf(stderr, "rbcore: libbpf reads the ring of descriptor %d: %s\n", self->map_fd, reason);
}

/* ---- All rings of the process ---- */

static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ring *rings;

void ring_begin_anew(void) {
    pthread_mutex_init(&rings_lock, NULL); /* whoever held it in the parent is not here */
}

static void list(struct ring *self) {
    pthread_mutex_lock(&rings_lock);
    self->others = rings;
    rings = self;
    pthread_mutex_unlock(&rings_lock);
}

static void unlist(struct ring *self) {
    pthread_mutex_lock(&rings_lock);
    struct ring **at = &rings;
    while (*at != self) {
        at = &(*at)->others;
    }
    *at = self->others;
    pthread_mutex_unlock(&rings_lock);
}

/* A number that the kernel tells of a map, or RBCORE_UNKNOWN. */
static uint64_t number_of_map(int map_fd, const char *name) {
    char path[32], line[64];
    const size_t length = strlen(name);
    uint64_t number = RBCORE_UNKNOWN;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map_fd);
    FILE *file = fopen(path, "re");
    while (file != NULL && number == RBCORE_UNKNOWN && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            number = strtoull(line + length + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

uint64_t map_id_of(int map_fd) {
    return number_of_map(map_fd, "map_id");
}

/* Gives a ring over to libbpf, unless it is being read at this moment. */
static void hand_over(struct ring *self) {
    if (pthread_mutex_trylock(&self->lock) != 0) {
        return;
    }
    if (self->calls == 0 && open_by_libbpf(self, self->own_fd, -EBUSY)) {
        report_remove(self->reader);
        close_reader(self);
        if (self->epoll_fd >= 0) {
            ring_watch(self, self->epoll_fd, self->index);
        }
    }
    pthread_mutex_unlock(&self->lock);
}

/* Gives all rings of this process over that read the same map. Returns whether there are any. */
static bool hand_over_all(uint64_t map_id) {
    bool found = false;
    pthread_mutex_lock(&rings_lock);
    for (struct ring *ring = rings; ring != NULL; ring = ring->others) {
        if (ring->map_id == map_id && map_id != RBCORE_UNKNOWN) {
            found = true;
            if (ring->reader != NULL) {
                hand_over(ring);
            }
        }
    }
    pthread_mutex_unlock(&rings_lock);
    return found;
}

/* ---- Opening ---- */

static bool init_lock(struct ring *self) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int error = pthread_mutex_init(&self->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    self->calls = 0;
    self->wanted = 0;
    return error == 0;
}

/* By whichever can read it. Returns 0, or the errno that libbpf would set. */
static int open_by_either(struct ring *self) {
    bool is_read_here = hand_over_all(self->map_id);
    int refusal = is_read_here ? -EBUSY : open_reader(self, 0);
    if (refusal == 0) {
        report_add(self->reader);
        return 0;
    }
    int error = open_by_libbpf(self, self->map_fd, refusal) ? 0 : errno;
    if (error == 0) {
        const char *message = rbcore_reader_message(self->reader); /* of no reader: "" */
        warn(self, is_read_here         ? "this process reads it twice"
                   : message[0] != '\0' ? message
                                        : rbcore_strerror(refusal));
    }
    close_reader(self);
    return error;
}

/* Where the caller's cannot be duplicated it has to do: if it is no open file, libbpf says so. */
static void keep_descriptor(struct ring *self, int map_fd) {
    int duplicate = fcntl(map_fd, F_DUPFD_CLOEXEC, 0);
    self->map_fd = map_fd;
    self->own_fd = duplicate >= 0 ? duplicate : map_fd;
}

static void drop(struct ring *self) {
    if (self->own_fd != self->map_fd) {
        close(self->own_fd);
    }
    pthread_mutex_destroy(&self->lock);
    free(self);
}

struct ring *ring_open(int map_fd, ring_buffer_sample_fn handle, void *context) {
    struct ring *self = calloc(1, sizeof(*self));
    if (self == NULL || !init_lock(self)) {
        free(self);
        errno = ENOMEM;
        return NULL;
    }
    keep_descriptor(self, map_fd);
    self->handle = handle;
    self->context = context;
    self->epoll_fd = -1;
    self->map_id = map_id_of(map_fd);
    self->size = number_of_map(map_fd, "max_entries"); /* also where libbpf reads it */
    int error = open_by_either(self);
    if (error != 0) {
        drop(self);
        errno = error;
        return NULL;
    }
    list(self);
    return self;
}

void ring_free(struct ring *self) {
    unlist(self);
    if (self->libbpf != NULL) {
        genuine_close(&self->genuine, self->libbpf);
    }
    if (self->reader != NULL) {
        report_remove(self->reader);
        close_reader(self);
    }
    drop(self);
}

int ring_reopen(struct ring *self, bool *parent_lives) {
    init_lock(self); /* whoever held it in the parent is not here */
    self->entered++;
    self->epoll_fd = -1;
    if (self->libbpf != NULL) {
        return 0;
    }
    report_remove(self->reader);
    close_reader(self);
    int error = open_reader(self, 0);
    if (error == -EBUSY) { /* by the parent: two consumers are what was asked for */
        *parent_lives = true;
        close_reader(self);
        error = open_reader(self, RBCORE_SOURCE_INSIST);
    }
    if (error == 0) {
        report_add(self->reader);
    }
    return error;
}

/* ---- The batch ---- */

static bool has_run(const struct ring *self) {
    return self->done < self->run.count;
}

static bool is_empty(const struct ring *self) {
    return !has_run(self) && self->next == self->end;
}

static bool is_watched(const struct ring *self) {
    return self->epoll_fd >= 0;
}

static uint64_t end_of(const rbcore_record *record) {
    return record->position + ((uint64_t)record->size + 8 + 7) / 8 * 8;
}

/* A record of the run, as far as giving it back needs it. */
static rbcore_record record_of_run(const struct ring *self, uint64_t i) {
    const rbcore_span *run = &self->run;
    return (rbcore_record){.data = (const char *)run->data + i * run->stride,
                           .position = run->position + i * run->stride,
                           .size = run->size,
                           .ring = run->ring};
}

/* Gives back what was delivered. */
static void commit(struct ring *self, uint32_t flags) {
    self->held = 0;
    if (is_empty(self)) {
        rbcore_reader_commit(self->reader, NULL, flags);
    } else if (has_run(self) && self->done > 0) {
        const rbcore_record last = record_of_run(self, self->done - 1);
        rbcore_reader_commit(self->reader, &last, flags);
    } else if (self->next > 0) {
        rbcore_reader_commit(self->reader, &self->records[self->next - 1], flags);
    }
}

/* What a read returned becomes the batch. */
static int take(struct ring *self, int result) {
    self->next = self->done = self->run.count = 0;
    self->end = result > 0 ? (unsigned)result : 0;
    return result;
}

static int take_run(struct ring *self, int result) {
    self->next = self->end = self->done = 0;
    self->run.count = result > 0 ? self->run.count : 0;
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
        if (result <= 0) {
            commit(self, 0);
        }
        if (result == 0 && is_watched(self)) {
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

int ring_watch(struct ring *self, int epoll_fd, int index) {
    int fd = self->libbpf != NULL ? self->genuine.epoll_fd(self->libbpf)
                                  : rbcore_reader_fd(self->reader);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = index};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 &&
        !(errno == EEXIST && self->libbpf != NULL)) { /* there since before a fork */
        return -errno;
    }
    self->epoll_fd = epoll_fd;
    self->index = index;
    if (self->libbpf == NULL) {
        arm(self);
    }
    return 0;
}

/* ---- Delivery ---- */

/* How many of the batch's next `most` records complete a piece, or fewer. */
static unsigned piece_of(const struct ring *self, unsigned most) {
    const rbcore_record *first = &self->records[self->next];
    while (most > 1 &&
           self->held + first[most - 1].position - first->position >= self->piece_size) {
        most /= 2;
    }
    return most;
}

/*
 * Delivers the next records of the batch, at most `most`, and counts them. What a record costs is
 * this loop: that consumer_pos moves is all that callbacks and other threads see of it. A callback
 * may call us again, and then gets its record once more, as from libbpf; what that inner call has
 * delivered is not delivered again, so this one ends. Returns what the last callback did.
 */
static int deliver_records(struct ring *self, int64_t most, int64_t *count) {
    const unsigned left = self->end - self->next;
    const rbcore_record *const first = &self->records[self->next], *record = first;
    const rbcore_record *const end = first + piece_of(self, left > most ? (unsigned)most : left);
    const ring_buffer_sample_fn handle = self->handle;
    void *const context = self->context;
    const uint64_t entered = self->entered;
    int result;
    do {
        void *data = (void *)(uintptr_t)record->data; /* the callback's type has no const */
        atomic_store_explicit(&self->consumer_pos, record->position, memory_order_relaxed);
        result = handle(context, data, record->size);
        record++;
    } while (result >= 0 && self->entered == entered && record != end);
    *count += record - first;
    if (self->entered == entered) {
        const uint64_t position = end_of(record - 1);
        self->next += (unsigned)(record - first);
        self->held += position - first->position;
        atomic_store_explicit(&self->consumer_pos, position, memory_order_relaxed);
    }
    return result;
}

/* The same for a run, of which nothing but the data is to be loaded. */
static int deliver_run(struct ring *self, int64_t most, int64_t *count) {
    const uint64_t stride = self->run.stride, size = self->run.size;
    const uint64_t piece = (self->piece_size + stride - 1 - self->held) / stride;
    const uint64_t left = self->run.count - self->done;
    const rbcore_record first = record_of_run(self, self->done);
    const uint64_t some = left < piece ? left : piece;
    const uint64_t end = first.position + stride * (some > (uint64_t)most ? (uint64_t)most : some);
    const ring_buffer_sample_fn handle = self->handle;
    void *const context = self->context;
    const uint64_t entered = self->entered;
    char *data = (char *)(uintptr_t)first.data;
    uint64_t position = first.position;
    int result;
    do {
        atomic_store_explicit(&self->consumer_pos, position, memory_order_relaxed);
        result = handle(context, data, size);
        data += stride;
        position += stride;
    } while (result >= 0 && self->entered == entered && position != end);
    const uint64_t delivered = (position - first.position) / stride;
    *count += (int64_t)delivered;
    if (self->entered == entered) {
        self->done += (uint32_t)delivered;
        self->held += position - first.position;
        atomic_store_explicit(&self->consumer_pos, position, memory_order_relaxed);
    }
    return result;
}

static bool is_small_batch(const struct ring *self) {
    const rbcore_record *first = &self->records[self->next], *last = &self->records[self->end - 1];
    return self->end < SMALL_BATCH && end_of(last) - first->position < self->size / SMALL_PART;
}

/*
 * Delivers the batch, and others until there is nothing, or so many small ones were found. Returns
 * as ring_deliver.
 */
static int64_t deliver(struct ring *self, int64_t most, int64_t small_batches) {
    int64_t count = 0;
    for (;;) {
        if (is_empty(self)) {
            int found = small_batches > 0 || is_watched(self) ? fetch(self) : 0;
            small_batches -= found <= 0 || is_small_batch(self);
            if (found <= 0) {
                commit(self, 0);
                atomic_store_explicit(&self->consumer_pos, AT_COMMIT, memory_order_relaxed);
                return count > 0 ? count : found;
            }
        }
        int result = has_run(self) ? deliver_run(self, most - count, &count)
                                   : deliver_records(self, most - count, &count);
        if (result < 0 || count >= most) {
            return result < 0 ? result : count;
        }
        if (self->held >= self->piece_size) {
            commit(self, 0);
        }
    }
}

/* Whether all there was has been delivered: not so after an error, or at a limit. */
static bool is_drained(const struct ring *self) {
    return atomic_load_explicit(&self->consumer_pos, memory_order_relaxed) == AT_COMMIT;
}

/* In a callback: its record is the next one. */
static void find_next(struct ring *self) {
    uint64_t position = atomic_load_explicit(&self->consumer_pos, memory_order_relaxed);
    if (has_run(self)) {
        uint64_t done = (position - self->run.position) / self->run.stride;
        self->done = done < self->run.count ? (uint32_t)done : self->done;
        return;
    }
    while (!is_empty(self) && (int64_t)(self->records[self->next].position - position) < 0) {
        self->next++;
    }
}

/* Another thread's wait is not to keep us out: libbpf's holds nothing. */
static void take_lock(struct ring *self) {
    if (pthread_mutex_trylock(&self->lock) == 0) {
        return;
    }
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    atomic_fetch_add(&self->wanted, 1);
    pthread_mutex_lock(&rings_lock); /* nobody hands it over meanwhile */
    rbcore_reader_interrupt(self->reader);
    pthread_mutex_unlock(&rings_lock);
    pthread_mutex_lock(&self->lock);
    atomic_fetch_sub(&self->wanted, 1);
    pthread_setcancelstate(cancel, &cancel);
}

/* Who waits lets those have it who want it. It may be libbpf's after that. */
static void give_way(struct ring *self) {
    const char *const frame = self->frames[0];
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    self->calls--;
    pthread_mutex_unlock(&self->lock);
    while (atomic_load(&self->wanted) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    pthread_mutex_lock(&self->lock);
    self->frames[self->calls++] = frame;
    pthread_setcancelstate(cancel, &cancel);
}

/* ---- Entering and leaving ---- */

/* A call that was left by longjmp holds the lock still, which is noticed here. */
static bool last_call_was_left(const struct ring *self, const char *frame) {
    return self->calls > 0 && self->calls <= CALLS_KNOWN &&
           stack_frame_was_left(self->frames[self->calls - 1], frame);
}

static void enter(struct ring *self, const char *frame) {
    take_lock(self);
    const bool is_unfinished = self->calls > 0;
    while (last_call_was_left(self, frame)) {
        self->calls--;
        pthread_mutex_unlock(&self->lock); /* a recursive one: it stays ours */
    }
    if (is_unfinished) {
        find_next(self);
    }
    if (self->calls < CALLS_KNOWN) {
        self->frames[self->calls] = frame;
    }
    self->calls++;
    self->entered++;
}

static int64_t leave(struct ring *self, int64_t result) {
    self->calls--;
    if (result > 0 && self->calls == 0 && self->reader != NULL) {
        report_turn();
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

/*
 * The thread ends in a wait or a callback, by pthread_cancel or pthread_exit, or a C++ callback has
 * thrown: as from libbpf, others go on with the record at hand.
 */
static void leave_unfinished(void *ring) {
    struct ring *self = ring;
    if (self->reader != NULL) {
        find_next(self);
        commit(self, 0);
    }
    leave(self, 0);
}

static int64_t deliver_by_libbpf(struct ring *self, size_t most) {
    return most >= INT_MAX ? self->genuine.consume(self->libbpf)
                           : self->genuine.consume_n(self->libbpf, most);
}

static int64_t deliver_all(struct ring *self, size_t most) {
    if (self->libbpf != NULL) {
        return deliver_by_libbpf(self, most);
    }
    const int64_t limit = most == 0 ? 1 : most > INT_MAX ? INT_MAX : (int64_t)most;
    int64_t result = deliver(self, limit, INT64_MAX);
    if (!is_watched(self)) {
        commit(self, RBCORE_COMMIT_NOW); /* who waits by the map's own descriptor must not spin */
    } else if (!is_drained(self)) {
        commit(self, 0);
        arm(self);
    }
    return result;
}

int64_t ring_deliver(struct ring *self, size_t most) {
    int64_t result;
    enter(self, __builtin_frame_address(0));
    pthread_cleanup_push(leave_unfinished, self);
    result = deliver_all(self, most);
    pthread_cleanup_pop(0);
    return leave(self, result);
}

uint64_t ring_discards(const struct ring *self) {
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    if (self->reader == NULL) {
        return self->entered; /* it does not tell: as if each call had passed some */
    }
    rbcore_reader_stats_get(self->reader, &stats);
    return stats.discards;
}

/* Waits until the batch has something. Returns 1, or 0 or a negative errno: it has not. */
static int wait_for_batch(struct ring *self, int64_t timeout_ns) {
    const int64_t start = timeout_ns > 0 ? now_ns() : 0;
    int64_t left = timeout_ns;
    int result = -ECANCELED;
    while (self->reader != NULL && is_empty(self) && is_to_repeat(result)) {
        result = rbcore_reader_next_spans(self->reader, &self->run, 1, RUN, left);
        take_run(self, result);
        if (result == -ECANCELED && self->calls == 1) {
            give_way(self);
        }
        if (is_to_repeat(result) && timeout_ns > 0) {
            left = start + timeout_ns - now_ns();
            left = left < 0 ? 0 : left;
        }
    }
    return is_empty(self) ? result : 1;
}

static int64_t wait_and_deliver(struct ring *self, int64_t timeout_ns) {
    int waited = wait_for_batch(self, timeout_ns);
    if (self->libbpf != NULL) { /* since the caller looked, or the wait gave way */
        return deliver_by_libbpf(self, INT_MAX);
    }
    if (waited < 0 && waited != -EINTR) {
        return waited;
    }
    /* Also after 0 and -EINTR: what is not due for rbcore, libbpf would deliver. */
    int64_t result = deliver(self, INT_MAX, SMALL_BATCHES);
    commit(self, 0);
    return result != 0 || waited > 0 ? result : waited;
}

int64_t ring_wait_and_deliver(struct ring *self, int64_t timeout_ns) {
    int64_t result;
    enter(self, __builtin_frame_address(0));
    pthread_cleanup_push(leave_unfinished, self);
    result = wait_and_deliver(self, timeout_ns);
    pthread_cleanup_pop(0);
    return leave(self, result);
}
