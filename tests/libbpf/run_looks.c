/* SPDX-License-Identifier: MIT */
/*
 * rbcore-run finds this out about a program before it runs it: by reading, whatever the file says.
 * The files are made here, field by field, so that each can be absurd.
 */
#include "../c/support.h"

#include "program.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#define MUTANTS 5000
#define NAMES_MAX 1100

/* ---- ELF files ---- */

/* The content of a file; a field that is 0 is not in it. */
typedef struct sheet {
    const char *message; /* among its strings */
    const char *loader;  /* NULL: that of this program; "": none */
    const char *needs[NAMES_MAX];
    const char *rpath, *runpath;
    uint64_t flags;
} sheet;

/* Header, segments, dynamic entries, then all strings; loaded at address 0. */
typedef struct image_of_file {
    ElfW(Ehdr) header;
    ElfW(Phdr) segments[3]; /* loader, all, dynamic */
    ElfW(Dyn) entries[NAMES_MAX + 6];
    char strings[1 << 17];
} image_of_file;

typedef struct elf {
    image_of_file it;
    size_t size, strings_size, count;
} elf;

static char folder[PATH_MAX], own_loader[PATH_MAX];
static elf file; /* large */

static uint64_t put_string(elf *self, const char *text) {
    const size_t at = self->strings_size;
    self->strings_size += strlen(text) + 1;
    ck_assert_uint_le(self->strings_size, sizeof(self->it.strings));
    strcpy(self->it.strings + at, text);
    return at;
}

static void put_entry(elf *self, int64_t tag, uint64_t value) {
    ck_assert_uint_lt(self->count, sizeof(self->it.entries) / sizeof(ElfW(Dyn)));
    self->it.entries[self->count].d_tag = (ElfW(Sxword))tag;
    self->it.entries[self->count++].d_un.d_val = value;
}

static void read_own_header(ElfW(Ehdr) * out) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, out, sizeof(*out)), sizeof(*out));
    close(fd);
}

static void put_segment(ElfW(Phdr) * self, uint32_t type, size_t offset, size_t size) {
    self->p_type = type;
    self->p_offset = self->p_vaddr = offset;
    self->p_filesz = self->p_memsz = size;
}

static void put_entries(elf *self, const sheet *said) {
    for (size_t i = 0; said->needs[i] != NULL; i++) {
        put_entry(self, DT_NEEDED, put_string(self, said->needs[i]));
    }
    if (said->rpath != NULL) {
        put_entry(self, DT_RPATH, put_string(self, said->rpath));
    }
    if (said->runpath != NULL) {
        put_entry(self, DT_RUNPATH, put_string(self, said->runpath));
    }
    if (said->flags != 0) {
        put_entry(self, DT_FLAGS_1, said->flags);
    }
    if (said->message != NULL) {
        put_string(self, said->message);
    }
    put_entry(self, DT_STRTAB, offsetof(image_of_file, strings));
    put_entry(self, DT_STRSZ, self->strings_size);
    put_entry(self, DT_NULL, 0);
}

static elf *make(const sheet *said) {
    elf *self = &file;
    memset(self, 0, sizeof(*self));
    read_own_header(&self->it.header);
    self->it.header.e_phoff = offsetof(image_of_file, segments);
    self->it.header.e_phentsize = sizeof(ElfW(Phdr));
    self->it.header.e_phnum = 3;
    put_string(self, "");
    const char *loader = said->loader == NULL ? own_loader : said->loader;
    const size_t name = offsetof(image_of_file, strings) + put_string(self, loader);
    put_segment(&self->it.segments[0], loader[0] != '\0' ? PT_INTERP : PT_NULL, name,
                strlen(loader) + 1);
    put_entries(self, said);
    put_segment(&self->it.segments[2], PT_DYNAMIC, offsetof(image_of_file, entries),
                self->count * sizeof(ElfW(Dyn)));
    self->size = offsetof(image_of_file, strings) + self->strings_size;
    put_segment(&self->it.segments[1], PT_LOAD, 0, self->size);
    return self;
}

/* ---- Files ---- */

