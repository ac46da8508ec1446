//! One connection to a target.

use super::{Lookup, PushError, PushLimits, Target};
use bytes::{Bytes, BytesMut};
use headgate_flv::Form;
use headgate_hub::Tap;
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use headgate_rtmp::format::put_on_stream;
use prometheus::IntCounter;
use rand::Rng;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Packets that are sent together.
const BATCH: usize = 64;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// See the module.
pub(super) struct Line {
    socket: Box<dyn Socket>,
    session: ClientSession,
}

impl Line {
    /// Looks the target up, and connects.
    pub(super) async fn open(target: &Target, lookup: &Lookup, limits: &PushLimits) -> Result<Self, PushError> {
        let dial = timeout(limits.dial, connect(target, lookup));
        let socket = dial.await.map_err(|_| PushError::TimedOut(limits.dial))??;
        let session = ClientSession::new(Purpose::Publish, &target.server(), &target.app, &target.stream);
        Ok(Self {
            socket,
            session: session.that_is_enhanced(),
        })
    }

    /// Until the target takes the stream. What it understands.
    pub(super) async fn start(&mut self, patience: Duration) -> Result<Form, PushError> {
        self.process(0)?;
        let started = async {
            while !self.events()? {
                self.flush().await?;
                self.read().await?;
            }
            Ok::<_, PushError>(())
        };
        timeout(patience, started)
            .await
            .map_err(|_| PushError::TimedOut(patience))
            .flatten()?;
        Ok(self.session.server_caps().form)
    }

    /// Sends what the tap gives until that ends.
    pub(super) async fn feed(&mut self, mut tap: Tap, stall: Duration, sent: &IntCounter) -> Result<(), PushError> {
        let (mut packets, mut out) = (Vec::<Bytes>::with_capacity(BATCH), BytesMut::new());
        let stream_id = self.session.stream_id();
        loop {
            let output = self.session.take_output();
            out.extend_from_slice(&output);
            for packet in packets.drain(..) {
                put_on_stream(&packet, stream_id, &mut out);
            }
            sent.inc_by(out.len() as u64);
            timeout(stall, self.socket.write_all_buf(&mut out))
                .await
                .map_err(|_| PushError::TimedOut(stall))??;
            tokio::select! {
                more = tap.next(&mut packets, BATCH) => if !more { return Ok(()) },
                read = self.socket.read_buf(self.session.buffer()) => {
                    let count = read?;
                    self.took(count)?;
                    self.events()?;
                }
            }
        }
    }

    /// Says goodbye, if that can be said in time.
    pub(super) async fn finish(&mut self, patience: Duration) {
        self.session.unpublish();
        let goodbye = async {
            self.flush().await?;
            Ok::<_, PushError>(self.socket.shutdown().await?)
        };
        // The stream is over in any case.
        let _ = timeout(patience, goodbye).await;
    }

    async fn flush(&mut self) -> Result<(), PushError> {
        let output = self.session.take_output();
        Ok(self.socket.write_all(&output).await?)
    }

    async fn read(&mut self) -> Result<(), PushError> {
        let count = self.socket.read_buf(self.session.buffer()).await?;
        self.took(count)
    }

    fn took(&mut self, count: usize) -> Result<(), PushError> {
        if count == 0 {
            return Err(PushError::Closed);
        }
        self.process(count)
    }

    fn process(&mut self, count: usize) -> Result<(), PushError> {
        Ok(self.session.process(count, &mut |out| rand::rng().fill_bytes(out))?)
    }

    /// True when the target has said that it takes the stream.
    fn events(&mut self) -> Result<bool, PushError> {
        let mut started = false;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Started => started = true,
                Event::Refused { code, description } => {
                    let said = if description.is_empty() { code } else { description };
                    // It may have put in what it likes.
                    return Err(PushError::Refused(
                        said.chars().take(200).filter(|c| !c.is_control()).collect(),
                    ));
                }
                Event::Status(code) if code == "NetConnection.Connect.ReconnectRequest" => {
                    return Err(PushError::AskedToReconnect);
                }
                _ => {}
            }
        }
        Ok(started)
    }
}

async fn connect(target: &Target, lookup: &Lookup) -> io::Result<Box<dyn Socket>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup(target.host.clone(), target.port).await? {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                let _ = socket.set_nodelay(true);
                return secured(target, socket).await;
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn secured(target: &Target, socket: TcpStream) -> io::Result<Box<dyn Socket>> {
    if !target.tls {
        return Ok(Box::new(socket));
    }
    let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
    let config = tls_config().map_err(io::Error::other)?;
    let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    Ok(Box::new(socket))
}

/// Trusts whom the system trusts.
fn tls_config() -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}
