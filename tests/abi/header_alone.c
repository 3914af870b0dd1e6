/* SPDX-License-Identifier: MIT */
/* Compiled as C11 and as C++17 with every warning an error: rbcore.h alone, and its macros used. */
#include <rbcore/rbcore.h>

/* In C these need prototypes of their own; -Wmissing-prototypes is the user's right. */
#ifdef __cplusplus
extern "C" {
#endif
int use_init_macros(void);
uint64_t use_constants(void);
#ifdef __cplusplus
}
#endif

int use_init_macros(void) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_reader_stats reader_stats = RBCORE_READER_STATS_INIT;
    rbcore_ring_stats ring_stats = RBCORE_RING_STATS_INIT;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    rbcore_reader *reader = NULL;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    options.flags = RBCORE_READER_RELEASE;
    return rbcore_reader_open(&reader, &options) + rbcore_reader_add(reader, &source) +
           rbcore_reader_stats_get(reader, &reader_stats) +
           rbcore_reader_ring_stats(reader, 0, &ring_stats) +
           rbcore_reader_identity(reader, NULL, &identity) + rbcore_snapshot_info_get(NULL, &info) +
           rbcore_reader_next(reader, NULL, 0, RBCORE_FOREVER);
}

uint64_t use_constants(void) {
    return RBCORE_VERSION + RBCORE_FEATURE_KERNEL_RING + RBCORE_FEATURE_MEMORY_RING +
           RBCORE_SOURCE_MAP_FD + RBCORE_SOURCE_PINNED_PATH + RBCORE_SOURCE_MAP_ID +
           RBCORE_SOURCE_LATEST + RBCORE_SOURCE_INSIST + RBCORE_RINGS_MAX + RBCORE_UNKNOWN +
           RBCORE_RING_BROKEN + RBCORE_RING_UNGUARDED + RBCORE_PRODUCERS_MAX + RBCORE_NO_WAKEUP +
           RBCORE_FORCE_WAKEUP + RBCORE_SNAPSHOT_HEADER_SIZE;
}
