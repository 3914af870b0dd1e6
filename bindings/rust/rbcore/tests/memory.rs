// SPDX-License-Identifier: MIT
//! What only memory rings have: producers, copies, and what hostile writers do.

use std::borrow::Cow;
use std::fs::File;
use std::io::{IoSlice, Seek, SeekFrom, Write};
use std::ops::{Bound, Range, RangeBounds};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use rbcore::{Batch, Error, MemoryRing, Producer, Reader, Snapshot, Source, Wakeup};

fn open(ring: &MemoryRing) -> Reader {
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::memory(ring)).unwrap();
    reader
}

fn errno<T: std::fmt::Debug>(result: Result<T, Error>) -> i32 {
    result.unwrap_err().errno()
}

fn page_size() -> usize {
    // SAFETY: it takes and gives numbers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Writes into the ring without a producer, as every process with the descriptor can.
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
    // SAFETY: only this test writes, and only while there is no slice.
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
    // SAFETY: only the producer below writes there.
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
        errno(Reader::builder().batch_size(usize::MAX).open()),
        libc::ENOMEM
    );
    let mut reader = Reader::open().unwrap();
    for (size, refusal) in [(0, libc::EINVAL), (usize::MAX, libc::ENOMEM)] {
        assert_eq!(errno(reader.set_batch_size(size)), refusal);
    }
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

fn numbers(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(|i| i.to_ne_bytes().to_vec()).collect()
}

fn produce(producer: &Producer, from: u64, to: u64) {
    for number in numbers(from, to) {
        producer.output(&number).unwrap();
    }
}

/// Copied out of a ring that others may write, and not.
#[test]
fn spans() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    for trusted in [false, true] {
        let mut reader = Reader::open().unwrap();
        let source = match trusted {
            // SAFETY: this test does not scribble.
            true => unsafe { Source::memory(&ring).trusted() },
            false => Source::memory(&ring),
        };
        reader.add(&source).unwrap();
        produce(&producer, 0, 100);
        producer.output(b"abc").unwrap();
        let spans = reader.next_spans(1000, None).unwrap();
        assert_eq!(spans.len(), 2);
        let first = spans.iter().next().unwrap();
        assert_eq!(
            (first.count(), first.record_size(), first.stride()),
            (100, 8, 16)
        );
        let data: Vec<_> = first.iter().map(|record| record.data().to_vec()).collect();
        assert_eq!(data, numbers(0, 100));
        let positions: Vec<_> = first.iter().map(|record| record.position()).collect();
        let expected: Vec<_> = (0..100).map(|i| first.position() + 16 * i).collect();
        assert_eq!(positions, expected);
        assert_eq!(first.bytes().len(), 99 * 16 + 8);
        assert_eq!(first.bytes()[16..24], 1u64.to_ne_bytes());
        assert!(first.get(100).is_none());
        let second = spans.iter().nth(1).unwrap();
        assert_eq!(second.get(0).unwrap().data(), b"abc");
        spans.commit().unwrap();
        assert_eq!(reader.ring_stats(0).unwrap().bytes_waiting, 0);
        assert!(
            reader
                .next_spans(10, Some(Duration::ZERO))
                .unwrap()
                .is_empty()
        );
        assert_eq!(errno(reader.next_spans(0, None)), libc::EINVAL);
    }
}

#[test]
fn look_reads_what_is_there() {
    let ring = MemoryRing::create(65536).unwrap();
    let mut reader = open(&ring);
    assert!(reader.look().unwrap().is_empty());
    produce(&Producer::open(&ring).unwrap(), 0, 3);
    assert_eq!(reader.look().unwrap().len(), 3);
}

fn content(snapshot: &mut Snapshot) -> Vec<Vec<u8>> {
    let records = snapshot.records();
    records
        .map(|record| record.unwrap().data().to_vec())
        .collect()
}

