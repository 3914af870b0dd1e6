//go:build linux && cgo && !rbcore_pkgconfig

/* SPDX-License-Identifier: MIT */
/* Generated from capi/ by bindings/amalgamate.py. Do not edit. */
/* clang-format off */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

/* ==== include/rbcore/rbcore.h ==== */
#ifndef RBCORE_RBCORE_H
#define RBCORE_RBCORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RBCORE_API __attribute__((visibility("hidden")))
#else
#define RBCORE_API
#endif

#define RBCORE_VERSION UINT32_C(0x000300)

RBCORE_API uint32_t rbcore_version(void);

#define RBCORE_FEATURE_KERNEL_RING UINT32_C(1)
#define RBCORE_FEATURE_MEMORY_RING UINT32_C(2)
#define RBCORE_FEATURE_OVERWRITE UINT32_C(4)
#define RBCORE_FEATURE_USER_RING UINT32_C(8)

RBCORE_API int rbcore_supports(uint32_t feature);

RBCORE_API const char *rbcore_strerror(int error);

typedef struct rbcore_slice {
	const void *data;
	size_t size;
} rbcore_slice;

#define RBCORE_MEMORY_RING_OVERWRITE UINT32_C(1)

RBCORE_API int rbcore_memory_ring_create(int *memory_fd, int *event_fd, size_t ring_size,
										uint32_t flags);

#define RBCORE_SOURCE_MAP_FD UINT32_C(1)
#define RBCORE_SOURCE_PINNED_PATH UINT32_C(2)
#define RBCORE_SOURCE_MAP_ID UINT32_C(3)
#define RBCORE_SOURCE_MEMORY_RING UINT32_C(4)

#define RBCORE_SOURCE_LATEST UINT32_C(1)
#define RBCORE_SOURCE_INSIST UINT32_C(2)
#define RBCORE_SOURCE_OVERWRITE UINT32_C(4)
#define RBCORE_SOURCE_TAP UINT32_C(8)

typedef struct rbcore_source {
	size_t size;
	uint32_t kind;
	uint32_t flags;
	int32_t fd;
	int32_t event_fd;
	uint32_t map_id;
	int32_t loss_fd;
	const char *path;
	uint64_t cookie;
} rbcore_source;

#define RBCORE_SOURCE_INIT {sizeof(rbcore_source), 0, 0, -1, -1, 0, -1, NULL, 0}

RBCORE_API int rbcore_source_init(rbcore_source *out, size_t size);

typedef struct rbcore_reader rbcore_reader;

#define RBCORE_RINGS_MAX 65536

#define RBCORE_READER_RELEASE UINT32_C(1)

#define RBCORE_READER_POLL UINT32_C(2)

#define RBCORE_DEFAULT_MAX_LATENCY INT64_C(1000000)

typedef struct rbcore_reader_options {
	size_t size;
	uint32_t flags;
	uint32_t order_clock;
	int64_t max_latency_ns;
} rbcore_reader_options;

#define RBCORE_READER_OPTIONS_INIT {sizeof(rbcore_reader_options), 0, 0, RBCORE_DEFAULT_MAX_LATENCY}

RBCORE_API int rbcore_reader_options_init(rbcore_reader_options *out, size_t size);

typedef struct rbcore_record {
	const void *data;
	uint64_t position;
	uint32_t size;
	uint16_t ring;
	uint16_t flags;
} rbcore_record;

#define RBCORE_RECORD_COPIED UINT32_C(1)
#define RBCORE_RECORD_LOST_BEFORE UINT32_C(2)

RBCORE_API int rbcore_reader_open(rbcore_reader **out, const rbcore_reader_options *options);

RBCORE_API int rbcore_reader_ref(rbcore_reader *self);

RBCORE_API void rbcore_reader_free(rbcore_reader *self);

RBCORE_API int rbcore_reader_add(rbcore_reader *self, const rbcore_source *source);

RBCORE_API int rbcore_reader_remove(rbcore_reader *self, unsigned int ring);

RBCORE_API int rbcore_reader_ring_after(rbcore_reader *self, int ring);

RBCORE_API int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max);

RBCORE_API int rbcore_reader_look(rbcore_reader *self, rbcore_record *records, size_t max);

#define RBCORE_FOREVER (-1)

RBCORE_API int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
								int64_t timeout_ns);

typedef struct rbcore_span {
	const void *data;
	uint64_t position;
	uint32_t stride;
	uint32_t size;
	uint32_t count;
	uint16_t ring;
	uint16_t flags;
} rbcore_span;

RBCORE_API int rbcore_reader_next_spans(rbcore_reader *self, rbcore_span *spans, size_t max_spans,
										size_t max_records, int64_t timeout_ns);

#define RBCORE_COMMIT_NOW UINT32_C(1)

RBCORE_API int rbcore_reader_commit(rbcore_reader *self, const rbcore_record *last, uint32_t flags);

RBCORE_API int rbcore_reader_release(rbcore_reader *self, const rbcore_record *records,
									size_t count);

RBCORE_API int rbcore_reader_fd(const rbcore_reader *self);

RBCORE_API int rbcore_reader_interrupt(rbcore_reader *self);

RBCORE_API int rbcore_reader_flush(rbcore_reader *self);

RBCORE_API int rbcore_reader_shutdown(rbcore_reader *self);

RBCORE_API const char *rbcore_reader_message(const rbcore_reader *self);

#define RBCORE_UNKNOWN UINT64_MAX

typedef struct rbcore_reader_stats {
	size_t size;
	uint64_t records;
	uint64_t bytes;
	uint64_t discards;
	uint64_t batches;
	uint64_t commits;
	uint64_t wakeups;
	uint64_t rings;
} rbcore_reader_stats;

#define RBCORE_READER_STATS_INIT {sizeof(rbcore_reader_stats), 0, 0, 0, 0, 0, 0, 0}

RBCORE_API int rbcore_reader_stats_init(rbcore_reader_stats *out, size_t size);

RBCORE_API int rbcore_reader_stats_get(rbcore_reader *self, rbcore_reader_stats *out);

#define RBCORE_RING_BROKEN UINT64_C(1)
#define RBCORE_RING_UNGUARDED UINT64_C(2)
#define RBCORE_RING_PACED UINT64_C(4)

typedef struct rbcore_ring_stats {
	size_t size;
	uint64_t cookie;
	uint64_t flags;
	uint64_t map_id;
	uint64_t ring_size;
	uint64_t bytes_waiting;
	uint64_t high_water;
	uint64_t records;
	uint64_t bytes;
	uint64_t discards;
	uint64_t abandoned;
	uint64_t skipped;
	uint64_t lost;
	uint64_t producer_pos;
	uint64_t read_pos;
	uint64_t user_pos;
	uint64_t consumer_pos;
	uint64_t start_pos;
	uint64_t passed_bytes;
	uint64_t lost_bytes;
	uint64_t first_ring;
	uint64_t reader_pid;
} rbcore_ring_stats;

#define RBCORE_RING_STATS_INIT \
	{sizeof(rbcore_ring_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

RBCORE_API int rbcore_ring_stats_init(rbcore_ring_stats *out, size_t size);

RBCORE_API int rbcore_reader_ring_stats(rbcore_reader *self, unsigned int ring,
										rbcore_ring_stats *out);

RBCORE_API int rbcore_source_ring_stats(const rbcore_source *source, rbcore_ring_stats *out);

typedef struct rbcore_identity {
	size_t size;
	uint8_t boot_id[16];
	uint64_t kind;
	uint64_t ring_id;
	uint64_t position;
} rbcore_identity;

#define RBCORE_IDENTITY_INIT {sizeof(rbcore_identity), {0}, 0, 0, 0}

RBCORE_API int rbcore_identity_init(rbcore_identity *out, size_t size);

RBCORE_API int rbcore_reader_identity(rbcore_reader *self, const rbcore_record *record,
									rbcore_identity *out);

typedef struct rbcore_snapshot rbcore_snapshot;

#define RBCORE_SNAPSHOT_CONSUME UINT32_C(1)

RBCORE_API int rbcore_reader_snapshot(rbcore_reader *self, unsigned int ring,
									rbcore_snapshot **snapshot, uint32_t flags);

RBCORE_API int rbcore_snapshot_read(rbcore_snapshot *self, rbcore_record *records, size_t max);

RBCORE_API int rbcore_snapshot_rewind(rbcore_snapshot *self);

typedef struct rbcore_snapshot_info {
	size_t size;
	uint8_t boot_id[16];
	uint64_t kind;
	uint64_t ring_id;
	uint64_t ring_size;
	uint64_t first_pos;
	uint64_t end_pos;
	uint64_t producer_pos;
	uint64_t missed;
	uint64_t realtime_ns;
	uint64_t boottime_ns;
} rbcore_snapshot_info;

#define RBCORE_SNAPSHOT_INFO_INIT {sizeof(rbcore_snapshot_info), {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0}

RBCORE_API int rbcore_snapshot_info_init(rbcore_snapshot_info *out, size_t size);

RBCORE_API int rbcore_snapshot_info_get(const rbcore_snapshot *self, rbcore_snapshot_info *out);

RBCORE_API int rbcore_snapshot_save(const rbcore_snapshot *self, int fd);

RBCORE_API int rbcore_snapshot_load(rbcore_snapshot **out, int fd);

#define RBCORE_SNAPSHOT_HEADER_SIZE 128

RBCORE_API int rbcore_reader_snapshot_header(rbcore_reader *self, const rbcore_record *first,
											const rbcore_record *last, void *header,
											rbcore_slice *content);

RBCORE_API void rbcore_snapshot_free(rbcore_snapshot *self);

typedef struct rbcore_producer rbcore_producer;

#define RBCORE_PRODUCERS_MAX 64

#define RBCORE_NO_WAKEUP UINT32_C(1)
#define RBCORE_FORCE_WAKEUP UINT32_C(2)

RBCORE_API int rbcore_producer_open(rbcore_producer **out, const rbcore_source *source);

RBCORE_API void rbcore_producer_free(rbcore_producer *self);

RBCORE_API int rbcore_producer_reserve(rbcore_producer *self, void **data, size_t size);

RBCORE_API int rbcore_producer_reserve_wait(rbcore_producer *self, void **data, size_t size,
											int64_t timeout_ns);

RBCORE_API int rbcore_producer_submit(rbcore_producer *self, void *data, uint32_t flags);

RBCORE_API int rbcore_producer_discard(rbcore_producer *self, void *data, uint32_t flags);

RBCORE_API int rbcore_producer_output(rbcore_producer *self, const void *data, size_t size,
									uint32_t flags);

RBCORE_API int rbcore_producer_output_batch(rbcore_producer *self, const rbcore_slice *slices,
											size_t count, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

/* ==== capi/mapping.h ==== */
#ifndef RBC_MAPPING_H
#define RBC_MAPPING_H

typedef struct rbc_mapping {
	unsigned char *consumer_page;
	unsigned char *producer_page;
	unsigned char *data;
	size_t data_size;
	size_t page_size;
} rbc_mapping;

typedef enum rbc_mapping_side {
	RBC_CONSUMER_SIDE,
	RBC_PRODUCER_SIDE,
	RBC_TAP_SIDE
} rbc_mapping_side;

size_t rbc_page_size(void);

int rbc_ring_size_is_valid(size_t size, size_t page_size);

int rbc_mapping_open_map(rbc_mapping *out, int fd, size_t data_size, rbc_mapping_side side);

int rbc_mapping_open_user_map(rbc_mapping *out, int fd, size_t data_size);

int rbc_mapping_open_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
							rbc_mapping_side side);

int rbc_mapping_open_pages(rbc_mapping *out, int fd, size_t data_size);

void rbc_mapping_close_pages(rbc_mapping *self);

int rbc_memfd(const char *name, unsigned flags);

int rbc_mapping_open_copy(rbc_mapping *out, size_t data_size);

int rbc_set_file_size(int fd, uint64_t size);

int rbc_mapping_error(void);

void rbc_mapping_close(rbc_mapping *self);

#endif

/* ==== capi/kernel.h ==== */
#ifndef RBC_KERNEL_H
#define RBC_KERNEL_H

#if defined(__x86_64__) && defined(__LP64__)
#define RBC_SYS_MEMFD_CREATE 319
#define RBC_SYS_GETRANDOM 318
#define RBC_SYS_BPF 321
#define RBC_SYS_FUTEX 202
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__i386__)
#define RBC_SYS_MEMFD_CREATE 356
#define RBC_SYS_GETRANDOM 355
#define RBC_SYS_BPF 357
#define RBC_SYS_FUTEX 422
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__LP64__) && (defined(__aarch64__) || defined(__riscv) || defined(__loongarch__))
#define RBC_SYS_MEMFD_CREATE 279
#define RBC_SYS_GETRANDOM 278
#define RBC_SYS_BPF 280
#define RBC_SYS_FUTEX 98
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__arm__) && defined(__ARM_EABI__)
#define RBC_SYS_MEMFD_CREATE 385
#define RBC_SYS_GETRANDOM 384
#define RBC_SYS_BPF 386
#define RBC_SYS_FUTEX 422
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__powerpc64__)
#define RBC_SYS_MEMFD_CREATE 360
#define RBC_SYS_GETRANDOM 359
#define RBC_SYS_BPF 361
#define RBC_SYS_FUTEX 221
#define RBC_SYS_EPOLL_PWAIT2 441
#elif defined(__s390x__)
#define RBC_SYS_MEMFD_CREATE 350
#define RBC_SYS_GETRANDOM 349
#define RBC_SYS_BPF 351
#define RBC_SYS_FUTEX 238
#define RBC_SYS_EPOLL_PWAIT2 441
#else
#define RBC_SYS_MEMFD_CREATE SYS_memfd_create
#define RBC_SYS_GETRANDOM SYS_getrandom
#define RBC_SYS_BPF SYS_bpf
#ifdef SYS_futex_time64
#define RBC_SYS_FUTEX SYS_futex_time64
#else
#define RBC_SYS_FUTEX SYS_futex
#endif
#define RBC_SYS_EPOLL_PWAIT2 SYS_epoll_pwait2
#endif

typedef struct rbc_kernel_time {
	int64_t seconds;
	long long nanoseconds;
} rbc_kernel_time;

static inline rbc_kernel_time rbc_kernel_time_of(int64_t ns) {
	return (rbc_kernel_time){.seconds = ns / 1000000000, .nanoseconds = ns % 1000000000};
}

#define RBC_FUTEX_WAIT 0
#define RBC_FUTEX_WAKE 1

#define RBC_MFD_CLOEXEC 1u
#define RBC_MFD_ALLOW_SEALING 2u
#define RBC_MFD_NOEXEC_SEAL 8u

#define RBC_F_ADD_SEALS 1033
#define RBC_F_GET_SEALS 1034
#define RBC_F_SEAL_SEAL 1
#define RBC_F_SEAL_SHRINK 2
#define RBC_F_SEAL_GROW 4

#define RBC_F_OFD_GETLK 36
#define RBC_F_OFD_SETLK 37

#define RBC_MADV_WIPEONFORK 18

#define RBC_GRND_NONBLOCK 1u

#define RBC_BPF_MAP_CREATE 0
#define RBC_BPF_MAP_LOOKUP_ELEM 1
#define RBC_BPF_OBJ_GET 7
#define RBC_BPF_MAP_GET_FD_BY_ID 14
#define RBC_BPF_OBJ_GET_INFO_BY_FD 15

#define RBC_BPF_MAP_TYPE_PERCPU_ARRAY 6
#define RBC_BPF_MAP_TYPE_RINGBUF 27
#define RBC_BPF_MAP_TYPE_USER_RINGBUF 31

#define RBC_BPF_F_RB_OVERWRITE (1u << 19)

typedef union rbc_bpf_arguments {
	struct {
		uint32_t map_type;
		uint32_t key_size;
		uint32_t value_size;
		uint32_t max_entries;
		uint32_t map_flags;
	} create;
	struct {
		uint32_t map_fd;
		uint32_t padding;
		uint64_t key;
		uint64_t value;
		uint64_t flags;
	} element;
	struct {
		uint64_t path;
		uint32_t fd;
		uint32_t flags;
	} object;
	uint32_t map_id;
	struct {
		uint32_t fd;
		uint32_t size;
		uint64_t info;
	} info;
} rbc_bpf_arguments;

typedef struct rbc_map_info {
	uint32_t type;
	uint32_t id;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags;
	char name[16];
} rbc_map_info;

#endif

/* ==== capi/uncancelled.h ==== */
#ifndef RBC_UNCANCELLED_H
#define RBC_UNCANCELLED_H

static inline int rbc_put_off_cancellation(void) {
	int before;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void rbc_allow_cancellation(int *before) {
	pthread_setcancelstate(*before, before);
}

#define RBC_UNCANCELLED \
	__attribute__((cleanup(rbc_allow_cancellation), unused)) int rbc_cancellation = \
		rbc_put_off_cancellation()

static inline void rbc_close(int fd) {
	RBC_UNCANCELLED;
	if (fd >= 0) {
		close(fd);
	}
}

#endif

/* ==== capi/process.h ==== */
#ifndef RBC_PROCESS_H
#define RBC_PROCESS_H

typedef struct rbc_process {
	uint8_t boot_id[16];
	uint64_t namespaces;
	uint64_t start_time;
	uint64_t image;
	uint64_t pid;
} rbc_process;

typedef enum rbc_process_state {
	RBC_PROCESS_DEAD,
	RBC_PROCESS_ALIVE,
	RBC_PROCESS_SELF,
	RBC_PROCESS_UNKNOWN
} rbc_process_state;

rbc_process rbc_process_self(void);
rbc_process_state rbc_process_state_of(const rbc_process *process);

bool rbc_process_is_dead_below(const rbc_process *process, uint64_t *pid);

#define RBC_SHORT_NAME_BITS 50

uint64_t rbc_process_short_name(const rbc_process *process);
uint64_t rbc_short_name_pid(uint64_t name);
rbc_process_state rbc_short_name_state_of(uint64_t name);

#define RBC_PROCESS_NAME_SIZE 16

void rbc_process_name(uint64_t pid, char name[RBC_PROCESS_NAME_SIZE]);

void rbc_boot_id(uint8_t id[16]);

void rbc_boot_id_once(uint8_t id[16]);

typedef struct rbc_fork_check {
	const _Atomic uint64_t *word;
	uint64_t token;
} rbc_fork_check;

int rbc_fork_check_init(rbc_fork_check *self);

static inline bool rbc_fork_check_passes(const rbc_fork_check *self) {
	return atomic_load_explicit(self->word, memory_order_relaxed) == self->token;
}

#endif

/* ==== capi/owner.h ==== */
#ifndef RBC_OWNER_H
#define RBC_OWNER_H

typedef struct rbc_owner_block rbc_owner_block;

typedef struct rbc_owner_lock {
	int fd;
	uint64_t byte;
	bool is_ours;
	bool is_shared;
} rbc_owner_lock;

typedef struct rbc_owner {
	rbc_owner_block *block;
	uint64_t claim;
	rbc_owner_lock lock;
	bool locked;
	uint64_t other_pid;
	rbc_process_state other_state;
	bool other_is_left;
} rbc_owner;

int rbc_owner_claim(rbc_owner *self, unsigned char *page, size_t page_size,
					const rbc_owner_lock *lock, const rbc_process *process, bool insist,
					bool *guarded);

rbc_owner_lock rbc_owner_map_lock(int event_fd, int map_fd, uint32_t map_id, bool *serves);

uint64_t rbc_owner_committed(const rbc_owner *self);

void rbc_owner_note_committed(rbc_owner *self, uint64_t position);

void rbc_owner_note_left(rbc_owner *self);

bool rbc_owner_is_ours(const rbc_owner *self);

uint64_t rbc_owner_pid(const unsigned char *page, size_t page_size);

#define RBC_OWNER_TEXT_SIZE 96

const char *rbc_owner_other(const rbc_owner *self, char *text, size_t size);

void rbc_owner_yield(rbc_owner *self);

bool rbc_lock_byte(int fd, uint64_t byte);

void rbc_unlock_byte(int fd, uint64_t byte);

bool rbc_byte_is_locked(int fd, uint64_t byte);

#endif

/* ==== capi/map.h ==== */
#ifndef RBC_MAP_H
#define RBC_MAP_H

int rbc_map_open_path(const char *path);
int rbc_map_open_id(uint32_t id);

bool rbc_map_positions_are_whole(void);

int rbc_map_get_info(int fd, rbc_map_info *info);

int rbc_map_get_info_of_any(int fd, rbc_map_info *info);

bool rbc_map_is_something_else(int fd);

bool rbc_map_counts_losses(const rbc_map_info *info);

int rbc_map_read_losses(int fd, uint64_t *records);

int rbc_map_probe_ring(uint32_t type, uint32_t flags);

#endif

/* ==== capi/memory_ring.h ==== */
#ifndef RBC_MEMORY_RING_H
#define RBC_MEMORY_RING_H

#define RBC_MEMORY_RING_MAX ((size_t)1 << 30)

#define RBC_CONSUMER_BYTE 0
#define RBC_PRODUCER_BYTE(slot) (1 + (uint64_t)(slot))

typedef struct rbc_producer_slot {
	_Atomic uint64_t generation;
	rbc_process process;
} rbc_producer_slot;

#define RBC_TOKEN_BIT (UINT32_C(1) << 30)
#define RBC_TOKEN_GENERATIONS (UINT32_C(1) << 24)

typedef struct rbc_producer_page {
	_Atomic uint64_t producer_pos;
	_Atomic uint64_t pending_pos;
	_Atomic uint64_t overwrite_pos;
	unsigned char kernels[104];
	_Atomic uint64_t tag;
	_Atomic uint64_t page_size;
	_Atomic uint64_t data_size;
	_Atomic uint64_t flags;
	unsigned char unused[32];
	_Atomic uint32_t lock;
	unsigned char lock_line[60];
	_Atomic uint64_t lost;
	unsigned char lost_line[248];
	rbc_producer_slot slots[RBCORE_PRODUCERS_MAX];
} rbc_producer_page;

static_assert(offsetof(rbc_producer_page, overwrite_pos) == 16, "where the kernel has it");
static_assert(offsetof(rbc_producer_page, tag) == 128, "shared between processes");
static_assert(offsetof(rbc_producer_page, flags) == 152, "shared between processes");
static_assert(offsetof(rbc_producer_page, lock) == 192, "shared between processes");
static_assert(offsetof(rbc_producer_page, lost) == 256, "shared between processes");
static_assert(offsetof(rbc_producer_page, slots) == 512, "shared between processes");
static_assert(sizeof(rbc_producer_page) == 4096, "fits the smallest page");

static inline rbc_producer_page *rbc_producer_page_of(const rbc_mapping *mapping) {
	return (rbc_producer_page *)(void *)mapping->producer_page;
}

int rbc_memory_ring_check(int fd, size_t *data_size, ino_t *inode);

int rbc_memory_ring_check_layout(const rbc_mapping *mapping, bool *overwrites);

int rbc_event_fd_check(int fd);

void rbc_event_fd_signal(int fd);

int rbc_duplicate(int fd);

int rbc_reopen(int fd);

bool rbc_producer_is_gone(rbc_producer_page *page, int lock_fd, uint32_t token,
						unsigned asked_before);

#endif

/* ==== capi/keep_errno.h ==== */
#ifndef RBC_KEEP_ERRNO_H
#define RBC_KEEP_ERRNO_H

static inline void rbc_restore_errno(const int *saved) {
	errno = *saved;
}

#define RBC_KEEP_ERRNO \
	__attribute__((cleanup(rbc_restore_errno), unused)) const int rbc_saved_errno = errno

#endif

/* ==== capi/wait.h ==== */
#ifndef RBC_WAIT_H
#define RBC_WAIT_H

int64_t rbc_now_ns(void);

typedef struct rbc_clock {
	int64_t now_ns;
} rbc_clock;

static inline int64_t rbc_clock_now(rbc_clock *self) {
	self->now_ns = self->now_ns != 0 ? self->now_ns : rbc_now_ns();
	return self->now_ns;
}

int64_t rbc_deadline_after(rbc_clock *clock, int64_t timeout_ns);

typedef struct rbc_wait {
	int epoll_fd;
	int wake_fd;
	int timer_fd;
	int64_t delay_ns;
	int64_t timer_due;
	atomic_bool woken;
	atomic_bool parked;
	_Atomic uint64_t wakeups;
	void (*heard)(void *reader, uint64_t tag);
	void *reader;
	bool is_fetching;
} rbc_wait;

int rbc_wait_open(rbc_wait *self);

void rbc_wait_close_epoll(rbc_wait *self);

void rbc_wait_close(rbc_wait *self);

#define RBC_UNHEARD UINT64_MAX

int rbc_wait_add(rbc_wait *self, int fd, uint64_t tag);
void rbc_wait_remove(rbc_wait *self, int fd);

void rbc_wait_drain(rbc_wait *self);

void rbc_wait_drain_timer(rbc_wait *self, int64_t now);

int rbc_wait_block(rbc_wait *self, int64_t timeout_ns);

struct epoll_event;
int rbc_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns);

void rbc_wait_wake(rbc_wait *self);

int64_t rbc_wait_next_delay(rbc_wait *self);

#define RBC_FIRST_DELAY_NS INT64_C(50000)

static inline void rbc_wait_reset_delay(rbc_wait *self) {
	self->delay_ns = RBC_FIRST_DELAY_NS;
}

void rbc_wait_start_timer(rbc_wait *self, int64_t now, int64_t delay_ns);

#endif

/* ==== capi/counter.h ==== */
#ifndef RBC_COUNTER_H
#define RBC_COUNTER_H

static inline void rbc_count(_Atomic uint64_t *figure, uint64_t amount) {
	uint64_t old = atomic_load_explicit(figure, memory_order_relaxed);
	atomic_store_explicit(figure, old + amount, memory_order_relaxed);
}

static inline uint64_t rbc_get(const _Atomic uint64_t *figure) {
	return atomic_load_explicit(figure, memory_order_relaxed);
}

#endif

/* ==== capi/checked_copy.h ==== */
#ifndef RBC_CHECKED_COPY_H
#define RBC_CHECKED_COPY_H

typedef struct rbc_copy_source {
	const rbc_mapping *mapping;
	const _Atomic uint64_t *consumer_pos;
	const _Atomic uint64_t *producer_pos;
	const _Atomic uint64_t *pending_pos;
	const _Atomic uint64_t *overwrite_pos;
	uint64_t margin;
} rbc_copy_source;

#define RBC_COPY_PIECE ((size_t)65536)

rbc_copy_source rbc_copy_source_of(const rbc_mapping *mapping, bool is_overwrite, bool is_memory);

static inline bool rbc_is_after(uint64_t position, uint64_t other) {
	return (int64_t)(position - other) > 0;
}

uint64_t rbc_copy_oldest(const rbc_copy_source *self);

uint32_t rbc_copy_length(const rbc_copy_source *self, uint64_t position);

uint32_t rbc_copy_token(const rbc_copy_source *self, uint64_t position);

typedef enum rbc_copy_stop {
	RBC_COPY_ALL,
	RBC_COPY_BUSY,
	RBC_COPY_BAD
} rbc_copy_stop;

typedef struct rbc_copy_end {
	uint64_t position;
	uint64_t producer_pos;
	uint64_t walked_from;
	rbc_copy_stop why;
} rbc_copy_end;

rbc_copy_end rbc_copy_find_end(const rbc_copy_source *self, uint64_t from);

uint64_t rbc_copy_valid_from(const rbc_copy_source *self, uint64_t from);

uint64_t rbc_copy_bytes(const rbc_copy_source *self, void *to, uint64_t from, size_t bytes);

#endif

/* ==== capi/fence.h ==== */
#ifndef RBC_FENCE_H
#define RBC_FENCE_H

static inline void rbc_full_fence(void) {
#ifdef RBCORE_THREAD_SANITIZER
	extern atomic_int rbc_fence;
	atomic_fetch_add_explicit(&rbc_fence, 0, memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void rbc_store_fence(void) {
#ifdef RBCORE_THREAD_SANITIZER
	rbc_full_fence();
#else
	atomic_thread_fence(memory_order_release);
#endif
}

static inline void rbc_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif

/* ==== capi/layout.h ==== */
#ifndef RBC_LAYOUT_H
#define RBC_LAYOUT_H

typedef struct rbc_header {
	_Atomic uint32_t length;
	_Atomic uint32_t token;
} rbc_header;

#define RBC_BUSY (UINT32_C(1) << 31)
#define RBC_DISCARD (UINT32_C(1) << 30)
#define RBC_HEADER_SIZE 8

static inline uint64_t rbc_record_span(uint32_t size) {
	return ((uint64_t)size + RBC_HEADER_SIZE + 7) & ~UINT64_C(7);
}

static inline rbc_header *rbc_header_at(const rbc_mapping *mapping, uint64_t position) {
	uint64_t offset = position & (mapping->data_size - 1);
	return (rbc_header *)(void *)(mapping->data + offset);
}

static inline uint32_t rbc_load_length(const void *header) {
	return atomic_load_explicit(&((const rbc_header *)header)->length, memory_order_acquire);
}

#endif

/* ==== capi/sized.h ==== */
#ifndef RBC_SIZED_H
#define RBC_SIZED_H

#define RBC_SIZED_MAX 4096

int rbc_sized_in(void *known, size_t known_size, const void *given);

int rbc_sized_out(void *given, const void *known, size_t known_size);

int rbc_sized_init(void *out, size_t size, const void *defaults, size_t defaults_size);

#endif

/* ==== capi/commit.h ==== */
#ifndef RBC_COMMIT_H
#define RBC_COMMIT_H

#define RBC_TURNS_PER_RING 1024
#define RBC_TURNS_PER_FURTHER_RING 16

typedef struct rbc_turn {
	uint64_t end;
	struct rbc_ring *ring;
} rbc_turn;

typedef struct rbc_turns {
	rbc_turn *entries;
	size_t capacity, first, count;
} rbc_turns;

bool rbc_commit_holds(const struct rbc_ring *ring, const rbcore_record *record);

int rbc_turns_grow(rbc_turns *self, size_t rings);

void rbc_turns_free(rbc_turns *self);

void rbc_turns_forget(rbc_turns *self, const struct rbc_ring *ring);

bool rbc_turns_end_with(const rbc_turns *self, const struct rbc_ring *ring);

static inline bool rbc_turns_are_full(const rbc_turns *self) {
	return self->count == self->capacity;
}

void rbc_turns_note(rbc_turns *self, struct rbc_ring *ring, uint64_t end);

#endif

/* ==== capi/pace.h ==== */
#ifndef RBC_PACE_H
#define RBC_PACE_H

struct rbc_ring;

#define RBC_PACE_SHORTEST_NS INT64_C(50000)

#define RBC_HELD_BACK_PART 64

typedef struct rbc_pace {
	int64_t ceiling_ns;
	int64_t hot_since_ns;
	uint64_t bytes_at;
	uint32_t interval;
	uint32_t found;
	unsigned heard;
	bool is_hot;
	bool always;
	bool drained;
	bool was_half_full;
} rbc_pace;

void rbc_pace_init(struct rbc_ring *ring, int64_t max_latency_ns, bool always);

bool rbc_pace_has_timer(const struct rbc_ring *ring);

int64_t rbc_pace_longest(const struct rbc_ring *ring);

bool rbc_pace_is_full_enough(const struct rbc_ring *ring, uint64_t max);

typedef enum rbc_fill { RBC_FILLS_SLOWLY, RBC_FILLS_WELL, RBC_FILLS_FAST } rbc_fill;

rbc_fill rbc_pace_end_interval(struct rbc_ring *ring);

bool rbc_pace_becomes_hot(struct rbc_ring *ring, rbc_clock *clock, bool only_due);

bool rbc_pace_stays_hot(struct rbc_ring *ring, rbc_clock *clock, bool has_found, bool only_due);

#endif

/* ==== capi/by_ring.h ==== */
#ifndef RBC_BY_RING_H
#define RBC_BY_RING_H

void rbc_reader_commit_by_ring(rbcore_reader *self);

typedef enum rbc_descriptor {
	RBC_FD_OWN,
	RBC_FD_KEPT,
	RBC_FD_LENT
} rbc_descriptor;

int rbc_reader_add_by_descriptor(rbcore_reader *self, const rbcore_source *source,
								rbc_descriptor descriptor);

int rbc_reader_wait_for_rings(rbcore_reader *self, uint16_t *rings, size_t max, int64_t timeout_ns);

int rbc_reader_arm(rbcore_reader *self);

int rbc_reader_look_at(rbcore_reader *self, unsigned ring, rbcore_record *records, size_t max);

bool rbc_reader_is_at_rest(const rbcore_reader *self, unsigned ring);

#define RBC_ALL_OF_IT UINT64_MAX

void rbc_reader_commit_ring(rbcore_reader *self, unsigned ring, uint64_t end, bool now);

#endif

/* ==== capi/ring.h ==== */
#ifndef RBC_RING_H
#define RBC_RING_H

typedef struct rbc_ring {
	const struct rbc_kind *kind;
	rbcore_reader *reader;
	rbc_mapping mapping;
	struct rbc_shadow *shadow;
	_Atomic uint64_t *consumer_pos;
	_Atomic uint64_t *producer_pos;
	uint16_t index;
	uint16_t record_flags;

	atomic_bool broken;
	atomic_bool is_paced;
	bool left_epoll;
	bool head_is_busy;
	unsigned busy_scans;
	unsigned liveness_checks;
	_Atomic uint64_t read_pos;
	_Atomic uint64_t last_pos;
	_Atomic uint64_t largest_span;
	uint64_t last_span;
	uint64_t handed_end;
	rbc_pace pace;
	struct rbc_ring *next, *previous;
	bool is_in_round;
	bool may_leave;
	uint64_t swept_pos;
	uint64_t flush_pos;
	uint64_t flush_found;
	_Atomic uint64_t records, bytes, discards, abandoned, skipped, high_water;
	_Atomic uint64_t passed_bytes;
	_Atomic uint64_t lost_bytes;

	_Atomic uint64_t user_pos;
	uint64_t published_pos;
	rbc_owner owner;

	_Atomic uint64_t *held;
	_Atomic uint32_t advancing;
	_Atomic uint64_t refs;

	uint64_t start_pos;
	uint64_t cookie;
	uint64_t map_id;
	ino_t inode;
	bool from_latest;
	bool is_guarded;
	rbc_descriptor descriptor;
	int fd;
	int wake_fd;
	int loss_fd;
} rbc_ring;

typedef struct rbc_passed {
	size_t first;
	size_t count;
	uint64_t end;
	uint64_t last;
	uint64_t position;
} rbc_passed;

typedef enum rbc_scan_end {
	RBC_SCAN_EMPTY,
	RBC_SCAN_FULL,
	RBC_SCAN_BOUND,
	RBC_SCAN_BROKEN,
} rbc_scan_end;

typedef struct rbc_scan {
	rbcore_record *records;
	rbcore_span *spans;
	size_t spans_left;
	size_t max;
	size_t count;
	uint64_t bytes;
	size_t skips_left;
} rbc_scan;

int rbc_ring_load_positions(rbc_ring *self, uint64_t committed);

void rbc_ring_start_at(rbc_ring *self, uint64_t start, uint64_t consumer);

rbc_scan_end rbc_ring_scan(rbc_ring *self, rbc_scan *scan, rbc_passed *passed);

rbc_passed rbc_ring_skip_to_latest(rbc_ring *self);

static inline bool rbc_ring_is_paced(const rbc_ring *self) {
	return atomic_load_explicit(&self->is_paced, memory_order_relaxed);
}

static inline bool rbc_ring_may_be_left(const rbc_ring *self) {
	return rbc_ring_is_paced(self) && self->pace.drained;
}

static inline rbc_header *rbc_ring_header(const rbc_ring *self, uint64_t position) {
	return rbc_header_at(&self->mapping, position);
}

static inline uint64_t rbc_ring_load_producer_pos(const rbc_ring *self) {
	return atomic_load_explicit(self->producer_pos, memory_order_acquire);
}

static inline bool rbc_ring_is_data_of(const rbc_ring *self, const void *data, uint64_t position) {
	const unsigned char *first = (const unsigned char *)(rbc_ring_header(self, position) + 1);
	return data == first || data == first + self->mapping.data_size;
}

static inline uint32_t rbc_get_length(const rbc_ring *self, uint64_t position) {
	return atomic_load_explicit(&rbc_ring_header(self, position)->length, memory_order_relaxed);
}

#endif

/* ==== capi/idle.h ==== */
#ifndef RBC_IDLE_H
#define RBC_IDLE_H

#ifndef RBC_FEW_RINGS
#define RBC_FEW_RINGS 16
#endif
#ifndef RBC_LOOKS_PER_SWEEP
#define RBC_LOOKS_PER_SWEEP 16
#endif

#define RBC_FEW_IN_ROUND (RBC_FEW_RINGS / 8)

#define RBC_LOOK_NOW_AND_THEN_NS INT64_C(100000000)

typedef struct rbc_idling {
	unsigned looks;
	unsigned busy_looks;
	bool has_found;
	int64_t heard_ns;
	int64_t seen_ns;
} rbc_idling;

void rbc_idle_add(rbcore_reader *self, rbc_ring *ring);
void rbc_idle_remove(rbcore_reader *self, rbc_ring *ring);

void rbc_idle_end(rbcore_reader *self, rbc_ring *ring);

void rbc_idle_hear(void *reader, uint64_t index);

void rbc_idle_sweep(rbcore_reader *self);

static inline void rbc_idle_sweep_next(rbc_idling *self) {
	self->looks = RBC_LOOKS_PER_SWEEP;
}

void rbc_idle_listen(rbcore_reader *self, rbc_clock *clock);

bool rbc_idle_look(rbcore_reader *self, rbc_clock *clock);

void rbc_idle_look_if_cheap(rbcore_reader *self, rbc_clock *clock);

void rbc_idle_look_now_and_then(rbcore_reader *self, rbc_clock *clock);

void rbc_idle_look_if_in_vain(rbcore_reader *self, rbc_clock *clock);

#endif

/* ==== capi/pacing.h ==== */
#ifndef RBC_PACING_H
#define RBC_PACING_H

#define RBC_PACING_ENTER 4
#define RBC_PACING_LEAVE 2

typedef struct rbc_pacing {
	int64_t interval_ns;
	int64_t since_ns;
	uint64_t found;
	uint32_t number;
	uint32_t loose;
	unsigned slow;
	unsigned timed;
	unsigned hot;
	bool is_busy;
	bool has_rest;
} rbc_pacing;

void rbc_pacing_init(rbcore_reader *reader);

void rbc_pacing_add(rbcore_reader *reader, const rbc_ring *ring);
void rbc_pacing_remove(rbcore_reader *reader, const rbc_ring *ring);

bool rbc_pacing_is_due(const rbcore_reader *reader, rbc_clock *clock, uint64_t max);

static inline void rbc_pacing_note(rbc_pacing *self, rbc_ring *ring, uint32_t passed) {
	rbc_pace *pace = &ring->pace;
	pace->found = passed + (pace->interval == self->number ? pace->found : 0);
	pace->interval = self->number;
	self->found += passed;
	self->loose += rbc_ring_is_paced(ring) ? 0 : passed;
}

void rbc_pacing_judge_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock);

static inline bool rbc_pacing_may_judge_ring(const rbc_pacing *self, const rbc_ring *ring) {
	return self->is_busy || ring->pace.was_half_full || ring->pace.is_hot;
}

static inline bool rbc_pacing_can_change(const rbc_pacing *self) {
	return self->is_busy || self->found >= RBC_PACING_ENTER;
}

void rbc_pacing_judge(rbcore_reader *reader, rbc_clock *clock, bool only_due);

void rbc_pacing_park_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock, bool only_due);

