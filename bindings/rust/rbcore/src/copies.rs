// SPDX-License-Identifier: MIT
//! Copies of records that another process may write: only a copy can be lent as `&[u8]`.

use std::ffi::c_void;

use rbcore_sys as sys;

/// Implementors are lent in one piece.
pub(crate) trait Piece {
    fn ring(&self) -> u16;
    /// Returns where it begins, and how many bytes it has.
    fn extent(&mut self) -> (&mut *const c_void, usize);
}

impl Piece for sys::rbcore_record {
    fn ring(&self) -> u16 {
        self.ring
    }

    fn extent(&mut self) -> (&mut *const c_void, usize) {
        (&mut self.data, self.size as usize)
    }
}

/// A span with the headers in it. Spans are committed as a whole, and not by an address.
impl Piece for sys::rbcore_span {
    fn ring(&self) -> u16 {
        self.ring
    }

    fn extent(&mut self) -> (&mut *const c_void, usize) {
        (
            &mut self.data,
            ((self.count - 1) * self.stride + self.size) as usize,
        )
    }
}

/// Copies the pieces that another process may write, so that they can be lent as `&[u8]`.
///
/// # Safety
/// The pieces are handed out and were not given back.
pub(crate) unsafe fn copy_shared<P: Piece>(
    pieces: &mut [P],
    is_copied: &[bool],
    copies: &mut Vec<u64>,
) {
    let is_shared = |piece: &&mut P| is_set(is_copied, piece.ring());
    copies.clear();
    for piece in pieces.iter_mut().filter(is_shared) {
        let (data, size) = piece.extent();
        // SAFETY: the caller promises it.
        copies.extend(unsafe { shared_words(*data, size) });
    }
    let mut copy = copies.as_slice();
    for piece in pieces.iter_mut().filter(is_shared) {
        let (data, size) = piece.extent();
        let (words, rest) = copy.split_at(word_count(size));
        *data = words.as_ptr().cast();
        copy = rest;
    }
}

pub(crate) fn is_set(bits: &[bool], index: u16) -> bool {
    bits.get(usize::from(index)).copied().unwrap_or(false)
}

fn word_count(size: usize) -> usize {
    size.div_ceil(8)
}

/// The words of data that another process may write at this moment, each read once.
///
/// # Safety
/// The data is that of a record, a span or whole records that are handed out and were not given
/// back, and its size.
pub(crate) unsafe fn shared_words(data: *const c_void, size: usize) -> impl Iterator<Item = u64> {
    let data: *const u64 = data.cast();
    // SAFETY: data is aligned to 8 bytes, and a record takes whole words. Volatile: the compiler
    // must not believe that what it reads stays the same.
    (0..word_count(size)).map(move |i| unsafe { data.add(i).read_volatile() })
}
