//! What a back end answered, and what that comes to.

use bytes::Bytes;
use std::time::Duration;

use crate::failure::Failure;

/// Bytes of an answer that are read; a longer one is a bad answer.
pub const ANSWER_MAX: usize = 64 * 1024;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, or `None` when it is longer than [`ANSWER_MAX`].
    pub body: Option<Bytes>,
    /// `Retry-After`, from now.
    pub retry_after: Option<Duration>,
    /// `max-age` of `Cache-Control`; zero for `no-store` and `no-cache`.
    pub max_age: Option<Duration>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes; or, to something told: taken.
    Allow,
    /// A valid answer that says no.
    Deny {
        /// The dialect's code, never 0.
        code: i64,
        /// What the back end said about it, as it came.
        message: Option<String>,
    },
    /// No answer in the sense of the dialect.
    NoAnswer(Failure),
}

#[cfg(test)]
impl Answer {
    /// A short answer.
    pub(crate) fn of(status: u16, body: &str) -> Self {
        Self {
            status,
            body: Some(Bytes::copy_from_slice(body.as_bytes())),
            retry_after: None,
            max_age: None,
        }
    }
}

#[cfg(test)]
impl Verdict {
    /// One word, for tables.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny { .. } => "deny",
            Self::NoAnswer(failure) => failure.cause.reason(),
        }
    }
}
