// SPDX-License-Identifier: MIT
//! Finds the library: compiled from `c/` (feature `vendored`), or the installed one.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // There are no ring buffers elsewhere; and documentation needs no library.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux")
        || std::env::var_os("DOCS_RS").is_some()
    {
        return;
    }
    link();
}

#[cfg(feature = "vendored")]
fn link() {
    println!("cargo:rerun-if-changed=c");
    cc::Build::new()
        .file("c/rbcore_amalgamation.c")
        .include("c")
        .std("c11")
        .flag_if_supported("-fvisibility=hidden")
        .opt_level(2)
        .compile("rbcore");
}

#[cfg(not(feature = "vendored"))]
fn link() {
    if let Err(error) = pkg_config::Config::new()
        .atleast_version(env!("CARGO_PKG_VERSION"))
        .probe("rbcore")
    {
        eprintln!("librbcore is not installed, and the feature `vendored` is off: {error}");
        std::process::exit(1);
    }
}
