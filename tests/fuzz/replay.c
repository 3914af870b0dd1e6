/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzer:
 *   replay FILE...                      these inputs
 *   replay --random N [SEED [FILE...]]  N pseudo-random inputs, the same in each run with this
 *   seed;
 *                                       with files every other one is one of these, changed
 *   replay --seeds DIRECTORY            writes the inputs that a fuzzer starts from
 * The input that fails is written to the file failed-input in the current directory.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* For 65,536 inputs, which take a second where nothing else runs. A machine that is busy with other
 * work, and gives this process the lowest priority, is no hang. */
#define HANG_SECONDS 600
#define PLACE_MAX 64

static uint8_t data[FUZZ_INPUT_MAX];
static size_t data_size;

/* The signal comes again, and ends the program as it would have. */
static void write_failed_input(int number) {
    int fd = open("failed-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t written = write(fd, data, data_size);
    (void)written;
    raise(number);
}

static void catch_failures(void) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    struct sigaction action = {.sa_handler = write_failed_input,
                               .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

static bool read_file(const char *path, uint8_t *to, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    *size = fread(to, 1, FUZZ_INPUT_MAX, file);
    fclose(file);
    return true;
}

static int replay_files(char **paths, int n) {
    int failed = n == 0;
    for (int i = 0; i < n; i++) {
        if (read_file(paths[i], data, &data_size)) {
            LLVMFuzzerTestOneInput(data, data_size);
        } else {
            failed = 1;
        }
    }
    return failed;
}

/* ---- Random inputs ------------------------------------------------------------------------- */

typedef struct known_input {
    uint8_t *bytes;
    size_t size;
} known_input;

static known_input *known;
static size_t known_count;

static bool read_known(char **paths, int n) {
    known = calloc((size_t)n + 1, sizeof(*known));
    for (int i = 0; i < n; i++) {
        if (!read_file(paths[i], data, &data_size)) {
            return false;
        }
        if (data_size > 0) {
            known_input *k = &known[known_count++];
            k->size = data_size;
            k->bytes = malloc(data_size);
            EXPECT(k->bytes);
            memcpy(k->bytes, data, data_size);
        }
    }
    return true;
}

static size_t below(uint64_t *random, size_t most) {
    fuzz_random(random);
    return (size_t)(*random >> 33) % most;
}

/* One change of a kind that fuzzers make. */
static void change(uint64_t *random) {
    size_t at = below(random, data_size), length = 1 + below(random, 8);
    size_t room = FUZZ_INPUT_MAX - data_size, behind = data_size - at;
    switch (fuzz_random(random) % 6) {
    case 0:
        data[at] ^= (uint8_t)(1 << fuzz_random(random) % 8);
        break;
    case 1:
        data[at] = fuzz_random(random);
        break;
    case 2: /* insert */
        length = length < room ? length : room;
        memmove(data + at + length, data + at, behind);
        for (size_t i = 0; i < length; i++) {
            data[at + i] = fuzz_random(random);
        }
        data_size += length;
        break;
    case 3: /* erase */
        length = length < behind ? length : behind;
        length = length < data_size ? length : data_size - 1;
        memmove(data + at, data + at + length, behind - length);
        data_size -= length;
        break;
    case 4: { /* the end of another */
        const known_input *other = &known[below(random, known_count)];
        size_t from = below(random, other->size), n = other->size - from;
        n = n < FUZZ_INPUT_MAX - at ? n : FUZZ_INPUT_MAX - at;
        memcpy(data + at, other->bytes + from, n);
        data_size = at + n;
        break;
    }
    case 5: { /* numbers at the edges */
        static const uint8_t edges[] = {0, 1, 7, 8, 0x7f, 0x80, 0xf8, 0xff};
        memset(data + at, edges[fuzz_random(random) % 8], length < behind ? length : behind);
        break;
    }
    }
}

static void make_input(uint64_t *random) {
    if (known_count == 0 || fuzz_random(random) % 2) {
        data_size = fuzz_make_input(data, random);
        return;
    }
    const known_input *k = &known[below(random, known_count)];
    memcpy(data, k->bytes, k->size);
    data_size = k->size;
    for (size_t n = 1 + fuzz_random(random) % 4; n && data_size; n--) {
        change(random);
    }
}

static int replay_random(long n, uint64_t seed) {
    uint64_t random = seed;
    for (long i = 0; i < n; i++) {
        if (i % 65536 == 0) {
            alarm(HANG_SECONDS);
        }
        make_input(&random);
        LLVMFuzzerTestOneInput(data, data_size);
    }
    printf("%ld inputs\n", n);
    return 0;
}

static int write_seeds(const char *directory) {
    uint64_t random = 1;
    for (int i = 0; i < 64; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/seed-%02d", directory, i);
        FILE *file = fopen(path, "wb");
        data_size = fuzz_make_input(data, &random);
        if (!file || fwrite(data, 1, data_size, file) != data_size || fclose(file)) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "--seeds")) {
        return write_seeds(argv[2]);
    }
    catch_failures();
    if (argc < 3 || strcmp(argv[1], "--random")) {
        return replay_files(argv + 1, argc - 1);
    }
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    return read_known(argv + 4, argc > 4 ? argc - 4 : 0) ? replay_random(atol(argv[2]), seed) : 1;
}
