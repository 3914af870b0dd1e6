/* SPDX-License-Identifier: MIT */
#include "map.h"

#include "uncancelled.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int bpf(int command, rbc_bpf_arguments *arguments) {
    long result = syscall(RBC_SYS_BPF, command, arguments, sizeof(*arguments));
    return result < 0 ? -errno : (int)result;
}

int rbc_map_open_path(const char *path) {
    rbc_bpf_arguments arguments;
    memset(&arguments, 0, sizeof(arguments));
    arguments.object.path = (uintptr_t)path;
    return bpf(RBC_BPF_OBJ_GET, &arguments);
}

int rbc_map_open_id(uint32_t id) {
    rbc_bpf_arguments arguments;
    memset(&arguments, 0, sizeof(arguments));
    arguments.map_id = id;
    return bpf(RBC_BPF_MAP_GET_FD_BY_ID, &arguments);
}

bool rbc_map_positions_are_whole(void) {
    RBC_UNCANCELLED;
    if (sizeof(long) == sizeof(uint64_t)) {
        return true;
    }
    int fd = open("/sys/kernel/address_bits", O_RDONLY | O_CLOEXEC); /* since Linux 6.3 */
    if (fd >= 0) {
        char bits[2];
        ssize_t n = read(fd, bits, sizeof(bits));
        close(fd);
        return n == sizeof(bits) && memcmp(bits, "64", sizeof(bits)) == 0;
    }
    /* x86_64, aarch64, ...; setarch(8) can hide a 64-bit machine, but not make up one. */
    struct utsname system;
    return uname(&system) == 0 && strstr(system.machine, "64") != NULL;
}

/*
 * The kernel gives the info of programs and links by the same command, and does not say which it
 * gave. Without /proc they pass here, and are found out by their type or by mmap().
 */
bool rbc_map_is_something_else(int fd) {
    char path[32], target[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    return n > 0 && strcmp(target, "anon_inode:bpf-map") != 0;
}

int rbc_map_get_info_of_any(int fd, rbc_map_info *info) {
    rbc_bpf_arguments arguments;
    memset(&arguments, 0, sizeof(arguments));
    memset(info, 0, sizeof(*info));
    arguments.info.fd = (uint32_t)fd;
    arguments.info.size = sizeof(*info);
    arguments.info.info = (uintptr_t)info;
    int error = bpf(RBC_BPF_OBJ_GET_INFO_BY_FD, &arguments);
    return error == -EINVAL ? -EBADFD : error;
}

int rbc_map_get_info(int fd, rbc_map_info *info) {
    return rbc_map_is_something_else(fd) ? -EBADFD : rbc_map_get_info_of_any(fd, info);
}

/* A value of the loss map: what include/rbcore/rbcore_bpf.h counts. */
typedef struct losses {
    uint64_t records;
    uint64_t bytes;
} losses;

bool rbc_map_counts_losses(const rbc_map_info *info) {
    return info->type == RBC_BPF_MAP_TYPE_PERCPU_ARRAY && info->key_size == sizeof(uint32_t) &&
           info->value_size == sizeof(losses);
}

/*
 * How many values a per-CPU map has: one for each possible CPU. The kernel writes that many without
 * asking, so nothing less than its own list will do.
 */
static int possible_cpus(void) {
    RBC_UNCANCELLED;
    FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
    if (file == NULL) {
        return -errno;
    }
    int count = 0, first, last, end = EOF;
    while (fscanf(file, "%d", &first) == 1) {
        last = first;
        if (fscanf(file, "-%d", &last) == EOF) {
            last = first;
        }
        count += last - first + 1;
        end = fgetc(file);
        if (end != ',') {
            break;
        }
    }
    fclose(file);
    bool is_whole = end == '\n' || end == EOF;
    return count > 0 && is_whole ? count : -ENODATA;
}

int rbc_map_read_losses(int fd, uint64_t *records) {
    int cpus = possible_cpus();
    if (cpus < 0) {
        return cpus;
    }
    losses *values = calloc((size_t)cpus, sizeof(*values));
    if (values == NULL) {
        return -ENOMEM;
    }
    uint32_t key = 0;
    rbc_bpf_arguments arguments;
    memset(&arguments, 0, sizeof(arguments));
    arguments.element.map_fd = (uint32_t)fd;
    arguments.element.key = (uintptr_t)&key;
    arguments.element.value = (uintptr_t)values;
    int error = bpf(RBC_BPF_MAP_LOOKUP_ELEM, &arguments);
    *records = 0;
    for (int i = 0; i < cpus; i++) {
        *records += values[i].records;
    }
    free(values);
    return error;
}

int rbc_map_probe_ring(uint32_t type, uint32_t flags) {
    rbc_bpf_arguments arguments;
    memset(&arguments, 0, sizeof(arguments));
    arguments.create.map_type = type;
    arguments.create.max_entries = (uint32_t)sysconf(_SC_PAGESIZE);
    arguments.create.map_flags = flags;
    int fd = bpf(RBC_BPF_MAP_CREATE, &arguments);
    rbc_close(fd);
    if (fd >= 0) {
        return 1;
    }
    return fd == -EINVAL || fd == -ENOSYS ? 0 : fd;
}
