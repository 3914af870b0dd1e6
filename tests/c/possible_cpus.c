/* SPDX-License-Identifier: MIT */
/*
 * The loss map has a value for each CPU that the kernel's list names. The list and the map are made
 * up here: fopen and syscall of the library are this file's (the linker's --wrap).
 */
#include "support.h"

#include "map.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

static const char *list;
static size_t cpus; /* in it */

FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
long __wrap_syscall(long number, ...);

FILE *__wrap_fopen(const char *path, const char *mode) {
    ck_assert_str_eq(path, "/sys/devices/system/cpu/possible");
    (void)mode;
    return fmemopen((void *)(uintptr_t)list, strlen(list), "r");
}

FILE *__wrap_fopen64(const char *path, const char *mode) {
    return __wrap_fopen(path, mode);
}

typedef struct value {
    uint64_t records, bytes;
} value;

/* Looks the losses up: 1 on the first CPU, 2 on the second, ... */
long __wrap_syscall(long number, ...) {
    va_list arguments;
    va_start(arguments, number);
    int command = va_arg(arguments, int);
    const rbc_bpf_arguments *lookup = va_arg(arguments, const rbc_bpf_arguments *);
    va_end(arguments);
    ck_assert_int_eq(number, SYS_bpf);
    ck_assert_int_eq(command, RBC_BPF_MAP_LOOKUP_ELEM);
    value *values = (value *)(uintptr_t)lookup->element.value;
    ck_assert_uint_ge(malloc_usable_size(values), cpus * sizeof(*values));
    for (size_t i = 0; i < cpus; i++) {
        values[i].records = i + 1;
    }
    return 0;
}

static void expect(const char *text, size_t count) {
    uint64_t records = 0;
    list = text;
    cpus = count;
    ck_assert_int_eq(rbc_map_read_losses(0, &records), 0);
    ck_assert_uint_eq(records, count * (count + 1) / 2);
}

START_TEST(possible_cpus_written_with_commas_and_ranges) {
    expect("0\n", 1);
    expect("0-1\n", 2);
    expect("0-127\n", 128);
    expect("0,2-3\n", 3);
    expect("0-1,4\n", 3);
    expect("0,2,4-40,80-99\n", 59);
    expect("0-3", 4);
}
END_TEST

START_TEST(possible_cpus_of_no_number) {
    uint64_t records;
    list = "\n";
    ck_assert_int_eq(rbc_map_read_losses(0, &records), -ENODATA);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {possible_cpus_written_with_commas_and_ranges,
                                  possible_cpus_of_no_number, NULL};
    return run_tests("possible cpus", tests);
}
