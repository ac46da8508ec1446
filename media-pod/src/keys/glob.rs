//! [`Glob`]: a pattern that knows when it is no pattern, so that the common case is one comparison.

use headgate_control::glob_matches;

/// A compiled glob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Glob {
    /// `*`.
    Any,
    /// Without `*` and `?`.
    Literal(Box<str>),
    /// All others.
    Pattern(Box<str>),
}

impl Glob {
    /// Every string is a glob.
    pub(super) fn new(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            _ if text.contains(['*', '?']) => Self::Pattern(text.into()),
            _ => Self::Literal(text.into()),
        }
    }

    /// Whether the whole of `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal.as_ref() == text,
            Self::Pattern(glob) => glob_matches(glob, text),
        }
    }

    /// The one text that matches, if there is one.
    pub(super) fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Any | Self::Pattern(_) => None,
        }
    }
}
