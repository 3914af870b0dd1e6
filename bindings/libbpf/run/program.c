/* SPDX-License-Identifier: MIT */
#include "program.h"

#include "libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A script's interpreter may be a script; the kernel follows no further than so. */
#define SCRIPTS_MAX 4

/* The kernel reads this many bytes of a script's first line. */
#define FIRST_LINE 256

/* ---- Finding it ---- */

static bool is_program(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) {
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = EACCES;
        return false;
    }
    return access(path, X_OK) == 0;
}

/* This searches like execvp: a name without a slash is looked for in PATH. */
static bool find(char *out, const char *name) {
    if (strchr(name, '/') != NULL || name[0] == '\0') {
        snprintf(out, PATH_MAX, "%s", name);
        return is_program(out);
    }
    const char *path = getenv("PATH");
    path = path == NULL ? "/bin:/usr/bin" : path;
    int error = ENOENT;
    for (size_t length; path != NULL; path = path[length] == '\0' ? NULL : path + length + 1) {
        length = strcspn(path, ":");
        snprintf(out, PATH_MAX, "%.*s%s%s", (int)length, path, length > 0 ? "/" : "", name);
        if (is_program(out)) {
            return true;
        }
        error = errno == ENOENT || errno == ENOTDIR ? error : errno;
    }
    errno = error;
    return false;
}

/* ---- Scripts ---- */

static char *next_word(char **rest) {
    char *word = strtok_r(NULL, " \t", rest);
    return word;
}

/* Returns what `env` runs: the first argument that is neither an option nor sets a variable. */
static char *behind_env(char *word, char **rest) {
    do {
        word = next_word(rest);
    } while (word != NULL && (word[0] == '-' || strchr(word, '=') != NULL));
    return word;
}

/* If the file is a script, sets out to what runs it, and returns true. */
static bool find_interpreter(char *out, const char *path) {
    char line[FIRST_LINE];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t length = fd < 0 ? -1 : pread(fd, line, sizeof(line) - 1, 0);
    if (fd >= 0) {
        close(fd);
    }
    if (length < 2 || memcmp(line, "#!", 2) != 0) {
        return false;
    }
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *rest, *word = strtok_r(line + 2, " \t", &rest);
    const char *slash = word == NULL ? NULL : strrchr(word, '/');
    if (slash != NULL && strcmp(slash, "/env") == 0) {
        word = behind_env(word, &rest);
    }
    return word != NULL && find(out, word);
}

/* ---- What it is ---- */

static bool has_privileges(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) {
        return false;
    }
    bool by_mode = (status.st_mode & S_ISUID && status.st_uid != getuid()) ||
                   (status.st_mode & S_ISGID && status.st_gid != getgid());
    /* Root has these capabilities anyway, and gets none by them. */
    return by_mode || (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

/* The messages of libbpf's ringbuf.c begin so, in all of its versions that have one. */
static const char libbpf_message[] = "libbpf: ringbuf: ";

/* This says which libbpf it is linked to. */
struct linked {
    bool to_one; /* libbpf.so.1 */
    bool to_older;
};

static bool note_library(void *context, const char *name) {
    struct linked *linked = context;
    const char *slash = strrchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;
    linked->to_one |= strcmp(base, "libbpf.so.1") == 0;
    linked->to_older |= strcmp(base, "libbpf.so.0") == 0;
    return !linked->to_one;
}

/*
 * The program is judged by its name, wherever it lies: the libraries are for the C library of ours.
 */
static bool is_same_loader(const char *loader, const char *own) {
    const char *name = strrchr(loader, '/'), *own_name = strrchr(own, '/');
    return name != NULL && own_name != NULL && strcmp(name, own_name) == 0;
}

static enum verdict unreadable(struct program *self, const char *fault) {
    self->fault = fault;
    return PROGRAM_UNREADABLE;
}

/* own is rbcore-run, to compare with. */
static enum verdict compare_with(struct program *self, const char *path, struct elf_file *file,
                                 struct elf_file *own) {
    char loader[PATH_MAX], own_loader[PATH_MAX];
    if (!elf_is_of_same_arch(file, own)) {
        return PROGRAM_OTHER_ARCH;
    }
    const char *fault = elf_read_segments(file);
    fault = fault != NULL ? fault : elf_read_loader(file, loader);
    if (fault != NULL) {
        return unreadable(self, fault);
    }
    if (elf_read_segments(own) != NULL || elf_read_loader(own, own_loader) != NULL) {
        return unreadable(self, "rbcore-run itself cannot be read");
    }
    if (loader[0] == '\0') {
        return elf_contains(file, libbpf_message) ? PROGRAM_OWN_LIBBPF : PROGRAM_STATIC;
    }
    if (!is_same_loader(loader, own_loader)) {
        return PROGRAM_OTHER_LIBC;
    }
    struct linked linked = {false, false};
    fault = libraries_of(file, path, note_library, &linked);
    if (fault != NULL) {
        return unreadable(self, fault);
    }
    if (linked.to_one || linked.to_older) {
        return linked.to_one ? PROGRAM_LINKED : PROGRAM_OLD_LIBBPF;
    }
    return elf_contains(file, libbpf_message) ? PROGRAM_OWN_LIBBPF : PROGRAM_NOT_LINKED;
}

static enum verdict look_at(struct program *self, const char *path) {
    struct elf_file file, own;
    if (has_privileges(path)) {
        return PROGRAM_PRIVILEGED;
    }
    const char *fault = elf_open(&file, path);
    if (fault != NULL) {
        return unreadable(self, fault);
    }
    enum verdict verdict = unreadable(self, "rbcore-run itself cannot be read");
    if (elf_open(&own, "/proc/self/exe") == NULL) {
        self->fault = NULL;
        verdict = compare_with(self, path, &file, &own);
        elf_close(&own);
    }
    elf_close(&file);
    return verdict;
}

void program_look(struct program *self, const char *name) {
    memset(self, 0, sizeof(*self));
    if (!find(self->path, name)) {
        self->verdict = PROGRAM_NOT_FOUND;
        return;
    }
    char path[PATH_MAX];
    memcpy(path, self->path, sizeof(path));
    for (int i = 0; i < SCRIPTS_MAX && find_interpreter(self->interpreter, path); i++) {
        memcpy(path, self->interpreter, sizeof(path));
    }
    self->verdict = look_at(self, path);
}
