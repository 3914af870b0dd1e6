/* SPDX-License-Identifier: MIT */
/* A process by its name, whether it still lives, and whether we are its forked child. */
#ifndef RBC_PROCESS_H
#define RBC_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Names a process beyond the reuse of its pid. Lives in shared memory: its layout is fixed. */
typedef struct rbc_process {
    uint8_t boot_id[16];
    uint64_t namespaces; /* in which pid and start_time are meant; 0: not known */
    uint64_t start_time; /* field 22 of /proc/PID/stat, in clock ticks; 0: not known */
    uint64_t image;      /* differs between the programs that one pid executes in turn */
    uint64_t pid;        /* 0: nobody */
} rbc_process;

typedef enum rbc_process_state {
    RBC_PROCESS_DEAD,
    RBC_PROCESS_ALIVE,
    RBC_PROCESS_SELF,   /* this very program */
    RBC_PROCESS_UNKNOWN /* in another namespace: nothing can be said */
} rbc_process_state;

rbc_process rbc_process_self(void);
rbc_process_state rbc_process_state_of(const rbc_process *process);

/*
 * Whether the process, of which rbc_process_state_of knows nothing, is seen to be dead: its pid
 * namespace lies below ours, so that /proc shows all its processes, and this one is none of them.
 * Sets *pid to what it is called in our namespace if it is seen to live, and else to 0. Reads what
 * /proc says of every process.
 */
bool rbc_process_is_dead_below(const rbc_process *process, uint64_t *pid);

/*
 * A name that fits a word with other things: the pid, and what tells processes apart that have had
 * it one after the other (no more than one in 4096 of them are taken for the same). It is 0 for
 * nobody.
 */
#define RBC_SHORT_NAME_BITS 50

uint64_t rbc_process_short_name(const rbc_process *process);
/* Both take the lowest bits of name. */
uint64_t rbc_short_name_pid(uint64_t name);
rbc_process_state rbc_short_name_state_of(uint64_t name);

/* The kernel's TASK_COMM_LEN. */
#define RBC_PROCESS_NAME_SIZE 16

/*
 * The name of the program that a process runs, for people; "" if it cannot be had. A process can
 * call itself anything: what is no printable ASCII becomes '?'.
 */
void rbc_process_name(uint64_t pid, char name[RBC_PROCESS_NAME_SIZE]);

/* Reads this boot's id; all zero where /proc is not mounted. */
void rbc_boot_id(uint8_t id[16]);

/* The same unless it was read into `id` before: it is all zero until then. */
void rbc_boot_id_once(uint8_t id[16]);

/*
 * Remembers the process in which a handle was opened. The word lies in a page that the kernel wipes
 * in a forked child, so that the check costs a load and not a system call.
 */
typedef struct rbc_fork_check {
    const _Atomic uint64_t *word;
    uint64_t token;
} rbc_fork_check;

/* Returns 0 or a negative errno of mmap(2) or madvise(2). */
int rbc_fork_check_init(rbc_fork_check *self);

/* Each call of the ABI asks this: no function call for it. */
static inline bool rbc_fork_check_passes(const rbc_fork_check *self) {
    return atomic_load_explicit(self->word, memory_order_relaxed) == self->token;
}

#endif
