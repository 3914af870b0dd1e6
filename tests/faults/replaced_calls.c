/* SPDX-License-Identifier: MIT */
/* This file replaces the calls that read, write and wait, and the rest. */
#include "replaced.h"

#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* ---- Reading and writing ---- */

ssize_t __real_readlink(const char *path, char *out, size_t size);
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __real_write(int fd, const void *from, size_t size);
ssize_t __real_pwrite(int fd, const void *from, size_t size, off_t offset);
int __real_ftruncate(int fd, off_t size);

static bool is_eventfd(int fd) {
    char path[32], target[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = __real_readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    return strcmp(target, "anon_inode:[eventfd]") == 0;
}

static ssize_t note_read(ssize_t n) {
    fault_state.memory.bytes_read += fault_state.inside && n > 0 ? (size_t)n : 0;
    return n;
}

ssize_t __wrap_read(int fd, void *to, size_t size) {
    if (!fault_state.inside) {
        return __real_read(fd, to, size);
    }
    int fault = is_eventfd(fd)
                    ? fault_of("read of an eventfd", ERRORS(EAGAIN))
                    : fault_of("read", ERRORS(EIO, EINTR, EAGAIN, ENOMEM, FAULT_SHORT, FAULT_END));
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    return fault == FAULT_END ? 0 : note_read(__real_read(fd, to, fault == FAULT_SHORT ? 1 : size));
}

ssize_t __wrap_write(int fd, const void *from, size_t size) {
    if (!fault_state.inside) {
        return __real_write(fd, from, size);
    }
    int fault = is_eventfd(fd) ? fault_of("write to an eventfd", ERRORS(EAGAIN))
                               : fault_of("write", ERRORS(EIO, EINTR, EAGAIN, ENOSPC, EDQUOT, EFBIG,
                                                          EPIPE, EBADF, FAULT_SHORT));
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    return __real_write(fd, from, fault == FAULT_SHORT ? 1 : size);
}

/* ENOSPC: where memory is not overcommitted, the file system of memfds has it for ENOMEM. */
ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t offset) {
    int fault = fault_of("pwrite", ERRORS(ENOMEM, ENOSPC, EFBIG, FAULT_SHORT));
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    return __real_pwrite(fd, from, fault == FAULT_SHORT ? 1 : size, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *from, size_t size, off_t offset) {
    return __wrap_pwrite(fd, from, size, offset);
}

int __wrap_ftruncate(int fd, off_t size) {
    return fails("ftruncate", ERRORS(ENOMEM, EFBIG)) ? -1 : __real_ftruncate(fd, size);
}

int __wrap_ftruncate64(int fd, off_t size) {
    return __wrap_ftruncate(fd, size);
}

FILE *__real_fopen(const char *path, const char *mode);
int __real_fclose(FILE *file);
int __real_fgetc(FILE *file);

FILE *__wrap_fopen(const char *path, const char *mode) {
    return fails("fopen", ERRORS(ENOENT, EACCES, EMFILE, ENFILE, ENOMEM))
               ? NULL
               : __real_fopen(path, mode);
}

FILE *__wrap_fopen64(const char *path, const char *mode) {
    return __wrap_fopen(path, mode);
}

int __wrap_fclose(FILE *file) {
    bool failed = fails("fclose", ERRORS(EIO));
    int error = errno, result = __real_fclose(file);
    errno = failed ? error : errno;
    return failed ? EOF : result;
}

int __wrap_fgetc(FILE *file) {
    return fault_of("fgetc", ERRORS(FAULT_END)) ? EOF : __real_fgetc(file);
}

int __wrap___isoc99_fscanf(FILE *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = fault_of("fscanf", ERRORS(FAULT_END)) ? EOF : vfscanf(file, format, arguments);
    va_end(arguments);
    return n;
}

int __wrap___isoc23_fscanf(FILE *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = fault_of("fscanf", ERRORS(FAULT_END)) ? EOF : vfscanf(file, format, arguments);
    va_end(arguments);
    return n;
}

DIR *__real_opendir(const char *path);
struct dirent *__real_readdir(DIR *directory);
ssize_t __real___getdelim(char **line, size_t *room, int end, FILE *file);

DIR *__wrap_opendir(const char *path) {
    return fails("opendir", ERRORS(ENOENT, EACCES, EMFILE, ENFILE, ENOMEM)) ? NULL
                                                                            : __real_opendir(path);
}

struct dirent *__wrap_readdir(DIR *directory) {
    return fails("readdir", ERRORS(ENOENT, ENOMEM)) ? NULL : __real_readdir(directory);
}

struct dirent *__wrap_readdir64(DIR *directory) {
    return __wrap_readdir(directory);
}

/* The library has to free what this allocates. */
ssize_t __wrap___getdelim(char **line, size_t *room, int end, FILE *file) {
    if (fails("getdelim", ERRORS(ENOMEM, EIO, FAULT_END))) {
        return -1;
    }
    void *before = *line;
    ssize_t n = __real___getdelim(line, room, end, file);
    if (*line != before) {
        block_moved(before, *line, *room);
    }
    return n;
}

/* This is the same call, where the compiler puts nothing in its place. */
ssize_t __wrap_getline(char **line, size_t *room, FILE *file) {
    return __wrap___getdelim(line, room, '\n', file);
}

/* ---- Waiting ---- */

int __real_epoll_create1(int flags);
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __real_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __real_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *left);

