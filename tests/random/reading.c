/* SPDX-License-Identifier: MIT */
/* Reading in its four forms, and what is asked of a reader meanwhile. */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RECORDS 512
#define MAX_SPANS 64

sim_reader *any_reader(void) {
    unsigned first = roll(READERS);
    for (unsigned i = 0; i < READERS; i++) {
        sim_reader *self = &the_world.readers[(first + i) % READERS];
        if (self->references > 0) {
            return self;
        }
    }
    return NULL;
}

/* ---- A look, and what it may return ---- */

typedef enum look_kind { READ, LOOK, NEXT, SPANS } look_kind;
static const char *const kind_names[] = {"read", "look", "next", "next_spans"};

typedef struct sim_look {
    look_kind kind;
    size_t max, max_spans;
    int64_t timeout;
    rbcore_record records[MAX_RECORDS];
    size_t count;
    bool is_full, was_behind_dead, may_pace;
    int64_t elapsed;
    uint64_t discards_before;
} sim_look;

static void expand_spans(sim_look *self, const rbcore_span *spans, int n) {
    for (int i = 0; i < n; i++) {
        const rbcore_span *span = &spans[i];
        demand(span->stride == span_of(span->size) && span->count > 0, "an impossible span");
        for (uint32_t j = 0; j < span->count; j++) {
            demand(self->count < self->max, "more records than were asked for");
            uint16_t first_only = j > 0 ? RBCORE_RECORD_LOST_BEFORE : 0;
            self->records[self->count++] = (rbcore_record){
                .data = (const unsigned char *)span->data + (size_t)j * span->stride,
                .position = span->position + (uint64_t)j * span->stride,
                .size = span->size,
                .ring = span->ring,
                .flags = span->flags & (uint16_t)~first_only};
        }
    }
    self->is_full = self->count == self->max || (size_t)n == self->max_spans;
}

static int call_look(sim_reader *reader, sim_look *self) {
    rbcore_span spans[MAX_SPANS];
    calling("%s(reader %d, max %zu/%zu, timeout %" PRId64 ")", kind_names[self->kind],
            reader->number, self->max, self->max_spans, self->timeout);
    int64_t start = self->timeout > 0 ? now_ns() : 0;
    int n = self->kind == READ   ? rbcore_reader_read(reader->handle, self->records, self->max)
            : self->kind == LOOK ? rbcore_reader_look(reader->handle, self->records, self->max)
            : self->kind == NEXT
                ? rbcore_reader_next(reader->handle, self->records, self->max, self->timeout)
                : rbcore_reader_next_spans(reader->handle, spans, self->max_spans, self->max,
                                           self->timeout);
    self->elapsed = self->timeout > 0 ? now_ns() - start : 0;
    returned(n);
    if (n > 0 && self->kind == SPANS) {
        expand_spans(self, spans, n);
    } else if (n > 0) {
        self->count = (size_t)n;
        demand(self->count <= self->max, "more records than were asked for");
        self->is_full = self->count == self->max;
    }
    return n;
}

static bool may_be_paced(const sim_look *self, const sim_view *view, bool was_paced) {
    return self->kind >= NEXT && (was_paced || view->is_paced);
}

/* ---- Flush ---- */

static void notice_flush(sim_reader *self) {
    self->is_flushing = false;
    self->flush_noticed = true;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        self->flush_pos[i] = self->views[i].ring == NULL ? 0 : self->views[i].ring->producer_pos;
    }
}

/* Whether a record that was produced before the flush was noticed can be had, and was not. */
static bool flush_is_early(const sim_reader *self) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        const sim_view *view = &self->views[i];
        if (view->ring == NULL || view->is_removed || view->read_pos >= self->flush_pos[i]) {
            continue;
        }
        if (view_is_overtaken(view) && view_sound_pos(view) >= self->flush_pos[i]) {
            continue;
        }
        if (view_must_come(view) || view_has_record_behind_dead(view)) {
            return true;
        }
    }
    return false;
}

/* ---- What a look leaves behind ---- */

/* Discarded records are a turn as well. */
static bool had_turn(const sim_view *self) {
    return self->was_served || (self->ring != NULL && self->read_pos != self->read_before);
}

/* No ring has a second turn before every other ring with data had one. */
static void check_turns(sim_reader *self, const sim_look *look) {
    unsigned served = 0;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *view = &self->views[i];
        served |= view->was_served ? 1u << i : 0;
    }
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *view = &self->views[i];
        bool waits = view->ring != NULL && !view->is_removed && view->had_news && !had_turn(view) &&
                     !(look->kind >= NEXT && look->may_pace) && look->count > 0;
        if (!waits) {
            bool stays = look->count == 0 && view->had_news && !had_turn(view);
            view->overtaken = stays ? view->overtaken : 0;
            continue;
        }
        demand((view->overtaken & served) == 0, "ring %d had a second turn before ring %d had one",
               self->views[__builtin_ctz(view->overtaken & served)].ring->number,
               view->ring->number);
        view->overtaken |= served;
    }
}

