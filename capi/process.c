/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "kernel.h"
#include "mapping.h"
#include "uncancelled.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static ssize_t read_file(const char *path, char *text, size_t size) {
    RBC_UNCANCELLED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, text, size);
    close(fd);
    return n;
}

/* Reads a small file of /proc as a string. Returns whether that worked. */
static bool read_text(const char *path, char *text, size_t size) {
    ssize_t n = read_file(path, text, size - 1);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    return true;
}

static int hex_value(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

void rbc_boot_id(uint8_t id[16]) {
    char text[64];
    memset(id, 0, 16);
    if (!read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text))) {
        return;
    }
    int digits = 0;
    for (const char *c = text; digits < 32 && *c != '\0' && *c != '\n'; c++) {
        if (*c != '-') {
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | hex_value(*c));
            digits++;
        }
    }
    if (digits < 32) {
        memset(id, 0, 16); /* a part of it would be another boot's */
    }
}

static bool is_unknown(const uint8_t id[16]) {
    static const uint8_t unknown[16];
    return memcmp(id, unknown, sizeof(unknown)) == 0;
}

void rbc_boot_id_once(uint8_t id[16]) {
    if (is_unknown(id)) {
        rbc_boot_id(id);
    }
}

/* Whether the pids in /proc are ours: it may belong to another pid namespace. */
static bool proc_shows_our_pids(void) {
    char link[32];
    ssize_t n = readlink("/proc/self", link, sizeof(link) - 1);
    if (n <= 0) {
        return false;
    }
    link[n] = '\0';
    return strtol(link, NULL, 10) == (long)getpid();
}

/*
 * The n-th field behind this one, NULL if there are not so many. (Each ring that is opened needs
 * this. sscanf(3), which can pass over fields as well, takes ten times as long.)
 */
static const char *field_after(const char *field, int n) {
    for (; field != NULL && n > 0; n--) {
        field = strchr(field, ' ');
        field = field != NULL ? field + 1 : NULL;
    }
    return field;
}

/* Sets *start_time (0: not known) and returns whether the process exists and is no zombie. */
static bool look_up(uint64_t pid, uint64_t *start_time) {
    char path[48], text[512];
    *start_time = 0;
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
    if (!proc_shows_our_pids() || !read_text(path, text, sizeof(text))) {
        return pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
    }
    /* The name (field 2) may hold blanks and parentheses: count fields from its last ')'. */
    const char *state = field_after(strrchr(text, ')'), 1);
    const char *threads = field_after(state, 17), *started = field_after(threads, 2);
    if (started == NULL) {
        return true;
    }
    *start_time = strtoull(started, NULL, 10);
    /* A process whose first thread has ended is shown as a zombie while its others live. */
    return (*state != 'Z' && *state != 'X') || strtol(threads, NULL, 10) > 1;
}

/*
 * execve() keeps pid and start time. What it changes are the 16 random bytes that the kernel gives
 * each program; libc takes its stack and pointer guards from them, so only a mix is published.
 */
