//! A TLS connection that is held open and mostly waits: it has no buffer then. Two of them to each pod are thousands, and a library's
//! buffers for them are most of what each needs.

use super::transport::{LinkError, Peer, connect};
use bytes::BytesMut;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use std::io;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Read at once, on the stack.
const READ: usize = 4 * 1024;
/// Bytes of a record that is not complete: more than any has, a handshake's too.
const RECORD_MAX: usize = 64 * 1024;
/// Most of what is sent fits in.
const RECORD: usize = 512;

/// The connection.
pub struct Wire {
    socket: TcpStream,
    tls: Box<UnbufferedClientConnection>,
    /// The beginning of a record; nothing while nothing comes.
    incoming: Vec<u8>,
    /// On its way to the socket.
    outgoing: Vec<u8>,
    closed: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// More from the peer before anything can be said.
    Handshake,
    /// Whatever comes.
    Nothing,
    /// The peer says no more.
    Closed,
}

impl Wire {
    /// Each side known to the other.
    pub async fn open(peer: &Peer) -> Result<Self, LinkError> {
        let (socket, name) = connect(peer).await?;
        let failed = |e| LinkError::Tls(peer.address, e);
        let tls = UnbufferedClientConnection::new(peer.tls.clone(), name);
        let mut wire = Self {
            socket,
            tls: Box::new(tls.map_err(|e| failed(io::Error::other(e)))?),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            closed: false,
        };
        wire.shake_hands().await.map_err(failed)?;
        Ok(wire)
    }

    /// Sends all of it. What has come meanwhile is added to `plain`.
    pub async fn send(&mut self, text: &[u8], plain: &mut BytesMut) -> io::Result<()> {
        self.step(plain)?;
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.incoming);
        match state.map_err(invalid)? {
            ConnectionState::WriteTraffic(mut traffic) => encrypt(&mut traffic, text, &mut self.outgoing)?,
            _ => return Err(io::ErrorKind::NotConnected.into()),
        }
        self.flush().await
    }

    /// Adds what comes next to `plain`; nothing more when that was all. May be dropped and called again.
    pub async fn read(&mut self, plain: &mut BytesMut) -> io::Result<usize> {
        let before = plain.len();
        loop {
            let needs = self.step(plain)?;
            self.flush().await?;
            let came = plain.len().saturating_sub(before);
            if came > 0 || needs == Needs::Closed {
                return Ok(came);
            }
            self.fill().await?;
        }
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        let mut plain = BytesMut::new();
        loop {
            let needs = self.step(&mut plain)?;
            self.flush().await?;
            match needs {
                Needs::Handshake => self.fill().await?,
                Needs::Nothing => return Ok(()),
                Needs::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Goes as far as what has come allows.
    fn step(&mut self, plain: &mut BytesMut) -> io::Result<Needs> {
        loop {
            let UnbufferedStatus { mut discard, state, .. } = self.tls.process_tls_records(&mut self.incoming);
            let needs = match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing)?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // It is sent before anything else is awaited.
                    data.done();
                    None
                }
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while let Some(record) = records.next_record() {
                        let record = record.map_err(invalid)?;
                        discard = discard.saturating_add(record.discard);
                        plain.extend_from_slice(record.payload);
                    }
                    None
                }
                Ok(ConnectionState::BlockedHandshake) => Some(Needs::Handshake),
                Ok(ConnectionState::WriteTraffic(_)) if !self.closed => Some(Needs::Nothing),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed | ConnectionState::WriteTraffic(_)) => {
                    self.closed = true;
                    Some(Needs::Closed)
                }
                Ok(_) => return Err(io::ErrorKind::Unsupported.into()),
                Err(error) => return Err(invalid(error)),
            };
            self.discard(discard);
            if let Some(needs) = needs {
                return Ok(needs);
            }
        }
    }

    fn discard(&mut self, count: usize) {
        if count >= self.incoming.len() {
            self.incoming = Vec::new();
        } else {
            self.incoming.drain(..count);
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let sent = self.socket.write(&self.outgoing).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.outgoing.drain(..sent);
        }
        self.outgoing = Vec::new();
        Ok(())
    }

    /// Waits for more of a record.
    async fn fill(&mut self) -> io::Result<()> {
        if self.incoming.len() > RECORD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        loop {
            self.socket.readable().await?;
            match self.take() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                other => return other.map(drop),
            }
        }
    }

    fn take(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ];
        let count = self.socket.try_read(&mut bytes)?;
        self.incoming.extend(bytes.iter().take(count));
        Ok(count)
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, into: &mut Vec<u8>) -> io::Result<()> {
    append(into, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Short::By(required_size),
            EncodeError::AlreadyEncoded => Short::Never(io::ErrorKind::InvalidInput.into()),
        })
    })
}

fn encrypt<D>(traffic: &mut WriteTraffic<'_, D>, text: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
    append(into, |room| {
        traffic.encrypt(text, room).map_err(|error| match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Short::By(required_size),
            EncryptError::EncryptExhausted => Short::Never(io::ErrorKind::ConnectionAborted.into()),
        })
    })
}

/// Why a record was not written.
enum Short {
    /// It needs so much room.
    By(usize),
    Never(io::Error),
}

/// Gives `write` as much room as it asks for.
fn append(into: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>) -> io::Result<()> {
    let (before, mut room) = (into.len(), RECORD);
    loop {
        into.resize(before.saturating_add(room), 0);
        match write(into.get_mut(before..).unwrap_or_default()) {
            Ok(written) => {
                into.truncate(before.saturating_add(written));
                return Ok(());
            }
            Err(Short::By(needed)) if needed > room => room = needed,
            Err(Short::By(_)) => return Err(io::ErrorKind::InvalidData.into()),
            Err(Short::Never(error)) => return Err(error),
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
