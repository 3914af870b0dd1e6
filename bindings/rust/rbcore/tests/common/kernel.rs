// SPDX-License-Identifier: MIT
//! A ring of the kernel, filled by the BPF program of the tests in C; and what their programs need.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};

use libbpf_rs::{MapCore, ObjectBuilder};
use rbcore::Source;

use super::{RING_SIZE, Records, Ring};

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_RB_NO_WAKEUP: u64 = 1;

pub(crate) struct InKernel {
    map: OwnedFd,
    losses: OwnedFd,
    program: OwnedFd,
}

/// struct produce_args of tests/kernel/produce.h.
#[repr(C)]
#[derive(Default)]
struct ProduceArgs {
    sequence: u64,
    flags: u64,
    lost: u64,
    lost_bytes: u64,
    discarded: u64,
    producer: u32,
    count: u32,
    sizes: u32,
    discard_each: u32,
}

/// The part of union bpf_attr that BPF_PROG_TEST_RUN has.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// Compiles tests/NAME.bpf.c; or says why it cannot.
fn compile(name: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "{}-{}.bpf.o",
        name.replace('/', "-"),
        std::process::id()
    ));
    let target = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "x86",
        other => other,
    };
    let done = Command::new("clang")
        .args(["-g", "-O2", "--target=bpf", "-mcpu=v3", "-c"])
        .arg(format!("-D__TARGET_ARCH_{target}"))
        .arg(format!(
            "-I/usr/include/{}-linux-gnu",
            std::env::consts::ARCH
        ))
        .arg("-I")
        .arg(root.join("include"))
        .arg(root.join(format!("tests/{name}.bpf.c")))
        .arg("-o")
        .arg(&object)
        .output()
        .map_err(|error| format!("clang: {error}"))?;
    match done.status.success() {
        true => Ok(object),
        false => Err(format!("clang: {}", String::from_utf8_lossy(&done.stderr))),
    }
}

fn load(object: &Path) -> libbpf_rs::Result<InKernel> {
    let mut open = ObjectBuilder::default().open_file(object)?;
    for mut map in open.maps_mut() {
        if map.name() == OsStr::new("events") {
            map.set_max_entries(RING_SIZE as u32)?;
        }
    }
    let object = open.load()?;
    let map = |name: &str| {
        let map = object
            .maps()
            .find(|map| map.name() == OsStr::new(name))
            .unwrap();
        map.as_fd().try_clone_to_owned().unwrap()
    };
    let program = object
        .progs()
        .find(|program| program.name() == OsStr::new("produce"))
        .unwrap();
    Ok(InKernel {
        map: map("events"),
        losses: map("events_lost"),
        program: program.as_fd().try_clone_to_owned().unwrap(),
    })
}

/// Compiles and loads tests/NAME.bpf.c; or None, said why, where there is no BPF.
pub(crate) fn load_program<T, E: Display>(
    name: &str,
    object: &OnceLock<Result<PathBuf, String>>,
    load: impl FnOnce(&Path) -> Result<T, E>,
) -> Option<T> {
    let loaded = object
        .get_or_init(|| compile(name))
        .clone()
        .and_then(|object| load(&object).map_err(|error| format!("{error:#}")));
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(reason) if std::env::var_os("RBCORE_NEEDS_BPF").is_some() => panic!("{reason}"),
        Err(reason) => {
            static SAID: Once = Once::new();
            // It is written past the capture of the test's output, on a line of its own: a skip is
            // to be seen.
            SAID.call_once(|| {
                let _ = writeln!(
                    std::io::stderr(),
                    "\nskipped: rings of the kernel: {reason}"
                );
            });
            None
        }
    }
}

/// Runs a syscall program, which may change its context.
pub(crate) fn run<T>(program: &OwnedFd, context: &mut T) {
    let run = TestRun {
        prog_fd: program.as_raw_fd() as u32,
        ctx_size_in: size_of::<T>() as u32,
        ctx_in: context as *mut T as u64,
        ..Default::default()
    };
    // SAFETY: the kernel reads the attributes and writes into the context, both live.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &run, size_of::<TestRun>()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

impl InKernel {
    /// Makes a ring of its own for each test. Where there is no BPF it says why, and returns None.
    pub(crate) fn create() -> Option<Self> {
        static OBJECT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        load_program("kernel/produce", &OBJECT, load)
    }

    pub(crate) fn map(&self) -> &OwnedFd {
        &self.map
    }
}

impl Ring for InKernel {
    fn source(&self) -> Source<'_> {
        Source::map(&self.map).losses(&self.losses)
    }

    fn produce(&self, records: Records) -> u64 {
        let mut args = ProduceArgs {
            sequence: records.first,
            flags: if records.quietly { BPF_RB_NO_WAKEUP } else { 0 },
            producer: 1,
            count: records.count,
            sizes: 1,
            discard_each: records.discard_each,
            ..Default::default()
        };
        run(&self.program, &mut args);
        args.lost
    }
}
