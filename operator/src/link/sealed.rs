//! What closes a session, in three quarters of the bytes of its text: there may be tens of thousands.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// The text of a ledger's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// As pods make them: URL-safe base64.
    Bytes(Box<[u8]>),
    /// Anything else.
    Text(Box<str>),
}

impl Sealed {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) => Self::Bytes(bytes.into()),
            Err(_) => Self::Text(text.into()),
        }
    }

    /// The text.
    pub fn text(&self) -> Arc<str> {
        match self {
            Self::Bytes(bytes) => URL_SAFE_NO_PAD.encode(bytes).into(),
            Self::Text(text) => text.as_ref().into(),
        }
    }

    /// How much room it takes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_out_as_it_went_in_whatever_it_is() {
        let long = "A".repeat(2000);
        for text in [
            "",
            "x",
            "abcd",
            "a-_Z",
            "not base64!",
            "YQ",
            "YR",
            "YQ==",
            long.as_str(),
        ] {
            assert_eq!(&*Sealed::of(text).text(), text, "{text}");
        }
        assert_eq!(Sealed::of(&long).len(), 1500);
    }
}
