/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "listed.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

/* This is the errno before each call: "errno itself is left alone". */
#define UNTOUCHED 4711

static struct {
    fault_plan plan;
    bool answered; /* a call failed for it */
    unsigned faults, answers;
} now;

static const char *error_name(int error) {
    const char *name = error == FAULT_SHORT ? "one byte"
                       : error == FAULT_END ? "the end"
                                            : name_of_error(error);
    return name != NULL ? name : "another error";
}

void fail_with_fault(const char *file, int line, const char *what) {
    fault_report report = fault_result();
    library_leave();
    ck_abort_msg("%s:%d: %s; call %u, error %u%s: %s gave %s", file, line, what, now.plan.call,
                 now.plan.error, now.plan.stays ? ", stays" : "",
                 report.fired ? report.name : "no fault",
                 report.fired ? error_name(report.error) : "");
    abort();
}

void call_begins(void) {
    errno = UNTOUCHED;
    library_enter();
}

void call_ends(void) {
    library_leave();
    ck_check(errno == UNTOUCHED, "errno");
}

bool is_to_repeat(const char *function, int result, int expected) {
    if (result >= 0 || result == expected) {
        return false;
    }
    fault_report report = fault_result();
    char what[160];
    snprintf(what, sizeof(what), "%s: -%s", function, error_name(-result));
    if (!report.fired || now.answered) {
        fail_with_fault(what, 0, "fails without a fault");
    }
    if (!is_listed(function, -result, report.name)) {
        fail_with_fault(what, 0, "not listed in the header");
    }
    now.answered = true;
    now.answers++;
    fault_end();
    return true;
}

bool was_failed(const char *begin) {
    fault_report report = fault_result();
    return report.fired && strncmp(report.name, begin, strlen(begin)) == 0;
}

/* Returns whether the plan's call was made and had that error to give. */
static bool run(void (*scenario)(const void *), const void *argument, fault_plan plan) {
    unsigned fds = open_fds();
    now.plan = plan;
    now.answered = false;
    fault_begin(plan);
    scenario(argument);
    fault_report report = fault_result();
    fault_end();
    allocated held = allocated_now();
    ck_check(held.blocks == 0, "memory was not freed");
    ck_check(held.mappings == 0, "mappings are left");
    ck_check(open_fds() == fds, "descriptors are left");
    now.faults += report.fired;
    return report.fired;
}

/*
 * The fault comes once, and then as one that stays; but a fault that a result told of is over with
 * that, and one that passes cannot stay.
 */
static bool run_with(void (*scenario)(const void *), const void *argument, fault_plan plan) {
    bool fired = run(scenario, argument, plan);
    int error = fault_result().error;
    if (fired && !now.answered && error != EINTR && error != EAGAIN) {
        plan.stays = true;
        run(scenario, argument, plan);
    }
    return fired;
}

void each_fault_in(const char *name, void (*scenario)(const void *), const void *argument) {
    first_faults_in(name, scenario, argument, UINT_MAX);
}

void first_faults_in(const char *name, void (*scenario)(const void *), const void *argument,
                     unsigned calls) {
    uint64_t begin = now_ns();
    rbcore_reader *first;
    memset(&now, 0, sizeof(now));
    /* Things that are made once and stay: see the_first_handle_of_a_process. */
    ok(rbcore_reader_open(&first, NULL));
    rbcore_reader_free(first);
    run(scenario, argument, (fault_plan){0});
    for (fault_plan plan = {.call = 1}; plan.call <= calls && run_with(scenario, argument, plan);
         plan.call++) {
        for (plan.error = 1; run_with(scenario, argument, plan); plan.error++) {
        }
        plan.error = 0;
    }
    printf("%s: %u faults, %u of them told by a result, %llu ms\n", name, now.faults, now.answers,
           (unsigned long long)(now_ns() - begin) / 1000000);
    fflush(stdout);
    ck_assert_uint_gt(now.faults, 0);
}

/* ---- The ring as others find it ---- */

void expect_taken(const rbcore_source *source) {
    rbcore_reader *other;
    ok(rbcore_reader_open(&other, NULL));
    int result = rbcore_reader_add(other, source);
    rbcore_reader_free(other);
    ck_check(result == -EBUSY, "a second reader");
}

void expect_free(const rbcore_source *source, void (*emit)(void *, uint64_t), void *ring) {
    rbcore_reader *other;
    rbcore_record record;
    ok(rbcore_reader_open(&other, NULL));
    int index = rbcore_reader_add(other, source);
    ck_check(index == 0, "the next reader");
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ok(rbcore_reader_ring_stats(other, 0, &stats));
    ck_check(stats.flags == 0, "the next reader's lock");
    emit(ring, UINT64_MAX);
    int n;
    do { /* past what the one before left */
        n = rbcore_reader_next(other, &record, 1, WATCHDOG_NS);
    } while (n == 1 && value_of(&record) != UINT64_MAX);
    ck_check(n == 1, "the next reader's record");
    ok(rbcore_reader_commit(other, NULL, RBCORE_COMMIT_NOW));
    rbcore_reader_free(other);
}
