// SPDX-License-Identifier: MIT
//! What only memory rings have: producers, copies, and what hostile writers do.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rbcore::{Error, MemoryRing, Producer, Reader, Source, Wakeup};

fn open(ring: &MemoryRing) -> Reader {
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::memory(ring)).unwrap();
    reader
}

fn errno<T: std::fmt::Debug>(result: Result<T, Error>) -> i32 {
    result.unwrap_err().errno()
}

fn page_size() -> usize {
    // SAFETY: takes and gives numbers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Writes behind everybody's back, as whoever has the descriptor can.
fn scribble(ring: &MemoryRing, position: u64, bytes: &[u8]) {
    let file = File::from(ring.memory().try_clone_to_owned().unwrap());
    let data = 2 * page_size() as u64;
    file.write_all_at(bytes, data + position).unwrap();
}

#[test]
fn sizes() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = open(&ring);
    for size in [0, 1, 7, 8, 9, 4096, 65520] {
        let data: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
        producer.output(&data).unwrap();
        let batch = reader.read().unwrap();
        assert_eq!(batch.get(0).unwrap().data(), data);
        batch.commit().unwrap();
    }
    assert_eq!(errno(producer.output(&[0; 65521])), libc::EMSGSIZE);
    assert_eq!(errno(producer.reserve(usize::MAX)), libc::EMSGSIZE);
}

#[test]
fn reservations() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = open(&ring);

    let mut written = producer.reserve(6).unwrap();
    assert!(reader.read().unwrap().is_empty(), "it is being written");
    assert_eq!(written.write(b"abcd").unwrap(), 4);
    assert_eq!(written.write(b"efgh").unwrap(), 2, "the end");
    assert_eq!(written.write(b"x").unwrap(), 0);
    assert_eq!(errno(written.put(4, b"xyz")), libc::EINVAL);
    assert_eq!(errno(written.put(usize::MAX, b"x")), libc::EINVAL);
    written.put(6, b"").unwrap();
    written.put(1, b"B").unwrap();
    written.submit().unwrap();

    drop(producer.reserve(8).unwrap());
    producer.reserve(8).unwrap().discard().unwrap();
    let mut in_place = producer.reserve(3).unwrap();
    // SAFETY: the ring is this test's own.
    unsafe { in_place.as_mut_slice() }.copy_from_slice(b"xyz");
    in_place.submit_with(Wakeup::Force).unwrap();

    let batch = reader.read().unwrap();
    let found: Vec<&[u8]> = batch.iter().map(|record| record.data()).collect();
    assert_eq!(found, [&b"aBcdef"[..], b"xyz"]);
    batch.commit().unwrap();
    assert_eq!(reader.stats().unwrap().discards, 2);
}

#[test]
fn reservation_submitted_by_another_thread() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = open(&ring);
    let mut reservation = producer.reserve(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            reservation.put(0, b"!").unwrap();
            reservation.submit().unwrap();
        });
    });
    assert_eq!(reader.read().unwrap().get(0).unwrap().data(), b"!");
}

#[test]
fn abandoned_reservation() {
    let ring = MemoryRing::create(65536).unwrap();
    let dying = Producer::open(&ring).unwrap();
    let living = Producer::open(&ring).unwrap();
    std::mem::forget(dying.reserve(8).unwrap());
    living.output(b"behind").unwrap();
    let mut reader = open(&ring);
    assert!(reader.read().unwrap().is_empty());
    drop(dying);
    let batch = reader.next(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(batch.get(0).unwrap().data(), b"behind");
    drop(batch);
    assert_eq!(reader.ring_stats(0).unwrap().abandoned, 1);
}

#[test]
fn records_are_copied() {
    let ring = MemoryRing::create(65536).unwrap();
    Producer::open(&ring).unwrap().output(b"as it was").unwrap();
    let mut reader = open(&ring);
    let batch = reader.read().unwrap();
    let record = batch.get(0).unwrap();
    scribble(&ring, 8, b"otherwise");
    assert_eq!(record.data(), b"as it was");
    batch.commit().unwrap();

    let mut reader = {
        drop(reader);
        Reader::builder().open_leasing().unwrap()
    };
    reader.add(&Source::memory(&ring)).unwrap();
    Producer::open(&ring).unwrap().output(b"as it was").unwrap();
    let lease = reader.read().unwrap().next().unwrap();
    scribble(&ring, lease.position() + 8, b"otherwise");
    assert_eq!(&*lease, b"as it was");
}

#[test]
fn trusted_records_are_not() {
    let ring = MemoryRing::create(65536).unwrap();
    Producer::open(&ring).unwrap().output(b"as it was").unwrap();
    let mut reader = Reader::open().unwrap();
    // SAFETY: the one who writes is this test, while nobody has a slice.
    reader
        .add(&unsafe { Source::memory(&ring).trusted() })
        .unwrap();
    let batch = reader.read().unwrap();
    scribble(&ring, 8, b"otherwise");
    assert_eq!(batch.get(0).unwrap().data(), b"otherwise");
}

#[test]
fn copies_and_commits_of_a_prefix() {
    let (copied, trusted) = (
        MemoryRing::create(65536).unwrap(),
        MemoryRing::create(65536).unwrap(),
    );
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::memory(&copied)).unwrap();
    // SAFETY: nobody but the producer below writes there.
    reader
        .add(&unsafe { Source::memory(&trusted).trusted() })
        .unwrap();
    let producers = [&copied, &trusted].map(|ring| Producer::open(ring).unwrap());
    for i in 0..6u8 {
        producers
            .iter()
            .for_each(|producer| producer.output(&[i; 3]).unwrap());
    }
    let mut batch = reader.read().unwrap();
    assert_eq!(batch.len(), 12);
    batch.commit_first(2).unwrap();
    batch.commit_first(5).unwrap();
    let found: Vec<u8> = batch.iter().map(|record| record.data()[2]).collect();
    assert_eq!(found, [1, 2, 3, 4, 5]);
    assert_eq!(batch.get(0).unwrap().ring(), 1);
    drop(batch);
    let positions = [0, 1].map(|ring| reader.ring_stats(ring).unwrap().user_pos);
    assert_eq!(positions, [6 * 16, 16]);
}

