/* SPDX-License-Identifier: MIT */
/* The user ring, one step at a time: what a BPF program is given of what a producer writes. */
#include "user_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SMALL ((uint32_t)sizeof(struct request))

START_TEST(what_is_submitted_is_drained_in_order) {
    user_ring user = open_user(pages(1), pages(1));
    ck_assert_int_eq(drain(&user), 0);
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_int_eq(send_request(&user, 7, i, SMALL + 3 * i), 0);
    }
    ck_assert_int_eq(drain(&user), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_answer(&user, 7, i, SMALL + 3 * i);
    }
    assert_no_answer(&user);
    ck_assert_int_eq(drain(&user), 0);
    close_user(&user);
}
END_TEST

/* The content of the memory, by the kernel's account of it. */
START_TEST(the_layout) {
    user_ring user = open_user(pages(1), pages(1));
    positions at = map_positions(&user);
    size_t size = 2 * pages(1);
    const unsigned char *ring =
        mmap(NULL, size, PROT_READ, MAP_SHARED, user_fd(&user), (off_t)pages(1));
    const unsigned char *data = ring + pages(1);
    uint32_t length;
    void *record;
    ck_assert_ptr_ne(ring, MAP_FAILED);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &record, 13), 0);
    ck_assert_uint_eq((uintptr_t)record % 8, 0);
    ck_assert_uint_eq(*at.producer, 24);
    memcpy(&length, data, sizeof(length));
    ck_assert_uint_eq(length, 13 | 1U << 31);
    memcpy(record, "thirteen byte", 13);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, record, 0), 0);
    memcpy(&length, data, sizeof(length));
    ck_assert_uint_eq(length, 13);
    ck_assert_mem_eq(data + 8, "thirteen byte", 13);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &record, 0), 0);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, record, 0), 0);
    memcpy(&length, data + 24, sizeof(length));
    ck_assert_uint_eq(length, 1U << 30);
    ck_assert_uint_eq(*at.producer, 32);
    ck_assert_uint_eq(*at.consumer, 0);
    ck_assert_int_eq(drain(&user), 1);
    ck_assert_uint_eq(*at.consumer, 32);
    close_user(&user);
}
END_TEST

/*
 * A record is written alone and in a batch, each byte and none beyond: small ones are copied in
 * another way.
 */