/* A path in the test's folder; the last few stay valid. */
__attribute__((format(printf, 1, 2))) static const char *in_folder(const char *format, ...) {
    static char paths[8][2 * PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    int n = snprintf(path, PATH_MAX, "%s/", folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + n, PATH_MAX, format, arguments);
    va_end(arguments);
    return path;
}

static void write_file(const char *path, const void *content, size_t size) {
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
    close(fd);
}

static void write_elf(const char *path, const sheet *said) {
    const elf *made = make(said);
    write_file(path, &made->it, made->size);
}

static struct program look(const char *path) {
    static struct program it;
    alarm(WATCHDOG_MS / 1000);
    program_look(&it, path);
    alarm(0);
    return it;
}

static enum verdict verdict_of(const sheet *said) {
    write_elf(in_folder("program"), said);
    return look(in_folder("program")).verdict;
}

/* ---- Nothing is run ---- */

static void write_script(const char *path) {
    char text[2 * PATH_MAX];
    int n = snprintf(text, sizeof(text), "#!/bin/sh\ntouch %s\n", in_folder("was_run"));
    write_file(path, text, (size_t)n);
}

START_TEST(check_never_executes_anything_of_the_program_that_it_looks_at) {
    const char *name = strrchr(own_loader, '/') + 1;
    char loader[PATH_MAX];
    strcpy(loader, in_folder("%s", name));
    sheet said = {.loader = loader, .needs = {"libbpf.so.1", "libown.so"}};
    said.runpath = folder;
    write_script(loader);
    write_script(in_folder("libown.so"));
    ck_assert_int_eq(verdict_of(&said), PROGRAM_LINKED);
    ck_assert_int_ne(access(in_folder("was_run"), F_OK), 0);
    said.needs[0] = "libother.so";
    ck_assert_int_eq(verdict_of(&said), PROGRAM_NOT_LINKED);
    ck_assert_int_ne(access(in_folder("was_run"), F_OK), 0);
    unlink(loader);
}
END_TEST

/* ---- What is found ---- */

START_TEST(linked) {
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libbpf.so.1"}}), PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"liba.so", "libbpf.so.1"}}), PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"/absent/libbpf.so.1"}}), PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libbpf.so.0"}}), PROGRAM_OLD_LIBBPF);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libbpf.so.0", "libbpf.so.1"}}), PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libbpf.so.10", "libbpf.so"}}),
                     PROGRAM_NOT_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {NULL}}), PROGRAM_NOT_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libc.so.6"}}), PROGRAM_NOT_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.loader = ""}), PROGRAM_STATIC);
    ck_assert_int_eq(verdict_of(&(sheet){.loader = "/lib/ld-musl.so.1"}), PROGRAM_OTHER_LIBC);
}
END_TEST

/* ---- A libbpf inside ---- */

#define MESSAGE "libbpf: ringbuf: failed to get map info for fd=%d: %d\n"

START_TEST(a_libbpf_of_its_own) {
    ck_assert_int_eq(verdict_of(&(sheet){.message = MESSAGE}), PROGRAM_OWN_LIBBPF);
    ck_assert_int_eq(verdict_of(&(sheet){.message = MESSAGE, .loader = ""}), PROGRAM_OWN_LIBBPF);
    /* Linked to a shared one, too: it is helped with that. */
    ck_assert_int_eq(verdict_of(&(sheet){.message = MESSAGE, .needs = {"libbpf.so.1"}}),
                     PROGRAM_LINKED);
    /* One that speaks of libbpf, or that has it without ring buffers. */
    ck_assert_int_eq(verdict_of(&(sheet){.message = "libbpf: elf: %s\n"}), PROGRAM_NOT_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.message = "libbpf: ringbuf:"}), PROGRAM_NOT_LINKED);
}
END_TEST

static enum verdict verdict_of_elf(const elf *self) {
    write_file(in_folder("program"), &self->it, self->size);
    return look(in_folder("program")).verdict;
}

START_TEST(only_in_what_is_loaded_and_not_written) {
    const sheet said = {.message = MESSAGE};
    elf *self = make(&said);
    self->it.segments[1].p_flags = PF_R | PF_W;
    ck_assert_int_eq(verdict_of_elf(self), PROGRAM_NOT_LINKED);
    /* Behind what is loaded: as the names and lines for debuggers are. */
    self = make(&said);
    self->it.segments[1].p_filesz = self->size - sizeof(MESSAGE);
    ck_assert_int_eq(verdict_of_elf(self), PROGRAM_NOT_LINKED);
    /* Only what the file has of it counts. */
    self = make(&said);
    self->it.segments[1].p_filesz = (ElfW(Xword)) - 16;
    ck_assert_int_eq(verdict_of_elf(self), PROGRAM_OWN_LIBBPF);
}
END_TEST

