// SPDX-License-Identifier: MIT
/*
 * This makes one measurement. It fills a kernel ring from CPU 1 while a reader on CPU 0 empties it,
 * and prints one JSON object with what both saw.
 *
 * The reader is a program of any language. It is called with two more arguments: the number of
 * the inherited file descriptor of the map, and how many records there are to one whose latency is
 * taken. README.md tells what it has to do. A second producer runs on CPU 0, beside the reader.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "clock.h"
#include "kernel_ring.h"
#include "record.h"

#define READER_CPU 0
#define PRODUCER_CPU 1
/* This is long enough for a noisy machine: it ends a benchmark whose reader hangs. */
#define PATIENCE_MS 20000
/* One run of the program makes so many records when nothing slows it down: it takes some 300 us. */
#define BURST_MAX 4096

typedef struct producer_options {
    uint64_t rate;        /* of all producers; 0: as fast as it goes */
    uint64_t burst;       /* instead: so many records at once, from idle; 0: none */
    uint64_t burst_every; /* from the start of a burst to that of the next, in ns */
    int producers;
    uint32_t record_size;
    uint32_t ring_size;
    uint64_t submit_flags;
    bool is_perf_buffer;
    double seconds;
    uint64_t sample_every;
    char **reader;
} producer_options;

typedef struct reader_process {
    pid_t pid;
    FILE *output;
} reader_process;

typedef struct production_times {
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t cpu_ns;
} production_times;

/* A thread that produces. */
typedef struct worker {
    pthread_t thread;
    int cpu;
    const producer_options *options;
    kernel_ring ring; /* a copy, with books of its own */
    uint64_t start_ns;
} worker;

static void die(const char *what) {
    fprintf(stderr, "producer: %s\n", what);
    exit(EXIT_FAILURE);
}

static uint64_t parse_flags(const char *name) {
    if (!strcmp(name, "default")) {
        return 0;
    }
    if (!strcmp(name, "no-wakeup")) {
        return BPF_RB_NO_WAKEUP;
    }
    if (!strcmp(name, "force-wakeup")) {
        return BPF_RB_FORCE_WAKEUP;
    }
    die("unknown flags");
    return 0;
}

static producer_options parse(int argc, char **argv) {
    static const struct option known[] = {
        {"rate", required_argument, NULL, 'r'},
        {"burst", required_argument, NULL, 'b'},
        {"burst-every-us", required_argument, NULL, 'u'},
        {"producers", required_argument, NULL, 'p'},
        {"record-size", required_argument, NULL, 's'},
        {"ring-size", required_argument, NULL, 'n'},
        {"flags", required_argument, NULL, 'f'},
        {"perf-buffer", no_argument, NULL, 'o'},
        {"seconds", required_argument, NULL, 't'},
        {"sample-every", required_argument, NULL, 'e'},
        {0},
    };
    producer_options options = {.producers = 1,
                                .burst_every = 5000000,
                                .record_size = 24,
                                .ring_size = 1 << 24,
                                .seconds = 1,
                                .sample_every = 1};
    int option;
    while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
        switch (option) {
        case 'r':
            options.rate = strtoull(optarg, NULL, 10);
            break;
        case 'b':
            options.burst = strtoull(optarg, NULL, 10);
            break;
        case 'u':
            options.burst_every = strtoull(optarg, NULL, 10) * 1000;
            break;
        case 'p':
            options.producers = atoi(optarg);
            break;
        case 's':
            options.record_size = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options.ring_size = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            options.submit_flags = parse_flags(optarg);
            break;
        case 'o':
            options.is_perf_buffer = true;
            break;
        case 't':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'e':
            options.sample_every = strtoull(optarg, NULL, 10);
            break;
        default:
            exit(EXIT_FAILURE);
        }
    }
    if (optind == argc) {
        die("no reader given");
    }
    if (options.producers < 1 || options.producers > PRODUCERS_MAX) {
        die("there can be 1 or 2 producers");
    }
    options.reader = argv + optind;
    return options;
}

static void execute_reader(const producer_options *options, int map_fd) {
    char fd_text[16], sample_text[32];
    char *arguments[64];
    size_t count = 0;
    while (options->reader[count] && count < 60) {
        arguments[count] = options->reader[count];
        count++;
    }
    snprintf(fd_text, sizeof(fd_text), "%d", dup(map_fd)); /* the copy outlives exec */
    snprintf(sample_text, sizeof(sample_text), "%" PRIu64, options->sample_every);
    arguments[count++] = fd_text;
    arguments[count++] = sample_text;
    arguments[count] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to_cpu(READER_CPU);
    execvp(arguments[0], arguments);
    fprintf(stderr, "producer: %s: %s\n", arguments[0], strerror(errno));
    _exit(EXIT_FAILURE);
}

