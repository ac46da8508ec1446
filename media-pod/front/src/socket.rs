//! [`Socket`]: a TCP connection with or without TLS, read and written in the same way.
//!
//! As with [`TcpStream`], one waits until it is readable or writable and then tries. With TLS the records are made and read in the task of
//! the connection, on a state machine without I/O: no task more, no channel. What was taken for sending may wait inside as ciphertext: see
//! [`Socket::is_flushed`].

use crate::Rounds;
use crate::link::{Link, Wire};
use bytes::BufMut;
use headgate_hub::Outlet;
use parking_lot::Mutex;
use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Plaintext of one record of TLS.
const RECORD: usize = 16 << 10;

/// A connection.
pub struct Socket {
    link: Link,
    /// Never held across an await. The connection's task reads, a pass of the hub writes.
    tls: Option<Box<Mutex<ServerConnection>>>,
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self {
            link: Link::Alone(tcp),
            tls: None,
        }
    }
}

impl Socket {
    /// Shakes hands as the server. Bound it in time.
    pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let link = Link::Alone(tcp);
        while connection.is_handshaking() {
            match flush(&link, &mut connection) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.writable().await?;
                    continue;
                }
                other => other?,
            }
            if !connection.is_handshaking() {
                break;
            }
            link.readable().await?;
            match take(&link, &mut connection) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            link,
            tls: Some(Box::new(Mutex::new(connection))),
        })
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether both sides agreed on HTTP/2.
    pub fn is_http2(&self) -> bool {
        let agreed = |tls: &Mutex<ServerConnection>| tls.lock().alpn_protocol() == Some(b"h2");
        self.tls.as_deref().is_some_and(agreed)
    }

    /// The options of the connection below.
    pub fn options(&self) -> SockRef<'_> {
        self.link.options()
    }

    /// From now on what comes is heard together with what comes on others, a little later: for those who send much and often. On an error it stays
    /// as it is.
    pub fn join(&mut self, rounds: &Rounds) -> io::Result<()> {
        self.link.join(rounds)
    }

    /// From now on what comes is heard at once. On an error it stays as it is.
    pub fn leave_rounds(&mut self) -> io::Result<()> {
        self.link.leave()
    }

    /// Whether it is told what comes in rounds, but for the end, which is told in any case. Who is not told reads when it likes, after
    /// [`Socket::look`]. Nothing for one that is heard alone.
    pub fn listen(&self, listens: bool) -> io::Result<()> {
        self.link.listen(listens)
    }

    /// From now on it is readable, until a try says otherwise. Nothing for one that is heard alone.
    pub fn look(&self) {
        self.link.look();
    }

    /// Whether all that came was read, as far as the last round knows. False for one that is heard alone.
    pub fn is_exhausted(&self) -> bool {
        self.link.is_exhausted() && !self.has_plaintext()
    }

    /// Resolves when the peer of one in rounds has closed its side, whether or not all before that was read. One task waits at a time.
    pub async fn ended(&self) {
        self.link.ended().await;
    }

    /// The connection itself, when there is nothing between it and its bytes.
    pub fn into_tcp(self) -> Result<TcpStream, Self> {
        match self {
            Self {
                link: Link::Alone(tcp),
                tls: None,
            } => Ok(tcp),
            other => Err(other),
        }
    }

    /// Waits until there may be something to read.
    pub async fn readable(&self) -> io::Result<()> {
        if self.has_plaintext() {
            return Ok(());
        }
        self.link.readable().await
    }

    /// Waits until something may be written.
    pub async fn writable(&self) -> io::Result<()> {
        self.link.writable().await
    }

    /// Reads what is there; 0 at the end.
    pub fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return self.link.try_read_buf(buffer);
        };
        let mut record = [0; RECORD];
        let room = buffer.chunk_mut().len().min(RECORD);
        let count = read(&self.link, &mut tls.lock(), record.get_mut(..room).unwrap_or_default())?;
        buffer.put_slice(record.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Reads what is there; 0 at the end.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.link.try_read(buffer),
            Some(tls) => read(&self.link, &mut tls.lock(), buffer),
        }
    }

    /// Takes what goes now.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.link.try_write_vectored(slices),
            Some(tls) => write(&self.link, &mut tls.lock(), slices),
        }
    }

    /// Whether all that was taken has left.
    pub fn is_flushed(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.lock().wants_write())
    }

    /// Sends what was taken and has not left.
    pub fn try_flush(&self) -> io::Result<()> {
        match &self.tls {
            None => Ok(()),
            Some(tls) => flush(&self.link, &mut tls.lock()),
        }
    }

    /// Says that nothing more comes; what is under way still goes.
    pub fn shutdown_write(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            let mut tls = tls.lock();
            tls.send_close_notify();
            // A peer that does not read any more hears it from the end of the connection.
            let _ = flush(&self.link, &mut tls);
        }
        self.link.options().shutdown(Shutdown::Write)
    }

    /// Resolves when the peer has closed its side. When it sends something instead this does not resolve, and what it sent is read later.
    pub async fn closed(&self) {
        let is_closed = match &self.tls {
            None => {
                let mut one = [0; 1];
                matches!(self.link.peek(&mut one).await, Ok(0) | Err(_))
            }
            Some(tls) => self.closed_tls(tls).await,
        };
        if !is_closed {
            std::future::pending::<()>().await;
        }
    }

    /// False when something is there to read.
    async fn closed_tls(&self, tls: &Mutex<ServerConnection>) -> bool {
        loop {
            match tls.lock().process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return false,
                Ok(state) if !state.peer_has_closed() => {}
                _ => return true,
            }
            if self.link.readable().await.is_err() {
                return true;
            }
            match take(&self.link, &mut tls.lock()) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return true,
            }
        }
    }

    fn has_plaintext(&self) -> bool {
        let waits = |tls: &Mutex<ServerConnection>| {
            let state = tls.lock().process_new_packets();
            state.is_ok_and(|s| s.plaintext_bytes_to_read() > 0 || s.peer_has_closed())
        };
        self.tls.as_deref().is_some_and(waits)
    }
}