/* The message may lie anywhere, also across the pieces in which the file is read. */
START_TEST(a_libbpf_anywhere_in_a_large_program) {
    enum { SIZE = 300000, STEP = 11 };
    const size_t begin = offsetof(image_of_file, strings);
    const elf *self = make(&(sheet){.loader = ""});
    static char large[offsetof(image_of_file, strings) + SIZE];
    for (size_t at = begin + 4096; at < sizeof(large) - sizeof(MESSAGE); at += 8000 + STEP) {
        for (size_t border = 0; border < 2; border++) {
            /* Just before 64 KiB from the segment's start, and where it happens to be. */
            size_t where = border ? at / 65536 * 65536 + 65536 - 5 : at;
            memset(large, 0, sizeof(large));
            memcpy(large, &self->it, self->size);
            ElfW(Phdr) *segments = ((image_of_file *)(void *)large)->segments;
            segments[1].p_filesz = sizeof(large);
            where = where < sizeof(large) - sizeof(MESSAGE) ? where : at;
            memcpy(large + where, MESSAGE, sizeof(MESSAGE));
            write_file(in_folder("program"), large, sizeof(large));
            ck_assert_int_eq(look(in_folder("program")).verdict, PROGRAM_OWN_LIBBPF);
        }
    }
}
END_TEST

/* Thousands of segments, each of a hole of terabytes. */
START_TEST(a_hole_is_not_read_for_ever) {
    enum { SEGMENTS = 4096 };
    static struct {
        ElfW(Ehdr) header;
        ElfW(Phdr) segments[SEGMENTS];
    } it;
    read_own_header(&it.header);
    it.header.e_phoff = sizeof(it.header);
    it.header.e_phentsize = sizeof(ElfW(Phdr));
    it.header.e_phnum = SEGMENTS;
    for (size_t i = 0; i < SEGMENTS; i++) {
        put_segment(&it.segments[i], PT_LOAD, 0, (size_t)1 << 40);
    }
    write_file(in_folder("program"), &it, sizeof(it));
    ok(truncate(in_folder("program"), (off_t)1 << 40));
    ck_assert_int_eq(look(in_folder("program")).verdict, PROGRAM_STATIC);
    unlink(in_folder("program"));
}
END_TEST

/* The program is linked to libfirst.so, that to libsecond.so, and that to libbpf. */
static void write_libraries(const char *where) {
    mkdir(in_folder("%s", where), 0755);
    write_elf(in_folder("%s/libfirst.so", where),
              &(sheet){.needs = {"libsecond.so", "libfirst.so"}, .runpath = "/absent:$ORIGIN/"});
    write_elf(in_folder("%s/libsecond.so", where),
              &(sheet){.needs = {"libfirst.so", "libbpf.so.1"}});
}

START_TEST(linked_through_libraries) {
    const char *needs = "libfirst.so";
    write_libraries("lib");
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {needs}}), PROGRAM_NOT_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {needs}, .runpath = "$ORIGIN/lib"}),
                     PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {needs}, .rpath = "/absent::${ORIGIN}/lib"}),
                     PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {in_folder("lib/libfirst.so")}}), PROGRAM_LINKED);
    /* A RUNPATH takes the effect from an RPATH. */
    ck_assert_int_eq(
        verdict_of(&(sheet){.needs = {needs}, .rpath = "$ORIGIN/lib", .runpath = "/absent"}),
        PROGRAM_NOT_LINKED);
    setenv("LD_LIBRARY_PATH", in_folder("lib"), 1);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {needs}}), PROGRAM_LINKED);
    unsetenv("LD_LIBRARY_PATH");
    /* An RPATH goes on for what the libraries need; a RUNPATH does not. */
    write_elf(in_folder("lib/libfirst.so"), &(sheet){.needs = {"libsecond.so"}});
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {needs}, .rpath = "$ORIGIN/lib"}),
                     PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {needs}, .runpath = "$ORIGIN/lib"}),
                     PROGRAM_NOT_LINKED);
}
END_TEST

/* By the cache of the loader: what this program is linked to is found by its name alone. */
START_TEST(linked_through_a_library_of_the_system) {
    struct program it = look("/proc/self/exe");
    /* It has the message that it writes into others. */
    ck_assert(it.verdict == PROGRAM_OWN_LIBBPF || it.verdict == PROGRAM_LINKED);
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libbpf_of_no_system.so.1"}}),
                     PROGRAM_NOT_LINKED);
}
END_TEST

/* ---- Absurd files ---- */

static void expect_fault(const elf *self, const char *fault) {
    write_file(in_folder("program"), &self->it, self->size);
    struct program it = look(in_folder("program"));
    ck_assert_int_eq(it.verdict, PROGRAM_UNREADABLE);
    ck_assert_str_eq(it.fault, fault);
}

#define EXPECT_FAULT(fault, change)                                                                \
    do {                                                                                           \
        elf *self = make(&said);                                                                   \
        change;                                                                                    \
        expect_fault(self, fault);                                                                 \
    } while (0)

