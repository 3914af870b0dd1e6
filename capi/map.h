/* SPDX-License-Identifier: MIT */
/* The few bpf(2) calls that a reader needs. Results are 0 or a new fd, or a negative errno. */
#ifndef RBC_MAP_H
#define RBC_MAP_H

#include "kernel.h"

#include <stdbool.h>
#include <stdint.h>

int rbc_map_open_path(const char *path);
int rbc_map_open_id(uint32_t id);

/*
 * Whether this kernel counts positions in 64 bits, as all of this library does: its own unsigned
 * long has them. A 32-bit process cannot always tell; then the answer is no.
 */
bool rbc_map_positions_are_whole(void);

/* fd is open. -EBADFD: it is no BPF map. */
int rbc_map_get_info(int fd, rbc_map_info *info);

/*
 * The same in half the time; but what it says may be of a program or a link: then
 * rbc_map_is_something_else, and mmap(2) fails.
 */
int rbc_map_get_info_of_any(int fd, rbc_map_info *info);

/* Whether fd is seen to be no BPF map. */
bool rbc_map_is_something_else(int fd);

/* Whether the map is one that rbcore_bpf.h declares to count losses. */
bool rbc_map_counts_losses(const rbc_map_info *info);

/* Sums the lost records over all CPUs. */
int rbc_map_read_losses(int fd, uint64_t *records);

/* 1 if the kernel has ring buffers of this map type with these flags, 0 if not. */
int rbc_map_probe_ring(uint32_t type, uint32_t flags);

#endif