/* All records that can be had must have been handed out, or skipped. */
static void check_nothing_left(const sim_reader *self, const sim_look *look, const bool *was_paced,
                               int result) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        const sim_view *view = &self->views[i];
        if (view->ring == NULL || may_be_paced(look, view, was_paced[i])) {
            continue;
        }
        bool skips = look->kind != LOOK && result == 0; /* what dead producers left */
        /* Or a copy that has passed discarded records has room, or goes on elsewhere, only now. */
        bool has_turn_behind = view_is_copy(view) && had_turn(view) && !view->was_served;
        bool is_excused = !skips && (view_may_be_behind_dead(view) || has_turn_behind);
        demand(is_excused || !view_must_come(view) || view_must_wait_its_turn(view),
               "the complete record at %" PRIu64 " of ring %d is left",
               view->ring->items[view->at].position, view->ring->number);
        demand(!skips || !view_is_behind_dead(view),
               "ring %d: what a dead producer left is not skipped", view->ring->number);
    }
}

/* From now on a record that becomes due makes the descriptor readable. */
static void arm(sim_reader *self) {
    self->is_armed = true;
    self->was_woken = false;
    self->armed_moment = next_moment();
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *view = &self->views[i];
        if (view->ring != NULL && !view->is_removed) {
            bool lags = view->is_tap && ring_consumer_pos(view->ring) != view->read_pos;
            view->armed_at = view->at;
            view->armed_by_timer =
                view->is_paced || view->held > 0 || lags || self->flags & RBCORE_READER_POLL;
        }
    }
}

static void note_arming(sim_reader *self, const sim_look *look, int result) {
    for (unsigned i = 0; i < VIEWS_MAX && (look->kind != LOOK || result != 0); i++) {
        self->views[i].is_fresh = false;
    }
    if (result == 0 && look->kind != LOOK) {
        arm(self);
    } else if (result != 0) {
        self->is_armed = false;
    }
    for (unsigned i = 0; i < VIEWS_MAX && self->is_armed; i++) {
        self->views[i].armed_at = self->views[i].at;
    }
}

/* Checks a result that is no count: what it must be, or may be. */
static void judge_error(sim_reader *self, const sim_look *look, int result) {
    switch (result) {
    case -ENODATA:
        demand(self->flush_noticed, "-ENODATA without a flush");
        demand(!flush_is_early(self), "-ENODATA, but not all that was produced was delivered");
        self->flush_noticed = false;
        break;
    case -EAGAIN:
        demand(look->was_behind_dead, "-EAGAIN for nothing");
        break;
    case -ENOBUFS:
        demand(!reader_is_release(self) && self->turns >= 1024, "-ENOBUFS with few turns");
        break;
    default:
        demand(result >= 0, "%s is %d: %s", kind_names[look->kind], result,
               rbcore_reader_message(self->handle));
    }
}

/* An answer to what was asked comes before all records. Returns whether it came. */
static bool judge_asked(sim_reader *self, int result) {
    if (self->is_shut_down) {
        demand(result == -ESHUTDOWN, "not -ESHUTDOWN");
        return true;
    }
    if (self->is_interrupted) {
        demand(result == -ECANCELED, "not -ECANCELED");
        self->is_interrupted = false;
        return true;
    }
    if (self->is_flushing) {
        notice_flush(self);
    }
    return false;
}

static void judge(sim_reader *self, sim_look *look, const bool *was_paced, int result) {
    if (judge_asked(self, result)) {
        note_arming(self, look, result);
        return;
    }
    reader_took(self, look->records, look->count);
    reader_check(self);
    judge_error(self, look, result);
    check_turns(self, look);
    /* (A look may be over before it knows that it was the last.) */
    demand(result != 0 || !self->flush_noticed || look->kind == LOOK,
           "0, but a flush is not answered");
    if (result == 0 || (result > 0 && !look->is_full && self->turns < 1024)) {
        check_nothing_left(self, look, was_paced, result);
    }
    if (result == 0 && look->timeout > 0) {
        bool early = self->returns_on_discards && self->discards != look->discards_before;
        demand(early || look->elapsed >= look->timeout, "0 after %" PRId64 " ns", look->elapsed);
    }
    note_arming(self, look, result);
}

static bool asked(const sim_reader *self) {
    return self->is_interrupted || self->is_shut_down || self->is_flushing || self->flush_noticed;
}

