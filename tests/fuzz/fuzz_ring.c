/* SPDX-License-Identifier: MIT */
/*
 * Interprets its input as a ring's image and a script of what happens to it: reads, commits or
 * releases, and changes by others that can write to the memory. The library's reader and the slow
 * parser (model.c) must agree at each step.
 */
#include "fuzz.h"
#include "model.h"

#include <rbcore/rbcore.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCH 16

/* ---- The input ----------------------------------------------------------------------------- */

typedef struct input {
    const uint8_t *data;
    size_t left;
} input;

static uint64_t take(input *self, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && self->left; i++, self->left--) {
        value |= (uint64_t)*self->data++ << (8 * i);
    }
    return value;
}

/* ---- The ring, the reader and the model ---------------------------------------------------- */

typedef struct trial {
    int memory_fd, event_fd;
    size_t page, ring_size;
    uint8_t *image;         /* our own mapping of the memory */
    uint8_t *producer_page; /* as it was when the ring was made */
    bool releases;
    rbcore_reader *reader;
    unsigned int ring;
    model model;
    rbcore_record held[MODEL_HELD_MAX]; /* the library's side of model.held */
    uint64_t forgotten_end;             /* see forget_discarded */
} trial;

static trial t;

/* The memory is made once: only its content differs from input to input. */
static void make_memory(void) {
    if (t.image) {
        return;
    }
    t.page = t.ring_size = (size_t)sysconf(_SC_PAGESIZE);
    EXPECT(rbcore_memory_ring_create(&t.memory_fd, &t.event_fd, t.ring_size, 0) == 0);
    t.image = mmap(NULL, 3 * t.page, PROT_READ | PROT_WRITE, MAP_SHARED, t.memory_fd, 0);
    EXPECT(t.image != MAP_FAILED);
    t.producer_page = malloc(t.page);
    EXPECT(t.producer_page);
    memcpy(t.producer_page, t.image + t.page, t.page);
}

static void set_word(size_t offset, uint64_t value) {
    memcpy(t.image + offset, &value, sizeof(value));
}

/* (A ring's size is a power of two. A division here would take a sixth of all the time.) */
static void set_header(uint64_t position, uint64_t length_and_owner) {
    set_word(2 * t.page + (position / 8 * 8 & (t.ring_size - 1)), length_and_owner);
}

static void begin(input *in) {
    make_memory();
    memset(t.image, 0, t.page);
    memcpy(t.image + t.page, t.producer_page, t.page);
    memset(t.image + 2 * t.page, 0, t.ring_size);
    uint64_t settings = take(in, 1);
    t.releases = settings & 1;
    if (settings & 2) {
        set_word(0, take(in, 8));
        set_word(t.page, take(in, 8));
    } else if (settings & 4) {
        uint64_t start = take(in, 8) / 8 * 8;
        set_word(0, start);
        set_word(t.page, start + take(in, 2));
    }
    for (uint64_t words = settings & 8 ? take(in, 1) : 0, i = 0; i < words; i++) {
        set_header(8 * i, take(in, 8));
    }
}

/* A look without a reader finds the positions, possible or not. */
static void look_at(const rbcore_source *source, uint64_t consumer) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    uint64_t producer;
    memcpy(&producer, t.image + t.page, sizeof(producer));
    EXPECT(rbcore_source_ring_stats(source, &stats) == 0);
    EXPECT(stats.consumer_pos == consumer && stats.producer_pos == producer);
    EXPECT(stats.bytes_waiting <= t.ring_size);
}

/* Opens a reader on what is there now. Where that is refused, the model must refuse it as well. */
static bool open_reader(bool latest) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = t.releases ? RBCORE_READER_RELEASE : 0;
    options.max_latency_ns = 0; /* what depends on the time of day cannot be replayed */
    EXPECT(rbcore_reader_open(&t.reader, &options) == 0);
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    source.fd = t.memory_fd;
    source.event_fd = t.event_fd;
    source.flags = latest ? RBCORE_SOURCE_LATEST : 0;
    t.model.image = t.image;
    t.model.page_size = t.page;
    t.model.ring_size = t.ring_size;
    uint64_t consumer = model_consumer_pos(&t.model);
    /*
     * Pretends that the last reader committed up to there (capi/owner.c has the block's layout).
     * Otherwise this one may resume further on, which the model does not know.
     */
    set_word(t.page - 112, UINT64_C(0x3165726f63627200));
    set_word(t.page - 112 + 72, consumer);
    if (latest) {
        look_at(&source, consumer);
    }
    int expected = model_open(&t.model, latest);
    int result = rbcore_reader_add(t.reader, &source);
    if (expected < 0) {
        EXPECT(result == expected);
        EXPECT(model_consumer_pos(&t.model) == consumer);
        rbcore_reader_free(t.reader);
        t.reader = NULL;
        return false;
    }
    EXPECT(result == 0);
    t.ring = 0;
    t.forgotten_end = t.model.read_pos;
    EXPECT(model_consumer_pos(&t.model) == t.model.read_pos);
    return true;
}

