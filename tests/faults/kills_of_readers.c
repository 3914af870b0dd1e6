/* SPDX-License-Identifier: MIT */
/*
 * Readers that are killed or stopped at any instruction, from open to free. The next reader begins
 * where the last one stopped: what was committed does not come again, and of a commit that was cut
 * short all is committed or nothing.
 */
#include "points.h"

#include <stdio.h>
#include <sys/mman.h>

#define RECORDS 12

/* The victim notes here what it does, in memory that outlives it. */
typedef struct diary {
    _Atomic unsigned handed;     /* records that it was given */
    _Atomic unsigned committed;  /* of them given back, by calls that have returned */
    _Atomic unsigned committing; /* and by the call that is running */
    _Atomic int added;           /* what add returned; NOT_YET before */
} diary;

#define NOT_YET (-9999)

typedef struct way {
    uint32_t reader_flags;
    bool after_add;        /* the curtain opens after the ring was added */
    bool until_add;        /* and falls after that */
    uint32_t source_flags; /* of the victim */
} way;

typedef struct stage {
    const way *way;
    fixture f;
    image raw;
    diary *diary;
} stage;

/* ---- What the victim does ---- */

/* Reads so many and gives them back, by one call. */
static int take(stage *self, rbcore_reader *reader, unsigned count) {
    rbcore_record records[RECORDS];
    unsigned got = 0;
    while (got < count) {
        int n = rbcore_reader_next(reader, records + got, count - got, WATCHDOG_NS);
        if (n <= 0) {
            return 10;
        }
        got += (unsigned)n;
        self->diary->handed += (unsigned)n;
    }
    self->diary->committing = self->diary->handed;
    int error = self->way->reader_flags & RBCORE_READER_RELEASE
                    ? rbcore_reader_release(reader, records, got)
                    : rbcore_reader_commit(reader, &records[got - 1], 0);
    self->diary->committed = self->diary->handed;
    return error == 0 ? 0 : 11;
}

static int read_and_leave(stage *self, rbcore_reader *reader, unsigned ring) {
    int error = take(self, reader, 3);
    error = error != 0 ? error : take(self, reader, 2);
    error = error != 0 ? error : take(self, reader, 4);
    error = error != 0 ? error : rbcore_reader_remove(reader, ring) != 0 ? 12 : 0;
    rbcore_reader_free(reader);
    return error;
}

static int victim(void *argument) {
    stage *self = argument;
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = self->way->reader_flags;
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    source.flags = self->way->source_flags;
    rbcore_reader *reader = NULL;
    if (!self->way->after_add) {
        curtain();
    }
    int error = rbcore_reader_open(&reader, &options);
    if (error != 0) {
        return 1;
    }
    int ring = rbcore_reader_add(reader, &source);
    self->diary->added = ring;
    if (self->way->after_add) {
        curtain();
    }
    if (ring < 0 || self->way->until_add) {
        rbcore_reader_free(reader);
        return ring < 0 && ring != -EBUSY ? 2 : 0;
    }
    return read_and_leave(self, reader, (unsigned)ring);
}

/* ---- The ring around it ---- */

static void *set_up(const void *argument) {
    static stage self;
    self = (stage){.way = argument};
    bool overwrites = self.way->source_flags & RBCORE_SOURCE_OVERWRITE;
    ok(rbcore_memory_ring_create(&self.f.memory_fd, &self.f.event_fd, page_size(),
                                 overwrites ? RBCORE_MEMORY_RING_OVERWRITE : 0));
    self.f.producer = producer_on(self.f.memory_fd, self.f.event_fd);
    self.raw = image_map(self.f.memory_fd);
    self.diary = shared_memory(sizeof(diary));
    self.diary->added = NOT_YET;
    for (uint64_t i = 0; i < RECORDS; i++) {
        produce(&self.f, i);
    }
    return &self;
}

static void tear_down(void *argument) {
    stage *self = argument;
    image_unmap(&self->raw);
    munmap(self->diary, sizeof(diary));
    fixture_drop(&self->f);
}

/* The parts of a ring that a reader can write. */
static const void *shared(void *argument, size_t *size) {
    stage *self = argument;
    *size = page_size();
    return self->raw.base;
}

static int try_to_add(stage *self, rbcore_reader **reader) {
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    source.flags = self->way->source_flags & RBCORE_SOURCE_OVERWRITE;
    ok(rbcore_reader_open(reader, NULL));
    return rbcore_reader_add(*reader, &source);
}

/*
 * The next reader finds all from where the victim stopped. It has the ring's lock, or knows that it
 * has not: a process that is no reader any more may have it as long as it is stopped.
 */
