/* SPDX-License-Identifier: MIT */
/* What rbcore-run, or whoever sets LD_PRELOAD himself, asks for by environment variables. */
#ifndef RBCORE_LIBBPF_SETTINGS_H
#define RBCORE_LIBBPF_SETTINGS_H

#include <stdint.h>

/* Microseconds, the max_latency_ns of the readers; what is no number is as if it were not set. */
#define SETTING_MAX_LATENCY "RBCORE_LIBBPF_MAX_LATENCY_US"

/* Where statistics go at the end of each process that read a ring: a file, or "-" for stderr. */
#define SETTING_STATS "RBCORE_LIBBPF_STATS"

/*
 * The default. A program that brings no latency of its own wants the events at the least cost: from
 * 4,000 a second on a ring is worth pacing then, and a fast one takes half the processor time that
 * it does at 500 us. For people and log files a millisecond is at once. bench/ has the measurements.
 */
#define DEFAULT_MAX_LATENCY_US 1000
#define MAX_LATENCY_US_LIMIT 10000000

int64_t setting_max_latency_ns(void);

/* NULL: none are wanted. */
const char *setting_stats(void);

#endif
