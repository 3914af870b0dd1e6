/* SPDX-License-Identifier: MIT */
/* Snapshots: what they hold, what a consuming one does to its reader, and as files. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct sim_expected {
    uint64_t position;
    uint32_t size, offset;
    uint16_t flags, may_have; /* flags that it has, and that it may have */
} sim_expected;

typedef struct sim_snapshot {
    rbcore_snapshot *handle;
    bool is_unknown; /* after an error: empty or as it was */
    unsigned ring;
    rbcore_snapshot_info info;
    sim_expected *records;
    size_t count, at;
} sim_snapshot;

static sim_snapshot snapshots[SNAPSHOTS];

static void drop(sim_snapshot *self) {
    rbcore_snapshot_free(self->handle);
    free(self->records);
    *self = (sim_snapshot){0};
}

void snapshots_drop(void) {
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        drop(&snapshots[i]);
    }
}

/* ---- Taking one ---- */

/* The start of its content: of what was not given back, or not overwritten. */
static uint64_t oldest_of(const sim_view *view) {
    return view_is_copy(view) ? view_sound_pos(view) : view->user_pos;
}

/* Notes what is in it. Returns where it ends. */
static uint64_t expect(sim_snapshot *self, const sim_view *view) {
    const sim_ring *ring = view->ring;
    size_t at = ring_find(ring, oldest_of(view));
    free(self->records);
    self->records = calloc(ring->count - at + 1, sizeof(*self->records));
    demand(self->records != NULL, "no memory");
    self->count = self->at = 0;
    for (; at < ring->count; at++) {
        const sim_item *item = &ring->items[at];
        if (item->state != SUBMITTED && item->state != DISCARDED) {
            return item->position;
        }
        if (item->state == SUBMITTED) {
            self->records[self->count++] = (sim_expected){.position = item->position,
                                                          .size = item->size,
                                                          .offset = item->offset,
                                                          .flags = RBCORE_RECORD_COPIED};
        }
    }
    return ring->producer_pos;
}

static void check_info(sim_snapshot *self, const sim_view *view, uint64_t end) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    demand(rbcore_snapshot_info_get(self->handle, &info) == 0, "no info");
    demand(info.first_pos == oldest_of(view), "first_pos %" PRIu64 ", not %" PRIu64, info.first_pos,
           oldest_of(view));
    demand(info.end_pos == end, "end_pos %" PRIu64 ", not %" PRIu64, info.end_pos, end);
    demand(info.producer_pos == view->ring->producer_pos, "another producer_pos");
    demand(info.ring_size == view->ring->size && info.missed == 0, "another size, or bytes missed");
    demand(info.kind == (view->ring->is_kernel ? RBCORE_SOURCE_MAP_ID : RBCORE_SOURCE_MEMORY_RING),
           "another kind");
    self->info = info;
}

/* The next record after a loss says so: in the snapshot, or else the one that the reader reads. */
static void tell_loss(sim_snapshot *self, sim_view *view, uint64_t position) {
    for (size_t i = 0; i < self->count && view->is_loss_untold; i++) {
        if ((int64_t)(self->records[i].position - position) >= 0) {
            self->records[i].flags |= RBCORE_RECORD_LOST_BEFORE;
            view->is_loss_untold = false;
        }
    }
}

/* The reader goes on behind the snapshot now. */
static void consume(sim_snapshot *self, sim_view *view, uint64_t end) {
    uint64_t first = oldest_of(view);
    if ((int64_t)(end - view->read_pos) <= 0) {
        return;
    }
    uint64_t lost = (int64_t)(first - view->read_pos) > 0 ? first - view->read_pos : 0;
    view->is_loss_untold |= lost > 0;
    tell_loss(self, view, view->read_pos + lost);
    view->lost += lost;
    view->passed += end - view->read_pos - lost;
    view->read_pos = end;
    view->at = ring_find(view->ring, end);
}

static int expected_result(const sim_view *view, unsigned flags) {
    if (view->is_removed) {
        return -EINVAL;
    }
    return flags & RBCORE_SNAPSHOT_CONSUME && view->held > 0 ? -EBUSY : 0;
}