static void expect_the_rest(stage *self, rbcore_reader *reader, uint64_t allowed_flags) {
    rbcore_record records[RECORDS + 1];
    produce(&self->f, RECORDS);
    int n = 0;
    while (n == 0 || value_of(&records[n - 1]) != RECORDS) {
        int more = rbcore_reader_next(reader, records + n, (size_t)(RECORDS + 1 - n), WATCHDOG_NS);
        at_point(more > 0, "no record within the watchdog's time");
        n += more;
    }
    const unsigned first = (unsigned)value_of(&records[0]);
    at_point(first == self->diary->committed || first == self->diary->committing,
             "committed records come again, or others are lost");
    for (int i = 0; i < n; i++) {
        at_point(value_of(&records[i]) == first + (unsigned)i, "the order");
    }
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ok(rbcore_reader_ring_stats(reader, 0, &stats));
    at_point((stats.flags & ~allowed_flags) == 0, "the lock of the ring");
    at_point(stats.lost_bytes == 0 && stats.abandoned == 0 && stats.lost == 0, "losses");
    ok(rbcore_reader_commit(reader, NULL, 0));
    rbcore_reader_free(reader);
}

static void killed(void *argument) {
    stage *self = argument;
    rbcore_reader *next = NULL;
    int index = try_to_add(self, &next);
    at_point(index == 0, "the next reader");
    expect_the_rest(self, next, 0);
}

/* Gives the second reader's first record back. Returns how many are given back now. */
static unsigned take_one(stage *self, rbcore_reader *reader) {
    rbcore_record record;
    int n = rbcore_reader_next(reader, &record, 1, WATCHDOG_NS);
    at_point(n == 1, "no record within the watchdog's time");
    const unsigned value = (unsigned)value_of(&record);
    at_point(value == self->diary->committed || value == self->diary->committing,
             "committed records come again, or others are lost");
    ok(rbcore_reader_commit(reader, NULL, RBCORE_COMMIT_NOW));
    return value + 1;
}

/*
 * While one has the ring others are refused. That holds for the victim, too, if it had not taken
 * the ring yet.
 */
static void stopped(void *argument) {
    stage *self = argument;
    rbcore_reader *second = NULL, *third = NULL;
    const bool had_added = self->diary->added >= 0;
    unsigned taken = 0;
    const bool was_leaving = self->way->until_add || self->diary->committed == 9;
    int of_second = try_to_add(self, &second);
    at_point(of_second == 0 || of_second == -EBUSY, "the second reader");
    if (of_second == 0) {
        at_point(!had_added || was_leaving, "a second reader beside one that reads");
        at_point(try_to_add(self, &third) == -EBUSY, "a third reader");
        rbcore_reader_free(third);
        taken = take_one(self, second);
    }
    victim_goes_on();
    if (of_second == 0) {
        at_point(had_added || self->diary->added == -EBUSY, "two readers at once");
        at_point(try_to_add(self, &third) == -EBUSY, "a third reader, later");
        rbcore_reader_free(third);
        rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
        ok(rbcore_reader_ring_stats(second, 0, &stats));
        at_point(stats.consumer_pos == stats.user_pos, "a position that went back");
        self->diary->committed = self->diary->committing = taken;
        expect_the_rest(self, second, RBCORE_RING_UNGUARDED);
        return;
    }
    at_point(self->diary->added >= 0, "nobody got the ring");
    rbcore_reader_free(second);
    killed(self);
}

PLAYS(a_reader_that_commits, 4, .after_add = true)
/* The ring is paced: consumer_pos trails what was committed. */
PLAYS(a_reader_that_polls, 4, .after_add = true, .reader_flags = RBCORE_READER_POLL)
PLAYS(a_reader_that_releases, 4, .after_add = true, .reader_flags = RBCORE_READER_RELEASE)
PLAYS(a_reader_that_releases_and_polls, 4, .after_add = true,
      .reader_flags = RBCORE_READER_RELEASE | RBCORE_READER_POLL)
PLAYS(a_reader_of_a_ring_that_overwrites, 4, .after_add = true,
      .source_flags = RBCORE_SOURCE_OVERWRITE)
PLAYS(from_open_to_add, 2, .until_add = true)

int main(void) {
    skip_without_points();
    const TTest *const tests[] = {a_reader_that_commits,
                                  a_reader_that_polls,
                                  a_reader_that_releases,
                                  a_reader_that_releases_and_polls,
                                  a_reader_of_a_ring_that_overwrites,
                                  from_open_to_add,
                                  NULL};
    return run_tests("readers killed and stopped", tests);
}
