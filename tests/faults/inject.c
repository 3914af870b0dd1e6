/* SPDX-License-Identifier: MIT */
/* This file chooses what fails, and has the calls for memory, mappings and descriptors. */
#include "replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct fault_state fault_state;

/* The size that was asked for: the allocator's own sizes are a little larger. */
enum { KNOWN = 64 };
static struct {
    void *block;
    size_t size;
} known[KNOWN];

void fault_begin(fault_plan plan) {
    memset(known, 0, sizeof(known));
    memset(&fault_state, 0, sizeof(fault_state));
    fault_state.plan = plan;
}

void fault_end(void) {
    fault_state.plan = (fault_plan){0};
}

fault_report fault_result(void) {
    return fault_state.report;
}

void library_enter(void) {
    fault_state.inside = true;
}

void library_leave(void) {
    fault_state.inside = false;
}

allocated allocated_now(void) {
    return fault_state.held;
}

usage usage_now(void) {
    return fault_state.memory;
}

int fault_of(const char *name, const int *errors) {
    if (!fault_state.inside) {
        return 0;
    }
    fault_state.report.calls++;
    if (fault_state.report.fired) {
        /* That a signal comes, or that there is nothing to read, does not stay so. */
        bool passes = fault_state.report.error == EINTR || fault_state.report.error == EAGAIN;
        bool again =
            fault_state.plan.stays && !passes && strcmp(name, fault_state.report.name) == 0;
        fault_state.report.times += again;
        return again ? fault_state.report.error : 0;
    }
    if (fault_state.plan.call != fault_state.report.calls) {
        return 0;
    }
    for (unsigned i = 0; i < fault_state.plan.error && *errors != 0; i++) {
        errors++;
    }
    fault_state.report.fired = *errors != 0;
    fault_state.report.times = fault_state.report.fired;
    fault_state.report.name = name;
    fault_state.report.error = *errors;
    return *errors;
}

bool fails(const char *name, const int *errors) {
    int error = fault_of(name, errors);
    if (error > 0) {
        errno = error;
    }
    return error != 0;
}

/* ---- Memory ---- */

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);

static void note_size(size_t before, size_t after) {
    usage *memory = &fault_state.memory;
    memory->live += after - before;
    if (memory->bytes_read > 0 && memory->live > 2 * memory->bytes_read) {
        memory->excess = memory->live;
    }
}

size_t *size_of_block(void *block) {
    for (int i = 0; i < KNOWN; i++) {
        if (block != NULL && known[i].block == block) {
            return &known[i].size;
        }
    }
    return NULL;
}

static void note_block(void *block, size_t size) {
    for (int i = 0; i < KNOWN; i++) {
        if (known[i].block == NULL) {
            known[i].block = block;
            known[i].size = size;
            note_size(0, size);
            return;
        }
    }
    ck_abort_msg("more than %d blocks at once", KNOWN);
}

static void forget_block(void *block) {
    size_t *size = size_of_block(block);
    if (size != NULL) {
        note_size(*size, 0);
        *size = 0;
        for (int i = 0; i < KNOWN; i++) {
            known[i].block = known[i].block == block ? NULL : known[i].block;
        }
    }
}

static void *allocate(void *block, size_t size) {
    if (fault_state.inside && block != NULL) {
        fault_state.held.blocks++;
        note_block(block, size);
    }
    return block;
}

void block_moved(void *from, void *to, size_t size) {
    if (fault_state.inside) {
        fault_state.held.blocks += from == NULL;
        forget_block(from);
        note_block(to, size);
    }
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails("calloc", ERRORS(ENOMEM)) ? NULL : allocate(__real_calloc(n, size), n * size);
}

void *__wrap_malloc(size_t size) {
    return fails("malloc", ERRORS(ENOMEM)) ? NULL : allocate(__real_malloc(size), size);
}

void *__wrap_realloc(void *old, size_t size) {
    if (fails("realloc", ERRORS(ENOMEM))) {
        return NULL;
    }
    void *block = __real_realloc(old, size);
    if (block != NULL) {
        block_moved(old, block, size);
    }
    return block;
}

void __wrap_free(void *old) {
    if (fault_state.inside && old != NULL) {
        fault_state.held.blocks--;
        forget_block(old);
    }
    __real_free(old);
}

/* ---- Mappings ---- */

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __real_madvise(void *at, size_t size, int advice);
int __real_mprotect(void *at, size_t size, int protection);

/* EAGAIN: after mlockall(MCL_FUTURE), beyond RLIMIT_MEMLOCK. EPERM: F_SEAL_WRITE. */
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    bool failed = flags & MAP_ANONYMOUS
                      ? fails("mmap of nothing", ERRORS(ENOMEM, EAGAIN))
                      : fails("mmap of a file", ERRORS(ENOMEM, EAGAIN, ENFILE, EPERM, EACCES));
    if (failed) {
        return MAP_FAILED;
    }
    void *mapped = __real_mmap(at, size, protection, flags, fd, offset);
    fault_state.held.mappings += fault_state.inside && mapped != MAP_FAILED && !(flags & MAP_FIXED);
    return mapped;
}

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return __wrap_mmap(at, size, protection, flags, fd, offset);
}

