//! The name under which a stream is published and played.

use crate::{Reason, Refusal};
use std::fmt;
use std::sync::Arc;

/// Virtual host, app and stream. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    /// Virtual host; `__defaultVhost__` where none was named.
    pub vhost: Arc<str>,
    /// May have slashes within.
    pub app: Arc<str>,
    /// Has no slash.
    pub stream: Arc<str>,
}

impl StreamName {
    /// Bytes of each part.
    pub const PART_MAX: usize = 255;

    /// A name of parts that came from a client: none empty, too long, with control characters or with empty or dotted path segments.
    pub fn parse(vhost: &str, app: &str, stream: &str) -> Result<Self, Refusal> {
        for (what, part) in [("vhost", vhost), ("app", app), ("stream", stream)] {
            if let Some(problem) = problem(part) {
                return Err(Refusal::new(Reason::BadRequest, format!("the {what} name {problem}")));
            }
        }
        if stream.contains('/') {
            return Err(Refusal::new(Reason::BadRequest, "the stream name has a slash"));
        }
        Ok(Self {
            vhost: vhost.into(),
            app: app.into(),
            stream: stream.into(),
        })
    }
}

/// What is wrong with a part of a name. Does not repeat the part: it may hold a key.
fn problem(part: &str) -> Option<&'static str> {
    if part.is_empty() {
        Some("is empty")
    } else if part.len() > StreamName::PART_MAX {
        Some("is longer than 255 bytes")
    } else if part
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\'))
    {
        Some("has a space, a control character, or one of ? # \\")
    } else if part.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        Some("has an empty or dotted path segment")
    } else {
        None
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_confuse_paths_or_logs_are_refused() {
        let cases = [
            ("v", "live", "alice", true),
            ("v", "live/eu", "алиса", true),
            ("v", "live", "", false),
            ("v", "", "alice", false),
            ("v", "live/", "alice", false),
            ("v", "/live", "alice", false),
            ("v", "../etc", "alice", false),
            ("v", "live", "a/b", false),
            ("v", "live", "a b", false),
            ("v", "live", "a\r\nSet-Cookie:x", false),
            ("v", "live", "a?b", false),
        ];
        for (vhost, app, stream, good) in cases {
            assert_eq!(
                StreamName::parse(vhost, app, stream).is_ok(),
                good,
                "{app:?} {stream:?}"
            );
        }
        assert!(StreamName::parse("v", "live", &"x".repeat(256)).is_err());
    }
}
