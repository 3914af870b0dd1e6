/* SPDX-License-Identifier: MIT */
/* Records that are held, described as a snapshot file where they lie. */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A record that is held and the place of its item in the ring's list. */
typedef struct sim_end {
    const rbcore_record *record;
    size_t item;
} sim_end;

static sim_end end_at(const sim_held *held) {
    return (sim_end){&held->record, ring_find(held->view->ring, held->record.position)};
}

/* Two held records of one view, in their order. Returns the view, NULL if nothing is held. */
static sim_view *any_two(const sim_reader *self, sim_end *first, sim_end *last) {
    if (self == NULL || self->held_count == 0) {
        return NULL;
    }
    const sim_held *one = &self->held[roll((uint32_t)self->held_count)];
    const sim_held *other = &self->held[roll((uint32_t)self->held_count)];
    if (other->view != one->view) {
        other = one;
    }
    *first = end_at(one);
    *last = end_at(other);
    if (first->item > last->item) {
        const sim_end swapped = *first;
        *first = *last;
        *last = swapped;
    }
    return one->view;
}

static int describe(const sim_reader *self, const rbcore_record *first, const rbcore_record *last,
                    void *header, rbcore_slice *content) {
    calling("snapshot_header(reader %d, from %" PRIu64 " of %u to %" PRIu64 " of %u)", self->number,
            first->position, first->ring, last->position, last->ring);
    return returned(rbcore_reader_snapshot_header(self->handle, first, last, header, content));
}

/* Whether what a dead producer left lies between: it is in no file that is not made by a copy. */
static bool has_dead_between(const sim_ring *ring, size_t first, size_t last) {
    while (first < last && ring->items[first].state != DEAD) {
        first++;
    }
    return first < last;
}

static void check_info(const rbcore_snapshot *loaded, const sim_ring *ring, uint64_t first,
                       uint64_t end) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    demand(rbcore_snapshot_info_get(loaded, &info) == 0, "no info");
    demand(info.first_pos == first && info.end_pos == end, "from %" PRIu64 " to %" PRIu64,
           info.first_pos, info.end_pos);
    demand(info.ring_size == ring->size && info.missed == 0, "another ring");
    demand(info.producer_pos == ring_producer_pos(ring), "producer_pos %" PRIu64,
           info.producer_pos);
}

/* What was submitted is in the file, and nothing else. */
static void check_records(rbcore_snapshot *loaded, const sim_ring *ring, size_t first,
                          size_t last) {
    rbcore_record record;
    for (size_t i = first; i <= last; i++) {
        const sim_item *item = &ring->items[i];
        if (item->state != SUBMITTED) {
            continue;
        }
        demand(rbcore_snapshot_read(loaded, &record, 1) == 1, "no record at %" PRIu64,
               item->position);
        demand(record.position == item->position && record.size == item->size,
               "%u bytes at %" PRIu64 ", not %u at %" PRIu64, record.size, record.position,
               item->size, item->position);
        demand(memcmp(record.data, pattern + item->offset, item->size) == 0,
               "other data than was produced at %" PRIu64, item->position);
    }
    demand(rbcore_snapshot_read(loaded, &record, 1) == 0, "more records");
}

static void load_and_check(const sim_ring *ring, sim_end first, sim_end last, void *header,
                           const rbcore_slice *content) {
    rbcore_snapshot *loaded = NULL;
    struct iovec parts[] = {{header, RBCORE_SNAPSHOT_HEADER_SIZE},
                            {(void *)(uintptr_t)content->data, content->size}};
    int file = (int)syscall(SYS_memfd_create, "records", 0);
    ssize_t size = (ssize_t)(RBCORE_SNAPSHOT_HEADER_SIZE + content->size);
    demand(writev(file, parts, 2) == size, "writev");
    lseek(file, 0, SEEK_SET);
    demand(rbcore_snapshot_load(&loaded, file) == 0, "what was described is no file");
    check_info(loaded, ring, first.record->position, end_of_item(&ring->items[last.item]));
    check_records(loaded, ring, first.item, last.item);
    rbcore_snapshot_free(loaded);
    close(file);
}

bool describe_records(void) {
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content = {NULL, 0};
    sim_end first, last;
    sim_reader *self = any_reader();
    const sim_view *view = any_two(self, &first, &last);
    if (view == NULL) {
        return false;
    }
    int result = describe(self, first.record, last.record, header, &content);
    bool has_dead = has_dead_between(view->ring, first.item, last.item);
    if (result == 0) {
        demand(!has_dead || view_is_copy(view), "a record that is unfinished is in it");
        load_and_check(view->ring, first, last, header, &content);
    } else {
        demand(result == -EBADMSG && has_dead, "not 0: %s", rbcore_reader_message(self->handle));
    }
    reader_check(self);
    return true;
}

bool describe_wrongly(void) {
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content = {NULL, 0};
    sim_end first, last;
    sim_reader *self = any_reader();
    const rbcore_record *gone = any_stale();
    if (any_two(self, &first, &last) == NULL) {
        return false;
    }
    if (first.item != last.item) {
        demand(describe(self, last.record, first.record, header, &content) == -EINVAL,
               "not refused");
    }
    if (gone != NULL && !is_held(self, gone)) {
        demand(describe(self, gone, gone, header, &content) == -EINVAL, "not refused");
        demand(describe(self, first.record, gone, header, &content) == -EINVAL, "not refused");
        demand(describe(self, gone, last.record, header, &content) == -EINVAL, "not refused");
    }
    const rbcore_record *other = &self->held[roll((uint32_t)self->held_count)].record;
    if (other->ring != first.record->ring) {
        demand(describe(self, first.record, other, header, &content) == -EINVAL, "not refused");
    }
    demand(content.data == NULL && content.size == 0, "the content was changed");
    reader_check(self);
    return true;
}