static inline int64_t rbc_pacing_deadline(const rbc_pacing *self) {
	return self->hot > 0 ? 0 : self->timed > 0 ? self->since_ns + self->interval_ns : INT64_MAX;
}

#endif

/* ==== capi/ring_table.h ==== */
#ifndef RBC_RING_TABLE_H
#define RBC_RING_TABLE_H

typedef struct rbc_slot {
	_Atomic(rbc_ring *) ring;
	unsigned place;
	atomic_bool is_read;
} rbc_slot;

#define RBC_CHUNK_SLOTS 256
#define RBC_CHUNKS (RBCORE_RINGS_MAX / RBC_CHUNK_SLOTS)

typedef struct rbc_ring_table {
	rbc_ring **rings;
	unsigned count, capacity;
	unsigned next_slot;
	_Atomic(rbc_slot *) chunks[RBC_CHUNKS];
} rbc_ring_table;

void rbc_ring_table_free(rbc_ring_table *self);

int rbc_ring_table_reserve(rbc_ring_table *self);

void rbc_ring_table_put(rbc_ring_table *self, rbc_ring *ring, unsigned index);

rbc_ring *rbc_ring_table_find(const rbc_ring_table *self, unsigned index);

void rbc_ring_table_take_out(rbc_ring_table *self, const rbc_ring *ring);

static inline rbc_ring *rbc_ring_table_at(const rbc_ring_table *self, unsigned index) {
	if (index >= RBCORE_RINGS_MAX) {
		return NULL;
	}
	const rbc_slot *chunk =
		atomic_load_explicit(&self->chunks[index / RBC_CHUNK_SLOTS], memory_order_acquire);
	return chunk == NULL
			? NULL
			: atomic_load_explicit(&chunk[index % RBC_CHUNK_SLOTS].ring, memory_order_acquire);
}

int rbc_ring_table_after(const rbc_ring_table *self, unsigned index);

void rbc_ring_table_clear(rbc_ring_table *self, unsigned index);

#endif

/* ==== capi/round.h ==== */
#ifndef RBC_ROUND_H
#define RBC_ROUND_H

typedef struct rbc_round {
	rbc_ring *turn;
	unsigned count;
} rbc_round;

static inline void rbc_round_join(rbc_round *self, rbc_ring *ring) {
	rbc_ring *first = self->turn != NULL ? self->turn : ring;
	rbc_ring *last = self->turn != NULL ? first->previous : ring;
	ring->next = first;
	ring->previous = last;
	last->next = ring;
	first->previous = ring;
	self->turn = first;
	self->count++;
}

static inline void rbc_round_leave(rbc_round *self, rbc_ring *ring) {
	ring->previous->next = ring->next;
	ring->next->previous = ring->previous;
	self->count--;
	if (self->turn == ring) {
		self->turn = self->count > 0 ? ring->next : NULL;
	}
}

static inline rbc_ring *rbc_round_after(const rbc_round *self, const rbc_ring *ring) {
	return ring->next != self->turn ? ring->next : NULL;
}

#endif

/* ==== capi/reader.h ==== */
#ifndef RBC_READER_H
#define RBC_READER_H

#define RBC_ASKED_INTERRUPT 1u
#define RBC_ASKED_FLUSH 2u
#define RBC_ASKED_SHUTDOWN 4u

struct rbcore_reader {
	rbc_fork_check fork_check;
	atomic_uint asked;
	bool is_release;
	bool has_turns;
	bool is_polling;
	bool ends_for_discards;
	bool can_pace;
	bool is_flushing;
	bool is_read_by_ring;
	unsigned rings_to_watch;
	rbc_round round;
	rbc_pacing pacing;
	rbc_idling idling;
	rbc_clock named_at;
	rbc_wait wait;
	rbc_turns turns;
	_Atomic uint64_t records, bytes, discards, batches, commits;

	int64_t max_latency_ns;
	rbc_process process;
	bool locks_maps;
	_Atomic uint64_t refs;
	_Atomic uint64_t user_refs;
	pthread_mutex_t slots_lock;
	uint8_t boot_id[16];
	char message[200];
	rbc_ring_table table;
};

static inline int rbc_reader_check(const rbcore_reader *self) {
	if (self == NULL) {
		return -EINVAL;
	}
	return rbc_fork_check_passes(&self->fork_check) ? 0 : -ECHILD;
}

__attribute__((cold, format(printf, 3, 4))) int rbc_reader_fail(rbcore_reader *self, int error,
																const char *format, ...);

static inline rbc_ring *rbc_reader_ring(const rbcore_reader *self, unsigned index) {
	return rbc_ring_table_at(&self->table, index);
}

static inline unsigned rbc_idle_count(const rbcore_reader *self) {
	return self->table.count - self->round.count;
}

void rbc_reader_put(rbcore_reader *self);

void rbc_ring_put(rbc_ring *self, uint64_t count);

int rbc_ring_open(rbc_ring **out, rbcore_reader *reader, const rbcore_source *source,
				rbc_descriptor descriptor);

void rbc_ring_close(rbc_ring *self);

#endif

/* ==== capi/inline.h ==== */
#ifndef RBC_INLINE_H
#define RBC_INLINE_H

#define RBC_INLINE inline __attribute__((always_inline))

#define RBC_OUT_OF_LINE __attribute__((noinline))

#endif

/* ==== capi/kind.h ==== */
#ifndef RBC_KIND_H
#define RBC_KIND_H

typedef struct rbc_kind {

	int (*load_positions)(rbc_ring *ring, uint64_t committed);

	uint64_t (*find_end)(rbc_ring *ring);

	rbc_scan_end (*end_scan)(rbc_ring *ring, rbc_scan_end why, uint64_t position,
							uint16_t *first_flags);

	bool (*skip_abandoned)(rbc_ring *ring, rbc_passed *passed);

	bool (*has_record)(rbc_ring *ring);

	bool (*misses_wakeups)(rbc_ring *ring);

	bool (*waits_for_releases)(const rbc_ring *ring);

	bool is_in_place;
	bool is_memory;
	bool is_tap;
	bool is_watched;
	uint8_t flush_max;
} rbc_kind;

const rbc_kind *rbc_kind_of(bool is_memory, bool is_overwrite, bool is_tap);

static inline bool rbc_ring_has_record(rbc_ring *ring) {
	return ring->kind->has_record(ring);
}

#endif

/* ==== capi/consumer.h ==== */
#ifndef RBC_CONSUMER_H
#define RBC_CONSUMER_H

void rbc_consumer_advance(rbc_ring *self, uint64_t position);

void rbc_consumer_pass_released(rbc_ring *self);

void rbc_consumer_publish(rbc_ring *self);

void rbc_consumer_publish_all(rbc_ring *self);

bool rbc_consumer_stop_releases(rbc_ring *self);
void rbc_consumer_resume_releases(rbc_ring *self);

void rbc_consumer_jump(rbc_ring *self, uint64_t position);

bool rbc_consumer_has_record_in_place(rbc_ring *self);

static inline bool rbc_consumer_has_held(const rbc_ring *self) {
	return rbc_get(&self->user_pos) != rbc_get(&self->read_pos);
}

static inline size_t rbc_consumer_held_bit(const rbc_ring *self, uint64_t position) {
	return (position & (self->mapping.data_size - 1)) / 8;
}

#endif

/* ==== capi/shadow.h ==== */
#ifndef RBC_SHADOW_H
#define RBC_SHADOW_H

typedef struct rbc_shadow {
	rbc_mapping ring;
	rbc_mapping copy;
	rbc_copy_source source;
	_Atomic uint64_t consumer_pos;
	_Atomic uint64_t end;
	uint64_t known_end;
	bool was_overwritten;
	bool lost_before_next;
} rbc_shadow;

int rbc_shadow_open(rbc_ring *ring, bool is_overwrite);

void rbc_shadow_close(rbc_ring *ring);

int rbc_shadow_load_positions(rbc_ring *ring, uint64_t committed);

void rbc_shadow_start(rbc_ring *ring, uint64_t position);

uint64_t rbc_shadow_refill(rbc_ring *ring);

rbc_scan_end rbc_shadow_end_scan(rbc_ring *ring, rbc_scan_end why, uint64_t position,
								uint16_t *first_flags);

bool rbc_shadow_wakes(rbc_ring *ring);

bool rbc_shadow_waits_for_releases(const rbc_ring *ring);

bool rbc_shadow_is_overwritten(const rbc_ring *ring);

bool rbc_shadow_has_record(rbc_ring *ring);

bool rbc_shadow_pass(rbc_ring *ring, uint64_t span);

void rbc_shadow_skip_to(rbc_ring *ring, uint64_t position);

#endif

/* ==== capi/abandoned.h ==== */
#ifndef RBC_ABANDONED_H
#define RBC_ABANDONED_H

bool rbc_abandoned_skip(rbc_ring *self, rbc_passed *passed);

#endif

/* ==== capi/source.h ==== */
#ifndef RBC_SOURCE_H
#define RBC_SOURCE_H

const char *rbc_source_missing_field(const rbcore_source *source);

int rbc_source_open_map(const rbcore_source *source);

#endif

/* ==== capi/release.h ==== */
#ifndef RBC_RELEASE_H
#define RBC_RELEASE_H

void rbc_release_hold(rbc_ring *self, const rbcore_record *records, size_t count);

bool rbc_release_holds(const rbc_ring *self, const rbcore_record *record);

#endif

/* ==== capi/flush.h ==== */
#ifndef RBC_FLUSH_H
#define RBC_FLUSH_H

void rbc_flush_begin(rbcore_reader *self);

bool rbc_flush_is_complete(const rbcore_reader *self);

bool rbc_flush_has_more_soon(const rbcore_reader *self);

#endif

/* ==== capi/pass.h ==== */
#ifndef RBC_PASS_H
#define RBC_PASS_H

typedef struct rbc_request {
	rbcore_record *records;
	rbcore_span *spans;
	uint16_t *rings;
	size_t max_spans;
	size_t max;
	bool only_due;
	uint64_t discards;
	rbc_clock clock;
} rbc_request;

int rbc_pass_over_rings(rbcore_reader *self, rbc_request *request);

int rbc_pass_names_rings(rbcore_reader *self, rbc_request *request);

int rbc_pass_over_one(rbcore_reader *self, rbc_ring *ring, rbc_request *request);

bool rbc_pass_over_the_dead(rbcore_reader *self);

void rbc_read_note(rbc_ring *self, const rbc_passed *passed, const rbcore_record *records);

#endif

/* ==== capi/park.h ==== */
#ifndef RBC_PARK_H
#define RBC_PARK_H

void rbc_park_prepare(rbcore_reader *self, rbc_request *request);

int64_t rbc_park_longest_sleep(rbcore_reader *self);

bool rbc_park_hears_only_the_timer(const rbcore_reader *self);

#endif

/* ==== capi/return_on_discards.h ==== */
#ifndef RBC_RETURN_ON_DISCARDS_H
#define RBC_RETURN_ON_DISCARDS_H

void rbc_reader_return_on_discards(rbcore_reader *self);

uint64_t rbc_reader_discards(const rbcore_reader *self);

#endif

/* ==== capi/snapshot.h ==== */
#ifndef RBC_SNAPSHOT_H
#define RBC_SNAPSHOT_H

struct rbcore_snapshot {
	rbc_fork_check fork_check;
	unsigned char *buffer;
	size_t capacity;
	uint64_t base;
	uint64_t next;
	uint64_t lost_before;
	uint16_t ring;
	uint8_t boot_id[16];
	rbcore_snapshot_info info;
};

int rbc_snapshot_new(rbcore_snapshot **out, size_t capacity);

struct rbc_ring;

void rbc_snapshot_describe(rbcore_snapshot_info *info, const struct rbc_ring *ring,
						uint8_t boot_id[16]);

void rbc_snapshot_write_header(unsigned char header[RBCORE_SNAPSHOT_HEADER_SIZE],
							const rbcore_snapshot_info *info, uint32_t content_checksum);

int rbc_snapshot_check(const rbcore_snapshot *self);

#endif

/* ==== capi/crc32.h ==== */
#ifndef RBC_CRC32_H
#define RBC_CRC32_H

uint32_t rbc_crc32(uint32_t before, const unsigned char *data, size_t size);

#endif

/* ==== capi/memory_reserve.h ==== */
#ifndef RBC_MEMORY_RESERVE_H
#define RBC_MEMORY_RESERVE_H

bool rbc_reserve_is_possible(const rbc_mapping *mapping, bool overwrites);

int rbc_reserve_one(const rbc_mapping *mapping, bool overwrites, uint64_t span, uint64_t *producer);

typedef struct rbc_free_space {
	uint64_t producer;
	uint64_t free;
	uint64_t oldest, pending;
	int why_no_more;
} rbc_free_space;

int rbc_reserve_find(const rbc_mapping *mapping, bool overwrites, rbc_free_space *out);

int rbc_reserve_take(const rbc_mapping *mapping, bool overwrites, const rbc_free_space *space,
					uint64_t span);

bool rbc_reserve_blocker(const rbc_mapping *mapping, uint64_t *position, uint32_t *token);

bool rbc_reserve_discard_blocker(const rbc_mapping *mapping, uint64_t position, uint32_t token);

#endif

/* ==== capi/memory_producer.h ==== */
#ifndef RBC_MEMORY_PRODUCER_H
#define RBC_MEMORY_PRODUCER_H

typedef struct rbc_memory_producer {
	rbc_mapping mapping;
	_Atomic uint64_t *consumer_pos;
	rbc_producer_page *page;
	uint32_t token;
	bool overwrites;
	_Atomic unsigned refused;
	int fd;
	int event_fd;
} rbc_memory_producer;

int rbc_memory_producer_open(rbc_memory_producer *self, const rbcore_source *source);

void rbc_memory_producer_leave(rbc_memory_producer *self);

void rbc_memory_producer_close(rbc_memory_producer *self);

int rbc_memory_producer_reserve(rbc_memory_producer *self, void **data, size_t size);

int rbc_memory_producer_reserve_wait(rbc_memory_producer *self, void **data, size_t size,
									int64_t deadline_ns);

int rbc_memory_producer_finish(rbc_memory_producer *self, void *data, uint32_t flags,
							uint32_t discard);

int rbc_memory_producer_output_batch(rbc_memory_producer *self, const rbcore_slice *slices,
									size_t count, uint32_t flags);

#endif

/* ==== capi/user_ring.h ==== */
#ifndef RBC_USER_RING_H
#define RBC_USER_RING_H

typedef struct rbc_user_ring {
	rbc_mapping mapping;
	const _Atomic uint64_t *consumer_pos;
	_Atomic uint64_t *producer_pos;
	atomic_bool is_locked;
	uint64_t seen_consumer;
	uint64_t no_offset;
	uint32_t size_max;
	uint32_t token;
	_Atomic int epoll_fd;
	int fd;
	int lock_fd;
	rbc_owner owner;
} rbc_user_ring;

int rbc_user_ring_open(rbc_user_ring *self, const rbcore_source *source);

void rbc_user_ring_leave(rbc_user_ring *self);

void rbc_user_ring_close(rbc_user_ring *self);

int rbc_user_ring_reserve_wait(rbc_user_ring *self, void **data, size_t size, int64_t deadline_ns);

__attribute__((cold)) int rbc_user_ring_reserve_slowly(rbc_user_ring *self, void **data,
													size_t size);
__attribute__((cold)) int rbc_user_ring_output_slowly(rbc_user_ring *self, const void *data,
													size_t size);

int rbc_user_ring_output_batch(rbc_user_ring *self, const rbcore_slice *slices, size_t count);

static inline bool rbc_user_ring_try_lock(rbc_user_ring *self) {
	return !atomic_exchange_explicit(&self->is_locked, true, memory_order_acquire);
}

static inline void rbc_user_ring_drop_lock(rbc_user_ring *self) {
	atomic_store_explicit(&self->is_locked, false, memory_order_release);
}

static inline uint64_t rbc_user_ring_producer_pos(const rbc_user_ring *self) {
	return atomic_load_explicit(self->producer_pos, memory_order_relaxed);
}

static inline void rbc_user_ring_set_producer_pos(rbc_user_ring *self, uint64_t position) {
	atomic_store_explicit(self->producer_pos, position, memory_order_release);
}

static inline bool rbc_user_ring_has_space(const rbc_user_ring *self, uint64_t producer,
										uint64_t span) {
	uint64_t used = producer - self->seen_consumer;
	return used <= self->mapping.data_size - span && producer % 8 == 0;
}

static inline void rbc_user_ring_set_length(rbc_header *header, uint32_t length) {
	atomic_store_explicit(&header->length, length, memory_order_release);
}

static inline void *rbc_user_ring_begin(rbc_user_ring *self, uint64_t producer, uint32_t size) {
	rbc_header *header = rbc_header_at(&self->mapping, producer);
	atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
	atomic_store_explicit(&header->length, size | RBC_BUSY, memory_order_relaxed);
	rbc_user_ring_set_producer_pos(self, producer + rbc_record_span(size));
	return header + 1;
}

static inline int rbc_user_ring_reserve(rbc_user_ring *self, void **data, size_t size) {
	if (size > self->size_max) {
		return -EMSGSIZE;
	}
	if (rbc_user_ring_try_lock(self)) {
		uint64_t producer = rbc_user_ring_producer_pos(self);
		if (rbc_user_ring_has_space(self, producer, rbc_record_span((uint32_t)size))) {
			*data = rbc_user_ring_begin(self, producer, (uint32_t)size);
			rbc_user_ring_drop_lock(self);
			return 0;
		}
		rbc_user_ring_drop_lock(self);
	}
	return rbc_user_ring_reserve_slowly(self, data, size);
}

#define RBC_COPY_BY_WORDS 32

static inline void rbc_user_ring_copy(unsigned char *to, const unsigned char *data, size_t size) {
	size_t by_words = size <= RBC_COPY_BY_WORDS ? size & ~(sizeof(uint64_t) - 1) : 0;
	for (size_t i = 0; i < by_words; i += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, data + i, sizeof(word));
		atomic_store_explicit((_Atomic uint64_t *)(void *)(to + i), word, memory_order_relaxed);
	}
	if (by_words < size) {
		memcpy(to + by_words, data + by_words, size - by_words);
	}
}

static inline void rbc_user_ring_write(const rbc_user_ring *self, uint64_t position,
									const void *data, size_t size) {
	rbc_header *header = rbc_header_at(&self->mapping, position);
	atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
	atomic_store_explicit(&header->length, (uint32_t)size, memory_order_relaxed);
	rbc_user_ring_copy((unsigned char *)(header + 1), data, size);
}

static inline int rbc_user_ring_output(rbc_user_ring *self, const void *data, size_t size) {
	if (size > self->size_max) {
		return -EMSGSIZE;
	}
	if (rbc_user_ring_try_lock(self)) {
		uint64_t producer = rbc_user_ring_producer_pos(self);
		uint64_t span = rbc_record_span((uint32_t)size);
		if (rbc_user_ring_has_space(self, producer, span)) {
			rbc_user_ring_write(self, producer, data, size);
			rbc_user_ring_set_producer_pos(self, producer + span);
			rbc_user_ring_drop_lock(self);
			return 0;
		}
		rbc_user_ring_drop_lock(self);
	}
	return rbc_user_ring_output_slowly(self, data, size);
}

static inline int rbc_user_ring_finish(rbc_user_ring *self, void *data, uint32_t discard) {
	uintptr_t offset = (uintptr_t)data - (uintptr_t)self->mapping.data - RBC_HEADER_SIZE;
	if (offset & self->no_offset) {
		return -EINVAL;
	}
	rbc_header *header = (rbc_header *)data - 1;
	uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
	if (atomic_load_explicit(&header->token, memory_order_relaxed) != self->token ||
		!(length & RBC_BUSY)) {
		return -EINVAL;
	}
	rbc_user_ring_set_length(header, (length & ~RBC_BUSY) | discard);
	return 0;
}

#endif

/* ==== capi/mapping.c ==== */
#define reserve reserve_in_mapping
size_t rbc_page_size(void) {
	return (size_t)sysconf(_SC_PAGESIZE);
}

int rbc_mapping_error(void) {
	return errno == EAGAIN ? -ENOMEM : -errno;
}

int rbc_ring_size_is_valid(size_t size, size_t page_size) {
	return size >= page_size && (size & (size - 1)) == 0;
}

static size_t total_size(const rbc_mapping *self) {
	size_t guards = 2 * self->page_size, pages = 2 * self->page_size;
	return guards + pages + 2 * self->data_size;
}

static unsigned char *first_guard(const rbc_mapping *self) {
	return self->consumer_page - self->page_size;
}

static int reserve(rbc_mapping *self, size_t data_size, size_t page_size) {
	self->data_size = data_size;
	self->page_size = page_size;
	if (data_size > (SIZE_MAX - 4 * page_size) / 2) {
		memset(self, 0, sizeof(*self));
		return -ENOMEM;
	}
	void *base = mmap(NULL, total_size(self), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED) {
		int error = rbc_mapping_error();
		memset(self, 0, sizeof(*self));
		return error;
	}
	self->consumer_page = (unsigned char *)base + page_size;
	self->producer_page = self->consumer_page + page_size;
	self->data = self->producer_page + page_size;
	return 0;
}

static int place(unsigned char *address, size_t size, int protection, int fd, size_t offset) {
	void *mapped = mmap(address, size, protection, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
	return mapped == MAP_FAILED ? rbc_mapping_error() : 0;
}

static int place_consumer_page(const rbc_mapping *self, int fd, int protection) {
	return place(self->consumer_page, self->page_size, protection, fd, 0);
}

static int place_producer_page(const rbc_mapping *self, int fd, int protection) {
	size_t size = self->page_size + 2 * self->data_size;
	return place(self->producer_page, size, protection, fd, self->page_size);
}

int rbc_mapping_open_map(rbc_mapping *out, int fd, size_t data_size, rbc_mapping_side side) {
	int error = reserve(out, data_size, rbc_page_size());
	if (error != 0) {
		return error;
	}
	error = place_consumer_page(out, fd, PROT_READ | PROT_WRITE);
	if (error == 0) {
		error = place_producer_page(out, fd, PROT_READ);
	}
	if (error == 0 && side == RBC_TAP_SIDE &&
		mprotect(out->consumer_page, out->page_size, PROT_READ) != 0) {
		error = rbc_mapping_error();
	}
	if (error != 0) {
		rbc_mapping_close(out);
	}
	return error;
}

int rbc_mapping_open_user_map(rbc_mapping *out, int fd, size_t data_size) {
	int error = reserve(out, data_size, rbc_page_size());
	if (error != 0) {
		return error;
	}
	error = place_producer_page(out, fd, PROT_READ | PROT_WRITE);
	if (error == 0) {
		error = place_consumer_page(out, fd, PROT_READ);
	}
	if (error != 0) {
		rbc_mapping_close(out);
	}
	return error;
}

static int map_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
					rbc_mapping_side side) {
	int writable = PROT_READ | PROT_WRITE;
	int consumed = side == RBC_TAP_SIDE ? PROT_READ : writable;
	int produced = side == RBC_PRODUCER_SIDE ? writable : PROT_READ;
	int error = reserve(out, data_size, page_size);
	if (error != 0) {
		return error;
	}
	error = place(out->consumer_page, page_size, consumed, fd, 0);
	if (error == 0) {
		error = place(out->producer_page, page_size + data_size, produced, fd, page_size);
	}
	if (error == 0) {
		error = place(out->data + data_size, data_size, produced, fd, 2 * page_size);
	}
	if (error != 0) {
		munmap(first_guard(out), total_size(out));
		memset(out, 0, sizeof(*out));
	}
	return error;
}

int rbc_mapping_open_pages(rbc_mapping *out, int fd, size_t data_size) {
	size_t page_size = rbc_page_size();
	unsigned char *pages = mmap(NULL, 2 * page_size, PROT_READ, MAP_SHARED, fd, 0);
	if (pages == MAP_FAILED) {
		return rbc_mapping_error();
	}
	*out = (rbc_mapping){.consumer_page = pages,
						.producer_page = pages + page_size,
						.data_size = data_size,
						.page_size = page_size};
	return 0;
}

void rbc_mapping_close_pages(rbc_mapping *self) {
	if (self->consumer_page != NULL) {
		munmap(self->consumer_page, 2 * self->page_size);
	}
}

int rbc_set_file_size(int fd, uint64_t size) {
	RBC_UNCANCELLED;
	sigset_t excess, before, pending;
	sigemptyset(&excess);
	sigaddset(&excess, SIGXFSZ);
	sigemptyset(&pending);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &excess, &before);
	int error = ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
	if (error == -EFBIG && !sigismember(&pending, SIGXFSZ)) {
		const struct timespec at_once = {0, 0};
		sigtimedwait(&excess, NULL, &at_once);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static int place_twice(const rbc_mapping *self, int fd) {
	const int writable = PROT_READ | PROT_WRITE;
	int error = rbc_set_file_size(fd, self->data_size);
	if (error == 0) {
		error = place(self->data, self->data_size, writable, fd, 0);
	}
	return error != 0 ? error
					: place(self->data + self->data_size, self->data_size, writable, fd, 0);
}

static int create_memfd(const char *name, unsigned flags) {
	return (int)syscall(RBC_SYS_MEMFD_CREATE, name, flags | RBC_MFD_CLOEXEC);
}

int rbc_memfd(const char *name, unsigned flags) {
	int fd = create_memfd(name, flags | RBC_MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) {
		fd = create_memfd(name, flags);
	}
	return fd < 0 ? -errno : fd;
}

int rbc_mapping_open_copy(rbc_mapping *out, size_t data_size) {
	int error = reserve(out, data_size, rbc_page_size());
	if (error != 0) {
		return error;
	}
	int fd = rbc_memfd("rbcore copy", 0);
	error = fd < 0 ? fd : place_twice(out, fd);
	rbc_close(fd);
	if (error != 0) {
		rbc_mapping_close(out);
	}
	return error;
}

#ifdef RBCORE_THREAD_SANITIZER
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct shared_mapping {
	struct shared_mapping *next;
	rbc_mapping mapping;
	ino_t inode;
	unsigned users;
} shared_mapping;

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static shared_mapping *shared_mappings;

static int share(rbc_mapping *out, int fd, size_t data_size, size_t page_size, ino_t inode) {
	shared_mapping *shared = shared_mappings;
	while (shared != NULL && shared->inode != inode) {
		shared = shared->next;
	}
	if (shared == NULL) {
		shared = calloc(1, sizeof(*shared));
		if (shared == NULL) {
			return -ENOMEM;
		}
		int error = map_memory(&shared->mapping, fd, data_size, page_size, RBC_PRODUCER_SIDE);
		if (error != 0) {
			free(shared);
			return error;
		}
		shared->inode = inode;
		shared->next = shared_mappings;
		shared_mappings = shared;
	}
	shared->users++;
	*out = shared->mapping;
	return 0;
}

int rbc_mapping_open_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
							rbc_mapping_side side) {
	struct stat status;
	(void)side;
	if (fstat(fd, &status) != 0) {
		return -errno;
	}
	pthread_mutex_lock(&shared_lock);
	int error = share(out, fd, data_size, page_size, status.st_ino);
	pthread_mutex_unlock(&shared_lock);
	return error;
}

static bool leave_shared(const rbc_mapping *self) {
	bool in_use = false;
	pthread_mutex_lock(&shared_lock);
	for (shared_mapping **link = &shared_mappings; *link != NULL; link = &(*link)->next) {
		shared_mapping *shared = *link;
		if (shared->mapping.data == self->data) {
			in_use = --shared->users > 0;
			if (!in_use) {
				*link = shared->next;
				free(shared);
			}
			break;
		}
	}
	pthread_mutex_unlock(&shared_lock);
	return in_use;
}
#else
int rbc_mapping_open_memory(rbc_mapping *out, int fd, size_t data_size, size_t page_size,
							rbc_mapping_side side) {
	return map_memory(out, fd, data_size, page_size, side);
}

static bool leave_shared(const rbc_mapping *self) {
	(void)self;
	return false;
}
#endif

void rbc_mapping_close(rbc_mapping *self) {
	if (self->data != NULL && !leave_shared(self)) {
		munmap(first_guard(self), total_size(self));
	}
	memset(self, 0, sizeof(*self));
}
#undef reserve

/* ==== capi/process.c ==== */
static ssize_t read_file(const char *path, char *text, size_t size) {
	RBC_UNCANCELLED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	ssize_t n = read(fd, text, size);
	close(fd);
	return n;
}

static bool read_text(const char *path, char *text, size_t size) {
	ssize_t n = read_file(path, text, size - 1);
	if (n <= 0) {
		return false;
	}
	text[n] = '\0';
	return true;
}

static int hex_value(char c) {
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

void rbc_boot_id(uint8_t id[16]) {
	char text[64];
	memset(id, 0, 16);
	if (!read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text))) {
		return;
	}
	int digits = 0;
	for (const char *c = text; digits < 32 && *c != '\0' && *c != '\n'; c++) {
		if (*c != '-') {
			id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | hex_value(*c));
			digits++;
		}
	}
	if (digits < 32) {
		memset(id, 0, 16);
	}
}

static bool is_unknown(const uint8_t id[16]) {
	static const uint8_t unknown[16];
	return memcmp(id, unknown, sizeof(unknown)) == 0;
}

void rbc_boot_id_once(uint8_t id[16]) {
	if (is_unknown(id)) {
		rbc_boot_id(id);
	}
}

static bool proc_shows_our_pids(void) {
	char link[32];
	ssize_t n = readlink("/proc/self", link, sizeof(link) - 1);
	if (n <= 0) {
		return false;
	}
	link[n] = '\0';
	return strtol(link, NULL, 10) == (long)getpid();
}

static const char *field_after(const char *field, int n) {
	for (; field != NULL && n > 0; n--) {
		field = strchr(field, ' ');
		field = field != NULL ? field + 1 : NULL;
	}
	return field;
}

static bool look_up(uint64_t pid, uint64_t *start_time) {
	char path[48], text[512];
	*start_time = 0;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	if (!proc_shows_our_pids() || !read_text(path, text, sizeof(text))) {
		return pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
	}
	const char *state = field_after(strrchr(text, ')'), 1);
	const char *threads = field_after(state, 17), *started = field_after(threads, 2);
	if (started == NULL) {
		return true;
	}
	*start_time = strtoull(started, NULL, 10);
	return (*state != 'Z' && *state != 'X') || strtol(threads, NULL, 10) > 1;
}

