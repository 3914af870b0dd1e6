// SPDX-License-Identifier: MIT
use std::ffi::{CStr, c_int};
use std::io;

use rbcore_sys as sys;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, and what others ask of a reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Once, when everything that was there at [`Handle::flush`](crate::Handle::flush) has been read.
    #[error("flushed: all that was there has been delivered")]
    Flushed,
    /// Once, after [`Handle::interrupt`](crate::Handle::interrupt).
    #[error("interrupted by another thread")]
    Interrupted,
    /// After [`Handle::shutdown`](crate::Handle::shutdown).
    #[error("the reader was shut down")]
    Shutdown,
    /// A signal was caught during the wait; nothing was lost.
    #[error("a signal was caught")]
    Signal,
    /// No record yet, but very many discarded ones were passed: call again.
    #[error("discarded records were passed and more may wait: call again")]
    Again,
    /// The ring is full: the record is lost, and counted as such.
    #[error("the ring is full")]
    Full,
    /// Another reader has the ring, or records of the ring are not committed.
    #[error("{0}")]
    Busy(String),
    /// The ring's content is impossible: something overwrote it.
    #[error("{0}")]
    Corrupt(String),
    /// Any other error, by its number in errno(3).
    #[error("{message}")]
    Os {
        /// The number, positive.
        errno: i32,
        /// What it means here.
        message: String,
    },
}

impl Error {
    /// The number of the error in errno(3), positive.
    pub fn errno(&self) -> i32 {
        match self {
            Error::Flushed => libc::ENODATA,
            Error::Interrupted => libc::ECANCELED,
            Error::Shutdown => libc::ESHUTDOWN,
            Error::Signal => libc::EINTR,
            Error::Again | Error::Full => libc::EAGAIN,
            Error::Busy(_) => libc::EBUSY,
            Error::Corrupt(_) => libc::EBADMSG,
            Error::Os { errno, .. } => *errno,
        }
    }

    /// From a negative result; `message` says more than the number, or is empty.
    pub(crate) fn new(result: c_int, message: &str) -> Self {
        let text = || match message {
            "" => meaning(result),
            _ => message.to_owned(),
        };
        match -result {
            libc::ENODATA => Error::Flushed,
            libc::ECANCELED => Error::Interrupted,
            libc::ESHUTDOWN => Error::Shutdown,
            libc::EINTR => Error::Signal,
            libc::EAGAIN => Error::Again,
            libc::EBUSY => Error::Busy(text()),
            libc::EBADMSG => Error::Corrupt(text()),
            errno => Error::Os {
                errno,
                message: text(),
            },
        }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(-libc::EINVAL, message)
    }
}

/// The same number and words as an [`io::Error`]: its kind is that of the number, and the error
/// itself is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = io::Error::from_raw_os_error(error.errno()).kind();
        io::Error::new(kind, error)
    }
}

/// A count, or the error.
pub(crate) fn check(result: c_int) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::new(result, ""))
}

fn meaning(result: c_int) -> String {
    // SAFETY: takes any number and returns a static string.
    let text = unsafe { CStr::from_ptr(sys::rbcore_strerror(result)) };
    text.to_string_lossy().into_owned()
}
