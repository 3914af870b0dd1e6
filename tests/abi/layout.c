/* SPDX-License-Identifier: MIT */
/*
 * Compares abi_table.h with rbcore.h as the compiler sees it: sizes, offsets, constants, and that
 * no byte of a struct is left out of the table. (That no constant and no function is left out is
 * names.py's part.)
 */
#include <rbcore/rbcore.h>

#include <stdio.h>

#include "abi_table.h"

static int failures;

static void compare(const char *what, uint64_t header, uint64_t table) {
    if (header == table) {
        return;
    }
    printf("%s: rbcore.h has %llu, the table %llu\n", what, (unsigned long long)header,
           (unsigned long long)table);
    failures++;
}

/* The size of the struct that is being compared, and the end of its last field so far. */
static uint64_t struct_size;
static uint64_t end;

#define COMPARE_SIZE(type, bytes)                                                                  \
    compare("end of the last field before " #type, struct_size, end);                              \
    compare("sizeof(" #type ")", sizeof(type), bytes);                                             \
    struct_size = bytes;                                                                           \
    end = 0;

#define COMPARE_FIELD(type, field, offset, bytes, initial)                                         \
    compare("offset of " #type "." #field, offsetof(type, field), offset);                         \
    compare("size of " #type "." #field, sizeof(((type *)0)->field), bytes);                       \
    compare("end of the field before " #type "." #field, offsetof(type, field), end);              \
    end = (offset) + (bytes);

#define COMPARE_CONSTANT(name, value)                                                              \
    compare("RBCORE_" #name, (uint64_t)RBCORE_##name, UINT64_C(value));

int main(void) {
    ABI_LAYOUT(COMPARE_SIZE, COMPARE_FIELD)
    compare("end of the last field", struct_size, end);
    ABI_CONSTANTS(COMPARE_CONSTANT)
    return failures != 0;
}
