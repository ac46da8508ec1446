//! [`Tls`]: the pod's certificate, the clients it answers and what it shows to other pods, from mounted files that are read again when they change.

use arc_swap::ArcSwap;
use headgate_control::{OPERATOR_TLS_NAME, TLS_FILES};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

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
    /// A certificate without a name is no pod's.
    #[error("the certificate has no DNS name")]
    NoName,
}

/// The TLS settings in force.
pub struct Tls {
    folder: PathBuf,
    current: ArcSwap<Settings>,
    seen: parking_lot::Mutex<[u8; 32]>,
}

/// One set of files, in force.
pub struct Settings {
    /// For those who connect here.
    pub server: Arc<ServerConfig>,
    /// To connect to other pods: the same certificate, and no other CA.
    pub client: Arc<ClientConfig>,
    pub(super) names: Arc<Names>,
}

/// The three files' contents.
struct Files([Vec<u8>; 3]);

impl Tls {
    /// From the files of a folder.
    pub fn load(folder: &Path) -> Result<Self, BadTls> {
        let files = Files::read(folder)?;
        Ok(Self {
            folder: folder.into(),
            current: ArcSwap::from_pointee(files.settings()?),
            seen: parking_lot::Mutex::new(files.digest()),
        })
    }

    /// For the next connection.
    pub fn current(&self) -> Arc<Settings> {
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
        self.current.store(Arc::new(files.settings()?));
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

    fn settings(&self) -> Result<Settings, BadTls> {
        let [certificate, key, ca] = &self.0;
        let chain = certificates("tls.crt", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| BadTls::BadPem("tls.key", error))?;
        let mut roots = RootCertStore::empty();
        for root in certificates("ca.crt", ca)? {
            roots.add(root)?;
        }
        let (roots, names) = (Arc::new(roots), Arc::new(Names::with(own_name(&chain)?)?));
        let verifier = OperatorAndPods {
            chain: WebPkiClientVerifier::builder(Arc::clone(&roots)).build()?,
            names: Arc::clone(&names),
        };
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        let builder = ServerConfig::builder().with_client_cert_verifier(Arc::new(verifier));
        let mut server = builder.with_single_cert(chain, key)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Settings {
            server: Arc::new(server),
            client: Arc::new(client),
            names,
        })
    }
}

/// What this pod shows to others, always as it is now.
pub fn identity(tls: &Arc<Tls>) -> headgate_relay::Identity {
    let tls = Arc::clone(tls);
    Arc::new(move || Arc::clone(&tls.current().client))
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.map_err(|error| BadTls::BadPem(file, error))
}

/// Our pods all have one name: that in our own certificate.
fn own_name(chain: &[CertificateDer<'_>]) -> Result<ServerName<'static>, BadTls> {
    let own = chain.first().ok_or(BadTls::NoName)?;
    let (_, own) = X509Certificate::from_der(own).map_err(|_| BadTls::NoName)?;
    let names = own.subject_alternative_name().ok().flatten().ok_or(BadTls::NoName)?;
    let name = names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => ServerName::try_from((*name).to_owned()).ok(),
        _ => None,
    });
    name.ok_or(BadTls::NoName)
}

/// The names of those who are answered.
#[derive(Debug)]
pub(super) struct Names {
    operator: ServerName<'static>,
    pod: ServerName<'static>,
}

impl Names {
    fn with(pod: ServerName<'static>) -> Result<Self, BadTls> {
        let operator = ServerName::try_from(OPERATOR_TLS_NAME).map_err(|_| BadTls::NoName)?;
        Ok(Self { operator, pod })
    }

    pub(super) fn is_operator(&self, certificate: &CertificateDer<'_>) -> bool {
        is_for(certificate, &self.operator)
    }

    pub(super) fn is_pod(&self, certificate: &CertificateDer<'_>) -> bool {
        is_for(certificate, &self.pod)
    }
}

fn is_for(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

/// Takes a certificate of our CA that is for the operator's name or for a pod's. What each may ask for is [`super::Caller`]'s.
#[derive(Debug)]
struct OperatorAndPods {
    chain: Arc<dyn ClientCertVerifier>,
    names: Arc<Names>,
}

impl ClientCertVerifier for OperatorAndPods {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(certificate, between, now)?;
        if self.names.is_operator(certificate) || self.names.is_pod(certificate) {
            Ok(verified)
        } else {
            Err(rustls::CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
