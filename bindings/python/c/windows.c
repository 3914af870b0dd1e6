/* SPDX-License-Identifier: MIT */
/* This file says where the views of Python lie, and how they leave the ring: see batch.h. */
#define _GNU_SOURCE
#include "windows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* These are the library's, which is compiled into the same module (capi/map.h). */
int rbc_map_open_path(const char *path);
int rbc_map_open_id(uint32_t id);

/* It goes from begin up to end, both at the beginning of a page. */
typedef struct run {
    uintptr_t begin;
    uintptr_t end;
} run;

typedef struct window {
    uintptr_t base;  /* of the ring's data, which is there twice in a row */
    uint64_t size;   /* of the ring; 0: there is no window yet */
    uint64_t ring;   /* which one: indexes are used again */
    int64_t shift;   /* from the library's addresses to ours */
    int fd;          /* from which it is mapped; -1: from the library's mapping */
    bool is_missing; /* for want of memory: the library's mapping stands in, and nothing moves */
    run *moved;      /* what is private memory */
    size_t moved_count;
} window;

struct rbcore_py_rings {
    int fds[RBCORE_RINGS_MAX];
    uint64_t sizes[RBCORE_RINGS_MAX];
    uint64_t numbers[RBCORE_RINGS_MAX]; /* no two rings of a reader have the same */
    uint64_t last_number;
    unsigned int end; /* behind the largest index there was */
};

struct rbcore_py_windows {
    window of[RBCORE_RINGS_MAX];
    size_t count; /* those behind have none */
};

static uintptr_t page_size(void) {
    return (uintptr_t)sysconf(_SC_PAGESIZE);
}

/* ---- Rings ---- */

rbcore_py_rings *rbcore_py_rings_new(void) {
    return calloc(1, sizeof(rbcore_py_rings));
}

/* Most readers have few rings, and never touch the pages of the others. */
static void extend_to(rbcore_py_rings *self, unsigned int end) {
    for (; self->end < end; self->end++) {
        self->fds[self->end] = -1;
    }
}

void rbcore_py_forget(rbcore_py_rings *self, unsigned int index) {
    extend_to(self, index + 1);
    if (self->fds[index] >= 0) {
        close(self->fds[index]);
    }
    self->fds[index] = -1;
    self->sizes[index] = 0;
    self->numbers[index] = 0;
}

void rbcore_py_rings_free(rbcore_py_rings *self) {
    for (unsigned int i = 0; self != NULL && i < self->end; i++) {
        rbcore_py_forget(self, i);
    }
    free(self);
}

/* A descriptor of the source's map that is our own; negative where there is none. */
static int open_map(const rbcore_source *source) {
    if (source->flags & (RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP)) {
        return -1; /* its records lie in the reader's copy */
    }
    switch (source->kind) {
    case RBCORE_SOURCE_MAP_FD:
        return fcntl(source->fd, F_DUPFD_CLOEXEC, 3);
    case RBCORE_SOURCE_PINNED_PATH:
        return rbc_map_open_path(source->path);
    case RBCORE_SOURCE_MAP_ID:
        return rbc_map_open_id(source->map_id);
    default:
        return -1;
    }
}

/* The descriptor is used, so that both are of the same map: a path may be pinned anew meanwhile. */
static int add(rbcore_reader *reader, const rbcore_source *source, int fd) {
    rbcore_source by_fd = *source;
    if (fd < 0) { /* the library tells why */
        return rbcore_reader_add(reader, source);
    }
    by_fd.kind = RBCORE_SOURCE_MAP_FD;
    by_fd.fd = fd;
    return rbcore_reader_add(reader, &by_fd);
}

int rbcore_py_add(rbcore_py_rings *self, rbcore_reader *reader, const rbcore_source *source) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    int fd = open_map(source);
    int index = add(reader, source, fd);
    if (index < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return index;
    }
    rbcore_py_forget(self, (unsigned int)index);
    rbcore_reader_ring_stats(reader, (unsigned int)index, &stats);
    self->fds[index] = fd;
    self->sizes[index] = stats.ring_size;
    self->numbers[index] = ++self->last_number;
    return index;
}