/* The library unmaps only whole mappings, so nothing can fail. */
int __wrap_munmap(void *at, size_t size) {
    fault_state.held.mappings -= fault_state.inside;
    int result = __real_munmap(at, size);
    if (fault_state.inside && result != 0) {
        ck_abort_msg("munmap: %s", strerror(errno));
    }
    return result;
}

int __wrap_madvise(void *at, size_t size, int advice) {
    return fails("madvise", ERRORS(ENOMEM, EAGAIN)) ? -1 : __real_madvise(at, size, advice);
}

int __wrap_mprotect(void *at, size_t size, int protection) {
    return fails("mprotect", ERRORS(ENOMEM)) ? -1 : __real_mprotect(at, size, protection);
}

/* ---- Descriptors ---- */

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_fcntl(int fd, int command, ...);
int __real_fstat(int fd, struct stat *out);
int __real_stat(const char *path, struct stat *out);
ssize_t __real_readlink(const char *path, char *out, size_t size);
int __real_eventfd(unsigned value, int flags);
int __real_timerfd_create(int clock, int flags);

/* The library opens nothing but what is in /proc and /sys, and creates nothing. */
int __wrap_open(const char *path, int flags, ...) {
    if (flags & O_CREAT) {
        ck_abort_msg("open creates %s", path);
    }
    bool failed =
        strstr(path, "/fd/") != NULL
            ? fails("open of /proc/.../fd", ERRORS(ENOENT, EACCES, EPERM, EMFILE, ENFILE, ENOMEM))
            : fails("open", ERRORS(ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, EINTR, ESRCH));
    return failed ? -1 : __real_open(path, flags);
}

int __wrap_open64(const char *path, int flags, ...) {
    return __wrap_open(path, flags);
}

/* It is closed whatever close says. */
int __wrap_close(int fd) {
    bool failed = fails("close", ERRORS(EINTR, EIO));
    int error = errno, result = __real_close(fd);
    if (fault_state.inside && result != 0) {
        ck_abort_msg("close of %d, which is not open", fd);
    }
    errno = failed ? error : errno;
    return failed ? -1 : result;
}

/*
 * Tells whether a lock, which many do without, cannot be had. EAGAIN and EACCES say that it is
 * another's.
 */
static bool fcntl_fails(int command) {
    switch (command) {
    case F_GETFL:
        return fails("fcntl F_GETFL", ERRORS(EBADF));
    case F_DUPFD_CLOEXEC:
        return fails("fcntl F_DUPFD_CLOEXEC", ERRORS(EMFILE, EBADF));
    case F_GET_SEALS:
        return fails("fcntl F_GET_SEALS", ERRORS(EINVAL, EBADF));
    case F_ADD_SEALS: /* of a memfd that was just made, and is not sealed */
        return false;
    case F_OFD_SETLK:
        return fails("fcntl F_OFD_SETLK", ERRORS(EAGAIN, EACCES, ENOLCK, EINTR));
    case F_OFD_GETLK:
        return fails("fcntl F_OFD_GETLK", ERRORS(ENOLCK));
    default:
        if (fault_state.inside) {
            ck_abort_msg("fcntl(%d) is not known here", command);
        }
        return false;
    }
}

int __wrap_fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    /* Giving a lock back cannot fail. */
    bool unlocks = command == F_OFD_SETLK && ((const struct flock *)argument)->l_type == F_UNLCK;
    return !unlocks && fcntl_fails(command) ? -1 : __real_fcntl(fd, command, argument);
}

int __wrap_fcntl64(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return __wrap_fcntl(fd, command, argument);
}

int __wrap_fstat(int fd, struct stat *out) {
    return fails("fstat", ERRORS(ENOMEM, EOVERFLOW)) ? -1 : __real_fstat(fd, out);
}

int __wrap_fstat64(int fd, struct stat *out) {
    return __wrap_fstat(fd, out);
}

int __wrap_stat(const char *path, struct stat *out) {
    return fails("stat", ERRORS(ENOENT, EACCES, ENOMEM)) ? -1 : __real_stat(path, out);
}

int __wrap_stat64(const char *path, struct stat *out) {
    return __wrap_stat(path, out);
}

ssize_t __wrap_readlink(const char *path, char *out, size_t size) {
    return fails("readlink", ERRORS(ENOENT, EACCES, ENOMEM)) ? -1
                                                             : __real_readlink(path, out, size);
}

int __wrap_eventfd(unsigned value, int flags) {
    return fails("eventfd", ERRORS(EMFILE, ENFILE, ENOMEM)) ? -1 : __real_eventfd(value, flags);
}

int __wrap_timerfd_create(int clock, int flags) {
    return fails("timerfd_create", ERRORS(EMFILE, ENFILE, ENOMEM))
               ? -1
               : __real_timerfd_create(clock, flags);
}
