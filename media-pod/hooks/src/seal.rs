//! [`SealKey`]: hides what a ledger entry says from all but the pods of the server. It goes through the operator and stands in objects of the cluster, and
//! holds the client's own query and address.
//!
//! `version (1 byte), nonce (12), AES-256-GCM ciphertext and tag`, in URL-safe base64 without padding. The nonce is random, so a text is made once.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::sync::Arc;

use crate::opened::Opened;

/// The version of what is sealed. It is authenticated.
const VERSION: u8 = 1;
/// What the key is used for, authenticated too.
const PURPOSE: &[u8] = b"headgate ledger entry v1";

/// The key of sealed ledger entries, the same in all pods of a server.
#[derive(Clone)]
pub struct SealKey(Arc<RandomizedNonceKey>);

/// Why a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSealKey {
    /// Not hex.
    #[error("the seal key is not hex")]
    NotHex,
    /// Not 32 bytes.
    #[error("the seal key has {0} bytes, not 32")]
    Length(usize),
}

/// Why an entry cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Unreadable {
    #[error("there is no seal key")]
    NoKey,
    #[error("it is not base64")]
    NotBase64,
    #[error("it is of another version")]
    UnknownVersion,
    #[error("it was sealed with another key, or changed")]
    NotOurs,
    #[error("it does not say what an entry says")]
    NoEntry,
    #[error("it is about another session")]
    OtherSession,
}

impl BadSealKey {
    /// PascalCase.
    pub fn reason(self) -> &'static str {
        "BadSealKey"
    }
}

impl SealKey {
    /// A key of 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, BadSealKey> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| BadSealKey::Length(bytes.len()))?;
        Ok(Self(Arc::new(key)))
    }

    /// The same from the text of [`headgate_control::SEAL_FILE`]: hex, with white space around it.
    pub fn from_hex(text: &str) -> Result<Self, BadSealKey> {
        Self::new(&hex::decode(text.trim()).map_err(|_| BadSealKey::NotHex)?)
    }

    /// The sealed form; another one each time.
    pub(crate) fn seal(&self, opened: &Opened) -> Option<String> {
        let mut bytes = serde_json::to_vec(opened).ok()?;
        let nonce = self.0.seal_in_place_append_tag(Aad::from(PURPOSE), &mut bytes).ok()?;
        let sealed = [&[VERSION], nonce.as_ref().as_slice(), &bytes].concat();
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What was sealed.
    pub(crate) fn open(&self, sealed: &str) -> Result<Opened, Unreadable> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Unreadable::NotBase64)?;
        let Some((&VERSION, rest)) = bytes.split_first() else {
            return Err(Unreadable::UnknownVersion);
        };
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unreadable::NotOurs)?;
        let mut text = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.open_in_place(nonce, Aad::from(PURPOSE), &mut text);
        let plain = plain.map_err(|_| Unreadable::NotOurs)?;
        serde_json::from_slice(plain).map_err(|_| Unreadable::NoEntry)
    }
}

/// Without the key.
impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use headgate_control::HookEvent;
    use uuid::Uuid;

    fn opened() -> Opened {
        let closing = testing::event(HookEvent::Unpublish, "alice");
        Opened {
            session: Uuid::now_v7(),
            started: jiff::Timestamp::UNIX_EPOCH,
            key: Some("alice".into()),
            connection: Some(testing::event(HookEvent::Close, "alice")),
            closing,
        }
    }

    #[test]
    fn a_key_is_64_hex_digits_and_shows_itself_nowhere() {
        let text = "0f".repeat(32);
        let key = SealKey::from_hex(&format!("{text}\n"));
        assert_eq!(format!("{key:?}"), "Ok(SealKey)");
        assert!(matches!(SealKey::from_hex("0f"), Err(BadSealKey::Length(1))));
        assert!(matches!(SealKey::from_hex("no"), Err(BadSealKey::NotHex)));
    }

    #[test]
    fn an_entry_opens_with_the_key_that_sealed_it_and_with_no_other() {
        let key = |byte: u8| SealKey::new(&[byte; 32]);
        let (Ok(key), Ok(other)) = (key(1), key(2)) else {
            unreachable!("32 bytes are a key");
        };
        let opened = opened();
        let sealed = key.seal(&opened).unwrap_or_default();
        assert_eq!(key.open(&sealed), Ok(opened.clone()));
        assert_eq!(other.open(&sealed), Err(Unreadable::NotOurs));
        assert_eq!(key.open(sealed.get(..20).unwrap_or_default()), Err(Unreadable::NotOurs));
        assert_ne!(key.seal(&opened), Some(sealed.clone()), "another nonce each time");
        assert!(
            sealed
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
    }
}
