/* SPDX-License-Identifier: MIT */
#include "user_support.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *user_ring_missing(void) {
    return rbcore_supports(RBCORE_FEATURE_USER_RING) == 0
               ? "the kernel has no BPF_MAP_TYPE_USER_RINGBUF (it came with Linux 6.1)"
               : NULL;
}

static void load(user_ring *user, size_t size, size_t answers_size) {
    user->bpf = drain__open();
    user->size = size;
    ck_assert_ptr_nonnull(user->bpf);
    ck_assert_int_eq(bpf_map__set_max_entries(user->bpf->maps.requests, (uint32_t)size), 0);
    ck_assert_int_eq(bpf_map__set_max_entries(user->bpf->maps.answers, (uint32_t)answers_size), 0);
    ck_assert_int_eq(drain__load(user->bpf), 0);
}

int user_fd(const user_ring *user) {
    return bpf_map__fd(user->bpf->maps.requests);
}

rbcore_source user_source(const user_ring *user) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = user_fd(user);
    return source;
}

user_ring open_user(size_t size, size_t answers_size) {
    user_ring user = {0};
    load(&user, size, answers_size);
    rbcore_source source = user_source(&user);
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
    source.fd = bpf_map__fd(user.bpf->maps.answers);
    user.reader = open_reader(0);
    ck_assert_int_eq(rbcore_reader_add(user.reader, &source), 0);
    return user;
}

void close_user(user_ring *user) {
    rbcore_producer_free(user->producer);
    rbcore_reader_free(user->reader);
    drain__destroy(user->bpf);
}

int open_result(const rbcore_source *source) {
    rbcore_producer *producer = NULL;
    int result = rbcore_producer_open(&producer, source);
    ck_assert((result == 0) == (producer != NULL));
    rbcore_producer_free(producer);
    return result;
}

void drain_with(const user_ring *user, struct drain_args *args) {
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(*args));
    int error = bpf_prog_test_run_opts(bpf_program__fd(user->bpf->progs.drain), &opts);
    if (error) {
        ck_abort_msg("the program did not run: %d", error);
    }
}

int64_t drain(const user_ring *user) {
    struct drain_args args = {0};
    drain_with(user, &args);
    ck_assert_uint_eq(args.refused, 0);
    return args.result;
}

void fill_request(void *data, uint32_t producer, uint64_t sequence, uint32_t size) {
    struct request *request = data;
    *request = (struct request){.producer = producer, .size = size, .sequence = sequence};
    if (size > sizeof(*request)) {
        ((unsigned char *)data)[size - 1] = filler(sequence, size);
    }
}

int send_request(const user_ring *user, uint32_t producer, uint64_t sequence, uint32_t size) {
    void *data;
    int error = rbcore_producer_reserve(user->producer, &data, size);
    if (error) {
        return error;
    }
    fill_request(data, producer, sequence, size);
    ck_assert_int_eq(rbcore_producer_submit(user->producer, data, 0), 0);
    return 0;
}

struct answer next_answer(const user_ring *user) {
    rbcore_record record;
    struct answer answer;
    ck_assert_int_eq(rbcore_reader_read(user->reader, &record, 1), 1);
    ck_assert_uint_eq(record.size, sizeof(answer));
    memcpy(&answer, record.data, sizeof(answer));
    ck_assert_int_eq(rbcore_reader_commit(user->reader, NULL, 0), 0);
    return answer;
}

void assert_no_answer(const user_ring *user) {
    rbcore_record record;
    ck_assert_int_eq(rbcore_reader_read(user->reader, &record, 1), 0);
}

void assert_answer(const user_ring *user, uint32_t producer, uint64_t sequence, uint32_t size) {
    struct answer answer = next_answer(user);
    ck_assert_uint_eq(answer.producer, producer);
    ck_assert_uint_eq(answer.sequence, sequence);
    ck_assert_uint_eq(answer.size, size);
    ck_assert(answer.is_whole);
}

static void *map_page(const user_ring *user, int protection, long page) {
    size_t size = (size_t)getpagesize();
    void *address = mmap(NULL, size, protection, MAP_SHARED, user_fd(user), page * (off_t)size);
    ck_assert_ptr_ne(address, MAP_FAILED);
    return address;
}

positions map_positions(const user_ring *user) {
    return (positions){.consumer = map_page(user, PROT_READ, 0),
                       .producer = map_page(user, PROT_READ | PROT_WRITE, 1)};
}
