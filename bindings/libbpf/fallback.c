/* SPDX-License-Identifier: MIT */
/*
 * libbpf reads the rings of a ring_buffer if rbcore refuses one, or if the process reads one twice.
 * It reads all of them or none. One descriptor is enough for that, and is kept from the first ring
 * on.
 */
#include "ring.h"
#include "uncancelled.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- All ring_buffers of the process ---- */

/* Held while the list, the rings of one, or its reader as others see it, change. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ring_buffer *list;

void rings_begin_anew(void) {
    pthread_mutex_init(&list_lock, NULL); /* a thread of the parent may have held it */
}

void rings_list(struct ring_buffer *self) {
    pthread_mutex_lock(&list_lock);
    self->others = list;
    list = self;
    pthread_mutex_unlock(&list_lock);
}

void rings_unlist(struct ring_buffer *self) {
    pthread_mutex_lock(&list_lock);
    struct ring_buffer **at = &list;
    while (*at != NULL && *at != self) {
        at = &(*at)->others;
    }
    if (*at != NULL) {
        *at = self->others;
    }
    pthread_mutex_unlock(&list_lock);
}

int rings_append(struct ring_buffer *self, struct ring *ring) {
    pthread_mutex_lock(&list_lock);
    struct ring **rings = realloc(self->rings, ((size_t)self->count + 1) * sizeof(*rings));
    if (rings != NULL) {
        ring->owner = self;
        ring->index = (unsigned)self->count;
        self->rings = rings;
        self->rings[self->count++] = ring;
    }
    pthread_mutex_unlock(&list_lock);
    return rings != NULL ? 0 : -ENOMEM;
}

void rings_drop_last(struct ring_buffer *self) {
    pthread_mutex_lock(&list_lock);
    struct ring *ring = self->rings[--self->count];
    pthread_mutex_unlock(&list_lock);
    ring_free(ring);
}

void rings_interrupt(struct ring_buffer *self) {
    pthread_mutex_lock(&list_lock); /* no thread hands it over meanwhile */
    rbcore_reader_interrupt(self->reader);
    pthread_mutex_unlock(&list_lock);
}

/* ---- The descriptor for libbpf ---- */

void rings_keep_spare(struct ring_buffer *self) {
    self->spare_fd = fcntl(self->epoll_fd, F_DUPFD_CLOEXEC, 0);
}

void rings_drop_spare(struct ring_buffer *self) {
    if (self->spare_fd >= 0) {
        close(self->spare_fd);
    }
    self->spare_fd = -1;
}

/* ---- By libbpf ---- */

/* The errno that libbpf has for the same mistakes. */
static int error_of_libbpf(int error) {
    return error == -EMEDIUMTYPE || error == -EBADFD ? -EINVAL : error;
}

int rings_ask_libbpf(struct ring_buffer *self, int map_fd, int refusal) {
    if (!genuine_load(&self->genuine)) {
        return error_of_libbpf(refusal);
    }
    rings_drop_spare(self);
    struct ring_buffer *alone = genuine_open(&self->genuine, map_fd, NULL, NULL);
    const int error = alone == NULL ? -errno : 0;
    if (alone != NULL) {
        genuine_close(&self->genuine, alone);
    }
    rings_keep_spare(self);
    return error;
}

static int add_to_libbpf(const struct genuine *genuine, struct ring_buffer **libbpf,
                         const struct ring *ring) {
    bool is_temporary;
    int error = 0, fd = ring_descriptor(ring, &is_temporary);
    if (*libbpf == NULL) {
        *libbpf = genuine_open(genuine, fd, ring->handle, ring->context);
        error = *libbpf == NULL ? -errno : 0;
    } else {
        error = genuine->add(*libbpf, fd, ring->handle, ring->context);
    }
    if (is_temporary && fd >= 0) {
        close(fd);
    }
    return error;
}

