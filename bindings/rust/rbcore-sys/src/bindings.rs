// SPDX-License-Identifier: MIT
// Generated from rbcore.h by bindings/rust/generate. Do not edit.

pub const RBCORE_VERSION: u32 = 768;
pub const RBCORE_FEATURE_KERNEL_RING: u32 = 1;
pub const RBCORE_FEATURE_MEMORY_RING: u32 = 2;
pub const RBCORE_FEATURE_OVERWRITE: u32 = 4;
pub const RBCORE_FEATURE_USER_RING: u32 = 8;
pub const RBCORE_MEMORY_RING_OVERWRITE: u32 = 1;
pub const RBCORE_SOURCE_MAP_FD: u32 = 1;
pub const RBCORE_SOURCE_PINNED_PATH: u32 = 2;
pub const RBCORE_SOURCE_MAP_ID: u32 = 3;
pub const RBCORE_SOURCE_MEMORY_RING: u32 = 4;
pub const RBCORE_SOURCE_LATEST: u32 = 1;
pub const RBCORE_SOURCE_INSIST: u32 = 2;
pub const RBCORE_SOURCE_OVERWRITE: u32 = 4;
pub const RBCORE_SOURCE_TAP: u32 = 8;
pub const RBCORE_RINGS_MAX: u32 = 65536;
pub const RBCORE_READER_RELEASE: u32 = 1;
pub const RBCORE_READER_POLL: u32 = 2;
pub const RBCORE_DEFAULT_MAX_LATENCY: u32 = 1000000;
pub const RBCORE_RECORD_COPIED: u32 = 1;
pub const RBCORE_RECORD_LOST_BEFORE: u32 = 2;
pub const RBCORE_FOREVER: i32 = -1;
pub const RBCORE_COMMIT_NOW: u32 = 1;
pub const RBCORE_RING_BROKEN: u32 = 1;
pub const RBCORE_RING_UNGUARDED: u32 = 2;
pub const RBCORE_RING_PACED: u32 = 4;
pub const RBCORE_SNAPSHOT_CONSUME: u32 = 1;
pub const RBCORE_SNAPSHOT_HEADER_SIZE: u32 = 128;
pub const RBCORE_PRODUCERS_MAX: u32 = 64;
pub const RBCORE_NO_WAKEUP: u32 = 1;
pub const RBCORE_FORCE_WAKEUP: u32 = 2;
extern "C" {
    /// Returns the version of the library at run time, in the form of RBCORE_VERSION. Any thread.
    pub fn rbcore_version() -> u32;
}
extern "C" {
    /** Tells whether this library on this kernel has a feature. Any thread.
 Returns 1 for yes and 0 for no, also for a feature that this library has never heard of.
   -EPERM   the process may not ask the kernel (it needs CAP_BPF);
   -EMFILE, -ENFILE, -ENOMEM  no file descriptor or memory for the attempt.*/
    pub fn rbcore_supports(feature: u32) -> ::core::ffi::c_int;
}
extern "C" {
    /** Returns an English sentence that says what an error means here. Takes the negative value that a
 function returned (or its absolute value). The result is never NULL, and the string is static.
 Any thread.*/
    pub fn rbcore_strerror(error: ::core::ffi::c_int) -> *const ::core::ffi::c_char;
}
/** A piece of memory: the content of a record to be written, or records that lie in a ring. (It is
 laid out like the struct iovec of writev(2).)*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_slice {
    /// may be NULL if size is 0
    pub data: *const ::core::ffi::c_void,
    /// bytes
    pub size: usize,
}
#[test]
fn bindgen_test_layout_rbcore_slice() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_slice> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(::core::mem::size_of::<rbcore_slice>(), 16usize, "Size of rbcore_slice");
    assert_eq!(
        ::core::mem::align_of::<rbcore_slice>(),
        8usize,
        "Alignment of rbcore_slice",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).data) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_slice::data",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_slice::size",
    );
}
impl Default for rbcore_slice {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    /** Creates a memory ring: a memfd laid out like the kernel's ring (consumer page, producer page,
 data) and sealed against a change of its size, and the eventfd that wakes its reader. ring_size
 is a power of two and a multiple of the page size. The caller owns both file descriptors
 (close-on-exec), may pass them to other processes, and closes them when it likes: readers and
 producers keep their own.

 With RBCORE_MEMORY_RING_OVERWRITE it is like a map with BPF_F_RB_OVERWRITE (Linux 6.19):
 producers never wait for a reader, and a full ring holds the newest records.

 Every process that holds the descriptors can overwrite the memory at any time, and shares the
 state of the open files. This is what a hostile peer can do to the others:
   - The memory: A reader survives impossible content (-EBADMSG, never a crash). But it cannot
     stop data from changing while you look at it: copy records of producers that you do not trust
     before you look at them. A producer survives it, too. But it waits without end for a peer
     that holds the producers' lock in the memory, or claims to hold it.
   - event_fd: A peer that reads its counter takes wakeups away. Readers still look every 100
     milliseconds. Each wakeup makes the descriptor non-blocking again and empties a full counter.
     A submit blocks only if the peer undoes both before the write that follows, for which it has
     the time of one system call. It then blocks until the counter is read.
   - memory_fd: Its size is sealed, so that no load from it is a SIGBUS. The library looks at no
     flag, offset or lock of memory_fd: each reader and producer opens the file again (a reader
     only where /proc is mounted). A peer that takes the locks of the file keeps new producers out
     (-EUSERS), and leaves new readers unguarded (RBCORE_RING_UNGUARDED).
 Returns 0.
   -EINVAL  ring_size is zero, not a power of two, smaller than a page or larger than 1 GiB; a
            flag is unknown;
   -EMFILE, -ENFILE, -ENOMEM, -ENOSYS, -EFBIG  from the kernel, for want of what
            memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is
            delivered).*/
    pub fn rbcore_memory_ring_create(
        memory_fd: *mut ::core::ffi::c_int,
        event_fd: *mut ::core::ffi::c_int,
        ring_size: usize,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_source {
    /// of this struct
    pub size: usize,
    /// RBCORE_SOURCE_MAP_FD, ...
    pub kind: u32,
    /// RBCORE_SOURCE_LATEST, ...; default 0: resume where the last reader stopped
    pub flags: u32,
    /// stays the caller's: the library keeps a duplicate; default -1
    pub fd: i32,
    /// of a memory ring; as fd
    pub event_fd: i32,
    /// default 0: none
    pub map_id: u32,
    /// fd of the map in which rbcore_bpf.h counts losses; default -1: none
    pub loss_fd: i32,
    /// read during the call only; default NULL
    pub path: *const ::core::ffi::c_char,
    /// the caller's own, handed back by rbcore_reader_ring_stats; default 0
    pub cookie: u64,
}
#[test]
fn bindgen_test_layout_rbcore_source() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_source> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_source>(),
        48usize,
        "Size of rbcore_source",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_source>(),
        8usize,
        "Alignment of rbcore_source",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_source::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).kind) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_source::kind",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).flags) as usize - ptr as usize },
        12usize,
        "Offset of field: rbcore_source::flags",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).fd) as usize - ptr as usize },
        16usize,
        "Offset of field: rbcore_source::fd",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).event_fd) as usize - ptr as usize },
        20usize,
        "Offset of field: rbcore_source::event_fd",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).map_id) as usize - ptr as usize },
        24usize,
        "Offset of field: rbcore_source::map_id",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).loss_fd) as usize - ptr as usize },
        28usize,
        "Offset of field: rbcore_source::loss_fd",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).path) as usize - ptr as usize },
        32usize,
        "Offset of field: rbcore_source::path",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).cookie) as usize - ptr as usize },
        40usize,
        "Offset of field: rbcore_source::cookie",
    );
}
impl Default for rbcore_source {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    /** Fills the first size bytes of *out as RBCORE_SOURCE_INIT does, for callers without macros. size
 is the caller's sizeof(rbcore_source). Any thread.
   -EINVAL  size is below sizeof(size_t) or above 4096.*/
    pub fn rbcore_source_init(
        out: *mut rbcore_source,
        size: usize,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_reader {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct rbcore_reader_options {
    /// of this struct
    pub size: usize,
    /// RBCORE_READER_RELEASE, ...; default 0: given back in order, by commit
    pub flags: u32,
    /// 0: for reading in the order of time, which this version does not do
    pub order_clock: u32,
    /// see rbcore_reader_next; 0: every record wakes an idle reader
    pub max_latency_ns: i64,
}
#[test]
fn bindgen_test_layout_rbcore_reader_options() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_reader_options> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_reader_options>(),
        24usize,
        "Size of rbcore_reader_options",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_reader_options>(),
        8usize,
        "Alignment of rbcore_reader_options",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_reader_options::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).flags) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_reader_options::flags",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).order_clock) as usize - ptr as usize },
        12usize,
        "Offset of field: rbcore_reader_options::order_clock",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).max_latency_ns) as usize - ptr as usize },
        16usize,
        "Offset of field: rbcore_reader_options::max_latency_ns",
    );
}
extern "C" {
    /// Does what RBCORE_READER_OPTIONS_INIT does, as rbcore_source_init. Any thread.
    pub fn rbcore_reader_options_init(
        out: *mut rbcore_reader_options,
        size: usize,
    ) -> ::core::ffi::c_int;
}
/** Describes a record that was handed out. data points into the ring itself (with
 RBCORE_RECORD_COPIED into the reader's copy of it), is aligned to 8 bytes and stays valid and
 unchanged until the record is given back by rbcore_reader_commit or rbcore_reader_release. (In a
 memory ring a hostile producer can still write there, but not into a copy.)*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_record {
    pub data: *const ::core::ffi::c_void,
    /// of its header in the ring: its identity among the ring's records
    pub position: u64,
    /// bytes of data, as the producer reserved them; may be 0
    pub size: u32,
    /// the index that rbcore_reader_add returned
    pub ring: u16,
    /// RBCORE_RECORD_COPIED, ...
    pub flags: u16,
}
#[test]
fn bindgen_test_layout_rbcore_record() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_record> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_record>(),
        24usize,
        "Size of rbcore_record",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_record>(),
        8usize,
        "Alignment of rbcore_record",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).data) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_record::data",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).position) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_record::position",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        16usize,
        "Offset of field: rbcore_record::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).ring) as usize - ptr as usize },
        20usize,
        "Offset of field: rbcore_record::ring",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).flags) as usize - ptr as usize },
        22usize,
        "Offset of field: rbcore_record::flags",
    );
}
impl Default for rbcore_record {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    /** Opens a reader without rings. options is optional. The caller gives it back by
 rbcore_reader_free. A reader has 3 file descriptors, and one for each map, two for each memory
 ring, one for each loss map.
   -EINVAL  options->size is absurd, a flag is unknown, order_clock is not 0, max_latency_ns is
            negative, or 0 with RBCORE_READER_POLL;
   -E2BIG   options are from a newer version and use what this one does not know;
   -ENOMEM, -EMFILE, -ENFILE  no memory or file descriptors;
   -ENOSPC  the user has the most epoll registrations (a reader has 2, and 1 a ring);
   -EPERM, -ENOSYS  a filter (seccomp(2)) refuses a call that a reader needs, perhaps by another
            error: of epoll(7), eventfd(2), timerfd_create(2), timerfd_settime(2) or madvise(2).*/
    pub fn rbcore_reader_open(
        out: *mut *mut rbcore_reader,
        options: *const rbcore_reader_options,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Takes another reference to the reader, to be dropped by rbcore_reader_free. It is for garbage
 collected languages, whose views of a record can outlive the reader's owner. Any thread. Returns
 0.*/
    pub fn rbcore_reader_ref(self_: *mut rbcore_reader) -> ::core::ffi::c_int;
}
extern "C" {
    /** Drops a reference; NULL is allowed. With the last one the reader is closed: records that were
 handed out and not committed stay in the ring for the next reader, and their data becomes
 invalid. With RBCORE_READER_RELEASE a ring of which records are held lives on until the last of
 them is released: the data stays valid, rbcore_reader_release may be called, and the ring stays
 taken (-EBUSY for others). The reader's other rings are free at once. Any thread, but not while
 another uses this reference. A signal handler that uses it has to be gone before.*/
    pub fn rbcore_reader_free(self_: *mut rbcore_reader);
}
extern "C" {
    /** Adds a ring. Its records are read from where the last reader stopped, or with
 RBCORE_SOURCE_LATEST from the first record that is not complete at this moment (what was skipped
 is counted). Returns the ring's index, from 0 to RBCORE_RINGS_MAX - 1, which belongs to the ring
 until it was removed. Indexes are reused as late as possible. rbcore_reader_fd becomes readable,
 because a wait that was armed before does not know this ring. (Beside 16 rings or more it becomes
 readable for a map only when something is in it.)

 The comment of the type rbcore_reader says when a ring is refused because another reader has it,
 and what overwrite mode and taps do. To wait until a ring is free, add it again from time to time
 while that returns -EBUSY (examples/c/tail.c, --wait): nothing tells when it becomes free.

 A ring takes 4 of the mappings that a process may have, and up to 7 if it is read through a copy.
 By default there are 65,530 (vm.max_map_count). -ENOMEM tells as well that there are no more.
   -EINVAL      source->size is absurd, kind or a flag is unknown, or a field that the kind needs
                is missing;
   -E2BIG       source is from a newer version and uses what this one does not know;
   -EBADF       fd, event_fd or loss_fd is not an open file descriptor;
   -ENOENT      path or map_id names nothing;
   -EMEDIUMTYPE the map is not of type BPF_MAP_TYPE_RINGBUF, the loss map is not a loss map of
                rbcore_bpf.h, or with RBCORE_SOURCE_OVERWRITE the ring is not in overwrite mode;
   -EBADFD      fd is no BPF map, or no sealed memfd of a memory ring's size and layout, or
                event_fd is no non-blocking eventfd;
   -EOPNOTSUPP  the ring is in overwrite mode and RBCORE_SOURCE_OVERWRITE is missing, or this is a
                32-bit process and the kernel counts positions in 32 bits, too, or may do so;
   -EACCES, -EPERM  no permission: the fd, or what the mode of path grants, is not both reading
                and writing, or the process lacks a capability;
   -EBUSY       another reader has the ring (rbcore_reader_message says which process);
   -EBADMSG     the ring's positions are impossible;
   -ENOSPC      the reader has RBCORE_RINGS_MAX rings, or the user the most epoll registrations;
   -ESHUTDOWN   after rbcore_reader_shutdown;
   -EFBIG       the reader's copy of the ring is larger than RLIMIT_FSIZE allows;
   -ENOMEM, -EMFILE, -ENFILE, -ENOSYS  no memory or file descriptors;
   other errors as open(2) gives them for path.*/
    pub fn rbcore_reader_add(
        self_: *mut rbcore_reader,
        source: *const rbcore_source,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Removes a ring: no record of it is read any more. What was not read stays in it for the next
 reader. With RBCORE_READER_RELEASE held records stay valid until they were released. Until then
 the ring's index and the ring itself stay taken.
   -EINVAL  no ring of this index;
   -EBUSY   (without RBCORE_READER_RELEASE) records of the ring are handed out and not committed.*/
    pub fn rbcore_reader_remove(
        self_: *mut rbcore_reader,
        ring: ::core::ffi::c_uint,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Returns the lowest index above ring that has a ring, so that all can be visited: ring is -1 for
 the first, and then the last answer. Removed rings are passed over. Any thread.
   -ENOENT  there is none;
   -EINVAL  ring is below -1.*/
    pub fn rbcore_reader_ring_after(
        self_: *mut rbcore_reader,
        ring: ::core::ffi::c_int,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Reads up to max records without waiting, and returns how many. Records of one ring come in its
 order. Rings are served in turn: in one call each ring has at most one turn, of at most as many
 records as are still free in the array. The next call goes on with the ring after the one served
 last. So no ring has a second turn before every other ring with data had one. Discarded records
 are skipped; a call passes at most 65536 of them.

 One call takes at most a quarter of a ring's size from it, headers included, but always one
 record, so that large records can be committed while others are written. Call again until it
 returns 0: fewer records than max do not mean that there are no more.

 The array should fit the processor's first-level cache: 128 to 512 records are fastest to fill.

 A read that finds records makes no system call. (If there are several rings, and the head of a
 memory ring stays unfinished, one read in 1024 asks whether its producer died.) A read that finds
 none makes 1 or 2 system calls: it empties rbcore_reader_fd, arms the next wakeup and looks
 again. It makes one more for each ring that became busy or idle, and a few more if the head of a
 memory ring is unfinished: they ask whether its producer lives.

 With more than 16 rings the kernel tells which of those that were idle have records. To ask it, a
 read that finds records makes a system call, too: one each 50 microseconds, or each 64 reads if
 that is sooner. A ring that has some takes the last place then: from now on no other has a second
 turn before it had one. A record of an idle ring for which nobody wakes (BPF_RB_NO_WAKEUP) is
 found by the second read in a row that finds nothing else, not even discarded records, or by one
 that comes 100 milliseconds later.
   0           all rings are empty, or the record at the head is still being written; the next
               wakeup is armed;
   -EAGAIN     no record found yet, but the bound on discarded records was reached, or records
               that dead producers left unfinished were skipped: call again;
   -ENODATA    once, when all that was there at rbcore_reader_flush has been delivered;
   -ECANCELED  once, after rbcore_reader_interrupt;
   -ESHUTDOWN  after rbcore_reader_shutdown;
   -EBADMSG    a ring's content is impossible, and no other ring has records. It stays so until
               the ring is removed; rbcore_reader_message tells which;
   -ENOBUFS    with several rings and without RBCORE_READER_RELEASE: the records not committed
               come from more than 1024 turns a ring (16 for each ring beyond 64): commit first;
   -EINVAL     records is NULL or max is 0.*/
    pub fn rbcore_reader_read(
        self_: *mut rbcore_reader,
        records: *mut rbcore_record,
        max: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Reads like rbcore_reader_read, but arms nothing. A look that finds no record makes no system call
 (except the one of memory rings) and leaves rbcore_reader_fd as it is. With more than 16 rings it
 looks at those that were idle when it finds nothing else, and otherwise so often that this takes
 a twentieth of the time at most. It is for loops that do not wait, or that wait by
 rbcore_reader_next, and want what has come meanwhile. Returns and errors are those of
 rbcore_reader_read; after 0 no wakeup is promised.*/
    pub fn rbcore_reader_look(
        self_: *mut rbcore_reader,
        records: *mut rbcore_record,
        max: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Waits until records are due, at most timeout_ns nanoseconds (0: not at all; RBCORE_FOREVER), then
 reads like rbcore_reader_read.

 While the rings are idle or slow a record is due at once: it wakes the reader. They are busy if
 all of them together had 4 records or more within max_latency_ns. Then the records of those that
 had some are due together: when the oldest has waited for max_latency_ns at most, or earlier if
 max records or a quarter of one of the rings are there when the reader looks. Meanwhile none of
 their producers pays for a wakeup. A ring that is slow beside them still wakes the reader at
 once, unless such rings together bring 2 records or more within that time. (That time is the
 shortest that suits one of the busy rings, before it would fill up. A max_latency_ns below 50
 microseconds is as 0.) A look by the timer costs as much processor time as 2 or 3 wakeups: bench/
 has the measurements. The rings are slow again after such a time with less than 2 records. If
 more than two were busy, it takes several such times in a row, at most two for every five rings:
 each ring would pay for a wakeup first.

 A ring that would fill up within 50 microseconds (below 64 KiB, or larger ones with large
 records) is looked at without sleeping, once it was found half full, until nothing came for that
 long. This is not done if its records are larger than 1/64 of it.

 Both hold while all records that were handed out have been given back. As long as some have not,
 the kernel wakes nobody. Then the reader looks by the timer, first after 50 microseconds, with
 delays that double up to 10 milliseconds. A reader of memory rings also looks every 100
 milliseconds, for records that a killed producer left unfinished, and so does a reader of taps.
 The wait is a cancellation point (pthread_cancel).
   0           the time is up and nothing is due; the next wakeup is armed;
   -EINTR      a signal was caught, or the process was stopped and continued; nothing was lost,
               call again;
   -EAGAIN     the time is up, and the bound on discarded records was reached or records that dead
               producers left unfinished were skipped: call again;
   -EINVAL     max is 0, or timeout_ns is negative and not RBCORE_FOREVER;
   -ENODATA, -ECANCELED, -ESHUTDOWN, -EBADMSG, -ENOBUFS  as rbcore_reader_read, at once.*/
    pub fn rbcore_reader_next(
        self_: *mut rbcore_reader,
        records: *mut rbcore_record,
        max: usize,
        timeout_ns: i64,
    ) -> ::core::ffi::c_int;
}
/** Describes a run of records of one ring that have the same size and follow each other without a
 gap. The data of record i begins at data + i * stride, and its position is position + i * stride.
 So the bytes of the run are (count - 1) * stride + size; those between two records are no data.*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_span {
    /// of the first record; otherwise as in rbcore_record
    pub data: *const ::core::ffi::c_void,
    /// of its header
    pub position: u64,
    /// bytes from one record to the next: a multiple of 8, more than size
    pub stride: u32,
    /// bytes of data in each record
    pub size: u32,
    /// of records; at least 1
    pub count: u32,
    /// as in rbcore_record
    pub ring: u16,
    /// as in rbcore_record
    pub flags: u16,
}
#[test]
fn bindgen_test_layout_rbcore_span() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_span> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(::core::mem::size_of::<rbcore_span>(), 32usize, "Size of rbcore_span");
    assert_eq!(
        ::core::mem::align_of::<rbcore_span>(),
        8usize,
        "Alignment of rbcore_span",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).data) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_span::data",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).position) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_span::position",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).stride) as usize - ptr as usize },
        16usize,
        "Offset of field: rbcore_span::stride",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        20usize,
        "Offset of field: rbcore_span::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).count) as usize - ptr as usize },
        24usize,
        "Offset of field: rbcore_span::count",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).ring) as usize - ptr as usize },
        28usize,
        "Offset of field: rbcore_span::ring",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).flags) as usize - ptr as usize },
        30usize,
        "Offset of field: rbcore_span::flags",
    );
}
impl Default for rbcore_span {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
extern "C" {
    /** Reads like rbcore_reader_next, but returns runs of records: up to max_spans of them, with up to
 max_records records. Returns the number of spans. For records of one size it is the cheapest way
 to read, because nothing is written for the single record. For records of many sizes it is not.

 Spans are given back like records. To commit up to and with record i of a span, pass to
 rbcore_reader_commit a record made of its data and position (both as above), size and ring.
   -EINVAL  also if max_records is 0, or the reader was opened with RBCORE_READER_RELEASE;
   otherwise the results of rbcore_reader_next.*/
    pub fn rbcore_reader_next_spans(
        self_: *mut rbcore_reader,
        spans: *mut rbcore_span,
        max_spans: usize,
        max_records: usize,
        timeout_ns: i64,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Gives back records in the order in which they were handed out: all up to and including *last,
 also those of other rings, or with last == NULL all. Their data becomes invalid, and their space
 is free for producers. Only this call and rbcore_reader_release give records back. (Discarded
 records that follow one that was given back go with it.) Works after rbcore_reader_shutdown.
 Returns 0, also if there was nothing to commit.
   -EINVAL  the reader was opened with RBCORE_READER_RELEASE; *last is not a record that is handed
            out and not committed (then nothing was committed); a flag is unknown. A *last that
            was made up, not handed out, may pass for one; and one of a memory ring whose header a
            hostile producer changed meanwhile does not (last == NULL always works).

 While a ring is paced (see rbcore_reader_next) the space of the last small record becomes free
 later: with the next call that finds another record, or finds that the ring is no longer paced.
 It becomes free at once with RBCORE_COMMIT_NOW. The record is committed in either case.*/
    pub fn rbcore_reader_commit(
        self_: *mut rbcore_reader,
        last: *const rbcore_record,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Gives back count single records, in any order. A ring's space becomes free up to the first record
 that is not given back. Any thread, several at once. Returns 0. (Do not release a record twice at
 the same time, nor while the last records of a removed ring or freed reader are released: that
 may go unnoticed, or touch what is freed.)
   -EINVAL  the reader was not opened with RBCORE_READER_RELEASE; or some of the records are not
            held: released before, or not from this reader. The others were released.*/
    pub fn rbcore_reader_release(
        self_: *mut rbcore_reader,
        records: *const rbcore_record,
        count: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Returns a file descriptor for poll(2), epoll(7) and event loops. When it is readable, call
 rbcore_reader_next with timeout_ns 0 (or rbcore_reader_read) until it returns 0; only then wait
 for it again. The first wait needs no call before it. (An error arms nothing: -ECANCELED,
 -ENODATA and -EAGAIN are answered once; go on calling.) It belongs to the reader: never read from
 it or close it. Any thread.*/
    pub fn rbcore_reader_fd(self_: *const rbcore_reader) -> ::core::ffi::c_int;
}
extern "C" {
    /** Makes the read or next that is running return -ECANCELED, or else the next one. That happens
 once, however often this was called. Any thread, and async-signal-safe. Returns 0.*/
    pub fn rbcore_reader_interrupt(self_: *mut rbcore_reader) -> ::core::ffi::c_int;
}
extern "C" {
    /** Delivers what is there even if no wakeup came for it (BPF_RB_NO_WAKEUP). It makes read and next
 look at all rings. They return -ENODATA, once, when everything was delivered that had been
 produced when they noticed the flush and that can be read. Records behind one that is still being
 written cannot, nor can records for which a copy has no room while others are held. What dead
 producers left unfinished is skipped; as in a read that finds nothing, the reader asks whether
 they live. Any thread, and async-signal-safe. Returns 0.*/
    pub fn rbcore_reader_flush(self_: *mut rbcore_reader) -> ::core::ffi::c_int;
}
extern "C" {
    /** Ends reading: from now on read, next and add return -ESHUTDOWN, a wait that is running included.
 Records can still be given back. Any thread, and async-signal-safe. Returns 0.*/
    pub fn rbcore_reader_shutdown(self_: *mut rbcore_reader) -> ::core::ffi::c_int;
}
extern "C" {
    /** Returns the cause of the last error of rbcore_reader_add, _remove, _read, _look, _next,
 _next_spans, _commit, _snapshot or _snapshot_header, in more words than rbcore_strerror has: "map
 12 is of type 1, not BPF_MAP_TYPE_RINGBUF". The result is never NULL; it is empty if there was no
 error. It is valid until the next call on this handle.*/
    pub fn rbcore_reader_message(
        self_: *const rbcore_reader,
    ) -> *const ::core::ffi::c_char;
}
/// Counts what a reader did since it was opened, over all its rings, removed ones included.
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct rbcore_reader_stats {
    /// of this struct
    pub size: usize,
    /// records handed out
    pub records: u64,
    /// bytes of their data
    pub bytes: u64,
    /// records skipped because their producer discarded them
    pub discards: u64,
    /// calls of read and next that returned records
    pub batches: u64,
    /// advances of a ring's consumer position
    pub commits: u64,
    /// waits of next that an event ended, and events emptied by read
    pub wakeups: u64,
    /// rings that it has now
    pub rings: u64,
}
#[test]
fn bindgen_test_layout_rbcore_reader_stats() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_reader_stats> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_reader_stats>(),
        64usize,
        "Size of rbcore_reader_stats",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_reader_stats>(),
        8usize,
        "Alignment of rbcore_reader_stats",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_reader_stats::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).records) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_reader_stats::records",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).bytes) as usize - ptr as usize },
        16usize,
        "Offset of field: rbcore_reader_stats::bytes",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).discards) as usize - ptr as usize },
        24usize,
        "Offset of field: rbcore_reader_stats::discards",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).batches) as usize - ptr as usize },
        32usize,
        "Offset of field: rbcore_reader_stats::batches",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).commits) as usize - ptr as usize },
        40usize,
        "Offset of field: rbcore_reader_stats::commits",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).wakeups) as usize - ptr as usize },
        48usize,
        "Offset of field: rbcore_reader_stats::wakeups",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).rings) as usize - ptr as usize },
        56usize,
        "Offset of field: rbcore_reader_stats::rings",
    );
}
extern "C" {
    /// Does what RBCORE_READER_STATS_INIT does, as rbcore_source_init. Any thread.
    pub fn rbcore_reader_stats_init(
        out: *mut rbcore_reader_stats,
        size: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Fills *out, as far as out->size goes. Any thread; each figure is exact as of some moment during
 the call. Returns 0.
   -EINVAL  out->size is absurd.*/
    pub fn rbcore_reader_stats_get(
        self_: *mut rbcore_reader,
        out: *mut rbcore_reader_stats,
    ) -> ::core::ffi::c_int;
}
/// Describes one ring. Counts begin when the ring was added, unless a field says otherwise.
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct rbcore_ring_stats {
    /// of this struct
    pub size: usize,
    /// the cookie of its source
    pub cookie: u64,
    /// RBCORE_RING_BROKEN, ...
    pub flags: u64,
    /// BPF map id; RBCORE_UNKNOWN for a memory ring
    pub map_id: u64,
    /// bytes of its data area
    pub ring_size: u64,
    /// bytes not handed out, with headers and unfinished records
    pub bytes_waiting: u64,
    /// the most bytes not given back that a read ever found
    pub high_water: u64,
    /// records handed out
    pub records: u64,
    /// bytes of their data
    pub bytes: u64,
    /// records skipped because their producer discarded them
    pub discards: u64,
    /** records skipped because their producer died before it submitted them;
only in a memory ring*/
    pub abandoned: u64,
    /// records skipped by RBCORE_SOURCE_LATEST
    pub skipped: u64,
    /** records refused because the ring was full, since it was created: from
the loss map, or counted by a memory ring's producers;
RBCORE_UNKNOWN without a loss map*/
    pub lost: u64,
    /// end of the last record reserved
    pub producer_pos: u64,
    /// up to here records were handed out or skipped
    pub read_pos: u64,
    /// up to here they were given back
    pub user_pos: u64,
    /// up to here the kernel knows that they were; with a tap the ring's
    pub consumer_pos: u64,
    /// where reading began
    pub start_pos: u64,
    /** bytes, with headers, of records that were not handed out: discarded,
abandoned, skipped, or consumed by a snapshot*/
    pub passed_bytes: u64,
    /** bytes, with headers, that were overwritten before they were read
(overwrite mode), or freed by the consumer and reused (tap);
start_pos, the records handed out with their headers, passed_bytes
and lost_bytes add up to read_pos*/
    pub lost_bytes: u64,
    /// the index that rbcore_reader_add returned for its source
    pub first_ring: u64,
    /** the process that has the ring by this library: of a tap, the ring's
reader; 0: none that lives; RBCORE_UNKNOWN: one of another pid
namespace*/
    pub reader_pid: u64,
}
#[test]
fn bindgen_test_layout_rbcore_ring_stats() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_ring_stats> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_ring_stats>(),
        176usize,
        "Size of rbcore_ring_stats",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_ring_stats>(),
        8usize,
        "Alignment of rbcore_ring_stats",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_ring_stats::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).cookie) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_ring_stats::cookie",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).flags) as usize - ptr as usize },
        16usize,
        "Offset of field: rbcore_ring_stats::flags",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).map_id) as usize - ptr as usize },
        24usize,
        "Offset of field: rbcore_ring_stats::map_id",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).ring_size) as usize - ptr as usize },
        32usize,
        "Offset of field: rbcore_ring_stats::ring_size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).bytes_waiting) as usize - ptr as usize },
        40usize,
        "Offset of field: rbcore_ring_stats::bytes_waiting",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).high_water) as usize - ptr as usize },
        48usize,
        "Offset of field: rbcore_ring_stats::high_water",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).records) as usize - ptr as usize },
        56usize,
        "Offset of field: rbcore_ring_stats::records",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).bytes) as usize - ptr as usize },
        64usize,
        "Offset of field: rbcore_ring_stats::bytes",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).discards) as usize - ptr as usize },
        72usize,
        "Offset of field: rbcore_ring_stats::discards",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).abandoned) as usize - ptr as usize },
        80usize,
        "Offset of field: rbcore_ring_stats::abandoned",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).skipped) as usize - ptr as usize },
        88usize,
        "Offset of field: rbcore_ring_stats::skipped",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).lost) as usize - ptr as usize },
        96usize,
        "Offset of field: rbcore_ring_stats::lost",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).producer_pos) as usize - ptr as usize },
        104usize,
        "Offset of field: rbcore_ring_stats::producer_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).read_pos) as usize - ptr as usize },
        112usize,
        "Offset of field: rbcore_ring_stats::read_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).user_pos) as usize - ptr as usize },
        120usize,
        "Offset of field: rbcore_ring_stats::user_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).consumer_pos) as usize - ptr as usize },
        128usize,
        "Offset of field: rbcore_ring_stats::consumer_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).start_pos) as usize - ptr as usize },
        136usize,
        "Offset of field: rbcore_ring_stats::start_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).passed_bytes) as usize - ptr as usize },
        144usize,
        "Offset of field: rbcore_ring_stats::passed_bytes",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).lost_bytes) as usize - ptr as usize },
        152usize,
        "Offset of field: rbcore_ring_stats::lost_bytes",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).first_ring) as usize - ptr as usize },
        160usize,
        "Offset of field: rbcore_ring_stats::first_ring",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).reader_pid) as usize - ptr as usize },
        168usize,
        "Offset of field: rbcore_ring_stats::reader_pid",
    );
}
extern "C" {
    /// Does what RBCORE_RING_STATS_INIT does, as rbcore_source_init. Any thread.
    pub fn rbcore_ring_stats_init(
        out: *mut rbcore_ring_stats,
        size: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Fills *out for one ring, as far as out->size goes. Any thread; each figure is exact as of some
 moment during the call. Returns 0.
   -EINVAL  no ring of this index (one that was removed is there until the records held of it were
            released), or out->size is absurd.*/
    pub fn rbcore_reader_ring_stats(
        self_: *mut rbcore_reader,
        ring: ::core::ffi::c_uint,
        out: *mut rbcore_ring_stats,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Looks at the ring that a source names, without a reader: nothing is claimed, changed or copied,
 and the ring's reader is not disturbed. Fills *out, as far as out->size goes: map_id, cookie,
 ring_size, producer_pos, consumer_pos, bytes_waiting (here: bytes not given back), lost and
 reader_pid. flags is 0, all else RBCORE_UNKNOWN. The source's flags are not looked at, nor is a
 memory ring's event_fd, which must be given. Any thread. Returns 0.
   -EINVAL  source->size or out->size is absurd, kind is unknown, or a field that the kind needs
            is missing;
   -E2BIG   source is from a newer version and uses what this one does not know;
   -EBADF   fd or loss_fd is not an open file descriptor;
   -EBADFD  fd or loss_fd is no BPF map, or fd no sealed memfd of a memory ring's size and layout;
   -ENOENT  path or map_id names nothing;
   -EMEDIUMTYPE  the map is not of type BPF_MAP_TYPE_RINGBUF, or the loss map is not a loss map of
            rbcore_bpf.h;
   -EOPNOTSUPP  this is a 32-bit process and the kernel counts positions in 32 bits, too, or may
            do so;
   -EACCES, -EPERM  no permission: the fd, or what the mode of path grants, is not both reading
            and writing, or the process lacks a capability;
   -ENOMEM, -EMFILE, -ENFILE, -ENOSYS  no memory or file descriptors;
   other errors as open(2) gives them for path.*/
    pub fn rbcore_source_ring_stats(
        source: *const rbcore_source,
        out: *mut rbcore_ring_stats,
    ) -> ::core::ffi::c_int;
}
/** Names a record among all records of all machines: by the boot during which it was produced, the
 ring, and its position in the ring. It is the same whichever process reads the record.*/
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct rbcore_identity {
    /// of this struct
    pub size: usize,
    /// /proc/sys/kernel/random/boot_id; all zero where that cannot be read
    pub boot_id: [u8; 16usize],
    /// RBCORE_SOURCE_MAP_ID or RBCORE_SOURCE_MEMORY_RING: what ring_id is of
    pub kind: u64,
    /// the BPF map's id, or the memory ring's inode number
    pub ring_id: u64,
    /// of the record's header
    pub position: u64,
}
#[test]
fn bindgen_test_layout_rbcore_identity() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_identity> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_identity>(),
        48usize,
        "Size of rbcore_identity",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_identity>(),
        8usize,
        "Alignment of rbcore_identity",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_identity::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).boot_id) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_identity::boot_id",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).kind) as usize - ptr as usize },
        24usize,
        "Offset of field: rbcore_identity::kind",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).ring_id) as usize - ptr as usize },
        32usize,
        "Offset of field: rbcore_identity::ring_id",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).position) as usize - ptr as usize },
        40usize,
        "Offset of field: rbcore_identity::position",
    );
}
extern "C" {
    /// Does what RBCORE_IDENTITY_INIT does, as rbcore_source_init. Any thread.
    pub fn rbcore_identity_init(
        out: *mut rbcore_identity,
        size: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Fills *out with the identity of a record that this reader handed out. Any thread. Returns 0.
   -EINVAL  no ring of the record's index, or out->size is absurd.*/
    pub fn rbcore_reader_identity(
        self_: *mut rbcore_reader,
        record: *const rbcore_record,
        out: *mut rbcore_identity,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_snapshot {
    _unused: [u8; 0],
}
extern "C" {
    /** Copies all complete records that a ring holds, as of one moment, while producers go on. In
 overwrite mode these are all that are not overwritten, otherwise all that are not given back
 (those handed out included; with a tap: not given back by the ring's reader). Neither the ring
 nor the reader's position changes, unless flags say RBCORE_SNAPSHOT_CONSUME: a later read still
 returns the same records. A record that is being written is not in it, nor are the records behind
 it. Only the thread that reads may call this.

 If *snapshot is NULL it becomes a new one, which the caller gives back by rbcore_snapshot_free.
 Otherwise that snapshot is taken again, into the same memory if that suffices, and records read
 from it before become invalid. A snapshot needs as much memory as the ring has. It lives on
 without the ring and the reader. Returns 0.
   -EINVAL  no ring of this index (one that was removed is none, though records of it are held),
            or a flag is unknown;
   -EBUSY   RBCORE_SNAPSHOT_CONSUME, and records of the ring are handed out and not given back, or
            the release of one has not returned yet;
   -EAGAIN  producers overwrote the ring faster than it was copied, in 16 attempts;
   -EBADMSG the ring's content is impossible;
   -ENOMEM  no memory.
 After an error a snapshot that was given is empty or as it was, and one that was not is not made.*/
    pub fn rbcore_reader_snapshot(
        self_: *mut rbcore_reader,
        ring: ::core::ffi::c_uint,
        snapshot: *mut *mut rbcore_snapshot,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Reads the next records of a snapshot, at most max, oldest first, and returns how many. Their data
 stays valid until the snapshot is taken anew or freed; nothing is to be given back.
   0        all were read;
   -EBADMSG what follows is impossible: a hostile producer wrote it;
   -EINVAL  records is NULL or max is 0.*/
    pub fn rbcore_snapshot_read(
        self_: *mut rbcore_snapshot,
        records: *mut rbcore_record,
        max: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /// Makes rbcore_snapshot_read begin with the oldest record again. Returns 0.
    pub fn rbcore_snapshot_rewind(self_: *mut rbcore_snapshot) -> ::core::ffi::c_int;
}
/// Says which ring a snapshot was taken of, what it holds, and when it was taken.
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct rbcore_snapshot_info {
    /// of this struct
    pub size: usize,
    /// boot_id, kind and ring_id are as in rbcore_identity
    pub boot_id: [u8; 16usize],
    /// RBCORE_SOURCE_MAP_ID or RBCORE_SOURCE_MEMORY_RING
    pub kind: u64,
    /// the BPF map's id, or the memory ring's inode number
    pub ring_id: u64,
    /// bytes of the ring's data area
    pub ring_size: u64,
    /// position of the oldest record in it
    pub first_pos: u64,
    /// end of the newest; with headers, it has end_pos - first_pos bytes
    pub end_pos: u64,
    /// end of the last record reserved, complete or not
    pub producer_pos: u64,
    /// bytes overwritten during the call, before they were copied
    pub missed: u64,
    /// when it was taken, by CLOCK_REALTIME
    pub realtime_ns: u64,
    /// when it was taken, by CLOCK_BOOTTIME
    pub boottime_ns: u64,
}
#[test]
fn bindgen_test_layout_rbcore_snapshot_info() {
    const UNINIT: ::core::mem::MaybeUninit<rbcore_snapshot_info> = ::core::mem::MaybeUninit::uninit();
    let ptr = UNINIT.as_ptr();
    assert_eq!(
        ::core::mem::size_of::<rbcore_snapshot_info>(),
        96usize,
        "Size of rbcore_snapshot_info",
    );
    assert_eq!(
        ::core::mem::align_of::<rbcore_snapshot_info>(),
        8usize,
        "Alignment of rbcore_snapshot_info",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).size) as usize - ptr as usize },
        0usize,
        "Offset of field: rbcore_snapshot_info::size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).boot_id) as usize - ptr as usize },
        8usize,
        "Offset of field: rbcore_snapshot_info::boot_id",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).kind) as usize - ptr as usize },
        24usize,
        "Offset of field: rbcore_snapshot_info::kind",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).ring_id) as usize - ptr as usize },
        32usize,
        "Offset of field: rbcore_snapshot_info::ring_id",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).ring_size) as usize - ptr as usize },
        40usize,
        "Offset of field: rbcore_snapshot_info::ring_size",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).first_pos) as usize - ptr as usize },
        48usize,
        "Offset of field: rbcore_snapshot_info::first_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).end_pos) as usize - ptr as usize },
        56usize,
        "Offset of field: rbcore_snapshot_info::end_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).producer_pos) as usize - ptr as usize },
        64usize,
        "Offset of field: rbcore_snapshot_info::producer_pos",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).missed) as usize - ptr as usize },
        72usize,
        "Offset of field: rbcore_snapshot_info::missed",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).realtime_ns) as usize - ptr as usize },
        80usize,
        "Offset of field: rbcore_snapshot_info::realtime_ns",
    );
    assert_eq!(
        unsafe { ::core::ptr::addr_of!((*ptr).boottime_ns) as usize - ptr as usize },
        88usize,
        "Offset of field: rbcore_snapshot_info::boottime_ns",
    );
}
extern "C" {
    /// Does what RBCORE_SNAPSHOT_INFO_INIT does, as rbcore_source_init. Any thread.
    pub fn rbcore_snapshot_info_init(
        out: *mut rbcore_snapshot_info,
        size: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Fills *out, as far as out->size goes. Returns 0.
   -EINVAL  out->size is absurd.*/
    pub fn rbcore_snapshot_info_get(
        self_: *const rbcore_snapshot,
        out: *mut rbcore_snapshot_info,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Writes a snapshot to a file, pipe or socket, at its current position, in the format of rbcore's
 snapshot-format.md (installed as documentation). It writes all of it, however little one write(2)
 takes, and waits if fd is non-blocking and full. Neither signals nor a cancellation end it. It
 does not sync the file. Returns 0.
   -ENODATA the snapshot is empty, because taking it failed for want of memory;
   -ENOMEM  no memory for a wait;
   -EBADF, -ENOSPC, -EDQUOT, -EFBIG, -EIO, -EPIPE (after a SIGPIPE) and others as write(2) gives
            them: what was written so far is no snapshot.*/
    pub fn rbcore_snapshot_save(
        self_: *const rbcore_snapshot,
        fd: ::core::ffi::c_int,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Reads a snapshot that rbcore_snapshot_save wrote, from any machine, and sets *out, which the
 caller gives back by rbcore_snapshot_free. It reads not a byte more, so several snapshots may
 follow each other in a file. Other blocks before it, as snapshot-format.md describes them, are
 passed over. It waits if fd is non-blocking and empty. Neither signals nor a cancellation end it.
 It takes no more memory than twice what it has read, whatever the file says of its size. The ring
 of its records is 0. Returns 0.
   -ENODATA the file is at its end, and has no more snapshots;
   -EBADMSG it is no snapshot, is cut off, or damaged: a checksum is wrong, or a size impossible;
   -E2BIG   it was written by a later version, in a form that this one does not know;
   -EOPNOTSUPP it was written on a machine of the other byte order;
   -ENOMEM  no memory;
   -EBADF, -EISDIR, -EIO and others as read(2) gives them.
 After an error *out is as before, and the position of fd is not known.*/
    pub fn rbcore_snapshot_load(
        out: *mut *mut rbcore_snapshot,
        fd: ::core::ffi::c_int,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Describes the records from *first to *last as a snapshot, without copying them: fills header
 (RBCORE_SNAPSHOT_HEADER_SIZE bytes) and sets *content to their memory. Header and content,
 written one after the other, are a file as rbcore_snapshot_save writes it, and
 rbcore_snapshot_load reads them. Both records are of one ring, were handed out, and are not given
 back; they may be the same. A record of a span is made as for rbcore_reader_commit. What lies
 between them belongs to the content: all other records (also those that were released), and
 discarded ones, which rbcore_snapshot_read skips.

 The content is one piece, also where it crosses the ring's end. It stays valid until *first is
 given back, so the ring may have been removed. All of it is read once, for the checksum. The
 header tells the time of this call and what had been produced by then. It does not tell that
 records before *first were lost (RBCORE_RECORD_LOST_BEFORE). Only the thread that reads may call
 this. No system call is made but by the first call, which reads the boot's id. Returns 0.
   -EINVAL  *first or *last is not such a record, as far as rbcore_reader_commit and
            rbcore_reader_release can tell; they are of two rings; or *last comes before *first;
   -EBADMSG between them is a record that a dead producer left unfinished (a copy of the ring may
            have it as a discarded one), or one that no producer writes. Both can still be
            described one by one.
 After an error header and *content are as before.*/
    pub fn rbcore_reader_snapshot_header(
        self_: *mut rbcore_reader,
        first: *const rbcore_record,
        last: *const rbcore_record,
        header: *mut ::core::ffi::c_void,
        content: *mut rbcore_slice,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /// Frees a snapshot; NULL is allowed. Its records become invalid.
    pub fn rbcore_snapshot_free(self_: *mut rbcore_snapshot);
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct rbcore_producer {
    _unused: [u8; 0],
}
extern "C" {
    /** Opens a producer for a memory ring (RBCORE_SOURCE_MEMORY_RING; no flags), or for a user ring: a
 map of type BPF_MAP_TYPE_USER_RINGBUF, which BPF programs drain with bpf_user_ringbuf_drain().
 cookie and loss_fd are not looked at. The caller gives it back by rbcore_producer_free. All
 functions of a producer but rbcore_producer_free may be called by any thread, several at once.

 A user ring has one producer at a time, which several threads may share. A second one of this
 library, in this process or another, is refused, as a second reader of a ring is. (Producers of
 other libraries cannot be detected. Two producers write over each other's records.)
 RBCORE_SOURCE_INSIST opens the ring all the same. Use it only if the other producer is known to
 be dead or hung. What that producer, or one that died, left unfinished is discarded: the kernel
 would wait for it for ever.
   -EINVAL, -E2BIG, -EBADF, -EBADFD, -ENOMEM, -EMFILE, -ENFILE  as rbcore_reader_add;
   -ENOENT      path or map_id names nothing; memory ring: /proc is not mounted;
   -EMEDIUMTYPE the map is not of type BPF_MAP_TYPE_USER_RINGBUF;
   -EOPNOTSUPP  user ring: this is a 32-bit process, as rbcore_reader_add;
   -EBUSY       another producer has the user ring;
   -EBADMSG     the ring's positions are impossible;
   -EACCES, -EPERM  no permission: the fd, or what the mode of path grants, is not both reading
                and writing, or the process lacks a capability (as rbcore_reader_add);
   -EUSERS      the memory ring has RBCORE_PRODUCERS_MAX producers;
   other errors as open(2) gives them for path.*/
    pub fn rbcore_producer_open(
        out: *mut *mut rbcore_producer,
        source: *const rbcore_source,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Closes the producer; NULL is allowed. Records that are reserved and neither submitted nor
 discarded are abandoned: the reader skips and counts them, in a user ring they are discarded.*/
    pub fn rbcore_producer_free(self_: *mut rbcore_producer);
}
extern "C" {
    /** Reserves a record of size bytes and sets *data to where its content goes (aligned to 8 bytes, in
 the ring itself, not cleared). Until it is submitted or discarded, the reader stops before it.
 This call never waits for the reader, nor do submit, discard and output.
 (rbcore_memory_ring_create says what a hostile peer can do about that.) Producers wait for each
 other for the length of a reserve. If a producer died in the middle of its own reserve, that wait
 takes a millisecond. (It has no end if the producer died in another pid namespace while a child
 that it forked lives.) Returns 0.
   -EAGAIN   the ring is full: the record is lost, and counted as such in a memory ring. (In
             overwrite mode: the record whose turn it is to be overwritten is still being written,
             as in the kernel. One that a dead producer left so is discarded.)
   -EMSGSIZE the record can never fit: size is more than the ring's size - 16 (the kernel never
             fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring:
             more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program
             can be given (a larger one would stop the ring for good);
   -EBADMSG  the ring's positions are impossible, or in overwrite mode its oldest records.*/
    pub fn rbcore_producer_reserve(
        self_: *mut rbcore_producer,
        data: *mut *mut ::core::ffi::c_void,
        size: usize,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Reserves like rbcore_producer_reserve, but waits for room if the ring is full, at most timeout_ns
 nanoseconds (0: not at all; RBCORE_FOREVER). Several threads may wait at once. Which of them gets
 the room is not defined, so a large record may wait long while others reserve small ones.

 In a user ring each drain wakes the waiting thread. If it freed less than is needed, the wait
 goes on. If the BPF program drains with BPF_RB_NO_WAKEUP, nothing tells the thread, and it looks
 at the ring every 10 milliseconds. Readers of a memory ring wake no producer: the thread looks
 after 50 microseconds, with delays that double up to a millisecond. The wait is a cancellation
 point (pthread_cancel). Returns 0.
   -EAGAIN   the time is up and the ring still full. The record is still the caller's, and not
             counted as lost. (With timeout_ns 0 as rbcore_producer_reserve.)
   -EINTR    a signal was caught while it slept; nothing was reserved, call again. (A signal that
             comes between two looks at the ring is not noticed: if you need that, wait in parts);
   -EINVAL   timeout_ns is negative and not RBCORE_FOREVER;
   -ENOMEM, -EMFILE, -ENFILE, -ENOSPC  user ring: it is full, and no memory or file descriptor for
             the wait (one for each thread that waits), or the user has the most epoll
             registrations;
   -EMSGSIZE, -EBADMSG  as rbcore_producer_reserve.*/
    pub fn rbcore_producer_reserve_wait(
        self_: *mut rbcore_producer,
        data: *mut *mut ::core::ffi::c_void,
        size: usize,
        timeout_ns: i64,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Hands a reserved record to the reader. As in the kernel, the reader is woken if it had given back
 all records before this one; flags change that. data is what reserve set. Returns 0.
   -EINVAL  data is not a record that this producer has reserved, or a flag is unknown.*/
    pub fn rbcore_producer_submit(
        self_: *mut rbcore_producer,
        data: *mut ::core::ffi::c_void,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /// Gives up a reserved record: the reader skips it. Otherwise it is like rbcore_producer_submit.
    pub fn rbcore_producer_discard(
        self_: *mut rbcore_producer,
        data: *mut ::core::ffi::c_void,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Reserves, copies size bytes from data (optional if size is 0) and submits. Returns 0.
   -EAGAIN, -EMSGSIZE, -EBADMSG  as rbcore_producer_reserve (-EBADMSG: or a hostile peer wrote
            over the record's header meanwhile);
   -EINVAL  a flag is unknown, or data is NULL and size is not 0.*/
    pub fn rbcore_producer_output(
        self_: *mut rbcore_producer,
        data: *const ::core::ffi::c_void,
        size: usize,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
extern "C" {
    /** Writes count records in a row, slices[0] first. No record of another thread comes between them,
 and the reader gets all at once and is woken at most once. That costs less than as many outputs.
 While the records are copied the reader stops before the first, and other producers go on behind
 the last. If the producer dies meanwhile all are abandoned, as one. Returns how many were
 written, from the first on. That is fewer than count (at most INT_MAX) if the next one did not
 fit or is at fault; writing the rest tells which. None of the others is lost or counted as lost:
 they are still the caller's.
   -EAGAIN   none was written: the ring is full;
   -EMSGSIZE, -EBADMSG  none was written: as rbcore_producer_reserve, for the first;
   -EINVAL   a flag is unknown; or none was written: slices[0].data is NULL and its size is not 0.*/
    pub fn rbcore_producer_output_batch(
        self_: *mut rbcore_producer,
        slices: *const rbcore_slice,
        count: usize,
        flags: u32,
    ) -> ::core::ffi::c_int;
}