#[test]
fn snapshots() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = open(&ring);
    produce(&producer, 0, 300);
    let mut snapshot = reader.snapshot(0).unwrap();
    assert_eq!(content(&mut snapshot), numbers(0, 300));
    assert_eq!(
        content(&mut snapshot),
        numbers(0, 300),
        "from the start again"
    );
    let info = snapshot.info().unwrap();
    assert_eq!(
        (info.first_pos, info.end_pos, info.ring_size),
        (0, 4800, 65536)
    );
    assert_eq!(reader.read().unwrap().len(), 256, "nothing was read by it");
    assert_eq!(
        reader.drain_to_snapshot(0).unwrap_err().errno(),
        libc::EBUSY
    );
    reader.commit().unwrap();
    produce(&producer, 300, 302);
    reader.snapshot_into(0, &mut snapshot).unwrap();
    assert_eq!(content(&mut snapshot), numbers(256, 302));
    assert_eq!(errno(reader.snapshot(1)), libc::EINVAL);
    let mut last = reader.drain_to_snapshot(0).unwrap();
    assert!(reader.read().unwrap().is_empty(), "consumed");
    drop((reader, producer, ring));
    assert_eq!(content(&mut last), numbers(256, 302));
}

#[test]
fn snapshots_as_files() {
    let ring = MemoryRing::create(65536).unwrap();
    let reader = open(&ring);
    produce(&Producer::open(&ring).unwrap(), 0, 5);
    let snapshot = reader.snapshot(0).unwrap();
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/snapshots");
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    snapshot.save(&file).unwrap();
    snapshot.save(&file).unwrap();
    file.rewind().unwrap();
    for _ in 0..2 {
        let mut loaded = Snapshot::load(&file).unwrap().unwrap();
        assert_eq!(content(&mut loaded), numbers(0, 5));
        assert_eq!(loaded.info().unwrap(), snapshot.info().unwrap());
    }
    assert!(
        Snapshot::load(&file).unwrap().is_none(),
        "the end of the file"
    );
    file.write_all(b"no snapshot, but as long as the start of one is, and a bit longer")
        .unwrap();
    let end = file.stream_position().unwrap();
    file.seek(SeekFrom::Start(end - 65)).unwrap();
    assert!(matches!(Snapshot::load(&file), Err(Error::Corrupt(_))));
}

/// The positions and contents of the records in a file that was written so.
fn described(batch: &Batch, records: impl RangeBounds<usize>) -> Vec<(u64, Vec<u8>)> {
    let (header, content) = batch.snapshot_header(records).unwrap();
    let mut file = File::from(memfd_create("records", MFdFlags::empty()).unwrap());
    file.write_all(&header).unwrap();
    file.write_all(&content).unwrap();
    file.rewind().unwrap();
    let mut loaded = Snapshot::load(&file).unwrap().unwrap();
    let records = loaded.records().map(Result::unwrap);
    records.map(|r| (r.position(), r.data().to_vec())).collect()
}

fn held(batch: &Batch, range: Range<usize>) -> Vec<(u64, Vec<u8>)> {
    let records = range.map(|i| batch.get(i).unwrap());
    records.map(|r| (r.position(), r.data().to_vec())).collect()
}

fn describe_laps(source: Source, ring: &MemoryRing, copies: bool) {
    let producer = Producer::open(ring).unwrap();
    let mut reader = Reader::open().unwrap();
    let index = reader.add(&source).unwrap();
    while reader.ring_stats(index).unwrap().read_pos < 3 * 65536 {
        produce(&producer, 0, 20);
        drop(producer.reserve(500).unwrap()); // a discarded record
        produce(&producer, 20, 100);
        let mut batch = reader.read().unwrap();
        assert_eq!(batch.len(), 100);
        let content = batch.snapshot_header(5..=90).unwrap().1;
        assert_eq!(matches!(content, Cow::Owned(_)), copies);
        drop(content);
        assert_eq!(described(&batch, ..), held(&batch, 0..100));
        assert_eq!(described(&batch, 5..=90), held(&batch, 5..91));
        assert_eq!(described(&batch, 99..), held(&batch, 99..100));
        batch.commit_first(10).unwrap();
        assert_eq!(described(&batch, ..1), held(&batch, 0..1));
        assert_eq!(described(&batch, ..), held(&batch, 0..90));
        batch.commit().unwrap();
    }
    let batch = reader.read().unwrap();
    assert_eq!(errno(batch.snapshot_header(..)), libc::EINVAL);
}

#[test]
fn records_as_files() {
    let ring = MemoryRing::create(65536).unwrap();
    describe_laps(Source::memory(&ring), &ring, true);
    // SAFETY: only this test writes into the ring.
    let trusted = unsafe { Source::memory(&ring).trusted() };
    describe_laps(trusted, &ring, false);
    let ring = MemoryRing::create_overwriting(65536).unwrap();
    describe_laps(Source::memory(&ring).overwrite(), &ring, false);
}

