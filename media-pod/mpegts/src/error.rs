//! What can be wrong with frames that are to be written and packets that are read.

/// Why a frame could not be written, or packets not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The frame's NAL units or the track's configuration are bad.
    #[error("bad frame: {0}")]
    Frame(#[from] headgate_codec::Error),
    /// A structure is not what the standard says.
    #[error("{what} is malformed")]
    Malformed {
        /// What was read.
        what: &'static str,
    },
    /// One frame, or all unfinished frames together, are beyond the limit.
    #[error("{0} bytes of unfinished frames are too many")]
    TooLarge(usize),
}

impl Error {
    /// One word for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Frame(_) => "BadFrame",
            Self::Malformed { .. } => "Malformed",
            Self::TooLarge(_) => "TooLarge",
        }
    }
}