/* Held records must be back before a reader of this kind is really gone. */
static void close_reader(void) {
    if (!t.reader) {
        return;
    }
    rbcore_reader *reader = t.reader;
    t.reader = NULL;
    rbcore_reader_free(reader);
    if (t.releases && t.model.held_count) {
        EXPECT(rbcore_reader_release(reader, t.held, t.model.held_count) == 0);
    }
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static void let_go(size_t i) {
    model_release(&t.model, i);
    memmove(&t.held[i], &t.held[i + 1], (t.model.held_count - i) * sizeof(*t.held));
}

static uint64_t end_of(const rbcore_record *record) {
    return record->position + (record->size + UINT64_C(15)) / 8 * 8;
}

/* Whether a commit that passes discarded records from a position, by the lengths that stand there
 * now, comes to another. What was handed out ends at handed_end; all that follows was discarded. */
static bool passes(uint64_t from, uint64_t to, uint64_t handed_end) {
    while (from != to && from != handed_end) {
        uint32_t length = model_length(&t.model, from);
        uint64_t space = ((length & 0x3fffffff) + UINT64_C(15)) / 8 * 8;
        if (length >> 30 != 1 || space > handed_end - from) {
            return false;
        }
        from += space;
    }
    return from == to || to == t.model.read_pos;
}

/*
 * A commit passes the discarded records that follow. Their headers, and those of held records, are
 * the other writer's as well: it can make a held record a discarded one, which then does not count
 * as held (rbcore_reader_commit says so), and can lead with a false length over records that are
 * held and sound, or into the middle of one. What is left of that one goes with the next commit.
 */
static void forget_passed(uint64_t from, uint64_t handed_end) {
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    EXPECT(rbcore_reader_ring_stats(t.reader, t.ring, &s) == 0);
    bool is_passed = passes(from, s.user_pos, handed_end);
    while (is_passed && t.model.held_count &&
           t.held[0].position - t.model.user_pos < s.user_pos - t.model.user_pos) {
        t.forgotten_end = end_of(&t.held[0]);
        let_go(0);
    }
}

/* Whether all that was handed out is back, the rest of forgotten records as well. */
static bool nothing_is_held(void) {
    return !t.model.held_count && (int64_t)(t.forgotten_end - t.model.user_pos) <= 0;
}

/*
 * The space given back lies between what it was and the first record that is held, in whole words;
 * where exactly among discarded records is the library's own affair, unless nothing is held.
 */
static void expect_positions(uint64_t consumer_before, bool settled) {
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    EXPECT(rbcore_reader_ring_stats(t.reader, t.ring, &s) == 0);
    const uint64_t most = model_first_held(&t.model) - t.model.user_pos;
    const uint64_t moved = s.user_pos - t.model.user_pos;
    EXPECT(moved % 8 == 0);
    EXPECT(moved <= most);
    t.model.user_pos = s.user_pos;
    EXPECT(!settled || !nothing_is_held() || moved == most);
    /* The word in the ring is written when something is given back, and at no other time. */
    EXPECT(model_consumer_pos(&t.model) == (moved ? s.user_pos : consumer_before));
    EXPECT(s.read_pos == t.model.read_pos);
    EXPECT(s.records == t.model.records);
    EXPECT(s.bytes == t.model.bytes);
    EXPECT(s.discards == t.model.discards);
    EXPECT(s.abandoned == t.model.abandoned);
    EXPECT(s.skipped == t.model.skipped);
    EXPECT(!(s.flags & RBCORE_RING_BROKEN) == !t.model.broken);
}

static bool is_broken(void) {
    rbcore_ring_stats s = RBCORE_RING_STATS_INIT;
    EXPECT(rbcore_reader_ring_stats(t.reader, t.ring, &s) == 0);
    return s.flags & RBCORE_RING_BROKEN;
}

static void expect_record(const rbcore_record *record, const model_record *expected) {
    EXPECT(record->position == expected->position);
    EXPECT(record->size == expected->size);
    EXPECT(record->ring == t.ring && record->flags == 0);
    EXPECT((uintptr_t)record->data % 8 == 0);
    const uint8_t *bytes = record->data;
    for (uint32_t i = 0; i < record->size; i++) {
        EXPECT(bytes[i] == model_byte(&t.model, expected, i));
    }
}

/* A way of reading up to max records. */
typedef int way(rbcore_record *records, int max);

static int by_read(rbcore_record *records, int max) {
    return rbcore_reader_read(t.reader, records, (size_t)max);
}

static int by_next(rbcore_record *records, int max) {
    return rbcore_reader_next(t.reader, records, (size_t)max, 0);
}

static bool follows(const rbcore_span *span, const rbcore_span *before) {
    return span->size == before->size &&
           span->position == before->position + (uint64_t)before->count * before->stride;
}

/* Makes records of the spans as the header says it; what could be one span is one. */
static int by_spans(rbcore_record *records, int max) {
    rbcore_span spans[BATCH];
    int n = 0, found = rbcore_reader_next_spans(t.reader, spans, BATCH, (size_t)max, 0);
    for (int i = 0; i < found; i++) {
        const rbcore_span *s = &spans[i];
        EXPECT(s->count >= 1 && s->count <= (uint32_t)(max - n));
        EXPECT(i == 0 || !follows(s, s - 1));
        for (uint32_t k = 0; k < s->count; k++) {
            records[n++] = (rbcore_record){.data = (const uint8_t *)s->data + k * s->stride,
                                           .position = s->position + (uint64_t)k * s->stride,
                                           .size = s->size,
                                           .ring = s->ring,
                                           .flags = s->flags};
        }
    }
    return found < 0 ? found : n;
}

static void expect_read(way *read, int max) {
    rbcore_record records[BATCH];
    model_record expected[BATCH];
    size_t held = t.model.held_count;
    uint64_t consumer = model_consumer_pos(&t.model), user_pos = t.model.user_pos;
    int n = model_read(&t.model, expected, max);
    int result = read(records, max);
    if (read != by_read && n == -EAGAIN) {
        /* A wait looks again after it has passed orphans, so it may be at any later answer. */
        while (n == -EAGAIN && n != result) {
            n = model_read(&t.model, expected, max);
        }
    }
    if (n == MODEL_NO_RECORDS) {
        EXPECT(result == 0 || result == -EAGAIN || result == -EBADMSG);
        t.model.broken = is_broken();
    } else {
        EXPECT(result == n);
    }
    for (int i = 0; i < result; i++) {
        expect_record(&records[i], &expected[i]);
        t.held[held + (size_t)i] = records[i];
    }
    expect_positions(consumer, result <= 0);
    EXPECT(result <= 0 || t.model.user_pos == user_pos); /* what was discarded may follow later */
}

static void commit_upto(size_t i) {
    rbcore_record last = t.held[i];
    uint64_t handed_end = end_of(&t.held[t.model.held_count - 1]);
    uint64_t consumer = model_consumer_pos(&t.model);
    bool header_stands = model_length(&t.model, last.position) == last.size;
    int result = rbcore_reader_commit(t.reader, &last, 0);
    /* Somebody has overwritten its header: then the library may no longer recognize it. */
    EXPECT(result == 0 || (result == -EINVAL && !header_stands));
    for (size_t k = 0; !result && k <= i; k++) {
        let_go(0);
    }
    forget_passed(end_of(&last), handed_end);
    uint64_t user_pos = t.model.user_pos;
    expect_positions(consumer, result == 0);
    if (result) {
        EXPECT(t.model.user_pos == user_pos);
    } else {
        EXPECT(t.model.user_pos - last.position >= 8 + (uint64_t)last.size);
        EXPECT(rbcore_reader_commit(t.reader, &last, 0) == -EINVAL);
    }
}

static void commit_everything(void) {
    uint64_t consumer = model_consumer_pos(&t.model);
    EXPECT(rbcore_reader_commit(t.reader, NULL, 0) == 0);
    t.model.held_count = 0;
    t.forgotten_end = t.model.read_pos;
    expect_positions(consumer, true);
    EXPECT(nothing_is_held());
}

static void release_some(uint64_t first, uint64_t count) {
    rbcore_record batch[BATCH + 1] = {{0}};
    uint64_t consumer = model_consumer_pos(&t.model);
    size_t n = 0;
    for (; n < count && t.model.held_count; n++) {
        size_t i = (first + 7 * n) % t.model.held_count;
        batch[n] = t.held[i];
        let_go(i);
    }
    /* One of them twice: that is an error, and the others are released all the same. */
    bool twice = n && first & 64;
    batch[n] = batch[0];
    EXPECT(rbcore_reader_release(t.reader, batch, n + twice) == (twice ? -EINVAL : 0));
    expect_positions(consumer, n > 0);
    EXPECT(n == 0 || t.model.user_pos == model_first_held(&t.model));
}

/* ---- Held records as a file ---- */

static bool header_stands(const rbcore_record *record) {
    return model_length(&t.model, record->position) == record->size;
}

/* What comes of describing records, by the headers that stand there now. */
static int expected_of(const rbcore_record *first, const rbcore_record *last) {
    if (!header_stands(first) || !header_stands(last) ||
        (int64_t)(last->position - first->position) < 0) {
        return -EINVAL;
    }
    for (uint64_t at = first->position; at != last->position;) {
        uint32_t length = model_length(&t.model, at);
        uint64_t space = ((length & 0x3fffffff) + UINT64_C(15)) / 8 * 8;
        if (length >> 31 || space > last->position - at) {
            return -EBADMSG;
        }
        at += space;
    }
    return 0;
}

static void describe(uint64_t which) {
    if (!t.model.held_count) {
        return;
    }
    const rbcore_record *first = &t.held[which % t.model.held_count];
    const rbcore_record *last = &t.held[which / 3 % t.model.held_count];
    unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE];
    rbcore_slice content = {NULL, 0};
    int result = rbcore_reader_snapshot_header(t.reader, first, last, header, &content);
    EXPECT(result == expected_of(first, last));
    EXPECT(content.size == (result == 0 ? end_of(last) - first->position : 0));
}

