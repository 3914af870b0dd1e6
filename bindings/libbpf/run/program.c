/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A script's interpreter may be a script; the kernel follows no further than so. */
#define SCRIPTS_MAX 4

/* The first line of a script that the kernel reads. */
#define FIRST_LINE 256

#define PROGRAM_HEADERS_MAX 4096

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

/* As execvp: a name without a slash is looked for in PATH. */
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

/* What `env` runs: the first argument that is neither an option nor sets a variable. */
static char *behind_env(char *word, char **rest) {
    do {
        word = next_word(rest);
    } while (word != NULL && (word[0] == '-' || strchr(word, '=') != NULL));
    return word;
}

/* If the file is a script, sets out to what runs it, and returns true. */
static bool find_interpreter(char *out, const char *path) {
    char line[FIRST_LINE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : pread(fd, line, sizeof(line) - 1, 0);
    close(fd);
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

/* ---- ELF ---- */

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

static bool is_of_same_arch(const ElfW(Ehdr) * header, const ElfW(Ehdr) * own) {
    return header->e_ident[EI_CLASS] == own->e_ident[EI_CLASS] &&
           header->e_ident[EI_DATA] == own->e_ident[EI_DATA] && header->e_machine == own->e_machine;
}

/* Sets out to the loader that the program asks for; empty: none, it is statically linked. */
static bool find_loader(char *out, int fd, const ElfW(Ehdr) * header) {
    out[0] = '\0';
    if (header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phnum > PROGRAM_HEADERS_MAX) {
        return false;
    }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(header->e_phoff + i * sizeof(segment));
        if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment)) {
            return false;
        }
        if (segment.p_type == PT_INTERP && segment.p_filesz > 0 && segment.p_filesz < PATH_MAX) {
            ssize_t length = (ssize_t)segment.p_filesz;
            bool read = pread(fd, out, (size_t)length, (off_t)segment.p_offset) == length;
            out[read ? length - 1 : 0] = '\0';
            return read;
        }
    }
    return true;
}

/* The libraries that the program's own loader would load for it, also through others. */
static FILE *list_libraries(const char *loader, const char *path, pid_t *child) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return NULL;
    }
    *child = fork();
    if (*child == 0) {
        unsetenv("LD_PRELOAD");
        unsetenv("LD_AUDIT");
        int null = open("/dev/null", O_RDWR);
        if (dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0) {
            execl(loader, loader, "--list", path, (char *)NULL);
        }
        _exit(127);
    }
    close(ends[1]);
    FILE *lines = *child < 0 ? NULL : fdopen(ends[0], "r");
    if (lines == NULL) {
        close(ends[0]);
    }
    return lines;
}

static enum verdict look_at_libraries(const char *loader, const char *path) {
    pid_t child = -1;
    FILE *lines = list_libraries(loader, path, &child);
    enum verdict verdict = lines == NULL ? PROGRAM_UNREADABLE : PROGRAM_NOT_LINKED;
    char line[PATH_MAX];
    while (lines != NULL && fgets(line, sizeof(line), lines) != NULL) {
        const char *name = line + strspn(line, " \t");
        if (strncmp(name, "libbpf.so.", 10) == 0) {
            verdict = strncmp(name, "libbpf.so.0", 11) == 0 ? PROGRAM_OLD_LIBBPF : PROGRAM_LINKED;
        }
    }
    if (lines != NULL) {
        fclose(lines);
    }
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
    return verdict;
}

static bool read_header(ElfW(Ehdr) * out, int fd) {
    return pread(fd, out, sizeof(*out), 0) == (ssize_t)sizeof(*out) &&
           memcmp(out->e_ident, ELFMAG, SELFMAG) == 0;
}

/* By its name, wherever it lies: the libraries are for the C library of ours. */
static bool is_same_loader(const char *loader, const char *own) {
    const char *name = strrchr(loader, '/'), *own_name = strrchr(own, '/');
    return name != NULL && own_name != NULL && strcmp(name, own_name) == 0;
}

/* own: rbcore-run, to compare with. */
static enum verdict look_at_elf(int fd, const char *path, int own) {
    ElfW(Ehdr) header, own_header;
    char loader[PATH_MAX], own_loader[PATH_MAX];
    if (!read_header(&header, fd) || !read_header(&own_header, own)) {
        return PROGRAM_UNREADABLE;
    }
    if (!is_of_same_arch(&header, &own_header)) {
        return PROGRAM_OTHER_ARCH;
    }
    if (!find_loader(loader, fd, &header) || !find_loader(own_loader, own, &own_header)) {
        return PROGRAM_UNREADABLE;
    }
    if (loader[0] == '\0') {
        return PROGRAM_STATIC;
    }
    return is_same_loader(loader, own_loader) ? look_at_libraries(loader, path)
                                              : PROGRAM_OTHER_LIBC;
}

static enum verdict look_at(const char *path) {
    if (has_privileges(path)) {
        return PROGRAM_PRIVILEGED;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return PROGRAM_UNREADABLE;
    }
    int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    enum verdict verdict = look_at_elf(fd, path, own);
    close(own);
    close(fd);
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
    self->verdict = look_at(path);
}