/* Whether a wait without end must come to one. */
static bool must_end(const sim_reader *self) {
    bool ends = asked(self);
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        const sim_view *view = &self->views[i];
        ends = ends ||
               (view->ring != NULL && (view_must_come(view) || view_has_record_behind_dead(view)));
    }
    return ends;
}

static int64_t random_timeout(const sim_reader *self) {
    if (the_world.in_a_batch) {
        return 0;
    }
    if (one_in(3) && must_end(self)) {
        return RBCORE_FOREVER;
    }
    return one_in(6) ? roll(200000) : one_in(200) ? roll(3000000) : 0;
}

static void look_by(sim_reader *self, look_kind kind) {
    sim_look look = {.kind = kind,
                     .max = 1 + roll(one_in(3) ? MAX_RECORDS : 6),
                     .max_spans = kind == SPANS ? 1 + roll(one_in(3) ? MAX_SPANS : 3) : 0,
                     .timeout = kind >= NEXT ? random_timeout(self) : 0,
                     .discards_before = self->discards};
    bool was_paced[VIEWS_MAX] = {false};
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *view = &self->views[i];
        if (view->ring != NULL) {
            view->user_before = view->user_pos;
            view->had_news = view_must_come(view) && !view_may_be_behind_dead(view);
            was_paced[i] = view->is_paced;
            view->sound_before = view_sound_pos(view);
            view->read_before = view->read_pos;
            look.was_behind_dead |= view_may_be_behind_dead(view);
        }
    }
    int result = call_look(self, &look);
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        look.may_pace |= self->views[i].ring != NULL && was_paced[i];
    }
    judge(self, &look, was_paced, result);
}

static bool has_room(const sim_reader *self) {
    return self->held_count + MAX_RECORDS <= HELD_MAX;
}

bool look_at(sim_reader *self) {
    if (!has_room(self)) {
        return false;
    }
    look_by(self, (look_kind)roll(3));
    return true;
}

bool read_records(void) {
    sim_reader *self = any_reader();
    return self != NULL && look_at(self);
}

bool read_spans(void) {
    sim_reader *self = any_reader();
    if (self == NULL || !has_room(self)) {
        return false;
    }
    if (reader_is_release(self)) {
        rbcore_span span;
        calling("next_spans(reader %d, which releases)", self->number);
        int result = returned(rbcore_reader_next_spans(self->handle, &span, 1, 1, 0));
        demand(result == -EINVAL, "not refused");
        return true;
    }
    look_by(self, SPANS);
    return true;
}

bool read_wrongly(void) {
    sim_reader *self = any_reader();
    if (self == NULL) {
        return false;
    }
    rbcore_record record;
    rbcore_span span;
    calling("read, look, next, next_spans(reader %d) of nothing", self->number);
    demand(rbcore_reader_read(self->handle, NULL, 1) == -EINVAL, "not refused");
    demand(rbcore_reader_read(self->handle, &record, 0) == -EINVAL, "not refused");
    demand(rbcore_reader_look(self->handle, &record, 0) == -EINVAL, "not refused");
    demand(rbcore_reader_next(self->handle, &record, 0, 0) == -EINVAL, "not refused");
    demand(rbcore_reader_next(self->handle, &record, 1, -2) == -EINVAL, "not refused");
    demand(rbcore_reader_next_spans(self->handle, &span, 0, 1, 0) == -EINVAL, "not refused");
    demand(rbcore_reader_next_spans(self->handle, &span, 1, 0, 0) == -EINVAL, "not refused");
    demand(rbcore_reader_read(NULL, &record, 1) == -EINVAL, "not refused");
    reader_check(self);
    return true;
}

bool ask(void) {
    sim_reader *self = any_reader();
    if (self == NULL) {
        return false;
    }
    unsigned what = one_in(60) ? 2 : roll(2);
    static const char *const names[] = {"interrupt", "flush", "shutdown"};
    calling("%s(reader %d)", names[what], self->number);
    int result = returned(what == 0   ? rbcore_reader_interrupt(self->handle)
                          : what == 1 ? rbcore_reader_flush(self->handle)
                                      : rbcore_reader_shutdown(self->handle));
    demand(result == 0, "not 0");
    self->is_interrupted |= what == 0;
    self->is_flushing |= what == 1;
    self->is_shut_down |= what == 2;
    self->was_woken = true;
    return true;
}

/* ---- The descriptor ---- */

/* Whether a producer has woken the reader since it was armed. */
static bool was_woken_by_producer(const sim_reader *reader, const sim_view *self) {
    const sim_ring *ring = self->ring;
    for (size_t i = self->armed_at; i < ring->count; i++) {
        const sim_item *item = &ring->items[i];
        bool is_new = item->finished_at > reader->armed_moment &&
                      (item->state == SUBMITTED || item->state == DISCARDED);
        bool is_next = i == self->armed_at && !(item->flags & RBCORE_NO_WAKEUP);
        if (is_new && (is_next || item->flags & RBCORE_FORCE_WAKEUP)) {
            return true;
        }
    }
    return false;
}

