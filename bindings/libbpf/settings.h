/* SPDX-License-Identifier: MIT */
/* Settings from environment variables, which rbcore-run sets. */
#ifndef RBCORE_LIBBPF_SETTINGS_H
#define RBCORE_LIBBPF_SETTINGS_H

#include <stdint.h>

/* This is the max_latency_ns of the readers, in microseconds. Anything but a number is ignored. */
#define SETTING_MAX_LATENCY "RBCORE_LIBBPF_MAX_LATENCY_US"

/*
 * This says where statistics go at the end of each process that read a ring: a file, or "-" for
 * stderr.
 */
#define SETTING_STATS "RBCORE_LIBBPF_STATS"

/*
 * This is the default. A program that sets no latency wants the events at the least cost. With this
 * value a ring is worth pacing from 4,000 events a second on, and a fast one takes half the
 * processor time that it takes at 500 us. For people and log files a millisecond is no delay.
 * bench/ has the measurements.
 */
#define DEFAULT_MAX_LATENCY_US 1000
#define MAX_LATENCY_US_LIMIT 10000000

int64_t setting_max_latency_ns(void);

/* NULL says that none are wanted. */
const char *setting_stats(void);

#endif
