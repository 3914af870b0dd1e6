// SPDX-License-Identifier: MIT
//! A memory ring between two processes: the reader makes it and passes its two descriptors over a
//! socket, the producer at the other end writes records. Neither needs BPF or root.

use std::error::Error;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use rbcore::{MemoryRing, Producer, Reader, Source};

const RECORDS: u64 = 100_000;

fn send(socket: &UnixStream, ring: &MemoryRing) -> nix::Result<()> {
    let fds = [ring.memory().as_raw_fd(), ring.event().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let bytes = [IoSlice::new(b"r")];
    sendmsg::<()>(socket.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None)?;
    Ok(())
}

fn receive(socket: impl AsFd) -> Result<MemoryRing, Box<dyn Error>> {
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(
        socket,
        &mut bytes,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part
            && let [memory, event] = fds[..]
        {
            // SAFETY: the kernel just made both for us.
            let own = |fd| unsafe { OwnedFd::from_raw_fd(fd) };
            return Ok(MemoryRing::from_fds(own(memory), own(event)));
        }
    }
    Err("the message had no descriptors".into())
}

/// The other process: its standard input is the socket.
fn produce() -> Result<(), Box<dyn Error>> {
    let producer = Producer::open(&receive(std::io::stdin())?)?;
    for number in 0..RECORDS {
        match producer.output(&number.to_ne_bytes()) {
            Ok(()) | Err(rbcore::Error::Full) => {} // full: the ring counts it
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn read(ring: &MemoryRing) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::open()?;
    let index = reader.add(&Source::memory(ring))?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("produce")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    send(&ours, ring)?;

    let mut received = 0;
    let lost = loop {
        let batch = reader.next(Some(Duration::from_secs(10)))?;
        received += batch.len() as u64;
        let silent = batch.is_empty();
        batch.commit()?;
        let lost = reader.ring_stats(index)?.lost.unwrap_or(0);
        if received + lost == RECORDS || silent {
            break lost;
        }
    };
    if !child.wait()?.success() || received + lost != RECORDS {
        return Err("records are missing".into());
    }
    println!("{RECORDS} produced = {received} received + {lost} lost");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("produce") => produce(),
        _ => read(&MemoryRing::create(65536)?),
    }
}
