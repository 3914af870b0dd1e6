/* SPDX-License-Identifier: MIT */
#include "libraries.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * More than any program has or needs, of libraries, of names in all of them, and of places where
 * they were looked for: what is beyond that is not looked at.
 */
#define LIBRARIES_MAX 2048
#define NAMES_MAX 16384
#define PLACES_MAX 65536

#define CACHE_SIZE_MAX (UINT32_C(64) << 20)

/* An object is the program, or a library of it. */
struct object {
    char *path; /* NULL: not found */
    char *name; /* as it is asked for */
    struct elf_needs needs;
    const struct object *user; /* the first that asked for it; NULL: it is the program */
};

struct search {
    const struct elf_file *program;
    struct object *objects; /* LIBRARIES_MAX; they keep their places */
    size_t count;
    size_t names, places;
    unsigned char *cache; /* /etc/ld.so.cache, or NULL */
    size_t cache_size;
};

/* ---- /etc/ld.so.cache ---- */

/* This is the cache as glibc 2.2 and later writes it. Offsets count from this header. */
#define CACHE_MAGIC "glibc-ld.so.cache1.1"

struct cache_header {
    char magic[sizeof(CACHE_MAGIC) - 1];
    uint32_t count, strings_size;
    uint32_t rest[5];
};

struct cache_entry {
    int32_t flags;
    uint32_t name, path;
    uint32_t os_version;
    uint64_t hwcap;
};

