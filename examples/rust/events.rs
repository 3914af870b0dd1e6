// SPDX-License-Identifier: MIT
//! What the examples share: the BPF program of `examples/bpf`, the types of its records, and signals.

use std::borrow::Cow;
use std::error::Error;
use std::{io, thread};

use libbpf_rs::{Link, MapCore, MapHandle, Object, ObjectBuilder, OpenObject};
use rbcore::{Handle, Source};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Any error of an example.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The kinds of records: enum event_kind of events.h.
pub const EXEC: u32 = 1;
/// A CPU goes from one thread to another.
pub const SWITCH: u32 = 2;
/// No BPF here: a process of our own wrote it.
pub const MADE_UP: u32 = 3;

/// struct event of events.h, with which each record begins.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// By CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// [`EXEC`], [`SWITCH`] or [`MADE_UP`].
    pub kind: u32,
    /// The CPU.
    pub cpu: u32,
    /// The process.
    pub pid: u32,
    /// The name of the program, ended by a zero.
    pub name: [u8; 16],
    /// Always zero.
    pub reserved: u32,
}

/// struct exec_event of events.h.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Exec {
    /// What all records have.
    pub event: Event,
    /// The program's path, ended by a zero.
    pub file: [u8; 80],
}

/// The text before the first zero.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let text = bytes.split(|&byte| byte == 0).next();
    String::from_utf8_lossy(text.unwrap_or_default())
}

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/events.bpf.o"));
const MISSING: &str = include_str!(concat!(env!("OUT_DIR"), "/missing.txt"));

const BPF_F_RB_OVERWRITE: u32 = 1 << 19; // Linux 6.19

/// The BPF program, loaded.
#[derive(Debug)]
pub struct Program {
    events: MapHandle,
    losses: MapHandle,
    object: Object,
}

impl Program {
    /// Loads it, with a ring in overwrite mode or a normal one. Needs root.
    pub fn load(overwrite: bool) -> Result<Self, Failure> {
        if !MISSING.is_empty() {
            return Err(format!("the BPF program was not built: {MISSING}").into());
        }
        let mut open = ObjectBuilder::default().open_memory(OBJECT)?;
        configure(&mut open, overwrite)?;
        let object = open.load()?;
        let map = |name: &str| {
            let map = object.maps().find(|map| map.name() == name);
            Ok::<_, Failure>(MapHandle::try_from(&map.ok_or("no such map")?)?)
        };
        Ok(Self {
            events: map("events")?,
            losses: map("events_lost")?,
            object,
        })
    }

    /// Makes it write a record for each exec and each scheduler switch, until the links are dropped.
    pub fn attach(&self) -> libbpf_rs::Result<Vec<Link>> {
        let programs = self.object.progs_mut();
        let links = programs.map(|program| program.attach()).collect();
        eprintln!("reading until Ctrl-C");
        links
    }

    /// Its ring, with the map that counts lost records.
    pub fn source(&self) -> Source<'_> {
        Source::map(&self.events).losses(&self.losses)
    }
}

/// Sets the constants of the program, before it is loaded.
fn configure(open: &mut OpenObject, overwrite: bool) -> Result<(), Failure> {
    for mut map in open.maps_mut() {
        match map.name().to_str() {
            // Its only constant, reader_pid: this process's own switches are left out.
            Some(".rodata") => map.set_initial_value(&std::process::id().to_ne_bytes())?,
            Some("events") if overwrite => map.set_map_flags(BPF_F_RB_OVERWRITE)?,
            _ => {}
        }
    }
    Ok(())
}

/// On Ctrl-C or SIGTERM the reader delivers what is there, then [`rbcore::Error::Flushed`].
pub fn flush_on_signal(reader: Handle) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || signals.forever().all(|_| reader.flush().is_ok()));
    Ok(())
}
