/* SPDX-License-Identifier: MIT */
/* Generated from include/rbcore by bindings/amalgamate.py, until the next version. Do not edit. */
/* clang-format off */
#ifndef RBCORE_RBCORE_H
#define RBCORE_RBCORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RBCORE_API __attribute__((visibility("default")))
#else
#define RBCORE_API
#endif

#define RBCORE_VERSION UINT32_C(0x000300)

RBCORE_API uint32_t rbcore_version(void);

#define RBCORE_FEATURE_KERNEL_RING UINT32_C(1)
#define RBCORE_FEATURE_MEMORY_RING UINT32_C(2)
#define RBCORE_FEATURE_OVERWRITE UINT32_C(4)
#define RBCORE_FEATURE_USER_RING UINT32_C(8)

RBCORE_API int rbcore_supports(uint32_t feature);

RBCORE_API const char *rbcore_strerror(int error);

typedef struct rbcore_slice {
    const void *data;
    size_t size;
} rbcore_slice;

#define RBCORE_MEMORY_RING_OVERWRITE UINT32_C(1)

RBCORE_API int rbcore_memory_ring_create(int *memory_fd, int *event_fd, size_t ring_size,
                                         uint32_t flags);

#define RBCORE_SOURCE_MAP_FD UINT32_C(1)
#define RBCORE_SOURCE_PINNED_PATH UINT32_C(2)
#define RBCORE_SOURCE_MAP_ID UINT32_C(3)
#define RBCORE_SOURCE_MEMORY_RING UINT32_C(4)

#define RBCORE_SOURCE_LATEST UINT32_C(1)
#define RBCORE_SOURCE_INSIST UINT32_C(2)
#define RBCORE_SOURCE_OVERWRITE UINT32_C(4)
#define RBCORE_SOURCE_TAP UINT32_C(8)

typedef struct rbcore_source {
    size_t size;
    uint32_t kind;
    uint32_t flags;
    int32_t fd;
    int32_t event_fd;
    uint32_t map_id;
    int32_t loss_fd;
    const char *path;
    uint64_t cookie;
} rbcore_source;

#define RBCORE_SOURCE_INIT {sizeof(rbcore_source), 0, 0, -1, -1, 0, -1, NULL, 0}

RBCORE_API int rbcore_source_init(rbcore_source *out, size_t size);

typedef struct rbcore_reader rbcore_reader;

#define RBCORE_RINGS_MAX 65536

#define RBCORE_READER_RELEASE UINT32_C(1)

#define RBCORE_READER_POLL UINT32_C(2)

#define RBCORE_DEFAULT_MAX_LATENCY INT64_C(1000000)

typedef struct rbcore_reader_options {
    size_t size;
    uint32_t flags;
    uint32_t order_clock;
    int64_t max_latency_ns;
} rbcore_reader_options;

#define RBCORE_READER_OPTIONS_INIT {sizeof(rbcore_reader_options), 0, 0, RBCORE_DEFAULT_MAX_LATENCY}

RBCORE_API int rbcore_reader_options_init(rbcore_reader_options *out, size_t size);

typedef struct rbcore_record {
    const void *data;
    uint64_t position;
    uint32_t size;
    uint16_t ring;
    uint16_t flags;
} rbcore_record;

#define RBCORE_RECORD_COPIED UINT32_C(1)
#define RBCORE_RECORD_LOST_BEFORE UINT32_C(2)

RBCORE_API int rbcore_reader_open(rbcore_reader **out, const rbcore_reader_options *options);

RBCORE_API int rbcore_reader_ref(rbcore_reader *self);

RBCORE_API void rbcore_reader_free(rbcore_reader *self);

RBCORE_API int rbcore_reader_add(rbcore_reader *self, const rbcore_source *source);

RBCORE_API int rbcore_reader_remove(rbcore_reader *self, unsigned int ring);

RBCORE_API int rbcore_reader_ring_after(rbcore_reader *self, int ring);

RBCORE_API int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max);

RBCORE_API int rbcore_reader_look(rbcore_reader *self, rbcore_record *records, size_t max);

#define RBCORE_FOREVER (-1)

RBCORE_API int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
                                  int64_t timeout_ns);

typedef struct rbcore_span {
    const void *data;
    uint64_t position;
    uint32_t stride;
    uint32_t size;
    uint32_t count;
    uint16_t ring;
    uint16_t flags;
} rbcore_span;

RBCORE_API int rbcore_reader_next_spans(rbcore_reader *self, rbcore_span *spans, size_t max_spans,
                                        size_t max_records, int64_t timeout_ns);

#define RBCORE_COMMIT_NOW UINT32_C(1)

RBCORE_API int rbcore_reader_commit(rbcore_reader *self, const rbcore_record *last, uint32_t flags);

RBCORE_API int rbcore_reader_release(rbcore_reader *self, const rbcore_record *records,
                                     size_t count);

RBCORE_API int rbcore_reader_fd(const rbcore_reader *self);

RBCORE_API int rbcore_reader_interrupt(rbcore_reader *self);

RBCORE_API int rbcore_reader_flush(rbcore_reader *self);

RBCORE_API int rbcore_reader_shutdown(rbcore_reader *self);

RBCORE_API const char *rbcore_reader_message(const rbcore_reader *self);

#define RBCORE_UNKNOWN UINT64_MAX

