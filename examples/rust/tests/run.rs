// SPDX-License-Identifier: MIT
//! Runs each example and looks at what it prints.

use std::path::Path;
use std::process::{Command, Output};

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

const SUMMARY: &str = "# records, # batches, # commits, # wakeups, # lost";

#[test]
fn tail() {
    let text = run(env!("CARGO_BIN_EXE_tail"), &["-d", "1"]);
    assert!(text.contains(" made up producer["), "{text}");
    assert!(text.contains("-- second 1: "), "{text}");
    assert!(
        numbers_of_last_line(&text, SUMMARY)[..4]
            .iter()
            .all(|&figure| figure > 0),
        "{text}"
    );
}

#[test]
fn batch() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch.txt");
    let text = run(env!("CARGO_BIN_EXE_batch"), &[path.to_str().unwrap()]);
    assert!(
        text.starts_with("the first reader saved 300 records"),
        "{text}"
    );
    assert!(
        text.ends_with("the second reader saved the other 700\n"),
        "{text}"
    );
    let numbers: String = (0..1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(std::fs::read_to_string(path).unwrap(), numbers);
}

#[test]
fn workers() {
    let text = run(env!("CARGO_BIN_EXE_workers"), &[]);
    let first = "20000 records by 4 workers, sum 199990000, all given back\n";
    assert!(text.starts_with(first), "{text}");
    assert!(
        numbers_of_last_line(&text, "released out of order: #")[0] > 0,
        "{text}"
    );
}

#[test]
fn wait() {
    let text = run(env!("CARGO_BIN_EXE_wait"), &[]);
    let pattern = "# records in # turns of the loop, # ticks of its timer";
    let numbers = numbers_of_last_line(&text, pattern);
    assert!(
        numbers[0] == 200 && numbers[1] > 0 && numbers[2] > 0,
        "{text}"
    );
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
fn flight() {
    let text = run(env!("CARGO_BIN_EXE_flight"), &["-n", "5"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    for (line, position) in lines.iter().zip((479_760..).step_by(48)).take(5) {
        assert!(line.contains(" made up producer["), "{text}");
        assert!(line.ends_with(&format!("] at {position}")), "{text}");
    }
    let last = "trigger: fault at 480000, the last 5 of 1364 records before it";
    assert_eq!(lines[5], last);
}
