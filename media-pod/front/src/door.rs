//! [`Door`]: what a connection goes through before a protocol is spoken on it.

use crate::{Alpn, BadHeader, Census, Certificate, Guest, Header, Networks, Socket, parse, proxy, server_config};
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a connection may take until its protocol begins.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a listener asks of those who connect; may change while it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who begins with a PROXY header. Nobody when empty; everybody else must not.
    pub proxies: Networks,
    /// Whose `X-Forwarded-For` is believed.
    pub forwarders: Networks,
}

/// Stands behind a listening socket. A clone is the same door.
#[derive(Clone)]
pub struct Door {
    census: Arc<Census>,
    rules: Arc<ArcSwap<Rules>>,
    certificate: Arc<ArcSwapOption<Certificate>>,
    tls: Option<Arc<ServerConfig>>,
    patience: Duration,
}

/// A connection that was let in.
pub struct Arrival {
    /// To speak the protocol on.
    pub socket: Socket,
    /// Where the client is, as far as is known.
    pub peer: SocketAddr,
    /// To be kept as long as the connection is there.
    pub guest: Guest,
}

/// Why a connection was closed before its protocol began.
#[derive(Debug, thiserror::Error)]
pub enum Turned {
    /// As many are there as may be.
    #[error("as many connections are open as may be")]
    Full,
    /// As many from its address are there as may be.
    #[error("as many connections from this address are open as may be")]
    FullForAddress,
    /// It did not say what it must in time.
    #[error("it took more than {0:?} to begin")]
    Slow(Duration),
    /// A proxy that says nothing that can be read.
    #[error(transparent)]
    Proxy(#[from] BadHeader),
    /// Somebody who is no trusted proxy pretends to be one.
    #[error("it begins with a PROXY header and is no trusted proxy")]
    NotTrusted,
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// The connection failed, or was closed.
    #[error("the connection ended: {0}")]
    Gone(io::Error),
}

impl Turned {
    /// PascalCase, for log and metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full => "LimitReached",
            Self::FullForAddress => "AddressLimitReached",
            Self::Slow(_) => "TooSlow",
            Self::Proxy(_) => "BadProxyHeader",
            Self::NotTrusted => "ProxyNotTrusted",
            Self::Tls(_) => "TlsFailed",
            Self::Gone(_) => "PeerClosed",
        }
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::plain(Arc::default())
    }
}

impl Door {
    /// Without TLS, and nobody is believed.
    pub fn plain(census: Arc<Census>) -> Self {
        Self {
            census,
            rules: Arc::default(),
            certificate: Arc::default(),
            tls: None,
            patience: PATIENCE,
        }
    }

    /// With TLS. Until it has a certificate no handshake succeeds.
    pub fn tls(census: Arc<Census>, alpn: Alpn) -> Result<Self, rustls::Error> {
        let plain = Self::plain(census);
        Ok(Self {
            tls: Some(server_config(Arc::clone(&plain.certificate), alpn)?),
            ..plain
        })
    }

    /// With another bound in time.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// For those who connect from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// What is in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// For the handshakes from now on; those who are in go on.
    pub fn set_certificate(&self, certificate: Certificate) {
        self.certificate.store(Some(Arc::new(certificate)));
    }

    /// Whether it lacks what it needs to let anybody in.
    pub fn wants_certificate(&self) -> bool {
        self.tls.is_some() && self.certificate.load().is_none()
    }

    pub(crate) fn census(&self) -> &Arc<Census> {
        &self.census
    }

    /// Everything up to the first byte of the protocol.
    pub(crate) async fn admit(&self, tcp: TcpStream, from: SocketAddr, guest: Guest) -> Result<Arrival, Turned> {
        let admitted = tokio::time::timeout(self.patience, self.admit_in_time(tcp, from, guest));
        admitted.await.unwrap_or(Err(Turned::Slow(self.patience)))
    }

    async fn admit_in_time(&self, mut tcp: TcpStream, from: SocketAddr, mut guest: Guest) -> Result<Arrival, Turned> {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let peer = self.source(&mut tcp, from).await?;
        if !guest.comes_from(peer.ip()) {
            return Err(Turned::FullForAddress);
        }
        let socket = match &self.tls {
            Some(config) => Socket::accept(tcp, Arc::clone(config)).await.map_err(Turned::Tls)?,
            None => tcp.into(),
        };
        Ok(Arrival { socket, peer, guest })
    }

    /// Where the client is.
    async fn source(&self, tcp: &mut TcpStream, from: SocketAddr) -> Result<SocketAddr, Turned> {
        let rules = self.rules();
        if rules.proxies.contain(from.ip()) {
            return Ok(read_header(tcp).await?.unwrap_or(from));
        }
        if !rules.proxies.is_empty() && pretends(tcp).await.map_err(Turned::Gone)? {
            return Err(Turned::NotTrusted);
        }
        Ok(from)
    }
}

/// Takes the header and nothing behind it.
async fn read_header(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, Turned> {
    let mut header = Vec::new();
    loop {
        match parse(&header)? {
            Header::Whole(source) => return Ok(source),
            Header::More(count) => {
                let start = header.len();
                header.resize(start.saturating_add(count), 0);
                let more = header.get_mut(start..).unwrap_or_default();
                tcp.read_exact(more).await.map_err(Turned::Gone)?;
            }
        }
    }
}

/// Whether somebody who is no trusted proxy begins as one. Two bytes tell it from every protocol that is served.
async fn pretends(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0; 6];
    let count = tcp.peek(&mut first).await?;
    Ok(count > 1 && proxy::begins(first.get(..count).unwrap_or_default()))
}