/* ---- The script ---------------------------------------------------------------------------- */

static void give_back(input *in) {
    uint64_t which = take(in, 1);
    describe(which);
    if (t.releases) {
        EXPECT(rbcore_reader_commit(t.reader, NULL, 0) == -EINVAL);
        release_some(which, 1 + which % BATCH);
    } else if (t.model.held_count && which < 192) {
        commit_upto(which % t.model.held_count);
    } else {
        commit_everything();
    }
}

/* A record as a producer would write it, in whatever state. */
static void produce(input *in) {
    uint64_t position = model_producer_pos(&t.model), kind = take(in, 1), size = take(in, 1);
    if (kind & 8) {
        size = size * 16 + (kind >> 4);
    }
    uint64_t length = size;
    length |= (kind & 7) == 5 ? UINT64_C(1) << 30 : 0;                     /* discarded */
    length |= (kind & 7) == 6 ? UINT64_C(1) << 31 : 0;                     /* busy */
    length |= (kind & 7) == 7 ? UINT64_C(1) << 31 | UINT64_C(1) << 62 : 0; /* and orphaned */
    set_header(position, length);
    for (uint64_t i = 0; i < size; i += 8) {
        set_header(position + 8 + i, (position + i) * UINT64_C(0x9e3779b97f4a7c15));
    }
    set_word(t.page, position + (size + 15) / 8 * 8);
}

