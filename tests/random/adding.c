/* SPDX-License-Identifier: MIT */
/* The life of readers, and the rings that they get and lose. */
#include "return_on_discards.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Readers ---- */

static const int64_t latencies[] = {
    RBCORE_DEFAULT_MAX_LATENCY, RBCORE_DEFAULT_MAX_LATENCY, 0, 10000, 60000, 100000, 5000000};

bool open_reader(void) {
    sim_reader *self = &the_world.readers[roll(READERS)];
    if (self->handle != NULL || the_world.in_a_batch) {
        return false;
    }
    *self = (sim_reader){.number = self->number, .references = 1};
    self->held = calloc(HELD_MAX, sizeof(*self->held));
    demand(self->held != NULL, "no memory");
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        self->views[i].reader = self;
    }
    self->flags = (one_in(2) ? RBCORE_READER_RELEASE : 0) | (one_in(5) ? RBCORE_READER_POLL : 0);
    self->returns_on_discards = one_in(4);
    self->max_latency_ns = latencies[roll(7)];
    if (self->flags & RBCORE_READER_POLL && self->max_latency_ns == 0) {
        self->max_latency_ns = 1;
    }
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = self->flags;
    options.max_latency_ns = self->max_latency_ns;
    calling("reader_open(reader %d, flags %" PRIu32 ", max_latency_ns %" PRId64 ")", self->number,
            self->flags, self->max_latency_ns);
    demand(returned(rbcore_reader_open(&self->handle, &options)) == 0, "no reader");
    if (self->returns_on_discards) {
        rbc_reader_return_on_discards(self->handle);
    }
    return true;
}

static void refuse_reader(const rbcore_reader_options *options, int expected) {
    rbcore_reader *handle = NULL;
    calling("reader_open(wrong options)");
    demand(returned(rbcore_reader_open(&handle, options)) == expected, "not %d", expected);
    demand(handle == NULL, "a reader all the same");
}

bool open_reader_wrongly(void) {
    rbcore_reader_options options = RBCORE_READER_OPTIONS_INIT;
    options.flags = UINT32_C(4) << roll(30);
    refuse_reader(&options, -EINVAL);
    options = (rbcore_reader_options)RBCORE_READER_OPTIONS_INIT;
    options.order_clock = UINT32_C(1) << roll(32);
    refuse_reader(&options, -EINVAL);
    options = (rbcore_reader_options)RBCORE_READER_OPTIONS_INIT;
    options.max_latency_ns = -1 - (int64_t)roll(1000);
    refuse_reader(&options, -EINVAL);
    options = (rbcore_reader_options)RBCORE_READER_OPTIONS_INIT;
    options.flags = RBCORE_READER_POLL;
    options.max_latency_ns = 0;
    refuse_reader(&options, -EINVAL);
    options = (rbcore_reader_options)RBCORE_READER_OPTIONS_INIT;
    options.size = one_in(2) ? roll(sizeof(size_t)) : 4097 + roll(1000);
    refuse_reader(&options, -EINVAL);
    struct {
        rbcore_reader_options options;
        uint64_t more;
    } newer = {RBCORE_READER_OPTIONS_INIT, 1};
    newer.options.size = sizeof(newer);
    refuse_reader(&newer.options, -E2BIG);
    return true;
}

bool reference_reader(void) {
    sim_reader *self = any_reader();
    if (self == NULL || self->references > 3) {
        return false;
    }
    calling("ref(reader %d)", self->number);
    demand(returned(rbcore_reader_ref(self->handle)) == 0, "not 0");
    self->references++;
    return true;
}

/* The state when the last reference and the last held record are gone. */
static void forget_reader(sim_reader *self) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        if (self->views[i].ring != NULL) {
            view_close(&self->views[i]);
        }
    }
    free(self->held);
    *self = (sim_reader){.number = self->number};
}

