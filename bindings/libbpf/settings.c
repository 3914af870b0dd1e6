/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stdbool.h>
#include <stdlib.h>

#include <rbcore/rbcore.h>

int64_t setting_max_latency_ns(void) {
    const char *text = secure_getenv(SETTING_MAX_LATENCY);
    char *end = NULL;
    long us = text == NULL ? -1 : strtol(text, &end, 10);
    bool is_number = end != NULL && end != text && *end == '\0' && us >= 0;
    bool is_set = is_number && us <= MAX_LATENCY_US_LIMIT;
    return is_set ? us * INT64_C(1000) : RBCORE_DEFAULT_MAX_LATENCY;
}

const char *setting_stats(void) {
    return secure_getenv(SETTING_STATS);
}
