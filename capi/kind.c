/* SPDX-License-Identifier: MIT */
#include "kind.h"

#include "abandoned.h"
#include "consumer.h"
#include "shadow.h"

static uint64_t producer_pos_of(rbc_ring *ring) {
    return rbc_ring_load_producer_pos(ring);
}

/*
 * The producers of a ring wake its reader for the record at the consumer position. A tap's own
 * position does not count, so it hears a wakeup only together with the ring's reader.
 */
static bool tap_of_memory_misses_wakeups(rbc_ring *ring) {
    return !rbc_shadow_wakes(ring) || rbc_shadow_waits_for_releases(ring);
}

/* A map asks whether it is ready before it reports a wakeup: the reader may have been quicker. */
static bool tap_of_kernel_misses_wakeups(rbc_ring *ring) {
    (void)ring;
    return true;
}

static bool overwritten_misses_wakeups(rbc_ring *ring) {
    return rbc_shadow_waits_for_releases(ring);
}

#define IN_PLACE                                                                                   \
    .load_positions = rbc_ring_load_positions, .find_end = producer_pos_of,                        \
    .has_record = rbc_consumer_has_record_in_place, .is_in_place = true, .flush_max = 1

/* The ring and its copy may both be full when a flush begins. */
#define THROUGH_A_COPY                                                                             \
    .load_positions = rbc_shadow_load_positions, .find_end = rbc_shadow_refill,                    \
    .end_scan = rbc_shadow_end_scan, .has_record = rbc_shadow_has_record,                          \
    .waits_for_releases = rbc_shadow_waits_for_releases, .flush_max = 2

/*
 * Two things happen without a wakeup, and rarely, so that a look now and then is enough
 * (`is_watched`). A producer of a memory ring is killed between reserve and wakeup: neither its
 * record nor those behind it wake a reader. And the reader of a ring that is tapped takes a record,
 * and gives it back, before the producer has looked whether it is to wake anyone: then it does not,
 * and the tap sleeps on.
 */
#define BY_PROCESSES .skip_abandoned = rbc_abandoned_skip, .is_memory = true, .is_watched = true

static const rbc_kind kernel = {IN_PLACE};
static const rbc_kind kernel_overwritten = {THROUGH_A_COPY,
                                            .misses_wakeups = overwritten_misses_wakeups};
static const rbc_kind kernel_tapped = {THROUGH_A_COPY,
                                       .misses_wakeups = tap_of_kernel_misses_wakeups,
                                       .is_tap = true, .is_watched = true};

static const rbc_kind memory = {IN_PLACE, BY_PROCESSES};
static const rbc_kind memory_overwritten = {THROUGH_A_COPY, BY_PROCESSES,
                                            .misses_wakeups = overwritten_misses_wakeups};
static const rbc_kind memory_tapped = {
    THROUGH_A_COPY, BY_PROCESSES, .misses_wakeups = tap_of_memory_misses_wakeups, .is_tap = true};

const rbc_kind *rbc_kind_of(bool is_memory, bool is_overwrite, bool is_tap) {
    if (is_tap) {
        return is_memory ? &memory_tapped : &kernel_tapped;
    }
    if (is_overwrite) {
        return is_memory ? &memory_overwritten : &kernel_overwritten;
    }
    return is_memory ? &memory : &kernel;
}