uint64_t rbcore_py_smallest(const rbcore_py_rings *self) {
    uint64_t smallest = UINT64_MAX;
    for (unsigned int i = 0; i < self->end; i++) {
        if (self->sizes[i] != 0 && self->sizes[i] < smallest) {
            smallest = self->sizes[i];
        }
    }
    return smallest;
}

/* ---- Windows ---- */

rbcore_py_windows *rbcore_py_windows_new(void) {
    return calloc(1, sizeof(rbcore_py_windows));
}

static void close_window(window *self) {
    if (self->size != 0 && !self->is_missing) {
        munmap((void *)self->base, 2 * self->size);
    }
    free(self->moved);
    *self = (window){0};
}

/* Windows outlive their rings, and nothing refers to one where its index is used again. */
static void close_stale(window *self, const rbcore_py_rings *rings, size_t index) {
    if (self->size != 0 && self->ring != rings->numbers[index]) {
        close_window(self);
    }
}

void rbcore_py_windows_free(rbcore_py_windows *self) {
    for (size_t i = 0; self != NULL && i < self->count; i++) {
        close_window(&self->of[i]);
    }
    free(self);
}

static bool map_fd(uintptr_t at, uint64_t size, int fd, uint64_t offset) {
    off_t data = (off_t)(2 * page_size() + offset); /* behind the two pages of positions */
    return mmap((void *)at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, data) != MAP_FAILED;
}

/* A second mapping of what is mapped: which is what mremap(2) of no bytes does. */
static bool map_again(uintptr_t at, uint64_t size, uintptr_t mapped) {
    return mremap((void *)mapped, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)at) != MAP_FAILED;
}

/* A part of the ring's data, from begin up to end, which is within one of the two. */
static bool map_part(const window *self, uintptr_t begin, uintptr_t end) {
    if (begin >= end) {
        return true;
    }
    if (self->fd >= 0) {
        return map_fd(begin, end - begin, self->fd, begin - self->base);
    }
    return map_again(begin, end - begin, (uintptr_t)((int64_t)begin - self->shift));
}

/* BPF maps have their data twice, too; a memory ring's mappings are two. */
static bool map_run(const window *self, run what) {
    uintptr_t middle = self->base + self->size;
    uintptr_t first_end = what.end < middle ? what.end : middle;
    uintptr_t second_begin = what.begin > middle ? what.begin : middle;
    return map_part(self, what.begin, first_end) && map_part(self, second_begin, what.end);
}

static bool open_window(window *self, uintptr_t mapped) {
    void *range =
        mmap(NULL, 2 * self->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) {
        return false;
    }
    self->base = (uintptr_t)range;
    self->shift = (int64_t)self->base - (int64_t)mapped;
    if (map_run(self, (run){self->base, self->base + 2 * self->size})) {
        return true;
    }
    munmap(range, 2 * self->size);
    return false;
}

/* The window of the ring that a span, as the library told of it, is from. */
static window *window_of(rbcore_py_windows *self, const rbcore_py_rings *rings,
                         const rbcore_span *span) {
    window *found = &self->of[span->ring];
    uintptr_t mapped;
    close_stale(found, rings, span->ring);
    if (found->size != 0) {
        return found;
    }
    found->ring = rings->numbers[span->ring];
    found->size = rings->sizes[span->ring];
    found->fd = span->flags & RBCORE_RECORD_COPIED ? -1 : rings->fds[span->ring];
    mapped = (uintptr_t)span->data - sizeof(uint64_t) - (span->position & (found->size - 1));
    if (!open_window(found, mapped)) {
        found->is_missing = true;
        found->shift = 0;
    }
    if (self->count <= span->ring) {
        self->count = (size_t)span->ring + 1;
    }
    return found;
}

