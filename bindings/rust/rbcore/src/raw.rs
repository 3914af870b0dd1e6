// SPDX-License-Identifier: MIT
use std::ptr::NonNull;

use rbcore_sys as sys;

/// The library's handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw(NonNull<sys::rbcore_reader>);

// SAFETY: a handle may be used by any thread, one at a time. Calls that need this are made only by
// functions of Reader and Batch that have it by &mut. The other calls are for any thread
// (rbcore.h).
unsafe impl Send for Raw {}
// SAFETY: see Send.
unsafe impl Sync for Raw {}

impl Raw {
    pub(crate) fn new(reader: NonNull<sys::rbcore_reader>) -> Self {
        Self(reader)
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::rbcore_reader {
        self.0.as_ptr()
    }
}
