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
 * The default. From 500 us on a ring of 10,000 records a second is worth pacing, and a program with
 * a callback has no other latency to wait for; bench/ has the measurements.
 */
#define DEFAULT_MAX_LATENCY_US 500
#define MAX_LATENCY_US_LIMIT 10000000

int64_t setting_max_latency_ns(void);

/* NULL: none are wanted. */
const char *setting_stats(void);

#endif
