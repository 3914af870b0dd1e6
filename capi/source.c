/* SPDX-License-Identifier: MIT */
/*
 * Opens the ring that a source names, so that it can be read, and closes it with its last
 * reference.
 */
#include "source.h"
#include "consumer.h"
#include "keep_errno.h"
#include "kind.h"
#include "map.h"
#include "memory_ring.h"
#include "reader.h"
#include "shadow.h"
#include "sized.h"
#include "uncancelled.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_FLAGS                                                                                \
    (RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST | RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP)

static const rbcore_source defaults = RBCORE_SOURCE_INIT;

int rbcore_source_init(rbcore_source *out, size_t size) {
    return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

/* This is needed for the opening only. */
typedef struct rbc_opening {
    rbcore_reader *reader; /* for messages */
    rbcore_source source;
    size_t data_size;
    rbc_owner_lock lock;
    bool is_overwrite;         /* the ring is in overwrite mode */
    rbc_descriptor descriptor; /* of a map */
} rbc_opening;

const char *rbc_source_missing_field(const rbcore_source *source) {
    switch (source->kind) {
    case RBCORE_SOURCE_MAP_FD:
        return source->fd == -1 ? "fd" : NULL;
    case RBCORE_SOURCE_PINNED_PATH:
        return source->path == NULL ? "path" : NULL;
    case RBCORE_SOURCE_MAP_ID:
        return source->map_id == 0 ? "map_id" : NULL;
    case RBCORE_SOURCE_MEMORY_RING:
        return source->fd == -1 ? "fd" : source->event_fd == -1 ? "event_fd" : NULL;
    default:
        return "known kind";
    }
}

static int check_source(rbc_opening *self, const rbcore_source *given) {
    self->source = defaults;
    int error = rbc_sized_in(&self->source, sizeof(self->source), given);
    if (error == -E2BIG) {
        return rbc_reader_fail(self->reader, error,
                               "the source uses fields that this version does not know");
    }
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "the size of the source's struct is absurd");
    }
    if (self->source.flags & ~KNOWN_FLAGS) {
        return rbc_reader_fail(self->reader, -EINVAL, "the source has unknown flags: 0x%" PRIx32,
                               self->source.flags & ~KNOWN_FLAGS);
    }
    const char *missing = rbc_source_missing_field(&self->source);
    if (missing != NULL) {
        return rbc_reader_fail(self->reader, -EINVAL, "the source has no %s", missing);
    }
    return 0;
}

/* RBCORE_SOURCE_OVERWRITE must be given for a ring in overwrite mode, and for no other. */
static int check_mode(rbc_opening *self, const char *name) {
    bool asked = self->source.flags & RBCORE_SOURCE_OVERWRITE;
    if (self->is_overwrite && !asked) {
        return rbc_reader_fail(self->reader, -EOPNOTSUPP,
                               "%s is in overwrite mode: see RBCORE_SOURCE_OVERWRITE", name);
    }
    if (asked && !self->is_overwrite) {
        return rbc_reader_fail(self->reader, -EMEDIUMTYPE, "%s is not in overwrite mode", name);
    }
    return 0;
}

static bool is_tap(const rbc_opening *self) {
    return self->source.flags & RBCORE_SOURCE_TAP;
}

static rbc_mapping_side side_of(const rbc_opening *self) {
    return is_tap(self) ? RBC_TAP_SIDE : RBC_CONSUMER_SIDE;
}

/* With thousands of rings it is the number of mappings that ends, long before the memory. */
static const char *reason_of_mapping(int error) {
    return error == -ENOMEM ? "no memory, or the process has vm.max_map_count mappings"
                            : strerror(-error);
}

static void close_once(int fd, int unless) {
    if (fd != unless) {
        rbc_close(fd);
    }
}

/* ---- Kernel rings ---- */

int rbc_source_open_map(const rbcore_source *source) {
    switch (source->kind) {
    case RBCORE_SOURCE_MAP_FD:
        return rbc_duplicate(source->fd);
    case RBCORE_SOURCE_PINNED_PATH:
        return rbc_map_open_path(source->path);
    default:
        return rbc_map_open_id(source->map_id);
    }
}

#define NAME_SIZE 256