static reader_process start_reader(const producer_options *options, int map_fd) {
    reader_process reader;
    int ends[2];
    if (pipe(ends)) {
        die("no pipe");
    }
    reader.pid = fork();
    if (reader.pid < 0) {
        die("no process for the reader");
    }
    if (reader.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execute_reader(options, map_fd);
    }
    close(ends[1]);
    reader.output = fdopen(ends[0], "r");
    return reader;
}

/* Returns the next line of the reader, without its end. */
static void read_line(reader_process *reader, char *line, int size) {
    struct pollfd readable = {.fd = fileno(reader->output), .events = POLLIN};
    if (poll(&readable, 1, PATIENCE_MS) != 1) {
        die("the reader hangs");
    }
    if (!fgets(line, size, reader->output)) {
        die("the reader ended without a result");
    }
    line[strcspn(line, "\n")] = 0;
}

/* The processor never sleeps, or the first record after a pause would pay for its awakening. */
static void produce_paced(kernel_ring *ring, uint64_t rate, uint64_t start_ns,
                          uint64_t duration_ns) {
    uint64_t produced = 0, elapsed;
    while ((elapsed = clock_ns(CLOCK_MONOTONIC) - start_ns) < duration_ns) {
        uint64_t due = (uint64_t)((double)elapsed * 1e-9 * (double)rate);
        if (due > produced) {
            kernel_ring_produce(ring, due - produced);
            produced = due;
        }
    }
}

static void produce_unpaced(kernel_ring *ring, uint64_t start_ns, uint64_t duration_ns) {
    while (clock_ns(CLOCK_MONOTONIC) - start_ns < duration_ns) {
        kernel_ring_produce(ring, BURST_MAX);
    }
}

static void produce_bursts(kernel_ring *ring, const producer_options *options, uint64_t start_ns,
                           uint64_t duration_ns) {
    for (uint64_t due = 0; due < duration_ns; due += options->burst_every) {
        while (clock_ns(CLOCK_MONOTONIC) - start_ns < due) {
        }
        kernel_ring_produce(ring, options->burst);
    }
}

static void *work(void *argument) {
    worker *self = argument;
    const producer_options *options = self->options;
    uint64_t duration_ns = (uint64_t)(options->seconds * 1e9);
    pin_to_cpu(self->cpu);
    if (options->burst) {
        produce_bursts(&self->ring, options, self->start_ns, duration_ns);
    } else if (options->rate) {
        produce_paced(&self->ring, options->rate / (uint64_t)options->producers, self->start_ns,
                      duration_ns);
    } else {
        produce_unpaced(&self->ring, self->start_ns, duration_ns);
    }
    return NULL;
}

static production_times produce(kernel_ring *ring, const producer_options *options) {
    static const int cpus[PRODUCERS_MAX] = {PRODUCER_CPU, READER_CPU};
    worker workers[PRODUCERS_MAX];
    uint64_t empty_run_ns = kernel_ring_empty_run_ns(ring);
    production_times production = {.start_ns = clock_ns(CLOCK_MONOTONIC)};
    for (int i = 0; i < options->producers; i++) {
        workers[i] = (worker){
            .cpu = cpus[i], .options = options, .ring = *ring, .start_ns = production.start_ns};
        workers[i].ring.producer = (uint64_t)i;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
            die("no thread for the second producer");
        }
    }
    work(&workers[0]);
    for (int i = 1; i < options->producers; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    production.end_ns = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < options->producers; i++) {
        production.cpu_ns += kernel_ring_cpu_ns(&workers[i].ring, empty_run_ns);
    }
    while (!kernel_ring_end(ring)) {
        if (clock_ns(CLOCK_MONOTONIC) - production.end_ns > PATIENCE_MS * UINT64_C(1000000)) {
            die("the ring stays full: the reader hangs");
        }
    }
    return production;
}

int main(int argc, char **argv) {
    producer_options options = parse(argc, argv);
    kernel_ring ring;
    reader_process reader;
    production_times production;
    struct rusage usage;
    char line[4096];
    int status;
    pin_to_cpu(READER_CPU);
    pin_to_cpu(PRODUCER_CPU);
    kernel_ring_open(&ring, options.record_size, options.ring_size, options.submit_flags,
                     options.is_perf_buffer);
    reader = start_reader(&options, ring.fd);
    read_line(&reader, line, sizeof(line));
    if (strcmp(line, "ready") != 0) {
        die("the reader did not get ready");
    }
    production = produce(&ring, &options);
    read_line(&reader, line, sizeof(line));
    if (wait4(reader.pid, &status, 0, &usage) < 0 || status != 0) {
        die("the reader failed");
    }
    printf("{\"produced\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"start_ns\": %" PRIu64
           ", \"end_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64
           ", \"peak_rss_bytes\": %ld, \"reader\": %s}\n",
           kernel_ring_sequence(&ring), kernel_ring_refused(&ring), production.start_ns,
           production.end_ns, production.cpu_ns, usage.ru_maxrss * 1024, line);
    kernel_ring_close(&ring);
    return EXIT_SUCCESS;
}
