/* SPDX-License-Identifier: MIT */
/*
 * librbcore-libbpf-dlsym.so, for LD_AUDIT: makes dlsym return the functions of librbcore-libbpf.so
 * also to a program that has loaded libbpf by dlopen, as Python's ctypes does. See rtld-audit(7).
 *
 * The loader keeps this library apart from the program, in a namespace with a libc of its own. The
 * library only compares names, and passes on addresses of the program's namespace.
 */
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED unsigned int la_version(unsigned int version);
EXPORTED unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie);
EXPORTED uintptr_t la_symbind64(Elf64_Sym *sym, unsigned int ndx, uintptr_t *refcook,
                                uintptr_t *defcook, unsigned int *flags, const char *symname);

/* This is the preloaded librbcore-libbpf.so. */
static struct link_map *dropin;

/* Tells whether the file's name begins so, after its folder. */
static bool is_named(const struct link_map *map, const char *beginning) {
    const char *slash = strrchr(map->l_name, '/');
    return strncmp(slash == NULL ? map->l_name : slash + 1, beginning, strlen(beginning)) == 0;
}

unsigned int la_version(unsigned int version) {
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

/* Returns the address of an entry of a dynamic section; the loader has added its base, or not. */
static const void *dynamic_entry(const struct link_map *map, ElfW(Sxword) tag) {
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == tag) {
            uintptr_t address = entry->d_un.d_ptr;
            return (const void *)(address < map->l_addr ? map->l_addr + address : address);
        }
    }
    return NULL;
}

/* This library's libc does not know the program's objects, so symbols are looked up by hand. */
static uintptr_t address_in_dropin(const char *name) {
    const ElfW(Sym) *symbols = dynamic_entry(dropin, DT_SYMTAB);
    const char *names = dynamic_entry(dropin, DT_STRTAB);
    const Elf32_Word *hash = dynamic_entry(dropin, DT_HASH); /* hash[1]: how many symbols */
    for (Elf32_Word i = 0; symbols != NULL && names != NULL && hash != NULL && i < hash[1]; i++) {
        if (symbols[i].st_shndx != SHN_UNDEF && strcmp(names + symbols[i].st_name, name) == 0) {
            return dropin->l_addr + symbols[i].st_value;
        }
    }
    return 0;
}

/* Asks for symbols that any object binds to libbpf, except those that our own library looks up. */
unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie) {
    (void)cookie;
    if (lmid != LM_ID_BASE) {
        return 0;
    }
    if (is_named(map, "librbcore-libbpf.so")) {
        dropin = map;
        return 0;
    }
    return is_named(map, "libbpf.so") ? LA_FLG_BINDTO | LA_FLG_BINDFROM : LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *sym, unsigned int ndx, uintptr_t *refcook, uintptr_t *defcook,
                       unsigned int *flags, const char *symname) {
    (void)ndx, (void)refcook, (void)defcook;
    bool is_by_dlsym = *flags & LA_SYMB_DLSYM;
    uintptr_t ours = is_by_dlsym && dropin != NULL ? address_in_dropin(symname) : 0;
    return ours != 0 ? ours : sym->st_value;
}
