/* SPDX-License-Identifier: MIT */
/*
 * A reader in somebody else's event loop: rbcore_reader_fd is one more file descriptor in it, next
 * to a timer here.
 *
 * Build: cc -o wait wait.c $(pkg-config --cflags --libs rbcore)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#define RECORDS 200
#define GIVE_UP 300 /* ticks */

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "wait: %s: %s\n", what, why);
    exit(1);
}

static int must(int result, const char *what) {
    if (result < 0)
        fail(what, rbcore_strerror(result));
    return result;
}

/* The same for a system call, which gives its error in errno. */
static int must_call(int result, const char *what) {
    if (result < 0)
        fail(what, strerror(errno));
    return result;
}

/* Writes a record every other millisecond. */
static void produce(const rbcore_source *source) {
    const struct timespec pause = {.tv_nsec = 2000000};
    rbcore_producer *producer;

    must(rbcore_producer_open(&producer, source), "open the producer");
    for (unsigned int i = 0; i < RECORDS; i++) {
        must(rbcore_producer_output(producer, &i, sizeof(i), 0), "produce");
        nanosleep(&pause, NULL);
    }
    _exit(0);
}

static int watch(int loop, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return must_call(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int every_100_ms(void) {
    const struct itimerspec period = {{.tv_nsec = 100000000}, {.tv_nsec = 100000000}};
    int timer = must_call(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd");

    must_call(timerfd_settime(timer, 0, &period, NULL), "timerfd");
    return timer;
}

/* The rule of rbcore_reader_fd: when it is readable, read until nothing is due. */
static unsigned int read_all(rbcore_reader *reader) {
    rbcore_record records[64];
    unsigned int total = 0;
    int count;

    while ((count = must(rbcore_reader_next(reader, records, 64, 0), "next")) > 0) {
        total += (unsigned int)count;
        must(rbcore_reader_commit(reader, NULL, 0), "commit");
    }
    return total;
}

static void loop(rbcore_reader *reader) {
    int epoll = must_call(epoll_create1(EPOLL_CLOEXEC), "epoll");
    int timer = every_100_ms();
    unsigned int records = 0;
    unsigned int turns = 0;
    uint64_t ticks = 0;

    watch(epoll, timer);
    watch(epoll, rbcore_reader_fd(reader));
    while (records < RECORDS || ticks == 0) {
        struct epoll_event event;
        uint64_t expired;

        must_call(epoll_wait(epoll, &event, 1, -1), "epoll_wait");
        if (event.data.fd != timer) {
            records += read_all(reader);
            turns++;
        } else if (read(timer, &expired, sizeof(expired)) == sizeof(expired)) {
            ticks += expired;
            if (ticks > GIVE_UP)
                fail("records", "some are missing");
        }
    }
    printf("%u records in %u turns of the loop, %" PRIu64 " ticks of its timer\n", records, turns,
           ticks);
    close(timer);
    close(epoll);
}

int main(void) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_reader *reader;
    pid_t child;

    source.kind = RBCORE_SOURCE_MEMORY_RING;
    must(rbcore_memory_ring_create(&source.fd, &source.event_fd, 65536, 0), "create the ring");
    child = must_call(fork(), "fork");
    if (child == 0)
        produce(&source);
    must(rbcore_reader_open(&reader, NULL), "open the reader");
    must(rbcore_reader_add(reader, &source), "add the ring");
    loop(reader);
    rbcore_reader_free(reader);
    waitpid(child, NULL, 0);
    return 0;
}
