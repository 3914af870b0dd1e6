/* SPDX-License-Identifier: MIT */
/*
 * Each producer call meets each kind of copy. The call is made by a child that is traced, one
 * instruction at a time. Whenever the ring has changed the child stands still, and all kinds of
 * copies are taken: a tap, snapshots of a tap, of a reader in commit mode and of one in release
 * mode whose records were given back meanwhile; of a ring in overwrite mode its reader, a tap, and
 * their snapshots. Each byte of each record is checked, and that those are handed out which must
 * be.
 *
 * So the copies see all that a producer stores in the order of its program, which is the order in
 * which x86 lets others see it. overtaken_stress.c is the same at full speed.
 */
#include "support.h"
#include "tracing.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define RECORDS_MAX 256
#define OVERWRITE RBCORE_MEMORY_RING_OVERWRITE

/* ---- The records, all of them known beforehand ---- */

typedef struct planned {
    uint64_t position;
    uint32_t size;
    bool is_discarded;
} planned;

/* A ring, what it was filled with, and the records of the call that is looked at. */
typedef struct scene {
    fixture f;
    image raw;
    uint32_t flags; /* of the ring */
    planned all[RECORDS_MAX];
    size_t count;      /* of all */
    size_t first_new;  /* of those that the call writes */
    uint64_t consumer; /* where consumer_pos is during the call */
    rbcore_reader *committed, *released;
    rbcore_record held[RECORDS_MAX]; /* by `released` */
    int held_count;
    rbcore_snapshot *snapshot;
    uint64_t states;
} scene;

static void content(const planned *record, uint8_t *out) {
    for (uint32_t i = 0; i < record->size; i++) {
        out[i] = (uint8_t)(record->position / 8 * 37 + record->position / page_size() * 101 + i);
    }
}

static const planned *find(const scene *self, uint64_t position) {
    for (size_t i = 0; i < self->count; i++) {
        if (self->all[i].position == position) {
            return &self->all[i];
        }
    }
    return NULL;
}

static uint64_t plan(scene *self, uint64_t position, uint32_t size) {
    ck_assert_uint_lt(self->count, RECORDS_MAX);
    self->all[self->count++] = (planned){.position = position, .size = size};
    return position + span_of(size);
}

static void check_record(const scene *self, const rbcore_record *record, const char *copy) {
    static uint8_t expected[1 << 20];
    const planned *known = find(self, record->position);
    ck_assert_msg(known != NULL && known->size == record->size && !known->is_discarded,
                  "%s: no record of %u bytes is at %lu", copy, record->size,
                  (unsigned long)record->position);
    content(known, expected);
    ck_assert_msg(memcmp(record->data, expected, record->size) == 0, "%s: torn at %lu", copy,
                  (unsigned long)record->position);
}

/* ---- What must come ---- */

static uint64_t oldest(const scene *self) {
    return image_load(self->flags ? self->raw.producer_pos + 2 : self->raw.consumer_pos);
}

/* Returns where the complete records end, from `at` on. No producer writes meanwhile. */
static uint64_t complete_end(const scene *self, uint64_t at) {
    while (at != image_load(self->raw.producer_pos)) {
        uint32_t length = *image_header(&self->raw, at);
        if (length & BUSY) {
            break;
        }
        at += span_of(length & ~DISCARDED);
    }
    return at;
}

/* Returns the bytes of discarded records between two positions. */
static uint64_t discarded(const scene *self, uint64_t from, uint64_t to) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->count; i++) {
        const planned *at = &self->all[i];
        bool is_between = at->position >= from && at->position < to;
        bytes += is_between && at->is_discarded ? span_of(at->size) : 0;
    }
    return bytes;
}

/*
 * Reads everything from `start` on. Either nothing was lost, or all before the oldest record that
 * is left: in a normal ring the oldest that was not given back.
 */
static void check_reader(const scene *self, rbcore_reader *reader, uint64_t start,
                         const char *copy) {
    rbcore_record records[RECORDS_MAX];
    uint64_t got = 0, first = UINT64_MAX;
    int count;
    while ((count = rbcore_reader_look(reader, records, RECORDS_MAX)) > 0) {
        for (int i = 0; i < count; i++) {
            check_record(self, &records[i], copy);
            got += span_of(records[i].size);
            first = first == UINT64_MAX ? records[i].position : first;
        }
        ok(rbcore_reader_commit(reader, NULL, 0));
    }
    ck_assert_msg(count == 0, "%s: %d: %s", copy, count, rbcore_reader_message(reader));
    fixture f = {.reader = reader};
    rbcore_ring_stats stats = ring_stats(&f);
    const uint64_t left = oldest(self), end = complete_end(self, left);
    ck_assert_uint_eq(stats.start_pos, start);
    ck_assert_msg(stats.read_pos == end, "%s: read up to %lu, not %lu", copy,
                  (unsigned long)stats.read_pos, (unsigned long)end);
    const uint64_t resumed = stats.lost_bytes == 0 ? start : left;
    ck_assert_msg(start + stats.lost_bytes == resumed, "%s: %lu bytes lost before %lu", copy,
                  (unsigned long)stats.lost_bytes, (unsigned long)left);
    ck_assert_uint_eq(stats.passed_bytes, discarded(self, resumed, end));
    ck_assert_uint_eq(got + stats.passed_bytes, end - resumed);
    if (self->flags && left > start) {
        ck_assert_uint_eq(stats.lost_bytes, left - start);
    }
}

/* `walked`: the bytes from producer_pos on that must be sound for what is walked over. */
static void check_snapshot(scene *self, rbcore_reader *reader, uint64_t from, uint64_t walked,
                           const char *copy) {
    rbcore_record records[RECORDS_MAX];
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    int error = rbcore_reader_snapshot(reader, 0, &self->snapshot, 0);
    if (image_load(self->raw.producer_pos) + walked - from > self->raw.ring_size) {
        ck_assert_int_eq(error, -EAGAIN); /* for good, as `from` stays where it is here */
        return;
    }
    ck_assert_msg(error == 0, "%s: %d: %s", copy, error, rbcore_reader_message(reader));
    ok(rbcore_snapshot_info_get(self->snapshot, &info));
    const uint64_t left = oldest(self), end = complete_end(self, left);
    uint64_t got = 0;
    int count;
    while ((count = rbcore_snapshot_read(self->snapshot, records, RECORDS_MAX)) > 0) {
        for (int i = 0; i < count; i++) {
            check_record(self, &records[i], copy);
            got += span_of(records[i].size);
        }
    }
    ck_assert_msg(count == 0, "%s: content is impossible", copy);
    ck_assert_uint_eq(info.end_pos, end);
    ck_assert_msg(info.first_pos == from || info.first_pos == left, "%s: begins at %lu", copy,
                  (unsigned long)info.first_pos);
    ck_assert_uint_eq(info.missed, info.first_pos - from);
    ck_assert_uint_eq(got + discarded(self, info.first_pos, end), end - info.first_pos);
}

/* A reader that begins at `start`, as if it had been there when consumer_pos was. */
static rbcore_reader *begin_at(const scene *self, uint64_t start, uint32_t source_flags) {
    rbcore_reader *reader;
    rbcore_source source = memory_source(self->f.memory_fd, self->f.event_fd);
    source.flags = source_flags | (self->flags ? RBCORE_SOURCE_OVERWRITE : 0);
    ok(rbcore_reader_open(&reader, NULL));
    image_store(self->raw.consumer_pos, start);
    ck_assert_int_eq(rbcore_reader_add(reader, &source), 0);
    image_store(self->raw.consumer_pos, self->consumer);
    return reader;
}

static void read_from(scene *self, uint64_t start, uint32_t source_flags, const char *copy) {
    rbcore_reader *reader = begin_at(self, start, source_flags);
    check_snapshot(self, reader, oldest(self), 0, copy);
    check_reader(self, reader, start, copy);
    rbcore_reader_free(reader);
    image_store(self->raw.consumer_pos, self->consumer);
    if (self->flags) {
        memset(self->raw.base + 8, 0, page_size() - 8); /* or the next one goes on where it was */
    }
}

/*
 * Takes copies that begin at some of the oldest records: what the call writes reaches the places of
 * some of them.
 */
static void take_copies(scene *self) {
    self->states++;
    for (size_t i = 0; i < 2; i++) {
        uint64_t start = self->all[i].position;
        read_from(self, start, RBCORE_SOURCE_TAP, "tap");
        if (self->flags) {
            read_from(self, start, RBCORE_SOURCE_INSIST, "reader of overwrite mode");
        }
    }
    if (!self->flags) {
        const uint64_t start = self->all[0].position;
        check_snapshot(self, self->committed, self->consumer, 0, "snapshot in commit mode");
        check_snapshot(self, self->released, start, 0, "snapshot in release mode");
        /* Older kernels leave pending_pos 0: all headers are looked at. */
        uint64_t *pending_pos = self->raw.producer_pos + 1, pending = image_load(pending_pos);
        image_store(pending_pos, 0);
        check_snapshot(self, self->released, start, HEADER_SIZE, "snapshot without pending_pos");
        image_store(pending_pos, pending);
    }
}

/* ---- A producer that dies here ---- */

/* A copy of the ring, with the child's slot and lock as they are, but held by no process. */
static fixture copy_of_ring(const scene *self) {
    const size_t page = page_size(), size = self->raw.ring_size;
    fixture f = {0};
    ok(rbcore_memory_ring_create(&f.memory_fd, &f.event_fd, size, self->flags));
    image raw = image_map(f.memory_fd);
    memcpy(raw.base + page, self->raw.base + page, page + size);
    image_store(raw.consumer_pos, self->flags ? 0 : self->consumer);
    image_unmap(&raw);
    f.reader = reader_on(&f, 0, self->flags ? RBCORE_SOURCE_OVERWRITE : 0);
    return f;
}

/* Reads on until nothing is left. Returns how many bytes the records took. */
static uint64_t read_what_is_left(const scene *self, const fixture *f) {
    rbcore_record records[RECORDS_MAX];
    const int64_t start = now_ns();
    uint64_t got = 0;
    while (ring_stats(f).read_pos != image_load(self->raw.producer_pos)) {
        ck_assert_msg(now_ns() - start < WATCHDOG_NS, "the ring of a dead producer hangs");
        int count = rbcore_reader_next(f->reader, records, RECORDS_MAX, 1000000);
        ck_assert_msg(count >= 0 || count == -EAGAIN, "%d: %s", count,
                      rbcore_reader_message(f->reader));
        for (int i = 0; i < count; i++) {
            check_record(self, &records[i], "after a death");
            got += span_of(records[i].size);
        }
        ok(rbcore_reader_commit(f->reader, NULL, 0));
    }
    return got;
}

/* Complete records come, others are skipped, and the next producer gets the lock. */
static void die_here(const scene *self) {
    fixture f = copy_of_ring(self);
    rbcore_record record;
    const uint64_t left = oldest(self), end = complete_end(self, left);
    const uint64_t got = read_what_is_left(self, &f);
    rbcore_ring_stats stats = ring_stats(&f);
    ck_assert_uint_eq(stats.start_pos + stats.lost_bytes, left);
    ck_assert_uint_eq(left + stats.passed_bytes + got, stats.read_pos);
    ck_assert_uint_ge(got + discarded(self, left, end), end - left);
    ck_assert_uint_le(stats.abandoned, 2); /* never more than the call had reserved at once */
    f.producer = producer_on(f.memory_fd, f.event_fd);
    produce(&f, UINT64_MAX);
    ck_assert_int_eq(rbcore_reader_next(f.reader, &record, 1, WATCHDOG_NS), 1);
    ck_assert_uint_eq(value_of(&record), UINT64_MAX);
    fixture_close(&f);
}

/* ---- The calls ---- */

static uint8_t contents[RECORDS_MAX][8192];
static const planned *plans;
static size_t plan_count;

static int one_by_one(rbcore_producer *producer, bool discard) {
    for (size_t i = 0; i < plan_count; i++) {
        void *data;
        if (rbcore_producer_reserve(producer, &data, plans[i].size)) {
            return 1;
        }
        memcpy(data, contents[i], plans[i].size);
        if (discard && i % 2 ? rbcore_producer_discard(producer, data, 0)
                             : rbcore_producer_submit(producer, data, 0)) {
            return 2;
        }
    }
    return 0;
}

static int reserve_and_submit(rbcore_producer *producer) {
    return one_by_one(producer, false);
}

static int reserve_and_discard(rbcore_producer *producer) {
    return one_by_one(producer, true);
}

