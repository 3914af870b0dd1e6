/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include "consumer.h"
#include "inline.h"
#include "kind.h"
#include "release.h"

#include <errno.h>
#include <limits.h>

/* The discarded records that one call passes at most, so that it ends however many there are. */
#define SKIPS_PER_CALL 65536

/*
 * A reader that finds nothing asks at once whether the producer of an unfinished record died. One
 * whose other rings keep it busy never gets there: it asks after so many scans.
 */
#define BUSY_SCANS_BEFORE_CHECK 1024

static inline void count_batch(rbcore_reader *self, const rbc_scan *scan) {
    rbc_count(&self->records, scan->count);
    rbc_count(&self->bytes, scan->bytes);
    rbc_count(&self->discards, SKIPS_PER_CALL - scan->skips_left);
    rbc_count(&self->batches, scan->count > 0);
}

/* One pass over the rings. */
typedef struct rbc_pass {
    rbc_request *request;
    rbc_scan scan;
    bool only_due;          /* the request is, and there is something that can be left */
    bool is_due;            /* so are paced rings */
    bool has_rest;          /* a ring was left with more */
    const rbc_ring *broken; /* the last one found so */
    bool is_bounded;        /* the bound on discarded records was reached */
    bool turns_are_full;    /* a ring was left out for want of space to note its turn */
} rbc_pass;

void rbc_read_note(rbc_ring *self, const rbc_passed *passed, const rbcore_record *records) {
    if (passed->position == rbc_get(&self->read_pos)) {
        return;
    }
    bool is_release = self->reader->is_release;
    bool nothing_held = !is_release && rbc_get(&self->user_pos) == self->handed_end;
    if (passed->count > 0 && is_release) {
        rbc_release_hold(self, records + passed->first, passed->count);
    }
    atomic_store_explicit(&self->last_pos, passed->last, memory_order_relaxed);
    /* Release: a thread that sees the position (let_go, work_on_releases) sees the bits of the
     * records before it. */
    atomic_store_explicit(&self->read_pos, passed->position, memory_order_release);
    if (passed->count > 0) {
        self->handed_end = passed->end;
        if (self->reader->has_turns) {
            rbc_turns_note(&self->reader->turns, self, self->handed_end);
        }
        /* The record that was held back has done its part: consumer_pos can be that of one that is
         * complete already. */
        if (rbc_ring_is_paced(self)) {
            rbc_consumer_publish(self);
        }
    } else if (is_release) { /* nobody gives back discarded records alone */
        rbc_consumer_pass_released(self);
    } else if (nothing_held) {
        self->handed_end = passed->position;
        rbc_consumer_advance(self, passed->position);
    }
}

/* Skips a record that its dead producer left at the head of the ring. Returns whether it did. */
static bool skip_unfinished(rbc_ring *ring) {
    if (ring->kind->skip_abandoned == NULL) {
        return false;
    }
    rbc_passed passed = {.position = rbc_get(&ring->read_pos)};
    bool skipped = ring->kind->skip_abandoned(ring, &passed);
    rbc_read_note(ring, &passed, NULL);
    return skipped;
}

/* Whether a pass for what is due may leave what is there: the timer has it, and it was empty. */
static bool may_be_left(const rbc_ring *ring) {
    return rbc_ring_may_be_left(ring) && !ring->pace.is_hot;
}

/* Whether a scan would find nothing, as nothing was reserved since the last. */
static inline bool is_drained(rbc_ring *ring) {
    if (!ring->kind->is_in_place || rbc_ring_load_producer_pos(ring) != rbc_get(&ring->read_pos) ||
        atomic_load_explicit(&ring->broken, memory_order_relaxed)) {
        return false;
    }
    ring->head_is_busy = false;
    ring->pace.drained = true;
    return true;
}

/* The first of the rings left, from this one on, that is to be scanned; or NULL. */
static inline rbc_ring *find_ring(rbc_ring *ring, unsigned *left) {
    while (*left > 0 && is_drained(ring)) {
        ring = ring->next;
        (*left)--;
    }
    return *left > 0 ? ring : NULL;
}

static bool can_note_turn(const rbcore_reader *self, const rbc_ring *ring) {
    return !self->has_turns || !rbc_turns_are_full(&self->turns) ||
           rbc_turns_end_with(&self->turns, ring);
}

static void note_odd_end(rbc_pass *pass, const rbc_ring *ring, rbc_scan_end end) {
    pass->is_bounded |= end == RBC_SCAN_BOUND;
    pass->broken = end == RBC_SCAN_BROKEN ? ring : pass->broken;
}

/* The turn of one ring. Returns whether it got anywhere. */
static RBC_INLINE bool take_turn(rbcore_reader *self, rbc_ring *ring, rbc_pass *pass) {
    if (!can_note_turn(self, ring)) {
        pass->turns_are_full |= rbc_ring_has_record(ring);
        return false;
    }
    if (!pass->is_due && may_be_left(ring)) {
        return false;
    }
    const size_t count = pass->scan.count, skips_left = pass->scan.skips_left;
    rbc_passed passed;
    rbc_scan_end end = rbc_ring_scan(ring, &pass->scan, &passed);
    rbc_read_note(ring, &passed, pass->scan.records);
    if (ring->busy_scans >= BUSY_SCANS_BEFORE_CHECK) {
        ring->busy_scans = 0;
        skip_unfinished(ring);
    }
    const size_t found = pass->scan.count - count, skipped = skips_left - pass->scan.skips_left;
    if (found + skipped > 0) {
        rbc_pacing_note(&self->pacing, ring, (uint32_t)(found + skipped));
        /* A ring that has more is judged with that. */
        if (pass->only_due && ring->pace.drained && found > 0 &&
            rbc_pacing_may_judge_ring(&self->pacing, ring)) {
            rbc_pacing_judge_ring(self, ring, &pass->request->clock);
        }
    }
    pass->has_rest |= !ring->pace.drained && end != RBC_SCAN_BROKEN;
    if (end > RBC_SCAN_FULL) {
        note_odd_end(pass, ring, end);
    }
    return found + skipped > 0;
}