START_TEST(outputs_of_each_size) {
    user_ring user = open_user(pages(1), pages(1));
    positions at = map_positions(&user);
    const unsigned char *ring =
        mmap(NULL, 3 * pages(1), PROT_READ, MAP_SHARED, user_fd(&user), (off_t)pages(1));
    ck_assert_ptr_ne(ring, MAP_FAILED);
    /* Up to the end of a page, behind which nothing may be read. */
    unsigned char *page =
        mmap(NULL, 2 * pages(1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    ck_assert_int_eq(mprotect(page + pages(1), pages(1), PROT_NONE), 0);
    for (uint32_t size = 0; size < 80; size++) {
        unsigned char *bytes = page + pages(1) - size;
        for (uint32_t i = 0; i < size; i++) {
            bytes[i] = (unsigned char)(size + i);
        }
        rbcore_slice slice = {.data = bytes, .size = size};
        for (int batch = 0; batch < 2; batch++) {
            uint64_t offset = pages(1) + *at.producer % pages(1);
            uint32_t length;
            if (batch) {
                ck_assert_int_eq(rbcore_producer_output_batch(user.producer, &slice, 1, 0), 1);
            } else {
                ck_assert_int_eq(rbcore_producer_output(user.producer, bytes, size, 0), 0);
            }
            memcpy(&length, ring + offset, sizeof(length));
            ck_assert_uint_eq(length, size);
            ck_assert_mem_eq(ring + offset + 8, bytes, size);
            ck_assert_uint_eq((pages(1) + *at.producer - offset) % pages(1), span_of(size));
        }
        ck_assert_int_eq(drain(&user), 2);
        rbcore_record records[2];
        ck_assert_int_eq(rbcore_reader_read(user.reader, records, 2), 2);
        ck_assert_int_eq(rbcore_reader_commit(user.reader, NULL, 0), 0);
    }
    munmap(page, 2 * pages(1));
    close_user(&user);
}
END_TEST

START_TEST(empty_and_tiny_records) {
    user_ring user = open_user(pages(1), pages(1));
    const unsigned char bytes[SMALL] = {200, 201};
    for (uint32_t size = 0; size < SMALL; size++) {
        ck_assert_int_eq(rbcore_producer_output(user.producer, bytes, size, 0), 0);
    }
    ck_assert_int_eq(rbcore_producer_output(user.producer, NULL, 0, 0), 0);
    ck_assert_int_eq(drain(&user), SMALL + 1);
    assert_answer(&user, NO_PRODUCER, 0, 0);
    for (uint32_t size = 1; size < SMALL; size++) {
        assert_answer(&user, NO_PRODUCER, 200, 1);
    }
    assert_answer(&user, NO_PRODUCER, 0, 0);
    close_user(&user);
}
END_TEST

/*
 * The ring is filled to the last byte: the kernel's own producers leave one free, here it is not
 * asked for.
 */
START_TEST(a_full_ring) {
    user_ring user = open_user(pages(1), 2 * pages(1));
    const uint64_t fit = pages(1) / span_of(SMALL);
    const uint32_t rest = (uint32_t)(pages(1) % span_of(SMALL));
    void *data;
    ck_assert_uint_ge(rest, 8);
    for (uint64_t i = 0; i < fit; i++) {
        ck_assert_int_eq(send_request(&user, 1, i, SMALL), 0);
    }
    ck_assert_int_eq(send_request(&user, 1, fit, SMALL), -EAGAIN);
    ck_assert_int_eq(rbcore_producer_output(user.producer, NULL, 0, 0), 0);
    for (uint32_t left = rest - 8; left > 0; left -= 8) {
        ck_assert_int_eq(rbcore_producer_output(user.producer, NULL, 0, 0), 0);
    }
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, 0), -EAGAIN);
    ck_assert_int_eq(rbcore_producer_output(user.producer, NULL, 0, 0), -EAGAIN);
    ck_assert_int_eq(drain(&user), (int64_t)(fit + rest / 8));
    for (uint64_t i = 0; i < fit; i++) {
        assert_answer(&user, 1, i, SMALL);
    }
    ck_assert_int_eq(send_request(&user, 1, fit, SMALL), 0);
    close_user(&user);
}
END_TEST

START_TEST(the_largest_record_of_a_small_ring) {
    user_ring user = open_user(pages(1), pages(1));
    const uint32_t largest = (uint32_t)pages(1) - 8;
    static const size_t absurd[] = {1U << 30, 1U << 31, UINT32_MAX, SIZE_MAX - 7, SIZE_MAX};
    void *data;
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, largest + 1), -EMSGSIZE);
    ck_assert_int_eq(rbcore_producer_output(user.producer, "", largest + 1, 0), -EMSGSIZE);
    for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
        ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, absurd[i]), -EMSGSIZE);
    }
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_eq(send_request(&user, 1, i, largest), 0);
        ck_assert_int_eq(send_request(&user, 1, i, SMALL), -EAGAIN);
        ck_assert_int_eq(drain(&user), 1);
        assert_answer(&user, 1, i, largest);
    }
    close_user(&user);
}
END_TEST

/* The kernel gives no program more than 16 MiB - 1, and does not pass what is larger. */
START_TEST(the_largest_record_of_a_large_ring) {
    user_ring user = open_user(1 << 25, pages(1));
    const uint32_t largest = (1 << 24) - 1;
    void *data;
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, largest + 1), -EMSGSIZE);
    for (uint64_t i = 0; i < 4; i++) { /* more than a lap */
        ck_assert_int_eq(send_request(&user, 1, i, largest), 0);
        ck_assert_int_eq(drain(&user), 1);
        assert_answer(&user, 1, i, largest);
    }
    close_user(&user);
}
END_TEST

