/* SPDX-License-Identifier: MIT */
#include "transcript.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

int tell_result(const char *call, int result) {
    if (result < 0) {
        say("%s: %d, errno %d", call, result, errno);
    } else {
        say("%s: %d", call, result);
    }
    return result;
}

void *tell_pointer(const char *call, void *result) {
    if (result) {
        say("%s: ok", call);
    } else {
        say("%s: NULL, errno %d", call, errno);
    }
    return result;
}

void run_to_its_cancellation(void *(*body)(void *), void *context, unsigned int ms) {
    pthread_t thread;
    void *result;
    alarm(30);
    pthread_create(&thread, NULL, body, context);
    if (ms > 0) {
        sleep_ms(ms);
        pthread_cancel(thread);
    }
    pthread_join(thread, &result);
    alarm(0);
    say("cancelled: %d", result == PTHREAD_CANCELED);
}

struct ring_buffer *open_sink(struct produce *ring, ring_sink *sink) {
    sink->produce = ring;
    sink->rings = ring_buffer__new(ring_fd(ring), on_record, sink, NULL);
    ck_assert_ptr_nonnull(sink->rings);
    return sink->rings;
}

static unsigned int checksum(const unsigned char *data, size_t size) {
    unsigned int sum = 2166136261;
    for (size_t i = 0; i < size; i++) {
        sum = (sum ^ data[i]) * 16777619;
    }
    return sum;
}

int on_record(void *context, void *data, size_t size) {
    ring_sink *sink = context;
    sink->seen++;
    if (!sink->is_silent) {
        say("  %s: record %d, %zu bytes, %08x", sink->name, sink->seen, size, checksum(data, size));
    }
    if (sink->act && (sink->act_at < 0 || sink->act_at == sink->seen)) {
        sink->act(sink);
    }
    return sink->fail_at == sink->seen ? sink->result : 0;
}

int emit_some(struct produce *ring, int n) {
    static uint32_t offset;
    int fitted = 0;
    for (int i = 0; i < n; i++) {
        offset += 8;
        fitted += emit(ring, (offset / 8 * 37) % 200, offset, 0) == 0;
    }
    return fitted;
}

static const scenario *find_scenario(const scenario *const *lists, const char *name) {
    for (; *lists; lists++) {
        for (const scenario *found = *lists; found->test; found++) {
            if (strcmp((*found->test)->name, name) == 0) {
                return found;
            }
        }
    }
    return NULL;
}

static bool is_too_old(const scenario *self) {
    return libbpf_major_version() == 1 && libbpf_minor_version() < self->libbpf_minor;
}

int run_scenario(const char *program, const scenario *const *lists, const char *missing, int argc,
                 char **argv) {
    libbpf_set_print(NULL);
    const scenario *wanted = argc >= 2 ? find_scenario(lists, argv[1]) : NULL;
    if (!wanted) {
        fprintf(stderr, "usage: %s SCENARIO [always]\n", program);
        return 2;
    }
    if (argc == 2 && is_too_old(wanted)) {
        return TOO_OLD;
    }
    Suite *suite = suite_create(program);
    add_test(suite, *wanted->test);
    return run_kernel_tests(suite, missing);
}
