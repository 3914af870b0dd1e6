// SPDX-License-Identifier: MIT
//! Writes the declarations of `rbcore-sys` from `rbcore.h`.
//!
//! `cargo run -p generate` writes them; with `-- --check` it compares them with what is committed,
//! and ends with 1 if they differ.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

const LICENSE: &str = "// SPDX-License-Identifier: MIT\n\
                       // Generated from rbcore.h by bindings/rust/generate. Do not edit.";

/// The output is independent of the machine and of the compiler's own version: `--check` compares
/// bytes.
fn declarations(include: &Path) -> Result<String, bindgen::BindgenError> {
    let bindings = bindgen::Builder::default()
        .header(include.join("rbcore/rbcore.h").to_string_lossy())
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_item("(rbcore|RBCORE)_.*")
        .blocklist_item("RBCORE_.*_INIT") // initializers of structs: the functions do that
        .raw_line(LICENSE)
        .use_core()
        .rust_target(bindgen::RustTarget::stable(75, 0).expect("a Rust that bindgen knows"))
        .rust_edition(bindgen::RustEdition::Edition2021)
        .layout_tests(true)
        .derive_default(true)
        .prepend_enum_name(false)
        .generate_comments(true)
        .clang_args(["-std=c11", "-fparse-all-comments"])
        .disable_header_comment()
        .formatter(bindgen::Formatter::Prettyplease)
        // Constants whose value is UINT32_C(1): left to clang.
        .clang_macro_fallback()
        .clang_macro_fallback_build_dir(env::temp_dir())
        .generate()?;
    Ok(bindings.to_string())
}

fn main() -> ExitCode {
    let rust = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let include = rust.join("../../include");
    let path = rust.join("rbcore-sys/src/bindings.rs");
    let new = match declarations(&include) {
        Ok(new) => new,
        Err(error) => {
            eprintln!("generate: {}: {error}", include.display());
            return ExitCode::FAILURE;
        }
    };
    if env::args().nth(1).as_deref() == Some("--check") {
        if fs::read_to_string(&path).is_ok_and(|old| old == new) {
            return ExitCode::SUCCESS;
        }
        eprintln!(
            "generate: {} is not what rbcore.h gives: run cargo run -p generate",
            path.display()
        );
        return ExitCode::FAILURE;
    }
    match fs::write(&path, new) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
