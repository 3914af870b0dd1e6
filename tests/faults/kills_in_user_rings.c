/* SPDX-License-Identifier: MIT */
/*
 * Producers of user rings that are killed or stopped at any instruction. No BPF program drains the
 * ring: what it would find is read here, from the ring's memory.
 */
#include "bpf_rings.h"
#include "points.h"

#include <stdio.h>
#include <sys/mman.h>

/* Records: 40 bytes of one value. What the victim writes, and what others do before and after. */
#define SIZE 40
#define SPAN 48
#define BEFORE 1
#define OF_VICTIM 2
#define LAST 7

typedef struct diary {
    _Atomic unsigned begun, done; /* records of the running call and those before; of ended calls */
    _Atomic int opened;           /* what open returned; NOT_YET before */
} diary;

#define NOT_YET (-9999)

typedef struct way {
    int (*act)(rbcore_producer *producer, diary *diary);
    bool by_open; /* the victim opens and frees its producer behind the curtain */
} way;

typedef struct stage {
    const way *way;
    int map;
    uint8_t *base; /* the producer's page, and the data twice */
    diary *diary;
} stage;

static rbcore_source source_of(const stage *self) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = self->map;
    return source;
}

static uint64_t producer_pos(const stage *self) {
    return image_load((const uint64_t *)(const void *)self->base);
}

/* ---- What the victim does ---- */

static int act_output(rbcore_producer *producer, diary *told) {
    uint8_t made[SIZE];
    memset(made, OF_VICTIM, SIZE);
    told->begun = 1;
    int error = rbcore_producer_output(producer, made, SIZE, 0);
    told->done = 1;
    return error;
}

static int act_submit(rbcore_producer *producer, diary *told) {
    void *data;
    if (rbcore_producer_reserve(producer, &data, SIZE) != 0) {
        return 1;
    }
    memset(data, OF_VICTIM, SIZE);
    told->begun = 1;
    int error = rbcore_producer_submit(producer, data, 0);
    told->done = 1;
    return error;
}

static int act_discard(rbcore_producer *producer, diary *told) {
    void *data;
    (void)told;
    int error = rbcore_producer_reserve(producer, &data, SIZE);
    return error != 0 ? 1 : rbcore_producer_discard(producer, data, 0);
}

static int act_batch(rbcore_producer *producer, diary *told) {
    uint8_t made[SIZE];
    const rbcore_slice slices[] = {{made, SIZE}, {made, SIZE}, {made, SIZE}};
    memset(made, OF_VICTIM, SIZE);
    told->begun = 3;
    int written = rbcore_producer_output_batch(producer, slices, 3, 0);
    told->done = 3;
    return written != 3;
}

static int victim(void *argument) {
    stage *self = argument;
    rbcore_source source = source_of(self);
    rbcore_producer *producer = NULL;
    if (self->way->by_open) {
        curtain();
    }
    self->diary->opened = rbcore_producer_open(&producer, &source);
    if (!self->way->by_open) {
        curtain();
    }
    if (self->diary->opened != 0) {
        return self->diary->opened == -EBUSY ? 0 : 1;
    }
    int error = self->way->act(producer, self->diary);
    rbcore_producer_free(producer);
    return error;
}

/* ---- The ring around it ---- */

static void put(const stage *self, uint8_t value) {
    uint8_t made[SIZE];
    rbcore_source source = source_of(self);
    rbcore_producer *producer = NULL;
    memset(made, value, SIZE);
    int error = rbcore_producer_open(&producer, &source);
    at_point(error == 0, "the next producer");
    ok(rbcore_producer_output(producer, made, SIZE, 0));
    rbcore_producer_free(producer);
}

static size_t mapped_size(void) {
    return 3 * page_size();
}

static void *set_up(const void *argument) {
    static stage self;
    self = (stage){.way = argument};
    self.map = bpf_map_of_type(USER_RINGBUF, 0, 0, (uint32_t)page_size());
    self.base =
        mmap(NULL, mapped_size(), PROT_READ | PROT_WRITE, MAP_SHARED, self.map, (off_t)page_size());
    self.diary = shared_memory(sizeof(diary));
    ck_assert_ptr_ne(self.base, MAP_FAILED);
    self.diary->opened = NOT_YET;
    put(&self, BEFORE);
    return &self;
}

static void tear_down(void *argument) {
    stage *self = argument;
    munmap(self->base, mapped_size());
    munmap(self->diary, sizeof(diary));
    close(self->map);
}

static const void *shared(void *argument, size_t *size) {
    stage *self = argument;
    *size = 2 * page_size();
    return self->base;
}

/* ---- What a BPF program would find ---- */

typedef struct found {
    unsigned of_value[256];
} found;

static found look_through(const stage *self) {
    found out = {{0}};
    const uint64_t end = producer_pos(self);
    const uint8_t *data = self->base + page_size();
    for (uint64_t at = 0; at != end; at += SPAN) {
        at_point(at < end && end <= page_size(), "the positions");
        uint32_t length = *(const uint32_t *)(const void *)(data + at);
        /* The kernel would wait for ever for a record that nobody finishes. */
        at_point((length & ~DISCARDED) == SIZE, "a record that is not finished");
        for (int i = 1; i < SIZE && !(length & DISCARDED); i++) {
            at_point(data[at + 8 + i] == data[at + 8], "a torn record");
        }
        out.of_value[length & DISCARDED ? 255 : data[at + 8]]++;
    }
    return out;
}

static void killed(void *argument) {
    stage *self = argument;
    put(self, LAST);
    found out = look_through(self);
    at_point(out.of_value[BEFORE] == 1 && out.of_value[LAST] == 1, "the records of others");
    at_point(out.of_value[OF_VICTIM] == self->diary->done ||
                 out.of_value[OF_VICTIM] == self->diary->begun,
             "the victim's records");
    at_point(out.of_value[255] <= 1, "discarded records");
}

/* While one producer has the ring, another one is refused. */
static void stopped(void *argument) {
    stage *self = argument;
    rbcore_source source = source_of(self);
    rbcore_producer *second = NULL, *third = NULL;
    const bool had_opened = self->diary->opened == 0;
    int of_second = rbcore_producer_open(&second, &source);
    at_point(of_second == 0 || of_second == -EBUSY, "the second producer");
    victim_goes_on();
    if (of_second == 0) {
        at_point(had_opened || self->diary->opened == -EBUSY, "two producers at once");
        at_point(rbcore_producer_open(&third, &source) == -EBUSY, "a third producer");
        rbcore_producer_free(second);
    } else {
        at_point(self->diary->opened == 0, "nobody got the ring");
    }
    killed(self);
    at_point(self->diary->done == self->diary->begun, "the victim's calls");
}

PLAYS(in_output, 5, .act = act_output)
PLAYS(between_reserve_and_submit, 5, .act = act_submit)
PLAYS(between_reserve_and_discard, 5, .act = act_discard)
PLAYS(in_a_batch, 5, .act = act_batch)
PLAYS(from_open_to_free, 5, .act = act_submit, .by_open = true)

int main(void) {
    skip_without_points();
    if (bpf_is_missing() != NULL) {
        skip(bpf_is_missing());
    }
    int map = bpf_map_of_type(USER_RINGBUF, 0, 0, (uint32_t)page_size());
    if (map < 0) {
        skip("this kernel has no user rings");
    }
    close(map);
    const TTest *const tests[] = {
        in_output,  between_reserve_and_submit, between_reserve_and_discard,
        in_a_batch, from_open_to_free,          NULL};
    return run_tests("producers of user rings killed and stopped", tests);
}