static uint64_t program_image(void) {
	uint64_t halves[2] = {0, 0};
	const void *random = (const void *)getauxval(AT_RANDOM);
	if (random != NULL) {
		memcpy(halves, random, sizeof(halves));
	}
	return (uint32_t)(((halves[0] ^ halves[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static uint64_t inode_of(const char *path) {
	struct stat status;
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

static uint64_t namespaces(void) {
	uint64_t pids = inode_of("/proc/thread-self/ns/pid");
	return pids == 0 ? 0 : pids | inode_of("/proc/thread-self/ns/time") << 32;
}

rbc_process rbc_process_self(void) {
	rbc_process self = {
		.namespaces = namespaces(), .image = program_image(), .pid = (uint64_t)getpid()};
	rbc_boot_id(self.boot_id);
	look_up(self.pid, &self.start_time);
	return self;
}

static bool is_of_another_boot(const uint8_t a[16], const uint8_t b[16]) {
	return !is_unknown(a) && !is_unknown(b) && memcmp(a, b, 16) != 0;
}

rbc_process_state rbc_process_state_of(const rbc_process *process) {
	rbc_process self = rbc_process_self();
	if (process->pid == 0 || is_of_another_boot(process->boot_id, self.boot_id)) {
		return RBC_PROCESS_DEAD;
	}
	if (process->namespaces == 0 || process->namespaces != self.namespaces) {
		return RBC_PROCESS_UNKNOWN;
	}
	uint64_t start_time;
	if (!look_up(process->pid, &start_time)) {
		return RBC_PROCESS_DEAD;
	}
	if (start_time != 0 && process->start_time != 0 && start_time != process->start_time) {
		return RBC_PROCESS_DEAD;
	}
	if (process->pid != self.pid) {
		return RBC_PROCESS_ALIVE;
	}
	return process->image == self.image ? RBC_PROCESS_SELF : RBC_PROCESS_DEAD;
}

#define PID_BITS 22
#define START_BITS 12
#define PLACE_BITS 16

static_assert(PID_BITS + START_BITS + PLACE_BITS == RBC_SHORT_NAME_BITS, "the bits of a name");

static uint64_t lowest_bits(uint64_t value, unsigned bits) {
	return value & ((UINT64_C(1) << bits) - 1);
}

static uint64_t short_of(uint64_t value, unsigned bits) {
	uint64_t mixed = (value ^ value >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return value == 0 ? 0 : 1 + (mixed >> 16) % ((UINT64_C(1) << bits) - 1);
}

static uint64_t short_place(const rbc_process *process) {
	uint64_t halves[2];
	memcpy(halves, process->boot_id, sizeof(halves));
	return process->namespaces == 0
			? 0
			: short_of(process->namespaces ^ halves[0] ^ halves[1], PLACE_BITS);
}

uint64_t rbc_process_short_name(const rbc_process *process) {
	return short_place(process) << (PID_BITS + START_BITS) |
		short_of(process->start_time, START_BITS) << PID_BITS |
		lowest_bits(process->pid, PID_BITS);
}

uint64_t rbc_short_name_pid(uint64_t name) {
	return lowest_bits(name, PID_BITS);
}

rbc_process_state rbc_short_name_state_of(uint64_t name) {
	const rbc_process self = rbc_process_self();
	const uint64_t pid = rbc_short_name_pid(name);
	const uint64_t start = lowest_bits(name >> PID_BITS, START_BITS);
	const uint64_t place = lowest_bits(name >> (PID_BITS + START_BITS), PLACE_BITS);
	uint64_t start_time;
	if (pid == 0) {
		return RBC_PROCESS_DEAD;
	}
	if (place == 0 || place != short_place(&self)) {
		return RBC_PROCESS_UNKNOWN;
	}
	if (!look_up(pid, &start_time)) {
		return RBC_PROCESS_DEAD;
	}
	if (start != 0 && start_time != 0 && start != short_of(start_time, START_BITS)) {
		return RBC_PROCESS_DEAD;
	}
	return pid == self.pid ? RBC_PROCESS_SELF : RBC_PROCESS_ALIVE;
}

void rbc_process_name(uint64_t pid, char name[RBC_PROCESS_NAME_SIZE]) {
	char path[48];
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/comm", pid);
	if (!proc_shows_our_pids() || !read_text(path, name, RBC_PROCESS_NAME_SIZE)) {
		name[0] = '\0';
	}
	size_t length = strlen(name);
	if (length > 0 && name[length - 1] == '\n') {
		name[--length] = '\0';
	}
	for (size_t i = 0; i < length; i++) {
		name[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
	}
}

typedef enum finding {
	NOT_THERE,
	THERE,
	MAY_BE_IT,
	FOUND,
} finding;

static bool is_gone(int error) {
	return error == ENOENT || error == ESRCH;
}

static int innermost_pid(uint64_t ours, uint64_t *pid) {
	char path[48], *line = NULL;
	size_t capacity = 0;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", ours);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return -errno;
	}
	int error = -ENODATA;
	errno = 0;
	while (error != 0 && getline(&line, &capacity, file) > 0) {
		error = strncmp(line, "NSpid:", 6) == 0 ? 0 : error;
	}
	if (error == 0) {
		const char *last = strrchr(line, '\t');
		bool is_below = last != NULL && last != strchr(line, '\t');
		*pid = is_below ? strtoull(last + 1, NULL, 10) : 0;
	} else if (is_gone(errno)) {
		error = -errno;
	}
	free(line);
	fclose(file);
	return error;
}

static bool may_be(uint64_t ours, const rbc_process *other) {
	uint64_t start_time;
	if (!look_up(ours, &start_time)) {
		return false;
	}
	bool same_clock = namespaces() >> 32 == other->namespaces >> 32;
	return !same_clock || start_time == 0 || other->start_time == 0 ||
		start_time == other->start_time;
}

static finding compare_with(uint64_t ours, const rbc_process *other) {
	char path[48];
	struct stat of_namespace;
	uint64_t pid = 0;
	int error = innermost_pid(ours, &pid);
	if (error != 0) {
		return is_gone(-error) ? NOT_THERE : MAY_BE_IT;
	}
	if (pid == 0) {
		return NOT_THERE;
	}
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/ns/pid", ours);
	if (stat(path, &of_namespace) != 0) {
		return pid == other->pid && !is_gone(errno) ? MAY_BE_IT : NOT_THERE;
	}
	if (of_namespace.st_ino != (uint32_t)other->namespaces) {
		return NOT_THERE;
	}
	return pid == other->pid && may_be(ours, other) ? FOUND : THERE;
}

static bool proc_shows_all_processes(void) {
	char *line = NULL;
	size_t capacity = 0;
	bool all = proc_shows_our_pids();
	FILE *mounts = all ? fopen("/proc/self/mountinfo", "re") : NULL;
	while (mounts != NULL && all && getline(&line, &capacity, mounts) > 0) {
		const char *options = strstr(line, " - proc ");
		all = options == NULL || strstr(options, "hidepid=") == NULL;
	}
	all &= mounts != NULL && ferror(mounts) == 0;
	free(line);
	if (mounts != NULL) {
		fclose(mounts);
	}
	return all;
}

bool rbc_process_is_dead_below(const rbc_process *process, uint64_t *pid) {
	RBC_UNCANCELLED;
	DIR *processes = proc_shows_all_processes() ? opendir("/proc") : NULL;
	bool is_below = false, is_found = processes == NULL;
	struct dirent *entry;
	*pid = 0;
	while (!is_found && (errno = 0, entry = readdir(processes)) != NULL) {
		uint64_t ours = strtoull(entry->d_name, NULL, 10);
		finding it = ours == 0 ? NOT_THERE : compare_with(ours, process);
		is_below |= it == THERE;
		is_found = it == MAY_BE_IT || it == FOUND;
		*pid = it == FOUND ? ours : 0;
	}
	is_found |= errno != 0;
	if (processes != NULL) {
		closedir(processes);
	}
	return is_below && !is_found;
}

static _Atomic(_Atomic uint64_t *) fork_page;

static int fork_page_get(_Atomic uint64_t **out) {
	_Atomic uint64_t *page = atomic_load_explicit(&fork_page, memory_order_acquire);
	if (page != NULL) {
		*out = page;
		return 0;
	}
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED) {
		return rbc_mapping_error();
	}
	if (madvise(fresh, size, RBC_MADV_WIPEONFORK) != 0) {
		int error = rbc_mapping_error();
		munmap(fresh, size);
		return error;
	}
	if (atomic_compare_exchange_strong(&fork_page, &page, fresh)) {
		page = fresh;
	} else {
		munmap(fresh, size);
	}
	*out = page;
	return 0;
}

int rbc_fork_check_init(rbc_fork_check *self) {
	_Atomic uint64_t *word;
	int error = fork_page_get(&word);
	if (error != 0) {
		return error;
	}
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t fresh =
		((uint64_t)getpid() << 40 ^ (uint64_t)now.tv_sec * 1000000000u ^ (uint64_t)now.tv_nsec) | 1;
	uint64_t token = 0;
	if (atomic_compare_exchange_strong(word, &token, fresh)) {
		token = fresh;
	}
	self->word = word;
	self->token = token;
	return 0;
}
#undef PID_BITS
#undef PLACE_BITS
#undef START_BITS

/* ==== capi/owner.c ==== */
struct rbc_owner_block {
	_Atomic uint64_t tag;
	_Atomic uint64_t claim;
	_Atomic uint64_t process[sizeof(rbc_process) / sizeof(uint64_t)];
	_Atomic uint64_t
		has_lock;
	_Atomic uint64_t committed;
	_Atomic uint64_t is_left;
	_Atomic uint64_t reserved[3];
};

#define TAG UINT64_C(0x3165726f63627200)

static_assert(sizeof(rbc_owner_block) == 112, "the block's layout is shared between processes");
static_assert(sizeof(rbc_process) == 48, "so is that of the name in it");

#define ATTEMPTS 20
#define PAUSE_NS 1000000

#define RETRIES 8

static rbc_owner_block *block_of(const unsigned char *page, size_t page_size) {
	const unsigned char *end = page + page_size;
	return (rbc_owner_block *)(uintptr_t)(end - sizeof(rbc_owner_block));
}

static struct flock lock_of(uint64_t byte, short type) {
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

bool rbc_lock_byte(int fd, uint64_t byte) {
	struct flock lock = lock_of(byte, F_WRLCK);
	return fcntl(fd, RBC_F_OFD_SETLK, &lock) == 0;
}

void rbc_unlock_byte(int fd, uint64_t byte) {
	struct flock lock = lock_of(byte, F_UNLCK);
	fcntl(fd, RBC_F_OFD_SETLK, &lock);
}

bool rbc_byte_is_locked(int fd, uint64_t byte) {
	struct flock lock = lock_of(byte, F_WRLCK);
	return fcntl(fd, RBC_F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

#define HAS_LOCK 2
#define NAME_SHIFT 2
#define MARK_SHIFT (NAME_SHIFT + RBC_SHORT_NAME_BITS)
#define MARK UINT64_C(0x72b)

static_assert(MARK >> (64 - MARK_SHIFT) == 0, "the mark and the name fit a word");

static uint64_t unfinished_claim(const rbc_process *process, bool has_lock) {
	return MARK << MARK_SHIFT | rbc_process_short_name(process) << NAME_SHIFT |
		(has_lock ? HAS_LOCK : 0);
}

static bool is_signed(uint64_t claim) {
	return claim % 2 == 1;
}

static bool is_unfinished(uint64_t claim) {
	return !is_signed(claim) && claim >> MARK_SHIFT == MARK;
}

static bool is_unfinished_by_older_version(uint64_t claim) {
	return claim != 0 && !is_signed(claim) && !is_unfinished(claim);
}

static uint64_t new_claim(void) {
	uint64_t claim = 0;
	long n = syscall(RBC_SYS_GETRANDOM, &claim, sizeof(claim), RBC_GRND_NONBLOCK);
	if (n != (long)sizeof(claim)) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		claim = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	}
	return claim | 1;
}

static void write_fields(rbc_owner_block *block, const rbc_process *process, bool has_lock) {
	uint64_t words[sizeof(*process) / sizeof(uint64_t)];
	memcpy(words, process, sizeof(words));
	if (atomic_load_explicit(&block->tag, memory_order_relaxed) != TAG) {
		atomic_store_explicit(&block->committed, 0, memory_order_relaxed);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		atomic_store_explicit(&block->process[i], words[i], memory_order_relaxed);
	}
	atomic_store_explicit(&block->has_lock, has_lock, memory_order_relaxed);
	atomic_store_explicit(&block->is_left, 0, memory_order_relaxed);
	for (size_t i = 0; i < sizeof(block->reserved) / sizeof(*block->reserved); i++) {
		atomic_store_explicit(&block->reserved[i], 0, memory_order_relaxed);
	}
	atomic_store_explicit(&block->tag, TAG, memory_order_release);
}

static bool sign(rbc_owner *self, const rbc_process *process, uint64_t found) {
	rbc_owner_block *block = self->block;
	const uint64_t claim = new_claim();
	uint64_t unfinished = unfinished_claim(process, self->locked);
	if (!atomic_compare_exchange_strong(&block->claim, &found, unfinished)) {
		return false;
	}
	write_fields(block, process, self->locked);
	if (!atomic_compare_exchange_strong(&block->claim, &unfinished, claim)) {
		return false;
	}
	self->claim = claim;
	return true;
}

typedef struct author {
	uint64_t claim;
	rbc_process process;
	rbc_process_state state;
	uint64_t pid_here;
	bool had_lock;
	bool is_left;
} author;

static author author_of(const rbc_owner_block *block, uint64_t claim) {
	author it = {.claim = claim, .state = RBC_PROCESS_DEAD};
	if (is_unfinished(claim)) {
		const uint64_t name = claim >> NAME_SHIFT;
		it.process.pid = rbc_short_name_pid(name);
		it.state = rbc_short_name_state_of(name);
		it.had_lock = claim & HAS_LOCK;
	} else if (is_signed(claim) && atomic_load_explicit(&block->tag, memory_order_relaxed) == TAG) {
		uint64_t words[sizeof(it.process) / sizeof(uint64_t)];
		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
			words[i] = atomic_load_explicit(&block->process[i], memory_order_relaxed);
		}
		memcpy(&it.process, words, sizeof(words));
		it.had_lock = atomic_load_explicit(&block->has_lock, memory_order_relaxed) != 0;
		it.is_left = atomic_load_explicit(&block->is_left, memory_order_relaxed) != 0;
		it.state = rbc_process_state_of(&it.process);
	}
	return it;
}

static author find_author(const rbc_owner_block *block) {
	author it = {.claim = 0};
	for (int i = 0; i < RETRIES; i++) {
		it = author_of(block, atomic_load_explicit(&block->claim, memory_order_acquire));
		atomic_thread_fence(memory_order_acquire);
		if (it.claim == atomic_load_explicit(&block->claim, memory_order_relaxed)) {
			break;
		}
	}
	it.pid_here = it.state == RBC_PROCESS_UNKNOWN ? 0 : it.process.pid;
	return it;
}

uint64_t rbc_owner_pid(const unsigned char *page, size_t page_size) {
	author it = find_author(block_of(page, page_size));
	if (it.state == RBC_PROCESS_DEAD) {
		return 0;
	}
	return it.state == RBC_PROCESS_UNKNOWN ? UINT64_MAX : it.process.pid;
}

static bool has_it_already(const rbc_owner *self, const author *it) {
	return self->lock.is_shared && it->state == RBC_PROCESS_SELF;
}

static bool still_owns(const rbc_owner *self, author *it) {
	if (it->state == RBC_PROCESS_DEAD) {
		return false;
	}
	if (has_it_already(self, it)) {
		return true;
	}
	if (self->locked && self->lock.is_ours && it->had_lock) {
		return false;
	}
	return it->state != RBC_PROCESS_UNKNOWN || !is_signed(it->claim) ||
		!rbc_process_is_dead_below(&it->process, &it->pid_here);
}

static void let_lock_go(rbc_owner *self) {
	if (self->locked && self->lock.is_ours) {
		rbc_unlock_byte(self->lock.fd, self->lock.byte);
	}
	self->locked = false;
}

static int refuse(rbc_owner *self, const author *it) {
	self->other_pid = it->pid_here;
	self->other_state = it->state;
	self->other_is_left = it->is_left;
	self->locked &= !has_it_already(self, it);
	let_lock_go(self);
	return -EBUSY;
}

static int try_claim(rbc_owner *self, const rbc_process *process, bool is_last_attempt) {
	self->locked = rbc_lock_byte(self->lock.fd, self->lock.byte);
	author it = find_author(self->block);
	if (still_owns(self, &it)) {
		return refuse(self, &it);
	}
	bool is_settled = self->locked && !is_unfinished_by_older_version(it.claim);
	if (!is_settled && !is_last_attempt) {
		let_lock_go(self);
		return -EAGAIN;
	}
	if (!sign(self, process, it.claim)) {
		it = find_author(self->block);
		return refuse(self, &it);
	}
	return 0;
}

int rbc_owner_claim(rbc_owner *self, unsigned char *page, size_t page_size,
					const rbc_owner_lock *lock, const rbc_process *process, bool insist,
					bool *guarded) {
	RBC_UNCANCELLED;
	*self = (rbc_owner){.block = block_of(page, page_size), .lock = *lock};
	int error = try_claim(self, process, false);
	for (int i = 1; error == -EAGAIN; i++) {
		struct timespec pause = {.tv_nsec = PAUSE_NS};
		nanosleep(&pause, NULL);
		error = try_claim(self, process, i == ATTEMPTS);
	}
	*guarded = self->locked;
	return insist ? 0 : error;
}

static bool are_same_file(int a, int b) {
	struct stat of_a, of_b;
	return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
		of_a.st_ino == of_b.st_ino;
}

rbc_owner_lock rbc_owner_map_lock(int event_fd, int map_fd, uint32_t map_id, bool *serves) {
	*serves = *serves || (event_fd >= 0 && are_same_file(event_fd, map_fd));
	return (rbc_owner_lock){.fd = *serves ? event_fd : map_fd, .byte = map_id, .is_ours = *serves};
}

uint64_t rbc_owner_committed(const rbc_owner *self) {
	const rbc_owner_block *block = self->block;
	bool is_readers = atomic_load_explicit(&block->tag, memory_order_relaxed) == TAG;
	return is_readers ? atomic_load_explicit(&block->committed, memory_order_acquire) : 0;
}

void rbc_owner_note_committed(rbc_owner *self, uint64_t position) {
	if (self->claim != 0) {
		atomic_store_explicit(&self->block->committed, position, memory_order_release);
	}
}

bool rbc_owner_is_ours(const rbc_owner *self) {
	return self->claim != 0 &&
		atomic_load_explicit(&self->block->claim, memory_order_relaxed) == self->claim;
}

void rbc_owner_note_left(rbc_owner *self) {
	if (rbc_owner_is_ours(self)) {
		atomic_store_explicit(&self->block->is_left, 1, memory_order_relaxed);
	}
}

static const char *place_of_other(const rbc_owner *self) {
	switch (self->other_state) {
	case RBC_PROCESS_SELF:
		return self->other_is_left
				? ", in this process, still held by records that were not released"
				: ", in this process";
	case RBC_PROCESS_UNKNOWN:
		return ", in another pid namespace";
	case RBC_PROCESS_DEAD:
	case RBC_PROCESS_ALIVE:
		break;
	}
	return "";
}

const char *rbc_owner_other(const rbc_owner *self, char *text, size_t size) {
	bool has_pid = self->other_pid != 0 && (self->other_state == RBC_PROCESS_ALIVE ||
											self->other_state == RBC_PROCESS_UNKNOWN);
	char name[RBC_PROCESS_NAME_SIZE] = "", process[48] = "";
	if (has_pid) {
		rbc_process_name(self->other_pid, name);
		snprintf(process, sizeof(process), ": process %" PRIu64 "%s%s%s", self->other_pid,
				name[0] != '\0' ? " (" : "", name, name[0] != '\0' ? ")" : "");
	}
	snprintf(text, size, "%s%s", place_of_other(self), process);
	return text;
}

void rbc_owner_yield(rbc_owner *self) {
	uint64_t claim = self->claim;
	if (claim != 0) {
		atomic_compare_exchange_strong(&self->block->claim, &claim, 0);
		self->claim = 0;
	}
	if (self->locked) {
		rbc_unlock_byte(self->lock.fd, self->lock.byte);
		self->locked = false;
	}
}
#undef ATTEMPTS
#undef HAS_LOCK
#undef MARK
#undef MARK_SHIFT
#undef NAME_SHIFT
#undef PAUSE_NS
#undef RETRIES
#undef TAG

/* ==== capi/map.c ==== */
static int bpf(int command, rbc_bpf_arguments *arguments) {
	long result = syscall(RBC_SYS_BPF, command, arguments, sizeof(*arguments));
	return result < 0 ? -errno : (int)result;
}

int rbc_map_open_path(const char *path) {
	rbc_bpf_arguments arguments;
	memset(&arguments, 0, sizeof(arguments));
	arguments.object.path = (uintptr_t)path;
	return bpf(RBC_BPF_OBJ_GET, &arguments);
}

int rbc_map_open_id(uint32_t id) {
	rbc_bpf_arguments arguments;
	memset(&arguments, 0, sizeof(arguments));
	arguments.map_id = id;
	return bpf(RBC_BPF_MAP_GET_FD_BY_ID, &arguments);
}

bool rbc_map_positions_are_whole(void) {
	RBC_UNCANCELLED;
	if (sizeof(long) == sizeof(uint64_t)) {
		return true;
	}
	int fd = open("/sys/kernel/address_bits", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		char bits[2];
		ssize_t n = read(fd, bits, sizeof(bits));
		close(fd);
		return n == sizeof(bits) && memcmp(bits, "64", sizeof(bits)) == 0;
	}
	struct utsname system;
	return uname(&system) == 0 && strstr(system.machine, "64") != NULL;
}

bool rbc_map_is_something_else(int fd) {
	char path[32], target[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return n > 0 && strcmp(target, "anon_inode:bpf-map") != 0;
}

int rbc_map_get_info_of_any(int fd, rbc_map_info *info) {
	rbc_bpf_arguments arguments;
	memset(&arguments, 0, sizeof(arguments));
	memset(info, 0, sizeof(*info));
	arguments.info.fd = (uint32_t)fd;
	arguments.info.size = sizeof(*info);
	arguments.info.info = (uintptr_t)info;
	int error = bpf(RBC_BPF_OBJ_GET_INFO_BY_FD, &arguments);
	return error == -EINVAL ? -EBADFD : error;
}

int rbc_map_get_info(int fd, rbc_map_info *info) {
	return rbc_map_is_something_else(fd) ? -EBADFD : rbc_map_get_info_of_any(fd, info);
}

typedef struct losses {
	uint64_t records;
	uint64_t bytes;
} losses;

bool rbc_map_counts_losses(const rbc_map_info *info) {
	return info->type == RBC_BPF_MAP_TYPE_PERCPU_ARRAY && info->key_size == sizeof(uint32_t) &&
		info->value_size == sizeof(losses);
}

static int possible_cpus(void) {
	RBC_UNCANCELLED;
	FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
	if (file == NULL) {
		return -errno;
	}
	int count = 0, first, last, end = EOF;
	while (fscanf(file, "%d", &first) == 1) {
		last = first;
		if (fscanf(file, "-%d", &last) == EOF) {
			last = first;
		}
		count += last - first + 1;
		end = fgetc(file);
		if (end != ',') {
			break;
		}
	}
	fclose(file);
	bool is_whole = end == '\n' || end == EOF;
	return count > 0 && is_whole ? count : -ENODATA;
}

int rbc_map_read_losses(int fd, uint64_t *records) {
	int cpus = possible_cpus();
	if (cpus < 0) {
		return cpus;
	}
	losses *values = calloc((size_t)cpus, sizeof(*values));
	if (values == NULL) {
		return -ENOMEM;
	}
	uint32_t key = 0;
	rbc_bpf_arguments arguments;
	memset(&arguments, 0, sizeof(arguments));
	arguments.element.map_fd = (uint32_t)fd;
	arguments.element.key = (uintptr_t)&key;
	arguments.element.value = (uintptr_t)values;
	int error = bpf(RBC_BPF_MAP_LOOKUP_ELEM, &arguments);
	*records = 0;
	for (int i = 0; i < cpus; i++) {
		*records += values[i].records;
	}
	free(values);
	return error;
}

int rbc_map_probe_ring(uint32_t type, uint32_t flags) {
	rbc_bpf_arguments arguments;
	memset(&arguments, 0, sizeof(arguments));
	arguments.create.map_type = type;
	arguments.create.max_entries = (uint32_t)sysconf(_SC_PAGESIZE);
	arguments.create.map_flags = flags;
	int fd = bpf(RBC_BPF_MAP_CREATE, &arguments);
	rbc_close(fd);
	if (fd >= 0) {
		return 1;
	}
	return fd == -EINVAL || fd == -ENOSYS ? 0 : fd;
}

/* ==== capi/memory_ring.c ==== */
#define load load_in_memory_ring
#define TAG UINT64_C(0x31676e697263626d)
#define TAG_FLAGS UINT64_C(0x32676e697263626d)

#define SEALS (RBC_F_SEAL_SHRINK | RBC_F_SEAL_GROW | RBC_F_SEAL_SEAL)

#define ASK_PROC_EVERY 16

static int lay_out(int fd, size_t data_size, size_t page_size, uint32_t flags) {
	RBC_UNCANCELLED;
	int error = rbc_set_file_size(fd, 2 * page_size + data_size);
	if (error != 0) {
		return error;
	}
	rbc_producer_page page;
	memset(&page, 0, sizeof(page));
	page.tag = flags == 0 ? TAG : TAG_FLAGS;
	page.page_size = page_size;
	page.data_size = data_size;
	page.flags = flags;
	ssize_t written = pwrite(fd, &page, sizeof(page), (off_t)page_size);
	if (written != (ssize_t)sizeof(page)) {
		return written < 0 && errno != ENOSPC ? -errno : -ENOMEM;
	}
	return fcntl(fd, RBC_F_ADD_SEALS, SEALS) == 0 ? 0 : -errno;
}

int rbcore_memory_ring_create(int *memory_fd, int *event_fd, size_t ring_size, uint32_t flags) {
	RBC_KEEP_ERRNO;
	size_t page_size = rbc_page_size();
	if (memory_fd == NULL || event_fd == NULL || flags & ~RBCORE_MEMORY_RING_OVERWRITE ||
		!rbc_ring_size_is_valid(ring_size, page_size) || ring_size > RBC_MEMORY_RING_MAX) {
		return -EINVAL;
	}
	int memory = rbc_memfd("rbcore", RBC_MFD_ALLOW_SEALING);
	if (memory < 0) {
		return memory;
	}
	int error = lay_out(memory, ring_size, page_size, flags);
	if (error != 0) {
		rbc_close(memory);
		return error;
	}
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event < 0) {
		error = -errno;
		rbc_close(memory);
		return error;
	}
	*memory_fd = memory;
	*event_fd = event;
	return 0;
}

int rbc_memory_ring_check(int fd, size_t *data_size, ino_t *inode) {
	int mode = fcntl(fd, F_GETFL);
	if (mode < 0) {
		return -EBADF;
	}
	int seals = fcntl(fd, RBC_F_GET_SEALS);
	struct stat status;
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) != 0) {
		return -EBADFD;
	}
	uint64_t pages = 2 * rbc_page_size(), size = (uint64_t)status.st_size;
	if (size < pages || size - pages > RBC_MEMORY_RING_MAX ||
		!rbc_ring_size_is_valid((size_t)(size - pages), rbc_page_size())) {
		return -EBADFD;
	}
	if ((mode & O_ACCMODE) != O_RDWR) {
		return -EACCES;
	}
	*data_size = (size_t)(size - pages);
	*inode = status.st_ino;
	return 0;
}

static uint64_t load(const _Atomic uint64_t *word) {
	return atomic_load_explicit(word, memory_order_relaxed);
}

int rbc_memory_ring_check_layout(const rbc_mapping *mapping, bool *overwrites) {
	const rbc_producer_page *page = rbc_producer_page_of(mapping);
	const uint64_t flags = load(&page->flags);
	*overwrites = flags != 0;
	bool is_ours =
		load(&page->tag) == (flags == 0 ? TAG : TAG_FLAGS) && flags <= RBCORE_MEMORY_RING_OVERWRITE;
	return is_ours && load(&page->page_size) == mapping->page_size &&
				load(&page->data_size) == mapping->data_size
			? 0
			: -EBADFD;
}

int rbc_event_fd_check(int fd) {
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0) {
		return -EBADF;
	}
	char path[32], target[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	bool is_eventfd = n < 0 || strcmp(target, "anon_inode:[eventfd]") == 0;
	return is_eventfd && (flags & O_NONBLOCK) ? 0 : -EBADFD;
}

static bool is_full(int fd) {
	struct pollfd event = {.fd = fd, .events = POLLOUT};
	return poll(&event, 1, 0) >= 0 && !(event.revents & POLLOUT);
}

static void make_nonblocking(int fd) {
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && !(flags & O_NONBLOCK)) {
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
}

void rbc_event_fd_signal(int fd) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	uint64_t count = 1;
	bool was_full = is_full(fd);
	make_nonblocking(fd);
	if (!was_full && write(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		return;
	}
	ssize_t n = read(fd, &count, sizeof(count));
	count = 1;
	n = write(fd, &count, sizeof(count));
	(void)n;
}

int rbc_duplicate(int fd) {
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

int rbc_reopen(int fd) {
	RBC_UNCANCELLED;
	char path[40];
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	int own = open(path, O_RDWR | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

bool rbc_producer_is_gone(rbc_producer_page *page, int lock_fd, uint32_t token,
						unsigned asked_before) {
	uint32_t slot = token % RBCORE_PRODUCERS_MAX;
	uint64_t generation = (token & ~RBC_TOKEN_BIT) / RBCORE_PRODUCERS_MAX;
	rbc_producer_slot *entry = &page->slots[slot];
	if (!(token & RBC_TOKEN_BIT) ||
		generation != atomic_load_explicit(&entry->generation, memory_order_acquire)) {
		return true;
	}
	if (!rbc_byte_is_locked(lock_fd, RBC_PRODUCER_BYTE(slot))) {
		return true;
	}
	if (asked_before % ASK_PROC_EVERY != 0) {
		return false;
	}
	rbc_process process = entry->process;
	return rbc_process_state_of(&process) == RBC_PROCESS_DEAD;
}
#undef ASK_PROC_EVERY
#undef SEALS
#undef TAG
#undef TAG_FLAGS
#undef load

/* ==== capi/wait.c ==== */
#define LONGEST_DELAY_NS INT64_C(10000000)

#define EVENTS_AT_ONCE 64

#define LONG_WAIT_NS INT64_C(1000000000)

#define UNTIMED_PAUSE_NS 1000000

#ifdef RBCORE_THREAD_SANITIZER
extern atomic_int rbc_fence;
atomic_int rbc_fence;
#endif

int64_t rbc_now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rbc_deadline_after(rbc_clock *clock, int64_t timeout_ns) {
	if (timeout_ns < 0) {
		return INT64_MAX;
	}
	int64_t now = rbc_clock_now(clock);
	return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

static void close_fd(int *fd) {
	RBC_KEEP_ERRNO;
	rbc_close(*fd);
	*fd = -1;
}

static int start_timer(rbc_wait *self, time_t seconds, long nanoseconds) {
	struct itimerspec when = {.it_value.tv_sec = seconds, .it_value.tv_nsec = nanoseconds};
	return timerfd_settime(self->timer_fd, 0, &when, NULL);
}

int rbc_wait_open(rbc_wait *self) {
	RBC_KEEP_ERRNO;
	self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	self->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	rbc_wait_reset_delay(self);
	int error = 0;
	if (self->epoll_fd < 0 || self->wake_fd < 0 || self->timer_fd < 0 ||
		start_timer(self, 0, 0) != 0) {
		error = -errno;
	}
	if (error == 0) {
		error = rbc_wait_add(self, self->wake_fd, RBC_UNHEARD);
	}
	if (error == 0) {
		error = rbc_wait_add(self, self->timer_fd, RBC_UNHEARD);
	}
	if (error != 0) {
		rbc_wait_close(self);
	}
	return error;
}

void rbc_wait_close_epoll(rbc_wait *self) {
	close_fd(&self->epoll_fd);
	close_fd(&self->timer_fd);
}

void rbc_wait_close(rbc_wait *self) {
	rbc_wait_close_epoll(self);
	close_fd(&self->wake_fd);
}

int rbc_wait_add(rbc_wait *self, int fd, uint64_t tag) {
	RBC_KEEP_ERRNO;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = tag};
	return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void rbc_wait_remove(rbc_wait *self, int fd) {
	RBC_KEEP_ERRNO;
	epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void count_wakeup(rbc_wait *self, int events) {
	if (events > 0) {
		rbc_count(&self->wakeups, 1);
	}
}

static void end_fetching(rbc_wait *self, const struct epoll_event *events, int n) {
	self->is_fetching = false;
	count_wakeup(self, n);
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 != RBC_UNHEARD) {
			self->heard(self->reader, events[i].data.u64);
		}
	}
}

void rbc_wait_drain(rbc_wait *self) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	struct epoll_event events[EVENTS_AT_ONCE];
	int n;
	atomic_store_explicit(&self->woken, false, memory_order_relaxed);
	do {
		self->is_fetching = true;
		n = epoll_wait(self->epoll_fd, events, EVENTS_AT_ONCE, 0);
		end_fetching(self, events, n);
	} while (n == EVENTS_AT_ONCE);
}

void rbc_wait_drain_timer(rbc_wait *self, int64_t now) {
	if (atomic_load_explicit(&self->woken, memory_order_relaxed)) {
		rbc_wait_drain(self);
	} else {
		count_wakeup(self, now >= self->timer_due);
	}
}

static int wait_nanoseconds(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
	rbc_kernel_time timeout = rbc_kernel_time_of(timeout_ns);
	return (int)syscall(RBC_SYS_EPOLL_PWAIT2, epoll_fd, events, max, &timeout, NULL, (size_t)0);
}

static int wait_milliseconds(int epoll_fd, struct epoll_event *events, int max, int64_t ms) {
	return epoll_wait(epoll_fd, events, max, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

static bool was_refused(int n) {
	return n < 0 && errno != EINTR;
}

int rbc_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	int n = wait_nanoseconds(epoll_fd, events, max, timeout_ns);
	if (was_refused(n)) {
		int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
		n = wait_milliseconds(epoll_fd, events, max, ms);
	}
	return n < 0 ? -errno : n;
}

static int wait_cancellably(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
	int type;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	int n = wait_nanoseconds(epoll_fd, events, max, timeout_ns);
	pthread_setcanceltype(type, &type);
	return n;
}

static int wait_for_events(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns) {
	if (timeout_ns >= 0 && timeout_ns < LONG_WAIT_NS) {
		return wait_cancellably(epoll_fd, events, max, timeout_ns);
	}
	return wait_milliseconds(epoll_fd, events, max, timeout_ns < 0 ? -1 : timeout_ns / 1000000);
}

int rbc_wait_block(rbc_wait *self, int64_t timeout_ns) {
	RBC_KEEP_ERRNO;
	struct epoll_event events[EVENTS_AT_ONCE];
	self->is_fetching = true;
	int n = wait_for_events(self->epoll_fd, events, EVENTS_AT_ONCE, timeout_ns);
	if (was_refused(n)) {
		rbc_wait_start_timer(self, rbc_now_ns(), timeout_ns);
		n = epoll_wait(self->epoll_fd, events, EVENTS_AT_ONCE, -1);
	}
	end_fetching(self, events, n);
	return n < 0 ? -errno : n;
}

void rbc_wait_wake(rbc_wait *self) {
	RBC_KEEP_ERRNO;
	uint64_t one = 1;
	syscall(SYS_write, self->wake_fd, &one, sizeof(one));
	atomic_store_explicit(&self->woken, true, memory_order_relaxed);
}

int64_t rbc_wait_next_delay(rbc_wait *self) {
	int64_t delay = self->delay_ns;
	self->delay_ns = delay * 2 > LONGEST_DELAY_NS ? LONGEST_DELAY_NS : delay * 2;
	return delay;
}

void rbc_wait_start_timer(rbc_wait *self, int64_t now, int64_t delay_ns) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	self->timer_due = delay_ns > INT64_MAX - now ? INT64_MAX : now + delay_ns;
	long nanoseconds = (long)(delay_ns % 1000000000) + (delay_ns == 0);
	if (start_timer(self, (time_t)(delay_ns / 1000000000), nanoseconds) != 0) {
		nanosleep(&(struct timespec){.tv_nsec = UNTIMED_PAUSE_NS}, NULL);
		rbc_wait_wake(self);
	}
}
#undef EVENTS_AT_ONCE
#undef LONGEST_DELAY_NS
#undef LONG_WAIT_NS
#undef UNTIMED_PAUSE_NS

/* ==== capi/checked_copy.c ==== */
#define load load_in_checked_copy
#define MARGIN_PART 4

#if (defined(__x86_64__) || defined(__i386__)) && !defined(RBCORE_WEAK_ORDER)
#define STORES_IN_ORDER 1
#else
#define STORES_IN_ORDER 0
#endif

static uint64_t margin_of(size_t data_size, bool is_overwrite, bool is_memory) {
	if (is_overwrite && (is_memory || STORES_IN_ORDER)) {
		return 0;
	}
	return STORES_IN_ORDER ? RBC_HEADER_SIZE : data_size / MARGIN_PART;
}

rbc_copy_source rbc_copy_source_of(const rbc_mapping *mapping, bool is_overwrite, bool is_memory) {
	const _Atomic uint64_t *produced = (const _Atomic uint64_t *)(void *)mapping->producer_page;
	return (rbc_copy_source){.mapping = mapping,
							.consumer_pos =
								(const _Atomic uint64_t *)(void *)mapping->consumer_page,
							.producer_pos = &produced[0],
							.pending_pos = &produced[1],
							.overwrite_pos = is_overwrite ? &produced[2] : NULL,
							.margin = margin_of(mapping->data_size, is_overwrite, is_memory)};
}

static uint64_t load(const _Atomic uint64_t *position) {
	return atomic_load_explicit(position, memory_order_acquire);
}

uint64_t rbc_copy_oldest(const rbc_copy_source *self) {
	return load(self->overwrite_pos != NULL ? self->overwrite_pos : self->consumer_pos);
}

#ifdef RBCORE_THREAD_SANITIZER
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
UNSEEN static void copy(void *to, const void *from, size_t bytes) {
	volatile uint64_t *target = to;
	const volatile uint64_t *source = from;
	for (size_t i = 0; i < bytes / sizeof(*target); i++) {
		target[i] = source[i];
	}
}
#else
#define UNSEEN
static void copy(void *to, const void *from, size_t bytes) {
	memcpy(to, from, bytes);
}
#endif

UNSEEN uint32_t rbc_copy_length(const rbc_copy_source *self, uint64_t position) {
	return atomic_load_explicit(&rbc_header_at(self->mapping, position)->length,
								memory_order_acquire);
}

UNSEEN uint32_t rbc_copy_token(const rbc_copy_source *self, uint64_t position) {
	return atomic_load_explicit(&rbc_header_at(self->mapping, position)->token,
								memory_order_relaxed);
}

rbc_copy_end rbc_copy_find_end(const rbc_copy_source *self, uint64_t from) {
	uint64_t pending = load(self->pending_pos), producer = load(self->producer_pos);
	uint64_t at = from;
	bool is_aligned = producer % 8 == 0 && from % 8 == 0;
	if (!is_aligned || producer - from > self->mapping->data_size) {
		return (rbc_copy_end){
			.position = from, .producer_pos = producer, .walked_from = from, .why = RBC_COPY_BAD};
	}
	if (pending % 8 == 0 && pending - from <= producer - from) {
		at = pending;
	}
	const uint64_t walked_from = at;
	rbc_copy_stop why = RBC_COPY_ALL;
	while (at != producer && why == RBC_COPY_ALL) {
		uint32_t length = rbc_copy_length(self, at);
		uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
		if (length & RBC_BUSY) {
			why = RBC_COPY_BUSY;
		} else if (span > producer - at) {
			why = RBC_COPY_BAD;
		} else {
			at += span;
		}
	}
	return (rbc_copy_end){
		.position = at, .producer_pos = producer, .walked_from = walked_from, .why = why};
}

static bool is_past_margin(const rbc_copy_source *self, uint64_t position, uint64_t producer) {
	return !rbc_is_after(producer + self->margin, position + self->mapping->data_size);
}

static uint64_t valid_in_normal(const rbc_copy_source *self, uint64_t from) {
	if (is_past_margin(self, from, load(self->producer_pos))) {
		return from;
	}
	uint64_t consumer = load(self->consumer_pos);
	return rbc_is_after(consumer, from) ? consumer : from;
}

static uint64_t walk_past_margin(const rbc_copy_source *self, uint64_t at, uint64_t from,
								uint64_t producer) {
	const uint64_t page = self->mapping->page_size, mask = self->mapping->data_size - 1;
	uint32_t first_page = 0;
	for (uint64_t start = at; !is_past_margin(self, at, producer) || rbc_is_after(from, at);) {
		const rbc_header *header = rbc_header_at(self->mapping, at);
		uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
		uint32_t token = atomic_load_explicit(&header->token, memory_order_relaxed);
		uint32_t page_of_data = token - (uint32_t)((at & mask) / page);
		uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
		first_page = at == start ? page_of_data : first_page;
		if (length & RBC_BUSY || span > producer - at || page_of_data != first_page) {
			return producer;
		}
		at += span;
	}
	return at;
}

static uint64_t valid_in_overwritten(const rbc_copy_source *self, uint64_t from) {
	uint64_t producer = load(self->producer_pos), oldest = load(self->overwrite_pos);
	uint64_t valid = rbc_is_after(oldest, from) ? oldest : from;
	return self->margin == 0 || is_past_margin(self, valid, producer)
			? valid
			: walk_past_margin(self, oldest, from, producer);
}

uint64_t rbc_copy_valid_from(const rbc_copy_source *self, uint64_t from) {
	rbc_full_fence();
	return self->overwrite_pos != NULL ? valid_in_overwritten(self, from)
									: valid_in_normal(self, from);
}

uint64_t rbc_copy_bytes(const rbc_copy_source *self, void *to, uint64_t from, size_t bytes) {
	copy(to, rbc_header_at(self->mapping, from), bytes);
	return rbc_copy_valid_from(self, from);
}
#undef MARGIN_PART
#undef STORES_IN_ORDER
#undef UNSEEN
#undef load

/* ==== capi/sized.c ==== */
static bool is_absurd(size_t size) {
	return size < sizeof(size_t) || size > RBC_SIZED_MAX;
}

static size_t smaller(size_t a, size_t b) {
	return a < b ? a : b;
}

int rbc_sized_in(void *known, size_t known_size, const void *given) {
	size_t size;
	memcpy(&size, given, sizeof(size));
	if (is_absurd(size)) {
		return -EINVAL;
	}
	const unsigned char *bytes = given;
	for (size_t i = known_size; i < size; i++) {
		if (bytes[i] != 0) {
			return -E2BIG;
		}
	}
	memcpy(known, given, smaller(size, known_size));
	return 0;
}

int rbc_sized_out(void *given, const void *known, size_t known_size) {
	size_t size;
	memcpy(&size, given, sizeof(size));
	if (is_absurd(size)) {
		return -EINVAL;
	}
	memcpy(given, known, smaller(size, known_size));
	if (size > known_size) {
		memset((unsigned char *)given + known_size, 0xff, size - known_size);
	}
	memcpy(given, &size, sizeof(size));
	return 0;
}

int rbc_sized_init(void *out, size_t size, const void *defaults, size_t defaults_size) {
	if (out == NULL || is_absurd(size)) {
		return -EINVAL;
	}
	memset(out, 0, size);
	memcpy(out, defaults, smaller(size, defaults_size));
	memcpy(out, &size, sizeof(size));
	return 0;
}

/* ==== capi/library.c ==== */
uint32_t rbcore_version(void) {
	return RBCORE_VERSION;
}

static int probe_memory_ring(void) {
	int fd = rbc_memfd("rbcore", RBC_MFD_ALLOW_SEALING);
	if (fd < 0) {
		return fd == -ENOSYS ? 0 : fd;
	}
	rbc_close(fd);
	return 1;
}

int rbcore_supports(uint32_t feature) {
	RBC_KEEP_ERRNO;
	switch (feature) {
	case RBCORE_FEATURE_KERNEL_RING:
		return rbc_map_probe_ring(RBC_BPF_MAP_TYPE_RINGBUF, 0);
	case RBCORE_FEATURE_OVERWRITE:
		return rbc_map_probe_ring(RBC_BPF_MAP_TYPE_RINGBUF, RBC_BPF_F_RB_OVERWRITE);
	case RBCORE_FEATURE_MEMORY_RING:
		return probe_memory_ring();
	case RBCORE_FEATURE_USER_RING:
		return rbc_map_probe_ring(RBC_BPF_MAP_TYPE_USER_RINGBUF, 0);
	default:
		return 0;
	}
}

/* ==== capi/error.c ==== */
static const struct {
	int error;
	const char *text;
} meanings[] = {
	{0, "success"},
	{E2BIG, "the struct or file is from a newer version and uses what this one does not know"},
	{EACCES, "the descriptor, or the mode of the path, does not grant both reading and writing"},
	{EAGAIN, "try again: discarded records were passed and more may wait, or the ring is full"},
	{EBADF, "not an open file descriptor"},
	{EBADFD, "the descriptor is not of a BPF map, or not of a sealed memory ring"},
	{EBADMSG, "the content of the ring or file is impossible: something overwrote it"},
	{EBUSY, "another reader or producer has the ring, or records are not committed"},
	{ECANCELED, "interrupted by rbcore_reader_interrupt"},
	{ECHILD, "the handle was opened before fork(): it is the parent's"},
	{EINTR, "a signal was caught"},
	{EINVAL, "an argument is not valid"},
	{EMEDIUMTYPE, "the BPF map is not of the type that is needed"},
	{EMFILE, "the process has too many open file descriptors"},
	{EMSGSIZE, "the record is larger than any the ring can hold"},
	{ENFILE, "the system has too many open files"},
	{ENOBUFS, "too many turns of several rings are not committed"},
	{ENODATA, "at the end: all that was there has been delivered"},
	{ENOENT, "no BPF map of this path or id"},
	{ENOMEM, "out of memory"},
	{ENOSPC, "no room: the reader has the most rings it can have, or a device or limit is full"},
	{EOPNOTSUPP, "not supported by this version for this kind of ring"},
	{EPERM, "not permitted, for want of CAP_BPF or CAP_SYS_ADMIN, or by a filter (seccomp(2))"},
	{ESHUTDOWN, "the reader was shut down"},
	{EUSERS, "the memory ring has the most producers it can have"},
};

const char *rbcore_strerror(int error) {
	unsigned magnitude = error < 0 ? 0u - (unsigned)error : (unsigned)error;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if ((unsigned)meanings[i].error == magnitude) {
			return meanings[i].text;
		}
	}
	return "an error of the operating system: see errno(3)";
}

int rbc_reader_fail(rbcore_reader *self, int error, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(self->message, sizeof(self->message), format, arguments);
	va_end(arguments);
	return error;
}

const char *rbcore_reader_message(const rbcore_reader *self) {
	return self == NULL ? "" : self->message;
}

/* ==== capi/ring.c ==== */
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "positions are loaded and stored as a whole");

static bool is_reachable(const rbc_ring *self, uint64_t from, uint64_t position,
						uint64_t producer) {
	while (from != position) {
		uint32_t length = rbc_load_length(rbc_ring_header(self, from));
		uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
		if ((length & RBC_BUSY) || span > position - from || span > producer - from) {
			return false;
		}
		from += span;
	}
	return true;
}

void rbc_ring_start_at(rbc_ring *self, uint64_t start, uint64_t consumer) {
	atomic_init(&self->read_pos, start);
	atomic_init(&self->user_pos, start);
	atomic_init(&self->last_pos, start);
	self->published_pos = consumer;
	self->handed_end = start;
	self->last_span = RBC_HEADER_SIZE;
	self->start_pos = start;
}

int rbc_ring_load_positions(rbc_ring *self, uint64_t committed) {
	uint64_t consumer = atomic_load_explicit(self->consumer_pos, memory_order_relaxed);
	uint64_t producer = rbc_ring_load_producer_pos(self);
	if (consumer % 8 != 0 || producer % 8 != 0 || producer - consumer > self->mapping.data_size) {
		return -EBADMSG;
	}
	bool goes_on = committed != 0 && committed - consumer <= producer - consumer &&
				is_reachable(self, consumer, committed, producer);
	rbc_ring_start_at(self, goes_on ? committed : consumer, consumer);
	return 0;
}

static bool producer_pos_is_possible(const rbc_ring *self, uint64_t producer, uint64_t read_pos) {
	uint64_t user_pos = atomic_load_explicit(&self->user_pos, memory_order_relaxed);
	return producer % 8 == 0 && producer - read_pos <= self->mapping.data_size &&
		producer - user_pos <= self->mapping.data_size;
}

typedef struct walk {
	unsigned char *header;
	unsigned char *producer;
	unsigned char *limit;
	unsigned char *wrap;
	uint64_t shift;
	uint64_t last_span;
	uint64_t largest;
	uint64_t tail;
	uint64_t bytes;
	uint64_t discards;
} walk;

#define TURN_PART 4

static walk walk_from(const rbc_ring *self, uint64_t position, uint64_t producer) {
	unsigned char *header = (unsigned char *)rbc_ring_header(self, position);
	const uint64_t there = producer - position, most = self->mapping.data_size / TURN_PART;
	return (walk){.header = header,
				.producer = header + there,
				.limit = header + (there < most ? there : most),
				.wrap = self->mapping.data + self->mapping.data_size,
				.shift = position - (uintptr_t)header,
				.largest = rbc_get(&self->largest_span)};
}

static uint64_t walk_position(const walk *at) {
	return at->shift + (uintptr_t)at->header;
}

static inline void walk_to(walk *at, unsigned char *header, uint64_t span, size_t data_size) {
	at->header = header;
	at->last_span = span;
	if (__builtin_expect(header >= at->wrap, false)) {
		at->header -= data_size;
		at->producer -= data_size;
		at->limit -= data_size;
		at->shift += data_size;
	}
}

static_assert(offsetof(rbcore_record, ring) == offsetof(rbcore_record, size) + 4 &&
				offsetof(rbcore_record, flags) == offsetof(rbcore_record, size) + 6,
			"size, ring and flags are one word");

static inline uint64_t size_in_rest(uint32_t size) {
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? size : (uint64_t)size << 32;
}

static inline uint64_t rest_without_size(const rbc_ring *ring) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint64_t)ring->record_flags << 48 | (uint64_t)ring->index << 32;
#else
	return (uint64_t)ring->index << 16 | ring->record_flags;
#endif
}

static inline unsigned char *end_of_ordinary(const walk *at) {
	unsigned char *end = at->limit < at->wrap ? at->limit : at->wrap;
	return (uint64_t)(end - at->header) < RBC_DISCARD
			? end
			: at->header + (RBC_DISCARD - RBC_HEADER_SIZE);
}

static inline size_t hand_out(const rbc_ring *self, walk *at, uint32_t length,
							rbcore_record *record, size_t max) {
	const uint64_t rest = rest_without_size(self);
	rbcore_record *const first = record, *const full = record + max;
	unsigned char *const end = end_of_ordinary(at), *header = at->header;
	uint64_t span = 0, next = rbc_record_span(length), bytes = 0;
	do {
		const uint64_t rest_of_run = rest | size_in_rest(length);
		const unsigned char *const last = end - next;
		span = next;
		at->largest = span > at->largest ? span : at->largest;
		do {
			record->data = header + RBC_HEADER_SIZE;
			record->position = at->shift + (uintptr_t)header;
			memcpy((unsigned char *)record + offsetof(rbcore_record, size), &rest_of_run,
				sizeof(rest_of_run));
			bytes += length;
			record++;
			header += span;
		} while (record != full && header <= last && rbc_load_length(header) == length);
		if (record == full || header >= end) {
			break;
		}
		length = rbc_load_length(header);
		next = rbc_record_span(length);
	} while (next <= (uint64_t)(end - header));
	at->bytes += bytes;
	walk_to(at, header, span, self->mapping.data_size);
	return (size_t)(record - first);
}

static inline size_t hand_out_span(const rbc_ring *self, walk *at, uint32_t length,
								rbcore_span *out, size_t max) {
	const uint64_t span = rbc_record_span(length);
	const unsigned char *const last = at->limit - span;
	unsigned char *header = at->header;
	size_t count = 0;
	do {
		count++;
		header += span;
	} while (count != max && header <= last && rbc_load_length(header) == length);
	*out = (rbcore_span){.data = at->header + RBC_HEADER_SIZE,
						.position = walk_position(at),
						.stride = (uint32_t)span,
						.size = length,
						.count = (uint32_t)count,
						.ring = self->index,
						.flags = self->record_flags};
	at->largest = span > at->largest ? span : at->largest;
	at->bytes += (uint64_t)count * length;
	walk_to(at, header, span, self->mapping.data_size);
	return count;
}

static rbc_scan_end pass_flagged(rbc_ring *self, walk *at, uint32_t length, rbc_scan *scan) {
	const uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
	if (length & RBC_BUSY) {
		self->head_is_busy = true;
		return RBC_SCAN_EMPTY;
	}
	if (span > (uint64_t)(at->producer - at->header)) {
		return RBC_SCAN_BROKEN;
	}
	at->largest = span > at->largest ? span : at->largest;
	if (scan->skips_left == 0) {
		return RBC_SCAN_BOUND;
	}
	scan->skips_left--;
	at->discards++;
	rbc_count(&self->passed_bytes, span);
	at->tail += span;
	walk_to(at, at->header + span, span, self->mapping.data_size);
	return RBC_SCAN_FULL;
}

static RBC_INLINE rbc_scan_end walk_over(rbc_ring *self, rbc_scan *scan, walk *from,
										bool by_spans) {
	walk at = *from;
	rbcore_record *record = by_spans ? NULL : scan->records + scan->count;
	size_t spans = 0;
	size_t left = scan->max - scan->count;
	rbc_scan_end why = RBC_SCAN_FULL;
	while (left > 0) {
		if (at.header == at.producer) {
			why = RBC_SCAN_EMPTY;
			break;
		}
		uint32_t length = rbc_load_length(at.header);
		uint64_t span = rbc_record_span(length);
		if (__builtin_expect((length & (RBC_BUSY | RBC_DISCARD)) != 0, 0)) {
			walk copy = at;
			why = pass_flagged(self, &copy, length, scan);
			at = copy;
			if (why == RBC_SCAN_FULL) {
				continue;
			}
			break;
		}
		if (__builtin_expect((int64_t)span > at.limit - at.header, 0)) {
			if (span > (uint64_t)(at.producer - at.header)) {
				why = RBC_SCAN_BROKEN;
				break;
			}
			if (left < scan->max - scan->count) {
				break;
			}
			at.limit = at.header + span;
		}
		if (by_spans && spans == scan->spans_left) {
			break;
		}
		size_t count;
		if (by_spans) {
			count = hand_out_span(self, &at, length, &scan->spans[spans++], left);
		} else {
			count = hand_out(self, &at, length, record, left);
			record += count;
		}
		at.tail = 0;
		left -= count;
	}
	scan->count = scan->max - left;
	if (by_spans) {
		scan->spans += spans;
		scan->spans_left -= spans;
	}
	*from = at;
	return why;
}

static rbc_scan_end walk_records(rbc_ring *self, rbc_scan *scan, walk *at) {
	return scan->spans == NULL ? walk_over(self, scan, at, false) : walk_over(self, scan, at, true);
}

static void note_filled(rbc_ring *self, uint64_t filled) {
	if (filled > rbc_get(&self->high_water)) {
		atomic_store_explicit(&self->high_water, filled, memory_order_relaxed);
	}
	if (filled >= self->mapping.data_size / 2) {
		self->pace.was_half_full = true;
	} else if (self->pace.drained) {
		self->pace.was_half_full = false;
	}
}

rbc_scan_end rbc_ring_scan(rbc_ring *self, rbc_scan *scan, rbc_passed *passed) {
	self->head_is_busy = false;
	__builtin_prefetch(rbc_ring_header(self, rbc_get(&self->read_pos)));
	uint64_t producer = self->kind->find_end(self), start = rbc_get(&self->read_pos);
	bool broken = atomic_load_explicit(&self->broken, memory_order_relaxed);
	passed->position = start;
	if (producer == start && !broken) {
		self->pace.drained = true;
		return RBC_SCAN_EMPTY;
	}
	if (broken || !producer_pos_is_possible(self, producer, start)) {
		atomic_store_explicit(&self->broken, true, memory_order_relaxed);
		return RBC_SCAN_BROKEN;
	}
	note_filled(self, producer - rbc_get(&self->user_pos));
	walk at = walk_from(self, start, producer);
	rbcore_span *const first_span = scan->spans;
	size_t first = scan->count;
	rbc_scan_end why = walk_records(self, scan, &at);
	size_t found = scan->count - first;
	if (self->kind->end_scan != NULL) {
		uint16_t *flags = first_span != NULL ? &first_span->flags : &scan->records[first].flags;
		why = self->kind->end_scan(self, why, walk_position(&at), found > 0 ? flags : NULL);
	}
	if (why == RBC_SCAN_BROKEN) {
		atomic_store_explicit(&self->broken, true, memory_order_relaxed);
	}
	atomic_store_explicit(&self->largest_span, at.largest, memory_order_relaxed);
	scan->bytes += at.bytes;
	rbc_count(&self->records, found);
	rbc_count(&self->bytes, at.bytes);
	rbc_count(&self->discards, at.discards);
	uint64_t position = walk_position(&at);
	self->busy_scans = self->head_is_busy && position == start ? self->busy_scans + 1 : 0;
	self->pace.drained = why == RBC_SCAN_EMPTY;
	uint64_t last = at.last_span > 0 ? position - at.last_span : rbc_get(&self->last_pos);
	self->last_span = found > 0 ? at.last_span : self->last_span;
	*passed = (rbc_passed){.first = first,
						.count = found,
						.end = position - at.tail,
						.last = last,
						.position = position};
	return why;
}

rbc_passed rbc_ring_skip_to_latest(rbc_ring *self) {
	uint64_t producer = self->kind->find_end(self), position = rbc_get(&self->read_pos);
	uint64_t last = position;
	if (!producer_pos_is_possible(self, producer, position)) {
		return (rbc_passed){.position = position};
	}
	while (position != producer) {
		uint32_t length = rbc_load_length(rbc_ring_header(self, position));
		uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
		if ((length & RBC_BUSY) || span > producer - position) {
			break;
		}
		last = position;
		position += span;
		rbc_count(&self->skipped, 1);
		rbc_count(&self->passed_bytes, span);
	}
	return (rbc_passed){.last = last, .position = position};
}
#undef TURN_PART

/* ==== capi/ring_table.c ==== */
static_assert(RBCORE_RINGS_MAX % RBC_CHUNK_SLOTS == 0, "the chunks have a slot for each index");

#define FIRST_CAPACITY 16

void rbc_ring_table_free(rbc_ring_table *self) {
	for (unsigned i = 0; i < RBC_CHUNKS; i++) {
		free(atomic_load_explicit(&self->chunks[i], memory_order_relaxed));
	}
	free(self->rings);
}

static rbc_slot *slot_of(const rbc_ring_table *self, unsigned index) {
	rbc_slot *chunk =
		atomic_load_explicit(&self->chunks[index / RBC_CHUNK_SLOTS], memory_order_acquire);
	return chunk == NULL ? NULL : &chunk[index % RBC_CHUNK_SLOTS];
}

static int find_slot(const rbc_ring_table *self) {
	for (unsigned i = 0; i < RBCORE_RINGS_MAX; i++) {
		unsigned index = (self->next_slot + i) % RBCORE_RINGS_MAX;
		if (rbc_ring_table_at(self, index) == NULL) {
			return (int)index;
		}
	}
	return -ENOSPC;
}

static int make_chunk(rbc_ring_table *self, unsigned index) {
	if (slot_of(self, index) != NULL) {
		return 0;
	}
	rbc_slot *chunk = calloc(RBC_CHUNK_SLOTS, sizeof(*chunk));
	if (chunk == NULL) {
		return -ENOMEM;
	}
	atomic_store_explicit(&self->chunks[index / RBC_CHUNK_SLOTS], chunk, memory_order_release);
	return 0;
}

static int make_space(rbc_ring_table *self) {
	if (self->count < self->capacity) {
		return 0;
	}
	unsigned capacity = self->capacity == 0 ? FIRST_CAPACITY : 2 * self->capacity;
	rbc_ring **larger = realloc(self->rings, capacity * sizeof(*larger));
	if (larger == NULL) {
		return -ENOMEM;
	}
	self->rings = larger;
	self->capacity = capacity;
	return 0;
}

int rbc_ring_table_reserve(rbc_ring_table *self) {
	int index = self->count < RBCORE_RINGS_MAX ? find_slot(self) : -ENOSPC;
	int error = index < 0 ? index : make_chunk(self, (unsigned)index);
	error = error != 0 ? error : make_space(self);
	return error != 0 ? error : index;
}

void rbc_ring_table_put(rbc_ring_table *self, rbc_ring *ring, unsigned index) {
	rbc_slot *slot = slot_of(self, index);
	ring->index = (uint16_t)index;
	slot->place = self->count;
	self->rings[self->count++] = ring;
	self->next_slot = index + 1;
	atomic_store_explicit(&slot->is_read, true, memory_order_relaxed);
	atomic_store_explicit(&slot->ring, ring, memory_order_release);
}

rbc_ring *rbc_ring_table_find(const rbc_ring_table *self, unsigned index) {
	const rbc_slot *slot = index < RBCORE_RINGS_MAX ? slot_of(self, index) : NULL;
	if (slot == NULL || slot->place >= self->count) {
		return NULL;
	}
	rbc_ring *ring = self->rings[slot->place];
	return ring->index == index ? ring : NULL;
}

void rbc_ring_table_take_out(rbc_ring_table *self, const rbc_ring *ring) {
	rbc_slot *slot = slot_of(self, ring->index);
	unsigned place = slot->place;
	atomic_store_explicit(&slot->is_read, false, memory_order_relaxed);
	rbc_ring *last = self->rings[--self->count];
	self->rings[place] = last;
	slot_of(self, last->index)->place = place;
}

static bool has_read_ring(const rbc_slot *slot) {
	return atomic_load_explicit(&slot->ring, memory_order_acquire) != NULL &&
		atomic_load_explicit(&slot->is_read, memory_order_relaxed);
}

int rbc_ring_table_after(const rbc_ring_table *self, unsigned index) {
	while (index < RBCORE_RINGS_MAX) {
		const rbc_slot *slot = slot_of(self, index);
		if (slot != NULL && has_read_ring(slot)) {
			return (int)index;
		}
		index += slot != NULL ? 1 : RBC_CHUNK_SLOTS - index % RBC_CHUNK_SLOTS;
	}
	return -ENOENT;
}

void rbc_ring_table_clear(rbc_ring_table *self, unsigned index) {
	atomic_store_explicit(&slot_of(self, index)->ring, NULL, memory_order_release);
}
#undef FIRST_CAPACITY

/* ==== capi/consumer.c ==== */
#ifdef RBCORE_THREAD_SANITIZER
__attribute__((no_sanitize("thread"), noinline))
#endif
static uint32_t peek_length(const rbc_ring *self, uint64_t position) {
	return atomic_load_explicit(&rbc_ring_header(self, position)->length, memory_order_acquire);
}

bool rbc_consumer_has_record_in_place(rbc_ring *self) {
	uint64_t position = atomic_load_explicit(&self->read_pos, memory_order_acquire);
	return rbc_ring_load_producer_pos(self) != position &&
		!(peek_length(self, position) & RBC_BUSY);
}

#define EMPTY_PART 2
#define LARGEST_PART 4

static uint64_t position_to_publish(const rbc_ring *self, uint64_t user_pos) {
	if (!rbc_ring_is_paced(self) ||
		user_pos != atomic_load_explicit(&self->read_pos, memory_order_acquire)) {
		return user_pos;
	}
	uint64_t last = rbc_get(&self->last_pos), size = self->mapping.data_size;
	uint64_t producer = atomic_load_explicit(self->producer_pos, memory_order_relaxed);
	bool is_small = user_pos - last <= size / RBC_HELD_BACK_PART &&
					rbc_get(&self->largest_span) <= size / LARGEST_PART;
	bool is_ahead = last - self->published_pos < size;
	return is_small && is_ahead && producer - last <= size / EMPTY_PART ? last : user_pos;
}

static void publish(rbc_ring *self, uint64_t user_pos, uint64_t position) {
	rbc_owner_note_committed(&self->owner, user_pos);
	self->published_pos = position;
	atomic_store_explicit(self->consumer_pos, position, memory_order_release);
}

static bool is_parked(const rbc_wait *self) {
	return atomic_load_explicit(&self->parked, memory_order_relaxed);
}

static void look_again(rbc_ring *self) {
	rbc_wait *wait = &self->reader->wait;
	if (self->reader->is_release || is_parked(wait)) {
		rbc_full_fence();
		if (is_parked(wait) && !rbc_ring_is_paced(self) && rbc_ring_has_record(self)) {
			rbc_wait_wake(wait);
		}
	}
}

static void advance_to(rbc_ring *self, uint64_t position) {
	atomic_store_explicit(&self->user_pos, position, memory_order_release);
	atomic_fetch_add_explicit(&self->reader->commits, 1, memory_order_relaxed);
	publish(self, position, position_to_publish(self, position));
}

static bool publish_held_back(rbc_ring *self) {
	uint64_t user_pos = rbc_get(&self->user_pos);
	if (self->published_pos == user_pos) {
		return false;
	}
	publish(self, user_pos, position_to_publish(self, user_pos));
	return true;
}

void rbc_consumer_advance(rbc_ring *self, uint64_t position) {
	advance_to(self, position);
	look_again(self);
}

void rbc_consumer_publish_all(rbc_ring *self) {
	uint64_t user_pos = rbc_get(&self->user_pos);
	if (self->published_pos != user_pos) {
		publish(self, user_pos, user_pos);
	}
}

static uint64_t first_held(const rbc_ring *self, uint64_t from, uint64_t to) {
	while (from != to) {
		size_t bit = rbc_consumer_held_bit(self, from);
		uint64_t left = (to - from) / 8, in_word = 64 - bit % 64;
		uint64_t word = atomic_load_explicit(&self->held[bit / 64], memory_order_acquire);
		word >>= bit % 64;
		if (word != 0) {
			uint64_t ahead = (uint64_t)__builtin_ctzll(word);
			return ahead < left ? from + 8 * ahead : to;
		}
		from += 8 * (in_word < left ? in_word : left);
	}
	return to;
}

static void work_on_releases(rbc_ring *self) {
	bool has_published = false;
	uint32_t seen = 1;
	do {
		seen = atomic_load(&self->advancing);
		uint64_t user_pos = rbc_get(&self->user_pos);
		uint64_t read_pos = atomic_load_explicit(&self->read_pos, memory_order_acquire);
		uint64_t position = first_held(self, user_pos, read_pos);
		if (position != user_pos) {
			advance_to(self, position);
			has_published = true;
		} else {
			has_published |= publish_held_back(self);
		}
	} while (!atomic_compare_exchange_strong(&self->advancing, &seen, 0));
	if (has_published) {
		look_again(self);
	}
}

void rbc_consumer_pass_released(rbc_ring *self) {
	if (atomic_fetch_add(&self->advancing, 1) == 0) {
		work_on_releases(self);
	}
}

bool rbc_consumer_stop_releases(rbc_ring *self) {
	uint32_t idle = 0;
	return !self->reader->is_release || atomic_compare_exchange_strong(&self->advancing, &idle, 1);
}

void rbc_consumer_resume_releases(rbc_ring *self) {
	if (self->reader->is_release) {
		work_on_releases(self);
	}
}

void rbc_consumer_publish(rbc_ring *self) {
	if (self->reader->is_release) {
		rbc_consumer_pass_released(self);
	} else if (publish_held_back(self)) {
		look_again(self);
	}
}

void rbc_consumer_jump(rbc_ring *self, uint64_t position) {
	atomic_store_explicit(&self->last_pos, position, memory_order_relaxed);
	atomic_store_explicit(&self->read_pos, position, memory_order_release);
	self->handed_end = position;
	advance_to(self, position);
	rbc_consumer_resume_releases(self);
	look_again(self);
}
#undef EMPTY_PART
#undef LARGEST_PART

/* ==== capi/shadow.c ==== */
#define ATTEMPTS 8

int rbc_shadow_open(rbc_ring *ring, bool is_overwrite) {
	rbc_shadow *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	int error = rbc_mapping_open_copy(&self->copy, ring->mapping.data_size);
	if (error != 0) {
		free(self);
		return error;
	}
	self->ring = ring->mapping;
	self->source = rbc_copy_source_of(&self->ring, is_overwrite, ring->kind->is_memory);
	ring->mapping.data = self->copy.data;
	ring->shadow = self;
	if (ring->kind->is_tap) {
		ring->consumer_pos = &self->consumer_pos;
	}
	return 0;
}

void rbc_shadow_close(rbc_ring *ring) {
	rbc_mapping_close(&ring->shadow->copy);
	rbc_mapping_close(&ring->shadow->ring);
	free(ring->shadow);
}

static void set_end(rbc_shadow *self, uint64_t end) {
	atomic_store_explicit(&self->end, end, memory_order_release);
}

void rbc_shadow_start(rbc_ring *ring, uint64_t position) {
	set_end(ring->shadow, position);
	ring->shadow->known_end = position;
	ring->shadow->was_overwritten = false;
}

void rbc_shadow_skip_to(rbc_ring *ring, uint64_t position) {
	rbc_shadow_start(ring, position);
	rbc_consumer_jump(ring, position);
}

int rbc_shadow_load_positions(rbc_ring *ring, uint64_t committed) {
	const rbc_copy_source *source = &ring->shadow->source;
	uint64_t consumer = atomic_load_explicit(source->consumer_pos, memory_order_relaxed);
	uint64_t producer = rbc_ring_load_producer_pos(ring);
	if (consumer % 8 != 0 || producer % 8 != 0 || rbc_is_after(consumer, producer)) {
		return -EBADMSG;
	}
	bool goes_on =
		committed != 0 && committed % 8 == 0 && committed - consumer <= producer - consumer;
	rbc_ring_start_at(ring, goes_on ? committed : consumer, consumer);
	rbc_shadow_start(ring, ring->start_pos);
	return 0;
}

static uint64_t span_at(const rbc_ring *ring, uint64_t position) {
	return rbc_record_span(rbc_get_length(ring, position) & ~(RBC_BUSY | RBC_DISCARD));
}

static uint64_t free_space(const rbc_ring *ring, uint64_t end) {
	uint64_t user_pos = atomic_load_explicit(&ring->user_pos, memory_order_acquire);
	return ring->mapping.data_size - (end - user_pos);
}

static void break_ring(rbc_ring *ring) {
	atomic_store_explicit(&ring->broken, true, memory_order_relaxed);
}

static uint64_t end_of_whole_records(const rbc_ring *ring) {
	uint64_t end = rbc_get(&ring->shadow->end), at = rbc_get(&ring->read_pos);
	while (at != end && span_at(ring, at) <= end - at) {
		at += span_at(ring, at);
	}
	return at;
}

static bool resume_at(rbc_ring *ring, uint64_t valid) {
	rbc_shadow *self = ring->shadow;
	uint64_t end = end_of_whole_records(ring);
	rbc_shadow_start(ring, end);
	self->was_overwritten = true;
	if (free_space(ring, end) != ring->mapping.data_size) {
		return false;
	}
	if (valid % 8 != 0) {
		break_ring(ring);
		return false;
	}
	if (!rbc_consumer_stop_releases(ring)) {
		return false;
	}
	rbc_count(&ring->lost_bytes, valid - end);
	self->lost_before_next = true;
	rbc_shadow_skip_to(ring, valid);
	return true;
}

static bool copy_up_to(rbc_ring *ring, uint64_t to) {
	rbc_shadow *self = ring->shadow;
	uint64_t end = rbc_get(&self->end), free_bytes = free_space(ring, end);
	uint64_t left = to - end < free_bytes ? to - end : free_bytes;
	while (left > 0) {
		uint64_t piece = left < RBC_COPY_PIECE ? left : RBC_COPY_PIECE;
		uint64_t valid = rbc_copy_bytes(&self->source, rbc_ring_header(ring, end), end, piece);
		if (valid != end) {
			bool resumed = resume_at(ring, valid);
			if (resumed && rbc_is_after(end + piece, valid)) {
				self->known_end = to;
				set_end(self, end + piece);
			}
			return resumed;
		}
		end += piece;
		left -= piece;
		set_end(self, end);
	}
	return false;
}

static bool refill_once(rbc_ring *ring) {
	rbc_shadow *self = ring->shadow;
	uint64_t end = rbc_get(&self->end);
	if (self->was_overwritten) {
		bool is_free = free_space(ring, end) == ring->mapping.data_size;
		return is_free && resume_at(ring, rbc_copy_valid_from(&self->source, end));
	}
	const rbc_copy_end complete = rbc_copy_find_end(&self->source, self->known_end);
	if (complete.position == end && complete.why == RBC_COPY_ALL) {
		return false;
	}
	uint64_t valid = rbc_copy_valid_from(&self->source, end);
	if (valid != end) {
		return resume_at(ring, valid);
	}
	self->known_end = complete.position;
	ring->head_is_busy =
		complete.why == RBC_COPY_BUSY && complete.position - end <= free_space(ring, end);
	if (complete.why == RBC_COPY_BAD && complete.position == rbc_get(&ring->read_pos)) {
		break_ring(ring);
	}
	return copy_up_to(ring, complete.position);
}

uint64_t rbc_shadow_refill(rbc_ring *ring) {
	for (int i = 0; i < ATTEMPTS && !atomic_load_explicit(&ring->broken, memory_order_relaxed);
		i++) {
		if (!refill_once(ring)) {
			break;
		}
	}
	return rbc_get(&ring->shadow->end);
}

static bool is_cut(const rbc_ring *ring, uint64_t position) {
	const rbc_shadow *self = ring->shadow;
	return rbc_get(&self->end) != self->known_end &&
		span_at(ring, position) <= ring->mapping.data_size;
}

static void mark_loss(rbc_shadow *self, uint16_t *flags) {
	if (self->lost_before_next) {
		*flags |= RBCORE_RECORD_LOST_BEFORE;
		self->lost_before_next = false;
	}
}

rbc_scan_end rbc_shadow_end_scan(rbc_ring *ring, rbc_scan_end why, uint64_t position,
								uint16_t *first_flags) {
	if (first_flags != NULL) {
		mark_loss(ring->shadow, first_flags);
	}
	if (why == RBC_SCAN_BROKEN && is_cut(ring, position)) {
		return RBC_SCAN_EMPTY;
	}
	bool is_busy = why == RBC_SCAN_EMPTY && position != rbc_get(&ring->shadow->end);
	return is_busy && !ring->kind->is_memory ? RBC_SCAN_BROKEN : why;
}

bool rbc_shadow_wakes(rbc_ring *ring) {
	uint64_t consumer =
		atomic_load_explicit(ring->shadow->source.consumer_pos, memory_order_acquire);
	return consumer == rbc_get(&ring->read_pos) && !rbc_shadow_has_record(ring);
}

bool rbc_shadow_waits_for_releases(const rbc_ring *ring) {
	return ring->shadow->was_overwritten &&
		!atomic_load_explicit(&ring->broken, memory_order_relaxed);
}

bool rbc_shadow_is_overwritten(const rbc_ring *ring) {
	uint64_t end = rbc_get(&ring->shadow->end);
	return rbc_copy_valid_from(&ring->shadow->source, end) != end;
}

bool rbc_shadow_has_record(rbc_ring *ring) {
	const rbc_shadow *self = ring->shadow;
	uint64_t position = atomic_load_explicit(&ring->read_pos, memory_order_acquire);
	uint64_t end = atomic_load_explicit(&self->end, memory_order_acquire);
	uint64_t free_bytes = free_space(ring, position);
	if (position != end) {
		uint64_t span = span_at(ring, position);
		return span <= end - position || span <= free_bytes;
	}
	if (atomic_load_explicit(self->source.producer_pos, memory_order_acquire) == position) {
		return false;
	}
	if (rbc_copy_valid_from(&self->source, position) != position) {
		return free_bytes == ring->mapping.data_size;
	}
	uint32_t length = rbc_copy_length(&self->source, position);
	return !(length & RBC_BUSY) && rbc_record_span(length & ~RBC_DISCARD) <= free_bytes;
}

bool rbc_shadow_pass(rbc_ring *ring, uint64_t span) {
	rbc_shadow *self = ring->shadow;
	uint64_t end = rbc_get(&self->end);
	if (span > free_space(ring, end)) {
		return false;
	}
	atomic_store_explicit(&rbc_ring_header(ring, end)->length,
						(uint32_t)(span - RBC_HEADER_SIZE) | RBC_DISCARD, memory_order_relaxed);
	rbc_shadow_start(ring, end + span);
	return true;
}
#undef ATTEMPTS

/* ==== capi/pace.c ==== */
#define FASTEST_BYTES 1.3
#define FASTEST_RECORD_NS 60

#define SAFE_PART 2

#define FILL_PART 4

void rbc_pace_init(rbc_ring *ring, int64_t max_latency_ns, bool always) {
	rbc_pace *self = &ring->pace;
	int64_t fill_time = (int64_t)((double)ring->mapping.data_size / FASTEST_BYTES);
	self->always = always;
	self->ceiling_ns = max_latency_ns < fill_time || always ? max_latency_ns : fill_time;
	self->bytes_at = rbc_get(&ring->read_pos);
	atomic_init(&ring->is_paced, always);
}

bool rbc_pace_has_timer(const rbc_ring *ring) {
	return rbc_ring_is_paced(ring) && !ring->pace.is_hot;
}

int64_t rbc_pace_longest(const rbc_ring *ring) {
	const rbc_pace *self = &ring->pace;
	uint64_t records = ring->mapping.data_size / ring->last_span;
	int64_t fill_time = (int64_t)records * FASTEST_RECORD_NS / SAFE_PART;
	int64_t longest = fill_time < self->ceiling_ns && !self->always ? fill_time : self->ceiling_ns;
	return longest < RBC_PACE_SHORTEST_NS ? 0 : longest;
}

bool rbc_pace_is_full_enough(const rbc_ring *ring, uint64_t max) {
	uint64_t waiting =
		atomic_load_explicit(ring->producer_pos, memory_order_relaxed) - rbc_get(&ring->read_pos);
	return waiting >= ring->mapping.data_size / FILL_PART || waiting / max >= ring->last_span;
}

rbc_fill rbc_pace_end_interval(rbc_ring *ring) {
	uint64_t size = ring->mapping.data_size, position = rbc_get(&ring->read_pos);
	uint64_t bytes = position - ring->pace.bytes_at;
	ring->pace.bytes_at = position;
	return bytes > size / FILL_PART       ? RBC_FILLS_FAST
		: bytes < size / FILL_PART / 4 ? RBC_FILLS_SLOWLY
										: RBC_FILLS_WELL;
}

static bool can_hold_back(const rbc_ring *ring) {
	return ring->last_span <= ring->mapping.data_size / RBC_HELD_BACK_PART;
}

bool rbc_pace_becomes_hot(rbc_ring *ring, rbc_clock *clock, bool only_due) {
	rbc_pace *self = &ring->pace;
	if (!self->was_half_full || rbc_pace_longest(ring) != 0) {
		return false;
	}
	self->was_half_full = false;
	self->is_hot = only_due && can_hold_back(ring);
	self->hot_since_ns = self->is_hot ? rbc_clock_now(clock) : 0;
	return self->is_hot;
}

bool rbc_pace_stays_hot(rbc_ring *ring, rbc_clock *clock, bool has_found, bool only_due) {
	rbc_pace *self = &ring->pace;
	int64_t now_ns = rbc_clock_now(clock);
	if (has_found && only_due && can_hold_back(ring)) {
		self->hot_since_ns = now_ns;
	}
	self->is_hot = only_due && now_ns - self->hot_since_ns < RBC_PACE_SHORTEST_NS;
	return self->is_hot;
}
#undef FASTEST_BYTES
#undef FASTEST_RECORD_NS
#undef FILL_PART
#undef SAFE_PART

/* ==== capi/abandoned.c ==== */
static rbc_passed pass_abandoned(rbc_ring *self, uint64_t position, uint64_t span) {
	self->head_is_busy = false;
	rbc_count(&self->abandoned, 1);
	rbc_count(&self->passed_bytes, span);
	return (rbc_passed){.last = position, .position = position + span};
}

static bool skip_copied_unfinished(rbc_ring *self, uint64_t position, uint64_t end,
								rbc_passed *passed) {
	uint32_t length = rbc_get_length(self, position);
	uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
	if (!(length & RBC_BUSY) || span > end - position) {
		return false;
	}
	*passed = pass_abandoned(self, position, span);
	return true;
}

static uint32_t token_of_head(const rbc_ring *self, uint64_t position) {
	return self->shadow != NULL ? rbc_copy_token(&self->shadow->source, position)
								: atomic_load_explicit(&rbc_ring_header(self, position)->token,
													memory_order_relaxed);
}

static uint32_t length_of_head(const rbc_ring *self, uint64_t position) {
	return self->shadow != NULL ? rbc_copy_length(&self->shadow->source, position)
								: rbc_load_length(rbc_ring_header(self, position));
}

bool rbc_abandoned_skip(rbc_ring *self, rbc_passed *passed) {
	RBC_KEEP_ERRNO;
	if (!self->head_is_busy) {
		self->liveness_checks = 0;
		return false;
	}
	uint64_t position = rbc_get(&self->read_pos), producer = rbc_ring_load_producer_pos(self);
	if (self->shadow != NULL && rbc_get(&self->shadow->end) != position) {
		return skip_copied_unfinished(self, position, rbc_get(&self->shadow->end), passed);
	}
	uint32_t token = token_of_head(self, position);
	if (!(token & RBC_TOKEN_BIT)) {
		return false;
	}
	if (!rbc_producer_is_gone(rbc_producer_page_of(&self->mapping), self->fd, token,
							self->liveness_checks++)) {
		return false;
	}
	uint32_t length = length_of_head(self, position);
	uint64_t span = rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
	if (!(length & RBC_BUSY) || (self->shadow != NULL && rbc_shadow_is_overwritten(self))) {
		self->head_is_busy = false;
		return !rbc_ring_may_be_left(self);
	}
	if (span > producer - position || span > self->mapping.data_size) {
		atomic_store_explicit(&self->broken, true, memory_order_relaxed);
		return true;
	}
	if (self->shadow != NULL && !rbc_shadow_pass(self, span)) {
		return false;
	}
	*passed = pass_abandoned(self, position, span);
	return true;
}

/* ==== capi/kind.c ==== */
static uint64_t producer_pos_of(rbc_ring *ring) {
	return rbc_ring_load_producer_pos(ring);
}

static bool tap_of_memory_misses_wakeups(rbc_ring *ring) {
	return !rbc_shadow_wakes(ring) || rbc_shadow_waits_for_releases(ring);
}

static bool tap_of_kernel_misses_wakeups(rbc_ring *ring) {
	(void)ring;
	return true;
}

static bool overwritten_misses_wakeups(rbc_ring *ring) {
	return rbc_shadow_waits_for_releases(ring);
}

#define IN_PLACE \
	.load_positions = rbc_ring_load_positions, .find_end = producer_pos_of, \
	.has_record = rbc_consumer_has_record_in_place, .is_in_place = true, .flush_max = 1

#define THROUGH_A_COPY \
	.load_positions = rbc_shadow_load_positions, .find_end = rbc_shadow_refill, \
	.end_scan = rbc_shadow_end_scan, .has_record = rbc_shadow_has_record, \
	.waits_for_releases = rbc_shadow_waits_for_releases, .flush_max = 2

#define BY_PROCESSES .skip_abandoned = rbc_abandoned_skip, .is_memory = true, .is_watched = true

static const rbc_kind kernel = {IN_PLACE};
static const rbc_kind kernel_overwritten = {THROUGH_A_COPY,
											.misses_wakeups = overwritten_misses_wakeups};
static const rbc_kind kernel_tapped = {THROUGH_A_COPY,
									.misses_wakeups = tap_of_kernel_misses_wakeups,
									.is_tap = true, .is_watched = true};

static const rbc_kind memory = {IN_PLACE, BY_PROCESSES};
static const rbc_kind memory_overwritten = {THROUGH_A_COPY, BY_PROCESSES,
											.misses_wakeups = overwritten_misses_wakeups};
static const rbc_kind memory_tapped = {
	THROUGH_A_COPY, BY_PROCESSES, .misses_wakeups = tap_of_memory_misses_wakeups, .is_tap = true};

const rbc_kind *rbc_kind_of(bool is_memory, bool is_overwrite, bool is_tap) {
	if (is_tap) {
		return is_memory ? &memory_tapped : &kernel_tapped;
	}
	if (is_overwrite) {
		return is_memory ? &memory_overwritten : &kernel_overwritten;
	}
	return is_memory ? &memory : &kernel;
}
#undef BY_PROCESSES
#undef IN_PLACE
#undef THROUGH_A_COPY

/* ==== capi/pacing.c ==== */
#define ENTER RBC_PACING_ENTER
#define LEAVE RBC_PACING_LEAVE

#define CYCLES 200
#define CYCLES_COST 500
#define RING_COST 1

#define QUIET_INTERVALS 1000

void rbc_pacing_init(rbcore_reader *reader) {
	int64_t latency = reader->max_latency_ns;
	reader->pacing = (rbc_pacing){
		.interval_ns = latency < RBC_PACE_SHORTEST_NS ? RBC_PACE_SHORTEST_NS : latency,
		.number = 1,
		.is_busy = reader->is_polling,
	};
}

void rbc_pacing_add(rbcore_reader *reader, const rbc_ring *ring) {
	reader->pacing.timed += rbc_ring_is_paced(ring);
}

void rbc_pacing_remove(rbcore_reader *reader, const rbc_ring *ring) {
	reader->pacing.timed -= rbc_pace_has_timer(ring);
	reader->pacing.hot -= ring->pace.is_hot;
}

static void set_paced(rbc_ring *ring, unsigned *count) {
	(*count)++;
	ring->pace.heard = 0;
	atomic_store_explicit(&ring->is_paced, true, memory_order_relaxed);
}

static void arm(rbc_ring *ring, unsigned *count) {
	(*count)--;
	atomic_store_explicit(&ring->is_paced, false, memory_order_relaxed);
	rbc_consumer_publish(ring);
}

static bool gave_something(const rbc_pacing *self, const rbc_ring *ring) {
	return ring->pace.interval == self->number && ring->pace.drained;
}

static bool may_join(const rbc_pacing *self, const rbc_ring *ring, rbc_clock *clock) {
	int64_t longest = rbc_pace_longest(ring);
	if (rbc_ring_is_paced(ring) || longest == 0) {
		return false;
	}
	return longest >= self->interval_ns / 2 ||
		(ring->pace.found >= ENTER &&
			ring->pace.found * longest >= ENTER * (rbc_clock_now(clock) - self->since_ns));
}

static void join(rbc_pacing *self, rbc_ring *ring) {
	int64_t longest = rbc_pace_longest(ring);
	self->interval_ns = longest < self->interval_ns ? longest : self->interval_ns;
	ring->pace.bytes_at = rbc_get(&ring->read_pos);
	set_paced(ring, &self->timed);
}

static void judge_hot(rbc_pacing *self, rbc_ring *ring, rbc_clock *clock, bool has_found,
					bool only_due) {
	if (ring->pace.is_hot) {
		if (!rbc_pace_stays_hot(ring, clock, has_found, only_due)) {
			arm(ring, &self->hot);
		}
	} else if (!rbc_ring_is_paced(ring) && rbc_pace_becomes_hot(ring, clock, only_due)) {
		set_paced(ring, &self->hot);
	}
}

void rbc_pacing_judge_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock) {
	rbc_pacing *self = &reader->pacing;
	judge_hot(self, ring, clock, true, true);
	if (self->is_busy && self->loose >= LEAVE && may_join(self, ring, clock)) {
		join(self, ring);
	}
}

static void begin_interval(rbc_pacing *self, rbc_clock *clock) {
	self->since_ns = rbc_clock_now(clock);
	self->number++;
	self->found = 0;
	self->loose = 0;
}

static bool is_over(const rbc_pacing *self, rbc_clock *clock) {
	return rbc_clock_now(clock) - self->since_ns >= self->interval_ns;
}

static bool are_busy(const rbcore_reader *reader, rbc_clock *clock) {
	const rbc_pacing *self = &reader->pacing;
	const rbc_round *round = &reader->round;
	int64_t window = -1;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		if (gave_something(self, ring) && rbc_pace_longest(ring) != 0) {
			int64_t ceiling = ring->pace.was_half_full ? INT64_MAX : ring->pace.ceiling_ns;
			window = ceiling > window ? ceiling : window;
			ring->pace.was_half_full = false;
		}
	}
	return rbc_clock_now(clock) - self->since_ns <= window;
}

static RBC_OUT_OF_LINE void pace_rings(rbcore_reader *reader, rbc_clock *clock) {
	rbc_pacing *self = &reader->pacing;
	const rbc_round *round = &reader->round;
	self->is_busy = true;
	self->slow = 0;
	self->interval_ns = 0;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		int64_t longest = gave_something(self, ring) ? rbc_pace_longest(ring) : 0;
		self->interval_ns = longest > self->interval_ns ? longest : self->interval_ns;
	}
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		if (gave_something(self, ring) && may_join(self, ring, clock)) {
			join(self, ring);
		}
	}
}