static void read_cache(struct search *self) {
    struct stat status;
    int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    bool is_readable = fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 &&
                       (uint64_t)status.st_size <= CACHE_SIZE_MAX;
    self->cache = is_readable ? malloc((size_t)status.st_size) : NULL;
    if (self->cache != NULL) {
        ssize_t n = read(fd, self->cache, (size_t)status.st_size);
        self->cache_size = n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Finds where the header is: an older form may come before it. */
static size_t find_cache_header(const struct search *self, struct cache_header *out) {
    const unsigned char *at = self->cache == NULL ? NULL
                                                  : memmem(self->cache, self->cache_size,
                                                           CACHE_MAGIC, sizeof(out->magic));
    size_t offset = at == NULL ? 0 : (size_t)(at - self->cache);
    if (at == NULL || self->cache_size - offset < sizeof(*out)) {
        out->count = 0;
        return 0;
    }
    memcpy(out, at, sizeof(*out));
    const size_t room = (self->cache_size - offset - sizeof(*out)) / sizeof(struct cache_entry);
    out->count = out->count < room ? out->count : (uint32_t)room;
    return offset;
}

/* Returns a string of the cache, or "". */
static const char *cache_string(const struct search *self, size_t base, uint32_t offset) {
    const size_t left = self->cache_size - base;
    const char *string = (const char *)self->cache + base + offset;
    return offset < left && memchr(string, '\0', left - offset) != NULL ? string : "";
}

/* ---- Folders ---- */

/* Tells whether a library for this program lies there; then it becomes the object's. */
static bool try_path(struct search *self, struct object *object, const char *path) {
    struct elf_file file;
    if (elf_open(&file, path) != NULL) {
        return false;
    }
    bool fits = elf_is_of_same_arch(&file, self->program);
    if (fits) {
        object->path = strdup(path);
        if (self->names < NAMES_MAX && elf_read_segments(&file) == NULL) {
            elf_read_needs(&file, &object->needs); /* of a damaged one what can be read */
            self->names += object->needs.count;
        }
    }
    elf_close(&file);
    return fits;
}

static bool append(char out[PATH_MAX], const char *text, size_t length) {
    const size_t end = strlen(out);
    if (length >= PATH_MAX - end) {
        return false;
    }
    memcpy(out + end, text, length);
    out[end + length] = '\0';
    return true;
}

static bool append_origin(char out[PATH_MAX], const struct object *object) {
    char resolved[PATH_MAX];
    if (object->path == NULL || realpath(object->path, resolved) == NULL) {
        return false;
    }
    const char *slash = strrchr(resolved, '/');
    return slash != NULL && append(out, resolved, (size_t)(slash - resolved));
}

/*
 * Expands a folder or path as an object names it. $LIB and $PLATFORM, which only the loader knows,
 * stay.
 */
static bool expand(char out[PATH_MAX], const char *text, size_t length,
                   const struct object *object) {
    static const char *const names[] = {"$ORIGIN", "${ORIGIN}"};
    out[0] = '\0';
    for (size_t i = 0; i < length;) {
        size_t taken = 0;
        for (int j = 0; j < 2; j++) {
            const size_t size = strlen(names[j]);
            taken = size <= length - i && memcmp(text + i, names[j], size) == 0 ? size : taken;
        }
        if (!(taken > 0 ? append_origin(out, object) : append(out, text + i, 1))) {
            return false;
        }
        i += taken > 0 ? taken : 1;
    }
    return true;
}

/* Looks for the object in a list of folders that `owner` names; an empty one is the working one. */
static bool try_folders(struct search *self, struct object *object, const char *folders,
                        const char *separators, const struct object *owner) {
    for (const char *at = folders; at != NULL && self->places < PLACES_MAX; self->places++) {
        const size_t length = strcspn(at, separators);
        char path[PATH_MAX];
        if (expand(path, at, length, owner) && append(path, "/", length > 0) &&
            append(path, object->name, strlen(object->name)) && try_path(self, object, path)) {
            return true;
        }
        at = at[length] == '\0' ? NULL : at + length + 1;
    }
    return false;
}

static bool try_cache(struct search *self, struct object *object) {
    struct cache_header header;
    const size_t base = find_cache_header(self, &header);
    for (uint32_t i = 0; i < header.count; i++) {
        struct cache_entry entry;
        memcpy(&entry, self->cache + base + sizeof(header) + i * sizeof(entry), sizeof(entry));
        if (strcmp(cache_string(self, base, entry.name), object->name) == 0 &&
            try_path(self, object, cache_string(self, base, entry.path))) {
            return true;
        }
    }
    return false;
}

/* RPATH of the user and of those by which it came, unless the user has a RUNPATH. */
static bool try_rpaths(struct search *self, struct object *object) {
    const struct object *user = object->user;
    if (user->needs.runpath != NULL) {
        return false;
    }
    for (; user != NULL; user = user->user) {
        if (user->needs.runpath == NULL && user->needs.rpath != NULL &&
            try_folders(self, object, user->needs.rpath, ":", user)) {
            return true;
        }
    }
    return false;
}

/* The folders are searched in the order of ld.so(8). */
static void find_library(struct search *self, struct object *object) {
    const struct object *user = object->user;
    char path[PATH_MAX];
    if (strchr(object->name, '/') != NULL) {
        if (expand(path, object->name, strlen(object->name), user)) {
            try_path(self, object, path);
        }
        return;
    }
    const char *environment = getenv("LD_LIBRARY_PATH");
    if (try_rpaths(self, object) ||
        (environment != NULL && environment[0] != '\0' &&
         try_folders(self, object, environment, ":;", &self->objects[0])) ||
        (user->needs.runpath != NULL &&
         try_folders(self, object, user->needs.runpath, ":", user)) ||
        user->needs.no_default_folders || try_cache(self, object)) {
        return;
    }
    try_folders(self, object, RBCORE_RUN_DEFAULT_FOLDERS, ":", user);
}

/* ---- All of them ---- */

static bool is_known(const struct search *self, const char *name) {
    for (size_t i = 1; i < self->count; i++) {
        if (strcmp(self->objects[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The search goes breadth first, as the loader's does. */
static void walk(struct search *self, bool (*found)(void *, const char *), void *context) {
    for (size_t i = 0; i < self->count; i++) {
        const struct object *user = &self->objects[i];
        for (size_t j = 0; j < user->needs.count && self->count < LIBRARIES_MAX; j++) {
            const char *name = user->needs.names[j];
            if (name == NULL || is_known(self, name)) {
                continue;
            }
            if (!found(context, name)) {
                return;
            }
            struct object *object = &self->objects[self->count];
            *object = (struct object){.name = strdup(name), .user = user};
            if (object->name != NULL) {
                self->count++;
                find_library(self, object);
            }
        }
    }
}

static void free_objects(struct search *self) {
    for (size_t i = 0; i < self->count; i++) {
        elf_free_needs(&self->objects[i].needs);
        free(self->objects[i].path);
        free(self->objects[i].name);
    }
    free(self->objects);
    free(self->cache);
}

const char *libraries_of(const struct elf_file *program, const char *path,
                         bool (*found)(void *context, const char *name), void *context) {
    struct search search = {.program = program, .count = 1};
    search.objects = calloc(LIBRARIES_MAX, sizeof(*search.objects));
    if (search.objects == NULL) {
        return "there is no memory to look at it";
    }
    search.objects[0].path = strdup(path);
    const char *fault = elf_read_needs(program, &search.objects[0].needs);
    if (fault == NULL) {
        read_cache(&search);
        walk(&search, found, context);
    }
    free_objects(&search);
    return fault;
}