/* Whether the descriptor must be readable: 0: no, 1: soon, 2: now. */
static int readiness_of(const sim_reader *reader, const sim_view *self) {
    bool has_record = view_must_come(self) || view_has_record_behind_dead(self);
    if (self->is_fresh && has_record) {
        return 1;
    }
    if (!reader->is_armed || self->is_fresh) {
        return 0;
    }
    if (!self->armed_by_timer && was_woken_by_producer(reader, self)) {
        /* The kernel wakes by an interrupt, and what a snapshot consumed is not waited for. */
        return self->ring->is_kernel ? self->read_pos != self->ring->producer_pos : 2;
    }
    return (self->armed_by_timer && has_record) || view_has_record_behind_dead(self);
}

bool wait_by_fd(void) {
    sim_reader *self = any_reader();
    if (self == NULL || !one_in(2)) {
        return false;
    }
    int due = self->is_armed && self->was_woken ? 2 : 0;
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        sim_view *view = &self->views[i];
        if (view->ring != NULL && !view->is_removed) {
            view->user_before = view->user_pos;
            int of_ring = readiness_of(self, view);
            due = of_ring > due ? of_ring : due;
        }
    }
    struct pollfd fd = {.fd = rbcore_reader_fd(self->handle), .events = POLLIN};
    calling("poll(reader %d%s)", self->number, due == 2 ? ", now" : due == 1 ? ", soon" : "");
    int n = returned(poll(&fd, 1, due == 1 ? WATCHDOG_MS : 0));
    demand(due == 0 || n == 1, "the descriptor does not become readable");
    return true;
}

/* ---- Statistics and texts ---- */

/* A ring is looked at without its readers: whether it has one, and what they gave back. */
static void look_at_ring(const sim_ring *ring) {
    rbcore_source source = memory_source(ring);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    source.cookie = roll(1000);
    calling("source_ring_stats(ring %d)", ring->number);
    demand(returned(rbcore_source_ring_stats(&source, &stats)) == 0, "not 0");
    uint64_t consumer = ring_consumer_pos(ring), waiting = ring->producer_pos - consumer;
    demand(stats.cookie == source.cookie && stats.ring_size == ring->size, "another ring");
    demand(stats.producer_pos == ring->producer_pos && stats.consumer_pos == consumer,
           "positions %" PRIu64 ", %" PRIu64, stats.producer_pos, stats.consumer_pos);
    demand(stats.bytes_waiting == (waiting < ring->size ? waiting : ring->size),
           "%" PRIu64 " bytes wait", stats.bytes_waiting);
    demand(stats.lost == ring->lost, "%" PRIu64 " records lost", stats.lost);
    demand(stats.reader_pid == (ring->reader != NULL ? (uint64_t)getpid() : 0),
           "process %" PRIu64 " has it", stats.reader_pid);
    demand(stats.flags == 0 && stats.records == RBCORE_UNKNOWN, "more is known");
}

bool look_at_rings(void) {
    const sim_ring *ring = &the_world.rings[roll(RINGS)];
    if (!ring->exists || ring->is_kernel) {
        return false;
    }
    look_at_ring(ring);
    return true;
}

bool look_at_statistics(void) {
    sim_reader *self = any_reader();
    if (self == NULL) {
        return false;
    }
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    unsigned index = one_in(2) ? self->next_index : RBCORE_RINGS_MAX + roll(1000);
    calling("ring_stats(reader %d, ring %u, which is none)", self->number, index);
    int result = returned(rbcore_reader_ring_stats(self->handle, index, &stats));
    demand(result == -EINVAL, "not refused");
    stats.size = roll(2) ? sizeof(stats) + 8 * roll(100) : 8 * roll(sizeof(stats) / 8) + 8;
    unsigned char bytes[sizeof(stats) + 800];
    memcpy(bytes, &stats, sizeof(stats.size));
    sim_view *view = any_view(false);
    if (view != NULL) {
        calling("ring_stats of %zu bytes", stats.size);
        result =
            returned(rbcore_reader_ring_stats(view->reader->handle, view->index, (void *)bytes));
        demand(result == 0, "not 0");
    }
    demand(rbcore_reader_message(self->handle) != NULL, "no message");
    demand(rbcore_strerror(-(int)roll(200)) != NULL, "no text");
    demand(rbcore_version() == RBCORE_VERSION, "another version");
    demand(rbcore_supports(RBCORE_FEATURE_MEMORY_RING) == 1, "no memory rings");
    demand(rbcore_supports(1u << 31) == 0, "an unknown feature");
    reader_check(self);
    return true;
}
