/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include "by_ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* A batch of fewer records is small: see SMALL_BATCHES in calls.c. */
#define SMALL_BATCH 24

/*
 * A batch ends before the record that would go beyond a quarter of the ring. So of two such batches
 * in a row one has this part of the ring, and is not small, however few its records are.
 */
#define SMALL_PART 8

static bool has_run(const struct ring *self) {
    return self->done < self->run.count;
}

bool batch_is_empty(const struct ring *self) {
    return !has_run(self) && self->next == self->end;
}

static uint64_t end_of(const rbcore_record *record) {
    return record->position + ((uint64_t)record->size + 8 + 7) / 8 * 8;
}

/* A record of the run, with the fields that giving it back needs. */
static rbcore_record record_of_run(const struct ring *self, uint64_t i) {
    const rbcore_span *run = &self->run;
    return (rbcore_record){.data = (const char *)run->data + i * run->stride,
                           .position = run->position + i * run->stride,
                           .size = run->size,
                           .ring = run->ring};
}

/* The end of what was delivered. */
static uint64_t delivered_end(const struct ring *self) {
    return batch_is_empty(self) ? RBC_ALL_OF_IT
           : has_run(self)      ? self->run.position + self->done * (uint64_t)self->run.stride
                                : end_of(&self->records[self->next - 1]);
}

static void give_back(struct ring *self, bool now) {
    rbcore_reader *reader = self->owner->reader;
    self->held = 0;
    if (reader != NULL && (batch_is_empty(self) || self->done + self->next > 0)) {
        rbc_reader_commit_ring(reader, self->index, delivered_end(self), now);
    }
}

void batch_commit(struct ring *self, bool now) {
    rings_lock(self->owner);
    give_back(self, now);
    rings_unlock(self->owner);
}

/* It is noted before callbacks run: one may leave by longjmp. */
void batch_note_left(struct ring *self) {
    const bool has_batch = !batch_is_empty(self);
    if (has_batch != self->has_batch) {
        self->has_batch = has_batch;
        atomic_fetch_add(&self->owner->left, has_batch ? 1 : -1);
    }
}

/* Makes a batch of what a look returned. */
static int take(struct ring *self, int result) {
    self->next = self->done = self->run.count = 0;
    self->end = result > 0 ? (unsigned)result : 0;
    batch_note_left(self);
    return result;
}

void batch_take_run(struct ring *self, int result) {
    self->next = self->end = self->done = 0;
    self->run.count = result > 0 ? self->run.count : 0;
    batch_note_left(self);
}

static int look(struct ring *self) {
    rbcore_reader *reader = self->owner->reader;
    int result = 0;
    do {
        result = reader == NULL ? 0 : rbc_reader_look_at(reader, self->index, self->records, BATCH);
        if (result <= 0) {
            give_back(self, false);
        }
    } while (is_to_repeat(result));
    return result;
}

static bool has_records(struct ring *self) {
    if (self->records == NULL) {
        self->records = malloc(BATCH * sizeof(*self->records));
    }
    return self->records != NULL;
}

/* Fetches what is there, and gives back what has been delivered for it. Makes no system call. */
static int fetch(struct ring *self) {
    if (!has_records(self)) {
        return -ENOMEM;
    }
    rings_lock(self->owner);
    if (self->held >= self->piece_size) {
        give_back(self, false);
    }
    int result = look(self);
    rings_unlock(self->owner);
    return take(self, result);
}

/* Returns how many of the batch's next `most` records complete a piece, or fewer. */
static unsigned piece_of(const struct ring *self, unsigned most) {
    const rbcore_record *first = &self->records[self->next];
    while (most > 1 &&
           self->held + first[most - 1].position - first->position >= self->piece_size) {
        most /= 2;
    }
    return most;
}

/*
 * Delivers the next records of the batch, at most `most`, and counts them. This loop is what a
 * record costs. Callbacks and other threads see of it only that consumer_pos moves. A callback may
 * call us again, and then gets its record once more, as from libbpf. What the inner call has
 * delivered is not delivered again, so the outer one ends. Returns what the last callback returned.
 */
