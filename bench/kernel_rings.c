// SPDX-License-Identifier: MIT
#include "kernel_rings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench_many.skel.h"

/* Each ring has two: its map's, and the reader's. The others are more than the rest needs. */
#define DESCRIPTORS_PER_RING 2
#define DESCRIPTORS_OF_THE_REST 64

/* Where this may not be, the call that gets no descriptor fails. */
static void allow_descriptors(uint32_t rings) {
    const rlim_t wanted = DESCRIPTORS_PER_RING * rings + DESCRIPTORS_OF_THE_REST;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        limit.rlim_max = limit.rlim_max < wanted ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void load(kernel_rings *self) {
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    libbpf_print_fn_t print = libbpf_set_print(NULL); /* bpf_fail says it */
    self->skeleton = bench_many__open();
    if (!self->skeleton) {
        bpf_fail("opening the BPF object", -errno);
    }
    int error = bench_many__load(self->skeleton);
    if (error) {
        bpf_fail("loading the BPF program", error);
    }
    libbpf_set_print(print);
    self->runs.fd = bpf_program__fd(self->skeleton->progs.produce_many);
}

/* By one call: for each the kernel waits until no program runs that may use the array. */
static void put_into_array(const kernel_rings *self, const uint32_t *keys) {
    uint32_t added = self->count;
    int array = bpf_map__fd(self->skeleton->maps.rings);
    int error = bpf_map_update_batch(array, keys, self->fds, &added, NULL);
    if (error) {
        bpf_fail("putting rings into an array", error);
    }
}

void kernel_rings_open(kernel_rings *self, uint32_t count, uint32_t ring_size) {
    uint32_t *keys = calloc(count, sizeof(*keys));
    *self = (kernel_rings){.count = count, .fds = calloc(count, sizeof(*self->fds))};
    if (!keys || !self->fds) {
        bpf_fail("so many rings", -ENOMEM);
    }
    allow_descriptors(count);
    load(self);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = i;
        self->fds[i] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "bench", 0, 0, ring_size, NULL);
        if (self->fds[i] < 0) {
            bpf_fail("creating a ring", self->fds[i]);
        }
    }
    put_into_array(self, keys);
    free(keys);
}

void kernel_rings_close(kernel_rings *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        close(self->fds[i]);
    }
    free(self->fds);
    bench_many__destroy(self->skeleton);
}

void kernel_rings_produce(kernel_rings *self, uint64_t records, uint32_t ring) {
    struct many_burst burst = {
        .count = records, .sequence = self->sequence, .ring = ring, .rings = self->count};
    self->refused += (uint64_t)program_run(&self->runs, &burst, sizeof(burst));
    self->sequence += records;
}

void kernel_rings_produce_nothing(const kernel_rings *self, program_runs *runs) {
    struct many_burst nothing = {.rings = self->count};
    runs->fd = self->runs.fd;
    program_run(runs, &nothing, sizeof(nothing));
}
