/* SPDX-License-Identifier: MIT */
/*
 * This is not part of the ABI. It is for code that mimics a reader which returns on every wakeup,
 * and that links the library statically (bindings/libbpf). librbcore.so does not export it.
 */
#ifndef RBC_RETURN_ON_DISCARDS_H
#define RBC_RETURN_ON_DISCARDS_H

#include <rbcore/rbcore.h>
#include <stdint.h>

/*
 * From now on rbcore_reader_next and rbcore_reader_next_spans return 0 before the time is up if
 * they passed discarded records and found no others. The next wakeup is armed then. The reading
 * thread.
 */
void rbc_reader_return_on_discards(rbcore_reader *self);

/* How many discarded records the reader has passed. Any thread. */
uint64_t rbc_reader_discards(const rbcore_reader *self);

#endif
