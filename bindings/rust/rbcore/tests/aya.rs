// SPDX-License-Identifier: MIT
//! Rings of programs that aya loaded: the reader takes aya's maps as they are.

mod common;

use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use aya::Ebpf;
use aya::maps::{Map, MapData, RingBuf};
use aya::programs::RawTracePoint;
use common::WATCHDOG;
use common::kernel::load_program;
use nix::mount::{MsFlags, mount, umount};
use rbcore::{Error, Reader, Source};

/// The program is loaded and attached: it writes the name of each program that is executed and
/// whose name begins with "rbw".
fn load() -> Option<Ebpf> {
    static OBJECT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    load_program(
        "libbpf/programs/execs",
        &OBJECT,
        |object| -> Result<_, Box<dyn std::error::Error>> {
            let mut loaded = Ebpf::load_file(object)?;
            let program = loaded.program_mut("on_exec").ok_or("no program")?;
            let program: &mut RawTracePoint = program.try_into()?;
            program.load()?;
            program.attach("sched_process_exec")?;
            Ok(loaded)
        },
    )
}

fn map_data(loaded: &mut Ebpf) -> MapData {
    match loaded.take_map("events") {
        Some(Map::RingBuf(data)) => data,
        other => panic!("{other:?}"),
    }
}

/// Reads what programs that are executed now write, through a map of aya.
fn read_executed(map: &impl AsFd, test: &str) {
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::map(map)).unwrap();
    // Only this test uses the name: names are cut off at 15 bytes.
    let prefix = format!("rbw{test}{}", std::process::id());
    let expected: Vec<String> = (0..3).map(|i| format!("{prefix}{i}")).collect();
    for name in &expected {
        let path = std::env::temp_dir().join(name);
        symlink("/bin/true", &path).unwrap();
        let done = Command::new(&path).status();
        std::fs::remove_file(&path).unwrap();
        assert!(done.unwrap().success());
    }
    let mut found = Vec::new();
    while found.len() < expected.len() {
        let batch = reader.next(WATCHDOG).unwrap();
        assert!(!batch.is_empty(), "nothing came but {found:?}");
        for record in &batch {
            let name = record.data().split(|&byte| byte == 0).next().unwrap();
            let name = String::from_utf8_lossy(name).into_owned();
            if name.starts_with(&prefix) {
                found.push(name);
            }
        }
        batch.commit().unwrap();
    }
    found.sort(); // in the order of the CPUs' reservations otherwise
    assert_eq!(found, expected);
}

#[test]
fn map_of_a_loaded_program() {
    if let Some(mut loaded) = load() {
        read_executed(map_data(&mut loaded).fd(), "a");
    }
}

#[test]
fn ring_buf() {
    if let Some(mut loaded) = load() {
        let ring = RingBuf::try_from(loaded.take_map("events").unwrap()).unwrap();
        read_executed(&ring, "b");
    }
}

#[test]
fn map_by_id() {
    if let Some(mut loaded) = load() {
        let id = map_data(&mut loaded).info().unwrap().id();
        read_executed(MapData::from_id(id).unwrap().fd(), "c");
    }
}

#[test]
fn pinned_map() {
    if let Some(mut loaded) = load() {
        let folder = std::env::temp_dir().join(format!("rbcore-pinned-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        mount(
            Some("bpf"),
            &folder,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        let pinned = folder.join("events");
        let result = map_data(&mut loaded).pin(&pinned);
        let map = MapData::from_pin(&pinned);
        umount(&folder).unwrap();
        std::fs::remove_dir(&folder).unwrap();
        result.unwrap();
        read_executed(map.unwrap().fd(), "d");
    }
}

#[test]
fn second_reader_by_another_descriptor() {
    if let Some(mut loaded) = load() {
        let map = map_data(&mut loaded);
        let same = MapData::from_id(map.info().unwrap().id()).unwrap();
        let mut first = Reader::open().unwrap();
        first.add(&Source::map(map.fd())).unwrap();
        let mut second = Reader::open().unwrap();
        let result = second.add(&Source::map(same.fd()));
        assert!(matches!(result, Err(Error::Busy(_))), "{result:?}");
    }
}