void rbcore_py_place(rbcore_py_windows *self, const rbcore_py_rings *rings, rbcore_span *spans,
                     size_t n) {
    for (size_t i = 0; i < n; i++) {
        int64_t shift = window_of(self, rings, &spans[i])->shift;
        spans[i].data = (const void *)(uintptr_t)((int64_t)(uintptr_t)spans[i].data + shift);
    }
}

int64_t rbcore_py_shift(const rbcore_py_windows *self, unsigned int ring) {
    return self->of[ring].shift;
}

/* ---- What is moved ---- */

static bool remember(window *self, run what) {
    size_t size = (self->moved_count + 1) * sizeof(*self->moved);
    run *moved = realloc(self->moved, size);
    if (moved == NULL) {
        return false;
    }
    self->moved = moved;
    moved[self->moved_count++] = what;
    return true;
}

/* Views that are read meanwhile show the ring's pages or the copy, which are equal. */
static int move_run(window *self, run what) {
    size_t size = what.end - what.begin;
    void *copy;
    if (size == 0) {
        return 0;
    }
    if (self->is_missing || !remember(self, what)) {
        return -ENOMEM;
    }
    copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) {
        return -ENOMEM;
    }
    memcpy(copy, (const void *)what.begin, size);
    mprotect(copy, size, PROT_READ);
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)what.begin) != MAP_FAILED) {
        return 0;
    }
    munmap(copy, size);
    return -ENOMEM;
}

/* Finds the pages of a span. */
static run run_of(const rbcore_span *span) {
    uintptr_t begin = (uintptr_t)span->data;
    uintptr_t end = begin + (uintptr_t)(span->count - 1) * span->stride + span->size;
    uintptr_t page = page_size();
    return (run){begin / page * page, (end + page - 1) / page * page};
}

int rbcore_py_move(rbcore_py_windows *self, const rbcore_span *spans, size_t n) {
    size_t i = 0;
    while (i < n) {
        window *from = &self->of[spans[i].ring];
        run what = run_of(&spans[i]);
        int error;
        for (i++; i < n && &self->of[spans[i].ring] == from; i++) {
            run following = run_of(&spans[i]);
            if (following.begin < what.begin || following.begin > what.end) {
                break;
            }
            what.end = following.end > what.end ? following.end : what.end;
        }
        error = move_run(from, what);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int restore_window(window *self, const rbcore_py_rings *rings, size_t index) {
    close_stale(self, rings, index);
    for (; self->moved_count > 0; self->moved_count--) {
        if (!map_run(self, self->moved[self->moved_count - 1])) {
            return -errno;
        }
    }
    return 0;
}

int rbcore_py_restore(rbcore_py_windows *self, const rbcore_py_rings *rings) {
    int error = 0;
    for (size_t i = 0; i < self->count && error == 0; i++) {
        error = restore_window(&self->of[i], rings, i);
    }
    return error;
}

static int by_begin(const void *one, const void *other) {
    uintptr_t a = ((const run *)one)->begin, b = ((const run *)other)->begin;
    return a < b ? -1 : a > b;
}

/* Maps zeros that take no memory. Unmapped addresses could be given to others. */
static void drop(uintptr_t begin, uintptr_t end) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (begin < end) {
        (void)mmap((void *)begin, end - begin, PROT_READ, flags, -1, 0);
    }
}

static void trim_window(window *self) {
    uintptr_t at = self->base;
    qsort(self->moved, self->moved_count, sizeof(*self->moved), by_begin);
    for (size_t i = 0; i < self->moved_count; i++) {
        drop(at, self->moved[i].begin);
        at = self->moved[i].end > at ? self->moved[i].end : at;
    }
    drop(at, self->base + 2 * self->size);
}

void rbcore_py_trim(rbcore_py_windows *self) {
    for (size_t i = 0; i < self->count; i++) {
        if (self->of[i].size != 0 && !self->of[i].is_missing) {
            trim_window(&self->of[i]);
        }
    }
}
