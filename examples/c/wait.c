/* SPDX-License-Identifier: MIT */
/*
 * A reader in somebody else's event loop: rbcore_reader_fd is one more file descriptor in it, next
 * to a timer and the signals that end the program.
 *
 *   wait [-d SECONDS] [-m]     -m: the memory ring in any case
 *
 * Build: events.skel.h as for tail.c, then
 *   cc -I. -o wait wait.c events.c events_kernel.c events_memory.c \
 *       $(pkg-config --cflags --libs rbcore libbpf)
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../bpf/events.h"
#include "event_sources.h"

#define BATCH 256
#define KINDS 4

static rbcore_reader *reader;
static uint64_t seen[KINDS]; /* of each kind of event */

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "wait: %s: %s\n", what, why);
    events_stop();
    exit(1);
}

static int must(int result, const char *what) {
    if (result < 0) {
        fail(what, rbcore_strerror(result));
    }
    return result;
}

/* The same for a system call, which gives its error in errno. */
static int must_call(int result, const char *what) {
    if (result < 0) {
        fail(what, strerror(errno));
    }
    return result;
}

static int every_second(void) {
    const struct itimerspec period = {{.tv_sec = 1}, {.tv_sec = 1}};
    int timer = must_call(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd");
    must_call(timerfd_settime(timer, 0, &period, NULL), "timerfd");
    return timer;
}

static int ending_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return must_call(signalfd(-1, &set, SFD_CLOEXEC), "signalfd");
}

static void watch(int loop, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must_call(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

/*
 * The rule of rbcore_reader_fd: when it is readable, read until nothing is due (or a flush ends).
 */
static void read_all(void) {
    rbcore_record records[BATCH];
    int count = 1;
    while (count > 0 || count == -EAGAIN || count == -EINTR) {
        count = rbcore_reader_next(reader, records, BATCH, 0);
        for (int i = 0; i < count; i++) {
            seen[((const struct event *)records[i].data)->kind % KINDS]++;
        }
        if (count > 0) {
            must(rbcore_reader_commit(reader, NULL, 0), "commit");
        }
    }
    if (count != -ENODATA) {
        must(count, "next");
    }
}

static void print_counts(unsigned int ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    must(rbcore_reader_ring_stats(reader, ring, &stats), "statistics");
    printf("%" PRIu64 " execs, %" PRIu64 " switches, %" PRIu64 " made up, ", seen[EVENT_EXEC],
           seen[EVENT_SWITCH], seen[EVENT_MADE_UP]);
    if (stats.lost == RBCORE_UNKNOWN) {
        printf("unknown lost\n");
    } else {
        printf("%" PRIu64 " lost\n", stats.lost);
    }
}

/* Until a signal ends it, or for so many seconds (0: without end). */
static void loop(unsigned int ring, uint64_t seconds) {
    int epoll = must_call(epoll_create1(EPOLL_CLOEXEC), "epoll");
    int timer = every_second(), signals = ending_signals();
    uint64_t ticks = 0, turns = 0, expired;
    struct epoll_event event = {.data.fd = -1};
    watch(epoll, timer);
    watch(epoll, signals);
    watch(epoll, rbcore_reader_fd(reader));
    while (event.data.fd != signals && (seconds == 0 || ticks < seconds)) {
        if (epoll_wait(epoll, &event, 1, -1) < 0) {
            if (errno != EINTR) {
                fail("epoll_wait", strerror(errno));
            }
            continue; /* stopped and continued */
        }
        if (event.data.fd == timer && read(timer, &expired, sizeof(expired)) > 0) {
            ticks += expired;
            print_counts(ring);
        } else if (event.data.fd == rbcore_reader_fd(reader)) {
            read_all();
            turns++;
        }
    }
    rbcore_reader_flush(reader);
    read_all(); /* what is in the ring by now */
    print_counts(ring);
    printf("%" PRIu64 " turns of the loop, %" PRIu64 " ticks of its timer\n", turns, ticks);
    close(signals);
    close(timer);
    close(epoll);
}

int main(int argc, char **argv) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    uint64_t seconds = 0;
    int memory = 0;
    int option, ring;
    while ((option = getopt(argc, argv, "d:m")) != -1) {
        if (option == 'd') {
            seconds = strtoul(optarg, NULL, 10);
        } else if (option == 'm') {
            memory = 1;
        } else {
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    must(events_start(&source, memory), "start the events");
    must(rbcore_reader_open(&reader, NULL), "open the reader");
    ring = rbcore_reader_add(reader, &source);
    if (ring < 0) {
        fail("add the ring", rbcore_reader_message(reader));
    }
    loop((unsigned int)ring, seconds);
    rbcore_reader_free(reader);
    events_stop();
    return 0;
}
