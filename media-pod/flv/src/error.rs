//! What can be wrong with tags that came from a publisher or a file.

/// Why a tag could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body ends before what must be there.
    #[error("{what} ends early")]
    Truncated {
        /// The structure that was read.
        what: &'static str,
    },
    /// The sequence header's configuration record is bad.
    #[error("bad sequence header: {0}")]
    Config(#[from] headgate_codec::Error),
    /// A value the format does not know.
    #[error("{what} has the bad value {value}")]
    Invalid {
        /// The field that was read.
        what: &'static str,
        /// Its value.
        value: u32,
    },
    /// A body longer than the size field can say.
    #[error("a tag body of {0} bytes is too large")]
    TooLarge(usize),
}

impl Error {
    /// One word for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "Truncated",
            Self::Config(_) => "BadConfig",
            Self::Invalid { .. } => "Invalid",
            Self::TooLarge(_) => "TooLarge",
        }
    }
}
