/* SPDX-License-Identifier: MIT */
/*
 * Runs the fuzz target without a fuzzer:
 *   replay FILE...           these inputs
 *   replay --random N        N pseudo-random inputs, the same in each run
 *   replay --seeds DIRECTORY writes the inputs that a fuzzer starts from
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 1;

static uint8_t random_byte(void) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint8_t)(state >> 56);
}

static int replay_file(const char *path) {
    uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

/*
 * Mostly producing, reading and giving back, so that the ring goes round before it breaks; every
 * other record of one size, so that there are runs, and old ones beyond the end of a new one.
 */
static size_t random_script(uint8_t *data) {
    size_t size = 0, steps = 1 + random_byte();
    data[size++] = random_byte() & 7;
    for (int i = 0; i < 10; i++) {
        data[size++] = random_byte();
    }
    while (steps--) {
        uint8_t op = random_byte();
        op = op < 240 ? (uint8_t)(op / 16 * 16 + op % 10) : op;
        data[size++] = op;
        bool is_usual = op % 16 < 3 && random_byte() % 2;
        for (int n = op % 16 < 10 ? 2 : 4; n; n--) {
            data[size++] = is_usual ? 24 * (n == 1) : random_byte();
        }
    }
    return size;
}

static int replay_random(int n) {
    uint8_t data[INPUT_MAX];
    for (int i = 0; i < n; i++) {
        LLVMFuzzerTestOneInput(data, random_script(data));
    }
    printf("%d inputs\n", n);
    return 0;
}

static int write_seeds(const char *directory) {
    uint8_t data[INPUT_MAX];
    for (int i = 0; i < 64; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/seed-%02d", directory, i);
        FILE *file = fopen(path, "wb");
        size_t size = random_script(data);
        if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "--random")) {
        return replay_random(atoi(argv[2]));
    }
    if (argc == 3 && !strcmp(argv[1], "--seeds")) {
        return write_seeds(argv[2]);
    }
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        failed |= replay_file(argv[i]);
    }
    return failed;
}