int __wrap_epoll_create1(int flags) {
    return fails("epoll_create1", ERRORS(EMFILE, ENFILE, ENOMEM)) ? -1
                                                                  : __real_epoll_create1(flags);
}

/* Leaving cannot fail. */
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    return operation != EPOLL_CTL_DEL && fails("epoll_ctl", ERRORS(ENOSPC, ENOMEM))
               ? -1
               : __real_epoll_ctl(epoll, operation, fd, event);
}

/* One that does not wait cannot fail. */
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout) {
    return timeout != 0 && fails("epoll_wait", ERRORS(EINTR))
               ? -1
               : __real_epoll_wait(epoll, events, max, timeout);
}

void (*fault_before_poll)(void);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout) {
    if (fails("poll", ERRORS(EINTR, ENOMEM))) {
        return -1;
    }
    if (fault_state.inside && fault_before_poll != NULL) {
        library_leave();
        fault_before_poll();
        library_enter();
    }
    return __real_poll(fds, count, timeout);
}

/* Nobody else does anything meanwhile: the library need not sleep. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left) {
    if (fault_state.inside) {
        return fails("nanosleep", ERRORS(EINTR)) ? -1 : 0;
    }
    return __real_nanosleep(time, left);
}

int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *left) {
    int error = fault_of("clock_nanosleep", ERRORS(EINTR));
    return error != 0 ? error : __real_clock_nanosleep(clock, flags, time, left);
}

/* ---- The rest ---- */

int __real_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *time);

int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *time) {
    return fails("sigtimedwait", ERRORS(EAGAIN, EINTR)) ? -1 : __real_sigtimedwait(set, info, time);
}

int __real_kill(pid_t pid, int signal);
int __real_uname(struct utsname *out);
long __real_syscall(long number, ...);

int __wrap_kill(pid_t pid, int signal) {
    return fails("kill", ERRORS(EPERM)) ? -1 : __real_kill(pid, signal);
}

int __wrap_uname(struct utsname *out) {
    return fails("uname", ERRORS(EFAULT)) ? -1 : __real_uname(out);
}

/* The kernel writes a value for each possible CPU, whatever room there is. */
static void check_room_for_losses(const union bpf_attr *attr) {
    const size_t *room = size_of_block((void *)(uintptr_t)attr->value);
    size_t needed = (size_t)get_nprocs_conf() * 16;
    if (room == NULL || *room < needed) {
        ck_abort_msg("room for %zu bytes of losses, of %zu", room == NULL ? 0 : *room, needed);
    }
}

static bool bpf_fails(long command, const union bpf_attr *attr) {
    switch (command) {
    case BPF_OBJ_GET:
        return fails("bpf OBJ_GET", ERRORS(ENOENT, EACCES, EPERM, ELOOP, ENOTDIR, ENAMETOOLONG,
                                           EMFILE, ENFILE, ENOMEM));
    case BPF_MAP_GET_FD_BY_ID:
        return fails("bpf MAP_GET_FD_BY_ID", ERRORS(ENOENT, EPERM, EMFILE, ENFILE, ENOMEM));
    case BPF_OBJ_GET_INFO_BY_FD:
        return fails("bpf OBJ_GET_INFO_BY_FD", ERRORS(EINVAL, EPERM, ENOMEM));
    case BPF_MAP_LOOKUP_ELEM:
        check_room_for_losses(attr);
        return fails("bpf MAP_LOOKUP_ELEM", ERRORS(EPERM, ENOMEM, ENOENT));
    case BPF_MAP_CREATE:
        return fails("bpf MAP_CREATE", ERRORS(EPERM, ENOMEM, EMFILE, ENFILE, EINVAL, ENOSYS));
    default:
        ck_abort_msg("bpf(%ld) is not known here", command);
        return false;
    }
}

/* EINVAL: a kernel that does not know the flag MFD_NOEXEC_SEAL. */
static bool memfd_create_fails(long flags) {
    return flags & 8 ? fails("memfd_create with the newest flag",
                             ERRORS(EMFILE, ENFILE, ENOMEM, ENOSYS, EINVAL))
                     : fails("memfd_create", ERRORS(EMFILE, ENFILE, ENOMEM, ENOSYS));
}

/* Returns how many bytes it is to give. A negative number says that it fails. */
static long size_from_getrandom(long size) {
    int fault = fault_of("getrandom", ERRORS(EAGAIN, EINTR, ENOSYS, FAULT_SHORT));
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    return fault == FAULT_SHORT ? 1 : size;
}

static bool syscall_fails(long number, long first, long second) {
    switch (number) {
    case SYS_memfd_create:
        return memfd_create_fails(second);
    case SYS_bpf:
        return bpf_fails(first, (const union bpf_attr *)second);
    case SYS_epoll_pwait2:
        return fails("epoll_pwait2", ERRORS(EINTR, ENOSYS, EPERM));
    case SYS_write: /* to the reader's own eventfd, which is never full */
        return false;
    case SYS_futex:
        return second == FUTEX_WAIT && fails("futex FUTEX_WAIT", ERRORS(EINTR, EAGAIN, ETIMEDOUT));
    default:
        ck_abort_msg("the system call %ld is not known here", number);
        return false;
    }
}

long __wrap_syscall(long number, ...) {
    va_list arguments;
    long a[6];
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    if (fault_state.inside && number == SYS_getrandom) {
        a[1] = size_from_getrandom(a[1]);
        if (a[1] < 0) {
            return -1;
        }
    } else if (fault_state.inside && syscall_fails(number, a[0], a[1])) {
        return -1;
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
