/* SPDX-License-Identifier: MIT */
/* Producers of memory rings that are killed or stopped at any instruction. */
#include "points.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Values of records: what was there before, the victim's, another process's, and the last one. */
#define BEFORE 100
#define OF_VICTIM 200
#define OF_OTHER 300
#define LAST 400

/* A record's content is its value, repeated: one that is torn shows. */
#define WORDS 12

typedef struct content {
    uint64_t words[WORDS];
} content;

static content content_of(uint64_t value) {
    content made;
    for (int i = 0; i < WORDS; i++) {
        made.words[i] = value;
    }
    return made;
}

/* The victim notes here what it does, in memory that outlives it. */
typedef struct diary {
    _Atomic unsigned begun; /* records that the running call hands over, and those before */
    _Atomic unsigned done;  /* records whose call has returned */
} diary;

typedef struct way {
    int (*act)(rbcore_producer *producer, diary *diary);
    bool overwrites;
    bool by_open; /* the victim opens and frees its producer behind the curtain */
} way;

typedef struct stage {
    const way *way;
    fixture f;
    image raw;
    diary *diary;
} stage;

/* ---- What the victim does ---- */

static int act_output(rbcore_producer *producer, diary *told) {
    const content made = content_of(OF_VICTIM);
    told->begun = 1;
    int error = rbcore_producer_output(producer, &made, sizeof(made), 0);
    told->done = 1;
    return error;
}

static int act_submit(rbcore_producer *producer, diary *told) {
    const content made = content_of(OF_VICTIM);
    void *data;
    int error = rbcore_producer_reserve(producer, &data, sizeof(made));
    if (error != 0) {
        return 1;
    }
    memcpy(data, &made, sizeof(made));
    told->begun = 1;
    error = rbcore_producer_submit(producer, data, RBCORE_FORCE_WAKEUP);
    told->done = 1;
    return error;
}

static int act_discard(rbcore_producer *producer, diary *told) {
    void *data;
    (void)told;
    int error = rbcore_producer_reserve(producer, &data, 40);
    return error != 0 ? 1 : rbcore_producer_discard(producer, data, 0);
}

static int act_batch(rbcore_producer *producer, diary *told) {
    const content made[] = {content_of(OF_VICTIM), content_of(OF_VICTIM + 1),
                            content_of(OF_VICTIM + 2)};
    const rbcore_slice slices[] = {
        {&made[0], sizeof(content)}, {&made[1], sizeof(content)}, {&made[2], sizeof(content)}};
    told->begun = 3;
    int written = rbcore_producer_output_batch(producer, slices, 3, 0);
    told->done = 3;
    return written != 3;
}

static int victim(void *argument) {
    stage *self = argument;
    rbcore_producer *producer = NULL;
    if (self->way->by_open) {
        curtain();
        rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
        int error = rbcore_producer_open(&producer, &source);
        error = error == 0 ? self->way->act(producer, self->diary) : 1;
        rbcore_producer_free(producer);
        return error;
    }
    producer = producer_on(self->f.memory_fd, self->f.event_fd);
    curtain();
    return self->way->act(producer, self->diary);
}

/* ---- The ring around it ---- */

static void put(const fixture *f, uint64_t value) {
    const content made = content_of(value);
    ok(rbcore_producer_output(f->producer, &made, sizeof(made), 0));
}

static void *set_up(const void *argument) {
    static stage self;
    const way *which = argument;
    self = (stage){.way = which};
    ok(rbcore_memory_ring_create(&self.f.memory_fd, &self.f.event_fd, page_size(),
                                 which->overwrites ? RBCORE_MEMORY_RING_OVERWRITE : 0));
    self.f.producer = producer_on(self.f.memory_fd, self.f.event_fd);
    self.f.reader = reader_on(&self.f, 0, which->overwrites ? RBCORE_SOURCE_OVERWRITE : 0);
    self.raw = image_map(self.f.memory_fd);
    self.diary = shared_memory(sizeof(diary));
    /* One that overwrites is full: each record takes the place of others. */
    for (uint64_t i = 0; i < (which->overwrites ? 100 : 2); i++) {
        put(&self.f, BEFORE);
    }
    return &self;
}

static void tear_down(void *argument) {
    stage *self = argument;
    image_unmap(&self->raw);
    munmap(self->diary, sizeof(diary));
    fixture_close(&self->f);
}

static const void *shared(void *argument, size_t *size) {
    stage *self = argument;
    *size = self->raw.ring_size + 2 * page_size();
    return self->raw.base;
}

/* ---- What must come out ---- */

typedef struct found {
    unsigned before, of_victim, of_other, last;
} found;

static void count_record(const rbcore_record *record, found *out) {
    content held;
    at_point(record->size == sizeof(held), "a record's size");
    memcpy(&held, record->data, sizeof(held));
    for (int i = 1; i < WORDS; i++) {
        at_point(held.words[i] == held.words[0], "a torn record");
    }
    uint64_t value = held.words[0];
    if (value == OF_VICTIM + out->of_victim) {
        out->of_victim++;
    } else if (value == OF_OTHER) {
        out->of_other++;
    } else if (value == LAST) {
        out->last++;
    } else {
        at_point(value == BEFORE, "a record's content");
        at_point(out->of_victim + out->of_other + out->last == 0, "the order");
        out->before++;
    }
}

