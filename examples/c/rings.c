/* SPDX-License-Identifier: MIT */
/*
 * Shows rings without being their reader: what waits in them, what was lost, and which process
 * reads them. Nothing is taken from the reader.
 *
 *   rings PATH...       rings that are pinned, such as /sys/fs/bpf/events
 *   rings -m            a memory ring of its own, before it has a reader and then
 *
 * Build: cc -o rings rings.c $(pkg-config --cflags --libs rbcore)
 */
#include <inttypes.h>
#include <rbcore/rbcore.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, int error) {
    fprintf(stderr, "rings: %s: %s\n", what, rbcore_strerror(error));
    return 1;
}

static void show_reader(uint64_t pid) {
    if (pid == 0) {
        printf("nobody reads it\n");
    } else if (pid == RBCORE_UNKNOWN) {
        printf("read in another pid namespace\n");
    } else {
        printf("read by process %" PRIu64 "\n", pid);
    }
}

static int show(const char *name, const rbcore_source *source) {
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    int error = rbcore_source_ring_stats(source, &stats);
    if (error) {
        return fail(name, error);
    }
    printf("%s: %" PRIu64 " of %" PRIu64 " bytes wait, ", name, stats.bytes_waiting,
           stats.ring_size);
    if (stats.lost != RBCORE_UNKNOWN) { /* of a map only the loss map tells; see rbcore_bpf.h */
        printf("%" PRIu64 " lost, ", stats.lost);
    }
    show_reader(stats.reader_pid);
    return 0;
}

static int show_pinned(const char *path) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    source.kind = RBCORE_SOURCE_PINNED_PATH;
    source.path = path;
    return show(path, &source);
}

static int show_own(void) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_producer *producer = NULL;
    rbcore_reader *reader = NULL;
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    int error = rbcore_memory_ring_create(&source.fd, &source.event_fd, 65536, 0);
    error = error ? error : rbcore_producer_open(&producer, &source);
    error = error ? error : rbcore_producer_output(producer, "a record", 8, 0);
    if (error || show("a memory ring", &source)) {
        return error ? fail("a memory ring", error) : 1;
    }
    error = rbcore_reader_open(&reader, NULL);
    error = error ? error : rbcore_reader_add(reader, &source);
    int result = error < 0 ? fail("a reader", error) : show("a memory ring", &source);
    rbcore_reader_free(reader);
    rbcore_producer_free(producer);
    return result;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: rings PATH... | rings -m\n");
        return 2;
    }
    if (strcmp(argv[1], "-m") == 0) {
        return show_own();
    }
    int result = 0;
    for (int i = 1; i < argc; i++) {
        result |= show_pinned(argv[i]);
    }
    return result;
}
