/* SPDX-License-Identifier: MIT */
/* What the tests of the user ring share: a ring with the BPF program that drains it. */
#ifndef USER_SUPPORT_H
#define USER_SUPPORT_H

#include "support.h"

#include "drain.h"
#include "drain.skel.h"

/* A user ring and the ring for its answers, and who uses them. */
struct user {
    struct drain *bpf;
    rbcore_producer *producer;
    rbcore_reader *reader; /* of the answers */
    size_t size;
};

/* Why the user ring cannot be tested here, or NULL. */
const char *user_ring_missing(void);

/* Rings of these sizes, a producer and a reader. */
struct user open_user(size_t size, size_t answers_size);
void close_user(struct user *user);

int user_fd(const struct user *user);
rbcore_source user_source(const struct user *user);

/* What opening a producer says; frees it again. */
int open_result(const rbcore_source *source);

/* Drains the ring in this thread; returns what the helper returned. */
int64_t drain(const struct user *user);
void drain_with(const struct user *user, struct drain_args *args);

/* Fills memory for a record, of sizeof(struct request) at least. */
void fill_request(void *data, uint32_t producer, uint64_t sequence, uint32_t size);

/* Reserves, fills and submits. Returns what reserve returned. */
int send_request(const struct user *user, uint32_t producer, uint64_t sequence, uint32_t size);

/* Reads the next answer, which is there, and gives it back. */
struct answer next_answer(const struct user *user);
void assert_no_answer(const struct user *user);
void assert_answer(const struct user *user, uint32_t producer, uint64_t sequence, uint32_t size);

/* The ring's positions, in a mapping of the test's own. */
struct positions {
    const uint64_t *consumer;
    uint64_t *producer;
};
struct positions map_positions(const struct user *user);

#endif