START_TEST(discarded_and_unfinished_records) {
    user_ring user = open_user(pages(1), pages(1));
    void *first, *second, *third;
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &first, SMALL), 0);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &second, SMALL), 0);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &third, SMALL), 0);
    fill_request(second, 1, 2, SMALL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, second, 0), 0);
    ck_assert_int_eq(drain(&user), 0); /* the first is in the way */
    fill_request(first, 1, 1, SMALL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, first, 0), 0);
    ck_assert_int_eq(drain(&user), 2);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, third, 0), 0);
    ck_assert_int_eq(send_request(&user, 1, 4, SMALL), 0);
    ck_assert_int_eq(drain(&user), 1);
    assert_answer(&user, 1, 1, SMALL);
    assert_answer(&user, 1, 2, SMALL);
    assert_answer(&user, 1, 4, SMALL);
    assert_no_answer(&user);
    close_user(&user);
}
END_TEST

START_TEST(a_drain_that_stops_early) {
    user_ring user = open_user(pages(1), 4 * pages(1));
    for (uint64_t i = 0; i < 10; i++) {
        ck_assert_int_eq(send_request(&user, 1, i, SMALL), 0);
    }
    struct drain_args args = {.stop_after = 3};
    drain_with(&user, &args);
    ck_assert_int_eq(args.result, 3);
    for (uint64_t i = 0; i < 3; i++) {
        assert_answer(&user, 1, i, SMALL);
    }
    assert_no_answer(&user);
    /* Their space is free already. */
    while (send_request(&user, 2, 0, SMALL) == 0) {
    }
    args = (struct drain_args){.stop_after = 7};
    drain_with(&user, &args);
    ck_assert_int_eq(args.result, 7);
    for (uint64_t i = 3; i < 10; i++) {
        assert_answer(&user, 1, i, SMALL);
    }
    ck_assert_int_gt(drain(&user), 0);
    assert_answer(&user, 2, 0, SMALL);
    close_user(&user);
}
END_TEST

/* Records of every size go over the end of the ring, at every offset. */
START_TEST(wrapping) {
    user_ring user = open_user(pages(1), pages(1));
    uint32_t size = SMALL;
    for (uint64_t i = 0; i < 5000; i++) {
        ck_assert_int_eq(send_request(&user, 3, i, size), 0);
        if (i % 3 != 2) {
            continue;
        }
        if (drain(&user) != 3) {
            ck_abort_msg("not 3 records at %lu", (unsigned long)i);
        }
        for (uint64_t j = i - 2; j <= i; j++) {
            struct answer answer = next_answer(&user);
            if (answer.sequence != j || !answer.is_whole || answer.producer != 3) {
                ck_abort_msg("record %lu is wrong", (unsigned long)j);
            }
        }
        size = SMALL + (uint32_t)(i * 7 % 1200);
    }
    close_user(&user);
}
END_TEST

/* ---- Batches ------------------------------------------------------------------------------- */

#define BATCH 40

typedef struct request_batch {
    unsigned char data[BATCH][64];
    rbcore_slice slices[BATCH];
} request_batch;

static void fill_batch(request_batch *batch, uint64_t first) {
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t size = SMALL + (uint32_t)((first + i) % 48);
        fill_request(batch->data[i], 5, first + i, size);
        batch->slices[i] = (rbcore_slice){.data = batch->data[i], .size = size};
    }
}

START_TEST(batches) {
    user_ring user = open_user(pages(1), pages(1));
    request_batch batch;
    uint64_t sent = 0, seen = 0;
    while (sent < 20000) {
        fill_batch(&batch, sent);
        int written = rbcore_producer_output_batch(user.producer, batch.slices, BATCH, 0);
        if (written < 0) {
            ck_assert_int_eq(written, -EAGAIN);
        }
        sent += written > 0 ? (uint64_t)written : 0;
        if (written == BATCH) {
            continue;
        }
        int64_t drained = drain(&user);
        ck_assert_int_gt(drained, BATCH);
        for (; drained > 0; drained--, seen++) {
            if (next_answer(&user).sequence != seen) {
                ck_abort_msg("record %lu is wrong", (unsigned long)seen);
            }
        }
        ck_assert_uint_eq(seen, sent);
    }
    close_user(&user);
}
END_TEST

