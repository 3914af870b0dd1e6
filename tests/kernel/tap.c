/* SPDX-License-Identifier: MIT */
/*
 * A tap beside libbpf's reader: it sees what passes, counts what it missed, and the reader does not
 * notice it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

#define BATCH 256

static rbcore_reader *open_tap(const struct produce *ring, uint32_t flags) {
    rbcore_reader *reader = open_reader(flags);
    rbcore_source source = source_of(ring);
    source.flags = RBCORE_SOURCE_TAP;
    int index = rbcore_reader_add(reader, &source);
    ck_assert_msg(index == 0, "add: %d, %s", index, rbcore_reader_message(reader));
    return reader;
}

/* The whole consumer page: its position, and where rbcore's readers leave their names. */
static const unsigned char *consumer_page(const struct produce *ring) {
    void *page = mmap(NULL, pages(1), PROT_READ, MAP_SHARED, ring_fd(ring), 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    return page;
}

static int read_batch(rbcore_reader *reader, rbcore_record *records, int64_t timeout) {
    int count = rbcore_reader_next(reader, records, BATCH, timeout);
    ck_assert_int_ge(count, 0);
    ck_assert_int_eq(rbcore_reader_commit(reader, NULL, 0), 0);
    return count;
}

START_TEST(nothing_is_written) {
    static rbcore_record records[BATCH];
    unsigned char before[4096];
    struct produce *ring = load_ring(pages(1));
    const unsigned char *page = consumer_page(ring);
    memcpy(before, page, sizeof(before));
    rbcore_reader *tap = open_tap(ring, 0), *other = open_tap(ring, RBCORE_READER_RELEASE);
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_int_eq(emit(ring, 16 + i, i, 0), 0);
    }
    ck_assert_int_eq(rbcore_reader_read(tap, records, BATCH), 10);
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(records[i].size, 16 + i);
        ck_assert_uint_eq(records[i].flags, RBCORE_RECORD_COPIED);
        ck_assert(is_pattern(ring, records[i].data, records[i].size, i));
    }
    ck_assert_int_eq(rbcore_reader_commit(tap, NULL, RBCORE_COMMIT_NOW), 0);
    ck_assert_int_eq(rbcore_reader_read(other, records, BATCH), 10);
    ck_assert_int_eq(rbcore_reader_release(other, records, 10), 0);
    rbcore_reader *consumer = open_ring(ring, 0); /* nobody has the ring */
    rbcore_reader_free(consumer);
    memcpy(before + 3072, page + 3072, 1024); /* that reader left its name */
    rbcore_reader_free(tap);
    rbcore_reader_free(other);
    ck_assert_mem_eq(before, page, sizeof(before));
    record_log log = consume_by_libbpf(ring);
    ck_assert_uint_eq(log.records, 10);
    free(log.bytes);
    munmap((void *)(uintptr_t)page, pages(1));
    produce__destroy(ring);
}
END_TEST

/* Mappings of BPF maps that can be written, in this process. */
static unsigned int writable_mappings(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned int count = 0;
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        count += strstr(line, "bpf-map") != NULL && strstr(line, " rw") != NULL;
    }
    fclose(file);
    return count;
}

START_TEST(nothing_can_be_written) {
    struct produce *ring = load_ring(pages(1));
    unsigned int before = writable_mappings();
    rbcore_reader *tap = open_tap(ring, 0);
    ck_assert_uint_eq(writable_mappings(), before);
    rbcore_reader *consumer = open_ring(ring, 0);
    ck_assert_uint_eq(writable_mappings(), before + 1);
    rbcore_reader_free(consumer);
    rbcore_reader_free(tap);
    produce__destroy(ring);
}
END_TEST

START_TEST(of_a_map_by_its_id) {
    struct produce *ring = load_ring(pages(1));
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MAP_ID;
    source.map_id = map_id(ring_fd(ring));
    source.flags = RBCORE_SOURCE_TAP;
    ck_assert_int_eq(add_result(&source), 0);
    source.flags = RBCORE_SOURCE_TAP | RBCORE_SOURCE_OVERWRITE;
    ck_assert_int_eq(add_result(&source), -EMEDIUMTYPE);
    produce__destroy(ring);
}
END_TEST

/* ---- Beside a reader that consumes ---- */

typedef struct ring_consumer {
    pthread_t thread;
    struct produce *ring;
    uint64_t next, records;
    atomic_bool stop;
} ring_consumer;

static int consume_event(void *context, void *data, size_t size) {
    ring_consumer *self = context;
    const struct event *event = data;
    ck_assert_uint_eq(event->size, size);
    ck_assert_uint_ge(event->sequence, self->next);
    self->next = event->sequence + 1;
    self->records++;
    return 0;
}

