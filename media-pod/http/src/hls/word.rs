//! The words by which sessions are known: made here alone, since nobody else has the key.

use super::elsewhere::Home;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;

/// What words are signed with. Pods of one server that have the same go on with each other's sessions.
#[derive(Clone)]
pub struct HlsKey(Hmac<Sha256>);

/// What the key is used for, beside whatever else the secret is for.
const PURPOSE: &[u8] = b"headgate hls session v1";
/// Bytes that make a word one of its own.
const UNIQUE: usize = 16;
/// Bytes of the signature that are sent: guessing one takes 2^127 tries.
const SIGNED: usize = 16;

/// What a word is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) vhost: &'a str,
    pub(crate) app: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) container: &'static str,
}

/// No stream has no name.
const VISITOR: Scope<'_> = Scope {
    vhost: "",
    app: "",
    stream: "",
    container: "visitor",
};

impl HlsKey {
    /// From a secret that the pods of a server share.
    pub fn new(secret: &[u8]) -> Self {
        // Any length of key will do.
        let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).map_err(drop);
        let derived = keyed(secret).map(|mac| mac.chain_update(PURPOSE).finalize().into_bytes());
        let mac = derived.and_then(|key| keyed(&key));
        Self(mac.unwrap_or_else(|()| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default())))
    }

    /// One that nobody shares.
    pub fn random() -> Self {
        let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes);
        Self::new(&halves.concat())
    }

    /// A word for one who asks for files, whatever streams they are of.
    pub(crate) fn visitor(&self) -> String {
        self.signed(uuid::Uuid::new_v4().into_bytes(), VISITOR)
    }

    /// Whether a visitor's word was made with this key.
    pub(crate) fn knows(&self, visitor: &str) -> bool {
        self.made(visitor, VISITOR)
    }

    /// A word that never was before, of a session that is at home there.
    pub(crate) fn word(&self, scope: Scope<'_>, home: Home) -> String {
        self.signed(home.unique(), scope)
    }

    fn signed(&self, unique: [u8; UNIQUE], scope: Scope<'_>) -> String {
        let signed = self.sign(&unique, scope).finalize().into_bytes();
        let signed = signed.get(..SIGNED).unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.encode([unique.as_slice(), signed].concat())
    }

    /// Whether a word was made with this key for that.
    pub(crate) fn made(&self, word: &str, scope: Scope<'_>) -> bool {
        let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(word) else {
            return false;
        };
        let parts = bytes
            .split_at_checked(UNIQUE)
            .filter(|(_, signed)| signed.len() == SIGNED);
        parts.is_some_and(|(unique, signed)| self.sign(unique, scope).verify_truncated_left(signed).is_ok())
    }

    fn sign(&self, unique: &[u8], scope: Scope<'_>) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(unique);
        for part in [scope.container, scope.vhost, scope.app, scope.stream] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// Without the key.
impl fmt::Debug for HlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HlsKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'_> = Scope {
        vhost: "v",
        app: "live",
        stream: "alice",
        container: "ts",
    };

    #[test]
    fn a_word_is_good_for_its_stream_in_every_pod_with_the_key() {
        let word = HlsKey::new(b"k").word(SCOPE, Home::of("live-0"));
        assert_eq!(word.len(), 43);
        assert!(HlsKey::new(b"k").made(&word, SCOPE));
        let other = Scope { stream: "bob", ..SCOPE };
        let shifted = Scope {
            app: "livea",
            stream: "lice",
            ..SCOPE
        };
        assert!(!HlsKey::new(b"k").made(&word, other) && !HlsKey::new(b"k").made(&word, shifted));
        assert!(!HlsKey::new(b"l").made(&word, SCOPE));
    }

    #[test]
    fn a_visitors_word_is_good_for_nothing_else_and_none_is_chosen() {
        let key = HlsKey::new(b"k");
        let word = key.visitor();
        assert!(key.knows(&word) && HlsKey::new(b"k").knows(&word));
        assert!(!key.made(&word, SCOPE) && !key.knows(&key.word(SCOPE, Home::of("live-0"))));
        assert!(!HlsKey::new(b"l").knows(&word) && !key.knows("mine"));
    }

    #[test]
    fn a_client_cannot_choose_a_word() {
        let key = HlsKey::new(b"k");
        let word = key.word(SCOPE, Home::of("live-0"));
        let cut = word.get(..40).unwrap();
        for chosen in ["", "mine", "!", cut, &format!("{word}AA"), &"A".repeat(43)] {
            assert!(!key.made(chosen, SCOPE), "{chosen}");
        }
        assert_ne!(word, key.word(SCOPE, Home::of("live-0")));
    }
}