START_TEST(batches_with_something_wrong) {
    user_ring user = open_user(pages(1), pages(1));
    request_batch batch;
    fill_batch(&batch, 0);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices, 0, 0), 0);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices, 1, 4), -EINVAL);
    batch.slices[2].size = pages(1) - 7;
    batch.slices[5].data = NULL;
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices, BATCH, 0), 2);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices + 2, BATCH - 2, 0),
                     -EMSGSIZE);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices + 3, BATCH - 3, 0),
                     2);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices + 5, BATCH - 5, 0),
                     -EINVAL);
    batch.slices[5].size = 0;
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices + 5, 1, 0), 1);
    ck_assert_int_eq(drain(&user), 5);
    close_user(&user);
}
END_TEST

/* A record that is being written does not keep a batch behind it from being written. */
START_TEST(a_batch_behind_an_unfinished_record) {
    user_ring user = open_user(pages(1), pages(1));
    request_batch batch;
    void *data;
    fill_batch(&batch, 0);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, SMALL), 0);
    ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices, BATCH, 0), BATCH);
    ck_assert_int_eq(drain(&user), 0);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, data, 0), 0);
    ck_assert_int_eq(drain(&user), BATCH);
    close_user(&user);
}
END_TEST

/* ---- What is refused ----------------------------------------------------------------------- */

START_TEST(wrong_submits) {
    user_ring user = open_user(pages(1), pages(1));
    uint64_t outside[4] = {16, 16, 16, 16};
    void *data;
    ck_assert_int_eq(rbcore_producer_submit(user.producer, NULL, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, &outside[1], 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, 64), 0);
    memset(data, 0xff, 64); /* like headers that are BUSY */
    unsigned char *bytes = data;
    ck_assert_int_eq(rbcore_producer_submit(user.producer, bytes + 8, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, bytes + 1, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, bytes - 8, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, data, 4), -EINVAL);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, data, 1U << 31), -EINVAL);
    ck_assert_int_eq(drain(&user), 0); /* all those did nothing */
    fill_request(data, 1, 1, 64);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, data, RBCORE_FORCE_WAKEUP), 0);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, data, 0), -EINVAL);
    ck_assert_int_eq(rbcore_producer_discard(user.producer, data, 0), -EINVAL);
    ck_assert_int_eq(drain(&user), 1);
    assert_answer(&user, 1, 1, 64);
    close_user(&user);
}
END_TEST

START_TEST(positions_that_cannot_be) {
    user_ring user = open_user(pages(1), pages(1));
    positions at = map_positions(&user);
    request_batch batch;
    void *data;
    fill_batch(&batch, 0);
    ck_assert_int_eq(send_request(&user, 1, 0, SMALL), 0);
    ck_assert_int_eq(drain(&user), 1);
    const uint64_t good = *at.producer;
    const uint64_t bad[] = {good + 4, good + pages(1) + 8, good - 8 - 2 * pages(1), 1ULL << 63,
                            UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        *at.producer = bad[i];
        rbcore_source source = user_source(&user);
        source.flags = RBCORE_SOURCE_INSIST;
        ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, 8), -EBADMSG);
        ck_assert_int_eq(rbcore_producer_reserve_wait(user.producer, &data, 8, RBCORE_FOREVER),
                         -EBADMSG);
        ck_assert_int_eq(rbcore_producer_output(user.producer, "", 1, 0), -EBADMSG);
        ck_assert_int_eq(rbcore_producer_output_batch(user.producer, batch.slices, BATCH, 0),
                         -EBADMSG);
        ck_assert_int_eq(open_result(&source), -EBADMSG);
        ck_assert_uint_eq(*at.producer, bad[i]);
    }
    *at.producer = good;
    ck_assert_int_eq(send_request(&user, 1, 1, SMALL), 0);
    ck_assert_int_eq(drain(&user), 1);
    close_user(&user);
}
END_TEST

/* Closing looks at each record: content that no producer writes must not lead it astray. */
START_TEST(content_that_cannot_be) {
    static const uint32_t lengths[] = {0x3fffffff, 0xffffffff, 1U << 31, 4096 - 8, 4096};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        user_ring user = open_user(pages(1), pages(1));
        void *data;
        ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, SMALL), 0);
        while (rbcore_producer_output(user.producer, &lengths[i], sizeof(lengths[i]), 0) == 0) {
        }
        ((uint32_t *)data)[-2] = lengths[i];
        rbcore_producer_free(user.producer);
        rbcore_source source = user_source(&user);
        ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
        close_user(&user);
    }
}
END_TEST