bool take_snapshot(void) {
    sim_view *view = any_view(true);
    sim_snapshot *self = &snapshots[roll(SNAPSHOTS)];
    if (view == NULL) {
        return false;
    }
    sim_reader *reader = view->reader;
    unsigned flags = one_in(4) ? RBCORE_SNAPSHOT_CONSUME : 0;
    calling("snapshot(reader %d, ring %d, %u)%s", reader->number, view->ring->number, flags,
            self->handle != NULL ? " anew" : "");
    int result =
        returned(rbcore_reader_snapshot(reader->handle, view->index, &self->handle, flags));
    demand(result == expected_result(view, flags), "not %d", expected_result(view, flags));
    if (result != 0) {
        self->is_unknown = true;
        reader_check(reader);
        return true;
    }
    self->is_unknown = false;
    self->ring = view->index;
    uint64_t end = expect(self, view);
    check_info(self, view, end);
    if (flags & RBCORE_SNAPSHOT_CONSUME) {
        consume(self, view, end);
    }
    reader_check(reader);
    return true;
}

/* ---- Reading it ---- */

static void check_record(const sim_snapshot *self, const rbcore_record *record) {
    const sim_expected *expected = &self->records[self->at];
    demand(record->position == expected->position && record->size == expected->size,
           "%u bytes at %" PRIu64 ", not %u at %" PRIu64, record->size, record->position,
           expected->size, expected->position);
    demand(memcmp(record->data, pattern + expected->offset, expected->size) == 0,
           "other data than was produced at %" PRIu64, record->position);
    demand(record->ring == self->ring, "ring %u, not %u", record->ring, self->ring);
    demand((record->flags & ~expected->may_have) == expected->flags, "flags %u, not %u",
           record->flags, expected->flags);
}

static void read_some(sim_snapshot *self, size_t max) {
    rbcore_record records[128];
    int n = returned(rbcore_snapshot_read(self->handle, records, max));
    size_t left = self->count - self->at;
    demand(n == (int)(left < max ? left : max), "%zu records were left", left);
    for (int i = 0; i < n; i++) {
        check_record(self, &records[i]);
        self->at++;
    }
}

static sim_snapshot *any_snapshot(void) {
    sim_snapshot *self = &snapshots[roll(SNAPSHOTS)];
    return self->handle != NULL && !self->is_unknown ? self : NULL;
}

bool read_snapshot(void) {
    sim_snapshot *self = any_snapshot();
    if (self == NULL) {
        return false;
    }
    size_t max = 1 + roll(one_in(2) ? 128 : 5);
    calling("snapshot_read(%td, %zu)", self - snapshots, max);
    read_some(self, max);
    return true;
}

bool rewind_snapshot(void) {
    sim_snapshot *self = any_snapshot();
    if (self == NULL) {
        return false;
    }
    calling("snapshot_rewind(%td)", self - snapshots);
    demand(returned(rbcore_snapshot_rewind(self->handle)) == 0, "not 0");
    self->at = 0;
    return true;
}

bool free_snapshot(void) {
    sim_snapshot *self = &snapshots[roll(SNAPSHOTS)];
    if (self->handle == NULL || !one_in(2)) {
        return false;
    }
    calling("snapshot_free(%td)", self - snapshots);
    drop(self);
    return true;
}

bool snapshot_wrongly(void) {
    sim_reader *reader = any_reader();
    rbcore_snapshot *none = NULL;
    if (reader == NULL) {
        return false;
    }
    calling("snapshot(reader %d) of what is none", reader->number);
    unsigned index = one_in(2) ? reader->next_index : RBCORE_RINGS_MAX + roll(1000);
    demand(rbcore_reader_snapshot(reader->handle, index, &none, 0) == -EINVAL, "not refused");
    demand(rbcore_reader_snapshot(reader->handle, 0, &none, 2u << roll(31)) == -EINVAL,
           "not refused");
    demand(rbcore_reader_snapshot(reader->handle, 0, NULL, 0) == -EINVAL, "not refused");
    demand(none == NULL, "a snapshot all the same");
    sim_snapshot *self = any_snapshot();
    if (self != NULL) {
        rbcore_record record;
        demand(rbcore_snapshot_read(self->handle, &record, 0) == -EINVAL, "not refused");
        demand(rbcore_snapshot_read(self->handle, NULL, 1) == -EINVAL, "not refused");
        demand(rbcore_snapshot_save(self->handle, 1000000) == -EBADF, "not refused");
    }
    demand(rbcore_snapshot_load(&none, 1000000) == -EBADF && none == NULL, "not refused");
    reader_check(reader);
    return true;
}

