//! The one error of this crate. A person reads it at the end of a failed run, so every message says what was tried.

use std::fmt::Display;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file, a socket or a process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// What it wrote to standard error, or to standard output if there was nothing else.
        output: String,
    },
    /// Something did not hold.
    #[error("{0}")]
    Failed(String),
}

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

/// Says what was tried when something failed.
pub trait Context<T> {
    /// Turns the failure into an [`Error`] that begins with `what`.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|source| Error::Io {
            what: what.to_string(),
            source,
        })
    }
}

impl<T> Context<T> for Result<T> {
    fn context(self, what: impl Display) -> Self {
        self.map_err(|cause| Error::Failed(format!("{what}: {cause}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.ok_or_else(|| Error::Failed(what.to_string()))
    }
}

impl From<serde_json::Error> for Error {
    fn from(cause: serde_json::Error) -> Self {
        Self::Failed(format!("not the JSON that was expected: {cause}"))
    }
}

impl From<rcgen::Error> for Error {
    fn from(cause: rcgen::Error) -> Self {
        Self::Failed(format!("making a certificate: {cause}"))
    }
}

/// Fails the scenario with a message unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::error::Error::new(format!($($message)+)));
        }
    };
}
