/* SPDX-License-Identifier: MIT */
/* Records without BPF: a process of our own makes them up and writes them into a memory ring. */
#include "event_sources.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/events.h"

static pid_t child = -1;

static void make_up(struct event *event) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    memset(event, 0, sizeof(*event));
    event->time_ns = (__u64)now.tv_sec * 1000000000u + (__u64)now.tv_nsec;
    event->kind = EVENT_MADE_UP;
    event->pid = (__u32)getpid();
    strcpy(event->name, "producer");
}

/* Bursts of 100 records with pauses between, until the parent ends it. */
static void produce(const rbcore_source *source) {
    const struct timespec pause = {.tv_nsec = 2000000};
    rbcore_producer *producer;
    void *data;
    if (rbcore_producer_open(&producer, source) < 0) {
        _exit(1);
    }
    for (;;) {
        for (int i = 0; i < 100; i++) {
            if (rbcore_producer_reserve(producer, &data, sizeof(struct event)) < 0) {
                continue; /* full: the ring counts it */
            }
            make_up(data);
            rbcore_producer_submit(producer, data, 0);
        }
        nanosleep(&pause, NULL);
    }
}

int events_memory_start(rbcore_source *source) {
    int result = rbcore_memory_ring_create(&source->fd, &source->event_fd, 1024 * 1024, 0);
    if (result < 0) {
        return result;
    }
    source->kind = RBCORE_SOURCE_MEMORY_RING;
    child = fork();
    if (child < 0) {
        return -errno;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        produce(source);
    }
    return 0;
}

void events_memory_stop(void) {
    if (child < 0) {
        return;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    child = -1;
}