/* Opens all rings by libbpf. Returns NULL with errno. */
static struct ring_buffer *open_by_libbpf(const struct ring_buffer *self) {
    struct ring_buffer *libbpf = NULL;
    int error = 0;
    for (int i = 0; error == 0 && i < self->count; i++) {
        error = add_to_libbpf(&self->genuine, &libbpf, self->rings[i]);
    }
    if (error != 0 && libbpf != NULL) {
        genuine_close(&self->genuine, libbpf);
        libbpf = NULL;
    }
    errno = -error;
    return libbpf;
}

/* ---- Handing over ---- */

static void unlock_rings(struct ring_buffer *self, int count) {
    for (int i = 0; i < count; i++) {
        pthread_mutex_unlock(&self->rings[i]->lock);
    }
}

/* Locks everything, unless a call is under way. */
static bool lock_rings(struct ring_buffer *self) {
    int count = 0;
    while (count < self->count && pthread_mutex_trylock(&self->rings[count]->lock) == 0) {
        if (self->rings[count++]->calls > 0) {
            unlock_rings(self, count);
            return false;
        }
    }
    if (count < self->count || pthread_mutex_trylock(&self->lock) != 0) {
        unlock_rings(self, count);
        return false;
    }
    return true;
}

/* What was fetched and not delivered is not given back: libbpf finds it in the rings. */
static void leave_reader(struct ring_buffer *self, struct ring_buffer *libbpf) {
    rings_close_reader(self);
    atomic_store(&self->libbpf, libbpf);
    atomic_store(&self->is_to_go, false);
    if (self->is_watched) {
        rings_watch(self);
    }
}

static int hand_over(struct ring_buffer *self, int refusal) {
    if (!genuine_load(&self->genuine)) {
        return error_of_libbpf(refusal);
    }
    rings_drop_spare(self);
    struct ring_buffer *libbpf = open_by_libbpf(self);
    if (libbpf == NULL) {
        const int error = -errno;
        rings_keep_spare(self);
        return error;
    }
    leave_reader(self, libbpf);
    return 0;
}

/* Needs list_lock. */
static int try_to_hand_over(struct ring_buffer *self, int refusal) {
    if (self->libbpf != NULL) {
        return 0;
    }
    if (!lock_rings(self)) {
        return -EBUSY;
    }
    int error = hand_over(self, refusal);
    pthread_mutex_unlock(&self->lock);
    unlock_rings(self, self->count);
    return error;
}

int rings_hand_over(struct ring_buffer *self, int refusal) {
    RBC_UNCANCELLED;
    pthread_mutex_lock(&list_lock);
    int error = try_to_hand_over(self, refusal);
    pthread_mutex_unlock(&list_lock);
    return error;
}

void rings_hand_over_if_due(struct ring_buffer *self) {
    if (atomic_load_explicit(&self->is_to_go, memory_order_relaxed)) {
        rings_hand_over(self, -EBUSY);
    }
}

static bool reads_map(const struct ring_buffer *self, uint64_t map_id) {
    int i = 0;
    while (i < self->count && self->rings[i]->map_id != map_id) {
        i++;
    }
    return i < self->count;
}

bool rings_hand_over_all(uint64_t map_id) {
    bool found = false;
    pthread_mutex_lock(&list_lock);
    for (struct ring_buffer *self = list; self != NULL; self = self->others) {
        if (map_id != RBCORE_UNKNOWN && reads_map(self, map_id)) {
            found = true;
            if (try_to_hand_over(self, -EBUSY) == -EBUSY) {
                atomic_store(&self->is_to_go, true);
                rbcore_reader_interrupt(self->reader);
            }
        }
    }
    pthread_mutex_unlock(&list_lock);
    return found;
}

void rings_warn(const struct ring_buffer *self, int map_fd, const char *reason) {
    fprintf(stderr, "rbcore: libbpf reads the ring of descriptor %d%s: %s\n", map_fd,
            self->count > 1 ? " and all others of its ring_buffer" : "", reason);
}
