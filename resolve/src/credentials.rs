//! What a HookEndpoint refers to: keys that sign, headers, certificates. From Secrets to what a pod uses.

use crate::{KeySource, Secrets};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headgate_api::{Header, HookEndpointSpec, HookTls, Proof, SecretKeyRef};
use headgate_control::{Hidden, HookCredentials, HookHeader};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What stands before a key that is written as Standard Webhooks has it.
const KEY_PREFIX: &str = "whsec_";
/// Bytes of a key that signs, by Standard Webhooks.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a header's value.
const VALUE_MAX: usize = 4096;
/// Bytes of certificates in PEM.
const PEM_MAX: usize = 128 * 1024;

/// Why there are no credentials. Holds nothing of what stands in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialProblem {
    /// No such Secret.
    #[error("Secret {0:?} does not exist in this namespace: create it")]
    SecretNotFound(String),
    /// The Secret lacks the entry.
    #[error("Secret {0:?} has no entry {1:?}: add it")]
    EntryNotFound(String, String),
    /// No key of Standard Webhooks.
    #[error(
        "entry {1:?} of Secret {0:?} is no key to sign with: write 24 to 64 bytes in base64, with or without `whsec_` before it"
    )]
    BadSigningKey(String, String),
    /// Nothing that a header can hold.
    #[error("entry {1:?} of Secret {0:?} cannot stand in a header: write 1 to 4096 visible characters of ASCII")]
    BadHeaderValue(String, String),
    /// No certificate.
    #[error("entry {1:?} of Secret {0:?} holds no certificate in PEM")]
    BadCertificate(String, String),
    /// No private key.
    #[error("entry {1:?} of Secret {0:?} holds no private key in PEM")]
    BadPrivateKey(String, String),
}

impl CredentialProblem {
    /// PascalCase, for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SecretNotFound(..) => "SecretNotFound",
            Self::EntryNotFound(..) => "SecretEntryNotFound",
            Self::BadSigningKey(..) => "BadSigningKey",
            Self::BadHeaderValue(..) => "BadHeaderValue",
            Self::BadCertificate(..) => "BadCertificate",
            Self::BadPrivateKey(..) => "BadPrivateKey",
        }
    }
}

type Found<T> = Result<T, CredentialProblem>;
type Wrong = fn(String, String) -> CredentialProblem;

/// All that an endpoint refers to.
pub fn credentials(spec: &HookEndpointSpec, secrets: &dyn Secrets) -> Found<HookCredentials> {
    let book = Book(secrets);
    let mut headers: Vec<HookHeader> = Vec::new();
    for header in &spec.headers {
        headers.push(book.header(header)?);
    }
    if let Some(proof) = &spec.authentication {
        headers.push(book.authorization(proof)?);
    }
    let tls = spec.tls.clone().unwrap_or_default();
    Ok(HookCredentials {
        signing: match &spec.signing {
            Some(signing) => book.signing(&signing.secret_ref.name)?,
            None => Vec::new(),
        },
        headers,
        authorities: match &tls.ca_secret_ref {
            Some(of) => Some(book.certificates(&of.name, &of.key)?),
            None => None,
        },
        identity: book.identity(&tls)?,
    })
}

struct Book<'a>(&'a dyn Secrets);

