/* SPDX-License-Identifier: MIT */
/* Statistics of a reader and of its rings, and the identity of a record. */
#include "keep_errno.h"
#include "kind.h"
#include "map.h"
#include "memory_ring.h"
#include "reader.h"
#include "shadow.h"
#include "sized.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const rbcore_reader_stats reader_defaults = RBCORE_READER_STATS_INIT;
static const rbcore_ring_stats ring_defaults = RBCORE_RING_STATS_INIT;
static const rbcore_identity identity_defaults = RBCORE_IDENTITY_INIT;

int rbcore_reader_stats_init(rbcore_reader_stats *out, size_t size) {
    return rbc_sized_init(out, size, &reader_defaults, sizeof(reader_defaults));
}

int rbcore_ring_stats_init(rbcore_ring_stats *out, size_t size) {
    return rbc_sized_init(out, size, &ring_defaults, sizeof(ring_defaults));
}

int rbcore_identity_init(rbcore_identity *out, size_t size) {
    return rbc_sized_init(out, size, &identity_defaults, sizeof(identity_defaults));
}

int rbcore_reader_stats_get(rbcore_reader *self, rbcore_reader_stats *out) {
    int error = rbc_reader_check(self);
    if (error != 0 || out == NULL) {
        return error != 0 ? error : -EINVAL;
    }
    pthread_mutex_lock(&self->slots_lock);
    uint64_t rings = self->table.count;
    pthread_mutex_unlock(&self->slots_lock);
    rbcore_reader_stats stats = {
        .records = rbc_get(&self->records),
        .bytes = rbc_get(&self->bytes),
        .discards = rbc_get(&self->discards),
        .batches = rbc_get(&self->batches),
        .commits = rbc_get(&self->commits),
        .wakeups = rbc_get(&self->wait.wakeups),
        .rings = rings,
    };
    return rbc_sized_out(out, &stats, sizeof(stats));
}

static uint64_t lost_records(const rbc_ring *ring) {
    if (ring->kind->is_memory) {
        return rbc_get(&rbc_producer_page_of(&ring->mapping)->lost);
    }
    uint64_t lost;
    bool known = ring->loss_fd >= 0 && rbc_map_read_losses(ring->loss_fd, &lost) == 0;
    return known ? lost : RBCORE_UNKNOWN;
}

/* The bytes that wait between two positions that others move on, as of one moment if possible. */
static uint64_t bytes_waiting(const rbc_ring *ring) {
    uint64_t read_pos, producer_pos, again = atomic_load(&ring->read_pos);
    int attempts = 100;
    do {
        read_pos = again;
        producer_pos = atomic_load_explicit(ring->producer_pos, memory_order_acquire);
        again = atomic_load(&ring->read_pos);
    } while (again != read_pos && --attempts > 0);
    uint64_t bytes = producer_pos - read_pos, size = ring->mapping.data_size;
    return bytes < size ? bytes : size;
}

/* Of a ring of our own /proc is not asked: with thousands of rings that would be slow. */
static uint64_t reader_pid(const rbc_ring *ring) {
    return rbc_owner_is_ours(&ring->owner)
               ? (uint64_t)getpid()
               : rbc_owner_pid(ring->mapping.consumer_page, ring->mapping.page_size);
}

static rbcore_ring_stats stats_of(const rbc_ring *ring) {
    /*
     * The positions are read in the order in which they stand in the ring, so that no difference
     * comes out negative.
     */
    const _Atomic uint64_t *consumed =
        ring->shadow != NULL ? ring->shadow->source.consumer_pos : ring->consumer_pos;
    uint64_t consumer_pos = atomic_load_explicit(consumed, memory_order_acquire);
    uint64_t user_pos = atomic_load_explicit(&ring->user_pos, memory_order_acquire);
    uint64_t read_pos = atomic_load_explicit(&ring->read_pos, memory_order_acquire);
    uint64_t producer_pos = atomic_load_explicit(ring->producer_pos, memory_order_acquire);
    bool is_broken = atomic_load_explicit(&ring->broken, memory_order_relaxed);
    return (rbcore_ring_stats){
        .cookie = ring->cookie,
        .flags = (is_broken ? RBCORE_RING_BROKEN : 0) |
                 (ring->is_guarded ? 0 : RBCORE_RING_UNGUARDED) |
                 (rbc_ring_is_paced(ring) ? RBCORE_RING_PACED : 0),
        .map_id = ring->map_id,
        .ring_size = ring->mapping.data_size,
        .bytes_waiting = bytes_waiting(ring),
        .high_water = rbc_get(&ring->high_water),
        .records = rbc_get(&ring->records),
        .bytes = rbc_get(&ring->bytes),
        .discards = rbc_get(&ring->discards),
        .abandoned = rbc_get(&ring->abandoned),
        .skipped = rbc_get(&ring->skipped),
        .lost = lost_records(ring),
        .producer_pos = producer_pos,
        .read_pos = read_pos,
        .user_pos = user_pos,
        .consumer_pos = consumer_pos,
        .start_pos = ring->start_pos,
        .passed_bytes = rbc_get(&ring->passed_bytes),
        .lost_bytes = rbc_get(&ring->lost_bytes),
        .first_ring = ring->index,
        .reader_pid = reader_pid(ring),
    };
}

int rbcore_reader_ring_stats(rbcore_reader *self, unsigned int index, rbcore_ring_stats *out) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0 || out == NULL) {
        return error != 0 ? error : -EINVAL;
    }
    pthread_mutex_lock(&self->slots_lock);
    const rbc_ring *ring = rbc_reader_ring(self, index);
    error = -EINVAL;
    if (ring != NULL) {
        rbcore_ring_stats stats = stats_of(ring);
        error = rbc_sized_out(out, &stats, sizeof(stats));
    }
    pthread_mutex_unlock(&self->slots_lock);
    return error;
}

int rbcore_reader_identity(rbcore_reader *self, const rbcore_record *record, rbcore_identity *out) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0 || record == NULL || out == NULL) {
        return error != 0 ? error : -EINVAL;
    }
    pthread_mutex_lock(&self->slots_lock);
    const rbc_ring *ring = rbc_reader_ring(self, record->ring);
    error = -EINVAL;
    if (ring != NULL) {
        rbcore_identity identity = {
            .kind = ring->kind->is_memory ? RBCORE_SOURCE_MEMORY_RING : RBCORE_SOURCE_MAP_ID,
            .ring_id = ring->kind->is_memory ? ring->inode : ring->map_id,
            .position = record->position,
        };
        rbc_boot_id(identity.boot_id);
        error = rbc_sized_out(out, &identity, sizeof(identity));
    }
    pthread_mutex_unlock(&self->slots_lock);
    return error;
}
