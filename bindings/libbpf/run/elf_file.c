/* SPDX-License-Identifier: MIT */
#include "elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than any program has. */
#define SEGMENTS_MAX 4096
#define ENTRIES_MAX 65536
#define NEEDS_MAX 1024
#define SEARCHED_MAX (UINT64_C(512) << 20)

/* So many bytes are searched at once. */
#define CHUNK 65536

/* A list of folders has at most so many bytes; a name of a library has at most PATH_MAX. */
#define FOLDERS_LENGTH_MAX 65536

static const char no_memory[] = "there is no memory to look at it";

/* ---- Reading ---- */

/* Returns whether all of it lies in the file and could be read. */
static bool read_at(const struct elf_file *self, void *out, uint64_t size, uint64_t offset) {
    if (size > self->size || offset > self->size - size) {
        return false;
    }
    for (uint64_t done = 0; done < size;) {
        ssize_t n =
            pread(self->fd, (char *)out + done, (size_t)(size - done), (off_t)(offset + done));
        if (n <= 0) {
            return false; /* it became shorter */
        }
        done += (uint64_t)n;
    }
    return true;
}

static const char *check_file(struct elf_file *self) {
    struct stat status;
    if (fstat(self->fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return "it is no regular file";
    }
    self->size = (uint64_t)status.st_size;
    if (!read_at(self, &self->header, sizeof(self->header), 0) ||
        memcmp(self->header.e_ident, ELFMAG, SELFMAG) != 0) {
        return "it is no ELF file or script";
    }
    return NULL;
}

const char *elf_open(struct elf_file *self, const char *path) {
    struct stat status;
    *self = (struct elf_file){.fd = -1};
    /* Opening a pipe or a device can wait, or do something. */
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
        self->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    if (self->fd < 0) {
        return "it cannot be read";
    }
    const char *fault = check_file(self);
    if (fault != NULL) {
        elf_close(self);
    }
    return fault;
}

void elf_close(struct elf_file *self) {
    free(self->segments);
    close(self->fd);
}

bool elf_is_of_same_arch(const struct elf_file *self, const struct elf_file *other) {
    const ElfW(Ehdr) *a = &self->header, *b = &other->header;
    return a->e_ident[EI_CLASS] == b->e_ident[EI_CLASS] &&
           a->e_ident[EI_DATA] == b->e_ident[EI_DATA] && a->e_machine == b->e_machine;
}

/* ---- Segments ---- */

const char *elf_read_segments(struct elf_file *self) {
    const size_t count = self->header.e_phnum;
    if (self->header.e_phentsize != sizeof(*self->segments) || count > SEGMENTS_MAX) {
        return "its table of segments is of no known form";
    }
    self->segments = calloc(count + 1, sizeof(*self->segments));
    if (self->segments == NULL) {
        return no_memory;
    }
    if (!read_at(self, self->segments, count * sizeof(*self->segments), self->header.e_phoff)) {
        return "its table of segments lies beyond its end";
    }
    return NULL;
}

static const ElfW(Phdr) * find_segment(const struct elf_file *self, uint32_t type) {
    for (unsigned i = 0; i < self->header.e_phnum; i++) {
        if (self->segments[i].p_type == type) {
            return &self->segments[i];
        }
    }
    return NULL;
}

const char *elf_read_loader(const struct elf_file *self, char loader[PATH_MAX]) {
    const ElfW(Phdr) *segment = find_segment(self, PT_INTERP);
    loader[0] = '\0';
    if (segment == NULL) {
        return NULL;
    }
    const uint64_t size = segment->p_filesz;
    if (size < 2 || size > PATH_MAX) {
        return "the name of its loader has no possible length";
    }
    if (!read_at(self, loader, size, segment->p_offset)) {
        return "the name of its loader lies beyond its end";
    }
    return loader[0] != '\0' && loader[size - 1] == '\0' ? NULL
                                                         : "the name of its loader has no end";
}

/* Finds where in the file the bytes are that are mapped to an address; at most *size of them. */
static bool find_address(const struct elf_file *self, uint64_t address, uint64_t *offset,
                         uint64_t *size) {
    for (unsigned i = 0; i < self->header.e_phnum; i++) {
        const ElfW(Phdr) *segment = &self->segments[i];
        if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
            address - segment->p_vaddr < segment->p_filesz) {
            const uint64_t inside = address - segment->p_vaddr;
            const uint64_t left = segment->p_filesz - inside;
            *offset = segment->p_offset + inside;
            *size = *size < left ? *size : left;
            return *offset >= inside; /* else the sum has wrapped */
        }
    }
    return false;
}

/* ---- What it contains ---- */

/* Each chunk begins with the end of the last one, so a text across both is found. */
static bool is_between(const struct elf_file *self, const char *text, uint64_t from, uint64_t to) {
    static char chunk[CHUNK];
    const size_t length = strlen(text);
    for (uint64_t at = from; to - at >= length; at += CHUNK - length + 1) {
        const size_t size = to - at < CHUNK ? (size_t)(to - at) : CHUNK;
        if (!read_at(self, chunk, size, at)) {
            return false;
        }
        if (memmem(chunk, size, text, length) != NULL) {
            return true;
        }
        if (size < CHUNK) {
            break;
        }
    }
    return false;
}

