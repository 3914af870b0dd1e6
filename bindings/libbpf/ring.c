/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "batch.h"
#include "report.h"
#include "return_on_discards.h"
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * libbpf gives the space of each record back after its callback. So do we in small rings. In larger
 * ones we do so after this many bytes, because each time costs as much as several records.
 */
#define PIECE_PART 256
#define PIECE_MAX 16384

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

/* The errno that libbpf has for the same mistakes. */
static int errno_of_libbpf(int error) {
    return error == -EMEDIUMTYPE || error == -EBADFD ? EINVAL : -error;
}

/* Returns whether libbpf reads the ring now. If not, errno says why. */
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
    pthread_mutex_init(&rings_lock, NULL); /* a thread of the parent may have held it */
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

/* Reads a number of a map from /proc/self/fdinfo, or returns RBCORE_UNKNOWN. */
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

/* Hands a ring over to libbpf, unless it is being read at this moment. */
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

void ring_interrupt(struct ring *self) {
    pthread_mutex_lock(&rings_lock); /* no thread hands it over meanwhile */
    rbcore_reader_interrupt(self->reader);
    pthread_mutex_unlock(&rings_lock);
}

/* Hands all rings of this process over that read the same map. Returns whether there are any. */
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

/* Opens the ring by rbcore, or else by libbpf. Returns 0, or the errno that libbpf would set. */
static int open_by_either(struct ring *self) {
    bool is_read_here = hand_over_all(self->map_id);
    int refusal = is_read_here ? -EBUSY : open_reader(self, 0);
    if (refusal == 0) {
        report_add(self->reader);
        return 0;
    }
    int error = open_by_libbpf(self, self->map_fd, refusal) ? 0 : errno;
    if (error == 0) {
        const char *message = rbcore_reader_message(self->reader); /* "" for NULL */
        warn(self, is_read_here         ? "this process reads it twice"
                   : message[0] != '\0' ? message
                                        : rbcore_strerror(refusal));
    }
    close_reader(self);
    return error;
}

/* Uses the caller's descriptor if it cannot be duplicated. If it is not open, libbpf says so. */
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
    self->size = number_of_map(map_fd, "max_entries"); /* also if libbpf reads it */
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
    init_lock(self); /* a thread of the parent may have held it */
    self->entered++;
    self->epoll_fd = -1;
    if (self->libbpf != NULL) {
        return 0;
    }
    report_remove(self->reader);
    close_reader(self);
    int error = open_reader(self, 0);
    if (error == -EBUSY) { /* the parent has it: the program wants two consumers */
        *parent_lives = true;
        close_reader(self);
        error = open_reader(self, RBCORE_SOURCE_INSIST);
    }
    if (error == 0) {
        report_add(self->reader);
    }
    return error;
}

/* ---- Waiting by an epoll ---- */

int ring_watch(struct ring *self, int epoll_fd, int index) {
    int fd = self->libbpf != NULL ? self->genuine.epoll_fd(self->libbpf)
                                  : rbcore_reader_fd(self->reader);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = index};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 &&
        !(errno == EEXIST && self->libbpf != NULL)) { /* it is there from before a fork */
        return -errno;
    }
    self->epoll_fd = epoll_fd;
    self->index = index;
    if (self->libbpf == NULL) {
        batch_arm(self);
    }
    return 0;
}