/* ---- As a file ---- */

static bool is_same_info(const rbcore_snapshot_info *a, const rbcore_snapshot_info *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void load_damaged(int file, off_t size) {
    rbcore_snapshot *loaded = NULL;
    bool is_cut = one_in(2);
    off_t place = (off_t)roll((uint32_t)size);
    unsigned char byte;
    if (is_cut) {
        demand(ftruncate(file, place) == 0, "ftruncate");
    } else {
        demand(pread(file, &byte, 1, place) == 1, "pread");
        byte ^= (unsigned char)(1u << roll(8));
        demand(pwrite(file, &byte, 1, place) == 1, "pwrite");
    }
    lseek(file, 0, SEEK_SET);
    calling("snapshot_load(%s at %lld)", is_cut ? "cut" : "damaged", (long long)place);
    int result = returned(rbcore_snapshot_load(&loaded, file));
    bool is_refused = result == -EBADMSG || (is_cut && place == 0 && result == -ENODATA) ||
                      result == -E2BIG || result == -EOPNOTSUPP || result == -ENOMEM;
    demand(is_refused && loaded == NULL, "not refused");
}

/* The loaded snapshot is like the saved one, but its records say ring 0. */
static void check_loaded(sim_snapshot *self, const sim_snapshot *saved) {
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    demand(rbcore_snapshot_info_get(self->handle, &info) == 0, "no info");
    demand(is_same_info(&info, &saved->info), "other information than was saved");
    self->info = saved->info;
    self->ring = 0;
    self->records = calloc(saved->count + 1, sizeof(*self->records));
    demand(self->records != NULL, "no memory");
    memcpy(self->records, saved->records, saved->count * sizeof(*self->records));
    self->count = saved->count;
    for (size_t i = 0; i < self->count; i++) {
        self->records[i].flags =
            RBCORE_RECORD_COPIED; /* a file does not say what was lost before */
        self->records[i].may_have = RBCORE_RECORD_LOST_BEFORE;
    }
}

bool save_and_load(void) {
    sim_snapshot *saved = any_snapshot(), *into = &snapshots[roll(SNAPSHOTS)];
    if (saved == NULL || into == saved || the_world.in_a_batch) {
        return false;
    }
    int file = (int)syscall(SYS_memfd_create, "snapshots", 0);
    demand(file >= 0, "memfd_create");
    unsigned copies = 1 + roll(2);
    for (unsigned i = 0; i < copies; i++) {
        calling("snapshot_save(%td), %zu records", saved - snapshots, saved->count);
        demand(returned(rbcore_snapshot_save(saved->handle, file)) == 0, "not 0");
    }
    off_t size = lseek(file, 0, SEEK_CUR) / copies;
    lseek(file, 0, SEEK_SET);
    for (unsigned i = 0; i < copies; i++) {
        drop(into);
        calling("snapshot_load(%td)", into - snapshots);
        demand(returned(rbcore_snapshot_load(&into->handle, file)) == 0, "not 0");
        demand(lseek(file, 0, SEEK_CUR) == size * (off_t)(i + 1), "more was read than it has");
        check_loaded(into, saved);
    }
    rbcore_snapshot *none = NULL;
    calling("snapshot_load(at the end)");
    demand(returned(rbcore_snapshot_load(&none, file)) == -ENODATA && none == NULL, "not refused");
    demand(ftruncate(file, size) == 0, "ftruncate");
    load_damaged(file, size);
    close(file);
    return true;
}
