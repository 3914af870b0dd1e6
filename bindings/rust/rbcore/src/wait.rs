// SPDX-License-Identifier: MIT
//! Timeouts, and waits that go on after an interruption that is not an error.

use std::time::{Duration, Instant};

use rbcore_sys as sys;

use crate::error::{Error, Result};

/// Saturates at 292 years.
pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns the timeout as the library takes it.
pub(crate) fn raw_timeout(timeout: Option<Duration>) -> i64 {
    timeout.map_or(i64::from(sys::RBCORE_FOREVER), nanoseconds)
}

/// Repeats a call with what is left of the timeout after a signal, a stop and continue, or a long
/// run of discarded records. None of these is an error, so `?` must not end a loop for them.
pub(crate) fn go_on<T>(
    timeout: Option<Duration>,
    mut call: impl FnMut(Option<Duration>) -> Result<T>,
) -> Result<T> {
    let end = match timeout {
        Some(Duration::ZERO) | None => None, // no clock is needed
        Some(timeout) => Instant::now().checked_add(timeout),
    };
    let mut left = timeout;
    loop {
        match call(left) {
            Err(Error::Signal | Error::Again) => {}
            result => return result,
        }
        if let Some(end) = end {
            left = Some(end.saturating_duration_since(Instant::now()));
        }
    }
}