static void finish_head(void) {
    uint32_t length = model_length(&t.model, t.model.read_pos);
    set_header(t.model.read_pos, length & 0x7fffffff);
}

static void change_position(input *in) {
    uint64_t how = take(in, 1);
    uint64_t base = how & 1 ? model_producer_pos(&t.model) : t.model.read_pos;
    if (how & 2) {
        set_word(t.page, take(in, 8));
    } else if (how & 4) {
        set_word(t.page, base - take(in, 2));
    } else {
        set_word(t.page, base + take(in, 2) / 8 * 8);
    }
}

static void change_header(input *in) {
    uint64_t where = take(in, 2);
    uint64_t base = where & 1 ? t.model.read_pos : t.model.user_pos;
    set_header(base + (where >> 1), take(in, 4) | (where & 2 ? take(in, 4) << 32 : 0));
}

static void reopen(input *in) {
    uint64_t how = take(in, 1);
    close_reader();
    memset(t.image + 8, 0, t.page - 8); /* what lies in the owner's block is another test */
    if (how & 2) {
        set_word(t.page, model_consumer_pos(&t.model));
    }
    if (!open_reader(how & 1)) {
        set_word(0, 64);
        set_word(t.page, 64);
        EXPECT(open_reader(how & 1));
    }
}

static void step(input *in) {
    uint64_t op = take(in, 1);
    switch (op % 16) {
    case 0:
    case 1:
    case 2:
        produce(in);
        break;
    case 3:
    case 4:
    case 5:
        if (t.model.held_count + BATCH <= MODEL_HELD_MAX) {
            way *spans = t.releases ? by_read : by_spans;
            expect_read(op % 16 == 3   ? by_read
                        : op % 16 == 4 ? spans
                                       : by_next,
                        1 + (int)(op / 16));
        }
        break;
    case 6:
    case 7:
    case 8:
        give_back(in);
        break;
    case 9:
        finish_head();
        break;
    case 10:
        change_position(in);
        break;
    case 11:
        change_header(in);
        break;
    case 12:
        /* Nobody but the reader has a say here: it is not looked at after the opening. */
        set_word(0, take(in, 8));
        break;
    case 13:
        EXPECT(rbcore_reader_interrupt(t.reader) == 0);
        EXPECT(rbcore_reader_read(t.reader, &(rbcore_record){0}, 1) == -ECANCELED);
        break;
    case 14:
        t.image[8 + take(in, 2) % (t.page - 8)] = (uint8_t)take(in, 1);
        break;
    case 15:
        reopen(in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    begin(&in);
    if (open_reader(false)) {
        while (in.left) {
            step(&in);
        }
    }
    close_reader();
    return 0;
}
