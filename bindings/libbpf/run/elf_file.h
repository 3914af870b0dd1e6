/* SPDX-License-Identifier: MIT */
/*
 * These functions read what an ELF file says about itself. The file is only read: nothing of it is
 * run or mapped. It may be hostile: each offset and size in it is bounded, and counts only as far
 * as the file has what it names. Functions return NULL, or in words what is wrong with the file.
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

/* This is what the loader needs to know of it. */
struct elf_needs {
    char **names; /* of libraries, in their order */
    size_t count;
    char *rpath, *runpath; /* NULL: none */
    bool no_default_folders;
};

/* After an error there is nothing to be closed. */
const char *elf_open(struct elf_file *self, const char *path);
void elf_close(struct elf_file *self);

/* Ask this before anything but the header is believed to have the layout of this process's. */
bool elf_is_of_same_arch(const struct elf_file *self, const struct elf_file *other);

const char *elf_read_segments(struct elf_file *self);

/*
 * Returns the path of the loader that it asks for. An empty one means that it is statically linked.
 */
const char *elf_read_loader(const struct elf_file *self, char loader[PATH_MAX]);

/*
 * Tells whether text is in its segments that are loaded and not writable, as string literals are.
 * To be called after elf_read_segments. Only a part is searched of a file that is larger than any
 * program.
 */
bool elf_contains(const struct elf_file *self, const char *text);

/* It must be freed after an error, too. */
const char *elf_read_needs(const struct elf_file *self, struct elf_needs *out);
void elf_free_needs(struct elf_needs *self);

#endif
