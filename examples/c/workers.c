/* SPDX-License-Identifier: MIT */
/*
 * Records handed to threads, which hold them as long as they like and give them back in any order;
 * nothing is copied.
 *
 * Build: cc -pthread -o workers workers.c $(pkg-config --cflags --libs rbcore)
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rbcore/rbcore.h>

#define RECORDS 20000u
#define RING_SIZE 65536 /* all records together would not fit */
#define WORKERS 4
#define QUEUE 256

static rbcore_source source = RBCORE_SOURCE_INIT;
static rbcore_reader *reader;
static atomic_uint_fast64_t sum;
static atomic_uint_fast64_t furthest; /* position that was released, to see the disorder */
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
        exit(1);
    }
    return result;
}

static void push(const rbcore_record *record) {
    pthread_mutex_lock(&queue.lock);
    while (queue.tail - queue.head == QUEUE)
        pthread_cond_wait(&queue.changed, &queue.lock);
    queue.records[queue.tail++ % QUEUE] = *record;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

/* Returns 0 when the queue is empty and closed. */
static int pop(rbcore_record *record) {
    int found;

    pthread_mutex_lock(&queue.lock);
    while (queue.head == queue.tail && !queue.closed)
        pthread_cond_wait(&queue.changed, &queue.lock);
    found = queue.head != queue.tail;
    if (found)
        *record = queue.records[queue.head++ % QUEUE];
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

    if (position < seen)
        atomic_fetch_add(&out_of_order, 1);
    while (position > seen && !atomic_compare_exchange_weak(&furthest, &seen, position))
        ;
}

static void *work(void *unused) {
    const struct timespec nap = {.tv_nsec = 100000};
    rbcore_record record;

    while (pop(&record)) {
        unsigned int number = *(const unsigned int *)record.data;

        if (number % 100 == 0)
            nanosleep(&nap, NULL); /* some records are more work than others */
        atomic_fetch_add(&sum, number);
        note_order(record.position);
        must(rbcore_reader_release(reader, &record, 1), "release");
    }
    return unused;
}

static void *produce(void *unused) {
    const struct timespec nap = {.tv_nsec = 100000};
    rbcore_producer *producer;

    must(rbcore_producer_open(&producer, &source), "open the producer");
    for (unsigned int i = 0; i < RECORDS; i++) {
        int result;

        /* In a real program a full ring loses the record; here it is tried again. */
        while ((result = rbcore_producer_output(producer, &i, sizeof(i), 0)) == -EAGAIN)
            nanosleep(&nap, NULL);
        must(result, "produce");
    }
    rbcore_producer_free(producer);
    return unused;
}

static void read_all(void) {
    rbcore_record records[64];

    for (unsigned int seen = 0; seen < RECORDS;) {
        int count = must(rbcore_reader_next(reader, records, 64, RBCORE_FOREVER), "next");

        for (int i = 0; i < count; i++)
            push(&records[i]);
        seen += (unsigned int)count;
    }
}

static void print_result(unsigned int ring) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;

    must(rbcore_reader_ring_stats(reader, ring, &stats), "statistics");
    printf("%" PRIu64 " records by %d workers, sum %" PRIu64 ", %s given back\n", stats.records,
           WORKERS, (uint64_t)atomic_load(&sum),
           stats.user_pos == stats.producer_pos ? "all" : "NOT all");
    printf("released out of order: %u\n", atomic_load(&out_of_order));
}

int main(void) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    pthread_t producer;
    pthread_t workers[WORKERS];
    int ring;

    source.kind = RBCORE_SOURCE_MEMORY_RING;
    must(rbcore_memory_ring_create(&source.fd, &source.event_fd, RING_SIZE, 0), "create the ring");
    options.flags = RBCORE_READER_RELEASE;
    must(rbcore_reader_open(&reader, &options), "open the reader");
    ring = must(rbcore_reader_add(reader, &source), "add the ring");

    pthread_create(&producer, NULL, produce, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&workers[i], NULL, work, NULL);
    read_all();
    close_queue();
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    pthread_join(producer, NULL);
    print_result((unsigned int)ring);
    rbcore_reader_free(reader);
    return 0;
}
