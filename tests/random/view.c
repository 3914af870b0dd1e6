/* SPDX-License-Identifier: MIT */
/* A ring as a reader must see it: what comes next, and all sums. */
#include "model.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define NOTHING SIZE_MAX

/* A tap of a normal ring keeps away from what may be written next: see "On processors that ..." */
#if defined(__x86_64__)
#define GUARD(size) 8
#else
#define GUARD(size) ((size) / 4)
#endif

bool reader_is_release(const sim_reader *self) {
    return self->flags & RBCORE_READER_RELEASE;
}

bool view_is_copy(const sim_view *self) {
    return self->is_tap || self->ring->overwrites;
}

unsigned reader_rings(const sim_reader *self) {
    unsigned count = 0;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        count += self->views[i].ring != NULL && !self->views[i].is_removed;
    }
    return count;
}

sim_view *reader_view(sim_reader *self, unsigned index) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        if (self->views[i].ring != NULL && self->views[i].index == index) {
            return &self->views[i];
        }
    }
    return NULL;
}

/* ---- What must come ---- */

static bool is_after(uint64_t a, uint64_t b) {
    return (int64_t)(a - b) > 0;
}

/* A batch that is being written may have got as far as its end. */
static uint64_t written_up_to(const sim_ring *ring) {
    return is_after(ring->batch_end, ring->producer_pos) ? ring->batch_end : ring->producer_pos;
}

/* With the 8 bytes of the next header. */
static bool is_reused(const sim_ring *ring, uint64_t position) {
    return is_after(written_up_to(ring) + GUARD(ring->size), position + ring->size);
}

uint64_t view_sound_pos(const sim_view *self) {
    return self->ring->overwrites ? ring_overwrite_pos(self->ring) : ring_consumer_pos(self->ring);
}

bool view_is_overtaken(const sim_view *self) {
    if (!view_is_copy(self) || !is_after(view_sound_pos(self), self->read_pos)) {
        return false;
    }
    return self->ring->overwrites || is_reused(self->ring, self->read_pos);
}

/* The first record to hand out, after discarded ones, or NOTHING. */
static size_t first_complete(const sim_ring *ring, size_t at) {
    while (at < ring->count && ring->items[at].state == DISCARDED) {
        at++;
    }
    return at < ring->count && ring->items[at].state == SUBMITTED ? at : NOTHING;
}

bool view_must_wait_its_turn(const sim_view *self) {
    size_t next = first_complete(self->ring, self->at);
    return self->was_served && next != NOTHING &&
           end_of_item(&self->ring->items[next]) - self->read_before > self->ring->size / TURN_PART;
}

bool view_must_come(const sim_view *self) {
    const sim_ring *ring = self->ring;
    if (ring == NULL || self->is_removed) {
        return false;
    }
    if (view_is_overtaken(self)) {
        size_t next = ring_find(ring, view_sound_pos(self));
        return self->held == 0 && first_complete(ring, next) != NOTHING;
    }
    size_t next = first_complete(ring, self->at);
    if (next == NOTHING) {
        return false;
    }
    /* Into a copy it must fit, beside what was not given back. */
    return !view_is_copy(self) || end_of_item(&ring->items[next]) - self->user_before <= ring->size;
}

static bool is_dead_at(const sim_ring *ring, size_t at) {
    while (at < ring->count && ring->items[at].state == DISCARDED) {
        at++;
    }
    return at < ring->count && ring->items[at].state == DEAD;
}

bool view_may_be_behind_dead(const sim_view *self) {
    if (self->ring == NULL || self->is_removed) {
        return false;
    }
    return is_dead_at(self->ring, self->at) ||
           (view_is_overtaken(self) &&
            is_dead_at(self->ring, ring_find(self->ring, view_sound_pos(self))));
}

/*
 * Returns where it goes on, with what a dead producer left; or NOTHING. A copy needs room for that,
 * too.
 */
static size_t first_dead(const sim_view *self) {
    const sim_ring *ring = self->ring;
    bool is_overtaken = ring != NULL && !self->is_removed && view_is_overtaken(self);
    if (ring == NULL || self->is_removed || (is_overtaken && self->held > 0)) {
        return NOTHING;
    }
    size_t at = is_overtaken ? ring_find(ring, view_sound_pos(self)) : self->at;
    if (!is_dead_at(ring, at)) {
        return NOTHING;
    }
    while (ring->items[at].state == DISCARDED) {
        at++;
    }
    bool fits = !view_is_copy(self) || is_overtaken ||
                end_of_item(&ring->items[at]) - self->user_before <= ring->size;
    return fits ? at : NOTHING;
}

