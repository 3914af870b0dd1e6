// SPDX-License-Identifier: MIT
//! Compiles the BPF program, which becomes part of each example. Where that is not possible they build
//! all the same, and say why when they are run.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

fn compile(source: &Path, object: &Path) -> Result<(), String> {
    let headers = format!("/usr/include/{}-linux-gnu", env::consts::ARCH); // where Debian has asm/
    let include = Path::new("../../include"); // rbcore_bpf.h; installed, it is in /usr/include
    let output = Command::new("clang")
        .args([
            "-g",
            "-O2",
            "--target=bpf",
            "-mcpu=v3",
            "-I",
            &headers,
            "-I",
        ])
        .arg(include)
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| format!("clang: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn main() -> io::Result<()> {
    let source = Path::new("../bpf/events.bpf.c");
    println!("cargo::rerun-if-changed=../bpf");
    println!("cargo::rerun-if-changed=../../include/rbcore/rbcore_bpf.h");
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let object = Path::new(&folder).join("events.bpf.o");
    let missing = match compile(source, &object) {
        Ok(()) => String::new(),
        Err(reason) => {
            println!("cargo::warning=without the BPF program: {reason:?}");
            fs::write(&object, [])?;
            reason
        }
    };
    fs::write(Path::new(&folder).join("missing.txt"), missing)
}