/* Drops one reference; with the last one rings stay only for what is held. */
void drop_reader(sim_reader *self) {
    calling("reader_free(reader %d), with %zu held, reference %u", self->number, self->held_count,
            self->references);
    rbcore_reader_free(self->handle);
    if (--self->references > 0) {
        return;
    }
    for (unsigned i = 0; i < VIEWS_MAX && reader_is_release(self); i++) {
        if (self->views[i].ring != NULL && self->views[i].held == 0) {
            view_close(&self->views[i]);
        }
    }
    if (!reader_is_release(self) || self->held_count == 0) {
        forget_reader(self);
    }
}

bool free_reader(void) {
    sim_reader *self = any_reader();
    if (self == NULL || the_world.in_a_batch || (self->references == 1 && !one_in(5))) {
        return false;
    }
    drop_reader(self);
    return true;
}

/* ---- Rings of a reader ---- */

sim_view *any_view(bool removed_as_well) {
    sim_reader *self = any_reader();
    unsigned first = roll(VIEWS_MAX);
    for (unsigned i = 0; i < VIEWS_MAX && self != NULL; i++) {
        sim_view *view = &self->views[(first + i) % VIEWS_MAX];
        if (view->ring != NULL && (removed_as_well || !view->is_removed)) {
            return view;
        }
    }
    return NULL;
}

static sim_view *free_view(sim_reader *self) {
    for (unsigned i = 0; i < VIEWS_MAX; i++) {
        if (self->views[i].ring == NULL) {
            return &self->views[i];
        }
    }
    return NULL;
}

static rbcore_source source_of(const sim_ring *ring) {
    rbcore_source source = memory_source(ring);
    if (ring->is_kernel) {
        source = (rbcore_source)RBCORE_SOURCE_INIT;
        source.kind = RBCORE_SOURCE_MAP_FD;
        source.fd = ring->map_fd;
        source.loss_fd = ring->loss_fd;
    }
    source.flags = ring->overwrites ? RBCORE_SOURCE_OVERWRITE : 0;
    source.cookie = roll(1000);
    return source;
}

static int expected_of(const sim_reader *self, const sim_ring *ring, const rbcore_source *source) {
    if (self->is_shut_down) {
        return -ESHUTDOWN;
    }
    return !(source->flags & RBCORE_SOURCE_TAP) && ring->reader != NULL ? -EBUSY : 0;
}

bool add_ring(void) {
    sim_reader *self = any_reader();
    sim_ring *ring = &the_world.rings[roll(RINGS)];
    sim_view *view = self == NULL ? NULL : free_view(self);
    if (view == NULL || !ring->exists || the_world.in_a_batch) {
        return false;
    }
    rbcore_source source = source_of(ring);
    source.flags |= one_in(3) ? RBCORE_SOURCE_TAP : 0;
    source.flags |= one_in(4) ? RBCORE_SOURCE_LATEST : 0;
    calling("add(reader %d, ring %d, flags %u)", self->number, ring->number, source.flags);
    int index = returned(rbcore_reader_add(self->handle, &source));
    int expected = expected_of(self, ring, &source);
    demand(expected == 0 ? index >= 0 : index == expected, "not %d: %s", expected,
           rbcore_reader_message(self->handle));
    if (index >= 0) {
        view->ring = ring;
        self->flush_pos[view - self->views] = 0;
        view_open(view, (unsigned)index, &source);
    }
    reader_check(self);
    return true;
}

static void refuse_ring(sim_reader *self, const rbcore_source *source, int expected) {
    calling("add(reader %d, a wrong source)", self->number);
    int result = returned(rbcore_reader_add(self->handle, source));
    demand(result == expected || (self->is_shut_down && result == -ESHUTDOWN), "not %d: %s",
           expected, rbcore_reader_message(self->handle));
}

