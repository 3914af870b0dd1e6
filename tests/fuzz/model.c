/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <errno.h>
#include <string.h>

/* Bit by bit and byte by byte, so that no mistake of the library's kind can be made here. */
static uint64_t little_endian(const model *self, uint64_t offset, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)self->image[offset + (uint64_t)i] << (8 * i);
    }
    return value;
}

static uint64_t data_offset(const model *self, uint64_t position) {
    return 2 * self->page_size + (position & (self->ring_size - 1));
}

uint64_t model_consumer_pos(const model *self) {
    return little_endian(self, 0, 8);
}

uint64_t model_producer_pos(const model *self) {
    return little_endian(self, self->page_size, 8);
}

uint32_t model_length(const model *self, uint64_t position) {
    return (uint32_t)little_endian(self, data_offset(self, position), 4);
}

uint8_t model_byte(const model *self, const model_record *record, uint32_t i) {
    return self->image[data_offset(self, record->position + 8 + i)];
}

typedef struct header {
    bool busy, discarded, orphaned;
    uint32_t size;
    uint64_t space;
} header;

static header header_at(const model *self, uint64_t position) {
    uint64_t offset = data_offset(self, position);
    uint32_t length = (uint32_t)little_endian(self, offset, 4);
    uint32_t owner = (uint32_t)little_endian(self, offset + 4, 4);
    header h = {.busy = length >> 31, .discarded = length >> 30 & 1};
    h.size = length & 0x3fffffff;
    h.space = 8 + h.size;
    while (h.space % 8) {
        h.space++;
    }
    /* No producer lives while we fuzz: a record that one of this library left is an orphan. */
    h.orphaned = h.busy && (owner >> 30 & 1);
    return h;
}

int model_open(model *self, bool latest) {
    uint64_t consumer = model_consumer_pos(self), producer = model_producer_pos(self);
    self->read_pos = self->user_pos = consumer;
    self->records = self->bytes = self->discards = self->abandoned = self->skipped = 0;
    self->broken = false;
    self->held_count = 0;
    if (consumer % 8 || producer % 8 || producer - consumer > self->ring_size) {
        return -EBADMSG;
    }
    while (latest && self->read_pos != producer) {
        header h = header_at(self, self->read_pos);
        if (h.busy || h.space > producer - self->read_pos) {
            break;
        }
        self->read_pos += h.space;
        self->skipped++;
    }
    self->user_pos = self->read_pos;
    return 0;
}

static bool positions_are_possible(const model *self, uint64_t producer) {
    return producer % 8 == 0 && producer - self->read_pos <= self->ring_size &&
           producer - self->user_pos <= self->ring_size;
}

/* Nothing at the head is ready. It may be an orphan, which is passed for the next read's sake. */
static int pass_orphan(model *self, uint64_t producer) {
    if (self->read_pos == producer) {
        return 0;
    }
    header h = header_at(self, self->read_pos);
    if (!h.orphaned) {
        return 0;
    }
    if (h.space > producer - self->read_pos) {
        return MODEL_NO_RECORDS;
    }
    self->read_pos += h.space;
    self->abandoned++;
    return -EAGAIN;
}

int model_read(model *self, model_record *out, int max) {
    uint64_t producer = model_producer_pos(self);
    if (self->broken) {
        return -EBADMSG;
    }
    if (producer == self->read_pos) {
        return 0;
    }
    if (!positions_are_possible(self, producer)) {
        self->broken = true;
        return -EBADMSG;
    }
    int n = 0;
    const uint64_t begin = self->read_pos;
    while (n < max && self->read_pos != producer) {
        header h = header_at(self, self->read_pos);
        if (h.busy) {
            break;
        }
        if (h.space > producer - self->read_pos) {
            self->broken = true;
            break;
        }
        /* A call takes a quarter of the ring at most, but always one record. */
        if (n > 0 && !h.discarded && self->read_pos + h.space - begin > self->ring_size / 4) {
            break;
        }
        if (h.discarded) {
            self->discards++;
        } else {
            out[n] = (model_record){self->read_pos, h.size};
            self->held[self->held_count++] = out[n++];
            self->records++;
            self->bytes += h.size;
        }
        self->read_pos += h.space;
    }
    if (n > 0) {
        return n;
    }
    return self->broken ? -EBADMSG : pass_orphan(self, producer);
}

uint64_t model_first_held(const model *self) {
    return self->held_count ? self->held[0].position : self->read_pos;
}

void model_release(model *self, size_t i) {
    self->held_count--;
    memmove(&self->held[i], &self->held[i + 1], (self->held_count - i) * sizeof(*self->held));
}