/* How many records were found, or spans where they were asked for. */
static int count_of(const rbc_request *request, const rbc_scan *scan) {
    return (int)(request->spans == NULL ? scan->count : request->max_spans - scan->spans_left);
}

/* The result of a pass that found nothing: 0 or an error. */
static RBC_OUT_OF_LINE int result_of_nothing(rbcore_reader *self, const rbc_pass *pass) {
    if (pass->is_bounded) {
        return rbc_reader_fail(self, -EAGAIN, "%d discarded records were passed: call again",
                               SKIPS_PER_CALL);
    }
    if (pass->broken != NULL) {
        return rbc_reader_fail(self, -EBADMSG, "the content of ring %u is impossible",
                               pass->broken->index);
    }
    return pass->turns_are_full
               ? rbc_reader_fail(self, -ENOBUFS, "too many turns are not committed")
               : 0;
}

/* The result of a pass: a count, 0 or an error. */
static inline int result_of(rbcore_reader *self, const rbc_pass *pass) {
    return pass->scan.count > 0 ? count_of(pass->request, &pass->scan)
                                : result_of_nothing(self, pass);
}

static bool has_space(const rbc_scan *scan) {
    return scan->count < scan->max && (scan->spans == NULL || scan->spans_left > 0);
}

static inline rbc_pass begin_pass(const rbcore_reader *self, rbc_request *request) {
    return (rbc_pass){
        .request = request,
        .scan = {.records = request->records,
                 .spans = request->spans,
                 .spans_left = request->max_spans,
                 .max = request->max > INT_MAX ? INT_MAX : request->max,
                 .skips_left = SKIPS_PER_CALL},
        /* A flush wants what is there now. */
        .only_due = request->only_due && self->can_pace && !self->is_flushing,
    };
}

static bool is_due(const rbcore_reader *self, const rbc_pass *pass) {
    return !pass->only_due || self->pacing.timed == 0 ||
           rbc_pacing_is_due(self, &pass->request->clock, pass->scan.max);
}

/* A pass that begins with this ring, which is to be scanned, and ends after so many. */
static RBC_OUT_OF_LINE int pass_from(rbcore_reader *self, rbc_request *request, rbc_ring *ring,
                                     unsigned left) {
    rbc_pass pass = begin_pass(self, request);
    pass.is_due = is_due(self, &pass);
    do {
        bool moved = take_turn(self, ring, &pass);
        self->round.turn = moved ? ring->next : self->round.turn;
        left--;
        ring = find_ring(ring->next, &left);
    } while (ring != NULL && has_space(&pass.scan));
    pass.has_rest |= ring != NULL;
    count_batch(self, &pass.scan);
    self->pacing.has_rest = pass.has_rest;
    if (pass.is_due && !pass.has_rest && pass.scan.count > 0 &&
        (pass.only_due ? rbc_pacing_can_change(&self->pacing) : self->pacing.timed > 0)) {
        rbc_pacing_judge(self, &request->clock, pass.only_due);
    }
    return result_of(self, &pass);
}

int rbc_pass_over_rings(rbcore_reader *self, rbc_request *request) {
    unsigned left = self->round.count;
    rbc_ring *ring = find_ring(self->round.turn, &left);
    if (ring == NULL) {
        self->pacing.has_rest = false;
        return 0;
    }
    return pass_from(self, request, ring, left);
}

int rbc_pass_names_rings(rbcore_reader *self, rbc_request *request) {
    rbc_pass pass = begin_pass(self, request);
    pass.scan.max = INT_MAX; /* of records: the caller reads the rings to their end */
    unsigned left = self->round.count;
    rbc_ring *ring = find_ring(self->round.turn, &left);
    self->pacing.has_rest &= ring != NULL;
    const bool due = ring != NULL && is_due(self, &pass);
    size_t count = 0;
    while (ring != NULL && count < request->max) {
        if ((due || !may_be_left(ring)) && rbc_ring_has_record(ring)) {
            request->rings[count++] = ring->index;
        }
        left--;
        ring = find_ring(ring->next, &left);
    }
    self->round.turn = ring != NULL ? ring : self->round.turn; /* where the next one goes on */
    return (int)count;
}

/*
 * The interval is not judged while rings that were named are read one after the other: it ends for
 * all of them at once, with the next wait.
 */
int rbc_pass_over_one(rbcore_reader *self, rbc_ring *ring, rbc_request *request) {
    if (is_drained(ring)) {
        self->pacing.has_rest = false;
        return 0;
    }
    rbc_idle_end(self, ring);
    rbc_pass pass = begin_pass(self, request);
    pass.is_due = true;
    take_turn(self, ring, &pass);
    count_batch(self, &pass.scan);
    self->pacing.has_rest = pass.has_rest;
    if (!self->is_read_by_ring && !pass.has_rest && pass.scan.count > 0 && self->pacing.timed > 0) {
        rbc_pacing_judge(self, &request->clock, false);
    }
    return result_of(self, &pass);
}

bool rbc_pass_over_the_dead(rbcore_reader *self) {
    const rbc_round *round = &self->round;
    bool skipped = false;
    for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
        skipped |= skip_unfinished(ring);
    }
    return skipped;
}
