/* SPDX-License-Identifier: MIT */
/* rbcore-run: runs a program that was built for libbpf on rbcore; see rbcore-run.1. */
#include "../settings.h"
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIBRARY "librbcore-libbpf.so"
#define DLSYM_LIBRARY "librbcore-libbpf-dlsym.so"

/* The exit codes are those of env(1) and nohup(1). */
#define EXIT_OWN_FAILURE 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

struct options {
    const char *max_latency; /* microseconds; NULL: the default */
    const char *stats;       /* NULL: none */
    bool check, quiet;
};

static const char usage[] =
    "usage: rbcore-run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
    "Runs a program that was built for libbpf with rbcore's reader of ring buffers.\n"
    "\n"
    "  -l, --max-latency=TIME  how long a record of a busy ring may wait, as in 500us or 1ms\n"
    "                          (the default); 0: never\n"
    "  -s, --stats[=FILE]      say at the end what was gained, on standard error or in FILE\n"
    "  -c, --check             only tell whether PROGRAM can be helped; ends with 0 if so, 1 if "
    "not\n"
    "  -q, --quiet             say nothing of programs that cannot be helped\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "What it does not do: see rbcore-run(1).\n";

__attribute__((noreturn)) static void die(const char *what, const char *why) {
    fprintf(stderr, "rbcore-run: %s%s%s\n", what, why == NULL ? "" : ": ", why == NULL ? "" : why);
    exit(EXIT_OWN_FAILURE);
}

/* ---- Options ---- */

/* Microseconds, as a string that lives on. */
static const char *parse_time(const char *text) {
    static char result[32];
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    char *end;
    errno = 0;
    double number = strtod(text, &end), us = -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        us = strcmp(end, units[i].unit) == 0 ? number * units[i].us : us;
    }
    us = number == 0 && *end == '\0' ? 0 : us;
    if (end == text || errno != 0 || !(us >= 0 && us <= MAX_LATENCY_US_LIMIT)) {
        die("no time between 0 and 10s, such as 500us", text);
    }
    snprintf(result, sizeof(result), "%.0f", us);
    return result;
}

