//! Certificates: a CA a server, one certificate for its pods with which they serve and know each other, and the operator's own client certificate.
//!
//! Decisions (what must be made anew, and when) are pure; keys are made only where the plan says so.

mod client;
mod issue;

pub use client::Clients;
pub use issue::{Authority, Pair};

use headgate_control::TLS_FILES;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Entries of a Secret that hold a certificate and its key.
pub const CERTIFICATE: &str = TLS_FILES[0];
/// The key's entry.
pub const KEY: &str = TLS_FILES[1];
/// The CA's entry.
pub const CA: &str = TLS_FILES[2];

const DAY: Duration = Duration::from_hours(24);
/// Life of a CA.
pub const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3650);
/// Life of a certificate; it is renewed after two thirds of it.
pub const LEAF_LIFE: Duration = Duration::from_hours(24 * 90);

/// What went wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key or certificate could not be made.
    #[error("certificate not issued: {0}")]
    Issue(#[from] rcgen::Error),
    /// What is in a Secret is no certificate or key.
    #[error("certificate or key not usable: {0}")]
    Unusable(String),
    /// The TLS library does not take it.
    #[error("TLS not configured: {0}")]
    Configure(#[from] rustls::Error),
}

impl TlsError {
    /// PascalCase.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Issue(_) => "CertificateNotIssued",
            Self::Unusable(_) => "CertificateUnusable",
            Self::Configure(_) => "TlsNotConfigured",
        }
    }
}

/// Whether a certificate can stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good.
    Keep,
    /// Another is needed, and why.
    Issue(&'static str),
}

/// A certificate and key as they stand in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    certificate: String,
    key: String,
    authority: Option<String>,
}

impl From<Pair> for Material {
    fn from(pair: Pair) -> Self {
        Self {
            certificate: pair.certificate,
            key: pair.key,
            authority: None,
        }
    }
}

impl Material {
    /// From a Secret; `None` when it lacks either entry.
    pub fn of(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        Some(Self {
            certificate: text(data, CERTIFICATE)?,
            key: text(data, KEY)?,
            authority: text(data, CA),
        })
    }

    /// For a CA: there, readable and not past two thirds of its life.
    pub fn authority_verdict(material: Option<&Self>, now: Timestamp) -> Verdict {
        let Some(material) = material else {
            return Verdict::Issue("Missing");
        };
        match Facts::read(&material.certificate) {
            None => Verdict::Issue("Unreadable"),
            Some(facts) if !facts.is_fresh(now) => Verdict::Issue("Old"),
            Some(_) => Verdict::Keep,
        }
    }

    /// For a pod: issued by the CA in force, for the right name and both sides of a connection, and not past two thirds of its life.
    pub fn leaf_verdict(material: Option<&Self>, authority: Option<&Self>, name: &str, now: Timestamp) -> Verdict {
        let Some(material) = material else {
            return Verdict::Issue("Missing");
        };
        let Some(facts) = Facts::read(&material.certificate) else {
            return Verdict::Issue("Unreadable");
        };
        if authority.map(|a| &a.certificate) != material.authority.as_ref() {
            return Verdict::Issue("OtherAuthority");
        }
        if !facts.names.iter().any(|n| n == name) {
            return Verdict::Issue("OtherName");
        }
        if !facts.for_both_sides {
            return Verdict::Issue("OneSided");
        }
        if !facts.is_fresh(now) {
            return Verdict::Issue("Old");
        }
        Verdict::Keep
    }

    /// The pair in it.
    pub fn pair(&self) -> Pair {
        Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }
}

fn text(data: &BTreeMap<String, ByteString>, entry: &str) -> Option<String> {
    String::from_utf8(data.get(entry)?.0.clone()).ok()
}

/// What a certificate says of itself.
struct Facts {
    from: i64,
    until: i64,
    names: Vec<String>,
    for_both_sides: bool,
}

impl Facts {
    fn read(pem: &str) -> Option<Self> {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let usage = certificate.extended_key_usage().ok().flatten();
        let names = alternative.into_iter().flat_map(|e| &e.value.general_names);
        Some(Self {
            from: certificate.validity().not_before.timestamp(),
            until: certificate.validity().not_after.timestamp(),
            names: names.filter_map(dns_name).collect(),
            for_both_sides: usage.is_some_and(|usage| usage.value.server_auth && usage.value.client_auth),
        })
    }

