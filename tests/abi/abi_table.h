/* SPDX-License-Identifier: MIT */
/*
 * The ABI written down by hand, for x86-64 and every other 64-bit Linux: what a binding compiled
 * years ago believes. It is not derived from rbcore.h and does not include it; layout.c compares
 * the two. A line that has been in a release never changes.
 */
#ifndef RBCORE_ABI_TABLE_H
#define RBCORE_ABI_TABLE_H

/* STRUCT(name, size) begins a struct, FIELD(struct, name, offset, size, default) follows. */
#define ABI_LAYOUT(STRUCT, FIELD)                                                                  \
    STRUCT(rbcore_source, 48)                                                                      \
    FIELD(rbcore_source, size, 0, 8, 48)                                                           \
    FIELD(rbcore_source, kind, 8, 4, 0)                                                            \
    FIELD(rbcore_source, flags, 12, 4, 0)                                                          \
    FIELD(rbcore_source, fd, 16, 4, -1)                                                            \
    FIELD(rbcore_source, event_fd, 20, 4, -1)                                                      \
    FIELD(rbcore_source, map_id, 24, 4, 0)                                                         \
    FIELD(rbcore_source, loss_fd, 28, 4, -1)                                                       \
    FIELD(rbcore_source, path, 32, 8, 0)                                                           \
    FIELD(rbcore_source, cookie, 40, 8, 0)                                                         \
    STRUCT(rbcore_reader_options, 24)                                                              \
    FIELD(rbcore_reader_options, size, 0, 8, 24)                                                   \
    FIELD(rbcore_reader_options, flags, 8, 4, 0)                                                   \
    FIELD(rbcore_reader_options, order_clock, 12, 4, 0)                                            \
    FIELD(rbcore_reader_options, max_latency_ns, 16, 8, 1000000)                                   \
    STRUCT(rbcore_record, 24)                                                                      \
    FIELD(rbcore_record, data, 0, 8, 0)                                                            \
    FIELD(rbcore_record, position, 8, 8, 0)                                                        \
    FIELD(rbcore_record, size, 16, 4, 0)                                                           \
    FIELD(rbcore_record, ring, 20, 2, 0)                                                           \
    FIELD(rbcore_record, flags, 22, 2, 0)                                                          \
    STRUCT(rbcore_span, 32)                                                                        \
    FIELD(rbcore_span, data, 0, 8, 0)                                                              \
    FIELD(rbcore_span, position, 8, 8, 0)                                                          \
    FIELD(rbcore_span, stride, 16, 4, 0)                                                           \
    FIELD(rbcore_span, size, 20, 4, 0)                                                             \
    FIELD(rbcore_span, count, 24, 4, 0)                                                            \
    FIELD(rbcore_span, ring, 28, 2, 0)                                                             \
    FIELD(rbcore_span, flags, 30, 2, 0)                                                            \
    STRUCT(rbcore_reader_stats, 64)                                                                \
    FIELD(rbcore_reader_stats, size, 0, 8, 64)                                                     \
    FIELD(rbcore_reader_stats, records, 8, 8, 0)                                                   \
    FIELD(rbcore_reader_stats, bytes, 16, 8, 0)                                                    \
    FIELD(rbcore_reader_stats, discards, 24, 8, 0)                                                 \
    FIELD(rbcore_reader_stats, batches, 32, 8, 0)                                                  \
    FIELD(rbcore_reader_stats, commits, 40, 8, 0)                                                  \
    FIELD(rbcore_reader_stats, wakeups, 48, 8, 0)                                                  \
    FIELD(rbcore_reader_stats, rings, 56, 8, 0)                                                    \
    STRUCT(rbcore_ring_stats, 176)                                                                 \
    FIELD(rbcore_ring_stats, size, 0, 8, 176)                                                      \
    FIELD(rbcore_ring_stats, cookie, 8, 8, 0)                                                      \
    FIELD(rbcore_ring_stats, flags, 16, 8, 0)                                                      \
    FIELD(rbcore_ring_stats, map_id, 24, 8, 0)                                                     \
    FIELD(rbcore_ring_stats, ring_size, 32, 8, 0)                                                  \
    FIELD(rbcore_ring_stats, bytes_waiting, 40, 8, 0)                                              \
    FIELD(rbcore_ring_stats, high_water, 48, 8, 0)                                                 \
    FIELD(rbcore_ring_stats, records, 56, 8, 0)                                                    \
    FIELD(rbcore_ring_stats, bytes, 64, 8, 0)                                                      \
    FIELD(rbcore_ring_stats, discards, 72, 8, 0)                                                   \
    FIELD(rbcore_ring_stats, abandoned, 80, 8, 0)                                                  \
    FIELD(rbcore_ring_stats, skipped, 88, 8, 0)                                                    \
    FIELD(rbcore_ring_stats, lost, 96, 8, 0)                                                       \
    FIELD(rbcore_ring_stats, producer_pos, 104, 8, 0)                                              \
    FIELD(rbcore_ring_stats, read_pos, 112, 8, 0)                                                  \
    FIELD(rbcore_ring_stats, user_pos, 120, 8, 0)                                                  \
    FIELD(rbcore_ring_stats, consumer_pos, 128, 8, 0)                                              \
    FIELD(rbcore_ring_stats, start_pos, 136, 8, 0)                                                 \
    FIELD(rbcore_ring_stats, passed_bytes, 144, 8, 0)                                              \
    FIELD(rbcore_ring_stats, lost_bytes, 152, 8, 0)                                                \
    FIELD(rbcore_ring_stats, first_ring, 160, 8, 0)                                                \
    FIELD(rbcore_ring_stats, reader_pid, 168, 8, 0)                                                \
    STRUCT(rbcore_identity, 48)                                                                    \
    FIELD(rbcore_identity, size, 0, 8, 48)                                                         \
    FIELD(rbcore_identity, boot_id, 8, 16, 0)                                                      \
    FIELD(rbcore_identity, kind, 24, 8, 0)                                                         \
    FIELD(rbcore_identity, ring_id, 32, 8, 0)                                                      \
    FIELD(rbcore_identity, position, 40, 8, 0)                                                     \
    STRUCT(rbcore_slice, 16)                                                                       \
    FIELD(rbcore_slice, data, 0, 8, 0)                                                             \
    FIELD(rbcore_slice, size, 8, 8, 0)                                                             \
    STRUCT(rbcore_snapshot_info, 96)                                                               \
    FIELD(rbcore_snapshot_info, size, 0, 8, 96)                                                    \
    FIELD(rbcore_snapshot_info, boot_id, 8, 16, 0)                                                 \
    FIELD(rbcore_snapshot_info, kind, 24, 8, 0)                                                    \
    FIELD(rbcore_snapshot_info, ring_id, 32, 8, 0)                                                 \
    FIELD(rbcore_snapshot_info, ring_size, 40, 8, 0)                                               \
    FIELD(rbcore_snapshot_info, first_pos, 48, 8, 0)                                               \
    FIELD(rbcore_snapshot_info, end_pos, 56, 8, 0)                                                 \
    FIELD(rbcore_snapshot_info, producer_pos, 64, 8, 0)                                            \
    FIELD(rbcore_snapshot_info, missed, 72, 8, 0)                                                  \
    FIELD(rbcore_snapshot_info, realtime_ns, 80, 8, 0)                                             \
    FIELD(rbcore_snapshot_info, boottime_ns, 88, 8, 0)

