/* SPDX-License-Identifier: MIT */
/*
 * The positions of a ring in overwrite mode, of the kernel's and of a memory ring, step by step:
 * through the example of the kernel's commit, and through records by chance. tests/c/overwriting.c
 * has more of the memory ring, without BPF.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "overwrite_example.h"
#include "overwrite_example.skel.h"
#include "support.h"

#ifndef BPF_F_RB_OVERWRITE
#define BPF_F_RB_OVERWRITE (1U << 19) /* Linux 6.19 */
#endif

#define RING_SIZE 4096

/* The example of the kernel's commit, but for pending_pos: its drawings show where the
 * records stand, the word follows with the next reserve. */
static const struct positions expected[EXAMPLE_STEPS] = {
    [RESERVE_A] = {.producer = 512},
    [RESERVE_B] = {.producer = 1536},
    [RESERVE_C] = {.producer = 3584},
    [SUBMIT_A] = {.producer = 3584}, /* drawn: pending 512 */
    [SUBMIT_B] = {.producer = 3584}, /* drawn: pending 1536 */
    [RESERVE_D] = {.producer = 5120, .pending = 1536, .overwrite = 1536},
    [RESERVE_E] = {.producer = 5120, .pending = 1536, .overwrite = 1536},
    [SUBMIT_C] = {.producer = 5120, .pending = 1536, .overwrite = 1536},
    [SUBMIT_D] = {.producer = 5120, .pending = 1536, .overwrite = 1536}, /* drawn: pending 5120 */
};

static void assert_same_positions(const struct positions *a, const struct positions *b) {
    ck_assert_uint_eq(a->producer, b->producer);
    ck_assert_uint_eq(a->pending, b->pending);
    ck_assert_uint_eq(a->overwrite, b->overwrite);
    ck_assert_uint_eq(a->consumer, b->consumer);
}

/* ---- The memory of either ring ---- */

typedef struct ring_view {
    const uint64_t *consumer_page;
    const uint64_t *producer_page;
    const unsigned char *data;
} ring_view;

static ring_view map_view(int fd) {
    unsigned char *base = mmap(NULL, pages(2) + RING_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    return (ring_view){(void *)base, (void *)(base + pages(1)), base + pages(2)};
}

static struct positions positions_in(const ring_view *view) {
    return (struct positions){.producer = view->producer_page[0],
                              .pending = view->producer_page[1],
                              .overwrite = view->producer_page[2],
                              .consumer = view->consumer_page[0]};
}

typedef struct memory_ring {
    rbcore_producer *producer;
    ring_view view;
} memory_ring;

static memory_ring open_memory_ring(void) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    memory_ring ring;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    ck_assert_int_eq(rbcore_memory_ring_create(&source.fd, &source.event_fd, RING_SIZE,
                                               RBCORE_MEMORY_RING_OVERWRITE),
                     0);
    ck_assert_int_eq(rbcore_producer_open(&ring.producer, &source), 0);
    ring.view = map_view(source.fd);
    return ring;
}

/* ---- The example ---- */

static void *reserve(const memory_ring *ring, size_t space) {
    void *data;
    return rbcore_producer_reserve(ring->producer, &data, space - 8) == 0 ? data : NULL;
}

static struct positions submit(const memory_ring *ring, void *data) {
    ck_assert_int_eq(rbcore_producer_submit(ring->producer, data, 0), 0);
    return positions_in(&ring->view);
}

static void run_in_memory(const memory_ring *ring, struct example_args *found) {
    void *a = reserve(ring, RECORD_A);
    found->after[RESERVE_A] = positions_in(&ring->view);
    void *b = reserve(ring, RECORD_B);
    found->after[RESERVE_B] = positions_in(&ring->view);
    void *c = reserve(ring, RECORD_C);
    found->after[RESERVE_C] = positions_in(&ring->view);
    found->after[SUBMIT_A] = submit(ring, a);
    found->after[SUBMIT_B] = submit(ring, b);
    void *d = reserve(ring, RECORD_D);
    found->after[RESERVE_D] = positions_in(&ring->view);
    found->refused = reserve(ring, RECORD_E) == NULL;
    found->after[RESERVE_E] = positions_in(&ring->view);
    *(char *)c = 'C';
    found->after[SUBMIT_C] = submit(ring, c);
    *(char *)d = 'D';
    found->after[SUBMIT_D] = submit(ring, d);
}

