/* SPDX-License-Identifier: MIT */
/*
 * The exports of librbcore-libbpf.so: the ring buffers of libbpf's API, as programs that were
 * compiled with its header call them. tests/libbpf compares each declaration with that header.
 */
#ifndef RBCORE_LIBBPF_API_H
#define RBCORE_LIBBPF_API_H

#include <stddef.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

struct ring;
struct ring_buffer;
struct user_ring_buffer;

typedef int (*ring_buffer_sample_fn)(void *ctx, void *data, size_t size);

#ifndef __LIBBPF_LIBBPF_H /* tests/libbpf includes that, too */
struct ring_buffer_opts {
    size_t sz;
};
struct user_ring_buffer_opts {
    size_t sz;
};
#endif

/* libbpf 0.0.9 */
EXPORTED struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample_cb,
                                              void *ctx, const struct ring_buffer_opts *opts);
EXPORTED void ring_buffer__free(struct ring_buffer *rb);
EXPORTED int ring_buffer__add(struct ring_buffer *rb, int map_fd, ring_buffer_sample_fn sample_cb,
                              void *ctx);
EXPORTED int ring_buffer__poll(struct ring_buffer *rb, int timeout_ms);
EXPORTED int ring_buffer__consume(struct ring_buffer *rb);

/* libbpf 0.3 */
EXPORTED int ring_buffer__epoll_fd(const struct ring_buffer *rb);

/* libbpf 1.1 */
EXPORTED struct user_ring_buffer *user_ring_buffer__new(int map_fd,
                                                        const struct user_ring_buffer_opts *opts);
EXPORTED void user_ring_buffer__free(struct user_ring_buffer *rb);
EXPORTED void *user_ring_buffer__reserve(struct user_ring_buffer *rb, uint32_t size);
EXPORTED void *user_ring_buffer__reserve_blocking(struct user_ring_buffer *rb, uint32_t size,
                                                  int timeout_ms);
EXPORTED void user_ring_buffer__submit(struct user_ring_buffer *rb, void *sample);
EXPORTED void user_ring_buffer__discard(struct user_ring_buffer *rb, void *sample);

/* libbpf 1.3 */
EXPORTED struct ring *ring_buffer__ring(struct ring_buffer *rb, unsigned int idx);
EXPORTED unsigned long ring__consumer_pos(const struct ring *r);
EXPORTED unsigned long ring__producer_pos(const struct ring *r);
EXPORTED size_t ring__avail_data_size(const struct ring *r);
EXPORTED size_t ring__size(const struct ring *r);
EXPORTED int ring__map_fd(const struct ring *r);
EXPORTED int ring__consume(struct ring *r);

/* libbpf 1.5 */
EXPORTED int ring_buffer__consume_n(struct ring_buffer *rb, size_t n);
EXPORTED int ring__consume_n(struct ring *r, size_t n);

#endif
