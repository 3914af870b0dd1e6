/* SPDX-License-Identifier: MIT */
/*
 * What an ELF file says of itself, found out by reading it: nothing of it is run or mapped. A hostile
 * one is bad input like any other: each offset and size in it counts only as far as the file has what
 * it names, and is bounded. Functions return NULL, or in words what is wrong with the file.
 */
#ifndef RBCORE_RUN_ELF_FILE_H
#define RBCORE_RUN_ELF_FILE_H

#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file {
    int fd;
    uint64_t size;
    ElfW(Ehdr) header;
    ElfW(Phdr) * segments; /* as many as the header says; NULL before elf_read_segments */
};

/* What the loader needs to know of it. */
struct elf_needs {
    char **names; /* of libraries, in their order */
    size_t count;
    char *rpath, *runpath; /* NULL: none */
    bool no_default_folders;
};

/* Not to be closed after an error. */
const char *elf_open(struct elf_file *self, const char *path);
void elf_close(struct elf_file *self);

/* To be asked before anything but the header is believed to have the layout of this process's. */
bool elf_is_of_same_arch(const struct elf_file *self, const struct elf_file *other);

const char *elf_read_segments(struct elf_file *self);

/* The path of the loader that it asks for; empty: none, it is statically linked. */
const char *elf_read_loader(const struct elf_file *self, char loader[PATH_MAX]);

/*
 * Whether text is in what is loaded of it and not written to, as its string literals are. After
 * elf_read_segments. Of a file that is larger than any program only a part is looked at.
 */
bool elf_contains(const struct elf_file *self, const char *text);

/* To be freed also after an error. */
const char *elf_read_needs(const struct elf_file *self, struct elf_needs *out);
void elf_free_needs(struct elf_needs *self);

#endif
