//! Certificates that can be renewed while connections use them.

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// A certificate chain with its key. What is printed of it says nothing of the key.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

/// Why no certificate comes of two files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// No PEM, or none of a certificate.
    #[error("the certificate chain holds no certificate in PEM")]
    NoCertificate,
    /// No PEM, or none of a key.
    #[error("the key is no private key in PEM")]
    NoKey,
    /// A kind of key that nobody can serve with.
    #[error("the key cannot be used: {0}")]
    UnusableKey(String),
    /// Certificate and key are of two pairs.
    #[error("the key is not that of the certificate")]
    OtherKey,
}

/// What the protocol behind TLS is called in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2 where the client has it, else HTTP/1.1.
    Http,
    /// It has no name: whatever the client says is passed over.
    None,
}

impl Certificate {
    /// From PEM, the leaf first.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, BadCertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain
            .ok()
            .filter(|c| !c.is_empty())
            .ok_or(BadCertificate::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BadCertificate::NoKey)?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| BadCertificate::UnusableKey(error.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            // A kind of key that does not say its public half is believed.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Self(Arc::new(pair))),
            Err(rustls::Error::InconsistentKeys(_)) => Err(BadCertificate::OtherKey),
            Err(_) => Err(BadCertificate::NoCertificate),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} in its chain)", self.0.cert.len())
    }
}

/// The server's side, which shows whatever certificate is current when a client says hello.
pub fn server_config(current: Arc<ArcSwapOption<Certificate>>, alpn: Alpn) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Current(current)));
    if alpn == Alpn::Http {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::clone(CryptoProvider::get_default().unwrap_or(&Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

struct Current(Arc<ArcSwapOption<Certificate>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full().map(|certificate| Arc::clone(&certificate.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["live.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn refusal(chain: &str, key: &str) -> BadCertificate {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_pair_that_fits_is_a_certificate_and_its_key_is_never_printed() {
        let (chain, key) = pair();
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(format!("{certificate:?}"), "Certificate(1 in its chain)");
    }

    #[test]
    fn what_does_not_fit_is_told_by_why() {
        let ((chain, key), (_, other)) = (pair(), pair());
        assert_eq!(refusal("", &key), BadCertificate::NoCertificate);
        assert_eq!(refusal(&key, &key), BadCertificate::NoCertificate);
        assert_eq!(refusal(&chain, ""), BadCertificate::NoKey);
        assert_eq!(refusal(&chain, &chain), BadCertificate::NoKey);
        assert_eq!(refusal(&chain, &other), BadCertificate::OtherKey);
    }
}
