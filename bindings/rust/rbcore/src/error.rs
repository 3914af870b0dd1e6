// SPDX-License-Identifier: MIT
use std::ffi::{CStr, c_int};
use std::{fmt, io};

use rbcore_sys as sys;

use crate::causes::CAUSES;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, and what a [`Handle`](crate::Handle) asks of a reader.
///
/// [`Flushed`](Self::Flushed), [`Interrupted`](Self::Interrupted) and [`Shutdown`](Self::Shutdown)
/// are not failures. They answer a call that this program made on a [`Handle`](crate::Handle); a
/// program that makes no such call never sees them. [`Signal`](Self::Signal) comes only from
/// functions with `interruptible` in their names. Everything else that `?` passes on is a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Everything that was there at [`Handle::flush`](crate::Handle::flush) has been read. This
    /// comes once.
    Flushed,
    /// The reader was interrupted. This comes once after each
    /// [`Handle::interrupt`](crate::Handle::interrupt).
    Interrupted,
    /// The reader was shut down by [`Handle::shutdown`](crate::Handle::shutdown).
    Shutdown,
    /// A signal was caught during the wait, or the process was stopped and continued; nothing was
    /// lost. It comes only from [`next_interruptible`](crate::Reader::next_interruptible) and its
    /// twins.
    Signal,
    /// Call again. It comes from [`next_interruptible`](crate::Reader::next_interruptible) and
    /// its twins: many discarded records were skipped, and no other was found yet. Or it comes from
    /// [`snapshot`](crate::Reader::snapshot): records were overwritten faster than they were
    /// copied.
    Again,
    /// The ring is full: the record is lost, and counted as such.
    Full,
    /// Another reader has the ring, or records of the ring are not committed.
    Busy(String),
    /// The ring's content is impossible: something overwrote it.
    Corrupt(String),
    /// A record is shorter than the requested type, or its data is not aligned as the type requires
    /// (records are aligned to 8 bytes).
    Mismatch(String),
    /// This is any other error, by its number in errno(3). `ENOBUFS`: a reader of several rings
    /// dropped so many batches that it can track no more uncommitted records. Commit first.
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
            Error::Mismatch(_) => libc::EINVAL,
            Error::Os { errno, .. } => *errno,
        }
    }

    /// Makes an error from a negative result and a message that says what went wrong.
    pub(crate) fn new(result: c_int, message: &str) -> Self {
        let text = || message.to_owned();
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

    /// Makes an error from a negative result of a function of the library that leaves no message.
    pub(crate) fn of(function: &str, result: c_int) -> Self {
        let cause = CAUSES
            .iter()
            .find(|(name, errno, _)| *name == function && *errno == -result);
        match cause {
            Some((_, _, text)) => Self::new(result, text),
            None => Self::new(result, &meaning(result)),
        }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(-libc::EINVAL, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Flushed => "flushed: all that was there has been delivered",
            Error::Interrupted => "interrupted by another thread",
            Error::Shutdown => "the reader was shut down",
            Error::Signal => "a signal was caught",
            Error::Again => "no record could be delivered yet: call again",
            Error::Full => "the ring is full",
            Error::Busy(message) | Error::Corrupt(message) | Error::Mismatch(message) => message,
            Error::Os { message, .. } => message,
        })
    }
}

impl std::error::Error for Error {}

/// Converts to an [`io::Error`] with the same text. Its kind is that of the number, and the error
/// itself is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = io::Error::from_raw_os_error(error.errno()).kind();
        io::Error::new(kind, error)
    }
}

/// Returns a count, or the error of this function.
pub(crate) fn check(function: &str, result: c_int) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::of(function, result))
}

/// Says what an error means in all functions.
fn meaning(result: c_int) -> String {
    // SAFETY: it takes any number and returns a static string.
    let text = |number| unsafe { CStr::from_ptr(sys::rbcore_strerror(number)) };
    if text(result) == text(c_int::MAX) {
        return io::Error::from_raw_os_error(-result).to_string(); // one that the library knows nothing of
    }
    text(result).to_string_lossy().into_owned()
}
