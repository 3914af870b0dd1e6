/* SPDX-License-Identifier: MIT */
/*
 * kills SEED SECONDS [KILLS]: readers and producers of a ring, each a process, are killed at random
 * moments and replaced, for so long or until there were so many kills. What a reader had given back
 * must not come again, all else must, in its producer's order and whole: at least once, 0 lost.
 *
 * What each process does is noted in memory that outlives it: before the call and after. So of a
 * killed one it is known what it may have done, and what it has done.
 *
 * Each episode has a ring of its own; its parameters follow from the seed, the moments do not.
 * Prints what was counted as one line of JSON.
 */
#include "ring.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KILLS 300 /* of an episode */
#define PRODUCERS_MAX 3
#define HELD_MAX 2048
#define BATCH_MAX 256
#define HANG_SECONDS 60
#define UNKNOWN UINT64_MAX

/* How many of the records of one life of a producer, from the first on, ... */
typedef struct book {
    uint64_t delivered;  /* were handed out to some reader */
    uint64_t maybe_back; /* were in a call that gives back, or before one that was */
    uint64_t back;       /* were given back by a call that returned */
} book;

/* Shared with all children. */
typedef struct journal {
    book books[FLOW_PRODUCERS_MAX];
    uint64_t records, again;
    char message[256];
} journal;

/* A record that is handed out, and whether a call gave it back that has not freed its space. */
typedef struct holding {
    rbcore_record record;
    bool is_back;
} holding;

typedef struct reading {
    rbcore_reader *reader;
    journal *journal;
    bool releases;
    uint64_t random;
    uint64_t next[FLOW_PRODUCERS_MAX]; /* of this reader; UNKNOWN before the first record */
    holding held[HELD_MAX];            /* in the order of the ring */
    size_t held_count;
} reading;

typedef struct episode {
    uint64_t random;
    size_t ring_size;
    unsigned int producers;
    ring ring;
    journal *journal;
    pid_t pids[1 + PRODUCERS_MAX]; /* the reader's first */
    uint32_t lives;                /* of producers, so far */
} episode;

static struct {
    uint64_t episodes, reader_kills, producer_kills, records, again;
} counted;