static found read_to_the_last(stage *self) {
    rbcore_record records[8];
    found out = {0};
    while (out.last == 0) {
        int n = rbcore_reader_next(self->f.reader, records, 8, WATCHDOG_NS);
        at_point(n > 0, "no record within the watchdog's time");
        for (int i = 0; i < n; i++) {
            count_record(&records[i], &out);
        }
        ok(rbcore_reader_commit(self->f.reader, NULL, 0));
    }
    return out;
}

static void check(stage *self, const found *out) {
    rbcore_ring_stats stats = ring_stats(&self->f);
    uint64_t handed = (stats.records) * span_of(sizeof(content));
    at_point(out->before == 2 || self->way->overwrites, "records from before");
    /* Each call makes all of its records or none: an unfinished one is no record. */
    at_point(out->of_victim == self->diary->done || out->of_victim == self->diary->begun,
             "the victim's records");
    at_point(stats.lost_bytes == 0 || self->way->overwrites, "lost records");
    at_point(stats.start_pos + handed + stats.passed_bytes + stats.lost_bytes == stats.read_pos,
             "the sum of all bytes");
    at_point(!(stats.flags & RBCORE_RING_BROKEN), "the ring");
}

static void killed(void *argument) {
    stage *self = argument;
    put(&self->f, LAST); /* the lock is free, or comes free */
    found out = read_to_the_last(self);
    check(self, &out);
    at_point(ring_stats(&self->f).abandoned <= 1, "unfinished records");
    rbcore_producer *next = producer_on(self->f.memory_fd, self->f.event_fd);
    rbcore_producer_free(next);
}

/* Another process that writes while the victim is stopped: it may have to wait for the lock. */
static int write_meanwhile(void *argument) {
    const fixture *f = argument;
    const content made = content_of(OF_OTHER);
    rbcore_producer *producer = producer_on(f->memory_fd, f->event_fd);
    return rbcore_producer_output(producer, &made, sizeof(made), 0) == 0 ? 0 : 1;
}

/*
 * Tells whether a producer sleeps on the producers' lock. The layout is written down here once
 * more.
 */
static bool is_waited_for(const stage *self) {
    const uint8_t *lock = self->raw.base + page_size() + 192;
    return __atomic_load_n((const uint32_t *)(const void *)lock, __ATOMIC_SEQ_CST) >> 31;
}

static void stopped(void *argument) {
    stage *self = argument;
    rbcore_record record;
    pid_t other = start_child(write_meanwhile, &self->f);
    siginfo_t info = {0};
    /* Until it is through, or has waited for the lock for so long that it looked at its owner. */
    for (int waits = 0; waits < 20 &&
                        waitid(P_PID, (id_t)other, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                        info.si_pid == 0;) {
        sleep_ms(1);
        waits += is_waited_for(self);
    }
    /* Records before one that is being written can be read, and nothing is given up. */
    int n = self->way->overwrites ? 0 : rbcore_reader_read(self->f.reader, &record, 1);
    at_point(n == (self->way->overwrites ? 0 : 1), "the first record");
    found out = {0};
    if (n == 1) {
        count_record(&record, &out);
        ok(rbcore_reader_commit(self->f.reader, NULL, 0));
    }
    victim_goes_on();
    at_point(wait_child(other) == 0, "the other producer");
    put(&self->f, LAST);
    found rest = read_to_the_last(self);
    rest.before += out.before;
    check(self, &rest);
    at_point(rest.of_victim == self->diary->begun, "the victim's records");
    at_point(rest.of_other == 1, "the other's record");
    at_point(ring_stats(&self->f).abandoned == 0, "records that were given up");
}

PLAYS(in_output, 5, .act = act_output)
PLAYS(between_reserve_and_submit, 5, .act = act_submit)
PLAYS(between_reserve_and_discard, 5, .act = act_discard)
PLAYS(in_a_batch, 5, .act = act_batch)
PLAYS(from_open_to_free, 5, .act = act_output, .by_open = true)
PLAYS(in_output_that_overwrites, 5, .act = act_output, .overwrites = true)
PLAYS(between_reserve_and_submit_that_overwrites, 5, .act = act_submit, .overwrites = true)
PLAYS(in_a_batch_that_overwrites, 5, .act = act_batch, .overwrites = true)

int main(void) {
    skip_without_points();
    const TTest *const tests[] = {in_output,
                                  between_reserve_and_submit,
                                  between_reserve_and_discard,
                                  in_a_batch,
                                  from_open_to_free,
                                  in_output_that_overwrites,
                                  between_reserve_and_submit_that_overwrites,
                                  in_a_batch_that_overwrites,
                                  NULL};
    return run_tests("producers killed and stopped", tests);
}