/* C and D are what is left, at their places. */
static void check_what_is_left(const ring_view *view) {
    uint32_t c, d;
    memcpy(&c, view->data + RECORD_A + RECORD_B, sizeof(c));
    memcpy(&d, view->data + RECORD_A + RECORD_B + RECORD_C, sizeof(d));
    ck_assert_uint_eq(c, RECORD_C - 8);
    ck_assert_uint_eq(d, RECORD_D - 8);
    ck_assert_int_eq(view->data[RECORD_A + RECORD_B + 8], 'C');
    ck_assert_int_eq(view->data[RECORD_A + RECORD_B + RECORD_C + 8], 'D');
}

START_TEST(the_example) {
    struct overwrite_example *kernel = overwrite_example__open_and_load();
    ck_assert_ptr_nonnull(kernel);
    struct example_args in_kernel = {0}, in_memory = {0};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &in_kernel, .ctx_size_in = sizeof(in_kernel));
    ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(kernel->progs.example), &opts), 0);
    ck_assert_int_eq((int)opts.retval, 0);
    memory_ring memory = open_memory_ring();
    run_in_memory(&memory, &in_memory);
    ck_assert(in_kernel.refused && in_memory.refused);
    for (int step = 0; step < EXAMPLE_STEPS; step++) {
        assert_same_positions(&in_kernel.after[step], &expected[step]);
        assert_same_positions(&in_memory.after[step], &expected[step]);
    }
    ring_view view = map_view(bpf_map__fd(kernel->maps.events));
    check_what_is_left(&view);
    check_what_is_left(&memory.view);
    rbcore_producer_free(memory.producer);
    overwrite_example__destroy(kernel);
}
END_TEST

/* ---- Records by chance ---- */

static struct produce *load_overwriting(void) {
    struct produce *ring = produce__open();
    ck_assert_ptr_nonnull(ring);
    ck_assert_int_eq(bpf_map__set_max_entries(ring->maps.events, RING_SIZE), 0);
    ck_assert_int_eq(bpf_map__set_map_flags(ring->maps.events, BPF_F_RB_OVERWRITE), 0);
    ck_assert_int_eq(produce__load(ring), 0);
    return ring;
}

/* Both rings get the same record. */
static void produce_both(struct produce *kernel, const memory_ring *memory, uint32_t size,
                         bool discard) {
    int error = discard ? emit_discard(kernel, size, 0) : emit(kernel, size, 0, 0);
    void *data;
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(rbcore_producer_reserve(memory->producer, &data, size), 0);
    ck_assert_int_eq(discard ? rbcore_producer_discard(memory->producer, data, 0)
                             : rbcore_producer_submit(memory->producer, data, 0),
                     0);
}

static uint32_t header_at(const ring_view *view, uint64_t position) {
    uint32_t header;
    memcpy(&header, view->data + position % RING_SIZE, sizeof(header));
    return header;
}

START_TEST(records_by_chance) {
    struct produce *kernel = load_overwriting();
    ring_view view = map_view(ring_fd(kernel));
    memory_ring memory = open_memory_ring();
    uint32_t state = 1;
    for (int i = 0; i < 5000; i++) {
        state = state * 1664525 + 1013904223;
        uint32_t sizes = state >> 30 == 0 ? RING_SIZE - 15 : 300; /* 4080 is the largest */
        uint64_t position = positions_in(&view).producer;
        produce_both(kernel, &memory, (state >> 8) % sizes, (state >> 5) % 8 == 0);
        ck_assert_uint_eq(header_at(&view, position), header_at(&memory.view, position));
        struct positions ours = positions_in(&memory.view), theirs = positions_in(&view);
        assert_same_positions(&ours, &theirs);
    }
    ck_assert_uint_gt(positions_in(&view).producer, 100 * RING_SIZE);
    rbcore_producer_free(memory.producer);
    produce__destroy(kernel);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("overwrite positions");
    add_test(suite, the_example);
    add_test(suite, records_by_chance);
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RB_OVERWRITE);
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)pages(1), &opts);
    const char *missing = fd < 0 && errno == EINVAL
                              ? "this kernel has no overwrite mode (BPF_F_RB_OVERWRITE)"
                          : pages(1) != RING_SIZE ? "the example is made for pages of 4096 bytes"
                                                  : NULL;
    if (fd >= 0) {
        close(fd);
    }
    return run_kernel_tests(suite, missing);
}
