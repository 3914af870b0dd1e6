// SPDX-License-Identifier: MIT
/*
 * Measures readers of many rings: libbpf, rbcore, and libbpf's under the drop-in. Prints one JSON
 * object with the figures of each round and way.
 *
 *     many_rings WHAT RINGS ROUNDS [RBCORE_RUN]
 *
 * WHAT one: nanoseconds of CPU time per record, of which all come into one ring; turn: the same,
 * but they come into all rings in turn; add: microseconds of CPU time to add a ring, of all that
 * are added. RBCORE_RUN is the path of rbcore-run; without it there is no drop-in.
 *
 * Each way is a process of its own, with its own rings, and all take turns. It makes a record and
 * then reads it, in one thread: what is measured is the reader's call alone, without the time that
 * it takes to fall asleep and to be woken.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "figures.h"
#include "kernel_ring.h"
#include "kernel_rings.h"
#include "rings_reader.h"

#define READER_CPU 0
#define RECORDS 1000 /* in a round */
#define PATIENCE_MS 10000
#define THE_ONE 7 /* which ring is busy */
#define WORKER "--way"

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "many_rings: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* ---- A way ---- */

typedef double measurement(kernel_rings *rings, rings_reader *reader);

/* Returns what it takes to look at the clock, which is a system call. */
static uint64_t clock_cost_ns(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        uint64_t passed = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
        least = passed < least ? passed : least;
    }
    return least;
}

static uint64_t read_one_ns(const kernel_rings *rings, rings_reader *reader) {
    uint64_t delivered = reader->delivered, before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    rings_reader_read(reader, PATIENCE_MS);
    uint64_t passed = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    check(reader->delivered == delivered + 1 && reader->newest == rings->sequence - 1,
          "a record was not delivered, or another");
    return passed;
}

static double measure_records(kernel_rings *rings, rings_reader *reader, bool in_turn) {
    uint64_t passed = 0, clock = clock_cost_ns();
    for (int i = 0; i < RECORDS; i++) {
        uint64_t ring = (in_turn ? rings->sequence : THE_ONE) % rings->count;
        kernel_rings_produce(rings, 1, (uint32_t)ring);
        passed += read_one_ns(rings, reader);
    }
    return ((double)passed - (double)(RECORDS * clock)) / RECORDS;
}

static double measure_one(kernel_rings *rings, rings_reader *reader) {
    return measure_records(rings, reader, false);
}

static double measure_turn(kernel_rings *rings, rings_reader *reader) {
    return measure_records(rings, reader, true);
}

static double measure_add(kernel_rings *rings, rings_reader *reader) {
    bool is_libbpf = reader->libbpf;
    rings_reader_close(reader);
    uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    rings_reader_open(reader, is_libbpf, rings);
    return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / 1000 / rings->count;
}

static measurement *parse_measurement(const char *name) {
    if (!strcmp(name, "one")) {
        return measure_one;
    }
    if (!strcmp(name, "turn")) {
        return measure_turn;
    }
    return !strcmp(name, "add") ? measure_add : NULL;
}

/* Measures a round for each byte of standard input, and prints its figure. */
static int run_way(measurement *measure, uint32_t count, const char *library) {
    kernel_rings rings;
    rings_reader reader;
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to_cpu(READER_CPU);
    kernel_rings_open(&rings, count, (uint32_t)sysconf(_SC_PAGESIZE));
    rings_reader_open(&reader, !strcmp(library, "libbpf"), &rings);
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        printf("%.3f\n", measure(&rings, &reader));
        fflush(stdout);
    }
    rings_reader_close(&reader);
    kernel_rings_close(&rings);
    return EXIT_SUCCESS;
}

/* ---- All ways ---- */

typedef struct worker {
    pid_t pid;
    int fd;
    FILE *output;
} worker;

static worker start(char *const *command) {
    worker self;
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no socket");
    self.pid = fork();
    check(self.pid >= 0, "no process");
    if (self.pid == 0) {
        dup2(ends[1], STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        execv(command[0], command);
        fprintf(stderr, "many_rings: %s: %s\n", command[0], strerror(errno));
        _exit(EXIT_FAILURE);
    }
    close(ends[1]);
    self.fd = ends[0];
    self.output = fdopen(ends[0], "r");
    check(self.output, "no memory");
    return self;
}

/* A worker that ends too early has said why: so does this program. */
static double ask(const worker *self) {
    char line[64];
    int status;
    if (write(self->fd, "", 1) != 1 || !fgets(line, sizeof(line), self->output)) {
        waitpid(self->pid, &status, 0);
        exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
    }
    return strtod(line, NULL);
}

static void stop(const worker *self) {
    int status;
    shutdown(self->fd, SHUT_WR);
    check(waitpid(self->pid, &status, 0) == self->pid && status == 0, "a way failed at its end");
    fclose(self->output);
}

enum { LIBBPF, RBCORE, DROPIN, WAYS };

static worker start_way(int way, char **argv, char *rbcore_run) {
    char *library = way == RBCORE ? "rbcore" : "libbpf";
    char *const plain[] = {argv[0], WORKER, argv[1], argv[2], library, NULL};
    char *const under[] = {rbcore_run, "--quiet", argv[0], WORKER, argv[1], argv[2], library, NULL};
    return start(way == DROPIN ? under : plain);
}

static void run_all(char **argv, size_t rounds, char *rbcore_run) {
    static figures found[WAYS] = {{.way = "libbpf"}, {.way = "rbcore"}, {.way = "dropin"}};
    worker workers[WAYS];
    int ways = rbcore_run ? WAYS : DROPIN;
    signal(SIGPIPE, SIG_IGN);
    for (int way = 0; way < ways; way++) {
        workers[way] = start_way(way, argv, rbcore_run);
        ask(&workers[way]); /* the first round only warms up */
    }
    for (size_t round = 0; round < rounds; round++) {
        for (int way = 0; way < ways; way++) {
            found[way].rounds[round] = ask(&workers[way]);
        }
    }
    for (int way = 0; way < ways; way++) {
        stop(&workers[way]);
    }
    print_figures(found, ways, rounds);
}

static uint32_t parse_rings(const char *text) {
    unsigned long count = strtoul(text, NULL, 10);
    check(count > 0 && count <= MANY_RINGS_MAX, "1 to 4096 rings");
    return (uint32_t)count;
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], WORKER)) {
        return run_way(parse_measurement(argv[2]), parse_rings(argv[3]), argv[4]);
    }
    check(argc == 4 || argc == 5, "usage: many_rings one|turn|add RINGS ROUNDS [RBCORE_RUN]");
    check(parse_measurement(argv[1]), "one, turn or add");
    parse_rings(argv[2]);
    size_t rounds = strtoul(argv[3], NULL, 10);
    check(rounds > 0 && rounds <= ROUNDS_MAX, "1 to 1000 rounds");
    run_all(argv, rounds, argc == 5 && access(argv[4], X_OK) == 0 ? argv[4] : NULL);
    return EXIT_SUCCESS;
}
