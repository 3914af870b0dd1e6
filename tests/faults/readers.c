/* SPDX-License-Identifier: MIT */
/* A reader of each mode lives on rings of all kinds, with each fault. */
#include "readers.h"

#include "scenario.h"

#include <stdio.h>
#include <sys/mman.h>

/* These are the steps of the scenario, one after the other. */
typedef struct course {
    const life *life;
    rbcore_reader *reader;
    rbcore_source source;
    void *ring;
    unsigned index;
    uint64_t made, seen; /* records */
} course;

static void make(course *self, unsigned count) {
    while (count-- > 0) {
        self->life->kind->emit(self->ring, self->made++);
    }
}

/* The records become a file where they lie. */
static void describe(course *self, const rbcore_record *first, const rbcore_record *last) {
    static const uint8_t unknown[16];
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content = {NULL, 0};
    MAKE(rbcore_reader_snapshot_header, self->reader, first, last, header, &content);
    ck_check(content.size == end_of(last) - first->position, "what was described");
    /* The header has the boot's id at 24: zeros where that cannot be read. */
    bool is_unknown = memcmp(header + 24, unknown, sizeof(unknown)) == 0;
    ck_check(!is_unknown || was_failed("open") || was_failed("read"), "the boot's id");
}

/* All records that were made, once and in order. */
static void take(course *self) {
    rbcore_record records[8];
    while (self->seen < self->made) {
        int n = MAKE(rbcore_reader_next, self->reader, records, 8, WATCHDOG_NS);
        ck_check(n > 0, "no record within the watchdog's time");
        for (int i = 0; i < n; i++) {
            ck_check(value_of(&records[i]) == self->seen, "the next record");
            self->seen++;
        }
        describe(self, &records[0], &records[n - 1]);
        if (self->life->reader_flags & RBCORE_READER_RELEASE) {
            MAKE(rbcore_reader_release, self->reader, records, (size_t)n);
        } else {
            MAKE(rbcore_reader_commit, self->reader, &records[n - 1], 0);
        }
    }
}

static void add(course *self) {
    int index = MAKE(rbcore_reader_add, self->reader, &self->source);
    self->index = (unsigned)index;
    bool is_tap = self->source.flags & RBCORE_SOURCE_TAP;
    if (!is_tap) {
        rbcore_source plain = self->source;
        plain.flags &= RBCORE_SOURCE_OVERWRITE;
        expect_taken(&plain);
    }
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    MAKE(rbcore_source_ring_stats, &self->source, &stats);
    ck_check(stats.first_ring == RBCORE_UNKNOWN && stats.consumer_pos <= stats.producer_pos,
             "what is seen without a reader");
    MAKE(rbcore_reader_ring_stats, self->reader, self->index, &stats);
    /* The lock could not be had for as long as it was tried. */
    bool is_unguarded = stats.flags & RBCORE_RING_UNGUARDED;
    ck_check(!is_unguarded || was_failed("fcntl F_OFD_SETLK"), "the ring's lock");
    bool is_known = self->life->kind->counts_losses && !self->life->without_loss_map;
    ck_check(stats.lost == (is_known ? 0 : RBCORE_UNKNOWN) || was_failed("fopen") ||
                 was_failed("f") || was_failed("calloc") || was_failed("bpf MAP_LOOKUP_ELEM"),
             "losses");
}

/* Snapshots go into a file and come back. */
static void save_and_load(course *self) {
    rbcore_snapshot *taken = NULL, *loaded = NULL;
    rbcore_record of_taken, of_loaded;
    MAKE(rbcore_reader_snapshot, self->reader, self->index, &taken, 0);
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    MAKE_AFTER((ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0) ? (void)0 : abort(), 0,
               rbcore_snapshot_save, taken, file);
    MAKE_AFTER(lseek(file, 0, SEEK_SET), 0, rbcore_snapshot_load, &loaded, file);
    int more;
    while ((more = MAKE(rbcore_snapshot_read, taken, &of_taken, 1)) == 1) {
        ck_check(MAKE(rbcore_snapshot_read, loaded, &of_loaded, 1) == 1, "what was loaded");
        ck_check(value_of(&of_taken) == value_of(&of_loaded), "the record that was loaded");
    }
    ck_check(more == 0 && MAKE(rbcore_snapshot_read, loaded, &of_loaded, 1) == 0, "the end");
    MAKE(rbcore_reader_snapshot, self->reader, self->index, &taken, 0); /* anew */
    DROP(rbcore_snapshot_free, taken);
    DROP(rbcore_snapshot_free, loaded);
    close(file);
}

