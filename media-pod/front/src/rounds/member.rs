//! [`Member`]: a connection that is heard in rounds.

use super::Rounds;
use super::gate::Gate;
use bytes::BufMut;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

thread_local! {
    /// Room to read into, which need not be cleared each time as that of a buffer that grows would.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

/// See the module.
pub(crate) struct Member {
    tcp: TcpStream,
    place: usize,
    gate: Arc<Gate>,
    rounds: Rounds,
    /// It is not told what comes, but for the end.
    is_deaf: AtomicBool,
}

impl Member {
    /// Another hold of the connection, which does not block.
    pub(crate) fn join(connection: BorrowedFd<'_>, rounds: &Rounds) -> io::Result<Self> {
        let held: OwnedFd = connection.try_clone_to_owned()?;
        let tcp = TcpStream::from(held);
        let (place, gate) = rounds.join(tcp.as_fd())?;
        let rounds = rounds.clone();
        Ok(Self {
            tcp,
            place,
            gate,
            rounds,
            is_deaf: AtomicBool::new(false),
        })
    }

    /// Whether to be told when something comes. Who is not looks by itself, as with [`Member::look`]; the end is told in any case.
    pub(crate) fn listen(&self, listens: bool) -> io::Result<()> {
        if self.is_deaf.swap(!listens, Ordering::Relaxed) == listens {
            self.rounds.listen(self.tcp.as_fd(), self.place, listens)?;
        }
        Ok(())
    }

    /// There may be something to read.
    pub(crate) fn look(&self) {
        self.gate.reading.open();
    }

    pub(crate) async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await;
    }

    /// Whether all that came up to the last look was read.
    pub(crate) fn is_exhausted(&self) -> bool {
        !self.gate.reading.is_open()
    }

    /// Resolves when the peer has closed its side.
    pub(crate) async fn ended(&self) {
        poll_fn(|cx| self.gate.reading.poll_end(cx)).await;
    }

    pub(crate) async fn writable(&self) {
        poll_fn(|cx| self.poll_writable(cx)).await;
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.gate.reading.poll(cx)
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.gate.writing.poll(cx)
    }

    /// Less than was asked for is all there was.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let exhausts = |count| count > 0 && count < room;
        self.gate.reading.pass(exhausts, || (&self.tcp).read(buffer))
    }

    pub(crate) fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = buffer.chunk_mut().len().min(scratch.len());
            let scratch = scratch.get_mut(..room).unwrap_or_default();
            let count = self.try_read(scratch)?;
            buffer.put_slice(scratch.get(..count).unwrap_or_default());
            Ok(count)
        })
    }

    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let write = || match pieces {
            [one] => (&self.tcp).write(one),
            many => (&self.tcp).write_vectored(many),
        };
        self.gate.writing.pass(|_| false, write)
    }

    /// Waits for the end, or for something to read, which stays there.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await;
            match self.gate.reading.pass(|_| false, || self.tcp.peek(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }
}

impl AsFd for Member {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.place).finish()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.rounds.leave(self.tcp.as_fd(), self.place);
    }
}
