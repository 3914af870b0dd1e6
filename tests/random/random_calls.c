/* SPDX-License-Identifier: MIT */
/*
 * random_calls [SEED [CALLS]]: makes calls of the whole ABI, one after the other, chosen by the
 * seed, and compares all that they return with the model. After about a thousand calls everything
 * is freed, and the next seed begins. Without a seed one is chosen; it is printed.
 */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

sim_world the_world;

/* How often each is called, for one step of all. */
typedef struct choice {
    operation *call;
    unsigned weight;
} choice;

static const choice choices[] = {
    {create_ring, 20},
    {drop_ring, 4},
    {open_producer, 15},
    {free_producer, 5},
    {reserve, 60},
    {finish, 60},
    {output, 120},
    {output_batch, 60},
    {produce_wrongly, 2},
    {open_wrongly, 1},
    {die_in_a_child, 6},
    {open_reader, 15},
    {open_reader_wrongly, 1},
    {read_records, 150},
    {read_spans, 40},
    {read_wrongly, 2},
    {ask, 16},
    {wait_by_fd, 60},
    {look_at_statistics, 4},
    {look_at_rings, 6},
    {add_ring, 30},
    {add_wrongly, 2},
    {visit_rings, 5},
    {remove_ring, 25},
    {reference_reader, 3},
    {free_reader, 8},
    {commit, 110},
    {commit_wrongly, 8},
    {release, 90},
    {release_wrongly, 10},
    {describe_records, 30},
    {describe_wrongly, 4},
    {take_snapshot, 20},
    {read_snapshot, 20},
    {rewind_snapshot, 4},
    {free_snapshot, 6},
    {save_and_load, 3},
    {snapshot_wrongly, 2},
    {user_ring, 10},
};

#define CHOICES (sizeof(choices) / sizeof(choices[0]))

static operation *choose(void) {
    static unsigned sum;
    for (size_t i = 0; sum == 0 || (i > 0 && i < CHOICES); i++) {
        sum += choices[i].weight;
    }
    unsigned at = roll(sum);
    size_t i = 0;
    while (at >= choices[i].weight) {
        at -= choices[i++].weight;
    }
    return choices[i].call;
}

/* ---- What stands where ---- */

static void describe_view(const sim_view *self) {
    fprintf(stderr,
            "  ring %d as %u%s%s: from %" PRIu64 " to %" PRIu64 ", given back to %" PRIu64
            ", %zu held, lost %" PRIu64 "%s%s\n",
            self->ring->number, self->index, self->is_tap ? ", tap" : "",
            self->is_removed ? ", removed" : "", self->start_pos, self->read_pos, self->user_pos,
            self->held, self->lost, self->is_paced ? ", paced" : "",
            !self->is_removed && view_must_come(self) ? ", has more" : "");
}

static void describe_ring(const sim_ring *self) {
    static const char *const states[] = {"reserved", "complete", "discarded", "dead"};
    fprintf(stderr,
            "ring %d: %" PRIu64 " bytes%s%s, consumer_pos %" PRIu64 ", producer_pos %" PRIu64,
            self->number, self->size, self->overwrites ? ", overwrite" : "",
            self->is_kernel ? ", kernel" : "", ring_consumer_pos(self), self->producer_pos);
    fprintf(stderr, ", overwrite_pos %" PRIu64 "\n ", self->overwrite_pos);
    for (size_t i = self->count > 20 ? self->count - 20 : 0; i < self->count; i++) {
        const sim_item *item = &self->items[i];
        fprintf(stderr, " %" PRIu64 " %s", item->position, states[item->state]);
    }
    fprintf(stderr, "\n");
}

static void describe(void) {
    for (unsigned i = 0; i < RINGS; i++) {
        if (the_world.rings[i].exists) {
            describe_ring(&the_world.rings[i]);
        }
    }
    for (unsigned i = 0; i < READERS; i++) {
        const sim_reader *self = &the_world.readers[i];
        if (self->handle != NULL) {
            fprintf(stderr, "reader %u: flags %" PRIu32 ", %u references, %zu held\n", i,
                    self->flags, self->references, self->held_count);
        }
        for (unsigned j = 0; j < VIEWS_MAX && self->handle != NULL; j++) {
            if (self->views[j].ring != NULL) {
                describe_view(&self->views[j]);
            }
        }
    }
}

/* ---- One seed ---- */

static void begin(void) {
    memset(&the_world, 0, sizeof(the_world));
    for (int i = 0; i < RINGS; i++) {
        the_world.rings[i].number = i;
    }
    for (int i = 0; i < PRODUCERS; i++) {
        the_world.producers[i].number = i;
    }
    for (int i = 0; i < READERS; i++) {
        the_world.readers[i].number = i;
    }
}

/* All goes; what is held by readers that were freed is released last. */
static void end(void) {
    for (unsigned i = 0; i < READERS; i++) {
        sim_reader *self = &the_world.readers[i];
        while (self->references > 0) {
            drop_reader(self);
        }
        if (self->handle != NULL) {
            release_everything(self);
        }
    }
    snapshots_drop();
    user_ring_drop();
    while (any_producer() != NULL) {
        free_producer();
    }
    for (unsigned i = 0; i < RINGS; i++) {
        sim_ring *ring = &the_world.rings[i];
        if (!ring->exists) {
            continue;
        }
        demand(ring->users == 0, "the model's ring %d has users", ring->number);
        if (ring->is_kernel) {
            kernel_drop_ring(ring);
        } else {
            close(ring->memory_fd);
            close(ring->event_fd);
        }
        ring_forget(ring);
    }
}

static uint64_t run_seed(uint64_t seed) {
    driver_seed(seed);
    begin();
    for (uint64_t most = 200 + roll(1500); calls_made() < most;) {
        driver_step();
        errno = 12345;
        choose()();
    }
    end();
    return calls_made();
}

int main(int count, char **arguments) {
    uint64_t seed = seed_of(count > 1 ? arguments[1] : NULL), made = 0, seeds = 0;
    run_length length =
        run_length_of(count > 2 ? arguments[2] : NULL, "RBCORE_RANDOM_CALLS", 50000);
    driver_start(arguments[0], describe);
    pattern_fill();
    printf("seed %" PRIu64 ", %" PRIu64 " calls\n", seed, length.most);
    const char *missing = kernel_missing();
    if (missing != NULL) {
        printf("skipped: rings of the kernel: %s\n", missing);
    }
    fflush(stdout);
    for (; run_length_has_more(&length, made); seeds++) {
        made += run_seed(seed + seeds);
    }
    printf("%" PRIu64 " calls of %" PRIu64 " seeds\n", made, seeds);
    return 0;
}
