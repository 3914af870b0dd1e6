/* SPDX-License-Identifier: MIT */
/*
 * A program under a seccomp filter that lets it make the calls of libbpf's own ring buffers, and
 * those that it is told: what becomes of the records?
 *
 *   filtered ANSWER WHEN RINGS [CALL]...
 *     ANSWER   of the filter to other calls: kill, or an error (EPERM, ENOSYS, EACCES)
 *     WHEN     it is installed: before the rings are opened, or after
 *     CALL     a system call that is allowed besides
 *
 * Ends with 0 if each record was delivered once, in order; 1 if not; 2 if it does not know a call.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kernel/produce.h"
#include "produce.skel.h"

#define SKIPPED 77
#define RINGS_MAX 4
#define BURSTS 40
#define BURST 25
#define NO_CALL (-1)

/* ---- The filter ---- */

/* The calls of libbpf's ring buffers, and those of the C library and this program besides. */
static const int base[] = {SYS_bpf,         SYS_epoll_create1, SYS_epoll_ctl,
#ifdef SYS_epoll_wait
                           SYS_epoll_wait,
#endif
                           SYS_epoll_pwait, SYS_mmap,          SYS_munmap,
                           SYS_mprotect,    SYS_brk,           SYS_close,
                           SYS_write,       SYS_futex,         SYS_exit_group};

#define CALL(name) {#name, SYS_##name}
static const struct {
    const char *name;
    int number;
} known[] = {CALL(clock_gettime), CALL(clock_nanosleep), CALL(dup3),           CALL(epoll_pwait2),
             CALL(eventfd2),      CALL(fcntl),           CALL(fstat),          CALL(getdents64),
             CALL(getpid),        CALL(getrandom),       CALL(kill),           CALL(madvise),
             CALL(newfstatat),    CALL(openat),          CALL(read),
#ifdef SYS_readlink
             CALL(readlink),
#endif
             CALL(readlinkat),    CALL(timerfd_create),  CALL(timerfd_settime)};

static int number_of(const char *name) {
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].number;
        }
    }
    return NO_CALL;
}

#define RULES_MAX 64

static struct sock_filter rules[3 + 2 * RULES_MAX];
static unsigned short rule_count;

static void add_rule(struct sock_filter rule) {
    rules[rule_count++] = rule;
}

static void allow(int call) {
    add_rule((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1));
    add_rule((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static uint32_t answer_of(const char *name) {
    return strcmp(name, "kill") == 0     ? SECCOMP_RET_KILL_PROCESS
           : strcmp(name, "ENOSYS") == 0 ? SECCOMP_RET_ERRNO | ENOSYS
           : strcmp(name, "EACCES") == 0 ? SECCOMP_RET_ERRNO | EACCES
                                         : SECCOMP_RET_ERRNO | EPERM;
}

/* Returns whether all are known. */
static bool prepare_filter(const char *answer, char **calls, int count) {
    add_rule(
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    for (size_t i = 0; i < sizeof(base) / sizeof(*base); i++) {
        allow(base[i]);
    }
    for (int i = 0; i < count && i < RULES_MAX - (int)(sizeof(base) / sizeof(*base)); i++) {
        if (number_of(calls[i]) == NO_CALL) {
            printf("no call that this test knows: %s\n", calls[i]);
            return false;
        }
        allow(number_of(calls[i]));
    }
    add_rule((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer_of(answer)));
    return true;
}

static void install_filter(void) {
    const struct sock_fprog program = {.len = rule_count, .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        printf("skipped: no seccomp filter\n");
        _exit(SKIPPED);
    }
}

/* ---- What is read ---- */

static unsigned seen[RINGS_MAX];

static int on_record(void *context, void *data, size_t size) {
    unsigned *next = context;
    uint32_t offset = *next % 100;
    (void)size;
    if (memcmp(data, &offset, sizeof(offset)) != 0) {
        _exit(1);
    }
    (*next)++;
    return 0;
}

/* The pattern is such that record number i has i % 100 as its first word. */
static struct produce *open_ring(void) {
    struct produce *ring = produce__open();
    if (!ring || bpf_map__set_max_entries(ring->maps.events, 65536) || produce__load(ring)) {
        printf("skipped: the BPF programs cannot be loaded: %m\n");
        exit(SKIPPED);
    }
    for (uint32_t i = 0; i < 100; i++) {
        memcpy(ring->bss->pattern + 4 * i, &i, sizeof(i));
    }
    return ring;
}

static int fd_of(const struct produce *ring) {
    return bpf_map__fd(ring->maps.events);
}

static void emit(const struct produce *ring, unsigned number) {
    struct emit_args args = {.size = 32, .offset = 4 * (number % 100)};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
    if (bpf_prog_test_run_opts(bpf_program__fd(ring->progs.emit), &opts) || opts.retval) {
        _exit(3);
    }
}

static bool all_seen(int count, unsigned wanted) {
    bool all = true;
    for (int i = 0; i < count; i++) {
        all &= seen[i] == wanted;
    }
    return all;
}

int main(int argc, char **argv) {
    struct produce *rings[RINGS_MAX];
    if (argc < 4 || !prepare_filter(argv[1], argv + 4, argc - 4)) {
        return 2;
    }
    bool before = strcmp(argv[2], "before") == 0;
    int count = atoi(argv[3]);
    for (int i = 0; i < count; i++) {
        rings[i] = open_ring();
    }
    setvbuf(stdout, NULL, _IONBF, 0);
    if (before) {
        install_filter();
    }
    struct ring_buffer *reader = ring_buffer__new(fd_of(rings[0]), on_record, &seen[0], NULL);
    for (int i = 1; reader && i < count; i++) {
        if (ring_buffer__add(reader, fd_of(rings[i]), on_record, &seen[i])) {
            return 1;
        }
    }
    if (!reader) {
        return 1;
    }
    if (!before) {
        install_filter();
    }
    for (unsigned burst = 1; burst <= BURSTS; burst++) {
        for (int i = 0; i < count; i++) {
            for (unsigned k = 0; k < BURST; k++) {
                emit(rings[i], (burst - 1) * BURST + k);
            }
        }
        /* A poll that comes to nothing would hang for good without its timeout. */
        while (!all_seen(count, burst * BURST)) {
            if (ring_buffer__poll(reader, 10000) <= 0) {
                _exit(1);
            }
        }
        /* And one that finds nothing has no error, whether it waits or not. */
        if (ring_buffer__poll(reader, burst % 8 == 0 ? 3 : 0) != 0) {
            _exit(1);
        }
    }
    bool all = all_seen(count, BURSTS * BURST) && ring_buffer__consume(reader) == 0;
    ring_buffer__free(reader);
    _exit(all ? 0 : 1);
}
