/* SPDX-License-Identifier: MIT */
/* The tests of the user ring share this: a ring with the BPF program that drains it. */
#ifndef USER_SUPPORT_H
#define USER_SUPPORT_H

#include "support.h"

#include "drain.h"
#include "drain.skel.h"

/* A user ring and the ring for its answers, with a producer and a reader. */
typedef struct user_ring {
    struct drain *bpf;
    rbcore_producer *producer;
    rbcore_reader *reader; /* of the answers */
    size_t size;
} user_ring;

/* Why the user ring cannot be tested here, or NULL. */
const char *user_ring_missing(void);

/* Rings of these sizes, a producer and a reader. */
user_ring open_user(size_t size, size_t answers_size);
void close_user(user_ring *user);

int user_fd(const user_ring *user);
rbcore_source user_source(const user_ring *user);

/* Returns the result of opening a producer; frees it again. */
int open_result(const rbcore_source *source);

/* Drains the ring in this thread; returns what the helper returned. */
int64_t drain(const user_ring *user);
void drain_with(const user_ring *user, struct drain_args *args);

/* Fills memory for a record, of sizeof(struct request) at least. */
void fill_request(void *data, uint32_t producer, uint64_t sequence, uint32_t size);

/* Reserves, fills and submits. Returns what reserve returned. */
int send_request(const user_ring *user, uint32_t producer, uint64_t sequence, uint32_t size);

/* Reads the next answer, which is there, and gives it back. */
struct answer next_answer(const user_ring *user);
void assert_no_answer(const user_ring *user);
void assert_answer(const user_ring *user, uint32_t producer, uint64_t sequence, uint32_t size);

/* The ring's positions, in a mapping of the test's own. */
typedef struct positions {
    const uint64_t *consumer;
    uint64_t *producer;
} positions;
positions map_positions(const user_ring *user);

#endif
