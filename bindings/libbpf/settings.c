/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stdbool.h>
#include <stdlib.h>

int64_t setting_max_latency_ns(void) {
    const char *text = secure_getenv(SETTING_MAX_LATENCY);
    char *end = NULL;
    long us = text == NULL ? -1 : strtol(text, &end, 10);
    bool is_number = end != NULL && end != text && *end == '\0' && us >= 0;
    return (is_number && us <= MAX_LATENCY_US_LIMIT ? us : DEFAULT_MAX_LATENCY_US) * INT64_C(1000);
}

const char *setting_stats(void) {
    return secure_getenv(SETTING_STATS);
}
