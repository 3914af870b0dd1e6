/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 60
#define LINE_LENGTH 200

static const char *program_name;
static void (*describe_state)(void);
static uint64_t seed_now, step_now, calls, moment;
static _Thread_local uint64_t state;
static char lines[LINES][LINE_LENGTH];
static uint64_t line_count;

/* ---- How much ---- */

run_length run_length_of(const char *given, const char *variable, uint64_t usual) {
    const char *most = given != NULL ? given : getenv(variable);
    const char *seconds = getenv("RBCORE_RANDOM_SECONDS");
    int64_t time = seconds != NULL ? strtoll(seconds, NULL, 0) * SECOND : 0;
    return (run_length){.most = most != NULL ? strtoull(most, NULL, 0) : usual,
                        .until_ns = now_ns() + time};
}

bool run_length_has_more(const run_length *self, uint64_t done) {
    return done < self->most || now_ns() < self->until_ns;
}

uint64_t seed_of(const char *given) {
    return given != NULL ? strtoull(given, NULL, 0) : (uint64_t)clock_ns(CLOCK_REALTIME) / 1000;
}

/* ---- Numbers ---- */

/* splitmix64: each state gives a number, and neighbouring states give unrelated ones. */
static uint64_t next_number(void) {
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void driver_seed(uint64_t seed) {
    seed_now = seed;
    step_now = calls = line_count = 0;
    driver_step();
}

uint64_t driver_seed_now(void) {
    return seed_now;
}

void driver_step(void) {
    state = seed_now;
    state = next_number() + step_now++;
    state = next_number();
    alarm(WATCHDOG_MS / 1000 * 3);
}

void driver_thread(uint64_t number) {
    state = seed_now ^ number << 48;
    state = next_number();
}

uint32_t roll(uint32_t below) {
    return below == 0 ? 0 : (uint32_t)(next_number() % below);
}

bool one_in(uint32_t sides) {
    return roll(sides) == 0;
}

/* ---- The log ---- */

static char *new_line(void) {
    char *line = lines[line_count++ % LINES];
    *line = '\0';
    return line;
}

void calling(const char *format, ...) {
    va_list arguments;
    char *line = new_line();
    int length = snprintf(line, LINE_LENGTH, "%6" PRIu64 "  ", calls++);
    va_start(arguments, format);
    vsnprintf(line + length, LINE_LENGTH - (size_t)length, format, arguments);
    va_end(arguments);
}

int returned(int result) {
    char *line = lines[(line_count - 1) % LINES];
    size_t length = strlen(line);
    snprintf(line + length, LINE_LENGTH - length, " = %d", result);
    return result;
}

void remark(const char *format, ...) {
    va_list arguments;
    char *line = new_line();
    memcpy(line, "          ", 11);
    va_start(arguments, format);
    vsnprintf(line + 10, LINE_LENGTH - 10, format, arguments);
    va_end(arguments);
}

uint64_t calls_made(void) {
    return calls;
}

uint64_t next_moment(void) {
    return ++moment;
}

/* ---- Failing ---- */

/* By write(2) alone: the watchdog's signal comes at any place. */
static void put(const char *text) {
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void print_log(void) {
    char text[160];
    uint64_t first = line_count > LINES ? line_count - LINES : 0;
    put("the last calls:\n");
    for (uint64_t i = first; i < line_count; i++) {
        put(lines[i % LINES]);
        put("\n");
    }
    snprintf(text, sizeof(text), "seed %" PRIu64 ", call %" PRIu64 "; again: %s %" PRIu64 " 1\n",
             seed_now, calls > 0 ? calls - 1 : 0, program_name, seed_now);
    put(text);
}

void fail_at(const char *file, int line, const char *format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_log();
    describe_state();
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    fflush(NULL);
    _exit(1);
}

static void on_alarm(int signal) {
    (void)signal;
    print_log();
    describe_state(); /* (not safe here; but what hangs is rarely printf) */
    put("a call hangs: the watchdog's time is up\n");
    _exit(1);
}

#ifdef __SANITIZE_THREAD__
/* A reader looks from a handler of the fault that it caused itself: see batches.c. */
extern const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "report_signal_unsafe=0";
}
#endif

void driver_start(const char *program, void (*describe)(void)) {
    program_name = program;
    describe_state = describe;
    signal(SIGALRM, on_alarm);
}
