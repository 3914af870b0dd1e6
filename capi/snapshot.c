/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include "checked_copy.h"
#include "consumer.h"
#include "keep_errno.h"
#include "kind.h"
#include "reader.h"
#include "shadow.h"
#include "sized.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KNOWN_FLAGS RBCORE_SNAPSHOT_CONSUME

/* How often it is begun anew when all that was to be copied had been overwritten meanwhile. */
#define ATTEMPTS 16

/* No record begins there. */
#define NO_POSITION UINT64_C(1)

static const rbcore_snapshot_info defaults = RBCORE_SNAPSHOT_INFO_INIT;

int rbcore_snapshot_info_init(rbcore_snapshot_info *out, size_t size) {
    return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

/* ---- Life ---- */

int rbc_snapshot_new(rbcore_snapshot **out, size_t capacity) {
    rbcore_snapshot *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return -ENOMEM;
    }
    self->info = defaults;
    self->lost_before = NO_POSITION;
    self->capacity = capacity;
    self->buffer = malloc(capacity > 0 ? capacity : 1);
    int error = self->buffer == NULL ? -ENOMEM : rbc_fork_check_init(&self->fork_check);
    if (error != 0) {
        free(self->buffer);
        free(self);
        return error;
    }
    *out = self;
    return 0;
}

void rbcore_snapshot_free(rbcore_snapshot *self) {
    RBC_KEEP_ERRNO;
    if (self != NULL) {
        free(self->buffer);
        free(self);
    }
}

int rbc_snapshot_check(const rbcore_snapshot *self) {
    if (self == NULL) {
        return -EINVAL;
    }
    return rbc_fork_check_passes(&self->fork_check) ? 0 : -ECHILD;
}

static int grow(rbcore_snapshot *self, size_t capacity) {
    if (self->capacity >= capacity) {
        return 0;
    }
    unsigned char *larger = malloc(capacity);
    if (larger == NULL) {
        return -ENOMEM;
    }
    free(self->buffer);
    self->buffer = larger;
    self->capacity = capacity;
    return 0;
}

/* ---- Taking it ---- */

/*
 * Copies the complete records from `oldest` on, piece by piece. What was overwritten meanwhile, and
 * all before it, is left out. Returns 0, -EAGAIN if that is everything, or -EBADMSG.
 */
static int copy_content(rbcore_snapshot *self, const rbc_copy_source *source, uint64_t oldest) {
    const rbc_copy_end end = rbc_copy_find_end(source, oldest);
    /* Otherwise those may not have been headers of records, and none may end here. */
    if (rbc_copy_valid_from(source, end.walked_from) != end.walked_from) {
        return -EAGAIN;
    }
    uint64_t first = oldest, at = oldest;
    while (at != end.position) {
        size_t piece = end.position - at < RBC_COPY_PIECE ? end.position - at : RBC_COPY_PIECE;
        uint64_t valid = rbc_copy_bytes(source, self->buffer + (at - oldest), at, piece);
        if (valid % 8 != 0) {
            return -EBADMSG; /* no record begins there */
        }
        first = valid != at ? valid : first;
        if (rbc_is_after(first, end.position)) {
            return -EAGAIN;
        }
        at = rbc_is_after(valid, at + piece) ? valid : at + piece;
    }
    if (end.why == RBC_COPY_BAD) {
        return rbc_copy_valid_from(source, at) == at ? -EBADMSG : -EAGAIN;
    }
    self->base = oldest;
    self->info.first_pos = self->next = first;
    self->info.end_pos = end.position;
    self->info.producer_pos = end.producer_pos;
    return 0;
}

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void rbc_snapshot_describe(rbcore_snapshot_info *info, const rbc_ring *ring, uint8_t boot_id[16]) {
    rbc_boot_id_once(boot_id);
    memcpy(info->boot_id, boot_id, sizeof(info->boot_id));
    info->kind = ring->kind->is_memory ? RBCORE_SOURCE_MEMORY_RING : RBCORE_SOURCE_MAP_ID;
    info->ring_id = ring->kind->is_memory ? ring->inode : ring->map_id;
    info->ring_size = ring->mapping.data_size;
    info->realtime_ns = nanoseconds(CLOCK_REALTIME);
    info->boottime_ns = nanoseconds(CLOCK_BOOTTIME);
}

