/* SPDX-License-Identifier: MIT */
#include "foreign.h"

#include <check.h>
#include <dlfcn.h>
#include <ffi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRUCT(type, size) {#type, NULL, 0, size, 0},
#define FIELD(type, name, offset, size, initial) {#type, #name, offset, size, initial},
const abi_field fields[FIELDS] = {ABI_LAYOUT(STRUCT, FIELD)};

abi_function functions[FUNCTIONS] = {
#define FUNCTION(name, signature) {"rbcore_" #name, signature, NULL, 0},
    ABI_FUNCTIONS(FUNCTION)};

int foreign_load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return -1;
    }
    for (size_t i = 0; i < COUNT(functions); i++) {
        void *symbol = dlsym(library, functions[i].name);
        if (!symbol) {
            fprintf(stderr, "%s\n", dlerror());
            return -1;
        }
        memcpy(&functions[i].symbol, &symbol, sizeof(symbol));
    }
    return 0;
}

static ffi_type *type_of(char letter) {
    switch (letter) {
    case 'v':
        return &ffi_type_void;
    case 'i':
        return &ffi_type_sint32;
    case 'u':
        return &ffi_type_uint32;
    case 'l':
        return &ffi_type_sint64;
    case 'z':
        return &ffi_type_uint64;
    default:
        return &ffi_type_pointer;
    }
}

int64_t invoke(const abi_function *function, const uint64_t *values) {
    const char *letters = function->signature + 1;
    unsigned int count = (unsigned int)strlen(letters);
    ffi_type *types[MAX_ARGUMENTS];
    void *arguments[MAX_ARGUMENTS];
    uint64_t wide[MAX_ARGUMENTS];
    uint32_t narrow[MAX_ARGUMENTS];
    ffi_cif cif;
    union {
        ffi_arg number;
        int64_t wide;
    } result = {.wide = 0};
    for (unsigned int i = 0; i < count; i++) {
        types[i] = type_of(letters[i]);
        wide[i] = values[i];
        narrow[i] = (uint32_t)values[i];
        arguments[i] = types[i]->size == 4 ? (void *)&narrow[i] : (void *)&wide[i];
    }
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, count, type_of(function->signature[0]), types)) {
        abort();
    }
    ffi_call(&cif, function->symbol, &result, arguments);
    switch (function->signature[0]) {
    case 'i':
        return (int32_t)result.number;
    case 'u':
        return (uint32_t)result.number;
    default:
        return result.wide;
    }
}

abi_function *find_function(const char *name) {
    for (size_t i = 0; i < COUNT(functions); i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
    }
    ck_abort_msg("%s is not in abi_table.h", name);
}

int64_t call(const char *name, size_t count, const uint64_t *values) {
    abi_function *function = find_function(name);
    ck_assert_msg(strlen(function->signature) == count + 1, "%s called with %zu arguments", name,
                  count);
    function->calls++;
    return invoke(function, values);
}

uint64_t pointer(const void *p) {
    return (uintptr_t)p;
}

const abi_field *find_field(const char *type, const char *name) {
    for (size_t i = 0; i < COUNT(fields); i++) {
        const abi_field *f = &fields[i];
        if (strcmp(f->type, type) == 0 && f->name && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    ck_abort_msg("%s.%s is not in abi_table.h", type, name);
}

uint64_t get_field(const unsigned char *bytes, const abi_field *f) {
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (f->size) {
    case 2:
        memcpy(&u16, bytes + f->offset, 2);
        return u16;
    case 4:
        memcpy(&u32, bytes + f->offset, 4);
        return u32;
    default:
        memcpy(&u64, bytes + f->offset, 8);
        return u64;
    }
}

void set_field(unsigned char *bytes, const abi_field *f, uint64_t value) {
    uint32_t u32 = (uint32_t)value;
    if (f->size == 4) {
        memcpy(bytes + f->offset, &u32, 4);
    } else {
        memcpy(bytes + f->offset, &value, 8);
    }
}

size_t size_of(const char *type) {
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(fields[i].type, type) == 0 && !fields[i].name) {
            return fields[i].size;
        }
    }
    ck_abort_msg("%s is not in abi_table.h", type);
}
