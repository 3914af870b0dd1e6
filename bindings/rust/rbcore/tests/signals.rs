// SPDX-License-Identifier: MIT
//! Waits go on after a signal that was handled, and after the process was stopped and continued.
//! The interruptible variants report both.

use std::os::unix::thread::JoinHandleExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rbcore::{Error, MemoryRing, Producer, Reader, Source};

const MOMENT: Duration = Duration::from_millis(50);
/// This only makes a test end that fails.
const LONG: Option<Duration> = Some(Duration::from_secs(10));

/// A signal is for all threads of the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn ignore(_signal: libc::c_int) {}

/// Installs a handler without SA_RESTART.
fn handle_signals() {
    // SAFETY: the action is all zero but for its handler, which does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
    }
}

fn stop_and_continue() {
    let script = "kill -STOP $0; sleep 0.05; kill -CONT $0";
    let process = std::process::id().to_string();
    let done = Command::new("sh").args(["-c", script, &process]).status();
    assert!(done.unwrap().success());
}

/// A wait in a thread of its own, which is disturbed by `how` while it sleeps; then `end` ends it.
fn disturbed<T: Send + 'static>(
    wait: impl FnOnce() -> T + Send + 'static,
    how: &[Disturbance],
    end: impl FnOnce(),
) -> T {
    let _alone = alone();
    handle_signals();
    let waiting = thread::spawn(wait);
    for how in how {
        thread::sleep(MOMENT);
        disturb(&waiting, how);
    }
    thread::sleep(MOMENT);
    end();
    waiting.join().unwrap()
}

fn disturb<T>(thread: &thread::JoinHandle<T>, how: &Disturbance) {
    match how {
        // SAFETY: the thread was not joined.
        Signal => unsafe {
            libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1);
        },
        Stop => stop_and_continue(),
    }
}

enum Disturbance {
    Signal,
    Stop,
}

use Disturbance::{Signal, Stop};

fn ring() -> (MemoryRing, Producer) {
    let ring = MemoryRing::create(4096).unwrap();
    let producer = Producer::open(&ring).unwrap();
    (ring, producer)
}

fn reader(ring: &MemoryRing) -> Reader {
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::memory(ring)).unwrap();
    reader
}

#[test]
fn a_batch() {
    let (ring, producer) = ring();
    let mut reader = reader(&ring);
    let wait = move || reader.next(None).map(|batch| batch.len());
    let end = || producer.output(b"at last").unwrap();
    assert_eq!(disturbed(wait, &[Signal, Stop, Signal], end), Ok(1));
}

#[test]
fn spans() {
    let (ring, producer) = ring();
    let mut reader = reader(&ring);
    let wait = move || reader.next_spans(10, None).map(|spans| spans.len());
    let end = || producer.output(b"at last").unwrap();
    assert_eq!(disturbed(wait, &[Signal, Stop], end), Ok(1));
}

#[test]
fn leases() {
    let (ring, producer) = ring();
    let mut reader = Reader::builder().open_leasing().unwrap();
    reader.add(&Source::memory(&ring)).unwrap();
    let wait = move || reader.next(None).map(|leases| leases.len());
    let end = || producer.output(b"at last").unwrap();
    assert_eq!(disturbed(wait, &[Signal, Stop], end), Ok(1));
}

#[test]
fn a_wait_for_room() {
    let (ring, producer) = ring();
    while producer.output(&[0; 1000]).is_ok() {}
    let mut reader = reader(&ring);
    let wait = move || producer.reserve_wait(1000, None).map(drop);
    let end = || reader.read().unwrap().commit().unwrap();
    assert_eq!(disturbed(wait, &[Signal, Stop], end), Ok(()));
}

#[cfg(feature = "tokio")]
#[test]
fn a_task() {
    let (ring, producer) = ring();
    let reader = reader(&ring);
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut reader = rbcore::AsyncReader::new(reader).unwrap();
            reader.next().await.map(|batch| batch.len())
        })
    };
    let end = || producer.output(b"at last").unwrap();
    assert_eq!(disturbed(wait, &[Signal, Stop], end), Ok(1));
}

/// The timeout is that of the whole wait, however often it was disturbed.
#[test]
fn what_is_left_of_the_timeout() {
    let (ring, _producer) = ring();
    let mut reader = reader(&ring);
    let timeout = 5 * MOMENT;
    let wait = move || {
        let started = Instant::now();
        let records = reader.next(Some(timeout)).map(|batch| batch.len());
        (records, started.elapsed())
    };
    let (records, waited) = disturbed(wait, &[Signal, Signal, Signal, Signal], || {});
    assert_eq!(records, Ok(0));
    assert!(waited >= timeout, "{waited:?}");
    assert!(waited < LONG.unwrap(), "{waited:?}");
}

/// The result of a wait that is disturbed until it ends.
fn told<T: Send + 'static>(how: &Disturbance, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let _alone = alone();
    handle_signals();
    let waiting = thread::spawn(wait);
    while !waiting.is_finished() {
        thread::sleep(MOMENT / 5);
        disturb(&waiting, how);
    }
    waiting.join().unwrap()
}

#[test]
fn the_interruptible_ones_tell() {
    for how in [Signal, Stop] {
        let (ring, _producer) = ring();
        let mut reader = reader(&ring);
        let batch = move || reader.next_interruptible(LONG).err();
        assert_eq!(told(&how, batch), Some(Error::Signal));
    }
    let (ring, _producer) = ring();
    let mut spans = reader(&ring);
    let spans = move || spans.next_spans_interruptible(10, LONG).err();
    assert_eq!(told(&Signal, spans), Some(Error::Signal));

    let mut leases = Reader::builder().open_leasing().unwrap();
    leases.add(&Source::memory(&ring)).unwrap();
    let leases = move || leases.next_interruptible(LONG).err();
    assert_eq!(told(&Signal, leases), Some(Error::Signal));
}

#[test]
fn the_interruptible_wait_for_room_tells() {
    let (_ring, producer) = ring();
    while producer.output(&[0; 1000]).is_ok() {}
    let wait = move || producer.reserve_wait_interruptible(1000, LONG).err();
    assert_eq!(told(&Signal, wait), Some(Error::Signal));
}