static void arm_rings(rbcore_reader *reader) {
	const rbc_round *round = &reader->round;
	reader->pacing.is_busy = false;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		if (rbc_pace_has_timer(ring)) {
			arm(ring, &reader->pacing.timed);
		}
	}
}

static bool is_quiet(const rbc_pacing *self, const rbc_ring *ring) {
	return self->number - ring->pace.interval > QUIET_INTERVALS;
}

static void sort_rings(rbcore_reader *reader, rbc_clock *clock) {
	rbc_pacing *self = &reader->pacing;
	const rbc_round *round = &reader->round;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		bool is_loose = self->loose >= LEAVE && gave_something(self, ring);
		if (is_loose && may_join(self, ring, clock)) {
			join(self, ring);
		} else if (rbc_pace_has_timer(ring) && !ring->pace.always &&
				(rbc_pace_longest(ring) == 0 || is_quiet(self, ring))) {
			arm(ring, &self->timed);
		}
	}
}

static void adapt(rbcore_reader *reader) {
	const rbc_round *round = &reader->round;
	int64_t longest = reader->max_latency_ns, interval = reader->pacing.interval_ns;
	rbc_fill fastest = RBC_FILLS_SLOWLY;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		if (rbc_pace_has_timer(ring)) {
			rbc_fill fill = rbc_pace_end_interval(ring);
			int64_t of_ring = rbc_pace_longest(ring);
			fastest = fill > fastest ? fill : fastest;
			longest = of_ring < longest ? of_ring : longest;
		}
	}
	interval = fastest == RBC_FILLS_FAST     ? interval / 2
			: fastest == RBC_FILLS_SLOWLY ? interval * 2
											: interval;
	interval = interval > longest ? longest : interval;
	reader->pacing.interval_ns = interval < RBC_PACE_SHORTEST_NS ? RBC_PACE_SHORTEST_NS : interval;
}

