// SPDX-License-Identifier: MIT
use std::ptr::NonNull;

use rbcore_sys as sys;

/// The library's handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw(NonNull<sys::rbcore_reader>);

// SAFETY: a handle may be used by any thread, by one at a time. What needs that is only called by
// functions of Reader and Batch that have it by &mut; the rest is for any thread (rbcore.h).
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Raw {
    pub(crate) fn new(reader: NonNull<sys::rbcore_reader>) -> Self {
        Self(reader)
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::rbcore_reader {
        self.0.as_ptr()
    }
}
