/* SPDX-License-Identifier: MIT */
/*
 * The first process of a machine that the script `matrix` starts: runs the tests that the file
 * /tests lists, tells on the second serial line what became of them, and switches the machine off.
 *
 * A line of /tests: its time limit in seconds, its name, and its program with its arguments. The
 * environment is what the kernel's command line gives.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 32
#define SKIPPED 77
/* The types of syslog(2), which no header has. */
#define SYSLOG_READ_ALL 3
#define SYSLOG_CLEAR 5
#define REPORT "\n@rbcore "

static void mount_all(void) {
    static const char *const mounts[][2] = {
        {"devtmpfs", "/dev"}, {"proc", "/proc"},     {"sysfs", "/sys"},
        {"tmpfs", "/tmp"},    {"tmpfs", "/dev/shm"}, {"tracefs", "/sys/kernel/tracing"},
    };
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        mkdir(mounts[i][1], 0755);
        mount(mounts[i][0], mounts[i][1], mounts[i][0], 0, NULL);
    }
}

/* Standard output and error go to the second serial line, as they are written. */
static void open_report(void) {
    int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
    struct termios raw;
    if (fd < 0 || tcgetattr(fd, &raw) != 0) {
        perror("/dev/ttyS1");
        return;
    }
    cfmakeraw(&raw);
    cfsetspeed(&raw, B115200);
    tcsetattr(fd, TCSANOW, &raw);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_child(char **words) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    execv(words[0], words);
    perror(words[0]);
    _exit(127);
}

/* Waits for one process among those that init inherits. Returns false if the time is up. */
static bool wait_for(pid_t pid, double limit, int *status) {
    double end = seconds() + limit;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t ended = waitpid(-1, status, WNOHANG);
        if (ended == pid) {
            return true;
        }
        if (ended > 0) {
            continue;
        }
        double left = end - seconds();
        if (left <= 0) {
            return false;
        }
        struct timespec timeout = {.tv_sec = (time_t)left, .tv_nsec = 100000000};
        sigtimedwait(&child, NULL, &timeout);
    }
}

/* Ends what a test left behind: of all processes only init is spared. */
static void end_the_others(void) {
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) {
    }
}

/* Prints what the kernel itself said during a test that failed. */
static void print_kernel_messages(void) {
    static char text[4096];
    int length = klogctl(SYSLOG_READ_ALL, text, sizeof(text) - 1);
    text[length > 0 ? length : 0] = '\0';
    printf("%s", text);
}

static void run_test(char *line) {
    char *words[WORDS_MAX + 1] = {0}, *state = NULL;
    const char *limit = strtok_r(line, " \n", &state), *name = strtok_r(NULL, " \n", &state);
    for (int i = 0; i < WORDS_MAX; i++) {
        words[i] = strtok_r(NULL, " \n", &state);
        if (words[i] == NULL) {
            break;
        }
    }
    if (words[0] == NULL) {
        return;
    }
    printf(REPORT "begin %s\n", name);
    klogctl(SYSLOG_CLEAR, NULL, 0);
    double started = seconds();
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        run_child(words);
    }
    bool ended = wait_for(pid, atof(limit), &status);
    double took = seconds() - started;
    end_the_others();
    if (!ended || (status != 0 && WEXITSTATUS(status) != SKIPPED)) {
        print_kernel_messages();
    }
    if (!ended) {
        printf(REPORT "end %s timeout %.1f\n", name, took);
    } else if (WIFSIGNALED(status)) {
        printf(REPORT "end %s signal-%d %.1f\n", name, WTERMSIG(status), took);
    } else {
        printf(REPORT "end %s %d %.1f\n", name, WEXITSTATUS(status), took);
    }
}

static void run_tests(void) {
    char line[1024];
    FILE *tests = fopen("/tests", "re");
    if (tests == NULL) {
        perror("/tests");
        return;
    }
    while (fgets(line, sizeof(line), tests) != NULL) {
        run_test(line);
    }
    fclose(tests);
    printf(REPORT "done\n");
}

int main(void) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    mount_all();
    open_report();
    struct utsname system;
    uname(&system);
    printf(REPORT "kernel %s\n", system.release);
    run_tests();
    tcdrain(STDOUT_FILENO);
    reboot(RB_POWER_OFF);
    return 1;
}