static bool are_slow(const rbc_pacing *self) {
	return (self->slow > 0 || self->timed == 0) &&
		self->slow * (CYCLES_COST + RING_COST * self->timed) >= CYCLES * self->timed;
}

static RBC_OUT_OF_LINE void judge_busy(rbcore_reader *reader, rbc_clock *clock) {
	rbc_pacing *self = &reader->pacing;
	uint64_t found = self->found;
	if (found < LEAVE && !is_over(self, clock)) {
		return;
	}
	sort_rings(reader, clock);
	adapt(reader);
	begin_interval(self, clock);
	self->slow = found < LEAVE ? self->slow + 1 : 0;
	if (are_slow(self) && !reader->is_polling) {
		arm_rings(reader);
	}
}

static void judge(rbcore_reader *reader, rbc_clock *clock) {
	if (reader->pacing.is_busy) {
		judge_busy(reader, clock);
		return;
	}
	if (are_busy(reader, clock)) {
		pace_rings(reader, clock);
	}
	begin_interval(&reader->pacing, clock);
}

bool rbc_pacing_is_due(const rbcore_reader *reader, rbc_clock *clock, uint64_t max) {
	const rbc_pacing *self = &reader->pacing;
	if (self->has_rest || is_over(self, clock)) {
		return true;
	}
	const rbc_ring *ring = reader->round.turn;
	while (ring != NULL && !(rbc_pace_has_timer(ring) && rbc_pace_is_full_enough(ring, max))) {
		ring = rbc_round_after(&reader->round, ring);
	}
	return ring != NULL;
}

static bool ends_interval(const rbc_pacing *self, rbc_clock *clock) {
	return self->found >= LEAVE && is_over(self, clock);
}

void rbc_pacing_judge(rbcore_reader *reader, rbc_clock *clock, bool only_due) {
	if (only_due || ends_interval(&reader->pacing, clock)) {
		judge(reader, clock);
	}
}

void rbc_pacing_park_ring(rbcore_reader *reader, rbc_ring *ring, rbc_clock *clock, bool only_due) {
	judge_hot(&reader->pacing, ring, clock, false, only_due);
}
#undef CYCLES
#undef CYCLES_COST
#undef ENTER
#undef LEAVE
#undef QUIET_INTERVALS
#undef RING_COST

/* ==== capi/idle.c ==== */
#define must_listen must_listen_in_idle
#define LOOK_AT_ONE_NS 200

#define HEAR_NS INT64_C(50000)
#define LOOKS_BEFORE_HEARING 2
#define MOST_LOOKS_BEFORE_HEARING 64

void rbc_idle_end(rbcore_reader *self, rbc_ring *ring) {
	if (!ring->is_in_round) {
		ring->is_in_round = true;
		ring->swept_pos = rbc_get(&ring->read_pos);
		rbc_round_join(&self->round, ring);
	}
}

static void leave_round(rbcore_reader *self, rbc_ring *ring) {
	ring->is_in_round = false;
	rbc_round_leave(&self->round, ring);
}

static bool may_begin_idle(const rbcore_reader *self, const rbc_ring *ring) {
	return self->table.count > RBC_FEW_RINGS && ring->kind->is_in_place && !ring->kind->is_memory &&
		ring->is_guarded && !ring->from_latest && !rbc_ring_is_paced(ring);
}

void rbc_idle_add(rbcore_reader *self, rbc_ring *ring) {
	if (!may_begin_idle(self, ring)) {
		rbc_idle_end(self, ring);
	}
}

void rbc_idle_remove(rbcore_reader *self, rbc_ring *ring) {
	if (ring->is_in_round) {
		leave_round(self, ring);
	}
	if (self->table.count - 1 == RBC_FEW_RINGS) {
		for (unsigned i = 0; i < self->table.count; i++) {
			if (self->table.rings[i] != ring) {
				rbc_idle_end(self, self->table.rings[i]);
			}
		}
	}
}

void rbc_idle_hear(void *reader, uint64_t index) {
	rbcore_reader *self = reader;
	rbc_ring *ring = rbc_ring_table_find(&self->table, (unsigned)index);
	if (ring == NULL) {
		return;
	}
	rbc_idle_end(self, ring);
	ring->pace.heard += rbc_pace_has_timer(ring);
	self->idling.has_found = true;
}

static bool is_armed(const rbc_ring *ring) {
	uint64_t consumer_pos = atomic_load_explicit(ring->consumer_pos, memory_order_acquire);
	return consumer_pos == rbc_get(&ring->read_pos) && !rbc_consumer_has_held(ring) &&
		!rbc_ring_is_paced(ring) && !ring->left_epoll;
}

static bool may_leave(rbc_ring *ring) {
	uint64_t position = rbc_get(&ring->read_pos), before = ring->swept_pos;
	ring->swept_pos = position;
	return position == before && ring->kind->is_in_place && ring->is_guarded &&
		!atomic_load_explicit(&ring->broken, memory_order_relaxed) && is_armed(ring);
}

static void sweep(rbcore_reader *self) {
	const rbc_round *round = &self->round;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		ring->may_leave = may_leave(ring);
	}
	rbc_full_fence();
	rbc_ring *ring = round->turn;
	for (unsigned left = round->count; left > 0; left--) {
		rbc_ring *next = ring->next;
		if (ring->may_leave && rbc_ring_load_producer_pos(ring) == rbc_get(&ring->read_pos)) {
			leave_round(self, ring);
		}
		ring = next;
	}
}

void rbc_idle_sweep(rbcore_reader *self) {
	if (++self->idling.looks >= RBC_LOOKS_PER_SWEEP) {
		self->idling.looks = 0;
		sweep(self);
	}
}

static bool has_news(const rbc_ring *ring) {
	return atomic_load_explicit(ring->producer_pos, memory_order_relaxed) !=
		rbc_get(&ring->read_pos);
}

bool rbc_idle_look(rbcore_reader *self, rbc_clock *clock) {
	bool found = false;
	if (rbc_idle_count(self) == 0) {
		return false;
	}
	for (unsigned i = 0; i < self->table.count; i++) {
		rbc_ring *ring = self->table.rings[i];
		if (!ring->is_in_round && has_news(ring)) {
			rbc_idle_end(self, ring);
			found = true;
		}
	}
	self->idling.seen_ns = rbc_clock_now(clock);
	return found;
}

static bool is_long_ago(const rbcore_reader *self, rbc_clock *clock, int64_t time_ns) {
	return rbc_idle_count(self) > 0 && rbc_clock_now(clock) - self->idling.seen_ns >= time_ns;
}

void rbc_idle_look_if_cheap(rbcore_reader *self, rbc_clock *clock) {
	if (is_long_ago(self, clock, LOOK_AT_ONE_NS * (int64_t)self->table.count)) {
		rbc_idle_look(self, clock);
	}
}

void rbc_idle_look_now_and_then(rbcore_reader *self, rbc_clock *clock) {
	if (is_long_ago(self, clock, RBC_LOOK_NOW_AND_THEN_NS)) {
		rbc_idle_look(self, clock);
	}
}

void rbc_idle_look_if_in_vain(rbcore_reader *self, rbc_clock *clock) {
	if (!self->idling.has_found || is_long_ago(self, clock, RBC_LOOK_NOW_AND_THEN_NS)) {
		rbc_idle_look(self, clock);
	}
}

static bool must_listen(const rbcore_reader *self, rbc_clock *clock) {
	unsigned looks = self->idling.busy_looks;
	return looks >= LOOKS_BEFORE_HEARING &&
		(looks >= MOST_LOOKS_BEFORE_HEARING ||
			rbc_clock_now(clock) - self->idling.heard_ns >= HEAR_NS);
}

void rbc_idle_listen(rbcore_reader *self, rbc_clock *clock) {
	if (must_listen(self, clock)) {
		self->idling.busy_looks = 0;
		self->idling.heard_ns = rbc_clock_now(clock);
		rbc_wait_drain(&self->wait);
		rbc_idle_look_now_and_then(self, clock);
	}
}
#undef HEAR_NS
#undef LOOKS_BEFORE_HEARING
#undef LOOK_AT_ONE_NS
#undef MOST_LOOKS_BEFORE_HEARING
#undef must_listen

/* ==== capi/commit.c ==== */
static rbc_turn *turn_at(const rbc_turns *self, size_t i) {
	size_t place = self->first + i;
	return &self->entries[place < self->capacity ? place : place - self->capacity];
}

#define FIRST_RINGS 64

static size_t capacity_for(size_t rings, size_t capacity) {
	size_t first = rings < FIRST_RINGS ? rings : FIRST_RINGS;
	size_t needed = first * RBC_TURNS_PER_RING + (rings - first) * RBC_TURNS_PER_FURTHER_RING;
	return needed > capacity && needed < 2 * capacity ? 2 * capacity : needed;
}

int rbc_turns_grow(rbc_turns *self, size_t rings) {
	rbc_turns larger = {.capacity = capacity_for(rings, self->capacity), .count = self->count};
	if (larger.capacity <= self->capacity) {
		return 0;
	}
	larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
	if (larger.entries == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < self->count; i++) {
		larger.entries[i] = *turn_at(self, i);
	}
	free(self->entries);
	*self = larger;
	return 0;
}

void rbc_turns_free(rbc_turns *self) {
	free(self->entries);
	memset(self, 0, sizeof(*self));
}

void rbc_turns_forget(rbc_turns *self, const rbc_ring *ring) {
	size_t kept = 0;
	for (size_t i = 0; i < self->count; i++) {
		if (turn_at(self, i)->ring != ring) {
			*turn_at(self, kept++) = *turn_at(self, i);
		}
	}
	self->count = kept;
}

bool rbc_turns_end_with(const rbc_turns *self, const rbc_ring *ring) {
	return self->count > 0 && turn_at(self, self->count - 1)->ring == ring;
}

void rbc_turns_note(rbc_turns *self, rbc_ring *ring, uint64_t end) {
	if (!rbc_turns_end_with(self, ring)) {
		self->count++;
	}
	*turn_at(self, self->count - 1) = (rbc_turn){.end = end, .ring = ring};
}

static uint64_t end_of(const rbcore_record *record) {
	return record->position + rbc_record_span(record->size);
}

static uint64_t pass_discarded(rbc_ring *self, uint64_t end) {
	while (end != self->handed_end) {
		uint32_t length = rbc_get_length(self, end);
		uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
		if (!(length & RBC_DISCARD) || span > self->handed_end - end) {
			return end;
		}
		end += span;
	}
	self->handed_end = rbc_get(&self->read_pos);
	return self->handed_end;
}

static void commit_to(rbc_ring *self, uint64_t end) {
	end = pass_discarded(self, end);
	if (end != rbc_get(&self->user_pos)) {
		rbc_consumer_advance(self, end);
	}
}

bool rbc_commit_holds(const rbc_ring *ring, const rbcore_record *record) {
	uint64_t user_pos = rbc_get(&ring->user_pos), held = ring->handed_end - user_pos;
	uint64_t before = record->position - user_pos;
	if (record->position % 8 != 0 || before >= held ||
		rbc_record_span(record->size) > held - before) {
		return false;
	}
	return rbc_ring_is_data_of(ring, record->data, record->position) &&
		rbc_get_length(ring, record->position) == record->size;
}

static void commit_everything(rbcore_reader *self) {
	while (self->turns.count > 0) {
		rbc_ring *ring = turn_at(&self->turns, --self->turns.count)->ring;
		commit_to(ring, ring->handed_end);
	}
}

static bool commit_turn(const rbc_turn *turn, uint16_t last_ring, uint64_t end) {
	rbc_ring *ring = turn->ring;
	uint64_t user_pos = rbc_get(&ring->user_pos);
	if (turn->end - user_pos > ring->mapping.data_size) {
		return false;
	}
	bool is_last = ring->index == last_ring && turn->end - user_pos >= end - user_pos;
	commit_to(ring, is_last ? end : turn->end);
	return is_last;
}

static RBC_OUT_OF_LINE void commit_up_to(rbcore_reader *self, const rbcore_record *last) {
	rbc_turns *turns = &self->turns;
	const uint64_t end = end_of(last);
	for (bool found = false; !found && turns->count > 0;) {
		const rbc_turn turn = *turn_at(turns, 0);
		found = commit_turn(&turn, last->ring, end);
		if (found && turn.end != end) {
			return;
		}
		turns->first = turns->first + 1 < turns->capacity ? turns->first + 1 : 0;
		turns->count--;
	}
}

static int commit(rbcore_reader *self, const rbcore_record *last) {
	if (last == NULL) {
		commit_everything(self);
		return 0;
	}
	const rbc_ring *ring = rbc_reader_ring(self, last->ring);
	if (ring == NULL || !rbc_commit_holds(ring, last)) {
		return rbc_reader_fail(self, -EINVAL, "no uncommitted record of ring %u is at %llu",
							last->ring, (unsigned long long)last->position);
	}
	commit_up_to(self, last);
	return 0;
}

int rbcore_reader_commit(rbcore_reader *self, const rbcore_record *last, uint32_t flags) {
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	if (self->is_release) {
		return rbc_reader_fail(self, -EINVAL,
							"the reader was opened for release: it has no commit");
	}
	if (flags & ~RBCORE_COMMIT_NOW) {
		return rbc_reader_fail(self, -EINVAL, "the commit has unknown flags: 0x%x", flags);
	}
	error = commit(self, last);
	if (error == 0 && flags & RBCORE_COMMIT_NOW) {
		const rbc_round *round = &self->round;
		for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
			rbc_consumer_publish_all(ring);
		}
	}
	return error;
}

void rbc_reader_commit_ring(rbcore_reader *self, unsigned index, uint64_t end, bool now) {
	rbc_ring *ring = rbc_reader_ring(self, index);
	if (ring == NULL) {
		return;
	}
	commit_to(ring, end == RBC_ALL_OF_IT ? ring->handed_end : end);
	if (now) {
		rbc_consumer_publish_all(ring);
	}
}
#undef FIRST_RINGS

/* ==== capi/source.c ==== */
#define check_map check_map_in_source
#define check_source check_source_in_source
#define claim claim_in_source
#define defaults defaults_in_source
#define open_ring open_ring_in_source
#define KNOWN_FLAGS \
	(RBCORE_SOURCE_LATEST | RBCORE_SOURCE_INSIST | RBCORE_SOURCE_OVERWRITE | RBCORE_SOURCE_TAP)

static const rbcore_source defaults = RBCORE_SOURCE_INIT;

int rbcore_source_init(rbcore_source *out, size_t size) {
	return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

typedef struct rbc_opening {
	rbcore_reader *reader;
	rbcore_source source;
	size_t data_size;
	rbc_owner_lock lock;
	bool is_overwrite;
	rbc_descriptor descriptor;
} rbc_opening;

const char *rbc_source_missing_field(const rbcore_source *source) {
	switch (source->kind) {
	case RBCORE_SOURCE_MAP_FD:
		return source->fd == -1 ? "fd" : NULL;
	case RBCORE_SOURCE_PINNED_PATH:
		return source->path == NULL ? "path" : NULL;
	case RBCORE_SOURCE_MAP_ID:
		return source->map_id == 0 ? "map_id" : NULL;
	case RBCORE_SOURCE_MEMORY_RING:
		return source->fd == -1 ? "fd" : source->event_fd == -1 ? "event_fd" : NULL;
	default:
		return "known kind";
	}
}

static int check_source(rbc_opening *self, const rbcore_source *given) {
	self->source = defaults;
	int error = rbc_sized_in(&self->source, sizeof(self->source), given);
	if (error == -E2BIG) {
		return rbc_reader_fail(self->reader, error,
							"the source uses fields that this version does not know");
	}
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "the size of the source's struct is absurd");
	}
	if (self->source.flags & ~KNOWN_FLAGS) {
		return rbc_reader_fail(self->reader, -EINVAL, "the source has unknown flags: 0x%" PRIx32,
							self->source.flags & ~KNOWN_FLAGS);
	}
	const char *missing = rbc_source_missing_field(&self->source);
	if (missing != NULL) {
		return rbc_reader_fail(self->reader, -EINVAL, "the source has no %s", missing);
	}
	return 0;
}

static int check_mode(rbc_opening *self, const char *name) {
	bool asked = self->source.flags & RBCORE_SOURCE_OVERWRITE;
	if (self->is_overwrite && !asked) {
		return rbc_reader_fail(self->reader, -EOPNOTSUPP,
							"%s is in overwrite mode: see RBCORE_SOURCE_OVERWRITE", name);
	}
	if (asked && !self->is_overwrite) {
		return rbc_reader_fail(self->reader, -EMEDIUMTYPE, "%s is not in overwrite mode", name);
	}
	return 0;
}

static bool is_tap(const rbc_opening *self) {
	return self->source.flags & RBCORE_SOURCE_TAP;
}

static rbc_mapping_side side_of(const rbc_opening *self) {
	return is_tap(self) ? RBC_TAP_SIDE : RBC_CONSUMER_SIDE;
}

static const char *reason_of_mapping(int error) {
	return error == -ENOMEM ? "no memory, or the process has vm.max_map_count mappings"
							: strerror(-error);
}

static void close_once(int fd, int unless) {
	if (fd != unless) {
		rbc_close(fd);
	}
}

int rbc_source_open_map(const rbcore_source *source) {
	switch (source->kind) {
	case RBCORE_SOURCE_MAP_FD:
		return rbc_duplicate(source->fd);
	case RBCORE_SOURCE_PINNED_PATH:
		return rbc_map_open_path(source->path);
	default:
		return rbc_map_open_id(source->map_id);
	}
}

#define NAME_SIZE 256

static void name_map(const rbcore_source *source, char name[NAME_SIZE]) {
	switch (source->kind) {
	case RBCORE_SOURCE_MAP_FD:
		snprintf(name, NAME_SIZE, "fd %" PRId32, source->fd);
		break;
	case RBCORE_SOURCE_PINNED_PATH:
		snprintf(name, NAME_SIZE, "%s", source->path);
		break;
	default:
		snprintf(name, NAME_SIZE, "map id %" PRIu32, source->map_id);
	}
}

static int open_map_fd(rbc_ring *ring, rbc_opening *self) {
	const rbcore_source *source = &self->source;
	ring->descriptor = self->descriptor;
	ring->fd = self->descriptor == RBC_FD_OWN ? rbc_source_open_map(source) : source->fd;
	if (ring->fd >= 0) {
		return 0;
	}
	char name[NAME_SIZE];
	name_map(source, name);
	return rbc_reader_fail(self->reader, ring->fd, "%s: %s", name, strerror(-ring->fd));
}

static int fail_as_no_map(const rbc_opening *self) {
	char name[NAME_SIZE];
	name_map(&self->source, name);
	return rbc_reader_fail(self->reader, -EBADFD, "%s is not a BPF map", name);
}

static int check_map_mode(rbc_opening *self, const rbc_map_info *info) {
	char name[48];
	snprintf(name, sizeof(name), "map %" PRIu32 " (%s)", info->id, info->name);
	self->is_overwrite = info->map_flags & RBC_BPF_F_RB_OVERWRITE;
	return check_mode(self, name);
}

static int check_info(const rbc_ring *ring, rbc_opening *self, rbc_map_info *info) {
	int error = rbc_map_get_info_of_any(ring->fd, info);
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "the kernel does not describe the map: %s",
							strerror(-error));
	}
	if (info->type != RBC_BPF_MAP_TYPE_RINGBUF) {
		return rbc_reader_fail(self->reader, -EMEDIUMTYPE,
							"map %" PRIu32 " (%s) is of type %" PRIu32
							", not BPF_MAP_TYPE_RINGBUF",
							info->id, info->name, info->type);
	}
	if (!rbc_map_positions_are_whole()) {
		return rbc_reader_fail(self->reader, -EOPNOTSUPP,
							"map %" PRIu32 " (%s) may be of a kernel that counts in 32 bits",
							info->id, info->name);
	}
	if (!rbc_ring_size_is_valid(info->max_entries, rbc_page_size())) {
		return rbc_reader_fail(self->reader, -EBADMSG,
							"map %" PRIu32 " has the impossible size %" PRIu32, info->id,
							info->max_entries);
	}
	return check_map_mode(self, info);
}

static int check_map(const rbc_ring *ring, rbc_opening *self, rbc_map_info *info) {
	int error = check_info(ring, self, info);
	bool is_map = error == 0 || (error != -EBADFD && !rbc_map_is_something_else(ring->fd));
	return is_map ? error : fail_as_no_map(self);
}

static int open_map(rbc_ring *ring, rbc_opening *self) {
	rbc_map_info info;
	int error = open_map_fd(ring, self);
	if (error == 0) {
		error = check_map(ring, self, &info);
	}
	if (error != 0) {
		return error;
	}
	ring->map_id = info.id;
	ring->wake_fd = ring->fd;
	self->data_size = info.max_entries;
	self->lock = rbc_owner_map_lock(self->reader->wait.wake_fd, ring->fd, info.id,
									&self->reader->locks_maps);
	self->lock.is_shared = self->lock.is_ours;
	error = rbc_mapping_open_map(&ring->mapping, ring->fd, self->data_size, side_of(self));
	if (error == -ENODEV) {
		return fail_as_no_map(self);
	}
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "map %" PRIu32 " (%s) cannot be mapped: %s",
							info.id, info.name, reason_of_mapping(error));
	}
	return 0;
}

static int open_memory_fds(rbc_ring *ring, rbc_opening *self) {
	const rbcore_source *source = &self->source;
	int error = rbc_memory_ring_check(source->fd, &self->data_size, &ring->inode);
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "fd %" PRId32 " is no memory ring: %s",
							source->fd, strerror(-error));
	}
	ring->fd = rbc_reopen(source->fd);
	self->lock.is_ours = ring->fd >= 0;
	if (ring->fd < 0) {
		ring->fd = rbc_duplicate(source->fd);
	}
	if (ring->fd < 0) {
		return rbc_reader_fail(self->reader, ring->fd, "fd %" PRId32 ": %s", source->fd,
							strerror(-ring->fd));
	}
	error = rbc_memory_ring_check(ring->fd, &self->data_size, &ring->inode);
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "the memory ring: %s", strerror(-error));
	}
	ring->wake_fd = rbc_duplicate(source->event_fd);
	self->lock.fd = ring->fd;
	error = ring->wake_fd < 0 ? ring->wake_fd : rbc_event_fd_check(ring->wake_fd);
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "event_fd %" PRId32 ": %s", source->event_fd,
							strerror(-error));
	}
	return 0;
}

static int open_memory(rbc_ring *ring, rbc_opening *self) {
	ring->map_id = RBCORE_UNKNOWN;
	self->lock.byte = RBC_CONSUMER_BYTE;
	int error = open_memory_fds(ring, self);
	if (error != 0) {
		return error;
	}
	error = rbc_mapping_open_memory(&ring->mapping, ring->fd, self->data_size, rbc_page_size(),
									side_of(self));
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "the memory ring cannot be mapped: %s",
							reason_of_mapping(error));
	}
	if (rbc_memory_ring_check_layout(&ring->mapping, &self->is_overwrite) != 0) {
		return rbc_reader_fail(self->reader, -EBADFD, "the memory is not laid out as a ring");
	}
	return check_mode(self, "the memory ring");
}

static int open_loss_map(rbc_ring *ring, rbc_opening *self) {
	int32_t fd = self->source.loss_fd;
	if (fd == -1) {
		return 0;
	}
	rbc_map_info info;
	ring->loss_fd = rbc_duplicate(fd);
	int error = ring->loss_fd < 0 ? ring->loss_fd : rbc_map_get_info(ring->loss_fd, &info);
	if (error == 0 && !rbc_map_counts_losses(&info)) {
		error = -EMEDIUMTYPE;
	}
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "loss_fd %" PRId32 ": %s", fd,
							error == -EMEDIUMTYPE ? "not a map that counts losses"
													: strerror(-error));
	}
	return 0;
}

static int open_shadow(rbc_ring *ring, rbc_opening *self) {
	int error = rbc_shadow_open(ring, self->is_overwrite);
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "the ring cannot be copied: %s",
							reason_of_mapping(error));
	}
	ring->record_flags = RBCORE_RECORD_COPIED;
	return 0;
}

