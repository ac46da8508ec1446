//! Why a push came to nothing.

use std::io;
use std::time::Duration;

/// What was wrong with a target. Never says its stream's name, which may be a key.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Not a URL that streams can be pushed to.
    #[error("a URL to push to {0}")]
    BadUrl(&'static str),
    /// No connection, or it broke.
    #[error("not reachable: {0}")]
    Unreachable(#[from] io::Error),
    /// No connection, no answer, or nothing taken, in time.
    #[error("nothing happened within {0:?}")]
    TimedOut(Duration),
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It does not want the stream.
    #[error("it refused: {0}")]
    Refused(String),
    /// It wants us to come again.
    #[error("it asked to be connected to again")]
    AskedToReconnect,
    /// It fell behind the stream too often.
    #[error("it takes less than the stream has")]
    TooSlow,
    /// It does not speak RTMP.
    #[error(transparent)]
    Protocol(#[from] headgate_rtmp::Error),
}

impl PushError {
    /// PascalCase.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadUrl(_) => "BadUrl",
            Self::Unreachable(_) => "Unreachable",
            Self::TimedOut(_) => "TimedOut",
            Self::Closed => "Closed",
            Self::Refused(_) => "Refused",
            Self::AskedToReconnect => "AskedToReconnect",
            Self::TooSlow => "TooSlow",
            Self::Protocol(_) => "ProtocolError",
        }
    }
}
