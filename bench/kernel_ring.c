// SPDX-License-Identifier: MIT
#include "kernel_ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "record.h" /* before the skeleton, whose variables are of its types */

#include "bench_produce.skel.h"

/* Smaller rings are freed in no time. */
#define LARGE_RING (1 << 20)
/* The longest that the kernel is waited for until it begins to free a ring, and what that takes. */
#define FREED_WITHIN_MS 2000
#define FREEING_MS 20

void kernel_ring_open(kernel_ring *self, uint32_t record_size, uint32_t ring_size,
                      uint64_t submit_flags, bool is_perf_buffer) {
    struct bench_produce *skeleton;
    int error;
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    libbpf_print_fn_t print = libbpf_set_print(NULL); /* bpf_fail says it */
    skeleton = bench_produce__open();
    if (!skeleton) {
        bpf_fail("opening the BPF object", -errno);
    }
    skeleton->rodata->record_size = record_size;
    skeleton->rodata->submit_flags = submit_flags;
    bpf_map__set_max_entries(skeleton->maps.ring, ring_size);
    bpf_program__set_autoload(skeleton->progs.produce_perf, is_perf_buffer);
    error = bench_produce__load(skeleton);
    if (error) {
        bpf_fail("loading the BPF program", error);
    }
    libbpf_set_print(print);
    *self = (kernel_ring){
        .skeleton = skeleton,
        .fd = bpf_map__fd(is_perf_buffer ? skeleton->maps.perf_buffer : skeleton->maps.ring),
        .runs.fd = bpf_program__fd(is_perf_buffer ? skeleton->progs.produce_perf
                                                  : skeleton->progs.produce)};
}

static uint32_t id_of(int map_fd) {
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);
    return bpf_obj_get_info_by_fd(map_fd, &info, &length) ? 0 : info.id;
}

/*
 * The program, and the ring with it, goes some 0.2 s after its last descriptor. Then its pages are
 * freed in one go, within 0.07 ms for each MiB, and nothing else runs on that CPU meanwhile: it
 * would be the reader of the next measurement that comes late.
 */
static void wait_until_freed(uint32_t map_id) {
    for (int i = 0; i < FREED_WITHIN_MS; i++) {
        int fd = bpf_map_get_fd_by_id(map_id);
        if (fd < 0) {
            break;
        }
        close(fd);
        usleep(1000);
    }
    usleep(FREEING_MS * 1000);
}

void kernel_ring_close(kernel_ring *self) {
    const struct bpf_map *ring = self->skeleton->maps.ring;
    bool is_large = bpf_map__max_entries(ring) >= LARGE_RING;
    uint32_t map_id = id_of(bpf_map__fd(ring));
    bench_produce__destroy(self->skeleton);
    if (is_large) {
        wait_until_freed(map_id);
    }
}

static int run(kernel_ring *self, struct burst burst) {
    return program_run(&self->runs, &burst, sizeof(burst));
}

void kernel_ring_produce(kernel_ring *self, uint64_t count) {
    run(self, (struct burst){.count = count, .producer = self->producer});
}

bool kernel_ring_end(kernel_ring *self) {
    return run(self, (struct burst){.end = 1}) == 0;
}

uint64_t kernel_ring_empty_run_ns(const kernel_ring *self) {
    struct burst nothing = {0};
    return program_empty_run_ns(&self->runs, &nothing, sizeof(nothing));
}

uint64_t kernel_ring_cpu_ns(const kernel_ring *self, uint64_t empty_run_ns) {
    return program_cpu_ns(&self->runs, empty_run_ns);
}

uint64_t kernel_ring_sequence(const kernel_ring *self) {
    return self->skeleton->bss->streams[0].sequence + self->skeleton->bss->streams[1].sequence;
}

uint64_t kernel_ring_refused(const kernel_ring *self) {
    return self->skeleton->bss->streams[0].refused + self->skeleton->bss->streams[1].refused;
}

static void skip_without_cpu(int cpu, int error) {
    fprintf(stderr, "skipped: CPU %d is not ours: %s (the benchmark needs CPUs 0 and 1)\n", cpu,
            strerror(error));
    exit(EXIT_SKIPPED);
}

static cpu_set_t only_cpu(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return set;
}

void pin_to_cpu(int cpu) {
    cpu_set_t set = only_cpu(cpu);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        skip_without_cpu(cpu, errno);
    }
}

pthread_t start_on_cpu(int cpu, void *(*work)(void *context), void *context) {
    cpu_set_t set = only_cpu(cpu);
    pthread_attr_t attributes;
    pthread_t thread;
    int error;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
    error = pthread_create(&thread, &attributes, work, context);
    pthread_attr_destroy(&attributes);
    if (error) {
        skip_without_cpu(cpu, error);
    }
    return thread;
}