static int prepare_reading(rbc_ring *ring, rbc_opening *self) {
	ring->consumer_pos = (_Atomic uint64_t *)(void *)ring->mapping.consumer_page;
	ring->producer_pos = (_Atomic uint64_t *)(void *)ring->mapping.producer_page;
	int error = ring->kind->is_in_place ? 0 : open_shadow(ring, self);
	if (error != 0) {
		return error;
	}
	uint64_t committed = ring->kind->is_tap ? 0 : rbc_owner_committed(&ring->owner);
	error = ring->kind->load_positions(ring, committed);
	if (error != 0) {
		return rbc_reader_fail(self->reader, error, "the ring's positions are impossible");
	}
	rbc_owner_note_committed(&ring->owner, rbc_get(&ring->user_pos));
	rbc_pace_init(ring, self->reader->max_latency_ns, self->reader->is_polling);
	if (!self->reader->is_release) {
		return 0;
	}
	ring->held = calloc(self->data_size / 8 / 64, sizeof(*ring->held));
	if (ring->held == NULL) {
		return rbc_reader_fail(self->reader, -ENOMEM,
							"there is no memory for the table of held records");
	}
	return 0;
}

static const rbc_process *this_process(rbcore_reader *reader) {
	if (reader->process.namespaces == 0 || reader->process.start_time == 0) {
		reader->process = rbc_process_self();
	}
	return &reader->process;
}

static int claim(rbc_ring *ring, rbc_opening *self) {
	if (ring->kind->is_tap) {
		ring->is_guarded = true;
		return 0;
	}
	bool insist = self->source.flags & RBCORE_SOURCE_INSIST;
	int error = rbc_owner_claim(&ring->owner, ring->mapping.consumer_page, ring->mapping.page_size,
								&self->lock, this_process(self->reader), insist, &ring->is_guarded);
	if (error != 0) {
		char other[RBC_OWNER_TEXT_SIZE];
		return rbc_reader_fail(self->reader, error, "another reader has the ring%s",
							rbc_owner_other(&ring->owner, other, sizeof(other)));
	}
	return 0;
}

static int open_ring(rbc_ring *ring, rbc_opening *self) {
	bool is_memory = self->source.kind == RBCORE_SOURCE_MEMORY_RING;
	int error = is_memory ? open_memory(ring, self) : open_map(ring, self);
	ring->kind = rbc_kind_of(is_memory, self->is_overwrite, is_tap(self));
	if (error == 0) {
		error = open_loss_map(ring, self);
	}
	if (error == 0) {
		error = claim(ring, self);
	}
	if (error == 0) {
		error = prepare_reading(ring, self);
	}
	return error;
}

int rbc_ring_open(rbc_ring **out, rbcore_reader *reader, const rbcore_source *source,
				rbc_descriptor descriptor) {
	rbc_opening opening = {.reader = reader, .descriptor = descriptor};
	int error = check_source(&opening, source);
	if (error != 0) {
		return error;
	}
	rbc_ring *ring = calloc(1, sizeof(*ring));
	if (ring == NULL) {
		return rbc_reader_fail(reader, -ENOMEM, "there is no memory for a ring");
	}
	ring->reader = reader;
	ring->cookie = opening.source.cookie;
	ring->fd = ring->wake_fd = ring->loss_fd = -1;
	atomic_init(&ring->refs, 1);
	error = open_ring(ring, &opening);
	if (error != 0) {
		rbc_ring_close(ring);
		return error;
	}
	ring->from_latest = opening.source.flags & RBCORE_SOURCE_LATEST;
	rbc_consumer_publish(ring);
	*out = ring;
	return 0;
}

void rbc_ring_close(rbc_ring *self) {
	if (rbc_fork_check_passes(&self->reader->fork_check)) {
		atomic_store_explicit(&self->is_paced, false, memory_order_relaxed);
		rbc_consumer_publish(self);
		rbc_owner_yield(&self->owner);
	}
	if (self->shadow != NULL) {
		rbc_shadow_close(self);
	} else {
		rbc_mapping_close(&self->mapping);
	}
	close_once(self->loss_fd, -1);
	close_once(self->wake_fd, self->fd);
	close_once(self->fd, self->descriptor == RBC_FD_OWN ? -1 : self->fd);
	free(self->held);
	free(self);
}

void rbc_reader_put(rbcore_reader *self) {
	if (atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) == 1) {
		rbc_wait_close(&self->wait);
		rbc_turns_free(&self->turns);
		rbc_ring_table_free(&self->table);
		pthread_mutex_destroy(&self->slots_lock);
		free(self);
	}
}

static void drop_ring(rbc_ring *self) {
	RBC_KEEP_ERRNO;
	rbcore_reader *reader = self->reader;
	pthread_mutex_lock(&reader->slots_lock);
	rbc_ring_table_clear(&reader->table, self->index);
	rbc_ring_close(self);
	pthread_mutex_unlock(&reader->slots_lock);
	rbc_reader_put(reader);
}

void rbc_ring_put(rbc_ring *self, uint64_t count) {
	if (atomic_fetch_sub_explicit(&self->refs, count, memory_order_acq_rel) == count) {
		drop_ring(self);
	}
}
#undef KNOWN_FLAGS
#undef NAME_SIZE
#undef check_map
#undef check_source
#undef claim
#undef defaults
#undef open_ring

/* ==== capi/release.c ==== */
void rbc_release_hold(rbc_ring *self, const rbcore_record *records, size_t count) {
	size_t word = 0;
	uint64_t bits = 0;
	for (size_t i = 0; i < count; i++) {
		size_t bit = rbc_consumer_held_bit(self, records[i].position);
		if (bit / 64 != word) {
			if (bits != 0) {
				atomic_fetch_or_explicit(&self->held[word], bits, memory_order_relaxed);
			}
			word = bit / 64;
			bits = 0;
		}
		bits |= UINT64_C(1) << bit % 64;
	}
	if (bits != 0) {
		atomic_fetch_or_explicit(&self->held[word], bits, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&self->refs, count, memory_order_relaxed);
}

static RBC_INLINE bool can_be_held(const rbc_ring *self, const rbcore_record *record) {
	uint64_t user_pos = atomic_load_explicit(&self->user_pos, memory_order_acquire);
	uint64_t read_pos = atomic_load_explicit(&self->read_pos, memory_order_acquire);
	return record->position % 8 == 0 && record->position - user_pos < read_pos - user_pos &&
		rbc_ring_is_data_of(self, record->data, record->position);
}

bool rbc_release_holds(const rbc_ring *self, const rbcore_record *record) {
	if (!can_be_held(self, record)) {
		return false;
	}
	size_t bit = rbc_consumer_held_bit(self, record->position);
	uint64_t word = atomic_load_explicit(&self->held[bit / 64], memory_order_relaxed);
	return (word >> bit % 64 & 1) != 0 && rbc_get_length(self, record->position) == record->size &&
		rbc_record_span(record->size) <= rbc_get(&self->read_pos) - record->position;
}

static inline bool let_go(rbc_ring *self, const rbcore_record *record) {
	if (!can_be_held(self, record)) {
		return false;
	}
	size_t bit = rbc_consumer_held_bit(self, record->position);
	uint64_t mask = UINT64_C(1) << bit % 64;
	uint64_t old = atomic_fetch_and_explicit(&self->held[bit / 64], ~mask, memory_order_acq_rel);
	return (old & mask) != 0;
}

static size_t release_run(rbc_ring *ring, const rbcore_record *records, size_t count) {
	size_t released = 0;
	for (size_t i = 0; i < count; i++) {
		released += let_go(ring, &records[i]);
	}
	if (released > 0) {
		rbc_consumer_pass_released(ring);
		rbc_ring_put(ring, released);
	}
	return released;
}

int rbcore_reader_release(rbcore_reader *self, const rbcore_record *records, size_t count) {
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	if (!self->is_release || (records == NULL && count != 0)) {
		return -EINVAL;
	}
	atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
	size_t released = 0;
	for (size_t i = 0; i < count;) {
		size_t run = 1;
		while (i + run < count && records[i + run].ring == records[i].ring) {
			run++;
		}
		rbc_ring *ring = rbc_reader_ring(self, records[i].ring);
		if (ring != NULL) {
			released += release_run(ring, records + i, run);
		}
		i += run;
	}
	rbc_reader_put(self);
	return released == count ? 0 : -EINVAL;
}

/* ==== capi/flush.c ==== */
static uint64_t bytes_found(const rbc_ring *ring) {
	return rbc_get(&ring->read_pos) - rbc_get(&ring->lost_bytes);
}

void rbc_flush_begin(rbcore_reader *self) {
	self->is_flushing = true;
	for (unsigned i = 0; i < self->table.count; i++) {
		rbc_ring *ring = self->table.rings[i];
		ring->flush_pos = rbc_ring_load_producer_pos(ring);
		if (ring->flush_pos != rbc_get(&ring->read_pos)) {
			rbc_idle_end(self, ring);
		}
		ring->flush_found = bytes_found(ring);
		ring->liveness_checks = 0;
	}
}

static bool ring_is_flushed(const rbc_ring *ring) {
	int64_t left = (int64_t)(ring->flush_pos - rbc_get(&ring->read_pos));
	uint64_t most = ring->mapping.data_size * ring->kind->flush_max;
	bool is_broken = atomic_load_explicit(&ring->broken, memory_order_relaxed);
	return left <= 0 || bytes_found(ring) - ring->flush_found >= most || is_broken;
}

bool rbc_flush_is_complete(const rbcore_reader *self) {
	const rbc_ring *ring = self->round.turn;
	while (ring != NULL && ring_is_flushed(ring)) {
		ring = rbc_round_after(&self->round, ring);
	}
	return ring == NULL;
}

static bool has_more_soon(const rbc_ring *ring) {
	return ring->kind->waits_for_releases != NULL && ring->kind->waits_for_releases(ring) &&
		!rbc_consumer_has_held(ring);
}

bool rbc_flush_has_more_soon(const rbcore_reader *self) {
	const rbc_ring *ring = self->round.turn;
	while (ring != NULL && !has_more_soon(ring)) {
		ring = rbc_round_after(&self->round, ring);
	}
	return ring != NULL;
}

/* ==== capi/pass.c ==== */
#define SKIPS_PER_CALL 65536

#define BUSY_SCANS_BEFORE_CHECK 1024

static inline void count_batch(rbcore_reader *self, const rbc_scan *scan) {
	rbc_count(&self->records, scan->count);
	rbc_count(&self->bytes, scan->bytes);
	rbc_count(&self->discards, SKIPS_PER_CALL - scan->skips_left);
	rbc_count(&self->batches, scan->count > 0);
}

typedef struct rbc_pass {
	rbc_request *request;
	rbc_scan scan;
	bool only_due;
	bool is_due;
	bool has_rest;
	const rbc_ring *broken;
	bool is_bounded;
	bool turns_are_full;
} rbc_pass;

void rbc_read_note(rbc_ring *self, const rbc_passed *passed, const rbcore_record *records) {
	if (passed->position == rbc_get(&self->read_pos)) {
		return;
	}
	bool is_release = self->reader->is_release;
	bool nothing_held = !is_release && rbc_get(&self->user_pos) == self->handed_end;
	if (passed->count > 0 && is_release) {
		rbc_release_hold(self, records + passed->first, passed->count);
	}
	atomic_store_explicit(&self->last_pos, passed->last, memory_order_relaxed);
	atomic_store_explicit(&self->read_pos, passed->position, memory_order_release);
	if (passed->count > 0) {
		self->handed_end = passed->end;
		if (self->reader->has_turns) {
			rbc_turns_note(&self->reader->turns, self, self->handed_end);
		}
		if (rbc_ring_is_paced(self)) {
			rbc_consumer_publish(self);
		}
	} else if (is_release) {
		rbc_consumer_pass_released(self);
	} else if (nothing_held) {
		self->handed_end = passed->position;
		rbc_consumer_advance(self, passed->position);
	}
}

static bool skip_unfinished(rbc_ring *ring) {
	if (ring->kind->skip_abandoned == NULL) {
		return false;
	}
	rbc_passed passed = {.position = rbc_get(&ring->read_pos)};
	bool skipped = ring->kind->skip_abandoned(ring, &passed);
	rbc_read_note(ring, &passed, NULL);
	return skipped;
}

static bool may_be_left(const rbc_ring *ring) {
	return rbc_ring_may_be_left(ring) && !ring->pace.is_hot;
}

static inline bool is_drained(rbc_ring *ring) {
	if (!ring->kind->is_in_place || rbc_ring_load_producer_pos(ring) != rbc_get(&ring->read_pos) ||
		atomic_load_explicit(&ring->broken, memory_order_relaxed)) {
		return false;
	}
	ring->head_is_busy = false;
	ring->pace.drained = true;
	return true;
}

static inline rbc_ring *find_ring(rbc_ring *ring, unsigned *left) {
	while (*left > 0 && is_drained(ring)) {
		ring = ring->next;
		(*left)--;
	}
	return *left > 0 ? ring : NULL;
}

static bool can_note_turn(const rbcore_reader *self, const rbc_ring *ring) {
	return !self->has_turns || !rbc_turns_are_full(&self->turns) ||
		rbc_turns_end_with(&self->turns, ring);
}

static void note_odd_end(rbc_pass *pass, const rbc_ring *ring, rbc_scan_end end) {
	pass->is_bounded |= end == RBC_SCAN_BOUND;
	pass->broken = end == RBC_SCAN_BROKEN ? ring : pass->broken;
}

static RBC_INLINE bool take_turn(rbcore_reader *self, rbc_ring *ring, rbc_pass *pass) {
	if (!can_note_turn(self, ring)) {
		pass->turns_are_full |= rbc_ring_has_record(ring);
		return false;
	}
	if (!pass->is_due && may_be_left(ring)) {
		return false;
	}
	const size_t count = pass->scan.count, skips_left = pass->scan.skips_left;
	rbc_passed passed;
	rbc_scan_end end = rbc_ring_scan(ring, &pass->scan, &passed);
	rbc_read_note(ring, &passed, pass->scan.records);
	if (ring->busy_scans >= BUSY_SCANS_BEFORE_CHECK) {
		ring->busy_scans = 0;
		skip_unfinished(ring);
	}
	const size_t found = pass->scan.count - count, skipped = skips_left - pass->scan.skips_left;
	if (found + skipped > 0) {
		rbc_pacing_note(&self->pacing, ring, (uint32_t)(found + skipped));
		if (pass->only_due && ring->pace.drained && found > 0 &&
			rbc_pacing_may_judge_ring(&self->pacing, ring)) {
			rbc_pacing_judge_ring(self, ring, &pass->request->clock);
		}
	}
	pass->has_rest |= !ring->pace.drained && end != RBC_SCAN_BROKEN;
	if (end > RBC_SCAN_FULL) {
		note_odd_end(pass, ring, end);
	}
	return found + skipped > 0;
}

static int count_of(const rbc_request *request, const rbc_scan *scan) {
	return (int)(request->spans == NULL ? scan->count : request->max_spans - scan->spans_left);
}

static RBC_OUT_OF_LINE int result_of_nothing(rbcore_reader *self, const rbc_pass *pass) {
	if (pass->is_bounded) {
		return rbc_reader_fail(self, -EAGAIN, "%d discarded records were passed: call again",
							SKIPS_PER_CALL);
	}
	if (pass->broken != NULL) {
		return rbc_reader_fail(self, -EBADMSG, "the content of ring %u is impossible",
							pass->broken->index);
	}
	return pass->turns_are_full
			? rbc_reader_fail(self, -ENOBUFS, "too many turns are not committed")
			: 0;
}

static inline int result_of(rbcore_reader *self, const rbc_pass *pass) {
	return pass->scan.count > 0 ? count_of(pass->request, &pass->scan)
								: result_of_nothing(self, pass);
}

static bool has_space(const rbc_scan *scan) {
	return scan->count < scan->max && (scan->spans == NULL || scan->spans_left > 0);
}

static inline rbc_pass begin_pass(const rbcore_reader *self, rbc_request *request) {
	return (rbc_pass){
		.request = request,
		.scan = {.records = request->records,
				.spans = request->spans,
				.spans_left = request->max_spans,
				.max = request->max > INT_MAX ? INT_MAX : request->max,
				.skips_left = SKIPS_PER_CALL},
		.only_due = request->only_due && self->can_pace && !self->is_flushing,
	};
}

static bool is_due(const rbcore_reader *self, const rbc_pass *pass) {
	return !pass->only_due || self->pacing.timed == 0 ||
		rbc_pacing_is_due(self, &pass->request->clock, pass->scan.max);
}

static RBC_OUT_OF_LINE int pass_from(rbcore_reader *self, rbc_request *request, rbc_ring *ring,
									unsigned left) {
	rbc_pass pass = begin_pass(self, request);
	pass.is_due = is_due(self, &pass);
	do {
		bool moved = take_turn(self, ring, &pass);
		self->round.turn = moved ? ring->next : self->round.turn;
		left--;
		ring = find_ring(ring->next, &left);
	} while (ring != NULL && has_space(&pass.scan));
	pass.has_rest |= ring != NULL;
	count_batch(self, &pass.scan);
	self->pacing.has_rest = pass.has_rest;
	if (pass.is_due && !pass.has_rest && pass.scan.count > 0 &&
		(pass.only_due ? rbc_pacing_can_change(&self->pacing) : self->pacing.timed > 0)) {
		rbc_pacing_judge(self, &request->clock, pass.only_due);
	}
	return result_of(self, &pass);
}

int rbc_pass_over_rings(rbcore_reader *self, rbc_request *request) {
	unsigned left = self->round.count;
	rbc_ring *ring = find_ring(self->round.turn, &left);
	if (ring == NULL) {
		self->pacing.has_rest = false;
		return 0;
	}
	return pass_from(self, request, ring, left);
}

int rbc_pass_names_rings(rbcore_reader *self, rbc_request *request) {
	rbc_pass pass = begin_pass(self, request);
	pass.scan.max = INT_MAX;
	unsigned left = self->round.count;
	rbc_ring *ring = find_ring(self->round.turn, &left);
	self->pacing.has_rest &= ring != NULL;
	const bool due = ring != NULL && is_due(self, &pass);
	size_t count = 0;
	while (ring != NULL && count < request->max) {
		if ((due || !may_be_left(ring)) && rbc_ring_has_record(ring)) {
			request->rings[count++] = ring->index;
		}
		left--;
		ring = find_ring(ring->next, &left);
	}
	self->round.turn = ring != NULL ? ring : self->round.turn;
	return (int)count;
}

int rbc_pass_over_one(rbcore_reader *self, rbc_ring *ring, rbc_request *request) {
	if (is_drained(ring)) {
		self->pacing.has_rest = false;
		return 0;
	}
	rbc_idle_end(self, ring);
	rbc_pass pass = begin_pass(self, request);
	pass.is_due = true;
	take_turn(self, ring, &pass);
	count_batch(self, &pass.scan);
	self->pacing.has_rest = pass.has_rest;
	if (!self->is_read_by_ring && !pass.has_rest && pass.scan.count > 0 && self->pacing.timed > 0) {
		rbc_pacing_judge(self, &request->clock, false);
	}
	return result_of(self, &pass);
}

bool rbc_pass_over_the_dead(rbcore_reader *self) {
	const rbc_round *round = &self->round;
	bool skipped = false;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		skipped |= skip_unfinished(ring);
	}
	return skipped;
}
#undef BUSY_SCANS_BEFORE_CHECK
#undef SKIPS_PER_CALL

/* ==== capi/park.c ==== */
#define listen listen_in_park
#define must_listen must_listen_in_park
#define FEW 16
#define HEARD_BEFORE_LEAVING 2

static void listen(rbcore_reader *self, rbc_ring *ring) {
	if (ring->left_epoll) {
		ring->left_epoll = rbc_wait_add(&self->wait, ring->wake_fd, ring->index) != 0;
	} else {
		rbc_wait_remove(&self->wait, ring->wake_fd);
		ring->left_epoll = true;
	}
}

static bool must_listen(const rbc_ring *ring, bool many) {
	return !rbc_pace_has_timer(ring) || (many && ring->pace.heard < HEARD_BEFORE_LEAVING);
}

void rbc_park_prepare(rbcore_reader *self, rbc_request *request) {
	if (!self->can_pace) {
		return;
	}
	if (rbc_pacing_can_change(&self->pacing)) {
		rbc_pacing_judge(self, &request->clock, true);
	}
	const bool many = self->table.count > FEW && !self->is_polling;
	const rbc_round *round = &self->round;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		if (ring->pace.is_hot || ring->pace.was_half_full) {
			rbc_pacing_park_ring(self, ring, &request->clock, request->only_due);
		}
		if (must_listen(ring, many) == ring->left_epoll && ring->descriptor != RBC_FD_LENT) {
			listen(self, ring);
		}
	}
}

static bool misses_wakeups(rbc_ring *ring) {
	bool misses_wakeups = ring->kind->misses_wakeups != NULL && ring->kind->misses_wakeups(ring);
	return ring->left_epoll || misses_wakeups || rbc_consumer_has_held(ring);
}

static bool must_look_by_itself(const rbcore_reader *self) {
	const rbc_round *round = &self->round;
	for (rbc_ring *ring = round->turn; ring != NULL; ring = rbc_round_after(round, ring)) {
		if ((misses_wakeups(ring) && !rbc_pace_has_timer(ring)) ||
			(ring->kind->is_memory && ring->head_is_busy)) {
			return true;
		}
	}
	return false;
}

int64_t rbc_park_longest_sleep(rbcore_reader *self) {
	int64_t due = rbc_pacing_deadline(&self->pacing);
	int64_t sleep = INT64_MAX;
	if (due != INT64_MAX) {
		sleep = due - rbc_now_ns();
		sleep = sleep < 0 ? 0 : sleep;
	}
	int64_t delay = must_look_by_itself(self)  ? rbc_wait_next_delay(&self->wait)
					: self->rings_to_watch > 0 ? RBC_LOOK_NOW_AND_THEN_NS
											: INT64_MAX;
	return delay < sleep ? delay : sleep;
}

bool rbc_park_hears_only_the_timer(const rbcore_reader *self) {
	if (self->pacing.timed == 0 || self->pacing.timed != self->table.count) {
		return false;
	}
	const rbc_ring *ring = self->round.turn;
	while (ring != NULL && ring->left_epoll) {
		ring = rbc_round_after(&self->round, ring);
	}
	return ring == NULL;
}
#undef FEW
#undef HEARD_BEFORE_LEAVING
#undef listen
#undef must_listen

/* ==== capi/read.c ==== */
#define listen listen_in_read
static int end_flush(rbcore_reader *self) {
	self->is_flushing = false;
	return rbc_reader_fail(self, -ENODATA, "all that was there before the flush was delivered");
}

static int answer(rbcore_reader *self) {
	unsigned asked = atomic_load_explicit(&self->asked, memory_order_acquire);
	if (asked == 0 && !self->is_flushing) {
		return 0;
	}
	if (asked & RBC_ASKED_SHUTDOWN) {
		return rbc_reader_fail(self, -ESHUTDOWN, "the reader was shut down");
	}
	if (asked & RBC_ASKED_INTERRUPT) {
		atomic_fetch_and_explicit(&self->asked, ~RBC_ASKED_INTERRUPT, memory_order_acq_rel);
		return rbc_reader_fail(self, -ECANCELED, "the reader was interrupted");
	}
	if (asked & RBC_ASKED_FLUSH) {
		atomic_fetch_and_explicit(&self->asked, ~RBC_ASKED_FLUSH, memory_order_acq_rel);
		rbc_flush_begin(self);
	}
	return self->is_flushing && rbc_flush_is_complete(self) ? end_flush(self) : 0;
}

static int has_skipped(rbcore_reader *self) {
	return rbc_reader_fail(self, -EAGAIN, "unfinished records were skipped: call again");
}

static int go_on_flushing(rbcore_reader *self) {
	if (rbc_pass_over_the_dead(self)) {
		return has_skipped(self);
	}
	return rbc_flush_has_more_soon(self) ? 0 : end_flush(self);
}

static RBC_OUT_OF_LINE void tend_idle_rings(rbcore_reader *self, rbc_request *request) {
	if (self->wait.is_fetching) {
		self->wait.is_fetching = false;
		rbc_idle_look(self, &request->clock);
	}
	if (self->round.count > RBC_FEW_IN_ROUND) {
		rbc_idle_sweep(self);
	}
}

static RBC_INLINE int look_at_rings(rbcore_reader *self, rbc_request *request) {
	return request->rings == NULL ? rbc_pass_over_rings(self, request)
								: rbc_pass_names_rings(self, request);
}

static int end_look(rbcore_reader *self, rbc_request *request, int result) {
	if (result == -EBADMSG && rbc_idle_look(self, &request->clock)) {
		result = look_at_rings(self, request);
	}
	self->idling.busy_looks = result != 0 ? self->idling.busy_looks + 1 : 0;
	self->idling.has_found |= result > 0;
	return result;
}

static int look(rbcore_reader *self, rbc_request *request) {
	const bool may_idle = self->table.count > RBC_FEW_RINGS;
	if (may_idle) {
		tend_idle_rings(self, request);
	}
	int result = answer(self);
	if (result == 0) {
		result = look_at_rings(self, request);
	}
	if (self->is_flushing && (result == 0 || result == -EBADMSG)) {
		int flushed = go_on_flushing(self);
		result = flushed != 0 ? flushed : result;
	}
	if (may_idle) {
		result = end_look(self, request, result);
	}
	if (result > 0) {
		rbc_wait_reset_delay(&self->wait);
		atomic_store_explicit(&self->wait.parked, false, memory_order_relaxed);
	}
	return result;
}

static int look_parked(rbcore_reader *self, rbc_request *request) {
	rbc_park_prepare(self, request);
	rbc_idle_sweep_next(&self->idling);
	atomic_store_explicit(&self->wait.parked, true, memory_order_relaxed);
	rbc_full_fence();
	int result = look(self, request);
	bool skipped = result == 0 && self->rings_to_watch > 0 && rbc_pass_over_the_dead(self);
	return skipped ? has_skipped(self) : result;
}

static void empty_fd(rbcore_reader *self, rbc_request *request) {
	if (rbc_park_hears_only_the_timer(self)) {
		rbc_wait_drain_timer(&self->wait, rbc_clock_now(&request->clock));
	} else {
		rbc_wait_drain(&self->wait);
	}
}

static int look_and_arm(rbcore_reader *self, rbc_request *request) {
	empty_fd(self, request);
	if (rbc_idle_count(self) > 0) {
		rbc_idle_look_if_in_vain(self, &request->clock);
	}
	self->idling.has_found = false;
	int result = look_parked(self, request);
	int64_t sleep = result == 0 ? rbc_park_longest_sleep(self) : INT64_MAX;
	if (sleep != INT64_MAX) {
		rbc_wait_start_timer(&self->wait, rbc_clock_now(&request->clock), sleep);
	}
	return result;
}

static RBC_INLINE int check_read(rbcore_reader *self, const void *array, size_t max) {
	int error = rbc_reader_check(self);
	if (error == 0 && (array == NULL || max == 0)) {
		return rbc_reader_fail(self, -EINVAL,
							"there is no room for records: the array is NULL or max is 0");
	}
	return error;
}

static void listen(rbcore_reader *self, rbc_request *request) {
	if (rbc_idle_count(self) > 0) {
		rbc_idle_listen(self, &request->clock);
	}
}

int rbcore_reader_read(rbcore_reader *self, rbcore_record *records, size_t max) {
	int error = check_read(self, records, max);
	if (error != 0) {
		return error;
	}
	rbc_request request = {.records = records, .max = max};
	listen(self, &request);
	int result = look(self, &request);
	return result != 0 ? result : look_and_arm(self, &request);
}

static RBC_OUT_OF_LINE int look_at_idle_rings(rbcore_reader *self, rbc_request *request) {
	int result = look(self, request);
	if (result > 0) {
		rbc_idle_look_if_cheap(self, &request->clock);
	} else if (result == 0 && rbc_idle_look(self, &request->clock)) {
		return look(self, request);
	}
	return result;
}

int rbcore_reader_look(rbcore_reader *self, rbcore_record *records, size_t max) {
	int error = check_read(self, records, max);
	if (error != 0) {
		return error;
	}
	rbc_request request = {.records = records, .max = max};
	return rbc_idle_count(self) > 0 ? look_at_idle_rings(self, &request) : look(self, &request);
}

static int block(rbcore_reader *self, int64_t left) {
	int64_t sleep = rbc_park_longest_sleep(self);
	sleep = left < sleep ? left : sleep;
	int events = rbc_wait_block(&self->wait, sleep == INT64_MAX ? RBCORE_FOREVER : sleep);
	self->idling.has_found &= events > 0;
	return events < 0 ? rbc_reader_fail(self, events, "a signal was caught") : 0;
}

static bool ends_for_discards(const rbcore_reader *self, const rbc_request *request) {
	return self->ends_for_discards && rbc_get(&self->discards) != request->discards;
}

static int look_until(rbcore_reader *self, rbc_request *request, int64_t deadline) {
	int result = 0;
	while (result == 0 || result == -EAGAIN) {
		if (result == -EAGAIN) {
			listen(self, request);
		}
		rbc_idle_look_now_and_then(self, &request->clock);
		result = look_parked(self, request);
		if (result == -EAGAIN) {
			request->clock = (rbc_clock){0};
		}
		int64_t left =
			deadline == INT64_MAX ? INT64_MAX : deadline - rbc_clock_now(&request->clock);
		if (result == 0 && ends_for_discards(self, request)) {
			left = 0;
		}
		if (left <= 0 && (result == 0 || result == -EAGAIN)) {
			return result != 0 ? result : look_and_arm(self, request);
		}
		if (result == 0) {
			result = block(self, left);
			request->clock = (rbc_clock){0};
			result = result == 0 ? look(self, request) : result;
		}
	}
	return result;
}

static int wait_for_records(rbcore_reader *self, rbc_request *request, int64_t timeout_ns,
							int result) {
	return timeout_ns == 0 && result == 0
			? look_and_arm(self, request)
			: look_until(self, request, rbc_deadline_after(&request->clock, timeout_ns));
}

static RBC_INLINE int next(rbcore_reader *self, rbc_request *request, int64_t timeout_ns) {
	if (timeout_ns < 0 && timeout_ns != RBCORE_FOREVER) {
		return rbc_reader_fail(self, -EINVAL, "the timeout is negative");
	}
	request->discards = rbc_get(&self->discards);
	listen(self, request);
	int result = look(self, request);
	return result != 0 && result != -EAGAIN ? result
											: wait_for_records(self, request, timeout_ns, result);
}

int rbcore_reader_next(rbcore_reader *self, rbcore_record *records, size_t max,
					int64_t timeout_ns) {
	int error = check_read(self, records, max);
	if (error != 0) {
		return error;
	}
	rbc_request request = {.records = records, .max = max, .only_due = true};
	return next(self, &request, timeout_ns);
}

int rbcore_reader_next_spans(rbcore_reader *self, rbcore_span *spans, size_t max_spans,
							size_t max_records, int64_t timeout_ns) {
	int error = check_read(self, spans, max_spans);
	if (error != 0) {
		return error;
	}
	if (self->is_release) {
		return rbc_reader_fail(self, -EINVAL, "the reader was opened for release: it has no spans");
	}
	if (max_records == 0) {
		return rbc_reader_fail(self, -EINVAL, "no records are wanted: max_records is 0");
	}
	rbc_request request = {.spans = spans,
						.max_spans = max_spans > INT_MAX ? INT_MAX : max_spans,
						.max = max_records,
						.only_due = true};
	return next(self, &request, timeout_ns);
}

static void end_reading_by_ring(rbcore_reader *self) {
	if (self->is_read_by_ring) {
		self->is_read_by_ring = false;
		if (!self->pacing.has_rest && rbc_pacing_can_change(&self->pacing)) {
			rbc_pacing_judge(self, &self->named_at, true);
		}
	}
}

int rbc_reader_wait_for_rings(rbcore_reader *self, uint16_t *rings, size_t max,
							int64_t timeout_ns) {
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	end_reading_by_ring(self);
	rbc_request request = {.rings = rings, .max = max, .only_due = true};
	int result = next(self, &request, timeout_ns);
	self->is_read_by_ring = result > 0;
	self->named_at = request.clock;
	return result;
}

int rbc_reader_arm(rbcore_reader *self) {
	uint16_t ring;
	rbc_request request = {.rings = &ring, .max = 1};
	end_reading_by_ring(self);
	listen(self, &request);
	int result = look(self, &request);
	return result != 0 ? result : look_and_arm(self, &request);
}

int rbc_reader_look_at(rbcore_reader *self, unsigned index, rbcore_record *records, size_t max) {
	rbc_ring *ring = rbc_reader_ring(self, index);
	rbc_request request = {.records = records, .max = max, .only_due = self->is_read_by_ring};
	int result = ring != NULL ? rbc_pass_over_one(self, ring, &request) : 0;
	if (result > 0) {
		self->idling.has_found = true;
		rbc_wait_reset_delay(&self->wait);
		atomic_store_explicit(&self->wait.parked, false, memory_order_relaxed);
	}
	return result;
}

bool rbc_reader_is_at_rest(const rbcore_reader *self, unsigned index) {
	const rbc_ring *ring = rbc_reader_ring(self, index);
	if (ring == NULL) {
		return true;
	}
	uint64_t position = rbc_get(&ring->read_pos);
	return rbc_ring_load_producer_pos(ring) == position &&
		rbc_get(ring->consumer_pos) == position &&
		!atomic_load_explicit(&ring->broken, memory_order_relaxed);
}
#undef listen

/* ==== capi/reader.c ==== */
#define defaults defaults_in_reader
#define KNOWN_FLAGS (RBCORE_READER_RELEASE | RBCORE_READER_POLL)

#define LONGEST_LATENCY_NS (INT64_MAX / 4)

static const rbcore_reader_options defaults = RBCORE_READER_OPTIONS_INIT;