bool view_is_behind_dead(const sim_view *self) {
    return first_dead(self) != NOTHING;
}

bool view_has_record_behind_dead(const sim_view *self) {
    const sim_ring *ring = self->ring;
    size_t at = first_dead(self);
    if (at == NOTHING) {
        return false;
    }
    while (at < ring->count &&
           (ring->items[at].state == DEAD || ring->items[at].state == DISCARDED)) {
        at++;
    }
    bool is_there = at < ring->count && ring->items[at].state == SUBMITTED;
    return is_there && (!view_is_copy(self) || view_is_overtaken(self) ||
                        end_of_item(&ring->items[at]) - self->user_before <= ring->size);
}

/* ---- What came ---- */

rbcore_ring_stats view_stats(const sim_view *self) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    int error = rbcore_reader_ring_stats(self->reader->handle, self->index, &stats);
    demand(error == 0, "ring_stats: %d", error);
    return stats;
}

/* Bytes that were lost in this call. */
typedef struct sim_gap {
    uint64_t from, bytes;
} sim_gap;

/*
 * The place where it went on: as things stood before the call; or after, for the call may have
 * moved the consumer of a ring that the same reader taps.
 */
static sim_gap gap_of(const sim_view *self, const rbcore_ring_stats *stats) {
    sim_gap gap = {.bytes = stats->lost_bytes - self->lost};
    if (gap.bytes == 0) {
        return gap;
    }
    demand(view_is_copy(self), "%" PRIu64 " bytes lost by a ring that is read in place", gap.bytes);
    bool was_there = !is_after(self->read_pos + gap.bytes, self->sound_before);
    uint64_t sound = was_there ? self->sound_before : view_sound_pos(self);
    gap.from = sound - gap.bytes;
    demand(!is_after(self->read_pos, gap.from) && is_after(sound, gap.from),
           "lost %" PRIu64 " bytes before %" PRIu64 ", but was at %" PRIu64, gap.bytes, sound,
           self->read_pos);
    demand(self->ring->overwrites || is_reused(self->ring, gap.from),
           "lost %" PRIu64 " bytes at %" PRIu64 ", which no producer used again", gap.bytes,
           gap.from);
    return gap;
}

static bool jump_gap(sim_view *self, sim_gap *gap) {
    if (gap->bytes == 0 || self->read_pos != gap->from) {
        return false;
    }
    self->lost += gap->bytes;
    self->read_pos += gap->bytes;
    self->at = ring_find(self->ring, self->read_pos);
    self->is_loss_untold = true;
    gap->bytes = 0;
    return true;
}

/* Passes what lies between, all of which must be nothing to hand out. */
static void walk_to(sim_view *self, uint64_t position, sim_gap *gap) {
    while (jump_gap(self, gap) || self->read_pos != position) {
        if (self->read_pos == position) {
            break;
        }
        demand(self->at < self->ring->count && is_after(position, self->read_pos),
               "ring %d: at %" PRIu64 ", from where nothing leads to %" PRIu64, self->ring->number,
               self->read_pos, position);
        const sim_item *item = &self->ring->items[self->at];
        demand(item->state == DISCARDED || item->state == DEAD,
               "ring %d: the %s record at %" PRIu64 " was passed", self->ring->number,
               item->state == SUBMITTED ? "complete" : "unfinished", item->position);
        self->discards += item->state == DISCARDED;
        self->reader->discards += item->state == DISCARDED;
        self->abandoned += item->state == DEAD;
        self->passed += span_of(item->size);
        self->read_pos = end_of_item(item);
        self->at++;
    }
}

static void check_record(sim_view *self, const rbcore_record *record) {
    const sim_item *item = &self->ring->items[self->at];
    demand(item->state == SUBMITTED, "ring %d: a record at %" PRIu64 " that is not complete",
           self->ring->number, record->position);
    demand(record->size == item->size, "ring %d: size %u at %" PRIu64 ", not %u",
           self->ring->number, record->size, record->position, item->size);
    demand((uintptr_t)record->data % 8 == 0, "data is not aligned");
    demand(memcmp(record->data, pattern + item->offset, item->size) == 0,
           "ring %d: other data than was produced at %" PRIu64, self->ring->number,
           record->position);
    uint16_t flags = view_is_copy(self) ? RBCORE_RECORD_COPIED : 0;
    flags |= self->is_loss_untold ? RBCORE_RECORD_LOST_BEFORE : 0;
    demand(record->flags == flags, "ring %d: flags %u at %" PRIu64 ", not %u", self->ring->number,
           record->flags, record->position, flags);
    self->is_loss_untold = false;
}

