//! Certificates of listeners, from their Secrets.

use crate::{KeySource, Secrets};
use headgate_api::MediaServerSpec;
use headgate_api::condition::{ConditionType, Finding};
use headgate_control::Certificate;
use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Entry of the Secret with the chain.
pub const CHAIN_ENTRY: &str = "tls.crt";
/// Entry of the Secret with the key.
pub const KEY_ENTRY: &str = "tls.key";
/// Bytes of a chain or key; those in use have a few thousand.
const PEM_MAX: usize = 64 << 10;

/// Why a listener has no certificate. Holds nothing of what is in the Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// No such Secret.
    #[error("Secret {0:?} does not exist: create it with type kubernetes.io/tls, or correct tls.secretName")]
    SecretNotFound(String),
    /// The Secret lacks an entry.
    #[error("Secret {0:?} has no entry {1:?}: use one of type kubernetes.io/tls")]
    EntryNotFound(String, &'static str),
    /// Not what the entry should hold.
    #[error("entry {1:?} of Secret {0:?} holds no {2} in PEM")]
    BadPem(String, &'static str, &'static str),
    /// Two pairs were mixed.
    #[error(
        "the key in Secret {0:?} is not that of its first certificate: put the leaf first, and its own key beside it"
    )]
    OtherKey(String),
}

impl TlsProblem {
    /// PascalCase, for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SecretNotFound(_) => "SecretNotFound",
            Self::EntryNotFound(..) => "SecretEntryNotFound",
            Self::BadPem(..) | Self::OtherKey(_) => "BadCertificate",
        }
    }
}

/// The certificate in a Secret, seen to be one that a server can show.
pub fn certificate(secrets: &dyn Secrets, secret: &str) -> Result<Certificate, TlsProblem> {
    let chain = entry(secrets, secret, CHAIN_ENTRY)?;
    let key = entry(secrets, secret, KEY_ENTRY)?;
    let bad_chain = || TlsProblem::BadPem(secret.into(), CHAIN_ENTRY, "certificate");
    let bad_key = || TlsProblem::BadPem(secret.into(), KEY_ENTRY, "private key that can be used");
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let certificates = certificates.ok().filter(|c| !c.is_empty()).ok_or_else(bad_chain)?;
    let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| bad_key())?;
    let private = default_provider().key_provider.load_private_key(private);
    match CertifiedKey::new(certificates, private.map_err(|_| bad_key())?).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Certificate {
            chain: chain.to_owned(),
            key: key.to_owned().into(),
        }),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsProblem::OtherKey(secret.into())),
        Err(_) => Err(bad_chain()),
    }
}

/// The Secrets that a server's listeners name, each once.
pub fn tls_secrets(spec: &MediaServerSpec) -> Vec<&str> {
    let named = spec.listeners.iter().filter(|l| l.protocol.is_tls());
    let mut names: Vec<&str> = named
        .filter_map(|l| Some(l.tls.as_ref()?.secret_name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// `ResolvedRefs` of a server; `None` where it refers to nothing.
pub fn server_findings(spec: &MediaServerSpec, secrets: &dyn Secrets) -> Option<Finding> {
    let kind = ConditionType::ResolvedRefs;
    if tls_secrets(spec).is_empty() {
        return None;
    }
    let problems = spec.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.as_ref().filter(|_| listener.protocol.is_tls())?;
        let problem = certificate(secrets, &tls.secret_name).err()?;
        Some((problem.reason(), format!("listener {:?}: {problem}", listener.name)))
    });
    let problems: Vec<_> = problems.collect();
    let Some((reason, _)) = problems.first() else {
        return Some(Finding::yes(kind, "Resolved", "every listener has its certificate"));
    };
    let texts: Vec<&str> = problems.iter().map(|(_, text)| text.as_str()).collect();
    let message = format!(
        "{}. Pods that have an older certificate go on with it; the other listeners are not touched",
        texts.join("; ")
    );
    Some(Finding::no(kind, reason, message))
}

fn entry<'a>(secrets: &'a dyn Secrets, secret: &str, entry: &'static str) -> Result<&'a str, TlsProblem> {
    match secrets.entry(secret, entry) {
        KeySource::NoSecret => Err(TlsProblem::SecretNotFound(secret.into())),
        KeySource::NoEntry => Err(TlsProblem::EntryNotFound(secret.into(), entry)),
        KeySource::Found(bytes) => std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() <= PEM_MAX)
            .ok_or_else(|| TlsProblem::BadPem(secret.into(), entry, "text of at most 64 KiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Book(HashMap<(&'static str, &'static str), String>);

    impl Secrets for Book {
        fn entry(&self, secret: &str, entry: &str) -> KeySource<'_> {
            if !self.0.keys().any(|(name, _)| *name == secret) {
                return KeySource::NoSecret;
            }
            let found = self.0.iter().find(|((s, e), _)| *s == secret && *e == entry);
            found.map_or(KeySource::NoEntry, |(_, text)| KeySource::Found(text.as_bytes()))
        }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["live.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn reason(chain: Option<&str>, key: Option<&str>) -> &'static str {
        let entries = [(CHAIN_ENTRY, chain), (KEY_ENTRY, key), ("ca.crt", Some(""))];
        let entries = entries
            .into_iter()
            .filter_map(|(entry, text)| Some((("s", entry), text?.to_owned())));
        certificate(&Book(entries.collect()), "s").map_or_else(|p| p.reason(), |_| "Good")
    }

    #[test]
    fn each_way_to_have_no_certificate_has_its_reason() {
        let ((chain, key), (_, other)) = (pair(), pair());
        let (chain, key, other) = (Some(chain.as_str()), Some(key.as_str()), Some(other.as_str()));
        assert_eq!(reason(chain, key), "Good");
        assert_eq!(reason(None, key), "SecretEntryNotFound");
        assert_eq!(reason(chain, None), "SecretEntryNotFound");
        assert_eq!(reason(Some("nonsense"), key), "BadCertificate");
        assert_eq!(reason(chain, Some("nonsense")), "BadCertificate");
        assert_eq!(reason(chain, other), "BadCertificate");
        assert_eq!(
            certificate(&Book::default(), "s").unwrap_err().reason(),
            "SecretNotFound"
        );
    }

    #[test]
    fn a_server_says_which_listeners_have_no_certificate_and_nothing_where_none_needs_one() {
        let spec = |listeners: &str| {
            serde_yaml::from_str::<MediaServerSpec>(&format!("{{listeners: [{listeners}]}}")).unwrap()
        };
        assert_eq!(
            server_findings(&spec("{name: a, protocol: RTMP, port: 1935}"), &Book::default()),
            None
        );
        let two = spec(
            "{name: a, protocol: RTMPS, port: 1936, tls: {secretName: s}}, {name: b, protocol: HTTPS, port: 8443, tls: {secretName: t}}",
        );
        let (chain, key) = pair();
        let mut book = Book([(("s", CHAIN_ENTRY), chain.clone()), (("s", KEY_ENTRY), key.clone())].into());
        let finding = server_findings(&two, &book).unwrap();
        assert_eq!((finding.status, finding.reason), (Some(false), "SecretNotFound"));
        assert!(
            finding
                .message
                .starts_with("listener \"b\": Secret \"t\" does not exist"),
            "{}",
            finding.message
        );
        book.0.extend([(("t", CHAIN_ENTRY), chain), (("t", KEY_ENTRY), key)]);
        assert_eq!(server_findings(&two, &book).unwrap().status, Some(true));
        assert_eq!(tls_secrets(&two), ["s", "t"]);
    }
}