/* Says by what the source names a map. */
static void name_map(const rbcore_source *source, char name[NAME_SIZE]) {
    switch (source->kind) {
    case RBCORE_SOURCE_MAP_FD:
        snprintf(name, NAME_SIZE, "fd %" PRId32, source->fd);
        break;
    case RBCORE_SOURCE_PINNED_PATH:
        snprintf(name, NAME_SIZE, "%s", source->path);
        break;
    default:
        snprintf(name, NAME_SIZE, "map id %" PRIu32, source->map_id);
    }
}

static int open_map_fd(rbc_ring *ring, rbc_opening *self) {
    const rbcore_source *source = &self->source;
    ring->descriptor = self->descriptor;
    ring->fd = self->descriptor == RBC_FD_OWN ? rbc_source_open_map(source) : source->fd;
    if (ring->fd >= 0) {
        return 0;
    }
    char name[NAME_SIZE];
    name_map(source, name);
    return rbc_reader_fail(self->reader, ring->fd, "%s: %s", name, strerror(-ring->fd));
}

static int fail_as_no_map(const rbc_opening *self) {
    char name[NAME_SIZE];
    name_map(&self->source, name);
    return rbc_reader_fail(self->reader, -EBADFD, "%s is not a BPF map", name);
}

static int check_map_mode(rbc_opening *self, const rbc_map_info *info) {
    char name[48];
    snprintf(name, sizeof(name), "map %" PRIu32 " (%s)", info->id, info->name);
    self->is_overwrite = info->map_flags & RBC_BPF_F_RB_OVERWRITE;
    return check_mode(self, name);
}

static int check_info(const rbc_ring *ring, rbc_opening *self, rbc_map_info *info) {
    int error = rbc_map_get_info_of_any(ring->fd, info);
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "the kernel does not describe the map: %s",
                               strerror(-error));
    }
    if (info->type != RBC_BPF_MAP_TYPE_RINGBUF) {
        return rbc_reader_fail(self->reader, -EMEDIUMTYPE,
                               "map %" PRIu32 " (%s) is of type %" PRIu32
                               ", not BPF_MAP_TYPE_RINGBUF",
                               info->id, info->name, info->type);
    }
    if (!rbc_map_positions_are_whole()) {
        return rbc_reader_fail(self->reader, -EOPNOTSUPP,
                               "map %" PRIu32 " (%s) may be of a kernel that counts in 32 bits",
                               info->id, info->name);
    }
    if (!rbc_ring_size_is_valid(info->max_entries, rbc_page_size())) {
        return rbc_reader_fail(self->reader, -EBADMSG,
                               "map %" PRIu32 " has the impossible size %" PRIu32, info->id,
                               info->max_entries);
    }
    return check_map_mode(self, info);
}

/* Whether it is a map at all is asked only if something is wrong with it. */
static int check_map(const rbc_ring *ring, rbc_opening *self, rbc_map_info *info) {
    int error = check_info(ring, self, info);
    bool is_map = error == 0 || (error != -EBADFD && !rbc_map_is_something_else(ring->fd));
    return is_map ? error : fail_as_no_map(self);
}

static int open_map(rbc_ring *ring, rbc_opening *self) {
    rbc_map_info info;
    int error = open_map_fd(ring, self);
    if (error == 0) {
        error = check_map(ring, self, &info);
    }
    if (error != 0) {
        return error;
    }
    ring->map_id = info.id;
    ring->wake_fd = ring->fd;
    self->data_size = info.max_entries;
    self->lock = rbc_owner_map_lock(self->reader->wait.wake_fd, ring->fd, info.id,
                                    &self->reader->locks_maps);
    self->lock.is_shared = self->lock.is_ours;
    error = rbc_mapping_open_map(&ring->mapping, ring->fd, self->data_size, side_of(self));
    if (error == -ENODEV) {
        return fail_as_no_map(self);
    }
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "map %" PRIu32 " (%s) cannot be mapped: %s",
                               info.id, info.name, reason_of_mapping(error));
    }
    return 0;
}

/* ---- Memory rings ---- */

