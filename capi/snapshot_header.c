/* SPDX-License-Identifier: MIT */
/* Records that are held, described as a snapshot where they lie. */
#include "checked_copy.h"
#include "commit.h"
#include "crc32.h"
#include "keep_errno.h"
#include "reader.h"
#include "release.h"
#include "snapshot.h"

static bool holds(const rbcore_reader *self, const rbc_ring *ring, const rbcore_record *record) {
    return self->is_release ? rbc_release_holds(ring, record) : rbc_commit_holds(ring, record);
}

/*
 * The ring of two records that are held, or NULL. Then it stays. Until that is known, the lock
 * keeps it: a removed ring goes with the last release of its records, which any thread may call.
 */
static const rbc_ring *ring_of(rbcore_reader *self, const rbcore_record *first,
                               const rbcore_record *last) {
    if (first->ring != last->ring || rbc_is_after(first->position, last->position)) {
        return NULL;
    }
    pthread_mutex_lock(&self->slots_lock);
    const rbc_ring *ring = rbc_reader_ring(self, first->ring);
    const bool is_held = ring != NULL && holds(self, ring, first) && holds(self, ring, last);
    pthread_mutex_unlock(&self->slots_lock);
    return is_held ? ring : NULL;
}

/*
 * Whether complete records lead from one position to another. What a dead producer left unfinished
 * still says BUSY in its ring, and only the consumer knows that it is to be skipped. (With that bit
 * the span is larger than any ring.)
 */
static bool leads_to(const rbc_ring *ring, uint64_t position, uint64_t to) {
    while (position != to) {
        const uint64_t span = rbc_record_span(rbc_get_length(ring, position) & ~RBC_DISCARD);
        if (span > to - position) {
            return false;
        }
        position += span;
    }
    return true;
}

/* The data is mapped twice in a row: what crosses the end of the first copy goes on behind it. */
static rbcore_slice slice_of(const rbc_ring *ring, uint64_t first, uint64_t end) {
    return (rbcore_slice){.data = rbc_ring_header(ring, first), .size = (size_t)(end - first)};
}

int rbcore_reader_snapshot_header(rbcore_reader *self, const rbcore_record *first,
                                  const rbcore_record *last, void *header, rbcore_slice *content) {
    RBC_KEEP_ERRNO;
    int error = rbc_reader_check(self);
    if (error != 0) {
        return error;
    }
    if (first == NULL || last == NULL || header == NULL || content == NULL) {
        return rbc_reader_fail(self, -EINVAL, "a record, the header or the content is NULL");
    }
    const rbc_ring *ring = ring_of(self, first, last);
    if (ring == NULL) {
        return rbc_reader_fail(
            self, -EINVAL, "no two records of ring %u are held from %llu to %llu", first->ring,
            (unsigned long long)first->position, (unsigned long long)last->position);
    }
    if (!leads_to(ring, first->position, last->position)) {
        return rbc_reader_fail(self, -EBADMSG, "not all records between are complete in ring %u",
                               first->ring);
    }
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    rbc_snapshot_describe(&info, ring, self->boot_id);
    info.first_pos = first->position;
    info.end_pos = last->position + rbc_record_span(last->size);
    info.producer_pos = rbc_ring_load_producer_pos(ring);
    *content = slice_of(ring, info.first_pos, info.end_pos);
    rbc_snapshot_write_header(header, &info, rbc_crc32(0, content->data, content->size));
    return 0;
}