static void add_other_descriptors(sim_reader *self, const sim_ring *ring) {
    rbcore_source source = memory_source(ring);
    source.flags = ring->overwrites ? 0 : RBCORE_SOURCE_OVERWRITE;
    refuse_ring(self, &source, ring->overwrites ? -EOPNOTSUPP : -EMEDIUMTYPE);
    source = memory_source(ring);
    source.event_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    refuse_ring(self, &source, -EBADFD);
    source.fd = source.event_fd;
    source.event_fd = ring->event_fd;
    refuse_ring(self, &source, -EBADFD);
    close(source.fd);
    source.fd = 1000000;
    refuse_ring(self, &source, -EBADF);
    source = memory_source(ring);
    source.loss_fd = 1000000;
    source.flags = ring->overwrites ? RBCORE_SOURCE_OVERWRITE : 0;
    calling("add(reader %d, a loss map with a memory ring)", self->number);
}

bool add_wrongly(void) {
    sim_reader *self = any_reader();
    const sim_ring *ring = &the_world.rings[roll(RINGS)];
    if (self == NULL || !ring->exists || ring->is_kernel || the_world.in_a_batch) {
        return false;
    }
    struct {
        rbcore_source source;
        uint64_t more;
    } newer = {.source = memory_source(ring), .more = 1};
    newer.source.size = sizeof(newer);
    refuse_ring(self, &newer.source, -E2BIG);
    rbcore_source source = memory_source(ring);
    source.flags = 16u << roll(28);
    refuse_ring(self, &source, -EINVAL);
    source.flags = 0;
    source.kind = 5 + roll(100);
    refuse_ring(self, &source, -EINVAL);
    source = memory_source(ring);
    source.fd = -1;
    refuse_ring(self, &source, -EINVAL);
    source.size = one_in(2) ? roll(sizeof(size_t)) : 4097;
    refuse_ring(self, &source, -EINVAL);
    calling("add(reader %d, NULL)", self->number);
    demand(returned(rbcore_reader_add(self->handle, NULL)) == -EINVAL, "not refused");
    add_other_descriptors(self, ring);
    reader_check(self);
    return true;
}

/* The indexes of a reader's rings, in order; after the last there is none. */
bool visit_rings(void) {
    sim_reader *self = any_reader();
    if (self == NULL) {
        return false;
    }
    int visited = -1;
    for (unsigned count = 0; count <= VIEWS_MAX; count++) {
        int next = -ENOENT;
        for (unsigned i = 0; i < VIEWS_MAX; i++) {
            const sim_view *view = &self->views[i];
            bool is_later = view->ring != NULL && !view->is_removed && (int)view->index > visited;
            next = is_later && (next < 0 || (int)view->index < next) ? (int)view->index : next;
        }
        calling("ring_after(reader %d, %d)", self->number, visited);
        demand(returned(rbcore_reader_ring_after(self->handle, visited)) == next, "not %d", next);
        if (next < 0) {
            break;
        }
        visited = next;
    }
    calling("ring_after(reader %d, -2)", self->number);
    demand(returned(rbcore_reader_ring_after(self->handle, -2 - (int)roll(9))) == -EINVAL,
           "not refused");
    return true;
}

static void remove_wrongly(sim_reader *self) {
    unsigned index = one_in(2) ? self->next_index : RBCORE_RINGS_MAX + roll(1000);
    calling("remove(reader %d, %u), which is none", self->number, index);
    demand(returned(rbcore_reader_remove(self->handle, index)) == -EINVAL, "not refused");
}

bool remove_ring(void) {
    sim_view *self = any_view(true);
    if (self == NULL || the_world.in_a_batch) {
        return false;
    }
    sim_reader *reader = self->reader;
    if (one_in(5)) {
        remove_wrongly(reader);
        return true;
    }
    if (!one_in(4)) {
        return false;
    }
    calling("remove(reader %d, ring %d, %u), with %zu held", reader->number, self->ring->number,
            self->index, self->held);
    int result = returned(rbcore_reader_remove(reader->handle, self->index));
    int expected = self->is_removed                               ? -EINVAL
                   : self->held > 0 && !reader_is_release(reader) ? -EBUSY
                                                                  : 0;
    demand(result == expected, "not %d", expected);
    if (result == 0 && self->held == 0) {
        view_close(self);
    } else if (result == 0) {
        self->is_removed = true;
    }
    reader_check(reader);
    return true;
}