static int open_map_result(enum bpf_map_type type, uint32_t key, uint32_t entries) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_FD;
    source.fd = bpf_map_create(type, "other", key, key, entries, NULL);
    ck_assert_int_ge(source.fd, 0);
    int result = open_result(&source);
    close(source.fd);
    return result;
}

START_TEST(sources) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_producer_free(user.producer);
    user.producer = NULL;
    ck_assert_int_eq(open_map_result(BPF_MAP_TYPE_RINGBUF, 0, (uint32_t)pages(1)), -EMEDIUMTYPE);
    ck_assert_int_eq(open_map_result(BPF_MAP_TYPE_ARRAY, 4, 1), -EMEDIUMTYPE);
    rbcore_source source = user_source(&user);
    ck_assert_int_eq(open_result(&source), 0);
    source.flags = RBCORE_SOURCE_LATEST;
    ck_assert_int_eq(open_result(&source), -EINVAL);
    source.flags = RBCORE_SOURCE_INSIST;
    ck_assert_int_eq(open_result(&source), 0);
    source.flags = 0;
    source.fd = bpf_program__fd(user.bpf->progs.drain);
    ck_assert_int_eq(open_result(&source), -EBADFD);
    source.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(open_result(&source), -EBADFD);
    close(source.fd);
    ck_assert_int_eq(open_result(&source), -EBADF);
    source.fd = -1;
    ck_assert_int_eq(open_result(&source), -EINVAL);
    source.kind = RBCORE_SOURCE_MAP_ID;
    ck_assert_int_eq(open_result(&source), -EINVAL);
    source.map_id = UINT32_MAX;
    ck_assert_int_eq(open_result(&source), -ENOENT);
    source.map_id = map_id(user_fd(&user));
    ck_assert_int_eq(open_result(&source), 0);
    source.kind = RBCORE_SOURCE_PINNED_PATH;
    ck_assert_int_eq(open_result(&source), -EINVAL);
    source.path = "/nowhere/at/all";
    ck_assert_int_eq(open_result(&source), -ENOENT);
    close_user(&user);
}
END_TEST

START_TEST(half_permitted_descriptors) {
    static const uint32_t flags[] = {BPF_F_RDONLY, BPF_F_WRONLY};
    user_ring user = open_user(pages(1), pages(1));
    rbcore_source source = user_source(&user);
    rbcore_producer_free(user.producer);
    for (int i = 0; i < 2; i++) {
        union bpf_attr attr;
        memset(&attr, 0, sizeof(attr));
        attr.map_id = map_id(user_fd(&user));
        attr.open_flags = flags[i];
        source.fd = (int)syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attr, sizeof(attr));
        ck_assert_int_ge(source.fd, 0);
        int result = open_result(&source);
        ck_assert_msg(result == -EACCES || result == -EPERM, "%d", result);
        close(source.fd);
    }
    /* The attempts have left nothing behind. */
    source.fd = user_fd(&user);
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
    close_user(&user);
}
END_TEST

/* ---- One producer -------------------------------------------------------------------------- */

START_TEST(a_second_producer) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_source source = user_source(&user), by_id = user_source(&user);
    by_id.kind = RBCORE_SOURCE_MAP_ID;
    by_id.map_id = map_id(user_fd(&user));
    ck_assert_int_eq(open_result(&source), -EBUSY);
    ck_assert_int_eq(open_result(&by_id), -EBUSY);
    /* The ring of the answers is another map: it has nothing to do with this. */
    ck_assert_int_eq(send_request(&user, 1, 1, SMALL), 0);
    rbcore_producer_free(user.producer);
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &by_id), 0);
    ck_assert_int_eq(send_request(&user, 1, 2, SMALL), 0);
    ck_assert_int_eq(drain(&user), 2);
    assert_answer(&user, 1, 1, SMALL);
    assert_answer(&user, 1, 2, SMALL);
    close_user(&user);
}
END_TEST