static struct options parse(int argc, char **argv) {
    static const struct option known[] = {{"max-latency", required_argument, NULL, 'l'},
                                          {"stats", optional_argument, NULL, 's'},
                                          {"check", no_argument, NULL, 'c'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {0}};
    struct options options = {0};
    int option;
    while ((option = getopt_long(argc, argv, "+l:s::cqhV", known, NULL)) != -1) {
        switch (option) {
        case 'l':
            options.max_latency = parse_time(optarg);
            break;
        case 's':
            options.stats = optarg == NULL ? "-" : optarg;
            break;
        case 'c':
            options.check = true;
            break;
        case 'q':
            options.quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        case 'V':
            puts("rbcore-run " RBCORE_RUN_VERSION);
            exit(EXIT_SUCCESS);
        default:
            fputs(usage, stderr);
            exit(EXIT_OWN_FAILURE);
        }
    }
    if (optind == argc) {
        fputs(usage, stderr);
        exit(EXIT_OWN_FAILURE);
    }
    return options;
}

/* ---- What is to be said of the program ---- */

/*
 * Filters that kill for other calls need this list. rbcore-run.1 has them, too, and a test
 * compares.
 */
static const char extra_calls[] =
    "clock_gettime clock_nanosleep dup3 epoll_pwait2 eventfd2 fcntl fstat getdents64 getpid "
    "getrandom kill madvise newfstatat openat read "
#ifdef SYS_readlink
    "readlink "
#else
    "readlinkat "
#endif
    "timerfd_create timerfd_settime";

/* Why it cannot be helped; NULL: it can, or may. */
static const char *why_not(const struct program *program) {
    switch (program->verdict) {
    case PROGRAM_STATIC:
        return "is statically linked; only a build with a shared libbpf can be helped";
    case PROGRAM_OWN_LIBBPF:
        return "has a libbpf of its own inside; only a build with a shared libbpf can be helped";
    case PROGRAM_PRIVILEGED:
        return "is setuid, setgid or has file capabilities, and so loads no other libraries; run "
               "rbcore-run as the user that it becomes";
    case PROGRAM_OTHER_ARCH:
        return "is of another architecture than rbcore-run";
    case PROGRAM_OTHER_LIBC:
        return "is for another C library than rbcore-run, such as musl";
    case PROGRAM_OLD_LIBBPF:
        return "is linked to a libbpf before 1.0";
    case PROGRAM_UNREADABLE:
        return "cannot be looked at";
    default:
        return NULL;
    }
}

static void tell(const struct options *options, const struct program *program) {
    const char *reason = why_not(program);
    const char *subject = program->interpreter[0] != '\0' ? program->interpreter : program->path;
    const char *runs = program->interpreter[0] != '\0' ? ", which runs it," : "";
    if (options->quiet) {
        return;
    }
    if (reason != NULL) {
        fprintf(stderr, "rbcore-run: %s: not helped: %s%s %s%s%s\n", program->path, subject, runs,
                reason, program->fault != NULL ? ": " : "",
                program->fault != NULL ? program->fault : "");
    } else if (program->verdict == PROGRAM_NOT_LINKED) {
        fprintf(stderr,
                "rbcore-run: %s: %s%s is not linked to libbpf.so.1: helped only if it loads that "
                "later, or runs programs that do\n",
                program->path, subject, runs);
    } else if (options->check) {
        printf("%s: is helped: %s%s is linked to libbpf.so.1\n", program->path, subject, runs);
        printf("a filter of system calls has to allow, besides what libbpf makes: %s\n",
               extra_calls);
    }
}

/* ---- Setting up ---- */

/* Finds a file in a folder, which is below another unless its path is absolute. */
static bool find_in(char *out, const char *above, const char *folder, const char *library) {
    const bool is_absolute = folder[0] == '/';
    snprintf(out, PATH_MAX, "%s%s%s/%s", is_absolute ? "" : above, is_absolute ? "" : "/", folder,
             library);
    return access(out, R_OK) == 0;
}

/* Beside rbcore-run as it was built, or where they were installed together. */
static void find_library(char *out, const char *library) {
    char own[PATH_MAX] = "";
    if (readlink("/proc/self/exe", own, sizeof(own) - 1) < 0) {
        die("/proc/self/exe", strerror(errno));
    }
    const char *folder = dirname(own);
    if (!find_in(out, folder, ".", library) &&
        !find_in(out, folder, RBCORE_RUN_LIBRARIES, library)) {
        die("not found", out);
    }
    char *resolved = realpath(out, NULL);
    if (resolved == NULL || strpbrk(resolved, " :") != NULL) {
        die("the loader takes no path with spaces or colons", out);
    }
    snprintf(out, PATH_MAX, "%s", resolved);
    free(resolved);
}

/* The libraries named there come after ours. */
static void put_first(const char *variable, const char *library) {
    const char *others = getenv(variable);
    char *value = NULL;
    bool has_others = others != NULL && others[0] != '\0';
    if (asprintf(&value, "%s%s%s", library, has_others ? ":" : "", has_others ? others : "") < 0 ||
        setenv(variable, value, 1) != 0) {
        die(variable, strerror(ENOMEM));
    }
    free(value);
}

/* The path is made absolute as seen from here, wherever the program goes. */
static void set_stats(const char *name) {
    bool is_relative = strcmp(name, "-") != 0 && name[0] != '/';
    char *folder = is_relative ? getcwd(NULL, 0) : NULL, *path = NULL;
    if (asprintf(&path, "%s%s%s", is_relative && folder != NULL ? folder : "",
                 is_relative ? "/" : "", name) < 0 ||
        setenv(SETTING_STATS, path, 1) != 0) {
        die(name, strerror(ENOMEM));
    }
    free(path);
    free(folder);
}

static void set_up(const struct options *options, enum verdict verdict) {
    char library[PATH_MAX];
    find_library(library, LIBRARY);
    put_first("LD_PRELOAD", library);
    /* One linked to libbpf does not look functions up by name, and auditing costs each exec. */
    if (verdict == PROGRAM_NOT_LINKED) {
        find_library(library, DLSYM_LIBRARY);
        put_first("LD_AUDIT", library);
    }
    if (options->max_latency != NULL) {
        setenv(SETTING_MAX_LATENCY, options->max_latency, 1);
    }
    if (options->stats != NULL) {
        set_stats(options->stats);
    }
}

int main(int argc, char **argv) {
    struct options options = parse(argc, argv);
    struct program program;
    program_look(&program, argv[optind]);
    if (program.verdict == PROGRAM_NOT_FOUND) {
        int code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
        fprintf(stderr, "rbcore-run: %s: %s\n", argv[optind], strerror(errno));
        return code;
    }
    tell(&options, &program);
    if (options.check) {
        return why_not(&program) == NULL && program.verdict == PROGRAM_LINKED ? 0 : 1;
    }
    if (why_not(&program) == NULL) {
        set_up(&options, program.verdict);
    }
    execvp(argv[optind], argv + optind);
    fprintf(stderr, "rbcore-run: %s: %s\n", argv[optind], strerror(errno));
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
