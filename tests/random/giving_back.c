/* SPDX-License-Identifier: MIT */
/* Commit and release, of what is held and of what is not; identities of what is held. */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Records that were given back or are of other readers, to be given back wrongly. */
#define STALE 64
static rbcore_record stale[STALE];
static unsigned stale_count;

static void remember(const rbcore_record *record) {
    stale[stale_count++ % STALE] = *record;
}

const rbcore_record *any_stale(void) {
    return stale_count >= STALE ? &stale[roll(STALE)] : NULL;
}

static bool is_same(const rbcore_record *a, const rbcore_record *b) {
    return a->data == b->data && a->position == b->position && a->ring == b->ring;
}

bool is_held(const sim_reader *self, const rbcore_record *record) {
    for (size_t i = 0; i < self->held_count; i++) {
        if (is_same(&self->held[i].record, record)) {
            return true;
        }
    }
    return false;
}

static void forget_held(sim_reader *self, size_t i) {
    sim_view *view = self->held[i].view;
    remember(&self->held[i].record);
    view->held--;
    self->held_count--;
    if (reader_is_release(self)) {
        self->held[i] = self->held[self->held_count];
    }
    if ((view->is_removed || self->references == 0) && view->held == 0) {
        view_close(view);
    }
}

/* ---- Commit ---- */

static void check_now(const sim_reader *self) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        const sim_view *view = &self->views[i];
        if (view->ring != NULL && !view->is_tap) {
            demand(ring_consumer_pos(view->ring) == view->user_pos,
                   "the kernel does not know of the commit of ring %d", view->ring->number);
        }
    }
}

bool commit(void) {
    sim_reader *self = any_reader();
    if (self == NULL || reader_is_release(self)) {
        return false;
    }
    size_t count = self->held_count;
    const rbcore_record *last = NULL;
    if (count > 0 && one_in(2)) {
        count = one_in(2) ? 1 + roll((uint32_t)count) : 1 + roll(count < 8 ? (uint32_t)count : 8);
        last = &self->held[count - 1].record;
    }
    uint32_t flags = one_in(4) ? RBCORE_COMMIT_NOW : 0;
    calling("commit(reader %d, %zu of %zu, %u)", self->number, count, self->held_count, flags);
    int result = returned(rbcore_reader_commit(self->handle, last, flags));
    demand(result == 0, "not 0: %s", rbcore_reader_message(self->handle));
    size_t held = self->held_count;
    for (size_t i = 0; i < count; i++) {
        forget_held(self, i);
    }
    memmove(self->held, self->held + count, (held - count) * sizeof(*self->held));
    self->turns = self->held_count == 0 ? 0 : self->turns;
    reader_check(self);
    if (flags & RBCORE_COMMIT_NOW) {
        check_now(self);
    }
    return true;
}

bool commit_wrongly(void) {
    sim_reader *self = any_reader();
    if (self == NULL) {
        return false;
    }
    if (reader_is_release(self)) {
        calling("commit(reader %d, which releases)", self->number);
        demand(returned(rbcore_reader_commit(self->handle, NULL, 0)) == -EINVAL, "not refused");
        return true;
    }
    calling("commit(reader %d, flags)", self->number);
    int result = returned(rbcore_reader_commit(self->handle, NULL, 2u << roll(31)));
    demand(result == -EINVAL, "not refused");
    const rbcore_record *record = &stale[roll(STALE)];
    if (stale_count >= STALE && !is_held(self, record)) {
        calling("commit(reader %d, a record at %" PRIu64 " that it does not hold)", self->number,
                record->position);
        result = returned(rbcore_reader_commit(self->handle, record, 0));
        demand(result == -EINVAL, "not refused");
    }
    calling("release(reader %d, which commits)", self->number);
    result = returned(rbcore_reader_release(self->handle, record, 1));
    demand(result == -EINVAL, "not refused");
    reader_check(self);
    return true;
}

/* ---- Release ---- */

#define AT_ONCE 16

/* Any reader for release, also one that is freed and lives on for what is held. */
static sim_reader *any_holder(void) {
    unsigned first = roll(READERS);
    for (unsigned i = 0; i < READERS; i++) {
        sim_reader *self = &the_world.readers[(first + i) % READERS];
        if (self->handle != NULL && reader_is_release(self) && self->held_count > 0) {
            return self;
        }
    }
    return NULL;
}

/* Whether a freed reader has gone with its last record. */
static bool is_gone(sim_reader *self) {
    if (self->references > 0 || self->held_count > 0) {
        return false;
    }
    free(self->held);
    *self = (sim_reader){.number = self->number};
    return true;
}

static void release_some(sim_reader *self, size_t max, bool with_wrong_ones) {
    rbcore_record records[AT_ONCE];
    size_t count = 0, wrong = 0;
    bool in_order = one_in(2);
    calling("release(reader %d, up to %zu of %zu)", self->number, max, self->held_count);
    while (count < max && self->held_count > 0) {
        /* The last one of a freed reader ends it: nothing is given back after that. */
        bool is_last = self->held_count == 1 && self->references == 0;
        if (with_wrong_ones && !is_last && count + 1 < max && one_in(3) && stale_count >= STALE) {
            records[count] = stale[roll(STALE)];
            bool is_released_now = false;
            for (size_t i = 0; i < count; i++) {
                is_released_now |= is_same(&records[i], &records[count]);
            }
            if (is_released_now || !is_held(self, &records[count])) {
                wrong++;
                count++;
            }
            continue;
        }
        size_t i = in_order ? 0 : roll((uint32_t)self->held_count);
        records[count++] = self->held[i].record;
        remark("(ring %u at %" PRIu64 ")", self->held[i].record.ring,
               self->held[i].record.position);
        forget_held(self, i);
    }
    int result = rbcore_reader_release(self->handle, records, count);
    remark("release of %zu, %zu of them wrong = %d", count, wrong, result);
    demand(result == (wrong > 0 ? -EINVAL : 0), "not as it should be");
    if (!is_gone(self) && self->references > 0) {
        reader_check(self);
    }
}

bool release(void) {
    sim_reader *self = any_holder();
    if (self == NULL || the_world.in_a_batch) {
        return false;
    }
    release_some(self, 1 + roll(AT_ONCE), false);
    return true;
}

bool release_wrongly(void) {
    sim_reader *self = any_holder();
    if (self == NULL || the_world.in_a_batch) {
        return false;
    }
    release_some(self, 1 + roll(AT_ONCE), true);
    return true;
}

void release_everything(sim_reader *self) {
    while (self->held_count > 0) {
        release_some(self, AT_ONCE, false);
    }
}
