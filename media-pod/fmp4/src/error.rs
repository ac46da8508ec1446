//! What can be wrong with fragments that are written and read.

/// Why a fragment could not be written, or boxes not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A track's configuration is bad.
    #[error("bad track: {0}")]
    Track(#[from] headgate_codec::Error),
    /// A box is not what the standard says.
    #[error("{what} is malformed")]
    Malformed {
        /// What was read.
        what: &'static str,
    },
    /// Something is beyond its limit.
    #[error("{what} of {value} is too much")]
    TooLarge {
        /// What was read or was to be written.
        what: &'static str,
        /// How much it is.
        value: u64,
    },
}

impl Error {
    /// One word for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Track(_) => "BadTrack",
            Self::Malformed { .. } => "Malformed",
            Self::TooLarge { .. } => "TooLarge",
        }
    }
}