#[test]
fn header_changed_before_the_commit() {
    let ring = MemoryRing::create(65536).unwrap();
    Producer::open(&ring).unwrap().output(b"12345678").unwrap();
    let mut reader = open(&ring);
    let mut batch = reader.read().unwrap();
    scribble(&ring, 0, &u32::MAX.to_ne_bytes());
    assert_eq!(errno(batch.commit_first(1)), libc::EINVAL);
    batch.commit().unwrap();
    assert_eq!(reader.ring_stats(0).unwrap().user_pos, 16);
}

#[test]
fn impossible_content() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    producer.output(b"x").unwrap();
    scribble(&ring, 0, &70000u32.to_ne_bytes());
    let mut reader = open(&ring);
    assert!(matches!(reader.read(), Err(Error::Corrupt(_))));
    assert!(reader.ring_stats(0).unwrap().is_broken);
}

#[test]
fn bad_input() {
    for size in [0, 1, 5000, 1 << 31, usize::MAX] {
        assert_eq!(errno(MemoryRing::create(size)), libc::EINVAL);
    }
    assert_eq!(errno(Reader::builder().batch_size(0).open()), libc::EINVAL);
    assert_eq!(
        errno(
            Reader::builder()
                .polling()
                .max_latency(Duration::ZERO)
                .open()
        ),
        libc::EINVAL
    );
    Reader::builder().max_latency(Duration::MAX).open().unwrap();

    let mut reader = Reader::open().unwrap();
    assert_eq!(errno(reader.add(&Source::path("/nowhere"))), libc::ENOENT);
    assert_eq!(errno(reader.add(&Source::path("a\0b"))), libc::EINVAL);
    assert_eq!(errno(reader.add(&Source::map_id(0))), libc::EINVAL);
    let file = File::open("/dev/null").unwrap();
    let error = reader.add(&Source::map(&file)).unwrap_err();
    assert!(
        [libc::EBADFD, libc::EPERM].contains(&error.errno()),
        "{error:?}"
    );
    let strange = MemoryRing::from_fds(file.try_clone().unwrap().into(), file.into());
    assert_eq!(errno(reader.add(&Source::memory(&strange))), libc::EBADFD);
    assert_eq!(errno(Producer::open(&strange)), libc::EBADFD);
    assert_eq!(errno(reader.ring_stats(5)), libc::EINVAL);
    assert_eq!(errno(reader.identity(5, 0)), libc::EINVAL);
    assert_eq!(errno(reader.remove(5)), libc::EINVAL);
}

#[test]
fn errors_as_io_errors() {
    let error = std::io::Error::from(Error::Signal);
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
    assert_eq!(
        error.get_ref().unwrap().downcast_ref::<Error>(),
        Some(&Error::Signal)
    );
    let ring = MemoryRing::create(page_size()).unwrap();
    let producer = Producer::open(&ring).unwrap();
    while producer.output(&[0; 64]).is_ok() {}
    assert_eq!(producer.output(&[0; 64]), Err(Error::Full));
    assert_eq!(
        std::io::Error::from(Error::Full).kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[test]
fn types_for_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    fn is_static<T: 'static>() {}
    is_send::<Reader>();
    is_send::<rbcore::LeaseReader>();
    is_send::<rbcore::Handle>();
    is_sync::<rbcore::Handle>();
    is_send::<rbcore::Lease>();
    is_static::<rbcore::Lease>();
    is_sync::<Producer>();
    is_send::<rbcore::Reservation<'_>>();
}
