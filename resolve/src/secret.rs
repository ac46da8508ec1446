//! Where keys come from, and the hash that leaves this crate in their stead.

use headgate_control::KeyHash;
use sha2::{Digest, Sha256};

/// Bytes in the longest key that is good.
pub const KEY_MAX: usize = 256;

/// Secrets of one namespace.
pub trait Secrets {
    /// One entry of a Secret.
    fn entry(&self, secret: &str, entry: &str) -> KeySource<'_>;
}

/// What was found where a key should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource<'a> {
    /// No such Secret.
    NoSecret,
    /// The Secret is there, the entry is not.
    NoEntry,
    /// The entry.
    Found(&'a [u8]),
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// No such Secret.
    #[error("Secret {0:?} does not exist: create it, or let the operator make one with a random key")]
    SecretNotFound(String),
    /// The Secret lacks the entry.
    #[error("Secret {0:?} has no entry {1:?}: add it, or name the entry that holds the key in secretRef.key")]
    EntryNotFound(String, String),
    /// The entry is empty or white space.
    #[error("entry {1:?} of Secret {0:?} is empty: put the key there")]
    KeyEmpty(String, String),
    /// More than 256 bytes.
    #[error("entry {1:?} of Secret {0:?} has {2} bytes; a key has at most 256")]
    KeyTooLong(String, String, usize),
}

impl KeyProblem {
    /// PascalCase, for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SecretNotFound(..) => "SecretNotFound",
            Self::EntryNotFound(..) => "SecretEntryNotFound",
            Self::KeyEmpty(..) => "KeyEmpty",
            Self::KeyTooLong(..) => "KeyTooLong",
        }
    }
}

/// The hash of the key in a Secret's entry. White space around a key is not part of it: files end with a newline.
pub fn hash_key(secrets: &dyn Secrets, secret: &str, entry: &str) -> Result<KeyHash, KeyProblem> {
    let bytes = match secrets.entry(secret, entry) {
        KeySource::NoSecret => return Err(KeyProblem::SecretNotFound(secret.into())),
        KeySource::NoEntry => return Err(KeyProblem::EntryNotFound(secret.into(), entry.into())),
        KeySource::Found(bytes) => bytes.trim_ascii(),
    };
    match bytes.len() {
        0 => Err(KeyProblem::KeyEmpty(secret.into(), entry.into())),
        n if n > KEY_MAX => Err(KeyProblem::KeyTooLong(secret.into(), entry.into(), n)),
        n => Ok(KeyHash {
            sha256: hex::encode(Sha256::digest(bytes)),
            length: u32::try_from(n).unwrap_or(u32::MAX),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static [u8]);
    impl Secrets for One {
        fn entry(&self, secret: &str, entry: &str) -> KeySource<'_> {
            match (secret, entry) {
                ("s", "key") => KeySource::Found(self.0),
                ("s", _) => KeySource::NoEntry,
                _ => KeySource::NoSecret,
            }
        }
    }

    #[test]
    fn a_newline_at_the_end_is_not_part_of_the_key() {
        assert_eq!(hash_key(&One(b"abc\n"), "s", "key"), hash_key(&One(b"abc"), "s", "key"));
        assert_eq!(hash_key(&One(b"abc"), "s", "key").unwrap().length, 3);
    }

    #[test]
    fn each_way_to_have_no_key_has_its_reason() {
        let reason = |bytes, secret, entry| hash_key(&One(bytes), secret, entry).unwrap_err().reason();
        assert_eq!(reason(b"k", "t", "key"), "SecretNotFound");
        assert_eq!(reason(b"k", "s", "other"), "SecretEntryNotFound");
        assert_eq!(reason(b" \n", "s", "key"), "KeyEmpty");
        assert_eq!(reason(&[b'k'; 257], "s", "key"), "KeyTooLong");
    }
}