static void hold(sim_view *self, const rbcore_record *record) {
    sim_reader *reader = self->reader;
    demand(reader->held_count < HELD_MAX, "the model has no room for held records");
    reader->held[reader->held_count++] = (sim_held){.record = *record, .view = self};
    self->held++;
}

/* `first` is the position of the first record of the ring in this call. */
static void take_record(sim_view *self, const rbcore_record *record, uint64_t first, sim_gap *gap) {
    walk_to(self, record->position, gap);
    demand(self->at < self->ring->count, "ring %d: a record at its end", self->ring->number);
    check_record(self, record);
    hold(self, record);
    const sim_item *item = &self->ring->items[self->at++];
    self->read_pos = end_of_item(item);
    demand(self->read_pos - first == span_of(item->size) ||
               self->read_pos - first <= self->ring->size / TURN_PART,
           "ring %d: %" PRIu64 " bytes in one call", self->ring->number, self->read_pos - first);
    self->handed += span_of(item->size);
    self->records++;
    self->bytes += item->size;
    self->reader->records++;
    self->reader->bytes += item->size;
}

static void check_paces(sim_view *self, const rbcore_ring_stats *stats) {
    self->is_paced = stats->flags & RBCORE_RING_PACED;
    demand(!(stats->flags & RBCORE_RING_BROKEN), "ring %d is broken", self->ring->number);
    demand(!(stats->flags & RBCORE_RING_UNGUARDED), "ring %d is unguarded", self->ring->number);
}

/* The records of each ring come in one run: it has one turn. */
void reader_took(sim_reader *self, const rbcore_record *records, size_t n) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        self->views[i].was_served = false;
    }
    for (size_t at = 0; at < n;) {
        sim_view *view = reader_view(self, records[at].ring);
        demand(view != NULL && !view->is_removed, "a record of ring %u, which is none",
               records[at].ring);
        demand(!view->was_served, "a second turn of ring %u in one call", view->index);
        const rbcore_ring_stats stats = view_stats(view);
        sim_gap gap = gap_of(view, &stats);
        const uint64_t first = records[at].position;
        for (; at < n && records[at].ring == view->index; at++) {
            take_record(view, &records[at], first, &gap);
        }
        walk_to(view, stats.read_pos, &gap);
        demand(gap.bytes == 0, "%" PRIu64 " bytes lost, but nothing left out", gap.bytes);
        view->was_served = true;
        self->turns++;
    }
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *view = &self->views[i];
        if (view->ring != NULL && !view->is_removed && !view->was_served) {
            const rbcore_ring_stats stats = view_stats(view);
            sim_gap gap = gap_of(view, &stats);
            walk_to(view, stats.read_pos, &gap);
        }
    }
    self->batches += n > 0;
}

/* ---- The sums ---- */

/* The space that was given back reaches at least from here to the first record that is held. */
static uint64_t least_user_pos(const sim_view *self, uint64_t first_held) {
    size_t at = ring_find(self->ring, first_held);
    while (at > 0 && self->ring->items[at - 1].position >= self->start_pos &&
           self->ring->items[at - 1].state != SUBMITTED) {
        at--;
    }
    return self->ring->items[at].position;
}

static void check_user_pos(sim_view *self, const rbcore_ring_stats *stats) {
    uint64_t first_held = self->read_pos;
    for (size_t i = 0; i < self->reader->held_count && self->held > 0; i++) {
        const sim_held *held = &self->reader->held[i];
        if (held->view == self && is_after(first_held, held->record.position)) {
            first_held = held->record.position;
        }
    }
    uint64_t least = self->held == 0 ? self->read_pos : least_user_pos(self, first_held);
    demand(!is_after(least, stats->user_pos) && !is_after(stats->user_pos, first_held),
           "ring %d: user_pos %" PRIu64 ", not between %" PRIu64 " and %" PRIu64,
           self->ring->number, stats->user_pos, least, first_held);
    demand(!is_after(self->user_pos, stats->user_pos), "user_pos went back");
    self->reader->moved |= self->user_pos != stats->user_pos;
    self->user_pos = stats->user_pos;
}

/* The kernel knows it all, or in a busy ring all but the last record. */
static void check_consumer_pos(sim_view *self, const rbcore_ring_stats *stats) {
    uint64_t consumer = ring_consumer_pos(self->ring);
    demand(stats->consumer_pos == consumer, "consumer_pos %" PRIu64 ", not %" PRIu64,
           stats->consumer_pos, consumer);
    if (self->is_tap || consumer == self->user_pos) {
        return;
    }
    size_t last = ring_find(self->ring, self->user_pos);
    demand(self->held == 0 && self->is_paced && last > 0 &&
               self->ring->items[last - 1].position == consumer,
           "ring %d: consumer_pos %" PRIu64 " with user_pos %" PRIu64 " (%zu held, paced %d)",
           self->ring->number, consumer, self->user_pos, self->held, self->is_paced);
}

