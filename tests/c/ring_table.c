/* SPDX-License-Identifier: MIT */
/* The table of a reader's rings, with more of them than a process can map. */
#include "support.h"

#include "ring_table.h"

#include <limits.h>

static rbc_ring_table *table_of(rbc_ring *rings, unsigned int count) {
    rbc_ring_table *table = calloc(1, sizeof(*table));
    ck_assert_ptr_nonnull(table);
    for (unsigned int i = 0; i < count; i++) {
        ck_assert_int_eq(rbc_ring_table_reserve(table), (int)i);
        rbc_ring_table_put(table, &rings[i], i);
    }
    return table;
}

static void close_table(rbc_ring_table *table) {
    rbc_ring_table_free(table);
    free(table);
}

START_TEST(as_many_rings_as_indexes) {
    rbc_ring *rings = calloc(RBCORE_RINGS_MAX, sizeof(*rings));
    ck_assert_ptr_nonnull(rings);
    rbc_ring_table *table = table_of(rings, RBCORE_RINGS_MAX);
    ck_assert_int_eq(rbc_ring_table_reserve(table), -ENOSPC);
    ck_assert_ptr_eq(rbc_ring_table_find(table, RBCORE_RINGS_MAX - 1), &rings[65535]);
    ck_assert_ptr_null(rbc_ring_table_find(table, RBCORE_RINGS_MAX));
    ck_assert_ptr_null(rbc_ring_table_at(table, RBCORE_RINGS_MAX));
    ck_assert_int_eq(rbc_ring_table_after(table, RBCORE_RINGS_MAX - 1), RBCORE_RINGS_MAX - 1);
    ck_assert_int_eq(rbc_ring_table_after(table, RBCORE_RINGS_MAX), -ENOENT);
    rbc_ring_table_take_out(table, &rings[500]);
    /* Its index is free when its last record was released. */
    ck_assert_ptr_null(rbc_ring_table_find(table, 500));
    ck_assert_ptr_eq(rbc_ring_table_at(table, 500), &rings[500]);
    ck_assert_int_eq(rbc_ring_table_reserve(table), -ENOSPC);
    rbc_ring_table_clear(table, 500);
    ck_assert_int_eq(rbc_ring_table_reserve(table), 500);
    close_table(table);
    free(rings);
}
END_TEST

/* Each stays what its index names, whatever the order in which the others go. */
START_TEST(rings_go_in_any_order) {
    enum { COUNT = 1000 };
    rbc_ring *rings = calloc(COUNT, sizeof(*rings));
    ck_assert_ptr_nonnull(rings);
    rbc_ring_table *table = table_of(rings, COUNT);
    for (unsigned int gone = 0; gone < COUNT; gone++) {
        rbc_ring_table_take_out(table, &rings[gone * 7 % COUNT]);
        rbc_ring_table_clear(table, gone * 7 % COUNT);
        for (unsigned int i = 0; i < COUNT; i += 37) {
            bool is_gone = rbc_ring_table_at(table, i) == NULL;
            ck_assert_ptr_eq(rbc_ring_table_find(table, i), is_gone ? NULL : &rings[i]);
        }
        ck_assert_uint_eq(table->count, COUNT - 1 - gone);
    }
    close_table(table);
    free(rings);
}
END_TEST

/* In several chunks, of which one was never made. */
START_TEST(the_next_ring) {
    enum { COUNT = 3 * RBC_CHUNK_SLOTS, BEHIND = COUNT + RBC_CHUNK_SLOTS };
    rbc_ring *rings = calloc(COUNT + 1, sizeof(*rings));
    ck_assert_ptr_nonnull(rings);
    rbc_ring_table *table = table_of(rings, COUNT);
    for (unsigned int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(rbc_ring_table_after(table, i), (int)i);
        if (i != 1 && i != 2 * RBC_CHUNK_SLOTS && i != COUNT - 1) {
            rbc_ring_table_take_out(table, &rings[i]); /* its last record may still be held */
        }
    }
    rbc_ring_table_clear(table, 500);
    ck_assert_int_eq(rbc_ring_table_after(table, COUNT), -ENOENT);
    table->next_slot = BEHIND;
    ck_assert_int_eq(rbc_ring_table_reserve(table), BEHIND);
    rbc_ring_table_put(table, &rings[COUNT], BEHIND);
    ck_assert_int_eq(rbc_ring_table_after(table, 0), 1);
    ck_assert_int_eq(rbc_ring_table_after(table, 1), 1);
    ck_assert_int_eq(rbc_ring_table_after(table, 2), 2 * RBC_CHUNK_SLOTS);
    ck_assert_int_eq(rbc_ring_table_after(table, 2 * RBC_CHUNK_SLOTS + 1), COUNT - 1);
    ck_assert_int_eq(rbc_ring_table_after(table, COUNT), BEHIND);
    ck_assert_int_eq(rbc_ring_table_after(table, COUNT + 7), BEHIND);
    ck_assert_int_eq(rbc_ring_table_after(table, BEHIND + 1), -ENOENT);
    ck_assert_int_eq(rbc_ring_table_after(table, UINT_MAX), -ENOENT);
    close_table(table);
    free(rings);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {as_many_rings_as_indexes, rings_go_in_any_order, the_next_ring,
                                  NULL};
    return run_tests("ring_table", tests);
}