static int open_memory_fds(rbc_ring *ring, rbc_opening *self) {
    const rbcore_source *source = &self->source;
    int error = rbc_memory_ring_check(source->fd, &self->data_size, &ring->inode);
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "fd %" PRId32 " is no memory ring: %s",
                               source->fd, strerror(-error));
    }
    ring->fd = rbc_reopen(source->fd);
    self->lock.is_ours = ring->fd >= 0;
    if (ring->fd < 0) {
        ring->fd = rbc_duplicate(source->fd);
    }
    if (ring->fd < 0) {
        return rbc_reader_fail(self->reader, ring->fd, "fd %" PRId32 ": %s", source->fd,
                               strerror(-ring->fd));
    }
    /* Checked once more: the caller's number may name another file by now. */
    error = rbc_memory_ring_check(ring->fd, &self->data_size, &ring->inode);
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "the memory ring: %s", strerror(-error));
    }
    ring->wake_fd = rbc_duplicate(source->event_fd);
    self->lock.fd = ring->fd;
    error = ring->wake_fd < 0 ? ring->wake_fd : rbc_event_fd_check(ring->wake_fd);
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "event_fd %" PRId32 ": %s", source->event_fd,
                               strerror(-error));
    }
    return 0;
}

static int open_memory(rbc_ring *ring, rbc_opening *self) {
    ring->map_id = RBCORE_UNKNOWN;
    self->lock.byte = RBC_CONSUMER_BYTE;
    int error = open_memory_fds(ring, self);
    if (error != 0) {
        return error;
    }
    error = rbc_mapping_open_memory(&ring->mapping, ring->fd, self->data_size, rbc_page_size(),
                                    side_of(self));
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "the memory ring cannot be mapped: %s",
                               reason_of_mapping(error));
    }
    if (rbc_memory_ring_check_layout(&ring->mapping, &self->is_overwrite) != 0) {
        return rbc_reader_fail(self->reader, -EBADFD, "the memory is not laid out as a ring");
    }
    return check_mode(self, "the memory ring");
}

/* ---- What both have in common ---- */

static int open_loss_map(rbc_ring *ring, rbc_opening *self) {
    int32_t fd = self->source.loss_fd;
    if (fd == -1) {
        return 0;
    }
    rbc_map_info info;
    ring->loss_fd = rbc_duplicate(fd);
    int error = ring->loss_fd < 0 ? ring->loss_fd : rbc_map_get_info(ring->loss_fd, &info);
    if (error == 0 && !rbc_map_counts_losses(&info)) {
        error = -EMEDIUMTYPE;
    }
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "loss_fd %" PRId32 ": %s", fd,
                               error == -EMEDIUMTYPE ? "not a map that counts losses"
                                                     : strerror(-error));
    }
    return 0;
}

/*
 * Makes the copy through which a ring is read whose producers may overwrite it without waiting for
 * this reader.
 */
static int open_shadow(rbc_ring *ring, rbc_opening *self) {
    int error = rbc_shadow_open(ring, self->is_overwrite);
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "the ring cannot be copied: %s",
                               reason_of_mapping(error));
    }
    ring->record_flags = RBCORE_RECORD_COPIED;
    return 0;
}

static int prepare_reading(rbc_ring *ring, rbc_opening *self) {
    ring->consumer_pos = (_Atomic uint64_t *)(void *)ring->mapping.consumer_page;
    ring->producer_pos = (_Atomic uint64_t *)(void *)ring->mapping.producer_page;
    int error = ring->kind->is_in_place ? 0 : open_shadow(ring, self);
    if (error != 0) {
        return error;
    }
    uint64_t committed = ring->kind->is_tap ? 0 : rbc_owner_committed(&ring->owner);
    error = ring->kind->load_positions(ring, committed);
    if (error != 0) {
        return rbc_reader_fail(self->reader, error, "the ring's positions are impossible");
    }
    rbc_owner_note_committed(&ring->owner, rbc_get(&ring->user_pos));
    rbc_pace_init(ring, self->reader->max_latency_ns, self->reader->is_polling);
    if (!self->reader->is_release) {
        return 0;
    }
    ring->held = calloc(self->data_size / 8 / 64, sizeof(*ring->held));
    if (ring->held == NULL) {
        return rbc_reader_fail(self->reader, -ENOMEM,
                               "there is no memory for the table of held records");
    }
    return 0;
}

