// SPDX-License-Identifier: MIT
//! Runs each example and looks at what it prints.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const EXECUTED: usize = 20;

fn run(program: &str, arguments: &[&str]) -> String {
    output(
        Command::new("timeout")
            .arg("60")
            .arg(program)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

fn output(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

/// Where a test of the kernel's events has to be left out.
const SKIPPED: [&str; 4] = [
    "was not built",
    "Operation not permitted",
    "Permission denied",
    "with-tracefs:",
];

/// An example that loaded its BPF program and reads; or None, said why, where that cannot be had.
fn start(program: &str, arguments: &[&str]) -> Option<Child> {
    let with_tracefs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/with-tracefs");
    let mut child = Command::new("timeout")
        .arg("60")
        .arg(with_tracefs)
        .arg(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    while errors.read_line(&mut said).unwrap() > 0 {
        if said.ends_with("reading until Ctrl-C\n") {
            child.stderr = Some(errors.into_inner());
            return Some(child);
        }
    }
    assert!(!child.wait().unwrap().success());
    let can_skip = std::env::var_os("RBCORE_NEEDS_BPF").is_none();
    let reason = said.lines().last().unwrap_or("");
    assert!(
        can_skip && SKIPPED.iter().any(|skipped| said.contains(skipped)),
        "{said}"
    );
    // Past the capture of the test's output: a skip is to be seen.
    let _ = writeln!(std::io::stderr(), "\nskipped: {program}: {reason}");
    None
}

/// Executes programs with names of their own, and returns these.
fn execute(test: &str) -> Vec<String> {
    let names = (0..EXECUTED).map(|i| format!("rb{test}{}-{i}", std::process::id() % 1000));
    let names: Vec<_> = names.collect();
    names.iter().for_each(|name| execute_as(name));
    names
}

fn execute_as(name: &str) {
    let path = std::env::temp_dir().join(name);
    symlink("/bin/true", &path).unwrap();
    let done = Command::new(&path).status();
    std::fs::remove_file(&path).unwrap();
    assert!(done.unwrap().success());
}

/// Ctrl-Z and fg, which no example notices.
fn stop_and_continue(child: &Child) {
    let of_timeout = format!("/proc/{0}/task/{0}/children", child.id());
    let program = std::fs::read_to_string(of_timeout).unwrap();
    let program = Pid::from_raw(program.trim().parse().unwrap());
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        kill(program, signal).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What an example printed until Ctrl-C, which ends it without an error.
fn interrupt(mut child: Child) -> String {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    let mut errors = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "{text}{errors}");
    text
}

/// The numbers of the last line, whose words have to be these, with # for a number.
fn numbers_of_last_line(text: &str, pattern: &str) -> Vec<u64> {
    let line = text.lines().last().unwrap_or("");
    let words: Vec<_> = line.split(' ').collect();
    let expected: Vec<_> = pattern.split(' ').collect();
    assert_eq!(words.len(), expected.len(), "{line}");
    let numbers = words
        .iter()
        .zip(&expected)
        .filter_map(|(word, expected)| match *expected {
            "#" => Some(word.parse().unwrap_or_else(|_| panic!("{word} in {line}"))),
            expected => {
                assert_eq!(*word, expected, "{line}");
                None
            }
        });
    numbers.collect()
}

/// How many lines have a word.
fn lines_with(text: &str, word: &str) -> usize {
    let has = |line: &&str| {
        line.split(' ')
            .any(|found| found.split('[').next() == Some(word))
    };
    text.lines().filter(has).count()
}

#[test]
fn tail() {
    let Some(child) = start(env!("CARGO_BIN_EXE_tail"), &[]) else {
        return;
    };
    stop_and_continue(&child);
    let names = execute("t");
    let text = interrupt(child);
    for name in &names {
        assert_eq!(lines_with(&text, name), 1, "{name}: {text}");
        assert!(text.contains(&format!("/{name}\n")), "its path: {text}");
    }
    let pattern = "-- # records, # batches, # wakeups, # lost";
    let numbers = numbers_of_last_line(&text, pattern);
    assert!(numbers[0] >= EXECUTED as u64 && numbers[1] > 0 && numbers[2] > 0);
    assert_eq!(numbers[3], 0, "{text}");
}

#[test]
fn batch() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch.txt");
    let _ = std::fs::remove_file(&path);
    let Some(child) = start(env!("CARGO_BIN_EXE_batch"), &[path.to_str().unwrap()]) else {
        return;
    };
    stop_and_continue(&child);
    let names = execute("b");
    let text = interrupt(child);
    let saved = std::fs::read_to_string(path).unwrap();
    for name in &names {
        assert_eq!(lines_with(&saved, name), 1, "{name}: {saved}");
    }
    let numbers = numbers_of_last_line(&text, "# execs saved of # records, # lost");
    assert_eq!(numbers[0], saved.lines().count() as u64);
    assert!(numbers[1] >= numbers[0] && numbers[2] == 0, "{text}");
}

#[test]
fn workers() {
    let Some(child) = start(env!("CARGO_BIN_EXE_workers"), &[]) else {
        return;
    };
    stop_and_continue(&child);
    let names = execute("w");
    let text = interrupt(child);
    for name in &names {
        assert_eq!(lines_with(&text, name), 1, "{name}: {text}");
    }
    let pattern = "# records by 4 workers, # bytes not given back, # lost";
    let numbers = numbers_of_last_line(&text, pattern);
    let mut counted = 0;
    for line in text.lines().take(text.lines().count() - 1) {
        let count = line.split_whitespace().next().unwrap();
        counted += count.parse::<u64>().unwrap();
    }
    assert_eq!(numbers, [counted, 0, 0], "{text}");
}

#[test]
fn wait() {
    let Some(child) = start(env!("CARGO_BIN_EXE_wait"), &[]) else {
        return;
    };
    stop_and_continue(&child);
    execute("e");
    let text = interrupt(child);
    let pattern = "# switches and # other records beside # ticks of a timer, # lost";
    let numbers = numbers_of_last_line(&text, pattern);
    assert!(numbers[0] > 0 && numbers[1] >= EXECUTED as u64 && numbers[2] > 0);
    assert_eq!(numbers[3], 0, "{text}");
}

#[test]
fn produce() {
    let text = run(env!("CARGO_BIN_EXE_produce"), &[]);
    let numbers = numbers_of_last_line(&text, "# produced = # received + # lost");
    assert!(
        numbers[0] == 100_000 && numbers[1] > 0 && numbers[1] + numbers[2] == 100_000,
        "{text}"
    );
}

#[test]
fn flight_in_memory() {
    let text = run(env!("CARGO_BIN_EXE_flight"), &["-n", "5", "--memory"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    for (line, position) in lines.iter().zip((479_760..).step_by(48)).take(5) {
        assert!(line.contains(" made up producer["), "{text}");
        assert!(line.ends_with(&format!("] at {position}")), "{text}");
    }
    let last = "trigger: fault at 480000, the last 5 of 1364 records before it";
    assert_eq!(lines[5], last);
}

#[test]
fn flight() {
    let name = format!("rbflight{}", std::process::id() % 10000);
    let Some(child) = start(env!("CARGO_BIN_EXE_flight"), &["-n", "5", &name]) else {
        return;
    };
    stop_and_continue(&child);
    execute("f");
    execute_as(&name);
    let text = output(child.wait_with_output().unwrap());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(
        lines[5].starts_with(&format!("trigger: {name} at ")),
        "{text}"
    );
    assert!(lines[5].contains(", the last 5 "), "{text}");
    let position = |line: &&str| line.split(" at ").nth(1)?.split(',').next()?.parse().ok();
    let positions: Vec<u64> = lines.iter().filter_map(position).collect();
    assert!(positions.len() == 6 && positions.is_sorted(), "{text}");
}