#define same(name, value)                                                                          \
    demand(stats.name == (value), "ring %d: " #name " is %" PRIu64 ", not %" PRIu64,               \
           self->ring->number, stats.name, (uint64_t)(value))

static void view_check(sim_view *self) {
    const rbcore_ring_stats stats = view_stats(self);
    const sim_ring *ring = self->ring;
    check_paces(self, &stats);
    same(cookie, self->cookie);
    same(first_ring, self->index);
    same(reader_pid, ring->reader != NULL ? (uint64_t)getpid() : 0);
    same(ring_size, ring->size);
    same(start_pos, self->start_pos);
    same(read_pos, self->read_pos);
    same(records, self->records);
    same(bytes, self->bytes);
    same(discards, self->discards);
    same(abandoned, self->abandoned);
    same(skipped, self->skipped);
    same(passed_bytes, self->passed);
    same(lost_bytes, self->lost);
    same(producer_pos, ring->producer_pos);
    same(lost, ring->lost);
    uint64_t waiting = ring->producer_pos - self->read_pos;
    same(bytes_waiting, waiting < ring->size ? waiting : ring->size);
    demand(stats.start_pos + self->handed + stats.passed_bytes + stats.lost_bytes == stats.read_pos,
           "start_pos + handed out + passed + lost is not read_pos");
    demand(stats.high_water <= ring->size, "high_water is more than the ring has");
    check_user_pos(self, &stats);
    check_consumer_pos(self, &stats);
}
#undef same

#define same(name, value)                                                                          \
    demand(stats.name == (value), "reader %d: " #name " is %" PRIu64 ", not %" PRIu64,             \
           self->number, stats.name, (uint64_t)(value))

void reader_check(sim_reader *self) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        if (self->views[i].ring != NULL && !self->views[i].is_removed) {
            view_check(&self->views[i]);
        }
    }
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    int error = rbcore_reader_stats_get(self->handle, &stats);
    demand(error == 0, "stats_get: %d", error);
    same(records, self->records);
    same(bytes, self->bytes);
    same(discards, self->discards);
    same(batches, self->batches);
    same(rings, reader_rings(self));
    demand(stats.commits >= self->commits, "commits went back");
    self->commits = stats.commits;
    self->moved = false;
}

/* ---- Coming and going ---- */

/* LATEST skips all that is complete. */
static void skip_to_latest(sim_view *self, const rbcore_ring_stats *stats) {
    const sim_ring *ring = self->ring;
    sim_gap gap = gap_of(self, stats);
    jump_gap(self, &gap);
    while (self->at < ring->count &&
           (ring->items[self->at].state == SUBMITTED || ring->items[self->at].state == DISCARDED)) {
        const sim_item *item = &ring->items[self->at++];
        self->skipped++;
        self->passed += span_of(item->size);
        self->read_pos = end_of_item(item);
    }
}

void view_open(sim_view *self, unsigned index, const rbcore_source *source) {
    sim_ring *ring = self->ring;
    demand(index == self->reader->next_index, "index %u, not %u", index, self->reader->next_index);
    self->reader->next_index = index + 1;
    self->index = index;
    self->is_tap = source->flags & RBCORE_SOURCE_TAP;
    self->cookie = source->cookie;
    self->start_pos = self->is_tap ? ring_consumer_pos(ring) : ring->left_at;
    self->read_pos = self->user_pos = self->user_before = self->start_pos;
    self->sound_before = view_sound_pos(self);
    self->at = ring_find(ring, self->start_pos);
    self->is_fresh = true;
    ring->users++;
    if (!self->is_tap) {
        ring->reader = self;
    }
    if (source->flags & RBCORE_SOURCE_LATEST) {
        const rbcore_ring_stats stats = view_stats(self);
        skip_to_latest(self, &stats);
    }
}

void view_close(sim_view *self) {
    if (!self->is_tap) {
        self->ring->left_at = self->held == 0 ? self->read_pos : self->user_pos;
        self->ring->reader = NULL;
    }
    self->ring->users--;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *other = &self->reader->views[i];
        other->overtaken &= ~(1u << (self - self->reader->views)); /* the next here is another */
    }
    *self = (sim_view){.reader = self->reader};
}