static void ask(course *self) {
    static const uint8_t unknown[16];
    rbcore_record record = {.ring = (uint16_t)self->index, .position = 8};
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    MAKE(rbcore_reader_identity, self->reader, &record, &identity);
    bool is_unknown = memcmp(identity.boot_id, unknown, sizeof(unknown)) == 0;
    /* "all zero where that cannot be read" */
    ck_check(!is_unknown || was_failed("open") || was_failed("read"), "the boot's id");
    rbcore_reader_stats stats = RBCORE_READER_STATS_INIT;
    MAKE(rbcore_reader_stats_get, self->reader, &stats);
    ck_check(stats.records == self->seen && stats.rings == 1, "statistics");
}

/* These calls come from other threads. */
static void interrupt(course *self) {
    rbcore_record record;
    MAKE(rbcore_reader_interrupt, self->reader);
    MAKE_FAIL(-ECANCELED, rbcore_reader_next, self->reader, &record, 1, WATCHDOG_NS);
    MAKE(rbcore_reader_flush, self->reader);
    MAKE_FAIL(-ENODATA, rbcore_reader_next, self->reader, &record, 1, WATCHDOG_NS);
}

/* Waits that end by themselves: nothing is there. */
static void wait_in_vain(course *self) {
    rbcore_record record;
    rbcore_span span;
    int n = MAKE(rbcore_reader_read, self->reader, &record, 1);
    ck_check(n == 0, "an empty ring");
    n = MAKE(rbcore_reader_next, self->reader, &record, 1, 100000);
    ck_check(n == 0, "an empty ring");
    n = MAKE(rbcore_reader_next, self->reader, &record, 1, 0);
    ck_check(n == 0, "an empty ring");
    if (!(self->life->reader_flags & RBCORE_READER_RELEASE)) {
        n = MAKE(rbcore_reader_next_spans, self->reader, &span, 1, 1, 1000);
        ck_check(n == 0, "an empty ring");
    }
}

static bool is_paced(course *self) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    ok(rbcore_reader_ring_stats(self->reader, self->index, &stats));
    return stats.flags & RBCORE_RING_PACED;
}

/* "0: ... the next wakeup is armed": a record makes the descriptor readable. */
static void be_woken(course *self) {
    rbcore_record record;
    ck_check(MAKE(rbcore_reader_next, self->reader, &record, 1, 0) == 0, "an empty ring");
    make(self, 1);
    ck_check(readable(rbcore_reader_fd(self->reader), WATCHDOG_MS), "a wakeup");
    take(self);
}

/* Many records in a short time make a ring paced, and a time without any makes it armed again. */
static void until_paced(course *self, bool paced) {
    rbcore_record record;
    for (int i = 0; is_paced(self) != paced; i++) {
        ck_check(i < 100000, "the pace of the ring");
        if (paced) {
            make(self, 6); /* fewer than one read takes: it sees the end */
            take(self);
        } else {
            ck_check(MAKE(rbcore_reader_next, self->reader, &record, 1, 100000) == 0, "nothing");
        }
    }
}

/* In release mode a record is held until after the reader was freed. */
static void end(course *self) {
    rbcore_record held;
    if (!(self->life->reader_flags & RBCORE_READER_RELEASE)) {
        MAKE(rbcore_reader_shutdown, self->reader);
        DROP(rbcore_reader_free, self->reader);
        return;
    }
    make(self, 1);
    ck_check(MAKE(rbcore_reader_next, self->reader, &held, 1, WATCHDOG_NS) == 1, "a last record");
    DROP(rbcore_reader_free, self->reader);
    MAKE(rbcore_reader_release, self->reader, &held, 1);
}

