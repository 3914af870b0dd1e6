/* SPDX-License-Identifier: MIT */
/* Rings of the kernel, filled by a BPF program; and a user ring, drained by another. */
#include "world.h"

#include "../kernel/drain.h"
#include "../kernel/produce.h"
#include "drain.skel.h"
#include "produce.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *kernel_missing(void) {
    static char reason[128];
    static bool is_known;
    if (!is_known) {
        int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)page_size(), NULL);
        if (fd < 0) {
            snprintf(reason, sizeof(reason), "bpf(2) creates none: %s", strerror(errno));
        } else {
            close(fd);
        }
        is_known = true;
    }
    return reason[0] != '\0' ? reason : NULL;
}

static int run(const struct bpf_program *program, void *context, uint32_t size) {
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = size);
    int error = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
    demand(error == 0, "the BPF program did not run: %d", error);
    return (int)opts.retval;
}

/* ---- Rings ---- */

void kernel_create_ring(sim_ring *self, uint64_t size) {
    struct produce *programs = produce__open();
    demand(programs != NULL, "no BPF programs");
    bpf_map__set_max_entries(programs->maps.events, (uint32_t)size);
    demand(produce__load(programs) == 0, "the BPF programs do not load");
    memcpy(programs->bss->pattern, pattern, sizeof(pattern));
    self->programs = programs;
    self->map_fd = bpf_map__fd(programs->maps.events);
    self->loss_fd = bpf_map__fd(programs->maps.events_lost);
}

void kernel_drop_ring(sim_ring *self) {
    produce__destroy(self->programs);
}

int kernel_emit(sim_ring *self, uint32_t size, uint32_t offset, uint32_t flags, bool discard) {
    struct produce *programs = self->programs;
    struct emit_args args = {.size = size, .offset = offset, .flags = flags, .discard = discard};
    const struct bpf_program *program =
        discard || one_in(4) ? programs->progs.emit_dynptr : programs->progs.emit;
    return run(program, &args, sizeof(args));
}

/* ---- The user ring ---- */

#define REQUESTS 4096
#define UNFINISHED 6

typedef struct request_item {
    uint64_t sequence;
    uint32_t size;
    void *data; /* while it is reserved */
    bool is_discarded;
} request_item;

/* All requests that the program has not drained. */
typedef struct user_side {
    struct drain *programs;
    rbcore_producer *producer;
    rbcore_reader *answers;
    request_item items[REQUESTS];
    uint64_t count, drained, reserved;
    uint64_t size, used, sequence;
} user_side;

static user_side user;

static bool open_user(void) {
    user.programs = drain__open();
    demand(user.programs != NULL, "no BPF programs");
    user.size = page_size() << roll(3);
    bpf_map__set_max_entries(user.programs->maps.requests, (uint32_t)user.size);
    bpf_map__set_max_entries(user.programs->maps.answers, 1u << 20);
    demand(drain__load(user.programs) == 0, "the BPF programs do not load");
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = bpf_map__fd(user.programs->maps.requests);
    calling("producer_open(the user ring, %" PRIu64 " bytes)", user.size);
    demand(returned(rbcore_producer_open(&user.producer, &source)) == 0, "no producer");
    rbcore_producer *second = NULL;
    demand(rbcore_producer_open(&second, &source) == -EBUSY, "a second producer");
    demand(rbcore_reader_open(&user.answers, NULL) == 0, "no reader");
    source.fd = bpf_map__fd(user.programs->maps.answers);
    demand(rbcore_reader_add(user.answers, &source) == 0, "no answers");
    return true;
}

void user_ring_drop(void) {
    rbcore_producer_free(user.producer);
    rbcore_reader_free(user.answers);
    if (user.programs != NULL) {
        drain__destroy(user.programs);
    }
    user = (user_side){0};
}

static uint32_t request_size(void) {
    uint32_t least = sizeof(struct request);
    return one_in(8) ? least + roll((uint32_t)user.size - 8 - least + 1) : least + roll(200);
}

static void fill_request(const request_item *item, void *data) {
    struct request *request = data;
    *request = (struct request){.producer = 1, .size = item->size, .sequence = item->sequence};
    if (item->size > sizeof(*request)) {
        ((unsigned char *)data)[item->size - 1] = filler(item->sequence, item->size);
    }
}

static request_item *item_at(uint64_t i) {
    return &user.items[i % REQUESTS];
}

static request_item *note_request(uint32_t size) {
    request_item *item = item_at(user.count++);
    *item = (request_item){.sequence = user.sequence++, .size = size};
    user.used += span_of(size);
    return item;
}

static int expected_for(uint64_t before, uint32_t size) {
    return user.used + before + span_of(size) <= user.size ? 0 : -EAGAIN;
}