    /// One that is good only from later on, by a clock that is a little behind, stays: for those who have to believe it nothing would be
    /// better with another.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let third = self.until.saturating_sub(self.from).max(0).checked_div(3).unwrap_or(0);
        let day = i64::try_from(DAY.as_secs()).unwrap_or(0);
        (self.from.saturating_sub(day)..self.until.saturating_sub(third)).contains(&now.as_second())
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_control::OPERATOR_TLS_NAME;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(days.saturating_mul(86_400).saturating_add(1_800_000_000)).unwrap()
    }

    fn material(pair: &Pair, authority: Option<&str>) -> Material {
        Material {
            certificate: pair.certificate.clone(),
            key: pair.key.clone(),
            authority: authority.map(Into::into),
        }
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let authority = Authority::issue("live", at(0)).unwrap();
        let ca = material(authority.pair(), None);
        let leaf = authority.server("live.a.media.headgate", at(0)).unwrap();
        let leaf = material(&leaf, Some(&ca.certificate));
        let verdict = |days| Material::leaf_verdict(Some(&leaf), Some(&ca), "live.a.media.headgate", at(days));
        assert_eq!(verdict(0), Verdict::Keep);
        assert_eq!(verdict(59), Verdict::Keep);
        assert_eq!(verdict(61), Verdict::Issue("Old"));
        assert_eq!(Material::authority_verdict(Some(&ca), at(365 * 6)), Verdict::Keep);
        assert_eq!(
            Material::authority_verdict(Some(&ca), at(365 * 7)),
            Verdict::Issue("Old")
        );
    }

    #[test]
    fn an_operator_whose_clock_is_hours_behind_keeps_what_another_issued_and_one_from_the_far_future_goes() {
        let authority = Authority::issue("live", at(10)).unwrap();
        let ca = material(authority.pair(), None);
        let leaf = authority.server("x", at(10)).unwrap();
        let leaf = material(&leaf, Some(&ca.certificate));
        let verdicts = |days: i64, hours: i64| {
            let now = Timestamp::from_second(at(days).as_second().saturating_add(hours.saturating_mul(3600))).unwrap();
            let of_leaf = Material::leaf_verdict(Some(&leaf), Some(&ca), "x", now);
            (Material::authority_verdict(Some(&ca), now), of_leaf)
        };
        assert_eq!(verdicts(10, -20), (Verdict::Keep, Verdict::Keep));
        assert_eq!(verdicts(8, 0), (Verdict::Issue("Old"), Verdict::Issue("Old")));
    }

    #[test]
    fn who_believes_a_certificate_may_be_an_hour_behind_who_issued_it() {
        use rustls::client::danger::ServerCertVerifier as _;
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let authority = Authority::issue("live", at(0)).unwrap();
        let leaf = authority.server("x", at(0)).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&authority.pair().certificate)).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder(std::sync::Arc::new(roots))
            .build()
            .unwrap();
        let believes = |minutes: i64| {
            let now = at(0).as_second().saturating_add(minutes.saturating_mul(60));
            let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap()));
            let name = ServerName::try_from("x").unwrap();
            verifier
                .verify_server_cert(&der(&leaf.certificate), &[], &name, &[], now)
                .is_ok()
        };
        assert_eq!(
            [-61, -59, 0, 60 * 24 * 89, 60 * 24 * 91].map(believes),
            [false, true, true, true, false]
        );
    }

    #[test]
    fn each_reason_to_issue_one_is_told_apart() {
        let (one, two) = (
            Authority::issue("live", at(0)).unwrap(),
            Authority::issue("live", at(0)).unwrap(),
        );
        let (one, two) = (
            (material(one.pair(), None), one.server("x", at(0)).unwrap()),
            material(two.pair(), None),
        );
        let leaf = material(&one.1, Some(&one.0.certificate));
        let why =
            |leaf: Option<&Material>, ca: Option<&Material>, name: &str| Material::leaf_verdict(leaf, ca, name, at(1));
        assert_eq!(why(None, Some(&one.0), "x"), Verdict::Issue("Missing"));
        assert_eq!(why(Some(&leaf), Some(&two), "x"), Verdict::Issue("OtherAuthority"));
        assert_eq!(why(Some(&leaf), None, "x"), Verdict::Issue("OtherAuthority"));
        assert_eq!(why(Some(&leaf), Some(&one.0), "y"), Verdict::Issue("OtherName"));
        let one_sided = Authority::load(one.0.pair()).unwrap().client(at(0)).unwrap();
        let one_sided = material(&one_sided, Some(&one.0.certificate));
        assert_eq!(
            why(Some(&one_sided), Some(&one.0), OPERATOR_TLS_NAME),
            Verdict::Issue("OneSided")
        );
        let broken = Material {
            certificate: "no".into(),
            ..leaf.clone()
        };
        assert_eq!(why(Some(&broken), Some(&one.0), "x"), Verdict::Issue("Unreadable"));
        assert_eq!(Material::authority_verdict(None, at(0)), Verdict::Issue("Missing"));
        assert_eq!(
            Material::authority_verdict(Some(&broken), at(0)),
            Verdict::Issue("Unreadable")
        );
    }
}