static int deliver_records(struct ring *self, int64_t most, int64_t *count) {
    const unsigned left = self->end - self->next;
    const rbcore_record *const first = &self->records[self->next], *record = first;
    const rbcore_record *const end = first + piece_of(self, left > most ? (unsigned)most : left);
    const ring_buffer_sample_fn handle = self->handle;
    void *const context = self->context;
    const uint64_t entered = self->entered;
    int result;
    do {
        void *data = (void *)(uintptr_t)record->data; /* the callback's type has no const */
        atomic_store_explicit(&self->consumer_pos, record->position, memory_order_relaxed);
        result = handle(context, data, record->size);
        record++;
    } while (result >= 0 && self->entered == entered && record != end);
    *count += record - first;
    if (self->entered == entered) {
        const uint64_t position = end_of(record - 1);
        self->next += (unsigned)(record - first);
        self->held += position - first->position;
        atomic_store_explicit(&self->consumer_pos, position, memory_order_relaxed);
    }
    return result;
}

/* Delivers records of a run, as deliver_records() does. It loads nothing of them but the data. */
static int deliver_run(struct ring *self, int64_t most, int64_t *count) {
    const uint64_t stride = self->run.stride, size = self->run.size;
    const uint64_t piece = (self->piece_size + stride - 1 - self->held) / stride;
    const uint64_t left = self->run.count - self->done;
    const rbcore_record first = record_of_run(self, self->done);
    const uint64_t some = left < piece ? left : piece;
    const uint64_t end = first.position + stride * (some > (uint64_t)most ? (uint64_t)most : some);
    const ring_buffer_sample_fn handle = self->handle;
    void *const context = self->context;
    const uint64_t entered = self->entered;
    char *data = (char *)(uintptr_t)first.data;
    uint64_t position = first.position;
    int result;
    do {
        atomic_store_explicit(&self->consumer_pos, position, memory_order_relaxed);
        result = handle(context, data, size);
        data += stride;
        position += stride;
    } while (result >= 0 && self->entered == entered && position != end);
    const uint64_t delivered = (position - first.position) / stride;
    *count += (int64_t)delivered;
    if (self->entered == entered) {
        self->done += (uint32_t)delivered;
        self->held += position - first.position;
        atomic_store_explicit(&self->consumer_pos, position, memory_order_relaxed);
    }
    return result;
}

static bool is_small_batch(const struct ring *self) {
    const rbcore_record *first = &self->records[self->next], *last = &self->records[self->end - 1];
    return self->end < SMALL_BATCH && end_of(last) - first->position < self->size / SMALL_PART;
}

int64_t batch_deliver(struct ring *self, int64_t most, int64_t small_batches) {
    int64_t count = 0;
    for (;;) {
        if (batch_is_empty(self)) {
            int found = small_batches > 0 ? fetch(self) : 0;
            small_batches -= found <= 0 || is_small_batch(self);
            if (found <= 0) {
                if (self->held > 0) { /* a look that found nothing has given it back */
                    batch_commit(self, false);
                }
                atomic_store_explicit(&self->consumer_pos, AT_COMMIT, memory_order_relaxed);
                return count > 0 ? count : found;
            }
        }
        int result = has_run(self) ? deliver_run(self, most - count, &count)
                                   : deliver_records(self, most - count, &count);
        if (result < 0 || count >= most) {
            return result < 0 ? result : count;
        }
        if (self->held >= self->piece_size && !batch_is_empty(self)) {
            batch_commit(self, false);
        }
    }
}

bool batch_is_drained(const struct ring *self) {
    return atomic_load_explicit(&self->consumer_pos, memory_order_relaxed) == AT_COMMIT;
}

void batch_find_next(struct ring *self) {
    uint64_t position = atomic_load_explicit(&self->consumer_pos, memory_order_relaxed);
    if (has_run(self)) {
        uint64_t done = (position - self->run.position) / self->run.stride;
        self->done = done < self->run.count ? (uint32_t)done : self->done;
        return;
    }
    while (!batch_is_empty(self) && (int64_t)(self->records[self->next].position - position) < 0) {
        self->next++;
    }
}
