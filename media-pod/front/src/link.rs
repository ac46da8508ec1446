//! [`Link`]: a TCP connection, whoever wakes those who wait for it.

use crate::Rounds;
use crate::rounds::Member;
use bytes::BufMut;
use headgate_hub::Outlet;
use socket2::SockRef;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A connection without TLS, or what is below it.
#[derive(Debug)]
pub(crate) enum Link {
    /// The runtime does, when something comes.
    Alone(TcpStream),
    /// Heard together with others.
    InRounds(Member),
}

impl Link {
    /// From now on in rounds. Where there is no descriptor left it stays as it is.
    pub(crate) fn join(&mut self, rounds: &Rounds) -> io::Result<()> {
        if let Self::Alone(tcp) = self {
            let member = Member::join(tcp.as_fd(), rounds)?;
            *self = Self::InRounds(member);
        }
        Ok(())
    }

    /// From now on alone. Where there is no descriptor left it stays as it is.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        if let Self::InRounds(member) = self {
            let held = member.as_fd().try_clone_to_owned()?;
            *self = Self::Alone(TcpStream::from_std(held.into())?);
        }
        Ok(())
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        match self {
            Self::Alone(tcp) => SockRef::from(tcp),
            Self::InRounds(member) => SockRef::from(member),
        }
    }

    /// Waited for by one task at a time, which spares each of many that wait a place in a list.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Whether one in rounds is to be told when something comes.
    pub(crate) fn listen(&self, listens: bool) -> io::Result<()> {
        match self {
            Self::Alone(_) => Ok(()),
            Self::InRounds(member) => member.listen(listens),
        }
    }

    /// There may be something to read on one in rounds that is not told.
    pub(crate) fn look(&self) {
        if let Self::InRounds(member) = self {
            member.look();
        }
    }

    /// Whether all that came up to the last look was read; nobody knows of one that is heard alone.
    pub(crate) fn is_exhausted(&self) -> bool {
        match self {
            Self::Alone(_) => false,
            Self::InRounds(member) => member.is_exhausted(),
        }
    }

    /// Resolves when the peer of one in rounds has closed its side.
    pub(crate) async fn ended(&self) {
        match self {
            Self::Alone(_) => pending().await,
            Self::InRounds(member) => member.ended().await,
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Alone(tcp) => tcp.writable().await,
            Self::InRounds(member) => {
                member.writable().await;
                Ok(())
            }
        }
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Alone(tcp) => tcp.poll_read_ready(cx),
            Self::InRounds(member) => member.poll_readable(cx).map(Ok),
        }
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Alone(tcp) => tcp.poll_write_ready(cx),
            Self::InRounds(member) => member.poll_writable(cx).map(Ok),
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Alone(tcp) => read_out(tcp, buffer.len(), || tcp.try_read(buffer)),
            Self::InRounds(member) => member.try_read(buffer),
        }
    }

    pub(crate) fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Self::Alone(tcp) => {
                let room = buffer.chunk_mut().len();
                read_out(tcp, room, || tcp.try_read_buf(buffer))
            }
            Self::InRounds(member) => member.try_read_buf(buffer),
        }
    }

    pub(crate) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Alone(tcp) => tcp.offer(pieces),
            Self::InRounds(member) => member.try_write(pieces),
        }
    }

    /// Waits for the end, or for something to read, which stays there.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Alone(tcp) => tcp.peek(buffer).await,
            Self::InRounds(member) => member.peek(buffer).await,
        }
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Alone(tcp) => tcp.descriptor(),
            Self::InRounds(_) => None,
        }
    }
}

/// A read that was given more room than it filled has taken all there was: to be told at once that nothing is left spares another one, which would
/// find that out. What comes meanwhile makes the connection readable again.
fn read_out(tcp: &TcpStream, room: usize, mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let mut count = None;
    let outcome = tcp.try_io(Interest::READABLE, || match read()? {
        some if some > 0 && some < room => {
            count = Some(some);
            Err(io::ErrorKind::WouldBlock.into())
        }
        other => Ok(other),
    });
    count.map_or(outcome, Ok)
}

/// As rustls wants it.
pub(crate) struct Wire<'a>(pub(crate) &'a Link);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.try_write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
