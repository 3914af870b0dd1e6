// SPDX-License-Identifier: MIT
//! What must not compile: each program in `programs`, with the error that it must give.

#[test]
fn compile_fail() {
    trybuild::TestCases::new().compile_fail("tests/programs/*.rs");
}
