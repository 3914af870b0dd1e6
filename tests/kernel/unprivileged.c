/* SPDX-License-Identifier: MIT */
/* A reader without any capability: what the mode of a pinned ring lets it do, and what not. */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define NOBODY 65534

/* A bpffs that goes with this test, as check runs each in a process of its own. */
#define BPFFS "/sys/fs/bpf"

static const char folder[] = BPFFS "/agent";
static const char ring_pin[] = BPFFS "/agent/events";
static const char loss_pin[] = BPFFS "/agent/events_lost";

/* Opens by the path; *reader has it. */
static int add_path(rbcore_reader **reader, uint32_t flags, int loss) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_PINNED_PATH;
    source.path = ring_pin;
    source.flags = flags;
    source.loss_fd = loss;
    *reader = open_reader(0);
    return rbcore_reader_add(*reader, &source);
}

static int try_path(void) {
    rbcore_reader *reader;
    int result = add_path(&reader, 0, -1);
    rbcore_reader_free(reader);
    return result;
}

/* The recipe of capi/README.md, with modes of the caller's. */
static struct produce *pin_for_nobody(mode_t ring_mode, mode_t loss_mode) {
    struct produce *ring = load_ring(pages(1));
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(mount("bpf", BPFFS, "bpf", 0, "mode=0700"), 0);
    ck_assert_int_eq(chmod(BPFFS, 0701), 0);
    ck_assert_int_eq(mkdir(folder, 0750), 0);
    ck_assert_int_eq(chown(folder, 0, NOBODY), 0);
    ck_assert_int_eq(bpf_obj_pin(ring_fd(ring), ring_pin), 0);
    ck_assert_int_eq(bpf_obj_pin(loss_fd(ring), loss_pin), 0);
    ck_assert_int_eq(chown(ring_pin, 0, NOBODY), 0);
    ck_assert_int_eq(chown(loss_pin, 0, NOBODY), 0);
    ck_assert_int_eq(chmod(ring_pin, ring_mode), 0);
    ck_assert_int_eq(chmod(loss_pin, loss_mode), 0);
    return ring;
}

static bool has_capabilities(void) {
    char line[256];
    unsigned long long effective = 1;
    FILE *status = fopen("/proc/self/status", "re");
    ck_assert_ptr_nonnull(status);
    while (fgets(line, sizeof(line), status) != NULL) {
        sscanf(line, "CapEff: %llx", &effective);
    }
    fclose(status);
    return effective != 0;
}

/* Makes the process the user nobody's: there is no way back. */
static void become_nobody(void) {
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
    ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
    ck_assert(!has_capabilities());
}

static uint64_t fill(struct produce *ring) {
    uint64_t count = 0;
    while (emit(ring, 32, 0, 0) == 0) {
        count++;
    }
    return count;
}

/* Reads and gives back all there is. */
static uint64_t drain(rbcore_reader *reader) {
    rbcore_record records[64];
    uint64_t count = 0;
    int n;
    while ((n = rbcore_reader_next(reader, records, 64, 0)) > 0) {
        count += (uint64_t)n;
        ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    }
    ck_assert_int_eq(n, 0);
    return count;
}

START_TEST(reads_commits_and_counts_losses) {
    struct produce *ring = pin_for_nobody(0660, 0640);
    uint64_t count = fill(ring);
    rbcore_reader *reader, *tap;
    become_nobody();
    LIBBPF_OPTS(bpf_obj_get_opts, read_only, .file_flags = BPF_F_RDONLY);
    int loss = bpf_obj_get_opts(loss_pin, &read_only);
    ck_assert_int_ge(loss, 0);
    int index = add_path(&reader, 0, loss);
    ck_assert_msg(index == 0, "add: %d, %s", index, rbcore_reader_message(reader));
    ck_assert_int_eq(add_path(&tap, RBCORE_SOURCE_TAP, -1), 0);
    ck_assert_uint_eq(drain(tap), count);
    ck_assert_uint_eq(drain(reader), count);
    ck_assert_uint_eq(stats_of(reader, 0).lost, 1);
    ck_assert_uint_eq(stats_of(reader, 0).user_pos, count * span_of(32));
    /* The ring is guarded: whatever they may, others are kept out. */
    ck_assert_uint_eq(stats_of(reader, 0).flags & RBCORE_RING_UNGUARDED, 0);
    ck_assert_int_eq(try_path(), -EBUSY);
    rbcore_reader_free(tap);
    rbcore_reader_free(reader);
    close(loss);
    produce__destroy(ring);
}
END_TEST

START_TEST(must_be_allowed_to_read_and_to_write) {
    static const mode_t modes[] = {0600, 0640, 0620};
    struct produce *ring = pin_for_nobody(0600, 0600);
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        ck_assert_int_eq(chmod(ring_pin, modes[i]), 0);
        pid_t pid = fork_child();
        if (pid == 0) {
            become_nobody();
            _exit(-try_path());
        }
        ck_assert_int_eq(wait_child(pid), EACCES);
    }
    ck_assert_int_eq(chmod(ring_pin, 0660), 0);
    ck_assert_int_eq(chmod(folder, 0700), 0);
    become_nobody();
    ck_assert_int_eq(try_path(), -EACCES);
    produce__destroy(ring);
}
END_TEST

START_TEST(cannot_open_by_id_or_ask_what_the_kernel_has) {
    struct produce *ring = pin_for_nobody(0660, 0640);
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_ID;
    source.map_id = map_id(ring_fd(ring));
    ck_assert_int_eq(add_result(&source), 0);
    become_nobody();
    ck_assert_int_eq(add_result(&source), -EPERM);
    ck_assert_int_eq(rbcore_supports(RBCORE_FEATURE_KERNEL_RING), -EPERM);
    ck_assert_int_eq(try_path(), 0);
    produce__destroy(ring);
}
END_TEST

/* The ring is opened by a descriptor that was passed: then no mode is asked. */
START_TEST(reads_what_it_was_given) {
    struct produce *ring = load_ring(pages(1));
    uint64_t count = fill(ring);
    become_nobody();
    rbcore_reader *reader = open_ring(ring, 0); /* with the loss map */
    ck_assert_uint_eq(drain(reader), count);
    ck_assert_uint_eq(stats_of(reader, 0).lost, 1);
    rbcore_reader_free(reader);
    produce__destroy(ring);
}
END_TEST

/* rbcore_supports creates a map to find out, which such a process may where the sysctl is 0. */
static bool bpf_is_for_everybody(void) {
    FILE *file = fopen("/proc/sys/kernel/unprivileged_bpf_disabled", "re");
    int value = 0;
    bool is_known = file != NULL && fscanf(file, "%d", &value) == 1;
    if (file != NULL) {
        fclose(file);
    }
    return is_known && value == 0;
}

int main(void) {
    Suite *suite = suite_create("unprivileged");
    add_test(suite, reads_commits_and_counts_losses);
    add_test(suite, must_be_allowed_to_read_and_to_write);
    if (!bpf_is_for_everybody()) {
        add_test(suite, cannot_open_by_id_or_ask_what_the_kernel_has);
    }
    add_test(suite, reads_what_it_was_given);
    return run_kernel_tests(suite,
                            geteuid() != 0 ? "it is not run by root, to become nobody" : NULL);
}