START_TEST(absurd_fields) {
    const sheet said = {.needs = {"liba.so"}, .runpath = "/absent"};
    const ElfW(Off) far = (ElfW(Off)) - 16;
    const char *table = "its table of segments lies beyond its end";
    EXPECT_FAULT("it is no ELF file or script", self->it.header.e_ident[0] = 0);
    EXPECT_FAULT(table, self->it.header.e_phoff = far);
    EXPECT_FAULT(table, self->it.header.e_phoff = self->size);
    EXPECT_FAULT(table, self->it.header.e_phnum = 4096);
    const char *form = "its table of segments is of no known form";
    EXPECT_FAULT(form, self->it.header.e_phnum = 0xffff);
    EXPECT_FAULT(form, self->it.header.e_phentsize = 0);
    const char *length = "the name of its loader has no possible length";
    EXPECT_FAULT(length, self->it.segments[0].p_filesz = 0);
    EXPECT_FAULT(length, self->it.segments[0].p_filesz = PATH_MAX + 1);
    EXPECT_FAULT(length, self->it.segments[0].p_filesz = far);
    const char *loader = "the name of its loader lies beyond its end";
    EXPECT_FAULT(loader, self->it.segments[0].p_offset = far);
    EXPECT_FAULT(loader, self->it.segments[0].p_offset = self->size - 1);
    EXPECT_FAULT("the name of its loader has no end", self->it.segments[0].p_filesz--);
    const char *dynamic = "its dynamic section lies beyond its end";
    EXPECT_FAULT(dynamic, self->it.segments[2].p_offset = far);
    EXPECT_FAULT(dynamic, self->it.segments[2].p_filesz = self->size);
    EXPECT_FAULT("its dynamic section is impossibly large", self->it.segments[2].p_filesz = far);
    const char *names = "the names of its libraries lie in no segment";
    const size_t strings = 2, size = 3;
    EXPECT_FAULT(names, self->it.entries[strings].d_un.d_val = far);
    EXPECT_FAULT(names, self->it.entries[strings].d_tag = DT_DEBUG);
    EXPECT_FAULT(names, self->it.segments[1].p_type = PT_NULL);
    EXPECT_FAULT(names, self->it.segments[1].p_filesz = 1);
    EXPECT_FAULT(names, self->it.segments[1].p_offset = far);
    const char *damaged = "the name of one of its libraries is damaged";
    EXPECT_FAULT(damaged, self->it.entries[0].d_un.d_val = far);
    EXPECT_FAULT(damaged, self->it.entries[0].d_un.d_val = self->strings_size);
    EXPECT_FAULT(damaged, self->it.entries[1].d_un.d_val = self->strings_size);
    EXPECT_FAULT(damaged, self->it.entries[size].d_un.d_val = 0 + 2);
    EXPECT_FAULT(damaged, self->it.segments[1].p_offset = 8);
}
END_TEST

START_TEST(too_many_libraries) {
    sheet said = {.needs = {NULL}};
    for (size_t i = 0; i < NAMES_MAX - 1; i++) {
        said.needs[i] = "lib.so";
    }
    EXPECT_FAULT("it is linked to impossibly many libraries", (void)self);
}
END_TEST

START_TEST(truncated_anywhere) {
    const sheet said = {.needs = {"libbpf.so.1"}, .runpath = "$ORIGIN"};
    elf *self = make(&said);
    const size_t size = self->size, end_of_loader = strlen(own_loader) + 2;
    for (size_t left = 0; left < size; left++) {
        /* Between the table of entries and the strings nothing is. */
        if (left > sizeof(ElfW(Ehdr)) + 4096 && left < offsetof(image_of_file, strings)) {
            left = offsetof(image_of_file, strings);
        }
        self->size = left;
        write_file(in_folder("program"), &self->it, left);
        struct program it = look(in_folder("program"));
        ck_assert_msg(it.verdict == PROGRAM_UNREADABLE && it.fault != NULL, "%zu of %zu: %d", left,
                      size, (int)it.verdict);
    }
    ck_assert_uint_gt(size, offsetof(image_of_file, strings) + end_of_loader);
}
END_TEST

