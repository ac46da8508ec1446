//! What can be wrong with a peer.

use std::error::Error;
use std::time::Duration;

/// Why a peer gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection, or it broke.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// An answer that makes no sense.
    #[error("answered with {0}")]
    BadAnswer(String),
    /// Its media make no sense.
    #[error("bad media: {0}")]
    BadMedia(#[from] headgate_flv::Error),
}

impl PeerError {
    /// PascalCase.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "PeerUnreachable",
            Self::TimedOut(_) => "PeerTimedOut",
            Self::BadAnswer(_) => "PeerBadAnswer",
            Self::BadMedia(_) => "PeerBadMedia",
        }
    }
}

/// The innermost cause: what is around it names the URL and says nothing.
impl From<reqwest::Error> for PeerError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: &dyn Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Unreachable(cause.to_string())
    }
}
