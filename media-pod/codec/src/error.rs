//! What can be wrong with bytes that came from a publisher.

/// Why bytes could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The data ends before what must be there.
    #[error("{what} ends early")]
    Truncated {
        /// The structure that was read.
        what: &'static str,
    },
    /// A value is outside of what the format allows, or outside of our limits.
    #[error("{what} has the bad value {value}")]
    Invalid {
        /// The field that was read.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

impl Error {
    /// One word for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "Truncated",
            Self::Invalid { .. } => "Invalid",
        }
    }
}