/* A few bytes of it are anything. Whatever it finds, it comes back, and no sanitizer complains. */
START_TEST(damaged_anywhere) {
    const char *given = getenv("RBCORE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now_ns();
    int verdicts[PROGRAM_NOT_FOUND + 1] = {0};
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    write_libraries("lib");
    elf *self = make(&(sheet){.needs = {"libfirst.so", "libc.so.6"}, .runpath = "$ORIGIN/lib"});
    const elf sound = *self;
    const size_t head = sizeof(ElfW(Ehdr)) + 3 * sizeof(ElfW(Phdr)) + 8 * sizeof(ElfW(Dyn));
    for (int i = 0; i < MUTANTS; i++) {
        uint8_t *bytes = (uint8_t *)&self->it;
        memcpy(bytes, &sound.it, sound.size);
        for (uint32_t n = 1 + random_next(&seed) % 3; n > 0; n--) {
            const size_t at = 4 + random_next(&seed) % (head - 4);
            const uint32_t kind = random_next(&seed) % 4;
            bytes[at] = kind == 0 ? 0xff : kind == 1 ? 0 : (uint8_t)random_next(&seed);
        }
        write_file(in_folder("program"), bytes, sound.size);
        verdicts[look(in_folder("program")).verdict]++;
    }
    ck_assert_int_gt(verdicts[PROGRAM_LINKED], 0);
    ck_assert_int_gt(verdicts[PROGRAM_UNREADABLE], 0);
}
END_TEST

/* ---- What would take for ever ---- */

static void ignore(int signal) {
    (void)signal;
}

START_TEST(pipes_are_not_opened) {
    signal(SIGALRM, ignore);
    ok(mkfifo(in_folder("libpipe.so"), 0755));
    ck_assert_int_eq(verdict_of(&(sheet){.needs = {"libpipe.so"}, .runpath = "$ORIGIN"}),
                     PROGRAM_NOT_LINKED);
    ck_assert_int_eq(look(in_folder("libpipe.so")).verdict, PROGRAM_NOT_FOUND);
}
END_TEST

/* Each of many libraries needs many others, and names many folders. */
START_TEST(a_farm_of_libraries) {
    enum { LIBRARIES = 1000 };
    static char names[LIBRARIES][16], folders[60000];
    sheet said = {.runpath = folders, .rpath = "$ORIGIN/farm"};
    memset(folders, ':', sizeof(folders) - 1);
    memcpy(folders, "$ORIGIN", 7);
    for (int i = 0; i < LIBRARIES; i++) {
        snprintf(names[i], sizeof(names[i]), "lib%d.so", i);
        said.needs[i] = names[i];
    }
    mkdir(in_folder("farm"), 0755);
    write_elf(in_folder("farm/lib0.so"), &said);
    for (int i = 1; i < LIBRARIES; i++) {
        ok(link(in_folder("farm/lib0.so"), in_folder("farm/%s", names[i])));
    }
    ck_assert_int_eq(look(in_folder("farm/lib0.so")).verdict, PROGRAM_NOT_LINKED);
    /* All folders in vain, for each. */
    memcpy(folders, ":::::::", 7);
    ck_assert_int_eq(verdict_of(&said), PROGRAM_NOT_LINKED);
}
END_TEST

static void find_own_loader(void) {
    ElfW(Ehdr) header;
    ElfW(Phdr) segment = {.p_type = PT_NULL};
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool is_read = read(fd, &header, sizeof(header)) == sizeof(header);
    for (unsigned i = 0; is_read && i < header.e_phnum && segment.p_type != PT_INTERP; i++) {
        is_read = pread(fd, &segment, sizeof(segment),
                        (off_t)(header.e_phoff + i * sizeof(segment))) == sizeof(segment);
    }
    if (is_read && segment.p_type == PT_INTERP && segment.p_filesz < sizeof(own_loader)) {
        is_read = pread(fd, own_loader, segment.p_filesz, (off_t)segment.p_offset) > 0;
    }
    close(fd);
    if (strchr(own_loader, '/') == NULL) {
        skip("this program is statically linked");
    }
}

int main(void) {
    char template[] = "/tmp/rbcore_run_looks_XXXXXX", command[PATH_MAX + 8];
    find_own_loader();
    if (mkdtemp(template) == NULL) {
        skip("no folder for files");
    }
    strcpy(folder, template);
    const TTest *const tests[] = {check_never_executes_anything_of_the_program_that_it_looks_at,
                                  linked,
                                  a_libbpf_of_its_own,
                                  only_in_what_is_loaded_and_not_written,
                                  a_libbpf_anywhere_in_a_large_program,
                                  a_hole_is_not_read_for_ever,
                                  linked_through_libraries,
                                  linked_through_a_library_of_the_system,
                                  absurd_fields,
                                  too_many_libraries,
                                  truncated_anywhere,
                                  damaged_anywhere,
                                  pipes_are_not_opened,
                                  a_farm_of_libraries,
                                  NULL};
    int result = run_tests("run looks", tests);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) == 0 ? result : EXIT_FAILURE;
}