impl Book<'_> {
    /// An entry without white space around it: files end with a newline.
    fn entry(&self, secret: &str, entry: &str) -> Found<&[u8]> {
        match self.0.entry(secret, entry) {
            KeySource::NoSecret => Err(CredentialProblem::SecretNotFound(secret.into())),
            KeySource::NoEntry => Err(CredentialProblem::EntryNotFound(secret.into(), entry.into())),
            KeySource::Found(bytes) => Ok(bytes.trim_ascii()),
        }
    }

    fn signing(&self, secret: &str) -> Found<Vec<Hidden>> {
        let mut keys = vec![self.signing_key(secret, "current")?];
        if !matches!(self.0.entry(secret, "previous"), KeySource::NoEntry) {
            keys.push(self.signing_key(secret, "previous")?);
        }
        Ok(keys)
    }

    fn signing_key(&self, secret: &str, entry: &str) -> Found<Hidden> {
        let bad = || CredentialProblem::BadSigningKey(secret.into(), entry.into());
        let text = std::str::from_utf8(self.entry(secret, entry)?).map_err(|_| bad())?;
        let key = STANDARD.decode(text.strip_prefix(KEY_PREFIX).unwrap_or(text));
        let key = key.ok().filter(|key| KEY_BYTES.contains(&key.len())).ok_or_else(bad)?;
        Ok(STANDARD.encode(key).into())
    }

    fn header(&self, header: &Header) -> Found<HookHeader> {
        let value = match &header.value_from {
            Some(source) => self.visible(&source.secret_key_ref)?.to_owned(),
            None => header.value.clone().unwrap_or_default(),
        };
        Ok(HookHeader {
            name: header.name.clone(),
            value: value.into(),
        })
    }

    fn authorization(&self, proof: &Proof) -> Found<HookHeader> {
        let value = if let Some(of) = &proof.bearer_secret_ref {
            format!("Bearer {}", self.visible(of)?)
        } else {
            let name = proof.basic_secret_ref.as_ref().map_or("", |r| r.name.as_str());
            let (user, password) = (self.text(name, "username")?, self.text(name, "password")?);
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        };
        Ok(HookHeader {
            name: "Authorization".into(),
            value: value.into(),
        })
    }

    fn visible(&self, of: &SecretKeyRef) -> Found<&str> {
        let text = self.text(&of.name, &of.key)?;
        let visible = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        Some(text)
            .filter(|_| visible)
            .ok_or_else(|| CredentialProblem::BadHeaderValue(of.name.clone(), of.key.clone()))
    }

    fn text(&self, secret: &str, entry: &str) -> Found<&str> {
        let text = std::str::from_utf8(self.entry(secret, entry)?).ok();
        text.filter(|text| (1..=VALUE_MAX).contains(&text.len()))
            .ok_or_else(|| CredentialProblem::BadHeaderValue(secret.into(), entry.into()))
    }

    fn certificates(&self, secret: &str, entry: &str) -> Found<String> {
        let is_good = |pem: &[u8]| {
            let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect();
            !all.is_empty() && all.iter().all(Result::is_ok)
        };
        self.pem(secret, entry, is_good, CredentialProblem::BadCertificate)
    }

    fn identity(&self, tls: &HookTls) -> Found<Option<Hidden>> {
        let Some(of) = &tls.client_secret_ref else {
            return Ok(None);
        };
        let chain = self.certificates(&of.name, "tls.crt")?;
        let is_good = |pem: &[u8]| PrivateKeyDer::from_pem_slice(pem).is_ok();
        let key = self.pem(&of.name, "tls.key", is_good, CredentialProblem::BadPrivateKey)?;
        Ok(Some(format!("{chain}\n{key}\n").into()))
    }

    fn pem(&self, secret: &str, entry: &str, is_good: impl Fn(&[u8]) -> bool, wrong: Wrong) -> Found<String> {
        let bytes = self.entry(secret, entry)?;
        let text = std::str::from_utf8(bytes).ok();
        text.filter(|text| text.len() <= PEM_MAX && is_good(bytes))
            .map(str::to_owned)
            .ok_or_else(|| wrong(secret.into(), entry.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Of(BTreeMap<(&'static str, &'static str), String>);

    impl Secrets for Of {
        fn entry(&self, secret: &str, entry: &str) -> KeySource<'_> {
            if !self.0.keys().any(|(name, _)| *name == secret) {
                return KeySource::NoSecret;
            }
            let found = self.0.iter().find(|((s, e), _)| *s == secret && *e == entry);
            found.map_or(KeySource::NoEntry, |(_, text)| KeySource::Found(text.as_bytes()))
        }
    }

    fn spec(rest: &str) -> HookEndpointSpec {
        let yaml = format!("{{serverRefs: [{{name: live}}], dialect: SRS, urls: ['https://b/x'], {rest}}}");
        serde_yaml::from_str(&yaml).unwrap()
    }

    fn found(rest: &str, entries: &[(&'static str, &'static str, &str)]) -> Result<HookCredentials, &'static str> {
        let of = Of(entries
            .iter()
            .map(|(s, e, text)| ((*s, *e), (*text).to_owned()))
            .collect());
        credentials(&spec(rest), &of).map_err(|problem| problem.reason())
    }

    #[test]
    fn an_endpoint_that_refers_to_nothing_has_nothing() {
        assert_eq!(found("suspend: false", &[]), Ok(HookCredentials::default()));
    }

    #[test]
    fn a_key_is_written_with_its_prefix_or_without_and_the_one_before_it_signs_too() {
        let (one, two) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 24]));
        let signing = "signing: {secretRef: {name: s}}";
        let with_prefix = format!("whsec_{one}\n");
        let both = found(signing, &[("s", "current", &with_prefix), ("s", "previous", &two)]).unwrap();
        assert_eq!(both.signing, [Hidden::from(one.as_str()), Hidden::from(two.as_str())]);
        assert_eq!(found(signing, &[("s", "current", &one)]).unwrap().signing.len(), 1);
        assert_eq!(found(signing, &[]), Err("SecretNotFound"));
        assert_eq!(found(signing, &[("s", "previous", &one)]), Err("SecretEntryNotFound"));
        for bad in ["", "whsec_", "not base64!", "c2hvcnQ=", &STANDARD.encode([3; 65])] {
            assert_eq!(found(signing, &[("s", "current", bad)]), Err("BadSigningKey"), "{bad}");
        }
    }

    #[test]
    fn headers_come_from_the_spec_or_from_secrets() {
        let headers =
            "headers: [{name: X-A, value: a}, {name: X-B, valueFrom: {secretKeyRef: {name: t, key: header}}}]";
        let all = found(headers, &[("t", "header", "b c\n")]).unwrap().headers;
        let texts: Vec<_> = all.iter().map(|h| (h.name.as_str(), h.value.reveal())).collect();
        assert_eq!(texts, [("X-A", "a"), ("X-B", "b c")]);
        assert_eq!(found(headers, &[("t", "header", "a\r\nX-C: d")]), Err("BadHeaderValue"));
        assert_eq!(found(headers, &[("t", "header", "")]), Err("BadHeaderValue"));
    }

    #[test]
    fn a_token_or_a_password_makes_an_authorization() {
        let value = |rest: &str, entries: &[(&'static str, &'static str, &str)]| {
            found(rest, entries).map(|c| c.headers[0].value.reveal().to_owned())
        };
        let bearer = "authentication: {bearerSecretRef: {name: t, key: token}}";
        assert_eq!(value(bearer, &[("t", "token", "abc\n")]), Ok("Bearer abc".into()));
        let basic = "authentication: {basicSecretRef: {name: u}}";
        let user = [("u", "username", "Aladdin"), ("u", "password", "open sesame")];
        assert_eq!(value(basic, &user), Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into()));
        assert_eq!(value(basic, &user[..1]), Err("SecretEntryNotFound"));
    }

    #[test]
    fn certificates_are_looked_at_before_they_are_used() {
        let made = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = "tls: {caSecretRef: {name: ca, key: ca.crt}, clientSecretRef: {name: me}}";
        let good = [
            ("ca", "ca.crt", cert.as_str()),
            ("me", "tls.crt", cert.as_str()),
            ("me", "tls.key", key.as_str()),
        ];
        let all = found(tls, &good).unwrap();
        assert_eq!(all.authorities.as_deref(), Some(cert.trim()));
        assert!(all.identity.is_some_and(|pem| pem.reveal().contains("PRIVATE KEY")));
        let with = |at: usize, text: &'static str| {
            let mut entries = good;
            entries[at].2 = text;
            found(tls, &entries).unwrap_err()
        };
        assert_eq!(with(0, "no PEM"), "BadCertificate");
        assert_eq!(with(1, ""), "BadCertificate");
        assert_eq!(with(2, "no PEM"), "BadPrivateKey");
    }
}