int rbcore_reader_options_init(rbcore_reader_options *out, size_t size) {
	return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

int rbcore_reader_open(rbcore_reader **out, const rbcore_reader_options *given) {
	RBC_KEEP_ERRNO;
	if (out == NULL) {
		return -EINVAL;
	}
	rbcore_reader_options options = defaults;
	int error = given == NULL ? 0 : rbc_sized_in(&options, sizeof(options), given);
	if (error != 0) {
		return error;
	}
	bool polls = options.flags & RBCORE_READER_POLL;
	if (options.flags & ~KNOWN_FLAGS || options.order_clock != 0 || options.max_latency_ns < 0 ||
		(polls && options.max_latency_ns == 0)) {
		return -EINVAL;
	}
	rbcore_reader *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	self->is_release = options.flags & RBCORE_READER_RELEASE;
	self->has_turns = !self->is_release;
	self->is_polling = polls;
	self->max_latency_ns =
		options.max_latency_ns < LONGEST_LATENCY_NS ? options.max_latency_ns : LONGEST_LATENCY_NS;
	self->can_pace = polls || options.max_latency_ns >= RBC_PACE_SHORTEST_NS;
	rbc_pacing_init(self);
	atomic_init(&self->refs, 1);
	atomic_init(&self->user_refs, 1);
	error = rbc_fork_check_init(&self->fork_check);
	if (error == 0) {
		error = rbc_wait_open(&self->wait);
	}
	if (error != 0) {
		free(self);
		return error;
	}
	self->wait.heard = rbc_idle_hear;
	self->wait.reader = self;
	pthread_mutex_init(&self->slots_lock, NULL);
	*out = self;
	return 0;
}

void rbc_reader_return_on_discards(rbcore_reader *self) {
	self->ends_for_discards = true;
}

uint64_t rbc_reader_discards(const rbcore_reader *self) {
	return rbc_get(&self->discards);
}

void rbc_reader_commit_by_ring(rbcore_reader *self) {
	self->has_turns = false;
}

int rbcore_reader_ref(rbcore_reader *self) {
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	atomic_fetch_add_explicit(&self->user_refs, 1, memory_order_relaxed);
	return 0;
}

static void free_in_child(rbcore_reader *self) {
	rbc_wait_close_epoll(&self->wait);
	for (unsigned i = 0; i < RBCORE_RINGS_MAX; i++) {
		rbc_ring *ring = rbc_reader_ring(self, i);
		if (ring != NULL) {
			rbc_ring_close(ring);
			rbc_reader_put(self);
		}
	}
	rbc_reader_put(self);
}

void rbcore_reader_free(rbcore_reader *self) {
	RBC_KEEP_ERRNO;
	if (self == NULL || atomic_fetch_sub_explicit(&self->user_refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	if (!rbc_fork_check_passes(&self->fork_check)) {
		free_in_child(self);
		return;
	}
	rbc_wait_close_epoll(&self->wait);
	for (unsigned i = 0; i < self->table.count; i++) {
		rbc_ring *ring = self->table.rings[i];
		rbc_owner_note_left(&ring->owner);
		rbc_ring_put(ring, 1);
	}
	rbc_reader_put(self);
}

static int reserve_index(rbcore_reader *self) {
	int index = rbc_ring_table_reserve(&self->table);
	if (index == -ENOSPC) {
		return rbc_reader_fail(self, index, "the reader has %d rings", RBCORE_RINGS_MAX);
	}
	return index < 0 ? rbc_reader_fail(self, index, "no memory") : index;
}

static int install(rbcore_reader *self, rbc_ring *ring, unsigned index) {
	int error = self->has_turns ? rbc_turns_grow(&self->turns, self->table.count + 1) : 0;
	if (error == 0) {
		rbc_full_fence();
		error = rbc_wait_add(&self->wait, ring->wake_fd, index);
	}
	if (error != 0) {
		return rbc_reader_fail(self, error, "the ring cannot be added: %s", strerror(-error));
	}
	atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
	pthread_mutex_lock(&self->slots_lock);
	rbc_ring_table_put(&self->table, ring, index);
	pthread_mutex_unlock(&self->slots_lock);
	rbc_idle_add(self, ring);
	rbc_pacing_add(self, ring);
	self->rings_to_watch += ring->kind->is_watched;
	return (int)index;
}

static int add(rbcore_reader *self, const rbcore_source *source, rbc_descriptor descriptor) {
	RBC_KEEP_ERRNO;
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	if (source == NULL) {
		return rbc_reader_fail(self, -EINVAL, "the source is NULL");
	}
	if (atomic_load_explicit(&self->asked, memory_order_relaxed) & RBC_ASKED_SHUTDOWN) {
		return rbc_reader_fail(self, -ESHUTDOWN, "the reader was shut down");
	}
	int index = reserve_index(self);
	if (index < 0) {
		return index;
	}
	rbc_ring *ring;
	error = rbc_ring_open(&ring, self, source, descriptor);
	if (error != 0) {
		return error;
	}
	index = install(self, ring, (unsigned)index);
	if (index < 0) {
		rbc_ring_close(ring);
		return index;
	}
	if (ring->from_latest) {
		rbc_passed passed = rbc_ring_skip_to_latest(ring);
		rbc_read_note(ring, &passed, NULL);
	}
	if (ring->is_in_round) {
		rbc_wait_wake(&self->wait);
	}
	return index;
}

int rbcore_reader_add(rbcore_reader *self, const rbcore_source *source) {
	return add(self, source, RBC_FD_OWN);
}

int rbc_reader_add_by_descriptor(rbcore_reader *self, const rbcore_source *source,
								rbc_descriptor descriptor) {
	return add(self, source, descriptor);
}

int rbcore_reader_remove(rbcore_reader *self, unsigned int index) {
	RBC_KEEP_ERRNO;
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	rbc_ring *ring = rbc_ring_table_find(&self->table, index);
	if (ring == NULL) {
		return rbc_reader_fail(self, -EINVAL, "no ring has the index %u", index);
	}
	if (!self->is_release && rbc_consumer_has_held(ring)) {
		return rbc_reader_fail(self, -EBUSY, "records of ring %u are not committed", index);
	}
	rbc_wait_remove(&self->wait, ring->wake_fd);
	rbc_idle_remove(self, ring);
	rbc_turns_forget(&self->turns, ring);
	pthread_mutex_lock(&self->slots_lock);
	rbc_ring_table_take_out(&self->table, ring);
	pthread_mutex_unlock(&self->slots_lock);
	rbc_pacing_remove(self, ring);
	self->rings_to_watch -= ring->kind->is_watched;
	rbc_owner_note_left(&ring->owner);
	rbc_ring_put(ring, 1);
	return 0;
}

int rbcore_reader_ring_after(rbcore_reader *self, int ring) {
	int error = rbc_reader_check(self);
	if (error != 0 || ring < -1) {
		return error != 0 ? error : -EINVAL;
	}
	return rbc_ring_table_after(&self->table, (unsigned)ring + 1);
}

int rbcore_reader_fd(const rbcore_reader *self) {
	int error = rbc_reader_check(self);
	return error != 0 ? error : self->wait.epoll_fd;
}

static int ask(rbcore_reader *self, unsigned what) {
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	atomic_fetch_or_explicit(&self->asked, what, memory_order_release);
	rbc_wait_wake(&self->wait);
	return 0;
}

int rbcore_reader_interrupt(rbcore_reader *self) {
	return ask(self, RBC_ASKED_INTERRUPT);
}

int rbcore_reader_flush(rbcore_reader *self) {
	return ask(self, RBC_ASKED_FLUSH);
}

int rbcore_reader_shutdown(rbcore_reader *self) {
	return ask(self, RBC_ASKED_SHUTDOWN);
}
#undef KNOWN_FLAGS
#undef LONGEST_LATENCY_NS
#undef defaults

/* ==== capi/snapshot.c ==== */
#define defaults defaults_in_snapshot
#define grow grow_in_snapshot
#define take take_in_snapshot
#define KNOWN_FLAGS RBCORE_SNAPSHOT_CONSUME

#define ATTEMPTS 16

#define NO_POSITION UINT64_C(1)

static const rbcore_snapshot_info defaults = RBCORE_SNAPSHOT_INFO_INIT;

int rbcore_snapshot_info_init(rbcore_snapshot_info *out, size_t size) {
	return rbc_sized_init(out, size, &defaults, sizeof(defaults));
}

int rbc_snapshot_new(rbcore_snapshot **out, size_t capacity) {
	rbcore_snapshot *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	self->info = defaults;
	self->lost_before = NO_POSITION;
	self->capacity = capacity;
	self->buffer = malloc(capacity > 0 ? capacity : 1);
	int error = self->buffer == NULL ? -ENOMEM : rbc_fork_check_init(&self->fork_check);
	if (error != 0) {
		free(self->buffer);
		free(self);
		return error;
	}
	*out = self;
	return 0;
}

void rbcore_snapshot_free(rbcore_snapshot *self) {
	RBC_KEEP_ERRNO;
	if (self != NULL) {
		free(self->buffer);
		free(self);
	}
}

int rbc_snapshot_check(const rbcore_snapshot *self) {
	if (self == NULL) {
		return -EINVAL;
	}
	return rbc_fork_check_passes(&self->fork_check) ? 0 : -ECHILD;
}

static int grow(rbcore_snapshot *self, size_t capacity) {
	if (self->capacity >= capacity) {
		return 0;
	}
	unsigned char *larger = malloc(capacity);
	if (larger == NULL) {
		return -ENOMEM;
	}
	free(self->buffer);
	self->buffer = larger;
	self->capacity = capacity;
	return 0;
}

static int copy_content(rbcore_snapshot *self, const rbc_copy_source *source, uint64_t oldest) {
	const rbc_copy_end end = rbc_copy_find_end(source, oldest);
	if (rbc_copy_valid_from(source, end.walked_from) != end.walked_from) {
		return -EAGAIN;
	}
	uint64_t first = oldest, at = oldest;
	while (at != end.position) {
		size_t piece = end.position - at < RBC_COPY_PIECE ? end.position - at : RBC_COPY_PIECE;
		uint64_t valid = rbc_copy_bytes(source, self->buffer + (at - oldest), at, piece);
		if (valid % 8 != 0) {
			return -EBADMSG;
		}
		first = valid != at ? valid : first;
		if (rbc_is_after(first, end.position)) {
			return -EAGAIN;
		}
		at = rbc_is_after(valid, at + piece) ? valid : at + piece;
	}
	if (end.why == RBC_COPY_BAD) {
		return rbc_copy_valid_from(source, at) == at ? -EBADMSG : -EAGAIN;
	}
	self->base = oldest;
	self->info.first_pos = self->next = first;
	self->info.end_pos = end.position;
	self->info.producer_pos = end.producer_pos;
	return 0;
}

static uint64_t nanoseconds(clockid_t clock) {
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void rbc_snapshot_describe(rbcore_snapshot_info *info, const rbc_ring *ring, uint8_t boot_id[16]) {
	rbc_boot_id_once(boot_id);
	memcpy(info->boot_id, boot_id, sizeof(info->boot_id));
	info->kind = ring->kind->is_memory ? RBCORE_SOURCE_MEMORY_RING : RBCORE_SOURCE_MAP_ID;
	info->ring_id = ring->kind->is_memory ? ring->inode : ring->map_id;
	info->ring_size = ring->mapping.data_size;
	info->realtime_ns = nanoseconds(CLOCK_REALTIME);
	info->boottime_ns = nanoseconds(CLOCK_BOOTTIME);
}

static uint64_t oldest_of(const rbc_ring *ring, const rbc_copy_source *source) {
	return ring->shadow != NULL ? rbc_copy_oldest(source) : rbc_get(&ring->user_pos);
}

static int take(rbcore_snapshot *self, const rbc_ring *ring) {
	const rbc_copy_source source =
		ring->shadow != NULL ? ring->shadow->source
							: rbc_copy_source_of(&ring->mapping, false, ring->kind->is_memory);
	self->info = defaults;
	self->next = 0;
	self->lost_before = NO_POSITION;
	int error = grow(self, ring->mapping.data_size);
	if (error != 0) {
		return error;
	}
	rbc_snapshot_describe(&self->info, ring, self->boot_id);
	self->ring = ring->index;
	const uint64_t oldest = oldest_of(ring, &source);
	error = copy_content(self, &source, oldest);
	for (int i = 1; error == -EAGAIN && i < ATTEMPTS; i++) {
		error = copy_content(self, &source, oldest_of(ring, &source));
	}
	self->info.missed = error == 0 ? self->info.first_pos - oldest : 0;
	return error;
}

typedef struct rbc_copied {
	const unsigned char *data;
	uint64_t span;
	uint32_t size;
	bool is_discarded;
} rbc_copied;

static bool look_at(const rbcore_snapshot *self, uint64_t position, rbc_copied *out) {
	const unsigned char *header = self->buffer + (position - self->base);
	uint32_t length;
	memcpy(&length, header, sizeof(length));
	*out = (rbc_copied){.data = header + RBC_HEADER_SIZE,
						.span = rbc_record_span(length & ~RBC_DISCARD),
						.size = length & ~RBC_DISCARD,
						.is_discarded = length & RBC_DISCARD};
	return !(length & RBC_BUSY) && out->span <= self->info.end_pos - position;
}

static uint64_t first_record(const rbcore_snapshot *self, uint64_t position) {
	rbc_copied record;
	while (position != self->info.end_pos && look_at(self, position, &record)) {
		if (!record.is_discarded) {
			return position;
		}
		position += record.span;
	}
	return NO_POSITION;
}

static void tell_loss(struct rbc_shadow *shadow, rbcore_snapshot *snapshot, uint64_t position) {
	if (shadow->lost_before_next) {
		snapshot->lost_before = first_record(snapshot, position);
		shadow->lost_before_next = snapshot->lost_before == NO_POSITION;
	}
}

static void consume(rbc_ring *ring, rbcore_snapshot *snapshot) {
	uint64_t first = snapshot->info.first_pos, end = snapshot->info.end_pos;
	uint64_t read_pos = rbc_get(&ring->read_pos);
	if (!rbc_is_after(end, read_pos)) {
		rbc_consumer_resume_releases(ring);
		return;
	}
	uint64_t lost = rbc_is_after(first, read_pos) ? first - read_pos : 0;
	rbc_count(&ring->passed_bytes, end - read_pos - lost);
	if (ring->shadow != NULL) {
		rbc_count(&ring->lost_bytes, lost);
		ring->shadow->lost_before_next |= lost > 0;
		tell_loss(ring->shadow, snapshot, read_pos + lost);
		rbc_shadow_skip_to(ring, end);
	} else {
		rbc_consumer_jump(ring, end);
	}
}

static int snapshot_ring(rbcore_reader *reader, rbc_ring *ring, rbcore_snapshot *snapshot,
						uint32_t flags) {
	if (atomic_load_explicit(&ring->broken, memory_order_relaxed)) {
		return rbc_reader_fail(reader, -EBADMSG, "the content of ring %u is impossible",
							ring->index);
	}
	bool is_consumed = flags & RBCORE_SNAPSHOT_CONSUME;
	if (is_consumed && (rbc_consumer_has_held(ring) || !rbc_consumer_stop_releases(ring))) {
		return rbc_reader_fail(reader, -EBUSY, "records of ring %u are not given back",
							ring->index);
	}
	int error = take(snapshot, ring);
	if (error != 0) {
		if (is_consumed) {
			rbc_consumer_resume_releases(ring);
		}
		return rbc_reader_fail(reader, error, "ring %u could not be copied: %s", ring->index,
							error == -EAGAIN ? "overwritten faster than it was copied"
												: rbcore_strerror(error));
	}
	if (is_consumed) {
		consume(ring, snapshot);
	}
	return 0;
}

int rbcore_reader_snapshot(rbcore_reader *self, unsigned int index, rbcore_snapshot **snapshot,
						uint32_t flags) {
	RBC_KEEP_ERRNO;
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	if (snapshot == NULL) {
		return rbc_reader_fail(self, -EINVAL, "the place for the snapshot is NULL");
	}
	if (*snapshot != NULL && (error = rbc_snapshot_check(*snapshot)) != 0) {
		return rbc_reader_fail(self, error, "the snapshot cannot be used: %s",
							rbcore_strerror(error));
	}
	if (flags & ~KNOWN_FLAGS) {
		return rbc_reader_fail(self, -EINVAL, "the snapshot has unknown flags: 0x%" PRIx32,
							flags & ~KNOWN_FLAGS);
	}
	rbc_ring *ring = rbc_ring_table_find(&self->table, index);
	if (ring == NULL) {
		return rbc_reader_fail(self, -EINVAL, "no ring has the index %u", index);
	}
	if (flags & RBCORE_SNAPSHOT_CONSUME) {
		rbc_idle_end(self, ring);
	}
	rbcore_snapshot *taken = *snapshot;
	error = taken == NULL ? rbc_snapshot_new(&taken, ring->mapping.data_size) : 0;
	if (error != 0) {
		return rbc_reader_fail(self, error, "there is no memory for a snapshot");
	}
	error = snapshot_ring(self, ring, taken, flags);
	if (error != 0 && *snapshot == NULL) {
		rbcore_snapshot_free(taken);
		return error;
	}
	*snapshot = taken;
	return error;
}

int rbcore_snapshot_read(rbcore_snapshot *self, rbcore_record *records, size_t max) {
	int error = rbc_snapshot_check(self);
	if (error != 0 || records == NULL || max == 0) {
		return error != 0 ? error : -EINVAL;
	}
	size_t count = 0;
	max = max > INT32_MAX ? INT32_MAX : max;
	while (count < max && self->next != self->info.end_pos) {
		rbc_copied record;
		if (!look_at(self, self->next, &record)) {
			return count > 0 ? (int)count : -EBADMSG;
		}
		if (!record.is_discarded) {
			bool is_after_loss = self->next == self->lost_before;
			records[count++] = (rbcore_record){
				.data = record.data,
				.position = self->next,
				.size = record.size,
				.ring = self->ring,
				.flags = RBCORE_RECORD_COPIED | (is_after_loss ? RBCORE_RECORD_LOST_BEFORE : 0)};
		}
		self->next += record.span;
	}
	return (int)count;
}

int rbcore_snapshot_rewind(rbcore_snapshot *self) {
	int error = rbc_snapshot_check(self);
	if (error == 0) {
		self->next = self->info.first_pos;
	}
	return error;
}

int rbcore_snapshot_info_get(const rbcore_snapshot *self, rbcore_snapshot_info *out) {
	int error = rbc_snapshot_check(self);
	if (error != 0 || out == NULL) {
		return error != 0 ? error : -EINVAL;
	}
	return rbc_sized_out(out, &self->info, sizeof(self->info));
}
#undef ATTEMPTS
#undef KNOWN_FLAGS
#undef NO_POSITION
#undef defaults
#undef grow
#undef take

/* ==== capi/crc32.c ==== */
#define load load_in_crc32
#define STEP 8
#define POLYNOMIAL UINT32_C(0xedb88320)

static uint32_t of_byte[STEP][256];

static void make_tables(void) {
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t value = byte;
		for (int bit = 0; bit < 8; bit++) {
			value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
		}
		of_byte[0][byte] = value;
	}
	for (int later = 1; later < STEP; later++) {
		for (uint32_t byte = 0; byte < 256; byte++) {
			const uint32_t value = of_byte[later - 1][byte];
			of_byte[later][byte] = of_byte[0][value & 0xff] ^ value >> 8;
		}
	}
}

static uint32_t load(const unsigned char *at) {
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t of_word(uint32_t word, int last_byte_later) {
	return of_byte[last_byte_later + 3][word & 0xff] ^
		of_byte[last_byte_later + 2][word >> 8 & 0xff] ^
		of_byte[last_byte_later + 1][word >> 16 & 0xff] ^ of_byte[last_byte_later][word >> 24];
}

uint32_t rbc_crc32(uint32_t before, const unsigned char *data, size_t size) {
	static pthread_once_t made = PTHREAD_ONCE_INIT;
	pthread_once(&made, make_tables);
	uint32_t value = ~before;
	for (; size >= STEP; size -= STEP, data += STEP) {
		value = of_word(load(data) ^ value, 4) ^ of_word(load(data + 4), 0);
	}
	for (; size > 0; size--, data++) {
		value = of_byte[0][(value ^ *data) & 0xff] ^ value >> 8;
	}
	return ~value;
}
#undef POLYNOMIAL
#undef STEP
#undef load

/* ==== capi/snapshot_file.c ==== */
#define grow grow_in_snapshot_file
#define MAGIC "rbsnap\r\n"
#define VERSION 1
#define BEGIN_SIZE 16
#define HEADER_SIZE RBCORE_SNAPSHOT_HEADER_SIZE
#define HEADER_MAX 4096

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTE_ORDER_FLAG 0
#else
#define BYTE_ORDER_FLAG 1
#endif

#define BLOCK_MAX (UINT64_C(1) << 31)

#define RING_MAX (UINT64_C(1) << 31)

#define CHUNK ((size_t)1 << 20)

static void put(unsigned char *at, uint64_t number, size_t size) {
	for (size_t i = 0; i < size; i++) {
		at[i] = (unsigned char)(number >> 8 * i);
	}
}

static uint64_t get(const unsigned char *at, size_t size) {
	uint64_t number = 0;
	for (size_t i = 0; i < size; i++) {
		number |= (uint64_t)at[i] << 8 * i;
	}
	return number;
}

static const struct {
	size_t in_file;
	size_t in_info;
} words[] = {
	{40, offsetof(rbcore_snapshot_info, kind)},
	{48, offsetof(rbcore_snapshot_info, ring_id)},
	{56, offsetof(rbcore_snapshot_info, ring_size)},
	{64, offsetof(rbcore_snapshot_info, first_pos)},
	{72, offsetof(rbcore_snapshot_info, end_pos)},
	{80, offsetof(rbcore_snapshot_info, producer_pos)},
	{88, offsetof(rbcore_snapshot_info, missed)},
	{96, offsetof(rbcore_snapshot_info, realtime_ns)},
	{104, offsetof(rbcore_snapshot_info, boottime_ns)},
};

#define WORDS (sizeof(words) / sizeof(words[0]))

void rbc_snapshot_write_header(unsigned char header[HEADER_SIZE], const rbcore_snapshot_info *info,
							uint32_t content_checksum) {
	memset(header, 0, HEADER_SIZE);
	memcpy(header, MAGIC, sizeof(MAGIC) - 1);
	put(header + 8, VERSION, 4);
	put(header + 12, HEADER_SIZE, 4);
	put(header + 16, BYTE_ORDER_FLAG, 4);
	put(header + 20, content_checksum, 4);
	memcpy(header + 24, info->boot_id, sizeof(info->boot_id));
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t word;
		memcpy(&word, (const unsigned char *)info + words[i].in_info, sizeof(word));
		put(header + words[i].in_file, word, 8);
	}
	put(header + HEADER_SIZE - 4, rbc_crc32(0, header, HEADER_SIZE - 4), 4);
}

static int read_begin(const unsigned char *begin, size_t *header_size) {
	const uint64_t version = get(begin + 8, 4), size = get(begin + 12, 4);
	if (memcmp(begin, MAGIC, sizeof(MAGIC) - 1) != 0 || version == 0) {
		return -EBADMSG;
	}
	if (version > VERSION) {
		return -E2BIG;
	}
	if (size < HEADER_SIZE || size > HEADER_MAX || size % 8 != 0) {
		return -EBADMSG;
	}
	*header_size = size;
	return 0;
}

static bool is_possible(const rbcore_snapshot_info *info) {
	uint64_t size = info->ring_size;
	return (info->kind == RBCORE_SOURCE_MAP_ID || info->kind == RBCORE_SOURCE_MEMORY_RING) &&
		size != 0 && (size & (size - 1)) == 0 && size <= RING_MAX && info->first_pos % 8 == 0 &&
		info->end_pos % 8 == 0 && info->end_pos - info->first_pos <= size;
}

static int read_header(const unsigned char *header, size_t size, rbcore_snapshot_info *info,
					uint32_t *content_checksum) {
	if (get(header + size - 4, 4) != rbc_crc32(0, header, size - 4)) {
		return -EBADMSG;
	}
	if (get(header + 16, 4) != BYTE_ORDER_FLAG) {
		return -EOPNOTSUPP;
	}
	*content_checksum = (uint32_t)get(header + 20, 4);
	memcpy(info->boot_id, header + 24, sizeof(info->boot_id));
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t word = get(header + words[i].in_file, 8);
		memcpy((unsigned char *)info + words[i].in_info, &word, sizeof(word));
	}
	return is_possible(info) ? 0 : -EBADMSG;
}

static bool can_go_on(int fd, short event) {
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		struct pollfd wait = {.fd = fd, .events = event};
		return poll(&wait, 1, -1) >= 0 || errno == EINTR;
	}
	return errno == EINTR;
}

static int write_all(int fd, const unsigned char *data, size_t size) {
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0) {
			if (!can_go_on(fd, POLLOUT)) {
				return -errno;
			}
			continue;
		}
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static ssize_t read_all(int fd, unsigned char *data, size_t size) {
	size_t done = 0;
	while (done < size) {
		ssize_t n = read(fd, data + done, size - done);
		if (n == 0) {
			break;
		}
		if (n < 0 && !can_go_on(fd, POLLIN)) {
			return -errno;
		}
		done += n < 0 ? 0 : (size_t)n;
	}
	return (ssize_t)done;
}

static int read_exactly(int fd, unsigned char *data, size_t size) {
	ssize_t n = read_all(fd, data, size);
	if (n < 0) {
		return (int)n;
	}
	return (size_t)n == size ? 0 : -EBADMSG;
}

int rbcore_snapshot_save(const rbcore_snapshot *self, int fd) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	int error = rbc_snapshot_check(self);
	if (error != 0) {
		return error;
	}
	if (self->info.ring_size == 0) {
		return -ENODATA;
	}
	const unsigned char *content = self->buffer + (self->info.first_pos - self->base);
	const size_t size = self->info.end_pos - self->info.first_pos;
	unsigned char header[HEADER_SIZE];
	rbc_snapshot_write_header(header, &self->info, rbc_crc32(0, content, size));
	error = write_all(fd, header, sizeof(header));
	return error != 0 ? error : write_all(fd, content, size);
}

static bool is_other_block(const unsigned char *begin) {
	return memcmp(begin, MAGIC, 8) != 0 && memcmp(begin, MAGIC, 2) == 0 &&
		memcmp(begin + 6, &MAGIC[6], 2) == 0;
}

static int pass_over(int fd, unsigned char scratch[HEADER_MAX]) {
	const uint64_t size = get(scratch + 8, 8);
	if (size < BEGIN_SIZE || size > BLOCK_MAX) {
		return -EBADMSG;
	}
	int error = 0;
	for (size_t left = (size_t)size - BEGIN_SIZE; left > 0 && error == 0;) {
		const size_t piece = left < HEADER_MAX ? left : HEADER_MAX;
		error = read_exactly(fd, scratch, piece);
		left -= piece;
	}
	return error;
}

static int load_begin(int fd, unsigned char header[HEADER_MAX]) {
	for (;;) {
		ssize_t n = read_all(fd, header, BEGIN_SIZE);
		if (n < BEGIN_SIZE) {
			return n < 0 ? (int)n : n == 0 ? -ENODATA : -EBADMSG;
		}
		if (!is_other_block(header)) {
			return 0;
		}
		int error = pass_over(fd, header);
		if (error != 0) {
			return error;
		}
	}
}

static int load_header(int fd, rbcore_snapshot_info *info, uint32_t *content_checksum) {
	unsigned char header[HEADER_MAX];
	size_t size;
	int error = load_begin(fd, header);
	if (error == 0) {
		error = read_begin(header, &size);
	}
	if (error == 0) {
		error = read_exactly(fd, header + BEGIN_SIZE, size - BEGIN_SIZE);
	}
	return error != 0 ? error : read_header(header, size, info, content_checksum);
}

static_assert(2 * HEADER_SIZE >= sizeof(rbcore_snapshot) + 8, "a header pays for a snapshot");

static int grow(rbcore_snapshot *self, size_t done, size_t size) {
	const uint64_t most = 2 * (HEADER_SIZE + (uint64_t)done) - sizeof(*self);
	const size_t capacity = most < size ? (size_t)most : size;
	unsigned char *larger = realloc(self->buffer, capacity);
	if (larger == NULL) {
		return -ENOMEM;
	}
	self->buffer = larger;
	self->capacity = capacity;
	return 0;
}

static int load_content(rbcore_snapshot *self, int fd, uint32_t *checksum) {
	const size_t size = self->info.end_pos - self->info.first_pos;
	*checksum = 0;
	for (size_t done = 0; done < size;) {
		int error = done == self->capacity ? grow(self, done, size) : 0;
		if (error != 0) {
			return error;
		}
		size_t piece = self->capacity - done < CHUNK ? self->capacity - done : CHUNK;
		error = read_exactly(fd, self->buffer + done, piece);
		if (error != 0) {
			return error;
		}
		*checksum = rbc_crc32(*checksum, self->buffer + done, piece);
		done += piece;
	}
	return 0;
}

int rbcore_snapshot_load(rbcore_snapshot **out, int fd) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	if (out == NULL) {
		return -EINVAL;
	}
	rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
	uint32_t expected, checksum;
	int error = load_header(fd, &info, &expected);
	if (error != 0) {
		return error;
	}
	rbcore_snapshot *self;
	error = rbc_snapshot_new(&self, 0);
	if (error != 0) {
		return error;
	}
	self->info = info;
	self->base = self->next = info.first_pos;
	error = load_content(self, fd, &checksum);
	if (error == 0 && checksum != expected) {
		error = -EBADMSG;
	}
	if (error != 0) {
		rbcore_snapshot_free(self);
		return error;
	}
	*out = self;
	return 0;
}
#undef BEGIN_SIZE
#undef BLOCK_MAX
#undef BYTE_ORDER_FLAG
#undef CHUNK
#undef HEADER_MAX
#undef HEADER_SIZE
#undef MAGIC
#undef RING_MAX
#undef VERSION
#undef WORDS
#undef grow

/* ==== capi/snapshot_header.c ==== */
static bool holds(const rbcore_reader *self, const rbc_ring *ring, const rbcore_record *record) {
	return self->is_release ? rbc_release_holds(ring, record) : rbc_commit_holds(ring, record);
}

static const rbc_ring *ring_of(rbcore_reader *self, const rbcore_record *first,
							const rbcore_record *last) {
	if (first->ring != last->ring || rbc_is_after(first->position, last->position)) {
		return NULL;
	}
	pthread_mutex_lock(&self->slots_lock);
	const rbc_ring *ring = rbc_reader_ring(self, first->ring);
	const bool is_held = ring != NULL && holds(self, ring, first) && holds(self, ring, last);
	pthread_mutex_unlock(&self->slots_lock);
	return is_held ? ring : NULL;
}

static bool leads_to(const rbc_ring *ring, uint64_t position, uint64_t to) {
	while (position != to) {
		const uint64_t span = rbc_record_span(rbc_get_length(ring, position) & ~RBC_DISCARD);
		if (span > to - position) {
			return false;
		}
		position += span;
	}
	return true;
}

static rbcore_slice slice_of(const rbc_ring *ring, uint64_t first, uint64_t end) {
	return (rbcore_slice){.data = rbc_ring_header(ring, first), .size = (size_t)(end - first)};
}

int rbcore_reader_snapshot_header(rbcore_reader *self, const rbcore_record *first,
								const rbcore_record *last, void *header, rbcore_slice *content) {
	RBC_KEEP_ERRNO;
	int error = rbc_reader_check(self);
	if (error != 0) {
		return error;
	}
	if (first == NULL || last == NULL || header == NULL || content == NULL) {
		return rbc_reader_fail(self, -EINVAL, "a record, the header or the content is NULL");
	}
	const rbc_ring *ring = ring_of(self, first, last);
	if (ring == NULL) {
		return rbc_reader_fail(
			self, -EINVAL, "no two records of ring %u are held from %llu to %llu", first->ring,
			(unsigned long long)first->position, (unsigned long long)last->position);
	}
	if (!leads_to(ring, first->position, last->position)) {
		return rbc_reader_fail(self, -EBADMSG, "not all records between are complete in ring %u",
							first->ring);
	}
	rbcore_snapshot_info info = RBCORE_SNAPSHOT_INFO_INIT;
	rbc_snapshot_describe(&info, ring, self->boot_id);
	info.first_pos = first->position;
	info.end_pos = last->position + rbc_record_span(last->size);
	info.producer_pos = rbc_ring_load_producer_pos(ring);
	*content = slice_of(ring, info.first_pos, info.end_pos);
	rbc_snapshot_write_header(header, &info, rbc_crc32(0, content->data, content->size));
	return 0;
}

/* ==== capi/stats.c ==== */
static const rbcore_reader_stats reader_defaults = RBCORE_READER_STATS_INIT;
static const rbcore_ring_stats ring_defaults = RBCORE_RING_STATS_INIT;
static const rbcore_identity identity_defaults = RBCORE_IDENTITY_INIT;

int rbcore_reader_stats_init(rbcore_reader_stats *out, size_t size) {
	return rbc_sized_init(out, size, &reader_defaults, sizeof(reader_defaults));
}

int rbcore_ring_stats_init(rbcore_ring_stats *out, size_t size) {
	return rbc_sized_init(out, size, &ring_defaults, sizeof(ring_defaults));
}

int rbcore_identity_init(rbcore_identity *out, size_t size) {
	return rbc_sized_init(out, size, &identity_defaults, sizeof(identity_defaults));
}

int rbcore_reader_stats_get(rbcore_reader *self, rbcore_reader_stats *out) {
	int error = rbc_reader_check(self);
	if (error != 0 || out == NULL) {
		return error != 0 ? error : -EINVAL;
	}
	pthread_mutex_lock(&self->slots_lock);
	uint64_t rings = self->table.count;
	pthread_mutex_unlock(&self->slots_lock);
	rbcore_reader_stats stats = {
		.records = rbc_get(&self->records),
		.bytes = rbc_get(&self->bytes),
		.discards = rbc_get(&self->discards),
		.batches = rbc_get(&self->batches),
		.commits = rbc_get(&self->commits),
		.wakeups = rbc_get(&self->wait.wakeups),
		.rings = rings,
	};
	return rbc_sized_out(out, &stats, sizeof(stats));
}

static uint64_t lost_records(const rbc_ring *ring) {
	if (ring->kind->is_memory) {
		return rbc_get(&rbc_producer_page_of(&ring->mapping)->lost);
	}
	uint64_t lost;
	bool known = ring->loss_fd >= 0 && rbc_map_read_losses(ring->loss_fd, &lost) == 0;
	return known ? lost : RBCORE_UNKNOWN;
}

static uint64_t bytes_waiting(const rbc_ring *ring) {
	uint64_t read_pos, producer_pos, again = atomic_load(&ring->read_pos);
	int attempts = 100;
	do {
		read_pos = again;
		producer_pos = atomic_load_explicit(ring->producer_pos, memory_order_acquire);
		again = atomic_load(&ring->read_pos);
	} while (again != read_pos && --attempts > 0);
	uint64_t bytes = producer_pos - read_pos, size = ring->mapping.data_size;
	return bytes < size ? bytes : size;
}

static uint64_t reader_pid(const rbc_ring *ring) {
	return rbc_owner_is_ours(&ring->owner)
			? (uint64_t)getpid()
			: rbc_owner_pid(ring->mapping.consumer_page, ring->mapping.page_size);
}

static rbcore_ring_stats stats_of(const rbc_ring *ring) {
	const _Atomic uint64_t *consumed =
		ring->shadow != NULL ? ring->shadow->source.consumer_pos : ring->consumer_pos;
	uint64_t consumer_pos = atomic_load_explicit(consumed, memory_order_acquire);
	uint64_t user_pos = atomic_load_explicit(&ring->user_pos, memory_order_acquire);
	uint64_t read_pos = atomic_load_explicit(&ring->read_pos, memory_order_acquire);
	uint64_t producer_pos = atomic_load_explicit(ring->producer_pos, memory_order_acquire);
	bool is_broken = atomic_load_explicit(&ring->broken, memory_order_relaxed);
	return (rbcore_ring_stats){
		.cookie = ring->cookie,
		.flags = (is_broken ? RBCORE_RING_BROKEN : 0) |
				(ring->is_guarded ? 0 : RBCORE_RING_UNGUARDED) |
				(rbc_ring_is_paced(ring) ? RBCORE_RING_PACED : 0),
		.map_id = ring->map_id,
		.ring_size = ring->mapping.data_size,
		.bytes_waiting = bytes_waiting(ring),
		.high_water = rbc_get(&ring->high_water),
		.records = rbc_get(&ring->records),
		.bytes = rbc_get(&ring->bytes),
		.discards = rbc_get(&ring->discards),
		.abandoned = rbc_get(&ring->abandoned),
		.skipped = rbc_get(&ring->skipped),
		.lost = lost_records(ring),
		.producer_pos = producer_pos,
		.read_pos = read_pos,
		.user_pos = user_pos,
		.consumer_pos = consumer_pos,
		.start_pos = ring->start_pos,
		.passed_bytes = rbc_get(&ring->passed_bytes),
		.lost_bytes = rbc_get(&ring->lost_bytes),
		.first_ring = ring->index,
		.reader_pid = reader_pid(ring),
	};
}

int rbcore_reader_ring_stats(rbcore_reader *self, unsigned int index, rbcore_ring_stats *out) {
	RBC_KEEP_ERRNO;
	int error = rbc_reader_check(self);
	if (error != 0 || out == NULL) {
		return error != 0 ? error : -EINVAL;
	}
	pthread_mutex_lock(&self->slots_lock);
	const rbc_ring *ring = rbc_reader_ring(self, index);
	error = -EINVAL;
	if (ring != NULL) {
		rbcore_ring_stats stats = stats_of(ring);
		error = rbc_sized_out(out, &stats, sizeof(stats));
	}
	pthread_mutex_unlock(&self->slots_lock);
	return error;
}

int rbcore_reader_identity(rbcore_reader *self, const rbcore_record *record, rbcore_identity *out) {
	RBC_KEEP_ERRNO;
	int error = rbc_reader_check(self);
	if (error != 0 || record == NULL || out == NULL) {
		return error != 0 ? error : -EINVAL;
	}
	pthread_mutex_lock(&self->slots_lock);
	const rbc_ring *ring = rbc_reader_ring(self, record->ring);
	error = -EINVAL;
	if (ring != NULL) {
		rbcore_identity identity = {
			.kind = ring->kind->is_memory ? RBCORE_SOURCE_MEMORY_RING : RBCORE_SOURCE_MAP_ID,
			.ring_id = ring->kind->is_memory ? ring->inode : ring->map_id,
			.position = record->position,
		};
		rbc_boot_id(identity.boot_id);
		error = rbc_sized_out(out, &identity, sizeof(identity));
	}
	pthread_mutex_unlock(&self->slots_lock);
	return error;
}

/* ==== capi/look.c ==== */
#define check_map check_map_in_look
#define check_source check_source_in_look
typedef struct rbc_look {
	rbcore_source source;
	int fd;
	uint64_t map_id;
	size_t data_size;
	rbc_mapping mapping;
	uint64_t lost;
} rbc_look;

static int check_source(rbcore_source *source, const rbcore_source *given) {
	*source = (rbcore_source)RBCORE_SOURCE_INIT;
	int error = rbc_sized_in(source, sizeof(*source), given);
	if (error != 0) {
		return error;
	}
	return rbc_source_missing_field(source) == NULL ? 0 : -EINVAL;
}

static int check_map(rbc_look *self) {
	rbc_map_info info;
	int error = rbc_map_get_info(self->fd, &info);
	if (error != 0) {
		return error;
	}
	if (info.type != RBC_BPF_MAP_TYPE_RINGBUF) {
		return -EMEDIUMTYPE;
	}
	self->map_id = info.id;
	self->data_size = info.max_entries;
	return rbc_map_positions_are_whole() ? 0 : -EOPNOTSUPP;
}

static bool is_memory(const rbc_look *self) {
	return self->source.kind == RBCORE_SOURCE_MEMORY_RING;
}

static int open_source(rbc_look *self) {
	ino_t inode;
	self->fd =
		is_memory(self) ? rbc_duplicate(self->source.fd) : rbc_source_open_map(&self->source);
	if (self->fd < 0) {
		return self->fd;
	}
	return is_memory(self) ? rbc_memory_ring_check(self->fd, &self->data_size, &inode)
						: check_map(self);
}

static int map_pages(rbc_look *self) {
	int error = rbc_mapping_open_pages(&self->mapping, self->fd, self->data_size);
	if (error == -ENODEV) {
		return -EBADFD;
	}
	if (error == -EINVAL && !is_memory(self)) {
		return -EACCES;
	}
	bool overwrites;
	return error == 0 && is_memory(self) ? rbc_memory_ring_check_layout(&self->mapping, &overwrites)
										: error;
}

static int read_loss_map(rbc_look *self) {
	rbc_map_info info;
	self->lost = RBCORE_UNKNOWN;
	if (self->source.loss_fd == -1) {
		return 0;
	}
	int fd = rbc_duplicate(self->source.loss_fd);
	int error = fd < 0 ? fd : rbc_map_get_info(fd, &info);
	if (error == 0 && !rbc_map_counts_losses(&info)) {
		error = -EMEDIUMTYPE;
	}
	if (error == 0 && rbc_map_read_losses(fd, &self->lost) != 0) {
		self->lost = RBCORE_UNKNOWN;
	}
	if (fd >= 0) {
		close(fd);
	}
	return error;
}