#[test]
fn records_that_are_no_file() {
    let rings = [(); 2].map(|()| MemoryRing::create(65536).unwrap());
    let mut reader = Reader::open().unwrap();
    for ring in &rings {
        reader.add(&Source::memory(ring)).unwrap();
        produce(&Producer::open(ring).unwrap(), 0, 3);
    }
    let batch = reader.read().unwrap();
    assert_eq!(batch.len(), 6);
    assert_eq!(errno(batch.snapshot_header(..)), libc::EINVAL);
    assert_eq!(errno(batch.snapshot_header(2..2)), libc::EINVAL);
    assert_eq!(errno(batch.snapshot_header(..=6)), libc::EINVAL);
    assert_eq!(errno(batch.snapshot_header(..0)), libc::EINVAL);
    assert_eq!(
        errno(batch.snapshot_header((Bound::Excluded(5), Bound::Unbounded))),
        libc::EINVAL
    );
    assert_eq!(described(&batch, 3..), held(&batch, 3..6));
}

#[test]
fn overwriting() {
    let ring = MemoryRing::create_overwriting(page_size()).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = Reader::open().unwrap();
    let refused = reader.add(&Source::memory(&ring));
    assert_eq!(errno(refused), libc::EOPNOTSUPP);
    reader.add(&Source::memory(&ring).overwrite()).unwrap();
    produce(&producer, 0, 10_000);
    let mut snapshot = reader.snapshot(0).unwrap();
    let kept = content(&mut snapshot);
    assert_eq!(kept, numbers(10_000 - kept.len() as u64, 10_000));
    let batch = reader.read().unwrap();
    assert!(batch.get(0).unwrap().follows_loss());
    assert!(!batch.get(1).unwrap().follows_loss());
    batch.commit().unwrap();
    let stats = reader.ring_stats(0).unwrap();
    let delivered = stats.records * 16;
    assert!(stats.lost_bytes > 0);
    assert_eq!(
        stats.lost_bytes + delivered + stats.passed_bytes,
        stats.read_pos
    );
}

/// Beside the ring's reader, which it does not disturb.
#[test]
fn tap() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = open(&ring);
    let mut tap = Reader::open().unwrap();
    tap.add(&Source::memory(&ring).tap()).unwrap();
    produce(&producer, 0, 10);
    let batch = tap.read().unwrap();
    let seen: Vec<_> = batch.iter().map(|record| record.data().to_vec()).collect();
    assert_eq!(seen, numbers(0, 10));
    batch.commit().unwrap();
    assert_eq!(reader.ring_stats(0).unwrap().consumer_pos, 0);
    assert_eq!(reader.read().unwrap().len(), 10);
}

#[test]
fn batches_and_waiting_for_room() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = open(&ring);
    let contents: Vec<Vec<u8>> = (0..100_u8).map(|i| vec![i; usize::from(i) % 30]).collect();
    let slices: Vec<_> = contents.iter().map(|bytes| IoSlice::new(bytes)).collect();
    assert_eq!(producer.output_batch(&slices).unwrap(), 100);
    let batch = reader.read().unwrap();
    assert_eq!(batch.len(), 100);
    for (record, content) in batch.iter().zip(&contents) {
        assert_eq!(record.data(), content);
    }
    batch.commit().unwrap();

    while producer.output(&[0; 1000]).is_ok() {}
    let short = Some(Duration::from_millis(10));
    assert_eq!(producer.reserve_wait(1000, short).unwrap_err(), Error::Full);
    assert_eq!(producer.output_batch(&slices[..0]).unwrap(), 0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| producer.reserve_wait(1000, None).unwrap().submit());
        reader.read().unwrap().commit().unwrap();
        waiter.join().unwrap().unwrap();
    });
}

/// The ring is read while the last record that keeps it mapped goes back in another thread.
#[test]
fn snapshots_and_figures_of_a_removed_ring() {
    for _ in 0..50 {
        let ring = MemoryRing::create(1 << 20).unwrap();
        let producer = Producer::open(&ring).unwrap();
        for _ in 0..100 {
            producer.output(&[7; 8000]).unwrap();
        }
        let builder = Reader::builder().batch_size(1);
        let mut reader = builder.open_leasing().unwrap();
        let index = reader.add(&Source::memory(&ring)).unwrap();
        let lease = reader.read().unwrap().next().unwrap();
        let handle = reader.handle();
        reader.remove(index).unwrap();
        assert_eq!(errno(reader.snapshot(index)), libc::EINVAL);
        let elsewhere = std::thread::spawn(move || drop(lease));
        while !elsewhere.is_finished() {
            assert_eq!(errno(reader.snapshot(index)), libc::EINVAL);
            assert_eq!(errno(reader.drain_to_snapshot(index)), libc::EINVAL);
            let _ = handle.ring_stats(index); // of what is left, or none
            let _ = reader.identity(index, 0);
        }
        elsewhere.join().unwrap();
        assert_eq!(errno(reader.remove(index)), libc::EINVAL);
        assert_eq!(errno(handle.ring_stats(index)), libc::EINVAL);
    }
}

