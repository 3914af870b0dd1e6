/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for the system calls that opening and closing a reader makes, a hundred times as fast:
 * with the real ones a fuzzer hardly gets to a thousand inputs a second. The linker's --wrap puts
 * these functions in the place of libc's, for the library as well as for the fuzzer, which gets the
 * real ones: what stands in is known by its number or its name. (Names with 64 are those that
 * _FILE_OFFSET_BITS=64 makes of the others.)
 *
 *   - The descriptors of a reader are numbers that say of what kind they are. Nothing ever becomes
 *     readable, and locks are always free: one thread and one process are all that there is.
 *   - What /proc says is read once.
 *   - A mapping that was unmapped is kept, and given out when the same is asked for again. (A use
 *     after unmapping is not noticed here: the tests with the real calls notice that.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Descriptors: of events and timers; copies, each with the number of its original; texts. */
#define EVENTS (1 << 20)
#define COPIES (2 << 20)
#define TEXTS (3 << 20)

#define SOME 8

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

static bool stands_in(int fd) {
    return fd >= EVENTS;
}

static bool is_copy(int fd) {
    return fd >= COPIES && fd < TEXTS;
}

/* ---- Events and timers --------------------------------------------------------------------- */

WRAP(int, epoll_create1, int flags) {
    (void)flags;
    return EVENTS;
}

WRAP(int, eventfd, unsigned int count, int flags) {
    static bool is_made; /* the ring's own, which is checked by what /proc says of it */
    if (!is_made) {
        is_made = true;
        return __real_eventfd(count, flags);
    }
    return EVENTS;
}

WRAP(int, timerfd_create, int clock, int flags) {
    (void)clock, (void)flags;
    return EVENTS;
}

WRAP(int, timerfd_settime, int fd, int flags, const struct itimerspec *when,
     struct itimerspec *before) {
    (void)fd, (void)flags, (void)when, (void)before;
    return 0;
}

WRAP(int, epoll_ctl, int epoll_fd, int what, int fd, struct epoll_event *event) {
    (void)epoll_fd, (void)what, (void)fd, (void)event;
    return 0;
}

WRAP(int, epoll_wait, int epoll_fd, struct epoll_event *events, int max, int timeout) {
    (void)epoll_fd, (void)events, (void)max, (void)timeout;
    return 0;
}

/* ---- Files --------------------------------------------------------------------------------- */

/* The answer that a path gave: a text, the target of a link, or an inode. */
typedef struct known {
    char path[64];
    char text[512];
    ssize_t size;
    struct stat status;
} known;

static known *find(known *in, const char *path) {
    for (int i = 0; i < SOME && in[i].path[0]; i++) {
        if (strcmp(in[i].path, path) == 0) {
            return &in[i];
        }
    }
    return NULL;
}

static known *add(known *in, const char *path) {
    int i = 0;
    while (i < SOME && in[i].path[0]) {
        i++;
    }
    if (i == SOME || strlen(path) >= sizeof(in->path)) {
        abort();
    }
    strcpy(in[i].path, path);
    return &in[i];
}

static known texts[SOME];

static int open_text(const char *path, int flags) {
    int __real_open64(const char *, int, ...);
    int __real_close(int);
    ssize_t __real_read(int, void *, size_t);
    known *text = find(texts, path);
    if (!text) {
        int fd = __real_open64(path, flags);
        if (fd < 0) {
            return fd;
        }
        text = add(texts, path);
        text->size = __real_read(fd, text->text, sizeof(text->text));
        __real_close(fd);
    }
    return TEXTS + (int)(text - texts);
}

WRAP(int, open64, const char *path, int flags, ...) {
    static const char descriptors[] = "/proc/thread-self/fd/";
    if (strncmp(path, descriptors, sizeof(descriptors) - 1) == 0) {
        return COPIES + atoi(path + sizeof(descriptors) - 1);
    }
    if (strncmp(path, "/proc/", 6) == 0 && (flags & O_ACCMODE) == O_RDONLY &&
        (strstr(path, "/stat") || strstr(path, "boot_id")) && !strstr(path, "/statm")) {
        return open_text(path, flags);
    }
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return __real_open64(path, flags, mode);
}

WRAP(int, close, int fd) {
    return stands_in(fd) ? 0 : __real_close(fd);
}

WRAP(ssize_t, read, int fd, void *data, size_t size) {
    if (!stands_in(fd)) {
        return __real_read(fd, data, size);
    }
    const known *text = &texts[fd - TEXTS];
    ssize_t n = text->size < (ssize_t)size ? text->size : (ssize_t)size;
    memcpy(data, text->text, n > 0 ? (size_t)n : 0);
    return n;
}

WRAP(ssize_t, write, int fd, const void *data, size_t size) {
    return stands_in(fd) ? (ssize_t)size : __real_write(fd, data, size);
}

WRAP(ssize_t, readlink, const char *path, char *target, size_t size) {
    static const char descriptors[] = "/proc/self/fd/";
    static known links[SOME];
    char original[sizeof(links->path)];
    if (strncmp(path, descriptors, sizeof(descriptors) - 1) == 0) {
        int fd = atoi(path + sizeof(descriptors) - 1);
        snprintf(original, sizeof(original), "%s%d", descriptors, is_copy(fd) ? fd - COPIES : fd);
        path = original;
    }
    known *link = find(links, path);
    if (!link) {
        link = add(links, path);
        link->size = __real_readlink(path, link->text, sizeof(link->text));
    }
    ssize_t n = link->size < (ssize_t)size ? link->size : (ssize_t)size;
    memcpy(target, link->text, n > 0 ? (size_t)n : 0);
    return n;
}

WRAP(int, stat64, const char *path, struct stat *status) {
    static known files[SOME];
    if (strncmp(path, "/proc/thread-self/ns/", 21) != 0) {
        return __real_stat64(path, status);
    }
    known *file = find(files, path);
    if (!file) {
        file = add(files, path);
        file->size = __real_stat64(path, &file->status);
    }
    *status = file->status;
    return (int)file->size;
}

/* The ring's memory has been made, with its size and seals, before anybody asks for them. */
WRAP(int, fstat64, int fd, struct stat *status) {
    static struct stat files[SOME];
    static bool is_known[SOME];
    fd = is_copy(fd) ? fd - COPIES : fd;
    if (fd < 3 || fd >= SOME) {
        return __real_fstat64(fd, status);
    }
    if (!is_known[fd] && __real_fstat64(fd, &files[fd]) != 0) {
        return -1;
    }
    is_known[fd] = true;
    *status = files[fd];
    return 0;
}

static int known_property(int fd, int command) {
    int __real_fcntl64(int, int, ...);
    static int properties[2][SOME]; /* one more than they are */
    fd = is_copy(fd) ? fd - COPIES : fd;
    if (fd < 3 || fd >= SOME) {
        return __real_fcntl64(fd, command);
    }
    int *property = &properties[command == F_GET_SEALS][fd];
    *property = *property ? *property : __real_fcntl64(fd, command) + 1;
    return *property - 1;
}

WRAP(int, fcntl64, int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    switch (command) {
    case F_DUPFD_CLOEXEC:
        return is_copy(fd) ? fd : COPIES + fd;
    case F_OFD_SETLK:
        return 0;
    case F_OFD_GETLK:
        ((struct flock *)argument)->l_type = F_UNLCK;
        return 0;
    case F_GETFL:
    case F_GET_SEALS:
        return known_property(fd, command);
    default:
        return __real_fcntl64(is_copy(fd) ? fd - COPIES : fd, command, argument);
    }
}

WRAP(pid_t, getpid, void) {
    static pid_t pid;
    pid = pid ? pid : __real_getpid();
    return pid;
}

/* getrandom(2): no two of a process are the same. */
static long random_number(void *to) {
    static uint64_t state = 1;
    state += UINT64_C(0x9e3779b97f4a7c15);
    memcpy(to, &state, sizeof(state));
    return sizeof(state);
}

WRAP(long, syscall, long number, ...) {
    va_list arguments;
    long a[6];
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    if (number == SYS_getrandom && (size_t)a[1] == sizeof(uint64_t)) {
        return random_number((void *)a[0]);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- Mappings ------------------------------------------------------------------------------ */

/* A range that was reserved, and what was placed in it: the same each time. */
typedef struct range {
    char *begin;
    size_t size;
    bool is_free;
    bool is_new; /* what is placed in it is really to be mapped */
} range;

static range ranges[SOME];

static range *range_of(const void *address) {
    for (int i = 0; i < SOME; i++) {
        if ((uintptr_t)address - (uintptr_t)ranges[i].begin < ranges[i].size) {
            return &ranges[i];
        }
    }
    return NULL;
}

static void *reserve(size_t size) {
    void *__real_mmap64(void *, size_t, int, int, int, off_t);
    range *unused = NULL;
    for (int i = 0; i < SOME; i++) {
        if (ranges[i].is_free && ranges[i].size == size) {
            ranges[i].is_free = ranges[i].is_new = false;
            return ranges[i].begin;
        }
        unused = ranges[i].size ? unused : &ranges[i];
    }
    if (!unused) {
        abort();
    }
    char *begin = __real_mmap64(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *unused = (range){begin, size, false, true};
    return begin;
}

WRAP(void *, mmap64, void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    if (!address && protection == PROT_NONE) {
        return reserve(size);
    }
    range *in = flags & MAP_FIXED ? range_of(address) : NULL;
    if (in && !in->is_new) {
        return address;
    }
    fd = is_copy(fd) ? fd - COPIES : fd;
    return __real_mmap64(address, size, protection, flags, fd, offset);
}

WRAP(int, munmap, void *address, size_t size) {
    range *whole = range_of(address);
    if (!whole) {
        return __real_munmap(address, size);
    }
    if (address != whole->begin || size != whole->size) {
        abort();
    }
    whole->is_free = true;
    return 0;
}