static uint64_t program_image(void) {
    uint64_t halves[2] = {0, 0};
    const void *random = (const void *)getauxval(AT_RANDOM);
    if (random != NULL) {
        memcpy(halves, random, sizeof(halves));
    }
    return (uint32_t)(((halves[0] ^ halves[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static uint64_t inode_of(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

/*
 * Start times are shown as in the time namespace of the process that reads them. (Both inodes have
 * 32 bits.)
 */
static uint64_t namespaces(void) {
    uint64_t pids = inode_of("/proc/thread-self/ns/pid");
    return pids == 0 ? 0 : pids | inode_of("/proc/thread-self/ns/time") << 32;
}

rbc_process rbc_process_self(void) {
    rbc_process self = {
        .namespaces = namespaces(), .image = program_image(), .pid = (uint64_t)getpid()};
    rbc_boot_id(self.boot_id);
    look_up(self.pid, &self.start_time);
    return self;
}

/* An id that could not be read (no /proc/sys, no descriptor left) says nothing. */
static bool is_of_another_boot(const uint8_t a[16], const uint8_t b[16]) {
    return !is_unknown(a) && !is_unknown(b) && memcmp(a, b, 16) != 0;
}

rbc_process_state rbc_process_state_of(const rbc_process *process) {
    rbc_process self = rbc_process_self();
    if (process->pid == 0 || is_of_another_boot(process->boot_id, self.boot_id)) {
        return RBC_PROCESS_DEAD;
    }
    if (process->namespaces == 0 || process->namespaces != self.namespaces) {
        return RBC_PROCESS_UNKNOWN;
    }
    uint64_t start_time;
    if (!look_up(process->pid, &start_time)) {
        return RBC_PROCESS_DEAD;
    }
    if (start_time != 0 && process->start_time != 0 && start_time != process->start_time) {
        return RBC_PROCESS_DEAD;
    }
    if (process->pid != self.pid) {
        return RBC_PROCESS_ALIVE;
    }
    return process->image == self.image ? RBC_PROCESS_SELF : RBC_PROCESS_DEAD;
}

/* ---- A name in one word ---- */

#define PID_BITS 22 /* the kernel's PID_MAX_LIMIT */
#define START_BITS 12
#define PLACE_BITS 16

static_assert(PID_BITS + START_BITS + PLACE_BITS == RBC_SHORT_NAME_BITS, "the bits of a name");

static uint64_t lowest_bits(uint64_t value, unsigned bits) {
    return value & ((UINT64_C(1) << bits) - 1);
}

/* A number from 1 to 2^bits - 1; 0 for 0, which says that something is not known. */
static uint64_t short_of(uint64_t value, unsigned bits) {
    uint64_t mixed = (value ^ value >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return value == 0 ? 0 : 1 + (mixed >> 16) % ((UINT64_C(1) << bits) - 1);
}

/* Names the boot and the namespaces in which pid and start time are meant. */
static uint64_t short_place(const rbc_process *process) {
    uint64_t halves[2];
    memcpy(halves, process->boot_id, sizeof(halves));
    return process->namespaces == 0
               ? 0
               : short_of(process->namespaces ^ halves[0] ^ halves[1], PLACE_BITS);
}

uint64_t rbc_process_short_name(const rbc_process *process) {
    return short_place(process) << (PID_BITS + START_BITS) |
           short_of(process->start_time, START_BITS) << PID_BITS |
           lowest_bits(process->pid, PID_BITS);
}

uint64_t rbc_short_name_pid(uint64_t name) {
    return lowest_bits(name, PID_BITS);
}

rbc_process_state rbc_short_name_state_of(uint64_t name) {
    const rbc_process self = rbc_process_self();
    const uint64_t pid = rbc_short_name_pid(name);
    const uint64_t start = lowest_bits(name >> PID_BITS, START_BITS);
    const uint64_t place = lowest_bits(name >> (PID_BITS + START_BITS), PLACE_BITS);
    uint64_t start_time;
    if (pid == 0) {
        return RBC_PROCESS_DEAD;
    }
    if (place == 0 || place != short_place(&self)) {
        return RBC_PROCESS_UNKNOWN;
    }
    if (!look_up(pid, &start_time)) {
        return RBC_PROCESS_DEAD;
    }
    if (start != 0 && start_time != 0 && start != short_of(start_time, START_BITS)) {
        return RBC_PROCESS_DEAD;
    }
    return pid == self.pid ? RBC_PROCESS_SELF : RBC_PROCESS_ALIVE;
}

void rbc_process_name(uint64_t pid, char name[RBC_PROCESS_NAME_SIZE]) {
    char path[48];
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/comm", pid);
    if (!proc_shows_our_pids() || !read_text(path, name, RBC_PROCESS_NAME_SIZE)) {
        name[0] = '\0';
    }
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '\n') {
        name[--length] = '\0'; /* the kernel's own */
    }
    for (size_t i = 0; i < length; i++) {
        name[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
    }
}

/* ---- Namespaces below ours ---- */

/*
 * A namespace below ours is one in which /proc shows a process: then it shows all of them. Each has
 * a pid in every namespace from ours down to its own (NSpid in /proc/PID/status).
 */

typedef enum finding {
    NOT_THERE, /* of another namespace, or gone */
    THERE,     /* in the namespace, but not the process */
    MAY_BE_IT, /* nothing says that it is not the process */
    FOUND,     /* the process */
} finding;

static bool is_gone(int error) {
    return error == ENOENT || error == ESRCH;
}

/*
 * Sets *pid to what the process with this pid of ours is called in the innermost of its namespaces,
 * or to 0 if that is our own. Returns 0 or a negative errno.
 */
static int innermost_pid(uint64_t ours, uint64_t *pid) {
    char path[48], *line = NULL;
    size_t capacity = 0;
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", ours);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -errno;
    }
    int error = -ENODATA;
    errno = 0;
    while (error != 0 && getline(&line, &capacity, file) > 0) {
        error = strncmp(line, "NSpid:", 6) == 0 ? 0 : error;
    }
    if (error == 0) {
        const char *last = strrchr(line, '\t');
        bool is_below = last != NULL && last != strchr(line, '\t');
        *pid = is_below ? strtoull(last + 1, NULL, 10) : 0;
    } else if (is_gone(errno)) {
        error = -errno;
    }
    free(line);
    fclose(file);
    return error;
}

/* Whether the process with this pid of ours is the other one. */
static bool may_be(uint64_t ours, const rbc_process *other) {
    uint64_t start_time;
    if (!look_up(ours, &start_time)) {
        return false;
    }
    bool same_clock = namespaces() >> 32 == other->namespaces >> 32;
    return !same_clock || start_time == 0 || other->start_time == 0 ||
           start_time == other->start_time;
}

static finding compare_with(uint64_t ours, const rbc_process *other) {
    char path[48];
    struct stat of_namespace;
    uint64_t pid = 0;
    int error = innermost_pid(ours, &pid);
    if (error != 0) {
        return is_gone(-error) ? NOT_THERE : MAY_BE_IT;
    }
    if (pid == 0) {
        return NOT_THERE;
    }
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/ns/pid", ours);
    if (stat(path, &of_namespace) != 0) {
        return pid == other->pid && !is_gone(errno) ? MAY_BE_IT : NOT_THERE;
    }
    if (of_namespace.st_ino != (uint32_t)other->namespaces) {
        return NOT_THERE;
    }
    return pid == other->pid && may_be(ours, other) ? FOUND : THERE;
}

/* Whether /proc shows all processes: the mount option hidepid may keep some from us. */
static bool proc_shows_all_processes(void) {
    char *line = NULL;
    size_t capacity = 0;
    bool all = proc_shows_our_pids();
    FILE *mounts = all ? fopen("/proc/self/mountinfo", "re") : NULL;
    while (mounts != NULL && all && getline(&line, &capacity, mounts) > 0) {
        const char *options = strstr(line, " - proc ");
        all = options == NULL || strstr(options, "hidepid=") == NULL;
    }
    all &= mounts != NULL && ferror(mounts) == 0;
    free(line);
    if (mounts != NULL) {
        fclose(mounts);
    }
    return all;
}

bool rbc_process_is_dead_below(const rbc_process *process, uint64_t *pid) {
    RBC_UNCANCELLED;
    DIR *processes = proc_shows_all_processes() ? opendir("/proc") : NULL;
    bool is_below = false, is_found = processes == NULL;
    struct dirent *entry;
    *pid = 0;
    while (!is_found && (errno = 0, entry = readdir(processes)) != NULL) {
        uint64_t ours = strtoull(entry->d_name, NULL, 10);
        finding it = ours == 0 ? NOT_THERE : compare_with(ours, process);
        is_below |= it == THERE;
        is_found = it == MAY_BE_IT || it == FOUND;
        *pid = it == FOUND ? ours : 0;
    }
    is_found |= errno != 0;
    if (processes != NULL) {
        closedir(processes);
    }
    return is_below && !is_found;
}

/* ---- Fork checks ---- */

/* One page for all handles, made with the first one and kept for the life of the process. */
static _Atomic(_Atomic uint64_t *) fork_page;

static int fork_page_get(_Atomic uint64_t **out) {
    _Atomic uint64_t *page = atomic_load_explicit(&fork_page, memory_order_acquire);
    if (page != NULL) {
        *out = page;
        return 0;
    }
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) {
        return rbc_mapping_error();
    }
    if (madvise(fresh, size, RBC_MADV_WIPEONFORK) != 0) {
        int error = rbc_mapping_error();
        munmap(fresh, size);
        return error;
    }
    if (atomic_compare_exchange_strong(&fork_page, &page, fresh)) {
        page = fresh;
    } else {
        munmap(fresh, size); /* another thread was faster: page is its page now */
    }
    *out = page;
    return 0;
}

int rbc_fork_check_init(rbc_fork_check *self) {
    _Atomic uint64_t *word;
    int error = fork_page_get(&word);
    if (error != 0) {
        return error;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* Never 0, which is what a child finds, and never what an ancestor chose. */
    uint64_t fresh =
        ((uint64_t)getpid() << 40 ^ (uint64_t)now.tv_sec * 1000000000u ^ (uint64_t)now.tv_nsec) | 1;
    uint64_t token = 0;
    if (atomic_compare_exchange_strong(word, &token, fresh)) {
        token = fresh;
    }
    self->word = word;
    self->token = token;
    return 0;
}
