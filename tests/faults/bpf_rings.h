/* SPDX-License-Identifier: MIT */
/*
 * These are rings of the kernel, made by bpf(2) alone: this program has its own way of calling
 * everything.
 */
#ifndef RBCORE_TESTS_BPF_RINGS_H
#define RBCORE_TESTS_BPF_RINGS_H

#include <stddef.h>
#include <stdint.h>

#define USER_RINGBUF 31 /* BPF_MAP_TYPE_USER_RINGBUF, which old headers lack */

/* This is a ring with a program that writes 8 bytes into it. */
typedef struct bpf_ring {
    int map, program, losses;
} bpf_ring;

/* Why there are no rings of the kernel here, or NULL. */
const char *bpf_is_missing(void);

bpf_ring bpf_ring_open(size_t size);
void bpf_ring_emit(const bpf_ring *self, uint64_t value);
void bpf_ring_close(const bpf_ring *self);

int bpf_map_of_type(uint32_t type, uint32_t key, uint32_t value, uint32_t entries);
uint32_t bpf_map_number(int map);

/* Mounts a file system for pins, for this process only. Returns NULL if that cannot be. */
const char *bpf_folder(void);
void bpf_pin(int map, const char *path);

#endif
