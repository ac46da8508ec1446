//! Making keys and certificates. EC P-256 throughout.

use super::{AUTHORITY_LIFE, DAY, LEAF_LIFE, TlsError};
use headgate_control::OPERATOR_TLS_NAME;
use k8s_openapi::jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::time::Duration;

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(…)")
    }
}

/// A CA that can issue.
pub struct Authority {
    pair: Pair,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn issue(server: &str, now: Timestamp) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("headgate {server}"), now, AUTHORITY_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = Pair {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        };
        Self::load(pair)
    }

    /// One that was issued before.
    pub fn load(pair: Pair) -> Result<Self, TlsError> {
        let key = KeyPair::from_pem(&pair.key).map_err(|e| TlsError::Unusable(e.to_string()))?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).map_err(|e| TlsError::Unusable(e.to_string()))?;
        Ok(Self { pair, issuer })
    }

    /// Its own certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// A pod's certificate with one DNS name: it serves with it, and shows it to the other pods of the server.
    pub fn server(&self, name: &str, now: Timestamp) -> Result<Pair, TlsError> {
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.leaf(name, &both, now)
    }

    /// The operator's client certificate.
    pub fn client(&self, now: Timestamp) -> Result<Pair, TlsError> {
        self.leaf(OPERATOR_TLS_NAME, &[ExtendedKeyUsagePurpose::ClientAuth], now)
    }

    fn leaf(&self, name: &str, usages: &[ExtendedKeyUsagePurpose], now: Timestamp) -> Result<Pair, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = params(name, now, LEAF_LIFE)?;
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Good from an hour ago, for clocks that differ.
fn params(name: &str, now: Timestamp, life: Duration) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    // X.509 bounds a common name to 64 characters.
    let common: String = name.chars().take(64).collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let epoch = date_time_ymd(1970, 1, 1);
    let since = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let from = since.saturating_sub(DAY.checked_div(24).unwrap_or(DAY));
    let unusable = || TlsError::Unusable(format!("the clock says {now}"));
    params.not_before = epoch
        .checked_add(from.try_into().map_err(|_| unusable())?)
        .ok_or_else(unusable)?;
    params.not_after = epoch
        .checked_add(from.saturating_add(life).try_into().map_err(|_| unusable())?)
        .ok_or_else(unusable)?;
    Ok(params)
}