static void reserve_request(void) {
    uint32_t size = request_size();
    void *data = NULL;
    int64_t timeout = one_in(4) ? (int64_t)roll(100000) : 0;
    calling("reserve_wait(the user ring, %u, %" PRId64 ")", size, timeout);
    int result = returned(rbcore_producer_reserve_wait(user.producer, &data, size, timeout));
    demand(result == expected_for(0, size), "not %d", expected_for(0, size));
    if (result == 0) {
        request_item *item = note_request(size);
        item->data = data;
        fill_request(item, data);
        user.reserved++;
    }
}

static void finish_request(void) {
    uint64_t at = user.drained;
    while (item_at(at)->data == NULL || (one_in(2) && user.reserved > 1)) {
        at = at + 1 < user.count ? at + 1 : user.drained;
    }
    request_item *item = item_at(at);
    item->is_discarded = one_in(4);
    calling("%s(the user ring, request %" PRIu64 ")", item->is_discarded ? "discard" : "submit",
            item->sequence);
    int result = returned(
        item->is_discarded ? rbcore_producer_discard(user.producer, item->data, wakeups[roll(4)])
                           : rbcore_producer_submit(user.producer, item->data, wakeups[roll(4)]));
    demand(result == 0, "not finished");
    demand(rbcore_producer_submit(user.producer, item->data, 0) == -EINVAL, "finished twice");
    item->data = NULL;
    user.reserved--;
}

static void output_requests(void) {
    static unsigned char bytes[8][1 << 15];
    rbcore_slice slices[8];
    size_t count = 1 + roll(8);
    uint64_t before = 0;
    int expected = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t size = request_size();
        const request_item item = {.sequence = user.sequence + i, .size = size};
        fill_request(&item, bytes[i]);
        slices[i] = (rbcore_slice){.data = bytes[i], .size = size};
        bool fits = expected == (int)i && expected_for(before, size) == 0;
        expected += fits;
        before += fits ? span_of(size) : 0;
    }
    bool is_single = count == 1;
    calling("%s(the user ring, %zu requests)", is_single ? "output" : "output_batch", count);
    int result = returned(
        is_single ? rbcore_producer_output(user.producer, slices[0].data, slices[0].size, 0)
                  : rbcore_producer_output_batch(user.producer, slices, count, wakeups[roll(4)]));
    int success = is_single ? 0 : expected;
    demand(result == (expected > 0 ? success : -EAGAIN), "%d would fit", expected);
    for (int i = 0; i < expected; i++) {
        note_request((uint32_t)slices[i].size);
    }
}

/* The program answers each request that is complete, in order, up to one that is being written. */
static void check_answers(void) {
    rbcore_record record;
    while (user.drained < user.count && item_at(user.drained)->data == NULL) {
        const request_item *item = item_at(user.drained++);
        user.used -= span_of(item->size);
        if (item->is_discarded) {
            continue;
        }
        int n = rbcore_reader_read(user.answers, &record, 1);
        demand(n == 1 && record.size == sizeof(struct answer), "no answer to request %" PRIu64,
               item->sequence);
        struct answer answer;
        memcpy(&answer, record.data, sizeof(answer));
        demand(answer.sequence == item->sequence && answer.size == item->size && answer.is_whole,
               "request %" PRIu64 " of %u bytes, not %" PRIu64 " of %u", (uint64_t)answer.sequence,
               answer.size, item->sequence, item->size);
        demand(rbcore_reader_commit(user.answers, NULL, 0) == 0, "not committed");
    }
    demand(rbcore_reader_read(user.answers, &record, 1) == 0, "an answer to no request");
}

static void drain_requests(void) {
    struct drain_args args = {.flags = one_in(4) ? RBCORE_NO_WAKEUP : 0};
    calling("a BPF program drains the user ring");
    run(user.programs->progs.drain, &args, sizeof(args));
    returned((int)args.records);
    demand(args.refused == 0, "no room for answers");
    check_answers();
}

/* Reserved records are discarded by the free. */
static void reopen_user(void) {
    calling("producer_free(the user ring), with %" PRIu64 " reserved", user.reserved);
    rbcore_producer_free(user.producer);
    for (uint64_t i = user.drained; i < user.count; i++) {
        item_at(i)->is_discarded |= item_at(i)->data != NULL;
        item_at(i)->data = NULL;
    }
    user.reserved = 0;
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = bpf_map__fd(user.programs->maps.requests);
    user.producer = NULL;
    demand(rbcore_producer_open(&user.producer, &source) == 0, "no producer");
}

bool user_ring(void) {
    if (kernel_missing() != NULL || the_world.in_a_batch ||
        rbcore_supports(RBCORE_FEATURE_USER_RING) != 1) {
        return false;
    }
    if (user.programs == NULL) {
        return one_in(40) && open_user();
    }
    switch (roll(8)) {
    case 0:
        drain_requests();
        break;
    case 1:
        (one_in(4) ? reopen_user : drain_requests)();
        break;
    case 2:
    case 3:
        if (user.reserved < UNFINISHED) {
            reserve_request();
        }
        break;
    case 4:
    case 5:
        if (user.reserved > 0) {
            finish_request();
        }
        break;
    default:
        output_requests();
    }
    return true;
}
