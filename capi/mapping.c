/* SPDX-License-Identifier: MIT */
#include "mapping.h"

#include "kernel.h"
#include "uncancelled.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

size_t rbc_page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

int rbc_mapping_error(void) {
    return errno == EAGAIN ? -ENOMEM : -errno;
}

int rbc_ring_size_is_valid(size_t size, size_t page_size) {
    return size >= page_size && (size & (size - 1)) == 0;
}

static size_t total_size(const rbc_mapping *self) {
    size_t guards = 2 * self->page_size, pages = 2 * self->page_size;
    return guards + pages + 2 * self->data_size;
}

static unsigned char *first_guard(const rbc_mapping *self) {
    return self->consumer_page - self->page_size;
}

/* Reserves the address range. Nothing of it is accessible yet. */
static int reserve(rbc_mapping *self, size_t data_size, size_t page_size) {
    self->data_size = data_size;
    self->page_size = page_size;
    if (data_size > (SIZE_MAX - 4 * page_size) / 2) {
        memset(self, 0, sizeof(*self));
        return -ENOMEM; /* a map of 2 GiB, in a process of 32 bits */
    }
    void *base = mmap(NULL, total_size(self), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        int error = rbc_mapping_error();
        memset(self, 0, sizeof(*self));
        return error;
    }
    self->consumer_page = (unsigned char *)base + page_size;
    self->producer_page = self->consumer_page + page_size;
    self->data = self->producer_page + page_size;
    return 0;
}

/* Maps a piece of the file over a piece of the range. */
static int place(unsigned char *address, size_t size, int protection, int fd, size_t offset) {
    void *mapped = mmap(address, size, protection, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
    return mapped == MAP_FAILED ? rbc_mapping_error() : 0;
}

static int place_consumer_page(const rbc_mapping *self, int fd, int protection) {
    return place(self->consumer_page, self->page_size, protection, fd, 0);
}

/* The producer page, and the data, which the kernel itself lays out twice. */
static int place_producer_page(const rbc_mapping *self, int fd, int protection) {
    size_t size = self->page_size + 2 * self->data_size;
    return place(self->producer_page, size, protection, fd, self->page_size);
}

/*
 * The writable page comes first: a descriptor that does not allow writing gives -EACCES there,
 * while the kernel has -EINVAL for the rest.
 */
int rbc_mapping_open_map(rbc_mapping *out, int fd, size_t data_size, rbc_mapping_side side) {
    int error = reserve(out, data_size, rbc_page_size());
    if (error != 0) {
        return error;
    }
    error = place_consumer_page(out, fd, PROT_READ | PROT_WRITE);
    if (error == 0) {
        error = place_producer_page(out, fd, PROT_READ);
    }
    /* The kernel maps nothing of a descriptor that is read-only, not even for reading. */
    if (error == 0 && side == RBC_TAP_SIDE &&
        mprotect(out->consumer_page, out->page_size, PROT_READ) != 0) {
        error = rbc_mapping_error();
    }
    if (error != 0) {
        rbc_mapping_close(out);
    }
    return error;
}

int rbc_mapping_open_user_map(rbc_mapping *out, int fd, size_t data_size) {
    int error = reserve(out, data_size, rbc_page_size());
    if (error != 0) {
        return error;
    }
    error = place_producer_page(out, fd, PROT_READ | PROT_WRITE);
    if (error == 0) {
        error = place_consumer_page(out, fd, PROT_READ);
    }
    if (error != 0) {
        rbc_mapping_close(out);
    }
    return error;
}

static int map_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
                      rbc_mapping_side side) {
    int writable = PROT_READ | PROT_WRITE;
    int consumed = side == RBC_TAP_SIDE ? PROT_READ : writable;
    int produced = side == RBC_PRODUCER_SIDE ? writable : PROT_READ;
    int error = reserve(out, data_size, page_size);
    if (error != 0) {
        return error;
    }
    error = place(out->consumer_page, page_size, consumed, fd, 0);
    if (error == 0) {
        error = place(out->producer_page, page_size + data_size, produced, fd, page_size);
    }
    if (error == 0) {
        error = place(out->data + data_size, data_size, produced, fd, 2 * page_size);
    }
    if (error != 0) {
        munmap(first_guard(out), total_size(out));
        memset(out, 0, sizeof(*out));
    }
    return error;
}

int rbc_mapping_open_pages(rbc_mapping *out, int fd, size_t data_size) {
    size_t page_size = rbc_page_size();
    unsigned char *pages = mmap(NULL, 2 * page_size, PROT_READ, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED) {
        return rbc_mapping_error();
    }
    *out = (rbc_mapping){.consumer_page = pages,
                         .producer_page = pages + page_size,
                         .data_size = data_size,
                         .page_size = page_size};
    return 0;
}

