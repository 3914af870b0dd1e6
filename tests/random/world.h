/* SPDX-License-Identifier: MIT */
/* The objects that exist at a moment, and the calls that are made on them. */
#ifndef RBCORE_TESTS_RANDOM_WORLD_H
#define RBCORE_TESTS_RANDOM_WORLD_H

#include "model.h"

#define RINGS 4
#define PRODUCERS 8
#define READERS 4
#define SNAPSHOTS 3

typedef struct sim_world {
    sim_ring rings[RINGS];
    sim_producer producers[PRODUCERS];
    sim_reader readers[READERS];
    /* Whatever is called while a batch is half written may not produce. */
    bool in_a_batch;
} sim_world;

extern sim_world the_world;

/* Each makes one call or a few, checks what they return, and returns false where there is nothing
 * to call. */
typedef bool operation(void);

/* producing.c */
operation create_ring, drop_ring, open_producer, free_producer, reserve, finish, output,
    produce_wrongly, open_wrongly;
sim_producer *any_producer(void);
rbcore_source memory_source(const sim_ring *ring);
uint32_t random_size(const sim_ring *ring);
uint32_t random_wakeup(const sim_ring *ring);
extern const uint32_t wakeups[4];

/* batches.c */
operation output_batch, die_in_a_child;

/* reading.c */
operation open_reader, open_reader_wrongly, read_records, read_spans, read_wrongly, ask, wait_by_fd,
    look_at_statistics, look_at_rings;
sim_reader *any_reader(void);
bool look_at(sim_reader *self); /* what a tap can do while a batch is half written */

/* adding.c */
operation add_ring, add_wrongly, visit_rings, remove_ring, reference_reader, free_reader;
void drop_reader(sim_reader *self);
sim_view *any_view(bool removed_as_well);

/* giving_back.c */
operation commit, commit_wrongly, release, release_wrongly;
bool is_held(const sim_reader *self, const rbcore_record *record);
const rbcore_record *any_stale(void); /* given back, or NULL */
void release_everything(sim_reader *self);

/* describing.c */
operation describe_records, describe_wrongly;

/* snapshots.c */
operation take_snapshot, read_snapshot, rewind_snapshot, free_snapshot, save_and_load,
    snapshot_wrongly;
void snapshots_drop(void);

/* kernel.c, or kernel_missing.c where BPF programs cannot be built */
const char *kernel_missing(void);
void kernel_create_ring(sim_ring *self, uint64_t size);
void kernel_drop_ring(sim_ring *self);
/* A record by a BPF program: 0 or -EAGAIN. */
int kernel_emit(sim_ring *self, uint32_t size, uint32_t offset, uint32_t flags, bool discard);
operation user_ring;
void user_ring_drop(void);

#endif
