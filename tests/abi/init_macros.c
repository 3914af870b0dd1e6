/* SPDX-License-Identifier: MIT */
/* Compares each _INIT macro with its _init function, byte by byte. */
#include <rbcore/rbcore.h>

#include <stdio.h>
#include <string.h>

static int failures;

static void compare(const char *type, const void *macro, const void *function, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned int m = ((const unsigned char *)macro)[i];
        unsigned int f = ((const unsigned char *)function)[i];
        if (m == f) {
            continue;
        }
        printf("%s, byte %zu: the macro has %#x, the function %#x\n", type, i, m, f);
        failures++;
    }
}

/* The function gets memory full of rubbish: it has to write every byte. */
#define COMPARE(type, MACRO)                                                                       \
    do {                                                                                           \
        type macro = MACRO;                                                                        \
        type function;                                                                             \
                                                                                                   \
        memset(&function, 0xa5, sizeof(function));                                                 \
        if (type##_init(&function, sizeof(function)) != 0) {                                       \
            printf("%s_init failed\n", #type);                                                     \
            failures++;                                                                            \
        }                                                                                          \
        compare(#type, &macro, &function, sizeof(macro));                                          \
    } while (0)

int main(void) {
    COMPARE(rbcore_source, RBCORE_SOURCE_INIT);
    COMPARE(rbcore_reader_options, RBCORE_READER_OPTIONS_INIT);
    COMPARE(rbcore_reader_stats, RBCORE_READER_STATS_INIT);
    COMPARE(rbcore_ring_stats, RBCORE_RING_STATS_INIT);
    COMPARE(rbcore_identity, RBCORE_IDENTITY_INIT);
    COMPARE(rbcore_snapshot_info, RBCORE_SNAPSHOT_INFO_INIT);
    return failures != 0;
}
