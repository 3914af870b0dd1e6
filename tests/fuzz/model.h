/* SPDX-License-Identifier: MIT */
/*
 * The model of what a reader must find in a ring: a slow parser of a ring's image, written after
 * the kernel's Documentation/bpf/ringbuf.rst and the public header, with no line in common with the
 * library.
 */
#ifndef RBCORE_FUZZ_MODEL_H
#define RBCORE_FUZZ_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_HELD_MAX 512 /* records that fit into a ring of a page, 8 bytes each */

typedef struct model_record {
    uint64_t position;
    uint32_t size;
} model_record;

typedef struct model {
    const uint8_t *image; /* consumer page, producer page, data, once */
    uint64_t page_size;
    uint64_t ring_size;
    uint64_t read_pos;
    uint64_t user_pos;
    uint64_t records, bytes, discards, abandoned, skipped;
    bool broken;
    size_t held_count; /* handed out and not given back, in order of position */
    model_record held[MODEL_HELD_MAX];
} model;

/* A result for which several answers are right: any but records. */
#define MODEL_NO_RECORDS (-100000)

/* Opens the ring; with latest, skips what is complete. Returns 0 or -EBADMSG. */
int model_open(model *self, bool latest);

/* Reads up to max records into out. Returns as rbcore_reader_read does, or MODEL_NO_RECORDS. */
int model_read(model *self, model_record *out, int max);

/* The position up to which space can have been given back, with these records held. */
uint64_t model_first_held(const model *self);

/* Gives back the i-th held record, in any order. */
void model_release(model *self, size_t i);

/* A byte of a record's data. */
uint8_t model_byte(const model *self, const model_record *record, uint32_t i);

/* The length word of the header at a position. */
uint32_t model_length(const model *self, uint64_t position);

uint64_t model_consumer_pos(const model *self);
uint64_t model_producer_pos(const model *self);

#endif