typedef struct rbcore_reader_stats {
    size_t size;
    uint64_t records;
    uint64_t bytes;
    uint64_t discards;
    uint64_t batches;
    uint64_t commits;
    uint64_t wakeups;
    uint64_t rings;
} rbcore_reader_stats;

#define RBCORE_READER_STATS_INIT {sizeof(rbcore_reader_stats), 0, 0, 0, 0, 0, 0, 0}

RBCORE_API int rbcore_reader_stats_init(rbcore_reader_stats *out, size_t size);

RBCORE_API int rbcore_reader_stats_get(rbcore_reader *self, rbcore_reader_stats *out);

#define RBCORE_RING_BROKEN UINT64_C(1)
#define RBCORE_RING_UNGUARDED UINT64_C(2)
#define RBCORE_RING_PACED UINT64_C(4)

typedef struct rbcore_ring_stats {
    size_t size;
    uint64_t cookie;
    uint64_t flags;
    uint64_t map_id;
    uint64_t ring_size;
    uint64_t bytes_waiting;
    uint64_t high_water;
    uint64_t records;
    uint64_t bytes;
    uint64_t discards;
    uint64_t abandoned;
    uint64_t skipped;
    uint64_t lost;
    uint64_t producer_pos;
    uint64_t read_pos;
    uint64_t user_pos;
    uint64_t consumer_pos;
    uint64_t start_pos;
    uint64_t passed_bytes;
    uint64_t lost_bytes;
    uint64_t first_ring;
    uint64_t reader_pid;
} rbcore_ring_stats;

#define RBCORE_RING_STATS_INIT                                                                     \
    {sizeof(rbcore_ring_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

RBCORE_API int rbcore_ring_stats_init(rbcore_ring_stats *out, size_t size);

RBCORE_API int rbcore_reader_ring_stats(rbcore_reader *self, unsigned int ring,
                                        rbcore_ring_stats *out);

RBCORE_API int rbcore_source_ring_stats(const rbcore_source *source, rbcore_ring_stats *out);

typedef struct rbcore_identity {
    size_t size;
    uint8_t boot_id[16];
    uint64_t kind;
    uint64_t ring_id;
    uint64_t position;
} rbcore_identity;

#define RBCORE_IDENTITY_INIT {sizeof(rbcore_identity), {0}, 0, 0, 0}

RBCORE_API int rbcore_identity_init(rbcore_identity *out, size_t size);

RBCORE_API int rbcore_reader_identity(rbcore_reader *self, const rbcore_record *record,
                                      rbcore_identity *out);

typedef struct rbcore_snapshot rbcore_snapshot;

#define RBCORE_SNAPSHOT_CONSUME UINT32_C(1)

RBCORE_API int rbcore_reader_snapshot(rbcore_reader *self, unsigned int ring,
                                      rbcore_snapshot **snapshot, uint32_t flags);

RBCORE_API int rbcore_snapshot_read(rbcore_snapshot *self, rbcore_record *records, size_t max);

RBCORE_API int rbcore_snapshot_rewind(rbcore_snapshot *self);

typedef struct rbcore_snapshot_info {
    size_t size;
    uint8_t boot_id[16];
    uint64_t kind;
    uint64_t ring_id;
    uint64_t ring_size;
    uint64_t first_pos;
    uint64_t end_pos;
    uint64_t producer_pos;
    uint64_t missed;
    uint64_t realtime_ns;
    uint64_t boottime_ns;
} rbcore_snapshot_info;

#define RBCORE_SNAPSHOT_INFO_INIT {sizeof(rbcore_snapshot_info), {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0}

RBCORE_API int rbcore_snapshot_info_init(rbcore_snapshot_info *out, size_t size);

RBCORE_API int rbcore_snapshot_info_get(const rbcore_snapshot *self, rbcore_snapshot_info *out);

RBCORE_API int rbcore_snapshot_save(const rbcore_snapshot *self, int fd);

RBCORE_API int rbcore_snapshot_load(rbcore_snapshot **out, int fd);

#define RBCORE_SNAPSHOT_HEADER_SIZE 128

RBCORE_API int rbcore_reader_snapshot_header(rbcore_reader *self, const rbcore_record *first,
                                             const rbcore_record *last, void *header,
                                             rbcore_slice *content);

RBCORE_API void rbcore_snapshot_free(rbcore_snapshot *self);

typedef struct rbcore_producer rbcore_producer;

#define RBCORE_PRODUCERS_MAX 64

#define RBCORE_NO_WAKEUP UINT32_C(1)
#define RBCORE_FORCE_WAKEUP UINT32_C(2)

RBCORE_API int rbcore_producer_open(rbcore_producer **out, const rbcore_source *source);

RBCORE_API void rbcore_producer_free(rbcore_producer *self);

RBCORE_API int rbcore_producer_reserve(rbcore_producer *self, void **data, size_t size);

RBCORE_API int rbcore_producer_reserve_wait(rbcore_producer *self, void **data, size_t size,
                                            int64_t timeout_ns);

RBCORE_API int rbcore_producer_submit(rbcore_producer *self, void *data, uint32_t flags);

RBCORE_API int rbcore_producer_discard(rbcore_producer *self, void *data, uint32_t flags);

RBCORE_API int rbcore_producer_output(rbcore_producer *self, const void *data, size_t size,
                                      uint32_t flags);

RBCORE_API int rbcore_producer_output_batch(rbcore_producer *self, const rbcore_slice *slices,
                                            size_t count, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif
