/* SPDX-License-Identifier: MIT */
/* Records that are held become a snapshot file where they lie: by a header, and their memory. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#define SIZE RBCORE_SNAPSHOT_HEADER_SIZE
#define MAX_RECORDS 200

/* capi/snapshot-format.md, written down here once more. */
enum { AT_TIMES = 96, AT_ZEROS = 112, AT_SUM = 124 };

/* Each way in which a ring is read. */
typedef struct mode {
    uint32_t ring_flags;
    uint32_t source_flags;
    uint64_t reader_flags;
} mode;

static const mode modes[] = {
    {0, 0, 0},
    {0, 0, RBCORE_READER_RELEASE},
    {0, RBCORE_SOURCE_TAP, 0},
    {0, RBCORE_SOURCE_TAP, RBCORE_READER_RELEASE},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, 0},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE, RBCORE_READER_RELEASE},
    {RBCORE_MEMORY_RING_OVERWRITE, RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP, 0},
};

#define MODES ((int)(sizeof(modes) / sizeof(*modes)))

typedef struct scene {
    fixture f;
    bool is_release;
    rbcore_record records[MAX_RECORDS];
    int count; /* of records that were handed out */
    rbcore_slice content;
    unsigned char header[SIZE];
} scene;

static scene open_scene(const mode *as) {
    scene self = {.is_release = as->reader_flags & RBCORE_READER_RELEASE};
    ok(rbcore_memory_ring_create(&self.f.memory_fd, &self.f.event_fd, page_size(), as->ring_flags));
    self.f.producer = producer_on(self.f.memory_fd, self.f.event_fd);
    self.f.reader = reader_on(&self.f, as->reader_flags, as->source_flags);
    return self;
}

static scene open_usual(void) {
    return open_scene(&modes[0]);
}

/* A ring of which records are held would live on. Some were released before. */
static void close_scene(scene *self) {
    for (int i = 0; self->is_release && i < self->count; i++) {
        (void)rbcore_reader_release(self->f.reader, &self->records[i], 1);
    }
    fixture_close(&self->f);
}

/* Records of many sizes, each third of them discarded. */
static void fill(const scene *self, size_t count) {
    uint8_t content[100];
    for (size_t i = 0; i < count; i++) {
        void *data;
        const size_t size = 7 * i % sizeof(content);
        memset(content, (int)i + 1, sizeof(content));
        ok(rbcore_producer_reserve(self->f.producer, &data, size));
        memcpy(data, content, size);
        ok(i % 3 == 1 ? rbcore_producer_discard(self->f.producer, data, 0)
                      : rbcore_producer_submit(self->f.producer, data, 0));
    }
}

static void read_all(scene *self) {
    self->count = read_to_end(self->f.reader, self->records, MAX_RECORDS);
    ck_assert_int_gt(self->count, 0);
}

static void give_back(scene *self, int record) {
    ok(self->is_release ? rbcore_reader_release(self->f.reader, &self->records[record], 1)
                        : rbcore_reader_commit(self->f.reader, &self->records[record], 0));
}

static int describe(scene *self, const rbcore_record *first, const rbcore_record *last) {
    return rbcore_reader_snapshot_header(self->f.reader, first, last, self->header, &self->content);
}

/* Writes header and content as a program does, and has the library read them. */
static rbcore_snapshot *load(const scene *self) {
    rbcore_snapshot *loaded = NULL;
    struct iovec parts[] = {{(void *)(uintptr_t)self->header, SIZE},
                            {(void *)(uintptr_t)self->content.data, self->content.size}};
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    ck_assert_int_eq(writev(file, parts, 2), (ssize_t)(SIZE + self->content.size));
    ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
    ok(rbcore_snapshot_load(&loaded, file));
    close(file);
    return loaded;
}

static void expect_record(const rbcore_record *expected, const rbcore_record *found) {
    ck_assert_uint_eq(found->position, expected->position);
    ck_assert_uint_eq(found->size, expected->size);
    ck_assert_uint_eq(found->flags, RBCORE_RECORD_COPIED);
    if (expected->size > 0) {
        ck_assert_mem_eq(found->data, expected->data, expected->size);
    }
}

/* The records from first to last are in the file, and nothing else. */
static void expect_loaded(const scene *self, int first, int last) {
    rbcore_snapshot *loaded = load(self);
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    rbcore_record record;
    ok(rbcore_snapshot_info_get(loaded, &info));
    ck_assert_uint_eq(info.first_pos, self->records[first].position);
    ck_assert_uint_eq(info.end_pos, end_of(&self->records[last]));
    for (int i = first; i <= last; i++) {
        ck_assert_int_eq(rbcore_snapshot_read(loaded, &record, 1), 1);
        expect_record(&self->records[i], &record);
    }
    ck_assert_int_eq(rbcore_snapshot_read(loaded, &record, 1), 0);
    rbcore_snapshot_free(loaded);
}

static void expect_described(scene *self, int first, int last) {
    ok(describe(self, &self->records[first], &self->records[last]));
    expect_loaded(self, first, last);
}

/* The call is refused, says why, and leaves alone what it was given. */
static void expect_refused(scene *self, int error, const rbcore_record *first,
                           const rbcore_record *last) {
    static const unsigned char untouched[SIZE];
    memset(self->header, 0, SIZE);
    self->content = (rbcore_slice){self, 7};
    ck_assert_int_eq(describe(self, first, last), error);
    ck_assert_mem_eq(self->header, untouched, SIZE);
    ck_assert_ptr_eq(self->content.data, self);
    ck_assert_uint_eq(self->content.size, 7);
    ck_assert_str_ne(rbcore_reader_message(self->f.reader), "");
}

/* ---- What is described ---- */

static size_t save(rbcore_reader *reader, unsigned ring, uint8_t *bytes, size_t size) {
    rbcore_snapshot *snapshot = NULL;
    int file = memfd_create("snapshot", MFD_CLOEXEC);
    ok(rbcore_reader_snapshot(reader, ring, &snapshot, 0));
    ok(rbcore_snapshot_save(snapshot, file));
    ssize_t saved = pread(file, bytes, size, 0);
    ck_assert_int_ge(saved, SIZE);
    rbcore_snapshot_free(snapshot);
    close(file);
    return (size_t)saved;
}

/* Of all records that are there it is the file of rbcore_snapshot_save, but for the time. */
START_TEST(the_same_as_a_snapshot_of_all) {
    static uint8_t saved[1 << 17];
    scene s = open_scene(&modes[_i]);
    fill(&s, 31);
    read_all(&s);
    size_t size = save(s.f.reader, s.f.ring, saved, sizeof(saved));
    ok(describe(&s, &s.records[0], &s.records[s.count - 1]));
    ck_assert_uint_eq(size, SIZE + s.content.size);
    ck_assert_mem_eq(s.header, saved, AT_TIMES);
    ck_assert_mem_eq(s.header + AT_ZEROS, saved + AT_ZEROS, AT_SUM - AT_ZEROS);
    uint32_t sum = crc32_of(s.header, AT_SUM);
    ck_assert_mem_eq(s.header + AT_SUM, &sum, sizeof(sum));
    ck_assert_mem_eq(s.content.data, saved + SIZE, s.content.size);
    close_scene(&s);
}
END_TEST

START_TEST(any_part) {
    scene s = open_scene(&modes[_i]);
    fill(&s, 31);
    read_all(&s);
    ck_assert_int_eq(s.count, 21);
    for (int first = 0; first < s.count; first++) {
        for (int last = first; last < s.count; last += 3) {
            expect_described(&s, first, last);
            ck_assert_ptr_eq(s.content.data, (const uint8_t *)s.records[first].data - HEADER_SIZE);
        }
    }
    close_scene(&s);
}
END_TEST

/* What was given back is free, also where another reader has to free it. */
static void free_all(const scene *self, const mode *as) {
    const bool is_tap = as->source_flags & RBCORE_SOURCE_TAP;
    if (is_tap && !(as->ring_flags & RBCORE_MEMORY_RING_OVERWRITE)) {
        image raw = image_map(self->f.memory_fd);
        image_store(raw.consumer_pos, image_load(raw.producer_pos));
        image_unmap(&raw);
    }
}

/* Records come and go until the next ones cross the ring's end. */
static void go_to_the_end(scene *self, const mode *as) {
    static const uint8_t some[80];
    while (ring_stats(&self->f).read_pos < page_size() - 300) {
        ok(rbcore_producer_output(self->f.producer, some, sizeof(some), 0));
        ck_assert_int_eq(rbcore_reader_read(self->f.reader, self->records, 1), 1);
        give_back(self, 0);
        free_all(self, as);
    }
}

START_TEST(across_the_end_of_the_ring) {
    scene s = open_scene(&modes[_i]);
    go_to_the_end(&s, &modes[_i]);
    fill(&s, 31);
    read_all(&s);
    ck_assert_uint_lt(s.records[0].position, page_size());
    ck_assert_uint_gt(s.records[s.count - 1].position, page_size());
    for (int first = 0; first < s.count; first++) {
        expect_described(&s, first, s.count - 1);
    }
    close_scene(&s);
}
END_TEST

START_TEST(positions_that_wrap) {
    scene s = open_scene(&modes[_i]);
    rbcore_reader_free(s.f.reader);
    rbcore_producer_free(s.f.producer);
    image raw = image_map(s.f.memory_fd);
    image_store(raw.consumer_pos, UINT64_MAX - 31);
    image_store(raw.producer_pos, UINT64_MAX - 31);
    image_unmap(&raw);
    s.f.producer = producer_on(s.f.memory_fd, s.f.event_fd);
    s.f.reader = reader_on(&s.f, modes[_i].reader_flags, modes[_i].source_flags);
    fill(&s, 31);
    read_all(&s);
    expect_described(&s, 0, s.count - 1);
    expect_described(&s, s.count - 1, s.count - 1);
    expect_refused(&s, -EINVAL, &s.records[s.count - 1], &s.records[0]);
    close_scene(&s);
}
END_TEST

/* Other records may have been released: they lie there until those before them are. */
START_TEST(with_released_ones_between) {
    scene s = open_scene(&modes[1]);
    fill(&s, 31);
    read_all(&s);
    give_back(&s, 0);
    for (int i = 2; i < s.count; i += 2) {
        give_back(&s, i);
    }
    expect_described(&s, 1, s.count - 2);
    expect_refused(&s, -EINVAL, &s.records[0], &s.records[5]);
    expect_refused(&s, -EINVAL, &s.records[1], &s.records[4]);
    expect_refused(&s, -EINVAL, &s.records[2], &s.records[5]);
    close_scene(&s);
}
END_TEST

static void *release_between(void *argument) {
    scene *self = argument;
    for (int i = 1; i < self->count - 1; i++) {
        ok(rbcore_reader_release(self->f.reader, &self->records[i], 1));
    }
    return NULL;
}

/* Another thread releases the others meanwhile, also when the ring was removed. */
START_TEST(while_others_are_released) {
    for (int round = 0; round < 20; round++) {
        scene s = open_scene(&modes[1]);
        fill(&s, 60);
        read_all(&s);
        if (round % 2) {
            ok(rbcore_reader_remove(s.f.reader, s.f.ring));
        }
        pthread_t thread;
        ok(pthread_create(&thread, NULL, release_between, &s));
        for (int i = 0; i < 20; i++) {
            ok(describe(&s, &s.records[0], &s.records[s.count - 1]));
        }
        ok(pthread_join(thread, NULL));
        expect_described(&s, 0, s.count - 1);
        close_scene(&s);
    }
}
END_TEST

static rbcore_record of_span(const rbcore_span *span, uint32_t i) {
    return (rbcore_record){.data = (const uint8_t *)span->data + (size_t)i * span->stride,
                           .position = span->position + (uint64_t)i * span->stride,
                           .size = span->size,
                           .ring = span->ring};
}

/* Records of spans: their data may be in the second mapping of the ring. */
START_TEST(of_spans) {
    scene s = open_usual();
    go_to_the_end(&s, &modes[0]);
    for (int i = 0; i < 40; i++) {
        ok(rbcore_producer_output(s.f.producer, &(uint64_t[2]){(uint64_t)i, 1}, 16, 0));
    }
    rbcore_span span;
    ck_assert_int_eq(rbcore_reader_next_spans(s.f.reader, &span, 1, 40, 0), 1);
    ck_assert_uint_lt(span.position, page_size());
    for (s.count = 0; s.count < (int)span.count; s.count++) {
        s.records[s.count] = of_span(&span, (uint32_t)s.count);
    }
    ck_assert_uint_gt(s.records[s.count - 1].position, page_size());
    for (int first = 0; first < s.count; first++) {
        expect_described(&s, first, s.count - 1);
    }
    close_scene(&s);
}
END_TEST

/* Each of the reader's rings has files of its own. */
START_TEST(of_several_rings) {
    scene s = open_usual();
    fixture others[20];
    for (int i = 0; i < 20; i++) {
        others[i] = fixture_add(s.f.reader, page_size());
        produce(&others[i], 100 + (uint64_t)i);
        produce(&others[i], 200 + (uint64_t)i);
    }
    read_all(&s);
    ck_assert_int_eq(s.count, 40);
    for (int i = 0; i < s.count; i += 2) {
        ck_assert_uint_eq(s.records[i].ring, s.records[i + 1].ring);
        expect_described(&s, i, i + 1);
        const int next = (i + 2) % s.count;
        expect_refused(&s, -EINVAL, &s.records[i], &s.records[next]);
        rbcore_record moved = s.records[i + 1];
        moved.ring = s.records[next].ring;
        expect_refused(&s, -EINVAL, &moved, &moved);
        expect_refused(&s, -EINVAL, &s.records[i], &moved);
    }
    for (int i = 0; i < 20; i++) {
        fixture_drop(&others[i]);
    }
    close_scene(&s);
}
END_TEST

/* ---- What the header tells ---- */

static uint64_t now_by(clockid_t clock) {
    struct timespec now;
    ok(clock_gettime(clock, &now));
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

START_TEST(the_time_of_the_call_and_what_was_produced_by_then) {
    scene s = open_usual();
    rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
    rbcore_identity identity = RBCORE_IDENTITY_INIT;
    produce(&s.f, 1);
    produce(&s.f, 2);
    read_all(&s);
    produce(&s.f, 3);
    const uint64_t realtime = now_by(CLOCK_REALTIME), boottime = now_by(CLOCK_BOOTTIME);
    ok(describe(&s, &s.records[0], &s.records[0]));
    const uint64_t later = now_by(CLOCK_BOOTTIME);
    rbcore_snapshot *loaded = load(&s);
    ok(rbcore_snapshot_info_get(loaded, &info));
    ok(rbcore_reader_identity(s.f.reader, &s.records[0], &identity));
    ck_assert_mem_eq(info.boot_id, identity.boot_id, sizeof(info.boot_id));
    ck_assert_uint_eq(info.kind, identity.kind);
    ck_assert_uint_eq(info.ring_id, identity.ring_id);
    ck_assert_uint_eq(info.ring_size, page_size());
    ck_assert_uint_eq(info.end_pos, 16);
    ck_assert_uint_eq(info.producer_pos, 48);
    ck_assert_uint_eq(info.missed, 0);
    ck_assert_uint_ge(info.realtime_ns, realtime);
    ck_assert(info.boottime_ns >= boottime && info.boottime_ns <= later);
    rbcore_snapshot_free(loaded);
    close_scene(&s);
}
END_TEST

/* That records were lost is said by the first one that was read, and not by the file. */
START_TEST(a_loss_is_not_told) {
    scene s = open_scene(&modes[4]);
    for (uint64_t i = 0; i < page_size() / 8; i++) {
        produce(&s.f, i);
    }
    read_all(&s);
    ck_assert(s.records[0].flags & RBCORE_RECORD_LOST_BEFORE);
    expect_described(&s, 0, s.count - 1);
    close_scene(&s);
}
END_TEST

/* ---- What is refused ---- */

START_TEST(what_is_not_held) {
    scene s = open_scene(&modes[_i]);
    const rbcore_record *records = s.records;
    fill(&s, 20);
    ck_assert_int_eq((s.count = rbcore_reader_read(s.f.reader, s.records, 10)), 10);
    rbcore_record changed = records[4], next = records[9];
    expect_refused(&s, -EINVAL, &records[3], &records[2]);
    changed.size++;
    expect_refused(&s, -EINVAL, &changed, &changed);
    expect_refused(&s, -EINVAL, &records[3], &changed);
    changed = records[4];
    changed.position += 4;
    expect_refused(&s, -EINVAL, &changed, &changed);
    changed = records[4];
    changed.position += page_size();
    expect_refused(&s, -EINVAL, &changed, &changed);
    changed = records[4];
    changed.data = records[5].data;
    expect_refused(&s, -EINVAL, &changed, &changed);
    changed = records[4];
    changed.ring++;
    expect_refused(&s, -EINVAL, &changed, &changed);
    /* It is complete, and was not handed out yet. */
    next.position = end_of(&records[9]);
    next.data = (const uint8_t *)records[9].data + (next.position - records[9].position);
    memcpy(&next.size, (const uint8_t *)next.data - HEADER_SIZE, sizeof(next.size));
    next.size &= ~DISCARDED;
    expect_refused(&s, -EINVAL, &records[3], &next);
    give_back(&s, 0);
    expect_refused(&s, -EINVAL, &records[0], &records[3]);
    expect_refused(&s, -EINVAL, &records[0], &records[0]);
    expect_described(&s, 1, 9);
    close_scene(&s);
}
END_TEST

START_TEST(nothing) {
    scene s = open_usual();
    rbcore_record *const record = &s.records[0];
    produce(&s.f, 1);
    read_all(&s);
    ck_assert_int_eq(rbcore_reader_snapshot_header(NULL, record, record, s.header, &s.content),
                     -EINVAL);
    expect_refused(&s, -EINVAL, NULL, record);
    expect_refused(&s, -EINVAL, record, NULL);
    ck_assert_int_eq(rbcore_reader_snapshot_header(s.f.reader, record, record, NULL, &s.content),
                     -EINVAL);
    ck_assert_int_eq(rbcore_reader_snapshot_header(s.f.reader, record, record, s.header, NULL),
                     -EINVAL);
    close_scene(&s);
}
END_TEST

/* ---- Rings and readers that end ---- */

START_TEST(of_a_ring_that_was_removed) {
    scene s = open_scene(&modes[1]);
    fill(&s, 10);
    read_all(&s);
    ok(rbcore_reader_remove(s.f.reader, s.f.ring));
    expect_described(&s, 0, s.count - 1);
    ok(rbcore_reader_release(s.f.reader, s.records, (size_t)s.count - 1));
    expect_described(&s, s.count - 1, s.count - 1);
    give_back(&s, s.count - 1);
    expect_refused(&s, -EINVAL, &s.records[0], &s.records[0]);
    close_scene(&s);
}
END_TEST

START_TEST(after_a_shutdown) {
    scene s = open_usual();
    fill(&s, 10);
    read_all(&s);
    ok(rbcore_reader_shutdown(s.f.reader));
    expect_described(&s, 0, s.count - 1);
    close_scene(&s);
}
END_TEST

/* ---- What is no record ---- */

static int die_with_a_record_reserved(void *argument) {
    const fixture *ring = argument;
    void *data;
    rbcore_producer *producer = producer_on(ring->memory_fd, ring->event_fd);
    ok(rbcore_producer_reserve(producer, &data, 8));
    return 0;
}

/* The one that is read in place still says that it is being written. */
START_TEST(an_unfinished_record_of_a_dead_producer) {
    scene s = open_scene(&modes[_i]);
    produce(&s.f, 1);
    ck_assert_int_eq(in_child(die_with_a_record_reserved, &s.f), 0);
    produce(&s.f, 2);
    produce(&s.f, 3);
    while (s.count < 3) {
        int n = rbcore_reader_next(s.f.reader, &s.records[s.count], 3, WATCHDOG_NS);
        ck_assert(n > 0 || n == -EAGAIN);
        s.count += n > 0 ? n : 0;
    }
    ck_assert_uint_eq(ring_stats(&s.f).abandoned, 1);
    expect_refused(&s, -EBADMSG, &s.records[0], &s.records[1]);
    expect_refused(&s, -EBADMSG, &s.records[0], &s.records[2]);
    expect_described(&s, 0, 0);
    expect_described(&s, 1, 2);
    close_scene(&s);
}
END_TEST

/* A hostile producer changes headers after they were read. */
START_TEST(what_no_producer_writes) {
    scene s = open_scene(&modes[_i]);
    for (uint64_t i = 0; i < 5; i++) {
        produce(&s.f, i);
    }
    read_all(&s);
    image raw = image_map(s.f.memory_fd);
    const uint32_t lengths[] = {BUSY | 8, 48, DISCARDED | 48, UINT32_MAX, DISCARDED - 1, 40};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        image_store_header(&raw, 16, lengths[i]);
        expect_refused(&s, -EBADMSG, &s.records[0], &s.records[lengths[i] == 40 ? 2 : 3]);
        expect_refused(&s, -EINVAL, &s.records[1], &s.records[3]);
    }
    image_store_header(&raw, 16, 8);
    expect_described(&s, 0, 4);
    rbcore_record longer = s.records[4];
    longer.size = 16;
    image_store_header(&raw, 64, 16);
    expect_refused(&s, -EINVAL, &s.records[0], &s.records[4]);
    expect_refused(&s, -EINVAL, &s.records[0], &longer);
    image_unmap(&raw);
    close_scene(&s);
}
END_TEST

int main(void) {
    const loop_test tests[] = {
        {the_same_as_a_snapshot_of_all, MODES},
        {any_part, MODES},
        {across_the_end_of_the_ring, MODES},
        {positions_that_wrap, 2},
        {with_released_ones_between, 1},
        {while_others_are_released, 1},
        {of_spans, 1},
        {of_several_rings, 1},
        {the_time_of_the_call_and_what_was_produced_by_then, 1},
        {a_loss_is_not_told, 1},
        {what_is_not_held, MODES},
        {nothing, 1},
        {of_a_ring_that_was_removed, 1},
        {after_a_shutdown, 1},
        {an_unfinished_record_of_a_dead_producer, 2},
        {what_no_producer_writes, 2},
        {NULL, 0},
    };
    return run_loop_tests("snapshot_header", tests);
}
