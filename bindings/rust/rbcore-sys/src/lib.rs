// SPDX-License-Identifier: MIT
//! The C ABI of [rbcore](https://docs.rs/rbcore), as `rbcore.h` declares it.
//!
//! Everything here is written by bindgen from that header; its comments are the contract. Programs
//! use the safe crate `rbcore`.
#![no_std]
#![allow(non_camel_case_types, missing_docs)]

#[rustfmt::skip]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks, unreachable_pub, rustdoc::all)]
mod bindings;

pub use bindings::*;

/// The value of a statistic that is not known. (bindgen leaves it out: it evaluates macros as
/// signed numbers.)
pub const RBCORE_UNKNOWN: u64 = u64::MAX;