static void *consume(void *context) {
    ring_consumer *self = context;
    struct ring_buffer *reader = ring_buffer__new(ring_fd(self->ring), consume_event, self, NULL);
    ck_assert_ptr_nonnull(reader);
    while (!atomic_load(&self->stop)) {
        ck_assert_int_ge(ring_buffer__poll(reader, 10), 0);
    }
    while (ring_buffer__consume(reader) > 0) {
    }
    ring_buffer__free(reader);
    return NULL;
}

typedef struct event_producer {
    pthread_t thread;
    struct produce *ring;
    struct produce_args args;
    atomic_bool done;
} event_producer;

/*
 * The records come in bursts that are smaller than the ring: a consumer that is awake gets all of
 * it.
 */
static void *write_all(void *context) {
    event_producer *self = context;
    for (int i = 0; i < 400; i++) {
        produce(self->ring, &self->args);
        sleep_ms(1);
    }
    atomic_store(&self->done, true);
    return NULL;
}

/* Looks until the producer is done. Returns how many records it saw, all intact and in order. */
static uint64_t look_on(rbcore_reader *tap, event_producer *producer, unsigned int pause_ms,
                        uint64_t *bytes) {
    static rbcore_record records[BATCH];
    uint64_t seen = 0, next = 0;
    for (bool ending = false;;) {
        int count = rbcore_reader_next(tap, records, BATCH, 20 * MILLISECOND);
        ck_assert_int_ge(count, 0);
        for (int i = 0; i < count; i++) {
            const struct event *event = records[i].data;
            ck_assert_uint_eq(event->size, records[i].size);
            ck_assert_uint_eq(event->size, event_size(0, event->sequence));
            ck_assert_uint_ge(event->sequence, next);
            next = event->sequence + 1;
            *bytes += span_of(records[i].size);
        }
        seen += (uint64_t)count;
        ck_assert_int_eq(rbcore_reader_commit(tap, NULL, 0), 0);
        if (count == 0 && ending) {
            return seen;
        }
        ending = atomic_load(&producer->done);
        if (pause_ms && !ending) {
            sleep_ms(pause_ms);
        }
    }
}

/* A tap for which the ring holds everything, and one that is too slow. */
typedef struct look_kind {
    size_t ring_pages;
    unsigned int pause_ms;
    bool loses;
} look_kind;

static const look_kind looks[] = {{.ring_pages = 4096},
                                  {.ring_pages = 16, .pause_ms = 40, .loses = true}};

START_TEST(beside_a_consumer) {
    const look_kind *look = &looks[_i];
    struct produce *ring = load_ring(pages(look->ring_pages));
    ring_consumer consumer = {.ring = ring};
    event_producer producer = {.ring = ring, .args = {.count = 100, .sizes = 2}};
    rbcore_reader *tap = open_tap(ring, 0);
    uint64_t bytes = 0;
    ck_assert_int_eq(pthread_create(&consumer.thread, NULL, consume, &consumer), 0);
    ck_assert_int_eq(pthread_create(&producer.thread, NULL, write_all, &producer), 0);
    uint64_t seen = look_on(tap, &producer, look->pause_ms, &bytes);
    ck_assert_int_eq(pthread_join(producer.thread, NULL), 0);
    atomic_store(&consumer.stop, true);
    ck_assert_int_eq(pthread_join(consumer.thread, NULL), 0);
    uint64_t produced = producer.args.sequence - producer.args.lost;
    ck_assert_uint_eq(consumer.records, produced); /* it missed nothing */
    rbcore_ring_stats stats = stats_of(tap, 0);
    ck_assert_uint_eq(stats.records, seen);
    ck_assert_uint_eq(stats.read_pos, stats.producer_pos);
    ck_assert_uint_eq(stats.start_pos + bytes + stats.passed_bytes + stats.lost_bytes,
                      stats.producer_pos);
    ck_assert_uint_eq(stats.consumer_pos, stats.producer_pos); /* the ring's, by its consumer */
    if (look->loses) {
        ck_assert_uint_gt(stats.lost_bytes, 0);
        ck_assert_uint_gt(seen, 0);
    } else {
        ck_assert_uint_eq(seen, produced);
    }
    rbcore_reader_free(tap);
    produce__destroy(ring);
}
END_TEST

/* ---- Waiting ---- */

static void *emit_later(void *context) {
    sleep_ms(50);
    ck_assert_int_eq(emit(context, 16, 0, 0), 0);
    return NULL;
}

/* The consumer has given back everything: its wakeup is the tap's, too. Or it lags, and there is
 * none: then the tap looks by its timer. */
