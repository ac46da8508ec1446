//! HTTP/1.1 over mutual TLS to one pod: bounded in time and size.

use crate::names::session_path;
use bytes::Bytes;
use headgate_control::{Applied, CONFIG_PATH, DRAIN_PATH, DrainRequest, Problem};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// One request, from dialling to the answer's head or small body.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A pod reports every few seconds; one that says nothing for so long is lost.
pub const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 15 });
const ANSWER_MAX: usize = 64 * 1024;

/// Why a pod was not understood.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Another process may lead by now.
    #[error("this process does not lead any more")]
    NotLeader,
    /// No connection.
    #[error("control port of {0} not reached: {1}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// The handshake failed: not the certificate that was expected, on either side.
    #[error("TLS with {0} failed: {1}")]
    Tls(SocketAddr, #[source] std::io::Error),
    /// Not HTTP, or cut off.
    #[error("{0} does not answer as HTTP: {1}")]
    Http(SocketAddr, #[source] hyper::Error),
    /// An open stream broke.
    #[error("connection to {0} broken: {1}")]
    Broken(SocketAddr, #[source] std::io::Error),
    /// Not in time.
    #[error("{0} did not answer within {REQUEST_TIMEOUT:?}")]
    Timeout(SocketAddr),
    /// An answer that the protocol does not know.
    #[error("{0} answers {1} to {2}")]
    Status(SocketAddr, StatusCode, &'static str),
    /// No whole line came on an open stream.
    #[error("{0} has reported nothing for {SILENCE:?}")]
    Silent(SocketAddr),
    /// The stream ended.
    #[error("{0} ended its report stream")]
    Ended(SocketAddr),
    /// More than a line may have.
    #[error("{0} sends a line longer than {1} bytes")]
    TooLong(SocketAddr, usize),
    /// Not a report.
    #[error("{0} sends a report that cannot be read: {1}")]
    BadReport(SocketAddr, String),
    /// The pod will not run a configuration.
    #[error("{}: {}", .0.reason, .0.message)]
    Refused(Problem),
}

impl LinkError {
    /// PascalCase, bounded.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotLeader => "NotLeader",
            Self::Connect(..) | Self::Timeout(..) | Self::Ended(..) | Self::Broken(..) => "PodUnreachable",
            Self::Tls(..) => "PodNotTrusted",
            Self::Http(..) | Self::Status(..) | Self::TooLong(..) | Self::BadReport(..) => "PodNotUnderstood",
            Self::Silent(..) => "PodSilent",
            Self::Refused(..) => "ConfigRefused",
        }
    }

    /// As it stands in a view.
    pub fn problem(&self) -> Problem {
        Problem {
            reason: self.reason().into(),
            message: self.to_string(),
        }
    }
}

/// How to reach a pod, and whose certificate it must show.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its control port.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub name: String,
    /// Our side, with the CA it must be from.
    pub tls: Arc<ClientConfig>,
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.name == other.name && Arc::ptr_eq(&self.tls, &other.tls)
    }
}

impl AsRef<Self> for Peer {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A connection, and the name that must be in the certificate.
pub async fn connect(peer: &Peer) -> Result<(TcpStream, ServerName<'static>), LinkError> {
    let address = peer.address;
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|e| LinkError::Connect(address, e))?;
    tcp.set_nodelay(true).map_err(|e| LinkError::Connect(address, e))?;
    let name = ServerName::try_from(peer.name.clone());
    let name = name.map_err(|e| LinkError::Tls(address, std::io::Error::other(e)))?;
    Ok((tcp, name))
}

/// A connection to the pod, each side known to the other.
async fn dial(peer: &Peer) -> Result<TlsStream<TcpStream>, LinkError> {
    let (tcp, name) = connect(peer).await?;
    TlsConnector::from(peer.tls.clone())
        .connect(name, tcp)
        .await
        .map_err(|e| LinkError::Tls(peer.address, e))
}

/// An open connection; closed when dropped.
struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    _task: AbortOnDropHandle<()>,
}

impl Connection {
    async fn open(peer: &Peer) -> Result<Self, LinkError> {
        let address = peer.address;
        let (sender, connection) = handshake(TokioIo::new(dial(peer).await?))
            .await
            .map_err(|e| LinkError::Http(address, e))?;
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // Its error is also the request's.
            let _ = connection.await;
        }));
        Ok(Self {
            address,
            sender,
            _task: task,
        })
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, LinkError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path
            .parse()
            .map_err(|_| LinkError::BadReport(self.address, "a session that is no path".into()))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, http::HeaderValue::from_static("media-pod"));
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        self.sender
            .send_request(request)
            .await
            .map_err(|e| LinkError::Http(self.address, e))
    }
}

/// One request on a connection of its own.
async fn request(peer: &Peer, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), LinkError> {
    let exchange = async {
        let mut connection = Connection::open(peer).await?;
        let answer = connection.send(method, path, body).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|e| LinkError::BadReport(peer.address, e.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    timeout(REQUEST_TIMEOUT, exchange)
        .await
        .unwrap_or(Err(LinkError::Timeout(peer.address)))
}

/// Puts a configuration in force; the revision that is in force then.
pub async fn push(peer: &Peer, body: Bytes) -> Result<String, LinkError> {
    let (status, answer) = request(peer, Method::PUT, CONFIG_PATH, body).await?;
    let unreadable = |e: serde_json::Error| LinkError::BadReport(peer.address, e.to_string());
    match status {
        StatusCode::OK => {
            let applied: Applied = serde_json::from_slice(&answer).map_err(unreadable)?;
            Ok(applied.revision)
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            Err(LinkError::Refused(serde_json::from_slice(&answer).map_err(unreadable)?))
        }
        other => Err(LinkError::Status(peer.address, other, "PUT config")),
    }
}

/// Ends a session; `false` when the pod does not know it.
pub async fn kick(peer: &Peer, session: &str) -> Result<bool, LinkError> {
    let (status, _) = request(peer, Method::DELETE, &session_path(session), Bytes::new()).await?;
    match status {
        StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::ACCEPTED => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        other => Err(LinkError::Status(peer.address, other, "DELETE session")),
    }
}

/// Has the pod be on its way out until a deadline.
pub async fn drain(peer: &Peer, wanted: &DrainRequest) -> Result<(), LinkError> {
    let body = serde_json::to_vec(wanted).map_err(|e| LinkError::BadReport(peer.address, e.to_string()))?;
    done(
        request(peer, Method::PUT, DRAIN_PATH, body.into()).await?,
        peer,
        "PUT drain",
    )
}

/// Has it stay.
pub async fn undrain(peer: &Peer) -> Result<(), LinkError> {
    done(
        request(peer, Method::DELETE, DRAIN_PATH, Bytes::new()).await?,
        peer,
        "DELETE drain",
    )
}

fn done((status, _): (StatusCode, Bytes), peer: &Peer, what: &'static str) -> Result<(), LinkError> {
    match status {
        StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
        other => Err(LinkError::Status(peer.address, other, what)),
    }
}
