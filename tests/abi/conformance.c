/* SPDX-License-Identifier: MIT */
/*
 * Calls every function of the installed librbcore.so through libffi, as a foreign language does:
 * what it knows of the ABI is abi_table.h, not rbcore.h.
 * usage: conformance LIBRARY SYMBOL_MAP
 */
#include "conformance.h"

#include <stdio.h>
#include <string.h>

#include "foreign.h"

/* The symbol map that the library was linked with says what there is; argv[2]. */
static const char *symbol_map;

START_TEST(every_function_was_called) {
    FILE *file = fopen(symbol_map, "re");
    char line[256];
    char name[256];
    size_t symbols = 0;
    ck_assert_msg(file != NULL, "cannot open %s", symbol_map);
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, " %255[a-z_0-9];", name) != 1 || strncmp(name, "rbcore_", 7) != 0) {
            continue;
        }
        symbols++;
        ck_assert_msg(find_function(name)->calls > 0, "%s was not called", name);
    }
    fclose(file);
    ck_assert_uint_eq(symbols, COUNT(functions));
}
END_TEST

/* The last to be added: it looks at what the others called. */
static void add_coverage_test(Suite *suite) {
    TCase *group = tcase_create("coverage");
    tcase_add_test(group, every_function_was_called);
    suite_add_tcase(suite, group);
}

int main(int argc, char **argv) {
    Suite *suite = suite_create("the installed library, through libffi");
    SRunner *runner;
    int failed;
    if (argc != 3) {
        fprintf(stderr, "usage: %s LIBRARY SYMBOL_MAP\n", argv[0]);
        return 2;
    }
    symbol_map = argv[2];
    if (foreign_load(argv[1]) < 0) {
        return 1;
    }
    add_function_tests(suite);
    add_struct_tests(suite);
    add_ring_tests(suite);
    add_coverage_test(suite);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* calls are counted in this process */
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