START_TEST(closing_discards_what_is_reserved) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_source source = user_source(&user);
    void *data;
    ck_assert_int_eq(send_request(&user, 1, 1, SMALL), 0);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, SMALL), 0);
    ck_assert_int_eq(send_request(&user, 1, 3, SMALL), 0);
    ck_assert_int_eq(drain(&user), 1);
    rbcore_producer_free(user.producer);
    ck_assert_int_eq(drain(&user), 1);
    assert_answer(&user, 1, 1, SMALL);
    assert_answer(&user, 1, 3, SMALL);
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
    ck_assert_int_eq(send_request(&user, 1, 4, SMALL), 0);
    ck_assert_int_eq(drain(&user), 1);
    close_user(&user);
}
END_TEST

/* Runs until it is killed, with a record of its own in the middle of the ring. */
static void be_a_producer(const user_ring *user, int ready) {
    rbcore_source source = user_source(user);
    user_ring self = *user;
    void *data;
    if (rbcore_producer_open(&self.producer, &source) ||
        rbcore_producer_output(self.producer, "", 1, 0) ||
        rbcore_producer_reserve(self.producer, &data, SMALL) ||
        rbcore_producer_output(self.producer, "", 1, 0) || write(ready, "", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

START_TEST(a_producer_that_is_killed) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_source source = user_source(&user);
    int ready[2];
    char byte;
    rbcore_producer_free(user.producer);
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        be_a_producer(&user, ready[1]);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(open_result(&source), -EBUSY);
    ck_assert_int_eq(drain(&user), 1);
    ck_assert_int_eq(drain(&user), 0);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(wait_child(pid), 256 + SIGKILL);
    ck_assert_int_eq(drain(&user), 0); /* nobody has told the kernel */
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
    ck_assert_int_eq(drain(&user), 1);
    ck_assert_int_eq(send_request(&user, 1, 1, SMALL), 0);
    ck_assert_int_eq(drain(&user), 1);
    close(ready[0]);
    close_user(&user);
}
END_TEST

START_TEST(a_forked_child) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_slice slice = {.data = "", .size = 1};
    void *data;
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, SMALL), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        void *other;
        bool refused = rbcore_producer_reserve(user.producer, &other, 8) == -ECHILD &&
                       rbcore_producer_reserve_wait(user.producer, &other, 8, 0) == -ECHILD &&
                       rbcore_producer_submit(user.producer, data, 0) == -ECHILD &&
                       rbcore_producer_output(user.producer, "", 1, 0) == -ECHILD &&
                       rbcore_producer_output_batch(user.producer, &slice, 1, 0) == -ECHILD;
        rbcore_producer_free(user.producer);
        _exit(refused ? 0 : 1);
    }
    ck_assert_int_eq(wait_child(pid), 0);
    fill_request(data, 1, 1, SMALL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, data, 0), 0);
    ck_assert_int_eq(drain(&user), 1);
    assert_answer(&user, 1, 1, SMALL);
    rbcore_source source = user_source(&user);
    ck_assert_int_eq(open_result(&source), -EBUSY);
    close_user(&user);
}
END_TEST

/* libbpf's producer goes on where ours stops, and the other way round. */
START_TEST(in_turns_with_libbpf) {
    user_ring user = open_user(pages(1), pages(1));
    struct user_ring_buffer *libbpf = user_ring_buffer__new(user_fd(&user), NULL);
    ck_assert_ptr_nonnull(libbpf);
    for (uint64_t i = 0; i < 1000; i += 2) {
        uint32_t size = SMALL + (uint32_t)(i % 100);
        ck_assert_int_eq(send_request(&user, 1, i, size), 0);
        void *data = user_ring_buffer__reserve(libbpf, size);
        ck_assert_ptr_nonnull(data);
        fill_request(data, 2, i + 1, size);
        user_ring_buffer__submit(libbpf, data);
        ck_assert_int_eq(drain(&user), 2);
        assert_answer(&user, 1, i, size);
        assert_answer(&user, 2, i + 1, size);
    }
    user_ring_buffer__free(libbpf);
    close_user(&user);
}
END_TEST

