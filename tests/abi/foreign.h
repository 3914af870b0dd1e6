/* SPDX-License-Identifier: MIT */
/*
 * All that a binding needs to use librbcore: functions by name, called through libffi with numbers
 * and pointers, and structs as memory whose fields are found by name. All it knows is abi_table.h.
 */
#ifndef RBCORE_ABI_FOREIGN_H
#define RBCORE_ABI_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

#include "abi_table.h"

/* ---- The table as data --------------------------------------------------------------------- */

#define CONSTANT(name, value)                                                                      \
    static const uint64_t RBCORE_##name __attribute__((unused)) = UINT64_C(value);
ABI_CONSTANTS(CONSTANT)

typedef struct abi_field {
    const char *type;
    const char *name; /* NULL: the struct itself */
    size_t offset;
    size_t size;
    int64_t initial;
} abi_field;

typedef struct abi_function {
    const char *name;
    const char *signature;
    void (*symbol)(void);
    int calls;
} abi_function;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define COUNT_ONE(name, signature) +1
#define FUNCTIONS (0 ABI_FUNCTIONS(COUNT_ONE))
#define COUNT_STRUCT(type, size) +1
#define COUNT_FIELD(type, name, offset, size, initial) +1
#define FIELDS (0 ABI_LAYOUT(COUNT_STRUCT, COUNT_FIELD))
#define MAX_ARGUMENTS 6

extern const abi_field fields[FIELDS];
extern abi_function functions[FUNCTIONS];

/* ---- Calls --------------------------------------------------------------------------------- */

/* Loads the library. Returns 0, or -1 after saying what is missing. */
int foreign_load(const char *path);

/* Returns what the function returned: an int sign-extended, a pointer as a number. */
int64_t invoke(const abi_function *function, const uint64_t *values);

abi_function *find_function(const char *name);

/* Calls a function as invoke does, and counts the call. */
int64_t call(const char *name, size_t count, const uint64_t *values);

#define VALUES(...) ((uint64_t[]){__VA_ARGS__})
#define CALL(name, ...) call("rbcore_" #name, COUNT(VALUES(__VA_ARGS__)), VALUES(__VA_ARGS__))

uint64_t pointer(const void *p);

/* ---- Structs ------------------------------------------------------------------------------- */

/* Room for the largest struct that the library accepts, and some for it not to touch. */
#define LARGEST 4096
#define GUARD 64
#define UNTOUCHED 0xa5

typedef struct abi_memory {
    _Alignas(16) unsigned char bytes[LARGEST + GUARD];
} abi_memory;

size_t size_of(const char *type);
const abi_field *find_field(const char *type, const char *name);
uint64_t get_field(const unsigned char *bytes, const abi_field *f);
void set_field(unsigned char *bytes, const abi_field *f, uint64_t value);

#define GET(bytes, type, name) get_field(bytes, find_field("rbcore_" #type, #name))
#define SET(bytes, type, name, value)                                                              \
    set_field(bytes, find_field("rbcore_" #type, #name), (uint64_t)(value))

#endif /* RBCORE_ABI_FOREIGN_H */