void rbc_mapping_close_pages(rbc_mapping *self) {
    if (self->consumer_page != NULL) {
        munmap(self->consumer_page, 2 * self->page_size);
    }
}

int rbc_set_file_size(int fd, uint64_t size) {
    RBC_UNCANCELLED;
    sigset_t excess, before, pending;
    sigemptyset(&excess);
    sigaddset(&excess, SIGXFSZ);
    sigemptyset(&pending);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &excess, &before);
    int error = ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
    if (error == -EFBIG && !sigismember(&pending, SIGXFSZ)) {
        /* It was sent to this thread, and there is one at most. One that waited before stays. */
        const struct timespec at_once = {0, 0};
        sigtimedwait(&excess, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int place_twice(const rbc_mapping *self, int fd) {
    const int writable = PROT_READ | PROT_WRITE;
    int error = rbc_set_file_size(fd, self->data_size);
    if (error == 0) {
        error = place(self->data, self->data_size, writable, fd, 0);
    }
    return error != 0 ? error
                      : place(self->data + self->data_size, self->data_size, writable, fd, 0);
}

static int create_memfd(const char *name, unsigned flags) {
    return (int)syscall(RBC_SYS_MEMFD_CREATE, name, flags | RBC_MFD_CLOEXEC);
}

int rbc_memfd(const char *name, unsigned flags) {
    int fd = create_memfd(name, flags | RBC_MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = create_memfd(name, flags);
    }
    return fd < 0 ? -errno : fd;
}

int rbc_mapping_open_copy(rbc_mapping *out, size_t data_size) {
    int error = reserve(out, data_size, rbc_page_size());
    if (error != 0) {
        return error;
    }
    int fd = rbc_memfd("rbcore copy", 0);
    error = fd < 0 ? fd : place_twice(out, fd);
    rbc_close(fd);
    if (error != 0) {
        rbc_mapping_close(out);
    }
    return error;
}

#ifdef RBCORE_THREAD_SANITIZER
/*
 * ThreadSanitizer tells memory apart by its address, so it sees neither races nor their absence
 * between two mappings of one memfd. In its build the reader and the producers of a process share
 * one mapping of a ring.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct shared_mapping {
    struct shared_mapping *next;
    rbc_mapping mapping;
    ino_t inode;
    unsigned users;
} shared_mapping;

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static shared_mapping *shared_mappings;

static int share(rbc_mapping *out, int fd, size_t data_size, size_t page_size, ino_t inode) {
    shared_mapping *shared = shared_mappings;
    while (shared != NULL && shared->inode != inode) {
        shared = shared->next;
    }
    if (shared == NULL) {
        shared = calloc(1, sizeof(*shared));
        if (shared == NULL) {
            return -ENOMEM;
        }
        int error = map_memory(&shared->mapping, fd, data_size, page_size, RBC_PRODUCER_SIDE);
        if (error != 0) {
            free(shared);
            return error;
        }
        shared->inode = inode;
        shared->next = shared_mappings;
        shared_mappings = shared;
    }
    shared->users++;
    *out = shared->mapping;
    return 0;
}

int rbc_mapping_open_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
                            rbc_mapping_side side) {
    struct stat status;
    (void)side;
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    pthread_mutex_lock(&shared_lock);
    int error = share(out, fd, data_size, page_size, status.st_ino);
    pthread_mutex_unlock(&shared_lock);
    return error;
}

/* Returns whether others still use the mapping. */
static bool leave_shared(const rbc_mapping *self) {
    bool in_use = false;
    pthread_mutex_lock(&shared_lock);
    for (shared_mapping **link = &shared_mappings; *link != NULL; link = &(*link)->next) {
        shared_mapping *shared = *link;
        if (shared->mapping.data == self->data) {
            in_use = --shared->users > 0;
            if (!in_use) {
                *link = shared->next;
                free(shared);
            }
            break;
        }
    }
    pthread_mutex_unlock(&shared_lock);
    return in_use;
}
#else
int rbc_mapping_open_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
                            rbc_mapping_side side) {
    return map_memory(out, fd, data_size, page_size, side);
}

static bool leave_shared(const rbc_mapping *self) {
    (void)self;
    return false;
}
#endif

void rbc_mapping_close(rbc_mapping *self) {
    if (self->data != NULL && !leave_shared(self)) {
        munmap(first_guard(self), total_size(self));
    }
    memset(self, 0, sizeof(*self));
}