bool elf_contains(const struct elf_file *self, const char *text) {
    uint64_t left = SEARCHED_MAX; /* segments may overlap, and files have holes */
    for (unsigned i = 0; i < self->header.e_phnum; i++) {
        const ElfW(Phdr) *segment = &self->segments[i];
        const uint64_t offset = segment->p_offset;
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W || offset >= self->size) {
            continue;
        }
        uint64_t size = segment->p_filesz;
        size = size < self->size - offset ? size : self->size - offset;
        size = size < left ? size : left;
        left -= size;
        if (is_between(self, text, offset, offset + size)) {
            return true;
        }
    }
    return false;
}

/* ---- What it needs ---- */

/* These are the strings that the entries refer to. */
struct strings {
    uint64_t offset, size; /* in the file */
};

/*
 * Returns a copy of the string that begins there, or NULL if it has no end within `longest`, or
 * there is no memory.
 */
static char *copy_string(const struct elf_file *self, const struct strings *strings, uint64_t at,
                         size_t longest) {
    if (at >= strings->size) {
        return NULL;
    }
    uint64_t left = strings->size - at;
    const size_t size = left < longest ? (size_t)left : longest;
    char *copy = malloc(size);
    if (copy != NULL &&
        (!read_at(self, copy, size, strings->offset + at) || memchr(copy, '\0', size) == NULL)) {
        free(copy);
        copy = NULL;
    }
    char *shorter = copy == NULL ? NULL : strdup(copy);
    free(copy);
    return shorter;
}

#define ABSENT UINT64_MAX

/* Returns what the last entry with a tag says, as the loader does, or ABSENT. */
static uint64_t last_value(const ElfW(Dyn) * entries, size_t count, int64_t tag) {
    uint64_t value = ABSENT;
    for (size_t i = 0; i < count; i++) {
        value = entries[i].d_tag == tag ? entries[i].d_un.d_val : value;
    }
    return value;
}

static const char *find_strings(const struct elf_file *self, const ElfW(Dyn) * entries,
                                size_t count, struct strings *out) {
    out->size = last_value(entries, count, DT_STRSZ);
    return find_address(self, last_value(entries, count, DT_STRTAB), &out->offset, &out->size)
               ? NULL
               : "the names of its libraries lie in no segment";
}

/* Returns false if there are some that are damaged. */
static bool keep_folders(const struct elf_file *self, const struct strings *strings, uint64_t at,
                         char **out) {
    *out = at == ABSENT ? NULL : copy_string(self, strings, at, FOLDERS_LENGTH_MAX);
    return at == ABSENT || *out != NULL;
}

static bool keep_names(const struct elf_file *self, const struct strings *strings,
                       const ElfW(Dyn) * entries, size_t count, struct elf_needs *out) {
    for (size_t i = 0; i < count; i++) {
        if (entries[i].d_tag == DT_NEEDED) {
            char *name = copy_string(self, strings, entries[i].d_un.d_val, PATH_MAX);
            if (name == NULL) {
                return false;
            }
            out->names[out->count++] = name;
        }
    }
    return true;
}

static const char *keep_entries(const struct elf_file *self, const ElfW(Dyn) * entries,
                                size_t count, struct elf_needs *out) {
    struct strings strings;
    size_t needs = 0;
    for (size_t i = 0; i < count; i++) {
        needs += entries[i].d_tag == DT_NEEDED;
    }
    if (needs > NEEDS_MAX) {
        return "it is linked to impossibly many libraries";
    }
    out->names = calloc(needs + 1, sizeof(*out->names));
    if (out->names == NULL) {
        return no_memory;
    }
    const uint64_t flags = last_value(entries, count, DT_FLAGS_1);
    out->no_default_folders = flags != ABSENT && flags & DF_1_NODEFLIB;
    const char *fault = find_strings(self, entries, count, &strings);
    if (fault != NULL) {
        return fault;
    }
    return keep_folders(self, &strings, last_value(entries, count, DT_RPATH), &out->rpath) &&
                   keep_folders(self, &strings, last_value(entries, count, DT_RUNPATH),
                                &out->runpath) &&
                   keep_names(self, &strings, entries, count, out)
               ? NULL
               : "the name of one of its libraries is damaged";
}

/* The entries are read up to the one that ends them. */
static size_t count_entries(const ElfW(Dyn) * entries, size_t most) {
    size_t count = 0;
    while (count < most && entries[count].d_tag != DT_NULL) {
        count++;
    }
    return count;
}

const char *elf_read_needs(const struct elf_file *self, struct elf_needs *out) {
    const ElfW(Phdr) *segment = find_segment(self, PT_DYNAMIC);
    *out = (struct elf_needs){0};
    if (segment == NULL) {
        return NULL;
    }
    const size_t most = segment->p_filesz / sizeof(ElfW(Dyn));
    if (most > ENTRIES_MAX) {
        return "its dynamic section is impossibly large";
    }
    ElfW(Dyn) *entries = calloc(most + 1, sizeof(*entries));
    if (entries == NULL) {
        return no_memory;
    }
    const char *fault = "its dynamic section lies beyond its end";
    if (read_at(self, entries, most * sizeof(*entries), segment->p_offset)) {
        fault = keep_entries(self, entries, count_entries(entries, most), out);
    }
    free(entries);
    return fault;
}

void elf_free_needs(struct elf_needs *self) {
    for (size_t i = 0; i < self->count; i++) {
        free(self->names[i]);
    }
    free(self->names);
    free(self->rpath);
    free(self->runpath);
}