static uint64_t position(const unsigned char *page) {
	return atomic_load_explicit((const _Atomic uint64_t *)(const void *)page, memory_order_acquire);
}

static void fill(const rbc_look *self, rbcore_ring_stats *stats) {
	const rbc_mapping *mapping = &self->mapping;
	memset(stats, 0xff, sizeof(*stats));
	stats->cookie = self->source.cookie;
	stats->flags = 0;
	stats->map_id = is_memory(self) ? RBCORE_UNKNOWN : self->map_id;
	stats->ring_size = self->data_size;
	stats->consumer_pos = position(mapping->consumer_page);
	stats->producer_pos = position(mapping->producer_page);
	uint64_t waiting = stats->producer_pos - stats->consumer_pos;
	stats->bytes_waiting = waiting < self->data_size ? waiting : self->data_size;
	stats->lost = is_memory(self) ? rbc_get(&rbc_producer_page_of(mapping)->lost) : self->lost;
	stats->reader_pid = rbc_owner_pid(mapping->consumer_page, mapping->page_size);
}

int rbcore_source_ring_stats(const rbcore_source *source, rbcore_ring_stats *out) {
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	if (source == NULL || out == NULL) {
		return -EINVAL;
	}
	rbc_look look = {.fd = -1};
	rbcore_ring_stats stats;
	int error = check_source(&look.source, source);
	error = error != 0 ? error : open_source(&look);
	error = error != 0 ? error : map_pages(&look);
	error = error != 0 ? error : read_loss_map(&look);
	if (error == 0) {
		fill(&look, &stats);
		error = rbc_sized_out(out, &stats, sizeof(stats));
	}
	rbc_mapping_close_pages(&look.mapping);
	if (look.fd >= 0) {
		close(look.fd);
	}
	return error;
}
#undef check_map
#undef check_source

/* ==== capi/memory_reserve.c ==== */
#define take take_in_memory_reserve
#define RETRIES 100

typedef struct positions {
	uint64_t oldest;
	uint64_t producer;
} positions;

static positions load_positions(const rbc_mapping *mapping, bool overwrites) {
	rbc_producer_page *page = rbc_producer_page_of(mapping);
	_Atomic uint64_t *consumer_pos = (_Atomic uint64_t *)(void *)mapping->consumer_page;
	uint64_t oldest = overwrites ? atomic_load_explicit(&page->overwrite_pos, memory_order_relaxed)
								: atomic_load_explicit(consumer_pos, memory_order_acquire);
	return (positions){.oldest = oldest,
					.producer = atomic_load_explicit(&page->producer_pos, memory_order_acquire)};
}

static bool are_possible(positions at, size_t data_size) {
	return at.oldest % 8 == 0 && at.producer % 8 == 0 && at.producer - at.oldest <= data_size;
}

bool rbc_reserve_is_possible(const rbc_mapping *mapping, bool overwrites) {
	positions at = load_positions(mapping, overwrites);
	for (int i = 0; i < RETRIES && !are_possible(at, mapping->data_size); i++) {
		positions again = load_positions(mapping, overwrites);
		if (again.oldest == at.oldest) {
			return false;
		}
		at = again;
	}
	return true;
}

static RBC_INLINE uint64_t update_pending(const rbc_mapping *mapping, positions at,
										bool *is_broken) {
	rbc_producer_page *page = rbc_producer_page_of(mapping);
	const uint64_t before = atomic_load_explicit(&page->pending_pos, memory_order_relaxed);
	bool is_in_place = before - at.oldest <= at.producer - at.oldest && before % 8 == 0;
	uint64_t pending = is_in_place ? before : at.oldest;
	*is_broken = false;
	while (pending != at.producer && !*is_broken) {
		uint32_t length =
			atomic_load_explicit(&rbc_header_at(mapping, pending)->length, memory_order_acquire);
		uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
		if (length & RBC_BUSY) {
			break;
		}
		*is_broken = span > at.producer - pending;
		pending += *is_broken ? 0 : span;
	}
	if (pending != before) {
		atomic_store_explicit(&page->pending_pos, pending, memory_order_release);
	}
	return pending;
}

static int overwrite_oldest(const rbc_mapping *mapping, uint64_t oldest, uint64_t pending,
							uint64_t next) {
	uint64_t position = oldest;
	while (next - position > mapping->data_size - 1) {
		uint32_t length =
			atomic_load_explicit(&rbc_header_at(mapping, position)->length, memory_order_relaxed);
		uint64_t span = rbc_record_span(length & ~RBC_DISCARD);
		if (span > pending - position) {
			return -EBADMSG;
		}
		position += span;
	}
	if (position != oldest) {
		atomic_store_explicit(&rbc_producer_page_of(mapping)->overwrite_pos, position,
							memory_order_relaxed);
		rbc_store_fence();
	}
	return 0;
}

static RBC_INLINE int find(const rbc_mapping *mapping, bool overwrites, rbc_free_space *out) {
	const positions at = load_positions(mapping, overwrites);
	if (!are_possible(at, mapping->data_size)) {
		return -EBADMSG;
	}
	bool is_broken;
	const uint64_t pending = update_pending(mapping, at, &is_broken);
	const uint64_t used = at.producer - (overwrites ? pending : at.oldest);
	const uint64_t most = mapping->data_size - RBC_HEADER_SIZE;
	*out = (rbc_free_space){.oldest = at.oldest,
							.pending = pending,
							.producer = at.producer,
							.free = used < most ? most - used : 0,
							.why_no_more = overwrites && is_broken ? -EBADMSG : -EAGAIN};
	return 0;
}

static inline int take(const rbc_mapping *mapping, bool overwrites, const rbc_free_space *space,
					uint64_t span) {
	if (span > space->free) {
		return space->why_no_more;
	}
	return overwrites
			? overwrite_oldest(mapping, space->oldest, space->pending, space->producer + span)
			: 0;
}

int rbc_reserve_one(const rbc_mapping *mapping, bool overwrites, uint64_t span,
					uint64_t *producer) {
	rbc_free_space space;
	int error = find(mapping, overwrites, &space);
	if (error != 0) {
		return error;
	}
	*producer = space.producer;
	return take(mapping, overwrites, &space, span);
}

int rbc_reserve_find(const rbc_mapping *mapping, bool overwrites, rbc_free_space *out) {
	return find(mapping, overwrites, out);
}

int rbc_reserve_take(const rbc_mapping *mapping, bool overwrites, const rbc_free_space *space,
					uint64_t span) {
	return take(mapping, overwrites, space, span);
}

bool rbc_reserve_blocker(const rbc_mapping *mapping, uint64_t *position, uint32_t *token) {
	rbc_producer_page *page = rbc_producer_page_of(mapping);
	*position = atomic_load_explicit(&page->pending_pos, memory_order_acquire);
	if (*position % 8 != 0) {
		return false;
	}
	rbc_header *header = rbc_header_at(mapping, *position);
	*token = atomic_load_explicit(&header->token, memory_order_relaxed);
	return atomic_load_explicit(&header->length, memory_order_relaxed) & RBC_BUSY;
}

bool rbc_reserve_discard_blocker(const rbc_mapping *mapping, uint64_t position, uint32_t token) {
	rbc_producer_page *page = rbc_producer_page_of(mapping);
	if (atomic_load_explicit(&page->pending_pos, memory_order_relaxed) != position) {
		return false;
	}
	rbc_header *header = rbc_header_at(mapping, position);
	uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
	return atomic_load_explicit(&header->token, memory_order_relaxed) == token &&
		(length & RBC_BUSY) &&
		atomic_compare_exchange_strong_explicit(&header->length, &length,
												(length & ~RBC_BUSY) | RBC_DISCARD,
												memory_order_seq_cst, memory_order_relaxed);
}
#undef RETRIES
#undef take

/* ==== capi/memory_producer.c ==== */
#define map_ring map_ring_in_memory_producer
#define open_ring open_ring_in_memory_producer
#define reserve reserve_in_memory_producer
static int take_slot(rbc_memory_producer *self) {
	for (uint32_t slot = 0; slot < RBCORE_PRODUCERS_MAX; slot++) {
		if (!rbc_lock_byte(self->fd, RBC_PRODUCER_BYTE(slot))) {
			continue;
		}
		rbc_producer_slot *entry = &self->page->slots[slot];
		uint64_t generation = atomic_load_explicit(&entry->generation, memory_order_relaxed);
		generation = (generation + 1) % RBC_TOKEN_GENERATIONS;
		entry->process = rbc_process_self();
		atomic_store_explicit(&entry->generation, generation, memory_order_release);
		self->token = RBC_TOKEN_BIT | (uint32_t)generation * RBCORE_PRODUCERS_MAX | slot;
		return 0;
	}
	return -EUSERS;
}

static void leave_slot(rbc_memory_producer *self) {
	uint32_t slot = self->token % RBCORE_PRODUCERS_MAX;
	rbc_producer_slot *entry = &self->page->slots[slot];
	uint64_t generation = atomic_load_explicit(&entry->generation, memory_order_relaxed);
	atomic_store_explicit(&entry->generation, (generation + 1) % RBC_TOKEN_GENERATIONS,
						memory_order_release);
	rbc_unlock_byte(self->fd, RBC_PRODUCER_BYTE(slot));
}

static int open_fds(rbc_memory_producer *self, const rbcore_source *source, size_t *data_size) {
	ino_t inode;
	int error = rbc_memory_ring_check(source->fd, data_size, &inode);
	if (error != 0) {
		return error;
	}
	self->fd = rbc_reopen(source->fd);
	if (self->fd < 0) {
		return self->fd;
	}
	self->event_fd = rbc_duplicate(source->event_fd);
	if (self->event_fd < 0) {
		return self->event_fd;
	}
	error = rbc_memory_ring_check(self->fd, data_size, &inode);
	return error != 0 ? error : rbc_event_fd_check(self->event_fd);
}

static int map_ring(rbc_memory_producer *self, const rbcore_source *source) {
	size_t data_size;
	int error = open_fds(self, source, &data_size);
	if (error == 0) {
		error = rbc_mapping_open_memory(&self->mapping, self->fd, data_size, rbc_page_size(),
										RBC_PRODUCER_SIDE);
	}
	return error != 0 ? error : rbc_memory_ring_check_layout(&self->mapping, &self->overwrites);
}

static int open_ring(rbc_memory_producer *self, const rbcore_source *source) {
	int error = map_ring(self, source);
	if (error != 0) {
		return error;
	}
	self->page = rbc_producer_page_of(&self->mapping);
	self->consumer_pos = (_Atomic uint64_t *)(void *)self->mapping.consumer_page;
	return rbc_reserve_is_possible(&self->mapping, self->overwrites) ? take_slot(self) : -EBADMSG;
}

int rbc_memory_producer_open(rbc_memory_producer *self, const rbcore_source *source) {
	*self = (rbc_memory_producer){.fd = -1, .event_fd = -1};
	int error = open_ring(self, source);
	if (error != 0) {
		rbc_memory_producer_close(self);
	}
	return error;
}

void rbc_memory_producer_leave(rbc_memory_producer *self) {
	leave_slot(self);
	rbc_event_fd_signal(
		self->event_fd);
}

void rbc_memory_producer_close(rbc_memory_producer *self) {
	rbc_mapping_close(&self->mapping);
	rbc_close(self->event_fd);
	rbc_close(self->fd);
}

#define CONTENDED (UINT32_C(1) << 31)
#define SPINS 100
#define SLEEP_NS 1000000

static bool try_lock(rbc_memory_producer *self, uint32_t found, uint32_t taken) {
	return atomic_compare_exchange_strong_explicit(&self->page->lock, &found, taken,
												memory_order_acquire, memory_order_relaxed);
}

static void sleep_on_lock(rbc_memory_producer *self, uint32_t seen) {
	rbc_kernel_time timeout = rbc_kernel_time_of(SLEEP_NS);
	syscall(RBC_SYS_FUTEX, &self->page->lock, RBC_FUTEX_WAIT, seen, &timeout, NULL, 0);
}

static void lock_slowly(rbc_memory_producer *self) {
	RBC_KEEP_ERRNO;
	const uint32_t ours = self->token | CONTENDED;
	for (unsigned asked = 0;; asked++) {
		uint32_t seen = atomic_load_explicit(&self->page->lock, memory_order_relaxed);
		if (seen == 0) {
			if (try_lock(self, 0, ours)) {
				return;
			}
			continue;
		}
		if (!(seen & CONTENDED) && !try_lock(self, seen, seen | CONTENDED)) {
			continue;
		}
		seen |= CONTENDED;
		sleep_on_lock(self, seen);
		uint32_t owner = seen & ~CONTENDED;
		if (atomic_load_explicit(&self->page->lock, memory_order_relaxed) == seen &&
			owner != self->token && rbc_producer_is_gone(self->page, self->fd, owner, asked) &&
			try_lock(self, seen, ours)) {
			return;
		}
	}
}

static void lock(rbc_memory_producer *self) {
	for (int i = 0; i < SPINS; i++) {
		bool is_free = atomic_load_explicit(&self->page->lock, memory_order_relaxed) == 0;
		if (is_free && try_lock(self, 0, self->token)) {
			return;
		}
		rbc_relax();
	}
	lock_slowly(self);
}

static void unlock(rbc_memory_producer *self) {
	uint32_t word = atomic_exchange_explicit(&self->page->lock, 0, memory_order_release);
	if (word & CONTENDED) {
		RBC_KEEP_ERRNO;
		syscall(RBC_SYS_FUTEX, &self->page->lock, RBC_FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static rbc_header *header_at(const rbc_memory_producer *self, uint64_t position) {
	return rbc_header_at(&self->mapping, position);
}

static inline rbc_header *begin(rbc_memory_producer *self, uint64_t producer, uint64_t span,
								uint32_t length) {
	rbc_header *header = header_at(self, producer);
	atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
	atomic_store_explicit(&header->length, length | RBC_BUSY, memory_order_relaxed);
	atomic_store_explicit(&self->page->producer_pos, producer + span, memory_order_release);
	return header;
}

static int reserve_locked(rbc_memory_producer *self, rbc_header **out, uint32_t size) {
	const uint64_t span = rbc_record_span(size);
	uint64_t producer;
	int error = rbc_reserve_one(&self->mapping, self->overwrites, span, &producer);
	if (error == 0) {
		*out = begin(self, producer, span, size);
	}
	return error;
}

static bool clear_the_way(rbc_memory_producer *self) {
	uint64_t position;
	uint32_t token;
	if (!self->overwrites) {
		return false;
	}
	lock(self);
	bool is_blocked = rbc_reserve_blocker(&self->mapping, &position, &token);
	unlock(self);
	if (!is_blocked || !(token & RBC_TOKEN_BIT) || token == self->token) {
		return false;
	}
	RBC_KEEP_ERRNO;
	unsigned asked = atomic_fetch_add_explicit(&self->refused, 1, memory_order_relaxed);
	if (!rbc_producer_is_gone(self->page, self->fd, token, asked)) {
		return false;
	}
	lock(self);
	bool discarded = rbc_reserve_discard_blocker(&self->mapping, position, token);
	unlock(self);
	if (discarded) {
		rbc_event_fd_signal(self->event_fd);
	}
	return discarded;
}

static size_t dead_records_max(const rbc_memory_producer *self) {
	return self->mapping.data_size / RBC_HEADER_SIZE;
}

static int reserve(rbc_memory_producer *self, void **data, size_t size) {
	if (size > self->mapping.data_size - 2 * RBC_HEADER_SIZE) {
		return -EMSGSIZE;
	}
	rbc_header *header = NULL;
	size_t cleared = 0;
	int error;
	do {
		lock(self);
		error = reserve_locked(self, &header, (uint32_t)size);
		unlock(self);
	} while (error == -EAGAIN && cleared++ < dead_records_max(self) && clear_the_way(self));
	if (error == 0) {
		*data = header + 1;
	}
	return error;
}

static int count_lost(rbc_memory_producer *self, int error) {
	if (error == -EAGAIN) {
		atomic_fetch_add_explicit(&self->page->lost, 1, memory_order_relaxed);
	}
	return error;
}

int rbc_memory_producer_reserve(rbc_memory_producer *self, void **data, size_t size) {
	return count_lost(self, reserve(self, data, size));
}

#define FIRST_DELAY_NS INT64_C(50000)
#define LONGEST_DELAY_NS INT64_C(1000000)

static int sleep_until(int64_t deadline_ns, int64_t delay_ns) {
	int64_t left = deadline_ns - rbc_now_ns();
	if (left <= 0) {
		return -EAGAIN;
	}
	struct timespec pause = {.tv_nsec = left < delay_ns ? left : delay_ns};
	return -clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

int rbc_memory_producer_reserve_wait(rbc_memory_producer *self, void **data, size_t size,
									int64_t deadline_ns) {
	int64_t delay = FIRST_DELAY_NS;
	int error = reserve(self, data, size);
	while (error == -EAGAIN && (error = sleep_until(deadline_ns, delay)) == 0) {
		error = reserve(self, data, size);
		delay = delay * 2 > LONGEST_DELAY_NS ? LONGEST_DELAY_NS : delay * 2;
	}
	return error;
}

static rbc_header *reserved_header(const rbc_memory_producer *self, const void *data) {
	uintptr_t offset = (uintptr_t)data - (uintptr_t)self->mapping.data - RBC_HEADER_SIZE;
	if (data == NULL || offset % 8 != 0 || offset >= self->mapping.data_size) {
		return NULL;
	}
	rbc_header *header = header_at(self, offset);
	return atomic_load_explicit(&header->token, memory_order_relaxed) == self->token ? header
																					: NULL;
}

static void wake_if_next(rbc_memory_producer *self, uint64_t position, uint32_t flags) {
	rbc_full_fence();
	uint64_t consumer = atomic_load_explicit(self->consumer_pos, memory_order_relaxed);
	bool is_next = ((consumer ^ position) & (self->mapping.data_size - 1)) == 0;
	if (flags & RBCORE_FORCE_WAKEUP || (is_next && !(flags & RBCORE_NO_WAKEUP))) {
		rbc_event_fd_signal(self->event_fd);
	}
}

int rbc_memory_producer_finish(rbc_memory_producer *self, void *data, uint32_t flags,
							uint32_t discard) {
	rbc_header *header = reserved_header(self, data);
	if (header == NULL) {
		return -EINVAL;
	}
	uint32_t length = atomic_load_explicit(&header->length, memory_order_relaxed);
	if (!(length & RBC_BUSY) || !atomic_compare_exchange_strong_explicit(
									&header->length, &length, (length & ~RBC_BUSY) | discard,
									memory_order_seq_cst, memory_order_relaxed)) {
		return -EINVAL;
	}
	uint64_t offset = (uint64_t)((unsigned char *)header - self->mapping.data);
	wake_if_next(self, offset, flags);
	return 0;
}

typedef struct batch {
	rbc_header *header;
	uint64_t position;
	size_t count;
} batch;

static int check_slice(const rbc_memory_producer *self, const rbcore_slice *slice) {
	if (slice->size > self->mapping.data_size - 2 * RBC_HEADER_SIZE) {
		return -EMSGSIZE;
	}
	return slice->data == NULL && slice->size != 0 ? -EINVAL : 0;
}

static uint64_t measure(const rbc_memory_producer *self, const rbcore_slice *slices, size_t count,
						const rbc_free_space *space, size_t *fit, int *error) {
	uint64_t sum = 0;
	for (*fit = 0; *fit < count; ++*fit) {
		*error = check_slice(self, &slices[*fit]);
		if (*error != 0) {
			break;
		}
		uint64_t span = rbc_record_span((uint32_t)slices[*fit].size);
		if (span > space->free - sum) {
			*error = space->why_no_more;
			break;
		}
		sum += span;
	}
	return sum;
}

static int reserve_batch_locked(rbc_memory_producer *self, const rbcore_slice *slices, size_t count,
								batch *out) {
	rbc_free_space space;
	int error = rbc_reserve_find(&self->mapping, self->overwrites, &space);
	if (error != 0) {
		return error;
	}
	uint64_t span = measure(self, slices, count, &space, &out->count, &error);
	if (out->count == 0) {
		return error;
	}
	error = rbc_reserve_take(&self->mapping, self->overwrites, &space, span);
	if (error == 0) {
		out->position = space.producer;
		out->header = begin(self, space.producer, span, (uint32_t)(span - RBC_HEADER_SIZE));
	}
	return error;
}

static void write_batch(const rbc_memory_producer *self, const batch *to,
						const rbcore_slice *slices) {
	rbc_store_fence();
	uint64_t at = to->position;
	for (size_t i = 0; i < to->count; i++) {
		rbc_header *header = header_at(self, at);
		const uint32_t size = (uint32_t)slices[i].size;
		if (i > 0) {
			atomic_store_explicit(&header->token, self->token, memory_order_relaxed);
			atomic_store_explicit(&header->length, size, memory_order_relaxed);
		}
		if (size != 0) {
			memcpy(header + 1, slices[i].data, size);
		}
		at += rbc_record_span(size);
	}
	atomic_store_explicit(&to->header->length, (uint32_t)slices[0].size, memory_order_release);
}

int rbc_memory_producer_output_batch(rbc_memory_producer *self, const rbcore_slice *slices,
									size_t count, uint32_t flags) {
	batch written = {.count = 0};
	size_t cleared = 0;
	int error;
	do {
		lock(self);
		error = reserve_batch_locked(self, slices, count, &written);
		unlock(self);
	} while (error == -EAGAIN && cleared++ < dead_records_max(self) && clear_the_way(self));
	if (error != 0 || written.count == 0) {
		return error;
	}
	write_batch(self, &written, slices);
	wake_if_next(self, written.position, flags);
	return (int)written.count;
}
#undef CONTENDED
#undef FIRST_DELAY_NS
#undef LONGEST_DELAY_NS
#undef SLEEP_NS
#undef SPINS
#undef map_ring
#undef open_ring
#undef reserve

/* ==== capi/user_ring.c ==== */
#define claim claim_in_user_ring
#define map_ring map_ring_in_user_ring
#define open_ring open_ring_in_user_ring
#define RECORD_MAX ((UINT32_C(1) << 24) - 1)

#define TOKEN_BIT (UINT32_C(1) << 31)

#define LOOK_AGAIN_NS INT64_C(10000000)

#define SPINS 100
#define SLEEP_NS 50000

__attribute__((cold)) static void wait_for_lock(rbc_user_ring *self) {
	for (int i = 0; i < SPINS; i++) {
		if (!atomic_load_explicit(&self->is_locked, memory_order_relaxed)) {
			return;
		}
		rbc_relax();
	}
	RBC_KEEP_ERRNO;
	RBC_UNCANCELLED;
	struct timespec pause = {.tv_nsec = SLEEP_NS};
	nanosleep(&pause, NULL);
}

static void take_lock(rbc_user_ring *self) {
	while (!rbc_user_ring_try_lock(self)) {
		wait_for_lock(self);
	}
}

__attribute__((cold)) static int look_for_space(rbc_user_ring *self, uint64_t producer,
												uint64_t span) {
	uint64_t size = self->mapping.data_size;
	self->seen_consumer = atomic_load_explicit(self->consumer_pos, memory_order_acquire);
	uint64_t used = producer - self->seen_consumer;
	if (producer % 8 != 0 || used > size) {
		return -EBADMSG;
	}
	return used <= size - span ? 0 : -EAGAIN;
}

static inline int find_space(rbc_user_ring *self, uint64_t producer, uint64_t span) {
	return rbc_user_ring_has_space(self, producer, span) ? 0 : look_for_space(self, producer, span);
}

int rbc_user_ring_reserve_slowly(rbc_user_ring *self, void **data, size_t size) {
	take_lock(self);
	uint64_t producer = rbc_user_ring_producer_pos(self);
	int error = find_space(self, producer, rbc_record_span((uint32_t)size));
	if (error == 0) {
		*data = rbc_user_ring_begin(self, producer, (uint32_t)size);
	}
	rbc_user_ring_drop_lock(self);
	return error;
}

static int append(rbc_user_ring *self, uint64_t *end, const rbcore_slice *slice) {
	if (slice->size > self->size_max) {
		return -EMSGSIZE;
	}
	if (slice->data == NULL && slice->size != 0) {
		return -EINVAL;
	}
	uint64_t span = rbc_record_span((uint32_t)slice->size);
	int error = find_space(self, *end, span);
	if (error != 0) {
		return error;
	}
	rbc_user_ring_write(self, *end, slice->data, slice->size);
	*end += span;
	return 0;
}

int rbc_user_ring_output_batch(rbc_user_ring *self, const rbcore_slice *slices, size_t count) {
	int error = 0;
	size_t done = 0;
	take_lock(self);
	uint64_t end = rbc_user_ring_producer_pos(self);
	while (done < count && (error = append(self, &end, &slices[done])) == 0) {
		done++;
	}
	if (done > 0) {
		rbc_user_ring_set_producer_pos(self, end);
	}
	rbc_user_ring_drop_lock(self);
	return done > 0 ? (int)done : error;
}

int rbc_user_ring_output_slowly(rbc_user_ring *self, const void *data, size_t size) {
	int written = rbc_user_ring_output_batch(self, &(rbcore_slice){data, size}, 1);
	return written < 0 ? written : 0;
}

static int take_epoll(rbc_user_ring *self) {
	int fd = atomic_exchange_explicit(&self->epoll_fd, -1, memory_order_acq_rel);
	if (fd >= 0) {
		return fd;
	}
	fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
	if (fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, self->fd, &event) != 0) {
		int error = -errno;
		rbc_close(fd);
		return error;
	}
	return fd < 0 ? -errno : fd;
}

static void give_epoll(rbc_user_ring *self, int fd) {
	rbc_close(atomic_exchange_explicit(&self->epoll_fd, fd, memory_order_acq_rel));
}

static int wait_for_room(int epoll_fd, int64_t deadline_ns) {
	int64_t left = deadline_ns - rbc_now_ns();
	if (left <= 0) {
		return -EAGAIN;
	}
	struct epoll_event event;
	int n = rbc_epoll_wait(epoll_fd, &event, 1, left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS);
	return n < 0 ? n : 0;
}

static int reserve_after_a_wait(rbc_user_ring *self, void **data, size_t size,
								int64_t deadline_ns) {
	int epoll_fd = take_epoll(self);
	if (epoll_fd < 0) {
		return epoll_fd;
	}
	int error = rbc_user_ring_reserve(self, data, size);
	if (error == -EAGAIN && (error = wait_for_room(epoll_fd, deadline_ns)) == 0) {
		error = rbc_user_ring_reserve(self, data, size);
	}
	give_epoll(self, epoll_fd);
	return error;
}

int rbc_user_ring_reserve_wait(rbc_user_ring *self, void **data, size_t size, int64_t deadline_ns) {
	int error = rbc_user_ring_reserve(self, data, size);
	while (error == -EAGAIN && rbc_now_ns() < deadline_ns) {
		pthread_testcancel();
		error = reserve_after_a_wait(self, data, size, deadline_ns);
	}
	return error;
}

static void discard_abandoned(rbc_user_ring *self, uint32_t token) {
	uint64_t position = atomic_load_explicit(self->consumer_pos, memory_order_acquire);
	uint64_t end = rbc_user_ring_producer_pos(self);
	while (position != end && end - position <= self->mapping.data_size) {
		rbc_header *header = rbc_header_at(&self->mapping, position);
		uint32_t length = atomic_load_explicit(&header->length, memory_order_acquire);
		uint32_t owner = atomic_load_explicit(&header->token, memory_order_relaxed);
		if (length & RBC_BUSY && owner & TOKEN_BIT && (token == 0 || owner == token)) {
			rbc_user_ring_set_length(header, (length & ~RBC_BUSY) | RBC_DISCARD);
		}
		position += rbc_record_span(length & ~(RBC_BUSY | RBC_DISCARD));
	}
}

static int map_ring(rbc_user_ring *self, const rbcore_source *source, uint32_t *map_id) {
	self->fd = rbc_source_open_map(source);
	if (self->fd < 0) {
		return self->fd;
	}
	rbc_map_info info;
	int error = rbc_map_get_info(self->fd, &info);
	if (error != 0) {
		return error;
	}
	if (info.type != RBC_BPF_MAP_TYPE_USER_RINGBUF) {
		return -EMEDIUMTYPE;
	}
	if (!rbc_map_positions_are_whole()) {
		return -EOPNOTSUPP;
	}
	if (!rbc_ring_size_is_valid(info.max_entries, rbc_page_size())) {
		return -EBADMSG;
	}
	*map_id = info.id;
	return rbc_mapping_open_user_map(&self->mapping, self->fd, info.max_entries);
}

static int claim(rbc_user_ring *self, uint32_t map_id, bool insist) {
	bool is_guarded, serves = false;
	self->lock_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const rbc_owner_lock lock = rbc_owner_map_lock(self->lock_fd, self->fd, map_id, &serves);
	const rbc_process process = rbc_process_self();
	return rbc_owner_claim(&self->owner, self->mapping.producer_page, self->mapping.page_size,
						&lock, &process, insist, &is_guarded);
}

static int open_ring(rbc_user_ring *self, const rbcore_source *source) {
	uint32_t map_id = 0;
	int error = map_ring(self, source, &map_id);
	if (error == 0) {
		error = claim(self, map_id, source->flags & RBCORE_SOURCE_INSIST);
	}
	if (error != 0) {
		return error;
	}
	self->consumer_pos = (const _Atomic uint64_t *)(const void *)self->mapping.consumer_page;
	self->producer_pos = (_Atomic uint64_t *)(void *)self->mapping.producer_page;
	uint64_t largest = self->mapping.data_size - RBC_HEADER_SIZE;
	self->size_max = largest < RECORD_MAX ? (uint32_t)largest : RECORD_MAX;
	self->no_offset = ~(uint64_t)(self->mapping.data_size - 8);
	self->token = TOKEN_BIT | (uint32_t)rbc_now_ns();
	self->seen_consumer = atomic_load_explicit(self->consumer_pos, memory_order_acquire);
	uint64_t producer = rbc_user_ring_producer_pos(self);
	if (producer % 8 != 0 || producer - self->seen_consumer > self->mapping.data_size) {
		rbc_owner_yield(&self->owner);
		return -EBADMSG;
	}
	discard_abandoned(self, 0);
	return 0;
}

int rbc_user_ring_open(rbc_user_ring *self, const rbcore_source *source) {
	*self = (rbc_user_ring){.fd = -1, .lock_fd = -1};
	atomic_init(&self->epoll_fd, -1);
	int error = open_ring(self, source);
	if (error != 0) {
		rbc_user_ring_close(self);
	}
	return error;
}

void rbc_user_ring_leave(rbc_user_ring *self) {
	discard_abandoned(self, self->token);
	rbc_owner_yield(&self->owner);
}

void rbc_user_ring_close(rbc_user_ring *self) {
	rbc_mapping_close(&self->mapping);
	rbc_close(atomic_load_explicit(&self->epoll_fd, memory_order_relaxed));
	rbc_close(self->lock_fd);
	rbc_close(self->fd);
}
#undef LOOK_AGAIN_NS
#undef RECORD_MAX
#undef SLEEP_NS
#undef SPINS
#undef TOKEN_BIT
#undef claim
#undef map_ring
#undef open_ring

/* ==== capi/producer.c ==== */
#define check_source check_source_in_producer
#define WAKEUP_FLAGS (RBCORE_NO_WAKEUP | RBCORE_FORCE_WAKEUP)

#define WITHIN_FEW_LINES __attribute__((aligned(64)))

struct rbcore_producer {
	rbc_fork_check fork_check;
	bool is_user_ring;
	union {
		rbc_memory_producer memory;
		rbc_user_ring user;
	};
};

static int check_source(rbcore_source *source, const rbcore_source *given) {
	*source = (rbcore_source)RBCORE_SOURCE_INIT;
	int error = rbc_sized_in(source, sizeof(*source), given);
	if (error != 0) {
		return error;
	}
	uint32_t known_flags = source->kind == RBCORE_SOURCE_MEMORY_RING ? 0 : RBCORE_SOURCE_INSIST;
	bool is_complete = rbc_source_missing_field(source) == NULL;
	return is_complete && !(source->flags & ~known_flags) ? 0 : -EINVAL;
}

static int open_producer(rbcore_producer *self, const rbcore_source *source) {
	int error = rbc_fork_check_init(&self->fork_check);
	if (error != 0) {
		return error;
	}
	self->is_user_ring = source->kind != RBCORE_SOURCE_MEMORY_RING;
	return self->is_user_ring ? rbc_user_ring_open(&self->user, source)
							: rbc_memory_producer_open(&self->memory, source);
}

static void close_producer(rbcore_producer *self) {
	bool is_here = rbc_fork_check_passes(&self->fork_check);
	if (self->is_user_ring) {
		if (is_here) {
			rbc_user_ring_leave(&self->user);
		}
		rbc_user_ring_close(&self->user);
	} else {
		if (is_here) {
			rbc_memory_producer_leave(&self->memory);
		}
		rbc_memory_producer_close(&self->memory);
	}
}

int rbcore_producer_open(rbcore_producer **out, const rbcore_source *given) {
	RBC_KEEP_ERRNO;
	if (out == NULL || given == NULL) {
		return -EINVAL;
	}
	rbcore_source source;
	int error = check_source(&source, given);
	if (error != 0) {
		return error;
	}
	rbcore_producer *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	error = open_producer(self, &source);
	if (error != 0) {
		free(self);
		return error;
	}
	*out = self;
	return 0;
}

void rbcore_producer_free(rbcore_producer *self) {
	RBC_KEEP_ERRNO;
	if (self == NULL) {
		return;
	}
	close_producer(self);
	free(self);
}

static int check(const rbcore_producer *self) {
	if (self == NULL) {
		return -EINVAL;
	}
	return rbc_fork_check_passes(&self->fork_check) ? 0 : -ECHILD;
}

WITHIN_FEW_LINES int rbcore_producer_reserve(rbcore_producer *self, void **data, size_t size) {
	int error = check(self);
	if (error != 0 || data == NULL) {
		return error != 0 ? error : -EINVAL;
	}
	return self->is_user_ring ? rbc_user_ring_reserve(&self->user, data, size)
							: rbc_memory_producer_reserve(&self->memory, data, size);
}

int rbcore_producer_reserve_wait(rbcore_producer *self, void **data, size_t size,
								int64_t timeout_ns) {
	RBC_KEEP_ERRNO;
	int error = check(self);
	if (error != 0 || data == NULL || (timeout_ns < 0 && timeout_ns != RBCORE_FOREVER)) {
		return error != 0 ? error : -EINVAL;
	}
	if (timeout_ns == 0) {
		return rbcore_producer_reserve(self, data, size);
	}
	int64_t deadline = rbc_deadline_after(&(rbc_clock){0}, timeout_ns);
	return self->is_user_ring
			? rbc_user_ring_reserve_wait(&self->user, data, size, deadline)
			: rbc_memory_producer_reserve_wait(&self->memory, data, size, deadline);
}

static inline int finish(rbcore_producer *self, void *data, uint32_t flags, uint32_t discard) {
	int error = check(self);
	if (error != 0 || flags & ~WAKEUP_FLAGS) {
		return error != 0 ? error : -EINVAL;
	}
	return self->is_user_ring ? rbc_user_ring_finish(&self->user, data, discard)
							: rbc_memory_producer_finish(&self->memory, data, flags, discard);
}

WITHIN_FEW_LINES int rbcore_producer_submit(rbcore_producer *self, void *data, uint32_t flags) {
	return finish(self, data, flags, 0);
}

int rbcore_producer_discard(rbcore_producer *self, void *data, uint32_t flags) {
	return finish(self, data, flags, RBC_DISCARD);
}

static int output_reserved(rbcore_producer *self, const void *data, size_t size, uint32_t flags) {
	void *reserved;
	int error = rbc_memory_producer_reserve(&self->memory, &reserved, size);
	if (error != 0) {
		return error;
	}
	if (size > 0) {
		memcpy(reserved, data, size);
	}
	return rbc_memory_producer_finish(&self->memory, reserved, flags, 0) == 0 ? 0 : -EBADMSG;
}

WITHIN_FEW_LINES int rbcore_producer_output(rbcore_producer *self, const void *data, size_t size,
											uint32_t flags) {
	int error = check(self);
	if (error != 0 || flags & ~WAKEUP_FLAGS || (data == NULL && size != 0)) {
		return error != 0 ? error : -EINVAL;
	}
	return self->is_user_ring ? rbc_user_ring_output(&self->user, data, size)
							: output_reserved(self, data, size, flags);
}

int rbcore_producer_output_batch(rbcore_producer *self, const rbcore_slice *slices, size_t count,
								uint32_t flags) {
	int error = check(self);
	if (error != 0 || slices == NULL || flags & ~WAKEUP_FLAGS) {
		return error != 0 ? error : -EINVAL;
	}
	size_t some = count < INT_MAX ? count : INT_MAX;
	return self->is_user_ring
			? rbc_user_ring_output_batch(&self->user, slices, some)
			: rbc_memory_producer_output_batch(&self->memory, slices, some, flags);
}
#undef WAKEUP_FLAGS
#undef WITHIN_FEW_LINES
#undef check_source

#pragma GCC visibility pop
