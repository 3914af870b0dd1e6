/* SPDX-License-Identifier: MIT */
#include "forks.h"

#include "report.h"
#include "rings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned forks;

/*
 * 1, or 0 in a child that has not noticed the fork yet: it is in a page that the kernel wipes in
 * children. A handler of pthread_atfork would not do, because the system call and _Fork() do not
 * call it.
 */
static _Atomic unsigned *is_known;

unsigned forks_now(void) {
    if (is_known != NULL && atomic_load(is_known) == 0 && atomic_exchange(is_known, 1) == 0) {
        forks++;
        rings_begin_anew();
        report_begin_anew();
    }
    return forks;
}

/* Called at once, before there are threads that would call it at the same time. */
static void note_fork(void) {
    forks_now();
}

__attribute__((constructor)) static void listen_to_forks(void) {
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, size, MADV_WIPEONFORK) == 0) {
        is_known = page;
        atomic_store(is_known, 1);
    }
    pthread_atfork(NULL, NULL, note_fork);
}