/* CONSTANT(name without RBCORE_, value as 64 bits) */
#define ABI_CONSTANTS(CONSTANT)                                                                    \
    CONSTANT(VERSION, 0x000300)                                                                    \
    CONSTANT(FEATURE_KERNEL_RING, 1)                                                               \
    CONSTANT(FEATURE_MEMORY_RING, 2)                                                               \
    CONSTANT(FEATURE_USER_RING, 8)                                                                 \
    CONSTANT(MEMORY_RING_OVERWRITE, 1)                                                             \
    CONSTANT(SOURCE_MAP_FD, 1)                                                                     \
    CONSTANT(SOURCE_PINNED_PATH, 2)                                                                \
    CONSTANT(SOURCE_MAP_ID, 3)                                                                     \
    CONSTANT(SOURCE_MEMORY_RING, 4)                                                                \
    CONSTANT(FEATURE_OVERWRITE, 4)                                                                 \
    CONSTANT(SOURCE_OVERWRITE, 4)                                                                  \
    CONSTANT(SOURCE_TAP, 8)                                                                        \
    CONSTANT(RECORD_LOST_BEFORE, 2)                                                                \
    CONSTANT(SOURCE_LATEST, 1)                                                                     \
    CONSTANT(SOURCE_INSIST, 2)                                                                     \
    CONSTANT(RINGS_MAX, 65536)                                                                     \
    CONSTANT(READER_RELEASE, 1)                                                                    \
    CONSTANT(READER_POLL, 2)                                                                       \
    CONSTANT(DEFAULT_MAX_LATENCY, 1000000)                                                         \
    CONSTANT(RECORD_COPIED, 1)                                                                     \
    CONSTANT(SNAPSHOT_CONSUME, 1)                                                                  \
    CONSTANT(SNAPSHOT_HEADER_SIZE, 128)                                                            \
    CONSTANT(COMMIT_NOW, 1)                                                                        \
    CONSTANT(FOREVER, 0xffffffffffffffff)                                                          \
    CONSTANT(UNKNOWN, 0xffffffffffffffff)                                                          \
    CONSTANT(RING_BROKEN, 1)                                                                       \
    CONSTANT(RING_UNGUARDED, 2)                                                                    \
    CONSTANT(RING_PACED, 4)                                                                        \
    CONSTANT(PRODUCERS_MAX, 64)                                                                    \
    CONSTANT(NO_WAKEUP, 1)                                                                         \
    CONSTANT(FORCE_WAKEUP, 2)