/// The plaintext that is there, or comes with the ciphertext that is there.
fn read(link: &Link, tls: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Many players close without a word; a stream of media has no end that could be faked.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            done => return done,
        }
        take(link, tls)?;
    }
}

/// Ciphertext from the connection; 0 at its end.
fn take(link: &Link, tls: &mut ServerConnection) -> io::Result<usize> {
    let count = tls.read_tls(&mut Wire(link))?;
    let processed = tls.process_new_packets();
    // An alert, or the answer to a renewal of keys. Where it does not go now, it goes with the next write.
    match flush(link, tls) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    match processed {
        Ok(_) => Ok(count),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Takes plaintext up to the bound of what waits inside.
fn write(link: &Link, tls: &mut ServerConnection, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    flush(link, tls)?;
    let taken = tls.writer().write_vectored(slices)?;
    match flush(link, tls) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(taken),
    }
}

/// All of the ciphertext, or [`io::ErrorKind::WouldBlock`].
fn flush(link: &Link, tls: &mut ServerConnection) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(&mut Wire(link))? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

impl Outlet for Socket {
    fn offer(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.link.try_write_vectored(pieces),
            Some(tls) => write(&self.link, &mut tls.lock(), pieces),
        }
    }

    fn push_out(&self) -> io::Result<()> {
        self.try_flush()
    }

    fn descriptor(&self) -> Option<RawFd> {
        if self.is_tls() { None } else { self.link.descriptor() }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_writable(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { link, tls } = &mut *self;
        if let (Link::Alone(tcp), None) = (link, tls) {
            return Pin::new(tcp).poll_read(cx, buffer);
        }
        loop {
            match self.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.link.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { link, tls } = &mut *self;
        if let (Link::Alone(tcp), None) = (link, tls) {
            return Pin::new(tcp).poll_write_vectored(cx, slices);
        }
        loop {
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.link.poll_writable(cx))?,
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.link.poll_writable(cx))?,
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &self.tls {
            tls.lock().send_close_notify();
        }
        ready!(self.as_mut().poll_flush(cx))?;
        match &mut self.link {
            // Says nothing of a peer that is gone already.
            Link::Alone(tcp) => Pin::new(tcp).poll_shutdown(cx),
            link @ Link::InRounds(_) => Poll::Ready(link.options().shutdown(Shutdown::Write)),
        }
    }
}