/*
 * The position where the content begins. What was given back is not part of it, also where the
 * kernel does not know that yet; but in overwrite mode all is there until it is overwritten.
 */
static uint64_t oldest_of(const rbc_ring *ring, const rbc_copy_source *source) {
    return ring->shadow != NULL ? rbc_copy_oldest(source) : rbc_get(&ring->user_pos);
}

static int take(rbcore_snapshot *self, const rbc_ring *ring) {
    const rbc_copy_source source =
        ring->shadow != NULL ? ring->shadow->source
                             : rbc_copy_source_of(&ring->mapping, false, ring->kind->is_memory);
    self->info = defaults;
    self->next = 0;
    self->lost_before = NO_POSITION;
    int error = grow(self, ring->mapping.data_size);
    if (error != 0) {
        return error;
    }
    rbc_snapshot_describe(&self->info, ring, self->boot_id);
    self->ring = ring->index;
    const uint64_t oldest = oldest_of(ring, &source);
    error = copy_content(self, &source, oldest);
    for (int i = 1; error == -EAGAIN && i < ATTEMPTS; i++) {
        error = copy_content(self, &source, oldest_of(ring, &source));
    }
    self->info.missed = error == 0 ? self->info.first_pos - oldest : 0;
    return error;
}

/* One record of a snapshot, discarded ones included. */
typedef struct rbc_copied {
    const unsigned char *data;
    uint64_t span;
    uint32_t size;
    bool is_discarded;
} rbc_copied;

/* The record at a position. Returns false if what is there is impossible. */
static bool look_at(const rbcore_snapshot *self, uint64_t position, rbc_copied *out) {
    const unsigned char *header = self->buffer + (position - self->base);
    uint32_t length;
    memcpy(&length, header, sizeof(length));
    *out = (rbc_copied){.data = header + RBC_HEADER_SIZE,
                        .span = rbc_record_span(length & ~RBC_DISCARD),
                        .size = length & ~RBC_DISCARD,
                        .is_discarded = length & RBC_DISCARD};
    return !(length & RBC_BUSY) && out->span <= self->info.end_pos - position;
}

/* The first record from a position on, or NO_POSITION. */
static uint64_t first_record(const rbcore_snapshot *self, uint64_t position) {
    rbc_copied record;
    while (position != self->info.end_pos && look_at(self, position, &record)) {
        if (!record.is_discarded) {
            return position;
        }
        position += record.span;
    }
    return NO_POSITION;
}

/*
 * The next record says that records were lost before `position`. It is in the snapshot, or if that
 * has none it is the one that the reader hands out next.
 */
static void tell_loss(struct rbc_shadow *shadow, rbcore_snapshot *snapshot, uint64_t position) {
    if (shadow->lost_before_next) {
        snapshot->lost_before = first_record(snapshot, position);
        shadow->lost_before_next = snapshot->lost_before == NO_POSITION;
    }
}

/* Goes on behind the snapshot, unless the reader is there already. Releases are stopped. */
static void consume(rbc_ring *ring, rbcore_snapshot *snapshot) {
    uint64_t first = snapshot->info.first_pos, end = snapshot->info.end_pos;
    uint64_t read_pos = rbc_get(&ring->read_pos);
    if (!rbc_is_after(end, read_pos)) {
        rbc_consumer_resume_releases(ring);
        return;
    }
    uint64_t lost = rbc_is_after(first, read_pos) ? first - read_pos : 0;
    rbc_count(&ring->passed_bytes, end - read_pos - lost);
    if (ring->shadow != NULL) {
        rbc_count(&ring->lost_bytes, lost);
        ring->shadow->lost_before_next |= lost > 0;
        tell_loss(ring->shadow, snapshot, read_pos + lost);
        rbc_shadow_skip_to(ring, end);
    } else {
        rbc_consumer_jump(ring, end);
    }
}