/* A producer that insists takes the ring beside another one, and leaves it its records. */
START_TEST(what_another_producer_reserved) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_source source = user_source(&user);
    rbcore_producer *other;
    void *data;
    ck_assert_int_eq(rbcore_producer_open(&other, &source), -EBUSY);
    source.flags = RBCORE_SOURCE_INSIST;
    ck_assert_int_eq(rbcore_producer_open(&other, &source), 0);
    ck_assert_int_eq(rbcore_producer_reserve(user.producer, &data, SMALL), 0);
    rbcore_producer_free(other);
    fill_request(data, 1, 1, SMALL);
    ck_assert_int_eq(rbcore_producer_submit(user.producer, data, 0), 0);
    ck_assert_int_eq(drain(&user), 1);
    assert_answer(&user, 1, 1, SMALL);
    close_user(&user);
}
END_TEST

/* It is not this library's: nothing tells whether its producer lives. */
START_TEST(what_libbpf_reserved) {
    user_ring user = open_user(pages(1), pages(1));
    struct user_ring_buffer *libbpf = user_ring_buffer__new(user_fd(&user), NULL);
    rbcore_source source = user_source(&user);
    ck_assert_ptr_nonnull(libbpf);
    void *data = user_ring_buffer__reserve(libbpf, SMALL);
    ck_assert_ptr_nonnull(data);
    rbcore_producer_free(user.producer);
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
    ck_assert_int_eq(drain(&user), 0);
    fill_request(data, 2, 1, SMALL);
    user_ring_buffer__submit(libbpf, data);
    ck_assert_int_eq(drain(&user), 1);
    assert_answer(&user, 2, 1, SMALL);
    user_ring_buffer__free(libbpf);
    close_user(&user);
}
END_TEST

START_TEST(a_refused_producer_leaves_the_ring) {
    user_ring user = open_user(pages(1), pages(1));
    positions at = map_positions(&user);
    rbcore_source source = user_source(&user);
    rbcore_producer_free(user.producer);
    *at.producer = 4;
    ck_assert_int_eq(open_result(&source), -EBADMSG);
    *at.producer = 0;
    ck_assert_int_eq(rbcore_producer_open(&user.producer, &source), 0);
    close_user(&user);
}
END_TEST

START_TEST(a_producer_that_goes_leaves_no_descriptor) {
    user_ring user = open_user(pages(1), pages(1));
    rbcore_source source = user_source(&user);
    unsigned int fds = open_fds();
    ck_assert_int_eq(open_result(&source), -EBUSY);
    ck_assert_uint_eq(open_fds(), fds);
    source.flags = RBCORE_SOURCE_INSIST;
    ck_assert_int_eq(open_result(&source), 0);
    ck_assert_uint_eq(open_fds(), fds);
    close_user(&user);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("user ring");
    add_test(suite, what_another_producer_reserved);
    add_test(suite, what_libbpf_reserved);
    add_test(suite, a_refused_producer_leaves_the_ring);
    add_test(suite, a_producer_that_goes_leaves_no_descriptor);
    add_test(suite, what_is_submitted_is_drained_in_order);
    add_test(suite, the_layout);
    add_test(suite, outputs_of_each_size);
    add_test(suite, empty_and_tiny_records);
    add_test(suite, a_full_ring);
    add_test(suite, the_largest_record_of_a_small_ring);
    add_test(suite, the_largest_record_of_a_large_ring);
    add_test(suite, discarded_and_unfinished_records);
    add_test(suite, a_drain_that_stops_early);
    add_test(suite, wrapping);
    add_test(suite, batches);
    add_test(suite, batches_with_something_wrong);
    add_test(suite, a_batch_behind_an_unfinished_record);
    add_test(suite, wrong_submits);
    add_test(suite, positions_that_cannot_be);
    add_test(suite, content_that_cannot_be);
    add_test(suite, sources);
    add_test(suite, half_permitted_descriptors);
    add_test(suite, a_second_producer);
    add_test(suite, closing_discards_what_is_reserved);
    add_test(suite, a_producer_that_is_killed);
    add_test(suite, a_forked_child);
    add_test(suite, in_turns_with_libbpf);
    return run_kernel_tests(suite, user_ring_missing());
}