/* Two records are reserved at a time, and the second is submitted first. */
static int crosswise(rbcore_producer *producer) {
    for (size_t i = 0; i + 1 < plan_count; i += 2) {
        void *data[2];
        for (size_t j = 0; j < 2; j++) {
            if (rbcore_producer_reserve(producer, &data[j], plans[i + j].size)) {
                return 1;
            }
            memcpy(data[j], contents[i + j], plans[i + j].size);
        }
        if (rbcore_producer_submit(producer, data[1], 0) ||
            rbcore_producer_submit(producer, data[0], 0)) {
            return 2;
        }
    }
    return 0;
}

static int output(rbcore_producer *producer) {
    for (size_t i = 0; i < plan_count; i++) {
        if (rbcore_producer_output(producer, contents[i], plans[i].size, RBCORE_FORCE_WAKEUP)) {
            return 1;
        }
    }
    return 0;
}

static int output_batch(rbcore_producer *producer) {
    rbcore_slice slices[RECORDS_MAX];
    for (size_t i = 0; i < plan_count; i++) {
        slices[i] = (rbcore_slice){contents[i], plans[i].size};
    }
    int written = rbcore_producer_output_batch(producer, slices, plan_count, 0);
    return written == (int)plan_count ? 0 : 1;
}

typedef struct producer_call {
    const char *name;
    int (*run)(rbcore_producer *);
    bool discards;
    bool is_batch;
} producer_call;

static const producer_call calls[] = {
    {"reserve and submit", reserve_and_submit, false, false},
    {"reserve and discard", reserve_and_discard, true, false},
    {"two at once", crosswise, false, false},
    {"output", output, false, false},
    {"output_batch", output_batch, false, true},
};

/* ---- The scene ---- */

/* Sizes that recur each lap, so that headers come to stand where headers were; or do not. */
static uint32_t size_of(size_t i, bool aligned) {
    static const uint32_t sizes[] = {40, 8, 100, 0, 24, 56, 17, 130};
    return aligned ? sizes[i % 8] : sizes[(i * 3 + 1) % 8] + 8;
}

static void fill(scene *self, uint64_t up_to) {
    uint64_t position = 0;
    for (size_t i = 0; position != up_to; i++) {
        uint32_t size = size_of(i, true);
        uint64_t left = up_to - position;
        if (left < span_of(size) + 256) {
            size = (uint32_t)(left - HEADER_SIZE);
        }
        position = plan(self, position, size);
        content(&self->all[self->count - 1], contents[0]);
        ok(rbcore_producer_output(self->f.producer, contents[0], size, 0));
    }
}

static void read_all(scene *self) {
    rbcore_record records[RECORDS_MAX];
    self->released = reader_on(&self->f, RBCORE_READER_RELEASE, 0);
    self->held_count = read_to_end(self->released, self->held, RECORDS_MAX);
    ck_assert_int_gt(self->held_count, 0);
    self->committed = reader_on(&self->f, 0, RBCORE_SOURCE_INSIST);
    ck_assert_int_eq(read_to_end(self->committed, records, RECORDS_MAX), self->held_count);
    ok(rbcore_reader_commit(self->committed, NULL, RBCORE_COMMIT_NOW));
}

/* `before`: where producer_pos is before the call, in bytes before the end of the first lap. */
static scene open_scene(uint32_t flags, uint64_t before) {
    scene self = {.flags = flags};
    ok(rbcore_memory_ring_create(&self.f.memory_fd, &self.f.event_fd, page_size(), flags));
    self.f.producer = producer_on(self.f.memory_fd, self.f.event_fd);
    self.raw = image_map(self.f.memory_fd);
    fill(&self, page_size() - before);
    self.first_new = self.count;
    self.consumer = image_load(self.raw.producer_pos);
    if (!flags) {
        read_all(&self);
    }
    image_store(self.raw.consumer_pos, self.consumer);
    return self;
}

static void close_scene(scene *self) {
    rbcore_snapshot_free(self->snapshot);
    if (self->released != NULL) {
        ok(rbcore_reader_release(self->released, self->held, (size_t)self->held_count));
    }
    rbcore_reader_free(self->committed);
    rbcore_reader_free(self->released);
    image_unmap(&self->raw);
    fixture_drop(&self->f);
}