static int snapshot_ring(rbcore_reader *reader, rbc_ring *ring, rbcore_snapshot *snapshot,
                         uint32_t flags) {
    if (atomic_load_explicit(&ring->broken, memory_order_relaxed)) {
        return rbc_reader_fail(reader, -EBADMSG, "the content of ring %u is impossible",
                               ring->index);
    }
    bool is_consumed = flags & RBCORE_SNAPSHOT_CONSUME;
    if (is_consumed && (rbc_consumer_has_held(ring) || !rbc_consumer_stop_releases(ring))) {
        return rbc_reader_fail(reader, -EBUSY, "records of ring %u are not given back",
                               ring->index);
    }
    int error = take(snapshot, ring);
    if (error != 0) {
        if (is_consumed) {
            rbc_consumer_resume_releases(ring);
        }
        return rbc_reader_fail(reader, error, "ring %u could not be copied: %s", ring->index,
                               error == -EAGAIN ? "overwritten faster than it was copied"
                                                : rbcore_strerror(error));
    }
    if (is_consumed) {
        consume(ring, snapshot);
    }
    return 0;
}

int rbcore_reader_snapshot(rbcore_reader *self, unsigned int index, rbcore_snapshot **snapshot,
                           uint32_t flags) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (snapshot == NULL) {
        return rbc_reader_fail(self, -EINVAL, "the place for the snapshot is NULL");
    }
    if (*snapshot != NULL && (error = rbc_snapshot_check(*snapshot)) != 0) {
        return rbc_reader_fail(self, error, "the snapshot cannot be used: %s",
                               rbcore_strerror(error));
    }
    if (flags & ~KNOWN_FLAGS) {
        return rbc_reader_fail(self, -EINVAL, "the snapshot has unknown flags: 0x%" PRIx32,
                               flags & ~KNOWN_FLAGS);
    }
    rbc_ring *ring = rbc_ring_table_find(&self->table, index);
    if (ring == NULL) {
        return rbc_reader_fail(self, -EINVAL, "no ring has the index %u", index);
    }
    if (flags & RBCORE_SNAPSHOT_CONSUME) {
        rbc_idle_end(self, ring); /* it is armed anew */
    }
    rbcore_snapshot *taken = *snapshot;
    error = taken == NULL ? rbc_snapshot_new(&taken, ring->mapping.data_size) : 0;
    if (error != 0) {
        return rbc_reader_fail(self, error, "there is no memory for a snapshot");
    }
    error = snapshot_ring(self, ring, taken, flags);
    if (error != 0 && *snapshot == NULL) {
        rbcore_snapshot_free(taken);
        return error;
    }
    *snapshot = taken;
    return error;
}

/* ---- Reading it ---- */

int rbcore_snapshot_read(rbcore_snapshot *self, rbcore_record *records, size_t max) {
    int error = rbc_snapshot_check(self);
    if (error != 0 || records == NULL || max == 0) {
        return error != 0 ? error : -EINVAL;
    }
    size_t count = 0;
    max = max > INT32_MAX ? INT32_MAX : max;
    while (count < max && self->next != self->info.end_pos) {
        rbc_copied record;
        if (!look_at(self, self->next, &record)) {
            return count > 0 ? (int)count : -EBADMSG;
        }
        if (!record.is_discarded) {
            bool is_after_loss = self->next == self->lost_before;
            records[count++] = (rbcore_record){
                .data = record.data,
                .position = self->next,
                .size = record.size,
                .ring = self->ring,
                .flags = RBCORE_RECORD_COPIED | (is_after_loss ? RBCORE_RECORD_LOST_BEFORE : 0)};
        }
        self->next += record.span;
    }
    return (int)count;
}

int rbcore_snapshot_rewind(rbcore_snapshot *self) {
    int error = rbc_snapshot_check(self);
    if (error == 0) {
        self->next = self->info.first_pos;
    }
    return error;
}

int rbcore_snapshot_info_get(const rbcore_snapshot *self, rbcore_snapshot_info *out) {
    int error = rbc_snapshot_check(self);
    if (error != 0 || out == NULL) {
        return error != 0 ? error : -EINVAL;
    }
    return rbc_sized_out(out, &self->info, sizeof(self->info));
}