/// Records of a ring that was added, before the first read and after one that found nothing, of
/// which nothing tells the descriptor but the call that adds it.
#[test]
fn adding_makes_the_descriptor_readable() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let mut reader = Reader::open().unwrap();
    for turn in 0..2 {
        let ring = MemoryRing::create(4096).unwrap();
        let producer = Producer::open(&ring).unwrap();
        producer.output_with(b"record", Wakeup::Never).unwrap();
        assert_eq!(reader.add(&Source::memory(&ring)).unwrap(), turn);
        let timeout = PollTimeout::try_from(Duration::from_secs(20)).unwrap();
        let fd = PollFd::new(reader.as_fd(), PollFlags::POLLIN);
        assert_eq!(poll(&mut [fd], timeout).unwrap(), 1);
        reader.next(Some(Duration::ZERO)).unwrap().commit().unwrap();
        assert!(reader.next(Some(Duration::ZERO)).unwrap().is_empty());
    }
    reader.remove(1).unwrap(); // the one that was served last
    assert!(reader.read().unwrap().is_empty());
}

/// This holds while another thread uses a handle of it, too.
#[test]
fn a_dropped_reader_has_let_go_of_its_ring() {
    let ring = MemoryRing::create(4096).unwrap();
    for _ in 0..1000 {
        let reader = open(&ring);
        let handle = reader.handle();
        let elsewhere = std::thread::spawn(move || while handle.stats().is_ok() {});
        drop(reader);
        drop(open(&ring));
        elsewhere.join().unwrap();
    }
}

/// These are more than a call of the library passes: the next call is the reader's own affair, also
/// where it may not wait.
#[test]
fn discarded_records_end_no_loop() {
    const MANY: u32 = 3 * 65536;
    let ring = MemoryRing::create(1 << 22).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let discard_many = || {
        for _ in 0..MANY {
            producer.reserve(8).unwrap().discard().unwrap();
        }
        producer.output(b"at last").unwrap();
    };
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::memory(&ring)).unwrap();
    type Way = fn(&mut Reader) -> rbcore::Result<usize>;
    let ways: [Way; 4] = [
        |reader| Ok(reader.read()?.len()),
        |reader| Ok(reader.look()?.len()),
        |reader| Ok(reader.next(Some(Duration::ZERO))?.len()),
        |reader| Ok(reader.next_spans(1, Some(Duration::ZERO))?.len()),
    ];
    for way in ways {
        discard_many();
        assert_eq!(way(&mut reader), Ok(1));
        reader.commit().unwrap();
    }
    discard_many();
    let result = reader.next_interruptible(Some(Duration::ZERO));
    assert_eq!(result.unwrap_err(), Error::Again);
    assert_eq!(reader.next_interruptible(None).unwrap().len(), 1);
}

/// A snapshot takes a shared reference: also from several threads, and while records are lent.
#[test]
fn snapshots_by_several_threads() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    for number in 0..100u64 {
        producer.output(&number.to_ne_bytes()).unwrap();
    }
    let mut reader = open(&ring);
    let batch = reader.read().unwrap();
    let first = batch.get(0).unwrap();
    std::thread::scope(|scope| {
        let snapshots = |missing: u16| {
            for turn in 0..100_000 {
                if turn % 1000 == 0 {
                    assert_eq!(batch.snapshot(0).unwrap().records().count(), 100);
                }
                // The words are in the handle: each thread has to get its own.
                let error = batch.snapshot(missing).unwrap_err().to_string();
                assert_eq!(error, format!("no ring has the index {missing}"));
            }
        };
        scope.spawn(move || snapshots(10001));
        scope.spawn(move || snapshots(20002));
    });
    assert_eq!(first.data(), 0u64.to_ne_bytes());
}