static void store(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* ---- A reader ------------------------------------------------------------------------------ */

static void account_for(reading *self, const rbcore_record *record) {
    uint64_t first = expect_name(record), number = flow_number(first);
    uint32_t life = flow_producer(first);
    book *b = &self->journal->books[life];
    if (self->next[life] == UNKNOWN) {
        if (number < b->back || number > b->maybe_back) {
            FAIL("%s: a new reader begins with record %llu of life %u; %llu were given back "
                 "(perhaps %llu), %llu delivered",
                 number < b->back ? "doubled" : "lost", (unsigned long long)number, life,
                 (unsigned long long)b->back, (unsigned long long)b->maybe_back,
                 (unsigned long long)b->delivered);
        }
    } else if (number != self->next[life]) {
        FAIL("%s: record %llu of life %u came instead of %llu",
             number < self->next[life] ? "doubled" : "lost", (unsigned long long)number, life,
             (unsigned long long)self->next[life]);
    }
    self->next[life] = number + 1;
    if (number < b->delivered) {
        self->journal->again++;
    } else {
        store(&b->delivered, number + 1);
        self->journal->records++;
    }
}

static void take(reading *self, const rbcore_record *records, int n) {
    for (int i = 0; i < n; i++) {
        account_for(self, &records[i]);
        self->held[self->held_count++] = (holding){records[i], false};
    }
}

/* The leading records that are back: to be noted, and then forgotten. */
static size_t count_back(const reading *self) {
    size_t n = 0;
    while (n < self->held_count && self->held[n].is_back) {
        n++;
    }
    return n;
}

static void expect_intact(const rbcore_record *record) {
    if (!is_intact(record)) {
        FAIL("torn: the record at %llu changed while it was held",
             (unsigned long long)record->position);
    }
}

/*
 * The names of the first records are copied before they are given back: then their space may be
 * overwritten.
 */
static void announce(reading *self, size_t count, uint64_t *names) {
    for (size_t i = 0; i < count; i++) {
        memcpy(&names[i], self->held[i].record.data, sizeof(names[i]));
        store(&self->journal->books[flow_producer(names[i])].maybe_back, flow_number(names[i]) + 1);
    }
}

static void forget(reading *self, size_t count, const uint64_t *names) {
    for (size_t i = 0; i < count; i++) {
        store(&self->journal->books[flow_producer(names[i])].back, flow_number(names[i]) + 1);
    }
    self->held_count -= count;
    memmove(self->held, &self->held[count], self->held_count * sizeof(*self->held));
}

static void commit(reading *self, size_t count) {
    uint64_t names[HELD_MAX];
    for (size_t i = 0; i < count; i++) {
        expect_intact(&self->held[i].record);
    }
    announce(self, count, names);
    uint32_t flags = random_below(&self->random, 4) ? 0 : RBCORE_COMMIT_NOW;
    EXPECT(rbcore_reader_commit(self->reader, &self->held[count - 1].record, flags) == 0);
    forget(self, count, names);
}

/* Some that are not back, from any place; with all, all of them. */
static void release(reading *self, size_t want, bool all) {
    rbcore_record records[HELD_MAX];
    uint64_t names[HELD_MAX];
    size_t n = 0, start = random_below(&self->random, self->held_count);
    for (size_t i = 0; i < self->held_count && (all || n < want); i++) {
        holding *h = &self->held[(start + i) % self->held_count];
        if (!h->is_back && (all || random_below(&self->random, 4))) {
            expect_intact(&h->record);
            records[n++] = h->record;
            h->is_back = true;
        }
    }
    size_t back = count_back(self);
    announce(self, back, names);
    EXPECT(n == 0 || rbcore_reader_release(self->reader, records, n) == 0);
    forget(self, back, names);
}

static void give_back(reading *self, bool all) {
    if (self->held_count == 0) {
        return;
    }
    size_t count = all ? self->held_count : 1 + random_below(&self->random, self->held_count);
    if (self->releases) {
        release(self, count, all);
    } else {
        commit(self, count);
    }
}

/* Returns what the read returned. */
static int read_some(reading *self) {
    rbcore_record records[BATCH_MAX];
    if (self->held_count + BATCH_MAX > HELD_MAX) {
        give_back(self, true);
    }
    int n = rbcore_reader_next(self->reader, records, 1 + random_below(&self->random, BATCH_MAX),
                               MILLISECOND);
    if (n < 0 && n != -EAGAIN && n != -EINTR && n != -ENODATA) {
        FAIL("next: %d, %s", n, rbcore_reader_message(self->reader));
    }
    take(self, records, n);
    if (n <= 0 || random_below(&self->random, 2)) {
        give_back(self, n <= 0);
    }
    return n;
}

static reading *open_reading(const episode *e, uint64_t seed) {
    static reading self;
    memset(&self, 0, sizeof(self));
    memset(self.next, 0xff, sizeof(self.next));
    self.random = seed;
    self.journal = e->journal;
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    self.releases = random_below(&self.random, 2);
    options.flags = self.releases ? RBCORE_READER_RELEASE : 0;
    EXPECT(rbcore_reader_open(&self.reader, &options) == 0);
    int index = rbcore_reader_add(self.reader, &e->ring.source);
    if (index != 0) {
        FAIL("a new reader cannot add the ring: %d, %s", index, rbcore_reader_message(self.reader));
    }
    return &self;
}

static void read_until_killed(const episode *e, uint64_t seed) {
    for (;;) {
        reading *self = open_reading(e, seed++);
        for (uint64_t rounds = random_below(&self->random, 2000); rounds; rounds--) {
            read_some(self);
        }
        give_back(self, true);
        rbcore_reader_free(self->reader);
    }
}

/* ---- Processes ----------------------------------------------------------------------------- */

static void produce_until_killed(const episode *e, uint32_t id, uint64_t seed) {
    producing p;
    for (;;) {
        producing_open(&p, &e->ring, id, seed++);
        p.is_silent = true;
        for (uint64_t rounds = random_below(&p.random, 2000); rounds; rounds--) {
            if (!producing_run(&p, 1 + (uint32_t)random_below(&p.random, 200))) {
                usleep(50); /* the ring is full */
            }
        }
        producing_close(&p);
    }
}

static void start(episode *self, unsigned int which) {
    uint64_t seed = flow_random(&self->random);
    pid_t parent = getpid();
    uint32_t id = self->lives;
    self->lives += which > 0;
    EXPECT(id < FLOW_PRODUCERS_MAX);
    self->pids[which] = fork_child();
    if (self->pids[which] == 0) {
        if (getppid() != parent) {
            _exit(1);
        }
        if (which == 0) {
            read_until_killed(self, seed);
        } else {
            produce_until_killed(self, id, seed);
        }
    }
}

static void kill_one(episode *self, unsigned int which) {
    kill(self->pids[which], SIGKILL);
    bool was_killed = wait_child(self->pids[which]) == 256 + SIGKILL;
    self->pids[which] = 0;
    if (!was_killed) {
        FAIL("a %s failed: see above", which ? "producer" : "reader");
    }
    *(which ? &counted.producer_kills : &counted.reader_kills) += 1;
}

/* From microseconds, when a process has hardly begun, to milliseconds. */
static void wait_a_random_time(episode *self) {
    uint64_t most = UINT64_C(10000) << random_below(&self->random, 10);
    int64_t until = now_ns() + (int64_t)random_below(&self->random, most);
    if (most > 200000) {
        usleep((unsigned int)(random_below(&self->random, most) / 1000));
    }
    while (now_ns() < until) {
    }
}

static void kill_and_replace(episode *self) {
    unsigned int which = random_below(&self->random, 2)
                             ? 0
                             : 1 + (unsigned int)random_below(&self->random, self->producers);
    wait_a_random_time(self);
    kill_one(self, which);
    if (random_below(&self->random, 8) == 0) { /* both ends at once */
        unsigned int other = which ? 0 : 1;
        kill_one(self, other);
        start(self, other);
    }
    start(self, which);
}

/* ---- The books ----------------------------------------------------------------------------- */

static void read_the_rest(episode *self) {
    reading *r = open_reading(self, flow_random(&self->random));
    EXPECT(rbcore_reader_flush(r->reader) == 0);
    while (read_some(r) != -ENODATA) {
    }
    give_back(r, true);
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    EXPECT(rbcore_reader_ring_stats(r->reader, 0, &stats) == 0);
    EXPECT(stats.user_pos == stats.producer_pos);
    uint64_t refused = 0;
    for (uint32_t life = 0; life < self->lives; life++) {
        refused += self->ring.tallies[life].refused;
    }
    /* A refusal is counted in the ring, then by the producer. */
    EXPECT(stats.lost >= refused && stats.lost <= refused + self->lives);
    rbcore_reader_free(r->reader);
}

static void balance(const episode *self) {
    for (uint32_t life = 0; life < self->lives; life++) {
        const struct tally *tally = &self->ring.tallies[life];
        const book *b = &self->journal->books[life];
        if (b->delivered < tally->done || b->delivered > tally->started) {
            FAIL("lost: of life %u %llu came; it made %llu (perhaps %llu)", life,
                 (unsigned long long)b->delivered, (unsigned long long)tally->done,
                 (unsigned long long)tally->started);
        }
        if (b->maybe_back != b->delivered) {
            FAIL("lost: of life %u %llu came, and %llu were given back", life,
                 (unsigned long long)b->delivered, (unsigned long long)b->maybe_back);
        }
    }
    counted.records += self->journal->records;
    counted.again += self->journal->again;
}

static void run_episode(uint64_t seed) {
    episode *self = calloc(1, sizeof(*self));
    EXPECT(self);
    self->random = seed;
    self->ring_size = page_size() << random_below(&self->random, 9);
    self->producers = 1 + (unsigned int)random_below(&self->random, PRODUCERS_MAX);
    set_context("episode %llu: a ring of %zu bytes, %u producers", (unsigned long long)seed,
                self->ring_size, self->producers);
    alarm(HANG_SECONDS); /* which ends the program, and with it its children */
    self->journal = shared_memory(sizeof(journal));
    ring_open(&self->ring, self->ring_size);
    for (unsigned int i = 0; i <= self->producers; i++) {
        start(self, i);
    }
    for (int i = 0; i < KILLS; i++) {
        kill_and_replace(self);
    }
    for (unsigned int i = 0; i <= self->producers; i++) {
        kill_one(self, i);
    }
    alarm(HANG_SECONDS);
    read_the_rest(self);
    balance(self);
    ring_close(&self->ring);
    munmap(self->journal, sizeof(journal));
    free(self);
    counted.episodes++;
}

static uint64_t reached(void) {
    return counted.reader_kills + counted.producer_kills;
}

int main(int argc, char **argv) {
    play_episodes(argc, argv, run_episode, reached);
    printf("{\"kills\": %llu, \"reader_kills\": %llu, \"producer_kills\": %llu, "
           "\"episodes\": %llu, \"records\": %llu, \"again\": %llu}\n",
           (unsigned long long)(counted.reader_kills + counted.producer_kills),
           (unsigned long long)counted.reader_kills, (unsigned long long)counted.producer_kills,
           (unsigned long long)counted.episodes, (unsigned long long)counted.records,
           (unsigned long long)counted.again);
    return 0;
}
