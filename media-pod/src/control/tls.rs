//! [`Tls`]: the pod's certificate and the one client it answers, from mounted files that are read again when they change.

use arc_swap::ArcSwap;
use headgate_control::{OPERATOR_TLS_NAME, TLS_FILES};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why files give no TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// A file is not there.
    #[error("cannot read {0:?}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A file holds no PEM of the right kind.
    #[error("{0:?} holds no usable PEM: {1}")]
    BadPem(&'static str, rustls::pki_types::pem::Error),
    /// They do not fit together.
    #[error("certificate, key and CA do not fit: {0}")]
    Unfit(#[from] rustls::Error),
    /// No CA.
    #[error("no client can be verified: {0}")]
    NoCa(#[from] rustls::server::VerifierBuilderError),
}

/// The TLS settings in force.
pub struct Tls {
    folder: PathBuf,
    current: ArcSwap<ServerConfig>,
    seen: parking_lot::Mutex<[u8; 32]>,
}

/// The three files' contents.
struct Files([Vec<u8>; 3]);

impl Tls {
    /// From the files of a folder.
    pub fn load(folder: &Path) -> Result<Self, BadTls> {
        let files = Files::read(folder)?;
        Ok(Self {
            folder: folder.into(),
            current: ArcSwap::from(files.config()?),
            seen: parking_lot::Mutex::new(files.digest()),
        })
    }

    /// For the next connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Reads the files again now and then, until `stop`. Files that do not fit leave the old ones in force.
    pub async fn watch(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            match self.reload() {
                Ok(true) => tracing::info!("new certificates are in force on the control port"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "new certificates are not taken; the old ones stay"),
            }
        }
    }

    /// Whether something new is in force.
    pub fn reload(&self) -> Result<bool, BadTls> {
        let files = Files::read(&self.folder)?;
        if files.digest() == *self.seen.lock() {
            return Ok(false);
        }
        self.current.store(files.config()?);
        *self.seen.lock() = files.digest();
        Ok(true)
    }
}

impl Files {
    fn read(folder: &Path) -> Result<Self, BadTls> {
        let [certificate, key, ca] = TLS_FILES.map(|name| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| BadTls::Unreadable(path, error))
        });
        Ok(Self([certificate?, key?, ca?]))
    }

    fn digest(&self) -> [u8; 32] {
        let parts = self.0.iter().map(Sha256::digest);
        parts.fold(Sha256::new(), Digest::chain_update).finalize().into()
    }

    fn config(&self) -> Result<Arc<ServerConfig>, BadTls> {
        let [certificate, key, ca] = &self.0;
        let chain = certificates("tls.crt", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| BadTls::BadPem("tls.key", error))?;
        let mut roots = RootCertStore::empty();
        for root in certificates("ca.crt", ca)? {
            roots.add(root)?;
        }
        let verifier = OperatorOnly(WebPkiClientVerifier::builder(Arc::new(roots)).build()?);
        let builder = ServerConfig::builder().with_client_cert_verifier(Arc::new(verifier));
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.map_err(|error| BadTls::BadPem(file, error))
}

/// Takes a certificate of our CA that is for the operator's name. The same CA signs the pods', which must not pass here.
#[derive(Debug)]
struct OperatorOnly(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for OperatorOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.0.verify_client_cert(certificate, between, now)?;
        let name = ServerName::try_from(OPERATOR_TLS_NAME)
            .map_err(|_| rustls::Error::General("the operator's name is no DNS name".into()))?;
        verify_server_name(&ParsedCertificate::try_from(certificate)?, &name)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
