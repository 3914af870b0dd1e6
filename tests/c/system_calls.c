/* SPDX-License-Identifier: MIT */
/*
 * A read that finds records and the commit after it make no system call, nor does describing them:
 * a filter kills for any.
 * Other filters refuse a call, and the reader copes.
 */
#include "support.h"
#include "tracing.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define RECORDS 200

static bool is_traceable;

/* The fate of one system call, and of all others. */
static int filter(uint32_t call, uint32_t action, uint32_t others) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, others),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* From here on this process may only end. */
static int forbid_all(void) {
    return filter(SYS_exit_group, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

typedef struct plan {
    uint32_t flags;
    bool empty;       /* read an empty ring instead */
    bool after_empty; /* an empty read comes first, as in any real loop */
    bool by_look;     /* rbcore_reader_look reads, and finds nothing more in the end */
} plan;

/* The handles belong to the process that opened them, so all of it happens in the child. */
static int read_under_filter(void *argument) {
    const plan *p = argument;
    rbcore_record records[8];
    fixture f = fixture_open(16 * page_size(), p->flags);
    fixture g = fixture_add(f.reader, page_size());
    if (p->after_empty && rbcore_reader_next(f.reader, records, 8, 1000)) {
        return 10;
    }
    for (uint64_t i = 0; !p->empty && i < RECORDS; i++) {
        produce(i % 10 ? &f : &g, i);
        void *data;
        if (rbcore_producer_reserve(f.producer, &data, 8) ||
            rbcore_producer_discard(f.producer, data, 0)) {
            return 11;
        }
    }
    if (forbid_all()) {
        return 12;
    }
    if (p->empty) {
        rbcore_reader_read(f.reader, records, 8);
        return 13;
    }
    for (int total = 0; total < RECORDS;) {
        int n = p->by_look  ? rbcore_reader_look(f.reader, records, 7)
                : total % 2 ? rbcore_reader_read(f.reader, records, 7)
                            : rbcore_reader_next(f.reader, records, 7, RBCORE_FOREVER);
        if (n <= 0) {
            return 14;
        }
        if (p->flags ? rbcore_reader_release(f.reader, records, (size_t)n)
                     : rbcore_reader_commit(f.reader, total % 3 ? NULL : &records[n - 1], 0)) {
            return 15;
        }
        total += n;
    }
    return p->by_look ? rbcore_reader_look(f.reader, records, 7) : 0;
}

static int outcome(plan p) {
    return in_child(read_under_filter, &p);
}

START_TEST(the_filter_kills) {
    ck_assert_int_eq(outcome((plan){.empty = true}), 256 + SIGSYS);
}
END_TEST

START_TEST(read_and_commit) {
    ck_assert_int_eq(outcome((plan){0}), 0);
    ck_assert_int_eq(outcome((plan){.after_empty = true}), 0);
}
END_TEST

START_TEST(look_and_commit) {
    ck_assert_int_eq(outcome((plan){.by_look = true}), 0);
    ck_assert_int_eq(outcome((plan){.by_look = true, .after_empty = true}), 0);
}
END_TEST

START_TEST(read_and_release) {
    ck_assert_int_eq(outcome((plan){.flags = RBCORE_READER_RELEASE}), 0);
    ck_assert_int_eq(outcome((plan){.flags = RBCORE_READER_RELEASE, .after_empty = true}), 0);
}
END_TEST

static int describe_under_filter(void *argument) {
    const uint64_t *flags = argument;
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_record records[8];
    rbcore_slice content;
    fixture f = fixture_open(page_size(), *flags);
    produce(&f, 1);
    produce(&f, 2);
    if (rbcore_reader_read(f.reader, records, 8) != 2 ||
        rbcore_reader_snapshot_header(f.reader, &records[0], &records[0], header, &content) ||
        forbid_all()) {
        return 10;
    }
    return rbcore_reader_snapshot_header(f.reader, &records[0], &records[1], header, &content);
}

/* Only the first call reads the boot's id. */
START_TEST(describing_records) {
    ck_assert_int_eq(in_child(describe_under_filter, &(uint64_t){0}), 0);
    ck_assert_int_eq(in_child(describe_under_filter, &(uint64_t){RBCORE_READER_RELEASE}), 0);
}
END_TEST

#define WAITS 100

/* Its parent counts the system calls from when it stops. */
static int wait_by_the_timer(void *argument) {
    rbcore_record records[8];
    (void)argument;
    fixture f = fixture_open((size_t)1 << 20, RBCORE_READER_POLL);
    rbcore_reader_next(f.reader, records, 8, 0);
    stop_to_be_traced();
    for (uint64_t i = 0; i < WAITS; i++) {
        ok(rbcore_producer_output(f.producer, &i, sizeof(i), RBCORE_NO_WAKEUP));
        if (rbcore_reader_next(f.reader, records, 8, RBCORE_FOREVER) != 1 ||
            rbcore_reader_commit(f.reader, NULL, 0)) {
            _exit(1);
        }
    }
    _exit(0);
}

/* One call sleeps, and its own timeout ends it: none starts a timer before, none stops it. */
START_TEST(a_paced_cycle_is_one_call) {
    if (!is_traceable) {
        printf("skipped: a_paced_cycle_is_one_call: needs ptrace(2)\n");
        return;
    }
    pid_t pid = start_child(wait_by_the_timer, NULL);
    await_stop(pid);
    unsigned int stops = 0;
    while (step_to_call(pid)) {
        stops++;
    }
    ck_assert_uint_gt(stops / 2, WAITS / 2);
    ck_assert_uint_le(stops / 2, WAITS + 1);
}
END_TEST

/* Two records come in each interval of a paced ring. Returns how long the waits took, in ms. */
static int wait_without_epoll_pwait2(void *argument) {
    const int *error = argument;
    rbcore_record records[64];
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_reader *reader;
    options.max_latency_ns = 100000; /* a tenth of what epoll_wait can wait at least */
    if (rbcore_reader_open(&reader, &options)) {
        return 255;
    }
    fixture f = fixture_add(reader, (size_t)1 << 20);
    if (filter(SYS_epoll_pwait2, SECCOMP_RET_ERRNO | (uint32_t)*error, SECCOMP_RET_ALLOW) ||
        rbcore_reader_next(f.reader, records, 64, 0)) {
        return 255;
    }
    int64_t begin = now_ns();
    for (int i = 0; i < WAITS; i++) {
        for (int n = ring_stats(&f).flags & RBCORE_RING_PACED ? 2 : 8; n > 0; n--) {
            produce(&f, 0);
        }
        if (rbcore_reader_next(f.reader, records, 64, RBCORE_FOREVER) <= 0 ||
            rbcore_reader_commit(f.reader, NULL, 0)) {
            return 255;
        }
    }
    int64_t took = (now_ns() - begin) / MILLISECOND;
    return took < 254 ? (int)took : 254;
}

static void expect_short_waits(int error) {
    int took = WAITS;
    /* By milliseconds no attempt can be faster than one for each wait. */
    for (int i = 0; took >= WAITS / 2; i++) {
        ck_assert_int_lt(i, 20);
        took = in_child(wait_without_epoll_pwait2, &error);
        ck_assert_int_ne(took, 255);
        ck_assert_int_ge(took, WAITS / 20); /* and it did sleep */
    }
}

/*
 * It came with Linux 5.11; and there are filters that do not know it, each with an error of its
 * own.
 */
START_TEST(next_keeps_the_latency_without_epoll_pwait2) {
    expect_short_waits(ENOSYS);
    expect_short_waits(EPERM);
    expect_short_waits(EACCES);
    expect_short_waits(EINVAL);
}
END_TEST

int main(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip("sanitizers make system calls of their own");
#endif
    is_traceable = can_trace();
    const TTest *const tests[] = {the_filter_kills,
                                  read_and_commit,
                                  look_and_commit,
                                  read_and_release,
                                  describing_records,
                                  a_paced_cycle_is_one_call,
                                  next_keeps_the_latency_without_epoll_pwait2,
                                  NULL};
    return run_tests("system_calls", tests);
}
