/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "flow.skel.h"

const char *ring_missing(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)page_size(), NULL);
    if (fd < 0) {
        return "bpf(2) creates no ring for this user";
    }
    close(fd);
    return NULL;
}

void ring_open(ring *self, size_t size) {
    struct flow *flow = flow__open();
    EXPECT(flow);
    EXPECT(bpf_map__set_max_entries(flow->maps.events, (uint32_t)size) == 0);
    int error = flow__load(flow);
    if (error) {
        FAIL("the programs are not loaded: %d", error);
    }
    self->own = flow;
    self->source = (rbcore_source)RBCORE_SOURCE_INIT;
    self->source.kind = RBCORE_SOURCE_MAP_FD;
    self->source.fd = bpf_map__fd(flow->maps.events);
    self->source.loss_fd = bpf_map__fd(flow->maps.events_lost);
    self->tallies = flow->bss->tallies;
}

void ring_close(ring *self) {
    flow__destroy(self->own);
}

void producing_open(producing *self, const ring *on, uint32_t id, uint64_t seed) {
    *self = (producing){.ring = on, .id = id, .random = seed};
}

void producing_close(producing *self) {
    (void)self;
}

bool producing_run(producing *self, uint32_t max) {
    const struct flow *flow = self->ring->own;
    const struct tally *tally = &self->ring->tallies[self->id];
    uint64_t refused = tally->refused;
    struct flow_args args = {
        .producer = self->id, .count = max, .random = self->random, .is_silent = self->is_silent};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
    int error = bpf_prog_test_run_opts(bpf_program__fd(flow->progs.produce_flow), &opts);
    if (error && error != -EINTR) {
        FAIL("producer %u: %d", self->id, error);
    }
    self->random = args.random;
    return __atomic_load_n(&tally->refused, __ATOMIC_RELAXED) == refused;
}