/* Asked of /proc once for all rings, unless /proc did not answer. */
static const rbc_process *this_process(rbcore_reader *reader) {
    if (reader->process.namespaces == 0 || reader->process.start_time == 0) {
        reader->process = rbc_process_self();
    }
    return &reader->process;
}

static int claim(rbc_ring *ring, rbc_opening *self) {
    if (ring->kind->is_tap) {
        ring->is_guarded = true; /* it takes nothing that another reader could take from it */
        return 0;
    }
    bool insist = self->source.flags & RBCORE_SOURCE_INSIST;
    int error = rbc_owner_claim(&ring->owner, ring->mapping.consumer_page, ring->mapping.page_size,
                                &self->lock, this_process(self->reader), insist, &ring->is_guarded);
    if (error != 0) {
        char other[RBC_OWNER_TEXT_SIZE];
        return rbc_reader_fail(self->reader, error, "another reader has the ring%s",
                               rbc_owner_other(&ring->owner, other, sizeof(other)));
    }
    return 0;
}

static int open_ring(rbc_ring *ring, rbc_opening *self) {
    bool is_memory = self->source.kind == RBCORE_SOURCE_MEMORY_RING;
    int error = is_memory ? open_memory(ring, self) : open_map(ring, self);
    ring->kind = rbc_kind_of(is_memory, self->is_overwrite, is_tap(self));
    if (error == 0) {
        error = open_loss_map(ring, self);
    }
    /* Positions are loaded after the claim: another reader may move them until then. */
    if (error == 0) {
        error = claim(ring, self);
    }
    if (error == 0) {
        error = prepare_reading(ring, self);
    }
    return error;
}

int rbc_ring_open(rbc_ring **out, rbcore_reader *reader, const rbcore_source *source,
                  rbc_descriptor descriptor) {
    rbc_opening opening = {.reader = reader, .descriptor = descriptor};
    int error = check_source(&opening, source);
    if (error != 0) {
        return error;
    }
    rbc_ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL) {
        return rbc_reader_fail(reader, -ENOMEM, "there is no memory for a ring");
    }
    ring->reader = reader;
    ring->cookie = opening.source.cookie;
    ring->fd = ring->wake_fd = ring->loss_fd = -1;
    atomic_init(&ring->refs, 1);
    error = open_ring(ring, &opening);
    if (error != 0) {
        rbc_ring_close(ring);
        return error;
    }
    ring->from_latest = opening.source.flags & RBCORE_SOURCE_LATEST;
    rbc_consumer_publish(ring); /* where we resume, if that was not published */
    *out = ring;
    return 0;
}

void rbc_ring_close(rbc_ring *self) {
    if (rbc_fork_check_passes(&self->reader->fork_check)) {
        atomic_store_explicit(&self->is_paced, false, memory_order_relaxed);
        rbc_consumer_publish(self);
        rbc_owner_yield(&self->owner);
    }
    if (self->shadow != NULL) {
        rbc_shadow_close(self);
    } else {
        rbc_mapping_close(&self->mapping);
    }
    close_once(self->loss_fd, -1);
    close_once(self->wake_fd, self->fd);
    close_once(self->fd, self->descriptor == RBC_FD_OWN ? -1 : self->fd);
    free(self->held);
    free(self);
}

/* ---- References ---- */

void rbc_reader_put(rbcore_reader *self) {
    if (atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) == 1) {
        rbc_wait_close(&self->wait);
        rbc_turns_free(&self->turns);
        rbc_ring_table_free(&self->table);
        pthread_mutex_destroy(&self->slots_lock);
        free(self);
    }
}

/* Drops one reference to a ring in the slots, which is the last: the ring goes. */
static void drop_ring(rbc_ring *self) {
    RBC_KEEP_ERRNO;
    rbcore_reader *reader = self->reader;
    pthread_mutex_lock(&reader->slots_lock);
    rbc_ring_table_clear(&reader->table, self->index);
    rbc_ring_close(self);
    pthread_mutex_unlock(&reader->slots_lock);
    rbc_reader_put(reader);
}

void rbc_ring_put(rbc_ring *self, uint64_t count) {
    if (atomic_fetch_sub_explicit(&self->refs, count, memory_order_acq_rel) == count) {
        drop_ring(self);
    }
}