START_TEST(waits) {
    static rbcore_record records[BATCH];
    const bool lags = _i;
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *tap = open_tap(ring, 0);
    pthread_t thread;
    if (lags) {
        ck_assert_int_eq(emit(ring, 16, 0, 0), 0);
        ck_assert_int_eq(read_batch(tap, records, WATCHDOG_NS), 1);
    }
    ck_assert_int_eq(pthread_create(&thread, NULL, emit_later, ring), 0);
    ck_assert_int_eq(read_batch(tap, records, RBCORE_FOREVER), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    rbcore_reader_free(tap);
    produce__destroy(ring);
}
END_TEST

/*
 * The ring's reader takes a record, and gives it back, before the kernel has looked whether it is
 * to wake. That lasts an instant, so the record is one that wakes nobody.
 */
START_TEST(finds_what_the_reader_took_without_being_woken) {
    static rbcore_record records[BATCH];
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *tap = open_tap(ring, 0), *consumer = open_ring(ring, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rbcore_reader_read(tap, records, BATCH), 0);
        ck_assert_int_eq(emit(ring, 16, 0, BPF_RB_NO_WAKEUP), 0);
        ck_assert_int_eq(rbcore_reader_read(consumer, records, BATCH), 1);
        ck_assert_int_eq(rbcore_reader_commit(consumer, NULL, RBCORE_COMMIT_NOW), 0);
        ck_assert(readable(rbcore_reader_fd(tap), WATCHDOG_MS));
        ck_assert_int_eq(read_batch(tap, records, WATCHDOG_NS), 1);
    }
    rbcore_reader_free(tap);
    rbcore_reader_free(consumer);
    produce__destroy(ring);
}
END_TEST

/* The time to which a timer of this process is set: the largest that is left. */
static int64_t longest_timer(void) {
    int64_t longest = 0;
    for (int fd = 0; fd < 200; fd++) {
        char path[40], line[100];
        long long seconds, nanoseconds;
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            if (sscanf(line, "it_value: (%lld, %lld)", &seconds, &nanoseconds) == 2) {
                int64_t left = seconds * SECOND + nanoseconds;
                longest = left > longest ? left : longest;
            }
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return longest;
}

/*
 * "But it sleeps on if that reader took the record of a map before the tap could look. So a tap of
 * a map looks by the timer ... up to 10 milliseconds." It was woken; but epoll asks the map, which
 * is not ready any more.
 */
START_TEST(looks_by_the_timer_for_its_reader_may_be_quicker) {
    static rbcore_record records[BATCH];
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *tap = open_tap(ring, 0), *consumer = open_ring(ring, 0);
    for (int i = 0; i < 3; i++) {
        int64_t longest = 0;
        for (int j = 0; j < 20; j++) {
            ck_assert_int_eq(rbcore_reader_read(tap, records, BATCH), 0);
            int64_t left = longest_timer();
            longest = left > longest ? left : longest;
        }
        ck_assert_int_gt(longest, 0);
        ck_assert_int_le(longest, 10 * MILLISECOND);
        ck_assert_int_eq(emit(ring, 16, 0, 0), 0);
        ck_assert_int_eq(rbcore_reader_read(consumer, records, BATCH), 1);
        ck_assert_int_eq(rbcore_reader_commit(consumer, NULL, RBCORE_COMMIT_NOW), 0);
        ck_assert_int_eq(rbcore_reader_read(consumer, records, BATCH), 0);
        ck_assert(readable(rbcore_reader_fd(tap), WATCHDOG_MS));
        ck_assert_int_eq(read_batch(tap, records, WATCHDOG_NS), 1);
    }
    rbcore_reader_free(tap);
    rbcore_reader_free(consumer);
    produce__destroy(ring);
}
END_TEST

/* Unread data makes the map readable all the time; that must not make a tap spin. */
START_TEST(does_not_spin) {
    static rbcore_record records[BATCH];
    struct produce *ring = load_ring(pages(1));
    rbcore_reader *tap = open_tap(ring, 0);
    ck_assert_int_eq(emit(ring, 16, 0, 0), 0);
    ck_assert_int_eq(read_batch(tap, records, WATCHDOG_NS), 1);
    int64_t cpu = thread_cpu_ns();
    ck_assert_int_eq(read_batch(tap, records, SECOND), 0);
    ck_assert_int_lt(thread_cpu_ns() - cpu, SECOND / 10);
    rbcore_reader_free(tap);
    produce__destroy(ring);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tap");
    add_loop_test(suite, beside_a_consumer, sizeof(looks) / sizeof(*looks));
    add_loop_test(suite, waits, 2);
    add_test(suite, nothing_is_written);
    add_test(suite, nothing_can_be_written);
    add_test(suite, of_a_map_by_its_id);
    add_test(suite, finds_what_the_reader_took_without_being_woken);
    add_test(suite, looks_by_the_timer_for_its_reader_may_be_quicker);
    add_test(suite, does_not_spin);
    return run_kernel_tests(suite, NULL);
}
