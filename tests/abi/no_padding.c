/* SPDX-License-Identifier: MIT */
/*
 * Sized structs have no padding that a later field could take the place of: what a program has
 * there is not initialized, and the size that it passes covers it. Only compiled, for each kind of
 * processor.
 */
#include <rbcore/rbcore.h>

#include <stddef.h>

#include "abi_table.h"

/* bytes_TYPE: how many bytes the fields of TYPE have together. */
#define BEGIN(type, size)                                                                          \
    }                                                                                              \
    ;                                                                                              \
    enum { bytes_##type = 0
#define ADD(type, name, offset, size, initial) +(int)sizeof(((type *)0)->name)
enum { nothing ABI_LAYOUT(BEGIN, ADD) };

/*
 * Where size_t has 4 bytes and uint64_t must begin at a multiple of 8 (armv7), there is a hole of 4
 * bytes in front of the first uint64_t. Fields are only ever appended, so no field gets there.
 */
typedef struct aligned {
    char byte;
    uint64_t word;
} aligned;
enum { HOLE = sizeof(size_t) == 4 && offsetof(aligned, word) == 8 ? 4 : 0 };

#define ENDS_WITH(type, last)                                                                      \
    _Static_assert(offsetof(type, last) + sizeof(((type *)0)->last) == sizeof(type),               \
                   #type " ends in padding")
#define HAS_HOLE(type, hole)                                                                       \
    _Static_assert(bytes_##type + (hole) == sizeof(type), #type " has another hole")

ENDS_WITH(rbcore_source, cookie);
HAS_HOLE(rbcore_source, 0);
ENDS_WITH(rbcore_reader_options, max_latency_ns);
HAS_HOLE(rbcore_reader_options, HOLE);
ENDS_WITH(rbcore_reader_stats, rings);
HAS_HOLE(rbcore_reader_stats, HOLE);
ENDS_WITH(rbcore_ring_stats, reader_pid);
HAS_HOLE(rbcore_ring_stats, HOLE);
ENDS_WITH(rbcore_identity, position);
HAS_HOLE(rbcore_identity, HOLE);
ENDS_WITH(rbcore_snapshot_info, boottime_ns);
HAS_HOLE(rbcore_snapshot_info, HOLE);