/* The records of the call: the first ends where the lap ends. */
static void plan_call(scene *self, const producer_call *call, uint64_t before, bool aligned,
                      size_t count) {
    uint64_t position = self->consumer;
    for (size_t i = 0; i < count; i++) {
        uint32_t size = i == 0 && aligned ? (uint32_t)(before - HEADER_SIZE)
                                          : size_of(i - (aligned ? 1 : 0), aligned);
        position = plan(self, position, size);
        planned *last = &self->all[self->count - 1];
        last->is_discarded = call->discards && i % 2;
        content(last, contents[i]);
    }
    plans = self->all + self->first_new;
    plan_count = count;
}

static int make_the_call(const scene *self, const producer_call *call) {
    int memory, event;
    if (rbcore_memory_ring_create(&memory, &event, 4 * page_size(), self->flags)) {
        return 10;
    }
    /* Once somewhere else, so that the linker has resolved what is called. */
    rbcore_producer *elsewhere = producer_on(memory, event);
    rbcore_producer *producer = producer_on(self->f.memory_fd, self->f.event_fd);
    if (call->run(elsewhere) || ptrace(PTRACE_TRACEME, 0, NULL, NULL)) {
        return 11;
    }
    raise(SIGSTOP);
    int result = call->run(producer);
    raise(SIGSTOP);
    return result;
}

/* Returns false when the call is over. */
static bool step_in_call(pid_t pid) {
    int status;
    ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSTOPPED(status), "the call ended with status %d", status);
    return WSTOPSIG(status) != SIGSTOP;
}

/* Tells whether the ring is another than when it was asked last. */
static bool has_changed(const scene *self) {
    static uint8_t seen[1 << 20];
    const size_t page = page_size(), size = page + self->raw.ring_size;
    if (memcmp(seen, self->raw.base + page, size) == 0) {
        return false;
    }
    memcpy(seen, self->raw.base + page, size);
    return true;
}

/* "The reader gets all at once." */
static void check_batch(const scene *self) {
    uint64_t end = complete_end(self, self->consumer);
    const planned *last = &self->all[self->count - 1];
    ck_assert(end == self->consumer || end == last->position + span_of(last->size));
}

static void look_at_each_step(scene *self, const producer_call *call, bool with_deaths) {
    int status;
    pid_t pid = fork_child();
    if (pid == 0) {
        _exit(make_the_call(self, call));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSTOPPED(status), "the child ended with status %d", status);
    do {
        if (has_changed(self)) {
            take_copies(self);
            if (call->is_batch) {
                check_batch(self);
            }
            if (with_deaths) {
                die_here(self);
            }
        }
    } while (step_in_call(pid));
    ck_assert_int_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed: status %d", call->name,
                  status);
    uint64_t end = self->all[self->count - 1].position + span_of(self->all[self->count - 1].size);
    ck_assert_uint_eq(image_load(self->raw.producer_pos), end);
}

/* With AddressSanitizer there are ten times as many instructions, and more to do at each. */
#ifdef __SANITIZE_ADDRESS__
#define SCENES 1
#else
#define SCENES 4
#endif

static void check_call(const producer_call *call, uint32_t flags) {
    static const uint64_t befores[] = {8, 256};
    uint64_t states = 0;
    for (size_t i = 0; i < (SCENES + 1) / 2; i++) {
        for (int aligned = 1; aligned >= (SCENES > 1 ? 0 : 1); aligned--) {
            scene s = open_scene(flags, befores[i]);
            plan_call(&s, call, befores[i], aligned, 6);
            look_at_each_step(&s, call, i == 0 && aligned);
            states += s.states;
            close_scene(&s);
        }
    }
    printf("%s%s: %lu states of the ring\n", call->name, flags ? ", overwriting" : "",
           (unsigned long)states);
    ck_assert_uint_gt(states, SCENES * 10);
}

START_TEST(in_a_normal_ring) {
    check_call(&calls[_i], 0);
}
END_TEST

START_TEST(in_an_overwriting_ring) {
    check_call(&calls[_i], OVERWRITE);
}
END_TEST

int main(void) {
    skip_without_tracing();
    const int count = sizeof(calls) / sizeof(*calls);
    const loop_test tests[] = {
        {in_a_normal_ring, count}, {in_an_overwriting_ring, count}, {NULL, 0}};
    return run_loop_tests("copied at each step", tests);
}