void live(const void *argument) {
    const life *way = argument;
    course self = {.life = way, .source = RBCORE_SOURCE_INIT};
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = way->reader_flags;
    options.max_latency_ns = way->is_paced ? 10000000 : options.max_latency_ns;
    self.ring = way->kind->open(&self.source, way->is_paced ? PACED_RING_SIZE : page_size(),
                                way->overwrites);
    self.source.flags |= way->source_flags;
    if (way->without_loss_map) {
        self.source.loss_fd = -1;
    }
    make(&self, 3);
    if (way->source_flags & RBCORE_SOURCE_LATEST) {
        self.seen = self.made;
    }
    MAKE(rbcore_reader_open, &self.reader, &options);
    self.seen = way->source_flags & RBCORE_SOURCE_LATEST ? self.made : 0;
    add(&self);
    uint64_t skipped = self.seen;
    take(&self);
    make(&self, 2);
    save_and_load(&self);
    take(&self);
    wait_in_vain(&self);
    if (way->is_paced) {
        until_paced(&self, true);
        until_paced(&self, false);
    }
    be_woken(&self);
    wait_in_vain(&self);
    interrupt(&self);
    self.seen -= skipped;
    ask(&self);
    self.seen += skipped;
    bool is_release = way->reader_flags & RBCORE_READER_RELEASE;
    bool can_come_back = !(way->source_flags & (RBCORE_SOURCE_TAP | RBCORE_SOURCE_LATEST));
    if (can_come_back || !is_release) {
        MAKE(rbcore_reader_remove, self.reader, self.index);
    }
    if (can_come_back) {
        make(&self, 1);
        add(&self);
        take(&self);
    }
    end(&self);
    rbcore_source plain = self.source;
    plain.flags &= RBCORE_SOURCE_OVERWRITE;
    expect_free(&plain, way->kind->emit, self.ring);
    way->kind->close(self.ring, &self.source);
}

/* Two rings: the second needs room for more turns. */
void live_with_two(const void *argument) {
    const life *way = argument;
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = way->reader_flags;
    rbcore_reader *reader = NULL;
    rbcore_source sources[2] = {RBCORE_SOURCE_INIT, RBCORE_SOURCE_INIT};
    void *rings[2];
    rbcore_record records[4];
    unsigned seen[2] = {0, 0}, indexes[2];
    for (int i = 0; i < 2; i++) {
        rings[i] = way->kind->open(&sources[i], page_size(), false);
        way->kind->emit(rings[i], 0);
    }
    MAKE(rbcore_reader_open, &reader, &options);
    for (int i = 0; i < 2; i++) {
        indexes[i] = (unsigned)MAKE(rbcore_reader_add, reader, &sources[i]);
    }
    while (seen[0] + seen[1] < 2) {
        int n = MAKE(rbcore_reader_next, reader, records, 4, WATCHDOG_NS);
        ck_check(n > 0, "no record within the watchdog's time");
        for (int i = 0; i < n; i++) {
            seen[records[i].ring == indexes[1]]++;
        }
    }
    ck_check(seen[0] == 1 && seen[1] == 1, "a record of each");
    MAKE(rbcore_reader_commit, reader, NULL, 0);
    MAKE(rbcore_reader_remove, reader, indexes[0]);
    ck_check(MAKE(rbcore_reader_ring_after, reader, -1) == (int)indexes[1], "the ring that stays");
    way->kind->emit(rings[1], 1);
    ck_check(MAKE(rbcore_reader_next, reader, records, 4, WATCHDOG_NS) == 1, "the other ring");
    DROP(rbcore_reader_free, reader);
    for (int i = 0; i < 2; i++) {
        expect_free(&sources[i], way->kind->emit, rings[i]);
        way->kind->close(rings[i], &sources[i]);
    }
}