/*
 * FUNCTION(name without rbcore_, signature): the result, then the arguments.
 * v void, i int32, u uint32, l int64, z size_t, p pointer, o pointer that may be NULL, s string
 * that is never NULL, R reader, W producer, S snapshot (the handles).
 */
#define ABI_FUNCTIONS(FUNCTION)                                                                    \
    FUNCTION(version, "u")                                                                         \
    FUNCTION(supports, "iu")                                                                       \
    FUNCTION(strerror, "si")                                                                       \
    FUNCTION(memory_ring_create, "ippzu")                                                          \
    FUNCTION(source_init, "ipz")                                                                   \
    FUNCTION(reader_options_init, "ipz")                                                           \
    FUNCTION(reader_open, "ipo")                                                                   \
    FUNCTION(reader_ref, "iR")                                                                     \
    FUNCTION(reader_free, "vR")                                                                    \
    FUNCTION(reader_add, "iRp")                                                                    \
    FUNCTION(reader_remove, "iRu")                                                                 \
    FUNCTION(reader_ring_after, "iRi")                                                             \
    FUNCTION(reader_read, "iRpz")                                                                  \
    FUNCTION(reader_look, "iRpz")                                                                  \
    FUNCTION(reader_next, "iRpzl")                                                                 \
    FUNCTION(reader_next_spans, "iRpzzl")                                                          \
    FUNCTION(reader_commit, "iRou")                                                                \
    FUNCTION(reader_release, "iRpz")                                                               \
    FUNCTION(reader_fd, "iR")                                                                      \
    FUNCTION(reader_interrupt, "iR")                                                               \
    FUNCTION(reader_flush, "iR")                                                                   \
    FUNCTION(reader_shutdown, "iR")                                                                \
    FUNCTION(reader_message, "sR")                                                                 \
    FUNCTION(reader_stats_init, "ipz")                                                             \
    FUNCTION(reader_stats_get, "iRp")                                                              \
    FUNCTION(ring_stats_init, "ipz")                                                               \
    FUNCTION(reader_ring_stats, "iRup")                                                            \
    FUNCTION(source_ring_stats, "ipp")                                                             \
    FUNCTION(identity_init, "ipz")                                                                 \
    FUNCTION(reader_identity, "iRpp")                                                              \
    FUNCTION(reader_snapshot, "iRupu")                                                             \
    FUNCTION(snapshot_read, "iSpz")                                                                \
    FUNCTION(snapshot_rewind, "iS")                                                                \
    FUNCTION(snapshot_info_init, "ipz")                                                            \
    FUNCTION(snapshot_info_get, "iSp")                                                             \
    FUNCTION(snapshot_save, "iSi")                                                                 \
    FUNCTION(snapshot_load, "ipi")                                                                 \
    FUNCTION(reader_snapshot_header, "iRpppp")                                                     \
    FUNCTION(snapshot_free, "vS")                                                                  \
    FUNCTION(producer_open, "ipp")                                                                 \
    FUNCTION(producer_free, "vW")                                                                  \
    FUNCTION(producer_reserve, "iWpz")                                                             \
    FUNCTION(producer_submit, "iWpu")                                                              \
    FUNCTION(producer_discard, "iWpu")                                                             \
    FUNCTION(producer_output, "iWpzu")                                                             \
    FUNCTION(producer_reserve_wait, "iWpzl")                                                       \
    FUNCTION(producer_output_batch, "iWpzu")

#endif /* RBCORE_ABI_TABLE_H */
