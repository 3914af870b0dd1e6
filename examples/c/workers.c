/* SPDX-License-Identifier: MIT */
/*
 * Events handed to threads, which hold them as long as they like and give them back in any order;
 * nothing is copied.
 *
 *   workers [-d SECONDS] [-m]     -m: the memory ring in any case
 *
 * Ends after SECONDS, or by SIGINT or SIGTERM, when the workers are done with what is in the ring
 * by then.
 *
 * Build: events.skel.h as for tail.c, then
 *   cc -I. -pthread -o workers workers.c events.c events_kernel.c events_memory.c \
 *       $(pkg-config --cflags --libs rbcore libbpf)
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/events.h"
#include "ending.h"
#include "event_sources.h"

#define WORKERS 4
#define QUEUE 256
#define BATCH 64

static rbcore_reader *reader;
static atomic_uint_fast64_t handled;
static atomic_uint_fast64_t latest_ns; /* of all events that were handled */
static atomic_uint_fast64_t furthest;  /* position that was released, to see the disorder */
static atomic_uint out_of_order;

/* The queue between the reader and its workers. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rbcore_record records[QUEUE];
    unsigned int head;
    unsigned int tail;
    int closed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "workers: %s: %s\n", what, rbcore_strerror(result));
        events_stop();
        exit(1);
    }
    return result;
}

static void push(const rbcore_record *record) {
    pthread_mutex_lock(&queue.lock);
    while (queue.tail - queue.head == QUEUE) {
        pthread_cond_wait(&queue.changed, &queue.lock);
    }
    queue.records[queue.tail++ % QUEUE] = *record;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

/* Returns 0 when the queue is empty and closed. */
static int pop(rbcore_record *record) {
    int found;
    pthread_mutex_lock(&queue.lock);
    while (queue.head == queue.tail && !queue.closed) {
        pthread_cond_wait(&queue.changed, &queue.lock);
    }
    found = queue.head != queue.tail;
    if (found) {
        *record = queue.records[queue.head++ % QUEUE];
    }
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return found;
}

static void close_queue(void) {
    pthread_mutex_lock(&queue.lock);
    queue.closed = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

static void note_order(uint64_t position) {
    uint64_t seen = atomic_load(&furthest);
    if (position < seen) {
        atomic_fetch_add(&out_of_order, 1);
    }
    while (position > seen && !atomic_compare_exchange_weak(&furthest, &seen, position)) {
    }
}

static void *work(void *unused) {
    const struct timespec nap = {.tv_nsec = 100000};
    rbcore_record record;
    while (pop(&record)) {
        const struct event *event = record.data;
        uint_fast64_t seen = atomic_load(&latest_ns);
        if (event->time_ns % 100 == 0) {
            nanosleep(&nap, NULL); /* some events are more work than others */
        }
        while (event->time_ns > seen &&
               !atomic_compare_exchange_weak(&latest_ns, &seen, event->time_ns)) {
        }
        atomic_fetch_add(&handled, 1);
        note_order(record.position);
        must(rbcore_reader_release(reader, &record, 1), "release");
    }
    return unused;
}

/* The records that are in the ring by now are still handled: -ENODATA comes after them. */
static void stop(int signal) {
    (void)signal;
    rbcore_reader_flush(reader);
}

/* Hands out records until a flush has brought all that there was. */
static void read_all(void) {
    rbcore_record records[BATCH];
    int count = 0;
    while (count >= 0 || count == -EINTR || count == -EAGAIN) {
        count = rbcore_reader_next(reader, records, BATCH, RBCORE_FOREVER);
        for (int i = 0; i < count; i++) {
            push(&records[i]);
        }
    }
    if (count != -ENODATA) {
        must(count, "next");
    }
}

static void print_result(unsigned int ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    must(rbcore_reader_ring_stats(reader, ring, &stats), "statistics");
    printf("%" PRIu64 " events by %d workers, the last at %.6f s, %s given back, ",
           (uint64_t)atomic_load(&handled), WORKERS, (double)atomic_load(&latest_ns) / 1e9,
           stats.user_pos == stats.read_pos ? "all" : "NOT all");
    if (stats.lost == RBCORE_UNKNOWN) {
        printf("unknown lost\n");
    } else {
        printf("%" PRIu64 " lost\n", stats.lost);
    }
    printf("released out of order: %u\n", atomic_load(&out_of_order));
}

static unsigned int open_ring(int memory) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    rbcore_source source = RBCORE_SOURCE_INIT;
    int ring;
    must(events_start(&source, memory), "start the events");
    options.flags = RBCORE_READER_RELEASE;
    must(rbcore_reader_open(&reader, &options), "open the reader");
    ring = rbcore_reader_add(reader, &source);
    if (ring < 0) {
        fprintf(stderr, "workers: %s\n", rbcore_reader_message(reader));
        events_stop();
        exit(1);
    }
    return (unsigned int)ring;
}

int main(int argc, char **argv) {
    pthread_t workers[WORKERS];
    unsigned int seconds = 0, ring;
    int memory = 0;
    int option;
    while ((option = getopt(argc, argv, "d:m")) != -1) {
        if (option == 'd') {
            seconds = (unsigned int)strtoul(optarg, NULL, 10);
        } else if (option == 'm') {
            memory = 1;
        } else {
            return 2;
        }
    }
    ring = open_ring(memory);
    on_signals_that_end(stop);
    alarm(seconds);
    for (int i = 0; i < WORKERS; i++) {
        pthread_create(&workers[i], NULL, work, NULL);
    }
    read_all();
    close_queue();
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i], NULL);
    }
    print_result(ring);
    on_signals_that_end(SIG_IGN); /* soon there is no reader that stop could use */
    rbcore_reader_free(reader);
    events_stop();
    return 0;
}
