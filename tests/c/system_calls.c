/* SPDX-License-Identifier: MIT */
/* A read that finds records and the commit after it make no system call: a filter kills for any. */
#include "support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define RECORDS 200

/* From here on this process may only end. */
static int forbid_all(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

typedef struct plan {
    uint64_t flags;
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

int main(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip("sanitizers make system calls of their own");
#endif
    const TTest *const tests[] = {the_filter_kills, read_and_commit, look_and_commit,
                                  read_and_release, NULL};
    return run_tests("system_calls", tests);
}
