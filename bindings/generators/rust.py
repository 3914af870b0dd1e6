# SPDX-License-Identifier: MIT
"""This writes the texts of errors of the Rust crate."""

from __future__ import annotations

from bindings.generators.causes import causes_of, refuse
from bindings.generators.header import Header
from bindings.generators.text import NOTICE, quote

# These errors mean another thing in Rust.
RUST_CAUSES = {
    ("rbcore_reader_open", "EINVAL"): "polling needs a latency greater than zero",
}


def write_rust(header: Header, sources: str) -> str:
    lines = ["// SPDX-License-Identifier: MIT", f"// {NOTICE}", ""]
    lines += ["/// The texts of errors, by function and errno.", "#[rustfmt::skip]"]
    lines += ["pub(crate) const CAUSES: &[(&str, i32, &str)] = &["]
    for function, name, text in causes_of(header, RUST_CAUSES):
        if f'"{function}"' in sources:
            refuse(function, name, text)
            lines.append(f"    ({quote(function)}, libc::{name}, {quote(text)}),")
    return "\n".join(lines + ["];"]) + "\n"
