//! The operator's side of the mutual TLS with pods: one client configuration a server, made from its CA, kept in memory, renewed.

use super::{Authority, LEAF_LIFE, Pair, TlsError};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// Client configurations by the server's UID.
#[derive(Debug, Default)]
pub struct Clients {
    made: Mutex<HashMap<String, Made>>,
}

#[derive(Clone, Debug)]
struct Made {
    /// Digest of the CA that it was made from.
    authority: [u8; 32],
    at: Timestamp,
    config: Arc<ClientConfig>,
}

impl Clients {
    /// The one for a server; a new one when its CA is another or two thirds of the certificate's life are over.
    pub fn get(&self, uid: &str, authority: &Authority, now: Timestamp) -> Result<Arc<ClientConfig>, TlsError> {
        let known = self.made.lock().get(uid).cloned();
        let digest = digest(authority.pair());
        if let Some(known) = known
            && known.authority == digest
            && is_fresh(known.at, now)
        {
            return Ok(known.config);
        }
        let config = Arc::new(config(authority, now)?);
        let made = Made {
            authority: digest,
            at: now,
            config: config.clone(),
        };
        self.made.lock().insert(uid.into(), made);
        Ok(config)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.made.lock().len()
    }

    /// Keeps only those of servers for which `alive` holds.
    pub fn retain(&self, alive: impl Fn(&str) -> bool) {
        self.made.lock().retain(|uid, _| alive(uid));
    }
}

fn digest(pair: &Pair) -> [u8; 32] {
    let text = Sha256::new().chain_update(&pair.certificate).chain_update(&pair.key);
    text.finalize().into()
}

fn is_fresh(made: Timestamp, now: Timestamp) -> bool {
    let third = LEAF_LIFE.as_secs().checked_div(3).unwrap_or(0);
    let age = now.as_second().saturating_sub(made.as_second());
    u64::try_from(age).is_ok_and(|age| age < LEAF_LIFE.as_secs().saturating_sub(third))
}

fn config(authority: &Authority, now: Timestamp) -> Result<ClientConfig, TlsError> {
    let pair = authority.client(now)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&authority.pair().certificate)?)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|e| TlsError::Unusable(e.to_string()))?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(&pair.certificate)?], key)?;
    // A push is seldom, and the room for tickets of 256 sessions would be taken for each server.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| TlsError::Unusable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_certificate_is_made_once_until_it_is_old_or_the_authority_is_another() {
        let at = |days: i64| Timestamp::from_second(days.saturating_mul(86_400).saturating_add(1_800_000_000)).unwrap();
        let (one, two) = (
            Authority::issue("a", at(0)).unwrap(),
            Authority::issue("a", at(0)).unwrap(),
        );
        let clients = Clients::default();
        let first = clients.get("u", &one, at(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &clients.get("u", &one, at(59)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &clients.get("u", &one, at(61)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &clients.get("u", &two, at(1)).unwrap()));
        clients.retain(|uid| uid != "u");
        assert!(clients.made.lock().is_empty());
    }
}
