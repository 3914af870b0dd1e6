/* SPDX-License-Identifier: MIT */
/*
 * The model of what must come out: a ring is the list of all records that were ever reserved in it,
 * and a view (one ring of one reader) a place in that list, with sums. It knows nothing of how the
 * library does it; of the ring's memory it only reads consumer_pos, which tells how much room there
 * is.
 */
#ifndef RBCORE_TESTS_RANDOM_MODEL_H
#define RBCORE_TESTS_RANDOM_MODEL_H

#include "driver.h"

#include <rbcore/rbcore.h>
#include <stddef.h>

/* Data of a record is a window of these bytes. */
#define RECORD_MAX 65536
#define PATTERN_SIZE (2 * RECORD_MAX)
extern unsigned char pattern[PATTERN_SIZE];
void pattern_fill(void);

/* ---- Rings ---- */

typedef enum sim_state { RESERVED, SUBMITTED, DISCARDED, DEAD } sim_state;

typedef struct sim_item {
    uint64_t position;
    uint32_t size, offset; /* of its data in the pattern */
    sim_state state;       /* DEAD: nobody will finish it any more */
    uint32_t flags;        /* with which it was finished */
    uint64_t finished_at;  /* that moment; 0: not, or by nobody */
} sim_item;

typedef struct sim_ring {
    bool exists, is_kernel, overwrites, is_quiet;
    int number; /* for the log */
    int memory_fd, event_fd, map_fd, loss_fd;
    uint64_t size, producer_pos, overwrite_pos;
    sim_item *items;
    size_t count, room;
    size_t oldest;  /* the item at overwrite_pos */
    size_t pending; /* all items before are finished */
    uint64_t lost;
    struct sim_view *reader; /* which has it, other than taps */
    uint64_t left_at;        /* where the last one stopped */
    unsigned users;          /* views and producers */
    const uint64_t *page;    /* consumer_pos, in a mapping of our own */
    const uint64_t *produced;
    size_t page_size;
    void *programs;     /* of a ring of the kernel */
    uint64_t batch_end; /* while a batch is being written: up to there at most */
} sim_ring;

uint64_t end_of_item(const sim_item *item);

void ring_map(sim_ring *self, int fd);
void ring_forget(sim_ring *self);

/* The positions in the ring's memory. */
uint64_t ring_consumer_pos(const sim_ring *self);
uint64_t ring_producer_pos(const sim_ring *self);
uint64_t ring_overwrite_pos(const sim_ring *self);

/* Returns what a reserve of a record must return; the record is in the list then. */
int ring_reserve(sim_ring *self, uint32_t size, size_t *index);
/* Whether there is room for a record behind so many bytes of the same batch: 0 or an error. */
int ring_room(sim_ring *self, uint64_t before, uint32_t size);
/*
 * Does what a producer without room does in overwrite mode; returns 0 if another try is worth it.
 */
int ring_clear_the_way(sim_ring *self);
/* Notes a record for which there is room, and what is overwritten by it. */
size_t ring_append(sim_ring *self, uint32_t size, sim_state state);
void ring_finish(sim_ring *self, size_t index, sim_state state, uint32_t flags);
/* The place of the item at a position, which exists or is the end. */
size_t ring_find(const sim_ring *self, uint64_t position);
/* Compares the positions in the ring's memory with those of the model. */
void ring_check(const sim_ring *self);

/* ---- Producers ---- */

#define RESERVED_MAX 12

typedef struct sim_producer {
    rbcore_producer *handle;
    sim_ring *ring;
    int number;
    size_t count;
    size_t items[RESERVED_MAX];
    void *data[RESERVED_MAX];
} sim_producer;

/* ---- Readers ---- */

#define VIEWS_MAX 8
#define HELD_MAX 8192

/* A call takes at most this part of a ring, or one record. */
#define TURN_PART 4

typedef struct sim_view {
    struct sim_reader *reader;
    sim_ring *ring; /* NULL: this place is free */
    unsigned index;
    bool is_tap, is_removed;
    uint64_t cookie;
    size_t at; /* the next item */
    uint64_t start_pos, read_pos, user_pos, handed, passed, lost;
    uint64_t sound_before;             /* where it would have gone on before the call that runs */
    uint64_t read_before, user_before; /* read_pos and user_pos before it */
    uint64_t records, bytes, discards, abandoned, skipped;
    size_t held;
    bool is_loss_untold; /* the next record must say that some before it were lost */
    bool is_paced;       /* as its statistics said after the last call */
    unsigned overtaken;  /* views that had a turn since this one had data: a bit each */
    bool had_news;       /* before the call that runs */
    bool was_served;     /* by it */
    bool is_fresh;       /* added, and not read since */
    size_t armed_at;     /* the next item when the reader was armed */
    bool armed_by_timer; /* then nobody wakes it: the timer does */
} sim_view;

/* A record that was handed out, and of which view. */
typedef struct sim_held {
    rbcore_record record;
    sim_view *view;
} sim_held;

typedef struct sim_reader {
    rbcore_reader *handle; /* NULL: none */
    int number;
    uint32_t flags;
    bool returns_on_discards;
    int64_t max_latency_ns;
    unsigned references; /* 0: freed, and records are held */
    bool is_interrupted, is_flushing, is_shut_down;
    bool is_armed; /* the last look returned 0 */
    uint64_t armed_moment;
    bool was_woken; /* by interrupt, flush or shutdown since */
    uint64_t flush_pos[VIEWS_MAX];
    bool flush_noticed;
    uint64_t records, bytes, discards, batches, commits;
    sim_view views[VIEWS_MAX];
    sim_held *held;
    size_t held_count;
    size_t turns; /* at most so many uncommitted ones */
    unsigned next_index;
    bool moved; /* user_pos of a view, since commits were compared */
} sim_reader;

bool reader_is_release(const sim_reader *self);
bool view_is_copy(const sim_view *self);
unsigned reader_rings(const sim_reader *self);
sim_view *reader_view(sim_reader *self, unsigned index);

/*
 * Whether a read, or without pacing the next look, must hand out a record of it. What a call
 * gives back itself may make room too late for it: so it is room by user_before that counts.
 */
bool view_must_come(const sim_view *self);
/* Whether the record that comes next is the next call's: this one took its part of the ring. */
bool view_must_wait_its_turn(const sim_view *self);
/*
 * Whether what comes next was left by a dead producer: perhaps, if it is overtaken, for what was
 * copied before is still there; surely; and surely with something to hand out behind it.
 */
bool view_may_be_behind_dead(const sim_view *self);
bool view_is_behind_dead(const sim_view *self);
bool view_has_record_behind_dead(const sim_view *self);

/* Whether what comes next may be overwritten: it goes on elsewhere, unless it was copied before. */
bool view_is_overtaken(const sim_view *self);
/* The position where it goes on then. */
uint64_t view_sound_pos(const sim_view *self);
rbcore_ring_stats view_stats(const sim_view *self);

/* Notes what a call handed out, and compares with what must come. n records of all rings. */
void reader_took(sim_reader *self, const rbcore_record *records, size_t n);
/* Compares all statistics with the sums. */
void reader_check(sim_reader *self);
void view_open(sim_view *self, unsigned index, const rbcore_source *source);
void view_close(sim_view *self);

#endif
