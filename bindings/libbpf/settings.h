/* SPDX-License-Identifier: MIT */
/* Settings from environment variables, which rbcore-run sets. */
#ifndef RBCORE_LIBBPF_SETTINGS_H
#define RBCORE_LIBBPF_SETTINGS_H

#include <stdint.h>

/*
 * This is the max_latency_ns of the readers, in microseconds. Anything but a number is ignored, and
 * leaves the default: that of all readers.
 */
#define SETTING_MAX_LATENCY "RBCORE_LIBBPF_MAX_LATENCY_US"

/*
 * This says where statistics go at the end of each process that read a ring: a file, or "-" for
 * stderr.
 */
#define SETTING_STATS "RBCORE_LIBBPF_STATS"

#define MAX_LATENCY_US_LIMIT 10000000

int64_t setting_max_latency_ns(void);

/* NULL says that none are wanted. */
const char *setting_stats(void);

#endif
