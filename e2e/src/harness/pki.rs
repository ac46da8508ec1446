//! Certificates that a scenario makes for itself, and what a server shows to who dials it.

use crate::error::{Context as _, Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// To connect and shake hands.
const DIAL: Duration = Duration::from_secs(5);

/// Somebody who signs.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    key: String,
}

/// What a server showed.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its certificate, in DER.
    pub certificate: Vec<u8>,
    /// The protocol that both chose, as `h2`.
    pub protocol: Option<String>,
}

impl Authority {
    /// A new one under this name.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A pair for a server of this name.
    pub fn server(&self, name: &str) -> Result<Pair> {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A pair for a client of this name.
    pub fn client(&self, name: &str) -> Result<Pair> {
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Result<Pair> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        Ok(Pair {
            certificate: params.signed_by(&key, &self.0)?.pem(),
            key: key.serialize_pem(),
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.pem())?).map_err(wrong)?;
        Ok(roots)
    }

    /// Dials `IP:PORT` as `name`, trusts this authority alone, offers these protocols, and says what it was shown.
    pub async fn dial(&self, address: &str, name: &str, protocols: &[&str]) -> Result<Shown> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).map_err(wrong)?;
        let connected = async {
            let tcp = TcpStream::connect(address).await?;
            TlsConnector::from(Arc::new(config)).connect(name, tcp).await
        };
        let connected = tokio::time::timeout(DIAL, connected).await.ok();
        let stream = connected
            .context(format_args!("{address} took longer than {DIAL:?}"))?
            .context(format_args!("TLS with {address}"))?;
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        Ok(Shown {
            certificate: leaf.context("no certificate was shown")?.to_vec(),
            protocol: session.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
        })
    }

    /// A server with this pair for whoever comes.
    pub fn server_for_all(pair: &Pair) -> Result<ServerConfig> {
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(wrong)?;
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate(&pair.certificate)?], key)
            .map_err(wrong)
    }

    /// A server with this pair whose clients must have one of this authority.
    pub fn server_for_clients(&self, pair: &Pair) -> Result<ServerConfig> {
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider()).build();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(wrong)?;
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_client_cert_verifier(clients.map_err(wrong)?)
            .with_single_cert(vec![certificate(&pair.certificate)?], key)
            .map_err(wrong)
    }
}

impl Pair {
    /// A Secret of type `kubernetes.io/tls` that holds it.
    pub fn secret(&self, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": self.certificate, "tls.key": self.key}})
    }

    /// The certificate as a server shows it.
    pub fn der(&self) -> Result<Vec<u8>> {
        Ok(certificate(&self.certificate)?.to_vec())
    }

    /// Lines of the key, none of which may turn up anywhere.
    pub fn key_lines(&self) -> Vec<String> {
        let lines = self.key.lines().filter(|line| !line.starts_with("---"));
        lines.map(str::to_owned).collect()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificate(text: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(wrong)
}

fn wrong(error: impl std::error::Error) -> Error {
    Error::new(format!("TLS: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::Receiver;

    #[tokio::test]
    async fn a_server_of_the_authority_is_dialled_and_one_of_another_is_not() {
        let (ours, other) = (Authority::new("ours").unwrap(), Authority::new("other").unwrap());
        let pair = ours.server("back.end").unwrap();
        let config = ours.server_for_clients(&pair).unwrap();
        let server = Receiver::secured("127.0.0.1:0", config).await.unwrap();
        let address = server.address().to_string();
        let shown = ours.dial(&address, "back.end", &[]).await.unwrap();
        assert_eq!(shown.certificate, pair.der().unwrap());
        assert!(other.dial(&address, "back.end", &[]).await.is_err());
        assert!(ours.dial(&address, "another.name", &[]).await.is_err());
    }
}
